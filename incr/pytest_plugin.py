"""Fixtures for tests of programs that are built on incr; pytest finds them when incr is installed.

Law: this is imported at the start of every test session of an environment that has incr, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from incr import Database
from incr.testing import Recorder

__all__ = ["db", "ran"]


@pytest.fixture
def db() -> Database:
    """A database in memory, empty."""
    return Database()


@pytest.fixture
def ran(db: Database) -> Iterator[Recorder]:
    """What the queries of the fixture `db` do: `ran.take()` is the list of the calls that ran since the last time."""
    with Recorder(db) as recorder:
        yield recorder
