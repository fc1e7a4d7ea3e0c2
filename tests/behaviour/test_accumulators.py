"""What queries push to accumulators, and what is collected of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import incr
from incr.testing import Recorder

marks = incr.Accumulator[str]("marks")
notes = incr.Accumulator[int]("notes")


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.input(durability=incr.Durability.HIGH)
class Mode:
    loud: bool


@incr.query
def length(db: incr.View, name: str) -> int:
    """How many words there are; those with a "!" are pushed without it."""
    words = db[Text, name].text.split()
    for word in words:
        if word.startswith("!"):
            marks.push(db, word[1:])
    return len(words)


@incr.query
def both(db: incr.View, first: str, second: str) -> int:
    marks.push(db, "begin")
    found = length(db, first)
    marks.push(db, "between")
    found += length(db, second) + length(db, first)
    marks.push(db, "end")
    return found


@incr.query
def failing(db: incr.View, name: str) -> int:
    marks.push(db, "before")
    if length(db, name) > 2:
        raise ValueError("too long")
    marks.push(db, "behind")
    return 0


@incr.query
def careful(db: incr.View, name: str) -> int:
    try:
        return failing(db, name)
    except ValueError:
        marks.push(db, "caught")
        return -1


@incr.query
def report(db: incr.View, name: str) -> str:
    return " ".join(marks.of(db, length, name)).upper()


@incr.query
def over(db: incr.View, name: str) -> int:
    return length(db, name)


@incr.query
def over_all(db: incr.View) -> int:
    return sum(over(db, name) for name in db.keys(Text))


@pytest.fixture
def filled(db: incr.Database) -> incr.Database:
    with db.batch() as batch:
        batch.set(Text("a", "one !two"))
        batch.set(Text("b", "!three four"))
    return db


def built(db: incr.Database) -> int:
    """How many trees were built or rebuilt since this was asked last."""
    collected = db._graph.collected
    assert collected is not None
    count, collected.built = collected.built, 0
    return count


@pytest.mark.spec("accumulate.of", "accumulate.order", "accumulate.once")
def test_pushes_come_in_the_order_of_execution_and_each_call_once(filled: incr.Database) -> None:
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "three", "end")
    assert marks.of(filled, both, "b", second="a") == ("begin", "three", "between", "two", "end")
    assert marks.of(filled, both, "a", "a") == ("begin", "two", "between", "end")
    assert marks.of(filled, length, "a") == ("two",)
    filled.check_invariant()


@pytest.mark.spec("accumulate.replay")
def test_a_hit_replays_what_was_pushed(filled: incr.Database, ran: Recorder) -> None:
    assert both(filled, "a", "b") == 6
    assert ran.take() == ["length('a')", "length('b')", "both('a', 'b')"]
    for _ in range(2):
        assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "three", "end")
    assert ran.take() == ["marks.of('both', 'a', 'b')"]


@pytest.mark.spec("accumulate.push")
def test_two_accumulators_do_not_meet(db: incr.Database) -> None:
    @incr.query
    def mixed(db: incr.View) -> None:
        notes.push(db, 1)
        marks.push(db, "one")
        notes.push(db, 2)

    twin = incr.Accumulator[int]("notes")
    assert notes.of(db, mixed) == (1, 2)
    assert marks.of(db, mixed) == ("one",)
    assert twin.of(db, mixed) == ()


@pytest.mark.spec("accumulate.push")
def test_a_push_outside_of_a_query_is_an_error(db: incr.Database) -> None:
    with pytest.raises(incr.IncrError, match=r"marks\.push\(\) belongs into a query"):
        marks.push(db, "lost")
    with db.snapshot() as view, pytest.raises(incr.IncrError, match="belongs into a query"):
        marks.push(view, "lost")
    with pytest.raises(TypeError, match="wants a database"):
        marks.push("db", "lost")  # type: ignore[arg-type]  # that is what is tested


@pytest.mark.spec("accumulate.push")
def test_a_push_to_another_database_than_the_running_query_s_is_an_error(db: incr.Database) -> None:
    elsewhere = incr.Database()

    @incr.query
    def astray(db: incr.View) -> None:
        marks.push(elsewhere, "lost")

    with pytest.raises(incr.IncrError, match="belongs into a query"):
        astray(db)


@pytest.mark.spec("accumulate.push", "frame.finished")
def test_a_push_through_a_frame_whose_call_has_ended_is_an_error(db: incr.Database) -> None:
    kept: list[incr.View] = []

    @incr.query
    def leaking(db: incr.View) -> None:
        kept.append(db)

    leaking(db)
    with pytest.raises(incr.FinishedFrameError):
        marks.push(kept[0], "late")
    assert marks.of(db, leaking) == ()


@pytest.mark.spec("accumulate.push", "frame.outer")
def test_a_push_through_an_outer_handle_belongs_to_the_running_call(db: incr.Database) -> None:
    @incr.query
    def inner(view: incr.View) -> None:
        marks.push(db, "through the database")

    @incr.query
    def outer(view: incr.View) -> None:
        inner(view)
        with db.snapshot() as snapshot:
            marks.push(snapshot, "through a snapshot")

    assert marks.of(db, inner) == ("through the database",)
    assert marks.of(db, outer) == ("through the database", "through a snapshot")


@pytest.mark.spec("accumulate.push")
def test_a_push_from_a_helper_thread_belongs_to_the_call_whose_db_it_goes_through(db: incr.Database) -> None:
    @incr.query
    def helped(db: incr.View) -> None:
        thread = threading.Thread(target=marks.push, args=(db, "from a thread"))
        thread.start()
        thread.join()

    assert marks.of(db, helped) == ("from a thread",)


@pytest.mark.spec("accumulate.push")
@pytest.mark.parametrize("name", ["", None, 3])
def test_the_name_is_a_text(name: Any) -> None:
    with pytest.raises(TypeError, match="non-empty string"):
        incr.Accumulator(name)
    assert repr(marks) == "<Accumulator 'marks'>"


@pytest.mark.spec("accumulate.of")
def test_of_wants_a_query(db: incr.Database) -> None:
    with pytest.raises(TypeError, match=r"not a function declared with @incr\.query"):
        marks.of(db, str.upper, "a")  # type: ignore[call-overload]  # that is what is tested
    with pytest.raises(TypeError, match="wants a database"):
        marks.of(3, length, "a")  # type: ignore[call-overload]  # that is what is tested


@pytest.mark.spec("accumulate.error")
def test_of_a_call_that_raises_gives_what_was_pushed_until_then(db: incr.Database) -> None:
    db.set(Text("a", "one !two three"))
    assert marks.of(db, failing, "a") == ("before", "two")
    with pytest.raises(ValueError, match="too long"):
        failing(db, "a")
    assert marks.of(db, careful, "a") == ("before", "two", "caught")
    db.set(Text("a", "one !two"))
    assert marks.of(db, careful, "a") == ("before", "two", "behind")
    db.remove(Text, "a")
    assert marks.of(db, failing, "a") == ("before",)


@pytest.mark.spec("accumulate.incremental", "accumulate.backdate")
def test_other_pushes_with_an_equal_value_reach_what_is_collected(filled: incr.Database, ran: Recorder) -> None:
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "three", "end")
    ran.take()
    filled.set(Text("b", "!five four"))
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "five", "end")
    assert (ran.take(), ran.take_verified()) == (["length('b')", "marks.of('both', 'a', 'b')"], ["both('a', 'b')"])
    filled.set(Text("b", "nothing here"))
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "end")
    filled.set(Text("b", "!again here"))
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "again", "end")
    filled.check_invariant()


@pytest.mark.spec("accumulate.incremental", "accumulate.backdate")
def test_the_same_pushes_stop_a_change(filled: incr.Database, ran: Recorder) -> None:
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "three", "end")
    assert built(filled) == 3
    ran.take()
    filled.set(Text("b", "!three  4"))
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "three", "end")
    assert ran.take() == ["length('b')"]
    assert ran.take_verified() == ["both('a', 'b')", "marks.of('both', 'a', 'b')"]
    assert built(filled) == 0


@pytest.mark.spec("accumulate.incremental")
def test_another_value_with_the_same_pushes_builds_nothing_again(filled: incr.Database) -> None:
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "three", "end")
    built(filled)
    filled.set(Text("b", "!three four five six"))
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "three", "end")
    assert both(filled, "a", "b") == 8
    assert built(filled) == 0


@pytest.mark.spec("accumulate.incremental")
def test_a_change_builds_again_what_is_above_it_and_nothing_else(db: incr.Database) -> None:
    with db.batch() as batch:
        for number in range(1_000):
            batch.set(Text(f"{number:03}", "silent"))
    assert marks.of(db, over_all) == ()
    assert built(db) == 2_001
    for number in (500, 3, 999):
        db.set(Text(f"{number:03}", f"!{number}"))
    assert marks.of(db, over_all) == ("3", "500", "999")
    assert built(db) == 7  # for each text its two calls, and the root
    db.set(Text("500", "silent"))
    assert marks.of(db, over_all) == ("3", "999")
    assert built(db) == 3
    db.set(Text("500", "silence"))
    assert marks.of(db, over_all) == ("3", "999")
    assert built(db) == 0
    db.remove(Text, "003")
    assert marks.of(db, over_all) == ("999",)
    assert built(db) == 1
    db.check_invariant()


@pytest.mark.spec("accumulate.incremental")
def test_other_dependencies_are_collected_although_the_value_is_the_same(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def chosen(db: incr.View) -> int:
        return length(db, db[Text, "which"].text)

    @incr.query
    def top(db: incr.View) -> int:
        return chosen(db)

    with db.batch() as batch:
        batch.set(Text("a", "!one"))
        batch.set(Text("b", "!two"))
        batch.set(Text("which", "a"))
    assert marks.of(db, top) == ("one",)
    ran.take()
    db.set(Text("which", "b"))
    assert marks.of(db, top) == ("two",)
    assert ran.take() == ["length('b')", "chosen()", "marks.of('top')"]
    db.set(Text("a", "!three"))
    assert marks.of(db, top) == ("two",)
    assert ran.take() == []


@pytest.mark.spec("accumulate.dependency")
def test_of_in_a_query_is_a_dependency_on_what_is_collected(filled: incr.Database, ran: Recorder) -> None:
    assert report(filled, "a") == "TWO"
    assert marks.of(filled, report, "a") == ("two",)
    ran.take()
    filled.set(Text("a", "1 !two"))  # the same value and pushes
    assert report(filled, "a") == "TWO"
    assert ran.take() == ["length('a')"]
    filled.set(Text("a", "1 !2"))  # the same value
    assert report(filled, "a") == "2"
    assert ran.take() == ["length('a')", "marks.of('length', 'a')", "report('a')"]
    filled.set(Text("a", "1 !2 3"))  # the same pushes
    assert report(filled, "a") == "2"
    assert ran.take() == ["length('a')", "marks.of('length', 'a')"]
    filled.set(Text("b", "!unrelated"))
    assert report(filled, "a") == "2"
    assert ran.take() == []
    filled.check_invariant()


@pytest.mark.spec("accumulate.incremental")
def test_what_another_reader_has_collected_meanwhile_is_not_overlooked(filled: incr.Database) -> None:
    @incr.query
    def above(db: incr.View) -> int:
        return over(db, "a")

    assert marks.of(filled, over, "a") == ("two",)
    assert marks.of(filled, above) == ("two",)
    filled.set(Text("a", "one !other"))
    assert marks.of(filled, above) == ("other",)  # what is collected for `over` is up to date now, and not asked for
    filled.set(Text("a", "1 !other"))
    assert marks.of(filled, over, "a") == ("other",)


@pytest.mark.spec("accumulate.revision")
def test_a_snapshot_gives_what_was_pushed_at_its_revision(filled: incr.Database, ran: Recorder) -> None:
    expected = ("begin", "two", "between", "three", "end")
    with filled.snapshot() as unseen, filled.snapshot() as seen:
        assert marks.of(seen, both, "a", "b") == expected
        ran.take()
        filled.set(Text("b", "!five four"))
        assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "five", "end")
        ran.take()
        assert marks.of(unseen, both, "a", "b") == expected
        assert marks.of(unseen, over, "b") == ("three",)
        assert ran.take() == ["over('b')", "marks.of('over', 'b')"]
        filled.check_invariant()
    assert marks.of(filled, both, "a", "b") == ("begin", "two", "between", "five", "end")


@pytest.mark.spec("accumulate.revision")
def test_a_revision_that_nobody_asked_at_is_collected_late(filled: incr.Database) -> None:
    assert marks.of(filled, over, "a") == ("two",)
    filled.set(Text("a", "one !then"))
    with filled.snapshot() as view:
        filled.set(Text("a", "one !two"))
        assert marks.of(view, over, "a") == ("then",)
        assert marks.of(filled, over, "a") == ("two",)
        assert marks.of(view, over, "a") == ("then",)
        filled.check_invariant()


@pytest.mark.spec("accumulate.revision")
def test_what_is_collected_late_is_not_taken_for_what_is_there_now(filled: incr.Database) -> None:
    assert over(filled, "a") == 2
    with filled.snapshot() as view:
        filled.set(Text("a", "one !now"))
        assert both(filled, "b", "b") == 6  # the write is known to all that it can reach
        assert marks.of(view, over, "a") == ("two",)
        assert over(filled, "a") == 2
        assert marks.of(filled, over, "a") == ("now",)


@pytest.mark.spec("accumulate.revision", "frame.bound")
def test_a_write_during_the_call_does_not_mix_revisions(filled: incr.Database) -> None:
    def write(*_: object) -> None:
        filled.set(Text("b", "!new text"))

    @incr.query
    def slow(db: incr.View) -> int:
        found = length(db, "a")
        if db.revision == 1:
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        return found + length(db, "b")

    assert marks.of(filled, slow) == ("two", "three")
    assert marks.of(filled, slow) == ("two", "new")


@pytest.mark.spec("accumulate.incremental", "high.bits")
def test_a_high_input_is_noticed(db: incr.Database) -> None:
    @incr.query
    def shouting(db: incr.View) -> None:
        if db[Mode].loud:
            marks.push(db, "LOUD")

    @incr.query
    def above(db: incr.View) -> None:
        shouting(db)

    @incr.query
    def asking(db: incr.View) -> int:
        return len(marks.of(db, above))

    db.set(Mode(loud=True))
    assert (marks.of(db, above), asking(db)) == (("LOUD",), 1)
    db.set(Mode(loud=False))
    assert (marks.of(db, above), asking(db)) == ((), 0)
    db.set(Mode(loud=True))
    assert (asking(db), marks.of(db, above)) == (1, ("LOUD",))
    db.check_invariant()


@pytest.mark.spec("accumulate.of", "accumulate.order")
def test_async_queries_are_collected_awaited() -> None:
    @incr.query
    async def awaited(db: incr.View, name: str) -> int:
        marks.push(db, "begin")
        await asyncio.sleep(0)
        found = length(db, name)
        marks.push(db, "end")
        return found

    @incr.query
    async def asks(db: incr.View, name: str) -> int:
        return len(await marks.of(db, awaited, name)) + len(marks.of(db, length, name))

    @incr.query
    def plain(db: incr.View, name: str) -> int:
        marks.of(db, awaited, name).close()
        return 0

    async def main() -> None:
        db = incr.Database()
        db.set(Text("a", "one !two"))
        assert await marks.of(db, awaited, "a") == ("begin", "two", "end")
        assert await asks(db, "a") == 4
        assert await marks.of(db, asks, "a") == ("begin", "two", "end")
        with db.snapshot() as view:
            db.set(Text("a", "one three"))
            assert await marks.of(db, awaited, "a") == ("begin", "end")
            assert await marks.of(view, awaited, "a") == ("begin", "two", "end")
        with pytest.raises(TypeError, match=r"cannot call the async query marks\.of\('awaited', 'a'\)"):
            plain(db, "a")
        db.check_invariant()

    asyncio.run(main())


@pytest.mark.spec("accumulate.push")
def test_pushes_of_a_cancelled_call_are_gone() -> None:
    async def main() -> None:
        db = incr.Database()
        first = asyncio.Event()
        go_on = asyncio.Event()
        runs: list[int] = []

        @incr.query
        async def waiting(db: incr.View) -> None:
            runs.append(len(runs))
            marks.push(db, f"run {runs[-1]}")
            first.set()
            await go_on.wait()

        task = asyncio.ensure_future(waiting(db))
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        assert await marks.of(db, waiting) == ("run 1",)

    asyncio.run(main())


@pytest.mark.spec("accumulate.error", "cycle.entry")
def test_calls_on_a_cycle_push_nothing_wherever_it_was_entered() -> None:
    @incr.query
    def ping(db: incr.View) -> int:
        marks.push(db, "ping")
        length(db, "a")
        return pong(db)

    @incr.query
    def pong(db: incr.View) -> int:
        marks.push(db, "pong")
        return ping(db)

    @incr.query
    def beside(db: incr.View) -> int:
        marks.push(db, "beside")
        return ping(db)

    for order in ([ping, pong, beside], [pong, beside, ping], [beside, pong, ping]):
        db = incr.Database()
        db.set(Text("a", "!one"))
        found = {query: marks.of(db, query) for query in order}
        assert found == {ping: (), pong: (), beside: ("beside",)}
        assert marks.of(db, length, "a") == ("one",)
        db.set(Text("a", "!two"))
        assert marks.of(db, length, "a") == ("two",)
        assert {query: marks.of(db, query) for query in order} == found
        db.check_invariant()


@pytest.mark.spec("accumulate.dependency", "cycle.path")
def test_a_call_that_collects_what_it_pushes_itself_is_on_a_cycle(db: incr.Database) -> None:
    @incr.query
    def selfish(db: incr.View) -> int:
        return len(marks.of(db, selfish))

    with pytest.raises(incr.CycleError, match=r"marks\.of"):
        selfish(db)


@pytest.mark.spec("accumulate.once")
def test_a_chain_of_any_depth_is_collected(db: incr.Database) -> None:
    @incr.query
    def deep(db: incr.View, number: int) -> int:
        if number % 1_000 == 0:
            notes.push(db, number)
        return deep(db, number - 1) if number else 0

    assert notes.of(db, deep, 3_000) == (3_000, 2_000, 1_000, 0)


@pytest.mark.spec("explain.why", "statistics.counts")
def test_what_is_collected_can_be_explained_and_counted(filled: incr.Database) -> None:
    assert marks.of(filled, over, "a") == ("two",)
    assert filled.statistics().queries["marks.of"].executed == 1
    assert "marks.of('over', 'a')" in incr.graph(filled).nodes
