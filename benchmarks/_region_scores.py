"""Panoptic quality end to end, from instance maps and from masks; partitions of dense volumes."""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import _region_data as data
from _harness import Candidate
from _memory import peak_extra_bytes
from _native import readers
from _parts import Case
from _tables import Target, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Python loops over pairs of masks: minutes from some hundred instances on.
SLOW_PEERS_UP_TO = 400

# torchmetrics and MONAI divide in float32.
FLOAT32 = 1e-5
FLOAT64 = 1e-9


# --- what everybody computes: TP, FP, FN and the sum of IoU -------------------------------------


def close(
    result: Any, answer: NDArray[Any], *, rtol: float = FLOAT64, instead: Any = None
) -> str | None:
    """Say how a result differs from ours, or return None."""
    expected = answer if instead is None else instead
    got = np.asarray(result, dtype=np.float64)
    if np.allclose(got, expected, rtol=rtol):
        return None
    return f"{np.round(got, 4).tolist()} for {np.round(expected, 4).tolist()}"


def quality_numbers(table: Any) -> NDArray[Any]:
    """Ours, down to the score, so that nothing is left out of the time."""
    import segmeter

    # Instances are of class 0, components of a mask of class 1.
    counts = segmeter.panoptic_counts(table, num_classes=2)
    segmeter.panoptic_quality(counts)
    return np.array([part.sum() for part in (counts.tp, counts.fp, counts.fn, counts.iou_sum)])


