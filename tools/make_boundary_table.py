"""One shape, every tool: run them all and write their numbers, and ours, into docs/boundary.md.

    python tools/make_boundary_table.py            rewrite the tables of the page
    python tools/make_boundary_table.py --check    only compare; exits 1 if the page is out of date

Needs the dependency groups `peers` and `peers-alone`. Three tools are on no package index and are
not run here: their numbers, given below, are what they printed when run from their source.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import segmeter

PAGE = Path(__file__).resolve().parent.parent / "docs" / "boundary.md"
TOLERANCE = 2
COLUMNS = ("HD", "HD95", "ASSD", "NSD")
Scores = dict[str, float]
Shape = tuple[np.ndarray, np.ndarray, tuple[float, ...]]


def flat_shape() -> Shape:
    """A disc, and a smaller one beside it with a satellite."""
    y, x = np.mgrid[:64, :64]
    target = (y - 30) ** 2 + (x - 30) ** 2 <= 15**2
    pred = (y - 32) ** 2 + (x - 31) ** 2 <= 13**2
    pred[50:54, 50:54] = True
    return pred, target, (1.0, 1.0)


def solid_shape() -> Shape:
    """A ball, and a smaller one beside it with a satellite, of slices twice as thick as wide."""
    z, y, x = np.mgrid[:30, :60, :60]

    def ball(centre: tuple[int, int, int], radius: int) -> np.ndarray:
        distance = ((z - centre[0]) * 2) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        return np.asarray(distance <= radius**2)

    target = ball((15, 30, 30), 20)
    return ball((15, 32, 30), 18) | ball((15, 30, 54), 3), target, (2.0, 1.0, 1.0)


def deepmind(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    from surface_distance import metrics

    measured = metrics.compute_surface_distances(target, pred, spacing)
    return {
        "HD": metrics.compute_robust_hausdorff(measured, 100),
        "HD95": metrics.compute_robust_hausdorff(measured, 95),
        "NSD": metrics.compute_surface_dice_at_tolerance(measured, TOLERANCE),
    }


def monai(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    import torch
    from monai import metrics

    maps = [torch.from_numpy(mask[None, None]) for mask in (pred, target)]
    options: dict[str, Any] = {"include_background": True, "spacing": list(spacing)}
    return {
        "HD": float(metrics.compute_hausdorff_distance(*maps, **options)),
        "HD95": float(metrics.compute_hausdorff_distance(*maps, percentile=95, **options)),
        "ASSD": float(metrics.compute_average_surface_distance(*maps, symmetric=True, **options)),
        "NSD": float(metrics.compute_surface_dice(*maps, class_thresholds=[TOLERANCE], **options)),
    }


def medpy(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    from medpy.metric import binary

    maps = (pred, target, spacing)
    return {"HD": binary.hd(*maps), "HD95": binary.hd95(*maps), "ASSD": binary.assd(*maps)}


def panoptica(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    from panoptica.metrics import assd, hausdorff_distance, normalized_surface_dice

    maps = (target, pred, spacing)
    nsd = normalized_surface_dice._compute_normalized_surface_dice
    return {
        "HD": hausdorff_distance._compute_hausdorff_distance(*maps),
        "HD95": hausdorff_distance._compute_hausdorff_distance95(*maps),
        "ASSD": assd._average_symmetric_surface_distance(*maps),
        "NSD": nsd(*maps, threshold=TOLERANCE),
    }


def seg_metrics(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    readers: Any = ModuleType("medutils.medutils")  # of files, which none is read of here
    readers.load_itk = readers.get_gdth_pred_names = readers.one_hot_encode_3d = None
    sys.modules |= {"medutils": ModuleType("medutils"), "medutils.medutils": readers}
    from seg_metrics.seg_metrics import computeQualityMeasures

    masks = [mask.astype(np.uint8) for mask in (pred, target)]
    names = {"HD": "hd", "HD95": "hd95", "ASSD": "msd"}
    found = computeQualityMeasures(*masks, np.array(spacing[::-1]), list(names.values()))
    return {name: found[theirs] for name, theirs in names.items()}


def simpleitk(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    import SimpleITK

    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (pred, target)]
    for image in images:
        image.SetSpacing(spacing[::-1])
    measure = SimpleITK.HausdorffDistanceImageFilter()
    measure.Execute(*images)
    average = measure.GetAverageHausdorffDistance()
    return {"HD": measure.GetHausdorffDistance(), "ASSD": average}


def torchmetrics(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    if pred.ndim == 3:
        return {}
    import torch
    from torchmetrics.functional.segmentation import hausdorff_distance

    maps = [torch.from_numpy(mask[None, None].astype(np.int64)) for mask in (pred, target)]
    found = hausdorff_distance(*maps, num_classes=1, include_background=True, spacing=list(spacing))
    return {"HD": float(found)}


def skimage(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Scores:
    if set(spacing) != {1.0}:
        return {}
    from skimage.metrics import hausdorff_distance

    return {
        "HD": float(hausdorff_distance(pred, target)),
        "ASSD": float(hausdorff_distance(pred, target, method="modified")),
    }


Tool = Callable[[np.ndarray, np.ndarray, tuple[float, ...]], Scores]
TOOLS: dict[str, tuple[str, Tool]] = {
    "deepmind": ("surface-distance", deepmind),
    "monai": ("monai", monai),
    "medpy": ("MedPy", medpy),
    "panoptica": ("panoptica", panoptica),
    "seg_metrics": ("seg-metrics", seg_metrics),
    "simpleitk": ("SimpleITK", simpleitk),
    "torchmetrics": ("torchmetrics", torchmetrics),
    "skimage": ("scikit-image", skimage),
}

FROM_SOURCE: dict[str, tuple[str, list[list[float]]]] = {
    "metrics_reloaded": (
        "MetricsReloaded cb38dfc",
        [[17.6918, 16.1704, 2.9694, 0.4881], [7, 3.6056, 1.8881, 0.6345]],
    ),
    "meshmetrics": (
        "MeshMetrics 0.2.1, VTK 9.4.2",
        [[17.3277, 15.2069, 2.6913, 0.5161], [7, 3.3333, 1.6001, 0.6262]],
    ),
    "distorch": (
        "DisTorch 80f190c (its definition, on the CPU)",
        [[17.6918, 15.4528, 2.6903, 0.5161], [7, 3.6056, 1.5809, 0.6635]],
    ),
}
"""HD, HD95, ASSD and NSD of the flat shape and of the solid one."""

FOUR_DECIMALS = 5.1e-5
TIES = 2.5e-3
"""MeshMetrics rounds distances, and on the solid shape some of exactly 2 end up above it."""


def ours(preset: str, shape: Shape) -> Scores:
    """Scores by the preset; of a pair of percentiles the larger."""
    pred, target, spacing = shape
    scores = segmeter.surface_scores(
        pred, target, preset=preset, spacing=spacing, tolerance=TOLERANCE
    )
    return {
        "HD": float(scores.hausdorff[0]),
        "HD95": float(scores.hausdorff_percentile[0, 0]),
        "ASSD": float(scores.assd[0]),
        "NSD": float(scores.nsd[0, 0]),
    }


def table(shape: Shape, column: int) -> str:
    """Rows of a tool and of its preset; of what a tool does not give the preset gives nothing."""
    lines = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for preset, (package, tool) in TOOLS.items():
        theirs = tool(*shape)
        if theirs:
            lines += rows(f"{package} {version(package)}", preset, theirs, shape)
    for preset, (name, numbers) in FROM_SOURCE.items():
        theirs = dict(zip(COLUMNS, numbers[column], strict=True))
        lines += rows(name, preset, theirs, shape, slack=slack_of(preset, shape))
    mine = ours("deepmind", shape)
    return "\n".join([*lines, f"| segmeter, no preset | {cells(mine, COLUMNS)} |"])


def slack_of(preset: str, shape: Shape) -> Scores:
    """How far printed numbers may be from ours."""
    slack = dict.fromkeys(COLUMNS, FOUR_DECIMALS)
    if preset == "meshmetrics" and shape[0].ndim == 3:
        slack["NSD"] = TIES
    return slack


def rows(
    name: str, preset: str, theirs: Scores, shape: Shape, *, slack: Scores | None = None
) -> list[str]:
    """Two rows that agree, or an error."""
    mine = ours(preset, shape)
    for score, value in theirs.items():
        allowed = (slack or {}).get(score, 0.0)
        if not math.isclose(value, mine[score], rel_tol=2e-6, abs_tol=allowed):
            raise SystemExit(f"{name}: {score} is {value}, and by preset {mine[score]}")
    lines = [f"| {name} | {cells(theirs, COLUMNS)} |"]
    return [*lines, f'| `preset="{preset}"` | {cells(mine, theirs)} |']


def cells(scores: Scores, given: Any) -> str:
    shown = (f"{scores[c]:.4f}" if c in given and c in scores else "" for c in COLUMNS)
    return " | ".join(shown)


def main() -> int:
    """Renew the page, or tell whether it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    warnings.simplefilter("ignore")
    vars(np).setdefault("Inf", np.inf)  # surface-distance names it so
    page = PAGE.read_text(encoding="utf-8")
    new = page
    for column, (name, shape) in enumerate({"2-D": flat_shape(), "3-D": solid_shape()}.items()):
        begin, end = f"<!-- tools, {name} -->", "<!-- end -->"
        pattern = re.compile(f"({re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
        if not pattern.search(new):
            raise SystemExit(f"{PAGE} has no {begin}")
        rewritten = f"{begin}\n\n{table(shape, column)}\n\n"
        new = pattern.sub(lambda _, text=rewritten: text, new)
    if check and new != page:
        print(f"{PAGE} is out of date: python tools/make_boundary_table.py")
        return 1
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
