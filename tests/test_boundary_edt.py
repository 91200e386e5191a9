"""Distance transform: against its twin, SciPy, edt and OpenCV; options and bad input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import segmeter
from segmeter import _core
from segmeter.reference import boundary_edt as twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from numpy.typing import NDArray

SPACINGS = st.sampled_from([1.0, 0.3, 0.7, 2.5, 1e-3, 40.0])
DTYPES = st.sampled_from(["?", "u1", "i1", "u2", ">i2", "i4", ">u4", "i8", "u8"])


@st.composite
def label_maps(draw: st.DrawFn) -> NDArray[Any]:
    """Label maps of every kind, from noise to blocks, empty and full ones."""
    shape = draw(
        st.one_of(
            hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14),
            hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7),
        )
    )
    labels = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3), fill=st.integers(0, 1)))
    if draw(st.booleans()):
        for axis in range(labels.ndim):
            labels = np.repeat(labels, 2, axis=axis)
    array = labels.astype(draw(DTYPES))
    if array.dtype.kind == "i" and draw(st.booleans()):
        array = -array
    return array.T if draw(st.booleans()) else array


@pytest.fixture(autouse=True)
def _level_as_before() -> Iterator[None]:
    before = _core.simd_level()
    yield
    _core.set_simd_level(before)


@settings(max_examples=300)
@given(st.data())
def test_equals_the_twin_bit_for_bit(data: st.DataObject) -> None:
    mask = data.draw(label_maps())
    border = data.draw(st.sampled_from(["ignore", "background"]))
    options: dict[str, Any] = {
        "spacing": data.draw(
            st.one_of(st.none(), st.lists(SPACINGS, min_size=mask.ndim, max_size=mask.ndim))
        ),
        "labels": data.draw(st.booleans()),
        "border": border,
        "squared": data.draw(st.booleans()),
        "signed": data.draw(st.booleans()),
        "return_indices": border == "ignore",
    }
    _core.set_simd_level(data.draw(st.sampled_from(_core.simd_levels())))
    found = segmeter.distance_transform(mask, **options, threads=data.draw(st.integers(0, 3)))
    wanted = twin.distance_transform(mask, **options)
    if border == "ignore":
        np.testing.assert_array_equal(found[1], wanted[1])
        found, wanted = found[0], wanted[0]
    np.testing.assert_array_equal(found, wanted)


def blobs(shape: tuple[int, ...], seed: int) -> NDArray[np.bool_]:
    """A few balls in an empty image."""
    rng = np.random.default_rng(seed)
    places = np.indices(shape)
    mask = np.zeros(shape, bool)
    for _ in range(6):
        centre = [rng.integers(0, n) for n in shape]
        radius = rng.integers(2, 1 + max(shape) // 4)
        mask |= sum((p - c) ** 2 for p, c in zip(places, centre, strict=True)) <= radius**2
    return mask


SHAPES = [(90, 131), (1, 70), (70, 1), (300, 9), (31, 45, 53), (2, 40, 41), (40, 1, 17)]


@pytest.mark.parametrize("level", _core.simd_levels())
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_scipy(
    peer: Callable[[str], ModuleType], level: str, shape: tuple[int, ...]
) -> None:
    _core.set_simd_level(level)
    ndimage = peer("scipy.ndimage")
    for seed, spacing in enumerate([(1.0, 1.0, 1.0), (2.0, 0.5, 0.25), (3.0, 0.8, 0.7)]):
        for mask in (blobs(shape, seed), ~blobs(shape, seed)):
            if mask.all():
                continue
            steps = spacing[: len(shape)]
            theirs = ndimage.distance_transform_edt(mask, sampling=steps)
            ours, indices = segmeter.distance_transform(mask, spacing=steps, return_indices=True)
            # Of points that are equally near SciPy may take one whose sum rounds the other way.
            np.testing.assert_allclose(ours, theirs, rtol=3e-16)
            if seed < 2:
                np.testing.assert_array_equal(ours, theirs)
            assert not mask[tuple(indices)].any()
            ways = (indices - np.indices(shape)) * np.reshape(steps, (-1,) + (1,) * len(shape))
            np.testing.assert_array_equal(np.sqrt((ways**2).sum(axis=0)), ours)


@pytest.mark.parametrize("black_border", [False, True])
def test_equals_the_edt_package(peer: Callable[[str], ModuleType], black_border: bool) -> None:
    edt = peer("edt")
    border = "background" if black_border else "ignore"
    rng = np.random.default_rng(5)
    for shape in ((60, 71), (20, 31, 33)):
        coarse = rng.integers(0, 4, [-(-n // 5) for n in shape], np.uint32)
        for axis in range(len(shape)):
            coarse = np.repeat(coarse, 5, axis=axis)
        labels = np.ascontiguousarray(coarse[tuple(slice(0, n) for n in shape)])
        for spacing in ((1.0, 1.0, 1.0), (2.0, 0.5, 1.0)):
            steps = spacing[: len(shape)]
            theirs = edt.edtsq(labels, anisotropy=steps, black_border=black_border)
            ours = segmeter.distance_transform(
                labels, labels=True, spacing=steps, border=border, squared=True
            )
            np.testing.assert_array_equal(ours, theirs.astype(np.float64))


def test_equals_opencv(peer: Callable[[str], ModuleType]) -> None:
    cv2 = peer("cv2")
    mask = blobs((200, 310), 3)
    theirs = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    np.testing.assert_allclose(segmeter.distance_transform(mask), theirs, rtol=1e-6)


def test_real_annotations(peer: Callable[[str], ModuleType], shared: Any) -> None:
    ndimage, nibabel = peer("scipy.ndimage"), peer("nibabel")
    path = sorted((shared / "data" / "hippocampus").rglob("*.nii*"))[0]
    image = nibabel.load(path)
    labels = np.asarray(image.dataobj).astype(np.uint8)
    spacing = [float(s) for s in image.header.get_zooms()[:3]]
    ours = segmeter.distance_transform(labels, labels=True, spacing=spacing)
    assert (ours[labels == 0] == 0).all()
    for label in np.unique(labels[labels > 0]):
        theirs = ndimage.distance_transform_edt(labels == label, sampling=spacing)
        np.testing.assert_array_equal(ours[labels == label], theirs[labels == label])


def test_threads_and_levels_give_the_same_bits() -> None:
    rng = np.random.default_rng(2)
    masks = [blobs((40, 90, 70), 4), rng.random((33, 70, 64)) < 0.9, ~blobs((700, 650), 8)]
    for mask in masks:
        spacing = (2.1, 0.7, 0.9)[: mask.ndim]
        results = []
        for level in _core.simd_levels():
            _core.set_simd_level(level)
            results += [
                segmeter.distance_transform(
                    mask, spacing=spacing, return_indices=True, threads=threads
                )
                for threads in (1, 2, 3)
            ]
        for distance, indices in results[1:]:
            assert distance.tobytes() == results[0][0].tobytes()
            assert indices.tobytes() == results[0][1].tobytes()


def test_spacings_far_apart_are_exact() -> None:
    """Where rounded sums lose their order every entry of a line is tried."""
    rng = np.random.default_rng(0)
    mask = rng.random((9, 12)) < 0.8
    for spacing in ((1e8, 1e-8), (1e-9, 1.0), (1e60, 1e-60)):
        found = segmeter.distance_transform(mask, spacing=spacing, squared=True)
        wanted = twin.distance_transform(mask, spacing=spacing, squared=True)
        np.testing.assert_array_equal(found, wanted)


def test_nothing_to_measure_to() -> None:
    full = np.ones((3, 4), bool)
    distance, indices = segmeter.distance_transform(full, return_indices=True)
    assert (distance == np.inf).all()
    assert (indices == -1).all()
    assert (segmeter.distance_transform(full, signed=True) == -np.inf).all()
    assert (segmeter.distance_transform(~full, signed=True) == np.inf).all()
    # Beyond the image there is background, which background is not measured to.
    assert (segmeter.distance_transform(~full, signed=True, border="background") == np.inf).all()
    np.testing.assert_array_equal(
        segmeter.distance_transform(full, border="background"),
        [[1, 1, 1, 1], [1, 2, 2, 1], [1, 1, 1, 1]],
    )
    assert (segmeter.distance_transform(~full) == 0).all()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 3, 3), (3, 0, 3), (3, 3, 0)])
def test_empty_maps(shape: tuple[int, ...]) -> None:
    distance, indices = segmeter.distance_transform(np.zeros(shape, np.int16), return_indices=True)
    assert distance.shape == shape
    assert indices.shape == (len(shape), *shape)


def test_memory_layouts() -> None:
    labels = np.random.default_rng(1).integers(0, 3, (12, 20, 18)).astype(np.int32)
    view = labels[::2, ::-1, 1::3]
    view.setflags(write=False)
    for options in ({}, {"labels": True}, {"signed": True}):
        wanted = segmeter.distance_transform(np.ascontiguousarray(view), **options)
        for other in (view, view.astype(">i4"), np.asfortranarray(view)):
            np.testing.assert_array_equal(segmeter.distance_transform(other, **options), wanted)


@pytest.mark.parametrize(
    ("mask", "options", "error", "words"),
    [
        (np.ones((2, 2)), {}, TypeError, "mask must hold integers or bools, got float64"),
        (np.ones(3, bool), {}, ValueError, "mask must be 2-D or 3-D"),
        (np.ones((1, 1, 1, 1), bool), {}, ValueError, "mask must be 2-D or 3-D"),
        (True, {}, ValueError, "mask must be 2-D or 3-D"),
        ([[1, 0]], {"spacing": (1, 2, 3)}, ValueError, "one number per axis"),
        ([[1, 0]], {"spacing": (1, 0)}, ValueError, "above 0"),
        ([[1, 0]], {"spacing": (1, -1)}, ValueError, "above 0"),
        ([[1, 0]], {"spacing": (1, float("nan"))}, ValueError, "finite"),
        ([[1, 0]], {"spacing": "12"}, TypeError, "spacing"),
        ([[1, 0]], {"border": "edge"}, ValueError, "border must be"),
        ([[1, 0]], {"labels": 1}, TypeError, "labels must be True or False, got 1"),
        ([[1, 0]], {"signed": "no"}, TypeError, "signed must be True or False"),
        ([[1, 0]], {"threads": -1}, ValueError, "threads"),
        ([[1, 0]], {"threads": True}, TypeError, "threads"),
        ([[1, 0]], {"return_indices": True, "border": "background"}, ValueError, "pad the mask"),
    ],
)
def test_bad_input(mask: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        segmeter.distance_transform(mask, **options)
