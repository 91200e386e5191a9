"""Masks as runs: dilation, complement, and what the lesion and topology scores share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._arrays import as_array, thread_limit
from ._runs import RunList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]


def dilate(
    mask: Any,
    *,
    offsets: ArrayLike | None = None,
    iterations: int = 1,
    threads: int = 0,
) -> RunList:
    """Dilate a mask, without painting it.

    Parameters
    ----------
    mask : array_like of int or bool, 2-D or 3-D, or RunList
        The mask is what is not 0; of a run list, all runs.
    offsets : (K, 2) or (K, 3) array_like of int, optional
        Structuring element: every pixel of the mask sets the pixels at these offsets from it.
        Default: the pixel and all neighbours that differ from it along at most two axes (the
        3x3 square; in 3-D the 18-neighbourhood, as in the BraTS rules).
    iterations : int, default 1
        How many times.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input. The result does not depend on it.

    Returns
    -------
    RunList
        Cut off at the image's border; equal to ``scipy.ndimage.binary_dilation``.

    Raises
    ------
    ValueError, TypeError
        The mask is of another kind or number of axes, or an option is outside its range.

    Examples
    --------
    >>> dilate([[0, 0, 0, 1]]).to_array().astype(int)
    array([[0, 0, 1, 1]])
    """
    runs = mask_runs(mask, threads)
    ndim = len(runs.shape)
    if isinstance(iterations, bool) or not isinstance(iterations, (int, np.integer)):
        raise TypeError(f"iterations must be an integer, got {iterations!r}")
    if iterations < 0:
        raise ValueError(f"iterations must not be negative, got {iterations}")
    element = _neighbourhood(ndim) if offsets is None else np.asarray(offsets)
    if element.ndim != 2 or element.shape[1] != ndim or element.dtype.kind not in "iu":
        raise ValueError(
            f"offsets must be an integer array of shape (K, {ndim}), got shape {element.shape} "
            f"and dtype {element.dtype}"
        )
    row_begin, begin, end = _core.dilate_runs(
        run_shape(runs.shape),
        runs.row_begin,
        runs.begin,
        runs.end,
        _element_rows(element),
        int(iterations),
        thread_limit(threads),
    )
    return RunList(runs.shape, row_begin, begin, end)


def mask_runs(mask: Any, threads: int) -> RunList:
    """Runs of what is not 0; a run list as it is, whatever its values."""
    if not isinstance(mask, RunList):
        return RunList.from_array(as_array(mask, "mask"), binary=True, threads=threads)
    return mask if mask.is_binary else binary_runs(mask.shape, mask.row, mask.begin, mask.end)


def complement(runs: RunList) -> RunList:
    """Runs of the pixels between the runs of a mask."""
    rows = len(runs.row_begin) - 1
    begin = np.insert(runs.end, runs.row_begin[:-1], 0)
    end = np.insert(runs.begin, runs.row_begin[1:], runs.shape[-1])
    row = np.repeat(np.arange(rows), np.diff(runs.row_begin) + 1)
    kept = begin < end
    return binary_runs(runs.shape, row[kept], begin[kept], end[kept])


def binary_runs(
    shape: tuple[int, ...], row: IntArray, begin: NDArray[Any], end: NDArray[Any]
) -> RunList:
    """Mask of runs in the order of their positions; runs that touch become one."""
    is_first = np.ones(len(row), bool)
    is_first[1:] = (row[1:] != row[:-1]) | (begin[1:] != end[:-1])
    is_last = np.ones(len(row), bool)
    is_last[:-1] = is_first[1:]
    counts = np.bincount(row[is_first], minlength=num_rows(shape))
    row_begin = np.concatenate([[0], np.cumsum(counts)])
    return RunList(shape, row_begin, begin[is_first], end[is_last])


def num_rows(shape: Sequence[int]) -> int:
    """Number of rows of an image."""
    return int(np.prod(shape[:-1], dtype=np.int64))


def run_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Planes, rows of a plane, and pixels of a row."""
    planes, rows, width = (1, *shape) if len(shape) == 2 else shape
    return int(planes), int(rows), int(width)


def label_pair(pred: Any, target: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both label maps as arrays, or an error that says what is wrong with them."""
    arrays = as_array(pred, "pred"), as_array(target, "target")
    for array, name in zip(arrays, ("pred", "target"), strict=True):
        if array.dtype.kind not in "biu":
            raise TypeError(f"{name} must hold integer or bool labels, got dtype {array.dtype}")
    if arrays[0].shape != arrays[1].shape or arrays[0].ndim not in (2, 3):
        raise ValueError(
            f"pred and target must be 2-D or 3-D and have the same shape, got {arrays[0].shape} "
            f"and {arrays[1].shape}"
        )
    return arrays


def ignored_pixels(target: NDArray[Any], ignore_index: Any) -> NDArray[np.bool_] | None:
    """Mask of what is ignored in both maps; None if nothing is."""
    if ignore_index is None:
        return None
    given = np.asarray(ignore_index)
    if given.dtype == np.bool_:
        if given.shape != target.shape:
            raise ValueError(
                f"a mask as ignore_index must have the shape {target.shape}, got {given.shape}"
            )
        return given
    if given.dtype.kind not in "iu":
        raise TypeError(f"ignore_index must hold integers, got {ignore_index!r}")
    return np.isin(target, given)


def _neighbourhood(ndim: int) -> IntArray:
    steps = np.indices((3,) * ndim).reshape(ndim, -1).T - 1
    return np.asarray(steps[(steps != 0).sum(axis=1) <= 2], np.int64)


def _element_rows(offsets: NDArray[Any]) -> list[tuple[int, int, int, int]]:
    """Structuring element as stretches along the last axis: plane, row, first, last."""
    points = np.unique(np.asarray(offsets, np.int64), axis=0)
    if points.shape[1] == 2:
        points = np.insert(points, 0, 0, axis=1)
    parts: list[tuple[int, int, int, int]] = []
    for plane, row, column in points.tolist():
        if parts and parts[-1][:2] == (plane, row) and parts[-1][3] == column - 1:
            parts[-1] = (plane, row, parts[-1][2], column)
        else:
            parts.append((plane, row, column, column))
    return parts
