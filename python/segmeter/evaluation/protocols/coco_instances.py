"""COCO instance segmentation: average precision of scored masks, from two JSON files.

The target file has ``images``, ``annotations`` and ``categories``; the results file is a list of
detections with ``image_id``, ``category_id``, ``segmentation`` and ``score``. Segmentations are
run-length masks or lists of polygons, on either side.

The rules are those of the official evaluation of segmentations, to the last bit of its twelve
numbers; see :func:`segmeter.coco_counts` and :func:`segmeter.coco_average_precision`. As there,
areas of targets are those the file states, a crowd is what ``iscrowd`` says, and detections of a
category that the target file does not have are left out (here with a warning). Where the official
program stops or would count something that is not there (an unknown image, a mask of another size,
lengths that do not add up, a missing score), the image is a problem here and the others are
counted. Three things are different on purpose, each with a warning: areas of detections are those
of their masks even where the results hold boxes, an annotation with the id 0 can be found, and
annotations that share an id are all counted.

With a boundary ratio there is Boundary AP beside AP: the IoU of a pair is the smaller of that of
the masks and that of the bands along their outlines; crowds are matched by masks.

Source: Lin et al., Microsoft COCO (ECCV 2014); pycocotools 2.0.11. Boundary AP: Cheng et al.,
Boundary IoU (CVPR 2021); boundary-iou-api, commit 37d2558.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from segmeter.evaluation._problem import PairError, Problem
from segmeter.evaluation.pairing import Pair
from segmeter.evaluation.protocols._collector import paused_collector
from segmeter.evaluation.protocols._json import read_json
from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured
from segmeter.region import CocoAveragePrecision, CocoCounts, coco_average_precision, coco_counts
from segmeter.region._rle import RunLengthMasks, read_segmentations

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from numpy.typing import NDArray

Entry = dict[str, Any]

_SHOWN = 3  # faults that a message names


@dataclass(frozen=True, slots=True)
class Category:
    """A category of the target file."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the target file, and what the two files say of it.

    Attributes
    ----------
    id : int
    height, width : int
    targets : list of dict
        Its annotations, as they are in the file.
    detections : list of tuple (int, dict)
        Its detections, with their place in the results.
    """

    id: int
    height: int
    width: int
    targets: list[Entry] = field(default_factory=list)
    detections: list[tuple[int, Entry]] = field(default_factory=list)


@dataclass(frozen=True)
class CocoInstanceCounts:
    """Everything the instance scores follow from.

    Attributes
    ----------
    counts : CocoCounts
        One class per category, in the order of their ids.
    category_ids : (K,) array of int64
    by_bands : CocoCounts or None
        The same as ``counts``, matched by Boundary IoU.
    """

    counts: CocoCounts
    category_ids: NDArray[np.int64]
    by_bands: CocoCounts | None = None

    def __add__(self, other: CocoInstanceCounts) -> CocoInstanceCounts:
        """Counts of both sets of images."""
        both = None
        if self.by_bands is not None and other.by_bands is not None:
            both = self.by_bands + other.by_bands
        return CocoInstanceCounts(self.counts + other.counts, self.category_ids, both)

    @cached_property
    def result(self) -> CocoAveragePrecision:
        """Precision and recall of all images."""
        return coco_average_precision(self.counts)

    @cached_property
    def result_by_bands(self) -> CocoAveragePrecision | None:
        """The same by Boundary IoU."""
        return None if self.by_bands is None else coco_average_precision(self.by_bands)

    def means(self) -> dict[str, NDArray[np.float64]]:
        """The twelve numbers of the official table: their values per category."""
        return {
            f"{way}{name}": _per_class(result, *rule)
            for way, result in self._ways().items()
            for name, rule in _MEANS.items()
        }

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Targets (without crowds), AP and AR of every category."""
        scores = {
            f"{way}{name}": _per_class(result, *_MEANS[name])
            for way, result in self._ways().items()
            for name in _CLASS_COLUMNS
        }
        return {"targets": self.counts.positives[:, 0], **scores}

    def _ways(self) -> dict[str, CocoAveragePrecision]:
        """What the names of scores begin with, and the result that they are of."""
        by_bands = self.result_by_bands
        return {"": self.result} | ({} if by_bands is None else {_BY_BANDS: by_bands})

    def group_scores(self) -> dict[str, NDArray[np.float64]]:
        """Nothing: there are no label groups."""
        return {}

    def official(self) -> dict[str, Any]:
        """``stats``: the twelve numbers as the official program has them, -1 where undefined.

        Those of Boundary AP, if there are any, stand under ``boundary``.
        """
        by_bands, scores = self.result_by_bands, self._official(self.result)
        return scores if by_bands is None else scores | {"boundary": self._official(by_bands)}

    def _official(self, result: CocoAveragePrecision) -> dict[str, Any]:
        summary = result.summary()
        return {
            "stats": [-1.0 if math.isnan(score) else score for score in summary.values()],
            "names": list(summary),
            "per_class": dict(
                zip(self.category_ids.tolist(), result.per_class.tolist(), strict=True)
            ),
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        more = {} if self.by_bands is None else self.by_bands.to_arrays()
        return {
            "category_ids": self.category_ids,
            **self.counts.to_arrays(),
            **{f"{_BY_BANDS}{name}": array for name, array in more.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> CocoInstanceCounts:
        """Counts from what :meth:`to_arrays` gave."""
        more = {
            name.removeprefix(_BY_BANDS): array
            for name, array in arrays.items()
            if name.startswith(_BY_BANDS)
        }
        return cls(
            CocoCounts.from_arrays(arrays),
            arrays["category_ids"],
            CocoCounts.from_arrays(more) if more else None,
        )


def _per_class(
    result: CocoAveragePrecision, kind: str, threshold: int | None, area: str, limit: int
) -> Any:
    """Mean of one score over thresholds and levels of recall, (K,); NaN: no targets."""
    values = result.precision if kind == "precision" else result.recall[:, np.newaxis]
    place = list(result.rules.area_ranges).index(area), _LIMITS.index(limit)
    chosen = slice(None) if threshold is None else slice(threshold, threshold + 1)
    return values[chosen, :, :, *place].mean(axis=(0, 1))


_LIMITS = (1, 10, 100)
# name: (what, index of the IoU threshold or None for the mean over all, area range, limit)
_MEANS: dict[str, tuple[str, int | None, str, int]] = {
    "ap": ("precision", None, "all", 100),
    "ap_50": ("precision", 0, "all", 100),
    "ap_75": ("precision", 5, "all", 100),
    "ap_small": ("precision", None, "small", 100),
    "ap_medium": ("precision", None, "medium", 100),
    "ap_large": ("precision", None, "large", 100),
    "ar_1": ("recall", None, "all", 1),
    "ar_10": ("recall", None, "all", 10),
    "ar_100": ("recall", None, "all", 100),
    "ar_small": ("recall", None, "small", 100),
    "ar_medium": ("recall", None, "medium", 100),
    "ar_large": ("recall", None, "large", 100),
}
_CLASS_COLUMNS = ("ap", "ap_50", "ap_75", "ar_100")
_BY_BANDS = "boundary_"  # what the names of scores by Boundary IoU begin with


class _Side(NamedTuple):
    """Masks of one image with what belongs to each, from one of the files."""

    masks: RunLengthMasks
    classes: NDArray[np.int64]
    numbers: NDArray[np.float64]  # scores of detections, areas of targets


@dataclass(frozen=True)
class CocoInstanceDataset:
    """Two JSON files; see :func:`read_dataset`.

    Attributes
    ----------
    pred, target : str
        Paths.
    categories : tuple of Category
        Ordered by id.
    images : mapping of str to Image
        By the name they have in tables.
    problems : tuple of Problem
    boundary_ratio : float or None
        Width of the bands of Boundary AP as a share of an image's diagonal.
    """

    pred: str
    target: str
    categories: tuple[Category, ...]
    images: Mapping[str, Image]
    problems: tuple[Problem, ...] = ()
    boundary_ratio: float | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the categories."""
        return tuple(category.name for category in self.categories)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """One pair per image of the target file."""
        return tuple(Pair(name, self.pred, self.target) for name in self.images)

    def measure(self, pair: Pair) -> Measured:
        """Match the detections of one image.

        Raises
        ------
        PairError
            If a detection or an annotation of the image cannot be used.
        """
        image = self.images[pair.id]
        targets, detections = self._targets(image), self._detections(image)
        count = partial(
            coco_counts,
            detections.masks,
            targets.masks,
            scores=detections.numbers,
            pred_classes=detections.classes,
            target_classes=targets.classes,
            num_classes=len(self.categories),
            crowd=np.array([bool(entry.get("iscrowd")) for entry in image.targets], np.bool_),
            target_area=targets.numbers,
            image_id=image.id,
        )
        counts, by_bands = count(), None
        scores = _image_scores(counts)
        if self.boundary_ratio is not None:
            by_bands = count(boundary=self.boundary_ratio)
            found = _image_scores(by_bands)
            scores |= {f"{_BY_BANDS}{name}": score for name, score in found.items()}
        return Measured(CocoInstanceCounts(counts, self._category_ids, by_bands), scores=scores)

    @cached_property
    def _category_ids(self) -> NDArray[np.int64]:
        return np.array([category.id for category in self.categories], np.int64)

    @cached_property
    def _index(self) -> dict[int, int]:
        return {category.id: k for k, category in enumerate(self.categories)}

    def _targets(self, image: Image) -> _Side:
        faults = _Faults(self.target, image)
        masks = self._masks(image, image.targets, faults, _target_name)
        areas, missing = _numbers([entry.get("area") for entry in image.targets])
        for k in missing:
            area = image.targets[k].get("area")
            if area is None:
                areas[k] = masks[k].area[0]
            else:
                what = f"the area is {area!r}, not a number"
                faults.add(_target_name(k, image.targets[k]), what)
        for k, entry in enumerate(image.targets):
            category = entry.get("category_id")
            if not _member(self._index, category):
                what = f"category {category!r} is none of the file's categories"
                faults.add(_target_name(k, entry), what)
        faults.check()
        return _Side(masks, self._classes(image.targets), areas)

    def _detections(self, image: Image) -> _Side:
        faults = _Faults(self.pred, image)
        entries = [entry for _, entry in image.detections]
        places = [place for place, _ in image.detections]

        def name(k: int, _: Entry) -> str:
            return f"detection {places[k]}"

        masks = self._masks(image, entries, faults, name)
        scores, missing = _numbers([entry.get("score") for entry in entries])
        for k in missing:
            score = entries[k].get("score")
            what = "has no score" if score is None else f"the score is {score!r}, not a number"
            faults.add(name(k, entries[k]), what)
        faults.check()
        return _Side(masks, self._classes(entries), scores)

    def _classes(self, entries: Sequence[Entry]) -> NDArray[np.int64]:
        return np.array([self._index[entry["category_id"]] for entry in entries], np.int64)

    def _masks(
        self, image: Image, entries: Sequence[Entry], faults: _Faults, name: Any
    ) -> RunLengthMasks:
        segmentations = [entry.get("segmentation") for entry in entries]
        masks, errors = read_segmentations(segmentations, image.height, image.width)
        for k, reason in errors:
            missing = segmentations[k] is None
            faults.add(name(k, entries[k]), "has no segmentation" if missing else reason)
        return masks


class _Faults:
    """What is wrong with the entries of one image; each has a name."""

    def __init__(self, path: str, image: Image) -> None:
        self._path, self._image = path, image
        self._found: list[str] = []

    def add(self, name: str, what: str) -> None:
        """Take a fault in."""
        self._found.append(f"{name}: {what}")

    def check(self) -> None:
        """Raise if there are any."""
        if not self._found:
            return
        more = len(self._found) - _SHOWN
        shown = "; ".join(self._found[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        message = f"{self._path}: image id {self._image.id}: {shown}"
        raise PairError("segments", self._path, message)


def read_dataset(
    pred: str, target: str, *, boundary_ratio: float | None = None
) -> CocoInstanceDataset:
    """Read the two JSON files; masks are made when an image is measured.

    Parameters
    ----------
    pred : str
        Results file.
    target : str
        Annotation file.
    boundary_ratio : float, optional
        For Boundary AP as well: width of the bands as a share of an image's diagonal.

    Returns
    -------
    CocoInstanceDataset

    Raises
    ------
    ValueError
        If a file cannot be read, is not of this format, or ids of images or categories are not
        unique.
    """
    with paused_collector():
        return _read_dataset(pred, target, boundary_ratio)


def _read_dataset(pred: str, target: str, boundary_ratio: float | None) -> CocoInstanceDataset:
    content = _read_json(target, "target")
    for name in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise ValueError(f"target: {target} holds no list {name!r}: is it COCO instances?")
    results = _read_json(pred, "pred")
    if not isinstance(results, list):
        raise ValueError(f"pred: {pred} holds no list of detections: is it a COCO results file?")
    if results and not any(isinstance(e, dict) and "segmentation" in e for e in results):
        raise ValueError(
            f"pred: {pred}: no detection has a segmentation; detections of boxes are not scored"
        )
    categories = _categories(content["categories"], target)
    images, names = _images(content["images"], target)
    problems = [
        *_give_targets(images, content["annotations"], target),
        *_give_detections(images, results, {category.id for category in categories}, pred),
    ]
    named = {names[image_id]: image for image_id, image in images.items()}
    return CocoInstanceDataset(pred, target, categories, named, tuple(problems), boundary_ratio)


def _read_json(path: str, side: str) -> Any:
    if Path(path).is_dir():
        raise ValueError(f"{side}: {path} is a folder; give the JSON file itself")
    try:
        return read_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{side}: {path} cannot be read: {error}") from error


def _categories(entries: list[Any], path: str) -> tuple[Category, ...]:
    found = []
    for k, entry in enumerate(entries):
        if not isinstance(entry, dict) or type(entry.get("id")) is not int:
            raise ValueError(f"target: {path}: category {k} has no integer 'id'")
        found.append(Category(entry["id"], str(entry.get("name", entry["id"]))))
    _check_unique([category.id for category in found], "categories", path)
    times = Counter(category.name for category in found)
    clear = [
        category
        if times[category.name] == 1
        else Category(category.id, f"{category.name} ({category.id})")
        for category in found
    ]
    return tuple(sorted(clear, key=lambda category: category.id))


def _images(entries: list[Any], path: str) -> tuple[dict[int, Image], dict[int, str]]:
    """Images by id, in the order of ids, and the name of each: that of its file, if unique."""
    images, files = [], []
    for k, entry in enumerate(entries):
        try:
            id_, height, width = (operator.index(entry[name]) for name in _IMAGE_KEYS)
            np.int64(id_)
            RunLengthMasks.from_coco([], shape=(height, width))
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise ValueError(
                f"target: {path}: image {k} needs the integers 'id', 'height' and 'width' "
                f"({type(error).__name__}: {error})"
            ) from error
        images.append(Image(id_, height, width))
        files.append(str(entry.get("file_name", "")))
    _check_unique([image.id for image in images], "images", path)
    times = Counter(files)
    names = {
        image.id: file if file and times[file] == 1 else f"image {image.id}"
        for image, file in zip(images, files, strict=True)
    }
    if len(set(names.values())) < len(names):
        names = {image.id: f"image {image.id}" for image in images}
    return {image.id: image for image in sorted(images, key=lambda image: image.id)}, names


def _check_unique(ids: list[int], what: str, path: str) -> None:
    for value, count in Counter(ids).most_common(1):
        if count > 1:
            raise ValueError(f"target: {path}: {count} {what} have the id {value}")


def _give_targets(images: Mapping[int, Image], entries: list[Any], path: str) -> list[Problem]:
    """Hand the annotations to their images; what is odd about them."""
    strangers: Counter[str] = Counter()
    ids: Counter[Any] = Counter()
    ignored = 0
    for k, entry in enumerate(entries):
        try:
            images[entry["image_id"]].targets.append(entry)
        except (KeyError, TypeError):  # also: not an object at all
            strangers[_stranger(entry, k)] += 1
            continue
        if type(entry.get("id")) is int:
            ids[entry["id"]] += 1
        ignored += bool(entry.get("ignore")) and not entry.get("iscrowd")
    problems = [
        _problem(path, "error", f"{count} annotations {what}; they are left out")
        for what, count in strangers.items()
    ]
    twice = [value for value, count in ids.items() if count > 1]
    if twice:
        what = f"{len(twice)} ids of annotations occur twice, such as {twice[0]}; all are counted"
        problems.append(_problem(path, "warning", what))
    if 0 in ids:
        what = "an annotation has the id 0: the official program could never find it"
        problems.append(_problem(path, "warning", what))
    if ignored:
        what = f"'ignore' of {ignored} annotations has no meaning here: only 'iscrowd' has"
        problems.append(_problem(path, "warning", what))
    return problems


def _give_detections(
    images: Mapping[int, Image], entries: list[Any], categories: set[int], path: str
) -> list[Problem]:
    """Hand the detections to their images; what is odd about them."""
    strangers: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    boxes = 0
    for k, entry in enumerate(entries):
        try:
            detections = images[entry["image_id"]].detections
        except (KeyError, TypeError):
            strangers[_stranger(entry, k)] += 1
            continue
        if _member(categories, entry.get("category_id")):
            detections.append((k, entry))
            boxes += "bbox" in entry and bool(entry["bbox"])
        else:
            unknown[repr(entry.get("category_id"))] += 1
    problems = [
        _problem(path, "error", f"{count} detections {what}; they are left out")
        for what, count in strangers.items()
    ]
    problems += [
        _problem(
            path,
            "warning",
            f"{count} detections are of category {category}, which the target file does not have; "
            "they are left out, as the official program does",
        )
        for category, count in unknown.items()
    ]
    if boxes:
        what = (
            f"{boxes} detections hold a box: their areas are those of the masks all the same "
            "(the official program takes those of the boxes; remove 'bbox' to compare)"
        )
        problems.append(_problem(path, "warning", what))
    return problems


def _member(ids: Container[int], value: Any) -> bool:
    return isinstance(value, int) and value in ids


def _stranger(entry: Any, place: int) -> str:
    if not isinstance(entry, dict) or "image_id" not in entry:
        return f"have no 'image_id' (the first is number {place})"
    return f"name the image id {entry['image_id']!r}, which the target file does not have"


def _problem(path: str, level: Any, what: str) -> Problem:
    return Problem("", path, "protocol", level, f"{path}: {what}")


def _target_name(_: int, entry: Entry) -> str:
    return f"annotation id {entry.get('id')!r}"


def _numbers(values: list[Any]) -> tuple[NDArray[np.float64], list[int]]:
    """Numbers of a JSON file, and the places of what is none or not finite."""
    try:
        plain = {float, int}.issuperset(map(type, values))
        numbers = np.array(values if plain else [_number(value) for value in values], np.float64)
    except OverflowError:  # an integer beyond float64
        numbers = np.array([_number(value) for value in values], np.float64)
    return numbers, np.flatnonzero(~np.isfinite(numbers)).tolist()


def _number(value: Any) -> float:
    try:
        return float(value) if type(value) in (float, int) else math.nan
    except OverflowError:
        return math.nan


def _image_scores(counts: CocoCounts) -> dict[str, float]:
    """Precision and recall of one image at an IoU of 0.5, over all classes."""
    found, wrong, there = counts.found()
    return {
        "precision_50": found / (found + wrong) if found + wrong else math.nan,
        "recall_50": found / there if there else math.nan,
    }


_IMAGE_KEYS = ("id", "height", "width")

PROTOCOL = EvaluationProtocol(
    name="coco-instances",
    summary="average precision of scored masks, from two JSON files",
    source="Lin et al., Microsoft COCO (ECCV 2014); pycocotools 2.0.11",
    class_names=(),
    dataset=read_dataset,
    takes_boundary_ratio=True,
    pixels=False,
    score_names=tuple(_MEANS),
)
