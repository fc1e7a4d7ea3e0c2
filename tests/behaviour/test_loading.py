"""What was saved is there again: the same answers, nothing runs, and whatever is changed afterwards reaches as far."""

from __future__ import annotations

import gc
import os
from binascii import crc32
from pathlib import Path
from typing import Any

import pytest

import incr
from incr._persist._jobs import prepare_load
from incr._revision import OPEN
from incr.store.base import Draft, Section, base_image, read_base
from incr.store.checksum import preferred_checksum
from incr.store.columns import pack_column
from project import run_python
from stored_program import Program, ingredients, load, make, ran

PROGRAM = make()


@pytest.fixture
def program() -> Program:
    return PROGRAM


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def saved(program: Program, path: Path) -> incr.Database:
    """A database after some calls, saved at `path`."""
    db = incr.Database()
    program.fill(db, a="one two", b="two three four")
    assert program.total(db) == 5
    assert program.ratio(db, "a", 2.0) == 1.0
    with pytest.raises(ZeroDivisionError):
        program.ratio(db, "a", 0.0)
    db.save(path)
    return db


def test_nothing_runs_after_a_load(program: Program, path: Path, saved: incr.Database) -> None:
    db = load(program, path)
    assert db.revision == saved.revision
    with ran(db) as calls:
        assert program.total(db) == 5
        assert program.ratio(db, "a", 2.0) == 1.0
        assert [symbol.name for symbol in program.words(db, "b")] == ["two", "three", "four"]
        assert db[program.source, "a"] == program.source("a", "one two")
        assert db[program.settings].least == 1
        assert list(db.keys(program.source)) == ["a", "b"]
    assert calls == []


def test_a_write_reaches_after_a_load_what_it_reached_before(
    program: Program, path: Path, saved: incr.Database
) -> None:
    db = load(program, path)
    with ran(db) as calls:
        db.set(program.source("a", "one  two"))
        assert program.total(db) == 5
    assert calls == ["words('a')"]  # its equal result stopped there
    with ran(db) as calls:
        db.set(program.source("a", "one"))
        assert program.total(db) == 4
    assert calls == ["words('a')", "count('a')", "total()"]
    with ran(db) as calls:
        db.set(program.settings(least=4))
        assert program.total(db) == 2
    assert calls == ["count('a')", "count('b')", "total()"]
    with ran(db) as calls:
        db.set(program.source("extra", ""))
        assert program.total(db) == 3
    assert calls == ["words('extra')", "count('extra')", "total()"]
    with ran(db) as calls:
        db.remove(program.source, "b")
        assert program.total(db) == 1
    assert calls == ["total()"]


def test_an_equal_record_is_no_write_after_a_load(program: Program, path: Path, saved: incr.Database) -> None:
    db = load(program, path)
    revision = db.revision
    assert db.set(program.source("a", "one two")) == revision
    assert db.set(program.settings(least=1)) == revision


def test_an_absence_and_a_removal_are_kept(program: Program, path: Path) -> None:
    db = incr.Database()
    program.fill(db, a="one", gone="two")
    assert program.total(db) == 2
    db.remove(program.source, "gone")
    assert program.total(db) == 1
    db.save(path)
    later = load(program, path)
    with ran(later) as calls:
        assert program.total(later) == 1
        assert (program.source, "gone") not in later
        assert (program.source, "extra") not in later
    assert calls == []
    with ran(later) as calls:
        later.set(program.source("gone", "two"))
        assert program.total(later) == 2
    assert "total()" in calls


def test_what_was_suspect_is_verified_after_a_load(program: Program, path: Path) -> None:
    db = incr.Database()
    program.fill(db, a="one", b="two")
    assert program.total(db) == 2
    db.set(program.source("a", "one "))
    db.save(path)  # nobody has looked at the write yet
    later = load(program, path)
    with ran(later) as calls:
        assert program.total(later) == 2
    assert calls == ["words('a')"]


def test_an_error_runs_again_but_its_handler_does_not(path: Path) -> None:
    @incr.input
    class Number:
        value: int

    @incr.query
    def inverse(db: incr.View) -> float:
        return 1 / db[Number].value

    @incr.query
    def text(db: incr.View) -> str:
        try:
            return str(inverse(db))
        except ZeroDivisionError:
            return "infinite"

    declared = ingredients(Number, inverse, text)
    db = incr.Database()
    db.set(Number(0))
    assert text(db) == "infinite"
    db.save(path)
    later = load(declared, path)
    with ran(later) as calls:
        assert text(later) == "infinite"
        assert calls == []
        with pytest.raises(ZeroDivisionError):
            inverse(later)
    assert calls == ["inverse()"]
    with ran(later) as calls:
        later.set(Number(2))
        assert text(later) == "0.5"
    assert calls == ["inverse()", "text()"]


