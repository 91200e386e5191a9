"""Twins of the native functions in plain NumPy: the definition of "correct".

A module for each family or part of one, whose functions have the names and the main options of the
public ones; slow, short and easy to check by eye. Some need SciPy.

- ``pixel``, ``scores``: confusion matrices, and their scores without one;
- ``readers``: colours of pixels as numbers, filters of PNG rows;
- ``region_components``, ``region_overlap``, ``region_scores``, ``region_lesions``,
  ``region_detection``, ``region_topology``, ``region_coco``;
- ``boundary_edt``, ``boundary_band``, ``boundary_surfaces``, ``boundary_scores``,
  ``boundary_regions``;
- ``cause``, ``cause_scores``;
- ``loss``, ``loss_lovasz``, ``loss_compound``: losses, and ``loss_table``, their table of sums.

Those of confusion matrices and causes are named here too.
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
