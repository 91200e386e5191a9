"""The command line, run inside this process: what goes where, and with which exit code."""

from __future__ import annotations

import csv
import json
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import segmeter
from segmeter import cli, demo
from segmeter.cli import _doctor, _values, main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ESCAPE = "\x1b"


class Run(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run ``segmeter`` with arguments; paths are turned into text."""

    def call(*arguments: object) -> Run:
        code = main([str(argument) for argument in arguments])
        return Run(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> demo.DemoFiles:
    """The demonstration set; tests must not change it."""
    return demo.write(tmp_path_factory.mktemp("scenes"))


def options(files: demo.DemoFiles) -> list[str]:
    """Options that evaluate the demonstration set."""
    places = ["--pred", str(files.pred), "--target", str(files.target)]
    return [*places, "--classes", str(files.classes), "--ignore-index", "255"]


def write_maps(folder: Path, names: Sequence[str], wrong: int = 1) -> list[str]:
    """Write small pairs of maps of two classes under the names; give their options."""
    target = np.zeros((4, 4), np.uint8)
    target[2:] = 1
    pred = target.copy()
    pred.flat[:wrong] = 1
    for side, labels in (("pred", pred), ("target", target)):
        (folder / side).mkdir()
        for name in names:
            np.save(folder / side / name, labels)
    return [
        "--pred",
        str(folder / "pred"),
        "--target",
        str(folder / "target"),
        "--num-classes",
        "2",
    ]


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# --- evaluate: tables and files ---------------------------------------------------------------


def test_table_goes_to_standard_output(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    code, out, err = run("evaluate", *options(scenes))
    assert (code, err) == (0, "")
    assert out.startswith("8 images, 943,088 pixels counted, 105,488 ignored (10.1 %)\n")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert rows["truck"] == ["0.6667", "0.8000", "1.0000", "0.6667", "1.8", "%"]
    assert rows["bicycle"] == ["–", "–", "–", "–", "0", "%"]
    assert "– not defined" in out
    assert "05_wrong_class" in out
    assert "01_perfect" not in out
    assert ESCAPE not in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_conventions_are_printed(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    out = run("evaluate", *options(scenes)).out
    assert "paired by file stem" in out
    assert "ignored target labels: 255" in out
    assert "absent classes" in out


def test_json_holds_the_expected_counts(
    run: Callable[..., Run], scenes: demo.DemoFiles, tmp_path: Path
) -> None:
    place = tmp_path / "scores.json"
    assert run("evaluate", *options(scenes), "--json", place).code == 0
    content = json.loads(place.read_text(encoding="utf-8"))
    counts = np.array(content["confusion_matrix"]["counts"])
    np.testing.assert_array_equal(counts[:, :-1], demo.expected_matrix())
    assert content["scores"]["mean_iou"] == segmeter.mean_iou(demo.expected_matrix())


def test_json_on_standard_output_stands_alone(
    run: Callable[..., Run], scenes: demo.DemoFiles
) -> None:
    code, out, err = run("evaluate", *options(scenes), "--json", "-")
    assert code == 0
    assert json.loads(out)["images"] == 8
    assert err.startswith("8 images")


def test_csv_folder_holds_three_tables(
    run: Callable[..., Run], scenes: demo.DemoFiles, tmp_path: Path
) -> None:
    assert run("evaluate", *options(scenes), "--csv", tmp_path / "tables").code == 0
    tables = {path.name: read_csv(path) for path in (tmp_path / "tables").iterdir()}
    sizes = {name: len(rows) for name, rows in tables.items()}
    assert sizes == {"per_image.csv": 8, "per_class.csv": 10, "per_image_per_class.csv": 80}
    wrong = {
        row["id"]: int(row["fp"])
        for row in tables["per_image_per_class.csv"]
        if row["class"] == "car"
    }
    assert wrong["05_wrong_class"] == 5502


def test_csv_folder_holds_the_label_groups(
    run: Callable[..., Run], scenes: demo.DemoFiles, tmp_path: Path
) -> None:
    groups = ["--label-groups", "vehicle=car,truck", "--label-groups", "way=road,sidewalk"]
    code, out, _ = run("evaluate", *options(scenes), *groups, "--csv", tmp_path)
    assert code == 0
    rows = read_csv(tmp_path / "label_groups.csv")
    assert [row["group"] for row in rows] == ["vehicle", "way"]
    assert len(read_csv(tmp_path / "per_image_per_group.csv")) == 16
    header, row = (
        next(line for line in out.splitlines() if line.startswith(f"{name} "))
        for name in ("group", "vehicle")
    )
    column = header.replace("Dice/image", "dice_per_image").split().index("dice_per_image")
    assert row.split()[column] == f"{float(rows[0]['dice_per_image']):.4f}"


def test_csv_file_holds_the_images(
    run: Callable[..., Run], scenes: demo.DemoFiles, tmp_path: Path
) -> None:
    assert run("evaluate", *options(scenes), "--csv", tmp_path / "images.csv").code == 0
    rows = read_csv(tmp_path / "images.csv")
    assert [row["id"] for row in rows] == [image.name for image in scenes.images]


def test_quiet_says_nothing(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    assert run("evaluate", *options(scenes), "--quiet") == (0, "", "")


def test_worst_images_can_be_left_out(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    assert "worst images" in run("evaluate", *options(scenes), "--worst", "1").out
    assert "worst images" not in run("evaluate", *options(scenes), "--worst", "0").out


def test_label_groups_have_a_table(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    out = run("evaluate", *options(scenes), "--label-groups", "vehicle=car,truck,bicycle").out
    group = next(line for line in out.splitlines() if line.startswith("vehicle"))
    matrix = demo.expected_matrix()
    inside = matrix[6:8, 6:8].sum()
    union = matrix[6:8].sum() + matrix[:, 6:8].sum() - inside
    assert group.split()[1] == f"{inside / union:.4f}"


def test_pairs_file(run: Callable[..., Run], tmp_path: Path) -> None:
    write_maps(tmp_path, ["a.npy", "b.npy"])
    table = tmp_path / "pairs.csv"
    table.write_text("pred,target,id\npred/a.npy,target/b.npy,crossed\n", encoding="utf-8")
    code, out, _ = run("evaluate", "--pairs", table, "--num-classes", 2)
    assert code == 0
    assert out.startswith("1 image,")


def test_two_patterns_are_one_for_each_side(run: Callable[..., Run], tmp_path: Path) -> None:
    write_maps(tmp_path, ["x_1_out.npy"])
    (tmp_path / "target" / "x_1_out.npy").rename(tmp_path / "target" / "truth-1.npy")
    folders = ["--pred", tmp_path / "pred", "--target", tmp_path / "target", "--num-classes", 2]
    patterns = ["--pattern", r"x_(\d+)", "--pattern", r"truth-(\d+)"]
    assert run("evaluate", *folders, *patterns).code == 0


def test_labels_of_a_class_file_are_a_mapping(run: Callable[..., Run], tmp_path: Path) -> None:
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", np.array([[7, 7, 26]]))
    classes = tmp_path / "classes.json"
    classes.write_text('{"labels": {"road": 7, "car": 26}}', encoding="utf-8")
    folders = ["--pred", tmp_path / "pred", "--target", tmp_path / "target"]
    code, out, err = run("evaluate", *folders, "--classes", classes)
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines() if line.startswith(("road", "car"))] == [
        ["road", "1.0000"],
        ["car", "1.0000"],
    ]


# --- evaluate: exit codes ---------------------------------------------------------------------


def test_gate_that_holds(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    code, _, err = run("evaluate", *options(scenes), "--fail-under", "mean_iou=0.9")
    assert (code, err) == (0, "")


def test_gate_that_fails(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    gates = ["--fail-under", "mean_iou=0.95", "--fail-under", "pixel_accuracy=0.5"]
    code, out, err = run("evaluate", *options(scenes), *gates)
    assert code == 1
    score = segmeter.mean_iou(demo.expected_matrix())
    assert err == f"segmeter: gate failed: mean_iou is {score}, below 0.95\n"
    assert "mean IoU" in out


def test_gate_at_the_score_itself_holds(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, ["a.npy"], wrong=0)
    assert run("evaluate", *places, "--fail-under", "mean_iou=1").code == 0


def test_undefined_score_reaches_no_gate(run: Callable[..., Run], tmp_path: Path) -> None:
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", np.full((2, 2), 255, np.uint8))
    places = ["--pred", tmp_path / "pred", "--target", tmp_path / "target"]
    rules = ["--num-classes", 2, "--ignore-index", 255, "--fail-under", "mean_iou=0"]
    code, _, err = run("evaluate", *places, *rules)
    assert code == 1
    assert "mean_iou is nan" in err


@pytest.mark.parametrize(
    "rules", [["--num-classes", "2"], ["--protocol", "ade20k"], ["--protocol", "cityscapes"]]
)
def test_gate_on_no_score_is_refused_before_counting(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, rules: list[str]
) -> None:
    def counting(*_: object, **__: object) -> None:
        raise AssertionError("a slip in the gate must not cost a run")

    monkeypatch.setattr("segmeter.evaluation.evaluate", counting)
    places = ["--pred", "x", "--target", "y", *rules]
    code, out, err = run("evaluate", *places, "--fail-under", "miou=0.5")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no score 'miou'; did you mean mean_iou? There are pixel_accuracy, " in err


def test_gate_on_a_score_of_a_protocol(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, ["a.npy"])[:4]
    np.save(tmp_path / "pred" / "a.npy", np.full((4, 4), 2, np.uint8))
    rules = ["--protocol", "ade20k", "--fail-under", "final_score=1"]
    assert "gate failed: final_score is " in run("evaluate", *places, *rules).err
    rules = ["--protocol", "cityscapes", "--fail-under", "mean_iiou=0.5"]
    assert "no score" not in run("evaluate", "--pred", "x", "--target", "y", *rules).err


def test_gate_on_one_class_or_group(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, ["a.npy"])[:4]
    np.save(tmp_path / "target" / "a.npy", np.array([[0, 0, 1, 1]]))
    np.save(tmp_path / "pred" / "a.npy", np.array([[0, 1, 1, 1]]))
    rules = ["--classes", "sky=blue,car", "--label-groups", "all=sky=blue,car"]
    rules = [*rules, "--fail-under", "iou:car=0.6", "--fail-under", "dice:all=1"]
    assert run("evaluate", *places, *rules).code == 0
    code, _, err = run("evaluate", *places, *rules, "--fail-under", "iou:sky=blue=0.6")
    assert (code, err) == (1, "segmeter: gate failed: iou:sky=blue is 0.5, below 0.6\n")
    code, _, err = run("evaluate", *places, *rules, "--fail-under", "iou:cra=0.6")
    assert code == 2
    assert "no score 'iou:cra'; did you mean iou:car?" in err
    assert "such as iou:all" in err


def test_problems_are_listed_and_the_rest_is_done(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, ["a.npy", "b.npy", "c.npy", "d.npy"])
    (tmp_path / "pred" / "b.npy").unlink()
    (tmp_path / "pred" / "c.npy").write_bytes(b"no array")
    np.save(tmp_path / "pred" / "d.npy", np.zeros((2, 2), np.uint8))
    code, out, _ = run("evaluate", *places, "--fail-under", "mean_iou=1")
    assert code == 3  # and not 1: a gate on a part of the data says little
    assert out.startswith("1 image, 16 pixels counted, 0 ignored, 3 problems\n")
    for name in ("b.npy", "c.npy", "d.npy"):
        assert name in out  # in one piece


def test_problems_that_say_the_same_are_one_line(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, [f"mapping {number}.npy" for number in range(30)])
    for number in range(30):
        labels = np.zeros((4, 4), np.uint8)
        labels.flat[: number + 1] = 9
        np.save(tmp_path / "target" / f"mapping {number}.npy", labels)
    np.save(tmp_path / "pred" / "mapping 7.npy", np.zeros((2, 2), np.uint8))
    np.save(tmp_path / "pred" / "mapping 8.npy", np.zeros((2, 2), np.uint8))
    code, out, _ = run("evaluate", *places)
    assert code == 3
    lines = [line for line in out.splitlines() if line.startswith(("labels", "shape"))]
    assert len(lines) == 2
    first = tmp_path / "target" / "mapping 0.npy"
    assert "28 files: target holds labels outside 0..1: 9 ...; say what they mean" in lines[0]
    assert "--mapping or --ignore-index" in lines[0]
    assert f"{first}\n" in out  # in one piece, whatever the name
    # The rule under the heading is as long as the longest line.
    texts = [line for line in out.splitlines() if set(line) != {"─"}]
    assert all(len(line) <= 120 or str(tmp_path) in line for line in texts)
    assert "2 files, the first:" in lines[1]
    assert str(tmp_path / "pred" / "mapping 7.npy") in out
    assert "segmeter check, with the same options, says what may be wrong" in out


def test_quiet_says_in_one_line_what_was_left_out(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, ["a.npy", "b.npy", "c.npy"])
    (tmp_path / "pred" / "b.npy").unlink()
    (tmp_path / "pred" / "c.npy").write_bytes(b"no array")
    code, out, err = run("evaluate", *places, "--quiet")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("segmeter: 2 of 3 images could not be evaluated; first: ")
    assert "b.npy" in err


def test_missing_files_can_stop_the_run(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, ["a.npy", "b.npy"])
    (tmp_path / "pred" / "b.npy").unlink()
    code, out, err = run("evaluate", *places, "--missing", "raise")
    assert (code, out) == (2, "")
    assert err.startswith("segmeter: not every file has a partner")
    assert "b.npy" in err


def test_many_problems_are_cut_short(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, [f"{number}.npy" for number in range(30)])
    for number in range(1, 30):
        size = number + 4  # shapes that all differ, so that no two problems are alike
        np.save(tmp_path / "pred" / f"{number}.npy", np.zeros((size, size), np.uint8))
    code, out, _ = run("evaluate", *places)
    assert code == 3
    assert sum(line.startswith("shape ") for line in out.splitlines()) == 20
    assert "and 9 more; --json has all" in out


BAD_USAGE = [
    (["evaluatx"], "evaluatx"),
    (["evaluate", "--predd", "x"], "--pred"),
    (["evaluate", "--pred", "x"], "--target is missing"),
    (["evaluate", "--pred", "x", "--target", "x", "--pairs", "x"], "not both"),
    (["evaluate", "--pred", "no/such", "--target", "no/such", "--num-classes", "2"], "no/such"),
    (["evaluate", "--pred", ".", "--target", ".", "--num-classes", "many"], "--num-classes"),
    (["evaluate", "--pred", "{pred}", "--target", "{target}"], "number of classes"),
    (["evaluate", "{places}", "--num-classes", "0"], "--num-classes must be 1 to 65,536, got 0"),
    (["evaluate", "--pairs", "missing.csv", "--num-classes", "2"], "--pairs: there is no file"),
    (
        ["evaluate", "{places}", "--protocol", "voc", "--mapping", "0:0", "--num-classes", "2"],
        "--protocol 'voc' fixes --num-classes and --mapping; leave out either it or them",
    ),
    (
        ["evaluate", "{places}", "--num-classes", "2", "--pair", "regex"],
        "--pair regex needs --pattern, for example --pattern '(",
    ),
    (
        ["evaluate", "{places}", "--num-classes", "2", "--classes", "a,b,c"],
        "--num-classes is 2, but --classes has 3 names",
    ),
    (
        ["evaluate", "{places}", "--num-classes", "2", "--out-of-range", "drop"],
        "--out-of-range must be",
    ),
    (["evaluate", "{places}", "--ignore-index", "void"], "--ignore-index"),
    (["evaluate", "{places}", "--protocol", "coco"], "cityscapes"),
    (["evaluate", "{places}", "--classes", "missing.txt"], "no file 'missing.txt'"),
    (["evaluate", "{places}", "--classes", "a,,b"], "a name is empty"),
    (["evaluate", "{places}", "--mapping", "255=1"], "255:1,7:ignore"),
    (["evaluate", "{places}", "--mapping", "1:0,1:1"], "twice"),
    (["evaluate", "{places}", "--label-groups", "WT"], "WT=1,2,4"),
    (["evaluate", "{places}", "--color-table", "missing.txt"], "missing.txt"),
    (["evaluate", "{places}", "--num-classes", "9", "--pattern", "("], "regular expression"),
    (["evaluate", "{places}", *["--pattern", "x"] * 3], "at most two"),
    (["evaluate", "{places}", "--fail-under", "mean_iou"], "mean_iou=0.75"),
    (["evaluate", "{places}", "--fail-under", "mean_iou=nan"], "mean_iou=0.75"),
    (["evaluate", "{places}", "--fail-under", "mean_iou=75"], "mean_iou=0.75"),
    (["evaluate", "{places}", "--json", "no/such/folder.json"], "no folder 'no/such'"),
    (["evaluate", "{places}", "--json", "{pred}"], "is a folder"),
    (["evaluate", "{places}", "--csv", "{classes}"], "is a file"),
    (["evaluate", "{places}", "--csv", "/proc/scores"], "--csv: '/proc/scores' cannot be written"),
    (["evaluate", "{places}", "--worst", "-1"], "--worst"),
    (["evaluate", "{places}", "--threads", "-1"], "--threads must be"),
    (["evaluate", "{places}", "--missing", "never"], "--missing must be"),
    (["check", "--pred", "x"], "--target is missing"),
    (["check", "{places}", "--sample", "-1"], "--sample must be"),
    (["demo", "{classes}"], "classes.txt"),
    (["doctor", "now"], "now"),
    (["evaluate", "out", "masks"], "files are named with --pred and --target"),
    (["evaluate", "{places}", "--num-classes", "two"], "'two' is not a whole number"),
    (["evaluate", "{places}", "--threshold", "half"], "'half' is not a number"),
    (["evaluate", "{places}", "--boundary-ratio", "2%"], "'2%' is not a number"),
    (["evaluate", "{places}", "--ignore-index", "1.5"], "'1.5' is not a whole number"),
    (["evaluate", "{places}", "--ignore-index", "0,255"], "give the option once for each label"),
    (["evaluate", "{places}", "--protocol", "citiscapes"], "did you mean 'cityscapes'? There are"),
    (["evaluate", "{places}", "--protocol", "coco-instances"], "give the JSON file itself"),
    (["evaluate", "{places}", "--num-classes", "9", "--cause-maps", "x"], "--cause-maps is for"),
    (
        ["evaluate", "{places}", "--num-classes", "9", "--csv", "table.xlsx"],
        "a name ending in .csv",
    ),
]


def test_a_matrix_beyond_memory_is_no_internal_error(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = np.zeros

    def little_memory(shape: Any, *arguments: Any, **options: Any) -> Any:
        if shape == (40_000, 40_001):
            raise MemoryError
        return zeros(shape, *arguments, **options)

    monkeypatch.setattr(np, "zeros", little_memory)
    places = write_maps(tmp_path, ["a"])[:4]
    code, out, err = run("evaluate", *places, "--num-classes", "40000")
    assert (code, out) == (2, "")
    assert err == (
        "segmeter: --num-classes is 40000: the matrix takes 11.9 GiB, more memory than there is; "
        "give the classes that occur numbers from 0 with --mapping\n"
    )


@pytest.mark.parametrize(("arguments", "expected"), BAD_USAGE, ids=lambda value: str(value)[:60])
def test_wrong_usage_is_one_line(
    run: Callable[..., Run], scenes: demo.DemoFiles, arguments: list[str], expected: str
) -> None:
    places = ["--pred", str(scenes.pred), "--target", str(scenes.target)]
    words: list[str] = []
    for word in arguments:
        words += (
            places
            if word == "{places}"
            else [word.format(pred=scenes.pred, target=scenes.target, classes=scenes.classes)]
        )
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("segmeter: ")
    assert err.count("\n") == 1
    assert expected in err


def test_a_device_is_written_where_it_is(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    places = ["--pred", str(scenes.pred), "--target", str(scenes.target)]
    options = ["--classes", str(scenes.classes), "--ignore-index", "255"]
    code, _, err = run("evaluate", *places, *options, "--json", "/dev/null")
    assert code == 0, err


def test_color_pictures_are_explained_in_options(run: Callable[..., Run], tmp_path: Path) -> None:
    colors = np.zeros((4, 4, 3), np.uint8)
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        Image.fromarray(colors).save(tmp_path / side / "a.png")
    places = ["--pred", tmp_path / "pred", "--target", tmp_path / "target", "--num-classes", "2"]
    code, out, _ = run("evaluate", *places)
    assert code == 3
    said = " ".join(out.split())
    assert "pass --protocol coco-panoptic for panoptic ids or --color-table for a" in said


def test_debug_shows_where(run: Callable[..., Run]) -> None:
    assert "Traceback" in run("evaluate", "--pred", "x", "--target", "y", "--debug").err


def test_a_defect_is_one_line_too(
    run: Callable[..., Run], scenes: demo.DemoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("segmeter.evaluation.evaluate", broken)
    code, out, err = run("evaluate", *options(scenes))
    assert (code, out) == (4, "")
    assert err.count("\n") == 1
    assert "KeyError" in err


def test_interruption_outside_the_counting(
    run: Callable[..., Run], scenes: demo.DemoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segmeter.evaluation.evaluate", interrupted)
    code, out, err = run("evaluate", *options(scenes))
    assert (code, out) == (130, "")
    assert err.count("\n") == 1


# --- names are data ---------------------------------------------------------------------------

HOSTILE = [
    "[red]x",
    "größe 漢字 🚗",
    "bell\a",
    f"{ESCAPE}[31mred",
    "a\nb",
    "\u202egnp",
    "[link=a]b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_file_names_are_printed_never_obeyed(
    run: Callable[..., Run], tmp_path: Path, name: str
) -> None:
    places = write_maps(tmp_path, [f"{name}.npy", "other.npy", "third.npy"])
    np.save(tmp_path / "pred" / f"{name}.npy", np.zeros((2, 2), np.uint8))
    (tmp_path / "target" / "third.npy").rename(tmp_path / "target" / f"lost {name}.npy")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    for command in ("evaluate", "check"):
        code, out, err = run(command, *places)
        assert code == 3
        assert shown in out
        assert err == ""
        assert not {ESCAPE, "\a", "\u202e"} & set(out)


def test_worst_images_with_hostile_names(run: Callable[..., Run], tmp_path: Path) -> None:
    out = run("evaluate", *write_maps(tmp_path, ["[bold]a.npy", f"b{ESCAPE}[2J.npy"])).out
    assert "[bold]a " in out
    assert r"b\x1b[2J " in out


def test_class_names_are_printed_never_obeyed(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, ["a.npy"])[:4]
    names = tmp_path / "names.json"
    names.write_text(json.dumps(["[red]road", f"car{ESCAPE}[0m"]), encoding="utf-8")
    out = run("evaluate", *places, "--classes", names).out
    assert "[red]road " in out
    assert r"car\x1b[0m " in out


def test_error_messages_escape_names(run: Callable[..., Run]) -> None:
    err = run("evaluate", "--pred", f"no{ESCAPE}[31m", "--target", "x", "--num-classes", 2).err
    assert ESCAPE not in err
    assert r"no\x1b[31m" in err


# --- check ------------------------------------------------------------------------------------


def test_check_names_level_message_remedy(run: Callable[..., Run], tmp_path: Path) -> None:
    write_maps(tmp_path, ["a.npy"])
    np.save(tmp_path / "target" / "a.npy", np.array([[0, 0, 255, 255]] * 4, np.uint8))
    code, out, err = run("check", "--pred", tmp_path / "pred", "--target", tmp_path / "target")
    assert (code, err) == (3, "")
    assert "1 pair (by file stem)" in out
    assert "error: predictions hold 0 and 1, targets 0 and 255" in out
    assert "    --protocol binary" in out
    assert "255: 50.0 %" in out


def test_the_suggested_command_runs(run: Callable[..., Run], scenes: demo.DemoFiles) -> None:
    code, out, _ = run("check", "--pred", scenes.pred, "--target", scenes.target)
    assert code == 0
    program, *arguments = shlex.split(out.splitlines()[-1])
    assert program == "segmeter"
    assert run(*arguments, "--fail-under", "mean_iou=0.9").code == 0


def test_check_says_when_nothing_is_wrong(run: Callable[..., Run], tmp_path: Path) -> None:
    code, out, _ = run("check", *write_maps(tmp_path, ["a.npy"]))
    assert code == 0
    assert "nothing looks wrong" in out


def test_check_says_how_much_it_read(run: Callable[..., Run], tmp_path: Path) -> None:
    places = write_maps(tmp_path, [f"{number}.npy" for number in range(5)])
    assert "(3 of 5 read)" in run("check", *places, "--sample", 3).out
    assert "of 5 read" not in run("check", *places, "--sample", 0).out


def test_quiet_check_is_an_exit_code(run: Callable[..., Run], tmp_path: Path) -> None:
    assert run("check", *write_maps(tmp_path, ["a.npy"]), "--quiet") == (0, "", "")


# --- demo -------------------------------------------------------------------------------------


def test_demo_counts_what_was_drawn(run: Callable[..., Run], tmp_path: Path) -> None:
    code, out, err = run("demo", tmp_path / "demo")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    for image in demo.draw():
        assert rows[image.name].split()[2] == f"{image.fault.pixels:,}"
        assert rows[image.name].endswith(image.fault.sentence)


def test_demo_ends_with_a_command_that_gives_the_same_table(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    out = run("demo", tmp_path / "a folder").out
    command = out.split("outlines and causes, too)\n")[1]
    program, *arguments = shlex.split(command.replace("\\\n", ""))
    assert program == "segmeter"
    table = out.split("\n\nimage ")[0]
    assert run(*arguments).out.startswith(table)


def test_quiet_demo_only_draws(run: Callable[..., Run], tmp_path: Path) -> None:
    assert run("demo", tmp_path / "demo", "--quiet") == (0, "", "")
    assert len(list((tmp_path / "demo" / "pred").iterdir())) == 8


# --- doctor, help, missing packages -----------------------------------------------------------


def test_doctor_names_kernels_threads_and_readers(run: Callable[..., Run]) -> None:
    from segmeter import _core
    from segmeter.io import supported

    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    assert out.startswith(f"segmeter {segmeter.__version__}")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["kernels"].split()[1] == _core.simd_level()
    assert lines["threads"].split()[1] == str(_core.max_threads())
    assert "libgomp" in lines["OpenMP"]
    assert {row.format for row in supported()} <= set(lines)


def test_doctor_says_what_to_install(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from segmeter.io import _registry

    def absent(package: str) -> str:
        raise _registry.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(_registry.importlib.metadata, "version", absent)
    assert 'pip install "segmeter[eval]"' in run("doctor").out


@pytest.mark.parametrize("absent", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_install(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == absent else object())
    code, out, err = run("evaluate", "--pred", "x", "--target", "y")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert 'pip install "segmeter[eval]"' in err
    assert run("doctor").out.startswith("segmeter ")


def test_cgroup_quota_version_2(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a/b\n")
    (tmp_path / "fs" / "a" / "b").mkdir(parents=True)
    (tmp_path / "fs" / "a" / "b" / "cpu.max").write_text("max 100000\n")
    (tmp_path / "fs" / "a" / "cpu.max").write_text("150000 100000\n")
    assert _doctor.cgroup_quota(membership, tmp_path / "fs") == 1.5


def test_cgroup_quota_version_1(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("4:memory:/\n3:cpu,cpuacct:/box\n")
    group = tmp_path / "fs" / "cpu,cpuacct" / "box"
    group.mkdir(parents=True)
    (group / "cpu.cfs_period_us").write_text("100000\n")
    (group / "cpu.cfs_quota_us").write_text("-1\n")
    assert _doctor.cgroup_quota(membership, tmp_path / "fs") is None
    (group / "cpu.cfs_quota_us").write_text("250000\n")
    assert _doctor.cgroup_quota(membership, tmp_path / "fs") == 2.5


def test_no_cgroups_no_quota(tmp_path: Path) -> None:
    assert _doctor.cgroup_quota(tmp_path / "absent", tmp_path) is None


def test_openmp_libraries_are_found_in_the_memory_map() -> None:
    line = "7f00-7f01 r-xp 00000000 08:01 42    {}"
    paths = ["/a b/libgomp.so.1", "/a b/libgomp.so.1", "/x/libiomp5.so", "/x/libm.so.6"]
    maps = "\n".join([*map(line.format, paths), "7f00-7f01 rw-p 00000000 00:00 0"])
    assert _doctor.openmp_libraries(maps) == ["/a b/libgomp.so.1", "/x/libiomp5.so"]


@pytest.mark.parametrize("command", [[], ["evaluate"], ["check"], ["doctor"], ["demo"]])
def test_help(run: Callable[..., Run], command: list[str]) -> None:
    code, out, err = run(*command, "--help")
    assert (code, err) == (0, "")
    assert "Usage: segmeter" in out


def test_nothing_asked_is_help_and_wrong_usage(run: Callable[..., Run]) -> None:
    code, out, err = run()
    assert (code, err) == (2, "")
    assert "evaluate" in out


def test_every_option_has_a_help_text() -> None:
    import typer

    from segmeter.cli._application import app

    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help, name
        assert all(getattr(option, "help", None) for option in command.params), name


def test_version(run: Callable[..., Run]) -> None:
    assert run("--version") == (0, f"segmeter {segmeter.__version__}\n", "")


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "names", "labels"),
    [
        ("c.txt", "# classes\nroad\n\n car \n", ("road", "car"), (0, 1)),
        ("c.names", "road\ntraffic light\n", ("road", "traffic light"), (0, 1)),
        ("c.json", '["road", "car"]', ("road", "car"), (0, 1)),
        ("c.json", '{"7": "road", "26": "car"}', ("road", "car"), (7, 26)),
        ("c.json", '{"labels": {"car": 2, "road": 1}, "x": 1}', ("road", "car"), (1, 2)),
        ("c.toml", 'classes = ["road", "car"]', ("road", "car"), (0, 1)),
        ("c.toml", '[classes]\nroad = 0\n"traffic light" = 1', ("road", "traffic light"), (0, 1)),
    ],
)
def test_class_files(
    tmp_path: Path, name: str, content: str, names: tuple[str, ...], labels: tuple[int, ...]
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    classes = _values.classes(str(path))
    assert (classes.names, classes.labels) == (names, labels)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", "{", "cannot be read"),
        ("c.json", "3", "must hold a list of names"),
        ("c.toml", "[[classes]]\nname = 'road'", "must hold a list of names"),
        ("c.json", '{"tumour": [1, 2]}', "neither name: label nor label: name"),
        ("c.json", '{"road": 1, "car": 1}', "names label 1 twice"),
        ("c.toml", "road = = 1", "cannot be read"),
        ("c.txt", "\xff", "cannot be read"),
    ],
)
def test_bad_class_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=message) as caught:
        _values.classes(str(path))
    assert str(caught.value).startswith("--classes: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.txt", "255:1\n7:ignore\n"),
        ("m.json", '{"255": 1, "7": "ignore"}'),
        ("m.json", '{"255": 1, "7": null}'),
        ("m.toml", '[mapping]\n255 = 1\n7 = "ignore"'),
    ],
)
def test_mapping_files(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert _values.mapping(str(path), "--mapping") == {255: 1, 7: None}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", "0 0 0\tVoid\n128 64 0 Road\n"),
        ("t.csv", "0,0,0,Void\n128,64,0,Road\n"),
        ("t.json", "[[0, 0, 0], [128, 64, 0]]"),
        ("t.json", '{"0": [0, 0, 0], "road": [128, 64, 0]}'),
        ("t.toml", "[colors]\nvoid = [0, 0, 0]\nroad = [128, 64, 0]"),
    ],
)
def test_color_tables(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    table = _values.color_table(str(path), ["void", "road"])
    assert table == {(0, 0, 0): 0, (128, 64, 0): 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[0, 0]]", "not red, green, blue"),
        ("[[0, 0, 256]]", "not red, green, blue"),
        ("[[1, 1, 1], [1, 1, 1]]", "two labels"),
        ('{"car": [0, 0, 0]}', "neither a label nor a class name"),
        ("7", "must hold"),
    ],
)
def test_bad_color_tables(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        _values.color_table(str(path), ["road"])


def test_four_numbers_a_line_are_no_color(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("0 0 0 0\n1 128 64 0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="'0 0 0 0' has more than three numbers"):
        _values.color_table(str(path), ["road"])
