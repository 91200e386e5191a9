"""The table of sums of the losses and its derivative in plain float64 NumPy, pixel by definition.

Everything is (N, C, ...): logits x, probabilities p, what is true y, weights w. Terms are numbered;
see :class:`segmeter.loss.PixelTerm` for their functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._floats import as_float64, like, probabilities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def soft_counts(
    logits: NDArray[Any],
    target: NDArray[Any],
    *,
    activation: str = "softmax",
    left_out: NDArray[np.bool_] | None = None,
    pixel_weight: NDArray[Any] | None = None,
    label_smoothing: float = 0.0,
    terms: Sequence[Any] = (),
    squares: bool = False,
) -> dict[str, NDArray[Any]]:
    """Give the fields of :class:`segmeter.loss.SoftCounts` by name."""
    x = as_float64(logits)
    w, counted = _weights(x, left_out, pixel_weight)
    # What has no weight counts, and has no say.
    x = np.where(counted & (w != 0.0), x, 0.5)
    y = np.where(counted, dense_target(target, x.shape), 0.0)
    p, rest, log_p, log_rest = probabilities(x, activation)
    smooth = _smoothed(y, label_smoothing, activation)

    def total(values: FloatArray) -> FloatArray:
        summed: FloatArray = np.where(counted, w * values, 0.0).reshape(*x.shape[:2], -1).sum(-1)
        return summed

    def weighted_term(share: FloatArray, value: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return total(np.where(share == 0.0, 0.0, share * value))

    positive = [weighted_term(smooth, _term(term, p, rest, log_p)) for term in terms]
    negative = [
        np.zeros(x.shape[:2])
        if activation == "softmax"
        else weighted_term(1.0 - smooth, _term(term, rest, p, log_rest))
        for term in terms
    ]
    shape = (len(terms), *x.shape[:2])
    return {
        "intersection": total(p * y),
        "pred": total(p),
        "pred_squared": total(p * p) if squares else np.zeros(x.shape[:2]),
        "target": total(y),
        "target_squared": total(y * y),
        "terms": np.array(positive).reshape(shape),
        "terms_negative": np.array(negative).reshape(shape),
        "valid": counted[:, 0].reshape(x.shape[0], -1).sum(-1, dtype=np.int64),
        "weight": total(np.ones_like(x))[:, 0],
    }


def soft_counts_backward(
    logits: NDArray[Any],
    target: NDArray[Any],
    d: Mapping[str, FloatArray],
    *,
    activation: str = "softmax",
    left_out: NDArray[np.bool_] | None = None,
    pixel_weight: NDArray[Any] | None = None,
    label_smoothing: float = 0.0,
    terms: Sequence[Any] = (),
    squares: bool = False,
) -> NDArray[Any]:
    """Give the gradient with respect to the logits, in their shape and dtype."""
    x = as_float64(logits)
    w, counted = _weights(x, left_out, pixel_weight)
    # What has no weight counts, and has no say.
    x = np.where(counted & (w != 0.0), x, 0.5)
    y = np.where(counted, dense_target(target, x.shape), 0.0)
    p, rest, log_p, log_rest = probabilities(x, activation)
    smooth = _smoothed(y, label_smoothing, activation)

    def spread(values: FloatArray) -> FloatArray:
        return values.reshape(*x.shape[:2], *[1] * (x.ndim - 2))

    by_p = spread(d["intersection"]) * y + spread(d["pred"])
    if squares:
        by_p = by_p + 2.0 * spread(d["pred_squared"]) * p
    # Derivatives of the terms by log p, and for the negative ones by log (1 - p).
    by_log_p, by_log_rest = np.zeros_like(x), np.zeros_like(x)
    for t, term in enumerate(terms):
        share = smooth * spread(d["terms"][t])
        by_log_p += np.where(share == 0.0, 0.0, share * _term_by_log(term, p, rest, log_p))
        if activation != "softmax":
            share = (1.0 - smooth) * spread(d["terms_negative"][t])
            slope = _term_by_log(term, rest, p, log_rest)
            by_log_rest += np.where(share == 0.0, 0.0, share * slope)
    if activation == "softmax":
        mean = np.sum(p * by_p, axis=1, keepdims=True)
        # Summed without the class itself: a huge slope of its own would swallow theirs.
        kinds = np.arange(p.shape[1])
        others = np.stack([by_log_p[:, kinds != k].sum(axis=1) for k in kinds], axis=1)
        gradient = p * (by_p - mean) + by_log_p * rest - p * others
    elif activation == "sigmoid":
        gradient = p * rest * by_p + by_log_p * rest - by_log_rest * p
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            gradient = (
                by_p
                + np.where(by_log_p == 0.0, 0.0, by_log_p / p)
                - np.where(by_log_rest == 0.0, 0.0, by_log_rest / rest)
            )
    return like(np.where(counted & (w != 0.0), w * gradient, 0.0), logits.dtype)


def dense_target(target: NDArray[Any], shape: tuple[int, ...]) -> FloatArray:
    """Share of every class at every pixel, of labels or of shares."""
    if target.ndim == len(shape):
        return target.astype(np.float64)
    classes = np.ones(1) if shape[1] == 1 else np.arange(shape[1])
    shares: NDArray[np.bool_] = target[:, None] == classes.reshape(-1, *[1] * (len(shape) - 2))
    return shares.astype(np.float64)


def _weights(
    x: FloatArray, left_out: NDArray[np.bool_] | None, pixel_weight: NDArray[Any] | None
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Weights (N, 1, ...) and whether pixels count, spread over the channels."""
    per_pixel = (x.shape[0], 1, *x.shape[2:])
    w = np.ones(per_pixel) if pixel_weight is None else pixel_weight.astype(float)[:, None]
    left = np.zeros(per_pixel, bool) if left_out is None else left_out[:, None]
    return w, np.broadcast_to(~left, x.shape)


