"""Overlap of regions and of the bands along their outlines: Boundary IoU of objects."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np

from .. import _core
from .._arrays import as_array, packed, thread_limit
from ..region import OverlapTable, overlap_table
from ..region._overlap import mask_and_labels
from ..region._stored import natural_numbers, required
from ._band import DILATION_RATIO, Band
from ._checks import one_of
from ._surfaces import Border

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

IgnoredOutline = Literal["outline", "unknown"]


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundaryOverlapTable(OverlapTable):
    """An overlap table whose IoU is the smaller of that of the regions and that of their bands.

    Made by :func:`boundary_overlap_table`. Every score of the region family takes it in place of an
    :class:`OverlapTable` and becomes its boundary version: :func:`panoptic_counts` counts for
    Boundary PQ, :func:`instance_counts` matches by Boundary IoU. Areas, intersections, Dice and
    everything else but :attr:`iou` are those of the regions. Tables add up like those: of images
    whose ids differ, or of parts of one that are far enough apart, as each part has bands at its
    own border (``border="ignore"``: none there).

    Attributes
    ----------
    pred_band, target_band : numpy.ndarray
        Pixels in the band of each region, int64.
    pred_band_void, target_band_void : numpy.ndarray
        Those that lie on ignored pixels of the other map.
    band_intersection : numpy.ndarray
        Pixels that the bands of each pair share; may be 0.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((12, 12), int)
    >>> target[1:11, 1:11] = 1
    >>> table = segmeter.boundary_overlap_table(np.roll(target, 1, axis=0), target, width_pixels=1)
    >>> table.mask_iou.round(3), table.boundary_iou.round(3), table.iou.round(3)
    (array([0.818]), array([0.333]), array([0.333]))
    """

    _pair_fields: ClassVar[tuple[str, ...]] = (*OverlapTable._pair_fields, "band_intersection")
    _region_fields: ClassVar[tuple[str, ...]] = (
        *OverlapTable._region_fields, "band", "band_void",
    )  # fmt: skip

    pred_band: IntArray
    target_band: IntArray
    pred_band_void: IntArray
    target_band_void: IntArray
    band_intersection: IntArray

    @property
    def mask_iou(self) -> FloatArray:
        """IoU of the regions of each pair, over counted pixels."""
        return self.intersection / self.union

    @property
    def boundary_iou(self) -> FloatArray:
        """IoU of the bands of each pair, over counted pixels; NaN if all of both is ignored."""
        pred = (self.pred_band - self.pred_band_void)[self.pred_index]
        target = (self.target_band - self.target_band_void)[self.target_index]
        union = pred + target - self.band_intersection
        with np.errstate(invalid="ignore"):
            return self.band_intersection / union

    @property
    def iou(self) -> FloatArray:
        """The smaller of both; that of the regions where there is no band."""
        return np.fmin(self.mask_iou, self.boundary_iou)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Table from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            The arrays make no such table.
        """
        plain = OverlapTable.from_arrays(arrays)
        known: dict[str, Any] = {
            part.name: getattr(plain, part.name) for part in fields(OverlapTable)
        }
        names = [part.name for part in fields(cls) if part.name not in known]
        stored = required(arrays, names, cls.__name__)
        own: dict[str, Any] = {name: natural_numbers(stored[name], name) for name in names}
        sizes = {
            "pred": plain.num_pred,
            "target": plain.num_target,
            "band": len(plain.intersection),
        }
        for name, values in own.items():
            size = sizes[name.partition("_")[0]]
            if len(values) != size:
                raise ValueError(f"{name} must hold {size} numbers, got {len(values)}")
        return cls(**known, **own)


