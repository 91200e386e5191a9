"""A validated confusion matrix, the sums that every score is made of, and the rules for 0 / 0."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray: TypeAlias = NDArray[np.float64]
Score: TypeAlias = "np.float64 | NDArray[np.float64]"
"""A scalar for one matrix, an array of the leading shape for a batch of matrices."""

Absent = Literal["nan", "zero", "one", "raise"]
"""What an undefined score becomes; see :func:`segmeter.iou`."""

Present = Literal["any", "target"]
"""Which maps a class may occur in to count as present; see :func:`segmeter.iou`."""

_FILL = {"nan": np.nan, "zero": 0.0, "one": 1.0}

# The largest total whose square still fits into int64 with a bit to spare for a difference.
_INT64_SAFE_SQUARE = 2.0**31


class HasMatrix(Protocol):
    """Anything that carries a confusion matrix, such as :class:`segmeter.ConfusionMatrix`."""

    @property
    def matrix(self) -> NDArray[Any]:
        """The matrix, ``(..., C, C)`` or ``(..., C, C + 1)``."""


MatrixLike: TypeAlias = ArrayLike | HasMatrix


class Counts:
    """Confusion matrices, rows = target, columns = pred (and a last column for void, if wide).

    Holds int64 when all sums fit, else Python integers (dtype object), or float64 for weighted
    counts. No sum here is formed by subtraction, so nothing cancels and a sum is zero exactly when
    all its terms are.

    Examples
    --------
    >>> counts = Counts.of([[6, 2], [1, 3]])
    >>> counts.false_positives, counts.true_negatives
    (array([1, 2]), array([3, 6]))
    """

    def __init__(self, matrix: NDArray[Any]) -> None:
        self.matrix = matrix
        self.num_classes: int = matrix.shape[-2]

    @classmethod
    def of(cls, matrix: MatrixLike) -> Counts:
        """Validate `matrix`; a ``Counts`` passes through, so that many scores share its sums."""
        return matrix if isinstance(matrix, Counts) else cls(_validated(matrix))

    @property
    def is_weighted(self) -> bool:
        """Whether the counts are sums of float64 weights."""
        return self.matrix.dtype == np.float64

    @cached_property
    def target(self) -> NDArray[Any]:
        """Target pixels per class, ``(..., C)``."""
        return np.asarray(self.matrix.sum(axis=-1))

    @cached_property
    def columns(self) -> NDArray[Any]:
        """Predicted pixels per column, ``(..., C)`` or with void ``(..., C + 1)``."""
        return np.asarray(self.matrix.sum(axis=-2))

    @cached_property
    def total(self) -> NDArray[Any]:
        """Counted pixels, ``(...)``."""
        return np.asarray(self.target.sum(axis=-1))

    @cached_property
    def true_positives(self) -> NDArray[Any]:
        """Pixels of the class in both maps, ``(..., C)``."""
        return np.diagonal(self.matrix, axis1=-2, axis2=-1).copy()

    @cached_property
    def _errors(self) -> NDArray[Any]:
        errors = self.matrix.copy()
        diagonal = np.arange(self.num_classes)
        errors[..., diagonal, diagonal] = 0
        return errors

    @cached_property
    def false_negatives(self) -> NDArray[Any]:
        """Target pixels of the class predicted as something else, void included, ``(..., C)``."""
        return np.asarray(self._errors.sum(axis=-1))

    @cached_property
    def false_positives(self) -> NDArray[Any]:
        """Pixels predicted as the class that are another class, ``(..., C)``."""
        return np.asarray(self._errors[..., : self.num_classes].sum(axis=-2))

    @cached_property
    def true_negatives(self) -> NDArray[Any]:
        """Pixels that are the class in neither map, ``(..., C)``."""
        elsewhere = sum_of_others(self.matrix)[..., : self.num_classes]
        diagonal = np.arange(self.num_classes)
        elsewhere[..., diagonal, diagonal] = 0
        return np.asarray(elsewhere.sum(axis=-2))

    @cached_property
    def fractions(self) -> FloatArray:
        """The matrix divided by its total; zeros where the total is 0."""
        return ratio(self.matrix, self.total[..., None, None])

    @cached_property
    def determinants(self) -> NDArray[Any]:
        """``TP * TN - FP * FN`` per class, exact for integer counts, ``(..., C)``."""
        c = self.for_products
        return np.asarray(
            c.true_positives * c.true_negatives - c.false_positives * c.false_negatives
        )

    @cached_property
    def for_products(self) -> Counts:
        """The same counts in a type that holds products of two sums exactly.

        Weighted counts are divided by their total instead, against overflow; scores do not change.
        """
        if self.is_weighted:
            return Counts(self.fractions)
        if self.matrix.dtype == object or np.max(self.total, initial=0) < _INT64_SAFE_SQUARE:
            return self
        return Counts(self.matrix.astype(object))

    def over_images(self) -> Counts:
        """The sum over the first axis."""
        matrix = self.matrix
        if matrix.dtype == np.int64 and not _fits_int64(float(self.total.sum(dtype=np.float64))):
            matrix = matrix.astype(object)
        return Counts.of(matrix.sum(axis=0))

    def absent(self, present: Present = "any") -> NDArray[np.bool_]:
        """Classes without a pixel in either map (``"any"``) or in the target (``"target"``)."""
        return _without_pixels(
            self.true_positives, self.false_negatives, self.false_positives, present
        )

    def filling(self, present: Present = "any") -> NDArray[np.bool_]:
        """Classes whose complement is absent: no pixel lies outside of them."""
        # Seen from the complement, false positives are misses and false negatives false alarms.
        return _without_pixels(
            self.true_negatives, self.false_positives, self.false_negatives, present
        )


def _without_pixels(
    hits: NDArray[Any], misses: NDArray[Any], false_alarms: NDArray[Any], present: Present
) -> NDArray[np.bool_]:
    check_choice("present", present, get_args(Present))
    empty = (hits == 0) & (misses == 0)
    if present == "any":
        empty &= false_alarms == 0
    return np.asarray(empty, dtype=bool)


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> FloatArray:
    """``numerator / denominator`` in float64, 0 where the denominator is 0."""
    # Arithmetic on object arrays without axes gives bare Python integers.
    numerator, denominator = np.asarray(numerator), np.asarray(denominator)
    zero = np.asarray(denominator == 0, dtype=bool)
    return np.asarray(numerator / np.where(zero, 1, denominator), dtype=np.float64)


def sum_of_others(values: NDArray[Any]) -> NDArray[Any]:
    """Along the last axis: for each element the sum of all others, by additions only."""
    others = np.zeros_like(values)
    others[..., 1:] = np.cumsum(values[..., :-1], axis=-1)
    others[..., :-1] += np.cumsum(values[..., :0:-1], axis=-1)[..., ::-1]
    return others


def resolve(
    values: FloatArray, undefined: NDArray[np.bool_], absent: Absent, what: str
) -> FloatArray:
    """Replace undefined scores by what `absent` asks for."""
    check_choice("absent", absent, get_args(Absent))
    if absent == "raise":
        if undefined.any():
            first = [int(k) for k in np.argwhere(undefined)[0]]
            raise ValueError(
                f"{what} is undefined for lack of pixels (first at index {first}), which "
                'absent="raise" forbids; pass absent="nan", "zero" or "one", or leave the class out'
            )
        return values
    return np.where(undefined, _FILL[absent], values)


def class_indices(
    classes: Sequence[int] | None, num_classes: int, name: str = "classes"
) -> NDArray[np.intp]:
    """Indices of the selected classes; all of them for None. `name` is the argument's in errors."""
    if classes is None:
        return np.arange(num_classes)
    try:
        indices = np.asarray(classes)
    except ValueError:  # lists of different lengths
        indices = np.empty(0)
    if indices.ndim != 1 or indices.size == 0 or indices.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be a non-empty sequence of class indices, got {shown(classes)}"
        )
    if indices.min() < 0 or indices.max() >= num_classes:
        raise ValueError(f"{name} must lie in 0..{num_classes - 1}, got {classes!r}")
    if len(np.unique(indices)) != len(indices):
        raise ValueError(f"{name} must name every class once, got {classes!r}")
    return indices.astype(np.intp)


