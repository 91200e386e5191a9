"""The maps as partitions of the pixels: adapted Rand error, split and merge information."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .._counts import require_counts
from ..pixel._counts import Absent, check_choice, resolve
from ._checks import unit_fraction
from ._mergeable import MergeableCounts

if TYPE_CHECKING:
    from ._overlap import OverlapTable

IntArray = NDArray[np.int64]

PartitionPreset = Literal["skimage", "snemi3d"]
"""Conventions of :func:`partition_counts` and :func:`adapted_rand`."""

TargetBackground = Literal["segment", "ignore"]
PredBackground = Literal["segment", "singletons", "ignore"]

# From this many pixels on, a sum of squares may pass int64.
_INT64_SAFE_PIXELS = 2**31


@dataclass(frozen=True, eq=False)
class PartitionCounts(MergeableCounts):
    """Sums over the segments of two partitions; those of images add up.

    Attributes
    ----------
    pixels : int
        Counted pixels.
    joint_squares, pred_squares, target_squares : int
        Sums of the squared sizes of the overlaps, predicted segments and target segments: ordered
        pairs of pixels, a pixel with itself included, that are together in both maps, in the
        prediction, in the target. Exact at any size.
    split_sum, merge_sum : float
        Pixels times conditional entropy in nats: of the prediction given the target, and of the
        target given the prediction.
    """

    pixels: int
    joint_squares: int
    pred_squares: int
    target_squares: int
    split_sum: float
    merge_sum: float


class AdaptedRand(NamedTuple):
    """Adapted Rand error, and the precision and recall of pairs of pixels it is made of."""

    error: float
    precision: float
    recall: float


class SplitMergeInformation(NamedTuple):
    """Variation of information and its two parts."""

    split: float
    merge: float
    total: float


def partition_counts(
    table: OverlapTable,
    *,
    target_background: TargetBackground = "segment",
    pred_background: PredBackground = "segment",
    preset: PartitionPreset | None = None,
) -> PartitionCounts:
    """Sums from which adapted Rand error and variation of information follow.

    Parameters
    ----------
    table : OverlapTable
        Of one image. Ignored pixels (of either map) leave all sums. Classes do not matter.
    target_background : {"segment", "ignore"}
        What the target's background pixels are: one more segment, or left out.
    pred_background : {"segment", "singletons", "ignore"}
        What the prediction's background pixels are: one more segment, each one a segment of its
        own, or left out.
    preset : {None, "skimage", "snemi3d"}
        ``"skimage"``: the target's background is left out, the prediction's is a segment, as in
        scikit-image's adapted Rand error (its variation of information keeps both, as our default
        does). ``"snemi3d"``: the target's background is left out, the prediction's are singletons.

    Returns
    -------
    PartitionCounts

    Raises
    ------
    ValueError
        If an option is unknown, or contradicts a preset.

    Examples
    --------
    >>> import segmeter
    >>> counts = partition_counts(segmeter.overlap_table([1, 1, 2, 2], [5, 5, 5, 0]))
    >>> counts.joint_squares, counts.pred_squares, counts.target_squares
    (6, 8, 10)
    """
    check_choice("preset", preset, (None, *get_args(PartitionPreset)))
    check_choice("target_background", target_background, get_args(TargetBackground))
    check_choice("pred_background", pred_background, get_args(PredBackground))
    if preset is not None:
        if (target_background, pred_background) != ("segment", "segment"):
            raise ValueError(f"preset={preset!r} fixes what background is; leave those options out")
        target_background = "ignore"
        pred_background = "segment" if preset == "skimage" else "singletons"
    target, pred, size = _cells(table)
    if target_background == "ignore":
        kept = target < table.num_target
        target, pred, size = target[kept], pred[kept], size[kept]
    is_background = pred == table.num_pred
    singles = np.zeros(table.num_target + 1, dtype=np.int64)
    if pred_background == "singletons":
        singles[target[is_background]] = size[is_background]
    if pred_background != "segment":
        target, pred, size = (cells[~is_background] for cells in (target, pred, size))
    return _sums(table, target, pred, size, singles)


def adapted_rand(
    counts: PartitionCounts,
    *,
    alpha: float = 0.5,
    absent: Absent = "nan",
    preset: PartitionPreset | None = None,
) -> AdaptedRand:
    """Adapted Rand error: 1 - F score of the pairs of pixels that the prediction joins.

    With J, P and T the pairs of different pixels that are together in both maps, in the prediction
    and in the target: precision J / P, recall J / T, and
    ``error = 1 - J / (alpha P + (1 - alpha) T)``; all in [0, 1].

    Parameters
    ----------
    counts : PartitionCounts
    alpha : float
        Weight of precision, in [0, 1]. 1 leaves precision, 0 recall.
    absent : {"nan", "zero", "one", "raise"}
        Value of what has no pair in its denominator.
    preset : {None, "skimage", "snemi3d"}
        ``"snemi3d"``: a pixel is a pair with itself. ``"skimage"``: precision and recall have each
        other's name, and alpha each other's weight, as in scikit-image up to 0.26.

    Returns
    -------
    AdaptedRand

    Raises
    ------
    ValueError
        If an option is unknown or out of range, or a score is undefined under ``absent="raise"``.

    Notes
    -----
    Arganda-Carreras et al., *Frontiers in Neuroanatomy* 9:142 (2015). Exact up to the divisions.

    Examples
    --------
    >>> import segmeter
    >>> result = adapted_rand(partition_counts(segmeter.overlap_table([1, 1, 2, 2], [5, 5, 5, 0])))
    >>> [round(value, 3) for value in result]
    [0.6, 0.5, 0.333]
    """
    require_counts(counts, PartitionCounts, "partition_counts")
    check_choice("preset", preset, (None, *get_args(PartitionPreset)))
    alpha = unit_fraction(alpha, "alpha")
    themselves = 0 if preset == "snemi3d" else counts.pixels
    joint = counts.joint_squares - themselves
    pred, target = counts.pred_squares - themselves, counts.target_squares - themselves
    if preset == "skimage":
        pred, target = target, pred
    weighted = alpha * pred + (1 - alpha) * target
    denominators = (weighted, pred, target)
    shares = np.array([joint / d if d else 0.0 for d in denominators])
    values = np.array([1 - shares[0], *shares[1:]])
    undefined = np.array([d == 0 for d in denominators])
    return AdaptedRand(*resolve(values, undefined, absent, "adapted_rand").tolist())


def split_merge_information(
    counts: PartitionCounts, *, base: float = math.e, absent: Absent = "nan"
) -> SplitMergeInformation:
    """Variation of information by its two parts: information lost by splits and by merges.

    Split is the entropy of the prediction given the target: 0 if no target segment is cut. Merge is
    the entropy of the target given the prediction: 0 if no predicted segment joins two. Their sum
    is the variation of information; 0 is perfect.

    Parameters
    ----------
    counts : PartitionCounts
        Of one image, or summed: then the mean over images by pixels.
    base : float
        Base of the logarithm: e (the default) gives nats, 2 gives bits.
    absent : {"nan", "zero", "one", "raise"}
        Value without any pixel.

    Returns
    -------
    SplitMergeInformation

    Raises
    ------
    ValueError
        If `base` is no base, or there is no pixel under ``absent="raise"``.

    Notes
    -----
    Meilă, *Journal of Multivariate Analysis* 98 (2007); split and merge: Nunez-Iglesias et al.,
    *PLoS ONE* 8 (2013). scikit-image has bits.

    Examples
    --------
    >>> import segmeter
    >>> counts = partition_counts(segmeter.overlap_table([1, 2, 3, 4], [5, 5, 8, 8]))
    >>> split_merge_information(counts, base=2)
    SplitMergeInformation(split=1.0, merge=0.0, total=1.0)
    """
    require_counts(counts, PartitionCounts, "partition_counts")
    if not (math.isfinite(base) and base > 0 and base != 1):
        raise ValueError(f"base must be a positive number other than 1, got {base!r}")
    scale = max(counts.pixels, 1) * math.log(base)
    values = np.array([counts.split_sum, counts.merge_sum]) / scale
    undefined = np.full(2, counts.pixels == 0)
    split, merge = resolve(values, undefined, absent, "split_merge_information").tolist()
    return SplitMergeInformation(split, merge, split + merge)


def _cells(table: OverlapTable) -> tuple[IntArray, IntArray, IntArray]:
    """All cells of the joint histogram: target and pred segment, background last, and pixels."""
    target_left, pred_left = table.target_counted_area.copy(), table.pred_counted_area.copy()
    np.subtract.at(target_left, table.target_index, table.intersection)
    np.subtract.at(pred_left, table.pred_index, table.intersection)
    neither = (
        table.num_pixels
        - table.num_ignored
        - int(table.target_counted_area.sum())
        - int(pred_left.sum())
    )
    targets, preds = np.arange(table.num_target), np.arange(table.num_pred)
    target = np.concatenate(
        [table.target_index, targets, np.full(table.num_pred + 1, table.num_target)]
    )
    pred = np.concatenate(
        [table.pred_index, np.full(table.num_target, table.num_pred), preds, [table.num_pred]]
    )
    size = np.concatenate([table.intersection, target_left, pred_left, [neither]])
    filled = size > 0
    return target[filled], pred[filled], size[filled]


def _sums(
    table: OverlapTable, target: IntArray, pred: IntArray, size: IntArray, singles: IntArray
) -> PartitionCounts:
    target_size = singles.copy()
    np.add.at(target_size, target, size)
    pred_size = np.zeros(table.num_pred + 1, dtype=np.int64)
    np.add.at(pred_size, pred, size)
    alone = int(singles.sum())
    split = size * np.log(target_size[target] / size)
    merge = size * np.log(pred_size[pred] / size)
    # Every single pixel is cut off its target segment, and in a segment that nothing else is in.
    cut = singles[singles > 0] * np.log(target_size[singles > 0])
    return PartitionCounts(
        pixels=int(size.sum()) + alone,
        joint_squares=_squares(size) + alone,
        pred_squares=_squares(pred_size) + alone,
        target_squares=_squares(target_size),
        split_sum=float(split.sum() + cut.sum()),
        merge_sum=float(merge.sum()),
    )


def _squares(sizes: IntArray) -> int:
    if int(sizes.sum()) < _INT64_SAFE_PIXELS:
        return int((sizes * sizes).sum())
    return sum(size * size for size in sizes.tolist())
