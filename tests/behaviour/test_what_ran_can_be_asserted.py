"""`incr.testing`: what ran is told by name, and an assertion that fails says what was different."""

from __future__ import annotations

from pathlib import Path

import pytest

import incr
from incr.testing import Recorder, assert_executes
from project import run_python


@incr.input
class Text:
    name: str = incr.key()
    text: str


@incr.query
def words(db: incr.View, name: str) -> tuple[str, ...]:
    return tuple(db[Text, name].text.split())


@incr.query
def count(db: incr.View, name: str, *, scale: int = 1) -> int:
    return scale * len(words(db, name))


def test_a_recorder_tells_what_ran_in_the_order_of_the_ends(db: incr.Database, ran: Recorder) -> None:
    db.set(Text("a", "x y"))
    assert count(db, "a") == 2
    assert ran.take() == ["words('a')", "count('a', 1)"]
    assert ran.take() == []
    assert count(db, "a") == 2
    assert ran.take() == []


def test_a_recorder_tells_what_was_verified_and_backdated(db: incr.Database, ran: Recorder) -> None:
    db.set(Text("a", "x y"))
    assert count(db, "a") == 2
    ran.take()
    db.set(Text("a", "x  y"))
    assert count(db, "a") == 2
    assert ran.take() == ran.take_backdated() == ["words('a')"]
    assert ran.take_verified() == ["count('a', 1)"]
    assert ran.take_verified() == ran.take_backdated() == []


def test_a_recorder_hears_nothing_before_and_after_its_block(db: incr.Database) -> None:
    db.set(Text("a", "x y"))
    db.set(Text("b", "x y"))
    recorder = Recorder(db)
    words(db, "a")
    with recorder, pytest.raises(RuntimeError, match="recording already"):
        recorder.__enter__()
    words(db, "b")
    assert recorder.take() == []
    with recorder:
        assert count(db, "b") == 2
    assert repr(recorder) == "<Recorder: executed [\"count('b', 1)\"], verified [], backdated []>"


def test_a_recorder_tells_of_its_own_database_only(db: incr.Database, ran: Recorder) -> None:
    other = incr.Database()
    other.set(Text("a", "x"))
    assert words(other, "a") == ("x",)
    assert ran.take() == []


def test_assert_executes_accepts_exactly_what_ran_in_any_order(db: incr.Database) -> None:
    db.set(Text("a", "x y"))
    with assert_executes(db, "count('a', 1)", "words('a')"):
        count(db, "a")
    with assert_executes(db):
        count(db, "a")


def test_assert_executes_says_what_was_different(db: incr.Database) -> None:
    db.set(Text("a", "x y"))
    db.set(Text("b", "x y"))
    count(db, "a")
    db.set(Text("a", "x  y"))
    with pytest.raises(AssertionError) as caught, assert_executes(db, "words('a')", "words('c')"):
        count(db, "a")
        words(db, "b")
    assert str(caught.value).splitlines() == [
        "the block did not execute what it should:",
        "  expected to run, but did not: words('c')",
        "  ran, but was not expected to: words('b')",
        "  ran, in this order: words('a'), words('b')",
        "  proved good without running: count('a', 1)",
    ]


def test_assert_executes_counts_how_often(db: incr.Database) -> None:
    db.set(Text("a", "x"))
    with pytest.raises(AssertionError, match=r"was not expected to: words\('a'\)"), assert_executes(db, "words('a')"):
        words(db, "a")
        db.set(Text("a", "y"))
        words(db, "a")


def test_assert_executes_lets_the_blocks_own_error_through(db: incr.Database) -> None:
    with pytest.raises(incr.MissingInputError), assert_executes(db, "something else"):
        words(db, "a")


def test_the_plugin_gives_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_program.py").write_text(
        """
import incr

@incr.query
def double(db: incr.View, number: int) -> int:
    return 2 * number

def test_double(db, ran):
    assert isinstance(db, incr.Database) and db.revision == 0
    assert double(db, 4) == 8
    assert ran.take() == ["double(4)"]
""",
        encoding="utf-8",
    )
    plugin = ["-p", "no:incr", "-p", "incr.pytest_plugin", "-p", "no:cacheprovider"]
    assert "1 passed" in run_python("-m", "pytest", *plugin, "-q", ".", cwd=tmp_path)


@pytest.mark.spec("loop.free")
def test_the_plugin_imports_nothing_heavy() -> None:
    heavy = ["asyncio", "trio", "networkx", "rich", "cbor2", "xxhash", "watchfiles"]
    script = f"""
import sys, pytest
before = set(sys.modules)
import incr.pytest_plugin
print([name for name in {heavy} if name in sys.modules and name not in before])
"""
    assert run_python("-c", script) == "[]\n"
