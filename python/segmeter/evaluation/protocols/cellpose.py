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

from typing import TYPE_CHECKING, Any

from segmeter.evaluation.protocols._instance_maps import (
    InstanceMapCounts,
    preset_counts,
    score_names,
)
from segmeter.evaluation.protocols._protocol import EvaluationProtocol, Measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLDS = (0.5, 0.75, 0.9)
"""IoU that a pair must reach; Cellpose's default."""

_NAMES = {"ap": "accuracy"}


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
    >>> target = np.array([[1, 1, 0, 2]])
    >>> measure(np.array([[4, 4, 0, 0]]), target, "").counts.official()["ap"]
    [0.5, 0.5, 0.5]
    """
    # Cellpose and StarDist match by the same rule; cellpose's preset adds the lost object.
    counts = preset_counts(pred, target, THRESHOLDS, "stardist")
    found = InstanceMapCounts(counts, "nan", _NAMES)
    return Measured(found, scores=found.image_scores())


PROTOCOL = EvaluationProtocol(
    name="cellpose",
    summary="instance maps, AP = TP / (TP + FP + FN) at IoU 0.5, 0.75 and 0.9",
    source="Stringer et al., Cellpose (Nature Methods 2021); cellpose.metrics 4.2.1",
    class_names=("object",),
    measure=measure,
    pixels=False,
    score_names=score_names(_NAMES, THRESHOLDS),
)
