"""A loss of tensors, by one of three ways that give the same number and the same gradient.

* *native*: CPU tensors in eager mode. The kernels read the tensors' own memory, and the gradient is
  made for the factor that autograd brings.
* *compiled*: CPU tensors under ``torch.compile``: the same, behind two operators.
* *plain*: everything else (another device, a second derivative, a target that wants a gradient, a
  loss pixel by pixel): the table and the formula in differentiable torch operations.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..loss import Compound, SoftCountsGradient, _table
from ..loss._base import Bound, SweepLoss
from ..loss._compound import scaled
from ..loss._pixel import PixelLoss
from ..loss._surrogate import LovaszLoss, Ohem
from . import _plain, _ranked
from ._arrays import as_array, as_tensor, is_native, lies_channels_last
from ._distributed import is_alone, pack, summed, summed_arrays, summed_number, unpack
from ._require import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..loss import Loss, SoftCounts

    Tensor = Any
    Ranked = Any  # a LovaszLoss or HardPixels


class Inputs(NamedTuple):
    """The tensors of a call."""

    logits: Tensor
    target: Tensor
    mask: Tensor | None = None
    pixel_weight: Tensor | None = None

    def check(self) -> None:
        """Refuse what is no tensor, and tensors on several devices."""
        logits, target, mask, pixel_weight = self
        if not isinstance(logits, torch.Tensor):
            raise _no_tensor("logits", logits)
        device = logits.device
        _check_beside("target", target, device)
        if mask is not None:
            _check_beside("mask", mask, device)
        if pixel_weight is not None:
            _check_beside("pixel_weight", pixel_weight, device)
        if not logits.is_floating_point():
            raise TypeError(f"logits must be floating point, got {logits.dtype}")
        if logits.ndim < 2:
            raise ValueError(f"logits must have shape (N, C, ...), got {tuple(logits.shape)}")

    def are_for_kernels(self) -> bool:
        """Whether the kernels can read the logits, and nothing else wants a gradient."""
        weight = self.pixel_weight
        return (
            is_native(self.logits)
            and not self.target.requires_grad
            and not (weight is not None and weight.requires_grad)
        )


def _check_beside(name: str, tensor: Any, device: Any) -> None:
    """Refuse an input that is not a tensor beside the logits."""
    if not isinstance(tensor, torch.Tensor):
        raise _no_tensor(name, tensor)
    if tensor.device != device:
        raise ValueError(
            f"{name} is on {tensor.device} and logits on {device}: bring them "
            f"together with {name}.to(logits.device)"
        )


def _no_tensor(name: str, value: Any) -> TypeError:
    return TypeError(
        f"{name} must be a torch.Tensor, got {type(value).__name__}; segmeter.loss "
        "has the same losses for arrays"
    )


class Shape(NamedTuple):
    """What a formula must know of its input beside the table."""

    channels: int
    pixels: int
    soft: bool

    @classmethod
    def of(cls, inputs: Inputs, channels_last: bool) -> Shape:
        shape = inputs.logits.shape
        channels = shape[-1 if channels_last else 1]
        pixels = math.prod(shape) // max(channels, 1)
        return cls(channels, pixels, inputs.target.is_floating_point())


@dataclass(slots=True)
class Setting:
    """What a call knows beside the options of its loss.

    ``factor`` is what autograd brought to the last gradient (a scale against underflow, a share of
    a batch): likely the next one, too.
    """

    sync_batch: bool = False
    process_group: Any = None
    factor: float = 1.0

    @property
    def is_summed(self) -> bool:
        """Whether there are processes to sum tables over."""
        return self.sync_batch and not is_alone(self.process_group)


Parts = tuple[tuple[float, Any], ...]
"""Losses that share no sweep, with their weights in a sum."""


def parts_of(loss: Loss) -> Parts:
    """The losses that a loss is the weighted sum of: one, unless it is a compound."""
    return loss.groups if isinstance(loss, Compound) else ((1.0, loss),)


def evaluate(parts: Parts, inputs: Inputs, setting: Setting) -> Tensor:
    """Value of a loss with its gradient; float32, float64 for float64 logits."""
    inputs.check()
    native = inputs.are_for_kernels()
    weight, loss = parts[0]
    total = _evaluate_one(loss, inputs, setting, native)
    if weight != 1.0:
        total = weight * total
    for weight, loss in parts[1:]:
        total = total + weight * _evaluate_one(loss, inputs, setting, native)
    return total


def _evaluate_one(
    loss: SweepLoss | Ranked, inputs: Inputs, setting: Setting, native: bool
) -> Tensor:
    if not native or loss.reduction == "none":
        return plain(loss, inputs, setting)
    compiling = torch.compiler.is_compiling()
    if (compiling or setting.sync_batch) and is_overlap(loss, inputs.target):
        return plain(loss, inputs, setting)
    if compiling:
        from ._compiled import compiled, known_as

        return compiled(inputs, known_as(loss, setting))
    return _Native.apply(inputs.logits, inputs, loss, setting)


def is_overlap(loss: Any, target: Tensor) -> bool:
    """Whether a loss is of sums of min(p, y), which no sweep of the kernels makes."""
    return getattr(loss, "soft_label", False) and bool(target.is_floating_point())


def result_type(logits: Tensor) -> Any:
    """Type of the value: float32 at least, lest it be rounded to what the logits had to fit in."""
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


# --- native ---------------------------------------------------------------------------------------


class TableWork:
    """A formula over the memory of some tensors: its two sweeps, and the table between them."""

    def __init__(
        self, loss: SweepLoss, setting: Setting, inputs: Inputs, table: SoftCounts | None = None
    ) -> None:
        logits, target, mask, pixel_weight = inputs
        channels = logits.shape[-1 if loss.channels_last else 1]
        self.formula = formula = loss.fitted(channels, target.is_floating_point())
        self.setting, self.table = setting, table
        self.pixels = logits.numel() // max(channels, 1)
        if table is not None and setting.is_summed:
            self.pixels = round(summed_number(self.pixels, setting.process_group))
        x, y, rules = as_array(logits), as_array(target), formula.rules
        self.moved = not rules.channels_last and lies_channels_last(logits)
        if self.moved:
            rules = rules._replace(channels_last=True)
            x, y = moved_last(x), moved_last(y) if y.ndim == x.ndim else y
        mask = None if mask is None else as_array(mask)
        pixel_weight = None if pixel_weight is None else as_array(pixel_weight)
        self.sweep = _table.prepare_by(rules, x, y, mask, pixel_weight, 0)
        self.slopes: SoftCountsGradient | None = None

    def value(self, with_gradient: bool) -> float:
        """Value of the loss; keeps the table it came from, or the slopes of its entries."""
        table = self.sweep.counts()
        if self.setting.is_summed:
            table, self.pixels = summed_arrays(table, self.pixels, self.setting.process_group)
        self.table = table
        if not with_gradient:
            return float(self.formula.value(table, pixels=self.pixels))
        value, self.slopes = self.formula.both(table, pixels=self.pixels)
        return value

    def gradient(self, factor: float) -> NDArray[Any]:
        """Gradient times a factor, from the table."""
        if self.slopes is None:
            assert self.table is not None
            self.slopes = self.formula.gradient(self.table, pixels=self.pixels)
        slopes = self.slopes
        if self.setting.is_summed:
            factor = summed_number(factor, self.setting.process_group)
            slopes = _for_samples(slopes, len(self.sweep.logits))
        return self.given(self.sweep.backward(_scaled(slopes, factor), None))

    def given(self, gradient: NDArray[Any]) -> NDArray[Any]:
        """The gradient under the axes of the logits."""
        return np.moveaxis(gradient, -1, 1) if self.moved else gradient


class LinearWork(TableWork):
    """A sum over pixels: one sweep makes value and gradient.

    The gradient is made with the value, for the factor that autograd brought the last time, and
    handed over once, as autograd may write into it. Asked for again, or with another factor, it is
    made again, in the same memory where that is still ours.
    """

    made: NDArray[Any] | None = None

    def value(self, with_gradient: bool) -> float:
        self.factor = self.setting.factor
        value, self.made = self._evaluate(with_gradient, self.factor, None)
        return value

    def gradient(self, factor: float) -> NDArray[Any]:
        made, self.made = self.made, None
        if made is None or factor != self.factor:
            self.setting.factor = factor
            _, made = self._evaluate(True, factor, made)
            assert made is not None
        return self.given(made)

    def _evaluate(
        self, with_gradient: bool, factor: float, out: NDArray[Any] | None
    ) -> tuple[float, NDArray[Any] | None]:
        formula = Bound(self.formula, self.pixels)
        return _table.evaluate_sweep(formula, self.sweep, with_gradient, out, factor)


class WholeWork:
    """A loss that gives value and gradient at once: by ranking pixels, or by overlaps."""

    def __init__(self, loss: Any, setting: Setting, inputs: Inputs) -> None:
        self.setting = setting
        moved = not loss.channels_last and lies_channels_last(inputs.logits)
        self.arrays, self.moved = arrays_of(inputs, moved), moved
        self.loss: Any = replace(loss, channels_last=True) if moved else loss
        self.made: NDArray[Any] | None = None

    def value(self, with_gradient: bool) -> float:
        """Value of the loss; keeps the gradient, if there is to be one."""
        if not with_gradient:
            return float(self.loss(**self.arrays))
        value, self.made = self.loss(**self.arrays, return_grad=True)
        return float(value)

    def gradient(self, factor: float) -> NDArray[Any]:
        """Gradient times a factor; handed over once, as autograd may write into it."""
        gradient, self.made = self.made, None
        if gradient is None:
            _, gradient = self.loss(**self.arrays, return_grad=True)
        gradient = scaled(gradient, factor)
        return np.moveaxis(gradient, -1, 1) if self.moved else gradient


def arrays_of(inputs: Inputs, moved: bool) -> dict[str, Any]:
    """The arrays of a call, channels moved to the end if they are so in memory.

    What torch calls channels_last, other strides under the same axes, goes to the kernels as the
    contiguous memory that it is.
    """
    arrays: dict[str, Any] = {
        name: None if tensor is None else as_array(tensor)
        for name, tensor in zip(inputs._fields, inputs, strict=True)
    }
    if moved:
        for name in ("logits", "target"):
            if arrays[name].ndim == inputs.logits.ndim:
                arrays[name] = moved_last(arrays[name])
    return arrays


def moved_last(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory with the channels, axis 1, as the last axis."""
    return np.moveaxis(array, 1, -1)


