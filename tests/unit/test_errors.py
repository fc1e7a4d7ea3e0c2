"""Errors carry data, and build their texts from it."""

from __future__ import annotations

import copy
import pickle

import pytest

import incr
from incr._errors import call_text, short_repr


@incr.input
class Source:
    path: str = incr.key()


class Loud:
    def __repr__(self) -> str:
        raise ValueError("no")


def test_a_repr_is_cut_and_one_that_fails_is_named() -> None:
    assert short_repr("x" * 100) == "'" + "x" * 78 + "…"
    assert short_repr("x", 2) == "'…"
    assert short_repr(Loud()) == "<Loud whose repr raised ValueError>"
    assert call_text("words", ("a", 3, Loud())) == "words('a', 3, <Loud whose repr raised ValueError>)"
    assert call_text("words", ()) == "words()"


ERRORS: list[incr.IncrError] = [
    incr.CycleError([("a", (1,)), ("b", ())]),
    incr.MissingInputError(Source, "a"),
    incr.WriteInQueryError("text"),
    incr.FinishedFrameError("text"),
    incr.MutatedValueError("text"),
    incr.SupersededError("text"),
    incr.LimitExceededError("text"),
    incr.StoreError("path", "text"),
    incr.EncodeError("words('a')", "socket", ".items[3]"),
    incr.CorruptError("path", 3, "text"),
    incr.VersionError("path", 3, 1),
    incr.StoreLockedError("path", "text"),
    incr.StoreBrokenError("path", "text"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_can_be_copied_and_pickled(error: incr.IncrError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


def test_the_tree_is_as_it_is_drawn() -> None:
    assert all(isinstance(error, incr.IncrError) for error in ERRORS)
    assert issubclass(incr.MissingInputError, KeyError)
    assert issubclass(incr.EncodeError, TypeError)
    assert issubclass(incr.CorruptError, ValueError)
    store = [incr.EncodeError, incr.CorruptError, incr.VersionError, incr.StoreLockedError, incr.StoreBrokenError]
    assert all(issubclass(kind, incr.StoreError) for kind in store)


def test_texts() -> None:
    texts = {type(error): str(error) for error in ERRORS}
    assert texts[incr.CycleError].startswith("a call needs its own result: a(1) -> b() -> a(1); break the loop")
    assert texts[incr.StoreError] == "path: text"
    assert texts[incr.CorruptError] == "path: damaged at byte 3: text"
    assert texts[incr.EncodeError].startswith("words('a'): a socket at .items[3] cannot be stored; register it with")
    assert texts[incr.VersionError].startswith("path: has format 3, this release reads format 1; use the release")
