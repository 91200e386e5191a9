"""Topology: equal to gudhi, the SciPy twins and TopCoW's numbers."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segmeter import io, pixel, region
from segmeter.pixel import confusion_matrix
from segmeter.reference import region_topology

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=3)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = random.random(shape) < draw(st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95]))
    return mask.astype(draw(st.sampled_from(["?", "u1", ">i4", "u8"])))


def connectivities(ndim: int) -> tuple[int, int]:
    return ((4, 8), (6, 26))[ndim - 2]


@settings(max_examples=150)
@given(masks())
def test_equals_the_twin(mask: np.ndarray) -> None:
    for connectivity in connectivities(mask.ndim):
        ours = region.betti_numbers(mask, connectivity=connectivity)
        theirs = region_topology.betti_numbers(mask, connectivity=connectivity)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == np.int64
        euler = region.euler_characteristic(mask, connectivity=connectivity)
        assert euler == region_topology.euler_characteristic(mask, connectivity=connectivity)
        assert euler == sum((-1) ** k * int(b) for k, b in enumerate(ours))
    runs = region.RunList.from_array(mask)
    np.testing.assert_array_equal(region.betti_numbers(runs), region.betti_numbers(mask))
    np.testing.assert_array_equal(
        region.betti_numbers(mask, threads=3), region.betti_numbers(mask, threads=1)
    )


@settings(max_examples=60)
@given(mask=masks())
def test_equals_cubical_homology(peer: Callable[[str], ModuleType], mask: np.ndarray) -> None:
    """Gudhi's complex of closed pixels is the larger connectivity, of vertices the other."""
    gudhi = peer("gudhi")
    values = np.where(mask != 0, 0.0, 1.0)
    for connectivity, name in zip(
        connectivities(mask.ndim), ("vertices", "top_dimensional_cells"), strict=True
    ):
        complex_ = gudhi.CubicalComplex(**{name: values})
        complex_.compute_persistence()
        numbers = complex_.persistent_betti_numbers(0.0, 0.0)
        expected = [*numbers, 0, 0, 0][: mask.ndim]
        ours = region.betti_numbers(mask, connectivity=connectivity)
        assert ours.tolist() == expected


