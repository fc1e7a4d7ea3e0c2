"""Chains of calls that are deeper than a stack: when to leave the stack, and how a sync call does it.

Law: nobody's recursion limit is touched. A call that finds the stack half used goes on in a helper thread with an
empty one, which its caller waits for; so nothing runs at the same time that did not before.

Keeps: depth.sync.
"""

from __future__ import annotations

import _thread
import contextvars
import sys
from collections.abc import Callable
from typing import Any, Final

__all__ = ["DEPTH_STEP", "in_fresh_thread", "stack_is_deep"]

#: How many nested calls there are between two looks at the stack.
DEPTH_STEP: Final = 16

#: The part of the recursion limit that is left to what bodies call between two queries.
_USABLE: Final = 0.5


def stack_is_deep() -> bool:
    """Whether half of the recursion limit is used up."""
    try:
        sys._getframe(int(sys.getrecursionlimit() * _USABLE))
    except ValueError:
        return False
    return True


# spec: depth.sync
def in_fresh_thread(function: Callable[[], Any], hops: list[int]) -> Any:
    """Call *function* on an empty stack, with the caller's context variables; what it returns or raises comes back.

    *hops* are the helper threads of this chain of calls, the deepest last: an interrupt is passed on to that one.

    Raises:
        RecursionError: no more threads can be started.
    """
    context = contextvars.copy_context()
    result: list[Any] = []
    failure: list[BaseException] = []
    done = _thread.allocate_lock()
    done.acquire()

    def run() -> None:
        hops.append(_thread.get_ident())
        try:
            result.append(context.run(function))
        except BaseException as error:
            failure.append(error)
        finally:
            hops.pop()
            done.release()

    try:
        _thread.start_new_thread(run, ())
    except RuntimeError as error:
        raise RecursionError(f"the chain of calls is too deep: {error} after {len(hops)} of them") from None
    while True:
        try:
            done.acquire()
            break
        except BaseException as interrupt:
            _pass_on(type(interrupt), hops)
    if failure:
        raise failure.pop()
    return result.pop()


def _pass_on(kind: type[BaseException], hops: list[int]) -> None:
    """Raise an interrupt that reached the waiting thread in the one that works; its caller gets it from there."""
    import ctypes  # needed only here, 10 ms

    if hops:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(hops[-1]), ctypes.py_object(kind))
