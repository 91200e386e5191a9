"""HD95, ASSD and NSD by the conventions of MONAI, DeepMind and MedPy, beside these tools."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import _boundary_data as data
from _harness import Candidate
from _memory import peak_extra_bytes
from _native import readers
from _parts import Case
from _tables import Target, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

TOLERANCE = 2.0
Spacing = tuple[float, ...]


def ours(
    pred: NDArray[Any],
    target: NDArray[Any],
    *,
    preset: str,
    spacing: Spacing,
    classes: Sequence[int],
    threads: int,
) -> NDArray[np.float64]:
    """HD95, mean distances and NSD of every class, as the tool of the preset gives them."""
    import segmeter

    scores = segmeter.surface_scores(
        pred,
        target,
        preset=preset,
        tolerance=TOLERANCE,
        spacing=spacing,
        classes=classes,
        threads=threads,
    )
    columns = [scores.hausdorff_percentile[:, 0]]
    columns += [scores.asd[:, 0], scores.asd[:, 1]] if preset == "deepmind" else [scores.assd]
    if preset != "medpy":
        columns.append(scores.nsd[:, 0])
    return np.stack(columns, axis=1)


def monai(
    pred: NDArray[Any], target: NDArray[Any], *, spacing: Spacing, classes: Sequence[int]
) -> NDArray[np.float64]:
    """One class after another: one-hot volumes of 14 classes take 10 GiB."""
    import torch
    from monai import metrics

    rows = []
    options: dict[str, Any] = {"include_background": True, "spacing": list(spacing)}
    for label in classes:
        maps = [torch.from_numpy((side == label)[None, None]) for side in (pred, target)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            robust = metrics.compute_hausdorff_distance(*maps, percentile=95, **options)
            mean = metrics.compute_average_surface_distance(*maps, symmetric=True, **options)
            share = metrics.compute_surface_dice(*maps, class_thresholds=[TOLERANCE], **options)
        rows.append([float(robust), float(mean), float(share)])
    return np.array(rows)


def deepmind(
    pred: NDArray[Any], target: NDArray[Any], *, spacing: Spacing, classes: Sequence[int]
) -> NDArray[np.float64]:
    from surface_distance import metrics

    rows = []
    for label in classes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            measured = metrics.compute_surface_distances(target == label, pred == label, spacing)
        rows.append(
            [
                metrics.compute_robust_hausdorff(measured, 95),
                *metrics.compute_average_surface_distance(measured)[::-1],
                metrics.compute_surface_dice_at_tolerance(measured, TOLERANCE),
            ]
        )
    return np.array(rows)


def medpy(
    pred: NDArray[Any], target: NDArray[Any], *, spacing: Spacing, classes: Sequence[int]
) -> NDArray[np.float64]:
    from medpy.metric import binary

    rows = []
    for label in classes:
        maps = (pred == label, target == label, spacing)
        rows.append([binary.hd95(*maps), binary.assd(*maps)])
    return np.array(rows)


TOOLS: dict[str, tuple[str, Callable[..., NDArray[np.float64]]]] = {
    "monai": ("MONAI", monai),
    "deepmind": ("DeepMind surface-distance", deepmind),
    "medpy": ("MedPy", medpy),
}


def _differs(result: NDArray[np.float64], answer: NDArray[np.float64]) -> str | None:
    if np.allclose(result, answer, rtol=2e-6, equal_nan=True):
        return None
    return f"other scores, by up to {np.nanmax(np.abs(result - answer)):.2g}"


def _case(
    preset: str,
    title: str,
    draw: Callable[[bool], data.Pair],
    spacing: Spacing,
    quick: bool,
    threads: int,
) -> Case:
    pred, target = draw(quick)
    labels = [int(label) for label in np.union1d(pred, target) if label]
    options: dict[str, Any] = {"spacing": spacing, "classes": labels}
    call = partial(ours, pred, target, preset=preset, threads=threads, **options)
    name, tool = TOOLS[preset]
    candidates = [
        Candidate("segmeter", call, _differs, "ours"),
        Candidate(name, partial(tool, pred, target, **options), _differs),
    ]
    candidates += [
        Candidate(f"read bandwidth ({what})", read, kind="limit")
        for what, read in readers((pred, target), threads).items()
    ]
    small = tuple(part[tuple(slice(0, 32) for _ in part.shape)] for part in (pred, target))
    warm_up = partial(ours, *small, preset=preset, threads=threads, **options)
    extra = peak_extra_bytes([Candidate("ours", _quietly(warm_up))], [Candidate("ours", call)])[
        "ours"
    ]
    return Case(
        f"{title}, {name}'s conventions",
        target.size,
        pred.nbytes + target.nbytes,
        candidates,
        call(),
        {} if extra is None else {"memory beyond the maps [MiB]": round(extra / 2**20, 1)},
    )


def _quietly(call: Callable[[], Any]) -> Callable[[], None]:
    """A call on a corner of the maps, where a class may have no surface and a preset no score."""

    def warm_up() -> None:
        try:
            call()
        except ValueError:
            return

    return warm_up


def _organ(quick: bool, error: float = 0.03) -> data.Pair:
    return data.organ(48 if quick else 256, error=error)


def _lesions(quick: bool) -> data.Pair:
    return data.lesions(64 if quick else 256)


def _organs(quick: bool) -> data.Pair:
    return data.organs((32, 96, 96) if quick else (128, 512, 512))


def _street(quick: bool) -> data.Pair:
    return data.street((128, 256) if quick else (1024, 2048))


_DRAWINGS: dict[str, tuple[str, Callable[[bool], data.Pair], Spacing]] = {
    "organ": ("organ, 256³", _organ, (2.0, 0.8, 0.8)),
    "organ-far": ("organ predicted badly, 256³", partial(_organ, error=0.1), (2.0, 0.8, 0.8)),
    "lesions": ("25 lesions, 256³", _lesions, (2.0, 0.8, 0.8)),
    "organs14": ("14 organs, 128x512x512", _organs, (2.5, 0.8, 0.8)),
    "street": ("19 classes, 1024x2048", _street, (1.0, 1.0)),
}

CASES: dict[str, Callable[[bool, int], Case]] = {
    f"{name}-{preset}": partial(_case, preset, *drawing)
    for preset, names in (
        ("monai", tuple(_DRAWINGS)),
        ("deepmind", tuple(_DRAWINGS)),
        ("medpy", ("organ",)),
    )
    for name, drawing in _DRAWINGS.items()
    if name in names
}

_LIMITS = {"organ": 100, "lesions": 200, "organs14": 500, "street": 100}

TARGETS = (
    *(
        Target(f"{name}-monai", f"{_DRAWINGS[name][0]}: MONAI", limit, times_faster_than())
        for name, limit in _LIMITS.items()
    ),
    *(
        Target(f"{name}-deepmind", f"{_DRAWINGS[name][0]}: DeepMind", 100, times_faster_than())
        for name in _LIMITS
    ),
    Target("organ-medpy", "organ, 256³: MedPy", 100, times_faster_than()),
    Target(
        "organ-deepmind",
        "organ, 256³: memory beyond the maps",
        20,
        lambda report: report["extra"].get("memory beyond the maps [MiB]"),
        unit=" MiB",
        at_most=True,
    ),
)
