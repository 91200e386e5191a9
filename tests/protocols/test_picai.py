"""Protocol picai: equal to the official program on its own test cases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segmeter.cli import main
from segmeter.evaluation import evaluate
from segmeter.evaluation.protocols.picai import PicaiCounts, open_folders

if TYPE_CHECKING:
    from pathlib import Path


def test_equal_to_the_official_result(shared: Path) -> None:
    folder = shared / "data" / "picai_eval"
    result = evaluate(folder / "test-maps", folder / "test-maps", protocol="picai")
    path = folder / "output-expected" / "metrics-full-expected.json"
    expected = json.loads(path.read_text())
    official = json.loads(result.to_official_json())
    assert result.exit_code == 0
    for key in ("num_cases", "num_lesions", "case_pred", "case_target", "case_weight", "auroc"):
        assert official[key] == expected[key], key
    assert official["AP"] == pytest.approx(expected["AP"], rel=1e-15)
    for name, rows in expected["lesion_results"].items():
        assert sorted(official["lesion_results"][name]) == sorted(rows), name
    assert official["lesion_weight"] == expected["lesion_weight"]
    assert result.scores["auroc"] == expected["auroc"]
    score = (expected["auroc"] + expected["AP"]) / 2
    assert result.scores["score"] == pytest.approx(score, rel=1e-15)
    assert len(result.per_image) == 10


def test_confidences_and_missing_files(tmp_path: Path) -> None:
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
    target = np.zeros((4, 5, 6), np.uint8)
    target[1:3, 1:3, 1:3] = 1
    for name in ("a", "b"):
        np.save(tmp_path / "target" / f"{name}.npy", target)
    np.save(tmp_path / "pred" / "a.npy", target * np.float32(0.7))
    data = open_folders(str(tmp_path / "pred"), str(tmp_path / "target"))
    assert [problem.kind for problem in data.problems] == ["missing-prediction"]
    measured = data.measure(data.pairs[0])
    assert measured.scores["confidence"] == float(np.float32(0.7))
    assert isinstance(measured.counts, PicaiCounts)
    again = PicaiCounts.from_arrays((measured.counts + measured.counts).to_arrays())
    assert again.names == ("a", "a")
    assert again.official()["num_lesions"] == 2
    np.save(tmp_path / "pred" / "b.npy", np.zeros((4, 5, 5), np.float32))
    result = evaluate(tmp_path / "pred", tmp_path / "target", protocol="picai")
    assert [problem["kind"] for problem in result.problems] == ["shape"]


def test_check_says_how_much_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        for name in "abc":
            np.save(tmp_path / side / f"{name}.npy", np.eye(4, dtype=np.uint8))
    places = ["--pred", str(tmp_path / "pred"), "--target", str(tmp_path / "target")]
    assert main(["check", *places, "--protocol", "picai", "--sample", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "2 of 3 measured" in lines
    assert not any("stored as" in line for line in lines)
    assert main(["check", *places, "--protocol", "binary"]) == 0
    assert "stored as" in capsys.readouterr().out


def test_two_files_of_one_case_are_a_problem(tmp_path: Path) -> None:
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        for name in "ab":
            np.save(tmp_path / side / f"{name}.npy", np.eye(4, dtype=np.uint8))
    np.savez(tmp_path / "pred" / "b.npz", np.eye(4, dtype=np.uint8))
    (tmp_path / "target" / "a.npy").rename(tmp_path / "target" / "c.npy")
    result = evaluate(tmp_path / "pred", tmp_path / "target", protocol="picai")
    kinds = {problem["id"]: problem["kind"] for problem in result.problems}
    assert kinds == {"a": "missing-target", "b": "ambiguous", "c": "missing-prediction"}
    assert result.exit_code == 3
