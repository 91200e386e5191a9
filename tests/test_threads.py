"""Threads: the same bits for any number, no lock held, safe after fork and beside torch."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import numpy as np
import pytest

import segmeter
from segmeter import _core

RNG = np.random.default_rng(0)
TARGET = np.repeat(RNG.integers(0, 9, 40_000), 100).astype(np.uint8)
PRED = np.roll(TARGET, 7)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter; a hang is a failure."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
        check=False,
    )


def assert_ran(code: str, **environment: str) -> str:
    done = run(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("per_image", [False, True])
def test_large_input_gives_the_same_bits_for_any_number_of_threads(per_image: bool) -> None:
    pred, target = PRED.reshape(4, -1), TARGET.reshape(4, -1)
    results = [
        segmeter.confusion_matrix(
            pred, target, num_classes=9, threads=threads, per_image=per_image
        ).tobytes()
        for threads in (1, 2, 3, 7, 64)
    ]
    assert len(set(results)) == 1


def test_python_threads_may_count_at_once() -> None:
    expected = segmeter.confusion_matrix(PRED, TARGET, num_classes=9)
    results: list[Any] = []

    def work() -> None:
        results.extend(
            segmeter.confusion_matrix(PRED, TARGET, num_classes=9, threads=2) for _ in range(5)
        )

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 30
    assert all(np.array_equal(result, expected) for result in results)


def test_the_interpreter_runs_while_a_kernel_counts() -> None:
    # Counting 2^35 broadcast pixels takes seconds; with the lock held, this thread would sleep
    # through all of them at its first or second nap.
    one = np.broadcast_to(np.uint8(1), (2**5, 2**30))
    done = threading.Event()

    def work() -> None:
        segmeter.confusion_matrix(one, one, num_classes=2, threads=1)
        done.set()

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(20):
        time.sleep(0.002)
    counting = not done.is_set()
    worker.join()
    assert counting


FORK = """
    import multiprocessing as mp
    import numpy as np
    {first}
    import segmeter
    maps = np.zeros((2000, 2000), np.uint8)
    def count(threads):
        return int(segmeter.confusion_matrix(maps, maps, num_classes=2, threads=threads)[0, 0])
    {before}
    with mp.get_context("{method}").Pool(2) as pool:
        print(pool.map(count, [0, 1, 2, 3]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("before", ["pass", "count(2)"])
def test_a_forked_child_counts(before: str) -> None:
    code = FORK.format(first="", before=before, method="fork")
    assert assert_ran(code, OMP_NUM_THREADS="2").strip() == str([4_000_000] * 4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_counts_when_only_torch_used_threads(peer: Any) -> None:
    peer("torch")
    code = FORK.format(
        first="import torch; torch.set_num_threads(2)",
        before="torch.zeros(3_000_000).exp().sum()",
        method="fork",
    )
    assert assert_ran(code).strip() == str([4_000_000] * 4)


@pytest.mark.parametrize(
    "imports", ["import segmeter, torch", "import torch, segmeter"], ids=["first", "second"]
)
def test_torch_may_be_imported_before_or_after(peer: Any, imports: str) -> None:
    peer("torch")
    printed = assert_ran(
        f"""
        {imports}
        import re
        logits = torch.randn(2, 5, 400, 400)
        target = torch.randint(0, 5, (2, 400, 400))
        matrix = segmeter.confusion_matrix(
            logits, target, num_classes=5, from_scores=True, threads=2
        )
        labels = logits.argmax(1)
        index = target.flatten() * 5 + labels.flatten()
        expected = torch.bincount(index, minlength=25).reshape(5, 5)
        assert (torch.from_numpy(matrix) == expected).all()
        maps = open("/proc/self/maps").read()
        print(sorted(set(re.findall("libgomp[-.a-z0-9]*", maps))))
        """
    )
    # A renamed copy would be a second runtime, whose idle threads take the first one's cores.
    assert "libgomp-" not in printed


def test_torch_data_loader_workers_count(peer: Any) -> None:
    peer("torch")
    printed = assert_ran(
        """
        import numpy as np, torch, segmeter
        from torch.utils.data import DataLoader, Dataset

        class Masks(Dataset):
            def __len__(self):
                return 6

            def __getitem__(self, index):
                rng = np.random.default_rng(index)
                pred, target = rng.integers(0, 3, (2, 300, 300), dtype=np.uint8)
                return segmeter.confusion_matrix(pred, target, num_classes=3, threads=index % 3)

        segmeter.confusion_matrix(np.zeros((2000, 2000), int), np.zeros((2000, 2000), int),
                                  num_classes=3, threads=2)
        batches = DataLoader(Masks(), batch_size=2, num_workers=2,
                             multiprocessing_context="fork")
        print(int(sum(batch.sum() for batch in batches)))
        """
    )
    assert int(printed) == 6 * 300 * 300


def test_simd_level_is_taken_from_the_environment() -> None:
    code = "import segmeter; print(segmeter._core.simd_level())"
    for level in _core.simd_levels():
        assert assert_ran(code, SEGMETER_SIMD=level).strip() == level
    unknown = run(code, SEGMETER_SIMD="mmx")
    assert unknown.stdout.strip() == _core.simd_levels()[-1]
    assert "RuntimeWarning: SEGMETER_SIMD: SIMD level 'mmx' does not run" in unknown.stderr
    assert "choose one of: baseline" in unknown.stderr
