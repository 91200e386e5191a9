"""Instance maps under the rules of Cellpose, StarDist and panoptica, equal to these tools."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter.cli import main
from segmeter.evaluation import evaluate
from segmeter.evaluation.protocols import PROTOCOLS
from segmeter.io import read_label_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

Array = np.ndarray[Any, Any]
Maps = list[tuple[Array, Array]]


@pytest.fixture(scope="module")
def nuclei(shared: Path) -> Maps:
    """Nuclei of eight images, shifted and with objects lost, joined and made up."""
    rng = np.random.default_rng(11)
    maps = []
    for number, path in enumerate(sorted((shared / "data" / "dsb2018" / "labels").iterdir())[:8]):
        target = read_label_map(path).labels.astype(np.int32)
        pred = np.roll(target, number, axis=1)
        ids = np.unique(pred)[1:]
        pred[np.isin(pred, rng.choice(ids, len(ids) // 5, replace=False))] = 0
        pred[pred == ids[0]] = ids[-1]
        pred[:6, 40:46] = ids[-1] + 5
        maps.append((pred, target))
    return maps


@pytest.fixture
def folders(nuclei: Maps, tmp_path: Path) -> tuple[Path, Path]:
    for number, pair in enumerate(nuclei):
        for side, ids in zip(("pred", "target"), pair, strict=True):
            (tmp_path / side).mkdir(exist_ok=True)
            np.save(tmp_path / side / f"n{number}.npy", ids)
    return tmp_path / "pred", tmp_path / "target"


def test_cellpose(
    nuclei: Maps, folders: tuple[Path, Path], peer: Callable[[str], ModuleType]
) -> None:
    metrics = peer("cellpose.metrics")
    preds, targets = [pred for pred, _ in nuclei], [target for _, target in nuclei]
    ap, tp, fp, fn = metrics.average_precision(targets, preds, threshold=[0.5, 0.75, 0.9])
    result = evaluate(*folders, protocol="cellpose")
    assert not result.problems
    ours = result.totals.protocol
    assert ours is not None
    official = ours.official()
    for name, theirs in (("tp", tp), ("fp", fp), ("fn", fn)):
        assert official[name] == theirs.sum(axis=0).tolist()
    images = result.columns("per_image")
    for k, text in enumerate(("50", "75", "90")):
        np.testing.assert_allclose(images[f"ap_{text}"], ap[:, k], rtol=1e-6)
        sums = [int(part[:, k].sum()) for part in (tp, fp, fn)]
        assert result.scores[f"ap_{text}"] == sums[0] / sum(sums)
    assert 0.1 < result.scores["ap_75"] < result.scores["ap_50"] < 1


def test_stardist(
    nuclei: Maps, folders: tuple[Path, Path], peer: Callable[[str], ModuleType]
) -> None:
    matching = peer("stardist.matching")
    preds, targets = [pred for pred, _ in nuclei], [target for _, target in nuclei]
    result = evaluate(*folders, protocol="stardist", threads=2)
    ours = result.totals.protocol
    assert ours is not None
    official = ours.official()
    theirs = matching.matching_dataset(
        targets, preds, thresh=official["thresholds"], show_progress=False
    )
    assert official["thresholds"] == [tenth / 10 for tenth in range(1, 10)]
    for k, row in enumerate(theirs):
        assert [official[name][k] for name in ("tp", "fp", "fn")] == [row.tp, row.fp, row.fn]
        for name in ("precision", "recall", "f1"):
            assert official[name][k] == pytest.approx(getattr(row, name), rel=1e-12)
        for name in ("mean_true_score", "mean_matched_score", "panoptic_quality"):
            assert official[name][k] == pytest.approx(getattr(row, name), rel=1e-6)  # float32 there
        assert official["ap"][k] == pytest.approx(row.accuracy, rel=1e-12)
        assert result.scores[f"f1_{k + 1}0"] == official["f1"][k]


def test_stardist_volume(shared: Path, tmp_path: Path, peer: Callable[[str], ModuleType]) -> None:
    matching = peer("stardist.matching")
    target = read_label_map(shared / "data" / "stardist" / "mask3d.tif").labels
    pred = np.roll(target, 3, axis=2)
    np.save(tmp_path / "pred.npy", pred)
    path = shared / "data" / "stardist" / "mask3d.tif"
    result = evaluate(tmp_path / "pred.npy", path, protocol="stardist")
    row = matching.matching(target, pred, thresh=0.5)
    assert [result.per_image[0][f"{name}_50"] for name in ("precision", "recall", "f1")] == (
        pytest.approx([row.precision, row.recall, row.f1])
    )


@pytest.mark.parametrize("kind", ["matched_instance", "unmatched_instance"])
def test_spine_instances_as_panoptica(shared: Path, kind: str) -> None:
    folder = shared / "data" / "spine_panoptica" / kind
    files = folder / "pred.nii.gz", folder / "ref.nii.gz"
    result = evaluate(*files, instances=True)
    assert not [row for row in result.problems if row["level"] == "error"]
    pred, target = (read_label_map(path).labels for path in files)
    matched, iou_sum = 0, 0.0
    for i in np.unique(target)[1:]:
        truth = target == i
        for j in np.unique(pred[truth]):
            if j:
                guess = pred == j
                iou = (truth & guess).sum() / (truth | guess).sum()
                matched, iou_sum = matched + int(iou > 0.5), iou_sum + iou * (iou > 0.5)
    number, targets = len(np.unique(pred)) - 1, len(np.unique(target)) - 1
    objects = result.rows("region_per_class")[1]
    assert [objects[name] for name in ("tp", "fp", "fn")] == [
        matched,
        number - matched,
        targets - matched,
    ]
    assert objects["pq"] == pytest.approx(2 * iou_sum / (number + targets), rel=1e-12)


@pytest.mark.parametrize(("name", "empty"), [("cellpose", math.nan), ("stardist", 0.0)])
def test_images_without_objects(name: str, empty: float) -> None:
    measure = PROTOCOLS[name].measure
    assert measure is not None
    nothing = np.zeros((3, 4), np.uint8)
    assert measure(nothing, nothing, "", None).scores["ap_50"] == pytest.approx(empty, nan_ok=True)
    counts = measure(nothing, nothing + 1, "", None).counts
    assert counts.official()["fn"][0] == 1
    assert tuple(counts.means()) == PROTOCOLS[name].score_names
    assert set(counts.to_arrays()) == {"thresholds", "tp", "fp", "fn", "score_sum"}


def test_a_full_map_keeps_all_its_objects() -> None:
    full = np.array([[1, 1, 2, 2]])
    measure = PROTOCOLS["cellpose"].measure
    assert measure is not None
    assert measure(full, full, "", None).counts.official()["tp"] == [2, 2, 2]


def test_negative_ids_are_a_problem(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([[0, -1]]))
    result = evaluate(tmp_path / "p.npy", tmp_path / "p.npy", protocol="cellpose")
    assert "pred holds the id -1" in result.problems[0]["message"]
    assert result.exit_code == 3


@pytest.mark.parametrize("name", ["cellpose", "stardist"])
def test_the_command_line(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    options = ["--pred", str(folders[0]), "--target", str(folders[1]), "--protocol", name]
    assert main(["evaluate", *options, "--fail-under", "mean_ap=0.1"]) == 0
    printed = capsys.readouterr().out
    assert "AP 50" in printed
    assert "mean AP" in printed
    assert main(["check", *options]) == 0
