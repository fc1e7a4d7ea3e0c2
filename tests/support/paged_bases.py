"""Bases of random programs, and what they should say."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from incr.store import MemoryDirectory
from incr.store.contents import BaseHeader
from incr.store.directory import Directory
from incr.store.overlay import Layer, NoRows, Overlay, Rows
from incr.store.paged import PagedBase
from incr.store.paged_write import write_base
from incr.store.rows import Content, Delta, Head, Row, SectionInfo
from store_programs import Model

__all__ = ["STORE_ID", "Bases", "base_of", "check_rows", "head_of", "overlay_of"]

STORE_ID = bytes(range(16))


def overlay_of(rows: Mapping[int, tuple[Row, Content]], removed: tuple[int, ...] = ()) -> Overlay:
    """An overlay with these rows."""
    overlay = Overlay()
    overlay.apply(Delta(1, [], None, 0, rows, [], [], removed))
    return overlay


def head_of(*sections: SectionInfo, pages: int = 8) -> Head:
    """A head with these sections."""
    return Head(7, sections, b"classes", pages, 3)


def base_of(
    directory: Directory,
    name: str,
    head: Head,
    old: PagedBase | None,
    overlay: Overlay,
    *,
    generation: int = 1,
    compress: bool = False,
    store_id: bytes = STORE_ID,
) -> PagedBase:
    """A base that was just written, open."""
    header = BaseHeader(store_id, generation, head.revision, head.last)
    size = write_base(directory, name, header, head, old, overlay, compress=compress)
    base = PagedBase.open(directory, name)
    file = directory.open_to_read(name)
    assert file.size() == size
    file.close()
    assert base.header == header
    return base


def check_rows(rows: Rows, model: Model) -> None:
    """What can be asked for rows is what the model says."""
    for number, (row, content) in model.rows.items():
        assert rows.has(number)
        assert rows.row(number) == row
        assert rows.content(number) == content
        assert sorted(rows.dependents(number)) == model.dependents(number)
        assert rows.find(row.section, row.key) == number
    for section in (*model.sections, len(model.sections)):
        members = sorted(number for number, (row, _) in model.rows.items() if row.section == section)
        assert list(rows.rows_of(section)) == members
        for key in (b"", b"a", b"never there"):
            there = [number for number in members if model.rows[number][0].key == key]
            assert rows.find(section, key) == (there[0] if there else None)
    gone = next(number for number in count() if number not in model.rows)
    assert not rows.has(gone)


class Bases:
    """A base and an overlay that take what a program does, and become the next base now and then."""

    def __init__(self, *, compress: bool) -> None:
        self.directory = MemoryDirectory()
        self.compress = compress
        self.base: PagedBase | None = None
        self.overlay = Overlay()
        self.model = Model()
        self._generation = 0

    @property
    def rows(self) -> Layer:
        """Base and overlay as one."""
        return Layer("here", self.base or NoRows("here"), self.overlay)

    def fold(self) -> PagedBase:
        """Make a base of both."""
        self._generation += 1
        name = f"base-{self._generation}"
        self.base = base_of(
            self.directory,
            name,
            self.model.head(),
            self.base,
            self.overlay,
            generation=self._generation,
            compress=self.compress,
        )
        self.overlay = Overlay()
        return self.base
