"""The boundary family: how far the surfaces of two segmentations are from each other."""

from __future__ import annotations

from ._band import (
    BoundaryFCounts,
    BoundaryIouCounts,
    TrimapCounts,
    boundary_f_counts,
    boundary_f_score,
    boundary_iou,
    boundary_iou_counts,
    boundary_precision,
    boundary_recall,
    trimap_counts,
    trimap_iou,
)
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
from ._edt import distance_transform
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
    "BoundaryFCounts",
    "BoundaryIouCounts",
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
    "TrimapCounts",
    "asd",
    "assd",
    "boundary_counts",
    "boundary_f_counts",
    "boundary_f_score",
    "boundary_iou",
    "boundary_iou_counts",
    "boundary_precision",
    "boundary_recall",
    "boundary_scores",
    "dataset_nsd",
    "dataset_percentile",
    "distance_transform",
    "hausdorff_distance",
    "masd",
    "nsd",
    "nsd_curve",
    "surface_distances",
    "surface_overlap",
    "surface_scores",
    "trimap_counts",
    "trimap_iou",
]
