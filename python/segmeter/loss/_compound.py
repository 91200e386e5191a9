"""Weighted sums of losses as one loss, and the same loss at several resolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._arrays import as_array
from .._floats import as_float64, like
from ._base import (
    Array,
    Loss,
    Reduction,
    Slopes,
    SweepLoss,
    TableLoss,
    check_choice,
    check_number,
    remembered,
)
from ._pixel import CrossEntropy, Focal
from ._region import Dice
from ._table import SoftCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ._table import PixelTerm

Weights = Literal["nnunet", "halving", "equal"]


@dataclass(frozen=True)
class SumLoss(SweepLoss):
    """Weighted sum of losses that read the same sweep, which is one formula on its table."""

    members: tuple[tuple[float, TableLoss], ...]
    reduction: Reduction = "mean"

    @property
    def channels_last(self) -> bool:  # type: ignore[override]  # read only is enough
        return self.members[0][1].channels_last

    @remembered
    def terms(self) -> tuple[PixelTerm, ...]:
        return tuple(dict.fromkeys(term for _, loss in self.members for term in loss.terms))

    @remembered
    def squares(self) -> bool:
        return any(loss.squares for _, loss in self.members)

    @remembered
    def linear(self) -> bool:
        return all(loss.linear for _, loss in self.members)

    @remembered
    def reads_target(self) -> bool:
        return any(loss.reads_target for _, loss in self.members)

    @remembered
    def label_smoothing(self) -> float:
        return max(loss.label_smoothing for _, loss in self.members)

    def inputs(self) -> dict[str, Any]:
        return self.members[0][1].inputs() | {"label_smoothing": self.label_smoothing}

    def check_channels(self, number: int) -> None:
        for _, loss in self.members:
            loss.check_channels(number)

    def for_target(self, soft: bool) -> SumLoss:
        return self._for_soft if soft else self._for_labels

    @remembered
    def _for_soft(self) -> SumLoss:
        return SumLoss(tuple((weight, loss.for_target(True)) for weight, loss in self.members))

    @remembered
    def _for_labels(self) -> SumLoss:
        return SumLoss(tuple((weight, loss.for_target(False)) for weight, loss in self.members))

    def prepare(self) -> None:
        """Make now what is made once: ``torch.compile`` cannot trace how."""
        for loss in (self._for_soft, self._for_labels):
            _ = loss.terms, loss._rows

    def value(self, table: SoftCounts, xp: Any = np, *, pixels: int | None = None) -> Array:
        total: Array = 0.0
        for (weight, loss), rows in zip(self.members, self._rows, strict=True):
            total = total + weight * loss.value(_with_terms(table, rows), xp, pixels=pixels)
        return total

    def accumulate(
        self, table: SoftCounts, slopes: Slopes, weight: float = 1.0, *, pixels: int | None = None
    ) -> float:
        value = 0.0
        for (factor, loss), rows in zip(self.members, self._rows, strict=True):
            part = _with_terms(table, rows)
            of_part = slopes if part is table else Slopes(part)
            value += factor * loss.accumulate(part, of_part, weight * factor, pixels=pixels)
            if of_part is not slopes:
                slopes.join(of_part, rows)
        return value

    @remembered
    def _rows(self) -> tuple[slice | list[int] | None, ...]:
        """Rows of the terms of every member, as a slice where they are in a row."""
        made: list[slice | list[int] | None] = []
        for _, loss in self.members:
            rows = [self.terms.index(term) for term in loss.terms]
            if not rows:
                made.append(None)
            elif rows == list(range(rows[0], rows[-1] + 1)):
                made.append(slice(rows[0], rows[-1] + 1))
            else:
                made.append(rows)
        return tuple(made)

    def explain(self) -> str:
        return _explain_sum(self.members)


def _with_terms(table: SoftCounts, rows: slice | list[int] | None) -> SoftCounts:
    """The table with some of its terms alone; the whole one for a loss that reads none."""
    if rows is None or rows == slice(0, len(table.terms)):
        return table
    return SoftCounts(
        table.intersection,
        table.pred,
        table.pred_squared,
        table.target,
        table.target_squared,
        table.terms[rows],
        table.terms_negative[rows],
        table.valid,
        table.weight,
    )


@dataclass(frozen=True)
class Compound(Loss):
    """Weighted sum of losses; made by :func:`compound`.

    Losses with the same options of the inputs (activation, ignored labels, layout, and label
    smoothing of those that have pixel terms) share one sweep over the logits and one for the
    gradient.
    """

    members: tuple[tuple[float, Loss], ...]

    @remembered
    def groups(self) -> tuple[tuple[float, Loss], ...]:
        """Losses of one sweep each, with their weights."""
        shared: dict[Any, list[tuple[float, TableLoss]]] = {}
        alone: list[tuple[float, Loss]] = []
        for weight, loss in self.members:
            if isinstance(loss, TableLoss) and not getattr(loss, "soft_label", False):
                shared.setdefault(_inputs_key(loss), []).append((weight, loss))
            else:
                alone.append((weight, loss))
        return (*((1.0, SumLoss(tuple(group))) for group in _merged(shared)), *alone)

    def __call__(
        self,
        logits: Any,
        target: Any,
        *,
        mask: Any = None,
        pixel_weight: Any = None,
        return_grad: bool = False,
        out: NDArray[Any] | None = None,
        threads: int = 0,
    ) -> Any:
        data: dict[str, Any] = {"mask": mask, "pixel_weight": pixel_weight, "threads": threads}
        groups = self.groups
        if len(groups) == 1 and groups[0][0] == 1.0:
            return groups[0][1](logits, target, return_grad=return_grad, out=out, **data)
        if not return_grad and out is None:
            return float(sum(weight * loss(logits, target, **data) for weight, loss in groups))
        weight, loss = groups[0]
        first, gradient = loss(logits, target, return_grad=True, out=out, **data)
        value, gradient = weight * first, scaled(gradient, weight)
        for weight, loss in groups[1:]:
            part, slope = loss(logits, target, return_grad=True, **data)
            value += weight * part
            add(gradient, slope, weight)
        return value, gradient

    def explain(self) -> str:
        sweeps = len(self.groups)
        text = _explain_sum(self.members)
        return f"{text}\n{'one sweep' if sweeps == 1 else f'{sweeps} sweeps'} over the logits"


def _inputs_key(loss: TableLoss) -> Any:
    options = loss.inputs()
    ignored = options["ignore_index"]
    smoothing = options["label_smoothing"] if loss.terms else None
    return options["activation"], ignored, options["channels_last"], smoothing


def _merged(shared: dict[Any, list[tuple[float, TableLoss]]]) -> list[Any]:
    """Groups, those without pixel terms joined to one that fits: smoothing is not theirs."""
    groups: dict[Any, list[tuple[float, TableLoss]]] = {}
    for key, members in sorted(shared.items(), key=lambda item: item[0][-1] is None):
        fits = next((k for k in groups if key[-1] is None and k[:-1] == key[:-1]), key)
        groups.setdefault(fits, []).extend(members)
    return list(groups.values())


def _explain_sum(members: tuple[tuple[float, Loss], ...]) -> str:
    names = " + ".join(f"{weight:g} {type(loss).__name__}" for weight, loss in members)
    parts = [f"{weight:g} * {loss.explain()}" for weight, loss in members]
    return "\n".join([f"loss = {names}", *parts])


def compound(losses: Sequence[Loss | tuple[float, Loss]]) -> Compound:
    """Weighted sum of losses as one loss, computed in one sweep over the logits.

    Parameters
    ----------
    losses : sequence of Loss or of (weight, Loss)
        The losses, alone (weight 1) or with their weights, which are finite and not negative.
        Each gives one number: ``reduction="none"`` has no sum.

    Returns
    -------
    Compound
        A loss as any other.

    Raises
    ------
    TypeError
        If a member is no loss.
    ValueError
        If there is none, a weight is out of range, or a member does not give one number.

    Notes
    -----
    All losses on the table of soft counts share their sweeps where they read the inputs alike;
    those with other input options, Lovász and top-k losses take sweeps of their own, whose
    gradients are added.

    Examples
    --------
    >>> import numpy as np
    >>> both = compound([Dice(), (0.5, CrossEntropy())])
    >>> round(both(np.zeros((1, 2, 2)), [[0, 1]]), 4)
    0.8466
    """
    if not isinstance(losses, list | tuple):
        raise TypeError(f"losses must be a sequence of losses, got {type(losses).__name__}")
    members: list[tuple[float, Loss]] = []
    for member in losses:
        is_pair = isinstance(member, tuple) and len(member) == 2
        weight, loss = member if is_pair else (1.0, member)
        if not isinstance(loss, Loss):
            raise TypeError(
                "losses must hold losses, or pairs of a weight and a loss; "
                f"got {type(loss).__name__}"
            )
        check_number("the weight of a loss", weight)
        if getattr(loss, "reduction", "mean") == "none":
            raise ValueError(f"{type(loss).__name__} has reduction='none': it has no sum")
        inner = loss.members if isinstance(loss, Compound) else ((1.0, loss),)
        members.extend((float(weight) * factor, part) for factor, part in inner)
    if not members:
        raise ValueError("losses must hold at least one loss, got none")
    return Compound(tuple(members))


def dice_cross_entropy(
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    dice: dict[str, Any] | None = None,
    cross_entropy: dict[str, Any] | None = None,
    **options: Any,
) -> Compound:
    """Dice plus cross entropy as one loss.

    Parameters
    ----------
    dice_weight, cross_entropy_weight : float, default 1.0
        Their weights in the sum.
    dice, cross_entropy : dict, optional
        Options of one of the two alone.
    **options
        Options of both, as ``activation``, ``ignore_index`` or ``preset``.

    Returns
    -------
    Compound

    Examples
    --------
    >>> import numpy as np
    >>> loss = dice_cross_entropy(preset="monai")
    >>> round(loss(np.zeros((1, 2, 2)), [[0, 1]]), 4)
    1.1931
    """
    return compound(
        [
            (dice_weight, Dice(**{**options, **(dice or {})})),
            (cross_entropy_weight, CrossEntropy(**{**options, **(cross_entropy or {})})),
        ]
    )


def dice_focal(
    *,
    dice_weight: float = 1.0,
    focal_weight: float = 1.0,
    dice: dict[str, Any] | None = None,
    focal: dict[str, Any] | None = None,
    **options: Any,
) -> Compound:
    """Dice plus focal loss as one loss.

    Parameters
    ----------
    dice_weight, focal_weight : float, default 1.0
        Their weights in the sum.
    dice, focal : dict, optional
        Options of one of the two alone.
    **options
        Options of both.

    Returns
    -------
    Compound

    Examples
    --------
    >>> import numpy as np
    >>> loss = dice_focal(focal={"gamma": 1.0})
    >>> round(loss(np.zeros((1, 2, 2)), [[0, 1]]), 4)
    0.8466
    """
    return compound(
        [
            (dice_weight, Dice(**{**options, **(dice or {})})),
            (focal_weight, Focal(**{**options, **(focal or {})})),
        ]
    )


# --- several resolutions


@dataclass(frozen=True)
class DeepSupervision:
    """A loss at several resolutions; made by :func:`deep_supervision`."""

    loss: Loss
    weights: tuple[float, ...] | Weights

    def level_weights(self, levels: int) -> tuple[float, ...]:
        """Give the weights of so many levels, the finest first.

        Parameters
        ----------
        levels : int

        Returns
        -------
        tuple of float
        """
        if isinstance(self.weights, tuple):
            if len(self.weights) != levels:
                raise ValueError(
                    f"logits has {levels} levels, but weights are given for {len(self.weights)}"
                )
            return self.weights
        if self.weights == "equal":
            return (1.0,) * levels
        if self.weights == "halving":
            return tuple(max(0.5**level, 0.0625) for level in range(levels))
        halves = [0.5**level for level in range(levels)]
        if levels > 1:
            halves[-1] = 0.0
        return tuple(weight / sum(halves) for weight in halves)

    def __call__(
        self,
        logits: Sequence[Any],
        target: Any,
        *,
        return_grad: bool = False,
        threads: int = 0,
    ) -> Any:
        """Weighted sum of the loss of every level.

        Parameters
        ----------
        logits : sequence of array_like
            Logits of every level, the finest first.
        target : array_like or sequence of array_like
            Target of the finest level, taken down by the nearest label for the others; or one
            target per level.
        return_grad : bool, default False
            Whether to give the gradient by the logits of every level too.
        threads : int, default 0
            Threads to use.

        Returns
        -------
        value : float
        gradients : list of numpy.ndarray
            Only if asked for; zeros for levels of weight 0.
        """
        if not isinstance(logits, list | tuple) or not logits:
            raise TypeError(
                "logits must be a list with the logits of every level, the finest first, "
                f"got {type(logits).__name__}"
            )
        weights = self.level_weights(len(logits))
        if isinstance(target, list | tuple) and len(target) == len(logits):
            targets = list(target)
        else:
            targets = [resized(target, level, self._channels_last()) for level in logits]
        value, gradients = 0.0, []
        for weight, level, wanted in zip(weights, logits, targets, strict=True):
            array = as_array(level, "logits")
            if weight == 0:
                gradients.append(np.zeros_like(array))
            elif return_grad:
                part, slope = self.loss(array, wanted, return_grad=True, threads=threads)
                value += weight * part
                gradients.append(scaled(slope, weight))
            else:
                value += weight * self.loss(array, wanted, threads=threads)
        return (value, gradients) if return_grad else value

    def _channels_last(self) -> bool:
        members = self.loss.members if isinstance(self.loss, Compound) else ((1.0, self.loss),)
        return bool(getattr(members[0][1], "channels_last", False))

    def explain(self) -> str:
        """Give the formula in a few lines of text.

        Returns
        -------
        str
        """
        weights = {
            "nnunet": "1, 1/2, 1/4, ... of the levels, 0 for the coarsest, divided by their sum",
            "halving": "1, 1/2, 1/4, ... of the levels, at least 1/16",
            "equal": "1 for every level",
        }
        if isinstance(self.weights, tuple):
            text = ", ".join(f"{weight:g}" for weight in self.weights)
        else:
            text = weights[self.weights]
        return f"loss = sum over levels of weight * loss of the level\nweights: {text}\n" + (
            self.loss.explain()
        )


def deep_supervision(
    loss: Loss, *, weights: Weights | Sequence[float] = "nnunet"
) -> DeepSupervision:
    """Make a loss of logits at several resolutions: a weighted sum over the levels.

    Parameters
    ----------
    loss : Loss
        Loss of one level.
    weights : {"nnunet", "halving", "equal"} or sequence of float, default "nnunet"
        Weights of the levels, the finest first. ``"nnunet"``: 1, 1/2, 1/4, ... with 0 for the
        coarsest level, divided by their sum; ``"halving"``: 1, 1/2, 1/4, ... down to 1/16, as they
        are (MONAI); ``"equal"``: 1.

    Returns
    -------
    DeepSupervision
        Call it with a list of logits and a target.

    Raises
    ------
    TypeError
        If ``loss`` is no loss.
    ValueError
        If weights are unknown, empty or out of range.

    Notes
    -----
    A target of one resolution is brought to the others by the label nearest to each pixel's
    centre (``nearest-exact``). nnU-Net trains on targets of its own per level: pass them as a
    list.

    Examples
    --------
    >>> import numpy as np
    >>> loss = deep_supervision(CrossEntropy(), weights=[1.0, 0.5])
    >>> levels = [np.zeros((1, 2, 4, 4)), np.zeros((1, 2, 2, 2))]
    >>> round(loss(levels, np.zeros((1, 4, 4), np.uint8)), 4)
    1.0397
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"loss must be a loss, got {type(loss).__name__}")
    if isinstance(weights, str):
        check_choice("weights", weights, Weights)
        return DeepSupervision(loss, weights)
    numbers = tuple(weights)
    if not numbers:
        raise ValueError("weights must hold a number for every level, got none")
    for number in numbers:
        check_number("weights", number)
    return DeepSupervision(loss, tuple(float(number) for number in numbers))


