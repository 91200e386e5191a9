"""The losses of :mod:`segmeter.loss` as functions and modules of tensors, all by one rule."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, ClassVar

from ..loss import (
    Compound,
    DeepSupervision,
    LovaszHinge,
    LovaszSoftmax,
    compound,
    deep_supervision,
)
from ..loss._compound import SumLoss
from ._compiled import compiled, known_by
from ._evaluate import Inputs, Setting, evaluate, parts_of
from ._require import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Tensor = Any


class Loss(torch.nn.Module):
    """A loss of tensors: what every module here is.

    Parameters
    ----------
    sync_batch : bool, default False
        The samples of all processes of a job are one batch: the table of sums is added up over
        them before the formula, and gradients are those of the whole batch once
        ``DistributedDataParallel`` has averaged them.
    process_group : torch.distributed.ProcessGroup, optional
        Which processes; all of them by default.
    **options
        As the loss of the same name in :mod:`segmeter.loss` takes them, among them ``preset``.

    Attributes
    ----------
    loss : segmeter.loss.Loss
        The options, checked.
    """

    kind: ClassVar[Callable[..., Any]]

    def __init__(
        self, *, sync_batch: bool = False, process_group: Any = None, **options: Any
    ) -> None:
        super().__init__()
        self._hold(self.kind(**options), sync_batch, process_group)

    def _hold(self, loss: Any, sync_batch: bool, process_group: Any) -> None:
        self.loss = loss
        self._parts = parts_of(loss)
        for _, part in self._parts:
            if isinstance(part, SumLoss):
                part.prepare()
        self._setting = setting_of(loss, sync_batch, process_group)

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        pixel_weight: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss.

        Parameters
        ----------
        logits : torch.Tensor of float, shape (N, C, *spatial)
            On any device; half types are computed in float32. Read where they are, in any memory
            format.
        target : torch.Tensor, shape (N, *spatial) of int, or (N, C, *spatial) of float
            Labels, or shares of the classes.
        mask : torch.Tensor of bool, shape (N, *spatial), optional
            True where pixels are left out.
        pixel_weight : torch.Tensor of float, shape (N, *spatial), optional
            Weight of each pixel.

        Returns
        -------
        torch.Tensor
            float32, or float64 for float64 logits; a scalar unless ``reduction="none"``.
        """
        return evaluate(self._parts, Inputs(logits, target, mask, pixel_weight), self._setting)

    def explain(self) -> str:
        """The formula with its chosen options, in a few lines of text."""
        return str(self.loss.explain())

    def extra_repr(self) -> str:
        return repr(self.loss)


def setting_of(loss: Any, sync_batch: bool, process_group: Any) -> Setting:
    """The processes to add up over, if the loss is one of the batch."""
    if not isinstance(sync_batch, bool):
        raise TypeError(f"sync_batch must be True or False, got {sync_batch!r}")
    if process_group is not None and not sync_batch:
        raise ValueError("process_group is for sync_batch=True")
    members = loss.members if isinstance(loss, Compound) else ((1.0, loss),)
    regions = {getattr(member, "region", "batch") for _, member in members}
    if sync_batch and regions != {"batch"}:
        raise ValueError(
            "sync_batch=True makes one batch of all processes: use region='batch' (a loss per "
            "sample is the same in one process and in many)"
        )
    return Setting(sync_batch, process_group)


@functools.lru_cache(maxsize=256)
def _made(kind: Callable[..., Any], options: tuple[tuple[str, type, Any], ...]) -> Any:
    return kind(**{name: value for name, _, value in options})


def made(kind: Callable[..., Any], options: dict[str, Any]) -> Any:
    """The loss of some options, made once where they can be told apart."""
    try:
        # With their types: 1 and True are equal, and only one of them is a number here.
        return _made(kind, tuple((name, type(value), value) for name, value in options.items()))
    except TypeError:  # a list of weights has no hash
        return kind(**options)


def _compiled_call(
    kind: type[Any], inputs: Inputs, sync_batch: bool, process_group: Any, options: dict[str, Any]
) -> Tensor:
    """A call of a function while it is compiled: the loss is made once, outside the graph."""
    if not sync_batch and inputs.are_for_kernels():
        name = known_by(kind, inputs.target.is_floating_point(), **options)
        if name:
            return compiled(inputs, name)
    loss = kind(**options)
    return evaluate(parts_of(loss), inputs, setting_of(loss, sync_batch, process_group))


def module_of(kind: Callable[..., Any], name: str | None = None) -> type[Loss]:
    """The module of a maker of losses: ``Dice`` gives ``DiceLoss``."""
    name = name or f"{kind.__name__}Loss"
    about = (
        f":obj:`segmeter.loss.{kind.__name__}` of tensors, as a module.\n\n"
        f"Options as in :class:`segmeter.loss.{kind.__name__}`, and those of :class:`Loss`."
    )
    members = {"kind": staticmethod(kind), "__doc__": about, "__module__": "segmeter.torch"}
    return type(name, (Loss,), members)


