"""A file that another version of the program has written: what is still right is used, and nothing else is."""

from __future__ import annotations

import enum
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import pytest

import incr
from incr._persist._jobs import save
from stored_program import Program, ingredients, load, make, ran


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def saved(path: Path) -> Path:
    program = make()
    db = incr.Database()
    program.fill(db, a="one two", b="two three four")
    assert program.total(db) == 5
    assert program.ratio(db, "a", 2.0) == 1.0
    db.save(path)
    return path


def without(program: Program, *names: str) -> list[Any]:
    return [ingredient for ingredient in program.ingredients() if ingredient.name not in names]


# --- changed code -------------------------------------------------------------------------------------------------


@pytest.mark.spec("load.code")
def test_memos_of_changed_code_run_again_and_an_equal_result_stops_there(saved: Path) -> None:
    program = make(words_version=1)
    db = load(program, saved)
    with ran(db) as calls:
        assert program.total(db) == 5
    # `total`, `count` and `ratio` name `words`, but its version is its own.
    assert calls == ["words('a')", "words('b')"]
    assert "because of the code of words" in str(db.explain(program.words, "a"))
    with ran(db) as calls:
        db.set(program.source("b", "one"))
        assert program.total(db) == 3
    assert calls == ["words('b')", "count('b')", "total()"]


@pytest.mark.spec("load.code")
def test_what_was_not_asked_for_still_has_to_run_after_the_next_load(saved: Path) -> None:
    program = make(words_version=1)
    db = load(program, saved)
    assert program.count(db, "a") == 2
    db.save(saved)
    later = load(program, saved)
    assert later.revision == db.revision
    with ran(later) as calls:
        assert program.total(later) == 5
    assert calls == ["words('b')"]
    later.save(saved)
    last = load(program, saved)
    with ran(last) as calls:
        assert program.total(last) == 5
    assert calls == []


@pytest.mark.spec("load.code")
def test_code_that_gives_something_else_reaches_what_used_it(path: Path) -> None:
    def program(answer: int) -> list[Any]:
        @incr.query(version=answer)
        def low(db: incr.View) -> int:
            return answer

        @incr.query
        def high(db: incr.View) -> int:
            return -low(db)

        return [low, high]

    first, second = program(1), program(2)
    db = incr.Database()
    assert first[1](db) == -1
    db.save(path)
    for _ in range(2):
        later = load(ingredients(*second), path)
        with ran(later) as calls:
            assert second[1](later) == -2
        assert calls == ["low()", "high()"]
    later.save(path)
    back = load(ingredients(*first), path)
    assert first[1](back) == -1


@pytest.mark.spec("load.code")
def test_a_code_of_the_programs_own_replaces_the_fingerprints(path: Path) -> None:
    old, new = make(), make(words_version=1, count_version=1)
    db = incr.Database()
    old.fill(db, a="one two")
    assert old.total(db) == 2
    save(db._graph, path, code="release 1")
    same = load(new, path, code="release 1")
    with ran(same) as calls:
        assert new.total(same) == 2
    assert calls == []
    other = load(old, path, code="release 2")
    with ran(other) as calls:
        assert old.total(other) == 2
    assert calls == ["words('a')", "count('a')", "total()"]


def test_other_parameters_are_another_query(path: Path) -> None:
    def program(two: bool) -> list[Any]:
        if two:

            @incr.query
            def text(db: incr.View, one: str, other: str) -> str:
                return one + other
        else:

            @incr.query
            def text(db: incr.View, pair: tuple[str, str]) -> str:
                return "pair " + "".join(pair)

        return [text]

    (old,), (new,) = program(True), program(False)
    db = incr.Database()
    assert old(db, "a", "b") == "ab"
    save(db._graph, path, code="one")
    later = load([new.__incr__], path, code="one")
    assert new(later, ("a", "b")) == "pair ab"
    assert [node.key for node in later._graph.tables[new.__incr__.index].values()] == [("a", "b")]


# --- what is not declared -----------------------------------------------------------------------------------------


@pytest.mark.spec("load.unknown")
def test_sections_that_nobody_declares_survive_a_load_and_a_save(saved: Path) -> None:
    program = make()
    before = saved.read_bytes()
    db = load(without(program, "total", "ratio", "Symbol"), saved)
    db.save(saved)
    assert saved.read_bytes() == before
    empty = load([], saved)
    empty.save(saved)
    assert saved.read_bytes() == before
    later = load(program, saved)
    with ran(later) as calls:
        assert program.total(later) == 5
        assert program.ratio(later, "a", 2.0) == 1.0
    assert calls == []


@pytest.mark.spec("load.unknown")
def test_what_changed_meanwhile_reaches_memos_that_nobody_declared(saved: Path) -> None:
    program = make()
    db = load(without(program, "total", "ratio"), saved)
    db.set(program.source("a", "one  two"))
    db.set(program.source("b", "one"))
    assert program.count(db, "a") == 2
    assert program.count(db, "b") == 1
    db.save(saved)
    later = load(program, saved)
    with ran(later) as calls:
        assert program.ratio(later, "a", 2.0) == 1.0
        assert calls == []
        assert program.total(later) == 3
    assert calls == ["total()"]


