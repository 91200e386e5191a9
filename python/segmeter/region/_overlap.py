"""The overlap table: which region of one map shares how many pixels with which of the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from .. import _core
from .._arrays import as_array, integer, thread_limit
from .._counts import Summable
from ._components import Regions
from ._runs import RunList, bits_of, wide_type
from ._stored import (
    natural_numbers,
    positions,
    require_equal_lengths,
    required,
    whole_number,
    whole_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

_SIDES = ("pred", "target")


def _empty() -> IntArray:
    return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class OverlapTable(Summable):
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

    # A value for each pair; and for each region, on both sides.
    _pair_fields: ClassVar[tuple[str, ...]] = ("pred_index", "target_index", "intersection")
    _region_fields: ClassVar[tuple[str, ...]] = ("id", "class", "area", "void")

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
        return np.equal(self.pred_class[self.pred_index], self.target_class[self.target_index])

    def pairs_at(self, positions: NDArray[Any]) -> dict[str, Any]:
        """Some of the pairs, as the fields that hold them."""
        return {name: getattr(self, name)[positions] for name in self._pair_fields}

    def _sum_of_areas(self) -> IntArray:
        return self.pred_counted_area[self.pred_index] + self.target_counted_area[self.target_index]

    def by_class(self, label: int) -> Self:
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

    def swapped(self) -> Self:
        """The same table with prediction and target exchanged.

        Examples
        --------
        >>> import segmeter
        >>> segmeter.overlap_table([1, 1], [0, 3]).swapped().pred_id
        array([3])
        """
        order = np.lexsort((self.target_index, self.pred_index))
        pairs = self.pairs_at(order)
        pairs["pred_index"], pairs["target_index"] = pairs["target_index"], pairs["pred_index"]
        sides: dict[str, Any] = {
            f"{side}_{name}": getattr(self, f"{other}_{name}")
            for side, other in (_SIDES, _SIDES[::-1])
            for name in self._region_fields
        }
        return replace(self, **sides, **pairs)

    def _selected(self, preds: NDArray[np.bool_], targets: NDArray[np.bool_]) -> Self:
        kept = np.flatnonzero(preds[self.pred_index] & targets[self.target_index])
        pairs = self.pairs_at(kept)
        sides: dict[str, Any] = {}
        for side, chosen in zip(_SIDES, (preds, targets), strict=True):
            position = np.cumsum(chosen) - 1
            pairs[f"{side}_index"] = position[pairs[f"{side}_index"]]
            for name in self._region_fields:
                sides[f"{side}_{name}"] = getattr(self, f"{side}_{name}")[chosen]
        return replace(self, **sides, **pairs)

    def __add__(self, other: object) -> Self:
        if type(other) is not type(self):
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
        shared = {name: np.zeros(len(keys), np.int64) for name in self._pair_fields[2:]}
        for name, sums in shared.items():
            np.add.at(sums, inverse, np.concatenate([getattr(self, name), getattr(other, name)]))
        return type(self)(
            **sides,
            pred_index=keys % max(1, len(sides["pred_id"])),
            target_index=keys // max(1, len(sides["pred_id"])),
            **shared,
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
            The arrays make no overlap table.
        """
        stored = required(arrays, (part.name for part in fields(cls)), cls.__name__)
        is_split = stored["split_classes"].size == 1 and bool(stored["split_classes"].all())
        columns: dict[str, Any] = {
            name: natural_numbers(stored[name], name)
            for name in ("pred_area", "target_area", "pred_void", "target_void", "intersection")
        }
        for side in _SIDES:
            ids = stored[f"{side}_id"]
            ids = columns[f"{side}_id"] = whole_numbers(ids, wide_type(ids.dtype), f"{side}_id")
            classes = whole_numbers(stored[f"{side}_class"], np.int64, f"{side}_class")
            columns[f"{side}_class"] = classes
            names = (f"{side}_{name}" for name in ("id", "class", "area", "void"))
            require_equal_lengths({name: columns[name] for name in names})
            again = ids[1:] == ids[:-1]
            if (ids[1:] < ids[:-1]).any() or (again & (not is_split)).any():
                raise ValueError(
                    f"{side}_id must be ascending, each id once unless classes split it"
                )
            name = f"{side}_index"
            columns[name] = positions(stored[name], len(ids), name)
        pairs = {name: columns[name] for name in ("pred_index", "target_index", "intersection")}
        require_equal_lengths(pairs)
        keys = pairs["target_index"] * len(columns["pred_id"]) + pairs["pred_index"]
        if (keys[1:] <= keys[:-1]).any() or (pairs["intersection"] < 1).any():
            raise ValueError(
                "pairs must be sorted by (target_index, pred_index), each once, and share a pixel"
            )
        for side in _SIDES:
            taken = columns[f"{side}_void"].copy()
            np.add.at(taken, columns[f"{side}_index"], columns["intersection"])
            if (taken > columns[f"{side}_area"]).any():
                at = int(np.argmax(taken > columns[f"{side}_area"]))
                raise ValueError(
                    f"{side} region {columns[f'{side}_id'][at]} has an area of "
                    f"{columns[f'{side}_area'][at]} pixels, and {taken[at]} in its pairs and void"
                )
        return cls(
            **columns,
            num_pixels=whole_number(stored["num_pixels"], "num_pixels"),
            num_ignored=whole_number(stored["num_ignored"], "num_ignored"),
            split_classes=is_split,
        )


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
        or two :class:`Regions` of equal shape, whose runs are met without painting a map.
    background : int or None, default 0
        Id that is no region, in both maps. None: every id is a region. Not for :class:`Regions`.
    ignore_index : int, sequence of int, or bool array, optional
        Ids of ``target`` whose pixels are ignored, or a mask of ``target``'s shape, true where
        pixels are ignored; for :class:`Regions` a mask, on which ``target`` must have no region.
        An ignored pixel belongs to no target region; how many of them each predicted region covers
        is ``pred_void``. Takes precedence over ``background``.
    pred_ignore_index : int or sequence of int, optional
        The same for ids of ``pred``; how many of these pixels each target region covers is
        ``target_void``. Not for :class:`Regions`.
    pred_classes, target_classes : mapping, sequence of int, or class map, optional
        Class of each region: a mapping from id to class; or one class per id in ascending order
        of the ids; or, beside an instance map, a label map of its shape. Both or neither. Without
        them, components are of the class of their label if both maps have components.
    split_classes : bool, default False
        With class maps, treat the parts of an id that lie under different classes as different
        regions, instead of raising an error. Needs some memory per pixel.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input and the machine's limits. The result
        does not depend on it.

    Returns
    -------
    OverlapTable

    Raises
    ------
    ValueError
        Shapes differ; a region has no class, or lies under two; classes of one map only; an
        argument outside its range.
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
    threads = thread_limit(threads)
    if (pred_classes is None) != (target_classes is None):
        raise ValueError("pass both pred_classes and target_classes, or neither")
    if isinstance(pred, Regions) or isinstance(target, Regions):
        if not (isinstance(pred, Regions) and isinstance(target, Regions)):
            raise TypeError(
                "pred and target must be two maps or two Regions; "
                "segmeter.instance_regions makes Regions of an instance map"
            )
        if background != 0 or pred_ignore_index is not None or split_classes:
            raise ValueError(
                "background, pred_ignore_index and split_classes are for instance maps; Regions "
                "are read already"
            )
        return _table_of_regions(
            pred, target, ignore_index, (pred_classes, target_classes), threads
        )
    pred, target = _ids(pred, "pred"), _ids(target, "target")
    _require_equal_shapes(pred.shape, target.shape)
    mask, target_ignored = mask_and_labels(ignore_index, "ignore_index", target.shape)
    no_mask, pred_ignored = mask_and_labels(pred_ignore_index, "pred_ignore_index", pred.shape)
    if no_mask is not None:
        raise TypeError("pred_ignore_index must be ids; a mask of ignored pixels is ignore_index")
    if background is not None:
        background = integer(background, "background")
    pred_map = _Map("pred", pred, background, pred_ignored, None, pred_classes)
    target_map = _Map("target", target, background, target_ignored, mask, target_classes)
    if split_classes:
        pred_map, target_map = pred_map.split(threads), target_map.split(threads)
    pred_side, target_side, (pred_index, target_index, intersection), num_ignored = (
        _core.overlap_of_maps(
            pred_map.ids, pred_map.background_bits(), pred_map.ignored_bits(),
            target_map.ids, target_map.background_bits(), target_map.ignored_bits(),
            mask, threads,
        )
    )  # fmt: skip
    return OverlapTable(
        **pred_map.columns(*pred_side, threads),
        **target_map.columns(*target_side, threads),
        pred_index=pred_index,
        target_index=target_index,
        intersection=intersection,
        num_pixels=target.size,
        num_ignored=num_ignored,
        split_classes=bool(split_classes),
    )


