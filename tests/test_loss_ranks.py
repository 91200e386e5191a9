"""Lovász losses and the hardest pixels: definitions, peers, derivatives, and what they refuse."""

from __future__ import annotations

import importlib
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmeter import loss
from segmeter.reference import loss as loss_twins
from segmeter.reference import loss_lovasz
from segmeter.reference.loss_lovasz import lovasz_jaccard

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

torch = pytest.importorskip("torch")

TWINS = {
    "top_k": loss_twins,
    "ohem": loss_twins,
    "lovasz_softmax": loss_lovasz,
    "lovasz_hinge": loss_lovasz,
}


def problem(*, ignored: bool = False, number: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    target = rng.integers(0, number, (2, 5, 6))
    target[0] %= number - 1  # the first sample lacks a class
    if ignored:
        target[:, :2, 1:4] = 255
    return 2 * rng.normal(size=(2, number, 5, 6)), target


def agree(
    mine: Any,
    logits: np.ndarray,
    target: np.ndarray,
    peer: Callable[[Any], Any],
    dtype: Any = np.float64,
    rtol: float = 1e-10,
) -> None:
    x = torch.tensor(logits.astype(dtype), requires_grad=True)
    expected = peer(x)
    expected.backward()
    value, gradient = mine(logits, target, return_grad=True)
    assert value == pytest.approx(expected.item(), rel=rtol)
    slope = x.grad.numpy()
    np.testing.assert_allclose(gradient, slope, rtol=rtol, atol=rtol * np.abs(slope).max())


# --- the definition


def jaccard_loss(wrong: set[int], truth: np.ndarray) -> float:
    """1 - Jaccard of a class whose prediction is wrong at some pixels."""
    pred = truth.copy()
    pred[list(wrong)] ^= True
    union = (pred | truth).sum()
    return 1.0 - (pred & truth).sum() / union if union else 0.0


@pytest.mark.parametrize("seed", range(20))
def test_extension_is_the_largest_over_all_orders(seed: int) -> None:
    """Of a submodular set function: the value is the maximum over all orders of the pixels."""
    rng = np.random.default_rng(seed)
    truth = rng.random(4) < 0.6
    errors = rng.choice([0.1, 0.4, 0.7], 4)  # ties are likely
    values, slopes = [], []
    for order in permutations(range(4)):
        slope = np.zeros(4)
        for place, pixel in enumerate(order):
            wrong = set(order[:place])
            slope[pixel] = jaccard_loss(wrong | {pixel}, truth) - jaccard_loss(wrong, truth)
        values.append(errors @ slope)
        slopes.append(slope)
    value, slope = lovasz_jaccard(errors, truth)
    assert value == pytest.approx(max(values))
    assert errors @ slope == pytest.approx(value)
    best = np.array([s for s, v in zip(slopes, values, strict=True) if v > max(values) - 1e-12])
    assert (slope >= best.min(0) - 1e-12).all()
    assert (slope <= best.max(0) + 1e-12).all()
    for one in range(4):  # pixels that are alike are treated alike
        for other in range(4):
            if errors[one] == errors[other] and truth[one] == truth[other]:
                assert slope[one] == slope[other]


@pytest.mark.parametrize("kind", ["LovaszSoftmax", "LovaszHinge", "TopK", "Ohem"])
def test_central_differences(kind: str) -> None:
    rng = np.random.default_rng(4)
    logits, target = rng.normal(size=(1, 3, 3, 2)), rng.integers(0, 3, (1, 3, 2))
    options = {"fraction": 0.5} if kind == "TopK" else {}
    options = {"exact": True} if kind.startswith("Lovasz") else options
    made = getattr(loss, kind)(**options)
    _, gradient = made(logits, target, return_grad=True)
    for index in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[index] = 1e-6
        slope = (made(logits + step, target) - made(logits - step, target)) / 2e-6
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-8)


# --- twins

