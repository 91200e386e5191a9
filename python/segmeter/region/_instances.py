"""Instance scores without confidences: counts at thresholds, aggregated Jaccard, count errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .._counts import require_counts
from ..pixel._counts import Absent, FloatArray, check_choice, ratio, resolve
from ._checks import counted, mostly, region_classes, summed, unit_fractions
from ._matching import Criterion, Matching, match_regions
from ._mergeable import MergeableCounts
from ._pairs import assigned_entries, best_entries, entries_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._overlap import OverlapTable

IntArray = NDArray[np.int64]

InstancePreset = Literal["stardist", "cellpose", "panoptica"]
"""Peers whose instance counts are reproduced; see :func:`instance_counts`."""

JaccardVariant = Literal["aji", "aji_plus", "cellpose"]
"""Which pairs the aggregated Jaccard index sums; see :func:`aggregated_jaccard_counts`."""

OneToOne = Literal["optimal", "greedy"]

# From these scores on, two partners of one region share it half and half.
_UNIQUE_FROM = {"iou": 1 / 2, "dice": 2 / 3}

COCO_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""0.5, 0.55, ..., 0.95."""


@dataclass(frozen=True, eq=False)
class InstanceCounts(MergeableCounts):
    """Matched and unmatched instances at each threshold; counts of images add up.

    Attributes
    ----------
    thresholds : ndarray of float64 ``(T,)``
    tp, fp, fn : ndarray of int64 ``(T,)``, with classes ``(C, T)``
        Matched pairs, predicted regions without a match, target regions without one.
    score_sum : ndarray of float64, same shape
        Sum of the scores of the matched pairs.
    """

    common_fields: ClassVar[tuple[str, ...]] = ("thresholds",)

    thresholds: FloatArray
    tp: IntArray
    fp: IntArray
    fn: IntArray
    score_sum: FloatArray


