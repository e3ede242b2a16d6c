"""Python values into a program and out of it, checked against its types.

Inside a program a device is a string, an element type its number, a module or class instance a ScriptObject;
:func:`into` converts and checks (with torch's words for what does not fit), :func:`out_of` is the way back.
"""

from __future__ import annotations

import collections
import enum
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import ClassType, InterfaceType, ScriptObject
from bridge.ir.dtypes import DType
from bridge.ir.schema import Argument, Schema
from bridge.jit.inference import CannotInfer, infer_type
from bridge.jit.objects import ScriptDict, ScriptList, to_object, to_python

__all__ = ["CastError", "into", "match_arguments", "out_of"]


class CastError(RuntimeError):
    """A Python value is no value of the type that a program declares."""


def _class_text(value: Any) -> str:
    """``<class 'int'>``; classes of this package with the names that programs know."""
    cls = type(value)
    if cls.__module__.split(".")[0] != "bridge":
        return str(cls)
    return f"<class 'torch.{_class_name(value)}'>"


def _class_name(value: Any) -> str:
    return "dtype" if isinstance(value, DType) else type(value).__name__


def _fields(value: Any) -> str:
    """A NamedTuple's fields, as errors show them."""
    return f" (aka NamedTuple({', '.join(value._fields)}))" if hasattr(value, "_fields") else ""


def _cannot(value: Any) -> CastError:
    return CastError(
        f"Unable to cast Python instance of type {_class_text(value)} to C++ type '?' "
        "(#define PYBIND11_DETAILED_ERROR_MESSAGES or compile in debug mode for details)"
    )


def into(value: Any, t: T.Type) -> Any:
    """The value as a program of type ``t`` holds it. Raises CastError."""
    if type(t) is T.TensorType and hasattr(value, "_array"):
        return value  # a tensor of ours, the most common
    from bridge.pytorch.tensors import plain
    from bridge.tensor import Tensor

    value = plain(value)
    if isinstance(t, T.TensorType):
        if isinstance(value, Tensor) or value is None or isinstance(value, np.ndarray):
            return value
        raise CastError(f"Unable to cast {value} to Tensor")
    simple = _SIMPLE.get(t) if isinstance(t, T.SimpleType) else None
    if simple is not None:
        return simple(value)
    if isinstance(t, T.OptionalType):
        return None if value is None else into(value, t.element)
    if isinstance(t, T.UnionType):
        return _union(value, t)
    if isinstance(t, T.ListType):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _cannot(value)
        try:
            return value if _is_shared(value, t) else [into(v, t.element) for v in value]
        except CastError:
            raise _cannot(value) from None
    if isinstance(t, T.TupleType):
        elements = tuple(value)
        if len(elements) != len(t.elements):
            raise CastError(f"Object {value} had a different number of elements than type {t.annotation()}")
        made = tuple(into(v, e) for v, e in zip(elements, t.elements, strict=True))
        return type(value)(*made) if hasattr(value, "_fields") else made
    if isinstance(t, T.DictType):
        return value if _is_shared(value, t) else {into(k, t.key): into(v, t.value) for k, v in dict(value).items()}
    if isinstance(t, T.EnumType):
        return value
    if isinstance(t, ClassType | InterfaceType):
        return _object(value, t)
    return value


def _is_shared(value: Any, t: T.Type) -> bool:
    """What ``script`` made of a list or dict is passed as it is: a program may write to it."""
    return type(value) in (ScriptList, ScriptDict) and value.type == t


def _single(value: Any) -> Any:
    """A number, or that of a tensor of one element. Raises CastError for tensors of several."""
    if hasattr(value, "numel") and value.numel() != 1:
        raise _cannot(value)
    return value.item() if hasattr(value, "item") else value


def _int(value: Any) -> int:
    if isinstance(value, DType):
        return value.code
    if isinstance(value, bool | int | np.integer) or hasattr(value, "item"):
        return int(_single(value))
    if type(value).__name__ in ("layout", "memory_format", "qscheme"):
        return int(getattr(value, "code", 0))
    raise _cannot(value)


def _float(value: Any) -> float:
    if isinstance(value, bool | int | float | np.integer | np.floating) or hasattr(value, "item"):
        return float(_single(value))
    raise _cannot(value)


