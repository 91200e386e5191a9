"""Presets give the numbers and gradients of the packages they are named after.

Every case runs the installed package on float64 tensors and compares value and gradient.
nnU-Net and mmsegmentation do not install beside the others: their formulas are written here as
their sources have them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter import loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

torch = pytest.importorskip("torch")
F = torch.nn.functional

WEIGHTS = [0.5, 2.0, 1.5, 0.7]


def problem(*, ignored: int | None = None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (2, 4, 5, 6) and labels; class 3 is not in the first sample."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 4, (2, 5, 6))
    target[0] %= 3
    if ignored is not None:
        target[:, :2, 1:4] = ignored
    return 2 * rng.normal(size=(2, 4, 5, 6)), target


def binary_problem() -> tuple[np.ndarray, np.ndarray]:
    """Logits (2, 1, 5, 6) and labels 0 and 1."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(2, 1, 5, 6)), rng.integers(0, 2, (2, 5, 6))


def one_hot(target: np.ndarray, number: int = 4) -> np.ndarray:
    return np.moveaxis(np.eye(number)[target], -1, 1)


def of_peer(value: Callable[[Any], Any], logits: np.ndarray) -> tuple[float, np.ndarray]:
    """Value and gradient that torch gives."""
    x = torch.tensor(logits, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a peer warns of is not our failure
        result = value(x)
        result.backward()
    return result.item(), x.grad.numpy()


def agree(
    mine: Any,
    logits: np.ndarray,
    target: np.ndarray,
    peer: Callable[[Any], Any],
    rtol: float = 1e-9,
) -> None:
    value, gradient = mine(logits, target, return_grad=True)
    expected, expected_gradient = of_peer(peer, logits)
    assert value == pytest.approx(expected, rel=rtol, abs=1e-12)
    scale = np.abs(expected_gradient).max()
    np.testing.assert_allclose(gradient, expected_gradient, rtol=rtol, atol=rtol * scale)


# --- torch


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_torch_cross_entropy(smoothing: float, weights: Any, reduction: Any) -> None:
    logits, target = problem(ignored=-100)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    agree(
        loss.CrossEntropy(preset="torch", ignore_index=-100, class_weight=weights, **options),
        logits,
        target,
        lambda x: F.cross_entropy(x, torch.tensor(target), weight=weight, **options),
    )


def test_torch_cross_entropy_of_soft_targets_divides_by_pixels() -> None:
    logits, target = problem()
    soft = 0.9 * one_hot(target) + 0.025
    weight = torch.tensor(WEIGHTS, dtype=torch.float64)
    agree(
        loss.CrossEntropy(preset="torch", class_weight=WEIGHTS),
        logits,
        soft,
        lambda x: F.cross_entropy(x, torch.tensor(soft), weight=weight),
    )


def test_torch_cross_entropy_pixel_by_pixel() -> None:
    logits, target = problem(ignored=-100)
    mine = loss.cross_entropy(logits, target, preset="torch", ignore_index=-100, reduction="none")
    peer = F.cross_entropy(torch.tensor(logits), torch.tensor(target), reduction="none")
    np.testing.assert_allclose(mine, peer.numpy(), rtol=1e-12)


def test_torch_of_nothing_is_nan() -> None:
    logits, target = problem()
    value, gradient = loss.cross_entropy(
        logits, np.full_like(target, -100), preset="torch", ignore_index=-100, return_grad=True
    )
    assert np.isnan(value)
    assert not gradient.any()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_torch_binary_cross_entropy(weights: Any) -> None:
    logits, target = problem()
    dense = one_hot(target)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)[:, None, None]
    agree(
        loss.CrossEntropy(preset="torch", activation="sigmoid", positive_weight=weights),
        logits,
        dense,
        lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor(dense), pos_weight=weight),
    )
    agree(
        loss.CrossEntropy(preset="torch", activation="sigmoid", class_weight=weights),
        logits,
        target,
        lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor(dense), weight=weight),
    )


