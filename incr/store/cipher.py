"""The bytes of an encrypted file: a header, then records; see docs/format-encrypted.md, which has the same tables.

    header · record · record · …          record = record header · ciphertext · tag

Law: a nonce is 12 random bytes, drawn for one record and used once, under keys that belong to this file alone: they
come from the key and the file's own random salt. So one nonce never serves two contents, whatever was cut off, or lost
by a crash and written again. A record's header proves itself (key, file, place, the record before it), and the
ciphertext belongs to its header.

Keeps: crypto.nonce, crypto.bound, crypto.key.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct
from typing import Final, NamedTuple, final

from incr._errors import CorruptError, StoreError, VersionError
from incr.store.layout import ENCRYPTED_MAGIC

__all__ = [
    "APPEND",
    "CHUNK_BYTES",
    "CIPHER_HEADER_BYTES",
    "KEY_BYTES",
    "NAME",
    "RECORD_BYTES",
    "RECORD_HEADER_BYTES",
    "RECORD_MAGIC",
    "REWRITE",
    "SIZE",
    "FileKeys",
    "Master",
    "RecordHeader",
]

_FORMAT: Final = 1
#: HKDF-SHA-256, AES-256-GCM, BLAKE2b.
_SUITE: Final = 1
KEY_BYTES: Final = 32
#: The most bytes that one record holds.
CHUNK_BYTES: Final = 1 << 16

# Kinds of records.
#: Bytes at the end of what is there, or behind it.
APPEND: Final = 1
#: Bytes in place of some that are there.
REWRITE: Final = 2
#: From here on the file is so long.
SIZE: Final = 3
#: From here on the file may have this name, too.
NAME: Final = 4

# magic 8, format 2, suite 1, zero 1; then the CRC-32 of these 12: the same 16 bytes as in all other files.
_PROLOGUE: Final = Struct("<8sHBB")
_CRC: Final = Struct("<I")
# salt 32, key check 16, name 16; then the CRC-32 of these 64, and the code of all before.
_IDENTITY: Final = Struct("<32s16s16s")
_CODE_BYTES: Final = 16
_SALT_BYTES: Final = 32
_IDENTITY_AT: Final = _PROLOGUE.size + _CRC.size
_CRC_AT: Final = _IDENTITY_AT + _IDENTITY.size
_CODE_AT: Final = _CRC_AT + _CRC.size
CIPHER_HEADER_BYTES: Final = _CODE_AT + _CODE_BYTES

# magic 4, kind 4, plain bytes 4, changes 4, plain offset 8, nonce 12, code 16 of the record before; then the code of
# the place and these.
_RECORD: Final = Struct("<4sIIIQ12s16s")
_PLACE: Final = Struct("<Q")
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
#: Begins each record, so that the records behind a damaged one can be found.
RECORD_MAGIC: Final = b"\xf2ec\x1a"
RECORD_HEADER_BYTES: Final = _RECORD.size + _CODE_BYTES
#: A record with content is so much longer than that.
RECORD_BYTES: Final = RECORD_HEADER_BYTES + _TAG_BYTES

#: How the files of a store begin that is not encrypted.
_PLAIN: Final = (b"\x89incr\r\n\x1a", b"\x89ilog\r\n\x1a", b"incr-store ")


class RecordHeader(NamedTuple):
    """What is known of a record without its content."""

    kind: int
    #: How many bytes of content there are; 0 only for SIZE.
    length: int
    #: How many records before this one were REWRITE or SIZE: what could have changed what the others wrote.
    changes: int
    #: Where in the plain file; for SIZE the file's new length, for NAME its length.
    offset: int
    nonce: bytes
    #: The code of the record before; of the first one, that of the file's header.
    link: bytes
    code: bytes

    @property
    def behind(self) -> int:
        """How many bytes the record has with its content."""
        return RECORD_HEADER_BYTES + (self.length + _TAG_BYTES if self.length else 0)


@final
class Master:
    """The key of a directory, and where random bytes come from.

    Raises:
        TypeError: it is no bytes.
        ValueError: it has the wrong length.
        StoreError: there is no package for it.
    """

    __slots__ = ("_derive", "_random")

    def __init__(self, path: str, key: bytes, random: Callable[[int], bytes]) -> None:
        given: object = key
        if not isinstance(given, bytes | bytearray | memoryview):
            raise TypeError(
                f"key must be {KEY_BYTES} random bytes, not a {type(given).__name__}; make them of a password with "
                "hashlib.scrypt"
            )
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"key must be {KEY_BYTES} random bytes, as from secrets.token_bytes({KEY_BYTES}), not {len(key)}; "
                "make one of a password with hashlib.scrypt"
            )
        self._derive = _derivation(path, bytes(key))
        self._random = random

    # spec: crypto.nonce
    def born(self, name: str) -> tuple[FileKeys, bytes]:
        """The keys of a new file, and its header."""
        salt = self._random(_SALT_BYTES)
        keys = FileKeys(self._derive(salt), self._random)
        start = _PROLOGUE.pack(ENCRYPTED_MAGIC, _FORMAT, _SUITE, 0)
        start += _CRC.pack(crc32(start))
        identity = _IDENTITY.pack(salt, keys.check, keys.name_code(name))
        start += identity + _CRC.pack(crc32(identity))
        return keys, start + keys.header_code(start)

    # spec: crypto.key
    def found(self, path: str, data: bytes) -> tuple[FileKeys, bytes]:
        """The keys of a file with this header, and the code of the name that it was created under.

        Raises:
            CorruptError: the header is damaged.
            VersionError: it was written by another release.
            StoreError: it is not encrypted, or with another key.
        """
        if data.startswith(_PLAIN):
            raise StoreError(path, "is not encrypted; open it without a key, or give another path")
        if len(data) < CIPHER_HEADER_BYTES:
            raise CorruptError(path, len(data), f"ends within its header; {CIPHER_HEADER_BYTES} bytes are the least")
        magic, version, suite, zero = _PROLOGUE.unpack_from(data)
        if magic != ENCRYPTED_MAGIC:
            raise CorruptError(path, 0, "does not begin like an encrypted file")
        if _CRC.unpack_from(data, _PROLOGUE.size)[0] != crc32(data[: _PROLOGUE.size]):
            raise CorruptError(path, _PROLOGUE.size, "the checksum of the first bytes differs")
        if (version, suite, zero) != (_FORMAT, _SUITE, 0):
            raise VersionError(path, version, _FORMAT)
        salt, check, name = _IDENTITY.unpack_from(data, _IDENTITY_AT)
        if _CRC.unpack_from(data, _CRC_AT)[0] != crc32(data[_IDENTITY_AT:_CRC_AT]):
            raise CorruptError(path, _CRC_AT, "the checksum of the header differs")
        keys = FileKeys(self._derive(salt), self._random)
        if not compare_digest(keys.check, check):
            raise StoreError(path, "is encrypted with another key; give the one that it was written with")
        if not compare_digest(keys.header_code(data[:_CODE_AT]), data[_CODE_AT:CIPHER_HEADER_BYTES]):
            raise CorruptError(path, _CODE_AT, "the header does not prove itself")
        return keys, name


def _derivation(path: str, key: bytes) -> Callable[[bytes], bytes]:
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as error:
        raise StoreError(path, "is to be encrypted; install incr-runtime[crypto] for that") from error

    def derive(salt: bytes) -> bytes:
        length = 2 * KEY_BYTES + _CODE_BYTES
        return HKDF(algorithm=SHA256(), length=length, salt=salt, info=b"incr encrypted file").derive(key)

    return derive


@final
class FileKeys:
    """What one file is written and read with."""

    __slots__ = ("_cipher", "_code_key", "_random", "check")

    def __init__(self, derived: bytes, random: Callable[[int], bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(derived[:KEY_BYTES])
        self._code_key = derived[KEY_BYTES : 2 * KEY_BYTES]
        self._random = random
        #: Stands in the header: only the same key makes it of the same salt.
        self.check = derived[2 * KEY_BYTES :]

    def header_code(self, start: bytes) -> bytes:
        """What proves the file's header."""
        return self._code(b"incr header", start)

    # spec: crypto.bound
    def name_code(self, name: str) -> bytes:
        """What stands for the name in the header."""
        return self._code(b"incr name", name.encode("utf-8", "surrogatepass"))

    # spec: crypto.nonce, crypto.bound
    def pack(
        self, at: int, kind: int, content: bytes | memoryview, changes: int, offset: int, link: bytes
    ) -> tuple[bytes, bytes]:
        """A record for the place *at* of the file, and its code."""
        nonce = self._random(_NONCE_BYTES)
        fixed = _RECORD.pack(RECORD_MAGIC, kind, len(content), changes, offset, nonce, link)
        code = self._code(b"incr record", _PLACE.pack(at) + fixed)
        sealed = self._cipher.encrypt(nonce, content, code) if content else b""
        return fixed + code + sealed, code

    # spec: crypto.bound
    def unpack(self, at: int, data: bytes) -> RecordHeader | None:
        """The header of the record that begins *data* and was written at the place *at*; None if there is none."""
        if data[:4] != RECORD_MAGIC or len(data) < RECORD_HEADER_BYTES:
            return None
        code = data[_RECORD.size : RECORD_HEADER_BYTES]
        if not compare_digest(self._code(b"incr record", _PLACE.pack(at) + data[: _RECORD.size]), code):
            return None
        _, kind, length, changes, offset, nonce, link = _RECORD.unpack_from(data)
        return RecordHeader(kind, length, changes, offset, nonce, link, code)

    # spec: crypto.bound
    def content(self, header: RecordHeader, sealed: bytes) -> bytes | None:
        """The content of a record; None if it was changed."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(header.nonce, sealed, header.code)
        except InvalidTag:
            return None

    def _code(self, what: bytes, data: bytes) -> bytes:
        return blake2b(data, digest_size=_CODE_BYTES, key=self._code_key, person=what).digest()
