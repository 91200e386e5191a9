"""Regions: connected components of every class, or given instances, matched one to one.

On class maps each connected component of a class is a region; a predicted and a target region of
one class match if their IoU is above 0.5 (panoptic quality, Kirillov et al., CVPR 2019). Where
``things`` are named, the other classes are stuff: all their pixels in an image are one region. A
class called "background" has no regions. On instance maps every id is a region of one class, and
there are further scores at IoU thresholds from 0.5 to 0.95, aggregated Jaccard index, and numbers
of regions. Under a plan with a ``boundary_ratio`` regions are also matched by Boundary IoU (Cheng
et al., CVPR 2021), the smaller of their IoU and that of the bands along their outlines.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.boundary import boundary_overlap_table
from segmeter.evaluation.measures._measure import (
    BACKGROUND,
    Maps,
    Measure,
    PlainCounts,
    band_sentence,
    checked_spacing,
)
from segmeter.pixel._counts import nan_mean
from segmeter.region import (
    AggregatedJaccardCounts,
    InstanceCounts,
    OverlapTable,
    PanopticCounts,
    aggregated_jaccard_counts,
    aggregated_jaccard_index,
    instance_counts,
    instance_scores,
    label_components,
    overlap_table,
    panoptic_counts,
    panoptic_quality,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from segmeter.evaluation.plan import Plan

_OBJECT = 1  # the class of instances in a plan of instances, beside the background
_AT = {0: "50", 5: "75"}  # positions in COCO_THRESHOLDS whose scores have names
_SCORES, _NUMBERS = ("pq", "sq", "rq"), ("tp", "fp", "fn")
_BY_BANDS = "boundary_"  # what the names of scores by Boundary IoU begin with


@dataclass(frozen=True, slots=True)
class RegionCounts(PlainCounts):
    """Matched, invented and missed regions of every class.

    Attributes
    ----------
    counts : PanopticCounts
    things : tuple of int, or None
        Classes with separate means.
    by_bands : PanopticCounts or None
        The same as ``counts``, matched by Boundary IoU.
    """

    counts: PanopticCounts
    things: tuple[int, ...] | None
    by_bands: PanopticCounts | None = None

    def __add__(self, other: RegionCounts) -> RegionCounts:
        """Counts of both sets of images."""
        return replace(
            self,
            counts=self.counts + other.counts,
            by_bands=_sum(self.by_bands, other.by_bands),
        )

    def _ways(self) -> dict[str, PanopticCounts]:
        """What the names of scores begin with, and the counts that they are of."""
        return {"": self.counts} | ({} if self.by_bands is None else {_BY_BANDS: self.by_bands})

    def means(self) -> dict[str, NDArray[np.float64]]:
        """PQ, SQ and RQ over classes; where things are named also of things and of stuff."""
        every = np.arange(len(self.counts.tp))
        groups = {"": every}
        if self.things is not None:
            groups["_things"] = np.array(self.things, np.int64)
            groups["_stuff"] = np.setdiff1d(every, self.things)
        qualities = {way: panoptic_quality(counts) for way, counts in self._ways().items()}
        return {
            f"{way}{name}{group}": getattr(quality, name)[members]
            for way, quality in qualities.items()
            for group, members in groups.items()
            for name in _SCORES
        }

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """PQ, SQ, RQ (the F1 score of regions) and matched, invented and missed regions."""
        columns: dict[str, NDArray[Any]] = {}
        for way, counts in self._ways().items():
            quality = panoptic_quality(counts)
            columns |= {f"{way}{name}": getattr(quality, name) for name in _SCORES}
            columns |= {f"{way}{name}": getattr(counts, name) for name in _NUMBERS}
        return columns

    def shown(self) -> dict[str, dict[str, str]]:
        """All columns, in one table for each way of matching."""
        titles = {"": "regions", _BY_BANDS: "by Boundary IoU"}
        names = (*_SCORES, *_NUMBERS)
        return {titles[way]: {f"{way}{name}": name for name in names} for way in self._ways()}

    def image_scores(self) -> dict[str, float]:
        """PQ, SQ and RQ over the classes of the image, and its numbers of regions."""
        scores = {name: float(nan_mean(values)) for name, values in self.means().items()}
        return scores | _numbers(self.counts)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return {
            f"{way}{name}": array
            for way, counts in self._ways().items()
            for name, array in counts.to_arrays().items()
        }


@dataclass(frozen=True, slots=True)
class InstanceRegionCounts(PlainCounts):
    """Instances: panoptic counts of one class, counts at thresholds, aggregated Jaccard.

    Attributes
    ----------
    counts : PanopticCounts
        Of two classes, background (without regions) and objects.
    instances : InstanceCounts
    jaccard : AggregatedJaccardCounts
    by_bands : PanopticCounts or None
    instances_by_bands : InstanceCounts or None
        The same as ``counts`` and ``instances``, matched by Boundary IoU.
    """

    counts: PanopticCounts
    instances: InstanceCounts
    jaccard: AggregatedJaccardCounts
    by_bands: PanopticCounts | None = None
    instances_by_bands: InstanceCounts | None = None

    def __add__(self, other: InstanceRegionCounts) -> InstanceRegionCounts:
        """Counts of both sets of images."""
        return InstanceRegionCounts(
            self.counts + other.counts,
            self.instances + other.instances,
            self.jaccard + other.jaccard,
            _sum(self.by_bands, other.by_bands),
            _sum(self.instances_by_bands, other.instances_by_bands),
        )

    def means(self) -> dict[str, NDArray[np.float64]]:
        """PQ, SQ, RQ, AP and F1 at thresholds and their mean, aggregated Jaccard index."""
        means = _instance_means(self.counts, self.instances)
        means["aji"] = np.array([aggregated_jaccard_index(self.jaccard)], np.float64)
        if self.by_bands is not None and self.instances_by_bands is not None:
            found = _instance_means(self.by_bands, self.instances_by_bands)
            means["mean_boundary_ap"] = found.pop("mean_ap")
            means |= {f"{_BY_BANDS}{name}": values for name, values in found.items()}
        return means

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """The columns of :class:`RegionCounts`."""
        return RegionCounts(self.counts, None, self.by_bands).class_scores()

    def shown(self) -> dict[str, dict[str, str]]:
        """All columns."""
        return RegionCounts(self.counts, None, self.by_bands).shown()

    def image_scores(self) -> dict[str, float]:
        """The scores of :meth:`means`, and the numbers of regions."""
        scores = {name: float(nan_mean(values)) for name, values in self.means().items()}
        return scores | _numbers(self.counts)

    def tables(self) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Counts and scores at every threshold."""
        tables: dict[str, Mapping[str, NDArray[Any]]] = {
            "per_threshold": _threshold_table(self.instances, "threshold")
        }
        if self.instances_by_bands is not None:
            table = _threshold_table(self.instances_by_bands, "boundary_iou_threshold")
            tables["boundary_per_threshold"] = table
        return tables

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        parts: dict[str, Any] = {
            "instances_": self.instances,
            "jaccard_": self.jaccard,
            "boundary_instances_": self.instances_by_bands,
        }
        return RegionCounts(self.counts, None, self.by_bands).to_arrays() | {
            f"{way}{name}": array
            for way, counts in parts.items()
            if counts is not None
            for name, array in counts.to_arrays().items()
        }


