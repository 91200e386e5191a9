"""Dice, Jaccard, Tversky and their kin: each a score of the sums per region and class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ._base import Array, Slopes, check_choice, check_flag, check_number, loss, remembered, share
from ._region_base import RatioLoss, RegionLoss, Sums
from ._table import PixelTerm

if TYPE_CHECKING:
    from ._table import SoftCounts

ClassSize = Literal["square", "simple", "uniform"]


@loss
class Dice(RatioLoss):
    """Soft Dice loss as an object; options and definition as in :func:`dice`."""

    squared: bool = False
    complement: bool = True

    score_name: ClassVar[str] = "dice"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("squared", self.squared)
        check_flag("complement", self.complement)

    @property
    def squares(self) -> bool:
        return self.squared

    def parts(self, sums: Sums) -> tuple[Array, Array]:
        if self.squared:
            return 2.0 * sums["intersection"], sums["pred_squared"] + sums["target_squared"]
        return 2.0 * sums["intersection"], sums["pred"] + sums["target"]

    @property
    def offset(self) -> float | None:
        return 1.0 if self.complement else 0.0

    def loss_of(self, score: Array, xp: Any) -> Array:  # noqa: ARG002  # of the base
        return 1.0 - score if self.complement else -score

    def loss_formula(self) -> str:
        return "1 - dice" if self.complement else "-dice"

    def formulas(self) -> list[str]:
        sizes = "sum(p^2) + sum(y^2)" if self.squared else "sum(p) + sum(y)"
        return [f"dice = {self.ratio(f'2 {self.overlap()}', sizes)}"]


@loss
class DiceMetric(Dice):
    """Dice semimetric loss as an object; options and definition as in :func:`dice_metric`."""

    soft_label: bool = True


@loss
class LogDice(Dice):
    """Logarithm of the soft Dice as an object; options and definition as in :func:`log_dice`."""

    gamma: float = 1.0
    floor: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("gamma", self.gamma, above=True)
        check_number("floor", self.floor, 0.0, 1.0, above=True)

    @property
    def offset(self) -> float | None:
        return None

    def loss_of(self, score: Array, xp: Any) -> Array:
        return _power(-xp.log(xp.clip(score, self.floor, None)), self.gamma, xp)

    def loss_slope(self, score: Array) -> Array:
        bounded = np.maximum(score, self.floor)
        slope = -_power_slope(-np.log(bounded), self.gamma) / bounded
        return np.where(score < self.floor, 0.0, slope)

    def loss_formula(self) -> str:
        return "-log(dice)" if self.gamma == 1 else f"(-log(dice))^{self.gamma:g}"


@loss
class Jaccard(RatioLoss):
    """Soft Jaccard (IoU) loss as an object; options and definition as in :func:`jaccard`."""

    squared: bool = False

    score_name: ClassVar[str] = "jaccard"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_flag("squared", self.squared)

    @property
    def squares(self) -> bool:
        return self.squared

    def parts(self, sums: Sums) -> tuple[Array, Array]:
        both = sums["intersection"]
        if self.squared:
            return both, sums["pred_squared"] + sums["target_squared"] - both
        return both, sums["pred"] + sums["target"] - both

    def formulas(self) -> list[str]:
        sizes = "sum(p^2) + sum(y^2)" if self.squared else "sum(p) + sum(y)"
        both = self.overlap()
        return [f"jaccard = {self.ratio(both, f'{sizes} - {both}')}"]


@loss
class JaccardMetric(Jaccard):
    """Jaccard metric loss as an object; options and definition as in :func:`jaccard_metric`."""

    soft_label: bool = True


@loss
class Tversky(RatioLoss):
    """Tversky loss as an object; options and definition as in :func:`tversky`."""

    alpha: float = 0.5
    beta: float = 0.5

    score_name: ClassVar[str] = "tversky"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha)
        check_number("beta", self.beta)

    def parts(self, sums: Sums) -> tuple[Array, Array]:
        both = sums["intersection"]
        false_positive, false_negative = sums["pred"] - both, sums["target"] - both
        alpha, beta = self._weights_of_errors()
        return both, both + alpha * false_positive + beta * false_negative

    def _weights_of_errors(self) -> tuple[float, float]:
        """Weights of false positives and of false negatives."""
        swapped = self.strict and self.preset == "keras"
        return (self.beta, self.alpha) if swapped else (self.alpha, self.beta)

    def formulas(self) -> list[str]:
        both = self.overlap()
        alpha, beta = self._weights_of_errors()
        below = f"TP + {alpha:g} FP + {beta:g} FN"
        return [
            f"tversky = {self.ratio('TP', below)}",
            f"TP = {both}; FP = sum(p) - TP; FN = sum(y) - TP",
        ]


@loss
class FocalTversky(Tversky):
    """Focal Tversky loss as an object; options and definition as in :func:`focal_tversky`."""

    gamma: float = 0.75
    power_of_mean: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("gamma", self.gamma, above=True)
        check_flag("power_of_mean", self.power_of_mean)

    @property
    def offset(self) -> float | None:
        return 1.0 if self.power_of_mean else None

    def loss_of(self, score: Array, xp: Any) -> Array:
        return 1.0 - score if self.power_of_mean else _power(1.0 - score, self.gamma, xp)

    def loss_slope(self, score: Array) -> Array:
        if self.power_of_mean:
            return -1.0
        return -_power_slope(1.0 - score, self.gamma)

    def total(self, mean: Array, xp: Any) -> Array:
        return _power(mean, self.gamma, xp) if self.power_of_mean else mean

    def total_slope(self, mean: float) -> float:
        return float(_power_slope(np.asarray(mean), self.gamma)) if self.power_of_mean else 1.0

    def loss_formula(self) -> str:
        return "1 - tversky" if self.power_of_mean else f"(1 - tversky)^{self.gamma:g}"

    def reduced_formula(self) -> str:
        formula = super().reduced_formula()
        return f"({formula})^{self.gamma:g}" if self.power_of_mean else formula


@loss
class GeneralisedDice(RatioLoss):
    """Generalised Dice loss as an object; options and definition as in :func:`generalised_dice`."""

    class_size: ClassSize = "square"

    score_name: ClassVar[str] = "dice"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("class_size", self.class_size, ClassSize)
        if self.average == "weighted":
            raise ValueError("average has no meaning here: all classes go into one score")

    @property
    def pooled(self) -> bool:
        return True

    def pooling(self, sums: Sums, xp: Any) -> Array:
        size = sums["target"]
        weights = super().pooling(sums, xp)
        if self.class_size == "uniform":
            return weights + 0.0 * size
        inverse = share(1.0, size * size if self.class_size == "square" else size, xp)
        largest = xp.amax(inverse, 1, keepdims=True)
        return weights * xp.where(size > 0, inverse, largest)

    def parts(self, sums: Sums) -> tuple[Array, Array]:
        return 2.0 * sums["intersection"], sums["pred"] + sums["target"]

    def formulas(self) -> list[str]:
        weight = {"square": "1 / sum(y)^2", "simple": "1 / sum(y)", "uniform": "1"}
        absent = "" if self.class_size == "uniform" else ", that of the smallest class if absent"
        ratio = self.ratio(f"2 sum_c(w {self.overlap()})", "sum_c(w (sum(p) + sum(y)))")
        return [f"dice = {ratio}", f"w = {weight[self.class_size]} of class c{absent}"]


@loss
class MatthewsCorrcoef(RegionLoss):
    """Loss of the MCC as an object; options and definition as in :func:`matthews_corrcoef`."""

    smooth_nr: float = 0.0
    smooth_dr: float = 1e-5
    pseudo_count: float = 0.0

    score_name: ClassVar[str] = "mcc"
    reads_weight: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("smooth_nr", "smooth_dr", "pseudo_count"):
            check_number(name, getattr(self, name))

    def _counts(self, sums: Sums) -> tuple[Array, Array, Array, Array]:
        """TP, TP + FP, TP + FN and all pixels, with the pseudo count in each of the four cells."""
        e = self.pseudo_count
        pred, target = sums["pred"] + 2 * e, sums["target"] + 2 * e
        return sums["intersection"] + e, pred, target, sums["weight"] + 4 * e

    def _square(self, sums: Sums) -> Array:
        """Square of the denominator."""
        _, pred, target, whole = self._counts(sums)
        return pred * target * (whole - pred) * (whole - target) + self.smooth_dr

    def _perfect(self, sums: Sums, xp: Any) -> Array:
        """Whether no pixel is wrong, which is 1 where the formula is 0 / 0 too."""
        both, pred, target, _ = self._counts(sums)
        return xp.logical_and(pred == both, target == both)

    def score(self, sums: Sums, xp: Any) -> Array:
        both, pred, target, whole = self._counts(sums)
        square = self._square(sums)
        undefined = square <= 0
        root = xp.sqrt(xp.where(undefined, 1.0, square))
        mcc = (both * whole - pred * target + self.smooth_nr) / root
        return xp.where(self._perfect(sums, xp), 1.0, xp.where(undefined, 0.0, mcc))

    def score_slopes(self, sums: Sums) -> Sums:
        _, pred, target, whole = self._counts(sums)
        square = self._square(sums)
        flat = (square <= 0) | self._perfect(sums, np)
        inverse = np.where(flat, 0.0, 1.0 / np.sqrt(np.where(flat, 1.0, square)))
        growth = target * (whole - target) * (whole - 2.0 * pred)
        by_pred = -target * inverse - 0.5 * self.score(sums, np) * growth * inverse * inverse
        return {"intersection": whole * inverse, "pred": by_pred}

    def formulas(self) -> list[str]:
        above = "TP TN - FP FN" + (f" + {self.smooth_nr:g}" if self.smooth_nr else "")
        below = "(TP+FP) (TP+FN) (TN+FP) (TN+FN)"
        below += f" + {self.smooth_dr:g}" if self.smooth_dr else ""
        lines = [f"mcc = ({above}) / sqrt({below})", "TP = sum(p y), and so on"]
        if self.pseudo_count:
            lines.append(f"{self.pseudo_count:g} is added to each of TP, FP, FN and TN")
        return lines


@loss
class SensitivitySpecificity(RegionLoss):
    """Sensitivity-specificity loss as an object; see :func:`sensitivity_specificity`."""

    sensitivity_weight: float = 0.05
    squared: bool = True
    smooth: float = 1e-5

    score_name: ClassVar[str] = "score"
    reads_weight: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("sensitivity_weight", self.sensitivity_weight, 0.0, 1.0)
        check_flag("squared", self.squared)
        check_number("smooth", self.smooth)

    @remembered
    def terms(self) -> tuple[PixelTerm, ...]:
        return (PixelTerm("poly", 2.0),) if self.squared else ()

    @property
    def squares(self) -> bool:
        return self.squared and self.activation == "softmax"

    def read(self, table: SoftCounts) -> Sums:
        if not self.squared:
            missed, invented = table.target - table.intersection, table.pred - table.intersection
        elif self.activation == "softmax":
            missed = table.terms[0]  # sum(y (1 - p)^2), from which sum(y p^2) follows
            found = missed - table.target + 2.0 * table.intersection
            invented = table.pred_squared - found
        else:
            missed, invented = table.terms[0], table.terms_negative[0]
        return {"target": table.target, "missed": missed, "invented": invented}

    def book(self, by_sums: Sums, slopes: Slopes, chosen: slice | list[int]) -> None:
        missed, invented = by_sums["missed"], by_sums["invented"]
        if not self.squared:
            slopes.add("intersection", -(missed + invented), chosen)
            slopes.add("pred", invented, chosen)
        elif self.activation == "softmax":
            slopes.add("terms", missed - invented, chosen, slice(1))
            slopes.add("intersection", -2.0 * invented, chosen)
            slopes.add("pred_squared", invented, chosen)
        else:
            slopes.add("terms", missed, chosen, slice(1))
            slopes.add("terms_negative", invented, chosen, slice(1))

    def _inverses(self, sums: Sums, xp: Any) -> tuple[Array, Array]:
        inside, outside = sums["target"], sums["weight"] - sums["target"]
        weight = self.sensitivity_weight
        # Both sums are of rounded numbers: what is left of them is no pixel.
        outside = xp.where(outside <= 1e-12 * sums["weight"], math.inf, outside)
        return (
            share(weight, inside + self.smooth, xp),
            share(1.0 - weight, outside + self.smooth, xp),
        )

    def score(self, sums: Sums, xp: Any) -> Array:
        by_missed, by_invented = self._inverses(sums, xp)
        return 1.0 - by_missed * sums["missed"] - by_invented * sums["invented"]

    def score_slopes(self, sums: Sums) -> Sums:
        by_missed, by_invented = self._inverses(sums, np)
        return {"missed": -by_missed, "invented": -by_invented}

    def loss_formula(self) -> str:
        weight, power = self.sensitivity_weight, "^2" if self.squared else ""
        smooth = f" + {self.smooth:g}" if self.smooth else ""
        return (
            f"{weight:g} sum(y (1 - p){power}) / (sum(y){smooth}) + "
            f"{1 - weight:g} sum((1 - y) p{power}) / (sum(1 - y){smooth})"
        )

    def formulas(self) -> list[str]:
        return []


def _power(values: Array, exponent: float, xp: Any) -> Array:
    """``values ** exponent``, 0 at and below 0, whose slope there is no NaN."""
    if exponent == 1.0:
        return values
    positive = values > 0
    return xp.where(positive, xp.where(positive, values, 1.0) ** exponent, 0.0 * values)


def _power_slope(values: Array, exponent: float) -> Array:
    if exponent == 1.0:
        return np.ones_like(values)
    positive = values > 0
    base = np.where(positive, values, 1.0)
    return np.where(positive, exponent * base ** (exponent - 1.0), 0.0 * values)


__all__ = [
    "Dice",
    "DiceMetric",
    "FocalTversky",
    "GeneralisedDice",
    "Jaccard",
    "JaccardMetric",
    "LogDice",
    "MatthewsCorrcoef",
    "SensitivitySpecificity",
    "Tversky",
]