def _require_equal_shapes(pred: tuple[int, ...], target: tuple[int, ...]) -> None:
    if pred != target:
        raise ValueError(f"pred and target must have the same shape, got {pred} and {target}")


# --- regions -------------------------------------------------------------------------------------


def _table_of_regions(
    pred: Regions, target: Regions, ignore_index: Any, classes: tuple[Any, Any], threads: int
) -> OverlapTable:
    _require_equal_shapes(pred.shape, target.shape)
    pred_runs, target_runs = _region_runs(pred), _region_runs(target)
    pred_void = np.zeros(len(pred), np.int64)
    num_ignored = 0
    if ignore_index is not None:
        mask, _ = mask_and_labels(ignore_index, "ignore_index", target.shape)
        if mask is None:
            raise TypeError(
                "ignore_index must be a bool mask for Regions, which have no ignored labels"
            )
        void = RunList.from_array(mask, threads=threads)
        void_runs = (void.row_begin, void.begin, void.end, None, 1)
        _require_nothing_ignored(target, target_runs, void_runs, threads)
        index, _, pixels = _core.overlap_of_runs(pred_runs, void_runs, threads)
        pred_void[index] = pixels
        num_ignored = int(void.length.sum())
    pred_index, target_index, intersection = _core.overlap_of_runs(pred_runs, target_runs, threads)
    has_classes = classes[0] is not None or None not in (pred.connectivity, target.connectivity)
    return OverlapTable(
        pred_id=_narrowed(pred.id),
        target_id=_narrowed(target.id),
        pred_class=_classes_of_regions("pred", pred, classes[0], has_classes),
        target_class=_classes_of_regions("target", target, classes[1], has_classes),
        pred_area=pred.area,
        target_area=target.area,
        pred_void=pred_void,
        target_void=np.zeros(len(target), np.int64),
        pred_index=pred_index,
        target_index=target_index,
        intersection=intersection,
        num_pixels=math.prod(target.shape),
        num_ignored=num_ignored,
    )


