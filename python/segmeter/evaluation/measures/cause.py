"""Causes: why each wrong pixel is wrong, what its repair would bring, and what befell each region.

Causes after Bernhard et al., "What's Outside the Intersection?" (WACV 2024). Region facts (missed,
invented, wrong class, split, merge) are those of :func:`segmeter.region_facts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segmeter.cause import (
    CauseCounts,
    RegionFact,
    RegionFacts,
    cause_shares,
    error_causes,
    region_facts,
    renormed_causes,
    repaired_scores,
)
from segmeter.evaluation.measures._measure import Maps, Measure, PlainCounts
from segmeter.pixel._counts import nan_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from segmeter.evaluation.plan import Plan

_CAUSES = ("boundary", "extent", "segment")
_FACTS = ("missed", "invented", "wrong_class", "split", "merge")
_COLORS = ((0, 0, 0), (240, 228, 66), (0, 114, 178), (213, 94, 0), (128, 128, 128))
"""Of :class:`segmeter.Cause`: right black, boundary yellow, extent blue, segment red, ignored gray;
colours that people who do not see all of them can tell apart (Okabe and Ito)."""


@dataclass(frozen=True, slots=True)
class ImageCauseCounts(PlainCounts):
    """Wrong pixels of every class by cause, and its regions by fact.

    Attributes
    ----------
    counts : CauseCounts
    facts : RegionFacts
    """

    counts: CauseCounts
    facts: RegionFacts

    def __add__(self, other: ImageCauseCounts) -> ImageCauseCounts:
        """Counts of both sets of images."""
        return ImageCauseCounts(self.counts + other.counts, self.facts + other.facts)

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Mean share of every cause, and mean IoU with its errors repaired."""
        shares, repaired = cause_shares(self.counts), repaired_scores(self.counts)
        scores = {f"mean_{cause}_share": shares[cause] for cause in _CAUSES}
        return scores | {
            f"mean_iou_without_{cause}_errors": repaired[cause]["iou"] for cause in _CAUSES
        }

    def class_scores(self) -> dict[str, NDArray[Any]]:
        """Shares of the union, renormed shares, repaired IoU, pixels by cause, regions by fact."""
        counts, repaired = self.counts, repaired_scores(self.counts)
        columns: dict[str, NDArray[Any]] = {"iou": repaired["none"]["iou"]}
        columns |= {f"{name}_share": share for name, share in cause_shares(counts).items()}
        columns |= {f"{name}_renormed": share for name, share in renormed_causes(counts).items()}
        columns |= {f"iou_without_{cause}_errors": repaired[cause]["iou"] for cause in _CAUSES}
        columns |= {
            f"{side}_{cause}": getattr(counts, f"{side}_{cause}")
            for cause in _CAUSES
            for side in ("fp", "fn")
        }
        columns["target_regions"] = self.facts.target_regions.sum(axis=1)
        columns["pred_regions"] = self.facts.pred_regions.sum(axis=1)
        return columns | {name: getattr(self.facts, name) for name in _FACTS}

    def shown(self) -> dict[str, dict[str, str]]:
        """Shares of the causes, and regions by fact."""
        causes = ("iou", *(f"{cause}_share" for cause in _CAUSES))
        facts = ("target_regions", "pred_regions", *_FACTS)
        return {
            title: {name: name for name in names}
            for title, names in (("causes", causes), ("facts", facts))
        }

    def image_scores(self) -> dict[str, float]:
        """Means over the classes of the image, and its numbers of regions by fact."""
        scores = {name: float(nan_mean(values)) for name, values in self.means().items()}
        facts = {f"regions_{name}": int(getattr(self.facts, name).sum()) for name in _FACTS}
        return scores | facts

    def tables(self) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Regions of all classes by fact, and the wrong pixels in them."""
        facts = {name: array.sum(axis=0) for name, array in self.facts.to_arrays().items()}
        names = np.array([fact.name.lower() for fact in RegionFact])
        return {"region_facts": {"fact": names, **facts}}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """State as named arrays."""
        facts = self.facts.to_arrays()
        return {
            **self.counts.to_arrays(),
            **{f"facts_{name}": array for name, array in facts.items()},
        }


def count(maps: Maps, plan: Plan) -> ImageCauseCounts:
    """Find the cause of every wrong pixel and the fact of every region of an image."""
    options: dict[str, Any] = {
        "num_classes": plan.num_classes,
        "ignore_index": maps.ignored,
        "out_of_range": "wrong",
        "threads": maps.threads,
    }
    facts = region_facts(maps.pred, maps.target, **options)
    options["spacing"] = maps.spacing
    if maps.drawing is None:
        return ImageCauseCounts(error_causes(maps.pred, maps.target, **options), facts)
    counts, causes = error_causes(maps.pred, maps.target, **options, return_map=True)
    for side, drawn in zip(("pred", "target"), causes, strict=True):
        _write(maps.drawing, side, drawn)
    return ImageCauseCounts(counts, facts)


def _write(path: Path, side: str, causes: NDArray[np.uint8]) -> None:
    """Write a map of causes: a picture with a palette, or an array of a volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{path.name}_{side}"
    if causes.ndim != 2:
        np.save(path.with_name(f"{name}.npy"), causes)
        return
    from PIL import Image

    picture = Image.frombytes("P", causes.shape[::-1], causes.tobytes())
    picture.putpalette([part for color in _COLORS for part in color])
    picture.save(path.with_name(f"{name}.png"), optimize=True)


def empty(plan: Plan) -> ImageCauseCounts:
    """Counts of no image."""
    none = np.zeros((0, 0), np.uint8)
    options: dict[str, Any] = {"num_classes": plan.num_classes}
    return ImageCauseCounts(
        error_causes(none, none, **options), region_facts(none, none, **options)
    )


def sentences(plan: Plan) -> Iterator[str]:  # noqa: ARG001 (all measures take it)
    """How causes are found, in words."""
    yield (
        "causes: boundary, within 1 % of the image diagonal of the outline; extent, elsewhere in a "
        "segment that is partly right; segment, in one that is wholly wrong"
    )
    yield (
        "region facts: connected components of every class (all neighbours); a predicted and a "
        "target region are linked if they share more than half of the smaller one"
    )


MEASURE = Measure(
    name="cause",
    count=count,
    empty=empty,
    sentences=sentences,
)
