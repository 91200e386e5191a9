"""Scores of the confusion matrix: against pixels, peers, exact arithmetic and numbers by hand."""

from __future__ import annotations

import json
import math
import warnings
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmeter import pixel
from segmeter.reference import confusion_matrix
from segmeter.reference import scores as twins

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

CLASS_SCORES: dict[str, dict[str, float]] = {
    "iou": {},
    "dice": {},
    "f_beta": {"beta": 2.0},
    "tversky_index": {"alpha": 0.3, "beta": 0.7},
    "recall": {},
    "precision": {},
    "specificity": {},
    "negative_predictive_value": {},
    "volumetric_similarity": {},
    "informedness": {},
    "markedness": {},
    "matthews_corrcoef_per_class": {},
}
TWO_SIDED = {
    "specificity",
    "negative_predictive_value",
    "informedness",
    "markedness",
    "matthews_corrcoef_per_class",
}
MEANS = {
    "mean_iou": {},
    "mean_dice": {},
    "mean_f_beta": {"beta": 0.5},
    "mean_precision": {},
    "mean_recall": {},
    "mean_accuracy": {},
    "mean_specificity": {},
    "frequency_weighted_iou": {},
}
COUNTS = ["true_positives", "false_positives", "false_negatives", "true_negatives", "support"]
WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("pixel_accuracy", {}),
    ("cohen_kappa", {}),
    ("cohen_kappa", {"weights": "linear"}),
    ("cohen_kappa", {"weights": "quadratic"}),
    ("matthews_corrcoef", {}),
    ("mutual_information", {"base": 2}),
    ("variation_of_information", {}),
    ("rand_index", {}),
    ("adjusted_rand_index", {}),
]
PARTITION = ["mutual_information", "variation_of_information", "rand_index", "adjusted_rand_index"]
EVERY_SCORE = [*CLASS_SCORES.items(), *MEANS.items(), *WHOLE]


@st.composite
def maps(
    draw: st.DrawFn, *, void: bool = True, min_pixels: int = 0
) -> tuple[np.ndarray, np.ndarray, int]:
    """(pred, target, num_classes); few pixels and classes, so that absent ones are common."""
    num_classes = draw(st.integers(1, 5))
    size = draw(st.integers(min_pixels, 25))
    target = draw(st.lists(st.integers(0, num_classes - 1), min_size=size, max_size=size))
    labels = st.integers(0, num_classes if void else num_classes - 1)
    pred = draw(st.lists(labels, min_size=size, max_size=size))
    return np.array(pred, np.int64), np.array(target, np.int64), num_classes


@st.composite
def matrices(draw: st.DrawFn, *, largest: int = 50, batch: int | None = None) -> np.ndarray:
    """Square or wide int64 matrices with many zeros; a batch of `batch` of them if asked for."""
    rows = draw(st.integers(1, 5))
    columns = rows + draw(st.integers(0, 1))
    entry = st.one_of(st.just(0), st.integers(0, largest))
    size = rows * columns * (1 if batch is None else batch)
    entries = draw(st.lists(entry, min_size=size, max_size=size))
    shape = (rows, columns) if batch is None else (batch, rows, columns)
    return np.array(entries, dtype=np.int64).reshape(shape)


def count(pred: np.ndarray, target: np.ndarray, num_classes: int, **options: Any) -> np.ndarray:
    return confusion_matrix(
        pred, target, num_classes=num_classes, out_of_range="wrong", void_column=True, **options
    )


def equal(got: Any, expected: Any, **tolerance: float) -> None:
    np.testing.assert_allclose(
        np.asarray(got, np.float64),
        np.asarray(expected, np.float64),
        **({"rtol": 1e-12, "atol": 1e-13} | tolerance),
    )


# ---------------------------------------------------------------- the definition, on pixels


@given(maps(), st.sampled_from(["nan", "zero", "one"]), st.sampled_from(["any", "target"]))
def test_class_scores_are_those_of_the_pixels(
    case: tuple[np.ndarray, np.ndarray, int], absent: Any, present: Any
) -> None:
    pred, target, num_classes = case
    matrix = count(pred, target, num_classes)
    for name in COUNTS:
        expected = getattr(twins, name)(pred, target, num_classes=num_classes)
        np.testing.assert_array_equal(getattr(pixel, name)(matrix), expected, err_msg=name)
    for name, options in CLASS_SCORES.items():
        options = options | {"absent": absent, "present": present}
        expected = getattr(twins, name)(pred, target, num_classes=num_classes, **options)
        equal(getattr(pixel, name)(matrix, **options), expected)


@given(maps(), st.sampled_from(["nan", "zero", "one"]), st.data())
def test_means_and_whole_scores_are_those_of_the_pixels(
    case: tuple[np.ndarray, np.ndarray, int], absent: Any, data: st.DataObject
) -> None:
    pred, target, num_classes = case
    matrix = count(pred, target, num_classes)
    some = st.lists(st.integers(0, num_classes - 1), min_size=1, unique=True)
    classes = data.draw(st.one_of(st.none(), some), label="classes")
    for name, options in MEANS.items():
        options = options | {"absent": absent, "classes": classes}
        expected = getattr(twins, name)(pred, target, num_classes=num_classes, **options)
        equal(getattr(pixel, name)(matrix, **options), expected)
    for name, options in WHOLE:
        options = options | {"absent": absent}
        expected = getattr(twins, name)(pred, target, num_classes=num_classes, **options)
        equal(getattr(pixel, name)(matrix, **options), expected)


@given(maps(), st.data())
def test_ignored_pixels_leave_every_score(
    case: tuple[np.ndarray, np.ndarray, int], data: st.DataObject
) -> None:
    pred, target, num_classes = case
    size = len(target)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool)
    matrix = count(pred, target, num_classes, ignore_index=mask)
    for name, options in EVERY_SCORE:
        expected = getattr(twins, name)(
            pred, target, num_classes=num_classes, ignore=mask, **options
        )
        equal(getattr(pixel, name)(matrix, **options), expected)


@given(maps(), st.sampled_from(["true", "pred", "all"]), st.sampled_from(["nan", "zero"]))
def test_normalized_matrix_is_that_of_the_pixels(
    case: tuple[np.ndarray, np.ndarray, int], by: Any, absent: Any
) -> None:
    pred, target, num_classes = case
    expected = twins.normalize(pred, target, num_classes=num_classes, by=by, absent=absent)
    equal(pixel.normalize(count(pred, target, num_classes), by, absent=absent), expected)


@given(maps(), st.data())
def test_group_counts_are_those_of_the_pixels(
    case: tuple[np.ndarray, np.ndarray, int], data: st.DataObject
) -> None:
    pred, target, num_classes = case
    members = st.lists(st.integers(0, num_classes - 1), min_size=1, unique=True)
    drawn = data.draw(st.lists(members, min_size=1, max_size=4), label="groups")
    groups = {f"group {k}": group for k, group in enumerate(drawn)}
    got = pixel.group_counts(count(pred, target, num_classes), groups)
    expected = twins.group_counts(pred, target, num_classes=num_classes, groups=groups)
    np.testing.assert_array_equal(got, expected)


