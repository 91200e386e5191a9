"""How two label maps are read for their surfaces: which labels make up which measured class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._arrays import as_array
from ..pixel._matrix import (
    Rules,
    check_labels,
    ignored_labels,
    label_value,
    mask_of,
    require_mask,
    rules_of,
)
from ..region._runs import bits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

# What a label can be besides a class; the kernel's numbers.
NOBODYS, IGNORED, INVALID = -1, -2, -3

MAX_GROUPS = 65_535
ClassName = int | str


class Meaning(NamedTuple):
    """What the labels of one map are: a class, or one of the numbers above."""

    roles: dict[int, int]
    other: int

    def native(self, dtype: np.dtype[Any]) -> tuple[IntArray, NDArray[np.int32], int]:
        """Labels that a map of this type can hold, by their bits, and their roles."""
        pairs = [(bits_of(label, dtype), role) for label, role in self.roles.items()]
        held = [(bits, role) for bits, role in pairs if bits is not None]
        labels, roles = zip(*held, strict=True) if held else ((), ())
        return np.array(labels, np.int64), np.array(roles, np.int32), self.other


class Reading(NamedTuple):
    """The validated form of the arguments that say what is measured.

    ``names`` are those of the result, each a group of classes: class ``c`` is part of the groups
    ``members[first[c]:first[c + 1]]``. Without ``names`` the maps are masks.
    """

    names: tuple[ClassName, ...] | None
    pred: Meaning
    target: Meaning
    first: IntArray
    members: NDArray[np.int32]
    rules: Rules | None

    def require_valid(
        self, pred: NDArray[Any], target: NDArray[Any], mask: NDArray[np.bool_] | None
    ) -> None:
        """Complain about labels that are no class, if a pixel that counts has one."""
        if self.rules is not None:
            odd = self.rules.native.count(pred, target, mask, False)[2]
            if odd is not None:
                check_labels(pred, target, mask, self.rules, odd)


def reading_of(
    num_classes: Any,
    classes: Any,
    groups: Any,
    labels: Any,
    pred_labels: Any,
    reduce_zero_label: bool,
    out_of_range: str,
    ignore_index: Any,
    background: Any,
) -> Reading:
    """Validate what is to be measured."""
    if classes is not None and groups is not None:
        raise ValueError(
            "classes and groups exclude each other: a group of one class is that class"
        )
    if background is not None:
        background = label_value(background, "background")
    if num_classes is None:
        for name, value, default in (
            ("labels", labels, None),
            ("pred_labels", pred_labels, None),
            ("reduce_zero_label", reduce_zero_label, False),
            ("out_of_range", out_of_range, "raise"),
        ):
            if value is not default and value != default:
                raise ValueError(f"{name} is for maps of num_classes classes: pass num_classes too")
        ignored = set(ignored_labels(ignore_index))
        if classes is None and groups is None:
            return _masks(ignored, background)
        return _labels_as_they_are(_groups_of(classes, groups, None, ignored), ignored)
    rules = rules_of(
        num_classes, ignore_index, labels, pred_labels, reduce_zero_label, out_of_range, True, 0
    )
    gone = set(rules.ignored_classes)
    if classes is None and groups is None:
        classes = [k for k in range(rules.num_classes) if k != background and k not in gone]
    return _of_rules(_groups_of(classes, groups, rules.num_classes, gone), rules)


def _masks(ignored: set[int], background: int | None) -> Reading:
    if background is None:
        raise ValueError(
            "background=None measures all classes: pass num_classes, or classes, the label values"
        )
    away = dict.fromkeys(ignored, NOBODYS) | {background: NOBODYS}
    return Reading(
        None,
        Meaning(away, 0),
        Meaning(away | dict.fromkeys(ignored, IGNORED), 0),
        *_memberships([[0]], 1),
        None,
    )


def _labels_as_they_are(groups: dict[ClassName, list[int]], ignored: set[int]) -> Reading:
    index = {label: c for c, label in enumerate(sorted({v for m in groups.values() for v in m}))}
    members = [[index[label] for label in labels] for labels in groups.values()]
    return Reading(
        tuple(groups),
        Meaning(index, NOBODYS),
        Meaning(index | dict.fromkeys(ignored, IGNORED), NOBODYS),
        *_memberships(members, len(index)),
        None,
    )


def _of_rules(groups: dict[ClassName, list[int]], rules: Rules) -> Reading:
    index = {
        k: c for c, k in enumerate(sorted({k for members in groups.values() for k in members}))
    }
    sides = []
    for mapping, void, other in (
        (rules.pred_mapping, NOBODYS, NOBODYS if rules.out_of_range == "wrong" else INVALID),
        (rules.target_mapping, IGNORED, INVALID),
    ):
        pairs = zip(*(part.tolist() for part in mapping), strict=True) if mapping else ()
        meant = dict(pairs) if mapping else {k: k for k in range(rules.num_classes)}
        roles = {v: void if k < 0 else index.get(k, NOBODYS) for v, k in meant.items()}
        sides.append(Meaning(roles, IGNORED if rules.out_of_range == "ignore" else other))
    members = [[index[k] for k in those] for those in groups.values()]
    return Reading(tuple(groups), sides[0], sides[1], *_memberships(members, len(index)), rules)


def _memberships(groups: list[list[int]], num_classes: int) -> tuple[IntArray, NDArray[np.int32]]:
    """Groups of each class, one class after the other, and where those of each begin."""
    of_class: list[list[int]] = [[] for _ in range(num_classes)]
    for g, members in enumerate(groups):
        for c in members:
            of_class[c].append(g)
    first = np.cumsum([0, *map(len, of_class)], dtype=np.int64)
    return first, np.array([g for those in of_class for g in those], np.int32)


def _groups_of(
    classes: Any, groups: Any, num_classes: int | None, ignored: set[int]
) -> dict[ClassName, list[int]]:
    if groups is None:
        if isinstance(classes, str) or not isinstance(classes, Sequence | np.ndarray | range):
            raise TypeError(f"classes must be a sequence of integers, got {classes!r}")
        named: dict[ClassName, list[int]] = {
            k: [k] for k in _distinct(classes, "classes", num_classes, ignored)
        }
    else:
        if not isinstance(groups, Mapping) or not groups:
            raise TypeError(f"groups must map names to classes, got {groups!r}")
        named = {
            name: _distinct(members, f"groups[{name!r}]", num_classes, ignored)
            for name, members in groups.items()
        }
    if len(named) > MAX_GROUPS:
        raise ValueError(f"at most {MAX_GROUPS} classes are measured at once, got {len(named)}")
    return named


def _distinct(values: Any, name: str, num_classes: int | None, ignored: set[int]) -> list[int]:
    """Classes, each of them once and measurable."""
    found = [label_value(value, name) for value in values]
    for k in found:
        if num_classes is not None and not 0 <= k < num_classes:
            raise ValueError(f"{name} names class {k}, outside 0..{num_classes - 1}")
        if k in ignored:
            raise ValueError(f"{name} names class {k}, which is ignored")
    if len(set(found)) != len(found):
        raise ValueError(f"{name} must name each class once, got {found}")
    if not found and name != "classes":
        raise ValueError(f"{name} must name at least one class")
    return found


def label_of_masks(
    pred: NDArray[Any], target: NDArray[Any], met: Sequence[tuple[int, int] | None]
) -> int:
    """The one label of two masks, from the lowest and highest bit pattern met in each."""
    found = set()
    for array, bits in zip((pred, target), met, strict=True):
        if bits is not None and array.dtype.kind != "b":
            found |= {_from_bits(value, array.dtype) for value in bits}
    if len(found) > 1:
        raise ValueError(
            "masks hold one label besides the background, but pred and target hold "
            f"{' and '.join(map(str, sorted(found)))}: pass num_classes, or classes, the labels to "
            "measure"
        )
    return found.pop() if found else 1


def _from_bits(bits: int, dtype: np.dtype[Any]) -> int:
    size = 8 * dtype.itemsize
    return bits - 2**size if dtype.kind == "i" and bits >= 2 ** (size - 1) else bits


def ignored_mask(ignore_index: Any, target: NDArray[Any]) -> NDArray[np.bool_] | None:
    """The mask among the forms of ``ignore_index``, of the maps' shape."""
    given = mask_of(ignore_index)
    if given is None:
        return None
    mask = as_array(given, "ignore_index")
    require_mask(mask, target)
    return mask
