"""The kernels as operators that ``torch.compile`` calls and does not look into.

An operator takes tensors and plain values only: a loss goes in by the text that describes it, which
is the same in every process, and is looked up again inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..loss._base import SweepLoss
from . import _evaluate
from ._arrays import as_tensor
from ._distributed import as_arrays, as_tensors, pack, packed_length, unpack
from ._require import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    Tensor = Any
    Loss = Any

_KNOWN: dict[str, tuple[Loss, _evaluate.Setting]] = {}


@torch.compiler.assume_constant_result  # looked up while compiling, not in the graph
def known_as(loss: Loss, setting: _evaluate.Setting) -> str:
    """Text by which the operators know a loss."""
    name = repr(loss)
    if setting.is_summed:
        name += f" over {getattr(setting.process_group, 'group_name', 'all processes')}"
    _KNOWN[name] = (loss, setting)
    return name


@torch.compiler.assume_constant_result
def known_by(kind: Callable[..., Any], soft: bool, **options: Any) -> str:
    """The same from the options of a loss; "" if the kernels do not have it."""
    loss = kind(**options)
    overlap = soft and getattr(loss, "soft_label", False)
    return "" if overlap or loss.reduction == "none" else known_as(loss, _evaluate.Setting())


def compiled(inputs: _evaluate.Inputs, loss: str) -> Tensor:
    """Value of a loss by the operators."""
    value, _ = _forward(*inputs, loss)
    return value


_TENSORS = "Tensor logits, Tensor target, Tensor? mask, Tensor? pixel_weight, str loss"


@torch.library.custom_op(
    "segmeter::loss", mutates_args=(), schema=f"({_TENSORS}) -> (Tensor, Tensor)"
)
def _forward(
    logits: Tensor, target: Tensor, mask: Tensor | None, pixel_weight: Tensor | None, loss: str
) -> tuple[Tensor, Tensor]:
    """Value, and what the backward operator needs of this sweep."""
    inputs = _evaluate.Inputs(logits, target, mask, pixel_weight)
    known, setting = _KNOWN[loss]
    result = _evaluate.result_type(logits)
    if not isinstance(known, SweepLoss):
        whole = _evaluate.WholeWork(known, setting, inputs)
        value = torch.tensor(whole.value(with_gradient=True), dtype=result)
        return value, as_tensor(whole.gradient(1.0), logits.dtype)
    work = _evaluate.TableWork(known, setting, inputs)
    value = torch.tensor(work.value(with_gradient=False), dtype=result)
    assert work.table is not None
    return value, pack(as_tensors(work.table))


@torch.library.custom_op(
    "segmeter::loss_backward",
    mutates_args=(),
    schema=f"(Tensor factor, Tensor state, {_TENSORS}) -> Tensor",
)
def _backward(
    factor: Tensor,
    state: Tensor,
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    pixel_weight: Tensor | None,
    loss: str,
) -> Tensor:
    """Gradient with respect to the logits."""
    inputs = _evaluate.Inputs(logits, target, mask, pixel_weight)
    known, setting = _KNOWN[loss]
    if not isinstance(known, SweepLoss):
        return (factor * state).to(state.dtype)
    work = _evaluate.TableWork(known, setting, inputs, as_arrays(unpack(state)))
    return as_tensor(work.gradient(factor.item()), logits.dtype)


@_forward.register_fake
def _(
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,  # noqa: ARG001  # the signature is the operator's
    pixel_weight: Tensor | None,  # noqa: ARG001
    loss: str,
) -> tuple[Tensor, Tensor]:
    value = logits.new_empty((), dtype=_evaluate.result_type(logits))
    known, setting = _KNOWN[loss]
    if not isinstance(known, SweepLoss):
        return value, torch.empty_like(logits)
    shape = _evaluate.Shape.of(_evaluate.Inputs(logits, target), known.inputs()["channels_last"])
    terms = known.for_target(soft=shape.soft).terms
    samples = 1 if setting.is_summed else len(logits)
    table = (packed_length(len(terms)), samples, shape.channels)
    return value, logits.new_empty(table, dtype=torch.float64)


@_backward.register_fake
def _(factor: Tensor, state: Tensor, logits: Tensor, *rest: Any) -> Tensor:  # noqa: ARG001
    return torch.empty_like(logits)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.loss = inputs
    ctx.save_for_backward(output[1], *tensors)


def _differentiate(ctx: Any, factor: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    gradient = _backward(factor, *ctx.saved_tensors, ctx.loss)
    return gradient, None, None, None, None


_forward.register_autograd(_differentiate, setup_context=_keep)
