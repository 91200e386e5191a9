"""Scores over images: named aggregations, worst cases, and the fine-grained mIoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .._arrays import real_number, shown
from ._counts import (
    Absent,
    Counts,
    FloatArray,
    MatrixLike,
    Present,
    check_choice,
    class_indices,
    nan_mean,
)
from ._scores import iou, mean_iou

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Aggregation = Literal["dataset", "per_image", "per_class_per_image"]

# The fractions that Wang et al. average their worst-case scores over.
_ALL_FRACTIONS = tuple(tenth / 10 for tenth in range(1, 11))


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A score of many images, and what it is over.

    Attributes
    ----------
    value : float
        NaN if nothing is defined.
    per_class : ndarray of float64 ``(C,)`` or None
        The class values whose mean `value` is (chosen classes only), where there are such.
    cases : int
        Numbers that entered: matrices, images, or pairs of class and image.
    undefined : int
        Numbers left out because they were NaN.
    aggregation, worst
        As asked for.
    """

    value: float
    per_class: FloatArray | None
    cases: int
    undefined: int
    aggregation: Aggregation
    worst: float | None


def aggregate(
    matrices: MatrixLike,
    score: Callable[[NDArray[Any]], Any] = iou,
    *,
    aggregation: Aggregation = "dataset",
    classes: Sequence[int] | None = None,
    worst: float | None = None,
) -> Aggregate:
    """Score of a set of images, aggregated in one of three named ways.

    - ``"dataset"``: sum the counts, then score (then mean over classes).
    - ``"per_image"``: score each image (mean over its classes), then mean over images.
    - ``"per_class_per_image"``: score each class in each image, mean over the images of a class,
      then mean over classes.

    Parameters
    ----------
    matrices : array_like ``(N, C, C)`` or ``(N, C, C + 1)``, or an object with ``.matrix``
        One matrix per image.
    score : callable
        Maps matrices ``(..., C, C)`` to class scores ``(..., C)`` or to one score each ``(...)``,
        such as ``segmeter.dice`` or ``lambda m: segmeter.f_beta(m, beta=2)``. NaN stays out of
        every mean; choose what is NaN by the score's own `absent` and `present`.
    aggregation : {"dataset", "per_image", "per_class_per_image"}
    classes : sequence of int, optional
        Classes to average over, for class scores.
    worst : float, optional
        Average only the lowest fraction, in (0, 1], of the images (for each class its own images):
        ``floor(worst * n)`` of n, at least one. For scores where more is better.

    Returns
    -------
    Aggregate

    Raises
    ------
    ValueError
        If `matrices` is not a batch with one leading axis, an option is unknown or out of range,
        `worst` is given for ``"dataset"``, or a score without classes is to be averaged by class.

    Examples
    --------
    >>> images = [[[8, 0], [0, 2]], [[4, 4], [1, 1]]]
    >>> round(aggregate(images).value, 4)
    0.5404
    >>> round(aggregate(images, aggregation="per_image").value, 4)
    0.6528
    >>> round(aggregate(images, aggregation="per_image", worst=0.5).value, 4)
    0.3056
    """
    check_choice("aggregation", aggregation, get_args(Aggregation))
    if not callable(score):
        raise TypeError(f"score must be a function such as segmeter.dice, got {shown(score)}")
    counts = _image_counts(matrices)
    if aggregation == "dataset":
        if worst is not None:
            raise ValueError('worst needs images: it does not go with aggregation="dataset"')
        values = _chosen(score(counts.over_images().matrix), 1, classes, counts.num_classes)
        defined = int(counts.matrix.shape[0])
        per_class = values if values.ndim else None
        return Aggregate(_mean(values), per_class, defined, 0, aggregation, worst)
    values = _chosen(score(counts.matrix), 2, classes, counts.num_classes)
    if aggregation == "per_image":
        values = nan_mean(values) if values.ndim == 2 else values
        means, cases = _lowest_mean(values, worst)
        per_class = None
    else:
        if values.ndim != 2:
            raise ValueError(
                'aggregation="per_class_per_image" needs a score with a value per class'
            )
        means, cases = _lowest_mean(values, worst)
        per_class = means
    undefined = int(np.isnan(values).sum())
    return Aggregate(_mean(means), per_class, int(cases.sum()), undefined, aggregation, worst)


