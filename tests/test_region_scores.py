"""Instance, object, partition and size scores: against peers, the twins, and by hand."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

import segmeter
from segmeter import region
from segmeter.reference import region_scores as twin
from segmeter.region import overlap_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

Maps = tuple["NDArray[Any]", "NDArray[Any]"]


@st.composite
def map_pairs(draw: st.DrawFn, max_id: int = 4) -> Maps:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=6))
    elements = st.integers(0, max_id)
    return draw(hnp.arrays(np.int64, shape, elements=elements)), draw(
        hnp.arrays(np.int64, shape, elements=elements)
    )


def cells(seed: int, *, background: bool = True) -> Maps:
    """Pred and target of some dozen cells, in which cells are moved, merged, split and dropped."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    target = np.zeros((64, 64), dtype=np.int64)
    pred = np.zeros_like(target)
    for number, (row, column) in enumerate(rng.integers(4, 60, (16, 2)), start=1):
        radius = rng.uniform(3, 9)
        target[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = number
        row_shift, column_shift = rng.normal(0, 1.5, 2)
        distance = np.hypot(rows - row - row_shift, columns - column - column_shift)
        inside = distance < radius * rng.uniform(0.7, 1.3)
        pred[inside] = number + 20 if rng.random() < 0.8 else rng.integers(0, 40)
    if not background:
        target[target == 0], pred[pred == 0] = 17, 41
    return pred, target


SEEDS = range(12)
both_ways = pytest.mark.parametrize("background", [True, False], ids=["background", "full"])


# --- instance counts


@given(
    maps=map_pairs(max_id=3),
    threshold=st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 0.75, 1.0]),
    criterion=st.sampled_from(["iou", "dice", "ior", "iop"]),
    strict=st.booleans(),
    void=st.sampled_from([(), (1,), (1, 2)]),
)
def test_instance_counts_equal_the_twin(
    maps: Maps, threshold: float, criterion: Any, strict: bool, void: tuple[int, ...]
) -> None:
    counts = region.instance_counts(
        overlap_table(*maps, ignore_index=void or None),
        thresholds=threshold,
        criterion=criterion,
        strict=strict,
    )
    outcomes = twin.instance_counts(
        *maps, threshold=threshold, criterion=criterion, strict=strict, void=void
    )
    got = (int(counts.tp[0]), int(counts.fp[0]), int(counts.fn[0]), counts.score_sum[0])
    # Equally good assignments may differ in what they leave over.
    assert any(
        got[:3] == outcome[:3] and got[3] == pytest.approx(float(outcome[3]), abs=1e-12)
        for outcome in outcomes
    )


@given(numbers=st.tuples(*[st.integers(0, 3)] * 3), shares=st.lists(st.floats(0.5, 1), min_size=3))
def test_instance_scores_equal_the_twin(numbers: tuple[int, int, int], shares: list[float]) -> None:
    tp, fp, fn = numbers
    total = sum(shares[:tp], 0.0)
    counts = region.InstanceCounts(
        thresholds=np.array([0.5]),
        **{name: np.array([n]) for name, n in zip(("tp", "fp", "fn"), numbers, strict=True)},
        score_sum=np.array([total]),
    )
    scores = region.instance_scores(counts)._asdict()
    expected = twin.instance_scores(tp, fp, fn, total)
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], [value], rtol=1e-12, err_msg=name)


@both_ways
@pytest.mark.parametrize("criterion", ["iou", "ior", "iop"])
def test_equals_stardist(
    peer: Callable[[str], ModuleType], criterion: Any, background: bool
) -> None:
    matching = peer("stardist.matching")
    thresholds = [0.1, 0.25, 0.5, 0.6, 0.75, 0.9]
    for seed in SEEDS:
        pred, target = cells(seed, background=background)
        counts = region.instance_counts(
            overlap_table(pred, target),
            thresholds=thresholds,
            criterion=criterion,
            preset="stardist",
        )
        scores = region.instance_scores(counts, absent="zero")
        theirs = matching.matching(
            target, pred, thresh=thresholds, criterion=criterion.replace("ior", "iot")
        )
        assert counts.tp.tolist() == [one.tp for one in theirs]
        assert counts.fp.tolist() == [one.fp for one in theirs]
        assert counts.fn.tolist() == [one.fn for one in theirs]
        for name in (*scores._fields,):
            # Its scores are float32.
            np.testing.assert_allclose(
                getattr(scores, name), [getattr(one, name) for one in theirs], rtol=1e-6
            )


