"""COCO panoptic files, JSON and PNG, to panoptic quality: ours, the official program, hotcoco."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _harness import Candidate
from _parts import Case
from _tables import Target, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

CLASSES = 133
THINGS = 80
SHAPE = 480, 640
SEGMENTS = 12  # about as many as an image of COCO has


def draw_files(folder: Path, images: int, *, seed: int = 0) -> tuple[str, str]:
    """Write predictions and targets: segments with crooked outlines, some of another class."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    annotations: dict[str, list[dict[str, Any]]] = {"pred": [], "target": []}
    for image in range(images):
        number = int(rng.poisson(SEGMENTS)) + 2
        points = rng.uniform(0, SHAPE, (number, 2))
        classes = rng.integers(1, CLASSES + 1, number)
        for side in annotations:
            moved = points + (rng.normal(0, 6, points.shape) if side == "pred" else 0)
            nearest = _nearest(moved, rng)
            ids = rng.choice(2**24 - 1, number, replace=False).astype(np.uint32) + 1
            named = np.where(rng.random(number) < 0.1 * (side == "pred"), 1, classes)
            colors = ids[nearest][..., None].view(np.uint8)[..., :3]
            place = folder / side / f"{image:06}.png"
            place.parent.mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(colors)).save(place)
            areas = np.bincount(nearest.ravel(), minlength=number)
            segments = [
                {"id": int(i), "category_id": int(k), "area": int(area), "iscrowd": 0}
                for i, k, area in zip(ids, named, areas, strict=True)
                if area
            ]
            row = {"image_id": image, "file_name": place.name, "segments_info": segments}
            annotations[side].append(row)
    categories = [
        {"id": k, "name": f"class {k}", "isthing": int(k <= THINGS)} for k in range(1, CLASSES + 1)
    ]
    shapes = [
        {"id": k, "file_name": f"{k:06}.jpg", "height": SHAPE[0], "width": SHAPE[1]}
        for k in range(images)
    ]
    for side, rows in annotations.items():
        content = {"images": shapes, "annotations": rows, "categories": categories}
        (folder / f"{side}.json").write_text(json.dumps(content))
    return str(folder / "pred.json"), str(folder / "target.json")


def _nearest(points: NDArray, rng: np.random.Generator) -> NDArray[np.intp]:
    """Nearest of the points to every pixel, seen through a wavy glass."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import cKDTree

    waves = np.stack([gaussian_filter(rng.standard_normal(SHAPE), 5) for _ in range(2)], axis=-1)
    places = np.stack(np.indices(SHAPE), axis=-1) + 60 * waves
    return np.asarray(cKDTree(points).query(places)[1])


def same_quality(result: Any, quality: NDArray) -> str | None:
    """Say how PQ of all, things and stuff differ from ours, or return None."""
    found = [result[group]["pq"] for group in ("All", "Things", "Stuff")]
    worst = float(np.abs(np.array(found) - quality).max())
    return None if worst < 1e-12 else f"differs by {worst:.1e}"


def _ours(pred: str, target: str, threads: int) -> Iterator[Candidate]:
    import segmeter
    from segmeter.io import read_label_map

    def evaluate() -> Any:
        result = segmeter.evaluate(pred, target, protocol="coco-panoptic", threads=threads)
        assert result.totals.protocol is not None
        return result.totals.protocol.official()

    def decode() -> None:
        for path in (pred, target):
            for picture in Path(path).with_suffix("").iterdir():
                read_label_map(picture, panoptic=True)

    yield Candidate("segmeter.evaluate", evaluate, same_quality, kind="ours")
    if threads == 1:
        yield Candidate("its decoding of PNG alone", decode, kind="part")


def _official(pred: str, target: str, threads: int) -> Iterator[Candidate]:
    from panopticapi import evaluation

    contents = [json.loads(Path(path).read_text()) for path in (target, pred)]
    matched = list(zip(*(content["annotations"] for content in contents), strict=True))
    categories = {row["id"]: row for row in contents[0]["categories"]}
    folders = target.removesuffix(".json"), pred.removesuffix(".json")

    def evaluate() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            stat = evaluation.pq_compute_single_core(0, matched, *folders, categories)
        groups = {"All": None, "Things": True, "Stuff": False}
        return {name: stat.pq_average(categories, is_thing)[0] for name, is_thing in groups.items()}

    if threads == 1:  # with more it starts processes, whose time is not ours to read
        yield Candidate("panopticapi, one core", evaluate, same_quality)


def _hotcoco(pred: str, target: str, threads: int) -> Iterator[Candidate]:
    del threads  # RAYON_NUM_THREADS, set before it was imported
    from hotcoco.panoptic import PanopticEval

    def evaluate() -> Any:
        run = PanopticEval(target, pred)
        run.evaluate()
        return run.results()

    yield Candidate("hotcoco", evaluate, same_quality)


def _files(quick: bool, threads: int) -> Case:
    images = 4 if quick else 24
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    pred, target = draw_files(folder, images)
    found: list[Candidate] = []
    for factory in (_ours, _official, _hotcoco):
        try:
            found.extend(factory(pred, target, threads))
        except ImportError as error:
            print(f"  {factory.__name__.strip('_')}: not installed ({error.name})")
    official = found[0].call()
    answer = np.array([official[group]["pq"] for group in ("All", "Things", "Stuff")])
    pixels = images * SHAPE[0] * SHAPE[1]
    title = f"COCO panoptic, {images} pairs of PNG {SHAPE[1]} x {SHAPE[0]}"
    return Case(title, pixels, 8 * pixels, found, answer)


CASES: dict[str, Callable[[bool, int], Case]] = {"panoptic_files": _files}

TARGETS = (
    Target("panoptic_files", "COCO panoptic files: hotcoco", 1, times_faster_than("hotcoco")),
)
