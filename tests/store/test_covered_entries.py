"""A log beside something that has its first entries, too: those do not matter, and their ids are not given again."""

from __future__ import annotations

import pytest

from incr import CorruptError
from incr.store.appender import Appender, Limits
from incr.store.repair import recover
from incr.store.segments import read_frames
from incr.testing import FakeDirectory


def write(disk: FakeDirectory, covered: int, *entries: bytes) -> None:
    appender = Appender(disk, recover(disk, covered), covered, Limits(segment_bytes=400))
    for entry in entries:
        appender.write([entry])
        appender.sync()
    appender.let_go()


def ids(disk: FakeDirectory, covered: int) -> list[int]:
    found = recover(disk, covered)
    return [frame.first_id for frame, _ in read_frames(disk, found.parts, covered, covered)]


@pytest.mark.spec("log.covered")
def test_damage_below_what_is_covered_does_not_matter() -> None:
    disk = FakeDirectory()
    write(disk, 0, *[b"%d" % number for number in range(1, 6)])
    (name,) = disk.files()
    content = disk.files()[name]
    for place in range(96, len(content)):
        damaged = FakeDirectory({name: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]})
        frame = (place - 96) // 53 + 1  # each has 53 bytes
        for covered in range(5):
            if frame <= covered:
                assert ids(damaged, covered) == list(range(covered + 1, 6))
            elif frame < 5:
                with pytest.raises(CorruptError):
                    ids(damaged, covered)
            else:
                assert ids(FakeDirectory(damaged.files()), covered) == list(range(covered + 1, 5))


@pytest.mark.spec("log.covered", "log.append")
@pytest.mark.parametrize("before", [0, 3])
def test_ids_that_are_covered_are_not_given_again(before: int) -> None:
    disk = FakeDirectory()
    if before:
        write(disk, 0, *[b"x"] * before)
    write(disk, 7, b"eight", b"nine")
    assert ids(disk, 7) == [8, 9]
    write(disk, 7, b"ten")
    assert ids(disk, 9) == [10]
    if before:
        with pytest.raises(CorruptError, match="entry 4 was expected"):
            found = recover(disk, 2)
            list(read_frames(disk, found.parts, 2, 2))
