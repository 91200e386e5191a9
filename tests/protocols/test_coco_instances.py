"""Protocol coco-instances: the official numbers, and files that are not as they should be."""

from __future__ import annotations

import contextlib
import io
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segmeter
from segmeter.evaluation.protocols.coco_instances import CocoInstanceCounts, read_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

FULL = {"size": [4, 5], "counts": [0, 20]}
HALF = {"size": [4, 5], "counts": [0, 8, 12]}


def _evaluate(pred: Path, target: Path, **options: Any) -> segmeter.Result:
    return segmeter.evaluate(pred, target, protocol="coco-instances", **options)


@pytest.fixture(scope="module")
def files(shared: Path) -> tuple[Path, Path]:
    folder = shared / "data" / "coco_instances_100"
    pred = folder / "instances_val2014_fakesegm100_results.json"
    return pred, folder / "instances_val2014_100.json"


def test_all_numbers_are_those_of_the_official_code(
    peer: Callable[[str], ModuleType], files: tuple[Path, Path]
) -> None:
    coco, evaluation = peer("pycocotools.coco"), peer("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(files[1]))
        run = evaluation.COCOeval(truth, truth.loadRes(str(files[0])), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    for threads in (1, 3):
        result = _evaluate(*files, threads=threads)
        counts = result.totals.protocol
        assert isinstance(counts, CocoInstanceCounts)
        assert counts.official()["stats"] == run.stats.tolist()
        curves = np.nan_to_num(counts.result.precision, nan=-1)
        np.testing.assert_array_equal(curves, run.eval["precision"])
        recall = np.nan_to_num(counts.result.recall, nan=-1)
        np.testing.assert_array_equal(recall, run.eval["recall"])
        np.testing.assert_allclose(list(result.scores.values()), run.stats, rtol=0, atol=1e-14)
        assert list(result.scores) == counts.official()["names"]
        assert (result.num_images, result.problems, result.exit_code) == (100, [], 0)


def test_the_printed_table(shared: Path, files: tuple[Path, Path]) -> None:
    text = (shared / "data" / "coco_instances_100" / "val2014_fake_eval_res.txt").read_text()
    segm = text.split("type=segm")[1].split("type=bbox")[0]
    printed = [float(number) for number in re.findall(r"= (-?\d\.\d{3})$", segm, re.MULTILINE)]
    assert [round(score, 3) for score in _evaluate(*files).scores.values()] == printed


def test_counts_are_stored_and_sent(files: tuple[Path, Path]) -> None:
    dataset = read_dataset(*map(str, files))
    parts = [dataset.measure(pair).counts for pair in dataset.pairs[:12]]
    together = sum(parts[1:], start=parts[0])
    again = CocoInstanceCounts.from_arrays(together.to_arrays())
    assert again.official()["stats"] == together.official()["stats"]


def _target(**changes: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 7, "height": 4, "width": 5, "file_name": "a.jpg"},
            {"id": 3, "height": 4, "width": 5, "file_name": "b.jpg"},
        ],
        "categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}],
        "annotations": [
            {"id": k, "image_id": image, "category_id": 1, "segmentation": FULL, "area": 20}
            for k, image in ((1, 7), (2, 3))
        ],
        **changes,
    }


def _detection(image: Any = 7, **changes: Any) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": 1,
        "segmentation": FULL,
        "score": 0.5,
        **changes,
    }


def _write(folder: Path, pred: Any, target: Any) -> tuple[Path, Path]:
    paths = folder / "results.json", folder / "instances.json"
    for path, content in zip(paths, (pred, target), strict=True):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return paths


def test_images_and_categories_have_names(tmp_path: Path) -> None:
    result = _evaluate(*_write(tmp_path, [_detection(7), _detection(3)], _target()))
    assert [row["class"] for row in result.per_class] == ["cat", "dog"]
    assert [row["id"] for row in result.per_image] == ["b.jpg", "a.jpg"]
    assert result.scores["ap"] == pytest.approx(1)
    assert np.isnan(result.scores["ap_large"])
    assert result.totals.protocol is not None
    assert result.totals.protocol.official()["stats"][5] == -1


def test_boxes_alone_are_refused(tmp_path: Path) -> None:
    boxes = [{"image_id": 7, "category_id": 1, "bbox": [0, 0, 2, 2], "score": 0.5}]
    with pytest.raises(ValueError, match="no detection has a segmentation"):
        _evaluate(*_write(tmp_path, boxes, _target()))


