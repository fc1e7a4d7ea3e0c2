"""Threads of which one runs at a time, and which one is decided by a seeded `random.Random`: failures repeat.

A thread may lose its turn before any line of incr's modules, at the start of any function that was compiled for a
query, and where it would wait. The engine's locks are made by the stepper while it is installed: a thread that finds
one taken lets others run until it is free. If nobody can go on, every thread is ended with `Stuck`.

Lines, not instructions: the interpreter itself changes threads only where something is called or a loop goes round.
"""

from __future__ import annotations

import _thread
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Any, Final, final

import incr

__all__ = ["Stepper", "Stuck", "Worker"]

_PACKAGE: Final = os.path.dirname(incr.__file__) + os.sep
_COMPILED: Final = "<incr "
#: Seconds without a line passed after which a test that hangs all the same is ended.
_PATIENCE: Final = 60.0


class Stuck(BaseException):
    """All threads wait for each other."""


@final
class Worker:
    """One thread, and what it waits for."""

    def __init__(self, function: Callable[[], Any], name: str) -> None:
        self.name = name
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = False
        self.go = _thread.allocate_lock()
        self.go.acquire()
        self.waits_for: Callable[[], bool] | None = None
        self.function = function

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def ready(self) -> bool:
        """Whether it can go on."""
        return not self.ended and (self.waits_for is None or self.waits_for())


@final
class Stepper:
    """The one who says which thread goes on. *chance*: how often a thread loses its turn at a line."""

    def __init__(self, random: Random, chance: float) -> None:
        self._random = random
        self._chance = chance
        self._workers: list[Worker] = []
        self._current: Worker | None = None
        self._over = _thread.allocate_lock()
        self._over.acquire()
        self._stuck = False
        #: How many lines of incr's modules have been passed.
        self._lines = 0
        #: Conditions may lead into incr's modules, where nobody must lose a turn while it is decided whose it is.
        self._deciding = False
        #: How often another thread went on, and who: the same for the same seed.
        self.switches: list[str] = []

    # --- for the test -------------------------------------------------------------------------------------------------

    def spawn(self, function: Callable[[], Any], name: str) -> Worker:
        """A thread that has not begun; called before `run`, or by a thread that runs."""
        worker = Worker(function, name)
        self._workers.append(worker)
        thread = threading.Thread(target=self._live, args=(worker,), name=name, daemon=True)
        thread.start()
        return worker

    def run(self) -> None:
        """Run all threads to their ends; raises what the first of them raised."""
        everybody = self._workers
        with _no_collection():
            self._hand_on()
            lines = -1
            while not self._over.acquire(timeout=_PATIENCE):  # where nothing is kept, a little program runs for long
                assert self._lines != lines, "a thread waits for something that the stepper does not know"
                lines = self._lines
        for worker in everybody:
            if worker.error is not None and not isinstance(worker.error, Stuck):
                raise worker.error
        assert not self._stuck, f"all threads wait for each other: {[w for w in everybody if w.error is not None]}"

    def in_threads(self, functions: list[Callable[[], Any]]) -> list[Worker]:
        """Call each in a thread of its own while the calling thread waits for them."""
        workers = [self.spawn(function, f"helper {number}") for number, function in enumerate(functions)]
        self.block(lambda: all(worker.ended for worker in workers))
        return workers

    def block(self, condition: Callable[[], bool]) -> None:
        """Called by a thread that runs: let others run until the condition holds."""
        me = self._current
        assert me is not None, "only threads of the stepper may wait"
        while not condition():
            if self._stuck:
                raise Stuck
            me.waits_for = condition
            self._switch()
            me.waits_for = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """All locks that incr makes in this block are the stepper's, and so are those that it has made at import."""
        known = {
            _thread.RLock: lambda: _Lock(self, again=True),
            _thread.allocate_lock: lambda: _Lock(self, again=False),
        }
        before: list[tuple[dict[str, Any], str, Any]] = []
        for module in [module for name, module in sys.modules.items() if name.startswith("incr")]:
            for name, value in list(vars(module).items()):
                if isinstance(value, _thread.LockType) or value is _thread.RLock or value is _thread.allocate_lock:
                    before.append((vars(module), name, value))
        made: dict[int, _Lock] = {}
        for names, name, value in before:
            if isinstance(value, _thread.LockType):
                names[name] = made.setdefault(id(value), _Lock(self, again=False))
            else:
                names[name] = known[value]
        try:
            yield
        finally:
            for names, name, value in before:
                names[name] = value

    def lock(self) -> _Lock:
        """A lock for what was made before, or makes its locks in a way that `installed` does not see."""
        return _Lock(self, again=False)

    # --- turns --------------------------------------------------------------------------------------------------------

    def _live(self, worker: Worker) -> None:
        worker.go.acquire()
        sys.settrace(self._enter)
        try:
            worker.value = worker.function()
        except BaseException as error:
            worker.error = error
        finally:
            sys.settrace(None)
            worker.ended = True
            self._hand_on()

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name.startswith(_PACKAGE):
            self._perhaps()
            return self._line
        if name.startswith(_COMPILED):
            self._perhaps()
        return None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self._perhaps()
        return self._line

    def _perhaps(self) -> None:
        self._lines += 1
        if not self._deciding and not self._stuck and self._random.random() < self._chance:
            self._switch()

    def _switch(self) -> None:
        me = self._current
        assert me is not None
        self._hand_on()
        me.go.acquire()

    def _hand_on(self) -> None:
        """Let somebody go on; the caller waits for its own turn then, or has ended."""
        self._workers = alive = [worker for worker in self._workers if not worker.ended]
        if not alive:
            self._over.release()
            return
        self._deciding = True
        ready = [worker for worker in alive if worker.ready]
        self._deciding = False
        if not ready:
            self._stuck = True
            ready = alive
        self._current = chosen = self._random.choice(ready)
        self.switches.append(chosen.name)
        chosen.go.release()


@final
class _Lock:
    """A lock of the stepper; only one thread runs at a time, so nothing here needs another one."""

    def __init__(self, stepper: Stepper, *, again: bool) -> None:
        self._stepper = stepper
        self._again = again
        self._owner: int | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = _thread.get_ident()
        if self._count and not (self._again and self._owner == me):
            if not blocking:
                return False
            self._stepper.block(lambda: not self._count)
        self._owner = me
        self._count += 1
        return True

    def release(self) -> None:
        if not self._count:
            raise RuntimeError("release unlocked lock")
        self._count -= 1

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Finalizers of garbage in cycles run at moments that nobody chose."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
