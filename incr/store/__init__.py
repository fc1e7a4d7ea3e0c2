"""Files: bytes and offsets, never a value.

Law: nothing in this package knows what a query, a record or a Python object of the program is, and nothing outside
of it touches the disk. Every width, order and unit stands in docs/format.md and in `layout`, side by side.

`directory` is the disk, `checksum` the digests, `layout` the fixed parts of a file, `base` a whole file,
`columns` the packing of many small things into one stream.
"""
