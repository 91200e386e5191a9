"""Why each wrong pixel is wrong: two label maps in, counts of each class and cause out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, overload

import numpy as np

from .. import _core
from .._arrays import as_array, integer, is_list_of_arrays
from ..pixel._counts import check_choice
from ..pixel._matrix import check_labels, mask_of, require_labels, require_mask, rules_of
from ._counts import CauseCounts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..pixel._matrix import Labels, OutOfRange, Rules

Distance = Literal["exact", "fast"]
Measured = TypeVar("Measured")


class Nearness(NamedTuple):
    """When two pixels are near each other: the validated form of the keyword arguments."""

    width: float
    width_pixels: int | None
    width_physical: float | None
    spacing: tuple[float, ...] | None
    distance: Distance


@overload
def error_causes(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    width: float = ...,
    width_pixels: int | None = ...,
    width_physical: float | None = ...,
    spacing: Sequence[float] | None = ...,
    distance: Distance = ...,
    ignore_index: int | Sequence[int] | ArrayLike | None = ...,
    labels: Labels | None = ...,
    pred_labels: Labels | None = ...,
    reduce_zero_label: bool = ...,
    out_of_range: OutOfRange = ...,
    return_map: Literal[False] = ...,
    map_class: int | None = ...,
    threads: int = ...,
) -> CauseCounts: ...


@overload
def error_causes(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    width: float = ...,
    width_pixels: int | None = ...,
    width_physical: float | None = ...,
    spacing: Sequence[float] | None = ...,
    distance: Distance = ...,
    ignore_index: int | Sequence[int] | ArrayLike | None = ...,
    labels: Labels | None = ...,
    pred_labels: Labels | None = ...,
    reduce_zero_label: bool = ...,
    out_of_range: OutOfRange = ...,
    return_map: Literal[True],
    map_class: int | None = ...,
    threads: int = ...,
) -> tuple[CauseCounts, Any]: ...


def error_causes(
    pred: ArrayLike | Sequence[ArrayLike],
    target: ArrayLike | Sequence[ArrayLike],
    *,
    num_classes: int,
    width: float = 0.01,
    width_pixels: int | None = None,
    width_physical: float | None = None,
    spacing: Sequence[float] | None = None,
    distance: Distance = "exact",
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    labels: Labels | None = None,
    pred_labels: Labels | None = None,
    reduce_zero_label: bool = False,
    out_of_range: OutOfRange = "raise",
    return_map: bool = False,
    map_class: int | None = None,
    threads: int = 0,
) -> CauseCounts | tuple[CauseCounts, Any]:
    """Give every wrong pixel a cause: boundary, extent or segment.

    A pixel predicted as class p that is class t is a false positive of p and a false negative of t;
    it gets one cause for each of the two.

    Parameters
    ----------
    pred : array_like of int or bool, or list of such maps
        Predicted label maps, 2-D or 3-D each; a batch is a list. Any integer type, memory layout
        and byte order.
    target : array_like of int or bool, or list of such maps
        True label maps, shaped like ``pred``.
    num_classes : int
        Number of classes C, 1 to 65,536.
    width : float, default 0.01
        How near the outline an error is one of the boundary: a share of the image diagonal, above
        0, at most 1. The width is rounded to whole pixels; with ``spacing`` the diagonal is a
        physical length, and the width is rounded to whole smallest spacings.
    width_pixels : int, optional
        The width in pixels, in place of ``width``. Not with ``spacing``.
    width_physical : float, optional
        The width in the unit of ``spacing`` (millimetres, mostly), in place of ``width``.
    spacing : sequence of float, optional
        Distance of neighbouring pixels along each axis, in array-axis order; left out, 1.
    distance : {"exact", "fast"}, default "exact"
        ``"exact"``: offsets whose Euclidean length, rounded, is at most the width. ``"fast"``:
        offsets whose length along each axis is (a 3x3 dilation, once per pixel of width).
    ignore_index, labels, pred_labels, reduce_zero_label : optional
        As in :func:`segmeter.confusion_matrix`. Ignored pixels get no cause and are not counted,
        but their predictions count when distances are measured and segments formed.
    out_of_range : {"raise", "ignore", "wrong"}, default "raise"
        As in :func:`segmeter.confusion_matrix`. A prediction that is no class (the ignore label,
        or with ``"wrong"`` one out of range) is a false negative of its target class only.
    return_map : bool, default False
        Also return the map of causes.
    map_class : int, optional
        With ``return_map``: return the map of this class instead of the map of both sides.
    threads : int, default 0
        Number of threads; 0 chooses. The result does not depend on it.

    Returns
    -------
    counts : CauseCounts
        Pixels of each class and cause; of a list of maps, their sum.
    cause_map : numpy.ndarray of uint8, or list of them
        With ``return_map``. Shape ``(2, *pred.shape)``: :class:`segmeter.Cause` of each pixel
        for its predicted class (index 0) and for its target class (index 1). With ``map_class``:
        shape ``pred.shape``, :class:`segmeter.CauseKind` of each pixel for that class.

    Raises
    ------
    ValueError
        Shapes differ or are not 2-D or 3-D; labels out of range; an argument outside its range.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    Definition and source: Bernhard et al., "What's Outside the Intersection? Fine-grained Error
    Analysis for Semantic Segmentation Beyond IoU", WACV 2024. For one class, a wrong pixel is a
    seed if both a true positive and a true negative lie within the width. Wrong pixels of the same
    kind within the width of a seed join it. Each connected piece of these (8 or 26 neighbours) is
    *boundary* if it touches a true positive and a true negative. Another false positive is
    *extent* if its connected segment of the prediction holds a true positive, else *segment*; a
    false negative likewise by its segment of the target.

    Classes are independent: each is judged by its own two masks. Spacings enter as multiples of
    the smallest one, so that equal spacings of any size give the pixels' own distances.
    Beyond the image nothing is near. Empty maps give zeros.

    Examples
    --------
    >>> import segmeter
    >>> target = [[0, 0, 0, 1, 1, 1, 0, 0]]
    >>> pred = [[0, 0, 1, 1, 1, 1, 0, 1]]
    >>> counts, causes = segmeter.error_causes(
    ...     pred, target, num_classes=2, width_pixels=1, return_map=True
    ... )
    >>> counts.tp, counts.fp_boundary, counts.fp_segment
    (array([3, 3]), array([0, 1]), array([0, 1]))
    >>> causes[0]
    array([[0, 0, 1, 0, 0, 0, 0, 3]], dtype=uint8)
    """
    rules = rules_of(
        num_classes, ignore_index, labels, pred_labels, reduce_zero_label,
        out_of_range, True, threads,
    )  # fmt: skip
    nearness = _nearness(width, width_pixels, width_physical, spacing, distance)
    map_class = _map_class(map_class, return_map, rules.num_classes)
    mask = mask_of(ignore_index)

    def measure(one_pred: Any, one_target: Any, one_mask: Any) -> Any:
        return _measure(one_pred, one_target, one_mask, rules, nearness, return_map, map_class)

    if not is_list_of_arrays(target):
        counts, cause_map = measure(pred, target, mask)
        return (counts, cause_map) if return_map else counts
    each, maps = zip(*_paired(measure, pred, target, mask), strict=True)
    total = sum(each[1:], start=each[0])
    return (total, list(maps)) if return_map else total


# --- arguments -----------------------------------------------------------------------------------


def _nearness(
    width: Any, width_pixels: Any, width_physical: Any, spacing: Any, distance: Any
) -> Nearness:
    check_choice("distance", distance, ("exact", "fast"))
    if width_pixels is not None and (width_physical is not None or spacing is not None):
        raise ValueError(
            "width_pixels does not go with spacing or width_physical: with spacing, pass "
            "width_physical or a relative width"
        )
    if width_physical is not None and spacing is None:
        raise ValueError("width_physical needs spacing; without it, pass width_pixels")
    width = _positive(width, "width")
    if width > 1:
        raise ValueError(
            f"width must be a share of the image diagonal, at most 1, got {width}; "
            "pass width_pixels for a number of pixels"
        )
    if width_pixels is not None:
        if isinstance(width_pixels, bool):
            raise TypeError(f"width_pixels must be an integer, got {width_pixels!r}")
        width_pixels = integer(width_pixels, "width_pixels")
        if width_pixels < 0:
            raise ValueError(f"width_pixels must not be negative, got {width_pixels}")
    if width_physical is not None:
        width_physical = _positive(width_physical, "width_physical")
    steps = None if spacing is None else _spacing(spacing)
    return Nearness(width, width_pixels, width_physical, steps, distance)


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    return number


def _spacing(spacing: Any) -> tuple[float, ...]:
    if isinstance(spacing, str) or not isinstance(spacing, (Sequence, np.ndarray)):
        raise TypeError(f"spacing must hold one number per axis, got {spacing!r}")
    return tuple(_positive(step, "spacing") for step in spacing)


def _map_class(map_class: Any, return_map: bool, num_classes: int) -> int | None:
    if map_class is None:
        return None
    if isinstance(map_class, bool):
        raise TypeError(f"map_class must be an integer, got {map_class!r}")
    chosen = integer(map_class, "map_class")
    if not return_map:
        raise ValueError("map_class is for the map of causes: pass return_map=True")
    if not 0 <= chosen < num_classes:
        raise ValueError(f"map_class must lie in 0..{num_classes - 1}, got {chosen}")
    return chosen


# --- what is near --------------------------------------------------------------------------------


def element_rows(nearness: Nearness, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Rows of the set of near offsets: (planes on, rows on, reach to either side), nearest first.

    Offsets that lead out of an image of this shape from everywhere are left out.
    """
    spacing = nearness.spacing or (1.0,) * len(shape)
    if len(spacing) != len(shape):
        raise ValueError(
            f"spacing must hold one number per axis of the maps, {len(shape)} of them, "
            f"got {len(spacing)}"
        )
    unit = min(spacing)
    steps = tuple(step / unit for step in spacing)
    if nearness.width_pixels is not None:
        width = nearness.width_pixels
    elif nearness.width_physical is not None:
        width = round(nearness.width_physical / unit)
    else:
        diagonal = math.sqrt(sum((n * s) ** 2 for n, s in zip(shape, steps, strict=True)))
        width = round(nearness.width * diagonal)
    far = tuple(min(n - 1, math.floor((width + 1) / s)) for n, s in zip(shape, steps, strict=True))
    if len(shape) == 2:
        steps, far = (1.0, *steps), (0, *far)
    return _rows(width, steps, far, nearness.distance)


