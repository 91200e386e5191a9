"""What losses ask of a prediction, without training: values, and where their gradients go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import as_array
from .._floats import as_float64, probabilities
from ..boundary import distance_transform
from ._base import Loss, check_flag
from ._compound import Compound
from ._table import ignored_labels, without_mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

DIFFICULTY = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
"""Edges of the bins of the probability of the true class."""
DISTANCE = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, float("inf"))
"""Edges of the bins of the distance to the nearest pixel of another label."""


@dataclass(frozen=True, eq=False)
class LossProfile:
    """Value of a loss at one prediction, and where its gradient goes.

    Parameters
    ----------
    name : str
        Name of the loss.
    value : float
        Value of the loss.
    gradient_norm : float
        Euclidean norm of the gradient.
    class_norm : ndarray of float64, shape (K,)
        Norm of the gradient at the pixels of every class of the target.
    class_share, difficulty_share, distance_share : ndarray of float64
        Share of the gradient (sum of absolute values) at the pixels of every class, in every bin
        of the probability of the true class, and of the distance to the nearest other label.
        NaN if the gradient is zero.
    """

    name: str
    value: float
    gradient_norm: float
    class_norm: FloatArray
    class_share: FloatArray
    difficulty_share: FloatArray
    distance_share: FloatArray


@dataclass(frozen=True, eq=False)
class LossProfiles:
    """Profiles of losses at one prediction; made by :func:`loss_profile`.

    Parameters
    ----------
    profiles : tuple of LossProfile
        In the order of the losses.
    class_names : tuple of str
        Names of the classes.
    class_pixels, difficulty_pixels, distance_pixels : ndarray of float64
        Share of the counted pixels of every class and in every bin: what the shares of the
        gradients compare with.
    difficulty_edges, distance_edges : tuple of float
        Edges of the bins.
    """

    profiles: tuple[LossProfile, ...]
    class_names: tuple[str, ...]
    class_pixels: FloatArray
    difficulty_pixels: FloatArray
    distance_pixels: FloatArray
    difficulty_edges: tuple[float, ...] = DIFFICULTY
    distance_edges: tuple[float, ...] = DISTANCE

    def __getitem__(self, name: str) -> LossProfile:
        """Profile of the loss of a name."""
        for profile in self.profiles:
            if profile.name == name:
                return profile
        raise KeyError(name)

    def panels(self) -> list[tuple[str, list[str], FloatArray, list[FloatArray]]]:
        """Give title, labels, shares of the pixels and of the gradients of every grouping.

        Returns
        -------
        list of tuple
        """
        return [
            (
                "class of the target",
                list(self.class_names),
                self.class_pixels,
                [profile.class_share for profile in self.profiles],
            ),
            (
                "probability of the true class",
                _bin_labels(self.difficulty_edges),
                self.difficulty_pixels,
                [profile.difficulty_share for profile in self.profiles],
            ),
            (
                "distance to another label",
                _bin_labels(self.distance_edges),
                self.distance_pixels,
                [profile.distance_share for profile in self.profiles],
            ),
        ]

    def __str__(self) -> str:
        """Give all numbers as a table of text."""
        names = ["pixels", *(profile.name for profile in self.profiles)]
        width = max(10, *map(len, names)) + 2
        lines = ["".ljust(24) + "".join(name.rjust(width) for name in names)]
        for label, attribute in (("value", "value"), ("gradient norm", "gradient_norm")):
            numbers = [f"{getattr(profile, attribute):.4g}" for profile in self.profiles]
            lines.append(label.ljust(24) + "".join(n.rjust(width) for n in ["", *numbers]))
        for title, labels, pixels, shares in self.panels():
            lines.append(f"share by {title}")
            for index, label in enumerate(labels):
                numbers = [_percent(share[index]) for share in [pixels, *shares]]
                lines.append(f"  {label}".ljust(24) + "".join(n.rjust(width) for n in numbers))
        return "\n".join(lines)

    def svg(self) -> str:
        """Picture of the shares: a bar per loss, in groups by class, difficulty and distance.

        Returns
        -------
        str
            An SVG image.
        """
        return _svg(self)

    def save(self, path: str | Path) -> None:
        """Write the picture to a file.

        Parameters
        ----------
        path : str or pathlib.Path
            File to write, with the ending ``.svg``.

        Raises
        ------
        ValueError
            If the file has another ending.
        """
        if Path(path).suffix.lower() != ".svg":
            raise ValueError(f"the picture is an SVG image: path must end in .svg, got {path}")
        Path(path).write_text(self.svg(), encoding="utf-8")


def loss_profile(
    logits: ArrayLike,
    target: ArrayLike,
    losses: Mapping[str, Loss] | Sequence[Loss],
    *,
    ignore_index: int | Sequence[int] | NDArray[np.bool_] | None = None,
    class_names: Sequence[str] | None = None,
    spacing: Sequence[float] | None = None,
    channels_last: bool = False,
    threads: int = 0,
) -> LossProfiles:
    """Compare what losses ask of a prediction: values, and where their gradients go.

    Parameters
    ----------
    logits : array_like of float, shape (N, C, ...)
        Logits, as saved from any model. One or two, or three spatial axes.
    target : array_like of integers, shape (N, ...)
        Class of every pixel.
    losses : mapping of str to Loss, or sequence of Loss
        The losses; in a sequence they are named after their classes. They are to read the layout
        that ``channels_last`` says.
    ignore_index : int, sequence of int or array of bool, optional
        Labels whose pixels are left out, of the losses as well, or these pixels; beside those that
        all losses leave out by an ``ignore_index`` of their own.
    class_names : sequence of str, optional
        Names of the classes.
    spacing : sequence of float, optional
        Size of a pixel along every spatial axis, for the distances; 1 by default.
    channels_last : bool, default False
        Whether the channel axis is the last one.
    threads : int, default 0
        Threads to use.

    Returns
    -------
    LossProfiles
        Print it for a table, ``save`` it as a picture.

    Raises
    ------
    TypeError
        If a loss is none, or the target holds no labels.
    ValueError
        If shapes do not fit, names are not as many as the classes, or a label is out of range.

    Notes
    -----
    No model and no training: the gradient with respect to the logits is what the loss passes on
    to any network. The probability of the true class is that of the softmax, or of the sigmoid
    for a single channel. Pixels that are left out count as another label for the distances.

    Examples
    --------
    >>> import numpy as np
    >>> from segmeter.loss import CrossEntropy, Dice
    >>> rng = np.random.default_rng(0)
    >>> target = np.zeros((1, 32, 32), np.uint8)
    >>> target[0, 8:16, 8:16] = 1
    >>> logits = rng.normal(size=(1, 2, 32, 32)) + 3 * (np.arange(2)[:, None, None] == target)
    >>> profiles = loss_profile(logits, target, {"ce": CrossEntropy(), "dice": Dice()})
    >>> [round(100 * share) for share in profiles.class_pixels]
    [94, 6]
    >>> [round(100 * share) for share in profiles["dice"].class_share]
    [87, 13]
    """
    named = _named(losses)
    check_flag("channels_last", channels_last)
    array, labels = as_array(logits, "logits"), as_array(target, "target")
    if labels.dtype.kind not in "bui":
        raise TypeError(f"target must hold labels of an integer type, got {labels.dtype}")
    x = as_float64(array)
    x = np.moveaxis(x, -1, 1) if channels_last and x.ndim > 1 else x
    if x.ndim < 3 or labels.shape != (x.shape[0], *x.shape[2:]):
        raise ValueError(
            f"target must have shape (N, ...) of the logits (N, C, ...), got {labels.shape} for "
            f"{array.shape}"
        )
    left_out = set.intersection(*(_ignored(loss) for loss in named.values()))
    ignored, mask = without_mask(ignore_index, np.zeros(labels.shape, bool))
    left_out |= set(ignored_labels(ignored) or ())
    counted = ~np.isin(labels, sorted(left_out)) & ~mask
    names = _class_names(class_names, max(x.shape[1], 2))
    _check_labels(labels, counted, len(names))
    groups = _groups(x, labels, counted, len(names), spacing, threads)
    profiles = []
    for name, loss in named.items():
        value, gradient = loss(array, labels, mask=~counted, return_grad=True, threads=threads)
        slope = as_float64(gradient)
        slope = np.moveaxis(slope, -1, 1) if channels_last else slope
        profiles.append(_profile(name, float(value), slope, counted, groups))
    ones = np.ones(int(counted.sum()))
    by_class, by_difficulty, by_distance = (_shares(ones, *group) for group in groups)
    return LossProfiles(tuple(profiles), names, by_class, by_difficulty, by_distance)


def _named(losses: Any) -> dict[str, Loss]:
    """Losses by name: of a sequence their classes', numbered if one comes again."""
    if isinstance(losses, Loss):
        losses = [losses]
    if isinstance(losses, Mapping):
        named = dict(losses)
    else:
        named = {}
        for loss in losses:
            name = kind = type(loss).__name__
            count = 1
            while name in named:
                count += 1
                name = f"{kind} {count}"
            named[name] = loss
    if not named:
        raise ValueError("losses must hold at least one loss, got none")
    for name, loss in named.items():
        if not isinstance(loss, Loss):
            raise TypeError(f"losses must hold losses, got {type(loss).__name__} as {name!r}")
    return named


