"""Boundary IoU of objects: panoptic segments, instances, and detections, by the official rules."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segmeter
from segmeter import BoundaryOverlapTable, OverlapTable, RunLengthMasks, region
from segmeter.reference.boundary_band import band

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

VOID = 0


def blobs(rng: np.random.Generator, shape: tuple[int, ...], number: int, size: int) -> np.ndarray:
    canvas = np.zeros(shape, np.int64)
    for k in range(number):
        low = [int(rng.integers(0, n)) for n in shape]
        high = [a + int(rng.integers(1, size + 1)) for a in low]
        canvas[tuple(map(slice, low, high))] = k + 1
    return canvas


@st.composite
def segment_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from([(25, 70), (1, 40), (9, 8, 12)]))
    target = blobs(rng, shape, draw(st.integers(0, 7)), draw(st.sampled_from([3, 20])))
    pred = np.roll(target, rng.integers(-2, 3, len(shape)), axis=tuple(range(len(shape))))
    pred[rng.random(shape) < draw(st.sampled_from([0.0, 0.05]))] = rng.integers(0, 9)
    return pred, target


def plain_bands(
    pred: np.ndarray, target: np.ndarray, width: int, border: str, unknown: np.ndarray
) -> dict[str, Any]:
    """Pixels of all bands and of what they share, segment after segment."""
    reach = [width] * pred.ndim
    void = target == VOID
    sides = [
        {int(k): band(ids == k, unknown, reach, border) for k in np.unique(ids[ids != VOID])}
        for ids in (pred, target)
    ]
    return {
        "pred": {k: (int(m.sum()), int((m & void).sum())) for k, m in sides[0].items()},
        "target": {k: int(m.sum()) for k, m in sides[1].items()},
        "both": {
            (p, t): int((a & b).sum()) for p, a in sides[0].items() for t, b in sides[1].items()
        },
    }


@settings(max_examples=80)
@given(
    segment_maps(),
    st.sampled_from([1, 3, 40]),
    st.sampled_from(["background", "ignore"]),
    st.sampled_from([None, "outline", "unknown"]),
    st.sampled_from(["u1", ">i2", "i8"]),
)
def test_bands_of_segments(
    maps: tuple[np.ndarray, np.ndarray], width: int, border: Any, ignored: Any, dtype: str
) -> None:
    pred, target = (part.astype(dtype) for part in maps)
    options: dict[str, Any] = {"width_pixels": width, "border": border}
    unknown = np.zeros(pred.shape, bool)
    if ignored is not None:
        options |= {"ignore_index": VOID, "ignored": ignored}
        unknown |= (target == VOID) if ignored == "unknown" else False
    table = segmeter.boundary_overlap_table(pred, target, **options)
    plain = segmeter.overlap_table(pred, target, ignore_index=options.get("ignore_index"))
    for name, values in plain.to_arrays().items():
        np.testing.assert_array_equal(getattr(table, name), values, err_msg=name)
    expected = plain_bands(pred, target, width, border, unknown)
    for k, own in enumerate(table.pred_id.tolist()):
        void = expected["pred"][own][1] if ignored else 0
        assert (table.pred_band[k], table.pred_band_void[k]) == (expected["pred"][own][0], void)
    assert (
        dict(zip(table.target_id.tolist(), table.target_band.tolist(), strict=True))
        == (expected["target"])
    )
    for k, (p, t) in enumerate(zip(table.pred_index, table.target_index, strict=True)):
        pair = int(table.pred_id[p]), int(table.target_id[t])
        assert table.band_intersection[k] == expected["both"][pair]
    assert BoundaryOverlapTable.from_arrays(table.to_arrays()) == table
    swapped = table.swapped()
    assert swapped.swapped() == table
    np.testing.assert_array_equal(np.sort(swapped.iou), np.sort(table.iou))
    assert (table.iou <= table.mask_iou).all()


def official_panoptic(
    pred: np.ndarray, target: np.ndarray, classes: tuple[dict[int, int], dict[int, int]],
    crowd: set[int], width: int, num_classes: int,
) -> np.ndarray:  # fmt: skip
    """IoU sums, TP, FP and FN of Boundary PQ by the steps of the official program."""
    of_pred, of_target = classes
    bands = plain_bands(pred, target, width, "background", np.zeros(pred.shape, bool))
    counts = np.zeros((num_classes, 4))
    matched: tuple[set[int], set[int]] = (set(), set())
    for (p, t), shared in bands["both"].items():
        common = int(((pred == p) & (target == t)).sum())
        if t in crowd or of_pred[p] != of_target[t] or not common:
            continue
        void = int(((pred == p) & (target == VOID)).sum())
        union = int((pred == p).sum()) + int((target == t).sum()) - common - void
        near, near_void = bands["pred"][p]
        iou = min(common / union, shared / (near + bands["target"][t] - shared - near_void))
        if iou > 0.5:
            counts[of_target[t], :2] += iou, 1
            matched[0].add(p)
            matched[1].add(t)
    for t in set(bands["target"]) - matched[1] - crowd:
        counts[of_target[t], 3] += 1
    for p in set(bands["pred"]) - matched[0]:
        outside = (target == VOID) | np.isin(
            target, [t for t in crowd if of_target[t] == of_pred[p]]
        )
        if ((pred == p) & outside).sum() / (pred == p).sum() <= 0.5:
            counts[of_pred[p], 2] += 1
    return counts


@settings(max_examples=40)
@given(segment_maps(), st.integers(0, 2**32 - 1))
def test_boundary_pq_by_the_official_steps(maps: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    rng = np.random.default_rng(seed)
    pred, target = maps
    classes = tuple(
        {int(k): int(rng.integers(0, 2)) for k in np.unique(part[part != VOID])} for part in maps
    )
    crowd = {k for k in classes[1] if rng.random() < 0.1}
    if len({classes[1][k] for k in crowd}) < len(crowd):
        crowd = set()  # of several the official program remembers one
    table = segmeter.boundary_overlap_table(
        pred, target, width_pixels=2, ignore_index=VOID, pred_classes=classes[0],
        target_classes=classes[1],
    )  # fmt: skip
    counts = segmeter.panoptic_counts(table, num_classes=2, crowd=sorted(crowd))
    expected = official_panoptic(pred, target, (classes[0], classes[1]), crowd, 2, 2)
    found = np.stack([counts.iou_sum, counts.tp, counts.fp, counts.fn], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_scores_of_objects_take_the_table() -> None:
    target = np.zeros((40, 40), int)
    target[5:35, 5:35] = 1
    pred = np.roll(target, 1, axis=0)
    pred[38:, 38:] = 2
    table = segmeter.boundary_overlap_table(pred, target, width_pixels=2)
    assert table.mask_iou[0] > 0.9 > 0.7 > table.iou[0] > 0.5
    assert region.instance_counts(table, thresholds=[0.5, 0.75]).tp.tolist() == [1, 0]
    assert region.match_regions(table, method="optimal").tp == 1
    assert region.match_regions(table, threshold=0.7).tp == 0
    assert type(table.by_class(0)) is BoundaryOverlapTable
    low = region.panoptic_counts(table, num_classes=1, threshold=0.2)
    assert low.iou_sum[0] == table.iou[0]


def test_maps_that_use_every_number_of_their_type() -> None:
    ids = np.arange(256, dtype=np.uint8).repeat(9).reshape(64, 36)
    table = segmeter.boundary_overlap_table(ids, ids, width_pixels=1, background=None)
    plain = segmeter.boundary_overlap_table(
        ids.astype(int), ids.astype(int), width_pixels=1, background=None
    )
    assert table == plain
    assert (table.iou == 1).all()


def test_bad_input() -> None:
    ids = np.eye(5, dtype=int)
    for wrong, message in (
        ({"ignored": "void"}, "ignored"), ({"border": 1}, "border"), ({"width": 0}, "width"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            segmeter.boundary_overlap_table(ids, ids, **wrong)
    with pytest.raises(ValueError, match="same shape"):
        segmeter.boundary_overlap_table(ids, ids[:4])
    with pytest.raises(ValueError, match="2-D or 3-D"):
        segmeter.boundary_overlap_table(ids[0], ids[0])
    arrays = segmeter.boundary_overlap_table(ids, ids).to_arrays()
    with pytest.raises(ValueError, match="band_intersection must hold 1"):
        BoundaryOverlapTable.from_arrays(arrays | {"band_intersection": np.array([1, 2])})
    with pytest.raises(ValueError, match="missing"):
        BoundaryOverlapTable.from_arrays(region.overlap_table(ids, ids).to_arrays())
    assert isinstance(OverlapTable.from_arrays(arrays), OverlapTable)


# --- detections --------------------------------------------------------------------------------


def test_bands_of_run_length_masks(peer: Callable[[str], ModuleType]) -> None:
    cv2 = peer("cv2")
    rng = np.random.default_rng(0)
    masks = np.stack([blobs(rng, (60, 90), 3, 70) > 0 for _ in range(12)])
    masks[3] = False
    for width in (0.02, 0.1):
        times = max(1, round(width * np.hypot(60, 90)))
        padded = np.pad(masks.astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
        eroded = [cv2.erode(m, np.ones((3, 3), np.uint8), iterations=times) for m in padded]
        expected = masks & (np.stack(eroded)[:, 1:-1, 1:-1] == 0)
        bands = RunLengthMasks.from_masks(masks).band(width)
        np.testing.assert_array_equal(bands.to_masks(), expected)


def test_boundary_ap_equals_the_official_rule(
    shared: Path, peer: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    coco, official = peer("pycocotools.coco"), peer("pycocotools.cocoeval")
    rle = peer("pycocotools.mask")
    folder = shared / "data" / "coco_instances_100"
    truth = next(
        p for p in folder.rglob("*.json") if "instances" in p.name and "fake" not in p.name
    )
    results = next(p for p in folder.rglob("*.json") if "segm" in p.name and "fake" in p.name)

    def banded(segmentation: Any) -> Any:
        mask = RunLengthMasks.from_coco([segmentation]).band(0.02)
        return rle.encode(np.asfortranarray(mask.to_masks()[0].view(np.uint8)))

    class BoundaryEval(official.COCOeval):  # type: ignore[misc, name-defined]
        def computeIoU(self, image: int, category: int) -> Any:  # noqa: N802
            ious = super().computeIoU(image, category)
            gt, dt = (side[image, category] for side in (self._gts, self._dts))
            if len(ious) == 0:
                return ious
            order = np.argsort([-d["score"] for d in dt], kind="mergesort")
            dt = [dt[i] for i in order[: self.params.maxDets[-1]]]
            crowd = [int(g["iscrowd"]) for g in gt]
            sides = [[banded(o["segmentation"]) for o in part] for part in (dt, gt)]
            near = rle.iou(*sides, crowd)
            return np.where(np.array(crowd) == 1, ious, np.minimum(ious, near))

    theirs = coco.COCO(str(truth))
    evaluation = BoundaryEval(theirs, theirs.loadRes(str(results)), "segm")
    images = sorted(theirs.getImgIds())[:40]
    evaluation.params.imgIds = images
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    capsys.readouterr()
    content, found = json.loads(truth.read_text()), json.loads(results.read_text())
    ids = sorted(c["id"] for c in content["categories"])
    total = None
    for image in images:
        info = next(i for i in content["images"] if i["id"] == image)
        shape = info["height"], info["width"]
        gt = [a for a in content["annotations"] if a["image_id"] == image]
        dt = [copy.copy(r) for r in found if r["image_id"] == image]
        counts = segmeter.coco_counts(
            RunLengthMasks.from_coco([d["segmentation"] for d in dt], shape=shape),
            RunLengthMasks.from_coco([g["segmentation"] for g in gt], shape=shape),
            scores=[d["score"] for d in dt],
            pred_classes=np.array([ids.index(d["category_id"]) for d in dt], np.int64),
            target_classes=np.array([ids.index(g["category_id"]) for g in gt], np.int64),
            num_classes=len(ids),
            crowd=[bool(g["iscrowd"]) for g in gt],
            target_area=[g["area"] for g in gt],
            image_id=image,
            boundary=0.02,
        )
        total = counts if total is None else total + counts
    assert total is not None
    ours = list(segmeter.coco_average_precision(total).summary().values())
    np.testing.assert_array_equal(np.nan_to_num(ours, nan=-1), evaluation.stats)
