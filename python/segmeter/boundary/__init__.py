"""The boundary family: how far the surfaces of two segmentations are from each other."""

from __future__ import annotations

from ._surfaces import (
    Border,
    DirectedDistances,
    Surface,
    SurfaceDistances,
    SurfaceWeights,
    surface_distances,
)

__all__ = [
    "Border",
    "DirectedDistances",
    "Surface",
    "SurfaceDistances",
    "SurfaceWeights",
    "surface_distances",
]
