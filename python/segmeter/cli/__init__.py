"""The ``segmeter`` command: evaluate, check, doctor, demo.

Only :func:`main` lives here; everything heavier is imported when a command runs.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command and options, without the program's name. Default: those of this process.

    Returns
    -------
    int
        0 done, 1 a ``--fail-under`` gate failed, 2 wrong usage, 3 some data could not be
        evaluated, 4 an error inside segmeter, 130 interrupted.

    Examples
    --------
    >>> from segmeter.cli import main
    >>> main(["--version"])  # doctest: +ELLIPSIS
    segmeter ...
    0
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if find_spec("typer") is None or find_spec("rich") is None:
        return _without_extra(arguments)
    from segmeter.cli._application import run

    return run(arguments)


def _without_extra(arguments: Sequence[str]) -> int:
    """Run the one command that needs neither typer nor rich, or say what to install."""
    if list(arguments) == ["doctor"]:
        from segmeter.cli._doctor import report

        print(report())
        return 0
    print(
        'segmeter: the command line needs typer and rich: pip install "segmeter[eval]"',
        file=sys.stderr,
    )
    return 2
