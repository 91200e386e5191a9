"""The table of sums and its backward sweep: definition, differences, bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_allclose, assert_array_equal

from segmeter import _core
from segmeter.loss import (
    PixelTerm,
    SoftCounts,
    SoftCountsGradient,
    _buffers,
    clear_buffers,
    cross_entropy,
    dice_cross_entropy,
    dice_metric,
    focal,
    set_buffer_limit,
    soft_counts,
    soft_counts_backward,
)
from segmeter.reference import loss_table

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMS = (
    PixelTerm("cross_entropy"),
    PixelTerm("focal", 2.0),
    PixelTerm("reduced_focal", 1.5, 0.4),
    PixelTerm("poly", 1.0),
    PixelTerm("generalised", 0.7),
    PixelTerm("power_cross_entropy", 0.3),
)


@contextmanager
def simd_level(level: str) -> Iterator[None]:
    """Use another instruction set for a while."""
    before = _core.simd_level()
    _core.set_simd_level(level)
    try:
        yield
    finally:
        _core.set_simd_level(before)


ENTRIES = [field.name for field in fields(SoftCountsGradient)]


def dot(counts: SoftCounts, d: SoftCountsGradient) -> float:
    """A loss that is linear in the table, with the derivative d."""
    return float(sum(np.sum(getattr(counts, name) * getattr(d, name)) for name in ENTRIES))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_gradient_is_the_difference_quotient(
    activation: str, dense: bool, channels_last: bool
) -> None:
    rng = np.random.default_rng(5)
    shape = (2, 3, 3, 2)
    logits = rng.uniform(0.1, 0.9, shape) if activation == "none" else rng.normal(0, 2, shape)
    target = rng.dirichlet(np.ones(3), (2, 3, 2)) if dense else rng.integers(0, 3, (2, 3, 2))
    if dense and not channels_last:
        target = np.moveaxis(target, -1, 1)
    if channels_last:
        logits = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
    options = {
        "activation": activation,
        "mask": rng.random((2, 3, 2)) < 0.3,
        "pixel_weight": rng.random((2, 3, 2)),
        "label_smoothing": 0.1,
        "channels_last": channels_last,
        "pixel_terms": TERMS,
        "squares": True,
    }
    counts = soft_counts(logits, target, **options)
    d = SoftCountsGradient(*(rng.normal(size=getattr(counts, name).shape) for name in ENTRIES))
    gradient = soft_counts_backward(logits, target, d, **options)
    step = 1e-5
    for at in np.ndindex(logits.shape):
        moved = [logits.copy(), logits.copy()]
        moved[0][at] -= step
        moved[1][at] += step
        below, above = (dot(soft_counts(x, target, **options), d) for x in moved)
        assert_allclose(gradient[at], (above - below) / (2 * step), rtol=1e-6, atol=1e-7)


def test_sums_by_hand() -> None:
    p = np.array([[[0.5, 0.25], [0.25, 0.5], [0.25, 0.25]]])
    counts = soft_counts(np.log(p), [[0, 2]], pixel_terms=TERMS[:2], squares=True)
    assert_allclose(counts.intersection, [[0.5, 0.0, 0.25]])
    assert_allclose(counts.pred, [[0.75, 0.75, 0.5]])
    assert_allclose(counts.pred_squared, [[0.3125, 0.3125, 0.125]])
    assert_array_equal(counts.target, [[1, 0, 1]])
    assert_allclose(counts.terms[0], [[np.log(2), 0, np.log(4)]])
    assert_allclose(counts.terms[1], [[np.log(2) / 4, 0, np.log(4) * 9 / 16]])
    assert_array_equal(counts.valid, [2])


def test_tables_add_up_and_are_stored() -> None:
    rng = np.random.default_rng(1)
    logits, target = rng.normal(size=(4, 3, 5)), rng.integers(0, 3, (4, 5))
    whole = soft_counts(logits, target, pixel_terms=TERMS).sum_samples()
    parts = [soft_counts(logits[i : i + 1], target[i : i + 1], pixel_terms=TERMS) for i in range(4)]
    summed = sum(parts)
    stored = SoftCounts.from_arrays(summed.to_arrays())
    for name, array in whole.to_arrays().items():
        assert_allclose(getattr(stored, name), array, rtol=1e-12)


# ------------------------------------------------------------------------------ against the twin


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """Logits, a target and options, of any dtype, layout and activation."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples, channels = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3, 4, 7, 19]))
    spatial = draw(st.lists(st.integers(1, 13), min_size=0, max_size=3))
    activation = draw(st.sampled_from(["softmax", "sigmoid", "none"]))
    assume(channels > 1 or activation != "softmax")
    size = draw(st.sampled_from([0.1, 2.0, 8.0]))
    shape = (samples, channels, *spatial)
    x = rng.uniform(0.02, 0.98, shape) if activation == "none" else rng.normal(0, size, shape)
    logits = x.astype(draw(st.sampled_from(["f2", "f4", "f8", ">f4", ">f2"])))
    if draw(st.booleans()):  # channels behind each other in memory, or pixels in reverse
        logits = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
        logits = np.moveaxis(logits, -1, 1)
    if spatial and draw(st.booleans()):
        logits = logits[..., ::-1]
    labels = rng.integers(0, max(channels, 2), (samples, *spatial))
    ignored = draw(st.sampled_from([None, 0, -1, 255, (1, 255)]))
    kind = draw(st.sampled_from(["u1", "i1", ">u2", "i4", "u8", "i8", "one-hot", "soft"]))
    options: dict[str, Any] = {"activation": activation}
    if kind == "soft":
        target = rng.random(shape).astype(draw(st.sampled_from(["f4", "f8"])))
        target[rng.random(shape) < 0.3] = draw(st.sampled_from([0.0, 1.0]))
    elif kind == "one-hot" and channels > 1:
        target = (labels[:, None] == np.arange(channels).reshape(-1, *[1] * len(spatial))).astype(
            draw(st.sampled_from([bool, "u1", "i8"]))
        )
    else:
        target = labels.astype("i8" if kind == "one-hot" else kind)
        options["ignore_index"] = ignored
        if ignored == 255 and target.dtype.itemsize > 1:
            target[rng.random(target.shape) < 0.2] = 255
    if draw(st.booleans()):
        options["mask"] = rng.random(labels.shape) < 0.3
    if draw(st.booleans()):
        weights = rng.random(labels.shape).astype(draw(st.sampled_from(["f4", "f8"])))
        options["pixel_weight"] = np.where(rng.random(labels.shape) < 0.2, 0, weights)
    options["label_smoothing"] = draw(st.sampled_from([0.0, 0.0, 0.1]))
    options["pixel_terms"] = tuple(draw(st.lists(st.sampled_from(TERMS), max_size=3)))
    options["squares"] = draw(st.booleans())
    return {"logits": logits, "target": target, "options": options, "rng": rng}


