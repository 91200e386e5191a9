"""Losses against their definitions, written here anew in float64 from the papers.

Nothing of the package's own twins is used: gradients are PyTorch's derivatives of the formulas.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segmeter.loss as sl
from segmeter import _core

if TYPE_CHECKING:
    from collections.abc import Callable

torch = pytest.importorskip("torch")

PIXEL = ("cross_entropy", "focal", "poly", "generalised_cross_entropy")
REGION = (
    "dice",
    "jaccard",
    "tversky",
    "focal_tversky",
    "generalised_dice",
    "log_dice",
    "matthews_corrcoef",
    "sensitivity_specificity",
)


def probabilities(logits: Any, activation: str) -> tuple[Any, Any, Any]:
    """Give p, log p and log(1 - p), each of shape (N, C, P)."""
    x = logits.flatten(2)
    if activation == "softmax":
        log_p = torch.log_softmax(x, 1)
        return log_p.exp(), log_p, torch.log1p(-log_p.exp())
    if activation == "sigmoid":
        return (
            torch.sigmoid(x),
            torch.nn.functional.logsigmoid(x),
            torch.nn.functional.logsigmoid(-x),
        )
    return x, torch.log(x), torch.log1p(-x)


def shares(
    target: np.ndarray, classes: int, ignore: tuple[int, ...], dense: bool
) -> tuple[Any, Any]:
    """Give y of shape (N, C, P) and which pixels count."""
    if dense:
        y = torch.from_numpy(np.ascontiguousarray(target, np.float64)).flatten(2)
        return y, torch.ones(y.shape[0], y.shape[2], dtype=torch.float64)
    labels = np.asarray(target, np.int64).reshape(target.shape[0], -1)
    valid = ~np.isin(labels, ignore)
    wanted = [1] if classes == 1 else range(classes)
    y = np.stack([(labels == k) & valid for k in wanted], 1).astype(np.float64)
    return torch.from_numpy(y), torch.from_numpy(valid.astype(np.float64))


class Case:
    """Inputs of a loss, and what the definitions read of them."""

    def __init__(
        self,
        logits: np.ndarray,
        target: np.ndarray,
        *,
        activation: str = "softmax",
        ignore: tuple[int, ...] = (),
        mask: np.ndarray | None = None,
        pixel_weight: np.ndarray | None = None,
        dense: bool = False,
    ) -> None:
        self.x = torch.tensor(np.asarray(logits, np.float64), requires_grad=True)
        self.activation = activation
        count = logits.shape[1]
        self.y, self.valid = shares(target, count, ignore, dense)
        if mask is not None:
            self.valid = self.valid * torch.from_numpy(~mask.reshape(len(mask), -1))
        self.w = self.valid
        if pixel_weight is not None:
            self.w = self.w * torch.from_numpy(pixel_weight.reshape(len(pixel_weight), -1))
        # Pixels that do not count leave before any sum: zeros stand for them.
        shape = self.x.shape
        keep = self.valid.bool().reshape(shape[0], 1, *shape[2:])
        neutral = 0.5 if activation == "none" else 0.0
        x = torch.where(keep, self.x, torch.full_like(self.x, neutral))
        self.p, self.log_p, self.log_q = probabilities(x, activation)
        self.y = self.y * self.valid[:, None]

    def gradient(self, value: Any) -> np.ndarray:
        (found,) = torch.autograd.grad(value, self.x)
        return np.asarray(found)


# --- Pixel losses ---------------------------------------------------------------------------


def pixel_cost(name: str, log_p: Any, p: Any, q: Any, options: dict[str, Any]) -> Any:
    """f(p_t) of one loss, from log p_t, p_t and 1 - p_t."""
    if name == "cross_entropy":
        exponent = options.get("exponent", 1.0)
        return -log_p if exponent == 1.0 else (-log_p) ** exponent
    if name == "focal":
        gamma, limit = options.get("gamma", 2.0), options.get("threshold")
        if limit is None:
            return q**gamma * -log_p
        return torch.where(p < limit, 1.0, (q / limit) ** gamma) * -log_p
    if name == "poly":
        gamma, epsilon = options.get("gamma", 0.0), options.get("epsilon", 1.0)
        return q**gamma * -log_p + epsilon * q ** (gamma + 1)
    power = options.get("q", 0.7)
    return (1 - p**power) / power


def pixel_loss(case: Case, name: str, **options: Any) -> Any:
    count = case.p.shape[1]
    classes = options.get("classes") or range(
        0 if options.get("include_background", True) else 1, count
    )
    u = torch.ones(count, dtype=torch.float64)
    if options.get("class_weight") is not None:
        u = u * torch.tensor(options["class_weight"], dtype=torch.float64)
    chosen = torch.tensor([float(k in tuple(classes)) for k in range(count)], dtype=torch.float64)
    u = (u * chosen)[None, :, None]
    s = options.get("label_smoothing", 0.0)
    single = case.activation == "softmax" or (case.activation == "none" and count > 1)
    smooth = (1 - s) * case.y + s * case.valid[:, None] / (count if single else 2)
    w = case.w[:, None]
    positive = pixel_cost(name, case.log_p, case.p, 1 - case.p, options)
    alpha = options.get("alpha")
    a, b = 1.0, 1.0
    if alpha is not None:
        if np.ndim(alpha):
            a = torch.tensor(alpha, dtype=torch.float64)[None, :, None]
        elif single:
            a = torch.full((1, count, 1), alpha, dtype=torch.float64)
            a[0, 0] = 1 - alpha
        else:
            a, b = alpha, 1 - alpha
    if options.get("positive_weight") is not None:
        a = torch.tensor(options["positive_weight"], dtype=torch.float64).reshape(1, -1, 1)
    cost = a * smooth * positive
    if not single:
        negative = pixel_cost(name, case.log_q, 1 - case.p, case.p, options)
        cost = cost + b * (case.valid[:, None] - smooth) * negative
    cost = cost * u * w
    reduction = options.get("reduction", "mean")
    if reduction == "none":
        return cost.sum(1) if single else cost[:, list(classes)]
    total = cost.sum()
    if reduction == "sum":
        return total
    kind = options.get("normaliser", "valid")
    if options.get("normalised"):
        gamma = options.get("gamma", 2.0)
        weight = smooth * (1 - case.p) ** gamma
        if not single:
            weight = weight + (case.valid[:, None] - smooth) * case.p**gamma
        return total / (weight * w * chosen[None, :, None]).sum()
    if kind == "weights":
        norm = (case.y * u * w).sum() if single else (u * w).sum()
        if single:
            return total / norm
        return total / ((u * w).expand_as(cost).sum())
    counted = case.valid.sum() if kind == "valid" else float(case.valid.numel())
    return total / (counted if single else counted * chosen.sum())


# --- Region losses --------------------------------------------------------------------------


def region_sums(case: Case, region: str) -> dict[str, Any]:
    w = case.w[:, None]
    sums = {
        "i": (w * case.p * case.y).sum(2),
        "p": (w * case.p).sum(2),
        "y": (w * case.y).sum(2),
        "pp": (w * case.p**2).sum(2),
        "yy": (w * case.y**2).sum(2),
        "n": (w * torch.ones_like(case.p)).sum(2),
        "ipp": (w * case.p**2 * case.y).sum(2),
        "low": (w * torch.minimum(case.p, case.y)).sum(2),
        "inside": (w * case.y * (1 - case.p) ** 2).sum(2),
        "outside": (w * (1 - case.y) * case.p**2 * case.valid[:, None]).sum(2),
        "inside1": (w * case.y * (1 - case.p)).sum(2),
        "outside1": (w * (1 - case.y) * case.p * case.valid[:, None]).sum(2),
    }
    if region == "batch":
        sums = {name: value.sum(0, keepdim=True) for name, value in sums.items()}
    return sums


def region_score(name: str, s: dict[str, Any], o: dict[str, Any]) -> Any:
    """The loss of every region and class."""
    nr, dr, eps = o.get("smooth_nr", 1e-5), o.get("smooth_dr", 1e-5), o.get("eps", 0.0)
    inter = s["low"] if o.get("soft_label") else s["i"]
    size_p, size_y = (s["pp"], s["yy"]) if o.get("squared") else (s["p"], s["y"])
    if name in ("dice", "log_dice"):
        dice = (2 * inter + nr) / torch.clamp(size_p + size_y + dr, min=eps)
        if name == "log_dice":
            return (-torch.log(dice.clamp(min=o.get("floor", 1e-7)))) ** o.get("gamma", 1.0)
        return 1 - dice if o.get("complement", True) else -dice
    if name == "jaccard":
        return 1 - (inter + nr) / torch.clamp(size_p + size_y - inter + dr, min=eps)
    if name in ("tversky", "focal_tversky"):
        a, b = o.get("alpha", 0.5), o.get("beta", 0.5)
        below = inter + a * (s["p"] - inter) + b * (s["y"] - inter) + dr
        loss = 1 - (inter + nr) / torch.clamp(below, min=eps)
        return loss if name == "tversky" else loss ** o.get("gamma", 0.75)
    if name == "matthews_corrcoef":
        extra = o.get("pseudo_count", 0.0)
        tp = s["i"] + extra
        fp, fn = s["p"] - s["i"] + extra, s["y"] - s["i"] + extra
        tn = s["n"] - s["p"] - s["y"] + s["i"] + extra
        below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn) + o.get("smooth_dr", 1e-5)
        return 1 - (tp * tn - fp * fn + o.get("smooth_nr", 0.0)) / below**0.5
    assert name == "sensitivity_specificity"
    r, smooth = o.get("sensitivity_weight", 0.05), o.get("smooth", 1e-5)
    squared = o.get("squared", True)
    inside, outside = ("inside", "outside") if squared else ("inside1", "outside1")
    return r * s[inside] / (s["y"] + smooth) + (1 - r) * s[outside] / (s["n"] - s["y"] + smooth)


def region_loss(case: Case, name: str, **o: Any) -> Any:
    sums = region_sums(case, o.get("region", "per_sample"))
    count = case.p.shape[1]
    classes = o.get("classes") or list(range(0 if o.get("include_background", True) else 1, count))
    sums = {key: value[:, list(classes)] for key, value in sums.items()}
    u = torch.ones(len(classes), dtype=torch.float64)
    if o.get("class_weight") is not None:
        u = torch.tensor(o["class_weight"], dtype=torch.float64)[list(classes)]
    if name == "generalised_dice":
        size = sums["y"].detach()
        power = {"square": 2, "simple": 1, "uniform": 0}[o.get("class_size", "square")]
        v = torch.where(size > 0, size, 1.0) ** -power
        largest = torch.where(size > 0, v, 0.0).max(1, keepdim=True).values
        v = torch.where(size > 0, v, largest) * u
        nr, dr = o.get("smooth_nr", 1e-5), o.get("smooth_dr", 1e-5)
        above = 2 * (v * sums["i"]).sum(1) + nr
        return (1 - above / ((v * (sums["p"] + sums["y"])).sum(1) + dr)).mean()
    average = o.get("average", "macro")
    if average == "micro":
        return region_score(name, {k: v.sum(1, keepdim=True) for k, v in sums.items()}, o).mean()
    losses = region_score(name, sums, o)
    present = (sums["y"] > 0).double()
    absent = o.get("absent", "score")
    weights = u.expand_as(losses)
    if average == "weighted":
        weights = weights * sums["y"].detach()
    if absent == "skip":
        weights = weights * present
    elif absent == "zero":
        losses = losses * present
    if o.get("reduction") == "none":
        return torch.where((present > 0) | torch.tensor(absent != "skip"), losses * u, math.nan)
    regions = sums["n"][:, 0] > 0
    losses, weights = losses[regions], weights[regions]
    if o.get("reduction") == "sum":
        return (losses * weights).sum()
    heavy = weights.sum(1) > 0  # a region none of whose classes weighs is nobody's loss
    rows = (losses * weights)[heavy].sum(1) / weights[heavy].sum(1)
    return rows.mean() if len(rows) else losses.sum() * 0


# --- Inputs ---------------------------------------------------------------------------------


def problem(
    seed: int, classes: int = 4, n: int = 2, shape: tuple[int, ...] = (9, 23), scale: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(n, classes, *shape)) * scale).astype(np.float32)
    return logits, rng.integers(0, max(classes, 2), size=(n, *shape)).astype(np.uint8)


def one_hot(target: np.ndarray, classes: int) -> np.ndarray:
    return np.moveaxis(np.eye(classes)[target], -1, 1)


def call(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(sl, name)
    return found


def random_case(seed: int, names: tuple[str, ...]) -> tuple[str, Case, Any, tuple[Any, ...]]:
    """Draw a loss, inputs and options; give the definition's case, and what to call."""
    rng = np.random.default_rng(seed)

    def pick(*of: Any) -> Any:
        return of[rng.integers(len(of))]

    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    name = names[seed % len(names)]
    activation = pick("softmax", "softmax", "sigmoid", "none")
    count = int(pick(2, 3, 5) if activation == "softmax" else pick(1, 2, 4))
    n, shape = int(pick(1, 2, 3)), pick((37,), (5, 9), (3, 4, 5), (150,))
    logits, target = problem(seed, count, n, shape, scale=pick(0.5, 2.0))
    if activation == "none":
        logits = (1 / (1 + np.exp(-logits))).astype(np.float32)
    inputs: dict[str, Any] = {"activation": activation}
    read: dict[str, Any] = {"activation": activation}
    given = target
    form = pick("index", "index", "one-hot", "soft")
    if form == "index" and chance(0.5):
        given = np.where(rng.random(target.shape) < 0.3, 255, target.astype(np.int32))
        read["ignore"], inputs["ignore_index"] = (255,), 255
        if chance(0.5):
            given = np.where(rng.random(target.shape) < 0.2, -9, given)
            read["ignore"], inputs["ignore_index"] = (255, -9), [-9, 255]
    elif form == "one-hot":
        given = one_hot(target, count) if count > 1 else target[:, None].astype(np.float64)
    elif form == "soft":
        given = rng.dirichlet(np.ones(max(count, 2)), size=target.shape)
        given = np.moveaxis(given, -1, 1)[:, :count]
    if chance(0.3):
        inputs["mask"] = read["mask"] = rng.random(target.shape) < 0.3
    if chance(0.3):
        inputs["pixel_weight"] = read["pixel_weight"] = rng.random(target.shape) * 3
    o: dict[str, Any] = {}
    if chance(0.3):
        o["class_weight"] = (rng.random(count) * 3).round(2).tolist()
    if count > 1 and chance(0.3):
        o |= pick({"classes": [count - 1]}, {"include_background": False})
    case = Case(logits, given, dense=given.ndim == logits.ndim, **read)
    if name in PIXEL:
        o["normaliser"] = pick("valid", "all", "weights")
        o["reduction"] = pick("mean", "mean", "sum", "none")
        if name == "cross_entropy" and chance(0.4):
            o["label_smoothing"] = 0.2
        if name == "cross_entropy" and activation == "sigmoid" and chance(0.4):
            o["positive_weight"] = (rng.random(count) * 3).tolist()
        if name == "focal":
            o["gamma"] = float(pick(0.5, 1, 2, 3.5))
            if chance(0.3):
                o["alpha"] = pick(0.25, rng.random(count).tolist())
            if chance(0.3):
                o |= pick({"threshold": 0.5}, {"normalised": True, "reduction": "mean"})
        if name == "poly":
            o |= {"epsilon": float(pick(1, -1, 2)), "gamma": float(pick(0, 2, 0.5))}
        if name == "generalised_cross_entropy":
            o["q"] = float(pick(0.7, 1, 0.1))
        return name, case, pixel_loss(case, name, **o), (logits, given, inputs | o)
    o["region"] = pick("per_sample", "batch")
    if name != "generalised_dice":
        o["average"] = pick("macro", "macro", "micro", "weighted")
        o["absent"] = pick("score", "skip", "zero")
        o["reduction"] = pick("mean", "mean", "none")
        if o["average"] == "micro":
            o = {k: v for k, v in o.items() if k not in ("class_weight", "absent", "reduction")}
    else:
        o["class_size"] = pick("square", "simple", "uniform")
    if name in ("dice", "jaccard", "log_dice", "tversky") and chance(0.5):
        o |= pick({"squared": name != "tversky"}, {"soft_label": True})
        if name == "tversky":
            o.pop("squared", None)
    if name in ("tversky", "focal_tversky"):
        o |= {"alpha": float(rng.random()), "beta": float(rng.random())}
    if name in ("focal_tversky", "log_dice"):
        o["gamma"] = float(pick(0.75, 1, 2))
    if name == "sensitivity_specificity":
        o |= {"squared": chance(0.5), "sensitivity_weight": float(rng.random())}
    elif name != "focal_tversky" and chance(0.4):
        o |= {"smooth_nr": float(pick(0, 1)), "smooth_dr": float(pick(1, 1e-3))}
    if name in ("dice", "jaccard", "tversky") and chance(0.3):
        o["eps"] = float(pick(1e-3, 30.0))
    if name == "matthews_corrcoef" and chance(0.4):
        o["pseudo_count"] = 1.0
    return name, case, region_loss(case, name, **o), (logits, given, inputs | o)