@pytest.mark.spec("load.unknown")
def test_what_was_written_and_not_looked_at_reaches_them_too(saved: Path) -> None:
    program = make()
    db = load(without(program, "total", "ratio", "count", "words"), saved)
    db.set(program.settings(least=4))
    db.remove(program.source, "a")
    db.save(saved)
    later = load(program, saved)
    assert program.total(later) == 2
    with pytest.raises(incr.MissingInputError):
        program.ratio(later, "a", 2.0)


@pytest.mark.spec("load.unknown")
def test_memos_that_depend_on_what_is_not_declared_run_again(path: Path) -> None:
    @incr.input
    class Text:
        text: str

    @incr.query
    def gone(db: incr.View) -> str:
        return db[Text].text

    choice: dict[str, Any] = {"query": gone}  # its code is not part of a fingerprint

    @incr.query
    def kept(db: incr.View) -> int:
        return len(choice["query"](db)) if "query" in choice else -1

    @incr.query
    def above(db: incr.View) -> str:
        return str(kept(db))

    everything = ingredients(Text, gone, kept, above)
    db = incr.Database()
    db.set(Text("abc"))
    assert above(db) == "3"
    db.save(path)
    del choice["query"]
    later = load([ingredient for ingredient in everything if ingredient.name != "gone"], path)
    with ran(later) as calls:
        assert above(later) == "-1"
    assert calls == ["kept()", "above()"]


@pytest.mark.spec("load.unknown")
def test_memos_of_an_input_that_is_not_declared_run_again(saved: Path) -> None:
    program = make()
    db = load(without(program, "Settings"), saved)
    with ran(db) as calls, pytest.raises(incr.MissingInputError):
        program.total(db)
    assert calls == ["count('a')", "total()"]
    # By asking for the settings this program has declared them, too late for those in the file.
    db.save(saved)
    assert program.settings not in load(program, saved)


@pytest.mark.spec("load.unknown")
def test_a_table_that_is_declared_after_the_load_begins_anew(saved: Path) -> None:
    program = make()
    db = load(without(program, "total"), saved)
    with ran(db) as calls:
        assert program.total(db) == 5
    assert calls == ["total()"]
    db.save(saved)
    later = load(program, saved)
    with ran(later) as calls:
        assert program.total(later) == 5
    assert calls == []


@pytest.mark.spec("load.unknown", "high.bits")
def test_a_high_input_reaches_memos_that_nobody_declared(saved: Path) -> None:
    program = make()
    db = load(without(program, "total", "ratio"), saved)
    db.save(saved)
    later = load(program, saved)
    with ran(later) as calls:
        later.set(program.settings(least=4))
        assert program.ratio(later, "a", 2.0) == 0.0
        assert program.total(later) == 2
    assert calls == ["count('a')", "ratio('a', 2.0)", "count('b')", "total()"]


# --- other types --------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@pytest.mark.spec("codec.allow")
def test_a_value_of_a_type_that_is_not_declared_is_computed_again(path: Path) -> None:
    def program(declares: bool) -> list[Any]:
        hint = Point if declares else object

        @incr.input
        class Number:
            value: int

        def point(db: incr.View) -> object:
            return Point(db[Number].value, 0)

        point.__annotations__["return"] = hint
        point_query = incr.query(point)

        @incr.query
        def x(db: incr.View) -> int:
            return point_query(db).x  # type: ignore[attr-defined, no-any-return]

        return [Number, point_query, x]

    old, new = program(True), program(False)
    db = incr.Database()
    db.set(old[0](3))
    assert old[2](db) == 3
    db.save(path)
    warm = load(ingredients(*old), path)
    with ran(warm) as calls:
        assert old[1](warm) == Point(3, 0)
    assert calls == []
    later = load(ingredients(*new), path)
    assert new[1](later) == Point(3, 0)
    later.save(path)
    assert new[1](load(ingredients(*new), path)) == Point(3, 0)


def test_a_value_that_could_not_be_read_is_stored_anew(path: Path) -> None:
    def program(fields: list[str]) -> Any:
        kind = make_dataclass("Shape", fields, frozen=True)

        def shape(db: incr.View) -> object:
            return kind(*range(len(fields)))

        shape.__annotations__["return"] = kind
        return incr.query(shape)

    old, new = program(["x"]), program(["x", "y"])
    db = incr.Database()
    assert old(db).x == 0
    save(db._graph, path, code="one")
    for executed in (["shape()"], []):
        later = load(ingredients(new), path, code="one")
        with ran(later) as calls:
            assert new(later).y == 1
        assert calls == executed
        save(later._graph, path, code="one")


