"""The tables of a result: widths, long names, absent classes, colours only in a terminal."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

import segmeter
from segmeter.report._text import printable, score_text, share_text
from segmeter.report.table import format_result, print_result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ESCAPE_SEQUENCE = re.compile("\x1b\\[[0-9;]*m")
LONG = [f"class {k} whose name goes on and on in 漢字 and never seems to end" for k in range(150)]


@pytest.fixture
def result(tmp_path: Path) -> segmeter.Result:
    """150 classes with long names, all of them present, some of them confused."""
    return evaluated(tmp_path, LONG, present=150)


def evaluated(folder: Path, names: Sequence[str], present: int) -> segmeter.Result:
    """Two images of the first ``present`` classes, 100 pixels each, class 0 half predicted as 1."""
    target = np.repeat(np.arange(present, dtype=np.uint8), 100)[np.newaxis]
    pred = target.copy()
    pred[0, :50] = 1
    for side, labels in (("pred", pred), ("target", target)):
        (folder / side).mkdir()
        for image in ("a", "b"):
            np.save(folder / side / f"an image with a long name, {image}.npy", labels)
    return segmeter.evaluate(folder / "pred", folder / "target", class_names=names)


def shown(result: segmeter.Result, width: int, encoding: str = "utf-8") -> str:
    """What a terminal of this width is sent."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(
        file=stream, width=width, force_terminal=True, color_system="standard", highlight=False
    )
    print_result(result, console)
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(result: segmeter.Result, width: int) -> None:
    lines = ESCAPE_SEQUENCE.sub("", shown(result, width)).splitlines()
    assert max(map(cell_len, lines)) <= width
    rows = [line for line in lines if line.startswith("class ")][1:]
    assert len(rows) == 150
    assert all(
        re.search(r" \d\.\d{4}( +█*.?)? +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} ", row) for row in rows
    )


def test_group_table_cuts_no_digit_off(tmp_path: Path) -> None:
    evaluated(tmp_path, ["a", "b", "c"], present=3)
    result = segmeter.evaluate(
        tmp_path / "pred",
        tmp_path / "target",
        num_classes=3,
        label_groups={"a group with a name": [0, 1]},
    )
    for width, columns in ((60, 4), (80, 5)):
        lines = ESCAPE_SEQUENCE.sub("", shown(result, width)).splitlines()
        row = next(line for line in lines if line.startswith("a group"))
        assert len(re.findall(r"\d\.\d{4}", row)) == columns
        assert max(map(cell_len, lines)) <= width


def test_names_are_shortened_in_a_terminal_only(result: segmeter.Result) -> None:
    assert "…" in shown(result, 80)
    text = format_result(result)
    assert "…" not in text
    assert all(name in text for name in LONG)


