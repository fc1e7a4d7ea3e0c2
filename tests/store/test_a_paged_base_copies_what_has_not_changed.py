"""What has not changed goes into the next base as it is stored; what has changed is made anew, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from incr.store import MemoryDirectory
from incr.store.block import DEPENDENTS, HEAD, VALUES
from incr.store.contents import BaseHeader
from incr.store.index import pack_bucket
from incr.store.overlay import Overlay
from incr.store.paged import PagedBase
from incr.store.paged_write import write_base
from incr.store.rows import CALLS, GOOD, Content, Delta, Head, Row, SectionInfo
from paged_bases import base_of, head_of, overlay_of

COUNT = 2_600  # eleven pages


def section(rows: int = COUNT) -> SectionInfo:
    return SectionInfo(0, CALLS, "calls", b"", (), rows)


def head(rows: int = COUNT) -> Head:
    return head_of(section(rows), pages=-(-rows // 256))


def many(count: int = COUNT, size: int = 50) -> dict[int, tuple[Row, Content]]:
    """Rows that each depend on up to five of the same page and the page before, in a way that never changes."""
    dice = random.Random(5)
    rows: dict[int, tuple[Row, Content]] = {}
    for number in range(count):
        near = tuple({dice.randrange(max(0, number - 300), number) for _ in range(5)}) if number else ()
        rows[number] = (Row(0, b"key %d" % number, 1, 1, GOOD, near), Content(dice.randbytes(size), b""))
    return rows


def digests(base: PagedBase, kind: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Page and digest of all blocks, or of all of a kind."""
    for number in range(base.table.pages):
        entry = base.table.page(number)
        if entry is not None:
            for stream in base.streams(number, entry):
                for block in stream.blocks:
                    if kind in (None, block.kind):
                        yield number, block.digest


def same(base: PagedBase, rows: dict[int, tuple[Row, Content]]) -> None:
    """The base has these rows."""
    assert list(base.rows_of(0)) == sorted(rows)
    dependents: dict[int, list[int]] = {number: [] for number in rows}
    for number, (row, content) in sorted(rows.items()):
        assert (base.row(number), base.content(number)) == (row, content)
        assert base.find(0, row.key) == number
        for dependency in row.dependencies:
            dependents[dependency].append(number)
    assert {number: list(base.dependents(number)) for number in rows} == dependents
    base.verify()


def written(directory: MemoryDirectory, rows: dict[int, tuple[Row, Content]]) -> PagedBase:
    """A base that has these rows, open with nothing read."""
    base_of(directory, "base", head(), None, overlay_of(rows)).close()
    return PagedBase.open(directory, "base")


@pytest.mark.spec("paged.copy")
def test_an_overlay_without_anything_decodes_nothing() -> None:
    directory = MemoryDirectory()
    old = written(directory, many())
    new = base_of(directory, "next", head(), old, Overlay(), generation=2)
    assert old.decoded == 0
    assert list(digests(new)) == list(digests(old))
    content, again = (directory.files()[name] for name in ("base", "next"))
    # But for the generation, and the digests of the header and over the table of contents.
    assert (len(content), content[64:-32], content[:32]) == (len(again), again[64:-32], again[:32])
    same(new, many())


@pytest.mark.spec("paged.copy")
def test_one_changed_row_rewrites_its_page_and_no_other() -> None:
    directory, rows = MemoryDirectory(), many()
    old = written(directory, rows)
    row = rows[1_000][0]
    rows[1_000] = (row._replace(changed_at=9), Content(b"another value", b"pushed"))
    new = base_of(directory, "next", head(), old, overlay_of({1_000: rows[1_000]}), generation=2)
    assert old.decoded == 1
    assert {page for page, _ in set(digests(new)) - set(digests(old))} == {3}
    assert set(digests(new, DEPENDENTS)) == set(digests(old, DEPENDENTS))
    same(new, rows)


@pytest.mark.spec("paged.copy")
@pytest.mark.parametrize("how", ["stamped", "changed"])
def test_contents_are_copied_where_only_heads_change(how: str) -> None:
    directory, rows = MemoryDirectory(), many()
    old = written(directory, rows)
    overlay = Overlay()
    if how == "stamped":
        overlay.apply(Delta(8, [], None, 11, {}, [300], [301], []))
        rows[300] = (rows[300][0]._replace(valid_from=8), rows[300][1])
        rows[301] = (rows[301][0]._replace(flags=0), rows[301][1])
    else:
        rows[300] = (rows[300][0]._replace(changed_at=8), rows[300][1])
        overlay.apply(Delta(8, [], None, 11, {300: (rows[300][0], None)}, [], [], []))
    new = base_of(directory, "next", head(), old, overlay, generation=2)
    assert set(digests(new, VALUES)) == set(digests(old, VALUES))
    assert set(digests(new, DEPENDENTS)) == set(digests(old, DEPENDENTS))
    assert {page for page, _ in set(digests(new, HEAD)) - set(digests(old, HEAD))} == {1}
    same(new, rows)


