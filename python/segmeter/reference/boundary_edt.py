"""Distance transform in plain NumPy: every pixel against every other one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


def distance_transform(
    mask: ArrayLike,
    *,
    spacing: Sequence[float] | None = None,
    labels: bool = False,
    border: str = "ignore",
    squared: bool = False,
    return_indices: bool = False,
    signed: bool = False,
    threads: int = 0,
) -> Any:
    """Twin of :func:`segmeter.distance_transform`; same arguments, same result.

    Time and memory grow with the square of the number of pixels.

    Examples
    --------
    >>> distance_transform([[0, 1, 1, 1]], border="background")
    array([[0., 1., 1., 1.]])
    """
    del threads  # one thread only: the twin defines the result, not the speed
    given = np.asarray(mask)
    label = given if labels else given != 0
    steps = np.ones(given.ndim) if spacing is None else np.asarray(spacing, np.float64)
    # One pixel of background on every side is as good as endlessly many.
    around = np.pad(label, 1)
    is_candidate = np.full(around.shape, border == "background")
    is_candidate[(slice(1, -1),) * given.ndim] = True
    places = np.argwhere(is_candidate) - 1
    values = around[is_candidate]

    distance = np.zeros(given.shape)
    indices = np.indices(given.shape)
    for value in np.unique(label):
        if value == 0 and not signed:
            continue
        here = label == value
        found, place = _nearest(np.argwhere(here), places[values != value], steps)
        distance[here] = found if squared else np.sqrt(found)
        indices[:, here] = place.T
    if signed:
        distance[label != 0] *= -1
    return (distance, indices) if return_indices else distance


def _nearest(
    points: IntArray, candidates: IntArray, spacing: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Squared distance of each point to the nearest candidate, and that candidate.

    Of several nearest ones the first, as ordered by last coordinate, then by the distance within
    the axes before, then by the coordinate before, and so on.

    Examples
    --------
    >>> _nearest(np.array([[0, 1]]), np.array([[0, 2], [0, 0]]), np.ones(2))
    (array([1.]), array([[0, 0]]))
    """
    if len(candidates) == 0:
        return np.full(len(points), np.inf), np.full(points.shape, -1)
    squares = np.square((points[:, None] - candidates[None]) * spacing)
    within = np.cumsum(squares, axis=2)  # the axes up to each one, added up in their order
    open_ = np.ones(within.shape[:2], bool)
    for axis in reversed(range(points.shape[1])):
        for key in (within[:, :, axis], np.broadcast_to(candidates[:, axis], open_.shape)):
            smallest = np.where(open_, key, np.inf).min(axis=1)
            open_ &= key == smallest[:, None]
    return within[:, :, -1].min(axis=1), candidates[open_.argmax(axis=1)]
