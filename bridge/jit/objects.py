"""Lists, dicts and class instances that a program and Python share, or that cross from one to the other.

A plain list is copied when it goes into a program; what ``script`` makes of one is passed as it is, so that both sides see
what the other writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function, ScriptObject

__all__ = [
    "RecursiveScriptClass",
    "ScriptDict",
    "ScriptList",
    "shared",
    "shared_object",
    "shares",
    "to_object",
    "to_python",
]

_Checked = Callable[[Any], Any]


def _checker(t: T.Type, error: type[Exception]) -> _Checked:
    from bridge.jit.values import CastError, into

    def check(value: Any) -> Any:
        try:
            return into(shared(value) if isinstance(value, list | dict) and value else value, t)
        except (CastError, TypeError, ValueError) as e:
            raise error(f"Expected a value of type '{t.annotation()}': {e}") from None

    return check


def shared(value: Any) -> Any:
    """A list or dict as programs and Python both hold it. Raises CannotInfer when its type cannot be told."""
    from bridge.jit.inference import infer_type

    if isinstance(value, ScriptList | ScriptDict):
        return value
    if not value:  # as an empty literal
        t: T.Type = T.DictType(T.STR, T.TENSOR) if isinstance(value, dict) else T.ListType(T.TENSOR)
    else:
        t = infer_type(value)
    if isinstance(t, T.ListType):
        return ScriptList(value, t)
    assert isinstance(t, T.DictType)
    return ScriptDict(value, t)


def shares(value: Any) -> bool:
    """Whether a program may write what its caller sees, or reads an object that is made for the call."""
    if hasattr(value, "_array"):
        return False
    if isinstance(value, ScriptList | ScriptDict) or (isinstance(value, ScriptObject) and not value.type.is_module):
        return True
    if isinstance(value, list | tuple):
        return any(shares(v) for v in value)
    return isinstance(value, dict) and any(shares(v) for v in value.values())


class ScriptList(list[Any]):
    """A list with elements of one type. Raises TypeError for others."""

    def __init__(self, values: Iterable[Any], type: T.ListType) -> None:
        self.type = type
        self._check = _checker(type.element, TypeError)
        super().__init__(self._check(v) for v in values)

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, [self._check(v) for v in value] if isinstance(index, slice) else self._check(value))

    def __contains__(self, value: Any) -> bool:
        return super().__contains__(self._check(value))

    def append(self, value: Any) -> None:
        super().append(self._check(value))

    def count(self, value: Any) -> int:
        return super().count(self._check(value))

    def remove(self, value: Any) -> None:
        super().remove(self._check(value))

    def extend(self, values: Iterable[Any]) -> None:
        super().extend([self._check(v) for v in values])

    def insert(self, index: SupportsIndex, value: Any) -> None:
        super().insert(index, self._check(value))


class ScriptDict(dict[Any, Any]):
    """A dict with keys and values of one type each. Raises TypeError for others, KeyError when one is looked up."""

    def __init__(self, values: dict[Any, Any], type: T.DictType) -> None:
        self.type = type
        self._key, self._value = _checker(type.key, TypeError), _checker(type.value, TypeError)
        self._looked_up = _checker(type.key, KeyError)
        super().__init__({self._key(k): self._value(v) for k, v in values.items()})

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._key(key), self._value(value))

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(self._key(key))

    def __contains__(self, key: Any) -> bool:
        return super().__contains__(self._looked_up(key))


class RecursiveScriptClass:
    """An instance of a class as programs hold it, as one from an archive: its attributes and methods."""

    def __init__(self, held: ScriptObject) -> None:
        self.__dict__["_c"] = held

    def _method(self, function: Function) -> Any:
        from bridge.jit.functions import ScriptMethod

        return ScriptMethod(self.__dict__["_c"], function)

    def __getattr__(self, name: str) -> Any:
        from bridge.jit.values import out_of

        held: ScriptObject = self.__dict__["_c"]
        t = held.type
        if name in t.attributes:
            return out_of(held.attributes[name], t.attributes[name].type)
        if name in t.methods:
            return self._method(t.methods[name])
        if name in t.properties:
            return self._method(t.properties[name][0])()
        raise AttributeError(f"'{t.name}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        from bridge.jit.values import into

        held: ScriptObject = self.__dict__["_c"]
        setter = held.type.properties.get(name, (None, None))[1]
        if setter is not None:
            self._method(setter)(value)
        elif name in held.type.attributes:
            held.attributes[name] = into(value, held.type.attributes[name].type)
        else:
            raise AttributeError(f"'{held.type.name}' object has no attribute '{name}'")


def _forward(name: str) -> Any:
    def call(self: RecursiveScriptClass, *args: Any) -> Any:
        function = self.__dict__["_c"].type.find_method(name)
        if function is None:
            raise NotImplementedError(f"{self.__dict__['_c'].type.name} has no method {name}")
        return self._method(function)(*args)

    call.__name__ = name
    return call


_MAGIC = (
    "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift neg pos abs invert lt le gt ge call getitem "
    "setitem delitem len contains str iadd isub imul radd rsub rmul"
)
for _name in _MAGIC.split():
    setattr(RecursiveScriptClass, f"__{_name}__", _forward(f"__{_name}__"))


def to_object(value: Any, t: ClassType) -> ScriptObject:
    """The instance of a script class that a Python object stands for: a copy of its attributes. Raises CastError."""
    from bridge.jit.values import CastError, into

    made = ScriptObject(t)
    for name, a in t.attributes.items():
        if not hasattr(value, name):
            raise CastError(f"Tried to cast object to type {t.annotation()} but object was missing attribute {name}")
        try:
            made.attributes[name] = into(getattr(value, name), a.type)
        except (CastError, TypeError, ValueError) as e:
            raise CastError(f"Could not cast attribute '{name}' to type {a.type.annotation()}: {e}") from None
    return made


def shared_object(value: Any, t: ClassType | None) -> RecursiveScriptClass:
    """An instance of a script class as programs and Python both hold it, with what a Python object has. Raises RuntimeError."""
    if t is None:
        raise RuntimeError(f"a '{type(value).__name__}' cannot be scripted: its class cannot be compiled")
    return RecursiveScriptClass(to_object(value, t))


def to_python(held: ScriptObject) -> Any:
    """The Python object for an instance of a script class: of the class that was compiled, where there is one."""
    from bridge.jit.values import out_of

    cls = held.type.python_class
    if not isinstance(cls, type):
        return RecursiveScriptClass(held)
    made: Any = object.__new__(cls)
    for name, a in held.type.attributes.items():
        if name in held.attributes:
            object.__setattr__(made, name, out_of(held.attributes[name], a.type))
    return made
