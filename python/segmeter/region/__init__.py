"""The region family: components, overlap, matching, and the scores that follow from them."""

from __future__ import annotations

from ._matching import Matching, match_regions
from ._overlap import OverlapTable, overlap_table

__all__: list[str] = [
    "Matching",
    "OverlapTable",
    "match_regions",
    "overlap_table",
]
