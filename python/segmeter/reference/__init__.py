"""Plain-NumPy twins of the native functions: the definition of "correct".

Same names and signatures as the public functions; slow, short and easy to check by eye.
"""

from __future__ import annotations

from .cause import error_causes, region_facts
from .pixel import confusion_matrix

__all__ = ["confusion_matrix", "error_causes", "region_facts"]
