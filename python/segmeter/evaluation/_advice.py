"""A rule that would pair most of what did not pair, guessed from the names."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS = "_-. "
_LAST_NUMBER = r"0*(\d+)\D*$"


@dataclass(frozen=True, slots=True)
class Rule:
    """Options of :func:`pair_files` that would pair more; as text, what the command line takes."""

    pred_suffix: str | None = None
    target_suffix: str | None = None
    pattern: str | None = None

    def __str__(self) -> str:
        options = (
            ("--pred-suffix", self.pred_suffix),
            ("--target-suffix", self.target_suffix),
            ("--pattern", self.pattern),
        )
        return " ".join(f"{name} {shlex.quote(value)}" for name, value in options if value)


def guess_rule(pred_keys: Sequence[str], target_keys: Sequence[str]) -> tuple[Rule, int] | None:
    r"""Suffix rules (or a pattern, for prefixes or numbers) that would pair most of two lists.

    Parameters
    ----------
    pred_keys, target_keys : sequence of str
        Names that did not pair, without file suffix.

    Returns
    -------
    tuple (Rule, int) or None
        The rule and the number of pairs it makes; None unless it pairs at least half of the
        shorter list.

    Examples
    --------
    >>> rule, pairs = guess_rule(["x_1_out", "x_2_out"], ["x_1_gt", "x_2_gt", "x_3_gt"])
    >>> str(rule), pairs
    ('--pred-suffix _out --target-suffix _gt', 2)
    >>> guess_rule(["pred_1", "pred_2"], ["gt_1", "gt_2"])[0].pattern
    '(?:pred_|gt_)(.+)'
    >>> print(guess_rule(["frame1", "frame2"], ["0001", "0002"])[0])
    --pattern '0*(\d+)\D*$'
    """
    needed = (min(len(pred_keys), len(target_keys)) + 1) // 2
    if not needed:
        return None
    best = (0, 0, Rule())
    for preds, targets in ((pred_keys, target_keys), (_names(pred_keys), _names(target_keys))):
        for at_end, describe in ((True, _suffix_rule), (False, _prefix_rule)):
            left_preds, left_targets = (
                {part: _left(side, part, at_end) for part in _decorations(side, needed, at_end)}
                for side in (preds, targets)
            )
            for pred_part, target_part in product(left_preds, left_targets):
                if _are_of_other_images(pred_part, target_part):
                    continue
                pairs = len(left_preds[pred_part] & left_targets[target_part])
                rank = (pairs, -len(pred_part + target_part), describe(pred_part, target_part))
                best = max(best, rank, key=lambda entry: entry[:2])
    pairs, _, rule = best
    if rule != Rule() and pairs >= needed:
        return rule, pairs
    pairs = len(_numbers(pred_keys) & _numbers(target_keys))
    return (Rule(pattern=_LAST_NUMBER), pairs) if pairs >= needed else None


def _numbers(keys: Sequence[str]) -> set[str]:
    """The last number of each name, without zeros before it; none if two names share one."""
    found = [match[1] for match in map(re.compile(_LAST_NUMBER).search, keys) if match]
    return set(found) if len(set(found)) == len(keys) else set()


def _are_of_other_images(pred_part: str, target_part: str) -> bool:
    """Whether what is to be left off holds numbers, and other ones: those tell images apart."""
    numbers = [re.findall(r"\d+", part) for part in (pred_part, target_part)]
    return all(numbers) and numbers[0] != numbers[1]


def _names(keys: Sequence[str]) -> list[str]:
    return [key.rpartition("/")[2] for key in keys]


def _decorations(keys: Sequence[str], needed: int, at_end: bool) -> list[str]:
    """Endings (or beginnings) at a separator that enough names share, and the empty one."""
    counts: Counter[str] = Counter()
    for key in keys:
        name = key.rpartition("/")[2]
        cuts = [i for i, letter in enumerate(name) if letter in _SEPARATORS]
        parts = {name[i:] for i in cuts[-4:]} if at_end else {name[: i + 1] for i in cuts[:4]}
        # Numbers tell images apart; only words can be decoration.
        counts.update(part for part in parts if any(letter.isalpha() for letter in part))
    return ["", *(text for text, count in counts.items() if count >= needed)]


def _left(keys: Sequence[str], part: str, at_end: bool) -> set[str]:
    """What remains of the names that have the part at their end, or at their start."""
    if at_end:
        return {key.removesuffix(part) for key in keys if key.endswith(part)}
    split = (key.rpartition("/") for key in keys)
    return {
        folder + slash + name.removeprefix(part)
        for folder, slash, name in split
        if name.startswith(part)
    }


def _suffix_rule(pred: str, target: str) -> Rule:
    return Rule(pred_suffix=pred or None, target_suffix=target or None)


def _prefix_rule(pred: str, target: str) -> Rule:
    starts = "|".join(re.escape(start) for start in (pred, target) if start)
    optional = "" if pred and target else "?"
    return Rule(pattern=f"(?:{starts}){optional}(.+)") if starts else Rule()
