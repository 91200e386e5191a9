"""The table that every loss is a formula of, its derivative, and the sweeps that make both.

One sweep over the logits gives a few sums per sample and class. A loss is a formula of these sums;
its gradient with respect to the logits is a second sweep that takes the derivative of the formula
by each entry of the table.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from math import inf, prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self, get_args

import numpy as np

from .. import _core
from .._arrays import as_array, integer, real_number, thread_limit
from .._counts import Summable, require_counts
from ._buffers import gradient_buffer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

Activation = Literal["softmax", "sigmoid", "none"]
TermKind = Literal[
    "cross_entropy", "focal", "reduced_focal", "poly", "generalised", "power_cross_entropy"
]

_PARAMETER = {
    "focal": "gamma",
    "reduced_focal": "gamma",
    "poly": "exponent",
    "generalised": "q",
    "power_cross_entropy": "exponent",
}


@dataclass(frozen=True, slots=True)
class PixelTerm:
    """A function f(p) of the probability of what is true at a pixel, to be summed over pixels.

    Parameters
    ----------
    kind : str
        ``"cross_entropy"``: -log p. ``"focal"``: (1 - p)^parameter * -log p.
        ``"reduced_focal"``: -log p where p < threshold, else ((1 - p) / threshold)^parameter *
        -log p. ``"poly"``: (1 - p)^parameter. ``"generalised"``: (1 - p^parameter) / parameter.
        ``"power_cross_entropy"``: (-log p)^parameter.
    parameter : float, default 1.0
        Exponent; positive, for ``"focal"`` and ``"reduced_focal"`` not negative. Without meaning
        for ``"cross_entropy"``.
    threshold : float, default 0.5
        Of ``"reduced_focal"``, in (0, 1].

    Raises
    ------
    ValueError
        If ``kind`` is unknown, or ``parameter`` or ``threshold`` is out of range.

    Examples
    --------
    >>> PixelTerm("focal", 2.0)
    PixelTerm(kind='focal', parameter=2.0, threshold=0.5)
    """

    kind: TermKind
    parameter: float = 1.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in get_args(TermKind):
            raise ValueError(
                f"kind must be one of {', '.join(get_args(TermKind))}, got {self.kind!r}"
            )
        for name in ("parameter", "threshold"):
            real_number(getattr(self, name), name)
        may_be_zero = self.kind in ("focal", "reduced_focal")
        if not (0.0 < self.parameter < inf or (may_be_zero and self.parameter == 0.0)):
            name = _PARAMETER.get(self.kind, "parameter")
            bound = "not negative" if may_be_zero else "positive"
            raise ValueError(
                f"parameter ({name}) of {self.kind} must be {bound}, got {self.parameter}"
            )
        if not 0.0 < self.threshold <= 1.0:
            raise ValueError(f"threshold must be in (0, 1], got {self.threshold}")


@dataclass(frozen=True, eq=False, slots=True)
class SoftCounts(Summable):
    """Sums per sample and class over the counted pixels: all that a loss needs to know.

    p is the probability of a class at a pixel, y what is true there (1 or 0, or a soft label), w
    the weight of the pixel. Tables of the same shape add up, so that a batch Dice over many
    machines is a sum of tables.

    Parameters
    ----------
    intersection, pred, target : ndarray of float64, shape (N, C)
        Sums of w p y, of w p and of w y.
    pred_squared, target_squared : ndarray of float64, shape (N, C)
        Sums of w p^2 (zeros unless asked for with ``squares``) and of w y^2.
    terms : ndarray of float64, shape (T, N, C)
        Sums of w y f_t(p): with one label per pixel, what pixels of that class cost. With
        ``label_smoothing`` y is the smoothed label here, and here only.
    terms_negative : ndarray of float64, shape (T, N, C)
        Sums of w (1 - y) f_t(1 - p), for activations ``"sigmoid"`` and ``"none"``, where each class
        is a question of its own; zeros for ``"softmax"``.
    valid : ndarray of int64, shape (N,)
        Counted pixels.
    weight : ndarray of float64, shape (N,)
        Their weights' sum: ``valid`` without ``pixel_weight``.
    """

    intersection: FloatArray
    pred: FloatArray
    pred_squared: FloatArray
    target: FloatArray
    target_squared: FloatArray
    terms: FloatArray
    terms_negative: FloatArray
    valid: NDArray[np.int64]
    weight: FloatArray

    def __add__(self, other: Self) -> Self:
        if not isinstance(other, SoftCounts):
            return NotImplemented
        if self.terms.shape != other.terms.shape:
            raise ValueError(
                "tables of different shapes (terms, samples, classes) do not add up: "
                f"{self.terms.shape} and {other.terms.shape}"
            )
        mine, others = self.to_arrays(), other.to_arrays()
        return type(self)(**{name: mine[name] + others[name] for name in mine})

    def sum_samples(self) -> Self:
        """Table of the whole batch as if it were one sample: N = 1.

        Returns
        -------
        SoftCounts
        """
        return type(self)(
            **{
                name: array.sum(axis=1 if array.ndim == 3 else 0, keepdims=True)
                for name, array in self.to_arrays().items()
            }
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give all sums by name, to be stored.

        Returns
        -------
        dict of str to ndarray
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Table from what :meth:`to_arrays` gave.

        Parameters
        ----------
        arrays : mapping of str to array_like

        Returns
        -------
        SoftCounts

        Raises
        ------
        ValueError
            If a name is missing or unknown, or shapes do not fit.
        """
        names = [field.name for field in fields(cls)]
        if set(arrays) != set(names):
            raise ValueError(f"arrays must hold {', '.join(names)}, got {', '.join(arrays)}")
        kept: dict[str, NDArray[Any]] = {
            name: np.asarray(arrays[name], np.int64 if name == "valid" else np.float64)
            for name in names
        }
        shape = kept["terms"].shape
        for name, array in kept.items():
            expected = shape if name.startswith("terms") else shape[1:]
            expected = shape[1:2] if name in ("valid", "weight") else expected
            if len(shape) != 3 or array.shape != expected:
                raise ValueError(f"{name} must have shape {expected}, got {array.shape}")
        return cls(**kept)


