"""Matching: which predicted region counts as which target region."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .. import _core
from ._overlap import OverlapTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["unique", "greedy", "optimal", "many_to_one", "max_overlap", "any_overlap"]
Criterion = Literal["iou", "dice", "ior", "iop"]
Objective = Literal["count", "score"]

# Above this score two regions can match no third: more than half of either is in the other.
_UNIQUE_FROM = {"iou": 1 / 2, "dice": 2 / 3}


@dataclass(frozen=True, eq=False, kw_only=True)
class Matching:
    """Matched pairs of regions, and the regions that nothing matches.

    Attributes
    ----------
    pred_index, target_index : numpy.ndarray
        The matched pairs: positions in the regions of the table, sorted by
        ``(target_index, pred_index)``, int64.
    score : numpy.ndarray
        Score of each pair, float64. Under ``"many_to_one"``: of all of the target's predictions
        taken together.
    unmatched_pred, unmatched_target : numpy.ndarray
        Positions of the regions in no pair, ascending, int64.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 1, 2]], [[5, 5, 5, 0]])
    >>> matching = segmeter.match_regions(table)
    >>> matching.tp, matching.fp, matching.fn
    (1, 1, 0)
    """

    pred_index: NDArray[np.int64]
    target_index: NDArray[np.int64]
    score: NDArray[np.float64]
    unmatched_pred: NDArray[np.int64]
    unmatched_target: NDArray[np.int64]

    @property
    def tp(self) -> int:
        """Number of matched target regions."""
        return len(np.unique(self.target_index))

    @property
    def fp(self) -> int:
        """Number of predicted regions that match nothing."""
        return len(self.unmatched_pred)

    @property
    def fn(self) -> int:
        """Number of target regions that nothing matches."""
        return len(self.unmatched_target)

    def __repr__(self) -> str:
        return f"Matching(pairs={len(self.score)}, tp={self.tp}, fp={self.fp}, fn={self.fn})"


def match_regions(
    table: OverlapTable,
    *,
    method: Method = "unique",
    criterion: Criterion = "iou",
    threshold: float | None = None,
    strict: bool | None = None,
    same_class: bool = True,
    objective: Objective = "count",
) -> Matching:
    """Decide which predicted region counts as which target region.

    Parameters
    ----------
    table : OverlapTable
        Overlaps of the regions; see :func:`overlap_table`.
    method : str, default "unique"
        ``"unique"``: every pair over the threshold; no region can be in two of them, since only
        IoU from 0.5 or Dice from 2/3 is allowed.
        ``"greedy"``: pairs by decreasing score, each taken if both regions are still free. Equal
        scores: lower ``pred_index`` first, then lower ``target_index``.
        ``"optimal"``: the one-to-one assignment that is best for ``objective``.
        ``"many_to_one"``: pairs by decreasing score, in the order of ``"greedy"``. A free target
        takes a free prediction over the threshold; a matched target takes a further free
        prediction if that raises the score of its predictions taken together.
        ``"max_overlap"``: each target with the prediction of the highest score, lowest
        ``pred_index`` among equals; a prediction may serve several targets.
        ``"any_overlap"``: every pair over the threshold, many to many.
    criterion : {"iou", "dice", "ior", "iop"}, default "iou"
        Score of a pair: intersection over union, Dice, or intersection over the reference
        (target) or over the prediction. Over counted pixels.
    threshold : float, optional
        The score that a pair must reach, 0 to 1. Default 0.5; for ``"max_overlap"`` and
        ``"any_overlap"`` 0, that is, one shared pixel.
    strict : bool, optional
        Whether the score must exceed the threshold instead of only reaching it. Default True for
        ``"unique"``, else False.
    same_class : bool, default True
        Whether only regions of one class may match.
    objective : {"count", "score"}, default "count"
        For ``"optimal"``. ``"count"``: as many pairs over the threshold as possible; among such
        assignments one with the largest sum of scores, in which pairs below the threshold take
        part too, as in StarDist and Cellpose. ``"score"``: largest sum of scores of the pairs
        over the threshold, as in panoptica. Which of several equally good assignments is chosen
        is not specified, but is always the same one.

    Returns
    -------
    Matching

    Raises
    ------
    ValueError
        An argument outside its range; ``"unique"`` with a criterion or threshold at which a
        region could be in two pairs.
    TypeError
        An argument is of the wrong type.

    Notes
    -----
    Definition and source: ``"unique"`` is the matching of panoptic quality (Kirillov et al., CVPR
    2019); ``"optimal"`` solves the linear assignment problem on the sparse graph of overlaps;
    ``"many_to_one"`` is the matching by maximal merged score of panoptica.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 2, 2]], [[8, 8, 8, 8]])
    >>> segmeter.match_regions(table).tp
    0
    >>> segmeter.match_regions(table, method="greedy").tp
    1
    >>> segmeter.match_regions(table, method="many_to_one").score
    array([1., 1.])
    """
    _check_options(table, method, criterion, same_class, objective)
    threshold = _threshold(threshold, method)
    strict = _strict(strict, method)
    if method == "unique":
        _check_unique(criterion, threshold, strict)
    scores = getattr(table, criterion)
    passes = scores > threshold if strict else scores >= threshold
    allowed = table.same_class if same_class else np.ones(len(scores), bool)
    if method in ("unique", "any_overlap"):
        return _matching(table, np.flatnonzero(passes & allowed), scores)
    if method == "max_overlap":
        return _matching(table, _highest(table, np.flatnonzero(passes & allowed), scores), scores)
    edges = np.flatnonzero(allowed)
    columns = (table.pred_index[edges], table.target_index[edges], scores[edges], passes[edges])
    if method == "greedy":
        return _matching(table, edges[_core.greedy_matching(*columns)], scores)
    if method == "optimal":
        chosen = _core.optimal_matching(*columns, objective == "count")
        return _matching(table, edges[chosen], scores)
    chosen, merged = _core.merging_matching(
        *columns, table.intersection[edges], table.pred_counted_area, table.target_counted_area,
        criterion,
    )  # fmt: skip
    scores = scores.copy()
    scores[edges[chosen]] = merged
    return _matching(table, edges[chosen], scores)


def _highest(
    table: OverlapTable, edges: NDArray[np.intp], scores: NDArray[np.float64]
) -> NDArray[np.intp]:
    """The edge with the highest score of each target; the first of equals."""
    targets = table.target_index[edges]
    order = np.lexsort((edges, -scores[edges], targets))
    first = np.ones(len(order), bool)
    first[1:] = targets[order][1:] != targets[order][:-1]
    return edges[order[first]]


def _matching(
    table: OverlapTable, edges: NDArray[np.integer[Any]], scores: NDArray[np.float64]
) -> Matching:
    pred_index, target_index = table.pred_index[edges], table.target_index[edges]
    free_pred, free_target = np.ones(table.num_pred, bool), np.ones(table.num_target, bool)
    free_pred[pred_index] = False
    free_target[target_index] = False
    return Matching(
        pred_index=pred_index,
        target_index=target_index,
        score=scores[edges],
        unmatched_pred=np.flatnonzero(free_pred),
        unmatched_target=np.flatnonzero(free_target),
    )


def _check_options(
    table: object, method: object, criterion: object, same_class: object, objective: object
) -> None:
    if not isinstance(table, OverlapTable):
        raise TypeError(
            f"table must be an OverlapTable, got {type(table).__name__}; "
            "segmeter.overlap_table(pred, target) makes one"
        )
    for name, value, choices in (
        ("method", method, get_args(Method)),
        ("criterion", criterion, get_args(Criterion)),
        ("objective", objective, get_args(Objective)),
    ):
        if value not in choices:
            raise ValueError(
                f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
            )
    if not isinstance(same_class, bool | np.bool_):
        raise TypeError(f"same_class must be True or False, got {same_class!r}")


def _threshold(threshold: float | None, method: Method) -> float:
    if threshold is None:
        return 0.0 if method in ("max_overlap", "any_overlap") else 0.5
    if isinstance(threshold, bool) or not isinstance(
        threshold, int | float | np.integer | np.floating
    ):
        raise TypeError(f"threshold must be a number, got {threshold!r}")
    if not (math.isfinite(threshold) and 0 <= threshold <= 1):
        raise ValueError(f"threshold must lie in 0..1, got {threshold}")
    return float(threshold)


def _strict(strict: bool | None, method: Method) -> bool:
    if strict is None:
        return method == "unique"
    if not isinstance(strict, bool | np.bool_):
        raise TypeError(f"strict must be True, False or None, got {strict!r}")
    return bool(strict)


def _check_unique(criterion: Criterion, threshold: float, strict: bool) -> None:
    if criterion not in _UNIQUE_FROM:
        raise ValueError(
            f"method='unique' needs criterion 'iou' or 'dice', got {criterion!r}: a region may "
            "share most of several others; use method='greedy' or 'optimal'"
        )
    lowest = _UNIQUE_FROM[criterion]
    if threshold < lowest or (threshold == lowest and not strict):
        bound = {"iou": "0.5", "dice": "2/3"}[criterion]
        raise ValueError(
            f"method='unique' needs {criterion} > {bound}, got threshold={threshold} with "
            f"strict={strict}: a region could be in two pairs; use method='greedy' or 'optimal'"
        )
