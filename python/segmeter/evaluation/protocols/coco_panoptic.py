"""COCO panoptic segmentation, and Cityscapes' use of it: two JSON files and folders of id pictures.

A JSON file lists the segments of every image (``annotations``: ``image_id``, ``file_name`` and
``segments_info`` with ``id``, ``category_id``, ``area``, ``iscrowd``); the picture ``file_name``
holds the segment of every pixel as colour, r + 256 g + 65536 b. Pictures lie in the folder that is
named as the JSON file without ``.json``. Categories are those of the target file.

The rules are those of the official evaluation: a predicted and a target segment of one category
match if their IoU is above 0.5, the union being without the pixels of the prediction that are void
(id 0) in the target, and with the target's area as the JSON file states it; a crowd segment matches
nothing and is not missed; an unmatched prediction of which more than half is void, or crowd of its
category (of several crowd segments the last), is no false positive. Where the official program
stops (a segment without pixels, pixels without a segment, an image without prediction), the image
is a problem here and the others are counted. Without any segment the scores are NaN; the official
program divides by zero.

With a boundary ratio there is Boundary PQ beside PQ: IoU is the smaller of that of the segments
and that of the bands along their outlines. Void leaves the union of bands, too, and outlines begin
where it does. What is no false positive is decided by whole segments.

Source: Kirillov et al., Panoptic Segmentation (CVPR 2019); panopticapi, commit 7bb4655;
cityscapesScripts 2.3.0, whose evaluation is the same but for the names of the files. Boundary PQ:
Cheng et al., Boundary IoU (CVPR 2021); boundary-iou-api, commit 37d2558.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.boundary import boundary_overlap_table
from segmeter.evaluation._problem import PairError, Problem
from segmeter.evaluation.pairing import Pair
from segmeter.evaluation.protocols._collector import paused_collector
from segmeter.evaluation.protocols._json import read_json
from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured
from segmeter.io import read_label_map
from segmeter.pixel._counts import nan_mean
from segmeter.region import (
    OverlapTable,
    PanopticCounts,
    overlap_table,
    panoptic_counts,
    panoptic_quality,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_VOID = 0
_MAX_ID = 256**3 - 1  # what three bytes hold
_SHOWN = 5  # ids that a message names
_SCORES = ("pq", "sq", "rq")
_GROUPS = {"All": "", "Things": "_things", "Stuff": "_stuff"}
_BY_BANDS = "boundary_"  # what the names of scores by Boundary IoU begin with


@dataclass(frozen=True, slots=True)
class Category:
    """A category of the target file."""

    id: int
    name: str
    is_thing: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of one image, as the JSON file describes it."""

    id: int
    category: int
    area: int | None
    is_crowd: bool


