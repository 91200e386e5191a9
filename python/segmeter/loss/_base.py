"""What all losses share: options of the inputs, their checks, the call, and `explain`."""

from __future__ import annotations

import functools
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Self,
    TypeVar,
    dataclass_transform,
    get_args,
    overload,
)

import numpy as np

from .._arrays import as_array, integer, real_number
from . import _presets, _table
from ._table import Activation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._table import PixelTerm, SoftCounts, SoftCountsGradient

Array = Any
"""An array of the namespace ``xp``: NumPy's or torch's."""

Reduction = Literal["mean", "sum", "none"]
Empty = Literal["zero", "nan"]
ClassWeight = float | Sequence[float] | None

ValueT = TypeVar("ValueT")

ALL = slice(None)


class remembered(Generic[ValueT]):  # noqa: N801  # used like property
    """A property of a frozen loss, computed once.

    What ``functools.cached_property`` is, without its lock: ``torch.compile`` cannot trace that.
    """

    def __init__(self, compute: Callable[[Any], ValueT]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__
        self.__isabstractmethod__ = getattr(compute, "__isabstractmethod__", False)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> ValueT: ...
    def __get__(self, instance: object | None, owner: type) -> Self | ValueT:
        if instance is None:
            return self
        value = self.compute(instance)
        object.__setattr__(instance, self.name, value)  # found there from now on
        return value


# --- options


def check_choice(name: str, value: object, choices: object) -> None:
    """Refuse an option that is not one of the values of a Literal."""
    allowed = get_args(choices)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is not a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def check_number(
    name: str, value: object, low: float = 0.0, high: float = math.inf, *, above: bool = False
) -> None:
    """Refuse what is not a finite number in [low, high], or in (low, high] with ``above``."""
    number = real_number(value, name)
    if not low <= number <= high or math.isinf(number) or (above and number == low):
        bound = f"above {low:g}" if above else f"at least {low:g}"
        limit = "" if math.isinf(high) else f" and at most {high:g}"
        raise ValueError(f"{name} must be a finite number {bound}{limit}, got {value!r}")


def numbers_per_class(name: str, value: Any) -> tuple[float, ...] | float | None:
    """Weights as a tuple, one for all as a float; none may be negative or not finite."""
    if value is None:
        return None
    numbers = value
    # Plain numbers without NumPy, whose types torch.compile cannot trace.
    is_plain = isinstance(value, list | tuple) and all(type(one) in (int, float) for one in value)
    if not is_plain or not value:
        array = as_array(value, name)
        if array.ndim > 1 or array.dtype.kind not in "iuf" or array.size == 0:
            raise ValueError(f"{name} must be one number, or one number per class, got {value!r}")
        numbers = array.tolist()
    several = isinstance(numbers, list | tuple)
    for place, number in enumerate(numbers if several else [numbers]):
        if not 0 <= number <= sys.float_info.max:
            where = f" at class {place}" if several else ""
            shown = f"{number:g}" if isinstance(number, float) else f"{number}"
            raise ValueError(f"{name} must hold finite numbers of at least 0, got {shown}{where}")
    return tuple(float(number) for number in numbers) if several else float(numbers)


def ignored_labels(ignore_index: Any) -> tuple[int, ...] | int | None:
    """Labels to leave out as a loss keeps them: one as it is, several as a tuple."""
    labels = _table.ignored_labels(ignore_index)
    if labels is None:
        return None
    several = isinstance(ignore_index, list | tuple) or bool(getattr(ignore_index, "shape", None))
    return tuple(labels) if several else labels[0]


def check_length(name: str, values: object, number: int) -> None:
    """Refuse numbers per class that are not as many as the classes."""
    if isinstance(values, tuple) and len(values) != number:
        raise ValueError(
            f"{name} must hold one number for each of the {number} classes that logits has "
            f"channels for, got {len(values)}"
        )


def class_numbers(classes: Any) -> tuple[int, ...] | None:
    """A selection of classes as a tuple of integers, each named once."""
    if classes is None:
        return None
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise TypeError(f"classes must be a sequence of class numbers, got {classes!r}")
    numbers = tuple(integer(number, "classes") for number in classes)
    if not numbers:
        raise ValueError("classes must name at least one class, got none")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"classes must name every class once, got {list(numbers)}")
    return numbers


def constant(values: Any, like: Array) -> Array:
    """Numbers as an array of the kind, device and precision of `like`."""
    if hasattr(like, "new_tensor"):
        return like.new_tensor(values)
    return np.asarray(values, np.float64)


def per_class(values: Any, chosen: list[int], like: Array) -> Array:
    """Numbers of the chosen classes (K,) from one for all, one per class, or None for 1."""
    if values is None:
        values = 1.0
    if not isinstance(values, tuple):
        return constant([float(values)] * len(chosen), like)
    return constant([values[k] for k in chosen], like)


