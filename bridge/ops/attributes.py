"""Attributes as people write them → the values that their operator's schema asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bridge.ops.namespace import OnnxOp

__all__ = ["attribute_values"]


def attribute_values(op: OnnxOp, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with the kinds that the operator declares: floats for floats, tensors as arrays, types parsed.

    Attributes of operators that onnx does not know keep the kind of their Python value. Raises TypeError for an attribute
    that the operator does not have or of which it wants another kind.
    """
    from bridge.importers.onnx.schemas import schema_of

    schema = schema_of(op.op_type, op.domain, op.version)
    values: dict[str, Any] = {}
    for name, value in attributes.items():
        if value is None:
            raise TypeError(f"{op.op_type}: attribute '{name}' is None: leave it out instead")
        declared = None
        if schema is not None:
            if name not in schema.attributes:
                has = ", ".join(sorted(schema.attributes)) or "none"
                raise TypeError(f"{op.op_type} has no attribute '{name}' in opset {op.version} (it has: {has})")
            kind: Any = schema.attributes[name].type
            declared = kind.name
        convert = _CONVERT.get(declared or "", _as_it_is)
        try:
            values[name] = convert(value)
        except (TypeError, ValueError) as e:
            wanted = (declared or "value").lower().replace("_", " ")
            raise TypeError(f"{op.op_type}: attribute '{name}' cannot be {value!r} ({wanted}): {e}") from e
    return values


def _as_it_is(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("what an empty list is a list of is not known for this operator")
        return [_as_it_is(v) for v in value]
    return _array(value) if hasattr(value, "__array__") else value


def _array(value: Any) -> np.ndarray[Any, Any]:
    return np.asarray(getattr(value, "_array", value))


def _tensor(value: Any) -> np.ndarray[Any, Any]:
    if not hasattr(value, "__array__"):
        raise TypeError("it is no tensor")
    return _array(value)


def _int(value: Any) -> int:
    if not isinstance(value, int | np.integer | np.bool_):
        raise TypeError("it is no int")
    return int(value)


def _float(value: Any) -> float:
    if not isinstance(value, int | float | np.number):
        raise TypeError("it is no float")
    return float(value)


def _text(value: Any) -> str | bytes:
    if not isinstance(value, str | bytes):
        raise TypeError("it is no str")
    return value


def _list(kind: str, convert: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def make(value: Any) -> list[Any]:
        from bridge.ir.foreign import TypedList

        if hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, list | tuple):
            raise TypeError("it is no list")
        return [convert(v) for v in value] if value else TypedList(kind)

    return make


def _type(value: Any) -> Any:
    from onnx import AttributeProto

    from bridge.exporters.onnx.foreign import type_proto
    from bridge.ir.foreign import RawAttribute
    from bridge.ir.hints import parse_hint

    if isinstance(value, RawAttribute):
        return value
    t = parse_hint(str(_text(value)))
    a = AttributeProto(name="type", type=AttributeProto.TYPE_PROTO)
    a.tp.CopyFrom(type_proto(t))
    return RawAttribute(a.SerializeToString(), t)


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "INT": _int,
    "FLOAT": _float,
    "STRING": _text,
    "TENSOR": _tensor,
    "INTS": _list("ints", _int),
    "FLOATS": _list("floats", _float),
    "STRINGS": _list("strings", _text),
    "TENSORS": _list("tensors", _tensor),
    "TYPE_PROTO": _type,
}
