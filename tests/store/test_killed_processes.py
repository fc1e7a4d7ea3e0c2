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
def writing(path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[int]]]:
    """A process that writes, and the entries that it was promised; it is killed in the end."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        # The last line may be cut off.
        yield process, (int(line) for line in process.stdout if line.endswith(b"\n"))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.spec("log.recover", "log.batch", "log.lock", "log.synced", "crypto.crash")
@pytest.mark.parametrize("kind", ["plain", "room", "seldom", "encrypted"])
def test_a_writer_that_is_killed_again_and_again_has_kept_its_word(tmp_path: Path, kind: str) -> None:
    loops = 2000 if DEEP else 40
    seed = str(int.from_bytes(os.urandom(3)))
    print("seed", seed)
    command = [sys.executable, kill_loop.__file__, str(tmp_path / "log"), kind, str(loops), seed]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    assert int(said) > 2 * loops


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
