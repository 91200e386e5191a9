"""PNG: the file is taken apart and checked here; imagecodecs or Pillow inflates its pixels."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from segmeter import _core

from ._labels import DEFLATE_RATIO, check_size, check_stored, make_label_map
from ._recycling import recycled
from ._registry import Reader
from ._types import Header, LabelMap, ReadOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._source import Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"


class _Layout(NamedTuple):
    """A pixel layout, and the Pillow mode and raw mode that give its samples unchanged.

    Gray of less than 8 bits is unpacked as if it were indices: Pillow's gray modes would stretch
    the values to 0..255 (or to bool). `stored_type`, of samples of 8 bits, is the colour type
    under which libspng gives them unchanged: indices pass for gray.
    """

    name: str
    channels: int
    mode: str
    raw_mode: str
    stored_type: int | None = None


# By bit depth and colour type. Pillow drops the low byte of 16-bit colours: not read.
_LAYOUTS = {
    (1, 0): _Layout("gray1", 1, "P", "P;1"),
    (2, 0): _Layout("gray2", 1, "P", "P;2"),
    (4, 0): _Layout("gray4", 1, "P", "P;4"),
    (8, 0): _Layout("gray8", 1, "L", "L", 0),
    (16, 0): _Layout("gray16", 1, "I;16", "I;16B"),
    (8, 2): _Layout("rgb8", 3, "RGB", "RGB", 2),
    (16, 2): _Layout("rgb16", 3, "", ""),
    (1, 3): _Layout("palette1", 1, "P", "P;1"),
    (2, 3): _Layout("palette2", 1, "P", "P;2"),
    (4, 3): _Layout("palette4", 1, "P", "P;4"),
    (8, 3): _Layout("palette8", 1, "P", "P", 0),
    (8, 4): _Layout("gray-alpha8", 2, "LA", "LA"),
    (16, 4): _Layout("gray-alpha16", 2, "", ""),
    (8, 6): _Layout("rgba8", 4, "RGBA", "RGBA", 6),
    (16, 6): _Layout("rgba16", 4, "", ""),
}


# First row, row step, first column and column step of the seven passes of an interlaced image.
_ADAM7 = (
    (0, 8, 0, 8),
    (0, 8, 4, 8),
    (4, 8, 0, 4),
    (0, 4, 2, 4),
    (2, 4, 0, 2),
    (0, 2, 1, 2),
    (1, 2, 0, 1),
)


class _ImageHeader(NamedTuple):
    height: int
    width: int
    bits: int
    layout: _Layout
    interlaced: int

    @property
    def name(self) -> str:
        return f"png/{self.layout.name}"

    @property
    def inflated_bytes(self) -> int:
        """Size of the inflated pixels: rows of whole bytes, each behind the byte of its filter."""
        total = 0
        for top, down, left, right in _ADAM7 if self.interlaced else ((0, 1, 0, 1),):
            rows, columns = -(-(self.height - top) // down), -(-(self.width - left) // right)
            if rows > 0 and columns > 0:
                total += rows * (1 + -(-columns * self.layout.channels * self.bits // 8))
        return total


@dataclass(slots=True)
class _Chunks:
    """What the chunks of a file hold besides the header."""

    pixels: list[memoryview] = field(default_factory=list)
    palette: NDArray[np.uint8] | None = None
    animated: bool = False


def read(source: Source, options: ReadOptions) -> LabelMap:
    """Read a PNG file: gray values or palette indices as stored, or labels by colour."""
    header = _image_header(source)
    check_size(source, (header.height, header.width), options.max_pixels)
    if not header.layout.mode:
        raise source.error(
            f"has 16-bit colours ({header.name}), which are not read; store labels as 16-bit gray"
        )
    chunks = _read_chunks(source, source.read())
    return make_label_map(
        source,
        options,
        _samples(source, header, b"".join(chunks.pixels)),
        layout=header.name,
        channels=header.layout.channels,
        bits=header.bits,
        palette=chunks.palette,
        notes=("animated: only the still image is read",) if chunks.animated else (),
    )


def probe(source: Source, key: str | None = None) -> Header:  # noqa: ARG001 (all probes take it)
    """Read the image header."""
    header = _image_header(source)
    dtype = np.dtype(np.uint16 if header.bits == 16 else np.uint8)
    return Header((header.height, header.width), dtype, header.name)


def _samples(
    source: Source, header: _ImageHeader, compressed: bytes
) -> NDArray[np.unsignedinteger]:
    """Decode the samples by the fastest way that there is for their layout."""
    if header.layout.stored_type is None:
        return _unfilter(source, header, _inflate(source, header, compressed))
    check_stored(source, header.inflated_bytes, len(compressed), DEFLATE_RATIO)
    # What is odd about a stream (damaged, too long, interlaced) is left to libspng.
    samples = None if header.interlaced else _decode_rows(source, header, compressed)
    return _decode(source, header, compressed) if samples is None else samples


def _decode_rows(
    source: Source, header: _ImageHeader, compressed: bytes
) -> NDArray[np.uint8] | None:
    """Decode samples of 8 bits, row after row; None if that does not work out exactly."""
    channels, size = header.layout.channels, header.inflated_bytes
    inflated = recycled((size,), np.uint8)
    with source.decoding("PNG", "imagecodecs"):
        from imagecodecs import DeflateError, deflate_decode

        try:
            decoded = deflate_decode(compressed, out=inflated.data)
        except DeflateError:
            return None
    rows = inflated.reshape(header.height, -1)
    if len(decoded) != size or not _core.unfilter_png(rows, channels):
        return None
    if channels > 1:
        return rows[:, 1:].reshape(header.height, header.width, channels)
    samples = recycled((header.height, header.width), np.uint8)
    np.copyto(samples, rows[:, 1:])
    return samples


def _decode(source: Source, header: _ImageHeader, compressed: bytes) -> NDArray[np.uint8]:
    """Decode samples of 8 bits, from a file made of nothing but header and pixels."""
    layout = header.layout
    fields = (header.width, header.height, 8, layout.stored_type, 0, 0, header.interlaced)
    with source.decoding("PNG", "imagecodecs"):
        from imagecodecs import spng_decode

        bare = (
            SIGNATURE
            + _chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))
            + _chunk(b"IDAT", compressed)
            + _chunk(b"IEND", b"")
        )
        try:
            samples = np.asarray(spng_decode(bare))
        except Exception:
            _inflate(source, header, compressed)  # says how many bytes are there, if not all are
            raise
    shape = (header.height, header.width, layout.channels)[: 2 + (layout.channels > 1)]
    return samples.reshape(shape)


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def _inflate(source: Source, header: _ImageHeader, compressed: bytes) -> bytes:
    """Inflate the filtered rows and check that all are there, before the image is allocated.

    Pillow takes a stream that ends with any row for complete and leaves the other rows zero: labels
    that nobody wrote.
    """
    expected = header.inflated_bytes
    with source.decoding("PNG"):
        rows = zlib.decompressobj().decompress(compressed, expected + 1)
    if len(rows) < expected:
        raise source.error(f"damaged PNG: {len(rows):,} of {expected:,} bytes of pixels are there")
    return rows


def _unfilter(source: Source, header: _ImageHeader, rows: bytes) -> NDArray[np.unsignedinteger]:
    """Undo the filters and interlacing: Pillow's decoder, with a stream that is only stored.

    Given the bare stream, not the file, Pillow makes no use of its process-wide settings.
    """
    size, layout = (header.width, header.height), header.layout
    stored = zlib.compress(rows, level=0)
    with source.decoding("PNG", "pillow"):
        from PIL import Image

        image = Image.frombytes(
            layout.mode, size, stored, "zip", layout.raw_mode, header.interlaced
        )
        return np.asarray(image)


def _image_header(source: Source) -> _ImageHeader:
    """Read and check the IHDR chunk."""
    head = source.head
    if len(head) < 33:
        raise source.error(f"damaged PNG: truncated after {len(head)} bytes, within its header")
    if head[12:16] != b"IHDR" or head[8:12] != b"\0\0\0\x0d":
        raise source.error(f"damaged PNG: the first chunk is {head[12:16]!r}, not IHDR")
    _check_crc(source, memoryview(head), 8, 33)
    width, height, bits, color_type, compression, filtering, interlaced = struct.unpack(
        ">IIBBBBB", head[16:29]
    )
    layout = _LAYOUTS.get((bits, color_type))
    if layout is None:
        raise source.error(f"damaged PNG: no colour type {color_type} with {bits} bits exists")
    if compression or filtering or interlaced > 1:
        raise source.error(
            f"damaged PNG: unknown compression {compression}, filter {filtering} "
            f"or interlace method {interlaced}"
        )
    return _ImageHeader(height, width, bits, layout, interlaced)


def _read_chunks(source: Source, data: bytes) -> _Chunks:
    """Walk over all chunks to IEND, checking each one's checksum, and keep what labels need.

    Transparency (tRNS), gamma, text and other ancillary chunks are passed over: they change no
    label.
    """
    view, start, chunks = memoryview(data), 33, _Chunks()
    while True:
        if start + 12 > len(data):
            raise source.error(f"damaged PNG: truncated after {len(data):,} bytes")
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if end > len(data):
            raise source.error(
                f"damaged PNG: truncated after {len(data):,} bytes, within the chunk {_text(kind)}"
            )
        _check_crc(source, view, start, end)
        body = view[start + 8 : end - 4]
        if kind == b"IDAT":
            chunks.pixels.append(body)
        elif kind == b"PLTE":
            chunks.palette = np.frombuffer(body[: length // 3 * 3], np.uint8).reshape(-1, 3)
        elif kind == b"acTL":
            chunks.animated = True
        elif kind == b"IEND":
            return chunks
        elif not kind[0] & 0x20:
            raise source.error(f"damaged PNG: unknown critical chunk {_text(kind)}")
        start = end


def _check_crc(source: Source, view: memoryview, start: int, end: int) -> None:
    """Check the checksum of the chunk at start:end (length, kind, body, checksum)."""
    (stored,) = struct.unpack_from(">I", view, end - 4)
    if zlib.crc32(view[start + 4 : end - 4]) != stored:
        kind = _text(bytes(view[start + 4 : start + 8]))
        raise source.error(
            f"damaged PNG: the checksum of the {kind} chunk at byte {start} is wrong"
        )


def _text(kind: bytes) -> str:
    return ascii(kind.decode("latin-1"))[1:-1]


READER = Reader(
    name="png",
    suffixes=(".png", ".apng"),
    sniff=lambda head: head.startswith(SIGNATURE),
    read=read,
    probe=probe,
    packages=("pillow", "imagecodecs"),
)
