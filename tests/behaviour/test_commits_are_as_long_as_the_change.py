"""The log grows by what changed, the same for each commit, however much the database has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import incr
from incr.store import FileDirectory
from incr.store.delta import unpack_delta
from incr.store.file_store import FileStore
from incr.store.segments import list_segments, read_frames


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.query
def shouted(db: incr.View, path: str, times: int) -> str:
    return db[Source, path].text.upper() + "!" * times


def log_bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in place.glob("log-*"))


def state(db: Any) -> dict[int, Any]:
    """All rows, as the store has them."""
    store: FileStore = db._session.store
    numbers = [number for info in store.head().sections for number in store.rows_of(info.number)]
    return {number: (store.row(number), store.content(number)) for number in numbers}


def change_bytes(before: dict[int, Any], after: dict[int, Any]) -> int:
    """Keys, values and dependencies (of four bytes each) of the rows that are different."""
    different = [after[number] for number in after if after[number] != before.get(number)]
    return sum(len(row.key) + 4 * len(row.dependencies) + len(content.value) for row, content in different)


@pytest.mark.spec("commit.journal", "store.delta")
@pytest.mark.parametrize(("length", "calls", "others"), [(8, 1, 0), (200, 1, 0), (200, 1, 300), (200, 10, 0)])
def test_the_log_grows_by_the_change(length: int, calls: int, others: int, tmp_path: Path) -> None:
    place = tmp_path / "state"
    with incr.open(place) as db:
        for number in range(others):
            db.set(Source(f"other {number}", text="never changes"))
            shouted(db, f"other {number}", 0)
        grown: list[int] = []
        changes: list[int] = []
        for turn in range(22):
            before, size = state(db), log_bytes(place)
            db.set(Source("a", text=f"{turn:04d}" * (length // 4)))
            for times in range(calls):
                shouted(db, "a", times)
            db.commit()
            grown.append(log_bytes(place) - size)
            changes.append(change_bytes(before, state(db)))
    # The first two also say what sections and classes there are.
    assert len(set(grown[2:])) == len(set(changes[2:])) == 1
    assert grown[-1] <= changes[-1] + 96 + 12 * (1 + calls)
    if length > 100:
        assert grown[-1] <= 2 * changes[-1]


@pytest.mark.spec("store.delta")
def test_the_smallest_commit_is_at_most_twice_its_delta(tmp_path: Path) -> None:
    place = tmp_path / "state"
    with incr.open(place) as db:
        for turn in range(20):
            db.set(Source("a", text=str(turn % 10)))
            shouted(db, "a", 0)
            db.commit()
        directory = FileDirectory(place)
        frames = list(read_frames(directory, list_segments(directory, 20).parts, 20, 0))
    deltas = [entry for frame, _ in frames for entry in frame.entries]
    assert [sorted(unpack_delta("log", entry).rows) for entry in deltas[1:]] == [[0, 256]] * 19
    assert log_bytes(place) <= 2 * sum(map(len, deltas))
