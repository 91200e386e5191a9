"""Distances in an evaluation: numbers of the functions, spacing, tolerances, what is missing."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import segmeter
from label_files import save
from segmeter.cli import _values, main
from segmeter.evaluation import check, evaluate, make_plan
from segmeter.evaluation.measures import MEASURES, Maps
from segmeter.evaluation.measures._histogram import bins_of, ends_of
from segmeter.io import read_label_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

Array = np.ndarray[Any, Any]
NAMES = ["background", "organ", "tumour"]


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> Array:
    grid = np.ogrid[tuple(map(slice, shape))]
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def scene(shift: int = 0, *, tumour: bool = True, depth: int = 12) -> Array:
    shape = (depth, 20, 24)
    labels = np.zeros(shape, np.uint8)
    labels[ball(shape, (5, 10, 12 + shift), 5)] = 1
    if tumour:
        labels[ball(shape, (5, 10, 12), 2)] = 2
    return labels


def save_nifti(folder: Path, spacing: tuple[float, ...] | None = None, **maps: Array) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, labels in maps.items():
        image = nibabel.Nifti1Image(labels, np.diag([*(spacing or (1, 1, 1)), 1]))
        if spacing is None:
            image.header["pixdim"][1:4] = 0
        nibabel.save(image, folder / f"{name}.nii.gz")
    return folder


def save_png(folder: Path, **maps: Array) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, labels in maps.items():
        Image.fromarray(labels.astype(np.uint8)).save(folder / f"{name}.png")
    return folder


STEPS = (3.0, 0.5, 1.0)


@pytest.fixture
def volumes(tmp_path: Path) -> tuple[Path, Path]:
    """Three cases of different sizes: near, a missed tumour, an invented one."""
    preds = {"a": scene(1), "b": scene(tumour=False, depth=14), "c": scene(depth=15)}
    targets = {"a": scene(), "b": scene(depth=14), "c": scene(tumour=False, depth=15)}
    return (
        save_nifti(tmp_path / "pred", STEPS, **preds),
        save_nifti(tmp_path / "target", STEPS, **targets),
    )


OPTIONS: dict[str, Any] = {"class_names": NAMES, "measures": ["boundary"]}


# --- the numbers ------------------------------------------------------------------------------


def test_scores_are_those_of_the_functions(volumes: tuple[Path, Path]) -> None:
    result = evaluate(*volumes, **OPTIONS, tolerance=[0.5, 2])
    rows = {(row["id"], row["class"]): row for row in result.rows("boundary_per_image_per_class")}
    assert len(rows) == 9
    for name in "abc":
        pred, target = (read_label_map(folder / f"{name}.nii.gz") for folder in volumes)
        scores = segmeter.surface_scores(
            pred.labels, target.labels, num_classes=3, spacing=STEPS, tolerance=[0.5, 2]
        )
        for k, label in enumerate(NAMES[1:]):
            row = rows[name, label]
            wanted = [
                *(scores.hausdorff[k], scores.hausdorff_percentile[k, 0]),
                *(scores.assd[k], scores.masd[k], *scores.nsd[k]),
            ]
            assert [row[key] for key in KEYS] == wanted
        bands = segmeter.boundary_iou_counts(
            pred.labels, target.labels, num_classes=3, spacing=STEPS
        )
        ours = [rows[name, label]["boundary_iou"] for label in NAMES[1:]]
        assert ours == segmeter.boundary_iou(bands)[1:].tolist()
        assert all(math.isnan(rows[name, "background"][key]) for key in KEYS)


KEYS = ["hd", "hd95", "assd", "masd", "nsd_at_0.5", "nsd_at_2"]


def test_means_leave_out_what_is_infinite_and_say_so(volumes: tuple[Path, Path]) -> None:
    result = evaluate(*volumes, **OPTIONS, tolerance=[0.5, 2])
    crossed = result.rows("boundary_per_image_per_class")
    organ, tumour = result.rows("boundary_per_class")[1:]
    assert [organ[name] for name in ("images", "missed", "invented")] == [3, 0, 0]
    assert [tumour[name] for name in ("images", "missed", "invented")] == [3, 1, 1]
    assert [tumour[f"hd95_{name}"] for name in ("infinite", "undefined")] == [2, 0]
    mean = np.mean([row["hd95"] for row in crossed if row["class"] == "organ"])
    assert organ["hd95_per_image"] == pytest.approx(mean, rel=1e-15)
    assert tumour["hd95_per_image"] == 0  # of the one image that both have
    assert tumour["nsd_at_2_per_image"] == pytest.approx(1 / 3)  # missed surfaces count as 0
    by_class = result.scores["mean_hd95_per_class_per_image"]
    assert by_class == pytest.approx((organ["hd95_per_image"] + 0) / 2)
    assert result.scores_over["mean_hd95_per_class_per_image"] == {
        "over": 2, "undefined": 1, "cases": 4, "infinite_cases": 2, "undefined_cases": 0,
    }  # fmt: skip
    assert result.scores_over["mean_hd95_per_image"]["over"] == 3
    images = {row["id"]: row for row in result.per_image}
    assert [images["b"][f"surfaces_{name}"] for name in ("missed", "invented")] == [1, 0]
    assert [images["c"][f"surfaces_{name}"] for name in ("missed", "invented")] == [0, 1]
    worst = [row["hd"] for row in result.worst(3, by="hd")]
    assert worst == sorted(worst, reverse=True)
    assert result.worst(1)[0]["nsd_at_0.5"] == min(row["nsd_at_0.5"] for row in result.per_image)
    (remark,) = result.to_dict()["remarks"]
    assert remark.startswith("1 missed and 1 invented surfaces")
    assert "2 of 6 HD95 are not finite" in remark


def test_surface_dice_of_the_data_set_is_of_all_surfaces(volumes: tuple[Path, Path]) -> None:
    result = evaluate(*volumes, **OPTIONS, tolerance=2)
    counts = sum(
        segmeter.boundary_counts(
            *(read_label_map(folder / f"{name}.nii.gz").labels for folder in volumes),
            num_classes=3,
            spacing=STEPS,
            tolerance=2.0,
        )
        for name in "abc"
    )
    ours = [row["nsd_at_2"] for row in result.rows("boundary_per_class")[1:]]
    np.testing.assert_allclose(ours, segmeter.dataset_nsd(counts)[:, 0], rtol=1e-14)
    assert result.scores["mean_nsd_at_2"] == pytest.approx(np.mean(ours))
    bands = sum(
        segmeter.boundary_iou_counts(
            *(read_label_map(folder / f"{name}.nii.gz").labels for folder in volumes),
            num_classes=3,
            spacing=STEPS,
        )
        for name in "abc"
    )
    ours = [row["boundary_iou"] for row in result.rows("boundary_per_class")[1:]]
    assert ours == segmeter.boundary_iou(bands)[1:].tolist()


def test_infinite_is_text_in_json_and_csv(volumes: tuple[Path, Path], tmp_path: Path) -> None:
    pred, target = (folder / "b.nii.gz" for folder in volumes)
    both = {"class_names": ["organ", "x", "tumour"], "measures": ["boundary"]}
    result = evaluate(pred, target, **both)  # class 0 is no background here
    result.to_csv(tmp_path / "cases.csv", "boundary_per_image_per_class")
    with (tmp_path / "cases.csv").open() as stream:
        cells = [row["hd95"] for row in csv.DictReader(stream)]
    assert cells[2] == "inf"
    assert float(cells[0]) == result.rows("boundary_per_image_per_class")[0]["hd95"]
    row = json.loads(result.to_json())["boundary_per_class"][2]
    assert row["hd95_per_image"] is None
    assert row["hd95_infinite"] == 1


def test_groups(volumes: tuple[Path, Path]) -> None:
    groups = {"whole": ["organ", "tumour"], "core": [2]}
    result = evaluate(*volumes, **OPTIONS, label_groups=groups)
    whole, core = result.rows("boundary_per_group")
    tumour = result.rows("boundary_per_class")[2]
    assert {**core, "class": "tumour", "index": 2} == pytest.approx(
        {**tumour, "group": "core"}, nan_ok=True
    )
    cases = result.rows("boundary_per_image_per_group")
    assert [row["group"] for row in cases] == ["whole", "core"] * 3
    for name, row in zip("abc", cases[::2], strict=True):
        maps = (read_label_map(folder / f"{name}.nii.gz").labels > 0 for folder in volumes)
        assert row["assd"] == segmeter.assd(*maps, spacing=STEPS)
    assert whole["missed"] == 0
    assert result.scores_over["mean_hd_per_image"]["cases"] == 4  # groups are no classes


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(volumes: tuple[Path, Path], threads: int) -> None:
    alone = evaluate(*volumes, **OPTIONS, threads=1)
    assert evaluate(*volumes, **OPTIONS, threads=threads).to_json() == alone.to_json()


def test_ignored_and_mapped_labels(tmp_path: Path) -> None:
    pred, target = scene(1), scene()
    stored = np.where(target == 2, 9, target)
    stored[:, :4] = 255
    folders = save(tmp_path / "p", a=np.where(pred == 2, 9, pred)), save(tmp_path / "t", a=stored)
    result = evaluate(
        *folders, class_names=NAMES, mapping={0: 0, 1: 1, 9: 2}, ignore_index=255,
        measures=["boundary"], spacing=STEPS, preset="monai",
    )  # fmt: skip
    scores = segmeter.surface_scores(
        pred, target, num_classes=3, ignore_index=stored == 255, spacing=STEPS, preset="monai"
    )
    ours = result.columns("boundary_per_class")["assd_per_image"][1:]
    np.testing.assert_array_equal(ours, scores.assd)


def test_classes_out_of_range_and_void(tmp_path: Path) -> None:
    target = np.zeros((9, 9), np.uint8)
    target[2:7, 2:7] = 1
    pred = np.where(target == 1, 1, 7)
    folders = save(tmp_path / "p", a=pred), save(tmp_path / "t", a=target)
    result = evaluate(*folders, num_classes=2, measures=["boundary"], out_of_range="wrong")
    assert result.rows("boundary_per_class")[1]["hd_per_image"] == 0  # 7 is nobody's
    assert evaluate(*folders, num_classes=2, measures=["boundary"]).problems[0]["kind"] == "labels"


def test_binary_masks_and_instances_are_foregrounds(tmp_path: Path) -> None:
    pred, target = scene(1) > 0, scene() > 0
    folders = (
        save(tmp_path / "p", a=pred.astype(np.uint8) * 255),
        save(tmp_path / "t", a=target.astype(np.uint8)),
    )
    expected = segmeter.hausdorff_distance(pred, target, percentile=95)
    for options in ({"protocol": "binary"}, {"instances": True}):
        result = evaluate(
            *folders, measures=["region", "boundary"][-1 - ("instances" in options) :],
            spacing="pixel", **options,
        )  # fmt: skip
        rows = result.rows("boundary_per_class")
        assert rows[1]["hd95_per_image"] == expected
        assert rows[0]["images"] == 0


# --- spacing ----------------------------------------------------------------------------------


def hd(result: Any) -> float:
    assert result.problems == [] or {row["level"] for row in result.problems} == {"warning"}
    return float(result.rows("boundary_per_class")[1]["hd_per_image"])


def test_spacing_comes_from_the_files_or_from_the_user(tmp_path: Path) -> None:
    pred, target = save_nifti(tmp_path / "p", STEPS, a=scene(2)), None
    target = save_nifti(tmp_path / "t", STEPS, a=scene())
    auto = hd(evaluate(pred, target, **OPTIONS))
    assert auto == hd(evaluate(pred, target, **OPTIONS, spacing=STEPS))
    doubled = [2 * step for step in STEPS]
    assert hd(evaluate(pred, target, **OPTIONS, spacing=np.array(doubled))) == 2 * auto
    assert hd(evaluate(pred, target, **OPTIONS, spacing="pixel")) == 2
    bare = save(tmp_path / "bare", a=scene())
    assert hd(evaluate(pred, bare, **OPTIONS)) == auto  # the prediction's


def test_the_targets_spacing_holds_where_both_differ(tmp_path: Path) -> None:
    pred = save_nifti(tmp_path / "p", (9.0, 9.0, 9.0), a=scene(2))
    target = save_nifti(tmp_path / "t", STEPS, a=scene())
    result = evaluate(pred, target, **OPTIONS)
    assert hd(result) == hd(evaluate(pred, target, **OPTIONS, spacing=STEPS))
    assert "distances by the target's spacing" in result.problems[0]["message"]
    found = {finding.code: finding for finding in check(pred, target, **OPTIONS).findings}
    assert "distances are by the spacing of the targets" in found["spacing"].remedy


@pytest.mark.parametrize("write", [save, save_nifti])
def test_volumes_without_spacing_are_a_problem(
    tmp_path: Path, write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = write(tmp_path / "p", a=scene(1)), write(tmp_path / "t", a=scene())
    result = evaluate(*folders, **OPTIONS)
    assert (result.exit_code, result.num_images) == (3, 0)
    assert "no file says the spacing of this volume" in result.problems[0]["message"]
    assert evaluate(*folders, **OPTIONS, spacing="pixel").exit_code == 0
    found = {finding.code: finding for finding in check(*folders, **OPTIONS).findings}
    assert found["no-spacing"].level == "error"
    places = ["--pred", str(folders[0]), "--target", str(folders[1]), "--classes", ",".join(NAMES)]
    assert main(["evaluate", *places, "--measures", "boundary"]) == 3
    out = capsys.readouterr().out
    assert "--spacing pixel" in out
    assert main(["evaluate", *places, "--measures", "boundary", "--spacing", "pixel"]) == 0


def test_images_without_spacing_are_measured_in_pixels(tmp_path: Path) -> None:
    flat = {"a": scene(2)[5], "b": scene()[4]}
    folders = save_png(tmp_path / "p", **flat), save_png(tmp_path / "t", a=scene()[5], b=flat["b"])
    result = evaluate(*folders, **OPTIONS)
    assert result.rows("boundary_per_class")[1]["hd_per_image"] == 1  # 2 pixels and 0
    assert "surfaces (pixels)" in str(result)
    report = check(*folders, **OPTIONS)
    assert [(finding.level, finding.code) for finding in report.findings] == [
        ("info", "pixel-units")
    ]


def test_mixed_units_are_told(tmp_path: Path) -> None:
    flat = scene(1)[5]
    pred, target = tmp_path / "p", tmp_path / "t"
    for folder in (pred, target):
        save_png(folder, a=flat)
        folder_map = nibabel.Nifti1Image(flat, np.diag([0.5, 0.5, 1, 1]))
        nibabel.save(folder_map, folder / "b.nii.gz")
    result = evaluate(pred, target, **OPTIONS)
    assert any("means and percentiles mix both" in line for line in result.to_dict()["remarks"])
    assert "surfaces " in str(result)
    codes = {finding.code for finding in check(pred, target, **OPTIONS).findings}
    assert "mixed-units" in codes
    again = evaluate(pred, target, **OPTIONS, spacing=[1, 1])
    assert again.to_dict()["remarks"] == []


def test_a_spacing_of_other_axes_is_a_problem_of_the_image(volumes: tuple[Path, Path]) -> None:
    result = evaluate(*volumes, **OPTIONS, spacing=[1, 1])
    assert {row["kind"] for row in result.problems} == {"measure"}
    assert "spacing has 2 numbers, the image 3 axes" in result.problems[0]["message"]
    codes = {finding.code for finding in check(*volumes, **OPTIONS, spacing=[1, 1]).findings}
    assert "spacing-axes" in codes
    codes = {finding.code for finding in check(*volumes, **OPTIONS, spacing=[1, 1, 1]).findings}
    assert "spacing-given" in codes
    assert "spacing-given" not in {
        finding.code for finding in check(*volumes, **OPTIONS, spacing=STEPS).findings
    }


def test_bad_files_and_sizes_are_rows(volumes: tuple[Path, Path]) -> None:
    pred, target = volumes
    (pred / "a.nii.gz").write_bytes((pred / "a.nii.gz").read_bytes()[:200])
    save_nifti(pred, STEPS, b=scene(depth=13))
    save(pred, d=np.zeros((4,), np.uint8))
    save(target, d=np.zeros((4,), np.uint8))
    result = evaluate(pred, target, **OPTIONS)
    assert {row["id"]: row["kind"] for row in result.problems} == {
        "a": "unreadable", "b": "shape", "d": "measure",
    }  # fmt: skip
    assert result.num_images == 1
    assert "got 1 axes" in next(row["message"] for row in result.problems if row["id"] == "d")


def test_images_of_other_sizes(tmp_path: Path) -> None:
    sizes = {"a": (1, 1), "b": (3, 200), "c": (64, 5)}
    maps = {name: np.ones(size, np.uint8) for name, size in sizes.items()}
    folders = save_png(tmp_path / "p", **maps), save_png(tmp_path / "t", **maps)
    result = evaluate(*folders, num_classes=2, measures=["boundary"])
    assert result.exit_code == 0
    assert result.rows("boundary_per_class")[1]["hd_per_image"] == 0
    empty = save_png(tmp_path / "e", **{name: labels * 0 for name, labels in maps.items()})
    result = evaluate(empty, folders[1], num_classes=2, measures=["boundary"])
    assert result.rows("boundary_per_class")[1]["missed"] == 3
    assert math.isnan(result.scores["mean_hd_per_image"])
    assert {row["hd"] for row in result.rows("per_image")} == {math.inf}
    json.loads(result.to_json(), parse_constant=pytest.fail)
    both = evaluate(empty, empty, num_classes=2, measures=["boundary"])
    assert both.rows("boundary_per_class")[1]["images"] == 0


# --- options ----------------------------------------------------------------------------------


def test_tolerance_of_each_class(volumes: tuple[Path, Path]) -> None:
    one = evaluate(*volumes, **OPTIONS, tolerance={"organ": 0.5, "tumour": 2})
    wide = evaluate(*volumes, **OPTIONS, tolerance=[0.5, 2])
    organ, tumour = one.rows("boundary_per_class")[1:]
    known = wide.rows("boundary_per_class")
    assert organ["nsd"] == known[1]["nsd_at_0.5"]
    assert tumour["nsd"] == known[2]["nsd_at_2"]
    assert one.plan.to_dict()["tolerance_of_class"] == {"organ": 0.5, "tumour": 2.0}
    grouped = evaluate(
        *volumes, **OPTIONS, label_groups={"all": [1, 2]},
        tolerance={"organ": 1, "tumour": 1, "all": 3},
    )  # fmt: skip
    assert (
        grouped.rows("boundary_per_group")[0]["nsd"] > grouped.rows("boundary_per_class")[1]["nsd"]
    )


@pytest.mark.parametrize("preset", ["deepmind", "monai", "medpy", "panoptica", "seg_metrics"])
def test_presets(volumes: tuple[Path, Path], preset: str) -> None:
    result = evaluate(*volumes, **OPTIONS, preset=preset)
    assert result.exit_code == 0  # also where the tool raises for a missing surface
    pred, target = (read_label_map(folder / "a.nii.gz").labels for folder in volumes)
    row = result.rows("boundary_per_image_per_class")[1]
    scores = segmeter.surface_scores(pred == 1, target == 1, spacing=STEPS, preset=preset)
    assert [row["hd95"], row["assd"]] == [scores.hausdorff_percentile[0, 0], scores.assd[0]]
    assert any(f"as {preset} has them" in line for line in result.plan.describe())
    tumour = result.rows("boundary_per_class")[2]
    if preset == "monai":  # its HD95 of a missed surface is NaN
        assert (tumour["hd95_undefined"], tumour["hd_infinite"]) == (2, 2)
    elif preset == "seg_metrics":  # perfect there
        assert (tumour["hd95_infinite"], tumour["hd95_per_image"]) == (0, 0)
    else:
        assert tumour["hd95_infinite"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": [1, 0, 1]}, "finite numbers above 0, got 0"),
        ({"spacing": [1, -2, 1]}, "above 0"),
        ({"spacing": [1, math.nan, 1]}, "above 0"),
        ({"spacing": [1, math.inf]}, "finite"),
        ({"spacing": [1, 1e-200]}, "between 1e-100 and 1e\\+100, got 1e-200"),
        ({"spacing": [1]}, "two or three numbers"),
        ({"spacing": "mm"}, "'auto', 'pixel'"),
        ({"tolerance": -1}, "from 0 on"),
        ({"tolerance": math.inf}, "finite"),
        ({"tolerance": []}, "empty"),
        ({"tolerance": [1, 1.0]}, "twice"),
        ({"tolerance": {"organ": 1}}, "tumour missing"),
        ({"tolerance": {"organ": 1, "tumour": 1, "bone": 1}}, "'bone', which is not measured"),
        ({"tolerance": {"background": 1}}, "'background', which is not measured"),
        ({"tolerance": 1, "tolerance_unit": "cm"}, "tolerance_unit must be 'mm' or 'pixel'"),
        ({"tolerance_unit": "mm"}, "tolerance_unit is the unit of tolerance, which is not given"),
        ({"tolerance": 1, "tolerance_unit": "mm", "spacing": "pixel"}, "leave out one of them"),
        ({"tolerance": 1, "tolerance_unit": "pixel", "spacing": [1, 1]}, "in the unit of the spac"),
        ({"preset": "none"}, "preset must be one of deepmind"),
        ({"measures": ["pixel"], "spacing": [1, 1]}, "spacing is for boundaries and causes"),
        ({"measures": ["region"], "tolerance": 1}, "tolerance is for boundaries"),
        ({"measures": ["pixel"], "preset": "monai"}, "preset is for boundaries"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_plan(**(OPTIONS | options))


@pytest.mark.parametrize(
    "options",
    [{"spacing": 1.0}, {"spacing": [True, 1]}, {"tolerance": "1"}, {"tolerance": True}],
)
def test_options_of_wrong_type(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        make_plan(**(OPTIONS | options))


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """Two images whose files say no spacing."""
    target = np.zeros((30, 30), np.uint8)
    target[5:20, 5:20] = 1
    for side, mask in (("pred", np.roll(target, 2, axis=0)), ("target", target)):
        (tmp_path / side).mkdir()
        for name in "ab":
            Image.fromarray(mask).save(tmp_path / side / f"{name}.png")
    return tmp_path / "pred", tmp_path / "target"


def command(folders: tuple[Path, Path], *options: str) -> list[str]:
    files = ["--pred", str(folders[0]), "--target", str(folders[1]), "--num-classes", "3"]
    return [*files, "--measures", "boundary", *options]


@pytest.mark.parametrize(
    ("text", "values", "unit"),
    [
        ("1,2mm", (1, 2), "mm"),
        ("1mm, 2 mm", (1, 2), "mm"),
        (" 0.5 MM ,2", (0.5, 2), "mm"),
        ("2px", (2,), "pixel"),
        ("1,2 pixels", (1, 2), "pixel"),
        ("1.5voxel", (1.5,), "pixel"),
        ("1e1", (10,), None),
        ("1=2,2=3px", {"1": 2, "2": 3}, "pixel"),
    ],
)
def test_units_of_tolerances_are_read(text: str, values: Any, unit: str | None) -> None:
    read, own = _values.tolerance(text)
    assert (tuple(read) if isinstance(read, list) else read, own) == (values, unit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1mm,2px", "--tolerance: mm and px are two units; give all in one"),
        ("1cm", "--tolerance: '1cm' is no number (expected for example 1,2 or 1,2mm or 2px"),
        ("mm", "--tolerance: 'mm' is no number"),
        ("", "--tolerance: '' is no number"),
        ("1,,2", "--tolerance: '' is no number"),
        ("1;2", "--tolerance: '1;2' is no number"),
        ("inf", "--tolerance must be a finite distance from 0 on, got inf"),
        ("nan", "--tolerance must be a finite distance from 0 on, got nan"),
        ("-1mm", "--tolerance must be a finite distance from 0 on, got -1"),
        ("1,1.0mm", "--tolerance holds a distance twice: 1, 1"),
        ("1=,2=1", "--tolerance: '' is no number"),
        ("=1", "--tolerance: '=1' is not CLASS=distance"),
        ("1=1,1=2", "--tolerance: the class '1' is named twice"),
        ("1=1", "--tolerance must be given for every class that is measured; 2 missing"),
    ],
)
def test_tolerances_that_are_none(
    pictures: tuple[Path, Path], text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *command(pictures, "--tolerance", text)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_tolerance_in_mm_of_images_in_pixels_is_a_problem(
    pictures: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *command(pictures, "--tolerance", "1,2mm", "--quiet")]) == 3
    said = capsys.readouterr().err
    assert "2 of 2 images could not be evaluated" in said
    assert "tolerance is in mm, but no file says the spacing of this image: give it with " in said
    assert "--spacing, or the tolerance in pixels" in said
    for options in (("2px",), ("2",), ("2mm", "--spacing", "0.5,0.5")):
        assert main(["evaluate", *command(pictures, "--quiet", "--tolerance", *options)]) == 0
    assert main(["evaluate", *command(pictures, "--spacing", "pixel", "--tolerance", "1mm")]) == 2
    said = capsys.readouterr().err
    assert "--tolerance is in mm, but --spacing pixel measures in pixels" in said
    findings = check(*pictures, num_classes=3, measures=["boundary"], tolerance=1,
                     tolerance_unit="mm").findings  # fmt: skip
    (found,) = [finding for finding in findings if finding.code == "tolerance-unit"]
    assert found.level == "error"
    assert "--tolerance is in mm, but no file says the spacing of " in found.message
    assert "pixel-units" not in [finding.code for finding in findings]
    said = make_plan(**OPTIONS, tolerance=1, tolerance_unit="mm").describe()
    assert any("is not measured, as the tolerance is in mm" in line for line in said)


def test_a_tolerance_in_pixels_of_volumes_in_mm_is_a_problem(
    volumes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *command(volumes, "--tolerance", "2px", "--quiet")]) == 3
    said = capsys.readouterr().err
    assert "tolerance is in pixels, but distances are in mm" in said
    assert "measure with --spacing pixel" in said
    assert main(["evaluate", *command(volumes, "--tolerance", "2px", "--spacing", "pixel")]) == 0
    assert "tolerance of the surface Dice (NSD): 2, in pixels" in capsys.readouterr().out
    assert main(["evaluate", *command(volumes, "--tolerance", "1,2mm")]) == 0
    assert "tolerance of the surface Dice (NSD): 1, 2, in mm" in capsys.readouterr().out
    options: dict[str, Any] = {"num_classes": 3, "measures": ["boundary"], "tolerance": [1, 2]}
    report = check(*volumes, **options, tolerance_unit="pixel")
    assert "tolerance-unit" in [finding.code for finding in report.findings]
    del options["num_classes"]  # which it finds, and says with the other options
    report = check(*volumes, **options, tolerance_unit="mm")
    assert "tolerance-unit" not in [finding.code for finding in report.findings]
    assert "--tolerance 1,2mm" in str(report.command)


def test_plans_differ_where_numbers_do() -> None:
    changes: list[dict[str, Any]] = [
        *(
            {},
            {"spacing": "pixel"},
            {"spacing": [1, 1, 1]},
            {"tolerance": 2},
            {"tolerance": [2, 1]},
        ),
        *({"tolerance": {"organ": 1, "tumour": 1}}, {"preset": "deepmind"}),
        {"tolerance": 1, "tolerance_unit": "mm"},
    ]
    hashes = [make_plan(**OPTIONS, **change).hash() for change in changes]
    assert len(set(hashes)) == len(hashes)
    assert make_plan(**OPTIONS, spacing="auto", tolerance=1).hash() == hashes[0]


def test_classes_that_have_surfaces() -> None:
    nameless = make_plan(num_classes=2, measures=["boundary"])
    assert "surfaces: of every class but 0" in nameless.describe()
    named = make_plan(class_names=["road", "car"], measures=["boundary"])
    assert "surfaces: of every class" in named.describe()


def test_counts_add_up_and_are_stored() -> None:
    plan = make_plan(**OPTIONS, preset="monai")  # whose points count 1: sums are exact
    measure = MEASURES["boundary"]
    maps = [Maps(scene(k), scene(), None, STEPS, 1) for k in range(3)]
    parts = [measure.count(each, plan) for each in maps]
    whole = sum(parts, measure.empty(plan))
    assert whole == parts[0] + (parts[1] + parts[2])
    assert whole != parts[0]
    assert set(whole.to_arrays()) >= {"total", "finite", "infinite", "near", "area"}
    assert whole.to_arrays()["in_mm"] == 3
    wider = measure.count(maps[0], make_plan(**OPTIONS, tolerance=[1, 2]))
    with pytest.raises(ValueError, match="same classes, tolerances and rules"):
        _ = whole + wider


# --- the command line -------------------------------------------------------------------------


def test_command_line(
    volumes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--pred", str(volumes[0]), "--target", str(volumes[1]), "--classes", ",".join(NAMES)]
    options = ["--measures", "pixel,boundary", "--tolerance", "0.5, 2mm", "--preset", "deepmind"]
    files = ["--json", str(tmp_path / "r.json"), "--csv", str(tmp_path / "csv")]
    assert main(["evaluate", *places, *options, *files]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("surfaces (mm)"))
    assert line.split() == [
        *("surfaces", "(mm)", "HD", "HD95", "ASSD", "MASD", "boundary", "IoU", "NSD", "at", "0.5"),
        *("NSD", "at", "2", "images", "missed", "invented"),
    ]
    assert "1 missed and 1 invented surfaces" in out
    python = evaluate(
        *volumes, class_names=NAMES, measures=["pixel", "boundary"], tolerance=[0.5, 2],
        preset="deepmind",
    )  # fmt: skip
    assert (
        json.loads((tmp_path / "r.json").read_text())["scores"]
        == json.loads(python.to_json())["scores"]
    )
    assert {path.name for path in (tmp_path / "csv").iterdir()} >= {
        "boundary_per_class.csv", "boundary_per_image_per_class.csv",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "code", "message"),
    [
        (["--fail-over", "hd95_per_image:organ=5"], 0, ""),
        (["--fail-over", "hd95_per_image:organ=0.1"], 1, "above 0.1"),
        (["--fail-over", "mean_hd95_per_image=50"], 1, "is infinite in some image, above 50"),
        (["--fail-under", "mean_nsd_at_1=0.1"], 0, ""),
        (["--fail-under", "nsd_at_1_per_image:tumour=0.5"], 1, "below 0.5"),
        (["--fail-under", "mean_hd95_per_image=1"], 2, "is a distance, the smaller the better"),
        (["--fail-over", "mean_nsd_at_1=1"], 2, "is no distance; --fail-under"),
        (["--fail-over", "hd95=1"], 2, "there is no score 'hd95'"),
        (["--fail-over", "hd95"], 2, "is not DISTANCE=number"),
    ],
)
def test_gates(
    volumes: tuple[Path, Path],
    gate: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = ["--pred", str(volumes[0]), "--target", str(volumes[1]), "--classes", ",".join(NAMES)]
    assert main(["evaluate", *places, "--measures", "boundary", "-q", *gate]) == code
    assert message in capsys.readouterr().err


def test_help_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    words = capsys.readouterr().out.replace("│", " ").replace(",", " ").replace(".", " ").split()
    assert set(segmeter.SURFACE_PRESETS) <= set(words)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--spacing", "3,x"], "--spacing: 'x' is no number"),
        (["--spacing", "3"], "--spacing must have two or three numbers"),
        (["--spacing", "0,1"], "--spacing must be finite numbers above 0"),
        (["--tolerance", "1,,2"], "--tolerance: '' is no number"),
        (["--tolerance", "=1"], "is not CLASS=distance"),
        (["--tolerance", "organ=1,organ=2"], "the class 'organ' is named twice"),
        (["--tolerance", "organ=1"], "--tolerance must be given for every class"),
        (["--tolerance", "-1"], "--tolerance must be a finite distance"),
        (["--preset", "x"], "--preset must be one of"),
    ],
)
def test_wrong_options_on_the_command_line(
    volumes: tuple[Path, Path],
    option: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = ["--pred", str(volumes[0]), "--target", str(volumes[1]), "--classes", ",".join(NAMES)]
    assert main(["evaluate", *places, "--measures", "boundary", *option]) == 2
    assert message in capsys.readouterr().err


# --- real data --------------------------------------------------------------------------------


def cropped(folder: Path, name: str, *paths: Path, label: int = 1) -> list[Path]:
    """Copies of two volumes cut to a label of either and a margin, since the peer is slow."""
    files = [nibabel.load(path) for path in paths]
    maps = [np.asarray(file.dataobj).astype(np.uint8) for file in files]
    inside = np.nonzero((maps[0] == label) | (maps[1] == label))
    box = tuple(slice(max(0, axis.min() - 2), axis.max() + 3) for axis in inside)
    places = [folder / side / f"{name}.nii.gz" for side in ("pred", "target")]
    for place, labels, file in zip(places, maps, files, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(labels[box], file.affine), place)
    return places


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
def test_two_annotators_of_kidney_tumours(
    shared: Path, tmp_path: Path, peer: Callable[[str], ModuleType]
) -> None:
    deepmind = peer("surface_distance")
    for case in (shared / "data" / "kits23_annotators").iterdir():
        paths = (case / f"tumor_instance-1_annotation-{k}.nii.gz" for k in (1, 2))
        cropped(tmp_path, case.name, *paths)
    result = evaluate(
        tmp_path / "pred", tmp_path / "target", protocol="binary", measures=["boundary"],
        tolerance=[1, 2], preset="deepmind",
    )  # fmt: skip
    assert (result.exit_code, result.num_images) == (0, 3)
    rows = [r for r in result.rows("boundary_per_image_per_class") if r["class"] == "foreground"]
    for record, row in zip(result.totals.images, rows, strict=True):
        pred, target = read_label_map(record.pair.pred), read_label_map(record.pair.target)
        assert target.spacing is not None
        assert max(target.spacing) > 2 * min(target.spacing)
        theirs = deepmind.compute_surface_distances(
            target.labels > 0, pred.labels > 0, target.spacing
        )
        assert row["hd95"] == deepmind.compute_robust_hausdorff(theirs, 95)
        assert row["hd"] == deepmind.compute_robust_hausdorff(theirs, 100)
        for tolerance in (1, 2):
            dice = deepmind.compute_surface_dice_at_tolerance(theirs, tolerance)
            assert row[f"nsd_at_{tolerance}"] == pytest.approx(dice, rel=1e-12)


def test_hippocampus_and_a_shifted_copy(shared: Path, tmp_path: Path) -> None:
    paths = sorted((shared / "data" / "hippocampus" / "labels").glob("*.nii.gz"))[:8]
    (tmp_path / "pred").mkdir()
    for path in paths:
        stored = nibabel.load(path)
        moved = np.roll(np.asarray(stored.dataobj).astype(np.uint8), 1, axis=0)
        nibabel.save(nibabel.Nifti1Image(moved, stored.affine), tmp_path / "pred" / path.name)
    result = evaluate(
        tmp_path / "pred", list(map(str, paths)),
        class_names=["background", "anterior", "posterior"], measures=["pixel", "boundary"],
    )  # fmt: skip
    assert (result.exit_code, result.num_images) == (0, 8)
    for row in result.rows("boundary_per_class")[1:]:
        assert row["images"] == 8
        assert 0 < row["assd_per_image"] < row["hd95_per_image"] <= 1 == row["hd_per_image"]
        assert row["nsd_at_1"] == 1


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
def test_knee(shared: Path, tmp_path: Path, peer: Callable[[str], ModuleType]) -> None:
    deepmind = peer("surface_distance")
    folder = shared / "data" / "distorch_knee"
    names = "9996098.nii.gz", "9996098_R_segmentation.nii.gz"
    files = cropped(tmp_path, "knee", *(folder / name for name in names), label=4)
    result = evaluate(*files, num_classes=5, measures=["boundary"], tolerance=0.5)
    assert result.exit_code == 0
    pred, target = map(read_label_map, files)
    theirs = deepmind.compute_surface_distances(
        target.labels == 4, pred.labels == 4, target.spacing
    )
    row = result.rows("boundary_per_class")[4]
    assert row["hd95_per_image"] == deepmind.compute_robust_hausdorff(theirs, 95)
    dice = deepmind.compute_surface_dice_at_tolerance(theirs, 0.5)
    assert row["nsd_at_0.5"] == pytest.approx(dice, rel=1e-12)


# --- distances of all images together ---------------------------------------------------------

PERCENTILES = (50, 75, 90, 95, 99)


def rounded_up(distance: float) -> float:
    """The distance if it has four significant digits, up to rounding, else the next that has."""
    near = float(f"{distance:.4g}")
    if near >= distance * (1 - 1e-12):
        return near
    return float(f"{near + 10 ** (math.floor(math.log10(near)) - 3):.4g}")


@given(
    st.one_of(
        st.floats(1e-99, 1e99),
        st.floats(1e-4, 1e5),
        st.builds(
            lambda digits, power: float(f"{digits}e{power}"),
            st.integers(1, 99_999),
            st.integers(-20, 18),
        ),
    )
)
@example(1.0)
@example(0.3)
@example(3 * 0.1)
@example(9999.5)
@example(0.99995)
@example(math.nextafter(1000, 0))
@example(math.nextafter(1000, 2000))
@example(1.126 * (1 + 1e-13))
@example(1.126 * (1 + 2e-12))
def test_bins_end_at_four_significant_digits(distance: float) -> None:
    bins = bins_of(np.array([distance, 0.0]))
    end, nothing = ends_of(bins)
    assert nothing == 0
    assert end == pytest.approx(rounded_up(distance), rel=1e-15)
    if 1e-18 < distance < 1e22:  # where powers of ten are exact, ends are the floats as written
        assert end == rounded_up(distance)
    assert (1 - 1e-12) * distance <= end <= 1.001 * distance


def pooled_percentile(sides: list[tuple[Any, Any]], percentile: float) -> float:
    """Smallest distance within which that share of the weight lies, from all distances."""
    values = np.concatenate([values for values, _ in sides])
    weights = np.concatenate([weight for _, weight in sides])
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    share = percentile / 100 * summed[-1] * (1 - 1e-12)
    return float(values[order][np.searchsorted(summed, share)])


@pytest.mark.parametrize("unit", [1, 1e-3, 1e-6, 1e5])
@pytest.mark.parametrize("preset", [None, "monai", "panoptica", "distorch", "meshmetrics"])
def test_percentiles_of_all_images_are_those_of_all_distances(
    volumes: tuple[Path, Path], preset: str | None, unit: float
) -> None:
    """Worked out from the distances themselves; as fine in metres as in micrometres."""
    groups = {"both": [1, 2]}
    steps = tuple(unit * step for step in STEPS)
    result = evaluate(*volumes, **OPTIONS, preset=preset, label_groups=groups, spacing=steps)
    rows = [*result.rows("boundary_per_class")[1:], *result.rows("boundary_per_group")]
    curves = result.rows("boundary_nsd_curve")
    rules = segmeter.SURFACE_PRESETS[preset or "deepmind"]
    for number, options in enumerate(({"classes": [1]}, {"classes": [2]}, {"groups": groups})):
        sides: list[list[tuple[Any, Any]]] = [[], []]
        for name in "abc":
            pred, target = (read_label_map(folder / f"{name}.nii.gz").labels for folder in volumes)
            how: dict[str, Any] = {"num_classes": 3, "background": None, **options}
            (found,) = segmeter.surface_distances(
                pred, target, spacing=steps, surface=rules.surface, weights=rules.weights,
                border=rules.border, **how,
            ).values()  # fmt: skip
            sides[0].append((found.pred_to_target, found.pred_weight))
            sides[1].append((found.target_to_pred, found.target_weight))
        ways = [sides[0] + sides[1]] if rules.percentile == "pooled" else sides
        for percentile in PERCENTILES:
            wanted = max(pooled_percentile(way, percentile) for way in ways)
            wanted = wanted if wanted in (0, math.inf) else rounded_up(wanted)
            assert rows[number][f"hd{percentile}"] == wanted
        own = [row for row in curves if row["surface"] == ["organ", "tumour", "both"][number]]
        assert len(own) > 1 or number == 1  # tumours are alike or missing
        merged = [[np.concatenate(part) for part in zip(*side, strict=True)] for side in sides]
        for row in own:
            within = [
                weights[values * (1 - 1e-12) <= row["tolerance"]].sum()
                for values, weights in merged
            ]
            areas = [weights.sum() for _, weights in merged]
            if rules.overlap == "pooled":
                within, areas = [sum(within)], [sum(areas)]
            shares = [part / area for part, area in zip(within, areas, strict=True)]
            assert row["nsd"] == pytest.approx(np.mean(shares), rel=1e-12)
    assert math.isinf(rows[1]["hd95"])  # a tumour was missed
    means = [row["hd95"] for row in result.rows("boundary_per_class")[1:]]
    assert result.scores["mean_hd95"] == np.mean(means)


def test_small_distances_are_printed_with_their_digits(
    pictures: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """In metres: three decimals would say 0.000."""
    assert main(["evaluate", *command(pictures, "--spacing", "1e-6,1e-6")]) == 0
    lines = capsys.readouterr().out.splitlines()
    for start, values in (("1  ", ["2e-06", "2e-06"]), ("mean HD95", ["HD95", "2e-06", "2e-06"])):
        line = next(line for line in lines if line.startswith(start))
        assert line.split()[1 : 1 + len(values)] == values
    masks = [np.array(Image.open(folder / "a.png")) > 0 for folder in pictures]
    scores = segmeter.surface_scores(*masks, spacing=(1e-6, 1e-6), tolerance=2e-6)
    assert str(scores).splitlines()[1].split()[1:3] == ["2e-06", "2e-06"]


def test_headings_of_wide_tables_are_broken_not_cut(
    volumes: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tolerance", "0.5,1", "--label-groups", "both=1,2"]
    assert main(["evaluate", *command(volumes, *options)]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("surfaces (mm) of")
    assert lines[at + 1].split()[0] == "groups"
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("preset", [None, "panoptica", "monai"])
def test_the_dataset_nsd_is_that_of_the_functions(
    volumes: tuple[Path, Path], preset: str | None
) -> None:
    """Also where a tool averages the two directions, and where one map has no surface at all."""
    result = evaluate(*volumes, **OPTIONS, preset=preset, tolerance=[0, 0.5])
    total: Any = 0
    for name in "abc":
        maps = (read_label_map(folder / f"{name}.nii.gz").labels for folder in volumes)
        total += segmeter.boundary_counts(
            *maps, num_classes=3, spacing=STEPS, preset=preset, tolerance=[0, 0.5], empty="inf"
        )
    for row, wanted in zip(
        result.rows("boundary_per_class")[1:], segmeter.dataset_nsd(total), strict=True
    ):
        assert [row["nsd_at_0"], row["nsd_at_0.5"]] == pytest.approx(wanted, rel=1e-12)
    nothing = save_nifti(
        volumes[0].parent / "empty", STEPS, **{k: np.zeros_like(scene()) for k in "a"}
    )
    lost = evaluate(nothing / "a.nii.gz", volumes[1] / "a.nii.gz", **OPTIONS, preset=preset)
    assert [row["nsd_at_1"] for row in lost.rows("boundary_per_class")[1:]] == [0, 0]
    organ = [row["nsd"] for row in lost.rows("boundary_nsd_curve") if row["surface"] == "organ"]
    assert organ == []


def test_results_name_the_conventions_of_a_preset() -> None:
    said = {
        preset: next(
            line
            for line in make_plan(**OPTIONS, preset=preset).describe()
            if line.startswith("distances: as ")
        )
        for preset in ("meshmetrics", "panoptica")
    }
    assert "surface face_mesh, weights area, " in said["meshmetrics"]
    assert said["panoptica"].endswith("mean mean_of_directed, NSD mean_of_directed)")


def test_a_curve_passes_the_dataset_nsd(volumes: tuple[Path, Path]) -> None:
    result = evaluate(*volumes, **OPTIONS, tolerance=[0.5, 2])
    for row in result.rows("boundary_per_class")[1:]:
        curve = [c for c in result.rows("boundary_nsd_curve") if c["surface"] == row["class"]]
        for tolerance in (0.5, 2):
            below = [c["nsd"] for c in curve if c["tolerance"] <= tolerance]
            assert row[f"nsd_at_{tolerance:g}"] - 0.001 <= below[-1] <= row[f"nsd_at_{tolerance:g}"]


def test_percentiles_do_not_depend_on_the_order_of_images(volumes: tuple[Path, Path]) -> None:
    images = evaluate(*volumes, **OPTIONS, preset="monai").totals.images
    parts = [image.measures["boundary"] for image in images]
    one, other = sum(parts[1:], start=parts[0]), sum(parts[1::-1], start=parts[2])
    for name, values in one.to_arrays().items():
        if name.startswith("distances_"):
            np.testing.assert_array_equal(values, other.to_arrays()[name])
    assert one.distances.weight.sum() == sum(part.distances.weight.sum() for part in parts)


def test_distances_in_small_units_cost_nothing(tmp_path: Path) -> None:
    """Nanometres: a table of all bins would have gigabytes."""
    target = np.zeros((40, 40), np.uint8)
    target[10:30, 10:30] = 1
    pred = np.roll(target, 7, axis=0)
    folders = save(tmp_path / "pred", a=pred), save(tmp_path / "target", a=target)
    result = evaluate(
        *folders, num_classes=2, measures=["boundary"], spacing=(250_000, 1e6), preset="monai"
    )
    row = result.rows("boundary_per_class")[1]
    assert row["hd99"] == pytest.approx(row["hd_per_image"]) == 1_750_000
    near = evaluate(*folders, num_classes=2, measures=["boundary"], preset="monai")
    assert near.rows("boundary_per_class")[1]["hd99"] == 7
    counts = result.totals.measures["boundary"]
    assert len(counts.to_arrays()["distances_key"]) < 100


def test_percentiles_are_printed_and_gated(
    volumes: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--pred", str(volumes[0]), "--target", str(volumes[1]), "--classes", ",".join(NAMES)]
    files += ["--measures", "boundary"]
    place = ["--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "csv")]
    assert main(["evaluate", *files, *place]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    head = next(line for line in lines if line.startswith("surfaces of all images (mm)"))
    assert head.split()[-5:] == ["HD50", "HD75", "HD90", "HD95", "HD99"]
    assert "tolerance  " not in printed  # the curve is for files
    mean = next(line for line in lines if line.startswith("mean HD95"))
    assert mean.split()[2] == "inf"
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["boundary_nsd_curve"][0].keys() == {"surface", "tolerance", "nsd"}
    assert content["scores"]["mean_hd95"] == "inf"
    assert (tmp_path / "csv" / "boundary_nsd_curve.csv").is_file()
    gate = ["--quiet", "--fail-over"]
    assert main(["evaluate", *files, *gate, "hd95:organ=5"]) == 0
    assert main(["evaluate", *files, *gate, "hd95:tumour=5"]) == 1
    assert main(["evaluate", *files, *gate, "hd50:tumour=5"]) == 0  # half of it is found


def test_a_percentile_of_all_surface_says_what_it_does_not_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A small object missed in one image is too little of all surface for HD95."""
    whole = np.zeros((60, 60), np.uint8)
    whole[5:50, 5:50] = 1
    whole[52:55] = 2
    small = np.zeros_like(whole)
    small[30, 30] = 1
    places = [
        *("--pred", str(save(tmp_path / "p", a=whole, b=np.zeros_like(whole)))),
        *("--target", str(save(tmp_path / "t", a=whole, b=small))),
        *("--classes", "background,organ,vessel", "--label-groups", "both=1"),
    ]
    gate = ["evaluate", *places, "--measures", "boundary", "--quiet", "--fail-over"]
    for name, other in (
        ("hd95:organ", "hd95_per_image:organ"),
        ("hd95:both", "hd95_per_image:both"),
        ("mean_hd95", "mean_hd95_per_image"),
    ):
        assert main([*gate, f"{name}=1"]) == 0
        said = capsys.readouterr().err
        assert said.startswith("segmeter: gate kept, but 1 surface missed or invented: ")
        assert f"{other} counts every image alike" in said
        assert main([*gate, f"{other}=1"]) == 1
        assert "is infinite in some image" in capsys.readouterr().err
    assert main([*gate, "hd95:vessel=1"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*gate, "hd99:organ=1"]) == 1
    assert "hd99:organ is infinite, above 1.0" in capsys.readouterr().err
