"""One store into another, whatever the two are; and what is in it as plain data."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
from hypothesis import given

from incr import CorruptError, StoreError
from incr._codec import ClassTable, Encoder
from incr._codec.plain import PlainReader, components_of
from incr.maintenance import SectionCounts, compare, copy, count, dump, export
from incr.maintenance import _copy as copying
from incr.store import MemoryStore
from incr.store.rows import CALLS, GOOD, INTERNED, KEY_SETS, RECORDS, Content, Delta, Row, SectionInfo, Store
from incr.store.sections import check_sections
from incr.store.sqlite_store import SqliteStore
from kept_program import keep
from store_programs import Model, Step, check_alike, steps


@pytest.fixture
def store() -> Store:
    return MemoryStore().open()


# --- copies -------------------------------------------------------------------------------------------------------


@pytest.mark.spec("tools.copy")
@given(program=steps)
def test_a_copy_says_what_the_original_says(program: list[Step]) -> None:
    source, target, model = MemoryStore().open(), MemoryStore().open(), Model()
    for step in program:
        source.append(model.delta(step))
    for number, (row, _) in model.rows.items():
        if number in _reached(model, row.dependencies):  # such programs make circles, databases do not
            with pytest.raises(CorruptError, match="on themselves"):
                copy(source, target)
            return
    assert copy(source, target) == len(model.rows)
    model.last = target.head().last
    check_alike(target, model)


def _reached(model: Model, dependencies: Any) -> set[int]:
    seen: set[int] = set()
    stack = list(dependencies)
    while stack:
        number = stack.pop()
        if number not in seen:
            seen.add(number)
            stack += model.rows[number][0].dependencies
    return seen


@pytest.mark.spec("tools.copy")
@pytest.mark.parametrize("rows", [2, 1024])
def test_a_copy_goes_from_one_backend_to_another_and_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(copying, "_BATCH_ROWS", rows)
    keep(store)
    file = SqliteStore.open(tmp_path / "store.db")
    again = MemoryStore().open()
    told: list[tuple[int, int]] = []
    assert copy(store, file, lambda done, total: told.append((done, total))) == copy(file, again) == 20
    assert told[-1] == (40, 40)
    compare(store, again)
    file.close()


@pytest.mark.spec("tools.copy")
def test_large_rows_are_copied_in_small_deltas(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_BATCH_BYTES", 100)
    keep(store, "x" * 1000)
    target = MemoryStore().open()
    copy(store, target)
    assert target.head().last > 5


class Watched:
    """A store that does something before one of its calls."""

    def __init__(self, store: Store, name: str, act: Callable[[], object]) -> None:
        self._store = store
        self._name = name
        self._act = act

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            self._act()
        return getattr(self._store, name)


@pytest.mark.spec("tools.copy")
def test_a_copy_that_ends_early_is_an_empty_store_to_a_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_BATCH_ROWS", 3)
    keep(store)
    target = MemoryStore().open()
    seen: list[list[str]] = []

    def look() -> None:
        seen.append([info.name for info in target.head().sections])
        assert {info.kind for info in target.head().sections} <= {0}
        assert target.head().revision == 0
        check_sections("target", target.head())

    copy(store, Watched(target, "append", look))  # type: ignore[arg-type]
    assert len(seen) == 8
    assert seen[1] == [f"incomplete {number}" for number in range(11)]
    with pytest.raises(StoreError, match="is not empty"):
        copy(store, target)


@pytest.mark.spec("tools.copy")
def test_a_source_that_changes_meanwhile_is_not_copied(store: Store) -> None:
    keep(store)
    place = MemoryStore()
    nothing = Delta(3, [], None, 11, {}, [], [], [])
    target: Any = Watched(place.open(), "sync", lambda: store.append(nothing))
    with pytest.raises(StoreError, match="was written to while it was copied"):
        copy(store, target)


@pytest.mark.spec("tools.copy")
def test_what_differs_is_found() -> None:
    one = MemoryStore().open()
    kept = keep(one)
    number = kept.call("app:words", "a")
    row, content = one.row(number), one.content(number)
    nothing = Delta(2, [], None, 11, {}, [], [], [])
    for change, said in (
        (nothing._replace(revision=3), "its head differs"),
        (nothing._replace(rows={number: (row._replace(changed_at=9), None)}), f"row {number} of app:words differs"),
        (nothing._replace(rows={number: (row, content._replace(pushes=b"x"))}), f"row {number} of app:words differs"),
        (nothing._replace(removed=[kept[INTERNED, "app:Word", "b"]]), "other rows of app:Word"),
    ):
        other = MemoryStore().open()
        keep(other)
        compare(one, other)
        other.append(change)
        with pytest.raises(CorruptError, match=said):
            compare(one, other)


# --- plain data ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    x: int
    y: Any


class Pair(NamedTuple):
    left: int
    right: int


class Colour(Enum):
    RED = 1


@pytest.mark.spec("tools.plain")
@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (-(2**80), -(2**80)),
        (1.5, 1.5),
        (float("inf"), {"float": "inf"}),
        (float("nan"), {"float": "nan"}),
        ("ü", "ü"),
        ("\ud800", "\ud800"),
        (b"\0\xff", {"bytes": "00ff"}),
        (bytearray(b"a"), {"bytes": "61"}),
        ((1, ("a",)), [1, ["a"]]),
        ([1], [1]),
        ({1}, {"set": [1]}),
        (frozenset("a"), {"set": ["a"]}),
        ({"a": 1, 2: None}, {"dict": [["a", 1], [2, None]]}),
        (1 + 2j, {"complex": ["1.0", "2.0"]}),
        (PurePosixPath("a/b"), {"class": "pathlib.PurePosixPath", "parts": ["a/b"]}),
        (datetime.date(2024, 2, 29), {"class": "datetime.date", "parts": [2024, 2, 29]}),
        (Point(1, [2]), {"class": f"{__name__}:Point", "fields": {"x": 1, "y": [2]}}),
        (Pair(1, 2), {"class": f"{__name__}:Pair", "fields": {"left": 1, "right": 2}}),
        (Colour.RED, {"class": f"{__name__}:Colour", "member": "RED"}),
    ],
)
def test_values_are_plain_data_without_their_classes(value: Any, plain: Any) -> None:
    table = ClassTable()
    data = Encoder(table).encode(value)
    found = PlainReader(table).read(data)
    if isinstance(plain, dict) and "class" in plain:  # however the module is called here
        plain["class"] = found["class"]
        assert found["class"].endswith(type(value).__name__)
    assert found == plain
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.spec("tools.plain")
def test_what_only_tables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    import cbor2

    table = ClassTable.from_list([("app:Flag", "enum", ()), ("app:Money", "registered", ())])
    reader = PlainReader(table)
    assert reader.read(cbor2.dumps([12, 0, [1, 3]])) == {"class": "app:Flag", "member": 3}
    assert reader.read(cbor2.dumps([14, 1, [0, 5]])) == {"class": "app:Money", "value": [5]}
    for data in (
        b"",
        b"\xff",
        cbor2.dumps({}),
        cbor2.dumps([]),
        cbor2.dumps([10, 9, 1]),
        cbor2.dumps([99]),
        b"\x01\x01",
    ):
        assert reader.read(data) == {"undecodable": data.hex()}
    deep: Any = [1]
    for _ in range(300):
        deep = [0, deep]
    assert "undecodable" in reader.read(cbor2.dumps(deep))
    assert components_of(cbor2.dumps([0, 1, "a"])) == [cbor2.dumps(1), cbor2.dumps("a")]
    assert components_of(cbor2.dumps([1, 1])) == [cbor2.dumps([1, 1])]


@pytest.mark.spec("tools.dump")
def test_a_dump_has_each_row(store: Store) -> None:
    kept = keep(store)
    rows = list(dump(store))
    assert len(rows) == 20
    (found,) = dump(store, "pair", ("user", 1))
    assert found == {
        "section": "app:pair", "kind": "query", "row": kept.call("app:pair", ("user", 1)), "key": ["user", 1],
        "changed_at": 1, "valid_from": 2, "good": True, "high": False, "lost_pushes": False,
        "dependencies": [kept.call("app:words", "a"), kept[3, "app:Source", "a"]], "value_bytes": 9,
        "pushes_bytes": found["pushes_bytes"],
    }  # fmt: skip
    assert [row["key"] for row in dump(store, "app:words")] == ["a", "ab", "x"]
    assert [row["kind"] for row in dump(store, "Source")] == ["input"] * 3 + ["presence", "key set"]
    assert [row["key"] for row in dump(store, "Source", ("a",))] == ["a", "a"]
    told: list[tuple[int, int]] = []
    (never,) = dump(store, "pair", ("user:1",), values=True, progress=lambda done, total: told.append((done, total)))
    assert (never["valid_from"], never["good"], never["value"], never["pushes"]) == (None, False, None, None)
    assert told == [(3, 20)]
    values = {row["row"]: row["value"] for row in dump(store, values=True)}
    assert values[kept.call("app:everything", ())] == 2**70


@pytest.mark.spec("tools.dump")
def test_sections_are_called_by_their_names(store: Store) -> None:
    keep(store)
    with pytest.raises(StoreError, match="may be app:words, lib:words; give the whole name"):
        next(dump(store, "words"))
    with pytest.raises(StoreError, match="no section 'word'; there is app:Diagnostics, app:Source"):
        next(dump(store, "word"))
    with pytest.raises(StoreError, match="there is nothing"):
        next(dump(MemoryStore().open(), "a"))
    with pytest.raises(StoreError, match="a tuple of components, not 'user'"):
        next(dump(store, "pair", "user"))  # type: ignore[arg-type]


@pytest.mark.spec("tools.dump")
def test_an_export_is_lines_of_json(store: Store) -> None:
    keep(store)
    lines = [json.loads(line) for line in export(store)]
    assert lines[0]["revision"] == 2
    assert lines[0]["sections"][5] == {
        "section": "app:words", "kind": "query", "fingerprint": b"code".hex(), "parts": ["path"],
    }  # fmt: skip
    assert lines[1:] == list(dump(store, values=True))


@pytest.mark.spec("tools.stat")
def test_counts_are_those_of_the_rows(store: Store) -> None:
    keep(store)
    found = {(one.kind, one.section): one for one in count(store)}
    assert found["query", "app:pair"] == SectionCounts(
        "app:pair", "query", 3, found["query", "app:pair"].bytes, 10, 2, 1, 1, 1
    )
    assert found["query", "app:everything"].good == 1
    assert sum(one.rows for one in found.values()) == 20
    rows = list(dump(store))
    assert sum(one.value_bytes for one in found.values()) == sum(row["value_bytes"] for row in rows)
    assert sum(one.bytes for one in found.values()) >= sum(8 * len(row["dependencies"]) for row in rows)


@pytest.mark.spec("tools.dump")
def test_a_table_of_classes_that_is_none_is_damage() -> None:
    for classes in (b"\xff", b"\x07"):
        store = MemoryStore().open()
        info = SectionInfo(0, RECORDS, "a", b"", (), 1)
        store.append(Delta(1, [info], classes, 1, {0: (Row(0, b"\x01", 1, 1, GOOD, ()), None)}, [], [], []))
        with pytest.raises(CorruptError, match="table of classes"):
            next(dump(store))


@pytest.mark.spec("tools.stat")
def test_progress_is_told_now_and_then() -> None:
    store = MemoryStore().open()
    info = SectionInfo(0, CALLS, "a", b"", (), 0)
    rows = {number: (Row(0, b"%d" % number, 1, 1, GOOD, ()), Content(b"", b"")) for number in range(600)}
    store.append(Delta(1, [info], None, 3, rows, [], [], []))
    told: list[tuple[int, int]] = []
    (found,) = count(store, lambda done, total: told.append((done, total)))
    assert told == [(256, 600), (512, 600), (600, 600)]
    assert (found.rows, found.empty, found.kind) == (600, 600, "query")
    store.append(
        Delta(
            1, [SectionInfo(1, 77, "b", b"", (), 0), SectionInfo(2, KEY_SETS, "b", b"", (), 0)], None, 3, {}, [], [], []
        )
    )
    assert [one.kind for one in count(store)] == ["query", "kind 77", "key set"]
