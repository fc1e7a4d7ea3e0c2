"""Each sync, order, check and cap of the log, left out once: some test sees it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from incr import CorruptError, IncrError
from incr.store import Flush, Log, MemoryDirectory
from incr.store.appender import Appender
from incr.store.lock import Lock
from incr.store.repair import recover
from incr.store.writer import QUEUE_BYTES, Ticket, Writer
from incr.testing import FakeDirectory
from log_workloads import Run, crash_everywhere, open_log
from mutants import Mutant, function_of, mutated, run


def crashes(*steps: str) -> None:
    run = Run()
    for step in steps:
        run.do(step)
    run.close()
    crash_everywhere(run, {})


def a_torn_segment_before_one_that_was_never_begun() -> None:
    run = Run()
    run.do("rotate")
    files = run.disk.files()
    run.close()
    first, second = sorted(name for name in files if name != "LOCK")
    with pytest.raises(CorruptError), open_log(FakeDirectory({first: files[first][:-1], second: b""})):
        pass


def a_lock_ends_also_where_the_file_stays_open(path: Path) -> None:
    log = Log(path, encode=bytes, decode=bytes)
    descriptor = os.dup(log._writer._lock._file._descriptor)  # as a child has it that was forked by other means
    log.close()
    try:
        Log(path, encode=bytes, decode=bytes).close()
    finally:
        os.close(descriptor)


def the_queue_is_bounded() -> None:
    disk = MemoryDirectory()
    writer = Writer(Appender(disk, recover(disk, 0)), Lock(disk), Flush.by_hand())
    writer._queue.append(Ticket([bytes(QUEUE_BYTES)]))
    writer._queued_bytes = QUEUE_BYTES
    with writer._changed:
        writer._enqueue(Ticket([b"."]))
    assert len(writer._queue) == 1
    writer.close()


def a_torn_tail_goes() -> None:
    disk = FakeDirectory()
    with open_log(disk) as log:
        log.append(b"a")
        log.append(bytes(range(200)))
        files = disk.files()
    disk = FakeDirectory({name: content[:-1] if len(content) > 200 else content for name, content in files.items()})
    with open_log(disk) as log:
        assert log.cut is not None
        log.append(b"b")
    with open_log(disk) as log:
        assert log.cut is None


def names_stay_here() -> None:
    with pytest.raises(ValueError, match="plain file name"):
        MemoryDirectory().create("../x")


MUTANTS = [
    Mutant(
        "rotation does not sync the old segment",
        "appender",
        "self._cut_room()\n            self.sync()",
        "self._cut_room()\n            self.synced_through = self._at.next_id - 1",
        "crashes:unsynced rotate synced",
    ),
    Mutant(
        "a new segment's header is not synced",
        "appender",
        'self._or_break(file.sync, "synced")',
        "pass",
        "crashes:unsynced rotate",
    ),
    Mutant(
        "a new segment's name is not synced",
        "appender",
        'self._or_break(file.sync, "synced")\n        self._or_break(self._directory.sync, "synced")',
        'self._or_break(file.sync, "synced")',
        "crashes:synced",
    ),
    Mutant(
        "an append is not synced",
        "appender",
        'self._or_break(self._file.sync_data, "synced")',
        "pass",
        "crashes:synced synced",
    ),
    Mutant(
        "frames do not say what was synced",
        "appender",
        "entries, next_id, self.synced_through))",
        "entries, next_id, 0))",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "what a failed write left is not taken back",
        "appender",
        "file.truncate(offset)\n        except",
        "pass\n        except",
        "log:a_full_disk_fails_one_append_alone",
    ),
    Mutant(
        "a failed sync is forgotten",
        "appender",
        "self._why_broken = StoreBrokenError(",
        "return StoreBrokenError(",
        "log:after_a_failed_sync_nothing_is_promised_any_more",
    ),
    Mutant(
        "the end is marked before it is synced",
        "appender",
        "                self.sync()\n                self._cut_room()\n                self._put",
        "                self._cut_room()\n                self._put",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "the end is not marked", "appender", 'self._put(SEAL, b"", 0)', "pass", "damage:every_flipped_bit_is_found(0)"
    ),
    Mutant(
        "the mark of the end is not synced",
        "appender",
        'self._sealed = True\n                self._or_break(self._file.sync, "synced")',
        "self._sealed = True",
        "edges:a_closed_log_is_on_the_disk_as_it_is",
    ),
    Mutant(
        "prune takes the newest segment",
        "appender",
        "while len(self._parts) > 1 and self._parts[1].header.first_id - 1 <= through:",
        "while self._parts:",
        "log:old_entries_go_in_whole_files",
    ),
    Mutant(
        "prune takes one too many",
        "appender",
        "header.first_id - 1 <= through",
        "header.first_id - 2 <= through",
        "log:old_entries_go_in_whole_files",
    ),
    Mutant(
        "prune does not sync names",
        "appender",
        'self._or_break(self._directory.sync, "synced")\n            removed += 1',
        "removed += 1",
        "crashes:rotate rotate prune",
    ),
    Mutant(
        "anything is written, however long",
        "appender",
        "len(payload) > LONGEST_PAYLOAD",
        "False",
        "log:what_is_too_long_to_be_read_is_not_written",
    ),
    Mutant(
        "covered ids are given again",
        "appender",
        "if self._at.next_id <= covered:",
        "if False:",
        "covered:ids_that_are_covered_are_not_given_again(3)",
    ),
    Mutant(
        "going back keeps the epoch",
        "appender",
        "newest.epoch + found.rolled_back",
        "newest.epoch",
        "edges:going_back_makes_a_new_epoch_and_no_room_is_no_reason_not_to",
    ),
    Mutant(
        "segments have no salt",
        "appender",
        "self._random(SALT_BYTES)",
        "bytes(SALT_BYTES)",
        "edges:what_an_older_file_has_left_on_the_disk_says_nothing",
    ),
    Mutant(
        "links are not looked at",
        "scan",
        "if computed != new_link:",
        "if False:",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "what is behind is not looked at",
        "scan",
        "self._look_behind()\n",
        "pass\n",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "a torn tail is damage", "scan", "return self.at.next_id > self.horizon", "return False", "crashes:unsynced"
    ),
    Mutant(
        "damage is a torn tail",
        "scan",
        "return self.at.next_id > self.horizon",
        "return True",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "ids are not looked at",
        "scan",
        "if header.first_id != next_id:",
        "if False:",
        "edges:frames_that_check_and_make_no_sense",
    ),
    Mutant(
        "kinds are not looked at",
        "scan",
        "or header.kind not in (ENTRIES, SEAL) or",
        "or",
        "edges:frames_that_check_and_make_no_sense",
    ),
    Mutant(
        "room in advance is damage",
        "scan",
        "or not blank(self._data[self.at.offset :])",
        "or True",
        "edges:room_is_made_in_advance_and_given_back",
    ),
    Mutant(
        "what is covered has to be whole",
        "scan",
        "if self._skip():",
        "if False:",
        "covered:damage_below_what_is_covered_does_not_matter",
    ),
    Mutant(
        "more is skipped than is covered",
        "scan",
        "header.first_id > self._covered + 1",
        "False",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "a length is trusted unseen",
        "segment",
        "or self._header_digest(offset, fixed) != digest",
        "",
        "edges:entries_may_look_like_frames",
    ),
    Mutant(
        "links are of one frame only",
        "segment",
        "self._header.salt + before + packed_header",
        "self._header.salt + packed_header",
        "edges:a_frame_behind_another_one_than_when_it_was_written",
    ),
    Mutant(
        "a frame's header has no salt",
        "segment",
        "self._header.salt + _PLACE.pack(self._header.number, offset)",
        "_PLACE.pack(self._header.number, offset)",
        "edges:what_an_older_file_has_left_on_the_disk_says_nothing",
    ),
    Mutant(
        "a segment's header is not looked at",
        "segment",
        'if checksum.digest(b"", data[:end]) != digest:',
        "if False:",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "a segment may have any name",
        "segment",
        "if found != number:",
        "if False:",
        "edges:opening_alone_finds_files_that_are_missing_or_renamed",
    ),
    Mutant(
        "later features are ignored",
        "segment",
        "if flags:",
        "if False:",
        "edges:features_of_a_later_release_are_no_damage",
    ),
    Mutant(
        "the number of entries is not looked at",
        "segment",
        "at == len(payload) and len(entries) == count",
        "at == len(payload)",
        "edges:frames_that_check_and_make_no_sense",
    ),
    Mutant(
        "entries may reach beyond their frame",
        "segment",
        "at == len(payload) and len(entries) == count",
        "len(entries) == count",
        "edges:frames_that_check_and_make_no_sense",
    ),
    Mutant(
        "segments need not go on where others end",
        "segments",
        "and first_id > covered + 1:",
        "and False:",
        "damage:every_cut_gives_a_prefix_or_an_error",
    ),
    Mutant(
        "a segment may be missing",
        "segments",
        "part.number == before.number + 1",
        "True",
        "edges:opening_alone_finds_files_that_are_missing_or_renamed",
    ),
    Mutant(
        "segments of any log will do",
        "segments",
        "one.store_id != other.store_id or",
        "",
        "edges:segments_of_another_log",
    ),
    Mutant(
        "segments of any epoch will do",
        "segments",
        "or other.epoch < one.epoch",
        "",
        "edges:going_back_makes_a_new_epoch_and_no_room_is_no_reason_not_to",
    ),
    Mutant(
        "a segment with entries may be taken for one that was never begun",
        "segments",
        "and _never_written_to(directory, number)",
        "",
        "damage:every_flipped_bit_is_found(0)",
    ),
    Mutant(
        "ids begin again when the only segment is damaged",
        "segments",
        "(parts or number == 1)",
        "True",
        "edges:a_segment_that_was_never_begun('torn', b'')",
    ),
    Mutant(
        "what was found is not synced",
        "repair",
        "                file.sync()\n        finally:\n            file.close()\n    _sync(directory)",
        "                pass\n        finally:\n            file.close()\n    _sync(directory)",
        "crash:a_crash_in_every_call_of_a_process",
    ),
    Mutant(
        "names that were found are not synced",
        "repair",
        "            file.close()\n    _sync(directory)",
        "            file.close()",
        "crash:a_crash_in_every_call_of_a_process",
    ),
    Mutant("a torn tail stays", "repair", "if file.size() > offset:", "if False:", "here:a_torn_tail_goes"),
    Mutant(
        "what is cut off is not kept",
        "repair",
        "if not content:\n        return ()",
        "return ()",
        "log:a_torn_tail_and_damage",
    ),
    Mutant(
        "everything that is cut off is kept", "repair", "[:-_KEPT_ASIDE]", "[:0]", "edges:what_is_kept_aside_is_bounded"
    ),
    Mutant(
        "going back begins with the oldest",
        "repair",
        "for number in reversed([number",
        "for number in list([number",
        "crash:a_crash_while_a_log_is_opened('rollback')",
    ),
    Mutant(
        "the segment before one that was never begun may be torn",
        "repair",
        "if unborn is not None or not tail.torn():",
        "if not tail.torn():",
        "here:a_torn_segment_before_one_that_was_never_begun",
    ),
    Mutant(
        "the lock is not taken",
        "lock",
        "taken = self._file.lock()",
        "taken = True",
        "log:a_second_writer_is_told_who_the_first_one_is(PATH)",
    ),
    Mutant(
        "the lock is not let go of",
        "lock",
        "self._file.unlock()",
        "pass",
        "here:a_lock_ends_also_where_the_file_stays_open(PATH)",
    ),
    Mutant(
        "a forked child goes on",
        "lock",
        "if os.getpid() != self._process:",
        "if False:",
        "log:a_forked_child_does_not_have_the_log(PATH)",
    ),
    Mutant(
        "a forked child keeps the lock",
        "lock",
        "lock.forget()",
        "pass",
        "edges:a_forked_child_does_not_keep_the_lock(PATH)",
    ),
    Mutant(
        "appends are acknowledged unsynced",
        "writer",
        "if want_sync or self._is_due():",
        "if want_sync:",
        "log:what_is_appended_is_there_again(PATH)",
    ),
    Mutant(
        "flush does not sync",
        "writer",
        "or self._busy or (self.synced_through < through and not self._appender.is_broken):",
        "or self._busy:",
        "log:when_entries_are_brought_to_the_disk",
    ),
    Mutant(
        "the queue has no bound",
        "writer",
        "self._queued_bytes + ticket.size > QUEUE_BYTES",
        "False",
        "here:the_queue_is_bounded",
    ),
    Mutant("names may lead elsewhere", "directory", "set(name) & {", "set() & {", "here:names_stay_here"),
    Mutant(
        "a batch is many frames",
        "log",
        "return self._writer.commit(encoded) if encoded",
        "return [self._writer.commit([one]) for one in encoded][-1] if encoded",
        "crashes:batch",
    ),
]

FILES = {
    "log": "test_log",
    "damage": "test_damage_to_a_log",
    "edges": "test_log_edges",
    "covered": "test_covered_entries",
    "crash": "test_crashes_of_a_log",
}


def look(mutant: Mutant, path: Path) -> None:
    """Run what is to see the mutant."""
    path.mkdir()
    kind, _, what = mutant.seen_by.partition(":")
    if kind == "crashes":
        crashes(*what.split())
        return
    name, _, arguments = what.partition("(")
    if kind == "here":
        function: Callable[..., None] = globals()[name]
    else:
        function = function_of(Path(__file__).with_name(f"{FILES[kind]}.py"), name)
    run(function, *(eval(f"({arguments[:-1]},)", {"PATH": path}) if arguments else ()))


@pytest.mark.spec("log.synced", "log.rotate", "log.seal", "log.prune", "log.verdict", "log.recover", "log.chain")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_step_that_is_left_out_is_missed(mutant: Mutant, tmp_path: Path) -> None:
    if not mutant.seen_by.startswith("crash:"):  # long ones, which run by themselves anyway
        look(mutant, tmp_path / "whole")
    with mutated(mutant) as count:
        assert count == 1
        with pytest.raises((AssertionError, IncrError, pytest.fail.Exception)):
            look(mutant, tmp_path / "mutant")
