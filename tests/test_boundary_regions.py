"""Distances of single regions: cut out, they are those of the whole image; lesions and glands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmeter
from segmeter import LESION_RULES, io, region
from segmeter.reference import region_lesions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


def blobs(rng: np.random.Generator, shape: tuple[int, ...], number: int, size: int) -> np.ndarray:
    """Boxes with numbers, some over others."""
    canvas = np.zeros(shape, np.int32)
    for k in range(number):
        low = [int(rng.integers(0, n)) for n in shape]
        high = [a + int(rng.integers(1, size + 1)) for a in low]
        canvas[tuple(map(slice, low, high))] = k + 1
    return canvas


@st.composite
def instance_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(20, 30), (1, 40), (8, 9, 12), (12, 1, 7)]))
    number, size = draw(st.integers(0, 6)), draw(st.sampled_from([2, 6]))
    target = blobs(rng, shape, number, size)
    pred = np.roll(target, rng.integers(-2, 3, len(shape)), axis=tuple(range(len(shape))))
    return pred + 10 * (pred > 0) if draw(st.booleans()) else blobs(rng, shape, 3, 5), target


@settings(max_examples=60)
@given(
    instance_maps(),
    st.sampled_from(["corner", "voxel_face", "voxel_full", "foreground"]),
    st.sampled_from(["background", "ignore"]),
    st.booleans(),
)
def test_cut_out_or_not_distances_are_the_same(
    maps: tuple[np.ndarray, np.ndarray], surface: Any, border: Any, ignoring: bool
) -> None:
    pred, target = maps
    spacing = [0.5, 2.0, 1.3][: pred.ndim]
    result = segmeter.region_surface_distances(
        pred, target, instances=True, spacing=spacing, surface=surface, border=border,
        ignore_index=2 if ignoring else None,
    )  # fmt: skip
    ignored = (target == 2) & ignoring
    pred, target = (np.where(ignored, 0, part) for part in maps)
    expected = {}
    for k in np.unique(target[target > 0]).tolist():
        ids, shared = np.unique(pred[(target == k) & (pred > 0)], return_counts=True)
        if ids.size:
            expected[k] = ids[np.argmax(shared)]
    assert dict(zip(result.target_id.tolist(), result.pred_id.tolist(), strict=True)) == expected
    assert len(result) == len(expected)
    for k, own in enumerate(result.target_id.tolist()):
        whole = segmeter.surface_distances(
            pred == result.pred_id[k], target == own, spacing=spacing, surface=surface,
            border=border, ignore_index=ignored,
        )[1]  # fmt: skip
        cut = result.distances[k]
        for name in ("pred_to_target", "target_to_pred", "pred_weight", "target_weight"):
            np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name), err_msg=name)


def test_pairs_of_a_matching_components_and_bad_pairs() -> None:
    target = np.zeros((20, 20), bool)
    target[2:6, 2:6] = target[10:18, 10:18] = True
    pred = np.roll(target, 1, axis=0)
    regions = [region.label_components(part) for part in (pred, target)]
    matching = region.match_regions(region.overlap_table(*regions))
    result = segmeter.region_surface_distances(*regions, pairs=matching, spacing=(3, 1))
    np.testing.assert_array_equal(segmeter.hausdorff_distance(result.distances), [3, 3])
    np.testing.assert_array_equal(
        segmeter.nsd(result.distances, tolerance=3.0), segmeter.nsd(result.distances, tolerance=9)
    )
    crossed = segmeter.region_surface_distances(pred, target, pairs=[[0, 1], [1, 0], [1, 1]])
    assert (np.asarray(segmeter.hausdorff_distance(crossed.distances)) > 5).tolist() == [
        True, True, False,
    ]  # fmt: skip
    none = segmeter.region_surface_distances(pred, target, pairs=[])
    assert (len(none), none.distances.classes) == (0, ())
    for wrong, error, message in (
        ([[2, 0]], ValueError, "predicted region 2"),
        ([[0, -1]], ValueError, "target region -1"),
        ([0, 1], TypeError, "two positions"),
        ([[0.5, 1]], TypeError, "two positions"),
    ):
        with pytest.raises(error, match=message):
            segmeter.region_surface_distances(pred, target, pairs=wrong)
    with pytest.raises(TypeError, match="two maps or two Regions"):
        segmeter.region_surface_distances(regions[0], target)
    with pytest.raises(TypeError, match="pred must hold integers or bools, got float64"):
        segmeter.region_surface_distances(np.zeros((4, 4)), np.zeros((4, 4), int))
    with pytest.raises(TypeError, match="target must hold integers or bools, got object"):
        segmeter.object_hausdorff_counts(np.zeros((4, 4), int), None)
    with pytest.raises(ValueError, match="same shape"):
        segmeter.region_surface_distances(pred[1:], target)
    with pytest.raises(ValueError, match="read already"):
        segmeter.region_surface_distances(*regions, ignore_index=1)
    with pytest.raises(ValueError, match="connectivity is for components"):
        segmeter.region_surface_distances(pred, target, instances=True, connectivity=4)
    with pytest.raises(ValueError, match="spacing"):
        segmeter.region_surface_distances(pred, target, spacing=(1, 0))


# --- lesions -----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(instance_maps(), st.sampled_from(sorted(LESION_RULES)), st.sampled_from([0.0, 1.0, 2.5]))
def test_lesion_wise_hd95_and_surface_dice_equal_the_twin(
    maps: tuple[np.ndarray, np.ndarray], rules: str, tolerance: float
) -> None:
    spacing = (0.5, 2.0, 1.3)[: maps[0].ndim]
    options: dict[str, Any] = {
        "rules": replace(LESION_RULES[rules], min_volume=2.0), "spacing": spacing,
        "distance": "hd95", "tolerance": tolerance,
    }  # fmt: skip
    counts = region.lesion_wise(*maps, **options)
    expected = region_lesions.lesion_wise(*maps, **options)
    if LESION_RULES[rules].method == "any_overlap":
        np.testing.assert_array_equal(counts.lesion_distance, expected.lesion_distance)
        np.testing.assert_array_equal(counts.lesion_nsd, expected.lesion_nsd)
    found = counts.lesion_matches > 0
    assert not np.isnan(counts.lesion_distance[found]).any()
    assert np.isnan(counts.lesion_nsd[~found]).all()
    assert ((counts.lesion_nsd[found] >= 0) & (counts.lesion_nsd[found] <= 1)).all()
    assert (counts + counts) == type(counts).from_arrays((counts + counts).to_arrays())


def test_lesion_wise_distances_by_hand() -> None:
    target = np.zeros((40, 16, 16), np.uint8)
    target[2:6, 2:6, 2:6] = 1
    target[20:24, 2:6, 2:6] = 1
    pred = np.zeros_like(target)
    pred[2:8, 2:6, 2:6] = 1
    pred[34:36, 10:12, 10:12] = 1
    counts = region.lesion_wise(pred, target, distance="hd95", tolerance=1)
    assert counts.lesion_distance[0] == 2
    scores = region.lesion_scores(counts)["lesion"]
    # One found 2 mm off, one missed, one made up.
    assert scores["distance"] == pytest.approx((2 + 374 + 374) / 3, rel=1e-15)
    assert scores["nsd"] == pytest.approx(counts.lesion_nsd[0] / 3, rel=1e-15)
    found_only = region.lesion_wise(pred, target, rules="brats2026", distance="hd95", tolerance=1)
    assert region.lesion_scores(found_only)["lesion"]["distance"] == 2
    missed = region.lesion_wise(pred * 0, target, rules="brats2026", distance="hd95", tolerance=1)
    assert region.lesion_scores(missed)["lesion"]["distance"] == 373
    assert region.lesion_scores(missed)["lesion"]["nsd"] == 0
    nothing = region.lesion_wise(pred * 0, pred * 0, distance="hd95", tolerance=1)
    assert region.lesion_scores(nothing)["lesion"]["distance"] == 0
    assert region.lesion_scores(nothing)["lesion"]["nsd"] == 1


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"distance": "hd"}, TypeError, "'hd95' or a function"),
        ({"tolerance": -1}, ValueError, "from 0 on"),
        ({"tolerance": float("nan")}, ValueError, "finite"),
        ({"tolerance": True}, TypeError, "number"),
        ({"rules": segmeter.LesionRules(surface="mine")}, ValueError, "surface of the rules"),
    ],
)
def test_wrong_options_of_lesions(
    wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        region.lesion_wise(np.ones((3, 3), int), np.ones((3, 3), int), **wrong)


def official_lesions(
    pred: np.ndarray, target: np.ndarray, times: int, volume: float, peer: Callable[[str], Any]
) -> tuple[float, float]:
    """Lesion-wise Dice and HD95 of BraTS 2023 by the steps of its program."""
    ndimage, components = peer("scipy.ndimage"), peer("cc3d").connected_components
    surfaces = peer("surface_distance.metrics")
    element = ndimage.generate_binary_structure(3, 2)
    reach = components(ndimage.binary_dilation(target, element, iterations=times), connectivity=26)
    lesions = reach * target
    preds = components(pred, connectivity=26)
    rows, taken = [], set()
    for k in range(1, reach.max() + 1):
        own = lesions == k
        around = ndimage.binary_dilation(own, element, iterations=times)
        touching = set(np.unique(preds[around]).tolist()) - {0}
        taken |= touching
        union = np.isin(preds, list(touching))
        dice = 2 * (own & union).sum() / (own.sum() + union.sum())
        hd95 = 374.0
        if touching:
            measured = surfaces.compute_surface_distances(own, union, (1, 1, 1))
            hd95 = surfaces.compute_robust_hausdorff(measured, 95)
        rows.append((own.sum(), dice, hd95))
    invented = len(set(range(1, preds.max() + 1)) - taken)
    kept = [row[1:] for row in rows if row[0] > volume]
    size = len(kept) + invented
    if size == 0:
        return 1.0, 0.0
    dice, hd95 = (sum(row[k] for row in kept) for k in range(2))
    return dice / size, (hd95 + 374 * invented) / size


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # the peer's
@pytest.mark.parametrize("algorithm", ["hnfnetv1-20", "sanet0-20"])
def test_real_tumours_equal_the_steps_of_brats_2023(
    algorithm: str, shared: Path, peer: Callable[[str], ModuleType]
) -> None:
    folder = shared / "data" / "brats_toolkit" / "OtherEXampleFromTCIA"
    pred, target = (
        io.read_label_map(folder / f"{name}.nii.gz").labels
        for name in (f"segmentation/{algorithm}", "fusion/mav")
    )
    inside = np.argwhere((pred != 0) | (target != 0))
    low, high = np.maximum(inside.min(axis=0) - 5, 0), inside.max(axis=0) + 6
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    groups = {"TC": (1, 3, 4), "ET": (3, 4)}
    counts = region.lesion_wise(pred[box], target[box], groups=groups, distance="hd95")
    scores = region.lesion_scores(counts)
    for name, labels in groups.items():
        masks = [np.isin(part[box], labels) for part in (pred, target)]
        dice, hd95 = official_lesions(*masks, 3, 50, peer)
        assert scores[name]["dice"] == pytest.approx(dice, rel=1e-12)
        assert scores[name]["distance"] == pytest.approx(hd95, rel=1e-12)


# --- glands ------------------------------------------------------------------------------------


def glas_object_hausdorff(
    pred: np.ndarray, target: np.ndarray, spacing: list[float], spatial: Any
) -> float:
    """Object Hausdorff distance by the steps of the challenge's program."""

    def points(labels: np.ndarray, k: int) -> np.ndarray:
        return np.argwhere(labels == k) * spacing

    def hausdorff(a: np.ndarray, b: np.ndarray) -> float:
        apart = spatial.distance.cdist(a, b)
        return float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))

    def one_way(own: np.ndarray, other: np.ndarray) -> float:
        total = 0.0
        others = np.unique(other[other > 0])
        for k in np.unique(own[own > 0]):
            covered = other[(own == k) & (other > 0)]
            if covered.size:
                partner = np.bincount(covered).argmax()
                distance = hausdorff(points(own, k), points(other, partner))
            else:
                each = [hausdorff(points(own, k), points(other, m)) for m in others]
                distance = min(each, default=np.inf)
            total += (own == k).sum() / (own > 0).sum() * distance
        return total

    return (one_way(pred, target) + one_way(target, pred)) / 2


