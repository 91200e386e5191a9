"""The table of sums and its backward sweep: definition, differences, bad input."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from segmeter.loss import (
    PixelTerm,
    SoftCounts,
    SoftCountsGradient,
    soft_counts,
    soft_counts_backward,
)

TERMS = (
    PixelTerm("cross_entropy"),
    PixelTerm("focal", 2.0),
    PixelTerm("reduced_focal", 1.5, 0.4),
    PixelTerm("poly", 1.0),
    PixelTerm("generalised", 0.7),
    PixelTerm("power_cross_entropy", 0.3),
)
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
