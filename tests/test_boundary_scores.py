"""Surface scores against their twin, by hand, and what they refuse; counts that add up."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import segmeter
from segmeter import SURFACE_PRESETS, BoundaryCounts, SurfaceRules, _core, reference
from segmeter.boundary._counts import histogram
from segmeter.boundary._distances import linear_percentiles, weighted_percentiles
from segmeter.reference import boundary_scores

SCORES = ("hausdorff", "hausdorff_percentile", "asd", "assd", "masd", "nsd", "surface_overlap")
PERCENTILES = (0, 37.5, 50, 95, 100)
TOLERANCES = (0, 0.8, 1, 2.5)

TARGET = np.zeros((8, 9), np.uint8)
TARGET[2:6, 2:6] = 1
TARGET[6:8, 7:9] = 2
PRED = np.roll(TARGET, 1, axis=1)
PRED[:, 0] = 0
EMPTY = np.zeros_like(TARGET)

rules_of_any_kind = st.builds(
    replace,
    st.sampled_from(list(SURFACE_PRESETS.values())),
    percentile=st.sampled_from(("weighted_cdf", "max_directed", "pooled", "directed")),
    mean=st.sampled_from(("pooled", "mean_of_directed", "max_of_directed", "directed")),
    overlap=st.sampled_from(("pooled", "mean_of_directed")),
    empty=st.sampled_from(
        [SURFACE_PRESETS[name].empty for name in ("deepmind", "monai", "seg_metrics", "distorch")]
    ),
    single_precision=st.booleans(),
)


@st.composite
def label_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Two maps of rectangles of three classes, some of which are absent, and a spacing."""
    ndim = draw(st.sampled_from((2, 2, 3)))
    shape = draw(st.lists(st.integers(1, 12 if ndim == 2 else 7), min_size=ndim, max_size=ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    maps = np.zeros((2, *shape), np.uint8)
    for side in maps:
        for _ in range(draw(st.integers(0, 6))):
            low = [int(rng.integers(0, n)) for n in shape]
            side[tuple(slice(a, a + rng.integers(1, 6)) for a in low)] = rng.integers(0, 4)
    spacing = draw(st.lists(st.sampled_from((1.0, 0.8, 2.0)), min_size=ndim, max_size=ndim))
    return maps[0], maps[1], tuple(spacing)


@given(label_maps(), rules_of_any_kind)
def test_every_score_equals_its_twin(case: Any, rules: SurfaceRules) -> None:
    pred, target, spacing = case
    options: dict[str, Any] = {"spacing": spacing, "num_classes": 4}
    scores = segmeter.surface_scores(
        pred, target, preset=rules, percentile=PERCENTILES, tolerance=TOLERANCES, **options
    )
    distances = segmeter.surface_distances(
        pred, target, surface=rules.surface, weights=rules.weights, border=rules.border, **options
    )
    expected = boundary_scores.surface_scores(
        distances, rules, percentile=PERCENTILES, tolerance=TOLERANCES
    )
    assert list(scores.classes) == list(expected) == [1, 2, 3]
    for k, twin in enumerate(expected.values()):
        for name in SCORES:
            mine = getattr(scores, name)[k]
            np.testing.assert_allclose(mine, twin[name], rtol=1e-13, atol=1e-13, err_msg=name)
    for part in (scores.empty_pred, scores.empty_target):
        assert part.shape == (3,)
    np.testing.assert_array_equal(scores.empty_pred, [d.empty_pred for d in distances.values()])


@given(label_maps(), st.sampled_from(list(SURFACE_PRESETS)))
def test_every_function_gives_what_all_scores_give(case: Any, preset: str) -> None:
    pred, target, spacing = case
    options: dict[str, Any] = {"preset": preset, "spacing": spacing, "num_classes": 4}
    options["empty"] = {"both": 0, "pred": 7, "target": "diagonal"}
    scores = segmeter.surface_scores(pred, target, percentile=(50, 95), tolerance=(1, 2), **options)
    combined = options | {"percentile_rule": scores.rules.percentile}
    if scores.rules.percentile == "directed":
        combined["percentile_rule"] = "max_directed"
    hausdorff = segmeter.hausdorff_distance(pred, target, **combined)
    np.testing.assert_array_equal(hausdorff, scores.hausdorff)
    robust = segmeter.hausdorff_distance(pred, target, percentile=(50, 95), **combined)
    np.testing.assert_array_equal(robust, scores.hausdorff_percentile)
    np.testing.assert_array_equal(segmeter.assd(pred, target, **options), scores.assd)
    np.testing.assert_array_equal(segmeter.masd(pred, target, **options), scores.masd)
    np.testing.assert_array_equal(
        segmeter.nsd(pred, target, tolerance=2, **options), scores.nsd[:, 1]
    )
    for side, direction in enumerate(("pred_to_target", "target_to_pred")):
        directed: Any = {"direction": direction} | options
        np.testing.assert_array_equal(segmeter.asd(pred, target, **directed), scores.asd[:, side])
        overlap = segmeter.surface_overlap(pred, target, tolerance=(1, 2), **directed)
        np.testing.assert_array_equal(overlap, scores.surface_overlap[..., side])


@given(label_maps(), st.sampled_from(list(SURFACE_PRESETS)))
def test_maps_of_swapped_roles_swap_the_directions(case: Any, preset: str) -> None:
    pred, target, spacing = case
    options: dict[str, Any] = {"preset": preset, "spacing": spacing, "num_classes": 4}
    options["empty"] = "inf"
    options["empty"] = {"both": 0, "pred": 7, "target": 7}
    one = segmeter.surface_scores(pred, target, **options)
    other = segmeter.surface_scores(target, pred, **options)
    for name in ("hausdorff", "hausdorff_percentile", "assd", "masd", "nsd"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-13)
    np.testing.assert_array_equal(one.asd, other.asd[:, ::-1])
    np.testing.assert_array_equal(one.surface_overlap, other.surface_overlap[..., ::-1])


finite = st.floats(0, 100, allow_subnormal=False)


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=finite), st.lists(finite, min_size=1))
def test_linear_percentiles_are_numpys(values: np.ndarray, percentiles: list[float]) -> None:
    np.testing.assert_array_equal(
        linear_percentiles(values, percentiles), np.percentile(values, percentiles)
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from((1, 3, 50)))
def test_weighted_percentiles_are_those_of_the_sorted_list(
    seed: int, size: int, steps: int
) -> None:
    # Few values and few weights: sums that meet a share exactly, up to rounding, are common.
    rng = np.random.default_rng(seed)
    values = np.sqrt(rng.integers(0, steps, size))
    weights = np.sqrt(rng.integers(1, 4, size))
    expected = [boundary_scores.weighted_percentile(values, weights, p) for p in PERCENTILES]
    found = weighted_percentiles([values], [weights], PERCENTILES)
    np.testing.assert_array_equal(found, [expected])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1023, 1024, 1025, 5000])
