"""What a test says about a program that is built on incr: what ran, what was proved good without running.

Law: an incremental program is right only if its answers are right *and* nothing ran that did not have to; so a test
asserts what ran, then the value. Calls are named as a reader would write them: ``words('a')``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, final

from incr import Database, Event, QueryBackdated, QueryExecuted, QueryVerified, Subscription
from incr._errors import call_text

__all__ = ["Recorder", "assert_executes"]


@final
class Recorder:
    """What the queries of a database do while the ``with`` block runs.

    Calls are listed in the order in which they ended, so one that another one made comes before it.

    >>> import incr
    >>> @incr.query
    ... def double(db: incr.View, number: int) -> int:
    ...     return 2 * number
    >>> db = incr.Database()
    >>> with Recorder(db) as ran:
    ...     assert (double(db, 4), ran.take()) == (8, ["double(4)"])
    ...     assert (double(db, 4), ran.take()) == (8, [])
    """

    __slots__ = ("_backdated", "_db", "_executed", "_subscription", "_verified")

    def __init__(self, db: Database) -> None:
        self._db = db
        self._subscription: Subscription | None = None
        self._executed: list[str] = []
        self._verified: list[str] = []
        self._backdated: list[str] = []

    def take(self) -> list[str]:
        """The calls whose bodies ran since the last time that this was asked."""
        return _drain(self._executed)

    def take_verified(self) -> list[str]:
        """The calls that were proved good without running since the last time that this was asked."""
        return _drain(self._verified)

    def take_backdated(self) -> list[str]:
        """The calls that ran and gave what they had given before, since the last time that this was asked."""
        return _drain(self._backdated)

    def __enter__(self) -> Self:
        if self._subscription is not None:
            raise RuntimeError("this Recorder is recording already; make another one")
        self._subscription = self._db.subscribe(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def __repr__(self) -> str:
        return f"<Recorder: executed {self._executed}, verified {self._verified}, backdated {self._backdated}>"

    def _note(self, event: Event) -> None:
        match event:
            case QueryExecuted(query, key):
                self._executed.append(call_text(query, key))
            case QueryVerified(query, key):
                self._verified.append(call_text(query, key))
            case QueryBackdated(query, key):
                self._backdated.append(call_text(query, key))
            case _:
                pass  # the other events say nothing about which work was done


def _drain(calls: list[str]) -> list[str]:
    taken = calls[:]
    calls.clear()
    return taken


@contextmanager
def assert_executes(db: Database, /, *calls: str) -> Generator[None]:
    """Assert that the block runs the bodies of exactly these calls, each as often as it is listed, in any order.

    >>> import incr
    >>> @incr.query
    ... def double(db: incr.View, number: int) -> int:
    ...     return 2 * number
    >>> db = incr.Database()
    >>> with assert_executes(db, "double(4)"):
    ...     assert double(db, 4) == 8
    >>> with assert_executes(db):
    ...     assert double(db, 4) == 8

    Raises:
        AssertionError: another call ran, or one of these did not; the text lists both, and what was only verified.
    """
    with Recorder(db) as recorder:
        yield
    executed = recorder.take()
    if Counter(executed) != Counter(calls):
        raise AssertionError(_difference(calls, executed, recorder.take_verified()))


def _difference(expected: tuple[str, ...], executed: list[str], verified: list[str]) -> str:
    missing = list((Counter(expected) - Counter(executed)).elements())
    surplus = list((Counter(executed) - Counter(expected)).elements())
    parts = (
        ("expected to run, but did not", missing),
        ("ran, but was not expected to", surplus),
        ("ran, in this order", executed),
        ("proved good without running", verified),
    )
    lines = [f"  {title}: {', '.join(listed) or 'nothing'}" for title, listed in parts]
    return "\n".join(["the block did not execute what it should:", *lines])