@pytest.mark.spec("load.aside")
def test_a_record_that_this_program_cannot_read_is_not_there(path: Path) -> None:
    def program(with_colour: bool) -> list[Any]:
        if with_colour:

            @incr.input
            class Thing:
                name: str = incr.key()
                colour: Colour
        else:

            @incr.input
            class Thing:  # type: ignore[no-redef]  # the other version of the program
                name: str = incr.key()

        @incr.query
        def names(db: incr.View) -> tuple[str, ...]:
            return tuple(db.keys(Thing))

        @incr.query
        def has(db: incr.View, name: str) -> bool:
            return (Thing, name) in db

        @incr.query
        def got(db: incr.View, name: str) -> bool:
            return db.get(Thing, name) is not None

        return [Thing, names, has, got]

    old, new = program(True), program(False)
    db = incr.Database()
    db.set(old[0]("a", Colour.RED))
    assert (old[1](db), old[2](db, "a"), old[3](db, "a")) == (("a",), True, True)
    db.save(path)
    save(db._graph, path, code="one")
    same = load(ingredients(*old), path, code="one")
    with ran(same) as calls:
        assert (old[1](same), old[2](same, "a"), old[3](same, "a")) == (("a",), True, True)
    assert calls == []
    later = load(ingredients(*new), path, code="one")
    assert (new[1](later), new[2](later, "a"), new[3](later, "a")) == ((), False, False)
    assert later.get(new[0], "a") is None


@pytest.mark.spec("load.unknown", "save.limits")
def test_memos_that_nobody_declared_do_not_outlive_what_a_limit_left_out(saved: Path) -> None:
    program = make()
    db = load(without(program, "total", "ratio", "count"), saved)
    db.save(saved, max_records_per_section=0)  # `words` goes; `count` and what is above it stay, without it
    later = load(program, saved)
    later.set(program.source("a", "one"))
    assert program.total(later) == 4
    later.set(program.source("b", "one"))
    assert program.total(later) == 2
    assert program.ratio(later, "a", 2.0) == 0.5


class Size(enum.Enum):
    LARGE = 1


@pytest.mark.spec("load.unknown")
def test_rows_whose_keys_cannot_be_read_are_gone(path: Path) -> None:
    def program(hint: Any) -> list[Any]:
        def has(db: incr.View, size: object) -> bool:
            return (Shirt, size) in db

        has.__annotations__["size"] = hint
        has_query = incr.query(has)

        @incr.query
        def counted(db: incr.View) -> int:
            return len(list(db.keys(Shirt)))

        @incr.query
        def both(db: incr.View) -> tuple[int, bool]:
            return counted(db), has_query(db, Size.LARGE)

        return [Shirt, has_query, counted, both]

    @incr.input
    class Shirt:
        size: object = incr.key()

    old, new = program(Size), program(object)
    db = incr.Database()
    db.set(Shirt(Size.LARGE))
    db.set(Shirt("small"))
    assert old[3](db) == (2, True)
    db.save(path)
    same = load(ingredients(*old), path, code="one")
    assert old[3](same) == (2, True)
    later = load(ingredients(*new), path)
    assert list(later.keys(Shirt)) == ["small"]
    assert new[3](later) == (1, False)
    later.save(path)
    assert list(load(ingredients(*old), path).keys(Shirt)) == ["small"]


def test_a_record_with_another_key_is_another_record(path: Path) -> None:
    def program(key: str) -> list[Any]:
        if key == "one":

            @incr.input
            class Pair:
                one: str = incr.key()
                other: str
        else:

            @incr.input
            class Pair:  # type: ignore[no-redef]  # the other version of the program
                one: str
                other: str = incr.key()

        @incr.query
        def there(db: incr.View) -> tuple[bool, ...]:
            return tuple((Pair, name) in db for name in ("a", "b"))

        return [Pair, there]

    old, new = program("one"), program("other")
    db = incr.Database()
    db.set(old[0](one="a", other="b"))
    assert old[1](db) == (True, False)
    save(db._graph, path, code="one")
    later = load(ingredients(*new), path, code="one")
    assert new[1](later) == (False, False)
    later.set(new[0](one="a", other="b"))
    assert new[1](later) == (False, True)


def test_types_that_are_named_for_type_checkers_only_are_passed_over(path: Path) -> None:
    def point(db: incr.View, text: str) -> object:
        return Point(len(text), later)

    later = 3
    point.__annotations__.update({"db": "NotImported.View", "text": "str", "return": "Point"})
    query = incr.query(point)
    db = incr.Database()
    assert query(db, "ab") == Point(2, 3)
    db.save(path)
    again = load(ingredients(query), path)
    with ran(again) as calls:
        assert query(again, "ab") == Point(2, 3)
    assert calls == []


def test_a_local_class_is_found_where_the_function_has_it(path: Path) -> None:
    @dataclass(frozen=True)
    class Local:
        x: int

    @incr.query
    def made(db: incr.View) -> Local:
        return Local(1) if __name__ else Local(assigned_later)

    db = incr.Database()
    assert made(db) == Local(1)
    db.save(path)
    again = load(ingredients(made), path)
    with ran(again) as calls:
        assert made(again) == Local(1)
    assert calls == []
    assigned_later = 3
