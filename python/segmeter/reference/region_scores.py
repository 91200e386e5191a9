"""The region scores from their definitions: label maps and masks, no overlap table.

Every function takes the two instance maps; a region is the set of pixels with one id, background
is 0. `void` are target ids (``ignore_index``), whose pixels belong to no target region and leave
every score. Written to be read, not to be fast.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class PanopticTotals(NamedTuple):
    """Twin of :class:`segmeter.PanopticCounts`."""

    iou_sum: FloatArray
    tp: IntArray
    fp: IntArray
    fn: IntArray
    target_regions: IntArray
    overlap_iou_sum: FloatArray


def panoptic_counts(
    pred: NDArray[Any],
    target: NDArray[Any],
    pred_classes: Mapping[int, int],
    target_classes: Mapping[int, int],
    *,
    num_classes: int,
    void: Collection[int] = (),
    crowd: Collection[int] = (),
    threshold: float = 0.5,
) -> PanopticTotals:
    """Twin of :func:`segmeter.panoptic_counts`.

    Examples
    --------
    >>> maps = np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 6]])
    >>> panoptic_counts(*maps, {1: 0, 2: 0}, {5: 0, 6: 0}, num_classes=1).iou_sum.round(3)
    array([0.667])
    """
    ignored = np.isin(target, list(void))
    preds, targets = _masks(pred), _masks(target, void)
    iou = {
        (p, t): _iou(preds[p] & ~ignored, targets[t])
        for p in preds
        for t in targets
        if pred_classes[p] == target_classes[t] and t not in crowd
    }
    if threshold >= 0.5:
        pairs = {pair for pair, value in iou.items() if value > threshold}
    else:
        pairs = {pair for pair in _best_assignment(iou) if iou[pair] > threshold}

    totals = PanopticTotals(*(np.zeros(num_classes, kind) for kind in "diiiid"))
    for (p, t), value in iou.items():
        totals.overlap_iou_sum[pred_classes[p]] += value
        if (p, t) in pairs:
            totals.iou_sum[pred_classes[p]] += value
            totals.tp[pred_classes[p]] += 1
    for p in preds.keys() - {p for p, _ in pairs}:
        excused = ignored.copy()
        for t in crowd:
            if target_classes[t] == pred_classes[p]:
                excused |= targets[t]
        totals.fp[pred_classes[p]] += np.mean(excused[preds[p]]) <= 0.5
    for t in targets.keys() - set(crowd):
        totals.target_regions[target_classes[t]] += 1
        totals.fn[target_classes[t]] += t not in {t for _, t in pairs}
    return totals


def panoptic_quality(
    totals: PanopticTotals,
    *,
    things: Collection[int] = (),
    modified: Collection[int] = (),
    smooth: float = 0.0,
) -> dict[str, FloatArray]:
    """PQ, SQ and RQ of each class, and their means over all classes, the things and the stuff.

    NaN is a class without any region; `smooth`, added to the denominators, makes it 0. Rows of
    ``"class"`` are classes, its columns and the means PQ, SQ and RQ.

    Examples
    --------
    >>> maps = np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 6]])
    >>> totals = panoptic_counts(*maps, {1: 0, 2: 0}, {5: 0, 6: 0}, num_classes=1)
    >>> panoptic_quality(totals)["all"].round(3)
    array([0.333, 0.667, 0.5  ])
    """
    rows = []
    for k in range(len(totals.tp)):
        iou_sum, tp = totals.iou_sum[k], totals.tp[k]
        wrong = 0.5 * totals.fp[k] + 0.5 * totals.fn[k]
        if k in modified:
            iou_sum, tp, wrong = totals.overlap_iou_sum[k], totals.target_regions[k], 0.0
        if tp + wrong + smooth == 0:
            rows.append([math.nan] * 3)
            continue
        quality = iou_sum / (tp + smooth) if tp + smooth else 0.0
        rows.append([iou_sum / (tp + wrong + smooth), quality, tp / (tp + wrong + smooth)])
    groups = {"all": rows, "things": [rows[k] for k in things]}
    groups["stuff"] = [row for k, row in enumerate(rows) if k not in things]
    means = {name: _mean_rows(members) for name, members in groups.items()}
    return {"class": np.array(rows), **means}


def parsing_covering_counts(
    pred: NDArray[Any],
    target: NDArray[Any],
    pred_classes: Mapping[int, int],
    target_classes: Mapping[int, int],
    *,
    num_classes: int,
    void: Collection[int] = (),
) -> tuple[FloatArray, IntArray]:
    """Area times best IoU, and area, of the target regions of each class.

    Examples
    --------
    >>> maps = np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 6]])
    >>> parsing_covering_counts(*maps, {1: 0, 2: 0}, {5: 0, 6: 0}, num_classes=1)[0].round(3)
    array([2.333])
    """
    ignored = np.isin(target, list(void))
    covered, area = np.zeros(num_classes), np.zeros(num_classes, np.int64)
    for t, region in _masks(target, void).items():
        overlaps = [
            _iou(mask & ~ignored, region)
            for p, mask in _masks(pred).items()
            if pred_classes[p] == target_classes[t]
        ]
        covered[target_classes[t]] += region.sum() * max(overlaps, default=0)
        area[target_classes[t]] += region.sum()
    return covered, area


def parsing_covering(
    pred: NDArray[Any],
    target: NDArray[Any],
    pred_classes: Mapping[int, int],
    target_classes: Mapping[int, int],
    *,
    num_classes: int,
    void: Collection[int] = (),
) -> list[float]:
    """Mean over the pixels of a class's target regions of the best IoU any prediction has there.

    Examples
    --------
    >>> maps = np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 6]])
    >>> parsing_covering(*maps, {1: 0, 2: 0}, {5: 0, 6: 0}, num_classes=2)
    [0.5833333333333333, nan]
    """
    ignored = np.isin(target, list(void))
    of_pixels: list[list[float]] = [[] for _ in range(num_classes)]
    for t in target[~ignored & (target != 0)].tolist():
        best = 0.0
        for p in np.unique(pred[pred != 0]).tolist():
            if pred_classes[p] == target_classes[t]:
                best = max(best, _iou((pred == p) & ~ignored, target == t))
        of_pixels[target_classes[t]].append(best)
    return [math.fsum(values) / len(values) if values else math.nan for values in of_pixels]


def instance_counts(
    pred: NDArray[Any],
    target: NDArray[Any],
    *,
    threshold: float,
    criterion: str = "iou",
    strict: bool = False,
    void: Collection[int] = (),
) -> set[tuple[int, int, int, Fraction]]:
    """TP, FP, FN and sum of matched scores of every optimal matching, by trying all matchings.

    Only for a handful of regions. The count of pairs goes first, then the sum of all scores of the
    assignment, those below the threshold included; the score sum is of the pairs that match.

    Examples
    --------
    >>> instance_counts(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 6]]), threshold=0.6)
    {(1, 1, 1, Fraction(2, 3))}
    """
    ignored = np.isin(target, list(void))
    preds, targets = _masks(pred), _masks(target, void)
    scores = {
        (p, t): value
        for p in preds
        for t in targets
        if (value := _criterion(criterion, preds[p] & ~ignored, targets[t])) > 0
    }
    passing = {
        pair
        for pair, value in scores.items()
        if (float(value) > threshold if strict else float(value) >= threshold)
    }

    def worth(pairs: list[tuple[int, int]]) -> tuple[int, Fraction]:
        return len(passing & set(pairs)), sum((scores[pair] for pair in pairs), Fraction())

    matchings = _matchings(list(scores))
    best = max(worth(pairs) for pairs in matchings)
    outcomes = set()
    for pairs in matchings:
        if worth(pairs) == best:
            matched = passing & set(pairs)
            wrong = preds.keys() - {p for p, _ in matched}
            fp = sum(bool(np.mean(ignored[preds[p]]) <= 0.5) for p in wrong)
            total = sum((scores[pair] for pair in matched), Fraction())
            outcomes.add((len(matched), fp, len(targets) - len(matched), total))
    return outcomes


def instance_scores(tp: int, fp: int, fn: int, score_sum: Fraction | float) -> dict[str, float]:
    """Twin of :func:`segmeter.instance_scores` at one threshold, in exact fractions.

    Examples
    --------
    >>> round(instance_scores(1, 1, 1, Fraction(2, 3))["panoptic_quality"], 3)
    0.333
    """
    total = Fraction(score_sum)

    def share(part: Fraction | int, whole: Fraction | int) -> float:
        if tp + fp + fn == 0:
            return math.nan
        return float(Fraction(part) / whole) if whole else 0.0

    return {
        "precision": share(tp, tp + fp),
        "recall": share(tp, tp + fn),
        "f1": share(tp, tp + Fraction(fp + fn, 2)),
        "accuracy": share(tp, tp + fp + fn),
        "mean_matched_score": share(total, tp),
        "mean_true_score": share(total, tp + fn),
        "panoptic_quality": share(total, tp + Fraction(fp + fn, 2)),
    }


def aggregated_jaccard_index(
    pred: NDArray[Any], target: NDArray[Any], *, one_to_one: bool = False
) -> float:
    """Twin of AJI, and of AJI+ with `one_to_one`; NaN without a region.

    Examples
    --------
    >>> maps = np.array([[1, 1, 1, 1, 0]]), np.array([[5, 5, 6, 6, 6]])
    >>> round(aggregated_jaccard_index(*maps), 3)
    0.444
    """
    preds, targets = _masks(pred), _masks(target)
    iou = {
        (p, t): value for p in preds for t in targets if (value := _iou(preds[p], targets[t])) > 0
    }
    if one_to_one:
        pairs = _best_assignment(iou)
    else:
        pairs = []
        for t in targets:
            overlapping = [p for p in preds if (p, t) in iou]
            if overlapping:
                most = max(
                    overlapping,
                    key=lambda p: (iou[p, t], (preds[p] & targets[t]).sum(), -p),
                )
                pairs.append((most, t))
    intersection = sum(int((preds[p] & targets[t]).sum()) for p, t in pairs)
    union = sum(int((preds[p] | targets[t]).sum()) for p, t in pairs)
    union += sum(int(preds[p].sum()) for p in preds.keys() - {p for p, _ in pairs})
    union += sum(int(targets[t].sum()) for t in targets.keys() - {t for _, t in pairs})
    return intersection / union if union else math.nan


def object_f1(pred: NDArray[Any], target: NDArray[Any]) -> float:
    """F1 of the GlaS challenge; NaN without an object.

    Examples
    --------
    >>> object_f1(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 0]]))
    0.5
    """
    preds, targets = _masks(pred), _masks(target)
    if not preds and not targets:
        return math.nan
    tp = 0
    for region in preds.values():
        partner = _largest_overlap(region, targets)
        tp += partner is not None and (region & partner).sum() / partner.sum() > 0.5
    return float(2 * tp / (len(preds) + len(targets)))


def object_dice(pred: NDArray[Any], target: NDArray[Any]) -> float:
    """Object Dice of the GlaS challenge; NaN without an object.

    Examples
    --------
    >>> round(object_dice(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 0]])), 3)
    0.65
    """
    sides = _masks(pred), _masks(target)
    if not sides[0] and not sides[1]:
        return math.nan
    halves = []
    for regions, others in (sides, sides[::-1]):
        total = sum(int(region.sum()) for region in regions.values())
        weighted = 0.0
        for region in regions.values():
            partner = _largest_overlap(region, others)
            if partner is not None:
                weighted += region.sum() / total * float(_criterion("dice", region, partner))
        halves.append(weighted)
    return float(sum(halves) / 2)


def symmetric_best_dice(pred: NDArray[Any], target: NDArray[Any]) -> float:
    """SBD; NaN without a region.

    Examples
    --------
    >>> symmetric_best_dice(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 0]]))
    0.4
    """
    sides = _masks(pred), _masks(target)
    if not sides[0] and not sides[1]:
        return math.nan
    means = []
    for regions, others in (sides, sides[::-1]):
        best = [
            max(
                (float(_criterion("dice", region, other)) for other in others.values()), default=0.0
            )
            for region in regions.values()
        ]
        means.append(sum(best) / len(best) if best else 0.0)
    return min(means)


class CellTracking(NamedTuple):
    """SEG, and the operations DET is made of."""

    seg: float
    splits: int
    false_negatives: int
    false_positives: int


def cell_tracking(pred: NDArray[Any], target: NDArray[Any]) -> CellTracking:
    """SEG and the numbers of splits, misses and inventions of one frame.

    Examples
    --------
    >>> cell_tracking(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 0]]))
    CellTracking(seg=0.5, splits=1, false_negatives=0, false_positives=1)
    """
    preds, targets = _masks(pred), _masks(target)
    detected: dict[int, list[float]] = {p: [] for p in preds}
    for region in targets.values():
        for p, mask in preds.items():
            if (mask & region).sum() > 0.5 * region.sum():
                detected[p].append(_iou(mask, region))
    overlaps = [value for values in detected.values() for value in values]
    return CellTracking(
        seg=sum(overlaps) / len(targets) if targets else math.nan,
        splits=sum(len(values) - 1 for values in detected.values() if values),
        false_negatives=len(targets) - len(overlaps),
        false_positives=sum(not values for values in detected.values()),
    )


def cell_tracking_det(pred: NDArray[Any], target: NDArray[Any]) -> float:
    """DET of one frame: the cost of its corrections against that of drawing all regions.

    Examples
    --------
    >>> cell_tracking_det(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 0]]))
    0.7
    """
    frame, targets = cell_tracking(pred, target), len(_masks(target))
    if not targets:
        return math.nan
    cost = 5 * frame.splits + 10 * frame.false_negatives + frame.false_positives
    return float(1 - Fraction(min(cost, 10 * targets), 10 * targets))


def pairs_of_pixels(pred: NDArray[Any], target: NDArray[Any]) -> tuple[int, int, int]:
    """Pairs of different pixels that are together in both maps, in pred, in target.

    Every value is a segment, 0 too.

    Examples
    --------
    >>> pairs_of_pixels(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 0]))
    (1, 2, 3)
    """
    both = in_pred = in_target = 0
    pixels = zip(pred.ravel().tolist(), target.ravel().tolist(), strict=True)
    for (p, t), (q, u) in combinations(pixels, 2):
        both += p == q and t == u
        in_pred += p == q
        in_target += t == u
    return both, in_pred, in_target


def adapted_rand(
    pred: NDArray[Any], target: NDArray[Any], *, alpha: float = 0.5
) -> tuple[float, float, float]:
    """Adapted Rand error, precision and recall of the pairs of pixels; NaN without such a pair.

    Examples
    --------
    >>> [round(value, 3) for value in adapted_rand(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 0]))]
    [0.6, 0.5, 0.333]
    """
    both, in_pred, in_target = pairs_of_pixels(pred, target)
    mean = alpha * in_pred + (1 - alpha) * in_target
    return (
        1 - both / mean if mean else math.nan,
        both / in_pred if in_pred else math.nan,
        both / in_target if in_target else math.nan,
    )


def conditional_entropy(of: NDArray[Any], given: NDArray[Any]) -> float:
    """H(of | given) in nats, of the pixels' values; 0 for no pixel.

    Examples
    --------
    >>> round(conditional_entropy(np.array([1, 2, 3, 4]), np.array([5, 5, 8, 8])), 6)
    0.693147
    """
    total = 0.0
    for value in np.unique(given):
        _, sizes = np.unique(of[given == value], return_counts=True)
        shares = sizes / sizes.sum()
        total -= sizes.sum() / of.size * (shares * np.log(shares)).sum()
    return float(total)


def component_iou(
    pred_labels: NDArray[Any], target: NDArray[Any], target_classes: Mapping[int, int], label: int
) -> list[float]:
    """IoU of each target region of one class; `pred_labels` is the predicted label map.

    Examples
    --------
    >>> maps = np.array([[1, 1, 0, 0, 1]]), np.array([[5, 5, 6, 6, 0]])
    >>> component_iou(*maps, {5: 1, 6: 1}, label=1)
    [0.8, 0.0]
    """
    regions = [mask for t, mask in _masks(target).items() if target_classes[t] == label]
    predicted = pred_labels == label
    invented = predicted.copy()
    for region in regions:
        invented &= ~region
    total = sum(int(region.sum()) for region in regions)
    return [
        float((predicted & region).sum() / (region.sum() + invented.sum() * region.sum() / total))
        for region in regions
    ]


def size_counts(
    pred: NDArray[Any], target: NDArray[Any], bins: Sequence[tuple[float, float]]
) -> list[tuple[int, int, int, int]]:
    """Targets, matched targets, preds and matched preds of each range of area, at IoU > 0.5.

    Examples
    --------
    >>> size_counts(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 5, 0]]), [(0, 2), (2, 100)])
    [(0, 0, 1, 0), (1, 1, 1, 1)]
    """
    preds, targets = list(_masks(pred).values()), list(_masks(target).values())
    result = []
    for low, high in bins:
        row: list[int] = []
        for regions, others in ((targets, preds), (preds, targets)):
            inside = [region for region in regions if low <= region.sum() < high]
            matched = [r for r in inside if any(_iou(r, other) > 0.5 for other in others)]
            row += [len(inside), len(matched)]
        result.append((row[0], row[1], row[2], row[3]))
    return result


def size_scores(
    pred: NDArray[Any], target: NDArray[Any], bins: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Recall of the targets and precision of the predictions of each range, at IoU > 0.5.

    Examples
    --------
    >>> size_scores(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 5, 0]]), [(0, 2), (2, 100)])
    [(nan, 0.0), (1.0, 1.0)]
    """
    scores = []
    for low, high in bins:
        found: dict[str, list[bool]] = {"target": [], "pred": []}
        for side, ids, others in (("target", target, pred), ("pred", pred, target)):
            for region in _masks(ids).values():
                if low <= np.count_nonzero(region) < high:
                    found[side].append(any(_iou(region, o) > 0.5 for o in _masks(others).values()))
        recall, precision = (sum(hits) / len(hits) if hits else math.nan for hits in found.values())
        scores.append((recall, precision))
    return scores


