"""Two classes, whatever the file calls them: 0 is background, every other label foreground.

This compares masks stored as 0/1 with masks stored as 0/255. Predicted probabilities (8-bit or
float) are cut with ``threshold``: above it is foreground; the target stays "not 0".
"""

from __future__ import annotations

from segmeter.evaluation.protocols._protocol import EvaluationProtocol

PROTOCOL = EvaluationProtocol(
    name="binary",
    summary="0 is background, every other label foreground",
    source="common practice for masks stored as 0/1 or 0/255",
    class_names=("background", "foreground"),
    binary=True,
)
