"""The pixel family in plain NumPy: what the native kernels must equal, bit for bit.

Written to be read, not to be fast: every pixel is turned into a class, a void or an ignored
pixel by the rules of :func:`segmeter.confusion_matrix`, then counted one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

IGNORED = -1
"""Role of a label that leaves the counts (target) or is nobody's true positive (pred)."""

INVALID = -2
"""Role of a label that is neither a class nor ignored."""


def confusion_matrix(
    pred: ArrayLike | Sequence[ArrayLike],
    target: ArrayLike | Sequence[ArrayLike],
    *,
    num_classes: int,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    labels: Sequence[int] | Mapping[int, int | None] | None = None,
    pred_labels: Sequence[int] | Mapping[int, int | None] | None = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    void_column: bool | None = None,
    per_image: bool = False,
    weights: ArrayLike | Sequence[ArrayLike] | None = None,
    from_scores: bool = False,
    channel_axis: int = 1,
    threshold: float | None = None,
    threads: int = 0,
) -> NDArray[Any]:
    """NumPy twin of :func:`segmeter.confusion_matrix`; same arguments, same result.

    Examples
    --------
    >>> confusion_matrix([[0, 1, 1]], [[0, 1, 0]], num_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    del threads  # one thread only: the twin defines the result, not the speed
    wide = (out_of_range == "wrong") if void_column is None else void_column
    images = _split(pred, target, ignore_index, weights, per_image)
    pred_roles, counted_roles, channel_roles = _all_roles(
        num_classes, ignore_index, labels, pred_labels, reduce_zero_label
    )
    matrices = []
    for image_pred, image_target, mask, image_weights in images:
        if from_scores:
            axis = channel_axis if not per_image else _axis_within_image(channel_axis)
            image_pred = decide(image_pred, image_target, num_classes, axis, threshold)
            roles = channel_roles
        else:
            roles = pred_roles
        truth = _apply(image_target.ravel(), counted_roles)
        guess = _apply(image_pred.ravel(), roles)
        if mask is not None:
            truth = np.where(mask.ravel(), IGNORED, truth)
        matrices.append(
            _count(
                truth,
                guess,
                num_classes,
                out_of_range,
                wide,
                None if image_weights is None else image_weights.ravel(),
            )
        )
    if per_image:
        return np.stack(matrices) if matrices else _empty(0, num_classes, wide, weights is not None)
    return sum(matrices, start=_empty(None, num_classes, wide, weights is not None))


def decide(
    scores: NDArray[Any],
    target: NDArray[Any],
    num_classes: int,
    channel_axis: int,
    threshold: float | None,
) -> NDArray[np.int64]:
    """Labels from scores: the first largest channel (NaN counts as largest), or score > threshold.

    Examples
    --------
    >>> decide(np.array([[0.2], [0.9]]), np.zeros(1), 2, 0, None)
    array([1])
    """
    if num_classes == 1:
        return np.zeros(target.shape, np.int64)  # whatever the score, there is one class
    if scores.shape == target.shape or scores.shape[channel_axis] == 1:
        positive = scores.reshape(target.shape)
        if threshold is None and ((positive < 0) | (positive > 1)).any():
            raise ValueError("scores outside 0..1 need a threshold")
        return np.asarray(positive > (0.5 if threshold is None else threshold), np.int64)
    if scores.shape[channel_axis] != num_classes:
        raise ValueError("the channel axis of pred must hold num_classes scores")
    return np.asarray(np.argmax(scores, axis=channel_axis), np.int64)  # here, too, NaN wins


def _split(
    pred: Any, target: Any, ignore_index: Any, weights: Any, per_image: bool
) -> list[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]]:
    """One tuple (pred, target, mask, weights) per image, or a single one for a whole array."""
    if isinstance(target, list | tuple) and len(target) and hasattr(target[0], "shape"):
        targets = [np.asarray(t) for t in target]
        preds = [np.asarray(p) for p in pred]
        masks = list(ignore_index) if _is_mask(ignore_index) else [None] * len(targets)
        scales = [None] * len(targets) if weights is None else [np.asarray(w) for w in weights]
        return list(zip(preds, targets, masks, scales, strict=True))
    pred, target = np.asarray(pred), np.asarray(target)
    mask = np.asarray(ignore_index) if _is_mask(ignore_index) else None
    scale = None if weights is None else np.asarray(weights)
    if not per_image:
        return [(pred, target, mask, scale)]
    return [
        (pred[i], target[i], None if mask is None else mask[i], None if scale is None else scale[i])
        for i in range(len(target))
    ]


def _axis_within_image(channel_axis: int) -> int:
    return channel_axis - 1 if channel_axis > 0 else channel_axis


def _is_mask(ignore_index: Any) -> bool:
    if isinstance(ignore_index, list | tuple):
        return len(ignore_index) > 0 and _is_mask(ignore_index[0])
    return getattr(ignore_index, "dtype", None) == np.bool_


def _ignored_labels(ignore_index: Any) -> list[int]:
    if ignore_index is None or _is_mask(ignore_index):
        return []
    return [int(v) for v in np.atleast_1d(ignore_index)]


def _roles(num_classes: int, labels: Any, reduce_zero_label: bool) -> dict[int, int]:
    """Label value -> class index or IGNORED; every value not in it is INVALID."""
    if labels is None:
        roles = {k: k for k in range(num_classes)}
    elif isinstance(labels, Mapping):
        roles = {int(v): IGNORED if k is None else int(k) for v, k in labels.items()}
    else:
        roles = {int(v): k for k, v in enumerate(labels)}
    if reduce_zero_label:
        return {v + 1: k for v, k in roles.items()} | {0: IGNORED}
    return roles


def _all_roles(
    num_classes: int, ignore_index: Any, labels: Any, pred_labels: Any, reduce_zero_label: bool
) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Roles of labels in pred, of labels in target, and of channels of scores."""
    ignored_labels = _ignored_labels(ignore_index)
    target_roles = _roles(num_classes, labels, reduce_zero_label)
    counted_roles = target_roles | dict.fromkeys(ignored_labels, IGNORED)
    gone = set(target_roles.values()) - set(counted_roles.values())  # classes without a label left
    channel_roles = _without({k: k for k in range(num_classes)}, gone)
    if pred_labels is None and not reduce_zero_label:
        return counted_roles, counted_roles, channel_roles
    # numbers of pred's own: they win over those that target ignores
    own = _roles(num_classes, labels if pred_labels is None else pred_labels, False)
    named = _roles(num_classes, labels, False)
    void = [*ignored_labels, *(v for v, role in named.items() if role == IGNORED)]
    pred_roles = dict.fromkeys(void, IGNORED) | _without(own, gone)
    return pred_roles, counted_roles, channel_roles


