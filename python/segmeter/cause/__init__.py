"""The cause family: why each wrong pixel is wrong."""

from __future__ import annotations

__all__: list[str] = []
