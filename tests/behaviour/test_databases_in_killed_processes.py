"""A process that is killed while it works on a database has kept its word, and what it leaves is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import incr
import kill_database


@pytest.mark.spec("commit.durable", "commit.atomic", "lazy.trust")
def test_a_database_whose_process_is_killed_again_and_again_is_right(tmp_path: Path) -> None:
    loops = 2000 if os.environ.get("INCR_HYPOTHESIS_PROFILE") == "deep" else 60
    seed = str(int.from_bytes(os.urandom(3)))
    print("seed", seed)
    command = [sys.executable, kill_database.__file__, str(tmp_path / "state"), str(loops), seed]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    assert int(said) > loops


@pytest.mark.spec("commit.durable")
def test_the_test_sees_what_it_looks_for(tmp_path: Path) -> None:
    path = str(tmp_path)
    with incr.open(path) as db:
        kill_database.write(db, 9)
        db.commit()
    assert kill_database.look(path) == 9
    with incr.open(path) as db:
        db.set(kill_database.Cell(3, 99))
        db.commit()
    with pytest.raises(AssertionError):
        kill_database.look(path)
