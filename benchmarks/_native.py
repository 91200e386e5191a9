"""The machine's limits beside the measured times: a read-only sweep, compiled on the spot.

The C source (``native.c``) is compiled with the machine's own ``gcc -O3 -march=native`` when a
benchmark starts. Where there is no compiler the sweep is NumPy's sum, which is a lower limit of
what the machine can do; the table then says so.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SOURCE = Path(__file__).with_name("native.c")
FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-std=gnu11")

VARIANTS = {
    "one by one": 0,
    "one by one, prefetch": 1,
    "side by side": 2,
    "both, prefetch": 3,
    "both, prefetch far": 4,
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled C helpers, or None where nothing can compile them."""
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        return None
    key = hashlib.sha256(SOURCE.read_bytes() + repr((compiler, FLAGS)).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"segmeter-benchmarks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"native-{key}.so"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}.so")
        subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(partial)], check=True)
        partial.replace(path)
    loaded = ctypes.CDLL(str(path))
    loaded.read_buffers.restype = ctypes.c_uint64
    return loaded


class Buffers:
    """Addresses and sizes of some arrays, ready to be handed to the C helpers."""

    def __init__(self, arrays: tuple[NDArray, ...]) -> None:
        for array in arrays:
            if not array.flags.c_contiguous:
                raise ValueError("the bandwidth probe needs C-contiguous arrays")
        self.arrays = arrays
        self.count = len(arrays)
        self.nbytes = sum(array.nbytes for array in arrays)
        self.pointers = (ctypes.c_void_p * self.count)(*[array.ctypes.data for array in arrays])
        self.sizes = (ctypes.c_int64 * self.count)(*[array.nbytes for array in arrays])

    def evict(self) -> None:
        """Throw the arrays out of every cache (by sweeping 256 MiB where clflush is missing)."""
        native = library()
        if native is None or not native.evict_buffers(self.pointers, self.sizes, self.count):
            _ballast().sum()


@functools.cache
def _ballast() -> NDArray:
    return np.ones(32 << 20, np.int64)


def readers(arrays: tuple[NDArray, ...], threads: int) -> dict[str, Callable[[], object]]:
    """Return calls that each read every byte of ``arrays`` once, by name of the variant.

    The machine's bandwidth is that of the fastest of them.
    """
    native = library()
    if native is None:
        views = [array.reshape(-1).view(np.uint8) for array in arrays]
        words = [view[: view.size // 8 * 8].view(np.uint64) for view in views]
        return {"numpy sum, no compiler": lambda: [view.sum() for view in words]}
    buffers = Buffers(arrays)
    paired = len(arrays) == 2 and arrays[0].nbytes == arrays[1].nbytes

    def sweep(variant: int) -> Callable[[], object]:
        pointers, sizes, count = buffers.pointers, buffers.sizes, buffers.count
        return lambda: native.read_buffers(pointers, sizes, count, threads, variant)

    return {name: sweep(code) for name, code in VARIANTS.items() if paired or code < 2}


def copiers(source: NDArray, reads: int, threads: int) -> dict[str, Callable[[], object]]:
    """Return calls that each read ``source`` so many times and write as much once.

    The limit of a routine that reads its input so often and writes an output of its size; the
    fastest of them counts.
    """
    written = _aligned_like(source)
    read = list(readers((source,), threads).values())[-1]
    native = library()

    def with_copy(copy: Callable[[], object]) -> Callable[[], object]:
        def call() -> None:
            for _ in range(reads - 1):
                read()
            copy()

        return call

    if native is None:
        return {"numpy, no compiler": with_copy(lambda: np.copyto(written, source))}

    def copy(through: int) -> None:
        # Asked for their addresses here, so that the arrays live as long as the function.
        target, origin = (ctypes.c_void_p(array.ctypes.data) for array in (written, source))
        native.copy_buffer(target, origin, ctypes.c_int64(source.nbytes), threads, through)

    return {
        "past the caches": with_copy(lambda: copy(0)),
        "through the caches": with_copy(lambda: copy(1)),
    }


def _aligned_like(source: NDArray) -> NDArray:
    room = np.zeros(source.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + source.nbytes].view(source.dtype).reshape(source.shape)
