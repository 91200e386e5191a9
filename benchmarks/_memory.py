"""How much memory a call needs on top of its input: the peak of a fresh process, per candidate.

tracemalloc sees neither C++ nor torch, so the number comes from the kernel: a forked child warms
the candidate up on a small input, gives free memory back, resets the peak (``VmHWM``) and makes
one call. The difference between the new peak and the memory in use before is what the call took.
The kernel keeps that counter in batches of pages, so differences below ``RESOLUTION_BYTES`` are
noise.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from segmeter import _core

if TYPE_CHECKING:
    from _harness import Candidate

RESOLUTION_BYTES = 512 << 10
CHILD_SECONDS = 120
_M_ARENA_MAX = -8


def peak_extra_bytes(small: list[Candidate], full: list[Candidate]) -> dict[str, int | None]:
    """Return the extra peak memory of one call of each candidate of ``full``, by name.

    ``small`` are the same candidates on a small input, for the warm-up. None where the call
    failed.
    """
    warm_ups = {candidate.name: candidate for candidate in small}
    return {
        candidate.name: _in_child(warm_ups[candidate.name], candidate)
        for candidate in full
        if candidate.kind != "limit" and candidate.name in warm_ups
    }


def _in_child(warm_up: Candidate, candidate: Candidate) -> int | None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(CHILD_SECONDS)
        try:
            os.write(writer, json.dumps(_measure(warm_up, candidate)).encode())
        except Exception:  # a peer that fails here has no number; the child must end in any case
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer) if answer else None


def _measure(warm_up: Candidate, candidate: Candidate) -> int:
    # In a thread of its own: what threads keep for their next call would hide what this one needs,
    # and that of a small input hides little.
    warm, go = threading.Event(), threading.Event()

    def call() -> None:
        for _ in range(2):
            warm_up.call()
        warm.set()
        go.wait()
        candidate.call()

    system = ctypes.CDLL(None)
    system.mallopt(_M_ARENA_MAX, 1)  # the thread begins no heap of its own
    caller = threading.Thread(target=call)
    caller.start()
    warm.wait()
    _core.free_kept_pages()
    system.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    go.set()
    caller.join()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"^{name}:\s*(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {name}")
    return int(found[1]) * 1024
