"""Runs, components and instances against their NumPy twin, peers and hand-made numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmeter
from segmeter import _core
from segmeter.reference import region_components as reference

if TYPE_CHECKING:
    from collections.abc import Callable

LABEL_TYPES = [np.dtype(t) for t in "?bBhHiIqQ"]
LAYOUTS = ("C", "F", "flipped", "every_second", "swapped", "read_only", "unaligned")
THREADS = (1, 2, 3, 7)
COLUMNS = (
    "id", "value", "area", "first", "num_runs", "coordinate_sum", "bounding_box",
    "touches_border", "surface",
)  # fmt: skip


def layout(array: np.ndarray, kind: str) -> np.ndarray:
    """The same values in another memory layout."""
    if kind == "F":
        return np.asfortranarray(array)
    if kind == "flipped":
        return np.ascontiguousarray(array[:, ::-1, ...])[:, ::-1, ...]
    if kind == "every_second":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if kind == "swapped":
        return array.astype(array.dtype.newbyteorder())
    if kind == "unaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)
        view = raw[1:].view(array.dtype) if array.nbytes else array.ravel()
        view = view.reshape(array.shape)
        view[...] = array
        return view
    out = array.copy()
    if kind == "read_only":
        out.flags.writeable = False
    return out


def each_level(check: Callable[[], None]) -> None:
    chosen = _core.simd_level()
    try:
        for level in _core.simd_levels():
            _core.set_simd_level(level)
            check()
    finally:
        _core.set_simd_level(chosen)


def patches(rng: np.random.Generator, shape: tuple[int, ...], size: int, top: int) -> np.ndarray:
    """A random map of blocks of ``size`` pixels with labels below ``top``."""
    small = rng.integers(0, top, [extent // size + 1 for extent in shape])
    for axis in range(len(shape)):
        small = np.repeat(small, size, axis=axis)
    return small[tuple(slice(extent) for extent in shape)]


@st.composite
def label_maps(draw: st.DrawFn) -> np.ndarray:
    """Noise, blocks or lines of two or three axes, any type and layout, rows up to 200 long."""
    axes = draw(st.sampled_from((2, 3)))
    longest = (200, 12) if axes == 2 else (70, 5, 4)
    shape = tuple(draw(st.integers(0 if axis else 1, n)) for axis, n in enumerate(longest))[::-1]
    dtype = draw(st.sampled_from(LABEL_TYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    top = draw(st.sampled_from((1, 2, 3, 8)))
    blocks = patches(rng, shape, draw(st.sampled_from((1, 2, 3))), top)
    if draw(st.booleans()):  # mostly background
        blocks = blocks * (rng.random(shape) < 0.3)
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    named = [0, 1, *limits, limits[1] - 1, limits[0] + 1, 5, 6][:8]
    values = np.array([v % 2 if dtype.kind == "b" else v for v in named], dtype)
    return layout(values[blocks], draw(st.sampled_from(LAYOUTS)))


@st.composite
def readings(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, Any]]:
    """A map and options that say which of its pixels count."""
    label_map = draw(label_maps())
    options: dict[str, Any] = {"background": draw(st.sampled_from((0, 0, 0, 1, None, 300, -7)))}
    kind = draw(st.sampled_from((None, None, "one", "several", "mask")))
    if kind == "one":
        options["ignore_index"] = draw(st.sampled_from((1, 5, 2**64 - 1, -1)))
    elif kind == "several":
        options["ignore_index"] = [1, 5, -128, 99, 2**63][: draw(st.integers(1, 5))]
    elif kind == "mask":
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        mask = rng.random(label_map.shape) < 0.2
        options["ignore_index"] = layout(mask, draw(st.sampled_from(LAYOUTS)))
    return label_map, options


def assert_table_equals(
    regions: segmeter.Regions, expected: dict[str, np.ndarray], *, has_runs: bool = True
) -> None:
    for name in COLUMNS if has_runs else COLUMNS[:-1]:
        np.testing.assert_array_equal(getattr(regions, name), expected[name], err_msg=name)
        assert getattr(regions, name).dtype == expected[name].dtype, name


@settings(max_examples=150)
@given(readings(), st.data())
def test_components_equal_the_twin(
    case: tuple[np.ndarray, dict[str, Any]], data: st.DataObject
) -> None:
    label_map, options = case
    allowed = (4, 8, None) if label_map.ndim == 2 else (6, 18, 26, None)
    connectivity = data.draw(st.sampled_from(allowed))
    binary = options["background"] is not None and data.draw(st.booleans())
    table, labels = reference.label_components(
        label_map, connectivity=connectivity, binary=binary, **options
    )

    def check() -> None:
        for threads in THREADS:
            regions, painted = segmeter.label_components(
                label_map, connectivity=connectivity, binary=binary, return_labels=True,
                threads=threads, **options,
            )  # fmt: skip
            np.testing.assert_array_equal(painted, labels)
            assert painted.dtype == np.min_scalar_type(len(table["id"]))
            assert_table_equals(regions, table)
            alone = segmeter.label_components(
                label_map, connectivity=connectivity, binary=binary, return_runs=False,
                threads=threads, **options,
            )  # fmt: skip
            assert_table_equals(alone, table, has_runs=False)

    each_level(check)


def structured(rng: np.random.Generator, shape: tuple[int, int], dtype: Any) -> np.ndarray:
    """A mask of few and long runs a row that begin, end, part and meet, with crowded rows between.

    What is told by the runs of many rows together is told here by piles of all lengths.
    """
    height, width = shape
    mask = np.zeros(shape, bool)
    rows, columns = np.ogrid[:height, :width]
    for _ in range(int(rng.integers(1, 60))):
        y, x = rng.uniform((0, 0), shape)
        b, a = rng.uniform(1, (1 + height / 3, width / 9))
        mask ^= ((rows - y) / b) ** 2 + ((columns - x) / a) ** 2 <= 1
    for _ in range(int(rng.integers(4))):
        mask[int(rng.integers(height))] = rng.random(width) < rng.choice([0, 0.5, 0.02, 1])
    return mask.astype(dtype) * dtype(rng.choice([1, 1, 3]))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from((4, 8)), st.booleans())
def test_components_of_structured_masks_equal_the_twin(
    seed: int, connectivity: int, binary: bool
) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 60)), int(rng.integers(100, 900)))
    mask = structured(rng, shape, rng.choice([np.uint8, np.uint16, np.int32, np.int64]))
    options = {"connectivity": connectivity, "binary": binary}
    table, labels = reference.label_components(mask, **options)

    def check() -> None:
        for threads in THREADS:
            found = segmeter.label_components(mask, return_labels=True, threads=threads, **options)
            np.testing.assert_array_equal(found[1], labels)
            assert_table_equals(found[0], table)
            alone = segmeter.label_components(mask, return_runs=False, threads=threads, **options)
            assert_table_equals(alone, table, has_runs=False)

    each_level(check)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from((6, 18, 26)),
    st.sampled_from(LABEL_TYPES),
    st.sampled_from(LAYOUTS),
    st.sampled_from((None, 5, "mask")),
)
def test_components_of_volumes_with_few_runs_equal_the_twin(
    seed: int, connectivity: int, dtype: np.dtype, kind: str, ignored: int | str | None
) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(2, 7)), int(rng.integers(1, 40)), int(rng.integers(60, 300)))
    # Stretched along the rows: long runs, which part and meet from slice to slice.
    small = rng.random((*shape[:2], shape[2] // 20 + 1)) < rng.choice((0.02, 0.2, 0.6))
    volume = np.repeat(small, 20, axis=2)[..., : shape[2]]
    volume[:, :, int(rng.integers(0, 9)) :: 33] ^= (
        rng.random(volume[:, :, ::33].shape[:2])[..., None] < 0.3
    )
    volume[shape[0] // 2] &= rng.random(shape[1])[:, None] < 0.5
    label_map = layout(volume.astype(dtype) * dtype.type(1 if dtype.kind == "b" else 7), kind)
    options: dict[str, Any] = {"background": 0}
    if ignored == "mask":
        options["ignore_index"] = rng.random(shape) < 0.01
    elif ignored is not None:
        options["ignore_index"] = ignored
    table, labels = reference.label_components(
        label_map, connectivity=connectivity, binary=True, **options
    )

    def check() -> None:
        for threads in THREADS:
            call = partial(
                segmeter.label_components, label_map, connectivity=connectivity, binary=True,
                threads=threads, **options,
            )  # fmt: skip
            regions, painted = call(return_labels=True)
            np.testing.assert_array_equal(painted, labels)
            assert_table_equals(regions, table)
            assert_table_equals(call(return_runs=False), table, has_runs=False)

    each_level(check)


def test_the_label_of_a_map_with_just_one_and_of_those_with_another_at_the_end() -> None:
    for dtype, background in [(np.uint8, 0), (np.int16, 7), (np.uint32, None), (np.int64, -5)]:
        one = np.full((14, 333), background or 0, dtype)
        one[3:10, 50:290] = 9
        two = one.copy()
        two[-1, -1] = 4
        void = np.zeros(one.shape, bool)
        void[5:7] = True
        for label_map in (one, two, one[:, ::-1], two[::2]):
            for ignored in (None, 4, void[: len(label_map)]):
                options = {"background": background, "ignore_index": ignored}
                expected = reference.label_components(label_map, **options)[0]
                assert_table_equals(segmeter.label_components(label_map, **options), expected)


def test_a_pile_of_runs_of_more_than_4_billion_pixels() -> None:
    height, length = 34_000, 130_000
    row = np.zeros(140_000, np.uint8)
    row[5 : 5 + length] = 1
    regions = segmeter.label_components(np.broadcast_to(row, (height, len(row))), threads=1)
    assert regions.area.tolist() == [height * length]
    assert regions.coordinate_sum.tolist() == [
        [length * height * (height - 1) // 2, height * (5 * length + length * (length - 1) // 2)]
    ]
    assert regions.bounding_box.tolist() == [[[0, height], [5, 5 + length]]]


@pytest.mark.parametrize("cut", [np.s_[:], np.s_[:, 3:9], np.s_[::2], np.s_[..., 5:90]])
def test_rows_without_a_region_between_those_with_one(cut: Any) -> None:
    rng = np.random.default_rng(3)
    whole = np.zeros((9, 12, 130), np.uint16)
    for z, y, x in rng.integers(0, (9, 12, 120), (25, 3)):
        whole[z, y, x : x + 9] = 1 + x % 2
    mask = rng.random(whole.shape) < 0.1

    def check() -> None:
        for ignored in (None, mask[cut]):
            table, labels = reference.label_components(whole[cut], ignore_index=ignored)
            for threads in (1, 3):
                regions, painted = segmeter.label_components(
                    whole[cut], ignore_index=ignored, threads=threads, return_labels=True
                )
                np.testing.assert_array_equal(painted, labels)
                assert_table_equals(regions, table)

    each_level(check)


def test_labels_painted_over_an_image_given_back(peer: Any) -> None:
    ndimage = peer("scipy.ndimage")
    rng = np.random.default_rng(4)
    masks = [(rng.random((600, 700)) < share).astype(np.uint8) for share in (0.1, 0.5, 0.02)]

    def check() -> None:
        for mask in masks * 2:
            for threads in (1, 3):
                painted = segmeter.label_components(
                    mask, connectivity=4, return_labels=True, threads=threads
                )[1]
                np.testing.assert_array_equal(painted, ndimage.label(mask)[0])

    each_level(check)


@settings(max_examples=100)
@given(readings())
def test_instances_equal_the_twin(case: tuple[np.ndarray, dict[str, Any]]) -> None:
    label_map, options = case
    table = reference.instance_regions(label_map, **options)

    def check() -> None:
        for threads in THREADS:
            assert_table_equals(
                segmeter.instance_regions(label_map, threads=threads, **options), table
            )

    each_level(check)


@settings(max_examples=100)
@given(readings(), st.booleans())
def test_runs_stand_for_the_map(case: tuple[np.ndarray, dict[str, Any]], binary: bool) -> None:
    label_map, options = case
    binary = binary and options["background"] is not None
    counted = reference._counted(label_map, options["background"], options.get("ignore_index"))
    expected = np.where(counted, 1 if binary else label_map, 0)

    def check() -> None:
        for threads in THREADS:
            runs = segmeter.RunList.from_array(label_map, binary=binary, threads=threads, **options)
            np.testing.assert_array_equal(runs.to_array(threads=threads), expected)
            assert segmeter.RunList.from_arrays(runs.to_arrays()) == runs
            assert runs.length.sum() == counted.sum()

    each_level(check)


@settings(max_examples=60)
@given(label_maps(), st.data())
def test_slabs_of_runs_give_the_components_of_the_whole(
    label_map: np.ndarray, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, label_map.shape[0]), max_size=3)))
    slabs = [segmeter.RunList.from_array(part) for part in np.split(label_map, cuts)]
    whole = segmeter.RunList.concatenate(slabs)
    assert whole == segmeter.RunList.from_array(label_map)
    for threads in (1, 3):
        assert segmeter.label_components(whole, threads=threads) == segmeter.label_components(
            label_map
        )
        assert segmeter.instance_regions(whole, threads=threads) == segmeter.instance_regions(
            label_map
        )


@settings(max_examples=60)
@given(label_maps(), st.booleans(), st.data())
def test_regions_of_slabs_give_those_of_the_whole(
    label_map: np.ndarray, binary: bool, data: st.DataObject
) -> None:
    parts = np.split(label_map, sorted(data.draw(st.lists(st.integers(0, len(label_map))))))
    for connectivity in {2: (4, 8), 3: (6, 18, 26)}[label_map.ndim]:
        options: dict[str, Any] = {"connectivity": connectivity, "binary": binary}
        slabs = [segmeter.label_components(part, **options) for part in parts]
        whole = segmeter.label_components(label_map, **options)
        assert segmeter.Regions.concatenate(slabs, threads=2) == whole
    slabs = [segmeter.instance_regions(part) for part in parts]
    assert segmeter.Regions.concatenate(slabs) == segmeter.instance_regions(label_map)


def test_regions_of_slabs_that_do_not_fit():
    four = segmeter.label_components([[1, 0]], connectivity=4)
    with pytest.raises(ValueError, match="one connectivity"):
        segmeter.Regions.concatenate([four, segmeter.label_components([[1, 0]])])
    with pytest.raises(ValueError, match="equal extents"):
        segmeter.Regions.concatenate([four, segmeter.label_components([[1]], connectivity=4)])
    with pytest.raises(ValueError, match="at least one slab"):
        segmeter.Regions.concatenate([])
    with pytest.raises(TypeError, match="slabs must hold Regions, got int"):
        segmeter.Regions.concatenate([1])  # type: ignore[list-item]


# --- peers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("connectivity", [4, 8, 6, 18, 26])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.5, 0.9])
def test_binary_labels_equal_scipy(peer: Any, connectivity: int, density: float) -> None:
    ndimage = peer("scipy.ndimage")
    rng = np.random.default_rng(connectivity)
    axes = 2 if connectivity in (4, 8) else 3
    shape = (300, 331) if axes == 2 else (40, 37, 133)
    mask = rng.random(shape) < density
    steps = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}[connectivity]
    expected, count = ndimage.label(mask, ndimage.generate_binary_structure(axes, steps))
    for threads in THREADS:
        regions, labels = segmeter.label_components(
            mask, connectivity=connectivity, return_labels=True, threads=threads
        )
        assert len(regions) == count
        np.testing.assert_array_equal(labels, expected)
    numbers = np.arange(1, count + 1)
    np.testing.assert_allclose(
        regions.centroid, ndimage.center_of_mass(mask, expected, numbers), rtol=1e-12
    )


@pytest.mark.parametrize("connectivity", [4, 8, 6, 18, 26])
@pytest.mark.parametrize("size", [1, 3, 11])
def test_labels_of_many_classes_part_the_map_as_cc3d(
    peer: Any, connectivity: int, size: int
) -> None:
    cc3d = peer("cc3d")
    rng = np.random.default_rng(connectivity)
    shape = (311, 300) if connectivity in (4, 8) else (41, 37, 130)
    label_map = patches(rng, shape, size, 5).astype(np.uint32)
    expected, count = cc3d.connected_components(label_map, connectivity=connectivity, return_N=True)
    for threads in THREADS:
        regions, labels = segmeter.label_components(
            label_map, connectivity=connectivity, return_labels=True, threads=threads
        )
        assert len(regions) == count
        pairs = np.unique(np.stack([labels.ravel(), expected.ravel()]), axis=1)
        assert pairs.shape[1] == count + 1  # one name of each for every name of the other


def test_holes_equal_scikit_image(peer: Any) -> None:
    measure = peer("skimage.measure")
    rng = np.random.default_rng(3)
    mask = patches(rng, (90, 130), 2, 2).astype(bool)
    for connectivity in (4, 8):
        regions = segmeter.label_components(mask, connectivity=connectivity)
        holes = [
            1 - measure.euler_number(part.image, connectivity=connectivity // 4)
            for part in measure.regionprops(regions.labels())
        ]
        np.testing.assert_array_equal(regions.num_holes, holes)


# --- literal numbers and bad input ---------------------------------------------------------------


def test_ids_beyond_int64_and_negative_labels() -> None:
    ids = np.array([[2**64 - 1, 0, 2**63], [2**64 - 1, 5, 5]], np.uint64)
    regions = segmeter.instance_regions(ids)
    assert regions.id.tolist() == [5, 2**63, 2**64 - 1]
    assert regions.area.tolist() == [2, 1, 2]
    np.testing.assert_array_equal(regions.labels(), ids)
    np.testing.assert_array_equal(regions.runs.to_array(), ids)
    negative = segmeter.instance_regions(np.array([[-1, -(2**63), 0, 7]]))
    assert negative.id.tolist() == [-(2**63), -1, 7]
    assert segmeter.label_components(ids, ignore_index=2**64 - 1).area.tolist() == [1, 2]


def test_an_instance_of_two_parts_with_a_hole_each() -> None:
    ring = np.ones((3, 3), int)
    ring[1, 1] = 0
    apart = np.concatenate([ring, np.zeros((3, 1), int), ring], axis=1)
    regions = segmeter.instance_regions(apart)
    assert regions.num_holes.tolist() == [2]
    assert regions.surface.tolist() == [2 * 16]
    assert segmeter.label_components(apart).num_holes.tolist() == [1, 1]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (0, 3, 2), (2, 0, 3), (2, 3, 0)])
def test_empty_maps_have_no_regions(shape: tuple[int, ...]) -> None:
    regions, labels = segmeter.label_components(np.zeros(shape, np.uint8), return_labels=True)
    assert len(regions) == 0
    assert labels.shape == shape
    assert regions.centroid.shape == (0, len(shape))
    assert len(segmeter.instance_regions(np.zeros(shape, np.int64))) == 0
    assert segmeter.Regions.from_arrays(regions.to_arrays()) == regions


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1), (1, 4, 5), (4, 1, 5), (4, 5, 1)])
def test_axes_of_length_one(shape: tuple[int, ...]) -> None:
    label_map = np.random.default_rng(1).integers(0, 3, shape)
    table, labels = reference.label_components(label_map)
    regions, painted = segmeter.label_components(label_map, return_labels=True)
    np.testing.assert_array_equal(painted, labels)
    assert_table_equals(regions, table)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"label_map": np.zeros(3, int)}, ValueError, "two or three axes"),
        ({"label_map": np.zeros((1, 1, 1, 1), int)}, ValueError, "two or three axes"),
        ({"label_map": np.zeros((2, 2))}, TypeError, "integers or bools"),
        ({"connectivity": 6}, ValueError, r"one of \[4, 8\]"),
        ({"connectivity": 1}, ValueError, r"one of \[4, 8\]"),
        ({"connectivity": True}, TypeError, "connectivity must be an integer"),
        ({"connectivity": 8.0}, TypeError, "connectivity must be an integer"),
        ({"background": 0.5}, TypeError, "background must be an integer"),
        ({"background": None, "binary": True}, ValueError, "needs a background"),
        ({"ignore_index": np.zeros((2, 3), bool)}, ValueError, "shape of the map"),
        ({"ignore_index": np.zeros((2, 2), int)}, TypeError, "bool mask"),
        ({"ignore_index": "void"}, TypeError, "bool mask"),
        ({"ignore_index": True}, TypeError, "ignore_index must be an integer"),
        ({"threads": -1}, ValueError, "threads must be 0"),
        ({"threads": True}, TypeError, "threads must be an integer"),
    ],
)
def test_bad_arguments_are_named(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        segmeter.label_components(**({"label_map": np.ones((2, 2), int)} | arguments))


def test_a_run_list_is_read_already() -> None:
    runs = segmeter.RunList.from_array([[1, 2]])
    for option in ({"background": 1}, {"binary": True}, {"ignore_index": 1}):
        with pytest.raises(ValueError, match=r"RunList\.from_array"):
            segmeter.label_components(runs, **option)


@pytest.mark.parametrize(
    "change",
    [
        {"begin": [1, 2]},
        {"begin": [0, 2, 3]},
        {"end": [2, 3, 3]},
        {"end": [2, 3, 9]},
        {"end": [0, 3, 3]},
        {"row_begin": [0, 1]},
        {"row_begin": [0, 4, 3]},
        {"row_begin": [0, 1, 2]},
        {"value": [1, 2]},
        {"shape": (3, 3)},
        {"shape": (2, -3)},
        {"shape": (6,)},
        {"begin": [0.0, 2.0, 1.0]},
        {"begin": [-1, 2, 1]},
    ],
)
def test_arrays_that_make_no_run_list_are_refused(change: dict[str, Any]) -> None:
    good = {"shape": (2, 3), "row_begin": [0, 2, 3], "begin": [0, 2, 1], "end": [1, 3, 3]}
    assert len(segmeter.RunList(**good)) == 3
    with pytest.raises(ValueError):
        segmeter.RunList(**(good | change))


def test_slabs_must_fit_together() -> None:
    of = segmeter.RunList.from_array
    for slabs in ([], [of([[1]]), of([[1, 1]])], [of([[1]]), of([[1]], binary=True)]):
        with pytest.raises(ValueError, match="slabs must"):
            segmeter.RunList.concatenate(slabs)


@pytest.mark.parametrize("kind", ["map", "runs", "painted"])
def test_a_table_without_runs(kind: str) -> None:
    label_map = np.array([[1, 0, 2, 2], [0, 0, 0, 0], [3, 3, 3, 0]])
    whole = segmeter.label_components(label_map)
    table: Any
    if kind == "runs":
        runs = segmeter.RunList.from_array(label_map)
        table = segmeter.label_components(runs, return_runs=False)
    elif kind == "map":
        table = segmeter.label_components(label_map, return_runs=False)
    else:
        table, labels = segmeter.label_components(label_map, return_runs=False, return_labels=True)
        np.testing.assert_array_equal(labels, whole.labels())
    assert table.shape == (3, 4)
    assert table.area.tolist() == whole.area.tolist() == [1, 2, 3]
    assert table.touches_border.all()
    assert table == segmeter.label_components(label_map, return_runs=False)
    assert table != whole
    assert whole != table
    large = table.select(table.area > 1)
    assert large.id.tolist() == [2, 3]
    assert large != table
    for regions in (table, large):
        for ask in (
            lambda r: r.runs,
            lambda r: r.run_region,
            lambda r: r.surface,
            lambda r: r.num_holes,
            lambda r: r.labels(),
            lambda r: r.to_arrays(),
            lambda r: segmeter.Regions.concatenate([r, r]),
            lambda r: segmeter.overlap_table(r, whole),
        ):
            with pytest.raises(ValueError, match="return_runs"):
                ask(regions)


def test_selected_regions_keep_their_ids() -> None:
    regions = segmeter.label_components([[1, 0, 2, 2], [0, 0, 0, 0], [3, 3, 3, 0]])
    large = regions.select(regions.area > 1)
    assert large.id.tolist() == [2, 3]
    assert large.labels().tolist() == [[0, 0, 2, 2], [0, 0, 0, 0], [3, 3, 3, 0]]
    assert large.surface.tolist() == [6, 8]
    for mask in ([True], [1, 0, 1], [[True, True, True]]):
        with pytest.raises(ValueError, match="one per region"):
            regions.select(mask)


def test_longest_row_and_too_many_pixels():
    length = 2**32 - 2
    regions = segmeter.label_components(segmeter.RunList((1, length), [0, 1], [0], [length]))
    assert regions.coordinate_sum.tolist() == [[0, length * (length - 1) // 2]]
    for shape in ((2**32, 2**32, 5), (2**32, 2**32, 0)):
        with pytest.raises(ValueError, match="pixels"):
            segmeter.RunList(shape, [0], [], [])
