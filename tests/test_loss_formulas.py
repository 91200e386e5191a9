"""Losses against their twins, central differences and autograd, and everything they refuse."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmeter import _core, loss
from segmeter.loss import _functions, _pixel, _region
from segmeter.reference import loss as twins
from segmeter.reference import loss_compound as sums_of_twins

RANKS = ("lovasz_hinge", "lovasz_softmax", "ohem", "top_k")
NAMES = [name for name in _functions.__all__ if name not in RANKS]
CLASSES = {
    name: getattr(loss, "".join(part.capitalize() for part in name.split("_"))) for name in NAMES
}
GRADIENTS = ("intersection", "pred", "pred_squared", "terms", "terms_negative")

# Options of one loss or another; a loss takes those it has.
CHOICES: dict[str, st.SearchStrategy[Any]] = {
    "region": st.sampled_from(["per_sample", "batch"]),
    "average": st.sampled_from(["macro", "micro", "weighted"]),
    "absent": st.sampled_from(["score", "skip", "zero"]),
    "normalise_weight": st.booleans(),
    "class_weight": st.none() | st.lists(st.floats(0.1, 3), min_size=3, max_size=3),
    "classes": st.none() | st.sampled_from([[0], [2, 1], [0, 1, 2]]),
    "reduction": st.sampled_from(["mean", "sum"]),
    "smooth_nr": st.sampled_from([0.0, 1e-5, 1.0]),
    "smooth_dr": st.sampled_from([1e-5, 1.0]),
    "eps": st.sampled_from([0.0, 3.0]),
    "alpha": st.floats(0.1, 0.9),
    "beta": st.floats(0.1, 0.9),
    "gamma": st.sampled_from([0.5, 1.0, 2.0]),
    "squared": st.booleans(),
    "complement": st.booleans(),
    "power_of_mean": st.booleans(),
    "class_size": st.sampled_from(["square", "simple", "uniform"]),
    "pseudo_count": st.sampled_from([0.0, 0.1]),
    "sensitivity_weight": st.floats(0, 1),
    "normaliser": st.sampled_from(["valid", "all", "weights"]),
    "divide_by_classes": st.sampled_from([None, True, False]),
    "label_smoothing": st.sampled_from([0.0, 0.1]),
    "exponent": st.sampled_from([0.3, 1.0, 2.0]),
    "threshold": st.sampled_from([None, 0.4]),
    "normalised": st.booleans(),
    "epsilon": st.floats(-1, 2),
    "q": st.floats(0.1, 1),
}


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Logits (N, 3, 2, 3), labels or soft labels, and options of the inputs."""
    samples = draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = draw(st.sampled_from([0.5, 3.0])) * rng.normal(size=(samples, 3, 2, 3))
    target = rng.integers(0, draw(st.sampled_from([1, 2, 3])), (samples, 2, 3))
    options: dict[str, Any] = {"activation": draw(st.sampled_from(["softmax", "sigmoid"]))}
    if draw(st.booleans()):
        target[rng.random(target.shape) < 0.3] = 255
        options["ignore_index"] = 255
    elif draw(st.booleans()):
        soft = rng.random(logits.shape)
        target = soft / soft.sum(1, keepdims=True)
    if draw(st.booleans()):
        options["pixel_weight"] = rng.random((samples, 2, 3))
    if draw(st.booleans()):
        options["mask"] = rng.random((samples, 2, 3)) < 0.2
    return logits, target, options


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, np.ndarray, np.ndarray, dict[str, Any]]:
    name = draw(st.sampled_from(NAMES))
    logits, target, options = draw(problems())
    known = [field.name for field in fields(CLASSES[name])]
    for option in draw(st.lists(st.sampled_from(sorted(CHOICES)), unique=True)):
        if option in known and not (option == "squared" and name.endswith("_metric")):
            options[option] = draw(CHOICES[option])
    if name == "generalised_dice" and options.get("average") == "weighted":
        del options["average"]
    if options.get("normalised"):
        options.update(threshold=None, reduction="mean")
    return name, logits, target, options


@given(calls())
@settings(max_examples=150)
def test_value_and_gradient_of_the_twin(
    call: tuple[str, np.ndarray, np.ndarray, dict[str, Any]],
) -> None:
    name, logits, target, options = call
    value, gradient = getattr(loss, name)(logits, target, return_grad=True, **options)
    expected, expected_gradient = getattr(twins, name)(logits, target, return_grad=True, **options)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    scale = max(np.abs(expected_gradient).max(), 1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-8, atol=1e-8 * scale)
    assert getattr(loss, name)(logits, target, **options) == value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [None, [0, 1, 2], [2, 0]])
