"""Lesion-wise scores: equal to the SciPy twin, to BraTS's programs, and to numbers done by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmeter import io, region
from segmeter.reference import region_lesions, region_topology

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

ANY_OVERLAP_RULES = [n for n, rules in region.LESION_RULES.items() if rules.method == "any_overlap"]
OPTIMAL_RULES = [name for name in region.LESION_RULES if name not in ANY_OVERLAP_RULES]


@st.composite
def label_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = tuple(draw(st.lists(st.integers(1, 8), min_size=2, max_size=3)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.02, 0.1, 0.3, 0.7]))
    pred, target = (
        (random.random(shape) < density) * random.integers(1, 5, shape) for _ in range(2)
    )
    dtype = draw(st.sampled_from(["u1", "i2", "<i4", ">i4", "u8", "i8"]))
    return pred.astype(dtype), target.astype(dtype)


def mean_gap(pred: np.ndarray, lesion: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Any function of both masks that does not depend on where they were cut out."""
    centres = [np.argwhere(mask).mean(axis=0) for mask in (pred, lesion)]
    return float(np.linalg.norm((centres[0] - centres[1]) * spacing))


@settings(max_examples=60)
@given(label_maps(), st.sampled_from(ANY_OVERLAP_RULES), st.booleans(), st.booleans())
def test_equals_the_twin(
    maps: tuple[np.ndarray, np.ndarray], rules: str, grouped: bool, ignoring: bool
) -> None:
    chosen = replace(region.LESION_RULES[rules], min_volume=2.0)
    options: dict[str, Any] = {
        "rules": chosen,
        "groups": region.BRATS_GROUPS if grouped else None,
        "ignore_index": 4 if ignoring else None,
        "spacing": tuple(0.5 + k for k in range(maps[0].ndim)),
    }
    counts = region.lesion_wise(*maps, distance=mean_gap, **options)
    expected = region_lesions.lesion_wise(*maps, distance=mean_gap, **options)
    ours, theirs = counts.to_arrays(), expected.to_arrays()
    for name in ours:
        if name == "lesion_distance":
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@settings(max_examples=60)
@given(label_maps(), st.sampled_from(OPTIMAL_RULES), st.sampled_from([None, "small"]))
def test_one_to_one_matching_is_as_good_as_the_twins(
    maps: tuple[np.ndarray, np.ndarray], rules: str, connectivity: str | None
) -> None:
    number = None if connectivity is None else (4, 6)[maps[0].ndim - 2]
    counts = region.lesion_wise(*maps, rules=rules, connectivity=number)
    expected = region_lesions.lesion_wise(*maps, rules=rules, connectivity=number)
    # Of several assignments that are equally good any may be taken.
    assert counts.lesion_matches.sum() <= min(len(counts.lesion_id), len(counts.pred_id))
    assert (counts.lesion_matches <= 1).all()
    assert (counts.pred_matches <= 1).all()
    np.testing.assert_array_equal(counts.lesion_volume, expected.lesion_volume)
    if region.LESION_RULES[rules].criterion == "dice":
        assert math.isclose(counts.lesion_dice.sum(), expected.lesion_dice.sum(), rel_tol=1e-12)


@settings(max_examples=60)
@given(
    st.lists(label_maps(), min_size=1, max_size=3),
    st.sampled_from([*region.LESION_RULES]),
    st.sampled_from([0.0, 2.0]),
)
def test_scores_equal_the_twins(
    cases: list[tuple[np.ndarray, np.ndarray]], rules: str, min_volume: float
) -> None:
    chosen = replace(region.LESION_RULES[rules], min_volume=min_volume)
    groups = {"some": (1, 2), "all": (1, 2, 3, 4)}
    parts = [
        region.lesion_wise(*case, rules=chosen, groups=groups, distance=mean_gap) for case in cases
    ]
    counts = sum(parts[1:], start=parts[0])
    per_case, twin = (module.lesion_scores_per_case(counts) for module in (region, region_lesions))
    total, expected = (module.lesion_scores(counts) for module in (region, region_lesions))
    for name in groups:
        for scores, theirs in ((per_case[name], twin[name]), (total[name], expected[name])):
            assert scores.keys() == theirs.keys()
            for score in scores:
                np.testing.assert_allclose(
                    scores[score], theirs[score], rtol=1e-12, err_msg=f"{name} {score}"
                )


