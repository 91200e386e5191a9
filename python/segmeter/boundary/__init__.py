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
from ._displacement import (
    BoundaryDisplacement,
    DisplacementCounts,
    boundary_displacement,
    displacement_counts,
)
from ._edt import distance_transform
from ._overlap import BoundaryOverlapTable, boundary_overlap_table
from ._presets import SURFACE_PRESETS, EmptyRules, EmptyScores, SurfaceRules
from ._regions import (
    ObjectHausdorffCounts,
    RegionDistances,
    object_hausdorff,
    object_hausdorff_counts,
    region_surface_distances,
)
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
    "BoundaryDisplacement",
    "BoundaryFCounts",
    "BoundaryIouCounts",
    "BoundaryOverlapTable",
    "CaseMeans",
    "DirectedDistances",
    "DisplacementCounts",
    "EmptyRules",
    "EmptyScores",
    "NsdCurve",
    "ObjectHausdorffCounts",
    "RegionDistances",
    "Surface",
    "SurfaceDistances",
    "SurfaceRules",
    "SurfaceScores",
    "SurfaceWeights",
    "TrimapCounts",
    "asd",
    "assd",
    "boundary_counts",
    "boundary_displacement",
    "boundary_f_counts",
    "boundary_f_score",
    "boundary_iou",
    "boundary_iou_counts",
    "boundary_overlap_table",
    "boundary_precision",
    "boundary_recall",
    "boundary_scores",
    "dataset_nsd",
    "dataset_percentile",
    "displacement_counts",
    "distance_transform",
    "hausdorff_distance",
    "masd",
    "nsd",
    "nsd_curve",
    "object_hausdorff",
    "object_hausdorff_counts",
    "region_surface_distances",
    "surface_distances",
    "surface_overlap",
    "surface_scores",
    "trimap_counts",
    "trimap_iou",
]
