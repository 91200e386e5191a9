"""Regions and whole data sets of the boundary family against their plain twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmeter
from segmeter.reference import boundary_regions as reference
from segmeter.reference import boundary_scores

SIDES = ("pred_to_target", "target_to_pred", "pred_weight", "target_weight")
Maps = tuple[np.ndarray, np.ndarray]


@st.composite
def id_maps(draw: st.DrawFn) -> Maps:
    """Maps of ids in which some regions are boxes, some scattered, and some maps are empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(9, 17), (1, 30), (4, 6, 7), (3, 1, 12)]))
    maps = []
    for _ in range(2):
        ids = np.zeros(shape, np.int64)
        for k in range(1, draw(st.integers(0, 5)) + 1):
            low = [int(rng.integers(0, n)) for n in shape]
            ids[tuple(slice(a, a + int(rng.integers(1, 7))) for a in low)] = k
        scattered = rng.random(shape) < draw(st.sampled_from([0.0, 0.1]))
        ids[scattered] = rng.integers(0, 7, np.count_nonzero(scattered))
        maps.append(ids)
    return maps[0], maps[1]


@settings(max_examples=80)
@given(
    id_maps(), st.sampled_from(["corner", "voxel_face", "foreground", "face_mesh"]), st.booleans()
)
def test_region_surface_distances(maps: Maps, surface: Any, has_mask: bool) -> None:
    spacing = (2.0, 0.5, 0.8)[: maps[0].ndim]
    mask = np.random.default_rng(maps[0].size).random(maps[0].shape) < 0.1 if has_mask else None
    weights = {"corner": "marching", "face_mesh": "area"}.get(surface, "count")
    ours = segmeter.region_surface_distances(
        *maps, instances=True, spacing=spacing, surface=surface, ignore_index=mask
    )
    theirs = reference.region_surface_distances(
        *maps, spacing=spacing, surface=surface, weights=weights, ignored=mask
    )
    np.testing.assert_array_equal(ours.pred_id, theirs.pred_id)
    np.testing.assert_array_equal(ours.target_id, theirs.target_id)
    for k in theirs.distances:
        for side in SIDES:
            a, b = (getattr(found.distances[k], side) for found in (ours, theirs))
            np.testing.assert_array_equal(a, b, err_msg=f"pair {k}, {side}")


@settings(max_examples=150)
@given(id_maps(), st.sampled_from([(1.0, 1.0, 1.0), (2.0, 0.3, 0.31), (0.5, 5.0, 1.0)]))
def test_object_hausdorff(maps: Maps, steps: tuple[float, ...]) -> None:
    spacing = steps[: maps[0].ndim]
    ours = segmeter.object_hausdorff_counts(*maps, spacing=spacing)
    theirs = reference.object_hausdorff_counts(*maps, spacing=spacing)
    assert ours == theirs
    np.testing.assert_equal(
        float(segmeter.object_hausdorff(ours)), reference.object_hausdorff(theirs)
    )


def test_large_objects_are_compared_where_it_matters() -> None:
    """Of a spiral and what lies in it; too many pairs to try them one by one."""
    y, x = np.indices((90, 100)) - 45.0
    spiral = ((np.hypot(y, x) + 4 * np.arctan2(y, x) / np.pi) % 16 < 8).astype(np.int64)
    other = np.where(spiral == 0, (np.arange(100) // 34 + 1)[None, :], 0)
    other[40:60, 40:60] = 9
    ours = segmeter.object_hausdorff_counts(spiral, other, spacing=(1.0, 0.7))
    assert ours == reference.object_hausdorff_counts(spiral, other, spacing=(1.0, 0.7))


@pytest.mark.parametrize("size", [7, 61])
def test_the_farthest_pixel_may_lie_within(size: int) -> None:
    """A filled square and its frame: few pairs of pixels, and more than are tried one by one."""
    square, frame = np.ones((2, size, size), np.int64)
    frame[1:-1, 1:-1] = 0
    counts = segmeter.object_hausdorff_counts(square, frame, spacing=(1.0, 0.5))
    farthest = (size // 2) * 0.5
    assert (counts.pred_distance, counts.target_distance) == (
        farthest * size**2,
        farthest * np.count_nonzero(frame),
    )


@settings(max_examples=80)
@given(
    id_maps(),
    st.sampled_from([1, 3, 40]),
    st.sampled_from(["background", "ignore"]),
    st.sampled_from(["outline", "unknown"]),
    st.sampled_from([None, 2]),
    st.sampled_from([None, 3]),
)
def test_boundary_overlap_table(
    maps: Maps, width: int, border: Any, ignored: Any, index: Any, pred_index: Any
) -> None:
    options: dict[str, Any] = {
        "border": border, "ignored": ignored, "ignore_index": index,
        "pred_ignore_index": pred_index,
    }  # fmt: skip
    ours = segmeter.boundary_overlap_table(*maps, width_pixels=width, **options)
    theirs = reference.boundary_overlap_table(*maps, reach=[width] * maps[0].ndim, **options)
    assert ours.to_arrays().keys() == theirs.to_arrays().keys()
    for name, values in theirs.to_arrays().items():
        np.testing.assert_array_equal(getattr(ours, name), values, err_msg=name)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["monai", "deepmind", "medpy", "panoptica"]))
def test_many_cases(seed: int, preset: str) -> None:
    rng = np.random.default_rng(seed)
    rules = segmeter.SURFACE_PRESETS[preset]
    options: dict[str, Any] = {"classes": [1, 2], "spacing": (0.3, 0.7)}
    resolution = float(rng.choice([0.05, 0.1, 0.7]))
    cases = [
        segmeter.surface_distances(
            *rng.integers(0, 3, (2, 5, 6)) * (rng.random((2, 5, 6)) < rng.choice([0.2, 0.9])),
            surface=rules.surface, weights=rules.weights, border=rules.border, **options,
        )
        for _ in range(int(rng.integers(1, 4)))
    ]  # fmt: skip
    counts = sum(
        segmeter.boundary_counts(case, preset=preset, resolution=resolution, empty="nan")
        for case in cases
    )
    for percentile in (0, 12.3, 50, 95, 100):
        np.testing.assert_array_equal(
            segmeter.dataset_percentile(counts, percentile),
            boundary_scores.dataset_percentile(
                cases, rules, percentile=percentile, resolution=resolution
            ),
        )
    curve = segmeter.nsd_curve(counts)
    theirs = boundary_scores.nsd_curve(cases, rules, resolution=resolution)
    np.testing.assert_allclose(curve.nsd, theirs, rtol=1e-13)
    np.testing.assert_array_equal(curve.tolerances, np.arange(len(theirs[0])) * resolution)


def test_overlap_tables_of_images_add_up() -> None:
    target = np.zeros((12, 30), int)
    target[2:9, 2:9], target[3:11, 15:27] = 3, 1
    pred = np.roll(target, 1, axis=1)
    halves = [
        segmeter.boundary_overlap_table(pred[:, part], target[:, part], width_pixels=2)
        for part in (slice(0, 12), slice(12, 30))
    ]
    whole = segmeter.boundary_overlap_table(pred, target, width_pixels=2)
    assert halves[0] + halves[1] == halves[1] + halves[0] == whole
    assert sum(halves) == whole
    twice = halves[0] + halves[0]
    np.testing.assert_array_equal(twice.band_intersection, 2 * halves[0].band_intersection)
    np.testing.assert_array_equal(twice.boundary_iou, halves[0].boundary_iou)
    with pytest.raises(TypeError):
        segmeter.overlap_table(pred, target) + whole
