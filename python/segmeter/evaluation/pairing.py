"""Which prediction file belongs to which target file, and what to say when some do not pair.

Both sides are listed first (a folder, a glob, a list of paths, a text file of paths), every file
gets a key (its relative path without suffix, or what a regular expression finds in it), and equal
keys pair. What does not pair is kept and reported with the nearest name and, where one exists,
the rule that would pair most of it.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from segmeter._arrays import shown
from segmeter.evaluation._advice import Rule, guess_rule
from segmeter.evaluation._files import file_stem
from segmeter.evaluation._listing import (
    Keyed,
    Listing,
    Source,
    list_source,
    named_files,
    text_of,
)
from segmeter.evaluation._problem import Problem
from segmeter.report._text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Pattern: TypeAlias = str | tuple[str | None, str | None] | None

_SHOWN = 10  # names per list of a report
_SEARCHED_FOR_NEAREST = 2000  # difflib is slow


@dataclass(frozen=True, slots=True)
class Pair:
    """One prediction with its target.

    Attributes
    ----------
    id : str
        Name of the image in every table; unique within a run.
    pred, target : str
        Paths.
    """

    id: str
    pred: str
    target: str


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """Several files of one side with the same id: none of them is used.

    Attributes
    ----------
    id : str
    side : str
        ``"pred"``, ``"target"`` or ``"pair"`` (the same pair or id listed twice).
    paths : tuple of str
    """

    id: str
    side: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        name = {"pred": "predictions", "target": "targets", "pair": "pairs"}[self.side]
        return f"{len(self.paths)} {name} share the id {self.id!r}: {', '.join(self.paths)}"


@dataclass(frozen=True, slots=True)
class Pairing:
    """What paired, and everything that did not.

    Attributes
    ----------
    rule : str
        How the files were paired, in words.
    pairs : tuple of Pair
        Sorted by id; in the given order for a CSV or ``pair="order"``.
    only_pred, only_target : tuple of str
        Files without a partner.
    ambiguous : tuple of Ambiguity
    absent : tuple of tuple (str, str, str)
        Listed files that do not exist: id, side, path.
    skipped : tuple of tuple (str, str)
        Files left out on purpose: path, reason.
    keys : dict of str to str
        Path to key, of the files without a partner.
    """

    rule: str
    pairs: tuple[Pair, ...] = ()
    only_pred: tuple[str, ...] = ()
    only_target: tuple[str, ...] = ()
    ambiguous: tuple[Ambiguity, ...] = ()
    absent: tuple[tuple[str, str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every file found a partner.

        Examples
        --------
        >>> Pairing("by file stem").complete
        True
        """
        return not (self.only_pred or self.only_target or self.ambiguous or self.absent)

    def problems(self) -> tuple[Problem, ...]:
        """Files that did not pair, as problems.

        Examples
        --------
        >>> Pairing("", only_pred=("p/a.png",), keys={"p/a.png": "a"}).problems()[0].message
        'p/a.png: there is no target for this prediction'
        """
        return (
            *(self._missing(path, "prediction", "target") for path in self.only_target),
            *(self._missing(path, "target", "prediction") for path in self.only_pred),
            *(
                Problem(
                    id_,
                    path,
                    "missing-prediction" if side == "pred" else "missing-target",
                    "error",
                    f"{path}: listed, but there is no such file",
                )
                for id_, side, path in self.absent
            ),
            *(
                Problem(item.id, item.paths[0], "ambiguous", "error", str(item))
                for item in self.ambiguous
            ),
        )

    def _missing(self, path: str, missing: str, present: str) -> Problem:
        message = f"{path}: there is no {missing} for this {present}"
        return Problem(self.keys[path], path, f"missing-{missing}", "error", message)

    def nearest(self, path: str) -> str | None:
        """Unpaired file of the other side whose name is most alike, if any is.

        Parameters
        ----------
        path : str
            A member of ``only_pred`` or ``only_target``.

        Returns
        -------
        str or None

        Examples
        --------
        >>> keys = {"p/a_01.png": "a_01", "t/a_1.png": "a_1"}
        >>> Pairing("", only_pred=("p/a_01.png",), only_target=("t/a_1.png",), keys=keys).nearest(
        ...     "p/a_01.png"
        ... )
        't/a_1.png'
        """
        others = self.only_target if path in self.only_pred else self.only_pred
        by_key = {self.keys[other]: other for other in others[:_SEARCHED_FOR_NEAREST]}
        found = difflib.get_close_matches(self.keys[path], by_key, n=1, cutoff=0.6)
        return by_key[found[0]] if found else None

    def report(self, limit: int = _SHOWN) -> str:
        """Readable account of what paired and what did not.

        Parameters
        ----------
        limit : int
            Names shown per list.

        Returns
        -------
        str
            Several lines, without a final newline.

        Examples
        --------
        >>> print(Pairing("by file stem", pairs=(Pair("a", "p/a.png", "t/a.png"),)).report())
        1 pair (by file stem)
        """
        advice = self.advice()
        lines = [f"{plural(len(self.pairs), 'pair')} ({self.rule})"]
        for paths, kind, other in (
            (self.only_pred, "prediction", "target"),
            (self.only_target, "target", "prediction"),
        ):
            shown = paths[:limit]
            if advice is None:  # else one rule says it all
                shown = tuple(self._with_nearest(path, other) for path in shown)
            title = f"{plural(len(paths), kind)} without a {other}"
            lines += _titled(title, shown, len(paths))
        unclear = [str(item) for item in self.ambiguous]
        lines += _titled(f"{len(unclear):,} ambiguous, not used", unclear[:limit], len(unclear))
        absent = [f"{path} ({side} of {id_!r})" for id_, side, path in self.absent]
        lines += _titled(f"{len(absent):,} listed but not there", absent[:limit], len(absent))
        if advice is not None:
            lines.append(advice)
        lines += self._left_out()
        return "\n".join(lines)

    def better_rule(self) -> tuple[Rule, int] | None:
        """A rule that pairs most of what did not pair, and how many more pairs there are then.

        Returns
        -------
        tuple (Rule, int) or None
            None if there is no such rule, or if it would lose as many of the pairs there are.

        Examples
        --------
        >>> keys = {"p/a_pred.png": "a_pred", "t/a.png": "a"}
        >>> pairing = Pairing("", only_pred=("p/a_pred.png",), only_target=("t/a.png",), keys=keys)
        >>> pairing.better_rule()
        (Rule(pred_suffix='_pred', target_suffix=None, pattern=None), 1)
        """
        pred_keys = [self.keys[path] for path in self.only_pred]
        guess = guess_rule(pred_keys, [self.keys[path] for path in self.only_target])
        if guess is None:
            return None
        rule, found = guess
        key = {
            side: _key_of_pattern(rule.pattern) if rule.pattern else _suffix_key(suffix)
            for side, suffix in (("pred", rule.pred_suffix), ("target", rule.target_suffix))
        }
        keys = [
            (
                key["pred"](file_stem(Path(pair.pred).name)),
                key["target"](file_stem(Path(pair.target).name)),
            )
            for pair in self.pairs
        ]
        lost = sum(pred is None or pred != target for pred, target in keys)
        return (rule, found - lost) if found > lost else None

    def advice(self) -> str | None:
        """:meth:`better_rule` as a sentence.

        Returns
        -------
        str or None

        Examples
        --------
        >>> Pairing("by file stem").advice() is None
        True
        """
        rule = self.better_rule()
        return None if rule is None else f"would pair {rule[1]:,} more: {rule[0]}"

    def _with_nearest(self, path: str, other: str) -> str:
        nearest = self.nearest(path)
        return path if nearest is None else f"{path}   (nearest {other}: {nearest})"

    def _left_out(self) -> list[str]:
        by_reason: dict[str, list[str]] = defaultdict(list)
        for path, reason in self.skipped:
            by_reason[reason].append(path)
        return [
            f"left out: {plural(len(paths), 'file')} ({reason}), e.g. {paths[0]}"
            for reason, paths in by_reason.items()
        ]


