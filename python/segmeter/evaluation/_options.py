"""Keywords that several functions take and hand on, written down once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict, TypeVar

Mapping_: TypeAlias = Mapping[int, int | str | None] | Sequence[int | str | None]
Color: TypeAlias = tuple[int, int, int]
OutOfRange = Literal["raise", "ignore", "wrong"]
SpacingOption: TypeAlias = Literal["auto", "pixel"] | Sequence[float]
ToleranceOption: TypeAlias = float | Sequence[float] | Mapping[str, float]
ToleranceUnit: TypeAlias = Literal["mm", "pixel"]
Function = TypeVar("Function", bound="Callable[..., object]")


class PlanOptions(TypedDict, total=False):
    """Keywords of :func:`segmeter.evaluation.plan.make_plan`, which says what they mean."""

    protocol: str | None
    num_classes: int | None
    class_names: Sequence[str] | None
    ignore_index: int | Sequence[int] | None
    mapping: Mapping_ | None
    pred_mapping: Mapping_ | None
    label_groups: Mapping[str, Sequence[int | str]] | None
    reduce_zero_label: bool
    out_of_range: OutOfRange
    threshold: float | None
    color_table: Mapping[Color, int] | None
    measures: Sequence[str] | None
    instances: bool
    connectivity: int | None
    things: Sequence[int | str] | None
    spacing: SpacingOption | None
    tolerance: ToleranceOption | None
    tolerance_unit: ToleranceUnit | None
    preset: str | None
    boundary_ratio: float | None


def hands_on(function: Callable[..., object]) -> Callable[[Function], Function]:
    """Show the keywords of a function in the signature of one that hands ``**options`` on to it.

    Examples
    --------
    >>> def inner(*, a=1): ...
    >>> @hands_on(inner)
    ... def outer(first, *, b=2, **options): ...
    >>> inspect.signature(outer)
    <Signature (first, *, b=2, a=1)>
    """

    def decorate(outer: Function) -> Function:
        signature = inspect.signature(outer)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        theirs = inspect.signature(function).parameters.values()
        inner = [p for p in theirs if p.kind is p.KEYWORD_ONLY]
        whole = signature.replace(parameters=[*own, *inner])
        outer.__signature__ = whole  # type: ignore[attr-defined]
        return outer

    return decorate
