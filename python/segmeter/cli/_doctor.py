"""``segmeter doctor``: what this machine and this installation offer, in plain text.

It uses neither typer nor rich, so that ``python -m segmeter doctor`` runs on a bare installation.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np

import segmeter
from segmeter import _core


def report() -> str:
    """Describe version, processor, kernels, threads, OpenMP libraries and readers.

    Examples
    --------
    >>> print(report().splitlines()[0])  # doctest: +ELLIPSIS
    segmeter ...
    """
    place = Path(segmeter.__file__).parent
    facts, readers = _lines(_facts()), _lines(_readers())
    return "\n".join([f"segmeter {segmeter.__version__}  {place}", *facts, "readers", *readers])


def _lines(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"  {name:<{width}}  {value}".rstrip() for name, value in rows]


def _facts() -> list[tuple[str, str]]:
    build = ", ".join(f"{name} {value}" for name, value in _core.build_info().items())
    system = f"{platform.system()} {platform.machine()}"
    return [
        ("Python", f"{platform.python_version()} {platform.python_implementation()}, {system}"),
        ("NumPy", np.__version__),
        ("build", build),
        ("CPU", " ".join(_core.cpu_features()) or "no feature beyond the baseline"),
        ("kernels", _kernels()),
        ("threads", _threads()),
        ("OpenMP", _openmp()),
    ]


def _kernels() -> str:
    available = ", ".join(_core.simd_levels())
    asked = os.environ.get("SEGMETER_SIMD")
    source = f"SEGMETER_SIMD={asked}" if asked else "set SEGMETER_SIMD to choose another"
    return f"{_core.simd_level()} (of {available}; {source})"


def _threads() -> str:
    reasons = [f"{os.cpu_count()} CPUs in the machine"]
    if hasattr(os, "sched_getaffinity"):
        reasons.append(f"{len(os.sched_getaffinity(0))} allowed by affinity")
    quota = cgroup_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    reasons.append("no cgroup quota" if quota is None else f"cgroup quota {quota:g}")
    limit = os.environ.get("OMP_NUM_THREADS")
    reasons.append(f"OMP_NUM_THREADS={limit}" if limit else "OMP_NUM_THREADS not set")
    return f"{_core.max_threads()} by default ({', '.join(reasons)})"


def cgroup_quota(membership: Path, root: Path) -> float | None:
    """CPUs granted by the control group of this process (version 2, else 1), the least on the way.

    ``membership`` is ``/proc/self/cgroup`` and ``root`` ``/sys/fs/cgroup``; None: no limit found.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        folder = base / group.lstrip("/")
        places = (place for place in (folder, *folder.parents) if place.is_relative_to(base))
        quotas += [_quota_of(place) for place in places]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()[:2]
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8")
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # no such file, or "max": no limit here
        return None


def _openmp() -> str:
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown (this system has no /proc)"
    libraries = openmp_libraries(maps)
    if len(libraries) > 1:
        return f"{', '.join(libraries)} (more than one: threads of different libraries may compete)"
    return ", ".join(libraries) or "no library loaded"


def openmp_libraries(maps: str) -> list[str]:
    """Paths of the OpenMP runtimes in the text of ``/proc/self/maps``."""
    names = ("libgomp", "libomp", "libiomp")
    paths = {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split()) > 5}
    return sorted(path for path in paths if Path(path).name.startswith(names))


def _readers() -> list[tuple[str, str]]:
    from segmeter.io import supported

    rows = []
    for row in supported():
        packages = zip(row.library.split(", "), row.version.split(", "), strict=True)
        readers = ", ".join(f"{package} {version}" for package, version in packages)
        rows.append((f"{row.format:<6} {' '.join(row.suffixes)}", readers))
    return rows
