"""The dry run: every finding on files that show it, and none on files that do not."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import segmeter
from segmeter import demo
from segmeter.cli import main
from segmeter.evaluation import CheckReport, check
from segmeter.evaluation._findings import class_count
from segmeter.evaluation.protocols import cityscapes

if TYPE_CHECKING:
    from pathlib import Path


def save(folder: Path, maps: Any) -> Path:
    """Label maps as PNG where they can be, as NPY where they cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, labels in enumerate(maps):
        labels = np.asarray(labels)
        if labels.dtype in (np.uint8, np.uint16):
            Image.fromarray(labels).save(folder / f"{number:03d}.png")
        else:
            np.save(folder / f"{number:03d}.npy", labels)
    return folder


def scenes(classes: int = 5, images: int = 4, seed: int = 0) -> list[Any]:
    """Maps of large regions with every class in each, not alike under any flip."""
    rng = np.random.default_rng(seed)
    maps = []
    for _ in range(images):
        labels = np.zeros((30, 40), np.uint8)
        for label in range(1, classes):
            top, left = rng.integers(0, 15), rng.integers(0, 25)
            labels[top : top + 9, left : left + 11] = label
        labels[0, :classes] = np.arange(classes)
        maps.append(labels)
    return maps


def spoiled(maps: list[Any], seed: int = 1, share: float = 0.15) -> list[Any]:
    """The maps with some pixels taken from elsewhere in the same map."""
    rng = np.random.default_rng(seed)
    return [
        np.where(rng.random(m.shape) < share, rng.permutation(m.ravel()).reshape(m.shape), m)
        for m in maps
    ]


def codes(report: CheckReport) -> set[str]:
    return {finding.code for finding in report.findings}


def run_command(report: CheckReport) -> Any:
    """Evaluate with the options of the suggested command line."""
    assert report.command is not None
    words = shlex.split(report.command)
    assert words[:2] == ["segmeter", "evaluate"]
    options: dict[str, Any] = {}
    rest = iter(words[2:])
    for word in rest:
        name = word.removeprefix("--").replace("-", "_")
        options[name] = True if name == "reduce_zero_label" else next(rest)
    for name in ("num_classes", "ignore_index", "threshold"):
        if name in options:
            options[name] = int(options[name])
    for name in {"mapping", "pred_mapping"} & options.keys():
        pairs = (pair.split(":") for pair in options[name].split(","))
        options[name] = {int(k): None if v == "ignore" else int(v) for k, v in pairs}
    if "classes" in options:
        options["class_names"] = options.pop("classes").split(",")
    return segmeter.evaluate(options.pop("pred"), options.pop("target"), **options)


@pytest.fixture
def pair(tmp_path: Path) -> Any:
    """Function that writes predictions and targets and checks them."""

    def make(preds: Any, targets: Any, **options: Any) -> CheckReport:
        return check(save(tmp_path / "p", preds), save(tmp_path / "t", targets), **options)

    return make


# --- nothing to say ---------------------------------------------------------------------------


def test_the_command_keeps_what_is_to_be_measured(tmp_path: Path) -> None:
    maps = scenes()
    folders = save(tmp_path / "pred", maps), save(tmp_path / "target", maps)
    report = check(
        *folders, measures=["pixel", "boundary"], spacing=(2, 0.5), tolerance=[1, 2.5],
        preset="monai", boundary_ratio=0.05,
    )  # fmt: skip
    assert report.command is not None
    assert report.command.endswith(
        "--num-classes 5 --measures pixel,boundary --spacing 2,0.5 --tolerance 1,2.5 "
        "--preset monai --boundary-ratio 0.05"
    )
    assert main([*shlex.split(report.command)[1:], "--quiet"]) == 0
    named = check(*folders, measures=["region", "boundary"], connectivity=4, tolerance={"1": 2})
    assert named.command is not None
    assert named.command.endswith("--measures region,boundary --connectivity 4 --tolerance 1=2")


