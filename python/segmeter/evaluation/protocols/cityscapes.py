"""Cityscapes pixel-level semantic labelling: 34 label ids, 19 of them scored, with iIoU.

Class and category IoU follow from the confusion matrix of the 34 ids: pixels whose target id is
not scored do not count; a scored target pixel predicted as an unscored id is a false negative and
nobody's false positive. iIoU weights the target pixels of every instance by the average size of
its class over the size of the instance, so that small objects count as much as large ones; false
positives stay unweighted, since predictions name no instances. It needs the files
``*_instanceIds.png`` beside the targets ``*_labelIds.png``.

Source: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding (CVPR 2016),
section 4.1; label table and average instance sizes as in cityscapesScripts 2.3.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured
from segmeter.io import read_label_map
from segmeter.pixel import confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


class Label(NamedTuple):
    """One of the 34 label ids; ``train_id`` is None where the label is not scored."""

    id: int
    name: str
    category: str
    train_id: int | None = None
    instance_size: float | None = None


LABELS = (
    Label(0, "unlabeled", "void"),
    Label(1, "ego vehicle", "void"),
    Label(2, "rectification border", "void"),
    Label(3, "out of roi", "void"),
    Label(4, "static", "void"),
    Label(5, "dynamic", "void"),
    Label(6, "ground", "void"),
    Label(7, "road", "flat", 0),
    Label(8, "sidewalk", "flat", 1),
    Label(9, "parking", "flat"),
    Label(10, "rail track", "flat"),
    Label(11, "building", "construction", 2),
    Label(12, "wall", "construction", 3),
    Label(13, "fence", "construction", 4),
    Label(14, "guard rail", "construction"),
    Label(15, "bridge", "construction"),
    Label(16, "tunnel", "construction"),
    Label(17, "pole", "object", 5),
    Label(18, "polegroup", "object"),
    Label(19, "traffic light", "object", 6),
    Label(20, "traffic sign", "object", 7),
    Label(21, "vegetation", "nature", 8),
    Label(22, "terrain", "nature", 9),
    Label(23, "sky", "sky", 10),
    Label(24, "person", "human", 11, 3462.4756337644),
    Label(25, "rider", "human", 12, 3930.4788056518),
    Label(26, "car", "vehicle", 13, 12794.0202738185),
    Label(27, "truck", "vehicle", 14, 27855.1264367816),
    Label(28, "bus", "vehicle", 15, 35732.1511111111),
    Label(29, "caravan", "vehicle"),
    Label(30, "trailer", "vehicle"),
    Label(31, "train", "vehicle", 16, 67583.7075812274),
    Label(32, "motorcycle", "vehicle", 17, 6298.7200839748),
    Label(33, "bicycle", "vehicle", 18, 4672.3249222261),
)
"""The ids that occur in files. ``instance_size``: average pixels of an instance, where scored."""

SCORED = tuple(label for label in LABELS if label.train_id is not None)
CATEGORIES = tuple(dict.fromkeys(label.category for label in LABELS))
TRAIN_ID_TO_ID = {label.train_id: label.id for label in SCORED} | {255: 0}
"""For predictions saved as train ids: ``pred_mapping`` of the protocol ``cityscapes``."""

_FIRST_INSTANCE_ID = 1001  # ids are 1000 * label id + number; the official tool asks for > 1000
_WITH_INSTANCES = tuple(label for label in LABELS if label.instance_size is not None)
_INSTANCE_CATEGORIES = tuple(dict.fromkeys(label.category for label in _WITH_INSTANCES))


@dataclass(frozen=True, slots=True)
class CityscapesCounts:
    """Everything the Cityscapes scores follow from.

    Attributes
    ----------
    matrix : (34, 35) array of int64
        Target id, predicted id; the last column holds predictions that are no label id.
    class_weights : (8, 2) array of float64
        Weighted true positives and false negatives of the classes with instances.
    category_weights : (2, 2) array of float64
        The same where any label of the right category is a true positive.
    images_without_instances : int
        Images whose instance file was not there; any such image leaves iIoU undefined.
    """

    matrix: NDArray[np.int64]
    class_weights: NDArray[np.float64]
    category_weights: NDArray[np.float64]
    images_without_instances: int = 0

    def __add__(self, other: CityscapesCounts) -> CityscapesCounts:
        """Counts of both sets of images."""
        return CityscapesCounts(
            self.matrix + other.matrix,
            self.class_weights + other.class_weights,
            self.category_weights + other.category_weights,
            self.images_without_instances + other.images_without_instances,
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return {
            "matrix": self.matrix,
            "class_weights": self.class_weights,
            "category_weights": self.category_weights,
            "images_without_instances": np.asarray(self.images_without_instances),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> CityscapesCounts:
        """Counts from what :meth:`to_arrays` gave."""
        return cls(
            arrays["matrix"],
            arrays["class_weights"],
            arrays["category_weights"],
            int(arrays["images_without_instances"]),
        )

    def means(self) -> dict[str, NDArray[np.float64]]:
        """What the averages of the official result are over; absent classes are NaN."""
        categories = self.official()["categoryScores"]
        return {
            "mean_iiou": self.class_scores()["iiou"],
            "mean_category_iou": np.array([categories[name] for name in CATEGORIES[1:]]),
            "mean_category_iiou": self.group_scores()["iiou"],
        }

    def class_scores(self) -> dict[str, NDArray[np.float64]]:
        """iIoU of the 19 scored classes; NaN for those without instances."""
        scores = self.official()["classInstScores"]
        return {"iiou": np.array([scores[label.name] for label in SCORED])}

    def group_scores(self) -> dict[str, NDArray[np.float64]]:
        """iIoU of the categories; NaN for those without instances."""
        scores = self.official()["categoryInstScores"]
        return {"iiou": np.array([scores[category] for category in CATEGORIES[1:]])}

    def official(self) -> dict[str, Any]:
        """Result with the keys of the official tool's JSON file; NaN where a score is undefined."""
        classes = {label.name: self._iou([label]) for label in LABELS}
        class_instances = {label.name: self._class_iiou(label) for label in LABELS}
        categories = {name: self._iou(_members(name)) for name in CATEGORIES}
        category_instances = {name: self._category_iiou(name) for name in CATEGORIES}
        total = int(self.matrix.sum())
        rows = self.matrix.sum(axis=1)
        return {
            "confMatrix": self.matrix[:, : len(LABELS)].tolist(),
            "priors": {label.name: _ratio(rows[label.id], total) for label in LABELS},
            "labels": {label.name: label.id for label in LABELS},
            "classScores": classes,
            "classInstScores": class_instances,
            "categoryScores": categories,
            "categoryInstScores": category_instances,
            "averageScoreClasses": _mean(classes.values()),
            "averageScoreInstClasses": _mean(class_instances.values()),
            "averageScoreCategories": _mean(categories.values()),
            "averageScoreInstCategories": _mean(category_instances.values()),
        }

    def _iou(self, labels: Sequence[Label]) -> float:
        ids = _ids(label for label in labels if label.train_id is not None)
        hit = int(self.matrix[np.ix_(ids, ids)].sum())
        missed = int(self.matrix[ids].sum()) - hit
        return _ratio(hit, hit + missed + self._false_positives(ids, ids))

    def _false_positives(self, predicted: list[int], own: list[int]) -> int:
        others = [label.id for label in SCORED if label.id not in own]
        return int(self.matrix[np.ix_(others, predicted)].sum())

    def _class_iiou(self, label: Label) -> float:
        if label.instance_size is None or self.images_without_instances:
            return math.nan
        hit, missed = self.class_weights[_WITH_INSTANCES.index(label)]
        return _ratio(hit, hit + missed + self._false_positives([label.id], [label.id]))

    def _category_iiou(self, category: str) -> float:
        if category not in _INSTANCE_CATEGORIES or self.images_without_instances:
            return math.nan
        hit, missed = self.category_weights[_INSTANCE_CATEGORIES.index(category)]
        ids = _ids(_members(category))  # unscored members too: a trailer is a vehicle here
        return _ratio(hit, hit + missed + self._false_positives(ids, ids))


