"""A program that lives in a directory does not pay for what it does not use: the modules that opening imports."""

from __future__ import annotations

import pytest

import incr.store
from project import run_python

PROGRAM = """
import sys
import incr

@incr.input
class Source:
    path: str = incr.key()
    text: str

@incr.query
def length(db: incr.View, path: str) -> int:
    return len(db[Source, path].text)

before = set(sys.modules)
with incr.open(sys.argv[1]) as db:
    db.set(Source("a", text=f"{db.revision}"))
    length(db, "a")
    db.checkpoint()
print(*sorted(set(sys.modules) - before))
"""

#: Of incr: the codec, fingerprints, what ties a graph to a store, and files; of whole files only what stores need, too.
PERSIST = {"_code", "_declared", "_garbage", "_pushed", "_reason"}
STORE = {
    "appender", "block", "cache", "changes", "checksum", "closing", "columns", "contents", "current", "delta",
    "directory", "file_store", "files", "home", "index", "layout", "lock", "opening", "options", "overlay",
    "ownership", "page", "paged", "paged_write", "pipeline", "place", "publish", "repair", "rewrite", "rows", "scan",
    "sections", "segment", "segments", "survey", "undo", "writer",
}  # fmt: skip
#: What takes milliseconds, and is for other places: SQLite, encryption, compression, network, other programs.
COSTLY = {
    "asyncio", "cryptography", "concurrent.futures", "_hashlib", "hashlib", "hmac", "json", "logging", "pickle",
    "selectors", "shutil", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "trio", "urllib.parse", "zstandard",
}  # fmt: skip


@pytest.mark.spec("lazy.open")
def test_a_directory_needs_only_what_it_uses(tmp_path_factory: pytest.TempPathFactory) -> None:
    script = tmp_path_factory.mktemp("program") / "program.py"
    script.write_text(PROGRAM)
    found = set(run_python(str(script), str(script.with_name("state"))).split())
    assert {name.removeprefix("incr.store.") for name in found if name.startswith("incr.store.")} <= STORE
    assert {name.removeprefix("incr._persist.") for name in found if name.startswith("incr._persist.")} <= PERSIST
    others = {name for name in found if name.startswith("incr.")} - {"incr.store", "incr._persist"}
    assert {name.split(".")[1] for name in others} <= {"_codec", "_durable", "_fingerprint", "_persist", "store"}
    assert found & COSTLY == set()
    assert "incr.store.file_store" in found


@pytest.mark.spec("lazy.open")
def test_names_of_the_package_are_found_when_they_are_asked_for() -> None:
    assert {name: getattr(incr.store, name).__name__ for name in incr.store.__all__} == {
        name: name for name in incr.store.__all__
    }
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        incr.store.Nothing  # noqa: B018 - that it raises is the point
    script = "import sys, incr.store; print([name for name in sys.modules if name.startswith('incr.store.')])"
    assert run_python("-c", script) == "[]\n"
    script = "from incr.store import *; print(Log.__module__, MemoryStore.__module__)"
    assert run_python("-c", script) == "incr.store.log incr.store.memory_store\n"