def twin_options(target: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The same options as the twin has them."""
    given = dict(options)
    ignored = given.pop("ignore_index", None)
    mask = given.pop("mask", None)
    left_out = np.isin(target, [] if ignored is None else np.atleast_1d(ignored))
    if mask is not None:
        left_out = left_out | mask if target.shape == mask.shape else mask
    given["left_out"] = left_out if ignored is not None or mask is not None else None
    given["terms"] = given.pop("pixel_terms")
    return given


@settings(max_examples=300)
@given(problems())
def test_sums_and_gradient_equal_the_twin(problem: dict[str, Any]) -> None:
    logits, target, options = problem["logits"], problem["target"], problem["options"]
    twin = twin_options(target, options)
    single = options["activation"] != "none" and logits.dtype.itemsize < 8
    # A sweep in float32 reads a target of float64 as float32; 1 - y is exact from there.
    read = target.astype(np.float32) if single and target.dtype == np.float64 else target
    counts = soft_counts(logits, target, **options)
    expected = loss_table.soft_counts(logits, read, **twin)
    # Each sum is of positive parts: its error is theirs. A float16 logit is exact.
    for name, array in counts.to_arrays().items():
        assert_allclose(array, expected[name], rtol=3e-6, atol=1e-9, err_msg=name)
    rng = problem["rng"]
    d = SoftCountsGradient(*(rng.normal(size=getattr(counts, name).shape) for name in ENTRIES))
    gradient = soft_counts_backward(logits, target, d, **options)
    by_name = {name: getattr(d, name) for name in ENTRIES}
    wanted = loss_table.soft_counts_backward(logits.astype(np.float64), read, by_name, **twin)
    assert gradient.dtype == logits.dtype
    error = 2e-5 if single else 1e-11
    assert_allclose(
        gradient,
        wanted.astype(logits.dtype),
        rtol=1.1e-3 if logits.dtype.itemsize == 2 else error,
        atol=2e-6 if logits.dtype.itemsize == 2 else error,
    )


@settings(max_examples=60)
@given(problems(), st.sampled_from(["avx2", "avx512"]))
def test_same_bits_for_threads_and_levels(problem: dict[str, Any], level: str) -> None:
    logits, target, options = problem["logits"], problem["target"], problem["options"]
    assume(level in _core.simd_levels())

    def all_bits(threads: int) -> list[bytes]:
        counts = soft_counts(logits, target, **options, threads=threads)
        rng = np.random.default_rng(3)
        d = SoftCountsGradient(*(rng.normal(size=getattr(counts, name).shape) for name in ENTRIES))
        gradient = soft_counts_backward(logits, target, d, **options, threads=threads)
        return [array.tobytes() for array in (*counts.to_arrays().values(), gradient)]

    best = all_bits(1)
    with simd_level(level):
        assert all_bits(2) == best


@pytest.mark.parametrize("weighted", [False, True])
def test_noise_in_many_classes_equals_the_twin(weighted: bool) -> None:
    """More labels within a run of pixels than are booked one after the other."""
    rng = np.random.default_rng(8)
    shape = (1, 120, 1100)
    logits = rng.normal(size=shape).astype(np.float32)
    target = rng.integers(0, 120, (1, 1100))
    target[:, :200] %= 30
    options: dict[str, Any] = {
        "activation": "softmax",
        "pixel_terms": TERMS[:2],
        "squares": True,
    }
    if weighted:
        options["pixel_weight"] = rng.random(target.shape)
    counts = soft_counts(logits, target, **options).to_arrays()
    expected = loss_table.soft_counts(logits, target, **twin_options(target, options))
    for name, array in counts.items():
        assert_allclose(array, expected[name], rtol=3e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_same_bits_for_any_number_of_threads(activation: str) -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (2, 5, 300, 301)).astype(np.float32)
    target = rng.integers(0, 5, (2, 300, 301)).astype(np.uint8)
    results = []
    for threads in (1, 2, 3, 5, 7):
        for level in [one for one in _core.simd_levels() if one != "baseline"]:
            with simd_level(level):
                options = {"activation": activation, "threads": threads}
                value, gradient = dice_cross_entropy()(
                    logits, target, return_grad=True, threads=threads
                )
                value2, gradient2 = cross_entropy(logits, target, return_grad=True, **options)
                results.append((value, value2, gradient.tobytes(), gradient2.tobytes()))
    assert all(result == results[0] for result in results)


# ------------------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("size", [1.0, 3.0])
def test_accuracy_of_pixel_losses(gamma: float, activation: str, size: float) -> None:
    rng = np.random.default_rng(7)
    logits = rng.normal(0, size, (2, 19, 96, 96)).astype(np.float32)
    target = rng.integers(0, 19, (2, 96, 96))
    options = {"activation": activation, "gamma": gamma}
    value, gradient = focal(logits, target, return_grad=True, **options)
    exact, expected = focal(logits.astype(np.float64), target, return_grad=True, **options)
    assert abs(value - exact) <= 1e-7 * exact
    assert np.max(np.abs(gradient - expected) / np.abs(expected)) <= 2e-6


# ------------------------------------------------------------------------------------ bad input


EXTREMES = [-np.inf, -3e38, -1e4, -88.0, 0.0, 1e4, 3e38]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_extreme_logits(dtype: str, activation: str) -> None:
    pairs = np.array([(a, b) for a in EXTREMES for b in EXTREMES if max(a, b) > -np.inf])
    logits = np.ascontiguousarray(pairs.T[None]).astype(dtype)
    target = np.zeros((1, pairs.shape[0]), int)
    options = {"activation": activation, "pixel_terms": TERMS[:3]}
    for i in range(pairs.shape[0]):  # alone, so that a finite one shows
        x, y = logits[..., i : i + 1], target[..., i : i + 1]
        counts = soft_counts(x, y, **options)
        twin = loss_table.soft_counts(x, y, **twin_options(y, options))
        for name in ("intersection", "pred", "terms", "terms_negative"):
            found, wanted = getattr(counts, name), twin[name]
            with np.errstate(over="ignore"):
                wanted = wanted.astype("f4") if dtype == "f4" else wanted
            assert_allclose(found, wanted, rtol=1e-6, atol=1e-37, err_msg=f"{pairs[i]}")
        d = SoftCountsGradient(*(np.ones_like(getattr(counts, name)) for name in ENTRIES))
        gradient = soft_counts_backward(x, y, d, **options)
        assert np.isfinite(gradient).all(), pairs[i]
        wanted = loss_table.soft_counts_backward(
            x, y, {name: getattr(d, name) for name in ENTRIES}, **twin_options(y, options)
        )
        assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-6, err_msg=f"{pairs[i]}")


def far_logits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of 64 pixels near 0, and among them some that are far from it, or whose label is."""
    logits = rng.normal(size=(1, 9, 64 * 21)).astype(np.float32)
    target = rng.integers(0, 9, (1, 64 * 21))
    for tile, size in enumerate([30.0, -30.0, 43.0, -43.0, 46.0, -46.0, 60.0, -200.0, 1e4, -1e4]):
        logits[0, :, 64 * (2 * tile) : 64 * (2 * tile) + 64] += np.float32(size)
    # Alone in their tiles: a class that nobody believes in, and one far from all others.
    logits[0, :, 100], logits[0, target[0, 100], 100] = 43.9, -43.9
    logits[0, 3, 200] = -np.inf
    logits[0, :, 330], logits[0, target[0, 330], 330] = 0.0, 50.0
    logits[0, :, 460], logits[0, target[0, 460], 460] = 40.0, -50.0
    return logits, target


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("squares", [True, False])
def test_logits_far_from_zero_beside_near_ones(plain: bool, squares: bool) -> None:
    rng = np.random.default_rng(4)
    logits, target = far_logits(rng)
    options: dict[str, Any] = {
        "activation": "softmax",
        "pixel_terms": TERMS[:2],
        "squares": squares,
    }
    if not plain:
        options["pixel_weight"] = rng.random(target.shape).astype(np.float32) + 0.5
        options["ignore_index"] = 4
    twin = twin_options(target, options)
    expected = loss_table.soft_counts(logits.astype(np.float64), target, **twin)
    slopes = {name: rng.normal(size=expected[name].shape) for name in ENTRIES}
    wanted = loss_table.soft_counts_backward(logits.astype(np.float64), target, slopes, **twin)
    bits = []
    for level in _core.simd_levels():
        with simd_level(level):
            counts = soft_counts(logits, target, **options)
            for name, array in counts.to_arrays().items():
                assert_allclose(array, expected[name], rtol=1e-6, err_msg=name)
            gradient = soft_counts_backward(logits, target, SoftCountsGradient(**slopes), **options)
            assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-6)
            if level != "baseline":
                bits.append([*(array.tobytes() for array in counts.to_arrays().values())])
                bits[-1].append(gradient.tobytes())
    assert all(one == bits[0] for one in bits)


