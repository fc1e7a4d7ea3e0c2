"""The system calls of a program that concern one directory, in order, as `strace` sees them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

#: Those that change files or make changes last.
CALLS = "mkdir,openat,pwrite64,fdatasync,fsync,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,flock"
_LINE = re.compile(r"(?:\d+ +)?(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+).*")
_UNFINISHED = re.compile(r"(?P<thread>\d+) +(?P<begin>\w+\(.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. \w+ resumed>(?P<end>.*)")


def why_not_traced(folder: Path) -> str | None:
    """Why programs cannot be traced here; None if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    output = folder / "trial"
    trial = subprocess.run(["strace", "-f", "-y", "-o", str(output), "true"], capture_output=True, check=False)
    return f"strace cannot trace here: {trial.stderr[-200:]!r}" if trial.returncode else None


def system_calls(program: str, directory: Path, trace: Path) -> list[str]:
    """What `python -c program directory` does there: "call name", with "." for the directory itself.

    Opening is listed only where it creates a file; calls that fail are left out.
    """
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(trace), "-e", f"trace={CALLS}"]
    subprocess.run([*command, sys.executable, "-c", program, str(directory)], check=True)
    return [text for line in _whole_lines(trace.read_text(encoding="utf-8")) if (text := _listed(line, str(directory)))]


def _whole_lines(text: str) -> list[str]:
    """The lines, each call as one: a thread that waits in one while another thread runs has two."""
    begun: dict[str, str] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if match := _UNFINISHED.fullmatch(line):
            begun[match["thread"]] = match["begin"]
        elif match := _RESUMED.fullmatch(line):
            lines.append(begun.pop(match["thread"]) + match["end"])
        else:
            lines.append(line)
    return lines


def _listed(line: str, directory: str) -> str | None:
    match = _LINE.fullmatch(line)
    if match is None or match["result"].startswith("-"):
        return None
    call, arguments = match["call"], match["arguments"]
    names = [name.lstrip("/") or "." for name in re.findall(re.escape(directory) + r"(/[^\">]*|)(?=[\">])", arguments)]
    if call == "openat":
        return f"create {names[0]}" if names and "O_CREAT" in arguments else None
    if not names:
        parent = f"<{directory.rpartition('/')[0]}>"
        return f"{call} .." if parent in arguments else None
    if call == "ftruncate":
        return f"{call} {names[0]} {arguments.rpartition(', ')[2]}"
    return f"{call} {' '.join(names)}"
