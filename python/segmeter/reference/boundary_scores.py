"""Scores of surface distances in plain Python: sums and sorted lists, one distance at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..boundary._presets import SurfaceRules
    from ..boundary._surfaces import DirectedDistances, SurfaceDistances

    FloatArray = NDArray[np.float64]

Side = tuple[list[float], list[float]]


def surface_scores(
    distances: SurfaceDistances,
    rules: SurfaceRules,
    *,
    percentile: Sequence[float] = (95,),
    tolerance: Sequence[float] = (1.0,),
) -> dict[Any, dict[str, Any]]:
    """Twin of :func:`segmeter.surface_scores`: scores of every class of measured distances.

    Returns
    -------
    dict
        For each class its scores by the names of :class:`segmeter.SurfaceScores`.

    Examples
    --------
    >>> import segmeter
    >>> distances = segmeter.surface_distances([[0, 1, 1]], [[0, 1, 0]], surface="voxel_face")
    >>> surface_scores(distances, segmeter.SURFACE_PRESETS["monai"])[1]["assd"]
    0.333...
    """
    return {
        name: class_scores(one, rules, percentile, tolerance, distances.diagonal)
        for name, one in distances.items()
    }


def class_scores(
    one: DirectedDistances,
    rules: SurfaceRules,
    percentile: Sequence[float],
    tolerance: Sequence[float],
    diagonal: float,
) -> dict[str, Any]:
    """Scores of one class by name."""
    sides: tuple[Side, Side] = (
        (one.pred_to_target.tolist(), one.pred_weight.tolist()),
        (one.target_to_pred.tolist(), one.target_weight.tolist()),
    )
    if not (sides[0][0] and sides[1][0]):
        return _empty_scores(sides, rules, percentile, tolerance, diagonal)
    means = [weighted_mean(*side) for side in sides]
    number = np.float32 if rules.single_precision else np.float64
    limits = [float(number(limit)) for limit in tolerance]
    rounded = [([float(number(value)) for value in values], weights) for values, weights in sides]
    shares = [[overlap(*side, limit) for side in rounded] for limit in limits]
    both = (sides[0][0] + sides[1][0], sides[0][1] + sides[1][1])
    average = {
        "pooled": weighted_mean(*both),
        "directed": weighted_mean(*both),
        "mean_of_directed": sum(means) / 2,
        "max_of_directed": max(means),
    }
    pooled = (rounded[0][0] + rounded[1][0], both[1])
    pooled_shares = [overlap(*pooled, limit) for limit in limits]
    mean_shares = [sum(pair) / 2 for pair in shares]
    return {
        "hausdorff": max(max(side[0]) for side in sides),
        "hausdorff_percentile": [robust_hausdorff(sides, rules, q) for q in percentile],
        "asd": means,
        "assd": average[rules.mean],
        "masd": sum(means) / 2,
        "nsd": pooled_shares if rules.overlap == "pooled" else mean_shares,
        "surface_overlap": shares,
    }


def _empty_scores(
    sides: tuple[Side, Side],
    rules: SurfaceRules,
    percentile: Sequence[float],
    tolerance: Sequence[float],
    diagonal: float,
) -> dict[str, Any]:
    case = "both" if not (sides[0][0] or sides[1][0]) else "pred" if not sides[0][0] else "target"

    def value(name: str) -> float:
        score: Any = getattr(getattr(rules.empty, case), name)
        if score == "raise":
            raise ValueError(f"no surface: {case}")
        return diagonal if score == "diagonal" else float(score)

    def directed(name: str) -> list[float]:
        return [value(name) if side[0] else value(f"{name}_of_nothing") for side in sides]

    return {
        "hausdorff": value("hausdorff"),
        "hausdorff_percentile": [value("percentile")] * len(percentile),
        "asd": directed("mean"),
        "assd": value("mean"),
        "masd": value("mean"),
        "nsd": [value("overlap")] * len(tolerance),
        "surface_overlap": [directed("overlap")] * len(tolerance),
    }


def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Mean of values that count by their weights.

    Examples
    --------
    >>> weighted_mean([0.0, 1.0], [3.0, 1.0])
    0.25
    """
    products = math.fsum(v * w for v, w in zip(values, weights, strict=True))
    return products / math.fsum(weights)


def overlap(values: Sequence[float], weights: Sequence[float], tolerance: float) -> float:
    """Share of the weight at values up to the tolerance.

    Examples
    --------
    >>> overlap([0.0, 1.0, 2.0], [1.0, 1.0, 2.0], 1)
    0.5
    """
    inside = math.fsum(w for v, w in zip(values, weights, strict=True) if v <= tolerance)
    return inside / math.fsum(weights)


def distance_sums(
    values: Sequence[float], weights: Sequence[float], tolerances: Sequence[float]
) -> list[float]:
    """Largest value, all weight, sum of value times weight, and the weight within each tolerance.

    Examples
    --------
    >>> distance_sums([0.0, 1.0, 2.0], [1.0, 1.0, 2.0], [1.0])
    [2.0, 4.0, 5.0, 2.0]
    """
    pairs = list(zip(values, weights, strict=True))
    return [
        max(values, default=0.0),
        math.fsum(weights),
        math.fsum(v * w for v, w in pairs),
        *(math.fsum(w for v, w in pairs if v <= tolerance) for tolerance in tolerances),
    ]


def robust_hausdorff(sides: tuple[Side, Side], rules: SurfaceRules, percentile: float) -> float:
    """Percentile of the Hausdorff distance by the rules; of two directed ones the larger."""
    if rules.percentile == "pooled":
        return linear_percentile(
            sides[0][0] + sides[1][0], percentile, single_precision=rules.single_precision
        )
    if rules.percentile == "weighted_cdf":
        return max(weighted_percentile(*side, percentile) for side in sides)
    return max(
        linear_percentile(values, percentile, single_precision=rules.single_precision)
        for values, _ in sides
    )


