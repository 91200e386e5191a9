"""Agreement of two maps as a whole: chance-corrected scores and scores of their partitions.

Input forms as in :mod:`segmeter.pixel._scores`. A void column is one more predicted category,
which the target never has; for partitions it is one more block of the predicted map.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from .._arrays import real_number
from ._counts import (
    Absent,
    Counts,
    FloatArray,
    MatrixLike,
    Score,
    check_choice,
    ratio,
    resolve,
    sum_of_others,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Weighting = Literal["linear", "quadratic"]


def cohen_kappa(
    matrix: MatrixLike, *, weights: Weighting | None = None, absent: Absent = "nan"
) -> Score:
    """Cohen's kappa: agreement beyond that of independent maps, in [-1, 1], 0 for chance.

    ``1 - sum(w m) / sum(w e)`` with m the matrix, e the matrix expected from its margins and w the
    disagreement: 1 off the diagonal, ``|i - j|`` (linear) or ``(i - j)²`` (quadratic).

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
        A void prediction counts as the largest possible disagreement.
    weights : {None, "linear", "quadratic"}
        The weighted forms take the order of the classes for a scale.
    absent : {"nan", "zero", "one", "raise"}
        Value where both maps are the same single class (0 / 0), or there is no pixel.

    Returns
    -------
    float64, or ndarray ``(...)`` for a batch

    Notes
    -----
    Cohen, *Educational and Psychological Measurement* 20 (1960) and, with weights, *Psychological
    Bulletin* 70 (1968).
    Both sums add non-negative terms, so the result is good to about 1e-15 at any number of pixels.

    Examples
    --------
    >>> round(float(cohen_kappa([[20, 5], [10, 15]])), 4)
    0.4
    """
    check_choice("weights", weights, (None, *get_args(Weighting)))
    counts = Counts.of(matrix)
    disagreement = _disagreement(counts.num_classes, counts.matrix.shape[-1], weights)
    target, pred = _margins(counts)
    observed = (disagreement * counts.fractions).sum(axis=(-2, -1))
    # einsum, not a matrix product: BLAS may round otherwise with another number of threads.
    expected = np.asarray(np.einsum("...i,ij,...j->...", target, disagreement, pred))
    return resolve(1 - ratio(observed, expected), expected == 0, absent, "cohen_kappa")[()]


def matthews_corrcoef(matrix: MatrixLike, *, absent: Absent = "nan") -> Score:
    """Matthews correlation of all classes at once (R_K of Gorodkin), at most 1, 0 for chance.

    The correlation of the two maps written one-hot. With two classes it is the binary coefficient,
    in [-1, 1]; with more the least value lies between -1 and 0.

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
        A void column is one more predicted class, which the target never has.
    absent : {"nan", "zero", "one", "raise"}
        Value where both maps are the same single class, or there is no pixel. Where only one of
        them is constant, or they are different constants, the score is 0.

    Returns
    -------
    float64, or ndarray ``(...)`` for a batch

    Notes
    -----
    Gorodkin, *Computational Biology and Chemistry* 28 (2004). Exact for integer counts up to the
    last division and root. scikit-learn gives 0 where `absent` applies.

    Examples
    --------
    >>> round(float(matthews_corrcoef([[6, 2], [1, 3]])), 3)
    0.478
    """
    counts = Counts.of(matrix)
    exact = counts.for_products
    covariance = counts.determinants.sum(axis=-1)
    spread_target, spread_pred = (_spread(m) for m in (exact.target, exact.columns))
    values = ratio(covariance, np.sqrt(spread_target * spread_pred))
    all_right = np.asarray(counts.false_negatives.sum(axis=-1) == 0, dtype=bool)
    return resolve(values, (spread_target == 0) & all_right, absent, "matthews_corrcoef")[()]


def mutual_information(
    matrix: MatrixLike, *, base: float = math.e, absent: Absent = "nan"
) -> Score:
    """Mutual information of the two label maps, at least 0 and at most the smaller entropy.

    ``sum(f log(f / (t p)))`` over the cells with pixels; f are the matrix's fractions, t and p its
    margins.

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
        A void column is one more predicted class: pixels predicted as void belong together.
    base : float
        Base of the logarithm: e (the default) gives nats, 2 gives bits.
    absent : {"nan", "zero", "one", "raise"}
        Value for a matrix without any pixel.

    Returns
    -------
    float64, or ndarray ``(...)`` for a batch

    Notes
    -----
    Shannon (1948). It does not see which class is called what: any one-to-one renaming of the
    predicted classes leaves it as it is.

    Examples
    --------
    >>> round(float(mutual_information([[5, 0], [0, 5]], base=2)), 12)
    1.0
    """
    counts = Counts.of(matrix)
    fractions = counts.fractions
    target, pred = _margins(counts)
    gain = ratio(ratio(fractions, target[..., :, None]), pred[..., None, :])
    return _entropy("mutual_information", counts, fractions * _log(gain), base, absent)


def variation_of_information(
    matrix: MatrixLike, *, base: float = math.e, absent: Absent = "nan"
) -> Score:
    """Variation of information: what each label map leaves unknown of the other; 0 is perfect.

    ``H(target | pred) + H(pred | target) = sum(f log(t / f)) + sum(f log(p / f))``; at most
    ``log(n)`` for n pixels and ``log(C) + log(C)`` for C classes. A metric on partitions.
    Parameters and result as in :func:`mutual_information`.

    Notes
    -----
    Meilă, *Journal of Multivariate Analysis* 98 (2007). Base e gives nats (the default), 2 bits.

    Examples
    --------
    >>> float(variation_of_information([[5, 0], [0, 5]]))
    0.0
    >>> round(float(variation_of_information([[1, 1], [1, 1]], base=2)), 12)
    2.0
    """
    counts = Counts.of(matrix)
    fractions = counts.fractions
    target, pred = _margins(counts)
    lost = _log(ratio(target[..., :, None], fractions)) + _log(ratio(pred[..., None, :], fractions))
    return _entropy("variation_of_information", counts, fractions * lost, base, absent)


def rand_index(matrix: MatrixLike, *, absent: Absent = "nan") -> Score:
    """Rand index: share of pixel pairs that both maps join or both maps part, in [0, 1].

    Parameters
    ----------
    matrix : array_like ``(..., C, C)`` or ``(..., C, C + 1)``, or an object with ``.matrix``
        Whole counts: pairs of fractional pixels do not exist. A void column is one more predicted
        class: pixels predicted as void are joined by pred.
    absent : {"nan", "zero", "one", "raise"}
        Value for a matrix without any pixel.

    Returns
    -------
    float64, or ndarray ``(...)`` for a batch
        1 for a single pixel, which has no pair.

    Raises
    ------
    ValueError
        Also if the counts are fractional (weighted).

    Notes
    -----
    Rand, *Journal of the American Statistical Association* 66 (1971). Pairs are counted exactly.

    Examples
    --------
    >>> round(float(rand_index([[2, 0], [1, 1]])), 3)
    0.5
    """
    counts = _whole(matrix, "rand_index")
    pairs = _Pairs.of(counts)
    agreeing = pairs.both + pairs.neither
    total = agreeing + pairs.target_only + pairs.pred_only
    values = np.where(total == 0, 1.0, ratio(agreeing, total))
    return resolve(values, _no_pixel(counts), absent, "rand_index")[()]


def adjusted_rand_index(matrix: MatrixLike, *, absent: Absent = "nan") -> Score:
    """Rand index corrected for chance, at most 1; 0 is the expectation for random labels.

    Parameters, result and errors as in :func:`rand_index`; 1 if the maps are the same partition.

    Notes
    -----
    Hubert and Arabie, *Journal of Classification* 2 (1985). Pairs are counted exactly, also where
    their products pass 2**63, so that it stays right on 1e12 pixels.

    Examples
    --------
    >>> round(float(adjusted_rand_index([[6, 2], [1, 3]])), 4)
    0.1833
    """
    counts = _whole(matrix, "adjusted_rand_index")
    both, target_only, pred_only, neither = _Pairs.of(counts)
    numerator = 2 * (both * neither - target_only * pred_only)
    chance_of_target = (both + target_only) * (target_only + neither)
    chance_of_pred = (both + pred_only) * (pred_only + neither)
    same = np.asarray((target_only == 0) & (pred_only == 0), dtype=bool)
    values = np.where(same, 1.0, ratio(numerator, chance_of_target + chance_of_pred))
    return resolve(values, _no_pixel(counts), absent, "adjusted_rand_index")[()]


class _Pairs(NamedTuple):
    """Ordered pairs of pixels by who puts them into one class, as Python integers."""

    both: NDArray[Any]
    target_only: NDArray[Any]
    pred_only: NDArray[Any]
    neither: NDArray[Any]

    @classmethod
    def of(cls, counts: Counts) -> _Pairs:
        exact = counts.for_products
        total, joined, target, pred = (
            np.asarray(sums).astype(object)
            for sums in (
                counts.total,
                (exact.matrix**2).sum(axis=(-2, -1)),
                (exact.target**2).sum(axis=-1),
                (exact.columns**2).sum(axis=-1),
            )
        )
        neither = total * total - target - pred + joined
        parts = (joined - total, target - joined, pred - joined, neither)
        return cls(*(np.asarray(part, dtype=object) for part in parts))


def _disagreement(rows: int, columns: int, weights: Weighting | None) -> FloatArray:
    """Weight of each cell; a void column disagrees as much as any two classes can, at least 1."""
    distance: FloatArray = np.abs(
        np.subtract.outer(np.arange(rows), np.arange(columns)), dtype=float
    )
    if columns > rows:
        distance[:, rows] = max(rows - 1, 1)
    if weights is None:
        distance = np.minimum(distance, 1.0)
    elif weights == "quadratic":
        distance = distance * distance
    return distance


def _margins(counts: Counts) -> tuple[FloatArray, FloatArray]:
    total = counts.total[..., None]
    return ratio(counts.target, total), ratio(counts.columns, total)


def _spread(margin: NDArray[Any]) -> FloatArray:
    """``n² - sum(margin²)`` by additions only: pairs of pixels in different classes, twice."""
    return np.asarray((margin * sum_of_others(margin)).sum(axis=-1), dtype=np.float64)


def _log(values: FloatArray) -> FloatArray:
    """Natural logarithm; 0 for the cells without pixels."""
    logarithms: FloatArray = np.log(np.where(values > 0, values, 1.0))
    return logarithms


def _entropy(what: str, counts: Counts, terms: FloatArray, base: float, absent: Absent) -> Score:
    if not (math.isfinite(real_number(base, "base")) and base > 1):
        raise ValueError(f"base must be a finite number above 1, got {base!r}")
    # The sums are never negative; rounding can make them so by the last bit.
    values = np.maximum(terms.sum(axis=(-2, -1)), 0.0) / math.log(base)
    return resolve(values, _no_pixel(counts), absent, what)[()]


def _whole(matrix: MatrixLike, what: str) -> Counts:
    counts = Counts.of(matrix)
    if not counts.is_weighted:
        return counts
    if (counts.matrix != np.floor(counts.matrix)).any():
        raise ValueError(f"{what} counts pairs of pixels: matrix must hold whole counts")
    return Counts(np.vectorize(int, otypes=[object])(counts.matrix))


def _no_pixel(counts: Counts) -> NDArray[np.bool_]:
    return np.asarray(counts.total == 0, dtype=bool)
