"""Memory for gradients that is used again, since fresh memory costs more than the loss.

A buffer is given out again when nobody holds an array of it any more. Gradients of less than a
mebibyte are plain arrays: the system keeps such memory anyway.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST = 1 << 20
_LIMIT = 1 << 30

_lock = threading.Lock()
_pool: list[NDArray[np.uint8]] = []
_limit = _LIMIT


def gradient_buffer(like: NDArray[Any]) -> NDArray[Any]:
    """Give an uninitialised array of the shape, dtype and order of axes of ``like``."""
    if like.nbytes < _SMALLEST:
        return np.empty_like(like, subok=False)
    if like.flags.c_contiguous:
        return _memory(like.nbytes).view(like.dtype).reshape(like.shape)
    order = sorted(range(like.ndim), key=lambda axis: -abs(like.strides[axis]))
    flat = _memory(like.nbytes).view(like.dtype)
    return flat.reshape([like.shape[axis] for axis in order]).transpose(np.argsort(order))


def clear_buffers() -> None:
    """Give the memory of gradients back to the system that no array uses.

    Examples
    --------
    >>> clear_buffers()
    """
    with _lock:
        _pool.clear()


def set_buffer_limit(size: int) -> None:
    """Set the bytes that gradients may leave behind for the next ones; 1 GiB at first.

    Parameters
    ----------
    size : int
        Bytes; 0 keeps nothing.

    Raises
    ------
    ValueError
        If ``size`` is negative.
    TypeError
        If it is no integer.

    Examples
    --------
    >>> set_buffer_limit(2**30)
    """
    global _limit
    size = integer(size, "size")
    if size < 0:
        raise ValueError(f"size must not be negative, got {size}")
    with _lock:
        _limit = size
        _make_room(0)


def _memory(size: int) -> NDArray[np.uint8]:
    with _lock:
        for index in range(len(_pool)):
            if _pool[index].nbytes == size and _is_free(index):
                _pool.append(_pool.pop(index))  # the one used longest ago goes first
                return _pool[-1][:]
        buffer = _fresh(size)
        _make_room(size)
        if sum(kept.nbytes for kept in _pool) + size <= _limit:
            _pool.append(buffer)
        return buffer[:]


def _references(buffers: list[NDArray[np.uint8]], index: int) -> int:
    return sys.getrefcount(buffers[index])


# Versions of Python differ in how many references such a call holds by itself.
_UNUSED = _references([np.empty(0, np.uint8)], 0)


def _is_free(index: int) -> bool:
    return _references(_pool, index) == _UNUSED


def _make_room(size: int) -> None:
    """Forget buffers that nobody uses, oldest first, until ``size`` bytes fit."""
    excess = sum(kept.nbytes for kept in _pool) + size - _limit
    index = 0
    while excess > 0 and index < len(_pool):
        if _is_free(index):
            excess -= _pool.pop(index).nbytes
        else:
            index += 1


def _fresh(size: int) -> NDArray[np.uint8]:
    """Private memory, in huge pages where the system offers them."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return np.empty(size, np.uint8)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a system without them gives small pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)


def _unlock_in_child() -> None:
    """Another thread may have held the lock when this process was forked, and is not in it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)
