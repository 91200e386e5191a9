"""Benchmarks by name: what their labels mean, what they ignore, what they report.

Examples
--------
>>> from segmeter.evaluation import protocols
>>> protocols.get("voc").ignore_index
(255,)
>>> len(protocols.get("ade20k").class_names)
150
"""

from __future__ import annotations

import difflib

from segmeter._arrays import shown
from segmeter.evaluation.protocols import (
    ade20k,
    binary,
    brats,
    camvid,
    cellpose,
    cityscapes,
    coco_instances,
    coco_panoptic,
    davis,
    picai,
    stardist,
    voc,
)
from segmeter.evaluation.protocols._protocol import (
    EvaluationProtocol,
    Measured,
    ProtocolCounts,
    ProtocolDataset,
)

__all__ = [
    "PROTOCOLS",
    "EvaluationProtocol",
    "Measured",
    "ProtocolCounts",
    "ProtocolDataset",
    "get",
]

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        cityscapes.PROTOCOL,
        cityscapes.TRAIN_IDS,
        voc.PROTOCOL,
        ade20k.PROTOCOL,
        camvid.PROTOCOL,
        binary.PROTOCOL,
        coco_instances.PROTOCOL,
        coco_panoptic.PROTOCOL,
        coco_panoptic.CITYSCAPES,
        *brats.PROTOCOLS,
        davis.PROTOCOL,
        picai.PROTOCOL,
        cellpose.PROTOCOL,
        stardist.PROTOCOL,
    )
}
"""Every protocol by its name."""


def get(name: str) -> EvaluationProtocol:
    """Give the protocol of a name.

    Parameters
    ----------
    name : str

    Returns
    -------
    EvaluationProtocol

    Raises
    ------
    ValueError
        If there is none of this name; the message lists those there are.

    Examples
    --------
    >>> get("binary").class_names
    ('background', 'foreground')
    """
    if not isinstance(name, str):
        raise TypeError(f"protocol must be a name, got {shown(name)}")
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f"did you mean {close[0]!r}? There" if close else "there"
        raise ValueError(f"protocol {name!r} is unknown; {hint} are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
