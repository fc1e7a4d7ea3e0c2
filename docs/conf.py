"""Sphinx's configuration: the pages are Markdown, and a link that leads nowhere is an error."""

from __future__ import annotations

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "incr"
author = "the incr authors"
copyright = "2026, the incr authors"
release = version = _project["version"]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

# Headings can be linked to as pages on a forge do: `reference.md#views`.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"incr {release}"
html_copy_source = False
