"""The confusion matrix against its NumPy twin, peers and hand-made numbers."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import segmeter
from segmeter import _core, reference
from segmeter.pixel import _matrix as matrix_module

if TYPE_CHECKING:
    from pathlib import Path

LABEL_TYPES = [np.dtype(t) for t in "?bBhHiIqQ"]
LAYOUTS = ("C", "F", "flipped", "every_second", "broadcast", "swapped", "read_only", "unaligned")
THREADS = (1, 2, 3, 7)


def layout(array: np.ndarray, kind: str) -> np.ndarray:
    """The same values in another memory layout (broadcast: the first row everywhere)."""
    if kind == "F":
        return np.asfortranarray(array)
    if kind == "flipped":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if kind == "every_second":
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if kind == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
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


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """A pair of label maps: piecewise constant or noisy, any type and layout, and num_classes."""
    num_classes = draw(st.sampled_from((2, 3, 19, 60, 150, 300)))
    shape = tuple(draw(st.lists(st.integers(1, 90), min_size=1, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    run = draw(st.sampled_from((1, 2, 5, 40, 1000)))
    arrays = []
    for _ in range(2):
        dtype = draw(st.sampled_from(LABEL_TYPES))
        top = min(num_classes, 2 if dtype.kind == "b" else np.iinfo(dtype).max + 1)
        size = int(np.prod(shape))
        values = np.repeat(rng.integers(0, top, size // run + 1), run)[:size]
        array = values.reshape(shape).astype(dtype)
        arrays.append(layout(array, draw(st.sampled_from(LAYOUTS))))
    return arrays[0], arrays[1], num_classes


def each_level(check: Any) -> None:
    chosen = _core.simd_level()
    try:
        for level in _core.simd_levels():
            _core.set_simd_level(level)
            check()
    finally:
        _core.set_simd_level(chosen)


@settings(deadline=None, max_examples=150)
@given(maps())
def test_equals_the_twin_for_every_type_layout_thread_and_level(case: Any) -> None:
    pred, target, num_classes = case
    expected = reference.confusion_matrix(pred, target, num_classes=num_classes)
    assert expected.sum() == target.size

    def check() -> None:
        for threads in THREADS:
            got = segmeter.confusion_matrix(pred, target, num_classes=num_classes, threads=threads)
            assert got.dtype == np.int64
            np.testing.assert_array_equal(got, expected)

    each_level(check)


@st.composite
def odd_labels(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments with ignored, mapped, masked and out-of-range labels."""
    num_classes = draw(st.integers(1, 6))
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 90)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    signed = draw(st.booleans())
    dtypes = [d for d in LABEL_TYPES if d.kind == ("i" if signed else "u")]
    arguments: dict[str, Any] = {"num_classes": num_classes}
    arguments["labels"] = draw(
        st.sampled_from(
            (
                None,
                list(rng.permutation(20)[:num_classes]),
                {7: 0, 3: num_classes - 1, 100: 0, 9: None, 0: None, 120: 0},
                {0: 0, 1: 0, 65535: None, 65534: 0, 32768: 0, 40000: 0, -99999: None, -2: 0},
                {v: v % num_classes for v in range(0, 66000, 3)},
            )
        )
    )
    if draw(st.booleans()):
        arguments["pred_labels"] = draw(
            st.sampled_from((list(range(num_classes)), {1: 0, 0: num_classes - 1, 5: None}))
        )
    arguments["reduce_zero_label"] = draw(st.booleans())
    arguments["ignore_index"] = draw(
        st.sampled_from((None, 2, 127, [2, 9], "mask", *((-1, -128) if signed else (255,))))
    )
    arguments["out_of_range"] = draw(st.sampled_from(("raise", "ignore", "wrong")))
    if arguments["out_of_range"] != "wrong":
        arguments["void_column"] = draw(st.sampled_from((None, True, False)))
    arguments["per_image"] = draw(st.booleans())
    common = [0, 1, 2, 3, 5, 7, 9, 100, 120, 127, *((-1, -2, -128) if signed else (255,))]
    wide = [*common, 300, 32766, 32767, *((-32768, -99999) if signed else (32768, 65535, 40000))]
    arguments["threads"] = draw(st.sampled_from((1, 3)))
    order = draw(st.permutations(wide))
    top = draw(st.integers(1, len(wide)))
    for name in ("pred", "target"):
        dtype = draw(st.sampled_from(dtypes))
        limits = np.iinfo(dtype)
        fitting = [v for v in order[:top] if limits.min <= v <= limits.max] or [0]
        arguments[name] = np.array(fitting)[rng.integers(0, len(fitting), shape)].astype(dtype)
    if arguments["ignore_index"] == "mask":
        arguments["ignore_index"] = rng.random(shape) < 0.4
    if draw(st.integers(0, 3)) == 0:  # exact in any order, and in half precision
        arguments["weights"] = rng.integers(0, 16, shape).astype(
            draw(st.sampled_from((np.float16, np.float32, ">f8", np.uint8)))
        )
    return arguments


