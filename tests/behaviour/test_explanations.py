"""`db.explain`: what happened to a call last, and the chain down to the input that was written."""

from __future__ import annotations

import re
from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.query
def words(db: incr.View, path: str) -> tuple[str, ...]:
    return tuple(db[Source, path].text.split())


@incr.query
def count(db: incr.View, path: str, *, scale: int = 1) -> int:
    return scale * len(words(db, path))


@incr.query
def total(db: incr.View) -> int:
    return sum(count(db, path) for path in db.keys(Source))


def text(explanation: incr.Explanation) -> list[str]:
    """As people read it, without the time that it took."""
    return re.sub(r" in \d+\.\d\d ms", "", str(explanation)).splitlines()


@pytest.mark.spec("explain.why")
def test_a_call_that_was_never_asked(db: incr.Database, ran: Recorder) -> None:
    found = db.explain(count, "a", scale=2)
    assert (found.call, found.decision, found.changed_at, found.verified_at) == ("count('a', 2)", "never asked", 0, 0)
    assert found.because == ()
    assert str(found) == "count('a', 2): never asked for in this database"
    assert repr(found) == "<Explanation count('a', 2): never asked>"
    assert ran.take() == []


@pytest.mark.spec("explain.why")
def test_a_call_that_ran_for_the_first_time(db: incr.Database) -> None:
    db.set(Source("a", "x y"))
    count(db, "a")
    found = db.explain(count, "a")
    assert (found.decision, found.changed_at, found.verified_at) == ("executed", 1, 1)
    assert found.seconds > 0
    assert text(found) == ["count('a', 1): executed at revision 1; value from revision 1"]


@pytest.mark.spec("explain.why")
def test_the_chain_goes_down_to_the_input_that_was_written(db: incr.Database) -> None:
    db.set(Source("a", "x y"))
    db.set(Source("b", "z"))
    assert total(db) == 3
    db.set(Source("b", "z w"))
    found = db.explain(total)
    assert (found.decision, int(found.changed_at), int(found.verified_at)) == ("suspect", 2, 2)
    assert text(found) == [
        "total(): suspect at revision 2; value from revision 2",
        "  because of a write under count('b', 1) (changed at 2)",
        "    from words('b') (changed at 2)",
        "      from Source['b'] (changed at 3)",
    ]
    assert total(db) == 4
    found = db.explain(total)
    assert [(reason.what, int(reason.changed_at)) for reason in found.because] == [
        ("count('b', 1)", 3),
        ("words('b')", 3),
        ("Source['b']", 3),
    ]
    assert text(found)[0] == "total(): executed at revision 3; value from revision 3"
    assert text(found)[1:] == [
        "  because of count('b', 1) (changed at 3)",
        "    from words('b') (changed at 3)",
        "      from Source['b'] (changed at 3)",
    ]


@pytest.mark.spec("explain.why", "memo.backdate")
def test_a_call_that_was_only_verified(db: incr.Database) -> None:
    db.set(Source("a", "x y"))
    total(db)
    db.set(Source("a", "x  y"))
    total(db)
    found = db.explain(total)
    assert (found.decision, int(found.changed_at), int(found.verified_at)) == ("verified", 1, 2)
    assert text(found) == [
        "total(): verified at revision 2; value from revision 1",
        "  although something changed under count('a', 1) (changed at 1)",
        "    from words('a') (changed at 1)",
        "      from Source['a'] (changed at 2)",
    ]
    assert db.explain(words, "a").decision == "executed"


@pytest.mark.spec("explain.why")
def test_the_dependency_that_made_it_run_is_named_not_the_one_that_was_written_first(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    db.set(Source("b", "y"))
    total(db)
    db.set(Source("a", "x "))  # will be backdated
    db.set(Source("b", "y z"))
    total(db)
    assert [reason.what for reason in db.explain(total).because] == ["count('b', 1)", "words('b')", "Source['b']"]


@pytest.mark.spec("explain.why", "read.keys", "read.presence", "read.untracked", "high.bits")
def test_other_kinds_of_dependencies_are_named(db: incr.Database) -> None:
    @incr.input(durability=incr.Durability.HIGH)
    class Settings:
        level: int

    @incr.query
    def present(db: incr.View) -> bool:
        return (Source, "a") in db

    @incr.query
    def paths(db: incr.View) -> list[str]:
        return list(db.keys(Source))

    @incr.query
    def clock(db: incr.View) -> int:
        db.untracked("the clock")
        return 1

    @incr.query
    def level(db: incr.View) -> int:
        return db[Settings].level

    def because(query: Any) -> list[str]:
        query(db)
        return [reason.what for reason in db.explain(query).because]

    db.set(Settings(1))
    for query in (present, paths, clock, level):
        assert because(query) == []
    db.set(Source("a", "x"))
    assert because(present) == ["the presence of Source['a']"]
    assert because(paths) == ["the keys of Source"]
    assert because(clock) == ["untracked read (the clock)"]
    db.set(Settings(2))
    assert because(level) == ["Settings"]


@pytest.mark.spec("explain.why", "suspect.push")
def test_explaining_is_looking_and_nothing_else(db: incr.Database, ran: Recorder) -> None:
    db.set(Source("a", "x"))
    total(db)
    db.set(Source("a", "y"))
    before = db.statistics()
    ran.take()
    for _ in range(3):
        assert db.explain(total).decision == "suspect"
    after = db.statistics()
    assert ran.take() == ran.take_verified() == []
    assert (before.executed, before.verified, before.memos) == (after.executed, after.verified, after.memos)
    assert total(db) == 1


@pytest.mark.spec("explain.why", "error.outcome")
def test_a_call_that_failed_is_explained_like_any_other(db: incr.Database) -> None:
    with pytest.raises(incr.MissingInputError):
        count(db, "a")
    assert db.explain(count, "a").decision == "executed"
    db.set(Source("a", "x"))
    assert text(db.explain(count, "a"))[1:] == [
        "  because of a write under words('a') (changed at 0)",
        "    from Source['a'] (changed at 1)",
    ]


@pytest.mark.spec("explain.why", "cycle.path")
def test_calls_on_a_cycle_can_be_explained(db: incr.Database) -> None:
    @incr.query
    def one(db: incr.View) -> int:
        return two(db)

    @incr.query
    def two(db: incr.View) -> int:
        return one(db)

    for _ in range(3):
        with pytest.raises(incr.CycleError):
            one(db)
        for query in (one, two):
            assert len(db.explain(query).because) < 10
            assert str(db.explain(query)).startswith(query.__name__)
        db.set(Source("a", str(db.revision)))


@pytest.mark.spec("explain.why")
def test_a_reason_can_be_matched(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    words(db, "a")
    db.set(Source("a", "y"))
    (reason,) = db.explain(words, "a").because
    match reason:
        case incr.Reason(what, changed_at):
            assert (what, changed_at) == ("Source['a']", 2)
        case _:
            raise AssertionError(reason)
    assert repr(reason) == "Reason(\"Source['a']\", changed_at=2)"
