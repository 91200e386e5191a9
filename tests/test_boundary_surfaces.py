"""Surface distances: the native kernel against its twin, peers, and numbers by hand."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import segmeter
from segmeter import _core
from segmeter._arrays import packed
from segmeter.boundary._steps import steps_to
from segmeter.reference import boundary_surfaces as reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SIDES = ("pred_to_target", "target_to_pred", "pred_weight", "target_weight")
SURFACES = ("corner", "voxel_face", "voxel_full", "foreground", "face_mesh")
# Multiples of these are exact, or nearly: no two points are equally far but for rounding.
STEPS = (1.0, 0.5, 0.8, 2.0, 2.5)
DTYPES = ("u1", "i1", "u2", "i4", "u8", "i8")


def require_equal(ours: Any, theirs: Any) -> None:
    """The same classes with the same points, bit for bit."""
    assert ours.classes == theirs.classes
    for name in ours:
        for side in SIDES:
            a, b = getattr(ours[name], side), getattr(theirs[name], side)
            np.testing.assert_array_equal(a, b, err_msg=f"class {name}, {side}")


def as_sets(distances: Any) -> list[NDArray[Any]]:
    """Distances and weights of one class, in the order of distance."""
    pairs = ((distances.pred_to_target, distances.pred_weight),
             (distances.target_to_pred, distances.target_weight))  # fmt: skip
    return [np.stack([d, w])[:, np.lexsort((w, d))] for d, w in pairs]


# --- against the twin ------------------------------------------------------------------------


@st.composite
def questions(draw: Any, longest: int) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
    """Two maps of boxes, points or noise, and how to measure them."""
    ndim = draw(st.sampled_from([2, 3]))
    side = longest if ndim == 2 else longest // 3
    shape = tuple(draw(st.integers(1, side)) for _ in range(ndim))
    if draw(st.booleans()):
        shape = (*shape[:-1], draw(st.integers(60, 140)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    maps = []
    for _ in range(2):
        kind = draw(st.sampled_from(["noise", "boxes", "points", "full"]))
        drawn = np.zeros(shape, np.int64)
        if kind == "noise":
            drawn = rng.integers(0, 4, shape)
        elif kind == "points":
            drawn = (rng.random(shape) < 0.02) * rng.integers(1, 4)
        elif kind == "full":
            drawn[:] = draw(st.integers(0, 3))
        else:
            for _ in range(draw(st.integers(0, 4))):
                low = [rng.integers(0, n) for n in shape]
                box = tuple(
                    slice(a, a + rng.integers(1, n + 1)) for a, n in zip(low, shape, strict=True)
                )
                drawn[box] = rng.integers(0, 4)
        maps.append(drawn)
    options: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"num_classes": 4},
                {"num_classes": 4, "background": None},
                {"classes": [2, 1]},
                {"groups": {"all": [1, 2, 3], "core": [1, 3], "rest": [0]}},
                {"num_classes": 4, "labels": {0: 0, 1: 1, 2: 1, 3: None}},
                {"num_classes": 5, "ignore_index": 2},
                {"num_classes": 3, "out_of_range": "ignore"},
                {"classes": [3], "ignore_index": rng.random(shape) < 0.1},
            ]
        )
    )
    options["surface"] = draw(st.sampled_from(SURFACES))
    if options["surface"] == "corner":
        options["weights"] = draw(st.sampled_from(["marching", "face_share", "count"]))
    if options["surface"] == "face_mesh":
        options["weights"] = draw(st.sampled_from(["area", "count"]))
    options["border"] = draw(st.sampled_from(["background", "ignore"]))
    options["spacing"] = [draw(st.sampled_from((*STEPS, 1 / 3))) for _ in shape]
    dtype = np.dtype(draw(st.sampled_from(DTYPES))).newbyteorder(draw(st.sampled_from("<>")))
    return maps[0].astype(dtype), maps[1].astype(draw(st.sampled_from(DTYPES))), options


@given(questions(24))
@settings(max_examples=150)
def test_twin(question: tuple[NDArray[Any], NDArray[Any], dict[str, Any]]) -> None:
    pred, target, options = question
    expected = reference.surface_distances(pred, target, **options)
    for threads in (1, 2):
        require_equal(
            segmeter.surface_distances(pred, target, threads=threads, **options), expected
        )


@given(questions(18), st.sampled_from(["chessboard", "taxicab"]))
@settings(max_examples=100)
def test_twin_in_steps(
    question: tuple[NDArray[Any], NDArray[Any], dict[str, Any]], metric: Any
) -> None:
    pred, target, options = question
    if options["surface"] == "face_mesh":
        options |= {"surface": "voxel_face", "weights": "count"}
    options |= {"spacing": None, "metric": metric}
    expected = reference.surface_distances(pred, target, **options)
    require_equal(segmeter.surface_distances(pred, target, **options), expected)


@pytest.mark.parametrize("metric", ["chessboard", "taxicab"])
def test_steps_are_those_of_scipy(peer: Callable[[str], Any], metric: Any) -> None:
    ndimage = peer("scipy.ndimage")
    rng = np.random.default_rng(3)
    for ndim in (1, 2, 3):
        for _ in range(60):
            points = rng.random(rng.integers(1, 12, ndim)) < rng.choice([0.02, 0.2])
            points.flat[rng.integers(points.size)] = True
            expected = ndimage.distance_transform_cdt(~points, metric=metric)
            np.testing.assert_array_equal(steps_to(points, metric), expected)


def test_steps_by_hand() -> None:
    """A pixel three rows and one column from the other: 3 moves of a king, 4 of a rook."""
    pred, target = np.zeros((2, 5, 4), bool)
    pred[0, 1] = target[3, 2] = True
    for metric, steps in (("chessboard", 3.0), ("taxicab", 4.0)):
        found = segmeter.surface_distances(pred, target, surface="voxel_face", metric=metric)
        assert found[1].pred_to_target.tolist() == found[1].target_to_pred.tolist() == [steps]
        assert found.metric == metric
        assert f"metric={metric!r}" in repr(found)
        assert segmeter.hausdorff_distance(pred, target, metric=metric) == steps
    big = pred.astype(np.int64) * 300_000, target.astype(np.uint64) * 300_000
    wide = segmeter.surface_distances(*big, surface="voxel_face", metric="taxicab")
    assert wide[300_000].pred_to_target.tolist() == [4.0]
    with pytest.raises(ValueError, match="masks hold one label besides the background"):
        segmeter.surface_distances(big[0], target.astype(np.uint8) * 7, metric="taxicab")
    with pytest.raises(ValueError, match=r"target holds labels outside 0\.\.0: 1"):
        segmeter.surface_distances(
            pred.astype(int), target.astype(int), num_classes=1, metric="taxicab"
        )


@pytest.mark.parametrize("level", _core.simd_levels())
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
def test_simd_levels(level: str, dtype: str) -> None:
    """Rows around the width of a vector, in every instruction set."""
    best = _core.simd_level()
    rng = np.random.default_rng(1)
    try:
        _core.set_simd_level(level)
        for width, border in itertools.product(
            (1, 63, 64, 65, 127, 128, 129), ("background", "ignore")
        ):
            pred, target = (rng.random((2, 3, width)) < 0.3).astype(dtype) * 7
            options = {"border": border, "surface": "voxel_face"}
            require_equal(
                segmeter.surface_distances(pred, target, **options),
                reference.surface_distances(pred, target, **options),
            )
    finally:
        _core.set_simd_level(best)


@given(
    hnp.arrays(np.uint8, (2, 5, 6, 7), elements=st.integers(0, 2)),
    st.permutations([0, 1, 2]),
    st.sampled_from(SURFACES),
)
@settings(max_examples=40)
def test_memory_layouts(maps: NDArray[Any], axes: list[int], surface: Any) -> None:
    """Axes in any order, steps of any sign and size: the same distances and weights."""
    options = {"num_classes": 3, "spacing": (2.5, 0.8, 1.0), "surface": surface}
    expected = segmeter.surface_distances(*maps, **options)
    back = np.argsort(axes)
    stored = [np.ascontiguousarray(m.transpose(axes)).transpose(back) for m in maps]
    strided = [np.repeat(m, 2, axis=2)[:, ::-1, ::2][:, ::-1] for m in maps]
    for pred, target in (stored, strided, (stored[0], maps[1]), (maps[0], stored[1])):
        found = segmeter.surface_distances(pred, target, **options)
        for name in expected:
            for a, b in zip(as_sets(found[name]), as_sets(expected[name]), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.fixture(params=_core.simd_levels())
def each_level(request: pytest.FixtureRequest) -> Iterator[None]:
    best = _core.simd_level()
    _core.set_simd_level(request.param)
    yield
    _core.set_simd_level(best)


@pytest.mark.usefixtures("each_level")
@pytest.mark.parametrize("width", [3, 63, 64, 65, 255, 256, 257, 330])
def test_one_pixel_of_a_row(width: int) -> None:
    # Rows of nobody's pixels are passed over; one that differs anywhere is none.
    for column in {0, 1, 62, 63, 64, 255, 256, width - 65, width - 2, width - 1}:
        if not 0 <= column < width:
            continue
        pixel = np.zeros((3, 5, width), np.uint8)
        pixel[1, 2, column] = 1
        found = segmeter.surface_distances(pixel, pixel, surface="corner", weights="count")[1]
        assert found.pred_to_target.tolist() == [0] * 8


@pytest.mark.usefixtures("each_level")
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_many_points_of_each_label(dtype: str) -> None:
    rng = np.random.default_rng(5)
    pred, target = rng.integers(0, 5, (2, 12, 60, 70)).astype(dtype)
    found = segmeter.surface_distances(pred, target, num_classes=5, threads=1)
    for label in range(1, 5):
        masks = pred == label, target == label
        alone = segmeter.surface_distances(*masks)[True]
        assert found[label].pred_to_target.size > 10_000
        for name in ("pred_to_target", "target_to_pred", "pred_weight", "target_weight"):
            ours, expected = getattr(found[label], name), getattr(alone, name)
            np.testing.assert_array_equal(ours, expected)


def test_unaligned_and_read_only() -> None:
    memory = np.zeros(4 * 24 + 1, np.uint8)
    unaligned = memory[1:].view(np.uint32).reshape(4, 6)
    unaligned[1:3, 2:5] = 1
    memory.flags.writeable = False
    require_equal(
        segmeter.surface_distances(unaligned, unaligned),
        segmeter.surface_distances(unaligned.copy(), unaligned.copy()),
    )
    assert not np.ascontiguousarray(unaligned).flags.aligned  # why there is packed()
    for array in (unaligned, unaligned.T, unaligned.astype(">u4"), unaligned[:0], unaligned > 0):
        read = packed(array)
        assert read.flags.aligned
        assert read.flags.c_contiguous
        assert read.dtype.isnative
        np.testing.assert_array_equal(read, array)


# --- against peers -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_deepmind(seed: int, peer: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Corners, distances and areas are DeepMind's."""
    metrics = peer("surface_distance.metrics")
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 14, rng.integers(2, 4))
    spacing = rng.choice(STEPS, len(shape))
    pred, target = rng.random((2, *shape)) < rng.choice([0.1, 0.5])
    if not (pred.any() and target.any()):
        pytest.skip("the package fails on empty masks")
    # Names that SciPy has dropped since.
    ndimage = peer("scipy.ndimage")
    monkeypatch.setattr(metrics, "ndimage", _WithOldNames(ndimage))
    theirs = metrics.compute_surface_distances(target, pred, spacing)
    ours = as_sets(segmeter.surface_distances(pred, target, spacing=spacing)[1])
    for (distances, weights), names in zip(
        ours,
        (
            ("distances_pred_to_gt", "surfel_areas_pred"),
            ("distances_gt_to_pred", "surfel_areas_gt"),
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(distances, theirs[names[0]])
        order = np.lexsort((theirs[names[1]], theirs[names[0]]))
        np.testing.assert_allclose(weights, theirs[names[1]][order], rtol=1e-12)


class _WithOldNames:
    def __init__(self, ndimage: Any) -> None:
        self.filters = self.morphology = ndimage


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_scipy(seed: int, full: bool, peer: Callable[[str], Any]) -> None:
    """Voxel rules are erosion, distances those of SciPy's transform."""
    ndimage = peer("scipy.ndimage")
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 30 if seed % 2 else 80, 3 if seed % 2 else 2)
    spacing = rng.choice(STEPS, len(shape))
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), 2) for _ in range(2)]
    masks = [f > np.quantile(f, 0.7) for f in fields]
    element = ndimage.generate_binary_structure(len(shape), len(shape) if full else 1)
    surfaces = [m & ~ndimage.binary_erosion(m, element) for m in masks]
    if not all(s.any() for s in surfaces):
        pytest.skip("no surface")
    ours = segmeter.surface_distances(
        *masks, spacing=spacing, surface="voxel_full" if full else "voxel_face"
    )[1]
    maps = [ndimage.distance_transform_edt(~s, sampling=spacing) for s in surfaces]
    np.testing.assert_array_equal(ours.pred_to_target, maps[1][surfaces[0]])
    np.testing.assert_array_equal(ours.target_to_pred, maps[0][surfaces[1]])


