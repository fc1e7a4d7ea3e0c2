"""A process that is killed at any moment leaves a log that has everything it had been promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from incr.store import Log

PROGRAM = """
import sys
from incr.store import Limits, Log

log = Log(sys.argv[1], encode=bytes, decode=bytes, limits=Limits(segment_bytes=2000))
number = log.last_id
while True:
    number += 1
    log.append(b"%d" % number)
    print(number, flush=True)
    if number % 5 == 0:
        log.append_batch([b"%d" % (number + more) for more in range(1, 4)])
        number += 3
        print(number, flush=True)
"""


@pytest.mark.spec("log.recover", "log.batch", "log.lock", "log.synced")
def test_a_killed_writer_has_kept_its_word(tmp_path: Path) -> None:
    told = 0
    for lines in (1, 7, 23, 50):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "log")], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(lines):
            told = int(process.stdout.readline())
        process.kill()
        # The last line may have been cut off.
        told = max([told, *map(int, process.stdout.read().split(b"\n")[:-1])])
        process.wait()
        process.stdout.close()
        with Log(tmp_path / "log", encode=bytes, decode=bytes) as log:
            assert told <= log.last_id <= told + 3
            assert list(log.replay()) == [(number, b"%d" % number) for number in range(1, log.last_id + 1)]
