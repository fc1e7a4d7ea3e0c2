"""Fuzz one target with atheris: `python tests/fuzz/run.py TARGET [OPTION OF LIBFUZZER]…`; see `nox -s fuzz`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
with atheris.instrument_imports(include=["incr"]):
    from fuzz_targets import TARGETS, same_checksums


def main(name: str, *options: str) -> None:
    """Run until libFuzzer's options say that it is enough."""
    seeds, check = TARGETS[name]
    with same_checksums(), tempfile.TemporaryDirectory(prefix=f"incr-fuzz-{name}-") as corpus:
        for number, seed in enumerate(seeds()):
            Path(corpus, str(number)).write_bytes(seed)
        atheris.Setup(
            [sys.argv[0], corpus, "-rss_limit_mb=1024", "-malloc_limit_mb=256", "-timeout=20", *options], check
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
