"""BMP, GIF and JPEG, decoded by Pillow."""

from __future__ import annotations

import io
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._labels import check_size, check_stored, make_label_map
from ._registry import Reader
from ._types import Header, LabelMap, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from ._source import Source

_LOSSY = "JPEG is lossy: labels may differ from those that were saved; store masks as PNG"
_LENIENT = "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set: Pillow passes damaged files without a word"


class _Mode(NamedTuple):
    name: str
    channels: int


_MODES = {
    "1": _Mode("gray1", 1),
    "L": _Mode("gray8", 1),
    "P": _Mode("palette8", 1),
    "LA": _Mode("gray-alpha8", 2),
    "RGB": _Mode("rgb8", 3),
    "RGBA": _Mode("rgba8", 4),
}


def read(format_name: str, source: Source, options: ReadOptions) -> LabelMap:
    """Read palette indices or gray values as stored, or labels by colour."""
    with _opened(format_name, source) as image:
        check_size(source, (image.height, image.width), options.max_pixels)
        mode, notes = _describe(format_name, source, image)
        with source.decoding(format_name.upper()):
            for codec, _, _, arguments in image.tile:
                if codec == "raw" and isinstance(
                    arguments, tuple
                ):  # BMP: (mode, bytes per row, ..)
                    check_stored(source, int(arguments[1]) * image.height, source.size)
            image.load()
            samples = np.asarray(image)
            palette = _palette(format_name, source, image)
    return make_label_map(
        source,
        options,
        samples,
        layout=f"{format_name}/{mode.name}",
        channels=mode.channels,
        bits=1 if mode.name == "gray1" else 8,
        palette=palette,
        notes=notes,
    )


def probe(format_name: str, source: Source, key: str | None = None) -> Header:  # noqa: ARG001
    """Read the image header."""
    with _opened(format_name, source) as image:
        mode, notes = _describe(format_name, source, image)
        shape = (image.height, image.width)
    return Header(shape, np.dtype(np.uint8), f"{format_name}/{mode.name}", notes=notes)


@contextmanager
def _opened(format_name: str, source: Source) -> Iterator[ImageFile]:
    """Open the image without decoding its pixels.

    The format's own class is used, not ``Image.open``: that compares the size with a process-wide
    limit and warns through process-wide filters, where `check_size` has a limit per call.
    """
    with source.open() as opened:
        stream = _without_gray_palette(source) if format_name == "bmp" else opened
        with source.decoding(format_name.upper(), "pillow"):
            from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin

            classes: dict[str, type[ImageFile]] = {
                "bmp": BmpImagePlugin.BmpImageFile,
                "gif": GifImagePlugin.GifImageFile,
                "jpeg": JpegImagePlugin.JpegImageFile,
            }
            image = classes[format_name](stream)
        yield image


def _describe(format_name: str, source: Source, image: ImageFile) -> tuple[_Mode, tuple[str, ...]]:
    """Find the layout of an image that is open but not loaded, and what to say about the file."""
    from PIL import ImageFile

    mode = _MODES.get(image.mode)
    if mode is None:
        raise source.error(f"holds {image.mode} colours, which are no labels")
    notes = [_LOSSY] if format_name == "jpeg" else []
    with source.decoding(format_name.upper()):
        if getattr(image, "is_animated", False):
            notes.append("animated: only the first frame is read")
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        notes.append(_LENIENT)
    return mode, tuple(notes)


def _palette(format_name: str, source: Source, image: ImageFile) -> NDArray[np.uint8] | None:
    colors = image.getpalette("RGB") if image.mode == "P" else None
    if colors is None:
        return None
    palette = np.array(colors, np.uint8).reshape(-1, 3)
    if format_name == "bmp":
        start = _bmp_palette_start(source.head)
        palette[0] = list(source.head[start : start + 3][::-1])
    return palette


def _bmp_palette_start(head: bytes | bytearray) -> int:
    """Offset of a BMP's palette: it follows the two headers."""
    return 14 + int.from_bytes(head[14:18], "little")


def _without_gray_palette(source: Source) -> io.BytesIO:
    """Return the file with a first palette entry that is not black.

    Pillow takes a palette of gray values for gray samples and then reads 1- and 4-bit indices with
    the wrong number of bits; a palette that is not gray makes it give the indices.
    """
    data = bytearray(source.read())
    start = _bmp_palette_start(data)
    bits_at = 24 if start == 26 else 28  # the OS/2 header is the shorter one
    if data[bits_at : bits_at + 1] <= b"\x08" and data[start : start + 3] == b"\0\0\0":
        data[start] = 1
    return io.BytesIO(data)


def _reader(format_name: str, magic: bytes, *suffixes: str) -> Reader:
    return Reader(
        name=format_name,
        suffixes=suffixes,
        sniff=lambda head: head.startswith(magic),
        read=partial(read, format_name),
        probe=partial(probe, format_name),
        packages=("pillow",),
    )


READERS = (
    _reader("bmp", b"BM", ".bmp", ".dib"),
    _reader("gif", b"GIF8", ".gif"),
    _reader("jpeg", b"\xff\xd8\xff", ".jpg", ".jpeg", ".jpe"),
)
