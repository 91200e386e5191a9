from collections.abc import Sequence
from typing import Any, type_check_only

import numpy as np
from numpy.typing import NDArray

_Mapping = tuple[NDArray[np.int64], NDArray[np.int64]] | None
# kind, sample, channel, pixel
_Fault = tuple[int, int, int, int]
_SoftCounts = tuple[tuple[Any, ...], _Fault]
_Counted = tuple[NDArray[np.int64], int, tuple[int, int, int] | None]

def noop() -> None: ...
def cpu_features() -> list[str]: ...
def simd_levels() -> list[str]: ...
def simd_level() -> str: ...
def set_simd_level(level: str) -> None: ...
def max_threads() -> int: ...
def build_info() -> dict[str, Any]: ...
def color_codes(pixels: NDArray[np.uint8], codes: NDArray[np.uint32]) -> None: ...
def unfilter_png(rows: NDArray[np.uint8], pixel_bytes: int) -> bool: ...

@type_check_only
class _PybindType(type): ...  # the metaclass of the module's classes

class LossSweep(metaclass=_PybindType):
    def __init__(
        self,
        logits: NDArray[Any],
        bfloat16: bool,
        target: NDArray[Any],
        dense: bool,
        ignored: Sequence[int],
        mask: NDArray[np.bool_] | None,
        pixel_weight: NDArray[Any] | None,
        activation: int,
        label_smoothing: float,
        terms: Sequence[tuple[int, float, float]],
        squares: bool,
        threads: int,
    ) -> None: ...
    def counts(self, regions: bool) -> _SoftCounts: ...
    def target_counts(self) -> _SoftCounts: ...
    def terms_and_gradient(
        self, slopes: Sequence[NDArray[np.float64]], out: NDArray[Any]
    ) -> _SoftCounts: ...
    def lovasz(
        self,
        per_sample: bool,
        hinge: bool,
        exact: bool,
        weights: NDArray[np.float64],
        out: NDArray[Any] | None,
    ) -> tuple[NDArray[np.float64], _Fault]: ...
    def costs(self) -> tuple[NDArray[Any], _Fault]: ...
    def backward(self, slopes: Sequence[NDArray[np.float64]], out: NDArray[Any]) -> _Fault: ...

def mean_of_quotients(
    rule: Sequence[float],
    intersection: NDArray[np.float64],
    size: NDArray[np.float64],
    target: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]: ...

class LabelRules(metaclass=_PybindType):
    def __init__(
        self,
        num_classes: int,
        pred_mapping: _Mapping,
        target_mapping: _Mapping,
        channel_mapping: _Mapping,
        void_column: bool,
        invalid_is_void: bool,
        threads: int,
    ) -> None: ...
    def count(
        self,
        pred: NDArray[Any],
        target: NDArray[Any],
        mask: NDArray[np.bool_] | None,
        per_image: bool,
    ) -> _Counted: ...
    def count_scores(
        self,
        scores: NDArray[Any],
        threshold: float | None,
        target: NDArray[Any],
        mask: NDArray[np.bool_] | None,
        per_image: bool,
    ) -> _Counted: ...
    def sum_weights(
        self,
        pred: NDArray[Any],
        target: NDArray[Any],
        weights: NDArray[np.floating[Any]],
        mask: NDArray[np.bool_] | None,
        per_image: bool,
    ) -> NDArray[np.float64]: ...
    def find_outsiders(
        self,
        pred: NDArray[Any] | None,
        void_labels: bool,
        target: NDArray[Any],
        mask: NDArray[np.bool_] | None,
        most: int,
    ) -> list[tuple[int, int, int]]: ...

_Masks = tuple[NDArray[np.uint32], NDArray[np.int64]]