def boundary_overlap_table(
    pred: ArrayLike,
    target: ArrayLike,
    *,
    width: float = DILATION_RATIO,
    width_pixels: int | None = None,
    width_physical: float | None = None,
    spacing: Sequence[float] | None = None,
    border: Border = "background",
    ignored: IgnoredOutline = "outline",
    background: int | None = 0,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    pred_ignore_index: int | Sequence[int] | None = None,
    pred_classes: Mapping[int, int] | ArrayLike | None = None,
    target_classes: Mapping[int, int] | ArrayLike | None = None,
    threads: int = 0,
) -> BoundaryOverlapTable:
    """Count the pixels that regions share, and those that the bands along their outlines share.

    Parameters
    ----------
    pred, target : array_like of int or bool, 2-D or 3-D
        Maps of ids of equal shape: instances, or panoptic segments.
    width, width_pixels, width_physical, spacing, border
        Of the bands, as in :func:`boundary_iou_counts`.
    ignored : {"outline", "unknown"}, default "outline"
        Whether regions have an outline where ignored pixels begin, each map by itself: so the
        official programs have it, and a prediction that is right on every counted pixel may score
        less than 1. Or are ignored pixels unknown in both maps, so that it scores 1.
    background, ignore_index, pred_ignore_index, pred_classes, target_classes : optional
        As in :func:`overlap_table`.
    threads : int, default 0
        Number of threads; 0 chooses. The result does not depend on it.

    Returns
    -------
    BoundaryOverlapTable

    Raises
    ------
    ValueError, TypeError
        As :func:`overlap_table` and :func:`boundary_iou_counts`.

    Notes
    -----
    Cheng et al., *Boundary IoU: Improving Object-Centric Image Segmentation Evaluation* (CVPR
    2021): a pair scores ``min(mask IoU, boundary IoU)``, since the band alone says nothing of what
    lies within. With the rules of :func:`panoptic_counts` these are the official Boundary PQ: void
    leaves the union of bands as well, and what is a false positive is decided by whole segments.
    The official program takes a number for "no band" that may be the id of a segment; here it
    never is.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((12, 12), int)
    >>> target[1:11, 1:11] = 1
    >>> table = boundary_overlap_table(np.roll(target, 1, axis=0), target, width_pixels=1)
    >>> counts = segmeter.panoptic_counts(table, num_classes=1)
    >>> counts.tp, counts.fp, counts.fn
    (array([0]), array([1]), array([1]))
    """
    one_of(border, "border", get_args(Border))
    one_of(ignored, "ignored", get_args(IgnoredOutline))
    band = Band.of(width, width_pixels, width_physical, spacing)
    how: dict[str, Any] = {
        "ignore_index": ignore_index, "pred_ignore_index": pred_ignore_index, "threads": threads
    }  # fmt: skip
    maps = as_array(pred, "pred"), as_array(target, "target")
    table = overlap_table(
        *maps, background=background, pred_classes=pred_classes, target_classes=target_classes,
        **how,
    )  # fmt: skip
    if maps[1].ndim not in (2, 3):
        raise ValueError(
            f"maps must be 2-D or 3-D, got shape {maps[1].shape}; compare the images of a batch "
            "one by one"
        )
    reach = band.reach(maps[1].shape)
    mask, labels = mask_and_labels(ignore_index, "ignore_index", maps[1].shape)
    _, pred_labels = mask_and_labels(pred_ignore_index, "pred_ignore_index", maps[0].shape)
    left_out = [_among(maps[0], pred_labels, None), _among(maps[1], labels, mask)]
    unknown = None
    if ignored == "unknown" and (left_out[0].any() or left_out[1].any()):
        unknown = left_out[0] | left_out[1]
    # Pixels within a region become a region of their own, which nobody asks for.
    within = _unused(table, background, [*labels, *pred_labels])
    bands = [
        _only_bands(ids, out, unknown, reach, border, within, threads)
        for ids, out in zip(maps, left_out, strict=True)
    ]
    near = overlap_table(*bands, background=background, **how)
    return _joined(table, near)


def _among(
    ids: NDArray[Any], labels: list[int], mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    found = np.zeros(ids.shape, bool) if mask is None else mask.copy()
    for label in labels:
        found |= ids == label
    return found


def _unused(table: OverlapTable, background: int | None, labels: list[int]) -> int:
    """A number that stands for nothing in either map."""
    used = {*table.pred_id.tolist(), *table.target_id.tolist(), *labels, background}
    return next(number for number in range(len(used) + 1) if number not in used)


def _only_bands(
    ids: NDArray[Any],
    left_out: NDArray[np.bool_],
    unknown: NDArray[np.bool_] | None,
    reach: tuple[int, int, int],
    border: Border,
    within: int,
    threads: int,
) -> NDArray[Any]:
    """The map with `within` in place of ids away from outlines; ignored pixels as they are."""
    plain = ids.view(np.uint8) if ids.dtype == np.bool_ else ids
    native = packed(plain)
    band = _core.label_band(native, unknown, reach, border == "background", thread_limit(threads))
    if within > np.iinfo(native.dtype).max:
        native = native.astype(np.int64)
    return np.where(band | left_out, native, native.dtype.type(within))


def _joined(table: OverlapTable, near: OverlapTable) -> BoundaryOverlapTable:
    """The regions of a table with the bands of theirs that another one counts."""
    known: dict[str, Any] = {part.name: getattr(table, part.name) for part in fields(OverlapTable)}
    own: dict[str, Any] = {}
    place = {}
    for side in ("pred", "target"):
        ids, has = getattr(table, f"{side}_id"), getattr(near, f"{side}_id")
        position = np.searchsorted(ids, has)
        found = position < len(ids)
        found[found] = ids[position[found]] == has[found]
        place[side] = np.where(found, position, -1)
        for name, values in (("band", "area"), ("band_void", "void")):
            column = np.zeros(len(ids), np.int64)
            column[position[found]] = getattr(near, f"{side}_{values}")[found]
            own[f"{side}_{name}"] = column
    pred, target = place["pred"][near.pred_index], place["target"][near.target_index]
    regions = np.flatnonzero((pred >= 0) & (target >= 0))
    wide = max(table.num_pred, 1)
    keys = table.target_index * wide + table.pred_index
    at = np.searchsorted(keys, target[regions] * wide + pred[regions])
    own["band_intersection"] = np.zeros(len(keys), np.int64)
    own["band_intersection"][at] = near.intersection[regions]
    return BoundaryOverlapTable(**known, **own)
