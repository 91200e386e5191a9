"""Lesion-wise scores of a BraTS-like case, and Betti numbers, against SciPy and gudhi."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import _region_data as data
from _harness import Candidate
from _parts import Case
from _tables import Target, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_LESIONS = ("lesion_volume", "lesion_pred_volume", "lesion_intersection", "lesion_matches")


def _table(counts: Any) -> NDArray[Any]:
    return np.stack([getattr(counts, name) for name in _LESIONS])


def _differs(result: Any, answer: NDArray[Any]) -> str | None:
    table = result if isinstance(result, np.ndarray) else _table(result)
    return None if np.array_equal(table, answer) else "other lesions"


def scipy_table(pred: NDArray, target: NDArray, groups: dict[str, tuple[int, ...]]) -> NDArray[Any]:
    """The rules of 2023 in SciPy as one would write them for speed: no mask per lesion."""
    from scipy import ndimage

    touching, full = (ndimage.generate_binary_structure(3, rank) for rank in (2, 3))
    rows = []
    for labels in groups.values():
        preds, number = ndimage.label(np.isin(pred, labels), full)
        mask = np.isin(target, labels)
        reach, lesions = ndimage.label(ndimage.binary_dilation(mask, touching, iterations=3), full)
        size = number + 1
        near = np.bincount((reach * size + preds).ravel(), minlength=(lesions + 1) * size)
        inside = np.where(mask, reach, 0)
        common = np.bincount((inside * size + preds).ravel(), minlength=(lesions + 1) * size)
        belongs = near.reshape(-1, size)[1:, 1:] > 0
        shared = common.reshape(-1, size)[1:, 1:]
        area = np.bincount(preds.ravel(), minlength=size)[1:]
        volume = np.bincount(inside.ravel(), minlength=lesions + 1)[1:]
        rows.append(
            np.stack([volume, belongs @ area, (shared * belongs).sum(axis=1), belongs.sum(axis=1)])
        )
    return np.concatenate(rows, axis=1)


def _brats(quick: bool, threads: int) -> Case:
    import segmeter
    from segmeter.reference import region_lesions

    pred, target = data.brats()
    if quick:
        pred, target = pred[40:80], target[40:80]
    groups = segmeter.BRATS_GROUPS
    ours = partial(segmeter.lesion_wise, pred, target, groups=groups, threads=threads)
    twin = partial(region_lesions.lesion_wise, pred, target, groups=groups)
    return Case(
        "BraTS-like, 3 groups, 25 lesions, rules of 2023",
        target.size,
        pred.nbytes + target.nbytes,
        [
            Candidate("segmeter", ours, _differs, "ours"),
            Candidate("SciPy, lesion by lesion", twin, _differs),
            Candidate("SciPy, joint tables", partial(scipy_table, pred, target, groups), _differs),
        ],
        _table(ours()),
    )


def _betti(quick: bool, threads: int) -> Case:
    import segmeter
    from segmeter.reference import region_topology

    size = 32 if quick else 96
    mask = data.noise(0.05, (size,) * 3)
    ours = partial(segmeter.betti_numbers, mask, threads=threads)

    def by_gudhi() -> NDArray[Any]:
        import gudhi

        cells = gudhi.CubicalComplex(top_dimensional_cells=np.where(mask != 0, 0.0, 1.0))
        cells.compute_persistence()
        return np.array(cells.persistent_betti_numbers(0.0, 0.0)[:3])

    return Case(
        f"Betti numbers, {size}^3",
        mask.size,
        mask.nbytes,
        [
            Candidate("segmeter", ours, _differs, "ours"),
            Candidate("SciPy", partial(region_topology.betti_numbers, mask), _differs),
            Candidate("gudhi", by_gudhi, _differs),
        ],
        ours(),
    )


CASES: dict[str, Callable[[bool, int], Case]] = {"brats": _brats, "betti": _betti}

TARGETS = (
    Target(
        "brats", "BraTS-like case: SciPy twin", 50, times_faster_than("SciPy, lesion by lesion")
    ),
)