@dataclass(frozen=True, eq=False, slots=True)
class SoftCountsGradient:
    """Derivative of a loss by the entries of :class:`SoftCounts` that depend on the logits.

    Parameters
    ----------
    intersection, pred, pred_squared : ndarray of float64, shape (N, C)
    terms, terms_negative : ndarray of float64, shape (T, N, C)
    """

    intersection: FloatArray
    pred: FloatArray
    pred_squared: FloatArray
    terms: FloatArray
    terms_negative: FloatArray

    @classmethod
    def zeros(cls, counts: SoftCounts) -> Self:
        """Make a gradient of zeros in the shapes of a table, to be filled in.

        Parameters
        ----------
        counts : SoftCounts

        Returns
        -------
        SoftCountsGradient
        """
        require_counts(counts, SoftCounts, "soft_counts")
        shape, terms = counts.pred.shape, counts.terms.shape
        return cls(
            intersection=np.zeros(shape),
            pred=np.zeros(shape),
            pred_squared=np.zeros(shape),
            terms=np.zeros(terms),
            terms_negative=np.zeros(terms),
        )


class Formula(Protocol):
    """A loss as a formula of the table: what :func:`evaluate` takes."""

    @property
    def terms(self) -> tuple[PixelTerm, ...]:
        """Pixel terms that the sweep must collect."""

    @property
    def squares(self) -> bool:
        """Whether ``pred_squared`` is needed."""

    @property
    def linear(self) -> bool:
        """Whether the gradient depends on ``target``, ``valid`` and ``weight`` alone.

        True for losses that are sums over pixels: value and gradient then take one sweep.
        """

    def value(self, table: SoftCounts) -> float:
        """Loss of a table."""

    def gradient(self, table: SoftCounts) -> SoftCountsGradient:
        """Derivative of the loss by each entry of the table."""


