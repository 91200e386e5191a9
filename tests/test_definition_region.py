"""What the region and cause families promise, tested from the definitions alone.

Written against the definitions of the scores and the documented interface, without a look at the
implementation. Maps are drawn as text: a digit is a label, ``.`` the background 0, ``#`` the label
255. The oracle is a loop over sets of pixels and exact fractions; other numbers were worked out by
hand.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

import segmeter
from segmeter import cause, region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Pixel = tuple[int, ...]
Named = dict[int, set[Pixel]]
VOID = 255
CONNECTIVITIES = {2: (4, 8), 3: (6, 18, 26)}
MOVED_AXES = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}
OPPOSITE = {4: 8, 8: 4, 6: 26, 26: 6}
few = settings(max_examples=60)


# ---------------------------------------------------------------------------------- the oracle


def drawn(text: str) -> NDArray[np.int64]:
    """Label map of a drawing, its rows apart by blanks."""
    signs = {".": 0, "#": VOID}
    return np.array([[signs.get(s) if s in signs else int(s) for s in row] for row in text.split()])


def pixels(mask: NDArray[Any]) -> set[Pixel]:
    """Positions at which a mask is true."""
    return {tuple(map(int, place)) for place in np.argwhere(mask)}


def named(label_map: NDArray[Any], background: int | None = 0, left_out: Any = ()) -> Named:
    """Pixels of every id."""
    ids = sorted(set(label_map.ravel().tolist()) - {background})
    found = {k: pixels(label_map == k) - set(left_out) for k in ids}
    return {k: places for k, places in found.items() if places}


def offsets(ndim: int, connectivity: int) -> list[Pixel]:
    """Steps from a pixel to its neighbours."""
    steps = itertools.product((-1, 0, 1), repeat=ndim)
    return [s for s in steps if 0 < sum(map(abs, s)) <= MOVED_AXES[connectivity]]


def moved(pixel: Pixel, step: Pixel) -> Pixel:
    """The pixel one step away."""
    return tuple(a + b for a, b in zip(pixel, step, strict=True))


def pieces(places: set[Pixel], connectivity: int) -> list[set[Pixel]]:
    """Connected pieces in raster order of their first pixel."""
    left, found = set(places), []
    steps = offsets(len(next(iter(places))), connectivity) if places else []
    while left:
        open_ends = [min(left)]
        left.discard(open_ends[0])
        piece = set(open_ends)
        while open_ends:
            here = open_ends.pop()
            near = {moved(here, step) for step in steps} & left
            left -= near
            piece |= near
            open_ends += near
        found.append(piece)
    return found


def components(label_map: NDArray[Any], connectivity: int, background: int | None = 0) -> Any:
    """Label and pixels of every component, in raster order of the first pixel."""
    found = [
        (min(piece), label, piece)
        for label, places in named(label_map, background).items()
        for piece in pieces(places, connectivity)
    ]
    return [(label, piece) for _, label, piece in sorted(found, key=lambda entry: entry[0])]


def holes(places: set[Pixel], connectivity: int) -> int:
    """Pieces of the rest of the plane (or space) without the outer one."""
    box = [range(min(axis) - 1, max(axis) + 2) for axis in zip(*places, strict=True)]
    rest = set(itertools.product(*box)) - places
    return len(pieces(rest, OPPOSITE[connectivity])) - 1


def score(kind: str, p: set[Pixel], t: set[Pixel]) -> Fraction:
    """Overlap of two regions; 0 if there is nothing of either."""
    both = len(p & t)
    whole = {
        "iou": Fraction(len(p | t)),
        "dice": Fraction(len(p) + len(t), 2),
        "ior": Fraction(len(t)),
        "iop": Fraction(len(p)),
    }[kind]
    return both / whole if whole else Fraction(0)


def assignments(p_ids: list[int], t_ids: list[int]) -> Iterator[list[tuple[int, int]]]:
    """All ways to give regions of one list to regions of the other, one to one."""
    if not p_ids:
        yield []
        return
    for rest in assignments(p_ids[1:], t_ids):
        yield rest
        taken = {t for _, t in rest}
        for t in t_ids:
            if t not in taken:
                yield [(p_ids[0], t), *rest]


def harmonic(tp: float, fp: float, fn: float) -> float:
    """F1, NaN if there is nothing."""
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan


def fields(counts: Any) -> dict[str, Any]:
    """State of counts as plain arrays."""
    return {key: np.asarray(value) for key, value in counts.to_arrays().items()}


def assert_same_counts(one: Any, other: Any) -> None:
    """Counts agree: integers exactly, sums of fractions up to rounding."""
    left, right = fields(one), fields(other)
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert value.dtype == right[key].dtype, key
        if value.dtype.kind == "f":
            assert_allclose(value, right[key], rtol=1e-13, err_msg=key)
        else:
            assert_array_equal(value, right[key], err_msg=key)


@st.composite
def map_pairs(draw: st.DrawFn, ids: int = 4, sides: int = 6) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two maps of few ids whose regions overlap a lot."""
    shape = draw(st.tuples(st.integers(1, sides), st.integers(1, sides)))
    target = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, ids)))
    change = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 2 * ids)))
    return np.where(change <= ids, change, target), target


@st.composite
def volumes(draw: st.DrawFn, labels: int = 2) -> NDArray[Any]:
    """A small map in two or three dimensions."""
    shape = draw(
        st.one_of(st.tuples(*[st.integers(1, 7)] * 2), st.tuples(*[st.integers(1, 4)] * 3))
    )
    return draw(hnp.arrays(np.int64, shape, elements=st.integers(0, labels)))


# ---------------------------------------------------------------------------------- components


@pytest.mark.parametrize(
    ("connectivity", "expected", "value"),
    [
        (8, "1.2 .12 31.", [1, 2, 3]),
        (4, "1.2 .32 43.", [1, 2, 1, 3]),
        (None, "1.2 .12 31.", [1, 2, 3]),
    ],
)
def test_components_are_numbered_in_raster_order(
    connectivity: int | None, expected: str, value: list[int]
) -> None:
    found, labels = segmeter.label_components(
        drawn("1.2 .12 31."), connectivity=connectivity, return_labels=True
    )
    assert_array_equal(labels, drawn(expected))
    assert labels.dtype == np.uint8
    assert found.value.tolist() == value
    assert found.id.tolist() == list(range(1, len(value) + 1))


def test_three_connectivities_of_a_volume() -> None:
    # (0,0,0) shares an edge with (0,1,1), and that one a corner with (1,0,2).
    volume = np.zeros((2, 2, 3), int)
    volume[0, 0, 0] = volume[0, 1, 1] = volume[1, 0, 2] = 1
    areas = [segmeter.label_components(volume, connectivity=c).area.tolist() for c in (6, 18, 26)]
    assert areas == [[1, 1, 1], [2, 1], [3]]


def test_what_is_ignored_joins_nothing() -> None:
    label_map = drawn("11#11 2.9.2")
    apart = segmeter.label_components(label_map, ignore_index=[VOID, 9])
    assert apart.area.tolist() == [2, 2, 1, 1]
    one = segmeter.label_components(label_map, binary=True, ignore_index=[VOID, 9])
    assert one.area.tolist() == [3, 3]
    mask = drawn(".1... .....") == 1
    masked = segmeter.label_components(label_map, ignore_index=mask)
    assert masked.value.tolist() == [1, VOID, 1, 2, 9, 2]
    assert segmeter.label_components(label_map, background=None).value.tolist() == [
        *[1, VOID, 1],
        *[2, 0, 9, 0, 2],
    ]


@few
@given(volumes(), st.sampled_from([0, 1, None]), st.booleans(), st.data())
def test_components_of_any_map(
    label_map: NDArray[Any], background: int | None, binary: bool, data: st.DataObject
) -> None:
    connectivity = data.draw(st.sampled_from(CONNECTIVITIES[label_map.ndim]))
    mask = data.draw(hnp.arrays(bool, label_map.shape))
    nothing = -1 if background is None else background
    seen = np.where(mask, nothing, label_map)
    if binary:
        assume(background is not None)
        seen = np.where(seen == nothing, nothing, 9)
    expected = components(seen, connectivity, nothing)
    found, labels = segmeter.label_components(
        label_map,
        connectivity=connectivity,
        background=background,
        binary=binary,
        ignore_index=mask,
        return_labels=True,
    )
    assert found.value.tolist() == [1 if binary else label for label, _ in expected]
    painted = np.zeros(label_map.shape, int)
    for k, (_, piece) in enumerate(expected, start=1):
        for place in piece:
            painted[place] = k
    assert_array_equal(labels, painted)


def test_region_table_by_hand() -> None:
    # 1 is a ring around a 2; 3 are two pixels apart at the right border.
    label_map = drawn(".111. .1213 .111. ....3")
    table = segmeter.instance_regions(label_map)
    assert table.id.tolist() == [1, 2, 3]
    assert table.area.tolist() == [8, 1, 2]
    assert table.centroid.tolist() == [[1, 2], [1, 2], [2, 4]]
    assert table.bounding_box.tolist() == [[[0, 3], [1, 4]], [[1, 2], [2, 3]], [[1, 4], [4, 5]]]
    assert table.touches_border.tolist() == [True, False, True]
    assert table.first.tolist() == [1, 7, 9]
    assert table.num_runs.tolist() == [4, 1, 2]
    assert table.surface.tolist() == [16, 4, 8]  # 12 edges outside and 4 inside
    assert table.num_holes.tolist() == [1, 0, 0]


@few
@given(volumes(), st.booleans(), st.data())
def test_region_table_of_any_map(label_map: NDArray[Any], whole: bool, data: st.DataObject) -> None:
    connectivity = data.draw(st.sampled_from(CONNECTIVITIES[label_map.ndim]))
    if whole:
        table = segmeter.instance_regions(label_map)
        expected = list(named(label_map).items())
    else:
        table = segmeter.label_components(label_map, connectivity=connectivity)
        expected = components(label_map, connectivity)
    assert len(table.id) == len(expected)
    for k, (label, places) in enumerate(expected):
        assert table.value[k] == label
        assert table.area[k] == len(places)
        assert table.first[k] == np.ravel_multi_index(min(places), label_map.shape)
        assert table.coordinate_sum[k].tolist() == [sum(axis) for axis in zip(*places, strict=True)]
        box = [[min(axis), max(axis) + 1] for axis in zip(*places, strict=True)]
        assert table.bounding_box[k].tolist() == box
        means = [Fraction(sum(axis), len(places)) for axis in zip(*places, strict=True)]
        assert table.centroid[k].tolist() == [float(mean) for mean in means]
        at_border = any(
            place[axis] in {0, extent - 1}
            for place in places
            for axis, extent in enumerate(label_map.shape)
            if extent > 1
        )
        assert bool(table.touches_border[k]) is at_border
        left = tuple([0] * (label_map.ndim - 1) + [-1])
        assert table.num_runs[k] == sum(moved(place, left) not in places for place in places)
        faces = offsets(label_map.ndim, 4)
        exposed = sum(moved(place, step) not in places for place in places for step in faces)
        assert table.surface[k] == exposed
        if label_map.ndim == 2:
            assert table.num_holes[k] == holes(places, 8 if whole else connectivity)
    assert segmeter.Regions.from_arrays(table.to_arrays()) == table


