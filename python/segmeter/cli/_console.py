"""Where output goes: tables to standard output, progress and messages to standard error."""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from segmeter.report._text import count_text, plural, printable
from segmeter.report.table import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Task

    _Move = Callable[[int, int, int], None]

# Keywords that are no English words, and those that are: an option only where a message begins with
# one or gives it a value.
_WORDS = (
    "pred_mapping|mapping|ignore_index|out_of_range|color_table|num_classes|class_names|label_groups"
    "|reduce_zero_label|pred_suffix|target_suffix|boundary_ratio|cause_maps|panoptic(?==)|spacing(?==)"
)
_ENGLISH = (
    "pred|target|pair|pattern|threshold|protocol|missing|threads|sample|measures|instances"
    "|connectivity|things|spacing|tolerance|preset"
)
_VALUE = r"(?:=(?:\{[^}]*\}|True|r?'(?P<value>[^']*)')?)?"
_KEYWORD = re.compile(rf"(?<![\w./-])(?P<name>{_WORDS}){_VALUE}(?![\w./-])")
_USAGE = re.compile(rf"(?:^|(?<![\w./-])(?=\w+=))(?P<name>{_ENGLISH}){_VALUE}(?=[ :;,]|$)")
_FLAGS = {"class_names": "classes", "panoptic": "protocol coco-panoptic"}  # others are alike


def console(*, stderr: bool = False, no_color: bool = False) -> Console:
    """Console of this process; lines are broken only where a person watches a terminal."""
    made = Console(
        file=sys.stderr if stderr else sys.stdout,
        no_color=no_color or None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    if not made.is_terminal:
        made.width = UNLIMITED
    return made


def say(message: str) -> None:
    """Write a message to standard error, with the program's name before it."""
    text = "\n".join(printable(line) for line in message.split("\n"))
    print(f"segmeter: {text}", file=sys.stderr, flush=True)


def with_flags(message: str) -> str:
    """Name the options of the command line where a message names keywords of Python.

    Examples
    --------
    >>> with_flags("say what they mean with mapping or ignore_index")
    'say what they mean with --mapping or --ignore-index'
    """
    return _KEYWORD.sub(_flag, message)


def usage(message: str) -> str:
    """Name the options in a message about wrong use, which is about keywords from its first word.

    Examples
    --------
    >>> usage("num_classes must be 1 to 65,536, got 0")
    '--num-classes must be 1 to 65,536, got 0'
    >>> usage("pair='regex' needs pattern=, for example pattern=r'(x)'")
    "--pair regex needs --pattern, for example --pattern '(x)'"
    """
    return _USAGE.sub(_flag, with_flags(message))


def _flag(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    flag = f"--{_FLAGS.get(name, name).replace('_', '-')}"
    return flag if value is None else f"{flag} {shlex.quote(value)}"


class _Rate(ProgressColumn):
    """Images per second so far."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} images/s", style="cyan")


class _Problems(ProgressColumn):
    """Number of problems met, once there is one."""

    def render(self, task: Task) -> Text:
        problems: int = task.fields["problems"]
        return Text(plural(problems, "problem") if problems else "", style="red")


@contextmanager
def progress_bar(*, shown: bool, no_color: bool) -> Iterator[_Move | None]:
    """Yield a function of (done, total, problems) that moves a bar on standard error.

    It is None unless ``shown`` is true and standard error is a terminal. The bar vanishes at the
    end: what it said is in the summary.
    """
    screen = console(stderr=True, no_color=no_color)
    if not (shown and screen.is_terminal):
        yield None
        return
    bar = Progress(
        TextColumn("evaluating"),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        _Rate(),
        TimeRemainingColumn(compact=True),
        _Problems(),
        console=screen,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None, counted="", problems=0)

        def move(done: int, total: int, problems: int) -> None:
            counted = f"{count_text(done)}/{count_text(total)}"
            bar.update(task, completed=done, total=total, counted=counted, problems=problems)

        yield move
