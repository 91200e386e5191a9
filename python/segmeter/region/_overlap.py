"""The overlap table: which region of one map shares how many pixels with which of the other."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .._arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

_SIDES = ("pred", "target")


def _empty() -> IntArray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class OverlapTable:
    """Regions of two maps and the pixels that each pair of them shares; a sparse table.

    Every score that compares regions by overlap is a function of it. All arrays are int64, except
    that ids beyond int64 are uint64. Tables of disjoint parts of an image (tiles, slabs) with
    common ids add up to the table of the whole.

    Attributes
    ----------
    pred_id, target_id : numpy.ndarray
        Ids of the regions, ascending. With split classes an id appears once for each class.
    pred_class, target_class : numpy.ndarray
        Class of each region; zeros where there are no classes.
    pred_area, target_area : numpy.ndarray
        Pixels of each region, those on ignored pixels of the other map included.
    pred_void, target_void : numpy.ndarray
        Pixels of each region that lie on ignored pixels of the other map.
    pred_index, target_index : numpy.ndarray
        The pairs of regions that share a pixel: positions in the arrays above, sorted by
        ``(target_index, pred_index)``.
    intersection : numpy.ndarray
        Pixels that each pair shares, at least 1.
    num_pixels : int
        Pixels of the image.
    num_ignored : int
        Pixels that are ignored in either map.
    split_classes : bool
        Whether an id stands for one region per class.

    Examples
    --------
    >>> import segmeter
    >>> table = segmeter.overlap_table([[1, 1, 2, 2]], [[7, 7, 7, 0]])
    >>> table.pred_id, table.target_id
    (array([1, 2]), array([7]))
    >>> table.intersection, table.iou.round(2)
    (array([2, 1]), array([0.67, 0.25]))
    """

    pred_id: IntArray
    target_id: IntArray
    pred_class: IntArray
    target_class: IntArray
    pred_area: IntArray
    target_area: IntArray
    pred_void: IntArray
    target_void: IntArray
    pred_index: IntArray = field(default_factory=_empty)
    target_index: IntArray = field(default_factory=_empty)
    intersection: IntArray = field(default_factory=_empty)
    num_pixels: int
    num_ignored: int = 0
    split_classes: bool = False

    @property
    def num_pred(self) -> int:
        """Number of predicted regions."""
        return len(self.pred_id)

    @property
    def num_target(self) -> int:
        """Number of target regions."""
        return len(self.target_id)

    @property
    def pred_counted_area(self) -> IntArray:
        """Pixels of each predicted region that are not ignored."""
        return self.pred_area - self.pred_void

    @property
    def target_counted_area(self) -> IntArray:
        """Pixels of each target region that are not ignored."""
        return self.target_area - self.target_void

    @property
    def union(self) -> IntArray:
        """Counted pixels of either region of each pair."""
        return self._sum_of_areas() - self.intersection

    @property
    def iou(self) -> FloatArray:
        """Intersection over union of each pair, over counted pixels."""
        return self.intersection / self.union

    @property
    def dice(self) -> FloatArray:
        """Dice score of each pair, ``2 intersection / (area + area)``, over counted pixels."""
        return 2 * self.intersection / self._sum_of_areas()

    @property
    def ior(self) -> FloatArray:
        """Intersection over reference: the share of the target region that each pair covers."""
        return self.intersection / self.target_counted_area[self.target_index]

    @property
    def iop(self) -> FloatArray:
        """Intersection over prediction: the share of the predicted region in each pair."""
        return self.intersection / self.pred_counted_area[self.pred_index]

    @property
    def same_class(self) -> NDArray[np.bool_]:
        """Whether the two regions of each pair are of one class."""
        return self.pred_class[self.pred_index] == self.target_class[self.target_index]

    def _sum_of_areas(self) -> IntArray:
        return self.pred_counted_area[self.pred_index] + self.target_counted_area[self.target_index]

    def by_class(self, label: int) -> OverlapTable:
        """The regions of one class alone, in both maps.

        Pixels of other classes' regions are then background: areas stay, pairs with them go.

        Examples
        --------
        >>> import segmeter
        >>> table = segmeter.overlap_table(
        ...     [1, 2], [1, 1], pred_classes={1: 5, 2: 6}, target_classes={1: 6}
        ... )
        >>> table.by_class(6).pred_id
        array([2])
        """
        return self._selected(self.pred_class == label, self.target_class == label)

    def swapped(self) -> OverlapTable:
        """The same table with prediction and target exchanged.

        Examples
        --------
        >>> import segmeter
        >>> segmeter.overlap_table([1, 1], [0, 3]).swapped().pred_id
        array([3])
        """
        arrays = self.to_arrays()
        for name in ("id", "class", "area", "void", "index"):
            pred, target = f"pred_{name}", f"target_{name}"
            arrays[pred], arrays[target] = arrays[target], arrays[pred]
        order = np.lexsort((arrays["pred_index"], arrays["target_index"]))
        for name in ("pred_index", "target_index", "intersection"):
            arrays[name] = arrays[name][order]
        return OverlapTable.from_arrays(arrays)

    def _selected(self, preds: NDArray[np.bool_], targets: NDArray[np.bool_]) -> OverlapTable:
        pairs = preds[self.pred_index] & targets[self.target_index]
        pred_position, target_position = np.cumsum(preds) - 1, np.cumsum(targets) - 1
        return OverlapTable(
            pred_id=self.pred_id[preds],
            target_id=self.target_id[targets],
            pred_class=self.pred_class[preds],
            target_class=self.target_class[targets],
            pred_area=self.pred_area[preds],
            target_area=self.target_area[targets],
            pred_void=self.pred_void[preds],
            target_void=self.target_void[targets],
            pred_index=pred_position[self.pred_index[pairs]],
            target_index=target_position[self.target_index[pairs]],
            intersection=self.intersection[pairs],
            num_pixels=self.num_pixels,
            num_ignored=self.num_ignored,
            split_classes=self.split_classes,
        )

    def __add__(self, other: OverlapTable) -> OverlapTable:
        if not isinstance(other, OverlapTable):
            return NotImplemented
        if self.split_classes != other.split_classes:
            raise ValueError("tables with and without split classes cannot be added")
        sides: dict[str, Any] = {}
        positions = {}
        for side in _SIDES:
            merged, positions[side] = _merged_side(self, other, side)
            sides.update(merged)
        pred_index, target_index = (
            np.concatenate(
                [
                    where[getattr(table, f"{side}_index")]
                    for table, where in zip((self, other), positions[side], strict=True)
                ]
            )
            for side in _SIDES
        )
        keys, inverse = np.unique(
            target_index * max(1, len(sides["pred_id"])) + pred_index, return_inverse=True
        )
        intersection = np.zeros(len(keys), np.int64)
        np.add.at(intersection, inverse, np.concatenate([self.intersection, other.intersection]))
        return OverlapTable(
            **sides,
            pred_index=keys % max(1, len(sides["pred_id"])),
            target_index=keys // max(1, len(sides["pred_id"])),
            intersection=intersection,
            num_pixels=self.num_pixels + other.num_pixels,
            num_ignored=self.num_ignored + other.num_ignored,
            split_classes=self.split_classes,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OverlapTable):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, part.name), getattr(other, part.name))
            for part in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __repr__(self) -> str:
        return (
            f"OverlapTable(num_pred={self.num_pred}, num_target={self.num_target}, "
            f"pairs={len(self.intersection)}, num_pixels={self.num_pixels})"
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All fields as plain arrays, for a file or a message; see :meth:`from_arrays`.

        Examples
        --------
        >>> import segmeter
        >>> table = segmeter.overlap_table([1, 2], [1, 1])
        >>> segmeter.OverlapTable.from_arrays(table.to_arrays()) == table
        True
        """
        return {part.name: np.array(getattr(self, part.name)) for part in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Table from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            If arrays that belong together differ in length, or pairs name no region.
        """
        scalars = {
            "num_pixels": int(np.asarray(arrays["num_pixels"])),
            "num_ignored": int(np.asarray(arrays["num_ignored"])),
            "split_classes": bool(np.asarray(arrays["split_classes"])),
        }
        columns: dict[str, Any] = {}
        for part in fields(cls):
            if part.name not in scalars:
                column = np.asarray(arrays[part.name])
                if column.ndim != 1 or column.dtype.kind not in "iu":
                    raise ValueError(f"{part.name} must be a 1-D array of integers")
                is_id = part.name in ("pred_id", "target_id")
                columns[part.name] = column if is_id else column.astype(np.int64)
        for side in _SIDES:
            lengths = {len(columns[f"{side}_{name}"]) for name in ("id", "class", "area", "void")}
            index = columns[f"{side}_index"]
            if len(lengths) > 1 or len(index) != len(columns["intersection"]):
                raise ValueError(f"the arrays of {side} regions differ in length")
            if index.size and not 0 <= index.min() <= index.max() < len(columns[f"{side}_id"]):
                raise ValueError(f"{side}_index names a region that does not exist")
        return cls(**columns, **scalars)


def overlap_table(
    pred: Any,
    target: Any,
    *,
    background: int | None = 0,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    pred_ignore_index: int | Sequence[int] | None = None,
    pred_classes: Mapping[int, int] | ArrayLike | None = None,
    target_classes: Mapping[int, int] | ArrayLike | None = None,
    split_classes: bool = False,
    threads: int = 0,
) -> OverlapTable:
    """Count the pixels that each region of ``pred`` shares with each region of ``target``.

    Parameters
    ----------
    pred, target : array_like of int or bool, or Regions
        Two instance maps of equal shape and any number of axes, in which equal ids are one region;
        or two :class:`Regions` of equal shape.
    background : int or None, default 0
        Id that is no region, in both maps. None: every id is a region.
    ignore_index : int, sequence of int, or bool array, optional
        Ids of ``target`` whose pixels are ignored, or a mask of ``target``'s shape, true where
        pixels are ignored. An ignored pixel belongs to no target region; how many of them each
        predicted region covers is ``pred_void``. Takes precedence over ``background``.
    pred_ignore_index : int or sequence of int, optional
        The same for ids of ``pred``; how many of these pixels each target region covers is
        ``target_void``.
    pred_classes, target_classes : mapping, sequence of int, or class map, optional
        Class of each region: a mapping from id to class; or one class per id in ascending order
        of the ids; or a label map of the same shape as the instance map.
    split_classes : bool, default False
        With class maps, treat the parts of an id that lie under different classes as different
        regions, instead of raising an error.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input and the machine's limits. The result
        does not depend on it.

    Returns
    -------
    OverlapTable

    Raises
    ------
    ValueError
        Shapes differ; a region has no class, or lies under two; an argument outside its range.
    TypeError
        Ids are not integers, or an argument is of the wrong type.

    Notes
    -----
    Definition and source: the table of intersections of panoptic quality (Kirillov et al., CVPR
    2019), with the void pixels of each region counted apart as in the official evaluation, whose
    union leaves the predicted region's pixels on void out. Empty maps give empty tables.

    Examples
    --------
    >>> import segmeter
    >>> target = [[1, 1, 0], [2, 2, 255]]
    >>> pred = [[4, 4, 4], [0, 5, 5]]
    >>> table = segmeter.overlap_table(pred, target, ignore_index=255)
    >>> table.pred_index, table.target_index, table.intersection
    (array([0, 1]), array([0, 1]), array([2, 1]))
    >>> table.pred_void
    array([0, 1])
    """
    from ..reference import region_overlap

    return region_overlap.overlap_table(
        _ids(pred, "pred"),
        _ids(target, "target"),
        background=background,
        ignore_index=ignore_index,
        pred_ignore_index=pred_ignore_index,
        pred_classes=pred_classes,
        target_classes=target_classes,
        split_classes=split_classes,
        threads=threads,
    )


def _ids(value: Any, name: str) -> NDArray[Any]:
    array = as_array(value, name)
    if array.dtype.kind not in "biu":
        raise TypeError(f"{name} must hold integer or bool ids, got dtype {array.dtype}")
    return array


def _merged_side(
    first: OverlapTable, second: OverlapTable, side: str
) -> tuple[dict[str, Any], list[IntArray]]:
    """Regions of both tables by id (and class, if split), and where each table's went."""
    tables = (first, second)

    def both(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(table, f"{side}_{name}") for table in tables])

    ids, classes = _join_ids(*(getattr(table, f"{side}_id") for table in tables)), both("class")
    order = np.lexsort((classes, ids))
    fresh = np.ones(len(ids), bool)
    fresh[1:] = ids[order][1:] != ids[order][:-1]
    if first.split_classes:
        fresh[1:] |= classes[order][1:] != classes[order][:-1]
    position = np.empty(len(ids), np.int64)
    position[order] = np.cumsum(fresh) - 1
    chosen = order[fresh]
    conflict = classes != classes[chosen][position]
    if conflict.any():
        at = int(np.flatnonzero(conflict)[0])
        raise ValueError(
            f"{side} region {ids[at]} has class {classes[chosen][position][at]} in one table and "
            f"{classes[at]} in the other; give it one class, or use split_classes=True in both"
        )
    sums = {}
    for name in ("area", "void"):
        sums[name] = np.zeros(len(chosen), np.int64)
        np.add.at(sums[name], position, both(name))
    merged = {
        f"{side}_id": ids[chosen],
        f"{side}_class": classes[chosen],
        f"{side}_area": sums["area"],
        f"{side}_void": sums["void"],
    }
    size = len(getattr(first, f"{side}_id"))
    return merged, [position[:size], position[size:]]


def _join_ids(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Ids of two tables in one array; int64 and uint64 have no common integer type in NumPy."""
    if first.dtype == second.dtype:
        return np.concatenate([first, second])
    parts = [ids for ids in (first, second) if len(ids)]
    if len(parts) < 2:
        return parts[0] if parts else first
    if any(int(ids.min()) < 0 for ids in parts):
        raise ValueError("ids beyond int64 in one table and negative ids in the other cannot merge")
    return np.concatenate([ids.astype(np.uint64) for ids in parts])
