"""Everything a developer or CI runs, one session each: `nox -s <name>`, `nox --list`.

Sessions use virtualenv and pip. The compiled module is built by pip as for any user; with ccache
installed a second build of the same sources takes seconds.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "cpp"]

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
CPP_TESTS = "build/dev/cpp/tests/segmeter_tests"
CPP_SOURCES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("cpp", "examples/cpp")
    for pattern in ("*.cpp", "*.hpp")
    for path in (ROOT / folder).rglob(pattern)
)


def install_groups(session: nox.Session, *groups: str) -> None:
    """Install dependency groups of pyproject.toml."""
    session.install(*nox.project.dependency_groups(PROJECT, *groups))


def install_alone(session: nox.Session, *groups: str) -> None:
    """Install dependency groups without what their packages ask for."""
    session.install("--no-deps", *nox.project.dependency_groups(PROJECT, *groups))


def install_package(session: nox.Session, extras: str = "", *options: str) -> None:
    """Build and install segmeter from the work tree, as a user's pip would.

    In a build folder of its own: a developer's editable install must not meet the build tools of
    pip's isolated environment, which are gone when pip is done.
    """
    target = f".[{extras}]" if extras else "."
    session.install("--config-settings=build-dir=build/nox", *options, target)


def doctest_prefix(session: nox.Session) -> list[str]:
    """CMake arguments that let the C++ tests find the doctest header.

    Taken from the system when it is there. Otherwise, where Debian's package tools are, its package
    is fetched and unpacked below build/ (which needs no root).
    """
    if any(
        Path(root, "doctest/doctest.h").is_file() for root in ("/usr/include", "/usr/local/include")
    ):
        return []
    prefix = ROOT / "build" / "doctest"
    if not (prefix / "usr/include/doctest/doctest.h").is_file():
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            session.error("the C++ tests need the doctest header: install the package doctest")
        shutil.rmtree(prefix, ignore_errors=True)
        prefix.mkdir(parents=True)
        with session.chdir(prefix):
            if os.geteuid() == 0:  # a fresh container knows no package yet
                session.run("apt-get", "update", "-qq", external=True)
            session.run("apt-get", "download", "doctest-dev", external=True)
            session.run("dpkg-deb", "-x", str(next(prefix.glob("*.deb"))), ".", external=True)
        targets = prefix / "usr/lib/cmake/doctest/doctestTargets.cmake"  # it names /usr outright
        targets.write_text(targets.read_text().replace('"/usr"', f'"{prefix}/usr"'))
    return [f"-DCMAKE_PREFIX_PATH={prefix / 'usr'}"]


def build_cpp(session: nox.Session, preset: str, *, test: bool = True) -> None:
    """Configure, build and (by default) test one CMake preset."""
    session.run("cmake", "--preset", preset, *doctest_prefix(session), external=True)
    jobs = str(os.cpu_count() or 1)
    session.run("cmake", "--build", "--preset", preset, "--parallel", jobs, external=True)
    if test:
        session.run("ctest", "--preset", preset, external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """Install the package with its offline tool and evaluate a small set that it draws itself."""
    install_package(session, "eval")
    session.run("segmeter", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the Python tests, peers (torch, scikit-learn, ...) included."""
    install_groups(session, "test", "peers")
    install_alone(session, "peers-alone")
    # Editable, so that pytest also finds the examples in the docstrings of the work tree.
    install_package(session, "eval,frames", "-e")
    session.run("pytest", *(session.posargs or ["-n", "2"]))


@nox.session(venv_backend="none")
def cpp(session: nox.Session) -> None:
    """Build and run the C++ tests, then an outside program that uses the installed library."""
    build_cpp(session, "dev")
    build_cpp(session, "release", test=False)
    session.run("python3", "tools/check_symbols.py", "objects", "build/release", external=True)
    prefix, example = ROOT / "build" / "prefix", ROOT / "build" / "example"
    session.run(
        "cmake",
        "--install",
        "build/release",
        "--component",
        "cpp",
        "--prefix",
        str(prefix),
        external=True,
    )
    session.run(
        "cmake",
        "-S",
        "examples/cpp",
        "-B",
        str(example),
        f"-DCMAKE_PREFIX_PATH={prefix}",
        external=True,
    )
    session.run("cmake", "--build", str(example), external=True)
    session.run("ctest", "--test-dir", str(example), "--output-on-failure", external=True)


