"""Regions: connected components of every class, or given instances, matched one to one.

On class maps each connected component of a class is a region; a predicted and a target region of
one class match if their IoU is above 0.5 (panoptic quality, Kirillov et al., CVPR 2019). Where
``things`` are named, the other classes are stuff: all their pixels in an image are one region. A
class called "background" has no regions. On instance maps every id is a region of one class, and
there are further scores at IoU thresholds from 0.5 to 0.95, aggregated Jaccard index, and numbers
of regions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.evaluation.measures._measure import BACKGROUND, Maps, Measure, PlainCounts
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


@dataclass(frozen=True, slots=True)
class RegionCounts(PlainCounts):
    """Matched, invented and missed regions of every class.

    Attributes
    ----------
    counts : PanopticCounts
    things : tuple of int, or None
        Classes with separate means.
    """

    counts: PanopticCounts
    things: tuple[int, ...] | None

    def __add__(self, other: RegionCounts) -> RegionCounts:
        """Counts of both sets of images."""
        return replace(self, counts=self.counts + other.counts)

    def means(self) -> dict[str, NDArray[np.float64]]:
        """PQ, SQ and RQ over classes; where things are named also of things and of stuff."""
        quality = panoptic_quality(self.counts)
        every = np.arange(len(self.counts.tp))
        groups = {"": every}
        if self.things is not None:
            groups["_things"] = np.array(self.things, np.int64)
            groups["_stuff"] = np.setdiff1d(every, self.things)
        return {
            f"{name}{group}": getattr(quality, name)[members]
            for group, members in groups.items()
            for name in ("pq", "sq", "rq")
        }

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """PQ, SQ, RQ (the F1 score of regions) and matched, invented and missed regions."""
        quality, counts = panoptic_quality(self.counts), self.counts
        scores = {"pq": quality.pq, "sq": quality.sq, "rq": quality.rq}
        return {**scores, "tp": counts.tp, "fp": counts.fp, "fn": counts.fn}

    def shown(self) -> dict[str, dict[str, str]]:
        """All columns."""
        return {"regions": {name: name for name in ("pq", "sq", "rq", "tp", "fp", "fn")}}

    def image_scores(self) -> dict[str, float]:
        """PQ, SQ and RQ over the classes of the image, and its numbers of regions."""
        scores = {name: float(nan_mean(values)) for name, values in self.means().items()}
        return scores | _numbers(self.counts)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        return self.counts.to_arrays()


@dataclass(frozen=True, slots=True)
class InstanceRegionCounts(PlainCounts):
    """Instances: panoptic counts of one class, counts at thresholds, aggregated Jaccard.

    Attributes
    ----------
    counts : PanopticCounts
        Of two classes, background (without regions) and objects.
    instances : InstanceCounts
    jaccard : AggregatedJaccardCounts
    """

    counts: PanopticCounts
    instances: InstanceCounts
    jaccard: AggregatedJaccardCounts

    def __add__(self, other: InstanceRegionCounts) -> InstanceRegionCounts:
        """Counts of both sets of images."""
        return InstanceRegionCounts(
            self.counts + other.counts,
            self.instances + other.instances,
            self.jaccard + other.jaccard,
        )

    def means(self) -> dict[str, NDArray[np.float64]]:
        """PQ, SQ, RQ, AP and F1 at thresholds and their mean, aggregated Jaccard index."""
        quality, at = panoptic_quality(self.counts), instance_scores(self.instances)
        scores = {name: getattr(quality, name)[_OBJECT] for name in ("pq", "sq", "rq")}
        scores |= {f"ap_{text}": at.accuracy[k] for k, text in _AT.items()}
        scores |= {f"f1_{text}": at.f1[k] for k, text in _AT.items()}
        scores["aji"] = aggregated_jaccard_index(self.jaccard)
        return {"mean_ap": at.accuracy} | {
            name: np.array([value], np.float64) for name, value in scores.items()
        }

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """The columns of :class:`RegionCounts`."""
        return RegionCounts(self.counts, None).class_scores()

    def shown(self) -> dict[str, dict[str, str]]:
        """All columns."""
        return RegionCounts(self.counts, None).shown()

    def image_scores(self) -> dict[str, float]:
        """The scores of :meth:`means`, and the numbers of regions."""
        scores = {name: float(nan_mean(values)) for name, values in self.means().items()}
        return scores | _numbers(self.counts)

    def tables(self) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Counts and scores at every threshold."""
        counts, scores = self.instances, instance_scores(self.instances)
        return {
            "per_threshold": {
                "threshold": counts.thresholds,
                "tp": counts.tp,
                "fp": counts.fp,
                "fn": counts.fn,
                "ap": scores.accuracy,
                "f1": scores.f1,
                "precision": scores.precision,
                "recall": scores.recall,
                "mean_matched_iou": scores.mean_matched_score,
            }
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        instances = self.instances.to_arrays()
        return {
            **self.counts.to_arrays(),
            **{f"instances_{name}": array for name, array in instances.items()},
            **{f"jaccard_{name}": array for name, array in self.jaccard.to_arrays().items()},
        }


def count(maps: Maps, plan: Plan) -> RegionCounts | InstanceRegionCounts:
    """Match the regions of one image."""
    if plan.instances:
        return count_instances(maps)
    return RegionCounts(_components(maps, plan), plan.things)


def count_instances(maps: Maps) -> InstanceRegionCounts:
    """Match the instances of one image."""
    table = overlap_table(maps.pred, maps.target, ignore_index=maps.ignored, threads=maps.threads)
    return _of_table(table)


def _of_table(table: OverlapTable) -> InstanceRegionCounts:
    objects = replace(
        table,
        pred_class=np.full(table.num_pred, _OBJECT),
        target_class=np.full(table.num_target, _OBJECT),
    )
    return InstanceRegionCounts(
        panoptic_counts(objects, num_classes=_OBJECT + 1),
        instance_counts(table),
        aggregated_jaccard_counts(table),
    )


def _components(maps: Maps, plan: Plan) -> PanopticCounts:
    """Components of the classes that are countable, and whole classes of the others."""
    every = {k for k, name in enumerate(plan.class_names) if name != BACKGROUND}
    if plan.binary:
        every.discard(0)
    things = every if plan.things is None else every & set(plan.things)
    counts = panoptic_counts(_component_table(maps, things, plan), num_classes=plan.num_classes)
    if every == things:
        return counts
    stuff = _class_table(maps, every - things, plan)
    return counts + panoptic_counts(stuff, num_classes=plan.num_classes)


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
    return overlap_table(pred, target, ignore_index=maps.ignored, threads=maps.threads)


def _class_table(maps: Maps, classes: set[int], plan: Plan) -> OverlapTable:
    """Overlaps of whole classes."""
    none = plan.num_classes
    table = overlap_table(
        _restricted(maps.pred, classes, none),
        _restricted(maps.target, classes, none),
        background=none,
        ignore_index=maps.ignored,
        threads=maps.threads,
    )
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
    if plan.instances:
        return _of_table(table)
    return RegionCounts(panoptic_counts(table, num_classes=plan.num_classes), plan.things)


def sentences(plan: Plan) -> Iterator[str]:
    """How regions are made and matched, in words."""
    if plan.instances:
        yield (
            "regions: every id but 0 is an object; matched at IoU above 0.5 for PQ, at thresholds "
            "or above for AP = TP / (TP + FP + FN) and F1"
        )
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


MEASURE = Measure(
    name="region",
    count=count,
    empty=empty,
    sentences=sentences,
    by_instance=True,
)