def fine_grained_iou(
    matrices: MatrixLike,
    *,
    worst: float = 0.05,
    classes: Sequence[int] | None = None,
    absent: Absent = "nan",
    present: Present = "target",
) -> dict[str, float | int]:
    """Fine-grained mean IoU of Wang et al.: by dataset (D), image (I), class over images (C).

    Parameters
    ----------
    matrices : array_like ``(N, C, C)`` or ``(N, C, C + 1)``, or an object with ``.matrix``
        One matrix per image.
    worst : float
        The fraction q, in (0, 1], of the worst-case scores.
    classes : sequence of int, optional
        Classes to average over.
    absent, present : str
        As in :func:`iou`, per image and class. By the paper's default a class counts in the images
        whose target has it. For binary masks the authors score the foreground and give 1 to an
        image without any: ``classes=[1], absent="one", present="any"``.

    Returns
    -------
    dict
        All scores in [0, 1], NaN where nothing is defined:

        - ``mIoU_D``: IoU of summed counts, mean over classes (:func:`mean_iou`);
        - ``mIoU_I``: mean IoU of the classes of an image, mean over images;
        - ``mIoU_C``: mean IoU of a class over its images, mean over classes;
        - ``mIoU_I_q``, ``mIoU_C_q``: the same over the lowest `worst` of the images, and of each
          class's images (``floor(q n)`` of n, at least 1);
        - ``mIoU_I_qbar``, ``mIoU_C_qbar``: mean of the worst-case scores for q = 0.1, 0.2, ..., 1;
        - ``worst``, ``images`` and ``undefined_images`` (those without a class to score).

    Notes
    -----
    Wang et al., *Revisiting Evaluation Metrics for Semantic Segmentation* (NeurIPS 2023). Their
    mIoU^K needs connected components. A class that no target has is left out of mIoU_C (and of
    mIoU_D, if it is not predicted either).

    Examples
    --------
    >>> result = fine_grained_iou([[[8, 0], [0, 2]], [[4, 4], [1, 1]], [[6, 0], [0, 0]]])
    >>> [round(result[name], 4) for name in ("mIoU_D", "mIoU_I", "mIoU_C", "mIoU_I_q")]
    [0.5788, 0.7685, 0.6991, 0.3056]
    """
    counts = _image_counts(matrices)
    by_class = iou(counts, absent=absent, present=present)
    by_class = _chosen(by_class, 2, classes, counts.num_classes)
    by_image = nan_mean(by_class)

    def image_score(fraction: float | None) -> float:
        return _mean(_lowest_mean(by_image, fraction)[0])

    def class_score(fraction: float | None) -> float:
        return _mean(_lowest_mean(by_class, fraction)[0])

    return {
        "mIoU_D": float(mean_iou(counts.over_images(), absent=absent, classes=classes)),
        "mIoU_I": image_score(None),
        "mIoU_C": class_score(None),
        "mIoU_I_q": image_score(worst),
        "mIoU_C_q": class_score(worst),
        "mIoU_I_qbar": float(np.mean([image_score(q) for q in _ALL_FRACTIONS])),
        "mIoU_C_qbar": float(np.mean([class_score(q) for q in _ALL_FRACTIONS])),
        "worst": worst,
        "images": int(by_image.size),
        "undefined_images": int(np.isnan(by_image).sum()),
    }


def _image_counts(matrices: MatrixLike) -> Counts:
    counts = Counts.of(matrices)
    if counts.matrix.ndim != 3:
        raise ValueError(
            "matrices must hold one matrix per image, (N, C, C) or (N, C, C + 1); "
            f"got shape {counts.matrix.shape}"
        )
    return counts


def _chosen(
    values: Any, class_ndim: int, classes: Sequence[int] | None, num_classes: int
) -> FloatArray:
    """The scores of the chosen classes; scores without a class axis as they are."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == class_ndim:
        return array[..., class_indices(classes, num_classes)]
    if classes is not None:
        raise ValueError("classes needs a score with a value per class")
    return array


def _lowest_mean(
    values: FloatArray, fraction: float | None
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Mean over the first axis of the lowest `fraction` of all but NaN; and of how many."""
    defined = (~np.isnan(values)).sum(axis=0)
    number = defined
    if fraction is not None:
        if not 0 < real_number(fraction, "worst") <= 1:
            raise ValueError(f"worst must be a fraction in (0, 1], got {fraction!r}")
        # 0.29 * 100 is a hair below 29 in binary; the whole number is meant.
        wanted = np.floor(np.round(fraction * defined, 9)).astype(np.int64)
        number = np.minimum(defined, np.maximum(wanted, 1))
    rank = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    lowest = np.where(rank < number, np.sort(values, axis=0), 0.0)  # NaN is sorted to the end
    return np.where(number > 0, lowest.sum(axis=0) / np.maximum(number, 1), np.nan), number


def _mean(values: FloatArray) -> float:
    return float(nan_mean(np.atleast_1d(values)))
