"""The smallest whole program: inputs, a query on another one, an edit, and why what ran.

Run it with ``python examples/quickstart.py``.
"""

from __future__ import annotations

import incr


@incr.input
class File:
    path: str = incr.key()
    text: str


@incr.query
def words(db: incr.View, path: str) -> int:
    print(f"  counting {path}")
    return len(db[File, path].text.split())


@incr.query
def total(db: incr.View) -> int:
    print("  adding up")
    return sum(words(db, path) for path in db.keys(File))


def main() -> None:
    db = incr.Database()
    with db.batch() as batch:
        batch.set(File("a.txt", text="one two"))
        batch.set(File("b.txt", text="three"))
    print("first:", total(db))
    print("again:", total(db))
    db.set(File("b.txt", text="  three  "))
    print("after an edit that changes no count:", total(db))
    db.set(File("b.txt", text="three four"))
    print("after one that does:", total(db))
    print(db.explain(total))


if __name__ == "__main__":
    main()
