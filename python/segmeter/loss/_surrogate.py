"""Losses that rank pixels: Lovász extensions, the hardest pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from .._arrays import as_array, integer
from ..reference.loss_lovasz import lovasz_jaccard
from ..reference.loss_table import as_float64, dense_target, like, probabilities
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
    loss,
    numbers_per_class,
    numbers_text,
)
from ._pixel import CrossEntropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Region = Literal["per_sample", "batch"]
Which = Literal["present", "all"]


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

    sweep_activation: ClassVar[Literal["softmax", "sigmoid"]] = "softmax"

    def __post_init__(self) -> None:
        check_choice("region", self.region, Region)
        check_choice("reduction", self.reduction, Reduction)
        check_choice("empty", self.empty, Empty)
        for name in ("normalise_weight", "exact", "channels_last", "strict"):
            check_flag(name, getattr(self, name))
        if isinstance(self.classes, str):
            check_choice("classes", self.classes, Which)
        else:
            object.__setattr__(self, "classes", class_numbers(self.classes))
        weights = numbers_per_class("class_weight", self.class_weight)
        object.__setattr__(self, "class_weight", weights)

    def errors(self, x: FloatArray, truth: NDArray[np.bool_]) -> FloatArray:
        """Error of every class at every pixel, (N, C, ...)."""
        raise NotImplementedError

    def slopes(self, by_error: FloatArray, x: FloatArray, truth: NDArray[np.bool_]) -> FloatArray:
        """Derivative by the logits from that by the errors."""
        raise NotImplementedError

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
        array, labels = as_array(logits, "logits"), as_array(target, "target")
        x, truth, counted = self._pixels(array, labels, mask, threads)
        losses, shares, slopes = self._evaluate(x, truth, counted)
        if self.reduction == "none":
            return losses
        value = float(np.nansum(losses * shares))
        if not counted.any() and self.empty == "nan":
            value = math.nan
        if not return_grad:
            return value
        gradient = self.slopes(slopes, x, truth) * counted[:, None]
        gradient = np.moveaxis(gradient, 1, -1) if self.channels_last else gradient
        if out is None:
            return value, like(gradient, array.dtype)
        out[...] = like(gradient, array.dtype)
        return value, out

    def _pixels(
        self, logits: NDArray[Any], target: NDArray[Any], mask: Any, threads: int
    ) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """Logits (N, C, ...), which class is true, and which pixels count (N, ...)."""
        if target.dtype.kind == "f":
            raise TypeError("a Lovász loss needs labels: target must be of an integer type")
        table = _table.soft_counts(  # checks shapes, labels and options
            logits,
            target,
            activation=self.sweep_activation,
            ignore_index=self.ignore_index,
            mask=mask,
            channels_last=self.channels_last,
            threads=threads,
        )
        channels = table.pred.shape[1]
        check_length("class_weight", self.class_weight, channels)
        chosen = () if isinstance(self.classes, str) else self.classes
        outside = [k for k in chosen if not 0 <= k < channels]
        if outside:
            raise ValueError(f"classes must be from 0 to {channels - 1}, got {outside[0]}")
        x = as_float64(logits)
        x = np.moveaxis(x, -1, 1) if self.channels_last else x
        if self.channels_last and target.ndim == x.ndim:
            target = np.moveaxis(target, -1, 1)
        counted = np.ones((x.shape[0], *x.shape[2:]), bool)
        if self.ignore_index is not None:
            counted &= ~np.isin(target, np.atleast_1d(self.ignore_index)).reshape(counted.shape)
        if mask is not None:
            counted &= ~as_array(mask, "mask")
        dense = target.ndim == x.ndim and channels > 1
        labels = target if dense else np.where(counted, target.reshape(counted.shape), 0)
        truth = dense_target(labels, x.shape) > 0
        return np.where(counted[:, None], x, 0.0), truth, counted

    def _evaluate(
        self, x: FloatArray, truth: NDArray[np.bool_], counted: NDArray[np.bool_]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Losses (R, C), their shares in the value, and slopes by the errors."""
        errors = self.errors(x, truth)
        samples, channels = x.shape[:2]
        regions = [[n] for n in range(samples)]
        if self.region == "batch":
            regions = [list(range(samples))]
        losses = np.full((len(regions), channels), np.nan)
        weights = np.ones(channels) * (1.0 if self.class_weight is None else self.class_weight)
        shares, wholes = np.zeros_like(losses), np.zeros_like(losses)
        slopes = np.zeros_like(x)
        for r, region in enumerate(regions):
            kept = counted[region]
            if not kept.any():
                continue
            for k in range(channels):
                yes = truth[region, k][kept]
                if not self._counts(k, yes):
                    continue
                losses[r, k], slope = lovasz_jaccard(errors[region, k][kept], yes)
                shares[r, k] = weights[k]
                wholes[r, k] = weights[k] if self.normalise_weight else 1.0
                for n, part in zip(
                    region,
                    np.split(slope, np.cumsum([counted[n].sum() for n in region])[:-1]),
                    strict=True,
                ):
                    slopes[n, k][counted[n]] = part
        if self.reduction == "mean":
            sums = wholes.sum(1, keepdims=True)
            shares = np.where(sums > 0, shares / np.where(sums > 0, sums, 1.0), 0.0)
            shares /= max(int((sums > 0).sum()), 1)
        region_of = np.zeros(samples, int) if self.region == "batch" else np.arange(samples)
        factors = shares[region_of].reshape(samples, channels, *[1] * (x.ndim - 2))
        return losses, shares, slopes * factors

    def _counts(self, k: int, yes: NDArray[np.bool_]) -> bool:
        """Whether a class counts in a region."""
        if self.classes == "present":
            return bool(yes.any())
        return self.classes == "all" or k in self.classes

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
            f"  errors {'exact' if self.exact else 'in 65,536 levels: within 1e-6'}",
        ]
        if self.class_weight is not None:
            lines.append(f"  class_weight = {numbers_text(self.class_weight)}")
        if self.ignore_index is not None:
            lines.append(f"  left out: pixels of label {numbers_text(self.ignore_index)}")
        return "\n".join(lines)


