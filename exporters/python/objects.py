"""Objects of the program's own classes in Python files: ``Counter(n)`` for the two statements that make one."""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.classes import ClassType, Function
from bridge.ir.graph import Node

__all__ = ["declared_attributes", "initialised", "making"]

_PLAIN = (T.INT, T.FLOAT, T.BOOL, T.STR)


def initialised(n: Node) -> Node | None:
    """The call of ``__init__`` that follows a ``prim::CreateObject`` at once; None where something comes between."""
    after = n.next
    while after is not None and after.kind == "prim::Constant":
        after = after.next
    if after is None or after.kind != "prim::CallMethod" or after["name"] != "__init__" or after.outputs[0].uses:
        return None
    return after if after.inputs[0] is n.outputs[0] else None


def making(n: Node) -> Node | None:
    """The ``prim::CreateObject`` that a call of ``__init__`` completes."""
    if n.kind != "prim::CallMethod" or n["name"] != "__init__":
        return None
    made = n.inputs[0].node
    return made if made.kind == "prim::CreateObject" and initialised(made) is n else None


def declared_attributes(f: Function) -> dict[Node, T.Type]:
    """The assignments of an ``__init__`` that say which type an attribute has, where the value may not tell."""
    owner = f.graph.inputs[0].type if f.graph.inputs else None
    if f.name != "__init__" or not isinstance(owner, ClassType) or owner.is_module:
        return {}
    found: dict[str, Node] = {}
    for n in f.graph.block.nodes:
        if n.kind == "prim::SetAttr" and n.inputs[0] is f.graph.inputs[0]:
            found.setdefault(n["name"], n)
    types = {n: owner.attributes[name].type for name, n in found.items() if name in owner.attributes}
    return {n: t for n, t in types.items() if t not in _PLAIN and not isinstance(t, T.TensorType)}
