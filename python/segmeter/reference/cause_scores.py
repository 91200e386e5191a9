"""The scores of causes, class by class in exact fractions: what the vectorised ones must equal."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..cause._counts import CauseCounts

    Scores = dict[str, NDArray[np.float64]]

_CAUSES = ("boundary", "extent", "segment")
_VALUES = {"nan": math.nan, "zero": 0.0, "one": 1.0}


def cause_shares(counts: CauseCounts, *, side: str = "both", absent: str = "nan") -> Scores:
    """Twin of :func:`segmeter.cause_shares`; same arguments, same result.

    Examples
    --------
    >>> from segmeter.reference import error_causes
    >>> counts = error_causes([[0, 1, 1]], [[0, 0, 1]], num_classes=2, width_pixels=1)
    >>> cause_shares(counts)["boundary"]
    array([0.5, 0.5])
    """
    sides = ("fp", "fn") if side == "both" else (side,)
    scores: dict[str, list[float]] = {cause: [] for cause in _CAUSES}
    for tp, errors in _classes(counts):
        union = tp + sum(errors.values())
        for cause in _CAUSES:
            part = sum(errors[name, cause] for name in sides)
            scores[cause].append(_share(part, union, absent))
    return {cause: np.array(values) for cause, values in scores.items()}


def renormed_causes(counts: CauseCounts, *, absent: str = "nan") -> Scores:
    """Twin of :func:`segmeter.renormed_causes`; same arguments, same result.

    Examples
    --------
    >>> from segmeter.reference import error_causes
    >>> counts = error_causes([[0, 1, 1]], [[0, 0, 1]], num_classes=2, width_pixels=1)
    >>> renormed_causes(counts)["boundary"], renormed_causes(counts)["extent"]
    (array([0.5, 0.5]), array([0., 0.]))
    """
    scores: dict[str, list[float]] = {cause: [] for cause in _CAUSES}
    for tp, errors in _classes(counts):
        whole = tp
        for cause in _CAUSES:
            part = errors["fp", cause] + errors["fn", cause]
            whole += part
            scores[cause].append(_share(part, whole, absent))
    return {cause: np.array(values) for cause, values in scores.items()}


def repaired_scores(
    counts: CauseCounts, *, cumulative: bool = False, absent: str = "nan"
) -> dict[str, dict[str, Any]]:
    """Twin of :func:`segmeter.repaired_scores`; same arguments, same result.

    Examples
    --------
    >>> from segmeter.reference import error_causes
    >>> counts = error_causes([[0, 1, 1]], [[0, 0, 1]], num_classes=2, width_pixels=1)
    >>> scores = repaired_scores(counts)
    >>> scores["none"]["mean_iou"], scores["boundary"]["mean_iou"]
    (0.5, 1.0)
    """
    scores: dict[str, dict[str, Any]] = {}
    for repaired in ("none", *_CAUSES):
        done = set() if repaired == "none" else {repaired}
        if cumulative and done:
            done = set(_CAUSES[: _CAUSES.index(repaired) + 1])
        rows = [_repaired(tp, errors, done, absent) for tp, errors in _classes(counts)]
        named = zip(("iou", "dice"), zip(*rows, strict=True), strict=True)
        scores[repaired] = {name: np.array(values) for name, values in named}
        for name in ("iou", "dice"):
            defined = [value for value in scores[repaired][name] if not math.isnan(value)]
            mean = math.fsum(defined) / len(defined) if defined else math.nan
            scores[repaired][f"mean_{name}"] = mean
    return scores


def _classes(counts: CauseCounts) -> list[tuple[int, dict[tuple[str, str], int]]]:
    """True positives of each class, and its errors by side and cause."""
    return [
        (
            int(counts.tp[k]),
            {
                (side, cause): int(getattr(counts, f"{side}_{cause}")[k])
                for side in ("fp", "fn")
                for cause in _CAUSES
            },
        )
        for k in range(len(counts.tp))
    ]


def _share(part: int, whole: int, absent: str) -> float:
    if whole:
        return float(Fraction(part, whole))
    if absent == "raise":
        raise ValueError("a class is absent")
    return _VALUES[absent]


def _repaired(
    tp: int, errors: dict[tuple[str, str], int], done: set[str], absent: str
) -> tuple[float, float]:
    """IoU and Dice of one class whose errors of some causes are repaired."""
    present = tp + sum(errors.values()) > 0
    hits = tp + sum(errors["fn", cause] for cause in done)
    left = sum(number for (_, cause), number in errors.items() if cause not in done)
    if present and hits + left == 0:
        return 1.0, 1.0
    return _share(hits, hits + left, absent), _share(2 * hits, 2 * hits + left, absent)
