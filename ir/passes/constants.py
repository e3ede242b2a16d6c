"""Constants as passes see them: the value of a constant, a new constant, and when two nodes compute the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir import types as T
from bridge.ir.classes import FunctionType
from bridge.ir.dtypes import by_numpy
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.literals import WRAPPED, value_type

__all__ = [
    "NOT_CONSTANT",
    "constant_value",
    "insert_constant",
    "must_be_none",
    "must_not_be_none",
    "node_key",
    "operand_value",
    "tensor_type",
]


class _NotConstant:
    def __repr__(self) -> str:
        return "NOT_CONSTANT"


#: What :func:`constant_value` gives for a value that is not known.
NOT_CONSTANT: Any = _NotConstant()


def must_be_none(v: Value) -> bool:
    """Whether the value is None whatever happens."""
    n = v.node
    if v.type is T.NONE or n.kind == "prim::AutogradZero":
        return True
    if len(n.outputs) == 1 and n.outputs[0].type is T.NONE:
        return True
    return n.kind == "prim::Constant" and not n.attributes and isinstance(v.type, T.OptionalType)


def must_not_be_none(v: Value) -> bool:
    """Whether the value cannot be None."""
    t = v.type
    if t is T.NONE or isinstance(t, T.OptionalType) or v.node.kind == "prim::AutogradAdd":
        return False
    return not (isinstance(t, T.UnionType) and T.NONE.is_subtype_of(t)) and t is not T.ANY


def constant_value(v: Value) -> Any:
    """The Python value of a constant (not of a function's), or NOT_CONSTANT."""
    n = v.node
    if n.kind != "prim::Constant" or isinstance(v.type, FunctionType):
        return NOT_CONSTANT
    return None if must_be_none(v) else n.attributes.get("value", NOT_CONSTANT)


def operand_value(n: Node) -> Any:
    """The value of a constant as operators see it: a tensor that a trace made of a number ("wrapped") promotes as the number."""
    return n["value"].item() if WRAPPED in n.attributes else n.attributes.get("value")


def insert_constant(graph: Graph, value: Any, declared: T.Type | None = None) -> Value | None:
    """A constant at the insert point, typed by its value; None when a graph cannot hold the value.

    ``declared`` is the type of what the constant replaces: it tells empty lists and None apart.
    """
    if not _insertable(value):
        return None
    n = graph.create("prim::Constant")
    n.range = None
    n.output.type = constant_type(value, declared)
    if value is not None:
        n.attributes["value"] = value
    return graph.insert(n).output


def constant_type(value: Any, declared: T.Type | None = None) -> T.Type:
    """The type of a constant's value; containers take it from what was declared, tensors' types state all there is."""
    if isinstance(value, np.ndarray):
        return tensor_type(value)
    if isinstance(declared, T.OptionalType) and value is not None:
        declared = declared.element
    if value is None:
        return T.NONE if declared is None else declared
    if isinstance(value, str) and declared is T.DEVICE:
        return T.DEVICE
    if isinstance(value, list | dict) and isinstance(declared, T.ListType | T.DictType):
        return declared
    if isinstance(value, tuple) and isinstance(declared, T.TupleType) and len(declared.elements) == len(value):
        if declared.name:
            return declared
        return T.TupleType(
            *(T.NONE if v is None else constant_type(v, e) for v, e in zip(value, declared.elements, strict=True))
        )
    return value_type(value)


def tensor_type(array: np.ndarray[Any, Any]) -> T.TensorType:
    """Everything that is known of a constant tensor."""
    strides = [s // array.itemsize for s in array.strides] if array.ndim and array.itemsize else None
    return T.TensorType(by_numpy(array.dtype), array.shape, strides, False, "cpu")


def _insertable(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_insertable, value))
    if isinstance(value, dict):
        return all(_insertable(k) and _insertable(v) for k, v in value.items())
    return isinstance(value, bool | int | float | complex | str | np.ndarray | T.EnumValue) or value is None


def node_key(n: Node) -> Any:
    """Equal for two nodes that compute the same from the same inputs (by kind, types, inputs and attributes).

    Values that are unequal to themselves (nan) and graphs make a node equal to no other.
    """
    return (
        n.kind,
        tuple(o.type for o in n.outputs),
        tuple(map(id, n.inputs)),
        tuple(sorted((k, _attribute_key(v)) for k, v in n.attributes.items())) if n.attributes else (),
    )


class _Never:
    """Orders like any key and equals none."""

    def __lt__(self, other: object) -> bool:
        return False


def _attribute_key(value: Any) -> Any:
    if isinstance(value, float):
        # 0.0 and -0.0 are told apart.
        return (float, value, math.copysign(1, value)) if value == value else _Never()  # noqa: PLR0124
    if isinstance(value, list | tuple):
        return (type(value), *map(_attribute_key, value))
    if isinstance(value, dict):
        return (dict, *((_attribute_key(k), _attribute_key(v)) for k, v in value.items()))
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fc" and np.isnan(value).any():
            return _Never()
        return (np.ndarray, value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, bool | int | str | complex | T.Type | T.EnumValue) or value is None:
        return (type(value), value)
    return _Never()