class InstanceScores(NamedTuple):
    """Scores of :func:`instance_scores`, each an array of the counts' shape, in [0, 1]."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    accuracy: FloatArray
    mean_matched_score: FloatArray
    mean_true_score: FloatArray
    panoptic_quality: FloatArray


def instance_counts(
    table: OverlapTable,
    *,
    thresholds: float | Sequence[float] = COCO_THRESHOLDS,
    criterion: Criterion = "iou",
    method: OneToOne | None = None,
    strict: bool | None = None,
    num_classes: int | None = None,
    preset: InstancePreset | None = None,
) -> InstanceCounts:
    """Match instances one to one at each threshold, and count.

    Parameters
    ----------
    table : OverlapTable
        Of one image.
    thresholds : float or sequence of float
        Scores that a pair must reach, in [0, 1].
    criterion : {"iou", "dice", "ior", "iop"}
        Score of a pair; see :func:`match_regions`.
    method : {"optimal", "greedy"}, optional
        Default ``"optimal"``: as many pairs as possible, then the largest sum of scores. From IoU
        0.5 or Dice 2/3 on, both count the same.
    strict : bool, optional
        Whether the score must exceed the threshold. Default False.
    num_classes : int, optional
        Count per class 0..num_classes-1, and match within classes only. None: classes do not
        matter, and the arrays have no class axis.
    preset : {None, "stardist", "cellpose", "panoptica"}
        Fixes `method` and `strict` as the peer has them: optimal, optimal, greedy; none is strict.
        ``"cellpose"`` also takes one region off the number of a map that has no background pixel,
        as Cellpose does by taking its lowest label for background; `fp` and `fn` can then be -1.

    Returns
    -------
    InstanceCounts

    Raises
    ------
    ValueError
        If an option is unknown or out of range, a class is out of range, or `method` or `strict`
        contradicts a preset.

    Notes
    -----
    An unmatched predicted region with more than half of its pixels on ignored pixels of the target
    is not counted, nor is an unmatched target region with more than half on ignored pixels of the
    prediction. Counting rules: StarDist (Weigert et al., WACV 2020), Cellpose (Stringer et al.,
    Nature Methods 2021), both after the Data Science Bowl 2018. StarDist compares scores in
    float32: a score within 6e-8 of the threshold may fall on the other side of it.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 6]])
    >>> counts = instance_counts(table, thresholds=[0.5, 0.75])
    >>> counts.tp, counts.fp, counts.score_sum.round(3)
    (array([2, 0]), array([0, 2]), array([1.167, 0.   ]))
    """
    check_choice("preset", preset, (None, *get_args(InstancePreset)))
    check_choice("method", method, (None, *get_args(OneToOne)))
    if preset is not None and not (method is None and strict is None):
        raise ValueError(f"preset={preset!r} fixes method and strict; leave them out")
    if preset == "cellpose" and num_classes is not None:
        raise ValueError("preset='cellpose' knows no classes; leave num_classes out")
    method = method or ("greedy" if preset == "panoptica" else "optimal")
    levels = unit_fractions(thresholds, "thresholds")
    pred_class, target_class, number = region_classes(table, num_classes)
    check_criterion(criterion)
    columns = []
    for matching in _matchings(
        table, levels, criterion, method, bool(strict), num_classes is not None
    ):
        false_pred, false_target = unmatched(
            table, matching.unmatched_pred, matching.unmatched_target
        )
        pair_class = target_class[matching.target_index]
        columns.append(
            (
                counted(pair_class, number),
                counted(pred_class[false_pred], number),
                counted(target_class[false_target], number),
                summed(matching.score, pair_class, number),
            )
        )
    tp, fp, fn, score_sum = (np.stack(column, axis=-1) for column in zip(*columns, strict=True))
    if preset == "cellpose":
        tp, fp, fn, score_sum = _like_cellpose(table, tp, fp, fn, score_sum)
    if num_classes is None:
        tp, fp, fn, score_sum = (values[0] for values in (tp, fp, fn, score_sum))
    return InstanceCounts(thresholds=levels, tp=tp, fp=fp, fn=fn, score_sum=score_sum)


def instance_scores(counts: InstanceCounts, *, absent: Absent = "nan") -> InstanceScores:
    """Scores of instances at each threshold.

    Parameters
    ----------
    counts : InstanceCounts
        Of an image, or the sum over a dataset.
    absent : {"nan", "zero", "one", "raise"}
        Value where there is no region in either map. Cellpose has NaN, StarDist 0.

    Returns
    -------
    InstanceScores
        - ``precision`` TP / (TP + FP), ``recall`` TP / (TP + FN), ``f1`` 2 TP / (2 TP + FP + FN);
        - ``accuracy`` TP / (TP + FP + FN), which Cellpose, StarDist and the Data Science Bowl call
          average precision; the mean over thresholds is ``scores.accuracy.mean(axis=-1)``;
        - ``mean_matched_score`` score_sum / TP, ``mean_true_score`` score_sum / (TP + FN);
        - ``panoptic_quality`` score_sum / (TP + FP/2 + FN/2).

        A score whose denominator is 0 while there are regions is 0.

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is nothing to score under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 6, 6]])
    >>> scores = instance_scores(instance_counts(table, thresholds=[0.5, 0.6]))
    >>> scores.accuracy.round(3), scores.f1
    (array([1.   , 0.333]), array([1. , 0.5]))
    """
    require_counts(counts, InstanceCounts, "instance_counts")
    tp, fp, fn, total = counts.tp, counts.fp, counts.fn, counts.score_sum
    undefined = (tp == 0) & (fp == 0) & (fn == 0)
    values = InstanceScores(
        precision=ratio(tp, tp + fp),
        recall=ratio(tp, tp + fn),
        f1=ratio(2 * tp, 2 * tp + fp + fn),
        accuracy=ratio(tp, tp + fp + fn),
        mean_matched_score=ratio(total, tp),
        mean_true_score=ratio(total, tp + fn),
        panoptic_quality=ratio(2 * total, 2 * tp + fp + fn),
    )
    return InstanceScores(*(resolve(v, undefined, absent, "instance_scores") for v in values))


@dataclass(frozen=True, eq=False)
class AggregatedJaccardCounts(MergeableCounts):
    """Aggregated intersections and unions, in pixels; counts of images add up.

    Attributes
    ----------
    intersection, union : ndarray of int64 ``()``
    """

    intersection: IntArray
    union: IntArray


def aggregated_jaccard_counts(
    table: OverlapTable, *, variant: JaccardVariant = "aji"
) -> AggregatedJaccardCounts:
    """Sum intersections and unions over pairs of instances; what has no partner is union.

    Parameters
    ----------
    table : OverlapTable
        Of one image; classes do not matter.
    variant : {"aji", "aji_plus", "cellpose"}
        ``"aji"``: each target region with the predicted region of the highest IoU, which may serve
        several targets. Of equal IoU the larger overlap, then the lower id.
        ``"aji_plus"``: the one-to-one assignment with the largest sum of IoU.
        ``"cellpose"``: the assignment of :func:`instance_counts` at 0.5, all pairs that overlap;
        the union is that of the two foregrounds.

    Returns
    -------
    AggregatedJaccardCounts

    Raises
    ------
    ValueError
        If `variant` is unknown.

    Notes
    -----
    AJI: Kumar et al., *IEEE TMI* 36 (2017). AJI+: Graham et al., HoVer-Net, *Medical Image
    Analysis* 58 (2019). Where several assignments have the same largest sum, AJI+ is not unique.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 1, 0]], [[5, 5, 6, 6, 6]])
    >>> counts = aggregated_jaccard_counts(table)
    >>> int(counts.intersection), int(counts.union)
    (4, 9)
    >>> counts = aggregated_jaccard_counts(table, variant="aji_plus")
    >>> int(counts.intersection), int(counts.union)
    (2, 7)
    """
    check_choice("variant", variant, get_args(JaccardVariant))
    chosen = _jaccard_entries(table, variant)
    areas = int(table.pred_counted_area.sum()) + int(table.target_counted_area.sum())
    if variant == "cellpose":
        union = areas - int(table.intersection.sum())
    else:
        alone = np.ones(table.num_pred, dtype=bool)
        alone[table.pred_index[chosen]] = False
        without = np.ones(table.num_target, dtype=bool)
        without[table.target_index[chosen]] = False
        union = int(
            table.union[chosen].sum()
            + table.pred_counted_area[alone].sum()
            + table.target_counted_area[without].sum()
        )
    return AggregatedJaccardCounts(
        intersection=np.asarray(table.intersection[chosen].sum(), dtype=np.int64),
        union=np.asarray(union, dtype=np.int64),
    )


def aggregated_jaccard_index(
    counts: AggregatedJaccardCounts, *, absent: Absent = "nan"
) -> np.float64:
    """Aggregated Jaccard index, intersections over unions, in [0, 1].

    Parameters
    ----------
    counts : AggregatedJaccardCounts
        Of an image, as published, or summed over several.
    absent : {"nan", "zero", "one", "raise"}
        Value where there is no region in either map.

    Returns
    -------
    float64

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is no region under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 1, 0]], [[5, 5, 6, 6, 6]])
    >>> round(float(aggregated_jaccard_index(aggregated_jaccard_counts(table))), 3)
    0.444
    """
    require_counts(counts, AggregatedJaccardCounts, "aggregated_jaccard_counts")
    value = ratio(counts.intersection, counts.union)
    undefined = np.asarray(counts.union == 0)
    return np.float64(resolve(value, undefined, absent, "aggregated_jaccard_index"))


@dataclass(frozen=True, eq=False)
class CountErrorCounts(MergeableCounts):
    """Differences of the number of regions, per class, summed over images.

    Attributes
    ----------
    images : int
    difference, absolute_difference, squared_difference : ndarray of int64 ``(C,)``
        Sums over images of predicted minus target regions, its absolute value and its square.
    """

    signed_fields: ClassVar[tuple[str, ...]] = ("difference",)

    images: int
    difference: IntArray
    absolute_difference: IntArray
    squared_difference: IntArray


class CountErrors(NamedTuple):
    """Scores of :func:`count_errors`, float64 ``(C,)``."""

    mean_difference: FloatArray
    mean_absolute_difference: FloatArray
    root_mean_square_difference: FloatArray


def count_error_counts(table: OverlapTable, *, num_classes: int = 1) -> CountErrorCounts:
    """How many regions too many, or too few, an image's prediction has.

    Parameters
    ----------
    table : OverlapTable
        Of one image. Regions without a counted pixel are left out.
    num_classes : int
        Classes are 0..num_classes-1.

    Returns
    -------
    CountErrorCounts

    Raises
    ------
    ValueError
        If a class is out of range.

    Examples
    --------
    >>> import segmeter
    >>> counts = count_error_counts(segmeter.overlap_table([[1, 2, 3]], [[5, 5, 0]]))
    >>> counts.difference, counts.images
    (array([2]), 1)
    """
    pred_class, target_class, number = region_classes(table, num_classes)
    difference = counted(pred_class[table.pred_counted_area > 0], number) - counted(
        target_class[table.target_counted_area > 0], number
    )
    return CountErrorCounts(
        images=1,
        difference=difference,
        absolute_difference=np.abs(difference),
        squared_difference=difference**2,
    )


def count_errors(counts: CountErrorCounts) -> CountErrors:
    """Mean, mean absolute and root mean square difference of the number of regions per image.

    Parameters
    ----------
    counts : CountErrorCounts

    Returns
    -------
    CountErrors
        0 is perfect; a positive mean difference says that too many regions are predicted.

    Notes
    -----
    DiC and |DiC| of the leaf counting challenge (Minervini et al., *Pattern Recognition Letters*
    81, 2016).

    Examples
    --------
    >>> import segmeter
    >>> tables = [segmeter.overlap_table([[1, 2]], [[5, 5]]), segmeter.overlap_table([[1]], [[0]])]
    >>> count_errors(sum(count_error_counts(table) for table in tables)).mean_difference
    array([1.])
    """
    require_counts(counts, CountErrorCounts, "count_error_counts")
    return CountErrors(
        counts.difference / counts.images,
        counts.absolute_difference / counts.images,
        np.sqrt(counts.squared_difference / counts.images),
    )


def check_criterion(criterion: Criterion) -> Criterion:
    """Refuse a criterion that overlap tables do not have."""
    check_choice("criterion", criterion, get_args(Criterion))
    return criterion


def unmatched(
    table: OverlapTable, pred: NDArray[np.int64], target: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of regions without a match those that count: not mostly on ignored pixels."""
    return (
        pred[~mostly(table.pred_void[pred], table.pred_area[pred])],
        target[~mostly(table.target_void[target], table.target_area[target])],
    )


