"""Measures beside the confusion matrix: regions of class maps, instances, causes."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

import segmeter
from label_files import save
from segmeter.cli import main
from segmeter.evaluation import Pair, check, evaluate, make_plan, worker
from segmeter.evaluation.measures import class_maps
from segmeter.evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

Array = np.ndarray[Any, Any]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two images of three classes; 255 does not count."""
    target = {
        "a": [[0, 0, 1, 1, 0, 2], [0, 0, 1, 1, 0, 255], [0, 0, 0, 0, 0, 2]],
        "b": [[1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 2, 2]],
    }
    pred = {
        "a": [[0, 0, 1, 1, 0, 2], [0, 0, 1, 0, 0, 2], [0, 0, 0, 0, 0, 2]],
        "b": [[1, 0, 1, 0, 0, 1], [1, 0, 1, 0, 2, 2]],
    }
    return save(tmp_path / "pred", **pred), save(tmp_path / "target", **target)


NAMES = ["road", "car", "tree"]


# --- regions of class maps --------------------------------------------------------------------


def test_regions_of_class_maps(folders: tuple[Path, Path]) -> None:
    result = evaluate(
        *folders, class_names=NAMES, ignore_index=255, measures=["pixel", "region"], connectivity=4
    )
    # road: a 12 of 13; b 3 of 4, and the two pixels within the car are an invented region.
    # car: a 3 of 4; b 2 of 6 twice, and one invented. tree: the void pixel joins what is predicted.
    rows = {row["class"]: row for row in result.rows("region_per_class")}
    assert [rows["road"][name] for name in ("tp", "fp", "fn")] == [2, 1, 0]
    assert [rows["car"][name] for name in ("tp", "fp", "fn")] == [1, 3, 1]
    assert [rows["tree"][name] for name in ("tp", "fp", "fn")] == [1, 1, 2]
    assert rows["car"]["pq"] == pytest.approx(0.75 / (1 + 3 / 2 + 1 / 2))
    assert result.scores["pq"] == pytest.approx(np.mean([row["pq"] for row in rows.values()]))
    assert result.scores_over["pq"] == {"over": 3, "undefined": 0}
    assert result.scores["mean_iou"] > 0
    first, second = result.per_image
    assert [first[f"region_{name}"] for name in ("tp", "fp", "fn")] == [2, 1, 2]
    assert second["pq"] < first["pq"] or math.isnan(first["pq"])
    crossed = result.rows("region_per_image_per_class")
    assert [(row["id"], row["class"]) for row in crossed][:2] == [("a", "road"), ("a", "car")]
    assert sum(row["fp"] for row in crossed) == sum(row["fp"] for row in rows.values())
    assert result.worst(1, by="rq")[0]["id"] == min(result.per_image, key=lambda r: r["rq"])["id"]


def test_things_and_stuff(folders: tuple[Path, Path]) -> None:
    options: dict[str, Any] = {"class_names": NAMES, "ignore_index": 255}
    result = evaluate(*folders, **options, measures=["region"], things=["car"], connectivity=4)
    rows = {row["class"]: row for row in result.rows("region_per_class")}
    assert [rows["road"][name] for name in ("tp", "fp", "fn")] == [1, 1, 1]  # b: 3 of 6, not above
    assert [rows["tree"][name] for name in ("tp", "fp", "fn")] == [2, 0, 0]  # void is no union
    assert [rows["car"][name] for name in ("tp", "fp", "fn")] == [1, 3, 1]
    assert result.scores["pq_things"] == rows["car"]["pq"]
    stuff = [rows["road"]["pq"], rows["tree"]["pq"]]
    assert result.scores["pq_stuff"] == pytest.approx(np.mean(stuff))
    assert "car; other classes are one region per image" in result.plan.describe()[-1]
    assert result.tables == (
        *("per_class", "label_groups", "per_image", "problems"),
        *("region_per_class", "region_per_image_per_class"),
    )
    with pytest.raises(ValueError, match="there is no confusion matrix"):
        _ = result.matrix


@pytest.mark.parametrize("names", [["background", "car"], None])
def test_background_has_no_regions(tmp_path: Path, names: list[str] | None) -> None:
    maps = {"a": [[0, 1, 0, 1]]}
    folders = save(tmp_path / "p", **maps), save(tmp_path / "t", **maps)
    options: dict[str, Any] = {"class_names": names} if names else {"protocol": "binary"}
    result = evaluate(*folders, **options, measures=["region"])
    assert [row["tp"] for row in result.rows("region_per_class")] == [0, 2]
    assert result.scores_over["pq"] == {"over": 1, "undefined": 1}


