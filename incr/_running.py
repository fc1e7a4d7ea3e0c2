"""The context variable that says which call is running: the only module-level state besides the declarations.

Law: it is set once per execution and never read on a hit through a frame. It serves reads through an outer handle,
the refusal of writes, and the search for cycles.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

__all__ = ["put_back", "running"]

#: The frame whose body the current task or thread runs; None outside of all queries.
running: ContextVar[Any] = ContextVar("incr_running", default=None)


def put_back(token: Token[Any]) -> None:
    """Let the call before run again; nothing if this is another context than the call began in."""
    try:
        running.reset(token)
    except ValueError:
        return  # closed from outside of its task, whose context is gone: there is nothing to put back
