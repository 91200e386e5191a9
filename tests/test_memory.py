"""Memory: nothing larger than the matrix beside the caller's own arrays, and nothing leaks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"),  # noqa: PTH110  # a pseudo file of Linux
    reason="reads the kernel's own account of a process",
)

# Peak resident memory that `call` adds to what the inputs already hold, in KiB.
PROBE = """
    import re, numpy as np, segmeter

    def status(name):
        return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

    rng = np.random.default_rng(0)
    small = np.zeros((8, 8), np.uint8)
    def call(a, b, **options):
        return segmeter.confusion_matrix(a, b, **options)
    {setup}
    for _ in range(2):
        {warm}
    open("/proc/self/clear_refs", "w").write("5")   # the peak starts here
    before = status("VmRSS")
    for _ in range({times}):
        result = {call}
    print(status("VmHWM") - before)
"""

LABELS = "a, b = (np.repeat(rng.integers(0, 19, (2, 4000, 40)), 100, 2).astype({}))"


def peak(setup: str, call: str, warm: str, times: int = 1) -> int:
    code = textwrap.dedent(PROBE).format(setup=setup, call=call, warm=warm, times=times)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    ("setup", "call"),
    [
        (LABELS.format("np.uint8"), "call(a, b, num_classes=19)"),
        (LABELS.format("np.int64"), "call(a, b, num_classes=19)"),
        (LABELS.format("np.uint8"), "call(a.T, b[::-1].T, num_classes=19)"),
        (LABELS.format("np.uint8"), "call(a, b, num_classes=19, labels={i: i for i in range(19)})"),
        (LABELS.format("'>i4'"), "call(a, b, num_classes=19)"),
        (LABELS.format("np.uint8") + "; m = a > 9", "call(a, b, num_classes=19, ignore_index=m)"),
        (LABELS.format("np.uint8") + "; a, b = a > 9, b > 9", "call(a, b, num_classes=2)"),
        (
            LABELS.format("np.uint8") + "; w = np.ones(a.shape, np.float32)",
            "call(a, b, num_classes=19, weights=w)",
        ),
        (
            "s = rng.random((5, 2000, 2000), np.float32); b = np.zeros((2000, 2000), np.uint8)",
            "call(s, b, num_classes=5, from_scores=True, channel_axis=0)",
        ),
    ],
    ids=["uint8", "int64", "strided", "mapped", "swapped", "mask", "bool", "weights", "scores"],
)  # fmt: skip
def test_no_temporary_beside_the_inputs(setup: str, call: str) -> None:
    # The inputs hold 4 MB to 256 MB; the matrix 3 KiB. Scratch per thread is below 200 KiB, the
    # rest of the allowance is what any call of Python may take.
    assert peak(setup, call, warm="call(small, small, num_classes=19)") < 1024


def test_a_large_matrix_costs_its_own_touched_pages() -> None:
    # (20,000 classes)^2 would be 3.2 GB; three cells of it are touched.
    used = peak(
        "a = np.array([[0, 19_999, 7]], np.uint16)",
        "call(a, a, num_classes=20_000)",
        warm="call(small, small, num_classes=19)",
    )
    assert used < 64 * 1024


def test_a_list_of_maps_costs_one_matrix() -> None:
    # 500 matrices of 300 classes would be 360 MB.
    call = "call([small] * 500, [small] * 500, num_classes=300)"
    assert peak("", call, warm="call(small, small, num_classes=300)") < 8 * 1024


def test_repeated_calls_do_not_leak() -> None:
    call = "call(a, b, num_classes=19, labels=list(range(19)), ignore_index=[255, 254])"
    assert peak(LABELS.format("np.uint8") + "; a, b = a[:9], b[:9]", call, call, 20_000) < 1024


def test_a_table_of_components_costs_no_more_than_two_rows_of_runs() -> None:
    # 20 MB with 600,000 runs, which would be 7 MB.
    setup = "a = np.zeros((4000, 5000), np.uint8); a.reshape(4000, 200, 25)[:, ::4, :9] = 1"
    call = "segmeter.label_components({}, return_runs=False, threads=1)"
    assert peak(setup + "; a = np.tile(a, (3, 1))", call.format("a"), call.format("small")) < 512


def test_a_table_of_a_volume_costs_no_more_than_two_slices_of_runs() -> None:
    # 26 MB with 200,000 rows and as many runs, which would be 4 MB.
    setup = "a = np.zeros((200, 1000, 128), np.uint8); a[:, ::4, 20:90] = 1; a[1::2, :, 100] = 1"
    call = "segmeter.label_components({}, binary=True, return_runs=False, threads=1)"
    assert peak(setup, call.format("a"), call.format("small[None]")) < 512