@settings(deadline=None, max_examples=600)
@given(odd_labels())
@example(
    {
        "pred": np.array([[0]], np.uint64) + np.uint64(2**64 - 1),
        "target": np.array([[0]], np.uint64),
        "num_classes": 1,
        "ignore_index": -1,
        "out_of_range": "wrong",
    }
)
@example(
    {
        "pred": np.zeros((1, 2), np.int64),
        "target": np.array([[0, -(2**63)]]),
        "num_classes": 1,
        "ignore_index": np.array([[False, True]]),
    }
)
@example(
    {
        "pred": np.zeros((1, 2), np.int64),
        "target": np.array([[0, -(2**63)]]),
        "num_classes": 1,
        "ignore_index": np.array([[True, False]]),
    }
)
def test_labels_mapped_ignored_and_out_of_range(arguments: dict[str, Any]) -> None:
    try:
        expected = reference.confusion_matrix(**arguments)
    except ValueError:
        expected = None

    def check() -> None:
        if expected is None:
            with pytest.raises(ValueError, match="holds"):
                segmeter.confusion_matrix(**arguments)
        else:
            np.testing.assert_array_equal(segmeter.confusion_matrix(**arguments), expected)

    each_level(check)


@settings(deadline=None, max_examples=100)
@given(maps(), st.integers(0, 2**32 - 1))
def test_weights_add_up_as_in_the_twin(case: Any, seed: int) -> None:
    pred, target, num_classes = case
    weights = np.random.default_rng(seed).integers(0, 1000, target.shape) / 8  # exact in any order
    expected = reference.confusion_matrix(pred, target, num_classes=num_classes, weights=weights)
    for threads in THREADS:
        got = segmeter.confusion_matrix(
            pred, target, num_classes=num_classes, weights=weights, threads=threads
        )
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, expected)


def test_weighted_sums_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(5)
    pred, target = rng.integers(0, 4, (2, 3_000_001))
    weights = rng.random(target.shape) ** 7
    one = segmeter.confusion_matrix(pred, target, num_classes=4, weights=weights, threads=1)
    for threads in (2, 3, 7):
        many = segmeter.confusion_matrix(
            pred, target, num_classes=4, weights=weights, threads=threads
        )
        assert one.tobytes() == many.tobytes()
    np.testing.assert_allclose(one.sum(), weights.sum(), rtol=1e-12)


@st.composite
def score_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int]:
    num_classes = draw(st.sampled_from((2, 3, 19, 256, 257, 300)))
    channels = draw(st.sampled_from((1, 2))) if num_classes == 2 else num_classes
    images, height, width = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 70)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from((np.float16, np.float32, np.float64)))
    # Few distinct values: ties, infinities, signed zeros and NaN everywhere.
    values = np.array([0.0, -0.0, 0.25, 0.5, 1.0, -np.inf, np.inf, np.nan, -3.0], dtype)
    top = draw(st.integers(1, len(values)))
    scores = values[rng.integers(0, top, (images, channels, height, width))]
    axis = draw(st.sampled_from((1, -1, 2)))
    scores = np.ascontiguousarray(np.moveaxis(scores, 1, axis))
    if draw(st.booleans()):
        scores = layout(scores, draw(st.sampled_from(("swapped", "F", "flipped", "every_second"))))
    dtype = draw(st.sampled_from([d for d in LABEL_TYPES if d.kind != "b"]))
    top = min(num_classes, np.iinfo(dtype).max + 1)
    target = rng.integers(0, top, (images, height, width)).astype(dtype)
    return scores, target, num_classes, axis


@settings(deadline=None, max_examples=200)
@given(score_maps(), st.booleans())
def test_scores_are_decided_as_in_the_twin(case: Any, per_image: bool) -> None:
    scores, target, num_classes, axis = case
    arguments = {
        "num_classes": num_classes,
        "from_scores": True,
        "channel_axis": axis,
        "per_image": per_image,
        "threshold": 0.25 if scores.shape[axis] == 1 else None,
    }
    expected = reference.confusion_matrix(scores, target, **arguments)

    def check() -> None:
        for threads in (1, 3):
            got = segmeter.confusion_matrix(scores, target, threads=threads, **arguments)
            np.testing.assert_array_equal(got, expected)

    each_level(check)


def test_scores_tie_and_nan_as_torch(peer: Any) -> None:
    torch = peer("torch")
    rng = np.random.default_rng(0)
    values = np.array([0, -0.0, 1, 2, np.inf, -np.inf, np.nan], np.float32)
    scores = values[rng.integers(0, len(values), (2, 5, 40, 33))]
    target = rng.integers(0, 5, (2, 40, 33))
    labels = torch.from_numpy(scores).argmax(1).numpy()
    np.testing.assert_array_equal(
        segmeter.confusion_matrix(scores, target, num_classes=5, from_scores=True),
        segmeter.confusion_matrix(labels, target, num_classes=5),
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("threshold", [None, 0.0, 0.3, 0.7])
def test_threshold_is_strict_and_rounded_to_the_scores_type(dtype: Any, threshold: Any) -> None:
    edge = dtype(0.5 if threshold is None else threshold)
    scores = np.array([np.nextafter(edge, dtype(-9)), edge, np.nextafter(edge, dtype(9)), np.nan])
    matrix = segmeter.confusion_matrix(
        scores.astype(dtype), np.zeros(4, int), num_classes=2, from_scores=True, threshold=threshold
    )
    assert matrix.tolist() == [[3, 1], [0, 0]]


@pytest.mark.parametrize("odd", [-0.1, 1.5, np.inf])
def test_logits_of_one_channel_are_not_cut_at_one_half(odd: float) -> None:
    scores = np.array([0.0, 1.0, np.nan, odd], np.float32)
    with pytest.raises(ValueError, match=r"outside 0\.\.1.*threshold=, 0\.0 for logits"):
        segmeter.confusion_matrix(scores, np.zeros(4, int), num_classes=2, from_scores=True)
    assert segmeter.confusion_matrix(
        scores, np.zeros(4, int), num_classes=2, from_scores=True, threshold=0.0
    )[0, 1] == 1 + (odd > 0)


def test_half_precision_is_exact() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    both = np.stack([np.roll(every, 12345), every])
    labels = both.argmax(0)
    matrix = segmeter.confusion_matrix(
        both, labels, num_classes=2, from_scores=True, channel_axis=0
    )
    assert np.trace(matrix) == 2**16


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (1, 1, 1, 1, 1)])
def test_small_and_empty_shapes(shape: tuple[int, ...]) -> None:
    maps = np.zeros(shape, np.uint8)
    assert segmeter.confusion_matrix(maps, maps, num_classes=2).tolist() == [[maps.size, 0], [0, 0]]


