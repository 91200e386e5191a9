"""Surface distances between single regions: lesions, cells, glands, each cut out of its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from .._arrays import as_array, thread_limit
from .._counts import require_counts
from ..pixel._counts import Absent, FloatArray, ratio, resolve
from ..region import (
    Matching,
    Regions,
    instance_regions,
    label_components,
    match_regions,
    object_pairs,
    overlap_table,
)
from ..region._crops import RegionCrops, joint_box
from ..region._mergeable import MergeableCounts
from ._checks import label_map_pair, one_of, spacing_of
from ._surfaces import (
    Border,
    Surface,
    SurfaceDistances,
    SurfaceWeights,
    _weights_of,
    surface_distances,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike

    from ._reading import ClassName
    from ._surfaces import DirectedDistances

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RegionDistances:
    """Surface distances of pairs of regions.

    Attributes
    ----------
    pred_id, target_id : (M,) ndarray of int
        Ids of the regions of each pair.
    distances : SurfaceDistances
        ``distances[k]`` are those of pair k. Every score of the family takes them:
        ``segmeter.hausdorff_distance(result.distances, percentile=95)`` has one value per pair.

    Examples
    --------
    >>> import segmeter
    >>> result = segmeter.region_surface_distances([[0, 1, 1, 0, 5]], [[0, 2, 0, 0, 3]])
    >>> result.pred_id, result.target_id
    (array([1, 2]), array([1, 2]))
    >>> segmeter.hausdorff_distance(result.distances)
    array([1., 0.])
    """

    pred_id: NDArray[Any]
    target_id: NDArray[Any]
    distances: SurfaceDistances

    def __len__(self) -> int:
        return len(self.pred_id)


def region_surface_distances(
    pred: ArrayLike | Regions,
    target: ArrayLike | Regions,
    *,
    pairs: Matching | ArrayLike | None = None,
    instances: bool = False,
    connectivity: int | None = None,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    spacing: Sequence[float] | None = None,
    surface: Surface = "corner",
    weights: SurfaceWeights | None = None,
    border: Border = "background",
    threads: int = 0,
) -> RegionDistances:
    """Distances between the surfaces of single regions, each pair cut out of the image.

    Parameters
    ----------
    pred, target : array_like of int or bool, 2-D or 3-D, or Regions
        Masks, whose connected components are the regions; with ``instances`` maps of ids; or
        regions found before (:func:`label_components`, :func:`instance_regions`).
    pairs : Matching, or (M, 2) array_like of int, optional
        Which regions are compared: positions of a predicted and of a target region, as
        :func:`match_regions` pairs them. Default: every target region with the predicted region
        that shares most of its pixels; target regions that nothing touches have no distance.
    instances : bool, default False
        Whether the maps hold ids of regions, which need not be connected.
    connectivity : {4, 8} in 2-D, {6, 18, 26} in 3-D, optional
        For components. Default 8 or 26.
    ignore_index : int, sequence of int, or bool array, optional
        Labels of ``target``, or a mask, whose pixels belong to no region in either map; a region
        that ends at them has no surface there.
    spacing : sequence of float, optional
        Distance of neighbouring pixels along each axis; left out, 1.
    surface, weights, border
        As in :func:`surface_distances`.
    threads : int, default 0
        Number of threads for finding regions; 0 chooses. The result does not depend on it.

    Returns
    -------
    RegionDistances

    Raises
    ------
    ValueError
        Shapes differ; a pair names a region that does not exist; an argument is out of its range.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    The distances are those of :func:`surface_distances` between the two regions alone, in the
    whole image: other regions are background. Each pair costs what its own box costs.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((20, 20), bool)
    >>> target[2:6, 2:6] = target[10:18, 10:18] = True
    >>> pred = np.roll(target, 1, axis=0)
    >>> result = segmeter.region_surface_distances(pred, target, spacing=(0.5, 0.5))
    >>> segmeter.hausdorff_distance(result.distances)
    array([0.5, 0.5])
    """
    one_of(border, "border", get_args(Border))
    maps_given = not isinstance(pred, Regions) and not isinstance(target, Regions)
    ignored = _ignored(as_array(target, "target"), ignore_index) if maps_given else None
    where = ignored if maps_given else ignore_index
    preds, targets = _both_regions(pred, target, instances, connectivity, where, threads)
    steps = spacing_of(spacing, len(targets.shape))
    if pairs is None:
        table = overlap_table(preds, targets, threads=threads)
        pairs = match_regions(table, method="max_overlap", criterion="ior", same_class=False)
    chosen = _positions(pairs, len(preds), len(targets))
    distances = paired_distances(
        RegionCrops(preds), RegionCrops(targets), enumerate(chosen.tolist()),
        spacing=steps, surface=surface, weights=weights, border=border, ignored=ignored,
    )  # fmt: skip
    return RegionDistances(preds.id[chosen[:, 0]], targets.id[chosen[:, 1]], distances)


def paired_distances(
    preds: RegionCrops,
    targets: RegionCrops,
    pairs: Iterable[tuple[int, Sequence[Any]]],
    *,
    spacing: Sequence[float],
    surface: Surface,
    weights: SurfaceWeights | None,
    border: Border,
    ignored: NDArray[np.bool_] | None = None,
) -> SurfaceDistances:
    """Distances of named pairs, each of one or several predicted and target regions."""
    directed: dict[ClassName, DirectedDistances] = {}
    for name, (pred, target) in pairs:
        chosen, others = np.atleast_1d(pred), np.atleast_1d(target)
        box = joint_box(preds, chosen, targets, others)
        masks = preds.mask(chosen, box), targets.mask(others, box)
        # Threads of their own would cost more than a small box does.
        measured = surface_distances(
            *masks, spacing=spacing, surface=surface, weights=weights, border=border, threads=1,
            ignore_index=None if ignored is None else ignored[box],
        )  # fmt: skip
        (directed[name],) = measured.values()
    return SurfaceDistances(
        directed, spacing=spacing, shape=targets.shape, surface=surface,
        weights=_weights_of(surface, weights), border=border,
    )  # fmt: skip


def _both_regions(
    pred: Any, target: Any, instances: bool, connectivity: Any, ignore_index: Any, threads: int
) -> tuple[Regions, Regions]:
    thread_limit(threads)
    if isinstance(pred, Regions) and isinstance(target, Regions):
        if ignore_index is not None or connectivity is not None or instances:
            raise ValueError(
                "instances, connectivity and ignore_index are for maps; Regions are read already"
            )
        both = pred, target
    elif isinstance(pred, Regions) or isinstance(target, Regions):
        raise TypeError("pred and target must be two maps or two Regions")
    else:
        maps = label_map_pair(pred, target)
        ignored = _ignored(maps[1], ignore_index)
        if instances and connectivity is not None:
            raise ValueError("connectivity is for components; instances need not be connected")
        found = [_regions_of(one, instances, connectivity, ignored, threads) for one in maps]
        both = found[0], found[1]
    if both[0].shape != both[1].shape:
        raise ValueError(
            f"pred and target must have the same shape, got {both[0].shape} and {both[1].shape}"
        )
    return both


def _regions_of(
    labels: Any, instances: bool, connectivity: Any, ignored: Any, threads: int
) -> Regions:
    if instances:
        return instance_regions(labels, ignore_index=ignored, threads=threads)
    return label_components(
        labels, binary=True, connectivity=connectivity, ignore_index=ignored, threads=threads
    )


def _ignored(target: NDArray[Any], ignore_index: Any) -> NDArray[np.bool_] | None:
    if ignore_index is None:
        return None
    values = np.asarray(ignore_index)
    if values.dtype == np.bool_:
        return values
    if values.dtype.kind not in "iu" or values.ndim > 1:
        raise TypeError(f"ignore_index must be labels or a bool mask, got {ignore_index!r}")
    return np.isin(target, values)


def _positions(pairs: Any, num_pred: int, num_target: int) -> IntArray:
    if isinstance(pairs, Matching):
        return np.stack([pairs.pred_index, pairs.target_index], axis=1)
    array = np.asarray(pairs)
    if array.size == 0:
        return np.zeros((0, 2), np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise TypeError(
            "pairs must be a Matching or hold two positions for each pair, got shape "
            f"{array.shape} of {array.dtype}"
        )
    for column, number, side in ((0, num_pred, "predicted"), (1, num_target, "target")):
        wrong = (array[:, column] < 0) | (array[:, column] >= number)
        if wrong.any():
            raise ValueError(
                f"pairs names {side} region {array[wrong, column][0]}, outside 0..{number - 1}"
            )
    return array.astype(np.int64)


# --- object Hausdorff distance -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ObjectHausdorffCounts(MergeableCounts):
    """What the object Hausdorff distance is made of; counts of images add up.

    Attributes
    ----------
    pred_area, target_area : ndarray of int64 ``()``
        Pixels of all objects.
    pred_distance, target_distance : ndarray of float64 ``()``
        Sum over objects of area times Hausdorff distance to the partner; ``inf`` for objects that
        face a map without any.
    """

    pred_area: IntArray
    target_area: IntArray
    pred_distance: FloatArray
    target_distance: FloatArray


_FEW_PAIRS = 1 << 18  # of points, which are compared one by one


class _Side:
    """Objects of one map."""

    def __init__(self, regions: Regions) -> None:
        self.regions = regions
        self.crops = RegionCrops(regions)
        self._ends: dict[int, IntArray] = {}

    def pixels(self, k: int, box: IntArray) -> IntArray:
        """Coordinates of the pixels of an object within a box, (P, ndim)."""
        own = self.crops.bounding_box[k]
        low, high = np.maximum(box[:, 0], own[:, 0]), np.minimum(box[:, 1], own[:, 1])
        if (low >= high).any():
            return np.zeros((0, len(low)), np.int64)
        sides = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        found: IntArray = np.argwhere(self.crops.mask([k], sides)) + low
        return found

    def ends(self, k: int) -> IntArray:
        """Pixels of an object that are the first or the last one of a line along some axis."""
        if k not in self._ends:
            low, high = self.crops.bounding_box[k].T
            sides = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
            mask = self.crops.mask([k], sides)
            is_end = np.zeros_like(mask)
            for axis in range(mask.ndim):
                for way in (slice(None), slice(None, None, -1)):
                    lines = np.moveaxis(mask, axis, 0)[way]
                    first = np.expand_dims(lines.argmax(axis=0), 0)
                    np.put_along_axis(np.moveaxis(is_end, axis, 0)[way], first, True, axis=0)
            self._ends[k] = np.argwhere(is_end & mask) + low
        return self._ends[k]


def object_hausdorff_counts(
    pred: ArrayLike | Regions,
    target: ArrayLike | Regions,
    *,
    spacing: Sequence[float] | None = None,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    threads: int = 0,
) -> ObjectHausdorffCounts:
    """Hausdorff distance of every object to its partner, as the GlaS challenge has it.

    The partner of an object is the one of the other map it shares most pixels with; without any,
    the one at the smallest Hausdorff distance. Distances are between all pixels of the objects.

    Parameters
    ----------
    pred, target : array_like of int or bool, 2-D or 3-D, or Regions
        Maps of ids, or regions found before.
    spacing : sequence of float, optional
        Distance of neighbouring pixels along each axis; left out, 1.
    ignore_index : int, sequence of int, or bool array, optional
        Labels of ``target``, or a mask, whose pixels belong to no object in either map.
    threads : int, default 0
        Number of threads for finding regions; 0 chooses. The result does not depend on it.

    Returns
    -------
    ObjectHausdorffCounts

    Raises
    ------
    ValueError, TypeError
        As :func:`region_surface_distances`.

    Notes
    -----
    Sirinukunwattana et al., *Gland segmentation in colon histology images: The GlaS challenge
    contest*, *Medical Image Analysis* 35 (2017), and its evaluation program.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.object_hausdorff_counts([[1, 1, 1, 0, 0, 2]], [[5, 5, 0, 0, 0, 0]])
    >>> float(counts.pred_distance), int(counts.pred_area)
    (8.0, 4)
    """
    are_maps = not isinstance(pred, Regions) and not isinstance(target, Regions)
    preds, targets = _both_regions(pred, target, are_maps, None, ignore_index, threads)
    steps = spacing_of(spacing, len(targets.shape))
    partners = object_pairs(overlap_table(preds, targets, threads=threads))
    sides = _Side(preds), _Side(targets)
    return ObjectHausdorffCounts(
        pred_area=np.asarray(preds.area.sum(), np.int64),
        target_area=np.asarray(targets.area.sum(), np.int64),
        pred_distance=_weighted_sum(*sides, partners.target_of_pred, steps),
        target_distance=_weighted_sum(*sides[::-1], partners.pred_of_target, steps),
    )


def object_hausdorff(counts: ObjectHausdorffCounts, *, absent: Absent = "nan") -> np.float64:
    """Object Hausdorff distance: mean of the distances of objects, by area, of both maps.

    ``(pred_distance / pred_area + target_distance / target_area) / 2``.

    Parameters
    ----------
    counts : ObjectHausdorffCounts
        Of one image, as in the challenge (then mean over images), or summed.
    absent : {"nan", "zero", "one", "raise"}
        Value without any object; GlaS has 0. With objects in one map only it is ``inf``.

    Returns
    -------
    float64
        From 0; in the unit of the spacing.

    Raises
    ------
    ValueError
        If `absent` is unknown, or there is no object under ``absent="raise"``.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.object_hausdorff_counts([[1, 1, 1, 0, 0, 2]], [[5, 5, 0, 0, 0, 0]])
    >>> float(object_hausdorff(counts))
    1.5
    """
    require_counts(counts, ObjectHausdorffCounts, "object_hausdorff_counts")
    value = (
        ratio(counts.pred_distance, counts.pred_area)
        + ratio(counts.target_distance, counts.target_area)
    ) / 2
    undefined = np.asarray(counts.pred_area + counts.target_area == 0)
    return np.float64(resolve(value, undefined, absent, "object_hausdorff"))


def _weighted_sum(
    own: _Side, other: _Side, partner: IntArray, spacing: tuple[float, ...]
) -> FloatArray:
    """Sum over objects of area times distance to the partner, or to the nearest object."""
    areas = own.regions.area
    if len(own.regions) and not len(other.regions):
        return np.asarray(np.inf)
    total = 0.0
    for k, chosen in enumerate(partner.tolist()):
        distance = (
            _hausdorff(own, k, other, chosen, spacing)
            if chosen >= 0
            else _nearest(own, k, other, spacing)
        )
        total += float(areas[k]) * distance
    return np.asarray(total)


def _nearest(own: _Side, k: int, other: _Side, spacing: tuple[float, ...]) -> float:
    """Smallest Hausdorff distance to any object of the other map."""
    gaps = np.abs(own.crops.bounding_box[k] - other.crops.bounding_box)
    # The outermost pixel on one side must be within the distance of one of the other object.
    at_least = (gaps * np.array(spacing)[:, np.newaxis]).max(axis=(1, 2))
    best = np.inf
    for candidate in np.argsort(at_least, kind="stable").tolist():
        if at_least[candidate] >= best:
            break
        best = min(best, _hausdorff(own, k, other, candidate, spacing))
    return best


def _hausdorff(own: _Side, k: int, other: _Side, m: int, spacing: tuple[float, ...]) -> float:
    return max(
        _directed(own, k, other, m, spacing),
        _directed(other, m, own, k, spacing),
    )


def _directed(own: _Side, k: int, other: _Side, m: int, spacing: tuple[float, ...]) -> float:
    """The largest distance of a pixel of an object to the nearest one of another.

    A pixel beyond the other object along some axis is the farther away the farther out it lies on
    its line along that axis: the largest distance is that of a pixel within the other's box, or of
    one that is the first or the last on a line. So objects cost what their outlines and the parts
    near each other do, however large they are.
    """
    steps = np.array(spacing)
    others = other.ends(m)
    within = own.pixels(k, other.crops.bounding_box[m])
    points = np.concatenate([within, own.ends(k)])
    # Nobody is farther from the other object than from any one pixel of it.
    lengths = np.sqrt((((others - points[:1]) * steps) ** 2).sum(axis=1))
    one = others[lengths.argmin()]
    reach = np.sqrt((((points - one) * steps) ** 2).sum(axis=1)).max()
    margin = np.ceil(reach / steps).astype(np.int64) + 1
    around = np.stack([points.min(axis=0) - margin, points.max(axis=0) + 1 + margin], axis=1)
    return _farthest(points, other.pixels(m, around), spacing)


def _farthest(points: IntArray, others: IntArray, spacing: tuple[float, ...]) -> float:
    """The largest distance of a point to the nearest of the others."""
    if len(points) * len(others) <= _FEW_PAIRS:
        squares = np.zeros((len(points), len(others)))
        for axis, step in enumerate(spacing):
            squares += (np.subtract.outer(points[:, axis], others[:, axis]) * step) ** 2
        return float(np.sqrt(squares.min(axis=1).max()))
    low = np.minimum(points.min(axis=0), others.min(axis=0))
    high = np.maximum(points.max(axis=0), others.max(axis=0))
    masks = np.zeros((2, *(high - low + 1)), bool)
    for mask, places in zip(masks, (points, others), strict=True):
        mask[tuple((places - low).T)] = True
    # Threads of their own would cost more than a small box does.
    (found,) = surface_distances(*masks, spacing=spacing, surface="foreground", threads=1).values()
    return float(found.pred_to_target.max())
