"""Detection with confidences: equal to the SciPy twin, picai_eval, MONAI and numbers by hand."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmeter import io, region
from segmeter.reference import region_detection, region_lesions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

Row = tuple[bool, bool, float, float]


@st.composite
def detection_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Detection map with one confidence per component, and a mask."""
    shape = tuple(draw(st.lists(st.integers(1, 8), min_size=2, max_size=3)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.02, 0.1, 0.3, 0.7]))
    labels, number = region_lesions.label(random.random(shape) < density, None)
    confidence = np.append(0, random.choice([0.25, 0.5, 0.75, 1.0], number))
    return confidence[labels], random.random(shape) < density


def rows(counts: region.DetectionCounts) -> list[Row]:
    columns = counts.is_lesion, counts.is_found, counts.confidence, counts.overlap
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=80)
@given(
    detection_pairs(),
    st.sampled_from(["iou", "dice"]),
    st.sampled_from(["ignore", "false_positive"]),
    st.sampled_from(["max", "bayesian"]),
    st.sampled_from([1e-9, 0.1, 0.5]),
)
def test_equals_the_twin(
    maps: tuple[np.ndarray, np.ndarray],
    criterion: Any,
    leftover: Any,
    case_confidence: Any,
    min_overlap: float,
) -> None:
    options = {
        "criterion": criterion,
        "leftover": leftover,
        "case_confidence": case_confidence,
        "min_overlap": min_overlap,
        "smooth": 1e-8,
    }
    counts = region.detect(*maps, **options)
    expected = region_detection.detect(*maps, **options)
    np.testing.assert_array_equal(counts.case_confidence, expected.case_confidence)
    assert counts.num_lesions == expected.num_lesions
    # Of several assignments that are equally good any may be taken.
    found = counts.is_lesion & counts.is_found
    assert found.sum() == (expected.is_lesion & expected.is_found).sum()
    assert math.isclose(counts.overlap.sum(), expected.overlap.sum(), rel_tol=1e-12)
    if leftover == "ignore":
        for part in (counts, expected):
            assert ((part.confidence == 0) == (part.is_lesion & ~part.is_found)).all()
        false = counts.confidence[~counts.is_lesion], expected.confidence[~expected.is_lesion]
        np.testing.assert_array_equal(np.sort(false[0]), np.sort(false[1]))


