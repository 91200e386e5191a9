"""Ways of looking at a pair of label maps beyond the confusion matrix, each a small object.

A measure turns a pair of maps into counts that add up, and everything it reports follows from
counts. To add one: write its module, and name it below.
"""

from __future__ import annotations

from segmeter.evaluation.measures import boundary, cause, region
from segmeter.evaluation.measures._measure import (
    Maps,
    Measure,
    MeasureCounts,
    band_sentence,
    class_maps,
)

__all__ = ["MEASURES", "PIXEL", "Maps", "Measure", "MeasureCounts", "band_sentence", "class_maps"]

PIXEL = "pixel"
"""The measure that is the confusion matrix; the tables of a result are made for it."""

MEASURES = {measure.name: measure for measure in (region.MEASURE, boundary.MEASURE, cause.MEASURE)}
"""Every other measure by its name."""
