"""What lets ``sum(list_of_counts)`` work for every class of counts."""

from __future__ import annotations

from typing import Self


class Summable:
    """Counts that can be added, and so be summed."""

    __slots__ = ()

    def __radd__(self, other: object) -> Self:
        # The 0 that sum() starts with.
        return self if type(other) is int and other == 0 else NotImplemented
