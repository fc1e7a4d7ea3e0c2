"""What one function, class or value is: tokens that are fed to a digest, and the own functions and classes named there.

Law: a token never holds an address, nor an order that the hash seed decides; objects that cannot be described by value
count by the name of their class.
"""

from __future__ import annotations

import enum
import functools
import struct
import sys
from types import (
    BuiltinFunctionType,
    CodeType,
    EllipsisType,
    FunctionType,
    MethodType,
    ModuleType,
    NoneType,
    NotImplementedType,
)
from typing import TYPE_CHECKING, Any, Final, ForwardRef

from incr._fingerprint.home import Home, module_name
from incr._fingerprint.merkle import Description, digest_of
from incr._fingerprint.reach import (
    MISSING,
    annotation_chains,
    cell_value,
    follow,
    imported,
    module_attribute,
    references,
)
from incr._fingerprint.text import code_text, source_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Writer", "local_description"]

#: Values that are written as bytes.
_ATOMS: Final[dict[type, Callable[[Any], bytes]]] = {
    NoneType: lambda value: b"",
    EllipsisType: lambda value: b"",
    NotImplementedType: lambda value: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: hex(value).encode(),
    float: struct.Struct("<d").pack,
    complex: lambda value: struct.pack("<dd", value.real, value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: bytes,
}

#: Wrappers around functions, and where the function is.
_WRAPPERS: Final[dict[type, tuple[str, ...]]] = {
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    MethodType: ("__func__", "__self__"),
    functools.partial: ("func", "args", "keywords"),
    functools.cached_property: ("func",),
    type(functools.lru_cache(len)): ("__wrapped__",),
}

#: Containers that are nested deeper than this count by their class.
_DEEPEST: Final = 100


def local_description(thing: Any, home: Home) -> Description:
    """What *thing* (an own function or class, or a function that wraps one) is by itself."""
    return _function_description(thing, home) if isinstance(thing, FunctionType) else _class_description(thing, home)


def _function_description(function: FunctionType, home: Home) -> Description:
    writer = Writer(home)
    code = function.__code__
    module_globals = function.__globals__
    writer.token("function", _name_of(function))
    if home.owns(module_globals):
        text = source_text(code, module_globals)
        writer.write(code_text(code) if text is None else text)
        writer.write((function.__defaults__, function.__kwdefaults__))
        writer.annotations(function.__annotations__, module_globals)
        writer.reached(code, module_globals)
    cells = (cell_value(cell) for cell in function.__closure__ or ())
    standard = module_name(module_globals).partition(".")[0] in sys.stdlib_module_names
    for name, value in zip(code.co_freevars, cells, strict=True):
        # A wrapper of the standard library is looked through; its plain values may be counters of its own.
        if not (standard and type(value) in _ATOMS):
            writer.token("cell", name)
            writer.write(value)
    writer.write(vars(function).get("__wrapped__"))
    return writer.description()


def _class_description(kind: type, home: Home) -> Description:
    writer = Writer(home)
    writer.token("class", f"{kind.__module__}.{kind.__qualname__}")
    writer.write((type(kind), kind.__bases__))
    module = sys.modules.get(kind.__module__)
    writer.annotations(getattr(kind, "__annotations__", {}), vars(module) if module is not None else {})
    enumeration = isinstance(kind, enum.EnumMeta)
    if isinstance(kind, enum.EnumMeta):
        # Members are values that name the class again.
        members: dict[str, Any] = dict(kind.__members__)
        writer.write([(name, member.value) for name, member in members.items()])
    for name, value in sorted(vars(kind).items()):
        code = isinstance(value, FunctionType) or type(value) in _WRAPPERS
        plain = not (name.startswith("__") and name.endswith("__")) or name == "__match_args__"
        # What else a class body leaves in the class follows from the rest.
        if code or (plain and not enumeration):
            writer.token("attribute", name)
            writer.write(value)
    return writer.description()


class Writer:
    """Collects what describes one thing: tokens in order, and the functions and classes that it names."""

    def __init__(self, home: Home, around: list[int] | None = None) -> None:
        self.children: list[Any] = []
        self._home = home
        self._parts: list[bytes] = []
        #: The containers around the value that is being written: a value inside of itself is written once.
        self._around = around or []

    def description(self) -> Description:
        """All that was written."""
        return Description(digest_of(self._parts), self.children)

    def digest_with(self, digests: list[bytes]) -> bytes:
        """The digest of all that was written, with those of the children."""
        return digest_of([*self._parts, *digests])

    def token(self, kind: str, text: str | bytes = b"") -> None:
        """One item of the description."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        self._parts += (kind.encode("utf-8", "surrogatepass"), data)

    def child(self, thing: Any) -> None:
        """A function or class whose own description counts too."""
        self.token("child", _name_of(thing))
        self.children.append(thing)

    def annotations(self, annotations: dict[str, Any], module_globals: dict[str, Any]) -> None:
        """Annotations, evaluated or not, with the classes that they name."""
        for name, hint in annotations.items():
            self.token("annotation", name)
            self.write(hint)
            self._named_by_hint(hint, module_globals)

    def _named_by_hint(self, hint: Any, module_globals: dict[str, Any]) -> None:
        """The classes that text in an annotation names: all of it is text, or a part (`list["Point"]`)."""
        text = hint.__forward_arg__ if isinstance(hint, ForwardRef) else hint
        if isinstance(text, str):
            for chain in annotation_chains(text):
                self.write(follow(chain, module_globals, self._home))
            return
        parts = getattr(hint, "__args__", ())
        for part in parts if isinstance(parts, tuple) else ():
            self._named_by_hint(part, module_globals)

    # spec: fingerprint.reach
    def reached(self, code: CodeType, module_globals: dict[str, Any]) -> None:
        """What *code* names outside of itself."""
        named = references(code)
        for chain in named.chains:
            value = follow(chain, module_globals, self._home)
            if value is not MISSING:  # a builtin: the version of Python stands for it
                self.token("name", ".".join(chain))
                self.write(value)
        for value in imported(named, module_globals, self._home):
            self.token("import")
            self.write(value)

    def fields(self, kind: type) -> None:
        """The names of the fields of somebody else's data class, attrs class or named tuple, in order.

        A stored value has them. An own class says its fields by its annotations and its constructor.
        """
        declared: dict[str, Any] = vars(kind).get("__dataclass_fields__", {})
        attributes: tuple[Any, ...] = vars(kind).get("__attrs_attrs__", ())
        self.write([*declared, *(attribute.name for attribute in attributes), vars(kind).get("_fields")])

    def write(self, value: Any) -> None:
        """Any value."""
        kind = _class_of(value)
        if kind in _ATOMS:
            self.token(kind.__name__, _ATOMS[kind](value))
        elif kind is FunctionType:
            self._write_function(value)
        elif isinstance(value, type):
            self._write_class(value)
        elif id(value) in self._around or len(self._around) > _DEEPEST:
            self._write_class(kind)
        else:
            self._around.append(id(value))
            self._write_container(value)
            self._around.pop()

    def _write_function(self, function: FunctionType) -> None:
        own = self._home.owns(function.__globals__)
        ingredient = vars(function).get("__incr__")
        if ingredient is not None:
            # A query has a fingerprint of its own.
            self.token("query", str(ingredient.identity))
        elif own or function.__closure__ or "__wrapped__" in vars(function):
            self.child(function)
        else:
            self.token("function", _name_of(function))

    def _write_class(self, kind: type) -> None:
        if self._home.owns_class(kind):
            self.child(kind)
        else:
            self.token("class", f"{kind.__module__}.{kind.__qualname__}")
            self.fields(kind)

    def _write_container(self, value: Any) -> None:
        kind = _class_of(value)
        if isinstance(value, ModuleType):
            self._write_module(value)
        elif kind is BuiltinFunctionType:
            # A method bound to a value (`re.compile("x").match`) or a function of a module.
            self.token("builtin", value.__qualname__)
            self.write(value.__self__)
        elif kind in _WRAPPERS:
            self.token(kind.__name__)
            for name in _WRAPPERS[kind]:
                self.write(getattr(value, name))
        elif kind is tuple or kind is list:
            self.token(kind.__name__, str(len(value)))
            for item in value:
                self.write(item)
        elif kind is dict:
            self.token("dict", str(len(value)))
            for key, item in value.items():
                self.write(key)
                self.write(item)
        elif issubclass(kind, (set, frozenset)):
            self._write_set(value)
        else:
            self._write_instance(value)

    def _write_set(self, value: set[Any] | frozenset[Any]) -> None:
        described: list[tuple[bytes, Any]] = []
        for item in value:
            alone = Writer(self._home, self._around)
            alone.write(item)
            described.append((alone.description().digest, item))
        self._write_class(type(value))
        for _, item in sorted(described, key=lambda pair: pair[0]):
            self.write(item)

    def _write_module(self, module: ModuleType) -> None:
        self.token("module", module_name(vars(module)))
        if self._home.owns(vars(module)):
            # It is passed around, or asked by `getattr`: anything in it may be meant.
            for name in sorted(vars(module)):
                if not (name.startswith("__") and name.endswith("__")):
                    self.token("name", name)
                    self.write(module_attribute(module, name))

    def _write_instance(self, value: Any) -> None:
        kind = _class_of(value)
        self._write_class(kind)
        for part in _reduced(value, self._home):
            # Items come as iterators, in the value's own order.
            self.write(list(part) if hasattr(part, "__next__") else part)


def _reduced(value: object, home: Home) -> tuple[Any, ...]:
    """*value* as pickle would take it apart, where its class says how, or is the program's own; else nothing."""
    import copyreg

    kind = type(value)
    reducer = copyreg.dispatch_table.get(kind)
    if reducer is None and not home.owns_class(kind) and not _has_value(kind):
        return ()
    try:
        parts: str | tuple[Any, ...] = value.__reduce_ex__(4) if reducer is None else reducer(value)
    except Exception:  # a program's own code, or a class that refuses: its name must do
        return ()
    return (parts,) if isinstance(parts, str) else parts


def _has_value(kind: type) -> bool:
    """Whether instances of a class of somebody else's are values: its authors say how to take them apart.

    What others are made of (a lock, a client, a database) says nothing, and may differ at each look.
    """
    if kind.__module__.partition(".")[0] == "incr":
        return False
    data = (bytes, dict, float, frozenset, int, list, set, str, tuple)
    hooks = ("__getstate__", "__reduce__", "__reduce_ex__")
    said = any(getattr(kind, name, None) is not getattr(object, name, None) for name in hooks)
    return said or "__dataclass_fields__" in vars(kind) or issubclass(kind, data)


def _class_of(value: object) -> type[object]:
    return type(value)


def _name_of(thing: Any) -> str:
    """Where a function or class is defined; for a function its globals say it (`__module__` may be copied)."""
    module = module_name(thing.__globals__) if isinstance(thing, FunctionType) else thing.__module__
    return f"{module}.{thing.__qualname__}"
