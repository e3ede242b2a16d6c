"""Whether a program writes to tensors at all, for the attribute values that its module has.

Library code has an in-place form behind a flag nearly everywhere (``relu_ if inplace else relu``, running statistics in
training). This walks a program once per module with the flags known, which is far cheaper than looking at what may share
memory with what in the whole program written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.classes import Function, ScriptObject
from bridge.ir.errors import IRError
from bridge.ir.graph import Block, Node, Value
from bridge.ir.node_schema import schema_of

__all__ = ["may_write", "written"]

_UNKNOWN, _SOMETHING = object(), object()  # nothing is known; it is not None
_MADE = "zeros ones full empty zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty"
#: Operators whose result is in no other tensor's memory.
_FACTORIES = frozenset(f"aten::{name}" for name in _MADE.split())


def may_write(function: Function, owner: ScriptObject | None) -> bool:
    """Whether running the function (a method of ``owner``, if there is one) may write to a tensor."""
    own = [owner] if owner is not None else []
    return _Walk().function(function, own + [_UNKNOWN] * (len(function.graph.inputs) - len(own)))


def written(n: Node) -> list[Value]:
    """The tensors that a node writes to."""
    if not n.kind.startswith("aten::"):
        return []
    schema = schema_of(n)
    if schema is None or not schema.is_mutable:
        return []
    pairs = zip(schema.arguments, n.inputs, strict=False)
    return [v for a, v in pairs if a.writes and isinstance(v.type, T.TensorType)]


class _Walk:
    """What is known of values on the way, and which functions have been looked at with which arguments."""

    def __init__(self) -> None:
        self.seen: set[Any] = set()
        self.known: dict[Value, Any] = {}

    def function(self, function: Function, arguments: Sequence[Any]) -> bool:
        key = id(function), tuple(a if isinstance(a, bool | None) else id(a) for a in arguments)
        if key in self.seen:
            return False
        self.seen.add(key)
        try:
            graph = function.graph
        except IRError:  # read from a model: it is called in a branch only that was never taken
            return False
        outer, self.known = self.known, dict(zip(graph.inputs, arguments, strict=True))
        try:
            return self.block(graph.block)
        finally:
            self.known = outer

    def block(self, block: Block) -> bool:
        return any(self.node(n) for n in block.nodes)

    def node(self, n: Node) -> bool:
        if n.kind == "prim::If":
            test = self.of(n.inputs[0])
            blocks = [b for b, taken in zip(n.blocks, (True, False), strict=True) if test is not (not taken)]
            if any(map(self.block, blocks)):
                return True
            if len(blocks) == 1:
                self.known.update((o, self.of(v)) for o, v in zip(n.outputs, blocks[0].outputs, strict=True))
            return False
        if n.kind in ("prim::CallMethod", "prim::CallFunction"):
            called = _called(n)
            arguments = [self.of(v) for v in (n.inputs if n.kind == "prim::CallMethod" else n.inputs[1:])]
            return called is None or self.function(called, arguments)
        if n.kind == "prim::SetAttr":
            return True  # a flag may have changed
        if n.outputs:
            self.known[n.outputs[0]] = self.result(n)
        if any(map(self.block, n.blocks)):
            return True
        return not all(map(_is_new, written(n))) and not self.idle(n)

    def of(self, v: Value) -> Any:
        return self.known.get(v, _UNKNOWN)

    def result(self, n: Node) -> Any:
        """What is known of a node's result: a flag, None, an object, or that it is something."""
        if n.kind == "prim::Constant":
            found = n.attributes.get("value")
            return found if isinstance(found, bool | None) else _SOMETHING
        if n.kind == "prim::GetAttr":
            holder = self.of(n.inputs[0])
            if not isinstance(holder, ScriptObject):
                return _UNKNOWN
            found = holder.attributes.get(n["name"])
            return found if isinstance(found, bool | None | ScriptObject) else _SOMETHING
        if n.kind == "aten::__not__":
            flag = self.of(n.inputs[0])
            return not flag if isinstance(flag, bool) else _UNKNOWN
        if n.kind in ("aten::__is__", "aten::__isnot__"):
            a, b = map(self.of, n.inputs)
            if _UNKNOWN in (a, b) or None not in (a, b):
                return _UNKNOWN
            return (a is b) is (n.kind == "aten::__is__")
        return _UNKNOWN

    def idle(self, n: Node) -> bool:
        """Whether a node that drops out in place does not, because it does not train."""
        schema = schema_of(n)
        assert schema is not None
        names = [a.name for a in schema.arguments]
        return any(
            name in ("train", "training") and self.of(v) is False for name, v in zip(names, n.inputs, strict=False)
        )


def _is_new(v: Value) -> bool:
    """Whether a tensor that is written to has no other name: it was made for that."""
    return v.node.kind in _FACTORIES and len(v.uses) == 1


def _called(n: Node) -> Function | None:
    t = n.inputs[0].type
    methods = getattr(t, "methods", None)
    if n.kind == "prim::CallMethod" and isinstance(methods, dict):
        found = methods.get(n["name"])
        return found if isinstance(found, Function) else None
    found = getattr(t, "function", None)
    return found if isinstance(found, Function) else None