def _bool(value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float | np.bool_) or hasattr(value, "item"):
        return bool(value)
    raise _cannot(value)


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _cannot(value)


def _complex(value: Any) -> complex:
    if isinstance(value, bool | int | float | complex) or hasattr(value, "item"):
        return complex(_single(value))
    raise _cannot(value)


def _number(value: Any) -> Any:
    if isinstance(value, bool | int | float | complex):
        return value
    if hasattr(value, "item"):
        return value.item()
    raise CastError(f"Cannot cast {value} to number")


def _none(value: Any) -> None:
    if value is not None:
        raise CastError(f"Cannot cast {value} to None")


def _device(value: Any) -> str:
    if isinstance(value, str) or type(value).__name__ == "device":
        return str(value)
    raise _cannot(value)


def _any(value: Any) -> Any:
    try:
        return into(value, infer_type(value))
    except CannotInfer as e:
        raise RuntimeError(f"Tracer cannot infer type of {value}\n:{e}") from None


_SIMPLE: dict[T.Type, Any] = {
    T.INT: _int, T.FLOAT: _float, T.BOOL: _bool, T.STR: _str, T.COMPLEX: _complex, T.NUMBER: _number, T.NONE: _none,
    T.DEVICE: _device, T.ANY: _any,
}  # fmt: skip


def _union(value: Any, t: T.UnionType) -> Any:
    try:
        found = infer_type(value)
    except CannotInfer:
        found = None
    if found is not None and found.is_subtype_of(t):
        return into(value, found)
    for m in t.members:
        if isinstance(m, T.ListType | T.DictType | T.TupleType):
            try:
                return into(value, m)
            except (CastError, TypeError, ValueError):
                continue
    given = type(value).__name__ if found is None else found.annotation()
    raise CastError(f"Expected a member of {t.annotation()} but instead found type {given}")


def _object(value: Any, t: ClassType | InterfaceType) -> Any:
    held = value if isinstance(value, ScriptObject) else getattr(value, "_c", None)
    if not isinstance(held, ScriptObject):
        return _instance(value, t)
    if isinstance(t, InterfaceType):
        why = t.why_not(held.type)
        if why is not None:
            raise CastError(
                f"Object of type {held.type.annotation()} is not compatible with interface {t.annotation()}\n{why}"
            )
    elif not held.type.is_subtype_of(t):
        raise CastError(
            f"Object of type {held.type.annotation()} is not an instance of the expected type {t.annotation()}"
        )
    return held


def _instance(value: Any, t: ClassType | InterfaceType) -> Any:
    from bridge.jit.script_classes import class_type_of

    if isinstance(t, ClassType) and not t.is_module and not isinstance(value, _NO_INSTANCES):
        return to_object(value, t)
    own = None if t.is_module or isinstance(value, _NO_INSTANCES) else class_type_of(type(value))
    if isinstance(t, InterfaceType) and own is None and not isinstance(value, _NO_INSTANCES):
        own = class_type_of(type(value))
    if own is None:
        raise CastError(f"Object {value} is not a script object of type {t.annotation()}")
    why = t.why_not(own) if isinstance(t, InterfaceType) else None
    if why is not None:
        raise CastError(f"Object of type {own.annotation()} is not compatible with interface {t.annotation()}\n{why}")
    return to_object(value, own)


_NO_INSTANCES = (bool, int, float, complex, str, list, tuple, dict, type(None))


def out_of(value: Any, t: T.Type) -> Any:
    """A program's value as Python code sees it: devices and enum members are objects, modules are modules again."""
    if isinstance(value, ScriptObject):
        from bridge.jit.modules import wrap

        return wrap(value) if value.type.is_module else to_python(value)
    if t is T.DEVICE and isinstance(value, str):
        from bridge.types import device

        return device(value)
    if isinstance(t, T.OptionalType):
        return None if value is None else out_of(value, t.element)
    if isinstance(t, T.EnumType) and not isinstance(value, enum.Enum) and t.python is not None:
        return t.python[value.name]
    if isinstance(t, T.ListType) and isinstance(value, list):
        return [out_of(v, t.element) for v in value] if _needs_conversion(t) else list(value)
    if isinstance(t, T.DictType) and isinstance(value, dict):
        return {out_of(k, t.key): out_of(v, t.value) for k, v in value.items()}
    if isinstance(t, T.TupleType) and isinstance(value, tuple):
        made = tuple(out_of(v, e) for v, e in zip(value, t.elements, strict=True)) if _needs_conversion(t) else value
        if not t.fields:
            return made
        return _named_tuple(t.name.rpartition(".")[2] if t.name else "NamedTuple", tuple(t.fields))(*made)
    return value


