"""The product with one step left out, for as long as a test of that step runs.

A mutant is a switch here, not in the product: a piece of a module's source and what stands there instead. The functions
that come out differently get the other code.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest

__all__ = ["Mutant", "function_of", "mutated", "run"]


class Mutant(NamedTuple):
    """What is left out, where, and who sees it."""

    name: str
    module: str
    old: str
    new: str
    seen_by: str


def codes(code: CodeType) -> Iterator[CodeType]:
    """The code of each function, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes(constant)


def functions(owner: ModuleType | type) -> Iterator[FunctionType]:
    """The functions and methods that are written in a module."""
    for value in list(vars(owner).values()):
        found = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(found, FunctionType):
            yield inspect.unwrap(found)
        elif inspect.isclass(value) and isinstance(owner, ModuleType) and value.__module__ == owner.__name__:
            yield from functions(value)


@contextmanager
def mutated(mutant: Mutant) -> Iterator[int]:
    """The product with one piece of its source replaced; how many functions came out differently."""
    module = importlib.import_module(f"incr.store.{mutant.module}")
    source = inspect.getsource(module)
    assert source.count(mutant.old) == 1, f"{mutant.name}: the source has this {source.count(mutant.old)} times"
    # Not compared with the functions as they are: pytest writes other code for the assertions in them.
    plain, changed = (
        {code.co_qualname: code for code in codes(compile(text, "mutant", "exec"))}
        for text in (source, source.replace(mutant.old, mutant.new))
    )
    kept = [(function, function.__code__) for function in functions(module) if function.__module__ == module.__name__]
    count = 0
    for function, code in kept:
        before, other = plain[code.co_qualname], changed[code.co_qualname]
        if (other.co_code, other.co_names, constants(other)) != (before.co_code, before.co_names, constants(before)):
            function.__code__ = other
            count += 1
    try:
        yield count
    finally:
        for function, code in kept:
            function.__code__ = code


def constants(code: CodeType) -> str:
    """Its constants, without those that say where it is from."""
    return repr([constant for constant in code.co_consts if not isinstance(constant, CodeType)])


def function_of(file: Path, name: str) -> Callable[..., None]:
    """The function ``test_name`` of a file of tests."""
    spec = importlib.util.spec_from_file_location(f"seen_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., None] = getattr(module, f"test_{name}")
    return function


def run(function: Callable[..., None], *arguments: Any) -> None:
    """Call a test as pytest would; it may want a monkeypatch, too."""
    with pytest.MonkeyPatch.context() as patch:
        wanted = inspect.signature(function).parameters
        function(*arguments, **({"monkeypatch": patch} if "monkeypatch" in wanted else {}))
