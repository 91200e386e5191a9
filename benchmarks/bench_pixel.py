"""Pixel counting against everything else that counts pixels, with the machine's limit beside it.

    python benchmarks/bench_pixel.py [--quick] [--only street,logits] [--threads 1,2] [--json FILE]

Each number of threads gets a process of its own (torch, numba, OpenMP and Rust pools are sized by
the environment). See benchmarks/README.md for how to read the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import _data
from _end_to_end import candidates as end_to_end_candidates
from _end_to_end import draw_folders, true_matrix
from _harness import (
    OtherLoad,
    Row,
    machine_info,
    number,
    per_call_overhead,
    run_candidates,
    table,
)
from _memory import RESOLUTION_BYTES, peak_extra_bytes
from _native import Buffers
from _peers import (
    LABEL_MAP_PEERS,
    SCORE_PEERS,
    Factory,
    Unavailable,
    Workload,
    candidates_for,
    count_nonzero_and,
    our_function,
)
from _tables import (
    Target,
    fastest,
    insist_on_agreement,
    print_report,
    print_targets,
    row_record,
    share_of_bandwidth,
    simd_in_use,
    start_child,
    times_faster_than,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CACHED_BELOW_BYTES = 96 << 20
COLD_ONLY_BELOW_SECONDS = 0.05
STREET = (1024, 2048)


# --- workloads ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A workload of the table: how to draw it and who competes."""

    title: str
    num_classes: int
    draw: Callable[[bool], _data.LabelPair]
    peers: tuple[Factory, ...] = LABEL_MAP_PEERS
    from_scores: bool = False

    def build(self, name: str, quick: bool) -> Workload:
        pred, target = self.draw(quick)
        return Workload(name, self.title, pred, target, self.num_classes, self.from_scores)


def _size(quick: bool) -> tuple[int, int]:
    return (256, 512) if quick else STREET


def _street_as(dtype: type) -> Callable[[bool], _data.LabelPair]:
    def draw(quick: bool) -> _data.LabelPair:
        pred, target = _data.street(_size(quick))
        return pred.astype(dtype), target.astype(dtype)

    return draw


ENTRIES: dict[str, Entry] = {
    "street": Entry("street", 19, lambda quick: _data.street(_size(quick))),
    "ade": Entry("ADE-like", 150, lambda _: _data.indoor((512, 683))),
    "ade-large": Entry("ADE-like, large", 150, lambda quick: _data.indoor(_size(quick))),
    "volume": Entry("3-D organs", 105, lambda quick: _data.volume(96 if quick else 512)),
    "bool": Entry(
        "bool masks",
        2,
        lambda quick: _data.binary(_size(quick)),
        (*LABEL_MAP_PEERS, count_nonzero_and),
    ),
    "int64": Entry("street", 19, _street_as(np.int64)),
    "int32": Entry("street", 19, _street_as(np.int32)),
    "int16": Entry("street", 19, _street_as(np.int16)),
    "noise19": Entry("noise", 19, lambda quick: _data.noise(19, _size(quick))),
    "noise150": Entry("noise", 150, lambda quick: _data.noise(150, _size(quick))),
    "logits": Entry(
        "scores to matrix", 19, lambda quick: _data.logits(_size(quick)), SCORE_PEERS, True
    ),
}
SPECIAL = ("small", "memory", "end-to-end")