@nox.session(venv_backend="none")
def sanitize(session: nox.Session) -> None:
    """Build and run the C++ tests under ASan + UBSan, then under TSan."""
    for preset in session.posargs or ("asan", "tsan"):
        build_cpp(session, preset)


@nox.session(venv_backend="none")
def emulate(session: nox.Session) -> None:
    """Run the C++ tests on emulated x86 processors: one without AVX, one with AVX2 but no AVX-512.

    Shows that no instruction of a wider set strays into code that every machine runs.
    """
    if platform.machine() != "x86_64":
        session.skip("the emulated processors are x86 ones")
    build_cpp(session, "dev", test=False)
    for processor in ("Nehalem", "max"):
        # QEMU's user mode itself fails when a program with threads forks.
        session.run(
            *("qemu-x86_64", "-cpu", processor, CPP_TESTS, "--test-case-exclude=*forked*"),
            external=True,
        )


@nox.session
def lint(session: nox.Session) -> None:
    """Check formatting and lint Python and C++; `nox -s lint -- --fix` repairs what it can."""
    install_groups(session, "lint")
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []), ".")
    session.run("ruff", "format", *([] if fix else ["--check"]), ".")
    session.run("clang-format", *(["-i"] if fix else ["--dry-run", "--Werror"]), *CPP_SOURCES)


@nox.session
def tidy(session: nox.Session) -> None:
    """Run clang-tidy over the kernels (bindings need Python headers and are left out)."""
    install_groups(session, "lint")
    session.run("cmake", "--preset", "tidy", external=True)
    # PyPI's clang-tidy brings no omp.h; GCC's is found last, after clang's own headers.
    omp = subprocess.check_output(["gcc", "-print-file-name=include/omp.h"], text=True).strip()
    sources = [
        name for name in CPP_SOURCES if name.startswith("cpp/src/") and name.endswith(".cpp")
    ]
    session.run(
        "clang-tidy",
        "-p",
        "build/tidy",
        "--quiet",
        f"--extra-arg=-idirafter{Path(omp).parent}",
        "--extra-arg=-Wno-unknown-warning-option",  # the flags are GCC's
        *(session.posargs or sources),
    )


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict, and the stub of the compiled module against the module."""
    install_groups(session, "types")
    install_package(session, "eval")
    session.run("mypy")
    session.run("python", "-m", "mypy.stubtest", "segmeter._core")


@nox.session
def docs(session: nox.Session) -> None:
    """Check README and docs: local links, Python examples, commands and what they print."""
    session.run("python", "tools/check_links.py")
    install_package(session, "eval,frames")
    session.run("python", "tools/check_examples.py")
    session.run("python", "tools/update_tutorial.py", "--check")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel from it, check both, and run the installed wheel."""
    session.install("build", "twine")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", "dist", ".")
    session.run("twine", "check", "--strict", *map(str, (ROOT / "dist").iterdir()))
    built = str(next((ROOT / "dist").glob("*.whl")))
    session.run("python", "tools/check_symbols.py", "wheel", built)
    session.install(f"{built}[eval]")
    with session.chdir(session.create_tmp()):
        session.run("segmeter", "doctor")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure segmeter beside its peers (an hour; the machine should be idle).

    Options are handed to every script that measures kernels: `nox -s bench -- --quick`.
    """
    install_groups(session, "bench")
    install_alone(session, "peers-alone")
    install_package(session, "eval")
    for family in ("pixel", "region", "boundary", "cause", "loss"):
        session.run("python", f"benchmarks/bench_{family}.py", *session.posargs)
    session.run("python", "benchmarks/bench_startup.py")
