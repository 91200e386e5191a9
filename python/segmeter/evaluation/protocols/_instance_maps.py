"""Counts of instance maps at IoU thresholds: what the protocols cellpose and stardist share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured, Spacing
from segmeter.region import (
    InstanceCounts,
    InstanceScores,
    instance_counts,
    instance_scores,
    overlap_table,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def threshold_text(threshold: float) -> str:
    """A threshold as part of a name: ``"50"`` for 0.5.

    Examples
    --------
    >>> threshold_text(0.5), threshold_text(0.95)
    ('50', '95')
    """
    return str(round(100 * threshold))


@dataclass(frozen=True, slots=True)
class InstanceMapCounts:
    """Matched, invented and missed objects at every threshold, of one class.

    Attributes
    ----------
    counts : InstanceCounts
    empty : {"nan", "zero"}
        Score where there is no object in either map.
    names : mapping of str to str
        Name of a score in tables to its name among :class:`segmeter.InstanceScores`.
    """

    counts: InstanceCounts
    empty: str
    names: Mapping[str, str]

    def __add__(self, other: InstanceMapCounts) -> InstanceMapCounts:
        """Counts of both sets of images."""
        return InstanceMapCounts(self.counts + other.counts, self.empty, self.names)

    @property
    def scores(self) -> InstanceScores:
        """Scores at every threshold."""
        return instance_scores(self.counts, absent="nan" if self.empty == "nan" else "zero")

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Each score at each threshold; of AP also the mean over thresholds."""
        means = {"mean_ap": self.scores.accuracy}
        for name, own in self.names.items():
            values = getattr(self.scores, own)
            for threshold, value in zip(self.counts.thresholds, values, strict=True):
                means[f"{name}_{threshold_text(threshold)}"] = np.array([value])
        return means

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """AP and numbers of objects at the lowest threshold, and the mean AP, of the one class."""
        counts = self.counts
        columns: dict[str, NDArray[Any]] = {"mean_ap": np.array([self.scores.accuracy.mean()])}
        text = threshold_text(counts.thresholds[0])
        columns[f"ap_{text}"] = self.scores.accuracy[:1]
        return columns | {
            f"{name}_{text}": getattr(counts, name)[:1] for name in ("tp", "fp", "fn")
        }

    def group_scores(self) -> dict[str, NDArray[np.float64]]:
        """Nothing: there are no label groups."""
        return {}

    def image_scores(self) -> dict[str, float]:
        """Scores and numbers of objects, if these are the counts of one image."""
        scores = {name: float(np.mean(values)) for name, values in self.means().items()}
        text = threshold_text(self.counts.thresholds[0])
        numbers = {
            f"{name}_{text}": int(getattr(self.counts, name)[0]) for name in ("tp", "fp", "fn")
        }
        return scores | numbers

    def official(self) -> dict[str, Any]:
        """Scores at every threshold, under the names of the tools."""
        values = {"thresholds": self.counts.thresholds.tolist()}
        values |= {name: getattr(self.counts, name).tolist() for name in ("tp", "fp", "fn")}
        return values | {
            name: getattr(self.scores, own).tolist() for name, own in self.names.items()
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return self.counts.to_arrays()


def instance_protocol(
    name: str,
    *,
    summary: str,
    source: str,
    thresholds: tuple[float, ...],
    names: Mapping[str, str],
    empty: str,
) -> EvaluationProtocol:
    """A protocol of instance maps, whose ids of objects are above 0.

    Cellpose and StarDist match by one rule, as many objects as possible; what differs are the
    thresholds, the scores, and what two maps without any object get.

    Parameters
    ----------
    name, summary, source : str
        As of :class:`EvaluationProtocol`.
    thresholds : tuple of float
        IoU that a pair must reach.
    names, empty
        As of :class:`InstanceMapCounts`.

    Returns
    -------
    EvaluationProtocol

    Examples
    --------
    >>> protocol = instance_protocol(
    ...     "own", summary="", source="", thresholds=(0.5,), names={"ap": "accuracy"}, empty="nan"
    ... )
    >>> target = np.array([[1, 1, 0, 2]])
    >>> protocol.measure(np.array([[4, 4, 0, 0]]), target, "", None).scores["ap_50"]
    0.5
    """

    def measure(
        pred: NDArray[Any], target: NDArray[Any], _path: str, _spacing: Spacing
    ) -> Measured:
        for side, ids in (("pred", pred), ("target", target)):
            if ids.size and ids.min() < 0:
                lowest = f"{side} holds the id {ids.min()}"
                raise ValueError(f"{lowest}; ids are 0 or more, 0 is background")
        table = overlap_table(pred, target, threads=1)
        counts = instance_counts(table, thresholds=thresholds, preset="stardist")
        found = InstanceMapCounts(counts, empty, names)
        return Measured(found, scores=found.image_scores())

    at_each = (f"{score}_{threshold_text(at)}" for score in names for at in thresholds)
    return EvaluationProtocol(
        name=name,
        summary=summary,
        source=source,
        class_names=("object",),
        measure=measure,
        pixels=False,
        score_names=("mean_ap", *at_each),
    )
