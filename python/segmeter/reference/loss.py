"""Losses straight from their definitions, pixel by pixel in float64: what is meant by correct.

No table of sums, no formula of a gradient: a loss is written as its paper writes it, on arrays of
probabilities and targets, and its gradient is the *complex step* derivative, which is exact to
rounding as nothing is subtracted: the imaginary part of f(x + i h) / h with h = 1e-30. It takes an
evaluation per logit: for small arrays.
"""

from __future__ import annotations

from copy import copy
from fractions import Fraction
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._floats import as_float64
from .loss_table import dense_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[Any]
    Places = NDArray[np.intp]
    Options = dict[str, Any]

STEP = 1e-30

INPUTS: dict[str, Any] = {
    "activation": "softmax",
    "ignore_index": None,
    "classes": None,
    "include_background": True,
    "class_weight": None,
    "channels_last": False,
    "reduction": "mean",
    "empty": "zero",
}
REGION: dict[str, Any] = {
    "region": "per_sample",
    "average": "macro",
    "absent": "score",
    "normalise_weight": True,
}
RATIO: dict[str, Any] = {
    **REGION,
    "smooth_nr": 1e-5,
    "smooth_dr": 1e-5,
    "eps": 0.0,
    "soft_label": False,
}
PIXEL: dict[str, Any] = {"normaliser": "valid", "divide_by_classes": None, "label_smoothing": 0.0}


# --- activations, and powers, that take a complex step


class Event(NamedTuple):
    """Something with probability p: p itself, 1 - p and log p, none of them from the others.

    Of a probability that is 0 in float64 there still is the logarithm.
    """

    p: Values
    rest: Values
    log_p: Values

    def where(self, condition: Any) -> Event:
        """Where the condition holds; elsewhere an event of even chances, for what has no weight."""
        even = (0.5, 0.5, np.log(0.5))
        return Event(*(np.where(condition, *each) for each in zip(self, even, strict=True)))

    def of(self, classes: list[int]) -> Event:
        """The events of some classes."""
        return Event(*(one[:, classes] for one in self))


def log1p(x: Values) -> Values:
    """log (1 + x) of values at least 0, with the complex step times its slope."""
    result: Values = np.log1p(x.real) + 1j * x.imag / (1.0 + x.real)
    return result


def softmax(x: Values) -> Event:
    """Events of the classes on axis 1."""
    z = x - x.real.max(axis=1, keepdims=True)
    e = np.exp(z)
    others = np.stack([np.delete(e, k, axis=1).sum(axis=1) for k in range(e.shape[1])], axis=1)
    s = e.sum(axis=1, keepdims=True)
    top = np.argmax(z.real, axis=1)[:, None]
    largest, e_largest, beside = (np.take_along_axis(a, top, axis=1) for a in (z, e, others))
    return Event(e / s, others / s, z - largest - log1p(beside / e_largest))


def sigmoid(x: Values) -> tuple[Event, Event]:
    """The event of every logit, and that it does not happen."""
    positive = x.real >= 0
    small = np.exp(np.where(positive, -x, x))
    near, far = 1.0 / (1.0 + small), small / (1.0 + small)
    p, rest = np.where(positive, near, far), np.where(positive, far, near)
    log_p = np.where(positive, 0.0, x) - log1p(small)
    log_rest = np.where(positive, -x, 0.0) - log1p(small)
    return Event(p, rest, log_p), Event(rest, p, log_rest)


def chances(p: Values) -> tuple[Event, Event]:
    """Events of given probabilities, and that they do not happen."""
    with np.errstate(divide="ignore"):
        return Event(p, 1 - p, np.log(p)), Event(1 - p, p, np.log(1 - p))


def power(base: Values, exponent: float) -> Values:
    """``base ** exponent`` for bases of at least 0; no slope at 0 unless the exponent is 1."""
    if exponent == 1:
        return base
    positive = base.real > 0
    raised = np.exp(exponent * np.log(np.where(positive, base, 1.0)))
    return np.where(positive, raised, 1.0 if exponent == 0 else 0.0)


def absolute(values: Values) -> Values:
    """|values|, with no slope at 0."""
    result: Values = np.sign(values.real) * values
    return result


# --- the frame: what is counted, and what a loss is of


