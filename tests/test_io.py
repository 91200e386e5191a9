"""Readers: what each format's labels are, checked by files written here and by real data."""

from __future__ import annotations

import gc
import gzip
import io
import itertools
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmeter import _core
from segmeter.io import (
    Header,
    LabelMap,
    Reader,
    ReadError,
    Support,
    _registry,
    probe,
    read_label_map,
    register_reader,
    supported,
)
from segmeter.reference import readers as reference_readers

if TYPE_CHECKING:
    from pathlib import Path

nibabel = pytest.importorskip("nibabel")
tifffile = pytest.importorskip("tifffile")
Image = pytest.importorskip("PIL.Image")

PALETTE = [(0, 0, 0), (200, 10, 30), (10, 200, 30), (255, 255, 255)]


# ------------------------------------------------------------------------------------------------
# A PNG writer for what Pillow cannot write: every bit depth, filter, interlacing, any chunk.
# ------------------------------------------------------------------------------------------------

GRAY, RGB, INDEXED, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, INDEXED: 1, GRAY_ALPHA: 2, RGBA: 4}
ADAM7 = (
    (0, 8, 0, 8),
    (0, 8, 4, 8),
    (4, 8, 0, 4),
    (0, 4, 2, 4),
    (2, 4, 0, 2),
    (0, 2, 1, 2),
    (1, 2, 0, 1),
)


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def pack_row(row: np.ndarray, bits: int) -> bytes:
    """Samples of one row, most significant bit first, padded to whole bytes."""
    if bits == 16:
        return row.astype(">u2").tobytes()
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    digits = "".join(format(int(value), f"0{bits}b") for value in row)
    digits = digits.ljust(-(-len(digits) // 8) * 8, "0")
    return int(digits, 2).to_bytes(len(digits) // 8, "big")


def filter_row(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """One of the five PNG filters, as the specification defines them."""
    out = bytearray([kind])
    for i, value in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = above[i]
        c = above[i - step] if i >= step else 0
        nearest = min((a, b, c), key=lambda x: abs(a + b - c - x))
        out.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) & 255)
    return bytes(out)


def filtered(samples: np.ndarray, bits: int, filters: list[int]) -> bytes:
    """Packed, filtered rows of samples of shape (H, W, channels)."""
    step = max(1, samples.shape[2] * bits // 8)
    out, above = b"", b""
    for i, row in enumerate(samples):
        packed = pack_row(row.reshape(-1), bits)
        out += filter_row(filters[i % len(filters)], packed, above or bytes(len(packed)), step)
        above = packed
    return out


def png(
    samples: np.ndarray,
    bits: int = 8,
    color_type: int = GRAY,
    *,
    interlaced: bool = False,
    filters: tuple[int, ...] = (0,),
    palette: list[tuple[int, int, int]] | None = None,
    extra: bytes = b"",
    parts: int = 1,
) -> bytes:
    """A PNG file of samples (H, W) or (H, W, channels); `extra` goes in front of the pixels."""
    height, width = samples.shape[:2]
    samples = samples.reshape(height, width, CHANNELS[color_type])
    passes = ADAM7 if interlaced else ((0, 1, 0, 1),)
    rows = b"".join(
        filtered(samples[top::down, left::right], bits, list(filters))
        for top, down, left, right in passes
        if samples[top::down, left::right].size
    )
    stream = zlib.compress(rows)
    cuts = [len(stream) * i // parts for i in range(parts + 1)]
    plte = chunk(b"PLTE", bytes(np.array(palette, np.uint8))) if palette else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, interlaced))
        + plte
        + extra
        + b"".join(chunk(b"IDAT", stream[a:b]) for a, b in itertools.pairwise(cuts))
        + chunk(b"IEND")
    )


def equal(label_map: LabelMap, expected: np.ndarray) -> None:
    """Labels are what is expected, of an integer type in native byte order."""
    np.testing.assert_array_equal(label_map.labels, expected)
    assert label_map.labels.dtype.kind in "ui"
    assert label_map.labels.dtype.isnative


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ------------------------------------------------------------------------------------------------
# PNG
# ------------------------------------------------------------------------------------------------


@st.composite
def png_cases(draw: st.DrawFn) -> tuple[np.ndarray, int, int, dict[str, object]]:
    color_type = draw(st.sampled_from([GRAY, INDEXED]))
    bits = draw(st.sampled_from([1, 2, 4, 8, 16] if color_type == GRAY else [1, 2, 4, 8]))
    shape = draw(st.tuples(st.integers(1, 19), st.integers(1, 19)))
    samples = rng(draw(st.integers(0, 2**32 - 1))).integers(0, 2**bits, shape)
    options = {
        "interlaced": draw(st.booleans()),
        "filters": draw(st.lists(st.integers(0, 4), min_size=1, max_size=5)),
        "parts": draw(st.integers(1, 3)),
        "palette": [(i, 255 - i, 7) for i in range(2**bits)] if color_type == INDEXED else None,
    }
    return samples, bits, color_type, options


@given(png_cases())
def test_png_gives_the_stored_samples(
    case: tuple[np.ndarray, int, int, dict[str, object]],
) -> None:
    samples, bits, color_type, options = case
    label_map = read_label_map(png(samples, bits, color_type, **options))
    equal(label_map, samples)
    assert label_map.labels.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert label_map.format == f"png/{'gray' if color_type == GRAY else 'palette'}{bits}"
    assert label_map.notes == ()
    assert label_map.spacing is None
    if color_type == GRAY:
        assert label_map.palette is None
    else:
        np.testing.assert_array_equal(label_map.palette, options["palette"])


@given(
    seed=st.integers(0, 2**32 - 1),
    color_type=st.sampled_from([GRAY, RGB, RGBA]),
    width=st.integers(1, 150),
    filters=st.lists(st.integers(0, 4), min_size=1, max_size=4),
)
def test_png_rows_of_objects(
    seed: int, color_type: int, width: int, filters: tuple[int, ...]
) -> None:
    # Long stretches that a filter predicts rightly, as in label maps, with borders that move.
    random = rng(seed)
    objects = random.integers(0, 256, (9, CHANNELS[color_type]))
    borders = np.sort(random.integers(0, width + 1, 8)) + random.integers(-1, 2, (6, 8)).cumsum(0)
    places = (np.arange(width)[None, :, None] >= borders[:, None, :]).sum(axis=2)
    samples = objects[places]
    file = png(samples, 8, color_type, filters=filters)
    np.testing.assert_array_equal(_pillow_samples(file).reshape(samples.shape), samples)
    if color_type == GRAY:
        equal(read_label_map(file), samples[..., 0])
    else:
        equal(read_label_map(file, panoptic=True), samples[..., :3] @ [1, 256, 65536])


def _pillow_samples(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image)


@given(st.data())
def test_rows_of_png_as_the_twin_unfilters_them(data: st.DataObject) -> None:
    pixel_bytes = data.draw(st.integers(1, 4))
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 70))
    values = rng(data.draw(st.integers(0, 2**32 - 1)))
    rows = values.integers(0, 256, (height, 1 + width * pixel_bytes)).astype(np.uint8)
    # Long stretches of right predictions, as label maps have them, and now and then a surprise.
    rows[values.random(rows.shape) < data.draw(st.sampled_from([0, 0.98]))] = 0
    rows[:, 0] = values.integers(0, data.draw(st.sampled_from([5, 6])), height)
    ours, theirs = rows.copy(), rows.copy()
    possible = reference_readers.unfilter_png(theirs, pixel_bytes)
    assert _core.unfilter_png(ours, pixel_bytes) == possible == (rows[:, 0] < 5).all()
    if possible:
        np.testing.assert_array_equal(ours, theirs)