def _for_samples(d: SoftCountsGradient, samples: int) -> SoftCountsGradient:
    """What holds for the sum of all samples holds for each."""
    return SoftCountsGradient(*(np.repeat(part, samples, axis=-2) for part in _parts(d)))


def _scaled(d: SoftCountsGradient, factor: float) -> SoftCountsGradient:
    return d if factor == 1.0 else SoftCountsGradient(*(factor * part for part in _parts(d)))


def _parts(d: SoftCountsGradient) -> list[NDArray[np.float64]]:
    return [d.intersection, d.pred, d.pred_squared, d.terms, d.terms_negative]


def work_of(loss: SweepLoss | Ranked, setting: Setting, inputs: Inputs) -> Any:
    """What computes a loss in eager mode."""
    if not loss.of_table or is_overlap(loss, inputs.target):
        return WholeWork(loss, setting, inputs)
    one_sweep = loss.linear and not setting.is_summed
    return (LinearWork if one_sweep else TableWork)(loss, setting, inputs)


class _Native(torch.autograd.Function):
    """The kernels under autograd."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, inputs: Inputs, loss: SweepLoss | Ranked, setting: Setting
    ) -> Tensor:
        work = work_of(loss, setting, inputs)
        # Saved although `work` has their memory: so that a change in place is noticed.
        ctx.save_for_backward(*inputs)
        ctx.work, ctx.loss = work, loss
        value = work.value(ctx.needs_input_grad[0])
        return torch.scalar_tensor(value, dtype=result_type(logits))

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled():
            of_call = Inputs(*inputs)
            gradient = _differentiable_gradient(ctx.loss, of_call, ctx.work.setting, factor)
        else:
            gradient = as_tensor(ctx.work.gradient(factor.item()), inputs[0].dtype)
        return gradient, None, None, None


def _differentiable_gradient(
    loss: SweepLoss, inputs: Inputs, setting: Setting, factor: Tensor
) -> Tensor:
    """The gradient as a tensor that has a gradient itself."""
    value = plain(loss, inputs, setting)
    (gradient,) = torch.autograd.grad(value, inputs.logits, factor, create_graph=True)
    return gradient


# --- plain ----------------------------------------------------------------------------------------


def plain(loss: SweepLoss | Ranked, inputs: Inputs, setting: Setting | None = None) -> Tensor:
    """The loss in torch operations alone."""
    # Half types lose the sums of an image: autocast must not choose them here.
    with without_autocast(inputs.logits.device.type):
        if isinstance(loss, SweepLoss):
            value = _plain_sweep(loss, inputs, setting)
        else:
            value = _plain_ranked(loss, inputs)
        return value.to(result_type(inputs.logits))


def _plain_sweep(loss: Any, inputs: Inputs, setting: Setting | None) -> Tensor:
    options = loss.inputs()
    shape = Shape.of(inputs, options["channels_last"])
    loss.check_channels(shape.channels)
    overlap = is_overlap(loss, inputs.target)
    formula = loss.of_overlap() if overlap else loss.for_target(soft=shape.soft)
    inputs = _channels_first(inputs) if options.pop("channels_last") else inputs
    if loss.reduction == "none" and isinstance(formula, PixelLoss):
        return _pixel_by_pixel(formula, inputs, options)
    table = _plain_table(formula, inputs, options, overlap=overlap)
    pixels = shape.pixels
    if setting is not None and setting.is_summed:
        packed, pixels = summed(pack(table), pixels, setting.process_group)
        table = unpack(packed)
    return formula.value(table, torch, pixels=pixels)


def _plain_ranked(loss: Ranked, inputs: Inputs) -> Tensor:
    if inputs.target.is_floating_point():
        raise TypeError("target must hold labels: this loss ranks the pixels of a class")
    inputs = _channels_first(inputs) if loss.channels_last else inputs
    ignored = labels_of(loss.ignore_index)
    if isinstance(loss, LovaszLoss):
        if inputs.pixel_weight is not None:
            raise ValueError("a Lovász loss ranks pixels and has no pixel_weight; use mask")
        activation = "none" if loss.hinge else "softmax"
        pixels = _plain.Pixels(inputs.logits, inputs.target, activation, ignored, inputs.mask, None)
        truth = pixels.y if pixels.labels is None else pixels.labels
        return _ranked.lovasz(loss, pixels.x, truth, pixels.counted, pixels.sums)
    entropy = loss.cross_entropy("none")
    options = entropy.inputs()
    entropy = replace(entropy, channels_last=False)
    costs = ranked = _pixel_by_pixel(entropy, inputs, options)
    if isinstance(loss, Ohem) and inputs.pixel_weight is not None:  # makes no pixel less certain
        ranked = _pixel_by_pixel(entropy, inputs._replace(pixel_weight=None), options)
    counted = torch.ones(inputs.target.shape, dtype=torch.bool, device=inputs.target.device)
    for label in ignored:
        counted = counted & (inputs.target != label)
    counted = counted.reshape(len(inputs.logits), *inputs.logits.shape[2:])
    if inputs.mask is not None:
        counted = counted & ~inputs.mask
    return _ranked.hard_pixels(loss, costs, ranked, counted)


def without_autocast(device: str) -> Any:
    """A context in which autocast chooses no types, on devices that have it."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()