def numpy_bincount(pred: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    """Dense table of intersections by one bincount; ids must be small."""
    width = int(pred.max()) + 1
    joint = np.bincount(target.ravel().astype(np.int64) * width + pred.ravel())
    joint = np.pad(joint, (0, -len(joint) % width)).reshape(-1, width)
    areas = joint.sum(axis=1), joint.sum(axis=0)
    rows, columns = np.nonzero(joint[1:, 1:])
    return _from_pairs(rows + 1, columns + 1, joint[rows + 1, columns + 1], *areas)


def numpy_unique(pred: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    """The way of the official COCO program, without its Python loops."""
    width = int(pred.max()) + 1
    keys, shared = np.unique(target.astype(np.int64) * width + pred, return_counts=True)
    rows, columns = keys // width, keys % width
    areas = np.bincount(rows, weights=shared), np.bincount(columns, weights=shared)
    inside = (rows > 0) & (columns > 0)
    return _from_pairs(rows[inside], columns[inside], shared[inside], *areas)


def scipy_sparse(pred: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    from scipy import sparse

    ones = np.ones(pred.size, np.int64)
    joint = sparse.coo_array((ones, (target.ravel(), pred.ravel()))).tocsr().tocoo()
    areas = joint.sum(axis=1), joint.sum(axis=0)
    inside = (joint.row > 0) & (joint.col > 0)
    return _from_pairs(joint.row[inside], joint.col[inside], joint.data[inside], *areas)


def _from_pairs(
    rows: NDArray[Any],
    columns: NDArray[Any],
    shared: NDArray[Any],
    target_area: NDArray[Any],
    pred_area: NDArray[Any],
) -> NDArray[Any]:
    iou = shared / (target_area[rows] + pred_area[columns] - shared)
    iou = iou[iou > 0.5]
    preds, targets = ((area[1:] > 0).sum() for area in (pred_area, target_area))
    return np.array([len(iou), preds - len(iou), targets - len(iou), iou.sum()])


# --- peers --------------------------------------------------------------------------------------


def torchmetrics_quality(pred: NDArray[Any], target: NDArray[Any]) -> Any:
    import torch
    from torchmetrics.detection import PanopticQuality

    metric = PanopticQuality(things={1}, stuffs={0})
    metric.update(
        *(torch.from_numpy(np.stack([ids > 0, ids], axis=-1)[None]) for ids in (pred, target))
    )
    metric.compute()
    names = ("true_positives", "false_positives", "false_negatives", "iou_sum")
    return [float(getattr(metric, name)[0]) for name in names]


def monai_quality(pred: NDArray[Any], target: NDArray[Any]) -> Any:
    import torch
    from monai.metrics.panoptic_quality import compute_panoptic_quality

    return compute_panoptic_quality(
        torch.from_numpy(pred), torch.from_numpy(target), output_confusion_matrix=True
    ).numpy()


def stardist_quality(pred: NDArray[Any], target: NDArray[Any]) -> Any:
    from stardist.matching import matching

    result = matching(target, pred, thresh=0.5)
    return [result.tp, result.fp, result.fn, result.mean_true_score * result.n_true]


def cellpose_counts(pred: NDArray[Any], target: NDArray[Any]) -> Any:
    from cellpose.metrics import average_precision

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, tp, fp, fn = average_precision(target, pred, threshold=[0.5])
    return [tp[0], fp[0], fn[0]]


def panoptica_quality(pred: NDArray[Any], target: NDArray[Any], *, semantic: bool) -> Any:
    import panoptica

    kind = panoptica.InputType.SEMANTIC if semantic else panoptica.InputType.UNMATCHED_INSTANCE
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=kind,
        instance_approximator=panoptica.ConnectedComponentsInstanceApproximator()
        if semantic
        else None,
        instance_matcher=panoptica.NaiveThresholdMatching(),
        instance_metrics=[panoptica.Metric.IOU],
        global_metrics=[],
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        result = evaluator.evaluate(pred, target, verbose=False)["ungrouped"]
        return [result.tp, result.fp, result.fn, result.sq * result.tp]


# --- instance maps ------------------------------------------------------------------------------


def _instances(title: str, count: int, quick: bool, threads: int) -> Case:
    import segmeter

    count = min(count, 60) if quick else count
    pred, target = data.cells(count, 256 if quick else 1024)

    def ours() -> NDArray[Any]:
        return quality_numbers(segmeter.overlap_table(pred, target, threads=threads))

    at_least = _at_least_half(segmeter.overlap_table(pred, target))
    candidates = [
        Candidate("segmeter", ours, close, "ours"),
        Candidate("NumPy bincount", lambda: numpy_bincount(pred, target), close),
        Candidate("np.unique", lambda: numpy_unique(pred, target), close),
        Candidate("scipy.sparse", lambda: scipy_sparse(pred, target), close),
        Candidate(
            "stardist matching",
            lambda: stardist_quality(pred, target),
            partial(close, rtol=FLOAT32, instead=at_least),
        ),
        Candidate(
            "cellpose average_precision (no scores)",
            lambda: cellpose_counts(pred, target),
            partial(close, instead=at_least[:3]),
        ),
        Candidate(
            "panoptica, IoU only",
            lambda: panoptica_quality(
                pred.astype(np.uint32), target.astype(np.uint32), semantic=False
            ),
            partial(close, instead=at_least),
        ),
    ]
    if count <= SLOW_PEERS_UP_TO:
        float32 = partial(close, rtol=FLOAT32)
        candidates += [
            Candidate("torchmetrics", lambda: torchmetrics_quality(pred, target), float32),
            Candidate("MONAI", lambda: monai_quality(pred, target), float32),
        ]
    candidates += _limits((pred, target), threads)
    nbytes = pred.nbytes + target.nbytes
    return Case(f"{title}: {count} in {pred.shape}", pred.size, nbytes, candidates, ours())


def _at_least_half(table: Any) -> NDArray[Any]:
    """Our numbers where IoU 0.5 is enough, as it is for some peers."""
    import segmeter

    counts = segmeter.instance_counts(table, thresholds=0.5)
    return np.array([counts.tp[0], counts.fp[0], counts.fn[0], counts.score_sum[0]])


# --- masks --------------------------------------------------------------------------------------


def _masks(
    title: str,
    draw: Callable[[bool], tuple[NDArray[Any], NDArray[Any]]],
    connectivity: int,
    quick: bool,
    threads: int,
) -> Case:
    import segmeter

    pred, target = draw(quick)
    # Told, as the peers are, that the masks have no classes.
    label = partial(
        segmeter.label_components, connectivity=connectivity, binary=True, threads=threads
    )

    def ours(maps: tuple[NDArray[Any], NDArray[Any]] = (pred, target)) -> NDArray[Any]:
        return quality_numbers(segmeter.overlap_table(*map(label, maps), threads=threads))

    at_least = _at_least_half(segmeter.overlap_table(label(pred), label(target)))
    candidates = [
        Candidate("segmeter", ours, close, "ours"),
        Candidate(
            f"{_labeller(pred)[0]} + np.unique",
            lambda: numpy_unique(*map(_labeller(pred)[1], (pred, target))),
            close,
        ),
        Candidate(
            f"{_labeller(pred)[0]} + NumPy bincount",
            lambda: numpy_bincount(*map(_labeller(pred)[1], (pred, target))),
            close,
        ),
    ]
    if connectivity != 8:  # panoptica labels 4-connected in 2-D
        candidates.append(
            Candidate(
                "panoptica, IoU only",
                lambda: panoptica_quality(pred, target, semantic=True),
                partial(close, instead=at_least),
            )
        )
    candidates += _limits((pred, target), threads)
    nbytes = pred.nbytes + target.nbytes
    extra = _memory(ours, nbytes, pred, target) if threads == 1 else {}
    shape = "x".join(map(str, pred.shape))
    return Case(f"{title}: {shape}", pred.size, nbytes, candidates, ours(), extra)


def _labeller(mask: NDArray[Any]) -> tuple[str, Callable[[NDArray[Any]], NDArray[Any]]]:
    if mask.ndim == 2:
        import cv2

        return "OpenCV", lambda m: cv2.connectedComponents(m, connectivity=8)[1]
    import cc3d

    return "cc3d", lambda m: cc3d.connected_components(m, connectivity=26, binary_image=True)


def _memory(
    ours: Callable[..., Any], nbytes: int, pred: NDArray[Any], target: NDArray[Any]
) -> dict[str, Any]:
    corner = tuple(slice(0, 16) for _ in pred.shape)
    small = tuple(np.ascontiguousarray(ids[corner]) for ids in (pred, target))
    name = "segmeter"
    extra = peak_extra_bytes([Candidate(name, lambda: ours(small))], [Candidate(name, ours)])[name]
    if extra is None:
        return {}
    return {"extra MiB": round(extra / 2**20, 1), "of the inputs": round(extra / nbytes, 4)}


# --- partitions ---------------------------------------------------------------------------------


def _partition(quick: bool, threads: int) -> Case:
    import segmeter

    size = 48 if quick else 256
    pred, target = (data.connectome(size, 800, seed=seed) for seed in (10, 9))

    def ours() -> NDArray[Any]:
        table = segmeter.overlap_table(pred, target, threads=threads)
        counts = segmeter.partition_counts(table)
        split, merge, _ = segmeter.split_merge_information(counts, base=2)
        return np.array([split, merge, segmeter.adapted_rand(counts).error])

    def information() -> Any:
        from skimage.metrics import variation_of_information

        return variation_of_information(target, pred)

    def rand() -> Any:
        from skimage.metrics import adapted_rand_error

        return adapted_rand_error(target, pred)[:1]

    def by_unique() -> Any:
        return _information(*np.unique(_joint_keys(pred, target), return_counts=True))

    candidates = [
        Candidate("segmeter, both", ours, close, "ours"),
        Candidate(
            "scikit-image, both",
            lambda: [*information(), *rand()],
            close,
        ),
        Candidate("np.unique, variation of information", by_unique, _first_two),
        *_limits((pred, target), threads),
    ]
    nbytes = pred.nbytes + target.nbytes
    return Case(f"dense cells: {size}^3 uint32", pred.size, nbytes, candidates, ours())


def _joint_keys(pred: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    return target.astype(np.uint64) << np.uint64(32) | pred


def _information(keys: NDArray[Any], sizes: NDArray[Any]) -> list[float]:
    parts = []
    for side in (keys >> np.uint64(32), keys & np.uint64(2**32 - 1)):
        _, position = np.unique(side, return_inverse=True)
        whole = np.bincount(position, weights=sizes)[position]
        parts.append(float((sizes * np.log2(whole / sizes)).sum() / sizes.sum()))
    return parts


def _first_two(result: Any, answer: NDArray[Any]) -> str | None:
    return close(result, answer[:2])


def _limits(arrays: tuple[NDArray[Any], ...], threads: int) -> list[Candidate]:
    return [
        Candidate(f"read bandwidth ({name})", call, kind="limit")
        for name, call in readers(arrays, threads).items()
    ]


def _side(quick: bool, full: int) -> int:
    return 48 if quick else full


CASES: dict[str, Callable[[bool, int], Case]] = {
    "pq-cells300": partial(_instances, "PQ of cells", 300),
    "pq-cells4k": partial(_instances, "PQ of cells", 4000),
    "pq-blob25": partial(
        _masks, "masks to PQ", lambda q: data.blob_pair(0.25, 8, _side(q, 2048)), 8
    ),
    "pq-lesions256": partial(
        _masks,
        "masks to PQ",
        lambda q: data.lesions((_side(q, 256),) * 3, 300, 0.06 * _side(q, 256)),
        26,
    ),
    "pq-lesions512": partial(
        _masks,
        "masks to PQ",
        lambda q: data.lesions((_side(q, 512),) * 3, 2400, 0.03 * _side(q, 512)),
        26,
    ),
    "partition256": _partition,
}

_CELLS = ("pq-cells300", "pq-cells4k")

TARGETS = (
    *(Target(name, f"{name}: fastest peer", 5, times_faster_than()) for name in _CELLS),
    *(Target(name, f"{name}: panoptica", 100, times_faster_than("panoptica")) for name in _CELLS),
    Target("pq-cells300", "pq-cells300: torchmetrics", 1000, times_faster_than("torchmetrics")),
    Target("pq-cells300", "pq-cells300: MONAI", 1000, times_faster_than("MONAI")),
    Target("pq-blob25", "masks to PQ, 2048²: OpenCV", 20, times_faster_than("np.unique")),
    Target("pq-lesions256", "masks to PQ, 256³: cc3d", 40, times_faster_than("np.unique")),
    Target("pq-lesions512", "masks to PQ, 512³: cc3d", 150, times_faster_than("np.unique")),
    Target(
        "pq-lesions512",
        "masks to PQ, 512³: memory beyond the inputs",
        0.05,
        lambda report: report["extra"].get("of the inputs"),
        unit="%",
        at_most=True,
    ),
    Target("partition256", "partitions, 256³: scikit-image", 30, times_faster_than("scikit-image")),
)
