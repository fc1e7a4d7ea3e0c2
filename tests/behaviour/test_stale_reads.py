"""Reading what may be out of date: at once, with its revision and age, and refreshed in the background."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

import incr
from incr import _stale
from incr.testing import Recorder

#: Seconds after which a test that hangs is ended.
PATIENCE = 30.0


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.query
def shout(db: incr.View, name: str) -> str:
    return db[Text, name].text.upper()


@incr.query
async def ashout(db: incr.View, name: str) -> str:
    return shout(db, name)


class Clock:
    """The monotonic clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(_stale, "monotonic", made)
    return made


class Refreshed:
    """Lets a test wait until a call has run in the background."""

    def __init__(self, db: incr.Database, query: str) -> None:
        self._query = query
        self._done = threading.Event()
        db.subscribe(self._hear)

    def _hear(self, event: incr.Event) -> None:
        if isinstance(event, incr.QueryExecuted) and event.query == self._query:
            self._done.set()

    def wait(self) -> None:
        assert self._done.wait(PATIENCE)


@pytest.mark.spec("stale.value")
@pytest.mark.spec("stale.age")
def test_a_good_answer_is_as_old_as_nothing(db: incr.Database, ran: Recorder) -> None:
    revision = db.set(Text("a", text="x"))
    assert db.stale(shout, "a", max_age=0) == ("X", revision, 0.0)
    assert ran.take() == ["shout('a')"]
    newer = db.set(Text("other", text="y"))
    assert db.stale(shout, "a", max_age=0) == incr.Stale("X", newer, 0.0)
    assert ran.take() == []


@pytest.mark.spec("stale.value")
@pytest.mark.spec("stale.age")
def test_an_old_answer_comes_at_once_and_is_refreshed_behind(db: incr.Database, clock: Clock) -> None:
    first = db.set(Text("a", text="x"))
    assert db.stale(shout, "a", max_age=5).value == "X"
    refreshed = Refreshed(db, "shout")
    db.set(Text("a", text="y"))
    clock.now += 3
    db.set(Text("a", text="z"))
    clock.now += 1
    assert db.stale(shout, "a", max_age=5) == ("X", first, 4.0)
    refreshed.wait()
    assert shout(db, "a") == "Z"
    assert db.stale(shout, "a", max_age=0) == ("Z", db.revision, 0.0)


@pytest.mark.spec("stale.age")
def test_an_answer_that_is_too_old_is_brought_up_to_date_first(db: incr.Database, ran: Recorder, clock: Clock) -> None:
    db.set(Text("a", text="x"))
    db.stale(shout, "a", max_age=5)
    db.set(Text("a", text="y"))
    clock.now += 6
    assert ran.take() == ["shout('a')"]
    assert db.stale(shout, "a", max_age=5) == ("Y", db.revision, 0.0)
    assert ran.take() == ["shout('a')"]


@pytest.mark.spec("stale.age")
def test_what_was_written_before_the_first_stale_read_is_of_unknown_age(db: incr.Database, ran: Recorder) -> None:
    db.set(Text("a", text="x"))
    shout(db, "a")
    db.set(Text("a", text="y"))
    assert db.stale(shout, "a", max_age=1e9).value == "Y"
    assert ran.take() == ["shout('a')"] * 2


@pytest.mark.spec("stale.age")
def test_the_times_of_old_writes_are_forgotten(
    db: incr.Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stale, "_REMEMBERED", 10)
    db.set(Text("a", text="x"))
    db.stale(shout, "a", max_age=5)
    db.set(Text("a", text="y"))
    for number in range(11):
        db.set(Text("other", text=str(number)))
    assert len(db._graph.staleness.times) <= 10
    assert db.stale(shout, "a", max_age=1e9).value == "Y"


@pytest.mark.spec("stale.age")
def test_a_loaded_answer_that_is_not_good_any_more_is_too_old(tmp_path: Path, ran: Recorder) -> None:
    before = incr.Database()
    before.set(Text("a", text="x"))
    shout(before, "a")
    before.save(tmp_path / "state")
    db = incr.Database()
    assert db.load(tmp_path / "state")
    with Recorder(db) as recorder:
        assert db.stale(shout, "a", max_age=0) == ("X", db.revision, 0.0)
        assert recorder.take() == []
        db.set(Text("a", text="y"))
        assert db.stale(shout, "a", max_age=0).value == "Y"
    other = incr.Database()
    assert other.load(tmp_path / "state")
    other.set(Text("a", text="z"))
    assert other.stale(shout, "a", max_age=1e9).value == "Z"