def test_per_image_equals_one_by_one_and_lists_may_differ_in_size() -> None:
    rng = np.random.default_rng(2)
    target = rng.integers(0, 5, (9, 70, 50)).astype(np.int16)
    pred = rng.integers(0, 5, (9, 70, 50)).astype(np.uint8)
    single = [
        segmeter.confusion_matrix(p, t, num_classes=5) for p, t in zip(pred, target, strict=True)
    ]
    for threads in THREADS:
        batch = segmeter.confusion_matrix(
            pred, target, num_classes=5, per_image=True, threads=threads
        )
        np.testing.assert_array_equal(batch, single)
    preds = [p[: 10 + i] for i, p in enumerate(pred)]
    targets = [t[: 10 + i] for i, t in enumerate(target)]
    listed = segmeter.confusion_matrix(preds, targets, num_classes=5, per_image=True)
    np.testing.assert_array_equal(
        listed,
        [
            segmeter.confusion_matrix(p, t, num_classes=5)
            for p, t in zip(preds, targets, strict=True)
        ],
    )
    np.testing.assert_array_equal(
        segmeter.confusion_matrix(preds, targets, num_classes=5), listed.sum(0)
    )
    assert segmeter.confusion_matrix(pred[:0], target[:0], num_classes=5, per_image=True).shape == (
        0,
        5,
        5,
    )


def test_cityscapes_ids_are_mapped_in_the_kernel() -> None:
    train_ids = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10}
    mapping: dict[int, int | None] = dict.fromkeys(range(34)) | train_ids | {-1: None}
    rng = np.random.default_rng(3)
    pred, target = rng.integers(0, 34, (2, 64, 512), dtype=np.uint8)
    table = np.full(34, 255)
    table[list(train_ids)] = list(train_ids.values())
    expected = reference.confusion_matrix(
        table[pred], table[target], num_classes=11, ignore_index=255, void_column=True
    )
    got = segmeter.confusion_matrix(pred, target, num_classes=11, labels=mapping, void_column=True)
    np.testing.assert_array_equal(got, expected)


def test_two_to_the_31_pixels_without_the_memory() -> None:
    one = np.broadcast_to(np.uint8(1), (2**16, 2**15 + 1))
    matrix = segmeter.confusion_matrix(one, one, num_classes=2)
    assert matrix.tolist() == [[0, 0], [0, 2**31 + 2**16]]
    flags = np.broadcast_to(np.bool_(True), one.shape)
    assert segmeter.confusion_matrix(flags, flags, num_classes=2)[1, 1] == one.size


def test_cells_beyond_32_bits_are_exact() -> None:
    one = np.broadcast_to(np.uint8(1), (5, 2**30))
    assert segmeter.confusion_matrix(one, one, num_classes=2)[1, 1] == 5 * 2**30


def test_many_classes() -> None:
    labels = np.array([0, 3999, 3999, 17], np.uint16)
    matrix = segmeter.confusion_matrix(labels, labels[::-1].copy(), num_classes=4000)
    assert matrix[3999, 3999] == 2
    assert matrix[17, 0] == matrix[0, 17] == 1
    assert matrix.sum() == 4


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
@pytest.mark.parametrize("num_classes", [4, 19, 30, 31, 58, 59, 150, 254, 255, 256])
def test_noise_in_few_and_in_many_cells(num_classes: int, dtype: Any) -> None:
    rng = np.random.default_rng(num_classes)
    pred, target = rng.integers(0, num_classes, (2, 300, 300)).astype(dtype)
    # Without runs, yet two cells far above the 255 of a byte.
    pred[:100, ::2], pred[:100, 1::2], target[:100] = 3, num_classes - 1, num_classes - 2
    expected = reference.confusion_matrix(pred, target, num_classes=num_classes)
    assert expected.max() > 10_000

    def check() -> None:
        result = segmeter.confusion_matrix(pred, target, num_classes=num_classes, threads=1)
        np.testing.assert_array_equal(result, expected)

    each_level(check)


