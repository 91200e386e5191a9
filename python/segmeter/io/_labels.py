"""From stored samples to labels: the checks and conversions all formats share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter import _core

from ._recycling import recycled
from ._types import LabelMap, ReadOptions, smallest_integer_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._source import Source

# No deflate stream expands by more than this (258 bytes from two bits, and block headers).
DEFLATE_RATIO = 1032


def check_size(source: Source, shape: tuple[int, ...], max_pixels: int) -> None:
    """Refuse a shape without pixels or with more than max_pixels, before anything is allocated."""
    pixels = math.prod(shape)
    size = " x ".join(str(length) for length in shape)
    if pixels < 1 or min(shape, default=0) < 1:
        raise source.error(f"has no pixels (shape {size or '()'})")
    if pixels > max_pixels:
        raise source.error(
            f"has {size} = {pixels:,} pixels, more than max_pixels = {max_pixels:,}; "
            "read_label_map(max_pixels=...) reads more, an evaluation does not"
        )


def check_stored(source: Source, needed: int, stored: int, ratio: int = 1) -> None:
    """Refuse a header that promises more bytes than the stored ones can hold, before allocating."""
    if needed > stored * ratio:
        compressed = " compressed" if ratio > 1 else ""
        raise source.error(
            f"is truncated or its header is wrong: {needed:,} bytes of pixels promised, "
            f"{stored:,}{compressed} bytes there"
        )


def make_label_map(
    source: Source,
    options: ReadOptions,
    samples: NDArray[Any],
    *,
    layout: str,
    channels: int = 1,
    bits: int = 8,
    palette: NDArray[np.uint8] | None = None,
    spacing: tuple[float, ...] | None = None,
    notes: tuple[str, ...] = (),
    affine: NDArray[np.float64] | None = None,
) -> LabelMap:
    """Make the label map of decoded samples: by stored value, or by colour if that is asked for.

    Parameters
    ----------
    source, options
        The file and how it is to be read.
    samples : ndarray
        Decoded samples as they are stored; with more than one channel these are the last axis.
    layout : str
        Format and layout for `LabelMap.format`.
    channels : int
        1 values or palette indices, 2 gray and alpha, 3 RGB, 4 RGB and alpha; more is refused.
    bits : int
        Bits of a sample; a gray value's colour depends on it.
    palette, spacing, notes, affine
        As in `LabelMap`.
    """
    if options.reads_colors:
        codes, color_notes = _color_codes(source, samples, channels, bits, palette)
        labels = codes if options.panoptic else _labels_of_codes(source, codes, options)
        notes += color_notes
    elif channels > 1:
        raise source.error(
            f"holds colours, not labels ({layout}, {channels} channels): pass panoptic=True for "
            "panoptic ids or color_table={(r, g, b): label, ...} for a colour-coded mask, "
            "or store labels in one channel"
        )
    elif options.scores and samples.dtype.kind == "f":
        labels = _scores(source, samples)
    else:
        labels, integer_notes = _integer_labels(source, samples)
        notes += integer_notes
    return LabelMap(labels, spacing, source.name, layout, notes, palette, affine)


def _scores(source: Source, samples: NDArray[Any]) -> NDArray[Any]:
    """Return floats as stored; NaN has no place on either side of a threshold."""
    missing = np.isnan(samples)
    if missing.any():
        position = _index(first_position(missing))
        raise source.error(
            f"holds NaN, which is no score: {int(missing.sum()):,} of {missing.size:,} values, "
            f"first at {position}"
        )
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _integer_labels(source: Source, samples: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return samples as integers in native byte order: exactly, or not at all."""
    kind = samples.dtype.kind
    if kind == "b":  # a bool read from a file may hold any byte; only 0 is False
        return (samples.view(np.uint8) != 0).view(np.uint8), ()
    if kind in "ui":
        return samples.astype(samples.dtype.newbyteorder("="), copy=False), ()
    if kind != "f":
        raise source.error(f"holds {samples.dtype} values; labels must be integers")
    return _integral_floats(source, samples)


