"""A disk that does what real ones do when the power goes, and fails when it is told to.

Law: what was synced is there after a crash, byte for byte; of what was not, anything may be: a part, in any order, the
last write torn. Names are no better than bytes: one that was not synced may be missing, and what was removed may be
there again. Nothing here is random but by *seed*.

Keeps: testing.disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from random import Random
from typing import Literal, NamedTuple, TypeAlias, final

from incr.store.directory import File
from incr.store.memory import MemoryDirectory

__all__ = ["Crashed", "FakeDirectory"]

Call: TypeAlias = Literal[
    "make", "names", "create", "open", "open_to_read", "rename", "unlink", "sync_names", "size", "pread", "pwrite",
    "truncate", "allocate", "sync_data", "sync", "lock", "unlock", "close",
]  # fmt: skip
Disk: TypeAlias = dict[str, bytes]


class Crashed(BaseException):  # it is no error that anybody could handle
    """The machine has stopped: this call and all later ones had no effect."""


class _Step(NamedTuple):
    """One call that changes the disk, or makes changes last."""

    kind: str
    file: int = 0
    name: str = ""
    new: str = ""
    offset: int = 0
    data: bytes = b""


class _Fault(NamedTuple):
    call: str
    #: None: the call does half of what it was asked to.
    error: int | None
    #: The first call of this kind that is concerned, and the first one that is not any more.
    start: int
    stop: float


@final
class FakeDirectory:
    """A directory in memory for tests of what crashes and failing disks do; *files* is what it begins with.

    It has all calls of `incr.store.Directory`, and counts them. `crash_states` lists what could be on the disk after a
    crash:

    >>> disk = FakeDirectory()
    >>> file = disk.create("a")
    >>> file.pwrite(b"12", 0)
    2
    >>> file.sync()
    >>> sorted(state.get("a", b"-") for state in disk.crash_states())
    [b'-', b'12']
    """

    __slots__ = ("_crash_at", "_faults", "_ids", "_made", "_memory", "_start", "_steps", "calls", "counts")

    def __init__(self, files: Mapping[str, bytes] = {}) -> None:
        self._start = dict(files)
        self._memory = MemoryDirectory(files)
        #: How many calls were made.
        self.calls = 0
        #: How many calls of each kind were made.
        self.counts: dict[str, int] = {}
        self._crash_at: int | None = None
        self._faults: list[_Fault] = []
        #: After how many calls each step was done.
        self._steps: list[tuple[int, _Step]] = []
        self._ids = {name: number for number, name in enumerate(self._start)}
        self._made = len(self._ids)

    # spec: testing.disk
    def fail(self, call: Call, error: int = errno.EIO, *, skip: int = 0, times: int | None = 1) -> None:
        """Let calls of this kind fail with *error*: after *skip* more of them, *times* (None: for ever)."""
        self._add_fault(call, error, skip, times)

    def shorten(self, call: Literal["pread", "pwrite"], *, skip: int = 0, times: int | None = 1) -> None:
        """Let reads or writes do half of what they were asked to."""
        self._add_fault(call, None, skip, times)

    def heal(self) -> None:
        """Nothing fails any more."""
        self._faults.clear()

    def crash_at(self, call: int) -> None:
        """Let call number *call*, from 1, and all later ones raise `Crashed` and do nothing."""
        self._crash_at = call

    def restart(self) -> None:
        """Begin again after a `Crashed`, with all that is visible: the process was killed, the machine goes on."""
        self._crash_at = None
        self._memory.unlock_all()

    def files(self) -> Disk:
        """What is visible now: what a process finds that is started after this one was killed."""
        return self._memory.files()

    def after_power_loss(self) -> FakeDirectory:
        """A directory with what was synced, and nothing else."""
        return FakeDirectory(self._memory.after_power_loss().files())

    # spec: testing.disk
    def crash_states(self, after: int | None = None, *, samples: int = 4, seed: int = 0) -> Iterator[Disk]:
        """What may be on the disk if the power goes after *after* calls (None: after all).

        First everything that is there, with nothing lost; then each prefix of what was not synced; each with its last
        write torn: short, as zeros, as garbage; each single thing omitted; then *samples* of any choice of it.
        Equal states are given out once.
        """
        calls = self.calls if after is None else after
        durable, pending = self._settled([step for at, step in self._steps if at <= calls])
        seen: set[tuple[tuple[str, bytes], ...]] = set()
        for steps in _choices(pending, samples, Random(seed * 1_000_003 + calls)):
            state = durable.with_steps(steps)
            key = tuple(sorted(state.items()))
            if key not in seen:
                seen.add(key)
                yield state

    def _settled(self, steps: list[_Step]) -> tuple[_State, list[_Step]]:
        """What is on the disk for sure after these steps, and what may be in part."""
        durable = _State(
            dict(enumerate(self._start.values())),
            {name: number for number, name in enumerate(self._start)},
        )
        pending: list[_Step] = []
        for step in steps:
            if step.kind not in ("sync", "sync_names"):
                pending.append(step)
                continue
            left: list[_Step] = []
            for waiting in pending:
                if _makes_last(step, waiting):
                    durable.apply(waiting)
                else:
                    left.append(waiting)
            pending = left
        return durable, pending

    def _add_fault(self, call: str, error: int | None, skip: int, times: int | None) -> None:
        start = self.counts.get(call, 0) + skip
        self._faults.append(_Fault(call, error, start, float("inf") if times is None else start + times))

    def _begin(self, call: Call) -> bool:
        """Count a call, let it fail if it has to; whether it does only half."""
        if self._crash_at is not None and self.calls + 1 >= self._crash_at:
            raise Crashed(f"at call {self._crash_at}")
        count = self.counts.get(call, 0)
        self.calls += 1
        self.counts[call] = count + 1
        for fault in self._faults:
            if fault.call == call and fault.start <= count < fault.stop:
                if fault.error is None:
                    return True
                raise OSError(fault.error, os.strerror(fault.error))
        return False

    def _note(self, step: _Step) -> None:
        self._steps.append((self.calls, step))

    # The calls of a directory.

    def path_of(self, name: str) -> str:
        """The file as a message should name it."""
        return f"fake:{name}"

    def make(self) -> None:
        """It is there."""
        self._begin("make")

    def names(self) -> list[str]:
        """The names of what is there, sorted."""
        self._begin("names")
        return self._memory.names()

    def create(self, name: str) -> File:
        """A new, empty file."""
        self._begin("create")
        file = self._memory.create(name)
        number = self._ids[name] = self._made
        self._made += 1
        self._note(_Step("create", number, name))
        return _FakeFile(self, file, number)

    def open(self, name: str) -> File:
        """A file that is there."""
        self._begin("open")
        return _FakeFile(self, self._memory.open(name), self._ids[name])

    def open_to_read(self, name: str) -> File:
        """A file that is there, for reading only."""
        self._begin("open_to_read")
        return _FakeFile(self, self._memory.open(name), self._ids[name])

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in place of what has it."""
        self._begin("rename")
        self._memory.rename(name, new)
        self._ids[new] = self._ids.pop(name)
        self._note(_Step("rename", name=name, new=new))

    def unlink(self, name: str) -> None:
        """Take a file's name away."""
        self._begin("unlink")
        self._memory.unlink(name)
        del self._ids[name]
        self._note(_Step("unlink", name=name))

    def sync(self) -> None:
        """Make the names as they are now durable."""
        self._begin("sync_names")
        self._memory.sync()
        self._note(_Step("sync_names"))


