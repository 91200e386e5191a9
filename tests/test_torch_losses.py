"""Losses of tensors: the numbers of segmeter.loss by every way, and gradients that stay right."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segmeter.loss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

JOB = Path(__file__).with_name("torch_job.py")
KINDS = {
    name: kind
    for name in segmeter.loss.__all__
    if isinstance(kind := getattr(segmeter.loss, name), type)
    and issubclass(kind, segmeter.loss.Loss)
    and kind not in (segmeter.loss.Loss, segmeter.loss.Compound)
}


RANKED = ("LovaszHinge", "LovaszSoftmax", "Ohem", "TopK")
TABLES = [name for name in KINDS if name not in RANKED]


@pytest.fixture(scope="module")
def torch(peer: Callable[[str], ModuleType]) -> Iterator[Any]:
    torch = peer("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def backend(torch: Any) -> Any:
    assert torch is not None
    return importlib.import_module("segmeter.torch")


@pytest.fixture(scope="module")
def evaluate(torch: Any) -> Any:
    """The module of the three ways."""
    assert torch is not None
    return importlib.import_module("segmeter.torch._evaluate")


def draw(
    torch: Any,
    classes: int = 3,
    *,
    dtype: Any = None,
    seed: int = 0,
    size: tuple[int, ...] = (5, 4),
) -> tuple[Any, Any]:
    """Logits that want a gradient, and labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, classes, *size, generator=generator, dtype=dtype)
    labels = torch.randint(0, max(classes, 2), (2, *size), generator=generator)
    return logits.requires_grad_(), labels


def step(loss: Callable[..., Any], logits: Any, *others: Any, **more: Any) -> tuple[Any, Any]:
    """Value and gradient of one call."""
    logits = logits.detach().clone(memory_format=sys.modules["torch"].preserve_format)
    logits.requires_grad_()
    value = loss(logits, *others, **more)
    value.backward()
    return value.detach(), logits.grad


def plainly(evaluate: Any, module: Any) -> Callable[..., Any]:
    """The same loss by torch operations alone."""

    def way(*tensors: Any, **more: Any) -> Any:
        inputs = evaluate.Inputs(*tensors, **more)
        parts = [
            weight * evaluate.plain(loss, inputs, module._setting) for weight, loss in module._parts
        ]
        return sum(parts[1:], parts[0])

    return way


# --- every loss ----------------------------------------------------------------------------------


def test_every_loss_is_here(backend: Any) -> None:
    for name in KINDS:
        module = getattr(backend, f"{name}Loss")
        function = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        assert issubclass(module, backend.Loss)
        assert callable(getattr(backend, function))
        assert {module.__name__, function} <= set(backend.__all__)
        assert "Options as in" in module.__doc__


@pytest.mark.parametrize("name", KINDS)
def test_value_and_gradient_are_those_of_arrays(torch: Any, backend: Any, name: str) -> None:
    logits, labels = draw(torch)
    module = getattr(backend, f"{name}Loss")()
    value, gradient = step(module, logits, labels)
    expected, expected_gradient = KINDS[name]()(
        logits.detach().numpy(), labels.numpy(), return_grad=True
    )
    assert value.dtype == torch.float32
    assert value.item() == np.float32(expected)
    np.testing.assert_array_equal(gradient.numpy(), expected_gradient)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", TABLES)
