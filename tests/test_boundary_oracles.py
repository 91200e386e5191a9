"""Surface scores: numbers printed in other projects' tests, and tools beside us on real scans."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segmeter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

Case = dict[str, Any]

NOT_EUCLIDEAN = ("chessboard", "taxicab")
"""Ways to measure that grids have and surfaces in space have not: not ours."""


def euclidean(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not name.startswith(NOT_EUCLIDEAN)}


def monai_hausdorff(case: Case) -> dict[str, Any]:
    maps = (case["arrays"]["y_pred"], case["arrays"]["y"])
    options: dict[str, Any] = {"preset": "monai", "spacing": case["params"]["spacing"]}
    directed = segmeter.hausdorff_distance(*maps, percentile_rule="directed", **options)
    return {
        "euclidean_directed": directed[0],
        "euclidean": segmeter.hausdorff_distance(*maps, **options),
    }


def monai_average(case: Case) -> dict[str, Any]:
    maps = (case["arrays"]["y_pred"], case["arrays"]["y"])
    options: dict[str, Any] = {"preset": "monai", "spacing": case["params"]["spacing"]}
    return {
        "symmetric": segmeter.assd(*maps, **options),
        "asymmetric": segmeter.asd(*maps, **options),
    }


def monai_surface_dice(case: Case) -> Any:
    params = case["params"]
    return segmeter.nsd(
        case["arrays"]["pred"],
        case["arrays"]["gt"],
        tolerance=dict(zip(params["classes"], params["class_thresholds"], strict=True)),
        classes=params["classes"],
        preset="monai",
    )


def deepmind(case: Case) -> dict[str, Any]:
    maps = (case["arrays"]["mask_pred"], case["arrays"]["mask_gt"])
    scores = segmeter.surface_scores(
        *maps, preset="deepmind", tolerance=1, spacing=case["params"]["spacing_mm"]
    )
    return {
        "average_surface_distance": scores.asd[0, ::-1],
        "hausdorff_100": scores.hausdorff[0],
        "hausdorff_95": scores.hausdorff_percentile[0, 0],
        "surface_overlap_1mm": scores.surface_overlap[0, 0, ::-1],
        "surface_dice_1mm": scores.nsd[0, 0],
    }


def topcow(case: Case) -> dict[str, Any]:
    maps = (case["arrays"]["pred"], case["arrays"]["gt"])
    scores = segmeter.surface_scores(
        *maps, surface="voxel_full", border="ignore", percentile_rule="max_directed",
        spacing=case["params"]["spacing"],
    )  # fmt: skip
    return {"hd95": scores.hausdorff_percentile[0, 0], "hd100": scores.hausdorff[0]}


def pitfalls(case: Case) -> dict[str, Any]:
    scores = segmeter.surface_scores(
        case["arrays"]["pred"],
        case["arrays"]["ref"],
        preset="metrics_reloaded",
        tolerance=case["params"]["nsd_tau"],
    )
    return {
        "hd": scores.hausdorff[0],
        "masd": scores.masd[0],
        "assd": scores.assd[0],
        "nsd": scores.nsd[0, 0],
    }


ANSWERS: dict[str, Callable[[Case], Any]] = {
    "hausdorff_voxel_edges": monai_hausdorff,
    "average_surface_distance": monai_average,
    "surface_dice_voxel_edges": monai_surface_dice,
    "deepmind_surface_distance": deepmind,
    "hd95_fullconn_contour": topcow,
    "pitfalls_distance": pitfalls,
}
NUMBER_OF_CASES = {
    "hausdorff_voxel_edges": 6,
    "average_surface_distance": 2,
    "surface_dice_voxel_edges": 2,
    "deepmind_surface_distance": 5,
    "hd95_fullconn_contour": 8,
    "pitfalls_distance": 1,
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_printed_numbers(kind: str, cases: list[Case], oracles: ModuleType) -> None:
    wrong, number = [], 0
    for case in cases:
        if case["op"] != kind or case["params"].get("distance_metric") in NOT_EUCLIDEAN:
            continue
        number += 1
        got, expected = ANSWERS[kind](case), case["expected"]
        if isinstance(expected, dict):
            expected = {name: value for name, value in euclidean(expected).items() if name in got}
            assert set(expected) == set(got)
        if not oracles.check(case | {"expected": expected}, got):
            wrong.append((case["name"], got, expected))
    assert not wrong
    assert number == NUMBER_OF_CASES[kind]


@pytest.mark.parametrize("name", ["meshmetrics.3d", "meshmetrics.2d"])
def test_numbers_of_meshmetrics(
    name: str, cases: list[Case], oracles: ModuleType, shared: Path
) -> None:
    (case,) = (case for case in cases if case["name"] == name)
    maps = [volume(shared / "data" / case["arrays"][role]["file"])[0] for role in ("pred", "ref")]
    scores = segmeter.surface_scores(
        *(np.squeeze(labels) > 0 for labels in maps),
        preset="meshmetrics",
        spacing=case["params"]["spacing"],
        tolerance=2,
    )
    got = {
        "HD": scores.hausdorff[0],
        "HD95": scores.hausdorff_percentile[0, 0],
        "ASSD": scores.assd[0],
        "MASD": scores.masd[0],
        "NSD_tau2": scores.nsd[0, 0],
    }
    expected = {measure: case["expected"][measure] for measure in got}
    assert oracles.check(case | {"expected": expected}, got), got


# --- real scans -------------------------------------------------------------------------------


def volume(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(path)
    spacing = tuple(float(step) for step in image.header.get_zooms())
    return np.asarray(image.dataobj).astype(np.uint8), spacing


def cropped(*masks: np.ndarray) -> tuple[np.ndarray, ...]:
    """Masks cut to where something is, with a margin."""
    places = np.nonzero(np.logical_or.reduce(masks))
    box = tuple(slice(max(p.min() - 1, 0), p.max() + 2) for p in places)
    return tuple(np.ascontiguousarray(m[box]) for m in masks)


@pytest.fixture
def deepminds(
    peer: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[float]]:
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    module = peer("surface_distance.metrics")

    def scores(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> list[float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            measured = module.compute_surface_distances(target, pred, spacing)
        return [
            module.compute_robust_hausdorff(measured, 100),
            module.compute_robust_hausdorff(measured, 95),
            *module.compute_average_surface_distance(measured)[::-1],
            module.compute_surface_dice_at_tolerance(measured, 2),
        ]

    return scores


def ours(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...], preset: str) -> Any:
    scores = segmeter.surface_scores(pred, target, spacing=spacing, preset=preset, tolerance=2)
    return [
        scores.hausdorff[0],
        scores.hausdorff_percentile[0, 0],
        *scores.asd[0],
        scores.nsd[0, 0],
    ]


@pytest.mark.parametrize("case", ["case_00004", "case_00009", "case_00010"])
def test_two_annotators_of_a_tumour(
    case: str, shared: Path, deepminds: Any, peer: Callable[[str], ModuleType]
) -> None:
    folder = shared / "data" / "kits23_annotators" / case
    names = [f"tumor_instance-1_annotation-{rater}.nii.gz" for rater in (1, 2)]
    (pred, spacing), (target, _) = (volume(folder / name) for name in names)
    pred, target = cropped(pred > 0, target > 0)
    np.testing.assert_allclose(
        ours(pred, target, spacing, "deepmind"), deepminds(pred, target, spacing), rtol=1e-12
    )
    medpy = peer("medpy.metric.binary")
    expected = [measure(pred, target, spacing) for measure in (medpy.hd, medpy.hd95, medpy.asd)]
    np.testing.assert_allclose(ours(pred, target, spacing, "medpy")[:3], expected, rtol=1e-14)


def test_a_knee_of_two_readers(shared: Path, deepminds: Any) -> None:
    folder = shared / "data" / "distorch_knee"
    target, spacing = volume(folder / "9996098.nii.gz")
    pred, _ = volume(folder / "9996098_R_segmentation.nii.gz")
    pred, target = cropped(pred == 4, target == 4)
    np.testing.assert_allclose(
        ours(pred, target, spacing, "deepmind"), deepminds(pred, target, spacing), rtol=1e-12
    )


def test_hippocampi_of_both_classes_in_one_pass(
    shared: Path, deepminds: Any, peer: Callable[[str], ModuleType]
) -> None:
    medpy = peer("medpy.metric.binary")
    files = sorted((shared / "data" / "hippocampus" / "labels").glob("*.nii.gz"))
    counts = []
    for path in files[:8]:
        target, _ = volume(path)
        spacing = (1.0, 1.3, 0.7)  # another than theirs, which is 1
        pred = np.roll(target, (1, -2), axis=(0, 2))
        pred[target.shape[0] // 2 :] = 0
        options: dict[str, Any] = {"num_classes": 3, "spacing": spacing, "tolerance": 2}
        counts.append(segmeter.boundary_counts(pred, target, preset="deepmind", **options))
        faces = segmeter.surface_scores(pred, target, preset="medpy", **options)
        for k in (0, 1):
            masks = (pred == k + 1, target == k + 1)
            found = [
                counts[-1].hausdorff[0, k],
                counts[-1].hausdorff_percentile[0, k, 0],
                *counts[-1].asd[0, k],
                counts[-1].nsd[0, k, 0],
            ]
            np.testing.assert_allclose(found, deepminds(*masks, spacing), rtol=1e-12)
            assert faces.hausdorff[k] == medpy.hd(*masks, spacing)
            assert faces.hausdorff_percentile[k, 0] == medpy.hd95(*masks, spacing)
            # Points of a volume in Fortran order come, and are summed, in the order of its memory.
            assert faces.assd[k] == pytest.approx(medpy.assd(*masks, spacing), rel=1e-14)
    total = sum(counts)
    means = segmeter.boundary_scores(total)["hausdorff_percentile"]
    assert means.num_cases.tolist() == [[8], [8]]
    worst = total.hausdorff.max(axis=0)
    whole = segmeter.dataset_percentile(total, 100)
    assert ((whole >= worst) & (whole - total.resolution < worst)).all()
