"""Connected components: runs and table alone, and with the label image painted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import _region_data as data
from _harness import Candidate
from _memory import peak_extra_bytes
from _native import readers
from _parts import Case
from _tables import Target, fastest, times_faster_than

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


# --- checks -------------------------------------------------------------------------------------


def same_partition(result: Any, labels: NDArray[Any]) -> str | None:
    """Say how a label image parts the pixels differently from ours, or return None."""
    other = np.asarray(result).reshape(labels.shape)
    count = int(labels.max(initial=0)) + 1
    if int(other.max(initial=0)) + 1 != count:
        return f"{int(other.max())} components instead of {count - 1}"
    name = np.zeros(count, np.int64)
    name[labels.ravel()] = other.ravel()
    return None if np.array_equal(name[labels], other) else "other components"


def same_count(result: Any, labels: NDArray[Any]) -> str | None:
    count = int(labels.max(initial=0))
    return None if len(result) == count else f"{len(result)} components instead of {count}"


# --- peers --------------------------------------------------------------------------------------

_STEPS = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}


def binary_peers(mask: NDArray[Any], connectivity: int) -> dict[str, Callable[[], Any]]:
    import SimpleITK
    from scipy import ndimage

    structure = ndimage.generate_binary_structure(mask.ndim, _STEPS[connectivity])
    image = SimpleITK.GetImageFromArray(mask)
    full = connectivity in (8, 26)
    found: dict[str, Callable[[], Any]] = {
        "scipy.ndimage.label": lambda: ndimage.label(mask, structure)[0],
        "SimpleITK ConnectedComponent": lambda: SimpleITK.GetArrayFromImage(
            SimpleITK.ConnectedComponent(image, full)
        ),
    }
    return found | _opencv(mask, connectivity) | _cc3d(mask, connectivity, binary=True)


def _opencv(mask: NDArray[Any], connectivity: int) -> dict[str, Callable[[], Any]]:
    if mask.ndim != 2:
        return {}
    import cv2

    def plain() -> Any:
        return cv2.connectedComponents(mask, connectivity=connectivity)[1]

    def with_stats() -> Any:
        return cv2.connectedComponentsWithStats(mask, connectivity=connectivity)[1]

    return {"cv2.connectedComponents": plain, "cv2.connectedComponentsWithStats": with_stats}


def label_peers(label_map: NDArray[Any], connectivity: int) -> dict[str, Callable[[], Any]]:
    from skimage import measure

    found = _cc3d(label_map, connectivity, binary=False)
    if label_map.size <= 1 << 22:
        found["skimage.measure.label"] = lambda: measure.label(
            label_map, background=0, connectivity=_STEPS[connectivity]
        )
    return found


def _cc3d(array: NDArray[Any], connectivity: int, *, binary: bool) -> dict[str, Callable[[], Any]]:
    import cc3d

    return {
        "cc3d": lambda: cc3d.connected_components(
            array, connectivity=connectivity, binary_image=binary
        )
    }


# --- cases --------------------------------------------------------------------------------------


def _case(
    title: str,
    draw: Callable[[bool], NDArray[Any]],
    connectivity: int,
    binary: bool,
    quick: bool,
    threads: int,
) -> Case:
    import segmeter

    array = draw(quick)
    label = partial(
        segmeter.label_components,
        array,
        connectivity=connectivity,
        binary=binary,
        threads=threads,
    )
    regions, labels = label(return_labels=True)
    dtype = labels.dtype
    candidates = [
        Candidate("segmeter, runs and table", label, same_count, "ours"),
        Candidate("segmeter, table alone", partial(label, return_runs=False), same_count, "part"),
        Candidate(
            "segmeter, labels painted",
            lambda: label(return_labels=True)[1],
            same_partition,
            "ours too",
        ),
    ]
    peers = (binary_peers if binary else label_peers)(array, connectivity)
    candidates += [Candidate(name, call, same_partition) for name, call in peers.items()]
    candidates.append(
        Candidate("fill a label image", lambda: np.full(array.shape, 1, dtype), kind="fill")
    )
    candidates += [
        Candidate(f"read bandwidth ({name})", call, kind="limit")
        for name, call in readers((array,), threads).items()
    ]
    shape = "x".join(map(str, array.shape))
    return Case(
        f"{title}: {shape} {array.dtype}, {connectivity} neighbours, {len(regions)} components, "
        f"{len(regions.run_region)} runs",
        array.size,
        array.nbytes,
        candidates,
        labels,
        _memory(label, array, connectivity) if threads == 1 else {},
    )


def _memory(label: Any, array: NDArray[Any], connectivity: int) -> dict[str, Any]:
    """Extra memory of calls, relative to the input."""
    import segmeter

    small = np.ascontiguousarray(array[tuple(slice(0, 16) for _ in array.shape)])
    found: dict[str, Any] = {}
    for name, options in (("", {}), ("table alone, ", {"return_runs": False})):
        call = partial(label, **options)
        warm_up = partial(segmeter.label_components, small, connectivity=connectivity, **options)
        extra = peak_extra_bytes([Candidate("ours", warm_up)], [Candidate("ours", call)])["ours"]
        if extra is not None:
            found[f"{name}extra MiB"] = round(extra / 2**20, 1)
            found[f"{name}of the input"] = round(extra / array.nbytes, 4)
    return found


def _entry(
    title: str, draw: Callable[[bool], NDArray[Any]], connectivity: int, *, binary: bool = True
) -> Callable[[bool, int], Case]:
    return partial(_case, title, draw, connectivity, binary)


def _square(quick: bool) -> int:
    return 256 if quick else 2048


def _side(quick: bool, full: int = 256) -> int:
    return 48 if quick else full


def _connectome(quick: bool) -> NDArray[Any]:
    return data.connectome(_side(quick), 800)


CASES: dict[str, Callable[[bool, int], Case]] = {
    "blob5": _entry("blobs, 5 %", lambda q: data.blobs(0.05, 8, _square(q)), 8),
    "blob25": _entry("blobs, 25 %", lambda q: data.blobs(0.25, 8, _square(q)), 8),
    "blob50": _entry("blobs, 50 %", lambda q: data.blobs(0.5, 8, _square(q)), 8),
    "blob75": _entry("blobs, 75 %", lambda q: data.blobs(0.75, 8, _square(q)), 8),
    "blob50-4": _entry("blobs, 50 %", lambda q: data.blobs(0.5, 8, _square(q)), 4),
    "fine50": _entry("fine blobs", lambda q: data.blobs(0.5, 1, _square(q)), 8),
    "noise10": _entry("noise, 10 %", lambda q: data.noise(0.1, (_square(q),) * 2), 8),
    "noise50": _entry("noise, 50 %", lambda q: data.noise(0.5, (_square(q),) * 2), 8),
    "cells4k": _entry(
        "cells", lambda q: (data.cells(4000, _square(q) // 2)[1] > 0).astype(np.uint8), 8
    ),
    "city": _entry(
        "street, 19 classes",
        lambda q: data.city((128, 256) if q else (1024, 2048)),
        8,
        binary=False,
    ),
    "lesions256": _entry(
        "lesions", lambda q: data.lesions((_side(q),) * 3, 300, 0.06 * _side(q))[1], 26
    ),
    "lesions512": _entry(
        "lesions", lambda q: data.lesions((_side(q, 512),) * 3, 2400, 0.03 * _side(q, 512))[1], 26
    ),
    "brats": _entry("tumours, 3 classes", lambda _: data.brats()[1], 26, binary=False),
    "organs": _entry(
        "organs, 14 classes",
        lambda q: data.organs((40, 64, 64) if q else (300, 512, 512)),
        26,
        binary=False,
    ),
    "connectome26": _entry(
        "dense cells", lambda q: data.connectome(_side(q), 800), 26, binary=False
    ),
    "connectome6": _entry("dense cells", lambda q: data.connectome(_side(q), 800), 6, binary=False),
    "noise3d": _entry("noise, 50 %", lambda q: data.noise(0.5, (_side(q),) * 3), 26),
}


# --- targets ------------------------------------------------------------------------------------


def _times_reading(report: dict[str, Any]) -> float | None:
    own, limit = fastest(report, "ours"), fastest(report, "limit")
    basis = report["basis"]
    return own[basis] / limit[basis] if own and limit else None


def _times_filling(report: dict[str, Any]) -> float | None:
    own, fill = fastest(report, "ours too"), fastest(report, "fill")
    basis = report["basis"]
    return own[basis] / fill[basis] if own and fill else None


def _memory_share(report: dict[str, Any]) -> float | None:
    return report["extra"].get("table alone, of the input")


STRUCTURED = ("blob5", "blob25", "blob50", "blob75")

TARGETS = (
    *(
        Target(n, f"{n}: OpenCV", 8, times_faster_than("cv2.connectedComponents"))
        for n in STRUCTURED
    ),
    *(Target(n, f"{n}: reading", 4, _times_reading, at_most=True) for n in STRUCTURED),
    Target("noise50", "noise 2-D: fastest peer", 2.5, times_faster_than()),
    Target("noise3d", "noise 3-D: fastest peer", 1.5, times_faster_than()),
    Target("lesions256", "lesions 256: fastest peer", 10, times_faster_than()),
    Target("lesions512", "lesions 512: fastest peer", 20, times_faster_than()),
    Target("organs", "organs: fastest peer", 7, times_faster_than()),
    Target("connectome26", "dense cells, 26: fastest peer", 2, times_faster_than()),
    Target("connectome6", "dense cells, 6: fastest peer", 2, times_faster_than()),
    *(
        Target(n, f"{n}, painted: fastest peer", 2, times_faster_than(own="ours too"))
        for n in CASES
    ),
    *(Target(n, f"{n}, painted: filling", 1.5, _times_filling, at_most=True) for n in CASES),
    *(
        Target(n, f"{n}: memory, table alone", 0.05, _memory_share, "%", at_most=True)
        for n in CASES
    ),
)