# ---------------------------------------------------------------------------------- overlaps


def test_overlap_table_by_hand() -> None:
    target = drawn("55566 55#66 .###6")
    pred = drawn("11112 11122 33442")
    table = segmeter.overlap_table(pred, target, ignore_index=VOID)
    assert (table.pred_id.tolist(), table.target_id.tolist()) == ([1, 2, 3, 4], [5, 6])
    assert (table.pred_area.tolist(), table.target_area.tolist()) == ([7, 4, 2, 2], [5, 5])
    assert (table.pred_void.tolist(), table.target_void.tolist()) == ([1, 0, 1, 2], [0, 0])
    # 5 & 1: 5 of 7 - 1 pixels of 1; 6 & 1: 1 pixel; 6 & 2: 4 pixels.
    assert table.target_index.tolist() == [0, 1, 1]
    assert table.pred_index.tolist() == [0, 0, 1]
    assert table.intersection.tolist() == [5, 1, 4]
    assert table.union.tolist() == [6, 10, 5]
    assert table.iou.tolist() == [5 / 6, 1 / 10, 4 / 5]
    assert table.dice.tolist() == [10 / 11, 2 / 11, 8 / 9]
    assert table.ior.tolist() == [1, 1 / 5, 4 / 5]
    assert table.iop.tolist() == [5 / 6, 1 / 6, 1]
    assert (table.num_pixels, table.num_ignored) == (15, 4)
    swapped = table.swapped()
    assert swapped.target_void.tolist() == [1, 0, 1, 2]
    assert swapped.intersection.tolist() == [5, 1, 4]


@few
@given(map_pairs(), st.sampled_from([0, None]), st.data())
def test_overlap_table_of_any_maps(
    maps: tuple[NDArray[Any], NDArray[Any]], background: int | None, data: st.DataObject
) -> None:
    pred, target = maps
    mask = data.draw(hnp.arrays(bool, pred.shape))
    pred_void = pixels(pred == 4)
    table = segmeter.overlap_table(
        pred, target, background=background, ignore_index=mask, pred_ignore_index=4
    )
    p = named(pred, background, left_out=pred_void)
    t = named(target, background, left_out=pixels(mask))
    assert table.pred_id.tolist() == list(p)
    assert table.target_id.tolist() == list(t)
    assert table.pred_area.tolist() == [len(places) for places in p.values()]
    assert table.target_area.tolist() == [len(places) for places in t.values()]
    assert table.pred_void.tolist() == [len(places & pixels(mask)) for places in p.values()]
    assert table.target_void.tolist() == [len(places & pred_void) for places in t.values()]
    entries = {
        (j, i): len(a & b)
        for j, b in enumerate(t.values())
        for i, a in enumerate(p.values())
        if a & b
    }
    found = zip(
        zip(table.target_index.tolist(), table.pred_index.tolist(), strict=True),
        table.intersection.tolist(),
        strict=True,
    )
    assert list(found) == sorted(entries.items())
    assert table.num_ignored == len(pixels(mask) | pred_void)


@few
@given(map_pairs())
def test_tiles_of_the_overlap_table_add_up(maps: tuple[NDArray[Any], NDArray[Any]]) -> None:
    pred, target = maps
    assume(pred.shape[0] > 1)
    parts = [
        segmeter.overlap_table(pred[rows], target[rows], ignore_index=3)
        for rows in (slice(1), slice(1, None))
    ]
    assert parts[0] + parts[1] == segmeter.overlap_table(pred, target, ignore_index=3)


# ---------------------------------------------------------------------------------- matching

METHODS = ("unique", "greedy", "optimal", "many_to_one", "max_overlap", "any_overlap")


def pairs_of(matching: region.Matching) -> set[tuple[int, int]]:
    return set(zip(matching.pred_index.tolist(), matching.target_index.tolist(), strict=True))


@pytest.mark.parametrize(
    ("method", "strict", "pairs"),
    [
        ("unique", None, set()),
        ("unique", False, {(0, 0), (1, 0)}),
        ("greedy", None, {(0, 0)}),
        ("greedy", True, set()),
        ("optimal", None, 1),
        ("optimal", True, set()),
        ("many_to_one", None, {(0, 0), (1, 0)}),
        ("many_to_one", True, set()),
        ("max_overlap", None, {(0, 0)}),
        ("any_overlap", None, {(0, 0), (1, 0)}),
    ],
)
def test_two_halves_of_one_object(method: Any, strict: bool | None, pairs: Any) -> None:
    """Each half has an IoU of exactly 0.5."""
    table = segmeter.overlap_table(drawn("1122"), drawn("5555"))
    if method == "unique" and strict is False:
        with pytest.raises(ValueError, match="unique"):
            segmeter.match_regions(table, method=method, strict=strict)
        return
    matching = segmeter.match_regions(table, method=method, strict=strict)
    taken = pairs_of(matching)
    assert (len(taken) if isinstance(pairs, int) else taken) == pairs
    found = {p for p, _ in pairs_of(matching)}
    assert matching.unmatched_pred.tolist() == sorted({0, 1} - found)
    assert matching.unmatched_target.tolist() == ([] if found else [0])
    assert (matching.tp, matching.fp, matching.fn) == (
        int(bool(found)),
        2 - len(found),
        int(not found),
    )


def test_optimal_gives_up_the_best_pair_for_two() -> None:
    # IoU: 1 & 5: 4/7, 1 & 6: 2/6, 2 & 5: 1/6.
    p, t = named(drawn("11111122..")), named(drawn("5555665..."))
    table = segmeter.overlap_table(drawn("11111122.."), drawn("5555665..."))
    assert {(a, b): score("iou", p[a], t[b]) for a in p for b in t} == {
        (1, 5): Fraction(4, 7),
        (1, 6): Fraction(2, 6),
        (2, 5): Fraction(1, 6),
        (2, 6): Fraction(0),
    }
    match = segmeter.match_regions
    assert pairs_of(match(table, method="greedy", threshold=0.1)) == {(0, 0)}
    assert pairs_of(match(table, method="optimal", threshold=0.1)) == {(0, 1), (1, 0)}
    by_score = match(table, method="optimal", threshold=0.1, objective="score")
    assert pairs_of(by_score) == {(0, 0)}  # 4/7 is more than 1/3 + 1/6


def test_of_equal_scores_the_lower_prediction_comes_first() -> None:
    table = segmeter.overlap_table(drawn("1122"), drawn("5665"))
    assert set(table.iou.tolist()) == {1 / 3}
    matching = segmeter.match_regions(table, method="greedy", threshold=0.2)
    assert pairs_of(matching) == {(0, 0), (1, 1)}
    matching = segmeter.match_regions(table, method="max_overlap")
    assert pairs_of(matching) == {(0, 0), (0, 1)}


def test_regions_of_different_classes_do_not_match() -> None:
    table = segmeter.overlap_table(
        drawn("11"), drawn("55"), pred_classes={1: 0}, target_classes={5: 1}
    )
    for method in METHODS:
        method_: Any = method
        assert segmeter.match_regions(table, method=method_).tp == 0
        assert segmeter.match_regions(table, method=method_, same_class=False).tp == 1


def expected_pairs(
    method: str, scores: dict[tuple[int, int], float], p: Named, t: Named, good: Any, kind: str
) -> set[tuple[int, int]]:
    """The matching by its definition; pairs are of ids."""
    ranked = sorted(scores, key=lambda pair: (-scores[pair], pair))
    if method in {"unique", "any_overlap"}:
        return {pair for pair in ranked if good(scores[pair])}
    if method == "max_overlap":
        best = {b: next(pair for pair in ranked if pair[1] == b) for _, b in ranked}
        return {pair for pair in best.values() if good(scores[pair])}
    taken: dict[int, list[int]] = {}
    for a, b in ranked:
        if any(a in members for members in taken.values()):
            continue
        if b not in taken:
            if good(scores[a, b]):
                taken[b] = [a]
        elif method == "many_to_one":
            now = set().union(*(p[k] for k in taken[b]))
            if score(kind, now | p[a], t[b]) > score(kind, now, t[b]):
                taken[b].append(a)
    return {(a, b) for b, members in taken.items() for a in members}


@settings(max_examples=150)
@given(
    map_pairs(),
    st.sampled_from(METHODS),
    st.sampled_from(["iou", "dice", "ior", "iop"]),
    st.sampled_from([0.2, 0.25, 1 / 3, 0.5, 0.6, 2 / 3, 0.75]),
    st.booleans(),
)
def test_matching_of_any_maps(
    maps: tuple[NDArray[Any], NDArray[Any]],
    method: Any,
    criterion: Any,
    threshold: float,
    strict: bool,
) -> None:
    if method == "unique":
        criterion, threshold, strict = "iou", max(threshold, 0.5), True
    pred, target = maps
    p, t = named(pred), named(target)
    table = segmeter.overlap_table(pred, target)
    matching = segmeter.match_regions(
        table, method=method, criterion=criterion, threshold=threshold, strict=strict
    )
    places = zip(matching.pred_index, matching.target_index, strict=True)
    found = {(int(table.pred_id[i]), int(table.target_id[j])) for i, j in places}
    scores = {(a, b): float(score(criterion, p[a], t[b])) for a in p for b in t if p[a] & t[b]}

    def good(value: float) -> bool:
        return value > threshold if strict else value >= threshold

    if method == "optimal":
        ways = [
            [pair for pair in way if good(scores.get(pair, 0))]
            for way in assignments(list(p), list(t))
        ]
        assert len(found) == max(map(len, ways))
        assert all(good(scores[pair]) for pair in found)
        assert len({a for a, _ in found}) == len({b for _, b in found}) == len(found)
        by_score = segmeter.match_regions(
            table,
            method="optimal",
            criterion=criterion,
            threshold=threshold,
            strict=strict,
            objective="score",
        )
        best = max(sum(scores[pair] for pair in way) for way in ways)
        assert_allclose(by_score.score.sum(), best, atol=1e-12)
    else:
        assert found == expected_pairs(method, scores, p, t, good, criterion)
    if method != "many_to_one":
        in_order = [scores[pair] for pair in sorted(found, key=lambda pair: pair[::-1])]
        assert matching.score.tolist() == in_order
    assert matching.tp == len({b for _, b in found})
    assert matching.fp == len(p) - len({a for a, _ in found})
    assert matching.fn == len(t) - matching.tp


# ---------------------------------------------------------------------------------- panoptic


def panoptic_oracle(
    p: Named, t: Named, classes: dict[str, dict[int, int]], void: set[Pixel], crowd: set[int]
) -> dict[int, list[Any]]:
    """Sum of IoU, TP, FP and FN of each class by the definition."""
    result: dict[int, list[Any]] = {k: [Fraction(0), 0, 0, 0] for k in range(4)}
    hit_p, hit_t = set(), set()
    for a, b in itertools.product(p, t):
        overlap = score("iou", p[a] - void, t[b])
        if b not in crowd and classes["pred"][a] == classes["target"][b] and overlap > 0.5:
            hit_p.add(a)
            hit_t.add(b)
            result[classes["pred"][a]][0] += overlap
            result[classes["pred"][a]][1] += 1
    for a in set(p) - hit_p:
        k = classes["pred"][a]
        excused = void.union(*(t[b] for b in t if b in crowd and classes["target"][b] == k))
        if 2 * len(p[a] & excused) <= len(p[a]):
            result[k][2] += 1
    for b in set(t) - hit_t - crowd:
        result[classes["target"][b]][3] += 1
    return result


