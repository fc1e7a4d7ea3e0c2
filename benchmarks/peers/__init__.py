"""One module per measured system, each the same programs in that system's own words; see `shapes` for the programs.

Law: a module here imports its system and the standard library only, does the same work in the same bodies with
arguments of the same shape as the others, and leaves out what its system cannot express instead of imitating it.
"""
