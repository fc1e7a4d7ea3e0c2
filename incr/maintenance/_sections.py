"""Sections and rows as a reader of a report would name them.

Law: nothing here needs a class of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from incr._codec import ClassTable, Decoder
from incr._codec.plain import PlainReader
from incr._errors import CorruptError, StoreError
from incr.store.rows import CALLS, INTERNED, KEY_SETS, PRESENCES, RECORDS, UNTRACKED, Head, Progress, SectionInfo, Store

__all__ = ["Steps", "class_table", "kind_name", "numbers_of", "plain_key", "reader_of", "section_named", "text_of"]

_KINDS: Final = {
    RECORDS: "input",
    INTERNED: "interned",
    PRESENCES: "presence",
    KEY_SETS: "key set",
    UNTRACKED: "untracked",
    CALLS: "query",
}


def kind_name(kind: int) -> str:
    """What a kind of section is called."""
    return _KINDS.get(kind, f"kind {kind}")


def class_table(store: Store, head: Head) -> ClassTable:
    """The classes that keys and values refer to by number.

    Raises:
        CorruptError: there is no such table.
    """
    if not head.classes:
        return ClassTable()
    try:
        entries: list[Any] = Decoder(ClassTable(), {}).decode(head.classes)
        return ClassTable.from_list(entries)
    except (ValueError, TypeError) as error:
        raise CorruptError(store.path, 0, f"has a table of classes that is none: {error}") from error


def reader_of(store: Store, head: Head) -> PlainReader:
    """Reads the store's keys and values without their classes."""
    return PlainReader(class_table(store, head))


def section_named(store: Store, head: Head, name: str, kind: int | None = None) -> SectionInfo:
    """The section of that name, or the only one whose name ends with it behind a dot or a colon.

    Raises:
        StoreError: there is none, or more than one; the message lists what there is.
    """
    infos = [info for info in head.sections if kind in (None, info.kind)]
    found = [info for info in infos if info.name == name]
    found = found or [info for info in infos if info.name.endswith((f".{name}", f":{name}"))]
    if len({info.name for info in found}) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted({info.name for info in found}))
        raise StoreError(store.path, f"{name!r} may be {names}; give the whole name")
    names = ", ".join(sorted({info.name for info in infos if info.name})) or "nothing"
    raise StoreError(store.path, f"has no section {name!r}; there is {names}")


def plain_key(info: SectionInfo, reader: PlainReader, key: bytes) -> Any:
    """A row's key as JSON's types; None where rows have none."""
    return None if info.kind == KEY_SETS else reader.read(key)


def text_of(info: SectionInfo, reader: PlainReader, key: bytes) -> str:
    """A row as a reader would write it: ``words('a', 3)``."""
    plain = plain_key(info, reader, key)
    if info.kind == KEY_SETS:
        return f"keys of {info.name}"
    several = info.kind == CALLS and len(info.parts) != 1 and isinstance(plain, list)
    return f"{info.name}({', '.join(map(repr, plain)) if several else repr(plain)})"


def numbers_of(store: Store, head: Head) -> Iterator[tuple[SectionInfo, int]]:
    """All rows with their sections, section by section."""
    for info in head.sections:
        for number in store.rows_of(info.number):
            yield info, number


class Steps:
    """Tells a progress function about every so many steps, and at the end."""

    _EVERY: Final = 256

    def __init__(self, progress: Progress | None, total: Callable[[], int]) -> None:
        self._progress = progress
        self._total = total() if progress is not None else 0
        self._done = 0

    def step(self, steps: int = 1) -> None:
        """So much more is done."""
        before, self._done = self._done, self._done + steps
        if self._progress is not None and before // self._EVERY != self._done // self._EVERY:
            self._progress(self._done, self._total)

    def end(self) -> None:
        """All is done."""
        if self._progress is not None:
            self._progress(self._done, self._total)
