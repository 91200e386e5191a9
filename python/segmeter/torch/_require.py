"""The optional package of this family, or one line that says how to get it."""

from __future__ import annotations

try:
    import torch as torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError('segmeter.torch needs PyTorch: pip install "segmeter[torch]"') from None