def masks_from_coco(
    segmentations: Sequence[Any], height: int, width: int
) -> tuple[_Masks, list[tuple[int, str]]]: ...
def masks_from_pixels(pixels: NDArray[Any]) -> _Masks: ...
def masks_paint(height: int, width: int, runs: _Masks) -> NDArray[np.uint8]: ...
def masks_texts(height: int, width: int, runs: _Masks) -> list[bytes]: ...
def masks_counts(height: int, width: int, runs: _Masks) -> list[list[int]]: ...
def masks_table(
    height: int, width: int, runs: _Masks
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def masks_merged(height: int, width: int, runs: _Masks, intersection: bool) -> _Masks: ...
def masks_iou(
    height: int, width: int, pred: _Masks, target: _Masks, crowd: NDArray[np.uint8]
) -> NDArray[np.float64]: ...
def coco_match(
    height: int,
    width: int,
    pred: _Masks,
    pred_classes: NDArray[np.int64],
    pred_areas: NDArray[np.float64] | None,
    pred_scores: NDArray[np.float64],
    target: _Masks,
    target_classes: NDArray[np.int64],
    target_areas: NDArray[np.float64] | None,
    crowd: NDArray[np.uint8],
    ignored: NDArray[np.uint8],
    num_classes: int,
    iou_thresholds: NDArray[np.float64],
    area_ranges: NDArray[np.float64],
    max_detections: int,
    pred_bands: _Masks | None,
    target_bands: _Masks | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]: ...
def coco_curves(
    classes: NDArray[np.int64],
    scores: NDArray[np.float64],
    images: NDArray[np.int64],
    ranks: NDArray[np.int64],
    outcome: NDArray[np.uint8],
    positives: NDArray[np.int64],
    recalls: NDArray[np.float64],
    limits: NDArray[np.int64],
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

_Runs = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64] | None]
_Regions = tuple[_Runs, NDArray[np.int32], NDArray[np.int64]]
_RegionTable = tuple[None, None, NDArray[np.int64]]

def free_kept_pages() -> None: ...
def find_runs(
    labels: NDArray[Any],
    background: int | None,
    binary: bool,
    ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    threads: int,
) -> _Runs: ...
def check_runs(shape: Sequence[int], runs: _Runs) -> None: ...
def label_components(
    labels: NDArray[Any],
    connectivity: int,
    background: int | None,
    binary: bool,
    ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    keeps_runs: bool,
    paints: bool,
    threads: int,
) -> tuple[_Regions | _RegionTable, NDArray[Any] | None]: ...
def label_components_of_runs(
    shape: Sequence[int], runs: _Runs, is_unsigned: bool, connectivity: int, threads: int
) -> _Regions: ...
def instance_regions(
    labels: NDArray[Any],
    background: int | None,
    ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    threads: int,
) -> _Regions: ...
def instance_regions_of_runs(
    shape: Sequence[int], runs: _Runs, is_unsigned: bool, threads: int
) -> _Regions: ...
def paint_runs(
    shape: Sequence[int],
    runs: _Runs,
    key: NDArray[np.int32] | None,
    value_of_key: NDArray[np.int64],
    dtype: np.dtype[Any],
    background: int,
    threads: int,
) -> NDArray[Any]: ...
def exposed_faces(
    shape: Sequence[int],
    runs: _Runs,
    run_region: NDArray[np.int32],
    area: NDArray[np.int64],
    num_runs: NDArray[np.int64],
) -> NDArray[np.int64]: ...
def euler_numbers(
    shape: Sequence[int],
    runs: _Runs,
    run_region: NDArray[np.int32],
    area: NDArray[np.int64],
    num_runs: NDArray[np.int64],
    connectivity: int,
) -> NDArray[np.int64]: ...

_Side = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]
_Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

def overlap_of_maps(
    pred: NDArray[Any],
    pred_background: int | None,
    pred_ignored: Sequence[int],
    target: NDArray[Any],
    target_background: int | None,
    target_ignored: Sequence[int],
    mask: NDArray[np.bool_] | None,
    threads: int,
) -> tuple[_Side, _Side, _Pairs, int]: ...

_RegionRuns = tuple[
    NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int32] | None, int
]

