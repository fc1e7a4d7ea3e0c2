"""A store in an encrypted directory: crashes, damage and wrong keys come to what they come to in a plain one."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

import pytest

from file_store_workloads import Moment, Run, delta, everything, expected, open_store, workloads
from incr import CorruptError, StoreError
from incr.store import Directory, EncryptedDirectory, FileDirectory
from incr.store.file_store import FileStore
from incr.store.layout import ENCRYPTED_MAGIC
from incr.store.opening import OnCorrupt
from incr.testing import FakeDirectory

DEEP = os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep"
KEY = bytes(range(32))
_SEEDS = count(1)


def encrypted(disk: FakeDirectory) -> Directory:
    """Other random bytes each time; but what begins with an empty disk begins with the same ones."""
    seed = next(_SEEDS) if disk.files() else 0
    return EncryptedDirectory(disk, KEY, random=Random(seed).randbytes)


class EncryptedRun(Run):
    """A workload on a fake disk behind an encrypted directory."""

    def opened(self) -> FileStore:
        if not self.moments[1:]:
            self.place = encrypted(self.disk)
        return open_store(self.place)  # type: ignore[arg-type]  # any directory will do


def encrypted_run(*steps: str) -> EncryptedRun:
    run = EncryptedRun()
    for step in steps:
        run.do(step)
    return run


def recovered(state: dict[str, bytes], on_corrupt: OnCorrupt = "error") -> int:
    """The revision of a store in this state, which has all up to it, and goes on."""
    disk = FakeDirectory(state)
    with open_store(encrypted(disk), on_corrupt) as store:  # type: ignore[arg-type]  # any directory will do
        last = store.head().revision
        assert everything(store) == expected(last), "a state that nobody had"
        store.append(delta(last + 1))
    with open_store(encrypted(FakeDirectory(disk.files()))) as store:  # type: ignore[arg-type]
        assert everything(store) == expected(last + 1)
    return last


def crash_everywhere(run: Run, known: dict[tuple[tuple[str, bytes], ...], int]) -> int:
    states = 0
    for calls in range(run.disk.calls + 1):
        before: Moment = [moment for moment in run.moments if moment.calls <= calls][-1]
        for state in run.disk.crash_states(calls, samples=4 if DEEP else 0):
            states += 1
            key = tuple(sorted(("tmp" if name.startswith("tmp-") else name, data) for name, data in state.items()))
            if key not in known:
                known[key] = recovered(state)
            assert before.acknowledged <= known[key] <= before.attempted, "an acknowledged delta is lost"
    return states


@pytest.mark.spec("crypto.crash", "crypto.name", "store.checkpoint", "store.open")
def test_every_crash_of_short_workloads() -> None:
    states = 0
    known: dict[tuple[tuple[str, bytes], ...], int] = {}
    few = [("synced", "checkpoint", "unsynced"), ("unsynced", "reopen", "rotate")]
    for steps in workloads(3) if DEEP else few:
        run = encrypted_run(*steps)
        run.close()
        states += crash_everywhere(run, known)
    assert (states > 400, len(known) > 200) == (True, True)


def closed_store() -> dict[str, bytes]:
    run = encrypted_run("synced", "checkpoint", "synced", "checkpoint", "synced", "rotate", "unsynced")
    run.close()
    return {name: content for name, content in run.disk.files().items() if name != "LOCK"}


@pytest.mark.spec("crypto.damage", "crypto.bound")
@pytest.mark.parametrize("on_corrupt", ["error", "quarantine"])
def test_damage_is_an_error_or_a_state_that_was(on_corrupt: OnCorrupt) -> None:
    files = closed_store()
    whole = recovered(files)
    outcomes: dict[str, int] = {}
    for name, content in files.items():
        for place in range(0, len(content), 1 if DEEP else 41):
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            try:
                last = recovered({**files, name: bytes(damaged)}, on_corrupt)
            except CorruptError:
                outcome = "error"
            except StoreError:
                outcome = f"no {name}"
            else:
                # A damaged base can be done without: an older one, and the log, have all that it has.
                assert last == whole or on_corrupt == "quarantine"
                outcome = "whole" if last == whole else "before"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert set(outcomes) - {"no FORMAT"} == {"error", "whole" if on_corrupt == "error" else "before"} | {"whole"}


@pytest.mark.spec("crypto.name")
def test_files_that_were_swapped() -> None:
    files = closed_store()
    whole = recovered(files)
    bases = sorted(name for name in files if name.startswith("base-"))
    segments = sorted(name for name in files if name.startswith("log-"))
    assert (len(bases), len(segments) > 2) == (2, True)
    for one, other in [bases, segments[:2], segments[-2:], [bases[0], segments[0]]]:
        # Some of what is not needed any more can be missed; nothing is taken for what it is not.
        with suppress(CorruptError):
            assert recovered({**files, one: files[other], other: files[one]}) == whole
    with pytest.raises(CorruptError):
        recovered({**files, segments[-1]: files[segments[-2]], segments[-2]: files[segments[-1]]})
    assert recovered({**files, bases[1]: files[bases[0]]}) == whole


@pytest.mark.spec("crypto.key", "store.format")
def test_a_wrong_key_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with FileStore.open(EncryptedDirectory(FileDirectory(path), KEY)) as store:
        store.append(delta(1))
        store.checkpoint()
        store.append(delta(2))
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    choices: list[OnCorrupt] = ["error", "ignore", "quarantine", "delete"]
    for on_corrupt in choices:
        for place, said in [
            (EncryptedDirectory(FileDirectory(path), bytes(32)), "is encrypted with another key"),
            (FileDirectory(path), "is encrypted; open it with the key"),
        ]:
            with pytest.raises(StoreError, match=said) as caught:
                FileStore.open(place, on_corrupt=on_corrupt)
            assert type(caught.value) is StoreError
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


@pytest.mark.spec("crypto.backup", "store.backup")
def test_a_copy_of_an_encrypted_store_is_encrypted(tmp_path: Path) -> None:
    with FileStore.open(EncryptedDirectory(FileDirectory(tmp_path / "store"), KEY)) as store:
        store.append(delta(1))
        store.append(delta(2))
        state = everything(store)
        store.backup(tmp_path / "copy")
        with pytest.raises(StoreError, match="is a store already"):
            store.backup(tmp_path / "copy")
        # A directory object is taken as it is.
        store.backup(FileDirectory(tmp_path / "plain"))
    for file in (tmp_path / "copy").iterdir():
        assert file.name == "LOCK" or file.read_bytes().startswith(ENCRYPTED_MAGIC)
    with pytest.raises(StoreError, match="is encrypted; open it with the key"):
        FileStore.open(tmp_path / "copy")
    with FileStore.open(EncryptedDirectory(FileDirectory(tmp_path / "copy"), KEY)) as copy:
        assert everything(copy) == state
    with FileStore.open(tmp_path / "plain") as plain:
        assert everything(plain) == state