@functools.cache
def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    return collections.namedtuple(name, fields)


def _needs_conversion(t: T.Type) -> bool:
    inside = T.ListType | T.DictType | T.EnumType | ClassType | InterfaceType
    return any(
        x is T.DEVICE or x is T.ANY or isinstance(x, inside) or (isinstance(x, T.TupleType) and x.fields)
        for x in t.walk()
        if x is not t
    )


def match_arguments(
    schema: Schema,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    owner: ScriptObject | None = None,
    in_order: bool = False,
) -> list[Any]:
    """Complete, checked, converted arguments of a call, ``owner`` (the module) first when there is one.

    ``in_order``: they have been matched before, so that those that are given by keyword are among ``args``. Raises RuntimeError with torch's text: too many, missing, unknown or unfitting arguments.
    """
    supplied = (owner, *args) if owner is not None else tuple(args)
    gathers = next((i for i, a in enumerate(schema.arguments) if a.gathers), None)
    if gathers is not None:
        supplied = (*supplied[:gathers], *([list(supplied[gathers:])] if len(supplied) >= gathers else []))
    if len(supplied) + len(kwargs) > len(schema.arguments):
        raise RuntimeError(
            f"{schema.name}() expected at most {len(schema.arguments)} argument(s) but received "
            f"{len(supplied) + len(kwargs)} argument(s). Declaration: {schema}"
        )
    by_position = next((i for i, a in enumerate(schema.arguments) if a.kwarg_only), len(supplied))
    if len(supplied) > by_position and not in_order:
        raise RuntimeError(
            f"{schema.name}() takes {by_position} positional argument(s) but {len(supplied)} was/were given.  "
            f"Declaration: {schema}"
        )
    made: list[Any] = []
    consumed = 0
    for position, a in enumerate(schema.arguments):
        if position < len(supplied):
            if owner is not None and position == 0:
                made.append(owner)
                continue
            value = supplied[position]
        elif a.name in kwargs:
            value = kwargs[a.name]
            consumed += 1
        elif a.has_default or a.gathers:
            made.append([] if a.gathers else _default(a))
            continue
        else:
            raise RuntimeError(f"{schema.name}() is missing value for argument '{a.name}'. Declaration: {schema}")
        try:
            if a.size is not None and isinstance(value, int | float) and not isinstance(value, bool):
                value = [value] * a.size  # a number stands for int[2]
            made.append(into(value, a.type))
        except (CastError, TypeError, ValueError) as e:
            details = (
                f"Cast error details: {e}"
                if isinstance(e, CastError)
                else f" Python error details: {type(e).__name__}: {e}"
            )
            wanted, hint = a.type.annotation(), ""
            if a.inferred:
                wanted = "Tensor (inferred)"
                hint = (
                    f"Inferred '{a.name}' to be of type 'Tensor' because it was not annotated with an explicit type.\n"
                )
            raise RuntimeError(
                f"{schema.name}() Expected a value of type '{wanted}' for argument '{a.name}' but instead found type "
                f"'{_class_name(value)}{_fields(value)}'.\n{hint}Position: {position}\nValue: {value!r}\nDeclaration: {schema}\n{details}"
            ) from None
    if consumed != len(kwargs):
        _refuse_keywords(schema, len(supplied), kwargs)
    return made


def _default(a: Argument) -> Any:
    if a.size is not None and isinstance(a.default, int | float) and not isinstance(a.default, bool):
        return [a.default] * a.size
    return a.default


def _refuse_keywords(schema: Schema, positional: int, kwargs: Mapping[str, Any]) -> None:
    for name in kwargs:
        index = schema.index.get(name)
        if index is None:
            raise RuntimeError(f"Unknown keyword argument '{name}' for operator '{schema.name}'. Schema: {schema}")
        if index < positional:
            raise RuntimeError(f"Argument '{name}' specified both as positional and keyword argument. Schema: {schema}")
