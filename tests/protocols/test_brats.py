"""Protocols of BraTS on real tumours: equal to the SciPy twin, in the layout of the challenge."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segmeter import io, region
from segmeter.cli import main
from segmeter.evaluation import check, evaluate
from segmeter.evaluation.protocols import brats, get
from segmeter.reference import region_lesions

if TYPE_CHECKING:
    from pathlib import Path

CASES = ("OtherEXampleFromTCIA", "TCGA-DU-7294")


def test_real_cases(shared: Path, tmp_path: Path) -> None:
    for case in CASES:
        folder = shared / "data" / "brats_toolkit" / case
        for side, name in (("pred", "segmentation/hnfnetv1-20"), ("target", "fusion/mav")):
            (tmp_path / side).mkdir(exist_ok=True)
            shutil.copy(folder / f"{name}.nii.gz", tmp_path / side / f"{case}.nii.gz")
    result = evaluate(tmp_path / "pred", tmp_path / "target", protocol="brats2023-lesionwise")
    assert result.plan.class_names == ("WT", "TC", "ET")
    official = json.loads(result.to_official_json())
    assert len(official["cases"]) == len(result.per_image) == 2
    dice = np.zeros((2, 3))
    for k, case in enumerate(CASES):
        maps = [
            io.read_label_map(tmp_path / side / f"{case}.nii.gz").labels
            for side in ("pred", "target")
        ]
        inside = np.argwhere((maps[0] != 0) | (maps[1] != 0))
        low, high = inside.min(axis=0), inside.max(axis=0) + 1
        box = tuple(slice(max(0, a - 7), b + 7) for a, b in zip(low, high, strict=True))
        twin = region_lesions.lesion_wise(maps[0][box], maps[1][box], groups=brats.GROUPS_2023)
        scores = region.lesion_scores(twin)
        for g, name in enumerate(brats.GROUPS_2023):
            row = official["cases"][k][name]
            assert (row["Num_TP"], row["Num_FP"], row["Num_FN"]) == tuple(
                scores[name][key] for key in ("tp", "fp", "fn")
            )
            dice[k, g] = scores[name]["dice"]
            assert row["LesionWise_Score_Dice"] == pytest.approx(dice[k, g], rel=1e-15)
            assert result.per_image[k][f"{name}_lesion_dice"] == row["LesionWise_Score_Dice"]
    # a case without enhancing tumour in which some was predicted scores 0
    assert dice[1, 2] == 0
    assert result.scores["mean_lesion_dice"] == pytest.approx(dice.mean(), rel=1e-15)


@pytest.mark.parametrize("name", [protocol.name for protocol in brats.PROTOCOLS])
def test_every_protocol_measures(name: str) -> None:
    protocol = get(name)
    target = np.zeros((12, 12, 12), np.uint8)
    target[2:9, 2:9, 2:9] = 3
    assert protocol.measure is not None
    measured = protocol.measure(target, target, "a.nii.gz", None)
    assert measured.warning is not None
    assert "spacing" in measured.warning
    counts = measured.counts
    assert isinstance(counts, brats.BratsCounts)
    again = brats.BratsCounts.from_arrays((counts + counts).to_arrays())
    assert np.nanmin(again.means()["mean_lesion_dice"]) == 1.0
    assert set(again.class_scores()) >= {"lesion_dice", "found", "missed", "invented"}


def test_gates_on_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = np.zeros((12, 12, 12), np.uint8)
    target[2:6, 2:6, 2:6] = 3
    for side, labels in (("pred", np.roll(target, 1, axis=0)), ("target", target)):
        np.save(tmp_path / f"{side}.npy", labels)
    places = ["--pred", str(tmp_path / "pred.npy"), "--target", str(tmp_path / "target.npy")]
    command = [
        "evaluate",
        *places,
        "--protocol",
        "brats2023-lesionwise",
        "--spacing",
        "1,1,1",
        "-q",
    ]
    assert (
        main([*command, "--fail-over", "lesion_hd95:ET=1", "--fail-over", "mean_lesion_hd95=1"])
        == 0
    )
    assert main([*command, "--fail-over", "lesion_hd95:ET=0.5"]) == 1
    assert main([*command, "--fail-over", "lesion_hd95:XY=9"]) == 1
    assert "there is no score lesion_hd95:XY" in capsys.readouterr().err


def test_spacing_of_the_user_holds(tmp_path: Path) -> None:
    target = np.zeros((12, 12, 12), np.uint8)
    target[2:6, 2:6, 2:6] = 3  # 64 voxels
    for side in ("pred", "target"):
        np.save(tmp_path / f"{side}.npy", target)
    files = tmp_path / "pred.npy", tmp_path / "target.npy"
    plain = evaluate(*files, protocol="brats2023-lesionwise")
    assert [row["kind"] for row in plain.problems] == ["protocol"]  # no file says the spacing
    assert plain.per_class[2]["left_out"] == 0  # 64 mm3 are more than 50
    fine = evaluate(*files, protocol="brats2023-lesionwise", spacing=[0.5, 1, 1])
    assert fine.problems == []
    assert fine.per_class[2]["left_out"] == 1
    found = check(*files, protocol="brats2023-lesionwise").findings
    assert "no-spacing" in [finding.code for finding in found if finding.level == "warning"]
