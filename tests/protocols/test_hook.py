"""Protocols of other kinds: data sets read as a whole, and counts without a confusion matrix."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter.cli import main
from segmeter.evaluation import Pair, PairError, Problem, check, evaluate, make_plan
from segmeter.evaluation.protocols import PROTOCOLS, EvaluationProtocol, Measured

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Hits:
    """Hits and tries of two classes."""

    counts: np.ndarray[Any, Any]

    def __add__(self, other: Hits) -> Hits:
        return Hits(self.counts + other.counts)

    def means(self) -> dict[str, np.ndarray[Any, Any]]:
        return {"mean_rate": self.class_scores()["rate"]}

    def class_scores(self) -> dict[str, np.ndarray[Any, Any]]:
        hits, tries = self.counts.T
        rate = np.where(tries > 0, hits / np.maximum(tries, 1), np.nan)
        return {"rate": rate, "tries": tries}

    def group_scores(self) -> dict[str, np.ndarray[Any, Any]]:
        return {}

    def official(self) -> dict[str, Any]:
        return {"hits": self.counts.tolist()}

    def to_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        return {"counts": self.counts}


@dataclass(frozen=True)
class Darts:
    """Two JSON files of hits; image "bad" cannot be measured."""

    pred: dict[str, Any]
    class_names: tuple[str, ...]
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...] = ()

    def measure(self, pair: Pair) -> Measured:
        if pair.id == "bad":
            raise PairError("segments", pair.pred, f"{pair.pred}: image bad is bad")
        counts = Hits(np.array(self.pred[pair.id]))
        return Measured(counts, scores={"rate": float(counts.counts[:, 0].sum()) / 4})


def read_darts(pred: str, target: str) -> Darts:
    with open(pred, encoding="utf-8") as stream:  # noqa: PTH123
        content = json.load(stream)
    pairs = tuple(Pair(name, pred, target) for name in content)
    absent = Problem("gone", target, "missing-prediction", "error", f"{target}: image gone")
    return Darts(content, ("inner", "outer"), pairs, (absent,))


def measure_spacing(
    pred: Any, target: Any, path: str, spacing: tuple[float, ...] | None
) -> Measured:
    assert pred.shape == target.shape
    assert path
    return Measured(Hits(np.array([[int(spacing == (2.0, 1.0, 1.0)), 1], [0, 0]])))


@pytest.fixture
def protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    darts = EvaluationProtocol(
        name="darts",
        summary="hits",
        source="here",
        class_names=(),
        dataset=read_darts,
        pixels=False,
        score_names=("mean_rate",),
    )
    volumes = EvaluationProtocol(
        name="volumes",
        summary="ids",
        source="here",
        class_names=("inner", "outer"),
        measure=measure_spacing,
        pixels=False,
        score_names=("mean_rate",),
    )
    monkeypatch.setitem(PROTOCOLS, "darts", darts)
    monkeypatch.setitem(PROTOCOLS, "volumes", volumes)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    content = {"a": [[1, 2], [0, 0]], "bad": [[0, 0], [0, 0]], "c": [[2, 2], [0, 0]]}
    for name in ("pred.json", "target.json"):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return str(tmp_path / "pred.json"), str(tmp_path / "target.json")


@pytest.mark.usefixtures("protocols")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_data_set_is_measured_pair_by_pair(files: tuple[str, str], threads: int) -> None:
    result = evaluate(*files, protocol="darts", threads=threads)
    assert result.plan.class_names == ("inner", "outer")
    assert [row["id"] for row in result.per_image] == ["a", "c"]
    assert [row["rate"] for row in result.per_image] == [0.25, 0.5]
    assert [problem["id"] for problem in result.problems] == ["gone", "bad"]
    assert result.problems[1]["kind"] == "segments"
    assert result.exit_code == 3
    assert result.scores == {"mean_rate": 0.75}
    assert result.scores_over == {"mean_rate": {"over": 1, "undefined": 1}}
    first, second = result.per_class
    assert first == {"class": "inner", "index": 0, "rate": 0.75, "tries": 4}
    assert second["class"] == "outer"
    assert math.isnan(second["rate"])
    assert json.loads(result.to_official_json()) == {"hits": [[3, 4], [0, 0]]}
    assert "confusion_matrix" not in result.to_dict()
    assert [row["id"] for row in result.worst()] == ["a", "c"]
    with pytest.raises(ValueError, match="there is no confusion matrix: protocol 'darts'"):
        _ = result.matrix
    with pytest.raises(ValueError, match="table must be one of per_class, label_groups"):
        result.columns("per_image_per_class")


@pytest.mark.usefixtures("protocols")
def test_a_data_set_on_the_command_line(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--pred", files[0], "--target", files[1], "--protocol", "darts"]
    options += ["--csv", str(tmp_path / "csv"), "--fail-under", "mean_rate=0.8"]
    assert main(["evaluate", *options]) == 3
    output = capsys.readouterr()
    assert "gate failed: mean_rate is 0.75, below 0.8" in output.err
    assert output.out.startswith("2 images, 2 problems")
    assert "mean IoU" not in output.out
    assert "image bad is bad" in " ".join(output.out.split())  # wrapped where names are long
    assert {path.name for path in (tmp_path / "csv").iterdir()} == {
        "per_image.csv",
        "per_class.csv",
    }
    with (tmp_path / "csv" / "per_class.csv").open(encoding="utf-8") as stream:
        assert [row["tries"] for row in csv.DictReader(stream)] == ["4", "0"]
    assert main(["evaluate", *options, "--fail-under", "mean_iou=0.8"]) == 2
    assert "there is no score 'mean_iou'; there are mean_rate" in capsys.readouterr().err


@pytest.mark.usefixtures("protocols")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pair": "order"}, "pairs images by what its files say"),
        ({"pred_suffix": "_x"}, "pairs images by what its files say"),
        ({"pred_mapping": {1: 2}}, "counts no labels of pixels, so pred_mapping"),
        ({"out_of_range": "wrong"}, "counts no labels of pixels, so out_of_range"),
        ({"label_groups": {"a": [0]}}, "counts no labels of pixels, so label_groups"),
        ({"num_classes": 2}, "fixes num_classes"),
        ({"missing": "raise"}, "image gone"),
    ],
)
def test_options_that_have_no_place(
    files: tuple[str, str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(*files, protocol="darts", **options)


@pytest.mark.usefixtures("protocols")
def test_a_data_set_needs_two_paths(files: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="one path for pred and one for target"):
        evaluate([files[0]], [files[1]], protocol="darts")
    with pytest.raises(ValueError, match="one path for pred and one for target"):
        evaluate(files[0], protocol="darts")


@pytest.mark.usefixtures("protocols")
def test_measures_are_given_the_spacing(
    tmp_path: Path, peer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    nibabel = peer("nibabel")
    for side in ("p", "t"):
        (tmp_path / side).mkdir()
        volume = nibabel.Nifti1Image(np.ones((2, 3, 4), np.uint8), np.diag([2.0, 1, 1, 1]))
        nibabel.save(volume, tmp_path / side / "a.nii.gz")
    folders = str(tmp_path / "p"), str(tmp_path / "t")
    result = evaluate(*folders, protocol="volumes")
    assert result.scores == {"mean_rate": 1.0}
    assert not result.problems
    assert result.plan.describe()[0] == "protocol volumes: ids (here)"
    assert make_plan(protocol="volumes").known_labels("pred") is None
    assert (
        main(["evaluate", "--pred", folders[0], "--target", folders[1], "--protocol", "volumes"])
        == 0
    )
    assert "rate" in capsys.readouterr().out


@pytest.mark.usefixtures("protocols")
def test_check_of_ids_says_nothing_about_labels(tmp_path: Path) -> None:
    for side in ("p", "t"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", np.arange(4000).reshape(40, 100) + (side == "p"))
    report = check(str(tmp_path / "p"), str(tmp_path / "t"), protocol="volumes")
    assert not [finding for finding in report.findings if finding.level == "error"]


@pytest.mark.usefixtures("protocols")
def test_check_measures_a_data_set(files: tuple[str, str]) -> None:
    report = check(*files, protocol="darts")
    assert [finding.code for finding in report.findings] == ["missing-prediction", "segments"]
    assert report.exit_code == 3
    assert report.statistics["pairs"] == report.statistics["sampled"] == 3
    assert main(["check", "--pred", files[0], "--target", files[1], "--protocol", "darts"]) == 3


def test_score_names_are_those_that_are_measured() -> None:
    measured = PROTOCOLS["cityscapes"].measure
    assert measured is not None
    one_pixel = np.zeros((1, 1), np.int64)
    means = measured(one_pixel, one_pixel, "", None).counts.means()
    assert tuple(means) == PROTOCOLS["cityscapes"].score_names
