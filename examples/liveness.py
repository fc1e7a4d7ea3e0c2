"""Which variables does a program still need, and where? Equations over a program that loops, solved again after edits.

Run it with ``python examples/liveness.py``.
"""

from __future__ import annotations

import incr


@incr.input
class Block:
    """A few statements without a jump: what they read before they set it, what they set, and where they lead."""

    label: str = incr.key()
    reads: frozenset[str]
    sets: frozenset[str]
    next: tuple[str, ...]


@incr.query
def live_after(db: incr.View, label: str) -> frozenset[str]:
    """What is needed when the block is over."""
    return frozenset[str]().union(*(live(db, other) for other in db[Block, label].next))


@incr.query(cycle_initial=frozenset())
def live(db: incr.View, label: str) -> frozenset[str]:
    """What is needed when the block begins."""
    print(f"  looking at {label}")
    block = db[Block, label]
    return block.reads | (live_after(db, label) - block.sets)


@incr.query
def dead(db: incr.View, label: str) -> frozenset[str]:
    """What the block sets for nobody."""
    return db[Block, label].sets - live_after(db, label)


def block(label: str, reads: str, sets: str, *leads_to: str) -> Block:
    return Block(label, frozenset(reads.split()), frozenset(sets.split()), leads_to)


def report(db: incr.Database) -> None:
    for label in db.keys(Block):
        text = ", ".join(sorted(live(db, label))) or "nothing"
        useless = ", ".join(sorted(dead(db, label)))
        print(f"{label} needs {text}{f'; sets for nobody: {useless}' if useless else ''}")


def main() -> None:
    db = incr.Database()
    with db.batch() as batch:
        batch.set(block("1 start", "", "i total seen", "2 test"))
        batch.set(block("2 test", "i n", "", "3 body", "4 end"))
        batch.set(block("3 body", "i total", "i total seen", "2 test"))
        batch.set(block("4 end", "total", ""))
    report(db)
    print("nothing has changed:")
    report(db)
    print("the end needs seen:")
    db.set(block("4 end", "total seen", ""))
    report(db)
    print("the start sets one more:")
    db.set(block("1 start", "", "i total seen spare", "2 test"))
    report(db)


if __name__ == "__main__":
    main()