def test_panoptic_quality_by_hand() -> None:
    """Classes: 0 stuff and 1, 2, 3 things; 3 is nowhere and 2 only predicted."""
    target = drawn("11122## 11144## 5555...")
    pred = drawn("1113366 1113377 8899...")
    table = segmeter.overlap_table(
        pred,
        target,
        ignore_index=VOID,
        pred_classes={1: 0, 3: 1, 6: 1, 7: 2, 8: 1, 9: 2},
        target_classes={1: 0, 2: 1, 4: 1, 5: 1},
    )
    counts = segmeter.panoptic_counts(table, num_classes=4)
    # 1 fits wholly. 3 has IoU 2/4 with 2 and with 4: no match. 8 has 2/4 with 5. 6 and 7 are void.
    assert counts.iou_sum.tolist() == [1, 0, 0, 0]
    assert counts.tp.tolist() == [1, 0, 0, 0]
    assert counts.fp.tolist() == [0, 2, 1, 0]
    assert counts.fn.tolist() == [0, 3, 0, 0]
    quality = segmeter.panoptic_quality(counts, things=[1, 2, 3])
    assert_array_equal(quality.pq, [1, 0, 0, math.nan])
    assert quality.all.num_classes == 3
    assert quality.all.pq == 1 / 3
    assert quality.things is not None
    assert quality.stuff is not None
    assert (quality.things.pq, quality.things.num_classes) == (0, 2)
    assert (quality.stuff.pq, quality.stuff.num_classes) == (1, 1)
    assert segmeter.panoptic_quality(counts, absent="one").pq[3] == 1
    with pytest.raises(ValueError, match="absent"):
        segmeter.panoptic_quality(counts, absent="raise")


@pytest.mark.parametrize(("excused", "fp"), [("##..", 1), ("###.", 0)])
@pytest.mark.parametrize("what", ["void", "crowd", "crowd of another class"])
def test_a_prediction_is_excused_by_more_than_half(excused: str, fp: int, what: str) -> None:
    target = drawn(excused)
    is_void = what == "void"
    table = segmeter.overlap_table(
        drawn("1111"),
        target,
        ignore_index=VOID if is_void else None,
        pred_classes={1: 0},
        target_classes={} if is_void else {VOID: int("another" in what)},
    )
    crowd = [] if is_void else [VOID]
    counts = segmeter.panoptic_counts(table, num_classes=2, crowd=crowd)
    assert counts.fp.tolist() == [1 if "another" in what else fp, 0]
    assert counts.fn.tolist() == [0, 0]
    assert counts.target_regions.tolist() == [0, 0]


@few
@given(map_pairs(), st.data())
def test_panoptic_counts_of_any_maps(
    maps: tuple[NDArray[Any], NDArray[Any]], data: st.DataObject
) -> None:
    pred, target = maps
    mask = data.draw(hnp.arrays(bool, pred.shape, elements=st.sampled_from([False, False, True])))
    p, t = named(pred), named(target, left_out=pixels(mask))
    classes = {"pred": {a: a % 2 for a in p}, "target": {b: b % 2 for b in t}}
    crowd = set(data.draw(st.lists(st.sampled_from(sorted(t)), max_size=2))) if t else set()
    table = segmeter.overlap_table(
        pred,
        target,
        ignore_index=mask,
        pred_classes=classes["pred"],
        target_classes=classes["target"],
    )
    counts = segmeter.panoptic_counts(table, num_classes=4, crowd=sorted(crowd))
    expected = panoptic_oracle(p, t, classes, pixels(mask), crowd)
    assert_allclose(counts.iou_sum, [float(row[0]) for row in expected.values()])
    columns = zip(counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist(), strict=True)
    assert [list(row) for row in columns] == [row[1:] for row in expected.values()]
    quality = segmeter.panoptic_quality(counts)
    for k, (total, tp, fp, fn) in expected.items():
        weight = tp + Fraction(fp + fn, 2)
        assert_allclose(quality.pq[k], float(total / weight) if weight else math.nan)
        assert_allclose(quality.sq[k] * quality.rq[k], quality.pq[k])
    if np.isfinite(quality.pq).any():
        assert_allclose(quality.all.pq, np.nanmean(quality.pq))
    else:
        assert math.isnan(quality.all.pq)


def test_panoptic_void_of_the_prediction() -> None:
    # The union leaves out the pixels of 5 that the prediction does not speak about.
    table = segmeter.overlap_table(
        drawn("11##.66#"), drawn("5555.7##"), ignore_index=VOID, pred_ignore_index=VOID
    )
    counts = segmeter.panoptic_counts(table, num_classes=1)
    assert (counts.tp[0], counts.iou_sum[0]) == (2, 2)
    table = segmeter.overlap_table(drawn("###."), drawn("5555"), pred_ignore_index=VOID)
    assert segmeter.panoptic_counts(table, num_classes=1).fn[0] == 0
    table = segmeter.overlap_table(drawn("##.."), drawn("5555"), pred_ignore_index=VOID)
    assert segmeter.panoptic_counts(table, num_classes=1).fn[0] == 1


def test_modified_panoptic_quality_and_parsing_covering() -> None:
    # IoU 2/4 (1 & 5) and 2/3 (2 & 6): no threshold, over two segments of the target.
    table = segmeter.overlap_table(drawn("11..22."), drawn("5555666"))
    counts = segmeter.panoptic_counts(table, num_classes=1)
    assert_allclose(segmeter.panoptic_quality(counts).pq, [(2 / 3) / (1 + 0.5 + 0.5)])
    dagger = segmeter.panoptic_quality(counts, modified=[0])
    assert_allclose(dagger.pq, [(1 / 2 + 2 / 3) / 2])
    covering = segmeter.parsing_covering_counts(table, num_classes=1)
    assert_allclose(segmeter.parsing_covering(covering), [(4 * 1 / 2 + 3 * 2 / 3) / 7])


# ---------------------------------------------------------------------------------- instances


def test_instance_scores_at_thresholds() -> None:
    # IoU 3/4 (1 & 5) and exactly 1/2 (2 & 6); 3 is nobody's, 7 is missed.
    table = segmeter.overlap_table(drawn("111.22.3."), drawn("5555.6..7"))
    assert table.iou.tolist() == [3 / 4, 1 / 2]
    counts = segmeter.instance_counts(table, thresholds=[0.5, 0.75, 0.8])
    assert counts.tp.tolist() == [2, 1, 0]
    assert counts.fp.tolist() == [1, 2, 3]
    assert counts.fn.tolist() == [1, 2, 3]
    scores = segmeter.instance_scores(counts)
    assert_allclose(scores.accuracy, [2 / 4, 1 / 5, 0])
    assert_allclose(scores.f1, [4 / 6, 2 / 6, 0])
    assert_allclose(scores.precision, [2 / 3, 1 / 3, 0])
    assert_allclose(scores.recall, [2 / 3, 1 / 3, 0])
    assert_allclose(scores.mean_matched_score, [5 / 8, 3 / 4, 0])
    assert_allclose(scores.mean_true_score, [5 / 12, 1 / 4, 0])
    assert_allclose(scores.panoptic_quality, [5 / 12, 1 / 4, 0])
    strict = segmeter.instance_counts(table, thresholds=[0.5, 0.75], strict=True)
    assert strict.tp.tolist() == [1, 0]
    nothing = segmeter.instance_counts(segmeter.overlap_table([[0]], [[0]]), thresholds=0.5)
    assert np.isnan(segmeter.instance_scores(nothing).f1).all()


def test_mostly_void_instances_do_not_count() -> None:
    table = segmeter.overlap_table(drawn("111.2222"), drawn("##...##."), ignore_index=VOID)
    counts = segmeter.instance_counts(table, thresholds=[0.5])
    assert (counts.fp[0], counts.fn[0]) == (1, 0)


@few
@given(map_pairs(), st.integers(0, 1))
def test_aggregated_jaccard_of_any_maps(maps: tuple[NDArray[Any], NDArray[Any]], void: int) -> None:
    pred, target = maps
    gone = pixels(target == 4) if void else set()
    p, t = named(pred, left_out=gone), named(target, left_out=gone)
    table = segmeter.overlap_table(pred, target, ignore_index=4 if void else None)
    top = bottom = 0
    used = set()
    for b in t:
        near = [a for a in p if p[a] & t[b]]
        if not near:
            bottom += len(t[b])
            continue
        best = min(near, key=lambda a: (-score("iou", p[a], t[b]), -len(p[a] & t[b]), a))
        used.add(best)
        top += len(p[best] & t[b])
        bottom += len(p[best] | t[b])
    bottom += sum(len(p[a]) for a in set(p) - used)
    counts = segmeter.aggregated_jaccard_counts(table)
    assert (int(counts.intersection), int(counts.union)) == (top, bottom)
    index = segmeter.aggregated_jaccard_index(counts)
    assert_allclose(index, top / bottom if bottom else math.nan)

    ways: dict[Fraction, set[tuple[int, int]]] = {}
    everything = sum(map(len, p.values())) + sum(map(len, t.values()))
    for way in assignments(list(p), list(t)):
        total = sum((score("iou", p[a], t[b]) for a, b in way), start=Fraction(0))
        shared = sum(len(p[a] & t[b]) for a, b in way)
        ways.setdefault(total, set()).add((shared, everything - shared))
    plus = segmeter.aggregated_jaccard_counts(table, variant="aji_plus")
    assert (int(plus.intersection), int(plus.union)) in ways[max(ways)]


def test_object_scores_by_hand() -> None:
    # 1 covers 3 of the 4 pixels of 5; 2 covers exactly half of 6; 3 has no partner; 7 is missed.
    table = segmeter.overlap_table(drawn("111..22..3."), drawn("5555.6666.7")[:, :11])
    pairs = segmeter.object_pairs(table)
    assert pairs.target_of_pred.tolist() == [0, 1, -1]
    assert pairs.pred_of_target.tolist() == [0, 1, -1]
    counts = segmeter.object_counts(table)
    assert (int(counts.tp), int(counts.fp), int(counts.fn)) == (1, 2, 2)
    assert_allclose(segmeter.object_f1(counts), 2 / 6)
    half = segmeter.object_counts(table, strict=False)
    assert (int(half.tp), int(half.fp), int(half.fn)) == (2, 1, 1)
    # Dice 6/7 and 2/3; areas 3, 2, 1 of 6 and 4, 4, 1 of 9.
    of_pred = (3 * 6 / 7 + 2 * 2 / 3) / 6
    of_target = (4 * 6 / 7 + 4 * 2 / 3) / 9
    assert_allclose(segmeter.object_dice(counts), (of_pred + of_target) / 2)


def test_objects_under_one_prediction_are_one_hit() -> None:
    """False negatives are target objects less true positives, as the paper has them."""
    counts = segmeter.object_counts(segmeter.overlap_table(drawn("11111"), drawn("55566")))
    assert (int(counts.tp), int(counts.fp), int(counts.fn)) == (1, 0, 1)
    halves = segmeter.overlap_table(drawn("1122"), drawn("5555"))
    both = segmeter.object_counts(halves, strict=False)
    assert (int(both.tp), int(both.fp), int(both.fn)) == (2, 0, 0)


