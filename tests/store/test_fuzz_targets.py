"""What is fuzzed by the hour elsewhere (`nox -s fuzz`) holds here for seeds and for some thousands of damaged ones."""

from __future__ import annotations

from random import Random

import pytest

from fuzz_targets import TARGETS, same_checksums


def damaged(seed: bytes, random: Random) -> bytes:
    """The seed with something changed, cut out, doubled or put in."""
    data = bytearray(seed)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.choice((1, 1, 2, 4, 8, 30)))
        match random.randrange(6):
            case 0:
                data[at:end] = bytes(end - at)
            case 1:
                data[at:end] = b"\xff" * (end - at)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end]
            case 4:
                data[at:end] = random.randbytes(end - at)
            case _:
                data[at:end] = bytes((byte + random.choice((-1, 1))) & 0xFF for byte in data[at:end])
    return bytes(data)


@pytest.mark.spec(
    "base.bounded",
    "base.checksum",
    "log.bounded",
    "log.rollback",
    "paged.bounded",
    "store.delta",
    "codec.allow",
    "crypto.damage",
)
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_bytes_are_taken_or_refused(name: str) -> None:
    target = TARGETS[name]
    seed = 20
    print("seed", seed)
    random = Random(seed)
    with same_checksums():
        seeds = target.seeds()
        for data in seeds:
            target.check(data)
        for _ in range(400):
            target.check(damaged(random.choice(seeds), random))
