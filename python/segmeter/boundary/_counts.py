"""Surface scores of many cases: what adds up over them, and what follows from the sum."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .._counts import Summable, require_counts
from ..region._stored import required
from ._distances import share
from ._presets import SurfaceRules, surface_rules
from ._scores import (
    Percentile,
    SurfaceScores,
    Tolerance,
    has_axis,
    measured,
    number,
    percentiles_of,
    reduced_scores,
    tolerances_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from numpy.typing import ArrayLike, NDArray

    from ._presets import Empty, MeanRule, OverlapRule, PercentileRule
    from ._scores import SurfaceOptions
    from ._surfaces import SurfaceDistances

    FloatArray = NDArray[np.float64]

_SCORES = ("hausdorff", "hausdorff_percentile", "asd", "assd", "masd", "nsd", "surface_overlap")
_PER_CASE = (*_SCORES, "points", "weight", "within")
_COMMON = ("classes", "percentiles", "tolerances", "resolution", "rules")
_MOST_BINS = 10_000_000
_RESOLUTION = 0.1


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundaryCounts(Summable):
    """Surface scores of one case or many, and a histogram of all their distances.

    Cases add up by standing below each other and histograms by their sum:
    ``sum(list_of_counts)``. A last axis of two is from the predicted surface to the target's, and
    the other way round.

    Attributes
    ----------
    rules : SurfaceRules
        The conventions.
    classes : tuple of int or str
        Class or group of every column.
    percentiles : (P,) float64
    tolerances : (K, T) float64
    resolution : float
        Width of a bin of the histogram, in the unit of ``spacing``.
    hausdorff : (N, K) float64
    hausdorff_percentile : (N, K, P) float64
    asd : (N, K, 2) float64
    assd, masd : (N, K) float64
    nsd : (N, K, T) float64
    surface_overlap : (N, K, T, 2) float64
        Scores of every case, as in :class:`SurfaceScores`: infinite or NaN where the rules of
        empty surfaces say so.
    points : (N, K, 2) int64
        Points of each surface; 0 flags an empty one.
    weight : (N, K, 2) float64
        Weight of each surface.
    within : (N, K, T, 2) float64
        Weight of the points within each tolerance.
    histogram : (K, 2, B) float64
        Weight of the points of all cases whose distance d is in
        ``(b - 1) * resolution < d <= b * resolution``. Whole numbers, and exact, where points are
        counted; else sums of areas, which agree up to rounding in whatever order they are added.
    infinite : (K, 2) float64
        Weight of the points whose other surface does not exist.

    Examples
    --------
    >>> target = np.zeros((8, 8), int)
    >>> target[2:6, 2:6] = 1
    >>> near, far = np.roll(target, 1, axis=1), np.zeros((8, 8), int)
    >>> counts = boundary_counts(near, target, preset="monai") + boundary_counts(
    ...     far, target, preset="monai"
    ... )
    >>> counts
    BoundaryCounts(rules='monai', classes=(1,), num_cases=2, resolution=0.1)
    >>> counts.hausdorff[:, 0]
    array([ 1., inf])
    """

    rules: SurfaceRules
    classes: tuple[Any, ...]
    percentiles: FloatArray
    tolerances: FloatArray
    resolution: float
    hausdorff: FloatArray
    hausdorff_percentile: FloatArray
    asd: FloatArray
    assd: FloatArray
    masd: FloatArray
    nsd: FloatArray
    surface_overlap: FloatArray
    points: NDArray[np.int64]
    weight: FloatArray
    within: FloatArray
    histogram: FloatArray
    infinite: FloatArray

    @property
    def num_cases(self) -> int:
        """Number of cases."""
        return len(self.hausdorff)

    def __add__(self, other: object) -> BoundaryCounts:
        """Counts of both sets of cases, those of ``other`` behind."""
        if not isinstance(other, BoundaryCounts):
            return NotImplemented
        for name in _COMMON:
            mine, theirs = getattr(self, name), getattr(other, name)
            is_array = isinstance(mine, np.ndarray)
            if not (np.array_equal(mine, theirs) if is_array else mine == theirs):
                mine, theirs = (getattr(value, "name", value) for value in (mine, theirs))
                raise ValueError(
                    f"only counts with the same {name} can be added, got {mine!r} and {theirs!r}"
                )
        parts: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _PER_CASE
        }
        bins = max(self.histogram.shape[-1], other.histogram.shape[-1])
        return BoundaryCounts(
            **{name: getattr(self, name) for name in _COMMON},
            **parts,
            histogram=_padded(self.histogram, bins) + _padded(other.histogram, bins),
            infinite=self.infinite + other.infinite,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundaryCounts):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        return all(
            np.array_equal(mine[name], theirs[name], equal_nan=mine[name].dtype.kind == "f")
            for name in mine
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __repr__(self) -> str:
        return (
            f"BoundaryCounts(rules={self.rules.name!r}, classes={self.classes}, "
            f"num_cases={self.num_cases}, resolution={self.resolution})"
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send; see :meth:`from_arrays`.

        Of the histogram only the bins that are not empty: their numbers and weights.
        """
        names = [part.name for part in fields(self) if part.name not in ("rules", "histogram")]
        arrays = {name: np.asarray(getattr(self, name)) for name in names}
        filled = np.flatnonzero(self.histogram)
        return arrays | {
            "rules": np.array(self.rules.to_text()),
            "histogram_shape": np.array(self.histogram.shape, dtype=np.int64),
            "histogram_bin": filled.astype(np.int64),
            "histogram_weight": self.histogram.ravel()[filled],
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Counts from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            The arrays are not such counts.

        Examples
        --------
        >>> counts = boundary_counts([[0, 1], [1, 1]], [[0, 1], [0, 1]])
        >>> BoundaryCounts.from_arrays(counts.to_arrays()) == counts
        True
        """
        names = [part.name for part in fields(cls) if part.name != "histogram"]
        parts = ("histogram_shape", "histogram_bin", "histogram_weight")
        stored: dict[str, Any] = required(arrays, (*names, *parts), cls.__name__)
        shape, filled, weight = (stored.pop(name) for name in parts)
        cases, classes = stored["hausdorff"].shape if stored["hausdorff"].ndim == 2 else (-1, -1)
        bins = int(shape[-1]) if shape.shape == (3,) else -1
        percentiles, tolerances = stored["percentiles"], stored["tolerances"]
        shapes: dict[str, tuple[int, ...]] = {
            "classes": (classes,),
            "percentiles": (percentiles.size,),
            "tolerances": (classes, _row_length(tolerances)),
            "infinite": (classes, 2),
        } | _case_shapes(cases, classes, percentiles.size, _row_length(tolerances))
        wrong = [name for name, wanted in shapes.items() if stored[name].shape != wanted]
        if tuple(shape.tolist()) != (classes, 2, bins) or not 0 <= bins <= _MOST_BINS:
            wrong.append("histogram_shape")
        elif filled.shape != weight.shape or np.any((filled < 0) | (filled >= classes * 2 * bins)):
            wrong.append("histogram_bin")
        if wrong:
            raise ValueError(f"arrays are no BoundaryCounts: {wrong[0]} does not fit the others")
        histogram = np.zeros(classes * 2 * bins)
        histogram[filled] = weight
        return cls(
            rules=SurfaceRules.from_text(stored.pop("rules").item()),
            classes=tuple(stored.pop("classes").tolist()),
            resolution=float(stored.pop("resolution")),
            points=stored.pop("points").astype(np.int64),
            histogram=histogram.reshape(classes, 2, bins),
            **{name: array.astype(np.float64) for name, array in stored.items()},
        )


def _row_length(array: NDArray[Any]) -> int:
    """Length of a row of a table; -1 if the array is none."""
    return int(array.shape[1]) if array.ndim == 2 else -1


def _case_shapes(
    cases: int, classes: int, percentiles: int, tolerances: int
) -> dict[str, tuple[int, ...]]:
    last: dict[str, tuple[int, ...]] = {
        "hausdorff": (),
        "hausdorff_percentile": (percentiles,),
        "asd": (2,),
        "assd": (),
        "masd": (),
        "nsd": (tolerances,),
        "surface_overlap": (tolerances, 2),
        "points": (2,),
        "weight": (2,),
        "within": (tolerances, 2),
    }
    return {name: (cases, classes, *shape) for name, shape in last.items()}


def boundary_counts(
    pred: Any,
    target: Any = None,
    *,
    percentile: Percentile = 95,
    tolerance: Tolerance = 1.0,
    resolution: float | None = None,
    percentile_rule: PercentileRule | None = None,
    mean_rule: MeanRule | None = None,
    overlap_rule: OverlapRule | None = None,
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> BoundaryCounts:
    """Surface scores of one case with a histogram of its distances, to be added to others.

    Parameters
    ----------
    pred, target
        Masks, label maps, or distances measured before: as in :func:`hausdorff_distance`.
    percentile, tolerance, percentile_rule, mean_rule, overlap_rule, empty, preset, **options
        As in :func:`surface_scores`.
    resolution : float, optional
        Width of a bin of the histogram, in the unit of ``spacing``; the same in all cases that are
        added. Default: 0.1, which no pixel may be smaller than.

    Returns
    -------
    BoundaryCounts

    Raises
    ------
    ValueError
        If ``resolution`` is not a finite number above 0, or so small that the image's diagonal has
        more than ten million bins; if it is not given, and ``spacing`` below 0.1; and as
        :func:`surface_scores`.

    Examples
    --------
    >>> counts = boundary_counts([[0, 1, 1]], [[0, 1, 0]], preset="monai", spacing=(1, 0.5))
    >>> counts.histogram[0, 0]  # from the predicted surface: up to 0, 0.1, 0.2, ...
    array([1., 0., 0., 0., 0., 1.])
    """
    rules = surface_rules(
        preset,
        percentile_rule=percentile_rule,
        mean_rule=mean_rule,
        overlap_rule=overlap_rule,
        empty=empty,
    )
    wanted = percentiles_of(percentile)
    distances = measured(pred, target, preset, rules, options)
    width = _resolution(resolution, distances)
    scores = reduced_scores(distances, rules, wanted, tolerances_of(tolerance, distances))
    return _one_case(scores, distances, width)


def _resolution(resolution: object, distances: SurfaceDistances) -> float:
    if resolution is None:
        finest = min(distances.spacing, default=1.0)
        if finest < _RESOLUTION:
            raise ValueError(
                f"resolution must be given where the spacing is below {_RESOLUTION:g}, got "
                f"{finest:g}: a width of bins such as {finest / 10:.1g}, the same for all cases"
            )
        return _RESOLUTION
    width = number(resolution, "resolution")
    if not (0 < width < math.inf and distances.diagonal / width <= _MOST_BINS):
        raise ValueError(
            "resolution must be finite and above 0, and the image's diagonal at most ten million "
            f"times as long, got {resolution!r} for a diagonal of {distances.diagonal:g}"
        )
    return width


def _one_case(
    scores: SurfaceScores, distances: SurfaceDistances, resolution: float
) -> BoundaryCounts:
    sides = [
        histogram(values, weight, resolution)
        for one in distances.values()
        for values, weight in (
            (one.pred_to_target, one.pred_weight),
            (one.target_to_pred, one.target_weight),
        )
    ]
    bins = max((len(counted) for counted, _ in sides), default=1)
    per_case: dict[str, Any] = {name: getattr(scores, name)[np.newaxis] for name in _PER_CASE}
    return BoundaryCounts(
        rules=scores.rules,
        classes=scores.classes,
        percentiles=scores.percentiles,
        tolerances=scores.tolerances,
        resolution=resolution,
        **per_case,
        histogram=np.array([_padded(counted, bins) for counted, _ in sides]).reshape(-1, 2, bins),
        infinite=np.array([beyond for _, beyond in sides]).reshape(-1, 2),
    )


def histogram(
    values: FloatArray, weights: FloatArray, resolution: float
) -> tuple[FloatArray, float]:
    """Weight of the values in each bin, of which bin b ends at b * resolution; and of infinity."""
    finite = np.isfinite(values)
    beyond = float(weights[~finite].sum())
    bins = bins_of(values[finite], resolution)
    counted = np.bincount(bins, weights=weights[finite], minlength=1)
    return counted.astype(np.float64), beyond


def bins_of(values: FloatArray, resolution: float) -> NDArray[np.int64]:
    """Bin of each finite distance."""
    bins = np.ceil(values / resolution)
    # The quotient is rounded: ends of bins are what multiples of the resolution are.
    bins -= (bins > 0) & ((bins - 1) * resolution >= values)
    bins += bins * resolution < values
    return bins.astype(np.int64)


def _padded(counted: FloatArray, bins: int) -> FloatArray:
    missing = [(0, 0)] * (counted.ndim - 1) + [(0, bins - counted.shape[-1])]
    return np.pad(counted, missing)


# --- scores -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class CaseMeans:
    """Mean of a score over cases, and over how many.

    Attributes
    ----------
    mean : float64 array
        Over the cases that have the score; infinite if one of them is, NaN if there is none.
    mean_of_finite : float64 array
        Over those that are finite.
    num_cases : int64 array
        Cases that have the score.
    num_infinite : int64 array
        Those of them that are infinite: a surface was missed or invented.
    num_undefined : int64 array
        Cases that do not have it: NaN.
    """

    mean: FloatArray
    mean_of_finite: FloatArray
    num_cases: NDArray[np.int64]
    num_infinite: NDArray[np.int64]
    num_undefined: NDArray[np.int64]


def boundary_scores(counts: BoundaryCounts) -> dict[str, CaseMeans]:
    """Mean of every surface score over the cases, for each class.

    Parameters
    ----------
    counts : BoundaryCounts

    Returns
    -------
    dict of str to CaseMeans
        ``hausdorff``, ``assd`` and ``masd``, arrays (K,); ``hausdorff_percentile`` (K, P); ``asd``
        (K, 2); ``nsd`` (K, T); ``surface_overlap`` (K, T, 2).

    Notes
    -----
    No case is dropped silently: an infinite distance makes the mean infinite, and every mean says
    over how many cases it is. A finite number for missed surfaces is a choice: ``empty=`` of
    :func:`boundary_counts`.

    Examples
    --------
    >>> target = np.zeros((8, 8), int)
    >>> target[2:6, 2:6] = 1
    >>> maps = [target, np.roll(target, 1, axis=1), np.zeros((8, 8), int)]
    >>> counts = sum(boundary_counts(pred, target, classes=[1]) for pred in maps)
    >>> scores = boundary_scores(counts)["hausdorff"]
    >>> scores.mean, scores.mean_of_finite, scores.num_cases, scores.num_infinite
    (array([inf]), array([0.5]), array([3]), array([1]))
    """
    require_counts(counts, BoundaryCounts, "boundary_counts")
    return {name: _case_means(getattr(counts, name)) for name in _SCORES}


def _case_means(values: FloatArray) -> CaseMeans:
    defined, finite = ~np.isnan(values), np.isfinite(values)
    num_cases, num_finite = defined.sum(axis=0), finite.sum(axis=0)
    return CaseMeans(
        mean=_quotient(np.where(defined, values, 0.0).sum(axis=0), num_cases),
        mean_of_finite=_quotient(np.where(finite, values, 0.0).sum(axis=0), num_finite),
        num_cases=num_cases,
        num_infinite=num_cases - num_finite,
        num_undefined=len(values) - num_cases,
    )


def dataset_nsd(counts: BoundaryCounts) -> FloatArray:
    """Normalised surface Dice of all cases together: their surfaces as one, (K, T).

    Notes
    -----
    Exact, from the weights within each tolerance and not from the histogram. A large surface has
    more to say than a small one, unlike in the mean over cases of :func:`boundary_scores`. NaN for
    a class of no case.

    Examples
    --------
    >>> target = np.zeros((8, 8), int)
    >>> target[2:6, 2:6] = 1
    >>> maps = [target, np.zeros((8, 8), int)]
    >>> dataset_nsd(sum(boundary_counts(pred, target, preset="monai") for pred in maps))
    array([[0.666...]])
    """
    require_counts(counts, BoundaryCounts, "boundary_counts")
    return _shares(counts, counts.within.sum(axis=0))


@dataclass(frozen=True, eq=False, kw_only=True)
class NsdCurve:
    """Normalised surface Dice of all cases together against the tolerance.

    Attributes
    ----------
    tolerances : (B,) float64
        Multiples of the counts' resolution, from 0 to the largest finite distance.
    nsd : (K, B) float64
    """

    tolerances: FloatArray
    nsd: FloatArray


def nsd_curve(counts: BoundaryCounts) -> NsdCurve:
    """Normalised surface Dice of all cases together at every multiple of the resolution.

    Notes
    -----
    At these tolerances the curve is exact, as a bin of the histogram includes its end.

    Examples
    --------
    >>> counts = boundary_counts([[0, 1, 1]], [[0, 1, 0]], preset="monai", resolution=0.5)
    >>> curve = nsd_curve(counts)
    >>> curve.tolerances, curve.nsd
    (array([0. , 0.5, 1. ]), array([[0.666..., 0.666..., 1. ]]))
    """
    require_counts(counts, BoundaryCounts, "boundary_counts")
    within = np.moveaxis(counts.histogram.cumsum(axis=-1), 1, -1)
    return NsdCurve(
        tolerances=np.arange(within.shape[1], dtype=np.float64) * counts.resolution,
        nsd=_shares(counts, within),
    )


def _shares(counts: BoundaryCounts, within: FloatArray) -> FloatArray:
    """Share of the surfaces of all cases within each tolerance, from weights (K, T, 2)."""
    totals = counts.weight.sum(axis=0)
    result = np.full(within.shape[:-1], np.nan)
    for k, total in enumerate(totals):
        if total.all() or (total.any() and counts.rules.overlap == "pooled"):
            result[k] = share(within[k], total, counts.rules.overlap)
        elif total.any():
            result[k] = 0.0
    return result


def dataset_percentile(counts: BoundaryCounts, percentile: Percentile = 95) -> FloatArray:
    """Percentile of the distances of all cases together, to the resolution of the counts.

    Parameters
    ----------
    counts : BoundaryCounts
    percentile : float or sequence of float, default 95
        From 0 to 100; with several the result has a last axis for them.

    Returns
    -------
    (K,) or (K, P) float64 array
        The smallest multiple of the resolution within which at least that share of the surface
        lies: by the rule ``"pooled"`` of both surfaces together, else the larger of the two
        directions. The distance itself is less than one resolution smaller. Infinite if that share
        includes points without another surface; NaN if no case has a surface.

    Examples
    --------
    >>> target = np.zeros((8, 8), int)
    >>> target[2:6, 2:6] = 1
    >>> maps = [target, np.roll(target, 1, axis=1), np.roll(target, 2, axis=1)]
    >>> counts = sum(boundary_counts(pred, target, resolution=0.25) for pred in maps)
    >>> dataset_percentile(counts, (50, 95))
    array([[0., 2.]])
    """
    require_counts(counts, BoundaryCounts, "boundary_counts")
    wanted = percentiles_of(percentile)
    directed = np.concatenate([counts.histogram, counts.infinite[..., np.newaxis]], axis=-1)
    if counts.rules.percentile == "pooled":
        directed = directed.sum(axis=1, keepdims=True)
    ends = np.append(np.arange(counts.histogram.shape[-1]) * counts.resolution, np.inf)
    result = np.full((len(counts.classes), len(wanted)), np.nan)
    for k, sides in enumerate(directed):
        for column, value in enumerate(wanted):
            found = [percentile_of_bins(side, ends, value) for side in sides if side.any()]
            result[k, column] = max(found, default=np.nan)
    return result if has_axis(percentile) else result[:, 0]


def percentile_of_bins(weights: FloatArray, ends: FloatArray, percentile: float) -> float:
    """End of the bin with which the sum of the weights reaches that share of all."""
    summed = np.cumsum(weights)
    # Rounding of the sum must not move a share that is met exactly into the next bin.
    wanted = summed[-1] * (percentile / 100) * (1 - 1e-12)
    filled = np.flatnonzero(weights)
    at = max(int(np.searchsorted(summed, wanted)), int(filled[0]))
    return float(ends[min(at, int(filled[-1]))])


def _quotient(total: FloatArray, number: NDArray[np.int64]) -> FloatArray:
    result = np.full(np.shape(total), np.nan)
    np.divide(total, number, out=result, where=number > 0)
    return result
