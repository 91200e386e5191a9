"""Pixels: scores and tables that follow from the confusion matrix of every image and of all.

What the other measures keep as counts with methods is a matrix per image here, summed and tabled
for all images at once: there may be very many of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter import pixel
from segmeter.evaluation import protocols
from segmeter.pixel._counts import nan_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from segmeter.evaluation._totals import ImageRecord
    from segmeter.evaluation.plan import Plan

_COUNTS = ("tp", "fp", "fn", "tn")
_CLASS_SCORES = ("iou", "dice", "precision", "recall", "specificity")
_DATASET_SCORES = (
    "pixel_accuracy",
    "mean_accuracy",
    "mean_iou",
    "mean_dice",
    "mean_precision",
    "mean_recall",
    "frequency_weighted_iou",
    "cohen_kappa",
    "matthews_corrcoef",
)
_IMAGES_AT_ONCE = 256  # rows of the image x class table are made in pieces, against memory


class PixelTables:
    """Scores of the pixels of a run, and the columns of its tables.

    Parameters
    ----------
    plan : Plan
    images : sequence of ImageRecord
    matrix : (C, C+1) array of int64
        Sum of the confusion matrices; rows are the target, the last column is void.
    """

    def __init__(
        self, plan: Plan, images: Sequence[ImageRecord], matrix: NDArray[np.int64]
    ) -> None:
        self._plan = plan
        self._images = images
        self._matrix = matrix

    def scores(self) -> dict[str, float]:
        """Data set scores, and means over images."""
        scores = {name: float(getattr(pixel, name)(self._matrix)) for name in _DATASET_SCORES}
        images = self.image_scores
        for name in ("pixel_accuracy", "mean_iou", "mean_dice"):
            scores[f"{name}_per_image"] = float(nan_mean(images[name]))
        classes = slice(self._plan.num_classes)
        for name in ("iou", "dice"):
            means = self._image_means[f"{name}_per_image"][classes]
            scores[f"mean_{name}_per_class_per_image"] = float(nan_mean(means))
        if self._plan.protocol is not None:
            protocol = protocols.get(self._plan.protocol)
            scores |= {} if protocol.scores is None else protocol.scores(self._matrix)
        return scores

    def over(self) -> dict[str, NDArray[np.float64]]:
        """Values that each mean of :meth:`scores` is over."""
        classes = self.class_columns(slice(self._plan.num_classes))
        over = {
            name: classes[column]
            for name, column in (
                ("mean_iou", "iou"),
                ("mean_dice", "dice"),
                ("mean_precision", "precision"),
                ("mean_recall", "recall"),
                ("mean_iou_per_class_per_image", "iou_per_image"),
                ("mean_dice_per_class_per_image", "dice_per_image"),
            )
        }
        over |= {f"{name}_per_image": values for name, values in self.image_scores.items()}
        in_target = self._matrix.sum(axis=1) > 0
        return over | {"mean_accuracy": np.where(in_target, 1.0, np.nan)}

    def class_columns(self, rows: slice) -> dict[str, NDArray[Any]]:
        """Columns of the table of classes and groups, of these rows of the two."""
        counts = self._counts[:, rows].sum(axis=0)
        columns: dict[str, NDArray[Any]] = dict(zip(_COUNTS, counts.T, strict=True))
        columns |= _class_scores(counts)
        return columns | {name: values[rows] for name, values in self._image_means.items()}

    def image_columns(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of images; ``void``: counted pixels predicted as no class."""
        images = self._images
        counted = np.array([image.counted for image in images], np.int64)
        # A counted pixel is predicted as one of the classes or as void.
        predicted = self._counts[:, : self._plan.num_classes, :2].sum(axis=(1, 2))
        return {
            "pixels": np.array([image.pixels for image in images], np.int64),
            "ignored": np.array([image.pixels - image.counted for image in images], np.int64),
            "void": counted - predicted,
            **self.image_scores,
        }

    def case_columns(self, rows: slice) -> Iterator[dict[str, NDArray[Any]]]:
        """Columns of the table of images and classes in pieces; an empty one if there is none."""
        for first in range(0, max(len(self._images), 1), _IMAGES_AT_ONCE):
            counts = self._counts[first : first + _IMAGES_AT_ONCE, rows].reshape(-1, 4)
            yield dict(zip(_COUNTS, counts.T, strict=True)) | _class_scores(counts)

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """(N, C + G, 4) true positives, false positives, false negatives, true negatives."""
        width = self._plan.num_classes + len(self._plan.label_groups)
        three = np.array([image.one_against_rest for image in self._images], np.int64)
        three = three.reshape(len(self._images), width, 3)
        counted = np.array([image.counted for image in self._images], np.int64)
        return np.concatenate([three, (counted[:, None] - three.sum(-1))[..., None]], axis=-1)

    @cached_property
    def _image_means(self) -> dict[str, NDArray[np.float64]]:
        """Per class and group: IoU and Dice, averaged over images that have it; their number."""
        found = [
            [_class_scores(piece)[name] for name in ("iou", "dice")] for piece in self._pieces()
        ]
        width = self._counts.shape[1]
        both = np.concatenate([np.empty((2, 0, width)), *map(np.array, found)], axis=1)
        means = nan_mean(np.swapaxes(both, 1, 2))
        present = (~np.isnan(both[0])).sum(axis=0)
        return {"iou_per_image": means[0], "dice_per_image": means[1], "images": present}

    @cached_property
    def image_scores(self) -> dict[str, NDArray[np.float64]]:
        """Scores of each image, over its classes."""
        scores: dict[str, list[NDArray[np.float64]]] = {
            "pixel_accuracy": [np.empty(0)],
            "mean_iou": [np.empty(0)],
            "mean_dice": [np.empty(0)],
        }
        for piece in self._pieces():
            classes = piece[:, : self._plan.num_classes]
            counted = classes[:, 0].sum(axis=-1)
            right = classes[..., 0].sum(axis=-1)
            share = np.where(counted > 0, right / np.maximum(counted, 1), np.nan)
            scores["pixel_accuracy"].append(share)
            for name in ("iou", "dice"):
                scores[f"mean_{name}"].append(nan_mean(_class_scores(classes)[name]))
        return {name: np.concatenate(parts) for name, parts in scores.items()}

    def _pieces(self) -> Iterator[NDArray[np.int64]]:
        for first in range(0, len(self._images), _IMAGES_AT_ONCE):
            yield self._counts[first : first + _IMAGES_AT_ONCE]


def _class_scores(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Scores of classes, each against the rest, from (..., 4) tp, fp, fn, tn."""
    order = [3, 1, 2, 0]  # as a two-class matrix: [[tn, fp], [fn, tp]]
    matrices = counts[..., order].reshape(*counts.shape[:-1], 2, 2)
    return {name: getattr(pixel, name)(matrices)[..., 1] for name in _CLASS_SCORES}
