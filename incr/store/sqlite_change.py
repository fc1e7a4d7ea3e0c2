"""A delta becomes statements.

Law: what is written is read first where anything of it stays, so that a damaged record is never made good by a new
digest; and each statement must meet as many rows as there are.

Keeps: store.alike, sqlite.checked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, final

from incr.store.rows import GOOD, Content, Delta, Head, Row
from incr.store.sqlite_records import Record, Records, SectionRecord, mark_of

__all__ = ["ROW_COLUMNS", "State", "apply", "put_head"]

ROW_COLUMNS: Final = (
    "number, section, key, hash, changed_at, valid_from, flags, dependencies, dependents, dependent_sum, content, "
    "digest"
)
_SELECT: Final = f"SELECT {ROW_COLUMNS} FROM rows WHERE number = ?"
_INSERT: Final = f"INSERT INTO rows ({ROW_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE: Final = (
    "UPDATE rows SET changed_at = ?, valid_from = ?, flags = ?, dependencies = ?, dependents = ?, dependent_sum = ?, "
    "content = ?, digest = ? WHERE number = ?"
)
#: Where the columns that an update changes begin.
_KEPT_COLUMNS: Final = 4
_SUM: Final = (1 << 64) - 1


class State(NamedTuple):
    """What is known of a store without asking SQLite."""

    head: Head
    sections: Mapping[int, SectionRecord]


def apply(connection: sqlite3.Connection, records: Records, state: State, delta: Delta) -> State:
    """Write a delta into the open transaction; the state behind it.

    Raises:
        CorruptError: what it has to change is damaged.
        sqlite3.Error, OverflowError: it cannot be written. The transaction has to be rolled back.
    """
    sections = dict(state.sections)
    for info in delta.sections:
        before = sections.get(info.number)
        sections[info.number] = SectionRecord(info, before.rows if before else 0, before.row_sum if before else 0)
    change = _Change(connection, records, sections)
    change.plan(delta)
    change.write()
    changed = {number for number, record in sections.items() if record != state.sections.get(number)}
    connection.executemany(
        "INSERT OR REPLACE INTO sections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [records.pack_section(sections[number]) for number in sorted(changed)],
    )
    head = Head(
        delta.revision,
        tuple(sections[number].info for number in sorted(sections)),
        state.head.classes if delta.classes is None else delta.classes,
        delta.next_page,
        state.head.last + 1,
    )
    put_head(connection, records, head, 0)
    return State(head, sections)


def put_head(connection: sqlite3.Connection, records: Records, head: Head, synced: int) -> None:
    """Write the head; *synced* is a number of any kind that makes it another one."""
    values = (
        head.revision, head.classes, head.next_page, head.last, synced, len(head.sections),
        records.head_digest(head, synced),
    )  # fmt: skip
    connection.execute(
        "UPDATE head SET revision = ?, classes = ?, next_page = ?, last = ?, synced = ?, sections = ?, digest = ?",
        values,
    )


@final
class _Change:
    """What of a delta has to be written."""

    __slots__ = (
        "_connection", "_contents", "_gone", "_links", "_new", "_now", "_records", "_sections", "_unlinks",
    )  # fmt: skip

    def __init__(self, connection: sqlite3.Connection, records: Records, sections: dict[int, SectionRecord]) -> None:
        self._connection = connection
        self._records = records
        self._sections = sections
        #: Rows that are different behind the delta.
        self._now: dict[int, Record] = {}
        self._new: set[int] = set()
        self._gone: set[int] = set()
        self._contents: dict[int, Content] = {}
        #: (row, the one that depends on it), new and no more.
        self._links: list[tuple[int, int]] = []
        self._unlinks: list[tuple[int, int]] = []

    def plan(self, delta: Delta) -> None:
        """Find out what is different."""
        for number in delta.removed:
            row = self._there(number).row
            self._gone.add(number)
            self._unlinks += [(dependency, number) for dependency in row.dependencies]
            self._count(row.section, number, -1)
        for number, (row, content) in delta.rows.items():
            self._put(number, row, content)
        for number in delta.verified:
            record = self._there(number)
            row = record.row._replace(valid_from=delta.revision, flags=record.row.flags | GOOD)
            self._now[number] = record._replace(row=row)
        for number in delta.suspect:
            record = self._there(number)
            self._now[number] = record._replace(row=record.row._replace(flags=record.row.flags & ~GOOD))
        # Now all rows of the delta are known: what depends on what may be in any order.
        self._relink(self._unlinks, -1)
        self._relink(self._links, 1)

    def _put(self, number: int, row: Row, content: Content | None) -> None:
        record = self._find(number)
        before: frozenset[int] = frozenset()
        kept = b""
        if record is None:
            self._new.add(number)
            self._count(row.section, number, 1)
        else:
            before = frozenset(record.row.dependencies)
            kept = record.content
        if content is not None:
            kept = self._records.digest_of(number, content)
            self._contents[number] = content
        now = frozenset(row.dependencies)
        self._unlinks += [(dependency, number) for dependency in before - now]
        self._links += [(dependency, number) for dependency in now - before]
        count, total = (record.dependents, record.dependent_sum) if record else (0, 0)
        self._now[number] = Record(row, count, total, kept)

    def _relink(self, pairs: Iterable[tuple[int, int]], sign: int) -> None:
        for dependency, dependent in pairs:
            if dependency not in self._gone:
                record = self._there(dependency)
                total = record.dependent_sum + sign * mark_of(dependent) & _SUM
                self._now[dependency] = record._replace(dependents=record.dependents + sign, dependent_sum=total)

    def _count(self, section: int, number: int, sign: int) -> None:
        info, rows, row_sum = self._sections[section]
        self._sections[section] = SectionRecord(info, rows + sign, row_sum + sign * mark_of(number) & _SUM)

    def _find(self, number: int) -> Record | None:
        found = self._now.get(number)
        if found is None:
            columns = self._connection.execute(_SELECT, (number,)).fetchone()
            found = None if columns is None else self._records.unpack(columns)
        return found

    def _there(self, number: int) -> Record:
        found = self._find(number)
        if found is None:
            raise self._records.damaged(f"row {number} is not there")
        return found

    # --- writing --------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write it. What goes, goes first: a key may be another row's now."""
        gone = [(number,) for number in self._gone]
        self._each("DELETE FROM dependents WHERE number = ? AND dependent = ?", self._unlinks)
        self._each("DELETE FROM rows WHERE number = ?", gone)
        self._connection.executemany("DELETE FROM contents WHERE number = ?", gone)
        packed = [(number, self._records.pack(number, record)) for number, record in self._now.items()]
        self._each(_INSERT, [columns for number, columns in packed if number in self._new])
        self._each(
            _UPDATE,
            [(*columns[_KEPT_COLUMNS:], number) for number, columns in packed if number not in self._new],
        )
        self._each("INSERT INTO dependents VALUES (?, ?)", self._links)
        self._write_contents()

    def _write_contents(self) -> None:
        empty = [(number,) for number, content in self._contents.items() if not any(content)]
        full = [(number, *content) for number, content in self._contents.items() if any(content)]
        self._connection.executemany("DELETE FROM contents WHERE number = ?", empty)
        self._connection.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?, ?)", full)

    def _each(self, statement: str, rows: list[Any]) -> None:
        """Each of the rows is there, and there once."""
        if rows and self._connection.executemany(statement, rows).rowcount != len(rows):
            raise self._records.damaged("a row that has to be changed is not there")