def pair_files(
    pred: Source,
    target: Source | None = None,
    *,
    pair: str = "stem",
    pred_suffix: str | None = None,
    target_suffix: str | None = None,
    pattern: Pattern = None,
) -> Pairing:
    r"""Pair prediction files with target files.

    Parameters
    ----------
    pred, target : path, glob string, or sequence of paths
        A folder (searched with its subfolders), a glob (``**`` allowed), a ``.txt`` file with one
        path per line (relative to that file; ``#`` starts a comment), a list of paths, or two
        single files. With ``target=None``, ``pred`` is a CSV (or ``.tsv``) with the columns
        ``pred``, ``target`` and, if wanted, ``id``; its paths are relative to it.
    pair : {"stem", "regex", "order"}
        ``"stem"``: equal relative paths without suffix (``.nii.gz`` is one suffix); where none is
        equal, equal paths below the folder that holds all files of a side; where none is again
        and file names are unique on both sides, equal file names.
        ``"regex"``: equal ``pattern`` keys. ``"order"``: first with first, second with second.
    pred_suffix, target_suffix : str, optional
        End of the names of one side, with or without the file suffix, taken off before names are
        compared; files that do not end so are left out.
    pattern : str or tuple (str or None, str or None), optional
        Regular expression for both sides, or one for pred and one for target (None: the stem).
        It is searched in the relative paths without suffix; where no file of a side matches so,
        with suffix; where none does again, in the whole paths. Its groups (its whole match if it
        has none) are the key. Files that do not match are left out.

    Returns
    -------
    Pairing

    Raises
    ------
    ValueError
        If a side holds no label maps, an option is unknown or contradicts another, or a list or
        CSV file cannot be used.

    Notes
    -----
    Hidden files, ``Thumbs.db`` and the like are never listed. Names are compared in Unicode
    normal form C, so a name written on macOS pairs with the same name written elsewhere.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("p/a_pred.png", "t/a.npy"):
    ...         Path(folder, name).parent.mkdir()
    ...         Path(folder, name).touch()
    ...     pairing = pair_files(f"{folder}/p", f"{folder}/t", pred_suffix="_pred")
    >>> [pair.id for pair in pairing.pairs]
    ['a']
    """
    if target is None:
        return _pair_table(pred)
    if pair not in ("stem", "regex", "order"):
        raise ValueError(f"pair must be 'stem', 'regex' or 'order', got {pair!r}")
    if pair == "regex" and pattern is None:
        raise ValueError("pair='regex' needs pattern=, for example pattern=r'(\\d+)'")
    if pattern is not None and (pred_suffix or target_suffix):
        raise ValueError("give pattern or the suffix rules, not both")
    pred_list, target_list = list_source(pred, "pred"), list_source(target, "target")
    if pair == "order":
        return _pair_by_order(pred_list, target_list)
    if pred_list.single and target_list.single and pattern is None:
        (path,), (target_path,) = pred_list.paths, target_list.paths
        only = Pair(file_stem(Path(path).name), path, target_path)
        return Pairing("one file each", pairs=(only,))
    if pattern is not None:
        pred_pattern, target_pattern = _two_patterns(pattern)
        keyed = _by_pattern(pred_list, pred_pattern), _by_pattern(target_list, target_pattern)
        return _match(*keyed, "by pattern")
    return _pair_by_stem(pred_list, target_list, pred_suffix, target_suffix)


