"""A disk that is full, a real one: the append fails alone, nothing is lost, and when there is room it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kill_loop
from small_disks import on_a_small_disk, why_no_small_disk

LOG = """
import json, os, sys
from incr import StoreBrokenError, StoreError
from incr.store import Cut, EncryptedDirectory, FileDirectory, Limits, Log

place, kind = sys.argv[1] + "/log", KIND
os.mkdir(place)
filler = sys.argv[1] + "/filler"
with open(filler, "wb") as file:
    file.write(bytes(1 << 16))

def opened():
    directory = FileDirectory(place)
    if kind == "encrypted":
        directory = EncryptedDirectory(directory, bytes(32))
    limits = Limits(segment_bytes=20_000, preallocate=8192 if kind == "room" else 0)
    return Log(directory, encode=bytes, decode=bytes, limits=limits)

def entry(number):
    return b"%d " % number * 300

def append(log):
    assert log.append(entry(log.last_id + 1)) == log.last_id

def until_full(log):
    try:
        while True:
            append(log)
    except StoreBrokenError:
        raise
    except StoreError as error:
        return str(error)

def check(log, last):
    assert log.last_id == last
    assert list(log.replay()) == [(number, entry(number)) for number in range(1, last + 1)]

said = []
log = opened()
said.append(until_full(log))
last = log.last_id
assert last > 20
check(log, last)
said.append(until_full(log))
last = log.last_id
os.unlink(filler)
append(log)
check(log, last + 1)
said.append(until_full(log))
last = log.last_id
try:
    log.close()
except StoreError as error:
    said.append(str(error))
# Killed while the disk is full, and opened while it still is.
again = opened()
assert again.cut is None or isinstance(again.cut, Cut)
check(again, last)
first = again.segment_ranges()[0]
again.prune(first.last)
append(again)
assert [number for number, _ in again.replay()] == list(range(first.last + 1, last + 2))
again.close()
print(json.dumps([last, said]))
"""

LIMITED = """
import resource, sys
from incr import StoreError
from incr.store import Limits, Log

before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
log = Log(sys.argv[1], encode=bytes, decode=bytes, limits=Limits(preallocate=int(sys.argv[2])))
try:
    while True:
        log.append(b"entry %d" % (log.last_id + 1) * 20)
except StoreError as error:
    print(error)
last = log.last_id
assert last > 10
resource.setrlimit(resource.RLIMIT_FSIZE, before)
log.append(b"entry %d" % (last + 1) * 20)
log.close()
with Log(sys.argv[1], encode=bytes, decode=bytes) as log:
    assert log.cut is None
    assert list(log.replay()) == [(number, b"entry %d" % number * 20) for number in range(1, last + 2)]
"""


STORE = """
import json, os, sys
from incr import StoreBrokenError, StoreError
from incr.store import EncryptedDirectory, FileDirectory
from incr.store.file_store import FileStore
from incr.store.options import StoreLimits

sys.path.insert(0, SUPPORT)
import kill_loop

place, kind = sys.argv[1] + "/store", KIND
os.mkdir(place)
filler = sys.argv[1] + "/filler"
with open(filler, "wb") as file:
    file.write(bytes(1 << 16))

def opened():
    directory = FileDirectory(place)
    if kind == "store encrypted":
        directory = EncryptedDirectory(directory, bytes(32))
    return FileStore.open(directory, limits=StoreLimits(segment_bytes=20_000))

def until_full(store):
    while True:
        number = store.head().last + 1
        try:
            assert store.append(kill_loop.delta(number)) == number
        except StoreBrokenError:
            raise
        except StoreError as error:
            assert store.head().last == number - 1
            return str(error)

said = []
store = opened()
said.append(until_full(store))
last = store.head().last
assert last > 100
try:
    store.checkpoint()
except StoreError as error:
    said.append(str(error))
assert store.head().last == last
said.append(until_full(store))
os.unlink(filler)
store.append(kill_loop.delta(store.head().last + 1))
store.checkpoint()
store.append(kill_loop.delta(store.head().last + 1))
last = store.head().last
store.close()
assert kill_loop.look_at_store(place, kind) == last
# A store that is opened while the disk is full has everything; a checkpoint makes room of the log.
with open(filler, "wb") as file:
    try:
        while True:
            os.write(file.fileno(), bytes(4096))
    except OSError:
        pass
store = opened()
assert store.head().last == last
os.unlink(filler)
store.checkpoint()
store.checkpoint()
store.append(kill_loop.delta(last + 1))
store.close()
assert kill_loop.look_at_store(place, kind) == last + 1
print(json.dumps([last, said]))
"""


@pytest.mark.spec("store.append", "store.take-back", "store.checkpoint", "crypto.crash")
@pytest.mark.parametrize("kind", ["store", "store encrypted"])
def test_a_store_on_a_full_disk(tmp_path: Path, kind: str) -> None:
    why = why_no_small_disk(tmp_path)
    if why is not None:
        pytest.skip(why)
    program = STORE.replace("KIND", repr(kind)).replace("SUPPORT", repr(str(Path(kill_loop.__file__).parent)))
    last, said = json.loads(on_a_small_disk(program, "256k", tmp_path))
    assert last > 100
    assert len(said) >= 2
    for text in said:
        assert text.startswith(str(tmp_path / "store"))
        assert text.endswith("No space left on device; make room on the disk, then try again")


@pytest.mark.spec("log.append", "log.recover", "log.prune", "log.room", "crypto.crash")
@pytest.mark.parametrize("kind", ["plain", "room", "encrypted"])
def test_a_log_on_a_full_disk(tmp_path: Path, kind: str) -> None:
    why = why_no_small_disk(tmp_path)
    if why is not None:
        pytest.skip(why)
    last, said = json.loads(on_a_small_disk(LOG.replace("KIND", repr(kind)), "256k", tmp_path))
    assert last > 50
    assert len(said) >= 3
    for text in said:
        assert text.startswith(str(tmp_path / "log"))
        assert text.endswith("No space left on device; make room on the disk, then try again")


@pytest.mark.spec("log.append", "log.room")
@pytest.mark.parametrize("room", ["0", "4096"])
def test_a_log_below_a_limit_on_file_sizes(tmp_path: Path, room: str) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "log"), room]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    assert said.rstrip().endswith(
        "cannot be written: File too large; raise the limit on file sizes, or save less with max_bytes"
    )