def soft_counts(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    activation: Activation = "softmax",
    ignore_index: int | Sequence[int] | NDArray[np.bool_] | None = None,
    mask: ArrayLike | None = None,
    pixel_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    channels_last: bool = False,
    pixel_terms: Sequence[PixelTerm] = (),
    squares: bool = False,
    threads: int = 0,
) -> SoftCounts:
    """Sums per sample and class that losses are formulas of, in one sweep over the logits.

    Parameters
    ----------
    logits : array_like of float, shape (N, C, ...)
        Scores before the activation, or probabilities with ``activation="none"``; float16,
        float32 or float64, or uint16 holding the bits of bfloat16. Any strides.
    target : array_like, shape (N, ...) or (N, C, ...)
        Class of every pixel, of any integer dtype; or for every class its share of the pixel, in
        0..1 (one-hot or soft labels). With one channel, integers of either shape are labels 0
        and 1, where 1 is what the channel scores.
    activation : {"softmax", "sigmoid", "none"}, default "softmax"
        What makes probabilities of the logits.
    ignore_index : int, sequence of int or array of bool, optional
        Labels whose pixels are left out, or these pixels, as in ``mask``.
    mask : array_like of bool, shape (N, ...), optional
        True where pixels are left out.
    pixel_weight : array_like of float, shape (N, ...), optional
        Weight of each pixel, finite and not negative.
    label_smoothing : float, default 0.0
        In 0..1: the pixel terms see (1 - s) y + s / C, or, with ``activation="sigmoid"`` or a
        single channel of ``"none"``, (1 - s) y + s / 2. The other sums see the labels as they are.
    channels_last : bool, default False
        Whether the channel axis is the last one, of logits and of dense targets.
    pixel_terms : sequence of PixelTerm, default ()
        Functions of the probability of what is true, to be summed over pixels.
    squares : bool, default False
        Whether to sum p^2.
    threads : int, default 0
        Threads to use; 0 takes what the machine offers and the size is worth.

    Returns
    -------
    SoftCounts

    Raises
    ------
    TypeError
        If the logits are not floating point, or an option is of the wrong type.
    ValueError
        If shapes do not fit, labels or weights are out of range, or an option is.

    Notes
    -----
    Left-out pixels count nowhere, whatever their logits are. A NaN among the logits of a counted
    pixel makes the sums of its sample NaN. Results are the same bits for any number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.float32([[[0.9, 0.2], [0.1, 0.8]]]))
    >>> counts = soft_counts(logits, [[0, 1]])
    >>> counts.intersection.round(3)
    array([[0.9, 0.8]])
    >>> counts.pred.round(3)
    array([[1.1, 0.9]])
    >>> dice = 2 * counts.intersection / (counts.pred + counts.target)
    >>> dice.round(3)
    array([[0.857, 0.842]])
    """
    sweep = prepare(
        logits,
        target,
        activation=activation,
        ignore_index=ignore_index,
        mask=mask,
        pixel_weight=pixel_weight,
        label_smoothing=label_smoothing,
        channels_last=channels_last,
        pixel_terms=pixel_terms,
        squares=squares,
        threads=threads,
    )
    return sweep.counts()