@given(st.integers(1, 5), st.integers(1, 70), st.sampled_from([3, 4]), st.integers(0, 2**32 - 1))
def test_colours_as_the_twin_numbers_them(h: int, w: int, channels: int, seed: int) -> None:
    pixels = rng(seed).integers(0, 256, (h, w, channels)).astype(np.uint8)
    ours, theirs = np.zeros((2, h, w), np.uint32)
    _core.color_codes(pixels, ours)
    reference_readers.color_codes(pixels, theirs)
    np.testing.assert_array_equal(ours, theirs)


def test_png_of_an_unknown_filter_is_damaged() -> None:
    stream = zlib.compress(bytes([5, 1, 2, 3]))
    file = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, 8, GRAY, 0, 0, 0))
        + chunk(b"IDAT", stream)
        + chunk(b"IEND")
    )
    with pytest.raises(ReadError, match="damaged or unsupported PNG"):
        read_label_map(file)


def test_label_maps_that_are_held_share_no_memory() -> None:
    # Memory of maps that are gone is used again; that of maps that are still held is not.
    size = 512, 600
    files = [png(np.full((*size, 3), i), 8, RGB, filters=(2,)) for i in range(3)]
    grays = [png(np.full(size, i), 8, GRAY, filters=(1,)) for i in range(3)]
    for _ in range(2):
        maps = [read_label_map(file, panoptic=True).labels for file in files]
        masks = [read_label_map(file).labels for file in grays]
        part = read_label_map(files[1], panoptic=True).labels[3:5, 7:9]
        for i in range(3):
            assert (maps[i] == i * 0x10101).all()
            assert (masks[i] == i).all()
        assert (part == 0x10101).all()
        del maps, masks
        assert (part == 0x10101).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_gray_is_not_stretched(bits: int) -> None:
    values = np.array([[0, 1, 2**bits - 1]])
    equal(read_label_map(png(values, bits)), values)


def test_png_16_bit_is_exact() -> None:
    samples = np.arange(65536).reshape(256, 256)
    equal(read_label_map(png(samples, 16)), samples)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"tRNS", b"\0\xff\x80\x40"),
        chunk(b"tRNS", b"\0"),
        chunk(b"gAMA", struct.pack(">I", 45455)),
        chunk(b"tEXt", b"Comment\0 text"),
        chunk(b"zTXt", b"broken\0\0 no zlib stream"),
        chunk(b"eXIf", b"no exif"),
        chunk(b"abCd", bytes(100)),
    ],
    ids=lambda extra: extra[4:8].decode(),
)
@pytest.mark.parametrize("color_type", [GRAY, INDEXED])
def test_png_ancillary_chunks_change_no_label(extra: bytes, color_type: int) -> None:
    samples = np.array([[0, 1], [2, 3]])
    file = png(
        samples, 8, color_type, palette=PALETTE if color_type == INDEXED else None, extra=extra
    )
    label_map = read_label_map(file)
    equal(label_map, samples)
    assert label_map.notes == ()


def test_png_palette_with_equal_colours_keeps_its_indices() -> None:
    samples = np.array([[0, 1, 2, 3]])
    file = png(samples, 2, INDEXED, palette=[(9, 9, 9)] * 4)
    equal(read_label_map(file), samples)


def test_png_palette_index_without_a_colour_is_still_a_label() -> None:
    equal(read_label_map(png(np.array([[255, 3]]), 8, INDEXED, palette=PALETTE)), [[255, 3]])


@pytest.mark.parametrize(
    ("bits", "color_type"),
    [(8, RGB), (8, GRAY_ALPHA), (8, RGBA)],
)
def test_png_colours_are_no_labels_unless_asked(bits: int, color_type: int) -> None:
    file = png(np.zeros((2, 3, CHANNELS[color_type]), int), bits, color_type)
    with pytest.raises(ReadError, match=r"holds colours, not labels.*panoptic=True.*color_table"):
        read_label_map(file)
    assert probe(file).shape == (2, 3)


@pytest.mark.parametrize("color_type", [RGB, GRAY_ALPHA, RGBA])
@pytest.mark.parametrize("panoptic", [False, True])
def test_png_16_bit_colours_are_refused(color_type: int, panoptic: bool) -> None:
    file = png(np.zeros((2, 3, CHANNELS[color_type]), int), 16, color_type)
    with pytest.raises(ReadError, match="16-bit colours"):
        read_label_map(file, panoptic=panoptic)


def test_animated_png_is_noted() -> None:
    samples = np.array([[1, 2]])
    label_map = read_label_map(png(samples, extra=chunk(b"acTL", struct.pack(">II", 2, 0))))
    equal(label_map, samples)
    assert label_map.notes == ("animated: only the still image is read",)


# ------------------------------------------------------------------------------------------------
# Colours as labels
# ------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_panoptic_ids(seed: int, interlaced: bool) -> None:
    colors = rng(seed).integers(0, 256, (5, 7, 3))
    label_map = read_label_map(png(colors, 8, RGB, interlaced=interlaced), panoptic=True)
    equal(label_map, colors @ [1, 256, 65536])
    assert label_map.labels.dtype == np.uint32


def test_panoptic_ids_do_not_depend_on_how_colours_are_stored() -> None:
    indices = np.array([[0, 1], [2, 3]])
    expected = np.array(PALETTE)[indices] @ [1, 256, 65536]
    stored_by_palette = png(indices, 8, INDEXED, palette=PALETTE)
    equal(read_label_map(stored_by_palette, panoptic=True), expected)
    gray = np.array([[0, 1, 2, 3]])
    for bits, scale in ((2, 85), (4, 17), (8, 1)):
        equal(read_label_map(png(gray, bits), panoptic=True), gray * scale * 0x010101)


