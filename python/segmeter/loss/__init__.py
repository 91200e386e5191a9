"""Losses: value and gradient with respect to the logits, exact by name.

``soft_counts`` makes the table of sums that every pixel and region loss is a formula of.
"""

from __future__ import annotations

from ._table import (
    Formula,
    PixelTerm,
    SoftCounts,
    SoftCountsGradient,
    evaluate,
    soft_counts,
    soft_counts_backward,
)

__all__ = [
    "Formula",
    "PixelTerm",
    "SoftCounts",
    "SoftCountsGradient",
    "evaluate",
    "soft_counts",
    "soft_counts_backward",
]