class Pixels:
    """Events and targets y (N, C, P), weights w (N, P) and which pixels count (N, P)."""

    def __init__(
        self, logits: Values, target: Values, weight: Values, counted: Values, o: Options
    ) -> None:
        x = np.where(counted[:, None], logits, 0.5)
        if o["activation"] == "softmax":
            self.yes = softmax(x)
        else:
            self.yes, self.no = sigmoid(x) if o["activation"] == "sigmoid" else chances(x)
        self.p = self.yes.p
        self.y, self.w, self.counted = target, weight, counted
        number = logits.shape[1]
        first = 0 if o["include_background"] else 1
        self.classes = list(o["classes"] or range(first, number))
        weights = 1.0 if o["class_weight"] is None else o["class_weight"]
        self.class_weight = np.broadcast_to(np.asarray(weights, float), number)
        self.one_vs_rest = o["activation"] == "sigmoid" or (
            o["activation"] == "none" and number == 1
        )


def twin(**options: Any) -> Callable[[Callable[[Pixels, Options], Any]], Callable[..., Any]]:
    """Make the function of a loss from its definition and the defaults of its options."""

    def make(definition: Callable[[Pixels, Options], Any]) -> Callable[..., Any]:
        @wraps(definition)
        def function(
            logits: ArrayLike,
            target: ArrayLike,
            *,
            mask: ArrayLike | None = None,
            pixel_weight: ArrayLike | None = None,
            return_grad: bool = False,
            **given: Any,
        ) -> Any:
            known = {**INPUTS, **options}
            if set(given) - set(known):
                raise TypeError(f"unknown options {sorted(set(given) - set(known))}")
            o = {**known, **given}
            x, y = np.asarray(logits), np.asarray(target)
            if o["channels_last"]:
                x = np.moveaxis(x, -1, 1)
                y = np.moveaxis(y, -1, 1) if y.ndim == x.ndim else y
            shape = x.shape
            counted = np.ones((shape[0], *shape[2:]), bool)
            if o["ignore_index"] is not None:
                counted &= ~np.isin(y, o["ignore_index"])
            if mask is not None:
                counted &= ~np.asarray(mask)
            w = np.ones(counted.shape) if pixel_weight is None else np.asarray(pixel_weight, float)
            start = as_float64(x).reshape(*shape[:2], -1)
            truth = dense_target(y, shape).reshape(start.shape)
            weight = np.where(counted, w, 0.0).reshape(shape[0], -1)

            def value(at: Values) -> Any:
                return definition(Pixels(at, truth, weight, counted.reshape(shape[0], -1), o), o)

            result = np.real(value(start.astype(complex)))
            result = float(result) if o["reduction"] != "none" else result
            if not return_grad:
                return result
            gradient = np.zeros(start.shape)
            for index in np.ndindex(*gradient.shape):
                moved = start.astype(complex)
                moved[index] += 1j * STEP
                gradient[index] = np.imag(value(moved)) / STEP
            gradient = gradient.reshape(shape)
            return result, np.moveaxis(gradient, 1, -1) if o["channels_last"] else gradient

        return function

    return make


# --- losses of regions


def of_regions(
    pixels: Pixels, o: Options, loss: Callable[[Values, Values, Values, Options], Any]
) -> Any:
    """Losses of every region and class, each from its own pixels, and their mean."""
    samples = [np.flatnonzero(kept) for kept in pixels.counted]
    every = range(len(samples))
    regions = [[n] for n in every] if o["region"] == "per_sample" else [list(every)]
    rows, shares = [], []
    for region in regions:
        if not sum(samples[n].size for n in region):
            continue  # no pixel counts: no loss

        def flat(array: Values, region: list[int] = region) -> Values:
            return np.concatenate([array[n][samples[n]] for n in region])

        p = [flat(pixels.p[:, k]) for k in pixels.classes]
        y = [flat(pixels.y[:, k]) for k in pixels.classes]
        w = flat(pixels.w)
        u = pixels.class_weight[pixels.classes]
        if "class_size" in o:  # generalised Dice: one score, classes weigh by their size
            sizes = np.array([(w * one).sum() for one in y])
            exponent = {"square": 2, "simple": 1, "uniform": 0}[o["class_size"]]
            weights = np.array([size**-exponent if size > 0 else 0.0 for size in sizes])
            u = u * np.where(sizes > 0, weights, weights.max() if exponent else 1.0)
        if o["average"] == "micro" or "class_size" in o:
            together = np.concatenate([factor * w for factor in u])
            rows.append([loss(np.concatenate(p), np.concatenate(y), together, o)])
            shares.append(np.ones(1))
            continue
        sizes = np.array([(w * one).sum() for one in y])
        losses = [loss(one, yes, w, o) for one, yes in zip(p, y, strict=True)]
        share = sizes if o["average"] == "weighted" else np.ones(len(losses))
        if o["absent"] == "skip":
            share = share * (sizes > 0)
        if o["absent"] == "zero":
            losses = [one * (size > 0) for one, size in zip(losses, sizes, strict=True)]
        if not o["normalise_weight"] or o["reduction"] == "sum":
            losses = [factor * one for factor, one in zip(u, losses, strict=True)]
        else:
            share = share * u
        rows.append(losses)
        shares.append(share)
    if o["reduction"] == "none":
        return np.array(rows)
    if not rows:
        return 0.0 if o["empty"] == "zero" else np.nan
    if o["reduction"] == "sum":
        return sum(np.dot(share, row) for share, row in zip(shares, rows, strict=True))
    means = [np.dot(s, row) / s.sum() for s, row in zip(shares, rows, strict=True) if s.sum() > 0]
    return sum(means) / len(means) if means else 0.0


