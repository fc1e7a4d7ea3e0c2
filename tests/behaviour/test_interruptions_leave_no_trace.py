"""`KeyboardInterrupt` and its kin are not outcomes of sync queries either: nothing is stored."""

from __future__ import annotations

import pytest

import incr
from incr.testing import Recorder
from tasks import no_trace


@incr.input
class Source:
    path: str = incr.key()
    text: str


class Stop(BaseException):
    pass


KINDS = [KeyboardInterrupt, SystemExit, GeneratorExit, Stop, RecursionError, MemoryError]


def make(raising: list[type[BaseException]]) -> tuple[incr.Query[[], str], incr.Query[[], str]]:
    @incr.query
    def inner(db: incr.View) -> str:
        text = db[Source, "a"].text
        if raising:
            raise raising[0]
        return text

    @incr.query
    def outer(db: incr.View) -> str:
        return inner(db).upper()

    return inner, outer


@pytest.mark.spec("error.interrupt")
@pytest.mark.parametrize("kind", KINDS)
def test_a_first_run_that_is_interrupted(db: incr.Database, ran: Recorder, kind: type[BaseException]) -> None:
    raising = [kind]
    inner, outer = make(raising)
    db.set(Source("a", "x"))
    for _ in range(2):
        with pytest.raises(kind) as caught:
            outer(db)
        assert not hasattr(caught.value, "__notes__")
    assert ran.take() == []
    assert db.explain(inner).decision == "never asked"
    assert db.statistics().memos == 0
    assert db.statistics().queries["inner"].cancelled == 2
    no_trace(db)
    raising.clear()
    assert outer(db) == "X"
    assert ran.take() == ["inner()", "outer()"]


@pytest.mark.spec("error.interrupt", "memo.minimal")
@pytest.mark.parametrize("kind", KINDS)
def test_a_later_run_that_is_interrupted_leaves_the_memo_as_it_was(
    db: incr.Database, ran: Recorder, kind: type[BaseException]
) -> None:
    raising = list[type[BaseException]]()
    inner, outer = make(raising)
    db.set(Source("a", "x"))
    assert outer(db) == "X"
    ran.take()
    db.set(Source("a", "y"))
    raising.append(kind)
    with pytest.raises(kind):
        outer(db)
    assert ran.take() == ran.take_verified() == []
    assert [db.explain(query).decision for query in (inner, outer)] == ["suspect", "suspect"]
    assert [int(db.explain(query).changed_at) for query in (inner, outer)] == [1, 1]
    assert [int(db.explain(query).verified_at) for query in (inner, outer)] == [1, 1]
    no_trace(db)
    raising.clear()
    db.set(Source("b", "unrelated"))
    assert outer(db) == "Y"
    assert ran.take() == ["inner()", "outer()"]


@pytest.mark.spec("error.interrupt", "error.handled")
def test_a_body_that_handles_an_interrupt_goes_on(db: incr.Database, ran: Recorder) -> None:
    raising: list[type[BaseException]] = [Stop]
    inner, _ = make(raising)

    @incr.query
    def stubborn(db: incr.View) -> str:
        try:
            return inner(db)
        except Stop:
            return "stopped"

    db.set(Source("a", "x"))
    assert stubborn(db) == "stopped"
    assert ran.take() == ["stubborn()"]
    raising.clear()
    assert stubborn(db) == "stopped"  # the body has said that this is its answer
    assert inner(db) == "x"
    no_trace(db)


@pytest.mark.spec("error.interrupt", "frame.finished")
def test_the_frame_of_an_interrupted_call_has_ended(db: incr.Database) -> None:
    kept = list[incr.View]()

    @incr.query
    def interrupted(view: incr.View) -> None:
        kept.append(view)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(db)
    with pytest.raises(incr.FinishedFrameError):
        kept[0].get(Source, "a")
    db.set(Source("a", "x"))  # nothing runs any more, so writing is fine
    assert db.revision == 1


@pytest.mark.spec("error.interrupt", "history.snapshot")
def test_an_interrupted_read_of_a_snapshot(db: incr.Database, ran: Recorder) -> None:
    raising: list[type[BaseException]] = [KeyboardInterrupt]
    _, outer = make(raising)
    db.set(Source("a", "x"))
    with db.snapshot() as view:
        db.set(Source("a", "y"))
        with pytest.raises(KeyboardInterrupt):
            outer(view)
        raising.clear()
        assert (outer(view), outer(db)) == ("X", "Y")
    no_trace(db)


@pytest.mark.spec("error.interrupt", "event.order")
def test_an_interruption_is_told(db: incr.Database) -> None:
    raising: list[type[BaseException]] = [Stop]
    _, outer = make(raising)
    db.set(Source("a", "x"))
    events = list[incr.Event]()
    with db.subscribe(events.append), pytest.raises(Stop):
        outer(db)
    assert events == [incr.QueryCancelled("inner", ()), incr.QueryCancelled("outer", ())]


@pytest.mark.spec("error.interrupt", "call.unhashable")
def test_an_interrupt_out_of_a_comparison_leaves_no_trace(db: incr.Database, ran: Recorder) -> None:
    stops = [False]

    class Value:
        def __eq__(self, other: object) -> bool:
            if stops[0]:
                raise KeyboardInterrupt
            return True

        __hash__ = None  # type: ignore[assignment]  # it is never hashed

    @incr.query
    def made(db: incr.View) -> Value:
        len(db[Source, "a"].text)
        return Value()

    db.set(Source("a", "x"))
    first = made(db)
    db.set(Source("a", "y"))
    stops[0] = True
    with pytest.raises(KeyboardInterrupt):
        made(db)
    no_trace(db)
    stops[0] = False
    assert made(db) is first
    assert ran.take() == ["made()"] * 2
    assert ran.take_backdated() == ["made()"]
