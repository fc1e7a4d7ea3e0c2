"""A log of typed entries without a database: what was appended is there again after a crash.

Run it with ``python examples/change_log.py DIRECTORY``, and once more: it goes on where it was.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from incr.codec import Codec
from incr.store import Log


@dataclass(frozen=True)
class Deposit:
    account: str
    cents: int


@dataclass(frozen=True)
class Closing:
    account: str


def main(directory: str) -> None:
    codec: Codec[Deposit | Closing] = Codec(Deposit, Closing)
    with Log(directory, encode=codec.encode, decode=codec.decode) as log:
        balances: dict[str, int] = {}
        for _, entry in log.replay():
            match entry:
                case Deposit(account, cents):
                    balances[account] = balances.get(account, 0) + cents
                case Closing(account):
                    balances.pop(account)
        print(f"{log.entry_count()} entries: {balances}")
        log.append(Deposit("ada", 500))
        # Both or none, whenever the power goes.
        log.append_batch([Deposit("ada", -200), Deposit("ben", 200)])


if __name__ == "__main__":
    main(sys.argv[1])
