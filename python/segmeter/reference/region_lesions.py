"""Lesion-wise scores in plain NumPy and SciPy, rule by rule, mask by mask.

Written as the challenges describe their rules: whole-image masks, one lesion after the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..region import LesionCounts, LesionRules

    Mask = NDArray[np.bool_]


def lesion_wise(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    rules: str | LesionRules = "brats2023",
    groups: Mapping[str, Sequence[int]] | None = None,
    connectivity: int | None = None,
    spacing: float | Sequence[float] = 1.0,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    distance: str | Callable[[Mask, Mask, tuple[float, ...]], float] | None = None,
    tolerance: float | None = None,
    threads: int = 0,
) -> LesionCounts:
    """SciPy twin of :func:`segmeter.lesion_wise`; same arguments, same result.

    Examples
    --------
    >>> lesion_wise([[1, 1, 0]], [[0, 1, 1]], rules="any_overlap").lesion_dice
    array([0.5])
    """
    from ..region import LESION_RULES, LesionCounts

    del threads  # one thread only: the twin defines the result, not the speed
    chosen = LESION_RULES[rules] if isinstance(rules, str) else rules
    maps = np.asarray(pred), np.asarray(target)
    if ignore_index is not None:
        given = np.asarray(ignore_index)
        ignored = given if given.dtype == np.bool_ else np.isin(maps[1], given)
        maps = np.where(ignored, 0, maps[0]), np.where(ignored, 0, maps[1])
    steps = tuple(np.broadcast_to(np.asarray(spacing, np.float64), maps[1].ndim).tolist())
    rows: dict[str, list[Any]] = {name: [] for name in ("lesion", "pred", "pair")}
    table = {"lesion": None} if groups is None else dict(groups)
    for g, labels in enumerate(table.values()):
        inside = [part != 0 if labels is None else np.isin(part, labels) for part in maps]
        _group(rows, g, inside[0], inside[1], chosen, connectivity, steps, (distance, tolerance))
    return LesionCounts(
        rules=chosen,
        group_names=tuple(table),
        **_columns(rows["lesion"], "lesion", _LESION, dict.fromkeys(_LESION[-2:], np.float64)),
        **_columns(rows["pred"], "pred", _PRED, {}),
        **_columns(rows["pair"], "pair", ("lesion", "pred"), {}),
        voxel_volume=np.array([np.prod(steps)]),
    )


def lesion_scores_per_case(counts: LesionCounts) -> dict[str, dict[str, list[float]]]:
    """Twin of :func:`segmeter.lesion_scores_per_case`: case by case, lesion by lesion.

    Examples
    --------
    >>> counts = lesion_wise([[1, 1, 1]], [[1, 0, 0]], rules="any_overlap")
    >>> lesion_scores_per_case(counts)["lesion"]["dice"]
    [0.5]
    """
    scores: dict[str, dict[str, list[float]]] = {}
    for g, name in enumerate(counts.group_names):
        cases = [_case_score(counts, g, case) for case in range(len(counts.voxel_volume))]
        scores[name] = {score: [case[score] for case in cases] for score in _SCORES}
    return scores


def lesion_scores(counts: LesionCounts) -> dict[str, dict[str, float]]:
    """Twin of :func:`segmeter.lesion_scores`.

    Examples
    --------
    >>> counts = lesion_wise([[1, 0, 1]], [[1, 0, 0]], rules="any_overlap")
    >>> lesion_scores(counts)["lesion"]["precision"]
    0.5
    """
    result: dict[str, dict[str, float]] = {}
    for g, (name, cases) in enumerate(lesion_scores_per_case(counts).items()):
        scored = [i for i, value in enumerate(cases["dice"]) if not math.isnan(value)]
        lesions = [i for i, group in enumerate(counts.lesion_group) if group == g]
        large = [i for i in lesions if _is_counted(counts, i)]
        tp = sum(1 for i in large if counts.lesion_matches[i] > 0)
        fn = len(large) - tp
        fp = len(_false_positives(counts, g))
        result[name] = {
            **{score: _mean([cases[score][i] for i in scored]) for score in _SCORES},
            "num_cases": len(scored),
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "left_out": len(lesions) - len(large),
            "sensitivity": tp / (tp + fn) if tp + fn else math.nan,
            "precision": tp / (tp + fp) if tp + fp else math.nan,
            "f1": tp / (tp + (fp + fn) / 2) if tp + fp + fn else math.nan,
        }
    return result


_SCORES = ("dice", "distance", "nsd")


def _case_score(counts: LesionCounts, group: int, case: int) -> dict[str, float]:
    """Scores of one group of a case: a lesion missed and a false positive are terms, too."""
    rules = counts.rules
    terms = [
        _lesion_terms(counts, i)
        for i in range(len(counts.lesion_case))
        if (counts.lesion_case[i], counts.lesion_group[i]) == (case, group)
        and _is_counted(counts, i)
    ]
    num_lesions = len(terms)
    worst = {"dice": 0.0, "distance": rules.distance_penalty, "nsd": 0.0}
    false = [worst for i in _false_positives(counts, group) if counts.pred_case[i] == case]
    if rules.needs_lesion and num_lesions == 0:
        return dict.fromkeys(_SCORES, math.nan)
    if not terms and not false:
        return {"dice": rules.empty, "distance": 1 - rules.empty, "nsd": rules.empty}
    found = [term for term in terms if term is not None]
    missed = [worst] * (num_lesions - len(found))
    chosen = found if rules.average == "matched" else [*found, *missed, *false]
    if not chosen:
        return worst
    return {score: _mean([term[score] for term in chosen]) for score in _SCORES}


def _lesion_terms(counts: LesionCounts, i: int) -> dict[str, float] | None:
    """Scores of a lesion with what was predicted in its place; None if nothing was."""
    if counts.lesion_matches[i] == 0:
        return None
    sizes = int(counts.lesion_volume[i]) + int(counts.lesion_pred_volume[i])
    return {
        "dice": 2 * int(counts.lesion_intersection[i]) / sizes,
        "distance": float(counts.lesion_distance[i]),
        "nsd": float(counts.lesion_nsd[i]),
    }


def _is_counted(counts: LesionCounts, i: int) -> bool:
    volume = counts.lesion_volume[i] * counts.voxel_volume[counts.lesion_case[i]]
    rules = counts.rules
    return bool(
        volume > rules.min_volume or (rules.min_volume_counts and volume == rules.min_volume)
    )


def _false_positives(counts: LesionCounts, group: int) -> list[int]:
    return [
        i
        for i in range(len(counts.pred_case))
        if counts.pred_group[i] == group and counts.pred_matches[i] == 0
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


_LESION = (
    "case", "group", "id", "volume", "pred_volume", "intersection", "matches", "distance", "nsd",
)  # fmt: skip
_PRED = ("case", "group", "id", "volume", "matches")


def _columns(
    rows: list[tuple[Any, ...]], prefix: str, names: Sequence[str], types: Mapping[str, Any]
) -> dict[str, Any]:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {
        f"{prefix}_{name}": np.array(column, types.get(name, np.int64))
        for name, column in zip(names, columns, strict=True)
    }


def _group(
    rows: dict[str, list[Any]],
    g: int,
    pred: Mask,
    target: Mask,
    rules: LesionRules,
    connectivity: int | None,
    spacing: tuple[float, ...],
    asked: tuple[Any, float | None],
) -> None:
    """Append what one group of labels gives."""
    preds, num_preds = label(pred, connectivity)
    lesions, num_lesions = label(_dilated(target, rules.dilation), connectivity)
    lesions = np.where(target, lesions, 0)
    if rules.method == "optimal":
        belongs = _one_to_one(preds, num_preds, lesions, num_lesions, rules)
    else:
        belongs = [
            (lesion, int(k))
            for lesion in range(1, num_lesions + 1)
            for k in np.unique(preds[_dilated(lesions == lesion, rules.dilation)])
            if k != 0
        ]
    first_lesion, first_pred = len(rows["lesion"]), len(rows["pred"])
    for lesion in range(1, num_lesions + 1):
        own = lesions == lesion
        matched = [k for owner, k in belongs if owner == lesion]
        union = np.isin(preds, matched)
        between = _between(union, own, spacing, rules, *asked) if matched else (np.nan, np.nan)
        sizes = int(own.sum()), int(union.sum()), int((own & union).sum())
        rows["lesion"].append((0, g, lesion, *sizes, len(matched), *between))
    for k in range(1, num_preds + 1):
        matches = sum(other == k for _, other in belongs)
        rows["pred"].append((0, g, k, int((preds == k).sum()), matches))
    rows["pair"] += [(first_lesion + lesion - 1, first_pred + k - 1) for lesion, k in belongs]


def _between(
    pred: Mask,
    lesion: Mask,
    spacing: tuple[float, ...],
    rules: LesionRules,
    distance: Any,
    tolerance: float | None,
) -> tuple[float, float]:
    """Distance and normalised surface Dice of a lesion, in the whole image."""
    from ..boundary import SURFACE_PRESETS, hausdorff_distance, nsd
    from .boundary_surfaces import surface_distances

    between = distance(pred, lesion, spacing) if callable(distance) else np.nan
    if distance != "hd95" and tolerance is None:
        return between, np.nan
    conventions = SURFACE_PRESETS[rules.surface]
    measured = surface_distances(
        pred, lesion, spacing=spacing, surface=conventions.surface,
        weights=conventions.weights, border=conventions.border,
    )  # fmt: skip
    if distance == "hd95":
        (between,) = hausdorff_distance(measured, percentile=95, preset=conventions)  # type: ignore[misc]
    if tolerance is None:
        return between, np.nan
    (overlap,) = nsd(measured, tolerance=tolerance, preset=conventions)  # type: ignore[misc]
    return between, overlap


def label(mask: Mask, connectivity: int | None) -> tuple[NDArray[Any], int]:
    """Components of a mask and their number.

    Examples
    --------
    >>> label(np.array([[True, False, True]]), None)[1]
    2
    """
    from scipy import ndimage

    rank = {None: mask.ndim, 4: 1, 8: 2, 6: 1, 18: 2, 26: 3}[connectivity]
    labels, number = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, rank))
    return labels, int(number)


def _dilated(mask: Mask, iterations: int) -> Mask:
    from scipy import ndimage

    if iterations == 0:
        return mask
    structure = ndimage.generate_binary_structure(mask.ndim, 2)
    return np.asarray(ndimage.binary_dilation(mask, structure, iterations=iterations))


def _one_to_one(
    preds: NDArray[Any], num_preds: int, lesions: NDArray[Any], num_lesions: int, rules: LesionRules
) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    gain = np.zeros((num_lesions, num_preds))
    for lesion, pred in np.ndindex(num_lesions, num_preds):
        a, b = lesions == lesion + 1, preds == pred + 1
        common, size_a, size_b = (int(part.sum()) for part in (a & b, a, b))
        score = {
            "iou": common / (size_a + size_b - common),
            "dice": 2 * common / (size_a + size_b),
            "ior": common / size_a,
            "iop": common / size_b,
        }[rules.criterion]
        gain[lesion, pred] = score if score >= rules.threshold else 0
    chosen = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
    return sorted((int(i) + 1, int(k) + 1) for i, k in chosen if gain[i, k] > 0)
