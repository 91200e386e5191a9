"""Scores of single classes and their means, as functions of the confusion matrix.

Rows are target classes, columns predicted classes. Every function takes one matrix ``(C, C)`` or
any batch of them ``(..., C, C)``, int64 or float64 (weighted), or an object with ``.matrix``. In
the wide form ``(..., C, C + 1)`` the last column counts pixels whose prediction is void: false
negatives of their class, false positives of nobody, wrong in every accuracy.

For one class: TP is its diagonal entry, FN the rest of its row, FP the rest of its column (of the
C rows), TN all the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import real_number
from ._counts import (
    Absent,
    Counts,
    FloatArray,
    MatrixLike,
    Present,
    Score,
    class_indices,
    exported,
    nan_mean,
    ratio,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def true_positives(matrix: MatrixLike) -> NDArray[Any]:
    """Pixels of each class that are predicted as it.

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
        Confusion matrices, rows = target.

    Returns
    -------
    ndarray ``(..., C)``
        int64, float64 for weighted counts, or Python integers (dtype object) in the one case that
        a sum passes 2**63 - 1.

    Examples
    --------
    >>> true_positives([[6, 2], [1, 3]])
    array([6, 3])
    """
    return exported(Counts.of(matrix).true_positives)


def false_positives(matrix: MatrixLike) -> NDArray[Any]:
    """Pixels predicted as each class that belong to another; see :func:`true_positives`.

    Examples
    --------
    >>> false_positives([[6, 2], [1, 3]])
    array([1, 2])
    """
    return exported(Counts.of(matrix).false_positives)


def false_negatives(matrix: MatrixLike) -> NDArray[Any]:
    """Pixels of each class predicted as another or as void; see :func:`true_positives`.

    Examples
    --------
    >>> false_negatives([[6, 2], [1, 3]])
    array([2, 1])
    """
    return exported(Counts.of(matrix).false_negatives)


def true_negatives(matrix: MatrixLike) -> NDArray[Any]:
    """Pixels that neither are the class nor are predicted as it; see :func:`true_positives`.

    Examples
    --------
    >>> true_negatives([[6, 2], [1, 3]])
    array([3, 6])
    """
    return exported(Counts.of(matrix).true_negatives)


def support(matrix: MatrixLike) -> NDArray[Any]:
    """Target pixels of each class, ``TP + FN``; see :func:`true_positives`.

    Examples
    --------
    >>> support([[6, 2], [1, 3]])
    array([8, 4])
    """
    return exported(Counts.of(matrix).target)


def iou(matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any") -> FloatArray:
    """Intersection over union (Jaccard index) of each class, ``TP / (TP + FP + FN)``, in [0, 1].

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
        Confusion matrices, rows = target; a last extra column holds void predictions.
    absent : {"nan", "zero", "one", "raise"}
        Value of an absent class. A class that is present scores 0 where its formula is 0 / 0 (the
        recall of a class that is only predicted, the precision of one that never is).
    present : {"any", "target"}
        A class is present if either map has a pixel of it, or only if the target has.

    Returns
    -------
    ndarray of float64 ``(..., C)``

    Raises
    ------
    ValueError
        If the shape is wrong, a count is negative or not finite, an option is unknown, or a class
        is absent under ``absent="raise"``.
    TypeError
        If the entries are not numbers.

    Notes
    -----
    Jaccard, *Bulletin de la Société Vaudoise des Sciences Naturelles* 37 (1901).

    Examples
    --------
    >>> iou([[6, 2, 0], [1, 3, 0], [0, 0, 0]]).round(3)
    array([0.667, 0.5  ,   nan])
    >>> iou([[6, 2, 0], [1, 3, 0], [0, 0, 0]], absent="one").round(3)
    array([0.667, 0.5  , 1.   ])
    """
    return _overlap("iou", matrix, 1.0, 1.0, absent, present)


def dice(matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any") -> FloatArray:
    """Dice coefficient (F1) of each class, ``2 TP / (2 TP + FP + FN)``, in [0, 1].

    Equal to ``2 IoU / (1 + IoU)``. Parameters, result and errors as in :func:`iou`.

    Notes
    -----
    Dice, *Ecology* 26 (1945); Sørensen (1948).

    Examples
    --------
    >>> dice([[6, 2], [1, 3]]).round(3)
    array([0.8  , 0.667])
    """
    return _overlap("dice", matrix, 0.5, 0.5, absent, present)


def f_beta(
    matrix: MatrixLike, *, beta: float = 1.0, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """F-beta score of each class, in [0, 1]: recall counts `beta` times as much as precision.

    ``(1 + beta²) TP / ((1 + beta²) TP + beta² FN + FP)``; ``beta=0`` is precision. Other
    parameters, result and errors as in :func:`iou`.

    Parameters
    ----------
    beta : float
        At least 0.

    Notes
    -----
    van Rijsbergen, *Information Retrieval* (1979), as 1 - E.

    Examples
    --------
    >>> f_beta([[6, 2], [1, 3]], beta=2).round(3)
    array([0.769, 0.714])
    """
    weight = _checked_weight("beta", beta)
    square = weight * weight  # infinite where a power would raise; then recall is left
    share = square / (1 + square) if math.isfinite(square) else 1.0
    return _overlap("f_beta", matrix, 1 / (1 + square), share, absent, present)


def tversky_index(
    matrix: MatrixLike,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    absent: Absent = "nan",
    present: Present = "any",
) -> FloatArray:
    """Tversky index of each class, ``TP / (TP + alpha FP + beta FN)``, in [0, 1].

    `alpha` weighs false positives, `beta` false negatives. ``alpha = beta = 0.5`` is Dice,
    ``alpha = beta = 1`` is IoU. Other parameters, result and errors as in :func:`iou`.

    Parameters
    ----------
    alpha, beta : float
        Weight of false positives and of false negatives, at least 0.

    Notes
    -----
    Tversky, *Psychological Review* 84 (1977); for segmentation with this order of alpha and beta,
    Salehi et al. (MLMI 2017). Some packages swap the two.

    Examples
    --------
    >>> tversky_index([[6, 2], [1, 3]], alpha=0.3, beta=0.7).round(3)
    array([0.779, 0.698])
    """
    false_positive_weight = _checked_weight("alpha", alpha)
    false_negative_weight = _checked_weight("beta", beta)
    return _overlap(
        "tversky_index", matrix, false_positive_weight, false_negative_weight, absent, present
    )


def recall(matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any") -> FloatArray:
    """Recall (sensitivity, true positive rate) of each class, ``TP / (TP + FN)``, in [0, 1].

    A class that is only predicted scores 0. Parameters, result and errors as in :func:`iou`.

    Examples
    --------
    >>> recall([[6, 2], [1, 3]])
    array([0.75, 0.75])
    """
    counts = Counts.of(matrix)
    return _per_class(
        "recall", counts, ratio(counts.true_positives, counts.target), absent, present
    )


def precision(
    matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """Precision (positive predictive value) of each class, ``TP / (TP + FP)``, in [0, 1].

    A class of the target that is never predicted scores 0. Parameters, result and errors as in
    :func:`iou`.

    Examples
    --------
    >>> precision([[6, 2], [1, 3]]).round(3)
    array([0.857, 0.6  ])
    """
    counts = Counts.of(matrix)
    predicted = counts.columns[..., : counts.num_classes]
    return _per_class("precision", counts, ratio(counts.true_positives, predicted), absent, present)


def specificity(
    matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """Specificity (true negative rate) of each class, ``TN / (TN + FP)``, in [0, 1].

    It is the recall of the class's complement, and undefined (see `absent`) also where the
    complement is absent: every pixel is the class. Parameters, result and errors as in :func:`iou`.

    Examples
    --------
    >>> specificity([[6, 2], [1, 3]])
    array([0.75, 0.75])
    """
    counts = Counts.of(matrix)
    values = ratio(counts.true_negatives, counts.true_negatives + counts.false_positives)
    return _per_class("specificity", counts, values, absent, present, two_sided=True)


def negative_predictive_value(
    matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """Negative predictive value of each class, ``TN / (TN + FN)``, in [0, 1].

    It is the precision of the class's complement; undefined as in :func:`specificity`. Parameters,
    result and errors as in :func:`iou`.

    Examples
    --------
    >>> negative_predictive_value([[6, 2], [1, 3]]).round(3)
    array([0.6  , 0.857])
    """
    counts = Counts.of(matrix)
    values = ratio(counts.true_negatives, counts.true_negatives + counts.false_negatives)
    return _per_class("negative_predictive_value", counts, values, absent, present, two_sided=True)


def volumetric_similarity(
    matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """Agreement of each class's two volumes, ``1 - |FN - FP| / (2 TP + FP + FN)``, in [0, 1].

    It compares sizes only: two disjoint masks of equal size score 1. Parameters, result and errors
    as in :func:`iou`.

    Notes
    -----
    Taha and Hanbury, *BMC Medical Imaging* 15:29 (2015).

    Examples
    --------
    >>> volumetric_similarity([[6, 2], [1, 3]]).round(3)
    array([0.933, 0.889])
    """
    counts = Counts.of(matrix)
    fp, fn = counts.false_positives, counts.false_negatives
    sizes = 2.0 * counts.true_positives + fp + fn
    values = 1 - ratio(abs(fn - fp), sizes)
    return _per_class("volumetric_similarity", counts, values, absent, present)


def informedness(
    matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """Informedness (Youden's J) of each class, ``recall + specificity - 1``, in [-1, 1].

    0 is chance. A class that fills the target, or is not in it but predicted, scores 0; undefined
    as in :func:`specificity`. Parameters, result and errors as in :func:`iou`.

    Notes
    -----
    Youden, *Cancer* 3 (1950); Powers, *Journal of Machine Learning Technologies* 2 (2011).
    Computed as ``(TP TN - FP FN) / ((TP + FN) (FP + TN))`` with exact products.

    Examples
    --------
    >>> informedness([[6, 2], [1, 3]])
    array([0.5, 0.5])
    """
    counts = Counts.of(matrix)
    values = ratio(counts.determinants, _target_spread(counts))
    return _per_class("informedness", counts, values, absent, present, two_sided=True)


def markedness(
    matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """Markedness of each class, ``precision + negative predictive value - 1``, in [-1, 1].

    0 is chance. A class that is predicted everywhere, or nowhere but in the target, scores 0;
    undefined as in :func:`specificity`. Parameters, result and errors as in :func:`iou`.

    Notes
    -----
    Powers, *Journal of Machine Learning Technologies* 2 (2011).
    Computed as ``(TP TN - FP FN) / ((TP + FP) (FN + TN))`` with exact products.

    Examples
    --------
    >>> markedness([[6, 2], [1, 3]]).round(3)
    array([0.457, 0.457])
    """
    counts = Counts.of(matrix)
    values = ratio(counts.determinants, _pred_spread(counts))
    return _per_class("markedness", counts, values, absent, present, two_sided=True)


def matthews_corrcoef_per_class(
    matrix: MatrixLike, *, absent: Absent = "nan", present: Present = "any"
) -> FloatArray:
    """Matthews correlation of each class against the rest, in [-1, 1].

    ``(TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN))``; 0 where exactly one of the
    maps has no spread, undefined as in :func:`specificity`. Parameters, result and errors as in
    :func:`iou`.

    Notes
    -----
    Matthews, *Biochimica et Biophysica Acta* 405 (1975). The numerator is exact for integer counts.

    Examples
    --------
    >>> matthews_corrcoef_per_class([[6, 2], [1, 3]]).round(3)
    array([0.478, 0.478])
    """
    counts = Counts.of(matrix)
    spreads = [s.astype(np.float64) for s in (_target_spread(counts), _pred_spread(counts))]
    values = ratio(counts.determinants, np.sqrt(spreads[0] * spreads[1]))
    return _per_class(
        "matthews_corrcoef_per_class", counts, values, absent, present, two_sided=True
    )


def pixel_accuracy(matrix: MatrixLike, *, absent: Absent = "nan") -> Score:
    """Share of counted pixels with the right class, in [0, 1]; void predictions are wrong.

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
    absent : {"nan", "zero", "one", "raise"}
        Value for a matrix without any pixel.

    Returns
    -------
    float64, or ndarray ``(...)`` for a batch

    Examples
    --------
    >>> float(pixel_accuracy([[6, 2], [1, 3]]))
    0.75
    """
    counts = Counts.of(matrix)
    values = ratio(counts.true_positives.sum(axis=-1), counts.total)
    empty = np.asarray(counts.total == 0, dtype=bool)
    return resolve(values, empty, absent, "pixel_accuracy")[()]


def mean_iou(
    matrix: MatrixLike,
    *,
    absent: Absent = "nan",
    present: Present = "any",
    classes: Sequence[int] | None = None,
) -> Score:
    """Mean over classes of :func:`iou` (mIoU), in [0, 1].

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
    absent, present : str
        As in :func:`iou`. Under ``absent="nan"`` absent classes stay out of the mean.
    classes : sequence of int, optional
        Classes to average over (all counts still come from the whole matrix).

    Returns
    -------
    float64, or ndarray ``(...)`` for a batch
        NaN if no class is left.

    Raises
    ------
    ValueError
        As :func:`iou`, and if `classes` is empty, out of range or names a class twice.

    Examples
    --------
    >>> round(float(mean_iou([[6, 2, 0], [1, 3, 0], [0, 0, 0]])), 4)
    0.5833
    >>> float(mean_iou([[6, 2, 0], [1, 3, 0], [0, 0, 0]], classes=[1]))
    0.5
    """
    return _class_mean(iou, matrix, absent, present, classes)


def mean_dice(
    matrix: MatrixLike,
    *,
    absent: Absent = "nan",
    present: Present = "any",
    classes: Sequence[int] | None = None,
) -> Score:
    """Mean over classes of :func:`dice`, in [0, 1]; parameters and result as :func:`mean_iou`.

    Examples
    --------
    >>> round(float(mean_dice([[6, 2], [1, 3]])), 4)
    0.7333
    """
    return _class_mean(dice, matrix, absent, present, classes)


def mean_f_beta(
    matrix: MatrixLike,
    *,
    beta: float = 1.0,
    absent: Absent = "nan",
    present: Present = "any",
    classes: Sequence[int] | None = None,
) -> Score:
    """Mean over classes of :func:`f_beta`, in [0, 1]; parameters and result as :func:`mean_iou`.

    Examples
    --------
    >>> round(float(mean_f_beta([[6, 2], [1, 3]], beta=2)), 4)
    0.7418
    """
    return _class_mean(f_beta, matrix, absent, present, classes, beta=beta)


def mean_precision(
    matrix: MatrixLike,
    *,
    absent: Absent = "nan",
    present: Present = "any",
    classes: Sequence[int] | None = None,
) -> Score:
    """Mean over classes of :func:`precision`, in [0, 1]; the rest as :func:`mean_iou`.

    Examples
    --------
    >>> round(float(mean_precision([[6, 2], [1, 3]])), 4)
    0.7286
    """
    return _class_mean(precision, matrix, absent, present, classes)


def mean_recall(
    matrix: MatrixLike,
    *,
    absent: Absent = "nan",
    present: Present = "any",
    classes: Sequence[int] | None = None,
) -> Score:
    """Mean over classes of :func:`recall`, in [0, 1]; the rest as :func:`mean_iou`.

    A class that is only predicted enters with 0. :func:`mean_accuracy` leaves it out.

    Examples
    --------
    >>> float(mean_recall([[6, 2], [1, 3]]))
    0.75
    >>> float(mean_recall([[6, 2], [0, 0]]))
    0.375
    """
    return _class_mean(recall, matrix, absent, present, classes)


def mean_accuracy(
    matrix: MatrixLike,
    *,
    absent: Absent = "nan",
    present: Present = "target",
    classes: Sequence[int] | None = None,
) -> Score:
    """Mean recall over the classes of the target (balanced accuracy), in [0, 1].

    Differs from :func:`mean_recall` only in the default of `present`: a class that is only
    predicted stays out, its pixels being misses of other classes already. Parameters and result as
    :func:`mean_iou`.

    Notes
    -----
    Mean class accuracy of Long et al. (CVPR 2015); balanced accuracy of Brodersen et al.
    (ICPR 2010).

    Examples
    --------
    >>> float(mean_accuracy([[6, 2], [1, 3]]))
    0.75
    >>> float(mean_accuracy([[6, 2], [0, 0]]))
    0.75
    """
    return _class_mean(recall, matrix, absent, present, classes)


def mean_specificity(
    matrix: MatrixLike,
    *,
    absent: Absent = "nan",
    present: Present = "any",
    classes: Sequence[int] | None = None,
) -> Score:
    """Mean over classes of :func:`specificity`, in [0, 1]; the rest as :func:`mean_iou`.

    Examples
    --------
    >>> float(mean_specificity([[6, 2], [1, 3]]))
    0.75
    """
    return _class_mean(specificity, matrix, absent, present, classes)


def frequency_weighted_iou(
    matrix: MatrixLike, *, absent: Absent = "nan", classes: Sequence[int] | None = None
) -> Score:
    """Mean of :func:`iou` weighted by the target pixels of each class, in [0, 1].

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
    absent : {"nan", "zero", "one", "raise"}
        Value where the target has no pixel of the chosen classes.
    classes : sequence of int, optional
        Classes to average over.

    Returns
    -------
    float64, or ndarray ``(...)`` for a batch

    Notes
    -----
    Long et al. (CVPR 2015).

    Examples
    --------
    >>> round(float(frequency_weighted_iou([[6, 2], [1, 3]])), 4)
    0.6111
    """
    counts = Counts.of(matrix)
    chosen = class_indices(classes, counts.num_classes)
    weights = counts.target[..., chosen].astype(np.float64)
    total = np.asarray(weights.sum(axis=-1))
    sums = (weights * iou(counts, absent="zero")[..., chosen]).sum(axis=-1)
    return resolve(ratio(sums, total), total == 0, absent, "frequency_weighted_iou")[()]


sensitivity = recall
jaccard = iou
youden_j = informedness
balanced_accuracy = mean_accuracy


def _overlap(
    name: str,
    matrix: MatrixLike,
    false_positive_weight: float,
    false_negative_weight: float,
    absent: Absent,
    present: Present,
) -> FloatArray:
    counts = Counts.of(matrix)
    hits = counts.true_positives
    errors = (
        false_positive_weight * counts.false_positives
        + false_negative_weight * counts.false_negatives
    )
    return _per_class(name, counts, ratio(hits, hits + errors), absent, present)


def _per_class(
    name: str,
    counts: Counts,
    values: FloatArray,
    absent: Absent,
    present: Present,
    *,
    two_sided: bool = False,
) -> FloatArray:
    """Apply the absent policy; `two_sided` scores also need a complement."""
    undefined = counts.absent(present)
    if two_sided:
        undefined |= counts.filling(present)
    return resolve(values, undefined, absent, name)


def _class_mean(
    score: Callable[..., FloatArray],
    matrix: MatrixLike,
    absent: Absent,
    present: Present,
    classes: Sequence[int] | None,
    **options: float,
) -> Score:
    counts = Counts.of(matrix)
    chosen = class_indices(classes, counts.num_classes)
    values = score(counts, present=present, **options)[..., chosen]
    # The policy comes after the choice: absent="raise" is about the chosen classes only.
    return nan_mean(resolve(values, np.isnan(values), absent, f"mean {score.__name__}"))[()]


def _target_spread(counts: Counts) -> NDArray[Any]:
    c = counts.for_products
    return np.asarray(c.target * (c.false_positives + c.true_negatives))


def _pred_spread(counts: Counts) -> NDArray[Any]:
    c = counts.for_products
    predicted = c.true_positives + c.false_positives
    return np.asarray(predicted * (c.false_negatives + c.true_negatives))


def _checked_weight(name: str, value: float) -> float:
    weight = real_number(value, name)
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return weight
