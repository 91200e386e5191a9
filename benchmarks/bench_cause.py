"""Causes of wrong pixels against the published rules, with the machine's limit beside them.

    python benchmarks/bench_cause.py [--quick] [--only street,street-fast] [--threads 1,2]

Each number of threads gets a process of its own. See benchmarks/README.md for how to read the
tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import _data
from _harness import Candidate, OtherLoad, check_equal, machine_info, run_candidates
from _native import readers
from _tables import (
    Target,
    insist_on_agreement,
    print_report,
    print_targets,
    row_record,
    start_child,
    times_faster_than,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Mask = NDArray[np.uint8]

TWIN = "published rules, NumPy and SciPy"
OPENCV = "published rules, OpenCV"


@dataclass(frozen=True)
class Case:
    title: str
    num_classes: int
    draw: Callable[[bool], _data.LabelPair]
    distance: str = "exact"


def _size(quick: bool) -> tuple[int, int]:
    return (256, 512) if quick else (1024, 2048)


CASES = {
    "street": Case("street, Euclidean", 19, lambda quick: _data.street(_size(quick))),
    "street-fast": Case("street, 3x3", 19, lambda quick: _data.street(_size(quick)), "fast"),
    "indoor": Case("ADE-like, Euclidean", 150, lambda quick: _data.indoor(_size(quick))),
    "noise19": Case("noise, Euclidean", 19, lambda quick: _data.noise(19, _size(quick))),
    "volume": Case("3-D organs", 105, lambda quick: _data.volume(48 if quick else 192)),
}


# --- the published rules with OpenCV --------------------------------------------------------------


def opencv_causes(
    pred: NDArray[Any], target: NDArray[Any], num_classes: int, distance: str
) -> NDArray[np.int64]:
    """Counts by class and cause: one class after another, absent ones skipped."""
    width = round(0.01 * float(np.hypot(*pred.shape)))
    counts = np.zeros((9, num_classes), np.int64)
    counts[1] = pred.size
    for k in np.union1d(np.unique(pred), np.unique(target)):
        guess, truth = (pred == k).view(np.uint8), (target == k).view(np.uint8)
        counts[:8, k] = _opencv_class(guess, truth, width, distance)
    return counts


def _opencv_class(guess: Mask, truth: Mask, width: int, distance: str) -> list[int]:
    import cv2

    hits, others = guess & truth, 1 - (guess | truth)
    near = _dilated(hits, width, distance) & _dilated(others, width, distance)
    touch = [_dilated(mask, 1, "fast").view(bool) for mask in (hits, others)]
    counts = [cv2.countNonZero(hits), cv2.countNonZero(others), 0, 0, 0, 0, 0, 0]
    for side, mask, wrong in ((0, guess, guess & (1 - truth)), (1, truth, truth & (1 - guess))):
        grown = _dilated(wrong & near, width, distance) & wrong
        n, pieces = cv2.connectedComponents(grown, connectivity=8)
        kept = np.ones(n, bool)
        for touched in touch:
            kept &= np.bincount(pieces[touched], minlength=n) > 0
        kept[0] = False
        boundary = kept[pieces]
        n, segments = cv2.connectedComponents(mask, connectivity=8)
        is_hit = np.bincount(segments[hits.view(bool)], minlength=n) > 0
        rest = is_hit[segments[wrong.view(bool) & ~boundary]]
        counts[2 + side] = int(np.count_nonzero(boundary))
        counts[4 + side] = int(np.count_nonzero(rest))
        counts[6 + side] = int(rest.size - np.count_nonzero(rest))
    return counts


def _dilated(mask: Mask, width: int, distance: str) -> Mask:
    import cv2

    if distance == "fast":
        return cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=width)
    # Far quicker than a dilation by the disk itself.
    if not mask.any():
        return mask
    away = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (np.rint(away) <= width).view(np.uint8)


# --- measuring ------------------------------------------------------------------------------------


def measure(name: str, options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Check and time one case, print its table."""
    import segmeter
    from segmeter import reference

    case = CASES[name]
    pred, target = case.draw(options.quick)
    rules: dict[str, Any] = {"num_classes": case.num_classes, "distance": case.distance}

    def ours() -> Any:
        return segmeter.error_causes(pred, target, **rules, threads=threads)

    def as_array(counts: Any) -> NDArray[np.int64]:
        return np.stack(list(counts.to_arrays().values()))

    def same(result: Any, answer: NDArray[Any]) -> str | None:
        return check_equal(result if isinstance(result, np.ndarray) else as_array(result), answer)

    candidates = [
        Candidate("segmeter", ours, same, "ours"),
        Candidate(TWIN, lambda: reference.error_causes(pred, target, **rules), same),
    ]
    if pred.ndim == 2:
        candidates.append(
            Candidate(
                OPENCV, lambda: opencv_causes(pred, target, case.num_classes, case.distance), same
            )
        )
    candidates += [
        Candidate(f"read bandwidth ({way})", call, kind="limit")
        for way, call in readers((pred, target), threads).items()
    ]
    load = OtherLoad()
    rows = run_candidates(
        candidates, as_array(ours()), rounds=options.rounds, settle=threads > 1,
        seconds=options.seconds,
    )  # fmt: skip
    wrong = np.count_nonzero(pred != target) / pred.size
    report = {
        "workload": name,
        "title": f"{case.title}: {'x'.join(map(str, pred.shape))} {pred.dtype}, "
        f"{case.num_classes} classes, {wrong:.1%} wrong",
        "threads": threads,
        "cache": "warm",
        "pixels": pred.size,
        "bytes": pred.nbytes + target.nbytes,
        "basis": "cpu" if threads == 1 else "wall",
        "other_cores": load.cores(),
        "rows": [row_record(row) for row in rows],
        "missing": [],
    }
    print_report(report)
    insist_on_agreement(rows)
    return report


TARGETS = (
    Target("street", "street: the published rules", 50, times_faster_than(TWIN)),
    Target("street-fast", "street, 3x3: the published rules", 50, times_faster_than(TWIN)),
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="small maps and few rounds")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    parser.add_argument("--only", help=f"comma-separated cases: {', '.join(CASES)}")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default 1,2)")
    parser.add_argument("--rounds", type=int, help="turns of the fast candidates (default 21)")
    parser.add_argument("--seconds", type=float, help="time for one candidate (default 1)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.cases = options.only.split(",") if options.only else list(CASES)
    unknown = [case for case in options.cases if case not in CASES]
    if unknown:
        parser.error(f"--only: unknown {', '.join(unknown)}; known: {', '.join(CASES)}")
    options.rounds = options.rounds or (5 if options.quick else 21)
    options.seconds = options.seconds or (0.2 if options.quick else 1.0)
    return options


def main() -> None:
    options = parse_arguments()
    if options.child:
        threads = int(options.threads)
        reports = [measure(case, options, threads) for case in options.cases]
        options.json.write_text(json.dumps(reports))
        return
    machine = machine_info()
    print("## Machine\n")
    for key, value in machine.items():
        print(f"- {key}: {value}")
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
