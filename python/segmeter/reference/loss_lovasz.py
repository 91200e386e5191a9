"""Lovász losses by their definition: the extension of the Jaccard loss, its averaged subgradient.

The gradient by the errors is that subgradient, and by the logits the chain rule: no complex step,
as an order of errors has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._floats import as_float64, probabilities
from .loss_table import dense_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

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


def lovasz_softmax(logits: ArrayLike, target: ArrayLike, **options: Any) -> Any:
    """Lovász-softmax loss."""
    return _lovasz(np.asarray(logits), np.asarray(target), hinge=False, **options)


def lovasz_hinge(logits: ArrayLike, target: ArrayLike, **options: Any) -> Any:
    """Lovász hinge loss."""
    return _lovasz(
        np.asarray(logits), np.asarray(target), hinge=True, **{"classes": "all", **options}
    )


def _lovasz(
    logits: NDArray[Any],
    target: NDArray[Any],
    *,
    hinge: bool,
    region: str = "batch",
    classes: str | Sequence[int] = "present",
    class_weight: Sequence[float] | None = None,
    normalise_weight: bool = True,
    ignore_index: int | Sequence[int] | None = None,
    mask: NDArray[np.bool_] | None = None,
    channels_last: bool = False,
    reduction: str = "mean",
    empty: str = "zero",
    return_grad: bool = False,
) -> Any:
    if channels_last:
        logits = np.moveaxis(logits, -1, 1)
        target = np.moveaxis(target, -1, 1) if target.ndim == logits.ndim else target
    x = as_float64(logits)
    samples, channels = x.shape[:2]
    left_out = np.zeros((samples, *x.shape[2:]), bool) if mask is None else np.asarray(mask)
    if ignore_index is not None:
        left_out = left_out | np.isin(target, ignore_index)
    counted = ~left_out
    x = np.where(counted[:, None], x, 0.0)
    truth = dense_target(target, x.shape) > 0
    p = x if hinge else probabilities(x, "softmax")[0]
    sign = np.where(truth, -1.0, 1.0)  # of the slope of an error by p, or by the logit
    errors = np.maximum(1.0 + sign * x, 0.0) if hinge else np.where(truth, 1.0 - p, p)
    sign = sign * (errors > 0) if hinge else sign

    regions = [[n] for n in range(samples)] if region == "per_sample" else [list(range(samples))]
    losses = np.full((len(regions), channels), np.nan)
    weights = np.zeros(losses.shape)
    slopes = np.zeros(x.shape)
    for r, members in enumerate(regions):
        kept = counted[members]
        for k in range(channels):
            yes = truth[members, k][kept]
            present = yes.any() if classes == "present" else classes == "all" or k in classes
            if not kept.any() or not present:
                continue
            losses[r, k], slope = lovasz_jaccard(errors[members, k][kept], yes)
            weights[r, k] = 1.0 if class_weight is None else class_weight[k]
            spread = np.zeros(kept.shape)
            spread[kept] = slope
            slopes[members, k] = spread
    if reduction == "none":
        return losses
    if reduction == "mean":
        whole = weights if normalise_weight else ~np.isnan(losses)
        sums = whole.sum(1, keepdims=True)
        weights = weights / np.where(sums > 0, sums, 1.0) / max((sums > 0).sum(), 1)
    value = float(np.nansum(weights * losses))
    value = value if counted.any() or empty == "zero" else np.nan
    if not return_grad:
        return value
    factors = np.broadcast_to(weights, (samples, channels))
    by_error = factors.reshape(samples, channels, *[1] * (x.ndim - 2)) * slopes
    gradient = sign * by_error
    if not hinge:
        gradient = p * (gradient - (p * gradient).sum(1, keepdims=True))
    gradient = np.where(counted[:, None], gradient, 0.0)
    return value, np.moveaxis(gradient, 1, -1) if channels_last else gradient
