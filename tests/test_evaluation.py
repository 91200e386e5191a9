"""Evaluation of folders: numbers against counts by NumPy, problems as rows, threads, files."""

from __future__ import annotations

import csv
import inspect
import json
import math
import threading
from typing import TYPE_CHECKING, Any, get_type_hints

import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import segmeter
from label_files import save
from segmeter.evaluation import EvaluationInterrupted, Plan, check, evaluate, make_plan, worker
from segmeter.evaluation._options import PlanOptions
from segmeter.evaluation.plan import UnknownClassesError
from segmeter.evaluation.result import TABLES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Labels = dict[str, Any]


def noise(seed: int, images: int = 7, classes: int = 4) -> tuple[Labels, Labels]:
    """Maps of different sizes, right in about half of their pixels, with 255 in the targets."""
    rng = np.random.default_rng(seed)
    preds, targets = {}, {}
    for number in range(images):
        target = rng.integers(0, classes, (3 + number, 5), dtype=np.uint8)
        other = rng.integers(0, classes, target.shape, dtype=np.uint8)
        preds[f"image_{number}"] = np.where(rng.random(target.shape) < 0.5, target, other)
        target[rng.random(target.shape) < 0.1] = 255
        targets[f"image_{number}"] = target
    return preds, targets


def counted(pred: Any, target: Any, classes: int) -> NDArray[np.int64]:
    """(classes, classes + 1) by the slowest way there is; 255 in the target does not count."""
    matrix = np.zeros((classes, classes + 1), np.int64)
    for p, t in zip(np.asarray(pred).ravel(), np.asarray(target).ravel(), strict=True):
        if t != 255:
            matrix[t, p if p < classes else classes] += 1
    return matrix


def one_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = rows
    return row


# --- numbers ----------------------------------------------------------------------------------


@pytest.fixture
def noisy(tmp_path: Path) -> tuple[Path, Path, Labels, Labels]:
    preds, targets = noise(1)
    return save(tmp_path / "pred", **preds), save(tmp_path / "target", **targets), preds, targets


