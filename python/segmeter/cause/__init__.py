"""The cause family: why each wrong pixel is wrong."""

from __future__ import annotations

from ._causes import error_causes
from ._counts import Cause, CauseCounts, CauseKind
from ._scores import cause_shares, renormed_causes, repaired_scores

__all__ = [
    "Cause",
    "CauseCounts",
    "CauseKind",
    "cause_shares",
    "error_causes",
    "renormed_causes",
    "repaired_scores",
]
