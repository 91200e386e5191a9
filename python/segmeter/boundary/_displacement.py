"""How far boundaries are displaced, by bands of distance: few points far off, or many a little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .._counts import require_counts
from ..region._mergeable import MergeableCounts
from ._checks import one_of, positive_number
from ._presets import surface_rules
from ._scores import measured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from ._presets import SurfaceRules
    from ._scores import SurfaceOptions

FloatArray = NDArray[np.float64]

DisplacementDirection = Literal["both", "pred_to_target", "target_to_pred"]


@dataclass(frozen=True, eq=False)
class DisplacementCounts(MergeableCounts):
    """Surface and displacement in each band of distances, per class; counts of cases add up.

    Attributes
    ----------
    upper : (B,) float64
        Upper end of each band, which belongs to it; the last one is ``inf``.
    weight : (K, 2, B) float64
        Area of the surface (points, where they are counted) whose distance to the other surface
        lies in the band: of the predicted surface, and of the target's.
    distance : (K, 2, B) float64
        Sum of weight times distance of these; ``inf`` where there is no other surface.
    """

    common_fields: ClassVar[tuple[str, ...]] = ("upper",)

    upper: FloatArray
    weight: FloatArray
    distance: FloatArray


class BoundaryDisplacement(NamedTuple):
    """Share of the surface and mean displacement in each band of distances.

    Attributes
    ----------
    upper : (B,) float64
        Upper end of each band.
    share : (K, B) float64
        Share of the surface in the band; NaN without a surface.
    mean : (K, B) float64
        Mean distance of what is in the band; NaN where nothing is.
    mean_up_to : (K, B) float64
        Mean distance of what is in this band and those before.
    """

    upper: FloatArray
    share: FloatArray
    mean: FloatArray
    mean_up_to: FloatArray


def displacement_counts(
    pred: Any,
    target: Any = None,
    *,
    bands: Sequence[float] = (1.0, 2.0, 5.0, 10.0),
    preset: str | SurfaceRules | None = None,
    **options: Unpack[SurfaceOptions],
) -> DisplacementCounts:
    """Sum up surfaces and their distances by bands of distance.

    Parameters
    ----------
    pred : array_like of bool or int, 2-D or 3-D, or SurfaceDistances
        Predicted mask or label map; or distances measured before, without ``target``.
    target : array_like of bool or int, of the same shape
    bands : sequence of float, default (1, 2, 5, 10)
        Where one band ends, and the next begins, in the unit of ``spacing``: ascending, above 0.
        There is one band more, of everything beyond the last.
    preset : str or SurfaceRules, optional
        Whose surfaces and weights; see :data:`SURFACE_PRESETS`.
    **options
        As in :func:`surface_distances`.

    Returns
    -------
    DisplacementCounts
        K classes; 1 for masks.

    Raises
    ------
    ValueError
        If bands are not ascending, or an option is out of its range.
    TypeError
        If ``target`` is missing, or comes with distances measured before.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((20, 20), bool)
    >>> target[5:15, 5:15] = True
    >>> pred = target.copy()
    >>> pred[5:15, 15:18] = True
    >>> counts = segmeter.displacement_counts(pred, target, bands=[1, 2], preset="monai")
    >>> counts.weight[0, 0], counts.distance[0, 0]
    (array([30.,  2., 10.]), array([ 2.,  4., 30.]))
    """
    ends = [positive_number(end, "bands") for end in np.atleast_1d(bands).tolist()]
    if not ends or ends != sorted(set(ends)):
        raise ValueError(f"bands must be ascending distances, at least one, got {bands!r}")
    rules = surface_rules(preset)
    distances = measured(pred, target, preset, rules, options)
    upper = np.array([*ends, np.inf])
    weight = np.zeros((len(distances), 2, len(upper)))
    total = np.zeros_like(weight)
    for k, found in enumerate(distances.values()):
        for side, (part, own) in enumerate(
            (
                (found.pred_to_target, found.pred_weight),
                (found.target_to_pred, found.target_weight),
            )
        ):
            band = np.searchsorted(upper, part)
            weight[k, side] = np.bincount(band, own, len(upper))
            total[k, side] = np.bincount(band, own * part, len(upper))
    return DisplacementCounts(upper, weight, total)


def boundary_displacement(
    counts: DisplacementCounts, *, direction: DisplacementDirection = "both"
) -> BoundaryDisplacement:
    """Share of the surface, and its mean displacement, in each band of distances.

    A few points far off and many points a little off give the same mean distance; here they differ.

    Parameters
    ----------
    counts : DisplacementCounts
        Of one case, or summed.
    direction : {"both", "pred_to_target", "target_to_pred"}, default "both"
        Whose points: of both surfaces, of the predicted, or of the target's.

    Returns
    -------
    BoundaryDisplacement
        The mean up to the last band is the average symmetric surface distance (of one direction:
        the average surface distance).

    Raises
    ------
    ValueError
        If the direction is unknown.

    Examples
    --------
    >>> import segmeter
    >>> target = np.zeros((20, 20), bool)
    >>> target[5:15, 5:15] = True
    >>> pred = target.copy()
    >>> pred[5:15, 15:18] = True
    >>> counts = segmeter.displacement_counts(pred, target, bands=[1, 2], preset="monai")
    >>> found = boundary_displacement(counts, direction="pred_to_target")
    >>> found.share.round(3), found.mean.round(3)
    (array([[0.714, 0.048, 0.238]]), array([[0.067, 2.   , 3.   ]]))
    """
    require_counts(counts, DisplacementCounts, "displacement_counts")
    one_of(direction, "direction", get_args(DisplacementDirection))
    sides = {"both": [0, 1], "pred_to_target": [0], "target_to_pred": [1]}[direction]
    weight, distance = (part[:, sides].sum(axis=1) for part in (counts.weight, counts.distance))
    with np.errstate(invalid="ignore"):
        return BoundaryDisplacement(
            counts.upper,
            weight / weight.sum(axis=1, keepdims=True),
            distance / np.where(weight > 0, weight, np.nan),
            distance.cumsum(axis=1) / np.where(weight > 0, weight, 0).cumsum(axis=1),
        )
