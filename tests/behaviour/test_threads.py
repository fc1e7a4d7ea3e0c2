"""Threads that read and write one database at the same time. Who waits for whom is made certain by events."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import trio

import incr
from incr.testing import Recorder

#: Seconds after which a test that hangs is ended.
PATIENCE = 30.0


@incr.input
class Text:
    name: str = incr.key()
    text: str


class Gate:
    """A place where a body stops until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE)

    def wait_reached(self) -> None:
        assert self.reached.wait(PATIENCE)


@contextmanager
def pool(threads: int) -> Iterator[Callable[..., Future[Any]]]:
    with ThreadPoolExecutor(threads) as executor:
        yield executor.submit


def joined(db: incr.Database, query: Any) -> int:
    return db.statistics().queries[query.__name__].joined


class Arrivals:
    """Lets a test wait until so many callers wait for a flight, without looking again and again."""

    def __init__(self, db: incr.Database, wanted: int) -> None:
        self._left = wanted
        self._all = threading.Event()
        self._subscription = db.subscribe(self._hear)

    def _hear(self, event: incr.Event) -> None:
        if isinstance(event, incr.FlightJoined):
            self._left -= 1
            if not self._left:
                self._all.set()

    def wait(self) -> None:
        assert self._all.wait(PATIENCE)
        self._subscription.close()


@pytest.mark.spec("thread.single")
@pytest.mark.spec("thread.lock")
def test_threads_that_ask_for_one_call_run_it_once(db: incr.Database) -> None:
    gate = Gate()
    ran: list[str] = []

    @incr.query
    def shout(db: incr.View, name: str) -> str:
        ran.append(name)
        gate.pass_through()
        return db[Text, name].text.upper()

    db.set(Text("a", text="x"))
    with pool(4) as submit:
        first = submit(shout, db, "a")
        gate.wait_reached()
        others = [submit(shout, db, "a") for _ in range(3)]
        db.set(Text("b", text="written while a body runs and others begin to wait"))
        gate.opened.set()
        assert [one.result(PATIENCE) for one in (first, *others)] == ["X"] * 4
    assert ran == ["a"]
    db.check_invariant()


@pytest.mark.spec("thread.single")
@pytest.mark.spec("thread.wait")
def test_a_thread_takes_over_when_the_one_that_runs_is_gone(db: incr.Database) -> None:
    gate = Gate()
    runs: list[int] = []

    class Gone(BaseException):
        pass

    @incr.query
    def fragile(db: incr.View) -> str:
        runs.append(1)
        if len(runs) == 1:
            gate.pass_through()
            raise Gone
        return db[Text, "a"].text

    db.set(Text("a", text="x"))
    arrivals = Arrivals(db, 2)
    with pool(3) as submit:
        leader = submit(fragile, db)
        gate.wait_reached()
        followers = [submit(fragile, db) for _ in range(2)]
        arrivals.wait()
        gate.opened.set()
        with pytest.raises(Gone):
            leader.result(PATIENCE)
        assert [one.result(PATIENCE) for one in followers] == ["x", "x"]
    assert len(runs) == 2
    db.check_invariant()


@pytest.mark.spec("thread.cycle")
def test_a_loop_through_two_threads_is_an_error_in_both(db: incr.Database) -> None:
    inside = threading.Barrier(2)

    def meet() -> None:
        if not met.is_set():
            inside.wait(PATIENCE)
            met.set()

    met = threading.Event()

    @incr.query
    def left(db: incr.View) -> int:
        meet()
        return right(db) + 1

    @incr.query
    def right(db: incr.View) -> int:
        meet()
        return left(db) + 1

    with pool(2) as submit:
        calls = [submit(left, db), submit(right, db)]
        for call in calls:
            with pytest.raises(incr.CycleError) as caught:
                call.result(PATIENCE)
            assert caught.value.path == (("left", ()), ("right", ()))
    for query in (left, right):
        with pytest.raises(incr.CycleError):
            query(db)
    db.check_invariant()


@pytest.mark.spec("thread.cycle")
def test_a_loop_through_two_threads_and_two_databases_is_an_error() -> None:
    one, two = incr.Database(), incr.Database()
    inside = threading.Barrier(2)
    met = threading.Event()

    def meet() -> None:
        if not met.is_set():
            inside.wait(PATIENCE)
            met.set()

    @incr.query
    def here(db: incr.View) -> int:
        meet()
        return there(two) + 1

    @incr.query
    def there(db: incr.View) -> int:
        meet()
        return here(one) + 1

    with pool(2) as submit:
        for call in (submit(here, one), submit(there, two)):
            with pytest.raises(incr.CycleError):
                call.result(PATIENCE)