@few
@given(map_pairs())
def test_object_dice_and_best_dice_of_any_maps(maps: tuple[NDArray[Any], NDArray[Any]]) -> None:
    pred, target = maps
    p, t = named(pred), named(target)
    table = segmeter.overlap_table(pred, target)

    def directed(these: Named, those: Named) -> tuple[float, float]:
        """Object Dice by area, and mean best Dice, of one direction."""
        by_area = best = Fraction(0)
        for here in these.values():
            # Of equal overlaps the lowest id: max keeps the first.
            partner = max(those, key=lambda k, here=here: len(those[k] & here), default=None)  # type: ignore[misc]
            if partner is not None:
                by_area += len(here) * score("dice", here, those[partner])
            best += max((score("dice", here, there) for there in those.values()), default=0)
        if not these:
            return 0, 0
        return float(by_area / sum(map(len, these.values()))), float(best / len(these))

    one, other = directed(p, t), directed(t, p)
    nothing = not p and not t
    dice = math.nan if nothing else (one[0] + other[0]) / 2
    assert_allclose(segmeter.object_dice(segmeter.object_counts(table)), dice)
    best = math.nan if nothing else min(one[1], other[1])
    assert_allclose(segmeter.symmetric_best_dice(segmeter.best_dice_counts(table)), best)
    difference = segmeter.count_error_counts(table)
    assert difference.difference.tolist() == [len(p) - len(t)]


@few
@given(map_pairs())
def test_cell_tracking_of_any_maps(maps: tuple[NDArray[Any], NDArray[Any]]) -> None:
    pred, target = maps
    p, t = named(pred), named(target)
    found = {a: [b for b in t if 2 * len(p[a] & t[b]) > len(t[b])] for a in p}
    splits = sum(max(0, len(cells) - 1) for cells in found.values())
    missed = len(t) - sum(map(len, found.values()))
    invented = sum(not cells for cells in found.values())
    counts = segmeter.cell_tracking_counts(segmeter.overlap_table(pred, target))
    assert int(counts.splits) == splits
    assert int(counts.false_negatives) == missed
    assert int(counts.false_positives) == invented
    seg, det = segmeter.cell_tracking_seg(counts), segmeter.cell_tracking_det(counts)
    if not t:
        assert np.isnan(seg)
        assert np.isnan(det)
        return
    total = sum(score("iou", p[a], t[b]) for a, cells in found.items() for b in cells)
    assert_allclose(seg, float(total / len(t)))
    cost, anew = 5 * splits + 10 * missed + invented, 10 * len(t)
    assert_allclose(det, 1 - min(cost, anew) / anew)


def test_half_a_cell_is_no_detection() -> None:
    table = segmeter.overlap_table(drawn("11.."), drawn("5555"))
    counts = segmeter.cell_tracking_counts(table)
    assert segmeter.cell_tracking_seg(counts) == 0
    assert segmeter.cell_tracking_det(counts) == 0  # 11 operations, 10 to make it anew


def test_sizes_are_half_open() -> None:
    # Targets of 2 and 3 pixels; predictions of 2 (a hit), 2 (IoU 2/3, a hit) and 1.
    table = segmeter.overlap_table(drawn("11.22..3"), drawn("55.666.."))
    counts = segmeter.size_counts(table, bins={"s": (0, 2), "m": (2, 3), "l": (3, math.inf)})
    assert counts.targets.tolist() == [0, 1, 1]
    assert counts.matched_targets.tolist() == [0, 1, 1]
    assert counts.preds.tolist() == [1, 2, 0]
    assert counts.matched_preds.tolist() == [0, 2, 0]
    scores = segmeter.size_scores(counts)
    assert_array_equal(scores.recall, [math.nan, 1, 1])
    assert_array_equal(scores.precision, [0, 1, math.nan])
    physical = segmeter.size_counts(table, bins={"s": (0, 4), "m": (4, 9)}, pixel_size=2)
    assert physical.targets.tolist() == [0, 2]


def test_component_iou_by_hand() -> None:
    # 5: 2 of 2 found, 6: 1 of 4; two false positives, shared 2 : 4.
    table = segmeter.overlap_table(drawn("11.1...11"), drawn("55.6666.."))
    counts = segmeter.component_iou_counts(table, num_classes=2)
    expected = (2 / (2 + 2 / 3) + 1 / (4 + 4 / 3)) / 2
    assert_allclose(segmeter.component_iou(counts), [expected, math.nan])
    assert_allclose(segmeter.mean_component_iou(counts), expected)


# ---------------------------------------------------------------------------------- partitions


@few
@given(map_pairs(ids=2, sides=4), st.sampled_from(["segment", "ignore"]), st.booleans())
def test_partition_scores_of_any_maps(
    maps: tuple[NDArray[Any], NDArray[Any]], background: Any, void: bool
) -> None:
    pred, target = maps
    flat = [
        (a, b)
        for a, b in zip(pred.ravel().tolist(), target.ravel().tolist(), strict=True)
        if not (void and b == 2) and not (background == "ignore" and b == 0)
    ]
    table = segmeter.overlap_table(pred, target, ignore_index=2 if void else None)
    counts = segmeter.partition_counts(table, target_background=background)
    two = list(itertools.permutations(flat, 2))
    in_pred = sum(x[0] == y[0] for x, y in two)
    in_target = sum(x[1] == y[1] for x, y in two)
    in_both = sum(x == y for x, y in two)
    result = segmeter.adapted_rand(counts)
    either = in_pred + in_target
    assert_allclose(result.error, 1 - 2 * in_both / either if either else math.nan, atol=1e-12)
    assert_allclose(result.precision, in_both / in_pred if in_pred else math.nan)
    assert_allclose(result.recall, in_both / in_target if in_target else math.nan)

    def entropy(values: list[Any]) -> float:
        return -sum(
            values.count(v) / len(values) * math.log2(values.count(v) / len(values))
            for v in set(values)
        )

    parts = segmeter.split_merge_information(counts, base=2)
    if not flat:
        assert np.isnan(parts).all()
        return
    joint = entropy(flat)
    assert_allclose(parts.split, joint - entropy([b for _, b in flat]), atol=1e-12)
    assert_allclose(parts.merge, joint - entropy([a for a, _ in flat]), atol=1e-12)
    assert_allclose(parts.total, parts.split + parts.merge, atol=1e-12)


def test_a_cut_is_a_split_and_a_bridge_a_merge() -> None:
    cut = segmeter.partition_counts(segmeter.overlap_table(drawn("1122"), drawn("5555")))
    assert segmeter.split_merge_information(cut, base=2) == (1, 0, 1)
    # 12 pairs in the target, 4 in the prediction, all of which are right.
    assert segmeter.adapted_rand(cut) == (1 - 2 * 4 / 16, 1, 1 / 3)
    bridge = segmeter.partition_counts(segmeter.overlap_table(drawn("5555"), drawn("1122")))
    assert segmeter.split_merge_information(bridge, base=2) == (0, 1, 1)


def test_snemi_background() -> None:
    # The target's background is gone; each background pixel of the prediction stands alone, and a
    # pixel is a pair with itself: joint 1+1+4, prediction 1+1+4, target 16 ordered pairs.
    table = segmeter.overlap_table(drawn("..221"), drawn("5555."))
    counts = segmeter.partition_counts(table, preset="snemi3d")
    assert (counts.joint_squares, counts.pred_squares, counts.target_squares) == (6, 6, 16)
    assert_allclose(segmeter.adapted_rand(counts, preset="snemi3d").error, 1 - 2 * 6 / 22)


# ---------------------------------------------------------------------------------- lesions

LESIONS = (".1111..1..", "11..11...1")  # prediction and target


def test_lesions_with_any_overlap() -> None:
    pred, target = map(drawn, LESIONS)
    counts = segmeter.lesion_wise(pred, target, rules="any_overlap")
    # The first prediction (4 pixels) serves two lesions, of which it has one pixel each.
    assert counts.lesion_matches.tolist() == [1, 1, 0]
    assert_allclose(counts.lesion_dice, [2 / 6, 2 / 6, 0])
    assert counts.pred_matches.tolist() == [2, 0]
    scores = segmeter.lesion_scores(counts)["lesion"]
    assert (scores["tp"], scores["fn"], scores["fp"]) == (2, 1, 1)
    assert_allclose(scores["dice"], (1 / 3 + 1 / 3) / 4)
    assert_allclose([scores["sensitivity"], scores["precision"], scores["f1"]], [2 / 3] * 3)
    one_to_one = segmeter.lesion_scores(segmeter.lesion_wise(pred, target, rules="iou50"))
    assert (one_to_one["lesion"]["tp"], one_to_one["lesion"]["fp"]) == (0, 2)
    assert one_to_one["lesion"]["dice"] == 0


@pytest.mark.parametrize(
    ("target", "spacing", "lesions", "left_out"),
    [
        ("1......1", (10, 10), 1, 0),  # dilated three times, 6 pixels between them are closed
        ("1.......1", (10, 10), 2, 0),
        ("1.......11", (5, 5), 2, 2),  # 25 and exactly 50 mm3 do not count
        ("1.......11", (5, 6), 2, 1),
    ],
)
def test_lesions_of_brats_2023(
    target: str, spacing: tuple[int, int], lesions: int, left_out: int
) -> None:
    label_map = drawn(target)
    counts = segmeter.lesion_wise(label_map, label_map, rules="brats2023", spacing=spacing)
    scores = segmeter.lesion_scores(counts)["lesion"]
    assert len(counts.lesion_id) == lesions
    assert scores["left_out"] == left_out
    assert (scores["dice"], scores["fp"]) == (1, 0)


def test_near_predictions_belong_to_a_lesion_of_brats_2023() -> None:
    # 1 near prediction within three pixels, and one too far away.
    counts = segmeter.lesion_wise(
        drawn("11..1......1"),
        drawn("11.........."),
        rules="brats2023",
        spacing=10,
        distance=lambda _pred, _target, _spacing: 5.0,
    )
    assert_allclose(counts.lesion_dice, [2 * 2 / 5])
    scores = segmeter.lesion_scores(counts)["lesion"]
    assert scores["fp"] == 1
    assert_allclose(scores["dice"], (4 / 5 + 0) / 2)
    assert_allclose(scores["distance"], (5 + 374) / 2)


def test_brats_2023_volumes_touching_by_corners_only() -> None:
    # A single voxel dilates to 18 neighbours: after one step no corner is reached.
    target = np.zeros((7, 7, 7), int)
    target[2, 2, 2] = 1
    pred = np.zeros_like(target)
    pred[3, 3, 3] = 1
    once = segmeter.LesionRules(dilation=1)
    assert segmeter.lesion_wise(pred, target, rules=once).lesion_matches.tolist() == [0]
    twice = segmeter.LesionRules(dilation=2)
    assert segmeter.lesion_wise(pred, target, rules=twice).lesion_matches.tolist() == [1]


def test_lesions_of_empty_cases() -> None:
    empty, full = drawn("....."), drawn("11...")

    def dice(pred: Any, target: Any, rules: str) -> float:
        counts = segmeter.lesion_wise(pred, target, rules=rules, spacing=10)
        return float(segmeter.lesion_scores(counts)["lesion"]["dice"])

    assert [dice(empty, empty, r) for r in ("brats2023", "brats2023-met")] == [1, 1]
    assert [dice(full, empty, r) for r in ("brats2023", "brats2026")] == [0, 0]
    assert [dice(empty, full, r) for r in ("brats2023", "brats2026")] == [0, 0]
    assert math.isnan(dice(empty, empty, "brats2026"))
    assert math.isnan(dice(full, empty, "brats2026-met"))


