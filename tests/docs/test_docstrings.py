"""The examples in docstrings give what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from project import modules

#: Modules that a program starts with, or that only pytest imports.
NAMES = [name for name in modules() if name.rpartition(".")[2] != "__main__"]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_module_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
