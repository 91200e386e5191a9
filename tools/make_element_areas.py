"""Derive the surface elements of marching cubes from geometry, and write the tables that hold them.

    python tools/make_element_areas.py            # writes both tables
    python tools/make_element_areas.py --check    # exit 1 if a table is not what would be written

A surface element lives where the centres of a 2x2x2 block of voxels are not all of one kind. Its
code has one bit per centre, 128 for (0, 0, 0) down to 1 for (1, 1, 1), the last axis running
fastest. On every edge of the block whose ends differ the surface crosses in the middle; within
every face the crossings are joined; the segments close to polygons; the polygons are cut into
triangles. A triangle is kept as its area vector (normal times area) in eighths of the unit block:
with spacing s its area is the length of (v0 s1 s2, v1 s0 s2, v2 s0 s1) / 8. Signs carry nothing,
parallel triangles are summed.

Geometry leaves three choices open. They are made here so that the areas are those of the classic
table of marching cubes (the one that surface-distance by DeepMind and most others build on;
tests/test_boundary_elements.py compares all 256 codes):

1. A face whose diagonals differ can be joined in two ways. The kind with fewer corners is the one
   that is cut apart. With four corners each the inside is cut apart, except where either kind is
   three corners in a row and a lone one: then the lone corner whose coordinates have an odd sum
   is cut off, or its counterpart if that corner is (1, 0, 0).
2. Polygons that are not flat are cut into triangles so that their total area is largest.
3. That leaves one tie: the hexagon around four corners in a screw a-b-c-d. It gets one large
   triangle that faces a middle corner, b or c. One of the screw's arms, a-b and c-d, lies along
   the earlier, one along the later of the two axes that b-c does not run along. The corner is
   the one with the arm along the earlier axis where b-c lies at 1 on the later axis, the other
   one where it lies at 0.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from pathlib import Path

Point = tuple[int, int, int]
Triangulation = list[tuple[int, int, int]]

ROOT = Path(__file__).resolve().parents[1]
PYTHON_TABLE = ROOT / "python" / "segmeter" / "boundary" / "_element_areas.py"
CPP_TABLE = ROOT / "cpp" / "include" / "segmeter" / "boundary" / "element_areas.hpp"

CORNERS: list[Point] = list(itertools.product((0, 1), repeat=3))  # type: ignore[arg-type]


def is_inside(code: int, corner: Point) -> bool:
    return bool(code >> (7 - CORNERS.index(corner)) & 1)


def differing_axes(a: Point, b: Point) -> list[int]:
    return [axis for axis in range(3) if a[axis] != b[axis]]


def are_neighbours(a: Point, b: Point) -> bool:
    return len(differing_axes(a, b)) == 1


def lone_corners(corners: list[Point]) -> list[Point]:
    return [a for a in corners if not any(are_neighbours(a, b) for b in corners)]


def cuts_inside_apart(code: int) -> bool:
    """Choice 1: on an ambiguous face, whether the inside corners (or the outside ones) part."""
    inside = [corner for corner in CORNERS if is_inside(code, corner)]
    outside = [corner for corner in CORNERS if not is_inside(code, corner)]
    if len(inside) != len(outside):
        return len(inside) < len(outside)
    if len(lone_corners(inside)) != 1:
        return True
    (inner,) = lone_corners(inside)
    odd, even = sorted((inner, *lone_corners(outside)), key=lambda c: -(sum(c) % 2))
    return inner == (even if odd == (1, 0, 0) else odd)


def faces() -> list[list[Point]]:
    """The corners of each of the six faces, in cyclic order."""
    found = []
    for axis, side in itertools.product(range(3), (0, 1)):
        face = []
        for u, v in ((0, 0), (0, 1), (1, 1), (1, 0)):
            corner = [u, v]
            corner.insert(axis, side)
            face.append((corner[0], corner[1], corner[2]))
        found.append(face)
    return found


def crossing(a: Point, b: Point) -> Point:
    """Middle of an edge, in half units."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def polygons(code: int) -> list[list[Point]]:
    """The closed polygons of the surface within the block, as crossings in cyclic order."""
    cut_apart = cuts_inside_apart(code)
    joined: dict[Point, list[Point]] = {}

    def join(a: Point, b: Point) -> None:
        joined.setdefault(a, []).append(b)
        joined.setdefault(b, []).append(a)

    for face in faces():
        edges = [(face[i], face[(i + 1) % 4]) for i in range(4)]
        crossed = [edge for edge in edges if is_inside(code, edge[0]) != is_inside(code, edge[1])]
        if len(crossed) == 2:
            join(crossing(*crossed[0]), crossing(*crossed[1]))
        elif len(crossed) == 4:
            for i in range(4):
                if is_inside(code, face[i]) == cut_apart:
                    join(crossing(*edges[i - 1]), crossing(*edges[i]))

    found = []
    left = set(joined)
    while left:
        polygon = [min(left)]
        left.remove(polygon[0])
        while following := [point for point in joined[polygon[-1]] if point in left]:
            polygon.append(following[0])
            left.remove(following[0])
        found.append(polygon)
    return found