def test_froc_by_hand() -> None:
    marks = [[0, 0], [0, 1], [0, 5], [0, 3]]
    ill = segmeter.detect_points(marks, [0.3, 0.9, 0.5, 0.7], drawn("11...11"))
    healthy = segmeter.detect_points([[0, 2], [0, 4]], [0.6, 0.2], drawn("......."))
    counts = ill + healthy
    assert (counts.num_lesions, counts.num_false_positives, counts.num_cases) == (2, 3, 2)
    curve = segmeter.froc(counts)
    assert curve.threshold.tolist() == [0.9, 0.7, 0.6, 0.5, 0.2]
    assert curve.false_positives_per_image.tolist() == [0, 0.5, 1, 1, 1.5]
    assert curve.sensitivity.tolist() == [0.5, 0.5, 0.5, 1, 1]
    assert curve.sensitivity_at.tolist() == [0.5, 0.5, 0.5, 1, 1, 1, 1]
    assert_allclose(curve.mean, 5.5 / 7)
    # The second lesion comes at 2 false positives: precision 2/4.
    assert_allclose(segmeter.average_precision(counts), (1 + 1 / 2) / 2)
    assert segmeter.case_auroc(counts) == 1
    assert_allclose(segmeter.picai_score(counts), (1 + 0.75) / 2)


def test_detection_assigns_one_candidate_to_a_lesion() -> None:
    # Both candidates overlap the lesion by IoU 2/6 and 3/6; the better one gets it.
    confidence = np.array([[0.9, 0.9, 0, 0.4, 0.4, 0.4]])
    target = drawn("111111")
    counts = segmeter.detect(confidence, target)
    assert counts.num_false_positives == 0
    assert counts.confidence.tolist() == [0.4]
    assert counts.overlap.tolist() == [0.5]
    strict = segmeter.detect(confidence, target, leftover="false_positive")
    assert strict.num_false_positives == 1
    assert segmeter.detect(confidence, target, min_overlap=0.51).num_false_positives == 2


# ---------------------------------------------------------------------------------- topology


def euler_of_cells(mask: NDArray[Any], connectivity: int) -> int:
    """Euler characteristic by counting vertices, edges, faces and cubes."""
    ndim = mask.ndim
    if connectivity in {8, 26}:  # closed pixels: each brings its sides, edges and corners
        near = itertools.product((0, 1, 2), repeat=ndim)
        cells = {
            tuple(2 * a + d for a, d in zip(p, step, strict=True))
            for step in near
            for p in pixels(mask)
        }
        return sum((-1) ** sum(a % 2 for a in cell) for cell in cells)
    chi, there = 0, pixels(mask)
    for spans in itertools.product((0, 1), repeat=ndim):  # pixels, and blocks of 2, 4, 8 of them
        block = list(itertools.product(*[range(span + 1) for span in spans]))
        chi += (-1) ** sum(spans) * sum(all(moved(p, q) in there for q in block) for p in there)
    return chi


@few
@given(volumes(labels=1))
def test_betti_numbers_of_any_mask(mask: NDArray[Any]) -> None:
    for connectivity in {2: (4, 8), 3: (6, 26)}[mask.ndim]:
        there = pixels(mask)
        count = len(pieces(there, connectivity))
        enclosed = holes(there, connectivity) if there else 0
        chi = euler_of_cells(mask, connectivity)
        assert segmeter.euler_characteristic(mask, connectivity=connectivity) == chi
        numbers = segmeter.betti_numbers(mask, connectivity=connectivity).tolist()
        if mask.ndim == 2:
            assert numbers == [count, enclosed]
            assert count - enclosed == chi
        else:
            assert numbers == [count, count + enclosed - chi, enclosed]


def test_betti_numbers_of_a_torus_and_a_shell() -> None:
    shell = np.ones((3, 3, 3), int)
    shell[1, 1, 1] = 0
    assert segmeter.betti_numbers(shell).tolist() == [1, 0, 1]
    torus = np.ones((1, 3, 3), int)
    torus[0, 1, 1] = 0
    assert segmeter.betti_numbers(torus).tolist() == [1, 1, 0]


def test_betti_errors_do_not_cancel_between_patches() -> None:
    pred, target = drawn("1.111111"), drawn("11111.11")
    whole = segmeter.betti_error(segmeter.betti_counts(pred, target))
    assert whole.tolist() == [[0, 0]]
    patches = segmeter.betti_error(segmeter.betti_counts(pred, target, patch_size=4))
    assert patches.tolist() == [[1, 0]]


def test_centerline_dice_with_given_skeletons() -> None:
    pred, target = drawn("1111.. 1111.. ......"), drawn("...... 111111 111111")
    pred_skeleton, target_skeleton = drawn("111... ...1.. ......"), drawn("...... 11111. .....1")
    counts = segmeter.centerline_counts(
        pred, target, pred_skeleton=pred_skeleton, target_skeleton=target_skeleton
    )
    assert (counts.pred_inside, counts.pred_skeleton) == (1, 4)
    assert (counts.target_inside, counts.target_skeleton) == (4, 6)
    precision, sensitivity = 1 / 4, 4 / 6
    expected = 2 * precision * sensitivity / (precision + sensitivity)
    assert_allclose(segmeter.centerline_dice(counts), expected)
    empty = segmeter.centerline_counts([[0, 0]], [[0, 0]], skeleton="soft")
    assert math.isnan(segmeter.centerline_dice(empty))


# ---------------------------------------------------------------------------------- COCO


def masks_of(*drawings: str) -> region.RunLengthMasks:
    return segmeter.RunLengthMasks.from_masks(np.array([drawn(text) for text in drawings]))


def coco(
    pred: Any, target: Any, scores: list[float], **options: Any
) -> region.CocoAveragePrecision:
    return segmeter.coco_average_precision(
        segmeter.coco_counts(pred, target, scores=scores, **options)
    )


def test_coco_average_precision_by_hand() -> None:
    """Hit, miss, hit: precision 1 up to recall 1/2 (51 levels), then 2/3 (50 levels)."""
    target = masks_of("1111......", ".....1111.")
    pred = masks_of(".....1111.", ".........1", "1111......")
    result = coco(pred, target, [0.9, 0.8, 0.7])
    expected = (51 + 50 * 2 / 3) / 101
    assert_allclose(result.average_precision(), expected)
    assert_allclose(result.average_precision(iou_threshold=0.5), expected)
    assert result.average_recall() == 1
    assert result.average_recall(max_detections=1) == 0.5
    assert math.isnan(result.average_precision(area_range="large"))


def test_coco_thresholds_are_reached_by_equality() -> None:
    target, pred = masks_of("1111"), masks_of("11..")
    assert_array_equal(segmeter.mask_iou(pred, target), [[0.5]])
    result = coco(pred, target, [1.0])
    assert_allclose(result.average_precision(iou_threshold=0.5), 1)
    assert_allclose(result.average_precision(), 1 / 10)


def test_coco_crowd_takes_any_number_of_detections() -> None:
    target = masks_of("111111....", "........11")
    pred = masks_of("111.......", "...111....", "........11", ".......1..")
    assert_array_equal(segmeter.mask_iou(pred, target, crowd=[True, False])[:, 0], [1, 1, 0, 0])
    counts = segmeter.coco_counts(pred, target, scores=[0.9, 0.8, 0.7, 0.6], crowd=[True, False])
    assert counts.outcome[:, 0, 0].tolist() == [2, 2, 1, 0]
    assert counts.positives[:, 0].tolist() == [1]
    assert_allclose(segmeter.coco_average_precision(counts).average_precision(), 1)


def test_coco_images_and_classes() -> None:
    """Scores rank over all images; a class without target is in no mean."""
    mask, other = masks_of("11.."), masks_of("..11")
    options: dict[str, Any] = {"num_classes": 3, "target_classes": [1]}
    hit = segmeter.coco_counts(mask, mask, scores=[0.5], image_id=1, pred_classes=[1], **options)
    miss = segmeter.coco_counts(other, mask, scores=[0.9], image_id=2, pred_classes=[1], **options)
    for both in (hit + miss, miss + hit):
        result = segmeter.coco_average_precision(both)
        # The hit comes second: precision 1/2 up to recall 1/2.
        assert_allclose(result.per_class, [math.nan, 51 * 0.5 / 101, math.nan])
        assert_allclose(result.average_precision(), 51 * 0.5 / 101)


# ---------------------------------------------------------------------------------- causes


def reach(width: int, ndim: int, distance: str, spacing: tuple[float, ...]) -> list[Pixel]:
    """Offsets within the width."""
    steps = itertools.product(range(-width, width + 1), repeat=ndim)
    if distance == "fast":
        return list(steps)
    return [
        s
        for s in steps
        if round(math.sqrt(sum((a * b) ** 2 for a, b in zip(s, spacing, strict=True)))) <= width
    ]


def kinds_of_class(
    pred: NDArray[Any], target: NDArray[Any], k: int, near: list[Pixel], ignored: set[Pixel]
) -> NDArray[Any]:
    """Kind of every pixel for one class by the published rules."""
    kind = cause.CauseKind
    touch, full = offsets(pred.ndim, 8 if pred.ndim == 2 else 26), 8 if pred.ndim == 2 else 26
    p, g = pixels(pred == k), pixels(target == k) - ignored
    right, neither = p & g, pixels(pred == pred) - p - g
    result = np.full(pred.shape, kind.TN.value)

    def paint(places: set[Pixel], value: cause.CauseKind) -> None:
        for place in places:
            result[place] = value.value

    def within(places: set[Pixel], steps: list[Pixel], those: set[Pixel]) -> set[Pixel]:
        return {x for x in places if any(moved(x, step) in those for step in steps)}

    paint(right, kind.TP)
    for wrong, whole, names in (
        (p - g, p, (kind.FP_BOUNDARY, kind.FP_EXTENT, kind.FP_SEGMENT)),
        (g - p, g, (kind.FN_BOUNDARY, kind.FN_EXTENT, kind.FN_SEGMENT)),
    ):
        for segment in pieces(whole, full):
            paint(segment & wrong, names[1] if segment & right else names[2])
        seeds = within(wrong, near, right) & within(wrong, near, neither)
        for piece in pieces(within(wrong, near, seeds), full):
            if within(piece, touch, right) and within(piece, touch, neither):
                paint(piece, names[0])
    paint(ignored, kind.IGNORED)
    return result