def test_good_files_have_no_finding_and_a_command_that_runs(pair: Any) -> None:
    targets = scenes()
    report = pair(spoiled(targets), targets)
    assert report.findings == ()
    assert report.exit_code == 0
    assert "nothing looks wrong" in report.report()
    assert report.command is not None
    assert report.command.endswith("--num-classes 5")
    result = run_command(report)
    assert result.exit_code == 0
    assert result.num_images == 4


def test_the_demonstration_set_is_clean(tmp_path: Path) -> None:
    files = demo.write(tmp_path)
    report = check(files.pred, files.target)
    assert {finding.level for finding in report.findings} == {"info"}
    assert codes(report) == {"palette"}
    result = run_command(report)
    assert result.problems == []
    seen = {int(label) for image in demo.draw() for label in np.unique(image.target)}
    assert result.plan.num_classes == len(seen - {demo.VOID})
    assert result.plan.ignore_index == (demo.VOID,)


def test_statistics_are_counts_of_the_sample(pair: Any) -> None:
    targets = scenes(images=10)
    report = pair(targets[::-1], targets, sample=3, num_classes=5)
    chosen = [targets[i] for i in (0, 3, 6)]
    values, counts = np.unique(np.concatenate([m.ravel() for m in chosen]), return_counts=True)
    statistics = report.statistics
    assert statistics["pairs"] == 10
    assert statistics["sampled"] == 3
    assert statistics["target"]["labels"] == dict(
        zip(values.tolist(), counts.tolist(), strict=True)
    )
    assert statistics["pred"]["formats"] == {"png/gray8": 10}
    assert statistics["pred"]["sizes"] == {"30 x 40": 10}
    content = json.loads(json.dumps(report.to_dict()))
    assert content["statistics"]["target"]["labels"]["0"] == counts[0]
    assert content["command"] is None


# --- files ------------------------------------------------------------------------------------


def test_unpaired_names_come_with_the_rule_that_pairs_them(tmp_path: Path) -> None:
    targets = scenes()
    for side, ending, maps in (("p", "_out", spoiled(targets)), ("t", "_mask", targets)):
        for path in save(tmp_path / side, maps).iterdir():
            path.rename(path.with_stem(path.stem + ending))
    report = check(tmp_path / "p", tmp_path / "t")
    assert codes(report) == {"missing-prediction", "missing-target"}
    assert "--pred-suffix _out --target-suffix _mask" in report.findings[0].remedy
    assert report.exit_code == 3
    assert report.pairing.pairs == ()
    assert report.statistics["pairs"] == 4  # labels are looked at as if the rule had been given
    assert run_command(report).num_images == 4


def test_missing_ambiguous_absent_and_unreadable(tmp_path: Path) -> None:
    targets = scenes()
    pred, target = save(tmp_path / "p", spoiled(targets)), save(tmp_path / "t", targets)
    (pred / "000.png").unlink()
    np.save(target / "001.npy", targets[1])
    (pred / "002.png").write_bytes((pred / "002.png").read_bytes()[:60])
    report = check(pred, target, num_classes=5)
    found = {finding.code: finding for finding in report.findings}
    assert set(found) == {"missing-prediction", "ambiguous", "unreadable"}
    assert found["missing-prediction"].files == (str(target / "000.png"),)
    assert found["unreadable"].files == (str(pred / "002.png"),)
    assert all(finding.level == "error" for finding in report.findings)
    lists = [str(pred / "003.png"), str(pred / "no.png")], [target / "003.png", target / "002.png"]
    listed = check(*lists, num_classes=5, pair="order")
    assert codes(listed) == {"absent"}
    assert listed.command is None


def test_sizes(pair: Any) -> None:
    targets = scenes()
    preds = [targets[0].T, targets[1][::2, ::2], *targets[2:]]
    report = pair(preds, targets, num_classes=5)
    found = {finding.code: finding for finding in report.findings if finding.level == "error"}
    assert set(found) == {"swapped-axes", "size"}
    assert "40 x 30, its target 30 x 40" in found["swapped-axes"].message
    assert "transpose" in found["swapped-axes"].remedy
    assert "nearest neighbour" in found["size"].remedy