def test_plain_way_agrees(
    torch: Any, backend: Any, evaluate: Any, name: str, activation: str
) -> None:
    logits, labels = draw(torch, dtype=torch.float64)
    module = getattr(backend, f"{name}Loss")(activation=activation, ignore_index=1)
    generator = torch.Generator().manual_seed(3)
    more = {
        "mask": torch.rand(labels.shape, generator=generator) < 0.2,
        "pixel_weight": torch.rand(labels.shape, generator=generator).double(),
    }
    for value, other in zip(
        step(module, logits, labels, **more),
        step(plainly(evaluate, module), logits, labels, **more),
        strict=True,
    ):
        torch.testing.assert_close(value, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", KINDS)
def test_derivatives(torch: Any, backend: Any, evaluate: Any, name: str) -> None:
    logits, labels = draw(torch, dtype=torch.float64, size=(3,))
    module = getattr(backend, f"{name}Loss")()
    # Errors are ranked in float32 at best: too coarse for a difference quotient.
    way = plainly(evaluate, module) if name.startswith("Lovasz") else module
    assert torch.autograd.gradcheck(lambda x: way(x, labels), logits)
    assert torch.autograd.gradgradcheck(lambda x: module(x, labels), logits)


@pytest.mark.parametrize("name", KINDS)
def test_compiles_into_one_graph(torch: Any, backend: Any, name: str) -> None:
    torch.compiler.reset()
    logits, labels = draw(torch)
    module = getattr(backend, f"{name}Loss")()
    compiled = torch.compile(
        lambda x, y: 2 * module(x, y), fullgraph=True, backend="aot_eager", dynamic=False
    )
    value, gradient = step(compiled, logits, labels)
    expected, expected_gradient = step(module, logits, labels)
    assert value == 2 * expected
    torch.testing.assert_close(gradient, 2 * expected_gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_shapes_on_another_device(torch: Any, backend: Any, name: str) -> None:
    logits = torch.empty(2, 3, 5, 4, device="meta", requires_grad=True)
    labels = torch.empty(2, 5, 4, device="meta", dtype=torch.uint8)
    value = getattr(backend, f"{name}Loss")(ignore_index=255)(logits, labels)
    value.backward()
    assert value.device.type == "meta"
    assert value.shape == ()
    assert logits.grad.shape == logits.shape


# --- losses that rank pixels ----------------------------------------------------------------------

RANKING: list[tuple[str, dict[str, Any]]] = [
    ("LovaszSoftmax", {"exact": True}),
    ("LovaszSoftmax", {"exact": True, "region": "per_sample", "classes": "all"}),
    ("LovaszSoftmax", {"exact": True, "class_weight": [1, 2, 3], "normalise_weight": False}),
    ("LovaszSoftmax", {"exact": True, "classes": [0, 2], "reduction": "sum"}),
    ("LovaszHinge", {"exact": True}),
    ("LovaszHinge", {"exact": True, "region": "per_sample", "classes": "present"}),
    ("TopK", {"fraction": 0.3}),
    ("TopK", {"fraction": 0.3, "normaliser": "all", "class_weight": [1, 2, 3]}),
    ("TopK", {"fraction": 0.5, "label_smoothing": 0.1, "reduction": "sum"}),
    ("Ohem", {"threshold": 0.4}),
    ("Ohem", {"threshold": 0.01, "least": 9}),
]


@pytest.mark.parametrize(("name", "options"), RANKING)
@pytest.mark.parametrize("ties", [False, True])
def test_plain_ranking_agrees(
    torch: Any, backend: Any, evaluate: Any, name: str, options: dict[str, Any], ties: bool
) -> None:
    logits, labels = draw(torch)
    if ties:
        logits = logits.detach().round()
    labels[1][labels[1] == 2] = 0
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(labels.shape, generator=generator) < 0.2
    labels[0, 0] = 255
    module = getattr(backend, f"{name}Loss")(ignore_index=255, **options)
    value, gradient = step(module, logits, labels, mask=mask)
    other, other_gradient = step(plainly(evaluate, module), logits, labels, mask=mask)
    torch.testing.assert_close(other, value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(other_gradient, gradient, rtol=1e-4, atol=1e-6)


def test_lovasz_one_by_one(torch: Any, backend: Any) -> None:
    options = {"reduction": "none", "region": "per_sample", "exact": True}
    logits, labels = draw(torch)
    labels[1] = 0
    values = backend.LovaszLoss(**options)(logits, labels)
    expected = segmeter.loss.LovaszSoftmax(**options)(logits, labels)
    np.testing.assert_allclose(values.detach(), expected, rtol=1e-5, atol=1e-7)
    assert np.isnan(expected).any()


def test_lovasz_by_activation(torch: Any, backend: Any) -> None:
    for activation, kind in (("softmax", "Softmax"), ("sigmoid", "Hinge")):
        one = backend.LovaszLoss(activation=activation)
        assert one.loss == getattr(segmeter.loss, f"Lovasz{kind}")()
    single, mask = draw(torch, 1)
    value = backend.LovaszLoss(activation="sigmoid")(single, mask)
    assert value.item() == np.float32(segmeter.loss.lovasz_hinge(single, mask))
    with pytest.raises(ValueError, match="activation must be 'softmax' or 'sigmoid'"):
        backend.LovaszLoss(activation="none")


# --- the table -----------------------------------------------------------------------------------

TERMS = (
    segmeter.loss.PixelTerm("cross_entropy"),
    segmeter.loss.PixelTerm("focal", 2.0),
    segmeter.loss.PixelTerm("focal", 0.5),
    segmeter.loss.PixelTerm("reduced_focal", 2.0),
    segmeter.loss.PixelTerm("poly", 1.0),
    segmeter.loss.PixelTerm("poly", 2.0),
    segmeter.loss.PixelTerm("generalised", 0.7),
    segmeter.loss.PixelTerm("power_cross_entropy", 0.3),
)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    ("activation", "classes"),
    [("softmax", 3), ("sigmoid", 3), ("sigmoid", 1), ("none", 3), ("none", 1)],
)
def test_plain_table(
    torch: Any, activation: str, classes: int, soft: bool, smoothing: float
) -> None:
    plain = importlib.import_module("segmeter.torch._plain")
    logits, target = draw(torch, classes, dtype=torch.float64)
    logits = logits.detach()
    generator = torch.Generator().manual_seed(1)
    if activation == "none":
        logits = 0.01 + 0.98 * logits.sigmoid()
    if soft:
        target = torch.rand(logits.shape, generator=generator).double()
    options = {
        "activation": activation,
        "mask": torch.rand(logits[:, 0].shape, generator=generator) < 0.2,
        "pixel_weight": torch.rand(logits[:, 0].shape, generator=generator).double(),
        "label_smoothing": smoothing,
        "pixel_terms": TERMS,
        "squares": True,
    }
    ignored = None if soft else 1
    logits.requires_grad_()
    expected = segmeter.loss.soft_counts(logits, target, ignore_index=ignored, **options)
    found = plain.soft_counts(logits, target, ignored=() if soft else (1,), **options)
    slopes, loss = {}, 0.0
    for name, array in expected.to_arrays().items():
        entry = getattr(found, name)
        np.testing.assert_allclose(entry.detach(), array, rtol=1e-9, atol=1e-12, err_msg=name)
        if name in segmeter.loss.SoftCountsGradient.__dataclass_fields__:
            slope = torch.randn(entry.shape, generator=generator, dtype=torch.float64)
            slopes[name] = slope.numpy()
            loss = loss + (slope * entry).sum()
    loss.backward()
    gradient = segmeter.loss.soft_counts_backward(
        logits,
        target,
        segmeter.loss.SoftCountsGradient(**slopes),
        ignore_index=ignored,
        **options,
    )
    np.testing.assert_allclose(logits.grad, gradient, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ["CrossEntropy", "Focal", "Dice", "Poly"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_plain_way_with_extreme_logits(
    torch: Any, backend: Any, evaluate: Any, name: str, activation: str
) -> None:
    """Confident, infinite and huge logits: finite and small where the mathematics is."""
    values = torch.tensor(
        [
            [40.0, -40.0, 1e4, 3e38, 0.0, 90.0],
            [0.0, 40.0, -1e4, 0.0, -torch.inf, -90.0],
            [-30.0, 0.0, 0.0, -3e38, 1.0, 0.0],
        ]
    )[None]
    labels = torch.tensor([[0, 1, 0, 0, 2, 1]])
    module = getattr(backend, f"{name}Loss")(activation=activation)
    value, gradient = step(module, values, labels)
    other, other_gradient = step(plainly(evaluate, module), values, labels)
    assert torch.isfinite(other_gradient).all()
    torch.testing.assert_close(other, value, rtol=1e-5, atol=0)
    torch.testing.assert_close(other_gradient, gradient, rtol=2e-5, atol=1e-12)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("offset", [0.0, 100.0, -1e4, 1e4])
def test_plain_way_with_a_common_offset(
    torch: Any, backend: Any, evaluate: Any, name: str, offset: float
) -> None:
    """What all classes have in common costs no digits; neither do equal logits."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 3, 5, 4, generator=generator) * 2 + offset
    labels = torch.randint(0, 3, (2, 5, 4), generator=generator)
    if not name.startswith("Lovasz"):  # whose slope has jumps where errors are equal
        logits[:, 1, 2:] = logits[:, 0, 2:]
        logits[:, :, 3:] = logits[:, :1, 3:]
    module = getattr(backend, f"{name}Loss")()
    value, gradient = step(module, logits.double(), labels)
    other, other_gradient = step(plainly(evaluate, module), logits, labels)
    torch.testing.assert_close(other.double(), value, rtol=1e-6, atol=0)
    scale = gradient.abs().max().item()
    torch.testing.assert_close(other_gradient.double(), gradient, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"LovaszHinge"}))  # has no probabilities
def test_plain_way_with_huge_ties(torch: Any, backend: Any, evaluate: Any, name: str) -> None:
    """Equal logits share, however large they are, and -inf beside them has nothing."""
    values = torch.tensor(
        [
            [3e38, 3e38, -3e38, -torch.inf, 1e30, 1.0],
            [3e38, 3e38, -3e38, 1e38, -1e30, 1.0],
            [3e38, -3e38, -3e38, 1e38, 1e30, 1.0],
        ]
    )[None]
    labels = torch.tensor([[0, 1, 2, 1, 2, 0]])
    module = getattr(backend, f"{name}Loss")()
    value, gradient = step(module, values, labels)
    other, other_gradient = step(plainly(evaluate, module), values, labels)
    torch.testing.assert_close(other, value, rtol=1e-6, atol=0)
    scale = gradient.abs().max().item()
    torch.testing.assert_close(other_gradient, gradient, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ["CrossEntropy", "Focal", "Poly", "GeneralisedCrossEntropy"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("size", [80.0, 1e4, 1.8e38])
def test_plain_way_with_certain_errors(
    torch: Any, backend: Any, evaluate: Any, name: str, activation: str, soft: bool, size: float
) -> None:
    """Certain and wrong: where p is 0, slopes are those of -log p alone."""
    values = torch.tensor([[size, -size], [-size, size]])[None]
    labels = torch.tensor([[1, 1]])
    target = torch.nn.functional.one_hot(labels, 2).movedim(-1, 1).float() if soft else labels
    module = getattr(backend, f"{name}Loss")(activation=activation)
    value, gradient = step(module, values, target)
    other, other_gradient = step(plainly(evaluate, module), values, target)
    torch.testing.assert_close(other, value, rtol=1e-6, atol=0)
    torch.testing.assert_close(other_gradient, gradient, rtol=1e-6, atol=1e-12)


def test_plain_way_shows_labels_out_of_range(torch: Any, backend: Any, evaluate: Any) -> None:
    logits, labels = draw(torch)
    labels[0, 0, 0] = 7
    value = plainly(evaluate, backend.DiceLoss())(logits, labels)
    assert value.isnan()
    with pytest.raises(ValueError, match="label 7"):
        backend.DiceLoss()(logits, labels)


@pytest.mark.parametrize("dense", [False, True])
def test_table_with_a_gradient(torch: Any, backend: Any, dense: bool) -> None:
    """A loss that is written on the table, by the kernels and in plain torch."""
    logits, target = draw(torch, dtype=torch.float64, size=(3, 2))
    options: dict[str, Any] = {"pixel_terms": TERMS[:2], "squares": True, "label_smoothing": 0.1}
    if dense:
        target = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
    else:
        options["ignore_index"] = 1

    def loss(x: Any, y: Any) -> Any:
        table = backend.soft_counts(x, y, **options)
        dice = (table.intersection / (table.pred_squared + table.target)).sum()
        return dice + (table.terms**2).sum() / table.weight.sum()

    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)
    assert torch.autograd.gradgradcheck(lambda x: loss(x, target), logits)
    last = logits.detach().contiguous(memory_format=torch.channels_last)
    expected = step(loss, logits, target)
    torch.testing.assert_close(step(loss, last, target), expected)
    torch.compiler.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(step(compiled, logits, target), expected)
    meta = backend.soft_counts(logits.to("meta"), target.to("meta"), **options)
    assert meta.terms.shape == (2, 2, 3)


def test_examples_of_the_page() -> None:
    root = Path(__file__).parents[1]
    page = "docs/how-to-train-with-pytorch.md"
    command = [sys.executable, root / "tools" / "check_examples.py", root / page]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 failed" in done.stdout


# --- memory and types ----------------------------------------------------------------------------


def test_tensors_are_read_where_they_are(torch: Any) -> None:
    arrays = importlib.import_module("segmeter.torch._arrays")
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        tensor = torch.ones(2, 3, 4, dtype=dtype, requires_grad=True)
        array = arrays.as_array(tensor)
        assert array.__array_interface__["data"][0] == tensor.data_ptr()
        again = arrays.as_tensor(array, dtype)
        assert again.data_ptr() == tensor.data_ptr()
        assert again.dtype == dtype


@pytest.mark.parametrize("dense", [False, True])
def test_channels_last_memory(torch: Any, backend: Any, dense: bool) -> None:
    logits, target = draw(torch)
    if dense:
        target = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    last = logits.detach().contiguous(memory_format=torch.channels_last)
    for module in (backend.DiceLoss(), backend.FocalLoss()):
        value, gradient = step(module, last, target)
        expected, expected_gradient = step(module, logits, target)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, expected_gradient)
        assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["Dice", "CrossEntropy"])
def test_axes_last(torch: Any, backend: Any, evaluate: Any, name: str) -> None:
    logits, labels = draw(torch)
    last = getattr(backend, f"{name}Loss")(channels_last=True)
    expected, gradient = step(getattr(backend, f"{name}Loss")(), logits, labels)
    for way in (last, plainly(evaluate, last)):
        value, moved = step(way, logits.detach().movedim(1, -1).contiguous(), labels)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(moved.movedim(-1, 1), gradient, rtol=1e-5, atol=1e-8)


def test_slices_and_transposes(torch: Any, backend: Any) -> None:
    wide = torch.randn(2, 6, 8, 5)
    labels = torch.randint(0, 3, (2, 5, 8))
    view = wide[:, ::2].transpose(2, 3)
    for module in (backend.DiceLoss(), backend.CrossEntropyLoss()):
        value, gradient = step(module, view, labels)
        expected, expected_gradient = step(module, view.contiguous(), labels)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["Dice", "CrossEntropy", "Focal"])
def test_half_types(torch: Any, backend: Any, evaluate: Any, name: str, dtype: str) -> None:
    """Computed in float32: as if the rounded logits were float32."""
    logits, labels = draw(torch, size=(64, 48))
    half = logits.detach().to(getattr(torch, dtype))
    module = getattr(backend, f"{name}Loss")()
    value, gradient = step(module, half, labels)
    expected, expected_gradient = step(module, half.float(), labels)
    assert value.dtype == torch.float32
    assert gradient.dtype == half.dtype
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient.to(half.dtype))
    other, other_gradient = step(plainly(evaluate, module), half, labels)
    assert other_gradient.dtype == half.dtype
    torch.testing.assert_close(other, value, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(other_gradient, gradient, rtol=1e-2, atol=1e-7)


def test_a_scale_saves_small_gradients_of_half_types(torch: Any, backend: Any) -> None:
    logits, labels = draw(torch, size=(512, 512))
    half = logits.detach().half()
    for module in (backend.CrossEntropyLoss(), backend.DiceLoss()):
        scaled = lambda x, y, module=module: 65536 * module(x, y)  # noqa: E731
        _, gradient = step(scaled, half, labels)
        _, exact = step(module, half.float(), labels)
        torch.testing.assert_close(gradient.float() / 65536, exact, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_autocast(torch: Any, backend: Any, evaluate: Any, dtype: str) -> None:
    images, labels = torch.randn(2, 4, 16, 16), torch.randint(0, 3, (2, 16, 16))
    network = torch.nn.Conv2d(4, 3, 1)
    module = backend.DiceLoss()
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        logits = network(images)
        value = module(logits, labels)
        other = plainly(evaluate, module)(logits, labels)
    assert logits.dtype == getattr(torch, dtype)
    assert value.dtype == other.dtype == torch.float32
    torch.testing.assert_close(value, other, rtol=1e-6, atol=1e-6)
    value.backward()
    assert network.weight.grad.dtype == torch.float32
    assert torch.isfinite(network.weight.grad).all()


# --- autograd ------------------------------------------------------------------------------------

LOSSES = ["Dice", "CrossEntropy", "Focal", "LovaszSoftmax"]


@pytest.mark.parametrize("name", LOSSES)
def test_factor_of_the_gradient(torch: Any, backend: Any, name: str) -> None:
    logits, labels = draw(torch, dtype=torch.float64)
    module = getattr(backend, f"{name}Loss")()
    _, gradient = step(module, logits, labels)
    for factor in (0.25, 0.25, -3.0, 1.0, 0.0):
        _, scaled = step(lambda x, f=factor: f * module(x, labels), logits)
        torch.testing.assert_close(scaled, factor * gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_backward_twice(torch: Any, backend: Any, name: str) -> None:
    logits, labels = draw(torch)
    value = getattr(backend, f"{name}Loss")()(logits, labels)
    (first,) = torch.autograd.grad(value, logits, retain_graph=True)
    kept = first.clone()
    first.zero_()  # whoever gets a gradient may write into it
    (second,) = torch.autograd.grad(value, logits, retain_graph=True)
    (third,) = torch.autograd.grad(value, logits, torch.tensor(2.0))
    torch.testing.assert_close(second, kept)
    torch.testing.assert_close(third, 2 * kept)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_add_up(torch: Any, backend: Any, name: str) -> None:
    """Of several losses of the same logits, and over several steps."""
    logits, labels = draw(torch)
    module = getattr(backend, f"{name}Loss")()
    _, gradient = step(module, logits, labels)
    (module(logits, labels) + module(logits, labels)).backward()
    torch.testing.assert_close(logits.grad, 2 * gradient)
    for _ in range(3):
        module(logits, labels).backward()
    torch.testing.assert_close(logits.grad, 5 * gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_kept_gradients_are_not_written_again(torch: Any, backend: Any, name: str) -> None:
    """Large enough for recycled memory: what somebody holds is not recycled."""
    module = getattr(backend, f"{name}Loss")()
    kept, copies = [], []
    for seed in range(6):
        logits, labels = draw(torch, seed=seed, size=(256, 256))
        module(logits, labels).backward()
        kept.append(logits.grad[:, 1])  # a view keeps the memory, too
        copies.append(logits.grad[:, 1].clone())
        del logits
    for view, copied in zip(kept, copies, strict=True):
        assert torch.equal(view, copied)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("changed", ["logits", "target", "mask", "pixel_weight"])
def test_changes_in_place_are_noticed(torch: Any, backend: Any, name: str, changed: str) -> None:
    logits, labels = draw(torch)
    tensors = {
        "logits": logits * 1,
        "target": labels,
        "mask": torch.zeros(labels.shape, dtype=torch.bool),
        "pixel_weight": torch.ones(labels.shape),
    }
    if name.startswith("Lovasz"):  # it has no weights
        del tensors["pixel_weight"]
        changed = "mask" if changed == "pixel_weight" else changed
    value = getattr(backend, f"{name}Loss")()(**tensors)
    with torch.no_grad():
        tensors[changed].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_no_gradient_asked_for(torch: Any, backend: Any) -> None:
    logits, labels = draw(torch)
    for module in (backend.DiceLoss(), backend.CrossEntropyLoss()):
        with torch.no_grad():
            value = module(logits, labels)
        assert not value.requires_grad
        assert not module(logits.detach(), labels).requires_grad
        assert value == module(logits, labels).detach()


def test_targets_may_want_a_gradient(torch: Any, backend: Any) -> None:
    logits, _ = draw(torch, dtype=torch.float64, size=(3,))
    target = torch.rand(2, 3, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    for module in (backend.DiceLoss(), backend.CrossEntropyLoss()):

        def loss(x: Any, y: Any, w: Any, module: Any = module) -> Any:
            return module(x, y, pixel_weight=w)

        assert torch.autograd.gradcheck(loss, (logits, target, weight))


@pytest.mark.parametrize("name", ["Dice", "CrossEntropy", "Focal"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_losses_one_by_one(torch: Any, backend: Any, name: str, activation: str) -> None:
    options = {"reduction": "none", "activation": activation, "ignore_index": 1}
    logits, labels = draw(torch, dtype=torch.float64)
    values = getattr(backend, f"{name}Loss")(**options)(logits, labels)
    expected = KINDS[name](**options)(logits.detach().numpy(), labels.numpy())
    np.testing.assert_allclose(values.detach(), expected, rtol=1e-10, atol=1e-14)
    assert torch.autograd.gradcheck(
        lambda x: getattr(backend, f"{name}Loss")(**options)(x, labels), logits
    )


# --- functions, modules, operators ----------------------------------------------------------------


def test_functions_and_modules_are_the_same(torch: Any, backend: Any) -> None:
    logits, labels = draw(torch)
    options = {"preset": "monai", "classes": [1, 2], "class_weight": torch.tensor([1.0, 2.0, 3.0])}
    value = backend.dice(logits, labels, **options)
    module = backend.DiceLoss(**options)
    assert value == module(logits, labels)
    assert value != backend.dice(logits, labels)
    assert module.explain() == segmeter.loss.Dice(**options).explain()
    assert "smooth_nr" in repr(module)
    assert pickle.loads(pickle.dumps(module))(logits, labels) == value
    assert copy.deepcopy(module)(logits, labels) == value


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "monai", "classes": (1, 2)},
        {"class_weight": [1.0, 2.0, 3.0], "region": "batch"},
        {"reduction": "none"},
        {"class_weight": [1.0, 2.0, 3.0], "reduction": "none"},
    ],
)
def test_functions_compile(torch: Any, backend: Any, options: dict[str, Any]) -> None:
    torch.compiler.reset()
    logits, labels = draw(torch)
    compiled = torch.compile(
        lambda x, y: backend.dice(x, y, **options), fullgraph=True, backend="aot_eager"
    )
    torch.testing.assert_close(compiled(logits, labels), backend.dice(logits, labels, **options))


def test_sizes_may_change_under_compile(torch: Any, backend: Any) -> None:
    torch.compiler.reset()
    module = backend.DiceLoss(region="batch")
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in ((5, 4), (6, 3), (9, 9)):
        logits, labels = draw(torch, size=size)
        for one, other in zip(
            step(compiled, logits, labels), step(module, logits, labels), strict=True
        ):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", ["Dice", "CrossEntropy", "LovaszSoftmax"])
@pytest.mark.parametrize("more", [False, True])
def test_operators(torch: Any, backend: Any, name: str, more: bool) -> None:
    compiled = importlib.import_module("segmeter.torch._compiled")
    logits, labels = draw(torch)
    module = getattr(backend, f"{name}Loss")()
    known = compiled.known_as(module.loss, module._setting)
    mask, weight = torch.zeros(labels.shape, dtype=torch.bool), torch.ones(labels.shape)
    weight = None if name == "LovaszSoftmax" else weight
    inputs = (logits, labels, *((mask, weight) if more else (None, None)), known)
    torch.library.opcheck(torch.ops.segmeter.loss.default, inputs)
    _, state = torch.ops.segmeter.loss(*inputs)
    inputs = (torch.tensor(1.0), state.detach(), logits.detach(), *inputs[1:])
    torch.library.opcheck(torch.ops.segmeter.loss_backward.default, inputs)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"logits": np.zeros((2, 3, 5, 4))}, TypeError, "logits must be a torch.Tensor"),
        ({"target": None}, TypeError, "target must be a torch.Tensor, got NoneType"),
        ({"mask": [True]}, TypeError, "mask must be a torch.Tensor"),
        ({"logits": "integers"}, TypeError, "logits must be floating point"),
        ({"target": "meta"}, ValueError, "target is on meta and logits on cpu"),
        ({"target": "short"}, ValueError, "target must have shape"),
    ],
)
def test_bad_input(
    torch: Any, backend: Any, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    logits, labels = draw(torch)
    special = {
        "integers": torch.zeros(2, 3, 5, 4, dtype=torch.int64),
        "meta": labels.to("meta"),
        "short": labels[:, :-1],
    }
    given = {"logits": logits, "target": labels}
    given |= {
        name: special.get(value, value) if isinstance(value, str) else value
        for name, value in change.items()
    }
    with pytest.raises(error, match=message):
        backend.DiceLoss()(**given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sync_batch": 1}, TypeError, "sync_batch must be True or False"),
        ({"sync_batch": True}, ValueError, "use region='batch'"),
        ({"process_group": object()}, ValueError, "process_group is for sync_batch=True"),
        ({"gamma": 2}, TypeError, "no option 'gamma'"),
    ],
)
def test_bad_options(
    backend: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        backend.DiceLoss(**options)


# --- sums of losses ------------------------------------------------------------------------------


def test_compound(torch: Any, backend: Any, evaluate: Any) -> None:
    logits, labels = draw(torch)
    parts = [backend.DiceLoss(), (0.5, segmeter.loss.CrossEntropy()), (2.0, backend.FocalLoss())]
    module = backend.CompoundLoss(parts)
    value, gradient = step(module, logits, labels)
    loss = segmeter.loss.compound(
        [segmeter.loss.Dice(), (0.5, segmeter.loss.CrossEntropy()), (2.0, segmeter.loss.Focal())]
    )
    expected, expected_gradient = loss(logits, labels, return_grad=True)
    assert value.item() == np.float32(expected)
    np.testing.assert_array_equal(gradient, expected_gradient)
    other, other_gradient = step(plainly(evaluate, module), logits, labels)
    torch.testing.assert_close(other, value)
    torch.testing.assert_close(other_gradient, gradient)
    assert module.explain() == loss.explain()


def test_compound_of_several_sweeps(torch: Any, backend: Any) -> None:
    """Losses that read the logits in different ways: gradients add up."""
    torch.compiler.reset()
    logits, labels = draw(torch, dtype=torch.float64)
    module = backend.CompoundLoss(
        [(0.5, backend.DiceLoss(activation="sigmoid")), backend.CrossEntropyLoss()]
    )
    value, gradient = step(module, logits, labels)
    one, one_gradient = step(backend.DiceLoss(activation="sigmoid"), logits, labels)
    two, two_gradient = step(backend.CrossEntropyLoss(), logits, labels)
    torch.testing.assert_close(value, 0.5 * one + two)
    torch.testing.assert_close(gradient, 0.5 * one_gradient + two_gradient)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(step(compiled, logits, labels), (value, gradient))


@pytest.mark.parametrize("name", ["DiceCE", "DiceFocal"])
def test_named_compounds(torch: Any, backend: Any, name: str) -> None:
    logits, labels = draw(torch, dtype=torch.float64)
    module = getattr(backend, f"{name}Loss")(preset="monai", activation="softmax", dice_weight=2.0)
    second = backend.CrossEntropyLoss if name == "DiceCE" else backend.FocalLoss
    expected = 2 * backend.DiceLoss(preset="monai")(logits, labels)
    expected = expected + second(preset="monai", activation="softmax")(logits, labels)
    torch.testing.assert_close(module(logits, labels), expected)
    assert pickle.loads(pickle.dumps(module))(logits, labels) == module(logits, labels)


def test_dice_cross_entropy_is_that_of_monai(
    torch: Any, backend: Any, peer: Callable[[str], ModuleType]
) -> None:
    monai = peer("monai.losses").DiceCELoss(to_onehot_y=True, softmax=True)
    logits, labels = draw(torch, size=(17, 11))
    value, gradient = step(backend.DiceCELoss(preset="monai"), logits, labels)
    expected, expected_gradient = step(lambda x: monai(x, labels[:, None]), logits)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("weights", ["nnunet", "halving", [1.0, 0.5, 0.0]])
def test_deep_supervision(torch: Any, backend: Any, weights: Any) -> None:
    generator = torch.Generator().manual_seed(2)
    levels = [
        torch.randn(2, 3, *size, generator=generator).requires_grad_()
        for size in ((9, 8), (5, 4), (2, 2))
    ]
    labels = torch.randint(0, 3, (2, 9, 8), generator=generator)
    module = backend.DeepSupervisionLoss(backend.DiceCELoss(), weights=weights)
    value = module(levels, labels)
    value.backward()
    loss = segmeter.loss.deep_supervision(segmeter.loss.dice_cross_entropy(), weights=weights)
    arrays = [level.detach().numpy() for level in levels]
    expected, gradients = loss(arrays, labels.numpy(), return_grad=True)
    assert value.item() == pytest.approx(expected, rel=1e-6)
    for level, gradient in zip(levels, gradients, strict=True):
        np.testing.assert_allclose(level.grad, gradient, rtol=1e-6, atol=1e-9)
    assert module.explain() == loss.explain()


def test_deep_supervision_with_a_target_for_each_level(torch: Any, backend: Any) -> None:
    levels = [torch.randn(1, 2, 4, 4), torch.randn(1, 2, 2, 2)]
    targets = [torch.zeros(1, 4, 4).long(), torch.ones(1, 2, 2).long()]
    one = backend.CrossEntropyLoss()
    module = backend.DeepSupervisionLoss(one, weights="equal")
    expected = one(levels[0], targets[0]) + one(levels[1], targets[1])
    torch.testing.assert_close(module(levels, targets), expected)
    with pytest.raises(ValueError, match="target must hold 2 levels"):
        module(levels, targets[:1])
    with pytest.raises(TypeError, match="logits must be a list"):
        module(levels[0], targets[0])
    with pytest.raises(TypeError, match=r"loss must be a loss of segmeter\.torch"):
        backend.DeepSupervisionLoss(torch.nn.CrossEntropyLoss())


# --- two processes -------------------------------------------------------------------------------


def test_batch_over_processes(torch: Any, backend: Any, tmp_path: Path) -> None:
    """Two processes with halves of a batch: the loss and gradients of the whole one."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(JOB), "losses", str(rank), "2", str(tmp_path / "rendezvous")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ends = [process.communicate(timeout=120) for process in processes]
    assert all(process.returncode == 0 for process in processes), ends
    answers = [json.loads(output.splitlines()[-1]) for output, _ in ends]
    assert answers[0] == answers[1]
    spec = importlib.util.spec_from_file_location("torch_job", JOB)
    assert spec is not None
    assert spec.loader is not None
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    images, labels = job.draw_batch()
    for name, module in job.batch_losses(sync_batch=False).items():
        network = job.network()
        value = module(network(images), labels)
        value.backward()
        for way in ("native", "plain", "compiled"):
            found = answers[0][f"{name}, {way}"]
            assert found["value"] == pytest.approx(value.item(), rel=1e-6)
            np.testing.assert_allclose(
                found["gradient"], network.weight.grad.flatten(), rtol=1e-4, atol=1e-7
            )
    assert isinstance(backend.DiceLoss(region="batch", sync_batch=True), torch.nn.Module)


@pytest.mark.parametrize("of_other_type", [False, True])
def test_a_table_takes_pixels_to_leave_out(torch: Any, backend: Any, of_other_type: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 3, 8, 5, generator=generator)
    target = torch.randint(0, 3, (2, 8, 5), generator=generator)
    pixels, more = torch.rand(2, 2, 8, 5, generator=generator) < 0.3
    # A target that wants a gradient is not for the kernels.
    target = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
    target.requires_grad_(of_other_type)
    for mask, both in ((None, pixels), (more, pixels | more)):
        found = backend.soft_counts(logits, target, ignore_index=pixels, mask=mask)
        expected = backend.soft_counts(logits, target, mask=both)
        assert torch.equal(found.intersection, expected.intersection)
        assert torch.equal(found.valid, (~both).flatten(1).sum(1))
