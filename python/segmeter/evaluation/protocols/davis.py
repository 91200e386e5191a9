"""DAVIS 2016: one object per video sequence, region similarity J and boundary accuracy F.

Folders of masks, one folder for each sequence, not 0 being the object. J is the IoU of a frame, F
the boundary F measure of :func:`segmeter.boundary_f_counts`. Of each sequence there are the mean
over its frames, the recall (share of frames above 0.5) and the decay (mean over the first quarter
of the frames less that over the last); the scores of a data set are means over its sequences. The
first and the last frame of a sequence do not count, as in the semi-supervised task.

The official toolkit keeps the ends of the quarters in 8 bits, so that its decay is wrong in
sequences of more than 257 frames, which DAVIS has none of; here they are right.

Source: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation (CVPR 2016); davis2017-evaluation, task semi-supervised.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from segmeter.boundary import BoundaryFCounts, boundary_f_counts, boundary_f_score
from segmeter.evaluation._problem import PairError, Problem
from segmeter.evaluation.pairing import Pair, Pairing, pair_files
from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured
from segmeter.io import read_label_map
from segmeter.pixel import confusion_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

_STATISTICS = ("mean", "recall", "decay")
SCORE_NAMES = ("j_and_f_mean", *(f"{m}_{name}" for m in "jf" for name in _STATISTICS))
"""Names of the scores of a data set."""


@dataclass(frozen=True, slots=True)
class DavisCounts:
    """Counts of every frame, of some frames or of all.

    Attributes
    ----------
    sequences : tuple of str
        Names of all sequences of the data set.
    lengths : (S,) int64
        Frames of each that have an annotation.
    frame : (n, 2) int64
        Sequence of each frame counted here, and its place in it.
    region : (n, 2) int64
        Pixels of the object in both masks, and in either.
    outline : (n, 4) int64
        Fields of :class:`segmeter.BoundaryFCounts`.
    """

    sequences: tuple[str, ...]
    lengths: IntArray
    frame: IntArray
    region: IntArray
    outline: IntArray

    def __add__(self, other: DavisCounts) -> DavisCounts:
        """Counts of both sets of frames.

        Raises
        ------
        ValueError
            If they are of different sequences.
        """
        if self.sequences != other.sequences or not np.array_equal(self.lengths, other.lengths):
            raise ValueError("counts of different sequences cannot be added")
        return DavisCounts(
            self.sequences,
            self.lengths,
            np.concatenate([self.frame, other.frame]),
            np.concatenate([self.region, other.region]),
            np.concatenate([self.outline, other.outline]),
        )

    @property
    def j(self) -> FloatArray:
        """Region similarity of each frame, (n,); 1 where both masks are empty."""
        both, either = self.region.T
        return np.where(either == 0, 1.0, both / np.maximum(either, 1))

    @property
    def f(self) -> FloatArray:
        """Boundary accuracy of each frame, (n,); 1 where there is no outline in either mask."""
        return boundary_f_score(BoundaryFCounts(*self.outline.T), absent="one")

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Mean, recall and decay of J and of F for each sequence, and its frames that count."""
        sequence, place = self.frame.T
        inner = (place > 0) & (place < self.lengths[sequence] - 1)
        order = np.lexsort((place, sequence))
        order = order[inner[order]]
        groups = [order[sequence[order] == s] for s in range(len(self.sequences))]
        columns: dict[str, NDArray[Any]] = {}
        for name, values in (("j", self.j), ("f", self.f)):
            rows = np.array([_statistics(values[group]) for group in groups]).reshape(-1, 3)
            columns |= {f"{name}_{what}": rows[:, k] for k, what in enumerate(_STATISTICS)}
        columns["frames"] = np.array([len(group) for group in groups], np.int64)
        return columns

    def means(self) -> dict[str, FloatArray]:
        """Scores of the sequences, whose means are those of the data set."""
        columns = self.class_scores()
        both = (columns["j_mean"] + columns["f_mean"]) / 2
        return {"j_and_f_mean": both} | {name: columns[name] for name in SCORE_NAMES[1:]}

    def group_scores(self) -> dict[str, FloatArray]:
        """Nothing: there are no label groups."""
        return {}

    def official(self) -> dict[str, Any]:
        """Scores under the names of the toolkit's two tables."""
        columns = self.class_scores()
        names = {
            f"{m.upper()}-{what.capitalize()}": columns[f"{m}_{what}"].tolist()
            for m in "jf"
            for what in _STATISTICS
        }
        means = {name: float(np.mean(values)) for name, values in names.items()}
        joint = (means["J-Mean"] + means["F-Mean"]) / 2
        return {
            "global": {"J&F-Mean": joint} | means,
            "sequences": {
                name: {what: values[s] for what, values in names.items()}
                for s, name in enumerate(self.sequences)
            },
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return {
            "sequences": np.array(self.sequences, np.str_),
            "lengths": self.lengths,
            "frame": self.frame,
            "region": self.region,
            "outline": self.outline,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Counts from what :meth:`to_arrays` gave."""
        names = tuple(str(name) for name in arrays["sequences"])
        return cls(names, *(arrays[name] for name in ("lengths", "frame", "region", "outline")))


def _statistics(values: FloatArray) -> tuple[float, float, float]:
    """Mean, recall and decay of the frames of one sequence, in their order."""
    if not values.size:
        return (float("nan"),) * 3
    ends = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.int64)
    first, last = values[ends[0] : ends[1] + 1], values[ends[3] : ends[4] + 1]
    return float(values.mean()), float((values > 0.5).mean()), float(first.mean() - last.mean())


@dataclass(frozen=True, slots=True)
class DavisFolders:
    """Masks of the same sequences, predicted and true.

    Attributes
    ----------
    pairing : Pairing
    places : mapping of str to (int, int)
        Sequence and place in it of each true mask, by path.
    class_names : tuple of str
        The sequences.
    lengths : (S,) int64
    """

    pairing: Pairing
    places: Mapping[str, tuple[int, int]]
    class_names: tuple[str, ...]
    lengths: IntArray

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Masks of every frame."""
        return self.pairing.pairs

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Masks without a partner."""
        return self.pairing.problems()

    def measure(self, pair: Pair) -> Measured:
        """Compare two masks."""
        pred, target = (read_label_map(path).labels != 0 for path in (pair.pred, pair.target))
        if pred.shape != target.shape or pred.ndim != 2:
            raise PairError(
                "shape",
                pair.pred,
                f"{pair.pred} has the shape {pred.shape}, {pair.target} {target.shape}; "
                "frames are 2-D masks of one size",
            )
        matrix = confusion_matrix(pred, target, num_classes=2, threads=1)
        outline = boundary_f_counts(pred, target, preset="davis", threads=1)
        counts = DavisCounts(
            self.class_names,
            self.lengths,
            np.array([self.places[pair.target]], np.int64),
            np.array([[matrix[1, 1], matrix.sum() - matrix[0, 0]]], np.int64),
            np.stack(list(outline.to_arrays().values()), axis=1),
        )
        return Measured(counts, scores={"j": float(counts.j[0]), "f": float(counts.f[0])})


def open_folders(pred: str, target: str) -> DavisFolders:
    """Pair the masks of two folders; the folder that a true mask lies in is its sequence.

    Raises
    ------
    ValueError
        If a folder holds no masks, or two sequences have the same name.

    Examples
    --------
    >>> open_folders("no/results", "no/Annotations")
    Traceback (most recent call last):
    ...
    ValueError: ...
    """
    pairing = pair_files(pred, target)
    frames: dict[PurePath, list[str]] = defaultdict(list)
    for path in sorted([*(pair.target for pair in pairing.pairs), *pairing.only_target]):
        frames[PurePath(path).parent].append(path)
    folders = sorted(frames, key=lambda folder: (folder.name, folder))
    names = tuple(folder.name for folder in folders)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two folders of {target} are called {twice!r}: name sequences apart")
    places = {
        path: (s, place)
        for s, folder in enumerate(folders)
        for place, path in enumerate(frames[folder])
    }
    lengths = np.array([len(frames[folder]) for folder in folders], np.int64)
    return DavisFolders(pairing, places, names, lengths)


PROTOCOL = EvaluationProtocol(
    name="davis2016",
    summary="DAVIS 2016: masks of video sequences, region similarity J and boundary accuracy F,"
    " without the first and last frame of each",
    source="Perazzi et al. (CVPR 2016); davis2017-evaluation, semi-supervised",
    class_names=(),
    dataset=open_folders,
    pixels=False,
    score_names=SCORE_NAMES,
)
