"""Components and instances in plain NumPy: what the run-based kernels must equal.

Written to be read, not to be fast: a component grows pixel by pixel from its first pixel.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_FARTHEST = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}
"""Axes along which two neighbours may differ at once."""


def label_components(
    label_map: ArrayLike,
    *,
    connectivity: int | None = None,
    background: int | None = 0,
    binary: bool = False,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    return_runs: bool = True,
    return_labels: bool = True,
    threads: int = 0,
) -> Any:
    """NumPy twin of :func:`segmeter.label_components`; returns a table and the label image.

    The table is a dict of the columns of :class:`segmeter.Regions`, without runs in either case.

    Examples
    --------
    >>> table, labels = label_components([[1, 1, 0], [0, 2, 1]], connectivity=4)
    >>> labels
    array([[1, 1, 0],
           [0, 2, 3]])
    >>> table["area"]
    array([2, 1, 1])
    """
    del return_runs, threads  # the twin defines the result, not the speed
    values = np.asarray(label_map)
    counted = _counted(values, background, ignore_index)
    if binary:
        values = np.ones(values.shape, np.int64)
    reach = _FARTHEST[connectivity or (8 if values.ndim == 2 else 26)]
    steps = [
        step for step in product((-1, 0, 1), repeat=values.ndim) if 0 < sum(map(abs, step)) <= reach
    ]
    labels = np.zeros(values.shape, np.int64)
    count = 0
    for start in zip(*np.nonzero(counted), strict=True):
        if labels[start]:
            continue
        count += 1
        labels[start] = count
        waiting = [start]
        while waiting:
            pixel = waiting.pop()
            for step in steps:
                other = tuple(int(p) + s for p, s in zip(pixel, step, strict=True))
                if any(not 0 <= c < n for c, n in zip(other, values.shape, strict=True)):
                    continue
                if counted[other] and not labels[other] and values[other] == values[pixel]:
                    labels[other] = count
                    waiting.append(other)
    table = _table(labels, values, range(1, count + 1))
    return (table, labels) if return_labels else table


def instance_regions(
    label_map: ArrayLike,
    *,
    background: int | None = 0,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> dict[str, NDArray[Any]]:
    """NumPy twin of :func:`segmeter.instance_regions`: a dict of columns.

    Examples
    --------
    >>> instance_regions([[7, 0, 7]])["bounding_box"]
    array([[[0, 1],
            [0, 3]]])
    """
    del threads
    values = np.asarray(label_map)
    counted = _counted(values, background, ignore_index)
    ids = np.unique(values[counted])
    numbered = np.where(counted, np.searchsorted(ids, values) + 1, 0)
    table = _table(numbered, values, range(1, len(ids) + 1))
    return table | {"id": table["value"]}


def _counted(values: NDArray[Any], background: int | None, ignore_index: Any) -> NDArray[np.bool_]:
    """Pixels that belong to a region."""
    counted = np.ones(values.shape, bool)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)  # NumPy compares those with integers of any size
    if background is not None:
        counted &= values != background
    if ignore_index is None:
        return counted
    if isinstance(ignore_index, np.ndarray) and ignore_index.dtype == np.bool_:
        return counted & ~ignore_index
    for label in [ignore_index] if np.ndim(ignore_index) == 0 else ignore_index:
        counted &= values != int(label)
    return counted


def _table(
    labels: NDArray[np.int64], values: NDArray[Any], numbers: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """One row for each number of a label image."""
    axes = labels.ndim
    wide = np.uint64 if values.dtype.kind == "u" and values.dtype.itemsize == 8 else np.int64
    rows = []
    for number in numbers:
        pixels = np.argwhere(labels == number)
        region = np.pad(labels == number, [(0, 0)] * (axes - 1) + [(1, 0)])
        exposed = sum(
            int(np.count_nonzero(np.diff(np.pad(labels == number, 1).astype(np.int8), axis=axis)))
            for axis in range(axes)
        )
        border = any(
            n > 1 and bool(((pixels[:, axis] == 0) | (pixels[:, axis] == n - 1)).any())
            for axis, n in enumerate(labels.shape)
        )
        rows.append(
            {
                "id": number,
                "value": values[tuple(pixels[0])],
                "area": len(pixels),
                "first": np.ravel_multi_index(tuple(pixels[0]), labels.shape),
                "num_runs": np.count_nonzero(region[..., 1:] & ~region[..., :-1]),
                "coordinate_sum": pixels.sum(axis=0),
                "bounding_box": np.stack([pixels.min(axis=0), pixels.max(axis=0) + 1], axis=-1),
                "touches_border": border,
                "surface": exposed,
            }
        )
    kinds: dict[str, Any] = {"value": wide, "touches_border": bool}
    shapes = {"coordinate_sum": (axes,), "bounding_box": (axes, 2)}
    names = (
        "id", "value", "area", "first", "num_runs", "coordinate_sum", "bounding_box",
        "touches_border", "surface",
    )  # fmt: skip
    return {
        name: np.array([row[name] for row in rows], kinds.get(name, np.int64)).reshape(
            len(rows), *shapes.get(name, ())
        )
        for name in names
    }
