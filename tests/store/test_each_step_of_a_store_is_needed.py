"""Each sync, order and check of a store in a directory, left out once: some test sees it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

import file_store_workloads
from file_store_workloads import Moment, Run, crash_everywhere, delta, open_store, recovered
from incr import IncrError, StoreBrokenError
from incr.testing import Crashed, FakeDirectory
from mutants import Mutant, function_of, mutated, run


def crashes(*steps: str) -> None:
    run = Run()
    for step in steps:
        run.do(step)
    run.close()
    crash_everywhere(run, {})


def one_base_is_enough() -> None:
    run = Run(keep_bases=1)
    for step in ("synced", "checkpoint", "synced", "checkpoint"):
        run.do(step)
    run.close()
    crash_everywhere(run, {})


def a_process_that_is_killed_while_it_makes_a_store() -> None:
    for call in range(14, 17):
        disk = FakeDirectory()
        disk.crash_at(call)
        with pytest.raises(Crashed):
            Run(disk).do("synced")
        disk.restart()
        begin = disk.calls
        again = Run(disk, Moment(0, 0, 1))
        again.attempted = again.store.head().revision
        again.do("synced")
        again.close()
        crash_everywhere(again, {}, begin)


def a_segment_whose_header_was_not_synced() -> None:
    run = Run()
    run.do("synced")
    run.do("rotate")
    calls: tuple[Literal["sync", "sync_names"], ...] = ("sync", "sync_names")
    for call in calls:
        assert run.store._pipeline is not None
        run.do("rotate")
        run.attempted += 1
        run.note()
        run.disk.fail(call)
        run.store._pipeline.writer._appender.let_go()  # the next entry begins a segment
        with pytest.raises(StoreBrokenError):
            run.store.append(delta(run.attempted))
        run.store.heal()
        run.store.append(delta(run.attempted))
        run.store.sync()
        run.acknowledge(run.attempted)
    run.close()
    crash_everywhere(run, {})


MUTANTS = [
    Mutant(
        "what says that it is a store is not synced",
        "home",
        "            file.sync()\n        finally:\n            file.close()\n        directory.rename",
        "            pass\n        finally:\n            file.close()\n        directory.rename",
        "crashes:synced",
    ),
    Mutant(
        "the name of what says that it is a store is not synced",
        "home",
        "directory.rename(_NEW_FORMAT, FORMAT_NAME)\n        directory.sync()",
        "directory.rename(_NEW_FORMAT, FORMAT_NAME)",
        "crashes:synced",
    ),
    Mutant(
        "names that were found are not synced",
        "place",
        "                directory.sync()",
        "                pass",
        "here:a_process_that_is_killed_while_it_makes_a_store",
    ),
    Mutant(
        "anything is a store", "home", "if not others:", "if True:", "store:what_is_no_store_is_left_as_it_is(PATH)"
    ),
    Mutant(
        "other formats are read",
        "home",
        "if int(said[1]) != STORE_FORMAT:",
        "if False:",
        "store:what_is_no_store_is_left_as_it_is(PATH)",
    ),
    Mutant(
        "the owner is not looked at",
        "place",
        "check_owner(path, trust)",
        "pass",
        "store:what_is_no_store_is_left_as_it_is(PATH)",
    ),
    Mutant(
        "a base is not synced",
        "paged_write",
        "            file.sync()",
        "            pass",
        "crashes:synced checkpoint synced",
    ),
    Mutant(
        "a base's name is not synced",
        "paged_write",
        '    with explained(path, "written"):\n        directory.sync()',
        "",
        "here:one_base_is_enough",
    ),
    Mutant(
        "a base gets its name at once",
        "paged_write",
        'temporary = f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}.incr"',
        "temporary = name",
        "crashes:synced checkpoint",
    ),
    Mutant(
        "the log is pruned up to the newest base",
        "file_store",
        "through = self._bases[-1].covers",
        "through = self._bases[0].covers",
        "damage:files_that_are_missing_swapped_doubled_or_renamed",
    ),
    Mutant(
        "the log is pruned before there are two bases",
        "file_store",
        "if len(self._bases) == keep:",
        "if True:",
        "store:a_checkpoint_makes_the_log_short",
    ),
    Mutant(
        "the log does not begin a segment",
        "file_store",
        "pipeline.writer.alone(Appender.rotate)",
        "pass",
        "store:a_checkpoint_makes_the_log_short",
    ),
    Mutant(
        "what was never finished stays",
        "home",
        "name.startswith(TEMPORARY)\n",
        "False\n",
        "store:a_checkpoint_makes_the_log_short",
    ),
    Mutant(
        "no older base is fallen back to",
        "opening",
        "damaged.append(_Damaged(base_name(number), error))",
        "raise",
        "damage:what_becomes_of_damaged_files('error')",
    ),
    Mutant(
        "a base of any store will do",
        "opening",
        "if identity not in (None, base.header.store_id):",
        "if False:",
        "damage:files_of_two_stores",
    ),
    Mutant(
        "a base may have any name",
        "opening",
        "if base.header.generation != number:",
        "if False:",
        "damage:files_that_are_missing_swapped_doubled_or_renamed",
    ),
    Mutant(
        "a gap behind the base is not looked at",
        "opening",
        "if parts and parts[0].header.first_id > covered + 1:",
        "if False:",
        "damage:files_that_are_missing_swapped_doubled_or_renamed",
    ),
    Mutant(
        "what the base has has to be whole in the log",
        "segments",
        "if is_covered(directory, numbers, number, covered):",
        "if False:",
        "damage:every_cut",
    ),
    Mutant(
        "damage to the log takes the store back without being asked to",
        "opening",
        'if on_corrupt == "error":\n            raise _explained(damaged, error) from error\n        opening = _state',
        "opening = _state",
        "damage:what_becomes_of_damaged_files('error')",
    ),
    Mutant(
        "a number is given again that a damaged base had",
        "opening",
        "newest=newest)",
        "newest=0)",
        "damage:what_becomes_of_damaged_files('quarantine')",
    ),
    Mutant(
        "what is damaged is not kept",
        "home",
        "directory.rename(name, aside)",
        "directory.unlink(name)",
        "damage:what_becomes_of_damaged_files('quarantine')",
    ),
    Mutant(
        "everything that is damaged is kept",
        "home",
        "[: max(0, len(kept) - _KEPT_ASIDE)]",
        "[:0]",
        "damage:what_is_kept_is_bounded",
    ),
    Mutant(
        "what could not be written stays",
        "pipeline",
        "self._current.take_back(self._pending.pop().step)",
        "self._pending.pop()",
        "store:what_could_not_be_written_is_taken_back_with_all_behind_it",
    ),
    Mutant(
        "somebody is told before it is taken back",
        "pipeline",
        "        if ticket.error is not None:\n            self.take_back()",
        "",
        "store:what_could_not_be_written_is_taken_back_with_all_behind_it",
    ),
    Mutant(
        "what is behind is written",
        "writer",
        "self._stopped = self._stopped or error",
        "pass",
        "store:what_could_not_be_written_is_taken_back_with_all_behind_it",
    ),
    Mutant(
        "nobody waits until all were told",
        "writer",
        "while not waiting.isdisjoint(self._untold):",
        "while False:",
        "store:somebody_is_told_before_a_sync_is_over",
    ),
    Mutant(
        "a removed row stays removed",
        "undo",
        "overlay.removed.discard(number)",
        "pass",
        "undo:what_was_applied_is_undone",
    ),
    Mutant("stamps stay", "undo", "overlay.stamps.pop(number, None)", "pass", "undo:what_was_applied_is_undone"),
    Mutant(
        "what came meanwhile is forgotten",
        "current",
        "frozen.apply(step.delta)",
        "pass",
        "store:a_checkpoint_that_fails_leaves_everything_as_it_was",
    ),
    Mutant(
        "answers are of two moments",
        "current",
        "            if version == self._version and not version & 1:\n                return answer",
        "            return answer",
        "store:an_answer_is_of_one_moment",
    ),
    Mutant(
        "a failed base stays",
        "publish",
        "directory.unlink(name)",
        "pass",
        "store:a_base_whose_name_could_not_be_synced",
    ),
    Mutant(
        "a long delta stays though it was not written",
        "file_store",
        "                    self._current.take_back(step)",
        "                    pass",
        "store:a_delta_that_is_too_long_for_the_log_goes_into_a_base",
    ),
    Mutant(
        "the log does not say that it goes on behind a base",
        "file_store",
        "            appender.begin()",
        "            pass",
        "store:a_delta_that_is_too_long_for_the_log_goes_into_a_base",
    ),
    Mutant(
        "a segment of which nothing is known stays",
        "file_store",
        "remove(self._directory, segment_name(parts.pop().number))",
        "pass",
        "here:a_segment_whose_header_was_not_synced",
    ),
    Mutant(
        "numbers are given again that may be in the log",
        "file_store",
        "pipeline.writer.next_id, 1",
        "self._current.head.last, 1",
        "store:a_broken_store_is_read_and_healed",
    ),
    Mutant(
        "who reads looks once only",
        "opening",
        "range(_LOOKS)",
        "range(0)",
        "store:a_checkpoint_while_a_store_is_opened_for_reading",
    ),
    Mutant(
        "a backup is a store before it is whole",
        "publish",
        "        publish(directory, store_id, 1, frozen, compress, progress)\n        mark(directory)",
        "        mark(directory)\n        publish(directory, store_id, 1, frozen, compress, progress)",
        "store:a_backup_is_a_store_of_its_own(PATH)",
    ),
    Mutant(
        "a backup has the id of what it is from",
        "file_store",
        "copy_to(directory, self._options.random(16), frozen",
        "copy_to(directory, self._store_id, frozen",
        "store:a_backup_is_a_store_of_its_own(PATH)",
    ),
    Mutant(
        "a forked child goes on",
        "file_store",
        "        if os.getpid() != self._process:\n            raise",
        "        if False:\n            raise",
        "store:a_forked_child_does_not_have_the_store(PATH)",
    ),
    Mutant(
        "bytes behind a delta are ignored",
        "delta",
        "if reader.at != len(reader.data):",
        "if False:",
        "damage:every_damage_to_a_delta",
    ),
    Mutant(
        "later features of a delta are ignored",
        "delta",
        "if flags & ~_CLASSES:",
        "if False:",
        "damage:every_damage_to_a_delta",
    ),
]

FILES = {"store": "test_file_store", "damage": "test_damage_to_a_store", "undo": "test_taking_a_delta_back"}


def look(mutant: Mutant, path: Path) -> None:
    """Run what is to see the mutant."""
    file_store_workloads.reopened.clear()
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


@pytest.mark.spec("store.open", "store.checkpoint", "store.prune", "store.take-back", "store.format", "store.heal")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_step_that_is_left_out_is_missed(mutant: Mutant, tmp_path: Path) -> None:
    for name in ("whole", "mutant"):
        (tmp_path / name).mkdir()
    if mutant.seen_by.startswith("here:"):  # the others run by themselves anyway
        look(mutant, tmp_path / "whole")
    with mutated(mutant) as count:
        assert count == 1
        with pytest.raises((AssertionError, IncrError, pytest.fail.Exception)):
            look(mutant, tmp_path / "mutant")
    gc.collect()  # stores that a failed test has not closed say so here, where nobody minds


def test_a_state_that_is_whole_is_recovered() -> None:
    assert recovered({}) == 0
    with open_store(FakeDirectory()) as store:
        assert store.head().last == 0