@lru_cache(maxsize=64)
def _rows(
    width: int, steps: tuple[float, ...], far: tuple[int, ...], distance: Distance
) -> NDArray[np.int64]:
    """Rows of the set of offsets up to `far` along each axis whose length is at most `width`."""
    planes, rows = (np.arange(-n, n + 1) for n in far[:2])
    planes, rows = (axis.ravel() for axis in np.meshgrid(planes, rows, indexing="ij"))

    def length(reach: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = np.abs([planes * steps[0], rows * steps[1], reach * steps[2]])
        if distance == "fast":
            return np.asarray(parts.max(axis=0))
        return np.asarray(np.sqrt((parts**2).sum(axis=0)))

    across = length(np.zeros_like(rows))
    reach = np.full_like(rows, far[2])
    if distance == "exact":
        room = np.maximum((width + 0.5) ** 2 - across**2, 0.0)
        reach = np.minimum(reach, (np.sqrt(room) / steps[2]).astype(np.int64) + 1)
    # One step too far at most, but for rounding.
    for _ in range(3):
        reach = reach - (np.rint(length(reach)) > width)
    near = (np.rint(across) <= width) & (reach >= 0)
    order = np.argsort(across[near], kind="stable")
    return np.stack([planes[near], rows[near], reach[near]], axis=1)[order]


# --- measuring -----------------------------------------------------------------------------------


def _label_maps(
    pred: Any, target: Any, mask: Any
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    """The maps of one image as arrays that fit together."""
    pred = as_array(pred, "pred")
    target = as_array(target, "target")
    for array, name in ((pred, "pred"), (target, "target")):
        require_labels(array, name)
    if pred.shape != target.shape:
        raise ValueError(
            f"pred and target must have the same shape, got {pred.shape} and {target.shape}"
        )
    if target.ndim not in (2, 3):
        raise ValueError(
            f"label maps must be 2-D or 3-D, got shape {target.shape}; pass a batch as a list"
        )
    if mask is not None:
        mask = as_array(mask, "mask")
        require_mask(mask, target)
    return pred, target, mask


def _measure(
    pred: Any,
    target: Any,
    mask: Any,
    rules: Rules,
    nearness: Nearness,
    return_map: bool,
    map_class: int | None,
) -> tuple[CauseCounts, NDArray[np.uint8] | None]:
    pred, target, mask = _label_maps(pred, target, mask)
    element = element_rows(nearness, target.shape)
    counts, odd, sides, kinds = _core.error_causes(
        rules.native, pred, target, mask, element, rules.out_of_range == "ignore",
        return_map and map_class is None, map_class,
    )  # fmt: skip
    if any(odd):
        check_labels(pred, target, mask, rules, odd)
    columns = np.ascontiguousarray(counts.T)
    return CauseCounts(*columns), sides if map_class is None else kinds


def _paired(
    measure: Callable[[Any, Any, Any], Measured], preds: Any, targets: Any, masks: Any
) -> list[Measured]:
    """measure(pred, target, mask) of each image of the lists."""
    for name, items in (("pred", preds), ("ignore_index", masks)):
        if items is not None and (
            not isinstance(items, list | tuple) or len(items) != len(targets)
        ):
            raise ValueError(f"{name} must be a list of {len(targets)} maps, as target is")
    measured = []
    for i, target in enumerate(targets):
        try:
            measured.append(measure(preds[i], target, None if masks is None else masks[i]))
        except (ValueError, TypeError) as error:
            raise type(error)(f"image {i} of the list: {error}") from None
    return measured
