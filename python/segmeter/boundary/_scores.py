"""Scores of surfaces: Hausdorff distance, mean distances and normalised surface Dice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from .._arrays import real_number
from ._checks import one_of
from ._distances import Directions, distance_text, share
from ._presets import surface_rules
from ._surfaces import SurfaceDistances, surface_distances

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import ArrayLike, NDArray

    from ..pixel._matrix import Labels, OutOfRange
    from ._presets import (
        Empty,
        EmptyScore,
        EmptyScores,
        MeanRule,
        OverlapRule,
        PercentileRule,
        SurfaceRules,
    )
    from ._surfaces import Border, Metric, Surface, SurfaceWeights

    FloatArray = NDArray[np.float64]

Direction = Literal["pred_to_target", "target_to_pred"]
Percentile = float | Sequence[float]
Tolerance = float | Sequence[float] | Mapping[Any, float] | np.ndarray[Any, Any]

_DIRECTIONS: tuple[Direction, ...] = ("pred_to_target", "target_to_pred")


class SurfaceOptions(TypedDict, total=False):
    """Keyword options of :func:`surface_distances`, which every score takes as well."""

    num_classes: int | None
    classes: Sequence[int] | None
    groups: Mapping[str, Sequence[int]] | None
    labels: Labels | None
    pred_labels: Labels | None
    reduce_zero_label: bool
    out_of_range: OutOfRange
    ignore_index: int | Sequence[int] | ArrayLike | None
    background: int | None
    spacing: Sequence[float] | None
    surface: Surface
    weights: SurfaceWeights | None
    border: Border
    metric: Metric
    threads: int


# --- one score --------------------------------------------------------------------------------


def hausdorff_distance(
    pred: Any,
    target: Any = None,
    *,
    percentile: Percentile | None = None,
    percentile_rule: PercentileRule | None = None,
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> float | FloatArray:
    """Hausdorff distance: how far the farthest points of the surfaces are from the other surface.

    Parameters
    ----------
    pred : array_like of bool or int, 2-D or 3-D, or SurfaceDistances
        Predicted mask or label map; or distances measured before, without ``target``.
    target : array_like of bool or int, of the same shape
    percentile : float or sequence of float, optional
        Percentile of the distances from 0 to 100 instead of their maximum: 95 for HD95; shares
        such as 0.95 are refused. With several the result has a last axis for them.
    percentile_rule : {"weighted_cdf", "max_directed", "pooled", "directed"}, optional
        What the percentile is of; see :class:`SurfaceRules`. With ``"directed"`` the result has a
        last axis of two: from the predicted surface and from the target's. Default: by ``preset``.
    empty : str, float, or mapping, optional
        Distance where only one map has a surface of the class: ``"inf"``, a number, ``"diagonal"``
        of the image. ``"nan"`` and ``"raise"`` also hold where neither has one. A mapping of
        ``"both"``, ``"pred"`` and ``"target"`` tells the cases apart: by what is empty. Default:
        by ``preset``; without one 0 where both are empty and infinite where one is.
    preset : str or SurfaceRules, optional
        Conventions of a tool by its name, see :data:`SURFACE_PRESETS`. Default: corner points
        weighted with the area of their surface element, as DeepMind's surface-distance.
    **options
        ``spacing``, ``classes``, ``labels``, ``ignore_index``, ``surface``, ``weights``,
        ``border`` and the other options of :func:`surface_distances`.

    Returns
    -------
    float or (K,) float64 array
        In the unit of ``spacing``: a number for two masks, one for every class if ``num_classes``,
        ``classes`` or ``groups`` are given, or distances measured before.

    Raises
    ------
    ValueError
        If an option is out of its range, or a surface is empty under ``empty="raise"``.
    TypeError
        If ``target`` is missing, or comes with distances measured before.

    Notes
    -----
    ``max(max_a d(a, B), max_b d(b, A))`` for the surfaces A and B; with a percentile instead of the
    maximum it is the robust Hausdorff distance of Huttenlocher et al. (1993). What tools print
    under this name differs by more than half for one pair of masks: their surfaces, weights,
    percentiles and borders differ, and ``preset`` chooses among them.

    Examples
    --------
    >>> target = np.zeros((8, 8), bool)
    >>> target[2:6, 2:6] = True
    >>> pred = np.zeros((8, 8), bool)
    >>> pred[2:6, 2:8] = True
    >>> hausdorff_distance(pred, target)
    2.0
    >>> hausdorff_distance(pred, target, percentile=95, preset="monai", spacing=(1, 0.5))
    1.0
    >>> hausdorff_distance(pred, ~pred & False)
    inf
    """
    rules = surface_rules(preset, percentile_rule=percentile_rule, empty=empty)
    wanted = None if percentile is None else percentiles_of(percentile)
    distances = measured(pred, target, preset, rules, options)
    reduced = Reductions(distances, rules)
    if wanted is None:
        values = reduced.maxima() if rules.percentile == "directed" else reduced.hausdorff()
        return _result(values, pred, options)
    values = reduced.percentiles(wanted)
    return _result(values if has_axis(percentile) else values[:, 0], pred, options)


def asd(
    pred: Any,
    target: Any = None,
    *,
    direction: Direction = "pred_to_target",
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> float | FloatArray:
    """Average surface distance: mean distance from one surface to the other.

    Parameters
    ----------
    pred, target
        Masks, label maps, or distances measured before: as in :func:`hausdorff_distance`.
    direction : {"pred_to_target", "target_to_pred"}, default "pred_to_target"
        From the predicted surface to the target's, or the other way round.
    empty, preset, **options
        As in :func:`hausdorff_distance`.

    Returns
    -------
    float or (K,) float64 array
        In the unit of ``spacing``.

    Notes
    -----
    ``sum_a w_a d(a, B) / sum_a w_a``: blind to parts of the other surface that nothing is near of,
    which :func:`assd` and :func:`masd` see.

    Examples
    --------
    >>> target = np.zeros((8, 8), bool)
    >>> target[2:6, 2:6] = True
    >>> pred = np.zeros((8, 8), bool)
    >>> pred[2:6, 2:4] = True
    >>> asd(pred, target, preset="monai"), asd(pred, target, preset="medpy")
    (0.25, 0.25)
    >>> asd(pred, target, preset="medpy", direction="target_to_pred")
    0.833...
    """
    one_of(direction, "direction", _DIRECTIONS)
    rules = surface_rules(preset, empty=empty)
    distances = measured(pred, target, preset, rules, options)
    means = Reductions(distances, rules).directed_means()
    return _result(means[:, _DIRECTIONS.index(direction)], pred, options)


def assd(
    pred: Any,
    target: Any = None,
    *,
    mean_rule: MeanRule | None = None,
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> float | FloatArray:
    """Average symmetric surface distance: mean over all points of both surfaces.

    Parameters
    ----------
    pred, target
        Masks, label maps, or distances measured before: as in :func:`hausdorff_distance`.
    mean_rule : {"pooled", "mean_of_directed", "max_of_directed", "directed"}, optional
        What is averaged; see :class:`SurfaceRules`. With ``"directed"`` the result has a last axis
        of two: from the predicted surface and from the target's. Default: by ``preset``, of which
        panoptica and SimpleITK call the mean of the two directed means so, and scikit-image has
        the larger of them as the modified Hausdorff distance.
    empty, preset, **options
        As in :func:`hausdorff_distance`.

    Returns
    -------
    float or (K,) float64 array
        In the unit of ``spacing``.

    Notes
    -----
    ``(sum_a w_a d(a, B) + sum_b w_b d(b, A)) / (sum_a w_a + sum_b w_b)``: of two surfaces of
    different size the larger has more to say. Maier-Hein, Reinke et al., "Metrics reloaded", Nature
    Methods 2024.

    Examples
    --------
    >>> target = np.zeros((8, 8), bool)
    >>> target[2:6, 2:6] = True
    >>> pred = np.zeros((8, 8), bool)
    >>> pred[2:6, 2:4] = True
    >>> assd(pred, target, preset="medpy"), assd(pred, target, preset="panoptica")
    (0.6, 0.541...)
    """
    rules = surface_rules(preset, mean_rule=mean_rule, empty=empty)
    distances = measured(pred, target, preset, rules, options)
    reduced = Reductions(distances, rules)
    values = reduced.directed_means() if rules.mean == "directed" else reduced.mean(rules.mean)
    return _result(values, pred, options)


def masd(
    pred: Any,
    target: Any = None,
    *,
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> float | FloatArray:
    """Mean average surface distance: mean of the mean distances of the two directions.

    Parameters
    ----------
    pred, target
        Masks, label maps, or distances measured before: as in :func:`hausdorff_distance`.
    empty, preset, **options
        As in :func:`hausdorff_distance`.

    Returns
    -------
    float or (K,) float64 array
        In the unit of ``spacing``.

    Notes
    -----
    ``(asd(pred, target) + asd(target, pred)) / 2``: both surfaces have the same say, whatever
    their size.

    Examples
    --------
    >>> target = np.zeros((8, 8), bool)
    >>> target[2:6, 2:6] = True
    >>> pred = np.zeros((8, 8), bool)
    >>> pred[2:6, 2:4] = True
    >>> masd(pred, target, preset="metrics_reloaded")
    0.541...
    """
    rules = surface_rules(preset, empty=empty)
    distances = measured(pred, target, preset, rules, options)
    values = Reductions(distances, rules).mean("mean_of_directed")
    return _result(values, pred, options)


def nsd(
    pred: Any,
    target: Any = None,
    *,
    tolerance: Tolerance,
    overlap_rule: OverlapRule | None = None,
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> float | FloatArray:
    """Normalised surface Dice: share of both surfaces that is within a tolerance of the other.

    Parameters
    ----------
    pred, target
        Masks, label maps, or distances measured before: as in :func:`hausdorff_distance`.
    tolerance : float, sequence of float, mapping, or (K, T) array
        Distance that still counts as right, in the unit of ``spacing``: one for all classes; or
        several, for which the result has a last axis; or a mapping of every class to its own; or
        several for every class.
    overlap_rule : {"pooled", "mean_of_directed"}, optional
        The share of both surfaces together, or the mean of their shares. Default: by ``preset``,
        of which panoptica takes the mean.
    empty, preset, **options
        As in :func:`hausdorff_distance`. Where distances are a number or infinite the score is 1
        if neither map has a surface and 0 if one has none.

    Returns
    -------
    float, (K,) or (K, T) float64 array
        From 0 to 1.

    Notes
    -----
    Nikolov et al., "Clinically applicable segmentation of head and neck anatomy for radiotherapy",
    J Med Internet Res 2021; also called surface Dice at tolerance. A distance equal to the
    tolerance is within it.

    Examples
    --------
    >>> target = np.zeros((8, 8), bool)
    >>> target[2:6, 2:6] = True
    >>> pred = np.zeros((8, 8), bool)
    >>> pred[2:6, 2:4] = True
    >>> nsd(pred, target, tolerance=1, preset="monai")
    0.8
    >>> nsd(pred, target, tolerance=[0, 1, 2], preset="monai")
    array([0.6, 0.8, 1. ])
    >>> nsd(pred * 3, target * 3, tolerance={3: 1}, classes=[3], preset="monai")
    array([0.8])
    """
    rules = surface_rules(preset, overlap_rule=overlap_rule, empty=empty)
    distances = measured(pred, target, preset, rules, options)
    limits = tolerances_of(tolerance, distances)
    values = Reductions(distances, rules, limits).surface_dice()
    return _result(values if has_axis(tolerance) else values[:, 0], pred, options)


def surface_overlap(
    pred: Any,
    target: Any = None,
    *,
    tolerance: Tolerance,
    direction: Direction = "pred_to_target",
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> float | FloatArray:
    """Share of one surface that is within a tolerance of the other.

    Parameters
    ----------
    pred, target
        Masks, label maps, or distances measured before: as in :func:`hausdorff_distance`.
    tolerance
        As in :func:`nsd`.
    direction : {"pred_to_target", "target_to_pred"}, default "pred_to_target"
        Share of the predicted surface (a precision), or of the target's (a recall).
    empty, preset, **options
        As in :func:`hausdorff_distance`.

    Returns
    -------
    float, (K,) or (K, T) float64 array
        From 0 to 1.

    Examples
    --------
    >>> target = np.zeros((8, 8), bool)
    >>> target[2:6, 2:6] = True
    >>> pred = np.zeros((8, 8), bool)
    >>> pred[2:6, 2:4] = True
    >>> surface_overlap(pred, target, tolerance=0, preset="monai")
    0.75
    >>> surface_overlap(pred, target, tolerance=0, preset="monai", direction="target_to_pred")
    0.5
    """
    one_of(direction, "direction", _DIRECTIONS)
    rules = surface_rules(preset, empty=empty)
    distances = measured(pred, target, preset, rules, options)
    limits = tolerances_of(tolerance, distances)
    values = Reductions(distances, rules, limits).overlap()[..., _DIRECTIONS.index(direction)]
    return _result(values if has_axis(tolerance) else values[:, 0], pred, options)


# --- all scores -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SurfaceScores:
    """Scores of every class of one pair of maps, from one measurement of distances.

    A last axis of two is from the predicted surface to the target's, and the other way round.

    Attributes
    ----------
    rules : SurfaceRules
        The conventions.
    spacing : tuple of float
    classes : tuple
        Class or group of every row.
    percentiles : (P,) float64
    tolerances : (K, T) float64
    hausdorff : (K,) float64
    hausdorff_percentile : (K, P) float64
        By the rule ``"directed"`` the larger of the two.
    asd : (K, 2) float64
    assd, masd : (K,) float64
        ``assd`` by the rules' mean; pooled by the rule ``"directed"``.
    nsd : (K, T) float64
    surface_overlap : (K, T, 2) float64
    points : (K, 2) int64
        Points of the predicted surface and of the target's.
    weight : (K, 2) float64
        Their weight: the area of the surface in the unit of ``spacing``, or their number.
    within : (K, T, 2) float64
        Weight of the points within the tolerance.
    """

    rules: SurfaceRules
    spacing: tuple[float, ...]
    classes: tuple[Any, ...]
    percentiles: FloatArray
    tolerances: FloatArray
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

    @property
    def empty_pred(self) -> NDArray[np.bool_]:
        """Classes of which the prediction has no surface, (K,)."""
        return np.asarray(self.points[:, 0] == 0)

    @property
    def empty_target(self) -> NDArray[np.bool_]:
        """Classes of which the target has no surface, (K,)."""
        return np.asarray(self.points[:, 1] == 0)

    def __repr__(self) -> str:
        """Table of the scores of both directions together, with a line for each class."""
        scores = {"HD": self.hausdorff}
        robust = self.hausdorff_percentile.T
        scores |= {f"HD{p:g}": robust[at] for at, p in enumerate(self.percentiles)}
        scores |= {"ASSD": self.assd, "MASD": self.masd}
        lines = [["class", *scores, *("NSD" for _ in self.nsd.T)]]
        for k, name in enumerate(self.classes):
            shares = zip(self.nsd[k], self.tolerances[k], strict=True)
            distances = [distance_text(values[k]) for values in scores.values()]
            lines.append([str(name), *distances, *(f"{s:.4f} at {t:g}" for s, t in shares)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)


def surface_scores(
    pred: Any,
    target: Any = None,
    *,
    percentile: Percentile = 95,
    tolerance: Tolerance = 1.0,
    percentile_rule: PercentileRule | None = None,
    mean_rule: MeanRule | None = None,
    overlap_rule: OverlapRule | None = None,
    empty: Empty | None = None,
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> SurfaceScores:
    """All scores of surfaces, from one measurement of distances.

    Parameters
    ----------
    pred, target
        Masks, label maps, or distances measured before: as in :func:`hausdorff_distance`.
    percentile : float or sequence of float, default 95
        Percentiles of the Hausdorff distance.
    tolerance : float, sequence of float, mapping, or (K, T) array, default 1
        As in :func:`nsd`.
    percentile_rule, mean_rule, overlap_rule, empty, preset, **options
        As in :func:`hausdorff_distance`, :func:`assd` and :func:`nsd`.

    Returns
    -------
    SurfaceScores

    Examples
    --------
    >>> target = np.zeros((8, 8), int)
    >>> target[2:6, 2:6] = 1
    >>> pred = np.zeros((8, 8), int)
    >>> pred[2:6, 2:4] = 1
    >>> scores = surface_scores(pred, target, classes=[1, 2], preset="monai", tolerance=(0, 1))
    >>> scores.hausdorff, scores.nsd[0]
    (array([ 2., nan]), array([0.6, 0.8]))
    >>> scores.empty_pred & scores.empty_target
    array([False,  True])
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
    return reduced_scores(distances, rules, wanted, tolerances_of(tolerance, distances))