def agree(
    found: Any, gradient: np.ndarray, expected: Any, case: Case, tolerance: float = 5e-6
) -> None:
    assert found == pytest.approx(float(expected.detach()), rel=1e-6, abs=1e-8)
    wanted = case.gradient(expected)
    far = np.abs(gradient.astype(np.float64) - wanted).max()
    assert far <= tolerance * np.abs(wanted).max() + 1e-12


# --- Every loss, drawn at random -------------------------------------------------------------


@pytest.mark.parametrize("names", [PIXEL, REGION], ids=["pixel", "region"])
@pytest.mark.parametrize("block", range(5))
def test_losses_are_their_definitions(names: tuple[str, ...], block: int) -> None:
    for seed in range(48 * block, 48 * block + 48):
        name, case, expected, (logits, target, options) = random_case(seed, names)
        if options.get("reduction") == "none":
            found = call(name)(logits, target, **options)
            wanted = expected.detach().numpy().reshape(found.shape)
            np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-7, err_msg=str(seed))
            continue
        value, gradient = call(name)(logits, target, return_grad=True, **options)
        assert gradient.dtype == np.float32, seed
        agree(value, gradient, expected, case)
        # the sweep without a gradient may round in another order, and in no other way
        assert value == pytest.approx(call(name)(logits, target, **options), rel=1e-7, abs=1e-10)


