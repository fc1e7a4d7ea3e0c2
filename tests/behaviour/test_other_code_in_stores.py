"""A program whose code is another one opens a store: what it costs, what runs again, and what stays doubted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

import incr
from incr._database import Database
from incr._durable import _opening
from incr._durable._commit import Commit
from incr._durable._session import Session
from incr._persist._jobs import load as load_graph
from incr.store import MemoryStore
from incr.store.file_store import FileStore
from incr.store.rows import GOOD, Delta, Store
from incr.store.sqlite_store import SqliteStore
from incr.testing import Recorder
from interruptions import Interruption


@incr.input
class Line:
    number: int = incr.key()
    text: str


class Program:
    """Queries, most of which call the one before; their versions stand for their code."""

    def __init__(self, **versions: int) -> None:
        self.calls: dict[str, Any] = {}
        self.clock = 0
        calls = self.calls

        @incr.query(name="size", version=versions.get("size", 0))
        def size(db: incr.View, number: int) -> int:
            return len(db[Line, number].text) + versions.get("size", 0) // 10

        @incr.query(name="half", version=versions.get("half", 0))
        def half(db: incr.View, number: int) -> int:
            return int(calls["size"](db, number)) // 2

        @incr.query(name="pair", version=versions.get("pair", 0))
        def pair(db: incr.View, number: int) -> int:
            return int(calls["half"](db, number)) + int(calls["half"](db, number + 1))

        @incr.query(name="whole", version=versions.get("whole", 0))
        def whole(db: incr.View) -> int:
            return sum(calls["pair"](db, number) for number in range(0, 8, 2)) + calls["aside"](db)

        @incr.query(name="aside", version=versions.get("aside", 0))
        def aside(db: incr.View) -> int:
            return len(db[Line, 100].text)

        @incr.query(name="timed")
        def timed(db: incr.View, number: int) -> int:
            db.untracked("the clock")
            return self.clock + number

        @incr.query(name="late")
        def late(db: incr.View, number: int) -> int:
            return int(calls["timed"](db, number)) // 10

        @incr.query(name="either")
        def either(db: incr.View, number: int) -> int:
            return int(calls["aside"](db) if number == 3 else calls["size"](db, number))

        @incr.query(name="both")
        def both(db: incr.View, number: int) -> int:
            return len(db[Line, number].text) * 100 + int(calls["half"](db, number))

        for query in (size, half, pair, whole, aside, timed, late, either, both):
            calls[query.__incr__.name] = query

    def __getattr__(self, name: str) -> Any:
        return self.calls[name]


Place = Callable[[], Store]


@pytest.fixture(params=["memory 0", "memory 3", "memory 256", "sqlite 0", "file 256"])
def setting(request: pytest.FixtureRequest) -> tuple[str, int]:
    """A kind of store, and how many rows an opening looks at: none, too few, enough."""
    kind, budget = request.param.split()
    return kind, int(budget)


@pytest.fixture
def place(setting: tuple[str, int], tmp_path: Path) -> Place:
    """Opens the same store again and again."""
    if setting[0] == "memory":
        memory = MemoryStore()
        return memory.open
    if setting[0] == "sqlite":
        return lambda: SqliteStore.open(tmp_path / "state.sqlite", durability="relaxed")
    return lambda: FileStore.open(tmp_path / "state", durability="relaxed")


@pytest.fixture
def budget(setting: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many rows an opening looks at."""
    monkeypatch.setattr(_opening, "BUDGET", setting[1])
    return setting[1]


class Opened:
    """A database of a process that has one program, and declares what it is told to."""

    def __init__(self, place: Place, program: Program, without: tuple[str, ...] = ()) -> None:
        self.program = program
        versions = {query.__incr__: b"%d" % query.__incr__.version for query in program.calls.values()}
        declared = [query.__incr__ for name, query in program.calls.items() if name not in without]
        self.db = Database()
        self.db._session = Session(
            self.db._graph, place(), [Line.__incr__, *declared], lambda one: versions.get(one, b"")
        )
        self.db._at, self.db._code = self.db._graph.at, None
        self._recorder = Recorder(self.db)

    def __enter__(self) -> Self:
        self._recorder.__enter__()
        return self

    def __exit__(self, *exit_arguments: object) -> None:
        self.db.check_invariant()
        self._recorder.__exit__(None, None, None)
        self.db.close()

    @property
    def nodes(self) -> int:
        return len(self.db._session.backing.nodes)

    def ask(self, name: str, *arguments: int) -> tuple[int, list[str]]:
        """The answer, and what ran for it."""
        self._recorder.take()
        found = self.program.calls[name](self.db, *arguments)
        self.db.check_invariant()
        return found, self._recorder.take()


