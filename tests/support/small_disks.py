"""A real disk that is small: a program is run where one is mounted for it alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'


def _command(size: str, folder: Path, *command: str) -> list[str]:
    """*command* in a world of its own, where *folder* is an empty disk of *size*."""
    own = ["-m"] if os.geteuid() == 0 else ["-U", "-r", "-m"]
    return ["unshare", *own, "sh", "-c", _MOUNT, "sh", size, str(folder), *command]


def why_no_small_disk(folder: Path) -> str | None:
    """Why there can be none here; None if there can."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "unshare or mount is not installed"
    trial = subprocess.run(_command("64k", folder, "true"), capture_output=True, check=False)
    return f"nothing can be mounted here: {trial.stderr[-200:]!r}" if trial.returncode else None


def on_a_small_disk(program: str, size: str, folder: Path) -> str:
    """What `python -c program folder` prints, with a disk of *size* at *folder*."""
    command = _command(size, folder, sys.executable, "-c", program, str(folder))
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
