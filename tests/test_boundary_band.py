"""Bands and outlines against the NumPy twin, OpenCV's morphology, and hand-made numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmeter
from label_maps import blobs
from segmeter import BoundaryFCounts, BoundaryIouCounts, TrimapCounts
from segmeter.reference import boundary_band as twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

LABEL_TYPES = [np.dtype(t) for t in "BbHhIiQq"]
MEASURES = {
    "boundary_iou_counts": (segmeter.boundary_iou_counts, twin.boundary_iou_counts),
    "trimap_counts": (segmeter.trimap_counts, twin.trimap_counts),
    "boundary_f_counts": (segmeter.boundary_f_counts, twin.boundary_f_counts),
}


@st.composite
def arguments_of_maps(draw: st.DrawFn) -> dict[str, Any]:
    """A map, a prediction that is wrong in the usual ways, and how labels are read."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ndim = draw(st.sampled_from((2, 2, 3)))
    # Rows beyond 64 and 128 pixels: more than one word of bits.
    most = (30, 150) if ndim == 2 else (7, 8, 70)
    shape = tuple(draw(st.integers(1, n)) for n in most)
    classes = draw(st.sampled_from((1, 2, 3, 5, 300)))
    target = blobs(rng, shape, min(classes, 5), draw(st.sampled_from((2, 8, 100))))
    pred = np.roll(target, rng.integers(-3, 4, ndim), axis=tuple(range(ndim)))
    spoilt = rng.random(shape) < draw(st.sampled_from((0.0, 0.02, 0.3)))
    pred[spoilt] = rng.integers(0, min(classes, 5), int(spoilt.sum()))
    arguments: dict[str, Any] = {"num_classes": classes, "threads": draw(st.integers(0, 3))}
    ignore = draw(st.sampled_from((None, "label", "mask")))
    holes = rng.random(shape) < draw(st.sampled_from((0.02, 0.4)))
    if ignore == "label":
        ignored = blobs(rng, shape, 2, 6) == 1
        target[ignored], arguments["ignore_index"] = 100, 100
        pred[rng.random(shape) < 0.05] = 100
        if classes > 100:
            arguments["labels"] = {k: k for k in range(100)} | {100: None}
    elif ignore == "mask":
        arguments["ignore_index"] = holes
    arguments["out_of_range"] = draw(st.sampled_from(("raise", "ignore", "wrong")))
    if arguments["out_of_range"] != "raise" and classes < 100:
        pred[rng.random(shape) < 0.05] = 77
    if arguments["out_of_range"] == "ignore" and classes < 100:
        target[rng.random(shape) < 0.05] = 78
    dtypes = [draw(st.sampled_from(LABEL_TYPES)) for _ in range(2)]
    arguments["pred"], arguments["target"] = pred.astype(dtypes[0]), target.astype(dtypes[1])
    return arguments


@st.composite
def spacings(draw: st.DrawFn, ndim: int) -> list[float]:
    return [draw(st.sampled_from((0.5, 1.0, 1.3, 3.0))) for _ in range(ndim)]


def same(one: Any, other: Any) -> None:
    for name, values in one.to_arrays().items():
        np.testing.assert_array_equal(values, other.to_arrays()[name], err_msg=name)


@settings(max_examples=150)
@given(arguments_of_maps(), st.data())
def test_boundary_iou_equals_the_twin(arguments: dict[str, Any], data: st.DataObject) -> None:
    ndim = arguments["target"].ndim
    way = data.draw(st.sampled_from(("width", "width_pixels", "spacing", "width_physical")))
    if way == "width_pixels":
        arguments["width_pixels"] = data.draw(st.sampled_from((1, 2, 5, 31, 32, 33, 64, 200)))
    else:
        arguments["width"] = data.draw(st.sampled_from((0.001, 0.02, 0.1, 1.0)))
    if way in ("spacing", "width_physical"):
        arguments["spacing"] = data.draw(spacings(ndim))
    if way == "width_physical":
        steps = data.draw(st.sampled_from((1.0, 2.6, 13.0)))
        arguments["width_physical"] = steps * min(arguments["spacing"])
    arguments["border"] = data.draw(st.sampled_from(("background", "ignore")))
    if data.draw(st.booleans()):
        last = arguments["num_classes"] - 1
        arguments["groups"] = {"all": range(last + 1), "last": [last], "ends": [0, last]}
    same(segmeter.boundary_iou_counts(**arguments), twin.boundary_iou_counts(**arguments))