def fill(place: Place, program: Program | None = None) -> None:
    with Opened(place, program or Program()) as opened:
        with opened.db.batch() as batch:
            for number in range(8):
                batch.set(Line(number, text="x" * number))
            batch.set(Line(100, text="aside"))
        assert opened.ask("whole")[0] == 17
        for number in range(8):
            opened.ask("late", number)
            opened.ask("either", number)
            opened.ask("both", number)
        opened.db.commit()


SIZES = [f"size({number})" for number in range(8)]
HALVES = [f"half({number})" for number in range(8)]
PAIRS = [f"pair({number})" for number in range(0, 8, 2)]


@pytest.mark.spec("lazy.code", "load.code")
def test_opening_makes_no_node_for_calls_of_other_code(place: Place, budget: int) -> None:
    fill(place)
    with Opened(place, Program(size=1)) as opened:
        assert opened.nodes <= 2  # the reasons of what is outside
        assert opened.ask("aside") == (5, [])
        assert opened.ask("half", 3) == (1, ["size(3)"])  # equal results stop there
        assert opened.ask("pair", 2) == (2, ["size(2)"])
        assert opened.nodes < 12
        assert opened.ask("whole") == (17, [one for one in SIZES if one not in ("size(2)", "size(3)")])
        assert opened.ask("whole") == (17, [])


@pytest.mark.spec("lazy.code", "load.code", "memo.minimal")
def test_what_may_depend_on_other_code_runs_only_if_something_is_different(place: Place, budget: int) -> None:
    fill(place)
    with Opened(place, Program(half=1)) as opened:
        assert opened.ask("size", 1) == (1, [])
        assert opened.ask("whole") == (17, HALVES)
        assert opened.db._graph.table(opened.program.aside.__incr__) == {}  # nobody had to look at it
        opened.db.commit()
    with Opened(place, Program(half=1, size=10)) as opened:  # one more each: every other half is one more
        found, ran = opened.ask("pair", 2)
        assert (found, ran) == (3, ["size(2)", "half(2)", "size(3)", "half(3)", "pair(2)"])
        assert opened.ask("whole")[0] == 21


@pytest.mark.spec("lazy.code")
def test_doubts_stay_until_somebody_asks(place: Place, budget: int) -> None:
    fill(place)
    other = {"size": 10}
    with Opened(place, Program(**other)) as opened:
        opened.db.set(Line(0, text=""))  # nothing is different
        opened.db.commit()
    for turn in range(3):
        with Opened(place, Program(**other)) as opened:
            assert opened.ask("half", turn)[0] == (turn + 1) // 2
            opened.db.commit()
    with Opened(place, Program(**other)) as opened:
        assert opened.ask("half", 1) == (1, [])
        found, ran = opened.ask("whole")
        assert found == 21
        assert sorted(one for one in ran if one.startswith("size")) == SIZES[3:]
        opened.db.commit()
    with Opened(place, Program(**other)) as opened:
        assert opened.ask("whole") == (21, [])


@pytest.mark.spec("lazy.code")
def test_doubts_that_are_not_committed_are_found_again(place: Place, budget: int) -> None:
    fill(place)
    for _ in range(2):
        with Opened(place, Program(size=10)) as opened:
            assert opened.ask("whole")[0] == 21
    with Opened(place, Program()) as opened:
        assert opened.ask("whole") == (17, [])


@pytest.mark.spec("lazy.code", "load.code")
def test_two_programs_take_turns(place: Place, budget: int) -> None:
    fill(place)
    for turn in range(4):
        for version in (10, 0):
            with Opened(place, Program(size=version)) as opened:
                number = turn + (version > 0)
                assert opened.ask("half", number)[0] == (number + (version > 0)) // 2
                opened.db.commit()
            with Opened(place, Program(size=version)) as opened:
                assert opened.ask("half", number)[1] == []
                assert opened.ask("whole")[0] == (21 if version else 17)
                if turn == 2:
                    opened.db.commit()


