"""Bands and outlines in plain NumPy and SciPy: what the native kernels must equal, pixel for pixel.

One class after another, by the published rules as they stand: masks, windows, distance maps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..boundary._band import BoundaryFCounts, BoundaryIouCounts, TrimapCounts
from ..boundary._displacement import DisplacementCounts
from .cause import NO_CLASS, classes_of
from .pixel import _ignored_labels, _is_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


def boundary_iou_counts(
    pred: Any,
    target: Any,
    *,
    num_classes: int | None = None,
    width: float = 0.02,
    width_pixels: int | None = None,
    width_physical: float | None = None,
    spacing: Sequence[float] | None = None,
    border: str = "background",
    groups: Mapping[str, Sequence[int]] | None = None,
    labels: Any = None,
    pred_labels: Any = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    ignore_index: Any = None,
    threads: int = 0,
) -> BoundaryIouCounts:
    """Twin of :func:`segmeter.boundary_iou_counts`; same arguments, same result. Needs SciPy.

    Examples
    --------
    >>> boundary_iou_counts([[0, 1, 1]], [[0, 0, 1]], width_pixels=1).intersection
    array([1])
    """
    del threads  # one thread only: the twin defines the result, not the speed
    if isinstance(target, list) and hasattr(target[0], "shape"):
        options = {
            "num_classes": num_classes, "width": width, "width_pixels": width_pixels,
            "width_physical": width_physical, "spacing": spacing, "border": border,
            "groups": groups, "labels": labels, "pred_labels": pred_labels,
            "reduce_zero_label": reduce_zero_label, "out_of_range": out_of_range,
        }  # fmt: skip
        total: BoundaryIouCounts = _summed(boundary_iou_counts, pred, target, ignore_index, options)
        return total
    guess, truth, ignored, members = _read(
        pred, target, num_classes, groups, labels, pred_labels, reduce_zero_label, out_of_range,
        ignore_index,
    )  # fmt: skip
    steps = [1.0] * truth.ndim if spacing is None else [float(s) for s in spacing]
    shortest = min(steps)
    if width_pixels is not None:
        reach = [width_pixels] * truth.ndim
    else:
        if width_physical is not None:
            limit = width_physical / shortest
        else:
            diagonal = np.linalg.norm(
                [n * s / shortest for n, s in zip(truth.shape, steps, strict=True)]
            )
            limit = max(1, round(width * float(diagonal)))
        reach = [math.floor(limit / (s / shortest) + 1e-9) for s in steps]
    rows = []
    for those in members:
        in_pred, in_target = (
            band(np.isin(labels, those), ignored, reach, border) for labels in (guess, truth)
        )
        rows.append([(in_pred & in_target).sum(), in_pred.sum(), in_target.sum()])
    return BoundaryIouCounts(*np.array(rows, np.int64).reshape(-1, 3).T)


def band(mask: Mask, ignored: Mask, reach: Sequence[int], border: str) -> Mask:
    """Pixels of a mask with something else in their window; ignored pixels are unknown.

    Examples
    --------
    >>> mask = np.array([[True, True, True, False]])
    >>> band(mask, np.zeros_like(mask), (0, 1), "ignore")
    array([[False, False,  True, False]])
    """
    return mask & ~ignored & sees(~mask & ~ignored, reach, border == "background")


def sees(mask: Mask, reach: Sequence[int], beyond: bool) -> Mask:
    """Pixels with one of a mask in their window; `beyond`: whether all is of it outside the image.

    Examples
    --------
    >>> sees(np.array([[True, False, False]]), (0, 1), False)
    array([[ True,  True, False]])
    """
    from scipy import ndimage

    if mask.size == 0:
        return mask
    size = [2 * r + 1 for r in reach]
    seen = ndimage.maximum_filter(mask.astype(np.uint8), size, mode="constant", cval=int(beyond))
    return np.asarray(seen > 0)


def trimap_counts(
    pred: Any,
    target: Any,
    *,
    num_classes: int | None = None,
    widths: Any = (1, 2, 4, 8, 16),
    labels: Any = None,
    pred_labels: Any = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    ignore_index: Any = None,
    threads: int = 0,
) -> TrimapCounts:
    """Twin of :func:`segmeter.trimap_counts`; same arguments, same result. Needs SciPy.

    Examples
    --------
    >>> trimap_counts([[0, 1, 1]], [[0, 0, 1]], widths=1).matrix.tolist()
    [[[0, 1, 0], [0, 1, 0]]]
    """
    del threads
    guess, truth, ignored, _ = _read(
        pred, target, num_classes, None, labels, pred_labels, reduce_zero_label, out_of_range,
        ignore_index,
    )  # fmt: skip
    classes = 2 if num_classes is None else num_classes
    matrices = np.zeros((np.size(widths), classes, classes + 1), np.int64)
    for matrix, width in zip(matrices, np.atleast_1d(widths), strict=True):
        for k in range(classes):
            reach = [int(width)] * truth.ndim
            near = band(truth == k, ignored, reach, "ignore")
            columns = np.where(guess[near] == NO_CLASS, classes, guess[near])
            matrix[k] = np.bincount(columns, minlength=classes + 1)
    return TrimapCounts(np.atleast_1d(widths).astype(np.int64), matrices)


def boundary_f_counts(
    pred: Any,
    target: Any,
    *,
    num_classes: int | None = None,
    preset: str = "davis",
    tolerance: float | None = None,
    tolerance_physical: float | None = None,
    spacing: Sequence[float] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    labels: Any = None,
    pred_labels: Any = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    ignore_index: Any = None,
    threads: int = 0,
) -> BoundaryFCounts:
    """Twin of :func:`segmeter.boundary_f_counts`; same arguments, same result. Needs SciPy.

    Examples
    --------
    >>> boundary_f_counts([[0, 1, 1, 1]], [[0, 0, 0, 1]], tolerance=1).pred_near
    array([0])
    """
    del threads
    guess, truth, ignored, members = _read(
        pred, target, num_classes, groups, labels, pred_labels, reduce_zero_label, out_of_range,
        ignore_index,
    )  # fmt: skip
    steps = [1.0] * truth.ndim if spacing is None else [float(s) for s in spacing]
    default = {"davis": 0.008, "bf": 0.0075}[preset]
    limit = tolerance_physical or tolerance or default
    if tolerance_physical is None and limit < 1:
        limit *= float(np.linalg.norm([n * s for n, s in zip(truth.shape, steps, strict=True)]))
        if preset == "davis":
            limit = math.ceil(limit / min(steps)) * min(steps)
    rows = []
    for those in members:
        outlines = [_outline(np.isin(labels, those), ignored, preset) for labels in (guess, truth)]
        near = [_near(outline, steps, limit, preset == "bf") for outline in outlines]
        hits = [outlines[0] & near[1], outlines[1] & near[0]]
        rows.append([pixels.sum() for pixels in (*outlines, *hits)])
    return BoundaryFCounts(*np.array(rows, np.int64).reshape(-1, 4).T)


def _outline(mask: Mask, ignored: Mask, preset: str) -> Mask:
    """Pixels of the outline by the rule of the preset."""
    outline = np.zeros_like(mask)
    if preset == "davis":
        mask = mask & ~ignored
        for offset in np.ndindex((2,) * mask.ndim):
            outline |= mask != _shifted(mask, offset)
        return outline
    for axis in range(mask.ndim):
        for step in (-1, 1):
            offset = tuple(step * (axis == other) for other in range(mask.ndim))
            outline |= ~_shifted(mask, offset) & ~_shifted(ignored, offset)
    return outline & mask & ~ignored


def _shifted(mask: Mask, offset: Sequence[int]) -> Mask:
    """Each pixel's neighbour; beyond the image what is at its edge goes on."""
    for axis, step in enumerate(offset):
        place = np.clip(np.arange(mask.shape[axis]) + step, 0, max(mask.shape[axis] - 1, 0))
        mask = mask.take(place, axis=axis)
    return mask


