"""A store in a directory: what was appended is there, in each way of opening, however it ends."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given

from file_store_workloads import CALL, LIMITS, delta, everything, expected, fixed_random, open_store
from incr import CorruptError, IncrError, StoreBrokenError, StoreError, StoreLockedError, VersionError
from incr.store import MemoryDirectory
from incr.store.delta import pack_delta
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits
from incr.store.overlay import Rows
from incr.store.rows import Delta, Head, Row, SectionInfo
from incr.store.segments import list_segments
from incr.store.survey import verify_files, verify_rows
from incr.testing import FakeDirectory
from store_programs import Model, Step, check_alike, steps


def append(store: FileStore, *numbers: int) -> None:
    for number in numbers:
        store.append(delta(number))


def names(disk: FakeDirectory, prefix: str) -> list[str]:
    return [name for name in disk.files() if name.startswith(prefix)]


@pytest.mark.spec("store.overlay", "store.checkpoint", "store.open")
@given(program=steps)
def test_a_store_says_what_the_model_says(program: list[Step]) -> None:
    disk, model = MemoryDirectory(), Model()
    store = FileStore.open(disk, limits=StoreLimits(segment_bytes=900), durability="relaxed")
    for step in program:
        store.append(model.delta(step))
        check_alike(store, model)
        if step.then == "checkpoint":
            store.checkpoint()
        elif step.then == "reopen":
            store.close()
            store = FileStore.open(disk, limits=StoreLimits(segment_bytes=900), durability="relaxed")
        else:
            with FileStore.open(disk, mode="ro") as reader:
                check_alike(reader, model)
        check_alike(store, model)
        assert store.verify(deep=True).rows == len(model.rows)
    store.close()


@pytest.mark.spec("store.open", "store.close", "store.durable")
@pytest.mark.parametrize("durability", ["commit", "interval", "relaxed"])
def test_what_is_appended_is_there_again(tmp_path: Path, durability: str) -> None:
    assert durability in ("commit", "interval", "relaxed")
    heard: list[IncrError | None] = []
    with FileStore.open(tmp_path / "b", durability=durability, limits=LIMITS) as store:
        assert (store.head().last, store.is_broken, store.path) == (0, False, str(tmp_path / "b") + os.sep)
        assert [store.append(delta(number), heard.append) for number in range(1, 9)] == list(range(1, 9))
        assert everything(store) == expected(8)
        assert store.append(delta(9)) == 9
        if durability == "relaxed":
            assert not store.durable(9, 0.001)
            assert store.sync() == 9
        assert store.durable(9, 60)
        assert heard == [None] * 8
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
    store.close()
    for ask in (store.head, store.sync, store.stat, store.checkpoint, lambda: store.append(delta(10))):
        with pytest.raises(StoreError, match="is closed; open it again"):
            ask()
    with FileStore.open(tmp_path / "b") as store:
        assert everything(store) == expected(9)


@pytest.mark.spec("store.delta")
def test_the_log_grows_by_the_change() -> None:
    disk = FakeDirectory()
    with open_store(disk, limits=StoreLimits()) as store:
        append(store, *range(1, 8))
        sizes = []
        for _ in range(20):
            before = store.log_bytes
            number = store.head().last + 1
            store.append(Delta(number, [], None, 2, {0: delta(5).rows[0]}, [], [], []))
            sizes.append(store.log_bytes - before)
        packed = len(pack_delta(Delta(20, [], None, 2, {0: delta(5).rows[0]}, [], [], [])))
        assert len(set(sizes)) == 1
        assert sizes[0] <= 2 * packed
        size = sum(len(disk.files()[name]) for name in names(disk, "log-"))
        assert size <= 96 + store.log_bytes


@pytest.mark.spec("store.checkpoint", "store.prune", "store.stat")
def test_a_checkpoint_makes_the_log_short() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    store.checkpoint()
    assert names(disk, "base-") == []
    heard: list[tuple[int, int]] = []
    for generation in range(1, 5):
        append(store, *range(3 * generation - 2, 3 * generation + 1))
        assert store.log_bytes > 0
        store.checkpoint(lambda done, total: heard.append((done, total)))
        store.checkpoint()
        assert everything(store) == expected(3 * generation)
        kept = names(disk, "base-")
        assert kept == [f"base-{number:016x}.incr" for number in range(max(1, generation - 1), generation + 1)]
        stat = store.stat()
        assert [base.number for base in stat.bases] == [*range(generation, max(0, generation - 2), -1)]
        assert (stat.last, stat.base_rows, stat.changed_rows, stat.log_bytes) == (
            3 * generation,
            len(expected(3 * generation)[1]),
            0,
            0,
        )
        # The log goes on from the older base.
        assert store.segment_ranges()[0].first == 3 * generation - 2
    assert heard[-1][0] == heard[-1][1]
    append(store, 13)
    assert store.stat().changed_rows == 5
    store.close()
    unfinished = {"tmp-1-2.incr": b"begun"}
    damaged = names(disk, "base-")[0]
    for files in ({}, {damaged: b"?"}):
        other = FakeDirectory({**disk.files(), **unfinished, **files})
        with open_store(other, keep_bases=3) as store:
            append(store, 14)
            store.checkpoint()
            assert [base.covers for base in store.stat().bases] == [14, 12] + [9] * (not files)
            assert names(other, "tmp-") == []
    with open_store(disk, keep_bases=1) as store:
        append(store, 14)
        store.checkpoint()
        assert (len(names(disk, "base-")), everything(store)) == (1, expected(14))


@pytest.mark.spec("store.checkpoint")
def test_a_long_log_wants_a_checkpoint() -> None:
    with open_store(FakeDirectory(), limits=StoreLimits()) as store:
        append(store, 1)
        assert not store.wants_checkpoint
        row, _ = delta(1).rows[1]
        content = delta(1).rows[1][1]
        assert content is not None
        store.append(Delta(2, [], None, 2, {1: (row, content._replace(value=bytes(1 << 20)))}, [], [], []))
        assert store.wants_checkpoint
        store.checkpoint()
        assert not store.wants_checkpoint


@pytest.mark.spec("store.overlay", "store.checkpoint")
def test_deltas_go_on_while_a_base_is_written() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    append(store, 1, 2, 3, 4, 5)
    rows = store.rows_of(1)
    first = next(rows)
    done: list[int] = []

    def meanwhile(at: int, total: int) -> None:
        if not done:
            done.append(at)
            append(store, 6, 7, 8)
            assert everything(store) == expected(8)

    store.checkpoint(meanwhile)
    assert (done != [], store.stat().bases[0].covers, everything(store)) == (True, 5, expected(8))
    alone = {name: content for name, content in disk.files().items() if not name.startswith("log-")}
    with open_store(FakeDirectory(alone)) as base:
        assert everything(base) == expected(5)
    # A base that was replaced is read to the end.
    held = store.rows_of(1)
    next(held)
    append(store, 9)
    store.checkpoint()
    assert [first, *rows] == sorted(number for number in expected(5)[1] if number >= CALL)
    assert list(held)
    store.close()
    with open_store(disk) as store:
        assert everything(store) == expected(9)


@pytest.mark.spec("store.checkpoint", "store.take-back")
def test_a_checkpoint_that_fails_leaves_everything_as_it_was() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    append(store, 1, 2)
    store.checkpoint()
    append(store, 3)

    def meanwhile(at: int, total: int) -> None:
        if at == 1:
            append(store, 4)
            disk.fail("pwrite", errno.ENOSPC)
            with pytest.raises(StoreError, match="make room"):
                store.append(delta(5))
            append(store, 5)
            disk.fail("rename", errno.ENOSPC)

    with pytest.raises(StoreError, match="make room"):
        store.checkpoint(meanwhile)
    assert (everything(store), [base.covers for base in store.stat().bases]) == (expected(5), [2])
    assert names(disk, "tmp-") == []
    store.checkpoint()
    assert [base.covers for base in store.stat().bases] == [5, 2]
    assert everything(store) == expected(5)
    store.close()


@pytest.mark.spec("store.take-back", "log.order")
def test_what_could_not_be_written_is_taken_back_with_all_behind_it() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    append(store, 1, 2, 3, 4, 5)
    before = everything(store)
    entered, go_on = threading.Event(), threading.Event()
    heard: dict[int, IncrError | None] = {}
    seen: list[bool] = []

    def first(error: IncrError | None) -> None:
        heard[6] = error
        entered.set()
        go_on.wait(60)

    def seventh(error: IncrError | None) -> None:
        heard[7] = error
        seen.append(everything(store) == before)

    def eighth(error: IncrError | None) -> None:
        heard[8] = error

    pipeline = store._pipeline
    assert pipeline is not None
    # Nothing is written before all three are queued.
    with pipeline.writer._changed:
        disk.fail("pwrite", errno.ENOSPC)
        store.append(delta(6), first)
        store.append(delta(7), seventh)
        store.append(delta(8), eighth)
        assert everything(store) == expected(8)
    assert entered.wait(60)
    go_on.set()
    assert store.sync() == 5
    errors = [str(heard[number]) for number in (6, 7, 8)]
    assert "make room" in errors[0]
    assert all("something before it could not be" in error for error in errors[1:])
    assert (everything(store), seen) == (before, [True])
    # Somebody who comes before anybody has heard of it takes it back himself.
    pipeline.writer._stopped = StoreError("path", "a reason")
    append(store, 6, 7)
    assert everything(store) == expected(7)
    store.close()
    with open_store(disk) as store:
        assert everything(store) == expected(7)


@pytest.mark.spec("store.durable")
def test_somebody_is_told_before_a_sync_is_over() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    heard: list[IncrError | None] = []
    entered, go_on, synced = threading.Event(), threading.Event(), threading.Event()

    def told(error: IncrError | None) -> None:
        entered.set()
        go_on.wait(60)
        heard.append(error)

    def sync() -> None:
        store.sync()
        synced.set()

    store.append(delta(1), told)
    assert entered.wait(60)
    thread = threading.Thread(target=sync)
    thread.start()
    # The disk has it; what is left to wait for is that somebody was told.
    assert store.durable(1, 60)
    assert not synced.wait(0.05)
    go_on.set()
    thread.join(60)
    assert heard == [None]
    store.close()


@pytest.mark.spec("store.checkpoint")
def test_a_base_whose_name_could_not_be_synced() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    append(store, 1)
    disk.fail("sync_names", skip=1)
    with pytest.raises(StoreError):
        store.checkpoint()
    assert names(disk, "base-") == []
    store.checkpoint()
    assert (store.stat().bases[0].number, everything(store)) == (2, expected(1))
    store.close()


@pytest.mark.spec("store.heal", "store.append")
def test_a_broken_store_is_read_and_healed() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    store.heal()
    append(store, 1, 2)
    disk.fail("sync_data")
    with pytest.raises(StoreBrokenError):
        store.sync()
    assert (store.is_broken, store.stat().writable) == (True, False)
    for use in (lambda: store.append(delta(3)), store.sync, store.checkpoint, lambda: store.durable(2)):
        with pytest.raises(StoreBrokenError):
            use()
    assert everything(store) == expected(2)
    disk.fail("sync")
    with pytest.raises(StoreError):
        store.heal()
    assert store.is_broken
    store.heal()
    assert store.head().last == 3  # what is not known to be gone is not given again
    append(store, 3, 4)
    assert (everything(store), store.stat().writable) == (expected(4), True)
    assert (store.sync(), store.durable(1)) == (store.head().last, True)
    last = store.head().last
    store.close()
    with open_store(disk) as store:
        assert (everything(store), store.head().last) == (expected(4), last)
        assert store.append(delta(5)) == last + 1


@pytest.mark.spec("store.append", "store.prune")
def test_a_delta_that_is_too_long_for_the_log_goes_into_a_base() -> None:
    disk = FakeDirectory()
    limits = LIMITS._replace(entry_bytes=10)
    heard: list[IncrError | None] = []
    with open_store(disk, limits=limits) as store:
        for number in range(1, 5):
            assert store.append(delta(number), heard.append) == number
            assert everything(store) == expected(number)
        assert (heard, len(names(disk, "base-"))) == ([None] * 4, 2)
        disk.fail("pwrite", errno.ENOSPC)
        with pytest.raises(StoreError, match="make room"):
            store.append(delta(5), heard.append)
        assert (everything(store), len(heard)) == (expected(4), 4)
        # The base is there, and no segment behind it: the next one makes it.
        disk.fail("create", errno.ENOSPC, skip=1)
        assert store.append(delta(5)) == 5
        assert everything(store) == expected(5)
    open_store(disk).close()
    # The newest base alone has delta 5: without it that is seen.
    newest = max(names(disk, "base-"))
    files = disk.files()
    del files[newest]
    with pytest.raises(CorruptError):
        open_store(FakeDirectory(files))
    with open_store(disk) as store:
        append(store, 6)
        assert everything(store) == expected(6)


@pytest.mark.spec("store.read-only")
def test_reading_beside_a_writer(tmp_path: Path) -> None:
    disk = FakeDirectory()
    for place in (disk, tmp_path / "missing"):
        with pytest.raises(StoreError, match="nothing is there"):
            FileStore.open(place, mode="ro")
    store = open_store(disk)
    append(store, 1, 2, 3)
    with FileStore.open(disk, mode="ro") as reader:
        append(store, 4)
        store.checkpoint()
        assert everything(reader) == expected(3)
        with FileStore.open(disk, mode="ro") as second:
            append(store, 5)
            store.checkpoint()
            append(store, 6)
            store.checkpoint()
            # Its base is gone by name.
            assert everything(second) == expected(4)
            assert second.segment_ranges()[-1].last >= 4
        assert reader.capabilities == store.capabilities._replace(durable=False, checkpoints=False)
        assert (reader.is_broken, reader.wants_checkpoint) == (False, False)
        for use in (lambda: reader.append(delta(4)), reader.sync, reader.checkpoint, reader.heal):
            with pytest.raises(StoreError, match="for reading only"):
                use()
    store.close()


@pytest.mark.spec("store.read-only")
def test_reading_changes_nothing() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    append(store, 1, 2)
    store.checkpoint()
    append(store, 3)
    files = disk.files()
    store.close()
    log = max(name for name in files if name.startswith("log-"))
    torn = FakeDirectory({**files, log: files[log][:-1]})
    with FileStore.open(torn, mode="ro") as reader:
        assert everything(reader) == expected(2)
    assert torn.files() == {**files, log: files[log][:-1]}
    assert set(torn.counts) <= {"names", "open_to_read", "pread", "size", "close"}


class Removing:
    """A directory in which a checkpoint happens while somebody looks at it."""

    def __init__(self, disk: FakeDirectory, checkpoint: object) -> None:
        self.disk = disk
        self.checkpoint = checkpoint

    def __getattr__(self, name: str) -> object:
        return getattr(self.disk, name)

    def open_to_read(self, name: str) -> object:
        if name.startswith("base-") and callable(self.checkpoint):
            self.checkpoint()
        return self.disk.open_to_read(name)


@pytest.mark.spec("store.read-only")
def test_a_checkpoint_while_a_store_is_opened_for_reading() -> None:
    disk = FakeDirectory()
    store = open_store(disk, keep_bases=1)
    append(store, 1)
    store.checkpoint()
    count = 1

    def checkpoint() -> None:
        nonlocal count
        if count < 4:
            count += 1
            append(store, count)
            store.checkpoint()

    with FileStore.open(Removing(disk, checkpoint), mode="ro") as reader:  # type: ignore[arg-type]  # by name
        assert everything(reader) == expected(4)

    def always() -> None:
        nonlocal count
        count += 1
        append(store, count)
        store.checkpoint()

    with pytest.raises(StoreError, match="cannot be opened"):
        FileStore.open(Removing(disk, always), mode="ro")  # type: ignore[arg-type]  # by name
    store.close()


@pytest.mark.spec("store.backup")
def test_a_backup_is_a_store_of_its_own(tmp_path: Path) -> None:
    disk = FakeDirectory()
    store = open_store(disk, random=os.urandom)
    append(store, 1, 2, 3)
    store.checkpoint()
    append(store, 4)
    copy = FakeDirectory()
    store.backup(copy, lambda done, total: append(store, 5) if store.head().last == 4 else None)
    assert everything(store) == expected(5)
    with open_store(copy) as other:
        assert everything(other) == expected(4)
        append(other, 5, 6)
        assert everything(other) == expected(6)
    with pytest.raises(StoreError, match="already"):
        store.backup(copy)
    # Files of the two do not go together.
    store.checkpoint()
    mixed = {name: disk.files()[name] for name in ("FORMAT", names(disk, "base-")[-1])}
    mixed |= {name: copy.files()[name] for name in names(copy, "log-")}
    with pytest.raises(CorruptError, match="of another store"):
        open_store(FakeDirectory(mixed))
    store.backup(tmp_path / "copy")
    with FileStore.open(tmp_path / "copy", mode="ro") as reader:
        assert (everything(reader), reader.verify()) == (expected(5), (1, 0, None))
        reader.backup(tmp_path / "second")
    with FileStore.open(tmp_path / "second") as other:
        assert everything(other) == expected(5)
    unfinished = FakeDirectory()
    unfinished.fail("create", errno.ENOSPC, skip=2)
    with pytest.raises(StoreError, match="make room"):
        store.backup(unfinished)
    assert everything(store) == expected(5)
    with pytest.raises(StoreError, match="is not a store"):
        open_store(unfinished)
    store.close()


@pytest.mark.spec("store.verify")
def test_all_of_a_store_can_be_looked_at() -> None:
    disk = FakeDirectory()
    store = open_store(disk)
    append(store, 1, 2, 3)
    store.checkpoint()
    append(store, 4)
    heard: list[tuple[int, int]] = []
    assert store.verify(progress=lambda done, total: heard.append((done, total))) == (1, 1, None)
    assert heard == [(1, 2), (2, 2)]
    assert store.verify(deep=True, progress=lambda *_: None).rows == len(expected(4)[1])
    files = disk.files()
    store.close()
    (base,) = names(disk, "base-")
    place = len(files[base]) // 4
    content = files[base]
    damaged = {**files, base: content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]}
    with FileStore.open(FakeDirectory(damaged), mode="ro") as reader, pytest.raises(CorruptError):
        reader.verify()


@pytest.mark.spec("store.verify", "store.append")
@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_delta_that_only_a_base_has_is_no_gap(checkpoint: bool) -> None:
    disk = FakeDirectory()
    with open_store(disk) as store:
        append(store, 1, 2)
        if checkpoint:
            store.checkpoint()
            append(store, 3)
    number = 4 if checkpoint else 3
    with open_store(disk, limits=LIMITS._replace(entry_bytes=10)) as store:
        append(store, number)
    with open_store(disk) as store:
        append(store, number + 1)
        verified = store.verify(deep=True)
        assert verified == (1 + checkpoint, 1 + 2 * checkpoint, len(expected(number + 1)[1]))
    files = disk.files()
    last = max(name for name in files if name.startswith("log-"))
    with open_store(FakeDirectory({**files, last: files[last][:96]})) as store:
        assert everything(store) == expected(number)


class Inconsistent:
    """Rows that do not agree with each other."""

    def __init__(self, **wrong: object) -> None:
        self._wrong = wrong

    def __getattr__(self, name: str) -> object:
        right = {
            "rows_of": iter([0, 1]) if name == "rows_of" else None,
            "find": int,
            "has": True,
            "content": None,
            "dependents": [1],
        }
        return lambda *arguments: self._wrong.get(name, right[name])

    def find(self, section: int, key: bytes) -> object:
        return self._wrong.get("find", 1 if key else 0)

    def row(self, number: int) -> Row:
        return Row(0, b"." * number, 0, 0, 0, (0,) if number else ())

    def dependents(self, number: int) -> object:
        return self._wrong.get("dependents", [] if number else [1])


@pytest.mark.spec("store.verify")
def test_rows_that_do_not_agree() -> None:
    head = Head(0, (SectionInfo(0, 1, "one", b"", (), 2),), b"", 1, 0)
    assert verify_rows("path", head, Inconsistent(), None) == 2  # type: ignore[arg-type]  # by name
    for wrong in ({"find": 7}, {"has": False}, {"dependents": []}, {"dependents": [0, 1]}):
        with pytest.raises(CorruptError, match="row"):
            verify_rows("path", head, Inconsistent(**wrong), None)  # type: ignore[arg-type]  # by name
    disk = FakeDirectory()
    with open_store(disk) as store:
        append(store, 1)
        parts = list_segments(disk, 0).parts
        with pytest.raises(CorruptError, match="ends with delta 1; 2 was written"):
            verify_files(disk, bytes(16), parts, 2, None)


@pytest.mark.spec("store.overlay")
def test_an_answer_is_of_one_moment() -> None:
    with open_store(FakeDirectory()) as store:
        append(store, 1)
        asked: list[int] = []

        def ask(rows: Rows) -> bytes:
            asked.append(1)
            answer = rows.content(1).value
            if len(asked) == 1:
                append(store, 6)  # the row is another one now
            return answer

        assert store._current._at_once(ask) == expected(6)[1][1][1].value

        def fail(rows: Rows) -> int:
            asked.append(1)
            if len(asked) == 3:
                append(store, 7)
                raise RuntimeError("changed while it was looked at")
            return 7

        assert (store._current._at_once(fail), len(asked)) == (7, 4)
        with pytest.raises(CorruptError, match="row 99 is not there"):
            store.row(99)


@pytest.mark.spec("store.fork")
def test_a_forked_child_does_not_have_the_store(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path / "store")
    append(store, 1)
    store.checkpoint()
    child = os.fork()
    if not child:  # pragma: no cover
        code = 1
        try:
            for use in (store.head, store.sync, store.checkpoint, lambda: store.append(delta(2)), lambda: store.row(1)):
                with pytest.raises(StoreBrokenError, match="forked"):
                    use()
            store.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    append(store, 2)
    assert everything(store) == expected(2)
    # The same without a child, for what counts lines.
    other = open_store(FakeDirectory())
    other._process += 1
    with pytest.raises(StoreBrokenError, match="forked"):
        other.head()
    other.close()
    with pytest.raises(StoreLockedError, match=f"process {os.getpid()} "):
        FileStore.open(tmp_path / "store")
    store.close()
    with FileStore.open(tmp_path / "store") as store:
        assert everything(store) == expected(2)


@pytest.mark.spec("store.format", "store.place")
def test_what_is_no_store_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"text")
    for path in (file, file / "below"):
        with pytest.raises(StoreError, match=r"[nN]ot a directory"):
            FileStore.open(path)
    (tmp_path / "other").mkdir(0o700)
    (tmp_path / "other" / "letter.txt").write_bytes(b"dear")
    with pytest.raises(StoreError, match=r"'letter\.txt'"):
        FileStore.open(tmp_path / "other")
    assert os.listdir(tmp_path / "other") == ["letter.txt"]
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(StoreError, match="trust them by name"):
        FileStore.open(tmp_path / "open")
    FileStore.open(tmp_path / "open", trust=["everyone", f"group:{(tmp_path / 'open').group()}"]).close()
    for text, error in [(b"incr-store 2\n", VersionError), (b"something", StoreError), (b"x" * 100, StoreError)]:
        strange = FakeDirectory({"FORMAT": text})
        for mode in ("rw", "ro"):
            with pytest.raises(error):
                FileStore.open(strange, mode="rw" if mode == "rw" else "ro")
        assert strange.files() == {"FORMAT": text}
    for arguments in ({"mode": "r"}, {"durability": "x"}, {"on_corrupt": "x"}, {"keep_bases": 0}):
        with pytest.raises(ValueError, match="must be"):
            FileStore.open(tmp_path / "never", **arguments)  # type: ignore[arg-type]  # wrong on purpose
    assert not (tmp_path / "never").exists()


@pytest.mark.spec("store.format")
def test_two_that_make_a_store_at_once() -> None:
    disk = FakeDirectory()
    disk.fail("create", errno.ENOSPC, skip=1)
    with pytest.raises(StoreError, match="make room"):
        open_store(disk)
    # The lock was let go of; what was begun is begun anew.
    disk.fail("rename", errno.EIO)
    with pytest.raises(StoreError):
        open_store(disk)
    open_store(disk).close()
    assert disk.files()["FORMAT"] == b"incr-store 1\n"


@pytest.mark.spec("store.close")
def test_a_store_that_was_not_closed_says_so() -> None:
    store = open_store(FakeDirectory())
    with pytest.warns(ResourceWarning, match="a store was not closed"):
        store.__del__()
    with pytest.raises(KeyError), store:
        disk = store._directory
        assert isinstance(disk, FakeDirectory)
        append(store, 1)
        disk.fail("sync", times=None)
        disk.fail("sync_data", times=None)
        raise KeyError
    assert fixed_random(2) == b"\0\1"
