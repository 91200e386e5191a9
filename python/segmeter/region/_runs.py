"""Label maps as runs: the maximal stretches of one value within a row."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .. import _core
from .._arrays import as_array, integer, thread_limit
from ._stored import required, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


class RunList:
    """A label map as runs: row by row, the maximal stretches of one value.

    A row is a line of pixels along the last axis; rows follow each other in C order. A structured
    mask has a few runs per row, so a list takes a small part of the memory of its map, and
    components, overlaps and areas follow from it without the map.

    Parameters
    ----------
    shape : tuple of int
        Shape of the map, two or three axes.
    row_begin : array_like of int64
        ``rows + 1`` numbers: row ``r`` holds the runs ``row_begin[r] .. row_begin[r + 1] - 1``.
    begin, end : array_like of uint32
        Run ``i`` covers the pixels ``begin[i] .. end[i] - 1`` of its row. The runs of a row are in
        order and do not overlap.
    value : array_like of int64 or uint64, optional
        Label of each run; left out, the list is binary and every value is 1.

    Raises
    ------
    ValueError
        The arrays make no run list of that shape.

    Examples
    --------
    >>> import segmeter
    >>> runs = segmeter.RunList.from_array([[0, 3, 3], [5, 5, 0]])
    >>> runs.begin, runs.end, runs.value
    (array([1, 0], dtype=uint32), array([3, 2], dtype=uint32), array([3, 5]))
    >>> runs.to_array()
    array([[0, 3, 3],
           [5, 5, 0]], dtype=uint8)
    """

    __slots__ = ("_value", "begin", "end", "row_begin", "shape")

    shape: tuple[int, ...]
    row_begin: NDArray[np.int64]
    begin: NDArray[np.uint32]
    end: NDArray[np.uint32]

    def __init__(
        self,
        shape: Sequence[int],
        row_begin: ArrayLike,
        begin: ArrayLike,
        end: ArrayLike,
        value: ArrayLike | None = None,
    ) -> None:
        self.shape = tuple(operator.index(extent) for extent in shape)
        self.row_begin = whole_numbers(row_begin, np.int64, "row_begin")
        self.begin = whole_numbers(begin, np.uint32, "begin")
        self.end = whole_numbers(end, np.uint32, "end")
        self._value: NDArray[Any] | None = None
        if value is not None:
            values = np.asarray(value)
            self._value = whole_numbers(values, wide_type(values.dtype), "value")
        _core.check_runs(self.shape, self._arrays())

    @classmethod
    def _of(cls, shape: tuple[int, ...], arrays: Any, dtype: np.dtype[Any] | None) -> Self:
        """A list from the core's arrays, which need no check."""
        runs = cls.__new__(cls)
        runs.shape = shape
        runs.row_begin, runs.begin, runs.end, value = arrays
        runs._value = None if value is None or dtype is None else value.view(wide_type(dtype))
        return runs

    @classmethod
    def from_array(
        cls,
        label_map: ArrayLike,
        *,
        background: int | None = 0,
        binary: bool = False,
        ignore_index: int | Sequence[int] | ArrayLike | None = None,
        threads: int = 0,
    ) -> Self:
        """The runs of a label map.

        Parameters
        ----------
        label_map : array_like of int or bool
            Two or three axes, any integer type, memory layout and byte order.
        background : int or None, default 0
            The label that belongs to no run; ``None``: every label has runs.
        binary : bool, default False
            All labels but the background are one; the list then has no values.
        ignore_index : int, sequence of int, or bool array, optional
            Label value or values that belong to no run; or a mask of the map's shape, true at
            pixels that belong to none.
        threads : int, default 0
            Number of threads; 0 chooses. The result does not depend on it.

        Raises
        ------
        ValueError, TypeError
            As :func:`segmeter.label_components`.

        Examples
        --------
        >>> import segmeter
        >>> segmeter.RunList.from_array([[7, 7, 9]], binary=True)
        RunList(shape=(1, 3), runs=1)
        """
        chosen = Selection.of(label_map, background, binary, ignore_index, threads)
        arrays = _core.find_runs(
            chosen.labels, chosen.background, chosen.binary, chosen.ignored, chosen.mask,
            chosen.threads,
        )  # fmt: skip
        return cls._of(chosen.labels.shape, arrays, None if binary else chosen.labels.dtype)

    @classmethod
    def concatenate(cls, slabs: Sequence[RunList]) -> Self:
        """Lists of consecutive slabs as the list of the whole, along the first axis.

        Parameters
        ----------
        slabs : sequence of RunList
            At least one; all extents but the first must be equal.

        Raises
        ------
        ValueError
            The slabs do not fit together.

        Examples
        --------
        >>> import segmeter
        >>> top, bottom = (segmeter.RunList.from_array(rows) for rows in ([[1, 0]], [[2, 2]]))
        >>> segmeter.RunList.concatenate([top, bottom]).to_array()
        array([[1, 0],
               [2, 2]], dtype=uint8)
        """
        slabs = list(slabs)
        if not slabs:
            raise ValueError("slabs must hold at least one run list")
        first = slabs[0]
        for slab in slabs:
            if slab.shape[1:] != first.shape[1:]:
                raise ValueError(
                    "slabs must have equal extents on all axes but the first, got "
                    f"{first.shape} and {slab.shape}"
                )
            if slab.is_binary != first.is_binary or slab.value.dtype != first.value.dtype:
                raise ValueError("slabs must all be binary or all have values of one type")
        starts = np.cumsum([0, *(len(slab) for slab in slabs)])
        rows = [slab.row_begin[:-1] + start for slab, start in zip(slabs, starts, strict=False)]
        whole = cls.__new__(cls)
        whole.shape = (sum(slab.shape[0] for slab in slabs), *first.shape[1:])
        whole.row_begin = np.concatenate([*rows, starts[-1:]]).astype(np.int64)
        whole.begin = np.concatenate([slab.begin for slab in slabs])
        whole.end = np.concatenate([slab.end for slab in slabs])
        whole._value = None
        if not first.is_binary:
            whole._value = np.concatenate([slab.value for slab in slabs])
        return whole

    @property
    def is_binary(self) -> bool:
        """Whether the list has no values of its own."""
        return self._value is None

    @property
    def value(self) -> NDArray[Any]:
        """Label of each run, int64, or uint64 for uint64 maps; ones in a binary list."""
        if self._value is None:
            return np.ones(len(self.begin), np.int64)
        return self._value

    @property
    def length(self) -> NDArray[np.int64]:
        """Pixels of each run."""
        return self.end.astype(np.int64) - self.begin

    @property
    def row(self) -> NDArray[np.int64]:
        """Row of each run."""
        rows = np.arange(len(self.row_begin) - 1)
        return np.repeat(rows, np.diff(self.row_begin))

    def __len__(self) -> int:
        return len(self.begin)

    def __repr__(self) -> str:
        return f"RunList(shape={self.shape}, runs={len(self)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunList):
            return NotImplemented
        return (
            self.shape == other.shape
            and self.is_binary == other.is_binary
            and all(
                np.array_equal(getattr(self, name), getattr(other, name))
                for name in ("row_begin", "begin", "end", "value")
            )
        )

    __hash__ = None  # type: ignore[assignment]  # arrays inside

    def _arrays(self) -> tuple[Any, Any, Any, Any]:
        """What the core takes for a list."""
        value = self._value
        return self.row_begin, self.begin, self.end, None if value is None else value.view(np.int64)

    def to_array(self, *, background: int = 0, threads: int = 0) -> NDArray[Any]:
        """The label map, in the smallest integer type that holds all values.

        Parameters
        ----------
        background : int, default 0
            Label of the pixels that belong to no run.
        threads : int, default 0
            Number of threads; 0 chooses.

        Examples
        --------
        >>> import segmeter
        >>> segmeter.RunList.from_array([[300, 0]]).to_array(background=-1)
        array([[300,  -1]], dtype=int16)
        """
        values = np.ones(1, np.int64) if self._value is None else self._value
        return painted(self, None, values, integer(background, "background"), threads)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The list as plain arrays, for a file or a message; see :meth:`from_arrays`.

        Examples
        --------
        >>> import segmeter
        >>> runs = segmeter.RunList.from_array([[0, 3, 3], [5, 5, 0]])
        >>> segmeter.RunList.from_arrays(runs.to_arrays()) == runs
        True
        """
        arrays: dict[str, NDArray[Any]] = {
            "shape": np.array(self.shape, np.int64),
            "row_begin": self.row_begin,
            "begin": self.begin,
            "end": self.end,
        }
        return arrays if self._value is None else arrays | {"value": self._value}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """The list from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            The arrays make no run list.
        """
        stored = required(arrays, ("shape", "row_begin", "begin", "end"), cls.__name__)
        shape = whole_numbers(stored.pop("shape"), np.int64, "shape").tolist()
        return cls(shape, **stored, value=arrays.get("value"))


# --- painting ------------------------------------------------------------------------------------


def painted(
    runs: RunList,
    key: NDArray[np.int32] | None,
    values: NDArray[Any],
    background: int,
    threads: int,
) -> NDArray[Any]:
    """Runs filled with ``values[key]``, or their own values, in the smallest type for them."""
    low = min(int(values.min(initial=0)), background) if len(values) else min(background, 0)
    high = max(int(values.max(initial=0)), background) if len(values) else max(background, 0)
    dtype = smallest_type(low, high)
    bits = values.astype(np.int64) if values.dtype != np.uint64 else values.view(np.int64)
    filler = background - 2**64 if background >= 2**63 else background
    return _core.paint_runs(
        runs.shape, runs._arrays(), key, bits, dtype, filler, thread_limit(threads)
    )


def smallest_type(low: int, high: int) -> np.dtype[Any]:
    """The smallest integer type that holds ``low .. high``, unsigned if it may be.

    Examples
    --------
    >>> smallest_type(0, 256), smallest_type(-1, 3)
    (dtype('uint16'), dtype('int8'))
    """
    for name in ("u1", "u2", "u4", "u8") if low >= 0 else ("i1", "i2", "i4", "i8"):
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return np.dtype(name)
    raise ValueError(f"no integer type holds both {low} and {high}")


# --- arguments -----------------------------------------------------------------------------------


class Selection(NamedTuple):
    """A label map and what separates its runs, in the form the core takes: bit patterns."""

    labels: NDArray[Any]
    background: int | None
    binary: bool
    ignored: tuple[int, ...]
    mask: NDArray[np.bool_] | None
    threads: int

    @classmethod
    def of(
        cls, label_map: Any, background: Any, binary: bool, ignore_index: Any, threads: Any
    ) -> Selection:
        """Validate the arguments of a function that looks for runs."""
        labels = as_array(label_map, "label_map")
        if labels.dtype.kind not in "biu":
            raise TypeError(
                f"label_map must hold integers or bools, got {labels.dtype}; round or cast "
                "labels, and cut scores at a threshold"
            )
        if labels.ndim not in (2, 3):
            raise ValueError(
                f"label_map must have two or three axes, got shape {labels.shape}; label the "
                "images of a batch one by one"
            )
        if binary and background is None:
            raise ValueError("binary=True needs a background label to tell the regions from")
        mask = _mask(ignore_index, labels)
        ignored = () if mask is not None else _ignored(ignore_index)
        kept = (bits_of(label, labels.dtype) for label in ignored)
        return cls(
            labels,
            None
            if background is None
            else bits_of(integer(background, "background"), labels.dtype),
            bool(binary),
            tuple(bits for bits in kept if bits is not None),
            mask,
            thread_limit(threads),
        )


def bits_of(label: int, dtype: np.dtype[Any]) -> int | None:
    """A label as the int64 of the same bits; None where no pixel of the type can be equal to it.

    Examples
    --------
    >>> bits_of(2**64 - 1, np.dtype("u8")), bits_of(300, np.dtype("u1"))
    (-1, None)
    """
    if dtype.kind == "b":
        return label if label in (0, 1) else None
    limits = np.iinfo(dtype)
    if not limits.min <= label <= limits.max:
        return None
    return label - 2**64 if label >= 2**63 else label


def _mask(ignore_index: Any, labels: NDArray[Any]) -> NDArray[np.bool_] | None:
    """The mask among the forms of ``ignore_index``, else None."""
    if "bool" not in str(getattr(ignore_index, "dtype", "")) or not getattr(
        ignore_index, "shape", ()
    ):
        return None
    mask = as_array(ignore_index, "ignore_index")
    if mask.shape != labels.shape:
        raise ValueError(
            f"ignore_index: a mask must have the shape of the map, {labels.shape}, got {mask.shape}"
        )
    return mask


def _ignored(ignore_index: Any) -> tuple[int, ...]:
    """The labels among the forms of ``ignore_index``."""
    if ignore_index is None:
        return ()
    if isinstance(ignore_index, (int, np.integer)):
        return (integer(ignore_index, "ignore_index"),)
    if isinstance(ignore_index, str) or np.ndim(ignore_index) != 1:
        raise TypeError(
            "ignore_index must be a label, a sequence of labels or a bool mask; "
            f"got {type(ignore_index).__name__}: pass a mask as mask.astype(bool)"
        )
    return tuple(dict.fromkeys(integer(label, "ignore_index") for label in ignore_index))


def wide_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of values of runs of a map of this type."""
    return np.dtype(np.uint64 if dtype.kind == "u" and dtype.itemsize == 8 else np.int64)