@pytest.mark.parametrize("name", [*PIXEL, *REGION])
def test_layouts_and_number_types(name: str) -> None:
    """The same numbers for channels last, strides, bytes swapped, read-only and half types."""
    logits, target = problem(5, 3, 2, (7, 21))
    value, gradient = call(name)(logits, target, return_grad=True)
    last = np.moveaxis(logits, 1, -1)
    v, g = call(name)(np.ascontiguousarray(last), target, channels_last=True, return_grad=True)
    assert v == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(np.moveaxis(g, -1, 1), gradient, rtol=2e-6, atol=1e-9)
    frozen = logits.copy()
    frozen.flags.writeable = False
    labels = target.astype(">i4")
    labels.flags.writeable = False
    wide = np.zeros((2, 3, 14, 42), np.float32)
    wide[:, :, ::2, ::2] = logits
    before = wide.copy()
    for x in (frozen, logits.astype(">f4"), wide[:, :, ::2, ::2], last.transpose(0, 3, 1, 2)):
        v, g = call(name)(x, labels, return_grad=True)
        assert v == pytest.approx(value, rel=1e-7)
        np.testing.assert_allclose(g, gradient, rtol=2e-6, atol=1e-9)
    assert np.array_equal(wide, before)
    out = np.full_like(logits, 7)
    v, g = call(name)(logits, target, out=out)
    assert g is out
    np.testing.assert_array_equal(out, gradient)
    v, g = call(name)(logits.astype(np.float64), target, return_grad=True)
    assert g.dtype == np.float64
    assert v == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(g, gradient, rtol=1e-5, atol=1e-8)
    half = logits.astype(np.float16)
    v, g = call(name)(half, target, return_grad=True)
    exact, wanted = call(name)(half.astype(np.float32), target, return_grad=True)
    assert g.dtype == np.float16
    assert v == pytest.approx(exact, rel=1e-7)
    np.testing.assert_array_equal(g, wanted.astype(np.float16))
    brain = (logits.view(np.uint32) >> 16).astype(np.uint16)
    widened = (brain.astype(np.uint32) << 16).view(np.float32)
    v, g = call(name)(brain, target, return_grad=True)
    exact, wanted = call(name)(widened, target, return_grad=True)
    assert g.dtype == np.uint16
    assert v == pytest.approx(exact, rel=1e-7)
    rounded = torch.from_numpy(wanted.copy()).bfloat16().float().numpy()
    np.testing.assert_array_equal((g.astype(np.uint32) << 16).view(np.float32), rounded)


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">u2", ">i8"]
)
def test_labels_of_any_integer_type(dtype: str) -> None:
    logits, target = problem(6, 2)
    for name in ("cross_entropy", "dice", "lovasz_softmax", "top_k"):
        wanted = call(name)(logits, target, return_grad=True)
        found = call(name)(logits, target.astype(dtype), return_grad=True)
        assert found[0] == wanted[0]
        np.testing.assert_array_equal(found[1], wanted[1])


# --- Cases worked by hand --------------------------------------------------------------------