def _plain_table(
    formula: SweepLoss, inputs: Inputs, options: dict[str, Any], *, overlap: bool = False
) -> SoftCounts:
    return _plain.soft_counts(
        inputs.logits,
        inputs.target,
        activation=options["activation"],
        ignored=labels_of(options["ignore_index"]),
        mask=inputs.mask,
        pixel_weight=inputs.pixel_weight,
        label_smoothing=options["label_smoothing"],
        pixel_terms=formula.terms,
        squares=formula.squares,
        overlap=overlap,
    )


def labels_of(ignore_index: Any) -> tuple[int, ...]:
    """Ignored labels as integers."""
    return () if ignore_index is None else tuple(np.atleast_1d(ignore_index).tolist())


def _channels_first(inputs: Inputs) -> Inputs:
    logits = inputs.logits.movedim(-1, 1)
    dense = inputs.target.ndim == logits.ndim
    return inputs._replace(
        logits=logits, target=inputs.target.movedim(-1, 1) if dense else inputs.target
    )


def _pixel_by_pixel(formula: PixelLoss, inputs: Inputs, options: dict[str, Any]) -> Tensor:
    """Cost of every pixel, (N, *spatial); of every class of it, (N, K, *spatial), if apart."""
    logits, target, mask, pixel_weight = inputs
    channels, axes = logits.shape[1], logits.ndim
    is_dense = target.ndim == axes and (channels > 1 or target.is_floating_point())
    flat = Inputs(
        logits.movedim(1, -1).reshape(-1, channels, 1),
        target.movedim(1, -1).reshape(-1, channels, 1) if is_dense else target.reshape(-1, 1),
        None if mask is None else mask.reshape(-1, 1),
        None if pixel_weight is None else pixel_weight.reshape(-1, 1),
    )
    costs = formula._costs(_plain_table(formula, flat, options), torch)
    spatial = (len(logits), *logits.shape[2:])
    if not formula.one_vs_rest(channels):
        return costs.sum(1).reshape(spatial)
    costs = costs.reshape(*spatial, -1)
    return costs if formula.channels_last else costs.movedim(-1, 1)
