"""The protocol ``cityscapes`` against the official evaluation functions of cityscapesScripts."""

from __future__ import annotations

import importlib
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import segmeter
from segmeter.evaluation.protocols import cityscapes

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

DIGITS = 1e-12
OFFICIAL = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"


@pytest.fixture
def official(peer: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The official module, quiet, writing nothing, with the function that NumPy 2.4 lost."""
    monkeypatch.setenv("CITYSCAPES_DATASET", str(tmp_path))
    sys.modules.pop(OFFICIAL, None)  # it reads the environment when it is imported
    module: ModuleType = peer(OFFICIAL)
    monkeypatch.setattr(module.np, "in1d", np.isin, raising=False)
    module.args.quiet = True
    module.args.JSONOutput = False
    return module


def official_result(module: ModuleType, pred: Path, target: Path) -> dict[str, Any]:
    targets = sorted(map(str, target.rglob("*_gtFine_labelIds.png")))
    module.args.predictionPath = str(pred)
    module.args.predictionWalk = None
    predictions = [module.getPrediction(module.args, path) for path in targets]
    result = module.evaluateImgLists(predictions, targets, module.args)
    plain: dict[str, Any] = json.loads(json.dumps(result, default=lambda value: value.__dict__))
    return plain


def largest_difference(ours: Any, theirs: Any) -> float:
    """Largest difference of two nested results with equal keys; NaN equals NaN."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        return max(largest_difference(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        assert np.array_equal(ours, theirs)
        return 0.0
    if math.isnan(theirs) or math.isnan(ours):
        assert math.isnan(theirs)
        assert math.isnan(ours)
        return 0.0
    return abs(ours - theirs)


def write(folder: Path, name: str, labels: np.ndarray[Any, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(folder / name)


def random_set(
    root: Path, rng: np.random.Generator, *, images: int = 3, labels: int = 34
) -> tuple[Path, Path]:
    """Noise in the layout of the data set: cities as folders, every id, odd instance ids."""
    for number in range(images):
        city, frame = ("ulm", "bonn")[number % 2], f"{number:06d}_000019"
        target = rng.integers(0, labels, (19, 23), dtype=np.uint8)
        instances = target.astype(np.uint16)
        many = rng.integers(0, 5, target.shape)
        inside = (target >= 24) & (many < 4)
        instances[inside] = target[inside].astype(np.uint16) * 1000 + many[inside]
        pred = np.where(rng.random(target.shape) < 0.5, target, rng.integers(0, 34, target.shape))
        write(root / "gt" / city, f"{city}_{frame}_gtFine_labelIds.png", target)
        write(root / "gt" / city, f"{city}_{frame}_gtFine_instanceIds.png", instances)
        write(root / "pred", f"{city}_{frame}_result.png", pred.astype(np.uint8))
    return root / "pred", root / "gt"


def test_shared_scenes_equal_official_tool(
    official: ModuleType, shared: Path, tmp_path: Path
) -> None:
    data = shared / "data" / "cityscapes_format"
    theirs = official_result(official, data / "pred", data / "gt")
    result = segmeter.evaluate(data / "pred", data / "gt", protocol="cityscapes")
    assert result.problems == []
    assert result.pairing["rule"] == "by the file names of cityscapes"
    result.to_official_json(tmp_path / "ours.json")
    ours = json.loads((tmp_path / "ours.json").read_text())
    assert largest_difference(ours, theirs) <= DIGITS
    assert not math.isnan(theirs["averageScoreInstCategories"])


@pytest.mark.parametrize("seed", range(4))
def test_noise_equals_official_tool(official: ModuleType, tmp_path: Path, seed: int) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(seed))
    theirs = official_result(official, pred, target)
    result = segmeter.evaluate(pred, target, protocol="cityscapes")
    assert result.problems == []
    assert largest_difference(result.totals.protocol.official(), theirs) <= DIGITS


def test_absent_classes_equal_official_tool(official: ModuleType, tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(7), labels=12)
    theirs = official_result(official, pred, target)
    result = segmeter.evaluate(pred, target, protocol="cityscapes")
    assert math.isnan(theirs["classInstScores"]["sky"])
    assert largest_difference(result.totals.protocol.official(), theirs) <= DIGITS


def test_tables_show_the_official_numbers(official: ModuleType, tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(11))
    theirs = official_result(official, pred, target)
    result = segmeter.evaluate(pred, target, protocol="cityscapes", threads=3)
    for row in result.per_class:
        assert row["iou"] == pytest.approx(theirs["classScores"][row["class"]], abs=DIGITS)
        iiou = theirs["classInstScores"][row["class"]]
        assert row["iiou"] == pytest.approx(iiou, abs=DIGITS, nan_ok=True)
    for row in result.label_groups:
        assert row["iou"] == pytest.approx(theirs["categoryScores"][row["group"]], abs=DIGITS)
        iiou = theirs["categoryInstScores"][row["group"]]
        assert row["iiou"] == pytest.approx(iiou, abs=DIGITS, nan_ok=True)
    for ours, name in (
        ("mean_iou", "averageScoreClasses"),
        ("mean_iiou", "averageScoreInstClasses"),
        ("mean_category_iou", "averageScoreCategories"),
        ("mean_category_iiou", "averageScoreInstCategories"),
    ):
        assert result.scores[ours] == pytest.approx(theirs[name], abs=DIGITS)


def test_label_table_is_the_official_one(peer: Any) -> None:
    theirs = [label for label in peer("cityscapesscripts.helpers.labels").labels if label.id >= 0]
    assert [(label.id, label.name, label.category) for label in cityscapes.LABELS] == [
        (label.id, label.name, label.category) for label in theirs
    ]
    assert [label.train_id for label in cityscapes.LABELS] == [
        None if label.ignoreInEval else label.trainId for label in theirs
    ]
    sizes = importlib.import_module(OFFICIAL).args.avgClassSize
    assert {
        label.name: label.instance_size for label in cityscapes.LABELS if label.instance_size
    } == {name: size for name, size in sizes.items() if name not in ("caravan", "trailer")}


def test_missing_instance_file_leaves_iiou_undefined(tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(3))
    next(target.rglob("*instanceIds.png")).unlink()
    result = segmeter.evaluate(pred, target, protocol="cityscapes")
    assert result.num_images == 3
    assert result.exit_code == 0
    (row,) = result.problems
    assert (row["kind"], row["level"]) == ("protocol", "warning")
    assert "instanceIds.png is not there" in row["message"]
    assert math.isnan(result.scores["mean_iiou"])
    assert math.isnan(result.scores["mean_category_iiou"])
    assert not math.isnan(result.scores["mean_iou"])
    assert result.scores_over["mean_iiou"] == {"over": 0, "undefined": 19}
    assert result.scores_over["mean_category_iou"] == {"over": 7, "undefined": 0}


def test_train_ids_by_pred_mapping(tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(5))
    expected = segmeter.evaluate(pred, target, protocol="cityscapes")
    to_train_id = np.full(34, 255, np.uint8)
    for label in cityscapes.SCORED:
        to_train_id[label.id] = label.train_id
    for path in pred.iterdir():
        Image.fromarray(to_train_id[np.asarray(Image.open(path))]).save(path)
    result = segmeter.evaluate(
        pred, target, protocol="cityscapes", pred_mapping=cityscapes.TRAIN_ID_TO_ID
    )
    assert np.array_equal(result.matrix, expected.matrix)
    # Unscored members of a category are lost in train ids, so only class iIoU stays the same.
    assert result.scores["mean_iiou"] == expected.scores["mean_iiou"]


def test_unnamed_train_id_is_a_problem(tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(5), images=1)
    result = segmeter.evaluate(pred, target, protocol="cityscapes", pred_mapping={0: 7})
    (row,) = result.problems
    assert row["kind"] == "labels"
    assert "pred_mapping does not name" in row["message"]


def test_train_id_protocol_equals_label_ids(tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(6))
    expected = segmeter.evaluate(pred, target, protocol="cityscapes")
    to_train_id = np.full(34, 255, np.uint8)
    for label in cityscapes.SCORED:
        to_train_id[label.id] = label.train_id
    for path in (*pred.iterdir(), *target.rglob("*labelIds.png")):
        Image.fromarray(to_train_id[np.asarray(Image.open(path))]).save(path)
    result = segmeter.evaluate(
        pred,
        target,
        protocol="cityscapes-trainids",
        pred_suffix="_result",
        target_suffix="_gtFine_labelIds",
    )
    assert np.array_equal(result.matrix, expected.matrix)
    assert [row["iou"] for row in result.label_groups] == [
        row["iou"] for row in expected.label_groups
    ]


def test_void_prediction_beside_the_label_ids(tmp_path: Path) -> None:
    write(tmp_path / "gt", "a_1_2_gtFine_labelIds.png", np.array([[7, 7, 0]], np.uint8))
    write(tmp_path / "gt", "a_1_2_gtFine_instanceIds.png", np.array([[7, 7, 0]], np.uint16))
    write(tmp_path / "pred", "a_1_2.png", np.array([[7, 7, 255]], np.uint8))
    options: dict[str, Any] = {"protocol": "cityscapes"}
    on_void = segmeter.evaluate(tmp_path / "pred", tmp_path / "gt", **options)
    assert on_void.per_class[0]["iou"] == 1.0  # 255 where the target does not count
    write(tmp_path / "pred", "a_1_2.png", np.array([[7, 255, 0]], np.uint8))
    counted = segmeter.evaluate(tmp_path / "pred", tmp_path / "gt", **options)
    assert "255" in counted.problems[0]["message"]
    wrong = segmeter.evaluate(tmp_path / "pred", tmp_path / "gt", out_of_range="wrong", **options)
    assert wrong.per_class[0]["iou"] == 0.5
    with pytest.raises(ValueError, match="out_of_range='ignore' has no place"):
        segmeter.evaluate(tmp_path / "pred", tmp_path / "gt", out_of_range="ignore", **options)


def test_prediction_that_is_no_label_id_on_an_instance(tmp_path: Path) -> None:
    person = np.full((1, 4), 24, np.uint8)
    write(tmp_path / "gt", "a_1_2_gtFine_labelIds.png", person)
    write(tmp_path / "gt", "a_1_2_gtFine_instanceIds.png", np.full((1, 4), 24000, np.uint16))
    write(tmp_path / "pred", "a_1_2.png", np.array([[24, 25, 34, 255]], np.uint8))
    result = segmeter.evaluate(
        tmp_path / "pred", tmp_path / "gt", protocol="cityscapes", out_of_range="wrong"
    )
    assert result.problems == []
    row = next(row for row in result.per_class if row["class"] == "person")
    assert row["iou"] == row["iiou"] == 0.25
    human = next(row for row in result.label_groups if row["group"] == "human")
    assert human["iou"] == human["iiou"] == 0.5


def test_instance_file_that_does_not_fit_is_a_problem(tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(5), images=2)
    first, second = sorted(target.rglob("*instanceIds.png"))
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(first)
    Image.fromarray(np.full((19, 23), 50_000, np.uint16)).save(second)
    result = segmeter.evaluate(pred, target, protocol="cityscapes")
    assert result.num_images == 0
    assert [row["kind"] for row in result.problems] == ["protocol", "protocol"]
    assert "(2, 2)" in result.problems[0]["message"]
    assert "holds the instance id 50000" in result.problems[1]["message"]


def test_files_of_other_names_pair_as_usual(tmp_path: Path) -> None:
    for side in ("pred", "gt"):
        write(tmp_path / side, "any.png", np.array([[7, 8]], np.uint8))
    folders = segmeter.evaluate(tmp_path / "pred", tmp_path / "gt", protocol="cityscapes")
    assert folders.pairing["rule"] == "by file stem"
    assert folders.num_images == 1
    write(tmp_path / "gt", "a_1_2_gtFine_labelIds.png", np.array([[7, 8]], np.uint8))
    files = segmeter.evaluate(
        tmp_path / "pred" / "any.png",
        tmp_path / "gt" / "a_1_2_gtFine_labelIds.png",
        protocol="cityscapes",
    )
    assert files.num_images == 1


def test_missing_and_double_predictions(tmp_path: Path) -> None:
    pred, target = random_set(tmp_path, np.random.default_rng(4))
    first, second, _ = sorted(pred.iterdir())
    first.unlink()
    write(pred / "more", f"{second.stem}_again.png", np.zeros((19, 23), np.uint8))
    result = segmeter.evaluate(pred, target, protocol="cityscapes")
    assert result.num_images == 1
    assert [row["kind"] for row in result.problems] == ["missing-prediction", "ambiguous"]
    assert result.exit_code == 3


def test_counts_survive_arrays() -> None:
    pred, target = np.array([[7, 24]]), np.array([[7, 26]])
    counts = cityscapes.measure(pred, target, "x.png").counts
    assert isinstance(counts, cityscapes.CityscapesCounts)
    copy = cityscapes.CityscapesCounts.from_arrays(counts.to_arrays())
    double = counts + copy
    assert np.array_equal(double.matrix, 2 * counts.matrix)
    assert double.images_without_instances == 2