# --- worst cases -------------------------------------------------------------------------------


def far_corners() -> tuple[NDArray[Any], NDArray[Any]]:
    pred, target = np.zeros((2, 90, 80, 70), bool)
    pred[:2, :2, :2], target[-2:, -2:, -2:] = True, True
    return pred, target


def ball_in_shell() -> tuple[NDArray[Any], NDArray[Any]]:
    """All points of the shell are about equally far from all of the ball."""
    place = np.indices((96, 96, 96)) - 48
    radius = np.sqrt((place**2).sum(axis=0))
    return (radius > 44) & (radius < 46), radius < 6


def facing_plates() -> tuple[NDArray[Any], NDArray[Any]]:
    pred, target = np.zeros((2, 100, 64, 64), bool)
    pred[0], target[-1] = True, True
    return pred, target


def dense_noise() -> tuple[NDArray[Any], NDArray[Any]]:
    maps = np.random.default_rng(3).random((2, 48, 48, 48)) < 0.5
    return maps[0], maps[1]


def sparse_and_dense() -> tuple[NDArray[Any], NDArray[Any]]:
    pred, target = dense_noise()
    target = np.zeros_like(pred)
    target[0, 0, 0] = True
    return pred, target


def long_line() -> tuple[NDArray[Any], NDArray[Any]]:
    pred, target = np.zeros((2, 5, 4000), bool)
    pred[0, ::7], target[4, -1] = True, True
    return pred, target


