"""Records that were removed leave no row in a store once nobody depends on their absence."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

import incr
from incr.store import MemoryStore
from incr.store.rows import PRESENCES, RECORDS, Delta, Told
from incr.testing import Recorder
from stored_worlds import database_on
from strict_store import StrictStore


@incr.input
class Note:
    name: int = incr.key()
    text: str


@incr.query
def everything(db: incr.View) -> str:
    return " ".join(db[Note, name].text for name in db.keys(Note))


@incr.query
def text_of(db: incr.View, name: int) -> str:
    return db[Note, name].text if (Note, name) in db else ""


@pytest.fixture
def place() -> MemoryStore:
    """A store with five notes."""
    place = MemoryStore()
    with opened(place) as db:
        for name in range(5):
            db.set(Note(name, text=f"n{name}"))
        db.commit()
    return place


class Full(StrictStore):
    """A store that takes some deltas only."""

    chance: random.Random | None = None

    def append(self, delta: Delta, told: Told | None = None, **options: Any) -> int:
        self.check(delta)
        if self.chance is not None and self.chance.random() < 0.5:
            raise incr.StoreError("memory", "is full")
        return super().append(delta, told, **options)


def opened(place: MemoryStore, chance: random.Random | None = None) -> incr.Database:
    store: Any = Full(place.open())
    store.chance = chance
    return database_on(store, [one.__incr__ for one in (Note, everything, text_of)])


def rows(db: incr.Database) -> int:
    """How many slots and presences the store has."""
    store = db._session.store
    kept = [info.number for info in store.head().sections if info.kind in (RECORDS, PRESENCES)]
    return sum(len(list(store.rows_of(number))) for number in kept)


@pytest.mark.spec("commit.vacant")
def test_a_removed_record_that_nobody_has_read_leaves_nothing(place: MemoryStore) -> None:
    with opened(place) as db:
        db.remove(Note, 1)
        db.commit()
        assert rows(db) == 4
    with opened(place) as db:
        assert everything(db) == "n0 n2 n3 n4"
        db.set(Note(1, text="again"))
        db.commit()
        assert rows(db) == 5
    with opened(place) as db, Recorder(db) as ran:
        assert everything(db) == "n0 again n2 n3 n4"
        assert ran.take() == ["everything()"]


@pytest.mark.spec("commit.vacant")
def test_its_row_stays_as_long_as_somebody_depends_on_it(place: MemoryStore) -> None:
    with opened(place) as db:
        assert everything(db) == "n0 n1 n2 n3 n4"
        assert [text_of(db, name) for name in range(3)] == ["n0", "n1", "n2"]
        db.commit()
        before = rows(db)
    with opened(place) as db:
        db.remove(Note, 4)
        db.remove(Note, 1)
        db.commit()
        assert rows(db) == before  # `everything` has not run yet
        assert everything(db) == "n0 n2 n3"
        db.commit()
        assert rows(db) == before - 1  # the row of note 4; who asked for note 1 depends on it
    with opened(place) as db, Recorder(db) as ran:
        assert everything(db) == "n0 n2 n3"
        assert ran.take() == []
        assert text_of(db, 1) == ""
        assert ran.take() == ["text_of(1)"]
        db.commit()
        assert rows(db) == before - 1  # whoever has found out that it is not there depends on that
        db.set(Note(1, text="new"))
        assert (text_of(db, 1), everything(db)) == ("new", "n0 new n2 n3")
        db.commit()
    with opened(place) as db, Recorder(db) as ran:
        assert (text_of(db, 1), everything(db)) == ("new", "n0 new n2 n3")
        assert ran.take() == []


@pytest.mark.spec("commit.vacant", "commit.atomic", "commit.failed")
def test_any_history_of_removals_is_right_after_each_opening(place: MemoryStore) -> None:
    for seed in range(20):
        chance, now = random.Random(seed), {name: f"n{name}" for name in range(5)}
        with opened(place) as db:
            for name in range(5):
                db.set(Note(name, text=f"n{name}"))
            for name in [name for name in db.keys(Note) if name not in now]:
                db.remove(Note, name)
            db.commit()
        for _ in range(4):
            with opened(place, chance) as db:
                kept = dict(now)
                for _ in range(8):
                    name = chance.randrange(8)
                    match chance.randrange(5):
                        case 0:
                            db.remove(Note, name)
                            now.pop(name, None)
                        case 1:
                            now[name] = chance.choice("xyz")
                            db.set(Note(name, text=now[name]))
                        case 2:
                            assert text_of(db, name) == now.get(name, "")
                        case 3:
                            assert everything(db) == " ".join(now[name] for name in sorted(now))
                        case _:
                            with suppress(incr.StoreError):
                                db.commit()
                                kept = dict(now)
                    db.check_invariant()
                now = kept
