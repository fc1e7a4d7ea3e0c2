"""What incr promises to cost, as data, and the check of one run against it.

Law: timing decides no test; this is for people. A target is an upper bound on one figure of incr, or a lower bound on
how many times faster it is than a peer (or than every peer written in Python).
"""

from __future__ import annotations

from dataclasses import dataclass

from results import Results

PURE = ("pytracked", "revlet", "query_cascade")


@dataclass(frozen=True)
class AtMost:
    """incr's figure is at most *bound* (seconds, or a ratio)."""

    workload: str
    size: int
    figure: str
    bound: float


@dataclass(frozen=True)
class Faster:
    """incr's figure is at least *times* times smaller than the figure of each of *peers*."""

    workload: str
    size: int
    figure: str
    times: float
    peers: tuple[str, ...] = PURE


TARGETS = (
    AtMost("hits", 1, "inside a query / lru_cache", 2.5),
    AtMost("hits", 1, "outside / lru_cache", 3),
    AtMost("hits", 1, "awaited / lru_cache", 6),
    AtMost("hits", 1, "awaited, outside / lru_cache", 6),
    AtMost("keystroke", 10_000, "body", 0.2e-3),
    AtMost("keystroke", 1_000, "body", 0.2e-3),
    Faster("keystroke", 10_000, "body", 1_000, ("revlet",)),
    AtMost("keystroke", 10_000, "unrelated", 10e-6),
    AtMost("keystroke", 1_000, "unrelated", 10e-6),
    AtMost("trivial", 10_000, "cold", 8e-6),
    AtMost("trivial", 10_000, "cold, async", 15e-6),
    Faster("chain", 1_000, "cold", 1),
    Faster("chain", 1_000, "change", 1),
    Faster("fan", 10_000, "cold", 1),
    Faster("fan", 10_000, "change", 1),
    Faster("layers", 1_000, "cold", 1),
    Faster("layers", 1_000, "change", 1),
    AtMost("memos", 100_000, "load", 0.5),
    AtMost("memos", 100_000, "save", 1.5),
    AtMost("memos", 100_000, "second save", 0.3),
    AtMost("import", 1, "wall", 40e-3),
)
DEEPEST = 100_000


@dataclass(frozen=True)
class Verdict:
    """One line of the check."""

    what: str
    measured: str
    target: str
    ok: bool | None

    @property
    def word(self) -> str:
        """ok, missed, or not measured in this run."""
        return {True: "ok", False: "missed", None: "not measured"}[self.ok]


def amount(figure: str, value: float) -> str:
    """A number of seconds, or a ratio, with its unit, three digits."""
    if "/ lru_cache" in figure:
        return f"{value:.2f} ×"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{_digits(value / size)} {unit}"
    return f"{_digits(value * 1e9)} ns"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdicts(results: Results) -> list[Verdict]:
    """Every target, measured and judged."""
    found: list[Verdict] = []
    for target in TARGETS:
        found.extend([_at_most(results, target)] if isinstance(target, AtMost) else _faster(results, target))
    for workload, colour in (("depth", "sync"), ("depth_async", "async")):
        depth = results.depths.get((workload, "incr_runtime"))
        measured = "–" if depth is None else f"{depth[0]:,}"
        verdict = None if depth is None else depth[0] >= DEEPEST
        found.append(Verdict(f"depth of a chain, {colour}", measured, f"≥ {DEEPEST:,}", verdict))
    return found


def _name(target: AtMost | Faster) -> str:
    size = f" {target.size:,}" if target.size > 1 else ""
    return f"{target.workload}{size}: {target.figure}"


def _at_most(results: Results, target: AtMost) -> Verdict:
    value = results.get(target.workload, target.size, target.figure, "incr_runtime")
    bound = f"≤ {amount(target.figure, target.bound)}"
    if value is None:
        return Verdict(_name(target), "–", bound, None)
    return Verdict(_name(target), amount(target.figure, value), bound, value <= target.bound)


def _faster(results: Results, target: Faster) -> list[Verdict]:
    found: list[Verdict] = []
    value = results.get(target.workload, target.size, target.figure, "incr_runtime")
    for peer in target.peers:
        other = results.get(target.workload, target.size, target.figure, peer)
        what = f"{_name(target)}, against {peer.replace('_', '-')}"
        bound = f"≥ {target.times:,g} × faster" if target.times > 1 else "faster"
        if value is None or other is None:
            found.append(Verdict(what, "–", bound, None))
        else:
            times = other / value
            found.append(Verdict(what, f"{_digits(times)} × faster", bound, times >= target.times))
    return found