def _matchings(
    table: OverlapTable,
    levels: FloatArray,
    criterion: Criterion,
    method: OneToOne,
    strict: bool,
    same_class: bool,
) -> Iterator[Matching]:
    """One matching per level."""

    def matched(level: float, method: OneToOne) -> Matching:
        return match_regions(
            table,
            method=method,
            criterion=criterion,
            threshold=level,
            strict=strict,
            same_class=same_class,
        )

    lowest = float(levels.min())
    if method == "optimal" and lowest < _UNIQUE_FROM.get(criterion, math.inf):
        for level in levels:
            yield matched(float(level), method)
        return
    # By decreasing score, the pairs of a higher level are the first ones of a lower level. And
    # where a region can have two partners only by an exact tie, no assignment is better.
    everything = matched(lowest, "greedy")
    for level in levels:
        passes = everything.score > level if strict else everything.score >= level
        pred, target = everything.pred_index[passes], everything.target_index[passes]
        yield Matching(
            pred_index=pred,
            target_index=target,
            score=everything.score[passes],
            unmatched_pred=_others(pred, table.num_pred),
            unmatched_target=_others(target, table.num_target),
        )


def _others(chosen: IntArray, size: int) -> IntArray:
    """Positions below `size` that are not among the chosen ones."""
    free = np.ones(size, dtype=bool)
    free[chosen] = False
    return np.flatnonzero(free)