def checked_names(class_names: Sequence[str] | None, num_classes: int) -> tuple[str, ...]:
    """One name for each class; the indices for None."""
    if class_names is None:
        return tuple(map(str, range(num_classes)))
    if isinstance(class_names, str) or not isinstance(class_names, Iterable):
        raise TypeError(f"class_names must be a sequence of names, got {shown(class_names)}")
    names = tuple(map(str, class_names))
    if len(names) != num_classes:
        raise ValueError(f"class_names must name all {num_classes} classes, got {len(names)} names")
    return names


def nan_mean(values: FloatArray) -> FloatArray:
    """Mean over the last axis without its NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    sums = np.where(defined, values, 0.0).sum(axis=-1)
    number = defined.sum(axis=-1)
    return np.where(number > 0, sums / np.maximum(number, 1), np.nan)


def exported(values: NDArray[Any]) -> NDArray[Any]:
    """Counts for the caller: int64 if they fit, else as they are."""
    if values.dtype == object:
        try:
            return np.asarray(values, dtype=np.int64)
        except OverflowError:
            pass
    return values.copy()


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse an option that is not one of `choices`."""
    # Anything but text could be an array, which has no truth value.
    if not isinstance(value, str | None) or value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(map(repr, choices))}, got {shown(value)}"
        )


def _validated(matrix: MatrixLike) -> NDArray[Any]:
    try:
        array = np.asarray(getattr(matrix, "matrix", matrix))
    except ValueError:
        raise ValueError("matrix must have rows of one length, got a ragged list") from None
    if array.ndim < 2 or array.shape[-2] < 1 or array.shape[-1] - array.shape[-2] not in (0, 1):
        is_metric = callable(getattr(matrix, "counts", None))  # of segmeter.torch
        way_out = "confusion_matrix(pred, target, num_classes=...) makes one of label maps"
        raise ValueError(
            "matrix must end in two axes (C, C), or (C, C + 1) with a void column, C >= 1; "
            f"got shape {array.shape}; {'pass its counts()' if is_metric else way_out}"
        )
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
        _check_entries(~np.isfinite(array), array, "must hold finite counts")
    elif array.dtype.kind not in "iu" and not _holds_integers(array):
        raise TypeError(f"matrix must hold integer or float counts, got dtype {array.dtype}")
    _check_entries(np.asarray(array < 0, dtype=bool), array, "must not hold negative counts")
    if array.dtype == np.float64:
        return array
    totals = array.astype(np.float64).sum(axis=(-2, -1))
    return array.astype(np.int64 if _fits_int64(np.max(totals, initial=0)) else object)


def _fits_int64(total: float) -> bool:
    """Whether integers of this float64 sum can be added in int64; with a margin for rounding."""
    return total < 2.0**63 * (1 - 1e-6)


def _holds_integers(array: NDArray[Any]) -> bool:
    return array.dtype == object and all(type(value) is int for value in array.flat)


def _check_entries(wrong: NDArray[np.bool_], array: NDArray[Any], rule: str) -> None:
    if wrong.any():
        position = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(f"matrix {rule}, got {array[position]!s} at index {position}")
