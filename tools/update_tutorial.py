"""Run the commands that the pages show, and put what they print below them.

    python tools/update_tutorial.py            rewrite README.md and docs/*.md
    python tools/update_tutorial.py --check    only compare; exits 1 where a page is out of date
    python tools/update_tutorial.py docs/tutorial-evaluate-a-folder.md

A block fenced as ```console holds commands (lines that begin with "$ ", continued by a backslash)
and their output. All commands of a page run in one empty folder in which `data` is the shared data
set folder. Durations and rates differ from run to run, so `--check` compares pages with these
blanked out. Pages whose commands read `data` are skipped where there is none, unless CI is set.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?:.*\\\n)*.*\n", re.MULTILINE)
CHANGING = re.compile(r"\d+(?:[.,]\d+)* ?(?:ms|s|min|images/s|pairs/s|Mpx/s|Gpx/s|MB/s|GB/s)\b")


def run(command: str, folder: Path) -> str:
    """Run one command in a plain 100-column terminal; return what it prints, errors included."""
    environment = {name: text for name, text in os.environ.items() if name != "CI"}
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    finished = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode not in (0, 1, 3):
        raise SystemExit(f"$ {command}\nexit code {finished.returncode}\n{finished.stdout}")
    return "\n".join(line.rstrip() for line in finished.stdout.splitlines())


def renewed(text: str) -> str:
    """Return a page with the output below every command replaced by what it prints now."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if DATA.is_dir():
            (folder / "data").symlink_to(DATA)

        def renew_block(block: re.Match[str]) -> str:
            parts = []
            for shown in COMMAND.findall(block[0]):
                output = run(shown[2:].replace("\\\n", " ").strip(), folder)
                parts.append(shown + (output.strip("\n") + "\n" if output.strip() else ""))
            return "".join(parts)

        return BLOCK.sub(renew_block, text)


def needs_data(text: str) -> bool:
    """Tell whether a command of the page reads the shared data."""
    return any(
        "data/" in command for block in BLOCK.findall(text) for command in COMMAND.findall(block)
    )


def steady(text: str) -> list[str]:
    """Return a page's lines without what differs from run to run."""
    return CHANGING.sub("...", text).splitlines(keepends=True)


def main() -> int:
    """Renew or check the pages; 0 when nothing is out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, change nothing")
    parser.add_argument("pages", nargs="*", type=Path)
    arguments = parser.parse_args()
    stale = 0
    for page in arguments.pages or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        old = page.read_text(encoding="utf-8")
        if not BLOCK.search(old):
            continue
        if needs_data(old) and not DATA.is_dir() and not os.environ.get("CI"):
            print(f"{page.name}: skipped, no shared data")
            continue
        new = renewed(old)
        if arguments.check:
            difference = list(difflib.unified_diff(steady(old), steady(new), "page", "now"))
            sys.stdout.writelines(difference)
            stale += bool(difference)
            print(f"{page.name}: {'out of date' if difference else 'ok'}")
        else:
            page.write_text(new, encoding="utf-8")
            print(f"{page.name}: {'rewritten' if new != old else 'unchanged'}")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