def measure(
    pred: NDArray[Any],
    target: NDArray[Any],
    target_path: str,
    spacing: tuple[float, ...] | None = None,  # noqa: ARG001 (all protocols take it)
) -> Measured:
    """Count one image: the matrix of all ids, and the weighted pixels of its instances.

    Parameters
    ----------
    pred, target : (H, W) array of int
        Label ids.
    target_path : str
        Path of the target; the instance file has ``instanceIds`` where it has ``labelIds``.
    spacing : tuple of float, optional
        Of no use here.

    Returns
    -------
    Measured
        With a warning where the instance file is absent.

    Raises
    ------
    ValueError
        If a target id is out of range, or the instance file does not fit the target.

    Examples
    --------
    >>> measured = measure(np.array([[7, 8]]), np.array([[7, 7]]), "a_1_2_gtFine_labelIds.png")
    >>> measured.counts.official()["classScores"]["road"]
    0.5
    """
    matrix = confusion_matrix(
        pred, target, num_classes=len(LABELS), out_of_range="wrong", void_column=True, threads=1
    )
    folder, name = Path(target_path).parent, Path(target_path).name
    path = folder / name.replace("labelIds", "instanceIds")
    empty = np.zeros((len(_WITH_INSTANCES), 2)), np.zeros((len(_INSTANCE_CATEGORIES), 2))
    if path.name == name or not path.is_file():
        warning = f"{target_path}: the instance file {path.name} is not there, so iIoU is undefined"
        return Measured(CityscapesCounts(matrix, *empty, images_without_instances=1), warning)
    instances = read_label_map(path).labels
    if instances.shape != target.shape:
        raise ValueError(
            f"{path} has the shape {instances.shape}, its label file {target_path} {target.shape}"
        )
    if instances.max() >= 1000 * len(LABELS):
        raise ValueError(f"{path} holds the instance id {instances.max()}, but labels end at 33")
    return Measured(CityscapesCounts(matrix, *_instance_weights(pred, instances)))


