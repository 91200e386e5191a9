"""COCO panoptic: equal to the official program on real data and on drawn sets with all oddities."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from segmeter.cli import main
from segmeter.evaluation import check, evaluate
from segmeter.evaluation.protocols import coco_panoptic
from segmeter.io import read_label_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

CATEGORIES = [
    {"id": 3, "name": "person", "isthing": 1},
    {"id": 7, "name": "sky", "isthing": 0},
    {"id": 9, "name": "car", "isthing": 1},
]


def segment(id_: int, category: int, area: int | None = None, crowd: int = 0) -> dict[str, Any]:
    row = {"id": id_, "category_id": category, "iscrowd": crowd}
    return row if area is None else row | {"area": area}


def write(
    path: Path, images: list[tuple[Any, list[dict[str, Any]]]], categories: Any = CATEGORIES
) -> str:
    """Write one side: ``images`` are id maps and segments; image ids are 1, 2, ..."""
    folder = path / "ids"
    folder.mkdir(parents=True)
    annotations = []
    for number, (ids, segments) in enumerate(images, 1):
        array = np.asarray(ids, np.uint32)
        colors = np.stack([array & 255, array >> 8 & 255, array >> 16], axis=-1)
        Image.fromarray(colors.astype(np.uint8)).save(folder / f"im{number}.png")
        areas = dict(
            zip(*map(np.ndarray.tolist, np.unique(array, return_counts=True)), strict=True)
        )
        full = [{"area": areas.get(s["id"], 0)} | s for s in segments]
        row = {"image_id": number, "file_name": f"im{number}.png", "segments_info": full}
        annotations.append(row)
    content = {"annotations": annotations, "categories": categories}
    (path / "ids.json").write_text(json.dumps(content), encoding="utf-8")
    return str(path / "ids.json")


def official(evaluation: ModuleType, pred: str, target: str) -> dict[str, Any]:
    """Run the official program in this process."""
    contents = []
    for path in (target, pred):
        with open(path, encoding="utf-8") as stream:  # noqa: PTH123
            contents.append(json.load(stream))
    categories = {row["id"]: row for row in contents[0]["categories"]}
    preds = {row["image_id"]: row for row in contents[1]["annotations"]}
    matched = [(row, preds[row["image_id"]]) for row in contents[0]["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        stat = evaluation.pq_compute_single_core(
            0, matched, target.removesuffix(".json"), pred.removesuffix(".json"), categories
        )
    results = {}
    for name, is_thing in (("All", None), ("Things", True), ("Stuff", False)):
        try:
            results[name], classes = stat.pq_average(categories, isthing=is_thing)
            if name == "All":
                results["per_class"] = classes
        except ZeroDivisionError:
            results[name] = {"pq": math.nan, "sq": math.nan, "rq": math.nan, "n": 0}
    return results


def assert_equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for group in ("All", "Things", "Stuff"):
        assert ours[group] == pytest.approx(theirs[group], rel=0, abs=1e-12, nan_ok=True)
    for category, scores in theirs.get("per_class", {}).items():
        assert ours["per_class"][category] == pytest.approx(scores, rel=0, abs=1e-12)


@pytest.mark.parametrize("protocol", ["coco-panoptic", "cityscapes-panoptic"])
def test_real_data_as_the_official_program(
    shared: Path, peer: Callable[[str], ModuleType], protocol: str
) -> None:
    files = [str(shared / "data" / "panoptic_deeplab" / f"coco_{s}.json") for s in ("pred", "gt")]
    result = evaluate(*files, protocol=protocol)
    assert not result.problems
    ours = result.totals.protocol
    assert ours is not None
    assert_equal(ours.official(), official(peer("panopticapi.evaluation"), *files))
    assert result.num_images == 4
    assert result.scores["pq"] == pytest.approx(ours.official()["All"]["pq"], abs=1e-12)


def test_targets_against_themselves_are_perfect(shared: Path) -> None:
    file = str(shared / "data" / "panoptic_coco_sample" / "panoptic_examples.json")
    result = evaluate(file, file, protocol="coco-panoptic")
    assert result.scores["pq"] == result.scores["pq_things"] == result.scores["pq_stuff"] == 1
    assert result.plan.num_classes == 133
    assert not result.problems


@st.composite
def sides(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """Small id maps with void, crowds, wrong areas, and target ids that no segment has."""
    ids = [1, 2, 256, 70_000]
    preds, targets = [], []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.integers(1, 5)), draw(st.integers(1, 6))
        size = shape[0] * shape[1]
        choice = st.lists(st.sampled_from([0, *ids]), min_size=size, max_size=size)
        target = np.array(draw(choice)).reshape(shape)
        pred = np.where(
            np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size))).reshape(shape),
            target,
            np.array(draw(choice)).reshape(shape),
        )
        classes = st.sampled_from([3, 7, 9])
        named = [0, *ids] if draw(st.booleans()) else ids  # 0 may be a predicted segment
        preds.append((pred, [segment(i, draw(classes)) for i in named if i in pred]))
        rows = []
        for i in draw(st.permutations(ids)):
            # A crowd that has no pixels is the one oddity the official program treats otherwise.
            if draw(st.integers(0, 9)) and (i in target or not rows):
                area = draw(st.none() | st.integers(1, 40))
                there = i in target
                rows.append(segment(i, draw(classes), area, int(there and draw(st.booleans()))))
        targets.append((target, rows))
    return preds, targets


@given(sides())
@settings(max_examples=60)
def test_drawn_sets_as_the_official_program(
    tmp_path_factory: pytest.TempPathFactory,
    peer: Callable[[str], ModuleType],
    images: tuple[list[Any], list[Any]],
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    files = [write(folder / side, part) for side, part in zip(("p", "t"), images, strict=True)]
    result = evaluate(*files, protocol="coco-panoptic", threads=1)
    assert result.exit_code == 0
    assert result.totals.protocol is not None
    theirs = official(peer("panopticapi.evaluation"), *files)
    assert_equal(result.totals.protocol.official(), theirs)


TARGET = [([[1, 1, 2, 2], [1, 1, 2, 0]], [segment(1, 3), segment(2, 7)])]


def test_scores_and_tables_of_one_image(tmp_path: Path) -> None:
    pred = [([[5, 5, 5, 6], [5, 5, 6, 6]], [segment(5, 3), segment(6, 7)])]
    files = write(tmp_path / "p", pred), write(tmp_path / "t", TARGET)
    result = evaluate(*files, protocol="coco-panoptic")
    # person: 4 of 5; sky: 2 shared, 1 + 2 - void: union 3
    assert result.scores == pytest.approx(
        {"pq": (4 / 5 + 2 / 3) / 2, "sq": (4 / 5 + 2 / 3) / 2, "rq": 1}
        | {"pq_things": 4 / 5, "sq_things": 4 / 5, "rq_things": 1}
        | {"pq_stuff": 2 / 3, "sq_stuff": 2 / 3, "rq_stuff": 1}
    )
    assert result.scores_over["pq"] == {"over": 2, "undefined": 1}
    person, sky, car = result.per_class
    assert person["thing"] is True
    assert [person[name] for name in ("tp", "fp", "fn")] == [1, 0, 0]
    assert sky["thing"] is False
    assert math.isnan(car["pq"])
    assert result.per_image[0]["id"] == "im1"
    counts = result.totals.protocol
    assert counts is not None
    again = coco_panoptic.CocoPanopticCounts.from_arrays(counts.to_arrays())
    assert again.official() == counts.official()


@pytest.mark.parametrize(
    ("pred", "kind", "message"),
    [
        (([[5, 5, 5, 5]] * 2, []), "segments", "segment 5 is in the picture, but not in segments"),
        (
            ([[5, 5, 5, 5]] * 2, [segment(5, 3), segment(6, 3)]),
            "segments",
            "segment 6 is in segments_info of the JSON file, but not in the picture",
        ),
        (
            ([[5, 5, 5, 5]] * 2, [segment(5, 4)]),
            "segments",
            "segment 5 has the category_id 4, which is no category",
        ),
        (
            ([[5, 5, 5, 5]] * 2, [segment(5, 3), segment(5, 7)]),
            "segments",
            "segment 5 is listed twice, as person and as sky",
        ),
        (
            ([[5, 5, 5, 5]] * 2, [segment(5, 3), segment(2**32, 7)]),
            "segments",
            "segment id 4294967296 is outside 0..16777215, the ids of a colour",
        ),
        (([[5, 5, 5]], [segment(5, 3)]), "shape", "differ in size: 3 x 1 and 4 x 2"),
    ],
)
def test_wrong_predictions_become_problems(
    tmp_path: Path, pred: Any, kind: str, message: str
) -> None:
    good = ([[5, 5, 6, 6], [5, 5, 6, 6]], [segment(5, 3), segment(6, 7)])
    files = write(tmp_path / "p", [pred, good]), write(tmp_path / "t", [*TARGET, *TARGET])
    result = evaluate(*files, protocol="coco-panoptic")
    (problem,) = result.problems
    assert (problem["kind"], problem["id"]) == (kind, "im1")
    assert message in problem["message"]
    assert problem["message"].startswith(problem["path"]) or kind == "shape"
    assert result.exit_code == 3
    assert [row["id"] for row in result.per_image] == ["im2"]
    report = check(*files, protocol="coco-panoptic")
    assert [(finding.level, finding.code) for finding in report.findings] == [("error", kind)]


def test_missing_pictures_images_and_duplicates(tmp_path: Path) -> None:
    good = ([[5, 5, 6, 6], [5, 5, 6, 6]], [segment(5, 3), segment(6, 7)])
    pred, target = write(tmp_path / "p", [good] * 4), write(tmp_path / "t", TARGET * 5)
    (tmp_path / "p" / "ids" / "im2.png").unlink()
    with open(pred, encoding="utf-8") as stream:  # noqa: PTH123
        content = json.load(stream)
    content["annotations"].append(content["annotations"][2])
    content["annotations"].append(content["annotations"][0] | {"image_id": 99})
    (tmp_path / "p" / "ids.json").write_text(json.dumps(content), encoding="utf-8")
    result = evaluate(pred, target, protocol="coco-panoptic")
    assert [(row["kind"], row["level"], row["id"]) for row in result.problems] == [
        ("ambiguous", "error", "3"),
        ("missing-prediction", "error", "im5"),
        ("missing-target", "warning", "99"),
        ("unreadable", "error", "im2"),
    ]
    assert [row["id"] for row in result.per_image] == ["im1", "im4"]


def test_odd_targets_are_counted_with_a_warning(tmp_path: Path) -> None:
    target = [([[1, 1, 8, 8]], [segment(1, 3), segment(2, 7, 4)])]
    pred = [([[5, 5, 6, 6]], [segment(5, 3), segment(6, 7)])]
    result = evaluate(
        write(tmp_path / "p", pred), write(tmp_path / "t", target), protocol="coco-panoptic"
    )
    (problem,) = result.problems
    assert problem["level"] == "warning"
    assert "segment 8 is in the picture, but not in the JSON file: not scored" in problem["message"]
    assert "segment 2 is in the JSON file, but not in the picture" in problem["message"]
    assert [row["fn"] for row in result.per_class] == [0, 1, 0]
    assert [row["fp"] for row in result.per_class] == [0, 1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "holds no list 'annotations': is it COCO panoptic"),
        ('{"annotations": [{"image_id": 1}]}', "an annotation needs 'image_id'"),
        ('{"annotations": []}', "holds no list 'categories'"),
        ('{"annotations": [], "categories": [{"id": 1}]}', "a category needs 'id' and 'isthing'"),
        (
            '{"annotations": [], "categories": [{"id": 1, "isthing": 1}, {"id": 1, "isthing": 0}]}',
            "2 categories have the id 1",
        ),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, content: str, message: str) -> None:
    pred, target = write(tmp_path / "p", TARGET), tmp_path / "t" / "ids.json"
    write(tmp_path / "t", TARGET)
    target.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        evaluate(pred, target, protocol="coco-panoptic")


def test_a_folder_stands_for_the_file_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "p", TARGET)
    folder = tmp_path / "p" / "ids"
    assert evaluate(folder, folder, protocol="coco-panoptic").scores["pq"] == 1
    with pytest.raises(ValueError, match=r"there is no file .*p\.json \(beside the folder"):
        evaluate(tmp_path / "p", folder, protocol="coco-panoptic")
    folder.rename(tmp_path / "p" / "elsewhere")
    with pytest.raises(ValueError, match=r"there is no folder .*ids with the pictures"):
        evaluate(tmp_path / "p" / "ids.json", folder, protocol="coco-panoptic")


def test_the_command_line(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shared / "data" / "panoptic_deeplab"
    options = ["--pred", str(data / "coco_pred.json"), "--target", str(data / "coco_gt.json")]
    options += ["--protocol", "coco-panoptic"]
    assert main(["evaluate", *options, "--json", str(tmp_path / "a.json")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("4 images\n")
    assert "PQ" in printed
    assert "umbrella" in printed
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["official"]["All"]["n"] == 6
    assert main(["evaluate", *options, "--fail-under", "pq_things=0.99"]) == 1
    assert main(["evaluate", *options, "--fail-under", "pq:sky=0.99"]) == 0
    assert main(["evaluate", *options, "--fail-under", "pq:person=0.99"]) == 1
    capsys.readouterr()
    assert main(["check", *options]) == 0
    assert "nothing looks wrong" in capsys.readouterr().out


# --- Boundary PQ -------------------------------------------------------------------------------


Array = np.ndarray[Any, Any]


def erosion_band(mask: Array, width: int) -> Array:
    """Mask minus erosion by a square; beyond the image there is nothing."""
    inner = ndimage.minimum_filter(mask, 2 * width + 1, mode="constant", cval=0)
    return mask & ~inner


def official_panoptic(pred: str, target: str, ratio: float) -> dict[str, Array]:
    """PQ, SQ, RQ, TP, FP and FN of every category, by the steps of the official program."""
    contents = []
    for path in (pred, target):
        with open(path, encoding="utf-8") as stream:  # noqa: PTH123
            contents.append(json.load(stream))
    categories = [row["id"] for row in contents[1]["categories"]]
    counts = {category: np.zeros(4) for category in categories}
    preds = {row["image_id"]: row for row in contents[0]["annotations"]}
    for row in contents[1]["annotations"]:
        other = preds[row["image_id"]]
        ids = [
            read_label_map(f"{path.removesuffix('.json')}/{r['file_name']}", panoptic=True).labels
            for path, r in ((pred, other), (target, row))
        ]
        of_pred, of_target = ({s["id"]: dict(s) for s in r["segments_info"]} for r in (other, row))
        width = max(1, round(ratio * math.hypot(*ids[0].shape)))
        near = [
            {k: erosion_band(part == k, width) for k in segments if k in part}
            for part, segments in zip(ids, (of_pred, of_target), strict=True)
        ]
        void = ids[1] == 0
        matched: tuple[set[int], set[int]] = (set(), set())
        for t, segment in of_target.items():
            for p, found in of_pred.items():
                a, b = ids[0] == p, ids[1] == t
                shared = int((a & b).sum())
                if (
                    not shared
                    or segment["iscrowd"]
                    or segment["category_id"] != found["category_id"]
                ):
                    continue
                iou = shared / (int(a.sum()) + segment["area"] - shared - int((a & void).sum()))
                edge, true = near[0][p], near[1][t]
                both = int((edge & true).sum())
                union = int(edge.sum()) + int(true.sum()) - both - int((edge & void).sum())
                iou = min(iou, both / union)
                if iou > 0.5:
                    counts[segment["category_id"]][:2] += 1, iou
                    matched[0].add(p)
                    matched[1].add(t)
        crowds = {}
        for t, segment in of_target.items():
            if segment["iscrowd"]:
                crowds[segment["category_id"]] = t
            elif t not in matched[1]:
                counts[segment["category_id"]][3] += 1
        for p, found in of_pred.items():
            if p in matched[0]:
                continue
            a = ids[0] == p
            outside = int((a & void).sum())
            if found["category_id"] in crowds:
                outside += int((a & (ids[1] == crowds[found["category_id"]])).sum())
            if outside / int(a.sum()) <= 0.5:
                counts[found["category_id"]][2] += 1
    tp, total, fp, fn = np.array(list(counts.values())).T
    with np.errstate(invalid="ignore"):
        return {
            "boundary_pq": total / (tp + fp / 2 + fn / 2),
            "boundary_tp": tp,
            "boundary_fp": fp,
            "boundary_fn": fn,
        }


def assert_official(result: Any, expected: dict[str, Array]) -> None:
    for name, values in expected.items():
        np.testing.assert_allclose(
            result.columns("per_class")[name], values, rtol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("ratio", [0.02, 0.005])
def test_boundary_pq_of_real_data_by_the_official_steps(shared: Path, ratio: float) -> None:
    files = [str(shared / "data" / "panoptic_deeplab" / f"coco_{s}.json") for s in ("pred", "gt")]
    plain = evaluate(*files, protocol="coco-panoptic")
    for protocol in ("coco-panoptic", "cityscapes-panoptic"):
        result = evaluate(*files, protocol=protocol, boundary_ratio=ratio)
        assert not result.problems
        assert_official(result, official_panoptic(*files, ratio))
        assert plain.scores.items() <= result.scores.items()
    assert result.scores["boundary_pq"] < result.scores["pq"]
    counts = result.totals.protocol
    assert isinstance(counts, coco_panoptic.CocoPanopticCounts)
    again = coco_panoptic.CocoPanopticCounts.from_arrays(counts.to_arrays())
    assert again.official() == counts.official()
    official = counts.official()["boundary"]
    assert official["All"]["n"] == 6
    assert official["Things"]["pq"] == pytest.approx(result.scores["boundary_pq_things"])
    threaded = evaluate(*files, protocol="coco-panoptic", boundary_ratio=ratio, threads=3)
    assert threaded.scores == result.scores


@given(sides())
@settings(max_examples=40)
def test_boundary_pq_of_drawn_sets(
    tmp_path_factory: pytest.TempPathFactory, images: tuple[list[Any], list[Any]]
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    files = [write(folder / side, part) for side, part in zip(("p", "t"), images, strict=True)]
    result = evaluate(*files, protocol="coco-panoptic", boundary_ratio=0.1)
    assert result.exit_code == 0
    assert_official(result, official_panoptic(*files, 0.1))


def test_boundary_pq_on_the_command_line(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shared / "data" / "panoptic_deeplab"
    options = ["--pred", str(data / "coco_pred.json"), "--target", str(data / "coco_gt.json")]
    options += ["--protocol", "coco-panoptic", "--boundary-ratio", "0.02"]
    files = ["--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "tables")]
    assert main(["evaluate", *options, *files]) == 0
    printed = capsys.readouterr().out
    assert "boundary PQ" in printed
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["plan"]["boundary_ratio"] == 0.02
    assert content["official"]["boundary"]["All"]["pq"] == content["scores"]["boundary_pq"]
    with (tmp_path / "tables" / "per_class.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["boundary_pq"]) == content["per_class"][0]["boundary_pq"]
    gate = ["--quiet", "--fail-under"]
    assert main(["evaluate", *options, *gate, "boundary_pq=0.99"]) == 1
    assert main(["evaluate", *options, *gate, "boundary_pq:sky=0.9"]) == 0
    capsys.readouterr()
    assert main(["evaluate", *options[:-2], *gate, "boundary_pq=0.9"]) == 2
    assert "there is no score 'boundary_pq'" in capsys.readouterr().err
    assert main(["check", *options]) == 0
    assert not check(options[1], options[3], protocol="coco-panoptic", boundary_ratio=0.02).findings
    capsys.readouterr()
    assert main(["evaluate", *options[:-1], "3"]) == 2
    assert "--boundary-ratio must be a share" in capsys.readouterr().err