@given(st.lists(maps(void=False, min_pixels=1), min_size=1, max_size=6), st.floats(0.01, 1))
def test_fine_grained_iou_is_that_of_the_images(
    cases: list[tuple[np.ndarray, np.ndarray, int]], worst: float
) -> None:
    preds, targets = [case[0] for case in cases], [case[1] for case in cases]
    per_image = np.stack([count(p, t, 5) for p, t in zip(preds, targets, strict=True)])
    got = pixel.fine_grained_iou(per_image, worst=worst)
    expected = twins.fine_grained_iou(preds, targets, num_classes=5, worst=worst)
    for name, value in expected.items():
        equal(got[name], value)


@given(
    st.lists(maps(void=False, min_pixels=1), min_size=1, max_size=6),
    st.sampled_from(["dataset", "per_image", "per_class_per_image"]),
    st.sampled_from(["iou", "recall"]),
    st.floats(0.01, 1),
)
def test_aggregates_are_those_of_the_images(
    cases: list[tuple[np.ndarray, np.ndarray, int]], aggregation: Any, name: str, worst: float
) -> None:
    preds, targets = [case[0] for case in cases], [case[1] for case in cases]
    per_image = np.stack([count(p, t, 5) for p, t in zip(preds, targets, strict=True)])
    options = {} if aggregation == "dataset" else {"worst": worst}
    got = pixel.aggregate(per_image, getattr(pixel, name), aggregation=aggregation, **options)
    expected = twins.aggregate(
        preds, targets, getattr(twins, name), num_classes=5, aggregation=aggregation, **options
    )
    equal(got.value, expected)


@given(maps(), st.data())
def test_group_scores_are_those_of_the_pixels(
    case: tuple[np.ndarray, np.ndarray, int], data: st.DataObject
) -> None:
    pred, target, num_classes = case
    members = st.lists(st.integers(0, num_classes - 1), min_size=1, unique=True)
    groups = {"one": data.draw(members), "other": data.draw(members)}
    got = pixel.group_scores(count(pred, target, num_classes), groups)
    expected = twins.group_scores(pred, target, num_classes=num_classes, groups=groups)
    for name, scores in expected.items():
        for score, value in scores.items():
            equal(got[name][score], value)


@given(maps(), st.integers(1, 6))
def test_top_confusions_are_those_of_the_pixels(
    case: tuple[np.ndarray, np.ndarray, int], k: int
) -> None:
    pred, target, num_classes = case
    found = pixel.top_confusions(count(pred, target, num_classes), k)
    got = [
        (c.target_class, num_classes if c.pred_class is None else c.pred_class, c.count)
        for c in found
    ]
    assert got == twins.top_confusions(pred, target, num_classes=num_classes, k=k)


# ---------------------------------------------------------------- peers


