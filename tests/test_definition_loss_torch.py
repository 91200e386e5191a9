"""The PyTorch side of the losses against their functions of arrays, and as a citizen of PyTorch."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segmeter.loss as sl

if TYPE_CHECKING:
    from collections.abc import Callable

torch = pytest.importorskip("torch")
st = pytest.importorskip("segmeter.torch")

SMOOTH = (
    "cross_entropy",
    "focal",
    "poly",
    "generalised_cross_entropy",
    "dice",
    "jaccard",
    "tversky",
    "focal_tversky",
    "generalised_dice",
    "log_dice",
    "matthews_corrcoef",
    "sensitivity_specificity",
)
RANKED = ("lovasz_softmax", "lovasz_hinge", "top_k", "ohem")
ALL = (*SMOOTH, *RANKED)
MODULES = {
    "cross_entropy": "CrossEntropyLoss",
    "focal": "FocalLoss",
    "poly": "PolyLoss",
    "generalised_cross_entropy": "GeneralisedCrossEntropyLoss",
    "dice": "DiceLoss",
    "jaccard": "JaccardLoss",
    "tversky": "TverskyLoss",
    "focal_tversky": "FocalTverskyLoss",
    "generalised_dice": "GeneralisedDiceLoss",
    "log_dice": "LogDiceLoss",
    "matthews_corrcoef": "MatthewsCorrcoefLoss",
    "sensitivity_specificity": "SensitivitySpecificityLoss",
    "lovasz_softmax": "LovaszSoftmaxLoss",
    "lovasz_hinge": "LovaszHingeLoss",
    "top_k": "TopKLoss",
    "ohem": "OhemLoss",
}


def problem(
    seed: int, shape: tuple[int, ...] = (5, 7), classes: int = 3, n: int = 2
) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, *shape, generator=generator) * 2
    return logits, torch.randint(0, classes, (n, *shape), generator=generator)


def target_for(name: str, target: Any, classes: int = 3) -> Any:
    if name != "lovasz_hinge":
        return target
    return torch.nn.functional.one_hot(target, classes).movedim(-1, 1).contiguous()


def options_for(name: str) -> dict[str, Any]:
    return {"exact": True} if name.startswith("lovasz") else {}


def f(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(st, name)
    return found


def module(name: str, **options: Any) -> Any:
    return getattr(st, MODULES[name])(**options)


def slope(value: Any, x: Any) -> Any:
    return torch.autograd.grad(value, x)[0]


# --- The same numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_tensors_give_what_arrays_give(name: str, dtype: Any) -> None:
    logits, target = problem(1)
    y = target_for(name, target)
    x = logits.to(dtype).requires_grad_()
    mask = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)) < 0.2
    rest: dict[str, Any] = {"mask": mask}
    if not name.startswith("lovasz"):
        rest["pixel_weight"] = torch.rand(target.shape)
    value = f(name)(x, y, **rest)
    array = x.detach().view(torch.uint16) if dtype is torch.bfloat16 else x.detach()
    given = {key: tensor.numpy() for key, tensor in rest.items()}
    function = getattr(sl, name)
    wanted, gradient = function(array.numpy(), y.numpy(), return_grad=True, **given)
    assert value.ndim == 0
    assert value.requires_grad
    assert float(value.detach()) == pytest.approx(wanted, rel=1e-6)
    value.backward()
    found = x.grad
    assert found.dtype == dtype
    assert found.shape == x.shape
    found = found.view(torch.uint16) if dtype is torch.bfloat16 else found
    np.testing.assert_array_equal(found.numpy(), gradient)
    # and through the module, with a factor from above
    again = x.detach().clone().requires_grad_()
    value = module(name)(again, y, **rest)
    (3.0 * value).backward()
    np.testing.assert_allclose(
        again.grad.double().numpy(),
        3 * x.grad.double().numpy(),
        rtol=2**-7 if x.element_size() == 2 else 1e-6,
        atol=1e-7,
    )


@pytest.mark.parametrize("name", ALL)
def test_tensors_of_any_strides(name: str) -> None:
    logits, target = problem(2, (6, 9))
    y = target_for(name, target)
    x = logits.clone().requires_grad_()
    wanted = f(name)(x, y)
    gradient = slope(wanted, x)
    big = torch.zeros(2, 3, 12, 18)
    big[:, :, ::2, ::2] = logits
    for other in (
        logits.to(memory_format=torch.channels_last),
        logits.transpose(2, 3).contiguous().transpose(2, 3),
        big[:, :, ::2, ::2],
        logits.flip(0).flip(0),
        torch.cat([logits, logits])[:2],
    ):
        z = other.detach().requires_grad_()
        strided = y.transpose(-1, -2).contiguous().transpose(-1, -2)
        value = f(name)(z, strided)
        torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(slope(value, z), gradient, rtol=1e-5, atol=1e-7)
    # one number for all pixels: a tensor of no strides
    flat = torch.tensor([[[[0.5]], [[0.1]], [[-1.0]]]]).expand(2, 3, 6, 9)
    if name not in RANKED:
        z = flat.detach().requires_grad_()
        same = flat.contiguous().requires_grad_()
        torch.testing.assert_close(slope(f(name)(z, y), z), slope(f(name)(same, y), same))
    last = logits.movedim(1, -1).contiguous().requires_grad_()
    y_last = y.movedim(1, -1).contiguous() if y.ndim == 4 else y
    value = f(name)(last, y_last, channels_last=True)
    torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(slope(value, last).movedim(-1, 1), gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_probabilities_and_soft_labels(activation: str) -> None:
    logits, _ = problem(3)
    soft = torch.rand(logits.shape, generator=torch.Generator().manual_seed(0))
    soft = soft / soft.sum(1, keepdim=True)
    x = (logits.sigmoid() if activation == "none" else logits).requires_grad_()
    for name in (*SMOOTH, "dice_metric", "jaccard_metric"):
        o: dict[str, Any] = {"activation": activation}
        if name == "cross_entropy":
            o["label_smoothing"] = 0.1
        value = f(name)(x, soft, **o)
        array = x.detach().numpy()
        wanted, gradient = getattr(sl, name)(array, soft.numpy(), return_grad=True, **o)
        assert float(value.detach()) == pytest.approx(wanted, rel=1e-6)
        np.testing.assert_allclose(
            slope(value, x).numpy(), gradient, rtol=2e-5, atol=2e-6 * np.abs(gradient).max()
        )
        # the formula in plain torch, as other devices and double backward run it
        x64 = x.detach().double().requires_grad_()
        by_graph = torch.autograd.grad(f(name)(x64, soft, **o), x64, create_graph=True)[0]
        np.testing.assert_allclose(
            by_graph.detach().numpy(), gradient, rtol=2e-5, atol=2e-6 * np.abs(gradient).max()
        )


# --- Derivatives -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_first_and_second_derivatives(name: str) -> None:
    logits, target = problem(4, (4,), 3, 2)
    y = target_for(name, target)
    x = logits.double().requires_grad_()
    o = options_for(name) | ({"fraction": 0.5} if name == "top_k" else {})
    o |= {"threshold": 0.5} if name == "ohem" else {}

    def loss(z: Any) -> Any:
        return f(name)(z, y, **o)

    assert torch.autograd.gradcheck(loss, (x,), atol=1e-6, fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, (x,), atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives_with_everything_left_out(name: str, activation: str) -> None:
    logits, target = problem(5, (5,), 3, 2)
    target[0, 1] = 255
    x = logits.double().requires_grad_()
    weight = torch.rand(target.shape).double()
    o: dict[str, Any] = {"activation": activation, "ignore_index": 255, "pixel_weight": weight}
    o |= {"class_weight": [1.0, 0.0, 2.0]}
    if name == "focal":
        o |= {"gamma": 1.5}

    def loss(z: Any) -> Any:
        return f(name)(z, target, **o)

    assert torch.autograd.gradcheck(loss, (x,), atol=1e-6, fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, (x,), atol=1e-5, fast_mode=True)


def test_compound_and_levels() -> None:
    logits, target = problem(6, (8, 12))
    x = logits.requires_grad_()
    members = [(0.5, st.DiceLoss()), (2.0, st.CrossEntropyLoss()), (1.0, st.LovaszSoftmaxLoss())]
    whole = st.CompoundLoss(members)(x, target)
    parts = sum(w * m(x, target) for w, m in members)
    torch.testing.assert_close(whole, parts, rtol=1e-6, atol=0)
    torch.testing.assert_close(slope(whole, x), slope(parts, x), rtol=1e-5, atol=1e-8)
    levels = [
        x,
        torch.nn.functional.avg_pool2d(x, 2).detach().requires_grad_(),
    ]
    deep = st.DeepSupervisionLoss(st.DiceCELoss(), weights=[0.75, 0.25])(levels, target)
    small = target[:, 1::2, 1::2]
    parts = 0.75 * st.DiceCELoss()(x, target) + 0.25 * st.DiceCELoss()(levels[1], small)
    torch.testing.assert_close(deep, parts, rtol=1e-6, atol=0)
    for a, b in zip(
        torch.autograd.grad(deep, levels), torch.autograd.grad(parts, levels), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-8)


# --- A citizen of PyTorch --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cross_entropy", "lovasz_softmax", "dice_metric"])
def test_compiled_without_a_break(name: str) -> None:
    logits, target = problem(7)
    if name.endswith("_metric"):
        soft = torch.rand(logits.shape)
        target = soft / soft.sum(1, keepdim=True)
    made = (
        getattr(st, "".join(part.title() for part in name.split("_")) + "Loss")
        if name.endswith("_metric")
        else getattr(st, MODULES[name])
    )
    torch._dynamo.reset()
    for loss in (f(name), made()):

        def scaled(x: Any, y: Any, loss: Any = loss) -> Any:
            return 2 * loss(x * 1.5, y)

        x = logits.clone().requires_grad_()
        z = logits.clone().requires_grad_()
        wanted = scaled(z, target)
        value = torch.compile(scaled, fullgraph=True, backend="aot_eager")(x, target)
        torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(slope(value, x), slope(wanted, z), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    "name",
    ["focal", "top_k", "dice_focal"],
)
def test_plain_torch_is_compiled_without_a_break(name: str) -> None:
    """The way of other devices: here, as the weights want a gradient."""
    logits, target = problem(7)
    weight = torch.rand(target.shape).requires_grad_()
    torch._dynamo.reset()
    loss = st.DiceFocalLoss() if name == "dice_focal" else module(name)

    def weighted(x: Any, w: Any) -> Any:
        return loss(x, target, pixel_weight=w)

    x = logits.clone().requires_grad_()
    value = torch.compile(weighted, fullgraph=True, backend="aot_eager")(x, weight)
    z = logits.clone().requires_grad_()
    wanted = weighted(z, weight.detach())
    torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(slope(value, x), slope(wanted, z), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ALL)
def test_nobody_writes_into_a_gradient_that_is_held(name: str) -> None:
    logits, target = problem(8, (33, 31))
    y = target_for(name, target)
    scales = [1.0, 0.5, 2.0, 1.0, 3.0]
    wanted = []
    for scale in scales:
        x = (logits * scale).requires_grad_()
        wanted.append(slope(f(name)(x, y), x).clone())
    held = []
    for scale in scales:
        x = (logits * scale).requires_grad_()
        f(name)(x, y).backward()
        held.append(x.grad)
    for found, right in zip(held, wanted, strict=True):
        assert torch.equal(found, right)
    # two graphs alive at once, taken back in the other order, and with factors
    xs = [(logits * scale).requires_grad_() for scale in scales]
    values = [f(name)(x, y) for x in xs]
    found = [slope(3 * value, x) for value, x in zip(values[::-1], xs[::-1], strict=True)][::-1]
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, 3 * b, rtol=1e-5, atol=1e-8)
    # the same graph twice: autograd may have added into the first gradient
    x = logits.clone().requires_grad_()
    value = f(name)(x, y)
    value.backward(retain_graph=True)
    first = x.grad
    assert torch.equal(first, wanted[0])
    value.backward(retain_graph=True)
    torch.testing.assert_close(x.grad, 2 * wanted[0], rtol=1e-6, atol=1e-9)
    (0.25 * value).backward()
    torch.testing.assert_close(x.grad, 2.25 * wanted[0], rtol=1e-5, atol=1e-9)
    # micro-batches into the same leaf, zeroed in place between steps
    weight = torch.ones(3, requires_grad=True)
    for _ in range(2):
        weight.grad = None if weight.grad is None else weight.grad.zero_()
        for scale in scales[:3]:
            f(name)(logits * scale * weight[:, None, None], y).backward()
        total = sum(
            (g * logits * s).sum((0, 2, 3)) for g, s in zip(wanted[:3], scales[:3], strict=True)
        )
        torch.testing.assert_close(weight.grad, total, rtol=1e-4, atol=1e-6)
    for found, right in zip(held, wanted, strict=True):
        assert torch.equal(found, right)
    with pytest.raises(RuntimeError, match=r"second time|already been freed"):
        value.backward()


def test_logits_changed_in_place_are_noticed() -> None:
    for name in ("dice", "cross_entropy", "lovasz_softmax"):
        logits, target = problem(9)
        x = logits.requires_grad_() * 1.0
        value = f(name)(x, target)
        x.mul_(2.0)
        with pytest.raises(RuntimeError, match="inplace"):
            value.backward()


@pytest.mark.parametrize("name", ALL)
def test_modes_and_copies(name: str) -> None:
    logits, target = problem(10)
    y = target_for(name, target)
    loss = module(name)
    wanted = loss(logits, y)
    assert not wanted.requires_grad
    x = logits.clone().requires_grad_()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            value = loss(x, y)
            assert not value.requires_grad
            assert float(value) == pytest.approx(float(wanted), rel=1e-6)
    with torch.inference_mode():
        inner = logits * 1.0
        assert float(loss(inner, y)) == pytest.approx(float(wanted), rel=1e-6)
    assert loss.state_dict() == {}
    loss.load_state_dict({})
    assert not list(loss.parameters())
    memory = io.BytesIO()
    torch.save(loss, memory)
    memory.seek(0)
    others = (
        copy.deepcopy(loss),
        copy.copy(loss),
        pickle.loads(pickle.dumps(loss)),
        torch.load(memory, weights_only=False),
        loss.eval(),
        loss.double(),
        loss.to("cpu"),
    )
    for other in others:
        assert float(other(logits, y)) == float(wanted)
        assert str(other) == str(loss)
    loss(x, y).backward()
    again = copy.deepcopy(loss)
    assert float(again(logits, y)) == float(wanted)


def test_autocast_and_scaled_gradients() -> None:
    torch.manual_seed(0)
    _, target = problem(11, (16, 16))
    images = torch.randn(2, 4, 16, 16)
    for name in ("cross_entropy", "dice", "focal", "lovasz_softmax"):
        model = torch.nn.Conv2d(4, 3, 3, padding=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(images)
            assert logits.dtype == torch.bfloat16
            value = f(name)(logits, target)
        assert value.dtype == torch.float32
        value.backward()
        assert torch.isfinite(model.weight.grad).all()
        exact = f(name)(logits.detach().float(), target)
        torch.testing.assert_close(value.detach(), exact, rtol=1e-6, atol=1e-7)
        half = logits.detach().half().requires_grad_()
        scaled = slope(f(name)(half, target) * 2.0**14, half)
        single = half.detach().float().requires_grad_()
        right = slope(f(name)(single, target) * 2.0**14, single)
        torch.testing.assert_close(scaled.float(), right, rtol=1e-3, atol=1e-3)


def test_gradients_of_targets_and_weights() -> None:
    """Who wants one gets it; nobody gets a silent nothing."""
    logits, _ = problem(12, (4,))
    x = logits.double().requires_grad_()
    soft = torch.rand(logits.shape).double()
    soft = (soft / soft.sum(1, keepdim=True)).requires_grad_()
    weight = torch.rand(2, 4).double().requires_grad_()
    for name in ("cross_entropy", "dice", "dice_metric"):

        def loss(a: Any, b: Any, c: Any, name: str = name) -> Any:
            return f(name)(a, b, pixel_weight=c)

        assert torch.autograd.gradcheck(loss, (x, soft, weight), atol=1e-5, fast_mode=True)


def test_what_tensors_may_not_be() -> None:
    logits, target = problem(13)
    for name in ALL:
        y = target_for(name, target)
        with pytest.raises(TypeError):
            f(name)(logits.long(), y)
        with pytest.raises(TypeError):
            f(name)(logits.numpy(), y)
        with pytest.raises(TypeError):
            f(name)(logits, y.numpy())
        with pytest.raises(TypeError):
            f(name)(logits.to(torch.complex64), y)
        with pytest.raises(ValueError):
            f(name)(logits, y[:1])
        with pytest.raises(ValueError):
            f(name)(logits, y.to("meta"))
        with pytest.raises((ValueError, TypeError)):
            f(name)(logits, y, mask=torch.zeros(3, dtype=torch.bool))
        if name != "lovasz_hinge":
            with pytest.raises(ValueError, match="7"):
                f(name)(logits, torch.full_like(target, 7))
    bad = logits.clone()
    bad[1, 2, 3, 4] = math.nan
    for name in ALL:
        x = bad.clone().requires_grad_()
        value = f(name)(x, target_for(name, target))
        assert value.isnan()
        assert slope(value, x)[1, :, 3, 4].isnan().any()


@pytest.mark.parametrize("name", ALL)
def test_empty_batches(name: str) -> None:
    for shape in ((0, 3, 4, 4), (2, 3, 0, 4)):
        x = torch.zeros(shape, requires_grad=True)
        y = torch.zeros((shape[0], *shape[2:]), dtype=torch.long)
        y = torch.zeros(shape, dtype=torch.long) if name == "lovasz_hinge" else y
        value = f(name)(x, y)
        assert float(value.detach()) == 0.0
        value.backward()
        assert x.grad.shape == x.shape