def test_value_is_the_same_with_and_without_its_gradient(name: str, classes: Any) -> None:
    """To the bit: sums of chosen classes lie in another order in memory."""
    made = CLASSES[name](classes=classes)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits, target = rng.normal(size=(2, 3, 7)), rng.integers(0, 3, (2, 7))
        assert made(logits, target) == made(logits, target, return_grad=True)[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("size", [30.0, 375.0, 5e3, 1e100])
@pytest.mark.parametrize("soft", [False, True])
def test_certain_logits_of_the_twin(name: str, activation: str, size: float, soft: bool) -> None:
    """Right and wrong beyond what a float64 probability can say: p is 0 there, -log p is not."""
    logits = size * np.array([[[1, 1, -1, 0, 0], [-1, -1, 1, 1, 0], [0, -1, -1, -1, 0]]], float)
    target: np.ndarray = np.array([[0, 2, 0, 1, 2]])
    if soft:
        target = np.moveaxis(0.7 * np.eye(3)[target] + 0.1, -1, 1)
    for options in ({}, {"mask": np.array([[False, True, True, False, False]])}):
        inputs: dict[str, Any] = {"activation": activation, "return_grad": True, **options}
        value, gradient = getattr(loss, name)(logits, target, **inputs)
        expected, expected_gradient = getattr(twins, name)(logits, target, **inputs)
        assert np.isfinite(expected)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
        scale = np.abs(expected_gradient).max()
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-8, atol=1e-10 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_one_by_one(name: str) -> None:
    rng = np.random.default_rng(5)
    logits, target = rng.normal(size=(2, 3, 2, 3)), rng.integers(0, 3, (2, 2, 3))
    mine = getattr(loss, name)(logits, target, reduction="none")
    expected = getattr(twins, name)(logits, target, reduction="none")
    assert mine.dtype == np.float64
    np.testing.assert_allclose(mine.ravel(), np.asarray(expected).ravel(), rtol=1e-9)
    if name in ("cross_entropy", "focal", "poly", "generalised_cross_entropy"):
        assert mine.shape == target.shape
        assert mine.mean() == pytest.approx(getattr(loss, name)(logits, target))


@pytest.mark.parametrize("channels_last", [False, True])
def test_one_by_one_of_every_class(channels_last: bool) -> None:
    rng = np.random.default_rng(5)
    logits, target = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    weight = rng.random(target.shape)
    inputs = np.moveaxis(logits, 1, -1) if channels_last else logits
    options: dict[str, Any] = {"activation": "sigmoid", "pixel_weight": weight}
    mine = loss.focal(inputs, target, reduction="none", channels_last=channels_last, **options)
    assert mine.shape == inputs.shape
    assert mine.mean() == pytest.approx(loss.focal(logits, target, **options))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_central_differences(name: str, activation: str) -> None:
    """Against the value alone: no formula of a derivative, neither ours nor the twin's."""
    rng = np.random.default_rng(6)
    logits, target = rng.normal(size=(1, 3, 2, 2)), np.array([[[0, 2], [1, 1]]])
    made = CLASSES[name](activation=activation)
    _, gradient = made(logits, target, return_grad=True)
    for index in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[index] = 1e-5
        slope = (made(logits + step, target) - made(logits - step, target)) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_formula_is_differentiated_by_torch(name: str, activation: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    logits, target = rng.normal(size=(2, 3, 4)), rng.integers(0, 3, (2, 4))
    for options in ({}, {"class_weight": [0.5, 1.0, 2.0]}, {"include_background": False}):
        made = CLASSES[name](activation=activation, **options)
        table = loss.soft_counts(
            logits,
            target,
            activation=activation,
            pixel_terms=made.terms,
            squares=made.squares,
        )
        tensors = {key: torch.tensor(array) for key, array in table.to_arrays().items()}
        for key in GRADIENTS:
            tensors[key].requires_grad_()
        value = made.value(loss.SoftCounts(**tensors), torch)
        value.backward()
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(float(made.value(table)), rel=1e-12)
        gradient = made.gradient(table)
        for key in GRADIENTS:
            slope = tensors[key].grad
            expected = np.zeros_like(table.pred) if slope is None else slope.numpy()
            np.testing.assert_allclose(
                getattr(gradient, key) - expected,
                0.0,
                atol=1e-9 * (1 + np.abs(expected).max(initial=0)),
            )


# --- conventions


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("empty", ["zero", "nan"])
def test_nothing_counted(name: str, activation: str, empty: str) -> None:
    logits, target = np.ones((2, 3, 4)), np.full((2, 4), 255)
    value, gradient = getattr(loss, name)(
        logits, target, ignore_index=255, activation=activation, empty=empty, return_grad=True
    )
    assert value == 0.0 if empty == "zero" else np.isnan(value)
    assert not gradient.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_without_counted_pixels_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(8)
    logits, target = rng.normal(size=(2, 3, 5)), rng.integers(0, 3, (2, 5))
    target[1] = 255
    value, gradient = getattr(loss, name)(logits, target, ignore_index=255, return_grad=True)
    alone, slope = getattr(loss, name)(logits[:1], target[:1], return_grad=True)
    assert value == pytest.approx(alone, rel=1e-12)
    np.testing.assert_allclose(gradient[:1], slope, rtol=1e-12)
    assert not gradient[1].any()


@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_are_as_if_cut_away(name: str) -> None:
    rng = np.random.default_rng(9)
    logits, target = rng.normal(size=(1, 3, 6)), rng.integers(0, 3, (1, 6))
    logits[..., 4:] = np.nan  # what is ignored may hold anything
    value = getattr(loss, name)(logits, np.r_[target[0, :4], 9, -1][None], ignore_index=[9, -1])
    assert value == pytest.approx(getattr(loss, name)(logits[..., :4], target[:, :4]), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_nan_reaches_value_and_gradient(name: str) -> None:
    logits, target = np.zeros((1, 3, 4)), np.array([[0, 1, 2, 0]])
    logits[0, 1, 2] = np.nan
    value, gradient = getattr(loss, name)(logits, target, return_grad=True)
    assert np.isnan(value)
    assert np.isnan(gradient[0, :, 2]).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("size", [1e4, 4e35, 3e38])
def test_huge_logits(name: str, activation: str, size: float) -> None:
    """Certain and right, or certain and wrong: as the twin says, where float32 can say it."""
    target = np.array([[0, 1, 2, 1]])
    right = np.where(np.eye(3)[target[0]].T == 1, size, -size)[None].astype(np.float32)
    value, gradient = getattr(loss, name)(right, target, activation=activation, return_grad=True)
    assert value == pytest.approx(0.0, abs=1e-4)
    assert np.isfinite(gradient).all()
    wrong, slope = getattr(loss, name)(-right, target, activation=activation, return_grad=True)
    expected, expected_slope = getattr(twins, name)(
        -right, target, activation=activation, return_grad=True
    )
    # Of logits 6e38 apart, -log p is beyond float32.
    beyond = activation == "softmax" and size > 1e38 and name in ("cross_entropy", "focal", "poly")
    assert wrong == pytest.approx(np.inf if beyond else expected, rel=1e-6, abs=1e-6)
    scale = np.abs(expected_slope).max()
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "poly", "top_k", "ohem"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_huge_costs_of_many_pixels(name: str, dtype: str) -> None:
    """Up to 1e36, sums of float32 lanes have room for all pixels between two of float64."""
    logits = np.full((1, 2, 20000), 5e35, np.float32)
    logits[:, 0] *= -1
    if dtype == "bfloat16":
        logits = (logits.view(np.uint32) >> 16).astype(np.uint16)
    target = np.zeros((1, 20000), np.uint8)
    value, gradient = getattr(loss, name)(logits, target, return_grad=True)
    assert value == pytest.approx(1e36, rel=1e-2 if dtype == "bfloat16" else 1e-6)
    if dtype == "float32":
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_at_certainty(gamma: float) -> None:
    logits = np.array([[[800.0], [0.0]]])
    value, gradient = loss.focal(logits, [[0]], gamma=gamma, return_grad=True)
    assert value == 0.0
    assert not gradient.any()


def test_infinite_logits() -> None:
    logits = np.array([[[-np.inf, 0.0], [0.0, 0.0]]])
    for name in NAMES:
        value, gradient = getattr(loss, name)(logits, [[1, 0]], return_grad=True)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert loss.cross_entropy(logits, [[0, 0]]) == np.inf  # as in torch


def test_a_weight_of_zero_takes_a_class_out_even_if_it_costs_infinity() -> None:
    logits = np.array([[[-np.inf, 0.0], [0.0, 0.0]]])
    assert loss.cross_entropy(logits, [[0, 1]], class_weight=[0, 2]) == pytest.approx(np.log(2))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("name", ["dice", "cross_entropy", "tversky"])
def test_half_types_stay_finite(name: str, dtype: str) -> None:
    rng = np.random.default_rng(10)
    logits, target = rng.normal(size=(1, 2, 512, 512)), rng.integers(0, 2, (1, 512, 512))
    if dtype == "bfloat16":
        logits = (logits.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    else:
        logits = logits.astype(dtype)
    value, gradient = getattr(loss, name)(logits, target, return_grad=True)
    assert np.isfinite(value)
    assert gradient.dtype == logits.dtype
    if dtype == "bfloat16":
        gradient = (gradient.astype(np.uint32) << 16).view(np.float32)
    assert np.isfinite(gradient).all()


def test_out_takes_the_gradient() -> None:
    logits, out = np.ones((1, 2, 3), np.float32), np.empty((1, 2, 3), np.float32)
    value, gradient = loss.dice(logits, [[0, 1, 1]], out=out)
    assert gradient is out
    assert value == loss.dice(logits, [[0, 1, 1]])


def test_strided_read_only_and_byte_swapped_logits() -> None:
    rng = np.random.default_rng(11)
    logits, target = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5)).astype(np.uint8)
    expected, slope = loss.dice(logits, target, return_grad=True)
    wide = np.repeat(logits, 2, axis=-1)[..., ::2]
    wide.flags.writeable = False
    value, gradient = loss.dice(wide, target[:, ::-1][:, ::-1], return_grad=True)
    assert value == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12)


def test_compound_is_the_sum() -> None:
    rng = np.random.default_rng(12)
    logits, target = rng.normal(size=(2, 3, 4)), rng.integers(0, 3, (2, 4))
    parts = [
        (1.0, loss.Dice()),
        (2.0, loss.CrossEntropy(label_smoothing=0.1)),
        (0.5, loss.Focal(activation="sigmoid")),
        (1.0, loss.Focal(normalised=True)),
        (0.3, loss.JaccardMetric()),
        (0.7, loss.SensitivitySpecificity()),
    ]
    both = loss.compound(parts)
    value, gradient = both(logits, target, return_grad=True)
    alone = [part(logits, target, return_grad=True) for _, part in parts]
    assert value == pytest.approx(sum(w * v for (w, _), (v, _) in zip(parts, alone, strict=True)))
    expected = sum(w * g for (w, _), (_, g) in zip(parts, alone, strict=True))
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-15)
    assert both(logits, target) == pytest.approx(value)
    assert len(loss.compound([loss.Dice(), loss.Focal(), loss.CrossEntropy()]).groups) == 1
    nested = loss.compound([(2.0, both), loss.Tversky()])
    assert nested.members[0] == (2.0, loss.Dice())


