"""Check that every local link in README, CONTRIBUTING, CHANGELOG and docs leads somewhere.

    python tools/check_links.py

A link is `[text](target)`; targets with a scheme (https:) are left alone. Both the file and, after
`#`, the heading must exist. Prints one line per broken link; exits 1 if there was one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def prose(page: Path) -> str:
    """Return a page's text without its fenced code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, named as GitHub names them."""
    plain = (
        re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in HEADING.findall(prose(page))
    )
    return {heading.replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> list[str]:
    """Return one line per local link of a page that leads nowhere."""
    faults = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        destination = page.parent / name if name else page
        if not destination.exists():
            faults.append(f"{page.relative_to(ROOT)}: no file {target}")
        elif anchor and destination.suffix == ".md" and anchor not in anchors(destination):
            faults.append(f"{page.relative_to(ROOT)}: no heading {target}")
    return faults


def main() -> int:
    """Check all pages; 0 when every local link leads somewhere."""
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    faults = [fault for page in pages for fault in broken_links(page)]
    for fault in faults:
        print(fault)
    print(f"check_links: {len(pages)} pages, {len(faults)} broken links")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
