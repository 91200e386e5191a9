"""The overlap table against its NumPy twin, scipy.sparse and hand-made numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmeter
from segmeter import OverlapTable, _core, overlap_table
from segmeter.reference import region_overlap as reference

ID_TYPES = [np.dtype(t) for t in "?bBhHiIqQ"]


def layout(array: np.ndarray, kind: str) -> np.ndarray:
    """The same values in another memory layout."""
    if array.ndim == 0:
        return array
    if kind == "F":
        return np.asfortranarray(array)
    if kind == "flipped":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if kind == "every_second":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if kind == "swapped":
        return array.astype(array.dtype.newbyteorder())
    out = array.copy()
    out.flags.writeable = False
    return out


@st.composite
def id_map(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    """Piecewise constant or noisy ids, small or sparse and huge, of any type and layout."""
    dtype = draw(st.sampled_from(ID_TYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pool = [0, 1]
    if dtype.kind != "b":
        limits = np.iinfo(dtype)
        pool += range(2, draw(st.sampled_from((3, 9, 120))))
        if draw(st.booleans()):
            pool += [int(limits.max), int(limits.min), int(limits.max) // 3]
    size = int(np.prod(shape))
    run = draw(st.sampled_from((1, 2, 6, 50)))
    picks = np.repeat(rng.integers(0, len(pool), size // run + 1), run)[:size]
    values = np.array(pool, dtype)[picks].reshape(shape)
    kinds = ("F", "flipped", "every_second", "swapped", "read_only")
    return layout(values, draw(st.sampled_from(kinds)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    shape = tuple(draw(st.lists(st.integers(0, 70), min_size=0, max_size=3)))
    if np.prod(shape) > 50_000:
        shape = shape[:2]
    pred, target = draw(id_map(shape)), draw(id_map(shape))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    options: dict[str, Any] = {"background": draw(st.sampled_from((0, 0, None, 3, -1, 2**40)))}
    ignored = draw(st.sampled_from(("none", "one", "several", "mask")))
    if ignored == "one":
        options["ignore_index"] = draw(st.integers(-1, 4))
    elif ignored == "several":
        options["ignore_index"] = [1, 2, -1, 2**64 - 1]
    elif ignored == "mask" and shape:
        options["ignore_index"] = rng.random(shape) < 0.3
    if draw(st.booleans()):
        options["pred_ignore_index"] = [2, 255]
    if draw(st.booleans()) and shape:
        options |= {
            "pred_classes": rng.integers(0, 3, shape),
            "target_classes": rng.integers(-1, 2, shape),
            "split_classes": True,
        }
    return pred, target, options


@settings(max_examples=200)
@given(cases(), st.sampled_from(_core.simd_levels()), st.integers(1, 3))
def test_equals_the_twin(case: Any, level: str, threads: int) -> None:
    pred, target, options = case
    expected = reference.overlap_table(pred, target, **options)
    chosen = _core.simd_level()
    try:
        _core.set_simd_level(level)
        table = overlap_table(pred, target, threads=threads, **options)
    finally:
        _core.set_simd_level(chosen)
    assert table == expected
    arrays, wanted = table.to_arrays(), expected.to_arrays()
    assert {name: a.dtype for name, a in arrays.items()} == {n: a.dtype for n, a in wanted.items()}


def large_pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    blocks = [rng.integers(0, 40, (64, 64)).repeat(16, 0).repeat(16, 1) for _ in range(2)]
    noisy = [np.where(rng.random(b.shape) < 0.05, rng.integers(0, 40, b.shape), b) for b in blocks]
    return noisy[0].astype(np.int32), noisy[1].astype(np.uint16)


def test_threads_and_levels_do_not_change_the_table() -> None:
    pred, target = large_pair()
    expected = overlap_table(pred, target, threads=1)
    chosen = _core.simd_level()
    try:
        for level in _core.simd_levels():
            _core.set_simd_level(level)
            for threads in (1, 2, 3, 7):
                assert overlap_table(pred, target, threads=threads) == expected
    finally:
        _core.set_simd_level(chosen)


def test_equals_a_sparse_matrix_of_scipy(peer: Any) -> None:
    sparse = peer("scipy.sparse")
    pred, target = large_pair()
    ones = np.ones(pred.size, np.int64)
    counts = sparse.coo_array((ones, (target.ravel(), pred.ravel()))).tocsr()[1:, 1:].tocoo()
    table = overlap_table(pred, target)
    order = np.lexsort((counts.col, counts.row))
    np.testing.assert_array_equal(table.target_id[table.target_index], counts.row[order] + 1)
    np.testing.assert_array_equal(table.pred_id[table.pred_index], counts.col[order] + 1)
    np.testing.assert_array_equal(table.intersection, counts.data[order])


def test_properties_by_hand() -> None:
    table = overlap_table([[1, 1, 2, 2, 0]], [[7, 7, 7, 9, 9]], ignore_index=9)
    np.testing.assert_array_equal(table.pred_void, [0, 1])
    assert (table.num_pixels, table.num_ignored) == (5, 2)
    np.testing.assert_array_equal(table.pred_counted_area, [2, 1])
    np.testing.assert_array_equal(table.union, [3, 3])
    np.testing.assert_allclose(table.iou, [2 / 3, 1 / 3])
    np.testing.assert_allclose(table.dice, [4 / 5, 2 / 4])
    np.testing.assert_allclose(table.ior, [2 / 3, 1 / 3])
    np.testing.assert_allclose(table.iop, [1, 1])


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (1,), (1, 1), (1, 1, 1)])
def test_tiny_maps(shape: tuple[int, ...]) -> None:
    ones, zeros = np.ones(shape, np.uint8), np.zeros(shape, np.int64)
    table = overlap_table(ones, ones)
    assert table.num_pred == table.num_target == len(table.intersection) == min(1, ones.size)
    assert overlap_table(zeros, ones).num_pred == 0
    assert overlap_table(ones, zeros).num_target == 0
    assert overlap_table(ones, ones, ignore_index=1).num_ignored == ones.size


def test_ids_of_every_size() -> None:
    top = 2**64 - 1
    table = overlap_table(
        np.array([top, 2**63, 5], np.uint64), np.array([2**32 - 1, 1, 1], np.uint32)
    )
    assert table.pred_id.tolist() == [5, 2**63, top]
    assert table.target_id.tolist() == [1, 2**32 - 1]
    negative = overlap_table(np.array([-(2**63), -1, 0]), np.array([-1, -1, -1], np.int8))
    assert negative.pred_id.tolist() == [-(2**63), -1]
    assert negative.target_id.tolist() == [-1]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 29))
def test_tables_of_parts_add_up_to_the_whole(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    pred, target = rng.integers(0, 9, (2, 30, 8))
    classes = {id_: id_ % 3 for id_ in range(9)}

    def table(rows: slice) -> OverlapTable:
        return overlap_table(
            pred[rows], target[rows], ignore_index=4, pred_classes=classes, target_classes=classes
        )

    whole = table(slice(None))
    assert table(slice(0, cut)) + table(slice(cut, None)) == whole
    assert OverlapTable.from_arrays(whole.to_arrays()) == whole
    assert whole.swapped().swapped() == whole
    inverse = overlap_table(target, pred)
    assert overlap_table(pred, target).swapped() == inverse


def test_ids_of_mixed_types_add_up() -> None:
    huge = overlap_table(np.array([2**64 - 1], np.uint64), [1])
    assert (huge + overlap_table([3], [1])).pred_id.tolist() == [3, 2**64 - 1]
    with pytest.raises(ValueError, match="negative ids"):
        huge + overlap_table([-3], [1])


def test_a_region_of_two_classes_is_an_error_that_names_it() -> None:
    ids, classes = np.array([[7, 7, 8]]), np.array([[1, 2, 2]])
    with pytest.raises(ValueError, match="target region 7 has classes 1 and 2"):
        overlap_table(ids, ids, pred_classes={7: 1, 8: 1}, target_classes=classes)
    table = overlap_table(ids, ids, pred_classes=classes, target_classes=classes,
                          split_classes=True)  # fmt: skip
    assert table.target_id.tolist() == [7, 7, 8]
    assert table.target_class.tolist() == [1, 2, 2]
    with pytest.raises(ValueError, match="pred region 7 has class 1 in one table and 2"):
        overlap_table([7], [1], pred_classes=[1], target_classes=[1]) + overlap_table(
            [7], [1], pred_classes=[2], target_classes=[1]
        )


def test_by_class_drops_other_regions() -> None:
    table = overlap_table([1, 2, 3], [4, 4, 5], pred_classes=[0, 1, 1], target_classes=[1, 0])
    one = table.by_class(1)
    assert (one.pred_id.tolist(), one.target_id.tolist()) == ([2, 3], [4])
    assert (one.pred_index.tolist(), one.intersection.tolist()) == ([0], [1])


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 2))
def test_run_lists_give_the_table_of_the_painted_maps(
    seed: int, ignoring: bool, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 24, rng.integers(2, 4)))
    pred, target = (rng.integers(0, 3, shape).repeat(2, axis=-1) for _ in range(2))
    ignore: dict[str, Any] = {"ignore_index": rng.random(pred.shape) < 0.2} if ignoring else {}
    regions, painted = segmeter.label_components(pred, return_labels=True)
    truth, truth_painted = segmeter.label_components(target, return_labels=True, **ignore)
    expected = overlap_table(
        painted, truth_painted, pred_classes=regions.value, target_classes=truth.value, **ignore
    )
    assert overlap_table(regions, truth, threads=threads, **ignore) == expected
    instances = segmeter.instance_regions(pred), segmeter.instance_regions(target)
    assert overlap_table(*instances) == overlap_table(pred, target)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_many_pairs_that_several_threads_find(threads: int) -> None:
    # Every pair lies in both halves; each thread finds more of them than are merged at once.
    pred = np.tile(np.arange(1, 2**19 + 1, dtype=np.int32), 2).reshape(1024, 1024)
    table = overlap_table(pred, (pred + 1) // 2, threads=threads)
    np.testing.assert_array_equal(table.pred_index, np.arange(2**19))
    np.testing.assert_array_equal(table.target_index, np.arange(2**19) // 2)
    assert (table.intersection == 2).all()
    assert (table.pred_area == 2).all()
    assert (table.target_area == 4).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_ids_that_outgrow_sixteen_bits_on_the_way(dtype: Any, threads: int) -> None:
    # Ids of the first rows fit 16 bits, later ones do not; the first pairs come again at the end.
    pred = (np.arange(512 * 1024).reshape(512, 1024) // 7).astype(dtype)
    pred[-5:] = pred[:5]
    target = (pred // 3 + 65_530 * (pred > 1000)).astype(dtype)
    keys, expected = np.unique(
        target.astype(np.int64) * 2**32 + pred.astype(np.int64), return_counts=True
    )
    table = overlap_table(pred, target, background=None, threads=threads)
    found = table.target_id[table.target_index] * 2**32 + table.pred_id[table.pred_index]
    np.testing.assert_array_equal(found, keys)
    np.testing.assert_array_equal(table.intersection, expected)


def test_many_runs_are_shared_among_threads() -> None:
    rng = np.random.default_rng(8)
    pred, target = (
        segmeter.label_components(rng.random((1500, 1500)) < 0.5, connectivity=4) for _ in range(2)
    )
    ones = {
        "pred_classes": np.ones(len(pred), int),
        "target_classes": np.ones(len(target), int),
    }
    expected = overlap_table(pred.labels(), target.labels(), **ones)
    assert len(expected.intersection) > 10**5
    for threads in (1, 2, 3):
        assert overlap_table(pred, target, threads=threads) == expected


def test_regions_on_ignored_pixels_are_refused() -> None:
    regions = segmeter.instance_regions([[5, 5, 0]])
    with pytest.raises(ValueError, match="target region 5 lies on ignored pixels"):
        overlap_table(regions, regions, ignore_index=np.array([[False, True, True]]))


REGIONS = segmeter.instance_regions([[1, 2]])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (([1.0], [1]), {}, TypeError, "integer or bool ids, got dtype float64"),
        (([1, 2], [1]), {}, ValueError, "same shape"),
        (([1], [1]), {"background": True}, TypeError, "background must be an integer"),
        (([1], [1]), {"threads": -1}, ValueError, "threads must be 0"),
        (([1], [1]), {"ignore_index": np.array([True, False])}, ValueError, "target's shape"),
        (([1], [1]), {"ignore_index": 0.5}, TypeError, "integer"),
        (([1], [1]), {"ignore_index": np.zeros((1, 1))}, TypeError, "astype"),
        (([1], [1]), {"pred_ignore_index": np.array([True])}, TypeError, "must be ids"),
        (([1], [1]), {"pred_classes": {1: 0}}, ValueError, "both pred_classes and target"),
        (
            ([1], [2]),
            {"pred_classes": {1: 0}, "target_classes": {1: 0}},
            ValueError,
            "target_classes has no class for region 2",
        ),
        (
            ([[1, 2]], [[1, 1]]),
            {"pred_classes": [1], "target_classes": [1]},
            ValueError,
            "a class for each of 2 regions",
        ),
        ((REGIONS, [[1, 2]]), {}, TypeError, "two Regions"),
        ((REGIONS, REGIONS), {"ignore_index": 3}, TypeError, "bool mask"),
        ((REGIONS, REGIONS), {"background": 1}, ValueError, "instance maps"),
    ],
)
def test_bad_input(arguments: Any, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        overlap_table(*arguments, **options)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pred_index": [5]}, "does not exist"),
        ({"pred_area": [1, 2]}, "differ in length"),
        ({"intersection": [0.5]}, "integers"),
        ({"intersection": [2]}, "pred region 1 has an area of 1 pixels, and 2 in its pairs"),
        ({"target_void": [1]}, "target region 1 has an area of 1 pixels, and 2 in its pairs"),
    ],
)
def test_arrays_that_make_no_table(change: dict[str, Any], words: str) -> None:
    arrays = overlap_table([1], [1]).to_arrays()
    with pytest.raises(ValueError, match=words):
        OverlapTable.from_arrays({**arrays, **change})


def test_split_of_huge_ids_and_of_no_axes():
    # As float64, both ids would be the ignored one.
    ids = np.array([2**64 - 1, 2**64 - 2, 3], np.uint64)
    for pred in (ids, ids.astype(">u8")):
        table = segmeter.overlap_table(
            pred, pred, ignore_index=[2**64 - 1, 3],
            pred_classes=[0, 0, 1], target_classes=[5, 6, 7], split_classes=True,
        )  # fmt: skip
        assert table.target_id.tolist() == [2**64 - 2]
        assert table.target_class.tolist() == [6]
    one = segmeter.overlap_table(
        np.array(3), np.array(4), pred_classes=np.array(1), target_classes=np.array(2),
        split_classes=True, ignore_index=9,
    )  # fmt: skip
    assert (one.pred_class.tolist(), one.target_class.tolist()) == ([1], [2])


def test_split_needs_no_table_of_all_ids_and_classes():
    ids = np.arange(1, 300_001)  # times as many classes: 90 G entries
    table = segmeter.overlap_table(
        ids, ids, pred_classes=ids, target_classes=ids, split_classes=True
    )
    assert table.num_pred == len(ids)
