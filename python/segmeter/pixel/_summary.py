"""All scores of a matrix at once, its largest confusions, and its normalised forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .._arrays import integer
from . import _agreement, _scores
from ._counts import (
    Absent,
    Counts,
    FloatArray,
    MatrixLike,
    check_choice,
    checked_names,
    class_indices,
    exported,
    ratio,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Normalization = Literal["true", "pred", "all"]

VOID = "void"
"""Name of the last column of a wide matrix."""

_CLASS_SCORES = {
    "iou": _scores.iou,
    "dice": _scores.dice,
    "precision": _scores.precision,
    "recall": _scores.recall,
    "specificity": _scores.specificity,
    "negative_predictive_value": _scores.negative_predictive_value,
    "volumetric_similarity": _scores.volumetric_similarity,
    "informedness": _scores.informedness,
    "markedness": _scores.markedness,
    "matthews_corrcoef": _scores.matthews_corrcoef_per_class,
}

_CLASS_MEANS = {
    "mean_accuracy": _scores.mean_accuracy,
    "mean_iou": _scores.mean_iou,
    "mean_dice": _scores.mean_dice,
    "mean_precision": _scores.mean_precision,
    "mean_recall": _scores.mean_recall,
    "mean_specificity": _scores.mean_specificity,
    "frequency_weighted_iou": _scores.frequency_weighted_iou,
}

_WHOLE_SCORES = {
    "cohen_kappa": _agreement.cohen_kappa,
    "matthews_corrcoef": _agreement.matthews_corrcoef,
    "mutual_information": _agreement.mutual_information,
    "variation_of_information": _agreement.variation_of_information,
}

_PAIR_SCORES = {
    "rand_index": _agreement.rand_index,
    "adjusted_rand_index": _agreement.adjusted_rand_index,
}


@dataclass(frozen=True, slots=True)
class Confusion:
    """One kind of wrong pixel: `count` pixels of class `target` predicted as `pred`.

    ``pred_class`` is None and ``pred`` is "void" for void predictions. The shares are of the
    target pixels of the class and of all wrong pixels.
    """

    target: str
    pred: str
    target_class: int
    pred_class: int | None
    count: int | float
    share_of_target: float
    share_of_errors: float


def scores(
    matrix: MatrixLike,
    *,
    class_names: Sequence[str] | None = None,
    absent: Absent = "nan",
    classes: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Every score that counts give, by name, ready for a table or JSON.

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
    class_names : sequence of C str, optional
        The indices by default.
    absent : {"nan", "zero", "one", "raise"}
        Value of undefined scores; see :func:`iou`.
    classes : sequence of int, optional
        Classes that the means are over. ``"raise"`` looks at these only.

    Returns
    -------
    dict
        ``pixels``, ``void_pixels`` (counted pixels predicted as void), every dataset score under
        the name of its function (rand indices are NaN for fractional counts), ``per_class`` (one
        dict per class: index, name, counts, scores), ``classes_present`` (number of chosen classes
        with a pixel in either map) and ``conventions``. Values are Python numbers; for a batch of
        matrices they are arrays of its shape ``(...)``.

    Raises
    ------
    ValueError
        As :func:`mean_iou`, and if `class_names` has not C entries.

    Examples
    --------
    >>> result = scores([[6, 2], [1, 3]], class_names=["road", "car"])
    >>> result["pixel_accuracy"], round(result["mean_iou"], 4)
    (0.75, 0.5833)
    >>> [(row["name"], round(row["iou"], 4)) for row in result["per_class"]]
    [('road', 0.6667), ('car', 0.5)]
    """
    counts = Counts.of(matrix)
    names = checked_names(class_names, counts.num_classes)
    chosen = class_indices(classes, counts.num_classes)
    void = counts.columns[..., counts.num_classes :].sum(axis=-1)
    result: dict[str, Any] = {
        "pixels": plain(counts.total),
        "void_pixels": plain(np.asarray(void)),
        "pixel_accuracy": plain(_scores.pixel_accuracy(counts, absent=absent)),
    }
    for name, mean in _CLASS_MEANS.items():
        result[name] = plain(mean(counts, absent=absent, classes=classes))
    for name, score in _WHOLE_SCORES.items():
        result[name] = plain(score(counts, absent=absent))
    fractional = counts.is_weighted and bool((counts.matrix % 1 != 0).any())
    for name, score in _PAIR_SCORES.items():
        undefined = np.full(counts.total.shape, np.nan)
        result[name] = plain(undefined if fractional else score(counts, absent=absent))
    # The means have raised for the chosen classes; the others may be absent.
    table = score_table(counts, "nan" if absent == "raise" else absent)
    result["per_class"] = [
        {"class": k, "name": names[k]} | {key: plain(v[..., k]) for key, v in table.items()}
        for k in range(counts.num_classes)
    ]
    present = ~counts.absent()[..., chosen]
    result["classes_present"] = plain(np.asarray(present.sum(axis=-1)))
    result["conventions"] = {
        "absent": absent,
        "present": "any (mean_accuracy: target)",
        "classes": [int(k) for k in chosen],
        "aggregation": "dataset" if counts.matrix.ndim == 2 else "per matrix",
        "logarithm": "natural",
    }
    return result