def flags(condition: Array, like: Array, xp: Any) -> Array:
    """1 where a condition holds and 0 elsewhere, in the precision of `like`."""
    return condition.astype(np.float64) if xp is np else condition.to(like.dtype)


def share(part: Array, whole: Array, xp: Any) -> Array:
    """``part / whole``, 0 where the whole is 0."""
    if isinstance(whole, float):  # a number, and NumPy's: not worth arrays
        return part / whole if whole != 0 else 0.0
    if xp is np and whole.all():
        return part / whole
    nothing = whole == 0
    return xp.where(nothing, 0.0, part / xp.where(nothing, 1.0, whole))


def counted(table: SoftCounts) -> Any:
    """How many pixels count: an integer, or a tensor."""
    valid: Any = table.valid
    return sum(valid.tolist()) if isinstance(valid, np.ndarray) else valid.sum()


def sum_of(values: Array, xp: Any) -> Array:
    """Sum of all values; of few by Python, which is done before NumPy has begun."""
    return sum(values.ravel().tolist()) if xp is np and values.size <= 64 else values.sum()


def if_any(count: Array, value: Array, nothing: float, xp: Any) -> Array:
    """The value where something is counted, else what stands for nothing."""
    if xp is np:
        return value if count > 0 else nothing
    return xp.where(count > 0, value, nothing)


# --- the base


class Loss(ABC):
    """A loss over logits and target: call it for its value, `explain` it in words.

    Losses are frozen: they hold options and no data, and compare equal when their options do.
    """

    of_table: ClassVar[bool] = False  # whether it is a SweepLoss, which is slow to ask for

    @abstractmethod
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
        """Value of the loss; ``(value, gradient)`` with ``return_grad``.

        Parameters
        ----------
        logits, target : array_like
            As in the function of this loss.
        mask : array_like of bool, shape (N, *spatial), optional
            Pixels to leave out (True).
        pixel_weight : array_like of float, shape (N, *spatial), optional
            Weight of every pixel, at least 0.
        return_grad : bool, default False
            Whether to give the gradient by the logits too.
        out : numpy.ndarray, optional
            Memory for the gradient, of the shape and dtype of logits; asks for the gradient.
        threads : int, default 0
            Threads to use; 0 takes what the machine offers and the size is worth.

        Returns
        -------
        value : float
            Or an array with ``reduction="none"``.
        gradient : numpy.ndarray
            Only if asked for.
        """

    @abstractmethod
    def explain(self) -> str:
        """Give the formula with its chosen options in a few lines of text."""


class Slopes:
    """Derivatives by the entries of a table, as formulas add them; zero where none does."""

    __slots__ = ("parts", "shape", "shape_of_terms")

    def __init__(self, table: SoftCounts) -> None:
        self.shape, self.shape_of_terms = table.pred.shape, table.terms.shape
        self.parts: dict[str, Array] = {}

    def add(self, name: str, values: Array, classes: Any, rows: Any = ALL) -> None:
        """Add to the entries of some classes and, of the terms, some rows."""
        shape = self.shape_of_terms if name.startswith("terms") else self.shape
        known = self.parts.get(name)
        if classes == ALL and rows == ALL:
            if values.shape != shape:
                values = np.broadcast_to(values, shape)
            self.parts[name] = values if known is None else known + values
            return
        # Never in place: an array may stand under two names.
        self.parts[name] = sums = np.zeros(shape) if known is None else known.copy()
        sums[(rows, slice(None), classes) if len(shape) == 3 else (slice(None), classes)] += values

    def join(self, other: Slopes, rows: Any) -> None:
        """Add those of a table that has some of the rows of terms."""
        for name, values in other.parts.items():
            self.add(name, values, ALL, rows if name.startswith("terms") else ALL)

    def gradient(self) -> SoftCountsGradient:
        """Give them as the sweep takes them; not to be written to."""
        get, table, terms = self.parts.get, self.shape, self.shape_of_terms
        return _table.SoftCountsGradient(
            get("intersection", _zeros(table)),
            get("pred", _zeros(table)),
            get("pred_squared", _zeros(table)),
            get("terms", _zeros(terms)),
            get("terms_negative", _zeros(terms)),
        )


@functools.lru_cache(maxsize=64)
def _zeros(shape: tuple[int, ...]) -> NDArray[np.float64]:
    zeros = np.zeros(shape)
    zeros.flags.writeable = False  # there are other users
    return zeros