@pytest.mark.parametrize("size", [20.0, 43.0, 46.0, 300.0])
def test_gradient_does_not_depend_on_what_all_logits_have_in_common(size: float) -> None:
    rng = np.random.default_rng(6)
    logits = rng.integers(-8, 9, (1, 5, 640)).astype(np.float32) / 4
    target = rng.integers(0, 5, (1, 640))
    value, gradient = cross_entropy(logits, target, return_grad=True)
    for shift in (size, -size):
        shifted = logits + np.float32(shift)
        value2, gradient2 = cross_entropy(shifted, target, return_grad=True)
        assert abs(value2 - value) <= 3e-7 * value
        assert_allclose(gradient2, gradient, rtol=2e-6)


@pytest.mark.parametrize("payload", [0x7FC00000, 0x7FC00001, 0xFFFFFFFF])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("level", _core.simd_levels())
def test_nan_reaches_its_pixel_alone(payload: int, activation: str, level: str) -> None:
    logits = np.zeros((2, 3, 100), np.float32)
    logits.view(np.uint32)[1, 2, 70] = payload
    target = np.zeros((2, 100), np.uint8)
    with simd_level(level):
        counts = soft_counts(logits, target, activation=activation, pixel_terms=TERMS[:1])
        assert np.isfinite(counts.terms[:, 0]).all()
        assert np.isnan(counts.terms[:, 1] + counts.terms_negative[:, 1]).any()
        value, gradient = cross_entropy(logits, target, activation=activation, return_grad=True)
        assert np.isnan(value)
        assert np.isnan(gradient[1, 2, 70])
        gradient[1, :, 70] = 0
        assert np.isfinite(gradient).all()
        # Where the pixel does not count, it does no harm.
        target[1, 70] = 9
        value, gradient = cross_entropy(
            logits, target, activation=activation, ignore_index=9, return_grad=True
        )
        assert np.isfinite(value)
        assert_array_equal(gradient[1, :, 70], 0)


