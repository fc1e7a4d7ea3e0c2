"""The measured programs, as data and as the work that a body does, without any engine.

Law: every peer takes names, texts, imports and the arithmetic of its bodies from here, so that all do the same work and
must come to the same answers (the runner compares them).

- *chain*: node 0 reads an input, node i adds one to node i - 1.
- *fan*: one root adds up n children, each of which reads an input of its own.
- *layers*: ten layers of n nodes; each adds up five neighbours of the layer below, the lowest one five inputs; one root
  adds up the last layer.
- *keystroke*: n files with four queries each and 15 edges a file: `parse` (1: the source), `signature` (1: parse),
  `resolve` (6: parse and five imported signatures), `check` (6: parse, resolve and four imported signatures), and
  the root, which reads every `check` (1). A body edit changes `parse` and nothing after it.
- *memos*: ten calls for each of n / 10 inputs, each a short string.

All values are strings and integers: some peers compare nothing else, and they would never backdate.
"""

from __future__ import annotations

LAYERS = 10
EDGES_OF_LAYER = 5
CALLS_PER_INPUT = 10
MODULUS = 1_000_003


def path(index: int) -> str:
    """The name of file *index*."""
    return f"package/module{index:05}.py"


def paths(count: int) -> list[str]:
    """The names of *count* files."""
    return [path(index) for index in range(count)]


def text(index: int, version: int) -> str:
    """The text of file *index*; *version* is in its body, so its signature is always the same."""
    return f"def function{index}(a, b)|    return a + b + {version}\n"


def imports(count: int) -> dict[str, tuple[str, ...]]:
    """For each file the five files that it imports."""
    return {path(i): tuple(path((i + 1 + 13 * k) % count) for k in range(5)) for i in range(count)}


def below(index: int, width: int) -> list[int]:
    """The five neighbours in the layer below that node *index* reads."""
    return [(index + k) % width for k in range(EDGES_OF_LAYER)]


def edited(step: int, count: int) -> int:
    """Which of *count* inputs the edit number *step* touches: far apart, and the same in every process."""
    return (step * 7919 + 17) % count


def signature_of(parsed: str) -> str:
    """What of a parsed file others can see."""
    return parsed.partition("|")[0]


def part_of(source: str, index: int) -> str:
    """The value of one of the ten calls of an input."""
    return f"{index}:{source[4:20]}"
