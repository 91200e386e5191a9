"""The table of soft counts in plain torch: any device, any derivative, no one-hot map.

The same sums as :func:`segmeter.loss.soft_counts` makes, of differentiable operations. Labels are
looked up (`gather`) and booked (`scatter_add`), so that nothing larger than the logits is made.
Logits of half precision are computed in float32; sums are float64 where the device has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..loss import SoftCounts
from ._require import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..loss import PixelTerm

    Tensor = Any

# Sums of a class are spread over so many cells, lest all threads of a GPU queue for one.
_CELLS = 64


class Probabilities(NamedTuple):
    """What terms are functions of: p, 1 - p and log p, each without cancellation."""

    p: Tensor
    rest: Tensor
    log_p: Tensor

    def of_rest(self, log_rest: Tensor) -> Probabilities:
        """The same for the opposite event."""
        return Probabilities(self.rest, self.p, log_rest)


def soft_counts(
    logits: Tensor,
    target: Tensor,
    *,
    activation: str = "softmax",
    ignored: Sequence[int] = (),
    mask: Tensor | None = None,
    pixel_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    pixel_terms: Sequence[PixelTerm] = (),
    squares: bool = False,
    overlap: bool = False,
) -> SoftCounts:
    """Give the table, of tensors on the device of the logits.

    Parameters
    ----------
    logits : torch.Tensor of float, shape (N, C, ...)
    target : torch.Tensor, shape (N, ...) of labels, or (N, C, ...) of shares
    ignored : sequence of int
        Labels whose pixels are left out.
    activation, mask, pixel_weight, label_smoothing, pixel_terms, squares
        As in :func:`segmeter.loss.soft_counts`.
    overlap : bool, default False
        Whether sums of min(p, y) stand for those of p y, of shares.

    Returns
    -------
    SoftCounts
        A label out of range makes the sums NaN: to look for one would make a GPU wait.
    """
    pixels = Pixels(logits, target, activation, ignored, mask, pixel_weight)
    positive, negative = pixels.terms(pixel_terms, label_smoothing)
    intersection, pred, pred_squared = pixels.products(squares, overlap)
    ones = pixels.target_sums()
    return SoftCounts(
        intersection=intersection,
        pred=pred,
        pred_squared=pred_squared,
        target=ones[0],
        target_squared=ones[1],
        terms=positive,
        terms_negative=negative,
        valid=pixels.valid,
        weight=pixels.weight,
    )


class Pixels:
    """Logits ``x (N, C, P)``, labels ``t (N, P)`` or shares ``y (N, C, P)``, weights ``w (N, P)``.

    Pixels that are left out have weight 0, and their logits are 0: whatever stood there reaches
    neither value nor gradient.
    """

    def __init__(
        self,
        logits: Tensor,
        target: Tensor,
        activation: str,
        ignored: Sequence[int],
        mask: Tensor | None,
        pixel_weight: Tensor | None,
    ) -> None:
        x = logits if logits.dtype == torch.float64 else logits.float()
        x = x.flatten(2) if x.ndim > 2 else x[..., None]
        samples, self.channels, size = x.shape
        self.activation = activation
        self.sums = torch.float32 if x.device.type == "mps" else torch.float64
        labels = target.ndim < logits.ndim or (
            self.channels == 1 and not target.is_floating_point()
        )
        left_out = None if mask is None else mask.reshape(samples, size)
        w = None if pixel_weight is None else pixel_weight.reshape(samples, size).to(x.dtype)
        if labels:
            t = target.reshape(samples, size).long()
            for label in ignored:
                same = t == label
                left_out = same if left_out is None else left_out | same
        counted = None if left_out is None else ~left_out
        if counted is not None:
            x = torch.where(counted[:, None], x, 0.0)
            w = counted.to(x.dtype) if w is None else torch.where(counted, w, 0.0)
        self.labels = self.t = self.y = None
        if labels:
            t = t if counted is None else torch.where(counted, t, 0)
            wrong = (t < 0) | (t >= max(self.channels, 2))
            x = torch.where(wrong[:, None], torch.nan, x)
            self.labels = t = torch.where(wrong, 0, t)
            if self.channels == 1:
                self.y = t[:, None].to(x.dtype)
            else:
                self.t = t
        else:
            y = target.reshape(x.shape).to(x.dtype)
            self.y = y if counted is None else torch.where(counted[:, None], y, 0.0)
        self.x, self.w, self.counted = x, w, counted

    @property
    def valid(self) -> Tensor:
        if self.counted is None:
            return torch.full((len(self.x),), self.x.shape[2], device=self.x.device)
        return self.counted.sum(1)

    @property
    def weight(self) -> Tensor:
        return self.valid.to(self.sums) if self.w is None else self.w.sum(1, dtype=self.sums)

    # --- sums -------------------------------------------------------------------------------------

    def total(self, values: Tensor) -> Tensor:
        """Weighted sums over the pixels of values of every class, (N, C)."""
        if self.w is not None:
            values = _product(self.w[:, None], values)
        return values.sum(2, dtype=self.sums)

    def booked(self, values: Tensor) -> Tensor:
        """Weighted sums over the pixels of one value each, under the pixel's label, (N, C)."""
        assert self.t is not None
        if self.w is not None:
            values = _product(self.w, values)
        size = self.t.shape[1]
        spread = max(1, min(_CELLS, size))
        cell = torch.arange(size, device=self.t.device) % spread
        cells = values.new_zeros((len(values), self.channels * spread), dtype=self.sums)
        cells = cells.scatter_add(1, self.t * spread + cell, values.to(self.sums))
        return cells.unflatten(1, (self.channels, spread)).sum(2)

    def at_target(self, values: Tensor) -> Tensor:
        """The values of the class that is true at each pixel, (N, P)."""
        assert self.t is not None
        return values.gather(1, self.t[:, None])[:, 0]

    def beside_target(self, values: Tensor) -> Tensor:
        """The values, 0 for the class that is true at the pixel."""
        assert self.t is not None
        return values.scatter(1, self.t[:, None], 0.0)

    # --- probabilities ----------------------------------------------------------------------------

    def probability(self) -> Tensor:
        """p of every class, (N, C, P)."""
        if self.activation == "softmax":
            return self.x.softmax(1)
        return self.x.sigmoid() if self.activation == "sigmoid" else self.x

    def of_target(self) -> Probabilities:
        """Of the class that is true at each pixel, (N, P)."""
        if self.activation != "softmax":
            return _each(self.at_target(self.x), self.activation)
        assert self.t is not None
        others = self.x.scatter(1, self.t[:, None], -torch.inf)
        # What is common to all logits goes first: it would take the digits of their difference.
        # Probabilities do not depend on it, so that it has no slope.
        common = others.detach().amax(1)
        common = torch.where(common.isfinite(), common, 0.0)
        others = (others - common[:, None]).logsumexp(1)
        return _each(self.at_target(self.x) - common - others, "sigmoid")

    def of_all(self) -> Probabilities:
        """Of every class, (N, C, P)."""
        if self.activation != "softmax":
            return _each(self.x, self.activation)
        log_p = self.x.log_softmax(1)
        return Probabilities(log_p.exp(), -torch.expm1(log_p), log_p)

    # --- the table --------------------------------------------------------------------------------

    def target_sums(self) -> tuple[Tensor, Tensor]:
        if self.y is not None:
            return self.total(self.y), self.total(self.y * self.y)
        ones = torch.ones_like(self.t, dtype=self.x.dtype)
        booked = self.booked(ones)
        return booked, booked

    def products(self, squares: bool, overlap: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of p y or min(p, y), of p, and of p^2 if asked for."""
        p = self.probability()
        if self.y is None:
            hit = self.booked(self.at_target(p))
        else:
            hit = self.total(torch.minimum(p, self.y) if overlap else p * self.y)
        pred = self.total(p)
        return hit, pred, self.total(p * p) if squares else torch.zeros_like(pred)

    def terms(self, terms: Sequence[PixelTerm], label_smoothing: float) -> tuple[Tensor, Tensor]:
        """Sums of the terms under the true class, and of those of every other class."""
        none = self.x.new_zeros((0, len(self.x), self.channels), dtype=self.sums)
        if not terms:
            return none, none
        if self.t is None or label_smoothing > 0:
            sums = self._dense_terms(terms, label_smoothing)
        else:
            sums = self._label_terms(terms)
        positive, negative = zip(*sums, strict=True)
        return torch.stack(positive), torch.stack(negative)

    def _label_terms(self, terms: Sequence[PixelTerm]) -> list[tuple[Tensor, Tensor]]:
        one = self.of_target()
        positive = [self.booked(term_value(term, one)) for term in terms]
        if self.activation == "softmax":
            return [(value, torch.zeros_like(value)) for value in positive]
        rest = _opposite(self.x, self.activation)
        negative = [self.total(self.beside_target(term_value(term, rest))) for term in terms]
        return list(zip(positive, negative, strict=True))

    def _dense_terms(
        self, terms: Sequence[PixelTerm], label_smoothing: float
    ) -> list[tuple[Tensor, Tensor]]:
        share = self.y
        if share is None:
            assert self.t is not None
            share = torch.zeros_like(self.x).scatter(1, self.t[:, None], 1.0)
        apart = self.activation == "sigmoid" or (self.activation == "none" and self.channels == 1)
        among = 2 if apart else self.channels
        share = (1.0 - label_smoothing) * share + label_smoothing / among
        each = self.of_all()
        positive = [self.total(_product(share, term_value(term, each))) for term in terms]
        if self.activation == "softmax":
            return [(value, torch.zeros_like(value)) for value in positive]
        rest = _opposite(self.x, self.activation)
        negative = [self.total(_product(1.0 - share, term_value(term, rest))) for term in terms]
        return list(zip(positive, negative, strict=True))


def _each(x: Tensor, activation: str) -> Probabilities:
    """Probabilities of logits one by one, or of what is a probability already."""
    if activation == "none":
        return Probabilities(x, 1.0 - x, x.log())
    return Probabilities(x.sigmoid(), (-x).sigmoid(), torch.nn.functional.logsigmoid(x))


def _opposite(x: Tensor, activation: str) -> Probabilities:
    if activation == "none":
        return Probabilities(1.0 - x, x, torch.log1p(-x))
    return _each(-x, activation)


def _product(share: Tensor, value: Tensor) -> Tensor:
    """``share * value``, with nothing of what is infinite being nothing."""
    nothing = share == 0.0
    return torch.where(nothing, 0.0, share * torch.where(nothing, 0.0, value))


def term_value(term: PixelTerm, of: Probabilities) -> Tensor:
    """f(p) of a term: as :class:`segmeter.loss.PixelTerm` defines it."""
    exponent = term.parameter
    if term.kind == "cross_entropy":
        return -of.log_p
    if term.kind == "generalised":
        return -torch.expm1(exponent * of.log_p) / exponent
    if term.kind == "power_cross_entropy":
        return _power(-of.log_p, exponent)
    if term.kind == "poly":
        return _power(of.rest, exponent)
    # At p = 0 what is infinite is log p alone: the factor is 1, and its slope times p is nothing.
    rest = torch.where(of.p == 0.0, 1.0, of.rest)
    if term.kind == "focal":
        return _power(rest, exponent) * -of.log_p
    scale = _power(rest / term.threshold, exponent)
    return torch.where(of.p < term.threshold, 1.0, scale) * -of.log_p


def _power(base: Tensor, exponent: float) -> Tensor:
    """``base ** exponent`` with no slope at 0, where below 1 it would have no bound."""
    if exponent == 0.0:
        return torch.ones_like(base)
    if exponent == 1.0:
        return base
    if exponent >= 2.0:
        return base**exponent
    nothing = base == 0.0
    return torch.where(nothing, 0.0, torch.where(nothing, 1.0, base) ** exponent)
