"""Causes of wrong pixels against the NumPy twin of the published rules and hand-made numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmeter
from label_maps import blobs
from segmeter import CauseCounts, reference

LABEL_TYPES = [np.dtype(t) for t in "BbHhIiQq"]
COLUMNS = list(CauseCounts.__annotations__)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of error_causes: a map and a prediction that is wrong in the usual ways."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ndim = draw(st.sampled_from((2, 2, 3)))
    most = 40 if ndim == 2 else 12
    shape = tuple(draw(st.lists(st.integers(1, most), min_size=ndim, max_size=ndim)))
    classes = draw(st.integers(1, 5))
    target = blobs(rng, shape, classes, draw(st.sampled_from((2, 8, most))))
    pred = np.roll(target, rng.integers(-3, 4, ndim), axis=tuple(range(ndim)))
    spoilt = rng.random(shape) < draw(st.sampled_from((0.0, 0.02, 0.3, 1.0)))
    pred[spoilt] = rng.integers(0, classes, int(spoilt.sum()))
    dtypes = [draw(st.sampled_from(LABEL_TYPES)) for _ in range(2)]
    arguments: dict[str, Any] = {"num_classes": classes}
    ignore = draw(st.sampled_from((None, "label", "mask")))
    holes = rng.random(shape) < 0.1
    if ignore == "label":
        target[holes], arguments["ignore_index"] = 100, 100
        pred[rng.random(shape) < 0.05] = 100
    elif ignore == "mask":
        arguments["ignore_index"] = holes
    arguments["out_of_range"] = draw(st.sampled_from(("raise", "ignore", "wrong")))
    if arguments["out_of_range"] != "raise":
        pred[rng.random(shape) < 0.05] = 77
    if arguments["out_of_range"] == "ignore":
        target[rng.random(shape) < 0.05] = 78
    arguments["distance"] = draw(st.sampled_from(("exact", "fast")))
    way = draw(st.sampled_from(("width", "width_pixels", "spacing", "width_physical")))
    if way == "width":
        arguments["width"] = draw(st.sampled_from((0.01, 0.05, 0.2, 1.0)))
    elif way == "width_pixels":
        arguments["width_pixels"] = draw(st.integers(0, 9))
    else:
        spacings = st.sampled_from((0.5, 0.7, 1.0, 1.25, 3.0))
        arguments["spacing"] = draw(st.lists(spacings, min_size=ndim, max_size=ndim))
        arguments["width"] = draw(st.sampled_from((0.05, 0.2)))
        if way == "width_physical":
            arguments["width_physical"] = draw(st.sampled_from((0.4, 1.0, 2.5, 7.0)))
    arguments["pred"], arguments["target"] = pred.astype(dtypes[0]), target.astype(dtypes[1])
    return arguments


@settings(deadline=None, max_examples=250)
@given(cases(), st.data())
def test_equals_the_published_rules_pixel_for_pixel(case: dict[str, Any], data: Any) -> None:
    expected, causes = reference.error_causes(**case, return_map=True)
    counts, found = segmeter.error_causes(**case, return_map=True, threads=1)
    np.testing.assert_array_equal(found, causes)
    assert counts == expected
    map_class = data.draw(st.integers(0, case["num_classes"] - 1))
    _, kinds = reference.error_causes(**case, return_map=True, map_class=map_class)
    counts, found = segmeter.error_causes(**case, return_map=True, map_class=map_class, threads=2)
    np.testing.assert_array_equal(found, kinds)
    assert counts == expected


@settings(deadline=None, max_examples=80)
@given(cases())
def test_counts_partition_the_image_and_agree_with_the_confusion_matrix(
    case: dict[str, Any],
) -> None:
    counts, causes = segmeter.error_causes(**case, return_map=True)
    arrays = counts.to_arrays()
    assert (sum(arrays.values()) == case["target"].size).all()
    shared = ("pred", "target", "num_classes", "ignore_index", "out_of_range")
    matrix = segmeter.confusion_matrix(
        **{name: case[name] for name in shared if name in case}, void_column=True
    )
    np.testing.assert_array_equal(counts.tp, segmeter.true_positives(matrix))
    np.testing.assert_array_equal(counts.fp, segmeter.false_positives(matrix))
    np.testing.assert_array_equal(counts.fn, segmeter.false_negatives(matrix))
    for side, name in enumerate(("fp", "fn")):
        for cause in ("boundary", "extent", "segment"):
            painted = np.count_nonzero(causes[side] == segmeter.Cause[cause.upper()])
            assert painted == arrays[f"{name}_{cause}"].sum()


def test_large_map_does_not_depend_on_threads() -> None:
    rng = np.random.default_rng(5)
    target = np.kron(rng.integers(0, 6, (12, 16)), np.ones((50, 50), np.int64)).astype(np.uint8)
    pred = np.roll(target, (4, -7), (0, 1))
    pred[rng.random(pred.shape) < 0.01] = 3
    results = [
        segmeter.error_causes(pred, target, num_classes=6, return_map=True, threads=threads)
        for threads in (1, 2, 5)
    ]
    expected = reference.error_causes(pred, target, num_classes=6, return_map=True)
    for counts, causes in results:
        assert counts == expected[0]
        np.testing.assert_array_equal(causes, expected[1])


@pytest.mark.parametrize("distance", ["exact", "fast"])
def test_camvid_equals_the_published_rules(shared: Any, distance: Any) -> None:
    from segmeter.io import read_label_map

    folder = shared / "data" / "camvid"
    files = sorted(folder.glob("*/*.png")) or sorted(folder.rglob("*.png"))
    assert files, "the shared data has no CamVid label maps"
    maps = [read_label_map(path).labels[::2, ::2] for path in files[:3]]
    for target, other in pairwise(maps):
        pred = np.roll(target, (2, -3), (0, 1)).copy()
        pred[40:80, 30:120] = other[40:80, 30:120]
        for ignored in (None, int(target[0, 0])):
            case = {"num_classes": 32, "distance": distance, "ignore_index": ignored}
            expected = reference.error_causes(
                pred, target, **case, out_of_range="ignore", return_map=True
            )
            counts, causes = segmeter.error_causes(
                pred, target, **case, out_of_range="ignore", return_map=True
            )
            assert counts == expected[0]
            np.testing.assert_array_equal(causes, expected[1])


# --- by hand --------------------------------------------------------------------------------------


def picture(text: str) -> np.ndarray:
    return np.array([[int(c) for c in line] for line in text.split()])


def test_hand_made_picture_of_all_causes() -> None:
    target = picture("""
        00000000000000
        01111000000000
        01111000000110
        01111000000110
        01111000000000
        00000000000000""")
    pred = picture("""
        00000000000000
        01111100000000
        01111111110000
        01111111110000
        01111100000000
        00000000000001""")
    counts, causes = segmeter.error_causes(
        pred, target, num_classes=2, width_pixels=1, return_map=True
    )
    expected = picture("""
        00000000000000
        00000100000000
        00000112220000
        00000112220000
        00000100000000
        00000000000003""")
    np.testing.assert_array_equal(np.where(pred == 1, causes[0], 0), expected)
    assert counts.tp[1] == 16
    assert counts.fn_segment[1] == 4
    assert counts.fp_segment[1] == 1
    assert counts.union[1] == 16 + 12 + 1 + 4


def test_a_piece_must_touch_hit_and_outside() -> None:
    # A ring of error around a hit, and outside only within reach over the corner of a gap.
    target, pred = np.zeros((2, 1, 12), np.uint8)
    target[0, 2:4] = 1
    pred[0, 2:9] = 1
    counts = segmeter.error_causes(pred, target, num_classes=2, width_pixels=3)
    # Seeds lie within 3 of the hit (columns 4-6) and of the outside (6-8): column 6. Grown by 3
    # it is the whole error, which touches both.
    assert counts.fp_boundary[1] == 5
    counts = segmeter.error_causes(pred, target, num_classes=2, width_pixels=2)
    assert (counts.fp_boundary[1], counts.fp_extent[1]) == (0, 5)


def test_seeds_grow_into_other_segments() -> None:
    # p: predicted only, t: target only, B: both. The errors of the last row are a segment without
    # a hit, but near the hit on the right: seeds, from which the error above them grows.
    errors = [
        "pppppBBttttt", "pppppp.ttttt", "ppppp...tttt", "pppp....tttt", "pppp....tttt",
        "pp.pp....ttt", "ppp.......tt", "p.........tt", "ppp.pp....tt", "pppppp....tt",
        ".......ppptB",
    ]  # fmt: skip
    letters = np.array([list(row) for row in errors])
    pred, target = np.isin(letters, ["p", "B"]), np.isin(letters, ["t", "B"])
    counts, kinds = segmeter.error_causes(
        pred, target, num_classes=2, width_pixels=4, return_map=True, map_class=1
    )
    assert counts.fp_boundary[1] == 39
    assert (kinds[8:10, 3:6] == segmeter.CauseKind.FP_BOUNDARY).sum() == 5


def test_exact_distance_is_rounded() -> None:
    # An offset of (2, 1) is 2.24 long, which rounds to 2; (2, 2) is 2.83, which does not.
    for offset, near in (((2, 1), True), ((2, 2), False)):
        rows = segmeter.cause._causes.element_rows(
            segmeter.cause._causes._nearness(0.01, 2, None, None, "exact"), (9, 9)
        )
        reach = {int(row): int(n) for _, row, n in rows}
        assert (reach[offset[0]] >= offset[1]) is near


def test_ignored_pixels_are_in_place_but_not_counted() -> None:
    target = np.array([[1, 1, 255, 0, 0, 0]])
    pred = np.array([[1, 1, 1, 1, 0, 0]])
    counts, causes = segmeter.error_causes(
        pred, target, num_classes=2, width_pixels=2, ignore_index=255, return_map=True
    )
    # Column 3 touches the hit only through the ignored error before it.
    assert counts.fp_boundary.tolist() == [0, 1]
    assert counts.ignored.tolist() == [1, 1]
    np.testing.assert_array_equal(causes[0], [[0, 0, 4, 1, 0, 0]])


def test_void_prediction_is_a_false_negative_only() -> None:
    counts = segmeter.error_causes(
        [[1, 255, 0]], [[1, 1, 0]], num_classes=2, width_pixels=1, ignore_index=255
    )
    assert counts.fn.tolist() == [0, 1]
    assert counts.fp.tolist() == [0, 0]


def test_spacing_of_equal_numbers_is_none_at_all() -> None:
    rng = np.random.default_rng(2)
    target = blobs(rng, (30, 40, 20), 4, 20)
    pred = np.roll(target, (1, 2, -2), (0, 1, 2))
    plain = segmeter.error_causes(pred, target, num_classes=4, width=0.05)
    spaced = segmeter.error_causes(pred, target, num_classes=4, width=0.05, spacing=(0.3, 0.3, 0.3))
    assert plain == spaced
    narrow = segmeter.error_causes(
        pred, target, num_classes=4, spacing=(3.0, 1.0, 1.0), width_physical=1.0
    )
    assert narrow != segmeter.error_causes(pred, target, num_classes=4, width_pixels=1)


# --- forms of input -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["F", "flipped", "strided", "swapped", "read_only", "transposed"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "u8"])
def test_any_memory_layout(kind: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    target = blobs(rng, (20, 30), 4, 20).astype(dtype)
    pred = np.roll(target, (1, 2), (0, 1))
    expected = reference.error_causes(pred, target, num_classes=4, width_pixels=2)

    def laid_out(array: np.ndarray) -> np.ndarray:
        if kind == "F":
            return np.asfortranarray(array)
        if kind == "flipped":
            return array[::-1, ::-1].copy()[::-1, ::-1]
        if kind == "strided":
            return np.repeat(np.repeat(array, 2, 1), 3, 0)[::3, ::2]
        if kind == "swapped":
            return array.astype(array.dtype.newbyteorder())
        if kind == "transposed":
            return np.ascontiguousarray(array.T).T
        array = array.copy()
        array.flags.writeable = False
        return array

    found = segmeter.error_causes(laid_out(pred), laid_out(target), num_classes=4, width_pixels=2)
    assert found == expected


def test_bool_masks() -> None:
    target = np.zeros((8, 9), bool)
    target[2:5, 2:7] = True
    pred = np.roll(target, 1, 1)
    counts = segmeter.error_causes(pred, target, num_classes=2, width_pixels=1)
    assert counts == reference.error_causes(pred, target, num_classes=2, width_pixels=1)
    odd_bytes = (pred.astype(np.uint8) * 3).view(bool)
    assert segmeter.error_causes(odd_bytes, target, num_classes=2, width_pixels=1) == counts


def test_labels_are_mapped_before_segments_are_formed() -> None:
    target = np.array([[7, 7, 9, 0, 0]])
    pred = np.array([[7, 0, 9, 9, 0]])
    case: dict[str, Any] = {"num_classes": 2, "labels": {0: 0, 7: 1, 9: 1}, "width_pixels": 1}
    counts = segmeter.error_causes(pred, target, **case)
    assert counts == reference.error_causes(pred, target, **case)
    merged = segmeter.error_causes(pred > 0, target > 0, num_classes=2, width_pixels=1)
    assert counts == merged


def test_a_list_is_the_sum_of_its_maps() -> None:
    rng = np.random.default_rng(4)
    targets = [blobs(rng, shape, 3, 9) for shape in ((20, 30), (8, 9, 7), (1, 1))]
    preds = [np.roll(target, 1, -1) for target in targets]
    counts, maps = segmeter.error_causes(preds, targets, num_classes=3, return_map=True)
    single = [
        segmeter.error_causes(p, t, num_classes=3) for p, t in zip(preds, targets, strict=True)
    ]
    assert counts == single[0] + single[1] + single[2]
    assert counts == reference.error_causes(preds, targets, num_classes=3)
    assert [m.shape for m in maps] == [(2, *t.shape) for t in targets]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (3, 0, 2)])
def test_empty_maps_give_zeros(shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, np.uint8)
    counts, causes = segmeter.error_causes(empty, empty, num_classes=3, return_map=True)
    assert all((array == 0).all() for array in counts.to_arrays().values())
    assert causes.shape == (2, *shape)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"pred": np.zeros((2, 3), int)}, ValueError, "same shape"),
        ({"pred": np.zeros((3, 3))}, TypeError, "integer or bool"),
        ({"pred": np.full((3, 3), 9)}, ValueError, r"9 \(9 pixels, first at \(0, 0\)\)"),
        ({"target": np.full((3, 3), -1)}, ValueError, "target holds labels outside 0..1"),
        ({"pred": np.zeros(9, int), "target": np.zeros(9, int)}, ValueError, "2-D or 3-D"),
        ({"num_classes": 0}, ValueError, "num_classes"),
        ({"width": 0.0}, ValueError, "above 0"),
        ({"width": 5}, ValueError, "width_pixels"),
        ({"width": True}, TypeError, "width must be a number"),
        ({"width_pixels": 1.5}, TypeError, "integer"),
        ({"width_pixels": True}, TypeError, "integer"),
        ({"width_pixels": -1}, ValueError, "negative"),
        ({"width_pixels": 1, "spacing": (1, 1)}, ValueError, "width_physical"),
        ({"width_physical": 1.0}, ValueError, "needs spacing"),
        ({"spacing": (1.0,)}, ValueError, "one number per axis"),
        ({"spacing": (1.0, float("nan"))}, ValueError, "finite"),
        ({"spacing": 1.0}, TypeError, "one number per axis"),
        ({"distance": "city"}, ValueError, "distance must be one of"),
        ({"map_class": 0}, ValueError, "return_map=True"),
        ({"map_class": 2, "return_map": True}, ValueError, "map_class must lie"),
        ({"map_class": True, "return_map": True}, TypeError, "integer"),
        ({"ignore_index": np.zeros((2, 2), bool)}, ValueError, "target's shape"),
        ({"threads": -1}, ValueError, "threads"),
    ],
)
def test_bad_input_is_one_clear_error(change: Any, error: type[Exception], text: str) -> None:
    case: dict[str, Any] = {
        "pred": np.zeros((3, 3), int),
        "target": np.zeros((3, 3), int),
        "num_classes": 2,
    }
    with pytest.raises(error, match=text):
        segmeter.error_causes(**(case | change))


def test_a_bad_map_of_a_list_is_named() -> None:
    good, bad = np.zeros((3, 3), int), np.full((3, 3), 5)
    with pytest.raises(ValueError, match="image 1 of the list: pred holds labels"):
        segmeter.error_causes([good, bad], [good, good], num_classes=2)
    with pytest.raises(ValueError, match="pred must be a list of 2 maps"):
        segmeter.error_causes([good], [good, good], num_classes=2)


# --- counts and scores ----------------------------------------------------------------------------


def counts_of(**columns: list[int]) -> CauseCounts:
    classes = len(next(iter(columns.values())))
    zeros = {name: np.zeros(classes, np.int64) for name in COLUMNS}
    return CauseCounts(**(zeros | {name: np.array(v, np.int64) for name, v in columns.items()}))


@given(st.lists(st.lists(st.integers(0, 9), min_size=7, max_size=7), min_size=1, max_size=5))
def test_scores_equal_the_twin(rows: list[list[int]]) -> None:
    names = [name for name in COLUMNS if name != "tn"]
    counts = counts_of(**{name: [row[k % 7] for row in rows] for k, name in enumerate(names)})
    for absent in ("nan", "zero", "one"):
        for side in ("both", "fp", "fn"):
            found = segmeter.cause_shares(counts, side=side, absent=absent)
            assert_same(found, reference.cause_shares(counts, side=side, absent=absent))
        assert_same(
            segmeter.renormed_causes(counts, absent=absent),
            reference.renormed_causes(counts, absent=absent),
        )
        for cumulative in (False, True):
            options = {"cumulative": cumulative, "absent": absent}
            found_scores = segmeter.repaired_scores(counts, **options)
            expected = reference.repaired_scores(counts, **options)
            assert found_scores.keys() == expected.keys()
            for repaired, scores in expected.items():
                assert_same(found_scores[repaired], scores)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-15, err_msg=name)


def test_scores_by_hand() -> None:
    counts = counts_of(
        tp=[50, 0, 0], fp_boundary=[10, 0, 0], fn_boundary=[10, 0, 0], fp_extent=[0, 0, 0],
        fn_extent=[20, 0, 0], fp_segment=[10, 4, 0],
    )  # fmt: skip
    shares = segmeter.cause_shares(counts)
    np.testing.assert_allclose(shares["boundary"], [0.2, 0.0, np.nan])
    np.testing.assert_allclose(shares["extent"], [0.2, 0.0, np.nan])
    np.testing.assert_allclose(shares["segment"], [0.1, 1.0, np.nan])
    np.testing.assert_allclose(segmeter.cause_shares(counts, side="fn")["boundary"][0], 0.1)
    renormed = segmeter.renormed_causes(counts)
    np.testing.assert_allclose(renormed["boundary"], [20 / 70, np.nan, np.nan])
    np.testing.assert_allclose(renormed["extent"], [20 / 90, np.nan, np.nan])
    np.testing.assert_allclose(renormed["segment"], [10 / 100, 1.0, np.nan])
    scores = segmeter.repaired_scores(counts)
    np.testing.assert_allclose(scores["none"]["iou"], [0.5, 0.0, np.nan])
    np.testing.assert_allclose(scores["boundary"]["iou"], [60 / 90, 0.0, np.nan])
    np.testing.assert_allclose(scores["extent"]["iou"], [0.7, 0.0, np.nan])
    np.testing.assert_allclose(scores["segment"]["iou"], [50 / 90, 1.0, np.nan])
    np.testing.assert_allclose(scores["segment"]["dice"], [100 / 140, 1.0, np.nan])
    assert scores["segment"]["mean_iou"] == pytest.approx((50 / 90 + 1) / 2)
    stages = segmeter.repaired_scores(counts, cumulative=True)
    np.testing.assert_allclose(stages["extent"]["iou"], [80 / 90, 0.0, np.nan])
    np.testing.assert_allclose(stages["segment"]["iou"], [1.0, 1.0, np.nan])
    with pytest.raises(ValueError, match="absent"):
        segmeter.cause_shares(counts, absent="raise")


def test_counts_sum() -> None:
    one = segmeter.error_causes(np.array([[0, 1]]), np.array([[0, 0]]), num_classes=2)
    both = sum([one, one])
    assert both.fp.tolist() == [0, 2]
    with pytest.raises(TypeError):
        sum([one], start=1)


@settings(deadline=None, max_examples=50)
@given(cases())
def test_shares_and_iou_add_up_to_one(case: dict[str, Any]) -> None:
    counts = segmeter.error_causes(**case)
    iou = segmeter.repaired_scores(counts)["none"]["iou"]
    total = iou + sum(segmeter.cause_shares(counts).values())
    np.testing.assert_allclose(total[counts.union > 0], 1.0, rtol=1e-12)
    assert np.isnan(total[counts.union == 0]).all()


def test_counts_survive_a_file_and_refuse_nonsense() -> None:
    counts = counts_of(tp=[1, 2])
    arrays = counts.to_arrays()
    assert CauseCounts.from_arrays(arrays) == counts
    assert counts != counts_of(tp=[1, 3])
    for change in ({"tp": np.array([1, -2])}, {"tp": np.array([1.0, 2.0])}, {"tn": np.array([1])}):
        with pytest.raises(ValueError, match=next(iter(change))):
            CauseCounts.from_arrays(arrays | change)
    del arrays["tn"]
    with pytest.raises(ValueError, match="lacks tn"):
        CauseCounts.from_arrays(arrays)
    with pytest.raises(ValueError, match="same classes"):
        counts + counts_of(tp=[1])


# --- region facts ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=120)
@given(cases(), st.sampled_from((0.0, 0.3, 0.5, 0.75)))
def test_region_facts_equal_the_twin(case: dict[str, Any], threshold: float) -> None:
    shared = ("pred", "target", "num_classes", "ignore_index", "out_of_range")
    arguments = {name: case[name] for name in shared if name in case}
    if case["target"].size > 400:  # the twin goes through all pairs of regions
        arguments["pred"], arguments["target"] = case["pred"][:12, :12], case["target"][:12, :12]
        if isinstance(case.get("ignore_index"), np.ndarray):
            arguments["ignore_index"] = case["ignore_index"][:12, :12]
    found = segmeter.region_facts(**arguments, threshold=threshold)
    assert found == reference.region_facts(**arguments, threshold=threshold)
    counts = segmeter.error_causes(**arguments)
    np.testing.assert_array_equal(found.false_negatives.sum(axis=1), counts.fn)
    np.testing.assert_array_equal(found.false_positives.sum(axis=1), counts.fp)
    if threshold == 0:  # a region without a common pixel is one without a true positive
        nothing = [segmeter.RegionFact.LOST, segmeter.RegionFact.WRONG_CLASS]
        lost = found.false_negatives[:, nothing].sum(axis=1)
        np.testing.assert_array_equal(lost, counts.fn_segment)
        lost = found.false_positives[:, nothing].sum(axis=1)
        np.testing.assert_array_equal(lost, counts.fp_segment)


def test_region_facts_by_hand() -> None:
    target = picture("111110222011 111110222011 000000000000 303000220000 303000220000")
    pred = picture("110110333000 110110333000 000000000440 333000000000 333000220000")
    facts = segmeter.region_facts(pred, target, num_classes=5)
    assert facts.split.tolist() == [0, 1, 0, 0, 0]
    assert facts.missed.tolist() == [0, 1, 0, 0, 0]
    assert facts.wrong_class.tolist() == [0, 0, 1, 0, 0]
    assert facts.invented.tolist() == [0, 0, 0, 0, 1]
    assert facts.merge.tolist() == [0, 0, 0, 1, 0]
    assert facts.target_regions[3, segmeter.RegionFact.MERGE] == 2
    assert facts.false_negatives[1].tolist() == [0, 4, 0, 2, 0]
    assert facts.false_positives[3].tolist() == [0, 0, 6, 0, 2]
    assert facts.false_negatives[2].tolist() == [2, 0, 6, 0, 0]


def test_region_facts_of_lists_and_files() -> None:
    maps = [picture("0110 0110"), picture("01 01 11")]
    facts = segmeter.region_facts(maps, [*maps[:1], 1 - maps[1]], num_classes=2)
    assert facts == segmeter.region_facts(maps[0], maps[0], num_classes=2) + (
        segmeter.region_facts(maps[1], 1 - maps[1], num_classes=2)
    )
    arrays = facts.to_arrays()
    assert segmeter.RegionFacts.from_arrays(arrays) == facts
    with pytest.raises(ValueError, match="pred_regions must hold counts"):
        segmeter.RegionFacts.from_arrays(arrays | {"pred_regions": np.zeros((2, 4), int)})
    with pytest.raises(ValueError, match="below 1"):
        segmeter.region_facts(maps[0], maps[0], num_classes=2, threshold=1.0)
    with pytest.raises(TypeError, match="number"):
        segmeter.region_facts(maps[0], maps[0], num_classes=2, threshold=True)
    with pytest.raises(ValueError, match="pred holds labels outside"):
        segmeter.region_facts(maps[0] + 5, maps[0], num_classes=2)


def test_scores_in_place_of_labels_are_refused_with_what_to_do() -> None:
    scores = np.array([[0.2, 0.8]])
    with pytest.raises(TypeError, match=r"pred must hold integer .* by argmax or a threshold"):
        segmeter.error_causes(scores, [[0, 1]], num_classes=2)
