"""Losses that are sums over pixels of a function of the probability of what is true."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np

from . import _table
from ._base import (
    ALL,
    Array,
    ClassWeight,
    Slopes,
    TableLoss,
    check_choice,
    check_flag,
    check_length,
    check_number,
    counted,
    if_any,
    loss,
    numbers_per_class,
    numbers_text,
    per_class,
    remembered,
    share,
    sum_of,
)
from ._table import PixelTerm

if TYPE_CHECKING:
    from ._table import SoftCounts, SoftCountsGradient

Normaliser = Literal["valid", "all", "weights"]


@dataclass(frozen=True, kw_only=True)
class PixelLoss(TableLoss):
    """A sum over pixels, and what it is divided by."""

    normaliser: Normaliser = "valid"
    divide_by_classes: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("normaliser", self.normaliser, Normaliser)
        if self.divide_by_classes is not None:
            check_flag("divide_by_classes", self.divide_by_classes)

    @remembered
    @abstractmethod
    def parts(self) -> tuple[tuple[float, PixelTerm], ...]:
        """Terms of the loss of a pixel, with their factors."""

    @remembered
    def terms(self) -> tuple[PixelTerm, ...]:
        return tuple(term for _, term in self.parts)

    @property
    def linear(self) -> bool:
        return True

    def one_vs_rest(self, channels: int) -> bool:
        """Whether every class is a question of its own, with a yes and a no."""
        return self.activation == "sigmoid" or (self.activation == "none" and channels == 1)

    def factors(self, channels: int, like: Array) -> tuple[Array, Array]:
        """Factors (K,) of the costs of a class where it is true, and where it is not."""
        weights = per_class(self.class_weight, self.chosen(channels), like)
        return weights, weights if self.one_vs_rest(channels) else 0.0 * weights

    @property
    def reads_target(self) -> bool:
        return self.reduction == "mean" and self.normaliser == "weights"

    def value(self, table: SoftCounts, xp: Any = np, *, pixels: int | None = None) -> Array:
        return self._mean(table, self._norm(table, pixels), xp)

    def _mean(self, table: SoftCounts, norm: Array, xp: Any) -> Array:
        value = share(self._total(table, xp), norm, xp)
        nothing = 0.0 if self.empty == "zero" else math.nan
        return if_any(counted(table), value, nothing, xp)

    def accumulate(
        self, table: SoftCounts, slopes: Slopes, weight: float = 1.0, *, pixels: int | None = None
    ) -> float:
        norm = self._norm(table, pixels)
        self._spread(table, slopes, weight, norm)
        return float(self._mean(table, norm, np))

    def gradient(self, table: SoftCounts, *, pixels: int | None = None) -> SoftCountsGradient:
        norm = self._norm(table, pixels)
        key = (table.terms.shape, norm)
        known, gradient = self.kept.get("gradient", (None, None))
        if not self.linear or known != key:
            slopes = Slopes(table)
            self._spread(table, slopes, 1.0, norm)
            gradient = slopes.gradient()
            for part in fields(gradient):
                getattr(
                    gradient, part.name
                ).flags.writeable = False  # it is given again to whoever asks next
            self.kept["gradient"] = key, gradient
        return cast("SoftCountsGradient", gradient)

    def _spread(self, table: SoftCounts, slopes: Slopes, weight: float, norm: Array) -> None:
        """Add the derivative times a weight to slopes."""
        slope = weight * share(1.0, norm, np)
        for name, values in self._of_sums(table)[0].items():
            slopes.add(name, slope * values, ALL)

    def _of_sums(self, table: SoftCounts) -> tuple[dict[str, Array], bool]:
        """Derivative of the sum over pixels by the terms of what is true, and of what is not.

        The same for all tables of a size. And whether no part of it is 0.
        """
        shape = table.terms.shape
        if shape in self.kept:
            return cast("tuple[dict[str, Array], bool]", self.kept[shape])
        channels = table.pred.shape[1]
        made = Slopes(table)
        factors = self._factors(channels, table.target, np)
        for (by_term, _), name in zip(factors, ("terms", "terms_negative"), strict=False):
            made.add(name, by_term, self.selection(channels), slice(len(by_term)))
        self.kept[shape] = made.parts, all(values.all() for values in made.parts.values())
        return cast("tuple[dict[str, Array], bool]", self.kept[shape])

    def _factors(self, channels: int, like: Array, xp: Any) -> list[tuple[Array, Array | None]]:
        """Factors (T, 1, K) of the terms and where they are 0, if anywhere.

        Of the terms of what is true and, where every class is a question, of what is not.
        """
        if xp is np and channels in self.kept:
            return cast("list[tuple[Array, Array | None]]", self.kept[channels])
        made = []
        for factors in self.factors(channels, like)[: 2 if self.one_vs_rest(channels) else 1]:
            by_term = xp.stack([part * factors for part, _ in self.parts])[:, None]
            nothing = by_term == 0
            made.append((by_term, None if xp is np and not nothing.any() else nothing))
        if xp is np:
            self.kept[channels] = made
        return made

    def _products(self, table: SoftCounts, xp: Any) -> list[Array]:
        """What the terms (T, N, K) cost, of what is true and of what is not."""
        channels = table.pred.shape[1]
        chosen = self.selection(channels)
        products = []
        made = self._factors(channels, table.target, xp)
        for (factors, nothing), terms in zip(
            made, (table.terms, table.terms_negative), strict=False
        ):
            sums = terms[: len(factors), :, chosen]
            if nothing is not None:  # takes a class out, whose costs may be infinite
                sums = xp.where(nothing, 0.0, sums)
            products.append(factors * sums)
        return products

    def _total(self, table: SoftCounts, xp: Any) -> Array:
        """What all costs in the end."""
        if xp is np:
            parts, everywhere = self._of_sums(table)
            if everywhere:  # else 0 times what is infinite is in the way
                costs = [sum_of(parts[name] * getattr(table, name), np) for name in parts]
                return costs[0] if len(costs) == 1 else costs[0] + costs[1]
        first, *others = [sum_of(costs, xp) for costs in self._products(table, xp)]
        return first + others[0] if others else first

    def _costs(self, table: SoftCounts, xp: Any) -> Array:
        """What the classes cost in every sample, (N, K)."""
        return sum(costs.sum(0) for costs in self._products(table, xp))

    def _norm(self, table: SoftCounts, pixels: int | None) -> Array:
        """What the sum over pixels is divided by."""
        channels = table.pred.shape[1]
        if self.reduction != "mean":
            return 1.0
        if self.normaliser == "weights":
            weights = per_class(self.class_weight, self.chosen(channels), table.target)
            if self.one_vs_rest(channels):
                return table.weight.sum() * weights.sum()
            return (weights * table.target[:, self.selection(channels)]).sum()
        if self.normaliser == "all":
            if pixels is None:
                raise ValueError("normaliser='all' needs the number of all pixels")
            norm = float(pixels)
        else:
            valid = counted(table)
            norm = float(valid) if isinstance(valid, int) else valid.to(table.target.dtype)
        return norm * len(self.chosen(channels)) if self._per_class(channels) else norm

    def _per_class(self, channels: int) -> bool:
        """Whether a mean is over pixels and classes."""
        if self.divide_by_classes is None:
            return self.one_vs_rest(channels)
        return self.divide_by_classes

    def unreduced(self, sweep: dict[str, Any]) -> Array:
        """Cost of every pixel, (N, *spatial), or of every pixel and class if those are apart.

        Every pixel is a sample of its own here: for looking at, not for speed.
        """
        logits, target = sweep["logits"], sweep["target"]
        if not self.channels_last:
            axis = 1 if target.ndim == logits.ndim else target.ndim
            target = np.moveaxis(target, 1, -1) if axis == 1 else target
            logits = np.moveaxis(logits, 1, -1)
        channels = logits.shape[-1]
        if target.ndim == logits.ndim and target.shape == logits.shape:
            target = target.reshape(-1, channels, 1)
        else:
            target = target.reshape(-1, 1)
        flat: dict[str, Any] = {**sweep, "channels_last": False, "target": target}
        flat["logits"] = logits.reshape(-1, channels, 1)
        for name in ("mask", "pixel_weight"):
            if sweep[name] is not None:
                flat[name] = np.asarray(sweep[name]).reshape(-1, 1)
        costs = self._costs(_table.soft_counts(**flat, pixel_terms=self.terms), np)
        if not self.one_vs_rest(channels):
            return costs.sum(1).reshape(logits.shape[:-1])
        costs = costs.reshape(*logits.shape[:-1], -1)
        return costs if self.channels_last else np.moveaxis(costs, -1, 1)

    # In words.

    @abstractmethod
    def pixel_formula(self) -> str:
        """Cost of a pixel, in words."""

    def reduced_formula(self) -> str:
        if self.reduction == "none":
            return f"{self.pixel_formula()}, pixel by pixel"
        if self.reduction == "sum":
            return f"sum over pixels of {self.pixel_formula()}"
        norm = {
            "valid": "number of counted pixels",
            "all": "number of all pixels, those left out too",
            "weights": "sum of the weights of the counted pixels",
        }[self.normaliser]
        times = " and classes" if self._per_class(2) and self.normaliser != "weights" else ""
        return f"sum over pixels of {self.pixel_formula()} / {norm}{times}"

    def formulas(self) -> list[str]:
        if self.activation == "sigmoid":
            return ["p_t = p where the class is true, 1 - p where it is not; summed over classes"]
        return ["p_t = probability of the true class"]


@loss
class CrossEntropy(PixelLoss):
    """Cross entropy as an object; options and definition as in :func:`cross_entropy`."""

    label_smoothing: float = 0.0
    positive_weight: ClassWeight = None
    exponent: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("label_smoothing", self.label_smoothing, 0.0, 1.0)
        check_number("exponent", self.exponent, above=True)
        self._store(positive_weight=numbers_per_class("positive_weight", self.positive_weight))
        if self.positive_weight is not None and self.activation == "softmax":
            raise ValueError(
                "positive_weight is for activation='sigmoid', where a class has positives and "
                "negatives; with softmax use class_weight"
            )

    @remembered
    def parts(self) -> tuple[tuple[float, PixelTerm], ...]:
        if self.exponent == 1:
            return ((1.0, PixelTerm("cross_entropy")),)
        return ((1.0, PixelTerm("power_cross_entropy", self.exponent)),)

    def check_channels(self, number: int) -> None:
        super().check_channels(number)
        check_length("positive_weight", self.positive_weight, number)

    def factors(self, channels: int, like: Array) -> tuple[Array, Array]:
        positive, negative = super().factors(channels, like)
        return positive * per_class(self.positive_weight, self.chosen(channels), like), negative

    def for_target(self, soft: bool) -> Self:
        if soft and self.preset == "torch" and self.activation == "softmax":
            return replace(self, normaliser="valid")  # torch divides by pixels then
        return self

    def pixel_formula(self) -> str:
        return "-log(p_t)" if self.exponent == 1 else f"(-log(p_t))^{self.exponent:g}"

    def formulas(self) -> list[str]:
        lines = super().formulas()
        if self.label_smoothing:
            among = "2" if self.activation == "sigmoid" else "C"
            e = self.label_smoothing
            lines.append(
                f"y is smoothed to {1 - e:g} y + {e:g} / {among}, and the costs weigh by y"
            )
        if self.positive_weight is not None:
            lines.append(f"positives times {numbers_text(self.positive_weight)}")
        return lines


@loss
class Focal(PixelLoss):
    """Focal loss as an object; options and definition as in :func:`focal`."""

    gamma: float = 2.0
    alpha: ClassWeight = None
    threshold: float | None = None
    normalised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("gamma", self.gamma)
        check_flag("normalised", self.normalised)
        if self.threshold is not None:
            check_number("threshold", self.threshold, 0.0, 1.0, above=True)
        if self.normalised and (self.threshold is not None or self.gamma == 0):
            raise ValueError("normalised needs gamma above 0 and no threshold")
        if self.normalised and self.reduction != "mean":
            raise ValueError("normalised is a kind of mean: it needs reduction='mean'")
        self._store(alpha=numbers_per_class("alpha", self.alpha))
        if isinstance(self.alpha, float):
            check_number("alpha", self.alpha, 0.0, 1.0)

    @remembered
    def parts(self) -> tuple[tuple[float, PixelTerm], ...]:
        if self.threshold is None:
            return ((1.0, PixelTerm("focal", self.gamma)),)
        return ((1.0, PixelTerm("reduced_focal", self.gamma, self.threshold)),)

    @remembered
    def terms(self) -> tuple[PixelTerm, ...]:
        weight = (PixelTerm("poly", self.gamma),) if self.normalised else ()
        return tuple(term for _, term in self.parts) + weight

    @property
    def linear(self) -> bool:
        return not self.normalised

    def check_channels(self, number: int) -> None:
        super().check_channels(number)
        check_length("alpha", self.alpha, number)

    def _per_class(self, channels: int) -> bool:
        if self.strict and self.preset == "monai" and self.ignore_index is not None:
            return False  # its mask has one channel, which it counts
        return super()._per_class(channels)

    def factors(self, channels: int, like: Array) -> tuple[Array, Array]:
        positive, negative = super().factors(channels, like)
        chosen, alpha = self.chosen(channels), self.alpha
        if isinstance(alpha, float):
            if self.one_vs_rest(channels):
                return alpha * positive, (1.0 - alpha) * negative
            alpha = (1.0 - alpha, *[alpha] * (channels - 1))
        return positive * per_class(alpha, chosen, like), negative

    def _norm(self, table: SoftCounts, pixels: int | None) -> Array:
        if not self.normalised:
            return super()._norm(table, pixels)
        return self._focal_weights(table).sum()

    def _focal_weights(self, table: SoftCounts) -> Array:
        channels = table.pred.shape[1]
        chosen = self.selection(channels)
        weights = table.terms[1][:, chosen]
        return (
            weights + table.terms_negative[1][:, chosen] if self.one_vs_rest(channels) else weights
        )

    def _spread(self, table: SoftCounts, slopes: Slopes, weight: float, norm: Array) -> None:
        super()._spread(table, slopes, weight, norm)
        if self.normalised:
            slope = -weight * share(share(self._total(table, np), norm, np), norm, np)
            channels = table.pred.shape[1]
            for name in ("terms", "terms_negative")[: 2 if self.one_vs_rest(channels) else 1]:
                slopes.add(name, slope, self.selection(channels), slice(1, 2))

    def pixel_formula(self) -> str:
        factor = "f" if self.threshold is not None else f"(1 - p_t)^{self.gamma:g}"
        return f"{'' if self.alpha is None else 'a '}{factor} * -log(p_t)"

    def reduced_formula(self) -> str:
        if not self.normalised:
            return super().reduced_formula()
        return f"sum of {self.pixel_formula()} / sum of (1 - p_t)^{self.gamma:g}, over pixels"

    def formulas(self) -> list[str]:
        lines = super().formulas()
        if self.threshold is not None:
            t = f"{self.threshold:g}"
            lines.append(f"f = ((1 - p_t) / {t})^{self.gamma:g} where p_t >= {t}, else 1")
        if isinstance(self.alpha, float):
            true, other = f"{self.alpha:g}", f"{1 - self.alpha:g}"
            if self.activation == "sigmoid":
                lines.append(f"a = {true} for positives, {other} for negatives")
            else:
                lines.append(f"a = {other} for class 0, {true} for the others")
        elif self.alpha is not None:
            lines.append(f"a = {numbers_text(self.alpha)} by class")
        return lines


@loss
class Poly(PixelLoss):
    """Poly-1 loss as an object; options and definition as in :func:`poly`."""

    epsilon: float = 1.0
    gamma: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("epsilon", self.epsilon, -1.0)
        check_number("gamma", self.gamma)

    @remembered
    def parts(self) -> tuple[tuple[float, PixelTerm], ...]:
        kind = PixelTerm("focal", self.gamma) if self.gamma else PixelTerm("cross_entropy")
        return (1.0, kind), (self.epsilon, PixelTerm("poly", self.gamma + 1.0))

    def pixel_formula(self) -> str:
        focal = f"(1 - p_t)^{self.gamma:g} * " if self.gamma else ""
        power = f"^{self.gamma + 1:g}" if self.gamma else ""
        return f"({focal}-log(p_t) + {self.epsilon:g} (1 - p_t){power})"


@loss
class GeneralisedCrossEntropy(PixelLoss):
    """Generalised cross entropy as an object; see :func:`generalised_cross_entropy`."""

    q: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("q", self.q, 0.0, 1.0, above=True)

    @remembered
    def parts(self) -> tuple[tuple[float, PixelTerm], ...]:
        return ((1.0, PixelTerm("generalised", self.q)),)

    def pixel_formula(self) -> str:
        return f"(1 - p_t^{self.q:g}) / {self.q:g}"


__all__ = ["CrossEntropy", "Focal", "GeneralisedCrossEntropy", "Poly"]