def _like_cellpose(
    table: OverlapTable, tp: IntArray, fp: IntArray, fn: IntArray, score_sum: FloatArray
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    pred_taken, target_taken = (
        int(len(area) > 0 and area.sum() == table.num_pixels)
        for area in (table.pred_area, table.target_area)
    )
    if table.num_pred - pred_taken == 0:
        # Cellpose then believes that nothing is predicted and matches nothing.
        fn, fp = fn + tp, fp + tp
        tp, score_sum = np.zeros_like(tp), np.zeros_like(score_sum)
    return tp, fp - pred_taken, fn - target_taken, score_sum


def _jaccard_entries(table: OverlapTable, variant: JaccardVariant) -> NDArray[np.intp]:
    if variant == "aji":
        return best_entries(table.target_index, table.iou, table.intersection)
    if variant == "aji_plus":
        matching = match_regions(
            table, method="optimal", objective="score", threshold=0.0, same_class=False
        )
        return entries_of(table, matching)
    # As many pairs from 0.5 on as possible, then the largest sum over the regions left.
    half = match_regions(table, method="greedy", threshold=0.5, same_class=False)
    free_pred = np.ones(table.num_pred, dtype=bool)
    free_pred[half.pred_index] = False
    free_target = np.ones(table.num_target, dtype=bool)
    free_target[half.target_index] = False
    free = free_pred[table.pred_index] & free_target[table.target_index]
    rest = assigned_entries(table, np.flatnonzero(free))
    return np.concatenate([entries_of(table, half), np.flatnonzero(rest)])
