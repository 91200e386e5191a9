"""Folders of PNG masks to a matrix: ours, its decoding alone, and what people run today."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _data import street
from _harness import Candidate, check_equal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from numpy.typing import NDArray

NUM_CLASSES = 19
Pairs = list[tuple[Path, Path]]


def draw_folders(root: Path, count: int, shape: tuple[int, int]) -> Pairs:
    """Write ``count`` street pairs as gray PNG to ``root/pred`` and ``root/target``."""
    from PIL import Image

    pairs = []
    for folder in ("pred", "target"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        pair = root / "pred" / f"{index:04}.png", root / "target" / f"{index:04}.png"
        for path, labels in zip(pair, street(shape, seed=index), strict=True):
            Image.fromarray(labels).save(path)
        pairs.append(pair)
    return pairs


def true_matrix(count: int, shape: tuple[int, int]) -> NDArray:
    """Return the matrix of all drawn pairs, counted from the drawings and not from the files."""
    total = np.zeros(NUM_CLASSES**2, np.int64)
    for index in range(count):
        pred, target = street(shape, seed=index)
        total += np.bincount(target.ravel() * np.int16(NUM_CLASSES) + pred.ravel(), minlength=361)
    return total.reshape(NUM_CLASSES, NUM_CLASSES)


def candidates(pairs: Pairs, threads: int) -> list[Candidate]:
    """Return everything that is installed; ours first."""
    found: list[Candidate] = []
    for factory in (_ours, _pillow_numpy, _cityscapes, _hotcoco, _vernier):
        try:
            found.extend(factory(pairs, threads))
        except ImportError as error:
            print(f"  {factory.__name__.strip('_')}: not installed ({error.name})")
    return found


def _each(work: Callable[[tuple[Path, Path]], Any], pairs: Pairs, threads: int) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pairs))


def _ours(pairs: Pairs, threads: int) -> Iterator[Candidate]:
    import segmeter
    from segmeter.io import read_label_map

    pred, target = pairs[0][0].parent, pairs[0][1].parent

    def evaluate() -> Any:
        result = segmeter.evaluate(pred, target, num_classes=NUM_CLASSES, threads=threads)
        return result.counts.matrix[:, :NUM_CLASSES]

    def read_both(pair: tuple[Path, Path]) -> None:  # and let go of them, as evaluate does
        _, _ = (read_label_map(path) for path in pair)

    def decode() -> None:
        _each(read_both, pairs, threads)

    yield Candidate("segmeter.evaluate", evaluate, check_equal, kind="ours")
    yield Candidate("its decoding alone", decode, kind="part")


def _pillow_numpy(pairs: Pairs, threads: int) -> Iterator[Candidate]:
    from PIL import Image

    def count(pair: tuple[Path, Path]) -> NDArray:
        pred, target = (np.asarray(Image.open(path)) for path in pair)
        index = target.ravel() * np.int16(NUM_CLASSES) + pred.ravel()
        return np.bincount(index, minlength=NUM_CLASSES**2)

    yield Candidate(
        "Pillow + numpy.bincount", lambda: sum(_each(count, pairs, threads)), check_equal
    )


def _cityscapes(pairs: Pairs, threads: int) -> Iterator[Candidate]:
    del threads  # the official script has one
    official = importlib.import_module(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
    )

    official.args.evalInstLevelScore = False
    official.args.evalPixelAccuracy = False  # needs numpy.in1d, which NumPy 2.4 removed

    def count() -> NDArray:
        matrix = official.generateMatrix(official.args)
        for pred, target in pairs:
            official.evaluatePair(str(pred), str(target), matrix, {}, {}, official.args)
        return matrix[:NUM_CLASSES, :NUM_CLASSES]

    yield Candidate("cityscapesScripts (as pip installs it)", count, check_equal)


def _hotcoco(pairs: Pairs, threads: int) -> Iterator[Candidate]:
    del threads  # obeys RAYON_NUM_THREADS, which the benchmark sets
    from hotcoco.semantic import SemanticEval

    pred, target = str(pairs[0][0].parent), str(pairs[0][1].parent)

    def count() -> NDArray:
        evaluator = SemanticEval(NUM_CLASSES, ignore_index=None)
        evaluator.update_folders(target, pred)
        return evaluator.confusion()

    yield Candidate("hotcoco update_folders", count, check_equal)


def _vernier(pairs: Pairs, threads: int) -> Iterator[Candidate]:
    from vernier._core import evaluate_semantic_from_pngs

    preds: dict[int, str | PathLike[str]] = {i: pair[0] for i, pair in enumerate(pairs)}
    targets: dict[int, str | PathLike[str]] = {i: pair[1] for i, pair in enumerate(pairs)}

    def count() -> NDArray:
        summary = evaluate_semantic_from_pngs(
            targets, preds, NUM_CLASSES, "corrected", num_threads=threads
        )
        return summary.confusion_matrix.counts()

    yield Candidate("vernier from PNGs", count, check_equal)