_OF_NAMES = frozenset({"create", "rename", "unlink"})


@final
class _FakeFile:
    """An open file of a `FakeDirectory`."""

    __slots__ = ("_directory", "_file", "_number")

    def __init__(self, directory: FakeDirectory, file: File, number: int) -> None:
        self._directory = directory
        self._file = file
        self._number = number

    def size(self) -> int:
        self._directory._begin("size")
        return self._file.size()

    def pread(self, count: int, offset: int) -> bytes:
        short = self._directory._begin("pread")
        return self._file.pread((count + 1) // 2 if short else count, offset)

    def pwrite(self, data: bytes | memoryview, offset: int) -> int:
        short = self._directory._begin("pwrite")
        taken = bytes(data[: len(data) // 2] if short else data)
        self._directory._note(_Step("write", self._number, offset=offset, data=taken))
        return self._file.pwrite(taken, offset)

    def truncate(self, size: int) -> None:
        self._directory._begin("truncate")
        self._file.truncate(size)
        self._directory._note(_Step("truncate", self._number, offset=size))

    def allocate(self, size: int) -> None:
        self._directory._begin("allocate")
        self._file.allocate(size)
        self._directory._note(_Step("allocate", self._number, offset=size))

    def sync_data(self) -> None:
        self._directory._begin("sync_data")
        self._file.sync_data()
        self._directory._note(_Step("sync", self._number))

    def sync(self) -> None:
        self._directory._begin("sync")
        self._file.sync()
        self._directory._note(_Step("sync", self._number))

    def lock(self) -> bool:
        self._directory._begin("lock")
        return self._file.lock()

    def unlock(self) -> None:
        self._directory._begin("unlock")
        self._file.unlock()

    def close(self) -> None:
        self._directory._begin("close")
        self._file.close()


class _State:
    """Files by number, and the names that lead to them."""

    __slots__ = ("_files", "_names")

    def __init__(self, files: dict[int, bytes], names: dict[str, int]) -> None:
        self._files = files
        self._names = names

    def with_steps(self, steps: list[_Step]) -> Disk:
        """The disk after these steps, too."""
        state = _State(dict(self._files), dict(self._names))
        for step in steps:
            state.apply(step)
        return {name: state._files.get(number, b"") for name, number in state._names.items()}

    def apply(self, step: _Step) -> None:
        content = self._files.get(step.file, b"")
        match step.kind:
            case "create":
                self._names[step.name] = step.file
            case "rename":
                if step.name in self._names:
                    self._names[step.new] = self._names.pop(step.name)
            case "unlink":
                self._names.pop(step.name, None)
            case "write":
                end = step.offset + len(step.data)
                self._files[step.file] = content[: step.offset].ljust(step.offset, b"\0") + step.data + content[end:]
            case "truncate":
                self._files[step.file] = content[: step.offset].ljust(step.offset, b"\0")
            case _:
                self._files[step.file] = content.ljust(step.offset, b"\0")


def _makes_last(sync: _Step, waiting: _Step) -> bool:
    if sync.kind == "sync_names":
        return waiting.kind in _OF_NAMES
    return waiting.kind not in _OF_NAMES and waiting.file == sync.file


def _choices(pending: list[_Step], samples: int, random: Random) -> Iterator[list[_Step]]:
    """What of these steps reaches the disk."""
    yield pending
    for end in range(len(pending)):
        yield pending[:end]
        yield pending[:end] + pending[end + 1 :]
        if pending[end].kind == "write":
            yield from ([*pending[:end], torn] for torn in _torn(pending[end], random))
    for _ in range(samples if len(pending) > 1 else 0):
        # What was written later may be there without what was written before it.
        yield [step for step in pending if random.random() < 0.5]


def _torn(step: _Step, random: Random) -> Iterator[_Step]:
    """A write that was under way: a part of it; its length, but zeros or garbage for its bytes, or for some of them."""
    size = len(step.data)
    half = random.randrange(size) if size else 0
    garbage = random.randbytes(size)
    for data in (step.data[:half], bytes(size), garbage, step.data[:half] + bytes(size - half)):
        yield step._replace(data=data)