@settings(max_examples=80)
@given(arguments_of_maps(), st.sampled_from((1, [2], (1, 7, 64), [40, 3])))
def test_trimap_equals_the_twin(arguments: dict[str, Any], widths: Any) -> None:
    arguments["widths"] = widths
    same(segmeter.trimap_counts(**arguments), twin.trimap_counts(**arguments))


@settings(max_examples=70)
@given(arguments_of_maps(), st.data())
def test_boundary_f_equals_the_twin(arguments: dict[str, Any], data: st.DataObject) -> None:
    arguments["preset"] = data.draw(st.sampled_from(("davis", "bf")))
    way = data.draw(st.sampled_from(("default", "share", "pixels", "spacing", "physical")))
    if way == "pixels":
        arguments["tolerance"] = data.draw(st.sampled_from((1, 2.5, 20, 63, 64, 65, 130)))
    if way == "share":
        arguments["tolerance"] = data.draw(st.sampled_from((0.001, 0.1, 0.9)))
    if way in ("spacing", "physical"):
        arguments["spacing"] = data.draw(spacings(arguments["target"].ndim))
    if way == "physical":
        arguments["tolerance_physical"] = data.draw(st.sampled_from((0.3, 1.3, 2.6, 14.0)))
    same(segmeter.boundary_f_counts(**arguments), twin.boundary_f_counts(**arguments))


@settings(max_examples=40)
@given(
    arguments_of_maps(),
    st.sampled_from(([1.0], [0.5, 3.0, 8.0])),
    st.sampled_from(("corner", "voxel_face")),
)
def test_displacement_equals_the_twin(
    arguments: dict[str, Any], bands: list[float], surface: Any
) -> None:
    arguments |= {"bands": bands, "surface": surface, "background": None}
    found = segmeter.displacement_counts(**arguments)
    expected = twin.displacement_counts(**arguments)
    np.testing.assert_array_equal(found.upper, expected.upper)
    np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-12, atol=1e-12)
    same(type(found).from_arrays(found.to_arrays()), found)


# --- peers -------------------------------------------------------------------------------------


def test_bands_are_masks_less_their_erosion(peer: Callable[[str], ModuleType]) -> None:
    cv2 = peer("cv2")

    def published_band(mask: np.ndarray, ratio: float) -> np.ndarray:
        height, width = mask.shape
        iterations = max(1, round(ratio * np.sqrt(height**2 + width**2)))
        padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=iterations)
        return mask - eroded[1:-1, 1:-1]

    rng = np.random.default_rng(4)
    for _ in range(100):
        shape = tuple(int(n) for n in rng.integers(1, 200, 2))
        ratio = float(rng.choice([0.02, 0.005, 0.1]))
        pred, target = (blobs(rng, shape, 4, 90) for _ in range(2))
        counts = segmeter.boundary_iou_counts(pred, target, num_classes=4, width=ratio)
        for k in range(4):
            a, b = (published_band((m == k).astype(np.uint8), ratio) for m in (pred, target))
            assert counts.intersection[k] == np.sum(a & b)
            assert (counts.pred[k], counts.target[k]) == (a.sum(), b.sum())


