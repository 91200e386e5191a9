"""Topology: components, holes and cavities of masks, and whether centre lines are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from .. import _core
from .._arrays import as_array, thread_limit
from .._counts import Summable, equal_arrays, require_counts
from ._components import label_components
from ._morphology import complement, ignored_pixels, label_pair, mask_runs, run_shape
from ._stored import natural_numbers, required, whole_number, whole_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]
    from ._runs import RunList

    Mask = NDArray[np.bool_]

SkeletonMethod = Literal["zhang", "lee", "soft"]
Skeleton = SkeletonMethod | Callable[["NDArray[np.bool_]"], "ArrayLike"]

_DUAL = {4: 8, 8: 4, 6: 26, 26: 6}


def betti_numbers(mask: Any, *, connectivity: int | None = None, threads: int = 0) -> IntArray:
    """Components, holes and cavities of a mask.

    Parameters
    ----------
    mask : array_like of int or bool, 2-D or 3-D, or RunList
        The mask is what is not 0.
    connectivity : {4, 8} in 2-D, {6, 26} in 3-D, optional
        Which pixels of the mask are connected; the rest is connected by the other one. Default 8
        or 26.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input. The result does not depend on it.

    Returns
    -------
    numpy.ndarray
        ``[b0, b1]`` in 2-D (components, holes) and ``[b0, b1, b2]`` in 3-D (components, tunnels,
        cavities), int64.

    Raises
    ------
    ValueError, TypeError
        The mask is of another kind or number of axes, or the connectivity is none of these.

    Notes
    -----
    Definition and source: homology of the union of closed pixels (connectivity 8 or 26) or of the
    pixels and their common edges and faces (4 or 6). Beyond the image there is background. ``b1``
    in 3-D follows from the Euler characteristic: ``b0 - b1 + b2``.

    Examples
    --------
    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> betti_numbers(ring)
    array([1, 1])
    >>> betti_numbers(np.stack([ring, ring]))
    array([1, 1, 0])
    """
    runs = mask_runs(mask, threads)
    full = _is_full(connectivity, len(runs.shape))
    own = _connectivity(full, len(runs.shape))
    components = label_components(runs, connectivity=own, threads=threads)
    gaps = label_components(complement(runs), connectivity=_DUAL[own], threads=threads)
    b0 = len(components.id)
    # Also along an axis of length 1 there is background beyond the image.
    extents, box = np.array(runs.shape), gaps.bounding_box
    at_border = ((box[..., 0] == 0) | (box[..., 1] == extents)).any(axis=-1)
    enclosed = int(np.count_nonzero(~at_border))
    if len(runs.shape) == 2:
        return np.array([b0, enclosed], np.int64)
    tunnels = b0 + enclosed - _euler(runs, full, threads)
    return np.array([b0, tunnels, enclosed], np.int64)


def euler_characteristic(mask: Any, *, connectivity: int | None = None, threads: int = 0) -> int:
    """Euler characteristic of a mask: ``b0 - b1`` in 2-D, ``b0 - b1 + b2`` in 3-D.

    Parameters, conventions and errors are those of :func:`betti_numbers`.

    Examples
    --------
    >>> euler_characteristic([[1, 0, 1], [1, 1, 1]])
    1
    """
    runs = mask_runs(mask, threads)
    return _euler(runs, _is_full(connectivity, len(runs.shape)), threads)


@dataclass(frozen=True, eq=False, kw_only=True)
class BettiCounts(Summable):
    """Betti numbers of two maps, class by class, summed over patches and images.

    Attributes
    ----------
    labels : tuple of int
        Label of each class; -1 stands for all labels but 0 as one mask.
    pred, target : (C, D) int64
        Sums of the Betti numbers.
    difference : (C, D) int64
        Sum of their absolute differences, patch by patch.
    num_present : (C,) int64
        Patches in which either map has the class.
    num_patches : int
        Patches; whole images count as one.
    """

    labels: tuple[int, ...]
    pred: IntArray
    target: IntArray
    difference: IntArray
    num_present: IntArray
    num_patches: int

    def __add__(self, other: BettiCounts) -> BettiCounts:
        """Counts of both sets of images."""
        if not isinstance(other, BettiCounts):
            return NotImplemented
        if (self.labels, self.pred.shape) != (other.labels, other.pred.shape):
            raise ValueError("counts of different labels or numbers of axes cannot be added")
        return BettiCounts(
            labels=self.labels,
            pred=self.pred + other.pred,
            target=self.target + other.target,
            difference=self.difference + other.difference,
            num_present=self.num_present + other.num_present,
            num_patches=self.num_patches + other.num_patches,
        )

    def __eq__(self, other: object) -> bool:
        return equal_arrays(self, other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send; see :meth:`from_arrays`."""
        return {part.name: np.asarray(getattr(self, part.name), np.int64) for part in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Counts from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            The arrays are not such counts.
        """
        stored = required(arrays, (part.name for part in fields(cls)), cls.__name__)
        labels = whole_numbers(stored["labels"], np.int64, "labels")
        shape = (len(labels), *stored["pred"].shape[1:])
        columns: dict[str, Any] = {
            "labels": tuple(labels.tolist()),
            "num_patches": whole_number(stored["num_patches"], "num_patches"),
            "num_present": natural_numbers(stored["num_present"], "num_present"),
        }
        for name in ("pred", "target", "difference"):
            numbers = natural_numbers(stored[name].ravel(), name)
            if stored[name].shape != shape or shape[1:] not in ((2,), (3,)):
                raise ValueError(
                    f"{name} must hold two or three numbers per label, got {stored[name].shape}"
                )
            columns[name] = numbers.reshape(shape)
        if len(columns["num_present"]) != len(labels):
            raise ValueError(f"num_present must hold a number for each of {len(labels)} labels")
        return cls(**columns)


def betti_counts(
    pred: Any,
    target: Any,
    *,
    labels: Sequence[int] | None = None,
    patch_size: int | Sequence[int] | None = None,
    connectivity: int | None = None,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> BettiCounts:
    """Compare the Betti numbers of two maps, for the whole image or patch by patch.

    Parameters
    ----------
    pred, target : array_like of int or bool, 2-D or 3-D, of equal shape
        Label maps or masks.
    labels : sequence of int, optional
        Labels to compare, each as a mask of its own. Default: all labels but 0 as one mask.
    patch_size : int or sequence of int, optional
        Cut the image into tiles of this size (smaller ones at the far borders) and compare tile
        by tile: errors in different places then cannot make up for each other. Default: no tiles.
    connectivity, threads
        As in :func:`betti_numbers`.
    ignore_index : int, sequence of int, or bool array, optional
        Labels of ``target``, or a mask, whose pixels are background in both maps.

    Returns
    -------
    BettiCounts

    Notes
    -----
    Definition and source: the Betti number error of Hu et al., Topology-preserving deep image
    segmentation (NeurIPS 2019), which averages over patches.

    Examples
    --------
    >>> ring = np.ones((3, 3), int)
    >>> ring[1, 1] = 0
    >>> betti_error(betti_counts(np.ones((3, 3), int), ring))
    array([[0., 1.]])
    """
    pred, target = label_pair(pred, target)
    chosen = _labels(labels)
    ignored = ignored_pixels(target, ignore_index)
    _is_full(connectivity, target.ndim)
    patches = list(_patches(target.shape, patch_size))
    numbers = np.zeros((2, len(chosen), len(patches), target.ndim), np.int64)
    for side, label_map in enumerate((pred, target)):
        for c, mask in enumerate(_masks(label_map, chosen, ignored)):
            for k, patch in enumerate(patches):
                numbers[side, c, k] = betti_numbers(
                    mask[patch], connectivity=connectivity, threads=threads
                )
    return BettiCounts(
        labels=chosen,
        pred=numbers[0].sum(axis=1),
        target=numbers[1].sum(axis=1),
        difference=np.abs(numbers[0] - numbers[1]).sum(axis=1),
        num_present=(numbers[..., 0] > 0).any(axis=0).sum(axis=1),
        num_patches=len(patches),
    )


def betti_error(counts: BettiCounts) -> FloatArray:
    """Mean absolute difference of Betti numbers over patches.

    Returns
    -------
    numpy.ndarray
        (C, D) float64: a row per label, a column per dimension. NaN for a label that no map has,
        so that it stays out of a mean over classes (``numpy.nanmean``); a label that only one map
        has counts with all of its Betti numbers.

    Examples
    --------
    >>> betti_error(betti_counts([[1, 0, 1]], [[1, 1, 1]], labels=[1, 2]))
    array([[ 1.,  0.],
           [nan, nan]])
    """
    require_counts(counts, BettiCounts, "betti_counts")
    rate = counts.difference / max(1, counts.num_patches)
    return np.where(counts.num_present[:, None] > 0, rate, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterlineCounts(Summable):
    """Pixels of the skeletons of two masks, and how many of each lie in the other mask.

    Attributes
    ----------
    pred_area, target_area : int
        Pixels of the masks.
    pred_skeleton, target_skeleton : int
        Pixels of their skeletons.
    pred_inside : int
        Pixels of the predicted skeleton in the target mask.
    target_inside : int
        Pixels of the target's skeleton in the predicted mask.
    """

    pred_area: int
    target_area: int
    pred_skeleton: int
    target_skeleton: int
    pred_inside: int
    target_inside: int

    def __add__(self, other: CenterlineCounts) -> CenterlineCounts:
        """Counts of both sets of images."""
        if not isinstance(other, CenterlineCounts):
            return NotImplemented
        return CenterlineCounts(
            **{
                part.name: getattr(self, part.name) + getattr(other, part.name)
                for part in fields(self)
            }
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send; see :meth:`from_arrays`."""
        return {part.name: np.asarray(getattr(self, part.name)) for part in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Counts from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            The arrays are not such counts.
        """
        stored = required(arrays, (part.name for part in fields(cls)), cls.__name__)
        return cls(**{name: whole_number(array, name) for name, array in stored.items()})


def centerline_counts(
    pred: Any,
    target: Any,
    *,
    skeleton: Skeleton | None = None,
    pred_skeleton: Any = None,
    target_skeleton: Any = None,
) -> CenterlineCounts:
    """Skeletons of two masks, and how much of each lies in the other mask.

    Parameters
    ----------
    pred, target : array_like of int or bool, 2-D or 3-D, of equal shape
        The masks are what is not 0.
    skeleton : {"zhang", "lee", "soft"} or callable, optional
        ``"zhang"``: thinning of Zhang and Suen (2-D). ``"lee"``: of Lee et al. (2-D and 3-D). Both
        by scikit-image, the extra ``topology``. ``"soft"``: erosions and openings until nothing is
        left, :func:`soft_skeleton`. A callable makes a skeleton from a bool mask. There is no
        default: the score depends on it.
    pred_skeleton, target_skeleton : array_like, optional
        Ready skeletons of the two masks, instead of ``skeleton``.

    Returns
    -------
    CenterlineCounts

    Raises
    ------
    ValueError
        Shapes differ; neither a method nor both skeletons are given, or both; ``"zhang"`` in 3-D.
    ImportError
        scikit-image is not there.

    Examples
    --------
    >>> line = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    >>> counts = centerline_counts(line, np.ones((3, 4), int), skeleton="soft")
    >>> counts.pred_inside, counts.pred_skeleton
    (4, 4)
    """
    masks = [array != 0 for array in label_pair(pred, target)]
    given = [pred_skeleton, target_skeleton]
    if (skeleton is None) == any(part is None for part in given):
        raise ValueError("pass either skeleton=, or pred_skeleton= and target_skeleton=")
    if skeleton is not None:
        given = [_skeleton(mask, skeleton) for mask in masks]
    lines = [np.asarray(part) != 0 for part in given]
    for line, name in zip(lines, ("pred", "target"), strict=True):
        if line.shape != masks[0].shape:
            raise ValueError(
                f"the skeleton of {name} must have the shape {masks[0].shape}, got {line.shape}"
            )
    return CenterlineCounts(
        pred_area=int(masks[0].sum()),
        target_area=int(masks[1].sum()),
        pred_skeleton=int(lines[0].sum()),
        target_skeleton=int(lines[1].sum()),
        pred_inside=int((lines[0] & masks[1]).sum()),
        target_inside=int((lines[1] & masks[0]).sum()),
    )


def centerline_dice(counts: CenterlineCounts) -> float:
    """Centerline Dice (clDice) from the counts of one image or of many.

    Harmonic mean of topology precision (share of the predicted skeleton in the target) and
    topology sensitivity (share of the target's skeleton in the prediction); 0 to 1. NaN where both
    masks are empty; 0 where one is, or where a mask has no skeleton.

    Notes
    -----
    Definition and source: Shit et al., clDice (CVPR 2021).

    Examples
    --------
    >>> line, half = np.zeros((2, 3, 6), int)
    >>> line[1], half[1, :3] = 1, 1
    >>> centerline_dice(centerline_counts(half, line, skeleton="soft"))
    0.666...
    """
    require_counts(counts, CenterlineCounts, "centerline_counts")
    if counts.pred_area == 0 and counts.target_area == 0:
        return float("nan")
    if not counts.pred_inside or not counts.target_inside:
        return 0.0
    precision = counts.pred_inside / counts.pred_skeleton
    sensitivity = counts.target_inside / counts.target_skeleton
    return 2 * precision * sensitivity / (precision + sensitivity)


def soft_skeleton(mask: Any, *, iterations: int | None = None) -> Mask:
    """Skeleton by repeated erosion: what an opening takes away, level by level.

    Parameters
    ----------
    mask : array_like of int or bool, 2-D or 3-D
        The mask is what is not 0.
    iterations : int, optional
        Number of erosions, as in soft-clDice; default: until nothing is left.

    Returns
    -------
    numpy.ndarray
        Bool, of the shape of the mask.

    Raises
    ------
    ValueError
        `iterations` is negative.

    Notes
    -----
    Definition and source: soft-skeletonization of Shit et al., clDice (CVPR 2021), of a mask
    without soft values: erosion by the cross, dilation by the full neighbourhood; what lies
    beyond the image has no part in either.

    Examples
    --------
    >>> soft_skeleton(np.ones((3, 5), int)).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0]])
    """
    if iterations is not None and iterations < 0:
        raise ValueError(f"iterations must not be negative, got {iterations}")
    current = np.asarray(as_array(mask, "mask") != 0)
    skeleton = current & ~_dilated(_eroded(current))
    step = 0
    while current.any() and (iterations is None or step < iterations):
        eroded = _eroded(current)
        if iterations is None and np.array_equal(eroded, current):
            break
        current = eroded
        skeleton |= current & ~_dilated(_eroded(current))
        step += 1
    return skeleton


# --- details ----------------------------------------------------------------------------------


def _is_full(connectivity: int | None, ndim: int) -> bool:
    allowed = {2: (4, 8), 3: (6, 26)}[ndim]
    if connectivity is None:
        return True
    if isinstance(connectivity, bool) or connectivity not in allowed:
        raise ValueError(
            f"connectivity must be {allowed[0]} or {allowed[1]} in {ndim}-D, got {connectivity!r}"
        )
    return connectivity == allowed[1]


def _connectivity(full: bool, ndim: int) -> int:
    return {2: (4, 8), 3: (6, 26)}[ndim][full]


def _euler(runs: RunList, full: bool, threads: int) -> int:
    return _core.euler_characteristic(
        run_shape(runs.shape),
        runs.row_begin,
        runs.begin,
        runs.end,
        len(runs.shape) == 3,
        full,
        thread_limit(threads),
    )


def _masks(
    label_map: NDArray[Any], labels: tuple[int, ...], ignored: Mask | None
) -> Iterator[Mask]:
    for label in labels:
        mask = label_map != 0 if label == -1 else label_map == label
        yield np.asarray(mask) if ignored is None else mask & ~ignored


def _labels(labels: Any) -> tuple[int, ...]:
    if labels is None:
        return (-1,)
    chosen = tuple(labels)
    if not chosen or any(
        isinstance(label, bool) or not isinstance(label, (int, np.integer)) or label < 0
        for label in chosen
    ):
        raise ValueError(f"labels must be one or more integers from 0 on, got {labels!r}")
    return tuple(int(label) for label in chosen)


def _patches(
    shape: tuple[int, ...], patch_size: int | Sequence[int] | None
) -> Iterator[tuple[slice, ...]]:
    given = np.asarray(shape if patch_size is None else patch_size)
    if (
        given.dtype.kind not in "iu"
        or given.size not in (1, len(shape))
        or (patch_size is not None and given.min() < 1)
    ):
        raise ValueError(
            f"patch_size must be one integer from 1 on, or {len(shape)}, got {patch_size!r}"
        )
    sizes = np.maximum(1, np.broadcast_to(given.ravel(), len(shape))).tolist()
    starts = [range(0, max(1, n), size) for n, size in zip(shape, sizes, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(slice(at, at + size) for at, size in zip(corner, sizes, strict=True))


def _skeleton(mask: Mask, method: Skeleton) -> Any:
    if callable(method):
        return method(mask)
    if method not in get_args(SkeletonMethod):
        raise ValueError(
            f"skeleton must be one of {', '.join(map(repr, get_args(SkeletonMethod)))} "
            f"or a function, got {method!r}"
        )
    if method == "soft":
        return soft_skeleton(mask)
    if method == "zhang" and mask.ndim != 2:
        raise ValueError('skeleton="zhang" is for 2-D masks; in 3-D use "lee"')
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise ImportError(
            f'skeleton="{method}" needs scikit-image: pip install "segmeter[topology]"'
        ) from error
    thin: Any = skeletonize
    return thin(mask, method=method)


def _shifted(mask: Mask, axis: int, step: int, outside: bool) -> Mask:
    """The neighbour's value along an axis."""
    result = np.full_like(mask, outside)
    near, far = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
    near[axis], far[axis] = (slice(1, None), slice(None, -1))[:: 1 if step > 0 else -1]
    result[tuple(far)] = mask[tuple(near)]
    return result


def _eroded(mask: Mask) -> Mask:
    result = mask.copy()
    for axis in range(mask.ndim):
        for step in (-1, 1):
            result &= _shifted(mask, axis, step, True)
    return result


def _dilated(mask: Mask) -> Mask:
    result = mask
    for axis in range(mask.ndim):
        before, after = (_shifted(result, axis, step, False) for step in (-1, 1))
        result = result | before | after
    return result