def test_an_untracked_read_is_made_again_in_each_process(program: Program, path: Path) -> None:
    outside = ["first"]

    @incr.query
    def looked(db: incr.View) -> str:
        db.untracked("a list of the test")
        return outside[0]

    @incr.query
    def length(db: incr.View) -> int:
        return len(looked(db))

    declared = ingredients(looked, length)
    db = incr.Database()
    program.fill(db, a="x")
    program.fill(db, a="y")
    assert length(db) == 5
    db.save(path)
    for text, executed in (("first", ["looked()"]), ("second", ["looked()", "length()"])):
        outside[0] = text
        later = load(declared, path)
        with ran(later) as calls:
            assert length(later) == len(text)
        assert calls == executed


@pytest.mark.spec("load.interned")
def test_interned_values_are_one_instance_again(program: Program, path: Path, saved: incr.Database) -> None:
    before = incr.Database()
    mine = before.intern(program.symbol("two"))
    db = load(program, path, before)
    one, other = program.words(db, "a")[1], program.words(db, "b")[0]
    assert one is other is mine
    assert db.intern(program.symbol("four")) is program.words(db, "b")[2]


@pytest.mark.spec("load.interned")
def test_interned_values_are_one_instance_in_arguments_too(path: Path) -> None:
    @incr.interned
    class Name:
        text: str

    @incr.query
    def length(db: incr.View, name: Name) -> int:
        return len(name.text)

    declared = ingredients(Name, length)
    db = incr.Database()
    assert length(db, db.intern(Name("abc"))) == 3
    db.save(path)
    later = load(declared, path)
    with ran(later) as calls:
        assert length(later, later.intern(Name("abc"))) == 3
    assert calls == []
    (node,) = later._graph.tables[length.__incr__.index].values()  # type: ignore[attr-defined]
    assert node.key is later.intern(Name("abc"))


@pytest.mark.spec("call.exact")
def test_arguments_come_back_exactly(path: Path) -> None:
    @incr.query
    def kind(db: incr.View, value: object, other: object = None) -> str:
        return f"{type(value).__name__} {type(other).__name__}"

    @incr.query
    def single(db: incr.View, value: object) -> str:
        return repr(value)

    declared = ingredients(kind, single)
    values: list[Any] = [
        1, True, 1.0, "1", b"1", None, (1,), (True,), (1.0,), (), ("a", ("b", 2)), 0.0, -0.0, 2**70, -(2**63), "\udcff",
        frozenset({1, 2}), frozenset({True, 2}), 1j, Path("x"), ("1",),
    ]  # fmt: skip
    db = incr.Database()
    for value in values:
        kind(db, value)
        kind(db, 1, value)
        single(db, value)
    db.save(path)
    later = load(declared, path)
    with ran(later) as calls:
        for value in values:
            assert kind(later, value) == f"{type(value).__name__} NoneType"
            assert kind(later, 1, value) == f"int {type(value).__name__}"
            assert single(later, value) == repr(value)
    assert calls == []
    assert single(later, 3) == "3"


@pytest.mark.spec("persist.off")
def test_values_that_are_not_to_be_kept_are_computed_when_they_are_asked_for(path: Path) -> None:
    program = make(persist_words=False)
    db = incr.Database()
    program.fill(db, a="uncommon words")
    assert program.total(db) == 2
    with db_events(db) as events:
        db.save(path)
    assert events == []
    assert b"uncommon" in path.read_bytes()  # the input's text
    assert path.read_bytes().count(b"uncommon") == 2  # and the interned value; the memo's value is not there
    later = load(program, path)
    with ran(later) as calls:
        assert program.total(later) == 2
        assert calls == []
        assert len(program.words(later, "a")) == 2
        assert program.total(later) == 2
    assert calls == ["words('a')"]


