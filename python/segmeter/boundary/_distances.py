"""Percentiles, means and shares of distances: one number from one set, or from both directions."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ._presets import MeanRule, OverlapRule, PercentileRule
    from ._surfaces import DirectedDistances

    FloatArray = NDArray[np.float64]

_SMALL = 0.01  # distances below this have fewer than two digits among three decimals


class Directions:
    """Distances of one class in both directions, neither of them empty.

    Parameters
    ----------
    distances : DirectedDistances
    is_counted : bool
        Whether every point has weight 1.
    tolerances : sequence of float
        What `within` is asked about.
    """

    def __init__(
        self, distances: DirectedDistances, *, is_counted: bool, tolerances: Sequence[float]
    ) -> None:
        self.tolerances = np.asarray(tolerances, dtype=np.float64)
        self.sets = (distances.pred_to_target, distances.target_to_pred)
        self.weights = (distances.pred_weight, distances.target_weight)
        self.is_counted = is_counted

    @cached_property
    def pooled(self) -> FloatArray:
        """Distances of both directions, one behind the other."""
        return np.concatenate(self.sets)

    @cached_property
    def totals(self) -> list[float]:
        """Sum of the weights of each direction."""
        if self.is_counted:
            return [float(part.size) for part in self.sets]
        return [weight for _, weight, *_ in self._all_sums]

    def maxima(self) -> list[float]:
        """The largest distance of each direction."""
        if self.is_counted:
            return [float(part.max()) for part in self.sets]
        return [largest for largest, *_ in self._all_sums]

    @cached_property
    def means(self) -> list[float]:
        """Mean distance of each direction."""
        return [total / weight for total, weight in zip(self._sums, self.totals, strict=True)]

    def mean(self, rule: MeanRule) -> float:
        """Mean distance of both directions together by the rule."""
        if rule == "mean_of_directed":
            return (self.means[0] + self.means[1]) / 2
        if rule == "max_of_directed":
            return max(self.means)
        if self.is_counted:
            return float(self.pooled.mean())
        return sum(self._sums) / sum(self.totals)

    def percentiles(
        self, percentiles: Sequence[float], rule: PercentileRule, *, single_precision: bool
    ) -> FloatArray:
        """Percentiles by the rule, (P,); by ``"directed"``, (P, 2)."""
        if rule == "pooled":
            return linear_percentiles(self.pooled, percentiles, single_precision=single_precision)
        directed: list[FloatArray]
        if rule == "weighted_cdf":
            directed = [
                weighted_percentiles(part, weight, percentiles)
                for part, weight in zip(self.sets, self.weights, strict=True)
            ]
        else:
            directed = [
                linear_percentiles(part, percentiles, single_precision=single_precision)
                for part in self.sets
            ]
        return np.stack(directed, axis=-1) if rule == "directed" else np.maximum(*directed)

    def within(self, *, single_precision: bool) -> FloatArray:
        """Weight of the points within each tolerance in each direction, (T, 2)."""
        if not self.is_counted and not single_precision:
            return np.array([within for _, _, _, *within in self._all_sums]).T
        result = np.empty((len(self.tolerances), 2))
        for side, (part, weight) in enumerate(zip(self.sets, self.weights, strict=True)):
            values: NDArray[Any] = part.astype(np.float32) if single_precision else part
            for row, tolerance in enumerate(self.tolerances):
                near = values <= values.dtype.type(tolerance)
                inside = np.count_nonzero(near) if self.is_counted else weight[near].sum()
                result[row, side] = inside
        return result

    @cached_property
    def _sums(self) -> list[float]:
        if self.is_counted:
            return [float(part.sum()) for part in self.sets]
        return [weighted for _, _, weighted, *_ in self._all_sums]

    @cached_property
    def _all_sums(self) -> list[list[float]]:
        """Largest distance, weight, sum of both multiplied and weights within, by direction."""
        sides = zip(self.sets, self.weights, strict=True)
        return [_core.distance_sums(*side, self.tolerances).tolist() for side in sides]


def distance_text(value: float) -> str:
    """Distance with three decimals; a small one, as in metres, with three significant digits.

    Examples
    --------
    >>> distance_text(3.60555), distance_text(float("inf")), distance_text(0.0)
    ('3.606', 'inf', '0.000')
    >>> distance_text(0.0036055), distance_text(3.6055e-6)
    ('0.00361', '3.61e-06')
    """
    return f"{value:.3g}" if 0 < value < _SMALL else f"{value:.3f}"


def share(within: FloatArray, totals: Sequence[float], rule: OverlapRule) -> FloatArray:
    """Share of both surfaces within a tolerance, from the weights within it (T, 2)."""
    if rule == "mean_of_directed":
        return np.asarray((within / totals).mean(axis=-1))
    return np.asarray(within.sum(axis=-1) / sum(totals))


def linear_percentiles(
    values: FloatArray, percentiles: Sequence[float], *, single_precision: bool = False
) -> FloatArray:
    """Percentiles with linear interpolation between the two nearest ranks.

    The same bits as ``numpy.percentile``, which spends most of its time elsewhere; in single
    precision rank, weight and interpolation are float32, as in ``torch.quantile``.
    """
    number: Any = np.float32 if single_precision else np.float64
    between = _between_rounded_once if single_precision else _between
    ranks = [number(value / 100) * number(len(values) - 1) for value in percentiles]
    below = [math.floor(rank) for rank in ranks]
    above = [min(rank + 1, len(values) - 1) for rank in below]
    ordered = np.partition(values, sorted({*below, *above}))
    result = np.empty(len(ranks))
    for k, (rank, low, high) in enumerate(zip(ranks, below, above, strict=True)):
        result[k] = between(number(ordered[low]), number(ordered[high]), rank - number(low))
    return result


def _between(low: Any, high: Any, weight: Any) -> Any:
    """The point between two numbers at this share of the way, from the nearer end."""
    step = high - low
    return high - step * (1 - weight) if weight >= 0.5 else low + step * weight


def _between_rounded_once(low: Any, high: Any, weight: Any) -> Any:
    """The same in float32 with one rounding of product and sum, as processors fuse them."""
    end, share = (high, weight - np.float32(1)) if weight >= 0.5 else (low, weight)
    return np.float32(float(end) + float(share) * float(high - low))


def weighted_percentiles(
    values: FloatArray, weights: FloatArray, percentiles: Sequence[float]
) -> FloatArray:
    """For each percentile the smallest value up to which that share of all weight lies.

    Weights are summed in the order of (value, weight), one after the other: where the sum reaches
    the share exactly, rounding decides. Sorting costs more than all else and matters nowhere but
    there.
    """
    result = _core.weighted_percentiles(values, weights, np.asarray(percentiles, np.float64))
    if np.isnan(result).any():
        return _weighted_percentiles_in_order(values, weights, percentiles)
    return result


def _weighted_percentiles_in_order(
    values: FloatArray, weights: FloatArray, percentiles: Sequence[float]
) -> FloatArray:
    order = np.lexsort((weights, values))
    weights = weights[order]
    shares = np.cumsum(weights) / weights.sum()
    at = np.searchsorted(shares, [percentile / 100 for percentile in percentiles])
    return np.asarray(values[order][np.minimum(at, len(values) - 1)])
