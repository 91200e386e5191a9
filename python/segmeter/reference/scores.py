"""The pixel scores from their definitions: pixels and boolean masks, no confusion matrix.

Every function has the name of its public twin and takes the two label maps instead of the matrix:
``f(pred, target, *, num_classes, ignore=None, ...)``. `ignore` is a boolean mask of pixels to leave
out. The other pixels of `target` hold classes 0..C-1; a label of `pred` outside of them is void.
Scores of the matrix must equal these up to rounding. Those over pairs of pixels take memory in the
square of the number of pixels.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


def true_positives(
    pred: ArrayLike, target: ArrayLike, *, num_classes: int, ignore: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Pixels of the class in both maps, for each class.

    Examples
    --------
    >>> true_positives([0, 1, 1], [0, 1, 0], num_classes=2)
    array([1, 1])
    """
    masks = _masks(pred, target, num_classes, ignore)
    return np.array([np.count_nonzero(p & t) for p, t in masks])


def false_positives(
    pred: ArrayLike, target: ArrayLike, *, num_classes: int, ignore: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Pixels of the class in pred only, for each class.

    Examples
    --------
    >>> false_positives([0, 1, 1], [0, 1, 0], num_classes=2)
    array([0, 1])
    """
    masks = _masks(pred, target, num_classes, ignore)
    return np.array([np.count_nonzero(p & ~t) for p, t in masks])


def false_negatives(
    pred: ArrayLike, target: ArrayLike, *, num_classes: int, ignore: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Pixels of the class in target only, for each class.

    Examples
    --------
    >>> false_negatives([0, 1, 1], [0, 1, 0], num_classes=2)
    array([1, 0])
    """
    masks = _masks(pred, target, num_classes, ignore)
    return np.array([np.count_nonzero(~p & t) for p, t in masks])


def true_negatives(
    pred: ArrayLike, target: ArrayLike, *, num_classes: int, ignore: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Pixels of the class in neither map, for each class.

    Examples
    --------
    >>> true_negatives([0, 1, 1], [0, 1, 0], num_classes=2)
    array([1, 1])
    """
    masks = _masks(pred, target, num_classes, ignore)
    return np.array([np.count_nonzero(~p & ~t) for p, t in masks])


def support(
    pred: ArrayLike, target: ArrayLike, *, num_classes: int, ignore: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Target pixels of each class.

    Examples
    --------
    >>> support([0, 1, 1], [0, 1, 0], num_classes=2)
    array([2, 1])
    """
    masks = _masks(pred, target, num_classes, ignore)
    return np.array([np.count_nonzero(t) for _, t in masks])


def iou(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Size of the intersection over size of the union.

    Examples
    --------
    >>> iou([0, 1, 1], [0, 1, 0], num_classes=2)
    array([0.5, 0.5])
    """
    return _per_class(lambda p, t: _share(p & t, p | t), pred, target, **options)


def dice(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Twice the size of the intersection over the sum of both sizes.

    Examples
    --------
    >>> dice([0, 1, 1], [0, 1, 0], num_classes=2).round(3)
    array([0.667, 0.667])
    """
    return _per_class(
        lambda p, t: 2 * np.count_nonzero(p & t) / (np.count_nonzero(p) + np.count_nonzero(t)),
        pred,
        target,
        **options,
    )


def f_beta(pred: ArrayLike, target: ArrayLike, *, beta: float = 1.0, **options: Any) -> FloatArray:
    """Harmonic mean of precision and recall, the latter weighted beta squared times; 0 if both are.

    Examples
    --------
    >>> f_beta([0, 1, 1], [0, 1, 0], num_classes=2, beta=2).round(3)
    array([0.556, 0.833])
    """

    def one(p: Mask, t: Mask) -> float:
        share_right, share_found = _share(t & p, p), _share(p & t, t)
        if share_right == 0:
            return 0.0
        return (1 + beta**2) / (1 / share_right + beta**2 / share_found)

    return _per_class(one, pred, target, **options)


def tversky_index(
    pred: ArrayLike, target: ArrayLike, *, alpha: float = 0.5, beta: float = 0.5, **options: Any
) -> FloatArray:
    """Intersection over intersection plus alpha times pred only plus beta times target only.

    Examples
    --------
    >>> tversky_index([0, 1, 1], [0, 1, 0], num_classes=2, alpha=0.25, beta=0.75).round(3)
    array([0.571, 0.8  ])
    """

    def one(p: Mask, t: Mask) -> float:
        both = np.count_nonzero(p & t)
        if both == 0:
            return 0.0
        return both / (both + alpha * np.count_nonzero(p & ~t) + beta * np.count_nonzero(t & ~p))

    return _per_class(one, pred, target, **options)


def recall(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Share of the class's target pixels that pred finds.

    Examples
    --------
    >>> recall([0, 1, 1], [0, 1, 0], num_classes=2)
    array([0.5, 1. ])
    """
    return _per_class(lambda p, t: _share(p & t, t), pred, target, **options)


def precision(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Share of the pixels predicted as the class that are the class.

    Examples
    --------
    >>> precision([0, 1, 1], [0, 1, 0], num_classes=2)
    array([1. , 0.5])
    """
    return _per_class(lambda p, t: _share(t & p, p), pred, target, **options)


def specificity(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Recall of the class's complement.

    Examples
    --------
    >>> specificity([0, 1, 1], [0, 1, 0], num_classes=2)
    array([1. , 0.5])
    """
    return _two_sided(lambda p, t: _share(~p & ~t, ~t), pred, target, **options)


def negative_predictive_value(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Precision of the class's complement.

    Examples
    --------
    >>> negative_predictive_value([0, 1, 1], [0, 1, 0], num_classes=2)
    array([0.5, 1. ])
    """
    return _two_sided(lambda p, t: _share(~t & ~p, ~p), pred, target, **options)


def volumetric_similarity(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """One minus the difference of the sizes over their sum.

    Examples
    --------
    >>> volumetric_similarity([0, 1, 1], [0, 1, 0], num_classes=2).round(3)
    array([0.667, 0.667])
    """

    def one(p: Mask, t: Mask) -> float:
        sizes = np.count_nonzero(p), np.count_nonzero(t)
        return 1 - abs(sizes[0] - sizes[1]) / (sizes[0] + sizes[1])

    return _per_class(one, pred, target, **options)


def informedness(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Recall of the class plus recall of its complement minus 1; 0 if the target lacks either.

    Examples
    --------
    >>> informedness([0, 1, 1], [0, 1, 0], num_classes=2)
    array([0.5, 0.5])
    """

    def one(p: Mask, t: Mask) -> float:
        return _share(p & t, t) + _share(~p & ~t, ~t) - 1 if _has_spread(t) else 0.0

    return _two_sided(one, pred, target, **options)


def markedness(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Precision of the class plus precision of its complement minus 1; 0 if pred lacks either.

    Examples
    --------
    >>> markedness([0, 1, 1], [0, 1, 0], num_classes=2)
    array([0.5, 0.5])
    """

    def one(p: Mask, t: Mask) -> float:
        return _share(t & p, p) + _share(~t & ~p, ~p) - 1 if _has_spread(p) else 0.0

    return _two_sided(one, pred, target, **options)


def matthews_corrcoef_per_class(pred: ArrayLike, target: ArrayLike, **options: Any) -> FloatArray:
    """Pearson correlation of the two masks; 0 if one of them is constant.

    Examples
    --------
    >>> matthews_corrcoef_per_class([0, 1, 1], [0, 1, 0], num_classes=2)
    array([0.5, 0.5])
    """

    def one(p: Mask, t: Mask) -> float:
        return float(np.corrcoef(p, t)[0, 1]) if _has_spread(p) and _has_spread(t) else 0.0

    return _two_sided(one, pred, target, **options)


def mean_iou(pred: ArrayLike, target: ArrayLike, **options: Any) -> float:
    """Mean of :func:`iou` over the (chosen) classes that are not NaN.

    Examples
    --------
    >>> mean_iou([0, 1, 1], [0, 1, 0], num_classes=3)
    0.5
    """
    return _mean_over_classes(iou, pred, target, **options)


def mean_dice(pred: ArrayLike, target: ArrayLike, **options: Any) -> float:
    """Mean of :func:`dice` over the (chosen) classes that are not NaN.

    Examples
    --------
    >>> round(mean_dice([0, 1, 1], [0, 1, 0], num_classes=3), 3)
    0.667
    """
    return _mean_over_classes(dice, pred, target, **options)


def mean_f_beta(pred: ArrayLike, target: ArrayLike, **options: Any) -> float:
    """Mean of :func:`f_beta` over the (chosen) classes that are not NaN.

    Examples
    --------
    >>> round(mean_f_beta([0, 1, 1], [0, 1, 0], num_classes=3, beta=2), 3)
    0.694
    """
    return _mean_over_classes(f_beta, pred, target, **options)


def mean_precision(pred: ArrayLike, target: ArrayLike, **options: Any) -> float:
    """Mean of :func:`precision` over the (chosen) classes that are not NaN.

    Examples
    --------
    >>> mean_precision([0, 1, 1], [0, 1, 0], num_classes=3)
    0.75
    """
    return _mean_over_classes(precision, pred, target, **options)


def mean_recall(pred: ArrayLike, target: ArrayLike, **options: Any) -> float:
    """Mean of :func:`recall` over the (chosen) classes that are not NaN.

    Examples
    --------
    >>> round(mean_recall([0, 1, 1], [0, 0, 0], num_classes=3), 3)
    0.167
    """
    return _mean_over_classes(recall, pred, target, **options)


def mean_accuracy(pred: ArrayLike, target: ArrayLike, **options: Any) -> float:
    """Mean of :func:`recall` over the (chosen) classes that the target has.

    Examples
    --------
    >>> round(mean_accuracy([0, 1, 1], [0, 0, 0], num_classes=3), 3)
    0.333
    """
    return _mean_over_classes(recall, pred, target, **({"present": "target"} | options))


def mean_specificity(pred: ArrayLike, target: ArrayLike, **options: Any) -> float:
    """Mean of :func:`specificity` over the (chosen) classes that are not NaN.

    Examples
    --------
    >>> mean_specificity([0, 1, 1], [0, 1, 0], num_classes=3)
    0.75
    """
    return _mean_over_classes(specificity, pred, target, **options)


def pixel_accuracy(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    absent: str = "nan",
) -> float:
    """Share of the pixels where both maps are equal.

    Examples
    --------
    >>> pixel_accuracy([0, 1, 1, 5], [0, 1, 0, 1], num_classes=2)
    0.5
    """
    p, t = _labels(pred, target, num_classes, ignore)
    return float((p == t).mean()) if t.size else _filled(absent)


def frequency_weighted_iou(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    absent: str = "nan",
    classes: Sequence[int] | None = None,
) -> float:
    """Mean over the target's pixels (of the chosen classes) of the IoU of their class.

    Examples
    --------
    >>> frequency_weighted_iou([0, 1, 1], [0, 1, 0], num_classes=2)
    0.5
    """
    by_class = iou(pred, target, num_classes=num_classes, ignore=ignore)
    _, t = _labels(pred, target, num_classes, ignore)
    t = t if classes is None else t[np.isin(t, classes)]
    return float(by_class[t].mean()) if t.size else _filled(absent)


def cohen_kappa(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    weights: str | None = None,
    absent: str = "nan",
) -> float:
    """One minus the mean disagreement of a pixel over that of a target and a pred drawn freely.

    Examples
    --------
    >>> round(cohen_kappa([0, 1, 1], [0, 1, 0], num_classes=2), 6)
    0.4
    """
    p, t = _labels(pred, target, num_classes, ignore)

    def disagreement(i: NDArray[np.int64], j: NDArray[np.int64]) -> FloatArray:
        distance = np.where(j == num_classes, max(num_classes - 1, 1), abs(i - j))
        power = {None: 0, "linear": 1, "quadratic": 2}[weights]
        return np.where(distance > 0, distance.astype(np.float64) ** power, 0.0)

    expected = disagreement(t[:, None], p[None, :]).sum() / max(t.size, 1) ** 2
    return _filled(absent) if expected == 0 else float(1 - disagreement(t, p).mean() / expected)


def matthews_corrcoef(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    absent: str = "nan",
) -> float:
    """Correlation of the maps written one-hot: covariance, summed over classes, over the spreads.

    Examples
    --------
    >>> round(matthews_corrcoef([0, 1, 1], [0, 1, 0], num_classes=2), 6)
    0.5
    """
    p, t = _labels(pred, target, num_classes, ignore)
    if len(np.unique([p, t])) < 2:
        # One and the same class everywhere, or no pixel at all.
        return _filled(absent)
    if len(np.unique(p)) == 1 or len(np.unique(t)) == 1:
        return 0.0
    hot_pred, hot_target = (np.eye(num_classes + 1)[labels] for labels in (p, t))
    hot_pred, hot_target = (hot - hot.mean(axis=0) for hot in (hot_pred, hot_target))
    spreads = (hot_pred**2).sum() * (hot_target**2).sum()
    return float((hot_pred * hot_target).sum() / np.sqrt(spreads))


def mutual_information(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    base: float = np.e,
    absent: str = "nan",
) -> float:
    """Entropy of target plus entropy of pred minus entropy of the pair.

    Examples
    --------
    >>> mutual_information([1, 1, 0, 0], [0, 0, 1, 1], num_classes=2, base=2)
    1.0
    """
    p, t = _labels(pred, target, num_classes, ignore)
    if not t.size:
        return _filled(absent)
    joint = t * (num_classes + 1) + p
    return (_entropy(t) + _entropy(p) - _entropy(joint)) / float(np.log(base))


def variation_of_information(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    base: float = np.e,
    absent: str = "nan",
) -> float:
    """Twice the entropy of the pair minus the entropies of target and pred.

    Examples
    --------
    >>> variation_of_information([0, 0, 1, 1], [0, 1, 2, 3], num_classes=4, base=2)
    1.0
    """
    p, t = _labels(pred, target, num_classes, ignore)
    if not t.size:
        return _filled(absent)
    joint = t * (num_classes + 1) + p
    return (2 * _entropy(joint) - _entropy(t) - _entropy(p)) / float(np.log(base))


def rand_index(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    absent: str = "nan",
) -> float:
    """Share of all pairs of two pixels that both maps join, or both maps part.

    Examples
    --------
    >>> round(rand_index([0, 1, 1], [0, 1, 0], num_classes=2), 3)
    0.333
    """
    p, t = _labels(pred, target, num_classes, ignore)
    if not t.size:
        return _filled(absent)
    joined_by_pred, joined_by_target = _pairs_joined(p), _pairs_joined(t)
    return float((joined_by_pred == joined_by_target).mean()) if t.size > 1 else 1.0


def adjusted_rand_index(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    absent: str = "nan",
) -> float:
    """Pairs joined by both maps, less their expectation, over the largest such difference.

    Examples
    --------
    >>> round(adjusted_rand_index([0, 1, 1], [0, 1, 0], num_classes=2), 3)
    -0.5
    """
    p, t = _labels(pred, target, num_classes, ignore)
    if not t.size:
        return _filled(absent)
    joined_by_pred, joined_by_target = _pairs_joined(p), _pairs_joined(t)
    if np.array_equal(joined_by_pred, joined_by_target):
        return 1.0
    sizes = np.count_nonzero(joined_by_pred), np.count_nonzero(joined_by_target)
    expected = sizes[0] * sizes[1] / joined_by_pred.size
    both = np.count_nonzero(joined_by_pred & joined_by_target)
    return float((both - expected) / (sum(sizes) / 2 - expected))


def normalize(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    by: str = "true",
    absent: str = "nan",
) -> FloatArray:
    """For classes i, j: share of the pixels i in target (j in pred, all) that are i there, j here.

    The result is wide, ``(C, C + 1)``: its last column is void.

    Examples
    --------
    >>> normalize([0, 1, 1], [0, 1, 0], num_classes=2)
    array([[0.5, 0.5, 0. ],
           [0. , 1. , 0. ]])
    """
    p, t = _labels(pred, target, num_classes, ignore)
    result = np.full((num_classes, num_classes + 1), _filled(absent))
    for i in range(num_classes):
        for j in range(num_classes + 1):
            whole = {"true": t == i, "pred": p == j, "all": np.ones(t.shape, bool)}[by]
            if whole.any():
                result[i, j] = _share((t == i) & (p == j), whole)
    return result


def group_counts(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    groups: Mapping[str, Sequence[int]],
    ignore: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """``[[TN, FP], [FN, TP]]`` of the mask "is in the group", for each group.

    Examples
    --------
    >>> group_counts([0, 1, 2], [0, 2, 1], num_classes=3, groups={"any": [1, 2]})
    array([[[1, 0],
            [0, 2]]])
    """
    p, t = _labels(pred, target, num_classes, ignore)
    masks = [(np.isin(p, members), np.isin(t, members)) for members in groups.values()]
    return np.array(
        [
            [
                [np.count_nonzero((t_in == i) & (p_in == j)) for j in (False, True)]
                for i in (False, True)
            ]
            for p_in, t_in in masks
        ]
    )


def group_scores(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    groups: Mapping[str, Sequence[int]],
    ignore: ArrayLike | None = None,
) -> dict[str, dict[str, float]]:
    """Counts and main scores of the mask "is in the group", for each group.

    Examples
    --------
    >>> group_scores([0, 1, 2], [0, 2, 1], num_classes=3, groups={"any": [1, 2]})["any"]["iou"]
    1.0
    """
    p, t = _labels(pred, target, num_classes, ignore)
    scores = {}
    for name, members in groups.items():
        masks = np.isin(p, members), np.isin(t, members)
        options = {"num_classes": 2}
        scores[name] = {
            score.__name__: float(score(*masks, **options)[1])
            for score in (iou, dice, precision, recall, specificity)
        }
    return scores


def top_confusions(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    k: int = 10,
    ignore: ArrayLike | None = None,
) -> list[tuple[int, int, int]]:
    """Target class, predicted class (C: void) and number of the most frequent kinds of error.

    Examples
    --------
    >>> top_confusions([1, 1, 0, 2], [0, 0, 2, 2], num_classes=3)
    [(0, 1, 2), (2, 0, 1)]
    """
    p, t = (part.tolist() for part in _labels(pred, target, num_classes, ignore))
    errors = Counter((want, got) for got, want in zip(p, t, strict=True) if got != want)
    ranked = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    return [(want, got, number) for (want, got), number in ranked[:k]]


def aggregate(
    preds: Sequence[ArrayLike],
    targets: Sequence[ArrayLike],
    score: Callable[..., FloatArray] = iou,
    *,
    num_classes: int,
    aggregation: str = "dataset",
    worst: float = 1.0,
) -> float:
    """A class score of a list of images, aggregated in one of the three named ways.

    Examples
    --------
    >>> maps = [[0, 1], [0, 0]], [[0, 0], [0, 0]]
    >>> aggregate(*maps, num_classes=2, aggregation="per_image")
    0.625
    """
    if aggregation == "dataset":
        everything = [np.concatenate([np.ravel(m) for m in maps]) for maps in (preds, targets)]
        return _mean(score(everything[0], everything[1], num_classes=num_classes))
    table = [score(p, t, num_classes=num_classes) for p, t in zip(preds, targets, strict=True)]
    if aggregation == "per_image":
        images = [_mean(row) for row in table if not np.isnan(row).all()]
        return _mean(_lowest(images, worst))
    columns = [[row[k] for row in table if not np.isnan(row[k])] for k in range(num_classes)]
    return _mean([_mean(_lowest(column, worst)) for column in columns if column])


def fine_grained_iou(
    preds: Sequence[ArrayLike],
    targets: Sequence[ArrayLike],
    *,
    num_classes: int,
    worst: float = 0.05,
) -> dict[str, float]:
    """Fine-grained mean IoU of a list of images: D, I, C and the worst-case I and C.

    Examples
    --------
    >>> result = fine_grained_iou([[0, 1], [0, 0]], [[0, 0], [0, 0]], num_classes=2)
    >>> result["mIoU_I"], result["mIoU_I_q"]
    (0.75, 0.5)
    """
    table = [
        iou(p, t, num_classes=num_classes, present="target")
        for p, t in zip(preds, targets, strict=True)
    ]
    images = [_mean(row) for row in table if not np.isnan(row).all()]
    columns = [[row[k] for row in table if not np.isnan(row[k])] for k in range(num_classes)]
    columns = [column for column in columns if column]
    everything = [np.concatenate([np.ravel(m) for m in maps]) for maps in (preds, targets)]
    return {
        "mIoU_D": mean_iou(everything[0], everything[1], num_classes=num_classes),
        "mIoU_I": _mean(images),
        "mIoU_C": _mean([_mean(column) for column in columns]),
        "mIoU_I_q": _mean(_lowest(images, worst)),
        "mIoU_C_q": _mean([_mean(_lowest(column, worst)) for column in columns]),
    }


def _labels(
    pred: ArrayLike, target: ArrayLike, num_classes: int, ignore: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The counted pixels of both maps as flat arrays; void becomes label C."""
    p, t = np.ravel(pred).astype(np.int64), np.ravel(target).astype(np.int64)
    if ignore is not None:
        counted = ~np.ravel(ignore).astype(bool)
        p, t = p[counted], t[counted]
    return np.where((p < 0) | (p >= num_classes), num_classes, p), t


def _masks(
    pred: ArrayLike, target: ArrayLike, num_classes: int, ignore: ArrayLike | None
) -> Iterator[tuple[Mask, Mask]]:
    p, t = _labels(pred, target, num_classes, ignore)
    return ((p == k, t == k) for k in range(num_classes))


def _per_class(
    one: Callable[[Mask, Mask], float],
    pred: ArrayLike,
    target: ArrayLike,
    *,
    num_classes: int,
    ignore: ArrayLike | None = None,
    absent: str = "nan",
    present: str = "any",
    two_sided: bool = False,
) -> FloatArray:
    def is_absent(p: Mask, t: Mask) -> bool:
        return not (t.any() or (present == "any" and p.any()))

    return np.array(
        [
            _filled(absent) if is_absent(p, t) or (two_sided and is_absent(~p, ~t)) else one(p, t)
            for p, t in _masks(pred, target, num_classes, ignore)
        ]
    )


def _two_sided(
    one: Callable[[Mask, Mask], float], pred: ArrayLike, target: ArrayLike, **options: Any
) -> FloatArray:
    return _per_class(one, pred, target, two_sided=True, **options)


def _mean_over_classes(
    score: Callable[..., FloatArray],
    pred: ArrayLike,
    target: ArrayLike,
    *,
    classes: Sequence[int] | None = None,
    **options: Any,
) -> float:
    values = score(pred, target, **options)
    return _mean(values if classes is None else values[list(classes)])


def _mean(values: Sequence[float] | FloatArray) -> float:
    kept = [float(v) for v in values if not np.isnan(v)]
    return sum(kept) / len(kept) if kept else float("nan")


def _lowest(values: Sequence[float], fraction: float) -> list[float]:
    return sorted(values)[: max(1, int(round(fraction * len(values), 9)))]


def _share(part: Mask, whole: Mask) -> float:
    """Size of `part` over size of `whole`; 0 for an empty whole."""
    return np.count_nonzero(part) / np.count_nonzero(whole) if whole.any() else 0.0


def _has_spread(mask: Mask) -> bool:
    return bool(mask.any() and not mask.all())


def _entropy(labels: NDArray[np.int64]) -> float:
    _, sizes = np.unique(labels, return_counts=True)
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


def _pairs_joined(labels: NDArray[np.int64]) -> Mask:
    """For every pair of two different pixels whether their labels are equal."""
    first, second = np.triu_indices(len(labels), k=1)
    return np.asarray(labels[first] == labels[second])


def _filled(absent: str) -> float:
    if absent == "raise":
        raise ValueError("undefined score")
    return {"nan": float("nan"), "zero": 0.0, "one": 1.0}[absent]