class db_events:  # noqa: N801 - it reads like a word of the test's sentence
    """Within its block: all events."""

    def __init__(self, db: incr.Database) -> None:
        self.found: list[incr.Event] = []
        self._subscription = db.subscribe(self.found.append)

    def __enter__(self) -> list[incr.Event]:
        return self.found

    def __exit__(self, *exit_arguments: object) -> None:
        self._subscription.close()


# --- what a load replaces -----------------------------------------------------------------------------------------


@pytest.mark.spec("load.aside")
def test_a_load_replaces_everything(program: Program, path: Path, saved: incr.Database) -> None:
    db = incr.Database()
    program.fill(db, a="other", c="texts")
    for _ in range(5):
        db.set(program.source("c", db[program.source, "c"].text + " more"))
    assert program.total(db) == 7
    shown = db.revision
    load(program, path, db)
    assert db.revision > shown
    assert (program.source, "c") not in db
    with ran(db) as calls:
        assert program.total(db) == 5
    assert calls == []
    with ran(db) as calls:
        db.set(program.source("a", "one"))
        assert program.total(db) == 4
    assert calls == ["words('a')", "count('a')", "total()"]


@pytest.mark.spec("load.aside")
def test_a_load_twice_is_a_load_once(program: Program, path: Path, saved: incr.Database) -> None:
    db = load(program, path)
    program.fill(db, a="changed")
    assert program.total(db) == 4
    load(program, path, db)
    with ran(db) as calls:
        assert program.total(db) == 5
    assert calls == []


@pytest.mark.spec("load.aside")
def test_a_load_under_an_open_snapshot_is_refused(program: Program, path: Path, saved: incr.Database) -> None:
    db = incr.Database()
    program.fill(db, a="x")
    for write_first in (False, True):
        with db.snapshot() as view:
            if write_first:
                db.set(program.source("a", "y y"))
                assert db[program.source, "a"].text == "y y"
            with pytest.raises(incr.StoreError, match="while a snapshot is open"):
                db.load(path)
            assert view[program.source, "a"].text == "x"
            assert program.words(view, "a") == (program.symbol("x"),)
    assert db[program.source, "a"].text == "y y"
    load(program, path, db)
    assert program.total(db) == 5


@pytest.mark.spec("load.aside")
def test_a_snapshot_that_is_taken_while_a_file_is_read_makes_the_load_fail(
    program: Program, path: Path, saved: incr.Database
) -> None:
    db = incr.Database()
    program.fill(db, a="x")
    job = prepare_load(db._graph, path, declared=program.ingredients())
    job.read()
    with db.snapshot() as view:
        with pytest.raises(incr.StoreError, match="while a snapshot is open"):
            job.finish()
        assert view[program.source, "a"].text == db[program.source, "a"].text == "x"


@pytest.mark.spec("load.aside")
def test_a_load_in_a_query_is_refused(program: Program, path: Path, saved: incr.Database) -> None:
    @incr.query
    def loads(db: incr.View) -> bool:
        return outer.load(path)

    outer = incr.Database()
    with pytest.raises(incr.WriteInQueryError):
        loads(outer)


@pytest.mark.spec("load.missing")
def test_no_file_is_no_error(program: Program, tmp_path: Path) -> None:
    db = incr.Database()
    program.fill(db, a="x")
    assert db.load(tmp_path / "missing") is False
    assert db.load(tmp_path / "no" / "such" / "folder") is False
    assert db[program.source, "a"].text == "x"


def test_a_loaded_revision_is_announced(program: Program, path: Path, saved: incr.Database) -> None:
    db = incr.Database()
    with db_events(db) as events:
        assert db.load(path) is True
    assert events == [incr.RevisionAdvanced(db.revision)]


# --- damaged and other files --------------------------------------------------------------------------------------


