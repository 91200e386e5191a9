"""COCO masks and instance evaluation in plain NumPy: what the native kernels must equal.

Masks are painted, outlines walked point by point, detections matched one after the other, and
curves made with cumulative sums. Written to be read, not to be fast.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from segmeter.region import CocoCounts, CocoRules, RunLengthMasks

_FINER = 5


def polygon_mask(polygon: Sequence[float], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels of a polygon ``x, y, x, y, ...``, (H, W).

    Examples
    --------
    >>> polygon_mask([0, 0, 2, 0, 2, 1, 0, 1], 2, 3).astype(int)
    array([[1, 1, 0],
           [0, 0, 0]])
    """
    # Corners on a grid five times finer; int() rounds towards zero as the official code does.
    corners = [
        (int(_FINER * x + 0.5), int(_FINER * y + 0.5))
        for x, y in zip(polygon[::2], polygon[1::2], strict=True)
    ]
    walk: list[tuple[int, int]] = []
    for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
        walk += _edge(start, end)
    toggles = np.zeros(height * width + 1, np.int64)
    for (x0, y0), (x1, y1) in pairwise(walk):
        column = (min(x0, x1) - 2) / _FINER  # whole where the walk passes the middle of a column
        if x0 == x1 or column % 1 or not 0 <= column < width:
            continue
        row = min(max(int(np.ceil((min(y0, y1) - 2) / _FINER)), 0), height)
        toggles[int(column) * height + row] += 1
    inside = np.cumsum(toggles)[:-1] % 2 == 1
    return np.ascontiguousarray(inside.reshape(width, height).T)