# --- MONAI

MONAI_DICE = [
    {},
    {"batch": True},
    {"squared_pred": True},
    {"include_background": False},
    {"reduction": "sum"},
    {"weight": WEIGHTS},
    {"weight": WEIGHTS[1:], "include_background": False},
    {"ignore_index": 255},
    {"smooth_nr": 0.3, "smooth_dr": 0.2},
]


def from_monai(options: dict[str, Any]) -> dict[str, Any]:
    """Options of MONAI in our words."""
    names = {"squared_pred": "squared", "weight": "class_weight"}
    mine = {names.get(name, name): value for name, value in options.items()}
    if mine.pop("batch", False):
        mine["region"] = "batch"
    if "class_weight" in mine and not mine.get("include_background", True):
        mine["class_weight"] = [1.0, *mine["class_weight"]]
    if mine.pop("softmax", False):
        mine["activation"] = "softmax"
    return mine


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("options", MONAI_DICE, ids=str)
@pytest.mark.parametrize("jaccard", [False, True])
def test_monai_dice(
    peer: Callable[[str], ModuleType], options: dict[str, Any], activation: str, jaccard: bool
) -> None:
    losses = peer("monai.losses")
    logits, target = problem(ignored=options.get("ignore_index"))
    theirs = losses.DiceLoss(to_onehot_y=True, jaccard=jaccard, **{activation: True}, **options)
    kind, mine = loss.Jaccard if jaccard else loss.Dice, from_monai(options)
    if jaccard and "smooth_nr" in mine:  # there the whole quotient is twice ours
        mine.update(smooth_nr=mine["smooth_nr"] / 2, smooth_dr=mine["smooth_dr"] / 2)
    agree(
        kind(preset="monai", activation=activation, **mine),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)[:, None]),
        # Squared, MONAI takes the intersection out of norms by subtraction; weights are float32.
        rtol=1e-7 if {"squared_pred", "weight"} & set(options) else 1e-9,
    )


@pytest.mark.parametrize("options", [{}, {"alpha": 0.3, "beta": 0.7}, {"batch": True}], ids=str)
def test_monai_tversky(peer: Callable[[str], ModuleType], options: dict[str, Any]) -> None:
    logits, target = problem()
    theirs = peer("monai.losses").TverskyLoss(to_onehot_y=True, softmax=True, **options)
    agree(
        loss.Tversky(preset="monai", **from_monai(options)),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)[:, None]),
    )


@pytest.mark.parametrize("size", ["square", "simple", "uniform"])
@pytest.mark.parametrize("batch", [False, True])
def test_monai_generalised_dice(peer: Callable[[str], ModuleType], size: Any, batch: bool) -> None:
    logits, target = problem()
    theirs = peer("monai.losses").GeneralizedDiceLoss(
        to_onehot_y=True, softmax=True, w_type=size, batch=batch
    )
    agree(
        loss.GeneralisedDice(
            preset="monai", class_size=size, region="batch" if batch else "per_sample"
        ),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)[:, None]),
        rtol=1e-6,  # its weights are float32
    )


def test_monai_mcc(peer: Callable[[str], ModuleType]) -> None:
    logits, target = problem()
    theirs = peer("monai.losses.mcc_loss").MCCLoss(to_onehot_y=True, softmax=True)
    agree(
        loss.MatthewsCorrcoef(preset="monai"),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)[:, None]),
    )


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"gamma": 3.0}, {"alpha": 0.3}, {"weight": WEIGHTS}, {"alpha": WEIGHTS}],
    ids=str,
)
def test_monai_focal(
    peer: Callable[[str], ModuleType], softmax: bool, options: dict[str, Any]
) -> None:
    logits, target = problem()
    theirs = peer("monai.losses").FocalLoss(to_onehot_y=True, use_softmax=softmax, **options)
    mine = from_monai(options)
    if softmax:
        mine["activation"] = "softmax"
    agree(
        loss.Focal(preset="monai", **mine),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)[:, None]),
        rtol=2e-5,  # it computes in float32 whatever it is given
    )