def _region_runs(regions: Regions) -> Any:
    """What the core takes for the runs of regions."""
    runs = regions._runs
    return runs.row_begin, runs.begin, runs.end, regions.run_region, len(regions)


def _require_nothing_ignored(target: Regions, runs: Any, void_runs: Any, threads: int) -> None:
    index = _core.overlap_of_runs(runs, void_runs, threads)[0]
    if index.size:
        raise ValueError(
            f"target region {target.id[index[0]]} lies on ignored pixels; pass the same mask as "
            "ignore_index to the function that makes the regions of target"
        )


def _classes_of_regions(side: str, regions: Regions, classes: Any, has_classes: bool) -> IntArray:
    if classes is not None:
        return _classes_by_id(side, regions.id, classes)
    if has_classes:
        return regions.value.astype(np.int64)
    return np.zeros(len(regions), np.int64)


# --- arguments -----------------------------------------------------------------------------------


def _ids(value: Any, name: str) -> NDArray[Any]:
    array = as_array(value, name)
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"{name} must hold integer or bool ids, got dtype {array.dtype}; round or cast ids, "
            "and cut scores at a threshold"
        )
    return array


def _narrowed(ids: NDArray[Any]) -> NDArray[Any]:
    """Ids, ascending, as int64; uint64 where one does not fit."""
    if ids.dtype == np.uint64 and ids.size and int(ids[-1]) >= 2**63:
        return ids
    return ids.astype(np.int64, copy=False)


def mask_and_labels(
    ignore_index: Any, name: str, shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_] | None, list[int]]:
    """A mask of ignored pixels, or ids that are ignored."""
    if ignore_index is None:
        return None, []
    if type(ignore_index) is int:
        return None, [ignore_index]
    if not isinstance(ignore_index, list | tuple):
        array = as_array(ignore_index, name)
        if array.dtype.kind == "b" and array.ndim > 0:
            if array.shape != shape:
                raise ValueError(
                    f"a mask of ignored pixels must have target's shape {shape}, got {array.shape}"
                )
            return array, []
        if array.ndim > 1:
            raise TypeError(
                f"{name} must be ids or a bool mask, got an array of shape {array.shape} and dtype "
                f"{array.dtype}: pass a mask as mask.astype(bool)"
            )
        ignore_index = list(array) if array.ndim else [ignore_index]
    return None, [integer(label, name) for label in ignore_index]


def _class_labels(classes: Any, name: str) -> NDArray[Any]:
    labels = as_array(classes, name)
    if labels.dtype.kind not in "biu":
        raise TypeError(f"{name} must hold integer classes, got dtype {labels.dtype}")
    return labels


def _classes_by_id(side: str, ids: NDArray[Any], classes: Any, also: str = "") -> IntArray:
    """The class of each region from a mapping, or from a sequence in the order of the ids."""
    name = f"{side}_classes"
    if isinstance(classes, Mapping):
        try:
            chosen = [integer(classes[id_], name) for id_ in ids.tolist()]
        except KeyError as error:
            raise ValueError(f"{name} has no class for region {error.args[0]}") from None
        return np.array(chosen, np.int64)
    labels = _class_labels(classes, name)
    if labels.shape != ids.shape:
        raise ValueError(
            f"{name} must hold a class for each of {len(ids)} regions{also}, "
            f"got shape {labels.shape}"
        )
    return labels.astype(np.int64)


