"""What a fork collects is what would be pushed with its own inputs; what its origin has is shared."""

from __future__ import annotations

from pathlib import Path

import pytest

import incr
from incr.testing import Recorder

pytestmark = pytest.mark.spec("accumulate.revision", "fork.shared", "fork.isolated")

marks = incr.Accumulator[str]("marks in forks")


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.input
class Setting:
    """No query reads it."""

    value: int


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


@incr.query
def verdict(db: incr.View) -> str:
    raise ValueError(" ".join(marks.of(db, total)))


@incr.query
def shouted(db: incr.View) -> str:
    return " ".join(marks.of(db, total)).upper()


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
        assert ran.take() == ["length('b')", "marks in forks.of('total')"]
        fork.set(Text("b", "!d  word"))
        assert report(fork) == "a d c"
        assert ran.take() == ["length('b')", "marks in forks.of('total')", "report()"]


def test_what_was_collected_in_the_origin_is_found_from_the_fork(filled: incr.Database) -> None:
    assert report(filled) == "a b c"
    with filled.snapshot() as snapshot, snapshot.fork() as fork, Recorder(fork) as ran:
        fork.set(Setting(1))
        assert (marks.of(fork, total), ran.take()) == (("a", "b", "c"), [])
        with fork.snapshot() as second, second.fork() as above, Recorder(above) as ran_above:
            above.set(Setting(2))
            assert (marks.of(above, total), ran_above.take()) == (("a", "b", "c"), [])
            above.set(Text("c", "!new word"))
            assert (report(above), marks.of(above, total)) == ("a b new", ("a", "b", "new"))
            above.check_invariant()
        fork.set(Text("a", "!new word"))
        assert (report(fork), marks.of(fork, total)) == ("new b c", ("new", "b", "c"))
        fork.check_invariant()


def test_a_value_that_was_lost_is_found_again_in_a_fork_from_what_the_origin_collected(
    filled: incr.Database, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="a b c"):
        verdict(filled)
    filled.save(tmp_path / "state")
    loaded = incr.Database()
    assert loaded.load(tmp_path / "state")
    with loaded.snapshot() as snapshot, snapshot.fork() as fork, Recorder(fork) as ran:
        fork.set(Setting(1))
        with pytest.raises(ValueError, match="a b c"):
            verdict(fork)  # errors are not in files, so it runs again; it was right all the time
        assert ran.take() == ["verdict()"]
        fork.check_invariant()
        fork.set(Text("a", "!new word"))
        with pytest.raises(ValueError, match="new b c"):
            verdict(fork)
        fork.check_invariant()


def test_what_is_collected_for_a_call_stands_in_one_row_whoever_collects_first(filled: incr.Database) -> None:
    with filled.snapshot() as snapshot, snapshot.fork() as fork:
        assert shouted(fork) == "A B C"
        assert report(snapshot) == "a b c"  # found by the origin when the fork has its own already
        assert report(fork) == "a b c"
        with Recorder(fork) as ran:
            fork.set(Text("b", "!new word"))
            assert (report(fork), shouted(fork)) == ("a new c", "A NEW C")
            assert ran.take() == ["length('b')", "marks in forks.of('total')", "report()", "shouted()"]
        fork.check_invariant()


@pytest.mark.parametrize("origin", ["asked again", "written to", "as it was"])
def test_other_pushes_of_a_call_of_the_same_value_are_seen_from_what_is_taken_over_later(
    filled: incr.Database, origin: str
) -> None:
    assert report(filled) == "a b c"
    with filled.snapshot() as snapshot, snapshot.fork() as fork:
        if origin != "as it was":
            filled.set(Text("a", "!new word"))
        if origin == "asked again":  # so that what the fork takes over is in the history
            assert report(filled) == "new b c"
        assert length(fork, "b") == 2
        fork.set(Text("b", "!other word"))
        assert length(fork, "b") == 2
        assert report(fork) == "a other c"
        assert marks.of(fork, total) == ("a", "other", "c")
        with Recorder(fork) as ran:
            fork.set(Setting(1))
            assert (report(fork), marks.of(fork, total), ran.take()) == ("a other c", ("a", "other", "c"), [])
        fork.check_invariant()


def test_what_the_origin_collected_before_it_went_on_is_shared_where_the_fork_changed_nothing(
    filled: incr.Database,
) -> None:
    assert report(filled) == "a b c"
    with filled.snapshot() as snapshot, snapshot.fork() as fork, Recorder(fork) as ran:
        filled.set(Text("a", "!new word"))
        assert report(filled) == "new b c"
        fork.set(Setting(1))
        assert (report(fork), marks.of(fork, total), ran.take()) == ("a b c", ("a", "b", "c"), [])
        fork.check_invariant()


def test_what_was_collected_for_a_call_whose_outcome_is_lost_is_followed_in_a_fork(
    filled: incr.Database, tmp_path: Path
) -> None:
    @incr.query
    def failing(db: incr.View) -> int:
        raise ValueError(total(db))

    @incr.query
    def first(db: incr.View) -> tuple[str, ...]:
        return marks.of(db, failing)

    @incr.query
    def second(db: incr.View) -> tuple[str, ...]:
        return marks.of(db, failing)

    assert first(filled) == ("a", "b", "c")
    filled.save(tmp_path / "state")
    loaded = incr.Database()
    assert loaded.load(tmp_path / "state")
    with loaded.snapshot() as snapshot:
        loaded.set(Text("a", "!new longer word"))
        assert first(loaded) == ("new", "b", "c")  # the error of the snapshot's revision is nowhere now
        with snapshot.fork() as fork:
            assert second(fork) == ("a", "b", "c")
            fork.check_invariant()
            fork.set(Text("c", "!other word"))
            assert (second(fork), first(fork)) == (("a", "b", "other"), ("a", "b", "other"))
            fork.check_invariant()
