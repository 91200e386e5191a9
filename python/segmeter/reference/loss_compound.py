"""Weighted sums of losses, and sums over resolutions, as they are defined: one loss at a time.

A loss here is a function of logits and target, as the twins in :mod:`segmeter.reference.loss` are;
its options are bound by :func:`functools.partial`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import loss as losses_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Loss = Callable[..., Any]


def compound(losses: Sequence[Loss | tuple[float, Loss]]) -> Loss:
    """Weighted sum of losses as one loss."""
    members = [one if isinstance(one, tuple) else (1.0, one) for one in losses]

    def total(
        logits: ArrayLike, target: ArrayLike, *, return_grad: bool = False, **data: Any
    ) -> Any:
        parts = [(w, one(logits, target, return_grad=True, **data)) for w, one in members]
        value = sum(w * part for w, (part, _) in parts)
        return (value, sum(w * slope for w, (_, slope) in parts)) if return_grad else value

    return total


def dice_cross_entropy(
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    dice: dict[str, Any] | None = None,
    cross_entropy: dict[str, Any] | None = None,
    **options: Any,
) -> Loss:
    """Dice plus cross entropy as one loss."""
    first = partial(losses_of.dice, **{**options, **(dice or {})})
    second = partial(losses_of.cross_entropy, **{**options, **(cross_entropy or {})})
    return compound([(dice_weight, first), (cross_entropy_weight, second)])


def dice_focal(
    *,
    dice_weight: float = 1.0,
    focal_weight: float = 1.0,
    dice: dict[str, Any] | None = None,
    focal: dict[str, Any] | None = None,
    **options: Any,
) -> Loss:
    """Dice plus focal loss as one loss."""
    first = partial(losses_of.dice, **{**options, **(dice or {})})
    second = partial(losses_of.focal, **{**options, **(focal or {})})
    return compound([(dice_weight, first), (focal_weight, second)])


def deep_supervision(loss: Loss, *, weights: str | Sequence[float] = "nnunet") -> Loss:
    """Weighted sum of a loss over the levels of several resolutions, the finest first."""

    def total(
        logits: Sequence[NDArray[Any]], target: NDArray[Any], *, return_grad: bool = False
    ) -> Any:
        value, gradients = 0.0, []
        for factor, level in zip(level_weights(weights, len(logits)), logits, strict=True):
            if factor == 0:
                gradients.append(np.zeros(level.shape))
                continue
            part, slope = loss(level, nearest(target, level.shape), return_grad=True)
            value += factor * part
            gradients.append(factor * slope)
        return (value, gradients) if return_grad else value

    return total


def level_weights(weights: str | Sequence[float], levels: int) -> list[float]:
    """Weights of the levels."""
    if not isinstance(weights, str):
        return list(weights)
    if weights == "equal":
        return [1.0] * levels
    halves = [1 / 2**level for level in range(levels)]
    if weights == "halving":
        return [max(half, 1 / 16) for half in halves]
    kept = halves if levels == 1 else [*halves[:-1], 0.0]
    return [half / sum(kept) for half in kept]


def nearest(target: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Labels (N, ...) or shares (N, C, ...) in the resolution of logits (N, C, ...).

    Every pixel takes the value of the one that its centre lies in, or of the later of two.
    """
    result = target
    for axis in range(1, len(shape) - 1):
        own = result.ndim - len(shape) + 1 + axis
        size, wanted = target.shape[own], shape[axis + 1]
        # Pixel i covers [i, i + 1) of the target's pixels times wanted / size, its centre in whole
        # numbers: (2 i + 1) size / (2 wanted).
        result = np.take(result, [(2 * i + 1) * size // (2 * wanted) for i in range(wanted)], own)
    return result
