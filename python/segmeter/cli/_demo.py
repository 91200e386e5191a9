"""``segmeter demo``: draw the scenes, evaluate them as a user would, and tell what was wrong."""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text

from segmeter import demo as scenes
from segmeter.cli._console import console
from segmeter.cli._evaluate import call
from segmeter.cli._options import Inputs
from segmeter.report._text import count_text
from segmeter.report.table import draws, overview, plain_table, score_cell, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table

    from segmeter.cli._options import Display, Place
    from segmeter.evaluation import Result

_PICTURE_WIDTH, _PICTURE_HEIGHT = 38, 20  # two of them fit into 80 columns, two pixels a character


def demo(place: Place, display: Display) -> int:
    """Write the demonstration set, evaluate it, and print tables, faults and the command."""
    from segmeter.evaluation import evaluate

    files = scenes.write(place.directory)
    inputs = Inputs(
        pred=str(files.pred),
        target=str(files.target),
        classes=str(files.classes),
        ignore_index=[scenes.VOID],
    )
    paths, keywords = call(inputs)
    result = evaluate(*paths, **keywords)
    if not display.quiet:
        screen = console(no_color=display.no_color)
        write(_picture(files.images[2], screen), screen)
        write(overview(result, screen), screen)
        write(["", _faults(files.images, result), ""], screen)
        write([_command(inputs)], screen, unbroken=True)
    return result.exit_code


def _picture(image: scenes.DemoImage, screen: Console) -> Iterator[Text]:
    """Target and prediction side by side, where the terminal has the colors for it."""
    if screen.color_system not in ("256", "truecolor") or screen.no_color or not draws(screen):
        return
    if screen.width < 2 * _PICTURE_WIDTH + 2:
        return
    title = f"{image.name}: truth"
    yield Text(f"{title:<{_PICTURE_WIDTH + 2}}prediction", style="dim")
    target, pred = _shrunk(image.target), _shrunk(image.pred)
    for row in range(0, len(target), 2):
        line = Text(no_wrap=True)
        for labels in (target, pred):
            for upper, lower in zip(labels[row], labels[row + 1], strict=True):
                line.append("▀", Style(color=_color(upper), bgcolor=_color(lower)))
            line.append("  ")
        yield line
    yield Text("")


def _shrunk(labels: NDArray[np.uint8]) -> list[list[int]]:
    """The most frequent label of every block of pixels."""
    height, width = labels.shape
    rows = np.arange(_PICTURE_HEIGHT + 1) * height // _PICTURE_HEIGHT
    columns = np.arange(_PICTURE_WIDTH + 1) * width // _PICTURE_WIDTH
    return [
        [
            int(np.bincount(labels[top:bottom, left:right].ravel()).argmax())
            for left, right in pairwise(columns)
        ]
        for top, bottom in pairwise(rows)
    ]


def _color(label: int) -> Color:
    return Color.from_rgb(*scenes.COLORS[label])


def _faults(images: tuple[scenes.DemoImage, ...], result: Result) -> Table:
    """What was counted in every image beside what had been drawn into it."""
    table = plain_table()
    table.add_column("image", no_wrap=True)
    table.add_column("mIoU", justify="right", no_wrap=True)
    table.add_column("wrong", justify="right", no_wrap=True)
    table.add_column("the fault that was drawn")
    for image, row, record in zip(images, result.per_image, result.totals.images, strict=True):
        wrong = record.counted - int(record.one_against_rest[:, 0].sum())
        table.add_row(
            image.name, score_cell(row["mean_iou"]), count_text(wrong), image.fault.sentence
        )
    return table


def _command(inputs: Inputs) -> Text:
    """The command that evaluates the same files."""
    pred, target, classes = (
        f"--{name} {shlex.quote(getattr(inputs, name))}" for name in ("pred", "target", "classes")
    )
    command = f"segmeter evaluate {pred} {target} \\\n  {classes} --ignore-index {scenes.VOID}"
    more = "(--measures pixel,region,boundary,cause looks at objects, outlines and causes, too)\n"
    return Text.assemble(("The same by hand, with every score:\n", "bold"), (more, "dim"), command)
