"""From the disk to the inputs: which files, which text, and which of them need not be read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import incr
from incr.demo.inputs import Folder, Source, Tree
from incr.demo.reading import Change, is_analysed, list_folders, look, read_source, read_tree, tree_of, update_files

MakeTree = Callable[[Mapping[str, str]], Path]

#: Long before any test runs, so that nobody takes the file for one that may still be changing.
LONG_AGO = 1_600_000_000


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as written long ago, though the test has just made it."""
    monkeypatch.setattr("incr.demo.reading._SETTLED", -3_600_000_000_000)


def test_the_files_of_a_tree(tree: MakeTree) -> None:
    root = tree(
        {
            "a.py": "",
            "b/c.py": "",
            "b/d.txt": "",
            "__pycache__/e.py": "",
            ".hidden/f.py": "",
            "site-packages/g.py": "",
            "environment/pyvenv.cfg": "",
            "environment/lib/h.py": "",
        }
    )
    (root / "folder.py").mkdir()
    (root / "link").symlink_to(root / "b", target_is_directory=True)
    (root / "dangling.py").symlink_to(root / "nowhere")
    assert {folder: list(files) for folder, files in list_folders(root)} == {"": ["a.py"], "b": ["c.py"]}
    assert is_analysed("b/c.py")
    assert not is_analysed("b/__pycache__/c.py")
    assert not is_analysed("b/c.pyc")


ENCODED = {
    "utf-8": ("é = 1\n".encode(), "é = 1\n"),
    "with a mark": (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
    "as the file says": (b"# -*- coding: latin-1 -*-\n'\xe9'\n", "# -*- coding: latin-1 -*-\n'é'\n"),
    "with carriage returns": (b"x = 1\r\ny = 2\r\n", "x = 1\r\ny = 2\r\n"),
    "empty": (b"", ""),
}


@pytest.mark.parametrize(("content", "text"), ENCODED.values(), ids=ENCODED.keys())
def test_the_text_of_a_file(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(content)
    assert read_source(tmp_path, "a.py") == Source("a.py", text=text)


UNREADABLE = {
    "no such encoding": b"# coding: nonsense\n",
    "not that encoding": b"x = '\xff\xfe'\n",
    "two encodings": b"\xef\xbb\xbf# coding: latin-1\n",
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_without_a_text_is_a_value(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(content)
    source = read_source(tmp_path, "a.py")
    assert source.text == ""
    assert source.problem


def test_a_file_that_is_gone_is_a_value(tmp_path: Path) -> None:
    assert "No such file" in read_source(tmp_path, "a.py").problem


def test_where_names_are_looked_for(tree: MakeTree) -> None:
    root = tree({"a/__init__.py": "", "a/b/__init__.py": "", "src/c.py": ""})
    assert tree_of(root) == Tree(root=str(root), package="", starts=("", "src"))
    assert tree_of(root / "a") == Tree(root=str(root / "a"), package="a")
    assert tree_of(root / "a" / "b") == Tree(root=str(root / "a" / "b"), package="a.b")


@pytest.mark.trio
@pytest.mark.usefixtures("settled")
async def test_a_file_is_read_again_only_if_its_stamp_is_another_one(tree: MakeTree) -> None:
    root = tree({"a.py": "a = 1", "b.py": "b = 1"})
    db = incr.Database()
    assert await read_tree(db, root) == Change(files=2, read=2, changed=2)
    revision = db.revision
    assert await read_tree(db, root) == Change(files=2, read=0, changed=0)
    assert db.revision == revision

    os.utime(root / "a.py", (LONG_AGO, LONG_AGO))  # touched, with the same text
    assert await read_tree(db, root) == Change(files=2, read=1, changed=0)

    tree({"a.py": "a = 2"})
    (root / "b.py").unlink()
    assert await read_tree(db, root) == Change(files=1, read=1, changed=2)
    assert db[Source, "a.py"].text == "a = 2"
    assert (Source, "b.py") not in db
    assert db[Folder, ""].stamps.keys() == {"a.py"}
    (root / "a.py").unlink()
    assert await read_tree(db, root) == Change(files=0, read=0, changed=1)
    assert (Folder, "") not in db


@pytest.mark.trio
async def test_a_file_that_may_still_be_changing_has_no_stamp(tree: MakeTree) -> None:
    # Written again within the same tick of the file system's clock, it would keep its stamp.
    root = tree({"a.py": "a = 1"})
    db = incr.Database()
    await read_tree(db, root)
    assert db[Folder, ""].stamps == {"a.py": ""}
    assert await read_tree(db, root) == Change(files=1, read=1, changed=0)


@pytest.mark.trio
@pytest.mark.usefixtures("settled")
async def test_stamps_of_another_root_mean_nothing(tree: MakeTree, tmp_path: Path) -> None:
    root = tree({"a.py": "a = 1"})
    db = incr.Database()
    await read_tree(db, root)
    root.rename(tmp_path / "moved")
    assert await read_tree(db, tmp_path / "moved") == Change(files=1, read=1, changed=0)


@pytest.mark.trio
@pytest.mark.usefixtures("settled")
async def test_a_look_tells_what_there_is_to_read(tree: MakeTree) -> None:
    root = tree({"a.py": "a = 1", "b/c.py": "", "b/d.py": ""})
    db = incr.Database()
    assert look(db, root).stale.keys() == {"a.py", "b/c.py", "b/d.py"}
    await read_tree(db, root)
    tree({"a.py": "a = 22", "b/e.py": ""})
    (root / "b" / "c.py").unlink()
    found = look(db, root)
    assert (found.files, set(found.stale), found.gone) == (3, {"a.py", "b/e.py"}, {"b/c.py"})
    assert db[Source, "a.py"].text == "a = 1"  # looking changes nothing


@pytest.mark.trio
async def test_one_revision_for_all_that_changed(tree: MakeTree) -> None:
    root = tree({f"{name}.py": "" for name in "abcdef"})
    db = incr.Database()
    await read_tree(db, root)
    revision = db.revision
    tree({f"{name}.py": "x = 1" for name in "abc"})
    (root / "f.py").unlink()
    progress: list[tuple[int, int]] = []
    await read_tree(db, root, lambda done, total: progress.append((done, total)))
    assert db.revision == revision + 1
    assert progress == [(done, 5) for done in range(1, 6)]


@pytest.mark.trio
async def test_updating_takes_files_and_folders_that_came_changed_or_went(tree: MakeTree, tmp_path: Path) -> None:
    root = tree({"a.py": "a = 1", "b/c.py": "", "b/d/e.py": "", "bb.py": ""})
    db = incr.Database()
    await read_tree(db, root)

    tree({"a.py": "a = 2", "new.py": "", "notes.txt": ""})
    assert (await update_files(db, root, ["a.py", "new.py", "notes.txt", "b"])).changed == 2
    assert list(db.keys(Source)) == ["a.py", "b/c.py", "b/d/e.py", "bb.py", "new.py"]

    (root / "b").rename(root / "f")
    (root / "a.py").unlink()
    assert (await update_files(db, root, ["a.py", "b", "f"])).changed == 5
    assert list(db.keys(Source)) == ["bb.py", "f/c.py", "f/d/e.py", "new.py"]

    (root / "f").rename(root / ".f")
    assert (await update_files(db, root, ["f", ".f", "nothing.py"])).changed == 2
    assert list(db.keys(Source)) == ["bb.py", "new.py"]
