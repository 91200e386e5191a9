"""Pixels of each class by cause: small exact counts that add up."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Self

import numpy as np

from .._counts import Summable, equal_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]


class Cause(IntEnum):
    """Why a pixel is wrong for one of its two classes: the values of the map of causes.

    Examples
    --------
    >>> Cause(2).name
    'EXTENT'
    """

    NONE = 0
    """The pixel is right, or has no class on this side (a void prediction)."""
    BOUNDARY = 1
    """Near the true outline of the class."""
    EXTENT = 2
    """Elsewhere in a segment that is partly right."""
    SEGMENT = 3
    """In a segment that is wholly wrong."""
    IGNORED = 4
    """Left out by ``ignore_index``, or by ``out_of_range="ignore"``."""


class CauseKind(IntEnum):
    """What a pixel is for one class: the values of the map of one class.

    The order is that of the fields of :class:`CauseCounts`.

    Examples
    --------
    >>> CauseKind.FN_BOUNDARY.value
    3
    """

    TP = 0
    TN = 1
    FP_BOUNDARY = 2
    FN_BOUNDARY = 3
    FP_EXTENT = 4
    FN_EXTENT = 5
    FP_SEGMENT = 6
    FN_SEGMENT = 7
    IGNORED = 8


class PerClassCounts(Summable):
    """Dataclass of integer arrays, each with a row for every class, that add up over images."""

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        for name in mine:
            if mine[name].shape != theirs[name].shape:
                raise ValueError(
                    "only counts of the same classes can be added, got "
                    f"{len(mine[name])} and {len(theirs[name])} classes"
                )
        return type(self)(**{name: mine[name] + theirs[name] for name in mine})

    def __eq__(self, other: object) -> bool:
        return equal_arrays(self, other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def to_arrays(self) -> dict[str, IntArray]:
        """Counts as plain arrays, for a file or a message; ``from_arrays`` takes them back.

        Examples
        --------
        >>> import segmeter
        >>> counts = segmeter.error_causes([[0, 1]], [[0, 0]], num_classes=2)
        >>> segmeter.CauseCounts.from_arrays(counts.to_arrays()) == counts
        True
        """
        return {field.name: getattr(self, field.name).copy() for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class CauseCounts(PerClassCounts):
    """Pixels of each class by cause; what :func:`segmeter.error_causes` returns.

    Every array is int64 of shape ``(C,)``. For each class the nine of them add up to all pixels.
    Counts of several images add up.

    Attributes
    ----------
    tp, tn : numpy.ndarray
        Pixels that are the class in both maps, and in neither.
    fp_boundary, fp_extent, fp_segment : numpy.ndarray
        Pixels predicted as the class that are something else, by cause.
    fn_boundary, fn_extent, fn_segment : numpy.ndarray
        Pixels of the class that are predicted as something else, by cause.
    ignored : numpy.ndarray
        Pixels left out, the same number for every class.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.error_causes([[0, 1, 1]], [[0, 0, 1]], num_classes=2, width_pixels=1)
    >>> (counts + counts).fn_boundary
    array([2, 0])
    """

    tp: IntArray
    tn: IntArray
    fp_boundary: IntArray
    fn_boundary: IntArray
    fp_extent: IntArray
    fn_extent: IntArray
    fp_segment: IntArray
    fn_segment: IntArray
    ignored: IntArray

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.tp)

    @property
    def fp(self) -> IntArray:
        """False positives of each class, whatever the cause."""
        return self.fp_boundary + self.fp_extent + self.fp_segment

    @property
    def fn(self) -> IntArray:
        """False negatives of each class, whatever the cause."""
        return self.fn_boundary + self.fn_extent + self.fn_segment

    @property
    def union(self) -> IntArray:
        """Pixels that are the class in either map."""
        return self.tp + self.fp + self.fn

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Counts from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            If an array is missing, of another length, or holds no counts.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"arrays lacks {', '.join(missing)}")
        counts = {name: np.asarray(arrays[name]) for name in names}
        shape = counts["tp"].shape
        for name, array in counts.items():
            if array.dtype.kind not in "iu" or array.ndim != 1 or array.shape != shape:
                raise ValueError(
                    f"{name} must hold one whole number per class, got shape {array.shape} of "
                    f"{array.dtype}"
                )
            if (array < 0).any():
                raise ValueError(f"{name} must not hold negative counts")
        return cls(**{name: array.astype(np.int64) for name, array in counts.items()})
