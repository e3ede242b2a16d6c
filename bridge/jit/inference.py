"""The types of Python values: what an attribute, an argument or a traced result is in a program."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import ScriptObject
from bridge.ir.dtypes import DType, by_numpy

__all__ = ["CannotInfer", "enum_type", "infer_type", "tensor_type"]


class CannotInfer(RuntimeError):
    """A Python value has no type in a program; the text says why."""


def tensor_type(tensor: Any) -> T.TensorType:
    """All that is known of a tensor: ``Float(3, 4, strides=[4, 1], requires_grad=1, device=cpu)``."""
    a = tensor._array if hasattr(tensor, "_array") else np.asarray(tensor)
    strides = [n // a.itemsize for n in a.strides]
    if a.size == 0:  # NumPy leaves strides 0
        step = 1
        for i in range(a.ndim - 1, -1, -1):
            strides[i] = step
            step *= max(a.shape[i], 1)
    return T.TensorType(by_numpy(a.dtype), a.shape, strides, bool(getattr(tensor, "requires_grad", False)), "cpu")


#: A class of the same name as another (a module that is loaded again) is another enum.
_enums: dict[type[enum.Enum], T.EnumType] = {}


def enum_type(python_class: type[enum.Enum]) -> T.EnumType:
    """The type of an enum's members."""
    from bridge.jit.names import python_cu, qualified_name

    known = _enums.get(python_class)
    if known is not None:
        return known
    name = qualified_name(python_class)
    members = [(m.name, m.value) for m in python_class]
    value_types = [infer_type(v) for _, v in members]
    for i, t in enumerate(value_types):
        if t != value_types[0]:
            raise CannotInfer(
                f"Could not unify type list since element {i} of type {t.annotation()} did not match the types before it "
                f"({value_types[0].annotation()})"
            )
    if not value_types or value_types[0] not in (T.INT, T.FLOAT, T.STR):
        found = value_types[0].annotation() if value_types else "None"
        raise CannotInfer(f"Cannot create Enum with value type '{found}', only int, float and string are supported")
    made = T.EnumType(python_cu.unique_name(name), value_types[0], members, python_class)
    python_cu.add_type(made.name, made)
    _enums[python_class] = made
    return made


def infer_type(value: Any) -> T.Type:
    """The type of a Python value as an attribute or argument; every tensor is plain ``Tensor``.

    Raises CannotInfer, with torch's reason, for what has none (an empty list, a mixed list, any other object).
    """
    from bridge.pytorch.tensors import is_torch_tensor, plain
    from bridge.tensor import Tensor

    if isinstance(value, Tensor | np.ndarray) or is_torch_tensor(value):
        return T.TENSOR
    value = plain(value)
    if value is None:
        return T.NONE
    simple: dict[type, T.Type] = {bool: T.BOOL, int: T.INT, float: T.FLOAT, complex: T.COMPLEX, str: T.STR}
    for python, t in simple.items():
        if isinstance(value, python) and not isinstance(value, enum.Enum):
            return t
    if isinstance(value, DType):
        return T.INT
    if type(value).__name__ in ("layout", "memory_format", "qscheme"):
        return T.INT
    if type(value).__name__ == "device":
        return T.DEVICE
    if isinstance(value, enum.Enum):
        return enum_type(type(value))
    script_object = (
        value if isinstance(value, ScriptObject) else value.__dict__.get("_c") if hasattr(value, "__dict__") else None
    )
    if isinstance(script_object, ScriptObject):
        return script_object.type
    if isinstance(value, tuple | list | dict):
        return _container_type(value)
    return _instance_type(value)


def _instance_type(value: Any) -> T.Type:
    """The type of an instance of a class that can be compiled. Raises what compiling it raises."""
    from bridge.jit.script_classes import class_type_of
    from bridge.nn import Module

    if isinstance(value, Module):
        raise CannotInfer("Cannot infer concrete type of torch.nn.Module")
    found = None if isinstance(value, type) or callable(value) else class_type_of(type(value))
    if found is None:
        raise CannotInfer(
            "Only tensors and (possibly nested) tuples of tensors, lists, or dicts are supported as inputs or outputs of "
            f"traced functions, but instead got value of type {type(value).__name__}."
        )
    return found


def _container_type(value: Any) -> T.Type:
    if isinstance(value, tuple):
        elements = [infer_type(v) for v in value]
        if hasattr(value, "_fields"):
            return _named_tuple_type(type(value), elements)
        return T.TupleType(*elements)
    if isinstance(value, dict):
        if not value:
            raise CannotInfer("Dictionary inputs must have entries")
        what = "Dictionary inputs to traced functions must have consistent type. Found {} and {}"
        keys = _unified([infer_type(k) for k in value], what)
        return T.DictType(keys, _unified([infer_type(v) for v in value.values()], what))
    if not value:
        raise CannotInfer("List trace inputs must have elements")
    try:
        inside = [infer_type(v) for v in value]
    except CannotInfer as e:
        raise CannotInfer(f"Could not infer type of list element: {e}") from None
    return T.ListType(
        _unified(inside, "List inputs to traced functions must have consistent element type. Found {} and {}")
    )


def _named_tuple_type(python_class: type, elements: list[T.Type]) -> T.TupleType:
    from bridge.jit.names import python_cu, qualified_name

    fields = python_class._fields  # type: ignore[attr-defined]
    name = qualified_name(python_class)
    known = python_cu.types.get(name)
    made = T.TupleType(*elements, name=name, fields=fields)
    if known is None:
        python_cu.add_type(name, made)
    return made


def _unified(found: list[T.Type], message: str) -> T.Type:
    so_far = found[0]
    for t in found[1:]:
        both = T.unify(so_far, t)
        if both is None:
            raise CannotInfer(message.format(so_far.annotation(), t.annotation()))
        so_far = both
    return so_far
