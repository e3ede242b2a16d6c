"""Whether a run-time value is of a type: what ``isinstance`` in a program means."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.classes import ClassType, InterfaceType, ScriptObject

__all__ = ["is_instance"]


def is_instance(value: Any, declared: T.Type, types: Sequence[T.Type]) -> bool:
    """Whether a value is of one of the types. ``declared`` is its static type: containers do not know theirs."""
    return any(_matches(value, declared, t) for t in types)


def _matches(value: Any, declared: T.Type, t: T.Type) -> bool:
    if isinstance(t, T.UnionType | T.OptionalType):
        return any(_matches(value, declared, m) for m in T.members_of(t))
    if t is T.ANY:
        return True
    if value is None:
        return t is T.NONE
    if isinstance(value, enum.Enum):
        return isinstance(t, T.EnumType) and t.python is type(value)
    if isinstance(value, bool):
        return t is T.BOOL
    if isinstance(value, int):
        return t in (T.INT, T.NUMBER)
    if isinstance(value, float):
        return t in (T.FLOAT, T.NUMBER)
    if isinstance(value, complex):
        return t in (T.COMPLEX, T.NUMBER)
    if isinstance(value, str):
        return t is T.STR or (t is T.DEVICE and T.DEVICE in T.members_of(declared))
    if isinstance(value, T.EnumValue):
        return value.type == t
    if isinstance(value, ScriptObject):
        return _is_object(value, t)
    if isinstance(value, list | tuple | dict):
        return _is_container(value, declared, t)
    return isinstance(t, T.TensorType)


def _is_object(value: ScriptObject, t: T.Type) -> bool:
    if isinstance(t, T.VarType):
        return t.name == "AnyClass"
    return isinstance(t, ClassType | InterfaceType) and value.type.is_subtype_of(t)


def _is_container(value: Any, declared: T.Type, t: T.Type) -> bool:
    kinds: dict[type, tuple[type, str]] = {
        list: (T.ListType, "AnyList"), tuple: (T.TupleType, "AnyTuple"), dict: (T.DictType, ""),
    }  # fmt: skip
    kind, any_name = kinds[list if isinstance(value, list) else tuple if isinstance(value, tuple) else dict]
    if isinstance(t, T.VarType):
        return t.name == any_name
    if not isinstance(t, kind):
        return False
    known = [m for m in T.members_of(declared) if isinstance(m, kind)]
    fits = [m.is_subtype_of(t) for m in known]
    if known and all(fits):
        return True
    if isinstance(t, T.TupleType):
        return len(value) == len(t.elements) and all(
            _matches(v, T.ANY, e) for v, e in zip(value, t.elements, strict=True)
        )
    if known and not any(fits):
        return False
    # Only what is inside tells, as the static type says nothing.
    if isinstance(t, T.ListType):
        return all(_matches(v, T.ANY, t.element) for v in value)
    assert isinstance(t, T.DictType)
    return all(_matches(k, T.ANY, t.key) and _matches(v, T.ANY, t.value) for k, v in value.items())
