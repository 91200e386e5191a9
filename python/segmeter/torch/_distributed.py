"""Tables of soft counts summed over the processes of a job, with gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..loss import SoftCounts
from ._require import torch

if TYPE_CHECKING:
    Tensor = Any
    TensorTable = Any  # a SoftCounts whose entries are tensors


def is_alone(group: Any) -> bool:
    """Whether there is nobody to sum with."""
    distributed = torch.distributed
    return not (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size(group) > 1
    )


def pack(table: TensorTable) -> Tensor:
    """One tensor ``(7 + 2 T, N, C)`` of the entries of a table of tensors."""
    rows = [
        table.intersection, table.pred, table.pred_squared, table.target, table.target_squared,
        *table.terms, *table.terms_negative,
    ]  # fmt: skip
    counts = [table.valid, table.weight]
    rows += [count.to(table.pred.dtype)[:, None].expand_as(table.pred) for count in counts]
    return torch.stack(rows)


def packed_length(terms: int) -> int:
    """Rows of a packed table with so many pixel terms."""
    return 7 + 2 * terms


def unpack(packed: Tensor) -> TensorTable:
    """The table of what :func:`pack` gave."""
    terms = (len(packed) - packed_length(0)) // 2
    intersection, pred, pred_squared, target, target_squared = packed[:5]
    return SoftCounts(
        intersection=intersection,
        pred=pred,
        pred_squared=pred_squared,
        target=target,
        target_squared=target_squared,
        terms=packed[5 : 5 + terms],
        terms_negative=packed[5 + terms : 5 + 2 * terms],
        valid=packed[-2, :, 0],
        weight=packed[-1, :, 0],
    )


def summed(packed: Tensor, pixels: int, group: Any) -> tuple[Tensor, int]:
    """Packed table and pixels of all samples and processes: one sample that is the batch."""
    whole = packed.sum(1, keepdim=True)
    number = whole.new_full((1,), pixels)
    everything = _AllReduce.apply(torch.cat([whole.flatten(), number]), group)
    return everything[:-1].view_as(whole), round(everything[-1].item())


def summed_arrays(table: SoftCounts, pixels: int, group: Any) -> tuple[SoftCounts, int]:
    """The same of a table of arrays."""
    packed, pixels_of_all = summed(pack(as_tensors(table)), pixels, group)
    return as_arrays(unpack(packed)), pixels_of_all


def as_tensors(table: SoftCounts) -> TensorTable:
    """A table of arrays as one of tensors."""
    arrays = table.to_arrays()
    return SoftCounts(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def as_arrays(table: TensorTable) -> SoftCounts:
    """A table of tensors as one of arrays."""
    arrays = {name: tensor.numpy() for name, tensor in table.to_arrays().items()}
    arrays["valid"] = arrays["valid"].astype(np.int64)  # exact below 2^53
    return SoftCounts(**arrays)


def summed_number(number: float, group: Any) -> float:
    """The sum of what every process has."""
    tensor = torch.tensor(number, dtype=torch.float64)
    torch.distributed.all_reduce(tensor, group=group)
    return float(tensor)


class _AllReduce(torch.autograd.Function):
    """Sum over processes. Every process has a loss of its own that depends on what each gave."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Any) -> Tensor:
        ctx.group = group
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(tensor, group=group)
        return tensor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _AllReduce.apply(gradient, ctx.group), None
