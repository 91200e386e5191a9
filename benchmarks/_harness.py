"""Fair measurement of competing functions: checked, interleaved, medians of one run.

How it is made fair:

* Every candidate's result is checked against ours *before* anything is timed; a wrong one is
  timed too but printed as WRONG and never counts as the fastest peer.
* The candidates take turns, in a new random order each round, so that a slow minute of the machine
  hits all of them. Ratios are only ever formed within one run.
* The state of the caches is the same for all: ``warm`` makes as many untimed calls just before the
  timed ones (labels as they come out of a decoder), ``cold`` evicts the input before every timed
  call. One untimed call is not enough: a last-level cache that is filled by what falls out of the
  others took ten to twenty calls to hold 4 MiB again, which lengthened short calls more than long.
* Short calls are timed in batches long enough for the clock. Wall time and the process's CPU time
  are both kept. With one thread the ratios are of CPU time: on an idle machine the two are equal,
  on a busy one the wall time of long calls contains other people's work.
* With more than one thread there is a pause before every turn in which the idle threads of the
  candidate before go to sleep (OpenMP pools spin for some milliseconds after their work); else they
  would take a core from the next one. An untimed call then wakes the candidate's own: on a virtual
  machine that took 7 ms.
* Slow candidates take part in fewer rounds, spread over the whole run.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MIN_SAMPLE_SECONDS = 2e-3
SECONDS_PER_CANDIDATE = 1.0
TOUCH_FIRST_BELOW_SECONDS = 0.1
SETTLE_WINDOW_SECONDS = 8e-3
SETTLE_AT_MOST_SECONDS = 0.1


@dataclass(frozen=True)
class Candidate:
    """One way to do the work.

    ``call`` is what is timed. ``differs`` gets its result and our matrix, and says in a few words
    what is wrong with it, or returns None. ``kind`` is ``ours``, ``peer``, ``part`` (does less
    than the whole job: shown, never the fastest peer) or ``limit`` (the bandwidth probe).
    """

    name: str
    call: Callable[[], Any]
    differs: Callable[[Any, NDArray], str | None] | None = None
    kind: str = "peer"


@dataclass
class Timing:
    """Samples of one candidate, in seconds per call."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, wall: float, cpu: float) -> None:
        self.wall.append(wall)
        self.cpu.append(cpu)

    @property
    def median(self) -> float:
        """Median wall time of a call."""
        return float(np.median(self.wall))

    @property
    def cpu_median(self) -> float:
        return float(np.median(self.cpu))

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles of the wall time, relative to the median."""
        low, high = np.percentile(self.wall, [25, 75])
        return float((high - low) / 2 / self.median)


@dataclass
class Row:
    """One line of a result table."""

    name: str
    kind: str
    timing: Timing | None
    verdict: str


def check_equal(result: Any, matrix: NDArray) -> str | None:
    """Say how an array of counts differs from our matrix, or return None."""
    counts = np.asarray(result).reshape(-1)
    if counts.size != matrix.size:
        return f"{counts.size} cells instead of {matrix.size}"
    wrong = np.flatnonzero(counts.astype(np.int64) != matrix.reshape(-1))
    if not wrong.size:
        return None
    where = np.unravel_index(wrong[0], matrix.shape)
    cell = ", ".join(str(int(index)) for index in where)
    return f"{wrong.size} cells, first [{cell}]: {counts[wrong[0]]} for {matrix[where]}"


def run_candidates(
    candidates: list[Candidate],
    matrix: NDArray,
    *,
    rounds: int,
    evict: Callable[[], None] | None = None,
    settle: bool = False,
    seconds: float = SECONDS_PER_CANDIDATE,
    seed: int = 0,
) -> list[Row]:
    """Check every candidate against ``matrix``, then time them in turns.

    Parameters
    ----------
    candidates
        What to compare.
    matrix
        The right answer, given to every candidate's ``differs``.
    rounds
        Rounds of the fast candidates; a slow one takes part in as many as ``seconds`` allows
        (at least three, at least one when a call takes longer than ``seconds``).
    evict
        None for warm caches, else called before every timed call.
    settle
        Let the threads of the last candidate fall asleep first; needed with more than one thread.
    seconds
        Time budget of one candidate.
    seed
        Seed of the order of turns.

    Returns
    -------
    list of Row
        In the order of ``candidates``.
    """
    rows, plans = [], []
    for candidate in candidates:
        row, estimate = _first_calls(candidate, matrix)
        rows.append(row)
        if row.timing is not None:
            plans.append(_Plan(candidate, row.timing, estimate, rounds, seconds, evict, settle))
    order = np.random.default_rng(seed)
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for index in order.permutation(len(plans)):
                plans[index].take_turn(turn)
    finally:
        if was_enabled:
            gc.enable()
    return rows


def _first_calls(candidate: Candidate, matrix: NDArray) -> tuple[Row, float]:
    """Warm a candidate up and check it; return its row and a first estimate of its time."""
    row = Row(candidate.name, candidate.kind, None, "")
    try:
        started = time.perf_counter()
        result = candidate.call()
        estimate = time.perf_counter() - started
    except Exception as error:  # a peer that cannot do this input is a finding, not a failure
        if candidate.kind == "ours":
            raise
        row.verdict = f"n/a: {type(error).__name__}: {str(error).splitlines()[0][:60]}"
        return row, math.inf
    difference = candidate.differs(result, matrix) if candidate.differs else None
    row.verdict = "equal" if candidate.differs else ""
    if difference is not None:
        row.verdict = f"WRONG: {difference}"
    del result
    if estimate < 1:
        started = time.perf_counter()
        candidate.call()
        estimate = time.perf_counter() - started
    row.timing = Timing()
    return row, estimate


class _Plan:
    """When and how one candidate is timed."""

    def __init__(
        self,
        candidate: Candidate,
        timing: Timing,
        estimate: float,
        rounds: int,
        seconds: float,
        evict: Callable[[], None] | None,
        settle: bool,
    ) -> None:
        self.call = candidate.call
        self.timing = timing
        self.evict = evict
        self.settle = settle
        self.touch_first = evict is None and estimate < TOUCH_FIRST_BELOW_SECONDS
        self.batch = 1
        if evict is None:
            self.batch = max(1, math.ceil(MIN_SAMPLE_SECONDS / max(estimate, 1e-7)))
        affordable = max(1 if estimate > seconds else 3, int(seconds / (estimate * self.batch)))
        self.every = max(1, rounds // min(affordable, rounds))

    def take_turn(self, turn: int) -> None:
        if turn % self.every:
            return
        call = self.call
        if self.settle:
            _wait_for_idle_threads()
        if self.evict is not None:
            if self.settle:
                call()  # wakes its threads, which may take longer than its work does
            self.evict()
        elif self.touch_first:
            for _ in range(self.batch):
                call()
        cpu = time.process_time_ns()
        wall = time.perf_counter_ns()
        for _ in range(self.batch):
            call()
        wall = time.perf_counter_ns() - wall
        cpu = time.process_time_ns() - cpu
        self.timing.add(wall / self.batch / 1e9, cpu / self.batch / 1e9)


def _wait_for_idle_threads() -> None:
    """Return once no thread of this process has used a processor for some milliseconds.

    The kernel books the time of another core's thread at its next tick, up to 4 ms late; a shorter
    look would see nothing.
    """
    deadline = time.perf_counter() + SETTLE_AT_MOST_SECONDS
    while time.perf_counter() < deadline:
        cpu = time.process_time()
        time.sleep(SETTLE_WINDOW_SECONDS)
        if time.process_time() - cpu < 0.1 * SETTLE_WINDOW_SECONDS:
            return


def per_call_overhead(
    calls: dict[str, Callable[[], Any]], *, batch: int, rounds: int
) -> dict[str, Timing]:
    """Time very short calls in turns; every sample is the mean over ``batch`` calls."""
    timings = {name: Timing() for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            for _ in range(batch):
                call()
            wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
            timings[name].add(wall / batch / 1e9, cpu / batch / 1e9)
    return timings


# --- the machine ------------------------------------------------------------------------------


def machine_info() -> dict[str, Any]:
    """Return what decides the numbers: processor, caches, memory, versions, load."""
    cpuinfo = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    flags = set((re.search(r"^flags\s*:\s*(.*)$", cpuinfo, re.MULTILINE) or [""])[0].split())
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = _read(index / "level").strip(), _read(index / "type").strip()
        caches[f"L{level} {kind.lower()}"] = _read(index / "size").strip()
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "caches": caches,
        "simd": [name for name in ("sse4_2", "avx2", "avx512bw", "avx512_vbmi2") if name in flags],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


class OtherLoad:
    """Measures how many cores other processes kept busy since it was made."""

    def __init__(self) -> None:
        self.start = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        ticks = [int(value) for value in _read("/proc/stat").split("\n", 1)[0].split()[1:9]]
        busy = sum(ticks) - ticks[3] - ticks[4] if ticks else 0
        own = time.process_time() + sum(os.times()[2:4])
        return time.perf_counter(), busy / os.sysconf("SC_CLK_TCK"), own

    def cores(self) -> float:
        wall, busy, own = (b - a for a, b in zip(self.start, self._now(), strict=True))
        return max(0.0, (busy - own) / wall)


# --- tables -----------------------------------------------------------------------------------


def number(value: float) -> str:
    """Write a number with three significant digits and no exponent."""
    if not math.isfinite(value):
        return str(value)
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 3)}f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Lay out an aligned Markdown table; all columns but the first and last are right-aligned."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    edges = (0, len(header) - 1)

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if column in edges else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        "-" * width if column in edges else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])
