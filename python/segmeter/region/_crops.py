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
        """Mask of some regions, by their positions, within a box that holds them."""
        parts = [slice(self._first[k], self._first[k + 1]) for k in np.atleast_1d(chosen)]
        extent = [part.stop - part.start for part in box]
        # One place more in each row, for runs that end with it.
        steps = np.zeros((*extent[:-1], extent[-1] + 1), np.int8)
        for part in parts:
            place = (self._corners[part] - [side.start for side in box]).T
            begin, end = place[-1], place[-1] + self._length[part]
            np.add.at(steps, (*place[:-1], begin), 1)
            np.add.at(steps, (*place[:-1], end), -1)
        return np.asarray(np.cumsum(steps, axis=-1, dtype=np.int8)[..., :-1] > 0)


def joint_box(first: RegionCrops, chosen: Any, second: RegionCrops, others: Any) -> Box:
    """Smallest box around regions of two sets, with a margin of one pixel within the image."""
    boxes = np.concatenate([first.bounding_box[chosen], second.bounding_box[others]])
    low = np.maximum(boxes[:, :, 0].min(axis=0) - 1, 0)
    high = np.minimum(boxes[:, :, 1].max(axis=0) + 1, first.shape)
    return tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
