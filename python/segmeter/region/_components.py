"""Connected components and given instances as tables of regions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np

from .. import _core
from .._arrays import integer, thread_limit
from ._runs import RunList, Selection, painted, wide_type
from ._stored import positions, require_equal_lengths, required, whole_number, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    IntArray = NDArray[np.int64]

_CONNECTIVITY = {2: (8, 4), 3: (26, 6, 18)}  # the default first
_COLUMNS = ("id", "value", "area", "first", "num_runs", "coordinate_sum", "bounding_box")


class Regions:
    """A table of regions: one row per component or instance, and the runs that make it up.

    Made by :func:`label_components` and :func:`instance_regions`. All counts are exact int64.
    Axes are those of the label map: ``(y, x)`` or ``(z, y, x)``.

    Attributes
    ----------
    shape : tuple of int
        Shape of the label map.
    connectivity : int or None
        Connectivity of the components; None for instances, which need not be connected.
    id : numpy.ndarray
        Components: 1 .. n in raster order of the first pixel. Instances: the label, ascending.
        int64, or uint64 for instances of a uint64 map.
    value : numpy.ndarray
        Label of the region's pixels; 1 for components of a binary map.
    area : numpy.ndarray
        Pixels.
    first : numpy.ndarray
        Position of the first pixel in raster order.
    num_runs : numpy.ndarray
        Runs along the last axis.
    coordinate_sum : numpy.ndarray
        ``(n, axes)``: sums of the pixels' coordinates, exact.
    bounding_box : numpy.ndarray
        ``(n, axes, 2)``: start and stop on each axis.
    run_region : numpy.ndarray
        int32, for each run of :attr:`runs` the row of this table.

    Notes
    -----
    A table made with ``return_runs=False`` knows no pixels: what needs its runs (:attr:`runs`,
    :attr:`run_region`, :attr:`surface`, :attr:`num_holes`, :meth:`labels`, :meth:`to_arrays`,
    overlap tables, slabs to be concatenated) raises a ValueError.

    Examples
    --------
    >>> import segmeter
    >>> regions = segmeter.label_components([[1, 1, 0], [0, 0, 2], [3, 0, 2]])
    >>> regions.value, regions.area
    (array([1, 2, 3]), array([2, 2, 1]))
    >>> regions.centroid
    array([[0. , 0.5],
           [1.5, 2. ],
           [2. , 0. ]])
    """

    shape: tuple[int, ...]
    connectivity: int | None
    id: NDArray[Any]
    value: NDArray[Any]
    area: IntArray
    first: IntArray
    num_runs: IntArray
    coordinate_sum: IntArray
    bounding_box: IntArray

    def __init__(
        self,
        shape: tuple[int, ...],
        runs: tuple[RunList, NDArray[np.int32]] | None,
        columns: Mapping[str, NDArray[Any]],
        connectivity: int | None,
    ) -> None:
        self.shape = shape
        self.connectivity = connectivity
        self._runs_and_regions = runs  # without values: they are those of the regions
        for name in _COLUMNS:
            setattr(self, name, columns[name])

    @classmethod
    def _of(
        cls,
        shape: tuple[int, ...],
        arrays: tuple[Any, NDArray[np.int32] | None, IntArray],
        connectivity: int | None,
        value_type: np.dtype[Any],
    ) -> Self:
        """A table from what the core returns."""
        runs, run_region, facts = arrays
        axes = slice(3 - len(shape), 3)
        value = facts.view(wide_type(value_type))[:, 0]
        columns = {
            "id": value if connectivity is None else np.arange(1, len(facts) + 1),
            "value": value,
            "first": facts[:, 1],
            "area": facts[:, 2],
            "num_runs": facts[:, 3],
            "coordinate_sum": facts[:, 4:7][:, axes],
            "bounding_box": facts[:, 7:13].reshape(-1, 2, 3).transpose(0, 2, 1)[:, axes],
        }
        kept = None if run_region is None else (RunList._of(shape, runs, None), run_region)
        return cls(shape, kept, columns, connectivity)

    def _kept(self) -> tuple[RunList, NDArray[np.int32]]:
        if self._runs_and_regions is None:
            raise ValueError(
                "these regions were found with return_runs=False, which keeps the table only; "
                "find them with return_runs=True for what needs their pixels"
            )
        return self._runs_and_regions

    @property
    def _runs(self) -> RunList:
        return self._kept()[0]

    @property
    def run_region(self) -> NDArray[np.int32]:
        """Row of this table for each run of :attr:`runs`."""
        return self._kept()[1]

    def __len__(self) -> int:
        return len(self.area)

    def __repr__(self) -> str:
        kind = "instances" if self.connectivity is None else f"connectivity={self.connectivity}"
        return f"Regions({len(self)} regions, shape={self.shape}, {kind})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Regions):
            return NotImplemented
        own, its = self._runs_and_regions, other._runs_and_regions
        return (
            self.shape == other.shape
            and self.connectivity == other.connectivity
            and (own is None) == (its is None)
            and (own is None or its is None or own[0] == its[0])
            and (own is None or its is None or np.array_equal(own[1], its[1]))
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _COLUMNS)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays inside

    @cached_property
    def runs(self) -> RunList:
        """The runs of all regions, with the regions' values."""
        whole = RunList.__new__(RunList)
        whole.shape = self.shape
        whole.row_begin, whole.begin, whole.end, _ = self._runs._arrays()
        whole._value = self.value[self.run_region]
        return whole

    @property
    def centroid(self) -> NDArray[np.float64]:
        """``(n, axes)``: mean coordinates of the pixels."""
        return np.asarray(self.coordinate_sum / self.area[:, None])

    @property
    def touches_border(self) -> NDArray[np.bool_]:
        """Whether a region has a pixel at the border of the map; axes of length 1 have none."""
        extents = np.array(self.shape)
        box = self.bounding_box
        at_border = (box[..., 0] == 0) | (box[..., 1] == extents)
        return np.asarray((at_border & (extents > 1)).any(axis=-1))

    @cached_property
    def surface(self) -> IntArray:
        """Exposed pixel edges (2-D) or voxel faces (3-D): those not between two of its pixels.

        Edges and faces at the border of the map count. Computed at first use.

        Examples
        --------
        >>> import segmeter
        >>> segmeter.label_components([[1, 1], [0, 0]]).surface
        array([6])
        """
        return _core.exposed_faces(
            self.shape, self._runs._arrays(), self.run_region, self.area, self.num_runs
        )

    @cached_property
    def num_holes(self) -> IntArray:
        """Holes of each region of a 2-D map: what it encloses, whatever lies in there.

        Enclosed is what no path of the other connectivity (4 for 8, 8 for 4) leads out of; an
        instance counts by the holes of its 8-connected parts. Computed at first use.

        Raises
        ------
        ValueError
            For 3-D maps: what a region encloses there are cavities and tunnels, which
            :func:`segmeter.betti_numbers` counts for a mask.

        Examples
        --------
        >>> import segmeter
        >>> segmeter.label_components([[1, 1, 1], [1, 0, 1], [1, 1, 1]]).num_holes
        array([1])
        """
        if len(self.shape) != 2:
            raise ValueError(
                "num_holes is defined for 2-D maps only; segmeter.betti_numbers(mask) counts the "
                "tunnels and cavities of a 3-D mask"
            )
        connectivity = self.connectivity or 8
        euler = _core.euler_numbers(
            self.shape, self._runs._arrays(), self.run_region, self.area, self.num_runs,
            connectivity,
        )  # fmt: skip
        return np.asarray(self._num_parts(connectivity) - euler)

    def _num_parts(self, connectivity: int) -> IntArray:
        """Components that each region consists of."""
        if self.connectivity is not None:
            return np.ones(len(self), np.int64)
        row_begin, begin, end, _ = self._runs._arrays()
        numbered = (row_begin, begin, end, self.run_region.astype(np.int64))
        facts = _core.label_components_of_runs(self.shape, numbered, False, connectivity, 1)[2]
        return np.bincount(facts[:, 0], minlength=len(self))

    def labels(self, *, threads: int = 0) -> NDArray[Any]:
        """The label image: each pixel holds the id of its region, 0 where there is none.

        Parameters
        ----------
        threads : int, default 0
            Number of threads; 0 chooses.

        Returns
        -------
        numpy.ndarray
            In the smallest integer type that holds all ids, unsigned unless one is negative.

        Examples
        --------
        >>> import segmeter
        >>> segmeter.label_components([[5, 0, 5]]).labels()
        array([[1, 0, 2]], dtype=uint8)
        """
        return painted(self._runs, self.run_region, self.id, 0, threads)

    def select(self, mask: ArrayLike) -> Self:
        """The regions for which ``mask`` is true, with their ids.

        Parameters
        ----------
        mask : array_like of bool
            One value per region.

        Raises
        ------
        ValueError
            ``mask`` is not one bool per region.

        Examples
        --------
        >>> import segmeter
        >>> regions = segmeter.label_components([[1, 0, 1, 1]])
        >>> regions.select(regions.area > 1).labels()
        array([[0, 0, 2, 2]], dtype=uint8)
        """
        kept = np.asarray(mask)
        if kept.shape != (len(self),) or (kept.dtype != np.bool_ and kept.size):
            raise ValueError(f"mask must be {len(self)} bools, one per region, got {kept.shape}")
        kept = kept.astype(bool)
        runs = None
        if self._runs_and_regions is not None:
            runs_kept = kept[self.run_region]
            row_begin, begin, end, _ = self._runs._arrays()
            kept_before = np.concatenate([[0], np.cumsum(runs_kept)])
            arrays = (kept_before[row_begin], begin[runs_kept], end[runs_kept], None)
            place = (np.cumsum(kept) - 1).astype(np.int32)
            runs = (RunList._of(self.shape, arrays, None), place[self.run_region[runs_kept]])
        columns = {name: getattr(self, name)[kept] for name in _COLUMNS}
        return type(self)(self.shape, runs, columns, self.connectivity)

    @classmethod
    def concatenate(cls, slabs: Sequence[Regions], *, threads: int = 0) -> Regions:
        """Regions of consecutive slabs as those of the whole map, along the first axis.

        Components that touch across the border of two slabs become one, and so do instances of
        one id; the others keep their pixels. The result equals that of the whole map at once.

        Parameters
        ----------
        slabs : sequence of Regions
            At least one; all extents but the first must be equal, and all must be components of
            one connectivity or all instances.
        threads : int, default 0
            Number of threads; 0 chooses.

        Raises
        ------
        ValueError
            The slabs do not fit together.

        Examples
        --------
        >>> import segmeter
        >>> top, bottom = (segmeter.label_components(rows) for rows in ([[1, 0, 1]], [[1, 1, 1]]))
        >>> segmeter.Regions.concatenate([top, bottom]).area
        array([5])
        """
        slabs = list(slabs)
        if not slabs:
            raise ValueError("slabs must hold the regions of at least one slab")
        for slab in slabs:
            if not isinstance(slab, Regions):
                raise TypeError(f"slabs must hold Regions, got {type(slab).__name__}")
        runs = RunList.concatenate([slab.runs for slab in slabs])
        kinds = {slab.connectivity for slab in slabs}
        if len(kinds) > 1:
            raise ValueError(
                "slabs must all be instances or all components of one connectivity, got "
                f"connectivity {', '.join(map(str, kinds))}"
            )
        connectivity = kinds.pop()
        if connectivity is None:
            return instance_regions(runs, threads=threads)
        return label_components(runs, connectivity=connectivity, threads=threads)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Table and runs as plain arrays, for a file or a message; see :meth:`from_arrays`.

        Examples
        --------
        >>> import segmeter
        >>> regions = segmeter.label_components([[1, 0, 1, 1]])
        >>> segmeter.Regions.from_arrays(regions.to_arrays()) == regions
        True
        """
        return (
            {name: getattr(self, name) for name in _COLUMNS}
            | {"run_region": self.run_region, "connectivity": np.array(self.connectivity or 0)}
            | self._runs.to_arrays()
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Table and runs from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            The arrays make no table of regions.
        """
        stored = required(arrays, (*_COLUMNS, "run_region", "connectivity"), cls.__name__)
        ids, values = (
            whole_numbers(stored[name], wide_type(stored[name].dtype), name)
            for name in ("id", "value")
        )
        require_equal_lengths({"id": ids, "value": values})
        if (ids[1:] <= ids[:-1]).any():
            raise ValueError("id must be ascending")
        run_region = positions(stored["run_region"], len(ids), "run_region").astype(np.int32)
        runs = RunList.from_arrays({**arrays, "value": values[run_region]})
        runs._value = None
        connectivity = whole_number(stored["connectivity"], "connectivity") or None
        if connectivity is not None:
            _connectivity(connectivity, len(runs.shape))
        columns = {**stored, "id": ids, "value": values}
        regions = cls(runs.shape, (runs, run_region), columns, connectivity)
        regions._require_facts_of_runs()
        return regions

    def _require_facts_of_runs(self) -> None:
        """Refuse columns that do not follow from the runs."""
        row_begin, begin, end, _ = self._runs._arrays()
        numbered = (row_begin, begin, end, self.run_region.astype(np.int64))
        found = instance_regions(RunList(self.shape, *numbered[:3], value=numbered[3]), threads=1)
        for name in ("area", "first", "num_runs", "coordinate_sum", "bounding_box"):
            if not np.array_equal(getattr(self, name), getattr(found, name)):
                raise ValueError(f"{name} is not that of the runs of the regions")


