"""Files that are damaged, hostile or not there: one clear line with the file's name, always."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segmeter.io import ReadError, probe, read_label_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

nibabel = pytest.importorskip("nibabel")
tifffile = pytest.importorskip("tifffile")
Image = pytest.importorskip("PIL.Image")

LABELS = (np.add.outer(np.arange(24), np.arange(31)) // 5 % 7).astype(np.uint8)
MAX_PIXELS = 10**6  # a damaged header may claim anything; tests should not allocate it


def pillow_file(format_name: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(LABELS).save(file, format_name, **options)
    return file.getvalue()


def palette_file(format_name: str) -> bytes:
    image = Image.fromarray(LABELS)
    image.putpalette([value for i in range(256) for value in (i, 255 - i, 9)])
    file = io.BytesIO()
    image.save(file, format_name)
    return file.getvalue()


def tiff(**options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, LABELS, **options)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, LABELS)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def nii() -> bytes:
    return nibabel.Nifti1Image(LABELS, np.eye(4)).to_bytes()


# By whether a checksum covers the labels: then damage is found, or it changed no label.
CHECKED = {
    "gray.png": pillow_file("PNG"),
    "palette.png": palette_file("PNG"),
    "labels.npz": npz(labels=LABELS),
    "labels.nii.gz": gzip.compress(nii(), mtime=0),
}
UNCHECKED = {
    "plain.tif": tiff(),
    "deflate.tif": tiff(compression="zlib"),
    "lzw.tif": tiff(compression="lzw", tile=(16, 16)),
    "stack.tif": tiff(imagej=True),
    "labels.npy": npy(),
    "labels.nii": nii(),
    "gray.bmp": pillow_file("BMP"),
    "palette.bmp": palette_file("BMP"),
    "gray.gif": pillow_file("GIF"),
    "palette.gif": palette_file("GIF"),
    "gray.jpg": pillow_file("JPEG", quality=90),
}
FILES = CHECKED | UNCHECKED


def outcome(content: bytes) -> np.ndarray | None:
    """Labels, or None for a ReadError of one line that begins with the name; no other end."""
    result = None
    try:
        result = read_label_map(content, max_pixels=MAX_PIXELS).labels
    except ReadError as error:
        one_clear_line(error, "<bytes>")
    try:
        probe(content)
    except ReadError as error:
        one_clear_line(error, "<bytes>")
    return result


def one_clear_line(error: ReadError, name: str) -> None:
    assert str(error) == f"{name}: {error.reason}"
    assert "\n" not in str(error)
    assert len(error.reason) > 8
    assert error.path == name


@pytest.mark.parametrize("name", FILES)
def test_the_intact_files_are_read(name: str) -> None:
    labels = read_label_map(FILES[name]).labels
    if name != "gray.jpg":
        np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("name", FILES)
def test_truncated_anywhere(name: str) -> None:
    content = FILES[name]
    intact = read_label_map(content).labels
    lengths = {
        *range(0, len(content), max(1, len(content) // 150)),
        *range(len(content) - 20, len(content)),
    }
    for length in sorted(lengths):
        labels = outcome(content[:length])
        # A few end markers may be missing without harm to the labels.
        assert labels is None or (length > len(content) - 30 and np.array_equal(labels, intact)), (
            length
        )
        if name.endswith((".png", ".npy", ".npz", ".nii", ".nii.gz")):
            assert labels is None, length


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("flips", [1, 8])
def test_bits_flipped_anywhere(name: str, flips: int) -> None:
    content = FILES[name]
    intact = read_label_map(content).labels
    random = np.random.default_rng(flips)
    for _ in range(200):
        damaged = bytearray(content)
        for position in random.integers(0, 8 * len(content), flips):
            damaged[position // 8] ^= 1 << (position % 8)
        labels = outcome(bytes(damaged))
        if name in CHECKED:
            assert labels is None or np.array_equal(labels, intact)


@pytest.mark.parametrize("name", FILES)
def test_headers_flipped_bit_by_bit(name: str) -> None:
    content = FILES[name]
    for position in range(8 * min(64, len(content))):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << (position % 8)
        outcome(bytes(damaged))


@pytest.mark.parametrize("name", ["gray.png", "palette.png"])
def test_no_flipped_bit_of_a_png_goes_unseen(name: str) -> None:
    content = FILES[name]
    for position in range(0, 8 * len(content), 3):
        damaged = bytearray(content)
        damaged[position // 8] ^= 1 << (position % 8)
        assert outcome(bytes(damaged)) is None, position


@pytest.mark.parametrize("name", FILES)
def test_noise_behind_a_right_beginning(name: str) -> None:
    random = np.random.default_rng(5)
    for keep in (4, 8, 16, 30, 60, 100):
        for _ in range(10):
            outcome(FILES[name][:keep] + random.bytes(500))


# ------------------------------------------------------------------------------------------------
# PNG chunk by chunk
# ------------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int = 2,
    height: int = 1,
    bits: int = 8,
    color_type: int = 0,
    methods: tuple[int, int, int] = (0, 0, 0),
    *,
    rows: bytes = b"\0\1\2",
    before: bytes = b"",
    end: bytes = chunk(b"IEND"),
) -> bytes:
    ihdr = struct.pack(">IIBBBBB", width, height, bits, color_type, *methods)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + before + pixels + end


def test_the_plain_png_is_read() -> None:
    np.testing.assert_array_equal(read_label_map(png()).labels, [[1, 2]])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (png(bits=3), "no colour type 0 with 3 bits"),
        (png(color_type=1), "no colour type 1 with 8 bits"),
        (png(bits=16, color_type=3), "no colour type 3 with 16 bits"),
        (png(methods=(1, 0, 0)), "unknown compression 1"),
        (png(methods=(0, 1, 0)), "filter 1"),
        (png(methods=(0, 0, 2)), "interlace method 2"),
        (png(width=0), r"has no pixels \(shape 1 x 0\)"),
        (png(height=0), r"has no pixels \(shape 0 x 2\)"),
        (png(height=2), "3 of 6 bytes of pixels are there"),
        (png(rows=b"\0\1"), "2 of 3 bytes of pixels are there"),
        (png(rows=b"\7\1\2"), "damaged or unsupported PNG"),
        (png(before=chunk(b"CgBI")), "unknown critical chunk CgBI"),
        (png(end=b""), "truncated after 56 bytes"),
        (png(end=chunk(b"IEND")[:-1]), "truncated after 67 bytes"),
        (png(end=struct.pack(">I4s", 2**31, b"IDAT") + bytes(9)), "within the chunk IDAT"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI") + png()[8:], "first chunk is b'CgBI', not IHDR"),
        (png()[:20], "truncated after 20 bytes, within its header"),
        (png().replace(b"IDAT", b"IDAt"), "checksum of the IDAt chunk at byte 33 is wrong"),
    ],
)
def test_malformed_png(content: bytes, match: str) -> None:
    with pytest.raises(ReadError, match=match):
        read_label_map(content)


def test_png_of_too_many_bytes_of_pixels_is_read() -> None:
    np.testing.assert_array_equal(read_label_map(png(rows=b"\0\1\2extra")).labels, [[1, 2]])


# ------------------------------------------------------------------------------------------------
# Claims of huge size: refused before memory is allocated
# ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_pixels_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every decoder fail the test that gets as far as decoding."""

    def decoded(*_: object, **__: object) -> None:
        pytest.fail("pixels were decoded")

    for target in (
        "PIL.Image.frombytes",
        "PIL.ImageFile.ImageFile.load",
        "tifffile.TiffPageSeries.asarray",
        "numpy.frombuffer",
    ):
        monkeypatch.setattr(target, decoded)


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize("name", FILES)
def test_max_pixels_comes_first(name: str) -> None:
    pixels = LABELS.size
    with pytest.raises(ReadError, match=rf"24 x 31 = {pixels} pixels, more than max_pixels = 743"):
        read_label_map(FILES[name], max_pixels=pixels - 1)


