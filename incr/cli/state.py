"""Where the state of an analysed tree is kept if nothing else is asked for."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

__all__ = ["state_file"]


def state_file(root: Path) -> Path:
    """A file in the user's cache folder, one for each tree."""
    # The digest tells trees of the same name apart; the name is for people who look into the folder.
    digest = hashlib.blake2b(os.fsencode(root), digest_size=6).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]", "_", root.name) or "root"
    return _cache_folder() / "incr" / "demo" / f"{name}-{digest}.incr"


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
    return Path(named) if named else Path.home() / ".cache"
