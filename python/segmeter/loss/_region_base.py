"""Losses of overlap: formulas on sums per region (a sample, or the whole batch) and class.

Sums are arrays (R, K) of regions and classes. The value is ``sum(share * loss(score))``; as the
shares depend on the target alone, the derivative needs only the slopes of loss and score.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from .. import _core
from .._arrays import as_array
from .._floats import as_float64, like, probabilities
from . import _table
from ._base import (
    Array,
    Slopes,
    TableLoss,
    check_choice,
    check_flag,
    check_number,
    flags,
    per_class,
    remembered,
    share,
    sum_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._table import SoftCounts, SoftCountsGradient

Region = Literal["per_sample", "batch"]
Average = Literal["macro", "micro", "weighted"]
Absent = Literal["score", "skip", "zero"]

Sums = dict[str, Array]
"""Sums (R, K) by name; ``weight`` is the sum of all pixel weights, (R, 1)."""


def quotient(numerator: Array, denominator: Array, eps: float, xp: Any) -> Array:
    """``numerator / max(denominator, eps)``; nothing over nothing is a perfect score, 1."""
    denominator = xp.clip(denominator, eps, None) if eps > 0 else denominator
    if xp is np and denominator.all():
        return numerator / denominator
    nothing = denominator == 0
    return xp.where(nothing, 1.0, numerator / xp.where(nothing, 1.0, denominator))


def quotient_and_slopes(
    numerator: Array, denominator: Array, eps: float
) -> tuple[Array, Array, Array]:
    """`quotient`, and how it grows with the numerator and shrinks as the denominator grows.

    No slope by the denominator where that is clipped.
    """
    clipped = np.maximum(denominator, eps) if eps > 0 else denominator
    if np.count_nonzero(clipped) == clipped.size:
        value, inverse = numerator / clipped, 1.0 / clipped
    else:
        value, inverse = quotient(numerator, clipped, 0.0, np), share(1.0, clipped, np)
    falling = value * inverse
    return value, inverse, np.where(denominator < eps, 0.0, falling) if eps > 0 else falling


@dataclass(frozen=True, kw_only=True)
class RegionLoss(TableLoss):
    """A score per region and class, and how these become one number."""

    region: Region = "per_sample"
    average: Average = "macro"
    absent: Absent = "score"
    normalise_weight: bool = True

    score_name: ClassVar[str] = "score"
    reads_weight: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("region", self.region, Region)
        check_choice("average", self.average, Average)
        check_choice("absent", self.absent, Absent)
        check_flag("normalise_weight", self.normalise_weight)

    # What a loss of this kind says of itself.

    @abstractmethod
    def score(self, sums: Sums, xp: Any) -> Array:
        """Score of every region and class, 1 for a perfect one."""

    @abstractmethod
    def score_slopes(self, sums: Sums) -> Sums:
        """Derivative of the score by each of the sums that depend on the logits."""

    def score_and_slopes(self, sums: Sums) -> tuple[Array, Sums]:
        """`score` and `score_slopes` at once."""
        return self.score(sums, np), self.score_slopes(sums)

    def loss_of(self, score: Array, xp: Any) -> Array:  # noqa: ARG002  # others need xp
        """Loss of a score."""
        return 1.0 - score

    def loss_slope(self, score: Array) -> Array:  # noqa: ARG002  # others need it
        """Derivative of the loss by the score; a number where it is the same everywhere."""
        return -1.0

    def total(self, mean: Array, xp: Any) -> Array:  # noqa: ARG002  # others need xp
        """Last step after the mean over classes and regions."""
        return mean

    def total_slope(self, mean: float) -> float:  # noqa: ARG002  # others need it
        """Derivative of `total` by the mean."""
        return 1.0

    # From the table to sums, and back.

    @property
    def pooled(self) -> bool:
        """Whether the sums of all classes go into one score."""
        return self.average == "micro"

    def value(self, table: SoftCounts, xp: Any = np, *, pixels: int | None = None) -> Array:
        if xp is np and self.reduction != "none":
            return self.accumulate(table, Slopes(table), pixels=pixels)  # to the same last bit
        sums, counted, _ = self._sums(table, xp)
        losses = self.loss_of(self.score(sums, xp), xp)
        if self.reduction == "none":
            return self._one_by_one(losses, sums, counted, xp)
        mean = sum_of(self._shares(sums, counted, xp) * losses, xp)
        nothing = math.nan if self.empty == "nan" else 0.0
        return xp.where(counted.sum() > 0, self.total(mean, xp), nothing)

    def accumulate(
        self,
        table: SoftCounts,
        slopes: Slopes,
        weight: float = 1.0,
        *,
        pixels: int | None = None,  # noqa: ARG002
    ) -> float:
        sums, counted, fold = self._sums(table, np)
        mean, by_sums = self.mean_and_slopes(sums, self._shares(sums, counted, np))
        factor: Array = weight * self.total_slope(mean)
        if self.pooled:
            factor = factor * fold
        parts = by_sums
        if self.pooled or factor != 1.0:
            parts = {name: factor * part for name, part in by_sums.items()}
        self.book(parts, slopes, self.selection(table.pred.shape[1]))
        nothing = math.nan if self.empty == "nan" else 0.0
        return float(self.total(mean, np)) if np.count_nonzero(counted) else nothing

    def mean_and_slopes(self, sums: Sums, shares: Array) -> tuple[float, Sums]:
        """Sum of the losses by their shares, and its derivative by each of the sums."""
        score, by_sums = self.score_and_slopes(sums)
        slope = shares * self.loss_slope(score)
        mean = float(sum_of(shares * self.loss_of(score, np), np))
        return mean, {name: slope * part for name, part in by_sums.items()}

    def _sums(self, table: SoftCounts, xp: Any) -> tuple[Sums, Array, Array]:
        """Sums (R, K), counted pixels of the regions (R, 1), weights of pooled classes."""
        sums = self.read(table)
        channels = table.pred.shape[1]
        if self.reads_weight:
            sums["weight"] = table.weight[:, None] + 0.0 * sums["target"]
        if self.classes is not None or not self.include_background:
            chosen = self.selection(channels)
            sums = {name: array[:, chosen] for name, array in sums.items()}
        counted = table.valid[:, None]
        if self.region == "batch":
            sums = {name: array.sum(0, keepdims=True) for name, array in sums.items()}
            counted = counted.sum(0, keepdims=True)
        fold: Array = 1.0
        if self.pooled:
            fold = self.pooling(sums, xp)
            sums = {name: (fold * array).sum(1, keepdims=True) for name, array in sums.items()}
        return sums, counted, fold

    def read(self, table: SoftCounts) -> Sums:
        """Sums (N, C) that the score needs."""
        names = ["intersection", "pred", "target"]
        names += ["pred_squared", "target_squared"] if self.squares else []
        return {name: getattr(table, name) for name in names}

    def book(self, by_sums: Sums, slopes: Slopes, chosen: slice | list[int]) -> None:
        """Add slopes (R, K) by the sums of `read` to those by the table, of the chosen classes."""
        for name, values in by_sums.items():
            slopes.add(name, values, chosen)

    def pooling(self, sums: Sums, xp: Any) -> Array:  # noqa: ARG002  # others need xp
        """Weights of the classes in sums over all classes."""
        return self._class_weights(sums["target"])

    def _class_weights(self, target: Array) -> Array:
        weights = self.class_weight
        if isinstance(weights, tuple):
            weights = tuple(weights[k] for k in self.chosen(len(weights)))
        return per_class(weights, list(range(target.shape[1])), target)

    # Means over classes and regions.

    def _weights(self, sums: Sums, counted: Array, xp: Any) -> tuple[Array, Array]:
        """Weights of the losses (R, K), and the weights that their mean divides by."""
        take = counted + 0.0 * sums["target"]
        if self.pooled:
            return take, take
        if self.average == "weighted":
            take = take * sums["target"]
        weighted = take * self._class_weights(take)
        whole = weighted if self.normalise_weight else take
        present = flags(sums["target"] > 0, take, xp)
        if self.absent == "score":
            return weighted, whole
        return weighted * present, whole * present if self.absent == "skip" else whole

    def _shares(self, sums: Sums, counted: Array, xp: Any) -> Array:
        """Factor of every loss in the value: of the target alone, so without a slope."""
        if xp is np and self._is_even and np.count_nonzero(counted) == counted.size:
            size = sums["target"].shape
            if size not in self.kept:
                self.kept[size] = self._shares_of(sums, counted, xp)
            return self.kept[size]
        return self._shares_of(sums, counted, xp)

    @remembered
    def _is_even(self) -> bool:
        """Whether the shares are the same for all targets that have counted pixels."""
        return self.pooled or (self.average == "macro" and self.absent == "score")

    def _shares_of(self, sums: Sums, counted: Array, xp: Any) -> Array:
        take, whole = self._weights(sums, flags(counted > 0, sums["target"], xp), xp)
        if self.reduction == "sum":
            return take
        whole = whole.sum(1, keepdims=True)
        regions = flags(whole > 0, whole, xp).sum()
        return 0.0 * take + share(share(take, whole, xp), regions, xp)  # of no region, too

    def _one_by_one(self, losses: Array, sums: Sums, counted: Array, xp: Any) -> Array:
        """Losses (R, K) times the class weights; NaN where nothing is counted or is skipped."""
        if not self.pooled:
            losses = losses * self._class_weights(losses)
            absent = sums["target"] <= 0
            if self.absent != "score":
                losses = xp.where(absent, 0.0 if self.absent == "zero" else math.nan, losses)
        return xp.where(counted > 0, losses, 0.0 if self.empty == "zero" else math.nan)

    # In words.

    def reduced_formula(self) -> str:
        classes = "all classes together" if self.pooled else "classes"
        regions = "samples" if self.region == "per_sample" else "the batch as one"
        one = self.loss_formula()
        if self.reduction == "none":
            return f"{one}, one by one for {regions} and {classes}"
        kind = "weighted mean" if self.average == "weighted" else self.reduction
        return f"{kind} over {regions} and {classes} of {one}"

    def loss_formula(self) -> str:
        """Loss of a score."""
        return f"1 - {self.score_name}"

    def conventions(self) -> list[str]:
        where = "each sample" if self.region == "per_sample" else "the whole batch"
        absent = {
            "score": "is scored as any other",
            "skip": "leaves the mean",
            "zero": "costs 0 and stays in the mean",
        }
        lines = [f"sums over the counted pixels of {where}"]
        if self.average == "weighted":
            lines.append("classes weigh as many pixels as the target has of them")
        if not self.pooled:
            lines.append(f"a class without a pixel in the target {absent[self.absent]}")
        if self.class_weight is not None and not self.normalise_weight:
            lines.append("class weights multiply, the mean divides by the number of classes")
        return lines + super().conventions()


@dataclass(frozen=True, kw_only=True)
class RatioLoss(RegionLoss):
    """A score that is a quotient of sums: (numerator + smooth_nr) / (denominator + smooth_dr)."""

    smooth_nr: float = 1e-5
    smooth_dr: float = 1e-5
    eps: float = 0.0
    soft_label: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("soft_label", self.soft_label)
        if self.soft_label and self.squares:
            raise ValueError("soft_label is for sums that are not squared: those suit soft labels")
        for name in ("smooth_nr", "smooth_dr", "eps"):
            check_number(name, getattr(self, name))

    @abstractmethod
    def parts(self, sums: Sums) -> tuple[Array, Array]:
        """Numerator and denominator without the constants."""

    def score(self, sums: Sums, xp: Any) -> Array:
        numerator, denominator = self.parts(sums)
        return quotient(numerator + self.smooth_nr, denominator + self.smooth_dr, self.eps, xp)

    def score_slopes(self, sums: Sums) -> Sums:
        return self.score_and_slopes(sums)[1]

    def score_and_slopes(self, sums: Sums) -> tuple[Array, Sums]:
        numerator, denominator = self.parts(sums)
        numerator, denominator = numerator + self.smooth_nr, denominator + self.smooth_dr
        score, rising, falling = quotient_and_slopes(numerator, denominator, self.eps)
        (above, above_size, _), (below, below_size, _) = self._coefficients
        return score, {
            "intersection": above * rising - below * falling,
            self._size: above_size * rising - below_size * falling,
        }

    def mean_and_slopes(self, sums: Sums, shares: Array) -> tuple[float, Sums]:
        if self.offset is None:
            return super().mean_and_slopes(sums, shares)
        size, target = self._size, "target_squared" if self.squares else "target"
        mean, by_intersection, by_size = _core.mean_of_quotients(
            self._rule, sums["intersection"], sums[size], sums[target], shares
        )
        return mean, {"intersection": by_intersection, size: by_size}

    @property
    def offset(self) -> float | None:
        """What a score is taken from to be a loss, if that is all that is done to it."""
        return 1.0

    @property
    def _size(self) -> str:
        return "pred_squared" if self.squares else "pred"

    @remembered
    def _coefficients(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Numerator and denominator, which are linear, by intersection, size and target."""
        names = ("intersection", self._size, "target_squared" if self.squares else "target")
        units = [{name: float(name == unit) for name in names} for unit in names]
        above, below = zip(*map(self.parts, units), strict=True)
        return above, below

    @remembered
    def _rule(self) -> tuple[float, ...]:
        above, below = self._coefficients
        return (*above, *below, self.smooth_nr, self.smooth_dr, self.eps, self.offset or 0.0)

    def overlap(self) -> str:
        """What is in both, in words."""
        return "sum(min(p, y))" if self.soft_label else "sum(p y)"

    def for_target(self, soft: bool) -> Self:
        if soft and self.soft_label:
            raise NotImplementedError(
                "soft_label=True with soft targets is no formula of the table of soft counts: "
                "call the loss on NumPy arrays"
            )
        return self

    def of_overlap(self) -> Self:
        """The formula of a table whose intersection is the overlap already."""
        return replace(self, soft_label=False, preset=None, strict=False)

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
        if not self.soft_label or as_array(target, "target").dtype.kind != "f":
            return super().__call__(logits, target, return_grad=return_grad, out=out, **data)
        # With labels of 0 and 1 the overlap is the intersection, with others a sum of its own.
        labels = self.of_overlap()
        x = as_array(logits, "logits")
        self.check_channels(x.shape[-1 if self.channels_last else 1] if x.ndim > 1 else 1)
        inputs = {**self.inputs(), **data, "logits": x, "target": target}
        shared = Overlap(inputs, _table.soft_counts(**inputs))
        value = labels.value(shared.table)
        value = value if self.reduction == "none" else float(value)
        if not return_grad and out is None:
            return value
        if self.reduction == "none":
            raise ValueError("return_grad needs one number: use reduction='mean' or 'sum'")
        return value, shared.backward(labels.gradient(shared.table), out)

    def ratio(self, numerator: str, denominator: str) -> str:
        """The quotient with its constants, in words."""
        numerator = _plus(numerator, self.smooth_nr)
        denominator = _plus(denominator, self.smooth_dr)
        numerator = f"({numerator})" if " + " in numerator else numerator
        if self.eps > 0:
            return f"{numerator} / max({denominator}, {self.eps:g})"
        return f"{numerator} / ({denominator})"


