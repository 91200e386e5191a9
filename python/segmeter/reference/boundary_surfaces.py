"""Surface distances in plain NumPy: what the native kernel must equal, bit for bit.

One class after another, by the definitions as they stand: masks, their surfaces, all pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..boundary._elements import (
    beyond,
    corner_codes,
    corner_weights,
    element_area,
    voxel_surface,
)
from ..boundary._surfaces import DirectedDistances, SurfaceDistances
from .cause import NO_CLASS, classes_of
from .pixel import _ignored_labels, _is_mask, _roles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    FloatArray = NDArray[np.float64]


def surface_distances(
    pred: Any,
    target: Any,
    *,
    num_classes: int | None = None,
    classes: Sequence[int] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    labels: Any = None,
    pred_labels: Any = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    ignore_index: Any = None,
    background: int | None = 0,
    spacing: Sequence[float] | None = None,
    surface: Any = "corner",
    weights: Any = None,
    border: Any = "background",
    metric: Any = "euclidean",
    threads: int = 0,
) -> SurfaceDistances:
    """Twin of :func:`segmeter.surface_distances`; same arguments, same result.

    Examples
    --------
    >>> surface_distances([[1, 1, 0]], [[1, 1, 1]], surface="voxel_face")[1].target_to_pred
    array([0., 0., 1.])
    """
    del threads  # one thread only: the twin defines the result, not the speed
    pred, target = np.asarray(pred), np.asarray(target)
    spacing = [1.0] * target.ndim if spacing is None else [float(s) for s in spacing]
    if weights is None:
        weights = {"corner": "marching", "face_mesh": "area"}.get(surface, "count")
    if num_classes is not None:
        guess, truth = classes_of(
            pred, target, num_classes, ignore_index, labels, pred_labels, reduce_zero_label,
            out_of_range,
        )  # fmt: skip
        ignored = truth == NO_CLASS
        named = _roles(num_classes, labels, reduce_zero_label)
        left = {k for label, k in named.items() if label not in _ignored_labels(ignore_index)}
        gone = {*named.values()} - left
        asked = classes
        if classes is None:
            asked = [k for k in range(num_classes) if k != background and k not in gone]
    else:
        guess, truth = pred, target
        ignored = _ignored(target, ignore_index)
        is_mask = classes is None and groups is None
        asked = _only_label(pred, target, ignore_index, background) if is_mask else classes or []
    members = {k: [k] for k in asked or ()} if groups is None else groups
    directed = {
        name: directed_distances(
            np.isin(guess, list(those)), np.isin(truth, list(those)), ignored, spacing,
            surface=surface, weights=weights, border=border, metric=metric,
        )
        for name, those in members.items()
    }  # fmt: skip
    return SurfaceDistances(
        directed, spacing=spacing, shape=target.shape, surface=surface, weights=weights,
        border=border, metric=metric,
    )  # fmt: skip


def _ignored(target: NDArray[Any], ignore_index: Any) -> Mask:
    if _is_mask(ignore_index):
        return np.asarray(ignore_index, bool)
    return np.isin(target, _ignored_labels(ignore_index))


def _only_label(
    pred: NDArray[Any], target: NDArray[Any], ignore_index: Any, background: int | None
) -> list[int]:
    """The label of two masks besides the background; 1 if there is none."""
    # True is whatever the other map calls it.
    found = {int(v) for a in (pred, target) if a.dtype != bool for v in np.unique(a)}
    found -= {background, *_ignored_labels(ignore_index)}
    if len(found) > 1:
        raise ValueError(f"masks hold one label besides the background, got {sorted(found)}")
    return list(found) or [1]


def directed_distances(
    pred: Mask,
    target: Mask,
    ignored: Mask,
    spacing: Sequence[float],
    *,
    surface: str,
    weights: str,
    border: str,
    metric: str = "euclidean",
) -> DirectedDistances:
    """Distances between the surfaces of two masks.

    Examples
    --------
    >>> pred, target = np.array([[[1, 0, 0]], [[1, 1, 1]]], bool)
    >>> both = directed_distances(
    ...     pred, target, np.zeros((1, 3), bool), (1.0, 1.0), surface="corner",
    ...     weights="marching", border="background",
    ... )
    >>> both.target_to_pred
    array([0., 0., 1., 2., 0., 0., 1., 2.])
    """
    if surface == "face_mesh":
        return _mesh_distances(pred, target, ignored, spacing, weights, border)
    sides = []
    for mask in (pred, target):
        if surface == "corner":
            codes = corner_codes(mask, ignored, border)
            points = codes >= 0
            areas = corner_weights(spacing, weights)[codes[points]]
        else:
            points = voxel_surface(mask, ignored, surface, border)
            areas = np.ones(points.sum())
        sides.append((points, areas))
    (pred_points, pred_weight), (target_points, target_weight) = sides
    return DirectedDistances(
        nearest_distances(pred_points, target_points, spacing, metric),
        nearest_distances(target_points, pred_points, spacing, metric),
        pred_weight,
        target_weight,
    )


def nearest_distances(
    points: Mask, others: Mask, spacing: Sequence[float], metric: str = "euclidean"
) -> FloatArray:
    """Distance of each point to the nearest of the others, every one tried; inf if there is none.

    Examples
    --------
    >>> nearest_distances(np.array([[True, True]]), np.array([[True, False]]), (1.0, 0.5))
    array([0. , 0.5])
    """
    here, there = np.argwhere(points), np.argwhere(others)
    nearest = np.full(len(here), np.inf)
    if len(there) == 0:
        return nearest
    if metric != "euclidean":
        combined = np.max if metric == "chessboard" else np.sum
        for i, point in enumerate(here):
            nearest[i] = combined(np.abs(there - point), axis=1).min()
        return nearest
    step = max(1, 2**20 // len(there))
    for i in range(0, len(here), step):
        square = np.zeros((len(here[i : i + step]), len(there)))
        for axis, size in enumerate(spacing):
            square += (np.subtract.outer(here[i : i + step, axis], there[:, axis]) * size) ** 2
        nearest[i : i + step] = square.min(axis=1)
    return np.asarray(np.sqrt(nearest))


def _mesh_distances(
    pred: Mask, target: Mask, ignored: Mask, spacing: Sequence[float], weights: str, border: str
) -> DirectedDistances:
    meshes = [mesh_faces(mask, ignored, border) for mask in (pred, target)]
    areas = [
        np.repeat([element_area(spacing, axis) for axis in normal], pred.ndim - 1)
        for _, normal in meshes
    ]
    if weights == "count":
        areas = [np.ones(len(area)) for area in areas]
    return DirectedDistances(
        distances_to_mesh(*meshes[0], *meshes[1], spacing),
        distances_to_mesh(*meshes[1], *meshes[0], spacing),
        areas[0],
        areas[1],
    )


def mesh_faces(
    mask: Mask, ignored: Mask, border: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Faces between pixels of a mask and others: their low corners, and the axis across them.

    Corners in raster order; the pixel behind a corner has its coordinates.

    Examples
    --------
    >>> mask = np.array([[1, 1, 0]], bool)
    >>> corners, normal = mesh_faces(mask, np.zeros((1, 3), bool), "ignore")
    >>> corners.tolist(), normal.tolist()
    ([[0, 2]], [1])
    """
    inside, unknown = beyond(mask, border), beyond(ignored, border)
    is_face = np.zeros((mask.ndim, *(n + 1 for n in mask.shape)), bool)
    for axis in range(mask.ndim):
        window = [slice(1, -1)] * mask.ndim
        window[axis] = slice(None, -1)
        before = tuple(window)
        window[axis] = slice(1, None)
        behind = tuple(window)
        differ = (inside[before] != inside[behind]) & ~unknown[before] & ~unknown[behind]
        is_face[axis][tuple(slice(n) for n in differ.shape)] = differ
    found = np.argwhere(np.moveaxis(is_face, 0, -1))
    return found[:, :-1], found[:, -1]