@settings(max_examples=40)  # dozens of calls of milliseconds
@given(case=maps(void=False, min_pixels=1))
def test_scikit_learn(
    peer: Callable[[str], ModuleType], case: tuple[np.ndarray, np.ndarray, int]
) -> None:
    sk = peer("sklearn.metrics")
    pred, target, num_classes = case
    matrix = count(pred, target, num_classes)
    options: dict[str, Any] = {"labels": range(num_classes), "average": None, "zero_division": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # single labels, classes without samples
        for beta in (0.5, 1.0, 2.0):
            parts = sk.precision_recall_fscore_support(target, pred, beta=beta, **options)
            equal(pixel.precision(matrix, absent="zero"), parts[0])
            equal(pixel.recall(matrix, absent="zero"), parts[1])
            equal(pixel.f_beta(matrix, beta=beta, absent="zero"), parts[2])
            np.testing.assert_array_equal(pixel.support(matrix), parts[3])
        equal(pixel.iou(matrix, absent="zero"), sk.jaccard_score(target, pred, **options))
        equal(pixel.mean_accuracy(matrix), sk.balanced_accuracy_score(target, pred))
        equal(pixel.pixel_accuracy(matrix), sk.accuracy_score(target, pred))
        equal(pixel.matthews_corrcoef(matrix, absent="zero"), sk.matthews_corrcoef(target, pred))
        for weights in (None, "linear", "quadratic"):
            expected = sk.cohen_kappa_score(
                target, pred, labels=range(num_classes), weights=weights
            )
            equal(pixel.cohen_kappa(matrix, weights=weights), expected)
        for by in ("true", "pred", "all"):
            expected = sk.confusion_matrix(target, pred, labels=range(num_classes), normalize=by)
            equal(pixel.normalize(matrix[:, :num_classes], by, absent="zero"), expected)
    equal(pixel.adjusted_rand_index(matrix), sk.adjusted_rand_score(target, pred))
    equal(pixel.rand_index(matrix), sk.rand_score(target, pred))
    equal(pixel.mutual_information(matrix), sk.mutual_info_score(target, pred))


@settings(max_examples=40)
@given(case=maps(min_pixels=1))
def test_void_is_one_more_label_to_scikit_learn(
    peer: Callable[[str], ModuleType], case: tuple[np.ndarray, np.ndarray, int]
) -> None:
    sk = peer("sklearn.metrics")
    pred, target, num_classes = case  # void pixels have the label C
    matrix = count(pred, target, num_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        equal(pixel.matthews_corrcoef(matrix, absent="zero"), sk.matthews_corrcoef(target, pred))
        equal(pixel.cohen_kappa(matrix), sk.cohen_kappa_score(target, pred))
        equal(pixel.mean_accuracy(matrix), sk.balanced_accuracy_score(target, pred))
    equal(pixel.adjusted_rand_index(matrix), sk.adjusted_rand_score(target, pred))
    equal(pixel.mutual_information(matrix), sk.mutual_info_score(target, pred))


def test_torchmetrics(peer: Callable[[str], ModuleType]) -> None:
    torch = peer("torch")
    classification = peer("torchmetrics.functional.classification")
    segmentation = peer("torchmetrics.functional.segmentation")
    rng = np.random.default_rng(7)
    num_classes = 6
    for share_right in (0.1, 0.6, 0.95):
        target = rng.integers(0, num_classes, (2, 40, 50))
        wrong = rng.integers(0, num_classes, target.shape)
        pred = np.where(rng.random(target.shape) < share_right, target, wrong)
        matrix = count(pred, target, num_classes)
        p, t = torch.from_numpy(pred), torch.from_numpy(target)
        each = {"num_classes": num_classes, "average": "none"}
        close = {"rtol": 1e-5, "atol": 1e-6}  # the peer computes in float32
        equal(pixel.iou(matrix), classification.multiclass_jaccard_index(p, t, **each), **close)
        equal(pixel.dice(matrix), classification.multiclass_f1_score(p, t, **each), **close)
        expected = classification.multiclass_specificity(p, t, **each)
        equal(pixel.specificity(matrix), expected, **close)
        expected = classification.multiclass_matthews_corrcoef(p, t, num_classes)
        equal(pixel.matthews_corrcoef(matrix), expected, **close)
        for weights in (None, "linear", "quadratic"):
            expected = classification.multiclass_cohen_kappa(p, t, num_classes, weights=weights)
            equal(pixel.cohen_kappa(matrix, weights=weights), expected, **close)
        per_image = np.stack([count(a, b, num_classes) for a, b in zip(pred, target, strict=True)])
        expected = segmentation.dice_score(p, t, num_classes, average="none", input_format="index")
        equal(pixel.dice(per_image), expected, **close)
        expected = segmentation.mean_iou(p, t, num_classes, input_format="index")
        equal(pixel.mean_iou(per_image), expected, **close)


# ---------------------------------------------------------------- numbers by hand, and from papers


def test_two_classes_by_hand() -> None:
    # Rows are target: class 0 has 6 right and 2 wrong pixels, class 1 has 3 right and 1 wrong.
    matrix = [[6, 2], [1, 3]]
    expected = {
        "iou": [6 / 9, 3 / 6],
        "dice": [12 / 15, 6 / 9],
        "recall": [6 / 8, 3 / 4],
        "precision": [6 / 7, 3 / 5],
        "specificity": [3 / 4, 6 / 8],
        "negative_predictive_value": [3 / 5, 6 / 7],
        "volumetric_similarity": [1 - 1 / 15, 1 - 1 / 9],
        "informedness": [6 / 8 + 3 / 4 - 1] * 2,
        "markedness": [6 / 7 + 3 / 5 - 1] * 2,
        "matthews_corrcoef_per_class": [16 / math.sqrt(7 * 8 * 5 * 4)] * 2,
    }
    for name, values in expected.items():
        equal(getattr(pixel, name)(matrix), values)
    equal(pixel.f_beta(matrix, beta=2), [5 * 6 / (5 * 6 + 4 * 2 + 1), 5 * 3 / (5 * 3 + 4 + 2)])
    equal(pixel.pixel_accuracy(matrix), 9 / 12)
    equal(pixel.mean_iou(matrix), 7 / 12)
    equal(pixel.frequency_weighted_iou(matrix), 8 / 12 * 6 / 9 + 4 / 12 * 3 / 6)
    equal(pixel.matthews_corrcoef(matrix), 16 / math.sqrt(7 * 8 * 5 * 4))
    # Chance agreement (8 * 7 + 4 * 5) / 144 = 76 / 144.
    equal(pixel.cohen_kappa(matrix), (9 / 12 - 76 / 144) / (1 - 76 / 144))
    # Of 66 pairs the target joins 28 + 6, pred 21 + 10, both 15 + 1 + 0 + 3.
    equal(pixel.rand_index(matrix), (19 + 66 - 34 - 31 + 19) / 66)
    chance = 34 * 31 / 66
    equal(pixel.adjusted_rand_index(matrix), (19 - chance) / ((34 + 31) / 2 - chance))


def test_weights_of_tversky_go_to_false_positives_and_false_negatives() -> None:
    # Class 1: TP 10, FP 20 (row 0), FN 5 (row 1).
    matrix = [[0, 20], [5, 10]]
    assert pixel.tversky_index(matrix, alpha=1, beta=0)[1] == pytest.approx(10 / 30)
    assert pixel.tversky_index(matrix, alpha=0, beta=1)[1] == pytest.approx(10 / 15)


@pytest.mark.parametrize(
    ("weights", "disagreement", "chance"),
    [
        (None, 3 / 9, 6 / 9),
        ("linear", 4 / 9, 8 / 9),
        ("quadratic", 6 / 9, 12 / 9),
    ],
)
def test_weighted_kappa_by_hand(weights: Any, disagreement: float, chance: float) -> None:
    # Nine pixels, all margins 3: one pixel 0 -> 1, one 1 -> 2, one 2 -> 0 (two steps).
    matrix = [[2, 1, 0], [0, 2, 1], [1, 0, 2]]
    equal(pixel.cohen_kappa(matrix, weights=weights), 1 - disagreement / chance)


def test_numbers_from_papers() -> None:
    # Chicco and Jurman, BMC Genomics 21:6 (2020): accuracy 0.91, F1 0.9524, MCC 0.14.
    matrix = [[1, 4], [5, 90]]
    assert float(pixel.pixel_accuracy(matrix)) == 0.91
    assert pixel.dice(matrix)[1] == pytest.approx(0.9524, abs=5e-5)
    assert float(pixel.matthews_corrcoef(matrix)) == pytest.approx(0.14, abs=5e-3)
    # Cohen (1968), table 1 (200 cases): unweighted kappa 0.492.
    table = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
    assert float(pixel.cohen_kappa(table)) == pytest.approx(0.492, abs=5e-4)
    # Youden (1950): J is 0 for a test that finds the same share of the ill and the healthy.
    assert pixel.informedness([[30, 10], [15, 5]])[1] == 0


def test_entropies_by_hand() -> None:
    # pred joins the four classes of the target in pairs: it keeps 1 of 2 bits.
    matrix = np.zeros((4, 4), int)
    matrix[[0, 1, 2, 3], [0, 0, 1, 1]] = 7
    equal(pixel.mutual_information(matrix, base=2), 1)
    equal(pixel.mutual_information(matrix), math.log(2))
    equal(pixel.variation_of_information(matrix, base=2), 1)
    # Independent maps share nothing, and never less, as rounding here would have it.
    for rows, columns in (([1, 2, 3], [4, 5, 6]), ([1, 3], [4, 1]), ([1, 4], [7, 1])):
        assert 0 <= float(pixel.mutual_information(np.outer(rows, columns))) < 1e-15


def test_fine_grained_iou_by_hand() -> None:
    per_image = [
        [[8, 0, 0], [0, 2, 0], [0, 0, 0]],  # classes 0 and 1, both 1
        [[4, 4, 0], [1, 1, 0], [0, 0, 0]],  # 4/9 and 1/6
        [[3, 0, 3], [0, 0, 0], [0, 0, 0]],  # 1/2; class 2 is only predicted
    ]
    result = pixel.fine_grained_iou(per_image, worst=0.34)
    # Over the data set class 2 has pixels (in pred), so it counts with 0; in no image it does.
    equal(result["mIoU_D"], (15 / 23 + 3 / 8 + 0) / 3)
    images = [1, (4 / 9 + 1 / 6) / 2, 1 / 2]
    equal(result["mIoU_I"], sum(images) / 3)
    equal(result["mIoU_C"], ((1 + 4 / 9 + 1 / 2) / 3 + (1 + 1 / 6) / 2) / 2)
    equal(result["mIoU_I_q"], images[1])
    equal(result["mIoU_C_q"], (4 / 9 + 1 / 6) / 2)
    # floor(q 3) for q = 0.1 ... 1 is 0 (taken as 1) up to 0.6, 2 up to 0.9, then 3.
    by_number = [images[1], (images[1] + images[2]) / 2, sum(images) / 3]
    equal(result["mIoU_I_qbar"], (6 * by_number[0] + 3 * by_number[1] + by_number[2]) / 10)
    assert result["images"] == 3
    assert result["undefined_images"] == 0


# ---------------------------------------------------------------- batches and input forms


@given(matrices(batch=3))
def test_a_batch_is_a_loop(batch: np.ndarray) -> None:
    for name, options in [*EVERY_SCORE, *((name, {}) for name in COUNTS), ("normalize", {})]:
        function = getattr(pixel, name)
        looped = np.stack([np.asarray(function(matrix, **options)) for matrix in batch])
        # Sums over more axes may round in another order; what has no such sum is bit-equal.
        tolerance = {"rtol": 1e-12} if name in dict(WHOLE) else {"rtol": 0, "atol": 0}
        equal(function(batch, **options), looped, **tolerance)
        equal(function(batch[:, None], **options)[:, 0], looped, **tolerance)
    groups = {"first": [0], "all": range(batch.shape[-2])}
    looped = np.stack([pixel.group_counts(matrix, groups) for matrix in batch])
    np.testing.assert_array_equal(pixel.group_counts(batch, groups), looped)


def test_a_batch_of_no_images() -> None:
    empty = np.zeros((0, 3, 3), np.int64)
    for name, options in EVERY_SCORE:
        expected = (0, 3) if name in CLASS_SCORES else (0,)
        assert getattr(pixel, name)(empty, **options).shape == expected, name
    assert pixel.group_counts(empty, {"a": [0]}).shape == (0, 1, 2, 2)
    for aggregation in ("dataset", "per_image", "per_class_per_image"):
        assert math.isnan(pixel.aggregate(empty, aggregation=aggregation).value)
    assert math.isnan(pixel.fine_grained_iou(empty)["mIoU_I"])


def test_a_wide_batch_is_told_from_a_square_one_by_its_last_axes() -> None:
    assert pixel.iou(np.ones((3, 2, 3), int)).shape == (3, 2)
    assert pixel.iou(np.ones((2, 3, 3), int)).shape == (2, 3)


def test_an_object_with_a_matrix_is_a_matrix() -> None:
    matrix = np.array([[6, 2], [1, 3]])
    holder = SimpleNamespace(matrix=matrix)
    for name, options in EVERY_SCORE:
        function = getattr(pixel, name)
        np.testing.assert_array_equal(function(holder, **options), function(matrix, **options))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.float32, object])
