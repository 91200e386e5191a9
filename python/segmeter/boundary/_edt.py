"""Exact Euclidean distance transform of masks and label maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from .. import _core
from .._arrays import as_array, packed, thread_limit
from ._checks import one_of, spacing_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IndexArray = NDArray[np.int32]


@overload
def distance_transform(
    mask: ArrayLike,
    *,
    spacing: Sequence[float] | None = ...,
    labels: bool = ...,
    border: Literal["ignore", "background"] = ...,
    squared: bool = ...,
    return_indices: Literal[False] = ...,
    signed: bool = ...,
    threads: int = ...,
) -> FloatArray: ...
@overload
def distance_transform(
    mask: ArrayLike,
    *,
    spacing: Sequence[float] | None = ...,
    labels: bool = ...,
    border: Literal["ignore", "background"] = ...,
    squared: bool = ...,
    return_indices: Literal[True],
    signed: bool = ...,
    threads: int = ...,
) -> tuple[FloatArray, IndexArray]: ...
def distance_transform(
    mask: ArrayLike,
    *,
    spacing: Sequence[float] | None = None,
    labels: bool = False,
    border: Literal["ignore", "background"] = "ignore",
    squared: bool = False,
    return_indices: bool = False,
    signed: bool = False,
    threads: int = 0,
) -> FloatArray | tuple[FloatArray, IndexArray]:
    """Distance of every pixel of a mask to the nearest pixel outside of it, exactly.

    Parameters
    ----------
    mask : array_like of int or bool
        2-D or 3-D mask (what is not 0) or, with ``labels``, label map. Any integer type and byte
        order; an array that is not contiguous is copied.
    spacing : sequence of float, optional
        Distance of neighbouring pixels along each axis, in array-axis order; left out, 1.
    labels : bool, default False
        Tell the labels apart: the distance of a pixel is that to the nearest pixel of another
        label, all labels in one pass.
    border : {"ignore", "background"}, default "ignore"
        What lies beyond the image. ``"ignore"``: nobody knows, only pixels of the image count.
        ``"background"``: pixels that are not of the mask (of label 0).
    squared : bool, default False
        Squared distances, without the root and its rounding.
    return_indices : bool, default False
        Also the coordinates of the nearest pixel. Not with ``border="background"``, where that
        may be no pixel of the image.
    signed : bool, default False
        Pixels outside of the mask (of label 0) get their distance to the nearest pixel inside (of
        another label) in place of 0, and those inside become negative. With ``squared``, the sign
        is that of the distance.
    threads : int, default 0
        Number of threads; 0 chooses by size of the input and the machine's limits. The result
        does not depend on it.

    Returns
    -------
    distance : numpy.ndarray of float64
        In the unit of the spacing, shaped like ``mask``. Pixels that are not of the mask have 0
        (unless ``signed``); where there is no pixel to measure to, it is ``inf`` (``-inf`` inside
        with ``signed``).
    indices : numpy.ndarray of int32, of shape ``(ndim, *mask.shape)``
        Coordinates of the nearest pixel, -1 where there is none; only with ``return_indices``. A
        pixel with distance 0 is its own nearest.

    Raises
    ------
    ValueError
        ``mask`` is neither 2-D nor 3-D; a spacing that is not one finite number above 0 per axis;
        an option outside its range; ``return_indices`` with ``border="background"``.
    TypeError
        ``mask`` does not hold integers, or an option is of the wrong type.

    Notes
    -----
    Distances are between centres of pixels: the first pixel inside of a mask has the distance of
    one step, and ``signed`` has no zero. A squared distance is the smallest of
    ``((dz*sz)**2 + (dy*sy)**2) + (dx*sx)**2`` over all pixels in question, in float64, rounded
    after each operation, in 2-D of the two terms: bit for bit, on every machine. Of several nearest
    pixels the one with the smallest last coordinate is taken, then with the smallest one before
    it, and so on; equal is what is equal as rounded after each axis.

    Definition and source: the transform by one axis after another of Felzenszwalb and
    Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8 (2012), with the
    lower envelope found by halving the line (its nearest entries never go back). Equals
    ``scipy.ndimage.distance_transform_edt``, which of two distances that differ in the last bit may
    take the larger; ``labels`` is the definition of the package ``edt``, ``border="background"``
    its ``black_border``. ``signed`` has the sign of a level set, as
    Kervadec et al., "Boundary loss for highly unbalanced segmentation", MIDL 2019, use it, which
    take one step off the distance inside.

    Examples
    --------
    >>> import segmeter
    >>> segmeter.distance_transform([[0, 1, 1, 1]], spacing=(1, 0.5))
    array([[0. , 0.5, 1. , 1.5]])
    >>> segmeter.distance_transform([[0, 7, 7, 5]], labels=True)
    array([[0., 1., 1., 1.]])
    >>> segmeter.distance_transform([[0, 0, 1, 1]], signed=True)
    array([[ 2.,  1., -1., -2.]])
    >>> distance, indices = segmeter.distance_transform([[1, 0], [1, 1]], return_indices=True)
    >>> indices[:, 1, 0], distance[1, 0] == 2**0.5
    (array([0, 1], dtype=int32), np.True_)
    """
    array = as_array(mask, "mask")
    if array.dtype.kind not in "biu":
        raise TypeError(
            f"mask must hold integers or bools, got {array.dtype}; cut scores at a threshold"
        )
    if array.ndim not in (2, 3):
        raise ValueError(
            f"mask must be 2-D or 3-D, got shape {array.shape}; measure the images of a batch one "
            "by one"
        )
    steps = spacing_of(spacing, array.ndim)
    one_of(border, "border", ("ignore", "background"))
    options = {
        "labels": labels, "squared": squared, "return_indices": return_indices, "signed": signed
    }  # fmt: skip
    for name, value in options.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be True or False, got {value!r}")
    if return_indices and border == "background":
        raise ValueError(
            "return_indices needs border='ignore': the nearest pixel may lie beyond the image; "
            "pad the mask with 0 in place of border='background'"
        )
    if not labels and array.dtype != np.bool_:
        array = array != 0
    distance, indices = _core.distance_transform(
        packed(array), steps,
        is_mask=array.dtype == np.bool_ and not signed,
        zero_is_background=not signed, border_is_background=border == "background",
        squared=bool(squared), negate_labels=bool(signed), with_nearest=bool(return_indices),
        threads=thread_limit(threads),
    )  # fmt: skip
    return distance if indices is None else (distance, indices)
