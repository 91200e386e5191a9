"""Seeded label maps for the benchmarks: what real masks look like, and what they do not.

Every generator takes a seed and draws the truth and a prediction that is wrong in the ways
networks are wrong: edges off by a few pixels, small blobs of another class, an object missed.
The figure that decides the speed of counting is the mean length of *joint runs* (stretches along
a row in which neither map changes); :func:`mean_joint_run` measures it and every table prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

LabelPair = tuple[NDArray, NDArray]
"""Prediction and target, of equal shape and type."""

SKY, ROAD, SIDEWALK, BUILDING, VEGETATION, TERRAIN = 10, 0, 1, 2, 8, 9
WALL, FENCE, POLE, LIGHT, SIGN = 3, 4, 5, 6, 7
PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = 11, 12, 13, 14, 15, 16, 17, 18


@dataclass(frozen=True)
class Region:
    """One object: on row ``top + i`` it covers columns ``left[i]`` to ``right[i] - 1``."""

    label: int
    top: int
    left: NDArray[np.int64]
    right: NDArray[np.int64]


def _paint(canvas: NDArray, regions: list[Region]) -> None:
    height, width = canvas.shape
    for region in regions:
        lefts = np.clip(region.left, 0, width)
        rights = np.clip(region.right, 0, width)
        for offset, (left, right) in enumerate(zip(lefts, rights, strict=True)):
            row = region.top + offset
            if 0 <= row < height and left < right:
                canvas[row, left:right] = region.label


def _wander(generator: np.random.Generator, count: int, limit: int) -> NDArray[np.int64]:
    """Return a random walk of ``count`` steps that stays within ``limit`` pixels of zero."""
    return np.clip(np.cumsum(generator.integers(-1, 2, count)), -limit, limit)


def _box(label: int, top: float, left: float, height: float, width: float) -> Region:
    rows = max(int(height), 1)
    start = np.full(rows, int(left))
    return Region(label, int(top), start, start + max(int(width), 1))


def _ellipse(
    label: int, row: float, column: float, half_height: float, half_width: float
) -> Region:
    rows = np.arange(int(row - half_height), int(row + half_height) + 1)
    reach = half_width * np.sqrt(np.clip(1 - ((rows - row) / max(half_height, 1)) ** 2, 0, 1))
    left, right = np.floor(column - reach), np.ceil(column + reach)
    return Region(label, int(rows[0]), left.astype(np.int64), right.astype(np.int64))


def _roughen(region: Region, generator: np.random.Generator, limit: int) -> Region:
    rows = len(region.left)
    return replace(
        region,
        left=region.left + _wander(generator, rows, limit),
        right=region.right + _wander(generator, rows, limit),
    )


def _predict(
    regions: list[Region], shape: tuple[int, int], labels: NDArray, generator: np.random.Generator
) -> list[Region]:
    """Return the regions as a network would see them: moved edges, wrong blobs, and of the smaller
    regions some missed and some mistaken.
    """
    height, width = shape
    seen = []
    for region in regions:
        large = np.sum(region.right - region.left) > 0.05 * height * width
        fate = 1.0 if large else generator.random()
        if fate < 0.03:
            continue
        moved = _roughen(region, generator, limit=3)
        moved = replace(moved, top=moved.top + int(generator.integers(-2, 3)))
        if fate < 0.08:
            moved = replace(moved, label=int(generator.choice(labels)))
        seen.append(moved)
    for _ in range(20):
        radius = generator.uniform(0.004, 0.02) * height
        row, column = generator.uniform(0, height), generator.uniform(0, width)
        seen.append(_ellipse(int(generator.choice(labels)), row, column, radius, 1.5 * radius))
    return seen


def _draw_pair(
    background: Callable[[NDArray], None],
    regions: list[Region],
    shape: tuple[int, int],
    labels: NDArray,
    generator: np.random.Generator,
) -> LabelPair:
    target = np.zeros(shape, np.uint8)
    background(target)
    pred = target.copy()
    _paint(target, regions)
    _paint(pred, _predict(regions, shape, labels, generator))
    return pred, target


def street(shape: tuple[int, int] = (1024, 2048), *, seed: int = 0) -> LabelPair:
    """Draw a street as a car's camera sees it: 19 classes, joint runs of about 100 pixels."""
    generator = np.random.default_rng(seed)
    height, width = shape
    horizon = 0.45 * height

    def background(canvas: NDArray) -> None:
        canvas[: int(horizon)] = SKY
        canvas[int(horizon) :] = TERRAIN

    regions = _street_ground(generator, height, width, horizon)
    regions += _street_backdrop(generator, height, width, horizon)
    regions += _street_traffic(generator, height, width, horizon)
    return _draw_pair(background, regions, shape, np.arange(19), generator)