@both_ways
def test_equals_cellpose(peer: Callable[[str], ModuleType], background: bool) -> None:
    metrics = peer("cellpose.metrics")
    thresholds = [0.3, 0.5, 0.75, 0.9]
    for seed in SEEDS:
        pred, target = cells(seed, background=background)
        table = overlap_table(pred, target)
        counts = region.instance_counts(table, thresholds=thresholds, preset="cellpose")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            accuracy, tp, fp, fn = metrics.average_precision(target, pred, thresholds)
            aji = metrics.aggregated_jaccard_index([target], [pred])[0]
        assert counts.tp.tolist() == tp.tolist()
        assert counts.fp.tolist() == fp.tolist()
        assert counts.fn.tolist() == fn.tolist()
        np.testing.assert_allclose(
            region.instance_scores(counts).accuracy, accuracy, rtol=1e-6
        )  # it keeps float32
        jaccard = region.aggregated_jaccard_counts(table, variant="cellpose")
        assert region.aggregated_jaccard_index(jaccard) == pytest.approx(aji, rel=1e-12)


def test_cellpose_takes_the_only_region_of_a_full_map_for_background() -> None:
    table = overlap_table(np.ones((3, 3), int), np.full((3, 3), 1))
    ours = region.instance_counts(table, thresholds=0.5)
    assert (ours.tp[0], ours.fp[0], ours.fn[0]) == (1, 0, 0)
    theirs = region.instance_counts(table, thresholds=0.5, preset="cellpose")
    assert (theirs.tp[0], theirs.fp[0], theirs.fn[0]) == (0, 0, 0)
    assert np.isnan(region.instance_scores(theirs).accuracy[0])


def test_equals_panoptica(peer: Callable[[str], ModuleType]) -> None:
    panoptica = peer("panoptica")
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.UNMATCHED_INSTANCE,
        instance_matcher=panoptica.NaiveThresholdMatching(),
        instance_metrics=[panoptica.Metric.IOU],
        global_metrics=[],
    )
    for seed in SEEDS:
        pred, target = cells(seed)
        counts = region.instance_counts(
            overlap_table(pred, target), thresholds=0.5, preset="panoptica"
        )
        scores = region.instance_scores(counts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = evaluator.evaluate(
                pred.astype(np.uint16), target.astype(np.uint16), verbose=False
            )["ungrouped"]
        assert (counts.tp[0], counts.fp[0], counts.fn[0]) == (result.tp, result.fp, result.fn)
        assert scores.panoptic_quality[0] == pytest.approx(result.pq, rel=1e-12)
        assert scores.mean_matched_score[0] == pytest.approx(result.sq, rel=1e-12)
        assert scores.f1[0] == pytest.approx(result.rq, rel=1e-12)


def test_two_halves_at_exactly_half_match_once_unless_strict() -> None:
    table = overlap_table(np.array([[1, 1, 2, 2]]), np.array([[5, 5, 5, 5]]))
    counts = region.instance_counts(table, thresholds=0.5)
    assert (counts.tp[0], counts.fp[0], counts.fn[0], counts.score_sum[0]) == (1, 1, 0, 0.5)
    counts = region.instance_counts(table, thresholds=0.5, strict=True)
    assert (counts.tp[0], counts.fp[0], counts.fn[0], counts.score_sum[0]) == (0, 2, 1, 0)


def test_classes_are_matched_apart_only_if_counted_apart() -> None:
    table = overlap_table(
        [[1, 2]], [[5, 6]], pred_classes={1: 0, 2: 0}, target_classes={5: 0, 6: 1}
    )
    assert region.instance_counts(table, thresholds=0.5).tp.tolist() == [2]
    counts = region.instance_counts(table, thresholds=0.5, num_classes=2)
    assert counts.tp.tolist() == [[1], [0]]
    assert counts.fp.tolist() == [[1], [0]]
    assert counts.fn.tolist() == [[0], [1]]


def test_nothing_against_nothing_is_undefined() -> None:
    counts = region.instance_counts(overlap_table([[0]], [[0]]), thresholds=[0.5, 0.75])
    assert all(np.isnan(values).all() for values in region.instance_scores(counts))
    assert region.instance_scores(counts, absent="one").f1.tolist() == [1, 1]
    with pytest.raises(ValueError, match="instance_scores is undefined"):
        region.instance_scores(counts, absent="raise")


@pytest.mark.parametrize("maps", [([[0, 0]], [[1, 2]]), ([[1, 2]], [[0, 0]])])
def test_one_side_empty_scores_0(maps: Any) -> None:
    table = overlap_table(*maps)
    scores = region.instance_scores(region.instance_counts(table))
    assert all((values == 0).all() for values in scores)
    assert region.object_f1(region.object_counts(table)) == 0
    assert region.object_dice(region.object_counts(table)) == 0
    assert region.symmetric_best_dice(region.best_dice_counts(table)) == 0
    jaccard = region.aggregated_jaccard_counts(table)
    assert region.aggregated_jaccard_index(jaccard) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": []}, "thresholds must hold at least one"),
        ({"thresholds": [0.5, 2]}, "thresholds must be a number from 0 to 1, got 2"),
        ({"thresholds": True}, "thresholds must be a number"),
        ({"criterion": "giou"}, "criterion must be one of"),
        ({"method": "unique"}, "method must be one of"),
        ({"preset": "stardist", "strict": True}, "fixes method and strict"),
        ({"preset": "cellpose", "num_classes": 2}, "knows no classes"),
        ({"num_classes": 0}, "num_classes must be"),
    ],
)
def test_bad_instance_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region.instance_counts(overlap_table([[1]], [[1]]), **options)


