"""Check what the linker will see: OpenMP symbol versions, weak symbols, what a wheel ships.

    python tools/check_symbols.py wheel dist/segmeter-0.1.0-cp311-cp311-linux_x86_64.whl
    python tools/check_symbols.py objects build/dev

``wheel`` unpacks the wheel and checks that `_core` asks for no OpenMP symbol newer than GOMP_4.0
and OMP_1.0 (torch brings its own, older libgomp: a newer symbol would bind to a second runtime),
that libgomp.so.1 lies in `segmeter.libs` under its own SONAME and that `_core` looks for it there,
and that stub, `py.typed` and licences came along.

``objects`` checks that the object files of `cpp/src/simd` define no weak symbol: the linker keeps
one copy of a weak symbol, and if that is the AVX-512 one, older machines die of an illegal
instruction.

Needs binutils (objdump, nm). Prints one line per check; exits 1 if any check failed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ALLOWED_VERSIONS = {"GOMP_1.0", "GOMP_2.0", "GOMP_3.0", "GOMP_4.0", "OMP_1.0"}
NEEDED_FILES = (
    r"segmeter/_core\.pyi",
    r"segmeter/py\.typed",
    r"segmeter-.*\.dist-info/licenses/LICENSE",
    r"segmeter-.*\.dist-info/licenses/LICENSES/libgomp\.txt",
)


def output_of(*command: str | Path) -> str:
    """Run a binutils command and return what it prints; a failing command ends the check."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def openmp_versions(module: Path) -> dict[str, list[str]]:
    """Map each OpenMP symbol version that a shared object refers to onto its symbols."""
    versions: dict[str, list[str]] = {}
    for line in output_of("objdump", "-T", module).splitlines():
        found = re.search(r"\(?(G?OMP_[0-9.]+)\)?\s+(\S+)$", line)
        if found:
            versions.setdefault(found[1], []).append(found[2])
    return versions


def weak_symbols(object_file: Path) -> list[str]:
    """List the weak and unique definitions of an object file, as `nm` shows them."""
    lines = output_of("nm", "--defined-only", "--demangle", object_file).splitlines()
    return [line for line in lines if re.match(r"^[0-9a-f]*\s+[WwVvu]\s", line)]


def check_wheel(wheel: Path) -> list[str]:
    """Return what is wrong with a wheel, one line per fault."""
    faults = []
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        faults += [
            f"{wheel.name} holds no file {pattern}"
            for pattern in NEEDED_FILES
            if not any(re.fullmatch(pattern, name) for name in names)
        ]
        archive.extractall(folder)
        modules = sorted(Path(folder).glob("segmeter/_core*.so"))
        if len(modules) != 1:
            return [*faults, f"{wheel.name} holds {len(modules)} _core modules, expected one"]
        faults += check_module(modules[0])
        runtime = Path(folder) / "segmeter.libs" / "libgomp.so.1"
        if not runtime.is_file():
            faults.append(f"{wheel.name} holds no segmeter.libs/libgomp.so.1")
        elif "SONAME               libgomp.so.1\n" not in output_of("objdump", "-p", runtime):
            faults.append("segmeter.libs/libgomp.so.1 has another SONAME than its file name")
    return faults


def check_module(module: Path) -> list[str]:
    """Return what is wrong with the dynamic section of `_core`, one line per fault."""
    versions = openmp_versions(module)
    for version, symbols in sorted(versions.items()):
        print(f"  {version}: {', '.join(sorted(symbols))}")
    faults = [
        f"_core needs {version} ({', '.join(symbols)}); allowed: {sorted(ALLOWED_VERSIONS)}"
        for version, symbols in sorted(versions.items())
        if version not in ALLOWED_VERSIONS
    ]
    if not versions:
        faults.append("_core refers to no OpenMP symbol at all: was it built with OpenMP?")
    dynamic = output_of("objdump", "-p", module)
    if not re.search(r"NEEDED\s+libgomp\.so\.1\n", dynamic):
        faults.append("_core does not name libgomp.so.1 as NEEDED")
    if not re.search(r"RU?N?PATH\s+\$ORIGIN/\.\./segmeter\.libs\n", dynamic):
        faults.append("_core does not look for its libraries in $ORIGIN/../segmeter.libs")
    exported = [
        line.split()[-1]
        for line in output_of("nm", "--dynamic", "--defined-only", module).splitlines()
        if re.search(r"\s[TDBR]\s", line)
    ]
    if exported != ["PyInit__core"]:
        faults.append(f"_core exports {exported}, expected PyInit__core alone")
    return faults


def check_objects(build: Path) -> list[str]:
    """Return the weak symbols of all SIMD object files below a build folder, one line each."""
    objects = sorted(build.rglob("src/simd/*.o"))
    if not objects:
        return [f"no object file of cpp/src/simd below {build}: build it first"]
    faults = []
    for object_file in objects:
        weak = weak_symbols(object_file)
        print(f"  {object_file.name}: {len(weak)} weak symbols")
        faults += [f"{object_file.name} defines a weak symbol: {line}" for line in weak]
    return faults


def main() -> int:
    """Run the check that the command line names; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("wheel", "objects"))
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    check = check_wheel if arguments.what == "wheel" else check_objects
    faults = check(arguments.path)
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"check_symbols {arguments.what}: {'failed' if faults else 'ok'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
