"""What an evaluation found: counts, the scores that follow from them, tables and files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segmeter import pixel
from segmeter.evaluation.measures.pixel import PixelTables
from segmeter.pixel._counts import nan_mean
from segmeter.report._text import is_distance

if TYPE_CHECKING:
    import os

    import pandas as pd

    from segmeter.evaluation._totals import Totals
    from segmeter.evaluation.plan import Plan

Row: TypeAlias = dict[str, Any]
Columns: TypeAlias = dict[str, Sequence[Any] | NDArray[Any]]

TABLES = (
    "per_class",
    "label_groups",
    "per_image",
    "per_image_per_class",
    "per_image_per_group",
    "problems",
)
"""Names of the tables a :class:`Result` may have; ``Result.tables`` names those it has."""

_CROSSED = ("per_image_per_class", "per_image_per_group")


@dataclass(frozen=True)
class Result:
    """Everything an evaluation found; every number follows from integer counts.

    Made by :func:`segmeter.evaluate`. Scores undefined for lack of pixels are NaN (in JSON:
    null), distances to a surface that is missing infinite (in JSON: the text ``"inf"``).

    Attributes
    ----------
    plan : Plan
        Every convention used.
    totals : Totals
        Counts per image and in sum.
    pairing : dict
        ``rule`` (how files were paired), ``pairs`` and ``left_out`` (how many), ``advice`` (a rule
        that would pair more, or None).
    interrupted : bool
        Whether the run was stopped before all pairs were done.

    Examples
    --------
    >>> import tempfile
    >>> import segmeter
    >>> from segmeter import demo
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = demo.write(folder)
    ...     result = segmeter.evaluate(
    ...         files.pred, files.target, class_names=demo.CLASS_NAMES, ignore_index=demo.VOID
    ...     )
    >>> result.num_images, result.exit_code
    (8, 0)
    >>> result.per_class[0]["class"], result.per_class[0]["images"]
    ('road', 8)
    >>> [row["id"] for row in result.worst(2)] == sorted(
    ...     (row["id"] for row in result.per_image),
    ...     key=lambda name: next(r["mean_iou"] for r in result.per_image if r["id"] == name),
    ... )[:2]
    True
    >>> result.to_pandas("per_class").shape[0] == len(demo.CLASS_NAMES)
    True
    """

    plan: Plan
    totals: Totals
    pairing: Mapping[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    def __str__(self) -> str:
        """Tables as the command line prints them; without rich, what ``repr`` gives."""
        try:
            from segmeter.report.table import format_result
        except ImportError:
            return repr(self)
        return format_result(self)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Confusion matrix of all images, (C, C+1): rows are the target, the last column void.

        Read-only: a copy may be changed.

        Raises
        ------
        ValueError
            If pixels were not measured.
        """
        if not self.plan.pixels:
            own = f"protocol {self.plan.protocol!r} counts no pixels"
            why = own if self.plan.labels_are_ids else "'pixel' is not among the measures"
            raise ValueError(f"there is no confusion matrix: {why}")
        return self.totals.matrix

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, for :meth:`columns`, :meth:`rows`, :meth:`to_csv` and others."""
        own = TABLES if self.plan.pixels else tuple(n for n in TABLES if n not in _CROSSED)
        return (*own, *self._measure_tables)

    @property
    def num_images(self) -> int:
        """Number of images the scores are over."""
        return len(self.totals.images)

    @property
    def exit_code(self) -> int:
        """0 if every file was counted, 3 if some could not be, 130 if interrupted."""
        if self.interrupted:
            return 130
        return 3 if any(problem.level == "error" for problem in self.totals.problems) else 0

    @cached_property
    def counts(self) -> pixel.ConfusionMatrix:
        """Accumulator holding the counts of all images; adds to those of other runs."""
        plan = self.plan
        labels, pred_labels = plan.kernel_tables()
        counts = pixel.ConfusionMatrix(
            plan.num_classes,
            ignore_index=plan.ignore_index,
            labels=labels,
            pred_labels=pred_labels,
            reduce_zero_label=plan.reduce_zero_label,
            out_of_range=plan.out_of_range,
            class_names=plan.class_names,
        )
        ignored = sum(image.pixels - image.counted for image in self.totals.images)
        return counts.add_counts(self.matrix, ignored=ignored, num_images=self.num_images)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Data set scores by name.

        Scores named like functions of :mod:`segmeter` follow from the summed counts (all others
        of them: ``.counts.scores()``). ``..._per_image`` is the mean over images of each image's
        score, ``..._per_class_per_image`` the mean over classes of each class's mean over the
        images that have it. A protocol adds its own.
        """
        scores = {} if self._pixels is None else self._pixels.scores()
        return scores | {name: float(nan_mean(values)) for name, values in self._means.items()}

    @cached_property
    def scores_over(self) -> dict[str, dict[str, int]]:
        """How many classes (or images) each mean is over, and how many were undefined (NaN).

        For distances also over how many cases (a class in an image), and how many were infinite.
        """
        pixels = {} if self._pixels is None else self._pixels.over()
        table = {name: _defined(values) for name, values in (pixels | self._means).items()}
        for counts in self.totals.measures.values():
            for name, more in counts.over().items():
                table[name] |= more
        return table

    @property
    def per_class(self) -> list[Row]:
        """One row per class: counts, scores, and means over the images that have the class."""
        return self.rows("per_class")

    @property
    def label_groups(self) -> list[Row]:
        """One row per label group, with the columns of :attr:`per_class`."""
        return self.rows("label_groups")

    @property
    def per_image(self) -> list[Row]:
        """One row per image; ``void`` is the number of counted pixels predicted as void."""
        return self.rows("per_image")

    @property
    def problems(self) -> list[Row]:
        """One row per problem: id, path, kind, level, message."""
        return self.rows("problems")

    @property
    def notes(self) -> list[Row]:
        """What the readers remarked: message, number of images, id of the first."""
        return [
            {"message": message, "images": images, "first": first}
            for message, (images, first) in self.totals.notes.items()
        ]

    def worst(self, count: int = 5, by: str | None = None) -> list[Row]:
        """Rows of the images with the lowest score, lowest first; undefined scores are left out.

        Parameters
        ----------
        count : int
        by : str, optional
            A score column of ``per_image``; of distances the highest come first. Default:
            ``"mean_iou"``; where pixels are not measured, the first there is.

        Returns
        -------
        list of dict

        Raises
        ------
        ValueError
            If there is no such column.
        """
        pixels = () if self._pixels is None else self._pixels.image_scores
        choices = [*pixels, *self._own_image_scores]
        if by is None:
            by = "mean_iou" if "mean_iou" in choices else next(iter(choices), None)
            if by is None:
                return []
        elif by not in choices:
            raise ValueError(f"by must be one of {choices}, got {by!r}")
        name = by
        scored = [row for row in self.per_image if not math.isnan(row[name])]
        return sorted(scored, key=lambda row: row[name], reverse=is_distance(name))[:count]

    def columns(self, table: str) -> Columns:
        """One table as columns.

        Parameters
        ----------
        table : str
            One of :attr:`tables`.

        Returns
        -------
        dict of str to sequence
            Columns of equal length, in a fixed order.

        Raises
        ------
        ValueError
            If there is no such table.
        """
        self._check_table(table)
        if table in ("per_class", "label_groups"):
            return self._class_columns(table == "label_groups")
        if table == "per_image":
            return self._image_columns()
        if table in self._measure_tables:
            return self._measure_columns(table)
        if table == "problems":
            rows = [problem.to_dict() for problem in self.totals.problems]
            names = ("id", "path", "kind", "level", "message")
            return {name: [row[name] for row in rows] for name in names}
        pieces = list(self._case_pieces(table == "per_image_per_group"))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _check_table(self, table: str) -> None:
        if table not in self.tables:
            raise ValueError(f"table must be one of {', '.join(self.tables)}, got {table!r}")

    def rows(self, table: str) -> list[Row]:
        """One table as rows.

        Parameters
        ----------
        table : str
            One of :data:`TABLES`.

        Returns
        -------
        list of dict
            Plain Python values.
        """
        return list(_rows(self.columns(table)))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the image x class tables, as plain values; undefined scores are None.

        Returns
        -------
        dict
        """
        from segmeter import __version__

        content = {
            "segmeter": __version__,
            "plan": self.plan.to_dict() | {"hash": self.plan.hash()},
            "conventions": self.plan.describe(),
            "pairing": dict(self.pairing),
            "interrupted": self.interrupted,
            "images": self.num_images,
            "scores": self.scores,
            "scores_over": self.scores_over,
            "per_class": self.per_class,
            "label_groups": self.label_groups,
            "per_image": self.per_image,
            "problems": self.problems,
            "notes": self.notes,
            "remarks": [
                line for counts in self.totals.measures.values() for line in counts.remarks()
            ],
        }
        content |= {
            table: self.rows(table)
            for table, (_, kind) in self._measure_tables.items()
            if kind not in _CROSSED
        }
        if self.plan.pixels:
            content["confusion_matrix"] = {
                "rows": "target",
                "columns": [*self.plan.class_names, "void"],
                "counts": self.matrix.tolist(),
            }
        if self.totals.protocol is not None:
            content["official"] = self.totals.protocol.official()
        cleaned: dict[str, Any] = _without_nan(content)
        return cleaned

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """:meth:`to_dict` as JSON, numbers in full precision; written to a file if one is named.

        Parameters
        ----------
        path : path, optional

        Returns
        -------
        str
        """
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_official_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """JSON file in the layout of the protocol's own tool.

        Parameters
        ----------
        path : path, optional

        Returns
        -------
        str
            Undefined scores are the literal ``NaN`` where the official tool writes it, which is no
            JSON to many readers: :meth:`to_json` has the same under ``"official"``, with null.

        Raises
        ------
        ValueError
            If the protocol has no layout of its own.
        """
        if self.totals.protocol is None:
            raise ValueError(f"there is no official layout for protocol={self.plan.protocol!r}")
        text = json.dumps(self.totals.protocol.official(), sort_keys=True, indent=4)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_csv(self, path: str | os.PathLike[str], table: str = "per_image") -> None:
        """Write one table as CSV, numbers in full precision, undefined scores as empty cells.

        Parameters
        ----------
        path : path
        table : str
            One of :data:`TABLES`.
        """
        self._check_table(table)
        crossed = table in _CROSSED
        pieces = self._case_pieces(table.endswith("group")) if crossed else [self.columns(table)]
        # A file name that is not valid Unicode must not lose the whole table.
        with Path(path).open(
            "w", encoding="utf-8", errors="backslashreplace", newline=""
        ) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            for number, piece in enumerate(pieces):
                if number == 0:
                    writer.writerow(piece)
                writer.writerows(map(_cell, row.values()) for row in _rows(piece))

    def to_pandas(self, table: str = "per_image") -> pd.DataFrame:
        """One table as a pandas data frame.

        Parameters
        ----------
        table : str
            One of :data:`TABLES`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            message = 'to_pandas needs pandas: pip install "segmeter[frames]"'
            raise ImportError(message) from error
        return pd.DataFrame(self.columns(table))

    @property
    def _means(self) -> dict[str, NDArray[np.float64]]:
        """The means of the protocol and of the other measures: what each is over."""
        means = {} if self.totals.protocol is None else self.totals.protocol.means()
        for counts in self.totals.measures.values():
            means |= counts.means()
        return means

    @cached_property
    def _pixels(self) -> PixelTables | None:
        if not self.plan.pixels:
            return None
        return PixelTables(self.plan, self.totals.images, self.matrix)

    # --- the tables of other measures ---------------------------------------------------------

    @cached_property
    def _measure_tables(self) -> dict[str, tuple[str, str]]:
        """Name of each table to its measure and the kind of table."""
        tables: dict[str, tuple[str, str]] = {}
        for name, counts in self.totals.measures.items():
            kinds = ["per_class", "per_image_per_class"]
            if self.plan.label_groups and counts.group_scores():
                kinds += ["per_group", "per_image_per_group"]
            tables |= {f"{name}_{kind}": (name, kind) for kind in (*kinds, *counts.tables())}
        return tables

    def _measure_columns(self, table: str) -> Columns:
        name, kind = self._measure_tables[table]
        total = self.totals.measures[name]
        if kind == "per_class":
            first: Columns = {
                "class": list(self.plan.class_names),
                "index": np.arange(self.plan.num_classes),
            }
            return first | total.class_scores()
        if kind == "per_group":
            groups: Columns = {"group": [name for name, _ in self.plan.label_groups]}
            return groups | total.group_scores()
        if kind in _CROSSED:
            return self._measure_cases(name, groups=kind == "per_image_per_group")
        return dict(total.tables()[kind])

    def _measure_cases(self, measure: str, *, groups: bool) -> Columns:
        """Scores of a measure for every image and class, or every image and group."""
        names = [name for name, _ in self.plan.label_groups] if groups else self.plan.class_names
        ids = [image.pair.id for image in self.totals.images]
        columns: Columns = {
            "id": [id_ for id_ in ids for _ in names],
            "group" if groups else "class": [*names] * len(ids),
        }
        pieces = [image.measures[measure].case_scores() for image in self.totals.images]
        for key, empty in self.totals.measures[measure].case_scores().items():
            rows = [piece[key][self._which(groups)] for piece in pieces]
            columns[key] = np.concatenate([np.empty(0, empty.dtype), *rows])
        return columns

    # --- the tables ---------------------------------------------------------------------------

    def _which(self, groups: bool) -> slice:
        classes = self.plan.num_classes
        return slice(classes, None) if groups else slice(classes)

    def _class_columns(self, groups: bool) -> Columns:
        columns: Columns = {}
        if groups:
            columns["group"] = [name for name, _ in self.plan.label_groups]
            columns["classes"] = [
                ", ".join(self.plan.class_names[k] for k in members)
                for _, members in self.plan.label_groups
            ]
        else:
            columns["class"] = list(self.plan.class_names)
            columns["index"] = np.arange(self.plan.num_classes)
        length = len(next(iter(columns.values())))
        if self._pixels is not None:
            columns |= self._pixels.class_columns(self._which(groups))
        protocol = self.totals.protocol
        if protocol is not None:
            own = protocol.group_scores() if groups else protocol.class_scores()
            columns |= {name: _padded(values, length) for name, values in own.items()}
        return columns

    def _image_columns(self) -> Columns:
        images = self.totals.images
        columns: Columns = {
            "id": [image.pair.id for image in images],
            "pred": [image.pair.pred for image in images],
            "target": [image.pair.target for image in images],
        }
        if self._pixels is not None:
            columns |= self._pixels.image_columns()
        return columns | self._own_image_scores

    @cached_property
    def _own_image_scores(self) -> dict[str, NDArray[np.float64]]:
        """Scores of each image that the protocol and the other measures give."""
        rows = []
        for image in self.totals.images:
            row = dict(image.scores)
            for counts in image.measures.values():
                row |= counts.image_scores()
            rows.append(row)
        names = rows[0] if rows else ()
        return {name: np.array([row[name] for row in rows]) for name in names}

    def _case_pieces(self, groups: bool) -> Iterator[Columns]:
        """The image x class (or group) table of the pixels in pieces."""
        if self._pixels is None:
            return
        names = [name for name, _ in self.plan.label_groups] if groups else self.plan.class_names
        ids = np.array([image.pair.id for image in self.totals.images], dtype=object)
        first = 0
        for piece in self._pixels.case_columns(self._which(groups)):
            number = len(piece["tp"]) // max(1, len(names))
            some = ids[first : first + number]
            first += number
            yield {
                "id": np.repeat(some, len(names)),
                "group" if groups else "class": np.tile(np.array(names, dtype=object), len(some)),
                **piece,
            }


def _padded(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Scores of a protocol's groups, NaN for the groups the user added."""
    if len(values) == length:
        return values
    return np.concatenate([values, np.full(length - len(values), np.nan)])


def _defined(values: NDArray[np.float64]) -> dict[str, int]:
    undefined = int(np.isnan(values).sum())
    return {"over": len(values) - undefined, "undefined": undefined}


def _rows(columns: Columns) -> Iterator[Row]:
    """Rows of Python values."""
    values = [
        column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values()
    ]
    for row in zip(*values, strict=True):
        yield dict(zip(columns, row, strict=True))


def _cell(value: object) -> object:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
