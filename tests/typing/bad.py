"""Wrong programs: type checkers report each line marked as an error, and no other."""

import incr


@incr.input
class Source:
    path: str = incr.key()
    text: str


@incr.input(durability=incr.Durability.HIGH)
class Settings:
    root: str
    strict: bool = False


@incr.interned
class Symbol:
    name: str


@incr.query
def words(db: incr.View, path: str) -> int:
    return len(db[Source, path].text)


@incr.query(version=2)
async def later(db: incr.View, path: str, n: int = 1) -> int:
    return words(db, path) + n


def use(db: incr.Database, view: incr.View) -> None:
    view.set(Source("a", "b"))  # error: set on a view
    view.remove(Source, "a")  # error: remove on a view
    words(db, 3)  # error: argument type
    words("a")  # error: no db
    words(db)  # error: missing argument
    words(db, "a", "b")  # error: too many arguments
    Source("a", txt="b")  # error: unknown field
    Source("a")  # error: missing field
    Source("a", 3)  # error: field type
    Settings()  # error: missing field
    Settings(root=".", strict="no")  # error: field type
    Symbol(3)  # error: field type
    db[Source, "a"].text = "y"  # error: frozen
    db[Settings].root = "y"  # error: frozen
    Symbol("a").name = "b"  # error: frozen
    db[Source, "a"].txt  # error: no such field
    db.explain(words, 3)  # error: argument type
    db.explain(words)  # error: missing argument
    x: str = words(db, "a")  # error: result type
    y: Source = db.intern(Symbol("a"))  # error: result type
    later(db, "a").upper()  # error: coroutine
    later(db, "a", n="b")  # error: argument type
    incr.Snapshot().set(Source("a", "b"))  # error: set on a snapshot
    db.set(Source("a", "b"), durability=3)  # error: durability type


@incr.query  # error: no db parameter
def f(path: str) -> int:
    return 1


@incr.query(lru="many")  # error: unknown type of an option
def g(db: incr.View) -> int:
    return 1


async def awaited(db: incr.Database) -> None:
    a: int = later(db, "a")  # error: not awaited
    b: str = await later(db, "a")  # error: result type