def test_causes_by_hand() -> None:
    """Width 1: one pixel beside the object, a long tail, and a segment of its own."""
    target = drawn("......... .1111.... ......... ........1")
    pred = drawn("......... .1111.... ......... .........")
    pred[0, 1] = 1
    counts = segmeter.error_causes(pred, target, num_classes=2, width_pixels=1)
    assert counts.fp_boundary.tolist() == [0, 1]
    assert counts.fn_segment.tolist() == [0, 1]
    assert counts.tp.tolist() == [30, 4]
    # For the background the lost pixel (3, 8) lies next to its own pixels, but to no other's.
    assert (counts.fp_extent[0], counts.fp_boundary[0], counts.fn_boundary[0]) == (1, 0, 1)
    shares = segmeter.cause_shares(counts)
    assert_allclose(sum(shares.values()) + counts.tp / counts.union, [1, 1])
    scores = segmeter.repaired_scores(counts)
    # Class 1: TP 4, FP 1 (boundary), FN 1 (segment).
    assert_allclose(scores["none"]["iou"][1], 4 / 6)
    assert_allclose(scores["boundary"]["iou"][1], 4 / 5)
    assert_allclose(scores["segment"]["iou"][1], 5 / 6)
    assert_allclose(scores["extent"]["dice"][1], 8 / 10)
    assert_allclose(scores["segment"]["dice"][1], 10 / 11)
    last = segmeter.repaired_scores(counts, cumulative=True)
    assert last["segment"]["mean_iou"] == 1


@settings(max_examples=100)
@given(
    st.data(),
    st.integers(1, 3),
    st.sampled_from(["exact", "fast"]),
    st.sampled_from([(1, 1), (1, 2), (2, 1)]),
)
def test_causes_of_any_maps(
    data: st.DataObject, width: int, distance: Any, spacing: tuple[float, ...]
) -> None:
    target = data.draw(volumes(labels=2))
    pred = data.draw(hnp.arrays(np.int64, target.shape, elements=st.integers(0, 2)))
    keep = data.draw(hnp.arrays(bool, target.shape))
    pred = np.where(keep, target, pred)
    mask = data.draw(
        hnp.arrays(bool, target.shape, elements=st.sampled_from([False, False, False, True]))
    )
    options: dict[str, Any] = {"width_pixels": width}
    if distance == "fast" or target.ndim == 3:
        spacing = (1,) * target.ndim
    elif spacing != (1, 1):
        options = {"width_physical": width, "spacing": spacing}
    near = reach(width, target.ndim, distance, spacing)
    maps = [kinds_of_class(pred, target, k, near, pixels(mask)) for k in range(3)]
    for k, expected in enumerate(maps):
        counts, found = segmeter.error_causes(
            pred,
            target,
            num_classes=3,
            distance=distance,
            ignore_index=mask,
            return_map=True,
            map_class=k,
            **options,
        )
        assert_array_equal(found, expected)
        state = counts.to_arrays()
        for kind in cause.CauseKind:
            assert state[kind.name.lower()][k] == (expected == kind.value).sum(), kind
    assert_array_equal(sum(state[kind.name.lower()] for kind in cause.CauseKind), [pred.size] * 3)
    renormed = segmeter.renormed_causes(counts)
    edge = counts.fp_boundary + counts.fn_boundary
    inner = counts.tp + edge
    with np.errstate(invalid="ignore"):
        assert_array_equal(renormed["boundary"], edge / inner)


@pytest.mark.parametrize(("shape", "width"), [((30, 40), 1), ((75, 100), 1), ((90, 120), 2)])
def test_the_width_is_a_share_of_the_diagonal(shape: tuple[int, int], width: int) -> None:
    """Diagonals 50, 125 and 150: 0.02 of them is 1, and 0.012 of them is 1.5 and 1.8."""
    share = {(30, 40): 0.02, (75, 100): 0.011, (90, 120): 0.012}[shape]
    rng = np.random.default_rng(3)
    target = np.kron(rng.integers(0, 2, (5, 5)), np.ones((shape[0] // 5, shape[1] // 5), int))
    pred = np.where(rng.random(target.shape) < 0.1, 1 - target, np.roll(target, 2, axis=1))
    one = segmeter.error_causes(pred, target, num_classes=2, width=share)
    assert one == segmeter.error_causes(pred, target, num_classes=2, width_pixels=width)
    assert one != segmeter.error_causes(pred, target, num_classes=2, width_pixels=3 - width)


def facts_oracle(
    pred: NDArray[Any], target: NDArray[Any], ignored: set[Pixel], threshold: float
) -> list[NDArray[Any]]:
    """Regions and wrong pixels by class and fact."""
    full = 8 if pred.ndim == 2 else 26
    shape, lost, misnamed, split, merge = range(5)
    seen = target.copy()
    for place in ignored:
        seen[place] = -1
    t = components(seen, full, -1)
    p = [(k, q - ignored) for k, q in components(pred, full, None) if q - ignored]

    def shared(a: set[Pixel], b: set[Pixel], whole: int) -> bool:
        return len(a & b) > threshold * whole

    links = [
        (i, j)
        for i, (k, a) in enumerate(p)
        for j, (n, b) in enumerate(t)
        if k == n and shared(a, b, min(len(a), len(b)))
    ]
    same = [
        (i, j)
        for i, (k, a) in enumerate(p)
        for j, (n, b) in enumerate(t)
        if k != n and shared(a, b, max(len(a), len(b)))
    ]
    of_p = {i: [j for a, j in links if a == i] for i in range(len(p))}
    of_t = {j: [i for i, b in links if b == j] for j in range(len(t))}

    def fact(mine: list[int], others: Any, coincides: bool, many: int, one: int) -> int:
        if not mine:
            return misnamed if coincides else lost
        if len(mine) > 1:
            return many
        return one if len(others[mine[0]]) > 1 else shape

    tables = [np.zeros((3, 5), int) for _ in range(4)]
    for j, (k, b) in enumerate(t):
        value = fact(of_t[j], of_p, any(x == j for _, x in same), split, merge)
        tables[0][k, value] += 1
        tables[2][k, value] += sum(pred[place] != k for place in b)
    for i, (k, a) in enumerate(p):
        value = fact(of_p[i], of_t, any(x == i for x, _ in same), merge, split)
        tables[1][k, value] += 1
        tables[3][k, value] += sum(target[place] != k for place in a)
    return tables


@settings(max_examples=100)
@given(st.data(), st.sampled_from([0.0, 0.25, 0.5, 0.75]))
def test_region_facts_of_any_maps(data: st.DataObject, threshold: float) -> None:
    target = data.draw(volumes(labels=2))
    pred = data.draw(hnp.arrays(np.int64, target.shape, elements=st.integers(0, 2)))
    keep = data.draw(hnp.arrays(bool, target.shape))
    pred = np.where(keep, target, pred)
    mask = data.draw(
        hnp.arrays(bool, target.shape, elements=st.sampled_from([False, False, False, True]))
    )
    facts = segmeter.region_facts(
        pred, target, num_classes=3, threshold=threshold, ignore_index=mask
    )
    expected = facts_oracle(pred, target, pixels(mask), threshold)
    assert_array_equal(facts.target_regions, expected[0])
    assert_array_equal(facts.pred_regions, expected[1])
    assert_array_equal(facts.false_negatives, expected[2])
    assert_array_equal(facts.false_positives, expected[3])


# ------------------------------------------------------------------ laws that hold for all scores

COUNTS: dict[str, Callable[[region.OverlapTable], Any]] = {
    "panoptic": lambda table: segmeter.panoptic_counts(table, num_classes=2),
    "covering": lambda table: segmeter.parsing_covering_counts(table, num_classes=2),
    "instances": lambda table: segmeter.instance_counts(table, thresholds=[0.3, 0.5, 0.8]),
    "aji": segmeter.aggregated_jaccard_counts,
    "objects": segmeter.object_counts,
    "best_dice": segmeter.best_dice_counts,
    "tracking": segmeter.cell_tracking_counts,
    "sizes": lambda table: segmeter.size_counts(table, bins={"s": (0, 3), "l": (3, 99)}),
    "errors": lambda table: segmeter.count_error_counts(table, num_classes=2),
    "components": lambda table: segmeter.component_iou_counts(table, num_classes=2),
    "partition": segmeter.partition_counts,
}


def table_of(pred: NDArray[Any], target: NDArray[Any], **options: Any) -> region.OverlapTable:
    """Overlap table in which the class of a region is the parity of its id."""
    return segmeter.overlap_table(
        pred, target, pred_classes=pred % 2, target_classes=target % 2, **options
    )


@pytest.mark.parametrize("name", COUNTS)
@settings(max_examples=25)
@given(maps=map_pairs(), data=st.data())
def test_names_and_position_do_not_matter(
    name: str, maps: tuple[NDArray[Any], NDArray[Any]], data: st.DataObject
) -> None:
    pred, target = maps
    counts = COUNTS[name](table_of(pred, target, ignore_index=4))
    moved_maps = [
        (pred.T, target.T),
        (pred[::-1], target[::-1]),
        (pred[:, ::-1].astype(">i2"), np.asfortranarray(target[:, ::-1])),
    ]
    for one, other in moved_maps:
        assert_same_counts(COUNTS[name](table_of(one, other, ignore_index=4)), counts)
    assert_same_counts(COUNTS[name](table_of(pred, target, ignore_index=4, threads=3)), counts)
    # New ids in the same order keep ties as they are; the sign bit and 2^40 are ids like others.
    new = np.array([0, 1, 2**33 + 4, 2**40 + 1, 2**41 + 2])
    assert_same_counts(
        COUNTS[name](table_of(new[pred], new[target], ignore_index=2**41 + 2)), counts
    )
    if name not in {"aji", "objects"}:  # which depend on the order of ids only in ties
        order = data.draw(st.permutations([1, 3]))
        swapped = np.array([0, order[0], 2, order[1], 4])
        renamed = table_of(swapped[pred], swapped[target], ignore_index=4)
        assert_same_counts(COUNTS[name](renamed), counts)


@few
@given(map_pairs())
def test_exchanging_the_maps(maps: tuple[NDArray[Any], NDArray[Any]]) -> None:
    pred, target = maps
    there, back = table_of(pred, target), table_of(target, pred)
    assert there.swapped() == back
    one, other = (segmeter.panoptic_counts(t, num_classes=2) for t in (there, back))
    assert_array_equal(one.fp, other.fn)
    assert_allclose(one.iou_sum, other.iou_sum)
    one_i, other_i = (segmeter.instance_counts(t, thresholds=[0.4, 0.7]) for t in (there, back))
    assert_array_equal(one_i.tp, other_i.tp)
    assert_array_equal(one_i.fp, other_i.fn)
    for counts, value in (
        (segmeter.best_dice_counts, segmeter.symmetric_best_dice),
        (segmeter.object_counts, segmeter.object_dice),
    ):
        make: Any = counts
        assert_allclose(value(make(there)), value(make(back)))
    rand, dnar = (segmeter.partition_counts(t) for t in (there, back))
    left, right = segmeter.adapted_rand(rand), segmeter.adapted_rand(dnar)
    assert_allclose(left.error, right.error)
    assert_allclose(left.precision, right.recall)
    vi, iv = (segmeter.split_merge_information(c) for c in (rand, dnar))
    assert_allclose([vi.split, vi.merge], [iv.merge, iv.split], atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(COUNTS) - {"errors", "components", "partition"}))
@settings(max_examples=20)
@given(first=map_pairs(), second=map_pairs())
def test_counts_of_two_images_add_up(name: str, first: Any, second: Any) -> None:
    """Two images are one whose regions have different ids; scores by image aside."""
    separate = [table_of(*first), table_of(*second)]
    counts = [COUNTS[name](table) for table in separate]
    flat = [
        np.concatenate([a.ravel(), np.where(b, b + 10, 0).ravel()])
        for a, b in zip(first, second, strict=True)
    ]
    both = COUNTS[name](table_of(flat[0], flat[1]))
    assert_same_counts(counts[0] + counts[1], both)
    assert_same_counts(sum(counts), both)
    assert_same_counts(type(both).from_arrays(both.to_arrays()), both)


@few
@given(map_pairs(ids=2), map_pairs(ids=2))
def test_cause_and_topology_counts_add_up(first: Any, second: Any) -> None:
    def causes(*maps: Any) -> Any:
        return segmeter.error_causes(*maps, num_classes=3, width_pixels=1, ignore_index=2)

    assert causes(*first) + causes(*second) == causes(
        *[list(pair) for pair in zip(first, second, strict=True)]
    )
    assert causes(*[m.T for m in first]) == causes(*first)
    assert causes(*[m[:, ::-1] for m in first]) == causes(*first)

    def facts(*maps: Any) -> Any:
        return segmeter.region_facts(*maps, num_classes=3)

    assert facts(*first) + facts(*second) == facts(
        *[list(pair) for pair in zip(first, second, strict=True)]
    )
    assert facts(*[m.T for m in first]) == facts(*first)
    pred, target = facts(*first), facts(*first[::-1])
    assert_array_equal(pred.missed, target.invented)
    assert_array_equal(pred.split, target.merge)
    betti = [segmeter.betti_counts(*maps, labels=[1, 2]) for maps in (first, second)]
    assert (betti[0] + betti[1]).difference.tolist() == (
        betti[0].difference + betti[1].difference
    ).tolist()


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(5)
    shape = (64, 96, 80)
    target = (rng.random(shape) < 0.3) * rng.integers(1, 4, shape)
    pred = np.where(rng.random(shape) < 0.2, rng.integers(0, 4, shape), target)
    functions: list[Callable[[int], Any]] = [
        lambda n: segmeter.label_components(target, threads=n),
        lambda n: segmeter.instance_regions(target, threads=n),
        lambda n: segmeter.overlap_table(pred, target, threads=n),
        lambda n: segmeter.betti_numbers(target, threads=n).tolist(),
        lambda n: segmeter.error_causes(
            pred[:8], target[:8], num_classes=4, width_pixels=1, threads=n
        ),
        lambda n: segmeter.region_facts(pred[:8], target[:8], num_classes=4, threads=n),
    ]
    for function in functions:
        assert function(1) == function(2) == function(5)


# ---------------------------------------------------------------------------------- bad input

TABLE = segmeter.overlap_table([[1, 2]], [[5, 6]])
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: segmeter.label_components([1, 2]), ValueError, "ax"),
    (lambda: segmeter.label_components([[1.0]]), TypeError, "int"),
    (lambda: segmeter.label_components([[1]], connectivity=6), ValueError, "connectivity"),
    (lambda: segmeter.label_components([[1]], connectivity=True), TypeError, "connectivity"),
    (lambda: segmeter.label_components([[[1]]], connectivity=8), ValueError, "connectivity"),
    (lambda: segmeter.label_components([[1]], threads=-1), ValueError, "threads"),
    (
        lambda: segmeter.label_components([[1]], ignore_index=np.array([[True, False]])),
        ValueError,
        "ignore",
    ),
    (lambda: segmeter.overlap_table([[1, 2]], [[1]]), ValueError, "shape"),
    (lambda: segmeter.overlap_table([[1.5]], [[1]]), TypeError, "pred"),
    (
        lambda: segmeter.overlap_table(
            [[1, 1]], [[1, 1]], pred_classes=np.array([[0, 1]]), target_classes={1: 0}
        ),
        ValueError,
        "1",
    ),
    (lambda: segmeter.overlap_table([[1]], [[1]], pred_classes={1: 0}), ValueError, "class"),
    (
        lambda: segmeter.overlap_table([[1]], [[1]], pred_classes={}, target_classes={1: 0}),
        ValueError,
        "class",
    ),
    (lambda: segmeter.match_regions(TABLE, method="best"), ValueError, "method"),  # type: ignore[arg-type]
    (lambda: segmeter.match_regions(TABLE, threshold=0.4), ValueError, "unique"),
    (lambda: segmeter.match_regions(TABLE, criterion="ior"), ValueError, "unique"),
    (lambda: segmeter.match_regions(TABLE, method="greedy", threshold=1.5), ValueError, "thresh"),
    (lambda: segmeter.match_regions(TABLE, method="greedy", threshold=math.nan), ValueError, "thr"),
    (lambda: segmeter.panoptic_counts(TABLE, num_classes=0), ValueError, "class"),
    (lambda: segmeter.panoptic_counts(TABLE, num_classes=1, crowd=[9]), ValueError, "9"),
    (lambda: segmeter.panoptic_counts(TABLE, num_classes=1, crowd=5), TypeError, "crowd"),  # type: ignore[arg-type]
    (lambda: segmeter.panoptic_counts(TABLE, num_classes=1, crowd="5"), TypeError, "crowd"),  # type: ignore[arg-type]
    (lambda: segmeter.instance_counts(TABLE, thresholds=[-0.1]), ValueError, "threshold"),
    (lambda: segmeter.size_counts(TABLE, bins={}), ValueError, "bin"),
    (lambda: segmeter.size_counts(TABLE, bins={"a": (5, 2)}), ValueError, "a"),
    (lambda: segmeter.aggregated_jaccard_counts(TABLE, variant="x"), ValueError, "variant"),  # type: ignore[arg-type]
    (lambda: segmeter.betti_numbers([[1]], connectivity=6), ValueError, "connectivity"),
    (lambda: segmeter.betti_numbers([[[1]]], connectivity=18), ValueError, "connectivity"),
    (lambda: segmeter.centerline_counts([[1]], [[1]]), ValueError, "skeleton"),
    (lambda: segmeter.detect([[-1.0]], [[1]]), ValueError, "negative"),
    (lambda: segmeter.detect([[0.5]], [[1, 0]]), ValueError, "shape"),
    (lambda: segmeter.detect_points([[0, 9]], [0.5], [[1]]), ValueError, "9"),
    (lambda: segmeter.lesion_wise([[1]], [[1]], rules="brats1999"), ValueError, "brats1999"),
    (lambda: segmeter.lesion_wise([[1]], [[1, 0]]), ValueError, "shape"),
    (lambda: segmeter.lesion_wise([[1]], [[1]], groups={"a": 1}), TypeError, "groups"),  # type: ignore[dict-item]
    (lambda: segmeter.lesion_wise([[1]], [[1]], distance=3), TypeError, "distance"),  # type: ignore[arg-type]
    (lambda: segmeter.LesionRules(method="best"), ValueError, "method"),  # type: ignore[arg-type]
    (lambda: segmeter.LesionRules(criterion="hd"), ValueError, "criterion"),  # type: ignore[arg-type]
    (lambda: segmeter.LesionRules(average="some"), ValueError, "average"),  # type: ignore[arg-type]
    (lambda: segmeter.LesionRules(dilation=-1), ValueError, "dilation"),
    (lambda: segmeter.LesionRules(threshold=2), ValueError, "threshold"),
    (lambda: segmeter.LesionRules(min_volume=math.nan), ValueError, "min_volume"),
    (lambda: segmeter.soft_skeleton([[1]], iterations=-1), ValueError, "iterations"),
    (lambda: segmeter.label_components([[1]], binary=True, background=None), ValueError, "binary"),
    (lambda: segmeter.error_causes([[3]], [[0]], num_classes=2), ValueError, "3"),
    (lambda: segmeter.error_causes([[0]], [[0]], num_classes=2, width=0), ValueError, "width"),
    (lambda: segmeter.error_causes([[0]], [[0, 1]], num_classes=2), ValueError, "shape"),
    (lambda: segmeter.region_facts([[0]], [[0]], num_classes=2, threshold=1), ValueError, "thresh"),
    (
        lambda: (
            segmeter.instance_counts(TABLE, thresholds=[0.5])
            + segmeter.instance_counts(TABLE, thresholds=[0.6])
        ),
        ValueError,
        "threshold",
    ),
]