def count_errors(
    preds: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]
) -> tuple[float, float, float]:
    """Mean, mean absolute and root mean square difference of the number of regions of images.

    Examples
    --------
    >>> count_errors([np.array([1, 2]), np.array([0])], [np.array([5, 5]), np.array([1])])
    (0.0, 1.0, 1.0)
    """
    extra = [len(_masks(p)) - len(_masks(t)) for p, t in zip(preds, targets, strict=True)]
    return (
        sum(extra) / len(extra),
        sum(map(abs, extra)) / len(extra),
        math.sqrt(sum(number**2 for number in extra) / len(extra)),
    )


def _largest_overlap(region: Mask, others: Mapping[int, Mask]) -> Mask | None:
    """The mask that shares most pixels, the lowest id of equals; None if none shares any."""
    best = max(others, key=lambda i: (int((region & others[i]).sum()), -i), default=None)
    return None if best is None or not (region & others[best]).any() else others[best]


def _criterion(name: str, pred: Mask, target: Mask) -> Fraction:
    shared = int((pred & target).sum())
    whole = {
        "iou": Fraction(int((pred | target).sum())),
        "dice": Fraction(int(pred.sum()) + int(target.sum()), 2),
        "ior": Fraction(int(target.sum())),
        "iop": Fraction(int(pred.sum())),
    }[name]
    return shared / whole if shared else Fraction(0)


