"""Overlap and matching in plain NumPy and SciPy: what the native kernels must equal.

Written to be read, not to be fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..region._matching import Matching
    from ..region._overlap import OverlapTable


def overlap_table(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    background: int | None = 0,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    pred_ignore_index: int | Sequence[int] | None = None,
    pred_classes: Mapping[int, int] | ArrayLike | None = None,
    target_classes: Mapping[int, int] | ArrayLike | None = None,
    split_classes: bool = False,
    threads: int = 0,
) -> OverlapTable:
    """NumPy twin of :func:`segmeter.overlap_table` for instance maps; same arguments and result.

    Examples
    --------
    >>> overlap_table([[1, 1, 2]], [[3, 3, 3]]).intersection
    array([2, 1])
    """
    from ..region._overlap import OverlapTable

    del threads  # one thread only: the twin defines the result, not the speed
    pred, target = np.asarray(pred), np.asarray(target)
    if pred.shape != target.shape:
        raise ValueError(
            f"pred and target must have the same shape, got {pred.shape} and {target.shape}"
        )
    pred_void = _void_pixels(pred, pred_ignore_index)
    target_void = _void_pixels(target, ignore_index)
    sides: dict[str, Any] = {}
    index = {}
    for side, ids, classes, void, other_void in (
        ("pred", pred, pred_classes, pred_void, target_void),
        ("target", target, target_classes, target_void, pred_void),
    ):
        is_region = ~void if background is None else ~void & (ids != background)
        region_id, region_class, region = _regions(side, ids, is_region, classes, split_classes)
        size = len(region_id)
        sides[f"{side}_id"] = region_id
        sides[f"{side}_class"] = region_class
        sides[f"{side}_area"] = np.bincount(region[is_region], minlength=size)
        sides[f"{side}_void"] = np.bincount(region[is_region & other_void], minlength=size)
        index[side] = region
    both = (index["pred"] >= 0) & (index["target"] >= 0)
    pairs, intersection = np.unique(
        np.stack([index["target"][both], index["pred"][both]]), axis=1, return_counts=True
    )
    return OverlapTable(
        **sides,
        target_index=pairs[0],
        pred_index=pairs[1],
        intersection=intersection,
        num_pixels=pred.size,
        num_ignored=int((pred_void | target_void).sum()),
        split_classes=split_classes,
    )


def _void_pixels(ids: NDArray[Any], ignore_index: Any) -> NDArray[np.bool_]:
    if ignore_index is None:
        return np.zeros(ids.shape, bool)
    ignored = np.asarray(ignore_index)
    if ignored.dtype.kind == "b":
        return ignored.reshape(ids.shape)
    # Not as an array: huge and negative labels together would become float64.
    labels = {int(label) for label in ([ignore_index] if ignored.ndim == 0 else ignore_index)}
    is_ignored = [int(label) in labels for label in ids.ravel().tolist()]
    return np.array(is_ignored, bool).reshape(ids.shape)


def _regions(
    side: str, ids: NDArray[Any], is_region: NDArray[np.bool_], classes: Any, split: bool
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Ids and classes of the regions, and each pixel's region (-1: none)."""
    region = np.full(ids.shape, -1, np.int64)
    region_id, position = np.unique(ids[is_region], return_inverse=True)
    if classes is None:
        region_class = np.zeros(len(region_id), np.int64)
    elif isinstance(classes, Mapping):
        for id_ in region_id.tolist():
            if id_ not in classes:
                raise ValueError(f"{side}_classes has no class for region {id_}")
        region_class = np.array([classes[id_] for id_ in region_id.tolist()], np.int64)
    elif np.shape(classes) == ids.shape:
        pairs = sorted(
            set(zip(ids[is_region].tolist(), np.asarray(classes)[is_region].tolist(), strict=True))
        )
        if not split:
            for (first, one), (second, another) in pairwise(pairs):
                if first == second:
                    raise ValueError(f"{side} region {first} has classes {one} and {another}")
        place = {pair: k for k, pair in enumerate(pairs)}
        region_id = np.array([id_ for id_, _ in pairs], ids.dtype)
        region_class = np.array([label for _, label in pairs], np.int64)
        position = np.array(
            [
                place[pair]
                for pair in zip(
                    ids[is_region].tolist(), np.asarray(classes)[is_region].tolist(), strict=True
                )
            ],
            np.int64,
        )
    else:
        region_class = np.asarray(classes, np.int64)
        if region_class.shape != region_id.shape:
            raise ValueError(
                f"{side}_classes must hold a class for each of {len(region_id)} regions, "
                f"got shape {region_class.shape}"
            )
    region[is_region] = position
    beyond = region_id.dtype.kind == "u" and len(region_id) and int(region_id[-1]) >= 2**63
    return region_id.astype(np.uint64 if beyond else np.int64), region_class, region


