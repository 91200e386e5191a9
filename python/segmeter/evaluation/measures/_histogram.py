"""Distances of many images: how much surface lies at which distance, to a stated resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.boundary._counts import bins_of, percentile_of_bins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from segmeter.boundary import DirectedDistances

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

RESOLUTION = 0.1
"""Width of a bin, in the unit of the distances."""

_MOST_BINS = 1 << 40  # of a row and direction; a key is below 2**63 for 2**22 rows
_STEPS = 1000  # of the surface Dice from 0 to 1 that a curve shows
_DENSE = 1 << 20  # bins that are counted in a table, however few are filled


@dataclass(frozen=True, eq=False)
class DistanceHistogram:
    """Surface by distance, of R rows (classes, then groups) and both directions; it adds up.

    A distance d is in bin b if ``(b - 1) * RESOLUTION < d <= b * RESOLUTION``. Only the bins that
    are not empty are kept: distances in nanometres cost no more than others.

    Attributes
    ----------
    key : (B,) array of int64
        ``(2 * row + direction) * 2**40 + bin``, ascending; direction 0 is from the prediction.
    weight : (B,) array of float64
        Surface in the bin.
    infinite : (R, 2) array of float64
        Surface whose other surface does not exist.
    """

    key: IntArray
    weight: FloatArray
    infinite: FloatArray

    @classmethod
    def of(cls, distances: Iterable[tuple[int, DirectedDistances]], rows: int) -> DistanceHistogram:
        """Histogram of the distances of some rows.

        Examples
        --------
        >>> import segmeter
        >>> found = segmeter.surface_distances([[0, 1, 1]], [[0, 1, 0]], classes=[1])
        >>> DistanceHistogram.of([(0, found[1])], 1).percentiles(0, (50, 100), pooled=True)
        array([0., 1.])
        """
        infinite = np.zeros((rows, 2))
        keys, weights = [np.zeros(0, np.int64)], [np.zeros(0)]
        for row, one in sorted(distances, key=lambda entry: entry[0]):
            sides = (
                (one.pred_to_target, one.pred_weight),
                (one.target_to_pred, one.target_weight),
            )
            for side, (values, weight) in enumerate(sides):
                finite = np.isfinite(values)
                infinite[row, side] = weight[~finite].sum()
                filled, counted = _filled_bins(values[finite], weight[finite])
                keys.append(filled + (2 * row + side) * _MOST_BINS)
                weights.append(counted)
        return cls(np.concatenate(keys), np.concatenate(weights), infinite)

    def __add__(self, other: DistanceHistogram) -> DistanceHistogram:
        """Histogram of both sets of images."""
        at = np.searchsorted(self.key, other.key)
        known = at < len(self.key)
        known[known] = self.key[at[known]] == other.key[known]
        weight = self.weight.copy()
        weight[at[known]] += other.weight[known]
        return DistanceHistogram(
            np.insert(self.key, at[~known], other.key[~known]),
            np.insert(weight, at[~known], other.weight[~known]),
            self.infinite + other.infinite,
        )

    def percentiles(self, row: int, percentiles: Iterable[float], *, pooled: bool) -> FloatArray:
        """Multiples of the resolution within which these shares of the surface lie.

        Of both directions together, or the larger of the two; NaN where there is no surface.
        """
        sides = [self._side(row, side) for side in range(2)]
        ends = np.unique(np.concatenate([bins for bins, _ in sides]))
        weights = np.zeros((2, len(ends) + 1))
        for side, (bins, weight) in enumerate(sides):
            weights[side, np.searchsorted(ends, bins)] = weight
        weights[:, -1] = self.infinite[row]
        ways = weights.sum(axis=0, keepdims=True) if pooled else weights
        ways = ways[ways.any(axis=1)]
        distances = np.append(ends * RESOLUTION, math.inf)
        return np.array(
            [
                max((percentile_of_bins(way, distances, value) for way in ways), default=math.nan)
                for value in percentiles
            ]
        )

    def curve(self, row: int) -> tuple[FloatArray, FloatArray]:
        """Tolerances, and the share of both surfaces within each: the surface Dice.

        At the first and the last tolerance where it grows, and wherever it passes another tenth of
        a percent.
        """
        sides = [self._side(row, side) for side in range(2)]
        bins = np.concatenate([bins for bins, _ in sides])
        ends, place = np.unique(bins, return_inverse=True)
        weights = np.concatenate([weight for _, weight in sides])
        within = np.cumsum(np.bincount(place, weights).astype(np.float64))
        total = (within[-1] if len(within) else 0.0) + self.infinite[row].sum()
        shares = within / total if total else within
        kept = np.diff(np.floor(shares * _STEPS), prepend=-1.0) > 0
        kept[-1:] = True
        return ends[kept] * RESOLUTION, shares[kept]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return {"key": self.key, "weight": self.weight, "infinite": self.infinite}

    def _side(self, row: int, side: int) -> tuple[IntArray, FloatArray]:
        """Filled bins of one direction and their weights."""
        first = (2 * row + side) * _MOST_BINS
        begin, end = np.searchsorted(self.key, [first, first + _MOST_BINS])
        return self.key[begin:end] - first, self.weight[begin:end]


def _filled_bins(values: FloatArray, weights: FloatArray) -> tuple[IntArray, FloatArray]:
    if values.max(initial=0.0) >= (_MOST_BINS - 1) * RESOLUTION:
        raise ValueError(
            f"a distance of {values.max():.3g} is too large for percentiles over all images, which "
            f"count by steps of {RESOLUTION:g}: give the spacing in a larger unit"
        )
    bins = bins_of(values, RESOLUTION)
    if bins.max(initial=0) < _DENSE:
        counted = np.bincount(bins, weights)
        filled = np.flatnonzero(np.bincount(bins)).astype(np.int64)
        return filled, counted[filled].astype(np.float64)
    filled, place = np.unique(bins, return_inverse=True)
    return filled, np.bincount(place, weights).astype(np.float64)
