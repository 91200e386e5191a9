"""PyTorch: losses of tensors with gradients, and metrics that merge over processes.

Needs PyTorch: ``pip install "segmeter[torch]"``.
"""

from __future__ import annotations

from ._metrics import Accumulator, ConfusionMatrix, PanopticQuality

__all__ = [
    "Accumulator",
    "ConfusionMatrix",
    "PanopticQuality",
]