def test_davis_f_is_dilation_by_a_disk(peer: Callable[[str], ModuleType]) -> None:
    cv2, morphology = peer("cv2"), peer("skimage.morphology")

    def outline(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
        east, south, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
        return (mask ^ east) | (mask ^ south) | (mask ^ both)

    rng = np.random.default_rng(5)
    for _ in range(60):
        shape = tuple(int(n) for n in rng.integers(2, 300, 2))
        pred, target = (blobs(rng, shape, 2, 90) > 0 for _ in range(2))
        radius = np.ceil(0.008 * np.linalg.norm(shape))
        disk = morphology.disk(radius).astype(np.uint8)
        a, b = outline(pred), outline(target)
        near_a, near_b = (cv2.dilate(m.astype(np.uint8), disk) > 0 for m in (a, b))
        counts = segmeter.boundary_f_counts(pred, target)
        expected = [a.sum(), b.sum(), (a & near_b).sum(), (b & near_a).sum()]
        assert [int(part[0]) for part in counts.to_arrays().values()] == expected


def test_figures_of_the_pitfalls_paper(cases: list[dict[str, Any]]) -> None:
    figures = [case for case in cases if case["op"] == "pitfalls_boundary_iou"]
    assert len(figures) == 2
    for case in figures:
        counts = segmeter.boundary_iou_counts(
            case["arrays"]["pred"],
            case["arrays"]["ref"],
            width_pixels=case["params"]["boundary_dist"],
        )
        assert round(float(segmeter.boundary_iou(counts)[0]), 1) == case["expected"]


# --- by hand -----------------------------------------------------------------------------------


def test_numbers_by_hand() -> None:
    target = np.zeros((9, 9), bool)
    target[2:7, 2:7] = True
    pred = np.zeros((9, 9), bool)
    pred[2:7, 2:9] = True
    counts = segmeter.boundary_iou_counts(pred, target, width_pixels=1)
    # Rings of 5 x 5 and 5 x 7 pixels; they share 5 on the left and 4 above and below each.
    assert (counts.intersection, counts.pred, counts.target) == (13, 20, 16)
    assert segmeter.boundary_iou(counts) == pytest.approx([13 / 23])
    # Without the image's edge as an outline the right side of the ring is gone but its ends.
    open_ended = segmeter.boundary_iou_counts(pred, target, width_pixels=1, border="ignore")
    assert open_ended.pred == 5 + 2 * 6
    matrix = segmeter.trimap_counts(pred, target, widths=1).matrix[0]
    # 16 pixels of the square's ring; around it a ring of 24, of which 5 are predicted.
    assert matrix.tolist() == [[19, 5, 0], [0, 16, 0]]
    f = segmeter.boundary_f_counts(pred, target, tolerance=1)
    # Above and below 8 pixels each and 4 on the left; of the target 6, 6, 4 and 4.
    assert (f.pred, f.target) == (20, 20)
    scores = [segmeter.boundary_precision(f), segmeter.boundary_recall(f)]
    assert segmeter.boundary_f_score(f) == pytest.approx(2 * scores[0] * scores[1] / sum(scores))


def test_displacement_by_hand() -> None:
    target = np.zeros((20, 20), bool)
    target[5:15, 5:15] = True
    pred = target.copy()
    pred[5:15, 15:18] = True
    distances = segmeter.surface_distances(pred, target, surface="voxel_face")
    counts = segmeter.displacement_counts(distances, bands=[1, 2])
    found = segmeter.boundary_displacement(counts)
    # Of 42 + 36 points 10 are 3 off, 2 are 2 off and 2 one; and of the old edge 8 one to 3.
    assert found.mean_up_to[0, -1] == pytest.approx(float(segmeter.assd(distances)[0]))
    assert found.share.sum() == pytest.approx(1)
    twice = segmeter.boundary_displacement(counts + counts)
    np.testing.assert_array_equal(twice.mean, found.mean)
    one_way = segmeter.boundary_displacement(counts, direction="pred_to_target")
    np.testing.assert_allclose(one_way.share, [[30 / 42, 2 / 42, 10 / 42]])
    nothing = segmeter.displacement_counts(pred, pred & False, bands=[1, 2])
    assert segmeter.boundary_displacement(nothing).mean[0, -1] == np.inf
    assert np.isnan(segmeter.boundary_displacement(nothing).mean[0, 0])
    empty = segmeter.displacement_counts(pred & False, pred & False)
    assert np.isnan(segmeter.boundary_displacement(empty).share).all()
    for bands in ([], [2, 1], [1, 1], [0], [-1], [float("nan")]):
        with pytest.raises(ValueError, match="bands"):
            segmeter.displacement_counts(pred, target, bands=bands)
    with pytest.raises(ValueError, match="upper"):
        counts + empty
    with pytest.raises(ValueError, match="direction"):
        segmeter.boundary_displacement(counts, direction="up")  # type: ignore[arg-type]


def test_a_right_prediction_beside_ignored_pixels_is_right() -> None:
    target = np.zeros((20, 20), np.uint8)
    target[5:15, 5:15] = 1
    target[8:12, 3:17] = 255
    pred = np.where(target == 255, 1, target)
    iou = segmeter.boundary_iou(
        segmeter.boundary_iou_counts(pred, target, num_classes=2, width=0.1, ignore_index=255)
    )
    np.testing.assert_array_equal(iou, [1, 1])
    f = segmeter.boundary_f_counts(pred, target, num_classes=2, preset="bf", ignore_index=255)
    np.testing.assert_array_equal(segmeter.boundary_f_score(f), [1, 1])


@pytest.mark.parametrize("preset", ["davis", "bf"])
def test_empty_masks(preset: Any) -> None:
    none, some = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    some[3:6, 3:6] = True

    def f(pred: np.ndarray, target: np.ndarray, absent: Any = "nan") -> Any:
        counts = segmeter.boundary_f_counts(pred, target, preset=preset)
        return segmeter.boundary_f_score(counts, absent=absent)[0]

    assert np.isnan(f(none, none))
    assert f(none, none, "one") == 1
    assert f(some, none) == f(none, some) == 0
    band = segmeter.boundary_iou_counts(none, none)
    assert np.isnan(segmeter.boundary_iou(band)[0])
    with pytest.raises(ValueError, match="undefined"):
        segmeter.boundary_iou(band, absent="raise")
    assert segmeter.boundary_iou(segmeter.boundary_iou_counts(some, none)) == 0
    full = np.ones((9, 9), bool)
    assert np.isnan(f(full, full))  # no outline: the image's edge is none
    assert segmeter.boundary_iou(segmeter.boundary_iou_counts(full, full)) == 1
    one = np.ones((1, 1), bool)
    assert segmeter.boundary_iou(segmeter.boundary_iou_counts(one, one)) == 1


@pytest.mark.parametrize("name", MEASURES)
def test_layouts_lists_masks_and_stored_counts(name: str) -> None:
    native, _ = MEASURES[name]
    rng = np.random.default_rng(2)
    pred, target = (blobs(rng, (40, 75), 3, 20).astype(np.int16) for _ in range(2))
    expected = native(pred, target, num_classes=3)
    views = [
        (np.asfortranarray(pred), target.copy()),
        (pred.astype(">i2"), target.astype(">u8")),
        (np.repeat(pred, 2, axis=1)[:, ::2], target[::-1][::-1]),
        (pred.tolist(), target.tolist()),
    ]
    for one, other in views:
        if isinstance(one, np.ndarray):
            one.flags.writeable = other.flags.writeable = False
        same(native(one, other, num_classes=3), expected)
    both = native([pred, pred[:20]], [target, target[:20]], num_classes=3)
    same(both, sum([expected, native(pred[:20], target[:20], num_classes=3)]))
    same(type(both).from_arrays(both.to_arrays()), both)
    assert both == type(both).from_arrays(both.to_arrays())
    as_masks = native(pred == 2, target == 2)
    same(as_masks, native(np.where(pred == 2, 7, 0), np.where(target == 2, 7, 0)))
    if name != "trimap_counts":
        assert as_masks.pred[0] == expected.pred[2]
    for shape in [(0, 5), (3, 0), (0, 0, 0)]:
        empty = native(np.zeros(shape, int), np.zeros(shape, int), num_classes=2)
        assert not any(a.any() for n, a in empty.to_arrays().items() if n != "widths")


@pytest.mark.parametrize("name", MEASURES)
def test_bool_bytes_beyond_1_are_true(name: str) -> None:
    native, _ = MEASURES[name]
    mask = np.zeros((20, 70), np.uint8)
    mask[4:12, 10:50] = 2
    shifted = np.roll(mask, 3, axis=1) // 2
    odd = mask.view(np.bool_)
    same(native(odd, shifted > 0), native(mask > 0, shifted > 0))
    same(native(shifted > 0, odd, num_classes=2), native(shifted, mask // 2, num_classes=2))


def test_counts_of_different_rules_do_not_add() -> None:
    ones = np.ones(2, np.int64)
    with pytest.raises(ValueError, match="widths"):
        TrimapCounts(np.array([1]), ones) + TrimapCounts(np.array([2]), ones)
    with pytest.raises(ValueError, match="shape"):
        BoundaryIouCounts(ones, ones, ones) + BoundaryIouCounts(ones[:1], ones[:1], ones[:1])
    with pytest.raises(TypeError):
        BoundaryIouCounts(ones, ones, ones) + BoundaryFCounts(ones, ones, ones, ones)
    with pytest.raises(TypeError, match="boundary_f_counts"):
        segmeter.boundary_f_score(BoundaryIouCounts(ones, ones, ones))  # type: ignore[arg-type]


SQUARE = np.zeros((9, 9), int)

BAD: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("boundary_iou_counts", {"width": 0}, ValueError, "width must be a finite number above 0"),
    ("boundary_iou_counts", {"width": 2}, ValueError, "share of the image diagonal"),
    ("boundary_iou_counts", {"width": True}, TypeError, "width"),
    ("boundary_iou_counts", {"width_pixels": 0}, ValueError, "1 or more pixels"),
    ("boundary_iou_counts", {"width_pixels": True}, TypeError, "integer"),
    ("boundary_iou_counts", {"width_pixels": 2, "spacing": (1, 1)}, ValueError, "does not go"),
    ("boundary_iou_counts", {"width_physical": 2.0}, ValueError, "needs spacing"),
    ("boundary_iou_counts", {"spacing": (1, 1, 1)}, ValueError, "2 of them, got 3"),
    ("boundary_iou_counts", {"spacing": (1, 0)}, ValueError, "above 0"),
    ("boundary_iou_counts", {"spacing": (1, -1)}, ValueError, "above 0"),
    ("boundary_iou_counts", {"spacing": (1, float("nan"))}, ValueError, "finite"),
    ("boundary_iou_counts", {"border": "edge"}, ValueError, "border"),
    ("boundary_iou_counts", {"groups": {"a": [1]}}, ValueError, "pass num_classes"),
    ("boundary_iou_counts", {"labels": [0, 1]}, ValueError, "pass num_classes"),
    ("boundary_iou_counts", {"num_classes": 2, "groups": {"a": [2]}}, ValueError, "0 to 1"),
    ("boundary_iou_counts", {"num_classes": 2, "groups": {"a": []}}, ValueError, "groups"),
    ("boundary_iou_counts", {"num_classes": 2, "groups": [1]}, TypeError, "mapping"),
    ("boundary_iou_counts", {"num_classes": 2, "groups": {"a": 1}}, TypeError, "sequence"),
    ("boundary_iou_counts", {"num_classes": 0}, ValueError, "num_classes"),
    ("boundary_iou_counts", {"pred": SQUARE[:8]}, ValueError, "same shape"),
    ("boundary_iou_counts", {"pred": SQUARE + 0.5}, TypeError, "integers or bools"),
    ("boundary_iou_counts", {"pred": SQUARE + np.eye(9, dtype=int) * 3}, ValueError, "one label"),
    ("boundary_iou_counts", {"num_classes": 2, "pred": SQUARE + 5}, ValueError, "5 .81 pixels"),
    ("boundary_iou_counts", {"ignore_index": np.zeros(9, bool)}, ValueError, "shape"),
    ("boundary_iou_counts", {"threads": -1}, ValueError, "threads"),
    ("trimap_counts", {"widths": []}, ValueError, "widths"),
    ("trimap_counts", {"widths": [1, 1]}, ValueError, "different"),
    ("trimap_counts", {"widths": 0}, ValueError, "1 or more"),
    ("trimap_counts", {"widths": 1.5}, TypeError, "integer"),
    ("trimap_counts", {"widths": 2**70}, ValueError, "below"),
    ("boundary_iou_counts", {"width_pixels": 2**70}, ValueError, "below"),
    ("boundary_f_counts", {"preset": "berkeley"}, ValueError, "preset"),
    ("boundary_f_counts", {"tolerance": -1}, ValueError, "above 0"),
    ("boundary_f_counts", {"tolerance": float("nan")}, ValueError, "finite"),
    ("boundary_f_counts", {"tolerance": 3, "spacing": (1, 2)}, ValueError, "tolerance_physical"),
    ("boundary_f_counts", {"tolerance_physical": 3}, ValueError, "needs spacing"),
    ("boundary_f_counts", {"tolerance": 1, "tolerance_physical": 3}, ValueError, "not both"),
]


@pytest.mark.parametrize(("name", "wrong", "error", "message"), BAD)
def test_bad_input_is_named(
    name: str, wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    target = np.eye(9, dtype=int)
    arguments: dict[str, Any] = {"pred": target, "target": target} | wrong
    with pytest.raises(error, match=message):
        getattr(segmeter, name)(**arguments)


@pytest.mark.parametrize(
    "band",
    [
        {"width_pixels": 2**31 - 1},
        {"width_physical": 1e99, "spacing": (1e-99, 1e-99)},
        {"spacing": (1e99, 1e-99), "width": 1},
    ],
)
def test_bands_wider_than_any_image_hold_all_of_it(band: dict[str, Any]) -> None:
    target = np.eye(9, dtype=int)
    counts = segmeter.boundary_iou_counts(target, target, **band)
    assert counts.intersection.item() == 9
    table = segmeter.boundary_overlap_table(target, target, **band)
    assert table.intersection.sum() == 9


def test_lists_name_the_image_that_is_wrong() -> None:
    maps = [np.zeros((4, 4), int), np.full((4, 4), 9)]
    with pytest.raises(ValueError, match="image 1 of the list"):
        segmeter.boundary_f_counts(maps, maps, num_classes=2)
    with pytest.raises(ValueError, match="list of 2 maps"):
        segmeter.boundary_f_counts(maps[:1], maps, num_classes=2)
