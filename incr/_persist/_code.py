"""What code a query is, as what is stored with its memos.

Law: one digest for one code, whatever the file or the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from incr._errors import short_repr
from incr._fingerprint import fingerprint

__all__ = ["fingerprint_by"]


def fingerprint_by(code: Any) -> Callable[[Any], bytes]:
    """What code a query is; all of them are *code* if the program says so."""
    if code is None:
        return _fingerprint_of
    if not isinstance(code, str):
        raise TypeError(f"code is a text (a release, a commit) or None, not {short_repr(code)}")
    from hashlib import blake2b

    digest = blake2b(code.encode("utf-8", "surrogatepass"), digest_size=16, person=b"incr code").digest()
    return lambda ingredient: digest


def _fingerprint_of(ingredient: Any) -> bytes:
    if ingredient.accumulator is not None:  # its code is incr's own
        return bytes(16)
    recovery = ingredient.recovery
    if recovery is None:
        return fingerprint(ingredient.function, version=ingredient.version)
    if recovery.digest is None:
        recovery.digest = fingerprint(ingredient.function, version=ingredient.version, options=recovery.parts)
    digest: bytes = recovery.digest
    return digest
