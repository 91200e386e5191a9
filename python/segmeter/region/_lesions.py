"""Lesion-wise scores: every lesion of the truth for itself, found or missed, and how well."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from .._counts import Summable, equal_arrays, require_counts
from ._components import Regions, instance_regions, label_components
from ._crops import RegionCrops, joint_box
from ._matching import Criterion, match_regions
from ._morphology import binary_runs, dilate, ignored_pixels, label_pair
from ._overlap import OverlapTable, overlap_table
from ._runs import RunList
from ._stored import positions, require_equal_lengths, required, typed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

Groups = Mapping[str, Sequence[int]]
Distance = Callable[["NDArray[np.bool_]", "NDArray[np.bool_]", tuple[float, ...]], float]

BRATS_GROUPS: dict[str, tuple[int, ...]] = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
"""Whole tumour, tumour core and enhancing tumour of BraTS labels from 2023 on."""

BRATS_GROUPS_UNTIL_2022: dict[str, tuple[int, ...]] = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
"""The same of BraTS labels until 2022, in which 4 is the enhancing tumour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRules:
    """What a lesion is, which prediction belongs to it, and how lesions make up a case's score.

    Attributes
    ----------
    name : str
    method : {"any_overlap", "optimal"}
        ``"any_overlap"``: every predicted component that shares a pixel with the lesion belongs
        to it; all of them together are compared with it, and one may belong to several lesions.
        ``"optimal"``: one component for one lesion, with the largest sum of scores.
    dilation : int
        For ``"any_overlap"``. The target is dilated this many times (by the neighbourhood of
        faces and edges) to decide what belongs together: target components whose dilations touch
        are one lesion, and predicted components that touch the dilation belong to the lesion. All
        pixels are counted on the maps as they are.
    criterion : {"iou", "dice", "ior", "iop"}
        For ``"optimal"`` the score of a pair.
    threshold : float
        For ``"optimal"`` the score that a pair must reach.
    min_volume : float
        Lesions that are not larger are left out, found or not.
    min_volume_counts : bool
        Whether a lesion of exactly that volume counts.
    average : {"all", "matched"}
        Mean over all counted lesions and false positives, these with Dice 0, or over the lesions
        that were found.
    empty : float
        Score of Dice in a case with no counted lesion and no false positive: 1 or NaN.
    needs_lesion : bool
        Whether a case without a counted lesion has no score even if there are false positives.
    distance_penalty : float
        Distance of a missed lesion and of a false positive. Their normalised surface Dice is 0.
    surface : str
        Conventions of distances and of normalised surface Dice: a name in
        :data:`segmeter.SURFACE_PRESETS`.

    Raises
    ------
    ValueError
        If a rule is unknown or out of its range.
    """

    name: str = "custom"
    method: Literal["any_overlap", "optimal"] = "any_overlap"
    dilation: int = 0
    criterion: Criterion = "dice"
    threshold: float = 0.5
    min_volume: float = 0.0
    min_volume_counts: bool = False
    average: Literal["all", "matched"] = "all"
    empty: float = math.nan
    needs_lesion: bool = False
    distance_penalty: float = math.inf
    surface: str = "deepmind"

    def __post_init__(self) -> None:
        for name, choices in (
            ("method", ("any_overlap", "optimal")),
            ("criterion", get_args(Criterion)),
            ("average", ("all", "matched")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, choices))}, "
                    f"got {getattr(self, name)!r}"
                )
        dilation: object = self.dilation
        if not isinstance(dilation, int | np.integer) or dilation < 0:
            raise ValueError(f"dilation must be an integer from 0 on, got {dilation!r}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be a number from 0 to 1, got {self.threshold!r}")
        if not self.min_volume >= 0:
            raise ValueError(f"min_volume must be a number from 0 on, got {self.min_volume!r}")

    def counts(self, volume: FloatArray) -> NDArray[np.bool_]:
        """Whether lesions of these volumes are counted."""
        if self.min_volume_counts:
            return np.asarray(volume >= self.min_volume)
        return np.asarray(volume > self.min_volume)


