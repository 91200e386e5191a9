"""segmeter: how good an image segmentation is, and which loss gets you there.

The functions of every family are here by name: ``segmeter.confusion_matrix``,
``segmeter.mean_iou``, ``segmeter.evaluate``. The core needs NumPy only; evaluation of files needs
``pip install "segmeter[eval]"``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import boundary, cause, pixel, region
from .boundary import *  # noqa: F403  # each family's __all__ is what it exports
from .cause import *  # noqa: F403
from .pixel import *  # noqa: F403
from .region import *  # noqa: F403

if TYPE_CHECKING:
    from . import evaluation as evaluation
    from . import io as io
    from . import loss as loss
    from . import reference as reference
    from .evaluation.check import CheckReport as CheckReport
    from .evaluation.check import check as check
    from .evaluation.result import Result as Result
    from .evaluation.run import evaluate as evaluate

__version__ = "0.1.0"

# Imported at first use, so that a notebook that counts pixels does not load the offline tool.
_LAZY = dict.fromkeys(("CheckReport", "Result", "check", "evaluate"), "segmeter.evaluation")
_MODULES = ("evaluation", "io", "loss", "reference")

__all__ = [
    *boundary.__all__,
    *cause.__all__,
    *pixel.__all__,
    *region.__all__,
    "CheckReport",
    "Result",
    "check",
    "evaluate",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _MODULES:
        return import_module(f"segmeter.{name}")
    raise AttributeError(f"module 'segmeter' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})