# --- keys -------------------------------------------------------------------------------------


def _suffix_key(suffix: str | None) -> Callable[[str], str | None]:
    """Relative path without file suffix and without the decoration; None if it lacks that."""
    if not isinstance(suffix, str | None):
        raise TypeError(f"a suffix must be text such as '_pred', got {shown(suffix)}")
    ending = None if suffix is None else unicodedata.normalize("NFC", suffix)

    def key(relative: str) -> str | None:
        stem = file_stem(relative)
        if ending is None:
            return stem
        for name in (stem, relative):
            if name.endswith(ending) and len(name) > len(ending):
                return name.removesuffix(ending)
        return None

    return key


def _by_pattern(listing: Listing, pattern: str | None) -> Keyed:
    """Files keyed by what the pattern finds, in the first form of the names that it fits at all."""
    if pattern is None:
        return listing.keyed(file_stem, "")
    key, otherwise = _key_of_pattern(pattern), f"do not match {pattern}"
    whole = replace(listing, relative=[Path(path).as_posix() for path in listing.paths])
    for keyed in (
        listing.keyed(lambda relative: key(file_stem(relative)), otherwise),
        listing.keyed(key, otherwise),
        whole.keyed(key, otherwise),
    ):
        if keyed.files:
            break
    return keyed


