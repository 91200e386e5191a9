"""Losses with their gradient against the packages that have them, and the machine's limit.

    python benchmarks/bench_loss.py [--quick] [--only ce,dice-ce] [--threads 1,2]
                                    [--allocators default,warm] [--json FILE]

A call is what a training step does: the value, then ``backward()``. Each number of threads and each
allocator gets a process of its own. See benchmarks/README.md for how to read the tables.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import _loss_peers
from _harness import Candidate, OtherLoad, machine_info, number, per_call_overhead, table
from _harness import run_candidates as run
from _loss_peers import ENTRIES, Entry, Peer, Workload, own_loss
from _memory import peak_extra_bytes
from _native import copiers
from _peers import Unavailable
from _tables import (
    Target,
    fastest,
    print_report,
    print_targets,
    row_record,
    simd_in_use,
    start_child,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ALLOCATORS = {
    "default": {},
    # Memory that was freed is kept: no page of a new array is fetched from the system again.
    "warm": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        "MALLOC_TOP_PAD_": "0",
    },
}
SPECIAL = ("small", "memory", "accuracy")
RECYCLED, FRESH, VALUE_ONLY = "segmeter.torch", "segmeter.torch, fresh gradient", "value only"


# --- candidates -----------------------------------------------------------------------------------


def step(loss: Any, logits: torch.Tensor, target: torch.Tensor) -> Callable[[], Any]:
    """A training step's work on the logits; the gradient of the last one is given back first."""

    def call() -> tuple[torch.Tensor, torch.Tensor]:
        logits.grad = None
        value = loss(logits, target)
        value.backward()
        return value.detach(), logits.grad

    return call


def ours(entry: Entry, workload: Workload) -> list[Candidate]:
    loss = own_loss(entry)
    logits = workload.logits.detach().requires_grad_()
    recycled = step(loss, logits, workload.labels)
    clear = importlib.import_module("segmeter.loss").clear_buffers

    def fresh() -> Any:
        logits.grad = None
        clear()
        return recycled()

    return [
        Candidate(RECYCLED, recycled, kind="ours"),
        Candidate(FRESH, fresh, kind="ours too"),
    ]


def peer_candidate(entry: Entry, peer: Peer, workload: Workload) -> Candidate | Unavailable:
    try:
        loss = peer.make()
    except ImportError as error:
        return Unavailable(peer.name, str(error))
    if peer.compiled:
        loss = torch.compile(loss, dynamic=False)
    logits = workload.logits.detach().clone().requires_grad_()
    call = step(loss, logits, getattr(workload, peer.target))
    return Candidate(peer.name, call, _check(entry, peer, workload))


def _check(
    entry: Entry, peer: Peer, workload: Workload
) -> Callable[[Any, NDArray], str | None] | None:
    """Compare a peer with ours under the preset that promises its number and gradient."""
    if peer.preset is None:
        return None
    own = step(
        own_loss(entry, **peer.options),
        workload.logits.detach().clone().requires_grad_(),
        workload.labels,
    )

    def differs(result: Any, _: NDArray) -> str | None:
        value, gradient = result
        own_value, own_gradient = own()
        if not torch.isclose(value.double(), own_value.double(), rtol=1e-4, atol=1e-6):
            return f"{value:.6g}, ours {own_value:.6g}"
        largest = own_gradient.abs().max()
        distance = (gradient - own_gradient).abs().max() / largest
        return None if distance < 1e-3 else f"gradient off by {distance:.1e} of its largest entry"

    return differs


def limits(workload: Workload, passes: int, threads: int) -> list[Candidate]:
    """Reading the logits once, or twice, and writing as much once."""
    logits = workload.logits.numpy()
    return [
        Candidate(f"{passes} reads, 1 write ({name})", call, kind="limit")
        for name, call in copiers(logits, passes, threads).items()
    ]


# --- tables ---------------------------------------------------------------------------------------