def overlap_of_runs(pred: _RegionRuns, target: _RegionRuns, threads: int) -> _Pairs: ...
def greedy_matching(
    pred: NDArray[np.int64],
    target: NDArray[np.int64],
    score: NDArray[np.float64],
    passes: NDArray[np.bool_],
) -> NDArray[np.int64]: ...
def optimal_matching(
    pred: NDArray[np.int64],
    target: NDArray[np.int64],
    score: NDArray[np.float64],
    passes: NDArray[np.bool_],
    by_count: bool,
) -> NDArray[np.int64]: ...
def merging_matching(
    pred: NDArray[np.int64],
    target: NDArray[np.int64],
    score: NDArray[np.float64],
    passes: NDArray[np.bool_],
    intersection: NDArray[np.int64],
    pred_area: NDArray[np.int64],
    target_area: NDArray[np.int64],
    criterion: str,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...
def error_causes(
    rules: LabelRules,
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    element: NDArray[np.int64],
    ignore_invalid: bool,
    return_map: bool,
    kinds_class: int | None,
) -> tuple[
    NDArray[np.int64], tuple[int, int, int], NDArray[np.uint8] | None, NDArray[np.uint8] | None
]: ...
def band_overlap(
    rules: LabelRules,
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    reach: tuple[int, int, int],
    border: bool,
    ignore_invalid: bool,
) -> tuple[NDArray[np.int64], tuple[int, int, int]]: ...
def trimap_confusion(
    rules: LabelRules,
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    reaches: Sequence[tuple[int, int, int]],
    border: bool,
    ignore_invalid: bool,
) -> tuple[NDArray[np.int64], tuple[int, int, int]]: ...
def outline_matches(
    rules: LabelRules,
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    corner: bool,
    border: bool,
    ignored_is_outside: bool,
    element: NDArray[np.int64],
    ignore_invalid: bool,
    only_class: int | None,
) -> tuple[NDArray[np.int64], tuple[int, int, int]]: ...
def label_band(
    labels: NDArray[Any],
    unknown: NDArray[np.bool_] | None,
    reach: tuple[int, int, int],
    border: bool,
    threads: int,
) -> NDArray[np.bool_]: ...
def dilate_runs(
    shape: tuple[int, int, int],
    row_begin: NDArray[np.int64],
    begin: NDArray[Any],
    end: NDArray[Any],
    element: Sequence[tuple[int, int, int, int]],
    iterations: int,
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint32]]: ...
def euler_characteristic(
    shape: tuple[int, int, int],
    row_begin: NDArray[np.int64],
    begin: NDArray[Any],
    end: NDArray[Any],
    is_volume: bool,
    full: bool,
    threads: int,
) -> int: ...
def segment_overlap(
    rules: LabelRules,
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    ignore_invalid: bool,
) -> tuple[
    _Side, _Side, _Pairs, int, NDArray[np.int64], NDArray[np.int64], tuple[int, int, int]
]: ...
def distance_transform(
    labels: NDArray[Any],
    spacing: Sequence[float],
    is_mask: bool,
    zero_is_background: bool,
    border_is_background: bool,
    squared: bool,
    negate_labels: bool,
    with_nearest: bool,
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.int32] | None]: ...

# Labels by their bits, the role of each, and the role of all others.
_Meaning = tuple[NDArray[np.int64], NDArray[np.int32], int]
# Distances, weights, first point of each group, lowest and highest label met.
_SurfaceSide = tuple[
    NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.int64], tuple[int, int] | None
]

def surface_distances(
    pred: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    pred_meaning: _Meaning,
    target_meaning: _Meaning,
    groups: tuple[NDArray[np.int64], NDArray[np.int32]],
    num_groups: int,
    rule: int,
    closed: bool,
    spacing: Sequence[float],
    last_axis: int,
    weights: NDArray[np.float64] | None,
    threads: int,
) -> tuple[_SurfaceSide, _SurfaceSide, bool]: ...
def distance_sums(
    distances: Sequence[NDArray[np.float64]],
    weights: Sequence[NDArray[np.float64]],
    tolerances: NDArray[np.float64],
) -> NDArray[np.float64]: ...
def weighted_percentiles(
    distances: Sequence[NDArray[np.float64]],
    weights: Sequence[NDArray[np.float64]],
    percentiles: NDArray[np.float64],
) -> NDArray[np.float64]: ...