def soft_counts_backward(
    logits: ArrayLike,
    target: ArrayLike,
    d: SoftCountsGradient,
    *,
    activation: Activation = "softmax",
    ignore_index: int | Sequence[int] | NDArray[np.bool_] | None = None,
    mask: ArrayLike | None = None,
    pixel_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    channels_last: bool = False,
    pixel_terms: Sequence[PixelTerm] = (),
    squares: bool = False,
    threads: int = 0,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Gradient with respect to the logits, from the derivative by the table's entries.

    Parameters
    ----------
    logits, target
        As in :func:`soft_counts`.
    d : SoftCountsGradient
        Derivative of the loss by each entry of the table that :func:`soft_counts` gives with the
        same options.
    activation, ignore_index, mask, pixel_weight, label_smoothing, channels_last, pixel_terms, \
squares, threads
        As in :func:`soft_counts`.
    out : ndarray, optional
        Where to write the gradient: of the logits' shape and dtype, sharing no memory with them.

    Returns
    -------
    ndarray
        Gradient in the shape and dtype of the logits (uint16 for bfloat16); zero at pixels that
        are left out.

    Raises
    ------
    TypeError
        As in :func:`soft_counts`; if ``out`` has another dtype than the logits.
    ValueError
        As in :func:`soft_counts`; if ``d`` or ``out`` has another shape, or ``out`` cannot be
        written.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.zeros((1, 2, 1), np.float32)
    >>> counts = soft_counts(logits, [[1]])
    >>> d = SoftCountsGradient.zeros(counts)
    >>> d.intersection[:] = -1.0
    >>> soft_counts_backward(logits, [[1]], d)
    array([[[ 0.25],
            [-0.25]]], dtype=float32)
    """
    sweep = prepare(
        logits,
        target,
        activation=activation,
        ignore_index=ignore_index,
        mask=mask,
        pixel_weight=pixel_weight,
        label_smoothing=label_smoothing,
        channels_last=channels_last,
        pixel_terms=pixel_terms,
        squares=squares,
        threads=threads,
    )
    sweep.check_slopes(d)
    return sweep.backward(d, out)


def evaluate(
    formula: Formula,
    logits: ArrayLike,
    target: ArrayLike,
    *,
    return_grad: bool = False,
    out: NDArray[Any] | None = None,
    grad_scale: float = 1.0,
    activation: Activation = "softmax",
    ignore_index: int | Sequence[int] | NDArray[np.bool_] | None = None,
    mask: ArrayLike | None = None,
    pixel_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    channels_last: bool = False,
    threads: int = 0,
) -> tuple[float, NDArray[Any] | None]:
    """Value of a formula of the table and, if asked for, its gradient with respect to the logits.

    Parameters
    ----------
    formula : Formula
        The loss.
    logits, target
        As in :func:`soft_counts`.
    return_grad : bool, default False
        Whether the gradient is wanted; ``out`` asks for it too.
    out : ndarray, optional
        As in :func:`soft_counts_backward`.
    grad_scale : float, default 1.0
        Factor of the gradient, not of the value.
    activation, ignore_index, mask, pixel_weight, label_smoothing, channels_last, threads
        As in :func:`soft_counts`.

    Returns
    -------
    value : float
    grad : ndarray or None

    Raises
    ------
    TypeError, ValueError
        As in :func:`soft_counts` and :func:`soft_counts_backward`.
    """
    sweep = prepare(
        logits,
        target,
        activation=activation,
        ignore_index=ignore_index,
        mask=mask,
        pixel_weight=pixel_weight,
        label_smoothing=label_smoothing,
        channels_last=channels_last,
        pixel_terms=formula.terms,
        squares=formula.squares,
        threads=threads,
    )
    return evaluate_sweep(
        formula, sweep, return_grad or out is not None, out, grad_scale, check=True
    )


def evaluate_sweep(
    formula: Formula,
    sweep: Sweep,
    wanted: bool,
    out: NDArray[Any] | None,
    grad_scale: float,
    *,
    check: bool = False,
) -> tuple[float, NDArray[Any] | None]:
    """As :func:`evaluate`, of checked inputs; the gradient if wanted.

    ``check`` looks at the derivatives, which those of the losses here need not.
    """
    linear = formula.linear
    if not (wanted and linear):
        counts = sweep.counts(regions=not linear)
        value = float(formula.value(counts))
        if not wanted:
            return value, None
    elif sweep.counts_all and not getattr(formula, "reads_target", True):
        counts = sweep.blank()
    else:
        counts = sweep.target_counts()
    d = formula.gradient(counts)
    if check:
        sweep.check_slopes(d)
    d = _scaled(d, grad_scale)
    if not linear:
        return value, sweep.backward(d, out)
    counts, gradient = sweep.terms_and_gradient(d, out)
    return float(formula.value(counts)), gradient


def _scaled(d: SoftCountsGradient, factor: float) -> SoftCountsGradient:
    if factor == 1.0:
        return d
    return SoftCountsGradient(*(factor * part for part in _tables(d)))


_KINDS = {kind: number for number, kind in enumerate(get_args(TermKind))}
_ACTIVATIONS = {name: number for number, name in enumerate(get_args(Activation))}
_LABEL, _SHARE, _WEIGHT = 1, 2, 3  # what the native sweep finds wrong


class Rules(NamedTuple):
    """Checked options of a sweep, as the native sweep takes them; made by :func:`rules_of`."""

    activation: int
    ignored: list[int] | None
    label_smoothing: float
    channels_last: bool
    terms: list[tuple[int, float, float]]
    squares: bool


@dataclass(slots=True)
class Sweep:
    """Checked inputs of a sweep, channels on axis 1."""

    logits: NDArray[Any]
    target: NDArray[Any]
    mask: NDArray[np.bool_] | None
    pixel_weight: NDArray[Any] | None
    rules: Rules
    counts_all: bool  # that no pixel is left out
    native: _core.LossSweep

    def counts(self, regions: bool = True) -> SoftCounts:
        """Give the table; without ``regions``, nothing of it but terms and the target's sums."""
        sums, fault = self.native.counts(regions)
        self._refuse(fault)
        return SoftCounts(*sums)

    def target_counts(self) -> SoftCounts:
        """Give what the table says of the target: the other sums are zeros."""
        sums, fault = self.native.target_counts()
        self._refuse(fault)
        return SoftCounts(*sums)

    def blank(self) -> SoftCounts:
        """Give the numbers of counted pixels where all count; the sums are zeros."""
        shape = self.logits.shape
        return _blank(shape[0], shape[1], prod(shape[2:]), len(self.rules.terms))

    def backward(self, d: SoftCountsGradient, out: NDArray[Any] | None) -> NDArray[Any]:
        """Give the gradient; a sweep of its own."""
        out, inside = self._place(out)
        self._refuse(self.native.backward(_tables(d), inside))
        return out

    def terms_and_gradient(
        self, d: SoftCountsGradient, out: NDArray[Any] | None
    ) -> tuple[SoftCounts, NDArray[Any]]:
        """Terms and gradient in one sweep, where the derivative by the terms is all there is."""
        out, inside = self._place(out)
        sums, fault = self.native.terms_and_gradient(_tables(d), inside)
        self._refuse(fault)
        return SoftCounts(*sums), out

    def lovasz(
        self,
        weights: FloatArray,
        *,
        hinge: bool,
        exact: bool,
        return_grad: bool,
        out: NDArray[Any] | None,
    ) -> tuple[FloatArray, NDArray[Any] | None]:
        """Lovasz losses of groups and classes, and the gradient of their weighted sum."""
        inside = None
        if return_grad or out is not None:
            out, inside = self._place(out)
        per_sample = weights.shape[0] == self.logits.shape[0]
        values, fault = self.native.lovasz(per_sample, hinge, exact, weights, inside)
        self._refuse(fault)
        return values, out

    def costs(self) -> NDArray[Any]:
        """Give the first pixel term of every pixel, 0 where it does not count."""
        costs, fault = self.native.costs()
        self._refuse(fault)
        return costs

    def _place(self, out: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Where the gradient goes, and the same with channels on axis 1."""
        last = self.rules.channels_last
        outside = np.moveaxis(self.logits, 1, -1) if last else self.logits
        if out is None:
            out = gradient_buffer(outside)
        else:
            self._check_out(out, outside)
        return out, np.moveaxis(out, -1, 1) if last else out

    def _check_out(self, out: Any, logits: NDArray[Any]) -> None:
        _check_place(out, logits)
        read = {
            "the logits": logits,
            "target": self.target,
            "mask": self.mask,
            "pixel_weight": self.pixel_weight,
        }
        for name, array in read.items():
            if array is not None and np.may_share_memory(out, array):
                raise ValueError(
                    f"out must not share memory with {name}: the sweep reads what it would write"
                )

    def check_slopes(self, d: SoftCountsGradient) -> None:
        """Refuse a derivative that does not fit the table."""
        if not isinstance(d, SoftCountsGradient):
            raise TypeError(f"d must be SoftCountsGradient, got {type(d).__name__}")
        table = self.logits.shape[:2]
        terms = (len(self.rules.terms), *table)
        shapes = (table, table, table, terms, terms)
        for name, values, expected in zip(_SLOPES, _tables(d), shapes, strict=True):
            array = np.asarray(values)
            if array.shape != expected:
                raise ValueError(f"d.{name} must have shape {expected}, got {array.shape}")
            if array.dtype.kind not in "biuf":
                raise TypeError(f"d.{name} must hold real numbers, got {array.dtype}")

    def _refuse(self, fault: tuple[int, int, int, int]) -> None:
        """Say what is wrong with the first pixel that the rules do not allow."""
        kind, sample, channel, pixel = fault
        if kind == 0:
            return
        place = tuple(int(i) for i in np.unravel_index(pixel, self.logits.shape[2:]))
        where = f"sample {sample}, pixel {place}"
        if kind == _LABEL:
            most = max(self.logits.shape[1], 2) - 1
            raise ValueError(
                f"target holds label {self.target[(sample, *place)]} at {where}, but there are "
                f"classes 0..{most} only: pass ignore_index= or mask= for pixels that must not "
                "count"
            )
        if kind == _SHARE:
            raise ValueError(
                f"dense targets must be in 0..1, got {self.target[(sample, channel, *place)]} at "
                f"{where}, channel {channel}"
            )
        assert self.pixel_weight is not None
        raise ValueError(
            "pixel_weight must be finite and not negative, got "
            f"{self.pixel_weight[(sample, *place)]} at {where}"
        )


_SLOPES = tuple(field.name for field in fields(SoftCountsGradient))


def _tables(d: SoftCountsGradient) -> list[FloatArray]:
    return [getattr(d, name) for name in _SLOPES]


def _check_place(out: Any, logits: NDArray[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype != logits.dtype:
        raise TypeError(f"out must have the logits' dtype {logits.dtype}, got {out.dtype}")
    if out.shape != logits.shape:
        raise ValueError(f"out must have the logits' shape {logits.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    strides = (stride for stride, n in zip(out.strides, out.shape, strict=True) if n > 1)
    if out.size > 0 and 0 in strides:
        raise ValueError("out must have a place for every element, got a broadcast array")


def prepare(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    activation: Activation = "softmax",
    ignore_index: int | Sequence[int] | NDArray[np.bool_] | None = None,
    mask: ArrayLike | None = None,
    pixel_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    channels_last: bool = False,
    pixel_terms: Sequence[PixelTerm] = (),
    squares: bool = False,
    threads: int = 0,
) -> Sweep:
    """Check the inputs of sweeps; as in :func:`soft_counts`."""
    ignored, mask = without_mask(ignore_index, mask)
    rules = rules_of(
        activation=activation,
        ignore_index=ignored,
        label_smoothing=label_smoothing,
        channels_last=channels_last,
        pixel_terms=pixel_terms,
        squares=squares,
    )
    return prepare_by(rules, logits, target, mask, pixel_weight, threads)


def rules_of(
    *,
    activation: Activation,
    ignore_index: int | Sequence[int] | None,
    label_smoothing: float,
    channels_last: bool,
    pixel_terms: Sequence[PixelTerm],
    squares: bool,
) -> Rules:
    """Check the options of sweeps; as in :func:`soft_counts`."""
    if activation not in tuple(_ACTIVATIONS):  # which may be anything, with no hash
        raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)}, got {activation!r}")
    if not 0.0 <= real_number(label_smoothing, "label_smoothing") <= 1.0:
        raise ValueError(f"label_smoothing must be in 0..1, got {label_smoothing}")
    terms = tuple(pixel_terms)
    if not all(isinstance(term, PixelTerm) for term in terms):
        raise TypeError("pixel_terms must be PixelTerm objects")
    if len(terms) > 8:
        raise ValueError(f"one sweep takes at most 8 pixel terms, got {len(terms)}")
    return Rules(
        _ACTIVATIONS[activation],
        ignored_labels(ignore_index),
        float(label_smoothing),
        channels_last,
        [(_KINDS[term.kind], float(term.parameter), float(term.threshold)) for term in terms],
        bool(squares),
    )


def without_mask(ignore_index: Any, mask: Any) -> tuple[Any, Any]:
    """Labels to leave out, and the mask: pixels that `ignore_index` holds join those of it."""
    if not _holds_pixels(ignore_index):
        return ignore_index, mask
    if mask is None:
        return None, ignore_index
    pixels, more = _logical(ignore_index), _logical(mask)
    if pixels.shape != more.shape:
        raise ValueError(
            f"ignore_index and mask must have one shape, got {tuple(pixels.shape)} and "
            f"{tuple(more.shape)}"
        )
    return None, pixels | more


def _holds_pixels(ignore_index: Any) -> bool:
    return bool(getattr(ignore_index, "shape", ())) and "bool" in str(ignore_index.dtype)


def _logical(mask: Any) -> Any:
    """An array, or another package's tensor, of bool."""
    array = mask if hasattr(mask, "dtype") else as_array(mask, "mask")
    if "bool" not in str(array.dtype):
        raise TypeError(f"mask must be bool, true where left out, got {array.dtype}")
    return array


def ignored_labels(ignore_index: Any) -> list[int] | None:
    """Check labels to leave out, and give them as a list; pixels go into a mask."""
    if ignore_index is None:
        return None
    shape = tuple(getattr(ignore_index, "shape", ()))
    if _holds_pixels(ignore_index):
        raise TypeError(
            "a loss is made for many targets: pass pixels to leave out when it is called, as mask="
        )
    if len(shape) > 1:
        raise TypeError(
            "ignore_index must be a label, a list of labels or an array of bool, got an array of "
            f"shape {shape} of {ignore_index.dtype}"
        )
    labels = ignore_index if isinstance(ignore_index, list | tuple) or shape else [ignore_index]
    return [integer(label, "ignore_index") for label in labels]


def prepare_by(
    rules: Rules, logits: Any, target: Any, mask: Any, pixel_weight: Any, threads: int
) -> Sweep:
    """Check the arrays of sweeps whose options are checked."""
    x = _logits(logits, rules)
    y = _target(target, x, rules.channels_last)
    dense = y.ndim == x.ndim
    everything = mask is None and rules.ignored is None
    left_out = None if mask is None else _mask(mask, x)
    weights = None if pixel_weight is None else _weights(pixel_weight, x)
    native = _core.LossSweep(
        x,
        x.dtype.kind == "u",
        y,
        dense,
        [] if rules.ignored is None else _ignored(rules.ignored, y, dense),
        left_out,
        weights,
        rules.activation,
        rules.label_smoothing,
        rules.terms,
        rules.squares,
        thread_limit(threads),
    )
    return Sweep(x, y, left_out, weights, rules, everything, native)


@lru_cache(maxsize=64)
def _blank(samples: int, channels: int, pixels: int, terms: int) -> SoftCounts:
    table, each = np.zeros((samples, channels)), np.zeros((terms, samples, channels))
    valid = np.full(samples, pixels, np.int64)
    for array in (table, each, valid):
        array.flags.writeable = False  # there are other users
    return SoftCounts(table, table, table, table, table, each, each, valid, table[:, 0])


def _logits(value: Any, rules: Rules) -> NDArray[Any]:
    x = as_array(value, "logits")
    kind = x.dtype.kind
    if kind == "V" and x.dtype.name == "bfloat16":  # its name takes time
        x, kind = x.view(np.uint16), "u"
    if kind != "f" and x.dtype != np.uint16:
        raise TypeError(
            f"logits must be floating point (or uint16 holding bfloat16), got {x.dtype}"
        )
    if x.itemsize > 8:
        raise TypeError(f"logits must be float16, float32 or float64, got {x.dtype}")
    if x.ndim < 2:
        raise ValueError(f"logits must have shape (N, C, ...), got {x.shape}")
    if rules.channels_last:
        x = np.moveaxis(x, -1, 1)
    channels = x.shape[1]
    if channels == 0:
        raise ValueError("logits must have at least one channel")
    if channels == 1 and rules.activation == _ACTIVATIONS["softmax"]:
        raise ValueError(
            "softmax of one channel is always 1: use activation='sigmoid' for a binary problem"
        )
    return x


def _way_out(shape: tuple[int, ...], logits: tuple[int, ...], channels_last: bool) -> str:
    """What brings a target of a shape that other tools take into ours."""
    labels = logits[:1] + logits[2:]
    if shape == logits[:-1] and not channels_last:
        return "; pass channels_last=True if the last axis of the logits holds the classes"
    if shape == (labels[0], 1, *labels[1:]):
        return "; drop the axis of one channel: target[:, 0]"
    if shape[:-1] == labels:
        return "; move the last axis to the second place, if it holds the classes"
    return ""


def _target(value: ArrayLike, x: NDArray[Any], channels_last: bool) -> NDArray[Any]:
    """Labels of shape (N, ...), or dense targets of shape (N, C, ...)."""
    y = as_array(value, "target")
    if y.dtype.kind not in "buif":
        raise TypeError(f"target must be integers or floating point, got {y.dtype}")
    labels = x.shape[:1] + x.shape[2:]
    if y.shape == labels:
        if y.dtype.kind == "f":
            raise TypeError(f"a target of shape (N, ...) holds labels: integers, got {y.dtype}")
        return y
    if channels_last and y.ndim == x.ndim:
        y = np.moveaxis(y, -1, 1)
    if y.shape != x.shape:
        raise ValueError(
            f"target must have shape {labels} (labels) or that of the logits, got "
            f"{np.shape(value)} for logits of {len(labels) - 1} spatial axes and "
            f"{x.shape[1]} channels{_way_out(np.shape(value), x.shape, channels_last)}"
        )
    return y[:, 0] if x.shape[1] == 1 and y.dtype.kind in "bui" else y


def _mask(value: ArrayLike, x: NDArray[Any]) -> NDArray[np.bool_]:
    mask = as_array(value, "mask")
    if mask.dtype != np.bool_:
        raise TypeError(f"mask must be bool, true where left out, got {mask.dtype}")
    if mask.shape != (x.shape[0], *x.shape[2:]):
        raise ValueError(f"mask must have shape {(x.shape[0], *x.shape[2:])}, got {mask.shape}")
    return mask


def _ignored(labels: list[int], y: NDArray[Any], dense: bool) -> list[int]:
    """Labels that are left out: those that the target's type can hold, as 64 bits."""
    if dense:
        raise ValueError("ignore_index needs a target of labels: pass mask= beside dense ones")
    low, high = (0, 1) if y.dtype.kind == "b" else (np.iinfo(y.dtype).min, np.iinfo(y.dtype).max)
    return [label if label < 2**63 else label - 2**64 for label in labels if low <= label <= high]


def _weights(value: ArrayLike, x: NDArray[Any]) -> NDArray[Any]:
    weights = as_array(value, "pixel_weight")
    if weights.dtype.kind != "f":
        raise TypeError(f"pixel_weight must be floating point, got {weights.dtype}")
    if weights.shape != (x.shape[0], *x.shape[2:]):
        raise ValueError(
            f"pixel_weight must have shape {(x.shape[0], *x.shape[2:])}, got {weights.shape}"
        )
    return weights