# Of a loss with a name and options, as the objects and as the twins make it.
Part = tuple[str, dict[str, Any]]


@st.composite
def parts_of_compounds(draw: st.DrawFn) -> tuple[float, Part]:
    name = draw(st.sampled_from(["dice", "tversky", "cross_entropy", "focal", "poly", "jaccard"]))
    options: dict[str, Any] = {
        "activation": draw(st.sampled_from(["softmax", "sigmoid"])),
        "include_background": draw(st.booleans()),
        "ignore_index": draw(st.sampled_from([255, [255, 0]])),
    }
    if name == "cross_entropy":
        options["label_smoothing"] = draw(st.sampled_from([0.0, 0.1]))
    return draw(st.sampled_from([0.0, 0.5, 2.0])), (name, options)


@given(st.lists(parts_of_compounds(), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_compound_of_the_twins(parts: list[tuple[float, Part]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, target = rng.normal(size=(2, 3, 5)), rng.integers(0, 3, (2, 5))
    target[rng.random(target.shape) < 0.2] = 255
    data = {"mask": rng.random(target.shape) < 0.2, "pixel_weight": rng.random(target.shape)}
    mine = loss.compound([(w, CLASSES[name](**options)) for w, (name, options) in parts])
    twin = sums_of_twins.compound(
        [(w, partial(getattr(twins, name), **options)) for w, (name, options) in parts]
    )
    assert_same(mine, twin, logits, target, **data)


@pytest.mark.parametrize("name", ["dice_cross_entropy", "dice_focal"])
def test_named_compounds_of_the_twins(name: str) -> None:
    rng = np.random.default_rng(15)
    logits, target = rng.normal(size=(2, 3, 5)), rng.integers(0, 3, (2, 5))
    other = name.removeprefix("dice_")
    for options in (
        {},
        {"dice_weight": 0.5, f"{other}_weight": 2.0, "ignore_index": 1},
        {"dice": {"squared": True}, other: {"class_weight": [1, 2, 3]}, "activation": "sigmoid"},
    ):
        made = (getattr(module, name)(**options) for module in (loss, sums_of_twins))
        assert_same(*made, logits, target)


@pytest.mark.parametrize("weights", ["nnunet", "halving", "equal", [1.0, 0.0, 0.5]])
@pytest.mark.parametrize("dense", [False, True])
def test_deep_supervision_of_the_twins(weights: Any, dense: bool) -> None:
    rng = np.random.default_rng(16)
    target = rng.integers(0, 3, (2, 8, 7))
    target = np.moveaxis(np.eye(3)[target], -1, 1) if dense else target
    logits = [rng.normal(size=(2, 3, *size)) for size in ((8, 7), (4, 3), (3, 2))]
    mine = loss.deep_supervision(loss.Dice(), weights=weights)
    twin = sums_of_twins.deep_supervision(twins.dice, weights=weights)
    assert_same(mine, twin, logits, target)
    if isinstance(weights, str):
        assert_same(mine, twin, logits[:1], target)


def assert_same(mine: Any, twin: Any, logits: Any, target: np.ndarray, **data: Any) -> None:
    """Values alone, and with their gradients, by the logits or by those of every level."""
    value, gradient = mine(logits, target, return_grad=True, **data)
    expected, expected_gradient = twin(logits, target, return_grad=True, **data)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert mine(logits, target, **data) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert twin(logits, target, **data) == expected
    if not isinstance(logits, list):
        gradient, expected_gradient = [gradient], [expected_gradient]
    for slope, wanted in zip(gradient, expected_gradient, strict=True):
        np.testing.assert_allclose(slope, wanted, rtol=1e-8, atol=1e-12)


def test_deep_supervision_is_the_weighted_sum() -> None:
    rng = np.random.default_rng(13)
    target = rng.integers(0, 3, (2, 8, 6))
    logits = [rng.normal(size=(2, 3, 8, 6)), rng.normal(size=(2, 3, 4, 3))]
    deep = loss.deep_supervision(loss.Dice(), weights=[1.0, 0.25])
    value, gradients = deep(logits, target, return_grad=True)
    small, slope = loss.dice(logits[1], target[:, 1::2, 1::2], return_grad=True)
    assert value == pytest.approx(loss.dice(logits[0], target) + 0.25 * small)
    np.testing.assert_allclose(gradients[1], 0.25 * slope, rtol=1e-12)
    assert deep(logits, [target, target[:, 1::2, 1::2]]) == value
    _, gradients = loss.deep_supervision(loss.Dice())(logits, target, return_grad=True)
    assert not gradients[1].any()  # nnU-Net leaves out the coarsest


# --- objects


@pytest.mark.parametrize("name", NAMES)
def test_function_and_object_are_one(name: str) -> None:
    rng = np.random.default_rng(14)
    logits, target = rng.normal(size=(2, 3, 4)), rng.integers(0, 3, (2, 4))
    function, made = getattr(loss, name), CLASSES[name]()
    assert function(logits, target) == made(logits, target)
    assert made == CLASSES[name]()
    assert replace(made, class_weight=[1, 2, 3]) == CLASSES[name](class_weight=[1, 2, 3])
    options = [field.name for field in fields(made)]
    signature = inspect.signature(function)
    assert [*signature.parameters][:2] == ["logits", "target"]
    assert set(options) < set(signature.parameters)
    for option in signature.parameters:
        common = option in ("squared", "soft_label", "complement", "alpha", "beta", "average")
        assert option in (function.__doc__ or "") or common


@pytest.mark.parametrize("name", NAMES)
def test_explain_says_the_options(name: str) -> None:
    text = CLASSES[name](class_weight=[1, 2], ignore_index=255, empty="nan").explain()
    assert text.startswith(CLASSES[name].__name__ + ": loss = ")
    for part in ("class_weight = [1, 2]", "label 255", "no pixel counted: NaN", "softmax(logits)"):
        assert part in text


def test_explain_writes_the_formula() -> None:
    assert loss.Tversky(
        alpha=0.3, beta=0.7, smooth_nr=0, smooth_dr=0, region="batch"
    ).explain() == (
        "Tversky: loss = mean over the batch as one and classes of 1 - tversky\n"
        "  tversky = TP / (TP + 0.3 FP + 0.7 FN)\n"
        "  TP = sum(p y); FP = sum(p) - TP; FN = sum(y) - TP\n"
        "  sums over the counted pixels of the whole batch\n"
        "  a class without a pixel in the target is scored as any other\n"
        "  p = softmax(logits) over the classes; y = target, one-hot or soft\n"
        "  no pixel counted: 0 with zero gradient"
    )


# --- bad input

LOGITS, TARGET = np.zeros((2, 3, 4)), np.zeros((2, 4), np.int64)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activation": "relu"}, ValueError, "activation must be one of 'softmax', 'sigmoid'"),
        ({"reduction": "avg"}, ValueError, "reduction must be one of 'mean', 'sum', 'none'"),
        ({"region": "image"}, ValueError, "region must be one of 'per_sample', 'batch'"),
        ({"class_weight": [1, 2]}, ValueError, "one number for each of the 3 classes .* got 2"),
        ({"class_weight": [1, -2, 1]}, ValueError, "at least 0, got -2 at class 1"),
        ({"class_weight": [1, np.nan, 1]}, ValueError, "finite numbers of at least 0, got nan"),
        ({"class_weight": []}, ValueError, "class_weight must be one number"),
        ({"classes": [0, 3]}, ValueError, "classes must be from 0 to 2, .* got 3"),
        ({"classes": [1, 1]}, ValueError, "every class once"),
        ({"classes": []}, ValueError, "at least one class"),
        ({"classes": 1}, TypeError, "sequence of class numbers"),
        ({"classes": [True]}, TypeError, "classes must be an integer"),
        ({"classes": [1], "include_background": False}, ValueError, "not both"),
        ({"include_background": 0}, TypeError, "include_background must be True or False"),
        ({"smooth_nr": -1.0}, ValueError, "smooth_nr must be a finite number at least 0"),
        ({"smooth_dr": np.inf}, ValueError, "smooth_dr must be a finite number"),
        ({"eps": "1"}, TypeError, "eps must be a number"),
        ({"smooth": 1.0}, TypeError, "Dice has no option 'smooth'; its options: "),
        ({"soft_label": True, "squared": True}, ValueError, "soft_label is for sums"),
        ({"pixel_weight": -np.ones((2, 4))}, ValueError, "finite and not negative"),
        ({"pixel_weight": np.ones((2, 5))}, ValueError, "pixel_weight must have shape"),
        ({"mask": np.ones((2, 4))}, TypeError, "mask must be bool"),
        ({"threads": -1}, ValueError, "threads must be 0 .automatic. to 1024"),
        ({"return_grad": 1}, TypeError, "return_grad must be True or False"),
        ({"reduction": "none", "return_grad": True}, ValueError, "return_grad needs one number"),
        ({"out": np.empty((2, 3, 4), np.float32)}, TypeError, "out must have the logits' dtype"),
        ({"out": np.empty((2, 3, 5))}, ValueError, "out must have the logits' shape"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        loss.dice(LOGITS, TARGET, **options)


PIXELS = np.array([[False, True, False, False], [False, False, False, True]])

SCORES = np.random.default_rng(3).normal(size=(2, 3, 4))
LABELS = np.array([[0, 1, 2, 1], [2, 2, 0, 1]])


@pytest.mark.parametrize("name", _functions.__all__)
@pytest.mark.parametrize("mask", [None, PIXELS[:, ::-1]])
def test_pixels_to_leave_out_are_a_mask(name: str, mask: Any) -> None:
    logits = SCORES[:, :1] if name == "lovasz_hinge" else SCORES
    target = LABELS % 2 if name == "lovasz_hinge" else LABELS
    function, both = getattr(loss, name), PIXELS if mask is None else PIXELS | mask
    assert function(logits, target, ignore_index=PIXELS, mask=mask) == function(
        logits, target, mask=both
    )
    if name not in ("top_k", "ohem"):  # of the hardest pixels alone
        assert function(logits, target, mask=both) != function(logits, target)


def test_tables_and_profiles_take_pixels_to_leave_out() -> None:
    counts = loss.soft_counts(SCORES, LABELS, ignore_index=PIXELS)
    np.testing.assert_array_equal(counts.valid, [3, 3])
    np.testing.assert_array_equal(
        counts.intersection, loss.soft_counts(SCORES, LABELS, mask=PIXELS).intersection
    )
    marked = np.where(PIXELS, 9, LABELS)
    for profiles in (
        loss.loss_profile(SCORES, LABELS, [loss.Dice()], ignore_index=PIXELS),
        loss.loss_profile(SCORES, marked, [loss.Dice()], ignore_index=9),
    ):
        assert profiles["Dice"].value == loss.dice(SCORES, LABELS, mask=PIXELS)


def test_pixels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="mask must have shape"):
        loss.dice(SCORES, LABELS, ignore_index=PIXELS[:1])
    with pytest.raises(ValueError, match="ignore_index and mask must have one shape"):
        loss.dice(SCORES, LABELS, ignore_index=PIXELS[:1], mask=PIXELS)
    with pytest.raises(TypeError, match="mask must be bool"):
        loss.dice(SCORES, LABELS, ignore_index=PIXELS, mask=PIXELS.astype(int))
    with pytest.raises(TypeError, match="when it is called, as mask="):
        loss.Dice(ignore_index=PIXELS)
    with pytest.raises(TypeError, match="a label, a list of labels or an array of bool"):
        loss.dice(SCORES, LABELS, ignore_index=np.zeros((2, 4), int))


def test_labels_to_leave_out_may_be_an_array() -> None:
    target = np.array([[0, 1, 2, 9], [0, -1, 2, 1]])
    for name in ("dice", "lovasz_softmax", "top_k"):
        value = getattr(loss, name)(LOGITS, target, ignore_index=np.array([9, -1]))
        assert value == getattr(loss, name)(LOGITS, target, ignore_index=[9, -1])
    made = [kind(ignore_index=np.array([9, -1])) for kind in (loss.Dice, loss.CrossEntropy)]
    assert made[0] == loss.Dice(ignore_index=[9, -1])
    assert len(loss.compound(made).groups) == 1


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (LOGITS.astype(int), TARGET, TypeError, "logits must be floating point"),
        (LOGITS[:, 0, 0], TARGET, ValueError, r"logits must have shape \(N, C, ...\)"),
        (LOGITS, TARGET[:, :3], ValueError, "target must have shape"),
        (LOGITS, TARGET + 3, ValueError, "label 3"),
        (LOGITS, TARGET - 1, ValueError, "label -1"),
        (LOGITS, LOGITS + 2.0, ValueError, "0..1"),
        (LOGITS[:, :1], TARGET, ValueError, "activation='sigmoid'"),
        (LOGITS[:, :0], TARGET, ValueError, "at least one channel"),
        (LOGITS, [["a"] * 4] * 2, TypeError, "target"),
    ],
)
def test_wrong_arrays(logits: Any, target: Any, error: type[Exception], message: str) -> None:
    for name in ("dice", "cross_entropy"):
        with pytest.raises(error, match=message):
            getattr(loss, name)(logits, target)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: loss.Focal(gamma=-1.0), "gamma must be a finite number at least 0"),
        (lambda: loss.Focal(alpha=1.5), "at most 1"),
        (lambda: loss.Focal(threshold=0.0), "threshold must be a finite number above 0"),
        (lambda: loss.Focal(normalised=True, threshold=0.5), "normalised needs"),
        (lambda: loss.Focal(normalised=True, reduction="sum"), "normalised is a kind of mean"),
        (lambda: loss.CrossEntropy(label_smoothing=1.5), "label_smoothing"),
        (lambda: loss.CrossEntropy(positive_weight=2.0), "positive_weight is for"),
        (lambda: loss.CrossEntropy(normaliser="sum"), "normaliser must be one of"),
        (lambda: loss.Poly(epsilon=-2.0), "epsilon must be a finite number at least -1"),
        (lambda: loss.GeneralisedCrossEntropy(q=0.0), "q must be a finite number above 0"),
        (lambda: loss.Tversky(alpha=-0.1), "alpha must be"),
        (lambda: loss.FocalTversky(gamma=0.0), "gamma must be"),
        (lambda: loss.LogDice(floor=0.0), "floor must be"),
        (lambda: loss.GeneralisedDice(class_size="cube"), "class_size must be one of"),
        (lambda: loss.GeneralisedDice(average="weighted"), "average has no meaning"),
        (lambda: loss.SensitivitySpecificity(sensitivity_weight=2), "at most 1"),
        (lambda: loss.compound([]), "at least one loss"),
        (lambda: loss.compound([(-1.0, loss.Dice())]), "weight of a loss"),
        (lambda: loss.compound([loss.Dice(reduction="none")]), "it has no sum"),
        (lambda: loss.deep_supervision(loss.Dice(), weights=[]), "for every level"),
        (lambda: loss.deep_supervision(loss.Dice(), weights="exp"), "weights must be one of"),
        (
            lambda: loss.deep_supervision(loss.Dice(), weights=[1.0])([LOGITS, LOGITS], TARGET),
            "2 levels, but weights are given for 1",
        ),
    ],
)
def test_wrong_losses(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: loss.compound(loss.Dice()),
        lambda: loss.compound([loss.dice]),
        lambda: loss.deep_supervision("dice"),
        lambda: loss.deep_supervision(loss.Dice())(LOGITS, TARGET),
    ],
)
def test_what_is_no_loss(make: Any) -> None:
    with pytest.raises(TypeError, match="must"):
        make()