# --- aggregated Jaccard


@given(maps=map_pairs())
def test_aji_equals_the_twin(maps: Maps) -> None:
    counts = region.aggregated_jaccard_counts(overlap_table(*maps))
    expected = twin.aggregated_jaccard_index(*maps)
    np.testing.assert_allclose(region.aggregated_jaccard_index(counts), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_aji_plus_equals_the_twin_where_it_is_unique(seed: int) -> None:
    maps = cells(seed)
    counts = region.aggregated_jaccard_counts(overlap_table(*maps), variant="aji_plus")
    expected = twin.aggregated_jaccard_index(*maps, one_to_one=True)
    assert region.aggregated_jaccard_index(counts) == pytest.approx(expected, rel=1e-12)


# --- GlaS, SBD, cell tracking


@given(maps=map_pairs())
def test_object_scores_equal_the_twins(maps: Maps) -> None:
    table = overlap_table(*maps)
    objects = region.object_counts(table)
    best = region.best_dice_counts(table)
    for got, expected in (
        (region.object_f1(objects), twin.object_f1(*maps)),
        (region.object_dice(objects), twin.object_dice(*maps)),
        (region.symmetric_best_dice(best), twin.symmetric_best_dice(*maps)),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_half_of_an_object_is_enough_only_if_not_strict() -> None:
    table = overlap_table([[1, 1, 2, 2]], [[5, 5, 5, 5]])
    strict, loose = (region.object_counts(table, strict=strict) for strict in (True, False))
    assert (int(strict.tp), int(strict.fp), int(strict.fn)) == (0, 2, 1)
    assert (int(loose.tp), int(loose.fp), int(loose.fn)) == (2, 0, 0)


def test_a_predicted_object_counts_for_its_partner_only() -> None:
    # It covers all of the small object 6, but shares most pixels with the large object 5.
    counts = region.object_counts(overlap_table([[1, 1, 1, 0, 0, 0, 0]], [[6, 5, 5, 5, 5, 5, 5]]))
    assert (int(counts.tp), int(counts.fp), int(counts.fn)) == (0, 1, 2)


@given(maps=map_pairs())
def test_cell_tracking_equals_the_twin(maps: Maps) -> None:
    counts = region.cell_tracking_counts(overlap_table(*maps))
    expected = twin.cell_tracking(*maps)
    np.testing.assert_allclose(region.cell_tracking_seg(counts), expected.seg, rtol=1e-12)
    assert int(counts.splits) == expected.splits
    assert int(counts.false_negatives) == expected.false_negatives
    assert int(counts.false_positives) == expected.false_positives
    np.testing.assert_allclose(
        region.cell_tracking_det(counts), twin.cell_tracking_det(*maps), rtol=1e-12
    )


def test_equals_the_cell_tracking_package(peer: Callable[[str], ModuleType], tmp_path: Any) -> None:
    representations = peer("ctc_metrics.utils.representations")
    technical = peer("ctc_metrics.metrics")
    tifffile = peer("tifffile")
    frames, total = [], []
    for seed in SEEDS:
        pred, target = cells(seed)
        paths = [str(tmp_path / f"{name}{seed}.tif") for name in ("target", "pred")]
        tifffile.imwrite(paths[0], target.astype(np.uint16))
        tifffile.imwrite(paths[1], pred.astype(np.int64))
        frames.append(representations.match(*paths))
        total.append(region.cell_tracking_counts(overlap_table(pred, target)))
    refs, comps, mapped_refs, mapped_comps, ious = (
        list(part) for part in zip(*frames, strict=True)
    )
    stats = representations.count_acyclic_graph_correction_operations(
        None, None, refs, comps, mapped_refs, mapped_comps
    )
    counts: region.CellTrackingCounts = sum(total)
    assert int(counts.splits) == stats["NS"]
    assert int(counts.false_negatives) == stats["FN"]
    assert int(counts.false_positives) == stats["FP"]
    assert region.cell_tracking_det(counts) == pytest.approx(technical.det(**stats), rel=1e-12)
    assert region.cell_tracking_seg(counts) == pytest.approx(technical.seg(refs, ious), rel=1e-12)


def test_detection_costs_no_more_than_making_all_anew() -> None:
    table = overlap_table(np.arange(1, 31), np.r_[5, np.zeros(29, int)])
    assert region.cell_tracking_det(region.cell_tracking_counts(table)) == 0
    assert np.isnan(region.cell_tracking_det(region.cell_tracking_counts(overlap_table([1], [0]))))


# --- partitions


@given(maps=map_pairs())
def test_partition_counts_equal_the_twins(maps: Maps) -> None:
    counts = region.partition_counts(overlap_table(*maps))
    both, in_pred, in_target = twin.pairs_of_pixels(*maps)
    assert counts.pixels == maps[0].size
    assert counts.joint_squares == 2 * both + counts.pixels
    assert counts.pred_squares == 2 * in_pred + counts.pixels
    assert counts.target_squares == 2 * in_target + counts.pixels
    pred, target = maps
    split, merge, total = region.split_merge_information(counts)
    assert split == pytest.approx(twin.conditional_entropy(pred, target), abs=1e-12)
    assert merge == pytest.approx(twin.conditional_entropy(target, pred), abs=1e-12)
    assert total == split + merge
    for alpha in (0, 0.3, 0.5, 1):
        np.testing.assert_allclose(
            region.adapted_rand(counts, alpha=alpha),
            twin.adapted_rand(*maps, alpha=alpha),
            rtol=1e-12,
            atol=1e-15,
        )
    as_region = region.partition_counts(overlap_table(*maps, background=None))
    for name, value in counts.to_arrays().items():
        np.testing.assert_allclose(as_region.to_arrays()[name], value, rtol=1e-12, err_msg=name)


@given(
    maps=map_pairs(),
    target_background=st.sampled_from(["segment", "ignore"]),
    pred_background=st.sampled_from(["segment", "singletons", "ignore"]),
)
def test_background_options_equal_maps_in_which_it_is_so(
    maps: Maps, target_background: Any, pred_background: Any
) -> None:
    counts = region.partition_counts(
        overlap_table(*maps), target_background=target_background, pred_background=pred_background
    )
    pred, target = (ids.ravel() for ids in maps)
    kept = np.ones(pred.shape, dtype=bool)
    if target_background == "ignore":
        kept &= target != 0
    if pred_background == "ignore":
        kept &= pred != 0
    pred = np.where((pred == 0) & (pred_background == "singletons"), 9 + np.arange(pred.size), pred)
    expected = region.partition_counts(overlap_table(pred[kept], target[kept], background=None))
    for name, value in expected.to_arrays().items():
        np.testing.assert_allclose(counts.to_arrays()[name], value, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_scikit_image(peer: Callable[[str], ModuleType], seed: int) -> None:
    metrics = peer("skimage.metrics")
    pred, target = cells(seed)
    table = overlap_table(pred, target)
    counts = region.partition_counts(table, preset="skimage")
    for alpha in (0, 0.3, 0.5, 1):
        np.testing.assert_allclose(
            region.adapted_rand(counts, alpha=alpha, preset="skimage"),
            metrics.adapted_rand_error(target, pred, alpha=alpha),
            rtol=1e-12,
        )
    split, merge, _ = region.split_merge_information(region.partition_counts(table), base=2)
    np.testing.assert_allclose(
        [split, merge], metrics.variation_of_information(target, pred), rtol=1e-12
    )
    ignoring = overlap_table(pred, target, ignore_index=[0, 3], background=None)
    split, merge, _ = region.split_merge_information(region.partition_counts(ignoring), base=2)
    np.testing.assert_allclose(
        [split, merge],
        metrics.variation_of_information(target, pred, ignore_labels=[0, 3]),
        rtol=1e-12,
    )


def test_equals_scikit_learn(peer: Callable[[str], ModuleType]) -> None:
    cluster = peer("sklearn.metrics.cluster")
    for seed in SEEDS:
        pred, target = cells(seed)
        counts = region.partition_counts(overlap_table(pred, target))
        (_, false_pairs), (missed_pairs, joint) = cluster.pair_confusion_matrix(
            target.ravel(), pred.ravel()
        )
        _, precision, recall = region.adapted_rand(counts)
        assert precision == pytest.approx(joint / (joint + false_pairs), rel=1e-12)
        assert recall == pytest.approx(joint / (joint + missed_pairs), rel=1e-12)


def test_snemi3d_counts_a_pixel_with_itself_and_background_pixels_alone() -> None:
    # Target: one segment of 4. Prediction: 2 of its pixels together, 2 background.
    table = overlap_table([1, 1, 0, 0, 2], [5, 5, 5, 5, 0])
    counts = region.partition_counts(table, preset="snemi3d")
    assert (counts.pixels, counts.joint_squares) == (4, 2**2 + 1 + 1)
    assert (counts.pred_squares, counts.target_squares) == (6, 16)
    error, precision, recall = region.adapted_rand(counts, preset="snemi3d")
    assert (precision, recall) == (1, 6 / 16)
    assert error == pytest.approx(1 - 6 / 11)


def test_partitions_without_pairs_or_pixels_are_undefined() -> None:
    single = region.partition_counts(overlap_table([1], [5]))
    assert all(map(math.isnan, region.adapted_rand(single)))
    assert region.adapted_rand(single, absent="zero") == (0, 0, 0)
    assert region.split_merge_information(single) == (0, 0, 0)
    void = region.partition_counts(overlap_table([1, 2], [9, 9], ignore_index=9))
    assert void.pixels == 0
    assert all(map(math.isnan, region.split_merge_information(void)))
    with pytest.raises(ValueError, match="split_merge_information is undefined"):
        region.split_merge_information(void, absent="raise")


def test_squares_beyond_int64_are_exact_and_stored() -> None:
    table = overlap_table([1, 2], [5, 5])
    huge = 2**33
    table = type(table).from_arrays(
        {
            **table.to_arrays(),
            "pred_area": [huge, huge],
            "target_area": [2 * huge],
            "intersection": [huge, huge],
            "num_pixels": 2 * huge,
        }
    )
    counts = region.partition_counts(table)
    assert counts.target_squares == 2**68
    assert region.adapted_rand(counts).recall == pytest.approx(0.5)
    assert region.PartitionCounts.from_arrays(counts.to_arrays()) == counts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "cremi"}, "preset must be one of"),
        ({"target_background": "singletons"}, "target_background must be one of"),
        ({"pred_background": 0}, "pred_background must be one of"),
        ({"preset": "skimage", "pred_background": "ignore"}, "fixes what background is"),
    ],
)
def test_bad_partition_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region.partition_counts(overlap_table([1], [1]), **options)