@pytest.mark.parametrize("options", [{}, {"include_background": False}, {"batch": True}], ids=str)
def test_monai_dice_ce(peer: Callable[[str], ModuleType], options: dict[str, Any]) -> None:
    logits, target = problem()
    theirs = peer("monai.losses").DiceCELoss(
        to_onehot_y=True, softmax=True, lambda_ce=2.0, label_smoothing=0.1, **options
    )
    mine = loss.dice_cross_entropy(
        preset="monai",
        cross_entropy_weight=2.0,
        dice=from_monai(options),
        cross_entropy={"label_smoothing": 0.1},
    )
    assert len(mine.groups) == 1  # one sweep
    agree(mine, logits, target, lambda x: theirs(x, torch.tensor(target)[:, None]))


def test_monai_soft_labels(peer: Callable[[str], ModuleType]) -> None:
    logits, target = problem()
    soft = 0.8 * one_hot(target) + 0.05
    theirs = peer("monai.losses").DiceLoss(softmax=True, soft_label=True)
    agree(loss.DiceMetric(preset="monai"), logits, soft, lambda x: theirs(x, torch.tensor(soft)))
    theirs_jaccard = peer("monai.losses").DiceLoss(softmax=True, soft_label=True, jaccard=True)
    agree(
        loss.JaccardMetric(preset="monai"),
        logits,
        soft,
        lambda x: theirs_jaccard(x, torch.tensor(soft)),
    )


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_monai_deep_supervision(peer: Callable[[str], ModuleType], levels: int) -> None:
    losses, rng = peer("monai.losses"), np.random.default_rng(1)
    target = rng.integers(0, 4, (2, 16, 12))
    logits = [rng.normal(size=(2, 4, 16 >> level, 12 >> level)) for level in range(levels)]
    theirs = losses.DeepSupervisionLoss(losses.DiceLoss(to_onehot_y=True, softmax=True))
    expected = theirs([torch.tensor(x) for x in logits], torch.tensor(target)[:, None].double())
    mine = loss.deep_supervision(loss.Dice(preset="monai"), weights="halving")
    assert mine(logits, target) == pytest.approx(expected.item(), rel=1e-6)


# --- segmentation_models_pytorch


SMP_OVERLAP = [
    {},
    {"smooth": 1.0},
    {"ignore_index": 255},
    {"classes": [2, 0]},
    {"class_weights": WEIGHTS},
    {"class_weights": WEIGHTS, "classes": [1, 2]},
]


@pytest.mark.parametrize("kind", ["Dice", "Jaccard", "Tversky", "LogDice", "FocalTversky"])
@pytest.mark.parametrize("options", SMP_OVERLAP, ids=str)
def test_smp_overlap(smp: ModuleType, kind: str, options: dict[str, Any]) -> None:
    logits, target = problem(ignored=options.get("ignore_index"))
    target[target == 3] = 1  # a class that the batch lacks
    own: dict[str, Any] = {}
    name = {"LogDice": "Dice", "FocalTversky": "Tversky"}.get(kind, kind)
    if kind == "LogDice":
        own["log_loss"] = True
    if name == "Tversky":
        own.update(alpha=0.3, beta=0.8)
    mine = {k: v for k, v in own.items() if k != "log_loss"}
    if kind == "FocalTversky":
        own["gamma"] = mine["gamma"] = 1.7
    theirs = getattr(smp, f"{name}Loss")(mode="multiclass", **own, **options)
    names = {"class_weights": "class_weight"}
    mine.update({names.get(k, k): v for k, v in options.items() if k != "smooth"})
    if "smooth" in options:
        twice = 2.0 if name == "Dice" else 1.0
        mine["smooth_nr"] = mine["smooth_dr"] = twice * options["smooth"]
    agree(
        getattr(loss, kind)(preset="smp", **mine),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)),
        rtol=1e-7,  # class weights are float32 there
    )


