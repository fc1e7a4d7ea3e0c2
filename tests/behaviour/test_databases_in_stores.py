"""A database that stands on a store: what it reads, what it writes, and what it has to run again."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import pytest

import incr
from incr._durable import _drafts
from incr.store import MemoryStore
from incr.testing import Recorder

_ran: list[str] = []
seen = incr.Accumulator[str]("seen in stores")


@incr.input
class Note:
    name: str = incr.key()
    text: str


@incr.input(durability=incr.Durability.HIGH)
class Style:
    width: int


@incr.interned
class Word:
    text: str


@incr.query
def words(db: incr.View, name: str) -> tuple[Word, ...]:
    _ran.append(f"words {name}")
    return tuple(db.intern(Word(word)) for word in db[Note, name].text.split())


@incr.query
def count(db: incr.View, name: str) -> int:
    _ran.append(f"count {name}")
    found = len(words(db, name))
    if found > 2:
        seen.push(db, name)
    return found


@incr.query
def total(db: incr.View) -> int:
    _ran.append("total")
    return sum(count(db, name) for name in db.keys(Note))


@incr.query
def padded(db: incr.View, name: str) -> str:
    _ran.append(f"padded {name}")
    return db[Note, name].text.ljust(db[Style].width) if (Note, name) in db else ""


_queries: dict[str, Any] = {}


@incr.query
def shown(db: incr.View, name: str) -> str:
    return str(found("halved")(db, name))


def found(name: str) -> Any:
    """A query whose code is not part of its caller's."""
    return _queries[name]


Open = Callable[..., Any]