def test_sums_of_distances_are_those_of_the_twin(size: int) -> None:
    # Eighths, whose sums are exact in any order.
    rng = np.random.default_rng(size)
    values, weights = rng.integers(0, 400, (2, size)) / 8
    tolerances = np.array([0.0, 10.125, 49.875, np.inf])
    (ours,) = _core.distance_sums([values], [weights], tolerances[None])
    assert ours.tolist() == boundary_scores.distance_sums(values, weights, tolerances)
    (ours,) = _core.distance_sums([np.sqrt(values)], [np.sqrt(weights)], tolerances[None])
    theirs = boundary_scores.distance_sums(np.sqrt(values), np.sqrt(weights), tolerances)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_percentiles_that_rounding_decides_are_left_open() -> None:
    values, weights = np.array([1.0, 2.0]), np.array([1.0, 1.0])
    found = _core.weighted_percentiles([values], [weights], np.array([0.0, 49, 50, 51, 100]))
    np.testing.assert_array_equal(found, [[1, 1, np.nan, 2, 2]])
    far = [np.array([np.inf, 1])]
    found = _core.weighted_percentiles(far, [weights], np.array([10.0]))
    np.testing.assert_array_equal(found, [[np.nan]])


def test_sets_of_distances_are_reduced_each_on_its_own() -> None:
    rng = np.random.default_rng(3)
    sets = [np.sqrt(rng.integers(0, 9, size)) for size in (40, 3, 1, 2500)]
    weights = [rng.uniform(0.5, 1.5, part.size) for part in sets]
    limits = rng.uniform(0, 3, (4, 2))
    rows = zip(sets, weights, limits, strict=True)
    each = [_core.distance_sums([part], [weight], row[None])[0] for part, weight, row in rows]
    np.testing.assert_array_equal(_core.distance_sums(sets, weights, limits), each)
    found = weighted_percentiles(sets, weights, PERCENTILES)
    for k, (part, weight) in enumerate(zip(sets, weights, strict=True)):
        expected = [boundary_scores.weighted_percentile(part, weight, p) for p in PERCENTILES]
        np.testing.assert_array_equal(found[k], expected)


