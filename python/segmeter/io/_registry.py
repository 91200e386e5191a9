"""The registry of readers: which format a file is, and which function reads it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ._source import PathOrBytes, Source
from ._types import (
    DEFAULT_MAX_PIXELS,
    Color,
    Header,
    LabelMap,
    ReadOptions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MISSING = 'missing: pip install "segmeter[eval]"'


@dataclass(frozen=True, slots=True)
class Reader:
    """All that is known of one format.

    Attributes
    ----------
    name : str
        The format's name, such as ``"png"``.
    suffixes : tuple of str
        Usual endings of file names, lower case with the dot. The content decides, not the name.
    sniff : callable
        ``sniff(head: bytes) -> bool``: whether a file that begins so is of this format.
    read : callable
        ``read(source: Source, options: ReadOptions) -> LabelMap``; raises `ReadError`.
    probe : callable
        ``probe(source: Source, key: str | None) -> Header``; raises `ReadError`.
    packages : tuple of str
        Distributions the reader needs (the first) or makes use of (the others).
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[bytes], bool]
    read: Callable[[Source, ReadOptions], LabelMap]
    probe: Callable[[Source, str | None], Header]
    packages: tuple[str, ...] = ("numpy",)


class Support(NamedTuple):
    """One row of `supported`: a format, and the packages that read it with their versions."""

    format: str
    suffixes: tuple[str, ...]
    library: str
    version: str

    def __str__(self) -> str:
        return f"{self.format} ({' '.join(self.suffixes)}): {self.library} {self.version}"


_READERS: dict[str, Reader] = {}


def register_reader(reader: Reader) -> None:
    """Add a reader; one of the same name is replaced.

    Parameters
    ----------
    reader : Reader
        Name, suffixes and functions of the format. Formats are asked in the order of their first
        registration whether a file's first bytes are theirs.

    Raises
    ------
    TypeError
        reader is not a `Reader`.

    Examples
    --------
    A reader of plain text, one digit a label, lines starting with ``labels:``:

    >>> import numpy as np
    >>> from segmeter.io import Header, LabelMap, Reader, read_label_map, register_reader
    >>> def read_digits(source, options):
    ...     rows = source.read().decode().split()[1:]
    ...     labels = np.array([[int(digit) for digit in row] for row in rows], np.uint8)
    ...     return LabelMap(labels, None, source.name, "digits")
    >>> def probe_digits(source, key):
    ...     return Header(read_digits(source, None).labels.shape, np.dtype(np.uint8), "digits")
    >>> register_reader(Reader("digits", (".digits",), lambda head: head.startswith(b"labels:"),
    ...                        read_digits, probe_digits))
    >>> read_label_map(b"labels: 012 345").labels
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint8)
    """
    if not isinstance(reader, Reader):
        raise TypeError(f"reader must be a segmeter.io.Reader, not {type(reader).__name__}")
    _READERS[reader.name] = reader