class SweepLoss(Loss):
    """A loss that is a formula on the table of soft counts: one sweep for it, one for its slope."""

    of_table: ClassVar[bool] = True

    reduction: Reduction
    channels_last: bool

    # What the sweep must collect.

    @property
    def terms(self) -> tuple[PixelTerm, ...]:
        """Sums of functions of the probability that the formula reads."""
        return ()

    @property
    def squares(self) -> bool:
        """Whether the formula reads sums of squared probabilities."""
        return False

    @property
    def linear(self) -> bool:
        """Whether the derivative depends on the target alone: value and gradient in one sweep."""
        return False

    @property
    def reads_target(self) -> bool:
        """Whether the derivative depends on more of the target than how many pixels count."""
        return True

    @property
    def label_smoothing(self) -> float:
        """Smoothing of the target in the sums of `terms`."""
        return 0.0

    @remembered
    def rules(self) -> _table.Rules:
        """Options of the sweep, checked."""
        return _table.rules_of(**self.inputs(), pixel_terms=self.terms, squares=self.squares)

    @abstractmethod
    def value(self, table: SoftCounts, xp: Any = np, *, pixels: int | None = None) -> Array:
        """Value of the loss from the table, in arrays of the namespace ``xp``.

        ``pixels`` is the number of pixels with those that are left out, which only
        ``normaliser="all"`` reads.
        """

    def gradient(self, table: SoftCounts, *, pixels: int | None = None) -> SoftCountsGradient:
        """Derivative of the value by every entry of the table that depends on the logits."""
        return self.both(table, pixels=pixels)[1]

    @abstractmethod
    def inputs(self) -> dict[str, Any]:
        """Options of the sweep."""

    @abstractmethod
    def accumulate(
        self, table: SoftCounts, slopes: Slopes, weight: float = 1.0, *, pixels: int | None = None
    ) -> float:
        """Give the value, and add its derivative times a weight to slopes."""

    def both(
        self, table: SoftCounts, *, pixels: int | None = None
    ) -> tuple[float, SoftCountsGradient]:
        """Value and derivative at once."""
        slopes = Slopes(table)
        return self.accumulate(table, slopes, pixels=pixels), slopes.gradient()

    def check_channels(self, number: int) -> None:
        """Refuse options that do not fit the number of channels."""

    def for_target(self, soft: bool) -> Self:  # noqa: ARG002  # a hook
        """Give the loss for a target of soft labels or of one label per pixel."""
        return self

    @remembered
    def _fitted(self) -> dict[tuple[int, bool], Self]:
        return {}

    def fitted(self, channels: int, soft: bool) -> Self:
        """Give the loss for such a target, once its options are known to fit the channels."""
        made = self._fitted.get((channels, soft))
        if made is None:
            self.check_channels(channels)
            made = self._fitted[channels, soft] = self.for_target(soft=soft)
        return made

    def unreduced(self, sweep: dict[str, Any]) -> Array:
        """Losses one by one, with ``reduction="none"``."""
        table = _table.soft_counts(**sweep, pixel_terms=self.terms, squares=self.squares)
        return self.value(table)

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
        return_grad = return_grad or out is not None
        logits, target = as_array(logits, "logits"), as_array(target, "target")
        if self.channels_last and logits.ndim >= 2:
            channels, pixels = logits.shape[-1], math.prod(logits.shape[:-1])
        else:
            channels = logits.shape[1] if logits.ndim >= 2 else 1
            pixels = logits.size // max(channels, 1)
        formula = self.fitted(channels, target.dtype.kind == "f")
        if self.reduction == "none":
            if return_grad:
                raise ValueError(
                    "return_grad needs one number: use reduction='mean' or 'sum' (a weight per "
                    "pixel goes into pixel_weight)"
                )
            inputs = {
                **self.inputs(),
                "logits": logits,
                "target": target,
                "mask": mask,
                "pixel_weight": pixel_weight,
                "threads": threads,
            }
            return formula.unreduced(inputs)
        sweep = _table.prepare_by(formula.rules, logits, target, mask, pixel_weight, threads)
        bound = Bound(formula, pixels, return_grad)
        value, gradient = _table.evaluate_sweep(bound, sweep, return_grad, out, 1.0)
        return (value, gradient) if return_grad else value