@pytest.mark.parametrize("surface", ["corner", "voxel_face", "face_mesh"])
@pytest.mark.parametrize("shape", [(140, 4, 7), (5, 140, 4), (6, 3, 140), (40, 17), (3, 150)])
def test_beyond_the_budget(surface: Any, shape: tuple[int, ...]) -> None:
    """Noise that faces few points costs more than it may: it is measured plane by plane."""
    rng = np.random.default_rng(len(shape) + shape[0])
    pred, target = rng.random(shape) < 0.5, np.zeros(shape, bool)
    for part in (0.1, 0.42, 0.47, 0.93):
        target.flat[int(part * target.size)] = True
    spacing = (0.31, 5.0, 0.3)[: len(shape)]
    options: dict[str, Any] = {"spacing": spacing, "surface": surface}
    expected = as_sets(reference.surface_distances(pred, target, **options)[1])
    for axes in itertools.permutations(range(len(shape))):
        maps = [packed(m.transpose(axes)).transpose(np.argsort(axes)) for m in (pred, target)]
        for threads in (1, 2, 3, 7):
            found = as_sets(segmeter.surface_distances(*maps, threads=threads, **options)[1])
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(20, 300, 400), (600, 900)])
def test_few_points_in_a_large_image(shape: tuple[int, ...]) -> None:
    """Such points are compared with each other, outwards from the place of each in the raster."""
    rng = np.random.default_rng(len(shape))
    pred, target = np.zeros((2, *shape), bool)
    for mask in (pred, target):
        mask.flat[rng.choice(mask.size, 250, replace=False)] = True
    options: dict[str, Any] = {"spacing": (30.0, 0.7, 0.4)[: len(shape)], "surface": "voxel_face"}
    expected = as_sets(reference.surface_distances(pred, target, **options)[1])
    for order in "CF":
        maps = [np.asarray(mask, order=order) for mask in (pred, target)]
        for threads in (1, 2):
            found = as_sets(segmeter.surface_distances(*maps, threads=threads, **options)[1])
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("surface", ["corner", "voxel_face"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "draw",
    [far_corners, ball_in_shell, facing_plates, dense_noise, sparse_and_dense, long_line],
)
def test_worst_cases(
    draw: Callable[[], Any], transposed: bool, surface: Any, peer: Callable[[str], Any]
) -> None:
    """What makes a search long: the distances stay those of the transform."""
    ndimage = peer("scipy.ndimage")
    pred, target = draw()
    if transposed:
        pred, target = np.asfortranarray(pred), np.asfortranarray(target)
    spacing = (2.5, 0.8, 1.0)[-pred.ndim :]
    ours = [
        segmeter.surface_distances(
            pred, target, spacing=spacing, surface=surface, weights="count", threads=threads
        )[1]
        for threads in (1, 2)
    ]
    surfaces = [
        reference.corner_codes(mask, np.zeros_like(mask), "background") >= 0
        if surface == "corner"
        else reference.voxel_surface(mask, np.zeros_like(mask), surface, "background")
        for mask in (pred, target)
    ]
    maps = [ndimage.distance_transform_edt(~s, sampling=spacing) for s in surfaces]
    order = "F" if transposed else "C"
    for found in ours:
        for distances, points, far in (
            (found.pred_to_target, surfaces[0], maps[1]),
            (found.target_to_pred, surfaces[1], maps[0]),
        ):
            expected = far.ravel(order)[points.ravel(order)]
            np.testing.assert_array_equal(distances, expected)


# --- by hand -----------------------------------------------------------------------------------


def test_single_pixel() -> None:
    """A pixel has four corners; each has a quarter of the contour of marching squares."""
    pred, target = np.zeros((2, 5, 6), bool)
    pred[1, 1], target[1, 4] = True, True
    found = segmeter.surface_distances(pred, target, spacing=(1, 2))[1]
    np.testing.assert_array_equal(found.pred_to_target, [6, 4, 6, 4])
    np.testing.assert_array_equal(found.target_to_pred, [4, 6, 4, 6])
    np.testing.assert_allclose(found.pred_weight, np.full(4, 5**0.5 / 2))


def test_full_masks() -> None:
    """A full mask has the image's edge as its surface, or none."""
    full = np.ones((3, 4, 5), bool)
    closed = segmeter.surface_distances(full, full)[1]
    assert len(closed.pred_to_target) == 4 * 5 * 6 - 2 * 3 * 4
    assert closed.pred_to_target.max() == 0
    open_ended = segmeter.surface_distances(full, full, border="ignore")[1]
    assert open_ended.empty_pred
    assert open_ended.empty_target


@pytest.mark.parametrize("border", ["background", "ignore"])
@pytest.mark.parametrize("surface", SURFACES)
def test_touching_every_border(surface: Any, border: Any) -> None:
    rng = np.random.default_rng(5)
    for shape in ((7, 9), (5, 6, 7), (1, 8, 9)):
        pred, target = (rng.random((2, *shape)) < 0.8).astype(np.uint8)
        options = {"surface": surface, "border": border}
        require_equal(
            segmeter.surface_distances(pred, target, **options),
            reference.surface_distances(pred, target, **options),
        )


def test_one_slice_is_three_dimensional() -> None:
    """A map of one plane has corners on both of its sides."""
    mask = np.zeros((4, 4), np.uint8)
    mask[1:3, 1:3] = 1
    flat, thick = (segmeter.surface_distances(m, m)[1] for m in (mask, mask[None]))
    assert (len(flat.pred_to_target), len(thick.pred_to_target)) == (8, 18)


@pytest.mark.parametrize(("pred", "target"), [(0, 0), (1, 0), (0, 1)])
def test_empty(pred: int, target: int) -> None:
    maps = [np.zeros((4, 4), np.uint8) for _ in range(2)]
    for drawn, value in zip(maps, (pred, target), strict=True):
        drawn[1, 1] = value
    found = segmeter.surface_distances(*maps)[1]
    assert (found.empty_pred, found.empty_target) == (not pred, not target)
    assert np.isinf(found.pred_to_target).all()
    assert np.isinf(found.target_to_pred).all()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 0, 0), (3, 0, 2)])
