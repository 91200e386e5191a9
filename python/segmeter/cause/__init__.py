"""The cause family: why each wrong pixel is wrong."""

from __future__ import annotations

from ._causes import error_causes
from ._counts import Cause, CauseCounts, CauseKind
from ._facts import RegionFact, RegionFacts, region_facts
from ._scores import cause_shares, renormed_causes, repaired_scores

__all__ = [
    "Cause",
    "CauseCounts",
    "CauseKind",
    "RegionFact",
    "RegionFacts",
    "cause_shares",
    "error_causes",
    "region_facts",
    "renormed_causes",
    "repaired_scores",
]