def _key_of_pattern(pattern: str) -> Callable[[str], str | None]:
    """What the groups of a pattern find, or its whole match if it has none; None if nothing."""
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is not a regular expression: {error}") from None

    def key(name: str) -> str | None:
        match = regex.search(name)
        if match is None:
            return None
        return "/".join(part for part in match.groups() if part) if regex.groups else match.group()

    return key


def _two_patterns(pattern: Pattern) -> tuple[str | None, str | None]:
    if isinstance(pattern, str):
        return pattern, pattern
    if isinstance(pattern, tuple) and len(pattern) == 2:
        return pattern
    raise TypeError(f"pattern must be a string or a tuple of two (pred, target), got {pattern!r}")


# --- matching ---------------------------------------------------------------------------------


def _pair_by_stem(
    pred: Listing, target: Listing, pred_suffix: str | None, target_suffix: str | None
) -> Pairing:
    preds = pred.keyed(_suffix_key(pred_suffix), f"do not end in {pred_suffix}")
    targets = target.keyed(_suffix_key(target_suffix), f"do not end in {target_suffix}")
    both = preds.files.keys() & targets.files.keys()
    if not both:
        inner_preds, inner_targets = _below_common_folder(preds), _below_common_folder(targets)
        if inner_preds.files.keys() & inner_targets.files.keys():
            return _match(inner_preds, inner_targets, "by relative path below the common folder")
        flat_preds, flat_targets = _by_name(preds), _by_name(targets)
        if flat_preds and flat_targets and flat_preds.files.keys() & flat_targets.files.keys():
            return _match(flat_preds, flat_targets, "by file stem, folders differ")
    nested = any("/" in key for key in both)
    return _match(preds, targets, "by relative path without suffix" if nested else "by file stem")


def _below_common_folder(side: Keyed) -> Keyed:
    """The same files keyed by their path below the folder that holds them all."""
    folders = [key.rpartition("/")[0] for key in side.files]
    common = "" if "" in folders else os.path.commonpath(folders)
    if not common:
        return side
    files = {key.removeprefix(f"{common}/"): paths for key, paths in side.files.items()}
    return Keyed(side.listing, files, side.skipped)


def _by_name(side: Keyed) -> Keyed | None:
    """The same files keyed by name alone; None where a name occurs in two folders."""
    files = {key.rpartition("/")[2]: paths for key, paths in side.files.items()}
    return Keyed(side.listing, files, side.skipped) if len(files) == len(side.files) else None


def _match(pred: Keyed, target: Keyed, rule: str) -> Pairing:
    ambiguous = [
        Ambiguity(key, side.listing.side, tuple(paths))
        for side in (pred, target)
        for key, paths in sorted(side.files.items())
        if len(paths) > 1
    ]
    unclear = {item.id for item in ambiguous}
    both = sorted((pred.files.keys() & target.files.keys()) - unclear)
    only_pred = sorted(pred.files.keys() - target.files.keys() - unclear)
    only_target = sorted(target.files.keys() - pred.files.keys() - unclear)
    pairs = [Pair(key, pred.files[key][0], target.files[key][0]) for key in both]
    pairs, absent = _existing(pairs, pred.listing.explicit, target.listing.explicit)
    unpaired = {pred.files[key][0]: key for key in only_pred}
    unpaired |= {target.files[key][0]: key for key in only_target}
    return Pairing(
        rule,
        pairs=tuple(pairs),
        only_pred=tuple(pred.files[key][0] for key in only_pred),
        only_target=tuple(target.files[key][0] for key in only_target),
        ambiguous=tuple(ambiguous),
        absent=tuple(absent),
        skipped=tuple(pred.skipped + target.skipped),
        keys=unpaired,
    )


