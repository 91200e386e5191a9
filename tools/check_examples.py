"""Run the Python examples of README and docs as doctests.

    python tools/check_examples.py [PAGE...]

A page's ```python blocks with `>>>` lines are one session, in order, in a folder of their own in
which `data` is the shared data set folder. Pages that read `data` are skipped where there is none,
unless CI is set. Pages
that import torch are skipped where it is not installed; the tests run them. Exits 1 if an example
printed something else than the page says.
"""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def session_of(page: Path) -> doctest.DocTest:
    """Collect the examples of a page; line numbers are those of the page."""
    text = page.read_text(encoding="utf-8")
    inside = bytearray(len(text))
    for block in BLOCK.finditer(text):
        inside[block.start(1) : block.end(1)] = b"\1" * (block.end(1) - block.start(1))
    # Blank what is not Python, so that the doctest parser counts the page's own lines.
    kept = "".join(c if c == "\n" or inside[i] else " " for i, c in enumerate(text))
    kept = re.sub(r"^ +$", "", kept, flags=re.MULTILINE)
    return doctest.DocTestParser().get_doctest(kept, {}, page.name, str(page), 0)


def main() -> int:
    """Run all pages; 0 when every example printed what the page says."""
    named = [Path(name).resolve() for name in sys.argv[1:]]
    pages = named or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    warnings.simplefilter("error")
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for page in pages:
        session = session_of(page)
        reads_data = any("data/" in example.source for example in session.examples)
        if reads_data and not DATA.is_dir() and not os.environ.get("CI"):
            print(f"{page.name}: skipped, no shared data")
            continue
        if any(
            example.source == "import torch\n" for example in session.examples
        ) and not find_spec("torch"):
            print(f"{page.name}: skipped, no torch")
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            if DATA.is_dir():
                Path("data").symlink_to(DATA)
            runner.run(session)
        print(f"{page.name}: {len(session.examples)} examples")
    failed, tried = runner.summarize(verbose=False)
    print(f"{tried - failed} passed, {failed} failed")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