def test_no_pixels(shape: tuple[int, ...]) -> None:
    found = segmeter.surface_distances(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))[1]
    assert found.empty_pred
    assert found.empty_target


def test_ignored_band() -> None:
    """Where the outline of the target is ignored, neither map has a surface there."""
    target = np.zeros((9, 9), np.uint8)
    target[2:7, 2:7] = 255
    target[3:6, 3:6] = 1
    pred = (target == 1).astype(np.uint8)
    found = segmeter.surface_distances(pred, target, num_classes=2, ignore_index=255)[1]
    assert found.empty_pred
    assert found.empty_target
    pred[0, 0] = 1
    found = segmeter.surface_distances(pred, target, num_classes=2, ignore_index=255)[1]
    assert len(found.pred_to_target) == 4


def test_predicted_ignore_label_is_no_class() -> None:
    target = np.array([[0, 0, 1, 1, 0]], np.uint8)
    pred = np.array([[0, 0, 1, 9, 0]], np.uint8)
    found = segmeter.surface_distances(
        pred, target, num_classes=2, ignore_index=9, surface="foreground"
    )[1]
    np.testing.assert_array_equal(found.target_to_pred, [0, 1])


@pytest.mark.parametrize("labels", [(False, True), (0, 255), (0, -3), (0, 2**63)])
def test_masks(labels: tuple[Any, Any]) -> None:
    """A mask is anything with one label besides the background, which gives the class its name."""
    dtype = bool if labels[1] is True else np.uint64 if labels[1] > 2**62 else np.int64
    target = np.where(np.eye(4, dtype=bool), np.array(labels[1], dtype), np.array(0, dtype))
    found = segmeter.surface_distances(target, target)
    assert found.classes == (1 if labels[1] is True else labels[1],)
    mixed = segmeter.surface_distances(np.eye(4, dtype=bool), target)
    require_equal(mixed, found)