@settings(max_examples=40)
@given(maps=label_maps(), iterations=st.integers(0, 3), seed=st.integers(0, 2**32))
def test_dilation_equals_scipy(
    peer: Callable[[str], ModuleType],
    maps: tuple[np.ndarray, np.ndarray],
    iterations: int,
    seed: int,
) -> None:
    ndimage = peer("scipy.ndimage")
    mask = maps[0]
    structure = np.random.default_rng(seed).random((3, 5, 7)[: mask.ndim]) < 0.3
    offsets = np.argwhere(structure) - [size // 2 for size in structure.shape]
    runs = region.dilate(mask, offsets=offsets, iterations=iterations)
    expected = mask != 0
    if iterations:
        # Its faster way sets wrong pixels in 1 of 100 such cases, where two dilations in a row set
        # none.
        expected = ndimage.binary_dilation(mask, structure, iterations=iterations, brute_force=True)
    np.testing.assert_array_equal(runs.to_array() != 0, expected)
    from_runs = region.dilate(region.RunList.from_array(mask), iterations=iterations)
    np.testing.assert_array_equal(
        from_runs.to_array() != 0, region_topology.dilate(mask, iterations=iterations)
    )


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (3, 0, 2), (1, 5, 1)])
def test_maps_without_lesions(shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, np.uint8)
    counts = region.lesion_wise(empty, empty)
    assert region.lesion_scores(counts)["lesion"]["dice"] == 1.0
    assert region.lesion_scores(counts)["lesion"]["distance"] == 0.0
    scores = region.lesion_scores(region.lesion_wise(empty, empty, rules="brats2026"))["lesion"]
    assert math.isnan(scores["dice"])
    assert scores["num_cases"] == 0
    assert region.dilate(empty).shape == shape


def two_lesions() -> tuple[np.ndarray, np.ndarray]:
    """A lesion of 64 pixels half found, one of 27 missed, and 8 pixels made up."""
    target = np.zeros((40, 16, 16), np.uint8)
    target[2:6, 2:6, 2:6] = 1
    target[20:23, 2:5, 2:5] = 1
    pred = np.zeros_like(target)
    pred[2:4, 2:6, 2:6] = 1
    pred[34:36, 10:12, 10:12] = 1
    return pred, target


def test_scores_by_hand() -> None:
    pred, target = two_lesions()
    half = 2 * 32 / (64 + 32)
    counts = region.lesion_wise(pred, target, distance=lambda *_: 5.0)
    scores = region.lesion_scores(counts)["lesion"]
    # 27 mm3 are too few to count: one lesion found, one false positive
    assert (scores["tp"], scores["fp"], scores["fn"], scores["left_out"]) == (1, 1, 0, 1)
    assert scores["dice"] == pytest.approx(half / 2, rel=1e-15)
    assert scores["distance"] == pytest.approx((5 + 374) / 2, rel=1e-15)
    larger = region.lesion_wise(pred, target, spacing=2, distance=lambda *_: 5.0)
    scores = region.lesion_scores(larger)["lesion"]
    assert (scores["tp"], scores["fp"], scores["fn"]) == (1, 1, 1)
    assert scores["dice"] == pytest.approx(half / 3, rel=1e-15)
    assert scores["distance"] == pytest.approx((5 + 2 * 374) / 3, rel=1e-15)
    assert scores["f1"] == 0.5
    matched = region.lesion_wise(pred, target, rules="brats2026", distance=lambda *_: 5.0)
    assert region.lesion_scores(matched)["lesion"]["dice"] == pytest.approx(half, rel=1e-15)
    assert region.lesion_scores(matched)["lesion"]["distance"] == 5.0
    metastases = region.lesion_scores(region.lesion_wise(pred, target, rules="brats2026-met"))
    assert metastases["lesion"]["dice"] == pytest.approx(half / 3, rel=1e-15)