@pytest.mark.parametrize("size", [2047, 2048, 2051, 9000])
@pytest.mark.parametrize("percentiles", [[95.0], [100.0], [50.0, 99.0], [0.0, 3.0]])
def test_percentiles_of_many_distances(size: int, percentiles: list[float]) -> None:
    # Only what is farther than a floor is looked at; what it is taken from may be far off.
    rng = np.random.default_rng(size)
    weights = rng.uniform(0.5, 1.5, size)
    tied = np.sqrt(rng.integers(0, 5, size))
    spread = rng.exponential(size=size)
    step = size // 256
    by_definition = boundary_scores.weighted_percentile
    for is_misled in (False, True):
        for values in (tied, spread):
            if is_misled:
                values[::step] = 50.0
            expected = [by_definition(values, weights, p) for p in percentiles]
            found = weighted_percentiles([values], [weights], percentiles)
            np.testing.assert_array_equal(found, [expected])
            (decided,) = _core.weighted_percentiles([values], [weights], np.array(percentiles))
            assert np.isfinite(decided[np.array(percentiles) > 0]).all()


def test_sums_need_a_weight_for_each_distance() -> None:
    for call in (_core.distance_sums, _core.weighted_percentiles):
        with pytest.raises(ValueError, match="equally many"):
            call([np.ones(3)], [np.ones(2)], np.ones((1, 1)))
        with pytest.raises(ValueError, match="weights for each set"):
            call([np.ones(3)], [], np.ones((1, 1)))
    with pytest.raises(ValueError, match="distances"):
        _core.weighted_percentiles([np.empty(0)], [np.empty(0)], np.ones(1))
    with pytest.raises(ValueError, match="a row for each set"):
        _core.distance_sums([np.ones(3)], [np.ones(3)], np.ones((2, 1)))


# --- by hand ----------------------------------------------------------------------------------


def test_scores_of_a_shifted_square() -> None:
    # The square's corners lie on 16 pixels of which 12 are its outline; shifted by one along x.
    options: dict[str, Any] = {"classes": [1], "spacing": (1, 3), "preset": "metrics_reloaded"}
    scores = segmeter.surface_scores(PRED, TARGET, tolerance=(0, 1, 3), **options)
    # 6 of the 12 stay on the other outline; of the rest 4 are 3 off and 2 inside, 1 from it.
    assert scores.points.tolist() == [[12, 12]]
    assert scores.hausdorff == 3
    assert scores.assd == scores.masd == (6 * 0 + 2 * 1 + 4 * 3) / 12
    np.testing.assert_array_equal(scores.asd, [[14 / 12, 14 / 12]])
    np.testing.assert_array_equal(scores.nsd, [[6 / 12, 8 / 12, 1]])
    assert (scores.within[0, :, 0] == [6, 8, 12]).all()


def test_masks_give_numbers_and_label_maps_a_number_per_class() -> None:
    mask = segmeter.hausdorff_distance(PRED == 1, TARGET == 1)
    assert isinstance(mask, float)
    per_class = segmeter.hausdorff_distance(PRED, TARGET, num_classes=3)
    assert per_class.shape == (2,)
    assert per_class[0] == mask
    groups = segmeter.nsd(PRED, TARGET, tolerance=(1, 2), groups={"any": [1, 2], "two": [2]})
    assert groups.shape == (2, 2)
    directed = segmeter.assd(PRED == 1, TARGET == 1, mean_rule="directed")
    assert directed.shape == (2,)
    pair = segmeter.hausdorff_distance(PRED, TARGET, num_classes=3, preset="distorch")
    assert pair.shape == (2, 2)
    pair = segmeter.hausdorff_distance(
        PRED, TARGET, num_classes=3, preset="distorch", percentile=(50, 95)
    )
    assert pair.shape == (2, 2, 2)


