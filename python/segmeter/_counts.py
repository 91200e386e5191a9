"""What the counts of every family have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Stored(Protocol):
    """What can be written as named arrays."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        ...


class Summable:
    """Counts that can be added: ``sum(list_of_counts)`` works."""

    __slots__ = ()

    def __radd__(self, other: object) -> Self:
        # The 0 that sum() starts with.
        return self if type(other) is int and other == 0 else NotImplemented


def equal_arrays(counts: Stored, other: object) -> bool:
    """Whether two counts are of one type and hold the same."""
    if not isinstance(other, type(counts)):
        return False
    mine, theirs = counts.to_arrays(), other.to_arrays()
    return all(
        np.array_equal(mine[name], theirs[name], equal_nan=mine[name].dtype.kind == "f")
        for name in mine
    )


def require_counts(counts: object, kind: type, maker: str) -> None:
    """Refuse anything but the counts that a score is a function of, and say what makes them."""
    if not isinstance(counts, kind):
        name = type(counts).__name__
        raise TypeError(f"counts must be {kind.__name__}, as {maker} gives them, got {name}")
