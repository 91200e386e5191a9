"""Anybody's memory as NumPy arrays, without a copy, or one clear error."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_THREADS = 1024
_SHOWN = 60  # letters of an argument in an error


def as_array(value: Any, name: str) -> NDArray[Any]:
    """NumPy view of an array, tensor or nested sequence.

    Takes what offers its CPU memory (``__array__``, ``__array_interface__``, the buffer protocol
    or DLPack: torch, JAX, TensorFlow) without copying; tensors that require gradients are
    detached.

    Parameters
    ----------
    value : array_like
        The array, tensor, number or nested sequence of numbers.
    name : str
        Name of the argument for the error message.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    ValueError
        If ``value`` is a nested list with rows of different lengths.
    TypeError
        If ``value`` offers no CPU memory that NumPy can read.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must not be a masked array: pass its .data, and its .mask as ignore_index"
        )
    if getattr(value, "requires_grad", False):
        value = value.detach()
    try:
        array = np.asarray(value)
        if array.dtype == object and hasattr(value, "__dlpack__"):
            array = np.from_dlpack(value)
    except Exception as error:
        if isinstance(value, list | tuple) and "inhomogeneous" in str(error):
            raise ValueError(
                f"{name} is a ragged nested list: rows of one map must be equally long; maps of "
                "different sizes are passed as a list of arrays"
            ) from None
        raise TypeError(
            f"{name} must be an array in CPU memory of a type that NumPy has, "
            f"got {type(value).__name__}: {error}"
        ) from error
    if array.size == 0 and not hasattr(value, "dtype"):
        return array.astype(np.int64)  # an empty list has no type of its own
    return array


def packed(array: NDArray[Any]) -> NDArray[Any]:
    """Contiguous, aligned and in native byte order, as kernels read it; a copy only if it is not.

    ``numpy.ascontiguousarray`` would leave contiguous arrays where they are, aligned or not.
    """
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def is_list_of_arrays(value: Any) -> bool:
    """Whether ``value`` is a list or tuple of arrays, and not a nested list of numbers."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and hasattr(value[0], "shape")


def shown(value: Any) -> str:
    """An argument in an error of one line: what it is, or of what type where that is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN and "\n" not in text else type(value).__name__


def integer(value: Any, name: str) -> int:
    """Give an integer argument as it is; truth values are none.

    Raises
    ------
    TypeError
        If ``value`` is no integer.
    """
    if type(value) is int:
        return value
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} must be an integer, got {shown(value)}")


def truth_value(value: Any, name: str) -> bool:
    """Give a truth value as a bool; numbers are none.

    Raises
    ------
    TypeError
        If ``value`` is neither True nor False.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def real_number(value: Any, name: str) -> float:
    """Give a number as a float; truth values are none.

    Raises
    ------
    TypeError
        If ``value`` is no number.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    return float(value)


def thread_limit(threads: Any) -> int:
    """Give the ``threads`` argument of any function, if it is one.

    Raises
    ------
    TypeError
        If ``threads`` is no integer.
    ValueError
        If it is negative or absurd.
    """
    limit = integer(threads, "threads")
    if not 0 <= limit <= _MAX_THREADS:
        raise ValueError(f"threads must be 0 (automatic) to {_MAX_THREADS}, got {limit}")
    return limit
