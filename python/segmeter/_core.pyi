from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Mapping = tuple[NDArray[np.int64], NDArray[np.int64]] | None
_Counted = tuple[NDArray[np.int64], NDArray[np.int64], bool]

def noop() -> None: ...
def cpu_features() -> list[str]: ...
def simd_levels() -> list[str]: ...
def simd_level() -> str: ...
def set_simd_level(level: str) -> None: ...
def max_threads() -> int: ...
def build_info() -> dict[str, Any]: ...
def confusion_matrix(
    pred: NDArray[Any],
    target: NDArray[Any],
    num_classes: int,
    pred_mapping: _Mapping,
    target_mapping: _Mapping,
    ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    per_image: bool,
    void_column: bool,
    invalid_is_void: bool,
    threads: int,
) -> _Counted: ...
def confusion_matrix_from_scores(
    scores: NDArray[Any],
    threshold: float | None,
    target: NDArray[Any],
    num_classes: int,
    target_mapping: _Mapping,
    ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    per_image: bool,
    void_column: bool,
    invalid_is_void: bool,
    threads: int,
) -> _Counted: ...
def weighted_confusion_matrix(
    pred: NDArray[Any],
    target: NDArray[Any],
    weights: NDArray[np.floating[Any]],
    num_classes: int,
    pred_mapping: _Mapping,
    target_mapping: _Mapping,
    ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    per_image: bool,
    void_column: bool,
    invalid_is_void: bool,
    threads: int,
) -> NDArray[np.float64]: ...
def find_outsiders(
    pred: NDArray[Any] | None,
    void_labels: bool,
    target: NDArray[Any],
    num_classes: int,
    pred_mapping: _Mapping,
    target_mapping: _Mapping,
    ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    most: int,
) -> list[tuple[int, int, int]]: ...
