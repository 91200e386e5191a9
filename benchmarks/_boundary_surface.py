"""Surface distances where a search is long, beside two of our own distance transforms.

What is promised: noise, far-apart objects and shapes whose points are all equally far cost a small
multiple of the dense way, which extracts both surfaces and transforms the volume twice; and a few
points cost next to nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from _harness import Candidate
from _memory import peak_extra_bytes
from _parts import Case
from _tables import Target, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

SPACING = (2.0, 0.8, 0.8)


def ours(pred: Mask, target: Mask, threads: int) -> NDArray[np.float64]:
    """Largest and mean distance in both directions."""
    import segmeter

    distances = segmeter.surface_distances(
        pred, target, spacing=SPACING, surface="voxel_face", threads=threads
    )[1]
    return _summary(distances.pred_to_target, distances.target_to_pred)


def dense(pred: Mask, target: Mask, threads: int) -> NDArray[np.float64]:
    """The same by erosion and two distance transforms."""
    from scipy import ndimage

    import segmeter

    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (pred, target)]
    maps = [
        segmeter.distance_transform(~surface, spacing=SPACING, threads=threads)
        for surface in surfaces
    ]
    return _summary(maps[1][surfaces[0]], maps[0][surfaces[1]])


def dense_scipy(pred: Mask, target: Mask) -> NDArray[np.float64]:
    from scipy import ndimage

    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (pred, target)]
    maps = [ndimage.distance_transform_edt(~surface, sampling=SPACING) for surface in surfaces]
    return _summary(maps[1][surfaces[0]], maps[0][surfaces[1]])


def _summary(forward: NDArray[np.float64], backward: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([forward.max(), backward.max(), forward.mean(), backward.mean()])


def _differs(result: NDArray[np.float64], answer: NDArray[np.float64]) -> str | None:
    if np.array_equal(result, answer):
        return None
    return f"other distances, by up to {np.abs(result - answer).max():.2g}"


# --- drawings ----------------------------------------------------------------------------------


def _ball(size: int, center: float, radius: float) -> Mask:
    grids = np.ogrid[(slice(0, size),) * 3]
    return sum((grid - center * size) ** 2 for grid in grids) <= (radius * size) ** 2


def noise(size: int) -> tuple[Mask, Mask]:
    maps = np.random.default_rng(1).random((2, size, size, size), dtype=np.float32) < 0.5
    return maps[0], maps[1]


def noise_and_point(size: int) -> tuple[Mask, Mask]:
    pred, target = noise(size)[0], np.zeros((size,) * 3, bool)
    target[0, 0, 0] = True
    return pred, target


def shell_and_ball(size: int) -> tuple[Mask, Mask]:
    """Every point of the shell is about equally far from all points of the ball."""
    return _ball(size, 0.5, 0.49) & ~_ball(size, 0.5, 0.48), _ball(size, 0.5, 0.08)


def far_balls(size: int) -> tuple[Mask, Mask]:
    return _ball(size, 0.2, 0.18), _ball(size, 0.8, 0.18)


def plates(size: int) -> tuple[Mask, Mask]:
    """The first and the last plane."""
    pred, target = np.zeros((2, size, size, size), bool)
    pred[0], target[-1] = True, True
    return pred, target


def two_points(size: int) -> tuple[Mask, Mask]:
    pred, target = np.zeros((2, size, size, size), bool)
    pred[0, 0, 0], target[-1, -1, -1] = True, True
    return pred, target


def _case(title: str, draw: Callable[[int], tuple[Mask, Mask]], quick: bool, threads: int) -> Case:
    pred, target = draw(48 if quick else 256)
    call = partial(ours, pred, target, threads)
    candidates = [
        Candidate("segmeter", call, _differs, "ours"),
        Candidate("dense, our transform", partial(dense, pred, target, threads), _differs),
    ]
    if threads == 1:
        candidates.append(
            Candidate("dense, SciPy's transform", partial(dense_scipy, pred, target), _differs)
        )
    warm_up = partial(ours, *draw(16), threads)
    extra = peak_extra_bytes([Candidate("ours", warm_up)], [Candidate("ours", call)])["ours"]
    report: dict[str, Any] = {}
    if extra is not None:
        report["memory beyond the maps [MiB]"] = round(extra / 2**20, 1)
    return Case(title, target.size, pred.nbytes + target.nbytes, candidates, call(), report)


_DRAWINGS = {
    "worst-noise": ("noise, 256³", noise),
    "worst-noise-point": ("noise and one point, 256³", noise_and_point),
    "worst-shell": ("a ball in a shell, 256³", shell_and_ball),
    "worst-far": ("two balls in far corners, 256³", far_balls),
    "worst-plates": ("two plates, 256³", plates),
    "worst-points": ("two points in far corners, 256³", two_points),
}

CASES: dict[str, Callable[[bool, int], Case]] = {
    name: partial(_case, *drawing) for name, drawing in _DRAWINGS.items()
}

# The dense way may be at most three times as fast.
TARGETS = tuple(
    Target(name, f"{title}: the dense way", 1 / 3, times_faster_than("our transform"))
    for name, (title, _) in _DRAWINGS.items()
)
