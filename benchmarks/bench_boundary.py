"""Boundaries against everything else that measures how far they are apart.

    python benchmarks/bench_boundary.py [--quick] [--only scores] [--cases organ] [--threads 1,2]

Each part is a module ``_boundary_<part>.py`` with ``CASES`` (how to draw a case and who competes)
and ``TARGETS``. Each number of threads gets a process of its own. See benchmarks/README.md for how
to read the tables.
"""

from __future__ import annotations

from _parts import Benchmark

PARTS = ("scores", "surface", "band", "edt")

if __name__ == "__main__":
    Benchmark("boundary", PARTS, __file__, (__doc__ or "").split("\n", 1)[0]).main()