def _integral_floats(source: Source, samples: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    low, high = samples.min(), samples.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _not_integral(source, samples, ~np.isfinite(samples))
    dtype = smallest_integer_type(math.floor(low), math.ceil(high))
    if dtype is None:
        raise source.error(f"holds values from {low} to {high}: beyond 64-bit integers")
    labels = samples.astype(dtype)
    wrong = labels != samples
    if wrong.any():
        raise _not_integral(source, samples, wrong)
    return labels, (f"{samples.dtype} values are all whole numbers, read as {dtype}",)


def _not_integral(source: Source, samples: NDArray[Any], wrong: NDArray[np.bool_]) -> Exception:
    return source.error(
        f"holds {samples.dtype} values that are not whole numbers: {int(wrong.sum()):,} of "
        f"{wrong.size:,}, first {samples[first_position(wrong)]} at "
        f"{_index(first_position(wrong))}; labels must be integers (scores need an argmax or "
        "a threshold first)"
    )


def first_position(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True in C order."""
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _index(position: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, position)) + "]"


def _color_codes(
    source: Source,
    samples: NDArray[Any],
    channels: int,
    bits: int,
    palette: NDArray[np.uint8] | None,
) -> tuple[NDArray[np.uint32], tuple[str, ...]]:
    """Code r + 256 g + 65536 b of every pixel's colour; transparency changes no colour."""
    if bits > 8 or samples.dtype.kind not in "bu" or samples.dtype.itemsize > 1 or channels > 4:
        raise source.error(
            "panoptic=True and color_table need colours of 8 bits a channel; this file has "
            f"{channels} channel(s) of {bits}-bit {samples.dtype} values"
        )
    notes: tuple[str, ...] = ()
    if channels in (2, 4):
        transparent = int((samples[..., -1] != 255).sum())
        if transparent:
            notes = (f"the alpha channel is ignored ({transparent:,} pixels are not opaque)",)
    if channels > 2:
        codes = recycled(samples.shape[:-1], np.uint32)
        pixels = _rows_of_pixels(samples)
        _core.color_codes(pixels, codes.reshape(pixels.shape[:2]))
        return codes, notes
    if palette is None:  # the colour of a gray value is the value stretched to 0..255, thrice
        ramp = [value * 255 // (2**bits - 1) for value in range(2**bits)]
        palette = np.repeat(np.array(ramp, np.uint8)[:, None], 3, axis=1)
    values = (samples[..., 0] if channels == 2 else samples).view(np.uint8)
    if int(values.max()) >= len(palette):
        raise source.error(
            f"has pixels of palette index {int(values.max())}, but only {len(palette)} colours"
        )
    palette_codes = palette.astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
    return palette_codes[values], notes


def _rows_of_pixels(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Samples of bytes as (rows, pixels, channels); rows of an image stay where they are."""
    channels = samples.shape[-1]
    if samples.ndim == 3 and samples.dtype == np.uint8 and samples.strides[1:] == (channels, 1):
        return samples
    return np.ascontiguousarray(samples, np.uint8).reshape(1, -1, channels)


def _labels_of_codes(
    source: Source, codes: NDArray[np.uint32], options: ReadOptions
) -> NDArray[Any]:
    """Look colour codes up in the colour table; an unknown colour is an error."""
    table = options.color_table
    assert table is not None
    entries = np.minimum(np.searchsorted(table.codes, codes), len(table.codes) - 1)
    unknown = table.codes[entries] != codes
    if unknown.any():
        position = first_position(unknown)
        others = len(np.unique(codes[unknown])) - 1
        raise source.error(
            f"has the colour {_rgb(int(codes[position]))}, which is not in color_table: "
            f"{int((codes == codes[position]).sum()):,} pixels, first at {_index(position)}"
            + (f"; {others} more colours are unknown" if others else "")
        )
    labels: NDArray[Any] = table.labels[entries]
    return labels


def _rgb(code: int) -> tuple[int, int, int]:
    return code & 255, code >> 8 & 255, code >> 16
