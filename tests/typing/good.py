"""A right program: type checkers find nothing in it, and know the types that it says it gets."""

from collections.abc import Hashable
from itertools import pairwise
from typing import Any, assert_type

import incr
from incr.codec import Codec
from incr.maintenance import Deleted, Problem, SectionCounts, copy, delete, dump, verify
from incr.maintenance import count as count_rows
from incr.store import Flush, Log, LogReader, MemoryStore, SegmentRange
from incr.store.file_store import FileStore
from incr.store.sqlite_store import SqliteStore


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input(durability=incr.Durability.HIGH)
class Settings:
    root: str
    strict: bool = False
    roots: tuple[str, ...] = incr.field(factory=tuple)


@incr.input
class Edge:
    start: str = incr.key()
    end: str = incr.key()
    weight: float = incr.field(default=1.0)


@incr.interned
class Symbol:
    name: str


@incr.query
def words(db: incr.View, path: str) -> tuple[Symbol, ...]:
    return tuple(db.intern(Symbol(word)) for word in db[Source, path].text.split())


@incr.query(name="count", version=3, eq=False, persist=False)
def count(db: incr.View, path: str, *, least: int = 0) -> int:
    return max(least, len(words(db, path)))


def close(a: float, b: float) -> bool:
    return abs(a - b) < 1e-9


@incr.query(eq=close)
async def weight(db: incr.View, /, *path: str, **more: float) -> float:
    return sum(db[Edge, pair].weight for pair in pairwise(path)) + sum(more.values())


warnings = incr.Accumulator[str]("warnings")


@incr.query
def checked(db: incr.View, path: str) -> int:
    warnings.push(db, path)
    return len(warnings.of(db, words, path))


async def collect(view: incr.View) -> None:
    assert_type(warnings.of(view, checked, "a"), tuple[str, ...])
    assert_type(warnings.of(view, count, path="a", least=1), tuple[str, ...])
    assert_type(await warnings.of(view, weight, "a", b=1.0), tuple[str, ...])


@incr.query(lru=100)
def length(db: incr.View, path: str) -> int:
    return len(db[Source, path].text)


@incr.query
async def distance(db: incr.View, path: str) -> float:
    return float(length(db, path))


def total(parts: tuple[int, ...]) -> int:
    return sum(parts)


def longest(parts: tuple[float, ...]) -> float:
    return max(parts, default=0.0)


@incr.query
async def together(db: incr.View) -> float:
    assert_type(await incr.map(db, length, ["a", "b"]), list[int])
    assert_type(await incr.map(db, distance, ("a", "b"), limit=2), list[float])
    assert_type(await incr.gather(db, distance(db, "a"), reached(db, "b")), tuple[float, frozenset[str]])
    assert_type(incr.fold(db, length, ["a", "b"], total), int)
    return await incr.fold(db, distance, ["a", "b"], longest)


async def late(db: incr.Database) -> None:
    assert_type(db.stale(length, "a", max_age=1.0), incr.Stale[int])
    answer = await db.stale(distance, "a", max_age=2)
    assert_type(answer, incr.Stale[float])
    assert_type(answer.value, float)
    assert_type(answer.age, float)
    try:
        async with incr.latest(db) as view:
            assert_type(view, incr.Snapshot)
            assert_type(await together(view), float)
    except incr.SupersededError:
        pass


def limited() -> incr.Database:
    return incr.Database(max_memory=1 << 30, max_state_bytes=1 << 20)


@incr.query(on_cycle=None)
def parent(db: incr.View, name: str) -> str | None:
    return parent(db, name)


def union(before: frozenset[str], new: frozenset[str]) -> frozenset[str]:
    return before | new


@incr.query(cycle_initial=frozenset(), cycle_join=union)
async def reached(db: incr.View, name: str) -> frozenset[str]:
    return await reached(db, name) | {name}


