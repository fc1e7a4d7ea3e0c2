"""What a database that lives in a store costs: to commit, to checkpoint, to open and to ask.

Usage: python benchmarks/store.py [CASE...] [--groups N] [--folder PATH], where incr and trio are installed; prints a
table for each case: commits, group, checkpoint, opening, peer, growth, demo.
Law: each figure stands beside another one of the same run: a bare write of as many bytes in the same folder, another
backend, another way to load. They take turns, and the smallest of many runs counts: what else the machine does only
ever adds to it. Nothing here decides a test.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import environments
import trio

import incr
from incr.store import FileDirectory
from incr.store.delta import unpack_delta
from incr.store.segments import list_segments, read_frames

#: The queries whose code is another one in this process than in the one that has filled the store.
CHANGED: Final = os.environ.get("INCR_BENCHMARK_CHANGED", "").split()
#: Files of one group, and calls for each file, in the large program.
GROUP: Final = 100
CALLS: Final = 100


@incr.input
class Knob:
    """What many calls read."""

    turn: int


@incr.input
class Source:
    """A file."""

    path: int = incr.key()
    text: int


@incr.input
class Text:
    """A file's text."""

    path: str = incr.key()
    text: str


@incr.query
def upper(db: incr.View, path: str) -> str:
    """A memo that is as long as what it is made of."""
    return db[Text, path].text.upper()


@incr.query
def changed(db: incr.View, number: int) -> int:
    """A memo that every turn changes."""
    return db[Knob].turn + number


@incr.query(version=CHANGED.count("leaf"))
def leaf(db: incr.View, path: int, number: int) -> int:
    """Something about a part of a file."""
    return db[Source, path].text + number


@incr.query(version=CHANGED.count("file"))
def file(db: incr.View, path: int) -> int:
    """A file, with all its parts."""
    return sum(leaf(db, path, number) for number in range(CALLS - 1))


@incr.query(version=CHANGED.count("group"))
def group(db: incr.View, number: int) -> int:
    """Some files."""
    return sum(file(db, path) for path in range(number * GROUP, (number + 1) * GROUP))


@incr.query(version=CHANGED.count("root"))
def root(db: incr.View, groups: int) -> int:
    """All files."""
    return sum(group(db, number) for number in range(groups))


class Figure(NamedTuple):
    """One line of a table."""

    what: str
    measured: str
    ratio: str = ""
    target: str = ""


def milliseconds(seconds: float) -> str:
    """A time for people."""
    return f"{seconds * 1e3:,.2f} ms"


def against(taken: float, other: float, name: str) -> str:
    """A ratio for people."""
    return f"{taken / other:.2f} x {name}"


def timed(act: Callable[[], object]) -> float:
    """How long it takes."""
    before = time.perf_counter()
    act()
    return time.perf_counter() - before


def size_of(place: Path, prefix: str) -> int:
    """How many bytes the files have whose names begin so."""
    return sum(path.stat().st_size for path in place.iterdir() if path.name.startswith(prefix))


def turn(db: incr.Database, value: int, memos: int) -> None:
    """One input and so many memos that it changes."""
    db.set(Knob(value))
    for number in range(memos):
        changed(db, number)


# --- commits ----------------------------------------------------------------------------------------------------------