# Few classes are counted in pairs: one to sixteen slots a half, in blocks of three and four.
@pytest.mark.parametrize("num_classes", [1, 2, 3, 5, 8, 9, 13, 17, 19, 24, 29, 30, 31])
@pytest.mark.parametrize("kind", ["all", "classes", "one corner", "void", "invalid"])
def test_noise_of_few_classes_and_every_kind_of_label(num_classes: int, kind: str) -> None:
    rng = np.random.default_rng(num_classes)
    ids = rng.permutation(200)[:num_classes].astype(np.uint8)
    mapping = dict.fromkeys([201, 202]) | {int(v): i for i, v in enumerate(ids)}
    choice = {
        "all": [*ids, 201, 202, 250],
        "classes": ids,
        "one corner": ids[-2:],
        "void": [201, 202],
        "invalid": [250, 251],
    }[kind]
    maps = np.array(choice, np.uint8)[rng.integers(0, len(choice), (2, 3, 20_011))]
    arguments = {"num_classes": num_classes, "labels": mapping, "out_of_range": "ignore"}
    expected = {
        per_image: reference.confusion_matrix(
            *maps, per_image=per_image, void_column=True, **arguments
        )
        for per_image in (False, True)
    }

    def check() -> None:
        for threads in THREADS:
            for per_image in (False, True):
                got = segmeter.confusion_matrix(
                    *maps, per_image=per_image, void_column=True, threads=threads, **arguments
                )
                np.testing.assert_array_equal(got, expected[per_image])

    each_level(check)


@pytest.mark.parametrize("num_classes", [4, 19])
def test_noise_in_scores_and_signed_labels(num_classes: int) -> None:
    rng = np.random.default_rng(num_classes)
    target = rng.integers(-1, num_classes, 100_003).astype(np.int8)
    pred = rng.integers(0, num_classes, target.shape).astype(np.int8)
    scores = (np.arange(num_classes)[:, None] == pred).astype(np.float32)
    arguments = {"num_classes": num_classes, "ignore_index": -1}
    expected = reference.confusion_matrix(pred, target, **arguments)
    assert 0 < expected.sum() < target.size

    def check() -> None:
        np.testing.assert_array_equal(
            segmeter.confusion_matrix(pred, target, **arguments), expected
        )
        np.testing.assert_array_equal(
            segmeter.confusion_matrix(
                scores, target, from_scores=True, channel_axis=0, threads=1, **arguments
            ),
            expected,
        )

    each_level(check)


# A byte of a vector of sums holds 255 ones: 16,320 pixels.
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_each_pixel_counts_wherever_in_a_cache_line_a_map_begins(dtype: Any) -> None:
    size = 3 * 4096 // np.dtype(dtype).itemsize  # some three tiles
    rng = np.random.default_rng(size)
    pred, target = np.zeros((2, size + 64), dtype)
    pred[rng.integers(0, size, 60)] = 1
    target[rng.integers(0, size, 60)] = 2

    def check() -> None:
        for begin in range(64 // pred.itemsize + 1):
            for shift in (0, 1, begin):
                pair = pred[begin : begin + size], target[shift : shift + size]
                got = segmeter.confusion_matrix(*pair, num_classes=3, threads=1)
                expected = reference.confusion_matrix(*pair, num_classes=3)
                np.testing.assert_array_equal(got, expected)

    each_level(check)


def test_maps_that_no_cache_holds() -> None:
    size = 2**25 + 77
    rng = np.random.default_rng(size)
    pred, target = (np.repeat(rng.integers(0, 5, 2**19, np.uint8), 65)[:size] for _ in range(2))
    pred[rng.integers(0, size, 1000)] = 4
    expected = np.bincount(target * np.uint8(5) + pred, minlength=25).reshape(5, 5)

    def check() -> None:
        for threads in (1, 2):
            got = segmeter.confusion_matrix(pred, target, num_classes=5, threads=threads)
            np.testing.assert_array_equal(got, expected)

    each_level(check)


BOOL_SIZES = [1, 63, 64, 65, 255, 4032, 4033, 8064, 8065, 16_127, 16_128, 16_129, 16_384, 65_337]


@pytest.mark.parametrize("size", BOOL_SIZES)
def test_bool_maps_of_every_length(size: int) -> None:
    rng = np.random.default_rng(size)
    everywhere = np.full(size, 255, np.uint8).view(np.bool_)
    pred, target = rng.random((2, size)) < 0.3
    both, wrong, missed = (pred & target).sum(), (pred & ~target).sum(), (~pred & target).sum()
    expected = [[size - both - wrong - missed, wrong], [missed, both]]

    def check() -> None:
        for threads in THREADS:
            got = segmeter.confusion_matrix(pred, target, num_classes=2, threads=threads)
            assert got.tolist() == expected
            full = segmeter.confusion_matrix(everywhere, everywhere, num_classes=2, threads=threads)
            assert full.tolist() == [[0, 0], [0, size]]

    each_level(check)


def test_any_nonzero_byte_of_a_bool_array_is_true() -> None:
    odd = np.array([0, 1, 2, 255], np.uint8).view(np.bool_)
    truth = np.array([False, True, True, True])
    for pred, target in ((odd, truth), (truth, odd), (odd, odd)):
        assert segmeter.confusion_matrix(pred, target, num_classes=2).tolist() == [[1, 0], [0, 3]]
    as_labels = truth.astype(np.int32)
    assert segmeter.confusion_matrix(odd, as_labels, num_classes=2).tolist() == [[1, 0], [0, 3]]


# --- peers ---------------------------------------------------------------------------------------


def test_equals_scikit_learn(peer: Any) -> None:
    metrics = peer("sklearn.metrics")
    rng = np.random.default_rng(4)
    for dtype in (np.uint8, np.int64):
        pred, target = rng.integers(0, 12, (2, 5000)).astype(dtype)
        weights = rng.random(5000)
        np.testing.assert_array_equal(
            segmeter.confusion_matrix(pred, target, num_classes=12),
            metrics.confusion_matrix(target, pred, labels=range(12)),
        )
        np.testing.assert_allclose(
            segmeter.confusion_matrix(pred, target, num_classes=12, weights=weights),
            metrics.confusion_matrix(target, pred, labels=range(12), sample_weight=weights),
            rtol=1e-12,
        )


def test_equals_torchmetrics_on_tensors(peer: Any) -> None:
    torch, functional = peer("torch"), peer("torchmetrics.functional.classification")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 7, 40, 30, generator=generator, requires_grad=True)
    target = torch.randint(0, 7, (3, 40, 30), generator=generator)
    target[0, :5] = 255
    expected = functional.multiclass_confusion_matrix(
        logits, target, num_classes=7, ignore_index=255
    )
    got = segmeter.confusion_matrix(
        logits, target, num_classes=7, ignore_index=255, from_scores=True
    )
    np.testing.assert_array_equal(got, expected.numpy())
    labels = logits.argmax(1)
    got = segmeter.confusion_matrix(labels, target, num_classes=7, ignore_index=255)
    np.testing.assert_array_equal(got, expected.numpy())