def damaged(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return bytes(data)


@pytest.mark.spec("load.corrupt")
@pytest.mark.parametrize("on_corrupt", ["error", "ignore", "quarantine", "delete"])
def test_damage_is_what_the_program_says(program: Program, path: Path, saved: incr.Database, on_corrupt: Any) -> None:
    data = damaged(path)
    db = incr.Database()
    program.fill(db, a="mine")
    if on_corrupt == "error":
        with pytest.raises(incr.CorruptError) as caught:
            db.load(path)
        assert caught.value.path == str(path)
        assert 0 < caught.value.offset < len(data)
    else:
        assert db.load(path, on_corrupt=on_corrupt) is False
    assert db[program.source, "a"].text == "mine"
    left = {name: (path.parent / name).read_bytes() for name in os.listdir(path.parent)}
    assert (
        left
        == {
            "error": {"cache": data},
            "ignore": {"cache": data},
            "quarantine": {"cache.corrupt": data},
            "delete": {},
        }[on_corrupt]
    )


@pytest.mark.spec("load.corrupt")
def test_a_file_that_says_of_a_call_that_it_is_good_above_one_that_is_not_is_damaged(
    program: Program, path: Path, saved: incr.Database
) -> None:
    saved.set(program.source("a", "three four five"))
    saved.set(program.source("b", "six"))
    nodes = [saved._graph.table(one.__incr__)[key] for one, key in ((program.total, ()), (program.words, "a"))]
    saved._graph.current()
    assert all(node.suspects is not None for node in nodes)
    saved.save(path)
    assert load(program, path).revision == saved.revision
    nodes[0].suspects, nodes[0].valid_to = (
        None,
        OPEN,
    )  # who makes files by himself can write this down, checksums and all
    saved.save(path)
    db = incr.Database()
    program.fill(db, a="mine")
    with pytest.raises(incr.CorruptError, match="a call is said to be good that depends on one that is not"):
        db.load(path)
    assert db[program.source, "a"].text == "mine"
    assert db.load(path, on_corrupt="ignore") is False


@pytest.mark.spec("load.corrupt")
@pytest.mark.parametrize("on_corrupt", ["ignore", "quarantine", "delete"])
def test_only_damage_is_damage(program: Program, path: Path, saved: incr.Database, on_corrupt: Any) -> None:
    newer = path.read_bytes()
    prologue = newer[:8] + b"\x02\x00" + newer[10:12]
    newer = prologue + crc32(prologue).to_bytes(4, "little") + newer[16:]
    path.write_bytes(newer)
    db = incr.Database()
    with pytest.raises(incr.VersionError) as caught:
        db.load(path, on_corrupt=on_corrupt)
    assert (caught.value.found, caught.value.supported) == (2, 1)
    with pytest.raises(incr.LimitExceededError):
        db.load(path, on_corrupt=on_corrupt, max_bytes=len(newer) - 1)
    assert path.read_bytes() == newer
    folder = path.parent / "folder"
    folder.mkdir()
    with pytest.raises(incr.StoreError, match="give the path of a file"):
        db.load(folder, on_corrupt=on_corrupt)
    assert sorted(os.listdir(path.parent)) == ["cache", "folder"]


def test_options_of_a_wrong_type_or_value_are_refused(path: Path) -> None:
    db = incr.Database()
    with pytest.raises(ValueError, match="on_corrupt is one of 'error', 'ignore', 'quarantine', 'delete', not 'maybe'"):
        db.load(path, on_corrupt="maybe")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(TypeError, match="max_bytes is a number or None, not '1'"):
        db.load(path, max_bytes="1")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match="max_record_bytes cannot be negative"):
        db.save(path, max_record_bytes=-1)
    with pytest.raises(TypeError, match="max_records_per_section is a number or None, not True"):
        db.save(path, max_records_per_section=True)
    with pytest.raises(TypeError):
        db.save(3)  # type: ignore[arg-type]  # the mistake
    assert not path.exists()


def test_another_kind_of_section_is_damage(path: Path, saved: incr.Database) -> None:
    """A file of a writer that follows the layout but not the format."""
    base = read_base("cache", path.read_bytes())
    drafts = [as_draft(section) for section in base.sections]
    for wrong in (
        [],
        drafts[1:],
        [drafts[0], *reversed(drafts[1:])],
        [*drafts, drafts[-1]._replace(kind=9)],
        [drafts[0]._replace(streams={}), *drafts[1:]],
        *([*drafts[:n], drafts[n]._replace(rows=drafts[n].rows + 1), *drafts[n + 1 :]] for n in range(1, len(drafts))),
    ):
        path.write_bytes(b"".join(base_image(base.header, wrong, preferred_checksum())))
        db = incr.Database()
        with pytest.raises(incr.CorruptError):
            db.load(path)
        assert db.revision == 0


def as_draft(section: Section) -> Draft:
    streams = {number: [bytes(stream)] for number, stream in section.streams.items() if stream}
    return Draft(section.kind, section.name, section.fingerprint, section.rows, streams)


