"""Whatever a database does with its store, each backend says the same: what a plain model says, looking at everything.

One program runs on each backend, with a look at every answer after every step, and openings in between.
"""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from incr import CorruptError, IncrError, StoreError, StoreLockedError
from incr.store import MemoryStore
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits
from incr.store.rows import CALLS, GOOD, NEVER, Content, Delta, Row, SectionInfo, Store
from incr.store.sqlite_store import SqliteStore
from store_programs import Model, Step, check_alike, steps

#: Opens the same place again and again.
Place = Callable[[], Store]


def memory(folder: Path) -> Place:
    return MemoryStore().open


def sqlite(folder: Path) -> Place:
    return lambda: SqliteStore.open(folder / "store.db")


def files(folder: Path) -> Place:
    return lambda: FileStore.open(folder / "store", limits=StoreLimits(segment_bytes=2_000))


BACKENDS: dict[str, Callable[[Path], Place]] = {"memory": memory, "sqlite": sqlite, "files": files}


each_backend = pytest.mark.parametrize("backend", list(BACKENDS))


@contextmanager
def place_of(backend: str) -> Generator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        yield BACKENDS[backend](Path(folder))


def run(place: Place, program: list[Step], store: Store, model: Model) -> None:
    for step in program:
        heard: list[IncrError | None] = []
        number = store.append(model.delta(step), heard.append if step.advance else None)
        assert number == model.last
        check_alike(store, model)
        if step.then == "sync":
            assert store.sync() == model.last
            assert heard == [None] * bool(step.advance)
        elif step.then == "checkpoint":
            store.checkpoint()
        elif step.then == "reopen":
            store.close()
            assert heard == [None] * bool(step.advance)
            store = place()
        else:
            assert store.durable(number, 60)
        check_alike(store, model)
    store.close()


@each_backend
@pytest.mark.spec("store.alike")
@given(program=steps)
def test_a_store_says_what_the_model_says(backend: str, program: list[Step]) -> None:
    with place_of(backend) as place:
        run(place, program, place(), Model())


ONE = SectionInfo(0, CALLS, "one", b"code", ("x",), 2)
ROW = Row(0, b"a", 3, 4, GOOD, ())


def first_delta() -> Delta:
    """A row, and one that depends on it."""
    rows = {0: (ROW, Content(b"1", b"")), 1: (ROW._replace(key=b"b", dependencies=[0]), Content(b"2", b"p"))}
    return Delta(5, [ONE], b"classes", 1, rows, [], [], [])


def empty(revision: int) -> Delta:
    return Delta(revision, [], None, 1, {}, [], [], [])


@each_backend
@pytest.mark.spec("store.alike")
def test_a_row_is_changed_by_what_the_delta_says_and_no_more(backend: str) -> None:
    with place_of(backend) as place:
        store = place()
        assert store.append(first_delta()) == 1
        assert store.row(1) == ROW._replace(key=b"b", dependencies=store.row(1).dependencies)
        store.append(empty(6)._replace(suspect=[1]))
        assert (store.row(1).flags, store.row(1).valid_from) == (0, 4)
        store.append(empty(7)._replace(verified=[1]))
        assert (store.row(1).flags, store.row(1).valid_from, store.content(1)) == (GOOD, 7, Content(b"2", b"p"))
        store.append(empty(7)._replace(rows={1: (Row(0, b"b", 7, NEVER, 0, ()), None)}))
        assert (store.row(1).valid_from, list(store.row(1).dependencies)) == (NEVER, [])
        assert (store.content(1), list(store.dependents(0))) == (Content(b"2", b"p"), [])
        # A key that is free again may be that of a new row in the same delta.
        store.append(empty(8)._replace(rows={2: (ROW, Content(b"3", b""))}, removed=[0]))
        assert (store.find(0, b"a"), list(store.rows_of(0))) == (2, [1, 2])
        for ask in (store.row, store.content):
            with pytest.raises(CorruptError, match="row 0 is not there"):
                ask(0)
        store.close()


@each_backend
@pytest.mark.spec("store.alike")
def test_a_store_is_its_openers_until_it_is_closed(backend: str) -> None:
    with place_of(backend) as place:
        store = place()
        with pytest.raises(StoreLockedError, match="close"):
            place()
        store.append(first_delta())
        store.close()
        store.close()
        for use in (store.head, store.sync, store.checkpoint, lambda: store.find(0, b"a"), lambda: store.row(0)):
            with pytest.raises(StoreError, match="open"):
                use()
        with pytest.raises(StoreError, match="open"):
            store.append(empty(6))
        again = place()
        assert (again.head().last, again.find(0, b"b")) == (1, 1)
        again.close()


@each_backend
@pytest.mark.spec("store.alike", "store.memory")
def test_what_a_backend_can_do_is_said(backend: str) -> None:
    with place_of(backend) as place:
        store = place()
        can = store.capabilities
        assert backend in store.path or str(tempfile.gettempdir()) in store.path
        assert can.durable is (backend != "memory")
        assert can.lazy
        assert not store.wants_checkpoint
        assert (store.append(first_delta()), store.durable(1), store.durable(2, 0.001)) == (1, True, False)
        store.close()


@each_backend
@pytest.mark.spec("store.alike")
def test_what_a_backend_cannot_do_it_refuses(backend: str, tmp_path: Path) -> None:
    with place_of(backend) as place:
        store: Any = place()
        store.append(first_delta())
        if store.capabilities.backup:
            store.backup(tmp_path / "copy")
            copy = type(store).open(tmp_path / "copy")
            assert (copy.row(0), copy.content(1)) == (store.row(0), store.content(1))
            copy.close()
        else:
            with pytest.raises(StoreError, match=r"copy it with incr\.maintenance\.copy"):
                store.backup(tmp_path / "copy")
        store.close()


@each_backend
@pytest.mark.spec("store.finish")
def test_a_delta_that_was_appended_for_later_is_written_when_somebody_asks(backend: str) -> None:
    with place_of(backend) as place:
        store = place()
        heard: queue.SimpleQueue[tuple[int, IncrError | None]] = queue.SimpleQueue()
        tellers = [partial(lambda number, error: heard.put((number, error)), number) for number in range(6)]
        assert store.append(first_delta(), tellers[1], later=True) == 1
        assert store.find(0, b"b") == 1
        store.finish(1)
        assert heard.get(timeout=60) == (1, None)
        store.finish(1)  # once more is fine
        store.append(empty(6), tellers[2], later=True)
        store.wake()
        assert heard.get(timeout=60) == (2, None)
        store.append(empty(7), tellers[3], later=True)
        store.append(empty(8), tellers[4])
        assert [heard.get(timeout=60) for _ in range(2)] == [(3, None), (4, None)]
        store.append(empty(9), tellers[5], later=True)
        store.close()
        assert heard.get_nowait() == (5, None)
        store.finish(5)
        again = place()
        assert again.head().revision == 9
        again.close()
