"""Numbers printed in, or computed by, other projects' tests: cases of kind ``loss``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter import loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Case = dict[str, Any]

LATER = {"hausdorff_dt_loss", "soft_cldice_loss"}
"""Losses of distance and of topology, which are another family."""

ELSEWHERE = {"nacl_loss"}
"""Label smoothing by the neighbours' labels (calibration): no loss of ours."""

WORDS = {
    "squared_pred": "squared",
    "weight": "class_weight",
    "w_type": "class_size",
    "soft_label": "soft_label",
}
PLAIN = (
    "include_background",
    "smooth_nr",
    "smooth_dr",
    "alpha",
    "beta",
    "gamma",
    "reduction",
    "ignore_index",
)


def monai_input(case: Case) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Logits or what MONAI's other activation makes of them, target, and options in our words."""
    arrays, params = case["arrays"], case["params"]
    x = np.asarray(arrays.get("input", arrays.get("logits")), np.float64)
    target = arrays["target"]
    if target.ndim == x.ndim and target.shape[1] == 1:
        target = target[:, 0].astype(np.int64)
    elif target.ndim == x.ndim:
        target = target.astype(np.float64)
    activation = "none"
    for name in ("softmax", "sigmoid"):
        if params.get(name):
            activation = name
    other = params.get("other_act")
    if other == "tanh":
        x = np.tanh(x)
    elif other == "log_softmax_dim1":
        x = x - np.log(np.exp(x).sum(1, keepdims=True))
    options = {name: params[name] for name in PLAIN if name in params}
    options |= {mine: params[name] for name, mine in WORDS.items() if name in params}
    if params.get("batch"):
        options["region"] = "batch"
    if x.shape[1] == 1:
        options.pop("include_background", None)
    weight = options.get("class_weight")
    if weight is not None and not options.get("include_background", True):
        options["class_weight"] = [1.0, *weight][-x.shape[1] :]
    return x, target, {"activation": activation, "preset": "monai", **options}


def monai_overlap(case: Case) -> Any:
    x, target, options = monai_input(case)
    if case["params"].get("soft_label") is not None and target.ndim < x.ndim:
        target = case["arrays"]["target"].astype(np.float64)
    if target.ndim < x.ndim and x.shape[1] == 1 and options["activation"] == "none":
        target = target[:, None].astype(np.float64)
    made: type[Any] = {
        "dice_loss": loss.Dice,
        "tversky_loss": loss.Tversky,
        "generalized_dice_loss": loss.GeneralisedDice,
    }[case["op"]]
    if case["params"].get("jaccard"):
        made = loss.Jaccard
    return evaluated(made(**options), x, target, case)


def evaluated(made: Any, x: np.ndarray, target: np.ndarray, case: Case) -> Any:
    """Value, or value and gradient as the case asks for them, in its shape."""
    expected = case["expected"]
    if isinstance(expected, dict):
        value, gradient = made(x, target, return_grad=True)
        return {"loss": value, "grad_logits": gradient}
    value = made(x, target)
    return np.reshape(value, np.shape(expected)) if np.ndim(expected) else value


def monai_focal(case: Case) -> Any:
    x, target, options = monai_input(case)
    softmax = case["params"].get("use_softmax", False)
    options["activation"] = "softmax" if softmax else "sigmoid"
    return evaluated(loss.Focal(**options), x, target, case)


def monai_dice_ce(case: Case) -> Any:
    x, target, options = monai_input(case)
    params = case["params"]
    if x.shape[1] == 1:
        entropy = loss.CrossEntropy(
            preset="monai", activation="sigmoid", positive_weight=params["weight"]
        )
        options["class_weight"] = None  # MONAI's Dice has no weight for one class
    else:
        entropy = loss.CrossEntropy(preset="monai", class_weight=params.get("weight"))
        if not params.get("include_background", True):
            options["class_weight"] = params.get("weight")
    both = loss.compound(
        [
            (params.get("lambda_dice", 1), loss.Dice(**options)),
            (params.get("lambda_ce", 1), entropy),
        ]
    )
    return both(x, target)


def torch_cross_entropy(case: Case) -> Any:
    params = dict(case["params"])
    made = loss.CrossEntropy(
        preset="torch",
        class_weight=params.get("weight"),
        ignore_index=params.get("ignore_index", -100),
    )
    return evaluated(made, case["arrays"]["logits"], case["arrays"]["target"], case)


def kornia_dice(case: Case) -> float:
    params = case["params"]
    return loss.dice(
        case["arrays"]["logits"],
        case["arrays"]["target"],
        preset="kornia",
        average=params["average"],
        class_weight=params.get("weight"),
        absent="skip" if params.get("absent_classes", "excluded") == "excluded" else "score",
    )