def test_totals_and_tables_equal_counts_by_hand(noisy: Any) -> None:
    pred, target, preds, targets = noisy
    result = evaluate(pred, target, num_classes=4, ignore_index=255)
    matrices = {name: counted(preds[name], targets[name], 4) for name in preds}
    assert np.array_equal(result.matrix, sum(matrices.values()))
    assert result.exit_code == 0
    for row in result.rows("per_image_per_class"):
        matrix, k = matrices[row["id"]], int(row["class"])
        tp, fn, fp = matrix[k, k], matrix[k].sum() - matrix[k, k], matrix[:, k].sum() - matrix[k, k]
        assert [row[name] for name in ("tp", "fp", "fn", "tn")] == [
            tp,
            fp,
            fn,
            matrix.sum() - tp - fp - fn,
        ]
        assert row["iou"] == tp / (tp + fp + fn)
        assert row["dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-15)
        assert row["precision"] == tp / max(tp + fp, 1)  # nothing predicted: 0 by definition
        assert row["recall"] == tp / max(tp + fn, 1)
    for row in result.per_image:
        matrix = matrices[row["id"]]
        assert row["pixels"] == targets[row["id"]].size
        assert row["ignored"] == (targets[row["id"]] == 255).sum()
        assert row["pixel_accuracy"] == np.diag(matrix).sum() / matrix.sum()
        assert row["mean_iou"] == pytest.approx(float(segmeter.mean_iou(matrix)), abs=1e-15)


def test_data_set_and_per_image_scores_are_both_there(noisy: Any) -> None:
    pred, target, preds, targets = noisy
    result = evaluate(pred, target, num_classes=4, ignore_index=255)
    matrices = np.array([counted(preds[name], targets[name], 4) for name in preds])
    for suffix, aggregation in (
        ("", "dataset"),
        ("_per_image", "per_image"),
        ("_per_class_per_image", "per_class_per_image"),
    ):
        expected = segmeter.aggregate(matrices, segmeter.iou, aggregation=aggregation).value
        assert result.scores[f"mean_iou{suffix}"] == pytest.approx(expected, abs=1e-15)
    for name in ("pixel_accuracy", "mean_accuracy", "mean_dice", "cohen_kappa"):
        expected = float(getattr(segmeter, name)(matrices.sum(axis=0)))
        assert result.scores[name] == pytest.approx(expected, abs=1e-15)


def test_accumulator_holds_the_same_counts(noisy: Any) -> None:
    pred, target, *_, targets = noisy
    result = evaluate(pred, target, class_names=["a", "b", "c", "d"], ignore_index=255)
    counts = result.counts
    assert np.array_equal(counts.matrix, result.matrix)
    assert counts.num_images == 7
    assert counts.ignored == sum(int((labels == 255).sum()) for labels in targets.values())
    assert (counts + counts).matrix.sum() == 2 * result.matrix.sum()
    assert counts.scores()["mean_iou"] == result.scores["mean_iou"]


def test_absent_classes_are_undefined_and_said_to_be(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", a=[0, 0, 2], b=[0, 0, 0])
    target = save(tmp_path / "t", a=[0, 0, 0], b=[0, 0, 0])
    result = evaluate(pred, target, num_classes=4)
    assert [row["images"] for row in result.per_class] == [2, 0, 1, 0]
    assert math.isnan(result.per_class[1]["iou"])
    assert result.per_class[2]["iou"] == 0.0
    assert result.scores["mean_iou"] == pytest.approx((5 / 6 + 0) / 2)
    assert result.scores["mean_iou_per_image"] == pytest.approx(((2 / 3 + 0) / 2 + 1) / 2)
    assert result.scores["mean_iou_per_class_per_image"] == pytest.approx(((2 / 3 + 1) / 2 + 0) / 2)
    assert result.scores_over["mean_iou"] == {"over": 2, "undefined": 2}
    assert result.scores_over["mean_accuracy"] == {"over": 1, "undefined": 3}
    assert result.scores_over["mean_iou_per_image"] == {"over": 2, "undefined": 0}


def test_predicted_ignore_label_is_wrong_not_dropped(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", a=[0, 255, 255])
    target = save(tmp_path / "t", a=[0, 0, 255])
    result = evaluate(pred, target, num_classes=2, ignore_index=255)
    assert result.matrix.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert result.per_class[0]["recall"] == 0.5


def test_label_groups_are_unions(noisy: Any) -> None:
    pred, target, preds, targets = noisy
    result = evaluate(
        pred,
        target,
        class_names=["zero", "one", "two", "three"],
        ignore_index=255,
        label_groups={"any": [1, 2, 3], "odd": ["one", "three"]},
    )
    for row, members in zip(result.label_groups, ((1, 2, 3), (1, 3)), strict=True):
        tp = fp = fn = 0
        for name in preds:
            inside = np.isin(preds[name], members), np.isin(targets[name], members)
            valid = targets[name] != 255
            tp += (inside[0] & inside[1] & valid).sum()
            fp += (inside[0] & ~inside[1] & valid).sum()
            fn += (~inside[0] & inside[1] & valid).sum()
        assert (row["tp"], row["fp"], row["fn"]) == (tp, fp, fn)
        assert row["dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-15)
    assert result.label_groups[1]["classes"] == "one, three"
    rows = result.rows("per_image_per_group")
    assert len(rows) == 2 * len(preds)
    assert sum(row["tp"] for row in rows if row["group"] == "any") == result.label_groups[0]["tp"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), threads=st.sampled_from([1, 2, 3, 7]))
def test_numbers_do_not_depend_on_threads(
    tmp_path_factory: pytest.TempPathFactory, seed: int, threads: int
) -> None:
    root = tmp_path_factory.mktemp("threads")
    preds, targets = noise(seed, images=9)
    save(root / "p", **preds)
    save(root / "t", **targets)
    (root / "p" / "image_4.npy").write_bytes(b"broken")
    one, many = (
        evaluate(root / "p", root / "t", num_classes=4, ignore_index=255, threads=n)
        for n in (1, threads)
    )
    assert one.to_json() == many.to_json()


def by_hand(pred: Any, target: Any, ignored: int, classes: int) -> NDArray[np.int64]:
    """(classes, classes + 1) where an ignored class is void in pred."""
    matrix = np.zeros((classes, classes + 1), np.int64)
    for p, t in zip(np.ravel(pred), np.ravel(target), strict=True):
        if t != ignored:
            matrix[t, classes if p == ignored else p] += 1
    return matrix


@pytest.mark.parametrize("suffix", ["npy", "npz", "tif", "nii.gz"])
def test_predicted_floats_are_cut(tmp_path: Path, suffix: str) -> None:
    scores = np.array([[0.0, 0.5, 0.51, 0.99, 0.2, 1.0]], np.float32)
    target = save(tmp_path / "t", a=np.array([[0, 0, 255, 0, 255, 255]], np.uint8))
    (tmp_path / "p").mkdir()
    path = tmp_path / "p" / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, scores)
    elif suffix == "npz":
        np.savez(path, scores=scores)
    elif suffix == "tif":
        tifffile.imwrite(path, scores)
    else:
        nibabel.save(nibabel.Nifti1Image(scores, np.eye(4)), path)
    result = evaluate(tmp_path / "p", target, threshold=0.5)
    assert result.problems == []
    assert result.matrix.tolist() == [[2, 1, 0], [1, 2, 0]]
    assert check(tmp_path / "p", target, threshold=0.5).exit_code == 0
    assert evaluate(tmp_path / "p", target, num_classes=2).problems[0]["kind"] == "unreadable"


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([-1.0, 1, 2, 1]), "pred is LAS, target RAS; counted by index all the same"),
        (np.eye(4)[[1, 0, 2, 3]], "pred is ARS, target RAS"),
        (np.diag([1.0, 1, 2, 1]) + np.eye(4, k=3) * 5, "origin at (5, 0, 0) mm, target at (0, 0"),
        (np.diag([1.0, 1, 2, 1]) + np.eye(4, k=3) * 1e-5, None),
        (None, None),
    ],
)
def test_volumes_that_lie_differently_are_warned_of(
    tmp_path: Path, affine: Any, words: str | None
) -> None:
    labels = np.arange(24, dtype=np.uint8).reshape(4, 3, 2) % 3
    for side, own in (("p", affine), ("t", np.diag([1.0, 1, 2, 1]))):
        (tmp_path / side).mkdir()
        nibabel.save(nibabel.Nifti1Image(labels, own), tmp_path / side / "a.nii.gz")
    result = evaluate(tmp_path / "p", tmp_path / "t", num_classes=3)
    assert result.exit_code == 0
    assert result.scores["mean_iou"] == 1
    rows = [row for row in result.problems if row["kind"] == "affine"]
    found = [
        finding
        for finding in check(tmp_path / "p", tmp_path / "t", num_classes=3).findings
        if finding.code == "affine"
    ]
    assert len(rows) == len(found) == (words is not None)
    if words is not None:
        assert rows[0]["level"] == found[0].level == "warning"
        assert words in rows[0]["message"]
        assert words in found[0].message


