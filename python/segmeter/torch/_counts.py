"""The table of soft counts as tensors with a gradient: what new losses are written on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..loss import PixelTerm, SoftCounts, SoftCountsGradient, _table
from ..loss._table import without_mask
from . import _plain
from ._arrays import as_tensor, lies_channels_last
from ._evaluate import Inputs, arrays_of, labels_of, without_autocast
from ._require import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    Tensor = Any

_WITH_GRADIENT = ("intersection", "pred", "pred_squared", "terms", "terms_negative")
_OF_TARGET = ("target", "target_squared", "valid", "weight")


def soft_counts(
    logits: Tensor,
    target: Tensor,
    *,
    activation: str = "softmax",
    ignore_index: int | Sequence[int] | Tensor | None = None,
    mask: Tensor | None = None,
    pixel_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    pixel_terms: Sequence[PixelTerm] = (),
    squares: bool = False,
) -> SoftCounts:
    """Sums per sample and class that losses are formulas of, as tensors with a gradient.

    Parameters
    ----------
    logits : torch.Tensor of float, shape (N, C, ...)
    target : torch.Tensor, shape (N, ...) or (N, C, ...)
    activation, ignore_index, mask, pixel_weight, label_smoothing, pixel_terms, squares
        As in :func:`segmeter.loss.soft_counts`.

    Returns
    -------
    SoftCounts
        Of tensors: float64 on the device of the logits. What torch computes of them is
        differentiated by torch; the sweep over the pixels, there and back, is the kernels'.

    Raises
    ------
    TypeError, ValueError
        As in :func:`segmeter.loss.soft_counts`.

    Examples
    --------
    A Dice loss of the batch, written on the table:

    >>> import torch
    >>> import segmeter.torch as st
    >>> logits = torch.zeros(2, 3, 4, 4, requires_grad=True)
    >>> table = st.soft_counts(logits, torch.ones(2, 4, 4).long())
    >>> hit, size = table.intersection.sum(0), (table.pred + table.target).sum(0)
    >>> loss = 1 - (2 * hit / size).mean()
    >>> loss.backward()
    >>> round(loss.item(), 4), logits.grad.shape
    (0.8333, torch.Size([2, 3, 4, 4]))
    """
    ignore_index, mask = without_mask(ignore_index, mask)
    inputs = Inputs(logits, target, mask, pixel_weight)
    inputs.check()
    terms = tuple(pixel_terms)
    options = {"activation": activation, "label_smoothing": label_smoothing, "squares": squares}
    if inputs.are_for_kernels() and not torch.compiler.is_compiling():
        entries = _Native.apply(*inputs, {**options, "ignore_index": ignore_index}, terms)
        return SoftCounts(**dict(zip((*_WITH_GRADIENT, *_OF_TARGET), entries, strict=True)))
    with without_autocast(logits.device.type):
        return _plain.soft_counts(
            *inputs[:2],
            mask=mask,
            pixel_weight=pixel_weight,
            ignored=labels_of(ignore_index),
            pixel_terms=terms,
            **options,  # type: ignore[arg-type]
        )


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        mask: Tensor | None,
        pixel_weight: Tensor | None,
        options: dict[str, Any],
        terms: tuple[PixelTerm, ...],
    ) -> tuple[Tensor, ...]:
        inputs = Inputs(logits, target, mask, pixel_weight)
        ctx.save_for_backward(*inputs)
        ctx.moved = lies_channels_last(logits)
        ctx.options, ctx.terms = options, terms
        ctx.sweep = _table.prepare(
            **arrays_of(inputs, ctx.moved),
            **options,
            channels_last=ctx.moved,
            pixel_terms=terms,
            threads=0,
        )
        arrays = ctx.sweep.counts().to_arrays()
        entries = {name: torch.from_numpy(array) for name, array in arrays.items()}
        ctx.mark_non_differentiable(*(entries[name] for name in _OF_TARGET))
        return tuple(entries[name] for name in (*_WITH_GRADIENT, *_OF_TARGET))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        inputs = Inputs(*ctx.saved_tensors)
        slopes = slopes[: len(_WITH_GRADIENT)]
        if torch.is_grad_enabled():
            options = dict(ctx.options)
            ignored = labels_of(options.pop("ignore_index"))
            table = _plain.soft_counts(
                *inputs[:2],
                mask=inputs.mask,
                pixel_weight=inputs.pixel_weight,
                ignored=ignored,
                pixel_terms=ctx.terms,
                **options,
            )
            entries = [getattr(table, name) for name in _WITH_GRADIENT]
            wanted = [(e, s) for e, s in zip(entries, slopes, strict=True) if e.requires_grad]
            outputs, factors = zip(*wanted, strict=True)
            (gradient,) = torch.autograd.grad(outputs, inputs.logits, factors, create_graph=True)
        else:
            d = SoftCountsGradient(*(slope.contiguous().numpy() for slope in slopes))
            array = ctx.sweep.backward(d, None)
            array = np.moveaxis(array, -1, 1) if ctx.moved else array
            gradient = as_tensor(array, inputs.logits.dtype)
        return gradient, None, None, None, None, None