@st.composite
def marks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, some on the same pixel, their confidences, and a map of a few lesions."""
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=3)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    number = draw(st.integers(0, 12))
    points = random.integers(0, shape, (number, len(shape)))
    target = (random.random(shape) < 0.3) * random.integers(1, 4, shape)
    return points, random.choice([0.25, 0.5, 0.75], number), target


@given(marks(), st.booleans())
def test_points_equal_the_twin(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], instances: bool
) -> None:
    counts = region.detect_points(*case, instances=instances)
    expected = region_detection.detect_points(*case, instances=instances)
    assert rows(counts) == rows(expected)
    assert counts.case_confidence == expected.case_confidence


@st.composite
def candidate_lists(draw: st.DrawFn) -> region.DetectionCounts:
    """Candidates of up to five cases, of which some have equal confidences or no weight."""
    confidence = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    row = st.tuples(st.booleans(), confidence).filter(lambda row: row[0] or row[1] > 0)
    cases = draw(st.lists(st.lists(row, max_size=6), min_size=1, max_size=5))
    weights = draw(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=len(cases), max_size=len(cases))
    )
    beliefs = draw(st.lists(confidence, min_size=len(cases), max_size=len(cases)))
    arrays = {"case_weight": np.array(weights), "case_confidence": np.array(beliefs)}
    return region.DetectionCounts.from_arrays(counts_of(*cases).to_arrays() | arrays)


@given(candidate_lists())
def test_scores_equal_the_twins(counts: region.DetectionCounts) -> None:
    for name in ("average_precision", "case_auroc", "picai_score"):
        ours, twin = getattr(region, name)(counts), getattr(region_detection, name)(counts)
        assert ours == pytest.approx(twin, rel=1e-12, nan_ok=True), name


def test_a_rate_that_is_reached_just_is_reached() -> None:
    counts = region.detect([[0.25, 0]], [[0, 0]]) + region.detect([[0.25, 0]], [[1, 0]])
    counts += region.detect([[0, 0]], [[0, 0]])
    for froc in (region.froc, region_detection.froc):
        curve = froc(counts, rates=[1 / 3, np.nextafter(1 / 3, 0)])
        np.testing.assert_array_equal(curve.sensitivity_at, [1.0, 0.0])


@given(
    candidate_lists(),
    st.lists(st.sampled_from([0, 0.125, 1 / 3, 0.5, 1, 2.5, 8]), min_size=1),
    st.sampled_from(["step", "linear"]),
)
def test_froc_equals_the_twin(
    counts: region.DetectionCounts, rates: list[float], interpolation: Any
) -> None:
    curve = region.froc(counts, rates=rates, interpolation=interpolation)
    twin = region_detection.froc(counts, rates=rates, interpolation=interpolation)
    assert curve.threshold.tolist() == twin.threshold
    for name in ("false_positives_per_image", "sensitivity", "sensitivity_at", "mean"):
        np.testing.assert_allclose(
            getattr(curve, name), getattr(twin, name), rtol=1e-12, atol=1e-15, err_msg=name
        )


@settings(max_examples=40)
@given(pairs=st.lists(detection_pairs(), min_size=1, max_size=6))
def test_equals_picai_eval(
    peer: Callable[[str], ModuleType], pairs: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    """AP, AUROC and ROC-like curves from the same lesion lists."""
    metrics = peer("picai_eval.metrics")
    counts = region.detect(*pairs[0])
    for pair in pairs[1:]:
        counts = counts + region.detect(*pair)
    if not 0 < counts.case_target.sum() < counts.num_cases:
        return  # undefined there, zero or a warning in picai_eval
    lists = {
        str(case): [
            (int(lesion), confidence, overlap)
            for at, lesion, confidence, overlap in zip(
                counts.case, counts.is_lesion, counts.confidence, counts.overlap, strict=True
            )
            if at == case
        ]
        for case in range(counts.num_cases)
    }
    theirs = metrics.Metrics(
        lesion_results=lists,
        case_target={str(k): int(v) for k, v in enumerate(counts.case_target)},
        case_pred={str(k): float(v) for k, v in enumerate(counts.case_confidence)},
        sort=False,
    )
    assert region.average_precision(counts) == pytest.approx(theirs.AP, rel=1e-12, abs=1e-15)
    assert region.case_auroc(counts) == pytest.approx(theirs.auroc, rel=1e-12)
    assert region.picai_score(counts) == pytest.approx(theirs.score, rel=1e-12, abs=1e-15)


# --- the test cases of PI-CAI -----------------------------------------------------------------

PICAI = [f"case-{k}" for k in range(10)]


def picai_counts(shared: Path) -> list[region.DetectionCounts]:
    folder = shared / "data" / "picai_eval" / "test-maps"
    return [
        region.detect(
            io.read_label_map(folder / f"{case}_detection_map.nii.gz").labels,
            io.read_label_map(folder / f"{case}_label.nii.gz").labels,
            smooth=1e-8,
        )
        for case in PICAI
    ]


def test_lesion_lists_of_picai(shared: Path) -> None:
    folder = shared / "data" / "picai_eval" / "output-expected"
    expected = json.loads((folder / "metrics-full-expected.json").read_text())
    cases = picai_counts(shared)
    for name, counts in zip(PICAI, cases, strict=True):
        # picai_eval adds 1 to overlaps and takes it away again, with the rounding of that
        ours = [(int(lesion), conf, (1 + over) - 1) for lesion, _, conf, over in rows(counts)]
        assert sorted(ours) == sorted(map(tuple, expected["lesion_results"][name])), name
        assert float(counts.case_confidence[0]) == expected["case_pred"][name]
        assert int(counts.case_target[0]) == expected["case_target"][name]
    counts = sum(cases[1:], start=cases[0])
    assert counts.num_lesions == expected["num_lesions"]
    assert region.case_auroc(counts) == expected["auroc"]
    assert region.average_precision(counts) == pytest.approx(expected["AP"], rel=1e-15)
    curve = region.froc(counts)
    assert curve.threshold.tolist() == expected["thresholds"][:-1]
    assert curve.sensitivity.tolist() == expected["lesion_TPR"][:-1]
    np.testing.assert_allclose(
        curve.false_positives_per_image, expected["lesion_FPR"][:-1], rtol=1e-7
    )  # float32 there


def test_the_older_average_precision_of_picai(shared: Path) -> None:
    """Until version 1.3 missed lesions were gained at confidence 0, with the precision there."""
    folder = shared / "data" / "picai_eval" / "output-expected"
    expected = json.loads((folder / "metrics-main-expected.json").read_text())
    cases = picai_counts(shared)
    counts = sum(cases[1:], start=cases[0])
    found = (counts.is_lesion & counts.is_found).sum()
    rest = (counts.num_lesions - found) / counts.num_lesions
    precision = counts.num_lesions / (counts.num_lesions + counts.num_false_positives)
    assert region.average_precision(counts) + rest * precision == pytest.approx(
        expected["AP"], rel=1e-15
    )


# --- numbers by hand --------------------------------------------------------------------------


def counts_of(*cases: list[tuple[bool, float]]) -> region.DetectionCounts:
    """Candidates (is a lesion, confidence) of each case; confidence 0: missed."""
    total = None
    for candidates in cases:
        is_lesion = np.array([lesion for lesion, _ in candidates], bool)
        confidence = np.array([value for _, value in candidates], np.float64)
        part = region.DetectionCounts(
            case=np.zeros(len(candidates), np.int64),
            is_lesion=is_lesion,
            is_found=confidence > 0,
            confidence=confidence,
            overlap=np.where(is_lesion & (confidence > 0), 1.0, 0.0),
            case_confidence=np.array([confidence.max(initial=0)]),
            case_weight=np.ones(1),
        )
        total = part if total is None else total + part
    assert total is not None
    return total


def test_froc_by_hand() -> None:
    counts = counts_of(
        [(True, 0.9), (False, 0.8), (True, 0.7)], [(False, 0.6), (True, 0.5), (True, 0.0)]
    )
    curve = region.froc(counts, rates=[0, 0.25, 0.5, 0.75, 1, 8])
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert curve.false_positives_per_image.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.sensitivity.tolist() == [0.25, 0.25, 0.5, 0.5, 0.75]
    assert curve.sensitivity_at.tolist() == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert curve.mean == pytest.approx(3 / 6, rel=1e-15)
    linear = region.froc(counts, rates=[0, 0.25, 0.5, 0.75, 1, 8], interpolation="linear")
    # both curves are level where only false positives come
    assert linear.sensitivity_at.tolist() == curve.sensitivity_at.tolist()
    together = counts_of([(True, 0.9), (False, 0.9)])
    assert region.froc(together, rates=[0.5]).mean == 0.0
    assert region.froc(together, rates=[0.5], interpolation="linear").mean == 0.5
    # precision at each gain: 1/1, 2/3, 3/5
    assert region.average_precision(counts) == pytest.approx((1 + 2 / 3 + 3 / 5) / 4, rel=1e-15)


def test_froc_cases_of_monai(cases: list[dict[str, Any]], oracles: ModuleType) -> None:
    """Numbers that MONAI's tests state: FROC scores, and which points hit which lesion."""
    chosen = [case for case in cases if case["op"] in ("froc_score", "froc_assign")]
    assert len(chosen) == 3
    for case in chosen:
        arrays, params = case["arrays"], case["params"]
        if case["op"] == "froc_assign":
            counts = region.detect_points(
                arrays["coords"], arrays["probs"], arrays["evaluation_mask"], instances=True
            )
            got: Any = {
                "fp_probs": counts.confidence[~counts.is_lesion].tolist(),
                # there in the order of the lesions, a missed one with 0
                "tp_probs": sorted(counts.confidence[counts.is_lesion].tolist()),
                "num_targets": counts.num_lesions,
            }
            case["expected"]["tp_probs"] = sorted(case["expected"]["tp_probs"])
        else:
            hits = [float(value) for value in arrays["tp_probs"] if value > 0]
            missed = params["num_targets"] - len(hits)
            counts = counts_of(
                [(True, value) for value in hits]
                + [(False, float(value)) for value in arrays["fp_probs"]]
                + [(True, 0.0)] * missed,
                *[[]] * (params["num_images"] - 1),
            )
            got = region.froc(counts, rates=params["fps_per_image"], interpolation="linear").mean
        assert oracles.check(case, got), f"{case['name']}: {got}, expected {case['expected']}"


