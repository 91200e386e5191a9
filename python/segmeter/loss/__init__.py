"""Losses: value and gradient with respect to the logits, exact by name.

Every loss is a function, ``dice(logits, target)``, and an object, ``Dice()``, that holds its
options, can be called and explains itself. ``soft_counts`` makes the table of sums that every
pixel and region loss is a formula of.
"""

from __future__ import annotations

from . import _compound, _defects, _functions, _pixel, _profile, _region, _surrogate
from ._base import Loss
from ._buffers import clear_buffers, set_buffer_limit
from ._compound import *  # noqa: F403
from ._defects import *  # noqa: F403
from ._functions import *  # noqa: F403
from ._pixel import *  # noqa: F403
from ._profile import *  # noqa: F403
from ._region import *  # noqa: F403
from ._surrogate import *  # noqa: F403
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
    *_compound.__all__,
    *_defects.__all__,
    *_functions.__all__,
    *_pixel.__all__,
    *_profile.__all__,
    *_region.__all__,
    *_surrogate.__all__,
    "Formula",
    "Loss",
    "PixelTerm",
    "SoftCounts",
    "SoftCountsGradient",
    "clear_buffers",
    "evaluate",
    "set_buffer_limit",
    "soft_counts",
    "soft_counts_backward",
]
