"""Why a call ran, or did not: the chain of dependencies down to the input that was written.

Law: explaining is looking. Nothing runs, nothing is verified, no stamp moves.

Keeps: explain.why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from incr._graph import Graph
from incr._node import EMPTY, NEVER, Node
from incr._revision import Revision

__all__ = ["Explanation", "Reason", "explain"]

_LONGEST = 50


@final
class Reason:
    """One step of an explanation: `what` (a call or slot as a reader would write it) and when it last `changed_at`."""

    __slots__ = ("changed_at", "what")
    __match_args__ = ("what", "changed_at")

    def __init__(self, what: str, changed_at: int) -> None:
        self.what = what
        self.changed_at = Revision(max(changed_at, 0))

    def __repr__(self) -> str:
        return f"Reason({self.what!r}, changed_at={int(self.changed_at)})"


@final
class Explanation:
    """What is known about one call. ``str()`` of it is meant for people.

    `decision` is "never asked", "executed" (its body ran last time), "verified" (proved good without running),
    "suspect" (something under it was written; the next read finds out), "loaded" (taken from a file as it was),
    "inherited" (taken over by a fork as it was) or "evicted" (good, but its value is not kept).
    """

    __slots__ = ("because", "call", "changed_at", "decision", "seconds", "verified_at")

    def __init__(
        self, call: str, decision: str, changed_at: int, verified_at: int, seconds: float, because: tuple[Reason, ...]
    ) -> None:
        self.call = call
        self.decision = decision
        #: The newest revision at which its outcome differed from the one before.
        self.changed_at = Revision(max(changed_at, 0))
        #: The newest revision at which it was looked at and found good.
        self.verified_at = Revision(max(verified_at, 0))
        #: What its last execution took, with the calls in it, in seconds.
        self.seconds = seconds
        #: From what it read itself, through what that read, to the input.
        self.because = because

    def __repr__(self) -> str:
        return f"<Explanation {self.call}: {self.decision}>"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.decision == "never asked":
            yield f"{self.call}: never asked for in this database"
            return
        took = f" in {self.seconds * 1000:.2f} ms" if self.decision == "executed" and self.seconds else ""
        yield (
            f"{self.call}: {self.decision} at revision {self.verified_at}{took}; value from revision {self.changed_at}"
        )
        verb = {"executed": "because of", "verified": "although something changed under"}.get(
            self.decision, "because of a write under"
        )
        for depth, reason in enumerate(self.because):
            yield f"{'  ' * (depth + 1)}{verb if not depth else 'from'} {reason.what} (changed at {reason.changed_at})"


# spec: explain.why
def explain(graph: Graph, node: Node | None, call: str) -> Explanation:
    """What happened to the call last, and why."""
    graph.current()
    if node is None or (node.valid_from == NEVER and node.value is EMPTY):
        return Explanation(call, "never asked", 0, 0, 0.0, ())
    if node in graph.folded:
        graph.unfold(node)
    return Explanation(call, _decision(graph, node), node.changed_at, node.valid_from, node.cost, tuple(_chain(node)))


def _decision(graph: Graph, node: Node) -> str:
    if node.suspects is not None:
        return "suspect"
    if node.value is EMPTY:
        return "evicted"
    if node.ran_at == node.valid_from:
        return "executed"
    if node.cause is not None:
        return "verified"
    return "loaded" if graph.kin is None or not graph.kin.is_fork else "inherited"


def _chain(node: Node) -> Iterator[Reason]:
    """Follow what made each one suspect, down to what was written."""
    seen = {node}
    cause = node.cause
    while cause is not None and cause not in seen and len(seen) <= _LONGEST:
        yield Reason(cause.label(), cause.changed_at)
        seen.add(cause)
        cause = cause.cause
