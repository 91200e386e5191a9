"""``segmeter check``: what the files look like, what is probably wrong, and what to try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from segmeter.cli._console import console
from segmeter.cli._evaluate import call
from segmeter.report._text import count_text, plural, printable, share_text
from segmeter.report.table import plain_table, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from segmeter.cli._options import Display, Inputs, Sampling
    from segmeter.evaluation import CheckReport, Finding

_STYLES = {"error": "bold red", "warning": "bold yellow", "info": "cyan"}
_MAX_ENTRIES = 12
_MAX_FILES = 3


def check(inputs: Inputs, sampling: Sampling, display: Display) -> int:
    """Look at the files, print what was found, and give the exit code."""
    from segmeter.evaluation import check as look

    files, keywords = call(inputs)
    report = look(*files, **keywords, sample=sampling.sample or None)
    if not display.quiet:
        screen = console(no_color=display.no_color)
        write(_parts(report), screen)
        if report.command is not None:
            command = Text.assemble(("\nTry:\n", "bold"), printable(report.command))
            write([command], screen, unbroken=True)
    return report.exit_code


def _parts(report: CheckReport) -> Iterator[RenderableType]:
    yield _escaped(report.pairing.report())
    if report.pairing.pairs:
        yield ""
        yield _overview(report.statistics)
    listed = {*report.pairing.only_pred, *report.pairing.only_target}
    for finding in report.findings:
        yield ""
        yield from _finding(finding, [name for name in finding.files if name not in listed])
    if not report.findings:
        yield Text("\nnothing looks wrong", style="bold green")


def _overview(statistics: Mapping[str, Any]) -> RenderableType:
    """Formats, sizes and labels of both sides; of data sets of a protocol, how much was read."""
    read, pairs = statistics["sampled"], statistics["pairs"]
    if not (statistics["pred"]["formats"] or statistics["target"]["formats"]):
        return Text(f"{count_text(read)} of {count_text(pairs)} measured")
    sample = "" if read == pairs else f" ({count_text(read)} of {count_text(pairs)} read)"
    table = plain_table()
    table.add_column("")
    table.add_column("predictions", overflow="fold")
    table.add_column("targets", overflow="fold")
    for heading, key in (("format", "formats"), ("stored as", "dtypes"), ("size", "sizes")):
        table.add_row(heading, *(_kinds(statistics[side][key]) for side in ("pred", "target")))
    labels = (_labels(statistics[side]["labels"]) for side in ("pred", "target"))
    table.add_row(f"labels{sample}", *labels)
    return table


def _kinds(counts: Mapping[str, int]) -> Text:
    if len(counts) == 1:
        return Text(printable(next(iter(counts))))
    return _some([f"{kind} ({plural(count, 'file')})" for kind, count in counts.items()])


def _labels(counts: Mapping[int, int]) -> Text:
    pixels = sum(counts.values())
    return _some([f"{label}: {share_text(count, pixels)}" for label, count in counts.items()])


def _some(entries: list[str]) -> Text:
    more = len(entries) - _MAX_ENTRIES
    rest = [f"and {count_text(more)} more"] if more > 0 else []
    return Text("\n".join([*map(printable, entries[:_MAX_ENTRIES]), *rest]))


def _finding(finding: Finding, files: Sequence[str]) -> Iterator[RenderableType]:
    head = Text(f"{finding.level}: ", style=_STYLES[finding.level])
    yield head.append(printable(finding.message), style="default not bold")
    if finding.remedy:
        yield Padding(Text(printable(finding.remedy), style="green"), (0, 0, 0, 4))
    if files:
        names = [printable(name) for name in files[:_MAX_FILES]]
        more = len(files) - len(names)
        names += [f"and {count_text(more)} more"] if more else []
        yield Padding(Text("\n".join(names), style="dim", overflow="fold"), (0, 0, 0, 4))


def _escaped(text: str) -> Text:
    return Text("\n".join(map(printable, text.split("\n"))))
