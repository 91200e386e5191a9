"""The tables of a result: coloured in a terminal, plain text elsewhere.

Names of files and classes are data. They enter as ``Text``, never as markup, and characters that
a terminal would obey are escaped.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from itertools import accumulate
from typing import TYPE_CHECKING, Any

try:
    from rich.box import Box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise ImportError('tables need rich: pip install "segmeter[eval]"') from error

from segmeter.report._text import (
    ABSENT,
    count_text,
    distance_text,
    is_distance,
    plural,
    printable,
    score_text,
    share_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from segmeter.evaluation import Result

_CLASS_COLUMNS = {
    "iou": "IoU",
    "iiou": "iIoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
}
_GROUP_COLUMNS = _CLASS_COLUMNS | {"dice_per_image": "Dice/image"}
_AGGREGATIONS = {
    "": "dataset",
    "_per_image": "per image",
    "_per_class_per_image": "per class and image",
}
_NAMES = {
    "frequency_weighted_iou": "frequency-weighted IoU",
    "cohen_kappa": "Cohen's kappa",
    "matthews_corrcoef": "Matthews correlation",
}
_WORDS = {"iou": "IoU", "iiou": "iIoU", "dice": "Dice"} | {
    word: word.upper()
    for word in (
        *("pq", "sq", "rq", "tp", "fp", "fn", "f1", "ap", "ar", "aji"),
        *("hd", "hd50", "hd75", "hd90", "hd95", "hd99", "assd", "masd", "nsd", "j", "f"),
    )
}
_IN_MEAN_ROW = ("mean_precision", "mean_recall")

_LINES = Box("\n".join(["    ", "    ", " ── ", "    ", " ── ", " ── ", "    ", "    "]))

_MIN_NAME_WIDTH = 12
_MAX_NAME_WIDTH = 40
_SHORT_NAME = 16  # of a long name, what is kept before a column is left out
_MOST_UNWATCHED = 120  # width of such tables in files, where no terminal sets one
_BAR_WIDTH = 16
_GAP = 3  # between columns: the padding of both and the line of the box
_MAX_ABSENT_ROWS = 10
_MAX_ABSENT_NAMES = 8
_MAX_PROBLEMS = 20
_MANY_THRESHOLDS = 4
_AT_THRESHOLD = re.compile(r"(.+(?<!_at))_(\d\d)")  # ap_50: AP at IoU 0.5
_FILE = "<file>"
_WHERE = re.compile(r" \(\d+ pixels?, first at \([\d, ]+\)\)")
UNLIMITED = 10_000
"""Width of a console that breaks no line."""

_GOOD, _FAIR = 0.75, 0.5


def print_result(
    result: Result,
    console: Console,
    *,
    worst: int = 5,
    wording: Callable[[str], str] = str,
) -> None:
    """Print everything a person wants to know of a result.

    Parameters
    ----------
    result : Result
    console : rich.console.Console
        Where it is a terminal there are colours and bars, and long names are shortened.
    worst : int
        Number of worst images to list.
    wording : callable
        Puts what a problem's message says, file names aside, into the reader's words.
    """
    write(_parts(result, console, worst, wording), console)


def format_result(result: Result, *, worst: int = 5) -> str:
    """Give what :func:`print_result` prints, as plain text of any width.

    Parameters
    ----------
    result : Result
    worst : int
        Number of worst images to list.

    Returns
    -------
    str

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
    >>> print(format_result(result).splitlines()[0])
    8 images, 943,088 pixels counted, 105,488 ignored (10.1 %)
    """
    stream = io.StringIO()
    print_result(result, Console(file=stream, width=UNLIMITED, no_color=True), worst=worst)
    return stream.getvalue()


def write(parts: Iterable[RenderableType], console: Console, *, unbroken: bool = False) -> None:
    """Print parts one after the other; outside a terminal without spaces at the ends of lines.

    ``unbroken`` keeps lines whole that are wider than the terminal, such as a command to copy.
    """
    with console.capture() as capture:
        for part in parts:
            console.print(part, highlight=False, soft_wrap=unbroken)
    text = capture.get()
    if not console.is_terminal:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    console.file.write(text)


def draws(console: Console) -> bool:
    """Whether bars and pictures of block characters reach a person."""
    return console.is_terminal and console.encoding.startswith("utf")


def overview(result: Result, console: Console) -> Iterator[RenderableType]:
    """Yield the short answer: how much was counted, and the scores of every class."""
    yield _headline(result)
    if not result.num_images:
        return
    if result.plan.pixels:
        yield ""
        yield from _class_table("class", result.per_class, result, console)
    elif result.totals.protocol is not None:
        yield ""
        yield from own_table("class", result.per_class, console)
    for name, counts in result.totals.measures.items():
        for kind in ("class", "group"):
            if f"{name}_per_{kind}" not in result.tables:
                continue
            rows = result.rows(f"{name}_per_{kind}")
            of = "" if kind == "class" else " of groups"
            for title, columns in counts.shown().items():
                yield ""
                kept = [
                    {kind: row[kind]} | {name: row[key] for key, name in columns.items()}
                    for row in rows
                ]
                yield from own_table(kind, kept, console, title + of)
        yield from (Text(line, "yellow") for line in counts.remarks())
        for kind, table in counts.tables().items():
            if kind in counts.not_printed:
                continue
            yield ""
            yield from own_table(next(iter(table)), result.rows(f"{name}_{kind}"), console)


def problem_text(problem: Mapping[str, str], wording: Callable[[str], str]) -> str:
    """Message of a problem in other words; the name of its file is data and stays as it is."""
    message, path = problem["message"], problem["path"]
    return path.join(map(wording, message.split(path))) if path else wording(message)


def _parts(
    result: Result, console: Console, worst: int, wording: Callable[[str], str]
) -> Iterator[RenderableType]:
    yield from overview(result, console)
    if result.num_images:
        if result.label_groups and result.plan.pixels:
            yield ""
            yield from _class_table("group", result.label_groups, result, console)
        yield ""
        yield from _score_tables(result.scores, console)
        yield from _worst_images(result, console, worst)
    yield from _problems(result.problems, result.pairing.get("advice"), wording, console)
    yield ""
    yield _conventions(result)


# --- pieces -----------------------------------------------------------------------------------


def _headline(result: Result) -> Text:
    line = Text(plural(result.num_images, "image"), style="bold")
    if result.plan.pixels:
        line.append_text(_pixel_headline(result))
    errors = sum(problem["level"] == "error" for problem in result.problems)
    warnings = len(result.problems) - errors
    if errors:
        line.append(f", {plural(errors, 'problem')}", style="bold red")
    if warnings:
        line.append(f", {plural(warnings, 'warning')}", style="yellow")
    return line


def _pixel_headline(result: Result) -> Text:
    counted = int(result.matrix.sum())
    ignored = result.counts.ignored
    line = Text(style="not bold")
    line.append(f", {count_text(counted)} pixels counted, {count_text(ignored)} ignored")
    line.append(f" ({share_text(ignored, counted + ignored)})" if ignored else "")
    void = int(result.matrix[:, -1].sum())
    if void:
        text = f", {count_text(void)} predicted as void ({share_text(void, counted)})"
        line.append(text, style="yellow")
    return line


def own_table(
    kind: str,
    rows: Sequence[Mapping[str, Any]],
    console: Console,
    title: str = "",
    *,
    left_out: Container[str] = ("index",),
    whole_names: bool = False,
) -> Iterator[RenderableType]:
    """Rows of names, counts and scores; many rows without any score, or any count in a
    table without scores, become one line below.

    ``kind`` is the column of names, whose heading is ``title``, or the kind itself. In a narrow
    terminal headings are broken between words; columns that do not fit are left out, and a line
    says so: half a number would be worse. Long names are cut, unless ``whole_names`` are wanted.
    """
    if not rows:
        return
    short_name = _MAX_NAME_WIDTH if whole_names else _SHORT_NAME
    shown = [column for column in rows[0] if column != kind and column not in left_out]
    scores = [column for column in shown if isinstance(rows[0][column], float)]
    absent = [row for row in rows if all(_is_nothing(row[name]) for name in scores or shown)]
    hidden = absent if shown and len(absent) > _MAX_ABSENT_ROWS else []
    kept = [row for row in rows if row not in hidden]
    heading = title or kind
    names = [Text(printable(str(row[kind]))) for row in kept]
    longest = min(_MAX_NAME_WIDTH, max([len(heading), *(name.cell_len for name in names)]))
    cells = {column: [_cell(row[column], column) for row in kept] for column in shown}
    room = console.width if console.is_terminal else _MOST_UNWATCHED
    headings = {column: _readable(column) for column in shown}
    if console.is_terminal and longest + sum(_widths(headings, cells)) > room:
        headings = {column: text.replace(" ", "\n") for column, text in headings.items()}
    used = [*accumulate(_widths(headings, cells))]
    fitting = shown[: max(1, sum(min(longest, short_name) + width <= room for width in used))]
    name_width = min(max(short_name, room - used[len(fitting) - 1]), _MAX_NAME_WIDTH)
    table = plain_table()
    table.add_column(
        textwrap.fill(heading, name_width),
        no_wrap=not whole_names,
        overflow="fold" if whole_names else "ellipsis",
        max_width=name_width,
    )
    for column in fitting:
        table.add_column(headings[column], justify="right", no_wrap=True)
    for name, *values in zip(names, *(cells[column] for column in fitting), strict=True):
        table.add_row(name, *values)
    yield table
    if len(fitting) < len(shown):
        more = plural(len(shown) - len(fitting), "more column")
        yield Text(f"{more} in --csv and --json, or in a wider terminal", "dim")
    yield from _absent_line(hidden, kind)
    if any(math.isnan(row[name]) for row in rows for name in scores):
        yield Text(f"{ABSENT} not defined (nothing to score), left out of means", "dim")


def _widths(headings: Mapping[str, str], cells: Mapping[str, Sequence[Text]]) -> Iterator[int]:
    """Width of each column with its gap; a heading may have several lines."""
    for column, heading in headings.items():
        lines = map(len, heading.split("\n"))
        yield _GAP + max([*lines, *(cell.cell_len for cell in cells[column])])


def _is_nothing(value: object) -> bool:
    return math.isnan(value) if isinstance(value, float) else value == 0


def _absent_line(hidden: Sequence[Mapping[str, Any]], kind: str) -> Iterator[Text]:
    if hidden:
        names = [printable(row[kind]) for row in hidden[:_MAX_ABSENT_NAMES]]
        more = ", ..." if len(hidden) > len(names) else ""
        text = f"{count_text(len(hidden))} more are in neither target nor prediction"
        yield Text(f"{text}: {', '.join(names)}{more}", "dim")


def _class_table(
    kind: str, rows: Sequence[Mapping[str, Any]], result: Result, console: Console
) -> Iterator[RenderableType]:
    """Scores of classes or of label groups; many absent classes become one line below."""
    headings = _GROUP_COLUMNS if kind == "group" else _CLASS_COLUMNS
    if _room(rows[0], headings, console) < _MIN_NAME_WIDTH:
        headings = _CLASS_COLUMNS  # rather one column less than digits cut off
    shown = [column for column in headings if column in rows[0]]
    absent = [row for row in rows if math.isnan(row["iou"])]
    hidden = absent if len(absent) > _MAX_ABSENT_ROWS else []
    room = _room(rows[0], headings, console)
    longest = min(_MAX_NAME_WIDTH, max(cell_len(printable(row[kind])) for row in rows))
    bars = draws(console) and room >= longest + _GAP + _BAR_WIDTH
    name_width = max(_MIN_NAME_WIDTH, room - (_GAP + _BAR_WIDTH) * bars)

    table = plain_table()
    table.add_column(kind, no_wrap=True, overflow="ellipsis", max_width=name_width)
    for column in shown:
        table.add_column(headings[column], justify="right", no_wrap=True)
        if bars and column == "iou":
            table.add_column("", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    counted = int(result.matrix.sum())
    for row in rows:
        if row not in hidden:
            table.add_row(*_class_cells(row, row[kind], shown, bars, counted))
    if kind == "class":
        table.add_section()
        table.add_row(*_mean_cells(result, shown, bars))
    yield table
    yield from _absent_line(hidden, kind)
    if any(math.isnan(row[column]) for row in rows for column in shown):
        reason = "no such pixel" + (", or no instances" if "iiou" in shown else "")
        yield Text(f"{ABSENT} not defined ({reason}), left out of means", "dim")


def _room(row: Mapping[str, Any], headings: Mapping[str, str], console: Console) -> int:
    """Characters of a line that the columns of scores leave for names and bars."""
    widths = [max(6, len(headings[column])) for column in headings if column in row]
    return console.width - sum(widths) - len("target") - _GAP * (len(widths) + 1)


def _class_cells(
    row: Mapping[str, Any], name: str, shown: Iterable[str], bars: bool, counted: int
) -> list[Text]:
    cells = [Text(printable(name), style="dim" if math.isnan(row["iou"]) else "")]
    for column in shown:
        cells.append(score_cell(row[column]))
        if bars and column == "iou":
            cells.append(_bar(row[column]))
    cells.append(Text(share_text(row["tp"] + row["fn"], counted), style="dim"))
    return cells


def _mean_cells(result: Result, shown: Iterable[str], bars: bool) -> list[Text]:
    scores = result.scores
    means = {
        "iou": scores["mean_iou"],
        "iiou": scores.get("mean_iiou"),
        "dice": scores["mean_dice"],
        "precision": scores["mean_precision"],
        "recall": scores["mean_recall"],
    }
    over = result.scores_over["mean_iou"]["over"]
    cells = [Text(f"mean of {over}", style="bold")]
    for column in shown:
        cells.append(score_cell(means[column], "bold "))
        if bars and column == "iou":
            cells.append(_bar(means[column]))
    return [*cells, Text("")]


def _score_tables(scores: Mapping[str, float], console: Console) -> Iterator[RenderableType]:
    """Dataset scores; those at many thresholds are a table of their own."""
    series: dict[str, dict[str, float]] = {}
    for key, value in scores.items():
        found = _AT_THRESHOLD.fullmatch(key)
        if found:
            series.setdefault(found[1], {})[f"{int(found[2]) / 100:g}"] = value
    long = {name: row for name, row in series.items() if len(row) >= _MANY_THRESHOLDS}
    at_one = {
        key: value
        for key, value in scores.items()
        if not ((found := _AT_THRESHOLD.fullmatch(key)) and found[1] in long)
    }
    yield _score_table(at_one)
    if long:
        rows = [{"score": _readable(name)} | row for name, row in long.items()]
        yield ""
        yield from own_table("score", rows, console, "score at IoU")


def _score_table(scores: Mapping[str, float]) -> Table:
    """Dataset scores by name and by the way they are aggregated, mean IoU first."""
    rows: dict[str, dict[str, float]] = {"mean_iou": {}} if "mean_iou" in scores else {}
    for key, value in scores.items():
        if key not in _IN_MEAN_ROW:
            suffix = max(filter(key.endswith, _AGGREGATIONS), key=len)
            rows.setdefault(key.removesuffix(suffix), {})[suffix] = value
    ways = [suffix for suffix in _AGGREGATIONS if any(suffix in row for row in rows.values())]
    table = plain_table()
    table.add_column("score", no_wrap=True)
    for suffix in ways:
        table.add_column(_AGGREGATIONS[suffix], justify="right")
    for name, values in rows.items():
        weight = "bold " if name == "mean_iou" else ""
        cells = [
            _cell(values[suffix], name, weight) if suffix in values else Text("") for suffix in ways
        ]
        table.add_row(Text(_readable(name), style=weight.strip()), *cells)
    return table


def _worst_images(result: Result, console: Console, worst: int) -> Iterator[RenderableType]:
    """Images below a perfect score, the lowest first, and the class that is lowest in each."""
    if result.num_images == 1:
        return
    if not result.plan.pixels:
        yield from _worst_by_own_score(result, console, worst)
        return
    rows = [row for row in result.worst(worst) if row["mean_iou"] < 1]
    if not rows:
        return
    table = plain_table()
    table.add_column("worst images", overflow="fold", min_width=len("worst images"))
    table.add_column("mean IoU", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("lowest class", no_wrap=True, max_width=max(28, console.width // 3))
    for row in rows:
        name, score = _lowest_class(result, row["id"])
        table.add_row(
            Text(printable(row["id"])),
            score_cell(row["mean_iou"]),
            score_cell(row["pixel_accuracy"]),
            Text.assemble(score_cell(score), f" {printable(name)}"),
        )
    yield ""
    yield table


def _worst_by_own_score(result: Result, console: Console, worst: int) -> Iterator[RenderableType]:
    """Images with the lowest scores that the protocol gives images, if it gives any."""
    files = ("pred", "target")
    rows = [{"worst images": row.pop("id")} | row for row in result.worst(worst)]
    if rows:
        yield ""
        yield from own_table("worst images", rows, console, left_out=files, whole_names=True)


def _lowest_class(result: Result, image: str) -> tuple[str, float]:
    record = next(record for record in result.totals.images if record.pair.id == image)
    scores = {}
    for name, counts in zip(result.plan.class_names, record.one_against_rest, strict=False):
        if counts.sum():
            scores[name] = float(counts[0] / counts.sum())
    return min(scores.items(), key=lambda item: item[1])


def _problems(
    problems: Sequence[Mapping[str, str]],
    advice: str | None,
    wording: Callable[[str], str],
    console: Console,
) -> Iterator[RenderableType]:
    if not problems:
        return
    table = plain_table()
    table.add_column("problem", no_wrap=True)
    table.add_column("what is wrong", overflow="fold")
    groups = _alike(problems)
    kinds = max(len(group[0]["kind"]) for group in groups)
    for group in groups[:_MAX_PROBLEMS]:
        style = "red" if group[0]["level"] == "error" else "yellow"
        text = printable(_group_text(group, wording))
        if not console.is_terminal:
            room = _MOST_UNWATCHED - kinds - _GAP
            text = _filled(text, printable(group[0]["path"]), room)
        table.add_row(Text(group[0]["kind"], style=style), Text(text))
    yield ""
    yield table
    more = sum(map(len, groups[_MAX_PROBLEMS:]))
    if more or len(groups) < len(problems):
        rest = f"and {count_text(more)} more; " if more else ""
        yield Text(f"{rest}--json has all", "dim")
    if advice is not None:
        yield Text(printable(advice), style="green")
    if any(problem["level"] == "error" for problem in problems):
        yield Text("segmeter check, with the same options, says what may be wrong", style="green")


def _filled(text: str, path: str, width: int) -> str:
    """Lines that end between words; in a log the name of a file stays whole, to be searched for."""
    whole = text.replace(path, path.replace(" ", "\0")) if path else text
    lines = textwrap.fill(whole, width, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ")


def _alike(problems: Iterable[Mapping[str, str]]) -> list[list[Mapping[str, str]]]:
    """Problems in groups that say the same but for file names and where in the file it is."""
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for problem in problems:
        pattern = problem["message"].replace(problem["path"] or _FILE, _FILE)
        for name in (f"/{problem['id']}", f"{problem['id']}."):  # of the other file of the pair
            pattern = pattern.replace(name, _FILE)
        key = (problem["level"], problem["kind"], _WHERE.sub("", pattern))
        groups.setdefault(key, []).append(problem)
    return list(groups.values())


def _group_text(group: Sequence[Mapping[str, str]], wording: Callable[[str], str]) -> str:
    text, start = problem_text(group[0], wording), f"{group[0]['path']}: "
    if len(group) == 1:
        return text
    number = f"{count_text(len(group))} files"
    if not text.startswith(start):
        return f"{number}, the first: {text}"
    return f"{number}: {_WHERE.sub(' ...', text.removeprefix(start))}; first: {group[0]['path']}"


def _conventions(result: Result) -> Text:
    lines = [f"paired {result.pairing['rule']}", *result.plan.describe()]
    lines += [
        f"{note['message']} ({plural(note['images'], 'image')}, first {note['first']})"
        for note in result.notes
    ]
    return Text("\n".join(map(printable, lines)), style="dim")


# --- cells ------------------------------------------------------------------------------------


def plain_table() -> Table:
    return Table(box=_LINES, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1))


def score_cell(value: float | None, weight: str = "") -> Text:
    if value is None or math.isnan(value):
        return Text(score_text(value), style="dim")
    color = "green" if value >= _GOOD else "yellow" if value >= _FAIR else "red"
    return Text(score_text(value), style=weight + color)


def _cell(value: object, column: str = "", weight: str = "") -> Text:
    if isinstance(value, float):
        if is_distance(column) and not math.isnan(value):
            return Text(distance_text(value), weight.strip())
        return score_cell(value, weight)
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(count_text(value) if isinstance(value, int) else printable(str(value)))


def _bar(value: float | None) -> Text:
    """Bar of eighths of a character; undefined scores have none."""
    if value is None or math.isnan(value):
        return Text("")
    whole, rest = divmod(round(8 * _BAR_WIDTH * min(max(value, 0.0), 1.0)), 8)
    bar = "█" * whole + ("" if rest == 0 else chr(ord("█") + 8 - rest))
    return Text(bar, style=score_cell(value).style)


def _readable(name: str) -> str:
    return _NAMES.get(name) or " ".join(_WORDS.get(word, word) for word in name.split("_"))