@pytest.mark.usefixtures("no_pixels_decoded")
def test_small_png_of_400_million_pixels() -> None:
    compressor = zlib.compressobj(9)
    block = bytes(20_001 * 100)
    pixels = b"".join(compressor.compress(block) for _ in range(200)) + compressor.flush()
    ihdr = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", pixels) + chunk(b"IEND")
    assert len(content) < 400_000
    with pytest.raises(
        ReadError, match=r"20000 x 20000 = 400,000,000 pixels, more than max_pixels"
    ):
        read_label_map(content, max_pixels=10**8)
    with pytest.raises(ReadError, match="more than max_pixels = 2,147,483,648"):
        read_label_map(png(width=2**31 - 1, height=2**31 - 1))


@pytest.mark.usefixtures("no_pixels_decoded")
def test_png_that_claims_pixels_it_does_not_hold() -> None:
    with pytest.raises(ReadError, match="400,020,000 bytes of pixels promised, 11"):
        read_label_map(png(width=20_000, height=20_000))


def npy_header(shape: str, descr: str = "'|u1'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ("(1000000, 1000000)", "more than max_pixels"),
        ("(46000, 46000)", "2,116,000,000 bytes of pixels promised, 16 bytes there"),
        ("(2, 9)", "18 bytes of pixels promised, 16 bytes there"),
        ("(0, 5)", "no pixels"),
        ("()", "no pixels"),
        ("(-3, -4)", "no pixels"),
    ],
)
def test_npy_claims(shape: str, match: str) -> None:
    with pytest.raises(ReadError, match=match):
        read_label_map(npy_header(shape) + bytes(16))