# --- functions -----------------------------------------------------------------------------------


@overload
def label_components(
    label_map: ArrayLike | RunList,
    *,
    connectivity: int | None = ...,
    background: int | None = ...,
    binary: bool = ...,
    ignore_index: int | Sequence[int] | ArrayLike | None = ...,
    return_runs: bool = ...,
    return_labels: Literal[False] = ...,
    threads: int = ...,
) -> Regions: ...
@overload
def label_components(
    label_map: ArrayLike | RunList,
    *,
    connectivity: int | None = ...,
    background: int | None = ...,
    binary: bool = ...,
    ignore_index: int | Sequence[int] | ArrayLike | None = ...,
    return_runs: bool = ...,
    return_labels: Literal[True],
    threads: int = ...,
) -> tuple[Regions, NDArray[Any]]: ...


def label_components(
    label_map: ArrayLike | RunList,
    *,
    connectivity: int | None = None,
    background: int | None = 0,
    binary: bool = False,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    return_runs: bool = True,
    return_labels: bool = False,
    threads: int = 0,
) -> Regions | tuple[Regions, NDArray[Any]]:
    """Connected components of a label map, of every label at once.

    Two pixels are of one component if a path of neighbours of the same label joins them. No label
    image is written unless asked for: components are unions of runs.

    Parameters
    ----------
    label_map : array_like of int or bool, or RunList
        Two or three axes; any integer type, memory layout and byte order. A run list, for example
        one concatenated from slabs, gives the components of the map it stands for.
    connectivity : {4, 8} in 2-D, {6, 18, 26} in 3-D, optional
        Number of neighbours of a pixel. Default: 8 and 26, all pixels that touch it.
    background : int or None, default 0
        The label that belongs to no component; ``None``: every label has components.
    binary : bool, default False
        All labels but the background are one, and components have the value 1.
    ignore_index : int, sequence of int, or bool array, optional
        Label value or values that belong to no component; or a mask of the map's shape, true at
        pixels that belong to none. Ignored pixels join nothing.
    return_runs : bool, default True
        False: only the table, without the runs that say where the regions lie; of a 2-D map with
        one label besides the background, no more than two rows are then in memory; of a binary
        volume with few runs in a row, no more than two slices.
    return_labels : bool, default False
        Also return the label image, as :meth:`Regions.labels` paints it.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input and the machine's limits. The result
        does not depend on it.

    Returns
    -------
    regions : Regions
        One row per component, in raster order of the first pixel.
    labels : numpy.ndarray
        Only with ``return_labels``: ids 1 .. n, elsewhere 0, in the smallest unsigned type.

    Raises
    ------
    ValueError
        A wrong number of axes, a connectivity that does not go with it, a mask of another shape;
        ``binary=True`` without a background; options that say how to read pixels together with a
        run list, which is read already; more than 2**31 - 1 runs.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    Definition: connected components of equal labels, numbered as ``scipy.ndimage.label`` numbers
    those of a mask. Method: run-based labelling with line-relative ranks after Lacassagne and
    Zavidovique ("Light speed labeling", Journal of Real-Time Image Processing 6, 2011), union-find
    with the smallest index as root. Empty maps have no components.

    Examples
    --------
    >>> import segmeter
    >>> regions, labels = segmeter.label_components(
    ...     [[1, 1, 0], [0, 2, 1], [1, 0, 1]], return_labels=True
    ... )
    >>> labels
    array([[1, 1, 0],
           [0, 2, 1],
           [3, 0, 1]], dtype=uint8)
    >>> regions.area, regions.value
    (array([4, 1, 1]), array([1, 2, 1]))
    """
    arrays: tuple[Any, NDArray[np.int32] | None, IntArray]
    if isinstance(label_map, RunList):
        _require_plain_reading(background, binary, ignore_index)
        neighbours = _connectivity(connectivity, len(label_map.shape))
        value_type = label_map.value.dtype
        shape = label_map.shape
        labels = None
        arrays = _core.label_components_of_runs(
            shape, label_map._arrays(), value_type == np.uint64, neighbours, thread_limit(threads)
        )
    else:
        chosen = Selection.of(label_map, background, binary, ignore_index, threads)
        shape = chosen.labels.shape
        neighbours = _connectivity(connectivity, len(shape))
        value_type = np.dtype(np.int64) if binary else chosen.labels.dtype
        arrays, labels = _core.label_components(
            chosen.labels, neighbours, chosen.background, chosen.binary, chosen.ignored,
            chosen.mask, bool(return_runs), bool(return_labels), chosen.threads,
        )  # fmt: skip
    regions = Regions._of(shape, arrays, neighbours, value_type)
    if return_labels and labels is None:
        labels = regions.labels(threads=threads)
    if not return_runs:
        regions._runs_and_regions = None
    return regions if labels is None else (regions, labels)


