"""The protocols that are tables: VOC, ADE20K, CamVid, two classes; against counts by NumPy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import segmeter
from segmeter.evaluation import make_plan
from segmeter.evaluation.protocols import PROTOCOLS, get

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def save(folder: Path, name: str, labels: NDArray[np.uint8], palette: list[int] | None) -> None:
    folder.mkdir(exist_ok=True)
    image = Image.fromarray(labels)
    if palette is not None:
        image = Image.frombytes("P", image.size, labels.tobytes())
        image.putpalette(palette)
    image.save(folder / f"{name}.png")


def per_class(preds: Any, targets: Any, labels: Any, counted: Any) -> list[float]:
    """IoU of labels over all maps, by sets; pixels count where ``counted(target)``."""
    scores = []
    for label in labels:
        both = either = 0
        for pred, target in zip(preds, targets, strict=True):
            valid = counted(target)
            inside = (pred == label) & valid, (target == label) & valid
            both += int((inside[0] & inside[1]).sum())
            either += int((inside[0] | inside[1]).sum())
        scores.append(both / either if either else math.nan)
    return scores


def maps(highest: int, *, void: int | None, seed: int = 0) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(seed)
    preds, targets = [], []
    for _ in range(4):
        target = rng.integers(0, highest + 1, (41, 37), dtype=np.uint8)
        noise = rng.integers(0, highest + 1, target.shape, dtype=np.uint8)
        preds.append(np.where(rng.random(target.shape) < 0.6, target, noise))
        if void is not None:
            target[rng.random(target.shape) < 0.2] = void
        targets.append(target)
    return preds, targets


@pytest.fixture
def evaluated(tmp_path: Path) -> Any:
    """Function that writes maps and evaluates them under a protocol."""

    def run(preds: Any, targets: Any, protocol: str, *, palette: list[int] | None = None) -> Any:
        for side, labels in (("p", preds), ("t", targets)):
            for number, one in enumerate(labels):
                save(tmp_path / side, f"{number}", one, palette)
        return segmeter.evaluate(tmp_path / "p", tmp_path / "t", protocol=protocol)

    return run


@pytest.mark.parametrize("palette", [None, [(i * 37) % 256 for i in range(768)]])
def test_voc(evaluated: Any, palette: list[int] | None) -> None:
    preds, targets = maps(20, void=255)
    result = evaluated(preds, targets, "voc", palette=palette)
    assert result.problems == []
    expected = per_class(preds, targets, range(21), lambda target: target != 255)
    assert [row["iou"] for row in result.per_class] == pytest.approx(expected, abs=1e-12)
    assert result.scores["mean_iou"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert [row["class"] for row in result.per_class][::20] == ["background", "tvmonitor"]


def test_voc_prediction_of_the_border_label_is_wrong(evaluated: Any) -> None:
    target = np.array([[0, 1, 1, 255]], np.uint8)
    result = evaluated([np.array([[0, 1, 255, 255]], np.uint8)], [target], "voc")
    assert result.per_class[1]["iou"] == 0.5


def official_ade_intersection_and_union(pred: Any, target: Any) -> tuple[Any, Any]:
    """The definition of the benchmark: pixels of target label 0 leave the prediction as well."""
    pred = pred * (target > 0)
    counts = [
        np.bincount(values.ravel(), minlength=151)[1:]
        for values in (pred * (pred == target), pred, target)
    ]
    return counts[0], counts[1] + counts[2] - counts[0]


def test_ade20k(evaluated: Any) -> None:
    preds, targets = maps(150, void=None)
    result = evaluated(preds, targets, "ade20k")
    assert result.problems == []
    areas = [
        official_ade_intersection_and_union(*pair) for pair in zip(preds, targets, strict=True)
    ]
    both, either = (np.sum([area[i] for area in areas], axis=0) for i in (0, 1))
    assert [row["iou"] for row in result.per_class] == pytest.approx(both / either, abs=1e-12)
    labelled = sum(int((target > 0).sum()) for target in targets)
    right = sum(
        int(((pred == target) & (target > 0)).sum())
        for pred, target in zip(preds, targets, strict=True)
    )
    assert result.scores["pixel_accuracy"] == right / labelled
    final = (right / labelled + np.mean(both / either)) / 2
    assert result.scores["final_score"] == pytest.approx(final, abs=1e-12)


def test_ade20k_absent_classes(evaluated: Any) -> None:
    target = np.array([[0, 1, 1, 3]], np.uint8)
    result = evaluated([np.array([[5, 1, 2, 3]], np.uint8)], [target], "ade20k")
    assert result.scores["mean_iou"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert result.scores["mean_iou_absent_zero"] == pytest.approx((0.5 + 0 + 1) / 150)


def test_ade20k_sample(shared: Path) -> None:
    data = shared / "data" / "ade20k_sample"
    result = segmeter.evaluate(data / "predictions", data / "annotations", protocol="ade20k")
    assert result.problems == []
    assert result.scores["pixel_accuracy"] == result.scores["mean_iou"] == 1.0
    present = set()
    ignored = 0
    for path in (data / "annotations").glob("*.png"):
        labels = np.asarray(Image.open(path))
        present |= set(np.unique(labels).tolist()) - {0}
        ignored += int((labels == 0).sum())
    assert {row["index"] + 1 for row in result.per_class if row["tp"]} == present
    assert result.counts.ignored == ignored


def test_camvid(shared: Path, evaluated: Any) -> None:
    paths = sorted((shared / "data" / "camvid" / "val" / "labels_full").glob("*.png"))[:6]
    targets = [np.asarray(Image.open(path)) for path in paths]
    preds = [np.minimum(np.roll(target, 7, axis=1), 10) for target in targets]
    result = evaluated(preds, targets, "camvid")
    assert result.problems == []
    expected = per_class(preds, targets, range(11), lambda target: target != 11)
    assert [row["iou"] for row in result.per_class] == pytest.approx(expected, abs=1e-12)
    assert result.counts.ignored == sum(int((target == 11).sum()) for target in targets) > 0


def test_binary_has_two_classes_whatever_the_values(evaluated: Any) -> None:
    preds, targets = maps(5, void=255)
    result = evaluated(preds, targets, "binary")
    folded = [[(m > 0).astype(np.uint8) for m in side] for side in (preds, targets)]
    expected = per_class(*folded, (0, 1), lambda target: target < 2)
    assert [row["iou"] for row in result.per_class] == expected


def test_every_protocol_is_a_plan_that_says_what_it_does() -> None:
    for name in PROTOCOLS:
        plan = make_plan(protocol=name)
        assert plan.class_names == get(name).class_names
        assert len(set(plan.class_names)) == plan.num_classes
        assert plan.describe()[0].startswith(f"protocol {name}: ")
        groups = dict(plan.label_groups)
        assert all(max(members) < plan.num_classes for members in groups.values())
    assert {name: len(get(name).class_names) for name in PROTOCOLS if get(name).pixels} == {
        "cityscapes": 19,
        "cityscapes-trainids": 19,
        "voc": 21,
        "ade20k": 150,
        "camvid": 11,
        "binary": 2,
    }


def test_user_groups_join_those_of_the_protocol(tmp_path: Path) -> None:
    labels = np.array([[24, 25, 26]], np.uint8)
    for side in ("p", "t"):
        save(tmp_path / side, "a", labels, None)
    result = segmeter.evaluate(
        tmp_path / "p",
        tmp_path / "t",
        protocol="cityscapes",
        label_groups={"road users": ["person", "rider", "car"]},
    )
    row = result.label_groups[-1]
    assert (row["group"], row["tp"]) == ("road users", 3)
    assert math.isnan(row["iiou"])