def test_distances_measured_before_serve_all_scores() -> None:
    distances = segmeter.surface_distances(PRED, TARGET, num_classes=3, surface="voxel_face")
    mine = segmeter.hausdorff_distance(distances, percentile=95, preset="medpy")
    again = segmeter.hausdorff_distance(PRED, TARGET, percentile=95, preset="medpy", num_classes=3)
    np.testing.assert_array_equal(mine, again)
    with pytest.raises(ValueError, match="needs distances with surface='corner'"):
        segmeter.hausdorff_distance(distances, preset="deepmind")
    with pytest.raises(TypeError, match="spacing has no meaning beside distances"):
        segmeter.hausdorff_distance(distances, spacing=(1, 1))
    with pytest.raises(TypeError, match="target has no meaning beside distances"):
        segmeter.hausdorff_distance(distances, TARGET)
    ignored = segmeter.surface_distances(PRED, TARGET, num_classes=3, border="ignore")
    with pytest.raises(ValueError, match="border='background'"):
        segmeter.nsd(ignored, tolerance=1, preset="deepmind")
    assert segmeter.nsd(ignored, tolerance=1).shape == (2,)


def test_options_overrule_the_preset() -> None:
    maps = (PRED == 1, TARGET == 1)
    faces = segmeter.hausdorff_distance(*maps, preset="monai", surface="voxel_full", percentile=90)
    full = segmeter.surface_distances(*maps, surface="voxel_full")
    expected = segmeter.hausdorff_distance(
        full, percentile=90, preset=replace(SURFACE_PRESETS["monai"], surface="voxel_full")
    )
    assert faces == expected
    corner = segmeter.surface_scores(*maps, preset="monai", surface="corner")
    assert corner.weight[0, 0] != corner.points[0, 0]  # weighted as corners are


def test_tolerances_one_many_per_class_and_both() -> None:
    options: dict[str, Any] = {"num_classes": 3, "preset": "monai"}
    table = segmeter.nsd(PRED, TARGET, tolerance=(0, 1, 2), **options)
    assert table.shape == (2, 3)
    np.testing.assert_array_equal(
        segmeter.nsd(PRED, TARGET, tolerance={1: 0, 2: 1}, **options), [table[0, 0], table[1, 1]]
    )
    per_class = np.array([[0, 1], [1, 2.0]])
    np.testing.assert_array_equal(
        segmeter.nsd(PRED, TARGET, tolerance=per_class, **options), [table[0, :2], table[1, 1:]]
    )
    assert (segmeter.nsd(PRED, TARGET, tolerance=math.inf, **options) == 1).all()


def test_numbers_of_any_kind_and_maps_without_a_pixel() -> None:
    maps = (PRED == 1, TARGET == 1)
    for tolerance in (1, 1.0, np.float32(1), np.array(1.0)):
        assert segmeter.nsd(*maps, tolerance=tolerance) == segmeter.nsd(*maps, tolerance=1)
    for percentile in (95, np.int16(95), np.array(95)):
        found = segmeter.hausdorff_distance(*maps, percentile=percentile)
        assert found == segmeter.hausdorff_distance(*maps, percentile=95.0)
    assert segmeter.hausdorff_distance(*maps, percentile=np.array([95])).shape == (1,)
    nothing = np.zeros((0, 5), bool)
    assert segmeter.hausdorff_distance(nothing, nothing) == 0
    assert segmeter.surface_scores(PRED, TARGET, classes=[], tolerance=(1, 2)).nsd.shape == (0, 2)
    assert segmeter.surface_scores(PRED, TARGET, classes=[1], tolerance=[]).nsd.shape == (1, 0)
    counts = segmeter.boundary_counts(PRED, TARGET, classes=[])
    assert BoundaryCounts.from_arrays(counts.to_arrays()) == counts
    assert segmeter.dataset_percentile(counts, [50]).shape == (0, 1)


