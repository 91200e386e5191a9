"""The installed command as a process of its own: streams, signals, terminals, start-up."""

from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segmeter import demo

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = shutil.which("segmeter", path=str(Path(sys.executable).parent))
MODULE = [sys.executable, "-m", "segmeter"]
PATIENCE = 120  # seconds; reached only if something hangs
COLOR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> demo.DemoFiles:
    """The demonstration set; tests must not change it."""
    return demo.write(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that takes minutes: 20,000 names for one pair of large files."""
    folder = tmp_path_factory.mktemp("many")
    labels = np.random.default_rng(0).integers(0, 19, (1024, 1024)).astype(np.uint8)
    np.save(folder / "one.npy", labels)
    for side in ("pred", "target"):
        (folder / side).mkdir()
        for number in range(20_000):
            os.link(folder / "one.npy", folder / side / f"{number:05}.npy")
    return folder


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, without what decides on colours, and strict about warnings."""
    kept = {name: value for name, value in os.environ.items() if name not in _DECIDES_ON_COLOR}
    return kept | {"PYTHONWARNINGS": "error", "TERM": "xterm-256color"} | changes


_DECIDES_ON_COLOR = ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "PYTEST_ADDOPTS")


def run(
    command: Sequence[str], *arguments: object, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run to the end with streams piped."""
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env=environment(**changes),
        timeout=PATIENCE,
        check=False,
    )


def options(files: demo.DemoFiles) -> list[str]:
    """Options that evaluate the demonstration set."""
    places = ["--pred", str(files.pred), "--target", str(files.target)]
    return [*places, "--classes", str(files.classes), "--ignore-index", "255"]


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A process whose streams, or standard error alone, are a terminal of 100 columns."""

    def __init__(self, *arguments: object, only_errors: bool = False, **changes: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*MODULE, *map(str, arguments)],
            stdin=theirs,
            stdout=subprocess.PIPE if only_errors else theirs,
            stderr=theirs,
            env=environment(COLUMNS="100", LINES="50", **changes),
            # A shell starts background jobs, such as these tests may be, deaf to Ctrl-C.
            preexec_fn=_hear_interrupts,
        )
        os.close(theirs)
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        # Nobody waits for a process that hangs, whatever of it is being read.
        self._guard = threading.Timer(PATIENCE, self.process.kill)
        self._guard.daemon = True
        self._guard.start()

    def read_until(self, pattern: str) -> None:
        """Collect what the process writes until the pattern occurs or the process ends."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text) and time.monotonic() < deadline:
            ready, _, _ = select.select([self._ours], [], [], 1)
            if not ready:
                continue
            try:
                # A read may end within a character.
                self.text += self._decoder.decode(os.read(self._ours, 65536))
            except OSError:  # how a terminal says that its other end is closed
                return

    def finish(self) -> int:
        """Read the rest and give the exit code."""
        self.read_until("(?!)")
        code = self.process.wait(PATIENCE)
        self._guard.cancel()
        os.close(self._ours)
        return code


def test_script_is_installed_and_equals_the_module(scenes: demo.DemoFiles) -> None:
    assert SCRIPT is not None, "the environment has no segmeter command beside its Python"
    script = run([SCRIPT], "evaluate", *options(scenes))
    module = run(MODULE, "evaluate", *options(scenes))
    assert script.returncode == module.returncode == 0
    assert script.stdout == module.stdout
    assert script.stderr == module.stderr == ""


def test_pipes_get_plain_text(scenes: demo.DemoFiles) -> None:
    done = run(MODULE, "evaluate", *options(scenes))
    assert "\x1b" not in done.stdout
    assert "0.9052" in done.stdout


def test_terminals_get_colors_bars_and_progress(scenes: demo.DemoFiles) -> None:
    terminal = Terminal("evaluate", *options(scenes))
    assert terminal.finish() == 0
    assert COLOR.search(terminal.text)
    assert "█" in terminal.text
    assert "evaluating" in terminal.text


def test_demo_draws_a_picture_in_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal("demo", tmp_path / "demo", COLORTERM="truecolor")
    assert terminal.finish() == 0
    assert terminal.text.count("▀") == 2 * 38 * 10
    assert "▀" not in run(MODULE, "demo", tmp_path / "demo").stdout


@pytest.mark.parametrize(
    ("arguments", "changes"), [([], {"NO_COLOR": "1"}), (["--no-color"], {})], ids=str
)
def test_no_color(scenes: demo.DemoFiles, arguments: list[str], changes: dict[str, str]) -> None:
    terminal = Terminal("evaluate", *options(scenes), *arguments, **changes)
    assert terminal.finish() == 0
    assert "0.9052" in terminal.text
    assert not COLOR.search(terminal.text)


@pytest.mark.parametrize("arguments", [["--quiet"], ["-q"]])
def test_quiet_is_quiet_in_a_terminal(scenes: demo.DemoFiles, arguments: list[str]) -> None:
    terminal = Terminal("evaluate", *options(scenes), *arguments)
    assert terminal.finish() == 0
    assert terminal.text == ""


def test_json_in_a_pipe_with_progress_beside_it(scenes: demo.DemoFiles) -> None:
    terminal = Terminal("evaluate", *options(scenes), "--json", "-", only_errors=True)
    assert terminal.process.stdout is not None
    content = json.loads(terminal.process.stdout.read())
    terminal.process.stdout.close()
    assert terminal.finish() == 0
    assert content["images"] == 8
    assert "evaluating" in terminal.text


def test_interrupted_run_shows_what_it_has(many: Path, tmp_path: Path) -> None:
    places = ["--pred", many / "pred", "--target", many / "target", "--num-classes", "19"]
    json_file = tmp_path / "scores.json"
    terminal = Terminal("evaluate", *places, "--json", json_file, only_errors=True)
    terminal.read_until(r"[1-9][0-9]*/20,000")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.stdout is not None
    table = terminal.process.stdout.read().decode()
    terminal.process.stdout.close()
    assert terminal.finish() == 130
    images = re.match(r"([\d,]+) images, ", table)
    assert images is not None
    assert 0 < int(images[1].replace(",", "")) < 20_000
    assert "interrupted after" in terminal.text
    assert "Traceback" not in terminal.text
    assert not json_file.exists()


def test_reader_that_leaves_early(scenes: demo.DemoFiles) -> None:
    process = subprocess.Popen(
        [*MODULE, "evaluate", *options(scenes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(PATIENCE) == 141
    assert errors == b""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_poor_encodings_lose_a_sign_not_the_run(scenes: demo.DemoFiles, encoding: str) -> None:
    done = run(MODULE, "evaluate", *options(scenes), PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.9052" in done.stdout


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    for side in ("pred", "target"):
        (tmp_path / side).mkdir()
        np.save(tmp_path / side / "a.npy", np.zeros((2, 2), np.uint8))
    try:
        (tmp_path / "target" / "a.npy").rename(tmp_path / "target" / os.fsdecode(b"b\xff.npy"))
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    places = ["--pred", tmp_path / "pred", "--target", tmp_path / "target", "--num-classes", "1"]
    done = run(MODULE, "evaluate", *places, "--json", tmp_path / "scores.json")
    assert done.returncode == 3
    assert r"b\udcff.npy" in done.stdout
    assert len(json.loads((tmp_path / "scores.json").read_text())["problems"]) == 2


def test_help_needs_no_heavy_imports() -> None:
    code = (
        "import sys; from segmeter.cli import main; main(['--help']);"
        "heavy = {'segmeter.evaluation', 'PIL', 'nibabel', 'tifffile', 'pandas', 'segmeter.demo'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = run([sys.executable, "-c", code])
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_the_package_leaves_the_command_line_alone() -> None:
    code = (
        "import sys, segmeter, segmeter.cli;"
        "print(sorted({'typer', 'rich', 'segmeter.evaluation'} & set(sys.modules)))"
    )
    assert run([sys.executable, "-c", code]).stdout.strip() == "[]"


def test_modules_are_there_when_they_are_asked_for() -> None:
    code = (
        "import sys, segmeter;"
        "print('segmeter.loss' in sys.modules, len(segmeter.loss.__all__) > 20, "
        "callable(segmeter.evaluation.make_plan), callable(segmeter.reference.confusion_matrix))"
    )
    assert run([sys.executable, "-c", code]).stdout.split() == ["False", *["True"] * 3]


def test_doctor_runs_without_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'typer', 'rich', 'PIL', 'nibabel', 'tifffile'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import importlib.util\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, package=None: (\n"
        "    None if name in {'typer', 'rich'} else real(name, package))\n"
        "sys.argv = ['segmeter', 'doctor']\n"
        "import runpy\n"
        "runpy.run_module('segmeter', run_name='__main__')\n"
    )
    program = tmp_path / "doctor.py"
    program.write_text(code)
    done = run([sys.executable, str(program)])
    assert (done.returncode, done.stderr) == (0, "")
    assert "kernels" in done.stdout


def test_boundaries_of_real_volumes(shared: Path, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for path in sorted((shared / "data" / "hippocampus" / "labels").glob("*.nii.gz"))[:4]:
        stored = nibabel.load(path)
        labels = np.asarray(stored.dataobj).astype(np.uint8)
        moved = np.roll(labels, 1, axis=1)
        if not list(tmp_path.glob("*/*")):
            moved[moved == 2] = 0  # the first lacks a class
        for side, array in (("pred", moved), ("target", labels)):
            (tmp_path / side).mkdir(exist_ok=True)
            image = nibabel.Nifti1Image(array, np.diag([2, 0.5, 1, 1]))
            nibabel.save(image, tmp_path / side / path.name)
    arguments = [
        *("evaluate", "--pred", tmp_path / "pred", "--target", tmp_path / "target"),
        *("--classes", "background,anterior,posterior", "--measures", "boundary"),
        *("--tolerance", "anterior=0.4,posterior=0.5mm", "--json", "-"),
    ]
    done = run(MODULE, *arguments, "--fail-over", "hd_per_image:anterior=0.5")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    anterior, posterior = result["boundary_per_class"][1:]
    assert anterior["hd_per_image"] == 0.5  # one voxel along the second axis
    assert anterior["nsd_per_image"] < 1 == posterior["nsd_per_image"] * 4 / 3
    assert [posterior[name] for name in ("images", "missed", "hd95_infinite")] == [4, 1, 1]
    assert "surfaces (mm)" in done.stderr
    failed = run(MODULE, *arguments, "--quiet", "--fail-over", "mean_hd95_per_image=99")
    assert failed.returncode == 1
    assert "mean_hd95_per_image is infinite in some image" in failed.stderr
    wrong = run(MODULE, *arguments, "--spacing", "2,0.5")
    assert wrong.returncode == 3
    assert "spacing has 2 numbers" in wrong.stderr