def _sum(one: Any, other: Any) -> Any:
    """Sum of counts that both plans make, or neither."""
    return None if one is None else one + other


def _instance_means(
    counts: PanopticCounts, instances: InstanceCounts
) -> dict[str, NDArray[np.float64]]:
    quality, at = panoptic_quality(counts), instance_scores(instances)
    scores = {name: getattr(quality, name)[_OBJECT] for name in _SCORES}
    scores |= {f"ap_{text}": at.accuracy[k] for k, text in _AT.items()}
    scores |= {f"f1_{text}": at.f1[k] for k, text in _AT.items()}
    return {"mean_ap": at.accuracy} | {
        name: np.array([value], np.float64) for name, value in scores.items()
    }


def _threshold_table(counts: InstanceCounts, heading: str) -> dict[str, NDArray[Any]]:
    scores = instance_scores(counts)
    return {
        heading: counts.thresholds,
        "tp": counts.tp,
        "fp": counts.fp,
        "fn": counts.fn,
        "ap": scores.accuracy,
        "f1": scores.f1,
        "precision": scores.precision,
        "recall": scores.recall,
        "mean_matched_iou": scores.mean_matched_score,
    }


def count(maps: Maps, plan: Plan) -> RegionCounts | InstanceRegionCounts:
    """Match the regions of one image."""
    if plan.instances:
        return _of_instances(_overlaps(maps, plan, maps.pred, maps.target))
    return _components(maps, plan)


def _overlaps(
    maps: Maps, plan: Plan, pred: NDArray[Any], target: NDArray[Any], background: int = 0
) -> OverlapTable:
    """Overlaps of ids, and of the bands along their outlines if the plan has any."""
    how: dict[str, Any] = {
        "background": background, "ignore_index": maps.ignored, "threads": maps.threads
    }  # fmt: skip
    if plan.boundary_ratio is None:
        return overlap_table(pred, target, **how)
    return boundary_overlap_table(
        pred,
        target,
        width=plan.boundary_ratio,
        spacing=checked_spacing(maps, plan),
        ignored="unknown",
        **how,
    )


def _ways(table: OverlapTable) -> tuple[OverlapTable, OverlapTable | None]:
    """A table whose IoU is that of regions, and the one whose IoU is that of bands, too."""
    if type(table) is OverlapTable:
        return table, None
    whole = {part.name: getattr(table, part.name) for part in fields(OverlapTable)}
    return OverlapTable(**whole), table