def test_bad_alpha_and_base() -> None:
    counts = region.partition_counts(overlap_table([1, 1], [1, 1]))
    with pytest.raises(ValueError, match="alpha must be a number from 0 to 1"):
        region.adapted_rand(counts, alpha=-0.1)
    with pytest.raises(ValueError, match="base must be a positive number other than 1"):
        region.split_merge_information(counts, base=1)


# --- sizes, counts, components

BINS = {"small": (0, 4), "middle": (4, 9), "large": (9, math.inf)}


@given(maps=map_pairs())
def test_size_counts_equal_the_twin(maps: Maps) -> None:
    counts = region.size_counts(overlap_table(*maps), bins=BINS, strict=True)
    rows = zip(
        counts.targets, counts.matched_targets, counts.preds, counts.matched_preds, strict=True
    )
    assert [tuple(map(int, row)) for row in rows] == twin.size_counts(*maps, list(BINS.values()))
    scores = np.transpose(region.size_scores(counts))
    np.testing.assert_allclose(scores, twin.size_scores(*maps, list(BINS.values())), rtol=1e-15)


def test_size_scores_by_hand() -> None:
    # Target: 2, 2 and 9 pixels, of which one of 2 and the one of 9 are found, the latter by 6.
    target = np.array([[5, 5, 0, 6, 6, 0, *[7] * 9]])
    pred = np.array([[1, 1, 0, 0, 0, 2, *[3] * 6, 0, 0, 0]])
    recall, precision = region.size_scores(
        region.size_counts(overlap_table(pred, target), bins=BINS)
    )
    np.testing.assert_array_equal(recall, [1 / 2, np.nan, 1])
    np.testing.assert_array_equal(precision, [1 / 2, 1, np.nan])


