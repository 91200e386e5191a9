"""Cellpose's average precision of instance maps: TP / (TP + FP + FN) at IoU 0.5, 0.75 and 0.9.

Objects match one to one where the IoU reaches the threshold, as many as possible. Data set scores
follow from summed counts; the mean of each image's AP, which papers print, is the mean of the
column ``ap_50`` of the table of images. Images without any object have no AP (NaN), as in Cellpose.

Cellpose takes the lowest label of a map for background. In a map without background pixels it so
loses an object, and counts one match too few or too many; here every object counts. ``official()``
is of the counts here, so that on such maps it differs from the tool, which
``segmeter.instance_counts(..., preset="cellpose")`` reproduces.

Source: Stringer et al., Cellpose (Nature Methods 2021); ``cellpose.metrics.average_precision`` of
Cellpose 4.2.1.
"""

from __future__ import annotations

from segmeter.evaluation.protocols._instance_maps import instance_protocol

# StarDist's rule of matching is Cellpose's; a preset for Cellpose would add the lost object.
PROTOCOL = instance_protocol(
    "cellpose",
    summary="instance maps, AP = TP / (TP + FP + FN) at IoU 0.5, 0.75 and 0.9",
    source="Stringer et al., Cellpose (Nature Methods 2021); cellpose.metrics 4.2.1",
    thresholds=(0.5, 0.75, 0.9),  # Cellpose's default
    names={"ap": "accuracy"},
    empty="nan",
)