@pytest.mark.spec("paged.copy")
def test_a_row_that_is_used_anew_changes_what_depends_on_it_and_nothing_else() -> None:
    directory, rows = MemoryDirectory(), many()
    old = written(directory, rows)
    changed = rows[2_000][0]
    rows[2_000] = (changed._replace(dependencies=(5, *changed.dependencies[1:])), rows[2_000][1])
    overlay = Overlay()
    overlay.apply(Delta(8, [], None, 11, {2_000: (rows[2_000][0], None)}, [], [], []))
    new = base_of(directory, "next", head(), old, overlay, generation=2)
    lost = changed.dependencies[0] // 256
    assert {page for page, _ in set(digests(new, DEPENDENTS)) - set(digests(old, DEPENDENTS))} == {0, lost}
    assert {page for page, _ in set(digests(new, HEAD)) - set(digests(old, HEAD))} == {7}
    assert set(digests(new, VALUES)) == set(digests(old, VALUES))
    same(new, rows)


@pytest.mark.spec("paged.copy")
def test_a_changed_content_leaves_the_blocks_of_others_alone() -> None:
    """A page of long contents has many blocks, also of contents that are longer than a block."""
    directory, dice = MemoryDirectory(), random.Random(6)
    sizes = [20_000] * 20 + [150_000, 0, 65_536, 65_537, 131_072] + [20_000] * 20
    rows = {
        number: (Row(0, b"%d" % number, 1, 1, 0, ()), Content(dice.randbytes(size), b"p" * (size % 7)))
        for number, size in enumerate(sizes)
    }
    old = written(directory, rows)
    before = set(digests(old))
    assert len(list(digests(old, VALUES))) > 20
    for number in (3, 20, 21, 40):
        rows[number] = (rows[number][0], Content(dice.randbytes(30_000), b"new"))
        changes = overlay_of({number: rows[number]})
        new = base_of(directory, f"next {number}", head(), old, changes, generation=2)
        # At most those of the group, and of small ones beside it.
        assert len(set(digests(new, VALUES)) - before) <= 4
        same(new, rows)
        old, before = new, set(digests(new))


@pytest.mark.spec("paged.copy")
def test_pages_do_not_fall_to_pieces() -> None:
    """However often contents are written one by one, the blocks of a page stay few."""
    directory, dice, rows = MemoryDirectory(), random.Random(7), many(256, 200)
    old = written(directory, {number: rows[number] for number in range(128)})
    rows = {number: rows[number] for number in range(128)}
    for turn in range(128, 256):
        number = dice.choice((turn, dice.randrange(turn)))
        row = rows[number][0] if number in rows else Row(0, b"key %d" % number, 1, 1, GOOD, ())
        rows[number] = (row, Content(dice.randbytes(dice.choice((0, 100, 3_000))), b""))
        old = base_of(directory, f"base {turn}", head(), old, overlay_of({number: rows[number]}), generation=turn)
    total = sum(len(content.value) for _, content in rows.values())
    assert len(list(digests(old, VALUES))) <= 2 + total // 8_000
    same(old, rows)


@pytest.mark.spec("paged.copy", "paged.find")
def test_the_index_grows_and_shrinks_with_the_rows() -> None:
    directory, rows = MemoryDirectory(), many(200)
    base = base_of(directory, "0", head(), None, overlay_of(rows))
    buckets = [base.table.buckets]
    for generation, count in enumerate((900, 2_600, 2_590, 300, 40, 0), 2):
        wanted = many(count)
        new = {number: both for number, both in wanted.items() if number not in rows}
        gone = tuple(sorted(set(rows) - set(wanted)))
        base = base_of(directory, str(generation), head(), base, overlay_of(new, gone), generation=generation)
        rows = wanted
        assert len(base) == count
        buckets.append(base.table.buckets)
        same(base, rows)
        assert base.find(0, b"key 5000") is None
    assert buckets == [1, 4, 16, 16, 2, 1, 1]


@pytest.mark.spec("paged.copy")
def test_buckets_without_a_change_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    directory, rows = MemoryDirectory(), many()
    old = written(directory, rows)
    made: list[bytes] = []
    monkeypatch.setattr(
        "incr.store.paged_write.pack_bucket", lambda entries: made.append(pack_bucket(entries)) or made[-1]
    )
    overlay = overlay_of({COUNT: (Row(0, b"new", 1, 1, 0, ()), Content(b"", b""))}, (COUNT - 1, COUNT + 5))
    new = base_of(directory, "next", head(COUNT + 1), old, overlay, generation=2)
    changed = [number for number in range(16) if old.table.bucket(number)[2] != new.table.bucket(number)[2]]
    assert old.table.buckets == new.table.buckets == 16
    assert 1 <= len(changed) == len(made) <= 2
    assert (new.find(0, b"new"), new.find(0, b"key %d" % (COUNT - 1))) == (COUNT, None)
    del rows[COUNT - 1]
    rows[COUNT] = overlay.rows[COUNT][0], Content(b"", b"")
    same(new, rows)


@pytest.mark.spec("paged.write", "paged.verify")
def test_progress_is_told() -> None:
    directory, rows = MemoryDirectory(), many()
    told: list[tuple[int, int]] = []
    header = BaseHeader(bytes(16), 1, 7, 3)
    write_base(directory, "base", header, head(), None, overlay_of(rows), progress=lambda *both: told.append(both))
    assert told == [(done, 27) for done in range(1, 28)]
    told.clear()
    PagedBase.open(directory, "base").verify(lambda *both: told.append(both))
    assert told == [(done, 27) for done in range(1, 28)]
