"""Counts that add up over images: what every counts class of the region scores has in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from .._counts import Summable
from ._stored import required, whole_number

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
    # Sums that may be below 0.
    signed_fields: ClassVar[tuple[str, ...]] = ()

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
            The arrays are not such counts: one is missing, of another type or shape, or negative.
        """
        stored = required(arrays, [f.name for f in fields(cls)], cls.__name__)
        kinds = {f.name: str(f.type) for f in fields(cls)}
        counts = cls(**{name: _restored(stored[name], kinds[name], name) for name in kinds})
        counts._require_fitting()
        return counts

    def _require_fitting(self) -> None:
        """Refuse sums of unequal shapes, negative ones, and those that are not of what is common.

        The last axis of sums runs over what the common fields list.
        """
        common = [np.shape(getattr(self, name))[0] for name in self.common_fields]
        sums = {
            f.name: np.asarray(getattr(self, f.name))
            for f in fields(self)
            if f.name not in self.common_fields and "Array" in str(f.type)
        }
        shapes = {name: array.shape for name, array in sums.items()}
        if len(set(shapes.values())) > 1 or any(
            shape[-1:] != (length,) for shape in shapes.values() for length in common
        ):
            raise ValueError(f"arrays of {type(self).__name__} differ in shape: {shapes}")
        for name, array in sums.items():
            if name not in self.signed_fields and not (array >= 0).all():
                raise ValueError(f"{name} must hold numbers from 0")

    def _beside(self, other: object) -> list[tuple[str, Any, Any, bool]]:
        return [
            (f.name, getattr(self, f.name), getattr(other, f.name), f.name in self.common_fields)
            for f in fields(self)
        ]


def _stored(value: Any) -> NDArray[Any]:
    # Integers beyond int64 as decimal text: exact, and no pickle in the file.
    too_large = isinstance(value, int) and abs(value) > _INT64_MAX
    return np.array(str(value) if too_large else value)


def _restored(array: NDArray[Any], kind: str, name: str) -> Any:
    """A stored value as a field of this kind, the annotation of the field, has it."""
    if kind == "tuple[str, ...]":
        if array.dtype.kind != "U" or array.ndim != 1:
            raise ValueError(f"{name} must be one axis of text, got {array.dtype} {array.shape}")
        return tuple(array.tolist())
    if kind == "int":
        text = array.item() if array.dtype.kind == "U" and array.ndim == 0 else None
        if text is None:
            return whole_number(array, name)
        if not text.isdecimal():
            raise ValueError(f"{name} must be one integer, got {text!r}")
        return int(text)
    takes_floats = kind == "float" or "FloatArray" in kind
    if array.dtype.kind not in ("iuf" if takes_floats else "iu"):
        what = "numbers" if takes_floats else "whole numbers"
        raise ValueError(f"{name} must hold {what}, got {array.dtype}")
    if kind == "float":
        if array.ndim:
            raise ValueError(f"{name} must be one number, got {array.shape}")
        return float(array)
    is_whole = array.dtype.kind != "f" and (not takes_floats or "np.int64" in kind)
    return array.astype(np.int64 if is_whole else np.float64)
