"""A store in a directory: the newest base, the log behind it, and in memory what the log has that the base does not.

Law: one delta is one entry of the log, with the same number. It is visible from `append` on, and taken back if it could
not be written, with all behind it. A checkpoint writes what the log has into a new base while deltas go on; whatever
fails on the way leaves what was there. How it works, and why it is right, is in docs/internals/store.md.

Keeps: store.append, store.durable, store.take-back, store.checkpoint, store.heal, store.close, store.fork,
store.read-only, store.backup.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import Final, Literal, final

from incr._errors import StoreBrokenError, StoreError
from incr.store.appender import Appender, Identity, Limits
from incr.store.closing import Closing
from incr.store.current import Current, Frozen
from incr.store.delta import pack_delta
from incr.store.directory import Directory
from incr.store.home import remove, sweep
from incr.store.lock import Lock
from incr.store.opening import Finding, OnCorrupt, Opening, open_to_read, open_to_write
from incr.store.options import FLUSH, Durability, Options, StoreLimits
from incr.store.pipeline import Pipeline
from incr.store.place import Place, directory_of, new_directory, require_store, take
from incr.store.publish import copy_to, kept_generations, publish
from incr.store.repair import Cut, Found
from incr.store.rows import Capabilities, Content, Delta, Head, Progress, Row, Told, require_newest, tell
from incr.store.segment import LONGEST_PAYLOAD, segment_name
from incr.store.segments import SegmentRange, list_segments, ranges
from incr.store.survey import Stat, Verified, verify_files, verify_rows
from incr.store.writer import Writer

__all__ = ["FileStore"]

#: What a checkpoint is always worth, in bytes of the log.
_WORTH_BYTES: Final = 1 << 20
_WRITING: Final = Capabilities(durable=True, lazy=True, checkpoints=True, readers=True, backup=True, checked=True)


@final
class FileStore(Closing):
    """A store in a directory of its own; see `FileStore.open`.

    `cut` tells of a torn tail that was cut off the log at opening, `findings` of damaged files that could be done
    without.
    """

    __slots__ = (
        "_bases",
        "_checkpointing",
        "_closed",
        "_current",
        "_directory",
        "_newest",
        "_options",
        "_pipeline",
        "_process",
        "_store_id",
        "cut",
        "findings",
    )

    #: What was cut off the log at opening; None if nothing was.
    cut: Cut | None
    #: Damaged files that were found at opening, and could be done without.
    findings: tuple[Finding, ...]

    @classmethod
    def open(
        cls,
        place: Place,
        *,
        mode: Literal["rw", "ro"] = "rw",
        durability: Durability = "commit",
        on_corrupt: OnCorrupt = "error",
        keep_bases: int = 2,
        compress: bool = False,
        thorough: bool = False,
        limits: StoreLimits | None = None,
        trust: Collection[str] = (),
        network: Collection[str] = (),
        random: Callable[[int], bytes] = os.urandom,
    ) -> FileStore:
        """Open the store in a directory, which is made if it is missing.

        *mode* "ro" only reads, beside whoever writes: the state of one moment, without a lock and without any repair.
        *durability* says when a delta counts as durable: "commit" once it is on the disk (deltas at the same time
        share one sync), "interval" once it is written, and on the disk within 50 milliseconds, "relaxed" once it is
        written, and on the disk with the next `sync`, `checkpoint` or `close`. *on_corrupt* says what to do about
        damage to what was acknowledged: "error", or to go back to the state before it, and either keep what is damaged
        ("quarantine", "ignore") or not ("delete"). *keep_bases* is how many generations can be fallen back to.
        *thorough* reads all of a base before it is relied on; otherwise damage in the middle of one is an error of the
        call that meets it. *trust* and *network* allow directories and file systems that are refused otherwise, by the
        names that the errors give.

        Raises:
            StoreLockedError: somebody else writes there.
            CorruptError: what was acknowledged is damaged.
            VersionError: it was written by another release.
            StoreError: it is something else, it is not to be trusted, or it cannot be read or written.
        """
        options = Options(mode, durability, on_corrupt, keep_bases, compress, thorough, limits or StoreLimits(), random)
        directory = directory_of(place, write=mode == "rw", trust=trust, network=network)
        options.check(directory.path_of(""))
        return cls(directory, options)

    def __init__(self, directory: Directory, options: Options) -> None:
        """See `open`."""
        self._closed = True
        self._pipeline: Pipeline | None = None
        self._directory = directory
        self._options = options
        self._process = os.getpid()
        #: Held by whoever writes a base; taken before the order of the pipeline.
        self._checkpointing = threading.Lock()
        if options.mode == "ro":
            self._accept(open_to_read(require_store(directory), options.on_corrupt, thorough=options.thorough))
        else:
            lock = take(directory)
            try:
                opening = open_to_write(directory, options.on_corrupt, options.random, thorough=options.thorough)
                self._accept(opening)
                self._pipeline = Pipeline(self._writer(opening, lock), self._current)
            except BaseException:
                lock.release()
                raise
        self._closed = False

    def _accept(self, opening: Opening) -> None:
        self._store_id = opening.store_id
        self._current = Current(self._directory.path_of(""), opening)
        self.findings = opening.findings
        self.cut = opening.found.cut if opening.found else None
        generation = self._current.generation
        #: Bases that are whole, the newest first, as far as they were looked at.
        self._bases = [generation] if generation else []
        #: The highest number that a base ever had.
        self._newest = opening.newest

    def _writer(self, opening: Opening, lock: Lock) -> Writer:
        found = opening.found
        assert found is not None
        appender = self._appender(found, opening.head.last, None if found.parts else Identity(self._store_id, 1))
        if opening.head.last:
            # That the log goes on behind what a base has is to be seen without that base, too.
            appender.begin()
        return Writer(appender, lock, FLUSH[self._options.durability], in_order=True)

    def _appender(self, found: Found, covered: int, identity: Identity | None) -> Appender:
        limits = Limits(self._options.limits.segment_bytes, self._options.limits.preallocate)
        return Appender(self._directory, found, covered, limits, self._options.random, identity)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return _WRITING if self._pipeline else _WRITING._replace(durable=False, checkpoints=False)

    @property
    def path(self) -> str:
        """The directory, as messages name it."""
        return self._directory.path_of("")

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be written before a `heal`."""
        return self._pipeline is not None and self._pipeline.writer.is_broken

    def head(self) -> Head:
        """The state with all deltas that were appended."""
        self._require_open()
        return self._current.head

    # --- reading --------------------------------------------------------------------------------------------------

    def find(self, section: int, key: bytes) -> int | None:
        """The number of a row."""
        self._require_open()
        return self._current.find(section, key)

    def row(self, number: int) -> Row:
        """A row without its content."""
        self._require_open()
        return self._current.row(number)

    def content(self, number: int) -> Content:
        """A row's content."""
        self._require_open()
        return self._current.content(number)

    def dependents(self, number: int) -> Sequence[int]:
        """The rows that have this one among their dependencies now, each once."""
        self._require_open()
        return self._current.dependents(number)

    def rows_of(self, section: int) -> Iterator[int]:
        """All rows of a section, ascending, as of now."""
        self._require_open()
        return self._current.rows_of(section)

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Have these rows at hand."""
        self._require_open()
        self._current.prefetch(numbers)

    # --- writing --------------------------------------------------------------------------------------------------

    # spec: store.append
    def append(self, delta: Delta, told: Told | None = None, *, later: bool = False, behind: int | None = None) -> int:
        """Take a delta; its number. See `incr.store.rows.Store.append`.

        A delta that is longer than `StoreLimits.entry_bytes` goes into a new base before this returns.

        Raises:
            StoreError: it could not be written, and was taken back.
            StoreBrokenError: it is not known whether it is on the disk; it was taken back, and `heal` goes on.
        """
        pipeline = self._require_writing()
        packed = pack_delta(delta)
        if len(packed) > min(self._options.limits.entry_bytes, LONGEST_PAYLOAD - 4):
            return self._append_to_base(pipeline, delta, told, behind)
        return pipeline.append(delta, packed, told, later=later, behind=behind)

    def finish(self, number: int) -> None:
        """Have the delta written, by this thread if no other one writes; what came of it is told."""
        if self._pipeline is not None:
            self._pipeline.finish(number)

    def wake(self) -> None:
        """Have everything written that was appended for later."""
        if self._pipeline is not None and os.getpid() == self._process:
            self._pipeline.writer.wake()

    def durable(self, number: int, timeout: float | None = None) -> bool:
        """Wait until the delta is on the disk, if that takes no more than *timeout* seconds; whether it is.

        Raises:
            StoreBrokenError: it will never be known.
        """
        return self._require_writing().writer.durable(number, timeout)

    def sync(self) -> int:
        """Make everything durable that was appended before, and have everybody told; the last number that is.

        Raises:
            StoreBrokenError: it is not known what is on the disk.
        """
        return self._require_writing().sync()

    # --- bases ----------------------------------------------------------------------------------------------------

    @property
    def log_bytes(self) -> int:
        """How many bytes of the log the newest base does not have."""
        return self._current.log_bytes

    @property
    def wants_checkpoint(self) -> bool:
        """Whether the log is so long that a new base is worth its cost: 1 MiB, and a quarter of the base."""
        base = self._current.generation
        return self._pipeline is not None and self.log_bytes > max(_WORTH_BYTES, base.size // 4 if base else 0)

    # spec: store.checkpoint
    def checkpoint(self, progress: Progress | None = None) -> None:
        """Write a new base with everything that was appended before, and remove what is not needed then.

        Deltas may be appended meanwhile. Nothing is written if the newest base has everything.

        Raises:
            StoreError: it could not be written; everything is as it was.
            CorruptError: what was to be copied is damaged; everything is as it was.
        """
        pipeline = self._require_writing()
        with self._checkpointing:
            with pipeline.order:
                pipeline.take_back()
                # So that the segments before it go once no base needs them.
                pipeline.writer.alone(Appender.rotate)
                base = self._current.generation
                if self._current.head.last == (base.covers if base else 0):
                    return
                frozen = self._current.freeze()
            self._publish(pipeline, frozen, progress)
            self._prune(pipeline)

    # spec: store.heal
    def heal(self, progress: Progress | None = None) -> None:
        """After a `StoreBrokenError`: write all that is not taken back to a new base, and go on with a new log.

        Nothing is done if the store is not broken.

        Raises:
            StoreError: it could not be written; the store is as broken as it was.
        """
        pipeline = self._require_writing()
        with self._checkpointing, pipeline.order:
            if pipeline.writer.is_broken:
                pipeline.take_back()
                # What was taken back may be in the old log nevertheless: its numbers are not given again.
                self._begin_anew(pipeline, pipeline.writer.next_id, 1, progress)

    def _append_to_base(self, pipeline: Pipeline, delta: Delta, told: Told | None, behind: int | None) -> int:
        """Take a delta that is too long for the log."""
        with self._checkpointing, pipeline.order:
            pipeline.take_back()
            pipeline.writer.flush()
            require_newest(self.path, self._current.head, behind)
            step = self._current.apply(delta, 0)
            number = step.head.last + 1
            newest = self._newest
            try:
                self._begin_anew(pipeline, number, 0, None)
            except BaseException:
                base = self._current.generation
                if base is None or base.number <= newest:
                    self._current.take_back(step)
                    raise
                # It is on the disk. What is not done yet for the next one is done with the next one.
            with suppress(StoreError):
                self._prune(pipeline)
        if told is not None:
            tell(told, None)
        return number

    def _begin_anew(self, pipeline: Pipeline, last: int, lost: int, progress: Progress | None) -> None:
        """Write everything into a base that ends with delta *last*, and let the log begin behind it."""
        frozen = self._current.freeze()
        self._publish(pipeline, frozen._replace(head=frozen.head._replace(last=last)), progress)
        pipeline.writer.replace(lambda old: self._behind(old, last, lost))

    def _behind(self, old: Appender, last: int, lost: int) -> Appender:
        """The end of a log that goes on behind a base."""
        parts = old.parts
        if lost and parts:
            # What is in it is not known. The base has what counts, and nothing is to be read of it any more.
            remove(self._directory, segment_name(parts.pop().number))
        identity = old.identity._replace(epoch=old.identity.epoch + lost)
        return self._appender(Found(parts, None, None, False), last, identity)

    def _publish(self, pipeline: Pipeline, frozen: Frozen, progress: Progress | None) -> None:
        self._newest += 1
        shared = None
        try:
            shared = publish(self._directory, self._store_id, self._newest, frozen, self._options.compress, progress)
        finally:
            with pipeline.order:
                if shared is None:
                    self._current.thaw()
                else:
                    self._current.switch(shared, frozen.head.last)
                    self._bases.insert(0, shared.generation)
        frozen.overlay.let_go()  # a reader that still looks at it looks again at what is there now

    # spec: store.prune
    def _prune(self, pipeline: Pipeline) -> None:
        keep = self._options.keep_bases
        self._bases = kept_generations(self._directory, self._bases, keep, self._store_id)
        if len(self._bases) == keep:
            through = self._bases[-1].covers
            pipeline.writer.alone(lambda appender: appender.prune(through))
        first = pipeline.writer.alone(lambda appender: min([part.number for part in appender.parts], default=0))
        sweep(self._directory, {base.number for base in self._bases}, first)

    # spec: store.backup
    def backup(self, place: Place, progress: Progress | None = None) -> None:
        """Write everything that was appended before to a new store in another directory, while this one goes on.

        The copy is a store of its own: files of the two do not go together. At a path it is encrypted as this one is.

        Raises:
            StoreError: something is in that directory, or it could not be written; nobody will take it for a store.
        """
        self._require_open()
        directory = new_directory(place, self._directory)
        order = self._pipeline.order if self._pipeline else nullcontext()
        with self._checkpointing:
            with order:
                if self._pipeline is not None:
                    self._pipeline.take_back()
                    self._pipeline.writer.flush()
                frozen = self._current.freeze()
            try:
                copy_to(directory, self._options.random(16), frozen, self._options.compress, progress)
            finally:
                with order:
                    self._current.thaw()

    # --- looking at it --------------------------------------------------------------------------------------------

    # spec: store.stat
    def stat(self) -> Stat:
        """What there is, as far as it is known without reading."""
        self._require_open()
        current, pipeline = self._current, self._pipeline
        return Stat(
            self.path,
            pipeline is not None and not pipeline.writer.is_broken,
            current.head.revision,
            current.head.last,
            pipeline.writer.synced_through if pipeline else current.head.last,
            tuple(self._bases),
            current.base_rows,
            current.changed_rows,
            current.log_bytes,
            self.cut.size if self.cut else 0,
            len(self.findings),
        )

    def segment_ranges(self) -> list[SegmentRange]:
        """What each file of the log holds."""
        self._require_open()
        if self._pipeline is not None:
            return self._pipeline.writer.alone(Appender.ranges)
        last = self._current.head.last
        return ranges(self._directory, list_segments(self._directory, last).parts, last)

    # spec: store.verify
    def verify(self, deep: bool = False, progress: Progress | None = None) -> Verified:
        """Read all files that count, and compare them with their checksums; *deep*: all rows with each other, too.

        Raises:
            CorruptError: something is damaged; the message says what.
            StoreError: something cannot be read.
        """
        self._require_open()
        with self._checkpointing:
            head = self._current.head
            parts, last = list_segments(self._directory, head.last).parts, head.last
            if self._pipeline is not None:
                parts, last = self._pipeline.writer.alone(lambda appender: (appender.parts, appender.next_id - 1))
            verified = verify_files(self._directory, self._store_id, parts, last, progress)
        if deep:
            verified = verified._replace(rows=verify_rows(self.path, head, self._current, progress))
        return verified

    # --- the end --------------------------------------------------------------------------------------------------

    # spec: store.close
    def close(self) -> None:
        """Make everything durable, mark the end, and let others write. Closing again does nothing.

        Raises:
            StoreError: something of that failed.
        """
        if os.getpid() == self._process:
            self._checkpointing.acquire()
        try:
            if self._closed:
                return
            self._closed = True
            if self._pipeline is not None:
                self._pipeline.writer.close()
        finally:
            self._current.let_go()
            if os.getpid() == self._process:
                self._checkpointing.release()

    def __del__(self) -> None:
        if self._pipeline is not None and not self._closed:
            warnings.warn(f"{self.path}: a store was not closed", ResourceWarning, stacklevel=2, source=self)

    # spec: store.fork
    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(self.path, "is closed; open it again")
        if os.getpid() != self._process:
            raise StoreBrokenError(self.path, "is held by the process that this one was forked from; open it here anew")

    def _require_writing(self) -> Pipeline:
        self._require_open()
        if self._pipeline is None:
            raise StoreError(self.path, "was opened for reading only; open it with mode='rw'")
        return self._pipeline
