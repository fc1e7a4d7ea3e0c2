"""One commit: from what was taken from the graph to a delta, and back to the graph what came of it.

Law: numbers are given to rows only here, by one commit at a time. A commit that fails leaves everything that it had
taken to the next one.

Keeps: commit.atomic, commit.unencodable, persist.off, accumulate.persist, save.unencodable.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    GOOD,
    INTERNED,
    KEY_SETS,
    LOST_PUSHES,
    NEVER,
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
        self._over = False
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
        for draft in taken.drafts.values():
            self._encode_key(draft)
            if draft.node not in self._nameless:
                self._contents[draft.node] = self._content(draft)
        for ingredient, (values, _) in taken.instances.items():
            self._instances += [(ingredient, codec.encode(value, ingredient.name)) for value in values]
        rows = dict(self._rows())
        sections = self._backing.sections
        with self._backing.graph.lock:
            infos, next_page = sections.different(), sections.next_page
        self._classes = codec.size
        verified = sorted([number for number, good in taken.goodness.items() if good])
        suspect = sorted([number for number, good in taken.goodness.items() if not good])
        quiet = not (rows or verified or suspect or taken.removed or infos)
        if quiet and taken.revision == committed:
            return None
        classes = codec.classes() if codec.written != self._classes else None
        self.delta = Delta(taken.revision, infos, classes, next_page, rows, verified, suspect, taken.removed)
        return self.delta

    def _encode_key(self, draft: Draft) -> None:
        backing, node = self._backing, draft.node
        number = backing.numbers.get(node)
        if number is not None or draft.collection or draft.kind == KEY_SETS:
            return
        if draft.kind == UNTRACKED:
            self._keys[node] = backing.codec.encode(draft.key)
            return
        ingredient = draft.ingredient
        try:
            self._keys[node] = backing.codec.key(ingredient, draft.key)
        except EncodeError as error:
            if draft.kind in (RECORDS, PRESENCES):
                raise
            self._nameless.add(node)
            self._report(draft, error)

    def _content(self, draft: Draft) -> Content | None:
        if draft.kind == RECORDS:
            return self._record(draft)
        if draft.ingredient is None or draft.kind in (PRESENCES, KEY_SETS):
            return _NOTHING
        return self._outcome(draft)

    def _record(self, draft: Draft) -> Content | None:
        if draft.value is EMPTY:
            return _NOTHING
        draft.flags |= VALUE
        if self._has(draft, draft.encoded):
            return None
        data = self._backing.codec.encode(self._plain(draft.value), draft.ingredient.name)
        self._stored.append((draft.node, draft.value))
        return Content(data, b"")

    def _has(self, draft: Draft, encoded: Any) -> bool:
        """Whether the store has the value's bytes in this very row."""
        number = self._backing.numbers.get(draft.node)
        return number is not None and type(encoded) is Stored and self._backing.has(encoded, number)

    # spec: commit.unencodable
    # spec: persist.off
    # spec: accumulate.persist
    def _outcome(self, draft: Draft) -> Content | None:
        pushes = self._encoded_pushes(draft)
        if pushes is None:  # the call has to run for them to be known, so its value must not be taken as enough
            draft.flags |= LOST_PUSHES
            return _NOTHING
        if pushes:
            draft.flags |= PUSHES
        if not draft.ingredient.persist:
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
            return self._backing.codec.encode(value, draft.ingredient.name)
        except Exception as error:  # the value's own classes may raise anything while they are looked at
            if not draft.collection:  # it has been told of the call that pushed it
                self._report(draft, error)
            return b""

    def _encoded_pushes(self, draft: Draft) -> bytes | None:
        pushes = draft.pushes
        if pushes is None:
            return b""
        if type(pushes) is not Pushes or not draft.ingredient.persist:
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
        ingredient = draft.ingredient
        self.unstored.append(ValueNotStored(ingredient.name, ingredient.arguments(draft.key), str(error)))

    # --- numbers --------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[tuple[int, tuple[Row, Content | None]]]:
        backing, drafts = self._backing, self._taken.drafts
        if any(map(self._is_loose, drafts.values())):
            yield from self._loop()
        for node, draft in drafts.items():
            if node not in backing.numbers and node not in self._nameless and not draft.collection:
                self._give_number(draft)
        for node, draft in drafts.items():
            if node not in backing.numbers and draft.collection:
                self._give_number(draft)
        for number in self._taken.orphans:
            row = backing.store.row(number)
            yield number, (row._replace(valid_from=NEVER, flags=row.flags & ~GOOD, dependencies=()), None)
        for node, draft in drafts.items():
            if node in backing.numbers:
                yield backing.numbers[node], (self._row(draft), self._contents[node])
        for ingredient, key in self._instances:
            with backing.graph.lock:
                section = backing.sections.section(ingredient, INTERNED)
            if backing.store.find(section, key) is None:
                with backing.graph.lock:
                    number = backing.sections.allocate(section)
                yield number, (Row(section, key, 0, 0, GOOD, ()), _NOTHING)

    def _is_loose(self, draft: Draft) -> bool:
        """Whether it depends on something that no store can have."""
        drafts, numbers, nameless = self._taken.drafts, self._backing.numbers, self._nameless
        return any(one not in numbers and (one not in drafts or one in nameless) for one in draft.dependencies)

    def _loop(self) -> Iterator[tuple[int, tuple[Row, Content | None]]]:
        """The row of what stands for them, if the store does not have it."""
        backing = self._backing
        loop = backing.loop
        if loop not in backing.numbers and loop not in self._taken.drafts:
            with backing.graph.lock:
                section = backing.sections.section(None, UNTRACKED)
                number = backing.sections.allocate(section)
                backing.give(loop, number)
            self._given.append(loop)
            yield number, (Row(section, backing.codec.encode(loop.key), 0, 0, GOOD, ()), _NOTHING)

    def _give_number(self, draft: Draft) -> None:
        backing = self._backing
        with backing.graph.lock:
            section = backing.sections.section(draft.ingredient, draft.kind)
            backing.give(draft.node, backing.sections.allocate(section))
        self._given.append(draft.node)

    def _row(self, draft: Draft) -> Row:
        backing, node = self._backing, draft.node
        numbers = backing.numbers
        loop = numbers.get(backing.loop, -1)
        dependencies = tuple([numbers.get(one, loop) for one in draft.dependencies])
        if dependencies.count(loop) > 1:
            dependencies = tuple(dict.fromkeys(dependencies))
        section = backing.sections.section(draft.ingredient, draft.kind)
        if draft.collection:
            key = backing.codec.encode(numbers.get(draft.key, loop))
        elif draft.kind == KEY_SETS:
            key = b""
        else:
            key = self._keys[node] if node in self._keys else backing.store.row(numbers[node]).key
        return Row(section, key, draft.changed_at, draft.valid_from, draft.flags, dependencies)

    # --- afterwards -----------------------------------------------------------------------------------------------

    def done(self) -> None:
        """The store has it, and reading sees it."""
        with self._lock:
            if not self._over:
                self._done()

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
