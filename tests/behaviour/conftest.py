"""The fixtures `db` and `ran`, whether or not incr is installed in a way that lets pytest find its plugin."""

from __future__ import annotations

from incr.pytest_plugin import db, ran

__all__ = ["db", "ran"]