def test_an_axis_too_many_asks_for_an_argmax(tmp_path: Path) -> None:
    maps = scenes(classes=3)
    hot = [np.eye(3, dtype=np.uint8)[labels] for labels in maps]
    folders = tmp_path / "p", save(tmp_path / "t", maps)
    folders[0].mkdir()
    for number, labels in enumerate(hot):
        np.save(folders[0] / f"{number:03d}.npy", labels)
    found = {finding.code: finding for finding in check(*folders).findings}
    assert "need an argmax" in found["size"].remedy
    (problem, *_) = segmeter.evaluate(*folders, num_classes=3).problems
    assert "take the argmax over its classes" in problem["message"]


def test_gray_colours_may_lose_two_channels(tmp_path: Path) -> None:
    maps = [np.where(labels > 1, np.uint8(255), np.uint8(0)) for labels in scenes(classes=3)]
    pictures = save(tmp_path / "p", [np.stack([labels] * 3, axis=-1) for labels in maps])
    found = {f.code: f for f in check(pictures, save(tmp_path / "t", maps)).findings}
    assert found["color-coded"].remedy.startswith("all are gray: save one channel, or give")


def test_spacing(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    labels = np.stack([scenes()[0]] * 3, axis=-1)
    wrong = labels.copy()
    wrong[:3] = 1
    for side, spacing, array in (("p", 1.0, wrong), ("t", 2.5, labels)):
        (tmp_path / side).mkdir()
        image = nibabel.Nifti1Image(array, np.diag([1.0, 1.0, spacing, 1.0]))
        nibabel.save(image, tmp_path / side / "a.nii.gz")
    report = check(tmp_path / "p", tmp_path / "t", num_classes=5)
    (finding,) = report.findings
    assert (finding.level, finding.code) == ("warning", "spacing")
    assert "1 x 1 x 1 against 1 x 1 x 2.5" in finding.message
    assert report.exit_code == 0


def test_jpeg_masks(tmp_path: Path) -> None:
    targets = [np.where(m > 2, 255, 0).astype(np.uint8) for m in scenes()]
    save(tmp_path / "t", targets)
    (tmp_path / "p").mkdir()
    for number, labels in enumerate(targets):
        Image.fromarray(labels).save(tmp_path / "p" / f"{number:03d}.jpg", quality=60)
    report = check(tmp_path / "p", tmp_path / "t")
    assert codes(report) == {"lossy", "probabilities"}
    assert report.command is not None
    assert report.command.endswith("--threshold 127")
    assert run_command(report).scores["mean_iou"] > 0.95


def test_same_files_and_equal_files(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", scenes())
    assert "same-file" in codes(check(pred, pred, num_classes=5))
    target = save(tmp_path / "t", scenes())
    report = check(pred, target, num_classes=5)
    assert codes(report) == {"identical"}
    assert report.findings[0].level == "warning"


# --- what the values are ----------------------------------------------------------------------


def test_color_coded_masks_list_their_colors(tmp_path: Path) -> None:
    table = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    target = save(tmp_path / "t", scenes())
    save(tmp_path / "p", [])
    for number, labels in enumerate(scenes()):
        Image.fromarray(table[labels]).save(tmp_path / "p" / f"{number:03d}.png")
    report = check(tmp_path / "p", target, num_classes=5)
    (finding,) = report.findings
    assert finding.code == "color-coded"
    assert "5 colours" in finding.message
    for color in table.tolist():
        assert str(tuple(color)) in finding.message
    assert report.command is None
    colors = {tuple(color): label for label, color in enumerate(table.tolist())}
    assert codes(check(tmp_path / "p", target, num_classes=5, color_table=colors)) == {"identical"}


def test_panoptic_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    target = save(tmp_path / "t", scenes(images=1))
    save(tmp_path / "p", [])
    Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(tmp_path / "p" / "000.png")
    assert "many-colors" in codes(check(tmp_path / "p", target, num_classes=5))


def test_palette_indices_are_told(tmp_path: Path) -> None:
    targets = scenes(classes=5)
    save(tmp_path / "t", targets)
    save(tmp_path / "p", [])
    for number, labels in enumerate(spoiled(targets)):
        picture = Image.fromarray(labels).convert("P")
        picture.putpalette([number for color in range(256) for number in (color, 0, 255 - color)])
        picture.putdata(labels.ravel().tolist())
        picture.save(tmp_path / "p" / f"{number:03d}.png")
    report = check(tmp_path / "p", tmp_path / "t", num_classes=5)
    (finding,) = report.findings
    assert (finding.level, finding.code) == ("info", "palette")
    assert "palette images holding 5 indices (0, 1, 2, 3, 4)" in finding.message


def test_instance_ids(pair: Any) -> None:
    instances = [m.astype(np.uint16) * 1000 + 26_000 for m in scenes()]
    report = pair(scenes(), instances)
    assert "instance-ids" in codes(report)
    assert report.command is None


def test_numbered_objects(pair: Any) -> None:
    def numbered(objects: int) -> np.ndarray[Any, Any]:
        return np.minimum(np.arange(40 * 50).reshape(40, 50) // 4, objects)

    targets = [numbered(objects) for objects in (25, 31, 28)]
    report = pair([np.roll(labels, 1, 0) for labels in targets], targets)
    finding = next(found for found in report.findings if found.code == "numbered-objects")
    assert finding.level == "warning"
    assert "n from 25 to 31" in finding.message
    assert report.command.endswith("--instances")
    same = [numbered(25)] * 3  # as many in every image: as well classes
    assert "numbered-objects" not in codes(pair([np.roll(m, 1, 0) for m in same], same))


def test_constant_predictions(pair: Any) -> None:
    report = pair([np.zeros((30, 40), np.uint8)] * 4, scenes(), num_classes=5)
    (finding,) = report.findings
    assert (finding.level, finding.code) == ("error", "constant-pred")
    assert "single label (0)" in finding.message


def test_probability_maps(pair: Any) -> None:
    targets = [(m > 2).astype(np.uint8) for m in scenes()]
    rng = np.random.default_rng(0)
    preds = [
        np.where(m, rng.integers(120, 256, m.shape), rng.integers(0, 140, m.shape)) for m in targets
    ]
    report = pair([p.astype(np.uint8) for p in preds], targets)
    assert "probabilities" in codes(report)
    assert run_command(report).scores["mean_iou"] > 0.7
    assert "probabilities" not in codes(
        pair([p.astype(np.uint8) for p in preds], targets, threshold=127)
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_classes": 5}, {"labels-target"}),
        ({"num_classes": 5, "ignore_index": 255}, set()),
        ({"num_classes": 4, "ignore_index": 255}, {"labels-pred", "labels-target"}),
        ({"mapping": {0: 0, 1: 1, 2: 1, 3: 1, 4: 1, 255: None}}, set()),
        ({"mapping": {0: 0, 1: 1, 2: 1, 3: 1}}, {"labels-pred", "labels-target"}),
        ({"protocol": "voc"}, set()),
        ({"protocol": "binary"}, {"several-foregrounds"}),
    ],
)
def test_labels_outside_the_classes(pair: Any, options: Any, expected: set[str]) -> None:
    targets = scenes()
    preds = spoiled(targets)
    for labels in targets:
        labels[-2:] = 255
    report = pair(preds, targets, **options)
    assert codes(report) == expected
    if "labels-target" in expected and "mapping" not in options and options["num_classes"] == 5:
        (finding,) = report.findings
        assert "ignored: 255 (6.67 % of their pixels)" in finding.message
        assert "--ignore-index 255" in finding.remedy


def test_void_label_is_suggested(pair: Any) -> None:
    targets = scenes()
    preds = spoiled(targets)
    for labels in targets:
        labels[-2:] = 255
    report = pair(preds, targets)
    assert report.command is not None
    assert report.command.endswith("--num-classes 5 --ignore-index 255")
    assert run_command(report).exit_code == 0


def test_labels_with_gaps_are_named(pair: Any) -> None:
    levels = np.array([0, 60, 120, 180, 240], np.uint8)
    targets = [levels[m] for m in scenes()]
    targets[0][-2:] = 255
    report = pair([levels[m] for m in spoiled(scenes())], targets)
    assert report.command is not None
    assert report.command.endswith(
        "--classes 0,60,120,180,240 --mapping 0:0,60:1,120:2,180:3,240:4,255:ignore"
    )
    result = run_command(report)
    assert (result.exit_code, result.plan.num_classes) == (0, 5)


def test_old_brats_labels_in_predictions_alone(pair: Any) -> None:
    targets = [m % 4 for m in scenes()]
    preds = [np.where(m == 3, 4, m) for m in targets]
    report = pair(preds, targets, protocol="brats2026")
    assert "old-labels" in codes(report)
    assert any("--pred-mapping 0:0,1:1,2:2,4:3" in finding.remedy for finding in report.findings)
    assert "old-labels" not in codes(pair(preds, targets, protocol="brats2023-lesionwise"))


def test_negative_labels(pair: Any) -> None:
    targets = [m.astype(np.int16) - 1 for m in scenes()]
    report = pair([np.maximum(m, 0) for m in targets], targets)
    assert report.command is not None
    assert report.command.endswith("--num-classes 4 --ignore-index -1")


# --- what labels mean -------------------------------------------------------------------------


@pytest.mark.parametrize("foreground", [(1, 255), (255, 1)])
def test_two_class_masks_with_different_values(pair: Any, foreground: tuple[int, int]) -> None:
    masks = [m > 2 for m in scenes()]
    preds, targets = (
        [np.where(m, value, 0).astype(np.uint8) for m in maps]
        for maps, value in zip((spoiled(masks), masks), foreground, strict=True)
    )
    report = pair(preds, targets)
    (finding,) = report.findings
    assert (finding.level, finding.code) == ("error", "binary-values")
    assert "--protocol binary" in finding.remedy
    assert run_command(report).scores["mean_iou"] > 0.5
    assert codes(pair(preds, targets, protocol="binary")) == set()
    assert codes(pair(preds, targets, mapping={0: 0, 1: 1, 255: 1})) == set()


def test_two_class_masks_of_255_need_the_binary_protocol(pair: Any) -> None:
    masks = [m > 2 for m in scenes()]
    preds, targets = ([m.astype(np.uint8) * 255 for m in maps] for maps in (spoiled(masks), masks))
    report = pair(preds, targets)
    assert report.findings == ()
    assert report.command is not None
    assert report.command.endswith("--protocol binary")
    assert run_command(report).exit_code == 0


def test_a_void_label_in_two_class_targets_is_pointed_out(pair: Any) -> None:
    targets = [(m > 2).astype(np.uint8) for m in scenes()]
    preds = spoiled(targets)
    for labels in targets:
        labels[0] = 255
    (finding,) = pair(preds, targets, protocol="binary").findings
    assert (finding.level, finding.code) == ("warning", "several-foregrounds")
    assert finding.remedy.endswith("--ignore-index 255")
    assert codes(pair(preds, targets, protocol="binary", ignore_index=255)) == set()


def label_ids(train_ids: Any) -> Any:
    table = np.array([label.id for label in cityscapes.SCORED], np.uint8)
    return table[train_ids]


@pytest.mark.parametrize("options", [{}, {"num_classes": 34}, {"protocol": "cityscapes"}])
def test_predictions_as_train_ids(pair: Any, options: Any) -> None:
    trains = scenes(classes=19)
    report = pair(spoiled(trains), [label_ids(m) for m in trains], **options)
    found = {finding.code: finding for finding in report.findings}
    assert "train-ids-pred" in found
    message = "predictions look like Cityscapes trainIds, targets like labelIds"
    assert found["train-ids-pred"].message == message
    assert found["train-ids-pred"].level == "error"
    result = run_command(report)
    assert result.exit_code == 0
    assert result.scores["pixel_accuracy"] > 0.8


def test_targets_as_train_ids(pair: Any) -> None:
    trains = scenes(classes=19)
    report = pair([label_ids(m) for m in spoiled(trains)], trains)
    assert "train-ids-target" in codes(report)
    result = run_command(report)
    assert result.exit_code == 0
    assert result.scores["pixel_accuracy"] > 0.8


def test_label_ids_on_both_sides_are_fine(pair: Any) -> None:
    trains = scenes(classes=19)
    report = pair([label_ids(m) for m in spoiled(trains)], [label_ids(m) for m in trains])
    assert codes(report) == set()


def test_predictions_one_below(pair: Any) -> None:
    targets = scenes()
    for labels in targets:
        labels[:, 30:] = 1  # enough that is something, since 0 will not count
        labels[10:20] = np.maximum(labels[10:20], 2)
    report = pair([np.maximum(m, 1) - 1 for m in spoiled(targets)], targets)
    assert "off-by-one-pred" in codes(report)
    assert report.command is not None
    assert "--reduce-zero-label --num-classes 4" in report.command
    result = run_command(report)
    assert result.exit_code == 0
    assert result.scores["pixel_accuracy"] > 0.7
    again = pair(
        [np.maximum(m, 1) - 1 for m in spoiled(targets)], targets,
        reduce_zero_label=True, num_classes=4,
    )  # fmt: skip
    assert codes(again) == set()


def test_predictions_one_above(pair: Any) -> None:
    targets = scenes()
    report = pair([m + 1 for m in spoiled(targets)], targets)
    assert "off-by-one-target" in codes(report)
    assert report.command is not None
    assert report.command.endswith("--num-classes 5 --pred-mapping 1:0,2:1,3:2,4:3,5:4")
    assert "..." not in report.report()
    result = run_command(report)
    assert result.exit_code == 0
    assert result.scores["pixel_accuracy"] > 0.7


def test_predictions_one_below_that_wrapped_around(pair: Any) -> None:
    targets = scenes()
    for labels in targets:
        labels[:, 20:] = np.maximum(labels[:, 20:], 2)
    report = pair([m - 1 for m in spoiled(targets)], targets)
    assert "off-by-one-pred" in codes(report)
    assert report.command is not None
    assert report.command.endswith("--num-classes 5 --pred-mapping 255:0,0:1,1:2,2:3,3:4")
    result = run_command(report)
    assert result.exit_code == 0
    assert result.scores["pixel_accuracy"] > 0.7


@pytest.mark.parametrize("options", [{}, {"num_classes": 2}, {"protocol": "binary"}])
@pytest.mark.parametrize("values", [(255, 255), (1, 255), (1, 1)])
def test_inverted_masks(pair: Any, values: tuple[int, int], options: Any) -> None:
    masks = [m > 2 for m in scenes()]
    preds = [np.where(m, 0, values[0]).astype(np.uint8) for m in spoiled(masks)]
    targets = [np.where(m, values[1], 0).astype(np.uint8) for m in masks]
    report = pair(preds, targets, **options)
    assert "inverted" in codes(report)
    assert report.command is not None
    mapping = f"--pred-mapping 0:{values[1]},{values[0]}:0"
    assert report.command.endswith(f"--protocol binary {mapping}")
    result = run_command(report)
    assert result.exit_code == 0
    assert result.scores["pixel_accuracy"] > 0.7


def test_masks_that_predict_too_much_are_not_inverted(pair: Any) -> None:
    targets = [(m > 3).astype(np.uint8) for m in scenes()]
    preds = [np.ones_like(m) for m in targets]
    for labels, target in zip(preds, targets, strict=True):
        labels[:3] = target[:3]
    assert "inverted" not in codes(pair(preds, targets))


def test_objects_against_a_mask(pair: Any) -> None:
    targets = [m.astype(np.uint16) for m in scenes(classes=40)]
    masks = spoiled([m > 0 for m in targets])
    for value in (1, 255):
        report = pair([np.where(m, value, 0).astype(np.uint8) for m in masks], targets)
        assert "instance-ids" in codes(report)
        assert report.command is not None
        assert report.command.endswith("--protocol binary")
        result = run_command(report)
        assert result.exit_code == 0
        assert result.scores["pixel_accuracy"] > 0.7


def test_void_only_in_predictions(pair: Any) -> None:
    targets = scenes()
    preds = spoiled(targets)
    for labels in preds:
        labels[:2, :8] = 255
    report = pair(preds, targets)
    (finding,) = report.findings
    assert (finding.level, finding.code) == ("warning", "void-in-pred")
    assert finding.message == "255 only in predictions: are pred and target swapped?"
    assert run_command(report).exit_code == 0
    assert codes(pair(targets, preds)) == set()


def test_classes_numbered_differently(pair: Any) -> None:
    targets = scenes()
    permuted = [np.array([3, 0, 4, 1, 2], np.uint8)[m] for m in spoiled(targets)]
    report = pair(permuted, targets, num_classes=5)
    (finding,) = report.findings
    assert (finding.level, finding.code) == ("warning", "renamed")
    assert finding.remedy.endswith("--pred-mapping 0:1,1:3,2:4,3:0,4:2")
    result = run_command(pair(permuted, targets))
    assert result.exit_code == 0
    assert result.scores["pixel_accuracy"] > 0.7


def test_bad_predictions_are_not_taken_for_a_mistake(pair: Any) -> None:
    rng = np.random.default_rng(3)
    targets = scenes()
    poor = [np.where(rng.random(m.shape) < 0.6, rng.integers(0, 5, m.shape), m) for m in targets]
    assert codes(pair([m.astype(np.uint8) for m in poor], targets, num_classes=5)) == set()


def test_bad_two_class_predictions_are_not_off_by_one(pair: Any) -> None:
    targets = [(m < 3).astype(np.uint8) for m in scenes()]
    preds = [np.where(m == 4, 1, 0).astype(np.uint8) for m in scenes()]
    assert codes(pair(preds, targets, num_classes=2)) == {"inverted"}


# --- whether the two sides fit ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda m: m[::-1], "flipped along axis 0"),
        (lambda m: m[:, ::-1], "flipped along axis 1"),
        (lambda m: m[::-1, ::-1], "flipped along axes 0 and 1"),
    ],
)
def test_flipped_predictions(pair: Any, turn: Any, words: str) -> None:
    targets = scenes(images=6)
    report = pair([turn(m).copy() for m in spoiled(targets)], targets, num_classes=5)
    found = {finding.code: finding for finding in report.findings}
    assert found["turned"].message.endswith(words)
    assert found["turned"].level == "warning"