def test_unmeasured_distances_are_no_numbers() -> None:
    scores = region.lesion_scores(region.lesion_wise(*two_lesions()))["lesion"]
    assert math.isnan(scores["distance"])


def test_lesions_are_joined_by_their_dilations() -> None:
    target = np.zeros((30, 30, 30), bool)
    target[5:10, 5:10, 5:10] = True
    target[16:20, 5:10, 5:10] = True  # 6 pixels between: the dilations touch
    pred = np.zeros_like(target)
    pred[12, 5, 5] = True  # in no lesion, but within reach of both
    counts = region.lesion_wise(pred, target)
    assert counts.lesion_volume.tolist() == [225]
    assert counts.lesion_matches.tolist() == [1]
    assert counts.lesion_dice.tolist() == [0.0]
    once = region.lesion_wise(pred, target, rules="brats2023-men")
    assert once.lesion_volume.tolist() == [125, 100]
    assert once.pred_matches.tolist() == [0]


def test_a_component_may_serve_several_lesions() -> None:
    target = np.zeros((30, 9, 9), bool)
    target[0:8, :, :] = True
    target[22:30, :, :] = True
    pred = np.ones_like(target)
    counts = region.lesion_wise(pred, target)
    assert counts.lesion_pred_volume.tolist() == [pred.sum()] * 2
    assert counts.pred_matches.tolist() == [2]
    assert region.lesion_scores(counts)["lesion"]["fp"] == 0


@settings(max_examples=20)
@given(label_maps(), label_maps())
def test_counts_add_up_and_come_back(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]
) -> None:
    a, b = (region.lesion_wise(*maps, groups=region.BRATS_GROUPS) for maps in (first, second))
    both = a + b
    assert region.LesionCounts.from_arrays(both.to_arrays()) == both
    per_case = region.lesion_scores_per_case(both)
    for name, values in per_case.items():
        alone = [region.lesion_scores_per_case(part)[name]["dice"][0] for part in (a, b)]
        np.testing.assert_array_equal(values["dice"], alone)
    np.testing.assert_array_equal(
        both.lesion_pred_volume,
        [
            both.pred_volume[both.pair_pred[both.pair_lesion == row]].sum()
            for row in range(len(both.lesion_id))
        ],
    )


def test_counts_of_different_rules_do_not_add_up() -> None:
    maps = two_lesions()
    with pytest.raises(ValueError, match="different rules"):
        region.lesion_wise(*maps) + region.lesion_wise(*maps, rules="any_overlap")
    with pytest.raises(TypeError):
        region.lesion_wise(*maps) + 1