SHARED: dict[str, st.SearchStrategy[Any]] = {
    "ignore_index": st.sampled_from([None, 255, [255, 2]]),
    "channels_last": st.booleans(),
    "empty": st.sampled_from(["zero", "nan"]),
    "class_weight": st.none() | st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=4, max_size=4),
}
HARD = {
    "normaliser": st.sampled_from(["valid", "all"]),
    "reduction": st.sampled_from(["mean", "sum"]),
}
LOVASZ = {
    "region": st.sampled_from(["batch", "per_sample"]),
    "classes": st.sampled_from(["present", "all", [2, 0], [3]]),
    "normalise_weight": st.booleans(),
    "reduction": st.sampled_from(["mean", "sum", "none"]),
}
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "top_k": {
        **HARD,
        "fraction": st.sampled_from([0.1, 0.3, 1.0]),
        "label_smoothing": st.sampled_from([0.0, 0.1]),
    },
    "ohem": {
        **HARD,
        "threshold": st.sampled_from([0.05, 0.7, 1.0]),
        "least": st.sampled_from([0, 5, 99]),
        "class_weight": st.none(),
    },
    "lovasz_softmax": LOVASZ,
    "lovasz_hinge": LOVASZ,
}


@given(data=st.data(), seed=st.integers(0, 2**32 - 1), size=st.sampled_from([1.0, 400.0]))
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("single", [False, True])
def test_value_and_gradient_of_the_twin(
    name: str, single: bool, data: st.DataObject, seed: int, size: float
) -> None:
    choices = {**SHARED, **OPTIONS[name]}
    named = data.draw(st.lists(st.sampled_from(sorted(choices)), unique=True))
    options = {option: data.draw(choices[option]) for option in named}
    if single and name == "lovasz_softmax":
        return  # the softmax of one channel is 1
    if single:
        options.pop("class_weight", None)
        options.pop("classes", None)
        options.update({} if name == "lovasz_hinge" else {"activation": "sigmoid"})
    rng = np.random.default_rng(seed)
    logits = size * rng.normal(size=(2, 1 if single else 4, 3, 2))
    target = rng.integers(0, 2 if single else 4, (2, 3, 2))
    target[0] %= rng.integers(1, 4)
    if options.get("ignore_index") is not None:
        target[rng.random(target.shape) < rng.choice([0.3, 1.0])] = 255
    if data.draw(st.booleans()):
        options["mask"] = rng.random(target.shape) < 0.3
    if name in ("top_k", "ohem") and data.draw(st.booleans()):
        options["pixel_weight"] = rng.random(target.shape)
    logits = np.moveaxis(logits, 1, -1) if options.get("channels_last") else logits
    function, twin = getattr(loss, name), getattr(TWINS[name], name)
    wanted = twin(logits, target, **options)
    if name.startswith("lovasz"):
        options["exact"] = True
    np.testing.assert_allclose(function(logits, target, **options), wanted, rtol=1e-9, atol=1e-12)
    if options.get("reduction") == "none":
        return
    _, gradient = function(logits, target, return_grad=True, **options)
    options.pop("exact", None)
    _, wanted = twin(logits, target, return_grad=True, **options)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("way", ["array", "tensor", "plain"])
def test_pixel_weights_do_not_decide_which_pixels_are_hard(way: str) -> None:
    """Of p = 0.5 and 0.9, with weights 0.1 and 10, the first is below 0.7."""
    logits = np.log(np.array([[[0.5, 0.9], [0.5, 0.1]]]))
    target, weight = np.array([[0, 0]]), np.array([[0.1, 10.0]])
    if way == "array":
        value = loss.ohem(logits, target, pixel_weight=weight)
    else:
        backend = importlib.import_module("segmeter.torch")
        evaluate = importlib.import_module("segmeter.torch._evaluate")
        inputs = [torch.tensor(array) for array in (logits, target)]
        if way == "tensor":
            value = backend.ohem(*inputs, pixel_weight=torch.tensor(weight)).item()
        else:
            given_inputs = evaluate.Inputs(*inputs, pixel_weight=torch.tensor(weight))
            value = evaluate.plain(loss.Ohem(), given_inputs).item()
    assert value == pytest.approx(0.1 * np.log(2))


# --- peers


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
def test_smp_lovasz_softmax(smp: ModuleType, per_image: bool, ignored: bool) -> None:
    logits, target = problem(ignored=ignored)
    ignore = 255 if ignored else None
    theirs = smp.LovaszLoss("multiclass", per_image=per_image, ignore_index=ignore)
    agree(
        loss.LovaszSoftmax(
            preset="smp",
            region="per_sample" if per_image else "batch",
            ignore_index=ignore,
            exact=True,
        ),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)),
        np.float32,  # all it takes
        rtol=2e-5,
    )