def _without(roles: dict[int, int], gone: set[int]) -> dict[int, int]:
    return {label: IGNORED if role in gone else role for label, role in roles.items()}


def _apply(values: NDArray[Any], roles: dict[int, int]) -> NDArray[np.int64]:
    result = np.full(values.shape, INVALID, np.int64)
    for value in np.unique(values):
        result[values == value] = roles.get(int(value), INVALID)
    return result


def _count(
    truth: NDArray[np.int64],
    guess: NDArray[np.int64],
    num_classes: int,
    out_of_range: str,
    wide: bool,
    weights: NDArray[Any] | None,
) -> NDArray[Any]:
    counted = truth != IGNORED
    if out_of_range == "ignore":
        counted &= (truth != INVALID) & (guess != INVALID)
    elif out_of_range == "raise" and (counted & (guess == INVALID)).any():
        raise ValueError("pred holds labels out of range")
    if (counted & (truth == INVALID)).any():
        raise ValueError("target holds labels out of range")
    if not wide and (counted & (guess < 0)).any():
        raise ValueError("pred holds ignored labels at counted pixels; pass void_column=True")
    matrix = _empty(None, num_classes, wide, weights is not None)
    column = np.where(guess < 0, num_classes, guess)
    np.add.at(
        matrix,
        (truth[counted], column[counted]),
        1 if weights is None else weights[counted].astype(np.float64),
    )
    return matrix


def _empty(images: int | None, num_classes: int, wide: bool, weighted: bool) -> NDArray[Any]:
    shape = (num_classes, num_classes + wide)
    return np.zeros(
        shape if images is None else (images, *shape), np.float64 if weighted else np.int64
    )