@pytest.mark.parametrize(
    "options", [{}, {"alpha": 0.3}, {"gamma": 3.0}, {"ignore_index": 255}], ids=str
)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_smp_focal(smp: ModuleType, options: dict[str, Any], weights: Any) -> None:
    logits, target = problem(ignored=options.get("ignore_index"))
    theirs = smp.FocalLoss(mode="multiclass", class_weights=weights, **options)
    agree(
        loss.Focal(preset="smp", class_weight=weights, **options),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)),
        rtol=1e-6,
    )


def test_smp_reduced_focal(smp: ModuleType) -> None:
    logits, target = problem()
    theirs = smp.FocalLoss(mode="multiclass", reduced_threshold=0.4)
    agree(
        loss.Focal(preset="smp", threshold=0.4),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)),
    )


def test_smp_soft_cross_entropy(smp: ModuleType) -> None:
    logits, target = problem(ignored=-100)
    theirs = smp.SoftCrossEntropyLoss(smooth_factor=0.1)
    agree(
        loss.CrossEntropy(preset="smp", label_smoothing=0.1, ignore_index=-100),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)),
    )


def test_smp_soft_binary_cross_entropy(smp: ModuleType) -> None:
    logits, target = binary_problem()
    theirs = smp.SoftBCEWithLogitsLoss(smooth_factor=0.1)
    agree(  # its factor moves a label by so much, ours is the share of the uniform label
        loss.CrossEntropy(preset="smp", activation="sigmoid", label_smoothing=0.2),
        logits,
        target,
        lambda x: theirs(x, torch.tensor(target)[:, None].double()),
    )


def test_smp_mcc(smp: ModuleType) -> None:
    logits, target = binary_problem()
    probabilities = 1 / (1 + np.exp(-logits))
    agree(
        loss.MatthewsCorrcoef(preset="smp"),
        probabilities,
        target,
        lambda x: smp.MCCLoss()(x, torch.tensor(target)),
    )


# --- kornia


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("ignored", [None, -100])
def test_kornia_dice(
    peer: Callable[[str], ModuleType], average: Any, weights: Any, ignored: int | None
) -> None:
    logits, target = problem(ignored=ignored)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    agree(
        loss.Dice(preset="kornia", average=average, class_weight=weights, ignore_index=ignored),
        logits,
        target,
        lambda x: peer("kornia.losses").dice_loss(x, torch.tensor(target), average, weight=weight),
    )


def test_kornia_tversky(peer: Callable[[str], ModuleType]) -> None:
    logits, target = problem(ignored=-100)
    agree(
        loss.Tversky(preset="kornia", alpha=0.3, beta=0.6, ignore_index=-100),
        logits,
        target,
        lambda x: peer("kornia.losses").tversky_loss(x, torch.tensor(target), 0.3, 0.6),
    )


@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [2.0, 0.5])
def test_kornia_focal(
    peer: Callable[[str], ModuleType], alpha: float | None, weights: Any, gamma: float
) -> None:
    logits, target = problem(ignored=-100)
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    agree(
        loss.Focal(
            preset="kornia", alpha=alpha, gamma=gamma, class_weight=weights, ignore_index=-100
        ),
        logits,
        target,
        lambda x: peer("kornia.losses").focal_loss(
            x, torch.tensor(target), alpha, gamma, "mean", weight
        ),
    )


def test_kornia_binary_focal(peer: Callable[[str], ModuleType]) -> None:
    logits, target = problem()
    dense = torch.tensor(one_hot(target))
    agree(
        loss.Focal(preset="kornia", activation="sigmoid", alpha=0.25),
        logits,
        one_hot(target),
        lambda x: peer("kornia.losses").binary_focal_loss_with_logits(x, dense, reduction="mean"),
    )


# --- Keras, with torch below


