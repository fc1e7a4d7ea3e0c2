"""One commit: from what was taken from the graph to a delta, and back to the graph what came of it.

Law: numbers are given to rows only here, by one commit at a time. A commit that fails leaves everything that it had
taken to the next one.

Keeps: commit.atomic, commit.unencodable, persist.off, accumulate.persist, save.unencodable.
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from typing import Any, Final, final

from incr._durable._backing import Backing
from incr._durable._drafts import Draft, Taken, take
from incr._errors import EncodeError, StoreError
from incr._events import ValueNotStored
from incr._node import EMPTY, Failure, Node, Stored
from incr._persist._pushed import encode_pushes
from incr._pushes import Pushes
from incr.store.rows import (
    CALLS,
    GOOD,
    INTERNED,
    KEY_SETS,
    LOST_PUSHES,
    NEVER,
    NO_SECTION,
    PRESENCES,
    PUSHES,
    RECORDS,
    UNTRACKED,
    VALUE,
    Content,
    Delta,
    Row,
)

__all__ = ["Commit"]

_NOTHING: Final = Content(b"", b"")
#: So many nodes are changed with the lock held.
_STRETCH: Final = 1024


@final
class Commit:
    """What is committed at once."""

    __slots__ = (
        "_backing",
        "_classes",
        "_contents",
        "_given",
        "_instances",
        "_is_done",
        "_is_durable",
        "_keys",
        "_lock",
        "_max_record_bytes",
        "_nameless",
        "_over",
        "_stored",
        "_taken",
        "delta",
        "unstored",
    )

    def __init__(self, backing: Backing, max_record_bytes: int | None = None) -> None:
        self._backing = backing
        self._max_record_bytes = max_record_bytes
        self._taken = Taken()
        #: It may fail while the caller does not know yet that it was appended.
        self._lock = Lock()
        self._over = self._is_done = self._is_durable = False
        #: What could not be stored.
        self.unstored: list[ValueNotStored] = []
        self._keys: dict[Node, bytes] = {}
        #: None for content that the store has.
        self._contents: dict[Node, Content | None] = {}
        #: Nodes whose values the store has after this, and the values.
        self._stored: list[tuple[Node, Any]] = []
        self._nameless: set[Node] = set()
        self._instances: list[tuple[Any, bytes]] = []
        self._given: list[Node] = []
        self._classes = 0
        self.delta: Delta | None = None

    # --- without the lock of the graph ----------------------------------------------------------------------------

    def build(self, committed: int) -> Delta | None:
        """The delta; None if there is nothing in it, and *committed* is the graph's revision.

        Raises:
            EncodeError: an input or an interned value cannot be stored; nothing is changed.
        """
        try:
            return self._build(committed)
        except BaseException:
            self.failed()
            raise

    def _build(self, committed: int) -> Delta | None:
        taken, codec = self._taken, self._backing.codec
        take(self._backing, taken)
        keys, contents, numbers = self._keys, self._contents, self._backing.numbers
        for node, draft in taken.drafts.items():
            if node in numbers or self._has_key(draft, keys):
                contents[node] = self._content(draft)
        for ingredient, (values, _) in taken.instances.items():
            self._instances += [(ingredient, codec.encode(value, ingredient.name)) for value in values]
        rows = self._rows()
        sections = self._backing.sections
        with self._backing.graph.lock:
            infos, next_page = sections.different(taken.revision), sections.next_page
        self._classes = codec.size
        verified = sorted([number for number, good in taken.goodness.items() if good])
        suspect = sorted([number for number, good in taken.goodness.items() if not good])
        quiet = not (rows or verified or suspect or taken.removed or infos)
        if quiet and taken.revision == committed:
            return None
        classes = codec.classes() if codec.written != self._classes else None
        self.delta = Delta(taken.revision, infos, classes, next_page, rows, verified, suspect, taken.removed)
        return self.delta

    def _has_key(self, draft: Draft, keys: dict[Node, bytes]) -> bool:
        """Whether the node of a row that is new can be found again; its key is in *keys* then, if it needs one."""
        shape, node = draft.shape, draft.node
        if shape.collection or shape.kind == KEY_SETS:  # by the row of something else
            return True
        codec = self._backing.codec
        if shape.kind == UNTRACKED:
            keys[node] = codec.encode(node.key)
            return True
        try:
            keys[node] = codec.key(shape.ingredient, node.key)
        except EncodeError as error:
            if shape.kind in (RECORDS, PRESENCES):
                raise
            self._nameless.add(node)
            self._report(draft, error)
            return False
        return True

    def _content(self, draft: Draft) -> Content | None:
        kind = draft.shape.kind
        if kind == CALLS:
            return self._outcome(draft)
        return self._record(draft) if kind == RECORDS else _NOTHING

    def _record(self, draft: Draft) -> Content | None:
        if draft.value is EMPTY:
            return _NOTHING
        draft.flags |= VALUE
        if self._has(draft, draft.encoded):
            return None
        data = self._backing.codec.encode(self._plain(draft.value), draft.shape.ingredient.name)
        self._stored.append((draft.node, draft.value))
        return Content(data, b"")

    def _has(self, draft: Draft, encoded: Any) -> bool:
        """Whether the store has the value's bytes in this very row."""
        if type(encoded) is not Stored:
            return False
        number = self._backing.numbers.get(draft.node)
        return number is not None and self._backing.has(encoded, number)

    # spec: commit.unencodable
    # spec: persist.off
    # spec: accumulate.persist
    def _outcome(self, draft: Draft) -> Content | None:
        pushes = b"" if draft.pushes is None else self._encoded_pushes(draft)
        if pushes is None:  # the call has to run for them to be known, so its value must not be taken as enough
            draft.flags |= LOST_PUSHES
            return _NOTHING
        if pushes:
            draft.flags |= PUSHES
        if not draft.shape.ingredient.persist:
            return Content(b"", pushes)
        if self._has(draft, draft.encoded):
            draft.flags |= VALUE
            if not pushes:
                return None
            return Content(draft.encoded.encoded(), pushes)
        data = self._encoded_value(draft)
        if self._max_record_bytes is not None and len(data) > self._max_record_bytes:
            data = b""
        if data:
            draft.flags |= VALUE
            self._stored.append((draft.node, draft.value))
        return Content(data, pushes)

    def _plain(self, value: Any) -> Any:
        """The value itself, where it is still in the bytes of another file or row: those have other class numbers."""
        return value.decode() if type(value) is Stored else value

    def _encoded_value(self, draft: Draft) -> bytes:
        value = draft.value
        try:
            value = self._plain(value)
            if value is EMPTY or type(value) is Failure:
                return b""
            return self._backing.codec.encode(value, draft.shape.ingredient.name)
        except Exception as error:  # the value's own classes may raise anything while they are looked at
            if not draft.shape.collection:  # it has been told of the call that pushed it
                self._report(draft, error)
            return b""

    def _encoded_pushes(self, draft: Draft) -> bytes | None:
        pushes = draft.pushes
        if type(pushes) is not Pushes or not draft.shape.ingredient.persist:
            return None
        if pushes.entries is None:
            found: bytes | None = pushes.stored.encoded()
            return found
        try:
            return encode_pushes(
                pushes, self._backing.codec, self._backing.sections.accumulators, self._backing.store.path
            )
        except Exception as error:  # as for values
            if isinstance(error, StoreError) and not isinstance(error, EncodeError):
                raise
            self._report(draft, error)
            return None

    def _report(self, draft: Draft, error: Exception) -> None:
        ingredient = draft.shape.ingredient
        self.unstored.append(ValueNotStored(ingredient.name, ingredient.arguments(draft.node.key), str(error)))

    # --- numbers --------------------------------------------------------------------------------------------------

    def _rows(self) -> dict[int, tuple[Row, Content | None]]:
        backing, contents = self._backing, self._contents
        numbers, store = backing.numbers, backing.store
        self._give_numbers()
        rows: dict[int, tuple[Row, Content | None]] = {}
        for orphan in self._taken.orphans:
            row = store.row(orphan)
            rows[orphan] = (row._replace(valid_from=NEVER, flags=row.flags & ~GOOD, dependencies=()), None)
        for node, draft in self._taken.drafts.items():
            number = numbers.get(node)
            if number is not None:
                rows[number] = (self._row(draft, number, rows), contents[node])
        for ingredient, key in self._instances:
            with backing.graph.lock:
                section = backing.sections.section(ingredient, INTERNED)
            if store.find(section, key) is None:
                with backing.graph.lock:
                    number = backing.sections.allocate(section)
                rows[number] = (Row(section, key, 0, 0, GOOD, ()), _NOTHING)
        return rows

    def _give_numbers(self) -> None:
        """Have numbers for the rows that are new; what is collected for calls is found by theirs, and comes later."""
        numbers, nameless = self._backing.numbers, self._nameless
        new = [one for node, one in self._taken.drafts.items() if node not in numbers and node not in nameless]
        for collections in (False, True):
            drafts = iter([draft for draft in new if draft.shape.collection is collections])
            while some := list(islice(drafts, _STRETCH)):
                with self._backing.graph.lock:
                    for draft in some:
                        self._give_number(draft.node, self._section(draft))

    def _give_number(self, node: Node, section: int) -> None:
        backing = self._backing
        backing.give(node, backing.sections.allocate(section))
        self._given.append(node)

    def _section(self, draft: Draft) -> int:
        shape = draft.shape
        if shape.section == NO_SECTION:
            with self._backing.graph.lock:
                shape.section = self._backing.sections.section(shape.ingredient, shape.kind)
        return shape.section

    def _row(self, draft: Draft, number: int, rows: dict[int, tuple[Row, Content | None]]) -> Row:
        numbers, node = self._backing.numbers, draft.node
        try:
            dependencies = tuple([numbers[one] for one in draft.dependencies])
        except KeyError:  # it depends on something that no store can have
            loop = self._loop(rows)
            dependencies = tuple(dict.fromkeys([numbers.get(one, loop) for one in draft.dependencies]))
        section = self._section(draft)
        if dependencies:
            self._backing.sections.note_reads(section, dependencies, self._section_of)
        key = self._keys.get(node)
        if key is None:
            key = self._other_key(draft, number, rows)
        since = draft.valid_from
        if draft.flags & GOOD and since < self._backing.sections.doubts.since(section):
            since = (
                self._taken.revision
            )  # it was running when it was found that what the store had of others is not right
        return Row(section, key, draft.changed_at, since, draft.flags, dependencies)

    def _section_of(self, number: int) -> int:
        return self._backing.store.row(number).section

    def _other_key(self, draft: Draft, number: int, rows: dict[int, tuple[Row, Content | None]]) -> bytes:
        """The key of a row that the store has, or that is found by the row of something else."""
        if draft.shape.collection:
            call = self._backing.numbers.get(draft.node.key)
            return self._backing.codec.encode(self._loop(rows) if call is None else call)
        return b"" if draft.shape.kind == KEY_SETS else self._backing.store.row(number).key

    def _loop(self, rows: dict[int, tuple[Row, Content | None]]) -> int:
        """The number of the row that stands for what no store can have, which comes into *rows* if it is new."""
        backing, loop = self._backing, self._backing.loop
        number = backing.numbers.get(loop)
        if number is None:
            with backing.graph.lock:
                section = backing.sections.section(None, UNTRACKED)
                number = backing.sections.allocate(section)
                backing.give(loop, number)
            self._given.append(loop)
            rows[number] = (Row(section, backing.codec.encode(loop.key), 0, 0, GOOD, ()), _NOTHING)
        return number

    # --- afterwards -----------------------------------------------------------------------------------------------

    def done(self) -> None:
        """The store has it, and reading sees it."""
        with self._lock:
            if not self._over:
                self._done()
            self._is_done = True
            if self._is_durable:
                self._let_go()

    def durable(self) -> None:
        """Nothing of it will have to be given back. In any thread."""
        with self._lock:
            self._is_durable = True
            if self._is_done:
                self._let_go()

    def _let_go(self) -> None:
        """Forget what was taken, one thing after the other: forgetting very much at once holds up all threads."""
        for held in (self._taken.drafts, self._contents, self._keys):
            while held:
                held.popitem()
        while self._stored:
            self._stored.pop()

    def _done(self) -> None:
        backing, taken = self._backing, self._taken
        with backing.graph.lock:
            backing.codec.written = max(backing.codec.written, self._classes)
            backing.removed.difference_update(taken.removed)
            backing.unreadable.difference_update(taken.removed)
            if self.delta is not None:
                backing.sections.written(self.delta.sections)
            for ingredient, (_, seen) in taken.instances.items():
                backing.instances[ingredient] = seen
        stored = iter(self._stored)
        while some := list(islice(stored, _STRETCH)):
            with backing.graph.lock:
                for node, value in some:
                    if node.value is value:
                        node.encoded = backing.stored(node)

    def failed(self) -> None:
        """The store does not have it, or no more. In any thread; once more is fine."""
        with self._lock:
            if not self._over:
                self._over = True
                self._failed()

    def _failed(self) -> None:
        backing, taken = self._backing, self._taken
        with backing.graph.lock:
            backing.journal.give_back(taken.journal)
            backing.journal.rows.update(dict.fromkeys(taken.drafts))
            while self._given:
                backing.take_back(self._given.pop())
            backing.unknown_doubts.update(dict.fromkeys(taken.unknown))
            backing.orphans.update(dict.fromkeys(taken.orphans))
            backing.removed.update(taken.removed)
            if self.delta is not None:
                backing.sections.changed.update(dict.fromkeys(info.number for info in self.delta.sections))
                backing.codec.written = 0
            for ingredient, (values, seen) in taken.instances.items():
                backing.instances[ingredient] = min(backing.instances.get(ingredient, 0), seen - len(values))
            for node, _ in self._stored:
                if type(node.encoded) is Stored:
                    node.encoded = None
