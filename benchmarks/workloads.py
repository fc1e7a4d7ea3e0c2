"""Which workloads are run, at which sizes and how often, and how their figures are shown.

Law: data only. A figure's name is what the worker prints.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The order of the columns: ours, the floor, the peers written in Python, the compiled ones.
SYSTEMS = ("incr_runtime", "lru_cache", "pytracked", "revlet", "query_cascade", "signified", "incr_compute")

TITLES = {
    "incr_runtime": "incr",
    "lru_cache": "lru_cache",
    "pytracked": "pytracked",
    "revlet": "revlet",
    "query_cascade": "query-cascade",
    "signified": "signified (Rust)",
    "incr_compute": "incr-compute (Rust)",
}

#: What the environment of each system is made of; None: incr itself, from this checkout.
REQUIREMENTS: dict[str, tuple[str, ...] | None] = {
    "incr_runtime": None,
    "lru_cache": (),
    "pytracked": ("pytracked==0.1.2",),
    "revlet": ("revlet==0.1.0",),
    "query_cascade": ("query-cascade==0.3.24",),
    "signified": ("signified==0.7.3",),
    "incr_compute": ("incr-compute==0.2.0b5",),
}


@dataclass(frozen=True)
class Run:
    """One workload at one size: *rounds* processes, in each of which at least *edits* of each kind are timed."""

    workload: str
    size: int
    edits: int
    rounds: int
    title: str


QUICK = (
    Run("hits", 1, 0, 2, "Memo hit"),
    Run("trivial", 10_000, 0, 2, "Execution of a trivial query"),
    Run("reading", 10_000, 0, 2, "Execution of a query that reads one input"),
    Run("chain", 1_000, 5, 2, "Chain of 1,000 queries"),
    Run("fan", 10_000, 5, 2, "Fan, 10,000 wide"),
    Run("layers", 1_000, 3, 2, "Layers 10 × 1,000 × 5"),
    Run("keystroke", 1_000, 5, 2, "Keystroke, 1,000 files × 4 queries, 15,000 edges"),
    Run("memos", 10_000, 0, 1, "10,000 memos on disk"),
)

FULL = (
    Run("hits", 1, 0, 5, "Memo hit"),
    Run("trivial", 10_000, 0, 5, "Execution of a trivial query"),
    Run("reading", 10_000, 0, 5, "Execution of a query that reads one input"),
    Run("chain", 1_000, 15, 5, "Chain of 1,000 queries"),
    Run("fan", 10_000, 7, 5, "Fan, 10,000 wide"),
    Run("layers", 1_000, 7, 5, "Layers 10 × 1,000 × 5"),
    Run("keystroke", 1_000, 15, 5, "Keystroke, 1,000 files × 4 queries, 15,000 edges"),
    Run("keystroke", 10_000, 5, 5, "Keystroke, 10,000 files × 4 queries, 150,000 edges"),
    Run("memos", 100_000, 0, 3, "100,000 memos on disk"),
)

#: The deepest chain that is tried, and how exact the answer is (a share of it).
DEEPEST = {"quick": 2_000, "full": 100_000}
DEPTH_TOLERANCE = 0.02
IMPORT_SAMPLES = {"quick": 7, "full": 25}

#: What each figure is called in the tables.
FIGURES = {
    "hits": {
        "inside a query": "inside a query",
        "inside a query / lru_cache": "inside a query, × `lru_cache`",
        "outside": "outside",
        "outside / lru_cache": "outside, × `lru_cache`",
        "awaited": "awaited, inside a query",
        "awaited / lru_cache": "awaited, inside a query, × `lru_cache`",
        "awaited, outside": "awaited, outside",
        "awaited, outside / lru_cache": "awaited, outside, × `lru_cache`",
    },
    "trivial": {"cold": "sync", "cold, async": "async"},
    "reading": {"cold": "sync"},
    "chain": {
        "cold": "cold",
        "change": "after a change",
        "cold, async": "cold, async",
        "change, async": "after a change, async",
    },
    "fan": {"cold": "cold", "change": "after one changed child"},
    "layers": {"cold": "cold", "change": "after one changed input"},
    "keystroke": {"cold": "cold", "body": "body edit, then the root", "unrelated": "unrelated write, then the root"},
    "import": {"wall": "wall", "processor": "processor"},
    "memos": {"save": "save", "second save": "second save", "load": "load", "read all after it": "read all after it"},
}