def _near(outline: Mask, spacing: Sequence[float], limit: float, strict: bool) -> Mask:
    from .boundary_surfaces import distances_to

    distance = distances_to(outline, spacing)
    return np.asarray(distance < limit if strict else distance <= limit)


def displacement_counts(
    pred: Any, target: Any, *, bands: Sequence[float] = (1.0, 2.0, 5.0, 10.0), **options: Any
) -> DisplacementCounts:
    """Twin of :func:`segmeter.displacement_counts` for two maps. Needs SciPy.

    Examples
    --------
    >>> one, two = np.array([[0, 1, 0, 0]]), np.array([[0, 1, 1, 0]])
    >>> displacement_counts(one, two, bands=[0.5], surface="voxel_face").weight.tolist()
    [[[1.0, 0.0], [1.0, 1.0]]]
    """
    from .boundary_surfaces import surface_distances

    found = surface_distances(pred, target, **options)
    low = [-1.0, *bands]
    high = [*bands, math.inf]
    cells = np.zeros((2, len(found), 2, len(high)))
    for k, both in enumerate(found.values()):
        sides = (
            (both.pred_to_target, both.pred_weight),
            (both.target_to_pred, both.target_weight),
        )
        for side, (distance, weight) in enumerate(sides):
            for b, (over, up_to) in enumerate(zip(low, high, strict=True)):
                inside = (distance > over) & (distance <= up_to)
                cells[:, k, side, b] = (
                    weight[inside].sum(), (weight * distance)[inside].sum(),
                )  # fmt: skip
    return DisplacementCounts(np.array(high), *cells)


def _read(
    pred: Any,
    target: Any,
    num_classes: int | None,
    groups: Mapping[str, Sequence[int]] | None,
    labels: Any,
    pred_labels: Any,
    reduce_zero_label: bool,
    out_of_range: str,
    ignore_index: Any,
) -> tuple[NDArray[Any], NDArray[Any], Mask, list[list[int]]]:
    """Class of every pixel in both maps, the ignored pixels, and the classes of each result."""
    pred, target = np.asarray(pred), np.asarray(target)
    if num_classes is None:
        is_mask = _is_mask(ignore_index)
        ignored = ignore_index if is_mask else np.isin(target, _ignored_labels(ignore_index))
        return (pred != 0).astype(int), (target != 0).astype(int), np.asarray(ignored), [[1]]
    guess, truth = classes_of(
        pred, target, num_classes, ignore_index, labels, pred_labels, reduce_zero_label,
        out_of_range,
    )  # fmt: skip
    members = [[k] for k in range(num_classes)]
    if groups is not None:
        members = [list(those) for those in groups.values()]
    return guess, truth, truth == NO_CLASS, members


def _summed(measure: Any, preds: Any, targets: Any, masks: Any, options: Any) -> Any:
    by_image = isinstance(masks, list) and len(masks) > 0 and _is_mask(masks[0])
    parts = [
        measure(pred, target, ignore_index=masks[i] if by_image else masks, **options)
        for i, (pred, target) in enumerate(zip(preds, targets, strict=True))
    ]
    return sum(parts[1:], start=parts[0])
