"""StarDist's matching of instance maps at IoU 0.1 to 0.9, from summed counts.

Objects match one to one where the IoU reaches the threshold, as many as possible, then with the
largest sum of IoU. ``accuracy`` (called AP in the paper), precision, recall, F1, mean scores and
panoptic quality follow from the counts summed over images, as ``matching_dataset`` has it with
``by_image=False``. Without any object all scores are 0, as in StarDist. StarDist computes IoU in
float32: a pair within 6e-8 of a threshold can fall on its other side, and sums of IoU differ in the
eighth digit.

Source: Weigert et al., Star-convex Polyhedra for 3D Object Detection and Segmentation (WACV 2020);
``stardist.matching`` of StarDist 0.9.
"""

from __future__ import annotations

from segmeter.evaluation.protocols._instance_maps import instance_protocol

PROTOCOL = instance_protocol(
    "stardist",
    summary="instance maps, matching at IoU 0.1 to 0.9, scores from summed counts",
    source="Weigert et al., StarDist (WACV 2020); stardist.matching 0.9",
    thresholds=tuple(tenth / 10 for tenth in range(1, 10)),  # those of StarDist's examples
    names={
        "ap": "accuracy",
        "precision": "precision",
        "recall": "recall",
        "f1": "f1",
        "mean_true_score": "mean_true_score",
        "mean_matched_score": "mean_matched_score",
        "panoptic_quality": "panoptic_quality",
    },
    empty="zero",
)
