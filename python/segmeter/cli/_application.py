"""The typer application, and how whatever happens becomes an exit code and one line."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

import segmeter
from segmeter.cli._console import say, usage
from segmeter.cli._options import Display, Inputs, Outputs, Place, Running, Sampling, reads

if TYPE_CHECKING:
    from collections.abc import Sequence

OK = 0
USAGE = 2
INTERNAL = 4
INTERRUPTED = 130
CLOSED_PIPE = 141

app = typer.Typer(
    name="segmeter",
    help="How good is an image segmentation: fast, exact evaluation.",
    epilog="Exit codes: 0 done, 1 a gate failed, 2 wrong usage, 3 some data could not be evaluated"
    " (also where a gate failed as well), 130 interrupted.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: Sequence[str]) -> int:
    """Run a command. Every way it can end gives an exit code and at most one line of error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name the encoding lacks must not end a run
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _invoke(list(arguments) or ["--help"])
        return code if arguments else USAGE
    except BrokenPipeError:
        # The reader went away (head, less): nothing more to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _explain(error)


def _invoke(arguments: list[str]) -> int:
    # Not command.main(): that turns interruptions and closed pipes into exits of its own.
    command = typer.main.get_command(app)
    try:
        with command.make_context("segmeter", arguments) as context:
            code: int | None = command.invoke(context)
    except typer.Exit as stop:
        code = stop.exit_code
    sys.stdout.flush()
    return code or OK


def _explain(error: Exception) -> int:
    """Say in one line what was wrong, and whose mistake it was."""
    format_message = getattr(error, "format_message", None)  # what typer's usage errors share
    if format_message is not None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "segmeter"
        message = format_message().removesuffix(".")
        if message.startswith("Got unexpected extra argument"):
            message += "; files are named with --pred and --target"
        if message:  # none when the help was printed for want of options
            say(f"{message} (see {command} --help)")
        return USAGE
    if isinstance(error, ValueError | OSError | ImportError | MemoryError):
        say(usage(str(error)) or "not enough memory")
        return USAGE
    say(f"internal error: {type(error).__name__}: {error} (--debug shows where; please report it)")
    return INTERNAL


def _version(asked: bool) -> None:
    if asked:
        print(f"segmeter {segmeter.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None: ...


@app.command("evaluate", no_args_is_help=True)
@reads(Inputs, Outputs, Running, Display)
def _evaluate(inputs: Inputs, outputs: Outputs, running: Running, display: Display) -> int:
    """Compare predictions with targets: pixels, regions, boundaries, and why they differ.

    [bold]Examples[/bold]

    segmeter evaluate --pred out --target masks --classes road,car,person

    segmeter evaluate --pred out --target gtFine/val --protocol cityscapes

    segmeter evaluate --pairs pairs.csv --num-classes 2 --fail-under mean_iou=0.8

    segmeter evaluate --pred ids --target true_ids --instances
    """
    from segmeter.cli._evaluate import evaluate

    return evaluate(inputs, outputs, running, display)


@app.command("check", no_args_is_help=True)
@reads(Inputs, Sampling, Display)
def _check(inputs: Inputs, sampling: Sampling, display: Display) -> int:
    """Look at pairing, sizes and labels, and say what is probably wrong; counts nothing.

    [bold]Example[/bold]

    segmeter check --pred out --target masks
    """
    from segmeter.cli._check import check

    return check(inputs, sampling, display)


@app.command("doctor")
def _doctor() -> int:
    """Show what this machine and installation offer: kernels, threads, readers."""
    from segmeter.cli._doctor import report

    print(report())
    return OK


@app.command("demo")
@reads(Place, Display)
def _demo(place: Place, display: Display) -> int:
    """Draw a small set of street scenes with known faults, and evaluate it."""
    from segmeter.cli._demo import demo

    return demo(place, display)