def reduced_scores(
    distances: SurfaceDistances,
    rules: SurfaceRules,
    percentiles: Sequence[float],
    tolerances: FloatArray,
) -> SurfaceScores:
    """All scores of distances by the rules."""
    reduced = Reductions(distances, rules, tolerances)
    robust = reduced.percentiles(percentiles)
    return SurfaceScores(
        rules=rules,
        spacing=tuple(distances.spacing),
        classes=tuple(distances.classes),
        percentiles=np.array(percentiles, dtype=np.float64),
        tolerances=tolerances,
        hausdorff=reduced.hausdorff(),
        hausdorff_percentile=robust.max(axis=-1) if rules.percentile == "directed" else robust,
        asd=reduced.directed_means(),
        assd=reduced.mean("pooled" if rules.mean == "directed" else rules.mean),
        masd=reduced.mean("mean_of_directed"),
        nsd=reduced.surface_dice(),
        surface_overlap=reduced.overlap(),
        points=reduced.points(),
        weight=reduced.weight(),
        within=reduced.within,
    )


class Reductions:
    """Numbers from the distances of every class, by the rules, with those of empty surfaces.

    Parameters
    ----------
    distances : SurfaceDistances
    rules : SurfaceRules
    tolerances : (K, T) float64, optional
        For what depends on them.
    """

    def __init__(
        self,
        distances: SurfaceDistances,
        rules: SurfaceRules,
        tolerances: FloatArray | None = None,
    ) -> None:
        self._distances = distances
        self._rules = rules
        self._tolerances = np.empty((len(distances), 0)) if tolerances is None else tolerances
        self._directions = Directions(
            list(distances.values()),
            is_counted=distances.weights == "count",
            tolerances=self._tolerances,
        )

    def hausdorff(self) -> FloatArray:
        """The largest distance of both directions, (K,)."""
        return self._filled(self._directions.maxima.max(axis=1), "hausdorff")

    def maxima(self) -> FloatArray:
        """The largest distance of each direction, (K, 2)."""
        return self._filled(self._directions.maxima, "hausdorff")

    def percentiles(self, percentiles: Sequence[float]) -> FloatArray:
        """Percentiles by the rule, (K, P) or (K, P, 2)."""
        rules = self._rules
        values = self._directions.percentiles(
            percentiles, rules.percentile, single_precision=rules.single_precision
        )
        return self._filled(values, "percentile")

    def directed_means(self) -> FloatArray:
        """Mean distance of each direction, (K, 2)."""
        return self._filled(self._directions.means, "mean", "mean_of_nothing")

    def mean(self, rule: MeanRule) -> FloatArray:
        """Mean distance of both directions together, (K,)."""
        return self._filled(self._directions.mean(rule), "mean")

    def surface_dice(self) -> FloatArray:
        """Share of both surfaces within each tolerance, (K, T)."""
        totals = self._directions.totals[:, None]
        return self._filled(share(self.within, totals, self._rules.overlap), "overlap")

    def overlap(self) -> FloatArray:
        """Share of each surface within each tolerance, (K, T, 2)."""
        with np.errstate(invalid="ignore"):
            shares = self.within / self._directions.totals[:, None]
        return self._filled(shares, "overlap", "overlap_of_nothing")

    @cached_property
    def within(self) -> FloatArray:
        """Weight of the points within each tolerance, (K, T, 2)."""
        return self._directions.within(single_precision=self._rules.single_precision)

    def points(self) -> NDArray[np.int64]:
        """Number of points of each surface, (K, 2)."""
        return self._directions.sizes

    def weight(self) -> FloatArray:
        """Weight of each surface, (K, 2)."""
        return self._directions.totals

    @cached_property
    def _empty(self) -> list[tuple[int, Literal["both", "pred", "target"]]]:
        """Classes that a map has no surface of, and which one."""
        cases: dict[tuple[bool, bool], Literal["both", "pred", "target"]] = {
            (True, True): "both",
            (True, False): "pred",
            (False, True): "target",
        }
        nothing = (self._directions.sizes == 0).tolist()
        return [
            (k, cases[pred, target]) for k, (pred, target) in enumerate(nothing) if pred or target
        ]

    def _filled(self, values: FloatArray, name: str, of_nothing: str | None = None) -> FloatArray:
        """The values, where a surface is empty what the rules say under the name."""
        result = values.copy()
        for k, case in self._empty:
            scores: EmptyScores = getattr(self._rules.empty, case)
            result[k] = self._value(getattr(scores, name), k, case)
            if of_nothing is not None:
                value = self._value(getattr(scores, of_nothing), k, case)
                result[k, ..., self._directions.sizes[k] == 0] = value
        return result

    def _value(self, score: EmptyScore, k: int, case: str) -> float:
        if score == "raise":
            who = {"both": "neither map has a", "pred": "pred has no", "target": "target has no"}
            raise ValueError(
                f"{who[case]} surface of class {self._distances.classes[k]!r}, for which the rules "
                f"{self._rules.name!r} have no score; empty= chooses one"
            )
        return self._distances.diagonal if score == "diagonal" else float(score)