def test_smp_lovasz_hinge(smp: ModuleType) -> None:
    rng = np.random.default_rng(5)
    logits, target = rng.normal(size=(2, 1, 5, 6)), rng.integers(0, 2, (2, 5, 6))
    theirs = smp.LovaszLoss("binary")
    agree(
        loss.LovaszHinge(preset="smp", exact=True),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)),
        np.float32,
        rtol=2e-5,
    )


def test_kornia_lovasz(peer: Callable[[str], ModuleType]) -> None:
    losses = peer("kornia.losses")
    logits, target = problem()
    weights = [0.5, 2.0, 1.0, 1.5]
    for weight in (None, weights):
        tensor = None if weight is None else torch.tensor(weight, dtype=torch.float64)
        agree(
            loss.LovaszSoftmax(preset="kornia", class_weight=weight, exact=True),
            logits,
            target,
            lambda x, tensor=tensor: losses.lovasz_softmax_loss(x, torch.tensor(target), tensor),
        )
    target = target % 2
    agree(
        loss.LovaszHinge(preset="kornia", exact=True),
        logits[:, :1],
        target,
        lambda x: losses.lovasz_hinge_loss(x, torch.tensor(target)),
    )


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_nnunet_top_k(fraction: float) -> None:
    """TopKLoss: a share of all pixels, those that are ignored cost 0."""
    logits, target = problem(ignored=True)

    def theirs(x: Any) -> Any:
        costs = torch.nn.functional.cross_entropy(
            x, torch.tensor(target), ignore_index=255, reduction="none"
        )
        return torch.topk(costs.flatten(), int(costs.numel() * fraction), sorted=False)[0].mean()

    agree(loss.TopK(preset="nnunet", fraction=fraction, ignore_index=255), logits, target, theirs)


@pytest.mark.parametrize("least", [0, 20, 40])
def test_mmseg_ohem(least: int) -> None:
    """OHEMPixelSampler with a threshold, and its cross entropy, which divides by all pixels."""
    logits, target = problem(ignored=True)

    def theirs(x: Any) -> Any:
        labels = torch.tensor(target)
        with torch.no_grad():
            valid = labels != 255
            p = x.softmax(1).gather(1, labels.where(valid, 0 * labels)[:, None])[:, 0]
            ranked = p[valid].sort()[0]
            bound = max(ranked[min(least, ranked.numel() - 1)].item(), 0.3)
            weight = torch.zeros_like(p)
            weight[valid] = (p[valid] < bound).to(p.dtype)
        costs = torch.nn.functional.cross_entropy(x, labels, ignore_index=255, reduction="none")
        return (costs * weight).mean()

    agree(
        loss.Ohem(preset="mmseg", threshold=0.3, least=least, ignore_index=255),
        logits,
        target,
        theirs,
    )


# --- conventions


def test_top_k_keeps_the_first_of_equal_pixels() -> None:
    value, gradient = loss.top_k(
        np.zeros((1, 2, 4)), [[0, 1, 0, 1]], fraction=0.5, return_grad=True
    )
    assert value == pytest.approx(np.log(2))
    assert gradient.any(axis=(0, 1)).tolist() == [True, True, False, False]


