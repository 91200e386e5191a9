"""Numbers printed in, or computed by, other projects' tests: cases of kind ``metric``.

The cases lie in ``oracles/cases.json`` of the shared folder. Each takes the whole way here: label
maps, the native confusion matrix, the scores.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter import confusion_matrix, pixel

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Case = dict[str, Any]


def masks_of(case: Case) -> np.ndarray:
    """(B, C, 2, 2) matrices of one-hot maps (B, C, ...): every channel a mask of its own."""
    pred, target = (case["arrays"][name] != 0 for name in ("y_pred", "y"))
    batch, channels = pred.shape[:2]
    pred, target = (maps.reshape(batch * channels, -1) for maps in (pred, target))
    matrices = confusion_matrix(pred, target, num_classes=2, per_image=True)
    matrices = matrices.reshape(batch, channels, 2, 2)
    return matrices if case["params"].get("include_background", True) else matrices[:, 1:]


def monai_overlap(case: Case, score: Callable[..., np.ndarray]) -> np.ndarray:
    """(B, C): NaN for a class the target lacks; with ignore_empty=False 1 if pred lacks it too."""
    if case["params"].get("ignore_empty", True):
        return score(masks_of(case), present="target")[..., 1]
    return score(masks_of(case), absent="one")[..., 1]


def monai_reduced(case: Case, score: Callable[..., np.ndarray]) -> Any:
    table = monai_overlap(case, score)
    match case["params"]["reduction"]:
        case "mean_batch":
            return mean(table, axis=0)
        case "sum_batch":
            return np.nansum(table, axis=0)
        case "mean":
            return mean(mean(table, axis=1), axis=0)
    raise NotImplementedError(case["params"]["reduction"])


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean without NaN; NaN where nothing is left."""
    number = (~np.isnan(values)).sum(axis=axis)
    return np.where(number > 0, np.nansum(values, axis=axis) / np.maximum(number, 1), np.nan)


