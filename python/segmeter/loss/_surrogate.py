"""Losses that rank pixels: Lovász extensions, the hardest pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from .._arrays import as_array, integer
from .._floats import as_float64
from . import _table
from ._base import (
    ClassWeight,
    Empty,
    Loss,
    Reduction,
    check_choice,
    check_flag,
    check_length,
    check_number,
    class_numbers,
    counted,
    ignored_labels,
    loss,
    numbers_per_class,
    numbers_text,
    remembered,
    sum_of,
)
from ._pixel import CrossEntropy
from ._table import PixelTerm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Region = Literal["per_sample", "batch"]
Which = Literal["present", "all"]
Ranking = Literal["softmax", "sigmoid"]
Share = Literal["valid", "all"]
Total = Literal["mean", "sum"]


@dataclass(frozen=True, kw_only=True)
class LovaszLoss(Loss):
    """A Lovász extension of the Jaccard loss per region and class, and their mean."""

    region: Region = "batch"
    classes: Which | Sequence[int] = "present"
    class_weight: ClassWeight = None
    normalise_weight: bool = True
    exact: bool = False
    ignore_index: int | Sequence[int] | None = None
    channels_last: bool = False
    reduction: Reduction = "mean"
    empty: Empty = "zero"
    preset: str | None = None
    strict: bool = False

    hinge: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_choice("region", self.region, Region)
        check_choice("reduction", self.reduction, Reduction)
        check_choice("empty", self.empty, Empty)
        for name in ("normalise_weight", "exact", "channels_last", "strict"):
            check_flag(name, getattr(self, name))
        object.__setattr__(self, "ignore_index", ignored_labels(self.ignore_index))
        if isinstance(self.classes, str):
            check_choice("classes", self.classes, Which)
        else:
            object.__setattr__(self, "classes", class_numbers(self.classes))
        weights = numbers_per_class("class_weight", self.class_weight)
        object.__setattr__(self, "class_weight", weights)

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
        if pixel_weight is not None:
            raise ValueError("a Lovász loss ranks pixels and has no pixel_weight; use mask")
        check_flag("return_grad", return_grad)
        return_grad = return_grad or out is not None
        if return_grad and self.reduction == "none":
            raise ValueError("return_grad needs one number: use reduction='mean' or 'sum'")
        target = as_array(target, "target")
        if target.dtype.kind == "f":
            raise TypeError("a Lovász loss needs labels: target must be of an integer type")
        sweep = _table.prepare(
            logits,
            target,
            activation="sigmoid" if self.hinge else "softmax",
            ignore_index=self.ignore_index,
            mask=mask,
            channels_last=self.channels_last,
            threads=threads,
        )
        table = sweep.target_counts()
        counts, shares = self._shares(table.target, table.valid)
        weights = counts.astype(float) if self.reduction == "none" else shares
        losses, gradient = sweep.lovasz(
            weights, hinge=self.hinge, exact=self.exact, return_grad=return_grad, out=out
        )
        if self.reduction == "none":
            return np.where(counts, losses, np.nan)
        value = float(sum_of(losses * shares, np))
        if self.empty == "nan" and counted(table) == 0:
            value = math.nan
        return (value, gradient) if return_grad else value

    def _shares(
        self, target: FloatArray, valid: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], FloatArray]:
        """Which classes count in a region (R, C), and their factors in the value."""
        if self.region == "batch":
            target, valid = target.sum(0, keepdims=True), valid.sum(keepdims=True)
        channels = target.shape[1]
        check_length("class_weight", self.class_weight, channels)
        if isinstance(self.classes, str):
            counts = target > 0 if self.classes == "present" else np.ones(target.shape, bool)
        else:
            outside = [k for k in self.classes if not 0 <= k < channels]
            if outside:
                raise ValueError(f"classes must be from 0 to {channels - 1}, got {outside[0]}")
            counts = np.zeros(target.shape, bool)
            counts[:, list(self.classes)] = True
        counts &= (valid > 0)[:, None]
        # The same from call to call, as a rule.
        pattern = counts.shape, counts.tobytes()
        shares = self._last.get(pattern)
        if shares is None:
            self._last.clear()
            shares = self._last[pattern] = self._shares_of(counts)
        return counts, shares

    @remembered
    def _last(self) -> dict[tuple[tuple[int, ...], bytes], FloatArray]:
        return {}

    def _shares_of(self, counts: NDArray[np.bool_]) -> FloatArray:
        shares = counts * (1.0 if self.class_weight is None else np.asarray(self.class_weight))
        if self.reduction == "mean":
            sums = (shares if self.normalise_weight else counts).sum(1, keepdims=True)
            shares = np.where(sums > 0, shares / np.where(sums > 0, sums, 1.0), 0.0)
            shares /= max(int((sums > 0).sum()), 1)
        return shares

    def error_formula(self) -> str:
        """Errors in words."""
        raise NotImplementedError

    def explain(self) -> str:
        regions = "samples" if self.region == "per_sample" else "the batch as one"
        if isinstance(self.classes, str):
            which = {"present": "classes in the target", "all": "all classes"}[self.classes]
        else:
            which = "classes " + ", ".join(map(str, self.classes))
        name, of = type(self).__name__, "the Lovász extension of 1 - jaccard at the errors"
        lines = [
            f"{name}: loss = {self.reduction} over {regions} and {which} of {of}",
            f"  {self.error_formula()}",
            "  extension = sum over pixels, largest error first, of error * growth of 1 - jaccard",
            f"  errors {'exact' if self.exact else 'in 65,536 levels: within 2^-17'}",
        ]
        if self.class_weight is not None:
            lines.append(f"  class_weight = {numbers_text(self.class_weight)}")
        if self.ignore_index is not None:
            lines.append(f"  left out: pixels of label {numbers_text(self.ignore_index)}")
        return "\n".join(lines)


@loss
class LovaszSoftmax(LovaszLoss):
    """Lovász-softmax loss as an object; options and definition as in :func:`lovasz_softmax`."""

    def error_formula(self) -> str:
        return "error = 1 - p where the class is true, else p; p = softmax(logits)"


@loss
class LovaszHinge(LovaszLoss):
    """Lovász hinge loss as an object; options and definition as in :func:`lovasz_hinge`."""

    classes: Which | Sequence[int] = "all"

    hinge: ClassVar[bool] = True

    def error_formula(self) -> str:
        return "error = max(0, 1 - logit) where the class is true, else max(0, 1 + logit)"


@dataclass(frozen=True, kw_only=True)
class HardPixels(Loss):
    """Cross entropy of the hardest pixels alone, which a subclass selects."""

    activation: Ranking = "softmax"
    normaliser: Share = "valid"
    class_weight: ClassWeight = None
    label_smoothing: float = 0.0
    ignore_index: int | Sequence[int] | None = None
    channels_last: bool = False
    reduction: Total = "mean"
    empty: Empty = "zero"
    preset: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, Ranking)
        check_choice("normaliser", self.normaliser, Share)
        check_choice("reduction", self.reduction, Total)
        object.__setattr__(self, "ignore_index", ignored_labels(self.ignore_index))
        self.cross_entropy("sum")  # checks what it shares
        weights = numbers_per_class("class_weight", self.class_weight)
        object.__setattr__(self, "class_weight", weights)

    def select(self, costs: FloatArray, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Pixels to keep, of those that count, by their costs."""
        raise NotImplementedError

    def norm(self, kept: int, counted: int, pixels: int) -> float:
        """What a mean divides by."""
        raise NotImplementedError

    def cross_entropy(self, reduction: Reduction) -> CrossEntropy:
        """Cross entropy with the options that it shares."""
        return CrossEntropy(
            activation=self.activation,
            class_weight=self.class_weight,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            channels_last=self.channels_last,
            reduction=reduction,
            empty=self.empty,
        )

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
        check_flag("return_grad", return_grad)
        x, labels = as_array(logits, "logits"), as_array(target, "target")
        channels = x.shape[-1 if self.channels_last else 1] if x.ndim > 1 else 1
        several = channels > 1 and (self.activation == "sigmoid" or labels.ndim == x.ndim)
        if labels.dtype.kind == "f" or several:
            raise ValueError(
                "the hardest pixels are those of one question per pixel: labels, with "
                "activation='softmax', or 'sigmoid' and a single channel"
            )
        costs = self._costs(x, labels, mask, pixel_weight, threads)
        counted = np.ones(costs.shape, bool)
        if self.ignore_index is not None:
            ignored = np.isin(labels, np.atleast_1d(self.ignore_index))
            counted &= ~ignored.reshape(costs.shape)
        if mask is not None:
            counted &= ~as_array(mask, "mask")
        kept = counted & self.select(costs, counted)
        norm = 1.0
        if self.reduction == "mean":
            norm = self.norm(int(kept.sum()), int(counted.sum()), costs.size)
        weight = np.ones(costs.shape) if pixel_weight is None else as_array(pixel_weight, "")
        return self.cross_entropy("sum")(
            x,
            labels,
            mask=~kept,
            pixel_weight=weight / norm if norm > 0 else 0.0 * weight,
            return_grad=return_grad,
            out=out,
            threads=threads,
        )

    def _costs(
        self, x: NDArray[Any], target: NDArray[Any], mask: Any, pixel_weight: Any, threads: int
    ) -> FloatArray:
        """Cost of every pixel; NaN costs most."""
        sweep = _table.prepare(
            x,
            target,
            activation=self.activation,
            ignore_index=self.ignore_index,
            mask=mask,
            pixel_weight=pixel_weight,
            channels_last=self.channels_last,
            pixel_terms=(PixelTerm("cross_entropy"),),
            threads=threads,
        )
        channels = sweep.logits.shape[1]
        check_length("class_weight", self.class_weight, channels)
        costs: NDArray[Any] = sweep.costs()
        label = None
        if channels > 1 and (self.label_smoothing or isinstance(self.class_weight, tuple)):
            label = np.clip(sweep.target, 0, channels - 1).astype(np.intp)
        if self.label_smoothing:
            costs = self._smoothed(costs, sweep, label)
        elif isinstance(self.class_weight, tuple) and label is not None:
            costs *= np.asarray(self.class_weight, costs.dtype)[label]
        if sweep.pixel_weight is not None:
            costs *= sweep.pixel_weight
        return np.where(np.isnan(costs), np.inf, costs)

    def _smoothed(
        self, costs: NDArray[Any], sweep: _table.Sweep, label: NDArray[np.intp] | None
    ) -> FloatArray:
        """Costs with smoothed labels, from those of the true class.

        -log p of two classes differ by what their logits do.
        """
        x, smoothing = sweep.logits, self.label_smoothing
        with np.errstate(invalid="ignore", over="ignore"):
            if label is None:
                score = as_float64(x[:, 0])
                return costs + smoothing / 2 * np.where(sweep.target > 0, score, -score)
            weight = np.ones(x.shape[1])
            if isinstance(self.class_weight, tuple):
                weight = np.asarray(self.class_weight)
            own = as_float64(np.take_along_axis(x, label[:, None], 1)[:, 0])
            total = weight.sum() * as_float64(costs)
            # Of differences, which keep their digits however far from 0 the logits are.
            for channel in np.flatnonzero(weight):
                total += weight[channel] * (own - as_float64(x[:, channel]))
            own_cost = np.where(weight[label] > 0, weight[label] * costs, 0.0)
            result: FloatArray = (1 - smoothing) * own_cost + smoothing / x.shape[1] * total
            return result

    def _explain(self, which: str) -> str:
        inner = self.cross_entropy("mean").explain().splitlines()[1:]
        return "\n".join([f"{type(self).__name__}: loss = {which}", *inner])