def read(view: incr.View) -> None:
    assert_type(view[Settings], Settings)
    assert_type(view[Source, "a"], Source)
    assert_type(view.get(Settings), Settings | None)
    assert_type(view.get(Source, "a"), Source | None)
    assert_type(view.get(Source, "a", 3), Source | int)
    assert_type((Source, "a") in view, bool)
    assert_type(Settings in view, bool)
    assert_type(view.intern(Symbol("a")), Symbol)
    assert_type(view.revision, incr.Revision)
    assert_type(words(view, "a"), tuple[Symbol, ...])
    assert_type(count(view, path="a", least=2), int)
    view.untracked("the clock")
    for _ in view.keys(Source):
        pass


def write(db: incr.Database) -> None:
    assert_type(db.set(Source("a", text="b")), incr.Revision)
    assert_type(db.set(Settings(root="."), durability=incr.Durability.LOW), incr.Revision)
    assert_type(db.remove(Source, "a"), incr.Revision)
    with db.batch() as batch:
        batch.set(Edge("a", "b"))
        batch.set(Edge(start="a", end="b", weight=2.0))
        batch.remove(Edge, ("a", "b"))
        batch.remove(Settings)
    with db.snapshot() as snapshot:
        assert_type(snapshot, incr.Snapshot)
        read(snapshot)
        with snapshot.fork() as fork:
            assert_type(fork, incr.Database)
            assert_type(fork.set(Source("a", text="c")), incr.Revision)
            read(fork)
        fork.close()
    read(db)


async def wait(db: incr.Database) -> None:
    assert_type(await weight(db, "a", "b", c=1.0), float)
    async with db.events() as events:
        async for event in events:
            assert_type(event, incr.Event)
            break


def look(db: incr.Database, seen: list[str]) -> None:
    db.explain(count, "a", least=2)
    db.explain(weight, "a", "b")

    def notice(event: incr.Event) -> None:
        match event:
            case incr.InputSet(record, key, revision):
                assert_type(record, type[Any])
                assert_type(key, Hashable)
                assert_type(revision, incr.Revision)
            case incr.QueryExecuted(query, arguments):
                assert_type(query, str)
                assert_type(arguments, tuple[Hashable, ...])
                seen.append(query)
            case _:
                pass

    db.subscribe(notice).close()


def keep(db: incr.Database) -> None:
    db.save("state.incr", max_bytes=1 << 20)
    assert_type(db.load("state.incr", on_corrupt="quarantine"), bool)


def journal(codec: Codec[Edge | Settings]) -> None:
    with Log("journal", encode=codec.encode, decode=codec.decode, flush=Flush.every(10)) as log:
        assert_type(log.append(Edge("a", "b")), int)
        assert_type(log.append_batch([Settings("."), Edge("b", "c")]), range)
        for number, entry in log.replay(after=1):
            assert_type(number, int)
            assert_type(entry, Edge | Settings)
        assert_type(log.segment_ranges(), list[SegmentRange])
    stopped = LogReader("journal", decode=codec.decode).replay_best_effort().stopped
    assert_type(stopped, incr.CorruptError | None)


def maintain(path: str) -> None:
    memory = MemoryStore().open()
    sqlite = SqliteStore.open(path, mode="ro", durability="interval")
    with FileStore.open(path) as store:
        assert_type(copy(store, memory), int)
        assert_type(count_rows(sqlite, lambda done, total: None), list[SectionCounts])
        problems: list[Problem] = list(verify(memory, deep=True))
        rows: list[dict[str, Any]] = list(dump(store, "words", ("a",), values=True))
        assert_type(delete(store, "words", ("a", 1)), Deleted)
        print(problems, rows)


def handle(error: incr.IncrError) -> str:
    match error:
        case incr.CycleError(path=path):
            return " ".join(name for name, _ in path)
        case incr.CorruptError(path=path, offset=offset):
            return f"{path} at {offset}"
        case incr.MissingInputError(slot=(record, _)):
            return record.__name__
        case _:
            return str(error)
