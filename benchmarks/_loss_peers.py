"""Losses of other packages, each in its fastest honest spelling, and ours.

A loss is ``loss(logits, target) -> scalar`` on tensors that stand ready in the type it reads:
labels as int64 with the channel axis it wants. Made outside the timed call is what a user makes
once: the object, the compiled function.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import types
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import _data
import segmeter.torch as own

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Loss = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"


@dataclass(frozen=True)
class Workload:
    """Logits ``(N, C, *spatial)`` as a trained network gives them, and the labels."""

    name: str
    logits: torch.Tensor
    labels: torch.Tensor  # uint8 (N, *spatial)

    @functools.cached_property
    def indices(self) -> torch.Tensor:
        return self.labels.long()

    @functools.cached_property
    def channel(self) -> torch.Tensor:
        """Labels with a channel axis, as MONAI and nnU-Net take them."""
        return self.labels[:, None].long()

    @functools.cached_property
    def mask(self) -> torch.Tensor:
        """The labels of two classes as floats with a channel axis."""
        return self.labels[:, None].float()


def _drawn(name: str, labels: NDArray, drawn: NDArray, channels: int) -> Workload:
    """Logits whose largest is nearly always that of the drawn prediction, by a margin of a few."""
    generator = np.random.default_rng(11)
    shape = (len(labels), channels, *labels.shape[1:])
    logits = generator.standard_normal(shape, dtype=np.float32)
    if channels == 1:
        logits[:, 0] += np.where(drawn > 0, np.float32(3), np.float32(-3))
    else:
        for label in range(channels):
            logits[:, label][drawn == label] += 5
    return Workload(name, torch.from_numpy(logits).clone(), torch.from_numpy(labels))


def street(quick: bool) -> Workload:
    size = (128, 128) if quick else (512, 512)
    pairs = [_data.street(size, seed=seed) for seed in range(4)]
    drawn, labels = (np.stack(maps) for maps in zip(*pairs, strict=True))
    return _drawn("street", labels, drawn, 19)


def volume(quick: bool) -> Workload:
    side = 32 if quick else 96
    pairs = [_data.volume(side, 4, seed=seed) for seed in range(2)]
    drawn, labels = (np.stack(maps) for maps in zip(*pairs, strict=True))
    return _drawn("volume", labels, np.minimum(drawn, 3), 4)


def binary(quick: bool) -> Workload:
    size = (256, 256) if quick else (1024, 1024)
    pairs = [_data.binary(size, seed=seed) for seed in range(2)]
    drawn, labels = (np.stack(maps).astype(np.uint8) for maps in zip(*pairs, strict=True))
    return _drawn("binary", labels, drawn, 1)


WORKLOADS: dict[str, Callable[[bool], Workload]] = {
    "street": street,
    "volume": volume,
    "binary": binary,
}


@dataclass(frozen=True)
class Peer:
    """A loss, which target it takes, and the preset under which ours gives the same number."""

    name: str
    make: Callable[[], Any]
    target: str = "indices"
    preset: str | None = None
    compiled: bool = False
    activation: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """Options that give ours the peer's number and gradient."""
        named = {"preset": self.preset, "activation": self.activation}
        return {name: value for name, value in named.items() if value is not None}


# --- packages -----------------------------------------------------------------------------------


@functools.cache
def monai() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("monai.losses")


@functools.cache
def kornia() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("kornia.losses")


@functools.cache
def smp() -> Any:
    """The losses of segmentation-models-pytorch, without the models and what those import."""
    name = "segmentation_models_pytorch"
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(name)
    package = types.ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules.setdefault(name, package)
    return importlib.import_module(f"{name}.losses")


class NNUNetDice(torch.nn.Module):
    """nnU-Net's Dice with few temporaries: without background, and negative, as it has it."""

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        probabilities = torch.softmax(logits, 1)[:, 1:]
        axes = tuple(range(2, logits.ndim))
        with torch.no_grad():
            one_hot = torch.zeros(logits.shape, dtype=torch.bool)
            one_hot.scatter_(1, target, 1)
            one_hot = one_hot[:, 1:]
            target_sum = one_hot.sum(axes)
        intersection = (probabilities * one_hot).sum(axes)
        prediction_sum = probabilities.sum(axes)
        smooth = 1e-5
        denominator = torch.clip(target_sum + prediction_sum + smooth, 1e-8)
        return -((2 * intersection + smooth) / denominator).mean()


