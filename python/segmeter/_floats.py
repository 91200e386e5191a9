"""Logits as float64 and back, and their probabilities: what losses and their twins share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def as_float64(logits: NDArray[Any]) -> FloatArray:
    """Logits as float64; uint16 holds the bits of bfloat16."""
    if logits.dtype.kind == "u":
        bits = logits.astype(np.uint32) << np.uint32(16)
        with np.errstate(invalid="ignore"):  # a signalling NaN is none afterwards
            return bits.view(np.float32).astype(np.float64)
    values: FloatArray = logits.astype(np.float64)
    return values


def like(gradient: FloatArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Gradient in the logits' dtype; bfloat16 by rounding to nearest, ties to even."""
    with np.errstate(over="ignore", under="ignore"):
        if dtype.kind != "u":
            return gradient.astype(dtype)
        single = gradient.astype(np.float32)
    bits = single.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet = np.uint32(0x7FC0)
    return np.where(np.isnan(single), quiet, rounded).astype(np.uint16)


def probabilities(
    x: FloatArray, activation: str
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """p, 1 - p, log p and log (1 - p), each without cancellation."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        if activation == "none":
            return x, 1.0 - x, np.log(x), np.log1p(-x)
        if activation == "sigmoid":
            small = np.exp(-np.abs(x))
            near, far = 1.0 / (1.0 + small), small / (1.0 + small)
            p, rest = np.where(x >= 0, near, far), np.where(x >= 0, far, near)
            log_near = -np.log1p(small)
            log_far = log_near - np.abs(x)
            return (
                np.where(np.isnan(x), x, p),
                np.where(np.isnan(x), x, rest),
                np.where(x >= 0, log_near, log_far),
                np.where(x >= 0, log_far, log_near),
            )
        shifted = x - x.max(axis=1, keepdims=True)
        e = np.exp(shifted)
        top = (
            np.arange(x.shape[1]).reshape(1, -1, *[1] * (x.ndim - 2))
            == np.argmax(shifted, axis=1)[:, None]
        )
        beside_top = np.where(top, 0.0, e).sum(axis=1, keepdims=True)
        s = np.where(top, e, 0.0).sum(axis=1, keepdims=True) + beside_top
        # The others' sum: exact where it matters, beside the largest.
        others = np.where(top, beside_top, s - e)
        rest = others / s
        return e / s, rest, shifted - np.log1p(beside_top), np.log(rest)