def test_every_class_has_a_function() -> None:
    assert {cls.__name__ for cls in CLASSES.values()} == {*_pixel.__all__, *_region.__all__}


@pytest.mark.parametrize("least", [0.0, 2.0])
def test_native_quotients_are_those_of_the_formula(least: float) -> None:
    """Mean and slopes by the kernel as by NumPy, with an empty class and clipped denominators."""
    rng = np.random.default_rng(8)
    sums = {name: 3 * rng.random((3, 5)) for name in ("intersection", "pred", "target")}
    for array in sums.values():
        array[1, 2] = 0.0
    shares = rng.random((3, 5))
    kinds = [
        loss.Dice(smooth_nr=0.0, smooth_dr=0.0, eps=least),
        loss.Dice(smooth_nr=0.5, complement=False, eps=least),
        loss.Jaccard(smooth_nr=0.0, smooth_dr=0.0, eps=least),
        loss.Tversky(alpha=0.3, beta=0.9, eps=least),
    ]
    for one in kinds:
        score, slopes = one.score_and_slopes(sums)
        mean, by_sums = one.mean_and_slopes(sums, shares)
        offset = 0.0 if isinstance(one, loss.Dice) and not one.complement else 1.0
        np.testing.assert_allclose(mean, (shares * (offset - score)).sum(), rtol=1e-13)
        assert by_sums.keys() == slopes.keys()
        for name, values in by_sums.items():
            np.testing.assert_allclose(values, -shares * slopes[name], rtol=1e-13, atol=1e-15)


def test_native_quotients_refuse_sums_of_other_sizes() -> None:
    table = np.ones((2, 3))
    with pytest.raises(ValueError, match="shape mismatch"):
        _core.mean_of_quotients((0.0,) * 10, table, table, table[:1], table)


def test_a_number_without_axes_is_one_ignored_label():
    given = [255, np.int64(255), np.array(255)]
    assert len({loss.Dice(ignore_index=label) for label in given}) == 1
    assert loss.Dice(ignore_index=[255]) != loss.Dice(ignore_index=[254, 255])


def test_a_weight_beyond_all_floats_is_refused():
    with pytest.raises(ValueError, match="class_weight must hold finite numbers of at least 0"):
        loss.Dice(class_weight=[1, 10**400])


def test_slopes_that_are_kept_cannot_be_changed():
    logits, target = np.zeros((1, 2, 4), np.float32), np.zeros((1, 4), np.int64)
    criterion = loss.CrossEntropy()
    slopes = criterion.gradient(loss.soft_counts(logits, target, pixel_terms=criterion.terms))
    with pytest.raises(ValueError, match="read-only"):
        slopes.terms[...] *= 10