# --- empty surfaces ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "both", "one"),
    [
        # HD, HD95, assd, nsd of nothing against nothing, and of something missed
        (None, [0, 0, 0, 1], [math.inf, math.inf, math.inf, 0]),
        ("deepmind", [math.inf, math.inf, math.nan, math.nan], [math.inf, math.inf, math.inf, 0]),
        ("monai", [math.nan] * 4, [math.inf, math.nan, math.inf, 0]),
        ("metrics_reloaded", [0, 0, 0, 1], [math.nan, math.nan, math.nan, 0]),
        ("seg_metrics", [0, 0, 0, 1], [0, 0, 0, 1]),
        ("distorch", [math.nan] * 4, [math.nan] * 4),
        ("skimage", [0, 0, 0, 1], [math.inf, math.inf, math.inf, 0]),
    ],
)
def test_scores_without_a_surface(preset: str | None, both: list[float], one: list[float]) -> None:
    for maps, expected in (((EMPTY, EMPTY), both), ((EMPTY, TARGET), one), ((TARGET, EMPTY), one)):
        scores = segmeter.surface_scores(*maps, preset=preset, classes=[1])
        found = [scores.hausdorff[0], scores.hausdorff_percentile[0, 0], scores.assd[0]]
        np.testing.assert_array_equal([*found, scores.nsd[0, 0]], expected)
        assert scores.empty_pred[0] == (maps[0] is EMPTY)
        assert scores.empty_target[0] == (maps[1] is EMPTY)


@pytest.mark.parametrize("preset", ["medpy", "panoptica", "simpleitk"])
def test_presets_that_raise_without_a_surface(preset: str) -> None:
    for maps, who in (
        ((EMPTY, EMPTY), "neither map has a surface of class 1"),
        ((EMPTY, TARGET), "pred has no surface of class 1"),
        ((TARGET, EMPTY), "target has no surface of class 1"),
    ):
        for function in (segmeter.hausdorff_distance, segmeter.asd, segmeter.assd, segmeter.masd):
            with pytest.raises(ValueError, match=who):
                function(*maps, preset=preset, classes=[1])


def test_empty_chooses_distances_case_by_case() -> None:
    diagonal = math.hypot(8 * 2, 9 * 3)
    options: dict[str, Any] = {"classes": [1], "spacing": (2, 3)}

    def found(empty: Any) -> list[float]:
        return [
            segmeter.hausdorff_distance(*maps, empty=empty, **options)[0]
            for maps in ((EMPTY, EMPTY), (EMPTY, TARGET), (TARGET, EMPTY))
        ]

    assert found("diagonal") == [0, diagonal, diagonal]
    assert found(374) == [0, 374, 374]
    assert found({"both": 1, "pred": "diagonal", "target": "inf"}) == [1, diagonal, math.inf]
    assert np.isnan(found("nan")).all()
    assert found({"target": 5}) == [0, math.inf, 5]
    with pytest.raises(ValueError, match="neither map has a surface of class 1"):
        found("raise")
    shares = segmeter.nsd(EMPTY, TARGET, tolerance=(1, 2), empty="diagonal", **options)
    assert (shares == 0).all()
    # From a surface that does not exist: DeepMind divides by nothing, we say what is missed.
    assert np.isnan(segmeter.asd(EMPTY, TARGET, classes=[1], preset="deepmind"))
    assert segmeter.asd(EMPTY, TARGET, classes=[1]) == math.inf
    rules = SURFACE_PRESETS["deepmind"].empty
    assert segmeter.hausdorff_distance(EMPTY, EMPTY, classes=[1], empty=rules) == math.inf


