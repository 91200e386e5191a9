"""Masks as runs: the COCO run-length encoding, read, written and compared without painting."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .. import _core
from .._arrays import as_array
from .._counts import equal_arrays
from ._stored import required, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class RunLengthMasks:
    """Binary masks of one image, each a list of runs down its columns.

    They may overlap, as instances of a detector do. All work is done on runs: its cost is that of
    the outlines, not of the areas.

    Parameters
    ----------
    height, width : int
        Size of the image.
    bounds : array of uint32
        Begin and end of every run, mask after mask: positions in column-major order, strictly
        increasing within a mask.
    offsets : array of int64
        Mask k lies at ``bounds[offsets[k]:offsets[k + 1]]``.

    Raises
    ------
    ValueError
        By what uses them, if bounds and offsets are not of this form.

    Examples
    --------
    >>> masks = RunLengthMasks.from_coco([[[1, 1, 4, 1, 4, 3, 1, 3]]], shape=(4, 6))
    >>> masks.to_masks()[0].astype(int)
    array([[0, 0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0, 0],
           [0, 1, 1, 1, 0, 0],
           [0, 0, 0, 0, 0, 0]])
    >>> masks.area, masks.bounding_box.tolist()
    (array([6]), [[[1, 3], [1, 4]]])
    >>> masks.to_coco()
    [{'size': [4, 6], 'counts': '5220007'}]
    """

    height: int
    width: int
    bounds: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    @classmethod
    def from_coco(
        cls, segmentations: Sequence[Any], *, shape: tuple[int, int] | None = None
    ) -> Self:
        """Read the segmentations of COCO annotations.

        Parameters
        ----------
        segmentations : sequence
            One for each mask: a run-length mask ``{"size": [height, width], "counts": ...}`` with
            text or a list of lengths, or a list of polygons ``[[x, y, x, y, ...], ...]``, of which
            the union is taken.
        shape : (int, int), optional
            Height and width of the image. Default: the size of the first run-length mask.

        Returns
        -------
        RunLengthMasks

        Raises
        ------
        ValueError
            If a segmentation cannot be read, has another size, or its lengths do not add up to the
            image; the message names its index.
        TypeError
            If ``segmentations`` is not a sequence.

        Notes
        -----
        Polygons become the very pixels that the official code gives them: corners are rounded to a
        fifth of a pixel, and a pixel belongs to the polygon by where the outline passes the middle
        of its column. Lengths of zero are allowed; the result is the same without them.

        Examples
        --------
        >>> masks = RunLengthMasks.from_coco([{"size": [2, 3], "counts": [1, 3, 2]}])
        >>> masks.to_masks()[0].astype(int)
        array([[0, 1, 0],
               [1, 1, 0]])
        """
        height, width = _shape_of(segmentations) if shape is None else _checked_shape(shape)
        masks, errors = read_segmentations(segmentations, height, width)
        if errors:
            index, message = errors[0]
            raise ValueError(f"segmentation {index}: {message}")
        return cls(height, width, masks.bounds, masks.offsets)

    @classmethod
    def from_polygons(
        cls, polygons: Sequence[Sequence[ArrayLike]], *, shape: tuple[int, int]
    ) -> Self:
        """Rasterise polygons as the official code does.

        Parameters
        ----------
        polygons : sequence of sequences of array_like
            The polygons of every mask, each ``(n, 2)`` points x, y or flat; their union is taken.
        shape : (int, int)
            Height and width of the image.

        Returns
        -------
        RunLengthMasks

        Raises
        ------
        ValueError
            If a polygon has fewer than three points or a coordinate that is not finite.

        Examples
        --------
        >>> RunLengthMasks.from_polygons([[[(0, 0), (3, 0), (3, 2), (0, 2)]]], shape=(4, 4)).area
        array([6])
        """
        flat = [
            [np.asarray(polygon, np.float64).ravel().tolist() for polygon in parts]
            for parts in polygons
        ]
        return cls.from_coco(flat, shape=shape)

    @classmethod
    def from_masks(cls, masks: ArrayLike) -> Self:
        """Take the runs of painted masks.

        Parameters
        ----------
        masks : (N, H, W) or (H, W) array of bool or int
            Everything but 0 belongs to the mask.

        Returns
        -------
        RunLengthMasks

        Raises
        ------
        ValueError
            If the array has another number of dimensions.
        TypeError
            If it is not of bool or int.

        Examples
        --------
        >>> RunLengthMasks.from_masks([[0, 1], [1, 1]]).to_coco(compressed=False)
        [{'size': [2, 2], 'counts': [1, 3]}]
        """
        array = as_array(masks, "masks")
        if array.ndim not in (2, 3):
            raise ValueError(f"masks must be (N, H, W) or (H, W), got the shape {array.shape}")
        if array.dtype.kind not in "biu":
            raise TypeError(f"masks must be of bool or int, got {array.dtype}")
        if array.dtype.itemsize != 1:
            array = array != 0
        if array.ndim == 2:
            array = array[np.newaxis]
        height, width = array.shape[1:]
        return cls(height, width, *_core.masks_from_pixels(array))

    @classmethod
    def concatenate(cls, parts: Iterable[RunLengthMasks]) -> Self:
        """Join lists of masks of one image size.

        Raises
        ------
        ValueError
            If there are none, or their image sizes differ.

        Examples
        --------
        >>> one = RunLengthMasks.from_masks([[1, 0]])
        >>> len(RunLengthMasks.concatenate([one, one]))
        2
        """
        parts = list(parts)
        if not parts:
            raise ValueError("there is nothing to concatenate")
        first = parts[0]
        for part in parts:
            _check_same_size(first, part)
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        bounds = np.concatenate([part.bounds for part in parts])
        return cls(first.height, first.width, bounds, _offsets_of(lengths))

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.offsets) - 1

    def __getitem__(self, index: int | slice | ArrayLike) -> Self:
        """Some of the masks: one, a slice, or those of an array of indices or flags."""
        chosen = np.atleast_1d(np.arange(len(self))[index])  # type: ignore[index]
        lengths = np.diff(self.offsets)[chosen]
        offsets = _offsets_of(lengths)
        # Position of every bound taken: its place within its mask, from where that mask begins.
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return type(self)(self.height, self.width, self.bounds[places], offsets)

    def __iter__(self) -> Iterator[Self]:
        """The masks one by one, each a list of length 1."""
        return (self[k] for k in range(len(self)))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.height, self.width

    @property
    def area(self) -> NDArray[np.int64]:
        """Pixels of each mask, (N,)."""
        return _core.masks_table(self.height, self.width, self._runs)[0]

    @property
    def bounding_box(self) -> NDArray[np.int64]:
        """Rows and columns, start and stop, of each mask, (N, 2, 2); zeros for empty ones."""
        boxes = _core.masks_table(self.height, self.width, self._runs)[1]
        return boxes.reshape(-1, 2, 2)

    def band(self, width: float = 0.02) -> Self:
        """The band along the outline of each mask: what an erosion takes away.

        Parameters
        ----------
        width : float
            Width of the band as a share of the image's diagonal, above 0, at most 1; rounded to
            whole pixels, at least one. The image's edge is an outline.

        Returns
        -------
        RunLengthMasks

        Raises
        ------
        ValueError
            If the width is out of its range.

        Notes
        -----
        Cheng et al., *Boundary IoU* (CVPR 2021).

        Examples
        --------
        >>> square = RunLengthMasks.from_masks(np.pad(np.ones((3, 3), bool), 1))
        >>> square.band().area
        array([8])
        """
        from ..boundary._band import Band  # which is made of this family

        reach = Band.of(width, None, None, None).reach(self.shape)
        masks = self.to_masks()
        for mask, box in zip(masks, self.bounding_box.tolist(), strict=True):
            # Cut out with a margin, beyond which the mask is as empty as in it.
            part = tuple(slice(max(low - 1, 0), high + 1) for low, high in box)
            inside = np.ascontiguousarray(mask[part])
            mask[part] = inside & _core.label_band(inside.view(np.uint8), None, reach, True, 1)
        return self.from_masks(masks)

    def union(self) -> Self:
        """Pixels in any of the masks, as one mask.

        Examples
        --------
        >>> masks = RunLengthMasks.from_masks([[[1, 0, 0]], [[0, 1, 0]]])
        >>> masks.union().area, masks.intersection().area
        (array([2]), array([0]))
        """
        return self._merged(intersection=False)

    def intersection(self) -> Self:
        """Pixels in all of the masks, as one mask; empty if there are no masks."""
        return self._merged(intersection=True)

    def to_masks(self) -> NDArray[np.bool_]:
        """Paint the masks: (N, H, W) bool."""
        return _core.masks_paint(self.height, self.width, self._runs).view(np.bool_)

    def to_coco(self, *, compressed: bool = True) -> list[dict[str, Any]]:
        """Write the masks as COCO run-length masks, ready for JSON.

        Parameters
        ----------
        compressed : bool
            Counts as text (what results hold), or as a list of lengths.

        Returns
        -------
        list of dict
            With ``"size"`` and ``"counts"``.
        """
        counts: Sequence[Any]
        if compressed:
            texts = _core.masks_texts(self.height, self.width, self._runs)
            counts = [text.decode("ascii") for text in texts]
        else:
            counts = _core.masks_counts(self.height, self.width, self._runs)
        return [{"size": [self.height, self.width], "counts": count} for count in counts]

    def __eq__(self, other: object) -> bool:
        return equal_arrays(self, other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays, to store or send."""
        shape = np.array(self.shape, np.int64)
        return {"shape": shape, "bounds": self.bounds, "offsets": self.offsets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Masks from what :meth:`to_arrays` gave.

        Raises
        ------
        ValueError
            The arrays are no run-length masks.

        Examples
        --------
        >>> masks = RunLengthMasks.from_masks([[1, 0, 1]])
        >>> RunLengthMasks.from_arrays(masks.to_arrays()).area
        array([2])
        """
        stored = required(arrays, ("shape", "bounds", "offsets"), cls.__name__)
        shape = whole_numbers(stored["shape"], np.int64, "shape").tolist()
        bounds = whole_numbers(stored["bounds"], np.uint32, "bounds")
        offsets = whole_numbers(stored["offsets"], np.int64, "offsets")
        if len(shape) != 2:
            raise ValueError(f"shape must be a height and a width, got {shape}")
        masks = cls(shape[0], shape[1], bounds, offsets)
        _core.masks_table(masks.height, masks.width, masks._runs)  # refuses what are no masks
        return masks

    @property
    def _runs(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        return self.bounds, self.offsets

    def _merged(self, *, intersection: bool) -> Self:
        runs = _core.masks_merged(self.height, self.width, self._runs, intersection)
        return type(self)(self.height, self.width, *runs)


def mask_iou(
    pred: RunLengthMasks, target: RunLengthMasks, *, crowd: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Intersection over union of every predicted mask with every target mask.

    Parameters
    ----------
    pred, target : RunLengthMasks
        Masks of the same image.
    crowd : (T,) array_like of bool, optional
        Targets that are crowds: a group of objects under one mask. With them the intersection is
        divided by the area of the prediction.

    Returns
    -------
    (P, T) array of float64
        In 0..1; 0 where nothing intersects, so also for empty masks.

    Raises
    ------
    ValueError
        If the image sizes differ, or ``crowd`` does not have one value for each target.

    Notes
    -----
    The quotient of two exact integers, equal to the last bit to the official code. Pairs whose
    bounding boxes are apart cost nothing.

    Examples
    --------
    >>> target = RunLengthMasks.from_masks([[[1, 1, 0, 0]], [[1, 1, 1, 1]]])
    >>> pred = RunLengthMasks.from_masks([[0, 1, 1, 0]])
    >>> mask_iou(pred, target, crowd=[False, True])
    array([[0.33333333, 1.        ]])
    """
    _check_same_size(pred, target)
    flags = as_flags(crowd, len(target), "crowd", "target")
    return _core.masks_iou(pred.height, pred.width, pred._runs, target._runs, flags)


def read_segmentations(
    segmentations: Sequence[Any], height: int, width: int
) -> tuple[RunLengthMasks, list[tuple[int, str]]]:
    """Masks of COCO segmentations, empty where one cannot be read, and (index, reason) of those."""
    if isinstance(segmentations, str | bytes | Mapping) or not isinstance(segmentations, Sequence):
        raise TypeError(
            f"segmentations must be a list with one for each mask, got "
            f"{type(segmentations).__name__}"
        )
    runs, errors = _core.masks_from_coco(segmentations, height, width)
    return RunLengthMasks(height, width, *runs), errors


def as_flags(value: ArrayLike | None, length: int, name: str, what: str) -> NDArray[np.uint8]:
    """One flag for each mask as the kernels take them; None: all false."""
    if value is None:
        return np.zeros(length, np.uint8)
    flags = as_array(value, name)
    if flags.shape != (length,):
        raise ValueError(
            f"{name} must have one value for each {what} ({length}), got {flags.shape}"
        )
    return np.ascontiguousarray(flags != 0).view(np.uint8)


def _check_same_size(a: RunLengthMasks, b: RunLengthMasks) -> None:
    if a.shape != b.shape:
        raise ValueError(
            f"masks must be of the same image, got the sizes {a.height} x {a.width} "
            f"and {b.height} x {b.width}"
        )


def _offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _shape_of(segmentations: Sequence[Any]) -> tuple[int, int]:
    for segmentation in segmentations:
        if isinstance(segmentation, Mapping) and "size" in segmentation:
            return _checked_shape(segmentation["size"])
    raise ValueError("shape is needed: no segmentation says the size of its image")


def _checked_shape(shape: Any) -> tuple[int, int]:
    try:
        height, width = (operator.index(size) for size in shape)
    except (TypeError, ValueError):
        raise ValueError(f"the image size must be (height, width), got {shape!r}") from None
    return height, width
