"""Seeded pairs of label maps with surfaces: an organ, lesions, a body of organs, a street.

The prediction is the same drawing with other edges; every map is drawn from the seed alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import _region_data as regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def organ(size: int = 256, *, error: float = 0.03, seed: int = 11) -> Pair:
    """Masks of one organ that fills the volume, with a wavy surface, and waves of the error."""
    rng = np.random.default_rng(seed)
    grids = np.ogrid[(slice(0, size),) * 3]
    center, radii = np.array([0.5, 0.48, 0.52]) * size, np.array([0.33, 0.38, 0.36]) * size
    square = sum(((g - c) / r) ** 2 for g, c, r in zip(grids, center, radii, strict=True))

    def ripples() -> NDArray[np.float64]:
        steps, phases = rng.uniform(8, 20, 3) / size, rng.uniform(0, 6, 3)
        parts = zip(steps, grids, phases, strict=True)
        return np.asarray(sum(np.sin(step * grid + phase) for step, grid, phase in parts))

    shape = square * (1 + 0.03 * ripples())
    return (shape * (1 + error * ripples()) <= 1).astype(np.uint8), (shape <= 1).astype(np.uint8)


def lesions(size: int = 256) -> Pair:
    """Masks of 25 small lesions, some of them missed."""
    pred, target = regions.lesions((size,) * 3, 25, 0.06 * size)
    return pred, target


def organs(shape: tuple[int, int, int] = (128, 512, 512), *, seed: int = 12) -> Pair:
    """Maps of 14 organs, each smaller than the one before; edges are off by a voxel or two."""
    rng = np.random.default_rng(seed)
    extents = np.array(shape)
    pred, target = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for label in range(1, 15):
        center = rng.uniform(0.25, 0.75, 3) * extents
        radii = extents * (0.24, 0.15, 0.17) * 0.84**label
        regions.ellipsoid(target, center, radii, label)
        regions.ellipsoid(pred, center + rng.normal(0, 1.2, 3), radii * 1.01, label)
    return pred, target


def street(shape: tuple[int, int] = (1024, 2048)) -> Pair:
    """Maps of 19 classes of a street without void; the prediction is off by some pixels."""
    target = regions.city(shape)
    target[target == 255] = 0
    return np.roll(target, (3, -4), axis=(0, 1)), target