@pytest.mark.parametrize(("call", "error", "says"), BAD)
def test_bad_input_is_refused(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0), (2, 0, 3)])
def test_empty_maps(shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, np.uint8)
    assert len(segmeter.label_components(empty).id) == 0
    table = segmeter.overlap_table(empty, empty)
    assert (table.num_pred, table.num_target, table.num_pixels) == (0, 0, 0)
    assert segmeter.match_regions(table).tp == 0
    assert not segmeter.betti_numbers(empty).any()
    counts = segmeter.error_causes(empty, empty, num_classes=2)
    assert not counts.union.any()
    assert np.isnan(segmeter.repaired_scores(counts)["none"]["iou"]).all()


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", ">u2", "i2", "u4", ">i4", "u8", "i8"])
def test_integer_types(dtype: str) -> None:
    label_map = drawn("11.1 ...1").astype(dtype)
    label_map.setflags(write=False)
    assert segmeter.label_components(label_map).area.tolist() == [2, 2]
    assert segmeter.instance_regions(label_map[:, ::-1]).area.tolist() == [4]
    assert segmeter.overlap_table(label_map, label_map).intersection.tolist() == [4]


def test_huge_ids() -> None:
    top = np.array([[2**64 - 1, 2**64 - 1, 0, 2**63]], np.uint64)
    assert segmeter.instance_regions(top).id.tolist() == [2**63, 2**64 - 1]
    table = segmeter.overlap_table(top, top, ignore_index=2**63)
    assert table.target_id.tolist() == [2**64 - 1]
    assert table.pred_void.tolist() == [1, 0]
    low = np.array([[-(2**63), 0, 2**63 - 1]])
    assert segmeter.instance_regions(low).id.tolist() == [-(2**63), 2**63 - 1]


# ------------------------------------------------------------------- more of any maps, by the rules


@few
@given(map_pairs(), st.data())
def test_panoptic_counts_with_void_of_both_maps(
    maps: tuple[NDArray[Any], NDArray[Any]], data: st.DataObject
) -> None:
    pred, target = maps
    mask = data.draw(hnp.arrays(bool, pred.shape, elements=st.sampled_from([False, False, True])))
    void, pred_void = pixels(mask), pixels(pred == 4)
    p, t = named(pred, left_out=pred_void), named(target, left_out=void)
    hits = [
        score("iou", p[a] - void, t[b] - pred_void)
        for a, b in itertools.product(p, t)
        if score("iou", p[a] - void, t[b] - pred_void) > 0.5
    ]
    free_p = [
        a for a in p if all(score("iou", p[a] - void, b - pred_void) <= 0.5 for b in t.values())
    ]
    free_t = [
        b for b in t if all(score("iou", a - void, t[b] - pred_void) <= 0.5 for a in p.values())
    ]
    table = segmeter.overlap_table(pred, target, ignore_index=mask, pred_ignore_index=4)
    counts = segmeter.panoptic_counts(table, num_classes=1)
    assert counts.tp[0] == len(hits)
    assert counts.fp[0] == sum(2 * len(p[a] & void) <= len(p[a]) for a in free_p)
    assert counts.fn[0] == sum(2 * len(t[b] & pred_void) <= len(t[b]) for b in free_t)
    assert_allclose(counts.iou_sum[0], float(sum(hits)))


