"""Worker threads over one database: the analysis by several at once, and a request that is answered while files change.

Law: all threads are given the same database or the same snapshot, and nothing else is shared. Nothing here locks.

Keeps: demo.threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import incr
from incr.demo.inputs import Source
from incr.demo.queries import report, summary
from incr.demo.values import Summary

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Request", "analyse_in_threads", "answer_while_typing"]

#: Nobody types for ever: this many edits are written at most while one request is answered.
_TYPED = 200


# spec: demo.threads
def analyse_in_threads(
    db: incr.Database, threads: int, progress: Callable[[int, int], object] | None = None
) -> Summary:
    """The summary of all files, with the reports asked for by several threads. *progress* is told how many are done."""
    paths = list(db.keys(Source))
    with _pool(threads) as pool:
        for done, _ in enumerate(pool.map(partial(report, db), paths), 1):
            if progress is not None:
                progress(done, len(paths))
    return summary(db)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was answered on a snapshot while a file was edited."""

    path: str
    threads: int
    #: What the request was answered for, and what was newest when the answer was there.
    revision: int
    newest: int
    #: How many edits were written after the snapshot was taken and before the answer was there.
    edits: int
    seconds: float
    answer: Summary
    #: What the same question gives at the newest revision.
    after: Summary


# spec: demo.threads
def answer_while_typing(db: incr.Database, path: str, threads: int) -> Request:
    """Have threads answer for the revision of an edit of *path*, while this one goes on editing and reading it."""
    text = db[Source, path].text
    typed = 0

    def type_on() -> None:
        nonlocal text, typed
        typed += 1
        text += f"\ndef typed_{typed}():\n    return {typed}\n"
        db.set(Source(path, text=text))

    type_on()  # what the request is about
    paths = list(db.keys(Source))
    with db.snapshot() as view, _pool(threads) as pool:
        began = time.perf_counter()
        type_on()  # before anybody has asked: the answer cannot be the newest one
        shares = [pool.submit(_reports, view, paths[first::threads]) for first in range(threads)]
        while typed < _TYPED and not all(share.done() for share in shares):
            report(db, path)  # an editor wants to show the problems of what is there now
            type_on()
        for share in shares:
            share.result()
        answer = summary(view)
        seconds = time.perf_counter() - began
        revision, newest = view.revision, db.revision
    return Request(path, threads, revision, newest, typed - 1, seconds, answer, summary(db))


def _reports(view: incr.View, paths: Sequence[str]) -> None:
    for path in paths:
        report(view, path)


@contextmanager
def _pool(threads: int) -> Generator[ThreadPoolExecutor, None, None]:
    """Worker threads; if the block is left by an error, what has not begun is not begun."""
    from concurrent.futures import ThreadPoolExecutor  # and with it logging, which one thread does not need

    pool = ThreadPoolExecutor(threads, thread_name_prefix="incr demo")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
