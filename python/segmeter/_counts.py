"""What the counts of every family have in common."""

from __future__ import annotations

from typing import Self


class Summable:
    """Counts that can be added: ``sum(list_of_counts)`` works."""

    __slots__ = ()

    def __radd__(self, other: object) -> Self:
        # The 0 that sum() starts with.
        return self if type(other) is int and other == 0 else NotImplemented


def require_counts(counts: object, kind: type, maker: str) -> None:
    """Refuse anything but the counts that a score is a function of, and say what makes them."""
    if not isinstance(counts, kind):
        name = type(counts).__name__
        raise TypeError(f"counts must be {kind.__name__}, as {maker} gives them, got {name}")
