"""Element types and ranks of the tensors of a graph, as far as its inputs and the rules of the operators tell them.

Before lowering: where the analysis of shared memory must know whether a conversion makes a new tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.exporters.onnx.inputs import array_of
from bridge.ir import types as T
from bridge.ir.classes import ScriptObject
from bridge.ir.dtypes import by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.graph import Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value
from bridge.ir.rules import UNKNOWN, Call

__all__ = ["KnownTypes"]


class KnownTypes:
    """Filled while a graph is walked in its order; loops are walked until nothing changes."""

    def __init__(self, given: Mapping[Value, T.Type], owners: Mapping[Value, ScriptObject]) -> None:
        self.types: dict[Value, T.Type] = {v: _loose(t) for v, t in given.items()}
        self.objects: dict[Value, Any] = dict(owners)

    def dtype(self, v: Value) -> Any:
        """The element type of a tensor, or None."""
        t = self.types.get(v)
        return t.dtype if isinstance(t, T.TensorType) else None

    def join(self, v: Value, *values: Value) -> bool:
        """A value that is one of several; whether less is known of it than before."""
        found = [self.types.get(x, x.type) for x in values]
        return self._set(v, found[0] if all(t == found[0] for t in found) else _same_dtype(found))

    def enter(self, v: Value, first: Value, again: Value) -> bool:
        """A value that a loop carries; ``again`` is not known in the first round."""
        return self.join(v, first, again) if again in self.types else self.join(v, first)

    def node(self, n: Node) -> bool:
        """The results of a node; whether less is known of one than before."""
        if n.kind == "prim::GetAttr":
            return self._attribute(n)
        if not n.kind.startswith("aten::") or not any(isinstance(o.type, T.TensorType | T.ListType) for o in n.outputs):
            return False
        found = self._results(n)
        less = [self._set(o, t) for o, t in zip(n.outputs, found or [o.type for o in n.outputs], strict=False)]
        return any(less)

    def _attribute(self, n: Node) -> bool:
        owner = self.objects.get(n.input)
        value = owner.attributes.get(n["name"]) if isinstance(owner, ScriptObject) else None
        self.objects[n.output] = value
        if value is None or not isinstance(n.output.type, T.TensorType):
            return False
        array = array_of(value)
        return self._set(n.output, T.TensorType(by_numpy(array.dtype), [None] * array.ndim))

    def _results(self, n: Node) -> list[T.Type] | None:
        o = operator_of(n)
        if o is None or o.types is None:
            return None
        names = [a.name for a in o.schema.arguments]
        values = [constant_value(v) for v in n.inputs]
        call = Call(
            o.schema,
            {k: self.types.get(v, v.type) for k, v in zip(names, n.inputs, strict=False)},
            {k: UNKNOWN if x is NOT_CONSTANT else x for k, x in zip(names, values, strict=False)},
        )
        try:
            found = o.types(call)
        except (BridgeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError):
            # The rule needs what is not known here: then nothing is known of the result.
            return None
        return [found] if isinstance(found, T.Type) else list(found)

    def _set(self, v: Value, t: T.Type) -> bool:
        old, new = self.types.get(v), _loose(t)
        if old is not None and old != new:
            new = _same_dtype([old, new])
        self.types[v] = new
        return old is not None and old != new


def _loose(t: T.Type) -> T.Type:
    """Without sizes."""
    if isinstance(t, T.TensorType):
        return T.TensorType(t.dtype, None if t.dims is None else [None] * len(t.dims))
    if isinstance(t, T.ListType):
        return T.ListType(_loose(t.element))
    return t


def _same_dtype(found: list[T.Type]) -> T.Type:
    dtypes = {t.dtype if isinstance(t, T.TensorType) else None for t in found}
    return T.TensorType(dtypes.pop()) if len(dtypes) == 1 else T.TENSOR
