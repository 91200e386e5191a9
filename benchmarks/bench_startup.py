"""How long it takes until something happens: importing, and the command line's help.

python benchmarks/bench_startup.py
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from _harness import number, table

ROUNDS = 11

COMMANDS = {
    "python, nothing": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import segmeter": ["-c", "import segmeter"],
    "segmeter --help": ["-m", "segmeter", "--help"],
}


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(ROUNDS + 1):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            if turn:  # the first turn fills the page cache and writes byte code
                seconds[name].append(time.perf_counter() - started)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    print(table(["what", "ms", ""], [[name, number(v * 1e3), ""] for name, v in medians.items()]))
    beyond = medians["import segmeter"] - medians["import numpy"]
    print(f"\nimport segmeter beyond NumPy: {beyond * 1e3:.0f} ms (asked: < 100 ms)")
    print(f"segmeter --help: {medians['segmeter --help'] * 1e3:.0f} ms (asked: < 500 ms)")


if __name__ == "__main__":
    main()
