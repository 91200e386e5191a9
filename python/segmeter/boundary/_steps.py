"""Distances between surfaces in steps from pixel to pixel instead of Euclidean ones."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..region._runs import bits_of
from ._elements import corner_codes, corner_weights, voxel_surface
from ._reading import IGNORED, INVALID, ClassName, Meaning, Reading, label_of_masks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._surfaces import Border, DirectedDistances, Metric, Surface, SurfaceWeights

    Mask = NDArray[np.bool_]
    FloatArray = NDArray[np.float64]
    Steps = NDArray[np.int32]

_DIRECT = 1 << 16  # labels below it are their own place in a table


def measured_in_steps(
    reading: Reading,
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: Mask | None,
    surface: Surface,
    weights: SurfaceWeights,
    border: Border,
    metric: Metric,
) -> dict[ClassName, DirectedDistances]:
    """Distances of every class that is to be measured, one after the other."""
    from ._surfaces import DirectedDistances

    directed = {}
    for name, *masks, ignored in _masks(reading, pred, target, mask):
        (here, here_weight), (there, there_weight) = (
            _points(one, ignored, surface, weights, border) for one in masks
        )
        directed[name] = DirectedDistances(
            _distances(here, there, metric), _distances(there, here, metric),
            here_weight, there_weight,
        )  # fmt: skip
    return directed


def _masks(
    reading: Reading, pred: NDArray[Any], target: NDArray[Any], mask: Mask | None
) -> Iterator[tuple[Any, ...]]:
    """Name, predicted and true pixels of every class, and the ignored pixels."""
    sides = [_roles(pred, reading.pred), _roles(target, reading.target)]
    ignored = (sides[0] == IGNORED) | (sides[1] == IGNORED)
    if mask is not None:
        ignored |= mask
    if any((part[~ignored] == INVALID).any() for part in sides):
        reading.require_valid(pred, target, mask)
    if reading.names is None:
        extremes = [_extremes(a[part == 0]) for a, part in zip((pred, target), sides, strict=True)]
        yield label_of_masks(pred, target, extremes), *(part == 0 for part in sides), ignored
        return
    classes = np.repeat(np.arange(len(reading.first) - 1), np.diff(reading.first))
    for group, name in enumerate(reading.names):
        members = classes[reading.members == group]
        yield name, *(np.isin(part, members) for part in sides), ignored


def _roles(labels: NDArray[Any], meaning: Meaning) -> NDArray[np.int32]:
    """What every pixel is: a class, or one of the other roles."""
    plain = labels.view(np.uint8) if labels.dtype == np.bool_ else labels
    low, high = (int(plain.min()), int(plain.max())) if plain.size else (0, 0)
    if low >= 0 and high < _DIRECT:
        values, place = range(high + 1), plain
    else:
        found, place = np.unique(plain, return_inverse=True)
        values, place = found.tolist(), place.reshape(labels.shape)
    roles = [meaning.roles.get(value, meaning.other) for value in values]
    found_roles: NDArray[np.int32] = np.array(roles, np.int32)[place]
    return found_roles


def _extremes(labels: NDArray[Any]) -> tuple[int, int] | None:
    """Bits of the lowest and highest label; None if there is none."""
    if labels.size == 0:
        return None
    low, high = (bits_of(int(value), labels.dtype) for value in (labels.min(), labels.max()))
    return None if low is None or high is None else (low, high)


def _points(
    mask: Mask, ignored: Mask, surface: Surface, weights: SurfaceWeights, border: Border
) -> tuple[Mask, FloatArray]:
    """Where the points of a surface are, and what each weighs."""
    if surface != "corner":
        points = voxel_surface(mask, ignored, surface, border)
        return points, np.ones(np.count_nonzero(points))
    codes = corner_codes(mask, ignored, border)
    return codes >= 0, corner_weights((1.0,) * mask.ndim, weights)[codes[codes >= 0]]


def _distances(points: Mask, others: Mask, metric: Metric) -> FloatArray:
    """Steps from each point to the nearest of the others."""
    if not others.any() or not points.any():
        return np.full(np.count_nonzero(points), np.inf)
    both = points | others  # nothing is measured beyond the box that holds all points
    axes = range(points.ndim)
    seen = [np.flatnonzero(both.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
    box = tuple(slice(part[0], part[-1] + 1) for part in seen)
    return steps_to(others[box], metric)[points[box]].astype(np.float64)


def steps_to(points: Mask, metric: Metric) -> Steps:
    """Steps from every place to the nearest point; there must be one.

    Axis by axis, each way along it: after the axes behind it a line, a plane and a volume have the
    distances within them. In a step along one axis ``"chessboard"`` moves along the axes behind it
    as well.

    Examples
    --------
    >>> steps_to(np.array([[1, 0, 0], [0, 0, 0]], bool), "taxicab").tolist()
    [[0, 1, 2], [1, 2, 3]]
    >>> steps_to(np.array([[1, 0, 0], [0, 0, 0]], bool), "chessboard").tolist()
    [[0, 1, 2], [1, 1, 2]]
    """
    steps = np.where(points, np.int32(0), np.int32(sum(points.shape)))
    for axis in reversed(range(points.ndim)):
        lines = np.moveaxis(steps, axis, 0)
        oblique = range(axis, points.ndim - 1) if metric == "chessboard" else range(0)
        for way in (lines, lines[::-1]):
            if oblique:
                for before, here in pairwise(way):
                    np.minimum(here, _spread(before, oblique) + 1, out=here)
            else:
                ramp = np.arange(len(way), dtype=np.int32).reshape(-1, *(1,) * (points.ndim - 1))
                way[...] = np.minimum.accumulate(way - ramp, axis=0) + ramp
    return steps


def _spread(plane: Steps, axes: range) -> Steps:
    """The smallest of each place and its neighbours along these axes."""
    for axis in axes:
        spread = plane.copy()
        source, place = np.moveaxis(plane, axis, 0), np.moveaxis(spread, axis, 0)
        np.minimum(place[1:], source[:-1], out=place[1:])
        np.minimum(place[:-1], source[1:], out=place[:-1])
        plane = spread
    return plane