@pytest.mark.spec("thread.wait")
def test_an_interrupted_thread_disturbs_nobody(db: incr.Database) -> None:
    import ctypes

    gate = Gate()

    class Stop(BaseException):
        pass

    @incr.query
    def slow(db: incr.View) -> str:
        gate.pass_through()
        return "done"

    idents: list[int] = []

    def ask() -> str:
        idents.append(threading.get_ident())
        return slow(db)

    arrivals = Arrivals(db, 1)
    with pool(2) as submit:
        leader = submit(slow, db)
        gate.wait_reached()
        follower = submit(ask)
        arrivals.wait()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(idents[0]), ctypes.py_object(Stop))
        with pytest.raises(Stop):
            follower.result(PATIENCE)
        gate.opened.set()
        assert leader.result(PATIENCE) == "done"
    db.check_invariant()


@pytest.mark.spec("thread.read")
def test_worker_threads_read_for_the_call_whose_db_they_were_given(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def length(db: incr.View, name: str) -> int:
        return len(db[Text, name].text)

    @incr.query
    def total(db: incr.View, names: tuple[str, ...]) -> int:
        with ThreadPoolExecutor(3) as executor:  # without this thread's context variables
            return sum(executor.map(lambda name: length(db, name), names))

    with db.batch() as batch:
        for name in "abc":
            batch.set(Text(name, text=name))
    assert total(db, ("a", "b", "c")) == 3
    assert sorted(ran.take()) == ["length('a')", "length('b')", "length('c')", "total(('a', 'b', 'c'))"]
    db.set(Text("b", text="four"))
    assert total(db, ("a", "b", "c")) == 6
    assert sorted(ran.take()) == ["length('b')", "total(('a', 'b', 'c'))"]
    db.check_invariant()


@pytest.mark.spec("thread.read")
@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_plain_queries_in_worker_threads_of_a_loop_belong_to_the_awaited_call(
    db: incr.Database, ran: Recorder, loop: str
) -> None:
    @incr.query
    def length(db: incr.View, name: str) -> int:
        return len(db[Text, name].text)

    @incr.query
    async def in_thread(db: incr.View, name: str) -> int:
        if loop == "trio":
            return await trio.to_thread.run_sync(length, db, name)
        return await asyncio.to_thread(length, db, name)

    async def ask() -> int:
        return await in_thread(db, "a")

    def run() -> int:
        return trio.run(ask) if loop == "trio" else asyncio.run(ask())

    db.set(Text("a", text="one"))
    assert run() == 3
    db.set(Text("a", text="three"))
    assert run() == 5
    assert ran.take() == ["length('a')", "in_thread('a')"] * 2


@pytest.mark.spec("thread.single")
@pytest.mark.spec("thread.wait")
def test_tasks_in_two_loops_in_two_threads_share_one_execution(db: incr.Database) -> None:
    started, others = threading.Event(), threading.Event()
    ran: list[str] = []

    @incr.query
    async def shared(db: incr.View) -> str:
        ran.append("shared")
        started.set()
        await trio.to_thread.run_sync(others.wait, PATIENCE)
        return db[Text, "a"].text

    async def lead() -> str:
        return await shared(db)

    db.set(Text("a", text="x"))
    arrivals = Arrivals(db, 2)
    with pool(3) as submit:
        leader = submit(trio.run, lead)
        assert started.wait(PATIENCE)
        followers = [submit(lambda: asyncio.run(lead())), submit(trio.run, lead)]
        arrivals.wait()
        others.set()
        assert [one.result(PATIENCE) for one in (leader, *followers)] == ["x"] * 3
    assert ran == ["shared"]
    db.check_invariant()


@pytest.mark.spec("thread.write")
@pytest.mark.spec("thread.read")
def test_a_body_sees_its_revision_while_another_thread_writes(db: incr.Database) -> None:
    gate = Gate()

    @incr.query
    def part(db: incr.View, name: str) -> str:
        return db[Text, name].text

    @incr.query
    def both(db: incr.View) -> str:
        before = part(db, "a")
        gate.pass_through()
        return before + part(db, "b") + db[Text, "b"].text

    with db.batch() as batch:
        batch.set(Text("a", text="1"))
        batch.set(Text("b", text="1"))
    with pool(1) as submit:
        late = submit(both, db)
        gate.wait_reached()
        with db.batch() as batch:
            batch.set(Text("a", text="2"))
            batch.set(Text("b", text="2"))
        assert part(db, "b") == "2"
        gate.opened.set()
        assert late.result(PATIENCE) == "111"
    assert both(db) == "222"
    db.check_invariant()


@pytest.mark.spec("thread.write")
def test_writes_from_many_threads_are_each_a_revision(db: incr.Database) -> None:
    together = threading.Barrier(8)

    def write(thread: int) -> list[int]:
        together.wait(PATIENCE)
        return [int(db.set(Text(f"{thread}-{number}", text="x"))) for number in range(50)]

    with pool(8) as submit:
        revisions = [one.result(PATIENCE) for one in [submit(write, thread) for thread in range(8)]]
    assert sorted(revision for one in revisions for revision in one) == list(range(1, 401))
    assert all(one == sorted(one) for one in revisions)
    assert len(list(db.keys(Text))) == 400


@pytest.mark.spec("event.order")
def test_events_of_many_threads_come_one_at_a_time_and_in_order(db: incr.Database) -> None:
    heard: list[int] = []
    inside: list[int] = []

    def hear(event: incr.Event) -> None:
        inside.append(1)
        assert len(inside) == 1
        if isinstance(event, incr.RevisionAdvanced):
            heard.append(int(event.revision))
        inside.pop()

    with db.subscribe(hear), pool(4) as submit:
        calls = [submit(db.set, Text(str(number), text="x")) for number in range(200)]
        for call in calls:
            call.result(PATIENCE)
    assert heard == list(range(1, 201))


@pytest.mark.spec("thread.lock")
def test_code_of_the_program_runs_without_the_lock(db: incr.Database) -> None:
    """Comparisons, reprs and subscribers each have another thread use the database to the end."""
    elsewhere = ThreadPoolExecutor(1)
    number = iter(range(100))

    def use() -> None:
        elsewhere.submit(lambda: db.set(Text("other", text=str(next(number))))).result(PATIENCE)

    class Value:
        def __init__(self, text: str) -> None:
            self.text = text

        def __repr__(self) -> str:
            use()
            return "a value"

        def __hash__(self) -> int:
            return hash(self.text)

        def __eq__(self, other: object) -> bool:
            use()
            return isinstance(other, Value) and self.text == other.text

    def equal(one: object, other: object) -> bool:
        use()
        return one == other

    @incr.query(eq=equal)
    def value(db: incr.View, name: str) -> Value:
        return Value(db[Text, name].text.strip())

    @incr.query
    def loop(db: incr.View, argument: Value) -> None:
        return loop(db, argument)

    with elsewhere:
        db.set(Text("a", text="x"))
        value(db, "a")
        db.set(Text("a", text="x "))
        assert value(db, "a").text == "x"
        argument = Value("x")
        with pytest.raises(incr.CycleError):
            loop(db, argument)
        incr.graph(db)
        db.explain(value, "a")
    db.check_invariant()


@pytest.mark.spec("thread.single")
@pytest.mark.parametrize("first", [True, False])
def test_what_runs_in_the_middle_of_a_body_in_another_context_does_not_wait_for_it(
    db: incr.Database, first: bool
) -> None:
    """A callback of an event loop that a body steps, for example: nobody could end such a wait."""
    ran: list[str] = []

    @incr.query
    def body(db: incr.View) -> str:
        ran.append("body")
        text = db[Text, "a"].text
        if len(ran) % 2:
            assert contextvars.Context().run(body, database) == text
        return text

    database = db
    db.set(Text("a", text="x"))
    assert body(db) == "x"
    assert len(ran) == 2
    if not first:
        db.set(Text("a", text="y"))
        assert body(db) == "y"
        assert len(ran) == 4
    db.check_invariant()


@pytest.mark.spec("history.prune")
@pytest.mark.spec("history.snapshot")
def test_thousands_of_snapshots_of_one_slot(db: incr.Database) -> None:
    @incr.query
    def length(db: incr.View, name: str) -> int:
        return len(db[Text, name].text)

    snapshots = []
    for number in range(2000):
        db.set(Text("a", text="x" * number))
        assert length(db, "a") == number
        snapshots.append(db.snapshot())
    assert db.statistics().pinned == 1999
    assert [length(one, "a") for one in snapshots[::97]] == list(range(2000))[::97]
    for one in snapshots[::2]:
        one.close()
    assert [length(one, "a") for one in snapshots[1::2]] == list(range(2000))[1::2]
    db.check_invariant()
    for one in snapshots:
        one.close()
    assert db.statistics().pinned == 0
    db.check_invariant()
