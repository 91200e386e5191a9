"""Average precision of scored masks against the NumPy twin and the official code."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmeter import CocoCounts, CocoRules, RunLengthMasks, coco_average_precision, coco_counts
from segmeter.reference import region_coco as twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

CLASSES = 3
SHAPE = (12, 14)
# Small areas, so that masks of a few pixels are of every size.
RULES = CocoRules(
    area_ranges={"all": (0, 1e10), "small": (0, 9), "medium": (9, 20), "large": (20, 1e10)},
    max_detections=(1, 2, 4),
)


class Scene:
    """Random targets and detections of one image."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        targets, preds = (int(n) for n in rng.integers(0, 7, 2))
        boxes = [_box(rng) for _ in range(targets)]
        # Detections are shifted targets or something else; some are the very target.
        found = [
            _shifted(rng, boxes[rng.integers(targets)])
            if targets and rng.random() < 0.8
            else _box(rng)
            for _ in range(preds)
        ]
        self.target = _painted(boxes)
        self.pred = _painted(found)
        self.scores = rng.integers(1, 5, preds) / 4.0  # many ties
        self.pred_classes = rng.integers(0, CLASSES, preds)
        self.target_classes = rng.integers(0, CLASSES, targets)
        self.crowd = rng.random(targets) < 0.2
        self.target_area = self.target.area + rng.integers(-2, 3, targets)

    def counts(self, image_id: int, **options: Any) -> CocoCounts:
        return coco_counts(
            self.pred,
            self.target,
            scores=self.scores,
            pred_classes=self.pred_classes,
            target_classes=self.target_classes,
            num_classes=CLASSES,
            crowd=self.crowd,
            target_area=self.target_area,
            image_id=image_id,
            **{"rules": RULES, **options},
        )


def _box(rng: np.random.Generator) -> NDArray[np.int64]:
    start = np.array([rng.integers(0, size - 1) for size in SHAPE])
    return np.stack([start, start + rng.integers(0, 7, 2)], axis=1)


def _shifted(rng: np.random.Generator, box: NDArray[np.int64]) -> NDArray[np.int64]:
    return box + rng.integers(-1, 2, (2, 2)) * (rng.random() < 0.7)


def _painted(boxes: list[NDArray[np.int64]]) -> RunLengthMasks:
    masks = np.zeros((len(boxes), *SHAPE), bool)
    for mask, box in zip(masks, boxes, strict=True):
        (top, bottom), (left, right) = box.clip(0)
        mask[top:bottom, left:right] = True
    return RunLengthMasks.from_masks(masks)


def _sum(scenes: list[Scene], **options: Any) -> CocoCounts:
    counts = [scene.counts(image, **options) for image, scene in enumerate(scenes, 1)]
    return sum(counts[1:], start=counts[0])


seeds = st.integers(0, 2**32)


@settings(max_examples=150)
@given(seeds)
def test_outcomes_against_the_twin(seed: int) -> None:
    scene = Scene(seed)
    ignored = np.random.default_rng(seed).random(len(scene.target)) < 0.2
    found = scene.counts(1, ignored=ignored).to_arrays()
    expected = twin.coco_outcomes(
        scene.pred,
        scene.target,
        scores=scene.scores,
        pred_classes=scene.pred_classes,
        target_classes=scene.target_classes,
        num_classes=CLASSES,
        crowd=scene.crowd,
        ignored=ignored,
        target_area=scene.target_area,
        rules=RULES,
    )
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@settings(max_examples=25)
@given(st.lists(seeds, min_size=1, max_size=5))
def test_curves_against_the_twin(images: list[int]) -> None:
    counts = _sum([Scene(seed) for seed in images])
    precision, recall = twin.coco_curves(counts)
    for threads in (1, 2):
        result = coco_average_precision(counts, threads=threads)
        np.testing.assert_array_equal(result.precision, precision)
        np.testing.assert_array_equal(result.recall, recall)


@settings(max_examples=60)
@given(st.lists(seeds, min_size=1, max_size=6), st.booleans())
def test_all_numbers_against_the_official_code(
    peer: Callable[[str], ModuleType], images: list[int], official_sizes: bool
) -> None:
    scenes = [Scene(seed) for seed in images]
    if not any(len(scene.pred) for scene in scenes):
        return  # the official code cannot read empty results
    rules = CocoRules() if official_sizes else RULES
    run = _official(peer, scenes, rules)
    result = coco_average_precision(_sum(scenes, rules=rules))
    np.testing.assert_array_equal(np.nan_to_num(result.precision, nan=-1), run.eval["precision"])
    np.testing.assert_array_equal(np.nan_to_num(result.recall, nan=-1), run.eval["recall"])
    stats = np.array(list(result.summary().values()))
    if official_sizes:
        assert np.nan_to_num(stats, nan=-1).tolist() == run.stats.tolist()


def _official(peer: Callable[[str], ModuleType], scenes: list[Scene], rules: CocoRules) -> Any:
    coco = peer("pycocotools.coco")
    evaluation = peer("pycocotools.cocoeval")
    annotations, results = [], []
    for image, scene in enumerate(scenes, 1):
        for k, code in enumerate(scene.target.to_coco()):
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": int(scene.target_classes[k]) + 5,
                "segmentation": code,
                "area": float(scene.target_area[k]),
                "iscrowd": int(scene.crowd[k]),
            }
            annotations.append(annotation)
        for k, code in enumerate(scene.pred.to_coco()):
            detection = {
                "image_id": image,
                "category_id": int(scene.pred_classes[k]) + 5,
                "segmentation": code,
                "score": float(scene.scores[k]),
            }
            results.append(detection)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "images": [
                {"id": image, "height": SHAPE[0], "width": SHAPE[1]}
                for image in range(1, len(scenes) + 1)
            ],
            "categories": [{"id": 5 + k} for k in range(CLASSES)],
            "annotations": annotations,
        }
        truth.createIndex()
        run = evaluation.COCOeval(truth, truth.loadRes(results), "segm")
        run.params.areaRng = [list(limits) for limits in rules.area_ranges.values()]
        run.params.maxDets = list(rules.max_detections)
        run.evaluate()
        run.accumulate()
        if rules == CocoRules():
            run.summarize()
    return run