def test_alpha_changes_no_colour_and_is_noted() -> None:
    rgba = np.array([[[1, 2, 3, 255], [1, 2, 3, 0]]])
    label_map = read_label_map(png(rgba, 8, RGBA), panoptic=True)
    equal(label_map, [[0x030201, 0x030201]])
    assert label_map.notes == ("the alpha channel is ignored (1 pixels are not opaque)",)
    opaque = read_label_map(png(rgba[:, :1], 8, RGBA), panoptic=True)
    assert opaque.notes == ()
    gray = read_label_map(png(np.array([[[5, 255]]]), 8, GRAY_ALPHA), color_table={(5, 5, 5): 9})
    equal(gray, [[9]])


def test_color_table() -> None:
    table = dict(zip(PALETTE, (7, 255, 0, 3), strict=True))
    indices = rng().integers(0, 4, (6, 5))
    expected = np.array([7, 255, 0, 3])[indices]
    by_color = png(np.array(PALETTE)[indices], 8, RGB)
    by_palette = png(indices, 2, INDEXED, palette=PALETTE)
    for file in (by_color, by_palette):
        label_map = read_label_map(file, color_table=table)
        equal(label_map, expected)
        assert label_map.labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("labels", "dtype"), [((0, 256), np.uint16), ((-1, 3), np.int8), ((-1, 128), np.int16)]
)
def test_color_table_gives_the_smallest_type(labels: tuple[int, int], dtype: type) -> None:
    table = {(0, 0, 0): labels[0], (np.uint8(1), 0, 0): np.int64(labels[1])}
    label_map = read_label_map(png(np.array([[[0, 0, 0], [1, 0, 0]]]), 8, RGB), color_table=table)
    equal(label_map, [labels])
    assert label_map.labels.dtype == dtype


def test_unknown_colour_is_named_with_count_and_position() -> None:
    colors = np.zeros((4, 5, 3), int)
    colors[2, 3] = colors[3, 0] = (1, 2, 3)
    colors[3, 4] = (9, 9, 9)
    with pytest.raises(ReadError) as caught:
        read_label_map(png(colors, 8, RGB), color_table={(0, 0, 0): 0})
    assert caught.value.reason == (
        "has the colour (1, 2, 3), which is not in color_table: 2 pixels, first at [2, 3]; "
        "1 more colours are unknown"
    )


def test_palette_without_the_colour_of_an_index() -> None:
    file = png(np.array([[0, 9]]), 8, INDEXED, palette=PALETTE)
    with pytest.raises(ReadError, match="palette index 9, but only 4 colours"):
        read_label_map(file, panoptic=True)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"color_table": {(0, 0, 0): 0}, "panoptic": True}, ValueError, "exclude each other"),
        ({"color_table": {}}, ValueError, "color_table is empty"),
        ({"color_table": [(0, 0, 0)]}, TypeError, "mapping of .*not list"),
        ({"color_table": {(0, 0): 0}}, ValueError, r"has the key \(0, 0\)"),
        ({"color_table": {(0, 0, 256): 0}}, ValueError, "integers 0 to 255"),
        ({"color_table": {(0, 0, True): 0}}, ValueError, "integers 0 to 255"),
        ({"color_table": {0: 0}}, ValueError, "has the key 0"),
        ({"color_table": {(0, 0, 0): 0.5}}, TypeError, "to 0.5; labels are integers"),
        ({"color_table": {(0, 0, 0): 2**64}}, ValueError, "do not fit"),
        ({"max_pixels": 0}, ValueError, "max_pixels must be at least 1, got 0"),
        ({"max_pixels": 1.5}, TypeError, "max_pixels must be an integer, not float"),
        ({"max_pixels": True}, TypeError, "max_pixels must be an integer, not bool"),
        ({"key": 3}, TypeError, "key must be a str or None, not int"),
    ],
)
def test_bad_arguments(options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        read_label_map(png(np.zeros((1, 1), int)), **options)
    assert not isinstance(caught.value, ReadError)


# ------------------------------------------------------------------------------------------------
# BMP, GIF, JPEG
# ------------------------------------------------------------------------------------------------


def bmp(
    samples: np.ndarray,
    bits: int,
    palette: list[tuple[int, int, int]],
    *,
    top_down: bool = False,
    rle: bytes | None = None,
) -> bytes:
    height, width = samples.shape
    stride = (width * bits + 31) // 32 * 4
    order = samples if top_down else samples[::-1]
    rows = rle or b"".join(pack_row(row, bits).ljust(stride, b"\0") for row in order)
    colors = b"".join(bytes((blue, green, red, 0)) for red, green, blue in palette)
    offset = 54 + len(colors)
    info = struct.pack(
        "<IiiHHIIiiII",
        *(40, width, -height if top_down else height, 1, bits, 1 if rle else 0),
        *(len(rows), 0, 0, len(palette), 0),
    )
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + colors + rows


BMP_PALETTES = {
    "gray ramp": lambda n: [(i, i, i) for i in range(n)],
    "black and white": lambda n: [(0, 0, 0), (255, 255, 255)][:n],
    "white and black": lambda n: [(255, 255, 255), (0, 0, 0)][:n],
    "colours": lambda n: [(i, 255 - i, 3) for i in range(n)],
    "black first": lambda n: [(0, 0, 0)] + [(i, 1, 2) for i in range(1, n)],
}


@given(
    st.sampled_from([1, 4, 8]),
    st.sampled_from(sorted(BMP_PALETTES)),
    st.booleans(),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 2**32 - 1),
)
def test_bmp_gives_indices(
    bits: int, kind: str, top_down: bool, shape: tuple[int, int], seed: int
) -> None:
    palette = BMP_PALETTES[kind](2**bits)
    samples = rng(seed).integers(0, len(palette), shape)
    label_map = read_label_map(bmp(samples, bits, palette, top_down=top_down))
    equal(label_map, samples)
    assert label_map.format == "bmp/palette8"
    np.testing.assert_array_equal(label_map.palette[: len(palette)], palette)


def test_bmp_run_length_encoded() -> None:
    rle = (
        b"\x03\x01\x01\x02\x00\x00" + b"\x04\x07\x00\x01"
    )  # rows from the bottom: 1 1 1 2, 7 7 7 7
    samples = np.array([[7, 7, 7, 7], [1, 1, 1, 2]])
    equal(read_label_map(bmp(samples, 8, BMP_PALETTES["gray ramp"](8), rle=rle)), samples)


def test_bmp_colours(tmp_path: Path) -> None:
    colors = rng().integers(0, 256, (3, 5, 3)).astype(np.uint8)
    path = tmp_path / "colours.bmp"
    Image.fromarray(colors).save(path)
    with pytest.raises(ReadError, match="holds colours"):
        read_label_map(path)
    equal(read_label_map(path, panoptic=True), colors.astype(int) @ [1, 256, 65536])


