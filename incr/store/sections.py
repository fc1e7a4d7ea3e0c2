"""What sections of a store say of each other, looked at before it is believed.

Law: numbers that a section has are numbers of sections and revisions that there are.

Keeps: lazy.code.
"""

from __future__ import annotations

from incr._errors import CorruptError
from incr.store.rows import Head

__all__ = ["check_sections"]


# spec: lazy.code
def check_sections(path: str, head: Head) -> None:
    """Look at what sections say of each other.

    Raises:
        CorruptError: that cannot be.
    """
    numbers = {info.number for info in head.sections}
    for info in head.sections:
        if not numbers.issuperset(info.reads):
            raise CorruptError(path, 0, f"section {info.number} is said to depend on a section that is not there")
        if not (0 <= info.code_since <= head.revision and 0 <= info.doubt_since <= head.revision):
            raise CorruptError(path, 0, f"section {info.number} was doubted in a revision that has not been yet")
        if (info.pages > 0) is not (info.next_row > 0):
            raise CorruptError(path, 0, f"section {info.number} cannot have {info.pages} pages")
