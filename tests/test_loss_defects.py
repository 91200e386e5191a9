"""Defects of other tools that presets do not reproduce: there in the tool, and not here."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter import loss
from segmeter.reference import loss as twins

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def monai(peer: Callable[[str], ModuleType]) -> ModuleType:
    return peer("monai.losses")


def problem(number: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(2, number, 6, 5)), rng.integers(0, number, (2, 6, 5))


def gradient_of(peer: Any, logits: Any, target: Any) -> tuple[float, Any]:
    x = torch.tensor(logits, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = peer(x, torch.tensor(target))
        value.backward()
    return value.item(), x.grad.numpy()


def test_torch_gradient_of_a_certain_pixel() -> None:
    logits = np.array([[[20.0], [0.0]]], np.float32)
    _, theirs = gradient_of(torch.nn.functional.cross_entropy, logits, [[0]])
    _, mine = loss.cross_entropy(logits, [[0]], preset="torch", return_grad=True)
    assert theirs[0, 0, 0] == 0.0
    assert mine[0, 0, 0] == pytest.approx(-np.exp(-20.0), rel=1e-6)


def test_monai_focal_with_an_ignored_label_that_is_not_there(monai: ModuleType) -> None:
    logits, target = problem()
    plain, ignoring = (
        monai.FocalLoss(to_onehot_y=True, use_softmax=True, **options)(
            torch.tensor(logits), torch.tensor(target)[:, None]
        ).item()
        for options in ({}, {"ignore_index": 255})
    )
    assert ignoring == pytest.approx(3 * plain, rel=1e-5)
    options: dict[str, Any] = {"preset": "monai", "activation": "softmax", "ignore_index": 255}
    assert loss.focal(logits, target, **options) == pytest.approx(plain, rel=1e-5)
    assert loss.focal(logits, target, strict=True, **options) == pytest.approx(ignoring, rel=1e-5)


def test_monai_focal_without_background(monai: ModuleType) -> None:
    logits, target = problem()
    theirs = monai.FocalLoss(to_onehot_y=True, use_softmax=True, include_background=False)
    value = theirs(torch.tensor(logits), torch.tensor(target)[:, None]).item()
    mine = loss.focal(
        logits, target, preset="monai", activation="softmax", include_background=False
    )
    dropped = loss.focal(  # what it does: a softmax of the other logits
        logits[:, 1:],
        np.where(target == 0, 255, target - 1),
        ignore_index=255,
        normaliser="all",
        divide_by_classes=True,
    )
    assert value == pytest.approx(dropped, rel=1e-5)
    assert mine != pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("name", ["monai", "smp"])
def test_focal_gradient_at_certainty(name: str, request: pytest.FixtureRequest) -> None:
    module = request.getfixturevalue(name)
    logits, target = np.array([[[60.0], [-60.0]]], np.float32), np.array([[1]])
    if name == "monai":
        theirs = module.FocalLoss(gamma=0.5, use_softmax=True, to_onehot_y=True)
        logits, target = -logits, target[:, None]
    else:
        theirs = module.FocalLoss("multiclass", gamma=0.5)
        logits = -logits
    _, slope = gradient_of(theirs, logits, target)
    assert np.isnan(slope).any()
    _, mine = loss.focal(logits, target.reshape(1, 1), preset=name, gamma=0.5, return_grad=True)
    assert np.isfinite(mine).all()


def test_monai_focal_of_minus_infinity(monai: ModuleType) -> None:
    logits, target = np.array([[[-np.inf, 0.0], [0.0, 0.0]]]), np.array([[1, 0]])
    theirs = monai.FocalLoss(use_softmax=True, to_onehot_y=True)
    assert np.isnan(theirs(torch.tensor(logits), torch.tensor(target)[:, None]).item())
    assert np.isfinite(loss.focal(logits, target, preset="monai", activation="softmax"))


def test_monai_focal_rounds_to_float32(monai: ModuleType) -> None:
    logits, target = problem()
    theirs = monai.FocalLoss(use_softmax=True, to_onehot_y=True)
    assert theirs(torch.tensor(logits), torch.tensor(target)[:, None]).dtype == torch.float32
    expected = twins.focal(logits, target, divide_by_classes=True)
    mine = loss.focal(logits, target, preset="monai", activation="softmax")
    assert mine == pytest.approx(expected, rel=1e-12)


def test_monai_dice_ce_and_the_background(monai: ModuleType) -> None:
    assert "ignore_index" not in inspect.signature(monai.DiceCELoss).parameters
    logits, target = problem()
    x, y = torch.tensor(logits), torch.tensor(target)[:, None]
    options = {"to_onehot_y": True, "softmax": True, "include_background": False}
    both = monai.DiceCELoss(**options)(x, y).item()
    dice = monai.DiceLoss(**options)(x, y).item()
    assert both - dice == pytest.approx(loss.cross_entropy(logits, target))
    mine = loss.dice_cross_entropy(preset="monai", include_background=False)
    assert mine(logits, target) < both


def test_keras_focal_of_a_pixel_that_is_certainly_wrong(
    peer: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = peer("keras")
    logits = np.array([[[20.0, 0.0]]], np.float32)
    theirs = keras.losses.CategoricalFocalCrossentropy(from_logits=True)
    _, slope = gradient_of(lambda x, y: theirs(y, x), logits, [[[0.0, 1.0]]])
    assert not slope.any()
    _, mine = loss.focal(logits, [[1]], preset="keras", return_grad=True)
    assert mine[0, 0, 0] == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("name", ["monai", "smp"])
def test_dice_of_float16(name: str, request: pytest.FixtureRequest) -> None:
    module = request.getfixturevalue(name)
    logits, target = np.zeros((1, 2, 512, 512), np.float16), np.zeros((1, 512, 512), np.int64)
    target[:, :200] = 1
    if name == "monai":
        theirs, labels = module.DiceLoss(softmax=True, to_onehot_y=True), target[:, None]
    else:
        theirs, labels = module.DiceLoss("multiclass"), target
    value, _ = gradient_of(theirs, logits, labels)
    mine, gradient = loss.dice(logits, target, preset=name, return_grad=True)
    assert value != pytest.approx(mine, abs=0.1)  # NaN, or a sum of inf
    assert mine == pytest.approx(loss.dice(logits.astype(np.float64), target, preset=name))
    assert np.isfinite(gradient).all()


def test_smp_small_class_cancels(smp: ModuleType) -> None:
    rng = np.random.default_rng(0)
    target = np.zeros((1, 1024, 1024), np.int64)
    target[0, 5, :6] = 1
    logits = np.stack([np.full((1024, 1024), 3.0), rng.normal(-4, 1, (1024, 1024))])[None]
    theirs = smp.DiceLoss("multiclass", classes=[1])
    inputs = torch.tensor(logits), torch.tensor(target)
    exact = 1 - theirs(*inputs).item()
    single = 1 - theirs(inputs[0].float(), inputs[1]).item()
    mine = 1 - loss.dice(logits.astype(np.float32), target, preset="smp", classes=[1])
    assert abs(single / exact - 1) > 1e-2  # two digits at most
    assert mine == pytest.approx(exact, rel=1e-5)


def test_smp_soft_cross_entropy_needs_a_factor(smp: ModuleType) -> None:
    logits, target = problem()
    with pytest.raises(TypeError):
        smp.SoftCrossEntropyLoss()(torch.tensor(logits), torch.tensor(target))
    assert np.isfinite(loss.cross_entropy(logits, target, preset="smp"))


def test_smp_lovasz_takes_float32_alone(smp: ModuleType) -> None:
    logits, target = problem()
    with pytest.raises(RuntimeError):
        smp.LovaszLoss("multiclass")(torch.tensor(logits), torch.tensor(target))
    assert np.isfinite(loss.lovasz_softmax(logits, target, preset="smp"))


def test_smp_normalised_focal_divides_twice(smp: ModuleType) -> None:
    rng = np.random.default_rng(2)
    logits, target = rng.normal(size=(2, 1, 4, 4)), rng.integers(0, 2, (2, 4, 4))
    theirs = smp.FocalLoss("binary", normalized=True)(torch.tensor(logits), torch.tensor(target))
    mine = loss.focal(logits, target, preset="smp", normalised=True)
    assert theirs.item() == pytest.approx(mine / target.size)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_kornia_sample_without_a_counted_pixel(
    peer: Callable[[str], ModuleType], average: Any
) -> None:
    logits, target = problem()
    target[1] = -100
    theirs = peer("kornia.losses").dice_loss(torch.tensor(logits), torch.tensor(target), average)
    mine = loss.dice(logits, target, preset="kornia", average=average, ignore_index=-100)
    assert theirs.item() == pytest.approx((mine + 1) / 2)


def test_monai_sample_without_a_counted_pixel(monai: ModuleType) -> None:
    logits, target = problem()
    target[1] = 255
    theirs = monai.DiceLoss(to_onehot_y=True, softmax=True, ignore_index=255)
    value = theirs(torch.tensor(logits), torch.tensor(target)[:, None]).item()
    mine = loss.dice(logits, target, preset="monai", ignore_index=255)
    assert value == pytest.approx(mine / 2)


def test_kornia_hinge_of_a_label_to_ignore(peer: Callable[[str], ModuleType]) -> None:
    logits, target = np.full((1, 1, 2, 2), 3.0), np.array([[[1, 1], [1, -100]]])
    assert peer("kornia.losses").lovasz_hinge_loss(torch.tensor(logits), torch.tensor(target)) != 0
    with pytest.raises(ValueError, match="label -100"):
        loss.lovasz_hinge(logits, target, preset="kornia")
    assert loss.lovasz_hinge(logits, target, preset="kornia", ignore_index=-100) == 0.0


def test_list_of_defects() -> None:
    found = loss.known_defects()
    assert len(found) == len({(d.tool, d.loss, d.found) for d in found})
    assert {d.tool for d in found} >= {"torch", "monai", "smp", "kornia", "keras", "mmseg"}
    assert loss.known_defects("nnunet") == ()
    with pytest.raises(ValueError, match="preset must be one of"):
        loss.known_defects("caffe")
