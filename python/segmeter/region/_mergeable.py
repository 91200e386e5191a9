"""Counts that add up over images: what every counts class of the region scores has in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from .._counts import Summable
from ._stored import required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, eq=False)
class MergeableCounts(Summable):
    """Counts of some pairs of label maps; those of all pairs are their sum.

    Integer fields are exact, so that sums of them do not depend on order; float64 fields are sums
    of scores and agree up to rounding. ``sum(list_of_counts)`` works.
    """

    # Fields that say what was counted: equal in both summands, never added.
    common_fields: ClassVar[tuple[str, ...]] = ()

    def __add__(self, other: object) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        sums = {}
        for name, mine, theirs, is_common in self._beside(other):
            if is_common and not np.array_equal(mine, theirs):
                raise ValueError(
                    f"only counts with the same {name} can be added, got {mine!r} and {theirs!r}"
                )
            if np.shape(mine) != np.shape(theirs):
                raise ValueError(
                    f"only counts of the same shape can be added, got {name} of shapes "
                    f"{np.shape(mine)} and {np.shape(theirs)}"
                )
            sums[name] = mine if is_common else mine + theirs
        return type(self)(**sums)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(np.array_equal(mine, theirs) for _, mine, theirs, _ in self._beside(other))

    __hash__ = None  # type: ignore[assignment]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for ``numpy.savez`` and the like; :meth:`from_arrays` reads them back."""
        return {f.name: _stored(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Counts from the arrays of :meth:`to_arrays`.

        Raises
        ------
        ValueError
            If an array is missing.
        """
        names = [f.name for f in fields(cls)]
        stored = required(arrays, names, cls.__name__)
        return cls(**{name: _restored(array) for name, array in stored.items()})

    def _beside(self, other: object) -> list[tuple[str, Any, Any, bool]]:
        return [
            (f.name, getattr(self, f.name), getattr(other, f.name), f.name in self.common_fields)
            for f in fields(self)
        ]


def _stored(value: Any) -> NDArray[Any]:
    # Integers beyond int64 as decimal text: exact, and no pickle in the file.
    too_large = isinstance(value, int) and abs(value) > _INT64_MAX
    return np.array(str(value) if too_large else value)


def _restored(array: NDArray[Any]) -> Any:
    if array.ndim == 0:
        value = array.item()
        is_number = isinstance(value, str) and value.lstrip("-").isdigit()
        return int(value) if is_number else value
    return tuple(array.tolist()) if array.dtype.kind == "U" else array.copy()
