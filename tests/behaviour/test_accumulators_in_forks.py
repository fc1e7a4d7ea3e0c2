"""What a fork collects is what would be pushed with its own inputs; what its origin has is shared."""

from __future__ import annotations

import pytest

import incr
from incr.testing import Recorder

pytestmark = pytest.mark.spec("accumulate.revision", "fork.shared", "fork.isolated")

marks = incr.Accumulator[str]("marks")


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.query
def length(db: incr.View, name: str) -> int:
    words = db[Text, name].text.split()
    for word in words:
        if word.startswith("!"):
            marks.push(db, word[1:])
    return len(words)


@incr.query
def total(db: incr.View) -> int:
    return sum(length(db, name) for name in db.keys(Text))


@incr.query
def report(db: incr.View) -> str:
    return " ".join(marks.of(db, total))


@pytest.fixture
def filled(db: incr.Database) -> incr.Database:
    with db.batch() as batch:
        for name in "abc":
            batch.set(Text(name, f"!{name} word"))
    return db


@pytest.mark.parametrize("warm", ["nothing", "the call", "what is collected", "the report"])
def test_a_fork_collects_with_its_own_inputs(filled: incr.Database, warm: str) -> None:
    match warm:
        case "the call":
            total(filled)
        case "what is collected":
            marks.of(filled, total)
        case "the report":
            report(filled)
        case _:
            pass
    with filled.snapshot() as snapshot, snapshot.fork() as fork:
        fork.set(Text("b", "!other word"))
        filled.set(Text("c", "!new word"))
        assert (report(filled), marks.of(filled, total)) == ("a b new", ("a", "b", "new"))
        assert (marks.of(fork, total), report(fork)) == (("a", "other", "c"), "a other c")
        assert (marks.of(snapshot, total), report(snapshot)) == (("a", "b", "c"), "a b c")
        fork.set(Text("b", "silent word"))
        assert (report(fork), marks.of(fork, total)) == ("a c", ("a", "c"))
        with fork.snapshot() as second, second.fork() as above:
            fork.remove(Text, "a")
            above.set(Text("c", "!last word"))
            assert (marks.of(above, total), report(above)) == (("a", "last"), "a last")
            assert (marks.of(second, total), report(second)) == (("a", "c"), "a c")
            assert (marks.of(fork, total), report(fork)) == (("c",), "c")
            above.check_invariant()
        fork.check_invariant()
    filled.check_invariant()


def test_a_fork_runs_only_what_its_own_writes_ask_for(filled: incr.Database) -> None:
    assert report(filled) == "a b c"
    with filled.snapshot() as snapshot, snapshot.fork() as fork, Recorder(fork) as ran:
        assert report(fork) == "a b c"
        assert ran.take() == []
        fork.set(Text("b", "!b  word"))
        assert report(fork) == "a b c"
        assert ran.take() == ["length('b')", "marks.of('total')"]
        fork.set(Text("b", "!d  word"))
        assert report(fork) == "a d c"
        assert ran.take() == ["length('b')", "marks.of('total')", "report()"]