def overlap(p: Values, y: Values, w: Values, o: Options) -> Any:
    """What is in both: the sum of p y, or for soft labels (|p| + |y| - |p - y|) / 2."""
    return (w * ((p + y - absolute(p - y)) / 2 if o["soft_label"] else p * y)).sum()


def ratio(numerator: Any, denominator: Any, o: Options) -> Any:
    """The quotient with its constants."""
    numerator, denominator = numerator + o["smooth_nr"], denominator + o["smooth_dr"]
    if denominator.real < o["eps"]:
        denominator = o["eps"]
    return 1.0 if denominator == 0 else numerator / denominator


def dice_score(p: Values, y: Values, w: Values, o: Options) -> Any:
    """Soft Dice of one class."""
    exponent = 2 if o.get("squared") else 1
    return ratio(2 * overlap(p, y, w, o), (w * (p**exponent + y**exponent)).sum(), o)


def jaccard_score(p: Values, y: Values, w: Values, o: Options) -> Any:
    """Soft Jaccard of one class."""
    exponent, both = 2 if o["squared"] else 1, overlap(p, y, w, o)
    return ratio(both, (w * (p**exponent + y**exponent)).sum() - both, o)


def tversky_score(p: Values, y: Values, w: Values, o: Options) -> Any:
    """Tversky index of one class."""
    both = overlap(p, y, w, o)
    missed, invented = (w * y).sum() - both, (w * p).sum() - both
    return ratio(both, both + o["alpha"] * invented + o["beta"] * missed, o)


@twin(**RATIO, squared=False, complement=True)
def dice(pixels: Pixels, o: Options) -> Any:
    """Soft Dice loss."""
    one = 1.0 if o["complement"] else 0.0
    return of_regions(pixels, o, lambda p, y, w, o: one - dice_score(p, y, w, o))


@twin(**{**RATIO, "soft_label": True}, squared=False, complement=True)
def dice_metric(pixels: Pixels, o: Options) -> Any:
    """Dice semimetric loss."""
    one = 1.0 if o["complement"] else 0.0
    return of_regions(pixels, o, lambda p, y, w, o: one - dice_score(p, y, w, o))


@twin(**RATIO, squared=False, complement=True, gamma=1.0, floor=1e-7)
def log_dice(pixels: Pixels, o: Options) -> Any:
    """Logarithm of the soft Dice."""

    def loss(p: Values, y: Values, w: Values, o: Options) -> Any:
        score = dice_score(p, y, w, o)
        score = score if np.real(score) > o["floor"] else o["floor"]
        return power(np.asarray(-np.log(score)), o["gamma"])[()]

    return of_regions(pixels, o, loss)


@twin(**RATIO, squared=False)
def jaccard(pixels: Pixels, o: Options) -> Any:
    """Soft Jaccard loss."""
    return of_regions(pixels, o, lambda p, y, w, o: 1 - jaccard_score(p, y, w, o))


@twin(**{**RATIO, "soft_label": True}, squared=False)
def jaccard_metric(pixels: Pixels, o: Options) -> Any:
    """Jaccard metric loss."""
    return of_regions(pixels, o, lambda p, y, w, o: 1 - jaccard_score(p, y, w, o))


@twin(**RATIO, alpha=0.5, beta=0.5)
def tversky(pixels: Pixels, o: Options) -> Any:
    """Tversky loss."""
    return of_regions(pixels, o, lambda p, y, w, o: 1 - tversky_score(p, y, w, o))