@pytest.mark.spec("lazy.code", "explain.why")
def test_what_was_looked_at_and_not_verified_stays_doubted(place: Place, budget: int) -> None:
    fill(place)
    with Opened(place, Program(size=10)) as opened:
        explanation = opened.db.explain(opened.program.pair, 2)
        assert explanation.decision == "suspect"
        assert next(reason.what for reason in explanation.because) == "half(2)"
        opened.db.commit()
    with Opened(place, Program(size=10)) as opened:
        assert opened.ask("pair", 2)[0] == 3


@pytest.mark.spec("lazy.code", "load.code")
def test_a_whole_file_has_no_doubts(place: Place, budget: int, tmp_path: Path) -> None:
    fill(place)
    program = Program(size=10)
    with Opened(place, program) as opened:
        opened.db.save(tmp_path / "whole")
        assert opened.ask("pair", 2)[0] == 3
    loaded = Database()
    declared = [Line.__incr__, *(query.__incr__ for query in program.calls.values())]
    assert load_graph(loaded._graph, tmp_path / "whole", declared=declared)
    assert program.whole(loaded) == 21


@pytest.mark.spec("lazy.code", "lazy.suspect")
def test_a_write_below_what_is_doubted_makes_nothing_of_it_a_node(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_opening, "BUDGET", 0)
    fill(place)
    with Opened(place, Program(half=1)) as opened:
        opened.db.set(Line(4, text="xxxxxx"))
        assert opened.ask("aside") == (5, [])
        graph, program = opened.db._graph, opened.program
        assert [len(graph.table(query.__incr__)) for query in (program.size, program.half, program.both)] == [1, 0, 0]
        assert opened.ask("half", 4) == (3, ["size(4)", "half(4)"])
        opened.db.set(Line(5, text=""))
        opened.db.set(Line(4, text="xxxx"))
        assert opened.ask("half", 4) == (2, ["size(4)", "half(4)"])
        opened.db.commit()
    with Opened(place, Program(half=1)) as opened:
        opened.db.set(Line(6, text=""))
        assert opened.ask("whole")[0] == 17 - 2 - 3
        opened.db.commit()
    with Opened(place, Program(half=1)) as opened:
        assert opened.ask("whole") == (12, [])


@pytest.mark.spec("lazy.code", "memo.consistency")
def test_what_was_different_for_a_while_is_seen_by_who_is_bound_to_that_revision(place: Place, budget: int) -> None:
    fill(place)
    with Opened(place, Program(size=1)) as opened:
        opened.db.set(Line(2, text="x" * 8))
        with opened.db.snapshot() as between:
            opened.db.set(Line(2, text="xx"))
            assert opened.ask("size", 2)[0] == 2
            assert opened.program.half(opened.db, 2) == 1
            assert opened.program.pair(between, 2) == 5
            with between.fork() as fork:
                fork.set(Line(3, text=""))
                assert opened.program.pair(fork, 2) == 4
        assert opened.ask("pair", 2)[0] == 2
    with Opened(place, Program(size=10)) as opened:
        with opened.db.snapshot() as before:
            opened.db.set(Line(100, text=""))
            opened.ask("aside")
            assert opened.program.pair(before, 4) == 5
            assert opened.program.whole(before) == 21
        assert opened.ask("whole")[0] == 16


@pytest.mark.spec("lazy.code", "fork.view", "fork.isolated")
def test_a_fork_writes_below_what_is_doubted(place: Place, budget: int) -> None:
    fill(place)
    with Opened(place, Program(half=1)) as opened:
        program = opened.program
        with opened.db.snapshot() as snapshot, snapshot.fork() as fork:
            fork.set(Line(5, text=""))
            assert program.size(fork, 5) == 0
            assert program.both(fork, 5) == 0
            fork.set(Line(4, text=""))
            assert program.size(fork, 4) == 0
            assert opened.ask("both", 4) == (402, ["half(4)"])
            assert opened.ask("both", 5)[0] == 502
            assert program.both(fork, 6) == 603
            assert opened.ask("both", 6)[0] == 603
        opened.db.set(Line(4, text="xxxxx"))  # half of it is what it was
        assert opened.ask("both", 4)[0] == 502
        opened.db.set(Line(5, text="xx"))
        assert opened.ask("both", 5)[0] == 201


@pytest.mark.spec("lazy.code", "fork.cost")
def test_a_fork_takes_over_what_may_have_changed_and_no_more(place: Place, budget: int) -> None:
    fill(place)
    with Opened(place, Program(aside=1)) as opened, opened.db.snapshot() as snapshot, snapshot.fork() as fork:
        program = opened.program
        assert program.whole(fork) == 17
        assert len(fork._graph.table(program.aside.__incr__)) == 1
        assert fork._graph.table(program.pair.__incr__) == {}