def test_sizes_in_other_units() -> None:
    table = overlap_table([[1, 1, 1, 2]], [[5, 5, 5, 0]])
    counts = region.size_counts(table, bins={"small": (0, 1), "large": (1, 9)}, pixel_size=0.5)
    assert counts.targets.tolist() == [0, 1]
    assert counts.preds.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": {}}, "bins must map at least one name"),
        ({"bins": [(0, 1)]}, "bins must map at least one name"),
        ({"bins": {"x": (3, 3)}}, r"bins\['x'\] must be two areas"),
        ({"pixel_size": 0}, "pixel_size must be a finite number above 0"),
        ({"criterion": "x"}, "criterion must be one of"),
        ({"method": "many_to_one"}, "method must be one of"),
    ],
)
def test_bad_size_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region.size_counts(overlap_table([[1]], [[1]]), **options)


def test_count_errors_over_images() -> None:
    tables = [overlap_table([[1, 2, 3]], [[5, 5, 5]]), overlap_table([[0, 0]], [[5, 6]])]
    errors = region.count_errors(sum(region.count_error_counts(table) for table in tables))
    assert errors.mean_difference.tolist() == [0]
    assert errors.mean_absolute_difference.tolist() == [2]
    assert errors.root_mean_square_difference.tolist() == [2]


