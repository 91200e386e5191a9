"""Python's search for cycles of objects, which large JSON files provoke and which finds nothing."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def paused_collector() -> Iterator[None]:
    """Make no search for cycles meanwhile: every new object would count towards the next one.

    It goes over all objects there are, again and again while a file of a hundred thousand
    annotations is read, which took a third of the reading. Afterwards all objects count as old
    ones, which are gone over rarely.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_freeze_count() == 0:  # else somebody wants what is frozen to stay so
                gc.freeze()
                gc.unfreeze()
            gc.enable()
