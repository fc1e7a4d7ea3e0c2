"""Random programs for stores: deltas as a database would make them, and a plain model of what they come to.

A program is a list of steps that are small numbers, so that it shrinks well; what they mean depends on what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from incr.store.rows import (
    CALLS,
    GOOD,
    HIGH,
    INTERNED,
    LOST_PUSHES,
    NEVER,
    PAGE_ROWS,
    RECORDS,
    Content,
    Delta,
    Head,
    Row,
    SectionInfo,
    Store,
)

__all__ = ["Model", "Op", "Step", "check_alike", "steps"]

_FLAGS = (0, GOOD, HIGH, GOOD | HIGH, GOOD | LOST_PUSHES)
_KINDS = (RECORDS, INTERNED, CALLS)
_STAMPS = (0, 1, 7, 2**40)


class Op(NamedTuple):
    """One change of a delta; which row, key or section the numbers mean depends on what is there."""

    what: str
    which: int
    key: bytes
    dependencies: tuple[int, ...]
    flags: int
    stamps: tuple[int, int]
    value: bytes | None
    pushes: bytes


class Step(NamedTuple):
    """A delta, or nothing but what is done with the store behind it."""

    ops: tuple[Op, ...]
    advance: int
    classes: bytes | None
    #: What follows: "", "sync", "checkpoint", "reopen".
    then: str


_contents = st.one_of(st.binary(max_size=8), st.just(b"x" * 70_000), st.just(b""))
_ops = st.builds(
    Op,
    what=st.sampled_from(("new", "new", "new", "change", "verify", "suspect", "remove", "remove all", "section")),
    which=st.integers(0, 30),
    key=st.one_of(st.sampled_from((b"", b"a", b"b", b"ab", b"\0", b"\xff")), st.binary(max_size=5)),
    dependencies=st.lists(st.integers(0, 30), max_size=4).map(tuple),
    flags=st.sampled_from(_FLAGS),
    stamps=st.tuples(st.sampled_from(_STAMPS), st.sampled_from((*_STAMPS, NEVER))),
    value=st.one_of(st.none(), _contents),
    pushes=st.one_of(st.just(b""), st.binary(max_size=4)),
)
_steps = st.builds(
    Step,
    ops=st.lists(_ops, max_size=8).map(tuple),
    advance=st.integers(0, 2),
    classes=st.one_of(st.none(), st.none(), st.binary(max_size=6)),
    then=st.sampled_from(("", "", "", "sync", "checkpoint", "reopen")),
)
#: Programs.
steps = st.lists(_steps, min_size=1, max_size=8)


class Model:
    """What a store should say: rows and sections in dicts; everything else is looked up by going through all of it."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[Row, Content]] = {}
        self.sections: dict[int, SectionInfo] = {}
        self.revision = 0
        self.classes = b""
        self.next_page = 0
        self.last = 0

    def head(self) -> Head:
        """The head that the store should have."""
        sections = tuple(self.sections[number] for number in sorted(self.sections))
        return Head(self.revision, sections, self.classes, self.next_page, self.last)

    def dependents(self, number: int) -> list[int]:
        """The rows that depend on this one, ascending."""
        return sorted(other for other, (row, _) in self.rows.items() if number in row.dependencies)

    def whole(self) -> Delta:
        """One delta with all that is there."""
        sections = list(self.sections.values())
        return Delta(self.revision, sections, self.classes, self.next_page, self.rows, [], [], [])

    def delta(self, step: Step) -> Delta:
        """The delta that the step means now; the model has it from then on."""
        return _DeltaMaker(self, step).delta()