@given(images=st.lists(map_pairs(), min_size=1, max_size=4))
def test_count_errors_equal_the_twin(images: list[Maps]) -> None:
    counts = sum(region.count_error_counts(overlap_table(*maps)) for maps in images)
    errors = np.ravel(region.count_errors(counts))
    np.testing.assert_allclose(errors, twin.count_errors(*zip(*images, strict=True)), rtol=1e-12)


@given(maps=map_pairs(max_id=3), data=st.data())
def test_component_iou_equals_the_twin(maps: Maps, data: st.DataObject) -> None:
    pred_labels, target = maps
    classes = {t: data.draw(st.integers(1, 2)) for t in range(1, 4)}
    table = overlap_table(
        pred_labels, target, pred_classes={i: i for i in range(1, 4)}, target_classes=classes
    )
    counts = region.component_iou_counts(table, num_classes=4)
    for label in (1, 2):
        expected = twin.component_iou(pred_labels, target, classes, label)
        assert counts.regions[label] == len(expected)
        assert counts.iou_sum[label] == pytest.approx(sum(expected), abs=1e-12)
        mean = sum(expected) / len(expected) if expected else math.nan
        assert region.component_iou(counts)[label] == pytest.approx(mean, rel=1e-12, nan_ok=True)


# --- all counts: sums and files