def test_the_result_does_not_depend_on_threads_or_layout() -> None:
    random = np.random.default_rng(3)
    pred, target = (random.random((12, 40, 50)) < 0.02 for _ in range(2))
    expected = region.lesion_wise(pred, target, threads=1)
    assert region.lesion_wise(pred, target, threads=3) == expected
    views = (np.asfortranarray(pred), np.repeat(target, 2, axis=2)[:, :, ::2])
    assert region.lesion_wise(*views) == expected
    assert region.lesion_wise(pred.astype(">i4"), target.astype(np.int64)) == expected


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rules": "brats2020"}, ValueError, "rules must be"),
        ({"groups": {"WT": [1, 0]}}, ValueError, "background"),
        ({"groups": {"WT": []}}, TypeError, "WT"),
        ({"groups": {"WT": [True]}}, TypeError, "integer labels"),
        ({"groups": []}, TypeError, "mapping"),
        ({"spacing": (1, 1)}, ValueError, "spacing"),
        ({"spacing": 0}, ValueError, "spacing"),
        ({"connectivity": 8}, ValueError, "connectivity"),
        ({"ignore_index": np.zeros((2, 2), bool)}, ValueError, "mask"),
        ({"ignore_index": 1.5}, TypeError, "ignore_index"),
        ({"target": np.zeros((40, 16, 15))}, TypeError, "target must hold"),
        ({"target": np.zeros((40, 16, 15), int)}, ValueError, "same shape"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], message: str) -> None:
    pred, target = two_lesions()
    arguments = {"pred": pred, "target": target} | change
    with pytest.raises(error, match=message):
        region.lesion_wise(**arguments)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"iterations": -1}, ValueError),
        ({"iterations": True}, TypeError),
        ({"threads": -1}, ValueError),
        ({"offsets": [[0, 0]]}, ValueError),
        ({"offsets": [[0.5, 0, 0]]}, ValueError),
        ({"mask": np.zeros(3, int)}, ValueError),
        ({"mask": np.zeros((3, 3))}, TypeError),
    ],
)
def test_bad_input_of_dilation(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        region.dilate(**({"mask": np.zeros((2, 2, 2), int)} | change))


# --- real data --------------------------------------------------------------------------------


def real_pair(shared: Path, case: str, pred: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    folder = shared / "data" / "brats_toolkit" / case
    maps = [io.read_label_map(folder / f"{name}.nii.gz").labels for name in (pred, target)]
    inside = np.argwhere((maps[0] != 0) | (maps[1] != 0))
    box = tuple(slice(a, b + 1) for a, b in zip(inside.min(0), inside.max(0), strict=True))
    return maps[0][box], maps[1][box]


@pytest.mark.parametrize("case", ["TCGA-DU-7294", "OtherEXampleFromTCIA"])
def test_real_tumours_equal_the_twin(shared: Path, case: str) -> None:
    pred, target = real_pair(shared, case, "segmentation/hnfnetv1-20", "fusion/mav")
    groups = region.BRATS_GROUPS_UNTIL_2022
    counts = region.lesion_wise(pred, target, groups=groups)
    assert counts == region_lesions.lesion_wise(pred, target, groups=groups)
    assert len(counts.lesion_id) >= 2


def test_real_tumours_equal_panoptica(shared: Path, peer: Callable[[str], ModuleType]) -> None:
    """BraTS 2026 evaluates with panoptica: matching by largest sum of Dice from 1e-6 on."""
    panoptica, metrics = peer("panoptica"), peer("panoptica.metrics")
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.SEMANTIC,
        instance_approximator=panoptica.ConnectedComponentsInstanceApproximator(),
        instance_matcher=panoptica.MaxBipartiteMatching(
            matching_metric=metrics.Metric.DSC, matching_threshold=1e-6
        ),
        instance_metrics=[metrics.Metric.DSC, metrics.Metric.HD95, metrics.Metric.NSD],
        global_metrics=[],
        verbose=False,
    )
    pred, target = real_pair(
        shared, "OtherEXampleFromTCIA", "segmentation/isen-20", "segmentation/scan-20"
    )
    groups = region.BRATS_GROUPS_UNTIL_2022
    counts = region.lesion_wise(
        pred, target, rules="brats2026", groups=groups, distance="hd95", tolerance=1.0
    )
    ours = region.lesion_scores(counts)
    for name, labels in groups.items():
        masks = [np.isin(labels_, labels).astype(np.uint8) for labels_ in (pred, target)]
        theirs = next(iter(evaluator.evaluate(*masks, verbose=False).values()))
        assert (ours[name]["tp"], ours[name]["fp"], ours[name]["fn"]) == (
            theirs.tp,
            theirs.fp,
            theirs.fn,
        )
        assert ours[name]["dice"] == pytest.approx(theirs.sq_dsc, rel=1e-12)
        assert ours[name]["f1"] == pytest.approx(theirs.rq, rel=1e-12)
        assert ours[name]["distance"] == pytest.approx(theirs.sq_hd95, rel=1e-12)
        assert ours[name]["nsd"] == pytest.approx(theirs.sq_nsd, rel=1e-12)
