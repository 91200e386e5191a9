"""Dilation and topology in plain NumPy and SciPy: what the run-based functions must equal."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..region import BettiCounts, CenterlineCounts


def dilate(
    mask: ArrayLike, *, offsets: ArrayLike | None = None, iterations: int = 1, threads: int = 0
) -> NDArray[np.bool_]:
    """NumPy twin of :func:`segmeter.dilate`, which returns runs: the mask itself.

    Examples
    --------
    >>> dilate([[0, 0, 0, 1]]).astype(int)
    array([[0, 0, 1, 1]])
    """
    del threads
    current = np.asarray(np.asarray(mask) != 0)
    if offsets is None:
        steps = np.array(list(itertools.product((-1, 0, 1), repeat=current.ndim)))
        offsets = steps[np.count_nonzero(steps, axis=1) <= 2]
    for _ in range(iterations):
        pixels = np.argwhere(current)
        current = np.zeros_like(current)
        for offset in np.asarray(offsets):
            moved = pixels + offset
            inside = ((moved >= 0) & (moved < current.shape)).all(axis=1)
            current[tuple(moved[inside].T)] = True
    return current


def euler_characteristic(
    mask: ArrayLike, *, connectivity: int | None = None, threads: int = 0
) -> int:
    """NumPy twin of :func:`segmeter.euler_characteristic`: every cell counted with its sign.

    With the larger connectivity the cells are pixels with their faces, edges and corners; with
    the smaller one pixels, and the pairs, squares and cubes of pixels that lie in the mask.

    Examples
    --------
    >>> diagonal = [[1, 0], [0, 1]]
    >>> euler_characteristic(diagonal), euler_characteristic(diagonal, connectivity=4)
    (1, 2)
    """
    del threads
    padded = np.pad(np.asarray(mask) != 0, 1)
    full = connectivity in (None, 8, 26)
    total = 0
    for extent in itertools.product((0, 1), repeat=padded.ndim):
        around = [
            padded[
                tuple(
                    slice(s, n - e + s) for s, e, n in zip(shift, extent, padded.shape, strict=True)
                )
            ]
            for shift in itertools.product(*(range(e + 1) for e in extent))
        ]
        cells = np.logical_or.reduce(around) if full else np.logical_and.reduce(around)
        dimension = padded.ndim - sum(extent) if full else sum(extent)
        total += (-1) ** dimension * int(cells.sum())
    return total


def betti_numbers(
    mask: ArrayLike, *, connectivity: int | None = None, threads: int = 0
) -> NDArray[np.int64]:
    """SciPy twin of :func:`segmeter.betti_numbers`.

    Examples
    --------
    >>> betti_numbers([[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    array([1, 1])
    """
    from scipy import ndimage

    padded = np.pad(np.asarray(mask) != 0, 1)
    whole = ndimage.generate_binary_structure(padded.ndim, padded.ndim)
    cross = ndimage.generate_binary_structure(padded.ndim, 1)
    full = connectivity in (None, 8, 26)
    components = ndimage.label(padded, whole if full else cross)[1]
    gaps = ndimage.label(~padded, cross if full else whole)[1] - 1
    if padded.ndim == 2:
        return np.array([components, gaps])
    euler = euler_characteristic(mask, connectivity=connectivity, threads=threads)
    return np.array([components, components + gaps - euler, gaps])


def betti_counts(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    labels: Sequence[int] | None = None,
    patch_size: int | Sequence[int] | None = None,
    connectivity: int | None = None,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> BettiCounts:
    """SciPy twin of :func:`segmeter.betti_counts`; same arguments, same result.

    Examples
    --------
    >>> betti_counts([[1, 1, 1]], [[1, 0, 1]]).difference
    array([[1, 0]])
    """
    from ..region import BettiCounts

    del threads
    maps = np.asarray(pred), np.asarray(target)
    ignored = np.zeros(maps[1].shape, bool)
    if ignore_index is not None:
        given = np.asarray(ignore_index)
        ignored = given if given.dtype == np.bool_ else np.isin(maps[1], given)
    sizes = np.broadcast_to(maps[1].shape if patch_size is None else patch_size, maps[1].ndim)
    tile_of = [np.arange(n) // max(1, size) for n, size in zip(maps[1].shape, sizes, strict=True)]
    tiles = list(itertools.product(*(range(part.max(initial=0) + 1) for part in tile_of)))
    rows = []
    for label in (-1,) if labels is None else labels:
        masks = [(part != 0 if label == -1 else part == label) & ~ignored for part in maps]
        row = np.zeros((len(tiles), 2, maps[1].ndim), np.int64)
        for k, tile in enumerate(tiles):
            inside = np.ix_(*(np.flatnonzero(t == at) for t, at in zip(tile_of, tile, strict=True)))
            row[k] = [betti_numbers(mask[inside], connectivity=connectivity) for mask in masks]
        rows.append(row)
    numbers = np.stack(rows)
    return BettiCounts(
        labels=(-1,) if labels is None else tuple(labels),
        pred=numbers[:, :, 0].sum(axis=1),
        target=numbers[:, :, 1].sum(axis=1),
        difference=abs(numbers[:, :, 0] - numbers[:, :, 1]).sum(axis=1),
        num_present=(numbers[..., 0].sum(axis=2) > 0).sum(axis=1),
        num_patches=len(tiles),
    )


def betti_error(counts: BettiCounts) -> NDArray[np.float64]:
    """Twin of :func:`segmeter.betti_error`.

    Examples
    --------
    >>> betti_error(betti_counts([[1, 1, 1]], [[1, 0, 1]], patch_size=(1, 3)))
    array([[1., 0.]])
    """
    return np.array(
        [
            [float(Fraction(int(d), counts.num_patches)) if present else math.nan for d in row]
            for row, present in zip(counts.difference, counts.num_present, strict=True)
        ]
    )


def centerline_counts(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    skeleton: str | Callable[[NDArray[np.bool_]], Any] | None = None,
    pred_skeleton: ArrayLike | None = None,
    target_skeleton: ArrayLike | None = None,
) -> CenterlineCounts:
    """Twin of :func:`segmeter.centerline_counts`, of sets of pixels; same arguments, same result.

    Examples
    --------
    >>> line = [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    >>> counts = centerline_counts(line, np.ones((3, 4), int), skeleton="soft")
    >>> counts.pred_inside, counts.pred_skeleton
    (4, 4)
    """
    from ..region import CenterlineCounts

    def thin(mask: NDArray[np.bool_]) -> Any:
        if callable(skeleton):
            return skeleton(mask)
        if skeleton == "soft":
            return soft_skeleton(mask)
        from skimage.morphology import skeletonize

        untyped: Any = skeletonize
        return untyped(mask, method=skeleton)

    def pixels(image: Any) -> set[tuple[int, ...]]:
        return set(map(tuple, np.argwhere(image).tolist()))

    masks = [np.asarray(part) != 0 for part in (pred, target)]
    lines = [pred_skeleton, target_skeleton]
    if skeleton is not None:
        lines = [thin(mask) for mask in masks]
    pred_mask, target_mask, pred_line, target_line = map(pixels, [*masks, *lines])
    return CenterlineCounts(
        pred_area=len(pred_mask),
        target_area=len(target_mask),
        pred_skeleton=len(pred_line),
        target_skeleton=len(target_line),
        pred_inside=len(pred_line & target_mask),
        target_inside=len(target_line & pred_mask),
    )


def centerline_dice(counts: CenterlineCounts) -> float:
    """Twin of :func:`segmeter.centerline_dice`: the harmonic mean of two exact shares.

    Examples
    --------
    >>> line, half = [[0] * 6, [1] * 6, [0] * 6], [[0] * 6, [1, 1, 1, 0, 0, 0], [0] * 6]
    >>> round(centerline_dice(centerline_counts(half, line, skeleton="soft")), 4)
    0.6667
    """
    if counts.pred_area == counts.target_area == 0:
        return math.nan
    if counts.pred_skeleton == 0 or counts.target_skeleton == 0:
        return 0.0
    precision = Fraction(counts.pred_inside, counts.pred_skeleton)
    sensitivity = Fraction(counts.target_inside, counts.target_skeleton)
    if precision == 0 or sensitivity == 0:
        return 0.0
    return float(2 / (1 / precision + 1 / sensitivity))


def soft_skeleton(mask: Any, *, iterations: int | None = None) -> NDArray[np.bool_]:
    """SciPy twin of :func:`segmeter.soft_skeleton`.

    Examples
    --------
    >>> soft_skeleton([[0, 0, 0], [1, 1, 1], [0, 0, 0]]).astype(int)
    array([[0, 0, 0],
           [1, 1, 1],
           [0, 0, 0]])
    """
    from scipy import ndimage

    def eroded(image: NDArray[np.bool_]) -> NDArray[np.bool_]:
        cross = ndimage.generate_binary_structure(image.ndim, 1)
        return np.asarray(ndimage.binary_erosion(image, cross, border_value=1))

    def opening_takes(image: NDArray[np.bool_]) -> NDArray[np.bool_]:
        square = ndimage.generate_binary_structure(image.ndim, image.ndim)
        return np.asarray(image & ~ndimage.binary_dilation(eroded(image), square))

    current = np.asarray(mask) != 0
    skeleton = opening_takes(current)
    # A step of an erosion goes along one axis: from a corner to the one across, along all of them.
    limit = sum(current.shape) if iterations is None else iterations
    for _ in range(limit):
        current = eroded(current)
        skeleton |= opening_takes(current)
    return skeleton