@settings(max_examples=60)
@given(masks(), st.sampled_from([None, 0, 1, 3]))
@example(np.pad([[False]], ((0, 3), (6, 0)), constant_values=True), None)
def test_soft_skeleton_equals_the_twin(mask: np.ndarray, iterations: int | None) -> None:
    ours = region.soft_skeleton(mask, iterations=iterations)
    np.testing.assert_array_equal(ours, region_topology.soft_skeleton(mask, iterations=iterations))
    assert not ours[np.asarray(mask) == 0].any()


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A label map and another that differs from it in some pixels."""
    shape = tuple(draw(st.lists(st.integers(1, 8), min_size=2, max_size=3)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = draw(st.sampled_from([0.1, 0.5, 0.9]))
    target = (random.random(shape) < share) * random.integers(1, 4, shape)
    pred = np.where(random.random(shape) < draw(st.sampled_from([0.05, 0.3])), 1, target)
    return pred, target


@settings(max_examples=60)
@given(
    mask_pairs(),
    st.sampled_from([None, (1, 2), (3,)]),
    st.sampled_from([None, 1, 3]),
    st.booleans(),
    st.sampled_from([None, 2]),
)
def test_betti_counts_and_errors_equal_the_twins(
    maps: tuple[np.ndarray, np.ndarray],
    labels: tuple[int, ...] | None,
    patch_size: int | None,
    full: bool,
    ignore_index: int | None,
) -> None:
    options: dict[str, Any] = {
        "labels": labels,
        "patch_size": patch_size,
        "connectivity": connectivities(maps[0].ndim)[full],
        "ignore_index": ignore_index,
    }
    counts = region.betti_counts(*maps, **options)
    assert counts == region_topology.betti_counts(*maps, **options)
    twin = region_topology.betti_error(counts)
    np.testing.assert_allclose(region.betti_error(counts), twin, rtol=1e-15)


def diagonal(mask: np.ndarray) -> np.ndarray:
    """Every third pixel of a mask: a skeleton that is cheap and lies in it."""
    chosen = np.indices(mask.shape).sum(axis=0) % 3 == 0
    return np.asarray(mask & chosen)


@settings(max_examples=60)
@given(mask_pairs(), st.sampled_from(["soft", diagonal, np.zeros_like]))
def test_centerlines_equal_the_twin(maps: tuple[np.ndarray, np.ndarray], skeleton: Any) -> None:
    counts = region.centerline_counts(*maps, skeleton=skeleton)
    assert counts == region_topology.centerline_counts(*maps, skeleton=skeleton)
    for total in (counts, counts + region.centerline_counts(maps[1], maps[1], skeleton="soft")):
        assert region.centerline_dice(total) == pytest.approx(
            region_topology.centerline_dice(total), rel=1e-15, nan_ok=True
        )
    lines = [skeleton(part != 0) if callable(skeleton) else part != 0 for part in maps]
    ready = {"pred_skeleton": lines[0], "target_skeleton": lines[1]}
    assert region.centerline_counts(*maps, **ready) == region_topology.centerline_counts(
        *maps, **ready
    )


@settings(max_examples=20)
@given(maps=mask_pairs())
def test_thinned_centerlines_equal_the_twin(
    peer: Callable[[str], ModuleType], maps: tuple[np.ndarray, np.ndarray]
) -> None:
    peer("skimage.morphology")
    for skeleton in ("zhang", "lee")[maps[0].ndim - 2 :]:
        ours = region.centerline_counts(*maps, skeleton=skeleton)
        assert ours == region_topology.centerline_counts(*maps, skeleton=skeleton)


@settings(max_examples=30)
@given(mask=masks(), iterations=st.integers(0, 4))
def test_soft_skeleton_equals_pooling(
    peer: Callable[[str], ModuleType], mask: np.ndarray, iterations: int
) -> None:
    """Minimum and maximum pooling of soft-clDice, by torch."""
    torch = peer("torch")
    functional = torch.nn.functional
    pool = functional.max_pool2d if mask.ndim == 2 else functional.max_pool3d
    image = torch.tensor((mask != 0).astype(np.float32))[None, None]

    def eroded(x: Any) -> Any:
        parts = []
        for axis in range(mask.ndim):
            size = tuple(3 if k == axis else 1 for k in range(mask.ndim))
            parts.append(-pool(-x, size, 1, tuple(k // 2 for k in size)))
        return torch.stack(parts).amin(dim=0)

    def opened(x: Any) -> Any:
        return pool(eroded(x), 3, 1, 1)

    skeleton = torch.relu(image - opened(image))
    for _ in range(iterations):
        image = eroded(image)
        delta = torch.relu(image - opened(image))
        skeleton = skeleton + torch.relu(delta - skeleton * delta)
    ours = region.soft_skeleton(mask, iterations=iterations)
    np.testing.assert_array_equal(ours, skeleton[0, 0].numpy() > 0)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (2, 0, 3), (0, 2, 3)])
def test_empty_maps(shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, np.uint8)
    assert not region.betti_numbers(empty).any()
    assert region.euler_characteristic(empty) == 0
    assert math.isnan(region.betti_error(region.betti_counts(empty, empty))[0, 0])
    counts = region.centerline_counts(empty, empty, skeleton="soft")
    assert math.isnan(region.centerline_dice(counts))


def test_an_axis_of_length_one_encloses_nothing() -> None:
    ring = np.ones((1, 3, 3), bool)
    ring[0, 1, 1] = False
    assert region.betti_numbers(ring).tolist() == [1, 1, 0]
    assert region.betti_numbers(ring[0]).tolist() == [1, 1]


# --- errors of Betti numbers ------------------------------------------------------------------


def test_betti_error_by_patches() -> None:
    """A hole in one tile and a second component in the other; whole images see both as well."""
    target = np.zeros((4, 8), int)
    target[:3, :3] = 1
    target[1, 1] = 0
    pred = np.zeros_like(target)
    pred[1, 1] = pred[0, 5] = 1
    whole = region.betti_counts(pred, target)
    assert whole.difference.tolist() == [[1, 1]]
    tiles = region.betti_counts(pred, target, patch_size=4)
    assert tiles.num_patches == 2
    assert tiles.difference.tolist() == [[1, 1]]
    moved = np.roll(pred, 4, axis=1)  # one component left, one right: the sum hides that
    pair = region.betti_counts(np.where(moved == 1, 1, 0), pred, patch_size=(4, 4))
    assert pair.pred.tolist() == pair.target.tolist() == [[2, 0]]
    np.testing.assert_array_equal(region.betti_error(tiles), [[0.5, 0.5]])


@settings(max_examples=20)
@given(masks(), st.integers(0, 2**32), st.integers(1, 5))
def test_betti_counts_are_the_sums_over_patches(mask: np.ndarray, seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    pred, target = (mask.astype(np.int64) * random.integers(0, 3, mask.shape) for _ in range(2))
    counts = region.betti_counts(pred, target, labels=[1, 2], patch_size=size)
    difference = np.zeros((2, mask.ndim), np.int64)
    starts = [range(0, extent, size) for extent in mask.shape]
    for corner in np.stack(np.meshgrid(*starts), axis=-1).reshape(-1, mask.ndim):
        patch = tuple(slice(at, at + size) for at in corner)
        for c in (1, 2):
            numbers = [region_topology.betti_numbers(m[patch] == c) for m in (pred, target)]
            difference[c - 1] += np.abs(numbers[0] - numbers[1])
    np.testing.assert_array_equal(counts.difference, difference)
    again = region.BettiCounts.from_arrays((counts + counts).to_arrays())
    np.testing.assert_array_equal(again.difference, 2 * difference)
    np.testing.assert_array_equal(region.betti_error(again), region.betti_error(counts))


def test_ignored_pixels_are_background() -> None:
    target = np.array([[1, 9, 1]])
    pred = np.array([[1, 1, 1]])
    assert region.betti_counts(pred, target, ignore_index=9, labels=[1]).difference[0, 0] == 0
    assert region.betti_counts(pred, target, labels=[1]).difference[0, 0] == 1


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("betti_numbers", {"mask": np.zeros((2, 2), int), "connectivity": 6}, ValueError),
        ("betti_numbers", {"mask": np.zeros((2, 2, 2), int), "connectivity": 18}, ValueError),
        ("betti_numbers", {"mask": np.zeros((2, 2), int), "connectivity": True}, ValueError),
        ("betti_numbers", {"mask": np.zeros(2, int)}, ValueError),
        ("betti_numbers", {"mask": np.zeros((2, 2))}, TypeError),
        ("betti_counts", {"labels": []}, ValueError),
        ("betti_counts", {"labels": [True]}, ValueError),
        ("betti_counts", {"patch_size": 0}, ValueError),
        ("betti_counts", {"patch_size": 1.5}, ValueError),
        ("betti_counts", {"patch_size": (2, 2, 2)}, ValueError),
        ("betti_counts", {"connectivity": 18}, ValueError),
        ("centerline_counts", {}, ValueError),
        ("centerline_counts", {"skeleton": "thin"}, ValueError),
        ("centerline_counts", {"pred_skeleton": np.zeros((2, 2))}, ValueError),
        (
            "centerline_counts",
            {"pred_skeleton": np.zeros((2, 2)), "target_skeleton": np.zeros((2, 3))},
            ValueError,
        ),
    ],
)
def test_bad_input(function: str, arguments: dict[str, Any], error: type[Exception]) -> None:
    if function != "betti_numbers":
        arguments = {name: np.zeros((2, 2), int) for name in ("pred", "target")} | arguments
    with pytest.raises(error):
        getattr(region, function)(**arguments)


# --- centre lines -----------------------------------------------------------------------------


def test_centerline_dice_by_hand() -> None:
    target, pred = np.zeros((2, 5, 12), bool)
    target[2, :8] = True
    pred[2, 4:] = True
    pred[1:4, 10] = True
    counts = region.centerline_counts(pred, target, pred_skeleton=pred, target_skeleton=target)
    precision, sensitivity = 4 / 10, 4 / 8
    expected = 2 * precision * sensitivity / (precision + sensitivity)
    assert region.centerline_dice(counts) == pytest.approx(expected, rel=1e-15)
    again = region.CenterlineCounts.from_arrays((counts + counts).to_arrays())
    assert region.centerline_dice(again) == region.centerline_dice(counts)
    assert (
        region.centerline_dice(region.centerline_counts(pred, ~pred & False, skeleton="soft")) == 0
    )
    own = region.centerline_counts(pred, target, skeleton=lambda mask: mask)
    assert own == counts


def test_zhang_is_for_images(peer: Callable[[str], ModuleType]) -> None:
    peer("skimage.morphology")
    with pytest.raises(ValueError, match="lee"):
        region.centerline_counts(*np.ones((2, 3, 3, 3), bool), skeleton="zhang")


def test_cldice_cases_of_other_projects(
    cases: list[dict[str, Any]], oracles: ModuleType, peer: Callable[[str], ModuleType]
) -> None:
    """Literal numbers of the Pitfalls paper's tests and of TopCoW; all with Zhang's thinning."""
    peer("skimage.morphology")
    chosen = [case for case in cases if case["op"] == "cldice"]
    assert len(chosen) == 6
    for case in chosen:
        pred, ref = (case["arrays"][name].astype(np.int64) for name in ("pred", "ref"))
        counts = region.centerline_counts(pred, ref, skeleton="zhang")
        got = {"cldice": region.centerline_dice(counts)}
        if "dsc" in case["expected"]:
            matrix = confusion_matrix(pred != 0, ref != 0, num_classes=2)
            got["dsc"] = float(pixel.dice(matrix)[1])
        assert oracles.check(case, got), f"{case['name']}: {got}, expected {case['expected']}"


# --- TopCoW -----------------------------------------------------------------------------------

TOPCOW_NUMBERS = {
    "betti_num_singleBlob_2x2x2_gt": [1, 0, 0],
    "betti_num_singleBlob_2x2x2_pred": [1, 0, 0],
    "shape_3x4x2_3D_twoIslands": [2, 0, 0],
    "shape_5x6x4_3D_twoIslands_padded": [2, 0, 0],
    "shape_3x4x2_3D_twoIslands_multiclass": [2, 0, 0],
    "shape_5x7x9_3D_1donut": [1, 1, 0],
    "shape_5x7x9_3D_1donut_multiclass": [1, 1, 0],
    "shape_3x4x2_3D_cross": [1, 1, 0],
    "shape_5x6x4_3D_cross_padded": [1, 1, 0],
    "shape_8x8x8_3D_8Cubes_gt": [1, 0, 0],
    "shape_8x8x8_3D_8Cubes_pred": [1, 1, 1],
}
"""Betti numbers that TopCoW's own tests state."""

