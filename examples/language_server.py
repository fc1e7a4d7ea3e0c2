"""A small language server's loop, without a protocol: edits and requests in a queue, snapshots, worker threads.

Run it with ``python examples/language_server.py``. It plays a session: a user types while the symbols of all files are
asked for, one request is given up, and the last answers are about the last text.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import incr

WORKERS = 4


@incr.input
class Document:
    """One open file."""

    uri: str = incr.key()
    text: str


@incr.query
def symbols(db: incr.View, uri: str) -> tuple[str, ...]:
    """The functions that a file defines."""
    return tuple(line[4:].partition("(")[0] for line in db[Document, uri].text.splitlines() if line.startswith("def "))


@incr.query
def problems(db: incr.View, uri: str) -> tuple[str, ...]:
    """Names that are defined in another file, too."""
    others = {name: other for other in db.keys(Document) if other != uri for name in symbols(db, other)}
    return tuple(f"{name} is also in {others[name]}" for name in symbols(db, uri) if name in others)


# --- what the client sends ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """The text of a file is another one now."""

    uri: str
    text: str


@dataclass
class Request:
    """All symbols are asked for. The client may give up before it is answered."""

    name: str
    given_up: threading.Event = field(default_factory=threading.Event)
    #: Set by the session, so that it is certain what comes in before the work begins.
    may_begin: threading.Event = field(default_factory=threading.Event)


Message = Edit | Request | None  # None: the client is gone


# --- the server ---------------------------------------------------------------------------------------------------


class Server:
    """Takes messages one by one. Writing is quick and is done at once; requests are answered by workers."""

    def __init__(self) -> None:
        self.db = incr.Database()
        self.inbox: queue.Queue[Message] = queue.Queue()
        self.answers: queue.Queue[str] = queue.Queue()
        self._workers = ThreadPoolExecutor(WORKERS)

    def run(self) -> None:
        """Until the client is gone; requests that are under way are answered first."""
        with self._workers:
            while (message := self.inbox.get()) is not None:
                match message:
                    case Edit(uri, text):
                        self.db.set(Document(uri, text=text))  # waits for nobody who reads
                    case Request():
                        # Taken here, in the order of the messages: the answer is about what the client has sent so far.
                        self._workers.submit(self._answer, message, self.db.snapshot())

    def _answer(self, request: Request, view: incr.Snapshot) -> None:
        with view:
            request.may_begin.wait()
            found: list[str] = []
            for uri in view.keys(Document):
                if request.given_up.is_set():
                    self.answers.put(f"{request.name}: given up")
                    return
                found += [f"{uri}:{name}" for name in symbols(view, uri)]
            self.answers.put(f"{request.name}: revision {view.revision}: {' '.join(found)}")


# --- a session ----------------------------------------------------------------------------------------------------


def send(server: Server, messages: Iterable[Message]) -> None:
    for message in messages:
        server.inbox.put(message)


def main() -> None:
    server = Server()
    loop = threading.Thread(target=server.run)
    loop.start()

    early, doubtful, late = Request("early"), Request("doubtful"), Request("late")
    send(server, [Edit("shop", "def price(item):\n    ..."), Edit("till", "def pay(amount):\n    ...")])
    send(server, [early, doubtful])
    # The user types on, letter by letter, before the two are answered.
    send(
        server,
        [Edit("till", f"def pay(amount):\n    ...\ndef {'price'[:length]}():\n    ...") for length in range(1, 6)],
    )
    send(server, [late])

    doubtful.given_up.set()
    for request in (late, early, doubtful):  # the newest one is answered first
        request.may_begin.set()
        print(server.answers.get())

    send(server, [None])
    loop.join()
    print("problems now:", *problems(server.db, "till"))

    ran = server.db.statistics().queries["symbols"].executed
    print(f"symbols ran {ran} times for {server.db.revision} revisions of two files")


if __name__ == "__main__":
    main()
