"""The dense distance transform beside edt, SciPy and OpenCV."""

from __future__ import annotations

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
    from collections.abc import Callable

    from numpy.typing import NDArray

    Map = NDArray[Any]
    Peer = Callable[[Map, tuple[float, ...], int], NDArray[Any]]

VOXEL = (2.0, 0.8, 0.8)


def ours(labels: Map, spacing: tuple[float, ...], threads: int) -> NDArray[np.float64]:
    import segmeter

    return segmeter.distance_transform(
        labels, labels=labels.dtype != np.bool_, spacing=spacing, threads=threads
    )


def edt_package(labels: Map, spacing: tuple[float, ...], threads: int) -> NDArray[np.float32]:
    import edt

    return edt.edt(labels, anisotropy=spacing, parallel=threads)


def scipy_edt(labels: Map, spacing: tuple[float, ...], threads: int) -> NDArray[np.float64]:
    from scipy import ndimage

    del threads  # has none
    return ndimage.distance_transform_edt(labels, sampling=spacing)


def opencv(labels: Map, spacing: tuple[float, ...], threads: int) -> NDArray[np.float32]:
    import cv2

    del spacing  # ones only
    cv2.setNumThreads(threads)
    return cv2.distanceTransform(labels.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


PEERS: dict[str, Peer] = {
    "edt": edt_package,
    "SciPy": scipy_edt,
    "OpenCV DIST_MASK_PRECISE": opencv,
}


def _differs(result: NDArray[Any], answer: NDArray[np.float64]) -> str | None:
    # The others measure in float32, edt with errors up to 1e-5.
    if np.allclose(result, answer, rtol=2e-5, atol=0):
        return None
    return f"other distances, by up to {np.abs(result - answer).max():.2g}"


def _case(
    title: str,
    draw: Callable[[bool], Map],
    spacing: tuple[float, ...],
    peers: tuple[str, ...],
    quick: bool,
    threads: int,
) -> Case:
    labels = draw(quick)
    call = partial(ours, labels, spacing, threads)
    candidates = [Candidate("segmeter", call, _differs, "ours")]
    candidates += [
        Candidate(name, partial(PEERS[name], labels, spacing, threads), _differs)
        for name in peers
        if name != "SciPy" or threads == 1
    ]
    candidates += [
        Candidate(f"read bandwidth ({what})", read, kind="limit")
        for what, read in readers((labels,), threads).items()
    ]
    small = np.ascontiguousarray(labels[tuple(slice(0, 8) for _ in labels.shape)])
    warm_up = partial(ours, small, spacing, threads)
    extra = peak_extra_bytes([Candidate("ours", warm_up)], [Candidate("ours", call)])["ours"]
    report = {}
    if extra is not None:
        beyond = (extra - 8 * labels.size) / 2**20
        report["memory beyond map and distances [MiB]"] = round(beyond, 1)
    return Case(title, labels.size, labels.nbytes, candidates, call(), report)


def _organ(quick: bool) -> Map:
    return data.organ(48 if quick else 256)[1].astype(bool)


def _around_lesions(quick: bool) -> Map:
    return data.lesions(64 if quick else 256)[1] == 0


def _noise(quick: bool, density: float) -> Map:
    side = 48 if quick else 256
    return np.random.default_rng(4).random((side,) * 3) < density


def _organs(quick: bool) -> Map:
    return data.organs((32, 96, 96) if quick else (128, 512, 512))[1]


def _car(quick: bool) -> Map:
    """The pixels of one class of a street."""
    target = data.street((128, 256) if quick else (1024, 2048))[1]
    return target == np.bincount(target.ravel()).argmax()


_FLAT = ("OpenCV DIST_MASK_PRECISE", "edt")

CASES: dict[str, Callable[[bool, int], Case]] = {
    "edt-organ": partial(_case, "inside of an organ, 256³", _organ, VOXEL, ("edt", "SciPy")),
    "edt-sparse": partial(_case, "around 25 lesions, 256³", _around_lesions, VOXEL, ("edt",)),
    "edt-points": partial(
        _case, "around 170 points, 256³", partial(_noise, density=0.99999), VOXEL, ("edt",)
    ),
    "edt-noise": partial(_case, "noise, 256³", partial(_noise, density=0.5), VOXEL, ("edt",)),
    "edt-labels": partial(
        _case, "14 organs at once, 128x512x512", _organs, (2.5, 0.8, 0.8), ("edt",)
    ),
    "edt-flat": partial(_case, "one class, 1024x2048", _car, (1.0, 1.0), _FLAT),
    "edt-flat-out": partial(
        _case, "around one class, 1024x2048", lambda quick: ~_car(quick), (1.0, 1.0), _FLAT
    ),
}

TARGETS = (
    *(
        Target(name, f"{what}: edt", limit, times_faster_than("edt"))
        for name, what, limit in (
            ("edt-organ", "organ, 256³", 1.5),
            ("edt-sparse", "sparse, 256³", 1.5),
            ("edt-points", "points, 256³", 1),
            ("edt-noise", "noise, 256³", 1),
            ("edt-labels", "14 labels, 128x512x512", 1),
        )
    ),
    *(
        Target(name, f"{what}: OpenCV", 2, times_faster_than("OpenCV DIST_MASK_PRECISE"))
        for name, what in (("edt-flat", "2-D"), ("edt-flat-out", "2-D, outside"))
    ),
)