class Bare:
    """A file to which bytes are appended, each time made durable, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT)

    def write(self, data: bytes) -> None:
        """Append, and wait for the disk."""
        os.write(self._file, data)
        os.fdatasync(self._file)


def logged(place: Path, memos: int, times: int = 20) -> float:
    """How many bytes of the log one commit takes."""
    with incr.open(place) as db:
        turn(db, -1, memos)
        db.commit()
        before = size_of(place, "log")
        for value in range(times):
            turn(db, value, memos)
            db.commit()
        return (size_of(place, "log") - before) / times


def commits(folder: Path) -> Iterator[Figure]:
    """Commits of few memos, beside a bare write and beside SQLite."""
    for memos in (1, 10, 100):
        place = folder / f"commits-{memos}"
        size = round(logged(place, memos))
        bare = Bare(folder / f"bare-{memos}")
        ours, theirs, disk, work = [], [], [], []
        with incr.open(place) as db, incr.open(folder / f"commits-{memos}.sqlite", backend="sqlite") as other:
            for value in range(200):
                turn(db, 1000 + value, memos)
                turn(other, 1000 + value, memos)
                used = time.process_time()
                ours.append(timed(db.commit))
                work.append(time.process_time() - used)
                theirs.append(timed(other.commit))
                data = os.urandom(size)
                disk.append(timed(partial(bare.write, data)))
        what = f"commit of {memos} changed memo{'s' * (memos > 1)}"
        yield Figure(
            f"{what}, {size:,} bytes", milliseconds(min(ours)), against(min(ours), min(disk), "bare"), "<= 1.5 x"
        )
        yield Figure(f"{what}: processor", milliseconds(min(work)))
        yield Figure(
            f"{what}: SQLite", milliseconds(min(theirs)), against(min(theirs), min(ours), "file store"), ">= 1.3 x"
        )


async def commits_per_second(place: Path, tasks: int, each: int) -> float:
    """So many tasks, each of which commits what it writes."""
    async with incr.open(place) as db:

        async def committing(own: int) -> None:
            for value in range(each):
                db.set(Source(own, value))
                await db.acommit()

        await committing(tasks)
        before = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for own in range(tasks):
                nursery.start_soon(committing, own)
        return tasks * each / (time.perf_counter() - before)


def group_commits(folder: Path) -> Iterator[Figure]:
    """Many tasks that commit at the same time."""
    one = many = 0.0
    for number in range(5):
        one = max(one, trio.run(commits_per_second, folder / f"one-{number}", 1, 100))
        many = max(many, trio.run(commits_per_second, folder / f"many-{number}", 64, 20))
    yield Figure("one task: commits per second", f"{one:,.0f}")
    yield Figure("64 tasks: commits per second", f"{many:,.0f}", f"{many / one:.1f} x one task", ">= 10 x")


# --- checkpoints ------------------------------------------------------------------------------------------------------


@contextmanager
def open_filled(place: Path, files: int) -> Iterator[incr.Database]:
    """A program with a hundred calls for each file, all of which have run."""
    with incr.open(place) as db:
        with db.batch() as batch:
            for path in range(files):
                batch.set(Source(path, path))
        root(db, files // GROUP)
        yield db


def written(path: Path, data: bytes) -> None:
    """These bytes, durable."""
    with path.open("wb", buffering=0) as bare:
        bare.write(data)
        os.fdatasync(bare.fileno())


async def longest_stall(act: Callable[[], Any]) -> float:
    """How late a task was at worst that wants to run each millisecond meanwhile."""
    late = 0.0
    over = False

    async def ticking() -> None:
        nonlocal late
        while not over:
            before = time.perf_counter()
            await trio.sleep(0.001)
            late = max(late, time.perf_counter() - before - 0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ticking)
        await trio.sleep(0.01)
        await act()
        over = True
    return late


async def stalls(folder: Path, files: int) -> tuple[float, float]:
    """At worst while 100,000 memos are committed, and while they go into a base."""
    with open_filled(folder / "stalls", files) as db:
        gc.collect()
        return await longest_stall(db.acommit), await longest_stall(db.acheckpoint)


def checkpoints(folder: Path) -> Iterator[Figure]:
    """A base of 100,000 memos, one that is almost the same, and how long an event loop waits for them."""
    files = 1_000
    place = folder / "checkpoint"
    with open_filled(place, files) as db:
        used = time.process_time()
        taken = timed(db.commit)
        yield Figure(
            f"commit of {files * CALLS:,} memos", milliseconds(taken), milliseconds(time.process_time() - used)
        )
        first = timed(db.checkpoint)
        size = size_of(place, "base")
        data = os.urandom(size)
        bare = min(timed(lambda: written(folder / "bare", data)) for _ in range(5))
        yield Figure(
            f"checkpoint of {files * CALLS:,} memos, {size:,} bytes",
            milliseconds(first),
            against(first, bare, "bare"),
            "<= 5 x",
        )
        again = []
        for value in range(3):
            for path in range(files // 100):
                db.set(Source(path, -value))
            root(db, files // GROUP)
            db.commit()
            again.append(timed(db.checkpoint))
        yield Figure("checkpoint, 1 % of the files changed", milliseconds(min(again)), "", "<= 300 ms")
    stall, other = trio.run(stalls, folder, files)
    yield Figure("an event loop waits during acommit", milliseconds(stall), "", "<= 25 ms")
    yield Figure("an event loop waits during acheckpoint", milliseconds(other), "", "<= 25 ms")


# --- opening ----------------------------------------------------------------------------------------------------------

#: What a process of its own does for the figures of opening: the ways to begin.
Way = Literal["build", "open", "other", "load", "pickle"]


def resident() -> float:
    """MB of memory."""
    with open("/proc/self/statm", encoding="ascii") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def begin(way: Way, folder: Path, groups: int) -> None:
    """What the processes for opening do; prints numbers."""
    if way == "build":
        with open_filled(folder / "large", groups * GROUP) as db:
            db.checkpoint()
            db.save(folder / "whole.incr")
            values = {
                (path, number): leaf(db, path, number) for path in range(groups * GROUP) for number in range(CALLS - 1)
            }
            with (folder / "values.pickle").open("wb") as file_:
                pickle.dump(values, file_, pickle.HIGHEST_PROTOCOL)
    elif way == "open":
        before = time.perf_counter()
        for _ in range(2):
            with incr.open(folder / f"new-{os.getpid()}") as db:
                turn(db, 1, 1)
                db.checkpoint()
        imported = time.perf_counter() - before
        before = time.perf_counter()
        with incr.open(folder / "large") as db:
            opened = time.perf_counter()
            db.set(Source(7, 700))
            root(db, groups)
            print(opened - before, time.perf_counter() - before, resident(), imported)
    elif way == "other":
        with incr.open(folder / f"new-{os.getpid()}") as db:
            turn(db, 1, 1)
            db.checkpoint()
        before = time.process_time()
        with incr.open(folder / "large") as db:  # nothing is committed: the next process finds the same
            opened = time.process_time()
            file(db, 7)
            print(opened - before, time.process_time() - opened, resident(), 0)
    elif way == "load":
        empty = incr.Database()
        print(timed(lambda: empty.load(folder / "whole.incr")), 0, resident(), 0)
    else:
        gc.disable()  # in its favour
        before = time.perf_counter()
        with (folder / "values.pickle").open("rb") as file_:
            values = pickle.load(file_)
        print(time.perf_counter() - before, len(values), resident(), 0)


def processes(way: Way, folder: Path, groups: int, times: int, changed: str = "") -> list[float]:
    """The smallest figures of some processes: to open, with asking, MB, to make a new store with all imports."""
    others = os.environ | {"INCR_BENCHMARK_CHANGED": changed}
    command = [sys.executable, __file__, "--begin", way, "--folder", str(folder), "--groups", str(groups)]
    lines = [
        subprocess.run(command, check=True, capture_output=True, text=True, env=others).stdout.split()
        for _ in range(times)
    ]
    return [min(map(float, column)) for column in zip(*lines, strict=True)]


def other_code(folder: Path, groups: int) -> Iterator[Figure]:
    """The same store, opened by a program that is another one in part, and one file asked. Processor times: these are
    few milliseconds, and what matters is whether they are the same."""
    same, _, _, _ = processes("other", folder, groups, 9)
    yield Figure("open with the same code: processor", milliseconds(same))
    for name in ("leaf", "file", "group", "root", "leaf file group root"):
        opened, asked, memory, _ = processes("other", folder, groups, 9, name)
        ratio = f"{opened / same:.2f} x the same code"
        yield Figure(f"open with other code of {name}: processor", milliseconds(opened), ratio)
        yield Figure(f"then one file of {CALLS} memos: processor", milliseconds(asked), f"{memory:.0f} MB resident")


def openings(folder: Path, groups: int) -> Iterator[Figure]:
    """A store with many memos: opened, one input changed, and the root asked; beside those who read everything."""
    memos = groups * GROUP * CALLS
    processes("build", folder, groups, 1)
    opened, asked, memory, imported = processes("open", folder, groups, 9)
    yield Figure("imports: a process makes a small store and opens it", milliseconds(imported))
    yield Figure(f"then: open {memos:,} memos", milliseconds(opened), "", "<= 10 ms")
    yield Figure(f"one of {groups * GROUP:,} inputs changed, root asked, in all", milliseconds(asked), "", "<= 50 ms")
    yield Figure("resident after that", f"{memory:.0f} MB", "", "<= 100 MB")
    yield from other_code(folder, groups)
    loaded, _, memory, _ = processes("load", folder, groups, 2)
    yield Figure("db.load of the same", milliseconds(loaded), f"{loaded / opened:,.0f} x open, {memory:,.0f} MB")
    loaded, _, memory, _ = processes("pickle", folder, groups, 2)
    yield Figure(
        "pickle.load of keys and values alone", milliseconds(loaded), f"{loaded / opened:,.0f} x open, {memory:,.0f} MB"
    )


def peer(folder: Path, groups: int) -> Iterator[Figure]:
    """query-cascade's file of the same program, in an environment of its own."""
    interpreter = environments.make("query_cascade", sys.executable, platform.python_version())
    command = [str(interpreter), str(Path(__file__).with_name("store_peer.py"))]
    saving = timed(lambda: subprocess.run([*command, "build", str(folder), str(groups)], check=True))
    yield Figure(
        f"query-cascade: {groups * GROUP * CALLS:,} memos computed and saved",
        f"{saving:,.0f} s",
        f"{size_of(folder, 'cascade') / 1e6:,.0f} MB on disk",
    )
    found = subprocess.run([*command, "load", str(folder), str(groups)], check=True, capture_output=True, text=True)
    loaded, asked, memory, _ = map(float, found.stdout.split())
    yield Figure("query-cascade: load", milliseconds(loaded), f"{memory:,.0f} MB resident")
    yield Figure("query-cascade: load, one input changed, root asked", milliseconds(asked))


