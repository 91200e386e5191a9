"""Which entries of an overlap table are a region's best, or matched; shared by the scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._matching import match_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._matching import Matching
    from ._overlap import OverlapTable


def best_entries(index: NDArray[np.int64], *keys: NDArray[Any]) -> NDArray[np.intp]:
    """For every region in `index` the position of its entry that is largest by `keys`.

    The first key decides, the next ones break ties, then the order of the entries. The result is
    in ascending order of the regions.
    """
    order = np.lexsort((*(-key for key in reversed(keys)), index))
    first = np.ones(len(order), dtype=bool)
    first[1:] = index[order[1:]] != index[order[:-1]]
    return order[first]


def entries_of(table: OverlapTable, matching: Matching) -> NDArray[np.intp]:
    """Positions of the matched pairs among the entries of the table, which are sorted alike."""
    width = max(table.num_pred, 1)
    keys = table.target_index * width + table.pred_index
    return np.searchsorted(keys, matching.target_index * width + matching.pred_index)


def assigned_entries(table: OverlapTable, positions: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether an entry is in the one-to-one assignment of some with the largest sum of IoU."""
    sparse = replace(table, **table.pairs_at(positions))
    matching = match_regions(
        sparse, method="optimal", objective="score", threshold=0.0, same_class=False
    )
    chosen = np.zeros(len(table.intersection), dtype=bool)
    chosen[positions[entries_of(sparse, matching)]] = True
    return chosen
