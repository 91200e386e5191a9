"""Region facts: what happened to each connected region, and to the wrong pixels in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .. import _core
from .._arrays import is_list_of_arrays
from ..pixel._matrix import check_labels, mask_of, rules_of
from ..region._overlap import OverlapTable
from ._causes import _label_maps, _paired
from ._counts import PerClassCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ..pixel._matrix import Labels, OutOfRange, Rules

    IntArray = NDArray[np.int64]


class RegionFact(IntEnum):
    """What happened to a region: the columns of :class:`RegionFacts`.

    Examples
    --------
    >>> RegionFact(3).name
    'SPLIT'
    """

    SHAPE = 0
    """Found, one region for one; its wrong pixels are errors of shape."""
    LOST = 1
    """A target region that is missed, or a predicted region that is invented."""
    WRONG_CLASS = 2
    """Found by position, but named wrongly."""
    SPLIT = 3
    """One target region is covered by several predicted ones."""
    MERGE = 4
    """Several target regions are covered by one predicted one."""


@dataclass(frozen=True, eq=False)
class RegionFacts(PerClassCounts):
    """Regions of each class by fact, and their wrong pixels; from :func:`segmeter.region_facts`.

    All arrays are int64 of shape ``(C, 5)``, columns by :class:`segmeter.RegionFact`. Facts of
    several images add up.

    Attributes
    ----------
    target_regions : numpy.ndarray
        Connected regions of each class in ``target``.
    pred_regions : numpy.ndarray
        The same in ``pred``; regions that lie on ignored pixels altogether are left out.
    false_negatives : numpy.ndarray
        Wrong pixels of each class, by the fact of their target region.
    false_positives : numpy.ndarray
        Pixels wrongly predicted as each class, by the fact of their predicted region.

    Examples
    --------
    >>> import segmeter
    >>> facts = segmeter.region_facts([[0, 1, 0, 0, 1]], [[0, 1, 0, 0, 0]], num_classes=2)
    >>> facts.invented, (facts + facts).invented
    (array([0, 1]), array([0, 2]))
    """

    target_regions: IntArray
    pred_regions: IntArray
    false_negatives: IntArray
    false_positives: IntArray

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.target_regions)

    @property
    def missed(self) -> IntArray:
        """Missed target regions of each class."""
        return self.target_regions[:, RegionFact.LOST]

    @property
    def invented(self) -> IntArray:
        """Invented predicted regions of each class."""
        return self.pred_regions[:, RegionFact.LOST]

    @property
    def wrong_class(self) -> IntArray:
        """Target regions of each class that are found, but named as another class."""
        return self.target_regions[:, RegionFact.WRONG_CLASS]

    @property
    def split(self) -> IntArray:
        """Target regions of each class that are covered by several predicted ones."""
        return self.target_regions[:, RegionFact.SPLIT]

    @property
    def merge(self) -> IntArray:
        """Predicted regions of each class that cover several target ones."""
        return self.pred_regions[:, RegionFact.MERGE]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Facts from :meth:`to_arrays`.

        Raises
        ------
        ValueError
            If an array is missing, of another shape, or holds no counts.
        """
        facts = {}
        for name in (field.name for field in fields(cls)):
            if name not in arrays:
                raise ValueError(f"arrays lacks {name}")
            array = np.asarray(arrays[name])
            shape = (len(np.asarray(arrays["target_regions"])), len(RegionFact))
            if array.dtype.kind not in "iu" or array.shape != shape or (array < 0).any():
                raise ValueError(
                    f"{name} must hold counts of shape {shape}, got shape {array.shape} of "
                    f"{array.dtype}"
                )
            facts[name] = array.astype(np.int64)
        return cls(**facts)