def test_every_number_type_gives_the_same(dtype: Any) -> None:
    matrix = np.array([[60, 2, 0], [100, 3, 7], [0, 0, 250]])
    for name, options in EVERY_SCORE:
        function = getattr(pixel, name)
        equal(function(matrix.astype(dtype), **options), function(matrix, **options))


def test_input_is_left_alone() -> None:
    matrix = np.array([[6.0, 2.0], [1.0, 3.0]])
    matrix.setflags(write=False)
    for name, options in [*EVERY_SCORE, *((name, {}) for name in COUNTS), ("normalize", {})]:
        result = getattr(pixel, name)(matrix, **options)
        assert not np.shares_memory(result, matrix), name
    pixel.top_confusions(matrix)
    pixel.scores(matrix)


# ---------------------------------------------------------------- void


def test_void_is_a_miss_and_nobodys_false_alarm() -> None:
    matrix = [[4, 1, 3], [0, 2, 0]]
    np.testing.assert_array_equal(pixel.true_positives(matrix), [4, 2])
    np.testing.assert_array_equal(pixel.false_negatives(matrix), [4, 0])
    np.testing.assert_array_equal(pixel.false_positives(matrix), [0, 1])
    np.testing.assert_array_equal(pixel.true_negatives(matrix), [2, 7])
    np.testing.assert_array_equal(pixel.support(matrix), [8, 2])
    equal(pixel.pixel_accuracy(matrix), 6 / 10)
    equal(pixel.iou(matrix), [4 / 8, 2 / 3])
    equal(pixel.precision(matrix), [1, 2 / 3])
    # One step for 0 -> 1 and, two classes having no longer step, one for void.
    equal(pixel.cohen_kappa(matrix, weights="linear"), pixel.cohen_kappa(matrix))


def test_void_is_the_largest_disagreement_of_weighted_kappa() -> None:
    matrix = [[3, 0, 0, 1], [0, 3, 0, 0], [0, 0, 3, 0]]
    observed = {"linear": 2 / 10, "quadratic": 4 / 10}
    pairs = {(i, j): t * p for i, t in enumerate([4, 3, 3]) for j, p in enumerate([3, 3, 3, 1])}
    for power, weights in ((1, "linear"), (2, "quadratic")):
        steps = {(i, j): 2 if j == 3 else abs(i - j) for i, j in pairs}
        chance = sum(steps[cell] ** power * pairs[cell] for cell in pairs) / 100
        equal(pixel.cohen_kappa(matrix, weights=weights), 1 - observed[weights] / chance)


@given(matrices())
def test_an_empty_void_column_changes_nothing(matrix: np.ndarray) -> None:
    rows = matrix.shape[0]
    narrow = matrix[:, :rows]
    wide = np.concatenate([narrow, np.zeros((rows, 1), np.int64)], axis=1)
    for name, options in [*EVERY_SCORE, *((name, {}) for name in COUNTS)]:
        function = getattr(pixel, name)
        equal(function(wide, **options), function(narrow, **options))


# ---------------------------------------------------------------- absent classes, 0 / 0