def top_confusions(
    matrix: MatrixLike, k: int = 10, class_names: Sequence[str] | None = None
) -> list[Confusion]:
    """The `k` largest entries off the diagonal, void predictions included, largest first.

    Parameters
    ----------
    matrix : array_like ``(C, C)`` or ``(C, C + 1)``, or an object with ``.matrix``
        A single matrix (sum a batch first).
    k : int
        Largest number of entries, at least 1; cells without pixels are never listed.
    class_names : sequence of C str, optional
        The indices by default.

    Returns
    -------
    list of Confusion
        Equal counts are in the order of target class, then predicted class (void last).

    Examples
    --------
    >>> for confusion in top_confusions([[6, 2], [1, 3]], class_names=["road", "car"]):
    ...     print(confusion.target, "as", confusion.pred, confusion.count)
    road as car 2
    car as road 1
    """
    counts = Counts.of(matrix)
    if counts.matrix.ndim != 2:
        raise ValueError(f"matrix must be one matrix, got a batch of shape {counts.matrix.shape}")
    if integer(k, "k") < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    names = [*checked_names(class_names, counts.num_classes), VOID]
    errors = counts.matrix.copy()
    np.fill_diagonal(errors, 0)
    total = errors.sum()
    largest_first = np.argsort(-errors, axis=None, kind="stable")[:k]
    cells = [divmod(int(cell), errors.shape[1]) for cell in largest_first]
    return [
        Confusion(
            target=names[i],
            pred=names[j],
            target_class=i,
            pred_class=j if j < counts.num_classes else None,
            count=plain(errors[i, j]),
            share_of_target=float(errors[i, j] / counts.target[i]),
            share_of_errors=float(errors[i, j] / total),
        )
        for i, j in cells
        if errors[i, j] > 0
    ]


def normalize(
    matrix: MatrixLike,
    by: Normalization = "true",
    *,
    absent: Literal["nan", "zero", "raise"] = "nan",
) -> FloatArray:
    """The matrix as fractions of each target class, each predicted class, or of all pixels.

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
    by : {"true", "pred", "all"}
        Rows sum to 1 (recall on the diagonal), columns do (precision), or everything does.
    absent : {"nan", "zero", "raise"}
        Fill of a row, column or matrix without pixels.

    Returns
    -------
    ndarray of float64, the shape of `matrix`

    Examples
    --------
    >>> normalize([[6, 2], [1, 3]])
    array([[0.75, 0.25],
           [0.25, 0.75]])
    """
    check_choice("by", by, get_args(Normalization))
    check_choice("absent", absent, ("nan", "zero", "raise"))
    counts = Counts.of(matrix)
    sums = {
        "true": counts.target[..., :, None],
        "pred": counts.columns[..., None, :],
        "all": counts.total[..., None, None],
    }[by]
    empty = np.broadcast_to(np.asarray(sums == 0, dtype=bool), counts.matrix.shape)
    return resolve(ratio(counts.matrix, sums), empty, absent, f"normalize(by={by!r})")


def score_table(counts: Counts, absent: Absent) -> dict[str, NDArray[Any]]:
    """Counts and scores of every class, each ``(..., C)``."""
    table: dict[str, NDArray[Any]] = {
        "target_pixels": exported(counts.target),
        "pred_pixels": exported(counts.columns[..., : counts.num_classes]),
        "true_positives": exported(counts.true_positives),
        "false_positives": exported(counts.false_positives),
        "false_negatives": exported(counts.false_negatives),
    }
    for name, score in _CLASS_SCORES.items():
        table[name] = score(counts, absent=absent)
    return table


def plain(value: Any) -> Any:
    """A Python number for a scalar, the array itself for a batch."""
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array