def pillow_file(samples: np.ndarray, format_name: str, mode: str, **options: object) -> bytes:
    image = Image.fromarray(samples.astype(np.uint8))
    if mode == "P":
        image = image.convert("L")
        image.putpalette([value for color in PALETTE for value in color])
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def test_gif_gives_indices() -> None:
    samples = rng().integers(0, 4, (9, 14))
    label_map = read_label_map(pillow_file(samples, "GIF", "P", optimize=False))
    equal(label_map, samples)
    np.testing.assert_array_equal(label_map.palette[:4], PALETTE)
    gray = rng().integers(0, 256, (9, 14))
    equal(read_label_map(pillow_file(gray, "GIF", "L", optimize=False)), gray)


def test_gif_transparency_changes_no_label() -> None:
    samples = rng().integers(0, 4, (9, 14))
    equal(read_label_map(pillow_file(samples, "GIF", "P", optimize=False, transparency=2)), samples)


def test_animated_gif_is_noted() -> None:
    first, second = (Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (3, 200))
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second], optimize=False)
    label_map = read_label_map(file.getvalue())
    assert label_map.notes == ("animated: only the first frame is read",)
    assert len(np.unique(label_map.labels)) == 1
    assert probe(file.getvalue()).notes == label_map.notes


def test_jpeg_is_read_with_a_warning_in_its_notes() -> None:
    samples = np.full((16, 16), 77)
    file = pillow_file(samples, "JPEG", "L", quality=95)
    label_map = read_label_map(file)
    equal(label_map, samples)
    assert label_map.format == "jpeg/gray8"
    assert "lossy" in label_map.notes[0]
    assert probe(file) == Header((16, 16), np.dtype(np.uint8), "jpeg/gray8", None, label_map.notes)


def test_jpeg_cmyk_is_refused() -> None:
    file = io.BytesIO()
    Image.new("CMYK", (4, 4)).save(file, "JPEG")
    with pytest.raises(ReadError, match="CMYK colours"):
        read_label_map(file.getvalue())


def test_size_limit_is_per_call_and_no_state_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Image.open would warn, then fail
    samples = rng().integers(0, 4, (8, 8))
    for file in (
        png(samples),
        *(pillow_file(samples, name, "L") for name in ("BMP", "GIF", "JPEG")),
    ):
        assert read_label_map(file).labels.shape == (8, 8)
        with pytest.raises(ReadError, match="8 x 8 = 64 pixels, more than max_pixels = 63"):
            read_label_map(file, max_pixels=63)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_lenient_pillow_is_noted_but_png_stays_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    samples = np.full((16, 16), 5)
    notes = read_label_map(pillow_file(samples, "BMP", "L")).notes
    assert any("LOAD_TRUNCATED_IMAGES" in note for note in notes)
    rows = zlib.compress(b"\0" * (17 * 8))  # half the rows, in chunks that are all right
    file = png(samples)
    start = file.index(b"IDAT") - 4
    with pytest.raises(ReadError, match=r"136 of 272 bytes of pixels are there"):
        read_label_map(file[:start] + chunk(b"IDAT", rows) + chunk(b"IEND"))


# ------------------------------------------------------------------------------------------------
# TIFF
# ------------------------------------------------------------------------------------------------


def tiff(samples: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


TIFF_TYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8")


@given(
    st.sampled_from(TIFF_TYPES),
    st.sampled_from([None, "zlib", "lzw", "packbits", "zstd"]),
    st.sampled_from(["<", ">"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_tiff(
    dtype: str, compression: str | None, order: str, bigtiff: bool, tiled: bool, seed: int
) -> None:
    limits = np.iinfo(dtype)
    samples = rng(seed).integers(limits.min, limits.max, (18, 21), dtype=dtype, endpoint=True)
    options = {"tile": (16, 16)} if tiled else {"rowsperstrip": 5}
    file = tiff(
        samples,
        compression=compression,
        byteorder=order,
        bigtiff=bigtiff,
        photometric="minisblack",
        **options,
    )
    label_map = read_label_map(file)
    equal(label_map, samples)
    assert label_map.labels.dtype == samples.dtype
    assert label_map.format == f"tiff/{np.dtype(dtype).name}"
    assert probe(file) == Header((18, 21), samples.dtype, label_map.format)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"imagej": True},
        {"ome": True},
        {"ome": True, "compression": "lzw"},
        {"metadata": None},
        {"metadata": None, "compression": "lzw"},
    ],
    ids=str,
)
def test_tiff_pages_are_a_volume(options: dict[str, object]) -> None:
    samples = rng().integers(0, 999, (5, 8, 9)).astype(np.uint16)
    file = tiff(samples, photometric="minisblack", **options)
    label_map = read_label_map(file)
    equal(label_map, samples)
    assert probe(file).shape == (5, 8, 9)


def test_tiff_palette_gives_indices() -> None:
    samples = rng().integers(0, 256, (7, 8)).astype(np.uint8)
    colormap = rng(1).integers(0, 65536, (3, 256)).astype(np.uint16)
    label_map = read_label_map(tiff(samples, photometric="palette", colormap=colormap))
    equal(label_map, samples)
    assert label_map.format == "tiff/palette"
    np.testing.assert_array_equal(label_map.palette, colormap.T >> 8)


def test_tiff_one_bit_is_0_and_1() -> None:
    samples = rng().integers(0, 2, (9, 11)).astype(bool)
    label_map = read_label_map(tiff(samples))
    equal(label_map, samples)
    assert label_map.labels.dtype == np.uint8
    by_color = read_label_map(tiff(samples), color_table={(0, 0, 0): 5, (255, 255, 255): 6})
    equal(by_color, samples + 5)


def test_tiff_min_is_white_is_noted() -> None:
    label_map = read_label_map(tiff(np.array([[0, 9]], np.uint8), photometric="miniswhite"))
    equal(label_map, [[0, 9]])
    assert "min-is-white" in label_map.notes[0]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_colours(planar: str) -> None:
    colors = rng().integers(0, 256, (6, 7, 3)).astype(np.uint8)
    stored = colors if planar == "contig" else np.moveaxis(colors, -1, 0)
    file = tiff(stored, photometric="rgb", planarconfig=planar)
    with pytest.raises(ReadError, match="holds colours"):
        read_label_map(file)
    equal(read_label_map(file, panoptic=True), colors.astype(int) @ [1, 256, 65536])
    assert probe(file).shape == (6, 7)


def test_tiff_16_bit_colours_are_refused() -> None:
    file = tiff(np.zeros((4, 5, 3), np.uint16), photometric="rgb")
    with pytest.raises(ReadError, match="need colours of 8 bits"):
        read_label_map(file, panoptic=True)


def test_tiff_several_series_are_noted() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.array([[1, 2]], np.uint8))
        writer.write(np.array([[3], [4]], np.uint8))
    label_map = read_label_map(file.getvalue())
    equal(label_map, [[1, 2]])
    assert label_map.notes == ("only the first of 2 image series is read",)


