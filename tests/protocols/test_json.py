"""JSON of data sets: the same values with and without the faster decoder."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmeter.evaluation.protocols._json import read_json
from segmeter.evaluation.protocols.coco_panoptic import read_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

TEXTS = (
    "[NaN, -Infinity, 1e400]",
    '"\\ud800"',
    "\ufeff{}",
    "123456789012345678901234567890",
    "[-0]",
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module", params=["msgspec", "json"])
def decoder(request: pytest.FixtureRequest, peer: Callable[[str], ModuleType]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "json":
            patch.setitem(sys.modules, "msgspec", None)
        else:
            peer("msgspec")
        yield request.param


@given(value=values)
def test_values_come_back(
    decoder: str, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{decoder}.json"
    path.write_text(json.dumps(value))
    got = read_json(path)
    assert got == value
    assert repr(got) == repr(value)  # floats stay floats, and -0.0 keeps its sign


@pytest.mark.parametrize("text", TEXTS)
def test_what_the_standard_library_takes_is_taken(decoder: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    assert decoder
    assert repr(read_json(path)) == repr(json.loads(text.removeprefix("\ufeff")))


def test_numbers_beyond_float64_are_infinite(decoder: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"score": 1e999}')
    assert decoder
    assert read_json(tmp_path / "a.json")["score"] == math.inf


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", ValueError),
        (b"[1,]", ValueError),
        (b'{"a": "\xff"}', ValueError),
        (b"[" * 200_000, RecursionError),
    ],
)
def test_what_is_no_json(decoder: str, content: bytes, error: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert decoder
    with pytest.raises(error):
        read_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"a\.json cannot be read"):
        read_dataset(str(tmp_path / "a.json"), str(tmp_path / "a.json"))