# --- growth -----------------------------------------------------------------------------------------------------------


def change_of(place: Path, last: int) -> tuple[int, int]:
    """The bytes of the keys, values and edges (four each) in the log's newest delta, and of the delta."""
    directory = FileDirectory(place)
    frames = read_frames(directory, list_segments(directory, last).parts, last, 0)
    entry = [entry for frame, _ in frames for entry in frame.entries][-1]
    rows = unpack_delta(str(place), entry).rows.values()
    contents = sum(len(content.value) for _, content in rows if content is not None)
    return contents + sum(len(row.key) + 4 * len(row.dependencies) for row, _ in rows), len(entry)


def growth(folder: Path) -> Iterator[Figure]:
    """How many bytes of the log a commit of one change takes, beside those of the change; and many commits."""
    for length in (8, 100, 1_000, 10_000):
        place = folder / f"text-{length}"
        with incr.open(place) as db:
            for value in range(5):
                size = size_of(place, "log")
                db.set(Text("src/a.py", f"{value:04d}" * (length // 4)))
                upper(db, "src/a.py")
                db.commit()
            size = size_of(place, "log") - size
            change, delta = change_of(place, 5)
        what = f"commit of a text of {length:,} characters and a memo of it"
        ratios = f"{size / delta:.2f} x the delta, {size / change:.2f} x its keys, values and edges"
        yield Figure(what, f"{size:,} bytes", ratios, "<= 2 x")
    place = folder / "growth"
    with incr.open(place, durability="interval") as db:
        turn(db, 0, 1)
        db.commit()
        before, done = size_of(place, "log"), 0
        for commits_ in (1_000, 10_000):
            while done < commits_:
                done += 1
                turn(db, done, 1)
                db.commit()
            assert db.durable(db.commit(), 60)
            size = size_of(place, "log") - before
            yield Figure(f"{commits_:,} commits of one change", f"{size:,} bytes", f"{size / commits_:.0f} bytes each")


# --- the demo ---------------------------------------------------------------------------------------------------------


def demo(folder: Path) -> Iterator[Figure]:
    """Whole processes over the standard library: a first start, and second ones that have nothing to do."""
    command = [
        sys.executable,
        "-m",
        "incr",
        "demo",
        "--state",
        str(folder / "state"),
        "--second",
        "--no-edits",
    ]

    def spent(what: list[str]) -> tuple[float, bytes]:
        used = os.times()
        said = subprocess.run(what, check=True, capture_output=True).stdout
        now = os.times()
        return now.children_user + now.children_system - used.children_user - used.children_system, said

    def start() -> tuple[float, dict[str, Any]]:
        seconds, _ = spent(command)
        _, said = spent([*command, "--json"])  # which lists more
        return seconds, json.loads(said)["runs"][0]

    cold, _ = spent(command)
    yield Figure("the standard library: processor time of a cold start", f"{cold:.2f} s")
    again = sorted((start() for _ in range(9)), key=lambda one: one[0])
    best, run = again[0]
    assert run["executed"] == 0
    yield Figure("second start", f"{best * 1e3:.0f} ms", f"{best / cold:.1%} of the cold one", "<= 10 %")
    imports = [sys.executable, "-c", "import incr.cli.demo"]
    empty = min(spent(imports)[0] for _ in range(9))
    yield Figure("of it: an interpreter that imports the command", f"{empty * 1e3:.0f} ms")
    for what, name in (
        ("opening, with its imports and the fingerprints of the code", "open"),
        ("stamps of the files", "read"),
        ("the summary", "analyse"),
    ):
        yield Figure(f"of it: {what}", f"{min(one['seconds'][name] for _, one in again) * 1e3:.1f} ms")


CASES: Final[dict[str, Callable[[Path, int], Iterator[Figure]]]] = {
    "commits": lambda folder, _: commits(folder),
    "group": lambda folder, _: group_commits(folder),
    "checkpoint": lambda folder, _: checkpoints(folder),
    "opening": openings,
    "peer": peer,
    "growth": lambda folder, _: growth(folder),
    "demo": lambda folder, _: demo(folder),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(CASES)}; all of them")
    parser.add_argument("--groups", type=int, default=100, help="of 10,000 memos each, for opening")
    parser.add_argument("--folder", type=Path, help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--begin", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.begin:
        begin(arguments.begin, arguments.folder, arguments.groups)
        return
    if unknown := set(arguments.cases) - CASES.keys():
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    for case in arguments.cases or CASES:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            for figure in CASES[case](Path(folder), arguments.groups):
                print(f"| {figure.what} | {figure.measured} | {figure.ratio} | {figure.target} |", flush=True)


if __name__ == "__main__":
    main()
