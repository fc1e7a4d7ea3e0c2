"""Doubts: which rows are not to be trusted although they are marked as good, by their sections.

When something that many rows depend on is found to be different, no row is looked at: the sections whose rows may
depend on it, directly or not, get a revision. What was last known to be right before that revision is not taken as
good any more, until somebody asks for it and it is found right again. See docs/internals/lazy.md.

Law: a section that is read by a doubted one need not be doubted, one that reads it always is. The caller holds the
lock of the graph.

Keeps: lazy.code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from incr.store.rows import GOOD, NEVER, Row, SectionInfo

__all__ = ["Doubts"]

_NONE: Final[frozenset[int]] = frozenset()


@final
class Doubts:
    """What is known of the sections of one store."""

    __slots__ = ("_code_since", "_doubt_since", "_held", "_readers", "_reads", "_trusted_since")

    def __init__(self, sections: Iterable[SectionInfo]) -> None:
        #: Section -> those that its rows may depend on, and the reverse.
        self._reads: dict[int, set[int]] = {}
        self._readers: dict[int, set[int]] = {}
        self._code_since: dict[int, int] = {}
        self._doubt_since: dict[int, int] = {}
        #: Section -> the later of both.
        self._trusted_since: dict[int, int] = {}
        #: Sections as they were before something was found while the database was in use, and from which revision on
        #: that is so: a commit of an older one must not say it yet.
        self._held: list[tuple[int, SectionInfo]] = []
        for info in sections:
            self.add_reads(info.number, info.reads)
            self._code_since[info.number] = info.code_since
            self._doubt_since[info.number] = info.doubt_since
            self._trusted_since[info.number] = max(info.code_since, info.doubt_since)

    # --- what to think of a row -----------------------------------------------------------------------------------

    # spec: lazy.code
    def trusts(self, row: Row) -> bool:
        """Whether the row is good, as far as its section says."""
        return bool(row.flags & GOOD) and row.valid_from >= self._trusted_since.get(row.section, 0)

    def since(self, section: int) -> int:
        """From when on a good row of the section has to be right for it to be trusted."""
        return self._trusted_since.get(section, 0)

    # spec: load.code
    def must_run(self, row: Row) -> bool:
        """Whether the call has to run whatever it depends on."""
        return row.valid_from == NEVER or row.valid_from < self._code_since.get(row.section, 0)

    # --- what depends on what -------------------------------------------------------------------------------------

    def reads(self, section: int, others: set[int]) -> bool:
        """Whether it is known that rows of the section depend on rows of these."""
        return others <= self._reads.get(section, _NONE)

    def add_reads(self, section: int, others: Iterable[int]) -> None:
        """Rows of the section depend on rows of these now."""
        self._reads.setdefault(section, set()).update(others)
        for other in others:
            self._readers.setdefault(other, set()).add(section)

    def above(self, section: int) -> set[int]:
        """The sections whose rows may depend on rows of this one, directly or not."""
        found: set[int] = set()
        stack = [section]
        while stack:
            more = self._readers.get(stack.pop(), _NONE) - found
            found |= more
            stack += more
        return found

    # --- what is found --------------------------------------------------------------------------------------------

    def hold(self, before: SectionInfo, revision: int) -> None:
        """Something in the section is different from *revision* on."""
        self._held.append((revision, before))

    def other_code(self, section: int, revision: int) -> None:
        """All calls of the section that were last right before *revision* have to run."""
        self._code_since[section] = self._trusted_since[section] = revision

    def doubt(self, section: int, revision: int) -> None:
        """No call of the section is trusted that was last right before *revision*."""
        self._doubt_since[section] = self._trusted_since[section] = revision

    # --- what is written ------------------------------------------------------------------------------------------

    def noted(self, info: SectionInfo) -> SectionInfo:
        """The section with what is known here."""
        number = info.number
        return info._replace(
            reads=tuple(sorted(self._reads.get(number, _NONE))),
            code_since=self._code_since.get(number, 0),
            doubt_since=self._doubt_since.get(number, 0),
        )

    def as_of(self, infos: list[SectionInfo], revision: int) -> list[SectionInfo]:
        """The sections without what was found to be different in a later revision than this one.

        The rows that are committed at a revision do not know yet what was found after it. If the process ends then,
        the next one has to find it again.
        """
        found = {info.number: info for info in infos}
        for since, before in reversed(self._held):
            info = found.get(before.number)
            if info is not None and revision < since:
                found[before.number] = before._replace(next_row=info.next_row, pages=info.pages, reads=info.reads)
        self._held = [held for held in self._held if revision < held[0]]
        return list(found.values())
