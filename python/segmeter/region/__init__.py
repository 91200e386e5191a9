"""The region family: components, overlap, matching, and the scores that follow from them."""

from __future__ import annotations

__all__: list[str] = []
