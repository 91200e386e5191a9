"""What the product promises, tested from the definitions alone.

Written against the definitions of the scores and the documented interface, without a look at the
implementation. The oracle is a loop over single pixels and exact fractions; numbers in the examples
were worked out by hand.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

import segmeter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VOID = "void"
INTEGER_TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")

# ---------------------------------------------------------------------------------- the oracle


class OutOfRangeError(ValueError):
    """The oracle's word for a label that the rules do not allow."""


def meaning(labels: Any, num_classes: int) -> dict[int, int | None]:
    """Class index of each label, in one form."""
    if labels is None:
        return {k: k for k in range(num_classes)}
    if isinstance(labels, Mapping):
        return dict(labels)
    return {label: k for k, label in enumerate(labels)}


def target_class(label: int, ignored: set[int], names: dict[int, int | None], reduce: bool) -> Any:
    """Class of a target pixel, None if it is left out."""
    if label in ignored:
        return None
    if reduce:
        if label == 0:
            return None
        label -= 1
    if label not in names:
        raise OutOfRangeError(f"target {label}")
    return names[label]


def pred_class(label: int, void: set[int], names: dict[int, int | None], gone: set[int]) -> Any:
    """Class of a predicted pixel, or void; `gone` are classes that ignoring has done away with."""
    if label in names:
        return VOID if names[label] is None or names[label] in gone else names[label]
    if label in void:
        return VOID
    raise OutOfRangeError(f"pred {label}")


def gone_classes(names: dict[int, int | None], ignored: set[int], reduce: bool) -> set[int]:
    """Classes that have target labels, all of them ignored."""
    labels: dict[int, list[int]] = {}
    for label, k in names.items():
        if k is not None:
            labels.setdefault(k, []).append(label + reduce)
    return {k for k, some in labels.items() if ignored.issuperset(some)}


def count(
    pred: Any,
    target: Any,
    *,
    num_classes: int,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    labels: Any = None,
    pred_labels: Any = None,
    reduce_zero_label: bool = False,
    out_of_range: str = "raise",
    void_column: bool | None = None,
) -> np.ndarray:
    """Confusion matrix, pixel after pixel, as it is defined."""
    with_void = out_of_range == "wrong" if void_column is None else void_column
    matrix = np.zeros((num_classes, num_classes + with_void), np.int64)
    ignored = set(np.atleast_1d([] if ignore_index is None else ignore_index).tolist())
    names = meaning(labels, num_classes)
    pred_names = names if pred_labels is None else meaning(pred_labels, num_classes)
    if pred_labels is None and not reduce_zero_label:  # one numbering: ignored is ignored
        pred_names = {label: k for label, k in names.items() if label not in ignored}
    void = ignored | {label for label, k in names.items() if k is None}
    gone = gone_classes(names, ignored, reduce_zero_label)
    left_out = np.zeros(np.shape(target), bool) if mask is None else np.asarray(mask)
    for p, t, out in zip(
        np.ravel(pred).tolist(), np.ravel(target).tolist(), np.ravel(left_out), strict=True
    ):
        if out:
            continue
        try:
            row = target_class(t, ignored, names, reduce_zero_label)
        except OutOfRangeError:
            if out_of_range != "ignore":
                raise
            row = None
        if row is None:
            continue
        try:
            column = pred_class(p, void, pred_names, gone)
        except OutOfRangeError:
            if out_of_range == "ignore":
                continue
            if out_of_range == "raise":
                raise
            column = VOID
        if column == VOID:
            if not with_void:
                raise OutOfRangeError("a void prediction has no column")
            column = num_classes
        matrix[row, column] += 1
    return matrix


def ratio(numerator: Any, denominator: Any) -> float:
    """Exact quotient; 0 where a present class has 0 / 0."""
    return float(Fraction(numerator) / Fraction(denominator)) if denominator else 0.0


def class_scores(matrix: Any) -> dict[str, list[float]]:
    """All class scores of one matrix by their formulas, NaN where they are undefined."""
    rows = np.asarray(matrix).tolist()
    pixels = sum(map(sum, rows))
    table: dict[str, list[float]] = {}
    for k, row in enumerate(rows):
        tp, fn = row[k], sum(row) - row[k]
        fp = sum(other[k] for other in rows) - tp
        tn = pixels - tp - fp - fn
        absent = tp + fp + fn == 0
        no_rest = tn + fp + fn == 0
        positive = {
            "iou": ratio(tp, tp + fp + fn),
            "dice": ratio(2 * tp, 2 * tp + fp + fn),
            "recall": ratio(tp, tp + fn),
            "precision": ratio(tp, tp + fp),
            "f2": ratio(5 * tp, 5 * tp + 4 * fn + fp),
            "tversky": ratio(tp, tp + Fraction(3, 10) * fp + Fraction(7, 10) * fn),
            "volumetric": 1 - ratio(abs(fn - fp), 2 * tp + fp + fn),
        }
        both_sides = {
            "specificity": ratio(tn, tn + fp),
            "npv": ratio(tn, tn + fn),
            "informedness": ratio(tp * tn - fp * fn, (tp + fn) * (fp + tn)),
            "markedness": ratio(tp * tn - fp * fn, (tp + fp) * (fn + tn)),
            "mcc": binary_mcc(tp, fp, fn, tn),
        }
        for name, value in positive.items():
            table.setdefault(name, []).append(math.nan if absent else value)
        for name, value in both_sides.items():
            table.setdefault(name, []).append(math.nan if absent or no_rest else value)
    return table


def binary_mcc(tp: int, fp: int, fn: int, tn: int) -> float:
    """Matthews correlation of a two by two table."""
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0


CLASS_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "iou": segmeter.iou,
    "dice": segmeter.dice,
    "recall": segmeter.recall,
    "precision": segmeter.precision,
    "f2": lambda m, **k: segmeter.f_beta(m, beta=2, **k),
    "tversky": lambda m, **k: segmeter.tversky_index(m, alpha=0.3, beta=0.7, **k),
    "volumetric": segmeter.volumetric_similarity,
    "specificity": segmeter.specificity,
    "npv": segmeter.negative_predictive_value,
    "informedness": segmeter.informedness,
    "markedness": segmeter.markedness,
    "mcc": segmeter.matthews_corrcoef_per_class,
}
MEAN_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "iou": segmeter.mean_iou,
    "dice": segmeter.mean_dice,
    "recall": segmeter.mean_recall,
    "precision": segmeter.mean_precision,
    "specificity": segmeter.mean_specificity,
    "f2": lambda m, **k: segmeter.mean_f_beta(m, beta=2, **k),
}
SINGLE_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "pixel_accuracy": segmeter.pixel_accuracy,
    "mean_accuracy": segmeter.mean_accuracy,
    "mean_iou": segmeter.mean_iou,
    "frequency_weighted_iou": segmeter.frequency_weighted_iou,
    "kappa": segmeter.cohen_kappa,
    "mcc": segmeter.matthews_corrcoef,
    "mi": segmeter.mutual_information,
    "vi": segmeter.variation_of_information,
    "rand": segmeter.rand_index,
    "ari": segmeter.adjusted_rand_index,
}


def close(actual: Any, expected: Any) -> None:
    """Equal to the last few bits, NaN in the same places."""
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-13, equal_nan=True)


def mean(values: Sequence[float]) -> float:
    """Mean of the numbers among the values, NaN if there is none."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def entropy(counts: Any) -> float:
    """Shannon entropy of counts in nats."""
    total = sum(counts)
    return -math.fsum(c / total * math.log(c / total) for c in counts if c)


# --------------------------------------------------------------------------------- strategies


@st.composite
def matrices(draw: st.DrawFn, *, min_classes: int = 1, void: bool | None = None) -> np.ndarray:
    """Small confusion matrices, often with empty rows and columns."""
    classes = draw(st.integers(min_classes, 5))
    wide = draw(st.booleans()) if void is None else void
    cells = draw(
        st.lists(
            st.one_of(st.just(0), st.integers(0, 9)),
            min_size=classes * (classes + wide),
            max_size=classes * (classes + wide),
        )
    )
    return np.array(cells, np.int64).reshape(classes, classes + wide)


@st.composite
def label_pairs(
    draw: st.DrawFn, *, classes: int | None = None, ndim: int | None = None
) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of classes, pred and target: clean label maps of one shape."""
    number = draw(st.integers(1, 6)) if classes is None else classes
    axes = draw(st.integers(1, 3)) if ndim is None else ndim
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=axes, max_size=axes)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    top = draw(st.integers(1, number))
    dtype = draw(st.sampled_from(INTEGER_TYPES))
    pred = generator.integers(0, top, shape).astype(dtype)
    target = generator.integers(0, number, shape).astype(draw(st.sampled_from(INTEGER_TYPES)))
    return number, pred, target


def label_rules(number: int) -> st.SearchStrategy[Any]:
    """No labels, a table of them, or a mapping that merges and ignores some."""
    ids = st.integers(-3, 12)
    table = st.lists(ids, min_size=number, max_size=number, unique=True)
    classes = st.one_of(st.none(), st.integers(0, number - 1))
    return st.one_of(st.none(), table, st.dictionaries(ids, classes, min_size=1, max_size=8))


