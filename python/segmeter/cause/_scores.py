"""Scores of causes: how much each costs, and what its repair would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .._counts import require_counts
from ..pixel._counts import Absent, check_choice, nan_mean, ratio, resolve
from ._counts import CauseCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Side = Literal["both", "fp", "fn"]

CAUSES = ("boundary", "extent", "segment")


def _errors(counts: CauseCounts, cause: str, side: Side = "both") -> IntArray:
    sides = ("fp", "fn") if side == "both" else (side,)
    return np.asarray(sum(getattr(counts, f"{name}_{cause}") for name in sides))


def cause_shares(
    counts: CauseCounts, *, side: Side = "both", absent: Absent = "nan"
) -> dict[str, FloatArray]:
    """Share of each cause in the union of each class; with the IoU they add up to 1.

    Parameters
    ----------
    counts : CauseCounts
        From :func:`segmeter.error_causes`.
    side : {"both", "fp", "fn"}, default "both"
        All errors of the class, or only its false positives or false negatives.
    absent : {"nan", "zero", "one", "raise"}, default "nan"
        Value of a class without a pixel in either map.

    Returns
    -------
    dict of str to numpy.ndarray
        ``"boundary"``, ``"extent"`` and ``"segment"``, each float64 of shape ``(C,)`` in [0, 1].

    Raises
    ------
    ValueError
        If an option is unknown, or a class is absent under ``absent="raise"``.

    Notes
    -----
    Definition and source: Bernhard et al., WACV 2024: the pixels of a cause over TP + FP + FN.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.error_causes(
    ...     [[1, 1, 1, 0, 0, 1]], [[1, 1, 0, 0, 0, 0]], num_classes=2, width_pixels=1
    ... )
    >>> {cause: share.round(2).tolist() for cause, share in cause_shares(counts).items()}
    {'boundary': [0.25, 0.25], 'extent': [0.25, 0.0], 'segment': [0.0, 0.25]}
    """
    require_counts(counts, CauseCounts, "error_causes")
    check_choice("side", side, get_args(Side))
    union = counts.union
    return {
        cause: resolve(
            ratio(_errors(counts, cause, side), union), union == 0, absent, f"{cause} share"
        )
        for cause in CAUSES
    }


def renormed_causes(counts: CauseCounts, *, absent: Absent = "nan") -> dict[str, FloatArray]:
    """Share of IoU that each cause costs once all finer ones are out of the way.

    Parameters
    ----------
    counts : CauseCounts
        From :func:`segmeter.error_causes`.
    absent : {"nan", "zero", "one", "raise"}, default "nan"
        Value where the denominator is 0: there is nothing that the cause could be a share of.

    Returns
    -------
    dict of str to numpy.ndarray
        ``"boundary"``, ``"extent"`` and ``"segment"``, each float64 of shape ``(C,)`` in [0, 1].

    Raises
    ------
    ValueError
        If an option is unknown, or a value is undefined under ``absent="raise"``.

    Notes
    -----
    Definition and source: Bernhard et al., WACV 2024. With B, E and S the errors of each cause:
    ``B / (TP + B)``, ``E / (TP + B + E)`` and ``S / (TP + B + E + S)``. The plain share of
    boundary errors looks small in a class that is mostly missed; this one does not.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.error_causes(
    ...     [[1, 1, 1, 0, 0, 1]], [[1, 1, 0, 0, 0, 0]], num_classes=2, width_pixels=1
    ... )
    >>> {cause: share.round(2).tolist() for cause, share in renormed_causes(counts).items()}
    {'boundary': [0.33, 0.33], 'extent': [0.25, 0.0], 'segment': [0.0, 0.25]}
    """
    require_counts(counts, CauseCounts, "error_causes")
    within = counts.tp
    shares = {}
    for cause in CAUSES:
        errors = _errors(counts, cause)
        within = within + errors
        shares[cause] = resolve(
            ratio(errors, within), within == 0, absent, f"renormed {cause} share"
        )
    return shares


def repaired_scores(
    counts: CauseCounts, *, cumulative: bool = False, absent: Absent = "nan"
) -> dict[str, dict[str, Any]]:
    """IoU and Dice as they are, and as they would be with the errors of each cause repaired.

    Parameters
    ----------
    counts : CauseCounts
        From :func:`segmeter.error_causes`.
    cumulative : bool, default False
        Repair boundary errors, then extent errors too, then all, instead of one cause at a time.
    absent : {"nan", "zero", "one", "raise"}, default "nan"
        Value of a class without a pixel in either map. Classes of NaN are left out of the means.

    Returns
    -------
    dict of str to dict
        Keys ``"none"``, ``"boundary"``, ``"extent"``, ``"segment"``: what is repaired. Each holds
        ``"iou"`` and ``"dice"``, float64 of shape ``(C,)``, and ``"mean_iou"`` and
        ``"mean_dice"``, floats.

    Raises
    ------
    ValueError
        If an option is unknown, or a class is absent under ``absent="raise"``.

    Notes
    -----
    Repaired, a false negative is a true positive and a false positive is gone. The classes are
    repaired each by itself. A class that is in ``pred`` only and wholly repaired is right, score 1.

    Examples
    --------
    >>> import segmeter
    >>> counts = segmeter.error_causes(
    ...     [[1, 1, 1, 0, 0, 1]], [[1, 1, 0, 0, 0, 0]], num_classes=2, width_pixels=1
    ... )
    >>> scores = repaired_scores(counts)
    >>> {repaired: round(score["mean_iou"], 3) for repaired, score in scores.items()}
    {'none': 0.5, 'boundary': 0.708, 'extent': 0.625, 'segment': 0.583}
    """
    require_counts(counts, CauseCounts, "error_causes")
    empty = counts.union == 0
    scores = {"none": _overlap_scores(counts.tp, counts.fp, counts.fn, empty, absent)}
    tp, fp, fn = counts.tp, counts.fp, counts.fn
    for cause in CAUSES:
        if not cumulative:
            tp, fp, fn = counts.tp, counts.fp, counts.fn
        found = _errors(counts, cause, "fn")
        tp, fp, fn = tp + found, fp - _errors(counts, cause, "fp"), fn - found
        scores[cause] = _overlap_scores(tp, fp, fn, empty, absent)
    return scores


def _overlap_scores(
    tp: IntArray, fp: IntArray, fn: IntArray, absent_class: NDArray[np.bool_], absent: Absent
) -> dict[str, Any]:
    union = tp + fp + fn
    is_right = (union == 0) & ~absent_class
    scores: dict[str, Any] = {}
    for name, hits, size in (("iou", tp, union), ("dice", 2 * tp, union + tp)):
        values = np.where(is_right, 1.0, ratio(hits, size))
        scores[name] = resolve(values, absent_class, absent, name)
        scores[f"mean_{name}"] = float(nan_mean(scores[name]))
    return scores