def test_a_full_mask_has_a_surface_only_if_the_border_is_background() -> None:
    full = np.ones((4, 5), bool)
    assert segmeter.hausdorff_distance(full, full, preset="monai") == 0
    scores = segmeter.surface_scores(full, full, border="ignore")
    assert scores.empty_pred.all()
    assert scores.empty_target.all()
    assert scores.hausdorff == 0
    single = np.zeros((4, 5), bool)
    single[0, 0] = True
    assert segmeter.hausdorff_distance(single, full, preset="monai") == 5
    assert segmeter.hausdorff_distance(single, full, preset="skimage") == 5


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"percentile": 101}, ValueError, "percentile must be a number from 0 to 100, got 101"),
        ({"percentile": -1}, ValueError, "percentile must be a number from 0 to 100"),
        ({"percentile": math.nan}, ValueError, "percentile must be a number from 0 to 100"),
        ({"percentile": True}, TypeError, "percentile must be a number, got True"),
        ({"percentile": "95"}, TypeError, "percentile must be a number, got '95'"),
        ({"percentile": []}, TypeError, "percentile must be"),
        ({"tolerance": -1}, ValueError, "tolerance must be a number from 0 on, got -1"),
        ({"tolerance": math.nan}, ValueError, "tolerance must be a number from 0 on"),
        ({"tolerance": "1"}, TypeError, "tolerance must be a number, got '1'"),
        ({"tolerance": [[1]]}, TypeError, "tolerance must be a distance or several"),
        ({"tolerance": {1: 1}}, ValueError, r"every class, \[1, 2\]: missing 2"),
        ({"tolerance": {1: 1, 2: 1, 3: 1}}, ValueError, "unknown 3"),
        ({"tolerance": np.ones((3, 1))}, ValueError, "one row per class, 2, got 3"),
        ({"preset": "matlab"}, ValueError, "preset must be SurfaceRules or one of 'deepmind'"),
        ({"preset": "davis"}, ValueError, "boundary_f_counts"),
        ({"percentile_rule": "mean"}, ValueError, "percentile must be one of 'weighted_cdf'"),
        ({"mean_rule": "median"}, ValueError, "mean must be one of 'pooled'"),
        ({"overlap_rule": "max"}, ValueError, "overlap must be one of"),
        ({"empty": -1}, ValueError, "empty must be a distance from 0 on"),
        ({"empty": "zero"}, ValueError, "empty must be 'nan', 'inf'"),
        ({"empty": True}, ValueError, "empty must be 'nan', 'inf'"),
        ({"empty": {"one": 0}}, ValueError, "keys 'both', 'pred' or 'target', got 'one'"),
        ({"spacing": (1, 0)}, ValueError, "spacing must hold finite numbers above 0"),
        ({"spacing": (1, math.nan)}, ValueError, "spacing must hold finite numbers above 0"),
        ({"spacing": (1, 1, 1)}, ValueError, "one number per axis"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        segmeter.surface_scores(PRED, TARGET, num_classes=3, **options)


def test_bad_maps() -> None:
    with pytest.raises(TypeError, match="target is missing"):
        segmeter.hausdorff_distance(PRED)
    with pytest.raises(ValueError, match="same shape"):
        segmeter.masd(PRED, TARGET[1:], num_classes=3)
    with pytest.raises(ValueError, match="label"):
        segmeter.assd(PRED, TARGET)  # two labels, and masks are meant
    with pytest.raises(ValueError, match="direction must be"):
        segmeter.asd(PRED == 1, TARGET == 1, direction="both")
    with pytest.raises(TypeError, match="unexpected keyword argument 'voxelspacing'"):
        segmeter.asd(PRED == 1, TARGET == 1, voxelspacing=(1, 1))
    with pytest.raises(TypeError, match="empty must be EmptyRules"):
        SurfaceRules(empty="nan")


# --- counts that add up -----------------------------------------------------------------------


def maps_of(seed: int, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        target = np.zeros((12, 14), np.uint8)
        y, x = rng.integers(1, 6, 2)
        target[y : y + 5, x : x + 6] = 1
        pred = np.roll(target, tuple(rng.integers(-2, 3, 2)), axis=(0, 1))
        pred[-2:, :3] = 2 * rng.integers(0, 2)
        found.append((pred, target))
    return found


@pytest.mark.parametrize("preset", ["deepmind", "monai", "medpy", "panoptica"])
def test_counts_of_cases_add_up(preset: str) -> None:
    cases = maps_of(3, 7)
    options: dict[str, Any] = {"num_classes": 3, "preset": preset, "spacing": (0.5, 1)}
    options |= {"empty": {"both": "nan", "pred": "inf", "target": "inf"}}
    options |= {"percentile": (50, 95), "tolerance": (0.5, 1)}
    counts = [segmeter.boundary_counts(*maps, **options) for maps in cases]
    total = sum(counts)
    assert total.num_cases == 7
    for name in SCORES:
        separate = [getattr(segmeter.surface_scores(*maps, **options), name) for maps in cases]
        np.testing.assert_array_equal(getattr(total, name), separate)
    left = (counts[0] + counts[1]) + sum(counts[2:])
    right = counts[0] + (counts[1] + sum(counts[2:]))
    np.testing.assert_allclose(left.histogram, right.histogram, rtol=1e-14)
    for name in ("points", "hausdorff"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert BoundaryCounts.from_arrays(total.to_arrays()) == total
    np.testing.assert_allclose(
        total.histogram.sum(axis=-1) + total.infinite, total.weight.sum(axis=0), rtol=1e-13
    )


def test_means_say_over_how_many_cases_they_are() -> None:
    cases = [(TARGET, TARGET), (PRED, TARGET), (EMPTY, TARGET), (EMPTY, EMPTY)]
    options: dict[str, Any] = {"classes": [1, 3], "preset": "monai"}
    scores = segmeter.boundary_scores(
        sum(segmeter.boundary_counts(*maps, **options) for maps in cases)
    )
    hausdorff = scores["hausdorff"]
    assert hausdorff.num_cases.tolist() == [3, 0]
    assert hausdorff.num_infinite.tolist() == [1, 0]
    assert hausdorff.num_undefined.tolist() == [1, 4]
    np.testing.assert_array_equal(hausdorff.mean, [math.inf, math.nan])
    np.testing.assert_array_equal(hausdorff.mean_of_finite, [0.5, math.nan])
    # MONAI's HD95 of a missed structure is NaN: left out, and said so.
    robust = scores["hausdorff_percentile"]
    assert robust.num_undefined.tolist() == [[2], [4]]
    assert robust.num_infinite.tolist() == [[0], [0]]
    assert scores["nsd"].mean.shape == (2, 1)


@pytest.mark.parametrize("preset", ["deepmind", "monai", "medpy"])
def test_percentiles_and_curve_of_a_dataset(preset: str) -> None:
    cases = maps_of(11, 6)
    resolution = 0.3
    options: dict[str, Any] = {"classes": [1], "preset": preset, "spacing": (0.7, 1.1)}
    counts = sum(
        segmeter.boundary_counts(*maps, resolution=resolution, tolerance=(0.3, 2.1), **options)
        for maps in cases
    )
    rules = SURFACE_PRESETS[preset]
    measured = [
        segmeter.surface_distances(
            *maps, classes=[1], spacing=(0.7, 1.1), surface=rules.surface, weights=rules.weights
        )[1]
        for maps in cases
    ]
    sides = [
        (
            np.concatenate([getattr(d, f"{a}_to_{b}") for d in measured]),
            np.concatenate([getattr(d, f"{a}_weight") for d in measured]),
        )
        for a, b in (("pred", "target"), ("target", "pred"))
    ]
    if rules.percentile == "pooled":
        sides = [tuple(np.concatenate(parts) for parts in zip(*sides, strict=True))]
    for percentile in (0, 20, 50, 77, 95, 100):
        found = segmeter.dataset_percentile(counts, percentile)[0]
        exact = max(boundary_scores.weighted_percentile(*side, percentile) for side in sides)
        assert found - resolution - 1e-12 < exact <= found
    curve = segmeter.nsd_curve(counts)
    both = [np.concatenate(parts) for parts in zip(*sides, strict=True)]
    for tolerance, share in zip(curve.tolerances, curve.nsd[0], strict=True):
        assert share == pytest.approx(boundary_scores.overlap(*both, tolerance), rel=1e-12)
    assert curve.nsd[0, -1] == pytest.approx(1)
    exact_nsd = [[boundary_scores.overlap(*both, t) for t in (0.3, 2.1)]]
    np.testing.assert_allclose(segmeter.dataset_nsd(counts), exact_nsd, rtol=1e-12)


def test_a_missed_structure_is_infinitely_far_in_the_dataset_too() -> None:
    cases = [(TARGET, TARGET), (EMPTY, TARGET)]
    counts = sum(segmeter.boundary_counts(*maps, classes=[1, 7]) for maps in cases)
    np.testing.assert_array_equal(
        segmeter.dataset_percentile(counts, (50, 60)), [[0, math.inf], [math.nan] * 2]
    )
    np.testing.assert_allclose(segmeter.dataset_nsd(counts), [[2 / 3], [math.nan]])
    only_missed = segmeter.boundary_counts(EMPTY, TARGET, classes=[1], preset="deepmind")
    assert segmeter.dataset_percentile(only_missed) == math.inf
    assert segmeter.dataset_nsd(only_missed) == 0
    mean = segmeter.boundary_counts(EMPTY, TARGET, classes=[1], overlap_rule="mean_of_directed")
    assert segmeter.dataset_nsd(mean) == 0


@given(
    st.lists(st.sampled_from([i * r for i, r in itertools.product(range(9), (0.1, 0.3, 0.7))])),
    st.sampled_from((0.1, 0.3, 0.7)),
)
def test_bins_end_at_multiples_of_the_resolution(values: list[float], resolution: float) -> None:
    weights = np.arange(1.0, len(values) + 1)
    found, beyond = histogram(np.array([*values, math.inf]), np.append(weights, 3.5), resolution)
    expected, infinite = boundary_scores.histogram(values, weights.tolist(), resolution)
    assert {int(b): found[b] for b in np.flatnonzero(found)} == expected
    assert (beyond, infinite) == (3.5, 0)


def test_counts_refuse_what_does_not_fit() -> None:
    counts = segmeter.boundary_counts(PRED, TARGET, num_classes=3)
    for change in (
        {"resolution": 0.2},
        {"percentile": 90},
        {"tolerance": 2},
        {"preset": "monai"},
        {"classes": [1], "num_classes": None},
    ):
        other = segmeter.boundary_counts(PRED, TARGET, **({"num_classes": 3} | change))
        with pytest.raises(ValueError, match="only counts with the same"):
            counts + other
    with pytest.raises(TypeError):
        counts + 1
    assert counts != 1
    for resolution in (0, -1, 1e-9, math.nan, math.inf):
        with pytest.raises(ValueError, match="resolution must be"):
            segmeter.boundary_counts(PRED, TARGET, num_classes=3, resolution=resolution)
    small = {"num_classes": 3, "spacing": (1.0, 0.05)}
    with pytest.raises(ValueError, match=r"resolution must be given .* got 0.05: .* such as 0.005"):
        segmeter.boundary_counts(PRED, TARGET, **small)
    assert segmeter.boundary_counts(PRED, TARGET, **small, resolution=0.2).resolution == 0.2
    assert segmeter.boundary_counts(PRED, TARGET, num_classes=3, spacing=(1, 0.1)).resolution == 0.1
    with pytest.raises(TypeError, match="counts must be BoundaryCounts, as boundary_counts"):
        segmeter.boundary_scores(segmeter.surface_scores(PRED, TARGET, num_classes=3))
    arrays = counts.to_arrays()
    for name in arrays:
        with pytest.raises(ValueError, match=name):
            BoundaryCounts.from_arrays({k: v for k, v in arrays.items() if k != name})
    for name in ("nsd", "points", "tolerances", "infinite", "histogram_bin", "histogram_shape"):
        with pytest.raises(ValueError, match="arrays are no BoundaryCounts"):
            BoundaryCounts.from_arrays(arrays | {name: np.asarray(arrays[name])[..., :-1]})
    with pytest.raises(ValueError, match="histogram_bin"):
        BoundaryCounts.from_arrays(arrays | {"histogram_bin": arrays["histogram_bin"] - 1})


def test_rules_are_stored_as_text() -> None:
    for rules in SURFACE_PRESETS.values():
        again = SurfaceRules.from_text(rules.to_text())
        assert again.to_text() == rules.to_text()
        assert again.percentile == rules.percentile
    assert reference.boundary_scores is boundary_scores


def test_shares_are_no_percentiles() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 100, got 0\.95: 95 for that share"):
        segmeter.hausdorff_distance(PRED, TARGET, percentile=0.95, num_classes=3)
    extremes = segmeter.hausdorff_distance(PRED, TARGET, percentile=(0, 1), num_classes=3)
    assert extremes.shape == (2, 2)


def test_scores_print_as_a_table() -> None:
    maps = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
    maps[0][2:4, 2:6] = maps[1][2:4, 2:5] = True
    scores = segmeter.surface_scores(*maps, tolerance=(0.5, 1))
    means = f"{scores.assd[0]:.3f}  {scores.masd[0]:.3f}"
    assert str(scores).splitlines() == [
        "class     HD   HD95   ASSD   MASD            NSD          NSD",
        f"    1  1.000  1.000  {means}  {scores.nsd[0, 0]:.4f} at 0.5  1.0000 at 1",
    ]


def test_scores_are_shown_as_their_table() -> None:
    scores = segmeter.surface_scores(PRED > 0, TARGET > 0)
    assert repr(scores) == str(scores)
    assert str(scores).split()[:3] == ["class", "HD", "HD95"]
