"""Seeded label maps with regions: blobs, cells, lesions, organs, dense volumes, noise.

Every map is drawn from the seed alone. A pair is a (pred, target): the prediction is the same
drawing with other edges, a few regions missed and a few invented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def blobs(share: float, sigma: float, size: int = 2048, *, seed: int = 1) -> NDArray[np.uint8]:
    """A mask of smooth blobs that covers ``share`` of the image: noise blurred and cut."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal((size, size), dtype=np.float32)
    smooth = gaussian_filter(noise, sigma, mode="wrap")
    return (smooth > np.quantile(smooth, 1 - share)).astype(np.uint8)


def blob_pair(share: float, sigma: float, size: int = 2048) -> tuple[NDArray, NDArray]:
    """A blob mask and another whose edges are off by a few pixels."""
    from scipy.ndimage import gaussian_filter

    target = blobs(share, sigma, size)
    rng = np.random.default_rng(2)
    wobble = gaussian_filter(rng.standard_normal(target.shape, dtype=np.float32), sigma / 2)
    field = gaussian_filter(target.astype(np.float32), 2) + 0.3 * wobble / wobble.std()
    return (field > 0.5).astype(np.uint8), target


def noise(share: float, shape: tuple[int, ...], *, seed: int = 3) -> NDArray[np.uint8]:
    """A mask in which every pixel is drawn by itself: the worst case."""
    return (np.random.default_rng(seed).random(shape, dtype=np.float32) < share).astype(np.uint8)


def cells(count: int, size: int = 1024, *, seed: int = 4) -> tuple[NDArray, NDArray]:
    """Instance maps (int32) of ``count`` round cells: prediction and target."""
    rng = np.random.default_rng(seed)
    radius = 0.45 * size / count**0.5
    maps = [np.zeros((size, size), np.int32) for _ in range(2)]
    centers = rng.uniform(0, size, (count, 2))
    radii = radius * rng.uniform(0.7, 1.2, (count, 2))
    for number in range(count):
        for chosen, canvas in enumerate(maps):
            if chosen == 0 and rng.random() < 0.05:
                continue  # a missed cell
            shift = rng.normal(0, 0.1 * radius, 2) * (1 - chosen)
            ellipsoid(canvas, centers[number] + shift, radii[number], number + 1)
    return maps[0], maps[1]


def city(shape: tuple[int, int] = (1024, 2048), *, seed: int = 5) -> NDArray[np.uint8]:
    """A street of 19 classes and void 255, some 60 objects before a background in bands."""
    rng = np.random.default_rng(seed)
    height, width = shape
    canvas = np.zeros(shape, np.uint8)
    for band, label in enumerate((10, 2, 8, 1, 0)):
        edge = height * band // 5 + np.cumsum(rng.integers(-2, 3, width))
        canvas[np.arange(height)[:, None] >= edge] = label
    for _ in range(60):
        center = rng.uniform((height * 0.3, 0), (height, width))
        ellipsoid(canvas, center, rng.uniform(10, 90, 2), int(rng.integers(3, 19)))
    for _ in range(6):
        ellipsoid(canvas, rng.uniform((0, 0), shape), rng.uniform(10, 60, 2), 255)
    return canvas


def lesions(
    shape: tuple[int, int, int], count: int, largest: float, *, seed: int = 6
) -> tuple[NDArray, NDArray]:
    """Masks (uint8) of ``count`` ellipsoids, few of them large: prediction and target."""
    rng = np.random.default_rng(seed)
    maps = [np.zeros(shape, np.uint8) for _ in range(2)]
    for _ in range(count):
        center = rng.uniform(0, shape)
        radii = np.clip(largest * rng.random(3) ** 2, 1.2, largest)
        for chosen, canvas in enumerate(maps):
            if rng.random() < 0.1 * (1 - chosen):
                continue
            shift = rng.normal(0, 0.7, 3) * (1 - chosen)
            ellipsoid(canvas, center + shift, radii, 1)
    return maps[0], maps[1]


def brats(*, seed: int = 7) -> tuple[NDArray, NDArray]:
    """Tumour-like volumes of 155x240x240 with 25 lesions of nested classes 2, 1 and 3."""
    rng = np.random.default_rng(seed)
    maps = [np.zeros((155, 240, 240), np.uint8) for _ in range(2)]
    for _ in range(25):
        center = rng.uniform((20, 40, 40), (135, 200, 200))
        radii = rng.uniform(3, 18, 3)
        for chosen, canvas in enumerate(maps):
            shift = rng.normal(0, 0.8, 3) * (1 - chosen)
            for share, label in ((1.0, 2), (0.7, 1), (0.45, 3)):
                ellipsoid(canvas, center + shift, share * radii, label)
    return maps[0], maps[1]


def organs(shape: tuple[int, int, int] = (300, 512, 512), *, seed: int = 8) -> NDArray[np.uint8]:
    """A body of 14 organ classes, each of one to three ellipsoids with wavy surfaces."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros(shape, np.uint8)
    extents = np.array(shape)
    for label in range(1, 15):
        for _ in range(int(rng.integers(1, 4))):
            center = rng.uniform(0.25 * extents, 0.75 * extents)
            radii = extents * rng.uniform(0.04, 0.14, 3)
            ellipsoid(canvas, center, radii, label, wave=0.05, rng=rng)
    return canvas


def connectome(size: int, count: int, *, seed: int = 9) -> NDArray[np.uint32]:
    """A dense volume (uint32, no background) of ``count`` cells, each nearest in its own metric."""
    rng = np.random.default_rng(seed)
    nearest = np.full((size,) * 3, np.inf, np.float32)
    labels = np.zeros((size,) * 3, np.uint32)
    ids = rng.permutation(np.arange(10**6, 10**6 + 7 * count, 7)).astype(np.uint32)
    reach = 2.2 * size / count ** (1 / 3)
    for number in range(count):
        center = rng.uniform(0, size, 3)
        stretch = rng.uniform(0.7, 1.4, 3)
        box, distance = _distances(labels.shape, center, np.full(3, reach) * stretch)
        wave = rng.uniform(0.1, 0.4, 3)
        phases = np.ogrid[tuple(slice(n.start, n.stop) for n in box)]
        distance = distance * (
            1 + 0.05 * sum(np.sin(w * p) for w, p in zip(wave, phases, strict=True))
        )
        closer = distance < nearest[box]
        nearest[box][closer] = distance[closer]
        labels[box][closer] = ids[number]
    return labels


def _distances(
    shape: tuple[int, ...], center: NDArray, radii: NDArray
) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
    """The box around an ellipsoid and the squared distances in it, 1 on the surface."""
    low = np.clip(np.floor(center - radii).astype(int), 0, shape)
    high = np.clip(np.ceil(center + radii).astype(int) + 1, 0, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    grids = np.ogrid[box]
    squares = [((g - c) / r) ** 2 for g, c, r in zip(grids, center, radii, strict=True)]
    return box, np.asarray(sum(s.astype(np.float32) for s in squares))


def ellipsoid(
    canvas: NDArray,
    center: NDArray,
    radii: NDArray,
    label: int,
    *,
    wave: float = 0.0,
    rng: np.random.Generator | None = None,
) -> None:
    """Paint an ellipsoid, with a wavy surface if ``rng`` is given."""
    box, distance = _distances(canvas.shape, center, radii * (1 + wave))
    if rng is not None:
        phases = np.ogrid[box]
        waves = (
            np.sin(f * p) for f, p in zip(rng.uniform(0.05, 0.3, len(box)), phases, strict=True)
        )
        distance = distance * (1 + wave * sum(waves))
    canvas[box][distance <= 1] = label
