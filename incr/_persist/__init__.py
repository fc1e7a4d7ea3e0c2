"""Persistence: the only place that sees both the graph and files.

`_jobs` is where whole files are saved and loaded; `_code`, `_declared`, `_pushed` and `_garbage` serve stores too.

Law: a file is one revision of one database, whole; a load replaces everything or nothing; no answer depends on whether
something was saved and loaded in between. What only whole files need is not loaded with what stores need.
"""