@pytest.fixture(params=["memory", "sqlite", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store again and again."""
    if request.param == "memory":
        place = MemoryStore()
        return lambda **options: incr.open(place, **options)
    if request.param == "sqlite":
        return lambda **options: incr.open(tmp_path / "state.sqlite", backend="sqlite", **options)
    return lambda **options: incr.open(tmp_path / "state", **options)


@pytest.fixture(autouse=True)
def ran() -> list[str]:
    _ran.clear()
    return _ran


def fill(db: incr.Database, notes: int = 5) -> None:
    with db.batch() as batch:
        batch.set(Style(4))
        for number in range(notes):
            batch.set(Note(f"n{number}", text="a " * number))


@pytest.mark.spec("lazy.trust", "lazy.open", "commit.durable")
def test_what_was_committed_is_trusted_without_a_visit(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        assert total(db) == 10
        assert db.commit() == 1
    ran.clear()
    with opened() as db:
        assert db.revision == 1
        assert total(db) == 10
        assert ran == []
        assert len(db._session.backing.nodes) == 1  # total, and nothing below it
        db.check_invariant()


@pytest.mark.spec("lazy.suspect", "memo.minimal")
def test_a_write_finds_what_depends_on_it_in_the_store(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        total(db), padded(db, "n3"), padded(db, "nobody")
        db.commit()
    ran.clear()
    with opened() as db:
        db.set(Note("n3", text="a b"))
        assert total(db) == 9
        assert padded(db, "n3") == "a b "
        assert padded(db, "nobody") == ""
        assert ran == ["words n3", "count n3", "total", "padded n3"]
        db.check_invariant()
        db.set(Note("nobody", text="!"))
        assert padded(db, "nobody") == "!   "
        assert ran[4:] == ["padded nobody"]
        db.check_invariant()


@pytest.mark.spec("lazy.suspect", "high.bits")
def test_a_write_of_a_high_input_finds_what_depends_on_it_in_the_store(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        padded(db, "n1"), padded(db, "n2"), total(db)
        db.commit()
    ran.clear()
    with opened() as db:
        db.set(Style(6))
        assert (padded(db, "n1"), padded(db, "n2"), total(db)) == ("a     ", "a a   ", 10)
        assert ran == ["padded n1", "padded n2"]
        db.set(Style(3))
        assert padded(db, "n1") == "a  "
        db.check_invariant()


@pytest.mark.spec("lazy.value", "write.equal")
def test_setting_an_equal_record_changes_nothing(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        total(db)
        db.commit()
    ran.clear()
    with opened() as db:
        assert db.set(Note("n3", text="a a a ")) == 1
        assert total(db) == 10
        assert ran == []


@pytest.mark.spec("commit.nothing")
def test_a_commit_with_nothing_new_writes_nothing(opened: Open) -> None:
    with opened() as db:
        fill(db)
        total(db)
        db.commit()
        last = db._session.store.head().last
        assert db.commit() == 1
        assert total(db) == 10
        db.commit()
        assert db._session.store.head().last == last


@pytest.mark.spec("commit.atomic", "open.close")
def test_what_is_not_committed_is_gone_as_a_whole(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        total(db)
        db.commit()
        db.set(Note("n1", text="a b c d"))
        assert total(db) == 13
    ran.clear()
    with opened() as db:
        assert total(db) == 10
        assert db[Note, "n1"].text == "a "
        assert ran == []
    with pytest.raises(incr.FinishedFrameError, match=r"is closed; open it again with incr\.open"):
        total(db)
    with pytest.raises(incr.FinishedFrameError, match="is closed"):
        db.set(Style(1))
    with pytest.raises(incr.StoreError, match="is closed"):
        db.commit()
    db.close()


@pytest.mark.spec("commit.journal")
def test_calls_that_nobody_has_asked_again_stay_suspect(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        total(db), padded(db, "n3")
        db.commit()
        db.set(Note("n3", text="b"))
        db.commit()
    ran.clear()
    with opened() as db:
        assert padded(db, "n3") == "b   "
        assert ran == ["padded n3"]
        db.commit()
    ran.clear()
    with opened() as db:
        assert padded(db, "n3") == "b   "
        assert ran == []
        assert total(db) == 8
        assert ran == ["words n3", "count n3", "total"]


@pytest.mark.spec("load.code")
def test_other_code_runs_again_and_an_equal_result_stops_there(opened: Open) -> None:
    def program(version: int) -> None:
        @incr.query(name="halved", version=version)
        def halved(db: incr.View, name: str) -> int:
            return len(db[Note, name].text) // 2

        _queries["halved"] = halved

    program(1)
    with opened() as db:
        fill(db)
        assert [shown(db, f"n{number}") for number in range(3)] == ["0", "1", "2"]
        db.commit()
    program(2)
    with opened() as db, Recorder(db) as ran:
        assert shown(db, "n2") == "2"
        assert ran.take() == ["halved('n2')"]
        db.commit()
    with opened() as db, Recorder(db) as ran:
        assert shown(db, "n2") == "2"
        assert ran.take() == []
        assert shown(db, "n1") == "1"  # the code was written down, and that this call has not run with it
        assert ran.take() == ["halved('n1')"]


@pytest.mark.spec("load.unknown")
def test_rows_of_ingredients_that_a_program_does_not_declare_stay(opened: Open) -> None:
    def program() -> Any:
        @incr.query(name="only sometimes")
        def sometimes(db: incr.View, name: str) -> int:
            return len(db[Note, name].text)

        return sometimes

    sometimes = program()
    with opened() as db:
        fill(db)
        assert (sometimes(db, "n1"), sometimes(db, "n2")) == (2, 4)
        db.commit()
    del sometimes
    gc.collect()
    with opened() as db:
        db.set(Note("n1", text="abc"))
        assert total(db) == 10
        db.commit()
    sometimes = program()
    with opened() as db, Recorder(db) as ran:
        assert (sometimes(db, "n1"), sometimes(db, "n2")) == (3, 4)
        assert ran.take() == ["only sometimes('n1')"]


@pytest.mark.spec("read.untracked")
def test_what_the_database_cannot_see_is_looked_at_again(opened: Open, ran: list[str]) -> None:
    outside = [1]

    @incr.query(name="looks outside")
    def looks(db: incr.View) -> int:
        ran.append("looks")
        db.untracked("the weather")
        return outside[0]

    @incr.query(name="uses what is outside")
    def uses(db: incr.View) -> int:
        ran.append("uses")
        return looks(db) * 2

    with opened() as db:
        assert uses(db) == 2
        db.commit()
    ran.clear()
    with opened() as db:
        assert uses(db) == 2
        assert ran == ["looks"]
        db.commit()
    outside[0] = 2
    with opened() as db:
        assert uses(db) == 4


@pytest.mark.spec("commit.journal", "memory.evicted")
def test_a_value_that_was_dropped_before_a_commit_is_stored_once_it_is_there_again(opened: Open) -> None:
    @incr.query(name="only the last", lru=1)
    def last(db: incr.View, name: str) -> int:
        return len(db[Note, name].text)

    @incr.query(name="above the last")
    def above(db: incr.View, name: str) -> int:
        return last(db, name) + last(db, "n0")

    with opened() as db:
        fill(db)
        assert (above(db, "n1"), above(db, "n2")) == (2, 4)
        assert db.statistics().queries["only the last"].values == 1
        db.commit()
    with opened() as db, Recorder(db) as ran:
        for name, length in (("n2", 4), ("n1", 2)):
            assert last(db, name) == length
            assert ran.take() == [f"only the last('{name}')"]
            db.commit()
        db.check_invariant()
    with opened() as db, Recorder(db) as ran:
        assert [last(db, f"n{number}") for number in range(3)] == [0, 2, 4]
        assert ran.take() == []
        db.set(Note("n1", text="abc"))
        assert (above(db, "n1"), above(db, "n2")) == (3, 4)
        assert ran.take() == ["only the last('n1')", "above the last('n1')"]
        db.commit()
        db.check_invariant()


@pytest.mark.spec("persist.off")
def test_values_that_are_not_to_be_stored_are_as_if_evicted(opened: Open, ran: list[str]) -> None:
    @incr.query(name="a tree", persist=False)
    def tree(db: incr.View, name: str) -> object:
        ran.append(f"tree {name}")
        return [db[Note, name].text]

    @incr.query(name="from the tree")
    def leaves(db: incr.View, name: str) -> int:
        ran.append(f"leaves {name}")
        return len(str(tree(db, name)))

    with opened() as db:
        fill(db)
        found = leaves(db, "n2")
        db.commit()
    ran.clear()
    with opened() as db:
        assert leaves(db, "n2") == found
        assert ran == []
        assert tree(db, "n2") == ["a a "]
        assert ran == ["tree n2"]
        db.set(Note("n2", text="b"))
        assert leaves(db, "n2") == 5
        assert ran == ["tree n2", "tree n2", "leaves n2"]


@pytest.mark.spec("commit.unencodable")
def test_a_value_that_cannot_be_stored_is_left_out_and_reported(opened: Open, ran: list[str]) -> None:
    @incr.query(name="a function")
    def function(db: incr.View, name: str) -> object:
        ran.append(f"function {name}")
        text = db[Note, name].text
        return lambda: text

    @incr.query(name="called")
    def called(db: incr.View, name: str) -> str:
        ran.append(f"called {name}")
        return str(function(db, name)())  # type: ignore[operator]

    events: list[incr.Event] = []
    with opened() as db:
        fill(db)
        assert called(db, "n2") == "a a "
        db.subscribe(events.append)
        db.commit()
    (event,) = [event for event in events if isinstance(event, incr.ValueNotStored)]
    assert (event.query, event.key) == ("a function", ("n2",))
    ran.clear()
    with opened() as db:
        assert called(db, "n2") == "a a "
        assert ran == []


@pytest.mark.spec("commit.unencodable")
def test_a_call_whose_arguments_cannot_be_stored_runs_again_and_so_does_who_used_it(
    opened: Open, ran: list[str]
) -> None:
    @incr.query(name="takes anything")
    def takes(db: incr.View, thing: object) -> int:
        ran.append("takes")
        return db[Style].width

    @incr.query(name="gives something")
    def gives(db: incr.View) -> int:
        ran.append("gives")
        return takes(db, gives) + 1

    with opened() as db:
        fill(db)
        assert gives(db) == 5
        db.commit()
    ran.clear()
    with opened() as db:
        assert gives(db) == 5
        assert ran == ["gives", "takes"]
        db.check_invariant()


@pytest.mark.spec("commit.unencodable", "commit.failed")
def test_an_input_that_cannot_be_stored_fails_the_commit_and_nothing_is_lost(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        db.set(Note("bad", text=object()))  # type: ignore[arg-type]
        padded(db, "n1")
        with pytest.raises(incr.EncodeError, match="Note"):
            db.commit()
        db.set(Note("bad", text="good"))
        db.commit()
    ran.clear()
    with opened() as db:
        assert db[Note, "bad"].text == "good"
        assert padded(db, "n1") == "a   "
        assert ran == []


@pytest.mark.spec("accumulate.persist")
def test_what_was_pushed_is_stored_too(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        assert seen.of(db, total) == ("n3", "n4")
        db.commit()
    ran.clear()
    with opened() as db:
        assert seen.of(db, total) == ("n3", "n4")
        assert ran == []
        db.set(Note("n1", text="x y z"))
        assert seen.of(db, total) == ("n1", "n3", "n4")
        assert ran == ["words n1", "count n1", "total"]
        db.commit()
    with opened() as db:
        assert seen.of(db, total) == ("n1", "n3", "n4")


@pytest.mark.spec("cycle.stored")
def test_calls_that_were_solved_together_run_again(opened: Open, ran: list[str]) -> None:
    @incr.query(name="around", cycle_initial=lambda name: 0, cycle_join=lambda old, new: max(old, new))
    def around(db: incr.View, name: str) -> int:
        ran.append(f"around {name}")
        other = "n1" if name == "n2" else "n2"
        return max(len(db[Note, name].text), around(db, other))

    @incr.query(name="outside of the loop")
    def outside(db: incr.View) -> int:
        ran.append("outside")
        return around(db, "n1")

    with opened() as db:
        fill(db)
        assert outside(db) == 4
        db.commit()
    ran.clear()
    with opened() as db:
        assert outside(db) == 4
        assert "outside" not in ran
        assert {"around n1", "around n2"} <= set(ran)
        db.check_invariant()


@pytest.mark.spec("lazy.value", "history.snapshot")
def test_a_snapshot_has_what_a_row_had_before_it_was_committed_again(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        total(db)
        db.commit()
    with opened() as db, db.snapshot() as view:
        db.set(Note("n3", text=""))
        assert total(db) == 7
        db.commit()
        assert (view[Note, "n3"].text, total(view), count(view, "n3")) == ("a a a ", 10, 3)
        with view.fork() as fork:
            fork.set(Note("n1", text=""))
            assert total(fork) == 9


@pytest.mark.spec("intern.identity")
def test_interned_values_are_one_again(opened: Open, ran: list[str]) -> None:
    with opened() as db:
        fill(db)
        words(db, "n3")
        db.commit()
    with opened() as db:
        first, second, third = words(db, "n3")
        assert first is second is third is db.intern(Word("a"))
        assert ran == ["words n3"]


@pytest.mark.spec("save.atomic")
def test_a_database_in_a_store_can_be_saved_to_one_file(opened: Open, ran: list[str], tmp_path: Path) -> None:
    with opened() as db:
        fill(db)
        total(db)
        db.commit()
    with opened() as db:
        db.set(Note("n1", text="a b"))
        total(db)
        db.save(tmp_path / "one.incr")
        with pytest.raises(incr.StoreError, match="lives in"):
            db.load(tmp_path / "one.incr")
        db.commit()
    ran.clear()
    alone = incr.Database()
    assert alone.load(tmp_path / "one.incr")
    assert total(alone) == 11
    assert ran == []


@pytest.mark.spec("commit.durable")
@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_the_awaited_twins_do_the_same(opened: Open, ran: list[str], library: str) -> None:
    async def write() -> None:
        async with opened() as db:
            fill(db)
            total(db)
            assert await db.acommit() == 1
            assert await db.acheckpoint() == 1

    anyio.run(write, backend=library)
    ran.clear()
    with opened() as db:
        assert total(db) == 10
        assert ran == []


@pytest.mark.spec("commit.backup")
def test_a_store_is_copied_while_it_is_in_use(opened: Open, ran: list[str], tmp_path: Path) -> None:
    with opened() as db:
        fill(db)
        total(db)
        if not db._session.store.capabilities.backup:
            with pytest.raises(incr.StoreError, match="incr store migrate"):
                db.backup(tmp_path / "copy")
            return
        assert db.backup(tmp_path / "copy") == 1
        db.set(Note("n1", text=""))
        db.commit()
    ran.clear()
    copy = tmp_path / "copy"
    with incr.open(copy, backend="sqlite" if copy.is_file() else "file") as db:
        assert total(db) == 10
        assert ran == []


@pytest.mark.spec("accumulate.persist")
def test_of_two_accumulators_of_one_name_neither_is_given_what_a_store_has(opened: Open) -> None:
    def program() -> tuple[Any, Any]:
        pushed = incr.Accumulator[str]("told in stores")

        @incr.query(name="tells")
        def tells(db: incr.View, name: str) -> int:
            pushed.push(db, name)
            return 1

        return pushed, tells

    pushed, tells = program()
    with opened() as db:
        assert pushed.of(db, tells, "a") == ("a",)
        db.commit()
    other, again = program()
    with opened() as db:
        assert other.of(db, again, "a") == ("a",)
        db.commit()
    assert pushed is not other


@pytest.mark.spec("commit.failed")
def test_two_queries_of_one_name_are_not_stored_as_one(opened: Open) -> None:
    def program(value: int) -> Any:
        @incr.query(name="one of two")
        def one(db: incr.View) -> int:
            return value + len(list(db.keys(Note)))

        return one

    first, second = program(1), program(2)
    with opened() as db:
        assert (first(db), second(db)) == (1, 2)
        with pytest.raises(incr.StoreError, match=r"two query ingredients are called 'one of two'"):
            db.commit()


@pytest.mark.spec("commit.failed", "commit.journal")
def test_an_interrupt_while_a_commit_looks_at_the_graph_loses_nothing(opened: Open) -> None:
    def strike(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code is _drafts._look.__code__:
            sys.settrace(None)
            raise KeyboardInterrupt

    with opened() as db:
        fill(db)
        assert total(db) == 10
        db.commit()
        db.set(Note("n1", text="a b c d"))
        assert total(db) == 13
        before = sys.gettrace()
        sys.settrace(strike)
        try:
            with pytest.raises(KeyboardInterrupt):
                db.commit()
        finally:
            sys.settrace(before)
        db.commit()
    with opened() as db:
        assert db[Note, "n1"].text == "a b c d"
        assert total(db) == 13


@pytest.mark.spec("commit.heal")
def test_healing_a_store_that_is_not_broken_is_a_commit(opened: Open) -> None:
    with opened() as db:
        fill(db)
        assert db.heal() == 1
    with opened() as db:
        assert db[Style].width == 4
