"""Conventions of surface-distance scores: segmeter's own, and those of every tool by its name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np

PercentileRule = Literal["weighted_cdf", "max_directed", "pooled", "directed"]
MeanRule = Literal["pooled", "mean_of_directed", "max_of_directed", "directed"]
OverlapRule = Literal["pooled", "mean_of_directed"]
EmptyScore = float | Literal["diagonal", "raise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyScores:
    """What the scores of a class are when one of its surfaces, or both, have no point.

    A score is a number, ``"diagonal"`` (of the image, in the unit of ``spacing``) or ``"raise"``.

    Attributes
    ----------
    hausdorff : float or str
        The Hausdorff distance.
    percentile : float or str
        Percentiles of it.
    mean : float or str
        Mean distances, of both directions together and from the surface that exists.
    overlap : float or str
        Normalised surface Dice, and overlap of the surface that exists.
    mean_of_nothing, overlap_of_nothing : float or str
        Mean distance and overlap of the surface that does not exist.
    """

    hausdorff: EmptyScore
    percentile: EmptyScore
    mean: EmptyScore
    overlap: EmptyScore
    mean_of_nothing: EmptyScore
    overlap_of_nothing: EmptyScore

    @classmethod
    def of(cls, distance: EmptyScore, overlap: EmptyScore) -> Self:
        """The same for all distances, and for all overlaps."""
        return cls(
            hausdorff=distance,
            percentile=distance,
            mean=distance,
            overlap=overlap,
            mean_of_nothing=distance,
            overlap_of_nothing=overlap,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyRules:
    """Scores where no surface exists, by case.

    Attributes
    ----------
    both : EmptyScores
        Neither map has a surface of the class.
    pred, target : EmptyScores
        Only this one has none.
    """

    both: EmptyScores
    pred: EmptyScores
    target: EmptyScores

    def changed(self, empty: object) -> EmptyRules:
        """These rules with what a caller asked for under ``empty=``."""
        if empty is None:
            return self
        if isinstance(empty, EmptyRules):
            return empty
        if isinstance(empty, Mapping):
            unknown = set(empty) - {"both", "pred", "target"}
            if unknown:
                raise ValueError(
                    "empty must have the keys 'both', 'pred' or 'target', "
                    f"got {sorted(map(repr, unknown))[0]}"
                )
            cases = {str(case): _empty_scores(value, str(case)) for case, value in empty.items()}
            return replace(self, **cases)
        cases = {case: _empty_scores(empty, case) for case in ("pred", "target")}
        undefined = empty in ("nan", "raise") or _is_nan(empty)
        return replace(self, **cases, both=_empty_scores(empty, "both") if undefined else self.both)


def _is_nan(value: object) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def _empty_scores(value: object, case: str) -> EmptyScores:
    """Scores of one case from one value: a distance, with the overlap that goes with it."""
    if isinstance(value, EmptyScores):
        return value
    if value == "raise":
        return EmptyScores.of("raise", "raise")
    overlap = 1.0 if case == "both" else 0.0
    if value == "diagonal":
        return EmptyScores.of("diagonal", overlap)
    if value in ("nan", "inf"):
        value = float(value)
    if isinstance(value, bool | np.bool_) or not isinstance(value, float | int | np.number):
        raise ValueError(
            "empty must be 'nan', 'inf', 'diagonal', 'raise', a distance, or a mapping of 'both', "
            f"'pred' and 'target' to these, got {value!r}"
        )
    distance = float(value)
    if distance < 0:
        raise ValueError(f"empty must be a distance from 0 on, got {value!r}")
    return EmptyScores.of(distance, math.nan if math.isnan(distance) else overlap)


_PERFECT = EmptyScores.of(0.0, 1.0)
_MISSED = EmptyScores.of(math.inf, 0.0)
_NAN = EmptyScores.of(math.nan, math.nan)
_RAISE = EmptyScores.of("raise", "raise")


def _empty(both: EmptyScores, one: EmptyScores) -> EmptyRules:
    return EmptyRules(both=both, pred=one, target=one)


_DEFINED = _empty(_PERFECT, _MISSED)

Empty = str | float | Mapping[str, str | float] | EmptyRules
"""What a caller may ask for under ``empty=``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurfaceRules:
    """Everything that decides what a surface-distance score is.

    Attributes
    ----------
    name : str
    surface : {"voxel_face", "voxel_full", "corner", "face_mesh", "foreground"}
        Which points are the surface; see :func:`surface_distances`.
    weights : {"count", "marching", "face_share", "area"} or None
        How much each of them counts. None: as usual with the surface.
    border : {"background", "ignore"}
        Whether a mask has a surface where it touches the border of the image.
    percentile : {"weighted_cdf", "max_directed", "pooled", "directed"}
        ``"weighted_cdf"``: the smallest distance within which that share of the surface lies, the
        larger of both directions. ``"max_directed"``: percentile with linear interpolation, without
        weights, the larger of both directions. ``"pooled"``: the same of all distances of both
        directions together. ``"directed"``: the same of each direction, two numbers.
    mean : {"pooled", "mean_of_directed", "max_of_directed", "directed"}
        What is called the average (symmetric) surface distance: mean of all distances of both
        directions, or mean or maximum of the two directed means, or these two.
    overlap : {"pooled", "mean_of_directed"}
        What is called the normalised surface Dice: the share of both surfaces together that is
        within the tolerance, or the mean of the two shares.
    empty : EmptyRules
        What the scores are where there is no surface.
    single_precision : bool
        Whether percentiles are interpolated, and distances compared with tolerances, in float32.
    """

    name: str = "custom"
    surface: str = "corner"
    weights: str | None = None
    border: str = "background"
    percentile: PercentileRule = "weighted_cdf"
    mean: MeanRule = "pooled"
    overlap: OverlapRule = "pooled"
    empty: EmptyRules = _DEFINED
    single_precision: bool = False

    def __post_init__(self) -> None:
        for name, choices in (
            ("percentile", get_args(PercentileRule)),
            ("mean", get_args(MeanRule)),
            ("overlap", get_args(OverlapRule)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, choices))}, "
                    f"got {getattr(self, name)!r}"
                )
        if not isinstance(self.empty, EmptyRules):
            raise TypeError(f"empty must be EmptyRules, got {self.empty!r}")

    def __eq__(self, other: object) -> bool:
        # As text, in which NaN equals NaN.
        return isinstance(other, SurfaceRules) and self.to_text() == other.to_text()

    def __hash__(self) -> int:
        return hash(self.to_text())

    def to_text(self) -> str:
        """The rules as text, to store; see :meth:`from_text`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Rules from :meth:`to_text`."""
        values: dict[str, Any] = json.loads(text)
        empty = {case: EmptyScores(**scores) for case, scores in values.pop("empty").items()}
        return cls(empty=EmptyRules(**empty), **values)


