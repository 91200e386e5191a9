"""The files of one side: a folder, a glob, a list file, or a list of paths."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from segmeter.io._registry import known_suffixes
from segmeter.report._text import plural

PathLike: TypeAlias = str | os.PathLike[str]
Source: TypeAlias = PathLike | Sequence[PathLike]

_HIDDEN = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of one side: path and path relative to the root, as given or sorted."""

    side: str
    paths: list[str]
    relative: list[str]
    skipped: list[tuple[str, str]]
    single: bool = False
    explicit: bool = False  # the user named each file, so one that is absent is a problem

    def keyed(self, key: Callable[[str], str | None], otherwise: str) -> Keyed:
        """Files by their keys; those without one (None) are left out for the reason given."""
        files: dict[str, list[str]] = defaultdict(list)
        skipped = list(self.skipped)
        for path, relative in zip(self.paths, self.relative, strict=True):
            found = key(unicodedata.normalize("NFC", relative))
            if found is None:
                skipped.append((path, f"{self.side}: names that {otherwise}"))
            else:
                files[found].append(path)
        return Keyed(self, files, skipped)


@dataclass(frozen=True, slots=True)
class Keyed:
    """Files of one side by key; more than one path where the key is ambiguous."""

    listing: Listing
    files: dict[str, list[str]]
    skipped: list[tuple[str, str]]


def list_source(source: Source, side: str) -> Listing:
    """Find the files of one side; ValueError if there are none."""
    if isinstance(source, str | os.PathLike):
        return _list_path(os.fspath(source), side)
    try:
        paths = [os.fspath(path) for path in source]
    except TypeError:
        raise TypeError(
            f"{side} must be a folder, a glob, a list file or a sequence of paths, got "
            f"{type(source).__name__}; arrays are compared by functions such as confusion_matrix"
        ) from None
    if not paths:
        raise ValueError(f"{side} is an empty list: give at least one file")
    return named_files(paths, side)


def _list_path(path: str, side: str) -> Listing:
    if not path:
        raise ValueError(f"{side} is an empty path")
    if Path(path).is_dir():
        return _filtered(_walk(path, side), path, side, f"the folder {path}")
    if Path(path).is_file():
        if path.lower().endswith(".txt"):
            return named_files(_read_list(path, side), side)
        if path.lower().endswith(".json"):
            raise ValueError(
                f"{side}: {path} is no label map; a protocol reads JSON files: coco-instances, "
                "coco-panoptic, cityscapes-panoptic"
            )
        if path.lower().endswith((".csv", ".tsv")):
            raise ValueError(
                f"{side}: {path} is a table of pairs; give it as pred and leave target out"
            )
        return Listing(side, [path], [Path(path).name], [], single=True)
    if not glob.has_magic(path):
        raise ValueError(f"{side}: {path} does not exist")
    fixed = Path(path)
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    # Path.glob would need the fixed part split off, and finds hidden files.
    found = (hit for hit in glob.iglob(path, recursive=True) if Path(hit).is_file())  # noqa: PTH207
    return _filtered(found, str(fixed), side, f"the glob {path}")


def _walk(root: str, side: str) -> Iterator[str]:
    """Files below a folder without hidden ones; links are followed, each folder once."""

    def fail(error: OSError) -> NoReturn:
        raise ValueError(f"{side}: cannot list {error.filename}: {error.strerror}") from error

    seen = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=fail):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = [name for name in subfolders if not _hidden(name)]
        yield from (str(Path(folder, name)) for name in names if not _hidden(name))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _HIDDEN


def _filtered(paths: Iterable[str], root: str, side: str, where: str) -> Listing:
    suffixes = known_suffixes()
    masks, skipped = [], []
    for path in sorted(paths):
        if path.lower().endswith(suffixes):
            masks.append(path)
        else:
            skipped.append((path, f"{side}: of no format that is read"))
    if not masks:
        others = f" (only {plural(len(skipped), 'other file')})" if skipped else ""
        raise ValueError(f"{side}: {where} holds no label maps{others}; is the path right?")
    return Listing(side, masks, [_relative(path, root) for path in masks], skipped)


def named_files(paths: list[str], side: str) -> Listing:
    """Files the user named one by one, there or not."""
    root = os.path.commonpath([Path(path).absolute().parent for path in paths])
    relative = [_relative(str(Path(path).absolute()), root) for path in paths]
    return Listing(side, paths, relative, [], explicit=True)


def _relative(path: str, root: str) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def text_of(path: str | Path) -> str:
    """What a list or table of files holds, or ValueError with its name."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 (byte {error.start})") from error


def _read_list(path: str, side: str) -> list[str]:
    lines = (line.strip() for line in text_of(path).splitlines())
    paths = [str(Path(path).parent / line) for line in lines if line and not line.startswith("#")]
    if not paths:
        raise ValueError(f"{side}: the list {path} names no file")
    return paths