@pytest.mark.usefixtures("no_pixels_decoded")
def test_npz_claims() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header("(40000, 40000)") + bytes(100))
    with pytest.raises(ReadError, match="1,600,000,000 bytes of pixels promised, 100 bytes there"):
        read_label_map(file.getvalue())


def test_npz_whose_header_claims_too_little() -> None:
    """The checksum of a member covers its header, but is compared at its end only."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", npy_header("(400, 300)") + bytes(400 * 300))
    content = file.getvalue().replace(b"(400, 300)", b"(200, 300)")
    with pytest.raises(ReadError, match=r"60,000 bytes too many for an array of \(200, 300\)"):
        read_label_map(content)


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize(
    ("dims", "match"),
    [
        ((30000, 30000, 30000), "more than max_pixels"),
        ((1200, 1200, 1200), "bytes of pixels promised"),
        ((0, 5, 5), "no pixels"),
        ((-4, -4, 5), "no pixels"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_nifti_claims(dims: tuple[int, int, int], match: str, compressed: bool) -> None:
    content = bytearray(nii())
    struct.pack_into("<4h", content, 40, 3, *dims)
    with pytest.raises(ReadError, match=match):
        read_label_map(gzip.compress(bytes(content)) if compressed else bytes(content))


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize(
    ("size", "match"),
    [
        (2**31 - 1, "more than max_pixels"),
        (46_000, "2,116,000,000 bytes of pixels promised, .* compressed bytes there"),
    ],
)
@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "zstd", "lzma", "jpeg"])
def test_tiff_claims(compression: str, size: int, match: str) -> None:
    """One strip that claims to be huge."""
    content = bytearray(tiff(compression=compression, rowsperstrip=24))
    with tifffile.TiffFile(io.BytesIO(content)) as opened:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            offset = opened.pages[0].tags[tag].valueoffset
            content[offset : offset + 4] = struct.pack("<I", size)
    with pytest.raises(ReadError, match=match):
        read_label_map(bytes(content))


def pages(bigtiff: bool) -> tuple[bytearray, list[int], int]:
    """A TIFF file of four pages, the offsets of its directories, and where the chain ends."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=bigtiff) as writer:
        for _ in range(4):
            writer.write(LABELS, metadata=None, contiguous=False)
    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        directories = [page.offset for page in opened.pages]
        entries = len(opened.pages[3].tags)
    content = bytearray(file.getvalue())
    end = directories[3] + (8 + 20 * entries if bigtiff else 2 + 12 * entries)
    assert content[end : end + 4] == bytes(4)
    return content, directories, end


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("back_to", [0, 1, 3])
def test_tiff_directories_in_a_circle(bigtiff: bool, back_to: int) -> None:
    content, directories, end = pages(bigtiff)
    assert read_label_map(content).labels.shape == (4, *LABELS.shape)
    struct.pack_into("<I", content, end, directories[back_to])
    with pytest.raises(ReadError, match="form a circle"):
        read_label_map(content)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_tiff_directories_cut_off(bigtiff: bool) -> None:
    content, _, end = pages(bigtiff)
    struct.pack_into("<I", content, end, len(content))
    with pytest.raises(ReadError, match="truncated, an image directory is missing"):
        read_label_map(content)