class NNUNetDiceCE(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dice = NNUNetDice()

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        cross_entropy = torch.nn.functional.cross_entropy(logits, target[:, 0])
        return cross_entropy + self.dice(logits, target)


def cross_entropy() -> Any:
    return torch.nn.functional.cross_entropy


def binary_cross_entropy() -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits


def _dice_and_binary_cross_entropy() -> Any:
    dice = monai().DiceLoss(sigmoid=True)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    return lambda logits, target: dice(logits, target) + entropy(logits, target)


def _monai(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(monai(), name)(**options)


def _softmax(name: str, **options: Any) -> Callable[[], Any]:
    return _monai(name, to_onehot_y=True, softmax=True, **options)


def _smp(name: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(smp(), name)(*arguments, **options)


def _kornia(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: functools.partial(getattr(kornia(), name), **options)


# --- who competes in which loss ------------------------------------------------------------------

CE = (
    Peer("torch cross_entropy", cross_entropy, preset="torch"),
    Peer("torch cross_entropy, compiled", cross_entropy, preset="torch", compiled=True),
)
DICE = (
    Peer("MONAI DiceLoss", _softmax("DiceLoss"), "channel", "monai"),
    Peer("MONAI DiceLoss, compiled", _softmax("DiceLoss"), "channel", "monai", compiled=True),
    Peer("nnU-Net Dice", NNUNetDice, "channel", "nnunet"),
    Peer("nnU-Net Dice, compiled", NNUNetDice, "channel", "nnunet", compiled=True),
    Peer("smp DiceLoss", _smp("DiceLoss", "multiclass"), preset="smp"),
    Peer("kornia dice_loss macro", _kornia("dice_loss", average="macro")),
    Peer("kornia dice_loss micro", _kornia("dice_loss"), preset="kornia"),
)
DICE_CE = (
    Peer("MONAI DiceCELoss", _softmax("DiceCELoss"), "channel", "monai"),
    Peer("MONAI DiceCELoss, compiled", _softmax("DiceCELoss"), "channel", "monai", compiled=True),
    Peer("nnU-Net DC_and_CE", NNUNetDiceCE, "channel", "nnunet"),
    Peer("nnU-Net DC_and_CE, compiled", NNUNetDiceCE, "channel", "nnunet", compiled=True),
)
_FOCAL = _monai("FocalLoss", to_onehot_y=True, use_softmax=True)
FOCAL = (
    Peer("MONAI FocalLoss", _FOCAL, "channel", "monai", False, "softmax"),
    Peer("MONAI FocalLoss, compiled", _FOCAL, "channel", "monai", True, "softmax"),
    Peer(
        "kornia focal_loss",
        _kornia("focal_loss", alpha=None, gamma=2.0, reduction="mean"),
        preset="kornia",
    ),
    Peer("smp FocalLoss (one against rest)", _smp("FocalLoss", "multiclass"), preset="smp"),
)
TVERSKY = (
    Peer("MONAI TverskyLoss", _softmax("TverskyLoss", alpha=0.3, beta=0.7), "channel", "monai"),
    Peer("smp TverskyLoss", _smp("TverskyLoss", "multiclass", alpha=0.3, beta=0.7), preset="smp"),
    Peer("kornia tversky_loss", _kornia("tversky_loss", alpha=0.3, beta=0.7), preset="kornia"),
)
LOVASZ = (
    Peer("smp LovaszLoss", _smp("LovaszLoss", "multiclass"), preset="smp"),
    Peer("kornia lovasz_softmax_loss", _kornia("lovasz_softmax_loss"), preset="kornia"),
)
BINARY_DICE_CE = (
    Peer("MONAI DiceCELoss", _monai("DiceCELoss", sigmoid=True), "mask", "monai"),
    Peer("MONAI DiceCELoss, compiled", _monai("DiceCELoss", sigmoid=True), "mask", "monai", True),
    Peer("MONAI DiceLoss + torch BCE", _dice_and_binary_cross_entropy, "mask", "monai"),
)
BINARY_CE = (
    Peer("torch BCE", binary_cross_entropy, "mask", "torch"),
    Peer("torch BCE, compiled", binary_cross_entropy, "mask", "torch", compiled=True),
)
HINGE = (Peer("smp LovaszLoss", _smp("LovaszLoss", "binary"), "indices", "smp"),)


@dataclass(frozen=True)
class Entry:
    """One table: a loss on a workload, ours by name with its options, and who competes."""

    workload: str
    title: str
    own: str
    options: dict[str, Any]
    peers: tuple[Peer, ...]
    passes: int  # how often the logits must be read


_SIGMOID = {"activation": "sigmoid"}
_RATES = {"alpha": 0.3, "beta": 0.7}
ENTRIES: dict[str, Entry] = {
    "ce": Entry("street", "cross entropy", "CrossEntropyLoss", {}, CE, 1),
    "dice": Entry("street", "Dice", "DiceLoss", {}, DICE, 2),
    "dice-ce": Entry("street", "Dice + cross entropy", "DiceCELoss", {}, DICE_CE, 2),
    "focal": Entry("street", "focal", "FocalLoss", {}, FOCAL, 1),
    "tversky": Entry("street", "Tversky", "TverskyLoss", _RATES, TVERSKY, 2),
    "lovasz": Entry("street", "Lovász-softmax", "LovaszLoss", {}, LOVASZ, 2),
    "lovasz-exact": Entry(
        "street", "Lovász-softmax, exact", "LovaszLoss", {"exact": True}, LOVASZ, 2
    ),
    "volume-ce": Entry("volume", "cross entropy", "CrossEntropyLoss", {}, CE, 1),
    "volume-dice": Entry("volume", "Dice", "DiceLoss", {}, DICE[:5], 2),
    "volume-dice-ce": Entry("volume", "Dice + cross entropy", "DiceCELoss", {}, DICE_CE, 2),
    "volume-focal": Entry("volume", "focal", "FocalLoss", {}, FOCAL, 1),
    "binary-ce": Entry(
        "binary", "binary cross entropy", "CrossEntropyLoss", _SIGMOID, BINARY_CE, 1
    ),
    "binary-dice-ce": Entry("binary", "Dice + BCE", "DiceCELoss", _SIGMOID, BINARY_DICE_CE, 2),
    "binary-hinge": Entry("binary", "Lovász hinge", "LovaszLoss", _SIGMOID, HINGE, 2),
}


def own_loss(entry: Entry, **more: Any) -> Any:
    return getattr(own, entry.own)(**(entry.options | more))


@functools.cache
def workload(name: str, quick: bool) -> Workload:
    return WORKLOADS[name](quick)
