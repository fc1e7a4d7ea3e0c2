"""A wrong declaration is refused where it stands, with what is wrong and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import incr

wrong_input: Any = incr.input
wrong_interned: Any = incr.interned
wrong_query: Any = incr.query
wrong_key: Any = incr.key
wrong_field: Any = incr.field
unhashable: Any = ["a"]


def function(db: incr.View) -> int:
    return 1


@dataclasses.dataclass
class Data:
    x: int


class Callable_:  # noqa: N801 - an object that can be called, not a class to use
    def __call__(self, db: incr.View) -> int:
        return 1


def generator(db: incr.View) -> Iterator[int]:
    yield 1


async def async_generator(db: incr.View) -> AsyncIterator[int]:
    yield 1


def no_parameter() -> int:
    return 1


def only_starred(*args: object) -> int:
    return 1


def only_keyword(*, db: incr.View) -> int:
    return 1


def optional_first(db: incr.View | None = None, x: int = 1) -> int:
    return x


class Keyed:
    x: int = incr.key()


class Unordered:
    x: int = incr.key(default=1)
    y: int


@pytest.mark.spec("declare.input", "declare.interned")
@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: wrong_input(function), r"@incr\.input decorates a class, not <function"),
        (lambda: wrong_input(durability=incr.Durability.LOW)(3), r"@incr\.input decorates a class, not 3"),
        (lambda: wrong_input(Data), r"Data is a data class or record already; @incr\.input alone makes it one"),
        (lambda: wrong_input(wrong_input(type("Twice", (), {}))), r"Twice is a data class or record already"),
        (lambda: wrong_input(durability=2)(Unordered), r"durability is one of incr\.Durability\.LOW, .* not 2"),
        (lambda: wrong_input(durability="HIGH")(Data), r"incr\.Durability\.LOW, MEDIUM, HIGH, not 'HIGH'"),
        (lambda: wrong_input(Unordered), r"non-default argument 'y'"),
        (lambda: wrong_interned(function), r"@incr\.interned decorates a class, not <function"),
        (lambda: wrong_interned(Data), r"Data is a data class or record already; @incr\.interned alone"),
        (lambda: wrong_interned(Keyed), r"Keyed: an interned value is its own key; use plain fields, not"),
    ],
)
def test_a_class_that_is_no_record(declare: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        declare()


@pytest.mark.spec("declare.key", "declare.input")
@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: wrong_key(factory=list), r"incr\.key\(\) takes default= only, not factory"),
        (lambda: wrong_field(), r"incr\.field\(\) takes either default= or factory="),
        (lambda: wrong_field(default=1, factory=list), r"incr\.field\(\) takes either default= or factory="),
        (lambda: wrong_field(key=True), r"incr\.field\(\) takes either default= or factory="),
    ],
)
def test_a_field_that_is_none(declare: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        declare()


@pytest.mark.spec("declare.query")
@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: wrong_query(Data), r"@incr\.query decorates a def or async def function, not <class"),
        (lambda: wrong_query(Callable_()), r"@incr\.query decorates a def or async def function"),
        (lambda: wrong_query(staticmethod(function)), r"@incr\.query decorates a def or async def function"),
        (lambda: wrong_query(len), r"@incr\.query decorates a def or async def function, not <built-in"),
        (lambda: wrong_query()("words"), r"@incr\.query decorates a def or async def function, not 'words'"),
        (lambda: wrong_query(wrong_query(function)), r"function\(\) is a query already"),
        (lambda: wrong_query(generator), r"generator\(\) is a generator.*return a tuple"),
        (lambda: wrong_query(async_generator), r"async_generator\(\) is a generator.*return a tuple"),
        (lambda: wrong_query(no_parameter), r"no_parameter\(\) needs a first parameter.*def no_parameter\(db"),
        (lambda: wrong_query(only_starred), r"only_starred\(\) needs a first parameter"),
        (lambda: wrong_query(only_keyword), r"only_keyword\(\) needs a first parameter"),
        (lambda: wrong_query(optional_first), r"first parameter of the query optional_first\(\) cannot have a default"),
        (lambda: wrong_query(name=""), r"@incr\.query\(name=\.\.\.\) wants a non-empty string, not ''"),
        (lambda: wrong_query(name=3), r"@incr\.query\(name=\.\.\.\) wants a non-empty string, not 3"),
        (lambda: wrong_query(version="2"), r"@incr\.query\(version=\.\.\.\) wants an int, not '2'"),
        (lambda: wrong_query(version=True), r"@incr\.query\(version=\.\.\.\) wants an int, not True"),
        (lambda: wrong_query(eq=True), r"@incr\.query\(eq=\.\.\.\) wants a function of two values, or False, not True"),
        (lambda: wrong_query(persist=1), r"@incr\.query\(persist=\.\.\.\) wants True or False, not 1"),
        (lambda: wrong_query(sticky=True), r"sticky"),
    ],
)
def test_a_function_that_is_no_query(declare: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        declare()


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input
class Cell:
    sheet: str = incr.key()
    row: int = incr.key()


@incr.input
class Settings:
    root: str


@incr.interned
class Symbol:
    name: str


@incr.query
def query(db: incr.View) -> int:
    return 1


@pytest.mark.spec("read.slot", "declare.key", "declare.singleton")
@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda db: db[Data], r"Data'> is not a class declared with @incr\.input"),
        (lambda db: db["Source", "a"], r"'Source' is not a class declared with @incr\.input"),
        (lambda db: db[Symbol], r"Symbol'> is not a class declared with @incr\.input"),
        (lambda db: db[Source("a", "x")], r"Source\(path='a', text='x'\) is not a class declared with @incr\.input"),
        (lambda db: db[query], r"is not a class declared with @incr\.input"),
        (lambda db: db[Source, "a", "b"], r"a slot is a record class, or \(record class, key\).*db\[Record, \("),
        (lambda db: db[Settings, "a"], r"Settings is a singleton: ask for db\[Settings\], without a key"),
        (lambda db: db[Cell], r"Cell has the key fields sheet, row: ask for db\[Cell, key\]"),
        (lambda db: db[Cell, "s"], r"the key of Cell is the tuple \(sheet, row\), not 's'"),
        (lambda db: db[Cell, ("s", 1, 2)], r"the key of Cell is the tuple \(sheet, row\), not \('s', 1, 2\)"),
        (lambda db: db[Source, ["a"]], r"\['a'\] cannot be a key of Source: .*unhashable"),
        (lambda db: db[Source], r"Source has the key field.*path.*db\[Source, key\]"),
        (lambda db: Source in db, r"Source has the key field.*path"),
        (lambda db: db.get(Source), r"Source has the key field.*path"),
        (lambda db: db.remove(Source), r"Source has the key field.*path"),
        (lambda db: db.get(Data, 1), r"is not a class declared with @incr\.input"),
        (lambda db: (Source, {}) in db, r"\{\} cannot be a key of Source"),
        (lambda db: db.keys(Source("a", "x")), r"is not a class declared with @incr\.input"),
        (lambda db: db.keys(Symbol), r"is not a class declared with @incr\.input"),
        (lambda db: db.intern(Source("a", "x")), r"only instances of @incr\.interned classes can be interned, not S"),
        (lambda db: db.intern("a"), r"only instances of @incr\.interned classes can be interned, not 'a'"),
        (lambda db: db.intern(Symbol(unhashable)), r"Symbol\(name=\['a'\]\) cannot be interned: .*unhashable"),
        (lambda db: db.untracked(""), r"untracked\(\) wants the reason as a non-empty string, not ''"),
        (lambda db: db.untracked(None), r"untracked\(\) wants the reason as a non-empty string, not None"),
    ],
)
def test_a_wrong_question(db: incr.Database, ask: Callable[[Any], object], said: str) -> None:
    db.set(Source("a", "x"))
    with pytest.raises(TypeError, match=said):
        ask(db)

    @incr.query
    def inside(db: incr.View) -> None:
        ask(db)

    if "remove" not in ask.__code__.co_names:  # a query's `db` has no such method
        with pytest.raises(TypeError, match=said):
            inside(db)
    db.check_invariant()


@pytest.mark.spec("write.set", "write.remove", "declare.key")
@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda db: db.set("a"), r"'a' is not a record of a class declared with @incr\.input"),
        (lambda db: db.set(Data(1)), r"Data\(x=1\) is not a record of a class declared with @incr\.input"),
        (lambda db: db.set(Symbol("a")), r"is not a record of a class declared with @incr\.input"),
        (lambda db: db.set(Source), r"is not a record of a class declared with @incr\.input \(give the class, not"),
        (lambda db: db.set(Source(unhashable, "x")), r"the key of Source\(path=\['a'\], text='x'\) is not hashable"),
        (lambda db: db.set(Source("a", "x"), durability=1), r"incr\.Durability\.LOW, MEDIUM, HIGH, not 1"),
        (lambda db: db.remove(Source("a", "x"), "a"), r"is not a class declared with @incr\.input"),
        (lambda db: db.remove(Settings, "a"), r"Settings is a singleton"),
        (lambda db: db.subscribe(3), r"subscribe\(\) wants a function of one event, not 3"),
        (lambda db: db.explain(len), r"is not a function declared with @incr\.query"),
        (lambda db: db.explain(query, 1), r"positional argument"),
    ],
)
def test_a_wrong_write_changes_nothing(db: incr.Database, write: Callable[[Any], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        write(db)
    assert db.revision == 0


@pytest.mark.spec("declare.query")
@pytest.mark.parametrize("wrong", ["a", None, 3, Source("a", "x")])
def test_a_query_wants_a_view_first(wrong: Any) -> None:
    said = r"query\(\) wants a database, a snapshot or a query's `db` as its first argument, not "
    with pytest.raises(TypeError, match=said + type(wrong).__name__):
        query(wrong)


@pytest.mark.spec("write.batch")
def test_a_wrong_write_in_a_batch_discards_it(db: incr.Database) -> None:
    batch: Any
    with pytest.raises(TypeError, match=r"is not a record"), db.batch() as batch:
        batch.set(Source("a", "x"))
        batch.set("a")
    assert db.revision == 0
    with pytest.raises(TypeError, match=r"Settings is a singleton"), db.batch() as batch:
        batch.set(Source("a", "x"))
        batch.remove(Settings, "a")
    assert db.revision == 0
    assert (Source, "a") not in db


@pytest.mark.spec("declare.input")
def test_a_subclass_of_a_record_is_no_record(db: incr.Database) -> None:
    sub: Any = type("Sub", (Source,), {})
    with pytest.raises(TypeError, match=r"is not a record of a class declared with @incr\.input"):
        db.set(sub("a", "x"))