@pytest.mark.spec("lazy.code", "read.untracked")
def test_what_is_outside_costs_nothing_at_opening(place: Place, budget: int) -> None:
    fill(place)
    program = Program()
    program.clock = 5
    with Opened(place, program) as opened:
        assert opened.nodes <= 2
        assert opened.ask("late", 1) == (0, ["timed(1)", "late(1)"])
        assert opened.ask("late", 5) == (1, ["timed(5)", "late(5)"])
        opened.db.set(Line(0, text="new"))
        assert opened.nodes < 10
        assert opened.ask("late", 5) == (1, ["timed(5)"])
        program.clock = 0
        assert opened.ask("late", 1) == (0, ["timed(1)", "late(1)"])
        assert opened.ask("late", 2) == (0, ["timed(2)"])
        opened.db.commit()
    with Opened(place, Program()) as opened:
        assert opened.ask("late", 1) == (0, ["timed(1)"])
        assert opened.ask("late", 2) == (0, ["timed(2)"])
        assert opened.ask("late", 3) == (0, ["timed(3)"])
        assert opened.ask("late", 5) == (0, ["timed(5)", "late(5)"])


@pytest.mark.spec("lazy.late", "load.unknown")
def test_callers_of_what_is_not_declared_are_trusted_until_it_is(place: Place, budget: int) -> None:
    fill(place)
    program = Program(size=10)
    with Opened(place, program, without=("size",)) as opened:
        assert opened.ask("half", 3) == (1, [])
        assert opened.ask("pair", 4) == (4, [])
        before = opened.db.snapshot()
        opened.db.commit()
        assert opened.ask("size", 3) == (4, ["size(3)"])  # declared by that
        assert opened.db.revision > before.revision
        assert program.pair(before, 4) == 4
        before.close()
        assert opened.ask("half", 3) == (2, ["half(3)"])
        assert opened.ask("pair", 4)[0] == 5
        assert opened.ask("whole")[0] == 21
        opened.db.commit()
    with Opened(place, Program(size=10), without=("size",)) as opened:
        assert opened.ask("whole") == (21, [])


@pytest.mark.spec("lazy.late", "lazy.code")
def test_what_was_trusted_until_then_is_doubted_in_the_store_too(place: Place, budget: int) -> None:
    fill(place)
    program = Program(size=10)
    with Opened(place, program, without=("size",)) as opened:
        assert opened.ask("pair", 4) == (4, [])
        with opened.db.snapshot() as snapshot, snapshot.fork() as fork:
            assert program.pair(fork, 4) == 4
            assert opened.ask("size", 1)[0] == 2
            fork.set(Line(5, text=""))
            assert program.pair(fork, 4) == 2
        opened.db.commit()
    with Opened(place, Program(size=10)) as opened:
        assert opened.ask("pair", 4)[0] == 5


@pytest.mark.spec("lazy.late", "load.unknown")
def test_what_is_not_declared_and_doubted_makes_its_callers_run(place: Place, budget: int) -> None:
    fill(place)
    program = Program(size=1)
    with Opened(place, program, without=("half",)) as opened:
        assert opened.ask("pair", 2) == (2, ["size(2)", "size(3)", "pair(2)"])
        assert opened.ask("size", 5) == (5, ["size(5)"])
        opened.db.commit()
    with Opened(place, Program(size=1)) as opened:
        assert opened.ask("pair", 2) == (2, [])
        found, ran = opened.ask("pair", 4)
        assert (found, "size(5)" in ran) == (4, False)


@pytest.mark.spec("lazy.code", "commit.atomic")
def test_a_commit_that_began_before_something_was_found_does_not_say_it(place: Place, budget: int) -> None:
    """The process ends between the commit and the next one."""
    fill(place)
    program = Program(size=10, whole=1)
    with Opened(place, program, without=("size",)) as opened:
        assert opened.ask("whole") == (17, ["whole()"])
        session = opened.db._session
        commit = Commit(session.backing)
        rows, given = commit._rows, []

        def meanwhile() -> Any:
            """What this process does while the rows are encoded."""
            given.append(opened.ask("size", 3))
            return rows()

        Commit._rows, before = lambda self: meanwhile(), Commit._rows  # type: ignore[method-assign]
        try:
            delta = commit.build(0)
        finally:
            Commit._rows = before  # type: ignore[method-assign]
        assert given == [(4, ["size(3)"])]
        assert delta is not None
        session.store.append(delta)
        commit.done()
    with Opened(place, Program(size=10, whole=1)) as opened:
        assert opened.ask("whole")[0] == 21