def _ignored(loss: Loss) -> set[int]:
    """Labels that a loss leaves out: of a sum those that all its members do."""
    if isinstance(loss, Compound):
        return set.intersection(*(_ignored(member) for _, member in loss.members))
    return set(ignored_labels(getattr(loss, "ignore_index", None)) or ())


def _check_labels(labels: NDArray[Any], counted: NDArray[np.bool_], number: int) -> None:
    wrong = counted & ((labels < 0) | (labels >= number))
    if wrong.any():
        place = tuple(int(i) for i in np.unravel_index(np.argmax(wrong), wrong.shape))
        raise ValueError(
            f"target holds label {labels[place]} at {place}, but there are classes 0..{number - 1} "
            "only: pass ignore_index= for pixels that must not count"
        )


def _class_names(names: Sequence[str] | None, number: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(k) for k in range(number))
    if len(names) != number:
        raise ValueError(f"class_names must name {number} classes, got {len(names)}")
    return tuple(names)


def _groups(
    x: FloatArray,
    labels: NDArray[Any],
    counted: NDArray[np.bool_],
    number: int,
    spacing: Sequence[float] | None,
    threads: int,
) -> list[tuple[NDArray[np.int64], int]]:
    """Class, bin of difficulty and bin of distance of every counted pixel; their numbers."""
    classes = np.where(counted, labels, 0).astype(np.int64)
    if x.shape[1] == 1:
        p = probabilities(x, "sigmoid")[0][:, 0]
        p = np.where(classes == 1, p, 1.0 - p)
    else:
        p = probabilities(x, "softmax")[0]
        p = np.take_along_axis(p, np.clip(classes, 0, x.shape[1] - 1)[:, None], 1)[:, 0]
    regions = np.where(counted, classes, number) + 1  # 0 would be no label
    flat = regions.reshape(len(labels), 1, -1) if labels.ndim == 2 else regions
    sizes = spacing if labels.ndim > 2 or spacing is None else (1.0, *spacing)
    distances = np.zeros(flat.shape)
    for n, image in enumerate(flat):
        distances[n] = distance_transform(image, labels=True, spacing=sizes, threads=threads)
    difficulty = np.searchsorted(DIFFICULTY[1:-1], p, side="right")
    distance = np.searchsorted(DISTANCE[1:-1], distances.reshape(labels.shape), side="left")
    return [
        (classes[counted], number),
        (difficulty[counted], len(DIFFICULTY) - 1),
        (distance[counted], len(DISTANCE) - 1),
    ]


