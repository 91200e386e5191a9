"""The Lovász extension of the Jaccard loss by its definition, and its averaged subgradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def lovasz_jaccard(errors: FloatArray, truth: NDArray[np.bool_]) -> tuple[float, FloatArray]:
    """Value of the extension at errors, and its derivative by each of them.

    With errors sorted from the largest, the value is the sum of every error times what the
    Jaccard loss grows when its pixel becomes wrong too. Pixels of the same error may become wrong
    in any order: the derivative is the mean of those of the two extreme orders, all pixels of the
    class first and last.
    """
    levels, level = np.unique(-errors, return_inverse=True)
    yes = np.bincount(level, weights=truth, minlength=levels.size)
    no = np.bincount(level, weights=~truth, minlength=levels.size)
    size = float(truth.sum())
    missed = np.concatenate([[0.0], np.cumsum(yes)])
    invented = np.concatenate([[0.0], np.cumsum(no)])

    def jaccard_loss(missed: FloatArray, invented: FloatArray) -> FloatArray:
        union = size + invented
        loss: FloatArray = 1.0 - np.where(union > 0, (size - missed) / np.maximum(union, 1.0), 1.0)
        return loss

    before, after = (missed[:-1], invented[:-1]), (missed[1:], invented[1:])
    start, end = jaccard_loss(*before), jaccard_loss(*after)
    yes_first, no_first = jaccard_loss(after[0], before[1]), jaccard_loss(before[0], after[1])
    by_yes = (yes_first - start + end - no_first) / 2.0 / np.maximum(yes, 1.0)
    by_no = (no_first - start + end - yes_first) / 2.0 / np.maximum(no, 1.0)
    slope = np.where(truth, by_yes[level], by_no[level])
    return float(np.sum(-levels * (end - start))), slope
