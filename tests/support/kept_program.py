"""A store as a database would leave it, small enough to be looked at: sources, calls on them, what was collected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incr._codec import ClassTable, Encoder
from incr.store.rows import (
    CALLS,
    GOOD,
    HIGH,
    INTERNED,
    KEY_SETS,
    NEVER,
    PAGE_ROWS,
    PRESENCES,
    RECORDS,
    UNTRACKED,
    Content,
    Delta,
    Row,
    SectionInfo,
    Store,
)

__all__ = ["Kept", "keep"]

_SECTIONS = (
    (RECORDS, "app:Source", ("path",)),
    (PRESENCES, "app:Source", ("path",)),
    (KEY_SETS, "app:Source", ()),
    (UNTRACKED, "", ()),
    (INTERNED, "app:Word", ()),
    (CALLS, "app:words", ("path",)),
    (CALLS, "app:pair", ("left", "right")),
    (CALLS, "app:of_tuple", ("key",)),
    (CALLS, "app:everything", ()),
    (CALLS, "app:Diagnostics", ()),
    (CALLS, "lib:words", ("path",)),
)


class Kept:
    """What `keep` has put into a store: the numbers of its rows, by section name and key."""

    def __init__(self, store: Store, numbers: Mapping[tuple[int, str, Any], int]) -> None:
        self._store = store
        self._numbers = numbers

    def __getitem__(self, place: tuple[int, str, Any]) -> int:
        return self._numbers[place]

    def call(self, name: str, key: Any) -> int:
        """The row of a call."""
        return self._numbers[CALLS, name, key]


class _Keeping:
    def __init__(self, table: ClassTable) -> None:
        self._encoder = Encoder(table, owner="test")
        self._next = [number * PAGE_ROWS for number in range(len(_SECTIONS))]
        self.rows: dict[int, tuple[Row, Content | None]] = {}
        self.numbers: dict[tuple[int, str, Any], int] = {}

    def row(
        self, kind: int, name: str, key: Any, dependencies: tuple[int, ...] = (), flags: int = GOOD, **content: Any
    ) -> int:
        section = [place[:2] for place in _SECTIONS].index((kind, name))
        number = self._next[section]
        self._next[section] += 1
        encoded = b"" if kind == KEY_SETS else self._encoder.encode(key)
        data = Content(
            *(self._encoder.encode(content[part]) if part in content else b"" for part in ("value", "pushes"))
        )
        self.rows[number] = (Row(section, encoded, 1, 2, flags, dependencies), data)
        self.numbers[kind, name, key] = number
        return number

    def sections(self) -> list[SectionInfo]:
        reads: dict[int, set[int]] = {}
        for row, _ in self.rows.values():
            reads.setdefault(row.section, set()).update(self.rows[one][0].section for one in row.dependencies)
        return [
            SectionInfo(
                number, kind, name, b"code" if kind == CALLS else b"", parts, self._next[number], 1,
                tuple(sorted(reads.get(number, ()))), int(kind == CALLS), 2 if name == "app:everything" else 0,
            )
            for number, (kind, name, parts) in enumerate(_SECTIONS)
        ]  # fmt: skip


def keep(store: Store, value: Any = ("b", "c")) -> Kept:
    """Fill a new store: three sources, and calls of which each reads those before it; *value* is one of theirs."""
    table = ClassTable()
    keeping = _Keeping(table)
    row = keeping.row
    sources = [row(RECORDS, "app:Source", path, flags=GOOD | HIGH, value={"text": path}) for path in ("a", "ab", "x")]
    there = row(PRESENCES, "app:Source", "a")
    keys = row(KEY_SETS, "app:Source", None)
    clock = row(UNTRACKED, "", "the clock")
    row(INTERNED, "app:Word", "b")
    words = [
        row(CALLS, "app:words", path, (source,), value=value)
        for path, source in zip(("a", "ab", "x"), sources, strict=True)
    ]
    row(CALLS, "lib:words", "a", (sources[0],), value=1)
    pairs = [
        row(CALLS, "app:pair", ("user", 1), (words[0], there), value=1.5, pushes=(("Diagnostics", 0, "odd"),)),
        row(CALLS, "app:pair", ("user", 10), (words[1],), value=None),
        row(CALLS, "app:pair", ("user:1", True), (words[2], clock), flags=0),
    ]
    row(CALLS, "app:of_tuple", ("user", 1, "x"), (pairs[0],), value={1, 2})
    row(CALLS, "app:of_tuple", ("user", 10), (pairs[1],), value=[b"bytes"])
    row(CALLS, "app:of_tuple", "user", (pairs[0], keys), value={"k": float("inf")})
    everything = row(CALLS, "app:everything", (), (pairs[0], pairs[1], keys), value=2**70)
    row(CALLS, "app:Diagnostics", pairs[0], (pairs[0],), value=("odd",))
    row(CALLS, "app:Diagnostics", everything, (everything,), flags=0, value=())
    number = keeping.numbers[CALLS, "app:pair", ("user:1", True)]
    stored, content = keeping.rows[number]
    keeping.rows[number] = (stored._replace(valid_from=NEVER, dependencies=()), content)
    classes = Encoder(ClassTable(), owner="classes").encode(table.to_list())
    store.append(Delta(2, keeping.sections(), classes, len(_SECTIONS), keeping.rows, (), (), ()))
    return Kept(store, keeping.numbers)
