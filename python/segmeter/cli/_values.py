"""Values of options: text from the command line or small files into Python values.

Every function raises ``ValueError`` with one line that names the option, what was given, and an
example of what is expected.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Color = tuple[int, int, int]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_UNITS = {"mm": "mm"} | dict.fromkeys(("px", "pixel", "pixels", "vx", "voxel", "voxels"), "pixel")


@dataclass(frozen=True, slots=True)
class Classes:
    """Names of the classes in order, and the label each has in the files."""

    names: tuple[str, ...]
    labels: tuple[int, ...]

    @property
    def in_order(self) -> bool:
        """Whether the labels are simply 0, 1, 2, ..."""
        return self.labels == tuple(range(len(self.labels)))


def classes(text: str) -> Classes:
    """Read class names from a comma list, or from a TXT, JSON or TOML file.

    A list gives the names of labels 0, 1, 2, ...; a table (JSON object, TOML table) gives names
    and labels in either direction. Both may stand under a key ``classes`` or ``labels``, as in
    nnU-Net's ``dataset.json``.

    Examples
    --------
    >>> classes("road,car").names
    ('road', 'car')
    """
    path = Path(text)
    if not _is_file_name(text, "--classes", suffixes=(".txt", ".json", ".toml")):
        return _listed_classes(text.split(","))
    if path.suffix.lower() not in (".json", ".toml"):
        return _listed_classes(_lines(path, "--classes"))
    content = _load(path, "--classes")
    if isinstance(content, dict):
        content = content.get("classes", content.get("labels", content))
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return _listed_classes(content)
    return _tabled_classes(content, path)


def _listed_classes(names: Sequence[str]) -> Classes:
    stripped = tuple(name.strip() for name in names)
    if not all(stripped):
        raise ValueError("--classes: a name is empty (expected for example road,car,person)")
    return Classes(stripped, tuple(range(len(stripped))))


def _tabled_classes(content: object, path: Path) -> Classes:
    rule = f"--classes: {path} must hold a list of names, or a table of names and labels"
    if not isinstance(content, dict) or not content:
        raise ValueError(rule)
    labels = {}
    for key, value in content.items():
        label, name = (value, key) if isinstance(value, int) else (key, value)
        if not isinstance(name, str) or not _is_integer(label):
            raise ValueError(f"{rule}; {key!r}: {value!r} is neither name: label nor label: name")
        if int(label) in labels:
            raise ValueError(f"--classes: {path} names label {label} twice")
        labels[int(label)] = name
    return Classes(tuple(labels[label] for label in sorted(labels)), tuple(sorted(labels)))


def mapping(text: str, option: str) -> dict[int, int | None]:
    """Read ``label:class`` pairs, or such pairs from a TXT, JSON or TOML file.

    Examples
    --------
    >>> mapping("255:1,7:ignore", "--mapping")
    {255: 1, 7: None}
    """
    if not _is_file_name(text, option, suffixes=(".txt", ".json", ".toml")):
        return _pairs([part.partition(":")[::2] for part in text.split(",")], option)
    path = Path(text)
    if path.suffix.lower() not in (".json", ".toml"):
        return _pairs([line.partition(":")[::2] for line in _lines(path, option)], option)
    content = _load(path, option)
    if isinstance(content, dict):
        content = content.get("mapping", content)
    if not isinstance(content, dict):
        raise ValueError(f"{option}: {path} must hold a table of labels and classes")
    return _pairs([(str(key), str(value)) for key, value in content.items()], option)


def _pairs(pairs: Sequence[tuple[str, str]], option: str) -> dict[int, int | None]:
    table: dict[int, int | None] = {}
    for key, value in pairs:
        key, value = key.strip(), value.strip()
        ignored = value.lower() in ("ignore", "none")  # None: a null of JSON
        if not _is_integer(key) or not (ignored or _is_integer(value)):
            example = "expected for example 255:1,7:ignore"
            raise ValueError(f"{option}: '{key}:{value}' is not label:class ({example})")
        if int(key) in table:
            raise ValueError(f"{option}: label {key} is mapped twice")
        table[int(key)] = None if ignored else int(value)
    return table


def groups(texts: Sequence[str]) -> dict[str, list[int | str]]:
    """Read label groups such as ``WT=1,2,4``; class names may stand for numbers.

    Examples
    --------
    >>> groups(["WT=1,2,4", "vehicle=car,truck"])
    {'WT': [1, 2, 4], 'vehicle': ['car', 'truck']}
    """
    table: dict[str, list[int | str]] = {}
    for text in texts:
        name, _, rest = (part.strip() for part in text.partition("="))
        members = [member.strip() for member in rest.split(",")]
        if not name or not all(members):
            raise ValueError(
                f"--label-groups: '{text}' is not NAME=classes (expected for example WT=1,2,4)"
            )
        if name in table:
            raise ValueError(f"--label-groups: the group '{name}' is given twice")
        table[name] = [int(member) if _is_integer(member) else member for member in members]
    return table


def listed(text: str, option: str, example: str) -> list[str]:
    """Read a comma list of words.

    Examples
    --------
    >>> listed("pixel, region", "--measures", "pixel,region")
    ['pixel', 'region']
    """
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise ValueError(f"{option}: a name is empty in '{text}' (expected for example {example})")
    return words


def listed_classes(text: str) -> list[int | str]:
    """Read a comma list of class names or indices.

    Examples
    --------
    >>> listed_classes("car,3")
    ['car', 3]
    """
    words = listed(text, "--things", "car,person")
    return [int(word) if _is_integer(word) else word for word in words]


def color_table(text: str, names: Sequence[str]) -> dict[Color, int]:
    """Read the label of every color from a TXT, CSV, JSON or TOML file.

    A TXT or CSV file has one ``red green blue`` a line, for the labels 0, 1, 2, ...; what follows
    the three numbers is not read. JSON and TOML hold a list of such triples, or a table from
    labels or class names to triples.
    """
    path = Path(text)
    if path.suffix.lower() in (".json", ".toml"):
        content = _load(path, "--color-table")
        if isinstance(content, dict):
            content = content.get("colors", content)
    else:
        lines = _lines(path, "--color-table")
        content = [_triple(line, path) for line in lines]
    if not isinstance(content, dict | list) or not content:
        raise ValueError(f"--color-table: {path} must hold a list or a table of colors")
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    table: dict[Color, int] = {}
    for key, value in entries:
        color = _color(value, path)
        if color in table:
            raise ValueError(f"--color-table: {path} gives the color {color} two labels")
        table[color] = names.index(key) if key in names else _label(key, path)
    return table


def _triple(line: str, path: Path) -> list[str]:
    """Three numbers of a line; a fourth could be a label or an opacity."""
    parts = line.replace(",", " ").split()
    if len(parts) > 3 and _is_integer(parts[3]):
        raise ValueError(
            f"--color-table: {path}: '{line}' has more than three numbers; a line is red green blue"
            " for the labels 0, 1, 2, ... in order (other labels: a JSON file)"
        )
    return parts[:3]


def _color(value: object, path: Path) -> Color:
    parts = value if isinstance(value, list) else []
    if len(parts) != 3 or not all(_is_integer(p) and 0 <= int(p) <= 255 for p in parts):
        raise ValueError(f"--color-table: {path}: {value!r} is not red, green, blue from 0 to 255")
    red, green, blue = (int(part) for part in parts)
    return red, green, blue


def _label(key: object, path: Path) -> int:
    if not _is_integer(key):
        raise ValueError(f"--color-table: {path}: {key!r} is neither a label nor a class name")
    return int(str(key))


def spacing(text: str) -> str | list[float]:
    """Read ``auto``, ``pixel`` or a number for each axis.

    Examples
    --------
    >>> spacing("auto"), spacing("3, 0.8, 0.8")
    ('auto', [3.0, 0.8, 0.8])
    """
    if text.strip() in ("auto", "pixel"):
        return text.strip()
    example = "auto, pixel, or for example 3,0.8,0.8"
    values, unit = _distances(text.split(","), "--spacing", example)
    if unit == "pixel":
        raise ValueError(f"--spacing: '{text}' is no size of a pixel (expected {example})")
    return values


def tolerance(text: str) -> tuple[list[float] | dict[str, float], str | None]:
    """Read distances for all classes, or one for each class by its name; and their unit, if any.

    One unit, wherever it stands, is that of all.

    Examples
    --------
    >>> tolerance("0.5,1"), tolerance("liver=2, tumour=1mm")
    (([0.5, 1.0], None), ({'liver': 2.0, 'tumour': 1.0}, 'mm'))
    >>> tolerance("2px")
    ([2.0], 'pixel')
    """
    example = "for example 1,2 or 1,2mm or 2px or liver=2,tumour=1"
    if "=" not in text:
        return _distances(text.split(","), "--tolerance", example)
    table: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.rpartition("="))
        if not name:
            raise ValueError(f"--tolerance: '{part}' is not CLASS=distance (expected {example})")
        if name in table:
            raise ValueError(f"--tolerance: the class '{name}' is named twice")
        table[name] = value
    values, unit = _distances(table.values(), "--tolerance", example)
    return dict(zip(table, values, strict=True)), unit


def _distances(texts: Iterable[str], option: str, example: str) -> tuple[list[float], str | None]:
    """Numbers, and the unit that one or all of them have."""
    values, units = [], dict[str, str]()
    for text in texts:
        number = text.strip().lower().rstrip(_LETTERS)
        unit = text.strip()[len(number) :]
        try:
            values.append(float(number if unit.lower() in _UNITS else text))
        except ValueError:
            raise ValueError(f"{option}: '{text}' is no number (expected {example})") from None
        if unit.lower() in _UNITS:
            units[_UNITS[unit.lower()]] = unit
    if len(units) > 1:
        raise ValueError(f"{option}: {' and '.join(units.values())} are two units; give all in one")
    return values, next(iter(units), None)


def limit(text: str) -> tuple[str, float]:
    """Read a limit on a distance such as ``mean_hd95_per_image=5``.

    Examples
    --------
    >>> limit("hd95_per_image:liver=5")
    ('hd95_per_image:liver', 5.0)
    """
    return _limit(text, "--fail-over", "DISTANCE", "mean_hd95_per_image=5")


def gate(text: str) -> tuple[str, float]:
    """Read a gate such as ``mean_iou=0.75``, or on one class or group, ``iou:road=0.9``.

    Examples
    --------
    >>> gate("mean_iou=0.75"), gate("iou:road=0.9")
    (('mean_iou', 0.75), ('iou:road', 0.9))
    """
    name, number = _limit(text, "--fail-under", "SCORE", "mean_iou=0.75")
    if number > 1:
        raise ValueError(f"--fail-under: '{text}': no score is above 1 (75 % is {name}=0.75)")
    return name, number


def _limit(text: str, option: str, what: str, example: str) -> tuple[str, float]:
    name, _, limit = (part.strip() for part in text.rpartition("="))
    try:
        number = float(limit)
    except ValueError:
        number = float("nan")
    if not name or number != number:
        raise ValueError(
            f"{option}: '{text}' is not {what}=number (expected for example {example})"
        )
    return name, number


def _is_file_name(text: str, option: str, *, suffixes: tuple[str, ...]) -> bool:
    """Tell a file from a list in place; a missing file that looks like one is an error."""
    if Path(text).is_file():
        return True
    if text.lower().endswith(suffixes):
        raise ValueError(f"{option}: there is no file '{text}'")
    return False


def _lines(path: Path, option: str) -> list[str]:
    lines = [line.strip() for line in _text(path, option).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _load(path: Path, option: str) -> Any:
    text = _text(path, option)
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ValueError(f"{option}: {path} cannot be read: {error}") from error


def _text(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{option}: {path} cannot be read: {error}") from error


def _is_integer(value: object) -> bool:
    try:
        int(str(value))
    except ValueError:
        return False
    return not isinstance(value, bool)
