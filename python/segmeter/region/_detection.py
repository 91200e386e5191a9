"""Detection of lesions with confidences: FROC, average precision, and the rules of PI-CAI."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from .. import _core
from .._arrays import as_array
from .._counts import Summable, require_counts
from ._components import Regions, instance_regions, label_components
from ._overlap import overlap_table
from ._stored import positions, require_equal_lengths, required, typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

CaseConfidence = Literal["max", "bayesian"]
Leftover = Literal["ignore", "false_positive"]
Interpolation = Literal["step", "linear"]
DetectionCriterion = Literal["iou", "dice"]

FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per image at which LUNA16 reads the FROC curve."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionCounts(Summable):
    """Candidates and missed lesions of one case or of many: what FROC and AP follow from.

    One row per candidate that counts and per missed lesion, one per case besides; counts of
    several cases add up by standing below each other.

    Attributes
    ----------
    case : (K,) int64
        Position of the case.
    is_lesion : (K,) bool
        A lesion, found or missed; else the row is a false positive.
    is_found : (K,) bool
        The row is a candidate; a missed lesion is none.
    confidence : (K,) float64
        Of the candidate; 0 for a missed lesion.
    overlap : (K,) float64
        Of a found lesion with its candidate, else 0.
    case_confidence : (N,) float64
        That there is any lesion in the case.
    case_weight : (N,) float64

    Examples
    --------
    >>> import segmeter
    >>> target = np.array([[1, 1, 0, 0, 1]])
    >>> detection_map = np.array([[0.9, 0.9, 0, 0.2, 0]])
    >>> counts = segmeter.detect(detection_map, target)
    >>> counts.num_lesions, counts.num_false_positives
    (2, 1)
    """

    case: IntArray
    is_lesion: NDArray[np.bool_]
    is_found: NDArray[np.bool_]
    confidence: FloatArray
    overlap: FloatArray
    case_confidence: FloatArray
    case_weight: FloatArray

    @property
    def num_cases(self) -> int:
        """Number of cases."""
        return len(self.case_confidence)

    @property
    def num_lesions(self) -> int:
        """Number of lesions, found or missed."""
        return int(self.is_lesion.sum())

    @property
    def num_false_positives(self) -> int:
        """Number of false positives, whatever their confidence."""
        return int((~self.is_lesion).sum())

    @property
    def case_target(self) -> NDArray[np.bool_]:
        """Which cases have a lesion."""
        result = np.zeros(self.num_cases, bool)
        result[self.case[self.is_lesion]] = True
        return result

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        """Counts of both sets of cases, those of ``other`` behind."""
        if not isinstance(other, DetectionCounts):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        theirs["case"] = theirs["case"] + self.num_cases
        return replace(self, **{name: np.concatenate([mine[name], theirs[name]]) for name in mine})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DetectionCounts):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __repr__(self) -> str:
        return (
            f"DetectionCounts(num_cases={self.num_cases}, num_lesions={self.num_lesions}, "
            f"num_false_positives={self.num_false_positives})"
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send; see :meth:`from_arrays`."""
        return {name: getattr(self, name) for name in _TYPES}

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
        >>> counts = segmeter.detect([[0.5, 0]], [[0, 1]])
        >>> DetectionCounts.from_arrays(counts.to_arrays()) == counts
        True
        """
        stored = required(arrays, _TYPES, cls.__name__)
        columns: dict[str, Any] = typed(stored, _TYPES)
        per_case = {name: columns[name] for name in ("case_confidence", "case_weight")}
        require_equal_lengths(per_case)
        require_equal_lengths({name: columns[name] for name in _TYPES if name not in per_case})
        columns["case"] = positions(stored["case"], len(columns["case_weight"]), "case")
        return cls(**columns)


_TYPES: dict[str, Any] = {
    "case": np.int64,
    "is_lesion": np.bool_,
    "is_found": np.bool_,
    "confidence": np.float64,
    "overlap": np.float64,
    "case_confidence": np.float64,
    "case_weight": np.float64,
}


def detect(
    detection_map: Any,
    target: Any,
    *,
    min_overlap: float = 0.1,
    criterion: DetectionCriterion = "iou",
    smooth: float = 0.0,
    leftover: Leftover = "ignore",
    case_confidence: CaseConfidence = "max",
    case_weight: float = 1.0,
    connectivity: int | None = None,
    threads: int = 0,
) -> DetectionCounts:
    """Compare the candidates of a detection map with the lesions of the target.

    Parameters
    ----------
    detection_map : array_like of int or float, 2-D or 3-D
        0 where there is nothing; a candidate is a connected component of the rest, and its
        confidence the largest value in it.
    target : array_like of int or bool, of equal shape
        A lesion is a connected component of what is not 0.
    min_overlap : float, default 0.1
        Overlap from which on a candidate may count as a lesion.
    criterion : {"iou", "dice"}, default "iou"
        What overlap is.
    smooth : float, default 0
        Added to numerator and denominator of the overlap; picai_eval has 1e-8.
    leftover : {"ignore", "false_positive"}, default "ignore"
        What a candidate is that overlaps a lesion enough but did not get one: nothing, or a false
        positive.
    case_confidence : {"max", "bayesian"}, default "max"
        Confidence that there is any lesion: the largest confidence, or
        ``1 - product of (1 - confidence)``.
    case_weight : float, default 1
        Weight of the case and of everything in it.
    connectivity : {4, 8} in 2-D, {6, 18, 26} in 3-D, optional
        Which pixels are one candidate or one lesion. Default 8 or 26.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input. The result does not depend on it.

    Returns
    -------
    DetectionCounts
        Of one case.

    Raises
    ------
    ValueError
        Shapes differ; a confidence is negative, infinite or NaN; there are fewer components than
        different confidences, as in a softmax volume; or an option is outside its range.
    TypeError
        An array is of the wrong type.

    Notes
    -----
    Definition and source: picai_eval 1.4 (Bosma et al., PI-CAI challenge). Candidates and lesions
    are assigned one to one such that the sum over pairs of ``1 + overlap`` is largest.

    Examples
    --------
    >>> counts = detect([[0.9, 0.9, 0, 0.2]], [[1, 1, 0, 0]])
    >>> counts.is_lesion, counts.confidence, counts.overlap
    (array([ True, False]), array([0.9, 0.2]), array([1., 0.]))
    """
    confidences, lesions = _detection_map(detection_map), as_array(target, "target")
    if lesions.dtype.kind not in "biuf":
        raise TypeError(f"target must hold integer or bool labels, got dtype {lesions.dtype}")
    if confidences.shape != lesions.shape:
        raise ValueError(
            f"detection_map and target must have the same shape, got {confidences.shape} "
            f"and {lesions.shape}"
        )
    _check_choice(criterion, get_args(DetectionCriterion), "criterion")
    _check_choice(leftover, get_args(Leftover), "leftover")
    _check_choice(case_confidence, get_args(CaseConfidence), "case_confidence")
    if not 0 < min_overlap <= 1:
        raise ValueError(f"min_overlap must be above 0 and at most 1, got {min_overlap!r}")
    candidates, labels = label_components(
        confidences != 0, connectivity=connectivity, return_labels=True, threads=threads
    )
    confidence = _confidence_of(confidences, labels, len(candidates.id))
    truth = label_components(lesions != 0, connectivity=connectivity, threads=threads)
    table = overlap_table(candidates, truth, threads=threads)
    overlap = _overlap(table, criterion, smooth)
    enough = overlap >= min_overlap
    pred, lesion = table.pred_index[enough], table.target_index[enough]
    every = np.ones(len(pred), bool)
    chosen = _core.optimal_matching(pred, lesion, 1 + overlap[enough], every, by_count=False)
    taken = np.zeros(len(confidence), bool)
    taken[pred if leftover == "ignore" else pred[chosen]] = True
    missed = np.setdiff1d(np.arange(table.num_target), lesion[chosen])
    return _one_case(
        found=confidence[pred[chosen]],
        overlap=overlap[enough][chosen],
        num_missed=len(missed),
        false_positive=confidence[~taken],
        case_confidence=_case_confidence(confidence, case_confidence),
        case_weight=case_weight,
    )


def detect_points(
    points: ArrayLike,
    confidence: ArrayLike,
    target: Any,
    *,
    instances: bool = False,
    case_weight: float = 1.0,
    connectivity: int | None = None,
    threads: int = 0,
) -> DetectionCounts:
    """Compare a list of points, such as marks of findings, with the lesions of the target.

    A lesion is found with the highest confidence of the points in it; its other points count for
    nothing, and points in no lesion are false positives.

    Parameters
    ----------
    points : (K, 2) or (K, 3) array_like of int
        Position of each point in pixels, by axis.
    confidence : (K,) array_like of float
        Above 0.
    target : array_like of int or bool, 2-D or 3-D
        A lesion is a connected component of what is not 0.
    instances : bool, default False
        ``target`` is an instance map: its values are the lesions, connected or not, 0 is none.
    case_weight, connectivity, threads
        As in :func:`detect`.

    Returns
    -------
    DetectionCounts
        Of one case; the overlap of a found lesion is 1.

    Raises
    ------
    ValueError
        A point lies outside of the target, or a confidence is not above 0.

    Notes
    -----
    Definition and source: the rule of CAMELYON16 (Ehteshami Bejnordi et al., JAMA 2017).

    Examples
    --------
    >>> counts = detect_points([[0, 0], [0, 1], [0, 3]], [0.4, 0.7, 0.1], [[1, 1, 0, 0]])
    >>> counts.is_lesion, counts.confidence
    (array([ True, False]), array([0.7, 0.1]))
    """
    lesions = as_array(target, "target")
    if lesions.ndim not in (2, 3):
        raise ValueError(f"target must be 2-D or 3-D, got shape {lesions.shape}")
    places = as_array(points, "points").reshape(-1, lesions.ndim)
    scores = np.asarray(confidence, np.float64).reshape(-1)
    if places.dtype.kind not in "iu":
        raise TypeError(f"points must hold integer positions, got dtype {places.dtype}")
    if len(places) != len(scores):
        raise ValueError(f"{len(places)} points have {len(scores)} confidences")
    if not (np.isfinite(scores) & (scores > 0)).all():
        raise ValueError("confidence must be finite and above 0")
    outside = ((places < 0) | (places >= lesions.shape)).any(axis=1)
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise ValueError(f"points[{at}] is {places[at].tolist()}, outside of {lesions.shape}")
    if instances:
        regions = instance_regions(lesions, threads=threads)
    else:
        regions = label_components(lesions != 0, connectivity=connectivity, threads=threads)
    hit = _region_at(regions, places) + 1
    best = np.zeros(len(regions.id) + 1)
    np.maximum.at(best, hit, scores)
    found = best[1:][best[1:] > 0]
    return _one_case(
        found=found,
        overlap=np.ones(len(found)),
        num_missed=len(regions.id) - len(found),
        false_positive=scores[hit == 0],
        case_confidence=float(scores.max(initial=0)),
        case_weight=case_weight,
    )


@dataclass(frozen=True, slots=True)
class FrocCurve:
    """Free-response ROC: what share of the lesions is found at how many false positives.

    Attributes
    ----------
    threshold : (T,) float64
        Confidences that occur, descending.
    false_positives_per_image, sensitivity : (T,) float64
        When candidates from that confidence on count.
    rates, sensitivity_at : (R,) float64
        Sensitivity at the rates asked for.
    mean : float
        Mean of ``sensitivity_at``: the competition performance metric (CPM).
    """

    threshold: FloatArray
    false_positives_per_image: FloatArray
    sensitivity: FloatArray
    rates: FloatArray
    sensitivity_at: FloatArray
    mean: float


def froc(
    counts: DetectionCounts,
    *,
    rates: Sequence[float] = FROC_RATES,
    interpolation: Interpolation = "step",
) -> FrocCurve:
    """Free-response ROC curve, and sensitivity at some numbers of false positives per image.

    Parameters
    ----------
    counts : DetectionCounts
    rates : sequence of float
        False positives per image; default those of LUNA16, 1/8 to 8.
    interpolation : {"step", "linear"}, default "step"
        ``"step"``: sensitivity of the last threshold that has no more false positives.
        ``"linear"``: on the line between the two neighbouring thresholds, as in LUNA16 and
        CAMELYON16.

    Returns
    -------
    FrocCurve
        Sensitivities are NaN where there is no lesion, everything is where there is no case.

    Raises
    ------
    ValueError
        A rate is negative, or there is none; an unknown interpolation.

    Notes
    -----
    Definition and source: van Ginneken et al., Comparing and combining algorithms for
    computer-aided detection of pulmonary nodules (Medical Image Analysis 2010). The curve begins
    at no candidate, (0, 0), and stays at its last sensitivity.

    Examples
    --------
    >>> counts = detect([[0.9, 0, 0.2, 0, 0]], [[1, 0, 0, 0, 1]])
    >>> froc(counts, rates=[0.5, 1]).sensitivity_at
    array([0.5, 0.5])
    """
    require_counts(counts, DetectionCounts, "detect or detect_points")
    asked = np.asarray(rates, np.float64).reshape(-1)
    _check_choice(interpolation, get_args(Interpolation), "interpolation")
    if not asked.size or not (asked >= 0).all():
        raise ValueError(f"rates must be one or more numbers from 0 on, got {rates!r}")
    threshold, tp, fp = _counts_by_threshold(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = tp / np.float64(counts.num_lesions)
        rate = fp / np.float64(counts.num_cases)
    x, y = np.concatenate([[0.0], rate]), np.concatenate([[0.0], sensitivity])
    if not counts.num_lesions or not counts.num_cases:
        at = np.full(len(asked), np.nan)
    elif interpolation == "step":
        at = y[np.searchsorted(x, asked, side="right") - 1]
    else:
        at = np.interp(asked, x, y)  # of equal rates the last, the highest sensitivity
    return FrocCurve(threshold, rate, sensitivity, asked, at, float(at.mean()))


def average_precision(counts: DetectionCounts) -> float:
    """Average precision of lesion detection, by the step rule.

    Sum over thresholds of the gain in sensitivity times the precision there; lesions without a
    candidate are never gained. NaN where there is no lesion.

    Notes
    -----
    Definition and source: picai_eval 1.4; cases are weighted by ``case_weight``.

    Examples
    --------
    >>> average_precision(detect([[0.9, 0, 0.2, 0, 0]], [[1, 0, 0, 0, 1]]))
    0.5
    """
    require_counts(counts, DetectionCounts, "detect or detect_points")
    weight = counts.case_weight[counts.case]
    lesions = weight[counts.is_lesion].sum()
    if not lesions > 0:
        return float("nan")
    _, tp, fp = _counts_by_threshold(counts, weight)
    recall = np.concatenate([[0.0], tp / lesions])
    precision = np.divide(tp, tp + fp, out=np.zeros(len(tp)), where=tp + fp > 0)
    return float(np.sum(np.diff(recall) * precision))


def case_auroc(counts: DetectionCounts) -> float:
    """Area under the ROC curve of ``case_confidence``: do cases with a lesion score higher.

    Ties count one half. NaN where all cases have a lesion, or none has.

    Examples
    --------
    >>> counts = detect([[0.9, 0]], [[1, 0]]) + detect([[0.2, 0]], [[0, 0]])
    >>> case_auroc(counts)
    1.0
    """
    require_counts(counts, DetectionCounts, "detect or detect_points")
    positive = counts.case_target
    _, level = np.unique(counts.case_confidence, return_inverse=True)
    size = int(level.max(initial=-1)) + 1
    sick = np.bincount(level[positive], counts.case_weight[positive], minlength=size)
    well = np.bincount(level[~positive], counts.case_weight[~positive], minlength=size)
    pairs = sick.sum() * well.sum()
    if not pairs > 0:
        return float("nan")
    below = np.cumsum(well) - well
    return float(np.sum(sick * (below + well / 2)) / pairs)


def picai_score(counts: DetectionCounts) -> float:
    """Ranking score of PI-CAI: mean of :func:`case_auroc` and :func:`average_precision`.

    Examples
    --------
    >>> counts = detect([[0.9, 0]], [[1, 0]]) + detect([[0.2, 0]], [[0, 0]])
    >>> picai_score(counts)
    1.0
    """
    require_counts(counts, DetectionCounts, "detect or detect_points")
    return (case_auroc(counts) + average_precision(counts)) / 2


# --- details ----------------------------------------------------------------------------------


def _check_choice(value: object, choices: tuple[str, ...], name: str) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def _detection_map(detection_map: Any) -> NDArray[Any]:
    confidences = as_array(detection_map, "detection_map")
    if confidences.dtype.kind not in "biuf":
        raise TypeError(f"detection_map must hold numbers, got dtype {confidences.dtype}")
    if confidences.dtype.kind == "f" and not np.isfinite(confidences).all():
        raise ValueError("detection_map must be finite")
    if confidences.dtype.kind in "if" and confidences.size and confidences.min() < 0:
        raise ValueError(f"confidences must not be negative, got {confidences.min()!s}")
    return confidences


def _confidence_of(confidences: NDArray[Any], labels: NDArray[Any], number: int) -> FloatArray:
    """Largest value in each candidate."""
    inside = labels != 0
    values = confidences[inside]
    if len(np.unique(values)) > number:
        raise ValueError(
            f"detection_map has {len(np.unique(values))} different confidences in {number} "
            "components: it must hold one confidence for each candidate, unlike a softmax volume"
        )
    result = np.zeros(number, np.float64)
    np.maximum.at(result, labels[inside].astype(np.int64) - 1, values.astype(np.float64))
    return result


def _overlap(table: Any, criterion: str, smooth: float) -> FloatArray:
    common = table.intersection
    areas = table.pred_area[table.pred_index] + table.target_area[table.target_index]
    if criterion == "dice":
        return np.asarray((2.0 * common + smooth) / (areas + smooth))
    return np.asarray((common + smooth) / (areas - common + smooth))


def _region_at(regions: Regions, places: IntArray) -> IntArray:
    """Index of the region at each place, -1 where there is none."""
    runs, width = regions.runs, regions.shape[-1] + 1
    rows = np.ravel_multi_index(tuple(places.T[:-1]), regions.shape[:-1])
    key, column = rows * width, places[:, -1].astype(np.int64)
    at = np.searchsorted(runs.row * width + runs.begin, key + column, side="right") - 1
    found = at >= 0
    found[found] = (runs.row[at[found]] == rows[found]) & (
        column[found] < runs.end[at[found]].astype(np.int64)
    )
    result = np.full(len(places), -1, np.int64)
    result[found] = regions.run_region[at[found]]
    return result


def _case_confidence(confidence: FloatArray, rule: str) -> float:
    if rule == "max":
        return float(confidence.max(initial=0))
    return float(1 - np.prod(1 - confidence))


def _one_case(
    *,
    found: FloatArray,
    overlap: FloatArray,
    num_missed: int,
    false_positive: FloatArray,
    case_confidence: float,
    case_weight: float,
) -> DetectionCounts:
    if not (np.isfinite(case_weight) and case_weight >= 0):
        raise ValueError(f"case_weight must be a number from 0 on, got {case_weight!r}")
    sizes = len(found), num_missed, len(false_positive)
    return DetectionCounts(
        case=np.zeros(sum(sizes), np.int64),
        is_lesion=np.repeat([True, True, False], sizes),
        is_found=np.repeat([True, False, True], sizes),
        confidence=np.concatenate([found, np.zeros(num_missed), false_positive]),
        overlap=np.concatenate([overlap, np.zeros(num_missed + len(false_positive))]),
        case_confidence=np.array([case_confidence]),
        case_weight=np.array([case_weight], np.float64),
    )


def _counts_by_threshold(
    counts: DetectionCounts, weight: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Confidences that occur, descending, and true and false positives from each of them on."""
    is_candidate = counts.is_found
    threshold, level = np.unique(-counts.confidence[is_candidate], return_inverse=True)
    is_true = counts.is_lesion[is_candidate]
    weights = np.ones(len(level)) if weight is None else weight[is_candidate]
    size = len(threshold)
    sums = np.zeros((2, size))
    np.add.at(sums, (is_true.astype(np.intp), level), weights)
    fp, tp = np.cumsum(sums, axis=1)
    return -threshold, tp, fp
