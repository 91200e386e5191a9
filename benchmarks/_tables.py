"""What the benchmarks of all families share: result tables, targets, a process per thread count."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from _harness import Row, number, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


# --- tables -------------------------------------------------------------------------------------


def row_record(row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {"name": row.name, "kind": row.kind, "verdict": row.verdict}
    if row.timing is not None and row.timing.wall:
        record |= {
            "wall": row.timing.median,
            "cpu": row.timing.cpu_median,
            "spread": row.timing.spread,
            "samples": len(row.timing.wall),
        }
    return record


def timed(report: dict[str, Any], kind: str, *, right_only: bool = True) -> list[dict[str, Any]]:
    return [
        row
        for row in report["rows"]
        if row["kind"] == kind
        and "wall" in row
        and not (right_only and row["verdict"].startswith("WRONG"))
    ]


def fastest(report: dict[str, Any], kind: str, contains: str = "") -> dict[str, Any] | None:
    rows = [row for row in timed(report, kind) if contains in row["name"]]
    return min(rows, key=lambda row: row[report["basis"]], default=None)


def insist_on_agreement(rows: list[Row]) -> None:
    """Stop when most peers contradict our matrix: then ours is wrong and its time worthless."""
    peers = [row for row in rows if row.kind == "peer" and row.timing is not None]
    agreeing = [row for row in peers if row.verdict == "equal"]
    if 2 * len(agreeing) <= len(peers):
        raise SystemExit("most peers contradict our matrix: see the last column above")


def print_report(report: dict[str, Any]) -> None:
    """Print one workload's table: ours, the peers from fast to slow, the limit of the machine."""
    threads = f"{report['threads']} thread{'s' * (report['threads'] > 1)}"
    mebibytes = report["bytes"] / 2**20
    print(f"\n### {report['title']} ({mebibytes:.1f} MiB), {threads}, {report['cache']}")
    if report["other_cores"] > 0.1:
        print(f"(other processes kept {report['other_cores']:.1f} cores busy meanwhile)")
    print()
    own = fastest(report, "ours")
    limit = fastest(report, "limit")
    peers = sorted(
        (
            row
            for kind in ("ours too", "peer", "part", "fill")
            for row in timed(report, kind, right_only=False)
        ),
        key=lambda row: row[report["basis"]],
    )
    lines = [
        _line(report, row, own[report["basis"]] if own else float("nan"))
        for row in ([own] if own else []) + peers + ([limit] if limit else [])
    ]
    header = ["what", "ms", "CPU ms", "Mpx/s", "GB/s", "time / ours", "spread", "result"]
    print(table(header, lines))
    for item in report["missing"]:
        print(f"- {item['name']}: {item['reason']}")
    for row in report["rows"]:
        if "wall" not in row:
            print(f"- {row['name']}: {row['verdict']}")
    sys.stdout.flush()


def _line(report: dict[str, Any], row: dict[str, Any], own_seconds: float) -> list[str]:
    seconds = row[report["basis"]]
    return [
        f"**{row['name']}**" if row["kind"].startswith("ours") else row["name"],
        number(row["wall"] * 1e3),
        number(row["cpu"] * 1e3),
        number(report["pixels"] / seconds / 1e6),
        number(report["bytes"] / seconds / 1e9),
        f"{number(seconds / own_seconds)}x",
        f"{row['spread']:.0%}",
        row["verdict"],
    ]


# --- targets ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A promise: ``measure`` finds its value in a report (or None), ``limit`` decides."""

    workload: str
    text: str
    limit: float
    measure: Callable[[dict[str, Any]], float | None]
    unit: str = "x"
    at_most: bool = False

    def met(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit

    def show(self, value: float) -> str:
        if self.unit == "%":
            return f"{value:.0%}"
        return f"{number(value)}{self.unit}"


def times_faster_than(contains: str = "", kind: str = "peer", own: str = "ours") -> Any:
    """How often ours (of kind ``own``) fits into the fastest candidate of a kind and name."""

    def measure(report: dict[str, Any]) -> float | None:
        mine, other = fastest(report, own), fastest(report, kind, contains)
        basis = report["basis"]
        return other[basis] / mine[basis] if mine and other else None

    return measure


def share_of_bandwidth(report: dict[str, Any]) -> float | None:
    own, limit = fastest(report, "ours"), fastest(report, "limit")
    basis = report["basis"]
    return limit[basis] / own[basis] if own and limit else None


def print_targets(targets: Sequence[Target], reports: list[dict[str, Any]], *, quick: bool) -> None:
    """Print every promise beside what was measured, in each state it was measured in."""
    states = list(dict.fromkeys((report["threads"], _state(report)) for report in reports))
    states.sort(key=lambda state: (state[1] != "warm", state[0]))
    by_key = {(report["workload"], report["threads"], _state(report)): report for report in reports}
    lines = []
    for target in targets:
        cells = []
        for threads, state in states:
            report = by_key.get((target.workload, threads, state))
            value = target.measure(report) if report else None
            if value is None:
                cells.append("")
            else:
                verdict = "met" if target.met(value) else "NOT met"
                cells.append(f"{target.show(value)} {verdict}")
        if any(cells):
            sign = "<=" if target.at_most else ">="
            lines.append([target.text, f"{sign} {target.show(target.limit)}", *cells, ""])
    header = ["target", "asked"]
    header += [f"{threads} thread{'s' * (threads > 1)}, {state}" for threads, state in states]
    print("\n## Targets\n")
    if quick:
        print("These are for maps of full size; the ones of --quick are too small for them.\n")
    print(table([*header, ""], lines), flush=True)


def _state(report: dict[str, Any]) -> str:
    """Return the column of a report: what does not fit in a cache stands under ``warm``."""
    if "state" in report:
        return str(report["state"])
    return "cold" if report["cache"] == "cold" else "warm"


# --- running ------------------------------------------------------------------------------------


def start_child(script: str, threads: int, out: Path, *more: str) -> list[dict[str, Any]]:
    """Run a benchmark script for one number of threads, in a process whose pools have that size."""
    pools = ("OMP", "MKL", "OPENBLAS", "NUMBA", "RAYON")
    names = (*(f"{pool}_NUM_THREADS" for pool in pools), "OPENCV_FOR_THREADS_NUM")
    environment = os.environ | dict.fromkeys(names, str(threads))
    arguments = [*sys.argv[1:], "--child", "--threads", str(threads), "--json", str(out), *more]
    subprocess.run([sys.executable, script, *arguments], env=environment, check=True)
    return json.loads(out.read_text())


def simd_in_use() -> str:
    try:
        core = importlib.import_module("segmeter._core")
    except ImportError:
        return "none: not compiled"
    return str(core.simd_level()) if hasattr(core, "simd_level") else "unknown"