@given(
    arrays.arrays(np.uint8, (6, 7), elements=st.integers(0, 2)),
    arrays.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 255])),
    st.sampled_from([4, 8]),
)
@settings(max_examples=40)
def test_region_counts_as_by_hand(
    tmp_path_factory: pytest.TempPathFactory, pred: Array, target: Array, connectivity: int
) -> None:
    folder = tmp_path_factory.mktemp("hand")
    folders = save(folder / "p", a=pred), save(folder / "t", a=target)
    result = evaluate(
        *folders, num_classes=3, ignore_index=255, measures=["region"], connectivity=connectivity
    )
    rows = result.rows("region_per_class")
    counted = target != 255
    structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
    for k in range(3):
        guesses, number = ndimage.label(pred == k, structure)
        truths, targets = ndimage.label(target == k, structure)
        matched = matched_targets = 0
        left = []
        for i in range(1, number + 1):
            part = guesses == i
            shared = [int((part & (truths == j)).sum()) for j in range(1, targets + 1)]
            unions = [int(((part & counted) | (truths == j)).sum()) for j in range(1, targets + 1)]
            hits = [2 * s > u for s, u in zip(shared, unions, strict=True)]
            matched += any(hits)
            matched_targets += sum(hits)
            left += [] if any(hits) else [2 * int((part & ~counted).sum()) > int(part.sum())]
        assert rows[k]["tp"] == matched == matched_targets
        assert rows[k]["fn"] == targets - matched
        assert rows[k]["fp"] == left.count(False)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_regions_do_not_depend_on_threads(tmp_path: Path, threads: int) -> None:
    rng = np.random.default_rng(3)
    maps = [{f"m{k}": rng.integers(0, 3, (40, 50), np.uint8) for k in range(4)} for _ in range(2)]
    folders = save(tmp_path / "p", **maps[0]), save(tmp_path / "t", **maps[1])
    options: dict[str, Any] = {"num_classes": 3, "measures": ["pixel", "region"]}
    assert (
        evaluate(*folders, **options, threads=threads).to_dict()
        == evaluate(*folders, **options, threads=1).to_dict()
    )


# --- what labels mean -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 4},
        {"num_classes": 4, "ignore_index": [255, 3]},
        {"num_classes": 3, "mapping": {0: 0, 1: 1, 2: 1, 3: 2, 255: "ignore"}},
        {"num_classes": 2, "mapping": [1, 0], "out_of_range": "ignore"},
        {"num_classes": 3, "ignore_index": 255, "out_of_range": "ignore"},
        {"num_classes": 3, "reduce_zero_label": True, "out_of_range": "ignore"},
        {"protocol": "binary", "ignore_index": 255},
        {"protocol": "binary", "ignore_index": 0},
        {"threshold": 1.5, "ignore_index": [255]},
        {"protocol": "voc"},
        {"num_classes": 4, "ignore_index": 255, "pred_mapping": {0: 3, 1: None, 2: 0, 3: 1, 9: 2}},
        {"num_classes": 70_000 // 2, "ignore_index": 255},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_class_maps_are_those_of_the_confusion_matrix(
    tmp_path: Path, options: dict[str, Any], dtype: Any
) -> None:
    rng = np.random.default_rng(0)
    pred = rng.integers(0, 4, (8, 9)).astype(dtype)
    target = rng.choice([0, 1, 2, 3, 255], (8, 9)).astype(dtype)
    if options == {"num_classes": 4}:
        target[target == 255] = 0
    plan = make_plan(**options)
    guess, truth, ignored = class_maps(pred, target, plan)
    counted = np.ones(pred.shape, bool) if ignored is None else ~ignored
    number = plan.num_classes
    if number > 1000:
        assert guess.dtype == np.uint32
        np.testing.assert_array_equal(guess, pred)
        return
    matrix = np.zeros((number, number + 1), np.int64)
    np.add.at(matrix, (truth[counted], guess[counted]), 1)
    folders = save(tmp_path / "p", a=pred), save(tmp_path / "t", a=target)
    np.testing.assert_array_equal(matrix, evaluate(*folders, **options).matrix)