def match_regions(
    table: OverlapTable,
    *,
    method: str = "unique",
    criterion: str = "iou",
    threshold: float | None = None,
    strict: bool | None = None,
    same_class: bool = True,
    objective: str = "count",
) -> Matching:
    """Plain twin of :func:`segmeter.match_regions`; same arguments and result.

    Examples
    --------
    >>> match_regions(overlap_table([[1, 1, 2]], [[3, 3, 3]])).score.round(2)
    array([0.67])
    """
    from ..region._matching import Matching

    if threshold is None:
        threshold = 0.0 if method in ("max_overlap", "any_overlap") else 0.5
    if strict is None:
        strict = method == "unique"
    scores = getattr(table, criterion)
    passes = scores > threshold if strict else scores >= threshold
    allowed = table.same_class if same_class else np.ones(len(scores), bool)
    edges = [
        (float(scores[k]), int(table.pred_index[k]), int(table.target_index[k]), bool(passes[k]))
        for k in np.flatnonzero(allowed)
    ]
    edges.sort(key=lambda edge: (-edge[0], edge[1], edge[2]))
    match method:
        case "unique" | "any_overlap":
            pairs = [(t, p, score) for score, p, t, ok in edges if ok]
        case "greedy":
            pairs = _greedy(edges)
        case "max_overlap":
            pairs = _highest_of_each_target(edges)
        case "many_to_one":
            pairs = _merged(table, criterion, edges)
        case _:
            pairs = _assigned(table, edges, objective)
    pairs.sort()
    pred_index = np.array([p for _, p, _ in pairs], np.int64)
    target_index = np.array([t for t, _, _ in pairs], np.int64)
    return Matching(
        pred_index=pred_index,
        target_index=target_index,
        score=np.array([score for _, _, score in pairs], np.float64),
        unmatched_pred=np.setdiff1d(np.arange(table.num_pred), pred_index),
        unmatched_target=np.setdiff1d(np.arange(table.num_target), target_index),
    )


# Score, position in pred, position in target, and whether the score passes the threshold.
_Edge = tuple[float, int, int, bool]
_Pair = tuple[int, int, float]


def _greedy(edges: list[_Edge]) -> list[_Pair]:
    preds: set[int] = set()
    targets: set[int] = set()
    pairs = []
    for score, p, t, ok in edges:
        if ok and p not in preds and t not in targets:
            preds.add(p)
            targets.add(t)
            pairs.append((t, p, score))
    return pairs


def _highest_of_each_target(edges: list[_Edge]) -> list[_Pair]:
    best: dict[int, _Pair] = {}
    for score, p, t, ok in edges:
        if ok and t not in best:
            best[t] = (t, p, score)
    return list(best.values())


def _merged(table: OverlapTable, criterion: str, edges: list[_Edge]) -> list[_Pair]:
    shared = {
        (int(p), int(t)): int(n)
        for p, t, n in zip(table.pred_index, table.target_index, table.intersection, strict=True)
    }
    members: dict[int, list[int]] = {}
    score_of: dict[int, float] = {}
    taken: set[int] = set()
    for score, p, t, ok in edges:
        if p in taken:
            continue
        if t in members:
            group = [*members[t], p]
            score = _score(
                criterion,
                sum(shared[member, t] for member in group),
                sum(int(table.pred_counted_area[member]) for member in group),
                int(table.target_counted_area[t]),
            )
            ok = score > score_of[t]
        if ok:
            members.setdefault(t, []).append(p)
            score_of[t] = score
            taken.add(p)
    return [(t, p, score_of[t]) for t, group in members.items() for p in group]


def _score(criterion: str, shared: int, pred_area: int, target_area: int) -> float:
    match criterion:
        case "iou":
            return shared / (pred_area + target_area - shared)
        case "dice":
            return 2 * shared / (pred_area + target_area)
        case "ior":
            return shared / target_area
    return shared / pred_area


def _assigned(table: OverlapTable, edges: list[_Edge], objective: str) -> list[_Pair]:
    from scipy.optimize import linear_sum_assignment

    gain = np.zeros((table.num_target, table.num_pred))
    for score, p, t, ok in edges:
        if objective == "count":
            gain[t, p] = ok + score / (2 * max(1, min(gain.shape)))
        else:
            gain[t, p] = score * ok
    chosen = set(zip(*(axis.tolist() for axis in linear_sum_assignment(-gain)), strict=True))
    return [(t, p, score) for score, p, t, ok in edges if ok and (t, p) in chosen]
