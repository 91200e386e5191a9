"""Readers: the bytes of a file become a label map.

One function reads all formats, `read_label_map`; `probe` looks at headers only; `supported` lists
formats and packages; `register_reader` adds a format. ``docs/readers.md`` describes each format.

Importing this package needs NumPy only. Pillow, tifffile and nibabel are imported when a file of
theirs is read.
"""

from . import _nifti, _numpy, _pillow, _png, _tiff
from ._registry import (
    Reader,
    Support,
    probe,
    read_label_map,
    register_reader,
    supported,
)
from ._source import Source
from ._types import Header, LabelMap, ReadError, ReadOptions

__all__ = [
    "Header",
    "LabelMap",
    "ReadError",
    "ReadOptions",
    "Reader",
    "Source",
    "Support",
    "probe",
    "read_label_map",
    "register_reader",
    "supported",
]

for _reader in (
    _png.READER,
    _tiff.READER,
    _numpy.NPY,
    _numpy.NPZ,
    _nifti.READER,
    *_pillow.READERS,
):
    register_reader(_reader)
