"""The native Lovász losses against their twin, whatever the layout, and the bound of the levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from segmeter import _core
from segmeter._floats import probabilities
from segmeter.loss import lovasz_hinge, lovasz_softmax, top_k
from segmeter.reference import loss_lovasz as twins


def value_bound(dtype: str, hinge: bool) -> dict[str, float]:
    """How far a value may be from the twin's, by the errors it is made of.

    The slopes of the extension are not negative and, of a class that is present, sum to 1: the
    value moves by at most what one error moves, and in proportion if all errors do. With u = 2^-24:

    - A hinge 1 -+ x is rounded once, by u of itself: so is the value.
    - p = e[k] / s has errors of p (1 - p) / 2 at most times the relative ones of the e, of 2 u
      each, and so u / 2 * 2; of x - max by p |d| u <= u / e and as much by the others; of 3 sums
      in s, the quotient and the product by u p each. With the rounding of 1 - p: within 8 u of p,
      however small p is.
    """
    if dtype == "f8":
        return {"rtol": 1e-12, "atol": 1e-12}
    u = 2.0**-24
    return {"rtol": u, "atol": 1e-12} if hinge else {"rtol": 0.0, "atol": 8 * u}


@settings(max_examples=100)
@example(seed=836, hinge=False, region="batch", dtype="f4", step=0.5)
@example(seed=34, hinge=False, region="batch", dtype="f4", step=0.5)
@example(seed=490, hinge=False, region="batch", dtype="f4", step=0.5)
@example(seed=1054, hinge=False, region="batch", dtype="f4", step=0.5)
@example(seed=1420, hinge=False, region="batch", dtype="f4", step=0.5)
@given(
    seed=st.integers(0, 2**32 - 1),
    hinge=st.booleans(),
    region=st.sampled_from(["batch", "per_sample"]),
    dtype=st.sampled_from(["f4", "f8", "f2"]),
    step=st.sampled_from([0.0, 0.5]),
)
def test_sorted_errors_equal_the_twin(
    seed: int, hinge: bool, region: str, dtype: str, step: float
) -> None:
    rng = np.random.default_rng(seed)
    channels = 1 if hinge and seed % 2 else 4
    shape = (int(rng.integers(1, 4)), channels, *rng.integers(1, 12, int(rng.integers(0, 3))))
    logits = rng.normal(0, 2, shape)
    if step:
        logits = np.rint(logits / step) * step  # equal errors
    logits = logits.astype(dtype)
    target = rng.integers(0, max(channels, 2), (shape[0], *shape[2:]))
    out = rng.random(target.shape) < 0.2
    options: dict[str, Any] = {"region": region, "mask": out, "return_grad": True}
    if hinge:
        options["classes"] = "present"
        value, gradient = lovasz_hinge(logits, target, **options)
        expected, wanted = twins.lovasz_hinge(logits, target, **options)
    else:
        value, gradient = lovasz_softmax(logits, target, exact=True, **options)
        expected, wanted = twins.lovasz_softmax(logits, target, **options)
    assert_allclose(value, expected, **value_bound(dtype, hinge))
    if step and not hinge:
        return  # whether errors of different pixels are equal is a matter of the last bit
    error = {"f2": 1e-3, "f4": 2e-6, "f8": 1e-12}[dtype]
    assert_allclose(gradient, wanted, rtol=error, atol=error)


def test_levels_are_within_their_bound_and_keep_the_gradient() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (2, 5, 256, 256)).astype(np.float32)
    target = rng.integers(0, 5, (2, 256, 256)).astype(np.uint8)
    exact, wanted = lovasz_softmax(logits, target, exact=True, return_grad=True)
    value, gradient = lovasz_softmax(logits, target, return_grad=True)
    assert value != exact
    assert abs(value - exact) <= 2.0**-17
    assert abs(value - exact) <= 1e-6
    # Pixels of one level share their slopes: together they are those of the exact order.
    assert np.linalg.norm(gradient - wanted) <= 1e-3 * np.linalg.norm(wanted)


def test_levels_by_their_definition() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (1, 3, 200, 200)).astype(np.float32)
    target = rng.integers(0, 3, (1, 200, 200))
    p = probabilities(logits.astype(np.float64), "softmax")[0]
    total = 0.0
    for k in range(3):
        truth = (target[0] == k).ravel()
        errors = np.where(truth, 1 - p[0, k].ravel(), p[0, k].ravel())
        total += twins.lovasz_jaccard(np.rint(errors * 65535) / 65535, truth)[0] / 3
    # A float32 error at the edge between two levels may fall on the other side.
    assert_allclose(lovasz_softmax(logits, target), total, rtol=1e-8)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("region", ["batch", "per_sample"])
def test_same_bits_for_threads_and_levels(exact: bool, region: str) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (2, 4, 200, 201)).astype(np.float32)
    target = rng.integers(0, 4, (2, 200, 201)).astype(np.uint8)
    results = []
    before = _core.simd_level()
    for level in [one for one in _core.simd_levels() if one != "baseline"]:
        _core.set_simd_level(level)
        for threads in (1, 2, 3, 5, 7):
            value, gradient = lovasz_softmax(
                logits, target, exact=exact, region=region, return_grad=True, threads=threads
            )
            hardest, slope = top_k(logits, target, return_grad=True, threads=threads)
            results.append((value, gradient.tobytes(), hardest, slope.tobytes()))
    _core.set_simd_level(before)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("level", _core.simd_levels())
def test_nan_reaches_the_value_and_its_pixel(exact: bool, level: str) -> None:
    logits = np.zeros((1, 2, 256, 256), np.float32)
    logits[0, 1, 7, 9] = np.nan
    target = np.zeros((1, 256, 256), np.uint8)
    target[0, :9] = 1
    before = _core.simd_level()
    _core.set_simd_level(level)
    value, gradient = lovasz_softmax(logits, target, exact=exact, return_grad=True)
    assert np.isnan(value)
    assert np.isnan(gradient[0, :, 7, 9]).all()
    target[0, 7, 9] = 255
    value, gradient = lovasz_softmax(
        logits, target, exact=exact, ignore_index=255, return_grad=True
    )
    _core.set_simd_level(before)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert_array_equal(gradient[0, :, 7, 9], 0)


def test_absent_class_costs_its_largest_error() -> None:
    logits = np.log(np.array([[[0.9, 0.7, 0.7], [0.1, 0.3, 0.3]]]))
    value, gradient = lovasz_softmax(logits, [[0, 0, 0]], classes=[1], return_grad=True)
    assert_allclose(value, 0.3)
    # Two pixels share the slope of 1, p (1 - p) of the softmax apart.
    assert_allclose(gradient[0, 1], [0, 0.105, 0.105])


def test_extreme_hinges_stay_finite() -> None:
    logits = np.array([[[1e4, -1e4, 3e38, 0.5]]], np.float32)
    value, gradient = lovasz_hinge(logits, [[0, 1, 0, 1]], return_grad=True)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("hinge", [False, True])
@pytest.mark.parametrize("region", ["batch", "per_sample"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_many_errors_are_sorted_by_ranges(hinge: bool, region: str, dtype: str) -> None:
    """As the twin where pixels are dealt in several stretches; the same bits for all threads."""
    rng = np.random.default_rng(4)
    shape = (2, 1 if hinge else 3, 281, 257)
    target = rng.integers(0, max(shape[1], 2), (2, 281, 257))
    logits = rng.normal(0, 3, shape).astype(dtype)
    logits[:, :, :40] = np.rint(logits[:, :, :40])  # equal errors, and hinges that are met
    out = rng.random(target.shape) < 0.1
    options: dict[str, Any] = {"region": region, "mask": out, "return_grad": True}
    options["classes"] = "present"
    twin = twins.lovasz_hinge if hinge else twins.lovasz_softmax
    expected, wanted = twin(logits, target, **options)
    call = lovasz_hinge if hinge else lovasz_softmax
    options["exact"] = not hinge
    value, gradient = call(logits, target, **options)
    assert_allclose(value, expected, rtol=3e-7 if dtype == "f4" else 1e-12)
    largest = np.abs(wanted).max()
    rest = slice(None) if hinge else slice(40, None)  # float32 tells some equal errors apart
    error = 1e-3 if dtype == "f4" and not hinge else 1e-6
    difference = np.abs(gradient - wanted)[:, :, rest]
    assert np.quantile(difference, 0.999) <= error * largest
    for threads in (1, 2, 3, 7):
        again, slope = call(logits, target, threads=threads, **options)
        assert again == value
        assert slope.tobytes() == gradient.tobytes()


@pytest.mark.parametrize("exact", [False, True])
def test_the_gradient_s_memory_may_be_anything(exact: bool) -> None:
    """Errors are ranked in the gradient's memory, where its rows can hold them."""
    rng = np.random.default_rng(5)
    half = rng.normal(0, 2, (2, 3, 150, 131)).astype(np.float16)
    logits = half.astype(np.float32)
    target = rng.integers(0, 3, (2, 150, 131)).astype(np.uint8)
    options: dict[str, Any] = {"exact": exact, "return_grad": True}
    value, gradient = lovasz_softmax(logits, target, **options)
    assert lovasz_softmax(logits, target, exact=exact) == value
    spread = np.empty((2, 3, 150, 262), np.float32)[..., ::2]
    rows = np.empty((3, 2, 150, 131), np.float32).swapaxes(0, 1)
    for out in (spread, rows):
        again, _ = lovasz_softmax(logits, target, out=out, **options)
        assert again == value
        assert_array_equal(out, gradient)
    again, slope = lovasz_softmax(half, target, **options)
    assert again == value
    assert_array_equal(slope, gradient.astype(np.float16))
    last = np.moveaxis(logits, 1, -1).copy()
    again, slope = lovasz_softmax(last, target, channels_last=True, **options)
    assert again == value
    assert_array_equal(np.moveaxis(slope, -1, 1), gradient)


def test_samples_of_one_pixel_are_one_group_of_pixels():
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(5000, 3))
    labels = rng.integers(0, 3, 5000)
    options = {"exact": True, "region": "batch", "return_grad": True}
    value, gradient = lovasz_softmax(logits, labels, **options)
    as_line = np.ascontiguousarray(logits.T)[None]
    expected, wanted = lovasz_softmax(as_line, labels[None], **options)
    assert value == pytest.approx(expected, rel=1e-12)
    assert_allclose(gradient, wanted[0].T, rtol=1e-12, atol=1e-15)