@twin(**RATIO, alpha=0.5, beta=0.5, gamma=0.75, power_of_mean=False)
def focal_tversky(pixels: Pixels, o: Options) -> Any:
    """Focal Tversky loss."""
    inner, outer = (1.0, o["gamma"]) if o["power_of_mean"] else (o["gamma"], 1.0)

    def loss(p: Values, y: Values, w: Values, o: Options) -> Any:
        return power(np.asarray(1 - tversky_score(p, y, w, o)), inner)[()]

    return power(np.asarray(of_regions(pixels, o, loss)), outer)


@twin(**RATIO, class_size="square")
def generalised_dice(pixels: Pixels, o: Options) -> Any:
    """Generalised Dice loss."""
    return of_regions(pixels, o, lambda p, y, w, o: 1 - dice_score(p, y, w, o))


@twin(**REGION, smooth_nr=0.0, smooth_dr=1e-5, pseudo_count=0.0)
def matthews_corrcoef(pixels: Pixels, o: Options) -> Any:
    """Loss of Matthews' correlation coefficient."""

    def loss(p: Values, y: Values, w: Values, o: Options) -> Any:
        e = o["pseudo_count"]
        tp, fp = (w * p * y).sum() + e, (w * p * (1 - y)).sum() + e
        fn, tn = (w * (1 - p) * y).sum() + e, (w * (1 - p) * (1 - y)).sum() + e
        if fp == e and fn == e:
            return 0.0
        square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn) + o["smooth_dr"]
        return 1 - (tp * tn - fp * fn + o["smooth_nr"]) / np.sqrt(square) if square != 0 else 1.0

    return of_regions(pixels, o, loss)


@twin(**REGION, sensitivity_weight=0.05, squared=True, smooth=1e-5)
def sensitivity_specificity(pixels: Pixels, o: Options) -> Any:
    """Sensitivity-specificity loss."""

    def loss(p: Values, y: Values, w: Values, o: Options) -> Any:
        exponent, r = 2 if o["squared"] else 1, o["sensitivity_weight"]
        inside = (w * y * (1 - p) ** exponent).sum() / ((w * y).sum() + o["smooth"])
        outside = (w * (1 - y) * p**exponent).sum() / ((w * (1 - y)).sum() + o["smooth"])
        return r * inside + (1 - r) * outside

    return of_regions(pixels, o, loss)


# --- losses of pixels


def of_pixels(
    pixels: Pixels,
    o: Options,
    cost: Callable[[Event], Values],
    positive: Any = 1.0,
    negative: Any = 1.0,
) -> Any:
    """Costs of what is true at every pixel, with factors per class, and their mean."""
    chosen, kept = pixels.classes, pixels.counted[:, None]
    smoothing = o["label_smoothing"]
    among = 2 if pixels.one_vs_rest else pixels.p.shape[1]
    y = ((1 - smoothing) * pixels.y + smoothing / among)[:, chosen]
    yes, w = pixels.yes.of(chosen), pixels.w[:, None]
    u = pixels.class_weight[chosen][:, None]
    positive = u * np.broadcast_to(positive, pixels.class_weight.shape)[chosen][:, None]
    negative = u * np.broadcast_to(negative, pixels.class_weight.shape)[chosen][:, None]
    y_or_none = np.where(positive * y * kept > 0, y, 0.0)
    costs = w * positive * y_or_none * cost(yes.where(y_or_none > 0))
    if pixels.one_vs_rest:
        no = pixels.no.of(chosen)
        costs = costs + w * negative * (1 - y) * cost(no.where((1 - y) * kept > 0))
    if o["reduction"] == "none":
        return costs if pixels.one_vs_rest else costs.sum(1)
    if not pixels.counted.any():
        return 0.0 if o["empty"] == "zero" else np.nan
    if o["reduction"] == "sum":
        return costs.sum()
    if o.get("normalised"):
        norm = (w * y * power(yes.rest, o["gamma"])).sum()
        if pixels.one_vs_rest:
            norm += (w * (1 - y) * power(yes.p, o["gamma"])).sum()
        return costs.sum() / norm
    if o["normaliser"] == "weights":
        true = np.ones_like(y) if pixels.one_vs_rest else pixels.y[:, chosen]
        norm = (w * u * true).sum()
        return costs.sum() / norm if norm else 0.0
    number = pixels.counted.sum() if o["normaliser"] == "valid" else pixels.counted.size
    by_class = pixels.one_vs_rest if o["divide_by_classes"] is None else o["divide_by_classes"]
    return costs.sum() / (number * (len(chosen) if by_class else 1))