def test_all_labels_of_the_type_are_classes() -> None:
    """No label is left for what lies beyond the image."""
    rng = np.random.default_rng(2)
    pred, target = rng.integers(0, 256, (2, 20, 70)).astype(np.uint8)
    options: dict[str, Any] = {"num_classes": 256, "background": None}
    for border in ("background", "ignore"):
        require_equal(
            segmeter.surface_distances(pred, target, border=border, **options),
            reference.surface_distances(pred, target, border=border, **options),
        )


def test_truth_of_other_bytes() -> None:
    """A bool that is stored as another byte than 1 is true."""
    target = np.zeros((4, 6), np.uint8)
    target[1:3, 1:3], target[1:3, 3:5] = 1, 2
    require_equal(
        segmeter.surface_distances(target.view(bool), target.view(bool)),
        segmeter.surface_distances(target > 0, target > 0),
    )


# --- bad input ---------------------------------------------------------------------------------

MASK = np.eye(4, dtype=np.uint8)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"spacing": (1,)}, ValueError, "one number per axis of the maps, 2"),
        ({"spacing": (1, 1, 1)}, ValueError, "got 3"),
        ({"spacing": (1, 0)}, ValueError, "above 0"),
        ({"spacing": (1, -2)}, ValueError, "above 0"),
        ({"spacing": (1, np.nan)}, ValueError, "finite"),
        ({"spacing": (1, np.inf)}, ValueError, "finite"),
        ({"spacing": 1.0}, TypeError, "one number per axis"),
        ({"spacing": "11"}, TypeError, "one number per axis"),
        ({"spacing": (1, True)}, TypeError, "must be a number"),
        ({"surface": "voxel"}, ValueError, "surface must be 'corner' or"),
        ({"surface": None}, ValueError, "surface must be"),
        ({"weights": "size"}, ValueError, "weights must be"),
        ({"weights": "area"}, ValueError, "is not for surface='corner'"),
        ({"surface": "voxel_face", "weights": "marching"}, ValueError, "it must be 'count'"),
        ({"surface": "face_mesh", "weights": "marching"}, ValueError, "must be 'area' or 'count'"),
        ({"border": "zero"}, ValueError, "border must be"),
        ({"metric": "manhattan"}, ValueError, "metric must be"),
        ({"metric": "taxicab", "spacing": (1, 2)}, ValueError, "spacing must be 1 or left out"),
        ({"metric": "chessboard", "surface": "face_mesh"}, ValueError, "a face mesh has none"),
        ({"threads": -1}, ValueError, "threads"),
        ({"threads": True}, TypeError, "threads"),
        ({"num_classes": 0}, ValueError, "num_classes"),
        ({"num_classes": True}, TypeError, "num_classes"),
        ({"classes": 1}, TypeError, "classes must be a sequence"),
        ({"classes": "12"}, TypeError, "classes must be a sequence"),
        ({"classes": [1, 1]}, ValueError, "each class once"),
        ({"classes": [1.5]}, TypeError, "integer"),
        ({"classes": [5], "num_classes": 3}, ValueError, "outside 0..2"),
        ({"classes": [1], "groups": {"a": [1]}}, ValueError, "exclude each other"),
        ({"classes": [1], "ignore_index": 1}, ValueError, "ignored"),
        ({"groups": [1]}, TypeError, "groups must map"),
        ({"groups": {"a": []}}, ValueError, "at least one class"),
        ({"background": None}, ValueError, "background=None"),
        ({"background": 0.0}, TypeError, "background"),
        ({"labels": [0, 1]}, ValueError, "labels is for maps of num_classes"),
        ({"out_of_range": "wrong"}, ValueError, "out_of_range is for"),
        ({"ignore_index": np.zeros((3, 3), bool)}, ValueError, "shape"),
        ({"ignore_index": 1.5}, TypeError, "integer"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        segmeter.surface_distances(MASK, MASK, **options)


@pytest.mark.parametrize(
    ("pred", "target", "error", "said"),
    [
        (MASK, MASK[:3], ValueError, "same shape"),
        (MASK[0], MASK[0], ValueError, "2-D or 3-D"),
        (MASK[None, None], MASK[None, None], ValueError, "2-D or 3-D"),
        (np.float32(1), np.float32(1), TypeError, "integers"),
        (MASK * 1.0, MASK, TypeError, "pred must hold integers"),
        (MASK, MASK + 0j, TypeError, "target must hold integers"),
        (2 * MASK, MASK, ValueError, "hold 1 and 2"),
        (np.arange(4).reshape(2, 2), np.zeros((2, 2), int), ValueError, "one label besides"),
    ],
)
def test_bad_maps(pred: Any, target: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        segmeter.surface_distances(pred, target)


def test_labels_out_of_range() -> None:
    bad = MASK.copy()
    bad[2, 3] = 7
    with pytest.raises(ValueError, match=r"pred.*7"):
        segmeter.surface_distances(bad, MASK, num_classes=2)
    with pytest.raises(ValueError, match=r"target.*7"):
        segmeter.surface_distances(MASK, bad, num_classes=2)
    found = segmeter.surface_distances(bad, MASK, num_classes=2, out_of_range="wrong")
    require_equal(found, segmeter.surface_distances(bad % 7, MASK, num_classes=2))
    # Ignored pixels may hold anything.
    hidden = bad == 7
    segmeter.surface_distances(bad, MASK, num_classes=2, ignore_index=hidden)
    segmeter.surface_distances(MASK, bad, num_classes=2, ignore_index=hidden)
    uniform = np.full((4, 4), 7, np.uint8)
    for border in ("background", "ignore"):
        with pytest.raises(ValueError, match=r"pred.*7"):
            segmeter.surface_distances(uniform, MASK, num_classes=2, border=border)
