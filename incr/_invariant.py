"""What holds between any two calls into a graph, in all of its tables. For tests.

Law: looking changes nothing, but for the walk of writes that nobody has read since.
"""

from __future__ import annotations

from typing import Any

__all__ = ["check_tables"]


def check_tables(graph: Any) -> None:
    """Assert it, when the pending writes were walked. The caller holds the lock."""
    graph.current()
    graph.history.settle()
    for rows in (*(table.values() for table in graph.tables), graph.components):
        for node in list(rows):
            node.check_invariant()
            assert node.suspects is None or node.valid_to <= graph.newest, f"{node}: suspect, but good now"
    revisions = [pin.revision for pin in graph.pins]
    assert revisions == sorted(set(revisions)), "pins are not ascending"
    assert all(pin.users > 0 for pin in graph.pins), "a pin without users"
    kept = sum(len(pin.kept) for pin in graph.pins)
    calls = (node for table in graph.tables for node in list(table.values()))
    nodes = {*graph.presence.values(), *graph.key_sets.values(), *calls}
    nodes.update(node for pin in graph.pins for node in pin.kept.values() if node.ingredient.kind == "component")
    assert kept == sum(len(node.history or ()) for node in nodes), "history that no pin needs"
    if graph.memory is not None:
        graph.memory.check_invariant()