def _instance_weights(
    pred: NDArray[Any], instances: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted (true positive, false negative) pixels per class and per category."""
    inside = instances >= _FIRST_INSTANCE_ID
    ids, number = np.unique(instances[inside], return_inverse=True)
    label_of = ids.astype(np.int64) // 1000
    if len(ids) and label_of[-1] >= len(LABELS):
        raise ValueError(
            f"instance id {ids[-1]} names the label {label_of[-1]}, which does not exist"
        )
    predicted = pred[inside]
    category_of = np.array([CATEGORIES.index(label.category) for label in LABELS])
    known = (predicted >= 0) & (predicted < len(LABELS))
    predicted_category = np.where(known, category_of[np.where(known, predicted, 0)], -1)
    size = np.bincount(number)
    hit = np.bincount(number[predicted == label_of[number]], minlength=len(ids))
    category_hit = np.bincount(
        number[predicted_category == category_of[label_of[number]]], minlength=len(ids)
    )
    classes = np.zeros((len(_WITH_INSTANCES), 2))
    categories = np.zeros((len(_INSTANCE_CATEGORIES), 2))
    for i, label_id in enumerate(label_of):
        label = LABELS[label_id]
        if label.instance_size is None:
            continue
        weight = label.instance_size / size[i]
        row = _INSTANCE_CATEGORIES.index(label.category)
        classes[_WITH_INSTANCES.index(label)] += weight * np.array([hit[i], size[i] - hit[i]])
        categories[row] += weight * np.array([category_hit[i], size[i] - category_hit[i]])
    return classes, categories


def _members(category: str) -> list[Label]:
    return [label for label in LABELS if label.category == category]


def _ids(labels: Iterable[Label]) -> list[int]:
    return [label.id for label in labels]


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else math.nan


def _mean(scores: Iterable[float]) -> float:
    valid = [score for score in scores if not math.isnan(score)]
    return sum(valid) / len(valid) if valid else math.nan


_GROUPS = {
    category: tuple(label.train_id for label in _members(category) if label.train_id is not None)
    for category in CATEGORIES[1:]
}
_NAMES = tuple(label.name for label in SCORED)
_SOURCE = "Cordts et al., The Cityscapes Dataset (CVPR 2016); cityscapesScripts 2.3.0"

PROTOCOL = EvaluationProtocol(
    name="cityscapes",
    summary="34 label ids, 19 scored; categories and instance-weighted iIoU",
    source=_SOURCE,
    class_names=_NAMES,
    labels={label.id: label.train_id for label in LABELS},
    label_groups=_GROUPS,
    pred_pattern=r"(?:^|/)([^/_]+_\d+_\d+)[^/]*$",
    target_pattern=r"(?:^|/)([^/_]+_\d+_\d+)_gt(?:Fine|Coarse)_labelIds$",
    measure=measure,
    score_names=("mean_iiou", "mean_category_iou", "mean_category_iiou"),
)
TRAIN_IDS = EvaluationProtocol(
    name="cityscapes-trainids",
    summary="19 train ids on both sides, 255 ignored; categories, no iIoU",
    source=_SOURCE,
    class_names=_NAMES,
    ignore_index=(255,),
    label_groups=_GROUPS,
)
