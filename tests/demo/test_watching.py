"""`--watch`: each set of changed paths is read, and what it made run is said. The test plays the disk's messenger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

import incr
from incr.cli.output import Progress
from incr.cli.watch import file_changes, watch
from incr.demo.inputs import Source
from incr.demo.measuring import analyse
from incr.demo.reading import read_tree

MakeTree = Callable[[Mapping[str, str]], Path]


class Heard:
    """An output that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def heading(self, text: str) -> None:
        self.said.append(text)

    def lines(self, lines: Iterable[str]) -> None:
        self.said.extend(lines)

    @contextmanager
    def progress(self, label: str) -> Generator[Progress, None, None]:
        yield lambda done, total: None

    def take(self) -> str:
        said = "\n".join(self.said)
        self.said.clear()
        return said


@pytest.mark.trio
@pytest.mark.spec("demo.watch")
async def test_each_change_is_read_and_explained(tree: MakeTree) -> None:
    root = tree({"a.py": "def f(x):\n    return x\n", "b.py": "from a import f\nf(1)\n", "c.py": ""})
    db = incr.Database()
    await read_tree(db, root)
    analyse(db)
    heard = Heard()

    async def changes() -> AsyncIterator[set[str]]:
        tree({"a.py": "def f(x):\n    y = x\n    return y\n"})
        yield {"a.py"}
        body = heard.take()
        assert "Changed: a.py" in body
        assert "1 executed" in body
        assert "ran parse('a.py'): the same as before" in body
        assert "summary(): verified" in body
        assert "from Source['a.py']" in body

        tree({"a.py": "def g(x):\n    return x\n"})
        yield {"a.py"}
        assert "ran missing('b.py'): something new" in heard.take()

        tree({"b.py": "import os\nfrom a import nowhere\n"})
        yield {"b.py"}
        found = heard.take()
        assert "b.py:1: unused import: os" in found
        assert "b.py:2: missing name: a.nowhere" in found

        (root / "b.py").unlink()
        tree({"new/d.py": "import a"})
        yield {"b.py", "new", "new/d.py"}
        assert "Changed: b.py, new, new/d.py" in heard.take()
        assert list(db.keys(Source)) == ["a.py", "c.py", "new/d.py"]

    await watch(db, root, changes(), heard)
    assert heard.take() == ""


@pytest.mark.trio
@pytest.mark.spec("demo.watch")
async def test_a_file_that_is_saved_without_a_difference_is_not_spoken_of(tree: MakeTree) -> None:
    root = tree({"a.py": "x = 1"})
    db = incr.Database()
    await read_tree(db, root)
    analyse(db)
    heard = Heard()
    revision = db.revision

    async def changes() -> AsyncIterator[set[str]]:
        tree({"a.py": "x = 1", "notes.txt": "", "__pycache__/a.py": ""})
        yield {"a.py", "notes.txt", "__pycache__/a.py", "__pycache__"}

    await watch(db, root, changes(), heard)
    assert heard.take() == ""
    assert db.revision == revision


@pytest.mark.trio
@pytest.mark.spec("demo.watch")
async def test_the_disk_is_asked_by_watchfiles(tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    watchfiles = pytest.importorskip("watchfiles", reason="--watch needs it")
    root = tree({"a.py": "", "b/c.py": ""})
    asked: list[Path] = []

    async def awatch(path: Path, watch_filter: Callable[[object, str], bool]) -> AsyncIterator[set[tuple[int, str]]]:
        asked.append(path)
        assert watch_filter(1, str(root / "a.py"))
        assert not watch_filter(1, str(root / "__pycache__" / "a.pyc"))
        yield {(1, str(root / "a.py")), (2, str(root / "b" / "c.py"))}

    monkeypatch.setattr(watchfiles, "awatch", awatch)
    assert [paths async for paths in file_changes(root)] == [{"a.py", "b/c.py"}]
    assert asked == [root]
