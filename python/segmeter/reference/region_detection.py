"""Detection with confidences in plain NumPy and SciPy: mask by mask, threshold by threshold.

Scores are exact fractions of the confidences and weights as they are, rounded once at the end.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .region_lesions import label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from ..region import DetectionCounts


def detect(
    detection_map: ArrayLike,
    target: ArrayLike,
    *,
    min_overlap: float = 0.1,
    criterion: str = "iou",
    smooth: float = 0.0,
    leftover: str = "ignore",
    case_confidence: str = "max",
    case_weight: float = 1.0,
    connectivity: int | None = None,
    threads: int = 0,
) -> DetectionCounts:
    """SciPy twin of :func:`segmeter.detect`; same arguments, same result.

    Examples
    --------
    >>> detect([[0.9, 0.9, 0, 0.2]], [[1, 1, 0, 0]]).overlap
    array([1., 0.])
    """
    from scipy.optimize import linear_sum_assignment

    del threads
    heat = np.asarray(detection_map)
    candidates, number = label(heat != 0, connectivity)
    lesions, num_lesions = label(np.asarray(target) != 0, connectivity)
    confidence = np.array([heat[candidates == k + 1].max() for k in range(number)], np.float64)
    overlap = np.zeros((num_lesions, number))
    for i, k in np.ndindex(num_lesions, number):
        a, b = lesions == i + 1, candidates == k + 1
        common, areas = int((a & b).sum()), int(a.sum() + b.sum())
        if common and criterion == "dice":
            overlap[i, k] = (2 * common + smooth) / (areas + smooth)
        elif common:
            overlap[i, k] = (common + smooth) / (areas - common + smooth)
    gain = np.where(overlap >= min_overlap, 1 + overlap, 0)
    assigned = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
    pairs = [(i, k) for i, k in assigned if gain[i, k] > 0]
    taken = (gain > 0).any(axis=0)
    if leftover == "false_positive":
        taken = np.isin(np.arange(number), [k for _, k in pairs])
    rows = [(True, True, confidence[k], overlap[i, k]) for i, k in pairs]
    rows += [(True, False, 0.0, 0.0)] * (num_lesions - len(pairs))
    rows += [(False, True, value, 0.0) for value in confidence[~taken]]
    belief = confidence.max(initial=0) if case_confidence == "max" else 1 - np.prod(1 - confidence)
    return _one_case(rows, float(belief), case_weight)


def detect_points(
    points: ArrayLike,
    confidence: ArrayLike,
    target: ArrayLike,
    *,
    instances: bool = False,
    case_weight: float = 1.0,
    connectivity: int | None = None,
    threads: int = 0,
) -> DetectionCounts:
    """SciPy twin of :func:`segmeter.detect_points`; same arguments, same result.

    Examples
    --------
    >>> counts = detect_points([[0, 0], [0, 1], [0, 3]], [0.4, 0.7, 0.1], [[1, 1, 0, 0]])
    >>> counts.is_lesion, counts.confidence
    (array([ True, False]), array([0.7, 0.1]))
    """
    del threads
    lesions = np.asarray(target)
    if not instances:
        lesions, _ = label(lesions != 0, connectivity)
    marks = list(zip(np.asarray(points).tolist(), np.asarray(confidence).tolist(), strict=True))
    rows: list[tuple[bool, bool, float, float]] = []
    for lesion in np.unique(lesions[lesions != 0]):
        inside = [value for place, value in marks if lesions[tuple(place)] == lesion]
        rows.append((True, True, max(inside), 1.0) if inside else (True, False, 0.0, 0.0))
    outside = [value for place, value in marks if lesions[tuple(place)] == 0]
    rows += [(False, True, value, 0.0) for value in outside]
    return _one_case(rows, max((value for _, value in marks), default=0.0), case_weight)


class Froc(NamedTuple):
    """Twin of :class:`segmeter.FrocCurve`."""

    threshold: list[float]
    false_positives_per_image: list[float]
    sensitivity: list[float]
    sensitivity_at: list[float]
    mean: float


def froc(counts: DetectionCounts, *, rates: Sequence[float], interpolation: str = "step") -> Froc:
    """Twin of :func:`segmeter.froc`: every candidate counted anew at every threshold.

    Examples
    --------
    >>> froc(detect([[0.9, 0, 0.2, 0, 0]], [[1, 0, 0, 0, 1]]), rates=[0.5, 1]).sensitivity_at
    [0.5, 0.5]
    """
    cases, lesions = len(counts.case_weight), int(np.sum(counts.is_lesion))
    thresholds = _thresholds(counts)
    totals = [_found_and_false(counts, threshold) for threshold in thresholds]
    at = [math.nan] * len(rates)
    if cases and lesions:
        curve = [(Fraction(0), Fraction(0))]
        # A third of a false positive an image is the number that who asks for 1 / 3 writes.
        curve += [(Fraction(float(false / cases)), found / lesions) for found, false in totals]
        at = [float(_read(curve, Fraction(rate), interpolation)) for rate in rates]
    return Froc(
        threshold=thresholds,
        false_positives_per_image=[_quotient(false, cases) for _, false in totals],
        sensitivity=[_quotient(found, lesions) for found, _ in totals],
        sensitivity_at=at,
        mean=math.fsum(at) / len(at),
    )


def average_precision(counts: DetectionCounts) -> float:
    """Twin of :func:`segmeter.average_precision`: precision at every gain, times the gain.

    Examples
    --------
    >>> average_precision(detect([[0.9, 0, 0.2, 0, 0]], [[1, 0, 0, 0, 1]]))
    0.5
    """
    lesions = sum(
        (Fraction(float(counts.case_weight[row.case])) for row in _rows(counts) if row.is_lesion),
        Fraction(),
    )
    if lesions == 0:
        return math.nan
    total, before = Fraction(), Fraction()
    for threshold in _thresholds(counts):
        found, false = _found_and_false(counts, threshold, weighted=True)
        if found > before:
            total += (found - before) / lesions * found / (found + false)
        before = found
    return float(total)


def case_auroc(counts: DetectionCounts) -> float:
    """Twin of :func:`segmeter.case_auroc`: every case with a lesion against every one without.

    Examples
    --------
    >>> case_auroc(detect_points([[0, 0]], [0.5], [[1, 0]]))
    nan
    """
    sick = {row.case for row in _rows(counts) if row.is_lesion}
    right, pairs = Fraction(), Fraction()
    for i in sick:
        for j in set(range(len(counts.case_weight))) - sick:
            weight = Fraction(float(counts.case_weight[i])) * Fraction(float(counts.case_weight[j]))
            higher, lower = counts.case_confidence[i], counts.case_confidence[j]
            right += weight * (Fraction(1, 2) if higher == lower else int(higher > lower))
            pairs += weight
    return _quotient(right, pairs)


def picai_score(counts: DetectionCounts) -> float:
    """Twin of :func:`segmeter.picai_score`.

    Examples
    --------
    >>> picai_score(detect([[0.9, 0]], [[1, 0]]) + detect([[0.2, 0]], [[0, 0]]))
    1.0
    """
    return (case_auroc(counts) + average_precision(counts)) / 2


class _Row(NamedTuple):
    case: int
    is_lesion: bool
    is_found: bool
    confidence: float


def _rows(counts: DetectionCounts) -> list[_Row]:
    columns = counts.case, counts.is_lesion, counts.is_found, counts.confidence
    return [_Row(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _thresholds(counts: DetectionCounts) -> list[float]:
    """The confidences that candidates have, the highest first."""
    return sorted({row.confidence for row in _rows(counts) if row.is_found}, reverse=True)


def _found_and_false(
    counts: DetectionCounts, threshold: float, *, weighted: bool = False
) -> tuple[Fraction, Fraction]:
    """Lesions found, and false positives, when candidates from a confidence on count."""
    sums = {True: Fraction(), False: Fraction()}
    for row in _rows(counts):
        if row.is_found and row.confidence >= threshold:
            sums[row.is_lesion] += (
                Fraction(float(counts.case_weight[row.case])) if weighted else Fraction(1)
            )
    return sums[True], sums[False]


def _read(curve: list[tuple[Fraction, Fraction]], rate: Fraction, interpolation: str) -> Fraction:
    """Height of a curve that rises from (0, 0) on, at a rate."""
    x, y = max(point for point in curve if point[0] <= rate)
    beyond = [point for point in curve if point[0] > rate]
    if interpolation == "step" or not beyond:
        return y
    next_x, next_y = min(beyond)
    return y + (next_y - y) * (rate - x) / (next_x - x)


def _quotient(part: Fraction, whole: Fraction | int) -> float:
    return float(part / whole) if whole else math.nan


def _one_case(rows: list[Any], case_confidence: float, case_weight: float) -> DetectionCounts:
    from ..region import DetectionCounts

    is_lesion, is_found, values, overlaps = zip(*rows, strict=True) if rows else ((), (), (), ())
    return DetectionCounts(
        case=np.zeros(len(rows), np.int64),
        is_lesion=np.array(is_lesion, bool),
        is_found=np.array(is_found, bool),
        confidence=np.array(values, np.float64),
        overlap=np.array(overlaps, np.float64),
        case_confidence=np.array([case_confidence], np.float64),
        case_weight=np.array([case_weight], np.float64),
    )
