"""What readers are told and what they give: options, label map, header, error."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Color: TypeAlias = tuple[int, int, int]

DEFAULT_MAX_PIXELS = 2**31


class ReadError(ValueError):
    """A file that holds no label map segmeter can read; one line, beginning with the file's name.

    Parameters
    ----------
    path : str
        The file's name as it was given. Characters that cannot be printed are escaped in the
        message.
    reason : str
        What is wrong and, where it is known, how to mend it.

    Attributes
    ----------
    path : str
        The file's name as it was given.
    reason : str
        The message without the file's name.

    Examples
    --------
    >>> from segmeter.io import ReadError
    >>> print(ReadError("masks/a.png", "is empty (0 bytes)"))
    masks/a.png: is empty (0 bytes)
    """

    __module__ = "segmeter.io"  # where it is public; tracebacks print this name

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = " ".join(reason.split())
        super().__init__(f"{_printable(path)}: {self.reason}")

    def __reduce__(self) -> tuple[type[ReadError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """The labels of one file.

    Attributes
    ----------
    labels : ndarray
        Integer array in native byte order (floats where scores were asked for), (H, W) for an
        image, (D, H, W) or any other number of axes for a volume. It may be read-only and of any
        memory layout.
    spacing : tuple of float, or None
        Distance between neighbouring elements, one per array axis, in millimetres; None where the
        format does not say.
    path : str
        The file's name as it was given.
    format : str
        Format and layout found in the file, such as ``"png/palette8"`` or ``"nifti/uint8"``.
    notes : tuple of str
        What a person should know about how the file was read, such as lossy compression.
    palette : ndarray, or None
        (N, 3) uint8 colours of the labels 0 to N-1 where the file has a palette.
    affine : ndarray, or None
        (4, 4) float64, array index to millimetres (x to the right, y to the front, z up), where
        the file says it.
    """

    labels: NDArray[Any]
    spacing: tuple[float, ...] | None
    path: str
    format: str
    notes: tuple[str, ...] = ()
    palette: NDArray[np.uint8] | None = None
    affine: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself before its pixels are decoded.

    Attributes
    ----------
    shape : tuple of int
        Shape of the label map; colour channels are not an axis of it.
    dtype : numpy.dtype
        Type of the stored samples.
    format : str
        Format and layout, as in `LabelMap`.
    spacing : tuple of float, or None
        As in `LabelMap`.
    notes : tuple of str
        As in `LabelMap`, as far as the header shows them.
    affine : ndarray, or None
        As in `LabelMap`; equality of headers leaves it out.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    format: str
    spacing: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
    affine: NDArray[np.float64] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class ColorTable:
    """A colour table made ready for lookup: sorted colour codes (r + 256 g + 65536 b), labels."""

    codes: NDArray[np.uint32]
    labels: NDArray[Any]

    @classmethod
    def from_mapping(cls, table: Mapping[Color, int]) -> ColorTable:
        """Check the user's mapping of (r, g, b) to label; ValueError or TypeError if it is bad."""
        if not isinstance(table, Mapping):
            raise TypeError(
                "color_table must be a mapping of (r, g, b) to label, such as {(128, 0, 0): 1}, "
                f"not {type(table).__name__}"
            )
        if not table:
            raise ValueError("color_table is empty; give at least one (r, g, b): label")
        codes = [_color_code(color) for color in table]
        labels = [_table_label(color, label) for color, label in table.items()]
        order = np.argsort(codes)
        dtype = smallest_integer_type(min(labels), max(labels))
        if dtype is None:
            raise ValueError("labels of color_table do not fit into a 64-bit integer")
        return cls(np.array(codes, np.uint32)[order], np.array(labels, dtype)[order])


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How files are to be read; the arguments of `read_label_map`, checked.

    Attributes
    ----------
    color_table : ColorTable, or None
        Colours are labels by this table.
    panoptic : bool
        Colours are labels by r + 256 g + 65536 b.
    max_pixels : int
        A file that claims more pixels or voxels is refused before anything is allocated.
    key : str, or None
        Name of the array in an NPZ archive.
    scores : bool
        Floats are kept as they are; NaN is refused.
    """

    color_table: ColorTable | None = None
    panoptic: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    key: str | None = None
    scores: bool = False

    @classmethod
    def checked(
        cls,
        color_table: Mapping[Color, int] | None,
        panoptic: bool,
        max_pixels: int,
        key: str | None,
        scores: bool = False,
    ) -> ReadOptions:
        """Check the user's arguments; ValueError or TypeError names the bad one."""
        if color_table is not None and panoptic:
            raise ValueError("color_table and panoptic=True exclude each other; give one of them")
        if scores and (panoptic or color_table is not None):
            raise ValueError("scores are no colours; leave out panoptic and color_table")
        if isinstance(max_pixels, bool) or not isinstance(max_pixels, (int, np.integer)):
            raise TypeError(f"max_pixels must be an integer, not {type(max_pixels).__name__}")
        if max_pixels < 1:
            raise ValueError(f"max_pixels must be at least 1, got {max_pixels}")
        if key is not None and not isinstance(key, str):
            raise TypeError(f"key must be a str or None, not {type(key).__name__}")
        table = None if color_table is None else ColorTable.from_mapping(color_table)
        return cls(table, bool(panoptic), int(max_pixels), key, bool(scores))

    @property
    def reads_colors(self) -> bool:
        """Whether labels are asked for by colour, not by stored value."""
        return self.panoptic or self.color_table is not None


def smallest_integer_type(low: int, high: int) -> np.dtype[Any] | None:
    """Return the smallest integer type that holds low and high, unsigned first; None if none."""
    kinds = "ui" if low >= 0 else "i"
    for name in (f"{kind}{size}" for size in (1, 2, 4, 8) for kind in kinds):
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return np.dtype(name)
    return None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _integer(value: object) -> int | None:
    """Return value as an int if it is one (NumPy integers included, bool not), else None."""
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _color_code(color: object) -> int:
    parts = [_integer(part) for part in color] if isinstance(color, tuple) else []
    if len(parts) != 3 or any(part is None or not 0 <= part <= 255 for part in parts):
        raise ValueError(
            f"color_table has the key {color!r}; keys are tuples (r, g, b) of integers 0 to 255"
        )
    red, green, blue = (int(part or 0) for part in parts)
    return red | green << 8 | blue << 16


def _table_label(color: Color, label: object) -> int:
    value = _integer(label)
    if value is None:
        raise TypeError(f"color_table maps {color!r} to {label!r}; labels are integers")
    return value