def distances_to_mesh(
    corners: NDArray[np.int64],
    normal: NDArray[np.int64],
    other_corners: NDArray[np.int64],
    other_normal: NDArray[np.int64],
    spacing: Sequence[float],
) -> FloatArray:
    """Distance from the elements of the faces to the nearest point of any of the other faces.

    Examples
    --------
    >>> here, there = np.array([[0, 0]]), np.array([[2, 1]])
    >>> distances_to_mesh(here, np.array([0]), there, np.array([0]), (1.0, 1.0))
    array([2.06155281])
    """
    ndim = corners.shape[1]
    parts = ndim  # halves of a pixel in 2-D, thirds in 3-D
    within = np.arange(1, parts)
    across = normal[:, None, None] == np.arange(ndim)
    places = parts * corners[:, None, :] + np.where(across, 0, within[None, :, None])
    places = places.reshape(-1, ndim)
    low = parts * other_corners
    high = low + np.where(other_normal[:, None] == np.arange(ndim), 0, parts)
    nearest = np.full(len(places), np.inf)
    for begin in range(0, len(places), 256):
        here = places[begin : begin + 256, None, :]
        away = np.maximum(np.maximum(low - here, here - high), 0) / parts * np.asarray(spacing)
        squares = np.cumsum(away**2, axis=2)[:, :, -1]
        nearest[begin : begin + 256] = squares.min(axis=1, initial=np.inf)
    return np.asarray(np.sqrt(nearest))


def distances_to(points: Mask, spacing: Sequence[float]) -> FloatArray:
    """Distance of every place to the nearest point; inf if there is none. Needs SciPy.

    Examples
    --------
    >>> distances_to(np.array([[True, False, False]]), (1.0, 0.5))
    array([[0. , 0.5, 1. ]])
    """
    from scipy import ndimage

    if not points.any():
        return np.full(points.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~points, sampling=spacing), np.float64)
