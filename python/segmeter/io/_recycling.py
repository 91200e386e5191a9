"""Memory of label maps, used again: new pages cost more than decoding a picture into old ones."""

from __future__ import annotations

import math
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# Smaller blocks the allocator keeps by itself; larger ones are worth their pages.
_LEAST, _MOST = 2**17, 2**23

# For every core that this process may use two label maps, and what each is inflated to; at most
# 256 MiB. Its operations are atomic.
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_FREE: deque[NDArray[np.uint8]] = deque(maxlen=4 * min(_CORES, 8))


class _Lease:
    """A block of memory that is free again when the last array on it is gone."""

    def __init__(self, block: NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]):
        self._block, self._free = block, _FREE
        self.__array_interface__ = {
            "version": 3,
            "data": (block.__array_interface__["data"][0], False),
            "shape": shape,
            "typestr": dtype.str,
        }

    def __del__(self) -> None:
        self._free.append(self._block)


def recycled(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Uninitialised array, on memory of one that nobody holds any more if there is such."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not _LEAST <= size <= _MOST:
        return np.empty(shape, dtype)
    try:
        block = _FREE.pop()
    except IndexError:
        block = np.empty(0, np.uint8)
    if not size <= len(block) <= 2 * size:
        block = np.empty(size, np.uint8)
    return np.asarray(_Lease(block, shape, dtype))
