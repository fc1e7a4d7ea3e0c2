"""The context variable that says which call is running: the only module-level state besides the declarations.

Law: it is set once per execution and never read on a hit through a frame. It serves reads through an outer handle,
the refusal of writes, and the search for cycles.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

__all__ = ["put_back", "running"]

#: The frame whose body the current task or thread runs; None outside of all queries.
running: ContextVar[Any] = ContextVar("incr_running", default=None)


def put_back(frame: Any, before: Any) -> None:
    """Let the call before *frame* run again; nothing if this is another context than the call began in."""
    if running.get() is frame:  # else it is closed from outside of its task, whose context is gone
        running.set(before)
