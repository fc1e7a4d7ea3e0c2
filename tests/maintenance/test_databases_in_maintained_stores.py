"""A database in a store that was copied, thinned out, salvaged or compacted gives the answers of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import incr
from incr.cli import main
from incr.maintenance import Deleted, delete, dump, verify
from incr.store.file_store import FileStore
from incr.store.sqlite_store import SqliteStore


@incr.input
class Text:
    path: str = incr.key()
    text: str


Word = incr.Accumulator[str]("maintained words")


@incr.query
def words(db: incr.View, path: str) -> tuple[str, ...]:
    found = tuple(db[Text, path].text.split())
    for word in found:
        Word.push(db, word)
    return found


@incr.query
def count(db: incr.View, path: str, least: int) -> int:
    return sum(len(word) >= least for word in words(db, path))


@incr.query
def total(db: incr.View) -> int:
    return sum(count(db, path, 2) for path in db.keys(Text))


TEXTS = {"a": "one two x", "b": "three", "c": "x y"}
QUERIES = ("words", "count", "total")


def fill(path: Path) -> None:
    with incr.open(path) as db:
        with db.batch() as batch:
            for name, text in TEXTS.items():
                batch.set(Text(name, text=text))
        assert total(db) == 3
        assert Word.of(db, count, "a", 2) == ("one", "two", "x")
        db.commit()


def asked(db: incr.Database) -> Any:
    return total(db), [count(db, path, 1) for path in db.keys(Text)], Word.of(db, count, "a", 2)


def ran(path: Path, **options: Any) -> list[str]:
    """The queries that run when everything is asked, after an answer from scratch was compared."""
    events: list[str] = []
    scratch = incr.Database()
    for name, text in TEXTS.items():
        scratch.set(Text(name, text=text))
    with incr.open(path, **options) as db:
        db.subscribe(lambda event: events.append(event.query) if isinstance(event, incr.QueryExecuted) else None)
        assert total(db) == total(scratch)
        assert Word.of(db, count, "a", 2) == Word.of(scratch, count, "a", 2)
        assert words(db, "c") == words(scratch, "c")
        return events


@pytest.mark.spec("cli.store.migrate", "tools.copy", "cli.store.compact")
def test_a_migrated_database_runs_nothing(tmp_path: Path) -> None:
    place = tmp_path / "state"
    fill(place)
    assert ran(place) == []
    assert main(["store", "migrate", str(place), str(tmp_path / "state.db")]) == 0
    assert ran(tmp_path / "state.db", backend="sqlite") == []
    assert main(["store", "migrate", str(tmp_path / "state.db"), str(tmp_path / "again")]) == 0
    assert ran(tmp_path / "again") == []
    for path in (place, tmp_path / "state.db"):
        assert main(["store", "compact", str(path)]) == 0
        assert main(["store", "verify", str(path), "--deep"]) == 0
    assert ran(place) == ran(tmp_path / "state.db", backend="sqlite") == []


@pytest.mark.spec("tools.delete")
@pytest.mark.parametrize("query", QUERIES)
def test_what_was_deleted_runs_again_and_what_used_it_does_if_it_has_to(tmp_path: Path, query: str) -> None:
    place = tmp_path / "state"
    fill(place)
    with FileStore.open(place) as store:
        prefix = () if query == "total" else ("a",)
        deleted = delete(store, query, prefix)
        assert deleted.rows >= 1
        assert list(verify(store, deep=True)) == []
    again = {
        # `total` has been told of other words, but of as many as before; what is collected is asked like a query.
        "words": {"words", "count", "of"},
        "count": {"count", "total", "of"},
        "total": {"total"},
    }[query]
    for _ in range(2):  # nothing is committed
        assert {name.rpartition(".")[2].rpartition(":")[2] for name in ran(place)} == again
    with incr.open(place) as db:
        total(db)
        Word.of(db, count, "a", 2)
        db.commit()
    assert ran(place) == []


@pytest.mark.spec("tools.delete", "tools.dump")
def test_keys_of_calls_are_their_arguments(tmp_path: Path) -> None:
    fill(tmp_path / "state")
    with FileStore.open(tmp_path / "state") as store:
        assert sorted(row["key"] for row in dump(store, "count")) == [["a", 2], ["b", 2], ["c", 2]]
        assert sorted(row["key"] for row in dump(store, "words")) == ["a", "b", "c"]
        assert [row["key"] for row in dump(store, "total")] == [[]]
        assert sorted(row["key"] for row in dump(store, "Text") if row["kind"] == "input") == ["a", "b", "c"]
        assert delete(store, "count", ("a", True)) == Deleted(0, 0, 0)
        assert delete(store, "count", ("a", 2)).rows >= 1


@pytest.mark.spec("tools.salvage", "cli.store.repair")
def test_a_salvaged_database_is_right(tmp_path: Path) -> None:
    place = tmp_path / "state"
    fill(place)
    with incr.open(place) as db:
        db.checkpoint()
    sound = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    base = max(name for name in sound if name.startswith("base-"))
    size = len(sound[base])
    for number, at in enumerate(range(100, size, max(1, size // 25))):
        broken = tmp_path / f"broken-{number}"
        broken.mkdir(mode=0o700)
        for name, content in sound.items():
            if name == base:
                content = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
            if not name.startswith("base-") or name == base:
                (broken / name).write_bytes(content)
        status = main(["store", "repair", str(broken), "--salvage", "--to", str(tmp_path / f"new-{number}")])
        assert status in (0, 1)
        if not (tmp_path / f"new-{number}").exists():
            continue
        assert main(["store", "verify", str(tmp_path / f"new-{number}"), "--deep"]) == 0
        with incr.open(tmp_path / f"new-{number}") as db:
            scratch = incr.Database()
            for path in db.keys(Text):
                scratch.set(db[Text, path])
            assert {path: db[Text, path].text for path in db.keys(Text)}.items() <= TEXTS.items()
            assert total(db) == total(scratch)
            for path in db.keys(Text):
                assert Word.of(db, count, path, 2) == Word.of(scratch, count, path, 2)


@pytest.mark.spec("sqlite.levels")
def test_a_database_lives_in_a_file_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with incr.open(path, backend="sqlite") as db:
        for name, text in TEXTS.items():
            db.set(Text(name, text=text))
        asked(db)
        db.commit()
        db.set(Text("b", text="three x four"))
        assert total(db) == 4
        db.commit()
        db.checkpoint()
        db.set(Text("b", text=TEXTS["b"]))
        assert total(db) == 3
        db.commit()
    assert ran(path, backend="sqlite") == []
    store = SqliteStore.open(path)
    assert list(verify(store, deep=True)) == []
    store.close()
