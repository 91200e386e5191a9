"""The boundary family: how far the surfaces of two segmentations are from each other."""

from __future__ import annotations

from ._counts import (
    BoundaryCounts,
    CaseMeans,
    NsdCurve,
    boundary_counts,
    boundary_scores,
    dataset_nsd,
    dataset_percentile,
    nsd_curve,
)
from ._presets import SURFACE_PRESETS, EmptyRules, EmptyScores, SurfaceRules
from ._scores import (
    SurfaceScores,
    asd,
    assd,
    hausdorff_distance,
    masd,
    nsd,
    surface_overlap,
    surface_scores,
)
from ._surfaces import (
    Border,
    DirectedDistances,
    Surface,
    SurfaceDistances,
    SurfaceWeights,
    surface_distances,
)

__all__ = [
    "SURFACE_PRESETS",
    "Border",
    "BoundaryCounts",
    "CaseMeans",
    "DirectedDistances",
    "EmptyRules",
    "EmptyScores",
    "NsdCurve",
    "Surface",
    "SurfaceDistances",
    "SurfaceRules",
    "SurfaceScores",
    "SurfaceWeights",
    "asd",
    "assd",
    "boundary_counts",
    "boundary_scores",
    "dataset_nsd",
    "dataset_percentile",
    "hausdorff_distance",
    "masd",
    "nsd",
    "nsd_curve",
    "surface_distances",
    "surface_overlap",
    "surface_scores",
]