@dataclass(frozen=True, slots=True)
class Annotation:
    """The segments of one image."""

    image_id: Any
    picture: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class CocoPanopticCounts:
    """Everything the panoptic scores follow from.

    Attributes
    ----------
    counts : PanopticCounts
        One entry per category, in the order of the target file.
    category_ids : (C,) array of int64
    is_thing : (C,) array of bool
    by_bands : PanopticCounts or None
        The same as ``counts``, matched by Boundary IoU.
    """

    counts: PanopticCounts
    category_ids: NDArray[np.int64]
    is_thing: NDArray[np.bool_]
    by_bands: PanopticCounts | None = None

    def __add__(self, other: CocoPanopticCounts) -> CocoPanopticCounts:
        """Counts of both sets of images."""
        both = None
        if self.by_bands is not None and other.by_bands is not None:
            both = self.by_bands + other.by_bands
        return replace(self, counts=self.counts + other.counts, by_bands=both)

    def _ways(self) -> dict[str, PanopticCounts]:
        """What the names of scores begin with, and the counts that they are of."""
        return {"": self.counts} | ({} if self.by_bands is None else {_BY_BANDS: self.by_bands})

    def means(self) -> dict[str, NDArray[np.float64]]:
        """PQ, SQ and RQ of all categories, of things and of stuff; absent ones are NaN."""
        members = {"": slice(None), "_things": self.is_thing, "_stuff": ~self.is_thing}
        qualities = {way: panoptic_quality(counts) for way, counts in self._ways().items()}
        return {
            f"{way}{name}{group}": getattr(quality, name)[members[group]]
            for way, quality in qualities.items()
            for group in _GROUPS.values()
            for name in _SCORES
        }

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """PQ, SQ, RQ and matched, invented and missed segments of every category."""
        columns: dict[str, NDArray[Any]] = {"thing": self.is_thing}
        for way, counts in self._ways().items():
            quality = panoptic_quality(counts)
            columns |= {f"{way}{name}": getattr(quality, name) for name in _SCORES}
            columns |= {f"{way}{name}": getattr(counts, name) for name in ("tp", "fp", "fn")}
        return columns

    def group_scores(self) -> dict[str, NDArray[np.float64]]:
        """Nothing: there are no label groups."""
        return {}

    def official(self) -> dict[str, Any]:
        """Result of the official program: absent categories are 0 and outside the means.

        That of Boundary PQ, if there is any, stands under ``boundary``.
        """
        scores = self._official("")
        return scores if self.by_bands is None else scores | {"boundary": self._official(_BY_BANDS)}

    def _official(self, way: str) -> dict[str, Any]:
        means = self.means()
        scores: dict[str, Any] = {
            title: {name: _mean(means[f"{way}{name}{group}"]) for name in _SCORES}
            | {"n": int((~np.isnan(means[f"{way}pq{group}"])).sum())}
            for title, group in _GROUPS.items()
        }
        columns = [np.nan_to_num(means[f"{way}{name}"]).tolist() for name in _SCORES]
        scores["per_class"] = {
            category: dict(zip(_SCORES, values, strict=True))
            for category, *values in zip(self.category_ids.tolist(), *columns, strict=True)
        }
        return scores

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        arrays = {
            f"{way}{name}": array
            for way, counts in self._ways().items()
            for name, array in counts.to_arrays().items()
        }
        return arrays | {"category_ids": self.category_ids, "is_thing": self.is_thing}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> CocoPanopticCounts:
        """Counts from what :meth:`to_arrays` gave."""
        own = {"category_ids", "is_thing"}
        ways: dict[str, dict[str, NDArray[Any]]] = {"": {}, _BY_BANDS: {}}
        for name, array in arrays.items():
            if name not in own:
                way = _BY_BANDS if name.startswith(_BY_BANDS) else ""
                ways[way][name.removeprefix(way)] = array
        return cls(
            PanopticCounts.from_arrays(ways[""]),
            arrays["category_ids"],
            arrays["is_thing"],
            PanopticCounts.from_arrays(ways[_BY_BANDS]) if ways[_BY_BANDS] else None,
        )