def grown(places: set[Pixel], shape: Pixel, times: int) -> set[Pixel]:
    """Dilation by the neighbours that differ along two axes at most."""
    steps = [*offsets(len(shape), {2: 8, 3: 18}[len(shape)]), (0,) * len(shape)]
    inside = set(itertools.product(*map(range, shape)))
    for _ in range(times):
        places = {moved(place, step) for place in places for step in steps} & inside
    return places


@few
@given(volumes(labels=3), st.data(), st.integers(0, 2), st.sampled_from([0, 1, 2]))
def test_lesions_of_any_maps(
    target: NDArray[Any], data: st.DataObject, dilation: int, min_volume: int
) -> None:
    target = np.where(target == 3, 1, 0)
    pred = data.draw(hnp.arrays(np.int64, target.shape, elements=st.integers(0, 3))) // 3
    full = CONNECTIVITIES[target.ndim][-1]
    candidates = pieces(pixels(pred == 1), full)
    found = []
    for area in pieces(grown(pixels(target == 1), target.shape, dilation), full):
        lesion = area & pixels(target == 1)
        mine = [k for k, candidate in enumerate(candidates) if candidate & area]
        together = set().union(*[candidates[k] for k in mine])
        found.append((min(lesion), lesion, mine, score("dice", together, lesion)))
    found.sort(key=lambda entry: entry[0])
    rules = segmeter.LesionRules(dilation=dilation, min_volume=min_volume, empty=1)
    counts = segmeter.lesion_wise(pred, target, rules=rules)
    assert counts.lesion_volume.tolist() == [len(lesion) for _, lesion, _, _ in found]
    assert counts.lesion_matches.tolist() == [len(mine) for _, _, mine, _ in found]
    assert_allclose(counts.lesion_dice, [float(dice) for *_, dice in found])
    false = len(candidates) - len(set().union(*[mine for _, _, mine, _ in found]))
    counted = [float(dice) for _, lesion, _, dice in found if len(lesion) > min_volume]
    scores = segmeter.lesion_scores(counts)["lesion"]
    assert scores["fp"] == false
    assert scores["left_out"] == len(found) - len(counted)
    among = len(counted) + false
    assert_allclose(scores["dice"], sum(counted) / among if among else 1)


@few
@given(volumes(labels=1), st.data(), st.sampled_from([0.1, 0.25, 0.5]))
def test_detection_of_any_maps(
    target: NDArray[Any], data: st.DataObject, min_overlap: float
) -> None:
    mask = data.draw(hnp.arrays(np.int64, target.shape, elements=st.integers(0, 1)))
    full = CONNECTIVITIES[target.ndim][-1]
    candidates, lesions = pieces(pixels(mask == 1), full), pieces(pixels(target == 1), full)
    assume(len(candidates) < 5 and len(lesions) < 5)
    confidence = np.zeros(target.shape)
    for k, candidate in enumerate(candidates, start=1):
        for place in candidate:
            confidence[place] = k / 8
    overlaps = {
        (i, j): float(score("iou", candidate, lesion))
        for i, candidate in enumerate(candidates)
        for j, lesion in enumerate(lesions)
        if float(score("iou", candidate, lesion)) >= min_overlap
    }
    ways = assignments(list(range(len(candidates))), list(range(len(lesions))))
    best = max(
        (len(way), sum(overlaps[pair] for pair in way))
        for way in ways
        if all(pair in overlaps for pair in way)
    )
    counts = segmeter.detect(confidence, target, min_overlap=min_overlap)
    assert counts.num_lesions == len(lesions)
    assert (counts.is_lesion & counts.is_found).sum() == best[0]
    assert_allclose(counts.overlap.sum(), best[1])
    near = {i for i, _ in overlaps}
    false = [k / 8 for k in range(1, len(candidates) + 1) if k - 1 not in near]
    assert sorted(counts.confidence[~counts.is_lesion].tolist()) == false
    assert counts.case_confidence.tolist() == [len(candidates) / 8]


def test_equal_confidences_are_one_threshold() -> None:
    counts = segmeter.detect([[0.5, 0, 0.5, 0, 0.5]], drawn("1...1"))
    curve = segmeter.froc(counts, rates=[0.5, 1, 3])
    assert curve.threshold.tolist() == [0.5]
    assert curve.sensitivity_at.tolist() == [0, 1, 1]
    assert_allclose(segmeter.average_precision(counts), 2 / 3)


@few
@given(volumes(labels=1))
def test_soft_skeleton_of_any_mask(mask: NDArray[Any]) -> None:
    """What opening takes away at each level; erosion by the cross, dilation by all neighbours."""
    inside = set(itertools.product(*map(range, mask.shape)))
    cross = offsets(mask.ndim, 4)
    block = offsets(mask.ndim, CONNECTIVITIES[mask.ndim][-1])

    def eroded(places: set[Pixel]) -> set[Pixel]:
        return {x for x in places if not {moved(x, step) for step in cross} & inside - places}

    def opened(places: set[Pixel]) -> set[Pixel]:
        core = eroded(places)
        return (core | {moved(x, step) for x in core for step in block}) & inside

    level = pixels(mask == 1)
    skeleton = level - opened(level)
    while level and eroded(level) != level:
        level = eroded(level)
        skeleton |= level - opened(level)
    assert pixels(segmeter.soft_skeleton(mask)) == skeleton


def coco_oracle(
    images: list[dict[str, Any]], threshold: float, area: tuple[float, float], limit: int
) -> tuple[float, float]:
    """Average precision and recall of one class by the rules of COCO."""
    ranked, positives = [], 0
    for number, image in enumerate(images):
        d, g = image["pred"], image["target"]
        ignored = [
            c or not area[0] <= len(b) <= area[1] for b, c in zip(g, image["crowd"], strict=True)
        ]
        positives += ignored.count(False)
        free = set(range(len(g)))
        order = sorted(range(len(d)), key=lambda i, s=image["scores"]: (-s[i], i))  # type: ignore[misc]
        for rank, i in enumerate(order[:limit]):
            near = []
            for j in range(len(g)):
                if j in free or image["crowd"][j]:
                    kind = "iop" if image["crowd"][j] else "iou"
                    overlap = float(score(kind, d[i], g[j]))
                    if overlap >= threshold - 1e-10:
                        near.append((not ignored[j], overlap, j))
            hit = max(near)[2] if near else None
            free.discard(-1 if hit is None else hit)
            out = not area[0] <= len(d[i]) <= area[1] if hit is None else ignored[hit]
            if not out:
                ranked.append((-image["scores"][i], number, rank, hit is not None))
    if not positives:
        return math.nan, math.nan
    ranked.sort()
    hits = list(itertools.accumulate(entry[3] for entry in ranked))
    precision = [hit / (k + 1) for k, hit in enumerate(hits)]
    levels = [
        max(
            (p for p, hit in zip(precision, hits, strict=True) if 100 * hit >= r * positives),
            default=0,
        )
        for r in range(101)
    ]
    return sum(levels) / 101, hits[-1] / positives if hits else 0.0


@few
@given(st.data())
def test_coco_of_any_masks(data: st.DataObject) -> None:
    areas = {"all": (0, 1e10), "small": (0, 2), "large": (2, 1e10)}
    limits, thresholds = (1, 2, 4), (0.3, 0.5, 0.75)
    rules = segmeter.CocoRules(iou_thresholds=thresholds, area_ranges=areas, max_detections=limits)
    images, parts = [], []
    for number in range(data.draw(st.integers(1, 3))):
        pred, target = (
            data.draw(hnp.arrays(bool, st.tuples(st.integers(0, 4), st.just(1), st.just(5))))
            for _ in range(2)
        )
        image: dict[str, Any] = {
            "pred": [pixels(mask) for mask in pred],
            "target": [pixels(mask) for mask in target],
            "scores": data.draw(
                st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(pred), max_size=len(pred))
            ),
            "crowd": data.draw(
                st.lists(
                    st.sampled_from([False, False, True]),
                    min_size=len(target),
                    max_size=len(target),
                )
            ),
        }
        assume(all(image["target"]) and all(image["pred"]))
        images.append(image)
        masks = [
            segmeter.RunLengthMasks.from_masks(m) if len(m) else masks_of(".....")[:0]
            for m in (pred, target)
        ]
        parts.append(
            segmeter.coco_counts(
                *masks,
                scores=image["scores"],
                crowd=np.array(image["crowd"], bool),
                image_id=number,
                rules=rules,
            )
        )
    result = segmeter.coco_average_precision(sum(parts[1:], start=parts[0]))
    for threshold, (name, area), limit in itertools.product(thresholds, areas.items(), limits):
        options: dict[str, Any] = {
            "iou_threshold": threshold,
            "area_range": name,
            "max_detections": limit,
        }
        expected = coco_oracle(images, threshold, area, limit)
        assert_allclose(result.average_precision(**options), expected[0], atol=1e-12)
        assert_allclose(result.average_recall(**options), expected[1], atol=1e-12)


@few
@given(volumes(labels=2), st.data())
def test_slabs_and_regions_are_as_good_as_maps(
    label_map: NDArray[Any], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(label_map)))
    slabs = [segmeter.RunList.from_array(part) for part in (label_map[:cut], label_map[cut:])]
    runs = segmeter.RunList.concatenate(slabs)
    assert_array_equal(runs.to_array(), label_map)
    assert segmeter.label_components(runs) == segmeter.label_components(label_map)
    pred = data.draw(hnp.arrays(np.int64, label_map.shape, elements=st.integers(0, 2)))
    mask = data.draw(hnp.arrays(bool, label_map.shape))
    regions = [
        segmeter.label_components(pred),
        segmeter.label_components(label_map, ignore_index=mask),
    ]
    table = segmeter.overlap_table(*regions, ignore_index=mask)
    painted = segmeter.overlap_table(
        regions[0].labels(),
        np.where(mask, 200, regions[1].labels()),
        ignore_index=mask,
        pred_classes=pred,
        target_classes=label_map,
    )
    assert table == painted


@few
@given(map_pairs(ids=2))
def test_repaired_scores_of_any_maps(maps: tuple[NDArray[Any], NDArray[Any]]) -> None:
    counts = segmeter.error_causes(*maps, num_classes=4, width_pixels=1)
    scores = segmeter.repaired_scores(counts)
    steps = segmeter.repaired_scores(counts, cumulative=True)
    state, gone_fp, gone_fn = counts.to_arrays(), np.zeros(4, int), np.zeros(4, int)
    for name in ("boundary", "extent", "segment"):
        fp, fn = state[f"fp_{name}"], state[f"fn_{name}"]
        gone_fp, gone_fn = gone_fp + fp, gone_fn + fn
        for result, no_fp, no_fn in ((scores, fp, fn), (steps, gone_fp, gone_fn)):
            for k in range(4):
                tp = int(counts.tp[k] + no_fn[k])
                wrong = int(counts.fp[k] - no_fp[k] + counts.fn[k] - no_fn[k])
                if not counts.union[k]:
                    iou = dice = math.nan
                elif not tp + wrong:
                    iou = dice = 1.0
                else:
                    iou, dice = tp / (tp + wrong), 2 * tp / (2 * tp + wrong)
                assert_allclose(result[name]["iou"][k], iou)
                assert_allclose(result[name]["dice"][k], dice)
            assert_allclose(result[name]["mean_iou"], np.nanmean(result[name]["iou"]))
