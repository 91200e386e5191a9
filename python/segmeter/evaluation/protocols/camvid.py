"""CamVid as SegNet prepared it: 11 classes, label 11 (unlabelled) does not count."""

from __future__ import annotations

from segmeter.evaluation.protocols._protocol import EvaluationProtocol

PROTOCOL = EvaluationProtocol(
    name="camvid",
    summary="11 classes, label 11 (unlabelled) ignored",
    source="Badrinarayanan et al., SegNet (TPAMI 2017); data of Brostow et al. (PRL 2009)",
    class_names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    ignore_index=(11,),
)