@dataclass(frozen=True)
class CocoPanopticDataset:
    """Two JSON files and their pictures; see :func:`read_dataset`."""

    categories: tuple[Category, ...]
    annotations: Mapping[str, tuple[Annotation, Annotation]]
    problems: tuple[Problem, ...] = ()
    boundary_ratio: float | None = None
    _index: Mapping[int, int] = field(init=False)

    def __post_init__(self) -> None:
        index = {category.id: k for k, category in enumerate(self.categories)}
        object.__setattr__(self, "_index", index)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the categories."""
        return tuple(category.name for category in self.categories)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """One pair of pictures per image, in the order of the target file."""
        return tuple(
            Pair(name, pred.picture, target.picture)
            for name, (pred, target) in self.annotations.items()
        )

    def measure(self, pair: Pair) -> Measured:
        """Count the segments of one image.

        Raises
        ------
        PairError
            If pictures differ in size, or picture and JSON file do not name the same segments.
        """
        pred, target = self.annotations[pair.id]
        pred_ids, target_ids = (
            read_label_map(side.picture, panoptic=True).labels for side in (pred, target)
        )
        if pred_ids.shape != target_ids.shape:
            sizes = " and ".join(f"{i.shape[1]} x {i.shape[0]}" for i in (pred_ids, target_ids))
            raise PairError(
                "shape", pair.pred, f"{pair.pred} and {pair.target} differ in size: {sizes}"
            )
        counts, by_bands, warning = self._counts(pred, target, pred_ids, target_ids)
        found = CocoPanopticCounts(
            counts,
            *self._category_columns,
            by_bands,
        )
        scores = {
            name: float(nan_mean(values))
            for name, values in found.means().items()
            if name.endswith(_SCORES)
        }
        return Measured(found, warning, scores)

    @cached_property
    def _category_columns(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Id of each category, and whether it is a thing."""
        return (
            np.array([category.id for category in self.categories]),
            np.array([category.is_thing for category in self.categories], bool),
        )

    def _counts(
        self,
        pred: Annotation,
        target: Annotation,
        pred_ids: NDArray[Any],
        target_ids: NDArray[Any],
    ) -> tuple[PanopticCounts, PanopticCounts | None, str | None]:
        """Counts by IoU and by Boundary IoU, and what is odd about the target."""
        pred_classes, target_classes = self._classes(pred), self._classes(target)
        if _VOID in target_classes:
            raise _wrong(target, f"segment id {_VOID} is void, which no target segment can have")
        # Predicted pixels of id 0 are a segment if the JSON file says so.
        how: dict[str, Any] = {"background": None, "ignore_index": _VOID, "threads": 1}
        if self.boundary_ratio is None:
            table = overlap_table(pred_ids, target_ids, **how)
        else:
            table = boundary_overlap_table(pred_ids, target_ids, width=self.boundary_ratio, **how)
        _check_named(pred, pred_classes, table.pred_id)
        number = len(self.categories)
        areas = {s.id: s.area for s in target.segments if s.area is not None}
        ids = table.target_id.tolist()
        # Pixels of an id that no segment has get a class of their own; in the target, where they
        # are neither void nor a segment, as a crowd.
        table = replace(
            table,
            pred_class=np.array(
                [pred_classes.get(i, number) for i in table.pred_id.tolist()], np.int64
            ),
            target_class=np.array([target_classes.get(i, number) for i in ids], np.int64),
            target_area=np.array(
                [
                    areas.get(i, area)
                    for i, area in zip(ids, table.target_area.tolist(), strict=True)
                ],
                np.int64,
            ),
        )
        there = set(ids)
        crowd = [s.id for s in target.segments if s.is_crowd and s.id in there]
        strangers = [i for i in ids if i not in target_classes]
        unseen = [s for s in target.segments if s.id not in there]

        def counted(way: OverlapTable) -> PanopticCounts:
            found = panoptic_counts(
                way, num_classes=number + 1, crowd=[*crowd, *strangers], preset="panopticapi"
            )
            return self._completed(found, unseen)

        warning = _warning(target, strangers, unseen)
        if self.boundary_ratio is None:
            return counted(table), None, warning
        whole = OverlapTable(
            **{part.name: getattr(table, part.name) for part in fields(OverlapTable)}
        )
        return counted(whole), counted(table), warning

    def _completed(self, counted: PanopticCounts, unseen: Sequence[Segment]) -> PanopticCounts:
        """Counts without the class of strangers; target segments without pixels are missed."""
        number = len(self.categories)
        arrays = {part.name: getattr(counted, part.name)[:number] for part in fields(counted)}
        missed = [self._index[segment.category] for segment in unseen if not segment.is_crowd]
        for name in ("fn", "target_regions"):
            arrays[name] = arrays[name] + np.bincount(np.array(missed, int), minlength=number)
        return PanopticCounts(**arrays)

    def _classes(self, annotation: Annotation) -> dict[int, int]:
        """Segment id to class index; what the file states of the segments is checked."""
        found: dict[int, int] = {}
        for segment in annotation.segments:
            if not 0 <= segment.id <= _MAX_ID:
                raise _wrong(
                    annotation,
                    f"segment id {segment.id} is outside 0..{_MAX_ID}, the ids of a colour",
                )
            index = self._index.get(segment.category)
            if index is None:
                raise _wrong(
                    annotation,
                    f"segment {segment.id} has the category_id {segment.category}, "
                    "which is no category of the target file",
                )
            if segment.id in found:
                names = " and as ".join(self.class_names[k] for k in (found[segment.id], index))
                raise _wrong(annotation, f"segment {segment.id} is listed twice, as {names}")
            found[segment.id] = index
        return found


