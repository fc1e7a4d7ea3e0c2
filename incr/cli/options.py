"""What the command is asked for, and what one run of it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from incr.demo.measuring import Cost
from incr.demo.reading import Change

__all__ = ["DemoOptions", "Run", "UsageError"]


class UsageError(Exception):
    """The command cannot do what it is asked for; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What was asked for."""

    root: Path
    state: Path
    fresh: bool = False
    edits: bool = True
    problems: bool = False
    json: bool = False
    watch: bool = False
    #: How many worker threads analyse; 0 for the program's own thread.
    threads: int = 0
    #: Whether this process is the one that a cold run has started.
    second: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run over the tree, measured; times in seconds."""

    #: Whether there was a state of an earlier run.
    again: bool
    state: Path
    state_bytes: int
    change: Change
    cost: Cost
    #: By how many worker threads; 0 for the program's own thread.
    threads: int
    open_seconds: float
    read_seconds: float
    #: None if there was nothing to commit.
    commit_seconds: float | None