def test_absent_class_policies() -> None:
    # Class 0 is fine, 1 only in the target, 2 only in pred, 3 in neither.
    matrix = [[5, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    for name in ("iou", "dice", "recall", "precision", "f_beta", "volumetric_similarity"):
        function = getattr(pixel, name)
        assert 0 < function(matrix)[0] < 1
        np.testing.assert_array_equal(function(matrix)[1:], [0, 0, np.nan])
        np.testing.assert_array_equal(function(matrix, absent="zero")[1:], [0, 0, 0])
        np.testing.assert_array_equal(function(matrix, absent="one")[1:], [0, 0, 1])
        np.testing.assert_array_equal(function(matrix, present="target")[1:], [0, np.nan, np.nan])
        with pytest.raises(ValueError, match=r'undefined.*index \[3\].*absent="raise"'):
            function(matrix, absent="raise")
    iou = 5 / 8
    equal(pixel.mean_iou(matrix), iou / 3)
    equal(pixel.mean_iou(matrix, absent="zero"), iou / 4)
    equal(pixel.mean_iou(matrix, absent="one"), (iou + 1) / 4)
    equal(pixel.mean_iou(matrix, present="target"), iou / 2)
    equal(pixel.mean_iou(matrix, classes=[0, 3]), iou)
    equal(pixel.mean_iou(matrix, absent="raise", classes=[0, 2]), iou / 2)
    with pytest.raises(ValueError, match="mean iou is undefined"):
        pixel.mean_iou(matrix, absent="raise")
    assert math.isnan(pixel.mean_iou(matrix, classes=[3]))


def test_mean_accuracy_is_over_the_target_mean_recall_over_both() -> None:
    matrix = [[6, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert float(pixel.mean_accuracy(matrix)) == 0.75
    assert float(pixel.mean_recall(matrix)) == 0.375


@pytest.mark.parametrize("name", sorted(TWO_SIDED))
def test_two_sided_scores_need_a_complement(name: str) -> None:
    everything_is_class_0 = [[5, 0], [0, 0]]
    values = getattr(pixel, name)(everything_is_class_0)
    np.testing.assert_array_equal(values, [np.nan, np.nan])
    values = getattr(pixel, name)(everything_is_class_0, absent="one")
    np.testing.assert_array_equal(values, [1, 1])


def test_scores_without_spread_are_chance() -> None:
    pred_is_constant = [[5, 0], [3, 0]]
    assert float(pixel.matthews_corrcoef(pred_is_constant)) == 0
    assert float(pixel.cohen_kappa(pred_is_constant)) == 0
    np.testing.assert_array_equal(pixel.markedness(pred_is_constant), [0, 0])
    different_constants = [[0, 8], [0, 0]]
    assert float(pixel.matthews_corrcoef(different_constants)) == 0
    assert float(pixel.cohen_kappa(different_constants)) == 0


@pytest.mark.parametrize("name", ["cohen_kappa", "matthews_corrcoef"])
@pytest.mark.parametrize("matrix", [[[7, 0], [0, 0]], [[0, 0], [0, 0]]])
def test_agreement_of_one_and_the_same_class_is_undefined(name: str, matrix: Any) -> None:
    function = getattr(pixel, name)
    assert math.isnan(function(matrix))
    assert float(function(matrix, absent="zero")) == 0
    assert float(function(matrix, absent="one")) == 1
    with pytest.raises(ValueError, match=f"{name} is undefined"):
        function(matrix, absent="raise")


@pytest.mark.parametrize(
    "name", ["pixel_accuracy", "frequency_weighted_iou", "mean_iou", *PARTITION]
)
def test_no_pixel_at_all(name: str) -> None:
    function = getattr(pixel, name)
    assert math.isnan(function(np.zeros((2, 3), int)))
    assert float(function(np.zeros((2, 3), int), absent="zero")) == 0
    with pytest.raises(ValueError, match="undefined"):
        function(np.zeros((2, 3), int), absent="raise")


def test_a_single_pixel_has_no_pair_to_disagree_on() -> None:
    assert float(pixel.rand_index([[0, 1], [0, 0]])) == 1
    assert float(pixel.adjusted_rand_index([[0, 1], [0, 0]])) == 1


# ---------------------------------------------------------------- huge counts


def exact_pairs(rows: list[list[int]]) -> tuple[int, int, int, int]:
    """Unordered pairs joined by both, target only, pred only, neither; by the formula on paper."""
    both = sum(math.comb(m, 2) for row in rows for m in row)
    target = sum(math.comb(sum(row), 2) for row in rows)
    pred = sum(math.comb(sum(column), 2) for column in zip(*rows, strict=True))
    total = math.comb(sum(map(sum, rows)), 2)
    return both, target - both, pred - both, total - target - pred + both


def exact_determinant(rows: list[list[int]], k: int) -> tuple[int, int, int]:
    """TP TN - FP FN of class k, positives times negatives, predicted times not predicted."""
    n = sum(map(sum, rows))
    t, p, hit = sum(rows[k]), sum(row[k] for row in rows), rows[k][k]
    return hit * (n - t - p + hit) - (p - hit) * (t - hit), t * (n - t), p * (n - p)


@given(matrices(largest=2**62))
def test_huge_counts_stay_exact(matrix: np.ndarray) -> None:
    rows = [[int(m) for m in row] for row in matrix]
    n, classes = sum(map(sum, rows)), range(len(rows))
    target = [sum(row) for row in rows]
    pred = [sum(column) for column in zip(*rows, strict=True)]
    for k in classes:
        union = target[k] + pred[k] - rows[k][k]
        if union:
            equal(pixel.iou(matrix)[k], Fraction(rows[k][k], union), rtol=1e-15, atol=0)
        determinant, spread_target, spread_pred = exact_determinant(rows, k)
        if spread_target and spread_pred:
            close = {"rtol": 1e-14, "atol": 0}
            equal(pixel.informedness(matrix)[k], Fraction(determinant, spread_target), **close)
            equal(pixel.markedness(matrix)[k], Fraction(determinant, spread_pred), **close)
            squared = Fraction(determinant**2, spread_target * spread_pred)
            value = pixel.matthews_corrcoef_per_class(matrix)[k]
            equal(value * abs(value), math.copysign(squared, determinant), **close)
    true_negatives = [n - target[k] - pred[k] + rows[k][k] for k in classes]
    assert pixel.true_negatives(matrix).tolist() == true_negatives
    expected = sum(target[k] * pred[k] for k in classes)
    if n * n != expected:
        right = sum(rows[k][k] for k in classes)
        kappa = Fraction(n * right - expected, n * n - expected)
        equal(pixel.cohen_kappa(matrix), kappa, rtol=0, atol=1e-14)
    spread = (n * n - sum(t * t for t in target)) * (n * n - sum(p * p for p in pred))
    if spread:
        covariance = n * sum(rows[k][k] for k in classes) - expected
        value = float(pixel.matthews_corrcoef(matrix))
        squared = Fraction(covariance**2, spread)
        equal(value * abs(value), math.copysign(squared, covariance), rtol=1e-14, atol=0)
    both, target_only, pred_only, neither = exact_pairs(rows)
    if target_only or pred_only:
        total = both + target_only + pred_only + neither
        equal(pixel.rand_index(matrix), Fraction(both + neither, total), rtol=1e-14, atol=0)
        index = Fraction(
            2 * (both * neither - target_only * pred_only),
            (both + target_only) * (target_only + neither)
            + (both + pred_only) * (pred_only + neither),
        )
        equal(pixel.adjusted_rand_index(matrix), index, rtol=1e-14, atol=0)


def test_three_wrong_pixels_of_a_million_million() -> None:
    n = 10**12
    matrix = [[n - 8, 2], [1, 5]]
    # In float64 n² - (n - 6)² - 6² loses every digit of what is left.
    determinant, target, pred = exact_determinant(matrix, 1)
    equal(pixel.matthews_corrcoef(matrix), determinant / math.sqrt(target * pred), rtol=1e-14)
    equal(pixel.dice(matrix)[1], 10 / 13)
    equal(pixel.pixel_accuracy(matrix), 1 - 3 / n, rtol=1e-16)
    both, target_only, pred_only, neither = exact_pairs(matrix)
    index = Fraction(
        2 * (both * neither - target_only * pred_only),
        (both + target_only) * (target_only + neither) + (both + pred_only) * (pred_only + neither),
    )
    equal(pixel.adjusted_rand_index(matrix), index, rtol=1e-14)


def test_sums_beyond_int64() -> None:
    huge = 2**62
    matrix = np.full((3, 3), huge)
    np.testing.assert_array_equal(pixel.true_positives(matrix), [huge] * 3)
    assert pixel.true_positives(matrix).dtype == np.int64
    assert pixel.support(matrix).tolist() == [3 * huge] * 3
    equal(pixel.iou(matrix), [1 / 5] * 3)
    equal(pixel.cohen_kappa(matrix), 0)
    assert pixel.group_counts(matrix, {"a": [0, 1]}).tolist() == [
        [[huge, 2 * huge], [2 * huge, 4 * huge]]
    ]
    for images in (np.full((4, 2, 2), huge), np.full((16, 2, 2), 2**60)):
        equal(pixel.aggregate(images).value, 1 / 3)
    assert pixel.scores(matrix)["pixels"] == 9 * huge
    np.testing.assert_array_equal(pixel.iou([[2**70, 2**70], [0, 2**71]]), [1 / 2, 2 / 3])


# ---------------------------------------------------------------- weighted counts


@given(matrices(), st.sampled_from([1e-200, 0.1, 1 / 3, 7.0, 1e200]))
def test_scores_do_not_depend_on_the_unit_of_weight(matrix: np.ndarray, unit: float) -> None:
    for name, options in EVERY_SCORE:
        if name not in ("rand_index", "adjusted_rand_index"):
            function = getattr(pixel, name)
            equal(function(matrix * unit, **options), function(matrix, **options), atol=1e-10)


def test_a_small_weight_beside_a_large_one_is_not_lost() -> None:
    matrix = np.array([[1e16, 0.5, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 0.25]])
    np.testing.assert_array_equal(pixel.false_negatives(matrix), [0.5, 0.25, 0.0])
    np.testing.assert_array_equal(pixel.false_positives(matrix), [0.25, 0.5, 0.0])
    np.testing.assert_array_equal(pixel.true_negatives(matrix)[0], 1.0)


def test_pairs_need_whole_pixels() -> None:
    whole = np.array([[6, 2], [1, 3]])
    for name in ("rand_index", "adjusted_rand_index"):
        function = getattr(pixel, name)
        assert function(whole.astype(float)) == function(whole)
        with pytest.raises(ValueError, match=f"{name} counts pairs"):
            function(whole * 0.5)


# ---------------------------------------------------------------- properties


@given(matrices(), st.data())
def test_renaming_the_classes_in_both_maps_moves_the_scores_along(
    matrix: np.ndarray, data: st.DataObject
) -> None:
    rows = matrix.shape[0]
    order = data.draw(st.permutations(range(rows)))
    columns = [*order, *range(rows, matrix.shape[1])]
    renamed = matrix[np.ix_(order, columns)]
    for name, options in CLASS_SCORES.items():
        function = getattr(pixel, name)
        equal(function(renamed, **options), function(matrix, **options)[order])
    for name, options in [*MEANS.items(), *WHOLE]:
        if "weights" not in options:
            function = getattr(pixel, name)
            equal(function(renamed, **options), function(matrix, **options))


@given(matrices(), st.data())
def test_partitions_have_no_names(matrix: np.ndarray, data: st.DataObject) -> None:
    columns = data.draw(st.permutations(range(matrix.shape[1])))
    for name in PARTITION:
        function = getattr(pixel, name)
        equal(function(matrix[:, columns]), function(matrix))


@given(matrices())
def test_swapping_the_maps_swaps_the_two_kinds_of_error(matrix: np.ndarray) -> None:
    matrix = matrix[:, : matrix.shape[0]]
    swapped = matrix.T
    for one, other in (
        ("precision", "recall"),
        ("specificity", "negative_predictive_value"),
        ("informedness", "markedness"),
        *((name, name) for name in ("iou", "dice", "volumetric_similarity", "cohen_kappa")),
        *((name, name) for name in ("matthews_corrcoef", *PARTITION)),
    ):
        equal(getattr(pixel, one)(swapped), getattr(pixel, other)(matrix))


@given(matrices())
def test_identities_between_scores(matrix: np.ndarray) -> None:
    iou = pixel.iou(matrix)
    equal(pixel.dice(matrix), 2 * iou / (1 + iou))
    equal(pixel.tversky_index(matrix, alpha=1, beta=1), iou)
    equal(pixel.tversky_index(matrix), pixel.dice(matrix))
    equal(pixel.f_beta(matrix), pixel.dice(matrix))
    equal(pixel.f_beta(matrix, beta=0), pixel.precision(matrix))
    product = pixel.informedness(matrix) * pixel.markedness(matrix)
    equal(pixel.matthews_corrcoef_per_class(matrix) ** 2, product)
    shares = pixel.normalize(matrix, "all")
    entropies = [-(s[s > 0] * np.log(s[s > 0])).sum() for s in (shares.sum(0), shares.sum(1))]
    if matrix.any():
        information = pixel.mutual_information(matrix)
        equal(pixel.variation_of_information(matrix), sum(entropies) - 2 * information)


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_two_classes_have_one_correlation(entries: list[int]) -> None:
    matrix = np.array(entries).reshape(2, 2)
    whole, first = pixel.matthews_corrcoef(matrix), pixel.matthews_corrcoef_per_class(matrix)[0]
    equal(whole, first)


@given(matrices(), st.data())
def test_a_group_is_what_merged_labels_give(matrix: np.ndarray, data: st.DataObject) -> None:
    rows = matrix.shape[0]
    members = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, unique=True))
    inside_rows = np.isin(np.arange(rows), members).astype(int)
    inside_columns = np.isin(np.arange(matrix.shape[1]), members).astype(int)
    merged = np.zeros((2, 2), np.int64)
    np.add.at(merged, np.ix_(inside_rows, inside_columns), matrix)
    np.testing.assert_array_equal(pixel.group_counts(matrix, {"merged": members})[0], merged)


@given(matrices())
def test_a_group_of_one_class_is_the_class(matrix: np.ndarray) -> None:
    groups = {str(k): [k] for k in range(matrix.shape[0])}
    counts = pixel.group_counts(matrix, groups)
    for name, options in CLASS_SCORES.items():
        function = getattr(pixel, name)
        equal(function(counts, **options)[..., 1], function(matrix, **options))


@given(matrices())
def test_ranges(matrix: np.ndarray) -> None:
    for name, options in EVERY_SCORE:
        signed = "kappa" in name or "corrcoef" in name or "ness" in name or "adjusted" in name
        values = np.asarray(getattr(pixel, name)(matrix, **options))
        values = values[~np.isnan(values)]
        assert (values >= (-1 if signed else 0)).all(), name
        if name not in ("mutual_information", "variation_of_information"):
            assert (values <= 1 + 1e-15).all(), name


@given(st.lists(st.integers(0, 50), min_size=2, max_size=5).filter(lambda d: sum(map(bool, d)) > 1))
def test_a_perfect_prediction_is_perfect(diagonal: list[int]) -> None:
    matrix = np.diag(diagonal)
    for name, options in EVERY_SCORE:
        if name not in ("mutual_information", "variation_of_information"):
            values = np.asarray(getattr(pixel, name)(matrix, **options))
            assert (values[~np.isnan(values)] == 1).all(), name
    assert float(pixel.variation_of_information(matrix)) == 0


# ---------------------------------------------------------------- images


@given(matrices(batch=4))
def test_aggregations_are_what_their_names_say(images: np.ndarray) -> None:
    table = pixel.iou(images)

    def mean(values: Any) -> float:
        kept = [v for v in values if not math.isnan(v)]
        return sum(kept) / len(kept) if kept else math.nan

    equal(pixel.aggregate(images).value, pixel.mean_iou(images.sum(axis=0)))
    by_image = pixel.aggregate(images, aggregation="per_image")
    equal(by_image.value, mean([mean(row) for row in table]))
    assert by_image.cases + by_image.undefined == 4
    by_class = pixel.aggregate(images, aggregation="per_class_per_image")
    equal(by_class.per_class, [mean(column) for column in table.T])
    equal(by_class.value, mean([mean(column) for column in table.T]))
    assert by_class.cases + by_class.undefined == table.size
    assert by_class.undefined == np.isnan(table).sum()
    accuracy = pixel.aggregate(images, pixel.pixel_accuracy, aggregation="per_image")
    equal(accuracy.value, mean(pixel.pixel_accuracy(images)))


def test_worst_cases_are_a_floor_of_the_images_and_at_least_one() -> None:
    # Image k has IoU k / 100 of its only class.
    images = np.array([[[k, 100 - k], [0, 0]] for k in range(100)])
    foreground: dict[str, Any] = {"aggregation": "per_image", "classes": [0]}
    for worst, number in ((0.05, 5), (0.29, 29), (0.001, 1), (1.0, 100), (0.059, 5)):
        result = pixel.aggregate(images, worst=worst, **foreground)
        equal(result.value, np.arange(number).mean() / 100)
        assert result.cases == number
        assert result.worst == worst
    by_class = pixel.aggregate(images, aggregation="per_class_per_image", classes=[0], worst=0.1)
    equal(by_class.value, np.arange(10).mean() / 100)


def test_worst_cases_of_a_class_are_among_its_own_images() -> None:
    images = np.zeros((10, 2, 2), int)
    images[:, 0, 0] = 1
    images[:2, 1, 1] = [3, 1]
    images[:2, 1, 0] = [1, 3]  # class 1: IoU 3/4 and 1/4, in two images
    result = pixel.aggregate(images, aggregation="per_class_per_image", classes=[1], worst=0.5)
    equal(result.value, 1 / 4)
    assert (result.cases, result.undefined) == (1, 8)


def test_aggregate_refuses_what_it_cannot_mean() -> None:
    images = np.ones((2, 2, 2), int)
    with pytest.raises(ValueError, match="matrices must hold one matrix per image"):
        pixel.aggregate(images[0])
    with pytest.raises(ValueError, match="aggregation must be one of"):
        pixel.aggregate(images, aggregation="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="worst needs images"):
        pixel.aggregate(images, worst=0.1)
    with pytest.raises(ValueError, match=r"worst must be a fraction in \(0, 1\], got 5"):
        pixel.aggregate(images, aggregation="per_image", worst=5)
    with pytest.raises(ValueError, match="value per class"):
        pixel.aggregate(images, pixel.pixel_accuracy, aggregation="per_class_per_image")
    with pytest.raises(ValueError, match="value per class"):
        pixel.aggregate(images, pixel.pixel_accuracy, classes=[0])


# ---------------------------------------------------------------- summaries


def test_scores_is_every_function_under_its_name() -> None:
    matrix = np.array([[6, 2, 0, 1], [1, 3, 0, 0], [0, 0, 0, 0]])
    result = pixel.scores(matrix, class_names=["road", "car", "bus"], classes=[0, 2])
    assert json.loads(json.dumps(result))["pixels"] == 13
    assert result["void_pixels"] == 1
    assert result["classes_present"] == 1
    for name in [*MEANS, *(name for name, _ in WHOLE)]:
        if name in result:
            over = {"classes": [0, 2]} if name in MEANS else {}
            np.testing.assert_array_equal(result[name], getattr(pixel, name)(matrix, **over))
    missing = {name for name, _ in EVERY_SCORE} - set(result) - set(result["per_class"][0])
    assert missing == {
        "f_beta",  # need a parameter
        "tversky_index",
        "mean_f_beta",
        "matthews_corrcoef_per_class",  # "matthews_corrcoef" in a class's row
    }
    for k, row in enumerate(result["per_class"]):
        assert row["name"] == ["road", "car", "bus"][k]
        for name in CLASS_SCORES.keys() & row.keys():
            np.testing.assert_array_equal(row[name], getattr(pixel, name)(matrix)[k])
    assert result["per_class"][0]["target_pixels"] == 9
    assert result["per_class"][0]["pred_pixels"] == 7
    assert result["conventions"]["classes"] == [0, 2]


def test_scores_of_a_batch_and_policies() -> None:
    batch = np.array([[[6, 2], [1, 3]], [[4, 0], [0, 0]]])
    result = pixel.scores(batch)
    for k in range(2):
        one = pixel.scores(batch[k])
        np.testing.assert_array_equal(result["mean_iou"][k], one["mean_iou"])
        np.testing.assert_array_equal(result["per_class"][1]["iou"][k], one["per_class"][1]["iou"])
    assert pixel.scores(batch[1], absent="one")["per_class"][1]["iou"] == 1
    with pytest.raises(ValueError, match="undefined"):
        pixel.scores(batch[1], absent="raise")
    # "raise" is about the chosen classes; the other one is NaN in the table.
    three = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    chosen = pixel.scores(three, absent="raise", classes=[0, 1])
    assert math.isnan(chosen["per_class"][2]["iou"])
    assert math.isnan(pixel.scores(batch[0] * 0.3)["rand_index"])
    with pytest.raises(ValueError, match="class_names must name all 2 classes"):
        pixel.scores(batch, class_names=["a", "b", "c"])


def test_group_scores() -> None:
    # BraTS: labels 0 background, 1 necrosis, 2 oedema, 3 enhancing; regions overlap.
    matrix = [[90, 1, 2, 0], [0, 5, 1, 1], [3, 1, 20, 0], [0, 2, 0, 9]]
    groups = {"WT": [1, 2, 3], "TC": [1, 3], "ET": [3]}
    result = pixel.group_scores(matrix, groups)
    assert list(result) == ["WT", "TC", "ET"]
    assert result["WT"]["true_positives"] == 39
    equal(result["WT"]["dice"], 2 * 39 / (2 * 39 + 3 + 3))
    equal(result["TC"]["dice"], 2 * 17 / (2 * 17 + 2 + 1))
    equal(result["ET"]["iou"], 9 / 12)
    absent = pixel.group_scores([[3, 0], [0, 0]], {"lesion": [1]}, absent="one")
    assert absent["lesion"]["dice"] == 1


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "groups must name at least one group"),
        ({"a": []}, r"groups\['a'\] must be a non-empty sequence"),
        ({"a": [0, 2]}, r"groups\['a'\] must lie in 0..1"),
        ({"a": [1, 1]}, r"groups\['a'\] must name every class once"),
    ],
)
def test_groups_are_checked(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixel.group_counts([[1, 2], [3, 4]], groups)


def test_top_confusions() -> None:
    matrix = [[50, 3, 7, 2], [7, 20, 0, 0], [0, 0, 9, 1]]
    found = pixel.top_confusions(matrix, k=4, class_names=["road", "car", "bus"])
    assert [(c.target, c.pred, c.count) for c in found] == [
        ("road", "bus", 7),
        ("car", "road", 7),
        ("road", "car", 3),
        ("road", "void", 2),
    ]
    assert found[3].pred_class is None
    equal(found[0].share_of_target, 7 / 62)
    equal(found[0].share_of_errors, 7 / 20)
    assert len(pixel.top_confusions(matrix)) == 5  # cells without pixels are no confusion
    assert pixel.top_confusions([[5, 0], [0, 5]]) == []
    ties = pixel.top_confusions(np.ones((30, 30), int), k=40)
    assert [(c.target_class, c.pred_class) for c in ties] == [
        (i, j) for i in range(2) for j in range(30) if i != j
    ][:40]
    assert pixel.top_confusions([[0, 2**62], [2**62, 0]])[0].share_of_errors == 0.5
    with pytest.raises(ValueError, match="k must be at least 1"):
        pixel.top_confusions(matrix, k=0)
    with pytest.raises(ValueError, match="one matrix"):
        pixel.top_confusions([matrix])


def test_normalize_refuses_a_row_of_ones() -> None:
    with pytest.raises(ValueError, match="absent must be one of"):
        pixel.normalize([[1, 0], [0, 0]], absent="one")  # type: ignore[arg-type]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("matrix", "error", "message"),
    [
        (np.ones((2, 4), int), ValueError, r"matrix must end in two axes.*\(2, 4\)"),
        (np.ones((3, 2), int), ValueError, r"matrix must end in two axes.*\(3, 2\)"),
        (
            np.ones(4, int),
            ValueError,
            r"matrix must end in two axes.*confusion_matrix\(pred, target",
        ),
        (np.ones((0, 0), int), ValueError, "C >= 1"),
        (np.ones((0, 1), int), ValueError, "C >= 1"),
        ([[1, -2], [0, 1]], ValueError, r"not hold negative counts, got -2 at index \(0, 1\)"),
        ([[1.0, 2.0], [math.nan, 1.0]], ValueError, r"finite counts, got nan at index \(1, 0\)"),
        ([[1.0, math.inf], [0.0, 1.0]], ValueError, "finite counts, got inf"),
        ([[True, False], [False, True]], TypeError, "integer or float counts, got dtype bool"),
        ([["a", "b"], ["c", "d"]], TypeError, "integer or float counts"),
        ([[1j, 0], [0, 1]], TypeError, "integer or float counts, got dtype complex128"),
        ([[None, 0], [0, 1]], TypeError, "integer or float counts, got dtype object"),
    ],
)
def test_bad_matrices(matrix: Any, error: type[Exception], message: str) -> None:
    for function in (pixel.iou, pixel.cohen_kappa, pixel.rand_index, pixel.scores):
        with pytest.raises(error, match=message):
            function(matrix)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: pixel.iou(m, absent="skip"), "absent must be one of 'nan', 'zero'"),
        (lambda m: pixel.iou(m, present="pred"), "present must be one of 'any', 'target'"),
        (lambda m: pixel.f_beta(m, beta=-1), "beta must be a finite number of at least 0"),
        (lambda m: pixel.tversky_index(m, alpha=math.nan), "alpha must be a finite number"),
        (lambda m: pixel.cohen_kappa(m, weights="cubic"), "weights must be one of None, 'linear'"),
        (lambda m: pixel.mutual_information(m, base=1), "base must be a finite number above 1"),
        (lambda m: pixel.normalize(m, "rows"), "by must be one of 'true', 'pred', 'all'"),
        (lambda m: pixel.mean_iou(m, classes=[]), "classes must be a non-empty sequence"),
        (lambda m: pixel.mean_iou(m, classes=[0, 2]), r"classes must lie in 0..1, got \[0, 2\]"),
        (lambda m: pixel.mean_iou(m, classes=[-1]), r"classes must lie in 0..1"),
        (lambda m: pixel.mean_iou(m, classes=[1, 1]), "classes must name every class once"),
        (lambda m: pixel.mean_iou(m, classes=[0.5]), "sequence of class indices"),
    ],
)
def test_bad_options(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call([[1, 2], [3, 4]])


MAP = np.zeros((2, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: pixel.normalize(m, MAP), ValueError, "by must be one of .*, got ndarray"),
        (lambda m: pixel.iou(m, absent=MAP), ValueError, "absent must be one of .*, got ndarray"),
        (lambda m: pixel.group_counts(m, MAP), TypeError, "groups must map names .* got ndarray"),
        (lambda m: pixel.group_counts(m, "WT"), TypeError, "groups must map names .*, got 'WT'"),
        (
            lambda m: pixel.group_counts(m, {"a": 1}),
            ValueError,
            r"groups\['a'\] must be a non-empty",
        ),
        (lambda m: pixel.top_confusions(m, MAP), TypeError, "k must be an integer, got ndarray"),
        (lambda m: pixel.top_confusions(m, 1.5), TypeError, "k must be an integer, got 1.5"),
        (lambda m: pixel.scores(m, class_names=2), TypeError, "class_names must be a sequence of"),
        (lambda m: pixel.scores(m, class_names="ab"), TypeError, "sequence of names, got 'ab'"),
        (lambda m: pixel.mean_iou(m, classes=[[1], [0, 1]]), ValueError, "sequence of class ind"),
        (lambda m: pixel.mutual_information(m, base="2"), TypeError, "base must be a number, got"),
        (lambda m: pixel.f_beta(m, beta=True), TypeError, "beta must be a number, got True"),
        (lambda m: pixel.aggregate([m], "iou"), TypeError, "score must be a function .*'iou'"),
        (lambda m: pixel.fine_grained_iou([m], worst="x"), TypeError, "worst must be a number"),
        (lambda m: pixel.iou([*m, [1]]), ValueError, "matrix must have rows of one length"),
    ],
)
def test_arguments_of_another_type(call: Callable[[Any], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call([[1, 2], [3, 4]])
    assert "\n" not in str(caught.value)


def test_members_of_groups_may_be_a_set() -> None:
    matrix = [[5, 1, 0], [2, 4, 1], [0, 3, 6]]
    np.testing.assert_array_equal(
        pixel.group_counts(matrix, {"any": {1, 2}}),  # type: ignore[dict-item]
        pixel.group_counts(matrix, {"any": [1, 2]}),
    )


def test_a_huge_weight_is_a_weight() -> None:
    matrix = [[6, 2], [1, 3]]
    assert pixel.tversky_index(matrix, alpha=10**30, beta=0).tolist() == [6e-30, 1.5e-30]


@pytest.mark.parametrize("beta", [1e155, 1e200, 10**200, 1.7e308])
def test_a_huge_beta_leaves_recall(beta: float) -> None:
    matrix = [[6, 2], [1, 3]]
    np.testing.assert_allclose(pixel.f_beta(matrix, beta=beta), pixel.recall(matrix))
    with pytest.raises(ValueError, match="beta must be a finite number"):
        pixel.f_beta(matrix, beta=float("inf"))


def test_a_weight_that_is_no_number():
    with pytest.raises(TypeError, match="beta must be a number, got 'x'"):
        pixel.f_beta([[1, 0], [0, 1]], beta="x")  # type: ignore[arg-type]
