"""Wrappers compiled for a query's exact signature: a hit binds no arguments and builds no key that it can avoid.

Law: a wrapper is a plain function (an object with ``__call__`` would recurse through C). Its fast path is one look-up,
one test and one note of the read; whatever else there is to find out is left to the slow path. It takes no lock: no
other thread can have written between the look-up and the value, or it is looked whether one has.

Keeps: call.hit, call.key, call.exact, call.colour.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, Final, final

from incr._exact import PLAIN, Exact, exact_key
from incr._running import running

__all__ = ["Signature"]

_STARRED: Final = 0x04
_DOUBLE_STARRED: Final = 0x08

#: What look-ups in the tables raise where there is no such row, no table, no such handle, or no hash.
_MISSES: Final = (LookupError, TypeError, AttributeError)

# Between the look-up and the value no Python code runs, so no other thread does either.
_HIT: Final = """\
    if {plain}:
        try:
            _incr_node = {db}._at.tables[{index}][{row}]
        except _incr_misses:
            pass
        else:
            if _incr_node.hot:
                _incr_value = _incr_node.value
                _incr_reads = {db}._reads
                if _incr_reads is not None:
                    _incr_reads[_incr_node] = None
                    return _incr_value
                if _incr_running() is None:
                    return _incr_value
"""

# To hash and compare such keys may take Python code, in which another thread may have written.
_CHECKED_HIT: Final = """\
    try:
        _incr_row = {key}
        _incr_at = {db}._at
        _incr_node = _incr_at.tables[{index}][_incr_row]
    except _incr_misses:
        pass
    else:
        if _incr_node.hot:
            _incr_value = _incr_node.value
            if _incr_at.tables:
                _incr_reads = {db}._reads
                if _incr_reads is not None:
                    _incr_reads[_incr_node] = None
                    return _incr_value
                if _incr_running() is None:
                    return _incr_value
"""

# A call that nobody has made before runs right here: two Python frames for each call of a chain.
_BEGIN: Final = """\
    try:
        _incr_frame = _incr_begin({db}, _incr_ingredient, {key})
    except _incr_misses:
        _incr_frame = None
    if _incr_frame is None:
"""

_FAIL: Final = """\
    except BaseException as _incr_error:
        _incr_fail(_incr_frame, _incr_error)
        raise
"""

_SYNC: Final = """\
def {name}({header}):
{hit}\
{begin}\
        return _incr_miss({db}, ({arguments}))
    try:
        return _incr_end(_incr_frame, _incr_function(_incr_frame{forwarded}))
{fail}\
"""

# The colour is checked at the call, where the mistake is, not when somebody awaits.
_ASYNC: Final = """\
def {name}({header}):
    if getattr({db}, '_sync', True) or ({db}._reads is None and _incr_running() is not None):
        _incr_refuse({db}, ({arguments}))
    return _incr_call({db}, {passed})

async def _incr_call({plain_header}):
{hit}\
{begin}\
        return await _incr_miss({db}, ({arguments}))
    try:
        await _incr_checkpoint()
        return _incr_end(_incr_frame, await _incr_function(_incr_frame{forwarded}))
{fail}\
"""

_REST: Final = """\
def _incr_bind({header}):
    return ({arguments})

def _incr_key({plain_header}):
    return {key}

def _incr_invoke(_incr_function, {db}, _incr_key):
    {unpack}return _incr_function({db}{handed})