def test_lesion_lists_of_kind_region(cases: list[dict[str, Any]], oracles: ModuleType) -> None:
    chosen = [case for case in cases if case["op"] == "picai_lesion_list"]
    assert len(chosen) == 8
    for case in chosen:
        heat, target = (case["arrays"][name] for name in ("detection_map", "label"))
        ours = [[int(a), c, d] for a, _, c, d in rows(region.detect(heat, target))]
        expected = case | {"expected": sorted(case["expected"])}
        assert oracles.check(expected, sorted(ours)), f"{case['name']}: {ours}"


def test_case_weights() -> None:
    twice = counts_of([(True, 0.9)], [(False, 0.8)], [(False, 0.8)], [(True, 0.3)])
    once = region.DetectionCounts.from_arrays(
        counts_of([(True, 0.9)], [(False, 0.8)], [(True, 0.3)]).to_arrays()
        | {"case_weight": np.array([1.0, 2.0, 1.0])}
    )
    assert region.average_precision(once) == region.average_precision(twice)
    assert region.case_auroc(once) == region.case_auroc(twice) == 0.5


def test_nothing_to_find() -> None:
    empty = np.zeros((3, 4))
    none = region.detect(empty, empty)
    assert math.isnan(region.average_precision(none))
    assert math.isnan(region.case_auroc(none))
    assert math.isnan(region.froc(none).mean)
    missed = region.detect(empty, np.ones((3, 4)))
    assert region.average_precision(missed) == 0.0
    assert region.froc(missed).mean == 0.0
    assert region.froc(missed).threshold.size == 0


