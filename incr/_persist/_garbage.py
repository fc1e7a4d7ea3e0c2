"""Making very many objects at once, none of them garbage.

Law: the collector is as it was afterwards.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["without_collections"]


@contextmanager
def without_collections() -> Generator[None]:
    """No look at all objects for garbage: it would take half of the time, and hold up every other thread."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects and not gc.get_freeze_count():
            gc.freeze()  # they are as old as anything now, so that the next look at young ones leaves them out
            gc.unfreeze()
        if collects:
            gc.enable()
