"""Panoptic quality and parsing covering: against the official programs, the twin, and by hand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from segmeter.reference import region_scores as twin
from segmeter.region import (
    PanopticCounts,
    overlap_table,
    panoptic_counts,
    panoptic_quality,
    parsing_covering,
    parsing_covering_counts,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from segmeter.region import OverlapTable, PanopticQuality

NUM_CLASSES = 3
VOID = 0


def class_of(ids: NDArray[Any]) -> dict[int, int]:
    """Segment ids of these tests carry their class: ``id % 3``."""
    return {int(i): int(i) % NUM_CLASSES for i in np.unique(ids)}


def table_of(pred: NDArray[Any], target: NDArray[Any], **options: Any) -> OverlapTable:
    return overlap_table(
        pred,
        target,
        ignore_index=VOID,
        pred_classes=class_of(pred),
        target_classes=class_of(target),
        **options,
    )


def random_segments(rng: np.random.Generator, *, like: NDArray[Any] | None = None) -> NDArray[Any]:
    """Blocks of segments, some void; `like` gives a map that agrees in most blocks."""
    blocks = rng.integers(0, 9, (5, 6)) if like is None else like[::4, ::4].copy()
    if like is not None:
        changed = rng.random(blocks.shape) < 0.25
        blocks[changed] = rng.integers(0, 9, changed.sum())
    ids = np.kron(blocks, np.ones((4, 4), dtype=np.int64))
    noise = rng.random(ids.shape) < 0.05
    ids[noise] = rng.integers(0, 9, noise.sum())
    return ids


def assert_counts_equal(got: PanopticCounts, expected: PanopticCounts) -> None:
    for field in dataclasses.fields(PanopticCounts):
        np.testing.assert_allclose(
            getattr(got, field.name), getattr(expected, field.name), rtol=1e-12, err_msg=field.name
        )


maps = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 5)
)


@given(pred=maps, data=st.data(), threshold=st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]))
def test_counts_equal_the_twin(pred: NDArray[Any], data: st.DataObject, threshold: float) -> None:
    target = data.draw(hnp.arrays(np.int64, pred.shape, elements=st.integers(0, 5)))
    present = [int(i) for i in np.unique(target) if i != VOID]
    crowd = data.draw(st.lists(st.sampled_from(present), unique=True)) if present else []
    got = panoptic_counts(
        table_of(pred, target), num_classes=NUM_CLASSES, crowd=crowd, threshold=threshold
    )
    expected = twin.panoptic_counts(
        pred,
        target,
        class_of(pred),
        class_of(target),
        num_classes=NUM_CLASSES,
        void=[VOID],
        crowd=crowd,
        threshold=threshold,
    )
    assert_counts_equal(got, expected)


@given(pred=maps, data=st.data())
def test_covering_equals_the_twin(pred: NDArray[Any], data: st.DataObject) -> None:
    target = data.draw(hnp.arrays(np.int64, pred.shape, elements=st.integers(0, 5)))
    counts = parsing_covering_counts(table_of(pred, target), num_classes=NUM_CLASSES)
    covered, area = twin.parsing_covering_counts(
        pred, target, class_of(pred), class_of(target), num_classes=NUM_CLASSES, void=[VOID]
    )
    np.testing.assert_allclose(counts.covered_area, covered, rtol=1e-12)
    assert counts.area.tolist() == area.tolist()
    expected = twin.parsing_covering(
        pred, target, class_of(pred), class_of(target), num_classes=NUM_CLASSES, void=[VOID]
    )
    np.testing.assert_allclose(parsing_covering(counts), expected, rtol=1e-12)


@given(pred=maps, data=st.data(), preset=st.sampled_from([None, "monai"]))
def test_quality_equals_the_twin(pred: NDArray[Any], data: st.DataObject, preset: Any) -> None:
    target = data.draw(hnp.arrays(np.int64, pred.shape, elements=st.integers(0, 5)))
    things, modified = (
        data.draw(st.sampled_from([[0], [1, 2]])),
        data.draw(st.sampled_from([(), (0, 2)])),
    )
    counts = panoptic_counts(table_of(pred, target), num_classes=NUM_CLASSES)
    got = panoptic_quality(counts, things=things, modified=modified, preset=preset)
    smooth = 1e-6 if preset == "monai" else 0
    expected = twin.panoptic_quality(
        twin.PanopticTotals(**counts.to_arrays()), things=things, modified=modified, smooth=smooth
    )
    per_class = np.transpose([got.pq, got.sq, got.rq])
    np.testing.assert_allclose(per_class, expected["class"], rtol=1e-12)
    for name in ("all", "things", "stuff"):
        np.testing.assert_allclose(getattr(got, name)[:3], expected[name], rtol=1e-12)


def annotation(ids: NDArray[Any], name: str, crowd: list[int]) -> dict[str, Any]:
    segments = [
        {
            "id": int(i),
            "category_id": int(i) % NUM_CLASSES,
            "iscrowd": int(i in crowd),
            "area": int((ids == i).sum()),
        }
        for i in np.unique(ids)
        if i != VOID
    ]
    return {"image_id": name, "file_name": f"{name}.png", "segments_info": segments}


def write_ids(ids: NDArray[Any], path: Path) -> None:
    from PIL import Image

    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    Image.fromarray(rgb).save(path)


def test_equals_the_official_program(
    peer: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Void, crowd (two of one class among them) and ids, over a data set of 24 images."""
    evaluation = peer("panopticapi.evaluation")
    rng = np.random.default_rng(3)
    pairs, ours = [], []
    for folder in ("target", "pred"):
        (tmp_path / folder).mkdir()
    for number in range(24):
        target = random_segments(rng)
        pred = random_segments(rng, like=target)
        present = [int(i) for i in np.unique(target) if i != VOID]
        crowd = rng.permutation(present)[: rng.integers(0, 4)].tolist()
        name = f"image{number}"
        write_ids(target, tmp_path / "target" / f"{name}.png")
        write_ids(pred, tmp_path / "pred" / f"{name}.png")
        pairs.append((annotation(target, name, crowd), annotation(pred, name, [])))
        ours.append(
            panoptic_counts(
                table_of(pred, target),
                num_classes=NUM_CLASSES,
                crowd=sorted(crowd),
                preset="panopticapi",
            )
        )
    categories = {k: {"id": k, "isthing": int(k > 0)} for k in range(NUM_CLASSES)}
    official = evaluation.pq_compute_single_core(
        0, pairs, str(tmp_path / "target"), str(tmp_path / "pred"), categories
    )
    total: PanopticCounts = sum(ours)
    for k in range(NUM_CLASSES):
        assert (official[k].tp, official[k].fp, official[k].fn) == (
            total.tp[k],
            total.fp[k],
            total.fn[k],
        )
    quality = panoptic_quality(total, things=[1, 2], preset="panopticapi")
    for mean, isthing in ((quality.all, None), (quality.things, True), (quality.stuff, False)):
        expected, by_class = official.pq_average(categories, isthing=isthing)
        assert mean is not None
        assert mean.num_classes == expected["n"]
        np.testing.assert_allclose(
            mean[:3], [expected[name] for name in ("pq", "sq", "rq")], rtol=1e-12
        )
        for k, values in by_class.items():
            got = [quality.pq[k], quality.sq[k], quality.rq[k]]
            np.testing.assert_allclose(got, [values[n] for n in ("pq", "sq", "rq")], rtol=1e-12)
    assert total.tp.min() > 0
    assert total.fp.min() > 0
    capsys.readouterr()  # the program prints its progress


