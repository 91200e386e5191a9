"""Object scores of three challenges: GlaS (F1, object Dice), leaf segmentation, cell tracking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._counts import require_counts
from ..pixel._counts import Absent, FloatArray, ratio, resolve
from ._mergeable import MergeableCounts
from ._pairs import best_entries

if TYPE_CHECKING:
    from ._overlap import OverlapTable

IntArray = NDArray[np.int64]

# What cell tracking challenges charge for a split, a missed and an invented region.
_SPLIT_COST, _MISS_COST, _INVENTION_COST = 5, 10, 1


class ObjectPairs(NamedTuple):
    """For every region the one of the other map it shares most pixels with, -1 for none."""

    target_of_pred: IntArray
    pred_of_target: IntArray


def object_pairs(table: OverlapTable) -> ObjectPairs:
    """Partners by largest overlap, both ways, as positions in the table's regions.

    Of equal overlaps the lowest id. The pairs over which the GlaS challenge averages Dice and
    Hausdorff distance.

    Parameters
    ----------
    table : OverlapTable

    Returns
    -------
    ObjectPairs
        Arrays int64 ``(P,)`` and ``(T,)``.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]])
    >>> object_pairs(table)
    ObjectPairs(target_of_pred=array([ 0, -1]), pred_of_target=array([0, 0]))
    """
    target_of_pred = np.full(table.num_pred, -1, dtype=np.int64)
    best = best_entries(table.pred_index, table.intersection)
    target_of_pred[table.pred_index[best]] = table.target_index[best]
    pred_of_target = np.full(table.num_target, -1, dtype=np.int64)
    best = best_entries(table.target_index, table.intersection)
    pred_of_target[table.target_index[best]] = table.pred_index[best]
    return ObjectPairs(target_of_pred, pred_of_target)


@dataclass(frozen=True, eq=False)
class ObjectCounts(MergeableCounts):
    """Counts of the GlaS scores; those of images add up to those of a test set.

    Attributes
    ----------
    tp, fp, fn : ndarray of int64 ``()``
        Predicted objects that cover enough of their partner, the others, and target objects that
        are the sufficiently covered partner of none.
    pred_area, target_area : ndarray of int64 ``()``
        Pixels of all objects.
    pred_dice, target_dice : ndarray of float64 ``()``
        Sum over objects of area times Dice with the partner.
    """

    tp: IntArray
    fp: IntArray
    fn: IntArray
    pred_area: IntArray
    target_area: IntArray
    pred_dice: FloatArray
    target_dice: FloatArray


def object_counts(table: OverlapTable, *, strict: bool = True) -> ObjectCounts:
    """Count objects and their Dice scores as the GlaS challenge does.

    The partner of an object is the one of the other map it shares most pixels with. A predicted
    object is a true positive if it covers more than half of its partner.

    Parameters
    ----------
    table : OverlapTable
        Of one image; classes do not matter. Objects without a counted pixel are left out.
    strict : bool
        Whether more than half must be covered, as in the official program, or half is enough, as
        the paper says. With False, two predicted halves are two true positives of one object.

    Returns
    -------
    ObjectCounts

    Notes
    -----
    Sirinukunwattana et al., *Gland segmentation in colon histology images: The GlaS challenge
    contest*, *Medical Image Analysis* 35 (2017).

    Examples
    --------
    >>> import segmeter
    >>> counts = object_counts(segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]]))
    >>> int(counts.tp), int(counts.fp), int(counts.fn)
    (1, 1, 1)
    """
    pred_area, target_area = table.pred_counted_area, table.target_counted_area
    of_pred = best_entries(table.pred_index, table.intersection)
    of_target = best_entries(table.target_index, table.intersection)
    covered = 2 * table.intersection[of_pred]
    whole = target_area[table.target_index[of_pred]]
    is_hit = covered > whole if strict else covered >= whole
    hits = int(is_hit.sum())
    found = len(np.unique(table.target_index[of_pred[is_hit]]))
    dice = table.dice
    return ObjectCounts(
        tp=np.asarray(hits, dtype=np.int64),
        fp=np.asarray((pred_area > 0).sum() - hits, dtype=np.int64),
        fn=np.asarray((target_area > 0).sum() - found, dtype=np.int64),
        pred_area=np.asarray(pred_area.sum(), dtype=np.int64),
        target_area=np.asarray(target_area.sum(), dtype=np.int64),
        pred_dice=np.asarray((pred_area[table.pred_index[of_pred]] * dice[of_pred]).sum()),
        target_dice=np.asarray(
            (target_area[table.target_index[of_target]] * dice[of_target]).sum()
        ),
    )


def object_f1(counts: ObjectCounts, *, absent: Absent = "nan") -> np.float64:
    """F1 score of objects, ``2 TP / (2 TP + FP + FN)``, in [0, 1].

    Parameters
    ----------
    counts : ObjectCounts
    absent : {"nan", "zero", "one", "raise"}
        Value without any object; GlaS has 1.

    Returns
    -------
    float64

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is no object under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> float(object_f1(object_counts(segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]]))))
    0.5
    """
    require_counts(counts, ObjectCounts, "object_counts")
    denominator = 2 * counts.tp + counts.fp + counts.fn
    return _scalar(ratio(2 * counts.tp, denominator), denominator == 0, absent, "object_f1")


def object_dice(counts: ObjectCounts, *, absent: Absent = "nan") -> np.float64:
    """Object Dice: mean of Dice over predicted and over target objects, by area; in [0, 1].

    ``(pred_dice / pred_area + target_dice / target_area) / 2``. An object without partner has Dice
    0, and a map without objects contributes 0.

    Parameters
    ----------
    counts : ObjectCounts
        Of one image, or summed: all objects of a test set then are one set, as in the challenge.
    absent : {"nan", "zero", "one", "raise"}
        Value without any object; GlaS has 1.

    Returns
    -------
    float64

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is no object under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> counts = object_counts(segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]]))
    >>> round(float(object_dice(counts)), 3)
    0.65
    """
    require_counts(counts, ObjectCounts, "object_counts")
    value = (
        ratio(counts.pred_dice, counts.pred_area) + ratio(counts.target_dice, counts.target_area)
    ) / 2
    return _scalar(value, counts.pred_area + counts.target_area == 0, absent, "object_dice")


@dataclass(frozen=True, eq=False)
class BestDiceCounts(MergeableCounts):
    """Best Dice scores, both ways; counts of images add up.

    Attributes
    ----------
    pred_regions, target_regions : ndarray of int64 ``()``
    pred_dice, target_dice : ndarray of float64 ``()``
        Sum over the regions of the best Dice with any region of the other map.
    """

    pred_regions: IntArray
    target_regions: IntArray
    pred_dice: FloatArray
    target_dice: FloatArray


def best_dice_counts(table: OverlapTable) -> BestDiceCounts:
    """For every region the best Dice with a region of the other map.

    Parameters
    ----------
    table : OverlapTable
        Of one image; classes do not matter. Regions without a counted pixel are left out.

    Returns
    -------
    BestDiceCounts

    Examples
    --------
    >>> import segmeter
    >>> counts = best_dice_counts(segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]]))
    >>> float(counts.pred_dice), int(counts.pred_regions), float(counts.target_dice)
    (0.8, 2, 1.3)
    """
    dice = table.dice
    return BestDiceCounts(
        pred_regions=np.asarray((table.pred_counted_area > 0).sum(), dtype=np.int64),
        target_regions=np.asarray((table.target_counted_area > 0).sum(), dtype=np.int64),
        pred_dice=np.asarray(dice[best_entries(table.pred_index, dice)].sum()),
        target_dice=np.asarray(dice[best_entries(table.target_index, dice)].sum()),
    )


def symmetric_best_dice(counts: BestDiceCounts, *, absent: Absent = "nan") -> np.float64:
    """Symmetric best Dice (SBD): the lower of the two mean best Dice scores, in [0, 1].

    Parameters
    ----------
    counts : BestDiceCounts
        Of one image, as published (then mean over images), or summed over several.
    absent : {"nan", "zero", "one", "raise"}
        Value without any region. With regions in one map only, the score is 0.

    Returns
    -------
    float64

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is no region under ``absent="raise"``.

    Notes
    -----
    Scharr et al., *Leaf segmentation in plant phenotyping*, *Machine Vision and Applications* 27
    (2016).

    Examples
    --------
    >>> import segmeter
    >>> counts = best_dice_counts(segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]]))
    >>> float(symmetric_best_dice(counts))
    0.4
    """
    require_counts(counts, BestDiceCounts, "best_dice_counts")
    value = np.minimum(
        ratio(counts.pred_dice, counts.pred_regions),
        ratio(counts.target_dice, counts.target_regions),
    )
    undefined = counts.pred_regions + counts.target_regions == 0
    return _scalar(value, undefined, absent, "symmetric_best_dice")


@dataclass(frozen=True, eq=False)
class CellTrackingCounts(MergeableCounts):
    """Counts of SEG and DET; those of the frames of a sequence add up.

    Attributes
    ----------
    target_regions : ndarray of int64 ``()``
    iou_sum : ndarray of float64 ``()``
        Sum over detected target regions of the IoU with the region that detects them.
    splits : ndarray of int64 ``()``
        How often predicted regions must be split until none detects two target regions.
    false_negatives, false_positives : ndarray of int64 ``()``
        Target regions that no region detects, predicted regions that detect none.
    """

    target_regions: IntArray
    iou_sum: FloatArray
    splits: IntArray
    false_negatives: IntArray
    false_positives: IntArray


def cell_tracking_counts(table: OverlapTable) -> CellTrackingCounts:
    """Count detections as the Cell Tracking Challenge does.

    A predicted region detects a target region if it covers more than half of it. It may detect
    several; a target region is detected by one at most.

    Parameters
    ----------
    table : OverlapTable
        Of one frame; classes do not matter. Regions without a counted pixel are left out.

    Returns
    -------
    CellTrackingCounts

    Examples
    --------
    >>> import segmeter
    >>> counts = cell_tracking_counts(segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]]))
    >>> int(counts.splits), int(counts.false_negatives), int(counts.false_positives)
    (1, 0, 1)
    """
    targets = int((table.target_counted_area > 0).sum())
    preds = int((table.pred_counted_area > 0).sum())
    detects = 2 * table.intersection > table.target_counted_area[table.target_index]
    detected = int(detects.sum())
    detecting = len(np.unique(table.pred_index[detects]))
    return CellTrackingCounts(
        target_regions=np.asarray(targets, dtype=np.int64),
        iou_sum=np.asarray(table.iou[detects].sum()),
        splits=np.asarray(detected - detecting, dtype=np.int64),
        false_negatives=np.asarray(targets - detected, dtype=np.int64),
        false_positives=np.asarray(preds - detecting, dtype=np.int64),
    )


def cell_tracking_seg(counts: CellTrackingCounts, *, absent: Absent = "nan") -> np.float64:
    """SEG: mean IoU of the target regions, 0 for those not detected; in [0, 1].

    Parameters
    ----------
    counts : CellTrackingCounts
        Summed over the annotated frames of a sequence. Predicted regions too many do not count.
    absent : {"nan", "zero", "one", "raise"}
        Value without any target region; the challenge's programs have 0.

    Returns
    -------
    float64

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is no target region under ``absent="raise"``.

    Notes
    -----
    Maška et al., *Bioinformatics* 30 (2014).

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]])
    >>> float(cell_tracking_seg(cell_tracking_counts(table)))
    0.5
    """
    require_counts(counts, CellTrackingCounts, "cell_tracking_counts")
    undefined = counts.target_regions == 0
    value = ratio(counts.iou_sum, counts.target_regions)
    return _scalar(value, undefined, absent, "cell_tracking_seg")


def cell_tracking_det(counts: CellTrackingCounts, *, absent: Absent = "nan") -> np.float64:
    """DET: what it costs to correct the detections, compared with making all anew; in [0, 1].

    ``1 - min(D, D0) / D0`` with ``D = 5 splits + 10 false_negatives + 1 false_positives`` and
    ``D0 = 10 target_regions``.

    Parameters
    ----------
    counts : CellTrackingCounts
        Summed over the frames of a sequence.
    absent : {"nan", "zero", "one", "raise"}
        Value without any target region.

    Returns
    -------
    float64

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is no target region under ``absent="raise"``.

    Notes
    -----
    Matula et al., *PLoS ONE* 10 (2015), e0144959.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 0]])
    >>> float(cell_tracking_det(cell_tracking_counts(table)))
    0.7
    """
    require_counts(counts, CellTrackingCounts, "cell_tracking_counts")
    cost = (
        _SPLIT_COST * counts.splits
        + _MISS_COST * counts.false_negatives
        + _INVENTION_COST * counts.false_positives
    )
    anew = _MISS_COST * counts.target_regions
    value = 1 - ratio(np.minimum(cost, anew), anew)
    return _scalar(value, anew == 0, absent, "cell_tracking_det")


def _scalar(value: FloatArray, undefined: object, absent: Absent, what: str) -> np.float64:
    return np.float64(resolve(value, np.asarray(undefined), absent, what))
