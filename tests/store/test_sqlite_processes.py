"""A store of SQLite between threads and processes: who is killed has kept its word, who reads sees one state."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from incr.maintenance import Problem, verify
from incr.store.rows import CALLS, GOOD, PAGE_ROWS, Content, Delta, Row, SectionInfo
from incr.store.sqlite_store import SqliteStore

DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"

#: Appends for ever, and says what it was promised. Delta n has row n, which depends on the row before it.
PROGRAM = """
import sys
from incr.store.rows import CALLS, GOOD, PAGE_ROWS, Content, Delta, Row, SectionInfo
from incr.store.sqlite_store import SqliteStore

store = SqliteStore.open(sys.argv[1], durability=sys.argv[2])
while True:
    number = store.head().last
    info = SectionInfo(0, CALLS, "chain", b"", ("n",), number + 1, number // PAGE_ROWS + 1, (0,))
    row = Row(0, b"%d" % number, number, number, GOOD, [number - 1] if number else [])
    rows = {number: (row, Content(b"v" * (number % 5000), b""))}
    said = store.append(Delta(number, [info], None, number // PAGE_ROWS + 1, rows, [], [], []))
    print(said, flush=True)
    if number % 50 == 49:
        store.checkpoint()
"""


def damage(store: SqliteStore) -> list[Problem]:
    """What is wrong, but for values that are none: nobody will read them."""
    return [problem for problem in verify(store, deep=True) if "is no value" not in problem.what]


@pytest.mark.spec("sqlite.levels", "sqlite.group")
@pytest.mark.parametrize("level", ["commit", "interval", "relaxed"])
def test_who_is_killed_has_kept_its_word(tmp_path: Path, level: str) -> None:
    path = tmp_path / "store.db"
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    for _ in range(40 if DEEP else 3):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, path, level], stdout=subprocess.PIPE)
        assert process.stdout is not None
        promised = 0
        for _ in range(chosen.randrange(1, 60)):
            promised = int(process.stdout.readline())
        process.kill()
        rest = [int(line) for line in process.stdout if line.endswith(b"\n")]
        process.wait()
        process.stdout.close()
        store = SqliteStore.open(path)
        last = store.head().last
        assert last >= max([promised, *rest])
        assert list(store.rows_of(0)) == list(range(last))
        assert damage(store) == []
        assert len(store.content(last - 1).value) == (last - 1) % 5000
        store.close()


@pytest.mark.spec("sqlite.group")
def test_threads_append_and_read_at_the_same_time(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "store.db", durability="relaxed")
    workers, each = 6, 30
    infos = [
        SectionInfo(number, CALLS, f"worker {number}", b"", (), number * PAGE_ROWS + each, 1, (number,))
        for number in range(workers)
    ]
    store.append(Delta(1, infos, None, workers, {}, (), (), ()))
    wrong: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for step in range(each):
                number = worker * 256 + step
                row = Row(worker, b"%d" % step, 1, 1, GOOD, (number - 1,) if step else ())
                store.append(Delta(1, (), None, workers, {number: (row, Content(b"%d" % step, b""))}, (), (), ()))
                assert store.find(worker, b"%d" % step) == number
                assert store.content(number).value == b"%d" % step
                assert list(store.rows_of(worker)) == list(range(worker * 256, number + 1))
                if step:
                    assert store.dependents(number - 1) == [number]
                if step % 10 == worker:
                    store.checkpoint()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert store.sync() == 1 + workers * each
    assert damage(store) == []
    store.close()
