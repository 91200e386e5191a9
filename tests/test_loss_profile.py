"""Profiles of losses: what they say is what the gradients are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from segmeter import distance_transform, loss

if TYPE_CHECKING:
    from pathlib import Path


def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = np.zeros((2, 20, 24), np.uint8)
    target[0, 4:9, 5:15] = 1
    target[1, 10:18, 2:9] = 2
    true = np.arange(3)[:, None, None] == target[:, None]
    return rng.normal(size=(2, 3, 20, 24)) + 2 * true, target


def test_shares_are_those_of_the_gradient() -> None:
    logits, target = problem()
    made = loss.Dice()
    profile = loss.loss_profile(logits, target, [made])["Dice"]
    value, gradient = made(logits, target, return_grad=True)
    sizes = np.abs(gradient).sum(1)
    assert profile.value == value
    assert profile.gradient_norm == pytest.approx(np.linalg.norm(gradient))
    for k in range(3):
        here = target == k
        assert profile.class_share[k] == pytest.approx(sizes[here].sum() / sizes.sum())
        norm = np.linalg.norm(np.moveaxis(gradient, 1, -1)[here])
        assert profile.class_norm[k] == pytest.approx(norm)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = np.take_along_axis(p, target[:, None].astype(int), 1)[:, 0]
    assert profile.difficulty_share[0] == pytest.approx(sizes[p < 0.1].sum() / sizes.sum())
    distance = np.stack([distance_transform(image + 1, labels=True) for image in target])
    assert profile.distance_share[0] == pytest.approx(sizes[distance <= 1].sum() / sizes.sum())
    assert profile.distance_share[-1] == pytest.approx(sizes[distance > 16].sum() / sizes.sum())


def test_all_shares_are_of_the_counted_pixels() -> None:
    logits, target = problem()
    target[:, :3] = 255
    logits[:, :, :3] = np.nan
    losses = [loss.CrossEntropy(), loss.LovaszSoftmax(), loss.compound([loss.Dice(), loss.Focal()])]
    profiles = loss.loss_profile(logits, target, losses, ignore_index=255)
    assert [profile.name for profile in profiles.profiles] == [
        "CrossEntropy",
        "LovaszSoftmax",
        "Compound",
    ]
    for _, labels, pixels, shares in profiles.panels():
        for share in [pixels, *shares]:
            assert share.shape == (len(labels),)
            assert share.sum() == pytest.approx(1)
    assert profiles["CrossEntropy"].value == loss.cross_entropy(logits, target, ignore_index=255)


@pytest.mark.parametrize("ignored", [255, -100, [7, 255]])
def test_labels_that_the_losses_leave_out(ignored: Any) -> None:
    logits, target = problem()
    target = target.astype(int)
    target[:, :3] = np.atleast_1d(ignored)[-1]
    losses: list[Any] = [
        loss.CrossEntropy(ignore_index=ignored),
        loss.LovaszSoftmax(ignore_index=ignored),
        loss.dice_cross_entropy(ignore_index=ignored),
    ]
    found = loss.loss_profile(logits, target, losses)
    plain = [loss.CrossEntropy(), loss.LovaszSoftmax(), loss.dice_cross_entropy()]
    wanted = loss.loss_profile(logits, target, plain, ignore_index=ignored)
    assert str(found) == str(wanted)
    assert found["CrossEntropy"].class_share.shape == (3,)


def test_labels_that_one_loss_alone_leaves_out() -> None:
    """They count: a loss that leaves out a class has no gradient there."""
    logits, target = problem()
    losses = {"all": loss.Dice(), "some": loss.Dice(ignore_index=0)}
    profiles = loss.loss_profile(logits, target, losses)
    assert profiles.class_pixels[0] > 0.5
    assert profiles["all"].class_share[0] > 0
    assert profiles["some"].class_share[0] == 0
    target[1, 3, 2] = 255
    with pytest.raises(ValueError, match=r"label 255 at \(1, 3, 2\), .* classes 0..2 only: pass"):
        loss.loss_profile(logits, target, {**losses, "most": loss.Dice(ignore_index=255)})


def test_layouts_and_one_channel() -> None:
    logits, target = problem()
    plain = loss.loss_profile(logits, target, [loss.Dice()])
    last = loss.loss_profile(
        np.moveaxis(logits, 1, -1), target, [loss.Dice(channels_last=True)], channels_last=True
    )
    np.testing.assert_allclose(last["Dice"].class_share, plain["Dice"].class_share, rtol=1e-12)
    binary = loss.loss_profile(
        logits[:, :1, 0], (target[:, 5] > 0).astype(int), [loss.Dice(activation="sigmoid")]
    )
    assert binary.class_names == ("0", "1")
    assert binary["Dice"].class_share.sum() == pytest.approx(1)


def test_spacing_moves_pixels_to_other_bins() -> None:
    logits, target = problem()
    near, far = (
        loss.loss_profile(logits, target, [loss.Dice()], spacing=spacing).distance_pixels
        for spacing in ((1, 1), (3, 3))
    )
    assert near[0] > 0
    assert far[0] == 0


def test_nothing_to_learn() -> None:
    logits = np.array([[[[1e3]], [[-1e3]]]])
    profile = loss.loss_profile(logits, np.zeros((1, 1, 1), int), [loss.Focal()])["Focal"]
    assert profile.gradient_norm == 0
    assert np.isnan(profile.class_share).all()


def test_table_and_picture(tmp_path: Path) -> None:
    logits, target = problem()
    names = ("sky", "road & <kerb>", "car")
    twice = {"a": loss.Dice(), "b": loss.Focal()}
    profiles = loss.loss_profile(logits, target, twice, class_names=names)
    text = str(profiles)
    assert "road & <kerb>" in text
    assert f"{profiles['b'].value:.4g}" in text
    path = tmp_path / "profile.svg"
    profiles.save(path)
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if len(one)]
    assert len(bars) == 3 * (3 + 7 + 6)
    with pytest.raises(ValueError, match="must end in"):
        profiles.save(tmp_path / "profile.png")
    repeated = loss.loss_profile(logits, target, [loss.Dice(), loss.Dice(squared=True)])
    assert [profile.name for profile in repeated.profiles] == ["Dice", "Dice 2"]
    with pytest.raises(KeyError):
        repeated["Dice 3"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"losses": []}, ValueError, "at least one loss"),
        ({"losses": [loss.dice]}, TypeError, "must hold losses"),
        ({"target": np.zeros((2, 20, 24))}, TypeError, "labels of an integer type"),
        ({"target": np.zeros((2, 20, 23), int)}, ValueError, "target must have shape"),
        ({"class_names": ["a"]}, ValueError, "must name 3 classes, got 1"),
    ],
)
def test_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    logits, target = problem()
    given = {"logits": logits, "target": target, "losses": [loss.Dice()], **change}
    with pytest.raises(error, match=message):
        loss.loss_profile(given.pop("logits"), given.pop("target"), given.pop("losses"), **given)
