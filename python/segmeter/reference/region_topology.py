"""Dilation and topology in plain NumPy and SciPy: what the run-based functions must equal."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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