def _profile(
    name: str,
    value: float,
    gradient: FloatArray,
    counted: NDArray[np.bool_],
    groups: list[tuple[NDArray[np.int64], int]],
) -> LossProfile:
    squares = (gradient * gradient).sum(1)[counted]
    sizes = np.abs(gradient).sum(1)[counted]
    classes, number = groups[0]
    return LossProfile(
        name,
        value,
        float(np.sqrt(squares.sum())),
        np.sqrt(np.bincount(classes, weights=squares, minlength=number)),
        *(_shares(sizes, *group) for group in groups),
    )


def _shares(sizes: FloatArray, group: NDArray[np.int64], number: int) -> FloatArray:
    total = sizes.sum()
    if not total > 0:
        return np.full(number, np.nan)
    shares: FloatArray = np.bincount(group, sizes, number) / total
    return shares


def _bin_labels(edges: Sequence[float]) -> list[str]:
    labels = [f"{low:g} - {high:g}" for low, high in pairwise(edges[:-1])]
    last = f"> {edges[-2]:g}" if np.isinf(edges[-1]) else f"{edges[-2]:g} - {edges[-1]:g}"
    return [*labels, last]


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"


# --- the picture

_COLOURS = ("#9aa0a6", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of the pixels and of the losses: told apart without colour vision too (Okabe and Ito)."""
_BAR, _GAP, _HEIGHT, _LEFT, _TOP = 9, 14, 150, 50, 56


def _svg(profiles: LossProfiles) -> str:
    names = ["pixels", *(profile.name for profile in profiles.profiles)]
    parts, top, width = [], _TOP, 420
    for title, labels, pixels, shares in profiles.panels():
        step = _BAR * len(names) + _GAP
        step = max(step, 8 * max(map(len, labels)))
        width = max(width, _LEFT + step * len(labels) + 20)
        parts.append(_text(_LEFT, top - 8, f"share of the gradient by {title}", bold=True))
        for tick in (0.0, 0.5, 1.0):
            y = top + _HEIGHT * (1 - tick)
            parts.append(_text(_LEFT - 6, y + 4, f"{100 * tick:.0f} %", anchor="end"))
            parts.append(
                f'<line x1="{_LEFT}" x2="{_LEFT + step * len(labels)}" y1="{y}" y2="{y}" '
                'stroke="#ddd"/>'
            )
        for group, label in enumerate(labels):
            left = _LEFT + group * step + _GAP / 2
            for index, share in enumerate([pixels, *shares]):
                height = 0.0 if np.isnan(share[group]) else _HEIGHT * share[group]
                hint = escape(f"{names[index]}, {label}: {_percent(share[group])}")
                parts.append(
                    f'<rect x="{left + index * _BAR:g}" y="{top + _HEIGHT - height:.2f}" '
                    f'width="{_BAR - 1}" height="{height:.2f}" fill="{_colour(index)}">'
                    f"<title>{hint}</title></rect>"
                )
            middle = left + _BAR * len(names) / 2
            parts.append(_text(middle, top + _HEIGHT + 14, label, anchor="middle"))
        top += _HEIGHT + 60
    x = _LEFT
    for index, name in enumerate(names):
        value = "" if index == 0 else f" ({profiles.profiles[index - 1].value:.3g})"
        parts.append(f'<rect x="{x}" y="12" width="10" height="10" fill="{_colour(index)}"/>')
        parts.append(_text(x + 14, 21, name + value))
        x += 30 + 7 * len(name + value)
    width = max(width, x)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{top - 30:g}" '
        f'viewBox="0 0 {width:g} {top - 30:g}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _colour(index: int) -> str:
    return _COLOURS[index] if index < len(_COLOURS) else f"hsl({137 * index % 360}, 60%, 45%)"


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'


__all__ = ["LossProfile", "LossProfiles", "loss_profile"]