def test_class_maps_of_huge_labels() -> None:
    plan = make_plan(mapping={0: 0, -(2**40): 1, 2**60: "ignore"})
    labels = np.array([[0, -(2**40), 2**60]])
    guess, truth, ignored = class_maps(labels, labels, plan)
    assert guess.tolist() == truth.tolist() == [[0, 1, 2]]
    assert ignored is not None
    assert ignored.tolist() == [[False, False, True]]


# --- instances --------------------------------------------------------------------------------


IDS = np.array([[1, 1, 1, 1, 0, 70_000], [1, 1, 1, 1, 0, 70_000], [0, 0, 5, 5, 5, 5]])
PRED_IDS = np.array([[9, 9, 9, 9, 0, 0], [9, 9, 0, 0, 0, 2**40], [0, 0, 3, 3, 4, 4]])


def test_instances(tmp_path: Path) -> None:
    folders = save(tmp_path / "p", a=PRED_IDS), save(tmp_path / "t", a=IDS)
    result = evaluate(*folders, instances=True)
    assert result.plan.measures == ("pixel", "region")
    assert result.plan.class_names == ("background", "object")
    background, objects = result.rows("region_per_class")
    assert [background[name] for name in ("tp", "fp", "fn")] == [0, 0, 0]
    # Of exactly 0.5 nothing matches for PQ; AP takes what reaches the threshold.
    assert [objects[name] for name in ("tp", "fp", "fn")] == [1, 3, 2]
    assert objects["pq"] == pytest.approx(0.75 / 3.5)
    at = result.rows("region_per_threshold")
    assert [row["threshold"] for row in at] == list(segmeter.COCO_THRESHOLDS)
    assert [at[0][name] for name in ("tp", "fp", "fn")] == [3, 1, 0]
    assert at[0]["ap"] == result.scores["ap_50"] == 0.75
    assert result.scores["mean_ap"] == pytest.approx((0.75 + 5 / 6) / 10, abs=1)
    assert result.scores["mean_ap"] == pytest.approx(np.mean([row["ap"] for row in at]))
    assert 0 < result.scores["aji"] < 1
    assert result.matrix.sum() == IDS.size
    assert result.per_image[0]["region_fp"] == 3


def test_instances_of_empty_and_ignored_images(tmp_path: Path) -> None:
    nothing = np.zeros((3, 4), np.uint16)
    folders = (
        save(tmp_path / "p", a=nothing, b=nothing, c=nothing + 1),
        save(tmp_path / "t", a=nothing, b=nothing + 7, c=nothing + 9),
    )
    result = evaluate(*folders, instances=True, measures=["region"], ignore_index=9)
    assert [row["region_fn"] for row in result.per_image] == [0, 1, 0]
    assert [row["region_fp"] for row in result.per_image] == [0, 0, 0]
    assert math.isnan(result.per_image[0]["pq"])
    assert result.scores["pq"] == 0
    assert result.to_dict()["per_image"][0]["aji"] is None


def test_nuclei_of_the_data_science_bowl(shared: Path, tmp_path: Path) -> None:
    labels = sorted((shared / "data" / "dsb2018" / "labels").iterdir())[:6]
    for path in labels:
        ids = segmeter.io.read_label_map(path).labels
        save(tmp_path / "t", **{path.stem: ids})
        save(tmp_path / "p", **{path.stem: np.roll(ids, 2, axis=1)})
    result = evaluate(tmp_path / "p", tmp_path / "t", instances=True)
    assert not result.problems
    objects = result.rows("region_per_class")[1]
    assert objects["tp"] + objects["fn"] == sum(
        len(np.unique(segmeter.io.read_label_map(path).labels)) - 1 for path in labels
    )
    assert 0.5 < result.scores["pq"] < 1
    same = evaluate(tmp_path / "t", tmp_path / "t", instances=True)
    assert same.scores["pq"] == same.scores["mean_ap"] == same.scores["aji"] == 1


# --- causes -----------------------------------------------------------------------------------