@twin(**PIXEL, positive_weight=1.0, exponent=1.0)
def cross_entropy(pixels: Pixels, o: Options) -> Any:
    """Cross entropy."""
    return of_pixels(pixels, o, lambda one: power(-one.log_p, o["exponent"]), o["positive_weight"])


@twin(**PIXEL, gamma=2.0, alpha=None, threshold=None, normalised=False)
def focal(pixels: Pixels, o: Options) -> Any:
    """Focal loss."""

    def cost(one: Event) -> Values:
        factor = power(one.rest, o["gamma"])
        if o["threshold"] is not None:
            reduced = power(one.rest / o["threshold"], o["gamma"])
            factor = np.where(one.p.real < o["threshold"], 1.0, reduced)
        result: Values = -factor * one.log_p
        return result

    alpha, number = o["alpha"], len(pixels.class_weight)
    positive: Any = 1.0 if alpha is None else alpha
    negative: Any = 1.0
    if alpha is not None and np.ndim(alpha) == 0:
        if pixels.one_vs_rest:
            negative = 1.0 - alpha
        else:
            positive = [1.0 - alpha, *[alpha] * (number - 1)]
    return of_pixels(pixels, o, cost, positive, negative)


@twin(**PIXEL, epsilon=1.0, gamma=0.0)
def poly(pixels: Pixels, o: Options) -> Any:
    """Poly-1 loss."""
    gamma = o["gamma"]

    def cost(one: Event) -> Values:
        added = o["epsilon"] * power(one.rest, gamma + 1)
        result: Values = added - power(one.rest, gamma) * one.log_p
        return result

    return of_pixels(pixels, o, cost)


@twin(**PIXEL, q=0.7)
def generalised_cross_entropy(pixels: Pixels, o: Options) -> Any:
    """Generalised cross entropy."""
    return of_pixels(pixels, o, lambda one: (1 - np.exp(o["q"] * one.log_p)) / o["q"])


# --- losses of the hardest pixels


HARD: dict[str, Any] = {
    "activation": "softmax",
    "normaliser": "valid",
    "label_smoothing": 0.0,
}


def of_hardest(
    pixels: Pixels, o: Options, select: Callable[[Pixels, Values, int], tuple[Places, float]]
) -> Any:
    """Costs of the pixels that are selected of the counted ones, and their mean.

    ``select`` takes the pixels, the costs of the counted ones and how many a share is of, and
    gives the places of those that are kept, and what a mean divides by.
    """
    costs = costs_of(pixels, o)
    whole = costs.size if o["normaliser"] == "valid" else pixels.counted.size
    kept, norm = select(pixels, costs, whole)
    if not kept.size:
        return 0.0 if o["empty"] == "zero" else np.nan
    return costs[kept].sum() / (norm if o["reduction"] == "mean" else 1.0)


def costs_of(pixels: Pixels, o: Options) -> Values:
    """Cross entropy of every counted pixel."""
    costs = of_pixels(pixels, {**o, "reduction": "none"}, lambda one: -one.log_p)
    counted: Values = costs.reshape(pixels.counted.shape)[pixels.counted]
    return counted


def hardest_first(costs: Values) -> Places:
    """Places of the costs from the largest, of equal ones from the first."""
    return np.argsort(-costs.real, kind="stable")


@twin(**HARD, fraction=0.1)
def top_k(pixels: Pixels, o: Options) -> Any:
    """Cross entropy of the hardest share of the pixels."""

    def select(_: Pixels, costs: Values, whole: int) -> tuple[Places, float]:
        number = int(Fraction(str(o["fraction"])) * whole)  # as it is written: 0.1 is a tenth
        return hardest_first(costs)[:number], number

    return of_hardest(pixels, o, select)


@twin(**HARD, threshold=0.7, least=0)
def ohem(pixels: Pixels, o: Options) -> Any:
    """Cross entropy of the pixels that are not certain enough."""

    def select(pixels: Pixels, _: Values, whole: int) -> tuple[Places, float]:
        alike = copy(pixels)
        alike.w = np.ones_like(pixels.w)  # a weight makes no pixel less certain
        costs = costs_of(alike, o)
        hard = costs.real > -np.log(o["threshold"])  # p below it, also of a p that rounds to 1
        number = max(int(hard.sum()), o["least"])
        kept = hardest_first(costs)[:number]
        return kept, kept.size if o["normaliser"] == "valid" else whole

    return of_hardest(pixels, o, select)
