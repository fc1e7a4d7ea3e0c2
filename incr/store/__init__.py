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