@loss
class LovaszSoftmax(LovaszLoss):
    """Lovász-softmax loss as an object; options and definition as in :func:`lovasz_softmax`."""

    def errors(self, x: FloatArray, truth: NDArray[np.bool_]) -> FloatArray:
        p, rest, _, _ = probabilities(x, "softmax")
        return np.where(truth, rest, p)

    def slopes(self, by_error: FloatArray, x: FloatArray, truth: NDArray[np.bool_]) -> FloatArray:
        p, _, _, _ = probabilities(x, "softmax")
        by_p = np.where(truth, -by_error, by_error)
        result: FloatArray = p * (by_p - (p * by_p).sum(1, keepdims=True))
        return result

    def error_formula(self) -> str:
        return "error = 1 - p where the class is true, else p; p = softmax(logits)"


@loss
class LovaszHinge(LovaszLoss):
    """Lovász hinge loss as an object; options and definition as in :func:`lovasz_hinge`."""

    classes: Which | Sequence[int] = "all"

    sweep_activation: ClassVar[Literal["softmax", "sigmoid"]] = "sigmoid"

    def errors(self, x: FloatArray, truth: NDArray[np.bool_]) -> FloatArray:
        return np.maximum(1.0 - np.where(truth, x, -x), 0.0)

    def slopes(self, by_error: FloatArray, x: FloatArray, truth: NDArray[np.bool_]) -> FloatArray:
        return np.where(self.errors(x, truth) > 0, np.where(truth, -by_error, by_error), 0.0)

    def error_formula(self) -> str:
        return "error = max(0, 1 - logit) where the class is true, else max(0, 1 + logit)"


@dataclass(frozen=True, kw_only=True)
class HardPixels(Loss):
    """Cross entropy of the hardest pixels alone, which a subclass selects."""

    activation: Literal["softmax", "sigmoid"] = "softmax"
    normaliser: Literal["valid", "all"] = "valid"
    class_weight: ClassWeight = None
    label_smoothing: float = 0.0
    ignore_index: int | Sequence[int] | None = None
    channels_last: bool = False
    reduction: Literal["mean", "sum"] = "mean"
    empty: Empty = "zero"
    preset: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, Literal["softmax", "sigmoid"])
        check_choice("normaliser", self.normaliser, Literal["valid", "all"])
        check_choice("reduction", self.reduction, Literal["mean", "sum"])
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
        if labels.dtype.kind == "f" or (self.activation == "sigmoid" and channels > 1):
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
        """Cost of every pixel, a sample at a time; NaN costs most."""
        every, parts = self.cross_entropy("none"), []
        for n in range(x.shape[0] if x.ndim else 0):
            one = slice(n, n + 1)
            costs = every(
                x[one],
                target[one],
                mask=None if mask is None else as_array(mask, "mask")[one],
                pixel_weight=None if pixel_weight is None else as_array(pixel_weight, "")[one],
                threads=threads,
            )
            spatial = x.shape[1:-1] if self.channels_last else x.shape[2:]
            parts.append(np.asarray(costs).reshape(1, *spatial))
        if not parts:
            return np.zeros((0, *x.shape[2:]))
        costs = np.concatenate(parts)
        result: FloatArray = np.where(np.isnan(costs), np.inf, costs)
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
