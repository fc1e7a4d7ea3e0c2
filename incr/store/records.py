"""What the records of an encrypted file make together: which byte of the plain file stands in which record.

Law: records count in the order of the file; a later one is in place of an earlier one where both have a byte. Where
something is known to be missing there is a gap, and it stays one until it is written over: nothing older shows up in
its place.

Keeps: crypto.damage.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import Final, NamedTuple, final

from incr.store.cipher import APPEND, REWRITE, SIZE

__all__ = ["GAP", "Extent", "Record", "Records"]

#: In place of records that are damaged: bytes at the end of what was there.
GAP: Final = 0

_start: Final = attrgetter("start")
_end: Final = attrgetter("end")


class Record(NamedTuple):
    """One record, and where it is."""

    kind: int
    #: Its bytes in the plain file.
    start: int
    end: int
    #: Its place in the encrypted file, and that of what follows it.
    at: int
    behind: int
    #: Its code.
    code: bytes


class Extent(NamedTuple):
    """Bytes of the plain file that stand in one record."""

    start: int
    end: int
    record: Record


@final
class Records:
    """All records of a file, and what they make. Reading needs no lock while one thread writes."""

    __slots__ = ("_first", "changes", "extents", "listed", "size")

    def __init__(self, at: int, code: bytes) -> None:
        self._first = Record(APPEND, 0, 0, at, at, code)
        self.listed: list[Record] = []
        #: In the order of the plain file; what is between two of them is zeros.
        self.extents: list[Extent] = []
        #: How long the plain file is.
        self.size = 0
        #: How many of the records are REWRITE or SIZE.
        self.changes = 0

    @property
    def last(self) -> Record:
        """What the next record follows."""
        return self.listed[-1] if self.listed else self._first

    def add(self, record: Record) -> None:
        """Let a record count."""
        self.listed.append(record)
        self.changes += record.kind in (REWRITE, SIZE)
        if record.kind == SIZE:
            self._cut(record.end)
        elif record.end > record.start:
            self._put(Extent(record.start, record.end, record))
            # Last: whoever reads meanwhile goes by the size.
            self.size = max(self.size, record.end)

    def drop_behind(self, size: int) -> None:
        """Forget the last records that have nothing in the plain file's first *size* bytes."""
        count = len(self.listed)
        while count and self.listed[count - 1].kind in (APPEND, GAP) and self.listed[count - 1].start >= size:
            count -= 1
        if count < len(self.listed):
            left = Records(self._first.at, self._first.code)
            for record in self.listed[:count]:
                left.add(record)
            self.listed, self.extents, self.changes, self.size = left.listed, left.extents, left.changes, left.size

    def between(self, start: int, end: int) -> list[Extent]:
        """What stands in some bytes of the plain file."""
        extents = self.extents
        first = bisect_right(extents, start, key=_end)
        return extents[first : bisect_left(extents, end, lo=first, key=_start)]

    def _put(self, new: Extent) -> None:
        extents = self.extents
        if not extents or extents[-1].end <= new.start:
            extents.append(new)
            return
        first = bisect_right(extents, new.start, key=_end)
        behind = bisect_left(extents, new.end, lo=first, key=_start)
        pieces = [new]
        if first < behind:
            left, right = extents[first], extents[behind - 1]
            if left.start < new.start:
                pieces.insert(0, left._replace(end=new.start))
            if right.end > new.end:
                pieces.append(right._replace(start=new.end))
        self.extents = [*extents[:first], *pieces, *extents[behind:]]

    def _cut(self, size: int) -> None:
        kept = self.between(0, size)
        if kept and kept[-1].end > size:
            kept[-1] = kept[-1]._replace(end=size)
        self.extents, self.size = kept, size
