"""The losses of :mod:`segmeter.loss` as functions and modules of tensors, all by one rule."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, ClassVar

from ._compiled import compiled, known_by
from ._evaluate import Inputs, Setting, evaluate
from ._require import torch

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self.loss = self.kind(**options)
        self._setting = setting_of(self.loss, sync_batch, process_group)

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
        return evaluate(self.loss, Inputs(logits, target, mask, pixel_weight), self._setting)

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
    if sync_batch and getattr(loss, "region", "batch") != "batch":
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
        name = known_by(kind, **options)
        if name:
            return compiled(inputs, name)
    loss = kind(**options)
    return evaluate(loss, inputs, setting_of(loss, sync_batch, process_group))


def module_of(kind: type[Any]) -> type[Loss]:
    """The module of a class of losses: ``Dice`` gives ``DiceLoss``."""
    name = f"{kind.__name__}Loss"
    about = (
        f":class:`segmeter.loss.{kind.__name__}` of tensors, as a module.\n\n"
        f"Options as in :class:`segmeter.loss.{kind.__name__}`, and those of :class:`Loss`."
    )
    return type(name, (Loss,), {"kind": kind, "__doc__": about, "__module__": "segmeter.torch"})


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
        return evaluate(loss, inputs, setting_of(loss, sync_batch, process_group))

    function.__name__ = function.__qualname__ = name
    function.__module__ = "segmeter.torch"
    function.__doc__ = (
        f":func:`segmeter.loss.{name}` of tensors, with a gradient.\n\n"
        f"Tensors as in :meth:`Loss.forward`; options as in :func:`segmeter.loss.{name}`, and "
        "``sync_batch`` and ``process_group`` as in :class:`Loss`."
    )
    return function
