"""The competitors, each in its fastest honest spelling, and ours.

A factory gets one workload and a number of threads and returns :class:`Candidate` objects. What a
user has at hand anyway (a tensor that shares memory with the array, a class that is made once) is
made outside the timed call; conversions that the peer itself needs are inside. Peers that cannot
read a label type without a conversion by the user are left out of that table with the reason.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from _harness import Candidate, check_equal
from _native import library, readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Workload:
    """A label-map pair to be counted; ``pred`` may be scores with a channel axis 1."""

    name: str
    title: str
    pred: NDArray
    target: NDArray
    num_classes: int
    from_scores: bool = False

    @property
    def pixels(self) -> int:
        return self.target.size

    @property
    def nbytes(self) -> int:
        return self.pred.nbytes + self.target.nbytes

    def flat(self) -> tuple[NDArray, NDArray]:
        """Return prediction and target as flat views, bool as uint8."""
        return _integers(self.pred).reshape(-1), _integers(self.target).reshape(-1)

    def rows(self) -> tuple[NDArray, NDArray]:
        """Return prediction and target as two-dimensional views, bool as uint8."""
        width = self.target.shape[-1]
        return _integers(self.pred).reshape(-1, width), _integers(self.target).reshape(-1, width)


def _integers(array: NDArray) -> NDArray:
    return array.view(np.uint8) if array.dtype == bool else array


@dataclass(frozen=True)
class Unavailable:
    """A peer that sits a workload out, and why."""

    name: str
    reason: str


Factory: TypeAlias = "Callable[[Workload, int], Iterator[Candidate | Unavailable]]"


# --- ours -------------------------------------------------------------------------------------


def our_function() -> tuple[Callable[..., NDArray], str]:
    """Return ``segmeter.confusion_matrix``, or its NumPy twin where no kernel is compiled."""
    try:
        return importlib.import_module("segmeter").confusion_matrix, "segmeter"
    except (ImportError, AttributeError):
        return importlib.import_module("segmeter.reference").confusion_matrix, "segmeter.reference"


def ours(workload: Workload, threads: int) -> Iterator[Candidate]:
    count, name = our_function()
    pred, target = workload.pred, workload.target
    options: dict[str, Any] = {"num_classes": workload.num_classes, "threads": threads}
    if workload.from_scores:
        options["from_scores"] = True
    yield Candidate(name, lambda: count(pred, target, **options), check_equal, kind="ours")


def bandwidth(workload: Workload, threads: int) -> Iterator[Candidate]:
    for variant, call in readers((workload.pred, workload.target), threads).items():
        yield Candidate(f"read bandwidth ({variant})", call, kind="limit")


# --- counting label maps ------------------------------------------------------------------------


def _compact_type(num_classes: int) -> type[np.signedinteger[Any]]:
    """Return the narrowest type that holds every index of the matrix and that peers accept."""
    if num_classes**2 <= 2**15:
        return np.int16
    return np.int32 if num_classes**2 <= 2**31 else np.int64


def numpy_bincount(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    del threads
    pred, target = workload.flat()
    size = workload.num_classes

    def count(index_type: type) -> NDArray:
        index = np.multiply(target, size, dtype=index_type, casting="unsafe")
        np.add(index, pred, out=index, casting="unsafe")
        return np.bincount(index, minlength=size * size)

    yield Candidate("numpy.bincount", lambda: count(np.intp), check_equal)
    compact = _compact_type(size)
    yield Candidate("numpy.bincount, narrow index", lambda: count(compact), check_equal)


def numpy_unique(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    """Count as the NumPy path of cityscapesScripts does: unique values of a joint index."""
    del threads
    pred, target = workload.flat()
    size = workload.num_classes

    def count() -> NDArray:
        base = int(max(target.max(), pred.max())) + 1
        joint, counts = np.unique(target.astype(np.int32) * base + pred, return_counts=True)
        matrix = np.zeros((size, size), np.int64)
        matrix[joint // base, joint % base] = counts
        return matrix

    yield Candidate("numpy.unique (cityscapesScripts without Cython)", count, check_equal)


def scikit_learn(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    del threads
    from sklearn.metrics import confusion_matrix

    pred, target = workload.flat()
    labels = np.arange(workload.num_classes)
    yield Candidate(
        "scikit-learn confusion_matrix",
        lambda: confusion_matrix(target, pred, labels=labels),
        check_equal,
    )


def torch_bincount(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    import torch

    torch.set_num_threads(threads)
    pred, target = (torch.from_numpy(array) for array in workload.flat())
    size = workload.num_classes

    def count(index_type: torch.dtype) -> torch.Tensor:
        return torch.bincount(target.to(index_type) * size + pred, minlength=size * size)

    yield Candidate("torch.bincount", lambda: count(torch.int64), check_equal)
    compact = getattr(torch, _compact_type(size).__name__)
    yield Candidate("torch.bincount, narrow index", lambda: count(compact), check_equal)


def torchmetrics_classes(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    import torch
    from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

    torch.set_num_threads(threads)
    pred, target = (torch.from_numpy(array) for array in workload.flat())
    for metric in (
        MulticlassConfusionMatrix(workload.num_classes),
        MulticlassJaccardIndex(workload.num_classes),
    ):

        def count(metric: Any = metric) -> torch.Tensor:
            metric.reset()
            metric.update(pred, target)
            metric.compute()
            return metric.confmat

        yield Candidate(f"torchmetrics {type(metric).__name__[10:]}", count, check_equal)


def torchmetrics_mean_iou(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    import torch
    from torchmetrics.segmentation import MeanIoU

    name = "torchmetrics segmentation.MeanIoU"
    # It spreads both maps into one plane per class: 24 bytes a pixel and class were measured.
    needed = 24 * workload.pixels * workload.num_classes
    if needed > 0.25 * _available_memory():
        yield Unavailable(name, f"would take some {needed / 2**30:.0f} GiB of memory")
        return
    torch.set_num_threads(threads)
    pred, target = (torch.from_numpy(array)[None] for array in workload.rows())
    metric = MeanIoU(workload.num_classes, per_class=True, input_format="index")

    def score() -> torch.Tensor:
        metric.reset()
        metric.update(pred.long(), target.long())
        return metric.compute()

    yield Candidate(name, score, _iou_differs)


def _iou_differs(result: Any, matrix: NDArray) -> str | None:
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    present = matrix.sum(1) > 0
    expected = matrix.diagonal()[present] / union[present]
    worst = float(np.max(np.abs(np.asarray(result)[present] - expected)))
    return None if worst < 1e-5 else f"IoU off by {worst:.2g}"


def _available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024


def opencv(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    import cv2

    pred, target = workload.rows()
    if pred.dtype not in (np.uint8, np.uint16):
        yield Unavailable("cv2.calcHist", f"does not read {pred.dtype}")
        return
    cv2.setNumThreads(threads)
    size = workload.num_classes

    def count() -> NDArray:
        return cv2.calcHist([target, pred], [0, 1], None, [size, size], [0, size, 0, size])

    yield Candidate("cv2.calcHist", count, check_equal)


@functools.cache
def _numba_functions() -> tuple[Callable[..., None], Callable[..., None]]:
    import numba

    @numba.njit(nogil=True)
    def one(pred: NDArray, target: NDArray, matrix: NDArray) -> None:
        for i in range(target.size):
            matrix[target[i], pred[i]] += 1

    @numba.njit(parallel=True)
    def several(pred: NDArray, target: NDArray, matrices: NDArray) -> None:
        parts = matrices.shape[0]
        for part in numba.prange(parts):
            for i in range(target.size * part // parts, target.size * (part + 1) // parts):
                matrices[part, target[i], pred[i]] += 1

    return one, several


def numba_loop(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    one, several = _numba_functions()
    pred, target = workload.flat()
    size = workload.num_classes

    def count() -> NDArray:
        matrix = np.zeros((size, size), np.int64)
        one(pred, target, matrix)
        return matrix

    def count_in_parallel() -> NDArray:
        matrices = np.zeros((threads, size, size), np.int64)
        several(pred, target, matrices)
        return matrices.sum(0)

    yield Candidate("numba, plain loop", count, check_equal)
    if threads > 1:
        yield Candidate("numba, a table per thread", count_in_parallel, check_equal)


def cityscapes_cython(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    """The compiled path of cityscapesScripts, or, as no release ships it, its loop in C."""
    del threads
    name = "cityscapesScripts Cython"
    if workload.pred.dtype not in (np.uint8, np.bool_):
        yield Unavailable(name, f"does not read {workload.pred.dtype}")
        return
    pred, target = workload.rows()
    size = workload.num_classes
    try:
        module = importlib.import_module("cityscapesscripts.evaluation.addToConfusionMatrix")
    except ImportError:
        native = library()
        if native is None:
            yield Unavailable(name, "not in the package, and no C compiler for its loop")
            return
        matrix = np.zeros((size, size), np.uint64)
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (pred, target)]
        sizes = ctypes.c_int64(pred.size), ctypes.c_int64(size)
        cells = ctypes.c_void_p(matrix.ctypes.data)

        def count() -> NDArray:
            native.count_pairs(*addresses, *sizes, cells)
            return matrix

        yield Candidate("plain C loop (cityscapesScripts' C path)", count, check_equal)
        return
    empty = np.zeros((size, size), np.ulonglong)
    labels = list(range(size))
    yield Candidate(name, lambda: module.cEvaluatePair(pred, target, empty, labels), check_equal)


def hotcoco(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    del threads  # counts in one thread, whatever the machine has
    from hotcoco.semantic import SemanticEval

    pred, target = workload.rows()
    size = workload.num_classes

    def count() -> NDArray:
        evaluator = SemanticEval(size, ignore_index=None)
        evaluator.update(target, pred)
        return evaluator.confusion()

    yield Candidate("hotcoco SemanticEval", count, check_equal)


def vernier(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    from vernier._core import evaluate_semantic_from_arrays

    pred, target = workload.rows()
    size = workload.num_classes
    if pred.dtype not in (np.uint8, np.uint16, np.uint32):
        yield Unavailable("vernier semantic", f"does not read {pred.dtype}")
        return

    # The function under Evaluator.evaluate, called directly because only it takes num_threads.
    def count() -> NDArray:
        summary = evaluate_semantic_from_arrays(
            {0: target}, {0: pred}, size, "corrected", num_threads=threads
        )
        return summary.confusion_matrix.counts()

    yield Candidate("vernier semantic", count, check_equal)


def count_nonzero_and(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    """Count only the true positives: one cell of the four."""
    del threads
    pred, target = workload.pred, workload.target

    def differs(result: Any, matrix: NDArray) -> str | None:
        return None if result == matrix[1, 1] else f"{result} for {matrix[1, 1]}"

    yield Candidate(
        "numpy.count_nonzero(a & b)", lambda: np.count_nonzero(pred & target), differs, "part"
    )


LABEL_MAP_PEERS: tuple[Factory, ...] = (
    numpy_bincount,
    numpy_unique,
    scikit_learn,
    torch_bincount,
    torchmetrics_classes,
    torchmetrics_mean_iou,
    opencv,
    numba_loop,
    cityscapes_cython,
    hotcoco,
    vernier,
)


# --- from scores to the matrix ------------------------------------------------------------------


def _count_labels(labels: NDArray, target: NDArray, size: int) -> NDArray:
    index = np.multiply(target.reshape(-1), size, dtype=_compact_type(size))
    np.add(index, labels.reshape(-1), out=index, casting="unsafe")
    return np.bincount(index, minlength=size * size)


def torch_scores(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    import torch

    torch.set_num_threads(threads)
    scores = torch.from_numpy(workload.pred)
    target = workload.target
    size = workload.num_classes
    yield Candidate(
        "torch.max(1).indices + count",
        lambda: _count_labels(scores.max(1).indices.numpy(), target, size),
        check_equal,
    )
    yield Candidate(
        "torch.argmax(1) + count",
        lambda: _count_labels(scores.argmax(1).numpy(), target, size),
        check_equal,
    )


def numpy_scores(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    del threads
    scores, target, size = workload.pred, workload.target, workload.num_classes
    yield Candidate(
        "numpy.argmax(1) + count",
        lambda: _count_labels(scores.argmax(1), target, size),
        check_equal,
    )


def torchmetrics_scores(workload: Workload, threads: int) -> Iterator[Candidate | Unavailable]:
    import torch
    from torchmetrics.classification import MulticlassConfusionMatrix

    torch.set_num_threads(threads)
    scores, target = torch.from_numpy(workload.pred), torch.from_numpy(workload.target)
    metric = MulticlassConfusionMatrix(workload.num_classes)

    def count() -> torch.Tensor:
        metric.reset()
        metric.update(scores, target)
        return metric.compute()

    yield Candidate("torchmetrics ConfusionMatrix(scores)", count, check_equal)


SCORE_PEERS: tuple[Factory, ...] = (torch_scores, numpy_scores, torchmetrics_scores)


def candidates_for(
    workload: Workload, threads: int, factories: tuple[Factory, ...]
) -> tuple[list[Candidate], list[Unavailable]]:
    """Return ours, the peers that can do the workload and the bandwidth probe; and who cannot."""
    found: list[Candidate] = list(ours(workload, threads))
    missing: list[Unavailable] = []
    for factory in factories:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for item in factory(workload, threads):
                    if isinstance(item, Candidate):
                        found.append(item)
                    else:
                        missing.append(item)
        except ImportError as error:
            missing.append(Unavailable(factory.__name__, f"not installed ({error.name})"))
    found.extend(bandwidth(workload, threads))
    return found, missing
