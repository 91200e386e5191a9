"""NPY and NPZ: NumPy reads the header, the bytes are checked against it before they are read."""

from __future__ import annotations

import math
import os
import threading
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from ._labels import check_size, check_stored, make_label_map
from ._registry import Reader
from ._types import Header, LabelMap, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._source import Source


# NumPy reads headers with the parser of Python, which in some versions (python/cpython#106905)
# keeps one depth for all threads: if garbage is collected meanwhile, one that parses at the same
# time makes it fail with a SystemError.
_parser = threading.RLock()


def _unlock_in_child() -> None:
    """Another thread may have held the lock when this process was forked, and is not in it."""
    global _parser
    _parser = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)


class _ArrayHeader(NamedTuple):
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def read_npy(source: Source, options: ReadOptions) -> LabelMap:
    """Read a file of one array."""
    with source.open() as stream:
        array, rest = _read_array(source, stream, source.size, options)
    notes = (f"{rest:,} bytes after the first array are ignored",) if rest else ()
    return _label_map_of_array(source, array, options, "npy", notes)


def read_npz(source: Source, options: ReadOptions) -> LabelMap:
    """Read one array of an archive; its members are read in place, nothing is extracted."""
    with _member(source, options.key) as (stream, size):
        array, rest = _read_array(source, stream, size, options)
    if rest:  # a checksum is compared where a member ends, so the header may be the damaged part
        raise source.error(f"damaged NPZ: {rest:,} bytes too many for an array of {array.shape}")
    return _label_map_of_array(source, array, options, "npz", ())


def probe_npy(source: Source, key: str | None = None) -> Header:  # noqa: ARG001
    """Read the array's header."""
    with source.open() as stream:
        header = _array_header(source, stream)
    return Header(header.shape, header.dtype, f"npy/{header.dtype.name}")


def probe_npz(source: Source, key: str | None = None) -> Header:
    """Read the header of one array of an archive."""
    with _member(source, key) as (stream, _):
        header = _array_header(source, stream)
    return Header(header.shape, header.dtype, f"npz/{header.dtype.name}")


def _array_header(source: Source, stream: IO[bytes]) -> _ArrayHeader:
    with source.decoding("NPY"):
        version = npy_format.read_magic(stream)
        read = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }.get(version)
        if read is None:  # version 3 is for field names of structured types only
            raise source.error(f"is of NPY version {version}; label arrays have version 1 or 2")
        with _parser:
            header = _ArrayHeader(*read(stream))
    if header.dtype.kind not in "buif":
        raise source.error(
            f"holds values of type {header.dtype}; labels must be integers (object arrays are "
            "pickled code and never loaded)"
        )
    return header


def _read_array(
    source: Source, stream: IO[bytes], available: int, options: ReadOptions
) -> tuple[NDArray[Any], int]:
    """Read one array from a stream of `available` bytes: the array, number of bytes behind it."""
    shape, fortran_order, dtype = _array_header(source, stream)
    check_size(source, shape, options.max_pixels * (4 if options.reads_colors else 1))
    size = math.prod(shape) * dtype.itemsize
    with source.decoding("NPY"):
        rest = available - stream.tell() - size
        check_stored(source, size, size + rest)
        data = stream.read(size)
    check_stored(source, size, len(data))
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    return array, rest


def _label_map_of_array(
    source: Source,
    array: NDArray[Any],
    options: ReadOptions,
    format_name: str,
    notes: tuple[str, ...],
) -> LabelMap:
    colored = array.ndim > 2 and array.shape[-1] in (3, 4) and array.dtype == np.uint8
    if colored and not options.reads_colors:
        notes += (f"an array of shape {array.shape} is read as a volume, not as colours",)
    return make_label_map(
        source,
        options,
        array,
        layout=f"{format_name}/{array.dtype.name}",
        channels=array.shape[-1] if colored and options.reads_colors else 1,
        bits=8 * array.dtype.itemsize,
        notes=notes,
    )


@contextmanager
def _member(source: Source, key: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """Open the archive's array `key` (or its only one): a stream and its number of bytes."""
    with source.open() as stream, source.decoding("NPZ"), zipfile.ZipFile(stream) as archive:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        info = members[_choose(source, list(members), key)]
        with archive.open(info) as member:
            yield member, info.file_size


def _choose(source: Source, keys: list[str], key: str | None) -> str:
    names = ", ".join(keys)
    if not keys:
        raise source.error("is an archive without arrays")
    if key is None:
        if len(keys) > 1:
            raise source.error(
                f"holds {len(keys)} arrays ({names}): read_label_map(key=...) chooses one, "
                "an evaluation needs files of one"
            )
        return keys[0]
    if key not in keys:
        raise source.error(f"holds no array {key!r}; it holds: {names}")
    return key


NPY = Reader(
    name="npy",
    suffixes=(".npy",),
    sniff=lambda head: head.startswith(b"\x93NUMPY"),
    read=read_npy,
    probe=probe_npy,
)
NPZ = Reader(
    name="npz",
    suffixes=(".npz",),
    sniff=lambda head: head.startswith((b"PK\x03\x04", b"PK\x05\x06")),
    read=read_npz,
    probe=probe_npz,
)