def read_label_map(
    path: PathOrBytes,
    *,
    color_table: Mapping[Color, int] | None = None,
    panoptic: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    key: str | None = None,
    scores: bool = False,
) -> LabelMap:
    """Read the labels a file holds, exactly as they are stored.

    PNG, TIFF, NPY, NPZ, NIfTI, BMP, GIF and JPEG are read. The content decides on the format, not
    the file's name. Palette images give their indices and gray images their sample values
    (1-bit: 0 and 1; 4-bit: 0 to 15), never colours and never stretched. Float values are read only
    if all of them are whole numbers. ``docs/readers.md`` tells the rules of each format.

    Parameters
    ----------
    path : str, os.PathLike, bytes-like or binary file object
        The file; or its content.
    color_table : mapping, optional
        Label of each colour, ``{(r, g, b): label, ...}``: read a colour-coded mask. A colour that
        is not in the table is an error.
    panoptic : bool
        Read colours as ids r + 256 g + 65536 b (the COCO panoptic format), as uint32.
    max_pixels : int
        A file that claims more pixels or voxels is refused before memory is allocated for them.
    key : str, optional
        Name of the array in an NPZ archive of several; other formats make no use of it.
    scores : bool
        Keep floats as they are stored, for probability maps; integers are read as without it. NaN
        is an error. Scores are no colours: not together with color_table or panoptic.

    Returns
    -------
    LabelMap
        Labels (integer array), spacing, format found, notes, palette.

    Raises
    ------
    ReadError
        The file is missing, unreadable, damaged, of an unknown format or holds no labels; or the
        package that reads it is not installed. One line that begins with the file's name.
    TypeError, ValueError
        An argument is bad.

    Notes
    -----
    The function may be called from many threads at once; the decoders release the GIL. The panoptic
    id is defined by the COCO panoptic format: https://cocodataset.org/#format-data.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from segmeter.io import read_label_map
    >>> file = io.BytesIO()
    >>> np.save(file, np.array([[0, 1], [1, 255]], np.uint8))
    >>> label_map = read_label_map(file.getvalue())
    >>> label_map.labels
    array([[  0,   1],
           [  1, 255]], dtype=uint8)
    >>> label_map.format
    'npy/uint8'
    """
    options = ReadOptions.checked(color_table, panoptic, max_pixels, key, scores)
    source = Source(path)
    reader, notes = _reader_of(source)
    label_map = reader.read(source, options)
    return replace(label_map, notes=notes + label_map.notes)


def probe(path: PathOrBytes, *, key: str | None = None) -> Header:
    """Read what a file's header says, without decoding its pixels.

    Parameters
    ----------
    path : str, os.PathLike, bytes-like or binary file object
        The file; or its content.
    key : str, optional
        Name of the array in an NPZ archive of several.

    Returns
    -------
    Header
        Shape, type of the stored samples, format, spacing, notes.

    Raises
    ------
    ReadError
        As `read_label_map`, as far as the header shows it.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from segmeter.io import probe
    >>> file = io.BytesIO()
    >>> np.save(file, np.zeros((4, 6), np.uint8))
    >>> probe(file.getvalue()).shape
    (4, 6)
    """
    source = Source(path)
    reader, notes = _reader_of(source)
    header = reader.probe(source, key)
    return replace(header, notes=notes + header.notes)


def known_suffixes() -> tuple[str, ...]:
    """Usual endings of the formats that can be read, lower case with the dot."""
    return tuple(suffix for reader in _READERS.values() for suffix in reader.suffixes)


def supported() -> list[Support]:
    """List the formats that can be read, and the packages that read them.

    Returns
    -------
    list of Support
        Rows (format, suffixes, library, version); the version of a package that is not installed
        is a line that says how to install it.

    Examples
    --------
    >>> from segmeter.io import supported
    >>> [row.suffixes for row in supported() if row.format == "npy"]
    [('.npy',)]
    """
    return [
        Support(
            reader.name,
            reader.suffixes,
            ", ".join(reader.packages),
            ", ".join(_version(package) for package in reader.packages),
        )
        for reader in _READERS.values()
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return _MISSING


def _reader_of(source: Source) -> tuple[Reader, tuple[str, ...]]:
    """Find the reader by content; a name that says otherwise is worth a note."""
    named = _reader_named(source.name)
    for reader in _READERS.values():
        if reader.sniff(source.head):
            if named is None or named is reader:
                return reader, ()
            return reader, (f"is named as {named.name}, but its content is {reader.name}",)
    raise source.error(_unknown(source, named))


def _reader_named(name: str) -> Reader | None:
    lower = name.lower()
    return next((reader for reader in _READERS.values() if lower.endswith(reader.suffixes)), None)


def _unknown(source: Source, named: Reader | None) -> str:
    """Say why no reader takes the file."""
    if source.head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; fetch it with git lfs pull"
    if source.name.lower().endswith((".img", ".img.gz")):
        return "holds the voxels of a pair of files; name the .hdr file instead"
    first = source.head[:8].hex(" ")
    if named is not None:
        return f"is named as {named.name}, but its content is not (first bytes {first})"
    return f"is of no format that is read ({', '.join(_READERS)}); first bytes {first}"
