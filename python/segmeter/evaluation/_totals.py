"""What a run gathers: counts of every image and their sums, problems, remarks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segmeter import pixel
from segmeter.evaluation.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from segmeter.evaluation._problem import Problem
    from segmeter.evaluation.measures import MeasureCounts
    from segmeter.evaluation.pairing import Pair
    from segmeter.evaluation.plan import Plan
    from segmeter.evaluation.protocols import ProtocolCounts
    from segmeter.evaluation.worker import ImageCounts

_MAX_NOTES = 50  # different notes kept; a reader's note may hold numbers of its file


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image of a run.

    Attributes
    ----------
    pair : Pair
    pixels, counted : int
        All pixels, and those that count.
    one_against_rest : (C + G, 3) array of int64
        True positives, false positives and false negatives of every class, then every group;
        zeros where pixels are not measured.
    scores : mapping of str to float
        Scores of this image that the protocol wants shown.
    measures : mapping of str to MeasureCounts
        Counts of the other measures by name.
    """

    pair: Pair
    pixels: int
    counted: int
    one_against_rest: NDArray[np.int64]
    scores: Mapping[str, float]
    measures: Mapping[str, MeasureCounts]


class _Sums(NamedTuple):
    """Sums over the first ``images`` images, replaced as one, so that they always fit together."""

    matrix: NDArray[np.int64]
    protocol: ProtocolCounts | None
    measures: Mapping[str, MeasureCounts]
    images: int


class Totals:
    """What a run gathers, image by image, in the order of the pairing.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    images : list of ImageRecord
    problems : list of Problem
    notes : dict of str to tuple (int, str)
        Remark of the readers to the number of images and the first image's id.
    """

    def __init__(self, plan: Plan) -> None:
        self.images: list[ImageRecord] = []
        self.problems: list[Problem] = []
        self.notes: dict[str, tuple[int, str]] = {}
        self._plan = plan
        empty = {name: MEASURES[name].empty(plan) for name in plan.measures if name in MEASURES}
        shape = (plan.num_classes, plan.num_classes + 1)
        try:
            matrix = np.zeros(shape, np.int64)
        except MemoryError:
            raise MemoryError(
                f"num_classes is {plan.num_classes}: the matrix takes "
                f"{8 * math.prod(shape) / 2**30:,.1f} GiB, more memory than there is; give the "
                "classes that occur numbers from 0 with mapping="
            ) from None
        self._sums = _Sums(_frozen(matrix), None, empty, 0)
        self._no_pixels = np.zeros((plan.num_classes + len(plan.label_groups), 3), np.int64)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Confusion matrix (C, C+1), summed over images; read-only."""
        return self._sums.matrix

    @property
    def protocol(self) -> ProtocolCounts | None:
        """The protocol's own counts, summed over images."""
        return self._sums.protocol

    @property
    def measures(self) -> Mapping[str, MeasureCounts]:
        """Counts of the other measures by name, summed over images."""
        return self._sums.measures

    def add(self, image: ImageCounts) -> None:
        """Take one image in."""
        matrix, protocol, measures, number = self._sums
        own = image.protocol
        if own is not None and protocol is not None:
            own = protocol + own
        counted, counts = 0, self._no_pixels
        if image.matrix is not None:
            counted = int(image.matrix.sum())
            counts = _one_against_rest(image.matrix, self._plan)
            matrix = matrix + image.matrix
        measures = {name: sums + image.measures[name] for name, sums in measures.items()}
        record = ImageRecord(
            image.pair, image.pixels, counted, counts, image.scores, image.measures
        )
        self.images.append(record)
        for note in dict.fromkeys(image.notes):
            if note in self.notes or len(self.notes) < _MAX_NOTES:
                count, first = self.notes.get(note, (0, image.pair.id))
                self.notes[note] = (count + 1, first)
        self._sums = _Sums(_frozen(matrix), own, measures, number + 1)

    def settle(self) -> None:
        """After an interruption: forget an image that was not taken in wholly."""
        del self.images[self._sums.images :]


def _frozen(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    matrix.flags.writeable = False
    return matrix


def _one_against_rest(matrix: NDArray[np.int64], plan: Plan) -> NDArray[np.int64]:
    """(C + G, 3) true positives, false positives, false negatives of classes and groups."""
    hits, alarms = pixel.true_positives(matrix), pixel.false_positives(matrix)
    classes = np.stack([hits, alarms, pixel.false_negatives(matrix)], axis=-1)
    if not plan.label_groups:
        return classes
    groups = pixel.group_counts(matrix, dict(plan.label_groups)).reshape(-1, 4)
    return np.concatenate([classes, groups[:, [3, 1, 2]]])
