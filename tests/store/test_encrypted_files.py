"""An encrypted file is a file: what was written is read, through any writes and cuts; and nothing of it can be seen."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from random import Random
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incr import CorruptError, StoreError, VersionError
from incr.store import EncryptedDirectory, MemoryDirectory
from incr.store.cipher import CHUNK_BYTES, CIPHER_HEADER_BYTES, RECORD_BYTES, RECORD_MAGIC, Master
from incr.store.directory import read_whole, write_whole
from incr.store.encrypted import EncryptedFile
from incr.testing import FakeDirectory

KEY = bytes(range(32))


def encrypted(disk: MemoryDirectory | FakeDirectory) -> EncryptedDirectory:
    return EncryptedDirectory(disk, KEY)


def file_of(directory: EncryptedDirectory, name: str = "a") -> EncryptedFile:
    file = directory.open(name)
    assert isinstance(file, EncryptedFile)
    return file


def content(disk: dict[str, bytes], name: str = "a") -> bytes:
    return read_whole(encrypted(MemoryDirectory(disk)).open_to_read(name))


def written(*pieces: bytes) -> dict[str, bytes]:
    """The files of a disk with one file *a*, written piece by piece."""
    disk = MemoryDirectory()
    file = encrypted(disk).create("a")
    for piece in pieces:
        write_whole(file, piece, file.size())
    return disk.files()


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 60), st.binary(max_size=40)),
        st.tuples(st.just("append"), st.just(0), st.binary(max_size=40)),
        st.tuples(st.just("truncate"), st.integers(0, 80), st.just(b"")),
        st.tuples(st.just("allocate"), st.integers(0, 200), st.just(b"")),
        st.tuples(st.just("reopen"), st.just(0), st.just(b"")),
        st.tuples(st.just("rename"), st.just(0), st.just(b"")),
    ),
    max_size=25,
)


@pytest.mark.spec("crypto.file")
@given(OPERATIONS)
def test_any_writes_and_cuts_give_what_they_give_in_a_plain_file(operations: list[tuple[str, int, bytes]]) -> None:
    disk = MemoryDirectory()
    directory = encrypted(disk)
    name = "a"
    file = directory.create(name)
    plain = bytearray()
    for kind, number, data in operations:
        match kind:
            case "write" | "append":
                offset = number if kind == "write" else len(plain)
                write_whole(file, data, offset)
                if data:
                    plain.extend(bytes(max(0, offset - len(plain))))
                    plain[offset : offset + len(data)] = data
            case "truncate":
                file.truncate(number)
                del plain[number:]
                plain.extend(bytes(number - len(plain)))
            case "allocate":
                file.allocate(number)
            case _:
                file.close()
                if kind == "rename":
                    directory.rename(name, name := name + "a")
                file = directory.open(name)
        assert (file.size(), read_whole(file)) == (len(plain), bytes(plain))
    assert read_whole(directory.open_to_read(name)) == bytes(plain)
    for start in range(0, len(plain) + 5, 7):
        assert file.pread(10, start) == plain[start : start + 10]


@pytest.mark.spec("crypto.file")
def test_large_writes_are_read_in_pieces() -> None:
    disk = MemoryDirectory()
    directory = encrypted(disk)
    file = directory.create("a")
    data = Random(1).randbytes(5 * CHUNK_BYTES // 2)
    assert file.pwrite(data, 0) == len(data)
    assert file.pwrite(bytes(1 << 21), len(data)) == 1 << 20
    file.truncate(len(data))
    assert len(disk.files()["a"]) == CIPHER_HEADER_BYTES + len(data) + 3 * RECORD_BYTES
    for again in (file, directory.open("a")):
        assert again.pread(100, CHUNK_BYTES - 50) == data[CHUNK_BYTES - 50 : CHUNK_BYTES + 50]
        assert again.pread(10, 5) == data[5:15]
        assert (read_whole(again), again.pread(5, len(data))) == (data, b"")


@pytest.mark.spec("crypto.file")
def test_nothing_of_the_content_can_be_seen() -> None:
    secret = b"an unusual sequence of bytes"
    files = written(secret, secret)
    directory = encrypted(disk := MemoryDirectory(files))
    directory.rename("a", "b")
    stored = disk.files()["b"]
    assert not [at for at in range(len(secret) - 3) if secret[at : at + 4] in stored]
    assert content(disk.files(), "b") == secret * 2


@pytest.mark.spec("crypto.nonce")
def test_random_bytes_are_used_once() -> None:
    """Whatever is written again, after a cut, a crash or a failure, gets a nonce that nothing had before."""
    drawn: list[bytes] = []

    def random(count: int) -> bytes:
        drawn.append((len(drawn) + 1).to_bytes(count, "big"))
        return drawn[-1]

    disk = FakeDirectory()
    stored: list[bytes] = []

    def step(action: Callable[[EncryptedDirectory], None]) -> None:
        action(EncryptedDirectory(disk, KEY, random=random))
        stored.extend(disk.files().values())

    def write(directory: EncryptedDirectory) -> None:
        write_whole(directory.open("a"), b"content", 0)

    def cut(directory: EncryptedDirectory) -> None:
        directory.open("a").truncate(0)

    step(lambda directory: directory.create("a").close())
    for action in (write, cut, write, write, cut, write):
        step(action)
    disk.fail("pwrite", skip=1)
    for _ in range(2):
        file = encrypted(disk).open("a")
        file.truncate(0)
        disk.shorten("pwrite")
        with pytest.raises(OSError, match="error"):
            EncryptedDirectory(disk, KEY, random=random).open("a").pwrite(b"content", 0)
        disk.fail("pwrite", skip=1)
        stored.extend(disk.files().values())
    disk.heal()
    step(write)
    nonces: dict[bytes, bytes] = {}
    for image in stored:
        at = image.find(RECORD_MAGIC)
        while at >= 0:
            nonce, record = image[at + 24 : at + 36], image[at : at + 84 + 7]
            # A torn record is a part of the whole one, or that of it.
            seen = nonces.setdefault(nonce, record)
            assert seen.startswith(record) or record.startswith(seen) or len(nonce) < 12
            nonces[nonce] = max(seen, record, key=len)
            at = image.find(RECORD_MAGIC, at + 1)
    assert len([nonce for nonce in nonces if len(nonce) == 12]) >= 7
    assert len(set(drawn)) == len(drawn)


@pytest.mark.spec("crypto.nonce")
def test_each_file_has_keys_of_its_own() -> None:
    disk = MemoryDirectory()
    directory = encrypted(disk)
    for name in ("a", "b"):
        write_whole(directory.create(name), b"same", 0)
    one, other = disk.files().values()
    assert one[16:48] != other[16:48]
    with pytest.raises(CorruptError, match="another name"):
        encrypted(MemoryDirectory({"a": other})).open("a")
    # The records of one do not fit into the other.
    mixed = one[:CIPHER_HEADER_BYTES] + other[CIPHER_HEADER_BYTES:]
    assert content({"a": mixed}) == b""


@pytest.mark.spec("crypto.damage")
def test_what_does_not_prove_itself_is_not_given_out() -> None:
    files = written(b"first", b"second", b"third")
    whole = files["a"]
    begin = CIPHER_HEADER_BYTES + RECORD_BYTES + 5
    unknown = b"first" + b"\xdb" * 6 + b"third"
    for place in range(begin, begin + RECORD_BYTES + 6):
        for bit in range(8):
            assert content({"a": flipped(whole, place, bit)}) == unknown
    # At the end it could be what was never written.
    begin = len(whole) - RECORD_BYTES - 5
    for place in range(begin, len(whole)):
        assert content({"a": flipped(whole, place)}) in (b"firstsecond", b"firstsecond" + b"\xdb" * 5)
    for size in range(CIPHER_HEADER_BYTES, len(whole)):
        found = content({"a": whole[:size]})
        assert b"firstsecondthird".startswith(found.rstrip(b"\xdb"))
    # It goes on behind the gap, and with what is written next.
    disk = MemoryDirectory({"a": flipped(whole, CIPHER_HEADER_BYTES + RECORD_BYTES + 5)})
    file = file_of(encrypted(disk))
    write_whole(file, b"fourth", file.size())
    assert content(disk.files()) == unknown + b"fourth"
    file.truncate(11)
    write_whole(file, b"F", 0)
    assert content(disk.files()) == b"First" + b"\xdb" * 6
    file.truncate(7)
    assert content(disk.files()) == b"First\xdb\xdb"
    file.truncate(5)
    write_whole(file, b"more", 5)
    assert content(disk.files()) == b"Firstmore"


@pytest.mark.spec("crypto.damage")
def test_nothing_older_shows_up_where_something_was_written_over() -> None:
    disk = MemoryDirectory(written(b"first"))
    directory = encrypted(disk)
    file = file_of(directory)
    write_whole(file, b"F", 0)
    write_whole(file, b"more", 5)
    files = disk.files()
    assert content(files) == b"Firstmore"
    begin = CIPHER_HEADER_BYTES + RECORD_BYTES + 5
    damaged = {"a": flipped(files["a"], begin)}
    with pytest.raises(CorruptError, match="a record that changed earlier ones is damaged"):
        content(damaged)
    assert content({"a": flipped(files["a"], begin + RECORD_BYTES)}) == b"\xdbirstmore"
    # The same for a file that was made shorter, and for one whose damaged record is followed by such a change.
    file.truncate(2)
    write_whole(file, b"!", 2)
    files = disk.files()
    assert content(files) == b"Fi!"
    with pytest.raises(CorruptError, match="a record that changed earlier ones"):
        content({"a": flipped(files["a"], len(files["a"]) - RECORD_BYTES - 2)})
    with pytest.raises(CorruptError, match="a record that changed earlier ones"):
        content({"a": flipped(files["a"], CIPHER_HEADER_BYTES)})


@pytest.mark.spec("crypto.crash")
def test_what_a_cut_has_left_behind_is_not_read() -> None:
    """The cut was lost, what was written after it was not."""
    disk = MemoryDirectory(written(b"12345", b"67890", b"abcde"))
    old = disk.files()["a"]
    file = file_of(encrypted(disk))
    file.truncate(5)
    write_whole(file, b"other", 5)
    new = disk.files()["a"]
    assert content({"a": new + old[len(new) :]}) == b"12345other"
    # Torn, with something whole behind it that is older than what it follows.
    torn = flipped(new, len(new) - 1)
    assert content({"a": torn + old[len(new) :]}) == b"12345" + b"\xdb" * 5
    file = file_of(encrypted(disk))
    file.truncate(0)
    for _ in range(3):
        write_whole(file, b"1234567890", file.size())
    long = disk.files()["a"]
    header = flipped(long, len(long) - RECORD_BYTES - 10)
    file.truncate(0)
    for _ in range(3):
        write_whole(file, b"1", file.size())
    stale = disk.files()["a"]
    at = CIPHER_HEADER_BYTES + 3 * (RECORD_BYTES + 1)
    assert content({"a": stale + header[at:]}) == b"111"


@pytest.mark.spec("crypto.damage")
def test_a_record_that_is_older_than_the_gap_before_it_is_not_read() -> None:
    disk = MemoryDirectory(written(b"a", b"b", b"c"))
    old = disk.files()["a"]
    last = CIPHER_HEADER_BYTES + 2 * (RECORD_BYTES + 1)
    file = file_of(encrypted(disk))
    file.truncate(0)
    write_whole(file, b"12345", 0)
    new = disk.files()["a"]
    assert len(new) < last
    assert content({"a": new + bytes(last - len(new)) + old[last:]}) == b"12345"


@pytest.mark.spec("crypto.crash", "crypto.key")
def test_a_file_whose_header_was_never_on_the_disk_is_empty() -> None:
    whole = written(b"content")["a"]
    header = whole[:CIPHER_HEADER_BYTES]
    for made in (b"", header[:50], bytes(100), header[:20] + bytes(80), flipped(header, 3), flipped(header, 99)):
        disk = MemoryDirectory({"a": made})
        file = file_of(encrypted(disk))
        assert (file.size(), file.pread(10, 0)) == (0, b"")
        encrypted(disk).rename("a", "b")
        encrypted(disk).rename("b", "a")
        file.truncate(0)
        assert disk.files() == {"a": b""}
        write_whole(file, b"new", 0)
        assert content(disk.files()) == b"new"
    # If there is more, the header was there.
    for place in range(CIPHER_HEADER_BYTES):
        for bit in (0, 5):
            with pytest.raises(CorruptError):
                content({"a": flipped(whole, place, bit)})


@pytest.mark.spec("crypto.key")
def test_keys_that_are_wrong_short_or_useless() -> None:
    files = written(b"content")
    with pytest.raises(StoreError, match=r"^memory:a: is encrypted with another key") as caught:
        EncryptedDirectory(MemoryDirectory(files), bytes(32)).open("a")
    assert type(caught.value) is StoreError
    for key in (b"", b"password", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match=r"key must be 32 random bytes.*hashlib\.scrypt"):
            EncryptedDirectory(MemoryDirectory(), key)
    for plain in (b"\x89incr\r\n\x1a" + bytes(200), b"\x89ilog\r\n\x1a", b"incr-store 1\n"):
        with pytest.raises(StoreError, match="is not encrypted; open it without a key") as caught:
            encrypted(MemoryDirectory({"a": plain})).open("a")
        assert type(caught.value) is StoreError


@pytest.mark.spec("crypto.key")
def test_a_newer_format_is_not_damage() -> None:
    from binascii import crc32

    whole = written(b"content")["a"]
    prologue = whole[:8] + b"\x02\0" + whole[10:12]
    newer = prologue + crc32(prologue).to_bytes(4, "little") + whole[16:]
    with pytest.raises(VersionError, match="has format 2"):
        content({"a": newer})


@pytest.mark.spec("crypto.key")
def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hashes", None)
    with pytest.raises(StoreError, match=r"install incr-runtime\[crypto\]"):
        encrypted(MemoryDirectory())


@pytest.mark.spec("crypto.name")
def test_a_renamed_file_says_so_unless_it_was_renamed_here() -> None:
    files = written(b"content")
    with pytest.raises(CorruptError, match="another name"):
        content({"b": files["a"]}, "b")
    disk = MemoryDirectory(files)
    directory = encrypted(disk)
    directory.rename("a", "b")
    directory.rename("b", "c")
    assert content(disk.files(), "c") == b"content"
    with pytest.raises(CorruptError, match="another name"):
        content({"d": disk.files()["c"]}, "d")
    # A name that it had is not kept from it: a crash may have left it there.
    assert content({"b": disk.files()["c"]}, "b") == b"content"
    # Renaming needs no good content, and the lock is not encrypted.
    disk = MemoryDirectory({"a": flipped(files["a"], 20), "LOCK": b"text", "odd": b"text" * 50})
    directory = encrypted(disk)
    directory.rename("a", "torn")
    directory.rename("LOCK", "LOCK")
    assert read_whole(directory.open("LOCK")) == b"text"
    assert sorted(disk.files()) == ["LOCK", "odd", "torn"]
    with pytest.raises(ValueError, match="plain file name"):
        directory.rename("torn", "../a")
    directory.rename("odd", "c")
    with pytest.raises(CorruptError, match="does not begin like an encrypted file"):
        directory.open("c")


@pytest.mark.spec("crypto.name", "crypto.crash")
def test_a_crash_while_a_file_gets_its_name() -> None:
    disk = FakeDirectory()
    directory = EncryptedDirectory(disk, KEY)
    for name, data in (("a", b"old"), ("b", b"new")):
        file = directory.create(name)
        write_whole(file, data, 0)
        file.sync()
    directory.sync()
    begin = disk.calls
    directory.rename("b", "a")
    directory.sync()
    found = set()
    for calls in range(begin, disk.calls + 1):
        for state in disk.crash_states(calls):
            found.add((content(state), content(state, "b") if "b" in state else None))
    assert found == {(b"old", b"new"), (b"new", None)}


@pytest.mark.spec("crypto.name")
def test_a_file_with_a_gap_may_have_a_name_behind_it() -> None:
    disk = MemoryDirectory(written(b"first", b"second"))
    encrypted(disk).rename("a", "b")
    damaged = flipped(disk.files()["b"], CIPHER_HEADER_BYTES + RECORD_BYTES + 5)
    assert content({"b": damaged}, "b") == b"first" + b"\xdb" * 6
    # The name itself is gone.
    with pytest.raises(CorruptError, match="another name"):
        content({"b": flipped(disk.files()["b"], len(disk.files()["b"]) - 1)}, "b")


@pytest.mark.spec("crypto.file")
def test_reading_beside_a_writer() -> None:
    """A reader has each record whole or not at all; none is taken for damaged because it is being written."""
    disk = MemoryDirectory()
    directory = encrypted(disk)
    file = directory.create("a")
    piece = b"0123456789"
    errors: list[bytes] = []
    done = False

    def read() -> None:
        while not done:
            found = read_whole(directory.open_to_read("a"))
            if found != piece * (len(found) // 10):
                errors.append(found)

    reader = Thread(target=read)
    reader.start()
    try:
        for _ in range(300):
            write_whole(file, piece, file.size())
    finally:
        done = True
        reader.join()
    assert errors == []
    assert read_whole(file) == piece * 300


@pytest.mark.spec("crypto.file", "crypto.damage")
def test_a_record_that_is_being_written_while_a_reader_looks_is_no_gap() -> None:
    """The reader sees it half written, and then what was written after it."""
    disk = MemoryDirectory(written(b"first"))
    file = file_of(encrypted(disk))
    before = disk.files()["a"]
    write_whole(file, b"second", 5)
    write_whole(file, b"third", 11)

    class Late:
        """The disk, whose first answer is one that begins when only half of the second record is there."""

        def __init__(self) -> None:
            self.file = disk.open_to_read("a")
            self.size = self.file.size
            self.calls = 0

        def pread(self, count: int, offset: int) -> bytes:
            self.calls += 1
            seen = self.file.pread(count, offset)
            half = len(before) + 20 - offset
            return seen[:half] + bytes(len(seen[half:])) if self.calls == 1 else seen

    late = Late()
    reader = EncryptedFile(late, Master("", KEY, os.urandom), "a", "a")  # type: ignore[arg-type]  # only these calls
    assert (read_whole(reader), late.calls > 2) == (b"firstsecond", True)


@pytest.mark.spec("crypto.damage")
def test_damage_that_comes_while_a_file_is_open() -> None:
    disk = MemoryDirectory(written(b"first", b"second"))
    file = encrypted(disk).open("a")
    disk.open("a").pwrite(b"!", CIPHER_HEADER_BYTES + 20)
    assert read_whole(file) == b"\xdb" * 5 + b"second"


@pytest.mark.spec("crypto.file")
def test_an_encrypted_file_can_be_locked() -> None:
    directory = encrypted(MemoryDirectory(written(b"content")))
    one, other = directory.open("a"), directory.open("a")
    assert [one.lock(), other.lock()] == [True, False]
    one.unlock()
    assert other.lock()
    other.sync_data()


@pytest.mark.spec("crypto.crash")
def test_a_torn_tail_goes_before_something_is_written() -> None:
    """Or what is written next could be torn, and what is behind it is not its own tail."""
    files = written(b"first", b"a long one, of which the end is torn")
    disk = MemoryDirectory({"a": files["a"][:-5]})
    file = encrypted(disk).open("a")
    file.truncate(file.size())
    file.truncate(5)
    write_whole(file, b"2", 5)
    assert len(disk.files()["a"]) == CIPHER_HEADER_BYTES + 2 * RECORD_BYTES + 6
    disk = MemoryDirectory({"a": files["a"] + b"garbage" * 90})
    file = encrypted(disk).open("a")
    write_whole(file, b"2", file.size())
    assert len(disk.files()["a"]) == len(files["a"]) + RECORD_BYTES + 1
    # Nor does room keep anything from being written, or from being given back.
    file.allocate(5000)
    write_whole(file, b"3", file.size())
    assert len(disk.files()["a"]) > 5000
    file.truncate(file.size())
    assert len(disk.files()["a"]) == len(files["a"]) + 2 * (RECORD_BYTES + 1)
    assert content(disk.files()).endswith(b"torn23")


@pytest.mark.spec("crypto.crash")
def test_a_full_disk_does_not_keep_a_file_from_being_cut() -> None:
    disk = FakeDirectory()
    file = encrypted(disk).create("a")
    write_whole(file, b"first", 0)
    before = disk.files()
    write_whole(file, b"second", 5)
    disk.shorten("pwrite")
    disk.fail("pwrite", errno.ENOSPC, skip=1, times=None)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"third", 11)
    file.truncate(5)
    assert disk.files() == before


@pytest.mark.spec("crypto.name")
def test_a_file_that_was_renamed_and_cut_has_its_name() -> None:
    disk = MemoryDirectory(written(b"first"))
    directory = encrypted(disk)
    directory.rename("a", "b")
    directory.open("b").truncate(0)
    assert content(disk.files(), "b") == b""