def test_maps_that_are_nearly_alike_when_flipped(pair: Any) -> None:
    half = [m[:, :20] for m in scenes(images=6)]
    targets = [np.concatenate([m, m[:, ::-1]], axis=1) for m in half]
    for labels in targets:
        labels[15:18, 2:6] = 3
    report = pair([m[:, ::-1].copy() for m in targets], targets, num_classes=5)
    assert codes(report) == set()


def test_square_predictions_with_swapped_axes(pair: Any) -> None:
    targets = [m[:, :30] for m in scenes(images=6)]
    report = pair([m.T.copy() for m in spoiled(targets)], targets, num_classes=5)
    found = {finding.code: finding for finding in report.findings}
    assert found["turned"].message.endswith("two axes swapped")


def test_flipped_volumes(pair: Any) -> None:
    volume = np.stack([np.roll(scenes()[0], i, axis=0) for i in range(8)]).astype(np.int32)
    report = pair([volume[::-1, :, ::-1]], [volume], num_classes=5)
    found = {finding.code: finding for finding in report.findings}
    assert found["turned"].message.endswith("flipped along axes 0 and 2")


def test_unrelated_predictions(pair: Any) -> None:
    rng = np.random.default_rng(0)
    big = [np.kron(m, np.ones((4, 4), np.uint8)) for m in scenes(images=5)]
    noise = [rng.integers(0, 5, m.shape, np.uint8) for m in big]
    assert codes(pair(noise, big, num_classes=5)) == {"unrelated"}


