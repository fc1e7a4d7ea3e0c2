"""Files: bytes and offsets, never a value.

Law: nothing in this package knows what a query, a record or a Python object of the program is, and nothing outside of
it touches the disk. Every width, order and unit stands in docs/format.md and in `layout` and `segment`, side by side.

`directory` is the disk as a dozen calls, `files` and `memory` have them, `whole` is whole files; `checksum` the
digests, `layout` the fixed parts of a file, `base` a whole file, `columns` the packing of many things into one stream.

`ownership` says whether a directory may be trusted. `encrypted` is a directory in front of another one, `cipher` its
bytes, `records` what they make together.

The log: `segment` is its bytes, `scan` reads one file of it, `segments` all of them, `repair` opens what a crash has
left, `appender` writes, `writer` lets many write, `lock` keeps others out, `log` is what a program can use by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from incr.store.appender import Limits
    from incr.store.directory import Directory, File
    from incr.store.encrypted import EncryptedDirectory
    from incr.store.files import FileDirectory
    from incr.store.log import Log, LogReader, Replay
    from incr.store.memory import MemoryDirectory
    from incr.store.memory_store import MemoryStore
    from incr.store.repair import Cut
    from incr.store.segments import SegmentRange
    from incr.store.writer import Flush

__all__ = [
    "Cut",
    "Directory",
    "EncryptedDirectory",
    "File",
    "FileDirectory",
    "Flush",
    "Limits",
    "Log",
    "LogReader",
    "MemoryDirectory",
    "MemoryStore",
    "Replay",
    "SegmentRange",
]

#: Most programs need few of these, and no program all the modules below: each is loaded by who asks for it first.
_HOMES = {
    "Cut": "incr.store.repair",
    "Directory": "incr.store.directory",
    "EncryptedDirectory": "incr.store.encrypted",
    "File": "incr.store.directory",
    "FileDirectory": "incr.store.files",
    "Flush": "incr.store.writer",
    "Limits": "incr.store.appender",
    "Log": "incr.store.log",
    "LogReader": "incr.store.log",
    "MemoryDirectory": "incr.store.memory",
    "MemoryStore": "incr.store.memory_store",
    "Replay": "incr.store.log",
    "SegmentRange": "incr.store.segments",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found
