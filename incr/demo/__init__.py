"""An analysis of a tree of Python files, made as a program that uses incr would be made: copy from it.

Read it in this order:

- `inputs`: the facts, one record for each file, and what else an answer depends on;
- `values`: what the queries answer with;
- `queries`: the analysis itself, one query for each question;
- `syntax`, with `scopes`, `statements`, `signatures` and `modules`: what the queries call, plain functions that know
  nothing of incr;
- `reading`: async, from the disk to the inputs;
- `edits` and `measuring`: changes of one file's text, and what they cost;
- `workers`: the same by several threads at once, and a request that is answered while files change.

`incr.cli` runs it as the command ``incr demo``.
"""
