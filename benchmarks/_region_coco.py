"""COCO mask AP from two JSON files to the twelve numbers: ours, pycocotools, hotcoco.

All of them read the files; reading JSON is a third of our time (its own row).
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _harness import Candidate
from _parts import Case
from _tables import Target, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CLASSES = 80
SHAPE = 480, 640
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_instances_100"


def real_files() -> tuple[Path, Path]:
    """Results and targets of 100 images of COCO."""
    return (
        REAL / "instances_val2014_fakesegm100_results.json",
        REAL / "instances_val2014_100.json",
    )


def draw_files(folder: Path, images: int, *, seed: int = 0) -> tuple[Path, Path]:
    """Write results and targets like those of a detector on COCO: 7 objects, 30 detections."""
    from segmeter import RunLengthMasks

    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    annotations, results = [], []
    for image in range(1, images + 1):
        found = []
        for _ in range(rng.poisson(7)):
            outline, category = _outline(rng), int(rng.zipf(1.5) % CLASSES) + 1
            annotations.append((image, category, outline))
            for _ in range(rng.poisson(2.5)):
                wrong = rng.random() < 0.1
                shift = rng.normal(0, 0.04, outline.shape) * np.ptp(outline, axis=0)
                again = int(rng.integers(CLASSES)) + 1 if wrong else category
                found.append((again, outline + shift))
        found += [(int(rng.integers(CLASSES)) + 1, _outline(rng)) for _ in range(rng.poisson(12))]
        masks = RunLengthMasks.from_polygons([[outline] for _, outline in found], shape=SHAPE)
        for (category, _), mask in zip(found, masks.to_coco(), strict=True):
            score = round(float(rng.beta(1, 3)), 3)
            results.append(
                {"image_id": image, "category_id": category, "segmentation": mask, "score": score}
            )
    return _write(folder, images, annotations, results, rng)


def _outline(rng: np.random.Generator) -> NDArray:
    """A blob with some forty corners, small ones more often than large ones."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(20, 60)))
    radius = np.exp(rng.uniform(np.log(6), np.log(130))) * rng.uniform(0.7, 1.2, angles.size)
    height, width = SHAPE
    x = rng.uniform(0, width) + radius * np.cos(angles)
    y = rng.uniform(0, height) + radius * np.sin(angles)
    return np.stack([x.clip(0, width), y.clip(0, height)], axis=1).round(2)


def _write(
    folder: Path,
    images: int,
    annotations: list[tuple[int, int, NDArray]],
    results: list[dict[str, Any]],
    rng: np.random.Generator,
) -> tuple[Path, Path]:
    height, width = SHAPE
    target = {
        "images": [{"id": i, "height": height, "width": width} for i in range(1, images + 1)],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)],
        "annotations": [
            {
                "id": k,
                "image_id": image,
                "category_id": category,
                "segmentation": [outline.ravel().tolist()],
                "area": float(np.prod(np.ptp(outline, axis=0)) * 0.7),
                "bbox": [*outline.min(axis=0).tolist(), *np.ptp(outline, axis=0).tolist()],
                "iscrowd": int(rng.random() < 0.01),
            }
            for k, (image, category, outline) in enumerate(annotations, 1)
        ],
    }
    paths = folder / f"results_{images}.json", folder / f"instances_{images}.json"
    for path, content in zip(paths, (results, target), strict=True):
        path.write_text(json.dumps(content))
    return paths


def candidates(pred: Path, target: Path, threads: int) -> list[Candidate]:
    """Return everything that is installed; ours first."""
    found: list[Candidate] = []
    for factory in (_ours, _pycocotools, _hotcoco):
        try:
            found.extend(factory(str(pred), str(target), threads))
        except ImportError as error:
            print(f"  {factory.__name__.strip('_')}: not installed ({error.name})")
    return found


def check_stats(result: Any, stats: NDArray) -> str | None:
    """Say how twelve numbers differ from ours, or return None."""
    worst = float(np.abs(np.asarray(result) - stats).max())
    return None if worst < 1e-12 else f"differs by {worst:.1e}"


def _ours(pred: str, target: str, threads: int) -> Iterator[Candidate]:
    import segmeter

    def evaluate() -> Any:
        result = segmeter.evaluate(pred, target, protocol="coco-instances", threads=threads)
        counts = result.totals.protocol
        assert counts is not None
        return counts.official()["stats"]

    def read() -> None:
        for path in (pred, target):
            json.loads(Path(path).read_bytes())

    yield Candidate("segmeter.evaluate", evaluate, check_stats, kind="ours")
    yield Candidate("its reading of JSON alone", read, kind="part")


def _pycocotools(pred: str, target: str, threads: int) -> Iterator[Candidate]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def evaluate() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(target)
            run = COCOeval(truth, truth.loadRes(pred), "segm")
            run.evaluate()
            run.accumulate()
            run.summarize()
        return run.stats

    if threads == 1:  # it has no threads
        yield Candidate("pycocotools", evaluate, check_stats)


def _hotcoco(pred: str, target: str, threads: int) -> Iterator[Candidate]:
    del threads  # RAYON_NUM_THREADS, set before it was imported
    from hotcoco import COCO, COCOeval

    def evaluate() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(target)
            run = COCOeval(truth, truth.load_res(pred), "segm")
            run.evaluate()
            run.accumulate()
            run.summarize()
        return run.stats

    yield Candidate("hotcoco", evaluate, check_stats)


def _case(title: str, pred: Path, target: Path, threads: int) -> Case:
    found = candidates(pred, target, threads)
    images = len(json.loads(target.read_bytes())["images"])
    size = pred.stat().st_size + target.stat().st_size
    answer = np.asarray(found[0].call())
    return Case(title, images * SHAPE[0] * SHAPE[1], size, found, answer, {"images": images})


def _real(quick: bool, threads: int) -> Case:
    del quick
    return _case("100 images of COCO, 839 targets, 734 detections", *real_files(), threads)


def _drawn(quick: bool, threads: int) -> Case:
    images = 100 if quick else 1000
    files = draw_files(_FOLDER / str(threads), images)
    return _case(f"{images} images, 7 targets and 30 detections each", *files, threads)


_HOLDER = tempfile.TemporaryDirectory()  # lives as long as the process, as the files must
_FOLDER = Path(_HOLDER.name)

CASES = {"coco100": _real, "coco1000": _drawn}
TARGETS = tuple(
    target
    for name in CASES
    for target in (
        Target(name, f"{name}: pycocotools", 5, times_faster_than("pycocotools")),
        Target(name, f"{name}: hotcoco", 1, times_faster_than("hotcoco")),
    )
)
