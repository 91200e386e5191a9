"""Numbers printed in, or computed by, other projects' tests: cases of kind ``region``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter import region
from segmeter.region import overlap_table, panoptic_counts, panoptic_quality

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

Case = dict[str, Any]
NOWHERE = 10**6
"""Id of pixels that belong to no segment and are not void either."""

NEEDS_DISTANCES = {"sq_assd", "sq_assd_std", "global_bin_hd", "global_bin_hd95", "sq_hd"}
"""Parts of expected answers that are distances between surfaces, which regions do not have."""


# --- panoptic quality


def monai_means(counts: region.PanopticCounts, case: Case) -> NDArray[Any]:
    quality = panoptic_quality(counts, preset="monai")
    name = case["params"].get("metric_name", "pq").lower().replace(" ", "_")
    return {
        "pq": quality.pq,
        "rq": quality.rq,
        "segmentation_quality": quality.sq,
        "recognition_quality": quality.rq,
    }[name]


def instance_pq(case: Case) -> float:
    table = overlap_table(case["arrays"]["pred"], case["arrays"]["gt"])
    threshold = case["params"]["match_iou_threshold"]
    return float(monai_means(panoptic_counts(table, num_classes=1, threshold=threshold), case)[0])


def instance_pq_per_class(case: Case) -> NDArray[Any]:
    params = case["params"]
    images = []
    for pred, target in zip(case["arrays"]["pred"], case["arrays"]["gt"], strict=True):
        table = overlap_table(
            pred[0], target[0], pred_classes=pred[1], target_classes=target[1], split_classes=True
        )
        images.append(
            panoptic_counts(
                table,
                num_classes=params["num_classes"] + 1,  # class 0 is background
                threshold=params["match_iou_threshold"],
            )
        )
    if params.get("reduction") == "none":
        return np.array([monai_means(counts, case)[1:] for counts in images])
    return monai_means(sum(images), case)[1:]


def torchmetrics_quality(case: Case) -> region.PanopticQuality:
    """Categories of the last axis; those that are not named are void in either map."""
    things, stuffs = (case["params"].get(name, []) for name in ("things", "stuffs"))
    order = [*sorted(things), *sorted(stuffs)]  # in which torchmetrics answers
    maps = {}
    for name in ("preds", "target"):
        category, instance = np.moveaxis(case["arrays"][name].astype(np.int64), -1, 0)
        classes = np.full(category.shape, -1)
        for index, known in enumerate(order):
            classes[category == known] = index
        ids = category * 1000 + np.where(np.isin(category, stuffs), 0, instance) + 1
        maps[name] = np.where(classes < 0, 0, ids), classes
    table = overlap_table(
        maps["preds"][0],
        maps["target"][0],
        ignore_index=0,
        pred_ignore_index=0,
        pred_classes=maps["preds"][1],
        target_classes=maps["target"][1],
    )
    counts = panoptic_counts(table, num_classes=len(order), preset="torchmetrics")
    return panoptic_quality(counts, preset="torchmetrics")


def deeplab_counts(
    case: Case, num_classes: int, suffix: str = "", void_instances: set[int] | None = None
) -> region.PanopticCounts:
    """Class and instance maps; predictions of the ignored class are no segments."""
    ignored = case["params"]["ignored_label"]
    maps = {}
    for side in ("gt", "pred"):
        classes, instances = (
            case["arrays"][f"{side}_{part}{suffix}"].astype(np.int64)
            for part in ("class", "instance")
        )
        ids = np.where(classes == ignored, NOWHERE, classes * 1000 + instances)
        maps[side] = ids, classes, instances
    ids, classes, instances = maps["gt"]
    void = classes == ignored
    if void_instances is not None:
        void &= np.isin(instances, list(void_instances))
    table = overlap_table(
        maps["pred"][0],
        ids,
        background=NOWHERE,
        ignore_index=void,
        pred_classes=maps["pred"][1],
        target_classes=classes,
    )
    return panoptic_counts(table, num_classes=num_classes)


def deeplab2_means(case: Case) -> dict[str, float]:
    # Ignored pixels of another instance than 0 stay in the union: the program overlooks them.
    counts = deeplab_counts(case, case["params"]["num_classes"], void_instances={0})
    quality = panoptic_quality(counts)
    means = dict(zip(("pq", "sq", "rq"), quality.all[:3], strict=True))
    return means | {name: float(getattr(counts, name).mean()) for name in ("tp", "fn", "fp")}


def deeplab_per_class(case: Case) -> dict[str, Any]:
    counts = deeplab_counts(case, case["params"]["num_categories"], "_0")
    return {
        "iou_per_class": counts.iou_sum,
        "tp_per_class": counts.tp,
        "fn_per_class": counts.fn,
        "fp_per_class": counts.fp,
        "pq": panoptic_quality(counts).all.pq,
    }


def parsing_covering_of_files(case: Case, data: Path) -> dict[str, Any]:
    pillow = pytest.importorskip("PIL.Image")
    arrays = {name: data / part["file"] for name, part in case["arrays"].items()}
    files = {side: json.loads(arrays[f"{side}_json"].read_text()) for side in ("gt", "pred")}
    preds = {entry["image_id"]: entry for entry in files["pred"]["annotations"]}
    totals = dict.fromkeys((False, True), 0)
    for entry in files["gt"]["annotations"]:
        maps, classes = {}, {}
        crowd = [segment["id"] for segment in entry["segments_info"] if segment["iscrowd"]]
        for side, one in (("gt", entry), ("pred", preds[entry["image_id"]])):
            rgb = np.asarray(pillow.open(arrays[f"{side}_dir"] / one["file_name"]), np.int64)
            maps[side] = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
            classes[side] = {s["id"]: s["category_id"] for s in one["segments_info"]}
        table = overlap_table(
            maps["pred"],
            maps["gt"],
            ignore_index=[case["params"]["ignored_label"], *crowd],  # as the program has it
            pred_classes=classes["pred"],
            target_classes=classes["gt"],
        )
        for normalize in totals:
            totals[normalize] += region.parsing_covering_counts(
                table, num_classes=case["params"]["num_categories"], normalize=normalize
            )
    things = [kind["id"] for kind in files["gt"]["categories"] if kind["isthing"]]
    stuff = [kind["id"] for kind in files["gt"]["categories"] if not kind["isthing"]]
    covering = region.parsing_covering(totals[False])
    result = {"All_pc_normalized": np.nanmean(region.parsing_covering(totals[True]))}
    for name, members in (("All", slice(None)), ("Things", things), ("Stuff", stuff)):
        result[f"{name}_pc"] = np.nanmean(covering[members])
        result[f"{name}_n"] = int((~np.isnan(covering[members])).sum())
    return result


# --- instances


def stardist_matching(case: Case) -> dict[str, int]:
    table = overlap_table(case["arrays"]["y_pred"], case["arrays"]["y_true"])
    counts = region.instance_counts(
        table, thresholds=case["params"]["thresh"], criterion="iou", preset="stardist"
    )
    return {name: int(getattr(counts, name)[0]) for name in ("tp", "fp", "fn")}


def binary_dice(table: region.OverlapTable) -> float:
    areas = table.pred_area.sum() + table.target_area.sum()
    return float(2 * table.intersection.sum() / areas)


def panoptica_numbers(pred: NDArray[Any], target: NDArray[Any]) -> dict[str, float]:
    """Naive matching from IoU 0.5 on, and what panoptica says of the matched pairs."""
    table = overlap_table(pred, target)
    counts = region.instance_counts(table, thresholds=0.5, preset="panoptica")
    scores = region.instance_scores(counts)
    matching = region.match_regions(table, method="greedy")
    numbers = {
        "tp": int(counts.tp[0]),
        "fp": int(counts.fp[0]),
        "fn": int(counts.fn[0]),
        "sq": float(scores.mean_matched_score[0]),
        "pq": float(scores.panoptic_quality[0]),
        "global_bin_dsc": binary_dice(table),
        "global_bin_rvd": table.pred_area.sum() / table.target_area.sum() - 1,
    }
    if len(matching.score):
        pairs = matching.pred_index, matching.target_index
        numbers |= pair_numbers(table, *pairs, matching.score)
        centroids = [
            region.instance_regions(ids).centroid[index]
            for ids, index in zip((pred, target), pairs, strict=True)
        ]
        numbers["sq_cedi"] = np.linalg.norm(centroids[0] - centroids[1], axis=-1).mean()
        centre = [region.label_components(ids, binary=True).centroid for ids in (pred, target)]
        if all(len(one) == 1 for one in centre):
            numbers["global_bin_cedi"] = np.linalg.norm(centre[0] - centre[1])
    return numbers


def pair_numbers(
    table: region.OverlapTable, pred: NDArray[Any], target: NDArray[Any], iou: NDArray[Any]
) -> dict[str, float]:
    dice = 2 * iou / (1 + iou)
    difference = table.pred_area[pred] / table.target_area[target] - 1
    return {
        "sq": iou.mean(),
        "sq_std": iou.std(),
        "sq_dsc": dice.mean(),
        "sq_dsc_std": dice.std(),
        "sq_rvd": difference.mean(),
    }


def panoptica_semantic(case: Case) -> dict[str, float]:
    pred, target = (
        region.label_components(case["arrays"][name], connectivity=8, return_labels=True)[1]
        for name in ("prediction", "reference")
    )
    return panoptica_numbers(pred, target)


def read_nifti(path: Path) -> NDArray[Any]:
    nibabel = pytest.importorskip("nibabel")
    return np.asarray(nibabel.load(path).dataobj).astype(np.int64)


def spine(case: Case, data: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    pred, target = (
        read_nifti(data / case["arrays"][name]["file"]) for name in ("prediction", "reference")
    )
    return pred, target


def panoptica_matched(case: Case, data: Path) -> dict[str, float]:
    """Instances of equal id are pairs; those from the threshold on are averaged (19 of 22)."""
    table = overlap_table(*spine(case, data))
    same = table.pred_id[table.pred_index] == table.target_id[table.target_index]
    same &= table.iou >= case["params"]["decision_threshold"]
    numbers = pair_numbers(table, table.pred_index[same], table.target_index[same], table.iou[same])
    return numbers | {"global_bin_dsc": binary_dice(table)}


def panoptica_group(case: Case, data: Path) -> dict[str, float]:
    pred, target = (
        np.where(np.isin(ids, case["params"]["labels"]), ids, 0) for ids in spine(case, data)
    )
    return panoptica_numbers(pred, target)


def coco_mask_ap(case: Case) -> dict[str, float]:
    params, arrays = case["params"], case["arrays"]
    pred, target = (
        region.RunLengthMasks.from_masks(arrays[name][None]) for name in ("det_mask_0", "gt_mask_0")
    )
    kinds = sorted({*params["gt_classes"], *params["det_classes"]})
    counts = region.coco_counts(
        pred,
        target,
        scores=params["det_scores"],
        pred_classes=[kinds.index(k) for k in params["det_classes"]],
        target_classes=[kinds.index(k) for k in params["gt_classes"]],
        num_classes=len(kinds),
    )
    summary = region.coco_average_precision(counts).summary()
    names = {"AP": "ap", "AP50": "ap_50", "AP75": "ap_75"}
    names |= {f"AR{limit}": f"ar_{limit}" for limit in (1, 10, 100)}
    return {theirs: summary[ours] for theirs, ours in names.items()}


# --- partitions and components


def adapted_rand_error(case: Case) -> dict[str, float]:
    assert case["params"]["ignore_labels"] == [0]
    table = overlap_table(case["arrays"]["image_test"], case["arrays"]["image_true"])
    counts = region.partition_counts(table, preset="skimage")
    result = region.adapted_rand(counts, alpha=case["params"]["alpha"], preset="skimage")
    return result._asdict()


def variation_of_information(case: Case) -> dict[str, float]:
    table = overlap_table(case["arrays"]["image_test"], case["arrays"]["image_true"])
    counts = region.partition_counts(table)
    base = case["params"]["log_base"]
    return {"sum": region.split_merge_information(counts, base=base).total}


def component_sizes(case: Case) -> dict[str, Any]:
    components = region.label_components(case["arrays"]["mask"], connectivity=26)
    return {"count": len(components.area), "sorted_sizes": np.sort(components.area)}


def betti0_error(case: Case) -> dict[str, float]:
    """Difference of the numbers of components per label of the two maps."""
    maps = [case["arrays"][name] for name in ("pred", "gt")]
    labels = [label for label in np.union1d(*maps).tolist() if label != 0]
    per_label = [region.label_components(ids, connectivity=26).value for ids in maps]
    errors = [abs(int((per_label[0] == k).sum()) - int((per_label[1] == k).sum())) for k in labels]
    merged = [len(region.label_components(ids, connectivity=26, binary=True).id) for ids in maps]
    result = {str(k): float(error) for k, error in zip(labels, errors, strict=True)}
    return result | {
        "class_average": float(np.mean(errors)),
        "merged_binary": float(abs(merged[0] - merged[1])),
    }


ANSWERS: dict[str, Callable[[Case], Any]] = {
    "adapted_rand_error": adapted_rand_error,
    "betti0_error": betti0_error,
    "coco_mask_ap": coco_mask_ap,
    "component_sizes": component_sizes,
    "instance_matching": stardist_matching,
    "instance_pq": instance_pq,
    "instance_pq_per_class": instance_pq_per_class,
    "panoptic_quality": lambda case: torchmetrics_quality(case).all.pq,
    "panoptic_quality_class_mean": deeplab2_means,
    "panoptic_quality_counts": deeplab_per_class,
    "panoptic_quality_per_class": lambda case: torchmetrics_quality(case).pq,
    "panoptica_instances": lambda case: panoptica_numbers(
        case["arrays"]["prediction"], case["arrays"]["reference"]
    ),
    "panoptica_semantic": panoptica_semantic,
    "variation_of_information": variation_of_information,
}

ANSWERS_OF_FILES: dict[str, Callable[[Case, Path], Any]] = {
    "panoptica_matched": panoptica_matched,
    "panoptica_unmatched_group": panoptica_group,
    "parsing_covering_files": parsing_covering_of_files,
}

ELSEWHERE = {"cldice", "froc_assign", "froc_score", "picai_lesion_list"}
"""Answered in the tests of lesions and topology."""


def plain(value: Any) -> Any:
    """Arrays as nested lists, as the checker takes them."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return np.asarray(value).tolist()


def test_every_region_case_has_an_answer(cases: list[Case]) -> None:
    known = {*ANSWERS, *ANSWERS_OF_FILES, *ELSEWHERE}
    assert {case["op"] for case in cases if case["kind"] == "region"} == known


@pytest.mark.parametrize("op", sorted([*ANSWERS, *ANSWERS_OF_FILES]))
def test_region_cases(op: str, cases: list[Case], oracles: ModuleType, shared: Path) -> None:
    chosen = [case for case in cases if case["kind"] == "region" and case["op"] == op]
    assert chosen
    for case in chosen:
        if op in ANSWERS:
            got = plain(ANSWERS[op](case))
        else:
            got = plain(ANSWERS_OF_FILES[op](case, shared / "data"))
        if isinstance(case["expected"], dict):
            expected = {k: v for k, v in case["expected"].items() if k not in NEEDS_DISTANCES}
            got = {name: got[name] for name in expected}
            case = {**case, "expected": expected}
        assert oracles.check(case, got), f"{case['name']}: {got}, expected {case['expected']}"