def keras_pair(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """y_pred and y_true with a class axis of one: all Keras' Dice knows is sums of everything."""
    return case["arrays"]["y_pred"][..., None], case["arrays"]["y_true"][..., None].astype(float)


def keras_dice(case: Case) -> Any:
    x, y = keras_pair(case)
    if case["params"].get("axis"):
        return loss.dice(x, y, preset="keras", region="per_sample", reduction="none").ravel()
    return loss.dice(x, y, preset="keras")


def keras_tversky(case: Case) -> float:
    x, y = keras_pair(case)
    return loss.tversky(x, y, preset="keras", **case["params"])


def keras_binary_focal(case: Case) -> Any:
    x, y = keras_pair(case)
    params = dict(case["params"])
    activation = "sigmoid" if params.pop("from_logits") else "none"
    reduction = params.pop("reduction", "mean")
    value = loss.focal(
        x, y, preset="keras", activation=activation, reduction=reduction, gamma=params["gamma"]
    )
    return value[..., 0].mean(-1) if reduction == "none" else value


def keras_categorical_focal(case: Case) -> float:
    x, y = case["arrays"]["y_pred"], case["arrays"]["y_true"]
    x = x / x.sum(-1, keepdims=True)
    return loss.focal(
        x[:, None], y[:, None], preset="keras", activation="none", class_weight=0.25, gamma=2.0
    )


def keras_sparse(case: Case) -> np.ndarray:
    x, y = case["arrays"]["y_pred"][:, None], case["arrays"]["y_true"][:, None]
    return loss.cross_entropy(x, y, preset="keras", reduction="none")[:, 0]


def smoothed_binary(case: Case) -> float:
    """smp's factor moves a label so far: half of the share of the uniform label."""
    params = case["params"]
    return loss.cross_entropy(
        case["arrays"]["logits"][None, None],
        case["arrays"]["target"][None],
        preset="smp",
        activation="sigmoid",
        label_smoothing=2 * params["smooth_factor"],
        ignore_index=params["ignore_index"],
    )


def smp_mcc(case: Case) -> float:
    x, y = case["arrays"]["y_pred"], case["arrays"]["y_true"]
    return loss.matthews_corrcoef(x[:, None], y[:, None], preset="smp", pseudo_count=1e-5)


def smp_jaccard(case: Case) -> float:
    x, y = case["arrays"]["y_pred"], case["arrays"]["y_true"]
    return loss.jaccard(x, y, preset="smp", activation="none")


def on_sigmoid(case: Case) -> float:
    """Tversky of a vector of logits; its power is of the loss."""
    params = case["params"]
    options = {name: params[name] for name in ("alpha", "beta", "gamma") if name in params}
    function = loss.focal_tversky if "gamma" in params else loss.tversky
    return function(
        case["arrays"]["y_pred"][None, None],
        case["arrays"]["y_true"][None, None],
        activation="sigmoid",
        smooth_nr=params["smooth"],
        smooth_dr=params["smooth"],
        **options,
    )


def lovasz_softmax(case: Case) -> Any:
    made = loss.LovaszSoftmax(
        region="per_sample" if case["params"].get("per_image") else "batch",
        ignore_index=case["params"].get("ignore"),
        exact=True,
    )
    return evaluated(made, case["arrays"]["logits"], case["arrays"]["target"], case)


def lovasz_hinge(case: Case) -> Any:
    made = loss.LovaszHinge(region="batch", exact=True)
    return evaluated(made, case["arrays"]["logits"], case["arrays"]["target"][:, 0], case)


ANSWERS: dict[str, Callable[[Case], Any]] = {
    "dice_loss": monai_overlap,
    "tversky_loss": monai_overlap,
    "generalized_dice_loss": monai_overlap,
    "focal_loss": monai_focal,
    "dice_ce_loss": monai_dice_ce,
    "cross_entropy": torch_cross_entropy,
    "dice_loss_macro_softmax": kornia_dice,
    "kornia_dice_loss": kornia_dice,
    "keras_dice": keras_dice,
    "keras_tversky": keras_tversky,
    "keras_binary_focal": keras_binary_focal,
    "keras_categorical_focal": keras_categorical_focal,
    "keras_sparse_ce": keras_sparse,
    "label_smoothed_bce": smoothed_binary,
    "mcc_loss": smp_mcc,
    "jaccard_loss_multiclass": smp_jaccard,
    "tversky_on_sigmoid": on_sigmoid,
    "focal_tversky_on_sigmoid": on_sigmoid,
    "lovasz_softmax": lovasz_softmax,
    "lovasz_hinge": lovasz_hinge,
}

REFUSED = {"keras.dice.nonprob", "keras.tversky.nonprob", "keras.tversky.nonprob_02_08"}
"""Targets outside of 0 to 1, which are no shares of a pixel."""


def test_numbers_of_other_projects(cases: list[Case], oracles: ModuleType) -> None:
    ran, wrong = 0, []
    for case in cases:
        if case["kind"] != "loss" or case["op"] in LATER | ELSEWHERE:
            continue
        ran += 1
        if case["name"] in REFUSED:
            with pytest.raises(ValueError, match=r"0\.\.1"):
                ANSWERS[case["op"]](case)
            continue
        answer = ANSWERS[case["op"]](case)
        if not oracles.check(case, answer):
            wrong.append(f"{case['name']}: {case['expected']} is {answer}"[:300])
    assert not wrong, "\n".join(wrong)
    assert ran == 97
