"""The cause family in plain NumPy and SciPy: what the native kernels must equal, pixel for pixel.

One class after another, by the published rules as they stand: masks, dilations, labelled pieces.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cause._counts import Cause, CauseCounts, CauseKind
from ..cause._facts import RegionFact, RegionFacts
from .pixel import IGNORED, INVALID, _all_roles, _apply, _is_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

NO_CLASS = -1
"""Class of a pixel that has none: ignored in target, void in pred."""


def error_causes(
    pred: Any,
    target: Any,
    *,
    num_classes: int,
    width: float = 0.01,
    width_pixels: int | None = None,
    width_physical: float | None = None,
    spacing: Sequence[float] | None = None,
    distance: str = "exact",
    ignore_index: Any = None,
    labels: Any = None,
    pred_labels: Any = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    return_map: bool = False,
    map_class: int | None = None,
    threads: int = 0,
) -> Any:
    """Twin of :func:`segmeter.error_causes`; same arguments, same result. Needs SciPy.

    Examples
    --------
    >>> counts = error_causes([[0, 1, 1]], [[0, 0, 1]], num_classes=2, width_pixels=1)
    >>> counts.fp_boundary, counts.fn_boundary
    (array([0, 1]), array([1, 0]))
    """
    del threads  # one thread only: the twin defines the result, not the speed
    if isinstance(target, list | tuple) and len(target) and hasattr(target[0], "shape"):
        masks = list(ignore_index) if _is_mask(ignore_index) else [ignore_index] * len(target)
        results = [
            error_causes(
                p, t, num_classes=num_classes, width=width, width_pixels=width_pixels,
                width_physical=width_physical, spacing=spacing, distance=distance, ignore_index=m,
                labels=labels, pred_labels=pred_labels, reduce_zero_label=reduce_zero_label,
                out_of_range=out_of_range, return_map=True, map_class=map_class,
            )
            for p, t, m in zip(pred, target, masks, strict=True)
        ]  # fmt: skip
        counts = sum((c for c, _ in results[1:]), start=results[0][0])
        return (counts, [m for _, m in results]) if return_map else counts

    pred, target = np.asarray(pred), np.asarray(target)
    guess, truth = classes_of(
        pred, target, num_classes, ignore_index, labels, pred_labels, reduce_zero_label,
        out_of_range,
    )  # fmt: skip
    steps, reach = near_distance(target.shape, width, width_pixels, width_physical, spacing)
    sides = np.zeros((2, *target.shape), np.uint8)
    counts = np.zeros((len(CauseKind), num_classes), np.int64)
    chosen = np.zeros(target.shape, np.uint8)
    for k in range(num_classes):
        kinds = causes_of_class(guess == k, truth == k, truth == NO_CLASS, steps, reach, distance)
        counts[:, k] = np.bincount(kinds.ravel(), minlength=len(CauseKind))
        for cause in ("BOUNDARY", "EXTENT", "SEGMENT"):
            sides[0][kinds == CauseKind[f"FP_{cause}"]] = Cause[cause]
            sides[1][kinds == CauseKind[f"FN_{cause}"]] = Cause[cause]
        if k == map_class:
            chosen = kinds
    sides[:, truth == NO_CLASS] = Cause.IGNORED
    result = CauseCounts(*counts)
    if not return_map:
        return result
    return result, (sides if map_class is None else chosen)


def region_facts(
    pred: Any,
    target: Any,
    *,
    num_classes: int,
    threshold: float = 0.5,
    ignore_index: Any = None,
    labels: Any = None,
    pred_labels: Any = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    threads: int = 0,
) -> RegionFacts:
    """Twin of :func:`segmeter.region_facts` for one image; same arguments, same result.

    Examples
    --------
    >>> region_facts([[0, 1, 0, 0, 1]], [[0, 1, 0, 0, 0]], num_classes=2).invented
    array([0, 1])
    """
    del threads
    guess, truth = classes_of(
        np.asarray(pred), np.asarray(target), num_classes, ignore_index, labels, pred_labels,
        reduce_zero_label, out_of_range,
    )  # fmt: skip
    counted = truth != NO_CLASS
    preds = [(k, piece & counted) for k, piece in _pieces(guess, num_classes)]
    targets = _pieces(truth, num_classes)
    facts = {
        name: np.zeros((num_classes, len(RegionFact)), np.int64)
        for name in ("target_regions", "pred_regions", "false_negatives", "false_positives")
    }
    for regions, others, own_map, names, several, shared in (
        (targets, preds, guess, ("target_regions", "false_negatives"), "SPLIT", "MERGE"),
        (preds, targets, truth, ("pred_regions", "false_positives"), "MERGE", "SPLIT"),
    ):
        for k, region in regions:
            if not region.any():
                continue
            links = _links(k, region, others, threshold)
            coincides = any(
                j != k and (region & other).sum() > threshold * max(region.sum(), other.sum())
                for j, other in others
            )
            if not links:
                fact = RegionFact.WRONG_CLASS if coincides else RegionFact.LOST
            elif len(links) > 1:
                fact = RegionFact[several]
            elif len(_links(k, links[0], regions, threshold)) > 1:
                fact = RegionFact[shared]
            else:
                fact = RegionFact.SHAPE
            facts[names[0]][k, fact] += 1
            facts[names[1]][k, fact] += (region & (own_map != k)).sum()
    return RegionFacts(**facts)


def _pieces(classes: NDArray[np.int64], num_classes: int) -> list[tuple[int, Mask]]:
    from scipy import ndimage

    pieces = []
    for k in range(num_classes):
        named, n = ndimage.label(classes == k, np.ones((3,) * classes.ndim))
        pieces += [(k, named == i) for i in range(1, n + 1)]
    return pieces


def _links(k: int, region: Mask, others: list[tuple[int, Mask]], threshold: float) -> list[Mask]:
    return [
        other
        for j, other in others
        if j == k and (region & other).sum() > threshold * min(region.sum(), other.sum())
    ]


def causes_of_class(
    guess: Mask,
    truth: Mask,
    ignored: Mask,
    steps: tuple[float, ...],
    reach: int,
    distance: str,
) -> NDArray[np.uint8]:
    """:class:`segmeter.CauseKind` of each pixel for the class with these two masks.

    Examples
    --------
    >>> guess, truth = np.array([[[1, 1, 0, 0]], [[1, 0, 0, 1]]], bool)
    >>> causes_of_class(guess, truth, np.zeros((1, 4), bool), (1.0, 1.0), 1, "exact")
    array([[0, 2, 1, 7]], dtype=uint8)
    """
    from scipy import ndimage

    touching = np.ones((3,) * guess.ndim, bool)
    hits, others = guess & truth, ~guess & ~truth
    kinds = np.full(guess.shape, CauseKind.TN, np.uint8)
    kinds[hits] = CauseKind.TP
    near_both = dilate(hits, steps, reach, distance) & dilate(others, steps, reach, distance)
    touched = [ndimage.binary_dilation(mask, touching) for mask in (hits, others)]
    for side, mask, wrong in (("FP", guess, guess & ~truth), ("FN", truth, truth & ~guess)):
        # Whole segments first, what is boundary over them.
        segments, n = ndimage.label(mask, touching)
        is_hit = np.zeros(n + 1, bool)
        is_hit[np.unique(segments[hits])] = True
        kinds[wrong] = np.where(
            is_hit[segments[wrong]], CauseKind[f"{side}_EXTENT"], CauseKind[f"{side}_SEGMENT"]
        )
        grown = dilate(wrong & near_both, steps, reach, distance) & wrong
        pieces, n = ndimage.label(grown, touching)
        is_boundary = np.ones(n + 1, bool)
        for touch in touched:
            is_boundary &= np.isin(np.arange(n + 1), pieces[touch])
        kinds[grown & is_boundary[pieces]] = CauseKind[f"{side}_BOUNDARY"]
    kinds[ignored] = CauseKind.IGNORED
    return kinds


def dilate(mask: Mask, steps: tuple[float, ...], reach: int, distance: str) -> Mask:
    """Pixels of the mask and those near it: rounded distance at most `reach`.

    Examples
    --------
    >>> mask = np.zeros((3, 3), bool)
    >>> mask[0, 0] = True
    >>> dilate(mask, (1.0, 1.0), 2, "exact").astype(int)
    array([[1, 1, 1],
           [1, 1, 1],
           [1, 1, 0]])
    """
    from scipy import ndimage

    if not mask.any():
        return mask
    if distance == "exact":
        return np.asarray(
            np.rint(ndimage.distance_transform_edt(~mask, sampling=steps)) <= reach, bool
        )
    size = [1 + 2 * int(np.sum(np.rint(np.arange(1, reach + 2) * step) <= reach)) for step in steps]
    return np.asarray(ndimage.maximum_filter(mask, size=size, mode="constant"), bool)


def near_distance(
    shape: tuple[int, ...],
    width: float,
    width_pixels: int | None,
    width_physical: float | None,
    spacing: Sequence[float] | None,
) -> tuple[tuple[float, ...], int]:
    """Distance of neighbours along each axis, and the width, in units of the smallest spacing.

    Examples
    --------
    >>> near_distance((300, 400), 0.01, None, None, None)
    ((1.0, 1.0), 5)
    """
    spacing = [1.0] * len(shape) if spacing is None else list(spacing)
    unit = min(spacing)
    steps = tuple(step / unit for step in spacing)
    if width_pixels is not None:
        return steps, width_pixels
    if width_physical is not None:
        return steps, round(width_physical / unit)
    return steps, round(
        width * math.sqrt(sum((n * s) ** 2 for n, s in zip(shape, steps, strict=True)))
    )


def classes_of(
    pred: NDArray[Any],
    target: NDArray[Any],
    num_classes: int,
    ignore_index: Any,
    labels: Any,
    pred_labels: Any,
    reduce_zero_label: bool,
    out_of_range: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class of each pixel in both maps, or NO_CLASS.

    Examples
    --------
    >>> classes_of(np.array([0, 1]), np.array([0, 9]), 2, 9, None, None, False, "raise")
    (array([0, 1]), array([ 0, -1]))
    """
    pred_roles, target_roles, _ = _all_roles(
        num_classes, ignore_index, labels, pred_labels, reduce_zero_label
    )
    guess, truth = _apply(pred, pred_roles), _apply(target, target_roles)
    if _is_mask(ignore_index):
        truth[np.asarray(ignore_index)] = IGNORED
    counted = truth != IGNORED
    if out_of_range != "ignore" and (counted & (truth == INVALID)).any():
        raise ValueError("target holds labels out of range")
    if out_of_range == "raise" and (counted & (guess == INVALID)).any():
        raise ValueError("pred holds labels out of range")
    left_out = ~counted | (truth == INVALID)
    if out_of_range == "ignore":
        left_out |= guess == INVALID
    return np.where(guess < 0, NO_CLASS, guess), np.where(left_out, NO_CLASS, truth)
