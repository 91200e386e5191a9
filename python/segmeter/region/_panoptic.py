"""Panoptic quality in the variants in use, and parsing covering, from the overlap table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .._counts import require_counts
from ..pixel._counts import (
    Absent,
    FloatArray,
    check_choice,
    class_indices,
    nan_mean,
    ratio,
    resolve,
)
from ._checks import counted, mostly, region_classes, summed, unit_fraction
from ._mergeable import MergeableCounts
from ._pairs import assigned_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._overlap import OverlapTable

IntArray = NDArray[np.int64]

PanopticPreset = Literal["panopticapi", "cityscapes", "torchmetrics", "monai"]
"""Peers whose panoptic quality is reproduced; see :func:`panoptic_counts`."""

# What MONAI adds to every denominator.
_MONAI_SMOOTH = 1e-6


@dataclass(frozen=True, eq=False)
class PanopticCounts(MergeableCounts):
    """What panoptic quality is made of, per class; counts of images add up.

    Attributes
    ----------
    iou_sum : ndarray of float64 ``(C,)``
        Sum of the IoU of the matched pairs.
    tp, fp, fn : ndarray of int64 ``(C,)``
        Matched pairs, predicted regions without a match, target regions without one.
    target_regions : ndarray of int64 ``(C,)``
        Target regions, crowd left out.
    overlap_iou_sum : ndarray of float64 ``(C,)``
        Sum of the IoU of all pairs of the class, matched or not; modified PQ needs it.
    """

    iou_sum: FloatArray
    tp: IntArray
    fp: IntArray
    fn: IntArray
    target_regions: IntArray
    overlap_iou_sum: FloatArray


class PanopticMean(NamedTuple):
    """Means over the classes of a group that are defined, and how many those are."""

    pq: float
    sq: float
    rq: float
    num_classes: int


@dataclass(frozen=True)
class PanopticQuality:
    """Panoptic, segmentation and recognition quality per class, and their means.

    Attributes
    ----------
    pq, sq, rq : ndarray of float64 ``(C,)``
        In [0, 1]; ``pq = sq * rq``.
    all : PanopticMean
        Over all classes.
    things, stuff : PanopticMean or None
        Over the classes named as things and over the others; None if no things were named.
    """

    pq: FloatArray
    sq: FloatArray
    rq: FloatArray
    all: PanopticMean
    things: PanopticMean | None
    stuff: PanopticMean | None


def panoptic_counts(
    table: OverlapTable,
    *,
    num_classes: int,
    crowd: Sequence[int] = (),
    threshold: float = 0.5,
    preset: PanopticPreset | None = None,
) -> PanopticCounts:
    """Match the regions of one image as panoptic quality does, and count per class.

    A predicted and a target region of one class match if their IoU is greater than `threshold`.
    From 0.5 on, no region can then have two matches. Below, the one-to-one assignment with the
    largest sum of IoU decides, and of its pairs those above the threshold match.

    Void, the ignored pixels of the target, leaves every union. An unmatched predicted region is no
    false positive if more than half of it is void or crowd of its class. If the table has void of
    the prediction, too (``pred_ignore_index``), that also leaves every union, and an unmatched
    target region is no false negative if more than half of it lies there.

    Parameters
    ----------
    table : OverlapTable
        Segments with their classes; stuff is one region per class and image.
    num_classes : int
        Classes are 0..num_classes-1.
    crowd : sequence of int
        Ids of target regions that stand for several objects: they match nothing and are not missed.
    threshold : float
        In [0, 1].
    preset : {None, "panopticapi", "cityscapes", "torchmetrics", "monai"}
        ``"panopticapi"`` and ``"cityscapes"``: of several crowd regions of a class only the one
        named last in `crowd` is remembered, as in the official programs. The other two count by the
        rules above; they matter in :func:`panoptic_quality`.

    Returns
    -------
    PanopticCounts

    Raises
    ------
    ValueError
        If a class is out of range, `crowd` names no target region, or an option is unknown.

    Notes
    -----
    Kirillov et al., *Panoptic Segmentation* (CVPR 2019), with void and crowd as in its official
    evaluation. Torchmetrics makes void of unknown categories in both maps: give
    ``pred_ignore_index`` to :func:`overlap_table`. The official program takes the area of a target
    region from the JSON file; to do so, too, ``dataclasses.replace`` the table's ``target_area``.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 6]])
    >>> counts = panoptic_counts(table, num_classes=1)
    >>> counts.tp, counts.fp, counts.fn, counts.iou_sum.round(3)
    (array([1]), array([1]), array([1]), array([0.667]))
    """
    check_choice("preset", preset, (None, *get_args(PanopticPreset)))
    threshold = unit_fraction(threshold, "threshold")
    pred_class, target_class, number = region_classes(table, num_classes)
    crowd_index = _positions(crowd, table.target_id)
    is_crowd = np.zeros(table.num_target, dtype=bool)
    is_crowd[crowd_index] = True

    # Positions, not masks: NumPy selects by them several times as fast.
    candidate = table.same_class
    if len(crowd_index):
        candidate &= ~is_crowd[table.target_index]
    candidates = np.flatnonzero(candidate)
    iou = table.iou
    matched = _matched_entries(table, candidates, iou, threshold)
    unmatched_pred = np.ones(table.num_pred, dtype=bool)
    unmatched_pred[table.pred_index[matched]] = False
    unmatched_target = ~is_crowd
    unmatched_target[table.target_index[matched]] = False

    if preset in ("panopticapi", "cityscapes"):
        last = {int(target_class[index]): index for index in crowd_index}
        is_crowd[:] = False
        is_crowd[list(last.values())] = True
    outside = table.pred_void + _crowd_overlap(table, is_crowd)
    unmatched_pred &= ~mostly(outside, table.pred_area)
    unmatched_target &= ~mostly(table.target_void, table.target_area)

    pair_class = target_class[table.target_index]
    matched_class = pair_class[matched]
    counted_targets = np.ones(table.num_target, dtype=bool)
    counted_targets[crowd_index] = False
    return PanopticCounts(
        iou_sum=summed(iou[matched], matched_class, number),
        tp=counted(matched_class, number),
        fp=counted(pred_class[np.flatnonzero(unmatched_pred)], number),
        fn=counted(target_class[np.flatnonzero(unmatched_target)], number),
        target_regions=counted(target_class[np.flatnonzero(counted_targets)], number),
        overlap_iou_sum=summed(iou[candidates], pair_class[candidates], number),
    )


def panoptic_quality(
    counts: PanopticCounts,
    *,
    things: Sequence[int] | None = None,
    modified: Sequence[int] = (),
    absent: Absent = "nan",
    preset: PanopticPreset | None = None,
) -> PanopticQuality:
    """Panoptic quality ``PQ = iou_sum / (TP + FP/2 + FN/2) = SQ * RQ`` per class, and means.

    Segmentation quality ``SQ = iou_sum / TP`` is the mean IoU of the matched pairs, 0 without one;
    recognition quality ``RQ = TP / (TP + FP/2 + FN/2)`` is the F1 score of the regions.

    Parameters
    ----------
    counts : PanopticCounts
        Of an image, or the sum over a dataset.
    things : sequence of int, optional
        Classes that are things, for separate means; the others are stuff.
    modified : sequence of int
        Classes scored by modified PQ (PQ dagger): ``overlap_iou_sum / target_regions``, without a
        threshold; usually the stuff.
    absent : {"nan", "zero", "one", "raise"}
        Value of a class without any region in either map. NaN stays out of the means.
    preset : {None, "panopticapi", "cityscapes", "torchmetrics", "monai"}
        Absent classes as the peer has them. The first three show 0 but leave them out of the means.
        ``"monai"`` adds 1e-6 to every denominator, so that they are 0 and enter the means; a
        perfect class is 0.999999.

    Returns
    -------
    PanopticQuality

    Raises
    ------
    ValueError
        If `things` or `modified` is out of range or names a class twice, an option is unknown, or
        a class is absent under ``absent="raise"``.

    Notes
    -----
    Kirillov et al. (CVPR 2019); modified PQ: Porzi et al., *Seamless Scene Segmentation*
    (CVPR 2019). SQ of a class with regions but no match is 0, as in the official program, although
    there is nothing whose quality it could be.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 6]])
    >>> quality = panoptic_quality(panoptic_counts(table, num_classes=1))
    >>> quality.pq.round(3), quality.sq.round(3), quality.rq.round(3)
    (array([0.333]), array([0.667]), array([0.5]))
    """
    require_counts(counts, PanopticCounts, "panoptic_counts")
    check_choice("preset", preset, (None, *get_args(PanopticPreset)))
    number = len(counts.tp)
    tp, iou_sum = counts.tp.copy(), counts.iou_sum.copy()
    errors = (counts.fp + counts.fn) / 2
    if len(modified):
        chosen = class_indices(modified, number, "modified")
        tp[chosen] = counts.target_regions[chosen]
        iou_sum[chosen] = counts.overlap_iou_sum[chosen]
        errors[chosen] = 0
    smooth = _MONAI_SMOOTH if preset == "monai" else 0.0
    values = np.array(
        [
            ratio(iou_sum, tp + errors + smooth),
            ratio(iou_sum, tp + smooth),
            ratio(tp, tp + errors + smooth),
        ]
    )
    # No region at all: 0 / 0, unless smoothing defines it.
    undefined = np.broadcast_to((tp + errors == 0) & (smooth == 0), values.shape)
    shown = resolve(values, undefined, "zero" if preset else absent, "panoptic_quality")
    averaged = np.where(undefined, np.nan, values) if preset else shown
    groups = {"all": np.arange(number)}
    if things is not None:
        groups["things"] = class_indices(things, number, "things")
        groups["stuff"] = np.setdiff1d(groups["all"], groups["things"])
    means = {name: _mean(averaged[:, members]) for name, members in groups.items()}
    pq, sq, rq = shown
    return PanopticQuality(pq, sq, rq, means["all"], means.get("things"), means.get("stuff"))


@dataclass(frozen=True, eq=False)
class ParsingCoveringCounts(MergeableCounts):
    """What parsing covering is made of, per class; counts of images add up.

    Attributes
    ----------
    covered_area : ndarray of float64 ``(C,)``
        Sum over target regions of their area times the best IoU any predicted region has with them.
    area : ndarray of int64 ``(C,)``, or float64 if normalised
        Sum of the areas of the target regions.
    """

    covered_area: FloatArray
    area: NDArray[np.int64] | FloatArray


def parsing_covering_counts(
    table: OverlapTable, *, num_classes: int, normalize: bool = False
) -> ParsingCoveringCounts:
    """For every target region the best IoU with a predicted region of its class, by area.

    Parameters
    ----------
    table : OverlapTable
        Segments with their classes. Ignored pixels count nowhere.
    num_classes : int
        Classes are 0..num_classes-1.
    normalize : bool
        Divide areas by the image's pixels (ignored ones included), so that large images do not
        weigh more.

    Returns
    -------
    ParsingCoveringCounts

    Raises
    ------
    ValueError
        If a class is out of range.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 6]])
    >>> counts = parsing_covering_counts(table, num_classes=1)
    >>> counts.covered_area.round(3), counts.area
    (array([2.333]), array([4]))
    """
    _, target_class, number = region_classes(table, num_classes)
    best = np.zeros(table.num_target)
    pairs = table.same_class
    np.maximum.at(best, table.target_index[pairs], table.iou[pairs])
    areas = table.target_counted_area
    area = np.zeros(number, dtype=np.int64)
    np.add.at(area, target_class, areas)
    scale = table.num_pixels if normalize and table.num_pixels else 1
    return ParsingCoveringCounts(
        covered_area=summed(best * areas / scale, target_class, number),
        area=area / scale if normalize else area,
    )


def parsing_covering(counts: ParsingCoveringCounts, *, absent: Absent = "nan") -> FloatArray:
    """Parsing covering per class, ``sum(area * best IoU) / sum(area)``, in [0, 1].

    Parameters
    ----------
    counts : ParsingCoveringCounts
    absent : {"nan", "zero", "one", "raise"}
        Value of a class that no target has. False positives do not lower the score, so a class that
        is only predicted is absent, too.

    Returns
    -------
    ndarray of float64 ``(C,)``
        Its mean over classes without NaN is the published number.

    Raises
    ------
    ValueError
        If an option is unknown, or a class is absent under ``absent="raise"``.

    Notes
    -----
    Yang et al., *DeeperLab* (2019), after the segmentation covering of Arbeláez et al. (2011).

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 6]])
    >>> parsing_covering(parsing_covering_counts(table, num_classes=1)).round(3)
    array([0.583])
    """
    values = ratio(counts.covered_area, counts.area)
    return resolve(values, np.asarray(counts.area == 0), absent, "parsing_covering")


def _matched_entries(
    table: OverlapTable, candidates: NDArray[np.intp], iou: FloatArray, threshold: float
) -> NDArray[np.intp]:
    above = candidates[np.flatnonzero(iou[candidates] > threshold)]
    if threshold >= 0.5:
        return above
    return above[assigned_entries(table, candidates)[above]]


def _crowd_overlap(table: OverlapTable, is_crowd: NDArray[np.bool_]) -> IntArray:
    """Pixels of each predicted region that lie on crowd regions of its own class."""
    overlap = np.zeros(table.num_pred, dtype=np.int64)
    if is_crowd.any():
        pairs = np.flatnonzero(table.same_class & is_crowd[table.target_index])
        np.add.at(overlap, table.pred_index[pairs], table.intersection[pairs])
    return overlap


def _positions(ids: Any, known: NDArray[np.integer]) -> NDArray[np.intp]:
    """Where the ids are among the ascending known ones, in the order given."""
    if isinstance(ids, str) or np.ndim(ids) != 1:
        raise TypeError(f"crowd must be a sequence of ids of target regions, got {ids!r}")
    where = {int(value): index for index, value in enumerate(known)} if len(ids) else {}
    missing = [value for value in ids if int(value) not in where]
    if missing:
        raise ValueError(f"crowd names {missing[0]}, which is not the id of a target region")
    return np.array([where[int(value)] for value in ids], dtype=np.intp)


def _mean(values: FloatArray) -> PanopticMean:
    """Means of (3, classes)."""
    pq, sq, rq = nan_mean(values)
    return PanopticMean(float(pq), float(sq), float(rq), int((~np.isnan(values[0])).sum()))