def _matchings(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """All sets of pairs that use no region twice."""
    if not pairs:
        return [[]]
    (p, t), rest = pairs[0], pairs[1:]
    free = [pair for pair in rest if pair[0] != p and pair[1] != t]
    return _matchings(rest) + [[(p, t), *matching] for matching in _matchings(free)]


def _masks(ids: NDArray[Any], void: Collection[int] = ()) -> dict[int, Mask]:
    return {int(i): ids == i for i in np.unique(ids) if i != 0 and i not in void}


def _iou(first: Mask, second: Mask) -> float:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0


def _mean_rows(rows: Sequence[Sequence[float]]) -> FloatArray:
    """Means of the columns of the rows that are defined."""
    defined = [row for row in rows if not math.isnan(row[0])]
    if not defined:
        return np.full(3, math.nan)
    return np.array([math.fsum(column) / len(defined) for column in zip(*defined, strict=True)])


def _best_assignment(scores: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """One-to-one pairs with the largest sum of scores."""
    from scipy.optimize import linear_sum_assignment

    firsts, seconds = (sorted({pair[side] for pair in scores}) for side in (0, 1))
    gain = np.array([[scores.get((p, t), 0.0) for t in seconds] for p in firsts])
    rows, columns = linear_sum_assignment(-gain.reshape(len(firsts), len(seconds)))
    return [
        (firsts[i], seconds[j])
        for i, j in zip(rows, columns, strict=True)
        if (firsts[i], seconds[j]) in scores
    ]
