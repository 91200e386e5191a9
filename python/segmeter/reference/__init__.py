"""Plain-NumPy twins of the native functions: the definition of "correct".

Same names and signatures as the public functions; slow, short and easy to check by eye.
"""

from __future__ import annotations

from .cause import error_causes, region_facts
from .cause_scores import cause_shares, renormed_causes, repaired_scores
from .pixel import confusion_matrix

__all__ = [
    "cause_shares",
    "confusion_matrix",
    "error_causes",
    "region_facts",
    "renormed_causes",
    "repaired_scores",
]
