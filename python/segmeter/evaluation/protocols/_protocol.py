"""What a protocol is: the labels, classes, groups and file names of a benchmark, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from typing import Protocol as Interface

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray


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

    def class_scores(self) -> dict[str, NDArray[np.float64]]:
        """Further columns of the class table, one number per class."""
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
    """

    counts: ProtocolCounts
    warning: str | None = None


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
        ``measure(pred_labels, target_labels, target_path)`` for counts beyond the matrix.
    scores : callable, optional
        Further data set scores from the confusion matrix.
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
    measure: Callable[[NDArray[Any], NDArray[Any], str], Measured] | None = None
    scores: Callable[[NDArray[np.int64]], dict[str, float]] | None = None