class _DeltaMaker:
    def __init__(self, model: Model, step: Step) -> None:
        self._model = model
        self._step = step
        self._rows: dict[int, tuple[Row, Content | None]] = {}
        self._verified: list[int] = []
        self._suspect: list[int] = []
        self._removed: list[int] = []
        self._sections: dict[int, SectionInfo] = {}
        self._touched: set[int] = set()

    def delta(self) -> Delta:
        model, step = self._model, self._step
        model.revision += step.advance
        for op in step.ops:
            _CHANGES[op.what](self, op)
        if step.classes is not None:
            model.classes = step.classes
        model.last += 1
        model.sections.update(self._sections)
        return Delta(
            model.revision,
            list(self._sections.values()),
            step.classes,
            model.next_page,
            self._rows,
            self._verified,
            self._suspect,
            self._removed,
        )

    def section(self, op: Op) -> SectionInfo:
        sections = self._model.sections
        if not sections or (op.which % 5 == 0 and len(sections) < 4):
            # Pages fill up only in long programs: some begin near their end.
            skipped = self._model.next_page * PAGE_ROWS + PAGE_ROWS - 2 if op.which % 2 else 0
            self._model.next_page += bool(skipped)
            kind = _KINDS[op.which % 3]
            number = len(sections)
            info = SectionInfo(number, kind, f"section {number}", op.key, ("part",) * (op.which % 3), skipped)
        else:
            info = sections[sorted(sections)[op.which % len(sections)]]
        if op.which % 3:
            reads = tuple(sorted({*info.reads, op.which % (len(sections) + 1)}))
            info = info._replace(pages=info.pages + 1, reads=reads, doubt_since=self._model.revision)
        elif op.which % 2:
            info = info._replace(code_since=self._model.revision)
        self._sections[info.number] = sections[info.number] = info
        return info

    def new(self, op: Op) -> None:
        model = self._model
        section = self.section(op)
        if any((row.section, row.key) == (section.number, op.key) for row, _ in model.rows.values()):
            return
        number = section.next_row
        if number % PAGE_ROWS == 0:
            number = model.next_page * PAGE_ROWS
            model.next_page += 1
        section = section._replace(next_row=number + 1)
        self._sections[section.number] = model.sections[section.number] = section
        value, pushes = op.value or b"", op.pushes
        self._put(number, section.number, op.key, op, Content(value, pushes))

    def change(self, op: Op) -> None:
        number = self._untouched(op)
        if number is not None:
            row, _ = self._model.rows[number]
            content = None if op.value is None else Content(op.value, op.pushes)
            self._put(number, row.section, row.key, op, content)

    def _put(self, number: int, section: int, key: bytes, op: Op, content: Content | None) -> None:
        there = [one for one in sorted(self._model.rows) if one != number]
        chosen = dict.fromkeys(there[which % len(there)] for which in op.dependencies) if there else {}
        row = Row(section, key, op.stamps[0], op.stamps[1], op.flags, tuple(chosen))
        self._rows[number] = (row, content)
        self._model.rows[number] = (row, content or self._model.rows[number][1])
        self._touched.add(number)

    def verify(self, op: Op) -> None:
        number = self._untouched(op)
        if number is not None:
            self._verified.append(number)
            self._stamp(number, lambda row: row._replace(valid_from=self._model.revision, flags=row.flags | GOOD))

    def make_suspect(self, op: Op) -> None:
        number = self._untouched(op)
        if number is not None:
            self._suspect.append(number)
            self._stamp(number, lambda row: row._replace(flags=row.flags & ~GOOD))

    def _stamp(self, number: int, change: Callable[[Row], Row]) -> None:
        row, content = self._model.rows[number]
        self._model.rows[number] = (change(row), content)
        self._touched.add(number)

    def remove(self, op: Op) -> None:
        number = self._untouched(op)
        if number is not None and not self._model.dependents(number):
            self._take(number)

    def remove_all(self, op: Op) -> None:
        """Together with whatever depends on it."""
        number = self._untouched(op)
        going = [] if number is None else [number]
        for one in going:
            going += [other for other in self._model.dependents(one) if other not in going]
        if not self._touched & set(going):
            for one in going:
                self._take(one)

    def _take(self, number: int) -> None:
        del self._model.rows[number]
        self._removed.append(number)
        self._touched.add(number)

    def _untouched(self, op: Op) -> int | None:
        """A row that the delta does not have yet."""
        there = sorted(set(self._model.rows) - self._touched)
        return there[op.which % len(there)] if there else None


_CHANGES = {
    "new": _DeltaMaker.new,
    "change": _DeltaMaker.change,
    "verify": _DeltaMaker.verify,
    "suspect": _DeltaMaker.make_suspect,
    "remove": _DeltaMaker.remove,
    "remove all": _DeltaMaker.remove_all,
    "section": _DeltaMaker.section,
}


def check_alike(store: Store, model: Model) -> None:
    """The store says about everything what the model says."""
    assert _plain(store.head()) == _plain(model.head())
    store.prefetch(model.rows)
    for number, (row, content) in model.rows.items():
        found = store.row(number)
        assert found._replace(dependencies=tuple(found.dependencies)) == row
        assert store.content(number) == content
        assert sorted(store.dependents(number)) == model.dependents(number)
        assert store.find(row.section, row.key) == number
    for section in (*model.sections, len(model.sections)):
        members = sorted(number for number, (row, _) in model.rows.items() if row.section == section)
        assert list(store.rows_of(section)) == members
        for key in (b"", b"a", b"never there"):
            there = [number for number in members if model.rows[number][0].key == key]
            assert store.find(section, key) == (there[0] if there else None)


def _plain(head: Head) -> Head:
    return head._replace(sections=tuple(head.sections))
