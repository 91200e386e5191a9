"""Options with which a loss gives another tool's numbers and gradients, and that tool's defects.

A preset fills in what is not given. It holds conventions of the tool: what it divides by, sums
over and adds. Where the tool computes something it does not say, that is a defect: it is listed
here, and only ``strict=True`` reproduces it where a formula can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MONAI_SMOOTH = {"smooth_nr": 1e-5, "smooth_dr": 1e-5}
_SMP_OVERLAP = {"region": "batch", "absent": "zero", "smooth_nr": 0.0, "smooth_dr": 0.0}
_KERAS_OVERLAP = {
    "activation": "none",
    "channels_last": True,
    "region": "batch",
    "average": "micro",
    "smooth_nr": 0.0,
    "smooth_dr": 1e-7,
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "torch": {
        "CrossEntropy": {"empty": "nan"},
    },
    "monai": {
        "CrossEntropy": {"empty": "nan"},
        "Dice": {**_MONAI_SMOOTH, "normalise_weight": False},
        "DiceMetric": {**_MONAI_SMOOTH, "normalise_weight": False},
        "Jaccard": {"smooth_nr": 5e-6, "smooth_dr": 5e-6, "normalise_weight": False},
        "JaccardMetric": {"smooth_nr": 5e-6, "smooth_dr": 5e-6, "normalise_weight": False},
        "Tversky": _MONAI_SMOOTH,
        "GeneralisedDice": _MONAI_SMOOTH,
        "MatthewsCorrcoef": {"smooth_nr": 0.0, "smooth_dr": 1e-5},
        "Focal": {"activation": "sigmoid", "divide_by_classes": True},
    },
    "smp": {
        "CrossEntropy": {"normaliser": "all"},
        "Dice": {**_SMP_OVERLAP, "eps": 2e-7},
        "LogDice": {**_SMP_OVERLAP, "eps": 2e-7, "floor": 1e-7},
        "Jaccard": {**_SMP_OVERLAP, "eps": 1e-7},
        "Tversky": {**_SMP_OVERLAP, "eps": 1e-7},
        "FocalTversky": {**_SMP_OVERLAP, "eps": 1e-7, "power_of_mean": True, "gamma": 1.0},
        "Focal": {"activation": "sigmoid", "normaliser": "weights"},
        "MatthewsCorrcoef": {
            "activation": "none",
            "region": "batch",
            "smooth_dr": 0.0,
            "pseudo_count": 1e-5,
        },
        "LovaszSoftmax": {"region": "batch", "classes": "present"},
        "LovaszHinge": {"region": "batch"},
    },
    "nnunet": {
        "CrossEntropy": {"empty": "nan"},
        "Dice": {
            **_MONAI_SMOOTH,
            "eps": 1e-8,
            "include_background": False,
            "complement": False,
        },
        "TopK": {"fraction": 0.1, "normaliser": "all"},
    },
    "kornia": {
        "Dice": {"average": "micro", "absent": "skip", "smooth_nr": 0.0, "smooth_dr": 1e-8},
        "Tversky": {"absent": "skip", "smooth_nr": 0.0, "smooth_dr": 1e-8},
        "Focal": {"normaliser": "all", "divide_by_classes": True},
        "LovaszSoftmax": {
            "region": "per_sample",
            "classes": "all",
            "normalise_weight": False,
        },
        "LovaszHinge": {"region": "per_sample"},
    },
    "keras": {
        "CrossEntropy": {"channels_last": True},
        "Dice": _KERAS_OVERLAP,
        "Tversky": _KERAS_OVERLAP,
        "Focal": {"channels_last": True},
        "GeneralisedCrossEntropy": {"activation": "none", "channels_last": True},
    },
    "mmseg": {
        "CrossEntropy": {"normaliser": "all"},
        "Dice": {
            "activation": "sigmoid",
            "average": "micro",
            "squared": True,
            "smooth_nr": 0.0,
            "smooth_dr": 2e-3,
        },
        "Tversky": {"alpha": 0.3, "beta": 0.7, "smooth_nr": 1.0, "smooth_dr": 1.0},
        "Focal": {"activation": "sigmoid", "alpha": 0.5, "normaliser": "all"},
        "LovaszSoftmax": {"region": "batch", "classes": "present"},
        "Ohem": {"threshold": 0.7, "least": 100_000, "normaliser": "all"},
    },
}
"""By tool and class of the loss."""


def complete(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a loss with those of its preset where they are not given.

    Parameters
    ----------
    name : str
        Class of the loss.
    given : mapping
        The user's options, ``preset`` and ``strict`` among them.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the preset is unknown or has no such loss.
    """
    preset = given.get("preset")
    if preset is None:
        if given.get("strict", False):
            raise ValueError("strict=True reproduces the defects of a tool: name it with preset=")
        return dict(given)
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    if name not in PRESETS[preset]:
        have = [tool for tool, losses in PRESETS.items() if name in losses]
        hint = f"; those that have one: {', '.join(have)}" if have else "; no tool has one"
        raise ValueError(f"preset {preset!r} has no {name}{hint}")
    options = {**PRESETS[preset][name], **given}
    if name == "CrossEntropy" and preset in ("torch", "monai", "nnunet"):
        # Their softmax divides by the weights of the pixels, their sigmoid by pixels and classes.
        softmax = options.get("activation", "softmax") == "softmax"
        options.setdefault("normaliser", "weights" if softmax else "valid")
    return options
