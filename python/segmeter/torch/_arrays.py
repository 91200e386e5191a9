"""Tensors as NumPy arrays and back, by their own memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._require import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensor = Any

_NATIVE_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def is_native(logits: Tensor) -> bool:
    """Whether the kernels can read these logits where they are."""
    return logits.is_cpu and logits.dtype in _NATIVE_TYPES and logits.layout == torch.strided


def as_array(tensor: Tensor) -> NDArray[Any]:
    """The array of a CPU tensor, sharing its memory; bfloat16 as uint16, its bits."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    array: NDArray[Any] = tensor.numpy()
    return array


def as_tensor(array: NDArray[Any], dtype: Any) -> Tensor:
    """The tensor of an array, sharing its memory and keeping it alive."""
    tensor = torch.from_numpy(array)
    return tensor.view(dtype) if tensor.dtype != dtype else tensor


def lies_channels_last(logits: Tensor) -> bool:
    """Whether the channels of ``(N, C, ...)`` are innermost in memory, as channels_last has it."""
    return bool(
        logits.ndim > 2 and not logits.is_contiguous() and logits.movedim(1, -1).is_contiguous()
    )


def on_cpu(value: Any) -> Any:
    """The array of a tensor on any device, in its own memory when that is the CPU's.

    Tuples and lists item by item; what is no tensor as it is. bfloat16 becomes float32, which holds
    the same numbers.
    """
    if isinstance(value, (tuple, list)):
        return type(value)(on_cpu(item) for item in value)
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    if value.dtype == torch.bfloat16:  # NumPy has no such type
        value = value.float()
    array: NDArray[Any] = value.cpu().numpy()
    return array
