"""Surface scores by preset against the tool itself, on hundreds of random pairs of masks each."""

from __future__ import annotations

import logging
import runpy
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segmeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDING = {"rtol": 1e-13, "atol": 1e-13}
"""Sums of the same numbers in another order."""

SINGLE = {"rtol": 5e-7, "atol": 1e-7}
"""Sums of the same numbers in float32."""

TABLES = Path(__file__).resolve().parents[1] / "tools" / "make_boundary_table.py"
NO_SURFACE = r"no surface|neither map"


@dataclass(frozen=True)
class Pair:
    """Two masks, and how far their pixels lie apart."""

    pred: np.ndarray
    target: np.ndarray
    spacing: tuple[float, ...]

    @property
    def has_both(self) -> bool:
        return bool(self.pred.any() and self.target.any())


def smooth(values: np.ndarray) -> np.ndarray:
    """Mean over each pixel's neighbours, so that masks have an inside."""
    for axis in range(values.ndim):
        values = values + np.roll(values, 1, axis) + np.roll(values, -1, axis)
    return values


def mask(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A blob or several, a box, noise, a single pixel, or the whole image."""
    kind = rng.choice(["blobs", "box", "noise", "pixel", "full"], p=[0.55, 0.2, 0.1, 0.1, 0.05])
    if kind == "blobs":
        field = smooth(smooth(rng.standard_normal(shape)))
        return field > np.quantile(field, rng.uniform(0.4, 0.95))
    if kind == "noise":
        return rng.random(shape) < rng.uniform(0.05, 0.9)
    found = np.full(shape, kind == "full")
    low = [int(rng.integers(0, n)) for n in shape]
    size = 1 if kind == "pixel" else int(rng.integers(1, 9))
    found[tuple(slice(a, a + size) for a in low)] = True
    return found


def pairs(seed: int, number: int, *, ndims: tuple[int, ...] = (2, 3)) -> Iterator[Pair]:
    rng = np.random.default_rng(seed)
    for _ in range(number):
        ndim = int(rng.choice(ndims))
        shape = tuple(int(n) for n in rng.integers(3, 20 if ndim == 2 else 11, ndim))
        spacing = rng.choice([1.0, 0.5, 0.8, 2.0, 3.3], ndim) if rng.random() < 0.7 else [1] * ndim
        pred, target = mask(rng, shape), mask(rng, shape)
        pred[...] &= rng.random() > 0.06
        target[...] &= rng.random() > 0.06
        yield Pair(pred, target, tuple(float(s) for s in spacing))


def scored(function: Callable[..., Any], pair: Pair, preset: str, **options: Any) -> Any:
    return function(pair.pred, pair.target, preset=preset, spacing=pair.spacing, **options)


def assert_equal(mine: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(np.asarray(mine, float), np.asarray(theirs, float))


@pytest.fixture
def surface_distance(peer: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    # Its last release names them so, and fails on empty masks under NumPy 2.
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    return peer("surface_distance.metrics")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:invalid value:RuntimeWarning")
def test_deepmind(surface_distance: Any) -> None:
    for pair in pairs(1, 300):
        measured = surface_distance.compute_surface_distances(
            pair.target, pair.pred, list(pair.spacing)
        )
        for percentile in (0, 50, 95, 99.5, 100):
            mine = scored(segmeter.hausdorff_distance, pair, "deepmind", percentile=percentile)
            theirs = surface_distance.compute_robust_hausdorff(measured, percentile)
            assert_equal(mine, theirs)
        assert_equal(scored(segmeter.hausdorff_distance, pair, "deepmind"), theirs)
        scores = scored(segmeter.surface_scores, pair, "deepmind", tolerance=(0, 1, 2.4))
        means = surface_distance.compute_average_surface_distance(measured)
        np.testing.assert_allclose(scores.asd[0], means[::-1], **ROUNDING)
        for column, tolerance in enumerate((0, 1, 2.4)):
            shares = surface_distance.compute_surface_overlap_at_tolerance(measured, tolerance)
            mine = scores.surface_overlap[0, column]
            np.testing.assert_allclose(mine, shares[::-1], **ROUNDING)
            share = surface_distance.compute_surface_dice_at_tolerance(measured, tolerance)
            np.testing.assert_allclose(scores.nsd[0, column], share, **ROUNDING)


def test_monai(peer: Callable[[str], ModuleType]) -> None:
    torch, monai = peer("torch"), peer("monai.metrics")
    for pair in pairs(2, 200):
        maps = [torch.from_numpy(m[None, None].copy()) for m in (pair.pred, pair.target)]
        options: dict[str, Any] = {"include_background": True, "spacing": list(pair.spacing)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a mask is empty
            for percentile in (None, 50, 95, 97.3):
                theirs = monai.compute_hausdorff_distance(*maps, percentile=percentile, **options)
                mine = scored(segmeter.hausdorff_distance, pair, "monai", percentile=percentile)
                assert_equal(np.float32(mine), theirs)
            for symmetric, function in ((False, segmeter.asd), (True, segmeter.assd)):
                theirs = monai.compute_average_surface_distance(
                    *maps, symmetric=symmetric, **options
                )
                mine = scored(function, pair, "monai")
                np.testing.assert_allclose(mine, float(theirs), **SINGLE)
            for tolerance in (0.0, 1.0, 2.4):
                theirs = monai.compute_surface_dice(*maps, class_thresholds=[tolerance], **options)
                mine = scored(segmeter.nsd, pair, "monai", tolerance=tolerance)
                assert_equal(np.float32(mine), theirs)


@pytest.mark.parametrize("metric", ["chessboard", "taxicab"])
def test_monai_in_steps(peer: Callable[[str], ModuleType], metric: Any) -> None:
    torch, monai = peer("torch"), peer("monai.metrics")
    for pair in pairs(12, 200):
        maps = [torch.from_numpy(m[None, None].copy()) for m in (pair.pred, pair.target)]
        # It takes a spacing and makes no use of it.
        options: dict[str, Any] = {
            "include_background": True, "spacing": list(pair.spacing), "distance_metric": metric
        }  # fmt: skip
        masks, ours = (pair.pred, pair.target), {"preset": "monai", "metric": metric}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a mask is empty
            for percentile in (None, 50, 95, 97.3):
                theirs = monai.compute_hausdorff_distance(*maps, percentile=percentile, **options)
                mine = segmeter.hausdorff_distance(*masks, percentile=percentile, **ours)
                assert_equal(np.float32(mine), theirs)
            for symmetric, function in ((False, segmeter.asd), (True, segmeter.assd)):
                theirs = monai.compute_average_surface_distance(
                    *maps, symmetric=symmetric, **options
                )
                np.testing.assert_allclose(function(*masks, **ours), float(theirs), **SINGLE)
            for tolerance in (0.0, 1.0, 2.4):
                theirs = monai.compute_surface_dice(*maps, class_thresholds=[tolerance], **options)
                assert_equal(np.float32(segmeter.nsd(*masks, tolerance=tolerance, **ours)), theirs)


def test_medpy(peer: Callable[[str], ModuleType]) -> None:
    medpy = peer("medpy.metric.binary")
    for pair in pairs(3, 250):
        if not pair.has_both:
            with pytest.raises(RuntimeError):
                medpy.hd(pair.pred, pair.target)
            with pytest.raises(ValueError, match=NO_SURFACE):
                scored(segmeter.hausdorff_distance, pair, "medpy")
            continue
        masks = (pair.pred, pair.target, pair.spacing)
        robust = scored(segmeter.hausdorff_distance, pair, "medpy", percentile=95)
        assert_equal(robust, medpy.hd95(*masks))
        for mine, theirs in (
            (segmeter.hausdorff_distance, medpy.hd),
            (segmeter.asd, medpy.asd),
            (segmeter.assd, medpy.assd),
        ):
            assert_equal(scored(mine, pair, "medpy"), theirs(*masks))


@pytest.fixture
def seg_metrics(peer: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Any:
    # It imports readers of files from a package with a dozen more, and calls none of them here.
    readers = ModuleType("medutils.medutils")
    for name in ("load_itk", "get_gdth_pred_names", "one_hot_encode_3d"):
        setattr(readers, name, None)
    monkeypatch.setitem(sys.modules, "medutils", ModuleType("medutils"))
    monkeypatch.setitem(sys.modules, "medutils.medutils", readers)
    return peer("seg_metrics.seg_metrics")


def test_seg_metrics(seg_metrics: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    for pair in pairs(4, 250):
        if pair.pred.all() or pair.target.all():
            continue  # a mask without contour: its distances are 1.8e19
        theirs = seg_metrics.computeQualityMeasures(
            pair.pred.astype(np.uint8),
            pair.target.astype(np.uint8),
            np.array(pair.spacing[::-1]),
            ["hd", "hd95", "msd"],
        )
        scores = scored(segmeter.surface_scores, pair, "seg_metrics")
        mine = [scores.hausdorff[0], scores.hausdorff_percentile[0, 0], scores.assd[0]]
        np.testing.assert_allclose(mine, [theirs[k] for k in ("hd", "hd95", "msd")], rtol=2e-6)


def test_panoptica(peer: Callable[[str], ModuleType]) -> None:
    named = {
        name: getattr(peer(f"panoptica.metrics.{module}"), name)
        for module, name in (
            ("hausdorff_distance", "_compute_hausdorff_distance"),
            ("hausdorff_distance", "_compute_hausdorff_distance95"),
            ("assd", "_average_symmetric_surface_distance"),
            ("normalized_surface_dice", "_compute_normalized_surface_dice"),
        )
    }
    for pair in pairs(5, 250):
        if not pair.has_both:
            with pytest.raises(ValueError, match=NO_SURFACE):
                scored(segmeter.nsd, pair, "panoptica", tolerance=1)
            continue
        masks = (pair.target, pair.pred, pair.spacing)
        scores = scored(segmeter.surface_scores, pair, "panoptica", tolerance=1.5)
        assert_equal(scores.hausdorff[0], named["_compute_hausdorff_distance"](*masks))
        robust = named["_compute_hausdorff_distance95"](*masks)
        assert_equal(scores.hausdorff_percentile[0, 0], robust)
        assert_equal(scores.assd[0], named["_average_symmetric_surface_distance"](*masks))
        share = named["_compute_normalized_surface_dice"](*masks, threshold=1.5)
        np.testing.assert_allclose(scores.nsd[0, 0], share, **ROUNDING)


def test_simpleitk(peer: Callable[[str], ModuleType]) -> None:
    sitk = peer("SimpleITK")
    for pair in pairs(6, 250):
        images = [sitk.GetImageFromArray(m.astype(np.uint8)) for m in (pair.pred, pair.target)]
        for image in images:
            image.SetSpacing(pair.spacing[::-1])
        measure = sitk.HausdorffDistanceImageFilter()
        if not pair.has_both:
            with pytest.raises(RuntimeError):
                measure.Execute(*images)
            with pytest.raises(ValueError, match=NO_SURFACE):
                scored(segmeter.hausdorff_distance, pair, "simpleitk")
            continue
        measure.Execute(*images)
        mine = scored(segmeter.hausdorff_distance, pair, "simpleitk")
        np.testing.assert_allclose(mine, measure.GetHausdorffDistance(), rtol=1e-6)
        mine = scored(segmeter.assd, pair, "simpleitk")
        np.testing.assert_allclose(mine, measure.GetAverageHausdorffDistance(), rtol=1e-6)


def test_skimage(peer: Callable[[str], ModuleType]) -> None:
    skimage = peer("skimage.metrics")
    for pair in pairs(7, 250):
        options = {"preset": "skimage"}
        mine = segmeter.hausdorff_distance(pair.pred, pair.target, **options)
        assert_equal(mine, skimage.hausdorff_distance(pair.pred, pair.target))
        mine = segmeter.assd(pair.pred, pair.target, **options)
        theirs = skimage.hausdorff_distance(pair.pred, pair.target, method="modified")
        np.testing.assert_allclose(mine, theirs, **ROUNDING)


def test_torchmetrics(peer: Callable[[str], ModuleType]) -> None:
    torch, torchmetrics = peer("torch"), peer("torchmetrics.functional.segmentation")
    for pair in pairs(8, 250, ndims=(2,)):
        size = min(pair.pred.shape)  # others it measures wrongly
        pred, target = (m[:size, :size] for m in (pair.pred, pair.target))
        maps = [torch.from_numpy(m[None, None].astype(np.int64)) for m in (pred, target)]
        options: dict[str, Any] = {"preset": "torchmetrics", "spacing": pair.spacing}
        if not (pred.any() or target.any()):
            with pytest.raises(ValueError, match="neither map"):
                segmeter.hausdorff_distance(pred, target, **options)
            continue
        theirs = torchmetrics.hausdorff_distance(
            *maps, num_classes=1, include_background=True, spacing=list(pair.spacing)
        )
        mine = segmeter.hausdorff_distance(pred, target, **options)
        np.testing.assert_allclose(mine, float(theirs), **SINGLE)


@pytest.mark.parametrize("preset", ["metrics_reloaded", "distorch"])
def test_tools_without_a_package_by_what_they_printed(preset: str) -> None:
    tables: dict[str, Any] = runpy.run_path(str(TABLES))
    for column, shape in enumerate((tables["flat_shape"](), tables["solid_shape"]())):
        mine = tables["ours"](preset, shape)
        printed = tables["FROM_SOURCE"][preset][1][column]
        np.testing.assert_allclose(list(mine.values()), printed, atol=5.1e-5)


def test_meshmetrics_by_what_it_printed() -> None:
    """Its mesh is in float32: a distance that is the tolerance exactly may fall to either side."""
    tables: dict[str, Any] = runpy.run_path(str(TABLES))
    for column, (pred, target, spacing) in enumerate(
        (tables["flat_shape"](), tables["solid_shape"]())
    ):
        tolerance = tables["TOLERANCE"]
        scores = segmeter.surface_scores(
            pred, target, preset="meshmetrics", spacing=spacing,
            tolerance=[tolerance - 1e-6, tolerance + 1e-6],
        )  # fmt: skip
        *distances, overlap = tables["FROM_SOURCE"]["meshmetrics"][1][column]
        mine = [scores.hausdorff[0], scores.hausdorff_percentile[0, 0], scores.assd[0]]
        np.testing.assert_allclose(mine, distances, atol=5.1e-5)
        assert scores.nsd[0, 0] - 5.1e-5 <= overlap <= scores.nsd[0, 1] + 5.1e-5
