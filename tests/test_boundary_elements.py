"""Elements of marching squares and cubes: derived here, equal to what others tabulate."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segmeter.boundary._element_areas import ELEMENT_VECTORS, element_areas

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

SPACINGS = [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (5.0, 0.78, 0.4), (0.3, 2.5, 7.0)]
GENERATOR = Path(__file__).resolve().parents[1] / "tools" / "make_element_areas.py"


def test_the_tables_are_what_the_generator_writes() -> None:
    generator: dict[str, Any] = runpy.run_path(str(GENERATOR))
    vectors = generator["element_vectors"]()
    assert generator["PYTHON_TABLE"].read_text() == generator["python_table"](vectors)
    assert generator["CPP_TABLE"].read_text() == generator["cpp_table"](vectors)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas_of_all_codes_are_deepminds(
    peer: Callable[[str], ModuleType], spacing: tuple[float, float, float]
) -> None:
    tables = peer("surface_distance.lookup_tables")
    theirs = tables.create_table_neighbour_code_to_surface_area(spacing)
    np.testing.assert_allclose(element_areas(spacing), theirs, rtol=1e-15)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.7), (0.3, 5.0)])
def test_lengths_of_all_codes_are_deepminds(
    peer: Callable[[str], ModuleType], spacing: tuple[float, float]
) -> None:
    tables = peer("surface_distance.lookup_tables")
    theirs = tables.create_table_neighbour_code_to_contour_length(spacing)
    np.testing.assert_allclose(element_areas(spacing), theirs, rtol=1e-15)


def test_known_shapes() -> None:
    s0, s1, s2 = spacing = (3.0, 2.0, 0.5)
    areas = element_areas(spacing)
    assert areas[0] == areas[255] == 0
    # A flat wall across each axis.
    assert areas[0b00001111] == pytest.approx(s1 * s2)
    assert areas[0b00110011] == pytest.approx(s0 * s2)
    assert areas[0b01010101] == pytest.approx(s0 * s1)
    # One corner cut off: the triangle through the middles of its three edges.
    sides = np.array([[s0, -s1, 0], [s0, 0, -s2]]) / 2
    corner = np.linalg.norm(np.cross(*sides)) / 2
    assert areas[[1 << bit for bit in range(8)]] == pytest.approx(corner)
    # Opposite corners are cut off one by one.
    assert areas[0b10000001] == pytest.approx(2 * corner)


def test_inside_and_outside_trade_places_where_nothing_was_chosen() -> None:
    for code in range(256):
        if code.bit_count() != 4:
            assert ELEMENT_VECTORS[code] == ELEMENT_VECTORS[255 - code]