_BRATS_2023 = LesionRules(
    name="brats2023", dilation=3, min_volume=50.0, empty=1.0, distance_penalty=374.0
)
_BRATS_2026 = LesionRules(
    name="brats2026",
    method="optimal",
    criterion="dice",
    threshold=1e-6,
    average="matched",
    distance_penalty=373.0,
    surface="panoptica",
)

LESION_RULES: dict[str, LesionRules] = {
    rules.name: rules
    for rules in (
        _BRATS_2023,
        replace(_BRATS_2023, name="brats2023-men", dilation=1),
        replace(_BRATS_2023, name="brats2023-met", dilation=1, min_volume=2.0),
        _BRATS_2026,
        replace(
            _BRATS_2026,
            name="brats2026-met",
            average="all",
            min_volume=20.0,
            min_volume_counts=True,
            needs_lesion=True,
        ),
        LesionRules(name="any_overlap"),
        LesionRules(name="iou50", method="optimal", criterion="iou", threshold=0.5),
    )
}
"""Every set of rules by its name."""


def _columns(names: str, dtype: Any) -> dict[str, Any]:
    return dict.fromkeys(names.split(), np.dtype(dtype))


_COLUMNS = (
    _columns("lesion_case lesion_group lesion_id lesion_volume", np.int64)
    | _columns("lesion_pred_volume lesion_intersection lesion_matches", np.int64)
    | _columns("lesion_distance lesion_nsd", np.float64)
    | _columns("pred_case pred_group pred_id pred_volume", np.int64)
    | _columns("pred_matches pair_lesion pair_pred", np.int64)
    | _columns("voxel_volume", np.float64)
)


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionCounts(Summable):
    """Lesions and predicted components of one case or of many: what the scores follow from.

    Three tables: a row per lesion, a row per predicted component, and a row per pair of them that
    belongs together. They are exact integers, and those of several cases add up by standing below
    each other.

    Attributes
    ----------
    rules : LesionRules
    group_names : tuple of str
    lesion_case, lesion_group, lesion_id : (L,) int64
        Case and group by position; id 1, 2, ... within them, in raster order.
    lesion_volume : (L,) int64
        Pixels of the lesion.
    lesion_pred_volume, lesion_intersection : (L,) int64
        Pixels of its predicted components together, and how many of those are in the lesion.
    lesion_matches : (L,) int64
        How many components belong to it; 0: missed.
    lesion_distance : (L,) float64
        Distance between the lesion and its components, NaN where none was measured.
    lesion_nsd : (L,) float64
        Normalised surface Dice of the lesion with its components, NaN where not measured.
    pred_case, pred_group, pred_id, pred_volume, pred_matches : (P,) int64
        The same of the predicted components; ``pred_matches`` 0: false positive.
    pair_lesion, pair_pred : (M,) int64
        Rows of the lesion and of the component.
    voxel_volume : (N,) float64
        Volume of one pixel, for every case.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((6, 6), int)
    >>> target[:2, :2] = target[4:, 4:] = 1
    >>> pred = np.zeros((6, 6), int)
    >>> pred[:2, :3] = 1
    >>> counts = segmeter.lesion_wise(pred, target, rules="any_overlap")
    >>> counts.lesion_matches, counts.lesion_dice
    (array([1, 0]), array([0.8, 0. ]))
    >>> (counts + counts).num_cases
    2
    """

    rules: LesionRules
    group_names: tuple[str, ...]
    lesion_case: IntArray
    lesion_group: IntArray
    lesion_id: IntArray
    lesion_volume: IntArray
    lesion_pred_volume: IntArray
    lesion_intersection: IntArray
    lesion_matches: IntArray
    lesion_distance: FloatArray
    lesion_nsd: FloatArray
    pred_case: IntArray
    pred_group: IntArray
    pred_id: IntArray
    pred_volume: IntArray
    pred_matches: IntArray
    pair_lesion: IntArray
    pair_pred: IntArray
    voxel_volume: FloatArray

    @classmethod
    def from_columns(
        cls,
        rules: LesionRules,
        group_names: tuple[str, ...],
        columns: Mapping[str, Sequence[ArrayLike]],
    ) -> Self:
        """Counts from parts of each column."""
        joined: dict[str, Any] = {
            name: np.concatenate([np.asarray(part, dtype) for part in columns[name]])
            for name, dtype in _COLUMNS.items()
        }
        return cls(rules=rules, group_names=group_names, **joined)

    @property
    def num_cases(self) -> int:
        """Number of cases."""
        return len(self.voxel_volume)

    @property
    def lesion_dice(self) -> FloatArray:
        """Dice score of each lesion with its components; 0 for a missed one."""
        return 2 * self.lesion_intersection / (self.lesion_volume + self.lesion_pred_volume)

    @property
    def lesion_counted(self) -> NDArray[np.bool_]:
        """Which lesions are large enough for the rules."""
        return self.rules.counts(self.lesion_volume * self.voxel_volume[self.lesion_case])

    def __add__(self, other: LesionCounts) -> LesionCounts:
        """Counts of both sets of cases, those of ``other`` behind."""
        if not isinstance(other, LesionCounts):
            return NotImplemented
        if (self.rules, self.group_names) != (other.rules, other.group_names):
            raise ValueError("counts of different rules or groups cannot be added")
        offset = {
            "lesion_case": self.num_cases,
            "pred_case": self.num_cases,
            "pair_lesion": len(self.lesion_id),
            "pair_pred": len(self.pred_id),
        }
        columns = {
            name: [getattr(self, name), getattr(other, name) + offset.get(name, 0)]
            for name in _COLUMNS
        }
        return LesionCounts.from_columns(self.rules, self.group_names, columns)

    def __eq__(self, other: object) -> bool:
        return equal_arrays(self, other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __repr__(self) -> str:
        return (
            f"LesionCounts(rules={self.rules.name!r}, groups={list(self.group_names)}, "
            f"num_cases={self.num_cases}, lesions={len(self.lesion_id)}, "
            f"predicted={len(self.pred_id)})"
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send; see :meth:`from_arrays`."""
        arrays = {name: getattr(self, name) for name in _COLUMNS}
        rules = {
            f"rules_{part.name}": getattr(self.rules, part.name) for part in fields(LesionRules)
        }
        return (
            arrays
            | {name: np.asarray(value) for name, value in rules.items()}
            | {"group_names": np.asarray(self.group_names, dtype=np.str_)}
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Counts from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            The arrays are not such counts.

        Examples
        --------
        >>> import segmeter
        >>> counts = segmeter.lesion_wise([[1, 1]], [[0, 1]])
        >>> segmeter.LesionCounts.from_arrays(counts.to_arrays()) == counts
        True
        """
        rule_names = [part.name for part in fields(LesionRules)]
        stored = required(
            arrays,
            (*_COLUMNS, *(f"rules_{name}" for name in rule_names), "group_names"),
            cls.__name__,
        )
        rules = {name: stored[f"rules_{name}"].item() for name in rule_names}
        columns: dict[str, Any] = typed(stored, _COLUMNS)
        for table in ("lesion_", "pred_", "pair_", "voxel_"):
            require_equal_lengths({n: columns[n] for n in columns if n.startswith(table)})
        names = tuple(str(name) for name in np.atleast_1d(stored["group_names"]))
        sizes = {
            "lesion_case": len(columns["voxel_volume"]),
            "lesion_group": len(names),
            "pred_case": len(columns["voxel_volume"]),
            "pred_group": len(names),
            "pair_lesion": len(columns["lesion_id"]),
            "pair_pred": len(columns["pred_id"]),
        }
        for name, size in sizes.items():
            columns[name] = positions(stored[name], size, name)
        return cls(rules=LesionRules(**rules), group_names=names, **columns)


def lesion_wise(
    pred: Any,
    target: Any,
    *,
    rules: str | LesionRules = "brats2023",
    groups: Groups | None = None,
    connectivity: int | None = None,
    spacing: float | Sequence[float] = 1.0,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    distance: Literal["hd95"] | Distance | None = None,
    tolerance: float | None = None,
    threads: int = 0,
) -> LesionCounts:
    """Compare every lesion of the target with what was predicted in its place.

    Parameters
    ----------
    pred, target : array_like of int or bool, 2-D or 3-D, of equal shape
        Label maps.
    rules : str or LesionRules, default "brats2023"
        A name in :data:`LESION_RULES`, or rules of your own. ``"brats2023"`` is for GLI, SSA and
        PED, with ``"brats2023-men"`` and ``"brats2023-met"`` for the challenges that differ;
        ``"brats2026"`` for all but metastases, which have ``"brats2026-met"``. ``"any_overlap"``:
        a lesion is found if a pixel of it is; ``"iou50"``: one component for one lesion at IoU of
        0.5 or more.
    groups : mapping of str to sequence of int, optional
        Labels of each group, such as :data:`BRATS_GROUPS`; groups may overlap. Default: all
        labels but 0 as one group ``"lesion"``.
    connectivity : {4, 8} in 2-D, {6, 18, 26} in 3-D, optional
        Which pixels are one component. Default 8 or 26.
    spacing : float or sequence of float, default 1
        Size of a pixel along each axis: the rules' ``min_volume`` is a volume.
    ignore_index : int, sequence of int, or bool array, optional
        Labels of ``target``, or a mask, whose pixels belong to nothing in either map.
    distance : {"hd95"} or callable, optional
        What becomes ``lesion_distance`` of every lesion that was found. ``"hd95"``: the 95 %
        Hausdorff distance by the conventions of the rules. Or ``distance(pred_mask, lesion_mask,
        spacing)``, called with its components and itself as bool arrays, cut out of the image with
        a margin of one pixel. Default: nothing is measured.
    tolerance : float, optional
        Measure the normalised surface Dice of every lesion that was found, at this tolerance in
        the unit of ``spacing``, by the conventions of the rules.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input. The result does not depend on it.

    Returns
    -------
    LesionCounts
        Of one case; :func:`lesion_scores` makes scores of it, or of a sum.

    Raises
    ------
    ValueError
        Shapes differ, or an argument is outside its range.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    Definition and source: BraTS 2023 as its lesion-wise evaluation (Saluja et al.): target
    dilated 3 times (MEN, MET: once) by the 18-neighbourhood; target components under one
    component of the dilation are one lesion; the 26-connected predicted components that touch
    the dilation are its prediction; lesions up to 50 mm3 (MET: 2 mm3) are left out; mean of Dice
    (and HD95) over lesions and false positives, these with 0 (and 374 mm); HD95 is that of
    DeepMind's surface-distance. BraTS 2026 as brats-evaluation 0.0.10: one-to-one matching with the
    largest sum of Dice scores of at least 1e-6; mean over the lesions found, or for metastases over
    lesions from 20 mm3 on and false positives, these with 0 (and 373 mm); HD95 and normalised
    surface Dice are those of panoptica. Where no lesion is found that program's table for gliomas
    holds an infinite HD95; here it is 373 mm, as everywhere else in it.

    Both maps are read once, whatever the number of groups.

    Examples
    --------
    >>> target = np.zeros((20, 20, 20), np.uint8)
    >>> target[2:8, 2:8, 2:8] = 3
    >>> target[14:18, 14:18, 14:18] = 2
    >>> pred = np.zeros_like(target)
    >>> pred[2:8, 2:8, 2:5] = 3
    >>> counts = lesion_wise(pred, target, groups=BRATS_GROUPS)
    >>> lesion_scores(counts)["WT"]["dice"]  # mean of 2/3 and 0
    0.333...
    >>> lesion_scores(counts)["ET"]["dice"]
    0.666...
    """
    rules = _rules(rules)
    pred, target = label_pair(pred, target)
    group_table = _groups(groups)
    steps = _spacing(spacing, target.ndim)
    _check_measured(distance, tolerance, rules)
    mask = ignored_pixels(target, ignore_index)
    pred_runs, target_runs = (
        RunList.from_array(part, ignore_index=mask, threads=threads) for part in (pred, target)
    )
    tables = [
        _compare(
            _select(pred_runs, labels), _select(target_runs, labels), rules, connectivity, threads
        )
        for labels in group_table.values()
    ]
    measured = [_measured(table, steps, rules, distance, tolerance) for table in tables]
    return _joined(rules, tuple(group_table), tables, measured, math.prod(steps))


# --- what the user gave -----------------------------------------------------------------------


def _rules(rules: object) -> LesionRules:
    if isinstance(rules, LesionRules):
        return rules
    if rules not in LESION_RULES:
        raise ValueError(
            f"rules must be LesionRules or one of {', '.join(map(repr, LESION_RULES))}, "
            f"got {rules!r}"
        )
    return LESION_RULES[str(rules)]


def _groups(groups: object) -> dict[str, tuple[int, ...] | None]:
    if groups is None:
        return {"lesion": None}
    if not isinstance(groups, Mapping) or not groups:
        raise TypeError(f"groups must be a mapping of names to labels, got {groups!r}")
    table: dict[str, tuple[int, ...] | None] = {}
    for name, labels in groups.items():
        members = tuple(labels) if isinstance(labels, Iterable) else ()
        if not members or any(
            isinstance(label, bool) or not isinstance(label, (int, np.integer)) for label in members
        ):
            raise TypeError(
                f"groups[{name!r}] must be a sequence of integer labels, got {labels!r}"
            )
        if 0 in members:
            raise ValueError(f"groups[{name!r}] must not hold 0, which is the background")
        table[str(name)] = tuple(int(label) for label in members)
    return table


def _spacing(spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    steps = np.asarray(spacing, dtype=np.float64)
    if steps.ndim == 0:
        steps = np.full(ndim, steps)
    if steps.shape != (ndim,) or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(
            f"spacing must be a positive number or one for each of {ndim} axes, got {spacing!r}"
        )
    return tuple(steps.tolist())


def _check_measured(distance: object, tolerance: object, rules: LesionRules) -> None:
    from ..boundary import SURFACE_PRESETS

    if not (distance is None or distance == "hd95" or callable(distance)):
        raise TypeError(f"distance must be 'hd95' or a function of two masks, got {distance!r}")
    if rules.surface not in SURFACE_PRESETS:
        raise ValueError(
            f"surface of the rules must be one of {', '.join(map(repr, SURFACE_PRESETS))}, "
            f"got {rules.surface!r}"
        )
    if tolerance is None:
        return
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number):
        raise TypeError(f"tolerance must be a number, got {tolerance!r}")
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance must be a finite number from 0 on, got {tolerance!r}")


# --- one group --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Compared:
    """Lesions and components of one group of one case, and which belong together."""

    lesions: Regions
    preds: Regions
    pair_lesion: IntArray
    pair_pred: IntArray
    pair_intersection: IntArray


def _select(runs: RunList, labels: tuple[int, ...] | None) -> RunList:
    """Mask of some labels, as runs: neighbouring runs of different labels become one."""
    kept = np.ones(len(runs.begin), bool) if labels is None else np.isin(runs.value, labels)
    return binary_runs(runs.shape, runs.row[kept], runs.begin[kept], runs.end[kept])


def _compare(
    pred: RunList, target: RunList, rules: LesionRules, connectivity: int | None, threads: int
) -> _Compared:
    preds = label_components(pred, connectivity=connectivity, threads=threads)
    if rules.method == "optimal":
        lesions = label_components(target, connectivity=connectivity, threads=threads)
        table = overlap_table(preds, lesions, threads=threads)
        pairs = match_regions(
            table,
            method="optimal",
            criterion=rules.criterion,
            threshold=rules.threshold,
            objective="score",
            same_class=False,
        )
        return _compared(lesions, preds, table, pairs.pred_index, pairs.target_index)
    if rules.dilation == 0:
        lesions = label_components(target, connectivity=connectivity, threads=threads)
        table = overlap_table(preds, lesions, threads=threads)
        return _compared(lesions, preds, table, table.pred_index, table.target_index)
    reach = label_components(
        dilate(target, iterations=rules.dilation, threads=threads),
        connectivity=connectivity,
        threads=threads,
    )
    lesions = _lesions_within(target, reach)
    touching = overlap_table(preds, reach, threads=threads)
    table = overlap_table(preds, lesions, threads=threads)
    return _compared(lesions, preds, table, touching.pred_index, touching.target_index)


def _lesions_within(target: RunList, reach: Regions) -> Regions:
    """Runs of the target, each in the region of the component of the dilation that it lies in."""
    width = target.shape[-1] + 1
    outer = reach.runs.row * width + reach.runs.begin
    inner = target.row * width + target.begin
    inside = np.searchsorted(outer, inner, side="right") - 1
    lesion = reach.run_region[inside].astype(np.int64) + 1
    return instance_regions(
        RunList(target.shape, target.row_begin, target.begin, target.end, lesion)
    )


def _compared(
    lesions: Regions,
    preds: Regions,
    table: OverlapTable,
    pair_pred: IntArray,
    pair_lesion: IntArray,
) -> _Compared:
    """Look up what each pair has in common; a pair may touch and have nothing in common."""
    width = max(1, table.num_pred)
    known = table.target_index * width + table.pred_index
    wanted = pair_lesion * width + pair_pred
    at = np.searchsorted(known, wanted)
    found = at < len(known)
    found[found] = known[at[found]] == wanted[found]
    common = np.zeros(len(wanted), np.int64)
    common[found] = table.intersection[at[found]]
    return _Compared(lesions, preds, pair_lesion, pair_pred, common)


def _measured(
    table: _Compared,
    spacing: tuple[float, ...],
    rules: LesionRules,
    distance: str | Distance | None,
    tolerance: float | None,
) -> tuple[FloatArray, FloatArray]:
    """Distance and normalised surface Dice of each lesion that was found; NaN if not asked for."""
    distances = np.full(len(table.lesions.id), np.nan)
    overlaps = distances.copy()
    found = np.unique(table.pair_lesion)
    if (distance is None and tolerance is None) or not found.size:
        return distances, overlaps
    order = np.argsort(table.pair_lesion, kind="stable")
    members = np.split(table.pair_pred[order], np.searchsorted(table.pair_lesion[order], found[1:]))
    crops = RegionCrops(table.preds), RegionCrops(table.lesions)
    if callable(distance):
        for lesion, preds in zip(found.tolist(), members, strict=True):
            box = joint_box(crops[0], preds, crops[1], [lesion])
            masks = crops[0].mask(preds, box), crops[1].mask([lesion], box)
            distances[lesion] = distance(*masks, spacing)
    if distance == "hd95" or tolerance is not None:
        pairs = [(k, (preds, found[k])) for k, preds in enumerate(members)]
        hd95, overlap = _surface_scores(*crops, pairs, spacing, rules, tolerance)
        if distance == "hd95":
            distances[found] = hd95
        overlaps[found] = overlap
    return distances, overlaps


def _surface_scores(
    preds: RegionCrops,
    lesions: RegionCrops,
    pairs: list[tuple[int, tuple[IntArray, IntArray]]],
    spacing: tuple[float, ...],
    rules: LesionRules,
    tolerance: float | None,
) -> tuple[FloatArray, FloatArray]:
    """HD95 and normalised surface Dice of pairs by the conventions of the rules."""
    from .. import boundary  # which is made of this family
    from ..boundary._regions import paired_distances

    conventions = boundary.SURFACE_PRESETS[rules.surface]
    how: dict[str, Any] = {
        name: getattr(conventions, name) for name in ("surface", "weights", "border")
    }
    measured = paired_distances(preds, lesions, pairs, spacing=spacing, **how)
    hd95 = boundary.hausdorff_distance(measured, percentile=95, preset=conventions)
    if tolerance is None:
        return np.asarray(hd95), np.full(len(pairs), np.nan)
    overlap = boundary.nsd(measured, tolerance=tolerance, preset=conventions)
    return np.asarray(hd95), np.asarray(overlap)


def _joined(
    rules: LesionRules,
    names: tuple[str, ...],
    tables: list[_Compared],
    measured: list[tuple[FloatArray, FloatArray]],
    voxel_volume: float,
) -> LesionCounts:
    """Tables of all groups below each other, as one case."""
    num_lesions = [len(table.lesions.id) for table in tables]
    num_preds = [len(table.preds.id) for table in tables]
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in _COLUMNS}
    for g, table in enumerate(tables):
        lesions, preds = num_lesions[g], num_preds[g]
        pred_area = np.asarray(table.preds.area, np.int64)
        part = {
            "lesion_case": np.zeros(lesions, np.int64),
            "lesion_group": np.full(lesions, g),
            "lesion_id": np.arange(1, lesions + 1),
            "lesion_volume": table.lesions.area,
            "lesion_pred_volume": _sums(table.pair_lesion, pred_area[table.pair_pred], lesions),
            "lesion_intersection": _sums(table.pair_lesion, table.pair_intersection, lesions),
            "lesion_matches": np.bincount(table.pair_lesion, minlength=lesions),
            "lesion_distance": measured[g][0],
            "lesion_nsd": measured[g][1],
            "pred_case": np.zeros(preds, np.int64),
            "pred_group": np.full(preds, g),
            "pred_id": np.arange(1, preds + 1),
            "pred_volume": pred_area,
            "pred_matches": np.bincount(table.pair_pred, minlength=preds),
            "pair_lesion": table.pair_lesion + sum(num_lesions[:g]),
            "pair_pred": table.pair_pred + sum(num_preds[:g]),
        }
        for name, values in part.items():
            columns[name].append(values)
    columns["voxel_volume"].append(np.array([voxel_volume]))
    return LesionCounts.from_columns(rules, names, columns)


def _sums(index: IntArray, values: IntArray, size: int) -> IntArray:
    result = np.zeros(size, np.int64)
    np.add.at(result, index, values)
    return result


# --- scores -----------------------------------------------------------------------------------


def lesion_scores(counts: LesionCounts) -> dict[str, dict[str, float]]:
    """Scores of every group: means over cases, and lesions counted over all cases.

    Parameters
    ----------
    counts : LesionCounts

    Returns
    -------
    dict of str to dict
        For each group ``dice``, ``distance`` and ``nsd``, means over cases of the case's score by
        the rules (:func:`lesion_scores_per_case`), and ``num_cases`` they are over;
        ``tp``, ``fn`` and ``fp``, lesions found and missed and components of no lesion, in all
        cases; ``sensitivity``, ``precision`` and ``f1`` of these, NaN where undefined;
        ``left_out``, lesions too small for the rules. ``distance`` and ``nsd`` are NaN if one was
        not measured.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.lesion_wise([[1, 0, 1]], [[1, 0, 0]], rules="any_overlap")
    >>> lesion_scores(counts)["lesion"]["precision"]
    0.5
    """
    require_counts(counts, LesionCounts, "lesion_wise")
    cases = lesion_scores_per_case(counts)
    result = {}
    for g, name in enumerate(counts.group_names):
        lesions = counts.lesion_group == g
        counted = lesions & counts.lesion_counted
        tp = int((counted & (counts.lesion_matches > 0)).sum())
        fn = int(counted.sum()) - tp
        fp = int(((counts.pred_group == g) & (counts.pred_matches == 0)).sum())
        scored = ~np.isnan(cases[name]["dice"])
        result[name] = {score: _mean(values[scored]) for score, values in cases[name].items()} | {
            "num_cases": int(scored.sum()),
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "left_out": int(lesions.sum() - counted.sum()),
            "sensitivity": _ratio(tp, tp + fn),
            "precision": _ratio(tp, tp + fp),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        }
    return result


def lesion_scores_per_case(counts: LesionCounts) -> dict[str, dict[str, FloatArray]]:
    """Lesion-wise Dice, distance and surface Dice of every case and group, by the counts' rules.

    Returns
    -------
    dict of str to dict
        For each group ``dice``, ``distance`` and ``nsd``, arrays (N,): NaN where the rules give no
        score; the last two also where one was not measured.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.lesion_wise([[1, 1, 1]], [[1, 0, 0]], rules="any_overlap")
    >>> lesion_scores_per_case(counts)["lesion"]["dice"]
    array([0.5])
    """
    require_counts(counts, LesionCounts, "lesion_wise")
    return {
        name: _case_scores(counts, counts.lesion_group == g, counts.pred_group == g)
        for g, name in enumerate(counts.group_names)
    }


def _case_scores(
    counts: LesionCounts, lesions: NDArray[np.bool_], preds: NDArray[np.bool_]
) -> dict[str, FloatArray]:
    rules, cases = counts.rules, counts.num_cases
    found = counts.lesion_matches > 0
    counted = lesions & counts.lesion_counted
    false = preds & (counts.pred_matches == 0)
    num_false = np.bincount(counts.pred_case[false], minlength=cases)
    num_lesions = np.bincount(counts.lesion_case[counted], minlength=cases)
    if rules.average == "matched":
        terms, size = (
            counted & found,
            np.bincount(counts.lesion_case[counted & found], minlength=cases),
        )
    else:
        terms, size = counted, num_lesions + num_false
    has_any = num_lesions + num_false > 0

    def case_sum(values: FloatArray) -> FloatArray:
        sums = np.zeros(cases)
        np.add.at(sums, counts.lesion_case[terms], values[terms])
        return sums

    distance = np.where(found, counts.lesion_distance, rules.distance_penalty)
    penalties = 0.0 if rules.average == "matched" else _penalties(num_false, rules)
    overlap = np.where(found, counts.lesion_nsd, 0.0)
    scores = {
        "dice": _quotient(case_sum(counts.lesion_dice), size, 0.0),
        "distance": _quotient(case_sum(distance) + penalties, size, rules.distance_penalty),
        "nsd": _quotient(case_sum(overlap), size, 0.0),
    }
    for name, values in scores.items():
        perfect = 1 - rules.empty if name == "distance" else rules.empty
        scores[name] = np.where(has_any, values, perfect)
        if rules.needs_lesion:
            scores[name] = np.where(num_lesions > 0, scores[name], np.nan)
    return scores


def _penalties(number: IntArray, rules: LesionRules) -> FloatArray:
    penalty = np.zeros(len(number))
    penalty[number > 0] = number[number > 0] * rules.distance_penalty
    return penalty


def _quotient(total: FloatArray, size: IntArray, otherwise: float) -> FloatArray:
    result = np.full(len(size), otherwise)
    np.divide(total, size, out=result, where=size > 0)
    return result


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else math.nan