def read_dataset(
    pred: str, target: str, *, boundary_ratio: float | None = None
) -> CocoPanopticDataset:
    """Read the two JSON files; pictures are read when they are measured.

    Parameters
    ----------
    pred, target : str
        JSON files, or the folders of pictures beside them.
    boundary_ratio : float, optional
        For Boundary PQ as well: width of the bands as a share of an image's diagonal.

    Returns
    -------
    CocoPanopticDataset

    Raises
    ------
    ValueError
        If a file cannot be read or is not of this format.
    """
    with paused_collector():
        files = _File.read(pred, "pred"), _File.read(target, "target")
    problems = [problem for file in files for problem in file.problems]
    annotations, preds = {}, dict(files[0].annotations)
    names = _names(files[1].annotations)
    for image_id, found in files[1].annotations.items():
        own = preds.pop(image_id, None)
        if own is not None:
            annotations[names[image_id]] = (own, found)
        elif image_id not in files[0].ambiguous:
            message = f"{pred}: there is no prediction for the image with id {image_id}"
            row = Problem(names[image_id], found.picture, "missing-prediction", "error", message)
            problems.append(row)
    for image_id, own in preds.items():
        if image_id not in files[1].ambiguous:
            message = f"{target}: there is no target for the predicted image with id {image_id}"
            row = Problem(str(image_id), own.picture, "missing-target", "warning", message)
            problems.append(row)
    categories = files[1].categories()
    return CocoPanopticDataset(categories, annotations, tuple(problems), boundary_ratio)


@dataclass(frozen=True)
class _File:
    """A JSON file: annotations by image id, and what is wrong with it."""

    path: str
    content: Mapping[str, Any]
    annotations: Mapping[Any, Annotation]
    ambiguous: frozenset[Any]
    problems: tuple[Problem, ...]

    @classmethod
    def read(cls, path: str, side: str) -> _File:
        file = _json_file(path, side)
        try:
            content = read_json(file)
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{side}: {file} cannot be read: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
            raise ValueError(f"{side}: {file} holds no list 'annotations': is it COCO panoptic?")
        folder = file.with_suffix("")
        if not folder.is_dir():
            raise ValueError(
                f"{side}: there is no folder {folder} with the pictures that {file} names"
            )
        found = [_annotation(entry, folder, f"{side}: {file}") for entry in content["annotations"]]
        times = Counter(annotation.image_id for annotation in found)
        twice = frozenset(image_id for image_id, count in times.items() if count > 1)
        problems = [
            Problem(
                str(image_id),
                str(file),
                "ambiguous",
                "error",
                f"{file}: {times[image_id]} annotations have the image id {image_id}; "
                "none of them is used",
            )
            for image_id in times
            if image_id in twice
        ]
        used = {a.image_id: a for a in found if a.image_id not in twice}
        return cls(str(file), content, used, twice, tuple(problems))

    def categories(self) -> tuple[Category, ...]:
        """Categories in the order of the file."""
        entries = self.content.get("categories")
        if not isinstance(entries, list) or not entries:
            raise ValueError(f"target: {self.path} holds no list 'categories'")
        try:
            found = tuple(
                Category(int(e["id"]), str(e.get("name", e["id"])), bool(e["isthing"]))
                for e in entries
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"target: {self.path}: a category needs 'id' and 'isthing' ({error!r})"
            ) from error
        for name in ("id", "name"):
            value, count = Counter(getattr(c, name) for c in found).most_common(1)[0]
            if count > 1:
                raise ValueError(f"target: {self.path}: {count} categories have the {name} {value}")
        return found


