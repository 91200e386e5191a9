"""Stored region objects come from files and messages: what is inconsistent raises ValueError."""

from __future__ import annotations

import numpy as np
import pytest

import segmeter

PRED = np.array([[1, 1, 0, 2], [0, 3, 3, 2], [4, 0, 3, 2]])
TARGET = np.array([[1, 1, 1, 0], [2, 2, 0, 2], [3, 0, 2, 2]])


def make_objects():
    masks = segmeter.RunLengthMasks.from_masks(PRED[None] == np.arange(1, 4)[:, None, None])
    coco = segmeter.coco_counts(masks, masks, scores=[0.9, 0.5, 0.7])
    detection_map = np.where(PRED == 3, 0.5, 0.0)
    table = segmeter.overlap_table(PRED, TARGET)
    return {
        "RunList": segmeter.RunList.from_array(PRED),
        "components": segmeter.label_components(PRED),
        "instances": segmeter.instance_regions(PRED.astype(np.uint64)),
        "OverlapTable": table,
        "RunLengthMasks": masks,
        "CocoCounts": coco,
        "DetectionCounts": segmeter.detect(detection_map, TARGET == 2),
        "LesionCounts": segmeter.lesion_wise(PRED, TARGET),
        "BettiCounts": segmeter.betti_counts(PRED, TARGET, labels=[1, 2]),
        "CenterlineCounts": segmeter.centerline_counts(PRED, TARGET, skeleton=np.asarray),
        "PanopticCounts": segmeter.panoptic_counts(table, num_classes=1),
        "ParsingCoveringCounts": segmeter.parsing_covering_counts(table, num_classes=1),
        "ObjectCounts": segmeter.object_counts(table),
        "InstanceCounts": segmeter.instance_counts(table),
        "AggregatedJaccardCounts": segmeter.aggregated_jaccard_counts(table),
        "CountErrorCounts": segmeter.count_error_counts(table),
        "SizeCounts": segmeter.size_counts(table),
        "PartitionCounts": segmeter.partition_counts(table),
    }


OBJECTS = make_objects()


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, o in OBJECTS.items() for name in o.to_arrays()]
)
def test_a_missing_array_is_named(owner, name):
    if (owner, name) == ("RunList", "value"):
        pytest.skip("a list without values is a binary one")
    arrays = dict(OBJECTS[owner].to_arrays())
    del arrays[name]
    with pytest.raises(ValueError, match=name):
        type(OBJECTS[owner]).from_arrays(arrays)


WRONG = [
    ("RunList", "begin", lambda a: a[::-1]),
    ("RunList", "end", lambda a: a + 100),
    ("RunList", "row_begin", lambda a: a[:-1]),
    ("RunList", "shape", lambda a: a[None]),
    ("RunList", "shape", lambda a: np.full_like(a, 2**40)),
    ("components", "area", lambda a: a + 1),
    ("components", "first", lambda a: a[::-1]),
    ("components", "num_runs", lambda a: a * 0),
    ("components", "coordinate_sum", lambda a: a[:, :1]),
    ("components", "bounding_box", lambda a: a - 1),
    ("components", "run_region", lambda a: a + np.int64(2**32)),
    ("components", "run_region", lambda a: a.astype(float)),
    ("components", "connectivity", lambda a: a + 1),
    ("components", "id", lambda a: a[::-1]),
    ("components", "value", lambda a: a[:-1]),
    ("instances", "id", lambda a: a.astype(str)),
    ("OverlapTable", "pred_id", lambda a: a[::-1]),
    ("OverlapTable", "target_id", lambda a: a * 0),
    ("OverlapTable", "pred_area", lambda a: -a),
    ("OverlapTable", "target_void", lambda a: a[:-1]),
    ("OverlapTable", "pred_index", lambda a: a + 100),
    ("OverlapTable", "target_index", lambda a: a[::-1]),
    ("OverlapTable", "intersection", lambda a: a * 0),
    ("OverlapTable", "num_pixels", lambda a: np.array([a, a])),
    ("RunLengthMasks", "bounds", lambda a: a[::-1]),
    ("RunLengthMasks", "bounds", lambda a: a + 0.5),
    ("RunLengthMasks", "offsets", lambda a: a[1:]),
    ("RunLengthMasks", "shape", lambda a: a[:1]),
    ("CocoCounts", "score", lambda a: a * np.nan),
    ("CocoCounts", "score", lambda a: a[:-1]),
    ("CocoCounts", "class_index", lambda a: a + 5),
    ("CocoCounts", "outcome", lambda a: a[:, :1]),
    ("CocoCounts", "outcome", lambda a: a + 7),
    ("CocoCounts", "positives", lambda a: a[0]),
    ("DetectionCounts", "case", lambda a: a + 1),
    ("DetectionCounts", "confidence", lambda a: a[:-1]),
    ("LesionCounts", "pair_lesion", lambda a: a + 100),
    ("LesionCounts", "lesion_case", lambda a: a - 1),
    ("LesionCounts", "pred_volume", lambda a: a[:-1]),
    ("BettiCounts", "pred", lambda a: a[:, :1]),
    ("BettiCounts", "difference", lambda a: a[:1]),
    ("BettiCounts", "labels", lambda a: a + 0.5),
    ("BettiCounts", "num_present", lambda a: a[:-1]),
    ("CenterlineCounts", "pred_inside", lambda a: np.array([a, a])),
    ("PanopticCounts", "tp", lambda a: np.append(a, 0)),
    ("PanopticCounts", "fp", lambda a: a - 9),
    ("PanopticCounts", "fn", lambda a: a + 0.0),
    ("PanopticCounts", "iou_sum", lambda a: a.astype(str)),
    ("PanopticCounts", "iou_sum", lambda a: a * np.nan),
    ("ParsingCoveringCounts", "area", lambda a: a[:, None]),
    ("ObjectCounts", "pred_dice", lambda a: a + 1j),
    ("ObjectCounts", "tp", lambda a: a[None]),
    ("InstanceCounts", "thresholds", lambda a: a[1:]),
    ("InstanceCounts", "tp", lambda a: a > 0),
    ("AggregatedJaccardCounts", "union", lambda a: a / 2),
    ("CountErrorCounts", "images", lambda a: a.astype(str).repeat(2)),
    ("CountErrorCounts", "images", lambda a: a + 0.5),
    ("SizeCounts", "names", lambda a: a[:-1]),
    ("SizeCounts", "names", lambda a: np.arange(len(a))),
    ("SizeCounts", "bounds", lambda a: a[:2]),
    ("PartitionCounts", "pixels", lambda a: np.array([a, a])),
    ("PartitionCounts", "split_sum", lambda a: a.astype(str)),
]


@pytest.mark.parametrize(("owner", "name", "change"), WRONG)
def test_inconsistent_arrays_are_refused(owner, name, change):
    arrays = dict(OBJECTS[owner].to_arrays())
    assert arrays[name].size
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError):
        type(OBJECTS[owner]).from_arrays(arrays)


@pytest.mark.parametrize("owner", OBJECTS)
def test_what_is_stored_comes_back(owner):
    arrays = OBJECTS[owner].to_arrays()
    again = type(OBJECTS[owner]).from_arrays(arrays).to_arrays()
    assert arrays.keys() == again.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, again[name])
        assert array.dtype == again[name].dtype


@pytest.mark.parametrize("owner", OBJECTS)
def test_equal_is_what_holds_the_same(owner):
    made = OBJECTS[owner]
    again = type(made).from_arrays(made.to_arrays())
    assert made == again
    assert made != "counts"
    if hasattr(made, "__add__"):
        assert made + made == again + again
