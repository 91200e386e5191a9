"""Boundary PQ and Boundary AP of label maps in an evaluation; those of COCO files: protocols."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

import segmeter
from label_files import save
from segmeter.cli import main
from segmeter.evaluation import evaluate, make_plan
from segmeter.reference.boundary_band import band

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]


# --- regions of label maps ---------------------------------------------------------------------

NAMES = ["road", "car", "person"]


def scenes(axes: int = 2) -> tuple[Array, Array]:
    """Cars and persons on a road, each a little off; a strip of labels that do not count."""
    rng = np.random.default_rng(axes)
    shape = (60, 90) if axes == 2 else (16, 30, 40)
    pred, target = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for k in range(12):
        low = [int(rng.integers(0, n - 6)) for n in shape]
        size = [int(rng.integers(4, 14)) for _ in shape]
        for labels in (pred, target):
            moved = [at + int(rng.integers(0, 3)) for at in low]
            labels[tuple(slice(a, a + s) for a, s in zip(moved, size, strict=True))] = 1 + k % 2
    target[..., -6:] = 255
    return pred, target


def plain_boundary_pq(
    pred: Array, target: Array, things: list[int], reach: list[int]
) -> dict[str, Array]:
    """Boundary PQ of components of things and of other classes as a whole, pair after pair."""
    unknown = target == 255
    full = np.ones((3,) * pred.ndim)
    counts = np.zeros((3, 4))
    for k in range(3):
        sets = []
        for labels in (pred, target):
            if k in things:
                ids, number = ndimage.label(labels == k, full)
                sets.append([ids == i + 1 for i in range(number)])
            else:
                sets.append([labels == k] if (labels == k).any() else [])
        taken = [np.zeros(len(part), bool) for part in sets]
        for i, a in enumerate(sets[0]):
            for j, b in enumerate(sets[1]):
                one, other = a & ~unknown, b & ~unknown
                if not (one & other).any():
                    continue
                iou = (one & other).sum() / (one | other).sum()
                one, other = (band(m, unknown, reach, "background") for m in (a, b))
                one, other = one & ~unknown, other & ~unknown
                if (one | other).any():
                    iou = min(iou, (one & other).sum() / (one | other).sum())
                if iou > 0.5:
                    counts[k, :2] += 1, iou
                    taken[0][i] = taken[1][j] = True
        for i in np.flatnonzero(~taken[0]):
            counts[k, 2] += (sets[0][i] & unknown).sum() / sets[0][i].sum() <= 0.5
        counts[k, 3] = (~taken[1]).sum()
    tp, total, fp, fn = counts.T
    return {
        "boundary_pq": total / (tp + fp / 2 + fn / 2),
        "boundary_tp": tp,
        "boundary_fp": fp,
        "boundary_fn": fn,
    }


@pytest.mark.parametrize(
    ("axes", "spacing", "ratio", "reach"),
    [(2, None, 0.03, [3, 3]), (2, (2, 1), 0.03, [2, 4]), (3, (3, 1, 1), 0.05, [1, 3, 3])],
)
@pytest.mark.parametrize("things", [None, ["car"]])
def test_regions_pair_after_pair(
    tmp_path: Path, axes: int, spacing: Any, ratio: float, reach: list[int], things: Any
) -> None:
    pred, target = scenes(axes)
    result = evaluate(
        save(tmp_path / "pred", a=pred), save(tmp_path / "target", a=target), class_names=NAMES,
        ignore_index=255, measures=["region"], things=things, boundary_ratio=ratio, spacing=spacing,
    )  # fmt: skip
    assert not result.problems
    expected = plain_boundary_pq(pred, target, [1] if things else [0, 1, 2], reach)
    table = result.columns("region_per_class")
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-12, err_msg=name)
    assert things or expected["boundary_tp"].sum() < table["tp"].sum()
    if things:
        assert result.scores["boundary_pq_things"] == table["boundary_pq"][1]


def test_whole_regions_are_counted_as_without_bands(tmp_path: Path) -> None:
    pred, target = scenes()
    folders = save(tmp_path / "pred", a=pred), save(tmp_path / "target", a=target)
    options: dict[str, Any] = {
        "class_names": NAMES, "ignore_index": 255, "measures": ["region", "boundary"]
    }  # fmt: skip
    plain = evaluate(*folders, **options)
    result = evaluate(*folders, **options, boundary_ratio=0.02)
    assert plain.scores.items() <= result.scores.items()
    assert {name for name in result.scores if name not in plain.scores} == {
        "boundary_pq", "boundary_sq", "boundary_rq"
    }  # fmt: skip
    wide = evaluate(*folders, **options, boundary_ratio=0.5)
    assert wide.scores["boundary_pq"] == wide.scores["pq"]  # every object is its own band
    assert wide.scores["mean_boundary_iou"] != plain.scores["mean_boundary_iou"]
    bands = segmeter.boundary_iou_counts(pred, target, num_classes=3, ignore_index=255, width=0.5)
    found = wide.columns("boundary_per_class")["boundary_iou"]
    np.testing.assert_array_equal(found, segmeter.boundary_iou(bands))


def test_instances_by_boundary_iou(tmp_path: Path) -> None:
    pred, target = (ndimage.label(part == 1)[0] for part in scenes())
    folders = save(tmp_path / "pred", a=pred), save(tmp_path / "target", a=target)
    result = evaluate(*folders, instances=True, measures=["region"], boundary_ratio=0.03)
    table = segmeter.boundary_overlap_table(pred, target, width=0.03)
    at = segmeter.region.instance_scores(segmeter.region.instance_counts(table))
    assert result.scores["mean_boundary_ap"] == pytest.approx(at.accuracy.mean())
    assert result.scores["boundary_ap_50"] == at.accuracy[0] < result.scores["ap_50"]
    assert result.scores["boundary_f1_75"] == at.f1[5]
    columns = result.columns("region_boundary_per_threshold")
    np.testing.assert_array_equal(columns["ap"], at.accuracy)
    whole = evaluate(*folders, instances=True, measures=["region"])
    assert whole.columns("region_per_threshold")["ap"].tolist() == (
        result.columns("region_per_threshold")["ap"].tolist()
    )
    assert whole.scores.items() <= result.scores.items()


def test_counts_of_images_add_up(tmp_path: Path) -> None:
    pred, target = scenes()
    folders = (
        save(tmp_path / "pred", a=pred, b=target),
        save(tmp_path / "target", a=target, b=target),
    )
    result = evaluate(
        *folders, class_names=NAMES, ignore_index=255, measures=["region"], boundary_ratio=0.02
    )
    one, two = (image.measures["region"].to_arrays() for image in result.totals.images)
    whole = result.totals.measures["region"].to_arrays()
    for name in ("boundary_tp", "boundary_fp", "boundary_fn", "boundary_iou_sum", "tp"):
        np.testing.assert_array_equal(whole[name], one[name] + two[name])
    assert result.rows("per_image")[1]["boundary_pq"] == 1
    assert result.rows("region_per_image_per_class")[3]["boundary_pq"] == 1


# --- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": ["pixel"]}, "for regions and boundaries; name 'region' or 'boundary'"),
        ({"boundary_ratio": 2}, "share of the image's diagonal, at most 1"),
        ({"boundary_ratio": 0}, "above 0, got 0"),
        ({"boundary_ratio": math.nan}, "above 0, got nan"),
        ({"protocol": "cellpose", "measures": None, "num_classes": None}, "coco-panoptic"),
    ],
)
def test_ratios_that_have_no_place(options: dict[str, Any], message: str) -> None:
    given = {"num_classes": 2, "measures": ["region"], "boundary_ratio": 0.02} | options
    with pytest.raises(ValueError, match=message):
        make_plan(**given)


def test_a_ratio_is_a_number() -> None:
    with pytest.raises(TypeError, match="boundary_ratio must be a number"):
        make_plan(num_classes=2, measures=["region"], boundary_ratio="wide")  # type: ignore[arg-type]


def test_plans_say_what_is_measured() -> None:
    options: dict[str, Any] = {"num_classes": 2, "measures": ["region"]}
    plain, own = make_plan(**options), make_plan(**options, boundary_ratio=0.05)
    assert plain.hash() != own.hash()
    assert not plain.uses_file_spacing
    assert own.uses_file_spacing
    assert any("bands, as wide as 5 % of" in line for line in own.describe())
    assert own.to_dict()["boundary_ratio"] == 0.05
    described = make_plan(protocol="coco-instances", boundary_ratio=0.02).describe()
    assert any("bands, as wide as 2 % of" in line for line in described)


def test_volumes_need_their_spacing(tmp_path: Path) -> None:
    pred, target = scenes(3)
    folders = save(tmp_path / "pred", a=pred), save(tmp_path / "target", a=target)
    options: dict[str, Any] = {"class_names": NAMES, "ignore_index": 255, "measures": ["region"]}
    assert not evaluate(*folders, **options).problems
    (problem,) = evaluate(*folders, **options, boundary_ratio=0.02).problems
    assert "no file says the spacing of this volume" in problem["message"]
    assert not evaluate(*folders, **options, boundary_ratio=0.02, spacing="pixel").problems


def test_regions_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pred, target = scenes()
    folders = save(tmp_path / "pred", a=pred), save(tmp_path / "target", a=target)
    options = ["--pred", str(folders[0]), "--target", str(folders[1]), "--ignore-index", "255"]
    options += ["--classes", ",".join(NAMES), "--measures", "region,boundary"]
    assert main(["evaluate", *options, "--boundary-ratio", "0.03"]) == 0
    printed = capsys.readouterr().out
    assert "\nby Boundary IoU " in printed
    assert "boundary PQ" in printed
    assert printed.count("as wide as 3 % of the image diagonal") == 2
    gate = ["--quiet", "--fail-under", "boundary_pq:car=0.99"]
    assert main(["evaluate", *options, "--boundary-ratio", "0.03", *gate]) == 1