def _street_ground(
    generator: np.random.Generator, height: int, width: int, horizon: float
) -> list[Region]:
    rows = np.arange(int(horizon), height)
    depth = (rows - horizon) / (height - horizon)
    middle = width * generator.uniform(0.4, 0.6)
    ground = []
    for label, near, far in ((SIDEWALK, 0.75, 0.12), (ROAD, 0.55, 0.06)):
        reach = width * (far + (near - far) * depth)
        left, right = (middle - reach).astype(np.int64), (middle + reach).astype(np.int64)
        ground.append(Region(label, int(rows[0]), left, right))
    return ground


def _street_backdrop(
    generator: np.random.Generator, height: int, width: int, horizon: float
) -> list[Region]:
    regions = []
    for _ in range(5):
        tall = generator.uniform(0.15, 0.42) * height
        left = generator.uniform(-0.05, 0.95) * width
        wide = generator.uniform(0.06, 0.25) * width
        regions.append(_box(BUILDING, horizon - tall, left, tall + 0.05 * height, wide))
    for _ in range(5):
        column = generator.uniform(0, width)
        half = generator.uniform(0.04, 0.13) * height
        crown = _ellipse(VEGETATION, horizon - 0.5 * half, column, half, 1.3 * half)
        regions.append(_roughen(crown, generator, limit=8))
    for label in (WALL, FENCE, FENCE):
        left = generator.uniform(0, 0.9) * width
        regions.append(_box(label, horizon - 0.02 * height, left, 0.06 * height, 0.1 * width))
    for _ in range(5):
        tall = generator.uniform(0.1, 0.3) * height
        column = generator.uniform(0, width)
        top = horizon + 0.06 * height - tall
        sign = int(generator.choice([LIGHT, SIGN]))
        regions.append(_box(POLE, top, column, tall, max(0.005 * height, 2)))
        regions.append(_box(sign, top, column - 3, 0.03 * height, 0.02 * height))
    return regions


def _street_traffic(
    generator: np.random.Generator, height: int, width: int, horizon: float
) -> list[Region]:
    kinds = [CAR] * 6 + [PERSON] * 5 + [RIDER] * 2 + [BICYCLE] * 2 + [MOTORCYCLE]
    kinds += [TRUCK, BUS, TRAIN]
    # Painted from far to near, so that the near ones hide the far ones.
    depths = np.sort(generator.uniform(0.02, 0.35, len(kinds)))
    regions = []
    for label, depth in zip(generator.permutation(kinds), depths, strict=True):
        size = (0.02 + 0.35 * depth) * height
        row, column = horizon + depth * height, generator.uniform(0, width)
        upright = label in (PERSON, RIDER)
        half_width = 0.35 * size if upright else 1.4 * size
        shape = _ellipse(int(label), row, column, size, half_width)
        regions.append(_roughen(shape, generator, limit=4))
    return regions