def function_of(kind: type[Any]) -> Callable[..., Tensor]:
    """The function of a class of losses: ``Dice`` gives ``dice(logits, target, ...)``."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()

    def function(
        logits: Tensor,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        pixel_weight: Tensor | None = None,
        sync_batch: bool = False,
        process_group: Any = None,
        **options: Any,
    ) -> Tensor:
        inputs = Inputs(logits, target, mask, pixel_weight)
        if torch.compiler.is_compiling():
            return _compiled_call(kind, inputs, sync_batch, process_group, options)
        loss = made(kind, options)
        return evaluate(parts_of(loss), inputs, setting_of(loss, sync_batch, process_group))

    function.__name__ = function.__qualname__ = name
    function.__module__ = "segmeter.torch"
    function.__doc__ = (
        f":func:`segmeter.loss.{name}` of tensors, with a gradient.\n\n"
        f"Tensors as in :meth:`Loss.forward`; options as in :func:`segmeter.loss.{name}`, and "
        "``sync_batch`` and ``process_group`` as in :class:`Loss`."
    )
    return function


def lovasz(*, activation: str = "softmax", **options: Any) -> Any:
    """The Lovász loss that fits an activation: of probabilities, or for ``"sigmoid"`` the hinge."""
    if activation not in ("softmax", "sigmoid"):
        raise ValueError(f"activation must be 'softmax' or 'sigmoid', got {activation!r}")
    return (LovaszSoftmax if activation == "softmax" else LovaszHinge)(**options)


class CompoundLoss(Loss):
    """Weighted sum of losses as one loss; those that read the inputs alike share their sweeps.

    Parameters
    ----------
    losses : sequence of losses or of (weight, loss)
        Modules of this package, or losses of :mod:`segmeter.loss`.
    sync_batch, process_group
        As in :class:`Loss`; those of the members are not looked at.

    Examples
    --------
    >>> import torch
    >>> import segmeter.torch as st
    >>> loss = st.CompoundLoss([st.DiceLoss(), (0.5, st.CrossEntropyLoss())])
    >>> loss(torch.zeros(1, 2, 2), torch.tensor([[0, 1]]))
    tensor(0.8466)
    """

    def __init__(
        self, losses: Sequence[Any], *, sync_batch: bool = False, process_group: Any = None
    ) -> None:
        torch.nn.Module.__init__(self)
        self._hold(compound([_unwrapped(item) for item in losses]), sync_batch, process_group)


def _unwrapped(item: Any) -> Any:
    """The loss of a module; of a pair, too."""
    if isinstance(item, tuple) and len(item) == 2:
        return item[0], _unwrapped(item[1])
    return item.loss if isinstance(item, Loss) else item


class DeepSupervisionLoss(torch.nn.Module):
    """The same loss at several resolutions, as a weighted sum.

    Parameters
    ----------
    loss : Loss
        Loss of one resolution.
    weights : {"nnunet", "halving", "equal"} or sequence of float, default "nnunet"
        As in :func:`segmeter.loss.deep_supervision`.

    Examples
    --------
    >>> import torch
    >>> import segmeter.torch as st
    >>> loss = st.DeepSupervisionLoss(st.CrossEntropyLoss(), weights=[1.0, 0.5])
    >>> loss([torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)], torch.zeros(1, 4, 4).long())
    tensor(1.0397)
    """

    def __init__(self, loss: Loss, *, weights: Any = "nnunet") -> None:
        super().__init__()
        if not isinstance(loss, Loss):
            raise TypeError(f"loss must be a loss of segmeter.torch, got {type(loss).__name__}")
        self.level = loss
        self.loss: DeepSupervision = deep_supervision(loss.loss, weights=weights)

    def forward(self, logits: Sequence[Tensor], target: Tensor | Sequence[Tensor]) -> Tensor:
        """Weighted sum of the loss of every resolution.

        Parameters
        ----------
        logits : sequence of torch.Tensor
            Logits of every resolution, the finest first. One of weight 0 gets a gradient of zeros.
        target : torch.Tensor, or sequence of torch.Tensor
            Target of the finest resolution, taken down by the nearest label for the others; or one
            for each.

        Returns
        -------
        torch.Tensor
        """
        if not isinstance(logits, (list, tuple)) or not logits:
            raise TypeError(
                "logits must be a list with the logits of every level, the finest first, "
                f"got {type(logits).__name__}"
            )
        weights = self.loss.level_weights(len(logits))
        if isinstance(target, (list, tuple)):
            if len(target) != len(logits):
                raise ValueError(
                    f"target must hold {len(logits)} levels, as logits does, got {len(target)}"
                )
            targets = list(target)
        else:
            last = self.loss._channels_last()
            targets = [resized(target, level, last) for level in logits]
        total: Tensor = 0.0
        for weight, level, wanted in zip(weights, logits, targets, strict=True):
            part = self.level(level, wanted) if weight else _Nothing.apply(level)
            total = total + weight * part
        return total

    def explain(self) -> str:
        """The formula with its chosen options, in a few lines of text."""
        return self.loss.explain()


class _Nothing(torch.autograd.Function):
    """0, with a gradient of zeros that takes no memory: parallel training needs it to be there."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.shape = tensor.shape
        return tensor.new_zeros(())

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> Tensor:
        return torch.zeros_like(factor).expand(ctx.shape)


def resized(target: Tensor, logits: Tensor, channels_last: bool) -> Tensor:
    """Target in the resolution of logits: the pixel nearest to the centre of each of theirs."""
    axes = logits.ndim - 2
    first = 1 if channels_last or target.ndim < logits.ndim else 2
    if target.ndim < first + axes:
        raise ValueError(
            f"target of shape {tuple(target.shape)} does not fit logits of shape "
            f"{tuple(logits.shape)}"
        )
    for axis in range(axes):
        size = target.shape[first + axis]
        wanted = logits.shape[(1 if channels_last else 2) + axis]
        if size != wanted:
            centres = torch.arange(wanted, device=target.device, dtype=torch.float64) + 0.5
            index = (centres * (size / wanted)).floor().long().clamp(max=size - 1)
            target = target.index_select(first + axis, index)
    return target
