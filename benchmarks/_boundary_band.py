"""Boundary IoU and DAVIS F beside their official functions, re-stated: they come as no package."""

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

CLASSES = 19


def our_iou(pred: NDArray[Any], target: NDArray[Any], *, threads: int) -> NDArray[np.float64]:
    import segmeter

    counts = segmeter.boundary_iou_counts(pred, target, num_classes=CLASSES, threads=threads)
    return segmeter.boundary_iou(counts)


def official_iou(pred: NDArray[Any], target: NDArray[Any], *, threads: int) -> NDArray[np.float64]:
    """One class after another: mask less its erosion in OpenCV, then the pixels in both bands."""
    import cv2

    cv2.setNumThreads(threads)
    height, width = target.shape
    iterations = max(1, round(0.02 * np.sqrt(height**2 + width**2)))
    kernel = np.ones((3, 3), np.uint8)

    def band(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        eroded = cv2.erode(padded, kernel, iterations=iterations)
        return mask - eroded[1 : height + 1, 1 : width + 1]

    scores = []
    for label in range(CLASSES):
        a, b = (band((part == label).astype(np.uint8)) for part in (pred, target))
        union = ((a + b) > 0).sum()
        scores.append(((a * b) > 0).sum() / union if union else np.nan)
    return np.array(scores)


def our_f(pred: NDArray[Any], target: NDArray[Any], *, threads: int) -> NDArray[np.float64]:
    import segmeter

    return segmeter.boundary_f_score(segmeter.boundary_f_counts(pred, target, threads=threads))


def davis_f(pred: NDArray[Any], target: NDArray[Any], *, threads: int) -> NDArray[np.float64]:
    """Outlines by shifted masks, then dilation of each by a disk in OpenCV."""
    import cv2
    from skimage.morphology import disk

    cv2.setNumThreads(threads)
    element = disk(np.ceil(0.008 * np.linalg.norm(target.shape))).astype(np.uint8)

    def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        east, south, both = (np.zeros_like(mask) for _ in range(3))
        east[:, :-1], south[:-1], both[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
        found = (mask ^ east) | (mask ^ south) | (mask ^ both)
        found[-1] = mask[-1] ^ east[-1]
        found[:, -1] = mask[:, -1] ^ south[:, -1]
        found[-1, -1] = False
        return found

    a, b = outline(pred), outline(target)
    near_a, near_b = (cv2.dilate(part.astype(np.uint8), element) for part in (a, b))
    precision, recall = (a * near_b).sum() / a.sum(), (b * near_a).sum() / b.sum()
    return np.array([2 * precision * recall / (precision + recall)])


def _differs(result: NDArray[np.float64], answer: NDArray[np.float64]) -> str | None:
    if np.array_equal(result, answer, equal_nan=True):
        return None
    return f"other scores, by up to {np.nanmax(np.abs(result - answer)):.2g}"


def _case(
    title: str,
    draw: Callable[[bool], data.Pair],
    measures: tuple[Callable[..., Any], Callable[..., Any], str],
    quick: bool,
    threads: int,
) -> Case:
    pred, target = draw(quick)
    own, peer, name = measures
    calls = [partial(measure, pred, target, threads=threads) for measure in (own, peer)]
    candidates = [
        Candidate("segmeter", calls[0], _differs, "ours"),
        Candidate(name, calls[1], _differs),
    ]
    candidates += [
        Candidate(f"read bandwidth ({what})", read, kind="limit")
        for what, read in readers((pred, target), threads).items()
    ]
    warm_up = partial(own, pred[:32, :32], target[:32, :32], threads=threads)
    extra = peak_extra_bytes([Candidate("ours", warm_up)], [Candidate("ours", calls[0])])["ours"]
    return Case(
        title,
        target.size,
        pred.nbytes + target.nbytes,
        candidates,
        calls[0](),
        {} if extra is None else {"memory beyond the maps [MiB]": round(extra / 2**20, 1)},
    )


def _street(quick: bool) -> data.Pair:
    return data.street((128, 256) if quick else (1024, 2048))


def _noise(quick: bool) -> data.Pair:
    shape = (128, 256) if quick else (1024, 2048)
    pred, target = np.random.default_rng(3).integers(0, CLASSES, (2, *shape)).astype(np.uint8)
    return pred, target


def _frame(shape: tuple[int, int], quick: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """An object with a wavy outline, and the same a little larger and shifted."""
    height, width = (64, 96) if quick else shape
    y, x = np.mgrid[:height, :width]
    angle = np.arctan2(y - height * 0.5, x - width * 0.45)
    radius = np.hypot(y - height * 0.5, x - width * 0.45) / height
    target = radius < 0.28 + 0.05 * np.sin(7 * angle)
    pred = np.roll(radius < 0.285 + 0.05 * np.sin(7 * angle + 0.15), 3, axis=1)
    return pred, target


_IOU = our_iou, official_iou, "official function per class (OpenCV)"
_F = our_f, davis_f, "DAVIS toolkit's function (OpenCV)"

CASES: dict[str, Callable[[bool, int], Case]] = {
    "street-iou": partial(_case, "Boundary IoU, 19 classes, 1024x2048", _street, _IOU),
    "noise-iou": partial(_case, "Boundary IoU, noise of 19 classes, 1024x2048", _noise, _IOU),
    "frame-f": partial(_case, "DAVIS F, 480x854", partial(_frame, (480, 854)), _F),
    "frame-hd-f": partial(_case, "DAVIS F, 1080x1920", partial(_frame, (1080, 1920)), _F),
}

TARGETS = (
    Target("street-iou", "Boundary IoU of 19 classes", 100, times_faster_than()),
    Target("noise-iou", "Boundary IoU of noise", 1, times_faster_than()),
    Target("frame-f", "DAVIS F, 480x854", 10, times_faster_than()),
    Target("frame-hd-f", "DAVIS F, 1080x1920", 10, times_faster_than()),
)
