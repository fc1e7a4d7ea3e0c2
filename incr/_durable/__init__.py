"""Databases that live in a store: opened without a look at what nobody asks for, committed as far as something changed.

`_backing` makes nodes of rows, `_opening` finds out what is not as it was, `_drafts` and `_commit` make deltas, and
`_session` holds all of it together. Files are below, in `incr.store`; here nobody touches one.

Law: no answer depends on whether a store, or which one, is below.
"""

from incr._durable._session import Session, open_session

__all__ = ["Session", "open_session"]