def test_two_pixels_by_hand() -> None:
    p = np.array([[[0.75, 0.4], [0.25, 0.6]]])
    x, y = np.log(p), np.array([[0, 1]])
    ce, gradient = sl.cross_entropy(x, y, return_grad=True)
    assert ce == pytest.approx(-(math.log(0.75) + math.log(0.6)) / 2, rel=1e-6)
    np.testing.assert_allclose(gradient, [[[-0.125, 0.2], [0.125, -0.2]]], rtol=1e-6)
    exact = {"smooth_nr": 0.0, "smooth_dr": 0.0}
    dice = (1 - 1.5 / 2.15 + 1 - 1.2 / 1.85) / 2
    assert sl.dice(x, y, **exact) == pytest.approx(dice, rel=1e-6)
    jaccard = (1 - 0.75 / 1.4 + 1 - 0.6 / 1.25) / 2
    assert sl.jaccard(x, y, **exact) == pytest.approx(jaccard, rel=1e-6)
    # class 0: TP .75, FP .4, FN .25; class 1: TP .6, FP .25, FN .4
    tversky = (1 - 0.75 / (0.75 + 0.12 + 0.175) + 1 - 0.6 / (0.6 + 0.075 + 0.28)) / 2
    assert sl.tversky(x, y, alpha=0.3, beta=0.7, **exact) == pytest.approx(tversky, rel=1e-6)
    focal = (0.0625 * -math.log(0.75) + 0.16 * -math.log(0.6)) / 2
    assert sl.focal(x, y) == pytest.approx(focal, rel=1e-6)
    poly = ce + (0.25 + 0.4) / 2
    assert sl.poly(x, y) == pytest.approx(poly, rel=1e-6)
    assert sl.generalised_cross_entropy(x, y, q=1.0) == pytest.approx(0.325, rel=1e-6)
    # 2 sum_k v_k I_k / sum_k v_k (P_k + Y_k), with v = 1
    assert sl.generalised_dice(x, y, **exact) == pytest.approx(1 - 2.7 / 4, rel=1e-6)
    # TP .75 FP .4 FN .25 TN .6
    mcc = (0.75 * 0.6 - 0.4 * 0.25) / math.sqrt(1.15 * 1.0 * 1.0 * 0.85)
    found = sl.matthews_corrcoef(x, y, smooth_dr=0.0)
    assert found == pytest.approx(1 - mcc, rel=1e-6)
    log_dice = -(math.log(1.5 / 2.15) + math.log(1.2 / 1.85)) / 2
    assert sl.log_dice(x, y, **exact) == pytest.approx(log_dice, rel=1e-6)
    both = 0.05 * 0.0625 + 0.95 * 0.16 + 0.05 * 0.16 + 0.95 * 0.0625
    found = sl.sensitivity_specificity(x, y, smooth=0.0)
    assert found == pytest.approx(both / 2, rel=1e-6)


def test_identities_between_losses() -> None:
    logits, target = problem(7, 4)
    exact: dict[str, Any] = {"smooth_nr": 0.0, "smooth_dr": 0.0}

    def equal(a: tuple[float, np.ndarray], b: tuple[float, np.ndarray]) -> None:
        assert a[0] == pytest.approx(b[0], rel=1e-6)
        np.testing.assert_allclose(a[1], b[1], rtol=1e-4, atol=2e-6 * np.abs(b[1]).max())

    g: dict[str, Any] = {"return_grad": True}
    equal(
        sl.dice(logits, target, **exact, **g),
        sl.tversky(logits, target, **exact, **g),
    )
    equal(
        sl.jaccard(logits, target, **exact, **g),
        sl.tversky(logits, target, alpha=1.0, beta=1.0, **exact, **g),
    )
    equal(sl.focal(logits, target, gamma=0.0, **g), sl.cross_entropy(logits, target, **g))
    equal(sl.poly(logits, target, epsilon=0.0, **g), sl.cross_entropy(logits, target, **g))
    equal(sl.top_k(logits, target, fraction=1.0, **g), sl.cross_entropy(logits, target, **g))
    equal(sl.ohem(logits, target, threshold=1.0, **g), sl.cross_entropy(logits, target, **g))
    equal(
        sl.generalised_dice(logits, target, class_size="uniform", **exact, **g),
        sl.dice(logits, target, average="micro", **exact, **g),
    )
    # probabilities of a softmax, given as such
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for name in (*PIXEL, *REGION):
        given = call(name)(p, target, activation="none")
        assert given == pytest.approx(call(name)(logits, target), rel=1e-6)
    s = {"label_smoothing": 0.2}
    given = sl.cross_entropy(p, target, activation="none", **s)
    assert given == pytest.approx(sl.cross_entropy(logits, target, **s), rel=1e-6)


# --- Accuracy --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_gradients_of_every_entry(name: str, dense: bool, activation: str) -> None:
    """Every entry within a few rounding errors of float64, also where a pixel is certain."""
    logits, target = problem(8, 4, 1, (60, 60), scale=1.0)
    given = one_hot(target, 4) if dense else target
    for shift in (0.0, 9.0):
        x = (logits + shift * one_hot(target, 4)).astype(np.float32)
        case = Case(x, given, activation=activation, dense=dense)
        gradient = call(name)(x, given, activation=activation, return_grad=True)[1]
        sign = 2 * case.y - 1
        if activation == "softmax":
            # 1 - p_t without cancellation: the sum of the others
            p = case.p.detach()
            others = [p[:, [j for j in range(4) if j != k]].sum(1) for k in range(4)]
            q = (torch.stack(others, 1) * case.y).sum(1)
            by_log: Any = -1.0
            if name == "focal":
                by_log = 2 * q * (1 - q) * torch.log1p(-q) - q**2
                by_log = by_log[:, None]
            wanted = by_log * torch.where(case.y > 0, q[:, None], -p) / q.numel()
        else:
            z = sign * case.x.detach().flatten(2)
            q, p_t = torch.sigmoid(-z), torch.sigmoid(z)
            log_p = torch.nn.functional.logsigmoid(z)
            by_z = -q if name == "cross_entropy" else 2 * q**2 * p_t * log_p - q**3
            wanted = by_z * sign / q.numel()
        wanted = wanted.reshape(x.shape).numpy()
        np.testing.assert_allclose(gradient, wanted, rtol=3e-6)


# --- Lovász ----------------------------------------------------------------------------------


def jaccard_set(wrong: np.ndarray, truth: np.ndarray) -> float:
    """1 - Jaccard when exactly the pixels of ``wrong`` are mispredicted."""
    right = truth & ~wrong
    return 1 - right.sum() / max(1, (truth | wrong).sum())


def lovasz_extension(errors: np.ndarray, truth: np.ndarray) -> float:
    """Its convex extension: the integral over thresholds of the set function."""
    levels = np.unique(np.append(errors[errors > 0], 0.0))
    pairs = itertools.pairwise(levels)
    return float(sum((b - a) * jaccard_set(errors >= b, truth) for a, b in pairs))


def lovasz_case(seed: int, shape: tuple[int, ...] = (6, 11)) -> tuple[np.ndarray, np.ndarray]:
    logits, target = problem(seed, 3, 2, shape)
    target[0][target[0] == 2] = 0  # a class that one sample has not
    target[np.random.default_rng(seed).random(target.shape) < 0.2] = 255
    return logits, target


