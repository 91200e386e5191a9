"""The frame of a benchmark made of parts: each draws cases, who competes, and what was promised.

A part is a module ``_<family>_<part>.py`` with ``CASES`` (how to draw a case and who competes) and
``TARGETS``. Each number of threads gets a process of its own.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from dataclasses import dataclass, field
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

    from numpy.typing import NDArray

    from _harness import Candidate


@dataclass(frozen=True)
class Case:
    """A drawn input, who competes on it, and what they are checked against."""

    title: str
    pixels: int
    nbytes: int
    candidates: list[Candidate]
    answer: NDArray[Any]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A family of measures and the parts of its benchmark."""

    family: str
    parts: tuple[str, ...]
    script: str
    description: str

    def part(self, name: str) -> ModuleType:
        """The module of a part."""
        return importlib.import_module(f"_{self.family}_{name}")

    def measure_case(
        self, part: str, name: str, options: argparse.Namespace, threads: int
    ) -> dict[str, Any]:
        """Draw one case, check and time its candidates, print its table."""
        case = self.part(part).CASES[name](options.quick, threads)
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

    def run_child(self, options: argparse.Namespace) -> list[dict[str, Any]]:
        """Measure everything asked for with one number of threads."""
        threads = int(options.threads)
        return [
            self.measure_case(part, name, options, threads)
            for part in options.parts
            for name in self.part(part).CASES
            if options.cases is None or name in options.cases.split(",")
        ]

    def parse_arguments(self) -> argparse.Namespace:
        """Options of the command line."""
        parser = argparse.ArgumentParser(description=self.description)
        parser.add_argument("--quick", action="store_true", help="small maps and few rounds")
        parser.add_argument("--json", type=Path, help="write every number to this file")
        parser.add_argument("--only", help=f"comma-separated parts: {', '.join(self.parts)}")
        parser.add_argument("--cases", help="comma-separated cases of the parts (default all)")
        parser.add_argument("--threads", default="1,2", help="numbers of threads (default 1,2)")
        parser.add_argument("--rounds", type=int, help="turns of the fast candidates (default 21)")
        parser.add_argument("--seconds", type=float, help="time for one candidate (default 1)")
        parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
        options = parser.parse_args()
        options.parts = options.only.split(",") if options.only else list(self.parts)
        unknown = [part for part in options.parts if part not in self.parts]
        if unknown:
            parser.error(f"--only: unknown {', '.join(unknown)}; known: {', '.join(self.parts)}")
        options.rounds = options.rounds or (5 if options.quick else 21)
        options.seconds = options.seconds or (0.2 if options.quick else 1.0)
        return options

    def main(self) -> None:
        """Measure every part in a process per number of threads; print tables and targets."""
        options = self.parse_arguments()
        if options.child:
            options.json.write_text(json.dumps(self.run_child(options)))
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
                reports += start_child(self.script, int(threads), Path(folder) / f"{threads}.json")
        targets = [target for part in options.parts for target in self.part(part).TARGETS]
        print_targets(targets, reports, quick=options.quick)
        if options.json:
            options.json.write_text(json.dumps({"machine": machine, "reports": reports}, indent=1))
