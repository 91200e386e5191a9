"""NIfTI: nibabel reads the header; voxels are taken from the bytes as they are stored."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._labels import DEFLATE_RATIO, check_size, check_stored, make_label_map
from ._registry import Reader
from ._source import Source
from ._types import Header, LabelMap, ReadOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 540  # of NIfTI-2; NIfTI-1 has 348
_TAIL_BYTES = 1 << 20
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # by unit code: metre, millimetre, micrometre


class _VolumeHeader(NamedTuple):
    shape: tuple[int, ...]
    stored_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    spacing: tuple[float, ...] | None
    affine: NDArray[np.float64] | None
    is_pair: bool
    notes: tuple[str, ...]


def read(source: Source, options: ReadOptions) -> LabelMap:
    """Read a volume in the file's own axis order (i, j, k)."""
    header = _volume_header(source)
    check_size(source, header.shape, options.max_pixels)
    if options.reads_colors:
        raise source.error(
            "is NIfTI, which holds no colours: panoptic and color_table do not apply"
        )
    voxels, tail_notes = _voxels(_voxel_source(source) if header.is_pair else source, header)
    if (header.slope, header.intercept) != (1.0, 0.0):
        voxels = _scaled(source, voxels, header)
    return make_label_map(
        source,
        options,
        voxels,
        layout=f"nifti/{header.dtype.name}",
        spacing=header.spacing,
        notes=header.notes + tail_notes,
        affine=header.affine,
    )


def probe(source: Source, key: str | None = None) -> Header:  # noqa: ARG001
    """Read the header."""
    header = _volume_header(source)
    layout = f"nifti/{header.dtype.name}"
    return Header(header.shape, header.dtype, layout, header.spacing, header.notes, header.affine)


def _sniff(head: bytes) -> bool:
    if head.startswith(_GZIP):
        head = _inflated_head(head)
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _inflated_head(head: bytes) -> bytes:
    """Inflate the first bytes of a gzip file, as many as there are; it may be damaged or cut."""
    inflated = b""
    try:
        while head and len(inflated) < _HEADER_BYTES:  # a round for each member of the file
            member = zlib.decompressobj(wbits=31)
            inflated += member.decompress(head, _HEADER_BYTES - len(inflated))
            head = member.unused_data
    except zlib.error:
        pass  # what came out so far tells whether it is NIfTI
    return inflated


def _volume_header(source: Source) -> _VolumeHeader:
    """Read and check the header."""
    head = source.head
    if head.startswith(_GZIP):
        head = _inflated_head(head)
    with source.decoding("NIfTI", "nibabel"):
        from nibabel.nifti1 import Nifti1Header
        from nibabel.nifti2 import Nifti2Header

        is_second = head[4:7] in (b"n+2", b"ni2")
        # check=False: nibabel's own check logs to stderr and repairs; the checks are below.
        header_type: Any = Nifti2Header if is_second else Nifti1Header
        header = header_type(head[: header_type.sizeof_hdr], check=False)
        dtype = np.dtype(header.get_data_dtype())
        slope, intercept = header.get_slope_inter()
        stored_shape = tuple(int(length) for length in header.get_data_shape())
        offset = int(header["vox_offset"])
        spacing, spacing_notes = _spacing(header, min(len(stored_shape), 3))
        affine = _affine(header)
        is_pair = bytes(head[4:7] if is_second else head[344:347]).startswith(b"ni")
    if dtype.kind not in "uif":
        raise source.error(f"holds voxels of type {dtype}; labels must be integers")
    if not is_pair:
        offset = max(offset, 544 if is_second else 352)
    shape, shape_notes = _squeezed(source, stored_shape)
    return _VolumeHeader(
        shape,
        stored_shape,
        dtype,
        max(offset, 0),
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
        spacing,
        affine,
        is_pair,
        shape_notes + spacing_notes,
    )


def _squeezed(source: Source, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Drop axes of length one after the third."""
    if len(shape) <= 3:
        return shape, ()
    if any(length != 1 for length in shape[3:]):
        size = " x ".join(map(str, shape))
        raise source.error(f"has {len(shape)} axes ({size}); a label map has at most three")
    return shape[:3], (f"the axes after the third, of length 1, are dropped from {shape}",)


def _spacing(header: Any, axes: int) -> tuple[tuple[float, ...] | None, tuple[str, ...]]:
    """Voxel size in millimetres, one value per array axis."""
    sizes = tuple(float(size) for size in header["pixdim"][1 : axes + 1])
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        return None, (f"the header's voxel size {sizes} is not usable: no spacing",)
    # An unknown unit is taken for millimetres, as everybody does.
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    return tuple(size * unit for size in sizes), ()


def _affine(header: Any) -> NDArray[np.float64] | None:
    """Voxel index to millimetres: the sform or else the qform, None where neither is set."""
    from nibabel.spatialimages import HeaderDataError

    for get in (header.get_sform, header.get_qform):
        try:
            with np.errstate(all="ignore"):
                affine, code = get(coded=True)
        except (HeaderDataError, ValueError):  # an unusable quaternion spoils no labels
            continue
        if code and affine is not None and np.isfinite(affine).all():
            unit = _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
            return np.diag([unit, unit, unit, 1.0]) @ np.asarray(affine, np.float64)
    return None


def _voxels(source: Source, header: _VolumeHeader) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read the voxels as stored, first axis fastest."""
    size = math.prod(header.stored_shape) * header.dtype.itemsize
    compressed = source.head.startswith(_GZIP)
    check_stored(source, header.offset + size, source.size, DEFLATE_RATIO if compressed else 1)
    with (
        source.open() as stored,
        source.decoding("NIfTI"),
        gzip.GzipFile(fileobj=stored) if compressed else stored as stream,
    ):
        stream.seek(header.offset)
        data = stream.read(size)
        # Reading to the end of the file is what makes gzip compare its checksum.
        tail = len(stream.read(_TAIL_BYTES)) if compressed else source.size - stream.tell()
    check_stored(source, size, len(data))
    if compressed and tail == _TAIL_BYTES:  # the end is not reached, the header may be damaged
        raise source.error(f"damaged NIfTI: much is left after the voxels of {header.shape}")
    voxels = np.frombuffer(data, header.dtype).reshape(header.shape, order="F")
    return voxels, (f"{tail:,} bytes after the voxels are ignored",) if tail else ()


def _voxel_source(source: Source) -> Source:
    """Find the .img file that belongs to a .hdr file."""
    if not isinstance(source.origin, (str, os.PathLike)):
        raise source.error("is the header of a pair of files; pass the .hdr file's path")
    path = Path(source.name)
    candidates = [path.with_suffix(suffix) for suffix in (".img", ".img.gz", ".IMG")]
    for candidate in candidates:
        if candidate.exists():
            return Source(candidate)
    raise source.error(f"is the header of a pair of files, but there is no {candidates[0].name}")


def _scaled(source: Source, voxels: NDArray[Any], header: _VolumeHeader) -> NDArray[np.float64]:
    """Apply scl_slope and scl_inter; beyond 2^53 float64 no longer holds every integer."""
    values = voxels.astype(np.float64) * header.slope + header.intercept
    if np.abs(values).max() > 2.0**53:
        raise source.error("holds scaled values beyond 2^53, which are not exact")
    return values


READER = Reader(
    name="nifti",
    suffixes=(".nii", ".nii.gz", ".hdr", ".hdr.gz"),
    sniff=_sniff,
    read=read,
    probe=probe,
    packages=("nibabel",),
)