@st.composite
def ruled_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Maps with any labels, and a combination of all the rules of reading them."""
    number = draw(st.integers(1, 4))
    rules: dict[str, Any] = {"num_classes": number}
    rules["labels"] = draw(label_rules(number))
    rules["pred_labels"] = draw(label_rules(number))
    rules["reduce_zero_label"] = draw(st.booleans())
    rules["out_of_range"] = draw(st.sampled_from(["raise", "ignore", "wrong"]))
    void = [None, True] if rules["out_of_range"] == "wrong" else [None, True, False]
    rules["void_column"] = draw(st.sampled_from(void))
    form = draw(st.sampled_from(["none", "one", "many", "mask"]))
    if form == "one":
        rules["ignore_index"] = draw(st.integers(-3, 12))
    elif form == "many":
        rules["ignore_index"] = draw(st.lists(st.integers(-3, 12), max_size=3, unique=True))
    ids = set(range(number)) | set(np.atleast_1d(rules.get("ignore_index", 0)).tolist())
    likely = {
        side: sorted(ids | set(meaning(rules[name] or rules["labels"], number)))
        for side, name in (("target", "labels"), ("pred", "pred_labels"))
    }
    size = draw(st.integers(0, 12))
    values = {
        side: st.one_of(
            st.sampled_from(meaningful(rules, side) or likely[side]),
            st.sampled_from(likely[side]),
            st.integers(-3, 12),
        )
        if draw(st.integers(0, 3)) == 0
        else st.sampled_from(meaningful(rules, side) or likely[side])
        for side in ("target", "pred")
    }
    pred, target = (
        np.array(draw(st.lists(values[side], min_size=size, max_size=size)), np.int64)
        for side in ("pred", "target")
    )
    if form == "mask":
        rules["mask"] = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool)
    return pred, target, rules


def meaningful(rules: dict[str, Any], side: str) -> list[int]:
    """Labels of one side that are classes under the rules, or ignored."""
    names = rules["labels"] if side == "target" else rules["pred_labels"] or rules["labels"]
    ids = list(meaning(names, rules["num_classes"]))
    return [0] + [k + 1 for k in ids] if side == "target" and rules["reduce_zero_label"] else ids


def product_rules(rules: dict[str, Any]) -> dict[str, Any]:
    """The oracle's options as the product takes them: a mask is one form of ignore_index."""
    return {"ignore_index" if k == "mask" else k: v for k, v in rules.items()}


# ------------------------------------------------------------------- confusion matrix, examples


def test_rows_are_target_and_columns_are_pred() -> None:
    target = [[0, 0, 0, 1], [1, 1, 2, 2]]
    pred = [[0, 1, 1, 1], [1, 2, 2, 0]]
    matrix = segmeter.confusion_matrix(pred, target, num_classes=3)
    assert matrix.tolist() == [[1, 2, 0], [0, 2, 1], [1, 0, 1]]
    assert matrix.dtype == np.int64


@pytest.mark.parametrize(
    ("pred", "target", "options", "expected"),
    [
        pytest.param([0, 1, 2], [0, 255, 255], {"ignore_index": 255}, [[1, 0], [0, 0]], id="one"),
        pytest.param(
            [0, 1, 0], [0, 255, -1], {"ignore_index": [255, -1]}, [[1, 0], [0, 0]], id="several"
        ),
        pytest.param([0, 9], [9, 9], {"ignore_index": 9}, [[0, 0], [0, 0]], id="all"),
        pytest.param(
            [0, 1, 0],
            [0, 77, 1],
            {"ignore_index": np.array([False, True, False])},
            [[1, 0], [1, 0]],
            id="mask, whatever lies below",
        ),
        pytest.param(
            [255, 1, 255],
            [0, 1, 255],
            {"ignore_index": 255, "void_column": True},
            [[0, 0, 1], [0, 1, 0]],
            id="predicted ignore label is void on counted pixels only",
        ),
        pytest.param(
            [1, 1, 0],
            [0, 1, 0],
            {"ignore_index": 1, "void_column": True},
            [[1, 0, 1], [0, 0, 0]],
            id="a class that is ignored is no class: its prediction is void",
        ),
        pytest.param(
            [7, 0, 1],
            [0, 0, 0],
            {"labels": {0: 0, 7: 0, 1: 1}, "ignore_index": 7, "void_column": True},
            [[1, 1, 1], [0, 0, 0]],
            id="of two labels of a class one is ignored: predicted, it is void",
        ),
        pytest.param(
            [50, 51],
            [1, 1],
            {"pred_labels": [50, 51], "ignore_index": 0, "void_column": True},
            [[0, 0, 0], [0, 1, 1]],
            id="a class that is ignored is none of pred's labels either",
        ),
        pytest.param(
            [9, 50],
            [1, 1],
            {"labels": {0: 0, 1: 1, 9: None}, "pred_labels": [50, 51], "void_column": True},
            [[0, 0, 0], [1, 0, 1]],
            id="a label mapped to None is void where pred's table does not name it",
        ),
        pytest.param(
            [10, 11, 10],
            [11, 12, 0],
            {"reduce_zero_label": True, "labels": [10, 11]},
            [[1, 0], [0, 1]],
            id="labels name what the reduction leaves",
        ),
        pytest.param(
            [7, -1, 1],
            [0, 1, 1],
            {"out_of_range": "wrong"},
            [[0, 0, 1], [0, 1, 1]],
            id="wrong",
        ),
        pytest.param(
            [7, 0, 1], [0, 8, 1], {"out_of_range": "ignore"}, [[0, 0], [0, 1]], id="out both sides"
        ),
        pytest.param(
            [26, 24, 26], [24, 24, 26], {"labels": [24, 26]}, [[1, 1], [0, 1]], id="table"
        ),
        pytest.param(
            [3, 4, 9, 3],
            [4, 3, 9, 9],
            {"labels": {3: 1, 4: 0, 9: None}},
            [[0, 1], [1, 0]],
            id="mapping, None is ignored",
        ),
        pytest.param(
            [1, 2, 3], [3, 2, 1], {"labels": {1: 0, 2: 1, 3: 1}}, [[0, 1], [1, 1]], id="merging"
        ),
        pytest.param(
            [9, 3],
            [3, 3],
            {"labels": {3: 1, 4: 0, 9: None}, "void_column": True},
            [[0, 0, 0], [0, 1, 1]],
            id="a label mapped to None is void where it is predicted",
        ),
        pytest.param(
            [10, 20, 20], [0, 0, 1], {"pred_labels": [10, 20]}, [[1, 1], [0, 1]], id="pred table"
        ),
        pytest.param(
            [5, 6, 255],
            [10, 20, 20],
            {
                "labels": [10, 20],
                "pred_labels": {5: 1, 6: 1, 255: 0},
                "ignore_index": 255,
                "void_column": True,
            },
            [[0, 1, 0], [1, 1, 0]],
            id="the ignore label may be a class of pred",
        ),
        pytest.param(
            [0, 1, 1, 0],
            [0, 1, 2, 2],
            {"reduce_zero_label": True},
            [[0, 1], [1, 1]],
            id="zero is ignored, the rest moves down",
        ),
        pytest.param(
            [0, 1, 1, 255],
            [0, 255, 2, 1],
            {"reduce_zero_label": True, "ignore_index": 255, "void_column": True},
            [[0, 0, 1], [0, 1, 0]],
            id="ignore label is looked at before labels move",
        ),
        pytest.param(
            [1, 1, 1],
            [1, 2, 2],
            {"reduce_zero_label": True, "ignore_index": 1},
            [[0, 0], [0, 2]],
            id="a target label ignored before it moves, the class of pred still counts",
        ),
        pytest.param(
            [51, 50],
            [1, 2],
            {"reduce_zero_label": True, "pred_labels": [50, 51]},
            [[0, 1], [1, 0]],
            id="zero label of target with a table for pred",
        ),
    ],
)
def test_label_rules_by_hand(
    pred: Any, target: Any, options: dict[str, Any], expected: list[list[int]]
) -> None:
    matrix = segmeter.confusion_matrix(pred, target, num_classes=2, **options)
    assert matrix.tolist() == expected


@pytest.mark.parametrize(
    ("pred", "target", "options", "words"),
    [
        ([0, 7, 7], [0, 1, 1], {}, ["pred", "7", "2 pixels", "(1,)"]),
        ([0, 0], [0, -4], {}, ["target", "-4", "1 pixel", "(1,)"]),
        ([0, 0], [0, 5], {"out_of_range": "wrong"}, ["target", "5"]),
        ([255, 0], [0, 0], {"ignore_index": 255}, ["pred", "255", "void_column"]),
        ([255, 0], [0, 0], {"ignore_index": 255, "out_of_range": "ignore"}, ["255"]),
        ([0, 1], [0], {}, ["shape"]),
        ([0], [0], {"num_classes": 0}, ["num_classes"]),
        ([0], [0], {"num_classes": 65_537}, ["num_classes"]),
        ([0, 0], [0, 0], {"labels": [4]}, ["labels"]),
        ([0, 0], [0, 0], {"labels": {0: 2}}, ["labels", "2"]),
        ([0, 0], [0, 0], {"weights": [1.0, -1.0]}, ["weights"]),
        ([0, 0], [0, 0], {"out_of_range": "drop"}, ["out_of_range", "drop"]),
    ],
)
def test_errors_name_the_argument_and_the_value(
    pred: Any, target: Any, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"\S") as caught:
        segmeter.confusion_matrix(pred, target, **({"num_classes": 2} | options))
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("side", ["pred", "target"])
def test_float_labels_are_a_type_error(side: str) -> None:
    maps: dict[str, Any] = {"pred": [0, 1], "target": [0, 1]} | {side: [0.0, 1.0]}
    with pytest.raises(TypeError, match=side):
        segmeter.confusion_matrix(**maps, num_classes=2)


def test_first_position_of_a_bad_label_is_an_index_of_the_map() -> None:
    target = np.zeros((3, 40, 50), np.uint8)
    target[1, 7, 9] = target[2, 0, 0] = 200
    with pytest.raises(ValueError, match=r"200 \(2 pixels, first at \(1, 7, 9\)\)"):
        segmeter.confusion_matrix(np.zeros_like(target), target, num_classes=3)


def test_nothing_counted_is_all_zero() -> None:
    for shape in [(0,), (0, 5), (3, 0, 2)]:
        empty = np.zeros(shape, np.uint8)
        assert segmeter.confusion_matrix(empty, empty, num_classes=2).tolist() == [[0, 0], [0, 0]]


@given(ruled_pairs())
@settings(max_examples=400)
def test_every_combination_of_label_rules(case: tuple[Any, Any, dict[str, Any]]) -> None:
    pred, target, rules = case
    try:
        expected = count(pred, target, **rules)
    except OutOfRangeError:
        with pytest.raises(ValueError, match=r"pred|target"):
            segmeter.confusion_matrix(pred, target, **product_rules(rules))
    else:
        assert_array_equal(
            segmeter.confusion_matrix(pred, target, **product_rules(rules)), expected, strict=True
        )