def test_a_printed_result_is_its_tables(
    result: segmeter.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(result) == format_result(result)
    monkeypatch.setitem(sys.modules, "segmeter.report.table", None)
    assert str(result) == repr(result)


def test_colors_and_bars_belong_to_terminals(result: segmeter.Result) -> None:
    terminal, text = shown(result, 120), format_result(result)
    assert ESCAPE_SEQUENCE.search(terminal)
    assert "█" in terminal
    assert not ESCAPE_SEQUENCE.search(text)
    assert "█" not in text


def test_bars_need_an_encoding_that_has_them(result: segmeter.Result) -> None:
    assert "█" not in shown(result, 120, "latin-1")


def test_score_decides_the_color(tmp_path: Path) -> None:
    text = shown(evaluated(tmp_path, ["half", "more", "all"], present=3), 80)
    colors = {
        name: re.search(rf"\n{name} *(?:\x1b\[0m)? *\x1b\[(\d+)m(\d\.\d+)", text)
        for name in ("half", "more", "all")
    }
    found = {name: match and match.groups() for name, match in colors.items()}
    assert found == {"half": ("33", "0.5000"), "more": ("33", "0.6667"), "all": ("32", "1.0000")}


def test_few_absent_classes_are_rows(tmp_path: Path) -> None:
    text = format_result(evaluated(tmp_path, [f"c{k}" for k in range(12)], present=3))
    assert sum(bool(re.match(r"c\d+ +–", line)) for line in text.splitlines()) == 9
    assert "mean of 3 " in text
    assert "– not defined (no such pixel), left out of means" in text


def test_many_absent_classes_are_one_line(tmp_path: Path) -> None:
    text = format_result(evaluated(tmp_path, [f"c{k}" for k in range(150)], present=3))
    assert "\nc3 " not in text
    names = ", ".join(f"c{k}" for k in range(3, 11))
    assert f"147 more are in neither target nor prediction: {names}, ...\n" in text


def test_no_image_no_table(tmp_path: Path) -> None:
    evaluated(tmp_path, ["a", "b"], present=2)
    for image in (tmp_path / "pred").iterdir():
        image.write_bytes(b"")
    result = segmeter.evaluate(tmp_path / "pred", tmp_path / "target", num_classes=2)
    text = format_result(result)
    assert text.startswith("0 images, 0 pixels counted, 0 ignored, 2 problems\n")
    assert "IoU" not in text


def test_void_predictions_are_reported(tmp_path: Path) -> None:
    evaluated(tmp_path, ["a", "b"], present=2)
    np.save(tmp_path / "pred" / "void.npy", np.array([[255, 255, 0, 1]], np.uint8))
    np.save(tmp_path / "target" / "void.npy", np.array([[0, 1, 0, 255]], np.uint8))
    result = segmeter.evaluate(
        tmp_path / "pred", tmp_path / "target", num_classes=2, ignore_index=255
    )
    assert format_result(result).startswith(
        "3 images, 403 pixels counted, 1 ignored (0.2 %), 2 predicted as void (0.5 %)\n"
    )
    assert [row["void"] for row in result.per_image] == [0, 0, 2]


def test_worst_images_name_their_lowest_class(tmp_path: Path) -> None:
    text = format_result(evaluated(tmp_path, ["half", "more", "all"], present=3))
    assert re.search(r"^an image with a long name, a +0\.7222 +0\.8333 +0\.5000 half$", text, re.M)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\u202eb", r"a\u202eb"),
        ("\udcff", r"\udcff"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_shares_and_scores_never_pretend() -> None:
    assert share_text(1, 10_000) == "<0.1 %"
    assert share_text(0, 10_000) == "0 %"
    assert score_text(float("nan")) == "–"


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_tables_of_instances_cut_no_digit_off(tmp_path: Path, width: int) -> None:
    ids = np.arange(1, 1601, dtype=np.uint16).reshape(40, 40).repeat(2, 0).repeat(2, 1)
    for side, labels in (("pred", np.roll(ids, 1, 0)), ("target", ids)):
        (tmp_path / side).mkdir()
        for name in ("a", "b"):
            np.save(tmp_path / side / f"an image with a long name, {name}.npy", labels)
    folders = tmp_path / "pred", tmp_path / "target"
    for result in (
        segmeter.evaluate(*folders, instances=True, measures=["region"]),
        segmeter.evaluate(*folders, protocol="stardist"),
    ):
        text = ESCAPE_SEQUENCE.sub("", shown(result, width))
        assert max(map(cell_len, text.splitlines())) <= width
        assert not re.search(r"\d…", text)
        wide = width == 160 and result.plan.instances
        assert ("more columns in --csv and --json" in text) != wide
    whole = format_result(result)  # no terminal
    assert max(map(cell_len, whole.splitlines()[:-3])) <= 120


def test_scores_at_many_thresholds_are_a_table(tmp_path: Path) -> None:
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", np.array([[1, 1, 0, 2]]))
    result = segmeter.evaluate(tmp_path / "pred", tmp_path / "target", protocol="stardist")
    lines = format_result(result).splitlines()
    heading = next(line for line in lines if line.startswith("score at IoU"))
    assert heading.split()[3:] == [f"0.{tenth}" for tenth in range(1, 10)]
    row = next(line for line in lines if line.startswith("panoptic quality"))
    assert row.split()[2:] == ["1.0000"] * 9