@given(st.lists(seeds, min_size=2, max_size=9), st.randoms(use_true_random=False))
def test_order_of_adding_does_not_matter(images: list[int], random: Any) -> None:
    counts = [Scene(seed).counts(image) for image, seed in enumerate(images)]
    straight = sum(counts[1:], start=counts[0]).to_arrays()
    random.shuffle(counts)
    while len(counts) > 1:
        first = counts.pop(random.randrange(len(counts)))
        place = random.randrange(len(counts))
        counts[place] = counts[place] + first
    for name, values in counts[0].to_arrays().items():
        np.testing.assert_array_equal(values, straight[name], err_msg=name)
    again = CocoCounts.from_arrays(straight)
    np.testing.assert_array_equal(
        coco_average_precision(again).precision, coco_average_precision(counts[0]).precision
    )
    assert again.rules == RULES


def test_an_image_without_anything() -> None:
    empty = RunLengthMasks.from_masks(np.zeros((0, *SHAPE), bool))
    counts = coco_counts(empty, empty, scores=[], num_classes=2)
    result = coco_average_precision(counts)
    assert np.isnan(result.per_class).all()
    assert all(np.isnan(value) for value in result.summary().values())
    target = RunLengthMasks.from_masks(np.ones((1, *SHAPE), bool))
    missed = coco_average_precision(counts + coco_counts(empty, target, scores=[], num_classes=2))
    assert missed.per_class[0] == 0
    assert missed.average_precision() == missed.average_recall(area_range="small") == 0
    assert np.isnan(missed.average_recall(area_range="large"))


def test_scores_by_name() -> None:
    masks = RunLengthMasks.from_masks(np.ones((1, *SHAPE), bool))
    result = coco_average_precision(coco_counts(masks, masks, scores=[0.5]))
    assert list(result.summary()) == [
        *("ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large"),
        *("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"),
    ]
    assert result.average_recall(iou_threshold=0.95, max_detections=1) == 1
    with pytest.raises(ValueError, match="iou_threshold must be one of"):
        result.average_precision(iou_threshold=0.51)
    with pytest.raises(ValueError, match="area_range must be one of"):
        result.average_precision(area_range="tiny")
    with pytest.raises(ValueError, match="max_detections must be one of"):
        result.average_recall(max_detections=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": [0.5]}, r"scores must have one number for each detection \(2\)"),
        ({"scores": [0.5, float("nan")]}, "scores must be finite, got nan for detection 1"),
        ({"scores": [0.5, float("inf")]}, "scores must be finite"),
        ({"pred_classes": [0, 1]}, "pred_classes must be 0 to 0, got 1 for detection 1"),
        ({"target_classes": [-1, 0]}, "target_classes must be 0 to 0, got -1 for target 0"),
        ({"target_classes": [0]}, "one class for each target"),
        ({"crowd": [True]}, "crowd must have one value for each target"),
        ({"target_area": [1.0, float("nan")]}, "target_area must be finite"),
        ({"pred_area": [1.0]}, "pred_area must have one number"),
        ({"num_classes": 0}, "num_classes must be 1 or more"),
        ({"num_classes": True}, "num_classes must be 1 or more"),
    ],
)
def test_wrong_input(options: dict[str, Any], message: str) -> None:
    masks = RunLengthMasks.from_masks(np.ones((2, *SHAPE), bool))
    with pytest.raises(ValueError, match=message):
        coco_counts(masks, masks, **{"scores": [0.5, 0.6], **options})


def test_wrong_types_and_rules() -> None:
    masks = RunLengthMasks.from_masks(np.ones((1, *SHAPE), bool))
    other = RunLengthMasks.from_masks(np.ones((1, 3, 3), bool))
    with pytest.raises(ValueError, match="same image"):
        coco_counts(masks, other, scores=[0.5])
    with pytest.raises(TypeError, match="must be numbers"):
        coco_counts(masks, masks, scores=["0.5"])
    with pytest.raises(TypeError, match="must be integers"):
        coco_counts(masks, masks, scores=[0.5], pred_classes=[0.0])
    counts = coco_counts(masks, masks, scores=[0.5])
    with pytest.raises(ValueError, match="different rules"):
        _ = counts + coco_counts(masks, masks, scores=[0.5], rules=RULES)
    with pytest.raises(ValueError, match="1 and of 2 classes"):
        _ = counts + coco_counts(masks, masks, scores=[0.5], num_classes=2)
    for rules, message in (
        ({"iou_thresholds": []}, "iou_thresholds"),
        ({"iou_thresholds": [0.0]}, "iou_thresholds"),
        ({"iou_thresholds": [0.7, 0.5]}, "ascending"),
        ({"area_ranges": {"small": (0, 1)}}, "one of them 'all'"),
        ({"area_ranges": {"all": (1, 0)}}, "low to high"),
        ({"max_detections": [10, 1]}, "max_detections"),
        ({"max_detections": [True]}, "max_detections"),
    ):
        with pytest.raises(ValueError, match=message):
            CocoRules(**rules)  # type: ignore[arg-type]
