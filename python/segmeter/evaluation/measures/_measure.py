"""What a measure is, and the maps it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self
from typing import Protocol as Interface

import numpy as np

from segmeter.pixel._matrix import VOID, meanings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segmeter.evaluation.plan import Plan

BACKGROUND = "background"
"""Name of a class that has no regions and no surface of its own."""

_DIRECT = 1 << 16  # values that a table can be indexed with
_PIECE = 1 << 16  # pixels translated at once
_LEFT_OUT = -2  # what a label means whose pixels do not count


@dataclass(frozen=True, slots=True)
class Maps:
    """A pair of label maps as the measures see them.

    Attributes
    ----------
    pred, target : ndarray of int
        Class of every pixel; ``num_classes`` where there is none: void, or ignored in the target.
        Under a plan of instances: the ids as they stand in the files.
    ignored : ndarray of bool, or None
        Pixels that do not count.
    spacing : tuple of float, or None
        One number per axis, where the plan or a file says it.
    threads : int
    drawing : Path, or None
        Where a measure that can draw puts a picture of this pair: a path without suffix.
    """

    pred: NDArray[Any]
    target: NDArray[Any]
    ignored: NDArray[np.bool_] | None
    spacing: tuple[float, ...] | None
    threads: int
    drawing: Path | None = None


class MeasureCounts(Interface):
    """Counts of a measure, of one image or of many; they add up.

    Attributes
    ----------
    not_printed : tuple of str
        Tables of :meth:`tables` that are for files alone.
    """

    not_printed: ClassVar[tuple[str, ...]]

    def __add__(self, other: Self, /) -> Self:
        """Counts of both sets of images."""
        ...

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Data set scores: the values each is the mean of."""
        ...

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of classes, one number per class."""
        ...

    def group_scores(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of label groups, if the measure knows them."""
        ...

    def case_scores(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of images and classes, if these are the counts of one image.

        One number per class, then per label group where :meth:`group_scores` has any.
        """
        ...

    def image_scores(self) -> dict[str, float]:
        """Columns of the table of images, if these are the counts of one image."""
        ...

    def over(self) -> dict[str, dict[str, int]]:
        """More of what :meth:`means` are over and leave out, by the name of the mean."""
        ...

    def shown(self) -> Mapping[str, Mapping[str, str]]:
        """Columns of the tables of classes and groups that are printed, and how they are called.

        One printed table for each heading.
        """
        ...

    def remarks(self) -> Iterator[str]:
        """What a person must know to read the numbers, one line each."""
        ...

    def tables(self) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Further tables by name, as columns."""
        ...

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send."""
        ...


class PlainCounts:
    """What most measures have nothing special to say about."""

    __slots__ = ()

    not_printed: ClassVar[tuple[str, ...]] = ()

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Columns of the table of classes, one number per class."""
        raise NotImplementedError

    def group_scores(self) -> dict[str, NDArray[Any]]:
        """Nothing: label groups are not measured."""
        return {}

    def case_scores(self) -> dict[str, NDArray[Any]]:
        """The columns of the table of classes."""
        return self.class_scores()

    def over(self) -> dict[str, dict[str, int]]:
        """Nothing more."""
        return {}

    def remarks(self) -> Iterator[str]:
        """None."""
        return iter(())

    def tables(self) -> dict[str, Mapping[str, NDArray[Any]]]:
        """No further ones."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One way of looking at a pair of label maps.

    Attributes
    ----------
    name : str
    count : callable
        ``count(maps, plan)`` gives the counts of an image; ValueError for data that it cannot take.
    empty : callable
        ``empty(plan)`` gives the counts of no image.
    sentences : callable
        ``sentences(plan)`` says in words how it counts.
    by_instance : bool
        Whether it is given ids, not classes, under a plan of instances.
    """

    name: str
    count: Callable[[Maps, Plan], MeasureCounts]
    empty: Callable[[Plan], MeasureCounts]
    sentences: Callable[[Plan], Iterator[str]]
    by_instance: bool = False


def checked_spacing(maps: Maps, plan: Plan) -> tuple[float, ...] | None:
    """Spacing for what is measured along and across outlines; None: images without one.

    Raises
    ------
    ValueError
        If there is none for a volume, or it has another number of axes.
    """
    spacing, axes = maps.spacing, maps.target.ndim
    if spacing is None and plan.spacing == "auto" and axes == 3:
        raise ValueError(
            "no file says the spacing of this volume: give it with spacing=, or spacing='pixel' to "
            "measure in voxels"
        )
    if spacing is not None and len(spacing) != axes:
        raise ValueError(
            f"spacing has {len(spacing)} numbers, the image {axes} axes: give one for each axis"
        )
    return spacing


def band_sentence(ratio: float) -> str:
    """How objects are compared by Boundary IoU, in words.

    Examples
    --------
    >>> band_sentence(0.02)
    'Boundary IoU of objects: the smaller of their IoU and that of their bands, as wide as 2 % ...'
    """
    return (
        "Boundary IoU of objects: the smaller of their IoU and that of their bands, as wide as "
        f"{100 * ratio:g} % of the image diagonal"
    )


def class_maps(
    pred: NDArray[Any], target: NDArray[Any], plan: Plan
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    """Class of every pixel on both sides, and the ignored pixels, by the rules of a plan.

    The same rules as those of :func:`segmeter.confusion_matrix`, which has found no label out of
    range.

    Parameters
    ----------
    pred, target : ndarray
        Labels as they stand in the files.
    plan : Plan

    Returns
    -------
    tuple (ndarray, ndarray, ndarray of bool or None)
        ``num_classes`` stands for no class; None where no pixel is ignored.

    Examples
    --------
    >>> from segmeter.evaluation import make_plan
    >>> plan = make_plan(num_classes=2, ignore_index=255)
    >>> class_maps(np.array([0, 1, 1]), np.array([1, 1, 255]), plan)
    (array([0, 1, 1], dtype=uint8), array([1, 1, 2], dtype=uint8), array([False, False,  True]))
    """
    labels, pred_labels = plan.kernel_tables()
    ignored: NDArray[np.bool_] | None = None
    own = plan.ignore_index
    if plan.binary:
        ignored = np.isin(target, own) if own else None
        target, own = target != 0, ()
    if plan.threshold is not None:
        pred = pred > plan.threshold
    elif plan.binary:
        pred = pred != 0
    of_pred, of_target, _ = meanings_of(
        plan.num_classes, own, labels, pred_labels, plan.reduce_zero_label
    )
    none = plan.num_classes
    meanings = {VOID: none, _LEFT_OUT: none + 1}
    dtype = np.uint8 if none + 1 < 256 else np.uint32
    unknown = _LEFT_OUT if plan.out_of_range == "ignore" else VOID

    def pred_class(label: int) -> int:
        role = of_pred.get(label, unknown)
        return meanings.get(role, role)

    def target_class(label: int) -> int:
        role = of_target.get(label, _LEFT_OUT)
        return none + 1 if role < 0 else role

    pred_classes = _translated(pred, pred_class, dtype)
    target_classes = _translated(target, target_class, dtype)
    left_out = target_classes == none + 1
    left_out |= pred_classes == none + 1
    if ignored is not None:
        left_out |= ignored
    if not left_out.any():
        return pred_classes, target_classes, None
    pred_classes[pred_classes == none + 1] = none
    target_classes[left_out] = none
    return pred_classes, target_classes, left_out


def _translated(
    labels: NDArray[Any], meaning: Callable[[int], int], dtype: type[np.unsignedinteger[Any]]
) -> NDArray[Any]:
    """What each label means, by a table; a piece at a time, as an index of NumPy is int64."""
    if labels.size == 0:
        return np.zeros(labels.shape, dtype)
    if labels.flags.f_contiguous and not labels.flags.c_contiguous:
        return _translated(labels.T, meaning, dtype).T
    if labels.dtype == np.bool_:
        labels = labels.view(np.uint8)
    low, high = int(labels.min()), int(labels.max())
    if high - low >= _DIRECT:  # labels far apart
        values, place = np.unique(labels, return_inverse=True)
        table = np.array([meaning(int(value)) for value in values], dtype)
        far: NDArray[Any] = table[place].reshape(labels.shape)
        return far
    table = np.array([meaning(label) for label in range(low, high + 1)], dtype)
    if low >= 0 and np.array_equal(table, np.arange(low, high + 1)):
        same: NDArray[Any] = labels.astype(dtype)
        return same
    classes, flat = np.empty(labels.size, dtype), labels.ravel()
    for first in range(0, labels.size, _PIECE):
        piece = flat[first : first + _PIECE]
        signed = piece.astype(np.int64) if piece.dtype.kind == "i" else piece
        classes[first : first + _PIECE] = table[signed - signed.dtype.type(low)]
    return classes.reshape(labels.shape)
