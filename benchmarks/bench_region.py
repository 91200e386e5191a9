"""Regions against everything else that labels, overlaps and matches them.

    python benchmarks/bench_region.py [--quick] [--only components] [--cases blob50] [--threads 1,2]

Each part is a module ``_region_<part>.py`` with ``CASES`` (how to draw a case and who competes) and
``TARGETS``. Each number of threads gets a process of its own. See benchmarks/README.md for how to
read the tables.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _harness import OtherLoad, machine_info, run_candidates
from _tables import (
    insist_on_agreement,
    print_report,
    print_targets,
    row_record,
    simd_in_use,
    start_child,
)

if TYPE_CHECKING:
    from types import ModuleType

PARTS = ("components", "overlap", "scores", "lesions", "panoptic", "coco")


def load_part(name: str) -> ModuleType:
    return importlib.import_module(f"_region_{name}")


def measure_case(part: str, name: str, options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Draw one case, check and time its candidates, print its table."""
    case = load_part(part).CASES[name](options.quick, threads)
    load = OtherLoad()
    rows = run_candidates(
        case.candidates,
        case.answer,
        rounds=options.rounds,
        settle=threads > 1,
        seconds=options.seconds,
    )
    report = {
        "workload": name,
        "title": case.title,
        "threads": threads,
        "cache": "warm",
        "pixels": case.pixels,
        "bytes": case.nbytes,
        "basis": "cpu" if threads == 1 else "wall",
        "other_cores": load.cores(),
        "rows": [row_record(row) for row in rows],
        "missing": [],
        "extra": case.extra,
    }
    print_report(report)
    for what, value in case.extra.items():
        print(f"- {what}: {value}")
    insist_on_agreement(rows)
    return report


def run_child(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure everything asked for with one number of threads."""
    threads = int(options.threads)
    return [
        measure_case(part, name, options, threads)
        for part in options.parts
        for name in load_part(part).CASES
        if options.cases is None or name in options.cases.split(",")
    ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="small maps and few rounds")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    parser.add_argument("--only", help=f"comma-separated parts: {', '.join(PARTS)}")
    parser.add_argument("--cases", help="comma-separated cases of the parts (default all)")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default 1,2)")
    parser.add_argument("--rounds", type=int, help="turns of the fast candidates (default 21)")
    parser.add_argument("--seconds", type=float, help="time for one candidate (default 1)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else list(PARTS)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"--only: unknown {', '.join(unknown)}; known: {', '.join(PARTS)}")
    options.rounds = options.rounds or (5 if options.quick else 21)
    options.seconds = options.seconds or (0.2 if options.quick else 1.0)
    return options


def main() -> None:
    options = parse_arguments()
    if options.child:
        options.json.write_text(json.dumps(run_child(options)))
        return
    machine = machine_info()
    machine["simd in use"] = simd_in_use()
    print("## Machine\n")
    for key, value in machine.items():
        print(f"- {key}: {value}")
    sys.stdout.flush()
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in options.threads.split(","):
            reports += start_child(__file__, int(threads), Path(folder) / f"{threads}.json")
    targets = [target for part in options.parts for target in load_part(part).TARGETS]
    print_targets(targets, reports, quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "reports": reports}, indent=1))


if __name__ == "__main__":
    main()