def measure_workload(name: str, options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Measure one label-map workload in each state of the caches and print its tables."""
    entry = ENTRIES[name]
    workload = entry.build(name, options.quick)
    candidates, missing = candidates_for(workload, threads, entry.peers)
    matrix = np.asarray(candidates[0].call())
    reports = []
    for cache in _cache_states(workload, options):
        evict = Buffers((workload.pred, workload.target)).evict if cache == "cold" else None
        load = OtherLoad()
        rows = run_candidates(
            candidates,
            matrix,
            rounds=options.rounds,
            evict=evict,
            settle=threads > 1,
            seconds=options.seconds,
        )
        report = _report(workload, threads, cache, rows, missing, load.cores())
        print_report(report)
        insist_on_agreement(rows)
        reports.append(report)
        # What takes long in warm caches does so in cold ones: it need not be shown twice.
        slow = {
            row.name
            for row in rows
            if row.timing is None or row.timing.median > COLD_ONLY_BELOW_SECONDS
        }
        candidates = [candidate for candidate in candidates if candidate.name not in slow]
        missing = []
    return reports


def _cache_states(workload: Workload, options: argparse.Namespace) -> list[str]:
    if workload.nbytes > CACHED_BELOW_BYTES:
        return ["memory"]
    return [state for state in ("warm", "cold") if state in options.cache]


def _report(
    workload: Workload,
    threads: int,
    cache: str,
    rows: list[Row],
    missing: list[Unavailable],
    other_cores: float,
) -> dict[str, Any]:
    pred = workload.pred
    if workload.from_scores:
        runs = ""
    else:
        runs = f", joint runs of {_data.mean_joint_run(pred, workload.target):.0f} px"
    shape = "x".join(str(length) for length in pred.shape)
    return {
        "workload": workload.name,
        "title": f"{workload.title}: {shape} {pred.dtype}, {workload.num_classes} classes{runs}",
        "threads": threads,
        "cache": cache,
        "pixels": workload.pixels,
        "bytes": workload.nbytes,
        "basis": "cpu" if threads == 1 else "wall",
        "other_cores": other_cores,
        "rows": [row_record(row) for row in rows],
        "missing": [asdict(item) for item in missing],
    }


# --- the special sections -----------------------------------------------------------------------


def measure_small(options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Time calls on 64x64 maps against a bound call that does nothing."""
    pred, target = _data.street((64, 64))
    workload = Workload("small", "64x64", pred, target, 19)
    candidates, _ = candidates_for(workload, threads, LABEL_MAP_PEERS)
    count, own_name = our_function()
    calls: dict[str, Callable[[], Any]] = {"empty bound call": _empty_call()}
    calls[f"{own_name}, default threads"] = lambda: count(pred, target, num_classes=19)
    mask_pair = pred > 9, target > 9
    calls[f"{own_name}, bool, default threads"] = lambda: count(*mask_pair, num_classes=2)
    calls |= {item.name: item.call for item in candidates if item.kind in ("ours", "peer")}
    usable = {name: call for name, call in calls.items() if _works(call)}
    timings = per_call_overhead(usable, batch=200, rounds=5 if options.quick else 41)
    # As in the other tables: with one thread CPU time, which no other process can lengthen.
    seconds = {
        name: timing.cpu_median if threads == 1 else timing.median
        for name, timing in timings.items()
    }
    empty = seconds["empty bound call"]
    print(f"\n### Small input: 64x64 uint8, 19 classes, {threads} thread{'s' * (threads > 1)}\n")
    lines = [
        [name, number(value * 1e6), number((value - empty) * 1e6)]
        for name, value in sorted(seconds.items(), key=lambda item: item[1])
    ]
    print(table(["what", "µs a call", "µs above the empty call"], lines), flush=True)
    return [
        {
            "workload": "small",
            "threads": threads,
            "cache": "warm",
            "above_empty": seconds[f"{own_name}, default threads"] - empty,
            "seconds": seconds,
        }
    ]


def _works(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Exception:  # such a peer is named with its reason in the tables of the large maps
        return False
    return True


def _empty_call() -> Callable[[], Any]:
    try:
        from segmeter._core import noop
    except ImportError:
        return [].clear
    return noop


def measure_memory(options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Measure the extra memory of one call, in a forked process for each candidate."""
    if threads != 1:  # a forked child has no thread pool; one thread tells what is to be told
        return []
    reports = []
    for name in ("street", "ade-large", "int64", "logits"):
        entry = ENTRIES[name]
        workload = entry.build(name, options.quick)
        pair = _crop(workload)
        small = Workload(name, "", *pair, entry.num_classes, entry.from_scores)
        full, _ = candidates_for(workload, 1, entry.peers)
        extras = peak_extra_bytes(candidates_for(small, 1, entry.peers)[0], full)
        own = full[0].name
        matrix_bytes = 8 * entry.num_classes**2
        print(
            f"\n### Memory: {entry.title}, {workload.pred.dtype}, input of "
            f"{workload.nbytes / 2**20:.1f} MiB, matrix of {matrix_bytes / 1024:.1f} KiB\n"
        )
        lines = [
            [candidate, "failed" if extra is None else f"{extra / 2**20:.1f}"]
            for candidate, extra in sorted(extras.items(), key=lambda item: item[1] or 0)
        ]
        print(table(["what", "extra MiB at the peak"], lines), flush=True)
        reports.append(
            {
                "workload": f"memory-{name}",
                "threads": threads,
                "cache": "warm",
                "own_extra": extras[own],
                "matrix_bytes": matrix_bytes,
                "extras": extras,
            }
        )
    return reports


def _crop(workload: Workload) -> tuple[NDArray, NDArray]:
    window = (..., slice(0, 64), slice(0, 64))
    pred, target = workload.pred[window], workload.target[window]
    return np.ascontiguousarray(pred), np.ascontiguousarray(target)


def measure_end_to_end(options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Evaluate a folder of PNG pairs; find the share of the time that is decoding."""
    count, shape = (12, (256, 512)) if options.quick else (200, STREET)
    with tempfile.TemporaryDirectory() as folder:
        pairs = draw_folders(Path(folder), count, shape)
        found = end_to_end_candidates(pairs, threads)
        load = OtherLoad()
        rows = run_candidates(
            found, true_matrix(count, shape), rounds=3 if options.quick else 5, seconds=20
        )
        size = sum(path.stat().st_size for pair in pairs for path in pair)
    pixels = count * shape[0] * shape[1]
    report = {
        "workload": "end-to-end",
        "title": f"End to end: {count} pairs of {shape[0]}x{shape[1]} PNG",
        "threads": threads,
        "cache": "files in the page cache",
        "pixels": pixels,
        "bytes": size,
        "basis": "wall",
        "other_cores": load.cores(),
        "rows": [row_record(row) for row in rows],
        "missing": [],
    }
    print_report(report)
    own, part = fastest(report, "ours"), fastest(report, "part")
    if own and part:
        report["share"] = part["wall"] / own["wall"]
        report["cpu_share"] = part["cpu"] / own["cpu"]
        print(
            f"\nDecoding is {report['share']:.1%} of the wall time and "
            f"{report['cpu_share']:.1%} of the CPU time; "
            f"{count / own['wall']:.1f} pairs a second.",
            flush=True,
        )
    return [report]


# --- targets ------------------------------------------------------------------------------------


def _extra_over_matrix(report: dict[str, Any]) -> float | None:
    if report["own_extra"] is None:
        return None
    return max(0, report["own_extra"] - report["matrix_bytes"]) / 2**20


NO_TEMPORARY = RESOLUTION_BYTES / 2**20

TARGETS = (
    Target("street", "street uint8: fastest peer", 10, times_faster_than()),
    Target("street", "street uint8: scikit-learn", 150, times_faster_than("scikit-learn")),
    Target("street", "street uint8: torchmetrics", 150, times_faster_than("torchmetrics")),
    Target("volume", "3-D: share of read bandwidth", 0.8, share_of_bandwidth, "%"),
    Target("noise19", "noise, 19 classes: fastest peer", 1.5, times_faster_than()),
    Target("noise150", "noise, 150 classes: fastest peer", 1.5, times_faster_than()),
    Target("int64", "int64: share of read bandwidth", 0.8, share_of_bandwidth, "%"),
    Target("bool", "bool: count_nonzero of the and", 3, times_faster_than("nonzero", "part")),
    Target("ade", "150 classes, 512x683: fastest peer", 5, times_faster_than()),
    Target("ade-large", "150 classes, 1024x2048: fastest peer", 5, times_faster_than()),
    Target("logits", "scores: torch.max(1) + count", 5, times_faster_than("torch.max")),
    Target("logits", "scores: torch.argmax + count", 30, times_faster_than("torch.argmax")),
    Target("logits", "scores: share of read bandwidth", 0.7, share_of_bandwidth, "%"),
    Target(
        "small",
        "64x64: above an empty bound call",
        3,
        lambda report: report["above_empty"] * 1e6,
        " µs",
        at_most=True,
    ),
    *(
        Target(
            f"memory-{name}",
            f"memory, {text}: beyond the matrix",
            NO_TEMPORARY,
            _extra_over_matrix,
            " MiB",
            at_most=True,
        )
        for name, text in (
            ("street", "street"),
            ("ade-large", "150 classes"),
            ("int64", "int64"),
            ("logits", "scores"),
        )
    ),
    Target("end-to-end", "200 PNG pairs: decoding's share", 0.85, lambda r: r.get("share"), "%"),
)


# --- running ------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="small maps and few rounds")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    parser.add_argument("--only", help=f"comma-separated: {', '.join([*ENTRIES, *SPECIAL])}")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default 1,2)")
    parser.add_argument("--cache", default="warm,cold", help="states of the caches")
    parser.add_argument("--rounds", type=int, help="turns of the fast candidates (default 41)")
    parser.add_argument("--seconds", type=float, help="time for one candidate (default 1)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.only.split(",") if options.only else [*ENTRIES, *SPECIAL]
    unknown = [name for name in names if name not in ENTRIES and name not in SPECIAL]
    if unknown:
        parser.error(
            f"--only: unknown {', '.join(unknown)}; known: {', '.join(ENTRIES)}, "
            f"{', '.join(SPECIAL)}"
        )
    options.names = names
    options.rounds = options.rounds or (7 if options.quick else 41)
    options.seconds = options.seconds or (0.3 if options.quick else 1.0)
    return options


def run_child(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure everything asked for with one number of threads."""
    threads = int(options.threads)
    special = {
        "small": measure_small,
        "memory": measure_memory,
        "end-to-end": measure_end_to_end,
    }
    reports = []
    # First, while nothing has started a thread pool that a forked child would miss.
    for name in sorted(options.names, key=lambda name: name != "memory"):
        if name in ENTRIES:
            reports += measure_workload(name, options, threads)
        else:
            reports += special[name](options, threads)
    return reports


def main() -> None:
    options = parse_arguments()
    if options.child:
        options.json.write_text(json.dumps(run_child(options)))
        return
    machine = machine_info()
    machine["ours"] = our_function()[1]
    machine["simd in use"] = simd_in_use()
    print("## Machine\n")
    for key, value in machine.items():
        print(f"- {key}: {value}")
    if machine["ours"] != "segmeter":
        print("\nThe kernel is not compiled: these are the numbers of the NumPy twin.")
    sys.stdout.flush()
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in options.threads.split(","):
            reports += start_child(__file__, int(threads), Path(folder) / f"{threads}.json")
    print_targets(TARGETS, reports, quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "reports": reports}, indent=1))


if __name__ == "__main__":
    main()
