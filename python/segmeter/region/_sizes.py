"""Scores by size of the regions, and the IoU of every target region (for mIoU^K)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .._counts import require_counts
from ..pixel._counts import Absent, FloatArray, check_choice, nan_mean, ratio, resolve
from ._checks import counted, positive_number, region_classes, summed, unit_fraction
from ._instances import OneToOne, check_criterion, unmatched
from ._matching import Criterion, match_regions
from ._mergeable import MergeableCounts

if TYPE_CHECKING:
    from ._overlap import OverlapTable

IntArray = NDArray[np.int64]

SizeBins = Mapping[str, tuple[float, float]]

COCO_SIZES: SizeBins = MappingProxyType(
    {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, math.inf)}
)
"""Area in pixels that COCO calls small, medium and large."""


@dataclass(frozen=True, eq=False)
class SizeCounts(MergeableCounts):
    """Matched regions by size; counts of images add up.

    Attributes
    ----------
    names : tuple of str
        Of the B bins.
    bounds : ndarray of float64 ``(B, 2)``
        From (inclusive) and to (exclusive) which area each bin goes.
    targets, matched_targets : ndarray of int64 ``(B,)``
        Target regions of the size, and those of them that are matched.
    preds, matched_preds : ndarray of int64 ``(B,)``
        The same for predicted regions, by their own size.
    """

    common_fields: ClassVar[tuple[str, ...]] = ("names", "bounds")

    names: tuple[str, ...]
    bounds: FloatArray
    targets: IntArray
    matched_targets: IntArray
    preds: IntArray
    matched_preds: IntArray


class SizeScores(NamedTuple):
    """Recall and precision per bin of size, float64 ``(B,)``."""

    recall: FloatArray
    precision: FloatArray


def size_counts(
    table: OverlapTable,
    *,
    bins: SizeBins = COCO_SIZES,
    pixel_size: float = 1.0,
    threshold: float = 0.5,
    criterion: Criterion = "iou",
    method: OneToOne = "optimal",
    strict: bool = False,
    same_class: bool = True,
) -> SizeCounts:
    """Match regions one to one and count them by size.

    Parameters
    ----------
    table : OverlapTable
        Of one image.
    bins : mapping of str to (float, float)
        Named ranges of area, the lower end included, the upper not. They may overlap or leave
        gaps; a region counts in every bin it falls in.
    pixel_size : float
        Area or volume of a pixel (the product of the spacing), if `bins` are in such units.
    threshold, criterion, method, strict
        As in :func:`instance_counts`.
    same_class : bool
        Whether only regions of one class may match.

    Returns
    -------
    SizeCounts

    Raises
    ------
    ValueError
        If there is no bin, a bin is no range, or an option is unknown or out of range.

    Notes
    -----
    A region's size is its whole area, ignored pixels included. Regions without a match that are
    mostly ignored are left out, as in :func:`instance_counts`. COCO's own evaluation counts a
    region of exactly 1024 or 9216 pixels in both of its ranges.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 5, 0]])
    >>> counts = size_counts(table, bins={"dot": (0, 2), "blob": (2, 100)})
    >>> counts.targets, counts.matched_targets, counts.preds
    (array([0, 1]), array([0, 1]), array([1, 1]))
    """
    bounds = _bounds(bins)
    unit = positive_number(pixel_size, "pixel_size")
    check_choice("method", method, get_args(OneToOne))
    matching = match_regions(
        table,
        method=method,
        criterion=check_criterion(criterion),
        threshold=unit_fraction(threshold, "threshold"),
        strict=strict,
        same_class=same_class,
    )
    pred, target = unmatched(table, matching.unmatched_pred, matching.unmatched_target)
    matched_preds = _histogram(table.pred_area[matching.pred_index] * unit, bounds)
    matched_targets = _histogram(table.target_area[matching.target_index] * unit, bounds)
    return SizeCounts(
        names=tuple(bins),
        bounds=bounds,
        targets=matched_targets + _histogram(table.target_area[target] * unit, bounds),
        matched_targets=matched_targets,
        preds=matched_preds + _histogram(table.pred_area[pred] * unit, bounds),
        matched_preds=matched_preds,
    )


def size_scores(counts: SizeCounts, *, absent: Absent = "nan") -> SizeScores:
    """Recall (by size of the target) and precision (by size of the prediction) per bin, in [0, 1].

    Parameters
    ----------
    counts : SizeCounts
    absent : {"nan", "zero", "one", "raise"}
        Value of a bin without such regions.

    Returns
    -------
    SizeScores

    Raises
    ------
    ValueError
        If `absent` is unknown, or a bin has no region under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 5, 0]])
    >>> size_scores(size_counts(table, bins={"dot": (0, 2), "blob": (2, 100)}))
    SizeScores(recall=array([nan,  1.]), precision=array([0., 1.]))
    """
    require_counts(counts, SizeCounts, "size_counts")
    return SizeScores(
        *(
            resolve(ratio(part, whole), whole == 0, absent, "size_scores")
            for part, whole in (
                (counts.matched_targets, counts.targets),
                (counts.matched_preds, counts.preds),
            )
        )
    )


@dataclass(frozen=True, eq=False)
class ComponentIouCounts(MergeableCounts):
    """IoU of single target regions, summed per class; counts of images add up.

    Attributes
    ----------
    iou_sum : ndarray of float64 ``(C,)``
    regions : ndarray of int64 ``(C,)``
        Target regions with a counted pixel.
    """

    iou_sum: FloatArray
    regions: IntArray


def component_iou_counts(table: OverlapTable, *, num_classes: int) -> ComponentIouCounts:
    """IoU of every target region with the pixels predicted as its class.

    A region's false positives are its share, by area, of the pixels of the image that are predicted
    as the class but are not: ``IoU = TP / (area + share * FP)``.

    Parameters
    ----------
    table : OverlapTable
        Of one image. On the target's side instances or components; on the prediction's side any
        regions whose union is the prediction of their class: instances, components, or simply the
        classes of the predicted label map as ids.
    num_classes : int
        Classes are 0..num_classes-1.

    Returns
    -------
    ComponentIouCounts

    Raises
    ------
    ValueError
        If a class is out of range.

    Notes
    -----
    The instance-level IoU of Wang et al. (NeurIPS 2023), of which mIoU^K is the mean.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 0, 0, 1]], [[5, 5, 6, 6, 0]])
    >>> component_iou_counts(table, num_classes=1).iou_sum
    array([0.8])
    """
    pred_class, target_class, number = region_classes(table, num_classes)
    pairs = table.same_class
    hits = np.zeros(table.num_target, dtype=np.int64)
    np.add.at(hits, table.target_index[pairs], table.intersection[pairs])
    area = table.target_counted_area
    invented, class_area = np.zeros((2, number), dtype=np.int64)
    np.add.at(invented, pred_class, table.pred_counted_area)
    np.subtract.at(invented, target_class, hits)
    np.add.at(class_area, target_class, area)
    share = ratio(area * invented[target_class].astype(np.float64), class_area[target_class])
    present = area > 0
    return ComponentIouCounts(
        iou_sum=summed(ratio(hits, area + share)[present], target_class[present], number),
        regions=counted(target_class[present], number),
    )


def component_iou(counts: ComponentIouCounts, *, absent: Absent = "nan") -> FloatArray:
    """Mean IoU of the target regions of each class, in [0, 1].

    Parameters
    ----------
    counts : ComponentIouCounts
    absent : {"nan", "zero", "one", "raise"}
        Value of a class that no target has.

    Returns
    -------
    ndarray of float64 ``(C,)``
        :func:`mean_component_iou` is its mean.

    Raises
    ------
    ValueError
        If `absent` is unknown, or a class is absent under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 0, 0, 1]], [[5, 5, 6, 6, 0]])
    >>> component_iou(component_iou_counts(table, num_classes=1))
    array([0.4])
    """
    require_counts(counts, ComponentIouCounts, "component_iou_counts")
    values = ratio(counts.iou_sum, counts.regions)
    return resolve(values, counts.regions == 0, absent, "component_iou")


def mean_component_iou(counts: ComponentIouCounts, *, absent: Absent = "nan") -> np.float64:
    """mIoU^K: mean over classes of :func:`component_iou`, in [0, 1]; parameters as there.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 0, 0, 1]], [[5, 5, 6, 6, 0]])
    >>> float(mean_component_iou(component_iou_counts(table, num_classes=3)))
    0.4
    """
    return np.float64(nan_mean(component_iou(counts, absent=absent)))


def _bounds(bins: Any) -> FloatArray:
    if not isinstance(bins, Mapping) or not bins:
        raise ValueError(f"bins must map at least one name to a range of area, got {bins!r}")
    for name, pair in bins.items():
        if np.shape(pair) != (2,) or not 0 <= pair[0] < pair[1]:
            raise ValueError(
                f"bins[{name!r}] must be two areas (from, to) with 0 <= from < to, got {pair!r}"
            )
    return np.array(list(bins.values()), dtype=np.float64)


def _histogram(areas: NDArray[Any], bounds: FloatArray) -> IntArray:
    inside = (areas >= bounds[:, :1]) & (areas < bounds[:, 1:])
    return np.asarray(inside.sum(axis=1, dtype=np.int64))