def test_no_detections_at_all(tmp_path: Path) -> None:
    result = _evaluate(*_write(tmp_path, [], _target()))
    assert (result.scores["ap"], result.scores["ar_100"], result.exit_code) == (0, 0, 0)


@pytest.mark.parametrize(
    ("detection", "message"),
    [
        ({"segmentation": {"size": [5, 4], "counts": [20]}}, r"size \[5, 4\], its image \[4, 5\]"),
        ({"segmentation": {"size": [4, 5], "counts": "1"}}, "add up to 1 pixels"),
        ({"segmentation": {"size": [4, 5], "counts": [25, -5]}}, "add up to|negative"),
        ({"segmentation": [[0, 0, 1, 1]]}, "2 points"),
        ({"segmentation": [[0, 0, 4, 0, 4, 4], FULL]}, "a polygon is a dict"),
        ({"segmentation": None}, "has no segmentation"),
        ({"score": None}, "has no score"),
        ({"score": "0.5"}, "the score is '0.5', not a number"),
        ({"score": True}, "not a number"),
        ({"score": float("nan")}, "not a number"),
        ({"score": float("inf")}, "not a number"),
        ({"score": 10**400}, "not a number"),
    ],
)
def test_a_bad_detection_leaves_its_image_out(
    tmp_path: Path, detection: dict[str, Any], message: str
) -> None:
    good = [_detection(3), _detection(7)]
    pred, target = _write(tmp_path, [*good, _detection(7, **detection)], _target())
    result = _evaluate(pred, target)
    (problem,) = result.totals.problems
    assert (problem.id, problem.level, problem.path) == ("a.jpg", "error", str(pred))
    assert re.search(f"image id 7: detection 2: .*({message})", problem.message)
    assert (result.num_images, result.exit_code) == (1, 3)
    assert result.scores["ap"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": {"size": [4, 5], "counts": "1"}}, "add up to 1"),
        ({"category_id": 9}, "category 9 is none"),
        ({"category_id": [1]}, r"category \[1\] is none"),
        ({"area": "20"}, "the area is '20'"),
        ({"area": float("nan")}, "the area is nan"),
    ],
)
def test_a_bad_annotation_leaves_its_image_out(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content = _target()
    content["annotations"][0].update(change)
    result = _evaluate(*_write(tmp_path, [_detection(3), _detection(7)], content))
    (problem,) = result.totals.problems
    assert problem.id == "a.jpg"
    assert re.search(f"annotation id 1: .*{message}", problem.message)
    assert (result.num_images, result.exit_code) == (1, 3)


@pytest.mark.parametrize("stranger", [99, "7", None, [7]])
def test_detections_of_unknown_images(tmp_path: Path, stranger: Any) -> None:
    files = _write(tmp_path, [_detection(7), _detection(3), _detection(stranger)], _target())
    result = _evaluate(*files)
    (problem,) = result.totals.problems
    assert "1 detections name the image id " + repr(stranger) in problem.message
    assert (result.scores["ap"], result.exit_code) == (pytest.approx(1), 3)
    with pytest.raises(ValueError, match="1 problems"):
        _evaluate(*files, missing="raise")


def test_things_that_are_counted_with_a_warning(tmp_path: Path) -> None:
    content = _target()
    content["annotations"][0] |= {"id": 0, "ignore": 1}
    content["annotations"].append(dict(content["annotations"][1], category_id=2))
    detections = [
        _detection(7, bbox=[0, 0, 5, 4]),
        _detection(3),
        _detection(3, category_id=2),
        _detection(3, category_id=55),
    ]
    result = _evaluate(*_write(tmp_path, detections, content))
    messages = " ".join(problem.message for problem in result.totals.problems)
    for part in ("id 0", "'ignore' of 1", "occur twice, such as 2", "category 55", "hold a box"):
        assert part in messages
    assert {problem.level for problem in result.totals.problems} == {"warning"}
    assert (result.scores["ap"], result.exit_code) == (pytest.approx(1), 0)


def test_entries_that_are_no_objects(tmp_path: Path) -> None:
    content = _target()
    content["annotations"].append("dog")
    result = _evaluate(*_write(tmp_path, [_detection(7), _detection(3), 5], content))
    assert [problem.level for problem in result.totals.problems] == ["error", "error"]
    assert "have no 'image_id' (the first is number 2)" in result.totals.problems[1].message


def test_areas_that_are_not_stated(tmp_path: Path) -> None:
    content = _target()
    del content["annotations"][0]["area"]
    result = _evaluate(*_write(tmp_path, [_detection(7), _detection(3)], content))
    assert result.per_class[0]["targets"] == 2


def test_the_official_answer_to_an_odd_size(tmp_path: Path) -> None:
    content = _target()
    content["annotations"][0]["area"] = 5000  # as the file states it: a medium object
    detections = [_detection(7), _detection(3, segmentation=HALF)]
    result = _evaluate(*_write(tmp_path, detections, content))
    assert result.scores["ap_medium"] == pytest.approx(1)
    assert result.scores["ap_small"] == 0


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        ("{", None, "cannot be read"),
        ("[" * 200_000, None, "cannot be read"),
        ({"annotations": []}, None, "no list of detections"),
        (None, [], "no list 'images'"),
        (None, _target(categories=None), "no list 'categories'"),
        (None, _target(categories=[{"id": "1"}]), "category 0 has no integer 'id'"),
        (None, _target(categories=[{"id": 1}, {"id": 1}]), "2 categories have the id 1"),
        (None, _target(images=[{"id": 1, "height": 4}]), "image 0 needs the integers"),
        (None, _target(images=[{"id": 1, "height": -4, "width": 1}]), "image 0 needs"),
        (None, _target(images=[{"id": 2**70, "height": 4, "width": 1}]), "image 0 needs"),
        (None, _target(images=[{"id": 1, "height": 4, "width": 1}] * 2), "2 images have the id 1"),
    ],
)
def test_files_that_are_something_else(
    tmp_path: Path, pred: Any, target: Any, message: str
) -> None:
    files = _write(tmp_path, [] if pred is None else pred, _target() if target is None else target)
    with pytest.raises(ValueError, match=message):
        _evaluate(*files)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    pred, _ = _write(tmp_path, [], _target())
    with pytest.raises(ValueError, match="cannot be read"):
        _evaluate(pred, tmp_path / "none.json")


