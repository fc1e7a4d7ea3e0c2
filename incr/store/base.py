"""A base file as a whole: sections of numbered streams of bytes, written atomically and read only if all of it checks.

Law: what is written for the same sections is the same to the last byte; what is read was written, every byte of it,
or the file is refused. What the streams mean is not known here.

Keeps: base.checksum, base.footer, base.bounded, save.atomic.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from incr._errors import CorruptError, StoreBrokenError, StoreError
from incr.store.checksum import Checksum, preferred_checksum
from incr.store.layout import (
    BLOCK_BYTES,
    FOOTER_BYTES,
    HEADER_BYTES,
    RAW,
    Block,
    Contents,
    Header,
    StreamEntry,
    block_place,
    contents_digest,
    pack_contents,
    pack_footer,
    pack_header,
    unpack_contents,
    unpack_footer,
    unpack_header,
)
from incr.store.whole import Files

__all__ = ["Base", "Draft", "Section", "base_image", "cut", "gather", "image_size", "read_base", "write_base"]

_NO_BYTES: Final = memoryview(b"")


class Draft(NamedTuple):
    """A section that is to be written: its streams by number, each as blocks of at most 64 KiB."""

    kind: int
    name: str
    fingerprint: bytes
    rows: int
    streams: Mapping[int, Iterable[bytes]]


class Section(NamedTuple):
    """A section as it was read; a stream's blocks are one piece again."""

    kind: int
    name: str
    fingerprint: bytes
    rows: int
    streams: Mapping[int, memoryview]
    #: Where the section's first block begins, for messages.
    offset: int

    def stream(self, number: int) -> memoryview:
        """The stream's bytes; none if the section does not have it."""
        return self.streams.get(number, _NO_BYTES)


class Base(NamedTuple):
    """A whole file that checks."""

    header: Header
    sections: Sequence[Section]


def cut(stream: bytes) -> Iterator[bytes]:
    """A stream as blocks, wherever they end."""
    for start in range(0, len(stream), BLOCK_BYTES):
        yield stream[start : start + BLOCK_BYTES]


def gather(values: Sequence[bytes]) -> Iterator[bytes]:
    """Many values as blocks that end where a value ends, unless a single value is longer than a block."""
    ends = [0, *accumulate(map(len, values))]
    first = 0
    while ends[first] < ends[-1]:
        behind = bisect_right(ends, ends[first] + BLOCK_BYTES) - 1
        if behind > first:
            yield b"".join(values[first:behind])
        else:
            behind = first + 1
            yield from cut(values[first])
        first = behind


def base_image(header: Header, sections: Iterable[Draft], checksum: Checksum) -> Iterator[bytes]:
    """A file's bytes from the first to the last, piece by piece."""
    start = pack_header(header, checksum)
    yield start
    offset = len(start)
    listed: list[Contents] = []
    for index, section in enumerate(sections):
        entries: list[StreamEntry] = []
        for number in sorted(section.streams):
            blocks: list[Block] = []
            for content in section.streams[number]:
                size = len(content)
                place = block_place(index, number, len(blocks), size, RAW)
                blocks.append(Block(size, size, RAW, checksum.digest(place, content)))
                offset += size
                yield content
            entries.append(StreamEntry(number, blocks))
        listed.append(Contents(section.kind, section.name, section.fingerprint, section.rows, entries))
    contents = pack_contents(listed)
    yield contents
    yield pack_footer(start, contents, offset, checksum)


def image_size(header: Header, sections: Iterable[Draft]) -> int:
    """How many bytes the file would have."""
    return sum(map(len, base_image(header, sections, preferred_checksum())))


# spec: save.atomic
def write_base(directory: Files, name: str, header: Header, sections: Iterable[Draft]) -> int:
    """Put a whole file under *name*, in place of the one that has it; returns its size in bytes.

    Raises:
        StoreError: it could not be written; nothing has changed.
    """
    checksum = preferred_checksum()
    with directory.create() as temporary:
        tail = _Tail()
        size = temporary.write(tail.watched(base_image(header, sections, checksum)))
        temporary.sync()
        first = temporary.read(0, len(tail.first))
        last = temporary.read(size - len(tail.last), len(tail.last))
        if (first, last) != (tail.first, tail.last):
            raise StoreBrokenError(directory.path_of(name), "what was written reads back differently; check the disk")
        temporary.publish(name)
    return size


class _Tail:
    """The first piece of a file and the last two, for reading back."""

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.first = self.last = b""

    def watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        before = after = b""
        for piece in pieces:
            if not self.first:
                self.first = piece
            before, after = after, piece
            yield piece
        self.last = before + after


# --- reading ------------------------------------------------------------------------------------------------------


# spec: base.bounded
def read_base(path: str, content: bytes) -> Base:
    """Everything that a file holds, after a look at every byte of it.

    Raises:
        CorruptError: something does not check.
        VersionError: it has another format.
        StoreError: it needs something that this installation does not have.
    """
    data = memoryview(content)
    header, checksum = unpack_header(path, data)
    footer = unpack_footer(path, data, len(data))
    contents = data[footer.offset : footer.offset + footer.length]
    if contents_digest(data[:HEADER_BYTES], contents, footer, checksum) != footer.digest:
        raise CorruptError(path, len(data) - FOOTER_BYTES, "the checksum of the table of contents differs")
    offset = HEADER_BYTES
    sections: list[Section] = []
    for index, listed in enumerate(unpack_contents(path, footer.offset, contents)):
        first = offset
        streams: dict[int, memoryview] = {}
        for entry in listed.streams:
            begin = offset
            for number, block in enumerate(entry.blocks):
                place = block_place(index, entry.number, number, block.raw_bytes, block.codec)
                offset = _checked_block(path, data[: footer.offset], offset, block, place, checksum)
            streams[entry.number] = data[begin:offset]
        sections.append(Section(listed.kind, listed.name, listed.fingerprint, listed.rows, streams, first))
    if offset != footer.offset:
        raise CorruptError(path, offset, "bytes that belong to no section")
    return Base(header, sections)


# spec: base.checksum
def _checked_block(path: str, data: memoryview, offset: int, block: Block, place: bytes, checksum: Checksum) -> int:
    """The offset behind the block, which is as it was written and where it belongs."""
    end = offset + block.stored_bytes
    if block.codec != RAW:
        raise StoreError(path, f"is compressed in a way that this release does not know (codec {block.codec})")
    if block.stored_bytes != block.raw_bytes or not 0 < block.raw_bytes <= BLOCK_BYTES or end > len(data):
        raise CorruptError(path, offset, "a block is not as long as it says")
    if checksum.digest(place, data[offset:end]) != block.digest:
        raise CorruptError(path, offset, "a block's checksum differs")
    return end
