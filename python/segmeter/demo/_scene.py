"""Street scenes as lists of shapes, painted from back to front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

CLASS_NAMES: Final = (
    "road",
    "sidewalk",
    "building",
    "tree",
    "sky",
    "pole",
    "car",
    "truck",
    "person",
    "bicycle",
)
"""Names of the classes; the label of a class is its position. No scene holds a bicycle."""

VOID: Final = 255
"""Label of the frame around every image and of the bonnet of the recording car."""

COLORS: Final = {
    0: (92, 84, 104),
    1: (201, 160, 190),
    2: (120, 116, 110),
    3: (88, 140, 62),
    4: (126, 178, 214),
    5: (222, 196, 90),
    6: (44, 82, 190),
    7: (118, 58, 150),
    8: (214, 66, 74),
    9: (140, 30, 40),
    VOID: (0, 0, 0),
}
"""Red, green and blue (0 to 255) of every label, as written to the palette of the files."""

HEIGHT: Final = 256
WIDTH: Final = 512

ROAD, SIDEWALK, BUILDING, TREE, SKY, POLE, CAR, TRUCK, PERSON = range(9)

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.uint8]

_ROW = np.arange(HEIGHT, dtype=np.int64)[:, np.newaxis]
_COLUMN = np.arange(WIDTH, dtype=np.int64)[np.newaxis, :]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One thing in the scene: its label, and the pixels it would cover if it were in front."""

    label: int
    mask: Mask


Scene = tuple[Shape, ...]


def paint(scene: Scene) -> LabelMap:
    """Paint the shapes of a scene over each other, the first at the back."""
    labels = np.full((HEIGHT, WIDTH), VOID, np.uint8)
    for shape in scene:
        labels[shape.mask] = shape.label
    return labels


def box(top: int, left: int, height: int, width: int) -> Mask:
    """Rectangle; parts outside the image are cut off."""
    rows = (top <= _ROW) & (top + height > _ROW)
    columns = (left <= _COLUMN) & (left + width > _COLUMN)
    return rows & columns


def ellipse(row: int, column: int, row_radius: int, column_radius: int) -> Mask:
    """Filled ellipse, by an integer inequality so that no rounding can differ."""
    vertical = (_ROW - row) ** 2 * column_radius**2
    horizontal = (_COLUMN - column) ** 2 * row_radius**2
    inside: Mask = vertical + horizontal <= row_radius**2 * column_radius**2
    return inside


def car(bottom: int, left: int, size: int) -> Mask:
    """Car seen from the side, ``size`` pixels high and 5/2 times as long."""
    length = 5 * size // 2
    wheel = size // 5
    body = box(bottom - 3 * size // 4, left, 5 * size // 8, length)
    cabin = ellipse(bottom - 5 * size // 8, left + length // 2, 3 * size // 8, length // 3)
    wheels = ellipse(bottom - wheel, left + length // 5, wheel, wheel)
    wheels |= ellipse(bottom - wheel, left + 4 * length // 5, wheel, wheel)
    return body | cabin | wheels


def truck(bottom: int, left: int, size: int) -> Mask:
    """Truck seen from the side, ``size`` pixels high and 7/4 times as long."""
    length = 7 * size // 4
    wheel = size // 8
    load = box(bottom - size, left, 7 * size // 8, 5 * length // 7)
    cab = box(bottom - 3 * size // 4, left + 5 * length // 7 + 2, 5 * size // 8, 2 * length // 7)
    axle = box(bottom - size // 4, left, size // 8, length)
    wheels = ellipse(bottom - wheel, left + length // 6, wheel, wheel)
    wheels |= ellipse(bottom - wheel, left + 5 * length // 6, wheel, wheel)
    return load | cab | axle | wheels


def person(bottom: int, left: int, size: int) -> Mask:
    """Person seen from the front, ``size`` pixels high and a third as wide."""
    width = size // 3
    middle = left + width // 2
    head = ellipse(bottom - 7 * size // 8, middle, size // 8, size // 9)
    trunk = ellipse(bottom - 9 * size // 16, middle, size // 4, width // 2)
    leg = max(width // 3, 1)
    legs = box(bottom - size // 2, middle - leg - 1, size // 2, leg)
    legs |= box(bottom - size // 2, middle + 2, size // 2, leg)
    return head | trunk | legs


def backdrop(number: int) -> Scene:
    """Sky, houses, trees, pavement and road of scene ``number``; no two are alike."""
    horizon = 132
    houses = np.zeros((HEIGHT, WIDTH), np.bool_)
    left = -(number * 29 % 60)
    for house in range(9):
        width = 46 + (house * 31 + number * 17) % 40
        height = 40 + (house * 47 + number * 23) % 66
        houses |= box(horizon - height, left, height + 30, width)
        left += width + (house * 13 + number * 7) % 9
    trees = np.zeros((HEIGHT, WIDTH), np.bool_)
    for tree in range(5):
        column = (tree * 113 + number * 71) % WIDTH
        radius = 15 + (tree * 7 + number * 5) % 12
        trees |= ellipse(horizon - 14, column, radius, radius + 5)
        trees |= box(horizon - 14, column - 2, 40, 5)
    poles = np.zeros((HEIGHT, WIDTH), np.bool_)
    for pole in range(3):
        column = (60 + pole * 180 + number * 47) % WIDTH
        poles |= box(horizon - 72, column, 100, 4) | box(horizon - 72, column - 7, 14, 18)
    return (
        Shape(SKY, box(0, 0, HEIGHT, WIDTH)),
        Shape(BUILDING, houses),
        Shape(TREE, trees),
        Shape(SIDEWALK, box(horizon + 22, 0, HEIGHT, WIDTH)),
        Shape(ROAD, box(horizon + 46 + number % 3 * 4, 0, HEIGHT, WIDTH)),
        Shape(POLE, poles),
    )


def void_frame() -> Mask:
    """Pixels nobody annotates: a frame of six pixels and the bonnet of the recording car."""
    frame = ~box(6, 6, HEIGHT - 12, WIDTH - 12)
    return frame | ellipse(HEIGHT + 10, WIDTH // 2, 34, 190)
