"""The fixed parts of a base file: header, table of contents, footer; see docs/format.md, which has the same tables.

    header · block · block · … · table of contents · footer

Law: all numbers are unsigned and little-endian; nothing is padded or aligned; a block's offset is never stored, it is
where the one before it ends, so that each byte of the file is covered by exactly one checksum.

Keeps: base.version, base.footer, base.bounded.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from incr._errors import CorruptError, StoreError, VersionError
from incr.store.checksum import BLAKE2B, DIGEST_BYTES, XXH3, Buffer, Checksum, checksum_of_kind

__all__ = [
    "BLOCK_BYTES",
    "ENCRYPTED_MAGIC",
    "FOOTER_BYTES",
    "FORMAT",
    "FORMAT_NAME",
    "HEADER_BYTES",
    "MAGIC",
    "NO_STORE",
    "PROLOGUE_BYTES",
    "RAW",
    "Block",
    "Contents",
    "Footer",
    "Header",
    "StreamEntry",
    "block_place",
    "contents_digest",
    "pack_contents",
    "pack_footer",
    "pack_header",
    "pack_prologue",
    "unpack_contents",
    "unpack_footer",
    "unpack_header",
    "unpack_prologue",
]

#: The format that this release writes, and the only one that it reads.
FORMAT: Final = 1
#: The most raw bytes that a block holds.
BLOCK_BYTES: Final = 1 << 16
#: A block's codec byte: stored as it is.
RAW: Final = 0
#: The store id of a file that stands on its own.
NO_STORE: Final = bytes(16)

#: Begins each base file, of all formats.
MAGIC: Final = b"\x89incr\r\n\x1a"
_END_MAGIC: Final = b"incr-end"
#: How an encrypted file begins, whatever is in it.
ENCRYPTED_MAGIC: Final = b"\x89ienc\r\n\x1a"
#: The name of the file that says that a directory is the store of a database.
FORMAT_NAME: Final = "FORMAT"

# magic 8, format 2, checksum kind 1, zero 1; then the CRC-32 of these 12. No later format moves these 16 bytes.
_PROLOGUE: Final = Struct("<8sHBB")
_CRC: Final = Struct("<I")
PROLOGUE_BYTES: Final = _PROLOGUE.size + _CRC.size
# store id 16, generation 8, revision 8, flags 8; then the digest of the 56 bytes before it.
_IDENTITY: Final = Struct("<16sQQQ")
HEADER_BYTES: Final = PROLOGUE_BYTES + _IDENTITY.size + DIGEST_BYTES

# offset of the table of contents 8, its length 8; digest of header, table of contents and these two; end magic 8.
_FOOTER: Final = Struct("<QQ")
FOOTER_BYTES: Final = _FOOTER.size + DIGEST_BYTES + len(_END_MAGIC)

_COUNT: Final = Struct("<I")
# kind 1, flags 1, name bytes 2, fingerprint bytes 2, streams 2, rows 4; then name, fingerprint, streams.
_SECTION: Final = Struct("<BBHHHI")
# stream number 2, blocks 4; then the blocks.
_STREAM: Final = Struct("<HI")
# raw bytes 4, stored bytes 4, codec 1, digest 8.
_BLOCK: Final = Struct("<IIB8s")
# section 4, stream 2, block number 4, raw bytes 4, codec 1: digested before the block's own bytes.
_PLACE: Final = Struct("<IHIIB")


class Header(NamedTuple):
    """Which store, which generation of it, and the revision of the inputs that the file holds."""

    revision: int
    store_id: bytes = NO_STORE
    generation: int = 0


class Block(NamedTuple):
    """What the table of contents says about one block."""

    raw_bytes: int
    stored_bytes: int
    codec: int
    digest: bytes


class StreamEntry(NamedTuple):
    """One stream of a section: its number and its blocks, in order."""

    number: int
    blocks: Sequence[Block]


class Contents(NamedTuple):
    """What the table of contents says about one section."""

    kind: int
    name: str
    fingerprint: bytes
    rows: int
    streams: Sequence[StreamEntry]


class Footer(NamedTuple):
    """Where the table of contents is, and the digest over it and the header."""

    offset: int
    length: int
    digest: bytes


def block_place(section: int, stream: int, number: int, raw_bytes: int, codec: int) -> bytes:
    """Where a block belongs, as its checksum covers it."""
    return _PLACE.pack(section, stream, number, raw_bytes, codec)


# --- header -------------------------------------------------------------------------------------------------------


def pack_prologue(magic: bytes, checksum: Checksum, format_number: int = FORMAT) -> bytes:
    """The first 16 bytes of any file."""
    prologue = _PROLOGUE.pack(magic, format_number, checksum.kind, 0)
    return prologue + _CRC.pack(crc32(prologue))


# spec: base.version
def unpack_prologue(path: str, data: memoryview, magic: bytes, supported: int = FORMAT) -> Checksum:
    """What the rest of a file with these first 16 bytes is to be checked with; *data* has them.

    Raises:
        CorruptError: not such a file, or damaged.
        VersionError: healthy, and written by another release.
        StoreError: encrypted; or healthy, but it needs something that this installation does not have.
    """
    prologue = data[: _PROLOGUE.size]
    found_magic, found, kind, zero = _PROLOGUE.unpack(prologue)
    if found_magic == ENCRYPTED_MAGIC:
        raise StoreError(path, "is encrypted; open it with the key that it was written with")
    if found_magic != magic:
        raise CorruptError(path, 0, "does not begin like a file of incr")
    if _CRC.unpack_from(data, _PROLOGUE.size)[0] != crc32(prologue):
        raise CorruptError(path, _PROLOGUE.size, "the checksum of the first bytes differs")
    if found != supported:
        raise VersionError(path, found, supported)
    if kind not in (XXH3, BLAKE2B) or zero:
        raise CorruptError(path, 10, f"names an unknown checksum ({kind}, {zero})")
    checksum = checksum_of_kind(kind)
    if checksum is None:
        raise StoreError(path, "was written with xxh3 checksums; install the package xxhash to read it")
    return checksum


def pack_header(header: Header, checksum: Checksum) -> bytes:
    """The first 64 bytes of a file."""
    identity = _IDENTITY.pack(header.store_id, header.generation, header.revision, 0)
    start = pack_prologue(MAGIC, checksum) + identity
    return start + checksum.digest(b"", start)


def unpack_header(path: str, data: memoryview) -> tuple[Header, Checksum]:
    """The header, and what the rest of the file is to be checked with.

    Raises:
        CorruptError: not a file of incr, or damaged.
        VersionError: healthy, and written by another release.
        StoreError: healthy, but it needs something that this installation does not have.
    """
    if len(data) < HEADER_BYTES:
        raise CorruptError(path, len(data), f"ends within its header; {HEADER_BYTES} bytes are the least")
    checksum = unpack_prologue(path, data, MAGIC)
    end = HEADER_BYTES - DIGEST_BYTES
    if checksum.digest(b"", data[:end]) != bytes(data[end:HEADER_BYTES]):
        raise CorruptError(path, end, "the header's checksum differs")
    store_id, generation, revision, flags = _IDENTITY.unpack_from(data, PROLOGUE_BYTES)
    if flags:
        raise StoreError(path, f"uses features that this release does not know (flags {flags:#x})")
    return Header(revision, store_id, generation), checksum


# --- table of contents --------------------------------------------------------------------------------------------


def pack_contents(sections: Sequence[Contents]) -> bytes:
    """The table of contents."""
    parts = [_COUNT.pack(len(sections))]
    for section in sections:
        name = section.name.encode("utf-8", "surrogatepass")
        parts.append(
            _SECTION.pack(section.kind, 0, len(name), len(section.fingerprint), len(section.streams), section.rows)
        )
        parts += [name, section.fingerprint]
        for stream in section.streams:
            parts.append(_STREAM.pack(stream.number, len(stream.blocks)))
            parts += [_BLOCK.pack(*block) for block in stream.blocks]
    return b"".join(parts)


def unpack_contents(path: str, start: int, data: memoryview) -> list[Contents]:
    """The sections that a table of contents lists; *start* is its offset in the file, for messages."""
    reader = _Reader(path, start, data)
    (count,) = reader.take(_COUNT)
    sections = [_unpack_section(reader) for _ in range(reader.claim(count, _SECTION.size))]
    if reader.at != len(data):
        raise CorruptError(path, start + reader.at, "bytes behind the last section of the table of contents")
    if len({(section.kind, section.name) for section in sections}) != count:
        raise CorruptError(path, start, "the table of contents lists a section twice")
    return sections


def _unpack_section(reader: _Reader) -> Contents:
    kind, flags, name_bytes, fingerprint_bytes, streams, rows = reader.take(_SECTION)
    if flags:
        raise StoreError(reader.path, f"a section uses features that this release does not know (flags {flags:#x})")
    try:
        name = str(reader.take_bytes(name_bytes), "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise CorruptError(reader.path, reader.start + reader.at, "a section's name is not UTF-8") from error
    fingerprint = bytes(reader.take_bytes(fingerprint_bytes))
    entries = [_unpack_stream(reader) for _ in range(reader.claim(streams, _STREAM.size))]
    numbers = [entry.number for entry in entries]
    if numbers != sorted(set(numbers)):
        raise CorruptError(reader.path, reader.start + reader.at, "a section's streams are out of order")
    return Contents(kind, name, fingerprint, rows, entries)


def _unpack_stream(reader: _Reader) -> StreamEntry:
    number, count = reader.take(_STREAM)
    blocks = reader.take_bytes(reader.claim(count, _BLOCK.size) * _BLOCK.size)
    return StreamEntry(number, [Block(*fields) for fields in _BLOCK.iter_unpack(blocks)])


class _Reader:
    """A place in the table of contents. Nothing is taken, and no count believed, beyond what is there."""

    __slots__ = ("at", "data", "path", "start")

    def __init__(self, path: str, start: int, data: memoryview) -> None:
        self.path = path
        self.start = start
        self.data = data
        self.at = 0

    def take(self, layout: Struct) -> tuple[int, ...]:
        return layout.unpack(self.take_bytes(layout.size))

    def take_bytes(self, count: int) -> memoryview:
        before = self.at
        self.claim(count, 1)
        self.at += count
        return self.data[before : self.at]

    # spec: base.bounded
    def claim(self, count: int, least: int) -> int:
        """*count*, after a look at whether so many things of at least *least* bytes can follow."""
        if count * least > len(self.data) - self.at:
            raise CorruptError(self.path, self.start + self.at, "the table of contents claims more than is there")
        return count


# --- footer -------------------------------------------------------------------------------------------------------


def pack_footer(header: bytes, contents: bytes, offset: int, checksum: Checksum) -> bytes:
    """The last bytes of a file: with them it is whole."""
    place = _FOOTER.pack(offset, len(contents))
    return place + checksum.digest(header + place, contents) + _END_MAGIC


# spec: base.footer
def unpack_footer(path: str, end: memoryview, size: int) -> Footer:
    """Where the table of contents is in a file of *size* bytes with this *end*; its digest is not compared yet."""
    start = size - FOOTER_BYTES
    if start < HEADER_BYTES or bytes(end[-len(_END_MAGIC) :]) != _END_MAGIC:
        raise CorruptError(path, max(0, start), "does not end with a footer: it is cut short, or was never finished")
    footer = end[-FOOTER_BYTES:]
    offset, length = _FOOTER.unpack_from(footer)
    if offset < HEADER_BYTES or offset + length != start:
        raise CorruptError(path, start, "the footer does not point at the table of contents")
    return Footer(offset, length, bytes(footer[_FOOTER.size : _FOOTER.size + DIGEST_BYTES]))


def contents_digest(header: Buffer, contents: Buffer, footer: Footer, checksum: Checksum) -> bytes:
    """What the footer's digest has to be."""
    return checksum.digest(bytes(header) + _FOOTER.pack(footer.offset, footer.length), contents)
