"""One page of the next base: what is new about it, and what of the old page goes into it as it stands.

Law: a block in which nothing has changed is not unpacked, but copied. Contents are cut into groups of whole rows, each
named by its first row, so that a longer value does not move what is behind it into other blocks. No group stays small
next to one that is written anew, so pages do not fall to pieces over many bases.

Keeps: paged.copy, paged.zstd.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple, final

from incr._errors import CorruptError, StoreError
from incr.store.block import DEPENDENTS, HEAD, LONGEST_STREAM, VALUES, ZSTD, Listed, Proof, Zstd, raw_block
from incr.store.changes import PageChange
from incr.store.columns import unpack_numbers
from incr.store.layout import BLOCK_BYTES
from incr.store.overlay import Overlay, with_stamp
from incr.store.page import HeadRow, pack_dependents, pack_head
from incr.store.paged import Page, PagedBase, Stream
from incr.store.rows import PAGE_ROWS

__all__ = ["NewPage", "Pages", "Piece", "copied"]

#: A group of contents that is smaller is written together with a new one beside it.
_SMALL: Final = BLOCK_BYTES // 4
_CHUNKS: Final = 1 << 16


class Piece(NamedTuple):
    """A block of the next base: its bytes as they are stored, or where they are in the old one."""

    block: Listed
    content: bytes | int


class NewPage(NamedTuple):
    """A page of the next base."""

    section: int
    rows: int
    pieces: Sequence[Piece]


class _Group(NamedTuple):
    """Contents of some rows of a page that are in blocks of their own."""

    #: The numbers of the first and the last row in the page; all rows between them are in the group, too.
    first: int
    last: int
    #: Which blocks of the stream.
    blocks: range
    size: int


def copied(stream: Stream) -> Iterator[Piece]:
    """All blocks of a stream as they are in the old base."""
    return map(Piece, stream.blocks, stream.offsets)


@final
class Pages:
    """Makes pages of a base and an overlay."""

    __slots__ = ("_base", "_overlay", "_path", "_proof", "_zstd")

    def __init__(self, path: str, base: PagedBase | None, overlay: Overlay, proof: Proof, zstd: Zstd | None) -> None:
        self._path = path
        self._base = base
        self._overlay = overlay
        self._proof = proof
        self._zstd = zstd

    # spec: paged.copy
    def rewritten(self, number: int, page: Page | None, change: PageChange) -> NewPage | None:
        """The page with what is changed in it; None if no row is left."""
        before = {} if page is None else page.head.rows()
        section, rows = self._rows(page, before, change)
        if not rows:
            return None
        if page is not None and not (change.rows or change.removed or change.stamps):
            heads = list(copied(page.heads))
        else:
            heads = list(self._cut(number, HEAD, 0, pack_head(rows)))
        if page is not None and not change.dependents and rows.keys() == before.keys():
            dependents = list(copied(page.dependents))
        else:
            packed = pack_dependents(self._dependents(number, page, change, rows))
            dependents = list(self._cut(number, DEPENDENTS, 0, packed))
        return NewPage(section, len(rows), [*heads, *dependents, *self._values(number, page, change)])

    def _rows(
        self, page: Page | None, before: dict[int, HeadRow], change: PageChange
    ) -> tuple[int, dict[int, HeadRow]]:
        """The section, and all rows of the page as its head will have them, in order."""
        # All of a new page's rows are changed ones, and those are in order.
        rows = {local: row for local, row in before.items() if local not in change.removed}
        sections = {row.section for row, _ in change.rows.values()}
        if page is not None:
            sections.add(page.head.section)
        if len(sections) > 1:
            raise StoreError(self._path, "was to get rows of two sections in one page")
        for local, ((_, key, changed_at, valid_from, flags, dependencies), content) in change.rows.items():
            if content is not None:
                value, pushes = map(len, content)
            else:
                value, pushes = before[local][5:] if local in before else (0, 0)
            rows[local] = (flags, changed_at, valid_from, key, dependencies, value, pushes)
        for local, stamp in change.stamps.items():
            if local in rows:
                flags, changed_at, valid_from, key, dependencies, value, pushes = rows[local]
                flags, valid_from = with_stamp(flags, valid_from, stamp)
                rows[local] = (flags, changed_at, valid_from, key, dependencies, value, pushes)
        if before:
            rows = {local: rows[local] for local in sorted(rows)}
        return sections.pop() if sections else 0, rows

    def _dependents(
        self, number: int, page: Page | None, change: PageChange, rows: Mapping[int, HeadRow]
    ) -> list[Sequence[int]]:
        """What depends on each row."""
        before, first = self._old_dependents(page), number * PAGE_ROWS
        changed, removed, users = self._overlay.rows, self._overlay.removed, self._overlay.users
        dependents: list[Sequence[int]] = []
        for local in rows:
            there = before.get(local, ())
            if page is None or local in change.dependents:
                now: Iterable[int] = users.get(first + local, ())
                if there:
                    now = (*[other for other in there if other not in changed and other not in removed], *now)
                there = sorted(now)
            dependents.append(there)
        return dependents

    def _old_dependents(self, page: Page | None) -> dict[int, Sequence[int]]:
        if page is None or self._base is None or not page.dependents.size:
            return {}
        counts = self._base.counts(page)
        start = 4 * len(counts)
        if start + 4 * sum(counts) != page.dependents.size:
            raise CorruptError(
                self._base.path, page.dependents.offsets[0], f"dependents of page {page.number} are missing"
            )
        data = memoryview(self._base.part(page, page.dependents, start, page.dependents.size))
        numbers = unpack_numbers("I", data)
        dependents: dict[int, Sequence[int]] = {}
        at = 0
        for local, count in zip(page.head.locals, counts, strict=True):
            dependents[local] = numbers[at : at + count]
            at += count
        return dependents

    # --- contents -------------------------------------------------------------------------------------------------

    def _values(self, number: int, page: Page | None, change: PageChange) -> Iterator[Piece]:
        """The blocks of the contents, in order."""
        fresh = {
            local: content.value + content.pushes for local, (_, content) in change.rows.items() if content is not None
        }
        kept: list[_Group] = []
        if page is not None and self._base is not None:
            groups = _groups(self._base.path, page)
            kept = _kept(groups, sorted(fresh.keys() | change.removed))
            for group in groups:
                if group not in kept:
                    self._add_contents(self._base, page, group, change.removed, fresh)
        filled = [local for local in sorted(fresh) if fresh[local]]
        at = 0
        for group in kept:
            behind = bisect_left(filled, group.first)
            yield from self._gathered(number, filled[at:behind], fresh)
            assert page is not None
            yield from [Piece(page.values.blocks[block], page.values.offsets[block]) for block in group.blocks]
            at = behind
        yield from self._gathered(number, filled[at:], fresh)

    def _add_contents(
        self, base: PagedBase, page: Page, group: _Group, removed: set[int], fresh: dict[int, bytes]
    ) -> None:
        """Add to *fresh* what a group has of rows that stay as they are."""
        head = page.head
        for index in range(head.index(group.first), head.index(group.last) + 1):
            local = head.locals[index]
            if local not in removed and local not in fresh:
                fresh[local] = base.part(page, page.values, *head.content_bounds[index : index + 2])

    def _gathered(self, number: int, run: Sequence[int], contents: Mapping[int, bytes]) -> Iterator[Piece]:
        """The contents of rows as groups of at most a block, unless one content is longer than that."""
        held = [contents[local] for local in run]
        ends = list(accumulate(map(len, held), initial=0))
        first = 0
        while first < len(run):
            behind = max(first + 1, bisect_right(ends, ends[first] + BLOCK_BYTES) - 1)
            if ends[behind] - ends[first] >= LONGEST_STREAM:
                raise StoreError(self._path, f"row {number * PAGE_ROWS + run[first]} is 4 GiB long or longer")
            yield from self._cut(number, VALUES, run[first] * _CHUNKS, b"".join(held[first:behind]))
            first = behind

    def _cut(self, number: int, kind: int, part: int, stream: bytes) -> Iterator[Piece]:
        """A run of bytes as blocks; none if there are none."""
        for start in range(0, len(stream), BLOCK_BYTES):
            raw = stream[start : start + BLOCK_BYTES]
            yield self._block(number, kind, part + start // BLOCK_BYTES, raw)

    # spec: paged.zstd
    def _block(self, number: int, kind: int, part: int, raw: bytes) -> Piece:
        stored = None if self._zstd is None else self._zstd.compress(raw)
        if stored is None:
            return Piece(raw_block(self._proof, number, kind, part, raw), raw)
        block = Listed(kind, ZSTD, part, len(raw), len(stored), b"")
        return Piece(block._replace(digest=self._proof.of_block(number, block, stored)), stored)


def _groups(path: str, page: Page) -> list[_Group]:
    """The groups of a page's contents, in order."""
    head, values = page.head, page.values
    bounds = head.content_bounds
    filled = [index for index, (start, end) in enumerate(pairwise(bounds)) if start < end]
    begins = [at for at, block in enumerate(values.blocks) if not block.part % _CHUNKS]
    groups: list[_Group] = []
    member = 0
    for at, behind in pairwise([*begins, len(values.blocks)]):
        first, end = member, values.bounds[behind]
        while member < len(filled) and bounds[filled[member] + 1] <= end:
            member += 1
        members = filled[first:member]
        local = values.blocks[at].part // _CHUNKS
        if not members or head.locals[members[0]] != local or bounds[members[0]] != values.bounds[at]:
            break
        groups.append(_Group(local, head.locals[members[-1]], range(at, behind), end - values.bounds[at]))
    if sum(group.size for group in groups) != values.size:
        raise CorruptError(path, values.offsets[0], f"contents of page {page.number} are not cut between rows")
    return groups


def _kept(groups: Sequence[_Group], changed: Sequence[int]) -> list[_Group]:
    """The groups that are copied, if the contents of these rows change."""
    touched = [any(group.first <= local <= group.last for local in changed) for group in groups]
    kept: list[_Group] = []
    for at, group in enumerate(groups):
        low = groups[at - 1].first if at else -1
        high = groups[at + 1].last if at + 1 < len(groups) else PAGE_ROWS
        beside = group.size < _SMALL and any(low <= local <= high for local in changed)
        if not touched[at] and not beside:
            kept.append(group)
    return kept
