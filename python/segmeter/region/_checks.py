"""Options that several scores of the region family share, validated once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ._overlap import OverlapTable


def class_count(num_classes: Any) -> int:
    """Refuse a number of classes that is not an integer of at least 1."""
    is_integer = isinstance(num_classes, int | np.integer) and not isinstance(num_classes, bool)
    if not is_integer or num_classes < 1:
        raise ValueError(f"num_classes must be an integer of at least 1, got {num_classes!r}")
    return int(num_classes)


def unit_fraction(value: Any, name: str) -> float:
    """Refuse a threshold or a weight outside of 0 to 1."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")
    return float(value)


def unit_fractions(values: float | Iterable[Any], name: str) -> NDArray[np.float64]:
    """A non-empty 1-D array of numbers from 0 to 1."""
    numbers = [values] if isinstance(values, int | float | np.number) else list(values)
    array = np.array([unit_fraction(value, name) for value in numbers], dtype=np.float64)
    if not array.size:
        raise ValueError(f"{name} must hold at least one number, got none")
    return array


def positive_number(value: Any, name: str) -> float:
    """Refuse what is not a finite number above 0."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)


def region_classes(
    table: OverlapTable, num_classes: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Class of every predicted and target region, all 0 if `num_classes` is None; their number."""
    if num_classes is None:
        return np.zeros_like(table.pred_area), np.zeros_like(table.target_area), 1
    number = class_count(num_classes)
    for side, classes, ids in (
        ("pred", table.pred_class, table.pred_id),
        ("target", table.target_class, table.target_id),
    ):
        if classes.size and not 0 <= classes.min() <= classes.max() < number:
            wrong = np.flatnonzero((classes < 0) | (classes >= number))
            raise ValueError(
                f"{side} region {ids[wrong[0]]} has class {classes[wrong[0]]}, outside "
                f"0..{number - 1} (num_classes={number}); {wrong.size} such region(s)"
            )
    return table.pred_class, table.target_class, number


def counted(classes: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """How many regions each class has."""
    return np.bincount(classes, minlength=number).astype(np.int64)


def summed(
    values: NDArray[np.float64], classes: NDArray[np.int64], number: int
) -> NDArray[np.float64]:
    """Sum of float64 values per class, in the order they come."""
    return np.bincount(classes, weights=values, minlength=number).astype(np.float64)


def mostly(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether more than half of each area is in the part, in integers."""
    return 2 * part > whole