def test_causes(folders: tuple[Path, Path]) -> None:
    options: dict[str, Any] = {"class_names": NAMES, "ignore_index": 255}
    result = evaluate(*folders, **options, measures=["pixel", "cause"])
    counts = [
        segmeter.error_causes(pred, target, num_classes=3, ignore_index=255)
        for pred, target in zip(
            *([np.load(path) for path in sorted(folder.iterdir())] for folder in folders),
            strict=True,
        )
    ]
    total = counts[0] + counts[1]
    rows = result.rows("cause_per_class")
    assert [row["iou"] for row in rows] == [row["iou"] for row in result.per_class]
    for cause, share in segmeter.cause_shares(total).items():
        assert [row[f"{cause}_share"] for row in rows] == share.tolist()
        assert [row[f"fp_{cause}"] for row in rows] == getattr(total, f"fp_{cause}").tolist()
        repaired = segmeter.repaired_scores(total)[cause]["mean_iou"]
        assert result.scores[f"mean_iou_without_{cause}_errors"] == pytest.approx(repaired)
    shares = [
        row["iou"] + sum(row[f"{c}_share"] for c in ("boundary", "extent", "segment"))
        for row in rows
    ]
    assert shares == pytest.approx([1, 1, 1])
    crossed = result.rows("cause_per_image_per_class")
    assert [row["fn_segment"] for row in crossed[:3]] == counts[0].fn_segment.tolist()
    assert "causes: boundary" in result.plan.describe()[-2]


