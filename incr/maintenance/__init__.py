"""Looking after stores: counting, dumping, verifying, copying, deleting and salvaging, whatever the backend.

Imported by itself. Everything here takes a store (see `incr.store.rows`) that no database has open.

Law: no class of the program is needed, and none is constructed.
"""

from incr.maintenance._copy import compare, copy
from incr.maintenance._delete import Deleted, delete
from incr.maintenance._dump import SectionCounts, count, dump, export
from incr.maintenance._salvage import Salvaged, salvage
from incr.maintenance._verify import Problem, verify

__all__ = [
    "Deleted",
    "Problem",
    "Salvaged",
    "SectionCounts",
    "compare",
    "copy",
    "count",
    "delete",
    "dump",
    "export",
    "salvage",
    "verify",
]
