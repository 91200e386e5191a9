"""Options of distances: spacing, tolerance and the conventions of a tool, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from segmeter.boundary import SURFACE_PRESETS
from segmeter.boundary._checks import LARGEST_STEP, SMALLEST_STEP, positive_number

if TYPE_CHECKING:
    from segmeter.evaluation._options import SpacingOption, ToleranceOption, ToleranceUnit

Spacing: TypeAlias = Literal["auto", "pixel"] | tuple[float, ...]

DEFAULT_TOLERANCE = (1.0,)


def checked_spacing(given: SpacingOption | None) -> Spacing:
    """Where the spacing comes from, or two or three numbers.

    Examples
    --------
    >>> checked_spacing(None), checked_spacing([3, 1, 1])
    ('auto', (3.0, 1.0, 1.0))
    """
    if given is None:
        return "auto"
    if isinstance(given, str) and given in ("auto", "pixel"):
        return given
    rule = f"spacing must be 'auto', 'pixel' or a number for each axis, got {given!r}"
    if isinstance(given, str):
        raise ValueError(rule)
    if not isinstance(given, Sequence | np.ndarray):
        raise TypeError(rule)
    if len(given) not in (2, 3):
        raise ValueError(f"spacing must have two or three numbers, one per axis, got {len(given)}")
    steps = tuple(_number(step, "spacing") for step in given)
    for step in steps:
        if not (SMALLEST_STEP < step < LARGEST_STEP):
            raise ValueError(
                f"spacing must be finite numbers above 0, got {step:g}"
                if not 0 < step < math.inf
                else f"spacing must be between {SMALLEST_STEP:g} and {LARGEST_STEP:g}, got {step:g}"
            )
    return steps


def checked_tolerance(given: float | Sequence[float]) -> tuple[float, ...]:
    """Tolerances for all classes.

    Examples
    --------
    >>> checked_tolerance(2), checked_tolerance([0.5, 1])
    ((2.0,), (0.5, 1.0))
    """
    if isinstance(given, str):
        raise TypeError(f"tolerance must be one or several numbers, got {given!r}")
    values = tuple(map(_tolerance, given if isinstance(given, Sequence | np.ndarray) else [given]))
    if not values:
        raise ValueError("tolerance is empty; give at least one distance")
    shown = [f"{value:g}" for value in values]  # as in the names of the scores
    if len(set(shown)) < len(shown):
        raise ValueError(f"tolerance holds a distance twice: {', '.join(shown)}")
    return values


def checked_tolerances(
    given: Mapping[str, float], names: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    """One tolerance for each of the classes and groups of these names.

    Examples
    --------
    >>> checked_tolerances({"tumour": 1, "liver": 2}, ["liver", "tumour"])
    (('liver', 2.0), ('tumour', 1.0))
    """
    wrong = [name for name in given if name not in names]
    if wrong:
        known = ", ".join(names) or "no classes"
        raise ValueError(f"tolerance names {wrong[0]!r}, which is not measured; there are {known}")
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(
            "tolerance must be given for every class that is measured; "
            f"{', '.join(missing)} missing"
        )
    return tuple((name, _tolerance(given[name])) for name in names)


def checked_unit(
    given: str | None, tolerance: ToleranceOption | None, spacing: Spacing
) -> ToleranceUnit | None:
    """Unit of the tolerance, which distances must be in; None: whichever they are in.

    Examples
    --------
    >>> checked_unit("mm", 1, "auto")
    'mm'
    """
    if given is None:
        return None
    if given not in ("mm", "pixel"):
        raise ValueError(f"tolerance_unit must be 'mm' or 'pixel', got {given!r}")
    if tolerance is None:
        raise ValueError("tolerance_unit is the unit of tolerance, which is not given")
    if given == "mm" and spacing == "pixel":
        raise ValueError(
            "tolerance is in mm, but spacing='pixel' measures in pixels; leave out one of them"
        )
    if given == "pixel" and not isinstance(spacing, str):
        raise ValueError(
            "tolerance is in pixels, but distances are in the unit of the spacing that is given; "
            "leave out the unit, or measure with spacing='pixel'"
        )
    return "mm" if given == "mm" else "pixel"


def checked_preset(given: str | None) -> str | None:
    """The name of the conventions of a tool."""
    if given is not None and given not in SURFACE_PRESETS:
        raise ValueError(f"preset must be one of {', '.join(SURFACE_PRESETS)}, got {given!r}")
    return given


def checked_boundary_ratio(given: float | None) -> float | None:
    """Width of bands as a share of the image's diagonal.

    Examples
    --------
    >>> checked_boundary_ratio(0.02)
    0.02
    """
    if given is None:
        return None
    ratio = positive_number(given, "boundary_ratio")
    if ratio > 1:
        raise ValueError(
            "boundary_ratio must be a share of the image's diagonal, at most 1, such as 0.02, got "
            f"{ratio:g}"
        )
    return ratio


def _tolerance(value: Any) -> float:
    number = _number(value, "tolerance")
    if not 0 <= number < math.inf:
        raise ValueError(f"tolerance must be a finite distance from 0 on, got {number:g}")
    return number


def _number(value: Any, option: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{option} must hold numbers, got {value!r}")
    return float(value)