# --- what the user gave -----------------------------------------------------------------------


def measured(
    pred: Any,
    target: Any,
    preset: str | SurfaceRules | None,
    rules: SurfaceRules,
    options: SurfaceOptions,
) -> SurfaceDistances:
    """Distances of the maps by the rules; those measured before, if they are what rules ask."""
    if isinstance(pred, SurfaceDistances):
        if target is not None or options:
            what = "target" if target is not None else next(iter(options))
            raise TypeError(
                f"{what} has no meaning beside distances that are measured already: give it to "
                "surface_distances"
            )
        if preset is not None:
            _require_same_surfaces(pred, rules)
        return pred
    if target is None:
        raise TypeError("target is missing: pass two maps, or what surface_distances gave")
    settings: dict[str, Any] = {"surface": rules.surface, "border": rules.border}
    if options.get("surface") in (None, rules.surface):
        settings["weights"] = rules.weights
    return surface_distances(pred, target, **(settings | {**options}))


def _require_same_surfaces(distances: SurfaceDistances, rules: SurfaceRules) -> None:
    for name in ("surface", "weights", "border"):
        wanted, has = getattr(rules, name), getattr(distances, name)
        if wanted is not None and wanted != has:
            raise ValueError(
                f"preset {rules.name!r} needs distances with {name}={wanted!r}, got those with "
                f"{name}={has!r}: measure with surface_distances(..., {name}={wanted!r})"
            )


