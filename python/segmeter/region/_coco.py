"""COCO instance evaluation: what every detection turned out to be, and average precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .. import _core
from .._arrays import as_array
from .._counts import Summable, equal_arrays, require_counts
from ._rle import as_flags
from ._stored import natural_numbers, positions, require_equal_lengths, required, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ._rle import RunLengthMasks

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

RECALL_LEVELS = tuple(np.linspace(0.0, 1.0, 101).tolist())
"""Levels of recall at which precision is read off."""

FALSE_POSITIVE, TRUE_POSITIVE, IGNORED = 0, 1, 2
"""What ``CocoCounts.outcome`` holds."""


@dataclass(frozen=True, kw_only=True)
class CocoRules:
    """Thresholds, area ranges and limits of a COCO evaluation; by default the official ones.

    Parameters
    ----------
    iou_thresholds : sequence of float
        T thresholds, ascending, above 0 and at most 1.
    area_ranges : mapping of str to (float, float)
        A named ranges of areas in pixels, both ends included; one of them is ``"all"``.
    max_detections : sequence of int
        Ascending limits of the number of detections of one class in one image, the surest first.

    Raises
    ------
    ValueError
        If they are not of this form.

    Examples
    --------
    >>> rules = CocoRules(iou_thresholds=[0.5], max_detections=[100])
    >>> rules.iou_thresholds, list(rules.area_ranges)
    ((0.5,), ['all', 'small', 'medium', 'large'])
    """

    iou_thresholds: Sequence[float] = tuple(np.linspace(0.5, 0.95, 10).tolist())
    area_ranges: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {
            "all": (0.0, 1e5**2),
            "small": (0.0, 32.0**2),
            "medium": (32.0**2, 96.0**2),
            "large": (96.0**2, 1e5**2),
        }
    )
    max_detections: Sequence[int] = (1, 10, 100)

    def __post_init__(self) -> None:
        thresholds = tuple(float(threshold) for threshold in self.iou_thresholds)
        valid = all(0 < threshold <= 1 for threshold in thresholds)
        if not thresholds or not valid or list(thresholds) != sorted(set(thresholds)):
            raise ValueError(
                f"iou_thresholds must be ascending, above 0 and at most 1, got {thresholds}"
            )
        ranges = {name: (float(low), float(high)) for name, (low, high) in self.area_ranges.items()}
        if "all" not in ranges or not all(low <= high for low, high in ranges.values()):
            raise ValueError(f"area_ranges must be low to high, one of them 'all', got {ranges}")
        limits = tuple(self.max_detections)
        valid = all(type(limit) is int and limit > 0 for limit in limits)
        if not limits or not valid or list(limits) != sorted(set(limits)):
            raise ValueError(f"max_detections must be ascending and 1 or more, got {limits}")
        object.__setattr__(self, "iou_thresholds", thresholds)
        object.__setattr__(self, "area_ranges", ranges)
        object.__setattr__(self, "max_detections", limits)

    @cached_property
    def _arrays(self) -> tuple[FloatArray, FloatArray]:
        return np.array(self.iou_thresholds), np.array(list(self.area_ranges.values()))


OFFICIAL = CocoRules()


class _Part(NamedTuple):
    """Detections of some images, one row each."""

    class_index: IntArray
    score: FloatArray
    image_id: IntArray
    rank: IntArray
    outcome: NDArray[np.uint8]

    @classmethod
    def join(cls, parts: Sequence[_Part]) -> _Part:
        if len(parts) == 1:
            return parts[0]
        return cls._make(np.concatenate(columns) for columns in zip(*parts, strict=True))

    def require_fitting(self, rules: CocoRules) -> None:
        """Refuse columns that are no detections under these rules."""
        table = self._asdict()
        outcome = table.pop("outcome")
        require_equal_lengths(table)
        shape = (len(self.score), len(rules.area_ranges), len(rules.iou_thresholds))
        if outcome.shape != shape or outcome.dtype != np.uint8 or (outcome > 2).any():
            raise ValueError(
                f"outcome must be uint8 of shape {shape}, 0 to 2; got {outcome.dtype} "
                f"{outcome.shape}"
            )
        if not np.isfinite(self.score).all():
            raise ValueError("score must hold finite numbers")


@dataclass(frozen=True, eq=False, kw_only=True)
class CocoCounts(Summable):
    """Outcome of every detection of a set of images, and the number of targets; they add up.

    Nothing smaller will do: which detections count as surer than which is known only when all
    images are together. Images must not be counted twice. The order of adding does not matter.

    Attributes
    ----------
    rules : CocoRules
        With A area ranges and T thresholds.
    positives : (K, A) array of int64
        Targets of each class and area range, those that are ignored left out.
    class_index, image_id, rank : (n,) array of int64
        Class and image of each detection, and how many of its class in its image are surer.
    score : (n,) array of float64
        Confidence. Detections are sorted by class, decreasing score, image and rank.
    outcome : (n, A, T) array of uint8
        0: false positive, 1: true positive, 2: ignored.

    Examples
    --------
    >>> from segmeter import RunLengthMasks, coco_counts
    >>> masks = RunLengthMasks.from_masks([[1, 1, 0]])
    >>> both = sum(
    ...     (coco_counts(masks, masks, scores=[0.9], image_id=image) for image in (2, 3)),
    ...     start=coco_counts(masks[:0], masks, scores=[], image_id=1),
    ... )
    >>> both.positives[:, 0], both.image_id
    (array([3]), array([2, 3]))
    """

    rules: CocoRules
    positives: IntArray
    # Pieces whose sizes fall by half or more, so that adding image by image to a running sum
    # copies every detection a logarithmic number of times.
    _parts: tuple[_Part, ...]

    def __add__(self, other: CocoCounts) -> CocoCounts:
        """Counts of both sets of images.

        Raises
        ------
        ValueError
            If they were made by different rules.
        """
        if not isinstance(other, CocoCounts):
            return NotImplemented
        if self.rules != other.rules:
            raise ValueError(f"counts are by different rules: {self.rules} and {other.rules}")
        if len(self.positives) != len(other.positives):
            raise ValueError(
                f"counts are of {len(self.positives)} and of {len(other.positives)} classes"
            )
        parts = list(self._parts)
        for part in other._parts:
            parts.append(part)
            while len(parts) > 1 and len(parts[-1].score) >= len(parts[-2].score):
                parts[-2:] = [_Part.join(parts[-2:])]
        return CocoCounts(
            rules=self.rules, positives=self.positives + other.positives, _parts=tuple(parts)
        )

    def __eq__(self, other: object) -> bool:
        return equal_arrays(self, other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    @cached_property
    def _sorted(self) -> _Part:
        part = _Part.join(self._parts)
        order = np.lexsort((part.rank, part.image_id, -part.score, part.class_index))
        return _Part._make(column[order] for column in part)

    @property
    def class_index(self) -> IntArray:
        """Class of each detection, (n,)."""
        return self._sorted.class_index

    @property
    def score(self) -> FloatArray:
        """Confidence of each detection, (n,)."""
        return self._sorted.score

    @property
    def image_id(self) -> IntArray:
        """Image of each detection, (n,)."""
        return self._sorted.image_id

    @property
    def rank(self) -> IntArray:
        """How many detections of its class in its image are surer, (n,)."""
        return self._sorted.rank

    @property
    def outcome(self) -> NDArray[np.uint8]:
        """0: false positive, 1: true positive, 2: ignored, (n, A, T)."""
        return self._sorted.outcome

    def found(self) -> tuple[int, int, int]:
        """True positives, false positives and targets at the first threshold, over all classes.

        Areas are those of the range ``"all"``.

        Examples
        --------
        >>> from segmeter import RunLengthMasks, coco_counts
        >>> masks = RunLengthMasks.from_masks([[1, 1, 0]])
        >>> coco_counts(masks, masks, scores=[0.9]).found()
        (1, 0, 1)
        """
        place = list(self.rules.area_ranges).index("all")
        outcome = np.concatenate([part.outcome[:, place, 0] for part in self._parts])
        numbers = np.bincount(outcome, minlength=3)[:2]
        negative, positive = numbers.tolist()
        return positive, negative, int(self.positives[:, place].sum())

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send."""
        return {
            "iou_thresholds": np.array(self.rules.iou_thresholds, np.float64),
            "area_names": np.array(list(self.rules.area_ranges), np.str_),
            "area_ranges": np.array(list(self.rules.area_ranges.values()), np.float64),
            "max_detections": np.array(self.rules.max_detections, np.int64),
            "positives": self.positives,
            **self._sorted._asdict(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Counts from what :meth:`to_arrays` gave.

        Raises
        ------
        ValueError
            The arrays are not such counts.

        Examples
        --------
        >>> from segmeter import RunLengthMasks, coco_counts
        >>> masks = RunLengthMasks.from_masks([[1, 1, 0]])
        >>> counts = coco_counts(masks, masks, scores=[0.9])
        >>> CocoCounts.from_arrays(counts.to_arrays()).score
        array([0.9])
        """
        names = ("iou_thresholds", "area_names", "area_ranges", "max_detections", "positives")
        stored = required(arrays, (*names, *_Part._fields), cls.__name__)
        limits = whole_numbers(stored["max_detections"], np.int64, "max_detections")
        low, high = np.asarray(stored["area_ranges"], np.float64).reshape(-1, 2).T.tolist()
        rules = CocoRules(
            iou_thresholds=np.asarray(stored["iou_thresholds"], np.float64).ravel().tolist(),
            area_ranges=dict(
                zip(stored["area_names"].ravel().tolist(), zip(low, high, strict=True), strict=True)
            ),
            max_detections=limits.tolist(),
        )
        positives = stored["positives"]
        if positives.ndim != 2 or positives.shape[1] != len(rules.area_ranges):
            raise ValueError(f"positives must be classes x area ranges, got {positives.shape}")
        flat = natural_numbers(positives.ravel(), "positives")
        part = _Part(
            class_index=positions(stored["class_index"], len(positives), "class_index"),
            score=np.asarray(stored["score"], np.float64),
            image_id=whole_numbers(stored["image_id"], np.int64, "image_id"),
            rank=natural_numbers(stored["rank"], "rank"),
            outcome=stored["outcome"],
        )
        part.require_fitting(rules)
        return cls(rules=rules, positives=flat.reshape(positives.shape), _parts=(part,))


def coco_counts(
    pred: RunLengthMasks,
    target: RunLengthMasks,
    *,
    scores: ArrayLike,
    pred_classes: ArrayLike | None = None,
    target_classes: ArrayLike | None = None,
    num_classes: int = 1,
    crowd: ArrayLike | None = None,
    ignored: ArrayLike | None = None,
    pred_area: ArrayLike | None = None,
    target_area: ArrayLike | None = None,
    image_id: int = 0,
    rules: CocoRules = OFFICIAL,
    boundary: float | None = None,
) -> CocoCounts:
    """Match the detections of one image with its targets, as the COCO evaluation does.

    Parameters
    ----------
    pred, target : RunLengthMasks
        P detected and T true instances; of one image size.
    scores : (P,) array_like of float
        Confidence of each detection; any finite numbers.
    pred_classes, target_classes : (P,) and (T,) array_like of int, optional
        Class of each, 0 to ``num_classes - 1``. Default: all 0.
    num_classes : int
    crowd : (T,) array_like of bool, optional
        Targets that stand for a group of objects: ignored, matched any number of times, and by the
        share of the *detection* that they cover.
    ignored : (T,) array_like of bool, optional
        Further targets that are neither asked for nor held against a detection.
    pred_area, target_area : (P,) and (T,) array_like of float, optional
        What the area ranges are compared with. Default: pixels of the masks.
    image_id : int
        Id of the image: different for every image. Of equal scores in two images the one with the
        smaller id comes first.
    rules : CocoRules
        Thresholds, area ranges and limits. The last limit is how many detections of a class are
        matched at all.
    boundary : float, optional
        For Boundary AP: the IoU of a pair is the smaller of that of the masks and that of their
        bands, so wide as a share of the image's diagonal (0.02 in the benchmark); see
        :meth:`RunLengthMasks.band`. Crowds are matched by masks.

    Returns
    -------
    CocoCounts

    Raises
    ------
    ValueError
        If lengths, image sizes, classes or options do not fit, or a score is not finite.

    Notes
    -----
    Lin et al., Microsoft COCO (ECCV 2014), and the evaluation code that came with it. For every
    class, area range and threshold, detections in the order of their scores (equal ones as they
    came) each take the free target with the highest IoU that is at least the threshold, the last
    of equals; a target that is ignored only where there is no other. A target is ignored if it is a
    crowd or out of the area range. A detection is ignored if its target is, or if it has none and
    is out of the range itself.

    Examples
    --------
    >>> from segmeter import RunLengthMasks
    >>> target = RunLengthMasks.from_masks([[[1, 1, 0, 0]], [[0, 0, 1, 1]]])
    >>> pred = RunLengthMasks.from_masks([[[1, 1, 0, 0]], [[0, 1, 1, 0]]])
    >>> rules = CocoRules(iou_thresholds=[0.3, 0.5])
    >>> counts = coco_counts(pred, target, scores=[0.9, 0.8], rules=rules)
    >>> counts.outcome[:, 0].tolist()
    [[1, 1], [1, 0]]
    """
    if pred.shape != target.shape:
        raise ValueError(
            f"pred and target must be of the same image, got the sizes "
            f"{pred.height} x {pred.width} and {target.height} x {target.width}"
        )
    if isinstance(num_classes, bool) or num_classes < 1:
        raise ValueError(f"num_classes must be 1 or more, got {num_classes!r}")
    confidences = _numbers(scores, len(pred), "scores", "detection")
    classes = _classes(pred_classes, len(pred), num_classes, "pred_classes", "detection")
    detection, rank, outcome, positives = _core.coco_match(
        pred.height,
        pred.width,
        (pred.bounds, pred.offsets),
        classes,
        None if pred_area is None else _numbers(pred_area, len(pred), "pred_area", "detection"),
        confidences,
        (target.bounds, target.offsets),
        _classes(target_classes, len(target), num_classes, "target_classes", "target"),
        None
        if target_area is None
        else _numbers(target_area, len(target), "target_area", "target"),
        as_flags(crowd, len(target), "crowd", "target"),
        as_flags(ignored, len(target), "ignored", "target"),
        num_classes,
        *rules._arrays,
        rules.max_detections[-1],
        *((None, None) if boundary is None else _bands(pred, target, boundary)),
    )
    images = np.full(len(detection), image_id, np.int64)
    part = _Part(classes[detection], confidences[detection], images, rank, outcome)
    return CocoCounts(rules=rules, positives=positives, _parts=(part,))


@dataclass(frozen=True, eq=False, kw_only=True)
class CocoAveragePrecision:
    """Precision and recall of a set of images, and the averages that COCO reports.

    Attributes
    ----------
    rules : CocoRules
        With T thresholds, A area ranges and M limits.
    precision : (T, R, K, A, M) array of float64
        Precision at each level of recall for each class; NaN where there is no target.
    recall : (T, K, A, M) array of float64
        Recall reached; NaN where there is no target.
    """

    rules: CocoRules
    precision: FloatArray
    recall: FloatArray

    @property
    def per_class(self) -> FloatArray:
        """AP of each class over all thresholds, without limits of area, (K,)."""
        values = self.precision[:, :, :, self._range("all"), -1]
        return np.asarray(values.reshape(-1, values.shape[2]).mean(axis=0))

    def average_precision(
        self,
        *,
        iou_threshold: float | None = None,
        area_range: str = "all",
        max_detections: int | None = None,
    ) -> float:
        """Mean precision over levels of recall, thresholds and the classes that have targets.

        Parameters
        ----------
        iou_threshold : float, optional
            One of the thresholds. Default: all.
        area_range : str
            One of the area ranges.
        max_detections : int, optional
            One of the limits. Default: the last.

        Returns
        -------
        float
            NaN if no class has a target.

        Raises
        ------
        ValueError
            If it was not evaluated.
        """
        return _mean(self._cell(self.precision, iou_threshold, area_range, max_detections))

    def average_recall(
        self,
        *,
        iou_threshold: float | None = None,
        area_range: str = "all",
        max_detections: int | None = None,
    ) -> float:
        """Mean recall reached, over thresholds and the classes that have targets.

        Parameters, result and errors are those of :meth:`average_precision`.
        """
        return _mean(self._cell(self.recall, iou_threshold, area_range, max_detections))

    def summary(self) -> dict[str, float]:
        """The numbers of the official table, in its order; NaN for what it shows as -1.

        AP over all thresholds, at 0.50 and 0.75, and for small, medium and large objects, then AR
        for each limit of detections, and for small, medium and large objects. Thresholds and area
        ranges that were not evaluated are left out.
        """
        sizes = [name for name in self.rules.area_ranges if name != "all"]
        rows = {"ap": self.average_precision()}
        for threshold in (0.5, 0.75):
            if self._thresholds(threshold).size:
                at = self.average_precision(iou_threshold=threshold)
                rows[f"ap_{round(100 * threshold)}"] = at
        rows |= {f"ap_{name}": self.average_precision(area_range=name) for name in sizes}
        for limit in self.rules.max_detections:
            rows[f"ar_{limit}"] = self.average_recall(max_detections=limit)
        return rows | {f"ar_{name}": self.average_recall(area_range=name) for name in sizes}

    def _cell(
        self,
        values: FloatArray,
        iou_threshold: float | None,
        area_range: str,
        max_detections: int | None,
    ) -> FloatArray:
        limits = self.rules.max_detections
        if max_detections is not None and max_detections not in limits:
            raise ValueError(f"max_detections must be one of {limits}, got {max_detections}")
        limit = -1 if max_detections is None else limits.index(max_detections)
        cell = values[..., self._range(area_range), limit]
        if iou_threshold is None:
            return cell
        chosen = self._thresholds(iou_threshold)
        if not chosen.size:
            raise ValueError(
                f"iou_threshold must be one of {self.rules.iou_thresholds}, got {iou_threshold}"
            )
        return cell[chosen]

    def _thresholds(self, threshold: float) -> IntArray:
        near = np.isclose(self.rules.iou_thresholds, threshold, rtol=0, atol=1e-9)
        return np.asarray(np.flatnonzero(near), dtype=np.int64)

    def _range(self, name: str) -> int:
        names = list(self.rules.area_ranges)
        if name not in names:
            raise ValueError(f"area_range must be one of {names}, got {name!r}")
        return names.index(name)


def coco_average_precision(counts: CocoCounts, *, threads: int = 0) -> CocoAveragePrecision:
    """Average precision and recall of the COCO benchmark.

    Parameters
    ----------
    counts : CocoCounts
        Of all images.
    threads : int
        Threads; 0: as many as are worth it. Results do not depend on it.

    Returns
    -------
    CocoAveragePrecision
        Classes without a target in an area range are NaN there and in no mean; classes without a
        detection have 0.

    Notes
    -----
    Detections of a class are sorted by score over all images, equal ones by image id and by their
    order within the image. Precision is made non-increasing from the right and read off at 101
    levels of recall; where a level is not reached it is 0. All numbers equal those of the official
    code to the last bit.

    Examples
    --------
    >>> from segmeter import RunLengthMasks, coco_counts
    >>> target = RunLengthMasks.from_masks([[[1, 1, 0, 0]], [[0, 0, 1, 1]]])
    >>> pred = RunLengthMasks.from_masks([[[1, 1, 0, 0]], [[0, 1, 1, 0]]])
    >>> result = coco_average_precision(coco_counts(pred, target, scores=[0.9, 0.8]))
    >>> round(result.summary()["ap"], 3), result.summary()["ar_100"]
    (0.505, 0.5)
    """
    require_counts(counts, CocoCounts, "coco_counts")
    part = _Part.join(counts._parts)
    precision, recall = _core.coco_curves(
        *part,
        counts.positives,
        np.array(RECALL_LEVELS),
        np.array(counts.rules.max_detections),
        threads,
    )
    # The kernel writes one curve after the other; the official code's axes are a view of them.
    return CocoAveragePrecision(
        rules=counts.rules,
        precision=precision.transpose(3, 4, 0, 1, 2),
        recall=recall.transpose(3, 0, 1, 2),
    )


def _bands(pred: RunLengthMasks, target: RunLengthMasks, width: float) -> tuple[Any, Any]:
    bands = pred.band(width), target.band(width)
    return tuple((side.bounds, side.offsets) for side in bands)  # type: ignore[return-value]


def _classes(
    value: ArrayLike | None, length: int, num_classes: int, name: str, what: str
) -> IntArray:
    if value is None:
        return np.zeros(length, np.int64)
    classes = as_array(value, name)
    if classes.shape != (length,):
        raise ValueError(
            f"{name} must have one class for each {what} ({length}), got the shape {classes.shape}"
        )
    if classes.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {classes.dtype}")
    wrong = (classes < 0) | (classes >= num_classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{name} must be 0 to {num_classes - 1}, got {classes[first]} for {what} {first}"
        )
    return np.ascontiguousarray(classes, np.int64)


def _numbers(value: ArrayLike, length: int, name: str, what: str) -> FloatArray:
    array = as_array(value, name)
    if array.shape != (length,):
        raise ValueError(
            f"{name} must have one number for each {what} ({length}), got the shape {array.shape}"
        )
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be numbers, got {array.dtype}")
    numbers = np.ascontiguousarray(array, np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{name} must be finite, got {numbers[first]} for {what} {first}")
    return numbers


def _mean(values: FloatArray) -> float:
    defined = values[~np.isnan(values)]
    return float(np.mean(defined)) if defined.size else float("nan")
