"""What can still be read of a damaged store, put into a new one.

Law: nothing is believed that does not check, and what is left is right: a call that used something that is lost has to
run again, whoever used that call is looked at first, and if a record of an input is lost, so is what was known of which
records there are.

Keeps: tools.salvage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, final

from incr._errors import CorruptError
from incr.maintenance._copy import in_order, put
from incr.maintenance._delete import collected_for, must_run
from incr.maintenance._sections import Steps
from incr.store.rows import (
    CALLS,
    GOOD,
    KEY_SETS,
    PAGE_ROWS,
    PRESENCES,
    RECORDS,
    Content,
    Head,
    Progress,
    Row,
    SectionInfo,
    Store,
)

__all__ = ["Salvaged", "salvage"]


class Salvaged(NamedTuple):
    """What a salvage came to."""

    rows: int
    #: Rows that were not taken over, as far as it is known that they were there: (section, row, why).
    lost: list[tuple[str, int | None, str]]
    #: Inputs of which records are lost, or may be.
    inputs: list[str]


# spec: tools.salvage
def salvage(source: Store, target: Store, progress: Progress | None = None) -> Salvaged:
    """Copy what checks of *source* into *target*, which must be new. *source* is not changed.

    Raises:
        StoreError: one of them cannot be read or written, for a reason other than damage.
        CorruptError: nothing of the store can be read.
    """
    head = source.head()
    steps = Steps(progress, lambda: head.next_page * PAGE_ROWS)
    salvaging = _Salvage(source, head)
    salvaging.look(steps)
    salvaging.decide()
    rows = put(head, salvaging.items(), target, steps)
    steps.end()
    return Salvaged(rows, salvaging.lost, sorted(salvaging.holed))


@final
class _Salvage:
    def __init__(self, source: Store, head: Head) -> None:
        self._source = source
        self._head = head
        self._infos = {info.number: info for info in head.sections}
        #: Row -> what is taken over of it besides its content.
        self._rows: dict[int, Row] = {}
        self.lost: list[tuple[str, int | None, str]] = []
        #: Inputs of which records may be lost.
        self.holed: set[str] = set()

    def look(self, steps: Steps) -> None:
        """Read everything once."""
        for info in self._head.sections:
            for number in self._numbers(info):
                self._read(info, number)
                steps.step()

    def _numbers(self, info: SectionInfo) -> list[int]:
        try:
            return list(self._source.rows_of(info.number))
        except CorruptError as error:
            self._lose(info, None, error)
        # Then whatever has a number may be one of them.
        return [number for number in range(self._head.next_page * PAGE_ROWS) if self._section(number) == info.number]

    def _section(self, number: int) -> int | None:
        try:
            return self._source.row(number).section
        except CorruptError:
            return None

    def _read(self, info: SectionInfo, number: int) -> None:
        try:
            row = self._source.row(number)
            self._source.content(number)
        except CorruptError as error:
            self._lose(info, number, error)
            return
        self._rows[number] = row._replace(dependencies=tuple(row.dependencies))

    def _lose(self, info: SectionInfo, number: int | None, error: CorruptError) -> None:
        self.lost.append((info.name, number, str(error)))
        if info.kind in (RECORDS, PRESENCES, KEY_SETS):
            self.holed.add(info.name)

    def decide(self) -> None:
        """Find out what the losses mean for the rest."""
        useless = [number for number, row in self._rows.items() if self._is_useless(row)]
        for number in useless:
            del self._rows[number]
        changed = [number for number, row in self._rows.items() if not self._has_all(row)]
        for number in changed:
            self._rows[number] = must_run(self._rows[number])
        dependents: dict[int, list[int]] = {}
        for number, row in self._rows.items():
            for dependency in row.dependencies:
                dependents.setdefault(dependency, []).append(number)
        seen = set(changed)
        while changed:
            for number in dependents.get(changed.pop(), ()):
                if number not in seen:
                    seen.add(number)
                    changed.append(number)
                    row = self._rows[number]
                    self._rows[number] = row._replace(flags=row.flags & ~GOOD)

    def _is_useless(self, row: Row) -> bool:
        """Whether it tells of records that may be lost, or was collected for a call that is."""
        info = self._infos[row.section]
        if info.kind in (PRESENCES, KEY_SETS):
            return info.name in self.holed
        call = collected_for(info, row)
        return call is not None and call not in self._rows

    def _has_all(self, row: Row) -> bool:
        return self._infos[row.section].kind != CALLS or all(one in self._rows for one in row.dependencies)

    def items(self) -> Iterator[tuple[int, Row, Content]]:
        """What is taken over, each after what it depends on."""
        for number, row in in_order(self._source.path, self._rows, self._rows.__getitem__):
            yield number, row, self._source.content(number)