@loss
class TopK(HardPixels):
    """Cross entropy of the hardest share of the pixels as an object; as in :func:`top_k`."""

    fraction: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("fraction", self.fraction, 0.0, 1.0, above=True)

    def _number(self, counted: int, pixels: int) -> int:
        whole = counted if self.normaliser == "valid" else pixels
        # Shares as 0.1 are no binary numbers: 0.1 * 30 is 3 pixels all the same.
        return math.floor(self.fraction * whole * (1 + 1e-12))

    def select(self, costs: FloatArray, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        number = min(self._number(int(counted.sum()), costs.size), int(counted.sum()))
        flat = np.where(counted, costs, -np.inf).ravel()
        kept = np.zeros(flat.size, bool)
        if number:
            kth = np.partition(flat, flat.size - number)[flat.size - number]
            kept = flat > kth
            ties = np.flatnonzero(flat == kth)
            kept[ties[: number - int(kept.sum())]] = True
        return kept.reshape(costs.shape)

    def norm(self, kept: int, counted: int, pixels: int) -> float:  # noqa: ARG002  # as the base
        return float(self._number(counted, pixels))

    def explain(self) -> str:
        whole = "counted" if self.normaliser == "valid" else "all"
        return self._explain(
            f"{self.reduction} of -log(p_t) over the {self.fraction:g} of {whole} pixels "
            "where it is largest"
        )


@loss
class Ohem(HardPixels):
    """Online hard example mining as an object; options and definition as in :func:`ohem`."""

    threshold: float = 0.7
    least: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("threshold", self.threshold, 0.0, 1.0, above=True)
        if integer(self.least, "least") < 0:
            raise ValueError(f"least must be at least 0, got {self.least}")
        if self.class_weight is not None or self.label_smoothing:
            raise ValueError(
                "ohem selects by the probability of the true class: class_weight and "
                "label_smoothing have no place in it"
            )

    def _costs(
        self,
        x: NDArray[Any],
        target: NDArray[Any],
        mask: Any,
        pixel_weight: Any,  # noqa: ARG002  # makes no pixel less certain
        threads: int,
    ) -> FloatArray:
        return super()._costs(x, target, mask, None, threads)

    def select(self, costs: FloatArray, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        hard = counted & (costs > -math.log(self.threshold))
        if hard.sum() >= min(self.least, counted.sum()):
            return hard
        flat = np.where(counted, costs, -np.inf).ravel()
        number = min(self.least, int(counted.sum()))
        order = np.argsort(-flat, kind="stable")[:number]
        kept = np.zeros(flat.size, bool)
        kept[order] = True
        return kept.reshape(costs.shape)

    def norm(self, kept: int, counted: int, pixels: int) -> float:  # noqa: ARG002  # as the base
        return float(kept if self.normaliser == "valid" else pixels)

    def explain(self) -> str:
        least = f", or the {self.least} hardest if those are more" if self.least else ""
        norm = "" if self.normaliser == "valid" else ", divided by the number of all pixels"
        return self._explain(
            f"{self.reduction} of -log(p_t) over the pixels where p_t < {self.threshold:g}"
            f"{least}{norm}"
        )


__all__ = ["LovaszHinge", "LovaszSoftmax", "Ohem", "TopK"]