def _json_file(path: str, side: str) -> Path:
    """The JSON file itself, or the one beside a folder of pictures."""
    given = Path(path)
    file = given.with_name(f"{given.name}.json") if given.is_dir() else given
    if not file.is_file():
        also = f" (beside the folder {given})" if given.is_dir() else ""
        raise ValueError(f"{side}: there is no file {file}{also}")
    return file


def _annotation(entry: Any, folder: Path, where: str) -> Annotation:
    try:
        segments = tuple(
            Segment(
                int(s["id"]),
                int(s["category_id"]),
                None if s.get("area") is None else int(s["area"]),
                bool(s.get("iscrowd", 0)),
            )
            for s in entry["segments_info"]
        )
        return Annotation(entry["image_id"], str(folder / entry["file_name"]), segments)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{where}: an annotation needs 'image_id', 'file_name' and 'segments_info', a segment "
            f"'id' and 'category_id' ({error!r} in {str(entry)[:80]})"
        ) from error


def _names(annotations: Mapping[Any, Annotation]) -> dict[Any, str]:
    """Names of the images: of their pictures where these are unique, else the ids."""
    names = {image_id: Path(a.picture).stem for image_id, a in annotations.items()}
    unique = len(set(names.values())) == len(names)
    return names if unique else {image_id: str(image_id) for image_id in names}


def _check_named(
    annotation: Annotation, classes: Mapping[int, int], ids: NDArray[np.integer[Any]]
) -> None:
    """Predicted picture and JSON file must name the same segments, as the official program asks."""
    there = ids.tolist()
    nameless = [i for i in there if i not in classes and i != _VOID]
    if nameless:
        raise _wrong(
            annotation,
            f"{_listed(nameless)} in the picture, but not in segments_info of the JSON file",
        )
    unseen = classes.keys() - set(there)
    if unseen:
        raise _wrong(
            annotation,
            f"{_listed(sorted(unseen))} in segments_info of the JSON file, but not in the picture",
        )


def _warning(target: Annotation, strangers: Sequence[int], unseen: Sequence[Segment]) -> str | None:
    """What is odd about a target, and counted as the official program counts it."""
    parts = []
    if strangers:
        parts.append(f"{_listed(strangers)} in the picture, but not in the JSON file: not scored")
    if unseen:
        ids = [segment.id for segment in unseen]
        parts.append(f"{_listed(ids)} in the JSON file, but not in the picture: missed by all")
    return f"{target.picture}: {'; '.join(parts)}" if parts else None


def _listed(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:_SHOWN]))
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return f"segment {shown} is" if len(ids) == 1 else f"segments {shown}{more} are"


def _wrong(annotation: Annotation, what: str) -> PairError:
    path = annotation.picture
    return PairError("segments", path, f"{path}: {what} (image id {annotation.image_id})")


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)].tolist()
    return sum(defined) / len(defined) if defined else math.nan


_SCORE_NAMES = tuple(f"{name}{group}" for group in _GROUPS.values() for name in _SCORES)

PROTOCOL = EvaluationProtocol(
    name="coco-panoptic",
    summary="panoptic quality of two JSON files with folders of id pictures",
    source="Kirillov et al., Panoptic Segmentation (CVPR 2019); panopticapi 7bb4655",
    class_names=(),
    dataset=read_dataset,
    takes_boundary_ratio=True,
    pixels=False,
    score_names=_SCORE_NAMES,
)
CITYSCAPES = replace(
    PROTOCOL,
    name="cityscapes-panoptic",
    source="Kirillov et al., Panoptic Segmentation (CVPR 2019); cityscapesScripts 2.3.0",
)
