"""Regions against everything else that labels, overlaps and matches them.

    python benchmarks/bench_region.py [--quick] [--only components] [--cases blob50] [--threads 1,2]

Each part is a module ``_region_<part>.py`` with ``CASES`` (how to draw a case and who competes) and
``TARGETS``. Each number of threads gets a process of its own. See benchmarks/README.md for how to
read the tables.
"""

from __future__ import annotations

from _parts import Benchmark

PARTS = ("components", "overlap", "scores", "lesions", "panoptic", "coco")

if __name__ == "__main__":
    Benchmark("region", PARTS, __file__, (__doc__ or "").split("\n", 1)[0]).main()
