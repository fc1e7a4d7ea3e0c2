"""Use the demo's analysis as a library: problems of the Python files below a folder, incrementally, kept in a file.

Run it twice with ``python examples/analyse_tree.py FOLDER STATE``: the second time nothing is computed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import incr
from incr.demo.inputs import Source, Tree, this_interpreter
from incr.demo.queries import report


def main(folder: Path, state: Path) -> int:
    db = incr.Database()
    db.load(state, on_corrupt="quarantine")
    texts = {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*.py"))}
    with db.batch() as batch:
        batch.set(Tree(root=str(folder.resolve())))
        batch.set(this_interpreter())
        for path, text in texts.items():
            batch.set(Source(path, text=text))  # equal to the stored one: no change
        for path in db.keys(Source):
            if path not in texts:
                batch.remove(Source, path)
    for path in db.keys(Source):
        for problem in report(db, path).problems:
            print(f"{path}:{problem.line}: {problem.kind} {problem.text}")
    print(f"{db.statistics().executed} queries ran")
    db.save(state)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