@pytest.mark.parametrize("region", ["batch", "per_sample"])
@pytest.mark.parametrize("which", ["present", "all", [1]])
@pytest.mark.parametrize("hinge", [False, True])
def test_lovasz_is_the_integral_of_the_jaccard_loss(region: str, which: Any, hinge: bool) -> None:
    logits, target = lovasz_case(9)
    x = logits.astype(np.float64)
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    rows = []
    for samples in [[0, 1]] if region == "batch" else [[0], [1]]:
        losses = []
        counted = target[samples] != 255
        for k in [1] if which == [1] else range(3):
            truth = (target[samples] == k)[counted]
            if which == "present" and not truth.any():
                continue
            if hinge:
                errors = 1 - x[samples][:, k][counted] * (2.0 * truth - 1)
                # hinge errors below 0 cost nothing
                errors = np.maximum(errors, 0)
            else:
                errors = np.abs(truth - p[samples][:, k][counted])
            losses.append(lovasz_extension(errors, truth))
        rows.append(np.mean(losses))
    wanted = np.mean(rows)
    name = "lovasz_hinge" if hinge else "lovasz_softmax"
    given = np.where(target == 255, 255, target) if not hinge else target
    dense: Any = given
    options: dict[str, Any] = {"region": region, "classes": which}
    if hinge:
        dense = one_hot(np.where(target == 255, 0, target), 3).astype(np.uint8)
        options["mask"] = target == 255
    else:
        options["ignore_index"] = 255
    exact, slope = call(name)(logits, dense, exact=True, return_grad=True, **options)
    assert exact == pytest.approx(wanted, rel=1e-6)
    if not hinge:
        quick, rough = call(name)(logits, dense, return_grad=True, **options)
        assert abs(quick - wanted) <= 2.0**-17
        assert np.linalg.norm(rough - slope) <= 2e-2 * np.linalg.norm(slope)
    # Central differences: the extension is piecewise linear in the errors.
    rng = np.random.default_rng(0)
    step = 1e-7
    direction = rng.normal(size=x.shape)
    ends = [
        call(name)(x + sign * step * direction, dense, exact=True, **options) for sign in (1, -1)
    ]
    slope64 = call(name)(x, dense, exact=True, return_grad=True, **options)[1]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((slope64 * direction).sum(), rel=1e-5)
    np.testing.assert_allclose(slope, slope64, rtol=1e-4, atol=1e-6 * np.abs(slope64).max())
    left_out = np.broadcast_to((target == 255)[:, None], slope.shape)
    assert not slope[left_out].any()


@pytest.mark.parametrize("exact", [True, False])
def test_lovasz_ties_share_their_slope(exact: bool) -> None:
    logits = np.zeros((1, 2, 6), np.float32)
    target = np.array([[0, 1, 1, 0, 1, 1]])
    value, gradient = sl.lovasz_softmax(logits, target, exact=exact, return_grad=True)
    assert value == pytest.approx(0.5, abs=2.0**-17)  # every error is 1/2
    for k in (0, 1):
        assert len(set(gradient[0, :, target[0] == k][:, 0].tolist())) == 1
    order = np.array([5, 3, 0, 1, 4, 2])
    v, g = sl.lovasz_softmax(logits, target[:, order], exact=exact, return_grad=True)
    assert v == value
    np.testing.assert_array_equal(g, gradient[:, :, order])
    # Mean of the extreme orders. Class 0, 2 of 6 pixels, foreground first: slopes 1/2 and 1/2,
    # others 0; background first: 1 - 2/3, 2/3 - ..., then the rest of the foreground.
    truth = target[0] == 0
    slopes = []
    for first in (truth, ~truth):
        rank = np.argsort(~first, kind="stable")
        wrong = np.zeros(6, bool)
        found = np.zeros(6)
        before = 0.0
        for i in rank:
            wrong[i] = True
            found[i] = jaccard_set(wrong, truth) - before
            before = jaccard_set(wrong, truth)
        slopes.append([found[truth].sum(), found[~truth].sum()])
    by_class = np.mean(slopes, 0)
    # errors of class 0 and 1 are equal, so both classes ask the same of p_0 - p_1
    other = []
    for first in (~truth, truth):
        rank = np.argsort(~first, kind="stable")
        wrong = np.zeros(6, bool)
        found, before = np.zeros(6), 0.0
        for i in rank:
            wrong[i] = True
            found[i] = jaccard_set(wrong, ~truth) - before
            before = jaccard_set(wrong, ~truth)
        other.append([found[truth].sum(), found[~truth].sum()])
    both = by_class + np.mean(other, 0)
    # d error / d logit of the true class = -1/4, and the mean is over two classes
    assert gradient[0, 0, truth].sum() == pytest.approx(-both[0] / 8, rel=1e-4)
    assert gradient[0, 1, ~truth].sum() == pytest.approx(-both[1] / 8, rel=1e-4)


def test_lovasz_levels_keep_their_bound_at_size() -> None:
    for seed, scale in itertools.product(range(3), (0.01, 1.0, 8.0)):
        logits, target = problem(seed, 4, 1, (120, 130), scale=scale)
        exact = sl.lovasz_softmax(logits, target, exact=True)
        assert abs(sl.lovasz_softmax(logits, target) - exact) <= 1e-6
        hinge = sl.lovasz_hinge(logits, one_hot(target, 4).astype(np.uint8), exact=True)
        quick = sl.lovasz_hinge(logits, one_hot(target, 4).astype(np.uint8))
        assert quick == pytest.approx(hinge, abs=1e-6 * max(1.0, float(np.abs(logits).max())))


# --- Hard pixels -----------------------------------------------------------------------------


