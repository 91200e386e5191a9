"""Matching of regions against its twin, scipy, panoptica and hand-made tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmeter import OverlapTable, _core, match_regions, overlap_table
from segmeter.reference import region_overlap as reference

METHODS = ("greedy", "optimal", "many_to_one", "max_overlap", "any_overlap")
PARTS = ("pred_index", "target_index", "score", "unmatched_pred", "unmatched_target")


def random_table(seed: int) -> OverlapTable:
    """A table of overlaps from few large to many tiny ones, with void and classes."""
    rng = np.random.default_rng(seed)
    most = rng.choice([2, 5, 12])
    run = rng.choice([1, 3, 9])
    pred, target = (np.repeat(rng.integers(0, most, 40 * 9 // run), run)[:360] for _ in range(2))
    classes = {id_: int(id_ % rng.integers(1, 3)) for id_ in range(int(most))}
    return overlap_table(pred, target, ignore_index=3, pred_classes=classes, target_classes=classes)


@settings(max_examples=300)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(METHODS),
    st.sampled_from(("iou", "dice", "ior", "iop")),
    st.sampled_from((None, 0.0, 0.04, 0.1, 0.25, 0.5)),
    st.sampled_from((None, True, False)),
    st.booleans(),
    st.sampled_from(("count", "score")),
)
def test_equals_the_twin(seed: int, method: Any, criterion: Any, threshold: Any, strict: Any,
                         same_class: bool, objective: Any) -> None:  # fmt: skip
    table = random_table(seed)
    options = {
        "method": method, "criterion": criterion, "threshold": threshold, "strict": strict,
        "same_class": same_class, "objective": objective,
    }  # fmt: skip
    matching = match_regions(table, **options)
    expected = reference.match_regions(table, **options)
    if method != "optimal":
        for part in PARTS:
            np.testing.assert_array_equal(getattr(matching, part), getattr(expected, part))
    elif objective == "count":
        assert matching.tp == expected.tp
    else:
        assert matching.score.sum() == pytest.approx(expected.score.sum(), abs=1e-9)
    assert matching.tp + matching.fn == table.num_target
    if method in ("greedy", "optimal"):
        assert len(set(matching.pred_index.tolist())) == matching.tp == len(matching.score)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 4), (30, 30), (25, 60), (120, 110)])
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_assignment_equals_scipy(peer: Any, shape: tuple[int, int], density: float) -> None:
    solve = peer("scipy.optimize").linear_sum_assignment
    rng = np.random.default_rng(shape[0])
    for rounding in (1, 15):  # coarse scores tie often
        score = np.round(rng.uniform(0.01, 1, shape), rounding) * (rng.random(shape) < density)
        target, pred = np.nonzero(score)
        edges = (pred, target, score[target, pred])
        passes = edges[2] >= 0.4
        for by_count in (False, True):
            gain = np.where(score >= 0.4, score, 0)
            if by_count:
                gain = (score >= 0.4) + score / (2 * min(shape))
            rows, columns = solve(-gain)
            hits = score[rows, columns] >= 0.4
            chosen = _core.optimal_matching(*edges, passes, by_count)
            assert passes[chosen].all()
            assert len(np.unique(pred[chosen])) == len(np.unique(target[chosen])) == len(chosen)
            if by_count:
                assert len(chosen) == hits.sum()
            else:
                best = score[rows, columns][hits].sum()
                assert edges[2][chosen].sum() == pytest.approx(best, abs=1e-9)


def test_count_comes_before_score() -> None:
    # The pair of the highest score stands in the way of two others.
    pred = np.array([0, 1, 0])
    target = np.array([0, 0, 1])
    score = np.array([0.9, 0.3, 0.3])
    passes = score >= 0.3
    assert _core.optimal_matching(pred, target, score, passes, True).tolist() == [1, 2]
    assert _core.optimal_matching(pred, target, score, passes, False).tolist() == [0]


def test_unique_is_strict_at_one_half() -> None:
    halves = overlap_table([[1, 1, 2, 2]], [[8, 8, 8, 8]])
    assert match_regions(halves).tp == 0
    assert match_regions(halves, method="greedy").tp == 1
    assert match_regions(halves, method="greedy", strict=True).tp == 0
    assert match_regions(halves, method="any_overlap", threshold=0.5).pred_index.tolist() == [0, 1]


def test_ties_go_to_the_first() -> None:
    halves = overlap_table([[4, 4, 2, 2]], [[8, 8, 8, 8]])
    for method in ("greedy", "max_overlap"):
        assert match_regions(halves, method=method).pred_index.tolist() == [0]
    crossed = overlap_table([[1, 1, 2, 2]], [[5, 6, 5, 6]])
    matching = match_regions(crossed, method="greedy", threshold=0.1)
    assert list(zip(matching.pred_index, matching.target_index, strict=True)) == [(0, 0), (1, 1)]


def test_many_to_one_merges_while_the_score_rises() -> None:
    pred = [[1] * 5 + [2] * 3 + [3] * 9]
    target = [[7] * 9 + [0] * 8]
    matching = match_regions(overlap_table(pred, target), method="many_to_one")
    assert matching.pred_index.tolist() == [0, 1]
    assert matching.score.tolist() == [8 / 9, 8 / 9]
    assert (matching.tp, matching.fp, matching.fn) == (1, 1, 0)


def test_classes_keep_regions_apart() -> None:
    table = overlap_table([1], [1], pred_classes=[3], target_classes=[4])
    assert match_regions(table).fn == 1
    assert match_regions(table, same_class=False).tp == 1


@pytest.mark.parametrize("pred", [[0, 0], [1, 1]])
def test_an_empty_side_matches_nothing(pred: list[int]) -> None:
    for table in (overlap_table(pred, [0, 0]), overlap_table([0, 0], pred)):
        for method in ("unique", *METHODS):
            matching = match_regions(table, method=method)
            assert (matching.tp, matching.fp, matching.fn) == (0, table.num_pred, table.num_target)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("method", "objective", "matcher"),
    [
        ("greedy", "count", "NaiveThresholdMatching"),
        ("optimal", "score", "MaxBipartiteMatching"),
        ("many_to_one", "count", "MaximizeMergeMatching"),
    ],
)
def test_equals_panoptica(peer: Any, seed: int, method: Any, objective: Any, matcher: str) -> None:
    matchers = peer("panoptica.instance_matcher")
    from panoptica.utils.processing_pair import UnmatchedInstancePair

    rng = np.random.default_rng(seed)
    target = rng.integers(0, 5, (12, 12)).repeat(6, 0).repeat(6, 1).astype(np.uint8)
    pred = np.roll(target, (2, 1), (0, 1))
    pred[rng.random(pred.shape) < 0.2] = 6
    pair = UnmatchedInstancePair(pred, target)
    theirs = getattr(matchers, matcher)(matching_threshold=0.1)._match_instances(
        pair, matching_threshold=0.1
    )
    expected = {int(p): int(t) for p, t in theirs.get_one_to_one_dictionary().items()}
    table = overlap_table(pred, target)
    ours = match_regions(table, method=method, objective=objective, threshold=0.1)
    ids = zip(table.pred_id[ours.pred_index], table.target_id[ours.target_index], strict=True)
    assert {int(p): int(t) for p, t in ids} == expected


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "best"}, ValueError, "method must be one of"),
        ({"criterion": "giou"}, ValueError, "criterion must be one of"),
        ({"objective": "sum"}, ValueError, "objective must be one of"),
        ({"threshold": True}, TypeError, "threshold must be a number"),
        ({"threshold": 1.5}, ValueError, "0..1"),
        ({"threshold": float("nan")}, ValueError, "0..1"),
        ({"threshold": 0.4}, ValueError, "iou > 0.5"),
        ({"threshold": 0.5, "strict": False}, ValueError, "two pairs"),
        ({"criterion": "dice"}, ValueError, "dice > 2/3"),
        ({"criterion": "ior"}, ValueError, "criterion 'iou' or 'dice'"),
        ({"strict": 1}, TypeError, "strict must be"),
        ({"same_class": "no"}, TypeError, "same_class must be"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        match_regions(overlap_table([1], [1]), **options)


def test_a_table_is_needed() -> None:
    with pytest.raises(TypeError, match="overlap_table"):
        match_regions(np.zeros((2, 2)))  # type: ignore[arg-type]
