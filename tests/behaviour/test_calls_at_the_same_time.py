"""`incr.map` and `incr.gather`: concurrent calls, recorded in the order of the arguments, failing like a sequence."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

import incr
from incr.testing import Recorder
from tasks import Gate, until

pytestmark = pytest.mark.anyio


@incr.input
class Text:
    name: str = incr.key()
    text: str


class Order:
    """Decides which calls end first: a call with the number n waits until n others have ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.running = 0
        self.most = 0
        self._changed = anyio.Event()

    async def end(self, name: str, after: int) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.lowlevel.checkpoint()
            while len(self.ended) < after:
                await self._changed.wait()
            self.ended.append(name)
        finally:
            self.running -= 1
        self._changed.set()
        self._changed = anyio.Event()


order: Order


@pytest.fixture(autouse=True)
def a_new_order() -> None:
    global order
    order = Order()


@incr.query
async def length(db: incr.View, name: str) -> int:
    text = db[Text, name].text
    after, _, rest = text.partition(":")
    await order.end(name, int(after))
    if rest == "fails":
        raise ValueError(name)
    return len(rest)


@incr.query
async def total(db: incr.View, names: str) -> int:
    return sum(await incr.map(db, length, names))


@incr.query
async def pair(db: incr.View, one: str, two: str) -> tuple[int, int]:
    return await incr.gather(db, length(db, one), length(db, two))


def write(db: incr.Database, **texts: str) -> None:
    with db.batch() as batch:
        for name, text in texts.items():
            batch.set(Text(name, text=text))


def dependencies(db: incr.Database, query: Any, *arguments: Any) -> list[str]:
    ingredient = query.__incr__
    node = db._graph.tables[ingredient.index][ingredient.row(arguments)]
    return [one.label() for one in node.dependencies]


@pytest.mark.spec("map.order")
async def test_reads_are_recorded_in_the_order_of_the_arguments(db: incr.Database) -> None:
    write(db, a="2:xxx", b="1:xx", c="0:x")
    assert await total(db, "abc") == 6
    assert order.ended == ["c", "b", "a"]
    assert dependencies(db, total, "abc") == ["length('a')", "length('b')", "length('c')"]
    assert await pair(db, "c", "a") == (1, 3)
    assert dependencies(db, pair, "c", "a") == ["length('c')", "length('a')"]
    db.check_invariant()


@pytest.mark.spec("map.order")
async def test_values_come_in_the_order_of_the_arguments_outside_of_queries_too(db: incr.Database) -> None:
    write(db, a="1:xxx", b="0:xx")
    assert await incr.map(db, length, ["a", "b", "a"]) == [3, 2, 3]
    with db.snapshot() as view:
        assert await incr.gather(view, length(view, "b"), length(view, "a")) == (2, 3)
    assert await incr.map(db, length, []) == []
    assert await incr.gather(db) == ()


@pytest.mark.spec("map.order")
async def test_map_calls_a_plain_query_for_one_key_after_the_other(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    def shout(db: incr.View, name: str) -> str:
        return name.upper()

    assert await incr.map(db, shout, "ba") == ["B", "A"]
    assert ran.take() == ["shout('b')", "shout('a')"]


@pytest.mark.spec("map.limit")
@pytest.mark.parametrize(("limit", "most"), [(None, 4), (3, 3), (2, 2), (1, 1), (9, 4)])
async def test_at_most_so_many_calls_run_at_a_time(db: incr.Database, limit: int | None, most: int) -> None:
    write(db, a="0:x", b="0:x", c="0:x", d="0:x")
    assert await incr.map(db, length, "abcd", limit=limit) == [1] * 4
    assert order.most == most


@pytest.mark.spec("map.limit")
@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "2"])
async def test_a_wrong_limit_is_named(db: incr.Database, limit: Any) -> None:
    with pytest.raises(TypeError, match=r"map\(limit=...\) wants how many calls may run at a time"):
        await incr.map(db, length, "a", limit=limit)