@pytest.mark.parametrize("normaliser", ["valid", "all"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_top_k_and_ohem(normaliser: str, reduction: str, weighted: bool) -> None:
    logits, target = problem(10, 4)
    target[:, :2] = 255
    o: dict[str, Any] = {"normaliser": normaliser, "reduction": reduction}
    u = [0.5, 1.0, 2.0, 0.25] if weighted else None
    case = Case(logits, target, ignore=(255,))
    costs = pixel_loss(case, "cross_entropy", class_weight=u, reduction="none")
    keep = case.valid > 0
    every = target.size if normaliser == "all" else int(keep.sum())
    number = int(every * 0.3)
    worst = torch.sort(costs[keep], descending=True).values[:number]
    wanted = worst.mean() if reduction == "mean" else worst.sum()
    inputs: dict[str, Any] = {"class_weight": u, "ignore_index": 255, "return_grad": True}
    found, gradient = sl.top_k(logits, target, fraction=0.3, **inputs, **o)
    assert not gradient[:, :, :2].any()
    agree(found, gradient, wanted, case)
    inputs["class_weight"] = None
    for threshold, least in ((0.3, 0), (0.02, 50), (1e-9, 7)):
        case = Case(logits, target, ignore=(255,))
        costs = pixel_loss(case, "cross_entropy", reduction="none")
        p_t = (case.p * case.y).sum(1)
        hard = keep & (p_t < threshold)
        if int(hard.sum()) < least:
            hard = keep & (p_t <= torch.sort(p_t[keep]).values[least - 1])
        norm = int(hard.sum()) if reduction == "mean" and normaliser == "valid" else 1
        norm = target.size if reduction == "mean" and normaliser == "all" else norm
        found, gradient = sl.ohem(logits, target, threshold=threshold, least=least, **inputs, **o)
        agree(found, gradient, costs[hard].sum() / norm, case)
    with pytest.raises(ValueError, match="class_weight"):
        sl.ohem(logits, target, class_weight=[1.0, 2.0, 3.0, 4.0], ignore_index=255)


# --- Sums of losses --------------------------------------------------------------------------


def test_compound_is_the_weighted_sum() -> None:
    logits, target = problem(11, 4)
    target[0, :3] = 255
    weight = np.random.default_rng(0).random(target.shape)
    inputs: dict[str, Any] = {"ignore_index": 255}
    members = [
        (0.7, sl.Dice(region="batch", **inputs)),
        (1.3, sl.CrossEntropy(class_weight=[1, 2, 3, 4], label_smoothing=0.1, **inputs)),
        (0.5, sl.Focal(activation="sigmoid", **inputs)),
        (0.2, sl.LovaszSoftmax(**inputs)),
        (0.4, sl.TopK(fraction=0.2, **inputs)),
        (0.1, sl.Jaccard(classes=[1, 2], **inputs)),
    ]
    for chosen in (members[:2], members[:3], members):
        rest: dict[str, Any] = {} if len(chosen) == 6 else {"pixel_weight": weight}
        value, gradient = sl.compound(chosen)(logits, target, return_grad=True, **rest)
        parts = [(w, loss(logits, target, return_grad=True, **rest)) for w, loss in chosen]
        assert value == pytest.approx(sum(w * v for w, (v, _) in parts), rel=1e-6)
        wanted = sum(w * g.astype(np.float64) for w, (_, g) in parts)
        assert np.abs(gradient - wanted).max() <= 3e-6 * np.abs(wanted).max()
        out = np.empty_like(logits)
        again, same = sl.compound(chosen)(logits, target, out=out, **rest)
        assert same is out
        assert again == value
        np.testing.assert_array_equal(out, gradient)
    nested = sl.compound([(2.0, sl.compound(members[:2])), members[2]])
    found, slope = nested(logits, target, return_grad=True)
    parts = [(w, loss(logits, target, return_grad=True)) for w, loss in members[:3]]
    scale = (2.0, 2.0, 1.0)
    wanted = sum(s * w * g for s, (w, (_, g)) in zip(scale, parts, strict=True))
    assert found == pytest.approx(
        sum(s * w * v for s, (w, (v, _)) in zip(scale, parts, strict=True)), rel=1e-6
    )
    assert np.abs(slope - wanted).max() <= 5e-6 * np.abs(wanted).max()


def test_deep_supervision_is_the_weighted_sum_of_levels() -> None:
    rng = np.random.default_rng(12)
    shapes = [(16, 24), (8, 12), (4, 6)]
    levels = [rng.normal(size=(2, 3, *shape)).astype(np.float32) for shape in shapes]
    target = rng.integers(0, 3, (2, 16, 24))
    small = [
        target,
        *(
            torch.nn.functional.interpolate(
                torch.from_numpy(target[:, None].astype(np.float32)),
                size=shape,
                mode="nearest-exact",
            )[:, 0]
            .numpy()
            .astype(int)
            for shape in shapes[1:]
        ),
    ]
    table = {"nnunet": [2 / 3, 1 / 3, 0.0], "halving": [1.0, 0.5, 0.25], "equal": [1.0, 1.0, 1.0]}
    for loss in (sl.Dice(), sl.dice_cross_entropy()):
        for name, weights in [*table.items(), ((0.2, 0.3, 0.5), [0.2, 0.3, 0.5])]:
            deep = sl.deep_supervision(loss, weights=name)
            for given in (target, small):
                value, gradients = deep(levels, given, return_grad=True)
                parts = [loss(x, y, return_grad=True) for x, y in zip(levels, small, strict=True)]
                wanted = sum(w * v for w, (v, _) in zip(weights, parts, strict=True))
                assert value == pytest.approx(wanted, rel=1e-6)
                for w, (_, g), found in zip(weights, parts, gradients, strict=True):
                    np.testing.assert_allclose(found, w * g, rtol=1e-5, atol=1e-10)


# --- The table -------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_the_table_adds_up(activation: str) -> None:
    logits, target = problem(13, 3, 4)
    if activation == "none":
        logits = 1 / (1 + np.exp(-logits))
    target[0, 0] = 9
    weight = np.random.default_rng(0).random(target.shape)
    terms = (sl.PixelTerm("cross_entropy"), sl.PixelTerm("focal", 2.0), sl.PixelTerm("poly", 1.0))
    o: dict[str, Any] = {
        "activation": activation,
        "ignore_index": 9,
        "pixel_terms": terms,
        "squares": True,
    }
    whole = sl.soft_counts(logits, target, pixel_weight=weight, **o)
    case = Case(logits, target, activation=activation, ignore=(9,), pixel_weight=weight)
    sums = region_sums(case, "per_sample")
    for name, key in {
        "intersection": "i",
        "pred": "p",
        "target": "y",
        "pred_squared": "pp",
        "target_squared": "yy",
    }.items():
        found = getattr(whole, name)
        np.testing.assert_allclose(found, sums[key].detach().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(whole.valid, case.valid.sum(1).numpy())
    np.testing.assert_allclose(whole.weight, case.w.sum(1).numpy(), rtol=1e-7)
    ce = (case.w[:, None] * case.y * -case.log_p).sum(2).detach().numpy()
    np.testing.assert_allclose(whole.terms[0], ce, rtol=1e-6)
    halves = [
        sl.soft_counts(logits, np.where(part, target, 9), pixel_weight=weight, **o)
        for part in (np.arange(23) < 10, np.arange(23) >= 10)
    ]
    added = halves[0] + halves[1]
    for name, array in added.to_arrays().items():
        np.testing.assert_allclose(array, whole.to_arrays()[name], rtol=1e-6, err_msg=name)
    again = sl.SoftCounts.from_arrays(whole.to_arrays())
    for name, array in again.to_arrays().items():
        np.testing.assert_array_equal(array, whole.to_arrays()[name])
    batch = whole.sum_samples()
    np.testing.assert_allclose(batch.pred[0], whole.pred.sum(0))
    # any derivative by the table, pulled back
    rng = np.random.default_rng(1)
    zero = sl.SoftCountsGradient.zeros(whole)
    d = {n: rng.normal(size=getattr(zero, n).shape) for n in ("intersection", "pred")}
    d["pred_squared"] = rng.normal(size=zero.pred_squared.shape)
    for name, array in d.items():
        getattr(zero, name)[:] = array
    gradient = sl.soft_counts_backward(logits, target, zero, pixel_weight=weight, **o)
    total = sum(
        (torch.from_numpy(d[name]) * sums[key]).sum()
        for name, key in {"intersection": "i", "pred": "p", "pred_squared": "pp"}.items()
    )
    wanted = case.gradient(total)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=2e-6 * np.abs(wanted).max())


# --- Bits ------------------------------------------------------------------------------------


def every_bit(logits: np.ndarray, target: np.ndarray, threads: int) -> list[bytes]:
    found = []
    for name in (*PIXEL, "dice", "matthews_corrcoef", "lovasz_softmax", "top_k", "ohem"):
        value, gradient = call(name)(logits, target, return_grad=True, threads=threads)
        found += [np.float64(value).tobytes(), gradient.tobytes()]
    for name in ("cross_entropy", "dice", "lovasz_hinge"):
        given = {"activation": "sigmoid"} if name != "lovasz_hinge" else {}
        dense = one_hot(target, logits.shape[1]).astype(np.uint8)
        value, gradient = call(name)(logits, dense, return_grad=True, threads=threads, **given)
        found += [np.float64(value).tobytes(), gradient.tobytes()]
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_bits_do_not_depend_on_threads_or_instructions(dtype: Any) -> None:
    logits, target = problem(14, 5, 2, (130, 147))
    logits = logits.astype(dtype)
    wanted = every_bit(logits, target, 1)
    for threads in (2, 3, 5, 7):
        assert every_bit(logits, target, threads) == wanted
    chosen = _core.simd_level()
    try:
        for level in _core.simd_levels():
            _core.set_simd_level(level)
            if level in ("avx2", "avx512"):
                assert every_bit(logits, target, 2) == wanted, level
            else:
                value = sl.dice(logits, target)
                assert value == pytest.approx(np.frombuffer(wanted[2 * len(PIXEL)])[0], rel=1e-6)
    finally:
        _core.set_simd_level(chosen)


# --- Bad input -------------------------------------------------------------------------------

ALL = (*PIXEL, *REGION, "lovasz_softmax", "lovasz_hinge", "top_k", "ohem")
TABLE = (*PIXEL, *REGION)


def labels_for(name: str, target: np.ndarray, classes: int) -> np.ndarray:
    if name != "lovasz_hinge":
        return target
    return one_hot(target, classes).astype(np.uint8)


@pytest.mark.parametrize("name", ALL)
def test_nan_reaches_the_value_and_its_pixel(name: str) -> None:
    logits, target = problem(15, 3)
    given = labels_for(name, target, 3)
    logits[1, 2, 4, 5] = np.nan
    value, gradient = call(name)(logits, given, return_grad=True)
    assert math.isnan(value)
    assert np.isnan(gradient[1, :, 4, 5]).any()
    if name in PIXEL:
        lost = np.isnan(gradient)
        assert lost.sum() == 3
        assert lost[1, :, 4, 5].all()
    # a pixel that does not count may hold anything
    mask = np.zeros(target.shape, bool)
    mask[1, 4, 5] = True
    for bad in (np.nan, np.inf, -np.inf):
        logits[1, 2, 4, 5] = bad
        value, gradient = call(name)(logits, given, mask=mask, return_grad=True)
        assert math.isfinite(value)
        assert np.isfinite(gradient).all()
        assert not gradient[1, :, 4, 5].any()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_huge_logits_are_finite(name: str, activation: str) -> None:
    if name.startswith("lovasz") or name in ("top_k", "ohem"):
        if activation == "sigmoid":
            return
        options: dict[str, Any] = {}
    else:
        options = {"activation": activation}
    logits, target = problem(16, 3)
    given = labels_for(name, target, 3)
    logits[0, 0, 0, 0], logits[0, 1, 0, 1] = 1e4, -1e4
    logits[0, :, 1] = (np.arange(3) * 1e4)[:, None]
    value, gradient = call(name)(logits, given, return_grad=True, **options)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    logits[1, 2, 3, 3] = 3e38
    value, gradient = call(name)(logits, given, return_grad=True, **options)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    logits[1, 2, 3, 3] = 0.0
    # -inf where it is not the truth: the class cannot be there
    target[1, 5, 5] = 0
    logits[1, 1, 5, 5] = -np.inf
    given = labels_for(name, target, 3)
    value, gradient = call(name)(logits, given, return_grad=True, **options)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    assert gradient[1, 1, 5, 5] == 0


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_truth_at_minus_infinity_costs_what_torch_says(activation: str) -> None:
    logits, target = problem(17, 3)
    target[1, 5, 5] = 1
    logits[1, 1, 5, 5] = -np.inf
    assert sl.cross_entropy(logits, target, activation=activation) == math.inf
    assert math.isfinite(sl.generalised_cross_entropy(logits, target, activation=activation))
    value, gradient = sl.dice(logits, target, activation=activation, return_grad=True)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", [*ALL, "dice_metric", "jaccard_metric"])
def test_half_precision_at_size_is_finite(name: str) -> None:
    rng = np.random.default_rng(0)
    target = (rng.random((1, 512, 512)) < 1e-4).astype(np.uint8)
    logits = (np.float16(9) * (1 - 2 * np.stack([target, 1 - target], 1))).astype(np.float16)
    given = labels_for(name, target, 2)
    value, gradient = call(name)(logits, given, return_grad=True)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    exact = call(name)(logits.astype(np.float64), given)
    assert value == pytest.approx(exact, rel=2e-5, abs=2.0**-17)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [5, 0])
def test_nothing_that_counts(name: str, size: int) -> None:
    logits = np.ones((2, 3, size), np.float32)
    target = labels_for(name, np.ones((2, size), np.uint8), 3)
    options: dict[str, Any] = {"mask": np.ones((2, size), bool)} if size else {}
    value, gradient = call(name)(logits, target, return_grad=True, **options)
    assert value == 0.0
    assert gradient.shape == logits.shape
    assert not gradient.any()
    value, gradient = call(name)(logits, target, empty="nan", return_grad=True, **options)
    assert math.isnan(value)
    assert not gradient.any()
    empty = np.zeros((0, 3, 4), np.float32)
    target = labels_for(name, np.zeros((0, 4), np.uint8), 3)
    value, gradient = call(name)(empty, target, return_grad=True)
    assert value == 0.0
    assert gradient.shape == (0, 3, 4)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_small_gamma_where_the_pixel_is_certain(gamma: float, activation: str) -> None:
    logits = np.array([[[80.0, 1e4, 30.0, 0.3], [-80.0, -1e4, -30.0, 0.1]]], np.float32)
    target = np.zeros((1, 4), np.uint8)
    value, gradient = sl.focal(logits, target, gamma=gamma, activation=activation, return_grad=True)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[0, :, :2]).max() < 1e-20
    poly, gradient = sl.poly(logits, target, gamma=gamma, activation=activation, return_grad=True)
    assert math.isfinite(poly)
    assert np.isfinite(gradient).all()
    sure = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    value, gradient = sl.focal(sure, [[0, 1]], gamma=gamma, activation="none", return_grad=True)
    assert value == 0
    assert np.isfinite(gradient).all()
    perfect: dict[str, Any] = {"smooth_nr": 0.0, "smooth_dr": 0.0, "return_grad": True}
    for name in ("focal_tversky", "log_dice"):
        o = {"gamma": gamma} if gamma else {}
        value, gradient = call(name)(sure, [[0, 1]], activation="none", **o, **perfect)
        assert value == pytest.approx(0.0, abs=1e-9)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ALL)
