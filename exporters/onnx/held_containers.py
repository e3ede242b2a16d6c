"""Whether a list or dict that an attribute holds is written to: ONNX has values only, and the module would not see it."""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.classes import Function
from bridge.ir.graph import Block, Node, Value
from bridge.ir.node_schema import schema_of

__all__ = ["write_to"]

_HANDS_ON = frozenset(
    "prim::unchecked_cast prim::TupleConstruct prim::TupleUnpack prim::TupleIndex prim::TupleSlice prim::ListConstruct "
    "prim::ListUnpack prim::DictConstruct aten::__getitem__ aten::pop aten::get aten::values aten::_unwrap_optional".split()
)


def write_to(value: Value) -> Node | None:
    """A node that changes the list or dict ``value``, under any name that it goes by from here on; None when none does."""
    seen: set[Value] = set()
    todo = [value]
    while todo:
        v = todo.pop()
        if v in seen or not any(isinstance(t, T.ListType | T.DictType) for t in v.type.walk()):
            continue
        seen.add(v)
        for use in v.uses:
            if _writes(use.user, use.offset):
                return use.user
            todo += _other_names(use.user, use.offset)
    return None


def _writes(n: Node, index: int) -> bool:
    schema = schema_of(n) if n.kind.startswith("aten::") else None
    return schema is not None and index < len(schema.arguments) and schema.arguments[index].writes


def _other_names(n: Node, index: int) -> list[Value]:
    """What stands for the input with this index (or for what it holds) after a node."""
    if n.kind in _HANDS_ON:
        return list(n.outputs)
    if n.kind == "prim::Loop" and index >= 2:
        return [n.blocks[0].inputs[index - 1], n.outputs[index - 2]]
    if n.kind == "prim::Return":
        return _of_block(n, index)
    if n.kind in ("prim::CallMethod", "prim::CallFunction"):
        callee = _callee(n)
        offset = index if n.kind == "prim::CallMethod" else index - 1
        return [*n.outputs, *([callee.graph.inputs[offset]] if callee is not None and offset >= 0 else [])]
    return []


def _of_block(returned: Node, index: int) -> list[Value]:
    block: Block | None = returned.block
    owner = block.owner if block is not None else None
    if owner is None:
        return []
    if owner.kind == "prim::If":
        return [owner.outputs[index]]
    if owner.kind == "prim::Loop" and index >= 1:
        return [owner.blocks[0].inputs[index], owner.outputs[index - 1]]
    return []


def _callee(n: Node) -> Function | None:
    t = n.inputs[0].type
    methods = getattr(t, "methods", None)
    found = (
        methods.get(n["name"])
        if n.kind == "prim::CallMethod" and isinstance(methods, dict)
        else getattr(t, "function", None)
    )
    return found if isinstance(found, Function) else None
