"""What a protocol is: the labels, classes, groups and file names of a benchmark, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from typing import Protocol as Interface

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from segmeter.evaluation._problem import Problem
    from segmeter.evaluation.pairing import Pair

Spacing: TypeAlias = "tuple[float, ...] | None"


class ProtocolCounts(Interface):
    """Counts of a benchmark beyond the confusion matrix, of one image or of many.

    They add up, and everything the benchmark reports follows from the sum.
    """

    def __add__(self, other: Self, /) -> Self:
        """Counts of both sets of images."""
        ...

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Data set scores to show beside the usual ones: the values each is the mean of."""
        ...

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Further columns of the class table, one score or count per class."""
        ...

    def group_scores(self) -> dict[str, NDArray[np.float64]]:
        """Further columns of the table of label groups."""
        ...

    def official(self) -> dict[str, Any]:
        """Result in the layout the benchmark's own tool writes."""
        ...

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What a protocol's own measurement of one pair gives.

    Attributes
    ----------
    counts : ProtocolCounts
    warning : str or None
        What was missing, in one line.
    scores : mapping of str to float
        Scores of this pair alone, for the table of images; the same names for every pair.
    """

    counts: ProtocolCounts
    warning: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


class ProtocolDataset(Interface):
    """Predictions and targets of a benchmark that come as whole data sets, such as JSON files."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that have scores, in the order of ``class_scores``."""
        ...

    @property
    def pairs(self) -> Sequence[Pair]:
        """What is measured, one by one: usually one pair per image, with a unique id each."""
        ...

    @property
    def problems(self) -> Sequence[Problem]:
        """What is wrong with the data set as a whole, such as images without a prediction."""
        ...

    def measure(self, pair: Pair, /) -> Measured:
        """Measure one of the pairs; called from several threads at once.

        ``PairError``, ``ReadError`` and ``ValueError`` make the pair a problem.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationProtocol:
    """Rules of one benchmark.

    Attributes
    ----------
    name : str
    summary : str
        One line for people.
    source : str
        Where the rules are written down.
    class_names : tuple of str
    labels : mapping of int to int or None, optional
        Label in the files to class index, None: ignored. Default: label k is class k.
    ignore_index : tuple of int
        Target labels that do not count.
    binary : bool
        Every label but 0 is class 1, on both sides.
    label_groups : mapping of str to tuple of int
        Named unions of classes, by class index.
    pred_pattern, target_pattern : str, optional
        Which files belong to the benchmark, and what in their names makes a pair.
    measure : callable, optional
        ``measure(pred_labels, target_labels, target_path, spacing)`` for counts beyond the
        matrix; ``spacing`` is one number per array axis, or None where no file says it.
    dataset : callable, optional
        ``dataset(pred, target)`` for benchmarks whose files (named by two paths) are read as a
        whole. Instead of ``measure``; ``class_names`` are those of the data set, and ``pixels``
        is False.
    takes_boundary_ratio : bool
        Whether ``dataset`` takes ``boundary_ratio``, a float or None. With a float it also measures
        by Boundary IoU, and gives each of ``score_names`` once more as ``boundary_...``.
    pixels : bool
        Whether a confusion matrix is counted, with everything that follows from it.
    uses_spacing : bool
        Whether ``measure`` depends on the spacing.
    scores : callable, optional
        Further data set scores from the confusion matrix.
    score_names : tuple of str
        Names of the means its own counts have, known before anything is counted.
    """

    name: str
    summary: str
    source: str
    class_names: tuple[str, ...]
    labels: Mapping[int, int | None] | None = None
    ignore_index: tuple[int, ...] = ()
    binary: bool = False
    label_groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    pred_pattern: str | None = None
    target_pattern: str | None = None
    measure: Callable[[NDArray[Any], NDArray[Any], str, Spacing], Measured] | None = None
    dataset: Callable[..., ProtocolDataset] | None = None
    takes_boundary_ratio: bool = False
    pixels: bool = True
    uses_spacing: bool = False
    scores: Callable[[NDArray[np.int64]], dict[str, float]] | None = None
    score_names: tuple[str, ...] = ()

    def names_of_scores(self, boundary_ratio: float | None) -> tuple[str, ...]:
        """Names of the means its own counts have, under a plan with this ``boundary_ratio``.

        Examples
        --------
        >>> from segmeter.evaluation import protocols
        >>> protocols.get("coco-panoptic").names_of_scores(0.02)[-1]
        'boundary_rq_stuff'
        """
        by_bands = () if boundary_ratio is None else self.score_names
        return (*self.score_names, *(f"boundary_{name}" for name in by_bands))
