"""What `paired.py` measures: one case of one checkout in this process, slice by slice, on request.

Usage: paired_cases.py CHECKOUT CASE. Prints a line when it is ready; then, for each line that it reads, runs one slice
and prints the seconds per operation. It ends with its input.

Law: only what both checkouts can express stands here. Seconds are processor seconds of this process: another process
that takes the core away in the middle of a slice costs nothing.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import shapes

CHECKOUT = Path(sys.argv[1]).resolve() if __name__ == "__main__" else Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

import incr  # noqa: E402  # the checkout's own one

#: A slice takes some ten milliseconds: so long that the clock is exact, so short that the machine stays the same.
HITS = 40_000
FIRST_RUNS = 2_000
WRITES = 400
WIDTH = 200

#: One slice; the seconds per operation.
Slice = Callable[[], float]


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input
class Number:
    index: int = incr.key()
    value: int


@incr.input
class Other:
    value: int


@incr.query
def length(db: incr.View, path: str) -> int:
    return len(db[Source, path].text)


@incr.query
def other(db: incr.View) -> int:
    return db[Other].value


def loop(statement: str, names: dict[str, Any], times: int) -> Slice:
    """A slice that runs the statement over and over, with local names, without garbage collection."""
    source = "def slice(clock, rounds):\n"
    source += "".join(f" {name} = names[{name!r}]\n" for name in names)
    source += f" start = clock()\n for turn in rounds:\n  {statement}\n return clock() - start\n"
    scope: dict[str, Any] = {"names": names}
    exec(source, scope)

    def run() -> float:
        gc.disable()
        seconds: float = scope["slice"](process_time, range(times)) / times
        gc.enable()
        return seconds

    return run


def timed(operation: Callable[[], object], per: int = 1) -> float:
    """Seconds of one call with garbage collection on, as in a program, divided by *per*."""
    start = process_time()
    operation()
    return (process_time() - start) / per


def sources() -> incr.Database:
    """A database with two inputs and a memo of each."""
    db = incr.Database()
    db.set(Source("a.py", "text"))
    db.set(Other(1))
    length(db, "a.py")
    other(db)
    return db


def in_frame(statement: str) -> Slice:
    """The statement within a query's body, through its `db`."""
    db = sources()
    names: dict[str, Any] = {"length": length, "Source": Source, "Other": Other, "path": "a.py"}
    found: list[float] = []

    @incr.query
    def outer(db: incr.View, turn: int) -> int:
        length(db, "a.py")
        other(db)
        found.append(loop(statement, {**names, "db": db}, HITS)())
        return turn

    turns = iter(range(1_000_000))

    def run() -> float:
        outer(db, next(turns))
        return found.pop()

    return run


def at_root(statement: str) -> Slice:
    """The statement outside of all queries."""
    return loop(statement, {"length": length, "Source": Source, "db": sources(), "path": "a.py"}, HITS)


@incr.query
def reads_0(db: incr.View, index: int) -> int:
    return index


@incr.query
def reads_1(db: incr.View, index: int) -> int:
    return db[Number, index].value


@incr.query
def reads_2(db: incr.View, index: int) -> int:
    return db[Number, index].value + db[Number, index + 1].value


@incr.query
def reads_5(db: incr.View, index: int) -> int:
    first = db[Number, index].value + db[Number, index + 1].value + db[Number, index + 2].value
    return first + db[Number, index + 3].value + db[Number, index + 4].value


@incr.query
def calls_1(db: incr.View, index: int) -> int:
    return reads_1(db, index)


@incr.query
async def awaited_0(db: incr.View, index: int) -> int:
    return index


@incr.query
async def awaited_1(db: incr.View, index: int) -> int:
    return db[Number, index].value


def numbers(count: int) -> incr.Database:
    """A database with so many numbers."""
    db = incr.Database()
    with db.batch() as batch:
        for index in range(count):
            batch.set(Number(index, index))
    return db


def first_run(query: Any) -> Slice:
    """Calls that nobody has made before, in a loop, each time in a new database."""

    def run() -> float:
        db = numbers(FIRST_RUNS + 5)
        query(db, -1) if query is reads_0 else query(db, 0)  # the table is there
        gc.collect()

        def all_of_them() -> None:
            for index in range(1, FIRST_RUNS + 1):
                query(db, index)

        return timed(all_of_them, FIRST_RUNS)

    return run


def first_run_awaited(query: Any) -> Slice:
    """The same for awaited calls."""

    def run() -> float:
        db = numbers(FIRST_RUNS + 5)
        gc.collect()

        async def all_of_them() -> float:
            await query(db, 0)
            start = process_time()
            for index in range(1, FIRST_RUNS + 1):
                await query(db, index)
            return (process_time() - start) / FIRST_RUNS

        return asyncio.run(all_of_them())

    return run


@incr.query
def node(db: incr.View, index: int) -> int:
    return node(db, index - 1) + 1 if index else db[Other].value


@incr.query
def parity(db: incr.View) -> int:
    return db[Other].value % 2


@incr.query
def above_parity(db: incr.View, index: int) -> int:
    return above_parity(db, index - 1) + 1 if index else parity(db)


@incr.query
def child(db: incr.View, index: int) -> int:
    return db[Number, index].value + 1


@incr.query
def fan_root(db: incr.View) -> int:
    return sum([child(db, index) for index in range(10 * WIDTH)])


