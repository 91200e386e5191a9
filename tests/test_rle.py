"""Run-length masks against the NumPy twin and the official code, and whatever cannot be one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segmeter import RunLengthMasks, mask_iou
from segmeter.reference import region_coco as twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

sizes = st.integers(1, 24)
masks = st.tuples(sizes, sizes).flatmap(lambda shape: arrays(np.bool_, shape))
coordinates = st.one_of(
    st.floats(-30, 60),
    st.integers(-20, 200).map(lambda k: k / 5),
    st.integers(-60, 300).map(lambda k: k / 10),
)
polygons = st.lists(coordinates, min_size=3, max_size=9).flatmap(
    lambda x: st.lists(coordinates, min_size=len(x), max_size=len(x)).map(
        lambda y: [value for point in zip(x, y, strict=True) for value in point]
    )
)


@given(masks)
def test_counts_of_painted_masks(mask: np.ndarray) -> None:
    runs = RunLengthMasks.from_masks(mask)
    assert runs.to_coco(compressed=False)[0]["counts"] == twin.counts_of_mask(mask)
    np.testing.assert_array_equal(runs.to_masks()[0], mask)
    assert runs.area.tolist() == [mask.sum()]
    box = np.zeros((2, 2), int)
    if mask.any():
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        box = np.array([[rows[0], rows[-1] + 1], [columns[0], columns[-1] + 1]])
    np.testing.assert_array_equal(runs.bounding_box[0], box)


@given(masks)
def test_there_and_back(mask: np.ndarray) -> None:
    runs = RunLengthMasks.from_masks(mask)
    for compressed in (True, False):
        again = RunLengthMasks.from_coco(runs.to_coco(compressed=compressed))
        np.testing.assert_array_equal(again.bounds, runs.bounds)
        assert again.shape == runs.shape


@given(st.lists(polygons, min_size=1, max_size=3), sizes, sizes)
def test_polygons_against_the_twin(parts: list[list[float]], height: int, width: int) -> None:
    mask = RunLengthMasks.from_coco([parts], shape=(height, width)).to_masks()[0]
    expected = np.any([twin.polygon_mask(part, height, width) for part in parts], axis=0)
    np.testing.assert_array_equal(mask, expected)


def test_polygons_against_the_official_code(peer: Callable[[str], ModuleType]) -> None:
    official = peer("pycocotools.mask")
    rng = np.random.default_rng(7)
    for _ in range(6000):
        height, width = (int(size) for size in rng.integers(1, 60, 2))
        parts = [_random_polygon(rng) for _ in range(rng.integers(1, 4))]
        expected = official.merge(official.frPyObjects(parts, height, width))
        runs = RunLengthMasks.from_coco([parts], shape=(height, width))
        assert runs.to_coco()[0]["counts"].encode() == expected["counts"]
        assert runs.area[0] == official.area(expected)
        (top, bottom), (left, right) = runs.bounding_box[0]
        assert official.toBbox(expected).tolist() == [left, top, right - left, bottom - top]


def _random_polygon(rng: np.random.Generator) -> list[float]:
    corners = int(rng.integers(3, 12))
    values = (
        rng.uniform(-10, 70, 2 * corners),
        rng.uniform(-300, 300, 2 * corners),
        rng.integers(-5, 325, 2 * corners) / 5.0,
        rng.integers(-10, 130, 2 * corners) / 2.0 - 0.3,
    )
    return values[rng.integers(len(values))].tolist()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # its decode, with NumPy 2
def test_masks_against_the_official_code(peer: Callable[[str], ModuleType]) -> None:
    official = peer("pycocotools.mask")
    rng = np.random.default_rng(3)
    for _ in range(150):
        height, width = (int(size) for size in rng.integers(1, 40, 2))
        stack = rng.random((9, height, width)) < rng.choice([0.02, 0.3, 0.7, 0.98])
        codes = [official.encode(np.asfortranarray(mask, np.uint8)) for mask in stack]
        runs = RunLengthMasks.from_masks(stack)
        assert [c["counts"].encode() for c in runs.to_coco()] == [c["counts"] for c in codes]
        crowd = rng.random(5) < 0.4
        np.testing.assert_array_equal(
            mask_iou(runs[:4], runs[4:], crowd=crowd),
            official.iou(codes[:4], codes[4:], crowd.astype(np.uint8).tolist()),
        )
        for intersect, merged in ((0, runs.union()), (1, runs.intersection())):
            expected = official.decode(official.merge(codes, intersect=intersect))
            np.testing.assert_array_equal(merged.to_masks()[0], expected)


@given(st.tuples(sizes, sizes).flatmap(lambda s: arrays(np.bool_, (5, *s))), st.data())
def test_iou_against_the_twin(stack: np.ndarray, data: st.DataObject) -> None:
    crowd = data.draw(arrays(np.bool_, 3))
    runs = RunLengthMasks.from_masks(stack)
    pred, target = runs[:2], runs[2:]
    expected = twin.mask_iou(pred, target, crowd=crowd)
    np.testing.assert_array_equal(mask_iou(pred, target, crowd=crowd), expected)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", ">i4", "i8", "u8"])
def test_any_integer_type_and_layout(dtype: str) -> None:
    rng = np.random.default_rng(0)
    stack = (rng.random((3, 130, 150)) < 0.5).astype(dtype)
    expected = [twin.counts_of_mask(mask) for mask in stack]
    read_only = stack.copy()
    read_only.flags.writeable = False
    layouts = (stack, np.asfortranarray(stack), read_only, stack[:, ::-1, ::-1][:, ::-1, ::-1])
    for layout in layouts:
        runs = RunLengthMasks.from_masks(layout)
        assert [code["counts"] for code in runs.to_coco(compressed=False)] == expected
    part = stack[::2, 5:-3:2, ::-3]
    assert RunLengthMasks.from_masks(part).area.tolist() == (part != 0).sum((1, 2)).tolist()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    runs = RunLengthMasks.from_masks(np.zeros((2, *shape), bool))
    assert runs.area.tolist() == [0, 0]
    assert runs.bounding_box.tolist() == [[[0, 0], [0, 0]]] * 2
    assert RunLengthMasks.from_coco(runs.to_coco()).shape == shape
    assert runs.union().area.tolist() == [0]
    assert RunLengthMasks.from_masks(np.zeros((0, *shape), bool)).union().area.tolist() == [0]


def test_zero_lengths_change_nothing() -> None:
    for counts in ([2, 0, 0, 3, 1], [2, 3, 0, 0, 1], [2, 3, 1, 0], [2, 1, 0, 2, 1]):
        runs = RunLengthMasks.from_coco([{"size": [2, 3], "counts": counts}])
        assert runs.to_coco(compressed=False)[0]["counts"] == [2, 3, 1]


def test_a_list_of_masks_is_a_sequence() -> None:
    stack = np.random.default_rng(1).random((6, 9, 7)) < 0.4
    runs = RunLengthMasks.from_masks(stack)
    for index in (2, -1, slice(1, 5, 2), [3, 0, 3], stack[:, 0, 0], slice(0, 0)):
        expected = stack[index].reshape(-1, 9, 7)
        np.testing.assert_array_equal(runs[index].to_masks(), expected)
    np.testing.assert_array_equal(RunLengthMasks.concatenate(list(runs)).to_masks(), stack)
    again = RunLengthMasks.from_arrays(runs.to_arrays())
    np.testing.assert_array_equal(again.to_masks(), stack)
    with pytest.raises(IndexError):
        runs[6]


def _rle(counts: Any, size: Any = (2, 3)) -> dict[str, Any]:
    return {"size": list(size), "counts": counts}


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (_rle([2, 3]), "add up to 5 pixels, but the image of 2 x 3 has 6"),
        (_rle([2, 5]), "add up to 7"),
        (_rle([2, -1, 5]), "count 1 is negative"),
        (_rle([2**63, 1]), "instead of a length"),
        (_rle([2.0, 4]), "hold a float"),
        (_rle([True, 5]), "hold a bool"),
        (_rle([2**62, 2**62]), "add up to"),
        (_rle([]), "add up to 0"),
        (_rle(""), "add up to 0"),
        (_rle("23"), "add up to 5"),
        (_rle("2`"), "end within a number"),
        (_rle("2\x00"), "does not occur"),
        (_rle("2é"), "does not occur"),
        (_rle(b"2\xff4"), "does not occur"),
        (_rle("o" * 30), "beyond 40 bits"),
        (_rle("22O"), "negative"),
        (_rle(6), "counts are a int"),
        (_rle([6], (3, 2)), r"has the size \[3, 2\], its image \[2, 3\]"),
        (_rle([6], (2, 3, 1)), "has the size"),
        (_rle([6], (2.0, 3)), "has the size"),
        ({"counts": [6]}, "needs 'size' and 'counts'"),
        ([], "no polygon"),
        ([[1, 2, 3, 4]], "2 points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "must alternate"),
        ([[1, 2, 3, 4, float("nan"), 6]], "coordinate nan"),
        ([[1, 2, 3, 4, 1e9, 6]], "coordinate 1000000000"),
        ([[1, 2, 3, 4, 10**400, 6]], "instead of a number"),
        ([[1, 2, 3, "4", 5, 6]], "holds a str"),
        ([1, 2, 3, 4, 5, 6], "a polygon is a int"),
        ([[1, 2, 3, 4, 5, 6], _rle([6])], "a polygon is a dict"),
        (None, "is a NoneType"),
        ("2`", "is a str"),
    ],
)
def test_what_cannot_be_a_mask(segmentation: Any, message: str) -> None:
    good = _rle([6])
    with pytest.raises(ValueError, match=f"segmentation 1: .*{message}"):
        RunLengthMasks.from_coco([good, segmentation], shape=(2, 3))


@settings(max_examples=300)
@given(st.binary(max_size=12))
def test_any_text_gives_a_mask_or_an_error(text: bytes) -> None:
    try:
        runs = RunLengthMasks.from_coco([_rle(text, (5, 7))])
    except ValueError as error:
        assert str(error).startswith("segmentation 0")  # noqa: PT017
    else:
        assert 0 <= runs.area[0] <= 35


def test_wrong_use() -> None:
    small = RunLengthMasks.from_masks(np.ones((2, 3), bool))
    large = RunLengthMasks.from_masks(np.ones((3, 2), bool))
    with pytest.raises(ValueError, match="same image"):
        mask_iou(small, large)
    with pytest.raises(ValueError, match="same image"):
        RunLengthMasks.concatenate([small, large])
    with pytest.raises(ValueError, match="nothing to concatenate"):
        RunLengthMasks.concatenate([])
    with pytest.raises(ValueError, match=r"crowd must have one value for each target \(1\)"):
        mask_iou(small, small, crowd=[True, False])
    with pytest.raises(ValueError, match="shape is needed"):
        RunLengthMasks.from_coco([[[0, 0, 1, 0, 1, 1]]])
    with pytest.raises(ValueError, match="2\\^32"):
        RunLengthMasks.from_coco([], shape=(2**16, 2**16))
    with pytest.raises(ValueError, match="must not be negative"):
        RunLengthMasks.from_coco([], shape=(-1, 5))
    with pytest.raises(ValueError, match="height, width"):
        RunLengthMasks.from_coco([], shape=(2.5, 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a list"):
        RunLengthMasks.from_coco(_rle([6]), shape=(2, 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bool or int"):
        RunLengthMasks.from_masks(np.ones((2, 2)))
    with pytest.raises(ValueError, match="N, H, W"):
        RunLengthMasks.from_masks(np.ones(4, bool))


@pytest.mark.parametrize(
    ("bounds", "offsets"),
    [
        ([1], [0, 1]),
        ([3, 2], [0, 2]),
        ([1, 9], [0, 2]),
        ([1, 2], [0, 3]),
        ([1, 2], [1, 2]),
        ([], []),
    ],
)
def test_runs_that_are_none(bounds: list[int], offsets: list[int]) -> None:
    runs = RunLengthMasks(2, 3, np.array(bounds, np.uint32), np.array(offsets, np.int64))
    with pytest.raises(ValueError, match="not those of run-length masks"):
        _ = runs.area