@pytest.mark.spec("stale.value")
def test_an_error_is_raised_and_what_comes_after_it_is_told_next_time(db: incr.Database) -> None:
    db.set(Text("other", text=""))
    with pytest.raises(incr.MissingInputError):
        db.stale(shout, "a", max_age=60)
    refreshed = Refreshed(db, "shout")
    db.set(Text("a", text="x"))
    with pytest.raises(incr.MissingInputError):
        db.stale(shout, "a", max_age=60)
    refreshed.wait()
    assert shout(db, "a") == "X"
    refreshed = Refreshed(db, "shout")
    db.remove(Text, "a")
    assert db.stale(shout, "a", max_age=60).value == "X"
    refreshed.wait()
    with pytest.raises(incr.MissingInputError):
        shout(db, "a")
    with pytest.raises(incr.MissingInputError):
        db.stale(shout, "a", max_age=60)


@pytest.mark.spec("stale.value")
def test_one_refresh_at_a_time(db: incr.Database) -> None:
    started, go_on = threading.Event(), threading.Event()
    runs: list[str] = []

    @incr.query
    def slow(db: incr.View, name: str) -> str:
        runs.append(db[Text, name].text)
        if len(runs) > 1:
            started.set()
            assert go_on.wait(PATIENCE)
        return runs[-1]

    db.set(Text("a", text="1"))
    assert db.stale(slow, "a", max_age=60).value == "1"
    db.set(Text("a", text="2"))
    assert [db.stale(slow, "a", max_age=60).value for _ in range(5)] == ["1"] * 5
    assert started.wait(PATIENCE)
    go_on.set()
    assert slow(db, "a") == "2"
    assert runs == ["1", "2"]


@pytest.mark.spec("stale.value")
@pytest.mark.spec("loop.both")
@pytest.mark.anyio
async def test_an_awaited_answer_is_refreshed_by_a_task(db: incr.Database) -> None:
    db.set(Text("a", text="x"))
    assert (await db.stale(ashout, "a", max_age=60)).value == "X"
    db.set(Text("a", text="y"))
    with Recorder(db) as recorder:
        found = await db.stale(ashout, "a", max_age=60)
        assert found.value == "X"
        assert found.age > 0.0
        assert recorder.take() == []
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert recorder.take() == ["shout('a')", "ashout('a')"]
    assert (await db.stale(ashout, "a", max_age=0)).value == "Y"


@pytest.mark.spec("stale.query")
def test_a_query_cannot_read_what_may_be_out_of_date(db: incr.Database) -> None:
    @incr.query
    def wrong(view: incr.View) -> str:
        return db.stale(shout, "a", max_age=60).value

    db.set(Text("a", text="x"))
    with pytest.raises(incr.IncrError, match=r"wrong\(\) is a query and cannot read what may be out of date"):
        wrong(db)


@pytest.mark.spec("stale.age")
@pytest.mark.parametrize("age", [-1, "5", None, float("nan"), True])
def test_a_wrong_age_is_named(db: incr.Database, age: Any) -> None:
    with pytest.raises(TypeError, match=r"stale\(max_age=...\) wants a number of seconds"):
        db.stale(shout, "a", max_age=age)


@pytest.mark.spec("stale.value")
def test_what_fails_in_the_background_and_is_no_outcome_is_raised_by_the_next_read(db: incr.Database) -> None:
    ended = threading.Event()
    runs: list[int] = []

    @incr.query
    def hungry(db: incr.View) -> str:
        runs.append(1)
        if len(runs) == 2:
            raise MemoryError("too much")
        return db[Text, "a"].text

    def hear(event: incr.Event) -> None:
        if isinstance(event, incr.QueryCancelled):
            ended.set()

    db.set(Text("a", text="x"))
    assert db.stale(hungry, max_age=60).value == "x"
    db.subscribe(hear)
    db.set(Text("a", text="y"))
    assert db.stale(hungry, max_age=60).value == "x"
    assert ended.wait(PATIENCE)
    while db._graph.staleness.refreshing:
        assert ended.wait(PATIENCE)
    with pytest.raises(MemoryError, match="too much"):
        db.stale(hungry, max_age=60)
    assert hungry(db) == "y"
    assert db.stale(hungry, max_age=0).value == "y"