@incr.query
def layer_node(db: incr.View, layer: int, index: int) -> int:
    if layer == 0:
        return sum([db[Number, i].value for i in shapes.below(index, WIDTH)]) % shapes.MODULUS
    return sum([layer_node(db, layer - 1, i) for i in shapes.below(index, WIDTH)]) % shapes.MODULUS


@incr.query
def layers_root(db: incr.View) -> int:
    return sum([layer_node(db, shapes.LAYERS - 1, index) for index in range(WIDTH)])


def cold(prepare: Callable[[], incr.Database], root: Callable[[Any], object]) -> Slice:
    """Everything for the first time."""

    def run() -> float:
        db = prepare()
        gc.collect()
        return timed(lambda: root(db))

    return run


def edits(
    prepare: Callable[[], incr.Database], root: Callable[[Any], object], edit: Callable[[Any, int], object], times: int
) -> Slice:
    """An edit, and the root asked again, so many times."""
    db = prepare()
    root(db)
    steps = iter(range(1, 1_000_000_000))

    def edit_and_ask() -> None:
        for _ in range(times):
            edit(db, next(steps))
            root(db)

    return lambda: timed(edit_and_ask, times)


def edit_number(db: incr.Database, step: int) -> None:
    """One of the numbers is a new one."""
    db.set(Number(shapes.edited(step, WIDTH), 1_000 + step))


def one_other() -> incr.Database:
    """A database with the singleton."""
    db = incr.Database()
    db.set(Other(0))
    return db


@incr.query
def parse(db: incr.View, path: str) -> str:
    return db[Source, path].text.strip()


@incr.query
def signature(db: incr.View, path: str) -> str:
    return shapes.signature_of(parse(db, path))


NAMES = shapes.paths(WIDTH)
IMPORTS = shapes.imports(WIDTH)


@incr.query
def resolve(db: incr.View, path: str) -> int:
    return parse(db, path).index("|") + sum([len(signature(db, name)) for name in IMPORTS[path]])


@incr.query
def check(db: incr.View, path: str) -> int:
    seen = parse(db, path).index("|") + resolve(db, path)
    return seen + sum([len(signature(db, name)) for name in IMPORTS[path][:4]])


@incr.query
def files_root(db: incr.View) -> int:
    return sum([check(db, name) for name in NAMES])


def files() -> incr.Database:
    """The files of the keystroke, and the singleton, which one small call reads."""
    db = one_other()
    with db.batch() as batch:
        for index, name in enumerate(NAMES):
            batch.set(Source(name, shapes.text(index, 0)))
    other(db)
    return db


def edit_file(db: incr.Database, step: int) -> None:
    """The body of a file is a new one."""
    index = shapes.edited(step, WIDTH)
    db.set(Source(NAMES[index], shapes.text(index, step)))


def edit_other(db: incr.Database, step: int) -> None:
    """What the root does not read."""
    db.set(Other(step))


def edit_unread(db: incr.Database, step: int) -> None:
    """What nobody reads."""
    db.set(Number(1, step))


CASES: dict[str, Callable[[], Slice]] = {
    "hit: root": lambda: at_root("length(db, path)"),
    "hit: frame": lambda: in_frame("length(db, path)"),
    "slot: keyed": lambda: in_frame("db[Source, path]"),
    "slot: singleton": lambda: in_frame("db[Other]"),
    "slot: get": lambda: in_frame("db.get(Source, path)"),
    "slot: root": lambda: at_root("db[Source, path]"),
    "presence": lambda: in_frame("(Source, path) in db"),
    "first run: trivial": lambda: first_run(reads_0),
    "first run: 1 dependency": lambda: first_run(reads_1),
    "first run: 2 dependencies": lambda: first_run(reads_2),
    "first run: 5 dependencies": lambda: first_run(reads_5),
    "first run: nested": lambda: first_run(calls_1),
    "first run: async": lambda: first_run_awaited(awaited_0),
    "first run: async, 1 dependency": lambda: first_run_awaited(awaited_1),
    "chain: cold": lambda: cold(one_other, lambda db: node(db, 1_000)),
    "chain: all run": lambda: edits(one_other, lambda db: node(db, 1_000), edit_other, 2),
    "chain: all verified": lambda: edits(
        one_other, lambda db: above_parity(db, 1_000), lambda db, step: db.set(Other(2 * step)), 4
    ),
    "fan: cold": lambda: cold(lambda: numbers(10 * WIDTH), fan_root),
    "fan: one changed": lambda: edits(lambda: numbers(10 * WIDTH), fan_root, edit_number, 20),
    "layers: cold": lambda: cold(lambda: numbers(WIDTH), layers_root),
    "layers: one changed": lambda: edits(lambda: numbers(WIDTH), layers_root, edit_number, 3),
    "write: nobody reads it": lambda: edits(files, files_root, edit_unread, WRITES),
    "write: the root does not read it": lambda: edits(files, files_root, edit_other, WRITES),
    "keystroke": lambda: edits(files, files_root, edit_file, 50),
}


def main() -> None:
    if not Path(incr.__file__).is_relative_to(CHECKOUT):
        raise SystemExit(f"{CHECKOUT} holds no incr")
    run = CASES[sys.argv[2]]()
    run()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(run(), flush=True)


if __name__ == "__main__":
    main()
