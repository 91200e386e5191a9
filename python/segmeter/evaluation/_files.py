"""Files: which are label maps, what they are called, and how one is read under a colour table."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from segmeter.io import LabelMap, ReadError, probe, read_label_map

if TYPE_CHECKING:
    from collections.abc import Mapping


def file_stem(relative: str) -> str:
    """Relative path without its suffix; ``.gz`` belongs to the suffix before it.

    Examples
    --------
    >>> file_stem("case_1/seg.v2.nii.gz"), file_stem("a.b.png")
    ('case_1/seg.v2', 'a.b')
    """
    path = PurePosixPath(relative)
    if path.suffix.lower() == ".gz":
        path = path.with_suffix("")
    return path.with_suffix("").as_posix() if path.suffix else path.as_posix()


def read_labels(
    path: str, colors: Mapping[tuple[int, int, int], int] | None, *, scores: bool = False
) -> LabelMap:
    """Read a file whose colours, if it has any, are labels by a table.

    A file of single values holds labels already: one side may be pictures and the other not. Only
    a table that has nothing but gray colours is about such files as well. With ``scores``, values
    that are not read by the table may be floats.
    """
    if colors is None:
        return read_label_map(path, scores=scores)
    only_gray = all(red == green == blue for red, green, blue in colors)
    layout = probe(path).format
    if only_gray or "rgb" in layout or "palette" in layout:
        return read_label_map(path, color_table=colors)
    try:
        return read_label_map(path, scores=scores)
    except ReadError:  # formats such as TIFF do not say in their layout whether they hold colours
        return read_label_map(path, color_table=colors)
