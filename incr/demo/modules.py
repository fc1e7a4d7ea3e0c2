"""Where the module that an import names may be: Python's search rules as names of files.

Law: candidates only. Whether there is such a file is a question to the database, so that the answer is a dependency.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["candidates", "folder_of", "in_folder", "parent_name", "relative_place", "rest_of_name"]


def folder_of(path: str) -> str:
    """The folder that a file is in; "" is the root."""
    return path.rpartition("/")[0]


def in_folder(folder: str, name: str) -> str:
    """The path of *name* in *folder*."""
    return f"{folder}/{name}" if folder and name else folder or name


def parent_name(module: str) -> str:
    """The package of a dotted name; "" if there is none."""
    return module.rpartition(".")[0]


def rest_of_name(module: str, package: str) -> str | None:
    """The dotted name below the root folder, which is itself *package*; None if the name is not in it.

    >>> rest_of_name("email.mime.text", "email")
    'mime.text'
    """
    if not package or module == package:
        return "" if package else module
    return module.removeprefix(f"{package}.") if module.startswith(f"{package}.") else None


def candidates(folder: str, dotted: str) -> Iterator[str]:
    """The files that the dotted name may be below *folder*, in the order in which Python looks for them.

    >>> list(candidates("lib", "a.b"))
    ['lib/a/b/__init__.py', 'lib/a/b.py']
    """
    place = in_folder(folder, dotted.replace(".", "/"))
    yield in_folder(place, "__init__.py")
    if dotted:
        yield f"{place}.py"


def relative_place(path: str, level: int) -> str | None:
    """The folder that *level* leading dots mean in the file *path*; None if they lead out of the tree."""
    folder = folder_of(path)
    for _ in range(level - 1):
        if not folder:
            return None
        folder = folder_of(folder)
    return folder
