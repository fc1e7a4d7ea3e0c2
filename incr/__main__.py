"""``python -m incr``: the command."""

from __future__ import annotations

import sys

from incr.cli import main

if __name__ == "__main__":
    sys.exit(main())