class _Map(NamedTuple):
    """One instance map and the meaning of its ids."""

    side: str
    ids: NDArray[Any]
    background: int | None
    ignored: list[int]
    mask: NDArray[np.bool_] | None
    classes: Any
    # After a split: the id and class of each part.
    parts: tuple[NDArray[Any], IntArray] | None = None

    def background_bits(self) -> int | None:
        labels = [] if self.background is None else [self.background]
        return next((label % 2**64 for label in self._fitting(labels)), None)

    def ignored_bits(self) -> list[int]:
        return [label % 2**64 for label in self._fitting(self.ignored)]

    def _fitting(self, labels: list[int]) -> list[int]:
        """Those labels that the map can hold; others occur nowhere."""
        return [label for label in labels if bits_of(label, self.ids.dtype) is not None]

    def columns(
        self, bits: NDArray[np.uint64], area: IntArray, void: IntArray, threads: int
    ) -> dict[str, Any]:
        """This map's columns of the table, from the regions that the kernel found."""
        ids = self._from_bits(bits)
        if self.parts is not None:
            ids, classes = (part[ids - 1] for part in self.parts)
        else:
            classes = self._classes_of(ids, threads)
        names = ("id", "class", "area", "void")
        values = (ids, classes, area, void)
        return {f"{self.side}_{name}": value for name, value in zip(names, values, strict=True)}

    def _from_bits(self, bits: NDArray[np.uint64]) -> NDArray[Any]:
        return bits.view(np.int64) if self.ids.dtype.kind == "i" else _narrowed(bits)

    def _class_map(self) -> NDArray[Any] | None:
        """The classes where they are a map, not one for each id."""
        if self.classes is None or isinstance(self.classes, Mapping):
            return None
        labels = _class_labels(self.classes, f"{self.side}_classes")
        return labels if labels.shape == self.ids.shape else None

    def _classes_of(self, ids: NDArray[Any], threads: int) -> IntArray:
        if self.classes is None:
            return np.zeros(len(ids), np.int64)
        class_map = self._class_map()
        if class_map is None:
            also = f", or be a map of {self.side}'s shape {self.ids.shape}"
            return _classes_by_id(self.side, ids, self.classes, also)
        found, labels = self._parts_by(class_map, threads)
        twice = np.flatnonzero(found[1:] == found[:-1])
        if twice.size:
            one, other = labels[twice[0]], labels[twice[0] + 1]
            raise ValueError(
                f"{self.side} region {found[twice[0]]} has classes {one} and {other}; "
                "give it one, or pass split_classes=True"
            )
        return labels

    def _parts_by(self, class_map: NDArray[Any], threads: int) -> tuple[NDArray[Any], IntArray]:
        """Every id with every class that it lies under, ascending by id, then class."""
        (bits, _, _), (labels, _, _), (index, label_index, _), _ = _core.overlap_of_maps(
            self.ids, self.background_bits(), self.ignored_bits(),
            class_map, None, [], self.mask, threads,
        )  # fmt: skip
        order = np.lexsort((label_index, index))
        return self._from_bits(bits)[index[order]], labels.view(np.int64)[label_index[order]]

    def split(self, threads: int) -> _Map:
        """A map in which each part of an id that lies under one class is an id of its own."""
        class_map = self._class_map()
        if class_map is None:
            return self
        ids, labels = self._parts_by(class_map, threads)
        # Searching in another integer type would compare as float64.
        known_ids, id_of_part = np.unique(ids.astype(self.ids.dtype), return_inverse=True)
        known_labels, label_of_part = np.unique(labels.astype(class_map.dtype), return_inverse=True)
        width = len(known_labels) + 1
        pixel_keys = _places(known_ids, self.ids) * width + _places(known_labels, class_map)
        places = _places(id_of_part * width + label_of_part, pixel_keys)
        parts = np.where(places < len(ids), places + 1, 0)  # 0: no part
        for label in self._fitting(self.ignored):
            parts[self.ids == label] = -1
        return self._replace(ids=parts, background=0, ignored=[-1], parts=(ids, labels))


def _places(known: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.intp]:
    """Position of each label among the known ones; their number for others."""
    if not known.size:
        return np.zeros(labels.shape, np.intp)
    places = np.searchsorted(known, labels)
    return np.where(known[np.minimum(places, len(known) - 1)] == labels, places, len(known))


# --- adding up -----------------------------------------------------------------------------------


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
    merged = {f"{side}_id": ids[chosen], f"{side}_class": classes[chosen]}
    for name in first._region_fields[2:]:
        sums = np.zeros(len(chosen), np.int64)
        np.add.at(sums, position, both(name))
        merged[f"{side}_{name}"] = sums
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