@pytest.fixture(scope="module")
def keras(peer: Callable[[str], ModuleType]) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        module = peer("keras")
    if module.backend.backend() != "torch":
        pytest.skip("Keras was imported with another backend")
    return module


def last(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def test_keras_dice_and_tversky(keras: ModuleType) -> None:
    logits, target = problem()
    probabilities = last(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    dense = last(one_hot(target))
    agree(
        loss.Dice(preset="keras"),
        probabilities,
        dense,
        lambda x: keras.losses.dice(torch.tensor(dense), x),
    )
    agree(
        loss.Tversky(preset="keras", alpha=0.9, beta=0.1, strict=True),
        probabilities,
        dense,
        lambda x: keras.losses.tversky(torch.tensor(dense), x, alpha=0.9, beta=0.1),
    )
    assert loss.tversky(
        probabilities, dense, preset="keras", alpha=0.9, beta=0.1
    ) == pytest.approx(
        keras.losses.tversky(torch.tensor(dense), torch.tensor(probabilities), alpha=0.1, beta=0.9)
        .item()
    )  # fmt: skip


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_keras_cross_entropies(keras: ModuleType, smoothing: float) -> None:
    logits, target = problem()
    dense = last(one_hot(target))
    categorical = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing, dtype="float64"
    )
    binary = keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=smoothing, dtype="float64"
    )
    for activation, theirs in (("softmax", categorical), ("sigmoid", binary)):
        agree(
            loss.CrossEntropy(preset="keras", activation=activation, label_smoothing=smoothing),
            last(logits),
            dense,
            lambda x, theirs=theirs: theirs(torch.tensor(dense), x),
            rtol=1e-6,  # Keras computes in float32
        )


def test_keras_sparse_cross_entropy_leaves_out_a_class(keras: ModuleType) -> None:
    logits, target = problem(ignored=255)
    theirs = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=255, dtype="float64"
    )
    agree(
        loss.CrossEntropy(preset="keras", ignore_index=255),
        last(logits),
        target,
        lambda x: theirs(torch.tensor(target), x),
        rtol=1e-6,
    )


def test_keras_focal(keras: ModuleType) -> None:
    logits, target = problem()
    dense = last(one_hot(target))
    categorical = keras.losses.CategoricalFocalCrossentropy(
        from_logits=True, gamma=1.5, alpha=WEIGHTS, dtype="float64"
    )
    agree(
        loss.Focal(preset="keras", gamma=1.5, alpha=WEIGHTS),
        last(logits),
        dense,
        lambda x: categorical(torch.tensor(dense), x),
        rtol=1e-6,
    )
    binary = keras.losses.BinaryFocalCrossentropy(
        from_logits=True, apply_class_balancing=True, alpha=0.25, dtype="float64"
    )
    agree(
        loss.Focal(preset="keras", activation="sigmoid", alpha=0.25),
        last(logits),
        dense,
        lambda x: binary(torch.tensor(dense), x),
        rtol=1e-6,
    )


