"""The face mesh: single faces by hand, VTK's mesh of the same masks, and far more elements."""

from __future__ import annotations

import numpy as np
import pytest

import segmeter
from segmeter.reference import boundary_surfaces as reference


def one_way(
    pred: np.ndarray, target: np.ndarray, **options: object
) -> tuple[np.ndarray, np.ndarray]:
    both = segmeter.surface_distances(pred, target, surface="face_mesh", **options)[1]
    return both.pred_to_target, both.pred_weight


def test_two_pixels() -> None:
    pred, target = np.zeros((2, 1, 6), bool)
    pred[0, 1] = target[0, 4] = True
    distances, weights = one_way(pred, target, spacing=(2.0, 0.5))
    # Above, left, right and below: raster order of low corners, faces across rows first.
    np.testing.assert_array_equal(distances, [1.25, np.hypot(0, 1.5), 1.0, 1.25])
    np.testing.assert_array_equal(weights, [0.5, 2.0, 2.0, 0.5])


def test_elements_within_a_face() -> None:
    """Two parallel walls, moved along each other by one voxel."""
    pred, target = np.zeros((2, 4, 3, 3), bool)
    pred[0, 0, 0] = target[3, 0, 1] = True
    distances, weights = one_way(pred, target, spacing=(2.0, 1.0, 3.0), border="ignore")
    # The two triangles of the wall below; to the edge of the other wall 2/3 and 1/3 of a voxel.
    below = slice(-2, None)
    assert set(weights[below]) == {1.5}
    np.testing.assert_allclose(sorted(distances)[:2], [np.hypot(4, 1), np.hypot(4, 2)], rtol=1e-15)


def test_the_mesh_of_vtk() -> None:
    """Cell centre distances that VTK 9.4.2 gives: vtkSurfaceNets3D without smoothing, triangles."""
    pred, target = np.zeros((2, 2, 3, 3), bool)
    pred[0, 0, 0] = pred[0, 1, 0] = pred[1, 1, 1] = True
    target[1, 2, 2] = target[0, 2, 2] = True
    spacing = (2.0, 0.8, 1.5)
    there = [
        0.266667, 0.5, 0.533333, 0.566667, 0.566667, 0.943398, 1.0, 1.133333, 1.133333, 1.280625,
        1.523519, 1.523519, 1.591994, 1.591994, 1.840592, 2.0, 2.006932, 2.017699, 2.017699,
        2.266667, 2.266667, 2.5, 2.556256, 2.556256, 2.56125, 2.833333, 2.833333, 2.968164,
        3.011829, 3.047039, 3.183988, 3.282953,
    ]  # fmt: skip
    back = [
        0.266667, 0.5, 0.533333, 0.566667, 0.85375, 0.943398, 1.0, 1.133333, 1.20185, 1.280625,
        1.359739, 1.424001, 1.44376, 1.523519, 1.591994, 1.633333, 1.725946, 2.017699, 2.024571,
        2.298792,
    ]  # fmt: skip
    for maps, expected in (((pred, target), there), ((target, pred), back)):
        distances, _ = one_way(*maps, spacing=spacing)
        np.testing.assert_allclose(np.sort(distances), expected, atol=1.1e-6)


def test_areas_add_up() -> None:
    ball = sum((x - 12) ** 2 for x in np.indices((25, 25, 25))) <= 90
    spacing = (3.0, 0.5, 1.0)
    _, weights = one_way(ball, ~ball, spacing=spacing)
    expected = 0.0
    for axis, area in enumerate((0.5, 3.0, 1.5)):
        expected += area * np.count_nonzero(np.diff(np.pad(ball, 1).astype(np.int8), axis=axis))
    assert weights.sum() == pytest.approx(expected, rel=1e-12)


def test_far_surfaces_and_threads() -> None:
    """A small ball in a large one, off its centre: bounds from neighbours rarely fit."""
    places = np.indices((60, 70, 80))
    centre = np.array([30, 32, 41])[:, None, None, None]
    large = ((places - centre) ** 2).sum(axis=0) <= 27**2
    small = ((places - centre + 4) ** 2).sum(axis=0) <= 4**2
    spacing = (1.0, 1.1, 0.9)
    expected = reference.surface_distances(small, large, spacing=spacing, surface="face_mesh")[1]
    for threads in (1, 2, 3):
        distances, _ = one_way(small, large, spacing=spacing, threads=threads)
        assert distances.tobytes() == expected.pred_to_target.tobytes()
        distances, _ = one_way(large, small, spacing=spacing, threads=threads)
        assert distances.tobytes() == expected.target_to_pred.tobytes()


def test_same_mesh_and_none() -> None:
    mask = np.zeros((4, 5, 6), bool)
    mask[1:3, 2:4, 2:5] = True
    assert not one_way(mask, mask)[0].any()
    assert (one_way(mask, np.zeros_like(mask))[0] == np.inf).all()
    assert len(one_way(np.zeros_like(mask), mask)[0]) == 0
    full = np.ones((3, 4), bool)
    assert len(one_way(full, full)[0]) == 14
    assert len(one_way(full, full, border="ignore")[0]) == 0