def _pair_by_order(pred: Listing, target: Listing) -> Pairing:
    if len(pred.paths) != len(target.paths):
        raise ValueError(
            f"pair='order' needs as many predictions as targets, "
            f"got {len(pred.paths)} and {len(target.paths)}"
        )
    ids = [file_stem(relative) for relative in pred.relative]
    rows = list(zip(ids, pred.paths, target.paths, strict=True))
    return _pair_rows(rows, "in the given order")


def _pair_table(source: Source) -> Pairing:
    if not isinstance(source, str | os.PathLike):
        raise ValueError("target is missing: it may be left out only when pred is a CSV of pairs")
    path = Path(source)
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise ValueError(
            f"target is missing: it may be left out only when pred is a CSV of pairs, got {path}"
        )
    if not path.is_file():
        raise ValueError(f"pred: {path} does not exist")
    lines = io.StringIO(text_of(path), newline="")
    reader = csv.DictReader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        if not {"pred", "target"} <= set(columns):
            raise ValueError(
                f"{path} needs the columns pred and target, its first line has {columns}"
            )
        reader.fieldnames = columns
        rows = [_table_row(path, reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num + 1}: {error}") from error
    if not rows:
        raise ValueError(f"{path} lists no pair")
    if "id" not in columns:
        preds = named_files([row[1] for row in rows], "pred")
        rows = [
            (file_stem(relative), pred, target)
            for relative, (_, pred, target) in zip(preds.relative, rows, strict=True)
        ]
    return _pair_rows(rows, f"as listed in {path}")


def _table_row(path: Path, line: int, row: Mapping[str, str | None]) -> tuple[str, str, str]:
    cells = [(row.get(name) or "").strip() for name in ("id", "pred", "target")]
    if not (cells[1] and cells[2]) or ("id" in row and not cells[0]):
        raise ValueError(f"{path}, line {line}: a cell is empty")
    return cells[0], str(path.parent / cells[1]), str(path.parent / cells[2])


def _pair_rows(rows: list[tuple[str, str, str]], rule: str) -> Pairing:
    """Pairs in the given order; an id that occurs twice is not used at all."""
    counts = Counter(row[0] for row in rows)
    ambiguous = tuple(
        Ambiguity(id_, "pair", tuple(f"{pred} + {target}" for i, pred, target in rows if i == id_))
        for id_, count in counts.items()
        if count > 1
    )
    pairs = [Pair(*row) for row in rows if counts[row[0]] == 1]
    pairs, absent = _existing(pairs, True, True)
    return Pairing(rule, pairs=tuple(pairs), ambiguous=ambiguous, absent=tuple(absent))


def _existing(
    pairs: list[Pair], check_pred: bool, check_target: bool
) -> tuple[list[Pair], list[tuple[str, str, str]]]:
    there, absent = [], []
    for pair in pairs:
        missing = [
            (pair.id, side, path)
            for side, path, check in (
                ("pred", pair.pred, check_pred),
                ("target", pair.target, check_target),
            )
            if check and not Path(path).is_file()
        ]
        absent += missing
        if not missing:
            there.append(pair)
    return there, absent


def _titled(title: str, shown: Sequence[str], total: int) -> list[str]:
    if not total:
        return []
    lines = [f"{title}:", *(f"  {item}" for item in shown)]
    if total > len(shown):
        lines.append(f"  ... and {total - len(shown):,} more")
    return lines
