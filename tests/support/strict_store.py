"""A store that asserts of each delta what `incr.store.rows` says of deltas, before it takes it."""

from __future__ import annotations

from typing import Any

from incr.store.rows import PAGE_ROWS, Delta, SectionInfo, Store, Told

__all__ = ["StrictStore"]


class StrictStore:
    """Any store, and an answer in time for whoever breaks the rules."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append(self, delta: Delta, told: Told | None = None, **options: Any) -> int:
        self.check(delta)
        return self._store.append(delta, told, **options)

    def check(self, delta: Delta) -> None:
        """Assert that the delta is one."""
        store, rows, removed = self._store, delta.rows, set(delta.removed)
        there = {number for info in store.head().sections for number in store.rows_of(info.number)}
        parts = [*rows, *delta.verified, *delta.suspect, *delta.removed]
        assert len(set(parts)) == len(parts), f"rows in two parts: {sorted(parts)}"
        assert {*delta.verified, *delta.suspect, *removed} <= there, "stamps or removals of rows that are not there"
        after = (there | rows.keys()) - removed
        kinds = {info.number: info for info in (*store.head().sections, *delta.sections)}
        keys = {(store.row(number).section, store.row(number).key): number for number in after - rows.keys()}
        pages: dict[int, int] = {}
        sections: dict[int, set[int]] = {}
        for number in after:
            row = rows[number][0] if number in rows else store.row(number)
            assert row.section in kinds, f"row {number} is of no section"
            assert pages.setdefault(number // PAGE_ROWS, row.section) == row.section, f"row {number} is on a wrong page"
            missing = set(row.dependencies) - after
            assert not missing, f"row {number} depends on {missing}, which are gone"
            assert len(set(row.dependencies)) == len(row.dependencies), f"row {number} names one twice"
            sections.setdefault(row.section, set()).update(row.dependencies)
            if number in rows:
                assert number // PAGE_ROWS < delta.next_page, f"row {number} is on a page that was not given out"
                assert keys.setdefault((row.section, row.key), number) == number, f"two rows have the key of {number}"
        self._check_sections(
            delta, kinds, {one: {pages[number // PAGE_ROWS] for number in sections[one]} for one in sections}
        )

    def _check_sections(self, delta: Delta, infos: dict[int, SectionInfo], reads: dict[int, set[int]]) -> None:
        for number, read in reads.items():
            assert read <= set(infos[number].reads), f"section {number} has rows that depend on others than it says"
        for info in delta.sections:
            assert 0 <= info.code_since <= delta.revision, f"section {info.number} knows of what is not yet"
            assert 0 <= info.doubt_since <= delta.revision, f"section {info.number} knows of what is not yet"
            assert (info.pages > 0) is (info.next_row > 0), f"section {info.number} has {info.pages} pages"
