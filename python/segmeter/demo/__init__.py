"""A small set of street scenes with known truth and predictions with known faults.

The scenes are drawn, not photographed: integer arithmetic only, so every machine draws the same
pixels. Each of the eight images carries one fault (the first carries none), and the set says of
every fault how many pixels it cost, from which class to which. That makes it a first example for
people and an end-to-end test with exact expected counts.

Examples
--------
>>> from segmeter import demo
>>> [image.fault.kind for image in demo.draw()][:3]
['perfect', 'boundary shift', 'missed object']
>>> demo.draw()[2].fault.sentence
'a car of 1,639 pixels was missed'
"""

from __future__ import annotations

from segmeter.demo._faults import DemoImage, Fault, draw, expected_matrix
from segmeter.demo._files import DemoFiles, write
from segmeter.demo._scene import CLASS_NAMES, COLORS, VOID

__all__ = [
    "CLASS_NAMES",
    "COLORS",
    "VOID",
    "DemoFiles",
    "DemoImage",
    "Fault",
    "draw",
    "expected_matrix",
    "write",
]