@given(st.integers(0, 2**32 - 1), st.integers(1, 255), st.booleans())
def test_tiff_lzw_of_every_length(seed: int, labels: int, predictor: bool) -> None:
    """Streams long enough for codes of all widths and full tables."""
    samples = rng(seed).integers(0, labels, (97, 101)).astype(np.uint8)
    equal(read_label_map(tiff(samples, compression="lzw", predictor=predictor)), samples)


def test_tiff_other_compressions_are_refused() -> None:
    content = bytearray(tiff(np.zeros((4, 5), np.uint8), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        offset = file.pages[0].tags["Compression"].valueoffset
    content[offset : offset + 2] = struct.pack("<H", 3)  # a decoder that finds no damage
    with pytest.raises(ReadError, match=r"CCITT.*compressions read: none, LZW, JPEG, deflate"):
        read_label_map(bytes(content))


def test_tiff_jpeg_compression_is_noted() -> None:
    file = tiff(np.full((16, 16), 7, np.uint8), compression="jpeg")
    assert "compressed with JPEG, which is lossy" in read_label_map(file).notes[0]


# ------------------------------------------------------------------------------------------------
# Whole numbers stored as floats, in every format that has them
# ------------------------------------------------------------------------------------------------


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def nii(
    array: np.ndarray,
    spacing: tuple[float, ...] = (),
    *,
    dtype: object = None,
    second: bool = False,
    slope: tuple[float, float] | None = None,
) -> bytes:
    """A NIfTI file of `array` as it is; with slope the header says values are scaled."""
    image_type = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    header_type = image_type.header_class
    header = header_type(endianness="<" if array.dtype.isnative else ">")
    header.set_data_dtype(dtype or array.dtype)
    header.set_data_shape(array.shape)
    if spacing:
        header.set_zooms(spacing)
    header["magic"] = b"n+2" if second else b"n+1"
    header["vox_offset"] = 544 if second else 352
    if slope:
        header["scl_slope"], header["scl_inter"] = slope
    return header.binaryblock + b"\0\0\0\0" + array.tobytes(order="F")


FLOAT_WRITERS = {
    "npy": npy,
    "tiff": lambda array: tiff(array, photometric="minisblack"),
    "nifti": nii,
}


@pytest.mark.parametrize("write", FLOAT_WRITERS.values(), ids=FLOAT_WRITERS)
@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((0.0, 255.0), np.uint8),
        ((-0.0, 256.0), np.uint16),
        ((-1.0, 127.0), np.int8),
        ((-1.0, 128.0), np.int16),
        ((0.0, 2.0**24), np.uint32),
        ((0.0, 2.0**63), np.uint64),
        ((-(2.0**63), 1.0), np.int64),
    ],
)
def test_whole_floats_become_the_smallest_integers(
    write: object, values: tuple[float, float], dtype: type
) -> None:
    array = np.array([values, values[::-1]], np.float64)
    label_map = read_label_map(write(array))
    assert label_map.labels.dtype == dtype
    assert [[int(v) for v in row] for row in label_map.labels] == [
        [int(v) for v in row] for row in array
    ]
    assert label_map.notes == (f"float64 values are all whole numbers, read as {np.dtype(dtype)}",)


@pytest.mark.parametrize("write", FLOAT_WRITERS.values(), ids=FLOAT_WRITERS)
@pytest.mark.parametrize("bad", [0.5, 1e-30, np.nan, np.inf, -np.inf, 255.00001])
def test_other_floats_are_refused(write: object, bad: float) -> None:
    array = np.zeros((4, 5), np.float32)
    array[2, 3] = array[3, 1] = bad
    with pytest.raises(ReadError) as caught:
        read_label_map(write(array))
    assert "float32 values that are not whole numbers: 2 of 20, first" in caught.value.reason
    assert "at [2, 3]; labels must be integers" in caught.value.reason


@pytest.mark.parametrize("value", [1e300, -1e20])
def test_floats_beyond_64_bits_are_refused(value: float) -> None:
    with pytest.raises(ReadError, match="beyond 64-bit integers"):
        read_label_map(npy(np.array([[0.0, value]])))


# ------------------------------------------------------------------------------------------------
# NPY, NPZ
# ------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["?", *TIFF_TYPES, "f2", "f4", "f8"]),
    st.sampled_from("<>"),
    st.sampled_from("CF"),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_npy(dtype: str, byte_order: str, order: str, shape: list[int], seed: int) -> None:
    values = rng(seed).integers(0, 2 if dtype == "?" else 100, shape)
    array = values.astype(np.dtype(dtype).newbyteorder(byte_order), order=order)
    label_map = read_label_map(npy(array))
    equal(label_map, values)
    assert label_map.format == f"npy/{array.dtype.name}"
    header = probe(npy(array))
    assert (header.shape, header.dtype, header.format) == (
        array.shape,
        array.dtype,
        label_map.format,
    )


def test_npy_bool_bytes_other_than_1_are_true() -> None:
    array = np.array([[0, 1, 255]], np.uint8).view(bool)
    equal(read_label_map(npy(array)), [[0, 1, 1]])


def test_npy_version_2() -> None:
    file = io.BytesIO()
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.lib.format.write_array(file, array, version=(2, 0))
    equal(read_label_map(file.getvalue()), array)