SEGMETER = SurfaceRules(name="segmeter")
"""Conventions where none are asked for: DeepMind's, with defined scores of empty surfaces."""

_DEEPMIND_MISSED = replace(_MISSED, mean_of_nothing=math.nan, overlap_of_nothing=math.nan)
_FACES = SurfaceRules(
    name="faces", surface="voxel_face", weights="count", percentile="max_directed"
)

SURFACE_PRESETS: dict[str, SurfaceRules] = {
    rules.name: rules
    for rules in (
        SurfaceRules(
            name="deepmind",
            weights="marching",
            empty=_empty(replace(_NAN, hausdorff=math.inf, percentile=math.inf), _DEEPMIND_MISSED),
        ),
        replace(
            _FACES,
            name="monai",
            empty=_empty(_NAN, replace(_MISSED, percentile=math.nan)),
            single_precision=True,
        ),
        replace(_FACES, name="medpy", percentile="pooled", empty=_empty(_RAISE, _RAISE)),
        replace(
            _FACES,
            name="metrics_reloaded",
            empty=_empty(_PERFECT, EmptyScores.of(math.nan, 0.0)),
        ),
        replace(
            _FACES,
            name="panoptica",
            percentile="pooled",
            mean="mean_of_directed",
            overlap="mean_of_directed",
            empty=_empty(_RAISE, _RAISE),
        ),
        SurfaceRules(
            name="seg_metrics",
            surface="voxel_full",
            weights="count",
            border="ignore",
            percentile="pooled",
            empty=_empty(_PERFECT, _PERFECT),
        ),
        SurfaceRules(name="meshmetrics", surface="face_mesh"),
        SurfaceRules(
            name="distorch",
            weights="face_share",
            percentile="directed",
            empty=_empty(_NAN, _NAN),
        ),
        SurfaceRules(
            name="simpleitk",
            surface="foreground",
            weights="count",
            percentile="max_directed",
            mean="mean_of_directed",
            empty=_empty(_RAISE, _RAISE),
        ),
        replace(_FACES, name="torchmetrics", empty=_empty(_RAISE, _MISSED)),
        SurfaceRules(
            name="skimage",
            surface="foreground",
            weights="count",
            percentile="max_directed",
            mean="max_of_directed",
        ),
    )
}
"""Conventions of every tool by its name."""


def surface_rules(
    preset: str | SurfaceRules | None,
    *,
    percentile_rule: str | None = None,
    mean_rule: str | None = None,
    overlap_rule: str | None = None,
    empty: object = None,
) -> SurfaceRules:
    """Rules of a preset, changed by what else the caller asked for."""
    rules = _named(preset)
    changes: dict[str, Any] = {
        name: value
        for name, value in (
            ("percentile", percentile_rule),
            ("mean", mean_rule),
            ("overlap", overlap_rule),
        )
        if value is not None
    }
    if empty is not None:
        changes["empty"] = rules.empty.changed(empty)
    return replace(rules, **changes) if changes else rules


def _named(preset: object) -> SurfaceRules:
    if preset is None:
        return SEGMETER
    if isinstance(preset, SurfaceRules):
        return preset
    if preset == "davis":
        raise ValueError(
            "preset 'davis' has no distances: it is one of boundary_f_counts, of which "
            "boundary_f_score is the score"
        )
    if not isinstance(preset, str) or preset not in SURFACE_PRESETS:
        raise ValueError(
            f"preset must be SurfaceRules or one of {', '.join(map(repr, SURFACE_PRESETS))}, "
            f"got {preset!r}"
        )
    return SURFACE_PRESETS[preset]
