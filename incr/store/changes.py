"""What an overlay changes in a base, by page.

Law: a page that is not named here has in the next base the rows that it has now, with the same contents and the same
dependents. Of the old base only pages are read in which a row is changed or removed.

Keeps: paged.copy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import final

from incr.store.checksum import Checksum
from incr.store.index import entries_of
from incr.store.overlay import Overlay, Stamp
from incr.store.paged import Page, PagedBase
from incr.store.rows import PAGE_ROWS, Content, Row

__all__ = ["Changes", "PageChange"]


@final
class PageChange:
    """What changes in one page; rows by their numbers in it."""

    __slots__ = ("dependents", "removed", "rows", "stamps")

    def __init__(self) -> None:
        #: New rows and changed ones, in order.
        self.rows: dict[int, tuple[Row, Content | None]] = {}
        #: Rows that were there.
        self.removed: set[int] = set()
        self.stamps: dict[int, Stamp] = {}
        #: Rows that other rows depend on than before; not kept for a page in a first base.
        self.dependents: set[int] = set()


@final
class Changes:
    """All that is different in the next base."""

    __slots__ = ("_checksum", "_old", "added", "dropped", "pages")

    def __init__(self, old: PagedBase | None, overlay: Overlay, checksum: Checksum) -> None:
        self._old = old
        self._checksum = checksum
        self.pages: dict[int, PageChange] = {}
        #: What comes into the index.
        self.added: list[int] = []
        #: What leaves it.
        self.dropped: set[int] = set()
        concerned: set[int] = set()
        for number, page, members in self._by_page(overlay.rows):
            self._take_rows(number, page, members, overlay, concerned)
        for number, page, members in self._by_page(overlay.removed):
            if page is not None:
                self._take_removed(number, page, members, concerned)
        for number, stamp in overlay.stamps.items():
            self._page(number // PAGE_ROWS).stamps[number % PAGE_ROWS] = stamp
        for number in concerned:
            self._page(number // PAGE_ROWS).dependents.add(number % PAGE_ROWS)

    def _by_page(self, numbers: Iterable[int]) -> Iterator[tuple[int, Page | None, list[int]]]:
        ordered = sorted(numbers)
        at = 0
        while at < len(ordered):
            number = ordered[at] // PAGE_ROWS
            behind = bisect_left(ordered, (number + 1) * PAGE_ROWS, at)
            yield number, None if self._old is None else self._old.page(number), ordered[at:behind]
            at = behind

    def _take_rows(
        self, number: int, page: Page | None, members: list[int], overlay: Overlay, concerned: set[int]
    ) -> None:
        rows = {member % PAGE_ROWS: overlay.rows[member] for member in members}
        self._page(number).rows = rows
        if page is not None:
            there = set(page.head.locals)
            for local, (row, _) in rows.items():
                before = page.head.dependencies(page.head.index(local)) if local in there else ()
                concerned.update(set(row.dependencies).symmetric_difference(before))
            members = [member for member in members if member % PAGE_ROWS not in there]
        elif self._old is not None:
            concerned.update(*[row.dependencies for row, _ in rows.values()])
        section = next(iter(rows.values()))[0].section
        new = [(member, overlay.rows[member][0].key) for member in members]
        self.added += entries_of(self._checksum, section, new)

    def _take_removed(self, number: int, page: Page, members: list[int], concerned: set[int]) -> None:
        for member in members:
            index = page.head.index(member % PAGE_ROWS)
            if index >= 0:
                self._page(number).removed.add(member % PAGE_ROWS)
                gone = [(member, bytes(page.head.key(index)))]
                self.dropped.update(entries_of(self._checksum, page.head.section, gone))
                concerned.update(page.head.dependencies(index))

    def _page(self, number: int) -> PageChange:
        change = self.pages.get(number)
        if change is None:
            change = self.pages[number] = PageChange()
        return change