def _plus(formula: str, number: float) -> str:
    return formula if number == 0 else f"{formula} + {number:g}"


class Overlap:
    """Sums of min(p, y), the overlap of soft labels, beside the other sums; in plain NumPy."""

    def __init__(self, inputs: dict[str, Any], table: SoftCounts) -> None:
        self.last = inputs["channels_last"]
        self.activation = inputs["activation"]
        self.logits = inputs["logits"]
        x, y = as_float64(self.logits), as_array(inputs["target"], "target").astype(np.float64)
        x, y = (np.moveaxis(array, -1, 1) if self.last else array for array in (x, y))
        kept = np.ones((x.shape[0], 1, *x.shape[2:]))
        if inputs["pixel_weight"] is not None:
            kept = kept * as_array(inputs["pixel_weight"], "pixel_weight")[:, None]
        if inputs["mask"] is not None:
            kept = np.where(as_array(inputs["mask"], "mask")[:, None], 0.0, kept)
        self.weight = kept
        self.p, self.rest, _, _ = probabilities(np.where(kept > 0, x, 0.0), self.activation)
        self.y = np.where(kept > 0, y, 0.0)
        overlap = (kept * np.minimum(self.p, self.y)).sum(axis=tuple(range(2, x.ndim)))
        self.table = replace(table, intersection=overlap)

    def backward(self, d: SoftCountsGradient, out: NDArray[Any] | None) -> NDArray[Any]:
        """Gradient by the logits; where p = y the slope of the overlap is half."""
        axes = (*self.table.pred.shape, *[1] * (self.p.ndim - 2))
        smaller = (1.0 - np.sign(self.p - self.y)) / 2.0
        by_p = d.pred.reshape(axes) + d.intersection.reshape(axes) * smaller
        if self.activation == "softmax":
            by_p = self.p * (by_p - (self.p * by_p).sum(1, keepdims=True))
        elif self.activation == "sigmoid":
            by_p = self.p * self.rest * by_p
        gradient = self.weight * by_p
        gradient = np.moveaxis(gradient, 1, -1) if self.last else gradient
        if out is None:
            return like(gradient, self.logits.dtype)
        out[...] = like(gradient, self.logits.dtype)
        return out
