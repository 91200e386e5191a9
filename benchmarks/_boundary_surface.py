"""Surface distances where a search is long, beside two of our own distance transforms.

What is promised: noise, far-apart objects and shapes whose points are all equally far cost a small
multiple of the dense way, which extracts both surfaces and transforms the volume twice; and a few
points cost next to nothing.

The dense way to distances from a face mesh transforms the lattice of thirds of a voxel twice, 27
times as many points as voxels: of 96³ here.
"""

from __future__ import annotations

from functools import partial
from itertools import product
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
    Spacing = tuple[float, float, float]
    Call = Callable[[], NDArray[np.float64]]

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


def comb(size: int) -> tuple[Mask, Mask]:
    """Needles two voxels apart, and a slab behind them."""
    pred, target = np.zeros((2, size, size, size), bool)
    pred[: size // 2, ::2, ::2] = target[-2:] = True
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
    report = _memory_beyond_maps(call, partial(ours, *draw(16), threads))
    return Case(title, target.size, pred.nbytes + target.nbytes, candidates, call(), report)


def _memory_beyond_maps(call: Call, warm_up: Call) -> dict[str, Any]:
    extra = peak_extra_bytes([Candidate("ours", warm_up)], [Candidate("ours", call)])["ours"]
    return {} if extra is None else {"memory beyond the maps [MiB]": round(extra / 2**20, 1)}


_DRAWINGS = {
    "worst-noise": ("noise, 256³", noise),
    "worst-noise-point": ("noise and one point, 256³", noise_and_point),
    "worst-shell": ("a ball in a shell, 256³", shell_and_ball),
    "worst-far": ("two balls in far corners, 256³", far_balls),
    "worst-plates": ("two plates, 256³", plates),
    "worst-points": ("two points in far corners, 256³", two_points),
}

# --- face meshes -------------------------------------------------------------------------------

FLAT = (5.0, 0.3, 0.31)


def mesh(pred: Mask, target: Mask, spacing: Spacing, threads: int) -> NDArray[np.float64]:
    """Largest and mean distance in both directions between face meshes."""
    import segmeter

    distances = segmeter.surface_distances(
        pred, target, spacing=spacing, surface="face_mesh", threads=threads
    )[1]
    return _summary(distances.pred_to_target, distances.target_to_pred)


def dense_mesh(pred: Mask, target: Mask, spacing: Spacing, threads: int) -> NDArray[np.float64]:
    """The same by two transforms of the lattice of thirds, on which all faces and centres lie."""
    import segmeter

    thirds = [step / 3 for step in spacing]
    faces = [_faces(mask) for mask in (pred, target)]
    maps = [
        segmeter.distance_transform(_beside_faces(kinds), spacing=thirds, threads=threads)
        for kinds in faces
    ]
    sides = []
    for distances, kinds in ((maps[1], faces[0]), (maps[0], faces[1])):
        centres = [_centres(face, k, third) for k, face in enumerate(kinds) for third in (1, 2)]
        sides.append(np.concatenate([distances[places] for places in centres]))
    return _summary(sides[0], sides[1])


def _faces(mask: Mask) -> list[Mask]:
    """Where faces across each axis have their low corner."""
    return [np.diff(np.pad(mask, 1), axis=a)[_without_padding(a)] for a in range(mask.ndim)]


def _without_padding(axis: int) -> tuple[slice, ...]:
    return tuple(slice(None) if a == axis else slice(1, -1) for a in range(3))


def _beside_faces(kinds: list[Mask]) -> Mask:
    """Points of the lattice of thirds that lie on no face."""
    beside = np.ones([3 * n + 1 for n in _size(kinds)], bool)
    for axis, face in enumerate(kinds):
        reach = [range(1) if a == axis else range(4) for a in range(3)]
        for step in product(*reach):
            shifted = [slice(s, s + 3 * n, 3) for s, n in zip(step, face.shape, strict=True)]
            beside[tuple(shifted)] &= ~face
    return beside


def _size(kinds: list[Mask]) -> list[int]:
    return [kinds[(axis + 1) % 3].shape[axis] for axis in range(3)]


def _centres(face: Mask, axis: int, third: int) -> tuple[NDArray[np.int64], ...]:
    """Where the centres of the triangles of faces across an axis lie in the lattice of thirds."""
    places = np.nonzero(face)
    return tuple(3 * p + (0 if a == axis else third) for a, p in enumerate(places))


def _mesh_differs(result: NDArray[np.float64], answer: NDArray[np.float64]) -> str | None:
    # Thirds of the spacing are rounded before they are multiplied, not after it.
    if np.allclose(result, answer, rtol=1e-12, atol=0):
        return None
    return f"other distances, by up to {np.abs(result - answer).max():.2g}"


def _mesh_case(
    title: str,
    draw: Callable[[int], tuple[Mask, Mask]],
    spacing: Spacing,
    quick: bool,
    threads: int,
) -> Case:
    pred, target = draw(24 if quick else 96)
    call = partial(mesh, pred, target, spacing, threads)
    way = partial(dense_mesh, pred, target, spacing, threads)
    candidates = [
        Candidate("segmeter", call, _mesh_differs, "ours"),
        Candidate("dense, our transform", way, _mesh_differs),
    ]
    report = _memory_beyond_maps(call, partial(mesh, *draw(16), spacing, threads))
    return Case(title, target.size, pred.nbytes + target.nbytes, candidates, call(), report)


_MESHES = {
    "mesh-comb": ("face mesh: a comb and a slab, flat voxels, 96³", comb, FLAT),
    "mesh-noise": ("face mesh: noise, 96³", noise, SPACING),
    "mesh-noise-point": ("face mesh: noise and one point, 96³", noise_and_point, SPACING),
    "mesh-shell": ("face mesh: a ball in a shell, 96³", shell_and_ball, SPACING),
    "mesh-far": ("face mesh: two balls in far corners, 96³", far_balls, SPACING),
    "mesh-plates": ("face mesh: two plates, 96³", plates, SPACING),
}

CASES: dict[str, Callable[[bool, int], Case]] = {
    **{name: partial(_case, *drawing) for name, drawing in _DRAWINGS.items()},
    **{name: partial(_mesh_case, *drawing) for name, drawing in _MESHES.items()},
}

# The dense way may be at most three times as fast.
TARGETS = tuple(
    Target(name, f"{title}: the dense way", 1 / 3, times_faster_than("our transform"))
    for name, (title, *_) in {**_DRAWINGS, **_MESHES}.items()
)
