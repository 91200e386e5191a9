"""Scores near outlines: Boundary IoU, IoU in a trimap, boundary F."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

import numpy as np

from .. import _core
from .._arrays import as_array, integer, is_list_of_arrays, thread_limit
from .._counts import require_counts
from ..pixel._counts import Absent, ratio, resolve
from ..pixel._matrix import Rules, check_labels, is_mask_array, mask_of, require_mask, rules_of
from ..pixel._scores import iou
from ..region._mergeable import MergeableCounts
from ._checks import label_map_pair, one_of, positive_number, spacing_of
from ._surfaces import Border

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from ..pixel._matrix import Labels, OutOfRange

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    # A kernel: rules of reading labels, pred, target and mask to cells and odd pixels.
    _Native = Callable[[Any, Any, Any, Any], tuple[IntArray, tuple[int, int, int]]]

Measured = TypeVar("Measured", bound=MergeableCounts)

BoundaryFPreset = Literal["davis", "bf"]
"""Rules of the boundary F measure; see :func:`boundary_f_counts`."""

DILATION_RATIO = 0.02  # of Boundary IoU: the width of its band as a share of the diagonal


# --- counts ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BoundaryIouCounts(MergeableCounts):
    """What Boundary IoU is made of, per class; counts of images add up.

    Attributes
    ----------
    intersection : (K,) int64
        Pixels that are in the band of the class in both maps.
    pred, target : (K,) int64
        Pixels in the band of the class in either map.
    """

    intersection: IntArray
    pred: IntArray
    target: IntArray


@dataclass(frozen=True, eq=False)
class TrimapCounts(MergeableCounts):
    """Confusion matrices of the pixels near the target's outlines; counts of images add up.

    Every score of a confusion matrix is one of ``matrix``: ``segmeter.iou(counts.matrix)``.

    Attributes
    ----------
    widths : (W,) int64
        Pixels to either side of the outlines.
    matrix : (W, C, C + 1) int64
        Rows are the target, columns the prediction, the last one void.
    """

    common_fields: ClassVar[tuple[str, ...]] = ("widths",)

    widths: IntArray
    matrix: IntArray

    def _require_fitting(self) -> None:
        classes = self.matrix.shape[1] if self.matrix.ndim == 3 else 0
        if self.matrix.shape != (len(self.widths), classes, classes + 1):
            raise ValueError(
                f"matrix of TrimapCounts must be of shape (widths, C, C + 1), got "
                f"{self.matrix.shape} for {len(self.widths)} widths"
            )
        if (self.matrix < 0).any():
            raise ValueError("matrix must hold numbers from 0")


@dataclass(frozen=True, eq=False)
class BoundaryFCounts(MergeableCounts):
    """What the boundary F measure is made of, per class; counts of images add up.

    Attributes
    ----------
    pred, target : (K,) int64
        Pixels of the outlines.
    pred_near, target_near : (K,) int64
        Those with a pixel of the other outline within the tolerance.
    """

    pred: IntArray
    target: IntArray
    pred_near: IntArray
    target_near: IntArray


# --- Boundary IoU ------------------------------------------------------------------------------


def boundary_iou_counts(
    pred: ArrayLike | Sequence[ArrayLike],
    target: ArrayLike | Sequence[ArrayLike],
    *,
    num_classes: int | None = None,
    width: float = DILATION_RATIO,
    width_pixels: int | None = None,
    width_physical: float | None = None,
    spacing: Sequence[float] | None = None,
    border: Border = "background",
    groups: Mapping[str, Sequence[int]] | None = None,
    labels: Labels | None = None,
    pred_labels: Labels | None = None,
    reduce_zero_label: bool = False,
    out_of_range: OutOfRange = "raise",
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> BoundaryIouCounts:
    """Count the pixels in the bands along the outlines of every class, in one pass.

    The band of a class is what its erosion takes away: its pixels that see something else in the
    square (cube) of ``width`` pixels to either side.

    Parameters
    ----------
    pred, target : array_like of int or bool, or lists of such maps
        Label maps or masks, 2-D or 3-D each, of equal shape; a batch is a list.
    num_classes : int, optional
        Labels are the classes ``0 .. num_classes - 1``, and each is measured. Left out, the maps
        are masks that hold one label besides 0, and the only class is that label.
    width : float, default 0.02
        Width of the band as a share of the image's diagonal, above 0, at most 1; rounded to whole
        pixels (to whole smallest spacings), at least one. 0.02 is the published one.
    width_pixels : int, optional
        The width in pixels instead, from 1 on. Not with ``spacing``.
    width_physical : float, optional
        The width in the unit of ``spacing`` instead, at least the smallest spacing.
    spacing : sequence of float, optional
        Distance of neighbouring pixels along each axis; left out, 1. The window reaches as many
        whole pixels along an axis as the width holds.
    border : {"background", "ignore"}, default "background"
        What lies beyond the image: nothing, so that its edge is an outline, as published; or what
        is at the edge goes on.
    groups : mapping of str to sequence of int, optional
        Unions of classes to measure instead, in this order; they may overlap.
    labels, pred_labels, reduce_zero_label, out_of_range, ignore_index : optional
        As in :func:`segmeter.confusion_matrix`. Ignored pixels are unknown in both maps: no pixel
        of a band, and no outline where they begin.
    threads : int, default 0
        Number of threads; 0 chooses. The result does not depend on it.

    Returns
    -------
    BoundaryIouCounts
        K classes, or groups, or 1 for masks.

    Raises
    ------
    ValueError
        Shapes differ or are not 2-D or 3-D; a mask with several labels; labels out of range; an
        argument outside its range.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    Cheng et al., *Boundary IoU: Improving Object-Centric Image Segmentation Evaluation* (CVPR
    2021). The official function takes one mask after another, and erodes once per pixel of width;
    the counts are the same.

    Examples
    --------
    >>> import segmeter
    >>> target = [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
    >>> pred = [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    >>> counts = boundary_iou_counts(pred, target, num_classes=2, width_pixels=1)
    >>> counts.intersection, counts.pred, counts.target
    (array([7, 5]), array([10,  6]), array([7, 8]))
    """
    task = _Task(
        num_classes, groups, labels, pred_labels, reduce_zero_label, out_of_range, ignore_index,
        threads,
    )  # fmt: skip
    band = Band.of(width, width_pixels, width_physical, spacing)
    one_of(border, "border", get_args(Border))

    def count(one: _Pair) -> BoundaryIouCounts:
        reach = band.reach(one.target.shape)
        cells = one.per_class(
            lambda read, p, t, mask: _core.band_overlap(
                read, p, t, mask, reach, border == "background", task.ignores_invalid
            )
        )
        return BoundaryIouCounts(*np.ascontiguousarray(cells.T))

    return task.summed(pred, target, count)


def boundary_iou(counts: BoundaryIouCounts, *, absent: Absent = "nan") -> FloatArray:
    """Boundary IoU of each class: intersection over union of the bands, in [0, 1].

    Parameters
    ----------
    counts : BoundaryIouCounts
        Of one image, or summed over a data set.
    absent : {"nan", "zero", "one", "raise"}
        Value of a class that neither map holds.

    Returns
    -------
    (K,) float64 array

    Raises
    ------
    ValueError
        If an option is unknown, or a class is absent under ``absent="raise"``.

    Notes
    -----
    Cheng et al. (CVPR 2021). Of objects the same paper takes the smaller of this and the IoU of
    the masks, since the band alone says nothing of what lies within; see
    :func:`boundary_overlap_table`.

    Examples
    --------
    >>> import segmeter
    >>> mask = np.zeros((9, 9), bool)
    >>> mask[1:8, 1:8] = True
    >>> counts = segmeter.boundary_iou_counts(mask, np.roll(mask, 1), width_pixels=2)
    >>> boundary_iou(counts)
    array([0.6])
    """
    require_counts(counts, BoundaryIouCounts, "boundary_iou_counts")
    union = counts.pred + counts.target - counts.intersection
    return resolve(ratio(counts.intersection, union), union == 0, absent, "boundary_iou")


# --- trimap ------------------------------------------------------------------------------------


def trimap_counts(
    pred: ArrayLike | Sequence[ArrayLike],
    target: ArrayLike | Sequence[ArrayLike],
    *,
    num_classes: int | None = None,
    widths: int | Sequence[int] = (1, 2, 4, 8, 16),
    labels: Labels | None = None,
    pred_labels: Labels | None = None,
    reduce_zero_label: bool = False,
    out_of_range: OutOfRange = "raise",
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> TrimapCounts:
    """Confusion matrix of the pixels near an outline of the target, for several widths.

    Parameters
    ----------
    pred, target : array_like of int or bool, or lists of such maps
        Label maps or masks, 2-D or 3-D each, of equal shape; a batch is a list.
    num_classes : int, optional
        Number of classes. Left out, the maps are masks, and the classes are 0 and 1.
    widths : int or sequence of int, default (1, 2, 4, 8, 16)
        How near: a pixel counts if a pixel of another class of ``target`` is at most so many rows
        and columns away. From 1 on, different.
    labels, pred_labels, reduce_zero_label, out_of_range, ignore_index : optional
        As in :func:`segmeter.confusion_matrix`. Ignored pixels are no outline.
    threads : int, default 0
        Number of threads; 0 chooses. The result does not depend on it.

    Returns
    -------
    TrimapCounts

    Raises
    ------
    ValueError
        As :func:`boundary_iou_counts`.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    Kohli, Ladicky and Torr, *Robust higher order potentials* (IJCV 2009), and Chen et al.,
    *DeepLab* (2018), who plot the mean IoU over the width. The image's edge is no outline.

    Examples
    --------
    >>> import segmeter
    >>> target = [[0, 0, 0, 0, 1, 1, 1, 1]]
    >>> pred = [[1, 0, 0, 0, 0, 1, 1, 1]]
    >>> counts = trimap_counts(pred, target, widths=[1, 4])
    >>> counts.matrix[:, :, :2].tolist()
    [[[1, 0], [1, 0]], [[3, 1], [1, 3]]]
    """
    task = _Task(
        num_classes, None, labels, pred_labels, reduce_zero_label, out_of_range, ignore_index,
        threads,
    )  # fmt: skip
    chosen = _widths(widths)

    def count(one: _Pair) -> TrimapCounts:
        reaches = [_isotropic(width, one.target.shape) for width in chosen]
        matrix = one.whole(
            lambda read, p, t, mask: _core.trimap_confusion(
                read, p, t, mask, reaches, False, task.ignores_invalid
            )
        )
        return TrimapCounts(np.array(chosen, np.int64), matrix)

    return task.summed(pred, target, count)


def trimap_iou(counts: TrimapCounts, *, absent: Absent = "nan") -> FloatArray:
    """IoU of each class over the pixels near an outline of the target, for each width.

    Parameters
    ----------
    counts : TrimapCounts
        Of one image, or summed over a data set, as published.
    absent : {"nan", "zero", "one", "raise"}
        Value of a class without a pixel there.

    Returns
    -------
    (W, C) float64 array

    Raises
    ------
    ValueError
        If an option is unknown, or a class is absent under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.trimap_counts([[1, 0, 0, 0, 0, 1]], [[0, 0, 0, 1, 1, 1]], widths=[1, 3])
    >>> trimap_iou(counts)
    array([[0.5 , 0.  ],
           [0.4 , 0.25]])
    """
    require_counts(counts, TrimapCounts, "trimap_counts")
    return np.asarray(iou(counts.matrix, absent=absent))


# --- boundary F --------------------------------------------------------------------------------


class _FRules(NamedTuple):
    """Which outline, how near, and what ignored pixels are."""

    corner: bool
    border: bool
    share: float
    strict: bool
    rounds_up: bool
    ignored_is_outside: bool


_F_RULES: dict[str, _FRules] = {
    "davis": _FRules(True, False, 0.008, False, True, True),
    "bf": _FRules(False, False, 0.0075, True, False, False),
}


def boundary_f_counts(
    pred: ArrayLike | Sequence[ArrayLike],
    target: ArrayLike | Sequence[ArrayLike],
    *,
    num_classes: int | None = None,
    preset: BoundaryFPreset = "davis",
    tolerance: float | None = None,
    tolerance_physical: float | None = None,
    spacing: Sequence[float] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    labels: Labels | None = None,
    pred_labels: Labels | None = None,
    reduce_zero_label: bool = False,
    out_of_range: OutOfRange = "raise",
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> BoundaryFCounts:
    """Count the pixels of the outlines of every class, and those near the other map's outline.

    Parameters
    ----------
    pred, target : array_like of int or bool, or lists of such maps
        Label maps or masks, 2-D or 3-D each, of equal shape; a batch is a list.
    num_classes : int, optional
        Labels are the classes ``0 .. num_classes - 1``, and each is measured. Left out, the maps
        are masks that hold one label besides 0, and the only class is that label.
    preset : {"davis", "bf"}, default "davis"
        ``"davis"``: F of the DAVIS benchmark. A pixel is of the outline if its right, lower or
        lower right neighbour is on the other side; near is up to the tolerance, of which a share of
        the diagonal is rounded up to whole pixels; ignored pixels are background in both maps.
        ``"bf"``: the BF score. Pixels of the class with a face neighbour that is not; near is less
        than the tolerance; ignored pixels are unknown in both maps. The image's edge is no outline
        in either.
    tolerance : float, optional
        How near: below 1 a share of the image's diagonal, from 1 on in pixels. Default 0.008 for
        ``"davis"``, 0.0075 for ``"bf"``.
    tolerance_physical : float, optional
        How near in the unit of ``spacing`` instead; not rounded.
    spacing : sequence of float, optional
        Distance of neighbouring pixels along each axis; left out, 1. A relative tolerance is then
        one of the physical diagonal; one in pixels is not allowed.
    groups, labels, pred_labels, reduce_zero_label, out_of_range, ignore_index : optional
        As in :func:`boundary_iou_counts`, but for ``preset="davis"`` in what ignored pixels are.
    threads : int, default 0
        Number of threads; 0 chooses. The result does not depend on it.

    Returns
    -------
    BoundaryFCounts
        K classes, or groups, or 1 for masks.

    Raises
    ------
    ValueError
        As :func:`boundary_iou_counts`.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    Perazzi et al., *A benchmark dataset and evaluation methodology for video object segmentation*
    (CVPR 2016), as the official toolkit has it: dilation by a disk is what is near. Csurka et al.,
    *What is a good evaluation measure for semantic segmentation?* (BMVC 2013). Distances are
    Euclidean, between the centres of pixels.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((20, 20), bool)
    >>> target[5:15, 5:15] = True
    >>> pred = np.roll(target, 2, axis=1)
    >>> counts = boundary_f_counts(pred, target, tolerance=1)
    >>> counts.pred, counts.pred_near
    (array([40]), array([22]))
    """
    task = _Task(
        num_classes, groups, labels, pred_labels, reduce_zero_label, out_of_range, ignore_index,
        threads,
    )  # fmt: skip
    one_of(preset, "preset", get_args(BoundaryFPreset))
    rules = _F_RULES[preset]
    near = _Nearness.of(rules, tolerance, tolerance_physical, spacing)

    def count(one: _Pair) -> BoundaryFCounts:
        element = near.element(one.target.shape)
        cells = one.per_class(
            lambda read, p, t, mask: _core.outline_matches(
                read,
                p,
                t,
                mask,
                rules.corner,
                rules.border,
                rules.ignored_is_outside,
                element,
                task.ignores_invalid,
                task.row,
            )
        )
        return BoundaryFCounts(*np.ascontiguousarray(cells.T))

    return task.summed(pred, target, count)


def boundary_precision(counts: BoundaryFCounts, *, absent: Absent = "nan") -> FloatArray:
    """Share of the predicted outline that is near the target's, in [0, 1].

    Parameters
    ----------
    counts : BoundaryFCounts
    absent : {"nan", "zero", "one", "raise"}
        Value of a class without an outline in either map. With one in the target only, precision
        is 1: nothing predicted is wrong.

    Returns
    -------
    (K,) float64 array

    Examples
    --------
    >>> boundary_precision(BoundaryFCounts(*np.array([[4], [2], [3], [2]])))
    array([0.75])
    """
    require_counts(counts, BoundaryFCounts, "boundary_f_counts")
    value = np.where(counts.pred == 0, 1.0, ratio(counts.pred_near, counts.pred))
    return resolve(value, counts.pred + counts.target == 0, absent, "boundary_precision")


def boundary_recall(counts: BoundaryFCounts, *, absent: Absent = "nan") -> FloatArray:
    """Share of the target's outline that is near the predicted one, in [0, 1].

    Parameters
    ----------
    counts : BoundaryFCounts
    absent : {"nan", "zero", "one", "raise"}
        Value of a class without an outline in either map. With one in the prediction only, recall
        is 1: nothing is missed.

    Returns
    -------
    (K,) float64 array

    Examples
    --------
    >>> boundary_recall(BoundaryFCounts(*np.array([[4], [2], [3], [2]])))
    array([1.])
    """
    require_counts(counts, BoundaryFCounts, "boundary_f_counts")
    value = np.where(counts.target == 0, 1.0, ratio(counts.target_near, counts.target))
    return resolve(value, counts.pred + counts.target == 0, absent, "boundary_recall")


def boundary_f_score(counts: BoundaryFCounts, *, absent: Absent = "nan") -> FloatArray:
    """Boundary F measure: the harmonic mean of boundary precision and recall, in [0, 1].

    Parameters
    ----------
    counts : BoundaryFCounts
        Of one image, as both papers have it, who then average over images; or of a data set.
    absent : {"nan", "zero", "one", "raise"}
        Value of a class without an outline in either map; DAVIS has 1.

    Returns
    -------
    (K,) float64 array

    Raises
    ------
    ValueError
        If an option is unknown, or a class is absent under ``absent="raise"``.

    Notes
    -----
    ``2 P R / (P + R)``, 0 where both are 0. See :func:`boundary_f_counts` for the rules.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((20, 20), bool)
    >>> target[5:15, 5:15] = True
    >>> counts = segmeter.boundary_f_counts(np.roll(target, 2, axis=1), target, tolerance=1)
    >>> boundary_f_score(counts)
    array([0.55])
    """
    require_counts(counts, BoundaryFCounts, "boundary_f_counts")
    precision = boundary_precision(counts, absent="one")
    recall = boundary_recall(counts, absent="one")
    value = ratio(2 * precision * recall, precision + recall)
    return resolve(value, counts.pred + counts.target == 0, absent, "boundary_f_score")


# --- widths and tolerances ---------------------------------------------------------------------


class Band(NamedTuple):
    """How wide a band is: the validated form of the keyword arguments."""

    share: float
    pixels: int | None
    physical: float | None
    spacing: Sequence[float] | None

    @classmethod
    def of(cls, width: Any, width_pixels: Any, width_physical: Any, spacing: Any) -> Band:
        """Refuse what is no width."""
        if width_pixels is not None and (width_physical is not None or spacing is not None):
            raise ValueError(
                "width_pixels does not go with spacing or width_physical: with spacing, pass "
                "width_physical or a relative width"
            )
        if width_physical is not None and spacing is None:
            raise ValueError("width_physical needs spacing; without it, pass width_pixels")
        share = positive_number(width, "width")
        if share > 1:
            raise ValueError(
                f"width must be a share of the image diagonal, at most 1, got {share:g}; pass "
                "width_pixels for a number of pixels"
            )
        pixels = None if width_pixels is None else _pixels(width_pixels, "width_pixels")
        if width_physical is not None:
            width_physical = positive_number(width_physical, "width_physical")
        return cls(share, pixels, width_physical, spacing)

    def reach(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Pixels to either side along slices, rows and columns of an image of this shape."""
        steps = spacing_of(self.spacing, len(shape))
        if self.pixels is not None:
            return _isotropic(self.pixels, shape)
        unit = min(steps)
        if self.physical is not None:
            units = self.physical / unit
            if units * (1 + 1e-12) < 1:
                raise ValueError(
                    f"width_physical must hold a pixel along some axis, got {self.physical:g} for "
                    f"spacing {steps}"
                )
        else:
            diagonal = math.hypot(*(n * (s / unit) for n, s in zip(shape, steps, strict=True)))
            units = max(1, round(self.share * diagonal))
        # A width of exactly so many steps must hold them, whatever the quotients' last bits.
        each = [units * (1 + 1e-12) / (step / unit) for step in steps]
        # No window needs to reach farther than the image, and no machine's integers do.
        return _as_volume([math.floor(min(n, far)) for n, far in zip(shape, each, strict=True)])


def _isotropic(width: int, shape: tuple[int, ...]) -> tuple[int, int, int]:
    return _as_volume([min(n, width) for n in shape])


def _as_volume(each: Sequence[int]) -> tuple[int, int, int]:
    first, rows, columns = (0, *each) if len(each) == 2 else each
    return first, rows, columns


def _pixels(value: Any, name: str) -> int:
    number = integer(value, name)
    if number < 1:
        raise ValueError(f"{name} must be 1 or more pixels, got {number}")
    if number >= 2**31:
        raise ValueError(f"{name} must be below 2**31 pixels, got {number}")
    return number


def _widths(widths: Any) -> list[int]:
    several = isinstance(widths, Sequence | np.ndarray) and not isinstance(widths, str)
    chosen = [_pixels(width, "widths") for width in (widths if several else [widths])]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"widths must be different numbers of pixels, got {widths!r}")
    return chosen


class _Nearness(NamedTuple):
    """When outlines are near each other."""

    rules: _FRules
    tolerance: float
    is_physical: bool
    spacing: Sequence[float] | None

    @classmethod
    def of(cls, rules: _FRules, tolerance: Any, physical: Any, spacing: Any) -> _Nearness:
        if physical is not None:
            if tolerance is not None:
                raise ValueError("pass tolerance or tolerance_physical, not both")
            if spacing is None:
                raise ValueError("tolerance_physical needs spacing; without it, pass tolerance")
            return cls(rules, positive_number(physical, "tolerance_physical"), True, spacing)
        value = rules.share if tolerance is None else positive_number(tolerance, "tolerance")
        if value >= 1 and spacing is not None:
            raise ValueError(
                f"a tolerance in pixels ({value:g}) does not go with spacing; pass "
                "tolerance_physical, or a share of the diagonal below 1"
            )
        return cls(rules, value, False, spacing)

    def element(self, shape: tuple[int, ...]) -> IntArray:
        """Rows of near offsets, nearest first: planes on, rows on, reach to either side."""
        steps = spacing_of(self.spacing, len(shape))
        limit = self.tolerance
        if not self.is_physical and limit < 1:
            limit *= math.sqrt(sum((n * s) ** 2 for n, s in zip(shape, steps, strict=True)))
            if self.rules.rounds_up:
                unit = min(steps)
                limit = math.ceil(limit / unit) * unit
        room = tuple(max(0, n - 1) for n in shape)
        if len(shape) == 2:
            steps, room = (1.0, *steps), (0, *room)
        return near_rows(limit, steps, room, self.rules.strict)


@lru_cache(maxsize=64)
def near_rows(
    limit: float, steps: tuple[float, ...], room: tuple[int, ...], strict: bool
) -> IntArray:
    """Rows of the offsets up to `room` along each axis that are near by the Euclidean distance.

    Examples
    --------
    >>> near_rows(1.0, (1.0, 1.0, 1.0), (0, 9, 9), False).tolist()
    [[0, 0, 1], [0, -1, 0], [0, 1, 0]]
    """
    far = [min(n, math.floor(limit / step) + 1) for n, step in zip(room, steps, strict=True)]
    planes, rows = (np.arange(-n, n + 1) for n in far[:2])
    planes, rows = (axis.ravel() for axis in np.meshgrid(planes, rows, indexing="ij"))
    across = (planes * steps[0]) ** 2 + (rows * steps[1]) ** 2
    along = (np.arange(far[2] + 1) * steps[2]) ** 2
    distance = np.sqrt(across[:, np.newaxis] + along)
    is_near = distance < limit if strict else distance <= limit
    reach = is_near.sum(axis=1) - 1
    kept = np.flatnonzero(reach >= 0)
    order = kept[np.argsort(across[kept], kind="stable")]
    return np.stack([planes[order], rows[order], reach[order]], axis=1).astype(np.int64)


# --- one call over one or many pairs of maps -----------------------------------------------------


class _Pair(NamedTuple):
    """One pair of maps with the rules for reading them, one set of rules for each result."""

    pred: NDArray[Any]
    target: NDArray[Any]
    mask: NDArray[np.bool_] | None
    rules: tuple[Rules, ...]
    row: int | None  # of the class measured by each set of rules; None: all

    def per_class(self, native: _Native) -> IntArray:
        """Cells of the classes, one row each."""
        parts = [self._checked(rules, native) for rules in self.rules]
        if self.row is None:
            return parts[0]
        return np.stack([part[self.row] for part in parts])

    def whole(self, native: _Native) -> IntArray:
        """Cells as the kernel gives them."""
        return self._checked(self.rules[0], native)

    def _checked(self, rules: Rules, native: _Native) -> IntArray:
        cells, odd = native(rules.native, self.pred, self.target, self.mask)
        if any(odd):
            check_labels(self.pred, self.target, self.mask, rules, odd)
        return cells


class _Task:
    """What is measured: classes, groups of classes, or a mask; and how labels are read."""

    def __init__(
        self,
        num_classes: Any,
        groups: Any,
        labels: Any,
        pred_labels: Any,
        reduce_zero_label: bool,
        out_of_range: Any,
        ignore_index: Any,
        threads: Any,
    ) -> None:
        self.ignore_index = ignore_index
        self.is_mask = num_classes is None
        if self.is_mask:
            for name, value in (
                ("groups", groups), ("labels", labels), ("pred_labels", pred_labels),
                ("reduce_zero_label", reduce_zero_label or None),
            ):  # fmt: skip
                if value is not None:
                    raise ValueError(f"{name} is for classes; pass num_classes")
        base = rules_of(
            2 if self.is_mask else num_classes, None if self.is_mask else ignore_index, labels,
            pred_labels, reduce_zero_label, out_of_range, True, threads,
        )  # fmt: skip
        self.ignores_invalid = base.out_of_range == "ignore"
        self.rules: tuple[Rules, ...] = (base,)
        self.row = 1 if self.is_mask else None
        if groups is not None:
            self.rules, self.row = tuple(_group_rules(base, groups, threads)), 1

    def summed(self, pred: Any, target: Any, count: Callable[[_Pair], Measured]) -> Measured:
        """Counts of a pair, or the sum of those of a list of pairs."""
        mask = mask_of(self.ignore_index)
        if not is_list_of_arrays(target):
            return count(self.pair(pred, target, mask))
        for name, items in (("pred", pred), ("ignore_index", mask)):
            if items is not None and (
                not isinstance(items, list | tuple) or len(items) != len(target)
            ):
                raise ValueError(f"{name} must be a list of {len(target)} maps, as target is")
        parts = []
        for i, one in enumerate(target):
            try:
                parts.append(count(self.pair(pred[i], one, None if mask is None else mask[i])))
            except (ValueError, TypeError) as error:
                raise type(error)(f"image {i} of the list: {error}") from None
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def pair(self, pred: Any, target: Any, mask: Any) -> _Pair:
        pred, target = label_map_pair(pred, target)
        if mask is not None:
            mask = as_array(mask, "ignore_index")
            require_mask(mask, target)
        if self.is_mask:
            mask = self._ignored(target) if mask is None else mask
            pred, target = _as_masks(pred, target, mask)
        return _Pair(pred, target, mask, self.rules, self.row)

    def _ignored(self, target: NDArray[Any]) -> NDArray[np.bool_] | None:
        if self.ignore_index is None or is_mask_array(self.ignore_index):
            return None
        values = [integer(v, "ignore_index") for v in np.atleast_1d(self.ignore_index).tolist()]
        return np.isin(target, values)


def _as_masks(
    pred: NDArray[Any], target: NDArray[Any], ignored: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two maps with one label besides 0, the same, as masks."""
    if pred.dtype == np.bool_ and target.dtype == np.bool_:
        return pred, target
    found: set[int] = set()
    masks = []
    for array in (pred, target):
        mask = array != 0
        counted = mask if ignored is None else mask & ~ignored
        if counted.any():
            values = array[counted]
            found |= {int(values.min()), int(values.max())}
        masks.append(mask)
    if len(found) > 1:
        raise ValueError(
            f"masks hold one label besides 0, the same in both, got {sorted(found)}; pass "
            "num_classes for label maps, or compare with 0 to make masks"
        )
    return masks[0], masks[1]


def _group_rules(base: Rules, groups: Any, threads: Any) -> list[Rules]:
    """For each group of classes rules under which its members are class 1 and all others 0."""
    if not isinstance(groups, Mapping) or not groups:
        raise TypeError(f"groups must be a mapping of names to classes, got {groups!r}")
    identity = np.arange(base.num_classes, dtype=np.int64)

    def mapped(mapping: Any, members: list[int]) -> tuple[IntArray, IntArray]:
        labels, classes = (identity, identity) if mapping is None else mapping
        return labels, np.where(classes < 0, classes, np.isin(classes, members))

    rules = []
    for name, members in groups.items():
        if isinstance(members, str) or not isinstance(members, Sequence | np.ndarray | set | range):
            raise TypeError(f"groups[{name!r}] must be a sequence of classes, got {members!r}")
        chosen = [integer(k, f"groups[{name!r}]") for k in members]
        wrong = [k for k in chosen if not 0 <= k < base.num_classes]
        if wrong or not chosen:
            raise ValueError(
                f"groups[{name!r}] must hold classes from 0 to {base.num_classes - 1}, got {chosen}"
            )
        of_pred, of_target = (
            mapped(mapping, chosen) for mapping in (base.pred_mapping, base.target_mapping)
        )
        rules.append(
            Rules(2, of_pred, of_target, (), base.out_of_range, True, thread_limit(threads))
        )
    return rules