def test_npy_headers_are_read_while_garbage_is_collected() -> None:
    """Some versions of Python count the depth of what they parse for all threads together."""
    file = npy(np.zeros((2, 3), np.uint8))

    def give_way(*_: object) -> None:
        time.sleep(1e-5)  # as any finalizer may, in the middle of a header

    def read_many(_: int) -> list[Header]:
        kept: list[list[object]] = []  # so that garbage is looked for now here, now there
        headers = []
        for number in range(300):
            kept += ([] for _ in range(number % 20))
            headers.append(probe(file))
        return headers

    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(give_way)
    gc.set_threshold(100)
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(read_many, range(4)))
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(give_way)
    assert together == [[probe(file)] * 300] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_does_not_inherit_the_lock_of_npy_headers(tmp_path: Path) -> None:
    """Another thread of the parent may be reading a header when it forks."""
    path = tmp_path / "labels.npy"
    np.save(path, np.zeros((2, 3), np.uint8))
    code = f"""if True:
        import os, signal, threading
        from segmeter.io import _numpy, probe
        held, done = threading.Event(), threading.Event()
        def hold():
            with _numpy._parser:
                held.set()
                done.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # a deadlock must end
            probe({str(path)!r})
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        done.set()
        thread.join()
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "7\n", done.stderr


def test_npy_of_several_arrays_gives_the_first() -> None:
    first = np.arange(6, dtype=np.uint8).reshape(2, 3)
    label_map = read_label_map(npy(first) + npy(first))
    equal(label_map, first)
    assert label_map.notes == ("134 bytes after the first array are ignored",)


def test_npy_of_colours() -> None:
    colors = rng().integers(0, 256, (4, 5, 3)).astype(np.uint8)
    volume = read_label_map(npy(colors))
    equal(volume, colors)
    assert "read as a volume, not as colours" in volume.notes[0]
    by_color = read_label_map(npy(colors), panoptic=True, max_pixels=20)
    equal(by_color, colors.astype(int) @ [1, 256, 65536])
    with pytest.raises(ReadError, match="need colours of 8 bits"):
        read_label_map(npy(colors.astype(np.uint16)), panoptic=True)


@pytest.mark.parametrize(
    "array",
    [
        np.array([[None]], object),
        np.array([["a"]]),
        np.array([[1j]]),
        np.zeros((2, 2), [("a", "u1"), ("b", "u1")]),
        np.zeros((2, 2), "M8[s]"),
    ],
    ids=["object", "text", "complex", "structured", "time"],
)
def test_npy_of_other_values_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ReadError, match="labels must be integers"):
        read_label_map(npy(array))


def npz(compressed: bool = True, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_npz(compressed: bool) -> None:
    labels, other = np.arange(12, dtype=np.int32).reshape(3, 4), np.ones((2, 2), np.uint8)
    single = npz(compressed, labels=labels)
    equal(read_label_map(single), labels)
    assert read_label_map(single).format == "npz/int32"
    both = npz(compressed, labels=labels, other=other)
    equal(read_label_map(both, key="other"), other)
    assert probe(both, key="labels").shape == (3, 4)
    for read in (read_label_map, probe):
        with pytest.raises(
            ReadError, match=r"holds 2 arrays \(labels, other\): read_label_map\(key"
        ):
            read(both)
        with pytest.raises(ReadError, match="holds no array 'mask'; it holds: labels, other"):
            read(both, key="mask")


def test_npz_without_arrays() -> None:
    with pytest.raises(ReadError, match="archive without arrays"):
        read_label_map(npz())


# ------------------------------------------------------------------------------------------------
# NIfTI
# ------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([*TIFF_TYPES, "f4", "f8"]),
    st.sampled_from("<>"),
    st.lists(st.integers(1, 6), min_size=2, max_size=3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_nifti(
    dtype: str, byte_order: str, shape: list[int], second: bool, compressed: bool, seed: int
) -> None:
    values = rng(seed).integers(0, 100, shape)
    array = values.astype(np.dtype(dtype).newbyteorder(byte_order))
    spacing = (0.5, 0.75, 3.25)[: len(shape)]
    file = nii(array, spacing, second=second)
    by_nibabel = (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(file)
    np.testing.assert_array_equal(np.asarray(by_nibabel.dataobj), values)  # the writer is right
    file = gzip.compress(file) if compressed else file
    label_map = read_label_map(file)
    equal(label_map, values)
    assert label_map.spacing == spacing
    assert label_map.format == f"nifti/{np.dtype(dtype).name}"
    header = probe(file)
    assert (header.shape, header.dtype.name, header.spacing) == (
        tuple(shape),
        np.dtype(dtype).name,
        spacing,
    )


def test_nifti_axes_are_the_files_own() -> None:
    """The first axis is i, the one that runs fastest in the file; spacing goes with it."""
    stored = np.arange(24, dtype=np.uint8)
    array = stored.reshape((2, 3, 4), order="F")
    label_map = read_label_map(nii(array, (1.0, 2.0, 3.0)))
    assert label_map.labels.shape == (2, 3, 4)
    assert label_map.labels[1, 0, 0] == 1
    assert label_map.labels[0, 0, 1] == 6
    assert label_map.spacing == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("members", [2, 7])
def test_nifti_of_several_gzip_members(members: int) -> None:
    array = rng().integers(0, 5, (9, 8, 7)).astype(np.uint8)
    file = nii(array)
    cuts = [len(file) * i // members for i in range(members + 1)]
    parts = [gzip.compress(file[a:b]) for a, b in itertools.pairwise(cuts)]
    equal(read_label_map(b"".join(parts)), array)


@pytest.mark.parametrize(
    ("slope", "expected"),
    [
        ((0.0, 5.0), [[0, 1], [2, 3]]),  # slope 0 or not finite: not scaled
        ((np.inf, 5.0), [[0, 1], [2, 3]]),
        ((1.0, 0.0), [[0, 1], [2, 3]]),
        ((2.0, -1.0), [[-1, 1], [3, 5]]),
        ((0.5, 0.0), None),
    ],
)
def test_nifti_scaling(slope: tuple[float, float], expected: list[list[int]] | None) -> None:
    array = np.array([[0, 1], [2, 3]], np.int16)
    file = nii(array, slope=slope)
    if expected is None:
        with pytest.raises(ReadError, match=r"not whole numbers: 2 of 4, first 0\.5 at \[0, 1\]"):
            read_label_map(file)
    else:
        equal(read_label_map(file), expected)


def test_nifti_scaling_that_is_not_exact_is_refused() -> None:
    file = nii(np.array([[0, 2**40]], np.int64), slope=(2.0**20, 1.0))
    with pytest.raises(ReadError, match=r"beyond 2\^53"):
        read_label_map(file)


@pytest.mark.parametrize("slope", [(1.0, np.nan), (2.0, np.inf)])
def test_nifti_scaling_with_bad_numbers_is_refused(slope: tuple[float, float]) -> None:
    with pytest.raises(ReadError):
        read_label_map(nii(np.array([[0, 1]], np.int16), slope=slope))


def test_nifti_fourth_axis() -> None:
    array = rng().integers(0, 5, (3, 4, 5, 1, 1)).astype(np.uint8)
    label_map = read_label_map(nii(array, (1.0, 2.0, 3.0, 1.0, 1.0)))
    equal(label_map, array[..., 0, 0])
    assert label_map.spacing == (1.0, 2.0, 3.0)
    assert "of length 1, are dropped from (3, 4, 5, 1, 1)" in label_map.notes[0]
    assert probe(nii(array)).shape == (3, 4, 5)
    with pytest.raises(ReadError, match=r"has 4 axes \(3 x 4 x 5 x 2\)"):
        read_label_map(nii(np.zeros((3, 4, 5, 2), np.uint8)))


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("mm", 1.0), ("micron", 0.001)])
def test_nifti_spacing_is_in_millimetres(unit: str, factor: float) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), None, header)
    image.header.set_zooms((1.5, 2.5, 4.0))
    image.header.set_xyzt_units(unit)
    label_map = read_label_map(image.to_bytes())
    assert label_map.spacing == tuple(size * factor for size in (1.5, 2.5, 4.0))


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, np.inf])
def test_nifti_without_a_usable_spacing(size: float) -> None:
    file = bytearray(nii(np.zeros((2, 3, 4), np.uint8), (1.0, 2.0, 3.0)))
    file[80:84] = struct.pack("<f", size)  # pixdim[1]
    label_map = read_label_map(bytes(file))
    assert label_map.spacing is None
    assert "not usable" in label_map.notes[0]


@pytest.mark.parametrize("dtype", ["c8", [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_nifti_of_other_values_is_refused(dtype: object) -> None:
    with pytest.raises(ReadError, match="labels must be integers"):
        read_label_map(nii(np.zeros((2, 2, 2), dtype)))


def test_nifti_has_no_colours() -> None:
    with pytest.raises(ReadError, match="holds no colours"):
        read_label_map(nii(np.zeros((2, 2, 2), np.uint8)), panoptic=True)


@pytest.mark.parametrize("image_name", ["a.img", "a.img.gz"])
def test_nifti_pair(tmp_path: Path, image_name: str) -> None:
    array = rng().integers(0, 9, (4, 5, 6)).astype(np.int16)
    image = nibabel.Nifti1Pair(array, np.diag([2.0, 3.0, 4.0, 1.0]))
    nibabel.save(image, tmp_path / "a.img")
    if image_name.endswith(".gz"):
        (tmp_path / image_name).write_bytes(gzip.compress((tmp_path / "a.img").read_bytes()))
        (tmp_path / "a.img").unlink()
    label_map = read_label_map(tmp_path / "a.hdr")
    equal(label_map, array)
    assert label_map.spacing == (2.0, 3.0, 4.0)
    assert label_map.path == str(tmp_path / "a.hdr")
    with pytest.raises(ReadError, match=r"name the \.hdr file instead"):
        read_label_map(tmp_path / image_name)
    with pytest.raises(ReadError, match=r"pass the \.hdr file's path"):
        read_label_map((tmp_path / "a.hdr").read_bytes())
    (tmp_path / image_name).unlink()
    with pytest.raises(ReadError, match=r"there is no a\.img"):
        read_label_map(tmp_path / "a.hdr")


# ------------------------------------------------------------------------------------------------
# The registry: paths, content, names
# ------------------------------------------------------------------------------------------------

ONE_OF_EACH = {
    "a.png": png(np.array([[1, 2]])),
    "a.tif": tiff(np.array([[1, 2]], np.uint8)),
    "a.npy": npy(np.array([[1, 2]])),
    "a.npz": npz(labels=np.array([[1, 2]])),
    "a.nii": nii(np.array([[1, 2]], np.uint8)),
    "a.nii.gz": gzip.compress(nii(np.array([[1, 2]], np.uint8)), mtime=0),
    "a.bmp": bmp(np.array([[1, 2]]), 4, PALETTE),
    "a.gif": pillow_file(np.array([[1, 2]]), "GIF", "L", optimize=False),
}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_every_format_from_path_bytes_and_stream(tmp_path: Path, name: str) -> None:
    content = ONE_OF_EACH[name]
    path = tmp_path / name
    path.write_bytes(content)
    with path.open("rb") as stream:
        for origin in (path, str(path), content, memoryview(content), bytearray(content), stream):
            label_map = read_label_map(origin)
            equal(label_map, [[1, 2]])
            assert label_map.notes == ()
    assert read_label_map(path).path == str(path)
    assert read_label_map(content).path == "<bytes>"
    assert probe(path) == probe(content)
    assert probe(path).shape == (1, 2)
    assert probe(path).format == read_label_map(path).format


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_large_files_are_read_beyond_their_head(tmp_path: Path, name: str) -> None:
    """Files above 64 KiB are opened again by the reader."""
    labels = rng().integers(0, 256, (300, 400)).astype(np.uint8)
    content = {
        "a.png": lambda: png(labels),
        "a.tif": lambda: tiff(labels),
        "a.npy": lambda: npy(labels),
        "a.npz": lambda: npz(labels=labels),
        "a.nii": lambda: nii(labels),
        "a.nii.gz": lambda: gzip.compress(nii(labels)),
        "a.bmp": lambda: bmp(labels, 8, BMP_PALETTES["colours"](256)),
        "a.gif": lambda: pillow_file(labels, "GIF", "L", optimize=False),
    }[name]()
    assert len(content) > 65536
    path = tmp_path / name
    path.write_bytes(content)
    equal(read_label_map(path), labels)
    assert probe(path).shape == labels.shape


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    for name in ("mask.tif", "mask.nii.gz", "MASK.JPG"):
        path = tmp_path / name
        path.write_bytes(ONE_OF_EACH["a.png"])
        label_map = read_label_map(path)
        equal(label_map, [[1, 2]])
        assert label_map.notes[0].endswith("but its content is png")
        assert probe(path).notes == label_map.notes
    for name in ("mask", "mask.label", "MASK.PNG"):
        path = tmp_path / name
        path.write_bytes(ONE_OF_EACH["a.png"])
        assert read_label_map(path).notes == ()


def test_path_of_a_wrong_type() -> None:
    for origin in (3, None, io.StringIO("text")):
        with pytest.raises(TypeError, match="path must be"):
            read_label_map(origin)


def test_register_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registry, "_READERS", dict(_registry._READERS))
    labels = np.array([[4]], np.uint8)
    reader = Reader(
        name="mine",
        suffixes=(".mine",),
        sniff=lambda head: head == b"MINE",
        read=lambda source, options: LabelMap(labels, None, source.name, str(options.key)),
        probe=lambda source, key: Header(labels.shape, labels.dtype, f"{source.size} {key}"),
        packages=("no-such-package",),
    )
    register_reader(reader)
    assert read_label_map(b"MINE", key="k").format == "k"
    assert probe(b"MINE", key="k").format == "4 k"
    row = supported()[-1]
    assert row == Support(
        "mine", (".mine",), "no-such-package", 'missing: pip install "segmeter[eval]"'
    )
    with pytest.raises(TypeError, match=r"must be a segmeter\.io\.Reader, not dict"):
        register_reader({})


def test_supported_names_every_format() -> None:
    rows = {row.format: row for row in supported()}
    assert {"png", "tiff", "npy", "npz", "nifti", "bmp", "gif", "jpeg"} <= set(rows)
    assert ".nii.gz" in rows["nifti"].suffixes
    assert rows["npy"].version == np.__version__
    assert str(rows["npy"]) == f"npy (.npy): numpy {np.__version__}"


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("a.png", "imagecodecs", "imagecodecs"),
        ("a.bmp", "PIL", "pillow"),
        ("a.tif", "tifffile", "tifffile"),
        ("a.nii.gz", "nibabel.nifti1", "nibabel"),
    ],
)
def test_missing_library(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ReadError) as caught:
        read_label_map(ONE_OF_EACH[name])
    format_name = {"a.png": "PNG", "a.bmp": "BMP", "a.tif": "TIFF", "a.nii.gz": "NIfTI"}[name]
    assert str(caught.value) == (
        f'<bytes>: reading {format_name} needs {package}: pip install "segmeter[eval]"'
    )


def test_import_needs_numpy_only() -> None:
    import subprocess

    code = (
        "import sys, segmeter.io;"
        "print([m for m in ('PIL', 'tifffile', 'nibabel', 'imagecodecs') if m in sys.modules])"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"


def test_many_threads_read_the_same_as_one() -> None:
    labels = [rng(seed).integers(0, 4, (64, 96)).astype(np.uint8) for seed in range(4)]
    files = [
        write(map_)
        for map_ in labels
        for write in (png, tiff, npy, nii, lambda a: pillow_file(a, "GIF", "L", optimize=False))
    ]
    alone = [read_label_map(file).labels for file in files]
    start = threading.Barrier(8)

    def read_all(_: int) -> list[np.ndarray]:
        start.wait()
        return [read_label_map(file).labels for file in files]

    with ThreadPoolExecutor(8) as pool:
        for together in pool.map(read_all, range(8)):
            for one, other in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------------------------------------
# Real data, each compared with an independent reading
# ------------------------------------------------------------------------------------------------


def files_of(folder: Path, pattern: str, count: int, step: int = 1) -> list[Path]:
    files = sorted(folder.glob(pattern))
    assert len(files) == count
    return files[::step]


@pytest.mark.parametrize(
    ("pattern", "count", "step", "layout"),
    [
        ("davis_osvos/Annotations/*/*.png", 189, 9, "png/gray8"),
        ("davis_osvos/osvos/*/*.png", 189, 9, "png/palette8"),
        ("ade20k_sample/*/*.png", 6, 1, "png/gray8"),
        ("camvid/*/labels_full/*.png", 701, 29, "png/gray8"),
        ("dsb2018/labels/*.png", 334, 17, "png/gray16"),
        ("cityscapes_format/gt/*labelIds.png", 4, 1, "png/gray8"),
        ("cityscapes_format/gt/*instanceIds.png", 4, 1, "png/gray16"),
        ("cityscapes_format/pred*/*.png", 33, 4, "png/gray8"),
    ],
)
def test_real_png(shared: Path, pattern: str, count: int, step: int, layout: str) -> None:
    for path in files_of(shared / "data", pattern, count, step):
        label_map = read_label_map(path)
        with Image.open(path) as image:
            equal(label_map, np.asarray(image))
        assert label_map.format == layout == probe(path).format
        assert label_map.notes == ()


def test_real_panoptic_png(shared: Path) -> None:
    for path in files_of(shared / "data", "panoptic_deeplab/coco_*/*.png", 8):
        with Image.open(path) as image:
            colors = np.asarray(image).astype(np.int64)
        equal(read_label_map(path, panoptic=True), colors @ [1, 256, 65536])


def test_real_masks_with_alpha(shared: Path) -> None:
    for path in files_of(shared / "data", "panoptic_deeplab/*.png", 9):
        with pytest.raises(ReadError, match="holds colours"):
            read_label_map(path)
        with Image.open(path) as image:
            colors = np.asarray(image.convert("RGB")).reshape(-1, 3)
            size = image.size
        table = {tuple(map(int, c)): i for i, c in enumerate(np.unique(colors, axis=0))}
        label_map = read_label_map(path, color_table=table)
        expected = np.array([table[tuple(map(int, color))] for color in colors])
        equal(label_map, expected.reshape(size[::-1]))


@pytest.mark.parametrize(
    ("pattern", "count", "step"),
    [
        ("brats_toolkit/**/*.nii.gz", 14, 3),
        ("hippocampus/labels/*.nii.gz", 262, 20),
        ("spine_panoptica/**/*.nii.gz", 6, 2),
        ("distorch_knee/*.nii.gz", 2, 1),
    ],
)
def test_real_nifti(shared: Path, pattern: str, count: int, step: int) -> None:
    """Compared with the header's fields and the voxels taken from the inflated bytes by hand."""
    for path in files_of(shared / "data", pattern, count, step):
        raw = gzip.decompress(path.read_bytes())
        dim, pixdim = struct.unpack_from("<8h", raw, 40), struct.unpack_from("<8f", raw, 76)
        (datatype,), (offset,) = (
            struct.unpack_from("<h", raw, 70),
            struct.unpack_from("<f", raw, 108),
        )
        dtype = {2: np.uint8, 16: np.float32}[datatype]
        shape = dim[1 : 1 + dim[0]]
        voxels = np.frombuffer(raw, dtype, int(np.prod(shape)), int(offset))
        label_map = read_label_map(path)
        equal(label_map, voxels.reshape(shape[::-1]).T)
        assert label_map.spacing == pixdim[1 : 1 + dim[0]]
        np.testing.assert_array_equal(label_map.labels, np.asarray(nibabel.load(path).dataobj))
        header = probe(path)
        assert (header.shape, header.spacing, header.dtype) == (shape, label_map.spacing, dtype)