def measure(name: str, options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Time one loss, print its table."""
    entry = ENTRIES[name]
    workload = _loss_peers.workload(entry.workload, options.quick)
    found = [peer_candidate(entry, peer, workload) for peer in entry.peers]
    candidates = ours(entry, workload)
    candidates += [item for item in found if isinstance(item, Candidate)]
    candidates += limits(workload, entry.passes, threads)
    missing = [item for item in found if isinstance(item, Unavailable)]
    load = OtherLoad()
    rows = run(
        candidates,
        np.empty(0),
        rounds=options.rounds,
        settle=threads > 1,
        seconds=options.seconds,
    )
    shape = "x".join(str(length) for length in workload.logits.shape)
    report = {
        "workload": name,
        "title": f"{entry.title}, value and gradient: {shape} float32",
        "threads": threads,
        "cache": f"{options.allocator} allocator",
        "state": options.allocator,
        "pixels": workload.labels.numel(),
        "bytes": workload.logits.nbytes,
        "basis": "cpu" if threads == 1 else "wall",
        "other_cores": load.cores(),
        "rows": [row_record(row) for row in rows],
        "missing": [asdict(item) for item in missing],
    }
    print_report(report)
    return [report]


def measure_small(options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Time value and gradient of 2x4x8x8 logits: what a call costs beside the pixels."""
    if options.allocator != "default":
        return []
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 8, 8, generator=generator).requires_grad_()
    labels = torch.randint(0, 4, (2, 8, 8), generator=generator)
    calls = {
        "torch cross_entropy": step(_loss_peers.cross_entropy(), logits, labels),
        "MONAI DiceCELoss": step(_loss_peers.DICE_CE[0].make(), logits, labels[:, None]),
    }
    for name in ("ce", "dice", "dice-ce", "focal", "lovasz"):
        calls[f"segmeter.torch {ENTRIES[name].own}"] = step(own_loss(ENTRIES[name]), logits, labels)
    timings = per_call_overhead(calls, batch=100, rounds=5 if options.quick else 21)
    seconds = {
        name: timing.cpu_median if threads == 1 else timing.median
        for name, timing in timings.items()
    }
    print(
        f"\n### Small input: 2x4x8x8, value and gradient, {threads} thread{'s' * (threads > 1)}\n"
    )
    lines = [[name, number(value * 1e6), ""] for name, value in seconds.items()]
    print(table(["what", "µs a step", ""], lines), flush=True)
    slowest = max(value for name, value in seconds.items() if name.startswith("segmeter"))
    return [
        {
            "workload": "small",
            "threads": threads,
            "cache": "default allocator",
            "state": "default",
            "slowest": slowest,
            "seconds": seconds,
        }
    ]


def measure_memory(options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Measure the extra memory of one step, in a forked process for each candidate."""
    if threads != 1 or options.allocator != "default":
        return []
    reports = []
    for name in ("ce", "dice-ce", "focal", "lovasz"):
        entry = ENTRIES[name]
        full = _loss_peers.workload(entry.workload, options.quick)
        small = Workload("small", full.logits[:1, :, :32, :32].clone(), full.labels[:1, :32, :32])
        logits_bytes = full.logits.nbytes

        def candidates(workload: Workload, entry: Entry = entry) -> list[Candidate]:
            made = [
                peer_candidate(entry, peer, workload) for peer in entry.peers if not peer.compiled
            ]
            return ours(entry, workload)[:1] + [c for c in made if isinstance(c, Candidate)]

        extras = peak_extra_bytes(candidates(small), candidates(full))
        print(f"\n### Memory: {entry.title}, logits of {logits_bytes / 2**20:.1f} MiB\n")
        lines = [
            [what, "failed", ""]
            if extra is None
            else [what, f"{extra / 2**20:.1f}", f"{extra / logits_bytes:.2f}x"]
            for what, extra in sorted(extras.items(), key=lambda item: item[1] or 0)
        ]
        print(table(["what", "extra MiB at the peak", "of the logits"], lines), flush=True)
        own_extra = extras[RECYCLED]
        reports.append(
            {
                "workload": f"memory-{name}",
                "threads": threads,
                "cache": "default allocator",
                "state": "default",
                "beyond": None if own_extra is None else (own_extra - logits_bytes) / 2**20,
                "extras": extras,
            }
        )
    return reports


def measure_accuracy(options: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """Compare value and gradient with those of float64, beside torch's own float32."""
    if threads != 1 or options.allocator != "default":
        return []
    lines, reports = [], []
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 19, 128, 128, generator=generator)
    labels = torch.randint(0, 19, (2, 128, 128), generator=generator)
    for name in ("ce", "focal", "dice", "dice-ce", "lovasz", "lovasz-exact"):
        loss = own_loss(ENTRIES[name])
        truth = _exact(name, logits, labels)
        value, gradient = step(loss, logits.clone().requires_grad_(), labels)()
        off = abs(value.item() - truth[0].item()) / abs(truth[0].item())
        distance = (gradient.double() - truth[1]).abs()
        relative = (distance / truth[1].abs().clamp(min=1e-300)).max().item()
        of_largest = (distance.max() / truth[1].abs().max()).item()
        lines.append([name, f"{off:.1e}", f"{relative:.1e}", f"{of_largest:.1e}", ""])
        reports.append(
            {
                "workload": f"accuracy-{name}",
                "threads": threads,
                "cache": "default allocator",
                "state": "default",
                "value": off,
                "absolute": abs(value.item() - truth[0].item()),
                "gradient": relative,
            }
        )
    print("\n### Accuracy: distance from float64, logits of spread 1\n")
    header = ["loss", "value, relative", "gradient, relative", "gradient, of largest", ""]
    print(table(header, lines), flush=True)
    return reports


