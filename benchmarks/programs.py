"""What a peer hands to the measuring: callables over a prepared program, and nothing about time.

Law: no timing here and no measuring in a peer. Preparing (inputs, declarations) is done when the program is made;
`cold` is the first computation, including the making of nodes where a system has to be told them beforehand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Program:
    """A prepared program: `cold` computes it first, `ask` asks its root again, an edit changes one input."""

    cold: Callable[[], object]
    ask: Callable[[], object]
    edits: dict[str, Callable[[int], object]] = field(default_factory=dict)


@dataclass(frozen=True)
class AsyncProgram:
    """The same with an awaited root; edits are not awaited."""

    cold: Callable[[], Awaitable[object]]
    ask: Callable[[], Awaitable[object]]
    edits: dict[str, Callable[[int], object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Hit:
    """A statement whose execution is one memo hit, the names it uses, and how to run a function where it counts.

    `within` calls its argument inside a query body (or just calls it, for a hit from outside).
    """

    statement: str
    names: dict[str, object]
    within: Callable[[Callable[[], None]], object] = lambda run: run()


@dataclass(frozen=True)
class AsyncHit:
    """The same for an awaited hit."""

    statement: str
    names: dict[str, object]
    within: Callable[[Callable[[], Awaitable[None]]], Awaitable[object]]


@dataclass(frozen=True)
class Persistent:
    """`fill` computes all memos of a fresh program, `save` writes them; `load` gives a function that reads them all.

    `ran` says how many bodies have run so far in this process: a load that does not keep them shows.
    """

    fill: Callable[[], object]
    save: Callable[[str], object]
    load: Callable[[str], Callable[[], object]]
    ran: Callable[[], int]
