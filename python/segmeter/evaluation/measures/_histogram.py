"""Distances of many images: how much surface lies at which distance, to a stated resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.boundary._counts import percentile_of_bins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from segmeter.boundary import DirectedDistances

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

DIGITS = 4
"""Significant digits to which a distance is rounded up: the width of bins, in whatever unit."""

_STEPS = 1000  # of the surface Dice from 0 to 1 that a curve shows
_MOST_BINS = 1 << 40  # of a row and direction; a key is below 2**63 for 2**22 rows
_ROUNDING = 1e-12  # of a distance, which is the root of a sum of squares
_DENSE = 1 << 20  # bins that are counted in a table, however few are filled

_LOW = 10 ** (DIGITS - 1)
_PER_DECADE = 9 * _LOW  # bins, whose ends are 1000, 1001, ... 9999 units
_DECADES = range(-102, 122)  # powers of ten at or below a distance; spacing is 1e-100 to 1e100
_POWERS = np.array([float(f"1e{decade}") for decade in _DECADES])
# The unit of a decade, one significant digit of its ends, as a factor or as a divisor: whole
# powers, exact up to 10**22, so that an end such as 0.3 is the float that is written so.
_FACTORS = np.array([float(f"1e{max(decade - DIGITS + 1, 0)}") for decade in _DECADES])
_DIVISORS = np.array([float(f"1e{max(DIGITS - 1 - decade, 0)}") for decade in _DECADES])


@dataclass(frozen=True, eq=False)
class DistanceHistogram:
    """Surface by distance, of R rows (classes, then groups) and both directions; it adds up.

    A bin ends at a distance of four significant digits, and includes it: at 0.9999, 1, 1.001, ...,
    and what is above it by rounding alone, as 3 * 0.1 is above 0.3. Bin 0 holds the distance 0.
    Bins are the same in every image, whatever its spacing, and as fine in metres as in micrometres.
    Only those that are not empty are kept.

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
        """Ends of the bins within which these shares of the surface lie.

        Of both directions together, or the larger of the two; NaN where there is no surface.
        """
        ends, finite = self._by_distance(row)
        weights = np.append(finite, self.infinite[row, np.newaxis], axis=0).T
        ways = weights.sum(axis=0, keepdims=True) if pooled else weights
        ways = ways[ways.any(axis=1)]
        distances = np.append(ends_of(ends), math.inf)
        return np.array(
            [
                max((percentile_of_bins(way, distances, value) for way in ways), default=math.nan)
                for value in percentiles
            ]
        )

    def curve(
        self, row: int, share: Callable[[FloatArray, FloatArray], FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        """Tolerances, and the share of both surfaces within each: the surface Dice.

        At the first and the last tolerance where it grows, and wherever it passes another tenth of
        a percent. ``share`` gives it for the surface within, (B, 2), and all surface, (2,).
        """
        ends, weights = self._by_distance(row)
        within = np.cumsum(weights, axis=0)
        shares = share(within, within[-1:].sum(axis=0) + self.infinite[row])
        kept = np.diff(np.floor(shares * _STEPS), prepend=-1.0) > 0
        kept[-1:] = True
        return ends_of(ends[kept]), shares[kept]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return {"key": self.key, "weight": self.weight, "infinite": self.infinite}

    def _by_distance(self, row: int) -> tuple[IntArray, FloatArray]:
        """Filled bins of either direction, and the weights of both in them, (B, 2)."""
        sides = [self._side(row, side) for side in range(2)]
        filled = np.unique(np.concatenate([bins for bins, _ in sides]))
        weights = np.zeros((len(filled), 2))
        for side, (bins, weight) in enumerate(sides):
            weights[np.searchsorted(filled, bins), side] = weight
        return filled, weights

    def _side(self, row: int, side: int) -> tuple[IntArray, FloatArray]:
        """Filled bins of one direction and their weights."""
        first = (2 * row + side) * _MOST_BINS
        begin, end = np.searchsorted(self.key, [first, first + _MOST_BINS])
        return self.key[begin:end] - first, self.weight[begin:end]


def bins_of(values: FloatArray) -> IntArray:
    """Bin of each finite distance.

    Examples
    --------
    >>> ends_of(bins_of(np.array([0.0, 3 * 0.1, 2**0.5, 1e-6, 9999.5])))
    array([0.000e+00, 3.000e-01, 1.415e+00, 1.000e-06, 1.000e+04])
    """
    values = values * (1 - _ROUNDING)
    _, binary = np.frexp(values)
    # The power of ten at or below a value, guessed from that of two: right or one too low.
    decade = np.floor((binary - 1) * math.log10(2)).astype(np.int64) - _DECADES[0]
    decade += values >= _POWERS[decade + 1]
    units = np.ceil(values * _DIVISORS[decade] / _FACTORS[decade]).astype(np.int64)
    return np.where(values > 0, decade * _PER_DECADE + units - _LOW + 1, 0)


def ends_of(bins: IntArray) -> FloatArray:
    """Largest distance in each bin."""
    decade, units = np.divmod(np.maximum(bins, 1) - 1, _PER_DECADE)
    return np.where(bins > 0, (units + _LOW) * _FACTORS[decade] / _DIVISORS[decade], 0.0)


def _filled_bins(values: FloatArray, weights: FloatArray) -> tuple[IntArray, FloatArray]:
    bins = bins_of(values)
    lowest = bins.min(where=bins > 0, initial=_MOST_BINS)
    place = np.where(bins > 0, bins - lowest + 1, 0)
    if place.max(initial=0) < _DENSE:
        counted = np.bincount(place, weights)
        filled = np.flatnonzero(np.bincount(place)).astype(np.int64)
        return np.where(filled > 0, filled + lowest - 1, 0), counted[filled].astype(np.float64)
    filled, place = np.unique(bins, return_inverse=True)
    return filled, np.bincount(place, weights).astype(np.float64)