def scaled(gradient: NDArray[Any], weight: float) -> NDArray[Any]:
    """A gradient times a weight, in its own memory."""
    if weight != 1.0:
        gradient[...] = like(weight * as_float64(gradient), gradient.dtype)
    return gradient


def add(total: NDArray[Any], gradient: NDArray[Any], weight: float) -> None:
    """Add a gradient times a weight; uint16 holds the bits of bfloat16."""
    total[...] = like(as_float64(total) + weight * as_float64(gradient), total.dtype)


def resized(target: Any, logits: Any, channels_last: bool) -> Any:
    """Target in the resolution of logits: the pixel nearest to the centre of each of theirs."""
    target, shape = as_array(target, "target"), as_array(logits, "logits").shape
    dense = target.ndim == len(shape)
    axes = range(1, len(shape) - 1) if channels_last else range(2, len(shape))
    for axis in axes:
        own = axis if dense or channels_last else axis - 1
        if own >= target.ndim:
            raise ValueError(f"target of shape {target.shape} does not fit logits of shape {shape}")
        size, wanted = target.shape[own], shape[axis]
        if size != wanted:
            index = np.floor((np.arange(wanted) + 0.5) * (size / wanted)).astype(np.int64)
            target = np.take(target, np.minimum(index, size - 1), axis=own)
    return target


__all__ = [
    "Compound",
    "DeepSupervision",
    "compound",
    "deep_supervision",
    "dice_cross_entropy",
    "dice_focal",
]