@pytest.mark.usefixtures("no_pixels_decoded")
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"compression": "zlib", "rowsperstrip": 4}, "6 of 2,500 strips or tiles are there"),
        ({"compression": "lzw", "tile": (16, 16)}, "4 of 1,250 strips or tiles are there"),
        ({"rowsperstrip": 24}, "310,000 bytes of pixels promised"),
    ],
)
def test_tiff_that_claims_strips_it_does_not_hold(options: dict[str, object], match: str) -> None:
    content = bytearray(tiff(**options))
    with tifffile.TiffFile(io.BytesIO(content)) as opened:
        offset = opened.pages[0].tags["ImageLength"].valueoffset
    content[offset : offset + 4] = struct.pack("<I", 10_000)
    with pytest.raises(ReadError, match=match):
        read_label_map(bytes(content))


@pytest.mark.usefixtures("no_pixels_decoded")
def test_bmp_and_gif_claims() -> None:
    content = bytearray(FILES["gray.bmp"])
    struct.pack_into("<ii", content, 18, 40_000, 1_000)
    with pytest.raises(ReadError, match="40,000,000 bytes of pixels promised"):
        read_label_map(bytes(content))
    content = bytearray(FILES["gray.gif"])
    struct.pack_into("<HH", content, 6, 65_535, 65_535)
    with pytest.raises(ReadError, match="4,294,836,225 pixels, more than max_pixels"):
        read_label_map(bytes(content))


# ------------------------------------------------------------------------------------------------
# Hostile content
# ------------------------------------------------------------------------------------------------


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self.path, "w")


@pytest.mark.parametrize("write", [np.save, np.savez], ids=["npy", "npz"])
def test_pickles_are_never_loaded(tmp_path: Path, write: Callable[..., None]) -> None:
    file = io.BytesIO()
    write(file, np.array([Payload(tmp_path / "created")], object))
    with pytest.raises(ReadError, match="never loaded"):
        read_label_map(file.getvalue())
    assert list(tmp_path.iterdir()) == []


def test_a_bare_pickle_is_no_npy_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="of no format that is read"):
        read_label_map(pickle.dumps(Payload(tmp_path / "created")))
    assert list(tmp_path.iterdir()) == []


def test_npz_member_names_are_only_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../outside.npy", npy())
    np.testing.assert_array_equal(read_label_map(file.getvalue()).labels, LABELS)
    assert list(tmp_path.rglob("*")) == []


def test_encrypted_npz() -> None:
    content = bytearray(npz(labels=LABELS))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    with pytest.raises(ReadError, match="encrypted"):
        read_label_map(bytes(content))


def test_gzip_bomb_behind_the_voxels_is_not_inflated() -> None:
    with pytest.raises(ReadError, match=r"much is left after the voxels of \(24, 31\)"):
        read_label_map(gzip.compress(nii() + bytes(50_000_000)))
    for write in (bytes, gzip.compress):
        label_map = read_label_map(write(nii() + bytes(1000)))
        np.testing.assert_array_equal(label_map.labels, LABELS)
        assert label_map.notes == ("1,000 bytes after the voxels are ignored",)


