"""The points of a surface in plain NumPy, and their weights: for tables and metrics of steps."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    FloatArray = NDArray[np.float64]


def voxel_surface(mask: Mask, ignored: Mask, surface: str, border: str) -> Mask:
    """Pixels of a mask with a neighbour outside of it, both not ignored; all if "foreground".

    Examples
    --------
    >>> mask = np.array([[1, 1, 1, 0]], bool)
    >>> voxel_surface(mask, np.zeros((1, 4), bool), "voxel_face", "ignore")
    array([[False, False,  True, False]])
    """
    if surface == "foreground":
        return np.asarray(mask & ~ignored, bool)
    inside, unknown = beyond(mask, border), beyond(ignored, border)
    outside = ~inside & ~unknown
    found = np.zeros(mask.shape, bool)
    for step in itertools.product((0, 1, 2), repeat=mask.ndim):
        if surface == "voxel_full" or sum(s != 1 for s in step) == 1:
            found |= outside[tuple(slice(s, s + n) for s, n in zip(step, mask.shape, strict=True))]
    return np.asarray(found & mask & ~ignored, bool)


def corner_codes(mask: Mask, ignored: Mask, border: str) -> NDArray[np.int64]:
    """For each corner of a pixel which of the pixels around it are of the mask, as a number.

    The last pixel of the block is bit 0, the last axis running fastest. -1 where all pixels are
    of the mask or none is, or one is ignored.

    Examples
    --------
    >>> corner_codes(np.array([[1]], bool), np.zeros((1, 1), bool), "background")
    array([[1, 2],
           [4, 8]])
    """
    inside, unknown = beyond(mask, border), beyond(ignored, border)
    codes = np.zeros([n + 1 for n in mask.shape], np.int64)
    is_unknown = np.zeros(codes.shape, bool)
    for step in itertools.product((0, 1), repeat=mask.ndim):
        here = tuple(slice(s, s + n) for s, n in zip(step, codes.shape, strict=True))
        codes = 2 * codes + inside[here]
        is_unknown |= unknown[here]
    return np.where(is_unknown | (codes == 0) | (codes == 2**2**mask.ndim - 1), -1, codes)


def beyond(mask: Mask, border: str) -> Mask:
    """The mask with one pixel more on every side."""
    if border == "background" or mask.size == 0:
        return np.pad(mask, 1)
    return np.pad(mask, 1, mode="edge")


def corner_weights(spacing: Sequence[float], weights: str) -> FloatArray:
    """Weight of a corner by its code.

    Examples
    --------
    >>> corner_weights((1.0, 2.0), "face_share")[[0b0001, 0b0011, 0b1111]]
    array([1.5, 2. , 0. ])
    """
    ndim = len(spacing)
    num_codes = 2**2**ndim
    if weights == "count":
        return np.ones(num_codes)
    if weights == "marching":
        from ._element_areas import element_areas

        return element_areas(spacing)
    # A face lies between two pixels of a block, and has as many corners as there are such pairs.
    blocks = (np.arange(num_codes)[:, None] >> np.arange(2**ndim)[::-1]) & 1
    blocks = blocks.reshape(num_codes, *(2,) * ndim)
    shares = np.zeros(num_codes)
    for axis in range(ndim):
        area = np.prod([s for a, s in enumerate(spacing) if a != axis])
        faces = np.abs(np.diff(blocks, axis=axis + 1)).reshape(num_codes, -1).sum(axis=1)
        shares += faces * (area / 2 ** (ndim - 1))
    return shares


def element_area(spacing: Sequence[float], axis: int) -> float:
    """Area of a triangle of a face across an axis; in 2-D the length of the face.

    Examples
    --------
    >>> element_area((2.0, 0.5), 0), element_area((2.0, 0.5, 3.0), 0)
    (0.5, 0.75)
    """
    sides = [s for a, s in enumerate(spacing) if a != axis]
    return sides[0] if len(sides) == 1 else sides[0] * sides[1] / 2