@pytest.mark.spec("map.errors")
@pytest.mark.parametrize(
    ("texts", "failed"),
    [
        ({"a": "0:x", "b": "0:fails", "c": "2:x"}, "b"),  # what is behind is cancelled
        ({"a": "1:fails", "b": "0:fails", "c": "9:x"}, "a"),  # what is before is waited for, and decides
        ({"a": "1:x", "b": "0:fails", "c": "9:fails"}, "b"),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
async def test_the_first_failing_argument_decides(
    db: incr.Database, texts: dict[str, str], failed: str, inside: bool
) -> None:
    write(db, **texts)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the arguments are compared below
        if inside:
            await total(db, "abc")
        else:
            await incr.gather(db, *(length(db, name) for name in "abc"))
    assert caught.value.args == (failed,)
    db.check_invariant()
    write(db, a="0:x", b="0:x", c="0:x")
    assert await total(db, "abc") == 3
    db.check_invariant()


@pytest.mark.spec("map.errors")
async def test_calls_that_were_cancelled_are_not_read(db: incr.Database, ran: Recorder) -> None:
    write(db, a="0:fails", b="9:x")

    @incr.query
    async def careful(db: incr.View) -> str:
        try:
            await incr.map(db, length, "ab")
        except ValueError as error:
            return f"no {error}"
        return "yes"

    assert await careful(db) == "no a"
    assert dependencies(db, careful) == ["length('a')"]
    assert ran.take() == ["length('a')", "careful()"]
    write(db, b="0:yy")
    assert await careful(db) == "no a"
    assert ran.take() == []
    db.check_invariant()


@pytest.mark.spec("map.groups")
async def test_members_of_a_group_are_brought_up_to_date_at_the_same_time(db: incr.Database, ran: Recorder) -> None:
    write(db, a="0:x", b="0:x", c="0:x", d="0:x")
    assert await total(db, "abcd") == 4
    ran.take()
    write(db, a="6:y", b="5:y", d="4:y")  # equal lengths: the sum need not run; d has to end before b, b before a
    assert await total(db, "abcd") == 4
    assert order.ended[4:] == ["d", "b", "a"]
    assert ran.take() == ["length('d')", "length('b')", "length('a')"]
    db.check_invariant()


@pytest.mark.spec("map.groups")
async def test_a_later_group_waits_for_what_comes_before(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    async def two_steps(db: incr.View) -> int:
        if sum(await incr.map(db, length, "ab")) > 2:
            return 0
        return sum(await incr.map(db, length, "cd"))

    write(db, a="0:x", b="0:x", c="0:x", d="0:x")
    assert await two_steps(db) == 2
    ran.take()
    write(db, a="0:yyy", b="0:z", c="0:zz", d="0:zz")
    assert await two_steps(db) == 0
    assert sorted(ran.take()) == ["length('a')", "length('b')", "two_steps()"]
    db.check_invariant()


@pytest.mark.spec("map.groups")
async def test_groups_below_groups(db: incr.Database, ran: Recorder) -> None:
    @incr.query
    async def everything(db: incr.View) -> int:
        return sum(await incr.map(db, total, ["ab", "cd"]))

    write(db, a="0:x", b="0:x", c="0:x", d="0:x")
    assert await everything(db) == 4
    ran.take()
    write(db, a="7:y", b="6:y", c="5:y", d="4:y")
    assert await everything(db) == 4
    assert order.ended[4:] == ["d", "c", "b", "a"]
    assert sorted(ran.take()) == [f"length('{name}')" for name in "abcd"]
    db.check_invariant()


@pytest.mark.spec("map.groups")
async def test_a_loop_through_a_group_is_found_in_verification_too(db: incr.Database) -> None:
    @incr.query
    async def node(db: incr.View, name: str) -> int:
        following = db[Text, name].text
        return 1 + sum(await incr.map(db, node, following))

    write(db, a="bc", b="d", c="d", d="")
    assert await node(db, "a") == 5
    write(db, d="a", b="d ".strip())
    with pytest.raises(incr.CycleError):
        await node(db, "a")
    write(db, d="")
    assert await node(db, "a") == 5
    db.check_invariant()


@incr.query
async def careful(db: incr.View, names: str, limit: int | None) -> str:
    try:
        return str(await incr.map(db, length, names, limit=limit))
    except ValueError as error:
        return f"no {error}"


@pytest.mark.spec("map.order", "map.errors")
async def test_a_call_that_was_not_made_is_no_dependency_even_if_its_memo_is_good(
    db: incr.Database, ran: Recorder
) -> None:
    write(db, a="0:x", b="0:fails", c="0:x")
    assert await length(db, "c") == 1
    assert await careful(db, "abc", 1) == "no b"
    assert dependencies(db, careful, "abc", 1) == ["length('a')", "length('b')"]
    ran.take()
    write(db, c="0:xx")
    assert await careful(db, "abc", 1) == "no b"
    assert ran.take() == []
    db.check_invariant()


@pytest.mark.spec("map.groups", "map.errors")
async def test_what_is_behind_a_failing_call_is_not_touched_by_verification(db: incr.Database, ran: Recorder) -> None:
    write(db, a="0:x", b="0:fails", c="0:x")
    assert await careful(db, "abc", 1) == "no b"
    ran.take()
    write(db, a="1:x", b="1:fails")
    assert await careful(db, "abc", 1) == "no b"
    assert sorted(ran.take()) == ["length('a')", "length('b')"]
    db.check_invariant()


@pytest.mark.spec("map.limit", "map.groups")
async def test_the_limit_holds_in_verification_too(db: incr.Database) -> None:
    names = "abcdefghijkl"
    write(db, **dict.fromkeys(names, "0:x"))
    assert await careful(db, names, 3) == str([1] * 12)
    order.most = 0
    write(db, **dict.fromkeys(names, "0:y"))
    assert await careful(db, names, 3) == str([1] * 12)
    assert order.most == 3


@pytest.mark.spec("map.groups")
async def test_a_late_result_does_not_say_what_the_groups_of_the_current_one_are(
    db: incr.Database, ran: Recorder
) -> None:
    gate = Gate()

    @incr.query
    async def chosen(db: incr.View) -> int:
        found = sum(await incr.map(db, length, db[Text, "names"].text))
        if len(db[Text, "names"].text) > 2:
            await gate.wait()
        return found

    write(db, a="0:x", b="0:x", c="0:x", d="0:x", names="abc")
    async with anyio.create_task_group() as group:
        group.start_soon(chosen, db)
        await until(lambda: gate.arrived == 1)
        write(db, names="ad")
        assert await chosen(db) == 2
        gate.open()
    ran.take()
    write(db, a="0:y", b="0:y", c="0:y", d="0:y")
    assert await chosen(db) == 2
    assert sorted(ran.take()) == ["length('a')", "length('d')"]  # the body does not ask for b and c any more
    db.check_invariant()


@pytest.mark.spec("map.groups")
@pytest.mark.parametrize("touched", [1, 2, 12])
async def test_members_of_a_wide_group_are_found_in_order(db: incr.Database, ran: Recorder, touched: int) -> None:
    @incr.query
    async def size(db: incr.View, name: str) -> int:
        return len(db[Text, name].text)

    @incr.query
    async def wide(db: incr.View) -> int:
        return sum(await incr.map(db, size, names))

    names = [f"{number:03}" for number in range(100)]
    write(db, **dict.fromkeys(names, "x"))
    assert await wide(db) == 100
    ran.take()
    some = names[7 :: 100 // touched][:touched]
    write(db, **dict.fromkeys(some, "y"))
    assert await wide(db) == 100
    assert sorted(ran.take()) == [f"size('{name}')" for name in some]
    db.check_invariant()


@pytest.mark.spec("map.errors")
async def test_cancelling_all_of_it_leaves_no_trace(db: incr.Database) -> None:
    write(db, a="0:x", b="9:x", c="9:x")
    with anyio.move_on_after(0) as scope:
        await total(db, "abc")
    assert scope.cancelled_caught
    db.check_invariant()
    write(db, b="0:xx", c="0:xx")
    assert await total(db, "abc") == 5
    db.check_invariant()


@pytest.mark.spec("map.order")
async def test_gather_wants_a_view_first(db: incr.Database) -> None:
    wrong: Any = length(db, "a")
    with pytest.raises(TypeError, match="gather\\(\\) wants a database"):
        await incr.gather(wrong, length(db, "b"))
    wrong.close()


@pytest.mark.spec("map.order")
async def test_map_wants_a_query(db: incr.Database) -> None:
    wrong: Any = len
    with pytest.raises(TypeError, match="is not a function declared with"):
        await incr.map(db, wrong, "a")


@pytest.mark.spec("map.order")
async def test_outside_of_queries_all_values_of_map_are_of_one_revision(db: incr.Database) -> None:
    write(db, a="0:x", b="1:x", c="2:x")

    async def edit() -> None:
        while not order.ended:
            await anyio.lowlevel.checkpoint()
        write(db, a="0:yy", b="0:yy", c="0:yy")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(edit)
        assert await incr.map(db, length, "abc", limit=1) == [1, 1, 1]
    assert await incr.map(db, length, "abc") == [2, 2, 2]