def test_real_nifti_scan_is_no_label_map(shared: Path) -> None:
    path = next(
        path
        for path in sorted((shared / "data/hippocampus/images").glob("*.nii.gz"))
        if probe(path).dtype == np.float32
    )
    with pytest.raises(ReadError, match="not whole numbers"):
        read_label_map(path)


@pytest.mark.parametrize("name", ["mask2d.tif", "mask3d.tif"])
def test_real_tiff(shared: Path, name: str) -> None:
    """Compared with Pillow, page by page."""
    path = shared / "data/stardist" / name
    with Image.open(path) as image:
        pages = []
        for page in range(image.n_frames):
            image.seek(page)
            pages.append(np.asarray(image).copy())
    label_map = read_label_map(path)
    equal(label_map, np.squeeze(np.stack(pages)))
    assert label_map.labels.dtype == np.uint16
    assert probe(path).shape == label_map.labels.shape


def test_scores_keep_floats_and_leave_integers_alone() -> None:
    floats = np.array([[0.25, -np.inf, 2.0]], ">f4")
    read = read_label_map(npy(floats), scores=True)
    assert read.labels.dtype == np.dtype(np.float32)
    assert np.array_equal(read.labels, floats)
    assert read_label_map(npy(np.array([[3]], np.int16)), scores=True).labels.dtype == np.int16
    with pytest.raises(ReadError, match=r"holds NaN, which is no score: 1 of 2 values"):
        read_label_map(npy(np.array([[0.5, np.nan]])), scores=True)
    with pytest.raises(ValueError, match="scores are no colours"):
        read_label_map(npy(floats), scores=True, panoptic=True)


def test_nifti_affine_is_in_millimetres_or_none() -> None:
    affine = np.array([[-2.0, 0, 0, 9], [0, 3, 0, -4], [0, 0, 1, 7], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), affine)
    image.header.set_xyzt_units("meter")
    for read in (read_label_map(image.to_bytes()), probe(image.to_bytes())):
        assert read.affine is not None
        assert np.array_equal(read.affine, np.diag([1000, 1000, 1000, 1]) @ affine)
    unknown = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), None)
    assert probe(unknown.to_bytes()).affine is None
    assert read_label_map(npy(np.zeros((2, 2), np.uint8))).affine is None
