"""PASCAL VOC semantic segmentation: 20 object classes and background, 255 does not count."""

from __future__ import annotations

from segmeter.evaluation.protocols._protocol import EvaluationProtocol

PROTOCOL = EvaluationProtocol(
    name="voc",
    summary="21 classes, palette indices are labels, border label 255 ignored",
    source="Everingham et al., The PASCAL Visual Object Classes Challenge (IJCV 2015), VOCevalseg",
    class_names=(
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ),
    ignore_index=(255,),
)
