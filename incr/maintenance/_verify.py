"""Looking at everything in a store.

Law: what is found wrong is reported, all of it as far as it can be reached; nothing is changed.

Keeps: tools.verify.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, final

from incr._codec.plain import PlainReader, tree_of
from incr._errors import CorruptError
from incr.maintenance._sections import Steps, reader_of, text_of
from incr.store.rows import KEY_SETS, Head, Progress, Row, SectionInfo, Store
from incr.store.sections import check_sections

__all__ = ["Problem", "verify"]


class Problem(NamedTuple):
    """Something that is wrong."""

    #: The section's name; empty for the store as a whole.
    section: str
    #: The row's number, if it is about one.
    row: int | None
    what: str


# spec: tools.verify
def verify(store: Store, *, deep: bool = False, progress: Progress | None = None) -> Iterator[Problem]:
    """What is wrong with a store, as far as it can be read: the backend's own checks, then row by row.

    With *deep* also values, and whether dependencies and dependents are each other's reverse; that takes memory in
    proportion to the number of rows.

    Raises:
        StoreError: the store cannot be read, for a reason other than damage.
    """
    check: Any = getattr(store, "verify", None)
    if check is not None:
        try:
            check(progress=progress)
        except CorruptError as error:
            yield Problem("", None, str(error))
    head = store.head()
    try:
        check_sections(store.path, head)
        reader = reader_of(store, head)
    except CorruptError as error:
        yield Problem("", None, str(error))
        return
    yield from _Check(store, head, reader, deep).run(progress)


@final
class _Check:
    def __init__(self, store: Store, head: Head, reader: PlainReader, deep: bool) -> None:
        self._store = store
        self._head = head
        self._reader = reader
        self._deep = deep
        #: Rows that could be read.
        self._rows: dict[int, SectionInfo] = {}
        #: Rows that could not be, and whether there may be more of them: nobody knows on what they depend.
        self._unread: set[int] = set()
        self._whole = True
        #: Row -> what depends on it, as the dependents say.
        self._dependents: dict[int, list[int]] = {}

    def run(self, progress: Progress | None) -> Iterator[Problem]:
        lists: list[tuple[SectionInfo, list[int]]] = []
        for info in self._head.sections:
            try:
                lists.append((info, list(self._store.rows_of(info.number))))
            except CorruptError as error:
                self._whole = False
                yield Problem(info.name, None, str(error))
        steps = Steps(progress, lambda: sum(len(numbers) for _, numbers in lists))
        for info, numbers in lists:
            for number in numbers:
                try:
                    yield from self._row(info, number)
                except CorruptError as error:
                    self._unread.add(number)
                    yield Problem(info.name, number, str(error))
                steps.step()
        yield from self._links()
        steps.end()

    def _row(self, info: SectionInfo, number: int) -> Iterator[Problem]:
        row = self._store.row(number)
        self._rows[number] = info
        for dependency in row.dependencies:
            self._dependents.setdefault(dependency, []).append(number)
        if row.section != info.number:
            yield Problem(info.name, number, f"is of section {row.section}")
        found = self._store.find(info.number, row.key)
        if found != number:
            yield Problem(info.name, number, f"its key leads to row {found}")
        if self._deep:
            yield from self._values(info, number, row)

    def _values(self, info: SectionInfo, number: int, row: Row) -> Iterator[Problem]:
        content = self._store.content(number)
        parts = {"key": b"" if info.kind == KEY_SETS else row.key, "value": content.value, "pushes": content.pushes}
        for part, data in parts.items():
            try:
                if data:
                    tree_of(data)
            except ValueError as error:
                yield Problem(info.name, number, f"its {part} is no value: {error}")

    def _links(self) -> Iterator[Problem]:
        for number, dependents in self._dependents.items():
            info = self._rows.get(number)
            if info is None:
                name = self._rows[dependents[0]].name
                yield Problem(name, dependents[0], f"depends on row {number}, which is not there or damaged")
                continue
            for one in dependents:  # what is different in the one's section is looked for in the other's
                if info.number not in self._rows[one].reads:
                    yield Problem(self._rows[one].name, one, f"depends on row {number}; its section does not say so")
        if not self._deep:
            return
        for number, info in self._rows.items():
            try:
                said = self._store.dependents(number)
            except CorruptError as error:
                yield Problem(info.name, number, str(error))
                continue
            known = sorted(one for one in said if one not in self._unread and (self._whole or one in self._rows))
            if known != sorted(self._dependents.get(number, [])):
                text = text_of(info, self._reader, self._store.row(number).key)
                yield Problem(info.name, number, f"what depends on {text} is not what says so")