def test_boundary_ap_is_that_of_the_function(files: tuple[Path, Path]) -> None:
    pred, target = files
    plain = segmeter.evaluate(pred, target, protocol="coco-instances")
    result = segmeter.evaluate(pred, target, protocol="coco-instances", boundary_ratio=0.02)
    assert plain.scores.items() <= result.scores.items()
    content, found = json.loads(target.read_text()), json.loads(pred.read_text())
    ids = sorted(row["id"] for row in content["categories"])
    parts = []
    for info in sorted(content["images"], key=lambda row: row["id"]):
        shape = info["height"], info["width"]
        gt = [row for row in content["annotations"] if row["image_id"] == info["id"]]
        dt = [row for row in found if row["image_id"] == info["id"]]
        parts.append(
            segmeter.coco_counts(
                segmeter.RunLengthMasks.from_coco([row["segmentation"] for row in dt], shape=shape),
                segmeter.RunLengthMasks.from_coco([row["segmentation"] for row in gt], shape=shape),
                scores=[row["score"] for row in dt],
                pred_classes=np.array([ids.index(row["category_id"]) for row in dt], np.int64),
                target_classes=np.array([ids.index(row["category_id"]) for row in gt], np.int64),
                num_classes=len(ids),
                crowd=[bool(row["iscrowd"]) for row in gt],
                target_area=[row["area"] for row in gt],
                image_id=info["id"],
                boundary=0.02,
            )
        )
    summary = segmeter.coco_average_precision(sum(parts[1:], start=parts[0])).summary()
    ours = {name: result.scores[f"boundary_{name}"] for name in summary}
    assert ours == pytest.approx(summary, rel=0, abs=1e-14)
    assert 0 < result.scores["boundary_ap"] < result.scores["ap"]
    counts = result.totals.protocol
    assert isinstance(counts, CocoInstanceCounts)
    assert counts.official()["boundary"]["stats"] == list(summary.values())
    again = CocoInstanceCounts.from_arrays(counts.to_arrays())
    for way in (CocoInstanceCounts.official, lambda part: part.official()["boundary"]):
        assert way(again)["stats"] == way(counts)["stats"]
    row = result.per_class[0]
    assert row["class"] == "person"
    assert 0 < row["boundary_ap"] < row["ap"]