TOPCOW_LABELS = dict(
    enumerate(["BA", "R-PCA", "L-PCA", "R-ICA", "R-MCA", "L-ICA", "L-MCA", "R-Pcom"], start=1)
)


@pytest.mark.parametrize("name", TOPCOW_NUMBERS)
def test_betti_numbers_of_topcow(shared: Path, name: str) -> None:
    path = shared / "data" / "topcow_shapes" / "3D" / f"{name}.nii.gz"
    labels = io.read_label_map(path).labels
    assert region.betti_numbers(labels).tolist() == TOPCOW_NUMBERS[name]


def topcow_pair(shared: Path, peer: Callable[[str], ModuleType], case: int) -> list[np.ndarray]:
    sitk = peer("SimpleITK")
    folder = shared / "data" / "topcow_shapes" / "e2e"
    names = [
        ("shape_5x7x9_3D_1donut_multiclass.mha", "shape_5x7x9_3D_1donut.nii.gz"),
        ("shape_8x8x8_3D_8Cubes_pred.mha", "shape_8x8x8_3D_8Cubes_gt.nii.gz"),
    ][case]
    return [
        np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(folder / part / name)))).T.astype(int)
        for part, name in zip(
            ("task_1_seg_predictions", "task_1_seg_ground-truth"), names, strict=True
        )
    ]