def test_share_of_the_counted_pixels() -> None:
    logits, target = problem(ignored=True)
    costs = loss.cross_entropy(logits, target, ignore_index=255, reduction="none")
    ranked = np.sort(costs[target != 255])[::-1]
    value = loss.top_k(logits, target, ignore_index=255, fraction=0.25)
    assert value == pytest.approx(ranked[: ranked.size // 4].mean())
    hard = loss.ohem(logits, target, ignore_index=255, threshold=0.2)
    assert hard == pytest.approx(ranked[ranked > -np.log(0.2)].mean())


@pytest.mark.parametrize("kind", ["LovaszSoftmax", "LovaszHinge", "TopK", "Ohem"])
def test_ignored_pixels_are_as_if_cut_away(kind: str) -> None:
    rng = np.random.default_rng(9)
    logits, target = rng.normal(size=(1, 3, 8)), rng.integers(0, 3, (1, 8))
    target[:, 6:] = 255
    options = {"fraction": 0.5} if kind == "TopK" else {}
    made = getattr(loss, kind)
    value, gradient = made(ignore_index=255, **options)(logits, target, return_grad=True)
    cut, slope = made(**options)(logits[..., :6], target[:, :6], return_grad=True)
    assert value == pytest.approx(cut)
    np.testing.assert_allclose(gradient[..., :6], slope, rtol=1e-12)
    assert not gradient[..., 6:].any()
    masked = made(**options)(logits, target % 3, mask=target == 255)
    assert masked == pytest.approx(cut)


@pytest.mark.parametrize("kind", ["LovaszSoftmax", "LovaszHinge", "TopK", "Ohem"])
def test_nothing_counted(kind: str) -> None:
    logits, target = np.ones((1, 3, 4)), np.full((1, 4), 255)
    for empty, expected in (("zero", 0.0), ("nan", np.nan)):
        made = getattr(loss, kind)(ignore_index=255, empty=empty)
        value, gradient = made(logits, target, return_grad=True)
        assert value == pytest.approx(expected, nan_ok=True)
        assert not gradient.any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["LovaszSoftmax", "LovaszHinge", "TopK", "Ohem"])
def test_layouts_and_types(kind: str, dtype: str) -> None:
    logits, target = problem(number=3)
    logits = logits.astype(dtype)
    made = getattr(loss, kind)
    value, gradient = made()(logits, target, return_grad=True)
    assert gradient.dtype == dtype
    out = np.empty_like(np.moveaxis(logits, 1, -1), order="C")
    last, slope = made(channels_last=True)(
        np.ascontiguousarray(np.moveaxis(logits, 1, -1)), target.astype(np.uint8), out=out
    )
    assert slope is out
    assert last == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(np.moveaxis(slope, -1, 1), gradient, rtol=1e-3, atol=1e-7)


def test_lovasz_classes_and_weights() -> None:
    logits, target = problem()
    each = loss.lovasz_softmax(logits, target, classes="all", reduction="none", exact=True)
    assert each.shape == (1, 4)
    for classes in ([0, 2], [3]):
        value = loss.lovasz_softmax(logits, target, classes=classes, exact=True)
        assert value == pytest.approx(each[0, classes].mean())
    value = loss.lovasz_softmax(logits, target, class_weight=[1, 2, 0, 1], exact=True)
    assert value == pytest.approx(np.average(each[0], weights=[1, 2, 0, 1]))
    apart = loss.lovasz_softmax(logits, target, region="per_sample", reduction="none", exact=True)
    assert np.isnan(apart).tolist() == [[False, False, False, True], [False] * 4]


def test_in_a_compound() -> None:
    logits, target = problem()
    parts = [(1.0, loss.LovaszSoftmax()), (0.5, loss.CrossEntropy()), (2.0, loss.TopK())]
    value, gradient = loss.compound(parts)(logits, target, return_grad=True)
    alone = [part(logits, target, return_grad=True) for _, part in parts]
    assert value == pytest.approx(sum(w * v for (w, _), (v, _) in zip(parts, alone, strict=True)))
    expected = sum(w * g for (w, _), (_, g) in zip(parts, alone, strict=True))
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_hardest_pixels_of_no_samples(smoothing: float) -> None:
    logits, target = np.zeros((0, 4, 5, 3), np.float32), np.zeros((0, 4, 5), int)
    value, gradient = loss.top_k(
        logits, target, label_smoothing=smoothing, channels_last=True, return_grad=True
    )
    assert value == 0
    assert gradient.shape == logits.shape


def test_explain() -> None:
    assert "65,536 levels" in loss.LovaszSoftmax().explain()
    assert "errors exact" in loss.LovaszHinge(exact=True).explain()
    assert "the 0.1 of counted pixels" in loss.TopK().explain()
    assert "p_t < 0.7, or the 5 hardest" in loss.Ohem(least=5).explain()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, y: loss.lovasz_softmax(x, y, classes="some"), ValueError, "classes must be one"),
        (lambda x, y: loss.lovasz_softmax(x, y, classes=[9]), ValueError, "from 0 to 3, got 9"),
        (lambda x, y: loss.lovasz_softmax(x, y, class_weight=[1.0]), ValueError, "one number for"),
        (lambda x, y: loss.lovasz_softmax(x, y, pixel_weight=x[:, 0]), ValueError, "use mask"),
        (lambda x, _: loss.lovasz_softmax(x, x * 0.0), TypeError, "needs labels"),
        (lambda x, y: loss.lovasz_softmax(x[:, :1], y), ValueError, "softmax of one channel"),
        (lambda x, y: loss.lovasz_softmax(x, y + 9), ValueError, "label"),
        (lambda x, y: loss.lovasz_hinge(x, y, region="all"), ValueError, "region must be one"),
        (lambda x, y: loss.top_k(x, y, fraction=0.0), ValueError, "fraction must be"),
        (lambda x, _: loss.top_k(x, x * 0.0), ValueError, "one question per pixel"),
        (lambda x, y: loss.top_k(x, y, activation="sigmoid"), ValueError, "one question per pixel"),
        (lambda x, _: loss.top_k(x, (x > 0) * 1), ValueError, "one question per pixel"),
        (lambda x, y: loss.top_k(x, y, reduction="none"), ValueError, "reduction must be one"),
        (lambda x, y: loss.ohem(x, y, threshold=0.0), ValueError, "threshold must be"),
        (lambda x, y: loss.ohem(x, y, least=-1), ValueError, "least must be at least 0"),
        (lambda x, y: loss.ohem(x, y, least=1.5), TypeError, "least must be an integer"),
        (lambda x, y: loss.ohem(x, y, class_weight=[1, 1, 1, 1]), ValueError, "no place in it"),
    ],
)
def test_refused(call: Callable[[Any, Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(*problem())


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("weights", [None, 2.0, (1.0, 0.0, 3.0, 0.5)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_smoothed_labels_are_ranked_by_their_costs(
    dtype: str, weights: Any, channels_last: bool
) -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(0, 3, (2, 4, 9, 7)).astype(dtype)
    if isinstance(weights, tuple):
        logits[0, 1, 0, 0] = -np.inf  # of a class that costs nothing
    target = rng.integers(0, 4, (2, 9, 7))
    target[0, 0, 0] = 2
    target[1, 2] = 255
    mask = rng.random(target.shape) < 0.1
    weight = rng.random(target.shape)
    options: dict[str, Any] = {
        "label_smoothing": 0.3,
        "class_weight": weights,
        "ignore_index": 255,
        "mask": mask,
        "pixel_weight": weight,
    }
    costs = loss.cross_entropy(logits, target, reduction="none", **options)
    counted = ~mask & (target != 255)
    number = int(0.25 * counted.sum())
    hardest = np.sort(costs[counted])[::-1][:number]
    x = np.moveaxis(logits, 1, -1).copy() if channels_last else logits
    value = loss.top_k(x, target, fraction=0.25, channels_last=channels_last, **options)
    np.testing.assert_allclose(value, hardest.sum() / number, rtol=1e-12 if dtype == "f8" else 3e-7)


@pytest.mark.parametrize("offset", [0.0, 2.0**50, -(2.0**50)])
def test_smoothed_costs_keep_their_digits_far_from_0(offset: float) -> None:
    rng = np.random.default_rng(11)
    logits = rng.integers(-8, 8, (1, 3, 50, 40)) + offset  # exact, so that the offset takes nothing
    target = rng.integers(0, 3, (1, 50, 40))
    options: dict[str, Any] = {"fraction": 0.5, "label_smoothing": 0.3}
    value = loss.top_k(logits, target, **options)
    assert value == pytest.approx(loss.top_k(logits - offset, target, **options), rel=1e-14)


def test_smoothed_labels_of_one_channel_are_ranked_by_their_costs() -> None:
    rng = np.random.default_rng(7)
    logits = rng.normal(0, 3, (2, 1, 11, 7))
    target = rng.integers(0, 2, (2, 11, 7))
    options: dict[str, Any] = {"activation": "sigmoid", "label_smoothing": 0.3}
    costs = loss.cross_entropy(logits, target, reduction="none", **options)
    hardest = np.sort(costs.ravel())[::-1][:30]
    value = loss.top_k(logits, target, fraction=30 / 154, **options)
    np.testing.assert_allclose(value, hardest.mean(), rtol=1e-12)