def test_nan_scores_and_float_targets_are_problems(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", a=np.array([[0.1, math.nan]]), b=np.array([[0.1, 0.9]]))
    target = save(tmp_path / "t", a=np.array([[0, 1]]), b=np.array([[0.0, 0.5]]))
    first, second = evaluate(pred, target, threshold=0.5).problems
    assert (first["id"], first["kind"]) == ("a", "unreadable")
    assert first["message"].endswith("holds NaN, which is no score: 1 of 2 values, first at [0, 1]")
    assert (second["id"], second["kind"]) == ("b", "unreadable")
    assert "not whole numbers" in second["message"]


def test_an_ignored_class_is_no_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    preds, targets = ({"a": rng.integers(0, 5, (9, 8), np.uint8)} for _ in range(2))
    pred, target = save(tmp_path / "p", **preds), save(tmp_path / "t", **targets)
    result = evaluate(pred, target, num_classes=5, ignore_index=0)
    expected = by_hand(preds["a"], targets["a"], 0, 5)
    assert np.array_equal(result.matrix, expected)
    assert math.isnan(result.per_class[0]["iou"])
    hits = np.diagonal(expected)[1:]
    union = expected[1:].sum(axis=1) + expected[:, 1:5].sum(axis=0) - hits
    assert result.scores["mean_iou"] == pytest.approx((hits / union).mean())
    assert any(line.startswith("ignored classes: 0;") for line in result.plan.describe())
    same = evaluate(
        pred, target, mapping={k: k for k in range(5)}, pred_mapping=list(range(5)), ignore_index=0
    )
    assert np.array_equal(same.matrix, expected)


@pytest.mark.parametrize("mask", [np.zeros((2, 3), bool), np.zeros(3, bool), np.zeros((2, 3), int)])
def test_a_mask_is_no_label_to_ignore(mask: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"must be label values here: a mask belongs to one image"):
        make_plan(num_classes=2, ignore_index=mask)


def test_labels_that_the_target_ignores_are_known_in_predictions() -> None:
    plan = make_plan(mapping={0: 0, 1: 1, 9: None}, pred_mapping={5: 0, 6: 1}, ignore_index=255)
    assert plan.known_labels("pred") == {5, 6, 9, 255}


def test_an_ignored_class_that_keeps_a_label_is_a_class() -> None:
    plan = make_plan(mapping={0: 0, 7: 0, 1: 1}, ignore_index=7)
    assert plan.ignored_classes == ()
    assert make_plan(mapping={0: 0, 7: 0, 1: 1}, ignore_index=[0, 7]).ignored_classes == (0,)


def test_an_ignored_class_with_reduced_labels_and_two_classes(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", a=np.array([[0, 1, 2, 2, 1, 0]]))
    target = save(tmp_path / "t", a=np.array([[1, 2, 3, 2, 1, 0]]))
    reduced = evaluate(pred, target, num_classes=3, reduce_zero_label=True, ignore_index=2)
    assert reduced.matrix.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    binary = evaluate(pred, target, protocol="binary", ignore_index=0)
    assert binary.matrix.tolist() == [[0, 0, 0], [0, 4, 1]]
    cut = evaluate(pred, target, threshold=1, ignore_index=0)
    assert cut.matrix.tolist() == [[0, 0, 0], [0, 2, 3]]
    kept = evaluate(pred, target, protocol="binary", ignore_index=1)
    assert kept.matrix.tolist() == [[1, 0, 0], [0, 3, 0]]


# --- what labels mean -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pred", "target", "options", "matrix"),
    [
        ([0, 1, 1], [0, 255, 0], {"mapping": {0: 0, 1: 1, 255: 1}}, [[1, 1, 0], [0, 1, 0]]),
        (
            [5, 9, 9],
            [10, 20, 30],
            {"mapping": {10: 0, 20: 1, 30: None}, "pred_mapping": {5: 0, 9: 1}},
            [[1, 0, 0], [0, 1, 0]],
        ),
        ([0, 1, 2], [0, 1, 2], {"mapping": [1, 0, "ignore"]}, [[1, 0, 0], [0, 1, 0]]),
        (
            [0, 1, 1],
            [0, 1, 2],
            {"num_classes": 2, "reduce_zero_label": True},
            [[0, 1, 0], [0, 1, 0]],
        ),
        ([0, 7, 1], [0, 0, 1], {"num_classes": 2, "out_of_range": "wrong"}, [[1, 0, 1], [0, 1, 0]]),
        (
            [0, 7, 1],
            [0, 0, 9],
            {"num_classes": 2, "out_of_range": "ignore"},
            [[1, 0, 0], [0, 0, 0]],
        ),
        ([0, 1, 0], [0, -1, 3], {"num_classes": 1, "ignore_index": [-1, 3]}, [[1, 0]]),
        ([0, 127, 128, 255], [0, 0, 255, 1], {"threshold": 127}, [[2, 0, 0], [0, 2, 0]]),
        (
            [3, 200, 10],
            [4, 5, 4],
            {"threshold": 9.5, "mapping": {4: 0, 5: 1}},
            [[1, 1, 0], [0, 1, 0]],
        ),
        ([0, 1, 9], [0, 255, 7], {"protocol": "binary"}, [[1, 0, 0], [0, 2, 0]]),
        (
            [0, 1, 9],
            [0, 255, 7],
            {"protocol": "binary", "ignore_index": 255},
            [[1, 0, 0], [0, 1, 0]],
        ),
        ([0, -1, -3], [0, -1, 0], {"protocol": "binary"}, [[1, 1, 0], [0, 1, 0]]),
        ([0, 1, 9], [0, 2, 7], {"protocol": "binary", "threshold": 1}, [[1, 0, 0], [1, 1, 0]]),
    ],
)
def test_meaning_of_labels(
    tmp_path: Path, pred: Any, target: Any, options: Any, matrix: Any
) -> None:
    folders = save(tmp_path / "p", a=pred), save(tmp_path / "t", a=target)
    result = evaluate(*folders, **options)
    assert result.problems == []
    assert result.matrix.tolist() == matrix


def test_color_table_reads_pictures(tmp_path: Path) -> None:
    colors = {(0, 0, 0): 0, (128, 0, 0): 1}
    picture = np.array([[[0, 0, 0], [128, 0, 0]]], np.uint8)
    for side in ("p", "t"):
        (tmp_path / side).mkdir()
        Image.fromarray(picture).save(tmp_path / side / "a.png")
    result = evaluate(tmp_path / "p", tmp_path / "t", num_classes=2, color_table=colors)
    assert result.matrix.tolist() == [[1, 0, 0], [0, 1, 0]]
    plain = evaluate(tmp_path / "p", tmp_path / "t", num_classes=2)
    assert "color_table" in one_row(plain.problems)["message"]


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.tif"])
def test_color_table_leaves_label_files_alone(tmp_path: Path, name: str) -> None:
    colors = {(0, 0, 0): 1, (128, 0, 0): 0}
    for side in ("p", "t"):
        (tmp_path / side).mkdir()
    Image.fromarray(np.array([[[0, 0, 0], [128, 0, 0]]], np.uint8)).save(tmp_path / "p" / "a.tif")
    labels = np.array([[1, 0]], np.uint8)
    if name == "a.npy":
        np.save(tmp_path / "t" / name, labels)
    else:
        Image.fromarray(labels).save(tmp_path / "t" / name)
    result = evaluate(tmp_path / "p", tmp_path / "t", num_classes=2, color_table=colors)
    assert result.matrix.tolist() == [[1, 0, 0], [0, 1, 0]]
    grays = {(0, 0, 0): 1, (1, 1, 1): 2}
    both = evaluate(tmp_path / "t", tmp_path / "t", num_classes=3, color_table=grays)
    assert np.diag(both.matrix).tolist() == [0, 1, 1]


# --- problems are rows ------------------------------------------------------------------------


def test_every_kind_of_bad_pair_is_a_row_and_the_rest_is_counted(tmp_path: Path) -> None:
    good = [[0, 1], [1, 0]]
    preds = dict.fromkeys(("good", "labels", "shape", "swapped", "torn", "extra"), good)
    targets = preds | {"missing": good, "shape": [[0, 1]], "labels": [[0, 1], [1, 7]]}
    targets |= {"swapped": [[0, 1, 0]]}
    preds |= {"swapped": [[0], [1], [0]]}
    del targets["extra"]
    pred, target = save(tmp_path / "p", **preds), save(tmp_path / "t", **targets)
    whole = (pred / "torn.npy").read_bytes()
    (pred / "torn.npy").write_bytes(whole[:-5])
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(target / "good.png")
    (target / "good.npy").rename(target / "other.npy")
    save(tmp_path / "p", other=good)
    save(tmp_path / "t", twice=good)
    save(tmp_path / "p", twice=good)
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(pred / "twice.png")

    result = evaluate(pred, target, num_classes=2, threads=3)
    assert [row["id"] for row in result.per_image] == ["good", "other"]
    assert result.exit_code == 3
    rows = {row["id"]: row for row in result.problems}
    assert {id_: row["kind"] for id_, row in rows.items()} == {
        "missing": "missing-prediction",
        "extra": "missing-target",
        "twice": "ambiguous",
        "labels": "labels",
        "shape": "shape",
        "swapped": "shape",
        "torn": "unreadable",
    }
    assert all(row["level"] == "error" for row in rows.values())
    assert all("\n" not in row["message"] for row in rows.values())
    assert rows["torn"]["message"].startswith(str(pred / "torn.npy"))
    assert rows["missing"]["path"] == str(target / "missing.npy")
    assert "labels outside 0..1: 7 (1 pixel, first at (1, 1))" in rows["labels"]["message"]
    assert rows["labels"]["path"] == str(target / "labels.npy")
    assert "2 x 2" in rows["shape"]["message"]
    assert "1 x 2" in rows["shape"]["message"]
    assert "axes of one of them seem to be swapped" in rows["swapped"]["message"]
    assert "swapped" not in rows["shape"]["message"]


def test_all_pairs_failing_gives_a_result_without_numbers(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", a=[[9]], b=[[9]])
    target = save(tmp_path / "t", a=[[0]], b=[[0]])
    result = evaluate(pred, target, num_classes=2)
    assert result.num_images == 0
    assert result.exit_code == 3
    assert all(math.isnan(value) for value in result.scores.values())
    assert len(result.problems) == 2
    assert result.per_image == result.worst() == result.rows("per_image_per_class") == []
    assert json.loads(result.to_json())["scores"]["mean_iou"] is None
    result.to_csv(tmp_path / "x.csv", "per_image_per_class")
    assert (tmp_path / "x.csv").read_text().startswith("id,class,tp,fp,fn,tn,iou")


def test_all_pixels_ignored(tmp_path: Path) -> None:
    folders = save(tmp_path / "p", a=[[0]]), save(tmp_path / "t", a=[[255]])
    result = evaluate(*folders, num_classes=2, ignore_index=255)
    assert result.num_images == 1
    assert result.exit_code == 0
    assert math.isnan(result.scores["pixel_accuracy"])
    assert result.counts.ignored == 1


def test_missing_files_may_be_an_error(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", a=[[0]])
    target = save(tmp_path / "t", a=[[0]], b=[[0]])
    with pytest.raises(ValueError, match=r"not every file has a partner[\s\S]*1 target without"):
        evaluate(pred, target, num_classes=2, missing="raise")
    assert evaluate(pred, pred, num_classes=2, missing="raise").exit_code == 0


def test_absent_file_of_a_table_is_a_row(tmp_path: Path) -> None:
    save(tmp_path, a=[[0]], b=[[0]])
    (tmp_path / "pairs.csv").write_text("id,pred,target\n1,a.npy,b.npy\n2,no.npy,b.npy\n")
    result = evaluate(tmp_path / "pairs.csv", num_classes=1)
    assert result.num_images == 1
    row = one_row(result.problems)
    assert (row["id"], row["kind"]) == ("2", "missing-prediction")
    assert row["message"].startswith(str(tmp_path / "no.npy"))


def test_file_that_vanishes_during_the_run_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = save(tmp_path / "p", a=[[0]]), save(tmp_path / "t", a=[[0]])
    read = worker.read_labels

    def vanish(path: str, colors: Any, **options: Any) -> Any:
        (tmp_path / "p" / "a.npy").unlink(missing_ok=True)
        return read(path, colors, **options)

    monkeypatch.setattr(worker, "read_labels", vanish)
    assert one_row(evaluate(*folders, num_classes=1).problems)["kind"] == "unreadable"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a\nb"), ZeroDivisionError("x")])
def test_defects_are_rows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    folders = save(tmp_path / "p", a=[[0]]), save(tmp_path / "t", a=[[0]])

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(worker, "confusion_matrix", fail)
    row = one_row(evaluate(*folders, num_classes=1).problems)
    assert row["kind"] == "error"
    assert str(tmp_path / "p" / "a.npy") in row["message"]
    assert "\n" not in row["message"]


def test_spacing_is_a_warning_and_counted(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    labels = np.zeros((4, 3, 2), np.uint8)
    for side, name, spacing in (
        ("p", "same", (1, 1, 2.5)),
        ("t", "same", (1, 1, 2.50001)),
        ("p", "other", (1, 1, 1)),
        ("t", "other", (1, 1, 3)),
    ):
        (tmp_path / side).mkdir(exist_ok=True)
        image = nibabel.Nifti1Image(labels, np.diag([*spacing, 1.0]))
        nibabel.save(image, tmp_path / side / f"{name}.nii.gz")
    result = evaluate(tmp_path / "p", tmp_path / "t", num_classes=1)
    assert result.num_images == 2
    assert result.exit_code == 0
    row = one_row(result.problems)
    assert (row["id"], row["kind"], row["level"]) == ("other", "spacing", "warning")
    assert "1 x 1 x 1" in row["message"]
    assert "1 x 1 x 3" in row["message"]


def test_reader_notes_are_gathered(tmp_path: Path) -> None:
    pred = save(tmp_path / "p", **{name: np.zeros((2, 2)) for name in "abc"})
    target = save(tmp_path / "t", **{name: np.zeros((2, 2), np.uint8) for name in "abc"})
    row = one_row(evaluate(pred, target, num_classes=1).notes)
    assert (row["images"], row["first"]) == (3, "a")
    assert row["message"].startswith("pred: float64 values are all whole numbers")


# --- running ----------------------------------------------------------------------------------


def test_progress_tells_every_pair(noisy: Any) -> None:
    pred, target, *_ = noisy
    (pred / "image_3.npy").write_bytes(b"no")
    calls: list[tuple[int, int, int]] = []
    evaluate(
        pred,
        target,
        num_classes=4,
        ignore_index=255,
        threads=3,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(i, 7, int(i > 3)) for i in range(1, 8)]


@pytest.mark.parametrize("threads", [1, 3])
def test_interruption_keeps_what_was_counted(noisy: Any, threads: int) -> None:
    pred, target, preds, targets = noisy

    def stop(done: int, total: int, problems: int) -> None:
        del total, problems
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(EvaluationInterrupted, match="after 3 images") as caught:
        evaluate(pred, target, num_classes=4, ignore_index=255, threads=threads, progress=stop)
    result = caught.value.result
    assert isinstance(caught.value, KeyboardInterrupt)
    assert result.interrupted
    assert result.exit_code == 130
    assert [row["id"] for row in result.per_image] == ["image_0", "image_1", "image_2"]
    first = [f"image_{i}" for i in range(3)]
    assert np.array_equal(
        result.matrix, sum(counted(preds[name], targets[name], 4) for name in first)
    )
    assert not [t for t in threading.enumerate() if t.name.startswith("segmeter")]


def test_interruption_in_the_middle_of_an_image_leaves_it_out(
    noisy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pred, target, *_ = noisy
    from segmeter.evaluation import _totals as module

    sums = module._Sums

    def interrupt_in_second(matrix: Any, protocol: Any, measures: Any, images: int) -> Any:
        if images == 2:
            raise KeyboardInterrupt
        return sums(matrix, protocol, measures, images)

    monkeypatch.setattr(module, "_Sums", interrupt_in_second)
    with pytest.raises(EvaluationInterrupted) as caught:
        evaluate(pred, target, num_classes=4, ignore_index=255)
    result = caught.value.result
    assert result.num_images == 1
    assert result.matrix.sum() == result.totals.images[0].counted


@pytest.mark.parametrize(("threads", "images"), [(1, 5), (2, 12), (3, 12), (7, 2)])
def test_few_pairs_are_in_work_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, images: int
) -> None:
    maps = {f"{i:02d}": np.zeros((2, 2), np.uint8) for i in range(images)}
    folders = save(tmp_path / "p", **maps), save(tmp_path / "t", **maps)
    started, taken, inner, most = [0], [0], set(), [0]
    lock, count = threading.Lock(), worker.count_pair

    def watched(pair: Any, plan: Plan, *, threads: int, **rest: Any) -> Any:
        with lock:
            started[0] += 1
            inner.add(threads)
            most[0] = max(most[0], started[0] - taken[0])
        return count(pair, plan, threads=threads, **rest)

    def progress(done: int, *_: int) -> None:
        taken[0] = done

    monkeypatch.setattr("segmeter.evaluation.run.count_pair", watched)
    evaluate(*folders, num_classes=1, threads=threads, progress=progress)
    assert started[0] == images
    assert most[0] <= 2 * threads + 1
    assert inner == {max(1, threads // min(threads, images))}


# --- files and frames -------------------------------------------------------------------------


def test_json_holds_everything_and_no_nan(noisy: Any, tmp_path: Path) -> None:
    pred, target, *_ = noisy
    save(pred, extra=[[0]])
    result = evaluate(pred, target, num_classes=5, ignore_index=255, label_groups={"g": [0, 1]})
    text = result.to_json(tmp_path / "result.json")
    assert (tmp_path / "result.json").read_text() == text
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert content["per_class"][4]["iou"] is None
    assert content["scores"]["mean_iou"] == result.scores["mean_iou"]
    assert content["problems"] == result.problems
    assert content["plan"]["hash"] == result.plan.hash()
    assert content["plan"]["ignore_index"] == [255]
    assert content["confusion_matrix"]["counts"] == result.matrix.tolist()
    assert content["confusion_matrix"]["columns"] == ["0", "1", "2", "3", "4", "void"]
    assert "ignored target labels: 255" in content["conventions"]
    assert content["images"] == 7
    assert result.to_dict() == content


@pytest.mark.parametrize("table", TABLES)
def test_csv_and_frames_hold_the_tables(noisy: Any, tmp_path: Path, table: str) -> None:
    pred, target, *_ = noisy
    (pred / "image_3.npy").write_bytes(b"no")
    result = evaluate(pred, target, num_classes=5, ignore_index=255, label_groups={"g": [0, 1]})
    result.to_csv(tmp_path / "table.csv", table)
    with (tmp_path / "table.csv").open(newline="") as stream:
        read = list(csv.DictReader(stream))
    rows = result.rows(table)
    frame = result.to_pandas(table)
    assert len(read) == len(rows) == len(frame) > 0
    for line, row, (_, series) in zip(read, rows, frame.iterrows(), strict=True):
        assert list(line) == list(row) == list(frame.columns)
        for name, value in row.items():
            undefined = isinstance(value, float) and math.isnan(value)
            assert line[name] == ("" if undefined else str(value))  # str of a float is exact
            assert pd.isna(series[name]) if undefined else series[name] == value


def test_columns_are_stable(noisy: Any) -> None:
    pred, target, *_ = noisy
    result = evaluate(pred, target, num_classes=4, ignore_index=255)
    scores = ["iou", "dice", "precision", "recall", "specificity"]
    counts = ["tp", "fp", "fn", "tn"]
    means = ["iou_per_image", "dice_per_image", "images"]
    assert list(result.columns("per_class")) == ["class", "index", *counts, *scores, *means]
    assert list(result.columns("label_groups")) == ["group", "classes", *counts, *scores, *means]
    assert list(result.columns("per_image_per_class")) == ["id", "class", *counts, *scores]
    assert list(result.columns("per_image_per_group")) == ["id", "group", *counts, *scores]
    assert list(result.columns("per_image")) == [
        "id",
        "pred",
        "target",
        "pixels",
        "ignored",
        "void",
        "pixel_accuracy",
        "mean_iou",
        "mean_dice",
    ]
    assert list(result.columns("problems")) == ["id", "path", "kind", "level", "message"]


def test_image_by_class_table_is_the_same_in_pieces(
    noisy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pred, target, *_ = noisy
    texts = []
    for images_at_once in (256, 3):
        monkeypatch.setattr("segmeter.evaluation.measures.pixel._IMAGES_AT_ONCE", images_at_once)
        result = evaluate(pred, target, num_classes=4, ignore_index=255)
        result.to_csv(tmp_path / "x.csv", "per_image_per_class")
        texts.append((tmp_path / "x.csv").read_text() + result.to_json())
    assert texts[0] == texts[1]


def test_odd_names_survive_files(tmp_path: Path) -> None:
    names = ['a,"b"', "line\nbreak", "=1+1", "日本", "caf\udce9"]
    pred = save(tmp_path / "p", **{key: [[0]] for key in names})
    result = evaluate(pred, save(tmp_path / "t", **{key: [[0]] for key in names}), num_classes=1)
    assert sorted(row["id"] for row in result.per_image) == sorted(names)
    loaded = json.loads(result.to_json(tmp_path / "r.json"))
    assert [row["id"] for row in loaded["per_image"]] == [row["id"] for row in result.per_image]
    result.to_csv(tmp_path / "r.csv")
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as stream:
        ids = {row["id"] for row in csv.DictReader(stream)}
    assert ids == {*names[:4], "caf\\udce9"}


def test_worst_images(noisy: Any) -> None:
    pred, target, *_ = noisy
    result = evaluate(pred, target, num_classes=4, ignore_index=255)
    worst = result.worst(3, by="mean_dice")
    assert [row["mean_dice"] for row in worst] == sorted(
        row["mean_dice"] for row in result.per_image
    )[:3]
    with pytest.raises(ValueError, match="by must be one of"):
        result.worst(by="iou")
    with pytest.raises(ValueError, match="table must be one of per_class"):
        result.rows("classes")
    with pytest.raises(ValueError, match="no official layout"):
        result.to_official_json()


def test_pandas_is_asked_for_by_its_extra(noisy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pred, target, *_ = noisy
    result = evaluate(pred, target, num_classes=4, ignore_index=255)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r'pip install "segmeter\[frames\]"'):
        result.to_pandas()


def test_options_of_the_plan_are_those_that_evaluate_and_check_show() -> None:
    keywords = inspect.signature(make_plan).parameters
    hints, own = get_type_hints(PlanOptions), get_type_hints(make_plan)
    assert {name: own[name] for name in keywords} == hints
    for function in (evaluate, check):
        shown = inspect.signature(function).parameters
        assert {name: shown[name].default for name in keywords} == {
            name: keyword.default for name, keyword in keywords.items()
        }
    with pytest.raises(TypeError, match="num_clases"):
        evaluate("a.npy", "b.npy", num_clases=3)  # type: ignore[call-arg]


# --- the plan ---------------------------------------------------------------------------------


def test_equal_plans_have_equal_hashes_and_different_ones_do_not() -> None:
    plans = [
        make_plan(num_classes=2),
        make_plan(num_classes=3),
        make_plan(class_names=["a", "b"]),
        make_plan(num_classes=2, ignore_index=255),
        make_plan(num_classes=2, ignore_index=[255, 254]),
        make_plan(num_classes=2, mapping={0: 0, 1: 1}),
        make_plan(num_classes=2, pred_mapping={0: 0, 1: 1}),
        make_plan(num_classes=2, reduce_zero_label=True),
        make_plan(num_classes=2, out_of_range="wrong"),
        make_plan(threshold=0.5),
        make_plan(threshold=127),
        make_plan(num_classes=2, label_groups={"g": [1]}),
        make_plan(num_classes=2, label_groups={"h": [1]}),
        make_plan(num_classes=2, color_table={(0, 0, 0): 0}),
        *(make_plan(protocol=name) for name in ("voc", "binary", "cityscapes", "ade20k")),
        make_plan(protocol="cityscapes", pred_mapping={0: 7}),
    ]
    assert len({plan.hash() for plan in plans}) == len(plans)
    assert make_plan(num_classes=2, ignore_index=[254, 255, 254]).hash() == plans[4].hash()
    assert make_plan(mapping={1: 1, 0: 0}).hash() == plans[5].hash()
    # A hash that changes breaks every stored run: raise Plan.version when numbers change.
    assert plans[0].hash() == "921f32193d783965"
    for plan in plans:
        assert json.loads(json.dumps(plan.to_dict())) == plan.to_dict()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, UnknownClassesError, "number of classes is not known.*segmeter check"),
        ({"num_classes": 0}, ValueError, "num_classes must be 1 to 65,536, got 0"),
        ({"num_classes": 65_537}, ValueError, "got 65537"),
        ({"num_classes": 2.0}, TypeError, "num_classes must be an integer"),
        ({"num_classes": True}, TypeError, "num_classes must be an integer"),
        ({"num_classes": 3, "class_names": ["a"]}, ValueError, "class_names has 1 names"),
        ({"class_names": "ab"}, TypeError, "sequence of names"),
        ({"class_names": ["a", "a"]}, ValueError, "holds 'a' twice"),
        ({"num_classes": 2, "ignore_index": "255"}, TypeError, "ignore_index must be an integer"),
        ({"num_classes": 2, "ignore_index": 1.5}, TypeError, "ignore_index must be an integer"),
        ({"num_classes": 1, "mapping": {0: 1}}, ValueError, "label 0 to class 1"),
        ({"mapping": {}}, ValueError, "mapping is empty"),
        ({"mapping": {0: -1}}, ValueError, "at least 0"),
        ({"mapping": {0: "void"}}, TypeError, r"mapping \(class\) must be an integer"),
        ({"mapping": "0:1"}, TypeError, "mapping must map labels"),
        ({"mapping": 3}, TypeError, "mapping must map labels"),
        ({"mapping": {None: 1}}, TypeError, r"mapping \(label\) must be an integer"),
        (
            {"num_classes": 2, "out_of_range": "drop"},
            ValueError,
            "must be one of 'raise', 'ignore', 'wrong'",
        ),
        ({"threshold": "x"}, TypeError, "threshold must be a number"),
        ({"threshold": math.nan}, ValueError, "got NaN"),
        ({"threshold": 1, "num_classes": 3}, ValueError, "threshold makes two classes"),
        ({"threshold": 1, "pred_mapping": {0: 0}}, ValueError, "pred_mapping has no place"),
        ({"threshold": 1, "reduce_zero_label": True}, ValueError, "reduce_zero_label has no place"),
        (
            {"num_classes": 2, "label_groups": {"g": [2]}},
            ValueError,
            "'g'.*names class 2.*2 classes",
        ),
        ({"num_classes": 2, "label_groups": {"g": []}}, ValueError, "is empty"),
        ({"num_classes": 2, "label_groups": {"g": ["x"]}}, ValueError, "no class 'x'"),
        ({"num_classes": 2, "label_groups": {"g": "0"}}, TypeError, "sequence of classes"),
        ({"num_classes": 2, "label_groups": ["WT"]}, TypeError, "label_groups must map names to"),
        ({"num_classes": 2, "color_table": [1]}, TypeError, "color_table must be a mapping"),
        (
            {"num_classes": 2, "color_table": {7: 1}},
            ValueError,
            r"key 7; keys are tuples \(r, g, b",
        ),
        ({"class_names": 2}, TypeError, "class_names must be a sequence of names, got 2"),
        ({"num_classes": 2, "reduce_zero_label": 255}, TypeError, "True or False, got 255"),
        ({"instances": "yes"}, TypeError, "instances must be True or False, got 'yes'"),
        ({"protocol": ["voc"]}, TypeError, r"protocol must be a name, got \['voc'\]"),
        ({"protocol": "pascal"}, ValueError, "unknown; there are cityscapes, .*binary"),
        ({"protocol": "voc", "num_classes": 21}, ValueError, "'voc' fixes num_classes"),
        ({"protocol": "voc", "ignore_index": 0}, ValueError, "fixes ignore_index"),
        ({"protocol": "voc", "threshold": 1}, ValueError, "fixes threshold"),
        ({"protocol": "voc", "pred_mapping": {0: None}}, ValueError, "nothing can be ignored"),
    ],
)
def test_wrong_options_are_named(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make_plan(**options)


def test_wrong_run_options_are_named(noisy: Any) -> None:
    pred, target, *_ = noisy
    with pytest.raises(ValueError, match="missing must be"):
        evaluate(pred, target, num_classes=2, missing="skip")
    with pytest.raises(ValueError, match="threads must be"):
        evaluate(pred, target, num_classes=2, threads=-1)
    with pytest.raises(TypeError, match="threads must be an integer, got '2'"):
        evaluate(pred, target, num_classes=2, threads="2")
    with pytest.raises(TypeError, match=r"progress must be a function .*, got True"):
        evaluate(pred, target, num_classes=2, progress=True)
    with pytest.raises(ValueError, match="number of classes is not known"):
        evaluate(pred, target)


# --- real data --------------------------------------------------------------------------------


def test_osvos_masks_by_three_ways(shared: Path) -> None:
    data = shared / "data" / "davis_osvos"
    folders = data / "osvos", data / "Annotations"
    result = evaluate(*folders, protocol="binary")
    assert result.num_images == 189
    assert result.problems == []
    expected = np.zeros((2, 2), np.int64)
    for path in folders[1].rglob("*.png"):
        truth = np.asarray(Image.open(path)) > 0
        guess = np.asarray(Image.open(folders[0] / path.relative_to(folders[1]))) > 0
        expected += np.bincount((2 * truth + guess).ravel(), minlength=4).reshape(2, 2)
    assert np.array_equal(result.matrix[:, :2], expected)
    for options in (
        {"mapping": {0: 0, 1: 1, 255: 1}},
        {"mapping": {0: 0, 255: 1}, "pred_mapping": {0: 0, 1: 1}},
        {"threshold": 0},
    ):
        assert np.array_equal(evaluate(*folders, **options).matrix, result.matrix)  # type: ignore[arg-type]
    plain = evaluate(*folders, num_classes=2)
    assert plain.num_images == 0
    assert {row["kind"] for row in plain.problems} == {"labels"}


BRATS = {"WT": [1, 2, 4], "TC": [1, 4], "ET": [4]}


@pytest.mark.parametrize("algorithm", ["hnfnetv1", "isen", "sanet0", "scan", "yixinmpl"])
def test_tumour_groups_against_the_fusion(shared: Path, algorithm: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    data = shared / "data" / "brats_toolkit"
    result = evaluate(
        f"{data}/*/segmentation/{algorithm}-20.nii.gz",
        f"{data}/*/fusion/mav.nii.gz",
        pattern="^([^/]+)/",
        num_classes=5,
        label_groups=BRATS,
    )
    assert result.problems == []
    cases = [row["id"] for row in result.per_image]
    assert cases == ["OtherEXampleFromTCIA", "TCGA-DU-7294"]
    rows = {(row["id"], row["group"]): row for row in result.rows("per_image_per_group")}
    total = {name: np.zeros(3, np.int64) for name in BRATS}
    for case in cases:
        guess = np.asarray(
            nibabel.load(data / case / "segmentation" / f"{algorithm}-20.nii.gz").dataobj
        )
        truth = np.asarray(nibabel.load(data / case / "fusion" / "mav.nii.gz").dataobj)
        for name, members in BRATS.items():
            inside, outside = np.isin(guess, members), np.isin(truth, members)
            both = np.count_nonzero(inside & outside)
            counts = [both, np.count_nonzero(inside) - both, np.count_nonzero(outside) - both]
            row = rows[case, name]
            assert [row["tp"], row["fp"], row["fn"]] == counts
            total[name] += counts
    for row in result.label_groups:
        tp, fp, fn = total[row["group"]]
        assert row["dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-15)
        assert result.per_class[3]["images"] == 0


def test_hippocampi_shifted_by_one_voxel(shared: Path, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    paths = sorted((shared / "data" / "hippocampus" / "labels").glob("*.nii.gz"))[:12]
    expected = np.zeros((3, 3), np.int64)
    for path in paths:
        image = nibabel.load(path)
        truth = np.asarray(image.dataobj).astype(np.uint8)
        guess = np.roll(truth, 1, axis=0)
        nibabel.save(nibabel.Nifti1Image(guess, image.affine), tmp_path / path.name)
        expected += np.bincount((3 * truth + guess).ravel(), minlength=9).reshape(3, 3)
    result = evaluate(tmp_path, paths, class_names=["background", "anterior", "posterior"])
    assert result.problems == []
    assert result.num_images == 12
    assert np.array_equal(result.matrix[:, :3], expected)


@pytest.mark.parametrize("run", [evaluate, check])
def test_arrays_in_place_of_files_are_refused_by_name(run: Any) -> None:
    maps = np.zeros((4, 4), int)
    for pred, side in ((maps, "pred"), ([maps], "pred"), (["."], "target")):
        with pytest.raises(
            TypeError, match=f"{side} must be a folder, a glob, .* confusion_matrix"
        ):
            run(pred, maps, num_classes=2)