def _smoothed(y: FloatArray, label_smoothing: float, activation: str) -> FloatArray:
    apart = activation == "sigmoid" or (activation == "none" and y.shape[1] == 1)
    among = 2 if apart else y.shape[1]
    return (1.0 - label_smoothing) * y + label_smoothing / among


def _term(term: Any, p: FloatArray, rest: FloatArray, log_p: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        value: FloatArray
        if term.kind == "cross_entropy":
            value = -log_p
        elif term.kind == "focal":
            value = np.where(rest == 0.0, 0.0, rest**term.parameter * -log_p)
        elif term.kind == "reduced_focal":
            scale = np.where(p < term.threshold, 1.0, (rest / term.threshold) ** term.parameter)
            value = np.where(rest == 0.0, 0.0, scale * -log_p)
        elif term.kind == "poly":
            value = rest**term.parameter
        elif term.kind == "generalised":
            value = -np.expm1(term.parameter * log_p) / term.parameter
        else:
            value = (-log_p) ** term.parameter
        return value


def _term_by_log(term: Any, p: FloatArray, rest: FloatArray, log_p: FloatArray) -> FloatArray:
    """p f'(p): derivative of a term by log p, by its limit at p = 0 and p = 1."""
    g = term.parameter
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        # -log p / (1 - p) * p, which is 1 at p = 1 and 0 at p = 0.
        odds = np.where(rest == 0.0, 1.0, np.where(p == 0.0, 0.0, -log_p * p / rest))
        slope: FloatArray
        if term.kind == "cross_entropy":
            slope = -np.ones_like(p)
        elif term.kind == "focal":
            slope = -(rest**g) * (g * odds + 1.0)
        elif term.kind == "reduced_focal":
            reduced = -((rest / term.threshold) ** g) * (g * odds + 1.0)
            slope = np.where(p < term.threshold, -1.0, reduced)
        elif term.kind == "poly":
            # k (1 - p)^(k - 1) p; below k = 1 it has no bound at p = 1, where it is cut to 0.
            slope = np.where(rest == 0.0, 0.0 if g != 1.0 else -1.0, -g * rest ** (g - 1.0) * p)
        elif term.kind == "generalised":
            slope = -np.exp(g * log_p)
        else:
            slope = np.where(log_p == 0.0, 0.0 if g != 1.0 else -1.0, -g * (-log_p) ** (g - 1.0))
        return np.where(np.isnan(p), np.nan, slope)