def test_only_the_last_crowd_is_remembered_on_request() -> None:
    # Prediction 3 lies half on crowd 6, half on crowd 9, both of its class.
    target = np.array([[6, 6, 6, 9, 9]])
    pred = np.array([[3, 3, 3, 3, 3]])
    options: dict[str, Any] = {"num_classes": NUM_CLASSES, "crowd": [6, 9]}
    assert panoptic_counts(table_of(pred, target), **options).fp[0] == 0
    official = panoptic_counts(table_of(pred, target), preset="panopticapi", **options)
    assert official.fp[0] == 1
    options["crowd"] = [9, 6]
    assert panoptic_counts(table_of(pred, target), preset="cityscapes", **options).fp[0] == 0


def torchmetrics_run(torch: ModuleType, metric: Any) -> PanopticCounts:
    """Update the metric with some maps; our counts of them. Id 0 is of an unknown category."""
    rng = np.random.default_rng(5)
    ours = []
    for _ in range(8):
        target = random_segments(rng)
        pred = random_segments(rng, like=target)
        maps = []
        for ids in (pred, target):
            maps.append(np.stack([np.where(ids == VOID, 99, ids % NUM_CLASSES), ids], axis=-1))
            ids[(ids % NUM_CLASSES == 0) & (ids != VOID)] = 3  # stuff is one segment
        metric.update(*(torch.from_numpy(m[None]) for m in maps))
        table = table_of(pred, target, pred_ignore_index=VOID)
        ours.append(panoptic_counts(table, num_classes=NUM_CLASSES, preset="torchmetrics"))
    total: PanopticCounts = sum(ours)
    return total