def test_keras_generalised_cross_entropy(keras: ModuleType) -> None:
    logits, target = problem()
    probabilities = last(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    theirs = keras.losses.categorical_generalized_cross_entropy
    agree(
        loss.GeneralisedCrossEntropy(preset="keras", q=0.6),
        probabilities,
        target,
        lambda x: theirs(torch.tensor(target), x, 0.6).mean(),
        rtol=1e-6,
    )


# --- nnU-Net and mmsegmentation: their formulas


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("ignored", [None, 4])
def test_nnunet_dice_and_cross_entropy(batch: bool, ignored: int | None) -> None:
    """MemoryEfficientSoftDiceLoss and RobustCrossEntropyLoss of nnU-Net v2."""
    logits, target = problem(ignored=ignored)
    labels = torch.tensor(target)
    valid = (labels != ignored).double()[:, None] if ignored is not None else 1.0
    dense = torch.tensor(one_hot(np.where(target == ignored, 0, target)))

    def theirs(x: Any) -> Any:
        p = x.softmax(1)[:, 1:] * valid
        y = dense[:, 1:] * valid
        both, sizes = (p * y).sum((2, 3)), p.sum((2, 3)) + y.sum((2, 3))
        if batch:
            both, sizes = both.sum(0), sizes.sum(0)
        dice = (2 * both + 1e-5) / torch.clip(sizes + 1e-5, 1e-8)
        return (
            F.cross_entropy(x, labels, ignore_index=-100 if ignored is None else ignored)
            - dice.mean()
        )

    mine = loss.dice_cross_entropy(
        preset="nnunet",
        ignore_index=ignored,
        dice={"region": "batch" if batch else "per_sample"},
    )
    agree(mine, logits, target, theirs)


def test_nnunet_deep_supervision_weights() -> None:
    mine = loss.deep_supervision(loss.CrossEntropy())
    assert mine.level_weights(4) == pytest.approx([4 / 7, 2 / 7, 1 / 7, 0])
    assert mine.level_weights(1) == (1.0,)


def test_mmseg_dice() -> None:
    """DiceLoss of mmsegmentation 1.2 with its defaults: sigmoid, squares, all classes at once."""
    logits, target = problem()
    dense = torch.tensor(one_hot(target)).flatten(1)

    def theirs(x: Any) -> Any:
        p = x.sigmoid().flatten(1)
        both = (p * dense).sum(1)
        return (1 - 2 * both / ((p * p).sum(1) + 1e-3 + (dense * dense).sum(1) + 1e-3)).mean()

    agree(loss.Dice(preset="mmseg"), logits, target, theirs)


def test_mmseg_tversky() -> None:
    logits, target = problem()
    dense = torch.tensor(one_hot(target))

    def theirs(x: Any) -> Any:
        p = x.softmax(1)
        tp = (p * dense).sum((2, 3))
        fp, fn = (p * (1 - dense)).sum((2, 3)), ((1 - p) * dense).sum((2, 3))
        return (1 - (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)).mean()

    agree(loss.Tversky(preset="mmseg"), logits, target, theirs)


def test_mmseg_cross_entropy_divides_by_all_pixels() -> None:
    logits, target = problem(ignored=255)
    weight = torch.tensor(WEIGHTS, dtype=torch.float64)

    def theirs(x: Any) -> Any:
        labels = torch.tensor(target)
        return F.cross_entropy(x, labels, weight, ignore_index=255, reduction="none").mean()

    agree(
        loss.CrossEntropy(preset="mmseg", ignore_index=255, class_weight=WEIGHTS),
        logits,
        target,
        theirs,
    )


def test_mmseg_focal() -> None:
    logits, target = problem(ignored=255)
    counted = torch.tensor(target != 255)[:, None].double()
    dense = torch.tensor(one_hot(np.where(target == 255, 0, target)))

    def theirs(x: Any) -> Any:
        p = x.sigmoid()
        wrong = (1 - p) * dense + p * (1 - dense)
        factor = (0.5 * dense + 0.5 * (1 - dense)) * wrong**2
        costs = F.binary_cross_entropy_with_logits(x, dense, reduction="none") * factor
        return (costs * counted).mean()

    agree(loss.Focal(preset="mmseg", ignore_index=255), logits, target, theirs)


# --- what a preset is


def test_preset_gives_way_to_what_is_given() -> None:
    made = loss.Dice(preset="smp", smooth_nr=3.0)
    assert (made.region, made.smooth_nr, made.smooth_dr) == ("batch", 3.0, 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: loss.Dice(preset="caffe"), "preset must be one of torch, monai"),
        (lambda: loss.Dice(preset="torch"), "'torch' has no Dice; those that have one: monai"),
        (lambda: loss.Poly(preset="monai"), "no tool has one"),
        (lambda: loss.Dice(strict=True), "name it with preset="),
    ],
)
def test_wrong_presets(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