def test_what_is_wrong_is_said(name: str) -> None:
    logits, target = problem(18, 3)
    f = call(name)

    def given(labels: np.ndarray) -> np.ndarray:
        return labels_for(name, labels, 3)

    y = given(target)
    with pytest.raises(TypeError, match="float"):
        f(logits.astype(np.int64), y)
    with pytest.raises(TypeError):
        f(logits > 0, y)
    with pytest.raises(TypeError):
        f(logits.astype(np.complex64), y)
    for bad in (target[:1], target[:, :4], target[..., :5], target[0]):
        with pytest.raises(ValueError, match=r"shape|\("):
            f(logits, bad)
    with pytest.raises(ValueError, match=r"shape|axes|channel|dim"):
        f(logits[0, 0], y)
    with pytest.raises(ValueError, match="shape"):
        f(logits, y, mask=np.zeros((2, 3), bool))
    with pytest.raises(ValueError):
        f(logits, y, class_weight=[1.0, 2.0])
    with pytest.raises(ValueError):
        f(logits, y, class_weight=[1.0, 2.0, -1.0])
    with pytest.raises(ValueError):
        f(logits, y, class_weight=[1.0, 2.0, math.nan])
    for value in (3, 200):
        wrong = target.copy()
        wrong[1, 2, 3] = value
        if name != "lovasz_hinge":
            with pytest.raises(ValueError, match=str(value)):
                f(logits, wrong)
            f(logits, wrong, ignore_index=value)
    if name not in ("lovasz_hinge",):
        wrong = target.astype(np.int64)
        wrong[0, 0, 0] = -1
        with pytest.raises(ValueError, match="-1"):
            f(logits, wrong)
    if not name.startswith("lovasz"):
        for bad_weight in (-1.0, math.nan, math.inf):
            weight = np.ones(target.shape)
            weight[0, 1, 2] = bad_weight
            with pytest.raises(ValueError, match="weight"):
                f(logits, y, pixel_weight=weight)
        with pytest.raises(ValueError, match="shape"):
            f(logits, y, pixel_weight=np.ones((2, 2)))
    if name in TABLE:
        for bad_share in (-0.5, 1.5, math.nan):
            soft = one_hot(target, 3)
            soft[0, 1, 2, 3] = bad_share
            with pytest.raises(ValueError):
                f(logits, soft)
        with pytest.raises(ValueError):
            f(logits, y, classes=[3])
        with pytest.raises(ValueError):
            f(logits, y, classes=[])
        with pytest.raises(ValueError):
            f(logits, y, activation="tanh")
    for option in ({"reduction": "avg"}, {"empty": 3}, {"preset": "caffe"}):
        with pytest.raises((ValueError, TypeError)):
            f(logits, y, **option)
    with pytest.raises(TypeError):
        f(logits, y, no_such_option=1)
    with pytest.raises((TypeError, ValueError)):
        f(logits, y, threads=-1)
    for out in (
        np.zeros_like(logits, np.float64),
        np.zeros((2, 3, 4), np.float32),
        np.broadcast_to(np.float32(0), logits.shape),
        logits,
        logits[::-1],
    ):
        with pytest.raises((TypeError, ValueError)):
            f(logits, y, out=out)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross_entropy", {"label_smoothing": 1.5}),
        ("cross_entropy", {"label_smoothing": -0.1}),
        ("cross_entropy", {"exponent": 0.0}),
        ("cross_entropy", {"positive_weight": [-1.0, 1.0, 1.0], "activation": "sigmoid"}),
        ("cross_entropy", {"positive_weight": [1.0, 1.0, 1.0]}),
        ("focal", {"gamma": -1.0}),
        ("focal", {"gamma": math.nan}),
        ("focal", {"threshold": 0.0}),
        ("focal", {"alpha": -0.1}),
        ("generalised_cross_entropy", {"q": 0.0}),
        ("generalised_cross_entropy", {"q": 1.1}),
        ("poly", {"epsilon": math.inf}),
        ("tversky", {"alpha": -1.0}),
        ("tversky", {"beta": math.nan}),
        ("dice", {"smooth_nr": -1.0}),
        ("dice", {"smooth_dr": math.inf}),
        ("focal_tversky", {"gamma": 0.0}),
        ("top_k", {"fraction": 0.0}),
        ("top_k", {"fraction": 1.5}),
        ("ohem", {"threshold": 2.0}),
        ("ohem", {"least": -1}),
        ("sensitivity_specificity", {"sensitivity_weight": 1.5}),
        ("generalised_dice", {"class_size": "cube"}),
        ("dice", {"region": "image"}),
        ("dice", {"average": "mean"}),
        ("dice", {"absent": "nan"}),
        ("dice", {"squared": True, "soft_label": True}),
    ],
)
def test_options_out_of_range(name: str, options: dict[str, Any]) -> None:
    logits, target = problem(19, 3)
    with pytest.raises((ValueError, TypeError)):
        call(name)(logits, target, **options)


