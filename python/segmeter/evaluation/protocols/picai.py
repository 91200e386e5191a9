"""PI-CAI: detection maps of prostate cancer; AP of lesions, AUROC of cases, and their mean.

Predictions are ``<case>_detection_map`` files with one confidence per candidate, targets are
``<case>_label`` files; folders of files with equal names are taken as well. Values are compared as
float32, as there. A detection map of another shape than its label is refused, where the official
program pads smaller ones.

Source: picai_eval 1.4 (Bosma et al.).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.evaluation._problem import PairError, Problem
from segmeter.evaluation.pairing import Pair, Pairing, pair_files
from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured
from segmeter.io import read_label_map
from segmeter.region import DetectionCounts, average_precision, case_auroc, detect, picai_score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SMOOTH = 1e-8  # of the official program's overlaps


@dataclass(frozen=True, slots=True)
class PicaiCounts:
    """Candidates and lesions of one case or of many.

    Attributes
    ----------
    names : tuple of str
        Name of each case.
    detections : DetectionCounts
    """

    names: tuple[str, ...]
    detections: DetectionCounts

    def __add__(self, other: PicaiCounts) -> PicaiCounts:
        """Counts of both sets of cases."""
        return PicaiCounts(self.names + other.names, self.detections + other.detections)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return self.detections.to_arrays() | {"names": np.array(self.names, np.str_)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> PicaiCounts:
        """Counts from what :meth:`to_arrays` gave."""
        names = tuple(str(name) for name in arrays["names"])
        return cls(names, DetectionCounts.from_arrays(arrays))

    def means(self) -> dict[str, NDArray[np.float64]]:
        """The three scores of the challenge."""
        return {
            "score": np.array([picai_score(self.detections)]),
            "auroc": np.array([case_auroc(self.detections)]),
            "average_precision": np.array([average_precision(self.detections)]),
        }

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Lesions, and those found with any confidence."""
        counts = self.detections
        found = int((counts.is_lesion & counts.is_found).sum())
        return {
            "lesions": np.array([counts.num_lesions], np.int64),
            "found": np.array([found], np.int64),
            "false_positives": np.array([counts.num_false_positives], np.int64),
        }

    def group_scores(self) -> dict[str, NDArray[np.float64]]:
        """Nothing: there are no groups."""
        return {}

    def official(self) -> dict[str, Any]:
        """Result with the keys of the official program's JSON file."""
        counts = self.detections
        results = {name: self._rows(case) for case, name in enumerate(self.names)}
        weights = dict(zip(self.names, counts.case_weight.tolist(), strict=True))
        target = counts.case_target.astype(int).tolist()
        return {
            "auroc": case_auroc(counts),
            "AP": average_precision(counts),
            "num_cases": counts.num_cases,
            "num_lesions": counts.num_lesions,
            "lesion_results": results,
            "lesion_weight": {name: [weights[name]] * len(rows) for name, rows in results.items()},
            "case_pred": dict(zip(self.names, counts.case_confidence.tolist(), strict=True)),
            "case_target": dict(zip(self.names, target, strict=True)),
            "case_weight": weights,
        }

    def _rows(self, case: int) -> list[list[float]]:
        counts, own = self.detections, self.detections.case == case
        columns = counts.is_lesion[own], counts.confidence[own], counts.overlap[own]
        # The official program adds 1 to overlaps and takes it away again, with its rounding.
        return [
            [int(lesion), float(confidence), float(1 + overlap) - 1]
            for lesion, confidence, overlap in zip(*columns, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class PicaiFolders:
    """Detection maps and labels of the same cases."""

    pairing: Pairing
    class_names: tuple[str, ...] = ("lesion",)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Files of every case."""
        return self.pairing.pairs

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Files without a partner."""
        return self.pairing.problems()

    def measure(self, pair: Pair) -> Measured:
        """Compare the candidates of one case with its lesions."""
        heat = read_label_map(pair.pred, scores=True).labels
        target = read_label_map(pair.target).labels
        if heat.shape != target.shape:
            raise PairError(
                "shape",
                pair.pred,
                f"{pair.pred} has the shape {heat.shape}, {pair.target} {target.shape}",
            )
        counts = detect(heat.astype(np.float32), target, smooth=_SMOOTH, threads=1)
        found = counts.is_lesion & counts.is_found
        scores = {
            "average_precision": average_precision(counts),
            "lesions": counts.num_lesions,
            "found": int(found.sum()),
            "false_positives": counts.num_false_positives,
            "confidence": float(counts.case_confidence[0]),
        }
        return Measured(PicaiCounts((pair.id,), counts), scores=scores)


def open_folders(pred: str, target: str) -> PicaiFolders:
    """Pair detection maps with labels by the names of PI-CAI, or by equal names.

    Raises
    ------
    ValueError
        If a folder holds no such files.

    Examples
    --------
    >>> open_folders("no/preds", "no/labels")
    Traceback (most recent call last):
    ...
    ValueError: ...
    """
    try:
        named = pair_files(pred, target, pred_suffix="_detection_map", target_suffix="_label")
    except ValueError:
        return PicaiFolders(pair_files(pred, target))
    return PicaiFolders(named)


PROTOCOL = EvaluationProtocol(
    name="picai",
    summary="PI-CAI: detection maps of prostate cancer, AP and AUROC",
    source="picai_eval 1.4",
    class_names=(),
    dataset=open_folders,
    pixels=False,
    score_names=("score", "auroc", "average_precision"),
)
