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


def organ(size: int = 256, *, seed: int = 11) -> Pair:
    """Masks of one organ that fills the volume, with surfaces that are wavy in their own ways."""
    rng = np.random.default_rng(seed)
    grids = np.ogrid[(slice(0, size),) * 3]
    center, radii = np.array([0.5, 0.48, 0.52]) * size, np.array([0.31, 0.36, 0.34]) * size
    masks = []
    for wave in (0.04, 0.03):
        square = sum(((g - c) / r) ** 2 for g, c, r in zip(grids, center, radii, strict=True))
        ripples = sum(
            np.sin(f * g + p)
            for f, g, p in zip(
                rng.uniform(8, 20, 3) / size, grids, rng.uniform(0, 6, 3), strict=True
            )
        )
        masks.append((square * (1 + wave * ripples) <= 1).astype(np.uint8))
    return masks[0], masks[1]


def lesions(size: int = 256) -> Pair:
    """Masks of 25 small lesions, some of them missed."""
    pred, target = regions.lesions((size,) * 3, 25, 0.06 * size)
    return pred, target


def organs(shape: tuple[int, int, int] = (128, 512, 512)) -> Pair:
    """Maps of 14 organs; in the prediction all of them are moved, and parts are lost."""
    target = regions.organs(shape)
    pred = np.roll(target, (1, 2, -3), axis=(0, 1, 2))
    pred[: shape[0] // 3, shape[1] // 2 :] = 0
    return pred, target


def street(shape: tuple[int, int] = (1024, 2048)) -> Pair:
    """Maps of 19 classes of a street without void; the prediction is off by some pixels."""
    target = regions.city(shape)
    target[target == 255] = 0
    return np.roll(target, (3, -4), axis=(0, 1)), target