def region_facts(
    pred: ArrayLike | Sequence[ArrayLike],
    target: ArrayLike | Sequence[ArrayLike],
    *,
    num_classes: int,
    threshold: float = 0.5,
    ignore_index: int | Sequence[int] | ArrayLike | None = None,
    labels: Labels | None = None,
    pred_labels: Labels | None = None,
    reduce_zero_label: bool = False,
    out_of_range: OutOfRange = "raise",
    threads: int = 0,
) -> RegionFacts:
    """Say of each connected region whether it is missed, invented, misnamed, split or merged.

    Parameters
    ----------
    pred, target : array_like of int or bool, or lists of such maps
        Label maps of equal shape, 2-D or 3-D each; a batch is a list.
    num_classes : int
        Number of classes C, 1 to 65,536. Every class has regions, background too.
    threshold : float, default 0.5
        Share of a region that must be covered, at least 0, below 1. At 0 every common pixel counts.
    ignore_index, labels, pred_labels, reduce_zero_label, out_of_range : optional
        As in :func:`segmeter.error_causes`.
    threads : int, default 0
        Number of threads; 0 chooses. The result does not depend on it.

    Returns
    -------
    RegionFacts
        Counts of regions and of their wrong pixels; of a list of maps, their sum.

    Raises
    ------
    ValueError
        Shapes differ or are not 2-D or 3-D; labels out of range; an argument outside its range.
    TypeError
        Labels are not integers, or an argument is of the wrong type.

    Notes
    -----
    Definition: regions are the connected pieces of a class (8 or 26 neighbours). A target and a
    predicted region of the same class are *linked* if they share more than ``threshold`` of the
    smaller of the two. They *coincide* if they share more than ``threshold`` of both, whatever
    their classes. Ignored pixels are left out of sizes. Each region has exactly one fact, the first
    that applies:

    ====================================  ===================================  ===============
    a target region                       a predicted region                   fact
    ====================================  ===================================  ===============
    without link, coincides with one of   likewise                             WRONG_CLASS
    another class
    without link                          without link                         LOST
    has several links                     its only link is a target region     SPLIT
                                          with several links
    its only link is a predicted region   has several links                    MERGE
    with several links
    any other                             any other                            SHAPE
    ====================================  ===================================  ===============

    With several links on both ends, a target region is SPLIT and a predicted region MERGE. A wrong
    pixel has the fact of its target region as a false negative and that of its predicted region as
    a false positive. Splitting and merging after Hoover et al., "An Experimental Comparison of
    Range Image Segmentation Algorithms", TPAMI 1996, without its demand that links cover the whole.

    Examples
    --------
    >>> import segmeter
    >>> target = [[0, 1, 1, 1, 1, 0, 2, 2, 0]]
    >>> pred = [[0, 1, 1, 0, 1, 0, 1, 1, 0]]
    >>> facts = segmeter.region_facts(pred, target, num_classes=3)
    >>> facts.split, facts.wrong_class
    (array([0, 1, 0]), array([0, 0, 1]))
    """
    rules = rules_of(
        num_classes, ignore_index, labels, pred_labels, reduce_zero_label,
        out_of_range, True, threads,
    )  # fmt: skip
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.number)):
        raise TypeError(f"threshold must be a number, got {threshold!r}")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must be at least 0 and below 1, got {threshold}")
    mask = mask_of(ignore_index)

    def measure(one_pred: Any, one_target: Any, one_mask: Any) -> RegionFacts:
        table = _segment_table(one_pred, one_target, one_mask, rules)
        return facts_of_table(table, rules.num_classes, float(threshold))

    if not is_list_of_arrays(target):
        return measure(pred, target, mask)
    found = _paired(measure, pred, target, mask)
    return sum(found[1:], start=found[0])


def _segment_table(pred: Any, target: Any, mask: Any, rules: Rules) -> OverlapTable:
    """The overlap table of the connected segments of all classes."""
    pred, target, mask = _label_maps(pred, target, mask)
    ignores_invalid = rules.out_of_range == "ignore"
    pred_side, target_side, pairs, num_ignored, pred_class, target_class, odd = (
        _core.segment_overlap(rules.native, pred, target, mask, ignores_invalid)
    )
    if any(odd):
        check_labels(pred, target, mask, rules, odd)
    return OverlapTable(
        pred_id=pred_side[0].astype(np.int64), pred_area=pred_side[1], pred_void=pred_side[2],
        target_id=target_side[0].astype(np.int64), target_area=target_side[1],
        target_void=target_side[2], pred_class=pred_class, target_class=target_class,
        pred_index=pairs[0], target_index=pairs[1], intersection=pairs[2],
        num_pixels=target.size, num_ignored=num_ignored,
    )  # fmt: skip


def facts_of_table(table: OverlapTable, num_classes: int, threshold: float) -> RegionFacts:
    """Facts of the regions of a table whose regions have classes; see :func:`region_facts`."""
    pred, target, shared = table.pred_index, table.target_index, table.intersection
    pred_area, target_area = table.pred_counted_area, table.target_counted_area
    same = table.pred_class[pred] == table.target_class[target]
    linked = same & (shared > threshold * np.minimum(pred_area[pred], target_area[target]))
    coincide = ~same & (shared > threshold * np.maximum(pred_area[pred], target_area[target]))
    pred_links = _sum_at(pred, linked, len(pred_area))
    target_links = _sum_at(target, linked, len(target_area))

    def facts(
        index: IntArray, links: IntArray, partner_links: IntArray, order: tuple[RegionFact, ...]
    ) -> IntArray:
        partners = np.zeros(len(links), np.int64)
        np.maximum.at(partners, index[linked], partner_links[linked])
        misnamed = _sum_at(index, coincide, len(links)) > 0
        chosen = np.select(
            [(links == 0) & misnamed, links == 0, links > 1, partners > 1], order, RegionFact.SHAPE
        )
        return np.asarray(chosen, np.int64)

    wrong, lost, split, merge = (
        RegionFact.WRONG_CLASS, RegionFact.LOST, RegionFact.SPLIT, RegionFact.MERGE,
    )  # fmt: skip
    target_fact = facts(target, target_links, pred_links[pred], (wrong, lost, split, merge))
    pred_fact = facts(pred, pred_links, target_links[target], (wrong, lost, merge, split))
    hits = np.where(same, shared, 0)
    return RegionFacts(
        target_regions=_tally(table.target_class, target_fact, target_area > 0, num_classes),
        pred_regions=_tally(table.pred_class, pred_fact, pred_area > 0, num_classes),
        false_negatives=_tally(
            table.target_class, target_fact,
            target_area - _sum_at(target, hits, len(target_area)), num_classes,
        ),
        false_positives=_tally(
            table.pred_class, pred_fact,
            pred_area - _sum_at(pred, hits, len(pred_area)), num_classes,
        ),
    )  # fmt: skip


def _sum_at(index: IntArray, weight: NDArray[Any], regions: int) -> IntArray:
    sums = np.zeros(regions, np.int64)
    np.add.at(sums, index, weight)
    return sums


def _tally(classes: IntArray, fact: IntArray, weight: NDArray[Any], num_classes: int) -> IntArray:
    cells = _sum_at(classes * len(RegionFact) + fact, weight, num_classes * len(RegionFact))
    return cells.reshape(num_classes, len(RegionFact))
