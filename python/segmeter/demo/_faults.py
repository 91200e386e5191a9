"""Predictions as edits of a scene: one fault per image, counted from the drawing itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from segmeter.demo._scene import (
    CAR,
    CLASS_NAMES,
    PERSON,
    TRUCK,
    VOID,
    LabelMap,
    Scene,
    Shape,
    backdrop,
    box,
    car,
    paint,
    person,
    truck,
    void_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to a prediction, and what it must cost.

    Attributes
    ----------
    kind : str
        "perfect", "boundary shift", "missed object", "invented object", "wrong class", "split",
        "merge" or "ignored border".
    sentence : str
        The fault in words, with its size.
    moved : dict of (int, int) to int
        Pixels that count as wrong, by (target label, predicted label).
    ignored : int
        Pixels of the image with a void target; they must not count.
    """

    kind: str
    sentence: str
    moved: dict[tuple[int, int], int]
    ignored: int

    @property
    def pixels(self) -> int:
        """Number of pixels that count as wrong."""
        return sum(self.moved.values())


@dataclass(frozen=True, slots=True)
class DemoImage:
    """One pair of label maps, shape ``(256, 512)``, dtype uint8, and the fault between them."""

    name: str
    target: LabelMap
    pred: LabelMap
    fault: Fault


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A fault: its kind, the things in the scene, the edit, a sentence with places for sizes."""

    kind: str
    things: Scene
    edit: Callable[[Scene], Scene]
    sentence: str


def draw() -> tuple[DemoImage, ...]:
    """Draw the eight pairs of the demonstration set.

    Returns
    -------
    tuple of DemoImage
        In the order of their names; the same pixels on every machine.

    Examples
    --------
    >>> from segmeter import demo
    >>> images = demo.draw()
    >>> images[0].name, images[0].target.shape, images[0].fault.pixels
    ('01_perfect', (256, 512), 0)
    """
    return tuple(_image(number, recipe) for number, recipe in enumerate(_recipes(), start=1))


def expected_matrix() -> NDArray[np.int64]:
    """Confusion matrix the set must give: rows target, columns prediction, void left out.

    It is put together from the class areas of the targets and the known faults, without the
    kernel it is meant to test.

    Returns
    -------
    ndarray of int64, shape (10, 10)

    Examples
    --------
    >>> from segmeter import demo
    >>> matrix = demo.expected_matrix()
    >>> int(matrix.sum() + sum(image.fault.ignored for image in demo.draw())) == 8 * 256 * 512
    True
    """
    matrix = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    for image in draw():
        areas = np.bincount(image.target[image.target != VOID], minlength=len(CLASS_NAMES))
        matrix[np.diag_indices_from(matrix)] += areas
        for (target, pred), pixels in image.fault.moved.items():
            matrix[target, target] -= pixels
            matrix[target, pred] += pixels
    return matrix


def _image(number: int, recipe: _Recipe) -> DemoImage:
    scene = backdrop(number) + recipe.things
    target = paint(scene)
    target[void_frame()] = VOID
    pred = paint(recipe.edit(scene))
    moved = _moved(target, pred)
    ignored = int((target == VOID).sum())
    sentence = recipe.sentence.format(pixels=sum(moved.values()), ignored=ignored)
    name = f"{number:02}_{recipe.kind.replace(' ', '_')}"
    return DemoImage(name, target, pred, Fault(recipe.kind, sentence, moved, ignored))


def _moved(target: LabelMap, pred: LabelMap) -> dict[tuple[int, int], int]:
    wrong = (target != pred) & (target != VOID)
    pairs, pixels = np.unique(np.stack([target[wrong], pred[wrong]]), axis=1, return_counts=True)
    return {
        (int(from_label), int(to_label)): int(count)
        for (from_label, to_label), count in zip(pairs.T, pixels, strict=True)
    }


def _recipes() -> tuple[_Recipe, ...]:
    near_car = Shape(CAR, car(238, 60, 44))
    far_car = Shape(CAR, car(208, 330, 30))
    lorry = Shape(TRUCK, truck(214, 196, 62))
    walker = Shape(PERSON, person(206, 440, 54))
    pair = Shape(PERSON, person(212, 60, 60) | person(212, 96, 60))
    ghost = Shape(PERSON, person(226, 250, 66))
    bridge = Shape(PERSON, box(176, 70, 14, 36))
    slit = box(0, 108, 256, 8)

    return (
        _Recipe("perfect", (lorry, walker), lambda scene: scene, "nothing is wrong"),
        _Recipe(
            "boundary shift",
            (far_car, near_car, walker),
            lambda scene: _swap(scene, near_car, _shifted(near_car, 4)),
            "a car moved by 4 pixels: {pixels:,} pixels differ",
        ),
        _Recipe(
            "missed object",
            (lorry, far_car),
            lambda scene: tuple(shape for shape in scene if shape is not far_car),
            "a car of {pixels:,} pixels was missed",
        ),
        _Recipe(
            "invented object",
            (far_car, near_car),
            lambda scene: (*scene, ghost),
            "a person of {pixels:,} pixels was made up",
        ),
        _Recipe(
            "wrong class",
            (lorry, walker),
            lambda scene: _swap(scene, lorry, replace(lorry, label=CAR)),
            "a truck of {pixels:,} pixels was called a car",
        ),
        _Recipe(
            "split",
            (far_car, near_car),
            lambda scene: _swap(scene, near_car, replace(near_car, mask=near_car.mask & ~slit)),
            "a gap of {pixels:,} pixels cuts a car in two",
        ),
        _Recipe(
            "merge",
            (pair, far_car),
            lambda scene: (*scene, bridge),
            "a bridge of {pixels:,} pixels joins two persons",
        ),
        _Recipe(
            "ignored border",
            (near_car, walker),
            lambda scene: (*scene, Shape(TRUCK, void_frame())),
            "{ignored:,} pixels differ, all of them ignored",
        ),
    )


def _swap(scene: Scene, old: Shape, new: Shape) -> Scene:
    return tuple(new if shape is old else shape for shape in scene)


def _shifted(shape: Shape, columns: int) -> Shape:
    mask = np.zeros_like(shape.mask)
    mask[:, columns:] = shape.mask[:, :-columns]
    return replace(shape, mask=mask)