"""


@final
class Signature:
    """A query function's parameters behind its first one, and what is compiled from them."""

    __slots__ = ("_code", "_defaults", "_kwdefaults", "_namespace", "db", "double_starred", "names", "starred")

    def __init__(self, function: Any) -> None:
        code: CodeType = function.__code__
        count = code.co_argcount
        names = code.co_varnames
        if not count:
            raise TypeError(
                f"the query {function.__name__}() needs a first parameter for the database: "
                f"def {function.__name__}(db: incr.View, ...)"
            )
        self._code = code
        self._defaults = function.__defaults__
        self._kwdefaults = function.__kwdefaults__
        self.db = names[0]
        if len(self._defaults or ()) >= count:
            raise TypeError(f"the first parameter of the query {function.__name__}() cannot have a default")
        end = count + code.co_kwonlyargcount
        self.starred = names[end] if code.co_flags & _STARRED else None
        end += self.starred is not None
        self.double_starred = names[end] if code.co_flags & _DOUBLE_STARRED else None
        extra = (self.starred, self.double_starred)
        self.names = (*names[1 : count + code.co_kwonlyargcount], *(name for name in extra if name is not None))
        self._namespace: dict[str, Any] = {}

    # spec: call.hit
    # spec: call.key
    def compile(
        self,
        function: Any,
        index: int,
        miss: Callable[..., Any],
        refuse: Callable[..., Any] | None,
        first: dict[str, Any],
    ) -> Any:
        """The wrapper; *refuse* is given for awaited queries, *first* is what the first run of a call needs."""
        kinds = {name: self._kind(name, function.__annotations__.get(name)) for name in self.names}
        exact = {name: self._exact(name, kind) for name, kind in kinds.items()}
        parts: dict[str, Any] = {
            "name": function.__name__ if function.__name__.isidentifier() else "query",
            "db": self.db,
            "index": index,
            "header": self._header(),
            "plain_header": ", ".join((self.db, *self.names)),
            "arguments": "".join(f"{name}, " for name in self.names),
            "passed": ", ".join(self.names),
            "key": self._key(exact),
            "row": self._key({name: name for name in self.names}),
            "plain": " and ".join(f"_incr_type({name}) is _incr_{kind}" for name, kind in kinds.items()) or "True",
            "unpack": self._unpack(),
            "handed": self._handed(),
        }
        parts["forwarded"] = self._forwarded()
        hit = _CHECKED_HIT if None in kinds.values() else _HIT
        parts |= {"hit": hit.format(**parts), "begin": _BEGIN.format(**parts), "fail": _FAIL}
        source = (_SYNC if refuse is None else _ASYNC).format(**parts) + _REST.format(**parts)
        namespace: dict[str, Any] = {
            "_incr_exact": exact_key,
            "_incr_Exact": Exact,
            "_incr_plain": PLAIN,
            "_incr_misses": _MISSES,
            "_incr_running": running.get,
            "_incr_miss": miss,
            "_incr_refuse": refuse,
            "_incr_function": function,
            "_incr_type": type,
            "_incr_sorted": sorted,
            "_incr_str": str,
            "_incr_int": int,
            "_incr_bytes": bytes,
        }
        namespace |= first
        exec(compile(source, f"<incr query {function.__qualname__}>", "exec"), namespace)
        self._namespace = namespace
        for name in (parts["name"], "_incr_bind"):
            namespace[name].__defaults__ = self._defaults
            namespace[name].__kwdefaults__ = self._kwdefaults
        return namespace[parts["name"]]

    def bind(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The arguments of a call, defaults filled in, one for each name."""
        arguments: tuple[Any, ...] = self._namespace["_incr_bind"](None, *args, **kwargs)
        return arguments

    def key(self, arguments: tuple[Any, ...]) -> Any:
        """The row of the call with these arguments."""
        return self._namespace["_incr_key"](None, *arguments)

    def invoker(self) -> Callable[[Any, Any, Any], Any]:
        """``invoke(function, frame, key)``: call the function with a row's arguments."""
        invoke: Callable[[Any, Any, Any], Any] = self._namespace["_incr_invoke"]
        return invoke

    def _header(self) -> str:
        """The parameters as the function has them; defaults are put in afterwards, as objects."""
        code = self._code
        positional = [self.db, *self.names[: code.co_argcount - 1]]
        first_default = len(positional) - len(self._defaults or ())
        parts = [f"{name}=None" if place >= first_default else name for place, name in enumerate(positional)]
        parts.insert(max(code.co_posonlyargcount, 1), "/")
        keyword_only = self.names[code.co_argcount - 1 : code.co_argcount - 1 + code.co_kwonlyargcount]
        if self.starred is not None:
            parts.append(f"*{self.starred}")
        elif keyword_only:
            parts.append("*")
        parts += [f"{name}=None" if name in (self._kwdefaults or {}) else name for name in keyword_only]
        if self.double_starred is not None:
            parts.append(f"**{self.double_starred}")
        return ", ".join(parts)

    def _kind(self, name: str, annotation: Any) -> str | None:
        """The type that the parameter is said to have, if it is one of the usual ones, which need no look-up."""
        if name not in (self.starred, self.double_starred):
            for kind in (str, int, bytes):
                if annotation is kind or annotation == kind.__name__:
                    return kind.__name__
        return None

    def _exact(self, name: str, kind: str | None) -> str:
        """The expression for the parameter's part of the key."""
        if name == self.double_starred:
            return f"_incr_exact(tuple(_incr_sorted({name}.items())))"
        if kind is not None:
            return f"({name} if _incr_type({name}) is _incr_{kind} else _incr_exact({name}))"
        return f"({name} if _incr_type({name}) in _incr_plain else _incr_exact({name}))"

    def _key(self, exact: dict[str, str]) -> str:
        if len(self.names) == 1:
            return exact[self.names[0]]
        return f"({''.join(f'{exact[name]}, ' for name in self.names)})"

    def _unpack(self) -> str:
        if len(self.names) == 1:
            return f"{self.names[0]} = _incr_key; "
        return f"{', '.join(self.names)}, = _incr_key; " if self.names else ""

    def _forwarded(self) -> str:
        """The wrapper's own arguments, handed on as they are."""
        forwarded = ""
        for place, name in enumerate(self.names):
            if name == self.starred:
                forwarded += f", *{name}"
            elif name == self.double_starred:
                forwarded += f", **{name}"
            else:
                forwarded += f", {name}={name}" if place >= self._code.co_argcount - 1 else f", {name}"
        return forwarded

    def _handed(self) -> str:
        code = self._code
        handed = ""
        for place, name in enumerate(self.names):
            value = f"({name}.value if _incr_type({name}) is _incr_Exact else {name})"
            if name == self.starred:
                value = f"*{value}"
            elif name == self.double_starred:
                value = f"**dict({value})"
            elif place >= code.co_argcount - 1:
                value = f"{name}={value}"
            handed += f", {value}"
        return handed
