"""Boundaries: how far the surfaces of every class are from the true ones, and how much is near.

For each class of an image: the Hausdorff distance and its 95th percentile, the average symmetric
surface distance (over all points of both surfaces, and as mean of the two directions), Boundary IoU
(of bands along the outlines), and the share of both surfaces within each tolerance (normalised
surface Dice). Distances are in the unit of the spacing. A class that neither map has is left out;
where one of them lacks it, distances are infinite, counted, and left out of means.

Percentiles of distances are no sums. So there are those of every image, with means over images, and
those of the surfaces of all images together, from a histogram: infinite where so much surface has
no other, and else the distance rounded up to four significant digits. The same histogram gives the
surface Dice at every tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segmeter._counts import Summable, equal_arrays
from segmeter.boundary import (
    SURFACE_PRESETS,
    EmptyScores,
    SurfaceRules,
    boundary_iou_counts,
    surface_distances,
    surface_scores,
)
from segmeter.boundary._band import DILATION_RATIO
from segmeter.boundary._surfaces import default_weights
from segmeter.evaluation.measures._histogram import DIGITS, DistanceHistogram
from segmeter.evaluation.measures._measure import (
    BACKGROUND,
    Maps,
    Measure,
    PlainCounts,
    checked_spacing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from segmeter.boundary import SurfaceDistances, SurfaceScores
    from segmeter.boundary._presets import OverlapRule
    from segmeter.evaluation.plan import Plan

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

DISTANCES = ("hd", "hd95", "assd", "masd")
"""Scores that are distances: the smaller the better, infinite where a surface is missing."""

_PERCENTILE = 95
_DATASET_PERCENTILES = (50, 75, 90, 95, 99)  # of the surfaces of all images together


@dataclass(frozen=True, eq=False, kw_only=True)
class SurfaceCounts(Summable, PlainCounts):
    """Sums over images of the scores of every class, and over how many; S scores, R rows.

    Rows are all classes, then the label groups. An image counts for a class if either of its maps
    has a surface of it.

    Attributes
    ----------
    scores : tuple of str
        Names of the scores: distances, Boundary IoU, then a surface Dice for each tolerance.
    num_classes : int
        Rows that are classes.
    names : tuple of str
        Of all rows.
    total : (S, R) array of float64
        Sum of the finite scores.
    finite, infinite, undefined : (S, R) array of int64
        Images in which the score is a number, infinite, and not defined (NaN).
    missed, invented : (R,) array of int64
        Images in which only the target has a surface, and only the prediction.
    band : (3, R) array of int64
        Pixels in the bands of both maps, of the prediction, and of the target.
    near : (S - 5, R, 2) array of float64
        Surface within each tolerance of the other one: of the prediction, and of the target.
    area : (R, 2) array of float64
        Surface of both maps.
    image_total : (S,) array of float64
        Sum over images of the mean of the finite scores of its classes.
    image_number : (S,) array of int64
        Images that have such a mean.
    distances : DistanceHistogram
        Surface of both maps by distance, in R rows.
    pooled : bool
        Whether a percentile is that of both directions together, not the larger of two.
    overlap : str
        What the surface Dice is of: ``"pooled"`` or ``"mean_of_directed"``.
    in_pixels, in_mm, in_unit : int
        Images whose distances are in pixels, in mm (as their files say), and in the unit of the
        spacing that was given.
    """

    not_printed: ClassVar[tuple[str, ...]] = ("nsd_curve",)

    scores: tuple[str, ...]
    num_classes: int
    names: tuple[str, ...]
    total: FloatArray
    finite: IntArray
    infinite: IntArray
    undefined: IntArray
    missed: IntArray
    invented: IntArray
    band: IntArray
    near: FloatArray
    area: FloatArray
    image_total: FloatArray
    image_number: IntArray
    distances: DistanceHistogram
    pooled: bool
    overlap: OverlapRule
    in_pixels: int = 0
    in_mm: int = 0
    in_unit: int = 0

    def __add__(self, other: SurfaceCounts) -> SurfaceCounts:
        """Sums over both sets of images."""
        if not isinstance(other, SurfaceCounts):
            return NotImplemented
        if any(getattr(self, name) != getattr(other, name) for name in _COMMON):
            raise ValueError("only counts of the same classes, tolerances and rules can be added")
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMMED}
        return replace(self, **sums)

    def __eq__(self, other: object) -> bool:
        return equal_arrays(self, other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    @property
    def num_images(self) -> int:
        """Number of images."""
        return self.in_pixels + self.in_mm + self.in_unit

    @property
    def mean(self) -> FloatArray:
        """Mean of each score over the images in which it is finite, (S, R)."""
        return _quotient(self.total, self.finite)

    def means(self) -> dict[str, FloatArray]:
        """Scores over classes: of the whole data set, of images that have them, and by image."""
        rows = slice(self.num_classes)
        by_class = self.mean[:, rows]
        means = {f"mean_{name}": near[rows] for name, near in self._dataset().items()}
        means[f"mean_hd{_PERCENTILE}"] = self._percentiles[f"hd{_PERCENTILE}"][rows]
        by_image = _quotient(self.image_total, self.image_number)
        for k, name in enumerate(self.scores):
            means[f"mean_{name}_per_image"] = by_image[k : k + 1]
            means[f"mean_{name}_per_class_per_image"] = by_class[k]
        return means

    def over(self) -> dict[str, dict[str, int]]:
        """Cases (a class in an image) that each mean is over, and those that it leaves out."""
        rows = slice(self.num_classes)
        entries = {}
        for k, name in enumerate(self.scores):
            finite, infinite, undefined = (
                int(part[k, rows].sum()) for part in (self.finite, self.infinite, self.undefined)
            )
            cases = {
                "cases": finite, "infinite_cases": infinite, "undefined_cases": undefined
            }  # fmt: skip
            entries[f"mean_{name}_per_image"] = {
                "over": int(self.image_number[k]),
                "undefined": self.num_images - int(self.image_number[k]),
                **cases,
            }
            entries[f"mean_{name}_per_class_per_image"] = cases
        return entries

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of classes."""
        return self._columns(slice(self.num_classes))

    def group_scores(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of label groups."""
        return self._columns(slice(self.num_classes, None))

    def _columns(self, rows: slice) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {
            f"{name}_per_image": values for name, values in zip(self.scores, self.mean, strict=True)
        }
        columns |= self._dataset() | self._percentiles
        columns["images"] = self.finite[0] + self.infinite[0] + self.undefined[0]
        columns |= {flag: getattr(self, flag) for flag in _FLAGS}
        for name, kept in (("infinite", self.infinite), ("undefined", self.undefined)):
            columns |= {f"{score}_{name}": kept[k] for k, score in enumerate(DISTANCES)}
        return {name: values[rows] for name, values in columns.items()}

    def _dataset(self) -> dict[str, FloatArray]:
        """Boundary IoU of all images as one, and surface Dice at each tolerance."""
        both, pred, target = self.band
        dice = [_shares(near, self.area, self.overlap) for near in self.near]
        values = [_quotient(both, pred + target - both), *dice]
        return dict(zip(self.scores[len(DISTANCES) :], values, strict=True))

    @cached_property
    def _percentiles(self) -> dict[str, FloatArray]:
        """Percentiles of the distances of all images, to the resolution of the histogram."""
        rows = [
            self.distances.percentiles(row, _DATASET_PERCENTILES, pooled=self.pooled)
            for row in range(len(self.area))
        ]
        names = [f"hd{percentile}" for percentile in _DATASET_PERCENTILES]
        table = np.array(rows, np.float64).reshape(-1, len(names))
        return dict(zip(names, table.T, strict=True))

    def tables(self) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Surface Dice of all images against the tolerance, for every class and group."""
        share = partial(_shares, overlap=self.overlap)
        curves = [self.distances.curve(row, share) for row in range(len(self.names))]
        lengths = [len(shares) for _, shares in curves]
        tolerances, shares = (
            np.concatenate([np.empty(0), *parts])
            for parts in zip((np.empty(0),) * 2, *curves, strict=True)
        )
        names = np.repeat(np.array(self.names, np.object_), lengths)
        return {"nsd_curve": {"surface": names, "tolerance": tolerances, "nsd": shares}}

    def case_scores(self) -> dict[str, NDArray[Any]]:
        """Every score of every class and group, if these are the counts of one image."""
        values = np.where(self.finite > 0, self.total, np.nan)
        values[self.infinite > 0] = np.inf
        columns: dict[str, NDArray[Any]] = dict(zip(self.scores, values, strict=True))
        return columns | {flag: getattr(self, flag) for flag in _FLAGS}

    def image_scores(self) -> dict[str, float]:
        """Means over the classes of the image, and how many classes one map lacks.

        A distance is infinite if it is so for every class that has one.
        """
        by_image = _quotient(self.image_total, self.image_number)
        missing = self.infinite[:, : self.num_classes].any(axis=1)
        by_image[np.isnan(by_image) & missing] = np.inf
        order = [*range(len(DISTANCES), len(self.scores)), *range(len(DISTANCES))]
        columns = {self.scores[k]: float(by_image[k]) for k in order}
        rows = slice(self.num_classes)
        columns["surfaces_missed"] = int(self.missed[rows].sum())
        return columns | {"surfaces_invented": int(self.invented[rows].sum())}

    def shown(self) -> dict[str, dict[str, str]]:
        """The printed tables: means over images, and percentiles of all images together."""
        units = {"pixels": self.in_pixels, "mm": self.in_mm, "": self.in_unit}
        used = [unit for unit, images in units.items() if images]
        unit = f" ({used[0]})" if len(used) == 1 and used[0] else ""
        names = {f"{name}_per_image": name for name in self.scores}
        return {
            f"surfaces{unit}": names | {flag: flag for flag in ("images", *_FLAGS)},
            f"surfaces of all images{unit}": {name: name for name in self._percentiles},
        }

    def remarks(self) -> Iterator[str]:
        """What a person must know to read the means, one line each."""
        rows = slice(self.num_classes)
        missed, invented = (int(part[rows].sum()) for part in (self.missed, self.invented))
        k = self.scores.index("hd95")
        finite, other = (
            int(part[k, rows].sum()) for part in (self.finite, self.infinite + self.undefined)
        )
        if missed or invented:
            yield (
                f"{missed:,} missed and {invented:,} invented surfaces (a class that only one map "
                f"of an image has): {other:,} of {finite + other:,} HD95 are not finite and left "
                "out of means"
            )
        if self.in_pixels and self.in_mm:
            yield (
                f"distances of {self.in_pixels:,} images are in pixels, as no file says their "
                f"spacing, and of {self.in_mm:,} in mm: means and percentiles mix both, unless you "
                "give a spacing"
            )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        plain = [part.name for part in fields(self) if part.name != "distances"]
        histogram = self.distances.to_arrays()
        return {name: np.array(getattr(self, name)) for name in plain} | {
            f"distances_{name}": array for name, array in histogram.items()
        }


_FLAGS = ("missed", "invented")
_COMMON = ("scores", "num_classes", "names", "pooled", "overlap")
_SUMMED = tuple(part.name for part in fields(SurfaceCounts) if part.name not in _COMMON)


def surface_classes(names: Sequence[str], *, binary: bool = False) -> tuple[int, ...]:
    """Classes whose surfaces are measured: all but the background.

    The background is a class of this name, class 0 of a mask, and class 0 that is called 0, as it
    is where classes have no names.

    Examples
    --------
    >>> surface_classes(["background", "liver"]), surface_classes(["0", "1", "2", "4"])
    ((1,), (1, 2, 3))
    >>> surface_classes(["road", "car"])
    (0, 1)
    """
    first = {0} if binary or [*names[:1]] == ["0"] else set()
    return tuple(k for k, name in enumerate(names) if k not in first and name != BACKGROUND)


def score_names(plan: Plan) -> tuple[str, ...]:
    """Names of the scores: the tolerance is part of them where it is one for all classes.

    Examples
    --------
    >>> from segmeter.evaluation import make_plan
    >>> score_names(make_plan(num_classes=2, measures=["boundary"], tolerance=(0.5, 2)))[4:]
    ('boundary_iou', 'nsd_at_0.5', 'nsd_at_2')
    """
    if plan.tolerance_of_class is not None:
        return (*DISTANCES, "boundary_iou", "nsd")
    return (*DISTANCES, "boundary_iou", *(f"nsd_at_{tolerance:g}" for tolerance in plan.tolerance))


@cache
def _rules(preset: str | None) -> SurfaceRules:
    """Conventions of a preset, of which no image is refused.

    What neither map has is undefined here, and left out; where a tool raises since one surface is
    missing, the distance is infinite.
    """
    rules = SurfaceRules() if preset is None else SURFACE_PRESETS[preset]
    missing = EmptyScores.of(math.inf, 0.0)
    one = {
        case: missing if _raises(scores) else scores
        for case, scores in (("pred", rules.empty.pred), ("target", rules.empty.target))
    }
    absent = EmptyScores.of(math.nan, math.nan)
    return replace(rules, empty=replace(rules.empty, both=absent, **one))


def _raises(scores: EmptyScores) -> bool:
    return "raise" in [getattr(scores, part.name) for part in fields(scores)]


def count(maps: Maps, plan: Plan) -> SurfaceCounts:
    """Measure the surfaces of one image."""
    if maps.target.ndim not in (2, 3):
        raise ValueError(f"surfaces are those of images and volumes, got {maps.target.ndim} axes")
    unit = _unit(checked_spacing(maps, plan), plan)
    classes = surface_classes(plan.class_names, binary=plan.binary)
    found = [_distances(maps, plan, {"classes": classes})]
    if plan.label_groups:
        found.append(_distances(maps, plan, {"groups": dict(plan.label_groups)}))
    return _counts_of([one for one in found if one], _bands(maps, plan), plan, unit=unit)


def _unit(spacing: tuple[float, ...] | None, plan: Plan) -> str:
    """What the distances of an image are in: "pixels", "mm", or "unit", that of given numbers.

    Raises
    ------
    ValueError
        If the tolerance is in another one.
    """
    if spacing is None or plan.spacing == "pixel":
        if plan.tolerance_unit == "mm":
            raise ValueError(
                "tolerance is in mm, but no file says the spacing of this image: give it with "
                "spacing=, or the tolerance in pixels"
            )
        return "pixels"
    if plan.tolerance_unit == "pixel":
        raise ValueError(
            "tolerance is in pixels, but distances are in mm, as the files say the spacing: give "
            "it in mm, or measure with spacing='pixel'"
        )
    return "mm" if plan.spacing == "auto" else "unit"


def _bands(maps: Maps, plan: Plan) -> IntArray:
    """Pixels in the bands of every class, then every group, (3, R); none of the background."""
    options: dict[str, Any] = {
        "num_classes": plan.num_classes,
        "ignore_index": maps.ignored,
        "out_of_range": "wrong",
        "width": _ratio(plan),
        "spacing": maps.spacing,
        "threads": maps.threads,
    }
    found = [boundary_iou_counts(maps.pred, maps.target, **options)]
    if plan.label_groups:
        groups = dict(plan.label_groups)
        found.append(boundary_iou_counts(maps.pred, maps.target, **options, groups=groups))
    columns = [np.stack([part.intersection, part.pred, part.target]) for part in found]
    bands = np.concatenate(columns, axis=1)
    classes = surface_classes(plan.class_names, binary=plan.binary)
    bands[:, np.setdiff1d(np.arange(plan.num_classes), classes)] = 0
    return bands


def _ratio(plan: Plan) -> float:
    return DILATION_RATIO if plan.boundary_ratio is None else plan.boundary_ratio


def _distances(maps: Maps, plan: Plan, which: dict[str, Any]) -> SurfaceDistances | None:
    """Distances of some classes, or of groups; None if there are none."""
    (names,) = which.values()
    if not names:
        return None
    rules = _rules(plan.preset)
    return surface_distances(
        maps.pred,
        maps.target,
        **which,
        num_classes=plan.num_classes,
        out_of_range="wrong",
        background=None,
        ignore_index=maps.ignored,
        spacing=maps.spacing,
        surface=rules.surface,  # type: ignore[arg-type]
        weights=rules.weights,  # type: ignore[arg-type]
        border=rules.border,  # type: ignore[arg-type]
        threads=maps.threads,
    )


def _scores(distances: SurfaceDistances, plan: Plan) -> SurfaceScores:
    tolerance: Any = plan.tolerance
    if plan.tolerance_of_class is not None:
        limits = dict(plan.tolerance_of_class)
        own = [k if isinstance(k, str) else plan.class_names[k] for k in distances]
        tolerance = np.array([[limits[name]] for name in own])
    return surface_scores(
        distances, percentile=_PERCENTILE, tolerance=tolerance, preset=_rules(plan.preset)
    )


def _counts_of(
    distances: Sequence[SurfaceDistances], bands: IntArray, plan: Plan, *, unit: str
) -> SurfaceCounts:
    """Counts of an image from the distances of its classes and groups."""
    classes = surface_classes(plan.class_names, binary=plan.binary)
    rows = [*classes, *range(plan.num_classes, plan.num_classes + len(plan.label_groups))]
    scores = score_names(plan)
    width = plan.num_classes + len(plan.label_groups)
    values = np.full((len(scores), width), np.nan)
    near, area = np.zeros((len(scores) - len(DISTANCES) - 1, width, 2)), np.zeros((width, 2))
    both, in_pred, in_target = bands
    has = np.zeros((2, width), np.bool_)
    found = [_scores(part, plan) for part in distances]
    if found:
        columns = [
            np.concatenate([getattr(part, name) for part in found])
            for name in ("hausdorff", "hausdorff_percentile", "assd", "masd", "nsd")
        ]
        columns.insert(len(DISTANCES), _quotient(both, in_pred + in_target - both)[rows])
        values[:, rows] = np.column_stack(columns).T
        near[:, rows] = np.concatenate([part.within for part in found]).swapaxes(0, 1)
        area[rows] = np.concatenate([part.weight for part in found])
        has[:, rows] = np.concatenate([part.points > 0 for part in found]).T
    present = has.any(axis=0)
    finite = np.isfinite(values) & present
    of_class = finite[:, : plan.num_classes]
    total = np.where(finite, values, 0.0)
    number = of_class.sum(axis=1)
    return SurfaceCounts(
        scores=scores,
        num_classes=plan.num_classes,
        names=(*plan.class_names, *(name for name, _ in plan.label_groups)),
        total=total,
        finite=finite.astype(np.int64),
        infinite=(np.isinf(values) & present).astype(np.int64),
        undefined=(np.isnan(values) & present).astype(np.int64),
        missed=(has[1] & ~has[0]).astype(np.int64),
        invented=(has[0] & ~has[1]).astype(np.int64),
        band=bands,
        near=near,
        area=area,
        image_total=total[:, : plan.num_classes].sum(axis=1) / np.maximum(number, 1),
        image_number=(number > 0).astype(np.int64),
        distances=DistanceHistogram.of(
            zip(rows, (one for part in distances for one in part.values()), strict=False), width
        ),
        pooled=_rules(plan.preset).percentile == "pooled",
        overlap=_rules(plan.preset).overlap,
        **{f"in_{name}": int(name == unit) for name in ("pixels", "mm", "unit")},
    )


def empty(plan: Plan) -> SurfaceCounts:
    """Counts of no image."""
    bands = np.zeros((3, plan.num_classes + len(plan.label_groups)), np.int64)
    return replace(_counts_of([], bands, plan, unit="mm"), in_mm=0)


def sentences(plan: Plan) -> Iterator[str]:
    """How surfaces are found and compared, in words."""
    rules = _rules(plan.preset)
    classes = surface_classes(plan.class_names, binary=plan.binary)
    left_out = [name for k, name in enumerate(plan.class_names) if k not in classes]
    yield "surfaces: of every class" + (f" but {', '.join(left_out)}" if left_out else "")
    whose = "segmeter's own conventions" if plan.preset is None else f"as {plan.preset} has them"
    weights = rules.weights or default_weights(rules.surface)
    yield (
        f"distances: {whose} (surface {rules.surface}, weights {weights}, border "
        f"{rules.border}, percentile {rules.percentile}, mean {rules.mean}, NSD {rules.overlap})"
    )
    if plan.spacing == "auto":
        measured = {
            None: "images whose files say none are measured in pixels, volumes not at all",
            "mm": "what no file says one of is not measured, as the tolerance is in mm",
            "pixel": "only images whose files say none are measured, as the tolerance is in pixels",
        }[plan.tolerance_unit]
        yield f"spacing: that of the target file, else of the prediction; {measured}"
    elif plan.spacing == "pixel":
        yield "spacing: 1 along each axis, distances are in pixels"
    else:
        yield f"spacing: {' x '.join(f'{step:g}' for step in plan.spacing)}, of all images"
    if plan.tolerance_of_class is None:
        limits = ", ".join(f"{tolerance:g}" for tolerance in plan.tolerance)
    else:
        limits = ", ".join(f"{value:g} ({name})" for name, value in plan.tolerance_of_class)
    yield f"Boundary IoU: bands as wide as {100 * _ratio(plan):g} % of the image diagonal"
    units = {None: "the unit of the distances", "pixel": "pixels"}
    unit = units.get(plan.tolerance_unit, plan.tolerance_unit)
    yield f"tolerance of the surface Dice (NSD): {limits}, in {unit}"
    yield (
        "means of distances are over the images where they are finite; a class in neither map is "
        "left out"
    )
    which = "both directions" if _rules(plan.preset).percentile == "pooled" else "the larger of two"
    yield (
        f"distances of all images together: percentiles of the surface by weight ({which}), not "
        f"interpolated, rounded up to {DIGITS} significant digits; infinite where so much surface "
        "has no other"
    )


def _quotient(total: FloatArray, number: NDArray[Any]) -> FloatArray:
    result = np.full(np.shape(total), np.nan)
    np.divide(total, number, out=result, where=np.broadcast_to(number > 0, np.shape(total)))
    return result


def _shares(near: FloatArray, area: FloatArray, overlap: OverlapRule) -> FloatArray:
    """Share of the surface of both maps (..., 2) that is near; 0 where only one map has some."""
    if overlap == "pooled":
        return _quotient(near.sum(axis=-1), area.sum(axis=-1))
    some = np.where(area.all(axis=-1, keepdims=True), area, np.inf)  # near nothing: 0
    return np.where(area.any(axis=-1), (near / some).mean(axis=-1), np.nan)


MEASURE = Measure(name="boundary", count=count, empty=empty, sentences=sentences)