def test_a_row_that_holds_another_record_is_damage(program: Program, path: Path) -> None:
    db = incr.Database()
    db.set(program.source("a", "text of a"))
    db.save(path)
    base = read_base("cache", path.read_bytes())
    drafts = [as_draft(section) for section in base.sections]
    assert drafts[1].name.endswith("Source")
    drafts[1] = drafts[1]._replace(streams={**drafts[1].streams, 1: [pack_column(["b"])]})
    path.write_bytes(b"".join(base_image(base.header, drafts, preferred_checksum())))
    with pytest.raises(incr.CorruptError, match="something else than the record"):
        load(program, path)


@pytest.mark.spec("base.bounded")
def test_memory_is_not_taken_for_what_a_file_claims(path: Path, saved: incr.Database) -> None:
    base = read_base("cache", path.read_bytes())
    drafts = [as_draft(section) for section in base.sections]
    drafts[-1] = drafts[-1]._replace(rows=2**32 - 1)
    path.write_bytes(b"".join(base_image(base.header, drafts, preferred_checksum())))
    script = (
        "import resource, sys, incr\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
        "try:\n"
        "    incr.Database().load(sys.argv[1])\n"
        "except incr.CorruptError as error:\n"
        "    print(error.message)\n"
    )
    assert "4294967295 rows are more than there is room for" in run_python("-c", script, path)


def test_another_process_has_it_too(tmp_path: Path) -> None:
    """Two interpreters with different hash seeds write the same bytes, and a third one runs nothing."""
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, incr\n"
        "@incr.input\n"
        "class Source:\n"
        "    path: str = incr.key()\n"
        "    text: str\n"
        "@incr.query\n"
        "def words(db: incr.View, path: str) -> frozenset[str]:\n"
        "    print('ran', path)\n"
        "    return frozenset(db[Source, path].text.split())\n"
        "db = incr.Database()\n"
        "if not db.load(sys.argv[1]):\n"
        "    db.set(Source('a', text='to be or not to be'))\n"
        "print(len(words(db, 'a')))\n"
        "db.save(sys.argv[1])\n"
    )
    for name, seed in (("one", "1"), ("two", "2")):
        assert run_python(script, tmp_path / name, PYTHONHASHSEED=seed) == "ran a\n4\n"
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert run_python(script, tmp_path / "one", PYTHONHASHSEED="3") == "4\n"
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_garbage_collector_is_as_it_was(program: Program, path: Path, saved: incr.Database) -> None:
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    load(program, path)
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
    damaged_path = path.with_name("damaged")
    damaged_path.write_bytes(path.read_bytes())
    damaged(damaged_path)
    with pytest.raises(incr.CorruptError):
        incr.Database().load(damaged_path)
    assert gc.isenabled()
    gc.disable()
    try:
        load(program, path)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_values_larger_than_a_block_and_many_of_them(path: Path) -> None:
    @incr.input
    class Size:
        number: int = incr.key()
        size: int

    @incr.query
    def text(db: incr.View, number: int) -> str:
        return chr(65 + number % 26) * db[Size, number].size

    db = incr.Database()
    sizes = [0, 1, 65_000, 65_536, 1_000, 200_000, 3, *range(500), 1_500_000]
    for number, size in enumerate(sizes):
        db.set(Size(number, size))
        text(db, number)
    db.save(path)
    later = load(ingredients(Size, text), path)
    with ran(later) as calls:
        for number, size in enumerate(sizes):
            assert text(later, number) == chr(65 + number % 26) * size
    assert calls == []


def test_arguments_that_are_large_numbers_or_tuples_of_many_lengths(path: Path) -> None:
    @incr.query
    def same(db: incr.View, value: object, more: tuple[object, ...] = ()) -> object:
        return value

    values: list[Any] = [2**63, -(2**63) - 1, 2**63 - 1, 0, tuple(range(100)), (), ((((1,),),),), ("a",), ("a", "b")]
    db = incr.Database()
    for value in values:
        same(db, value)
        same(db, 1, (value, value))
    db.save(path, max_bytes=1_000_000, max_record_bytes=10_000)
    later = load(ingredients(same), path)
    with ran(later) as calls:
        for value in values:
            assert same(later, value) == value
            assert same(later, 1, (value, value)) == 1
    assert calls == []


def test_a_code_is_a_text(path: Path) -> None:
    with pytest.raises(TypeError, match="code is a text"):
        prepare_load(incr.Database()._graph, path, declared=(), code=3)  # type: ignore[arg-type]  # the mistake
