"""What code a query is, as sixteen bytes: a stored memo is trusted only under the fingerprint that it was stored with.

Law: no answer may be trusted that this code would not give. When in doubt two fingerprints differ: that costs an
execution, never an answer. The same code gives the same fingerprint in each process, under each hash seed, on each
machine.

What the code names is a graph of functions and classes (`reach` finds it, `describe` says what one of them is,
`text` gives a function's normalised code). Each function's digest covers what it reaches; a group of them that name
each other is digested as one.

Keeps: fingerprint.code, fingerprint.reach.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from incr._fingerprint.describe import Writer, local_description
from incr._fingerprint.home import Home, home_of
from incr._fingerprint.merkle import Description, digest_all

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SEMANTICS", "fingerprint"]

#: Raised by each release in which an unchanged program may compute something else: stored memos then run again.
SEMANTICS: Final = 1

_known: Final[WeakKeyDictionary[Any, dict[tuple[Any, ...], bytes]]] = WeakKeyDictionary()
_digests: Final[dict[Home, WeakKeyDictionary[Any, bytes]]] = {}


# spec: fingerprint.code
def fingerprint(
    function: Callable[..., Any], *, version: int = 0, extra: tuple[type, ...] = (), options: tuple[Any, ...] = ()
) -> bytes:
    """The 16 bytes that say what *function* computes, with everything of its own package that it names.

    *extra* are classes that count besides those that the code and its annotations name, *options* values and
    functions that it was declared with. Without such, the answer is computed once for each function and process: code
    that is replaced later in a running program is not seen.
    """
    if options:
        return _compute(function, version, extra, options)
    known = _known.setdefault(function, {})
    found = known.get((version, extra))
    if found is None:
        found = known[version, extra] = _compute(function, version, extra, ())
    return found


def _compute(function: Any, version: int, extra: tuple[type, ...], options: tuple[Any, ...]) -> bytes:
    if "__incr__" in vars(function):
        function = function.__wrapped__
    home = home_of(function.__globals__)
    digests = _digests.setdefault(home, WeakKeyDictionary())
    writer = Writer(home)
    writer.write(("incr", SEMANTICS, sys.implementation.name, *sys.version_info[:2], version))
    writer.child(function)
    for kind in (*extra, *options):
        writer.write(kind)

    def describe(thing: Any) -> Description:
        return local_description(thing, home)

    for child in writer.children:
        digest_all(child, describe, digests)
    return writer.digest_with([digests[child] for child in writer.children])