def test_gradients_do_not_share_memory() -> None:
    """Buffers are used again only once nobody looks at them."""
    logits, target = problem(20, 3, 1, (64, 64))
    kept = [sl.dice(logits * k, target, return_grad=True)[1] for k in range(1, 6)]
    copies = [g.copy() for g in kept]
    views = [g[0, 1, ::2].T for g in kept]
    seen = [v.copy() for v in views]
    del kept
    for k in range(6, 12):
        sl.dice(logits * k, target, return_grad=True)
    for view, saw in zip(views, seen, strict=True):
        np.testing.assert_array_equal(view, saw)
    kept = [sl.cross_entropy(logits * k, target, return_grad=True)[1] for k in range(1, 4)]
    assert len({g.ctypes.data for g in kept}) == 3
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(kept, 2))
    again = sl.dice(logits, target, return_grad=True)[1]
    np.testing.assert_array_equal(again, copies[0])
    memory = memoryview(again)
    del again
    saw = bytes(memory)
    for k in range(4):
        sl.focal(logits * k, target, return_grad=True)
    assert bytes(memory) == saw


def test_profile_by_hand() -> None:
    logits, target = problem(21, 3, 1, (12, 14))
    profiles = sl.loss_profile(logits, target, {"ce": sl.CrossEntropy(), "dice": sl.Dice()})
    for name in ("ce", "dice"):
        loss = sl.CrossEntropy() if name == "ce" else sl.Dice()
        value, gradient = loss(logits, target, return_grad=True)
        profile = profiles[name]
        assert profile.value == pytest.approx(value)
        assert profile.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-6)
        size = np.abs(gradient).sum(1)
        for k in range(3):
            inside = np.moveaxis(gradient, 1, -1)[target == k]
            assert profile.class_norm[k] == pytest.approx(np.linalg.norm(inside), rel=1e-6)
            part = size[target == k].sum() / size.sum()
            assert profile.class_share[k] == pytest.approx(part, rel=1e-5)
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        p_t = np.take_along_axis(p, target[:, None].astype(int), 1)[:, 0]
        edges = np.array(profiles.difficulty_edges)
        place = np.clip(np.searchsorted(edges, p_t, side="right") - 1, 0, len(edges) - 2)
        parts = np.array([size[place == b].sum() for b in range(len(edges) - 1)]) / size.sum()
        np.testing.assert_allclose(profile.difficulty_share, parts, rtol=1e-4, atol=1e-7)
        assert np.nansum(profile.distance_share) == pytest.approx(1)
    np.testing.assert_allclose(profiles.class_pixels, np.bincount(target.ravel()) / target.size)
