"""The overlap table of dense instance maps alone, and the optimal assignment on it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import _region_data as data
from _harness import Candidate
from _native import readers
from _parts import Case
from _tables import Target, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def _equal(result: Any, answer: NDArray[Any]) -> str | None:
    counts = np.asarray(getattr(result, "intersection", result))
    return None if np.array_equal(np.sort(counts), answer) else "other overlaps"


def _dense(quick: bool, threads: int) -> Case:
    from scipy import sparse

    import segmeter

    side = 48 if quick else 256
    pred, target = (data.connectome(side, 800, seed=seed) for seed in (10, 9))
    answer = np.sort(segmeter.overlap_table(pred, target).intersection)

    def unique() -> NDArray[Any]:
        keys = target.ravel().astype(np.uint64) << np.uint64(32) | pred.ravel()
        return np.unique(keys[(pred.ravel() != 0) & (target.ravel() != 0)], return_counts=True)[1]

    def coo() -> NDArray[Any]:
        ones = np.ones(pred.size, np.int64)
        table = sparse.coo_array((ones, (target.ravel(), pred.ravel()))).tocsr()
        return table[1:, 1:].data

    candidates = [
        Candidate(
            "segmeter", partial(segmeter.overlap_table, pred, target, threads=threads), _equal,
            "ours",
        ),
        Candidate("np.unique", unique, _equal),
        Candidate("scipy.sparse", coo, _equal),
    ]  # fmt: skip
    candidates += [
        Candidate(f"read bandwidth ({name})", call, kind="limit")
        for name, call in readers((pred, target), threads).items()
    ]
    title = f"overlap table of dense cells: {side}^3 uint32, {len(answer)} pairs"
    return Case(title, pred.size, pred.nbytes + target.nbytes, candidates, answer)


def _assignment(quick: bool, threads: int) -> Case:
    from scipy.optimize import linear_sum_assignment

    import segmeter

    pred, target = data.cells(300 if quick else 4000)
    table = segmeter.overlap_table(pred, target, threads=threads)

    def ours() -> float:
        matching = segmeter.match_regions(table, method="optimal", objective="score")
        return float(matching.score.sum())

    def dense() -> float:
        score = np.zeros((table.num_target, table.num_pred))
        score[table.target_index, table.pred_index] = np.where(table.iou >= 0.5, table.iou, 0)
        return float(score[linear_sum_assignment(-score)].sum())

    def differs(result: Any, answer: NDArray[Any]) -> str | None:
        return None if abs(result - answer[0]) < 1e-8 else f"{result} instead of {answer[0]}"

    candidates = [
        Candidate("segmeter", ours, differs, "ours"),
        Candidate("scipy linear_sum_assignment", dense, differs),
    ]
    title = f"optimal assignment: {table.num_pred} predictions, {len(table.iou)} pairs"
    nbytes = sum(array.nbytes for array in table.to_arrays().values())
    return Case(title, len(table.iou), nbytes, candidates, np.array([ours()]))


CASES: dict[str, Callable[[bool, int], Case]] = {
    "table-connectome": _dense,
    "assignment-cells4k": _assignment,
}

TARGETS = (
    Target("table-connectome", "dense cells: fastest peer", 5, times_faster_than()),
    Target("assignment-cells4k", "optimal assignment: scipy", 100, times_faster_than()),
)
