"""Percentiles, means and shares of distances: one number from one set, or from both directions."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ._presets import MeanRule, OverlapRule, PercentileRule
    from ._surfaces import DirectedDistances

    FloatArray = NDArray[np.float64]

_SMALL = 0.01  # distances below this have fewer than two digits among three decimals


class Directions:
    """Distances of every class in both directions, and what is known of each set of them.

    Numbers of an empty set mean nothing: 0 or NaN.

    Parameters
    ----------
    classes : sequence of DirectedDistances
    is_counted : bool
        Whether every point has weight 1.
    tolerances : (K, T) float64
        What `within` is asked about.
    """

    def __init__(
        self, classes: Sequence[DirectedDistances], *, is_counted: bool, tolerances: FloatArray
    ) -> None:
        self._sets = [part for one in classes for part in (one.pred_to_target, one.target_to_pred)]
        self._weights = [part for one in classes for part in (one.pred_weight, one.target_weight)]
        self._tolerances = tolerances
        self._is_counted = is_counted
        sizes = np.array([part.size for part in self._sets], dtype=np.int64)
        self.sizes: NDArray[np.int64] = sizes.reshape(-1, 2)

    @property
    def totals(self) -> FloatArray:
        """Sum of the weights, (K, 2)."""
        return self.sizes.astype(np.float64) if self._is_counted else self._weighted[..., 1]

    @property
    def maxima(self) -> FloatArray:
        """The largest distance, (K, 2)."""
        if self._is_counted:
            return self._of_each(lambda part: part.max(initial=0.0))
        return self._weighted[..., 0]

    @cached_property
    def means(self) -> FloatArray:
        """Mean distance, (K, 2)."""
        with np.errstate(invalid="ignore"):
            means: FloatArray = self._sums / self.totals
        return means

    def mean(self, rule: MeanRule) -> FloatArray:
        """Mean distance of both directions together by the rule, (K,)."""
        if rule == "mean_of_directed":
            return np.asarray((self.means[:, 0] + self.means[:, 1]) / 2)
        if rule == "max_of_directed":
            return np.asarray(self.means.max(axis=1))
        if self._is_counted:
            pairs = zip(self._sets[::2], self._sets[1::2], strict=True)
            pooled = [np.concatenate(pair) for pair in pairs]
            return np.array([one.mean() if one.size else np.nan for one in pooled])
        with np.errstate(invalid="ignore"):
            return np.asarray(self._sums.sum(axis=1) / self.totals.sum(axis=1))

    def percentiles(
        self, percentiles: Sequence[float], rule: PercentileRule, *, single_precision: bool
    ) -> FloatArray:
        """Percentiles by the rule, (K, P); by ``"directed"``, (K, P, 2). NaN without two sets."""

        def linear(values: FloatArray) -> FloatArray:
            return linear_percentiles(values, percentiles, single_precision=single_precision)

        count = len(percentiles)
        has_both = self.sizes.all(axis=1)
        chosen = np.flatnonzero(np.repeat(has_both, 2)).tolist()
        sets = [self._sets[i] for i in chosen]
        if rule == "pooled":
            pairs = zip(sets[::2], sets[1::2], strict=True)
            values = np.array([linear(np.concatenate(pair)) for pair in pairs])
        elif rule == "weighted_cdf":
            weights = [self._weights[i] for i in chosen]
            values = weighted_percentiles(sets, weights, percentiles)
        else:
            values = np.array([linear(part) for part in sets])
        found: FloatArray = values.reshape(-1, 1 if rule == "pooled" else 2, count).swapaxes(1, 2)
        if rule != "directed":
            found = found.max(axis=-1)
        result = np.full((len(self.sizes), *found.shape[1:]), np.nan)
        result[has_both] = found
        return result

    def within(self, *, single_precision: bool) -> FloatArray:
        """Weight of the points within each tolerance, (K, T, 2)."""
        if not self._is_counted and not single_precision:
            return self._weighted[..., 3:].swapaxes(1, 2)
        result = np.empty((*self._tolerances.shape, 2))
        for k, (part, weight) in enumerate(zip(self._sets, self._weights, strict=True)):
            values: NDArray[Any] = part.astype(np.float32) if single_precision else part
            for row, tolerance in enumerate(self._tolerances[k // 2]):
                near = values <= values.dtype.type(tolerance)
                inside = np.count_nonzero(near) if self._is_counted else weight[near].sum()
                result[k // 2, row, k % 2] = inside
        return result

    @cached_property
    def _sums(self) -> FloatArray:
        if self._is_counted:
            return self._of_each(lambda part: part.sum())
        return self._weighted[..., 2]

    @cached_property
    def _weighted(self) -> FloatArray:
        """Largest distance, weight, sum of both multiplied and weights within, (K, 2, 3 + T)."""
        limits = np.repeat(self._tolerances, 2, axis=0)
        sums = _core.distance_sums(self._sets, self._weights, limits)
        return sums.reshape(-1, 2, sums.shape[1])

    def _of_each(self, function: Callable[[FloatArray], Any]) -> FloatArray:
        values = np.array([function(part) for part in self._sets], dtype=np.float64)
        return values.reshape(-1, 2)


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


def share(within: FloatArray, totals: FloatArray, rule: OverlapRule) -> FloatArray:
    """Share of both surfaces within a tolerance, from weights (..., 2) within it and in all."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if rule == "mean_of_directed":
            return np.asarray((within / totals).mean(axis=-1))
        return np.asarray(within.sum(axis=-1) / totals.sum(axis=-1))


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
    sets: Sequence[FloatArray], weights: Sequence[FloatArray], percentiles: Sequence[float]
) -> FloatArray:
    """For each set and percentile the smallest value up to which that share of all weight lies.

    (S, P). Weights are summed in the order of (value, weight), one after the other: where the sum
    reaches the share exactly, rounding decides. Sorting costs more than all else and matters
    nowhere but there.
    """
    result = _core.weighted_percentiles(sets, weights, np.asarray(percentiles, np.float64))
    for k in np.flatnonzero(np.isnan(result).any(axis=1)).tolist():
        result[k] = _weighted_percentiles_in_order(sets[k], weights[k], percentiles)
    return result


def _weighted_percentiles_in_order(
    values: FloatArray, weights: FloatArray, percentiles: Sequence[float]
) -> FloatArray:
    order = np.lexsort((weights, values))
    weights = weights[order]
    shares = np.cumsum(weights) / weights.sum()
    at = np.searchsorted(shares, [percentile / 100 for percentile in percentiles])
    return np.asarray(values[order][np.minimum(at, len(values) - 1)])
