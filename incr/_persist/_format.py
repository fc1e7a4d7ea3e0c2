"""What the sections of a base file mean: kinds, streams, flags, and rows as columns; docs/format.md has them too.

A section is one table: the records of an input, the calls of a query, and so on. Rows are numbered through all sections
in the order of the file, and a dependency is such a number.

Law: what is read is checked as far as the rest relies on it (counts, ranges, references that point at rows), and raises
`ValueError` otherwise. No object of the program is known here.

Keeps: base.bounded, load.corrupt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from incr.store.base import Draft, Section, cut, gather
from incr.store.columns import pack_numbers, split, unpack_numbers

__all__ = [
    "CALLS",
    "FILE",
    "GOOD",
    "HIGH",
    "INTERNED",
    "KEYS",
    "KEY_SETS",
    "LOST_PUSHES",
    "NO_ROW_BYTES",
    "PRESENCES",
    "RECORDS",
    "UNTRACKED",
    "Calls",
    "Shared",
    "Values",
    "calls_draft",
    "foreign_draft",
    "plain_draft",
    "read_calls",
    "read_flags",
    "read_names",
    "read_pushes",
    "read_shared",
    "read_stamps",
    "read_values",
    "shared_draft",
]

# Kinds of sections. A file has them in this order, those of one kind by name.
FILE: Final = 0
RECORDS: Final = 1
INTERNED: Final = 2
PRESENCES: Final = 3
KEY_SETS: Final = 4
UNTRACKED: Final = 5
CALLS: Final = 6

# Numbers of streams.
_NAMES: Final = 0
KEYS: Final = 1
_STAMPS: Final = 2
_FLAGS: Final = 3
_DEPENDENCIES: Final = 4
_LENGTHS: Final = 5
_VALUES: Final = 6
_CLASSES: Final = 7
_HIGH_SETS: Final = 8
_PUSH_LENGTHS: Final = 9
_PUSHES: Final = 10

# Bits of a row's flags.
#: The call was good at the file's revision.
GOOD: Final = 1
#: The slot has been HIGH: its readers are found by their high sets.
HIGH: Final = 2
#: The call has pushed something that the file does not have; it has no value either.
LOST_PUSHES: Final = 4

#: What a call's row takes besides its key, its value, and 4 bytes for each dependency.
NO_ROW_BYTES: Final = 8 + 8 + 1 + 4 + 4 + 4


class Calls(NamedTuple):
    """The columns of a query's calls that say when and on what."""

    changed_at: Sequence[int]
    #: -1: the call has to run again, whatever its dependencies say.
    valid_from: Sequence[int]
    flags: Sequence[int]
    #: Which of the file's high sets each call depends on.
    high: Sequence[int]
    #: How many dependencies each call has.
    counts: Sequence[int]
    #: The rows that they are, of all calls one after the other.
    dependencies: Sequence[int]


class Values(NamedTuple):
    """Encoded values: row n is content[bounds[n]:bounds[n + 1]]; an empty one is no value."""

    lengths: Sequence[int]
    bounds: Sequence[int]
    content: memoryview

    def row(self, number: int) -> bytes:
        """The row's bytes."""
        return bytes(self.content[self.bounds[number] : self.bounds[number + 1]])

    def rows(self) -> list[bytes | None]:
        """All rows; None where there is no value."""
        return [self.row(number) or None for number in range(len(self.bounds) - 1)]


class Shared(NamedTuple):
    """What all sections of a file refer to."""

    #: The class table, encoded.
    classes: bytes
    #: Distinct sets of sections whose HIGH records something depends on. The first one is empty.
    high_sets: Sequence[Sequence[int]]


# --- writing ------------------------------------------------------------------------------------------------------


def shared_draft(shared: Shared) -> Draft:
    """The section that is not a table."""
    members = [section for members in shared.high_sets for section in members]
    numbers = [len(shared.high_sets), *map(len, shared.high_sets), *members]
    return Draft(FILE, "", b"", 0, {_CLASSES: cut(shared.classes), _HIGH_SETS: cut(pack_numbers("I", numbers))})


def plain_draft(
    kind: int,
    name: str,
    rows: int,
    *,
    names: Sequence[str] = (),
    keys: bytes | None = None,
    stamps: Iterable[int] | None = None,
    flags: Iterable[int] | None = None,
    values: Sequence[bytes | None] | None = None,
) -> Draft:
    """A section of anything but calls."""
    streams: dict[int, Iterable[bytes]] = {}
    if keys is not None:
        streams[_NAMES] = cut("\0".join(names).encode())
        streams[KEYS] = cut(keys)
    if stamps is not None:
        streams[_STAMPS] = cut(pack_numbers("q", stamps))
    if flags is not None:
        streams[_FLAGS] = cut(pack_numbers("B", flags))
    if values is not None:
        streams.update(_value_streams(values))
    return Draft(kind, name, b"", rows, streams)


