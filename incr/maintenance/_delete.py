"""Calls that are to be forgotten, and what that means for those who used them.

Law: what is left is right: whoever used a forgotten call directly has to run again, and whoever used that one, in any
number of steps, is looked at before it is used. It is one commit, whole or not there.

Keeps: tools.delete.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from incr._codec.plain import tree_of
from incr._errors import StoreError
from incr.maintenance._match import Prefix
from incr.maintenance._sections import kind_name, section_named
from incr.store.rows import CALLS, GOOD, NEVER, Content, Delta, Head, Row, SectionInfo, Store

__all__ = ["Deleted", "collected_for", "delete", "must_run"]


class Deleted(NamedTuple):
    """What a deletion came to."""

    #: Calls that are gone.
    rows: int
    #: Calls that have to run again, because they used one of them.
    must_run: int
    #: Calls that were good and have to be looked at again, besides those.
    suspect: int


# spec: tools.delete
def delete(store: Store, section: str, prefix: tuple[Any, ...] = ()) -> Deleted:
    """Forget the calls of a query, all or those whose arguments begin with *prefix*.

    No database may have the store open. Inputs and interned values are not deleted like this: what they are for is only
    known to the program, which has `Database.remove`.

    Raises:
        StoreError: there is no such query, or the section is not one of calls.
        EncodeError: *prefix* could not be the beginning of a key.
    """
    head = store.head()
    info = section_named(store, head, section)
    if info.kind != CALLS:
        calls = [other for other in head.sections if other.kind == CALLS and other.name == info.name]
        if not calls:
            raise StoreError(
                store.path,
                f"{info.name} is of kind {kind_name(info.kind)}, and only calls can be computed again; "
                "remove inputs in the program, with Database.remove",
            )
        info = calls[0]
    begins = Prefix(store, head, prefix)
    gone = {number for number in store.rows_of(info.number) if begins.matches(info, store.row(number).key)}
    if not gone:
        return Deleted(0, 0, 0)
    gone |= collections_of(store, head, gone)
    direct = {one for number in gone for one in store.dependents(number)} - gone
    rows: dict[int, tuple[Row, Content | None]] = {number: (must_run(store.row(number)), None) for number in direct}
    suspect = _doubtful(store, direct, gone)
    store.append(Delta(head.revision, (), None, head.next_page, rows, (), suspect, sorted(gone)))
    store.sync()
    return Deleted(len(gone), len(direct), len(suspect))


def must_run(row: Row) -> Row:
    """The row of a call that has to run, whatever its dependencies say; its value stays, to be compared with."""
    return row._replace(valid_from=NEVER, flags=row.flags & ~GOOD, dependencies=())


def collections_of(store: Store, head: Head, calls: set[int]) -> set[int]:
    """The rows of what was collected for these calls."""
    return {
        number
        for info in head.sections
        if info.kind == CALLS and not info.parts
        for number in store.rows_of(info.number)
        if collected_for(info, store.row(number)) in calls
    }


def collected_for(info: SectionInfo, row: Row) -> int | None:
    """The row of the call for which this row has what was collected; None if it is another kind of row.

    Such rows stand in a section of calls without parameters, where no call's key is a number.
    """
    if info.kind != CALLS or info.parts:
        return None
    try:
        key = tree_of(row.key)
    except ValueError:
        return None
    return key if type(key) is int else None


def _doubtful(store: Store, changed: Iterable[int], gone: Iterable[int]) -> list[int]:
    """The good rows that depend on changed ones, in any number of steps."""
    seen = {*changed, *gone}
    stack = list(changed)
    found: list[int] = []
    while stack:
        for number in store.dependents(stack.pop()):
            if number not in seen:
                seen.add(number)
                stack.append(number)
                if store.row(number).flags & GOOD:
                    found.append(number)
    return sorted(found)