def linear_percentile(
    values: Sequence[float], percentile: float, *, single_precision: bool = False
) -> float:
    """Percentile with linear interpolation: NumPy's, or in float32.

    Examples
    --------
    >>> linear_percentile([3.0, 1.0, 2.0, 4.0], 50)
    2.5
    """
    if not single_precision:
        return float(np.percentile(values, percentile))
    ordered = np.sort(np.asarray(values, np.float32))
    rank = np.float32(percentile / 100) * np.float32(len(values) - 1)
    low, high = ordered[int(rank)], ordered[min(int(rank) + 1, len(values) - 1)]
    part = rank - np.float32(int(rank))
    step = float(high - low)
    if part >= 0.5:
        return float(np.float32(float(high) + float(part - np.float32(1)) * step))
    return float(np.float32(float(low) + float(part) * step))


def weighted_percentile(
    values: Sequence[float], weights: Sequence[float], percentile: float
) -> float:
    """The smallest value up to which that share of all weight lies, summed from the smallest on.

    Examples
    --------
    >>> weighted_percentile([3.0, 1.0, 2.0], [1.0, 8.0, 1.0], 85)
    2.0
    """
    pairs = sorted(zip(values, weights, strict=True))
    total, summed = np.sum([weight for _, weight in pairs]), 0.0
    for value, weight in pairs:
        summed += weight
        if summed / total >= percentile / 100:
            return value
    return pairs[-1][0]


def histogram(
    values: Sequence[float], weights: Sequence[float], resolution: float
) -> tuple[dict[int, float], float]:
    """Weight of each bin that is not empty, bin b ending at b * resolution; and at infinity.

    Examples
    --------
    >>> histogram([0.0, 0.5, 0.6, math.inf], [1.0, 1.0, 1.0, 2.0], 0.5)
    ({0: 1.0, 1: 1.0, 2: 1.0}, 2.0)
    """
    bins: dict[int, float] = {}
    beyond = 0.0
    for value, weight in zip(values, weights, strict=True):
        if math.isinf(value):
            beyond += weight
            continue
        b = 0
        while b * resolution < value:
            b += 1
        bins[b] = bins.get(b, 0.0) + weight
    return bins, beyond


# --- many cases --------------------------------------------------------------------------------


def dataset_percentile(
    cases: Sequence[SurfaceDistances],
    rules: SurfaceRules,
    *,
    percentile: float,
    resolution: float,
) -> list[float]:
    """Twin of :func:`segmeter.dataset_percentile` from the distances of the cases themselves.

    Examples
    --------
    >>> import segmeter
    >>> case = segmeter.surface_distances([[0, 1, 1]], [[0, 1, 0]], surface="voxel_face")
    >>> rules = segmeter.SURFACE_PRESETS["monai"]
    >>> dataset_percentile([case], rules, percentile=100, resolution=0.3)
    [1.2]
    """
    result = []
    for name in cases[0]:
        sides = _joined([case[name] for case in cases])
        if rules.percentile == "pooled":
            sides = [[*sides[0], *sides[1]]]
        found = [_rounded_percentile(side, percentile, resolution) for side in sides if side]
        result.append(max(found, default=math.nan))
    return result


def nsd_curve(
    cases: Sequence[SurfaceDistances], rules: SurfaceRules, *, resolution: float
) -> list[list[float]]:
    """Twin of :func:`segmeter.nsd_curve`: one list per class, from the distances themselves.

    Examples
    --------
    >>> import segmeter
    >>> case = segmeter.surface_distances([[0, 1, 1]], [[0, 1, 0]], surface="voxel_face")
    >>> nsd_curve([case], segmeter.SURFACE_PRESETS["monai"], resolution=0.5)
    [[0.66..., 0.66..., 1.0]]
    """
    by_class = [_joined([case[name] for case in cases]) for name in cases[0]]
    finite = [d for sides in by_class for side in sides for d, _ in side if math.isfinite(d)]
    limits = [0.0]
    while limits[-1] < max(finite, default=0.0):
        limits.append(len(limits) * resolution)
    return [[_share_within(sides, limit, rules) for limit in limits] for sides in by_class]


def _joined(cases: Sequence[DirectedDistances]) -> list[list[tuple[float, float]]]:
    """Distances and weights of all cases, of either direction."""
    sides: list[list[tuple[float, float]]] = [[], []]
    for one in cases:
        sides[0] += zip(one.pred_to_target.tolist(), one.pred_weight.tolist(), strict=True)
        sides[1] += zip(one.target_to_pred.tolist(), one.target_weight.tolist(), strict=True)
    return sides


def _rounded_percentile(
    side: list[tuple[float, float]], percentile: float, resolution: float
) -> float:
    """The smallest multiple of the resolution within which that share of the weight lies."""
    values, weights = zip(*side, strict=True)
    bins, beyond = histogram(values, weights, resolution)
    wanted = math.fsum(weights) * percentile / 100
    summed = [(b * resolution, math.fsum(bins[c] for c in bins if c <= b)) for b in sorted(bins)]
    ends = [end for end, weight in summed if weight >= wanted * (1 - 1e-12)]
    return ends[0] if ends else math.inf if beyond else summed[-1][0]


def _share_within(
    sides: list[list[tuple[float, float]]], limit: float, rules: SurfaceRules
) -> float:
    if not any(sides):
        return math.nan
    if rules.overlap == "pooled":
        sides = [[*sides[0], *sides[1]]]
    if not all(sides):
        return 0.0
    shares = [overlap([d for d, _ in side], [w for _, w in side], limit) for side in sides]
    return sum(shares) / len(shares)
