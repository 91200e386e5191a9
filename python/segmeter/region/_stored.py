"""Reading back what ``to_arrays`` gave: from a file or a message, so from anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray


def required(
    arrays: Mapping[str, ArrayLike], names: Iterable[str], owner: str
) -> dict[str, NDArray[Any]]:
    """The named arrays; a ValueError that names the missing ones."""
    names = tuple(names)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(
            f"arrays of {owner} must hold {', '.join(names)}; {', '.join(missing)} missing"
        )
    return {name: np.asarray(arrays[name]) for name in names}


def whole_numbers(value: Any, dtype: Any, name: str) -> NDArray[Any]:
    """A one-dimensional array of an integer type, whose values it must hold."""
    array = np.asarray(value)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise ValueError(f"{name} must be one axis of integers, got {array.dtype} {array.shape}")
    limits = np.iinfo(dtype)
    if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
        raise ValueError(f"{name} holds numbers outside {np.dtype(dtype)}")
    return np.ascontiguousarray(array, dtype)


def whole_number(value: Any, name: str) -> int:
    """A stored integer."""
    array = np.asarray(value)
    if array.size != 1 or array.ndim > 1:
        raise ValueError(f"{name} must be one integer, got {array.dtype} {array.shape}")
    return int(whole_numbers(array.reshape(1), np.int64, name)[0])


def natural_numbers(value: Any, name: str) -> NDArray[np.int64]:
    """A one-dimensional array of numbers from 0."""
    numbers = whole_numbers(value, np.int64, name)
    if (numbers < 0).any():
        raise ValueError(f"{name} must not hold negative numbers")
    return numbers


def positions(value: Any, size: int, name: str) -> NDArray[np.int64]:
    """A one-dimensional array of positions in something of this size."""
    numbers = whole_numbers(value, np.int64, name)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < size:
        raise ValueError(f"{name} names what does not exist: positions are 0 to {size - 1}")
    return numbers


def typed(arrays: Mapping[str, NDArray[Any]], types: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Each array in its type, integers exactly."""
    return {
        name: whole_numbers(arrays[name], dtype, name)
        if np.dtype(dtype).kind == "i"
        else np.asarray(arrays[name], dtype)
        for name, dtype in types.items()
    }


def require_equal_lengths(columns: Mapping[str, NDArray[Any]]) -> None:
    """One axis and one length for all columns."""
    shapes = {name: column.shape for name, column in columns.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"columns of one table differ in length: {shapes}")