def test_large_maps_are_thinned(pair: Any) -> None:
    target = np.kron(scenes(images=1)[0], np.ones((60, 60), np.uint8))
    report = pair([target[::-1]], [target], num_classes=5)
    assert "turned" in codes(report)
    assert sum(report.statistics["pred"]["labels"].values()) == target.size


# --- the rest ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], (0, [])),
        ([0], (1, [])),
        ([0, 1, 255], (2, [255])),
        ([0, 254, 255], (256, [])),
        ([255], (256, [])),
        ([-1, 0, 3, 65535], (4, [-1, 65535])),
    ],
)
def test_class_count(labels: list[int], expected: tuple[int, list[int]]) -> None:
    assert class_count(labels) == expected


def test_wrong_use_is_named(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", scenes())
    with pytest.raises(ValueError, match="sample must be at least 1"):
        check(pred, pred, sample=0)
    with pytest.raises(TypeError, match=r"sample must be an integer, got 1.5"):
        check(pred, pred, sample=1.5)
    with pytest.raises(ValueError, match="unknown"):
        check(pred, pred, protocol="none")
    with pytest.raises(ValueError, match="does not exist"):
        check(pred, tmp_path / "no")


# --- real data --------------------------------------------------------------------------------


def test_real_data(shared: Path) -> None:
    data = shared / "data"
    davis = check(data / "davis_osvos" / "osvos", data / "davis_osvos" / "Annotations")
    assert codes(davis) == {"binary-values", "palette"}
    assert davis.command is not None
    assert davis.command.endswith("--protocol binary")

    city = check(data / "cityscapes_format" / "pred", data / "cityscapes_format" / "gt")
    assert city.command is not None
    assert city.command.endswith("--protocol cityscapes")
    assert run_command(city).num_images == 4

    ade = check(data / "ade20k_sample" / "predictions", data / "ade20k_sample" / "annotations")
    assert codes(ade) == {"identical"}
    assert ade.command is not None
    assert ade.command.endswith("--protocol ade20k")

    scans = "brats_toolkit/*/segmentation/isen-20.nii.gz", "brats_toolkit/*/fusion/mav.nii.gz"
    brats = check(*(f"{data}/{scan}" for scan in scans), pattern="brats_toolkit/([^/]+)/")
    assert brats.findings == ()
    assert brats.command is not None
    assert brats.command.endswith("--classes 0,1,2,4 --mapping 0:0,1:1,2:2,4:3")
    result = run_command(brats)
    assert (result.exit_code, result.num_images) == (0, 2)
    assert [row["class"] for row in result.per_class] == ["0", "1", "2", "4"]

    old = check(
        *(f"{data}/{scan}" for scan in scans),
        pattern="brats_toolkit/([^/]+)/",
        protocol="brats2026",
    )
    assert codes(old) == {"old-labels"}
    assert "brats2023-lesionwise" in old.findings[0].remedy


def test_real_scenes_saved_as_train_ids(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "cityscapes_format"
    table = np.full(256, 255, np.uint8)
    for label in cityscapes.SCORED:
        table[label.id] = label.train_id
    (tmp_path / "pred").mkdir()
    for path in (data / "pred").glob("*.png"):
        Image.fromarray(table[np.asarray(Image.open(path))]).save(tmp_path / "pred" / path.name)
    report = check(tmp_path / "pred", data / "gt", protocol="cityscapes")
    assert "train-ids-pred" in codes(report)
    expected = segmeter.evaluate(data / "pred", data / "gt", protocol="cityscapes")
    assert np.array_equal(run_command(report).matrix, expected.matrix)


def test_a_photograph_is_no_mask(pair: Any) -> None:
    rng = np.random.default_rng(0)
    photographs = [rng.integers(0, 256, (40, 50), np.uint8) for _ in range(3)]
    report = pair(scenes(images=3), photographs)
    found = next(finding for finding in report.findings if finding.code == "photograph")
    assert found.level == "warning"
    assert "targets hold" in found.message
    assert report.command is None
    assert "photograph" in codes(pair(photographs, scenes(images=3)))
    assert "photograph" not in codes(pair(photographs, photographs, num_classes=256))
    few = [m % 180 for m in photographs]
    assert "photograph" not in codes(pair(few, few))


def test_a_report_prints_as_its_text(pair: Any) -> None:
    report = pair(scenes(), scenes())
    assert str(report) == report.report()
