"""One store into another, of whatever kinds the two are.

Law: a copy has the numbers, stamps and bytes of its source. Until it is complete nothing in it has the name that a
database would look it up by, so half a copy is an empty store to everybody.

Keeps: tools.copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from incr._errors import CorruptError, StoreError
from incr.maintenance._sections import Steps, numbers_of
from incr.store.rows import Content, Delta, Head, Progress, Row, SectionInfo, Store

__all__ = ["compare", "copy", "in_order", "put"]

#: A delta of a copy is not larger, but for a single row that is.
_BATCH_ROWS: Final = 1024
_BATCH_BYTES: Final = 1 << 22
#: The kind of sections that nobody knows yet.
_UNKNOWN: Final = 0


# spec: tools.copy
def copy(source: Store, target: Store, progress: Progress | None = None) -> int:
    """Copy all of *source* into *target*, which must be new, and compare the two; how many rows there are.

    Raises:
        StoreError: *target* is not new, *source* was written to meanwhile, or one of them cannot be read or written.
        CorruptError: *source* is damaged, or the copy is not what it should be.
    """
    head = source.head()
    steps = Steps(progress, lambda: 2 * sum(1 for _ in numbers_of(source, head)))
    rows = put(head, _items(source, head), target, steps)
    if source.head() != head:
        raise StoreError(source.path, "was written to while it was copied; copy it again, to a new place")
    compare(source, target, steps)
    steps.end()
    return rows


def put(head: Head, items: Iterator[tuple[int, Row, Content]], target: Store, steps: Steps) -> int:
    """Fill a new store with rows that come after those that they depend on, or in one batch with them; how many."""
    if target.head().last:
        raise StoreError(target.path, "is not empty; give the path of a new store")
    nameless = [
        info._replace(kind=_UNKNOWN, name=f"incomplete {info.number}", code_since=0, doubt_since=0)
        for info in head.sections
    ]
    total = 0
    batch: dict[int, tuple[Row, Content | None]] = {}
    size = 0
    for number, row, content in items:
        batch[number] = (row, content)
        size += len(row.key) + len(content.value) + len(content.pushes) + 8 * len(row.dependencies)
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            target.append(_delta(head, nameless, batch))
            steps.step(len(batch))
            total, size, batch, nameless = total + len(batch), 0, {}, []
    target.append(_delta(head, nameless, batch))
    steps.step(len(batch))
    last = Delta(head.revision, head.sections, head.classes, head.next_page, {}, (), (), ())
    target.append(last)
    target.sync()
    return total + len(batch)


def _delta(head: Head, sections: list[SectionInfo], rows: dict[int, tuple[Row, Content | None]]) -> Delta:
    return Delta(0, sections, None, head.next_page, rows, (), (), ())


def _items(source: Store, head: Head) -> Iterator[tuple[int, Row, Content]]:
    numbers = (number for _, number in numbers_of(source, head))
    return ((number, row, source.content(number)) for number, row in in_order(source.path, numbers, source.row))


def in_order(path: str, numbers: Iterable[int], row_of: Callable[[int], Row]) -> Iterator[tuple[int, Row]]:
    """All rows, each after those that it depends on.

    Raises:
        CorruptError: that is not possible: a row depends on one that is not there, or on itself.
    """
    done: set[int] = set()
    #: Row -> those that wait for it.
    waiting: dict[int, list[int]] = {}
    #: Row -> for how many it waits.
    missing: dict[int, int] = {}
    for number in numbers:
        ready = [number]
        while ready:
            one = ready.pop()
            row = row_of(one)
            left = [dependency for dependency in row.dependencies if dependency not in done]
            if left:
                missing[one] = len(left)
                for dependency in left:
                    waiting.setdefault(dependency, []).append(one)
                continue
            done.add(one)
            yield one, row
            for other in waiting.pop(one, ()):
                missing[other] -= 1
                if not missing[other]:
                    del missing[other]
                    ready.append(other)
    if missing:
        raise CorruptError(path, 0, f"rows {sorted(missing)[:5]} depend on rows that are not there, or on themselves")


# spec: tools.copy
def compare(source: Store, target: Store, steps: Steps | None = None) -> None:
    """Find out whether two stores say the same.

    Raises:
        CorruptError: they do not; the message names the first row that differs.
    """
    head, other = source.head(), target.head()
    if head._replace(last=0, sections=tuple(head.sections)) != other._replace(last=0, sections=tuple(other.sections)):
        raise CorruptError(target.path, 0, f"its head differs from that of {source.path}")
    for info in head.sections:
        numbers = list(source.rows_of(info.number))
        if numbers != list(target.rows_of(info.number)):
            raise CorruptError(target.path, 0, f"has other rows of {info.name} than {source.path}")
        for number in numbers:
            if _facts(source, info, number) != _facts(target, info, number):
                raise CorruptError(target.path, 0, f"row {number} of {info.name} differs from that of {source.path}")
            if steps is not None:
                steps.step()


def _facts(store: Store, info: SectionInfo, number: int) -> tuple[object, ...]:
    row = store.row(number)
    found = store.find(info.number, row.key)
    return (
        row._replace(dependencies=tuple(row.dependencies)), store.content(number), found,
        sorted(store.dependents(number)),
    )  # fmt: skip