COUNTS: dict[str, Callable[[region.OverlapTable], Any]] = {
    "aji": region.aggregated_jaccard_counts,
    "best_dice": region.best_dice_counts,
    "cell_tracking": region.cell_tracking_counts,
    "component_iou": lambda table: region.component_iou_counts(table, num_classes=2),
    "count_error": region.count_error_counts,
    "covering": lambda table: region.parsing_covering_counts(table, num_classes=2),
    "instances": region.instance_counts,
    "objects": region.object_counts,
    "panoptic": lambda table: region.panoptic_counts(table, num_classes=2),
    "partition": region.partition_counts,
    "sizes": region.size_counts,
}
every_count = pytest.mark.parametrize("name", COUNTS)


@every_count
def test_integer_counts_add_up_in_any_order(name: str) -> None:
    one, two, three = (COUNTS[name](overlap_table(*cells(seed))) for seed in range(3))
    left, right = (one + two) + three, three + (two + one)
    assert left == sum([one, two, three])
    for field, value in left.to_arrays().items():
        other = right.to_arrays()[field]
        assert value.dtype == other.dtype
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, other, rtol=1e-12)
        else:
            assert value.tolist() == other.tolist()


@every_count
def test_counts_survive_a_file(name: str, tmp_path: Any) -> None:
    counts = COUNTS[name](overlap_table(*cells(1)))
    np.savez(tmp_path / "counts.npz", **counts.to_arrays())
    with np.load(tmp_path / "counts.npz", allow_pickle=False) as arrays:
        assert type(counts).from_arrays(arrays) == counts
    with pytest.raises(ValueError, match="missing"):
        type(counts).from_arrays({})


@every_count
@pytest.mark.parametrize(
    "maps",
    [
        (np.zeros((0, 3), int), np.zeros((0, 3), int)),
        (np.array([[0]]), np.array([[0]])),
        (np.array([[1]]), np.array([[0]])),
        (np.array([[0]]), np.array([[1]])),
        (np.array([[1]]), np.array([[1]])),
        (np.ones((3, 3), int), np.full((3, 3), 9)),
    ],
    ids=["no_pixel", "empty", "pred_only", "target_only", "one_pixel", "void"],
)
def test_counts_of_little_or_nothing(name: str, maps: Maps) -> None:
    counts = COUNTS[name](overlap_table(*maps, ignore_index=9))
    for values in (counts + counts).to_arrays().values():
        if values.dtype.kind in "if":
            assert not np.isnan(values).any()
            assert (values >= 0).all() or name == "count_error"


def test_unlike_counts_do_not_add_up() -> None:
    table = overlap_table(*cells(0))
    half, all_levels = (
        region.instance_counts(table, thresholds=levels) for levels in ([0.5], [0.5, 0.75])
    )
    with pytest.raises(ValueError, match="only counts with the same thresholds"):
        half + all_levels
    with pytest.raises(ValueError, match="only counts of the same shape"):
        region.panoptic_counts(table, num_classes=1) + region.panoptic_counts(table, num_classes=2)
    with pytest.raises(TypeError):
        half + region.object_counts(table)
    assert half != region.object_counts(table)


@pytest.mark.parametrize(
    "score",
    [
        region.panoptic_quality,
        region.instance_scores,
        region.aggregated_jaccard_index,
        region.adapted_rand,
    ],
)
def test_a_table_in_place_of_counts_is_refused(score: Any) -> None:
    table = region.overlap_table([[1, 0]], [[1, 1]])
    with pytest.raises(TypeError, match=r"counts must be \w+Counts, as \w+_counts gives them"):
        score(table)


@pytest.mark.parametrize(
    "score",
    [
        *("average_precision", "betti_error", "case_auroc", "cause_shares", "cell_tracking_det"),
        *("cell_tracking_seg", "centerline_dice", "coco_average_precision", "component_iou"),
        *("count_errors", "froc", "lesion_scores", "lesion_scores_per_case", "object_dice"),
        *("object_f1", "picai_score", "renormed_causes", "repaired_scores", "size_scores"),
        *("split_merge_information", "symmetric_best_dice"),
    ],
)
def test_scores_say_what_makes_their_counts(score: str) -> None:
    with pytest.raises(TypeError, match=r"counts must be \w+Counts, as .+ gives? them, got str"):
        getattr(segmeter, score)("table")