def test_half_precision_of_an_image_stays_finite() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (1, 4, 512, 512)).astype(np.float16)
    target = rng.integers(0, 4, (1, 512, 512))
    value, gradient = dice_cross_entropy()(logits, target, return_grad=True)
    assert np.isfinite(value)
    assert gradient.dtype == np.float16
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("level", _core.simd_levels())
def test_every_half_is_read_and_written(level: str) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    # With p = x and a derivative of x^2 / 2 the gradient is x.
    for halves in (bits.view(np.float16), bits):
        exact = loss_table.as_float64(halves[None])[0]
        known = np.isfinite(exact) & (np.abs(exact) >= 2.0**-126)  # where float32 is normal
        x = np.where(known | (exact == 0), halves, 0).astype(halves.dtype)[None, None]
        one = np.ones((1, 1))
        d = SoftCountsGradient(0 * one, 0 * one, one / 2, *[np.zeros((0, 1, 1))] * 2)
        with simd_level(level):
            gradient = soft_counts_backward(
                x, np.zeros((1, 2**16), np.uint8), d, activation="none", squares=True
            )
        assert_array_equal(loss_table.as_float64(gradient), loss_table.as_float64(x), strict=True)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"logits": np.zeros((1, 3, 4), int)}, TypeError, "logits must be floating point"),
        ({"logits": np.zeros(3)}, ValueError, r"logits must have shape \(N, C"),
        ({"logits": np.zeros((1, 1, 4))}, ValueError, "sigmoid"),
        ({"logits": np.zeros((1, 0, 4))}, ValueError, "at least one channel"),
        ({"target": np.zeros((1, 5), int)}, ValueError, "target must have shape"),
        ({"target": np.zeros((1, 1, 4), int)}, ValueError, r"drop the axis .* target\[:, 0\]"),
        ({"target": np.zeros((1, 4, 3), int)}, ValueError, "move the last axis"),
        ({"target": np.zeros((1, 3), int)}, ValueError, "pass channels_last=True if the last"),
        ({"target": np.zeros((1, 4))}, TypeError, "holds labels: integers"),
        ({"target": np.full((1, 4), 3)}, ValueError, r"label 3 at sample 0, pixel \(0,\)"),
        ({"target": np.full((1, 4), -1)}, ValueError, "label -1"),
        ({"target": np.full((1, 4), 2**64 - 1, "u8")}, ValueError, "label 18446744073709551615"),
        ({"target": np.full((1, 3, 4), 1.5)}, ValueError, "in 0..1, got 1.5"),
        ({"target": np.full((1, 3, 4), np.nan)}, ValueError, "in 0..1, got nan"),
        ({"target": np.zeros((1, 4), complex)}, TypeError, "target must be integers"),
        ({"mask": np.zeros((1, 4), int)}, TypeError, "mask must be bool"),
        ({"mask": np.zeros((1, 5), bool)}, ValueError, "mask must have shape"),
        ({"pixel_weight": -np.ones((1, 4))}, ValueError, "not negative, got -1.0 at sample 0"),
        ({"pixel_weight": np.full((1, 4), np.nan)}, ValueError, "finite"),
        ({"pixel_weight": np.ones((1, 4), int)}, TypeError, "pixel_weight must be floating"),
        ({"label_smoothing": 2.0}, ValueError, "label_smoothing must be in 0..1"),
        ({"activation": "relu"}, ValueError, "activation must be one of softmax, sigmoid, none"),
        ({"label_smoothing": True}, TypeError, "label_smoothing must be a number"),
        ({"label_smoothing": "a"}, TypeError, "label_smoothing must be a number"),
        ({"threads": -1}, ValueError, "threads must be 0"),
        ({"threads": 2**40}, ValueError, "threads must be 0"),
        ({"threads": True}, TypeError, "threads must be an integer"),
        ({"ignore_index": 1.5}, TypeError, "ignore_index must be an integer"),
        ({"pixel_terms": ("focal",)}, TypeError, "PixelTerm"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], words: str) -> None:
    inputs: dict[str, Any] = {"logits": np.zeros((1, 3, 4)), "target": np.zeros((1, 4), int)}
    inputs |= change
    logits, target = inputs.pop("logits"), inputs.pop("target")
    with pytest.raises(error, match=words):
        soft_counts(logits, target, **inputs)


