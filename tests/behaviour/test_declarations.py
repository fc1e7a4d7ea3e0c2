"""Inputs, keys, singletons, interned values and queries: what a declaration makes."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from typing import Any

import pytest

import incr
from incr.testing import Recorder


@incr.input
class Source:
    """One file."""

    path: str = incr.key()
    text: str
    encoding: str = "utf-8"

    def lines(self) -> list[str]:
        return self.text.splitlines()


@incr.input
class Cell:
    sheet: str = incr.key()
    row: int = incr.key()
    value: object = incr.field(default=None)


@incr.input(durability=incr.Durability.HIGH)
class Settings:
    root: str
    flags: tuple[str, ...] = incr.field(factory=tuple)


@incr.interned
class Symbol:
    name: str
    space: str = ""


@pytest.mark.spec("declare.input")
def test_a_record_is_made_by_position_and_by_name() -> None:
    one = Source("a", "text")
    assert (one.path, one.text, one.encoding) == ("a", "text", "utf-8")
    assert one == Source(path="a", text="text") == Source("a", text="text", encoding="utf-8")
    assert repr(one) == "Source(path='a', text='text', encoding='utf-8')"
    assert one.lines() == ["text"]
    assert Source.__doc__ == "One file."
    with pytest.raises(TypeError, match="text"):
        Source("a")  # type: ignore[call-arg]  # wrong on purpose


@pytest.mark.spec("declare.input")
def test_records_are_equal_by_class_and_fields() -> None:
    @incr.input
    class Other:
        path: str = incr.key()
        text: str
        encoding: str = "utf-8"

    assert Source("a", "x") != Source("a", "y")
    other: Any = Other("a", "x")
    assert Source("a", "x") != other
    assert hash(Source("a", "x")) == hash(Source("a", "x"))


@pytest.mark.spec("declare.input")
def test_a_record_is_frozen_and_slotted() -> None:
    record: Any = Source("a", "x")
    with pytest.raises(AttributeError):
        record.text = "y"
    with pytest.raises(AttributeError):
        del record.text
    with pytest.raises((AttributeError, TypeError)):
        record.new = 1
    assert not hasattr(record, "__dict__")
    assert record.text == "x"


@pytest.mark.spec("declare.input")
def test_a_factory_makes_a_default_for_each_record() -> None:
    @incr.input
    class Bag:
        items: list[int] = incr.field(factory=list)

    assert Bag() == Bag([])
    assert Bag().items is not Bag().items


@pytest.mark.spec("declare.input")
def test_a_record_is_a_data_class(db: incr.Database) -> None:
    record = Source("a", "x")
    assert [field.name for field in dataclasses.fields(Source)] == ["path", "text", "encoding"]
    assert dataclasses.replace(record, text="y") == Source("a", "y")
    db.set(record)
    db.set(dataclasses.replace(db[Source, "a"], text="z"))
    assert db[Source, "a"].text == "z"


@pytest.mark.spec("declare.input")
def test_a_record_can_be_pickled_and_copied() -> None:
    record = Source("a", "x")
    assert pickle.loads(pickle.dumps(record)) == record
    assert pickle.loads(pickle.dumps(Symbol("a"))) == Symbol("a")


@pytest.mark.spec("declare.input")
def test_a_record_belongs_to_no_database_until_it_is_set() -> None:
    record = Source("a", "x")
    one, two = incr.Database(), incr.Database()
    one.set(record)
    assert (Source, "a") in one
    assert (Source, "a") not in two
    two.set(record)
    assert one[Source, "a"] is two[Source, "a"] is record


@pytest.mark.spec("declare.key")
def test_one_key_field_is_the_key(db: incr.Database) -> None:
    db.set(Source("a", "x"))
    db.set(Source("b", "y"))
    db.set(Source("a", "z"))
    assert (db[Source, "a"].text, db[Source, "b"].text) == ("z", "y")
    assert list(db.keys(Source)) == ["a", "b"]


@pytest.mark.spec("declare.key")
def test_several_key_fields_are_their_tuple_in_order(db: incr.Database) -> None:
    db.set(Cell("s", 1, "x"))
    db.set(Cell("s", 2, "y"))
    db.set(Cell("t", 1))
    assert db[Cell, ("s", 2)].value == "y"
    assert db[Cell, ("t", 1)].value is None
    assert (Cell, (1, "s")) not in db
    assert list(db.keys(Cell)) == [("s", 1), ("s", 2), ("t", 1)]
    db.remove(Cell, ("s", 1))
    assert list(db.keys(Cell)) == [("s", 2), ("t", 1)]


@pytest.mark.spec("declare.key")
def test_a_key_may_have_a_default_and_stand_anywhere(db: incr.Database) -> None:
    @incr.input
    class Option:
        value: int
        name: str = incr.key(default="main")

    db.set(Option(1))
    db.set(Option(2, "other"))
    assert (db[Option, "main"].value, db[Option, "other"].value) == (1, 2)


@pytest.mark.spec("declare.key", "call.exact")
@pytest.mark.parametrize("other", [True, 1.0])
def test_keys_are_compared_exactly(db: incr.Database, other: object) -> None:
    @incr.input
    class Row:
        number: object = incr.key()
        text: str

    db.set(Row(1, "one"))
    assert (Row, other) not in db
    db.set(Row(other, "other"))
    assert (db[Row, 1].text, db[Row, other].text) == ("one", "other")
    assert [(type(key), key) for key in db.keys(Row)] == sorted([(int, 1), (type(other), other)], key=str)
    db.remove(Row, other)
    assert [type(key) for key in db.keys(Row)] == [int]


@pytest.mark.spec("declare.key")
def test_a_tuple_may_be_the_one_key(db: incr.Database) -> None:
    @incr.input
    class Path:
        parts: tuple[str, ...] = incr.key()
        text: str

    db.set(Path(("a", "b"), "x"))
    db.set(Path((), "root"))
    assert db[Path, ("a", "b")].text == "x"
    assert db[Path, ()].text == "root"
    assert list(db.keys(Path)) == [(), ("a", "b")]


@pytest.mark.spec("declare.singleton")
def test_a_class_without_a_key_has_one_slot(db: incr.Database) -> None:
    assert Settings not in db
    assert db.get(Settings) is None
    db.set(Settings("one"))
    db.set(Settings("two"))
    assert Settings in db
    assert db[Settings] == Settings("two", ())
    assert db[Settings, ()] is db[Settings]
    assert list(db.keys(Settings)) == [()]
    db.remove(Settings)
    assert Settings not in db
    assert list(db.keys(Settings)) == []


@pytest.mark.spec("declare.interned")
def test_an_interned_value_is_a_frozen_hashable_record(db: incr.Database, ran: Recorder) -> None:
    value: Any = Symbol("a")
    assert value == Symbol(name="a", space="")
    assert value != Symbol("a", "b")
    assert hash(value) == hash(Symbol("a"))
    assert repr(value) == "Symbol(name='a', space='')"
    with pytest.raises(AttributeError):
        value.name = "b"

    @incr.query
    def name(db: incr.View, symbol: Symbol) -> tuple[Symbol, str]:
        return symbol, symbol.name

    assert name(db, value) == (value, "a")
    assert name(db, Symbol("a")) is name(db, db.intern(Symbol("a")))
    assert ran.take() == ["name(Symbol(name='a', space=''))"]


@pytest.mark.spec("declare.query")
def test_a_query_is_a_function_that_looks_like_the_one_it_was_made_of() -> None:
    def words(db: incr.View, path: str, *, limit: int = 3) -> tuple[str, ...]:
        """The words of a file."""
        return (path,) * limit

    query = incr.query(words)
    assert inspect.isfunction(query)
    assert (query.__name__, query.__qualname__, query.__module__) == (
        words.__name__,
        words.__qualname__,
        words.__module__,
    )
    assert query.__doc__ == "The words of a file."
    assert inspect.signature(query) == inspect.signature(words)

    async def later(db: incr.View) -> int:
        return 1

    coroutine: Any = incr.query(later)(incr.Database())
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


@pytest.mark.spec("declare.query")
def test_options_are_accepted_and_a_name_replaces_the_functions(db: incr.Database, ran: Recorder) -> None:
    @incr.query(name="letters", version=2, eq=None, persist=False)
    def chars(db: incr.View, text: str) -> tuple[str, ...]:
        return tuple(text)

    @incr.query()
    def plain(db: incr.View) -> int:
        return 1

    assert chars(db, "ab") == ("a", "b")
    assert plain(db) == 1
    assert ran.take() == ["letters('ab')", "plain()"]
    assert db.explain(chars, "ab").call == "letters('ab')"


@pytest.mark.spec("declare.query", "frame.databases")
def test_a_query_memoises_in_the_database_that_it_is_given(ran: Recorder, db: incr.Database) -> None:
    @incr.query
    def text(db: incr.View) -> str:
        return db[Source, "a"].text

    other = incr.Database()
    db.set(Source("a", "one"))
    other.set(Source("a", "two"))
    assert (text(db), text(other), text(db)) == ("one", "two", "one")
    assert ran.take() == ["text()"]


@pytest.mark.spec("declare.query")
def test_queries_of_one_name_in_two_places_are_two_queries(db: incr.Database) -> None:
    def make(answer: int) -> incr.Query[[], int]:
        @incr.query
        def query(db: incr.View) -> int:
            return answer

        return query

    assert [make(1)(db), make(2)(db)] == [1, 2]


@pytest.mark.spec("declare.query")
def test_any_parameters_that_a_function_can_have(db: incr.Database) -> None:
    @incr.query
    def every(db: incr.View, one: int, /, two: int, three: int = 3, *rest: int, four: int, **more: int) -> Any:
        return one, two, three, rest, four, more

    assert every(db, 1, 2, four=4) == (1, 2, 3, (), 4, {})
    assert every(db, 1, 2, 0, 7, 8, four=4, six=6) == (1, 2, 0, (7, 8), 4, {"six": 6})
    with pytest.raises(TypeError, match="four"):
        every(db, 1, 2)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(TypeError, match="one"):
        every(db, one=1, two=2, four=4)  # type: ignore[call-arg]  # wrong on purpose

    @incr.query
    def keyword_only(db: incr.View, *, x: int, y: int = 5) -> int:
        return x + y

    assert (keyword_only(db, x=1), keyword_only(db, y=1, x=1)) == (6, 2)

    double: Any = incr.query(lambda db, x: 2 * x)
    assert double(db, 4) == 8


@pytest.mark.spec("declare.query")
def test_names_of_parameters_do_not_meet_those_of_builtins(db: incr.Database) -> None:
    @incr.query
    def type(self: incr.View, type: int, sorted: str, str: int, query: int = 0) -> Any:
        return type, sorted, str, query

    assert type(db, 1, "x", 2) == (1, "x", 2, 0)
    assert type(db, 1, sorted="x", str=2, query=3) == (1, "x", 2, 3)


@pytest.mark.spec("declare.durability")
@pytest.mark.parametrize("durability", incr.Durability)
def test_no_answer_depends_on_durability(durability: incr.Durability) -> None:
    @incr.input(durability=durability)
    class Text:
        name: str = incr.key()
        text: str

    @incr.query
    def joined(db: incr.View) -> str:
        return "".join(db[Text, name].text for name in db.keys(Text))

    @incr.query
    def shout(db: incr.View) -> str:
        return joined(db).upper() + ("!" if (Text, "b") in db else "")

    db = incr.Database()
    db.set(Text("a", "x"))
    assert shout(db) == "X"
    db.set(Text("b", "y"))
    assert shout(db) == "XY!"
    db.set(Text("a", "z"))
    assert shout(db) == "ZY!"
    db.remove(Text, "b")
    assert shout(db) == "Z"
    db.check_invariant()
