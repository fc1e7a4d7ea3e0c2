"""A process that is killed, stopped or forked at any moment leaves a log that has everything it had been promised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kill_loop
from incr import StoreBrokenError, StoreLockedError
from incr.store import Log, LogReader
from incr.store.file_store import FileStore

DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"

#: Writes for ever, and says what it was promised.
PROGRAM = """
import sys
from incr.store import Limits, Log

log = Log(sys.argv[1], encode=bytes, decode=bytes, limits=Limits(segment_bytes=2000))
while True:
    number = log.append(b"%d" % (log.last_id + 1))
    print(number, flush=True)
"""


@contextmanager
def writing(path: Path, program: str = PROGRAM) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[int]]]:
    """A process that writes, and the entries that it was promised; it is killed in the end."""
    support = str(Path(kill_loop.__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", program, str(path), support], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        # The last line may be cut off.
        yield process, (int(line) for line in process.stdout if line.endswith(b"\n"))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


KINDS = ["plain", "room", "seldom", "encrypted", "store", "store seldom", "store encrypted"]


@pytest.mark.spec("log.recover", "log.batch", "log.lock", "log.synced", "crypto.crash", "store.open", "store.durable")
@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_that_is_killed_again_and_again_has_kept_its_word(tmp_path: Path, kind: str) -> None:
    loops = 2000 if DEEP else 16
    seed = str(int.from_bytes(os.urandom(3)))
    print("seed", seed)
    command = [sys.executable, kill_loop.__file__, str(tmp_path / "log"), kind, str(loops), seed]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    assert int(said) > loops


@pytest.mark.spec("log.lock")
def test_a_second_process_is_told_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with writing(path) as (process, told):
        assert next(told) == 1
        for _ in range(3):
            with pytest.raises(StoreLockedError, match=rf"{path}/LOCK: is held by process {process.pid} on .* since 2"):
                Log(path, encode=bytes, decode=bytes)
        # One that is stopped holds it, too, and is not disturbed.
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        with pytest.raises(StoreLockedError, match=f"process {process.pid} "):
            Log(path, encode=bytes, decode=bytes)
        before = LogReader(path, decode=bytes).entry_count()
        os.kill(process.pid, signal.SIGCONT)
        assert next(number for number in told if number > before + 10)
    with Log(path, encode=bytes, decode=bytes) as log:
        assert list(log.replay()) == [(number, b"%d" % number) for number in range(1, log.last_id + 1)]


@pytest.mark.spec("log.read-only")
def test_a_reader_beside_a_writer_sees_a_state_that_was(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with writing(path) as (_, told):
        read = 0
        while read < 300:
            promised = next(told)
            reader = LogReader(path, decode=bytes)
            found = list(reader.replay())
            assert len(found) >= max(promised, read)
            assert found == [(number, b"%d" % number) for number in range(1, len(found) + 1)]
            assert reader.entry_count() >= len(found)
            read = len(found)
    assert len(list(path.glob("log-*"))) > 5


@pytest.mark.spec("log.fork")
def test_a_forked_child_does_not_disturb_its_parent(tmp_path: Path) -> None:
    log = Log(tmp_path, encode=bytes, decode=bytes)
    log.append(b"before")
    for _ in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                log.append(b"child")
            except StoreBrokenError as error:
                status = 7 if "forked" in str(error) else 2
            finally:
                log.close()
                os._exit(status)
        log.append(b"beside")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        with pytest.raises(StoreLockedError, match=f"process {os.getpid()} "):
            Log(tmp_path, encode=bytes, decode=bytes)
        log.append(b"after")
    log.close()
    with Log(tmp_path, encode=bytes, decode=bytes) as log:
        assert [content for _, content in log.replay()] == [b"before", *[b"beside", b"after"] * 3]


#: Appends for ever, with a checkpoint now and then, and says what is durable.
STORE = """
import sys
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits

sys.path.insert(0, sys.argv[2])
from kill_loop import delta

store = FileStore.open(sys.argv[1], limits=StoreLimits(segment_bytes=4000))
while True:
    number = store.append(delta(store.head().last + 1))
    if number % 20 == 0:
        store.checkpoint()
    print(number, flush=True)
"""


@pytest.mark.spec("store.read-only", "store.checkpoint", "log.lock")
def test_a_store_beside_a_process_that_writes_or_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with writing(path, STORE) as (process, told):
        promised = 0
        while promised < 150:
            promised = next(told)
            with FileStore.open(path, mode="ro") as store:
                last = store.head().last
                assert last >= promised
                row, content = kill_loop.row_of(last, last % kill_loop.SLOTS)
                number = store.find(row.section, row.key)
                assert number is not None
                assert store.content(number) == content
        with pytest.raises(StoreLockedError, match=rf"{path}/LOCK: is held by process {process.pid} on "):
            FileStore.open(path)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        with pytest.raises(StoreLockedError, match=f"process {process.pid} "):
            FileStore.open(path)
        with FileStore.open(path, mode="ro") as store:
            before = store.head().last
        os.kill(process.pid, signal.SIGCONT)
        assert next(number for number in told if number > before + 20)
    assert kill_loop.look_at_store(str(path), "store") > promised + 20


@pytest.mark.spec("store.fork")
def test_a_forked_child_does_not_disturb_a_store(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    store = FileStore.open(path)
    for number in range(1, 10, 3):
        store.append(kill_loop.delta(number))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store.append(kill_loop.delta(number + 1))
            except StoreBrokenError as error:
                status = 7 if "forked" in str(error) else 2
            finally:
                store.close()
                os._exit(status)
        store.append(kill_loop.delta(number + 1))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        with pytest.raises(StoreLockedError, match=f"process {os.getpid()} "):
            FileStore.open(path)
        store.checkpoint()
        store.append(kill_loop.delta(number + 2))
    store.close()
    assert kill_loop.look_at_store(path, "store") == 9