@pytest.mark.parametrize(
    ("out", "error", "words"),
    [
        ([[[0.0]]], TypeError, "NumPy array"),
        (np.zeros((1, 3, 4), "f4"), TypeError, "dtype"),
        (np.zeros((1, 3, 5)), ValueError, "shape"),
        (np.broadcast_to(np.zeros(4), (1, 3, 4)), ValueError, "read-only"),
        (as_strided(np.zeros(4), (1, 3, 4), (0, 0, 8)), ValueError, "broadcast"),
    ],
)
def test_bad_out(out: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        cross_entropy(np.zeros((1, 3, 4)), np.zeros((1, 4), int), out=out)


def test_out_must_not_be_an_input() -> None:
    logits, shares, weight = np.zeros((1, 3, 4)), np.zeros((1, 3, 4)), np.ones((1, 4))
    with pytest.raises(ValueError, match="share memory with the logits"):
        cross_entropy(logits, np.zeros((1, 4), int), out=logits)
    with pytest.raises(ValueError, match="share memory with target"):
        cross_entropy(logits, shares, out=shares)
    with pytest.raises(ValueError, match="share memory with pixel_weight"):
        cross_entropy(
            logits[:, :1], shares[:, 0].astype(int), activation="sigmoid", pixel_weight=weight,
            out=weight[:, np.newaxis],
        )  # fmt: skip
    with pytest.raises(ValueError, match="share memory with mask"):
        cross_entropy(logits, np.zeros((1, 4), int), mask=shares.view(bool)[:, 0, :4], out=shares)


def test_out_of_no_pixels() -> None:
    for shape in ((0, 3, 4), (2, 3, 0)):
        out = as_strided(np.empty(1), shape, (0, 0, 8))
        target = np.zeros((shape[0], shape[2]), int)
        assert cross_entropy(np.zeros(shape), target, out=out, return_grad=True)[1] is out


@pytest.mark.parametrize(
    ("change", "error"),
    [({"parameter": "a"}, TypeError), ({"parameter": True}, TypeError)]
    + [({"threshold": value}, TypeError) for value in (None, True)]
    + [({"threshold": 0.0}, ValueError), ({"parameter": -1}, ValueError)],
)
def test_bad_terms(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(change))):
        PixelTerm("focal", **change)