@given(ruled_pairs())
@settings(max_examples=150)
def test_accumulator_follows_the_same_rules(case: tuple[Any, Any, dict[str, Any]]) -> None:
    pred, target, rules = case
    mask = rules.pop("mask", None)
    expected = OutOfRangeError("two forms of ignored pixels")
    rules["void_column"] = True
    total = segmeter.ConfusionMatrix(**{k: v for k, v in rules.items() if k != "void_column"})
    try:
        expected = count(pred, target, mask=mask, **rules)
    except OutOfRangeError:
        with pytest.raises(ValueError, match=r"pred|target"):
            total.update(pred, target, mask=mask)
        assert (total.matrix.sum(), total.ignored, total.num_images) == (0, 0, 0)
    else:
        total.update(pred, target, mask=mask)
        assert_array_equal(total.matrix, expected, strict=True)
        assert total.ignored == target.size - expected.sum()
        assert total.num_images == 1


# -------------------------------------------------------------- confusion matrix, metamorphic


@given(label_pairs())
def test_swapping_pred_and_target_transposes(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    number, pred, target = case
    matrix = segmeter.confusion_matrix(pred, target, num_classes=number)
    assert_array_equal(matrix, count(pred, target, num_classes=number))
    assert_array_equal(segmeter.confusion_matrix(target, pred, num_classes=number), matrix.T)


@given(label_pairs(), st.randoms(use_true_random=False))
def test_renaming_classes_permutes_the_matrix(
    case: tuple[int, np.ndarray, np.ndarray], random: Any
) -> None:
    number, pred, target = case
    order = list(range(number))
    random.shuffle(order)
    table = np.array(order)
    matrix = segmeter.confusion_matrix(pred, target, num_classes=number)
    renamed = segmeter.confusion_matrix(table[pred], table[target], num_classes=number)
    assert_array_equal(renamed[np.ix_(order, order)], matrix)
    for function in SINGLE_FUNCTIONS.values():
        close(function(renamed), function(matrix))
    for function in CLASS_FUNCTIONS.values():
        close(function(renamed)[order], function(matrix))


@given(label_pairs(), st.randoms(use_true_random=False))
def test_place_of_a_pixel_does_not_matter(
    case: tuple[int, np.ndarray, np.ndarray], random: Any
) -> None:
    number, pred, target = case
    order = list(range(pred.size))
    random.shuffle(order)
    assert_array_equal(
        segmeter.confusion_matrix(pred.ravel()[order], target.ravel()[order], num_classes=number),
        segmeter.confusion_matrix(pred, target, num_classes=number),
    )


@given(st.integers(1, 5), st.data())
def test_counts_of_parts_add_up(number: int, data: st.DataObject) -> None:
    parts = [data.draw(label_pairs(classes=number, ndim=1)) for _ in range(3)]
    whole = segmeter.confusion_matrix(
        np.concatenate([pred.astype(int) for _, pred, _ in parts]),
        np.concatenate([target.astype(int) for _, _, target in parts]),
        num_classes=number,
    )
    single = [segmeter.confusion_matrix(p, t, num_classes=number) for _, p, t in parts]
    assert_array_equal(sum(single), whole)
    lists = [pred for _, pred, _ in parts], [target for _, _, target in parts]
    assert_array_equal(segmeter.confusion_matrix(*lists, num_classes=number), whole)
    assert_array_equal(
        segmeter.confusion_matrix(*lists, num_classes=number, per_image=True), np.stack(single)
    )


@given(label_pairs(ndim=3))
def test_images_of_a_batch_sum_to_the_batch(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    number, pred, target = case
    batch = segmeter.confusion_matrix(pred, target, num_classes=number, per_image=True)
    assert batch.shape == (len(pred), number, number)
    for matrix, p, t in zip(batch, pred, target, strict=True):
        assert_array_equal(matrix, count(p, t, num_classes=number))
    assert_array_equal(batch.sum(0), segmeter.confusion_matrix(pred, target, num_classes=number))


@given(label_pairs(), st.integers(2, 5))
def test_repeating_the_pixels_multiplies_the_counts(
    case: tuple[int, np.ndarray, np.ndarray], times: int
) -> None:
    number, pred, target = case
    matrix = segmeter.confusion_matrix(pred, target, num_classes=number)
    repeated = segmeter.confusion_matrix([pred] * times, [target] * times, num_classes=number)
    assert_array_equal(repeated, times * matrix)
    for name, function in SINGLE_FUNCTIONS.items():
        if name not in ("rand", "ari"):  # pairs of pixels are not pixels
            close(function(repeated), function(matrix))
    for function in CLASS_FUNCTIONS.values():
        close(function(repeated), function(matrix))


@given(label_pairs(ndim=2), st.integers(1, 3), st.sampled_from(["label", "mask"]))
def test_an_ignored_border_can_be_cut_off(
    case: tuple[int, np.ndarray, np.ndarray], width: int, form: str
) -> None:
    number, pred, target = case
    framed_target = np.pad(target.astype(int), width, constant_values=255 if form == "label" else 0)
    framed_pred = np.pad(pred.astype(int), width, constant_values=123)
    inside = np.pad(np.ones(target.shape, bool), width)
    ignore: Any = 255 if form == "label" else ~inside
    assert_array_equal(
        segmeter.confusion_matrix(
            framed_pred, framed_target, num_classes=number, ignore_index=ignore
        ),
        segmeter.confusion_matrix(pred, target, num_classes=number),
    )


@given(label_pairs(), st.data())
def test_mapping_inside_is_mapping_outside(
    case: tuple[int, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    number, pred, target = case
    classes = data.draw(st.integers(1, 4))
    rule = st.lists(st.integers(0, classes - 1), min_size=number, max_size=number)
    table, pred_table = np.array(data.draw(rule)), np.array(data.draw(rule))
    matrix = segmeter.confusion_matrix(
        pred,
        target,
        num_classes=classes,
        labels=dict(enumerate(table.tolist())),
        pred_labels=dict(enumerate(pred_table.tolist())),
    )
    assert_array_equal(
        matrix, segmeter.confusion_matrix(pred_table[pred], table[target], num_classes=classes)
    )


@given(label_pairs(), st.integers(0, 2**32 - 1))
def test_weights_are_repeated_pixels(case: tuple[int, np.ndarray, np.ndarray], seed: int) -> None:
    number, pred, target = case
    weights = np.random.default_rng(seed).integers(0, 4, pred.shape)
    matrix = segmeter.confusion_matrix(pred, target, num_classes=number, weights=weights / 4)
    assert matrix.dtype == np.float64
    repeated = count(
        np.repeat(pred.ravel(), weights.ravel()),
        np.repeat(target.ravel(), weights.ravel()),
        num_classes=number,
    )
    assert_array_equal(matrix, repeated / 4)


# ----------------------------------------------------- threads, layouts and types of larger maps


def blocks(generator: np.random.Generator, shape: tuple[int, ...], number: int) -> np.ndarray:
    """Map of constant blocks, as masks of real images are."""
    small = generator.integers(0, number, tuple(-(-s // 13) for s in shape))
    for axis in range(len(shape)):
        small = small.repeat(13, axis)
    return small[tuple(slice(s) for s in shape)]


def count_large(pred: np.ndarray, target: np.ndarray, number: int, ignore: int) -> np.ndarray:
    """The oracle for maps that are too large for a loop over pixels."""
    matrix = np.zeros((number, number + 1), np.int64)
    counted = target != ignore
    pred = np.where(pred == ignore, number, pred).astype(int)
    np.add.at(matrix, (target[counted].astype(int), pred[counted]), 1)
    return matrix


@given(
    st.sampled_from([(1,), (15,), (17,), (63, 1), (64, 65), (3, 129, 257), (311, 517)]),
    st.sampled_from([1, 2, 3, 19, 100]),
    st.sampled_from(INTEGER_TYPES),
    st.sampled_from(INTEGER_TYPES),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_threads_and_types_change_nothing(
    shape: tuple[int, ...], number: int, pred_type: str, target_type: str, noise: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    target = blocks(generator, shape, number)
    pred = blocks(generator, shape, number)
    if noise:
        chosen = generator.random(shape) < 0.3
        pred[chosen] = generator.integers(0, number, int(chosen.sum()))
    target[generator.random(shape) < 0.05] = 117
    pred[generator.random(shape) < 0.02] = 117
    expected = count_large(pred, target, number, 117)
    pred, target = pred.astype(pred_type), target.astype(target_type)
    for threads in (0, 1, 2, 3, 7):
        matrix = segmeter.confusion_matrix(
            pred, target, num_classes=number, ignore_index=117, void_column=True, threads=threads
        )
        assert_array_equal(matrix, expected, strict=True)


def odd_layouts(values: np.ndarray) -> dict[str, np.ndarray]:
    """The same values in memory layouts that arrays come in."""
    spread = np.zeros((2 * values.shape[0], 3 * values.shape[1]), values.dtype)
    spread[::2, ::3] = values
    locked = values.copy()
    locked.flags.writeable = False
    return {
        "C": values.copy(),
        "Fortran": np.asfortranarray(values),
        "backwards": values[::-1, ::-1].copy()[::-1, ::-1],
        "strided": spread[::2, ::3],
        "transposed": values.T.copy().T,
        "read-only": locked,
        "swapped": values.astype(values.dtype.newbyteorder()),
        "offset": np.concatenate([values.ravel()[:1], values.ravel()])[1:].reshape(values.shape),
    }


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u4", "i8"])
@pytest.mark.parametrize("shape", [(5, 7), (200, 331)])
def test_memory_layout_changes_nothing(dtype: str, shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(3)
    number = 2 if dtype == "?" else 9
    pred = generator.integers(0, number, shape).astype(dtype)
    target = blocks(generator, shape, number).astype(dtype)
    expected = count_large(pred, target, number, -1)[:, :number]
    for (name, p), t in itertools.product(odd_layouts(pred).items(), odd_layouts(target).values()):
        matrix = segmeter.confusion_matrix(p, t, num_classes=number)
        assert_array_equal(matrix, expected, err_msg=name)


def test_broadcast_views_count_every_pixel() -> None:
    row = np.arange(6, dtype=np.uint8) % 3
    matrix = segmeter.confusion_matrix(
        np.broadcast_to(row, (50, 6)), np.broadcast_to(np.uint8(1), (50, 6)), num_classes=3
    )
    assert matrix.tolist() == [[0, 0, 0], [100, 100, 100], [0, 0, 0]]


# ---------------------------------------------------------------------------------- from scores


@st.composite
def score_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Logits ``(N, C, H, W)`` of few values (so with ties), NaN and infinities, and a target."""
    images, classes, height, width = (draw(st.integers(1, 4)) for _ in range(4))
    special = [0.0, 0.5, 0.5, 1.0, -1.0, math.inf, -math.inf, math.nan]
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = generator.choice(special, (images, classes + 1, height, width))
    target = generator.integers(0, classes + 1, (images, height, width))
    return logits.astype(draw(st.sampled_from(["f2", "f4", "f8"]))), target


@given(score_maps(), st.booleans())
def test_from_scores_is_argmax_then_count(
    case: tuple[np.ndarray, np.ndarray], per_image: bool
) -> None:
    logits, target = case
    options: dict[str, Any] = {
        "num_classes": logits.shape[1],
        "ignore_index": 0,
        "void_column": True,
        "per_image": per_image,
    }
    # NumPy, like PyTorch, takes the first of equal scores and the first NaN before all else.
    expected = segmeter.confusion_matrix(np.argmax(logits, 1), target, **options)
    options["from_scores"] = True
    assert_array_equal(segmeter.confusion_matrix(logits, target, **options), expected)
    last = np.moveaxis(logits, 1, -1)
    assert_array_equal(
        segmeter.confusion_matrix(last, target, channel_axis=-1, **options), expected
    )
    if not per_image:
        first = np.moveaxis(logits, 1, 0)
        assert_array_equal(
            segmeter.confusion_matrix(first, target, channel_axis=0, **options), expected
        )


def test_scores_of_a_large_image_do_not_depend_on_threads() -> None:
    generator = np.random.default_rng(8)
    logits = generator.integers(0, 5, (11, 211, 307)).astype(np.float32)
    logits[generator.random(logits.shape) < 0.01] = np.nan
    target = generator.integers(0, 11, logits.shape[1:]).astype(np.uint8)
    expected = count_large(np.argmax(logits, 0), target, 11, -1)[:, :11]
    for threads in (1, 2, 3, 7):
        matrix = segmeter.confusion_matrix(
            logits, target, num_classes=11, from_scores=True, channel_axis=0, threads=threads
        )
        assert_array_equal(matrix, expected)


def test_one_channel_of_scores_is_above_the_threshold() -> None:
    target = np.array([[0, 0, 1, 1, 1]])
    probabilities = np.array([[0.2, 0.6, 0.5, 0.7, 0.51]])
    half = segmeter.confusion_matrix(probabilities, target, num_classes=2, from_scores=True)
    assert half.tolist() == [[1, 1], [1, 2]]  # 0.5 is not above 0.5
    other = segmeter.confusion_matrix(
        probabilities[:, None], target, num_classes=2, from_scores=True, threshold=0.6
    )
    assert other.tolist() == [[2, 0], [2, 1]]


def test_channels_of_scores_are_classes_whatever_target_calls_them() -> None:
    logits = np.array([[[0.1, 0.9, 0.9]], [[0.9, 0.1, 0.1]]])
    matrix = segmeter.confusion_matrix(
        logits, [[50, 60, 7]], num_classes=2, labels={60: 0, 50: 1, 7: None}, from_scores=True,
        channel_axis=0,
    )  # fmt: skip
    assert matrix.tolist() == [[1, 0], [0, 1]]


# ------------------------------------------------------------------------------- scores by hand

# 22 pixels, three of them predicted as void. TP 5, 6, 3; FP 2, 2, 1; FN 3, 3, 2; TN 12, 11, 16.
WIDE = [[5, 1, 0, 2], [2, 6, 1, 0], [0, 1, 3, 1]]


def test_counts_by_hand() -> None:
    assert segmeter.true_positives(WIDE).tolist() == [5, 6, 3]
    assert segmeter.false_positives(WIDE).tolist() == [2, 2, 1]
    assert segmeter.false_negatives(WIDE).tolist() == [3, 3, 2]
    assert segmeter.true_negatives(WIDE).tolist() == [12, 11, 16]
    assert segmeter.support(WIDE).tolist() == [8, 9, 5]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("iou", [1 / 2, 6 / 11, 1 / 2]),
        ("dice", [2 / 3, 12 / 17, 2 / 3]),
        ("recall", [5 / 8, 2 / 3, 3 / 5]),
        ("precision", [5 / 7, 3 / 4, 3 / 4]),
        ("specificity", [6 / 7, 11 / 13, 16 / 17]),
        ("npv", [4 / 5, 11 / 14, 8 / 9]),
        ("f2", [25 / 39, 15 / 22, 5 / 8]),
        ("tversky", [50 / 77, 60 / 87, 30 / 47]),
        ("volumetric", [14 / 15, 16 / 17, 8 / 9]),
        ("informedness", [27 / 56, 20 / 39, 46 / 85]),
        ("markedness", [18 / 35, 15 / 28, 23 / 36]),
        (
            "mcc",
            [(27 * 18 / 56 / 35) ** 0.5, (20 * 15 / 39 / 28) ** 0.5, (46 * 23 / 85 / 36) ** 0.5],
        ),
    ],
)  # fmt: skip
def test_class_scores_by_hand(name: str, expected: list[float]) -> None:
    close(CLASS_FUNCTIONS[name](WIDE), expected)


@pytest.mark.parametrize(
    ("function", "options", "expected"),
    [
        (segmeter.pixel_accuracy, {}, 14 / 22),
        (segmeter.mean_accuracy, {}, 227 / 360),
        (segmeter.balanced_accuracy, {}, 227 / 360),
        (segmeter.mean_iou, {}, 17 / 33),
        (segmeter.mean_iou, {"classes": [0, 2]}, 1 / 2),
        (segmeter.mean_dice, {}, (2 / 3 + 12 / 17 + 2 / 3) / 3),
        (segmeter.mean_precision, {}, 31 / 42),
        (segmeter.mean_f_beta, {"beta": 2}, (25 / 39 + 15 / 22 + 5 / 8) / 3),
        (segmeter.frequency_weighted_iou, {}, 251 / 484),
        # Agreement 14 / 22, by chance (8 * 7 + 9 * 8 + 5 * 4) / 22 ** 2.
        (segmeter.cohen_kappa, {}, 10 / 21),
        # Void is the largest disagreement, 2 classes away: 11 observed, 469 / 22 expected.
        (segmeter.cohen_kappa, {"weights": "linear"}, 227 / 469),
        (segmeter.cohen_kappa, {"weights": "quadratic"}, 361 / 735),
    ],
)
def test_dataset_scores_by_hand(
    function: Callable[..., float], options: dict[str, Any], expected: float
) -> None:
    close(function(WIDE, **options), expected)


def test_names_of_one_score_are_one_score() -> None:
    assert segmeter.jaccard is segmeter.iou
    assert segmeter.sensitivity is segmeter.recall
    assert segmeter.youden_j is segmeter.informedness
    assert segmeter.balanced_accuracy is segmeter.mean_accuracy


def test_agreement_of_partitions_by_hand() -> None:
    """Six pixels in [[3, 1], [0, 2]]: of 15 pairs, 4 joined by both, 7 by target, 6 by pred."""
    matrix = [[3, 1], [0, 2]]
    close(segmeter.rand_index(matrix), 2 / 3)
    close(segmeter.adjusted_rand_index(matrix), 12 / 37)
    information = math.log(1.5) / 2 + math.log(2) / 6
    target_entropy = math.log(3) - 2 / 3 * math.log(2)
    close(segmeter.mutual_information(matrix), information)
    close(segmeter.variation_of_information(matrix), math.log(2) + target_entropy - 2 * information)
    close(segmeter.mutual_information(matrix, base=2), information / math.log(2))
    # Correlation of two binary maps: (3 * 2 - 1 * 0) / sqrt(3 * 4 * 2 * 3).
    close(segmeter.matthews_corrcoef(matrix), 6 / math.sqrt(72))
    # Observed agreement 5 / 6, expected (4 * 3 + 2 * 3) / 36.
    close(segmeter.cohen_kappa(matrix), 2 / 3)


def test_normalised_matrix_by_hand() -> None:
    matrix = [[3, 1, 0], [0, 2, 2], [0, 0, 0]]
    nan = math.nan
    close(
        segmeter.normalize(matrix, "true"), [[3 / 4, 1 / 4, 0], [0, 1 / 2, 1 / 2], [nan, nan, nan]]
    )
    close(segmeter.normalize(matrix, "pred"), [[1, 1 / 3, 0], [0, 2 / 3, 1], [0, 0, 0]])
    close(segmeter.normalize(matrix, "all"), [[3 / 8, 1 / 8, 0], [0, 1 / 4, 1 / 4], [0, 0, 0]])
    assert segmeter.normalize(matrix, "true", absent="zero")[2].tolist() == [0, 0, 0]


def test_top_confusions_by_hand() -> None:
    found = segmeter.top_confusions(WIDE, 3, ["sky", "sea", "sand"])
    assert [(c.target, c.pred, c.count, c.pred_class) for c in found] == [
        ("sky", "void", 2, None),
        ("sea", "sky", 2, 0),
        ("sky", "sea", 1, 1),
    ]
    assert found[0].share_of_target == pytest.approx(2 / 8)
    assert found[0].share_of_errors == pytest.approx(2 / 8)
    assert len(segmeter.top_confusions(WIDE, 100)) == 6


def test_label_groups_by_hand() -> None:
    """Brain tumour: whole = 1, 2, 3; core = 1, 3; void is in no group."""
    matrix = [[9, 1, 0, 0, 1], [1, 4, 1, 0, 2], [0, 2, 3, 1, 0], [1, 0, 1, 5, 0]]
    groups = {"whole": [1, 2, 3], "core": [3, 1]}
    counts = segmeter.group_counts(matrix, groups)
    assert counts.tolist() == [[[10, 1], [4, 17]], [[13, 4], [6, 9]]]
    result = segmeter.group_scores(matrix, groups)
    assert result["whole"]["dice"] == pytest.approx(34 / 39)
    assert result["core"]["iou"] == pytest.approx(9 / 19)
    assert result["core"]["recall"] == pytest.approx(9 / 15)


def test_all_scores_at_once_are_the_single_ones() -> None:
    result = segmeter.scores(WIDE, class_names=["sky", "sea", "sand"])
    assert (result["pixels"], result["void_pixels"], result["classes_present"]) == (22, 3, 3)
    for name in ("pixel_accuracy", "mean_iou", "mean_dice", "cohen_kappa", "matthews_corrcoef"):
        assert result[name] == float(getattr(segmeter, name)(WIDE)), name
    assert [row["name"] for row in result["per_class"]] == ["sky", "sea", "sand"]
    close([row["iou"] for row in result["per_class"]], [1 / 2, 6 / 11, 1 / 2])
    json.dumps(result)


# ------------------------------------------------------------------------------- absent classes

# Class 0 in both maps, class 1 only predicted, class 2 only in target, class 3 in neither.
PARTLY = [[2, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("absent", "last", "mean_iou"),
    [("nan", math.nan, 0.5 / 3), ("zero", 0.0, 0.5 / 4), ("one", 1.0, 1.5 / 4)],
)
def test_absent_policies(absent: str, last: float, mean_iou: float) -> None:
    close(segmeter.iou(PARTLY, absent=absent), [1 / 2, 0, 0, last])
    close(segmeter.dice(PARTLY, absent=absent), [2 / 3, 0, 0, last])
    close(segmeter.recall(PARTLY, absent=absent), [2 / 3, 0, 0, last])
    close(segmeter.precision(PARTLY, absent=absent), [2 / 3, 0, 0, last])
    close(segmeter.mean_iou(PARTLY, absent=absent), mean_iou)
    close(segmeter.mean_iou(PARTLY, absent=absent, classes=[3]), last)


@pytest.mark.parametrize("name", sorted(CLASS_FUNCTIONS))
def test_absent_can_be_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="3"):
        CLASS_FUNCTIONS[name](PARTLY, absent="raise")
    present = [[2, 1], [1, 1]]
    close(CLASS_FUNCTIONS[name](present, absent="raise"), CLASS_FUNCTIONS[name](present))


def test_a_class_may_be_present_by_target_alone() -> None:
    close(segmeter.iou(PARTLY, present="target"), [1 / 2, math.nan, 0, math.nan])
    close(segmeter.mean_iou(PARTLY, present="target"), 1 / 4)
    close(segmeter.mean_accuracy(PARTLY), 1 / 3)
    close(segmeter.mean_recall(PARTLY), 2 / 9)


@pytest.mark.parametrize("name", sorted(SINGLE_FUNCTIONS))
def test_no_pixels_is_absent(name: str) -> None:
    empty = np.zeros((3, 3), int)
    function = SINGLE_FUNCTIONS[name]
    assert math.isnan(function(empty))
    assert function(empty, absent="zero") == 0
    assert function(empty, absent="one") == 1
    with pytest.raises(ValueError, match=r"absent|pixel|class"):
        function(empty, absent="raise")


def test_where_agreement_is_undefined() -> None:
    """Both maps the same single class is 0 / 0; one of them constant is no better than chance."""
    for function in (segmeter.cohen_kappa, segmeter.matthews_corrcoef):
        assert math.isnan(function([[7, 0], [0, 0]]))
        assert function([[7, 0], [0, 0]], absent="one") == 1
        assert function([[3, 0], [4, 0]]) == 0
        assert function([[0, 7], [0, 0]]) == 0
    assert segmeter.adjusted_rand_index([[7, 0], [0, 0]]) == 1
    assert segmeter.variation_of_information([[7, 0], [0, 0]]) == 0


# --------------------------------------------------------------------------- scores, properties


@given(matrices())
@example(np.array([[4]]))
@example(np.array([[4, 2]]))
@settings(max_examples=200)
def test_class_scores_follow_their_formulas(matrix: np.ndarray) -> None:
    expected = class_scores(matrix)
    for name, function in CLASS_FUNCTIONS.items():
        assert_allclose(function(matrix), expected[name], rtol=1e-12, atol=1e-13, err_msg=name)
    for name, function in MEAN_FUNCTIONS.items():
        close(function(matrix), mean(expected[name]))


@given(matrices())
def test_dataset_scores_follow_their_formulas(matrix: np.ndarray) -> None:
    pixels = int(matrix.sum())
    assume(pixels)
    square = matrix[:, : len(matrix)]
    target, pred = matrix.sum(1), matrix.sum(0)
    close(segmeter.pixel_accuracy(matrix), np.trace(square) / pixels)
    named = class_scores(matrix)
    in_target = [k for k in range(len(matrix)) if target[k]]
    close(segmeter.mean_accuracy(matrix), mean([named["recall"][k] for k in in_target]))
    close(
        segmeter.frequency_weighted_iou(matrix),
        sum(named["iou"][k] * target[k] for k in in_target) / pixels,
    )
    joint = entropy(matrix.ravel())
    close(segmeter.mutual_information(matrix), entropy(target) + entropy(pred) - joint)
    close(segmeter.variation_of_information(matrix), 2 * joint - entropy(target) - entropy(pred))
    assert segmeter.mutual_information(matrix) >= 0
    assert segmeter.variation_of_information(matrix) >= 0


def pixels_of(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and target class of every pixel of a matrix; void is class C."""
    target, pred = np.nonzero(matrix)
    times = matrix[target, pred]
    return pred.repeat(times), target.repeat(times)


@given(matrices())
def test_rand_indices_by_comparing_every_pair_of_pixels(matrix: np.ndarray) -> None:
    pred, target = pixels_of(matrix)
    assume(pred.size >= 2)
    upper = np.triu_indices(pred.size, 1)
    same_pred = (pred[:, None] == pred)[upper]
    same_target = (target[:, None] == target)[upper]
    close(segmeter.rand_index(matrix), (same_pred == same_target).mean())
    both, chance = (same_pred & same_target).sum(), same_pred.sum() * same_target.mean()
    largest = (same_pred.sum() + same_target.sum()) / 2
    expected = 1.0 if math.isclose(largest, chance) else (both - chance) / (largest - chance)
    close(segmeter.adjusted_rand_index(matrix), expected)


@given(matrices(min_classes=2, void=False))
def test_correlation_and_kappa_from_the_pixels(matrix: np.ndarray) -> None:
    pred, target = pixels_of(matrix)
    assume(pred.size and not (len(set(pred)) == 1 and set(pred) == set(target)))
    classes = np.arange(len(matrix))
    hot_pred, hot_target = (
        (side[:, None] == classes) - (side[:, None] == classes).mean(0) for side in (pred, target)
    )
    scale = math.sqrt((hot_pred**2).sum() * (hot_target**2).sum())
    close(segmeter.matthews_corrcoef(matrix), (hot_pred * hot_target).sum() / scale if scale else 0)
    distance = np.abs(pred[:, None] - target)  # every prediction with every target: chance
    for weights, weigh in (
        (None, np.sign),
        ("linear", np.abs),
        ("quadratic", np.square),
    ):
        observed, by_chance = weigh(np.abs(pred - target)).mean(), weigh(distance).mean()
        close(segmeter.cohen_kappa(matrix, weights=weights), 1 - observed / by_chance)


@given(matrices(void=False), st.randoms(use_true_random=False))
def test_partition_scores_do_not_see_names(matrix: np.ndarray, random: Any) -> None:
    order = list(range(len(matrix)))
    random.shuffle(order)
    for name in ("mi", "vi", "rand", "ari"):
        close(SINGLE_FUNCTIONS[name](matrix[:, order]), SINGLE_FUNCTIONS[name](matrix))
        close(SINGLE_FUNCTIONS[name](matrix.T), SINGLE_FUNCTIONS[name](matrix))


@given(st.integers(1, 4), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_variation_of_information_is_a_metric(number: int, size: int, seed: int) -> None:
    maps = np.random.default_rng(seed).integers(0, number, (3, size))
    distance = {
        pair: float(
            segmeter.variation_of_information(
                segmeter.confusion_matrix(maps[pair[0]], maps[pair[1]], num_classes=number)
            )
        )
        for pair in itertools.product(range(3), repeat=2)
    }
    for a, b, c in itertools.permutations(range(3)):
        assert distance[a, a] == 0
        assert distance[a, b] == pytest.approx(distance[b, a], abs=1e-12)
        assert distance[a, c] <= distance[a, b] + distance[b, c] + 1e-12


@given(matrices(void=False))
def test_swapping_the_maps_swaps_the_scores(matrix: np.ndarray) -> None:
    swapped = matrix.T
    for name in ("iou", "dice", "volumetric", "mcc"):
        close(CLASS_FUNCTIONS[name](swapped), CLASS_FUNCTIONS[name](matrix))
    close(segmeter.recall(swapped), segmeter.precision(matrix))
    close(segmeter.specificity(swapped), segmeter.negative_predictive_value(matrix))
    close(segmeter.informedness(swapped), segmeter.markedness(matrix))
    close(
        segmeter.tversky_index(swapped, alpha=0.3, beta=0.7),
        segmeter.tversky_index(matrix, alpha=0.7, beta=0.3),
    )
    for name in ("pixel_accuracy", "kappa", "mcc"):
        close(SINGLE_FUNCTIONS[name](swapped), SINGLE_FUNCTIONS[name](matrix))


@given(matrices())
def test_families_of_scores_meet(matrix: np.ndarray) -> None:
    overlap = segmeter.iou(matrix)
    close(segmeter.dice(matrix), 2 * overlap / (1 + overlap))
    close(segmeter.tversky_index(matrix, alpha=1, beta=1), overlap)
    close(segmeter.tversky_index(matrix, alpha=0.5, beta=0.5), segmeter.dice(matrix))
    close(segmeter.f_beta(matrix, beta=1), segmeter.dice(matrix))
    close(segmeter.f_beta(matrix, beta=0), segmeter.precision(matrix))
    total = (
        segmeter.true_positives(matrix)
        + segmeter.false_positives(matrix)
        + segmeter.false_negatives(matrix)
        + segmeter.true_negatives(matrix)
    )
    assert_array_equal(total, matrix.sum())


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_two_classes_mirror_each_other(cells: list[int]) -> None:
    matrix = np.array(cells).reshape(2, 2)
    assume(matrix.any(1).all())
    close(segmeter.specificity(matrix), segmeter.recall(matrix)[::-1])
    close(segmeter.negative_predictive_value(matrix), segmeter.precision(matrix)[::-1])
    for name in ("mcc", "informedness", "markedness"):
        close(CLASS_FUNCTIONS[name](matrix), CLASS_FUNCTIONS[name](matrix)[::-1])


@given(matrices(), st.data())
def test_repairing_a_pixel_never_hurts(matrix: np.ndarray, data: st.DataObject) -> None:
    wrong = [(t, p) for t, p in zip(*np.nonzero(matrix), strict=True) if t != p]
    assume(wrong)
    target, pred = data.draw(st.sampled_from(wrong))
    better = matrix.copy()
    better[target, pred] -= 1
    better[target, target] += 1
    gain = segmeter.pixel_accuracy(better) - segmeter.pixel_accuracy(matrix)
    assert gain == pytest.approx(1 / matrix.sum())
    for function in (segmeter.iou, segmeter.dice):
        before, after = function(matrix), function(better)
        assert not (after < before).any()
        assert after[target] > before[target]


@given(st.integers(1, 4), st.booleans(), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_batch_of_matrices_is_scored_one_by_one(
    classes: int, wide: bool, size: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    batch = generator.integers(0, 3, (2, size, classes, classes + wide))
    for function in (*CLASS_FUNCTIONS.values(), *SINGLE_FUNCTIONS.values()):
        result = np.asarray(function(batch))
        assert result.shape[:2] == (2, size)
        for i, k in itertools.product(range(2), range(size)):
            close(result[i, k], function(batch[i, k]))
    joined = segmeter.group_counts(batch, {"all": list(range(classes))})
    assert joined.shape == (2, size, 1, 2, 2)


@given(matrices(void=False))
def test_an_empty_void_column_changes_nothing(matrix: np.ndarray) -> None:
    wide = np.pad(matrix, ((0, 0), (0, 1)))
    for name, function in (CLASS_FUNCTIONS | SINGLE_FUNCTIONS).items():
        assert_allclose(function(wide), function(matrix), rtol=1e-13, atol=1e-14, err_msg=name)


@given(label_pairs(classes=4), st.lists(st.integers(0, 3), min_size=1, unique=True))
def test_groups_are_counted_as_if_merged_before(
    case: tuple[int, np.ndarray, np.ndarray], group: list[int]
) -> None:
    _, pred, target = case
    matrix = segmeter.confusion_matrix(pred, target, num_classes=4)
    merged = segmeter.confusion_matrix(np.isin(pred, group), np.isin(target, group), num_classes=2)
    assert_array_equal(segmeter.group_counts(matrix, {"group": group})[0], merged)


def test_scores_stay_exact_at_counts_of_large_data_sets() -> None:
    """10^12 pixels: products of counts pass 2**63, and a float32 would lose single pixels."""
    one = 10**12
    matrix = [[one, 1], [1, 1]]
    close(segmeter.iou(matrix), [one / (one + 2), 1 / 3])
    assert segmeter.false_positives(matrix).tolist() == [1, 1]
    close(segmeter.cohen_kappa(matrix), 1 - 2 * (one + 3) / (2 * 2 * (one + 1)))
    close(segmeter.matthews_corrcoef(matrix), (one - 1) / (2 * (one + 1)))
    close(segmeter.rand_index([[one, one], [one, one]]), (one - 0.5) / (2 * one - 0.5))


# --------------------------------------------------------------------- aggregation over images


def test_dataset_and_per_image_aggregation_by_hand() -> None:
    """Two images; class 1 is IoU 1/2 in the first, absent in the second, class 0 is 8/9 and 1/2."""
    images = [[[8, 1], [0, 1]], [[2, 0], [0, 0]], [[1, 1], [0, 0]]]
    # Summed: [[11, 2], [0, 1]].
    close(segmeter.aggregate(images).value, (11 / 13 + 1 / 3) / 2)
    per_image = segmeter.aggregate(images, aggregation="per_image")
    close(per_image.value, ((8 / 9 + 1 / 2) / 2 + 1 + (1 / 2 + 0) / 2) / 3)
    by_class = segmeter.aggregate(images, aggregation="per_class_per_image")
    close(by_class.per_class, [(8 / 9 + 1 + 1 / 2) / 3, (1 / 2 + 0) / 2])
    close(by_class.value, mean(list(by_class.per_class)))
    assert (by_class.cases, by_class.undefined) == (5, 1)
    worst = segmeter.aggregate(images, aggregation="per_image", worst=0.4)
    close(worst.value, 1 / 4)


def fine_grained(batch: np.ndarray, worst: float) -> dict[str, float]:
    """Fine-grained mean IoU: a class counts in the images whose target has it."""

    def overlap(matrix: np.ndarray, k: int) -> float:
        if not matrix[k].sum():
            return math.nan
        return matrix[k, k] / (matrix[k].sum() + matrix[:, k].sum() - matrix[k, k])

    def lowest(values: Sequence[float], q: float) -> float:
        numbers = sorted(value for value in values if not math.isnan(value))
        # 1e-9: a fraction such as 0.3 of 10 images is 3 images, not 2.
        return mean(numbers[: max(1, math.floor(q * len(numbers) + 1e-9))])

    table = [[overlap(matrix, k) for k in range(batch.shape[1])] for matrix in batch]
    images = [mean(row) for row in table]
    classes = [list(column) for column in zip(*table, strict=True)]
    quantiles = [q / 10 for q in range(1, 11)]
    return {
        "mIoU_I": mean(images),
        "mIoU_C": mean([mean(values) for values in classes]),
        "mIoU_I_q": lowest(images, worst),
        "mIoU_C_q": mean([lowest(values, worst) for values in classes]),
        "mIoU_I_qbar": mean([lowest(images, q) for q in quantiles]),
        "mIoU_C_qbar": mean([mean([lowest(v, q) for v in classes]) for q in quantiles]),
    }


@given(
    st.integers(1, 4),
    st.booleans(),
    st.integers(1, 12),
    st.sampled_from([0.05, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_fine_grained_iou(classes: int, wide: bool, size: int, worst: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    batch = generator.integers(0, 4, (size, classes, classes + wide))
    batch *= generator.random((size, classes, 1)) < 0.7
    result = segmeter.fine_grained_iou(batch, worst=worst)
    for name, expected in fine_grained(batch, worst).items():
        assert_allclose(result[name], expected, rtol=1e-12, err_msg=name)
    close(result["mIoU_D"], mean(class_scores(batch.sum(0))["iou"]))  # only predicted: 0
    assert result["images"] == size


def test_fine_grained_iou_by_hand() -> None:
    images = [[[8, 1], [0, 1]], [[2, 0], [0, 0]], [[1, 1], [0, 0]]]
    result = segmeter.fine_grained_iou(images, worst=0.5)
    close(result["mIoU_D"], (11 / 13 + 1 / 3) / 2)
    close(result["mIoU_I"], ((8 / 9 + 1 / 2) / 2 + 1 + 1 / 2) / 3)
    close(result["mIoU_C"], ((8 / 9 + 1 + 1 / 2) / 3 + 1 / 2) / 2)
    close(result["mIoU_I_q"], 1 / 2)
    close(result["mIoU_C_q"], 1 / 2)


@given(label_pairs(ndim=3))
def test_one_image_is_its_own_data_set(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    number, pred, target = case
    matrix = segmeter.confusion_matrix(pred, target, num_classes=number)
    for aggregation in ("dataset", "per_image", "per_class_per_image"):
        close(
            segmeter.aggregate(matrix[None], aggregation=aggregation).value,
            segmeter.mean_iou(matrix),
        )


# ---------------------------------------------------------------------------------- accumulator


def accumulators(seed: int, number: int, parts: int) -> list[segmeter.ConfusionMatrix]:
    """Accumulators of a few images each, some pixels ignored, some predictions void."""
    generator = np.random.default_rng(seed)
    result = []
    for _ in range(parts):
        total = segmeter.ConfusionMatrix(number, ignore_index=255)
        for _ in range(int(generator.integers(0, 4))):
            pred, target = generator.integers(0, number, (2, 4, 5))
            target[generator.random(target.shape) < 0.2] = 255
            pred[generator.random(pred.shape) < 0.2] = 255
            total.update(pred, target)
        result.append(total)
    return result


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.randoms(use_true_random=False))
def test_order_of_merging_does_not_matter(seed: int, number: int, random: Any) -> None:
    parts = accumulators(seed, number, 4)
    a, b, c, d = parts
    whole = ((a + b) + c) + d
    assert a + (b + (c + d)) == whole
    random.shuffle(parts)
    assert sum(parts[1:], start=parts[0]) == whole
    assert_array_equal(whole.matrix, sum(part.matrix for part in parts))
    assert whole.ignored == sum(part.ignored for part in parts)
    assert whole.num_images == sum(part.num_images for part in parts)


def test_adding_leaves_the_terms_as_they_were() -> None:
    a = segmeter.ConfusionMatrix(2).update([0, 1], [0, 1])
    b = segmeter.ConfusionMatrix(2).update([1], [0])
    total = a + b
    total.update([1, 1, 1], [1, 1, 1])
    assert a.matrix.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert b.matrix.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert total.matrix.tolist() == [[1, 1, 0], [0, 4, 0]]
    assert a != b


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_counts_come_back_from_arrays(seed: int, number: int) -> None:
    original = accumulators(seed, number, 2)[0]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "counts.npz"
        np.savez(path, **original.to_arrays())
        with np.load(path) as arrays:
            restored = segmeter.ConfusionMatrix.from_arrays(dict(arrays))
    assert_array_equal(restored.matrix, original.matrix, strict=True)
    assert (restored.ignored, restored.num_images) == (original.ignored, original.num_images)
    assert restored.num_classes == number
    assert restored == original
    assert restored + original == original + original
    assert_array_equal(restored.scores()["mean_iou"], original.scores()["mean_iou"])


def test_class_names_come_back_from_arrays() -> None:
    named = segmeter.ConfusionMatrix(2, class_names=["road", "car"]).update([0, 1], [0, 0])
    restored = segmeter.ConfusionMatrix.from_arrays(named.to_arrays())
    assert restored == named
    assert [row["name"] for row in restored.scores()["per_class"]] == ["road", "car"]


@given(st.integers(1, 4), st.data())
def test_accumulator_holds_the_sum_of_its_updates(number: int, data: st.DataObject) -> None:
    pairs = [data.draw(label_pairs(classes=number)) for _ in range(3)]
    total = segmeter.ConfusionMatrix(number)
    for _, pred, target in pairs:
        total.update(pred, target)
    expected = sum(count(p, t, num_classes=number, void_column=True) for _, p, t in pairs)
    assert_array_equal(total.matrix, expected)
    together = segmeter.ConfusionMatrix(number)
    together.update([pred for _, pred, _ in pairs], [target for _, _, target in pairs])
    assert together == total
    assert_array_equal(segmeter.iou(total), segmeter.iou(total.matrix))


def test_accumulator_takes_scores() -> None:
    logits = np.array([[[[0.1, 0.9, 0.3]], [[0.9, 0.1, 0.3]]]])
    total = segmeter.ConfusionMatrix(2, ignore_index=9)
    total.update(logits, [[[1, 1, 9]]], from_scores=True)
    assert total.matrix.tolist() == [[0, 0, 0], [1, 1, 0]]
    assert total.ignored == 1


# ------------------------------------------------------------------------- evaluation of folders

SUFFIXES = (".png", ".npy", ".tif", ".bmp", ".npz")


def save(path: Path, labels: np.ndarray) -> Path:
    """Write one map of labels 0 to 255 in the format that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, labels)
    elif path.suffix == ".npz":
        np.savez_compressed(path, labels)
    else:
        Image.fromarray(labels.astype(np.uint8)).save(path)
    return path


def folders(root: Path, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[Path, Path]:
    """Write pairs of pred and target by file name without suffix, formats mixed."""
    for index, (name, (pred, target)) in enumerate(pairs.items()):
        save(root / "pred" / f"{name}{SUFFIXES[index % len(SUFFIXES)]}", pred)
        save(root / "target" / f"{name}{SUFFIXES[(index + 2) % len(SUFFIXES)]}", target)
    return root / "pred", root / "target"


def random_pairs(
    seed: int, images: int, classes: int = 3, top: int | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of maps of different sizes, by name; pred is right in most pixels."""
    generator = np.random.default_rng(seed)
    pairs = {}
    for index in range(images):
        shape = tuple(generator.integers(1, 9, 2))
        target = generator.integers(0, classes if top is None else top, shape).astype(np.uint8)
        pred = np.where(
            generator.random(shape) < 0.6, target, generator.integers(0, classes, shape)
        ).astype(np.uint8)
        pairs[f"image_{index:02}"] = (pred, target)
    return pairs


def total_of(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], **rules: Any) -> np.ndarray:
    """Counts of all pairs in memory, with a void column."""
    return np.sum([count(p, t, void_column=True, **rules) for p, t in pairs.values()], 0)


def numbers(result: segmeter.Result) -> dict[str, Any]:
    """Every number of a result that must not depend on where files lie or how they are called."""
    return {
        "scores": result.scores,
        "per_class": result.per_class,
        "matrix": result.matrix.tolist(),
        "images": result.num_images,
    }


def same(actual: Any, expected: Any) -> None:
    """Equal values in nested dicts and lists, NaN equal to NaN, sums in any order."""
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            same(actual[key], value)
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for left, right in zip(actual, expected, strict=True):
            same(left, right)
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=1e-12, nan_ok=True)
    else:
        assert actual == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4))
@settings(max_examples=20)
def test_evaluating_files_is_counting_in_memory(seed: int, images: int, classes: int) -> None:
    pairs = random_pairs(seed, images, classes)
    with TemporaryDirectory() as folder:
        result = segmeter.evaluate(*folders(Path(folder), pairs), num_classes=classes)
    matrix = total_of(pairs, num_classes=classes)
    assert_array_equal(result.matrix, matrix)
    assert_array_equal(result.counts.matrix, matrix)
    assert (result.exit_code, result.problems, result.num_images) == (0, [], images)
    named = class_scores(matrix)
    for name, key in (
        ("mean_iou", "iou"),
        ("mean_dice", "dice"),
        ("mean_precision", "precision"),
        ("mean_recall", "recall"),
    ):
        close(result.scores[name], mean(named[key]))
    close(result.scores["pixel_accuracy"], np.trace(matrix) / matrix.sum())
    for key in ("iou", "dice", "precision", "recall", "specificity"):
        close([row[key] for row in result.per_class], named[key])
    tables = [class_scores(count(p, t, num_classes=classes)) for p, t in pairs.values()]
    close([row["mean_iou"] for row in result.per_image], [mean(t["iou"]) for t in tables])
    close(result.scores["mean_iou_per_image"], mean([mean(t["iou"]) for t in tables]))
    by_class = [mean([t["iou"][k] for t in tables]) for k in range(classes)]
    close(result.scores["mean_iou_per_class_per_image"], mean(by_class))
    cells = [(row["id"], row["class"], row["iou"]) for row in result.rows("per_image_per_class")]
    assert [cell[:2] for cell in cells] == [
        (name, str(k)) for name in pairs for k in range(classes)
    ]
    close([cell[2] for cell in cells], [value for t in tables for value in t["iou"]])


@pytest.mark.parametrize(
    ("options", "top"),
    [
        ({"num_classes": 3, "ignore_index": 3}, 4),
        ({"num_classes": 3, "ignore_index": [1, 3]}, 4),
        ({"num_classes": 2, "mapping": {0: 1, 1: 0, 2: "ignore", 3: 1}}, 4),
        ({"num_classes": 2, "mapping": {0: 0, 1: 1, 2: 0}, "pred_mapping": {0: 1, 1: 0, 2: 0}}, 3),
        ({"num_classes": 3, "reduce_zero_label": True, "pred_mapping": [2, 0, 1, 2]}, 4),
        ({"num_classes": 2, "out_of_range": "ignore"}, 3),
        ({"num_classes": 2, "out_of_range": "wrong"}, 2),
        ({"num_classes": 2, "out_of_range": "wrong", "ignore_index": 3}, 2),
    ],
)
def test_evaluation_follows_the_label_rules(
    tmp_path: Path, options: dict[str, Any], top: int
) -> None:
    pairs = random_pairs(5, 5, 3, top)
    rules = {k: v for k, v in options.items() if k not in ("mapping", "pred_mapping")}
    for given_as, known_as in (("mapping", "labels"), ("pred_mapping", "pred_labels")):
        if given_as in options:
            table = options[given_as]  # a sequence says what label 0, 1, ... is
            items = table.items() if isinstance(table, dict) else enumerate(table)
            rules[known_as] = {k: None if v == "ignore" else v for k, v in items}
    result = segmeter.evaluate(*folders(tmp_path, pairs), **options)
    assert result.exit_code == 0, result.problems
    expected = total_of(pairs, **rules)
    assert_array_equal(result.matrix, expected)
    assert sum(row["ignored"] for row in result.per_image) == result.counts.ignored
    assert result.counts.ignored == sum(p.size for p, _ in pairs.values()) - expected.sum()


def test_a_threshold_makes_two_classes(tmp_path: Path) -> None:
    pred = np.array([[0, 100, 101, 255]], np.uint8)
    target = np.array([[0, 1, 255, 0]], np.uint8)
    result = segmeter.evaluate(*folders(tmp_path, {"a": (pred, target)}), threshold=100)
    assert result.matrix[:, :2].tolist() == [[1, 1], [1, 1]]


def test_label_groups_are_scored_from_the_same_counts(tmp_path: Path) -> None:
    pairs = random_pairs(2, 4, 4)
    groups = {"front": [1, 2, 3], "core": [1, 3]}
    result = segmeter.evaluate(*folders(tmp_path, pairs), num_classes=4, label_groups=groups)
    for row, group in zip(result.label_groups, groups.values(), strict=True):
        merged = {k: (np.isin(p, group), np.isin(t, group)) for k, (p, t) in pairs.items()}
        scored = class_scores(total_of(merged, num_classes=2))
        close(row["iou"], scored["iou"][1])
        close(row["recall"], scored["recall"][1])


def bad_pairs(root: Path) -> dict[str, str]:
    """Add files that cannot be counted; id of each and what is wrong with it."""
    good = np.zeros((6, 7), np.uint8)
    pred, target = root / "pred", root / "target"
    cut = save(pred / "truncated.png", np.arange(42, dtype=np.uint8).reshape(6, 7) % 3)
    cut.write_bytes(cut.read_bytes()[:-25])
    (pred / "text.png").write_text("this is no image")
    (pred / "empty.npy").write_bytes(b"")
    save(pred / "size.png", np.zeros((7, 6), np.uint8))
    save(pred / "label.png", np.full((6, 7), 99, np.uint8))
    Image.fromarray(np.zeros((6, 7, 3), np.uint8)).save(pred / "colours.png")
    save(pred / "alone.png", good)
    for name in ("truncated", "text", "empty", "size", "label", "colours", "waiting"):
        save(target / f"{name}.png", good)
    return {
        "truncated": "truncated.png",
        "text": "text.png",
        "empty": "empty.npy",
        "size": "size.png",
        "label": "label.png",
        "colours": "colours.png",
        "alone": "alone.png",
        "waiting": "waiting.png",
    }


@pytest.mark.parametrize("threads", [1, 3])
def test_broken_files_are_listed_and_change_nothing(tmp_path: Path, threads: int) -> None:
    pairs = random_pairs(9, 5)
    good = segmeter.evaluate(*folders(tmp_path / "good", pairs), num_classes=3)
    sources = folders(tmp_path / "all", pairs)
    bad = bad_pairs(tmp_path / "all")
    result = segmeter.evaluate(*sources, num_classes=3, threads=threads)
    same(numbers(result), numbers(good))
    assert [row["id"] for row in result.per_image] == list(pairs)
    assert result.exit_code == 3
    assert sorted(row["id"] for row in result.problems) == sorted(bad)
    for row in result.problems:
        assert bad[row["id"]] in row["message"], row
        assert "\n" not in row["message"]


def test_missing_files_can_be_an_error(tmp_path: Path) -> None:
    pred, target = folders(tmp_path, random_pairs(1, 3))
    save(target / "waiting.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="waiting"):
        segmeter.evaluate(pred, target, num_classes=3, missing="raise")


def test_an_image_without_counted_pixels_is_an_image(tmp_path: Path) -> None:
    pairs = random_pairs(4, 3)
    void = np.full((3, 3), 255, np.uint8)
    pairs["nothing"] = (np.zeros((3, 3), np.uint8), void)
    result = segmeter.evaluate(*folders(tmp_path, pairs), num_classes=3, ignore_index=255)
    assert result.exit_code == 0
    row = next(row for row in result.per_image if row["id"] == "nothing")
    assert math.isnan(row["mean_iou"])
    assert row["ignored"] == 9
    assert_array_equal(result.matrix, total_of(pairs, num_classes=3, ignore_index=255))
    assert result.scores_over["mean_iou_per_image"] == {"over": 3, "undefined": 1}


def test_names_and_places_of_files_do_not_matter(tmp_path: Path) -> None:
    pairs = random_pairs(11, 6)
    expected = numbers(segmeter.evaluate(*folders(tmp_path / "a", pairs), num_classes=3))
    names = ["z/9", "z/10", "b", "a/deep/er/1", "A", "µ-7 x"]
    renamed = dict(zip(names, reversed(pairs.values()), strict=True))
    other = folders(tmp_path / "b", renamed)
    same(numbers(segmeter.evaluate(*other, num_classes=3, threads=3)), expected)
    one_format: dict[str, list[Path]] = {"pred": [], "target": []}
    for k, (pred, target) in enumerate(pairs.values()):
        one_format["pred"].append(save(tmp_path / "c" / "pred" / f"{k}.png", pred))
        one_format["target"].append(save(tmp_path / "c" / "target" / f"{k}.png", target))
    shuffled = [one_format["target"][k] for k in (3, 1, 5, 0, 2, 4)]
    same(numbers(segmeter.evaluate(one_format["pred"], shuffled, num_classes=3)), expected)
    globs = [str(tmp_path / "c" / side / "*.png") for side in one_format]
    same(numbers(segmeter.evaluate(*globs, num_classes=3)), expected)


def test_lists_and_tables_of_files_are_folders_by_other_means(tmp_path: Path) -> None:
    pairs = random_pairs(12, 4)
    pred, target = folders(tmp_path, pairs)
    expected = numbers(segmeter.evaluate(pred, target, num_classes=3))
    files = [sorted(side.iterdir(), key=lambda f: f.stem) for side in (pred, target)]
    for side, listed in zip(("p", "t"), files, strict=True):
        text = "# comment\n" + "\n".join(str(file) for file in reversed(listed)) + "\n"
        (tmp_path / f"{side}.txt").write_text(text)
    lists = tmp_path / "p.txt", tmp_path / "t.txt"
    same(numbers(segmeter.evaluate(*lists, num_classes=3)), expected)
    with (tmp_path / "pairs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "target", "pred"])
        for k, (p, t) in enumerate(zip(*files, strict=True)):
            writer.writerow([f"case {3 - k}", t.relative_to(tmp_path), p.relative_to(tmp_path)])
    result = segmeter.evaluate(tmp_path / "pairs.csv", num_classes=3)
    same(numbers(result), expected)
    assert sorted(row["id"] for row in result.per_image) == [f"case {k}" for k in range(4)]


def test_suffixes_and_patterns_pair_what_they_say(tmp_path: Path) -> None:
    pairs = random_pairs(13, 3)
    expected = numbers(segmeter.evaluate(*folders(tmp_path / "plain", pairs), num_classes=3))
    for index, (pred, target) in enumerate(pairs.values()):
        save(tmp_path / "p" / f"street{index}_pred.png", pred)
        save(tmp_path / "t" / f"street{index}_gt.png", target)
    sources = tmp_path / "p", tmp_path / "t"
    by_suffix = segmeter.evaluate(
        *sources, num_classes=3, pred_suffix="_pred", target_suffix="_gt.png"
    )
    same(numbers(by_suffix), expected)
    by_regex = segmeter.evaluate(*sources, num_classes=3, pair="regex", pattern=r"street(\d+)")
    same(numbers(by_regex), expected)
    by_order = segmeter.evaluate(*sources, num_classes=3, pair="order")
    same(numbers(by_order), expected)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_change_a_result(tmp_path: Path, threads: int) -> None:
    sources = folders(tmp_path, random_pairs(14, 7))
    expected = segmeter.evaluate(*sources, num_classes=3, threads=1)
    result = segmeter.evaluate(*sources, num_classes=3, threads=threads)
    assert result.to_json() == expected.to_json()


def test_counts_of_shards_add_up_to_the_run(tmp_path: Path) -> None:
    pairs = random_pairs(15, 6)
    whole = segmeter.evaluate(*folders(tmp_path / "whole", pairs), num_classes=3)
    names = list(pairs)
    shards = [
        segmeter.evaluate(
            *folders(tmp_path / str(k), {name: pairs[name] for name in names[k::2]}), num_classes=3
        )
        for k in range(2)
    ]
    assert shards[0].counts + shards[1].counts == whole.counts


def test_progress_counts_every_pair(tmp_path: Path) -> None:
    sources = folders(tmp_path, random_pairs(16, 5))
    calls: list[tuple[int, int, int]] = []
    segmeter.evaluate(
        *sources, num_classes=3, progress=lambda done, total, bad: calls.append((done, total, bad))
    )
    assert [call[0] for call in calls if call[0]] == [1, 2, 3, 4, 5]
    assert {call[1:] for call in calls} == {(5, 0)}


def plain(value: Any) -> Any:
    """A cell of a CSV as a number, where it is one."""
    if value == "":
        return math.nan
    try:
        return float(value)
    except ValueError:
        return value


def test_files_hold_the_same_numbers(tmp_path: Path) -> None:
    pairs = random_pairs(17, 4, 4, 3)  # class 3 is only predicted, class 4 absent
    pairs["nothing"] = (np.zeros((3, 3), np.uint8), np.full((3, 3), 255, np.uint8))
    sources = folders(tmp_path, pairs)
    save(tmp_path / "pred" / "alone.png", np.zeros((2, 2), np.uint8))
    result = segmeter.evaluate(*sources, num_classes=5, ignore_index=255)
    text = result.to_json(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(text)
    loaded = json.loads(text, parse_constant=pytest.fail)  # NaN is no JSON
    assert loaded == result.to_dict()
    for name, value in result.scores.items():
        assert loaded["scores"][name] == (None if math.isnan(value) else value)
    assert loaded["confusion_matrix"]["counts"] == result.matrix.tolist()
    assert [row["iou"] for row in loaded["per_class"]][4] is None
    for table in ("per_class", "per_image", "problems"):
        rows = [{k: math.nan if v is None else v for k, v in row.items()} for row in loaded[table]]
        assert_rows_equal(rows, result.rows(table))
    for table in ("per_image", "per_class", "per_image_per_class", "problems"):
        result.to_csv(tmp_path / f"{table}.csv", table)
        with (tmp_path / f"{table}.csv").open(newline="") as stream:
            rows = [{k: plain(v) for k, v in row.items()} for row in csv.DictReader(stream)]
        expected = [
            {k: plain(str(v)) if not isinstance(v, float) else v for k, v in row.items()}
            for row in result.rows(table)
        ]
        assert_rows_equal(rows, expected)


def assert_rows_equal(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Equal to the last bit, NaN equal to NaN."""
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert list(row) == list(other)
        for key, value in other.items():
            same_nan = isinstance(value, float) and math.isnan(value) and math.isnan(row[key])
            assert same_nan or row[key] == value, key


def test_data_frames_hold_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    result = segmeter.evaluate(*folders(tmp_path, random_pairs(18, 3)), num_classes=4)
    for table in ("per_image", "per_class", "per_image_per_class"):
        frame = result.to_pandas(table)
        assert_rows_equal(frame.to_dict("records"), result.rows(table))


# ----------------------------------------------------------------------------- the command line


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``segmeter evaluate`` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "segmeter", "evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_exit_codes_and_files_of_the_command(tmp_path: Path) -> None:
    pairs = random_pairs(19, 4)
    pred, target = folders(tmp_path, pairs)
    sources = ("--pred", pred, "--target", target, "--num-classes", 3)
    expected = segmeter.evaluate(pred, target, num_classes=3)

    done = command(*sources, "--json", tmp_path / "r.json", "--csv", tmp_path / "out", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["scores"] == expected.to_dict()["scores"]
    assert written["per_image"] == expected.to_dict()["per_image"]
    for table in ("per_image", "per_class", "per_image_per_class"):
        expected.to_csv(tmp_path / "twin.csv", table)
        assert (tmp_path / "out" / f"{table}.csv").read_bytes() == (
            tmp_path / "twin.csv"
        ).read_bytes()

    reached = expected.scores["mean_iou"]
    assert command(*sources, "--fail-under", f"mean_iou={reached - 0.01}").returncode == 0
    assert command(*sources, "--fail-under", f"mean_iou={reached + 0.01}").returncode == 1
    assert command(*sources, "--nonsense").returncode == 2
    assert command(*sources[:-2]).returncode == 2
    assert command("--pred", tmp_path / "nowhere", *sources[2:]).returncode == 2

    save(pred / "alone.png", np.zeros((2, 2), np.uint8))
    broken = command(*sources)
    assert broken.returncode == 3
    assert "alone" in broken.stdout + broken.stderr
