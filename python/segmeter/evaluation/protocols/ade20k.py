"""ADE20K scene parsing: 150 classes with labels 1..150, target label 0 does not count.

The benchmark's own tool divides by the union plus a tiny number, so a class that occurs nowhere
scores 0 there and pulls the mean down; here it is left out of the mean. On the full validation
set every class occurs and both agree; ``mean_iou_absent_zero`` is the tool's number on any set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.evaluation.protocols._protocol import EvaluationProtocol
from segmeter.pixel import iou, mean_iou, pixel_accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

# First name of each class in the benchmark's list objectInfo150.
_NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove,
palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light,
truck, tower, chandelier, awning, streetlight, booth, television, airplane, dirt track, apparel,
pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain,
conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent,
bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle,
lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan,
pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""


def benchmark_scores(matrix: NDArray[Any]) -> dict[str, float]:
    """Mean IoU with absent classes as 0, and the challenge's final score.

    The final score is the mean of pixel accuracy and mean IoU (Zhou et al., 2017).

    Parameters
    ----------
    matrix : (C, C) or (C, C+1) array of int
        Confusion matrix, rows are the target.

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> benchmark_scores(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))["mean_iou_absent_zero"]
    0.5166666666666667
    """
    return {
        "mean_iou_absent_zero": float(np.mean(iou(matrix, absent="zero"))),
        "final_score": float(pixel_accuracy(matrix) + mean_iou(matrix)) / 2,
    }


PROTOCOL = EvaluationProtocol(
    name="ade20k",
    summary="150 classes with labels 1..150, target label 0 ignored",
    source="Zhou et al., Scene Parsing through ADE20K Dataset (CVPR 2017)",
    class_names=tuple(" ".join(name.split()) for name in _NAMES.split(",")),
    labels={0: None} | {label: label - 1 for label in range(1, 151)},
    scores=benchmark_scores,
)