def test_points() -> None:
    target = np.zeros((6, 6), int)
    target[0, :2] = target[4:, 4:] = 1
    counts = region.detect_points(
        np.array([[0, 0], [0, 1], [5, 0], [0, 5]], np.uint8), [0.2, 0.6, 0.9, 0.1], target
    )
    assert rows(counts) == [
        (False, True, 0.1, 0.0),
        (False, True, 0.9, 0.0),
        (True, False, 0.0, 0.0),
        (True, True, 0.6, 1.0),
    ]
    assert counts.case_confidence.tolist() == [0.9]
    assert region.detect_points(np.zeros((0, 2), int), [], target).num_lesions == 2


@settings(max_examples=20)
@given(st.lists(detection_pairs(), min_size=2, max_size=3))
def test_counts_add_up_and_come_back(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    parts = [region.detect(*pair) for pair in pairs]
    total = sum(parts[1:], start=parts[0])
    assert region.DetectionCounts.from_arrays(total.to_arrays()) == total
    assert total.num_cases == len(pairs)
    assert total.num_lesions == sum(part.num_lesions for part in parts)
    assert total.case_target.tolist() == [bool(part.case_target[0]) for part in parts]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"detection_map": -np.ones((2, 3))}, ValueError, "negative"),
        ({"detection_map": np.full((2, 3), np.nan)}, ValueError, "finite"),
        ({"detection_map": np.arange(6).reshape(2, 3) / 6}, ValueError, "softmax"),
        ({"detection_map": np.ones((2, 3), complex)}, TypeError, "numbers"),
        ({"target": np.ones((3, 2), int)}, ValueError, "same shape"),
        ({"target": np.ones((2, 3), complex)}, TypeError, "target"),
        ({"min_overlap": 0}, ValueError, "min_overlap"),
        ({"criterion": "ior"}, ValueError, "criterion"),
        ({"leftover": "drop"}, ValueError, "leftover"),
        ({"case_confidence": "mean"}, ValueError, "case_confidence"),
        ({"case_weight": -1}, ValueError, "case_weight"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"detection_map": np.ones((2, 3)), "target": np.ones((2, 3), int)} | change
    with pytest.raises(error, match=message):
        region.detect(**arguments)


@pytest.mark.parametrize(
    ("points", "confidence", "message"),
    [
        ([[0, 3]], [0.5], "outside"),
        ([[-1, 0]], [0.5], "outside"),
        ([[0, 0]], [0.0], "above 0"),
        ([[0, 0]], [0.5, 0.5], "1 points have 2"),
    ],
)
def test_bad_points(points: Any, confidence: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region.detect_points(points, confidence, np.ones((2, 3), int))


def test_bad_rates() -> None:
    counts = counts_of([(True, 0.9)])
    for rates in ([], [-1.0], [math.nan]):
        with pytest.raises(ValueError, match="rates"):
            region.froc(counts, rates=rates)


def test_picai_eval_agrees_on_the_way(peer: Callable[[str], ModuleType]) -> None:
    """From detection map to lesion list by picai_eval itself."""
    evaluation = peer("picai_eval.eval")
    random = np.random.default_rng(5)
    for _ in range(20):
        labels, number = region_lesions.label(random.random((6, 9, 9)) < 0.06, None)
        confidence = np.append(0, random.choice([0.25, 0.5, 0.75, 1.0], number))
        target = random.random((6, 9, 9)) < 0.06
        theirs, belief, _, _ = evaluation.evaluate_case(
            confidence[labels].astype(np.float32), target.astype(np.int32), min_overlap=0.2
        )
        counts = region.detect(confidence[labels], target, min_overlap=0.2, smooth=1e-8)
        ours = [(int(lesion), conf, overlap) for lesion, _, conf, overlap in rows(counts)]
        assert sorted(row[0] for row in ours) == sorted(row[0] for row in theirs)
        assert sum(row[2] for row in ours) == pytest.approx(sum(row[2] for row in theirs))
        assert counts.case_confidence[0] == belief