def _exact(name: str, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """Value and gradient in plain float64 operations."""
    plain = importlib.import_module("segmeter.torch._evaluate").plain
    inputs = importlib.import_module("segmeter.torch._evaluate").Inputs
    double = logits.double().requires_grad_()
    ((_, loss),) = own_loss(ENTRIES[name])._parts
    value = plain(loss, inputs(double, labels))
    value.backward()
    return value.detach(), double.grad


# --- targets --------------------------------------------------------------------------------------


def times_the_limit(report: dict[str, Any]) -> float | None:
    own, limit = fastest(report, "ours"), fastest(report, "limit")
    return own[report["basis"]] / limit[report["basis"]] if own and limit else None


def _best(*names: str, own: str = "ours", compiled: bool = False) -> Any:
    """How often ours fits into the best of some peers, compiled ones apart."""

    def find(report: dict[str, Any]) -> float | None:
        basis = report["basis"]
        mine = fastest(report, own)
        peers = [
            row
            for row in report["rows"]
            if row["kind"] == "peer"
            and "wall" in row
            and not row["verdict"].startswith("WRONG")
            and ("compiled" in row["name"]) == compiled
            and (not names or any(name in row["name"] for name in names))
            and "micro" not in row["name"]  # sums over classes: another, cheaper loss
        ]
        return min(row[basis] for row in peers) / mine[basis] if peers and mine else None

    return find


def _reported(key: str) -> Any:
    return lambda report: report.get(key)


TARGETS = (
    Target("ce", "cross entropy: torch eager", 10, _best("torch")),
    Target("ce", "cross entropy: torch eager, fresh gradient", 4, _best("torch", own="ours too")),
    Target("ce", "cross entropy: torch compiled", 4, _best(compiled=True)),
    Target("dice", "Dice: best eager", 8, _best()),
    Target("tversky", "Tversky: best eager", 8, _best()),
    Target("dice-ce", "Dice + CE: MONAI and nnU-Net", 15, _best()),
    Target("dice-ce", "Dice + CE: best compiled", 8, _best(compiled=True)),
    Target("focal", "focal: kornia", 5, _best("kornia")),
    Target("focal", "focal: MONAI", 15, _best("MONAI")),
    Target("volume-dice-ce", "3-D Dice + CE: best eager", 7, _best()),
    Target("binary-dice-ce", "binary Dice + BCE: best eager", 6, _best()),
    Target("lovasz", "Lovász: smp", 20, _best("smp")),
    Target("lovasz-exact", "Lovász, exact: smp", 8, _best("smp")),
    Target("ce", "cross entropy: of the byte limit", 1.6, times_the_limit, at_most=True),
    Target("dice-ce", "Dice + CE: of the byte limit", 1.6, times_the_limit, at_most=True),
    *(
        Target(
            f"memory-{name}",
            f"memory, {ENTRIES[name].title}: beyond the gradient",
            1.0,
            _reported("beyond"),
            " MiB",
            at_most=True,
        )
        for name in ("ce", "dice-ce", "focal", "lovasz")
    ),
    Target(
        "small",
        "small input: slowest of ours",
        100,
        lambda report: report["slowest"] * 1e6,
        " µs",
        at_most=True,
    ),
)


# --- running --------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="small maps and few rounds")
    parser.add_argument("--json", type=Path, help="write every number to this file")
    parser.add_argument("--only", help=f"comma-separated: {', '.join([*ENTRIES, *SPECIAL])}")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default 1,2)")
    parser.add_argument("--allocators", default=",".join(ALLOCATORS), help="default,warm")
    parser.add_argument("--rounds", type=int, help="turns of the fast candidates (default 21)")
    parser.add_argument("--seconds", type=float, help="time for one candidate (default 1.5)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--allocator", default="default", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.only.split(",") if options.only else [*ENTRIES, *SPECIAL]
    unknown = [name for name in names if name not in ENTRIES and name not in SPECIAL]
    if unknown:
        parser.error(f"--only: unknown {', '.join(unknown)}")
    options.names = names
    options.rounds = options.rounds or (5 if options.quick else 21)
    options.seconds = options.seconds or (0.2 if options.quick else 1.5)
    return options


def run_child(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure everything asked for with one number of threads and one allocator."""
    threads = int(options.threads)
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")  # what peers and the compiler say
    special = {"small": measure_small, "memory": measure_memory, "accuracy": measure_accuracy}
    reports = []
    # Memory first, while nothing has started a thread pool that a forked child would miss.
    for name in sorted(options.names, key=lambda name: name != "memory"):
        reports += (
            measure(name, options, threads) if name in ENTRIES else special[name](options, threads)
        )
    return reports


def main() -> None:
    options = parse_arguments()
    if options.child:
        options.json.write_text(json.dumps(run_child(options)))
        return
    machine = machine_info()
    machine["torch"] = torch.__version__
    machine["simd in use"] = simd_in_use()
    print("## Machine\n")
    for key, value in machine.items():
        print(f"- {key}: {value}")
    sys.stdout.flush()
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for allocator in options.allocators.split(","):
            os.environ |= ALLOCATORS[allocator]
            for threads in options.threads.split(","):
                out = Path(folder) / f"{allocator}-{threads}.json"
                reports += start_child(__file__, int(threads), out, "--allocator", allocator)
            for name in ALLOCATORS[allocator]:
                os.environ.pop(name)
    print_targets(TARGETS, reports, quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "reports": reports}, indent=1))


if __name__ == "__main__":
    main()