@pytest.mark.parametrize("case", [0, 1])
def test_expected_results_of_topcow(
    shared: Path, peer: Callable[[str], ModuleType], case: int
) -> None:
    """Errors of b0, clDice and detection of the challenge's end-to-end test."""
    peer("skimage.morphology")
    pred, target = topcow_pair(shared, peer, case)
    path = shared / "data/topcow_shapes/e2e/task_1_seg_output/expected_e2e_test_metrics.json"
    expected = {
        name: values[str(case)] for name, values in json.loads(path.read_text())["case"].items()
    }
    error = region.betti_error(region.betti_counts(pred, target, labels=list(TOPCOW_LABELS)))[:, 0]
    for name, value in zip(TOPCOW_LABELS.values(), error, strict=True):
        stated = expected.get(f"B0err_{name}", math.nan)
        assert value == stated or (math.isnan(value) and math.isnan(stated)), name
    assert np.nanmean(error) == expected["B0err_ClsAvgB0err"]
    merged = region.betti_error(region.betti_counts(pred, target))[0, 0]
    assert merged == expected["B0err_MergedBin"]
    centre = region.centerline_counts(pred, target, skeleton="lee")
    assert region.centerline_dice(centre) == expected["clDice"]
    # The variable vessels: found if their IoU is at least 1/4
    matrix = confusion_matrix(pred, target, num_classes=16)
    iou = pixel.iou(matrix)
    for label, stated in expected["all_detection_dicts"].items():
        k = int(label)
        exists = matrix[k].sum() > 0, matrix[:, k].sum() > 0
        outcome = {
            (True, True): "TP" if iou[k] >= 0.25 else "FN",
            (True, False): "FN",
            (False, True): "FP",
            (False, False): "TN",
        }[exists]
        assert outcome == stated["Detection"], label


def test_real_roads(shared: Path, peer: Callable[[str], ModuleType]) -> None:
    gudhi = peer("gudhi")
    paths = sorted((shared / "data" / "roads_topology").glob("*.png"))
    assert len(paths) == 3
    for path in paths:
        mask = io.read_label_map(path).labels
        mask = mask if mask.ndim == 2 else mask[..., 0]
        complex_ = gudhi.CubicalComplex(top_dimensional_cells=np.where(mask != 0, 0.0, 1.0))
        complex_.compute_persistence()
        expected = complex_.persistent_betti_numbers(0.0, 0.0)[:2]
        assert region.betti_numbers(mask).tolist() == expected