def triangulations(first: int, last: int) -> list[Triangulation]:
    """All ways to cut the polygon of the points first, first + 1, ..., last into triangles."""
    if last - first < 2:
        return [[]]
    return [
        [*left, *right, (first, middle, last)]
        for middle in range(first + 1, last)
        for left in triangulations(first, middle)
        for right in triangulations(middle, last)
    ]


def unsigned(vector: Point) -> Point:
    """The vector or its opposite: the one whose first non-zero component is positive."""
    return vector if vector > (0, 0, 0) else (-vector[0], -vector[1], -vector[2])


def area_vector(a: Point, b: Point, c: Point) -> Point:
    """Of a triangle given in half units: in eighths of a unit."""
    u = [b[i] - a[i] for i in range(3)]
    v = [c[i] - a[i] for i in range(3)]
    return unsigned(
        (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    )


def summed_if_parallel(vectors: list[Point]) -> tuple[Point, ...]:
    """Vectors of one direction become one: their lengths add at every spacing."""
    lengths: dict[Point, int] = {}
    for vector in vectors:
        length = math.gcd(*vector)
        direction = (vector[0] // length, vector[1] // length, vector[2] // length)
        lengths[direction] = lengths.get(direction, 0) + length
    return tuple(sorted((d[0] * n, d[1] * n, d[2] * n) for d, n in lengths.items()))


def unit_area(vectors: tuple[Point, ...]) -> float:
    return math.fsum(math.hypot(*vector) for vector in vectors)


def facing_corner(code: int) -> Point:
    """Choice 3: the corner of a screw of four that the large triangle faces."""
    inside = [corner for corner in CORNERS if is_inside(code, corner)]
    ends = [a for a in inside if sum(are_neighbours(a, b) for b in inside) == 1]
    middle = [a for a in inside if a not in ends]
    (along,) = differing_axes(middle[0], middle[1])
    earlier, later = (axis for axis in range(3) if axis != along)
    wanted = earlier if middle[0][later] == 1 else later
    (chosen,) = (b for b in middle for a in ends if differing_axes(a, b) == [wanted])
    return chosen


def polygon_vectors(code: int, polygon: list[Point]) -> list[Point]:
    """The area vectors of the polygon's triangles by choices 2 and 3."""
    candidates = {
        summed_if_parallel([area_vector(*(polygon[i] for i in corners)) for corners in way])
        for way in triangulations(0, len(polygon) - 1)
    }
    largest = max(map(unit_area, candidates))
    best = [vectors for vectors in candidates if unit_area(vectors) > largest - 1e-9]
    if len(best) > 1:
        x, y, z = (2 * c - 1 for c in facing_corner(code))
        large = unsigned((4 * x, 4 * y, 4 * z))  # with a small triangle parallel to it
        best = [vectors for vectors in best if large in vectors]
    (vectors,) = best
    return list(vectors)


def element_vectors() -> list[tuple[Point, ...]]:
    """The area vectors of every code."""
    return [
        summed_if_parallel(
            [v for polygon in polygons(code) for v in polygon_vectors(code, polygon)]
        )
        for code in range(256)
    ]


PYTHON_HEAD = '''"""Elements of marching squares and cubes: what a corner of the voxel grid weighs.

Written by tools/make_element_areas.py, which derives the table and says how; do not edit.
A code has one bit per voxel centre of the 2x2x2 (2x2) block around the corner: 128 (8) for the
first, 1 for the last, the last axis running fastest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Area vectors of the triangles of every code, in eighths of a voxel; parallel ones are summed.
ELEMENT_VECTORS: tuple[tuple[tuple[int, int, int], ...], ...] = (
'''

PYTHON_TAIL = ''')


def element_areas(spacing: Sequence[float]) -> NDArray[np.float64]:
    """Area of the surface element of each of the 256 codes, or length of each of the 16 in 2-D."""
    if len(spacing) == 2:
        return _element_lengths(float(spacing[0]), float(spacing[1]))
    s0, s1, s2 = (float(s) for s in spacing)
    areas = np.zeros(256)
    for code, vectors in enumerate(ELEMENT_VECTORS):
        for v0, v1, v2 in vectors:
            x, y, z = v0 / 8 * s1 * s2, v1 / 8 * s0 * s2, v2 / 8 * s0 * s1
            areas[code] += np.sqrt(x * x + y * y + z * z)
    return areas


def _element_lengths(s0: float, s1: float) -> NDArray[np.float64]:
    """Marching squares: a segment along an axis, or one that cuts off a corner, or two of these."""
    lengths = np.full(16, 0.5 * np.sqrt(s0 * s0 + s1 * s1))
    lengths[[0b0000, 0b1111]] = 0
    lengths[[0b0011, 0b1100]] = s1
    lengths[[0b0101, 0b1010]] = s0
    lengths[[0b0110, 0b1001]] *= 2
    return lengths
'''

CPP_HEAD = """// Elements of marching squares and cubes: what a corner of the voxel grid weighs.
// Written by tools/make_element_areas.py, which derives the table and says how; do not edit.
//
// A code has one bit per voxel centre of the 2x2x2 (2x2) block around the corner: 128 (8) for the
// first, 1 for the last, the last axis running fastest.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace segmeter {

using ElementVector = std::array<std::int8_t, 3>;

// Area vectors of the triangles of every code, in eighths of a voxel; parallel ones are summed.
// Unused places are zero.
inline constexpr std::array<std::array<ElementVector, 4>, 256> kElementVectors = {{
"""

CPP_TAIL = """}};

// Area of the surface element of every code at this spacing.
inline std::array<double, 256> element_areas(std::span<const double, 3> s) {
    std::array<double, 256> areas{};
    for (std::size_t code = 0; code < areas.size(); ++code) {
        for (const ElementVector& v : kElementVectors[code]) {
            const double x = v[0] / 8.0 * s[1] * s[2];
            const double y = v[1] / 8.0 * s[0] * s[2];
            const double z = v[2] / 8.0 * s[0] * s[1];
            areas[code] += std::sqrt(x * x + y * y + z * z);
        }
    }
    return areas;
}

// Length of the contour element of every code of a 2x2 block: a segment along an axis, or one
// that cuts off a corner, or two of these.
inline std::array<double, 16> element_lengths(std::span<const double, 2> s) {
    const double diagonal = 0.5 * std::sqrt(s[0] * s[0] + s[1] * s[1]);
    std::array<double, 16> lengths;
    lengths.fill(diagonal);
    lengths[0b0000] = lengths[0b1111] = 0;
    lengths[0b0011] = lengths[0b1100] = s[1];
    lengths[0b0101] = lengths[0b1010] = s[0];
    lengths[0b0110] = lengths[0b1001] = 2 * diagonal;
    return lengths;
}

}  // namespace segmeter
"""


def python_table(vectors: list[tuple[Point, ...]]) -> str:
    lines = (f"    {code!r},\n" for code in vectors)
    return PYTHON_HEAD + "".join(lines) + PYTHON_TAIL


def cpp_table(vectors: list[tuple[Point, ...]]) -> str:
    lines = []
    for code in vectors:
        padded = [*code, *[(0, 0, 0)] * (4 - len(code))]
        lines.append("    {{" + ", ".join(f"{{{x}, {y}, {z}}}" for x, y, z in padded) + "}},\n")
    return CPP_HEAD + "".join(lines) + CPP_TAIL


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    vectors = element_vectors()
    stale = 0
    for path, text in ((PYTHON_TABLE, python_table(vectors)), (CPP_TABLE, cpp_table(vectors))):
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            print(f"{path.relative_to(ROOT)} is not what its generator writes")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