# It divides in float32.
FLOAT32 = 1e-6


def test_equals_torchmetrics(peer: Callable[[str], ModuleType]) -> None:
    metric = peer("torchmetrics.detection").PanopticQuality(
        things={1, 2},
        stuffs={0},
        allow_unknown_preds_category=True,
        return_per_class=True,
        return_sq_and_rq=True,
    )
    counts = torchmetrics_run(peer("torch"), metric)
    expected = metric.compute().numpy()  # (class, [PQ, SQ, RQ]), things first
    got = panoptic_quality(counts, preset="torchmetrics")
    for column, values in enumerate((got.pq, got.sq, got.rq)):
        np.testing.assert_allclose(values[[1, 2, 0]], expected[:, column], rtol=FLOAT32)


def test_modified_quality_equals_torchmetrics(peer: Callable[[str], ModuleType]) -> None:
    metric = peer("torchmetrics.detection").ModifiedPanopticQuality(
        things={1, 2}, stuffs={0}, allow_unknown_preds_category=True
    )
    counts = torchmetrics_run(peer("torch"), metric)
    got = panoptic_quality(counts, preset="torchmetrics", modified=[0])
    np.testing.assert_allclose(got.all.pq, float(metric.compute()), rtol=FLOAT32)


@pytest.mark.parametrize("threshold", [0.2, 0.3, 0.5, 0.75])
def test_equals_monai(peer: Callable[[str], ModuleType], threshold: float) -> None:
    torch, metrics = peer("torch"), peer("monai.metrics")
    rng = np.random.default_rng(7)
    metric = metrics.PanopticQualityMetric(
        num_classes=NUM_CLASSES,
        metric_name=("pq", "sq", "rq"),
        match_iou_threshold=threshold,
        reduction="sum_batch",
    )
    ours = []
    for _ in range(6):
        target = random_segments(rng)
        pred = random_segments(rng, like=target)
        # Every id may lie under every class: each combination is an instance.
        classes = [rng.integers(0, 2, ids.shape) * 2 + (ids % 2) for ids in (pred, target)]
        stacked = [
            torch.from_numpy(np.stack([ids, k])[None])
            for ids, k in zip((pred, target), classes, strict=True)
        ]
        metric(*stacked)
        table = overlap_table(
            pred, target, pred_classes=classes[0], target_classes=classes[1], split_classes=True
        )
        # MONAI's class 0 is background.
        ours.append(panoptic_counts(table, num_classes=NUM_CLASSES + 1, threshold=threshold))
    got = panoptic_quality(sum(ours), preset="monai")
    expected = [value.numpy() for value in metric.aggregate()]
    for values, theirs in zip((got.pq, got.sq, got.rq), expected, strict=True):
        np.testing.assert_allclose(values[1:], theirs, rtol=1e-5)


def quality_of(pred: Any, target: Any, **options: Any) -> PanopticQuality:
    table = overlap_table(np.array(pred), np.array(target), **options)
    return panoptic_quality(panoptic_counts(table, num_classes=1))


def test_perfect() -> None:
    quality = quality_of([[1, 2], [3, 3]], [[7, 8], [9, 9]])
    assert (quality.pq[0], quality.sq[0], quality.rq[0]) == (1, 1, 1)
    assert quality.all == (1, 1, 1, 1)


def test_two_halves_at_exactly_half_do_not_match() -> None:
    quality = quality_of([[1, 1, 2, 2]], [[5, 5, 5, 5]])
    assert (quality.pq[0], quality.sq[0], quality.rq[0]) == (0, 0, 0)


@pytest.mark.parametrize(("pred", "target"), [([[0]], [[5]]), ([[5]], [[0]])])
def test_one_side_empty_scores_0(pred: Any, target: Any) -> None:
    assert quality_of(pred, target).pq[0] == 0