def _edge(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Points of the finer grid from corner to corner, one per step along the longer axis."""
    dx, dy = abs(end[0] - start[0]), abs(end[1] - start[1])
    longer = 0 if dx >= dy else 1
    steps = max(dx, dy)
    if steps == 0:
        return [start]
    # Always walked upwards along the longer axis, then turned round where needed.
    low, high = sorted((start, end), key=lambda point: point[longer])
    slope = (high[1 - longer] - low[1 - longer]) / steps
    points = []
    for step in range(steps + 1):
        point = [0, 0]
        point[longer] = low[longer] + step
        point[1 - longer] = int(low[1 - longer] + slope * step + 0.5)
        points.append((point[0], point[1]))
    return points if low == start else points[::-1]


def counts_of_mask(mask: ArrayLike) -> list[int]:
    """Lengths of alternating runs down the columns of a mask, background first.

    Examples
    --------
    >>> counts_of_mask([[1, 0], [1, 0]])
    [0, 2, 2]
    """
    pixels = np.asarray(mask, bool).ravel(order="F")
    if pixels.size == 0:
        return [0]
    changes = np.flatnonzero(np.diff(pixels)) + 1
    bounds = np.concatenate([[0], [0] if pixels[0] else [], changes, [pixels.size]])
    return [int(length) for length in np.diff(bounds)]


def mask_iou(
    pred: RunLengthMasks, target: RunLengthMasks, *, crowd: ArrayLike | None = None
) -> NDArray[np.float64]:
    """NumPy twin of :func:`segmeter.mask_iou`; same arguments, same result."""
    flags = np.zeros(len(target), bool) if crowd is None else np.asarray(crowd, bool)
    preds, targets = pred.to_masks(), target.to_masks()
    iou = np.zeros((len(pred), len(target)))
    for p, own in enumerate(preds):
        for t, other in enumerate(targets):
            shared = np.count_nonzero(own & other)
            whole = np.count_nonzero(own if flags[t] else own | other)
            iou[p, t] = shared / whole if shared else 0.0
    return iou


def coco_outcomes(
    pred: RunLengthMasks,
    target: RunLengthMasks,
    *,
    scores: ArrayLike,
    pred_classes: ArrayLike,
    target_classes: ArrayLike,
    num_classes: int,
    crowd: ArrayLike,
    ignored: ArrayLike,
    target_area: ArrayLike,
    rules: CocoRules,
) -> dict[str, NDArray[Any]]:
    """Arrays of the counts of :func:`segmeter.coco_counts`, for one image."""
    iou = mask_iou(pred, target, crowd=crowd)
    pred_area = pred.to_masks().sum(axis=(1, 2))
    target_area, hidden = np.asarray(target_area), np.asarray(ignored, bool) | np.asarray(crowd)
    ranges = list(rules.area_ranges.values())
    positives = np.zeros((num_classes, len(ranges)), np.int64)
    rows: list[tuple[int, float, int, NDArray[np.uint8]]] = []
    for index in range(num_classes):
        dets = np.flatnonzero(np.asarray(pred_classes) == index)
        dets = dets[np.argsort(-np.asarray(scores)[dets], kind="stable")]
        dets = dets[: rules.max_detections[-1]]
        own = np.flatnonzero(np.asarray(target_classes) == index)
        outcome = np.zeros((len(dets), len(ranges), len(rules.iou_thresholds)), np.uint8)
        for a, (low, high) in enumerate(ranges):
            out = hidden[own] | (target_area[own] < low) | (target_area[own] > high)
            positives[index, a] = np.count_nonzero(~out)
            outside = (pred_area[dets] < low) | (pred_area[dets] > high)
            for k, threshold in enumerate(rules.iou_thresholds):
                outcome[:, a, k] = _matched(
                    iou[np.ix_(dets, own)], out, np.asarray(crowd)[own], outside, threshold
                )
        rows += [(index, np.asarray(scores)[d], rank, outcome[rank]) for rank, d in enumerate(dets)]
    shape = (-1, len(ranges), len(rules.iou_thresholds))
    return {
        "positives": positives,
        "class_index": np.array([row[0] for row in rows], np.int64),
        "score": np.array([row[1] for row in rows], np.float64),
        "rank": np.array([row[2] for row in rows], np.int64),
        "outcome": np.array([row[3] for row in rows], np.uint8).reshape(shape),
    }


def _matched(
    iou: NDArray[np.float64],
    out: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    threshold: float,
) -> list[int]:
    """Outcome of detections (by decreasing score) of one class for one range and threshold."""
    free = np.ones(len(out), bool)
    outcome = []
    for d in range(len(outside)):
        found = -1
        for group in (~out, out):  # ignored targets only where there is no other
            best = min(threshold, 1 - 1e-10)
            for t in np.flatnonzero(group & (free | crowd)).tolist():
                if iou[d, t] >= best:
                    best, found = iou[d, t], t
            if found >= 0:
                break
        if found >= 0:
            free[found] = False
        ignored = out[found] if found >= 0 else outside[d]
        outcome.append(2 if ignored else int(found >= 0))
    return outcome


def coco_curves(
    counts: CocoCounts,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall of :func:`segmeter.coco_average_precision`."""
    limits, (classes, ranges) = counts.rules.max_detections, counts.positives.shape
    levels = np.linspace(0.0, 1.0, 101)
    thresholds = len(counts.rules.iou_thresholds)
    precision = np.full((thresholds, levels.size, classes, ranges, len(limits)), np.nan)
    recall = np.full((thresholds, classes, ranges, len(limits)), np.nan)
    for k, a, m in np.ndindex(classes, ranges, len(limits)):
        total = counts.positives[k, a]
        if total == 0:
            continue
        chosen = (counts.class_index == k) & (counts.rank < limits[m])
        for t in range(thresholds):
            outcome = counts.outcome[chosen, a, t]  # in the order of the scores
            hits, alarms = np.cumsum(outcome == 1), np.cumsum(outcome == 0)
            reached = hits / total
            exact = hits / (alarms + hits + np.spacing(1))
            envelope = np.maximum.accumulate(exact[::-1])[::-1]
            place = np.searchsorted(reached, levels, side="left")
            precision[t, :, k, a, m] = np.append(envelope, 0.0)[place]
            recall[t, k, a, m] = reached[-1] if reached.size else 0.0
    return precision, recall
