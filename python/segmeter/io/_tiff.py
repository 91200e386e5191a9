"""TIFF, decoded by tifffile (and imagecodecs for most compressions)."""

from __future__ import annotations

import logging
import math
import struct
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._labels import DEFLATE_RATIO, check_size, check_stored, make_label_map
from ._lzw import is_safe
from ._registry import Reader
from ._types import Header, LabelMap, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ._source import Source

# tifffile logs what it finds damaged, which Python prints where nobody has set up logging; what is
# wrong with a file is said here, once. Handlers that somebody did set up still get its lines.
_SILENCE = logging.NullHandler()

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class _Compression(NamedTuple):
    name: str
    ratio: int  # it never makes pixels smaller than this


# Compressions that are read, by the value of the tag: those whose decoders find damage, or whose
# data are checked here.
_UNCOMPRESSED, _LZW, _JPEG = 1, 5, 7
_DEFLATE = _Compression("deflate", DEFLATE_RATIO)
_COMPRESSIONS = {
    _UNCOMPRESSED: _Compression("none", 1),
    _LZW: _Compression("LZW", 4096),
    _JPEG: _Compression("JPEG", 1024),
    8: _DEFLATE,
    32946: _DEFLATE,
    50013: _DEFLATE,
    32773: _Compression("PackBits", 64),
    34925: _Compression("LZMA", 32768),
    50000: _Compression("Zstandard", 32768),
}
_MIN_IS_WHITE, _PALETTE = 0, 3  # values of the tag PhotometricInterpretation


class _Description(NamedTuple):
    """The first image series of a file."""

    series: Any
    shape: tuple[int, ...]
    tile: tuple[int, ...]
    channels: int
    layout: str
    notes: tuple[str, ...]


def read(source: Source, options: ReadOptions) -> LabelMap:
    """Read an image, or pages of equal shape as a volume: values or palette indices as stored."""
    with _described(source) as found:
        check_size(source, found.shape, options.max_pixels)
        check_size(source, found.tile, options.max_pixels)
        with source.decoding("TIFF"):
            _check_segments(source, found.series)
            if found.series.keyframe.compression == _LZW:
                _check_lzw(source, found.series)
            samples = found.series.asarray(maxworkers=1)
            if samples.shape != found.series.shape:  # tifffile only logs that data are missing
                raise source.error(f"damaged TIFF: shape {samples.shape}, not {found.shape}, read")
            if found.channels > 1:
                samples = np.moveaxis(samples, found.series.axes.index("S"), -1)
            palette = _palette(found.series.keyframe)
            bits = int(found.series.keyframe.bitspersample)
    return make_label_map(
        source,
        options,
        samples,
        layout=found.layout,
        channels=found.channels,
        bits=bits,
        palette=palette,
        notes=found.notes,
    )


def probe(source: Source, key: str | None = None) -> Header:  # noqa: ARG001
    """Read the image directories."""
    with _described(source) as found:
        dtype = np.dtype(found.series.dtype)
        return Header(found.shape, dtype, found.layout, notes=found.notes)


def _check_segments(source: Source, series: Any) -> None:
    """Refuse unknown compressions, and more strips, tiles or bytes than the file has.

    tifffile would fill in for each that is missing: slowly, and with labels that nobody wrote.
    """
    keyframe = series.keyframe
    compression = _COMPRESSIONS.get(keyframe.compression)
    if compression is None:
        known = ", ".join(dict.fromkeys(known.name for known in _COMPRESSIONS.values()))
        raise source.error(f"is TIFF with {keyframe.compression!r}; compressions read: {known}")
    check_stored(source, series.nbytes, source.size, compression.ratio)
    if keyframe.is_contiguous:
        return
    needed = math.prod(keyframe.chunked)
    for page in series.pages:
        if page is None or len(page.dataoffsets) < needed:
            there = 0 if page is None else len(page.dataoffsets)
            raise source.error(f"damaged TIFF: {there} of {needed:,} strips or tiles are there")


def _check_lzw(source: Source, series: Any) -> None:
    file = series.parent.filehandle
    for page in series.pages:
        for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.seek(offset)
            if size and not is_safe(file.read(size)):
                raise source.error(f"damaged TIFF: the LZW data at byte {offset} are corrupt")


@contextmanager
def _described(source: Source) -> Iterator[_Description]:
    """Open the file and describe its first image series.

    OME metadata is not read: it can name other files, and labels do not need it.
    """
    with source.open() as stream:
        _check_directories(source, stream)
        with source.decoding("TIFF", "tifffile"):
            from tifffile import TiffFile

            logging.getLogger("tifffile").addHandler(_SILENCE)
            file = TiffFile(stream, is_ome=False)
            if not file.series:
                raise source.error("is a TIFF file without an image")
            if file.series[0].dtype is None:
                raise source.error("damaged or unsupported TIFF: its samples have no known type")
            description = _describe(file.series[0], len(file.series))
        yield description


def _check_directories(source: Source, stream: IO[bytes]) -> None:
    """Follow the chain of image directories to its end.

    tifffile would go round a circle for ever, and leave out what a cut chain no longer names.
    """
    order = "<" if source.head[:2] == b"II" else ">"
    big = 43 in source.head[2:4]
    offset_format, count_format, entry_size = ("Q", "Q", 20) if big else ("I", "H", 12)
    seen = set()

    def number(position: int, code: str) -> int:
        stream.seek(position)
        value: int = struct.unpack(order + code, stream.read(struct.calcsize("=" + code)))[0]
        return value

    with source.decoding("TIFF"):
        offset = number(8 if big else 4, offset_format)
        while offset:
            if offset in seen:
                raise source.error("damaged TIFF: its image directories form a circle")
            if offset >= source.size:
                raise source.error("damaged TIFF: truncated, an image directory is missing")
            seen.add(offset)
            entries = entry_size * number(offset, count_format)
            offset = number(offset + struct.calcsize("=" + count_format) + entries, offset_format)
        stream.seek(0)


def _describe(series: Any, number: int) -> _Description:
    page = series.keyframe
    axes = series.axes
    channels = series.shape[axes.index("S")] if "S" in axes else 1
    shape = tuple(length for length, axis in zip(series.shape, axes, strict=True) if axis != "S")
    kind = "palette" if page.photometric == _PALETTE else np.dtype(series.dtype).name
    tile = (int(page.tilelength), int(page.tilewidth)) if page.is_tiled else (1, 1)
    return _Description(series, shape, tile, channels, f"tiff/{kind}", _notes(series, page, number))


def _notes(series: Any, page: Any, number: int) -> tuple[str, ...]:
    notes = []
    if number > 1:
        notes.append(f"only the first of {number} image series is read")
    if page.photometric == _MIN_IS_WHITE:
        notes.append("stored as min-is-white: values are read as stored, 0 is white")
    if page.compression == _JPEG:
        notes.append("compressed with JPEG, which is lossy: labels may have changed")
    if any(0 in part.databytecounts for part in series.pages if part is not None):
        notes.append("some strips or tiles are not in the file; they are read as no-data values")
    return tuple(notes)


def _palette(page: Any) -> NDArray[np.uint8] | None:
    """Colours of a palette image, from 16 to 8 bits."""
    if page.photometric != _PALETTE or page.colormap is None:
        return None
    colors: NDArray[np.uint8] = (np.reshape(page.colormap, (3, -1)).T >> 8).astype(np.uint8)
    return colors


READER = Reader(
    name="tiff",
    suffixes=(".tif", ".tiff", ".btf"),
    sniff=lambda head: head.startswith(_MAGICS),
    read=read,
    probe=probe,
    packages=("tifffile", "imagecodecs"),
)
