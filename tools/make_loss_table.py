"""One prediction, every tool: run them all and write their numbers, and ours, into docs/loss.md.

    python tools/make_loss_table.py            rewrite the tables and the picture of the page
    python tools/make_loss_table.py --check    only compare; exits 1 if the page is out of date

Needs the dependency groups `peers` and `peers-alone`. nnU-Net and mmsegmentation do not install
beside the others: their formulas stand here in torch as their sources have them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # as everybody calls it

from segmeter import loss

if TYPE_CHECKING:
    from types import ModuleType

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, PICTURE = DOCS / "loss.md", DOCS / "loss-profile.svg"
IGNORED = 255
Row = tuple[str, float, float, str]


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Logits (2, 5, 24, 32) and labels; each sample lacks a class of the other."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :32]
    target = np.zeros((2, 24, 32), np.int64)
    target[0][y > 12] = 1
    target[0][(y - 9) ** 2 + (x - 10) ** 2 < 30] = 2
    target[0][(y - 16) ** 2 + (x - 24) ** 2 < 16] = 3
    target[1][x > 20] = 1
    target[1][(y - 12) ** 2 + (x - 9) ** 2 < 50] = 2
    target[1][4:7, 24:28] = 4
    true = np.arange(5)[:, None, None] == np.roll(target, 1, axis=2)[:, None]
    return rng.normal(size=(2, 5, 24, 32)) + 2.5 * true, target


def with_ignored(target: np.ndarray) -> np.ndarray:
    """Labels of which a quarter is to be ignored."""
    ignored = target.copy()
    ignored[:, :6] = IGNORED
    return ignored


def smp_losses() -> ModuleType:
    """Losses of segmentation_models_pytorch without its encoders and what those import."""
    package = importlib.util.find_spec("segmentation_models_pytorch")
    if package is None or package.origin is None:
        raise SystemExit("segmentation_models_pytorch is not installed")
    folder = Path(package.origin).parent / "losses"
    spec = importlib.util.spec_from_file_location(
        "smp_losses", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit(f"no losses in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["smp_losses"] = module
    spec.loader.exec_module(module)
    return module


def dice_rows(monai: Any, smp: Any, kornia: Any, keras: Any) -> list[Row]:
    """Everything that is called Dice loss."""
    logits, target = problem()
    x, y = torch.tensor(logits), torch.tensor(target)
    dense = F.one_hot(y, 5).movedim(-1, 1).double()
    channel, p = y[:, None], x.softmax(1)

    def nnunet(batch: bool) -> float:
        both, sizes = (p * dense).sum((2, 3))[:, 1:], (p + dense).sum((2, 3))[:, 1:]
        if batch:
            both, sizes = both.sum(0), sizes.sum(0)
        return float(-((2 * both + 1e-5) / (sizes + 1e-5).clip(1e-8)).mean())

    def mmseg() -> float:
        q, t = x.sigmoid().flatten(1), dense.flatten(1)
        sizes = (q * q).sum(1) + (t * t).sum(1) + 2e-3
        return float((1 - 2 * (q * t).sum(1) / sizes).mean())

    def ours(**options: Any) -> float:
        return float(loss.dice(logits, target, **options))

    last = p.movedim(1, -1), dense.movedim(1, -1)
    return [
        (
            "MONAI `DiceLoss(softmax=True)`",
            monai.DiceLoss(to_onehot_y=True, softmax=True)(x, channel).item(),
            ours(preset="monai"),
            'preset="monai"',
        ),
        (
            "MONAI `DiceLoss(batch=True)`",
            monai.DiceLoss(to_onehot_y=True, softmax=True, batch=True)(x, channel).item(),
            ours(preset="monai", region="batch"),
            'preset="monai", region="batch"',
        ),
        (
            "MONAI `DiceLoss(squared_pred=True)`",
            monai.DiceLoss(to_onehot_y=True, softmax=True, squared_pred=True)(x, channel).item(),
            ours(preset="monai", squared=True),
            'preset="monai", squared=True',
        ),
        (
            "smp `DiceLoss`",
            smp.DiceLoss("multiclass")(x, y).item(),
            ours(preset="smp"),
            'preset="smp"',
        ),
        (
            "kornia `dice_loss`",
            kornia.dice_loss(x, y).item(),
            ours(preset="kornia"),
            'preset="kornia"',
        ),
        (
            'kornia `dice_loss(average="macro")`',
            kornia.dice_loss(x, y, "macro").item(),
            ours(preset="kornia", average="macro"),
            'preset="kornia", average="macro"',
        ),
        (
            "Keras `Dice`, of probabilities",
            float(keras.losses.dice(last[1], last[0])),
            float(loss.dice(last[0].numpy(), last[1].numpy(), preset="keras")),
            'preset="keras"',
        ),
        ("nnU-Net, 3-D: per sample", nnunet(False), ours(preset="nnunet"), 'preset="nnunet"'),
        (
            "nnU-Net, 2-D: batch Dice",
            nnunet(True),
            ours(preset="nnunet", region="batch"),
            'preset="nnunet", region="batch"',
        ),
        ("mmsegmentation `DiceLoss`", mmseg(), ours(preset="mmseg"), 'preset="mmseg"'),
    ]


def focal_rows(monai: Any, smp: Any, kornia: Any) -> list[Row]:
    """Everything that is called focal loss with gamma 2."""
    logits, target = problem()
    x, y = torch.tensor(logits), torch.tensor(target)

    def ours(**options: Any) -> float:
        return float(loss.focal(logits, target, **options))

    soft = monai.FocalLoss(to_onehot_y=True, use_softmax=True)
    return [
        (
            "smp `FocalLoss`: one against the rest",
            smp.FocalLoss("multiclass")(x, y).item(),
            ours(preset="smp"),
            'preset="smp"',
        ),
        (
            "MONAI `FocalLoss`: one against the rest",
            monai.FocalLoss(to_onehot_y=True)(x, y[:, None]).item(),
            ours(preset="monai"),
            'preset="monai"',
        ),
        (
            "MONAI `FocalLoss(use_softmax=True)`",
            soft(x, y[:, None]).item(),
            ours(preset="monai", activation="softmax"),
            'preset="monai", activation="softmax"',
        ),
        (
            'kornia `focal_loss(reduction="mean")`',
            kornia.focal_loss(x, y, None, reduction="mean").item(),
            ours(preset="kornia"),
            'preset="kornia"',
        ),
        (
            "per pixel, as the paper",
            float((-((1 - x.softmax(1)) ** 2) * x.log_softmax(1)).gather(1, y[:, None]).mean()),
            ours(),
            "(no preset)",
        ),
    ]


def ignore_rows(smp: Any, monai: Any, kornia: Any) -> list[Row]:
    """Cross entropy and others with a quarter of the pixels ignored."""
    logits, target = problem()
    target = with_ignored(target)
    x, y = torch.tensor(logits), torch.tensor(target)
    none = F.cross_entropy(x, y, ignore_index=IGNORED, reduction="none")
    options: dict[str, Any] = {"ignore_index": IGNORED}
    smoothed = smp.SoftCrossEntropyLoss(smooth_factor=0.0, ignore_index=IGNORED)
    return [
        (
            "torch `cross_entropy`",
            F.cross_entropy(x, y, ignore_index=IGNORED).item(),
            float(loss.cross_entropy(logits, target, preset="torch", **options)),
            'cross_entropy, preset="torch"',
        ),
        (
            "smp `SoftCrossEntropyLoss(smooth_factor=0)`",
            smoothed(x, y).item(),
            float(loss.cross_entropy(logits, target, preset="smp", **options)),
            'cross_entropy, preset="smp"',
        ),
        (
            "mmsegmentation `CrossEntropyLoss`",
            none.mean().item(),
            float(loss.cross_entropy(logits, target, preset="mmseg", **options)),
            'cross_entropy, preset="mmseg"',
        ),
        (
            "kornia `focal_loss(gamma=0)`",
            kornia.focal_loss(x, y, None, 0.0, "mean", ignore_index=IGNORED).item(),
            float(loss.focal(logits, target, preset="kornia", gamma=0.0, **options)),
            'focal, gamma=0, preset="kornia"',
        ),
        (
            "MONAI `DiceLoss`",
            monai.DiceLoss(to_onehot_y=True, softmax=True, ignore_index=IGNORED)(
                x, y[:, None]
            ).item(),
            float(loss.dice(logits, target, preset="monai", **options)),
            'dice, preset="monai"',
        ),
    ]


def table(rows: list[Row]) -> str:
    """Markdown of tools and their numbers; stops where ours is another."""
    lines = ["| tool | its number | ours | with |", "|---|---|---|---|"]
    for name, theirs, mine, options in rows:
        if abs(theirs - mine) > 2e-6 * max(1.0, abs(theirs)):
            raise SystemExit(f"{name}: {theirs}, but {options} gives {mine}")
        lines.append(f"| {name} | {theirs:.6f} | {mine:.6f} | `{options}` |")
    return "\n".join(lines)


def defects() -> str:
    """Markdown of what other tools compute without saying so."""
    lines = ["| tool | loss | what it does | the preset instead |", "|---|---|---|---|"]
    for one in loss.known_defects():
        strict = "; `strict=True` does as the tool" if one.strict else ""
        lines.append(
            f"| {one.tool} {one.version} | {one.loss} | {one.found} | {one.here}{strict} |"
        )
    return "\n".join(lines)


def profile() -> loss.LossProfiles:
    """Four losses at one prediction of a large and a small object."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    target = np.zeros((1, 96, 96), np.uint8)
    target[0][(y - 40) ** 2 + (x - 36) ** 2 < 26**2] = 1
    target[0][(y - 72) ** 2 + (x - 76) ** 2 < 8**2] = 2
    shifted = np.roll(target, (2, -1), (1, 2))
    logits = 1.5 * rng.normal(size=(1, 3, 96, 96)) + 5 * (np.arange(3)[:, None, None] == shifted)
    losses = {
        "cross entropy": loss.CrossEntropy(),
        "focal": loss.Focal(),
        "Dice": loss.Dice(),
        "Lovász": loss.LovaszSoftmax(),
    }
    names = ["background", "organ", "lesion"]
    return loss.loss_profile(logits, target, losses, class_names=names)


def main() -> int:
    """Renew the page, or tell whether it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    warnings.simplefilter("ignore")
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import kornia.losses
    import monai.losses

    smp = smp_losses()
    parts = {
        "dice": table(dice_rows(monai.losses, smp, kornia.losses, keras)),
        "focal": table(focal_rows(monai.losses, smp, kornia.losses)),
        "ignored": table(ignore_rows(smp, monai.losses, kornia.losses)),
        "defects": defects(),
    }
    page = PAGE.read_text(encoding="utf-8")
    new = page
    for name, text in parts.items():
        begin, end = f"<!-- {name} -->", "<!-- end -->"
        pattern = re.compile(f"({re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
        if not pattern.search(new):
            raise SystemExit(f"{PAGE} has no {begin}")
        new = pattern.sub(lambda _, rewritten=f"{begin}\n\n{text}\n\n": rewritten, new)
    picture = profile().svg()
    if not check:
        PAGE.write_text(new, encoding="utf-8")
        PICTURE.write_text(picture, encoding="utf-8")
    elif new != page or picture != PICTURE.read_text(encoding="utf-8"):
        print(f"{PAGE} is out of date: python tools/make_loss_table.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
