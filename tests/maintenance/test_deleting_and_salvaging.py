"""What is left after something is deleted or lost: nothing that could give a wrong answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from incr import CorruptError, EncodeError, StoreError
from incr.maintenance import Deleted, Problem, compare, copy, delete, dump, salvage, verify
from incr.maintenance._sections import numbers_of
from incr.store import MemoryStore
from incr.store.rows import CALLS, GOOD, KEY_SETS, NEVER, PRESENCES, RECORDS, Content, Delta, Row, Store
from incr.store.sqlite_store import SqliteStore
from kept_program import Kept, keep


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    store: Store = MemoryStore().open() if request.param == "memory" else SqliteStore.open(tmp_path / "store.db")
    yield store
    store.close()


def keys(store: Store, section: str) -> list[Any]:
    return [row["key"] for row in dump(store, section)]


def is_right(store: Store) -> None:
    """Nothing leads nowhere, and no good call depends, in any number of steps, on one that is not."""
    assert list(verify(store, deep=True)) == []
    head = store.head()
    for info, number in numbers_of(store, head):
        if info.kind == CALLS and store.row(number).flags & GOOD:
            assert [one for one in store.row(number).dependencies if not store.row(one).flags & GOOD] == []


@pytest.mark.spec("tools.delete")
def test_calls_of_a_query_are_deleted_by_the_beginning_of_their_arguments(store: Store) -> None:
    kept = keep(store)
    assert delete(store, "app:pair", ("user", 1)) == Deleted(2, 3, 0)
    assert keys(store, "pair") == [["user", 10], ["user:1", True]]
    direct = [kept.call("app:of_tuple", ("user", 1, "x")), kept.call("app:everything", ())]
    for number in direct:
        row = store.row(number)
        assert (row.valid_from, row.flags & GOOD, list(row.dependencies)) == (NEVER, 0, [])
        assert store.content(number).value  # to be compared with
    is_right(store)
    # What had been collected for the call is keyed by its row, and goes with it.
    assert keys(store, "Diagnostics") == [kept.call("app:everything", ())]


@pytest.mark.spec("tools.delete")
@pytest.mark.parametrize(
    ("section", "prefix", "gone"),
    [
        ("of_tuple", ("user", 1), [["user", 1, "x"]]),
        ("of_tuple", ("user",), [["user", 1, "x"], ["user", 10], "user"]),
        ("of_tuple", ("user", 1.0), []),
        ("of_tuple", ("us",), []),
        ("pair", ("user",), [["user", 1], ["user", 10]]),
        ("pair", ("user", True), []),
        ("pair", ("user:1", True), [["user:1", True]]),
        ("pair", ("user:1", True, "more"), []),
        ("app:words", ("a",), ["a"]),
        ("app:words", (), ["a", "ab", "x"]),
        ("everything", (), [[]]),
        ("everything", ("a",), []),
    ],
)
def test_components_are_compared_whole(section: str, prefix: tuple[Any, ...], gone: list[Any]) -> None:
    store = MemoryStore().open()
    keep(store)
    before = keys(store, section)
    deleted = delete(store, section, prefix)
    assert [key for key in before if key not in keys(store, section)] == gone
    assert deleted.rows >= len(gone)
    is_right(store)


@pytest.mark.spec("tools.delete")
def test_whoever_used_it_in_any_number_of_steps_is_looked_at_again(store: Store) -> None:
    kept = keep(store)
    assert delete(store, "app:words", ("a",)) == Deleted(1, 1, 4)
    row = store.row(kept.call("app:everything", ()))
    assert (row.valid_from, row.flags & GOOD, len(row.dependencies)) == (2, 0, 3)
    assert store.row(kept.call("app:of_tuple", ("user", 10))).flags & GOOD
    assert delete(store, "app:words", ("a",)) == Deleted(0, 0, 0)
    is_right(store)


@pytest.mark.spec("tools.delete")
def test_only_calls_are_deleted(store: Store) -> None:
    keep(store)
    for name, kind in (("app:Source", "input"), ("Word", "interned")):
        with pytest.raises(StoreError, match=f"is of kind {kind}, .* Database.remove"):
            delete(store, name)
    with pytest.raises(StoreError, match="no section"):
        delete(store, "missing")
    with pytest.raises(EncodeError, match="prefix"):
        delete(store, "pair", (object(),))


@pytest.mark.spec("tools.delete")
def test_an_input_and_a_query_may_have_one_name() -> None:
    store = MemoryStore().open()
    keep(store)
    infos = [info._replace(name="app:Source") for info in store.head().sections if info.name == "app:pair"]
    store.append(Delta(2, infos, None, 11, {}, [], [], []))
    assert delete(store, "app:Source").rows == 4


@pytest.mark.spec("tools.delete")
def test_keys_that_no_call_could_have_are_left_alone() -> None:
    store = MemoryStore().open()
    keep(store)
    head = store.head()
    infos = {info.name: info for info in head.sections if info.kind == CALLS}
    new = {}
    for name in ("app:pair", "app:everything"):
        number = infos[name].next_row + 1
        new[number] = (Row(infos[name].number, b"\xff", 1, 1, GOOD, ()), None)
    store.append(Delta(2, [], None, 11, new, [], [], []))
    assert delete(store, "app:pair", ("user",)).rows == 3
    assert {"undecodable": "ff"} in keys(store, "pair")


# --- verifying ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("tools.verify")
def test_a_sound_store_has_no_problems(store: Store) -> None:
    keep(store)
    told: list[tuple[int, int]] = []
    assert list(verify(store, progress=lambda done, total: told.append((done, total)))) == []
    assert list(verify(store, deep=True)) == []
    assert told[-1] == (20, 20)


class Lying:
    """A store of which some calls are answered by somebody else."""

    def __init__(self, store: Store, **answers: Callable[..., Any]) -> None:
        self._store = store
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        answer = self._answers.get(name)
        return real if answer is None else lambda *values: answer(real, *values)


def damaged(what: str) -> Any:
    raise CorruptError("here", 0, what)


@pytest.mark.spec("tools.verify")
def test_everything_that_is_wrong_is_reported() -> None:
    honest = MemoryStore().open()
    kept = keep(honest)
    a, x = kept.call("app:words", "a"), kept.call("app:words", "x")
    pair = kept.call("app:pair", ("user", 1))

    def problems(deep: bool = True, **answers: Callable[..., Any]) -> list[Problem]:
        return list(verify(Lying(honest, **answers), deep=deep))  # type: ignore[arg-type]

    assert problems(row=lambda real, number: damaged("lost") if number == x else real(number)) == [
        Problem("app:words", x, "here: damaged at byte 0: lost")
    ]
    lost = problems(row=lambda real, number: damaged("lost") if number == a else real(number))
    assert [problem.row for problem in lost] == [a, pair]
    assert "depends on row" in lost[1].what
    assert problems(rows_of=lambda real, section: damaged("list") if section == 10 else real(section)) == [
        Problem("lib:words", None, "here: damaged at byte 0: list")
    ]
    assert problems(find=lambda real, section, key: 7 if section == 8 else real(section, key))[0].what == (
        "its key leads to row 7"
    )
    moved = problems(row=lambda real, number: real(number)._replace(section=3) if number == x else real(number))
    assert moved[0] == Problem("app:words", x, "is of section 3")
    links: Any = lambda real, number: [] if number == a else damaged("links") if number == x else real(number)  # noqa: E731
    assert [problem.what for problem in problems(dependents=links)] == [
        "what depends on app:words('a') is not what says so",
        "here: damaged at byte 0: links",
    ]
    assert problems(deep=False, dependents=links) == []
    values: Any = lambda real, number: Content(b"\xff", b"\x01\x01") if number == x else real(number)  # noqa: E731
    assert [problem.what.partition(" is no value")[0] for problem in problems(content=values)] == [
        "its value",
        "its pushes",
    ]
    assert problems(head=lambda real: real()._replace(classes=b"\xff"))[0].section == ""

    def reading(*reads: int) -> Any:
        """A head in which the section of the words has these."""
        sections = [info._replace(reads=reads) if info.name == "app:words" else info for info in honest.head().sections]
        return lambda real: real()._replace(sections=sections)

    assert [(problem.section, problem.what) for problem in problems(head=reading())] == [
        ("app:words", f"depends on row {number}; its section does not say so") for number in range(3)
    ]
    assert "said to depend on a section that is not there" in problems(head=reading(99))[0].what


@pytest.mark.spec("tools.verify")
def test_rows_are_named_as_a_reader_would_write_them() -> None:
    honest = MemoryStore().open()
    kept = keep(honest)
    lying: Any = Lying(honest, dependents=lambda real, number: [0] if number in named else real(number))
    named = {
        kept.call("app:pair", ("user", 10)): "app:pair('user', 10)",
        kept.call("app:everything", ()): "app:everything()",
        kept[KEY_SETS, "app:Source", None]: "keys of app:Source",
        kept[RECORDS, "app:Source", "x"]: "app:Source('x')",
    }
    said = {problem.row: problem.what for problem in verify(lying, deep=True)}
    assert said == {number: f"what depends on {text} is not what says so" for number, text in named.items()}


@pytest.mark.spec("tools.verify", "sqlite.checked")
def test_sqlites_own_check_is_a_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore.open(path)
    keep(store)
    store._connection.execute("PRAGMA writable_schema = ON")
    store._connection.execute("DELETE FROM sqlite_schema WHERE name = 'rows_by_hash'")
    store.close()
    store = SqliteStore.open(path)
    (problem,) = verify(store)
    assert "SQLite's own check says" in problem.what
    store.close()


# --- salvaging ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("tools.salvage")
def test_what_is_sound_is_all_taken_over(store: Store) -> None:
    keep(store)
    target = MemoryStore().open()
    told: list[tuple[int, int]] = []
    salvaged = salvage(store, target, lambda done, total: told.append((done, total)))
    assert (salvaged.rows, salvaged.lost, salvaged.inputs) == (20, [], [])
    compare(store, target)
    assert told


def salvaged_without(*lost: tuple[int, str, Any]) -> tuple[Store, Kept, Any]:
    honest = MemoryStore().open()
    kept = keep(honest)
    numbers = [kept[place] for place in lost]
    lying: Any = Lying(honest, content=lambda real, number: damaged("lost") if number in numbers else real(number))
    target = MemoryStore().open()
    found = salvage(lying, target)
    assert [number for _, number, _ in found.lost] == numbers
    is_right(target)
    return target, kept, found


@pytest.mark.spec("tools.salvage")
def test_a_lost_call_has_to_run_again(tmp_path: Path) -> None:
    store, kept, found = salvaged_without((CALLS, "app:pair", ("user", 1)))
    assert found.inputs == []
    row = store.row(kept.call("app:everything", ()))
    assert (row.valid_from, row.flags & GOOD, list(row.dependencies)) == (NEVER, 0, [])
    assert keys(store, "Diagnostics") == [kept.call("app:everything", ())]
    assert keys(store, "pair") == [["user", 10], ["user:1", True]]


@pytest.mark.spec("tools.salvage")
def test_a_lost_record_takes_along_what_tells_of_records() -> None:
    store, kept, found = salvaged_without((RECORDS, "app:Source", "x"))
    assert found.inputs == ["app:Source"]
    assert keys(store, "app:Source") == ["a", "ab"]
    infos = {info.number: info for info in store.head().sections}
    assert {infos[store.row(number).section].kind for _, number in numbers_of(store, store.head())}.isdisjoint(
        {PRESENCES, KEY_SETS}
    )
    for key in ("everything", "pair"):
        number = kept.call(f"app:{key}", () if key == "everything" else ("user", 1))
        assert store.row(number).valid_from == NEVER  # one read the keys, the other a presence
    assert store.row(kept.call("app:words", "ab")).flags & GOOD
    assert not store.row(kept.call("app:of_tuple", ("user", 1, "x"))).flags & GOOD


@pytest.mark.spec("tools.salvage")
def test_without_the_list_of_rows_they_are_looked_for() -> None:
    honest = MemoryStore().open()
    kept = keep(honest)
    numbers = [kept[RECORDS, "app:Source", "x"]]
    lying: Any = Lying(
        honest,
        rows_of=lambda real, section: damaged("list") if section in (0, 5) else real(section),
        row=lambda real, number: damaged("lost") if number in numbers else real(number),
    )
    target = MemoryStore().open()
    found = salvage(lying, target)
    assert [(section, number) for section, number, _ in found.lost] == [("app:Source", None), ("app:words", None)]
    assert found.inputs == ["app:Source"]
    assert keys(target, "app:words") == ["a", "ab", "x"]
    is_right(target)


@pytest.mark.spec("tools.salvage")
def test_whatever_is_lost_what_is_left_is_right() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    honest = MemoryStore().open()
    keep(honest)
    everything = [number for _, number in numbers_of(honest, honest.head())]
    for _ in range(60):
        numbers = chosen.sample(everything, chosen.randrange(1, 6))
        lying: Any = Lying(honest, row=lambda real, number: damaged("lost") if number in numbers else real(number))  # noqa: B023
        target = MemoryStore().open()
        salvage(lying, target)
        is_right(target)
        copy(target, MemoryStore().open())