# --- bad input -----------------------------------------------------------------------------------

OK = np.zeros((2, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pred": OK.T}, ValueError, r"same shape, got \(3, 2\) and \(2, 3\)"),
        ({"pred": OK.astype(float)}, TypeError, "pred must hold integer.*from_scores=True"),
        ({"target": OK.astype(float)}, TypeError, "target must hold integer.*float64"),
        ({"target": OK.astype(complex)}, TypeError, "complex128"),
        ({"pred": np.full((2, 3), "a")}, TypeError, "pred must hold integer"),
        ({"pred": object()}, TypeError, "pred must"),
        ({"num_classes": 0}, ValueError, "between 1 and 65536, got 0"),
        ({"num_classes": -3}, ValueError, "between 1 and 65536"),
        ({"num_classes": 65_537}, ValueError, "between 1 and 65536, got 65537"),
        ({"num_classes": 2.5}, TypeError, "num_classes must be an integer"),
        ({"out_of_range": "drop"}, ValueError, "must be one of 'raise', 'ignore', 'wrong'"),
        ({"out_of_range": "wrong", "void_column": False}, ValueError, "needs void_column"),
        ({"threads": -1}, ValueError, "threads"),
        ({"threads": 10**6}, ValueError, "threads"),
        ({"labels": [0]}, ValueError, "one label per class"),
        ({"labels": [5, 5]}, ValueError, "twice"),
        ({"labels": {3: 2}}, ValueError, "maps to class 2, outside 0..1"),
        ({"labels": {3: -1}}, ValueError, "use None"),
        ({"labels": {"a": 0}}, TypeError, "labels must be an integer"),
        ({"labels": 3}, TypeError, "sequence or a mapping"),
        ({"labels": "01"}, TypeError, "sequence or a mapping"),
        ({"labels": {2**70: 0}}, ValueError, r"labels are read from -2\*\*62"),
        ({"ignore_index": "void"}, TypeError, "ignore_index must be an integer"),
        ({"ignore_index": True}, TypeError, "mask must be a bool array"),
        ({"ignore_index": [True, False]}, TypeError, "mask must be a bool array"),
        ({"ignore_index": 0.5}, TypeError, "ignore_index must be an integer"),
        ({"ignore_index": OK}, TypeError, r"shape \(2, 3\) and dtype uint8.*astype\(bool\)"),
        ({"ignore_index": np.array([0, 1, 0])}, ValueError, "nothing but 0 and 1.*mask.astype"),
        ({"out_of_range": ["raise"]}, ValueError, "must be one of 'raise', 'ignore', 'wrong'"),
        ({"out_of_range": OK}, ValueError, "out_of_range must be one of .*, got ndarray"),
        ({"reduce_zero_label": []}, TypeError, "reduce_zero_label must be True or False, got"),
        ({"void_column": OK}, TypeError, "void_column must be True or False, got ndarray"),
        ({"per_image": "x"}, TypeError, "per_image must be True or False, got 'x'"),
        ({"from_scores": OK}, TypeError, "from_scores must be True or False, got ndarray"),
        ({"ignore_index": [[1], [1, 2]]}, ValueError, "ignore_index is a ragged nested list"),
        ({"num_classes": OK}, TypeError, "num_classes must be an integer, got ndarray"),
        ({"threshold": 0.5}, ValueError, "pass from_scores=True"),
        ({"channel_axis": 0}, ValueError, "pass from_scores=True"),
        ({"pred": np.ma.masked_array(OK, OK > 0)}, TypeError, "masked array"),
        ({"labels": {}}, ValueError, "maps no label"),
        (
            {"pred": np.zeros((2, 3)), "from_scores": True, "threshold": "a"},
            TypeError,
            "threshold must be a number",
        ),
        (
            {"ignore_index": np.zeros((3, 2), bool)},
            ValueError,
            "mask of ignored pixels.*target's shape",
        ),
        ({"weights": np.ones((3, 2))}, ValueError, "weights must have target's shape"),
        (
            {"weights": [[1, 1, np.nan], [-1, 1, 1]]},
            ValueError,
            r"finite and not negative, got nan \(2 pixels, first at \(0, 2\)\)",
        ),
        (
            {"weights": np.array([[0, 0, 0], [0, -1.5, 0]], np.float16)},
            ValueError,
            r"finite and not negative, got -1.5 \(1 pixel, first at \(1, 1\)\)",
        ),
        ({"weights": np.full((2, 3), np.inf)}, ValueError, r"got inf \(6 pixels"),
        ({"ignore_index": 2**63}, ValueError, r"2\*\*63 - 1; pass a bool mask"),
        ({"weights": np.full((2, 3), "a")}, TypeError, "weights must be numbers"),
        ({"pred": np.zeros((4, 2, 3)), "from_scores": True}, ValueError, "channel axis 1"),
        (
            {"pred": np.zeros((3, 2, 3)), "from_scores": True, "channel_axis": 0},
            ValueError,
            "must hold num_classes=2 scores, got 3",
        ),
        ({"pred": OK, "from_scores": True}, TypeError, "float16, float32 or float64"),
        (
            {"pred": np.zeros((2, 2, 3)), "from_scores": True, "channel_axis": 7},
            ValueError,
            "channel_axis 7 does not exist",
        ),
        (
            {"pred": np.zeros((2, 3)), "from_scores": True, "threshold": np.nan},
            ValueError,
            "threshold",
        ),
        (
            {"pred": np.zeros((2, 2, 3)), "from_scores": True, "channel_axis": 0, "threshold": 0.1},
            ValueError,
            "single channel",
        ),
        ({"pred": OK.astype(float), "from_scores": True, "weights": OK}, ValueError, "weights"),
        (
            {"pred": OK.astype(float), "from_scores": True, "pred_labels": [0, 1]},
            ValueError,
            "pred_labels",
        ),
        ({"pred": np.uint8(0), "target": np.uint8(0), "per_image": True}, ValueError, "image axis"),
        ({"target": [OK, OK]}, ValueError, "pred must be a list of 2 maps"),
        ({"target": [OK, OK], "pred": [OK, OK.T]}, ValueError, "image 1 of the list: pred and"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        segmeter.confusion_matrix(**({"pred": OK, "target": OK, "num_classes": 2} | arguments))
    assert "\n" not in str(caught.value)


def test_labels_out_of_range_are_listed_with_count_and_position() -> None:
    target = np.array([[0, 1, 7], [7, 255, -1]], np.int16)
    with pytest.raises(ValueError) as caught:
        segmeter.confusion_matrix(np.zeros_like(target), target, num_classes=2, ignore_index=255)
    message = str(caught.value)
    assert message.startswith("target holds labels outside 0..1: ")
    assert "7 (2 pixels, first at (0, 2))" in message
    assert "-1 (1 pixel, first at (1, 2))" in message
    assert "ignore_index" in message
    assert "255" not in message
    many = np.arange(100).reshape(10, 10)
    with pytest.raises(ValueError, match="and more"):
        segmeter.confusion_matrix(many, np.zeros_like(many), num_classes=2)
    huge = np.array([2**64 - 1], np.uint64)
    with pytest.raises(ValueError, match="18446744073709551615"):
        segmeter.confusion_matrix(huge, np.array([0]), num_classes=1)


def test_labels_out_of_range_are_listed_for_scores_too() -> None:
    scores = np.zeros((2, 3, 4))
    target = np.array([[0, 1, 2, 0], [0] * 4])
    with pytest.raises(ValueError, match=r"target holds.*: 2 \(1 pixel, first at \(0, 2\)\)"):
        segmeter.confusion_matrix(
            np.stack([scores[0, :2]] * 2), target, num_classes=2, from_scores=True, channel_axis=0
        )


def test_one_class_of_scores_is_always_that_class() -> None:
    for scores in (np.full(3, 0.9), np.full((1, 3), -5.0)):
        matrix = segmeter.confusion_matrix(
            scores, np.zeros(3, int), num_classes=1, from_scores=True, channel_axis=0
        )
        assert matrix.tolist() == [[3]]


def test_void_predictions_are_listed_only_where_pixels_count() -> None:
    with pytest.raises(ValueError, match=r"255 \(1 pixel, first at \(1,\)\)"):
        segmeter.confusion_matrix(
            np.array([255, 255]),
            np.array([5, 0]),
            num_classes=1,
            ignore_index=255,
            out_of_range="ignore",
        )


def test_a_predicted_ignore_label_is_wrong_and_never_dropped() -> None:
    pred, target = np.array([0, 255, 1]), np.array([0, 1, 255])
    with pytest.raises(ValueError, match=r"ignored labels.*255 \(1 pixel, first at \(1,\)\).*void"):
        segmeter.confusion_matrix(pred, target, num_classes=2, ignore_index=255)
    matrix = segmeter.confusion_matrix(
        pred, target, num_classes=2, ignore_index=255, void_column=True
    )
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_all_ignored_is_all_zero() -> None:
    target = np.full((4, 4), 255, np.uint8)
    matrix = segmeter.confusion_matrix(target, target, num_classes=3, ignore_index=255)
    assert not matrix.any()


# --- accumulator ---------------------------------------------------------------------------------


def test_accumulator_adds_merges_and_travels() -> None:
    rng = np.random.default_rng(6)
    pred, target = rng.integers(0, 3, (2, 6, 8, 8))
    target[0, 0] = 255
    whole = segmeter.ConfusionMatrix(3, ignore_index=255, class_names=("a", "b", "c"))
    for p, t in zip(pred, target, strict=True):
        assert whole.update(p, t) is whole
    parts = [
        segmeter.ConfusionMatrix(3, ignore_index=255, class_names=("a", "b", "c")).update(
            list(pred[i::2]), list(target[i::2])
        )
        for i in range(2)
    ]
    assert parts[0] + parts[1] == whole
    assert parts[0] != whole
    assert whole.num_images == 6
    assert whole.ignored == 8
    assert whole.matrix.sum() == pred.size - 8
    assert segmeter.ConfusionMatrix.from_arrays(whole.to_arrays()) == whole
    assert whole.scores()["mean_iou"] == segmeter.mean_iou(whole.matrix)
    assert "num_images=6" in repr(whole)


def test_accumulator_is_unchanged_by_a_failed_update() -> None:
    total = segmeter.ConfusionMatrix(2).update([0, 1], [0, 1])
    before = total.to_arrays()
    with pytest.raises(ValueError):
        total.update([np.array([0]), np.array([9])], [np.array([0]), np.array([0])])
    assert all(np.array_equal(v, before[k]) for k, v in total.to_arrays().items())


def test_accumulator_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="class_names"):
        segmeter.ConfusionMatrix(2, class_names=["a"])
    with pytest.raises(TypeError, match="mask"):
        segmeter.ConfusionMatrix(2, ignore_index=np.zeros(3, bool))
    with pytest.raises(ValueError, match="same classes"):
        segmeter.ConfusionMatrix(2) + segmeter.ConfusionMatrix(3)
    with pytest.raises(ValueError, match="same rules"):
        segmeter.ConfusionMatrix(2, ignore_index=255) + segmeter.ConfusionMatrix(2, labels=[1, 0])
    arrays = segmeter.ConfusionMatrix(2).to_arrays()
    for matrix in (np.zeros((2, 2), int), np.full((2, 3), 0.5)):
        with pytest.raises(ValueError, match="C \\+ 1"):
            segmeter.ConfusionMatrix.from_arrays(arrays | {"matrix": matrix})
    with pytest.raises(ValueError, match="negative"):
        segmeter.ConfusionMatrix.from_arrays(arrays | {"matrix": np.full((2, 3), -1)})
    with pytest.raises(ValueError, match="pred_labels does not apply"):
        segmeter.ConfusionMatrix(2, pred_labels=[1, 0]).update(
            np.zeros((1, 2, 1)), np.zeros((1, 1), int), from_scores=True
        )


def test_rules_travel_with_the_counts() -> None:
    rules = {"labels": [1, 0], "ignore_index": [9, 7], "out_of_range": "wrong"}
    first = segmeter.ConfusionMatrix(2, **rules).update([0, 1, 5], [0, 0, 1])
    again = segmeter.ConfusionMatrix.from_arrays(first.to_arrays())
    assert again == first
    assert again.update([0, 1, 5], [0, 0, 7]) == segmeter.ConfusionMatrix(2, **rules).update(
        [np.array([0, 1, 5])], [np.array([0, 0, 1])]
    ).update([0, 1, 5], [0, 0, 7])
    assert segmeter.ConfusionMatrix(2).update([], []).num_images == 0


def test_out_of_range_ignored_pixels_are_counted_as_ignored() -> None:
    total = segmeter.ConfusionMatrix(2, out_of_range="ignore").update([0, 5, 0], [0, 1, 9])
    assert total.ignored == 2
    assert total.matrix.tolist() == [[1, 0, 0], [0, 0, 0]]


# --- one meaning of "ignored", and what cannot be done to counts ----------------------------------


def test_ignoring_a_class_means_the_same_in_every_entry_point(tmp_path: Path) -> None:
    pred, target = np.array([[0, 1, 1, 1]]), np.array([[1, 1, 1, 0]])
    for side, labels in (("pred", pred), ("target", target)):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", labels)
    rules = {"num_classes": 2, "ignore_index": 0}
    matrix = segmeter.confusion_matrix(pred, target, void_column=True, **rules)
    total = segmeter.ConfusionMatrix(**rules).update(pred, target)
    result = segmeter.evaluate(tmp_path / "pred", tmp_path / "target", **rules)
    assert matrix.tolist() == [[0, 0, 0], [0, 2, 1]]
    assert total.matrix.tolist() == result.matrix.tolist() == matrix.tolist()
    assert segmeter.mean_iou(matrix) == result.scores["mean_iou"] == 2 / 3
    assert total.scores()["mean_iou"] == 2 / 3
    named = segmeter.ConfusionMatrix(**rules, class_names=["0", "1"]).update(pred, target)
    assert named == result.counts
    with pytest.raises(ValueError, match=r"pred holds ignored labels.*0 \(1 pixel.*void_column"):
        segmeter.confusion_matrix(pred, target, **rules)


def test_the_largest_score_in_an_ignored_class_is_void() -> None:
    scores = np.array([[0.9, 0.2, 0.1], [0.1, 0.8, 0.9]])
    options: dict[str, Any] = {"num_classes": 2, "ignore_index": 0, "from_scores": True}
    options["channel_axis"] = 0
    target = np.array([1, 1, 0])
    matrix = segmeter.confusion_matrix(scores, target, void_column=True, **options)
    assert matrix.tolist() == [[0, 0, 0], [0, 1, 1]]
    with pytest.raises(ValueError, match=r"largest score in an ignored class.*void_column"):
        segmeter.confusion_matrix(scores, target, **options)


def test_counts_cannot_be_changed_through_the_matrix(tmp_path: Path) -> None:
    total = segmeter.ConfusionMatrix(2).update([0, 1], [0, 1])
    before = total.matrix
    before[0, 0] = 99
    assert total.matrix[0, 0] == 1
    earlier = total.matrix
    total.update([0], [0])
    assert (earlier[0, 0], total.matrix[0, 0]) == (1, 2)
    with pytest.raises(AttributeError):
        total.matrix = before  # type: ignore[misc]
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", np.array([[0, 1]]))
    result = segmeter.evaluate(tmp_path / "pred", tmp_path / "target", num_classes=2)
    with pytest.raises(ValueError, match="read-only"):
        result.matrix[0, 0] = 99


def test_added_counts_are_checked() -> None:
    total = segmeter.ConfusionMatrix(2).add_counts([[1, 2, 3], [4, 5, 6]], ignored=7)
    assert (total.matrix.sum(), total.ignored, total.num_images) == (21, 7, 1)
    for wrong, words in (([[1, 2], [3, 4]], "got shape"), (np.full((2, 3), -1), "negative")):
        with pytest.raises(ValueError, match=words):
            total.add_counts(wrong)
    assert total.matrix.sum() == 21


def test_missing_arrays_are_named() -> None:
    arrays = segmeter.ConfusionMatrix(2).to_arrays()
    del arrays["ignored"], arrays["out_of_range"]
    with pytest.raises(ValueError, match="ignored, out_of_range are missing"):
        segmeter.ConfusionMatrix.from_arrays(arrays)


def test_accumulators_are_pickled_and_copied() -> None:
    total = segmeter.ConfusionMatrix(2, ignore_index=[255, 0], labels={0: 0, 7: 1, 9: 1})
    total.update([7, 9, 0], [7, 255, 9])
    for again in (pickle.loads(pickle.dumps(total)), copy.deepcopy(total)):
        assert again == total
        assert again.update([7], [9]) == total + segmeter.ConfusionMatrix(
            2, ignore_index=[0, 255], labels={0: 0, 7: 1, 9: 1}
        ).update([7], [9])


def test_a_matrix_beyond_memory_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    class Exhausted:
        def __getattr__(self, name: str) -> Any:
            raise MemoryError

    def no_memory(*_: Any, **__: Any) -> Any:
        raise MemoryError

    words = r"\(65536, 65537\) takes 32\.0 GiB.*labels="
    with monkeypatch.context() as patch:
        patch.setattr(np, "zeros", no_memory)
        with pytest.raises(MemoryError, match=words):
            segmeter.ConfusionMatrix(65_536)
    with monkeypatch.context() as patch:
        patch.setattr(matrix_module._core, "LabelRules", lambda *_: Exhausted())
        with pytest.raises(MemoryError, match=words):
            segmeter.confusion_matrix(
                [0], [0], num_classes=65_536, labels=range(65_536), void_column=True
            )


@pytest.mark.parametrize("option", ["num_classes", "threads"])
@pytest.mark.parametrize("value", [True, np.True_])
def test_truth_is_no_number(option: str, value: Any) -> None:
    segmeter.confusion_matrix([0], [0], num_classes=1, threads=1)
    with pytest.raises(TypeError, match=f"{option} must be an integer, got"):
        segmeter.confusion_matrix([0], [0], **({"num_classes": 1} | {option: value}))


def test_ragged_lists_and_repeated_labels() -> None:
    with pytest.raises(ValueError, match=r"pred is a ragged nested list.*list of arrays"):
        segmeter.confusion_matrix([[0, 1], [0]], [[0, 1], [0, 1]], num_classes=2)
    matrix = segmeter.confusion_matrix([0, 1, 1], [0, 1, 2], num_classes=2, ignore_index=[2, 2])
    assert matrix.tolist() == [[1, 0], [0, 1]]
    again = segmeter.confusion_matrix([0, 1], [0, 1], num_classes=3, ignore_index=[2, 0, 0])
    assert again.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_float_labels_in_memory_are_told_apart_from_float_files() -> None:
    with pytest.raises(TypeError, match=r"astype\(numpy.int32\) \(files of whole numbers"):
        segmeter.confusion_matrix(np.array([0.0, 1.0]), [0, 1], num_classes=2)
