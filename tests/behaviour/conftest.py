"""Fixtures: `db` and `ran`, whether or not incr is installed so that pytest finds its plugin, and `often`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from incr.pytest_plugin import db, ran

__all__ = ["db", "ran"]


@pytest.fixture
def often() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
