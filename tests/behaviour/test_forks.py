"""A fork starts as its snapshot is, shares what is known, costs what it changes, and nobody else sees what it does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

import incr
from incr.testing import Recorder
from tasks import Gate


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input(durability=incr.Durability.HIGH)
class Settings:
    factor: int


@incr.interned
class Symbol:
    name: str


@incr.query
def length(db: incr.View, path: str) -> int:
    return len(db[Source, path].text)


@incr.query
def parity(db: incr.View, path: str) -> int:
    return length(db, path) % 2


@incr.query
def total(db: incr.View) -> int:
    return sum(parity(db, path) for path in db.keys(Source))


@incr.query
def scaled(db: incr.View, path: str) -> int:
    return db[Settings].factor * length(db, path)


@incr.query
def tops(db: incr.View) -> int:
    return scaled(db, "a") + parity(db, "b")


@incr.query
def now(db: incr.View) -> int:
    db.untracked("the clock")
    return 1


@incr.query
def later(db: incr.View, path: str) -> int:
    return now(db) + length(db, path)


@incr.query
def picky(db: incr.View, path: str) -> int:
    if length(db, path) > 100:
        raise ValueError(path)
    return 1


@incr.query
def here(db: incr.View) -> int:
    return there(db)


@incr.query
def there(db: incr.View) -> int:
    return here(db)


@incr.query
def known(db: incr.View, path: str) -> bool:
    return (Source, path) in db


@incr.query
async def awaited(db: incr.View, path: str) -> int:
    return parity(db, path) + 1


def nodes(db: incr.Database) -> int:
    return sum(map(len, db._graph.tables))


@pytest.fixture
def filled(db: incr.Database) -> incr.Database:
    with db.batch() as batch:
        batch.set(Settings(10))
        for path in "abcd":
            batch.set(Source(path, path * 3))
    assert total(db) == 4
    assert tops(db) == 31
    return db


@pytest.fixture
def fork(filled: incr.Database) -> Iterator[incr.Database]:
    with filled.snapshot() as view, view.fork() as made:
        yield made
        made.check_invariant()
        filled.check_invariant()


@pytest.mark.spec("fork.view", "read.revision")
def test_a_fork_starts_as_the_snapshot_is(filled: incr.Database) -> None:
    symbol = filled.intern(Symbol("x"))
    with filled.snapshot() as view:
        filled.set(Source("a", "later"))
        filled.remove(Source, "d")
        with view.fork() as fork:
            assert fork.revision == view.revision
            assert fork[Source, "a"] is view[Source, "a"]
            assert list(fork.keys(Source)) == ["a", "b", "c", "d"]
            assert ((Source, "d") in fork, (Source, "e") in fork, fork.get(Source, "e")) == (True, False, None)
            assert fork.intern(Symbol("x")) is symbol
            assert fork.intern(Symbol("new")) is filled.intern(Symbol("new"))
            with pytest.raises(incr.MissingInputError):
                fork[Source, "e"]
            assert fork.set(Source("b", "bbb")) == view.revision, "the record is there already"
            assert fork.set(Source("b", "b")) == view.revision + 1 == fork.revision


@pytest.mark.spec("fork.isolated")
def test_neither_sees_what_the_other_writes(filled: incr.Database, fork: incr.Database) -> None:
    fork.set(Source("a", "aa"))
    fork.set(Source("e", "e"))
    fork.remove(Source, "b")
    filled.set(Source("c", "cc"))
    filled.remove(Source, "d")
    assert list(fork.keys(Source)) == ["a", "c", "d", "e"]
    assert list(filled.keys(Source)) == ["a", "b", "c"]
    assert (total(fork), total(filled)) == (3, 2)
    assert (length(fork, "a"), length(filled, "a"), length(fork, "c"), length(filled, "c")) == (2, 3, 3, 2)
    with filled.snapshot() as view:
        assert total(view) == 2


@pytest.mark.spec("fork.shared", "call.hit")
def test_what_is_known_runs_nowhere_again(filled: incr.Database, fork: incr.Database) -> None:
    with Recorder(fork) as ran, Recorder(filled) as above:
        assert (total(fork), parity(fork, "a"), tops(fork)) == (4, 1, 31)
        assert (ran.take(), ran.take_verified(), above.take()) == ([], [], [])
    table = fork._graph.tables[total.__incr__.index]  # type: ignore[attr-defined]  # a query carries its ingredient
    assert all(node.hot for node in table.values()), "the next time it is a hit"


@pytest.mark.spec("fork.shared", "fork.cost")
def test_a_write_in_a_fork_runs_what_it_reaches(filled: incr.Database, fork: incr.Database) -> None:
    with Recorder(fork) as ran, Recorder(filled) as above:
        assert total(fork) == 4
        fork.set(Source("c", "cc"))
        assert total(fork) == 3
        assert ran.take() == ["length('c')", "parity('c')", "total()"]
        fork.set(Source("b", "b"))
        assert total(fork) == 3
        assert ran.take() == ["length('b')", "parity('b')"]
        assert tops(fork) == 31
        assert ran.take() == []
        assert (total(filled), above.take()) == (4, [])


@pytest.mark.spec("fork.shared", "memo.order")
def test_the_write_is_found_below_calls_that_the_fork_has_not_asked(fork: incr.Database) -> None:
    fork.set(Source("b", "bb"))
    with Recorder(fork) as ran:
        assert tops(fork) == 30
        assert ran.take() == ["length('b')", "parity('b')", "tops()"]


@pytest.mark.spec("fork.cost")
def test_making_one_visits_nothing(db: incr.Database) -> None:
    with db.batch() as batch:
        for number in range(500):
            batch.set(Source(f"{number:03}", "x"))
    assert total(db) == 500
    with db.snapshot() as view, view.fork() as fork:
        assert nodes(fork) == 0
        assert total(fork) == 500
        assert nodes(fork) == 1
        fork.set(Source("007", "xx"))
        assert total(fork) == 499
        # The body of `total` asked for everything; but nothing below the other 499 was looked at.
        assert nodes(fork) == 1 + 500 + 1 + 1
        fork.check_invariant()
    with db.snapshot() as view, view.fork() as fork:
        fork.set(Source("007", "xxx"))
        assert total(fork) == 500
        assert nodes(fork) == 4, "the slot, two calls that ran, and `total`, which was verified"
        fork.check_invariant()


@pytest.mark.spec("fork.shared", "memo.order")
def test_many_writes_below_a_wide_call_are_verified_in_the_order_of_reading(db: incr.Database) -> None:
    paths = [f"{number:03}" for number in range(200)]
    with db.batch() as batch:
        for path in paths:
            batch.set(Source(path, "x"))
    assert total(db) == 200
    for count in (3, 12):
        with db.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
            with fork.batch() as batch:
                for path in reversed(paths[-count:]):
                    batch.set(Source(path, "xxx"))
            assert total(fork) == 200
            assert [call for call in ran.take() if "length" in call] == [f"length('{path}')" for path in paths[-count:]]
            assert ran.take_backdated() == [f"parity('{path}')" for path in paths[-count:]]
            fork.check_invariant()


@pytest.mark.spec("fork.shared")
def test_what_was_not_verified_yet_is_shared_too(filled: incr.Database) -> None:
    filled.set(Source("a", "aaaaa"))  # an equal parity: nothing above it has to run
    with filled.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
        fork.set(Source("d", "d"))
        assert total(fork) == 4
        assert ran.take() == ["length('a')", "parity('a')", "length('d')", "parity('d')"]
        assert "total()" in ran.take_verified()
        fork.check_invariant()


@pytest.mark.spec("fork.shared", "fork.isolated")
def test_the_database_goes_on_while_a_fork_lives(filled: incr.Database, fork: incr.Database) -> None:
    with Recorder(fork) as ran:
        assert total(fork) == 4
        for text in ("x", "xx", "xxx"):
            filled.set(Source("a", text))
            filled.remove(Source, "c")
            total(filled)
            tops(filled)
            filled.set(Source("c", "ccc"))
            total(filled)
        assert (total(fork), tops(fork), length(fork, "a")) == (4, 31, 3)
        assert ran.take() == []
        fork.set(Source("a", "aaaa"))
        assert (total(fork), tops(fork)) == (3, 41)
        assert ran.take() == ["length('a')", "parity('a')", "total()", "scaled('a')", "tops()"]


@pytest.mark.spec("fork.shared")
def test_a_fork_of_an_older_snapshot_shares_what_was_known_then(filled: incr.Database) -> None:
    with filled.snapshot() as view:
        filled.set(Source("a", "aa"))
        filled.set(Source("b", "bb"))
        assert (total(filled), tops(filled)) == (2, 20)
        with view.fork() as fork, Recorder(fork) as ran:
            fork.set(Source("d", "dd"))
            assert (total(fork), tops(fork)) == (3, 31)
            assert ran.take() == ["length('d')", "parity('d')", "total()"]
            fork.check_invariant()


@pytest.mark.spec("fork.shared")
def test_what_the_database_finds_out_later_is_shared_while_it_is_about_the_snapshot(filled: incr.Database) -> None:
    with filled.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
        fork.set(Source("d", "dd"))
        assert total(fork) == 3
        assert ran.take() == ["length('d')", "parity('d')", "total()"]
        assert (scaled(filled, "b"), scaled(filled, "d")) == (30, 30)
        assert (scaled(fork, "b"), ran.take()) == (30, [])
        assert (scaled(fork, "d"), ran.take()) == (20, ["scaled('d')"])
        fork.check_invariant()


@pytest.mark.spec("fork.isolated", "high.bits")
def test_high_inputs_are_changed_for_the_fork_alone(filled: incr.Database, fork: incr.Database) -> None:
    assert total(fork) == 4
    with Recorder(fork) as ran:
        fork.set(Settings(100))
        assert (tops(fork), tops(filled)) == (301, 31)
        assert ran.take() == ["scaled('a')", "tops()"]
        fork.set(Source("b", "bb"))
        assert tops(fork) == 300
        assert ran.take() == ["length('b')", "parity('b')", "tops()"]
        filled.set(Settings(7))
        assert (tops(fork), tops(filled), ran.take()) == (300, 22, [])


@pytest.mark.spec("fork.isolated", "high.bits", "memo.consistency")
def test_a_high_input_of_the_database_changes_what_its_calls_read(filled: incr.Database) -> None:
    @incr.query
    def chosen(db: incr.View) -> int:
        return length(db, "a" if db[Settings].factor == 10 else "b")

    @incr.query
    def above(db: incr.View) -> int:
        return chosen(db) + 1

    assert above(filled) == 4
    with filled.snapshot() as view, view.fork() as fork:
        assert above(fork) == 4
        filled.set(Settings(11))  # from now on `chosen` reads "b", and nothing in the database links it to "a"
        filled.set(Source("b", ""))
        assert above(filled) == 1
        fork.set(Source("a", "a"))
        assert (above(fork), above(filled)) == (2, 1)
        fork.check_invariant()


@pytest.mark.spec("fork.isolated", "memo.dynamic", "memo.consistency")
def test_the_database_drops_a_dependency_that_the_fork_still_has(filled: incr.Database) -> None:
    @incr.query
    def chosen(db: incr.View) -> int:
        return length(db, "b" if (Source, "z") in db else "a")

    assert chosen(filled) == 3
    with filled.snapshot() as view, view.fork() as fork:
        assert chosen(fork) == 3
        filled.set(Source("z", ""))
        filled.set(Source("b", ""))
        assert chosen(filled) == 0
        fork.set(Source("a", "a"))
        assert (chosen(fork), chosen(filled)) == (1, 0)
        fork.check_invariant()


@pytest.mark.spec("fork.isolated", "fork.view", "memo.consistency")
def test_it_drops_a_dependency_that_a_fork_of_the_fork_still_has(filled: incr.Database) -> None:
    @incr.query
    def chosen(db: incr.View) -> int:
        return length(db, "b" if (Source, "z") in db else "a")

    assert chosen(filled) == 3
    with filled.snapshot() as view, view.fork() as fork, fork.snapshot() as inner_view, inner_view.fork() as inner:
        assert chosen(fork) == 3
        filled.set(Source("z", ""))
        filled.set(Source("b", ""))
        assert chosen(filled) == 0
        inner.set(Source("a", "a"))  # the fork has not been written to
        assert (chosen(inner), chosen(fork), chosen(filled)) == (1, 3, 0)
        inner.check_invariant()


@pytest.mark.spec("fork.isolated", "fork.view", "memo.consistency")
def test_a_fork_of_a_fork_finds_what_the_fork_takes_over_later(filled: incr.Database) -> None:
    with filled.snapshot() as view, view.fork() as fork, fork.snapshot() as inner_view, inner_view.fork() as inner:
        assert (parity(fork, "a"), length(inner, "b")) == (1, 3)
        filled.set(Source("a", ""))
        assert parity(filled, "a") == 0
        inner.set(Source("b", "bb"))
        assert length(inner, "b") == 2  # by now the fork has a node for length('a'), which `parity` of it relies on
        assert parity(inner, "a") == 1
        inner.set(Source("a", "aa"))
        assert (parity(inner, "a"), parity(fork, "a"), parity(filled, "a")) == (0, 1, 0)
        inner.check_invariant()
        fork.check_invariant()


@pytest.mark.spec("fork.shared", "read.untracked")
def test_untracked_reads_are_asked_again_after_the_first_write(filled: incr.Database) -> None:
    assert later(filled, "a") == 4
    with filled.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
        assert (later(fork, "a"), ran.take()) == (4, [])
        fork.set(Source("d", "dd"))
        assert (later(fork, "a"), ran.take()) == (4, ["now()"])
        fork.check_invariant()
    with filled.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
        fork.set(Source("d", "dd"))
        assert (later(fork, "a"), ran.take()) == (4, ["now()"])


@pytest.mark.spec("fork.shared", "read.presence")
def test_presence_and_key_sets_change_for_the_fork_alone(filled: incr.Database) -> None:
    assert (known(filled, "a"), known(filled, "z")) == (True, False)
    with filled.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
        fork.set(Source("a", "other"))
        assert (known(fork, "a"), known(fork, "z"), ran.take()) == (True, False, [])
        fork.set(Source("z", ""))
        fork.remove(Source, "a")
        assert (known(fork, "a"), known(fork, "z")) == (False, True)
        assert ran.take() == ["known('a')", "known('z')"]
        assert (total(fork), total(filled)) == (3, 4)
        fork.check_invariant()
    assert (known(filled, "a"), known(filled, "z")) == (True, False)


@pytest.mark.spec("fork.shared", "error.outcome")
def test_errors_are_shared_and_cycles_are_found(filled: incr.Database) -> None:
    filled.set(Source("a", "a" * 200))
    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            picky(filled, "a")
    with pytest.raises(incr.CycleError):
        here(filled)
    with filled.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
        with pytest.raises(ValueError, match="a"):
            picky(fork, "a")
        with pytest.raises(incr.CycleError):
            there(fork)
        assert ran.take() == []
        fork.set(Source("a", "a"))
        assert (picky(fork, "a"), ran.take()) == (1, ["length('a')", "picky('a')"])
        with pytest.raises(incr.CycleError):
            here(fork)
    with pytest.raises(ValueError, match="a"):
        picky(filled, "a")


@pytest.mark.spec("fork.view", "fork.shared", "fork.isolated")
def test_a_fork_of_a_fork(filled: incr.Database, fork: incr.Database) -> None:
    fork.set(Source("a", "aa"))
    with fork.snapshot() as view, view.fork() as inner, Recorder(inner) as ran, Recorder(fork) as outer:
        assert (inner.revision, inner[Source, "a"].text, list(inner.keys(Source))) == (2, "aa", ["a", "b", "c", "d"])
        fork.set(Source("a", "aaaa"))
        inner.set(Source("b", "bb"))
        assert (total(inner), total(fork), total(filled)) == (2, 3, 4)
        assert outer.take() == ["length('a')", "parity('a')", "total()"]
        assert ran.take() == ["length('a')", "parity('a')", "length('b')", "parity('b')", "total()"]
        assert (parity(inner, "d"), ran.take()) == (1, [])
        inner.check_invariant()


@pytest.mark.spec("fork.shared", "memo.consistency")
def test_a_fork_of_what_a_fork_was(filled: incr.Database, fork: incr.Database) -> None:
    with fork.snapshot() as view:
        fork.set(Source("b", "b"))
        with Recorder(fork) as ran:
            assert tops(fork) == 31
            assert "tops()" not in ran.take(), "it was verified by way of its second dependency alone"
        with view.fork() as inner:
            inner.set(Source("a", "aa"))
            assert (tops(inner), tops(view), tops(fork)) == (21, 31, 31)
            inner.check_invariant()


@pytest.mark.spec("fork.view", "history.snapshot")
def test_snapshots_of_a_fork(fork: incr.Database) -> None:
    assert total(fork) == 4
    with fork.snapshot() as first:
        fork.set(Source("a", "aa"))
        with fork.snapshot() as second:
            assert total(fork) == 3
            fork.set(Source("a", "a"))
            fork.set(Source("b", "bb"))
            assert [total(view) for view in (first, second, fork)] == [4, 3, 3]
            assert [tops(view) for view in (first, second, fork)] == [31, 21, 10]


@pytest.mark.spec("fork.closed")
def test_a_closed_fork_is_gone(filled: incr.Database) -> None:
    graph = filled._graph
    view = filled.snapshot()
    fork = view.fork()
    view.close()
    filled.set(Source("a", "aa"))
    assert (length(fork, "a"), filled.statistics().pinned) == (3, 1)
    fork.close()
    fork.close()
    assert (filled.statistics().pinned, graph.kin) == (0, None)
    for use in (
        lambda: length(fork, "a"),
        lambda: fork[Source, "a"],
        lambda: fork.set(Source("a", "")),
        lambda: fork.remove(Source, "a"),
        lambda: fork.batch(),
        lambda: fork.snapshot(),
        lambda: fork.revision,
    ):
        with pytest.raises(incr.FinishedFrameError, match=r"snapshot\.fork"):
            use()
    with pytest.raises(incr.FinishedFrameError, match="closed"):
        view.fork()
    with incr.Database() as own:  # nothing to close: it goes on
        own.set(Source("a", ""))
    assert length(own, "a") == 0
    filled.check_invariant()


@pytest.mark.spec("fork.closed")
def test_what_is_bound_to_a_fork_outlives_it(filled: incr.Database) -> None:
    with filled.snapshot() as view:
        fork = view.fork()
    fork.set(Source("a", "aa"))
    inner_view = fork.snapshot()
    inner = inner_view.fork()
    fork.close()
    filled.set(Source("b", "bb"))
    assert (total(inner_view), total(inner), total(filled)) == (3, 3, 3)
    inner_view.close()
    inner.set(Source("c", "cc"))
    assert (total(inner), filled.statistics().pinned) == (2, 1)
    inner.close()
    assert (filled.statistics().pinned, filled._graph.kin) == (0, None)


@pytest.mark.spec("fork.closed")
def test_a_dropped_fork_leaves_nothing_behind(filled: incr.Database) -> None:
    for number in range(20):
        with filled.snapshot() as view:
            fork = view.fork()
        fork.set(Source("a", "a" * number))
        assert total(fork) == 3 + number % 2
        del fork
        gc.collect()
        filled.set(Source("b", "b" * (2 * number + 5)))
        assert (total(filled), filled.statistics().pinned) == (4, 0)
        assert filled._graph.kin is None
    filled.check_invariant()
    assert not [node for table in filled._graph.tables for node in table.values() if node.history]


@pytest.mark.spec("fork.files")
def test_a_fork_is_not_a_file(fork: incr.Database, tmp_path: Path) -> None:
    for use in (fork.commit, fork.checkpoint, lambda: fork.save(tmp_path / "x"), lambda: fork.load(tmp_path / "x")):
        with pytest.raises(incr.StoreError, match="fork"):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.spec("fork.shared")
def test_what_was_loaded_is_shared(filled: incr.Database, tmp_path: Path) -> None:
    filled.save(tmp_path / "state")
    db = incr.Database()
    assert db.load(tmp_path / "state")
    with db.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
        assert (total(fork), ran.take()) == (4, [])
        fork.set(Source("a", "aa"))
        assert (total(fork), tops(fork)) == (3, 21)
        assert ran.take() == ["length('a')", "parity('a')", "total()", "scaled('a')", "tops()"]
        fork.check_invariant()
        with pytest.raises(incr.StoreError):
            db.load(tmp_path / "state")  # it would replace what the fork goes by


@pytest.mark.spec("fork.isolated", "write.in-query", "frame.databases")
def test_a_query_may_try_something_out() -> None:
    @incr.query
    def preview(db: incr.View, text: str) -> int:
        with outer.snapshot() as view, view.fork() as fork:
            fork.set(Source("a", text))
            return parity(fork, "a")

    @incr.query
    def writer(db: incr.View) -> None:
        assert isinstance(fork, incr.Database)
        fork.set(Source("a", "!"))

    outer = incr.Database()
    outer.set(Source("a", "xx"))
    assert (preview(outer, "x"), parity(outer, "a")) == (1, 0)
    with outer.snapshot() as view, view.fork() as fork:
        with pytest.raises(incr.WriteInQueryError):
            writer(fork)
        assert writer(outer) is None
        assert (fork[Source, "a"].text, outer[Source, "a"].text) == ("!", "xx")


@pytest.mark.spec("fork.view")
def test_looking_into_a_fork(filled: incr.Database, fork: incr.Database) -> None:
    assert fork.explain(total).decision == "inherited"
    assert fork.explain(now).decision == "never asked"
    assert total(fork) == 4
    held = fork.statistics()
    assert (held.memos, held.executed, held.inputs) == (1, 0, 0)
    fork.set(Source("a", "aa"))
    assert total(fork) == 3
    explained = fork.explain(total)
    assert (explained.decision, [reason.what for reason in explained.because]) == (
        "executed",
        ["parity('a')", "length('a')", "Source['a']"],
    )
    assert "total()" in incr.graph(fork)
    assert filled.statistics().executed == fork.statistics().executed + 8


@pytest.mark.spec("fork.shared")
def test_async_queries_share_with_forks(filled: incr.Database) -> None:
    async def main() -> None:
        assert await awaited(filled, "a") == 2
        with filled.snapshot() as view, view.fork() as fork, Recorder(fork) as ran:
            assert (await awaited(fork, "a"), ran.take()) == (2, [])
            fork.set(Source("a", "aa"))
            assert (await awaited(fork, "a"), await awaited(filled, "a")) == (1, 2)
            assert ran.take() == ["length('a')", "parity('a')", "awaited('a')"]

    trio.run(main)


@pytest.mark.spec("fork.isolated", "thread.lock")
def test_forks_and_their_database_in_threads_of_their_own(filled: incr.Database) -> None:
    wrong: list[object] = []

    def work(db: incr.Database, path: str) -> None:
        for number in range(60):
            db.set(Source(path, "x" * number))
            expected = 3 + number % 2
            if total(db) != expected or length(db, path) != number:
                wrong.append((path, number))

    with filled.snapshot() as view:
        forks = [view.fork() for _ in range(3)]
    threads = [threading.Thread(target=work, args=job) for job in zip([filled, *forks], "abcd", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    for fork in forks:
        fork.check_invariant()
        fork.close()
    filled.check_invariant()
    assert filled._graph.kin is None


@pytest.mark.spec("fork.shared", "history.publish", "memo.consistency")
def test_what_ends_late_in_the_database_is_not_mixed_with_what_the_fork_had() -> None:
    gate = Gate()
    gate.open()

    @incr.query
    async def slow(db: incr.View, path: str) -> str:
        text = db[Source, path].text
        await gate.wait()
        return text

    @incr.query
    async def both(db: incr.View) -> str:
        return f"{parity(db, 'z')} {await slow(db, 'x')}"

    async def main() -> None:
        nonlocal gate
        db = incr.Database()
        db.set(Source("x", "one"))
        db.set(Source("z", "z"))
        assert await slow(db, "x") == "one"
        gate = Gate()
        db.set(Source("x", "two"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(both, db)
            await trio.testing.wait_all_tasks_blocked()
            db.set(Source("z", "zzz"))
            with db.snapshot() as view:
                fork = view.fork()
            assert fork.explain(slow, "x").decision == "suspect"
            gate.open()
        with fork:
            fork.set(Source("x", "one"))  # back at what `slow` gave before `both` had read it
            assert await both(fork) == "1 one"

    trio.run(main)