def _region_counts(table: OverlapTable, plan: Plan) -> RegionCounts:
    whole, by_bands = _ways(table)
    return RegionCounts(
        panoptic_counts(whole, num_classes=plan.num_classes),
        plan.things,
        None if by_bands is None else panoptic_counts(by_bands, num_classes=plan.num_classes),
    )


def _of_instances(table: OverlapTable) -> InstanceRegionCounts:
    objects = replace(
        table,
        pred_class=np.full(table.num_pred, _OBJECT),
        target_class=np.full(table.num_target, _OBJECT),
    )
    whole, by_bands = _ways(objects)
    classes = _OBJECT + 1
    return InstanceRegionCounts(
        panoptic_counts(whole, num_classes=classes),
        instance_counts(whole),
        aggregated_jaccard_counts(whole),
        None if by_bands is None else panoptic_counts(by_bands, num_classes=classes),
        None if by_bands is None else instance_counts(by_bands),
    )


def _components(maps: Maps, plan: Plan) -> RegionCounts:
    """Components of the classes that are countable, and whole classes of the others."""
    every = {k for k, name in enumerate(plan.class_names) if name != BACKGROUND}
    if plan.binary:
        every.discard(0)
    things = every if plan.things is None else every & set(plan.things)
    counts = _region_counts(_component_table(maps, things, plan), plan)
    if every == things:
        return counts
    return counts + _region_counts(_class_table(maps, every - things, plan), plan)


def _component_table(maps: Maps, classes: set[int], plan: Plan) -> OverlapTable:
    """Overlaps of the connected components of some classes."""
    pred, target = (
        label_components(
            _restricted(labels, classes, plan.num_classes),
            connectivity=plan.connectivity,
            background=plan.num_classes,
            threads=maps.threads,
        )
        for labels in (maps.pred, maps.target)
    )
    if plan.boundary_ratio is None:  # regions as runs do; bands need maps
        return overlap_table(pred, target, ignore_index=maps.ignored, threads=maps.threads)
    table = _overlaps(
        maps, plan, pred.labels(threads=maps.threads), target.labels(threads=maps.threads)
    )
    return replace(
        table,
        pred_class=pred.value[np.searchsorted(pred.id, table.pred_id)],
        target_class=target.value[np.searchsorted(target.id, table.target_id)],
    )


def _class_table(maps: Maps, classes: set[int], plan: Plan) -> OverlapTable:
    """Overlaps of whole classes."""
    none = plan.num_classes
    pred, target = (_restricted(labels, classes, none) for labels in (maps.pred, maps.target))
    table = _overlaps(maps, plan, pred, target, background=none)
    return replace(table, pred_class=table.pred_id, target_class=table.target_id)


def _restricted(labels: NDArray[Any], classes: set[int], none: int) -> NDArray[Any]:
    """Labels of some classes; all others become none."""
    table = np.full(none + 1, none, labels.dtype)
    chosen = sorted(classes)
    table[chosen] = chosen
    restricted: NDArray[Any] = table[labels]
    return restricted


def _numbers(counts: PanopticCounts) -> dict[str, float]:
    return {f"region_{name}": int(getattr(counts, name).sum()) for name in ("tp", "fp", "fn")}


def empty(plan: Plan) -> RegionCounts | InstanceRegionCounts:
    """Counts of no image."""
    none = np.zeros((0, 0), np.uint8)
    table = overlap_table(none, none)
    if plan.boundary_ratio is not None:
        table = boundary_overlap_table(none, none)
    return _of_instances(table) if plan.instances else _region_counts(table, plan)


def sentences(plan: Plan) -> Iterator[str]:
    """How regions are made and matched, in words."""
    if plan.instances:
        yield (
            "regions: every id but 0 is an object; matched at IoU above 0.5 for PQ, at thresholds "
            "or above for AP = TP / (TP + FP + FN) and F1"
        )
        yield from _band_sentence(plan)
        return
    neighbours = "all" if plan.connectivity is None else str(plan.connectivity)
    if plan.things is None:
        what = "connected components of every class"
    else:
        names = ", ".join(plan.class_names[k] for k in plan.things) or "no class"
        what = f"connected components of {names}; other classes are one region per image"
    if plan.binary or BACKGROUND in plan.class_names:
        what += "; the background has none"
    elif plan.things is None:
        what += ", the first too, as it is not called background"
    yield f"regions: {what} ({neighbours} neighbours); matched at IoU above 0.5"
    yield from _band_sentence(plan)


def _band_sentence(plan: Plan) -> Iterator[str]:
    if plan.boundary_ratio is not None:
        yield band_sentence(plan.boundary_ratio)


MEASURE = Measure(
    name="region",
    count=count,
    empty=empty,
    sentences=sentences,
    by_instance=True,
)