@settings(max_examples=50)
@given(maps=instance_maps())
def test_object_hausdorff_equals_the_steps_of_glas(
    maps: tuple[np.ndarray, np.ndarray], peer: Callable[[str], ModuleType]
) -> None:
    spacing = [0.5, 2.0, 1.3][: maps[0].ndim]
    counts = segmeter.object_hausdorff_counts(*maps, spacing=spacing)
    expected = glas_object_hausdorff(*maps, spacing, peer("scipy.spatial"))
    value = segmeter.object_hausdorff(counts, absent="zero")
    assert value == pytest.approx(expected, rel=1e-12)
    regions = [region.instance_regions(part) for part in maps]
    assert segmeter.object_hausdorff_counts(*regions, spacing=spacing) == counts


def test_object_hausdorff_without_objects() -> None:
    none, one = np.zeros((4, 4), int), np.eye(4, dtype=int)
    both = segmeter.object_hausdorff_counts(none, none)
    assert np.isnan(segmeter.object_hausdorff(both))
    assert segmeter.object_hausdorff(both, absent="zero") == 0
    assert segmeter.object_hausdorff(segmeter.object_hausdorff_counts(one, none)) == np.inf
    total = segmeter.object_hausdorff_counts(one, one) + both
    assert segmeter.object_hausdorff(type(both).from_arrays(total.to_arrays())) == 0
    with pytest.raises(TypeError, match="object_hausdorff_counts"):
        segmeter.object_hausdorff(one)  # type: ignore[arg-type]
