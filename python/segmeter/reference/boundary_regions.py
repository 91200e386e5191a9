"""Distances and bands of single regions in plain NumPy: all pixels, every region alone."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..boundary._overlap import BoundaryOverlapTable
from ..boundary._regions import ObjectHausdorffCounts, RegionDistances
from ..boundary._surfaces import SurfaceDistances
from ..region import OverlapTable
from .boundary_band import band
from .boundary_surfaces import directed_distances, nearest_distances
from .region_overlap import match_regions, overlap_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..boundary._reading import ClassName
    from ..boundary._surfaces import DirectedDistances

    Mask = NDArray[np.bool_]


def region_surface_distances(
    pred: NDArray[Any],
    target: NDArray[Any],
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
    ignored: Mask | None = None,
    spacing: Sequence[float],
    surface: Any = "corner",
    weights: Any = "marching",
    border: Any = "background",
) -> RegionDistances:
    """Twin of :func:`segmeter.region_surface_distances` for maps of ids.

    Examples
    --------
    >>> pred, target = np.array([[0, 1, 1, 0, 5]]), np.array([[0, 2, 0, 0, 3]])
    >>> result = region_surface_distances(pred, target, spacing=(1.0, 1.0))
    >>> float(result.distances[0].pred_to_target.max())
    1.0
    """
    unknown = np.zeros(target.shape, bool) if ignored is None else ignored
    ids = [_ids(np.where(unknown, 0, part)) for part in (pred, target)]
    if pairs is None:
        table = overlap_table(np.where(unknown, 0, pred), np.where(unknown, 0, target))
        found = match_regions(table, method="max_overlap", criterion="ior", same_class=False)
        pairs = list(zip(found.pred_index.tolist(), found.target_index.tolist(), strict=True))
    directed: dict[ClassName, DirectedDistances] = {
        k: directed_distances(
            (pred == ids[0][p]) & ~unknown, (target == ids[1][t]) & ~unknown, unknown, spacing,
            surface=surface, weights=weights, border=border,
        )
        for k, (p, t) in enumerate(pairs)
    }  # fmt: skip
    chosen = [np.array([ids[side][pair[side]] for pair in pairs], np.int64) for side in (0, 1)]
    distances = SurfaceDistances(
        directed, spacing=spacing, shape=target.shape, surface=surface, weights=weights,
        border=border,
    )  # fmt: skip
    return RegionDistances(chosen[0], chosen[1], distances)


def _ids(labels: NDArray[Any]) -> list[int]:
    return [int(k) for k in np.unique(labels) if k != 0]


def object_hausdorff_counts(
    pred: NDArray[Any], target: NDArray[Any], *, spacing: Sequence[float]
) -> ObjectHausdorffCounts:
    """Twin of :func:`segmeter.object_hausdorff_counts` for maps of ids.

    Examples
    --------
    >>> pred, target = np.array([[1, 1, 1, 0, 0, 2]]), np.array([[5, 5, 0, 0, 0, 0]])
    >>> float(object_hausdorff_counts(pred, target, spacing=(1.0, 1.0)).pred_distance)
    8.0
    """
    return ObjectHausdorffCounts(
        pred_area=np.asarray(np.count_nonzero(pred), np.int64),
        target_area=np.asarray(np.count_nonzero(target), np.int64),
        pred_distance=np.asarray(_distance_by_area(pred, target, spacing)),
        target_distance=np.asarray(_distance_by_area(target, pred, spacing)),
    )


def _distance_by_area(own: NDArray[Any], other: NDArray[Any], spacing: Sequence[float]) -> float:
    total = 0.0
    for k in _ids(own):
        mask = own == k
        covered = np.bincount(other[mask & (other != 0)])
        partners = [int(covered.argmax())] if covered.any() else _ids(other)
        total += np.count_nonzero(mask) * min(
            (_hausdorff(mask, other == m, spacing) for m in partners), default=math.inf
        )
    return total


def _hausdorff(mask: Mask, other: Mask, spacing: Sequence[float]) -> float:
    ways = nearest_distances(mask, other, spacing), nearest_distances(other, mask, spacing)
    return float(max(way.max() for way in ways))


def object_hausdorff(counts: ObjectHausdorffCounts) -> float:
    """Twin of :func:`segmeter.object_hausdorff`; NaN without any object.

    Examples
    --------
    >>> pred, target = np.array([[1, 1, 1, 0, 0, 2]]), np.array([[5, 5, 0, 0, 0, 0]])
    >>> object_hausdorff(object_hausdorff_counts(pred, target, spacing=(1.0, 1.0)))
    1.5
    """
    areas = int(counts.pred_area), int(counts.target_area)
    if not any(areas):
        return math.nan
    if not all(areas):
        return math.inf
    sums = float(counts.pred_distance), float(counts.target_distance)
    return (sums[0] / areas[0] + sums[1] / areas[1]) / 2


def boundary_overlap_table(
    pred: NDArray[Any],
    target: NDArray[Any],
    *,
    reach: Sequence[int],
    border: str = "background",
    ignored: str = "outline",
    ignore_index: int | None = None,
    pred_ignore_index: int | None = None,
) -> BoundaryOverlapTable:
    """Twin of :func:`segmeter.boundary_overlap_table`: the band of every region by itself.

    Examples
    --------
    >>> target = np.zeros((12, 12), int)
    >>> target[1:11, 1:11] = 1
    >>> table = boundary_overlap_table(np.roll(target, 1, axis=0), target, reach=(1, 1))
    >>> table.pred_band, table.band_intersection
    (array([36]), array([18]))
    """
    table = overlap_table(
        pred, target, ignore_index=ignore_index, pred_ignore_index=pred_ignore_index
    )
    left_out = {"pred": pred == pred_ignore_index, "target": target == ignore_index}
    both = left_out["pred"] | left_out["target"]
    unknown = both if ignored == "unknown" else np.zeros(target.shape, bool)
    bands: dict[str, list[Mask]] = {}
    sums: dict[str, Any] = {}
    for side, other, ids in (("pred", "target", pred), ("target", "pred", target)):
        bands[side] = [
            band(ids == k, unknown, reach, border) & ~left_out[side]
            for k in getattr(table, f"{side}_id").tolist()
        ]
        sums[f"{side}_band"] = _sums(bands[side])
        sums[f"{side}_band_void"] = _sums([one & left_out[other] for one in bands[side]])
    pairs = zip(table.pred_index.tolist(), table.target_index.tolist(), strict=True)
    sums["band_intersection"] = _sums([bands["pred"][p] & bands["target"][t] for p, t in pairs])
    known: dict[str, Any] = {part.name: getattr(table, part.name) for part in fields(OverlapTable)}
    return BoundaryOverlapTable(**known, **sums)


def _sums(masks: list[Mask]) -> NDArray[np.int64]:
    return np.array([np.count_nonzero(mask) for mask in masks], np.int64)
