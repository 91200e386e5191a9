"""``python -m segmeter``: the same as the ``segmeter`` command."""

from __future__ import annotations

import sys

from segmeter.cli import main

if __name__ == "__main__":
    sys.exit(main())