def indoor(shape: tuple[int, int] = (512, 683), *, seed: int = 1) -> LabelPair:
    """Draw a scene with many kinds of objects, as ADE20K has them: 150 classes."""
    generator = np.random.default_rng(seed)
    height, width = shape
    # A picture shows some of the classes, more of them in a larger picture.
    labels = generator.choice(150, size=min(150, 20 + height * width // 20_000), replace=False)

    def background(canvas: NDArray) -> None:
        canvas[: height // 4], canvas[height // 4 :] = labels[0], labels[1]
        canvas[3 * height // 4 :] = labels[2]

    regions = []
    for index in range(30 + height * width // 20_000):
        label = int(labels[3 + index % (len(labels) - 3)])
        row, column = generator.uniform(0, height), generator.uniform(0, width)
        tall, wide = generator.uniform(0.02, 0.12) * height, generator.uniform(0.02, 0.12) * height
        if index % 2:
            regions.append(_box(label, row - tall, column - wide, 2 * tall, 2 * wide))
        else:
            shape_drawn = _ellipse(label, row, column, tall, wide)
            regions.append(_roughen(shape_drawn, generator, limit=4))
    return _draw_pair(background, regions, shape, labels, generator)


def volume(side: int = 512, num_classes: int = 105, *, seed: int = 2) -> LabelPair:
    """Draw a CT-like volume: ``num_classes - 1`` ellipsoid organs, most of it background."""
    generator = np.random.default_rng(seed)
    target = np.zeros((side, side, side), np.uint8)
    pred = np.zeros_like(target)
    for label in range(1, num_classes):
        centre = generator.uniform(0.15, 0.85, 3) * side
        radii = generator.uniform(0.03, 0.13, 3) * side
        _paint_ellipsoid(target, label, centre, radii)
        shift = generator.normal(0, 1.5, 3)
        _paint_ellipsoid(pred, label, centre + shift, radii * generator.uniform(0.96, 1.04, 3))
    for _ in range(60):
        blob = generator.uniform(0, side, 3), generator.uniform(0.004, 0.015, 3) * side
        _paint_ellipsoid(pred, int(generator.integers(num_classes)), *blob)
    return pred, target


def _paint_ellipsoid(canvas: NDArray, label: int, centre: NDArray, radii: NDArray) -> None:
    first = np.maximum(np.floor(centre - radii), 0).astype(int)
    last = np.minimum(np.ceil(centre + radii) + 1, canvas.shape).astype(int)
    window = tuple(slice(low, high) for low, high in zip(first, last, strict=True))
    axes = [
        ((np.arange(low, high, dtype=np.float32) - middle) / max(radius, 1)) ** 2
        for low, high, middle, radius in zip(first, last, centre, radii, strict=True)
    ]
    distance = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    canvas[window][distance <= 1] = label


def binary(shape: tuple[int, int] = (1024, 2048), *, seed: int = 3) -> LabelPair:
    """Draw a bool mask pair: the cars and people of a street against everything else."""
    pred, target = street(shape, seed=seed)
    return pred >= PERSON, target >= PERSON


def noise(num_classes: int, shape: tuple[int, int] = (1024, 2048), *, seed: int = 4) -> LabelPair:
    """Draw two independent uniform maps: joint runs of one pixel, the worst case there is."""
    generator = np.random.default_rng(seed)
    draw = generator.integers(0, num_classes, (2, *shape), dtype=np.uint8)
    return draw[0], draw[1]


def logits(
    shape: tuple[int, int] = (1024, 2048), num_classes: int = 19, *, seed: int = 5
) -> LabelPair:
    """Draw float32 scores ``(1, num_classes, *shape)`` for a street, and its truth ``(1, *shape)``.

    The highest score is nearly always that of the drawn prediction, by a margin of a few.
    """
    pred, target = street(shape, seed=seed)
    generator = np.random.default_rng(seed)
    scores = generator.standard_normal((1, num_classes, *shape), dtype=np.float32)
    for label in range(num_classes):
        scores[0, label][pred == label] += 5
    return scores, target[None]


def mean_joint_run(pred: NDArray, target: NDArray) -> float:
    """Return the mean number of pixels along the rows in which neither map changes."""
    changes = (pred[..., 1:] != pred[..., :-1]) | (target[..., 1:] != target[..., :-1])
    rows = target.size // target.shape[-1]
    return float(target.size / (np.count_nonzero(changes) + rows))