def instance_regions(
    label_map: ArrayLike | RunList,
    *,
    background: int | None = 0,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> Regions:
    """The regions of an instance map: one for every id, connected or not.

    Parameters
    ----------
    label_map : array_like of int or bool, or RunList
        Two or three axes; the pixels of an instance hold its id. Ids may be any integers.
    background : int or None, default 0
        The id that is no instance; ``None``: every id is one.
    ignore_index : int, sequence of int, or bool array, optional
        Id or ids that are no instances; or a mask of the map's shape, true at pixels that belong
        to none.
    threads : int, default 0
        Number of threads; 0 chooses. The result does not depend on it.

    Returns
    -------
    Regions
        In ascending order of the id.

    Raises
    ------
    ValueError, TypeError
        As :func:`label_components`.

    Notes
    -----
    Definition: pixels of equal id are one region, as in ``skimage.measure.regionprops``, whose
    area, bounding box and centroid these are.

    Examples
    --------
    >>> import segmeter
    >>> regions = segmeter.instance_regions([[70000, 0, 70000], [-3, 0, 0]])
    >>> regions.id, regions.area
    (array([   -3, 70000]), array([1, 2]))
    """
    if isinstance(label_map, RunList):
        _require_plain_reading(background, False, ignore_index)
        value_type = label_map.value.dtype
        shape = label_map.shape
        arrays = _core.instance_regions_of_runs(
            shape, label_map._arrays(), value_type == np.uint64, thread_limit(threads)
        )
    else:
        chosen = Selection.of(label_map, background, False, ignore_index, threads)
        shape = chosen.labels.shape
        value_type = chosen.labels.dtype
        arrays = _core.instance_regions(
            chosen.labels, chosen.background, chosen.ignored, chosen.mask, chosen.threads
        )
    return Regions._of(shape, arrays, None, value_type)


def _require_plain_reading(background: Any, binary: bool, ignore_index: Any) -> None:
    if background != 0 or binary or ignore_index is not None:
        raise ValueError(
            "background, binary and ignore_index say how pixels are read; a run list is read "
            "already: pass them to RunList.from_array"
        )


def _connectivity(connectivity: Any, axes: int) -> int:
    if axes not in _CONNECTIVITY:
        raise ValueError(f"a run list of regions has two or three axes, got {axes}")
    allowed = _CONNECTIVITY[axes]
    if connectivity is None:
        return allowed[0]
    if integer(connectivity, "connectivity") not in allowed:
        raise ValueError(
            f"connectivity must be one of {sorted(allowed)} for {axes} axes, got {connectivity}"
        )
    return int(connectivity)
