"""Regions cut out of their image: small masks, at the cost of the runs that are in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._components import Regions

    IntArray = NDArray[np.int64]

Box = tuple[slice, ...]


class RegionCrops:
    """The runs of some regions, sorted by region, so that each is found without a search.

    Examples
    --------
    >>> import segmeter
    >>> crops = RegionCrops(segmeter.label_components([[1, 1, 0, 2]]))
    >>> box = joint_box(crops, [0], crops, [1])
    >>> box, crops.mask([1], box)
    ((slice(0, 1, None), slice(0, 4, None)), array([[False, False, False,  True]]))
    """

    def __init__(self, regions: Regions) -> None:
        runs = regions.runs
        self.shape = regions.shape
        self.bounding_box = regions.bounding_box
        order = np.argsort(regions.run_region, kind="stable")
        ends = np.searchsorted(regions.run_region[order], np.arange(len(regions) + 1))
        self._first: IntArray = np.asarray(ends, np.int64)
        rows = np.unravel_index(runs.row[order], regions.shape[:-1])
        self._corners = np.stack([*rows, runs.begin[order].astype(np.int64)], axis=-1)
        self._length = runs.end[order].astype(np.int64) - runs.begin[order]

    def mask(self, chosen: Any, box: Box) -> NDArray[np.bool_]:
        """Mask of some regions, by their positions, as far as they lie within a box."""
        low = np.array([side.start for side in box])
        extent = np.array([side.stop for side in box]) - low
        # One place more in each row, for runs that end with it.
        steps = np.zeros((*extent[:-1], extent[-1] + 1), np.int8)
        for k in np.atleast_1d(chosen):
            part = self._runs_within(int(k), box[0])
            place = self._corners[part] - low
            begin = np.maximum(place[:, -1], 0)
            end = np.minimum(place[:, -1] + self._length[part], extent[-1])
            rows = place[:, :-1]
            kept = (begin < end) & ((rows >= 0) & (rows < extent[:-1])).all(axis=1)
            row = tuple(rows[kept].T)
            # No two runs of a region begin at one place, or end there.
            steps[(*row, begin[kept])] += 1
            steps[(*row, end[kept])] -= 1
        return np.asarray(np.cumsum(steps, axis=-1, dtype=np.int8)[..., :-1] > 0)

    def _runs_within(self, k: int, side: slice) -> slice:
        """Runs of a region between two places of the first axis, along which they are sorted."""
        first, end = self._first[k : k + 2]
        of_region = self._corners[first:end, 0]
        within = first + np.searchsorted(of_region, [side.start, side.stop])
        return slice(int(within[0]), int(within[1]))


def joint_box(first: RegionCrops, chosen: Any, second: RegionCrops, others: Any) -> Box:
    """Smallest box around regions of two sets, with a margin of one pixel within the image."""
    boxes = np.concatenate([first.bounding_box[chosen], second.bounding_box[others]])
    low = np.maximum(boxes[:, :, 0].min(axis=0) - 1, 0)
    high = np.minimum(boxes[:, :, 1].max(axis=0) + 1, first.shape)
    return tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