@pytest.mark.parametrize(
    "arrays", [([[0, 0]], [[0, 0]]), (np.zeros((0, 3), int), np.zeros((0, 3), int))]
)
def test_both_sides_empty_are_undefined(arrays: Any) -> None:
    quality = quality_of(*arrays)
    assert np.isnan(quality.pq[0])
    assert np.isnan(quality.all.pq)
    assert quality.all.num_classes == 0


def test_all_void_is_undefined_and_nothing_is_false() -> None:
    assert np.isnan(quality_of([[1, 2]], [[9, 9]], ignore_index=9).pq[0])


def test_void_leaves_the_union_and_excuses_a_prediction_mostly_on_it() -> None:
    # Region 1: two pixels on target 5, three on void. Region 2: half on void, which is not more.
    target = np.array([[5, 5, 9, 9, 9, 9, 0]])
    pred = np.array([[1, 1, 1, 1, 1, 2, 2]])
    counts = panoptic_counts(overlap_table(pred, target, ignore_index=9), num_classes=1)
    assert counts.iou_sum[0] == 1
    assert (counts.tp[0], counts.fp[0], counts.fn[0]) == (1, 1, 0)
    pred[0, :2] = 0
    counts = panoptic_counts(overlap_table(pred, target, ignore_index=9), num_classes=1)
    assert (counts.tp[0], counts.fp[0], counts.fn[0]) == (0, 1, 1)


def test_crowd_neither_matches_nor_is_missed() -> None:
    table = overlap_table(np.array([[1, 1, 2]]), np.array([[5, 5, 0]]))
    counts = panoptic_counts(table, num_classes=1, crowd=[5])
    assert (counts.tp[0], counts.fp[0], counts.fn[0], counts.target_regions[0]) == (0, 1, 0, 0)


def test_area_of_the_json_file_can_replace_the_counted_one() -> None:
    table = overlap_table(np.array([[1, 1, 1]]), np.array([[5, 5, 5]]))
    table = dataclasses.replace(table, target_area=np.array([5]))
    assert panoptic_counts(table, num_classes=1).iou_sum[0] == 0.6


def test_modified_quality_needs_no_threshold() -> None:
    table = overlap_table(np.array([[1, 0, 0, 0]]), np.array([[5, 5, 5, 5]]))
    counts = panoptic_counts(table, num_classes=1)
    assert panoptic_quality(counts).pq[0] == 0
    assert panoptic_quality(counts, modified=[0]).pq[0] == 0.25


def test_covering_normalised_by_image_size_weighs_images_equally() -> None:
    small = overlap_table(np.array([[1, 0]]), np.array([[5, 5]]))
    large = overlap_table(np.full((10, 10), 1), np.full((10, 10), 5))
    plain, normalised = (
        parsing_covering(
            sum(
                parsing_covering_counts(table, num_classes=1, normalize=normalize)
                for table in (small, large)
            )
        )[0]
        for normalize in (False, True)
    )
    assert plain == pytest.approx((1 + 100) / 102)
    assert normalised == pytest.approx(0.75)


def test_a_class_out_of_range_is_named() -> None:
    table = overlap_table([[4]], [[5]], pred_classes={4: 7}, target_classes={5: 0})
    with pytest.raises(ValueError, match=r"pred region 4 has class 7, outside 0\.\.2"):
        panoptic_counts(table, num_classes=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes must be"),
        ({"num_classes": True}, "num_classes must be"),
        ({"num_classes": 1, "threshold": 1.5}, "threshold must be a number from 0 to 1"),
        ({"num_classes": 1, "crowd": [3]}, "crowd names 3"),
        ({"num_classes": 1, "preset": "coco"}, "preset must be one of"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    table = overlap_table(np.array([[1]]), np.array([[5]]))
    with pytest.raises(ValueError, match=message):
        panoptic_counts(table, **options)


def test_absent_classes_follow_the_policy() -> None:
    counts = panoptic_counts(overlap_table(np.array([[1]]), np.array([[1]])), num_classes=2)
    assert panoptic_quality(counts).all.pq == 1
    assert panoptic_quality(counts, absent="zero").all.pq == 0.5
    official = panoptic_quality(counts, preset="panopticapi")
    assert official.pq.tolist() == [1, 0]
    assert official.all.num_classes == 1
    with pytest.raises(ValueError, match="panoptic_quality is undefined"):
        panoptic_quality(counts, absent="raise")