def calls_draft(
    name: str,
    fingerprint: bytes,
    names: Sequence[str],
    keys: bytes,
    calls: Calls,
    values: Sequence[bytes | None],
    pushes: Sequence[bytes | None],
) -> Draft:
    """A section of a query's calls."""
    streams: dict[int, Iterable[bytes]] = {_NAMES: cut("\0".join(names).encode()), KEYS: cut(keys)}
    streams.update(_calls_streams(calls))
    streams.update(_value_streams(values))
    if any(pushes):
        present = [row or b"" for row in pushes]
        streams[_PUSH_LENGTHS] = cut(pack_numbers("I", map(len, present)))
        streams[_PUSHES] = cut(b"".join(present))
    return Draft(CALLS, name, fingerprint, len(values), streams)


def foreign_draft(section: Section, calls: Calls | None) -> Draft:
    """A section as it was read; calls with other columns."""
    streams: dict[int, Iterable[bytes]] = {number: cut(bytes(data)) for number, data in section.streams.items()}
    if _VALUES in streams:
        streams.update(_value_streams(read_values(section).rows()))
    if calls is not None:
        streams.update(_calls_streams(calls))
    return Draft(section.kind, section.name, section.fingerprint, section.rows, streams)


def _calls_streams(calls: Calls) -> Mapping[int, Iterable[bytes]]:
    dependencies = b"".join(pack_numbers("I", column) for column in (calls.counts, calls.high, calls.dependencies))
    return {
        _STAMPS: cut(pack_numbers("q", calls.changed_at) + pack_numbers("q", calls.valid_from)),
        _FLAGS: cut(pack_numbers("B", calls.flags)),
        _DEPENDENCIES: cut(dependencies),
    }


def _value_streams(values: Sequence[bytes | None]) -> Mapping[int, Iterable[bytes]]:
    present = [value or b"" for value in values]
    return {_LENGTHS: cut(pack_numbers("I", map(len, present))), _VALUES: gather(present)}


# --- reading ------------------------------------------------------------------------------------------------------


def read_shared(section: Section, sections: int) -> Shared:
    """The section that is not a table."""
    numbers = unpack_numbers("I", section.stream(_HIGH_SETS))
    count = numbers[0] if numbers else 0
    lengths, members = numbers[1 : 1 + count], numbers[1 + count :]
    if not count or len(lengths) != count or lengths[0]:
        raise ValueError("the first of the sets of HIGH inputs is not the empty one")
    if members and max(members) >= sections:
        raise ValueError("a set of HIGH inputs names a section that is not there")
    bounds = split(lengths, len(members))
    sets = [members[start:end] for start, end in pairwise(bounds)]
    return Shared(bytes(section.stream(_CLASSES)), sets)


def read_names(section: Section) -> tuple[str, ...]:
    """What the parts of the section's keys are called."""
    text = str(section.stream(_NAMES), "utf-8")
    return tuple(text.split("\0")) if text else ()


def read_stamps(section: Section, revision: int) -> Sequence[int]:
    """Since when each row has been what it is."""
    return _revisions(section.stream(_STAMPS), section.rows, 0, revision)


def read_flags(section: Section) -> Sequence[int]:
    """The rows' flags."""
    flags = unpack_numbers("B", section.stream(_FLAGS))
    if len(flags) != section.rows:
        raise ValueError("there are not as many flags as rows")
    return flags


def read_calls(section: Section, revision: int, rows: int, high_sets: int) -> Calls:
    """A query's columns, in a file of this revision, with so many rows and high sets."""
    count = section.rows
    stamps = section.stream(_STAMPS)
    half = len(stamps) // 2
    numbers = unpack_numbers("I", section.stream(_DEPENDENCIES))
    counts, high, dependencies = numbers[:count], numbers[count : 2 * count], numbers[2 * count :]
    if len(numbers) < 2 * count or sum(counts) != len(dependencies):
        raise ValueError("there are not as many dependencies as the calls are said to have")
    if dependencies and max(dependencies) >= rows:
        raise ValueError("a call depends on a row that is not there")
    if high and max(high) >= high_sets:
        raise ValueError("a call depends on a set of HIGH inputs that is not there")
    return Calls(
        _revisions(stamps[:half], count, 0, revision),
        _revisions(stamps[half:], count, -1, revision),
        read_flags(section),
        high,
        counts,
        dependencies,
    )


def _revisions(data: memoryview, rows: int, least: int, most: int) -> Sequence[int]:
    revisions = unpack_numbers("q", data)
    if len(revisions) != rows:
        raise ValueError("there are not as many stamps as rows")
    if rows and not least <= min(revisions) <= max(revisions) <= most:
        raise ValueError("a stamp is outside of the revisions that the file knows")
    return revisions


def read_values(section: Section) -> Values:
    """The rows' values."""
    return _values(section, _LENGTHS, _VALUES)


def read_pushes(section: Section) -> Values | None:
    """What the rows' calls pushed; None if it is nothing."""
    return _values(section, _PUSH_LENGTHS, _PUSHES) if section.stream(_PUSH_LENGTHS) else None


def _values(section: Section, lengths_stream: int, content_stream: int) -> Values:
    lengths = unpack_numbers("I", section.stream(lengths_stream))
    content = section.stream(content_stream)
    if len(lengths) != section.rows:
        raise ValueError("there are not as many lengths as rows")
    if sum(lengths) != len(content):
        raise ValueError("the values are not as long as they are said to be")
    return Values(lengths, [0, *accumulate(lengths)], content)
