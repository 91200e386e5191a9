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

from typing import TYPE_CHECKING, Any

from segmeter.evaluation.protocols._instance_maps import (
    InstanceMapCounts,
    preset_counts,
    score_names,
)
from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLDS = tuple(tenth / 10 for tenth in range(1, 10))
"""IoU that a pair must reach; those of StarDist's examples."""

_NAMES = {
    "ap": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "mean_true_score": "mean_true_score",
    "mean_matched_score": "mean_matched_score",
    "panoptic_quality": "panoptic_quality",
}


def measure(
    pred: NDArray[Any],
    target: NDArray[Any],
    target_path: str,  # noqa: ARG001 (all protocols take it)
    spacing: tuple[float, ...] | None = None,  # noqa: ARG001
) -> Measured:
    """Count one image.

    Parameters
    ----------
    pred, target : array of int
        Ids of objects, 0 is background.
    target_path, spacing
        Of no use here.

    Returns
    -------
    Measured

    Raises
    ------
    ValueError
        If an id is negative.

    Examples
    --------
    >>> import numpy as np
    >>> counts = measure(np.array([[4, 4, 0, 0]]), np.array([[1, 1, 1, 2]]), "").counts
    >>> counts.official()["tp"]
    [1, 1, 1, 1, 1, 1, 0, 0, 0]
    """
    counts = preset_counts(pred, target, THRESHOLDS, "stardist")
    found = InstanceMapCounts(counts, "zero", _NAMES)
    return Measured(found, scores=found.image_scores())


PROTOCOL = EvaluationProtocol(
    name="stardist",
    summary="instance maps, matching at IoU 0.1 to 0.9, scores from summed counts",
    source="Weigert et al., StarDist (WACV 2020); stardist.matching 0.9",
    class_names=("object",),
    measure=measure,
    pixels=False,
    score_names=score_names(_NAMES, THRESHOLDS),
)
