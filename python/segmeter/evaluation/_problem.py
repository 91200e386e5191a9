"""What can be wrong with one pair of files, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one image.

    Attributes
    ----------
    id : str
        The image's id.
    path : str
        The file it is about.
    kind : str
        ``"missing-prediction"``, ``"missing-target"``, ``"ambiguous"``, ``"unreadable"``,
        ``"shape"``, ``"labels"``, ``"segments"``, ``"measure"``, ``"protocol"``, ``"spacing"``,
        ``"affine"`` or ``"error"``.
    level : {"error", "warning"}
        Whether the image is left out of the numbers, or counted nevertheless.
    message : str
        One line that names the files.
    """

    id: str
    path: str
    kind: str
    level: Literal["error", "warning"]
    message: str

    def to_dict(self) -> dict[str, str]:
        """The problem as a row of a table."""
        return {name: getattr(self, name) for name in ("id", "path", "kind", "level", "message")}


class PairError(ValueError):
    """Data that cannot be counted; becomes a problem of its pair.

    Parameters
    ----------
    kind : str
        As in :class:`Problem`.
    path : str
        The file it is about.
    message : str
        One line that names the file.
    """

    def __init__(self, kind: str, path: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.path = kind, path
