"""Which section of a store belongs to which ingredient of the program, and the numbers of new rows.

Law: a section that this program does not declare is left as it is. Nobody is given a section before all of it that is
not as it was has been found. The caller holds the lock of the graph, but to ask for a section.

Keeps: load.unknown, load.late, lazy.code.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable, Iterable
from typing import Any, Final, final

from incr._durable._doubts import Doubts
from incr._durable._rowcodec import parts_of
from incr._errors import StoreError
from incr._node import Node
from incr._persist._declared import by_name
from incr._persist._reason import Reason, settled
from incr.store.rows import CALLS, INTERNED, KEY_SETS, PAGE_ROWS, PRESENCES, RECORDS, UNTRACKED, Head, SectionInfo
from incr.store.sections import check_sections

__all__ = ["KINDS", "Sections"]

#: What sections an ingredient of a kind can have.
KINDS: Final = {"input": (RECORDS, PRESENCES, KEY_SETS), "query": (CALLS,), "interned": (INTERNED,)}
_INGREDIENTS: Final = {RECORDS: "input", PRESENCES: "input", KEY_SETS: "input", CALLS: "query", INTERNED: "interned"}


@final
class Sections:
    """The sections of one store."""

    __slots__ = (
        "_declared",
        "_fingerprint",
        "_first_pages",
        "_first_rows",
        "_infos",
        "_learn",
        "_lock",
        "_meet",
        "_meeting",
        "_met",
        "_named",
        "_new",
        "_next_rows",
        "_owners",
        "_pages",
        "_unclear",
        "accumulators",
        "changed",
        "doubts",
        "lost",
        "next_page",
        "path",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        head: Head,
        declared: Iterable[Any],
        fingerprint: Callable[[Any], bytes],
        lock: RLock,
    ) -> None:
        check_sections(path, head)
        #: That of the graph.
        self._lock = lock
        self._infos: dict[int, SectionInfo] = {info.number: info for info in head.sections}
        #: The number that each section's next row gets, as `SectionInfo` has it.
        self._next_rows: dict[int, int] = {info.number: info.next_row for info in head.sections}
        #: How many pages each section has.
        self._pages: dict[int, int] = {info.number: info.pages for info in head.sections}
        #: Page -> the section that it belongs to, for those that are not full or were begun in this process.
        self._owners: dict[int, int] = {
            info.next_row // PAGE_ROWS: info.number for info in head.sections if info.next_row % PAGE_ROWS
        }
        #: Of pages that were there at the opening and not full: the number that the next row got.
        self._first_pages = head.next_page
        self._first_rows = {
            info.next_row // PAGE_ROWS: info.next_row for info in head.sections if info.next_row % PAGE_ROWS
        }
        self.doubts = Doubts(head.sections)
        #: Sections from this number on were made since the store was opened: all of their rows are nodes.
        self._new = len(self._infos)
        self._named: dict[tuple[int, str], int] = {(info.kind, info.name): info.number for info in head.sections}
        self.path = path
        declared = list(declared)
        self._declared = by_name(declared)
        #: Names of ingredients that are not told apart by their code: whose rows they are, nobody knows.
        self._unclear = {(one.kind, one.identity) for one in declared} - self._declared.keys()
        self._fingerprint = fingerprint
        #: (Kind, ingredient) -> section, for those that the program has met, and for those that are being met, of which
        #: nobody but the thread that holds the lock may know.
        self._met: dict[tuple[int, Any], int | None] = {}
        self._meeting: dict[tuple[int, Any], int | None] = {}
        #: Called for an ingredient's section when it is met, with whether its code and its keys are others now.
        self._meet: Callable[[Any, int, bool, bool], None] | None = None
        #: Told of ingredients that are met after the opening.
        self._learn: Callable[[Iterable[Any]], None] | None = None
        #: The number that the next new page gets.
        self.next_page = head.next_page
        #: Sections that the store does not have like this.
        self.changed: dict[int, None] = {}
        #: The cause of a call's having to run again because something is not as it was.
        self.lost: Node = settled(Node(Reason("something that is not as it was when it was stored"), ()), 0)
        found = [
            one.accumulator for one in self._declared.values() if one.kind == "query" and one.accumulator is not None
        ]
        #: The program's accumulators by name.
        self.accumulators: dict[str, Any] = {accumulator.name: accumulator for accumulator in found}

    # --- what there is --------------------------------------------------------------------------------------------

    def kind(self, number: int) -> int:
        """What the section has rows of."""
        return self._infos[number].kind

    def ingredient(self, number: int) -> Any:
        """Whose section it is; None if this program does not declare it."""
        info = self._infos[number]
        ingredient = self._declared.get((_INGREDIENTS.get(info.kind, ""), info.name))
        if ingredient is not None:
            self.of(ingredient, info.kind)
        return ingredient

    # spec: load.late
    def of(self, ingredient: Any, kind: int) -> int | None:
        """The ingredient's section, if there is one. Needs no lock."""
        try:
            return self._met[kind, ingredient]
        except KeyError:
            pass
        # Before the lock is taken: this reads files, and may run code of the program.
        code = self._code(ingredient, kind) if (kind, ingredient.identity) in self._named else b""
        if self._learn is not None:
            self._learn((ingredient,))
        with self._lock:
            if (kind, ingredient) not in self._met:
                self._first(ingredient, kind, code)
            return self._met.get((kind, ingredient), self._meeting.get((kind, ingredient)))

    def is_old(self, ingredient: Any) -> bool:
        """Whether there were calls of the query when the store was opened."""
        number = self.of(ingredient, CALLS)
        return number is not None and number < self._new

    def size(self, number: int) -> int:
        """How many rows the section has ever had."""
        rows = self._next_rows[number]
        return self._pages[number] * PAGE_ROWS - -rows % PAGE_ROWS

    def untracked(self) -> int | None:
        """The section of the reasons of untracked reads."""
        return self._named.get((UNTRACKED, ""))

    def meet_all(self, meet: Callable[[Any, int, bool, bool], None], learn: Callable[[Iterable[Any]], None]) -> None:
        """Look at the sections of everything that is declared; *meet* is told of those that are not as they were, now
        and later; *learn* of what is met later, before anything is looked at."""
        self._meet = meet
        for ingredient in list(self._declared.values()):
            self.of(ingredient, KINDS[ingredient.kind][0])
        self._learn = learn

    def _first(self, ingredient: Any, kind: int, code: bytes) -> None:
        """Meet all sections of the ingredient, that of *kind* first. What is found there may ask for them."""
        name, meeting = ingredient.identity, self._meeting
        rival = self._declared.setdefault((ingredient.kind, name), ingredient)
        accumulator = getattr(ingredient, "accumulator", None)
        if accumulator is not None:
            self.accumulators.setdefault(accumulator.name, accumulator)
        kinds = dict.fromkeys([kind, *KINDS[ingredient.kind]])
        outermost = not any((one, ingredient) in meeting for one in kinds)
        try:
            for one in kinds:
                if (one, ingredient) not in meeting:
                    number = self._named.get((one, name)) if rival is ingredient else None
                    meeting[one, ingredient] = number
                    if number is not None:
                        self._look(ingredient, one, number, code)
            if outermost:
                self._met.update({(one, ingredient): meeting[one, ingredient] for one in kinds})
        finally:  # what was not looked at to its end is looked at again
            for one in kinds if outermost else ():
                meeting.pop((one, ingredient), None)

    def _look(self, ingredient: Any, kind: int, number: int, code: bytes) -> None:
        info, parts = self._infos[number], parts_of(ingredient, kind)
        other_code, other_keys = info.fingerprint != code, info.parts != parts
        other_keys = other_keys or (ingredient.kind, ingredient.identity) in self._unclear
        if self._meet is not None:
            self._meet(ingredient, number, other_code, other_keys)
        if other_code or other_keys:
            self._infos[number] = info._replace(fingerprint=code, parts=parts)
            self.changed[number] = None

    def _code(self, ingredient: Any, kind: int) -> bytes:
        return self._fingerprint(ingredient) if kind == CALLS else b""

    # --- what comes -----------------------------------------------------------------------------------------------

    def section(self, ingredient: Any, kind: int) -> int:
        """The ingredient's section, made if there is none; None as the ingredient of untracked reads."""
        name = "" if ingredient is None else ingredient.identity
        number = self._named.get((kind, name))
        if ingredient is not None and self._declared.get((ingredient.kind, name), ingredient) is not ingredient:
            raise StoreError(
                self.path,
                f"two {ingredient.kind} ingredients are called {name!r}, so their rows could not be told apart; give "
                "one of them another name (a query: name=)",
            )
        if number is not None:
            return number
        number = len(self._infos)
        code = b"" if ingredient is None else self._code(ingredient, kind)
        parts = () if ingredient is None else parts_of(ingredient, kind)
        self._infos[number] = SectionInfo(number, kind, name, code, parts, 0)
        self._next_rows[number] = self._pages[number] = 0
        self._named[kind, name] = number
        if ingredient is not None:
            self._met[kind, ingredient] = number
            self._declared.setdefault((ingredient.kind, name), ingredient)
        self.changed[number] = None
        return number

    def allocate(self, number: int) -> int:
        """The number of a new row of the section."""
        row = self._next_rows[number]
        if not row % PAGE_ROWS:
            row = self.next_page * PAGE_ROWS
            self._owners[self.next_page] = number
            self._pages[number] += 1
            self.next_page += 1
        self._next_rows[number] = row + 1
        self.changed[number] = None
        return row

    def was_there(self, row: int) -> bool:
        """Whether the row's number was given before the store was opened."""
        page = row // PAGE_ROWS
        return page < self._first_pages and row < self._first_rows.get(page, row + 1)

    # spec: lazy.code
    def note_reads(self, section: int, dependencies: Iterable[int], section_of: Callable[[int], int]) -> None:
        """A row of the section depends on these rows. *section_of* is asked for rows that the store had before."""
        owners = self._owners
        try:
            found = {owners[row // PAGE_ROWS] for row in dependencies}
        except KeyError:
            for row in dependencies:
                if row // PAGE_ROWS not in owners:
                    owners[row // PAGE_ROWS] = section_of(row)
            found = {owners[row // PAGE_ROWS] for row in dependencies}
        if not self.doubts.reads(section, found):
            with self._lock:
                self.doubts.add_reads(section, found)
                self.changed[section] = None

    # spec: lazy.code
    def found(self, number: int, revision: int, *, other_code: bool) -> None:
        """The section is not what it was, from *revision* on; with *other_code* its calls have to run."""
        self.doubts.hold(self._info(number), revision)
        if other_code:
            self.doubts.other_code(number, revision)

    def doubt_above(self, number: int, revision: int) -> set[int]:
        """What may depend on rows of the section is not to be trusted from *revision* on; the sections of that."""
        above = self.doubts.above(number)
        for one in above:
            self.doubts.hold(self._info(one), revision)
            self.doubts.doubt(one, revision)
            self.changed[one] = None
        return above

    def different(self, revision: int) -> list[SectionInfo]:
        """The sections that the store does not have like this, as they were at *revision*."""
        return self.doubts.as_of([self._info(number) for number in self.changed], revision)

    def written(self, infos: Iterable[SectionInfo]) -> None:
        """The store has these."""
        for info in infos:
            if self._info(info.number) == info:
                self.changed.pop(info.number, None)

    def _info(self, number: int) -> SectionInfo:
        info = self._infos[number]._replace(next_row=self._next_rows[number], pages=self._pages[number])
        return self.doubts.noted(info)
