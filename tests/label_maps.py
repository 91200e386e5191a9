"""Label maps for the tests of several families."""

from __future__ import annotations

import numpy as np


def blobs(rng: np.random.Generator, shape: tuple[int, ...], classes: int, size: int) -> np.ndarray:
    """A map of rectangles, so that there are outlines, nested regions and thin lines."""
    canvas = np.zeros(shape, np.int64)
    for _ in range(int(rng.integers(1, 12))):
        low = [int(rng.integers(0, n)) for n in shape]
        high = [a + int(rng.integers(1, size + 1)) for a in low]
        canvas[tuple(map(slice, low, high))] = rng.integers(0, classes)
    return canvas
