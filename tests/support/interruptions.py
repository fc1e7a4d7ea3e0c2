"""Interrupts that come between two lines of incr."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from functools import cache
from types import FrameType
from typing import Any

import incr

__all__ = ["Interruption"]

_HERE = os.path.dirname(incr.__file__) + os.sep


@cache
def _out_of_reach(path: str) -> set[int]:
    """Lines that no interrupt can precede: it comes when a function is entered, when a call into C returns, and when a
    loop goes round; never between the end of a body and the first line of what cleans up after it."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    lines = {one.finalbody[0].lineno for one in tries if one.finalbody}
    lines |= {statement.lineno for one in tries for handler in one.handlers for statement in handler.body[:1]}
    lines |= {handler.lineno for one in tries for handler in one.handlers}
    # A `try` within a cleanup, and what follows it at once.
    lines |= {one.body[0].lineno for one in tries if one.lineno in lines}
    # A `try` within a `try` is no instruction: what comes before it is guarded by the outer one, as what follows is.
    return lines | {one.lineno for outer in tries for one in outer.body if isinstance(one, ast.Try)}


@cache
def _with_lines(path: str) -> set[int]:
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return {node.lineno for node in ast.walk(tree) if isinstance(node, ast.With)}


class Interruption:
    """Raises `KeyboardInterrupt` at one line of incr, the *at*-th that is passed while it is switched on.

    Only lines of *package* count, if that is given. A line with `with` is passed twice, and the second time it comes
    between the end of the body and the exit, where no interrupt can: *with_lines* leaves them out.
    """

    def __init__(self, at: int, package: str = "", *, with_lines: bool = True) -> None:
        self.left = at
        self._begins = os.path.join(_HERE, package)
        self._with_lines = with_lines
        self.place = "nowhere"

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(self._begins) or frame.f_code.co_name == "__del__":
            return None  # the compiled wrappers call nothing between having a frame and guarding it
        lines = _out_of_reach(name)
        if not self._with_lines:
            lines = lines | _with_lines(name)
        if event == "line" and frame.f_lineno not in lines:
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                self.place = f"{name.removeprefix(_HERE)}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self

    def interrupts(self, work: Callable[[], object]) -> bool:
        """Whether the work was long enough to be interrupted."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return self.left <= 0