@pytest.mark.parametrize(
    "codes",
    [
        (256, 300, 257),
        (256, 258, 1, 257),
        (256, 1, 2, 258, 256, 258, 257),
        (256, 256, 256, 511),
        (257,),
        (5, 6, 257),
        (),
    ],
)
def test_lzw_data_that_would_crash_the_decoder(codes: tuple[int, ...]) -> None:
    """Codes of nine bits; the first after a Clear code (256) must not be a table entry."""
    bits = "".join(format(code, "09b") for code in codes).ljust(9 * 40, "0")
    stream = int(bits, 2).to_bytes(len(bits) // 8, "big")
    content = bytearray(tiff(compression="lzw"))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        offset = file.pages[0].dataoffsets[0]
    content[offset : offset + len(stream)] = stream
    with pytest.raises(ReadError, match=f"the LZW data at byte {offset} are corrupt"):
        read_label_map(bytes(content))


# ------------------------------------------------------------------------------------------------
# What is not a file, and what is no mask
# ------------------------------------------------------------------------------------------------


def reads_to(path: Path | str, reason: str) -> None:
    for read in (read_label_map, probe):
        with pytest.raises(ReadError) as caught:
            read(path)
        assert caught.value.reason == reason
        one_clear_line(caught.value, os.fspath(path))


@pytest.mark.parametrize("suffix", ["", ".png", ".tif", ".npy", ".npz", ".nii.gz", ".bmp", ".jpg"])
def test_nothing_there(tmp_path: Path, suffix: str) -> None:
    reads_to(tmp_path / f"missing{suffix}", "file not found")
    (tmp_path / f"empty{suffix}").write_bytes(b"")
    reads_to(tmp_path / f"empty{suffix}", "is empty (0 bytes)")
    (tmp_path / f"folder{suffix}").mkdir()
    reads_to(tmp_path / f"folder{suffix}", "is a directory, not a file")
    reads_to(tmp_path / f"empty{suffix}" / "below", "cannot be read: Not a directory")


def test_fifo_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    reads_to(tmp_path / "pipe.png", "is not a regular file")


def test_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "dangling.png").symlink_to(tmp_path / "missing.png")
    reads_to(tmp_path / "dangling.png", "file not found")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    reads_to(tmp_path / "loop.png", "cannot be read: Too many levels of symbolic links")


def test_nul_in_path() -> None:
    with pytest.raises(ReadError, match=r"^a\\x00b\.png: is no valid path"):
        read_label_map("a\0b.png")


def test_unprintable_names_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\udcff.png"
    path.write_bytes(b"")
    with pytest.raises(ReadError, match=r"a\\nb\\udcff\.png: is empty") as caught:
        read_label_map(path)
    assert str(caught.value).encode()
    assert caught.value.path == str(path)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(FILES["gray.png"])
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read it all the same

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pathlib.Path.open", refuse)
    reads_to(path, "no permission to read it")


def test_file_that_vanishes_between_head_and_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segmeter.io import _source

    path = tmp_path / "a.png"
    path.write_bytes(FILES["gray.png"])
    monkeypatch.setattr(_source, "HEAD_BYTES", 50)
    np.testing.assert_array_equal(read_label_map(path).labels, LABELS)
    source = _source.Source(path)
    path.unlink()
    with pytest.raises(ReadError, match="file not found"):
        source.read()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "a.png",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "is a Git LFS pointer, not the file itself; fetch it with git lfs pull",
        ),
        (
            "a.png",
            b"<!DOCTYPE html>",
            "is named as png, but its content is not (first bytes 3c 21 44 4f 43 54 59 50)",
        ),
        (
            "a.nii.gz",
            gzip.compress(b"text", mtime=0),
            "is named as nifti, but its content is not (first bytes 1f 8b 08 00",
        ),
        ("a.txt", b"text", "is of no format that is read (png, tiff, npy, npz, nifti, bmp, gif"),
    ],
)
def test_no_mask(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_label_map, probe):
        with pytest.raises(ReadError) as caught:
            read(tmp_path / name)
        assert caught.value.reason.startswith(reason)
        one_clear_line(caught.value, str(tmp_path / name))


def test_read_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ReadError("a.png", "two\n lines")))
    assert (error.path, error.reason, str(error)) == ("a.png", "two lines", "a.png: two lines")


def test_a_damaged_tiff_is_told_of_once(tmp_path: Path) -> None:
    content = bytearray(tiff())
    content[12] ^= 0xFF  # the type of the first tag: tifffile logs an error about it
    (tmp_path / "a.tif").write_bytes(content)
    code = (
        "import segmeter.io\n"
        "try: segmeter.io.read_label_map('a.tif')\n"
        "except segmeter.io.ReadError as error: print(error)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stderr == ""
    assert found.stdout.startswith("a.tif: damaged or unsupported TIFF")