def test_cause_maps(folders: tuple[Path, Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {"class_names": NAMES, "ignore_index": 255}
    place = tmp_path / "made" / "here"
    result = evaluate(*folders, **options, measures=["cause"], cause_maps=place, threads=2)
    assert not result.problems
    assert sorted(path.name for path in place.iterdir()) == [
        f"{name}_{side}.png" for name in "ab" for side in ("pred", "target")
    ]
    for name in "ab":
        pred, target = (np.load(folder / f"{name}.npy") for folder in folders)
        _, causes = segmeter.error_causes(
            pred, target, num_classes=3, ignore_index=255, return_map=True
        )
        for side, drawn in zip(("pred", "target"), causes, strict=True):
            found = segmeter.io.read_label_map(place / f"{name}_{side}.png")
            np.testing.assert_array_equal(found.labels, drawn)
            assert found.palette is not None


def test_cause_maps_of_volumes_are_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    maps = [{"case_1": rng.integers(0, 2, (4, 6, 5), np.uint8)} for _ in range(2)]
    folders = save(tmp_path / "p", **maps[0]), save(tmp_path / "t", **maps[1])
    evaluate(*folders, num_classes=2, measures=["cause"], cause_maps=tmp_path / "maps")
    drawn = np.load(tmp_path / "maps" / "case_1_pred.npy")
    assert drawn.shape == (4, 6, 5)
    assert ((drawn > 0) == (maps[0]["case_1"] != maps[1]["case_1"])).all()


def test_cause_maps_stay_in_their_folder(tmp_path: Path) -> None:
    folder = save(tmp_path / "data", a=[[0, 1]])
    table = tmp_path / "pairs.csv"
    table.write_text("id,pred,target\n../../out,data/a.npy,data/a.npy\n", encoding="utf-8")
    result = evaluate(table, num_classes=2, measures=["cause"], cause_maps=folder / "maps")
    (problem,) = result.problems
    assert "leads out of the folder" in problem["message"]
    assert not list(tmp_path.rglob("*.png"))


def test_cause_maps_need_the_measure(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="cause_maps is for causes; name 'cause'"):
        evaluate(*folders, num_classes=3, cause_maps=tmp_path / "maps")
    options = ["--pred", str(folders[0]), "--target", str(folders[1]), "--num-classes", "3"]
    options += ["--ignore-index", "255", "--measures", "pixel,cause"]
    assert main(["evaluate", *options, "--cause-maps", str(tmp_path / "maps")]) == 0
    assert "mean IoU without boundary errors" in capsys.readouterr().out
    assert len(list((tmp_path / "maps").iterdir())) == 4
    table = folders[0] / "a.npy"
    assert main(["evaluate", *options, "--cause-maps", str(table)]) == 2
    assert "is a file; give a folder" in capsys.readouterr().err


FACTS = ("missed", "invented", "wrong_class", "split", "merge")


def test_region_facts_of_causes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {"class_names": NAMES, "ignore_index": 255}
    result = evaluate(*folders, **options, measures=["cause"])
    facts = [
        segmeter.region_facts(pred, target, num_classes=3, ignore_index=255)
        for pred, target in zip(
            *([np.load(path) for path in sorted(folder.iterdir())] for folder in folders),
            strict=True,
        )
    ]
    total = facts[0] + facts[1]
    # b: a column of road splits the car, and a car is where there is road.
    rows = result.rows("cause_per_class")
    assert [rows[1][name] for name in FACTS] == [0, 1, 0, 1, 0]
    for name in FACTS:
        assert [row[name] for row in rows] == getattr(total, name).tolist()
        assert result.per_image[1][f"regions_{name}"] == getattr(facts[1], name).sum()
    for side in ("pred", "target"):
        column = [row[f"{side}_regions"] for row in rows]
        assert column == getattr(total, f"{side}_regions").sum(axis=1).tolist()
    crossed = result.rows("cause_per_image_per_class")
    assert [row["split"] for row in crossed[3:]] == facts[1].split.tolist()
    assert "linked if they share more than half" in result.plan.describe()[-1]

    summed = result.rows("cause_region_facts")
    assert [row.pop("fact") for row in summed] == [
        fact.name.lower() for fact in segmeter.RegionFact
    ]
    arrays_ = {name: array.sum(axis=0).tolist() for name, array in total.to_arrays().items()}
    assert {name: [row[name] for row in summed] for name in summed[0]} == arrays_
    wrong = sum(row[f"fn_{cause}"] for row in rows for cause in ("boundary", "extent", "segment"))
    assert sum(row["false_negatives"] for row in summed) == wrong > 0
    assert result.to_dict()["cause_region_facts"][3]["fact"] == "split"
    result.to_csv(tmp_path / "facts.csv", "cause_region_facts")
    with (tmp_path / "facts.csv").open(encoding="utf-8") as stream:
        written = list(csv.DictReader(stream))
    assert [int(row["target_regions"]) for row in written] == arrays_["target_regions"]
    stored = result.totals.measures["cause"].to_arrays()
    np.testing.assert_array_equal(stored["facts_pred_regions"], total.pred_regions)


def test_region_facts_follow_the_label_rules(tmp_path: Path) -> None:
    # Labels 7 and 8 are one class and touch; 9 does not count; pred 70 means what target 7 means.
    target = [[7, 7, 8, 0, 9, 9, 0, 7], [0, 0, 0, 0, 9, 9, 0, 0]]
    pred = [[70, 0, 70, 0, 70, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]]
    folders = save(tmp_path / "p", a=pred), save(tmp_path / "t", a=target)
    result = evaluate(
        *folders,
        class_names=NAMES[:2],
        mapping={0: 0, 7: 1, 8: 1, 9: "ignore"},
        pred_mapping={0: 0, 70: 1},
        measures=["cause"],
    )
    assert not result.problems
    rows = {row["class"]: row for row in result.rows("cause_per_class")}
    assert [rows["car"][name] for name in FACTS] == [1, 0, 0, 1, 0]
    # What is predicted where the target does not count is no region.
    assert [rows["car"][f"{side}_regions"] for side in ("target", "pred")] == [2, 2]
    same = np.where(np.array(target) == 9, 9, np.array(target) > 0)
    facts = segmeter.region_facts(
        np.array(pred) > 0, same, num_classes=2, ignore_index=9, threads=1
    )
    assert rows["car"]["missed"] == facts.missed[1]
    assert rows["car"]["split"] == facts.split[1]


def test_each_file_is_read_once(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def read(path: str, *rest: Any, **options: Any) -> Any:
        opened.append(path)
        return read_labels(path, *rest, **options)

    read_labels = worker.read_labels
    monkeypatch.setattr(worker, "read_labels", read)
    plan = make_plan(class_names=NAMES, ignore_index=255, measures=["pixel", "region", "cause"])
    pair = Pair("a", *(str(folder / "a.npy") for folder in folders))
    outcome = worker.count_pair(pair, plan)
    assert not outcome.problems
    assert sorted(opened) == sorted([pair.pred, pair.target])


def test_absent_classes_have_no_lines_of_facts(folders: tuple[Path, Path]) -> None:
    names = [*NAMES, *(f"absent {k}" for k in range(20))]
    lines = str(evaluate(*folders, class_names=names, ignore_index=255, measures=["cause"]))
    _, _, facts = lines.partition("\nfacts ")
    assert "tree" in facts
    assert "\nabsent 0" not in facts
    assert "20 more are in neither target nor prediction: absent 0, absent 1" in facts


def test_facts_are_printed(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--pred", str(folders[0]), "--target", str(folders[1]), "--classes", ",".join(NAMES)]
    assert main(["evaluate", *options, "--ignore-index", "255", "--measures", "cause"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.startswith("facts"))
    assert lines[heading].split() == [
        *["facts", "target", "regions", "pred", "regions"],
        *" ".join(FACTS).replace("_", " ").split(),
    ]
    assert lines[heading + 3].split() == ["car", "2", "4", "0", "1", "0", "1", "0"]
    heading = next(number for number, line in enumerate(lines) if line.startswith("fact "))
    assert lines[heading + 5].split()[0] == "split"


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measures": ["regions"]}, "must be of pixel, region, boundary, cause, got 'regions'"),
        ({"measures": []}, "measures is empty"),
        ({"connectivity": 4}, "connectivity is for regions; name 'region'"),
        ({"things": ["a"]}, "things is for regions; name 'region'"),
        ({"measures": ["region"], "connectivity": 5}, "connectivity must be 4 or 8"),
        ({"measures": ["region"], "things": ["c"]}, "things: there is no class 'c'"),
        ({"measures": ["region"], "things": [2]}, "things names class 2, but there are 2"),
        ({"instances": True}, "labels ids of objects, so class_names has no place"),
        ({"instances": True, "measures": ["pixel"]}, "instances=True is for regions"),
        (
            {"instances": True, "measures": ["region"], "connectivity": 4},
            "gives regions as ids, so connectivity= has no place",
        ),
    ],
)
def test_options_that_have_no_place(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_plan(class_names=["a", "b"], **options)


def test_options_of_wrong_types_and_protocols() -> None:
    with pytest.raises(TypeError, match="measures must be a sequence"):
        make_plan(num_classes=2, measures="region")
    with pytest.raises(TypeError, match="things must be a sequence"):
        make_plan(num_classes=2, measures=["region"], things="a")
    with pytest.raises(TypeError, match="connectivity must be an integer"):
        make_plan(num_classes=2, measures=["region"], connectivity=True)
    with pytest.raises(ValueError, match="measures by its own rules; leave out measures"):
        make_plan(protocol="coco-panoptic", measures=["region"])
    with pytest.raises(ValueError, match="so protocol has no place"):
        make_plan(protocol="voc", instances=True)
    assert make_plan(num_classes=2, measures=["region", "pixel"]).measures == ("pixel", "region")


def test_plans_with_other_measures_have_other_hashes() -> None:
    plans = [
        make_plan(num_classes=2),
        make_plan(num_classes=2, measures=["region"]),
        make_plan(num_classes=2, measures=["pixel", "region"]),
        make_plan(num_classes=2, measures=["pixel", "region"], connectivity=4),
        make_plan(num_classes=2, measures=["pixel", "region"], things=[1]),
        make_plan(num_classes=2, measures=["pixel", "region"], things=[]),
        make_plan(instances=True),
        make_plan(protocol="binary", measures=["pixel", "region"]),
    ]
    assert len({plan.hash() for plan in plans}) == len(plans)
    assert make_plan(num_classes=2, measures=["pixel"]).hash() == plans[0].hash()


def test_wrong_connectivity_is_a_problem_of_the_image(folders: tuple[Path, Path]) -> None:
    options: dict[str, Any] = {"class_names": NAMES, "ignore_index": 255}
    result = evaluate(*folders, **options, measures=["region"], connectivity=26)
    assert [row["kind"] for row in result.problems] == ["measure", "measure"]
    assert "connectivity" in result.problems[0]["message"]
    assert result.exit_code == 3


def test_labels_are_checked_without_the_pixel_measure(folders: tuple[Path, Path]) -> None:
    result = evaluate(*folders, num_classes=2, ignore_index=255, measures=["region"])
    assert [row["kind"] for row in result.problems] == ["labels", "labels"]


# --- the command line -------------------------------------------------------------------------


def test_regions_on_the_command_line(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--pred", str(folders[0]), "--target", str(folders[1]), "--ignore-index", "255"]
    options += ["--classes", ",".join(NAMES), "--measures", "pixel,region", "--things", "car,2"]
    written = ["--csv", str(tmp_path / "csv"), "--json", str(tmp_path / "all.json")]
    assert main(["evaluate", *options, *written, "--fail-under", "pq=0.1"]) == 0
    printed = capsys.readouterr().out
    assert "PQ things" in printed
    assert "mean IoU" in printed
    with (tmp_path / "csv" / "region_per_class.csv").open(encoding="utf-8") as stream:
        assert [row["class"] for row in csv.DictReader(stream)] == NAMES
    assert (tmp_path / "csv" / "region_per_image_per_class.csv").is_file()
    content = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert content["plan"]["things"] == [1, 2]
    assert len(content["region_per_class"]) == 3
    assert main(["evaluate", *options, "--fail-under", "pq=0.999"]) == 1
    assert "gate failed: pq is" in capsys.readouterr().err
    assert main(["evaluate", *options, "--quiet", "--fail-under", "rq:car=0.99"]) == 1
    assert "gate failed: rq:car is" in capsys.readouterr().err
    assert main(["evaluate", *options, "--fail-under", "aji=0.5"]) == 2
    assert "there is no score 'aji'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--measures", "pixels"], "measures must be of pixel, region"),
        (["--measures", "pixel,,region"], "--measures: a name is empty"),
        (["--things", "car"], "--things is for regions"),
        (["--instances"], "so --classes has no place"),
    ],
)
def test_wrong_measures_on_the_command_line(
    folders: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    message: str,
) -> None:
    options = ["--pred", str(folders[0]), "--target", str(folders[1]), "--classes", ",".join(NAMES)]
    assert main(["evaluate", *options, *extra]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_regions_alone_under_a_protocol_with_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = save(tmp_path / "p", a=[[7, 8]]), save(tmp_path / "t", a=[[7, 7]])
    result = evaluate(*places, protocol="cityscapes", measures=["region"])
    assert "group" not in str(result)
    options = ["--pred", str(places[0]), "--target", str(places[1])]
    assert main(["evaluate", *options, "--protocol", "cellpose", "--instances"]) == 2
    assert "leave out --instances" in capsys.readouterr().err


def test_instances_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = save(tmp_path / "p", a=PRED_IDS, b=IDS), save(tmp_path / "t", a=IDS, b=IDS)
    options = ["--pred", str(folders[0]), "--target", str(folders[1]), "--instances"]
    assert main(["evaluate", *options, "--fail-under", "ap_50=0.5"]) == 0
    printed = capsys.readouterr().out
    assert "threshold" in printed
    assert "AJI" in printed
    assert main(["evaluate", *options, "--measures", "region"]) == 0
    printed = capsys.readouterr().out
    assert "worst images" in printed
    assert "mean IoU" not in printed
    report = check(*folders, instances=True)
    assert not report.findings


def test_help_names_every_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "500")
        assert main(["evaluate", "--help"]) == 0
    printed = capsys.readouterr().out
    families = {name.removesuffix("-men").removesuffix("-met") for name in PROTOCOLS}
    assert [name for name in families if name not in printed] == []


def test_check_proposes_instances_and_panoptic_files(tmp_path: Path) -> None:
    many = np.arange(2, 3002).reshape(30, 100)
    folders = save(tmp_path / "p", a=many), save(tmp_path / "t", a=many[::-1])
    remedies = [finding.remedy for finding in check(*folders).findings]
    assert any("--instances" in remedy for remedy in remedies)
    assert not [f for f in check(*folders, instances=True).findings if f.level == "error"]


def test_pandas_has_the_tables_of_measures(
    folders: tuple[Path, Path], peer: Callable[[str], ModuleType]
) -> None:
    peer("pandas")
    result = evaluate(*folders, class_names=NAMES, ignore_index=255, measures=["region"])
    assert list(result.to_pandas("region_per_class")["class"]) == NAMES


@pytest.mark.parametrize("dtype", ["i1", "i2", "i8", "u1", "u2", "u8", ">u2", ">i4"])
def test_class_maps_of_any_type_and_memory_layout(dtype: str) -> None:
    choices = np.array([5, 7, 9, 100] if "u" in dtype else [-5, 7, 9, 100]).astype(dtype)
    rng = np.random.default_rng(3)
    pred, target = choices[rng.integers(0, 4, (2, 70, 1001))]  # more than one piece
    table = {int(choices[0]): 0, 7: 1, 100: 2, 9: None}
    plan = make_plan(num_classes=3, mapping=table)
    expected = np.vectorize(lambda label: {9: 3}.get(label, table[label]))
    for layout in (np.asarray, np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]):
        pred_classes, target_classes, ignored = class_maps(layout(pred), layout(target), plan)
        np.testing.assert_array_equal(pred_classes, expected(pred))
        np.testing.assert_array_equal(target_classes, expected(target))
        np.testing.assert_array_equal(ignored, target == 9)