def _result(values: FloatArray, pred: Any, options: SurfaceOptions) -> float | FloatArray:
    """Without the axis of classes for two masks, which have one class."""
    named = any(options.get(name) is not None for name in ("num_classes", "classes", "groups"))
    if isinstance(pred, SurfaceDistances) or named:
        return values
    return float(values[0]) if values.ndim == 1 else values[0]


def percentiles_of(percentile: object) -> tuple[float, ...]:
    """One percentile or several, each from 0 to 100."""
    values: Any = percentile if has_axis(percentile) else [percentile]
    if len(values) == 0:
        raise TypeError(f"percentile must be a number from 0 to 100, got {percentile!r}")
    wanted = tuple(number(value, "percentile", 100.0) for value in values)
    for value in wanted:
        if 0 < value < 1:
            raise ValueError(
                f"percentile is from 0 to 100, got {value:g}: {100 * value:g} for that share"
            )
    return wanted


def tolerances_of(tolerance: object, distances: SurfaceDistances) -> FloatArray:
    """Tolerances of every class, (K, T)."""
    classes = list(distances.classes)
    if isinstance(tolerance, Mapping):
        missing = [name for name in classes if name not in tolerance]
        unknown = [name for name in tolerance if name not in classes]
        if missing or unknown:
            raise ValueError(
                f"tolerance must name every class, {classes}: "
                f"{'missing' if missing else 'unknown'} {(missing or unknown)[0]!r}"
            )
        rows = [[number(tolerance[name], "tolerance")] for name in classes]
        return np.array(rows, dtype=np.float64).reshape(len(classes), 1)
    if isinstance(tolerance, np.ndarray) and tolerance.ndim == 2:
        if len(tolerance) != len(classes):
            raise ValueError(
                f"tolerance must have one row per class, {len(classes)}, got {len(tolerance)}"
            )
        rows = [[number(value, "tolerance") for value in row] for row in tolerance.tolist()]
        return np.array(rows, dtype=np.float64).reshape(tolerance.shape)
    values: Any = tolerance if has_axis(tolerance) else [tolerance]
    if np.ndim(values) != 1:
        raise TypeError(f"tolerance must be a distance or several, got {tolerance!r}")
    row = [number(value, "tolerance") for value in values]
    return np.tile(np.array(row, dtype=np.float64), (len(classes), 1))


def has_axis(value: object) -> bool:
    return isinstance(value, Sequence | np.ndarray) and np.ndim(value) > 0


def number(value: Any, name: str, largest: float = math.inf) -> float:
    number = real_number(value, name)
    if not 0 <= number <= largest:
        limits = "from 0 to 100" if largest == 100 else "from 0 on"
        raise ValueError(f"{name} must be a number {limits}, got {value!r}")
    return number
