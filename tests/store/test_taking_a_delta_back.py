"""What a delta has done to an overlay is undone exactly."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from file_store_workloads import delta, everything, expected
from incr import IncrError
from incr.store import MemoryStore
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits
from incr.store.overlay import Overlay
from incr.store.rows import Delta, Store, TakenBackError
from incr.store.sqlite_store import SqliteStore
from incr.store.undo import remember, restore
from incr.testing import FakeDirectory
from store_programs import Model, Step, steps


def what_it_says(overlay: Overlay) -> tuple[Any, ...]:
    users = {number: sorted(users) for number, users in overlay.users.items()}
    return dict(overlay.rows), set(overlay.removed), dict(overlay.stamps), dict(overlay.keys), users


@pytest.mark.spec("store.take-back")
@given(program=steps)
def test_what_was_applied_is_undone(program: list[Step]) -> None:
    overlay, model = Overlay(), Model()
    for step in program:
        delta = model.delta(step)
        if step.then == "checkpoint":  # from here on, what was before is below
            overlay = Overlay()
        said, before = what_it_says(overlay), remember(overlay, delta)
        overlay.apply(delta)
        now = what_it_says(overlay)
        restore(overlay, before)
        assert what_it_says(overlay) == said
        overlay.apply(delta)
        assert what_it_says(overlay) == now


@pytest.mark.spec("store.take-back")
def test_what_was_gone_before_stays_gone() -> None:
    overlay = Overlay()
    delta = Delta(1, [], None, 0, {}, [], [], [3])
    overlay.apply(delta)
    before = remember(overlay, delta)
    overlay.apply(delta)
    restore(overlay, before)
    assert overlay.removed == {3}


@pytest.mark.spec("store.take-back")
@pytest.mark.parametrize("verified", [True, False])
def test_a_stamp_that_was_there_comes_back(verified: bool) -> None:
    """Of rows that are in the base."""
    overlay = Overlay()
    overlay.apply(Delta(2, [], None, 0, {}, [5], [6], []))
    said = what_it_says(overlay)
    delta = Delta(3, [], None, 0, {}, [6] if verified else [], [] if verified else [5], [])
    before = remember(overlay, delta)
    overlay.apply(delta)
    assert what_it_says(overlay) != said
    restore(overlay, before)
    assert what_it_says(overlay) == said


@pytest.mark.spec("store.take-back", "store.alike")
@pytest.mark.parametrize("kind", ["file", "file, long deltas", "sqlite", "memory"])
def test_a_delta_that_relies_on_what_is_not_there_is_refused(kind: str, tmp_path: Path) -> None:
    store: Store
    if kind == "memory":
        store = MemoryStore().open()
    elif kind == "sqlite":
        store = SqliteStore.open(tmp_path / "store.db")
    else:
        limits = StoreLimits(entry_bytes=10) if "long" in kind else StoreLimits()
        store = FileStore.open(FakeDirectory(), durability="relaxed", limits=limits)
    for number in (1, 2, 3):
        for behind in (number - 2, number, 9):
            with pytest.raises(TakenBackError, match=f"delta {behind}"):
                store.append(delta(number), behind=behind)
        assert everything(store) == expected(number - 1)
        assert store.append(delta(number), behind=number - 1) == number
    assert everything(store) == expected(3)
    store.close()


@pytest.mark.spec("store.take-back")
def test_what_was_made_before_somebody_hears_that_a_delta_was_lost_is_refused() -> None:
    disk = FakeDirectory()
    store = FileStore.open(disk, durability="relaxed")
    store.append(delta(1))
    heard = threading.Event()
    refused: list[TakenBackError] = []

    def told(error: IncrError | None) -> None:
        # Whoever has made the third one meanwhile, has made it on the second one.
        assert error is not None
        try:
            store.append(delta(3), lambda _: None, behind=2)
        except TakenBackError as found:
            refused.append(found)
        heard.set()

    disk.fail("pwrite", errno.ENOSPC)
    assert store.append(delta(2), told, behind=1) == 2
    assert heard.wait(60)
    assert [error.path for error in refused] == [store.path]
    assert everything(store) == expected(1)
    assert store.append(delta(2), behind=1) == 2
    store.close()
    with FileStore.open(FakeDirectory(disk.files())) as again:
        assert everything(again) == expected(2)