@pytest.mark.spec("lazy.code")
@pytest.mark.parametrize("limit", [0, 2, 3, 256])
def test_few_rows_that_depend_on_other_code_do_not_make_many_doubted(
    place: Place, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_opening, "BUDGET", limit)
    fill(place)
    with Opened(place, Program(aside=1)) as opened:
        assert [opened.ask("either", number) for number in range(4)] == [(0, []), (1, []), (2, []), (5, ["aside()"])]
        # One of them was verified; without a look at the rows all of them have to be.
        assert opened.db.statistics().verified == (1 if limit > 2 else 4)


@pytest.mark.spec("lazy.code", "lazy.late")
def test_what_is_found_later_has_a_budget_of_its_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_opening, "BUDGET", 3)  # too few for what is outside
    fill(place)
    with Opened(place, Program(aside=1), without=("aside",)) as opened:
        assert opened.ask("aside") == (5, ["aside()"])
        assert [opened.ask("either", number) for number in range(4)] == [(0, []), (1, []), (2, []), (5, [])]
        assert opened.db.statistics().verified == 1


def hostile(change: dict[str, Any]) -> Store:
    memory = MemoryStore()
    fill(memory.open)
    store = memory.open()
    head = store.head()
    infos = [info._replace(**change) if info.name == "half" else info for info in head.sections]
    store.append(Delta(head.revision, infos, None, head.next_page, {}, (), (), ()))
    store.close()
    return memory.open()


@pytest.mark.spec("lazy.code")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reads": (0, 99)}, "is said to depend on a section that is not there"),
        ({"reads": (-1,)}, "is said to depend on a section that is not there"),
        ({"code_since": 99}, "in a revision that has not been yet"),
        ({"doubt_since": 99}, "in a revision that has not been yet"),
        ({"doubt_since": -2}, "in a revision that has not been yet"),
        ({"pages": 0}, "cannot have 0 pages"),
    ],
)
def test_sections_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    store = hostile(change)
    with pytest.raises(incr.CorruptError, match=message):
        Opened(lambda: store, Program())
    store.close()


@pytest.mark.spec("lazy.code")
def test_rows_that_are_not_doubted_say_when_they_were_right(place: Place, budget: int) -> None:
    """Whatever was verified or ran since a doubt has a younger stamp than the doubt."""
    fill(place)
    with Opened(place, Program(size=1)) as opened:
        opened.ask("whole")
        opened.db.commit()
        store = opened.db._session.store
        for info in store.head().sections:
            rows = [store.row(number) for number in store.rows_of(info.number)]
            if info.name in ("half", "pair", "whole"):
                assert (info.doubt_since > 0) is (budget < 256)
                assert [row.flags & GOOD for row in rows if row.valid_from < info.doubt_since] == []
            if info.name == "size":
                assert {row.valid_from >= info.code_since for row in rows} == {True}


@pytest.mark.spec("lazy.code", "lazy.late", "error.interrupt")
@pytest.mark.parametrize("without", [(), ("size",)])
@pytest.mark.parametrize("limit", [0, 256])
def test_looking_at_what_is_doubted_may_be_interrupted_at_any_line(
    without: tuple[str, ...], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_opening, "BUDGET", limit)
    memory = MemoryStore()
    fill(memory.open)
    program = Program(size=10)
    for at in range(1, 100_000, 29):
        with Opened(memory.open, program, without) as opened:
            db = opened.db
            program.both(db, 4)

            def work(db: Database = db) -> None:
                program.size(db, 3)
                program.pair(db, 2)
                program.whole(db)

            interruption = Interruption(at, "_durable", with_lines=False)
            interrupted = interruption.interrupts(work)
            where = f"interrupted at {interruption.place}, line {at}"
            assert program.size(db, 3) == 4, where
            assert program.pair(db, 2) == 3, where
            assert program.whole(db) == 21, where
            db.check_invariant()
            db.set(Line(2, text="xxxxx"))
            assert program.both(db, 4) == 402, where
            assert program.whole(db) == 23, where
        if not interrupted:
            return
    raise AssertionError("it never came to its end")