def test_bad_slopes() -> None:
    logits, target = np.zeros((1, 3, 4)), np.zeros((1, 4), int)
    good = SoftCountsGradient.zeros(soft_counts(logits, target))
    for change, error in (("pred", ValueError), ("terms", TypeError)):
        wrong = {"pred": np.zeros((1, 2)), "terms": np.zeros((0, 1, 3), complex)}[change]
        with pytest.raises(error, match=f"d.{change} must"):
            soft_counts_backward(logits, target, replace(good, **{change: wrong}))
    with pytest.raises(TypeError, match="d must be SoftCountsGradient"):
        soft_counts_backward(logits, target, [good])


def test_out_of_any_layout_is_filled() -> None:
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(2, 3, 9, 11)).astype(np.float32)
    target = rng.integers(0, 3, (2, 9, 11))
    _, expected = dice_cross_entropy()(logits, target, return_grad=True)
    out = np.empty((3, 11, 9, 2), np.float32).T.swapaxes(1, 3).swapaxes(2, 3)
    assert out.shape == logits.shape
    _, found = dice_cross_entropy()(logits, target, out=out)
    assert found is out
    assert_array_equal(out, expected)


def test_bfloat16_bits() -> None:
    rng = np.random.default_rng(4)
    bits = (rng.normal(size=(1, 3, 200)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    target = rng.integers(0, 3, (1, 200))
    exact = loss_table.as_float64(bits).astype(np.float32)
    value, gradient = cross_entropy(bits, target, return_grad=True)
    expected, wanted = cross_entropy(exact, target, return_grad=True)
    assert value == expected
    assert gradient.dtype == np.uint16
    assert_array_equal(gradient, loss_table.like(wanted.astype(np.float64), bits.dtype))


# ------------------------------------------------------------------------------------- memory


def test_memory_of_gradients_is_used_again_but_never_while_it_is_held() -> None:
    logits = np.zeros((1, 2, 1024, 1024), np.float32)
    target = np.zeros((1, 1024, 1024), np.uint8)
    _, first = cross_entropy(logits, target, return_grad=True)
    row = first[0, 1, 5]
    place = first.__array_interface__["data"][0]
    _, second = cross_entropy(logits, target, return_grad=True)
    assert second.__array_interface__["data"][0] != place
    kept = row.copy()
    del first
    _, third = cross_entropy(logits + 1, target, return_grad=True)  # `row` holds it still
    assert third.__array_interface__["data"][0] != place
    assert_array_equal(row, kept)
    del row
    _, fourth = cross_entropy(logits, target, return_grad=True)
    assert fourth.__array_interface__["data"][0] == place


def test_memory_that_is_kept_is_bounded() -> None:
    logits = np.zeros((1, 2, 1024, 1024), np.float32)
    target = np.zeros((1, 1024, 1024), np.uint8)
    try:
        set_buffer_limit(logits.nbytes)
        held = [cross_entropy(logits, target, return_grad=True)[1] for _ in range(3)]
        assert len({array.__array_interface__["data"][0] for array in held}) == 3
        assert len(_buffers._pool) == 1
        del held
        clear_buffers()
        assert not _buffers._pool
        with pytest.raises(ValueError, match="negative"):
            set_buffer_limit(-1)
        for size in (1.5, True, "all"):
            with pytest.raises(TypeError, match="size must be an integer"):
                set_buffer_limit(size)
    finally:
        set_buffer_limit(2**30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_does_not_inherit_the_lock_of_the_memory() -> None:
    """Another thread of the parent may be choosing a buffer when it forks."""
    code = """if True:
        import os, signal, numpy as np
        from segmeter.loss import _buffers, cross_entropy
        logits, target = np.zeros((1, 2, 1024, 1024), np.float32), np.zeros((1, 1024, 1024), "u1")
        with _buffers._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # a deadlock must end
                cross_entropy(logits, target, return_grad=True)
                os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "7\n", done.stderr


def test_gradient_keeps_the_order_of_axes() -> None:
    logits = np.zeros((1, 512, 1024, 3), np.float32).transpose(0, 3, 1, 2)
    _, gradient = cross_entropy(logits, np.zeros((1, 512, 1024), np.uint8), return_grad=True)
    assert gradient.strides == logits.strides


def test_zero_sizes() -> None:
    for shape in ((0, 3, 4), (2, 3, 0), (2, 3)):
        logits = np.zeros(shape, np.float32)
        target = np.zeros((shape[0], *shape[2:]), np.uint8)
        counts = soft_counts(logits, target, pixel_terms=TERMS)
        assert counts.terms.shape == (len(TERMS), *shape[:2])
        assert counts.valid.sum() == target.size
        d = SoftCountsGradient.zeros(counts)
        assert soft_counts_backward(logits, target, d, pixel_terms=TERMS).shape == shape


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0), (2, 3)])
def test_overlap_of_soft_labels_of_any_size(shape: tuple[int, ...]) -> None:
    logits = np.zeros(shape, np.float32)
    value, gradient = dice_metric(logits, np.full(shape, 1 / 3), return_grad=True)
    # Where p = y the loss is 0; of no samples it is what `empty` says, and that is 0 too.
    assert value == pytest.approx(0.0, abs=1e-6)
    assert gradient.shape == shape
