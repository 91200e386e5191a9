"""Folders of label maps for the tests of evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike


def save(folder: Path, **maps: ArrayLike) -> Path:
    """Label maps as NPY files of their names; the folder itself."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, labels in maps.items():
        np.save(folder / f"{name}.npy", np.asarray(labels))
    return folder