def monai_confusion_metrics(case: Case) -> dict[str, list[float]]:
    matrices = masks_of(case)
    tpr, tnr, ppv, npv = (
        score(matrices)[..., 1]
        for score in (
            partial(pixel.recall, present="target"),
            pixel.specificity,
            pixel.precision,
            pixel.negative_predictive_value,
        )
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        threshold = (np.sqrt(tpr * (1 - tnr)) + tnr - 1) / (tpr + tnr - 1)
    tables = {
        "tpr": tpr,
        "fpr": 1 - tnr,
        "tnr": tnr,
        "ppv": ppv,
        "npv": npv,
        "fnr": 1 - tpr,
        "fdr": 1 - ppv,
        "for": 1 - npv,
        "pt": threshold,
        "ts": pixel.iou(matrices)[..., 1],
        "acc": pixel.pixel_accuracy(matrices),
        "ba": pixel.mean_accuracy(matrices),
        "f1": pixel.dice(matrices)[..., 1],
        "mcc": pixel.matthews_corrcoef(matrices),
        "fm": np.sqrt(ppv * tpr),
        "bm": pixel.informedness(matrices)[..., 1],
        "mk": pixel.markedness(matrices)[..., 1],
    }
    return {
        name: [float(mean(mean(tables[name], axis=1), axis=0))] for name in case["params"]["names"]
    }


def label_matrix(case: Case, target: str, pred: str, num_classes: int | None = None) -> np.ndarray:
    arrays, params = case["arrays"], case["params"]
    if num_classes is None:
        num_classes = 1 + int(max(arrays[target].max(), arrays[pred].max()))
    return confusion_matrix(
        arrays[pred] > params["threshold"] if "threshold" in params else arrays[pred],
        arrays[target],
        num_classes=num_classes,
        ignore_index=params.get("ignore_class"),
        weights=arrays.get("sample_weight"),
    )


def keras_mean_iou(case: Case) -> float:
    num_classes = case["params"].get("num_classes", 2)
    return pixel.mean_iou(label_matrix(case, "y_true", "y_pred", num_classes))


def kornia_iou(case: Case) -> np.ndarray:
    arrays = case["arrays"]
    matrices = confusion_matrix(
        arrays["pred"],
        arrays["target"],
        num_classes=case["params"]["num_classes"],
        per_image=True,
    )
    return pixel.iou(matrices, absent="one")


def metrics_reloaded_matrix(case: Case) -> np.ndarray:
    return label_matrix(case, "ref", "pred", case["params"]["num_classes"]).T


def micro_f_beta(case: Case) -> float:
    arrays = case["arrays"]
    matrix = confusion_matrix(arrays["y_pred"] != 0, arrays["y"] != 0, num_classes=2)
    return pixel.f_beta(matrix, beta=case["params"]["beta"])[1]


def topcow_dice(case: Case) -> dict[str, float]:
    """Dice of every label but 0 that either map has, their mean, and that of all labels merged."""
    matrix = label_matrix(case, "gt", "pred")
    labels = range(1, len(matrix))
    values = pixel.dice(matrix)
    result = {str(k): float(values[k]) for k in labels if not np.isnan(values[k])}
    result["class_average"] = float(pixel.mean_dice(matrix, classes=labels))
    merged = pixel.group_counts(matrix, {"merged": labels})[0]
    return result | {"merged_binary": float(pixel.dice(merged)[1])}


def catalyst_overlap(case: Case) -> dict[str, Any]:
    """Probabilities for masks: soft counts are float64 matrices, and those can be summed too."""
    score = {"dice": pixel.dice, "iou": pixel.iou}[case["params"]["measure"]]
    first, second = (soft_masks(case, batch) for batch in (0, 1))
    total = first + second
    by_class = score(total)[:, 1]
    return {
        "per_class_batch1": score(first)[:, 1],
        "per_class_batch2": score(second)[:, 1],
        "per_class_total": by_class,
        "micro": float(score(total.sum(axis=0))[1]),
        "macro": float(by_class.mean()),
        "weighted": float(by_class @ case["params"]["weights"]),
    }


def soft_masks(case: Case, batch: int) -> np.ndarray:
    """(C, 2, 2) sums of the products of probabilities."""
    pred, target = (case["arrays"][f"{name}_{batch}"] for name in ("outputs", "targets"))
    by_class = (0, *range(2, pred.ndim))
    cells = [[(t * p).sum(axis=by_class) for p in (1 - pred, pred)] for t in (1 - target, target)]
    return np.moveaxis(np.array(cells), -1, 0)


def cohen_kappa(case: Case) -> float:
    return pixel.cohen_kappa(label_matrix(case, "y1", "y2"), weights=case["params"]["weights"])


def matthews_corrcoef(case: Case) -> float:
    return pixel.matthews_corrcoef(label_matrix(case, "y_true", "y_pred"))


ANSWERS: dict[str, Callable[[Case], Any]] = {
    "cohen_kappa": cohen_kappa,
    "confusion_matrix_pred_rows": metrics_reloaded_matrix,
    "confusion_metrics": monai_confusion_metrics,
    "dice_per_class": partial(monai_overlap, score=pixel.dice),
    "dice_per_class_isnan": lambda case: np.isnan(monai_overlap(case, pixel.dice)),
    "dice_per_class_reduced": partial(monai_reduced, score=pixel.dice),
    "dice_per_label_union": topcow_dice,
    "fbeta_micro": micro_f_beta,
    # Without a sum over classes the weight of a class cancels: what is left is Dice.
    "generalized_dice_score": lambda case: pixel.dice(masks_of(case), absent="zero")[..., 1],
    "iou_per_class": partial(monai_overlap, score=pixel.iou),
    "iou_per_class_isnan": lambda case: np.isnan(monai_overlap(case, pixel.iou)),
    "iou_per_class_labels": kornia_iou,
    "iou_per_class_reduced": partial(monai_reduced, score=pixel.iou),
    "keras_mean_iou": keras_mean_iou,
    "mcc_multiclass": matthews_corrcoef,
    "soft_overlap_streaming": catalyst_overlap,
}
"""Every op of kind ``metric``: all of them follow from counts, none is left out."""


def plain(value: Any) -> Any:
    """Arrays as nested lists, as the checker takes them."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return np.asarray(value).tolist()


def test_every_metric_case_has_an_answer(cases: list[Case]) -> None:
    assert {case["op"] for case in cases if case["kind"] == "metric"} == ANSWERS.keys()


@pytest.mark.parametrize("op", sorted(ANSWERS))
def test_metric_cases(op: str, cases: list[Case], oracles: ModuleType) -> None:
    chosen = [case for case in cases if case["kind"] == "metric" and case["op"] == op]
    assert chosen
    for case in chosen:
        got = plain(ANSWERS[op](case))
        assert oracles.check(case, got), f"{case['name']}: {got}, expected {case['expected']}"


def test_partition_case_of_kind_region(cases: list[Case], oracles: ModuleType) -> None:
    """Two label maps as partitions: their variation of information follows from counts, too."""
    (case,) = (case for case in cases if case["op"] == "variation_of_information")
    target, pred = (
        np.unique(case["arrays"][name], return_inverse=True)[1]
        for name in ("image_true", "image_test")
    )
    matrix = confusion_matrix(pred, target, num_classes=4)
    base = case["params"]["log_base"]
    got = {"sum": float(pixel.variation_of_information(matrix, base=base))}
    assert oracles.check(case, got)