@dataclass(frozen=True, kw_only=True)
class TableLoss(SweepLoss):
    """One loss with the options that all have."""

    activation: Activation = "softmax"
    ignore_index: int | Sequence[int] | None = None
    classes: Sequence[int] | None = None
    include_background: bool = True
    class_weight: ClassWeight = None
    channels_last: bool = False
    reduction: Reduction = "mean"
    empty: Empty = "zero"
    preset: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        check_choice("activation", self.activation, Activation)
        check_choice("reduction", self.reduction, Reduction)
        check_choice("empty", self.empty, Empty)
        for name in ("include_background", "channels_last", "strict"):
            check_flag(name, getattr(self, name))
        if self.classes is not None and not self.include_background:
            raise ValueError("give classes or include_background=False, not both")
        self._store(
            ignore_index=ignored_labels(self.ignore_index),
            classes=class_numbers(self.classes),
            class_weight=numbers_per_class("class_weight", self.class_weight),
        )

    def _store(self, **values: Any) -> None:
        """Keep options in their final form, in spite of being frozen."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def check_channels(self, number: int) -> None:
        """Refuse options that do not fit the number of channels."""
        if not self.include_background and number < 2:
            raise ValueError("include_background=False leaves no class of a single channel")
        outside = [k for k in self.classes or () if not 0 <= k < number]
        if outside:
            raise ValueError(
                f"classes must be from 0 to {number - 1}, the channels of logits; got {outside[0]}"
            )
        check_length("class_weight", self.class_weight, number)

    def chosen(self, number: int) -> list[int]:
        """Numbers of the classes that count, of so many."""
        if self.classes is not None:
            return list(self.classes)
        return list(range(0 if self.include_background else 1, number))

    def selection(self, number: int) -> slice | list[int]:
        """The classes that count, of so many, as an index: of a view where they are in a row."""
        if self.classes is not None:
            return list(self.classes)
        return ALL if self.include_background else slice(1, number)

    @remembered
    def kept(self) -> dict[Any, Any]:
        """Arrays of the options alone, made once for every size of a table."""
        return {}

    def inputs(self) -> dict[str, Any]:
        """Options of the sweep."""
        return {
            "activation": self.activation,
            "ignore_index": self.ignore_index,
            "label_smoothing": self.label_smoothing,
            "channels_last": self.channels_last,
        }

    def explain(self) -> str:
        lines = [f"{type(self).__name__}: loss = {self.reduced_formula()}"]
        lines += [f"  {line}" for line in (*self.formulas(), *self.conventions())]
        return "\n".join(lines)

    @abstractmethod
    def reduced_formula(self) -> str:
        """How the losses of regions or pixels become one number."""

    @abstractmethod
    def formulas(self) -> list[str]:
        """What stands in the formula."""

    def conventions(self) -> list[str]:
        """Options that all losses have, in words."""
        p = {
            "softmax": "softmax(logits) over the classes",
            "sigmoid": "sigmoid(logits), every class a question of its own",
            "none": "the input itself, probabilities",
        }
        lines = [f"p = {p[self.activation]}; y = target, one-hot or soft"]
        if self.classes is not None:
            lines.append(f"classes that count: {', '.join(map(str, self.classes))}")
        elif not self.include_background:
            lines.append("classes that count: all but the background, 0")
        if self.class_weight is not None:
            lines.append(f"class_weight = {numbers_text(self.class_weight)}")
        if self.ignore_index is not None:
            lines.append(f"left out: pixels of label {numbers_text(self.ignore_index)}")
        empty = "0 with zero gradient" if self.empty == "zero" else "NaN"
        lines.append(f"no pixel counted: {empty}")
        if self.preset is not None:
            strict = ", with its defects" if self.strict else ""
            lines.append(f"numbers of {self.preset}{strict}")
        return lines


class Bound:
    """A loss at one input: what a sweep evaluates.

    Value and derivative share most of their work: with ``return_grad`` the derivative is kept
    from when the value is asked for.
    """

    def __init__(self, loss: SweepLoss, pixels: int, return_grad: bool = True) -> None:
        self.loss, self.pixels, self.return_grad = loss, pixels, return_grad
        self.terms, self.squares = loss.terms, loss.squares
        self.linear, self.reads_target = loss.linear, loss.reads_target
        self._gradient: SoftCountsGradient | None = None

    def value(self, table: SoftCounts) -> float:
        if self.linear or not self.return_grad:
            return float(self.loss.value(table, pixels=self.pixels))
        value, self._gradient = self.loss.both(table, pixels=self.pixels)
        return value

    def gradient(self, table: SoftCounts) -> SoftCountsGradient:
        if self._gradient is None:
            return self.loss.gradient(table, pixels=self.pixels)
        return self._gradient


def numbers_text(values: Any) -> str:
    if isinstance(values, Sequence):
        return "[" + ", ".join(f"{value:g}" for value in values) + "]"
    return f"{values:g}"


@dataclass_transform(kw_only_default=True, frozen_default=True)
def loss(cls: type[Any]) -> type[Any]:
    """Make a dataclass of a loss, where a preset fills in the options that are not given."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    initialise = made.__init__
    known = [one.name for one in fields(made)]

    @functools.wraps(initialise)
    def init(self: Any, **given: Any) -> None:
        for name in given:
            if name not in known:
                raise TypeError(
                    f"{made.__name__} has no option {name!r}; its options: {', '.join(known)}"
                )
        initialise(self, **_presets.complete(made.__name__, given))

    made.__init__ = init
    return made
