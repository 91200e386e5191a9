"""Options that several functions of the boundary family share, validated once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arrays import as_array, real_number

# Squares of distances are sums of squares of multiples of a step.
SMALLEST_STEP, LARGEST_STEP = 1e-100, 1e100


def spacing_of(spacing: Any, ndim: int) -> tuple[float, ...]:
    """One finite distance above 0 for each axis; ones if none are given.

    Examples
    --------
    >>> spacing_of(None, 2), spacing_of([2, 0.5, 0.5], 3)
    ((1.0, 1.0), (2.0, 0.5, 0.5))
    """
    if spacing is None:
        return (1.0,) * ndim
    if isinstance(spacing, str) or not isinstance(spacing, Sequence | np.ndarray):
        raise TypeError(f"spacing must hold one number per axis, got {spacing!r}")
    if len(spacing) != ndim:
        raise ValueError(
            f"spacing must hold one number per axis of the maps, {ndim} of them, got {len(spacing)}"
        )
    return tuple(_step(step) for step in spacing)


def _step(value: Any) -> float:
    step = real_number(value, "spacing")
    if not (math.isfinite(step) and SMALLEST_STEP < step < LARGEST_STEP):
        raise ValueError(
            f"spacing must hold finite numbers above 0, between {SMALLEST_STEP:g} and "
            f"{LARGEST_STEP:g}, got {value!r}"
        )
    return step


def label_map_pair(pred: Any, target: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Both maps as arrays of integers or bools that fit together, 2-D or 3-D."""
    arrays = as_array(pred, "pred"), as_array(target, "target")
    for array, name in zip(arrays, ("pred", "target"), strict=True):
        if array.dtype.kind not in "biu":
            raise TypeError(
                f"{name} must hold integers or bools, got {array.dtype}; round or cast labels, "
                "and cut scores at a threshold"
            )
    if arrays[0].shape != arrays[1].shape:
        raise ValueError(
            f"pred and target must have the same shape, got {arrays[0].shape} and {arrays[1].shape}"
        )
    if arrays[1].ndim not in (2, 3):
        raise ValueError(
            f"label maps must be 2-D or 3-D, got shape {arrays[1].shape}; measure the images of a "
            "batch one by one"
        )
    return arrays


def one_of(value: Any, name: str, choices: Sequence[str]) -> None:
    """Refuse what is not one of the names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")


def positive_number(value: Any, name: str) -> float:
    """Refuse what is not a finite number above 0.

    Examples
    --------
    >>> positive_number(2, "width")
    2.0
    """
    number = real_number(value, name)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    return number
