"""Fixtures for all tests: the shared data beside the repository, and optional peer packages."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

# A machine under load is slow, not wrong.
hypothesis.settings.register_profile(
    "segmeter", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("segmeter")

# What tests skip without on a developer's machine, some of them as whole files.
NEEDED_IN_CI = ("PIL", "nibabel", "pandas", "scipy", "tifffile", "torch")


def pytest_sessionstart() -> None:
    """Refuse to run in CI with half of the tests left out."""
    missing = [name for name in NEEDED_IN_CI if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"CI needs {', '.join(missing)}: tests would be skipped")


SHARED = Path(__file__).resolve().parents[2] / "shared"


def _unavailable(reason: str) -> None:
    """Skip the test on a developer's machine; in CI something missing is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data, oracles and notes that lies beside the repository."""
    if not SHARED.is_dir():
        _unavailable(f"no folder {SHARED.name} beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def peer() -> Callable[[str], ModuleType]:
    """Import a peer package by name: ``peer("sklearn.metrics")``; absent, skip (in CI: fail)."""

    def load(name: str) -> ModuleType:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a peer says on import is not our failure
                return importlib.import_module(name)
        except ModuleNotFoundError as error:
            _unavailable(f"{name} is not installed ({error})")
            raise

    return load


@pytest.fixture(scope="session")
def smp() -> ModuleType:
    """Losses of segmentation_models_pytorch alone: the package imports encoders that need timm."""
    package = importlib.util.find_spec("segmentation_models_pytorch")
    if package is None or package.origin is None:
        _unavailable("segmentation_models_pytorch is not installed")
        raise ModuleNotFoundError("segmentation_models_pytorch")
    folder = Path(package.origin).parent / "losses"
    spec = importlib.util.spec_from_file_location(
        "smp_losses", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["smp_losses"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def oracles(shared: Path) -> ModuleType:
    """The module beside the cases that decodes them and compares answers with them."""
    path = shared / "oracles" / "oracle_cases.py"
    spec = importlib.util.spec_from_file_location("oracle_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def cases(oracles: ModuleType, shared: Path) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # the loader leaves closing to the collector
        return list(oracles.load(str(shared / "oracles" / "cases.json")))
