"""What is known of the tensors of a program that runs as a Python function, and of those in its lists and dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.exporters.onnx.known_types import KnownTypes
from bridge.ir import types as T
from bridge.ir.classes import ScriptObject
from bridge.ir.dtypes import by_numpy
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.passes.constants import constant_value
from bridge.runtime.host_entry import NUMBERS
from bridge.runtime.host_memory import Memory, put_into, taken_from
from bridge.runtime.host_operators import SIZED
from bridge.tensor import Tensor

__all__ = ["index_of", "known_types"]


def known_types(
    graph: Graph, own: Sequence[Value], given: Sequence[Any], owner: ScriptObject | None, memory: Memory
) -> tuple[KnownTypes, dict[Value, T.Type]]:
    """What is known of tensors, and of those in lists and dicts, by one of the values that these go by."""
    tensors: Mapping[Value, T.Type] = {
        v: T.TensorType(by_numpy(a._array.dtype), [None] * a._array.ndim)
        for v, a in zip(own, given, strict=True)
        if isinstance(a, Tensor)
    }
    owners = {graph.inputs[0]: owner} if owner is not None else {}
    held: dict[Value, T.Type] = {}
    types = KnownTypes(tensors, owners)
    while _walk(types, graph.block, memory, held):
        pass
    for n in graph.all_nodes() if memory.has_tables else ():
        for table, v in put_into(n):
            known = types.types.get(v)
            if isinstance(known, T.TensorType) and known.dims is not None:
                held.setdefault(memory.holder(table), known)
    if held:  # from the start: what is put there may be made of what was there
        types = KnownTypes(tensors, owners)
        while _walk(types, graph.block, memory, held):
            pass
    return types, held


def _walk(types: KnownTypes, block: Block, memory: Memory, held: Mapping[Value, T.Type]) -> bool:
    """Infer in order; whether less is known of something than before."""
    less = False
    for n in block.nodes:
        if n.kind == "prim::If":
            for b in n.blocks:
                less |= _walk(types, b, memory, held)
            for i, o in enumerate(n.outputs):
                less |= types.join(o, *(b.outputs[i] for b in n.blocks))
        elif n.kind == "prim::Loop":
            body = n.blocks[0]
            carried = list(zip(body.inputs[1:], n.inputs[2:], body.outputs[1:], strict=True))
            for p, first, again in carried:
                less |= types.enter(p, first, again)
            less |= _walk(types, body, memory, held)
            for o, (_, first, again) in zip(n.outputs, carried, strict=True):
                less |= types.join(o, first, again)
        else:
            before = types.types.get(n.output) if len(n.outputs) == 1 else None
            changed = types.node(n)
            table = taken_from(n) if held else None
            made = _made(types, n) if table is None else held.get(memory.holder(table))
            if n.kind == "aten::stack" and constant_value(n.inputs[1]) == 0:
                row = held.get(memory.holder(n.inputs[0]))
                if isinstance(row, T.TensorType) and row.rank is not None:
                    made = T.TensorType(row.dtype, [None] * (row.rank + 1))
            if made is not None:
                types.types[n.output] = made
                changed = before is not None and made != before
            less |= changed
    return less


def _made(types: KnownTypes, n: Node) -> T.Type | None:
    """The type of a tensor that is made like another, or of sizes in a list; None where the rules of operators know enough."""
    if n.kind == "aten::tensor" and n.inputs[0].type in NUMBERS and n.inputs[1].node.kind == "prim::dtype":
        return T.TensorType(types.dtype(n.inputs[1].node.input), [])
    if n.kind == "aten::index":
        t, at = types.types.get(n.inputs[0]), index_of(types, n)
        if isinstance(t, T.TensorType) and t.rank and at is not None:
            return T.TensorType(t.dtype, [None] * (t.rank - 1))
    if n.kind in SIZED and n.inputs[0].node.kind == "prim::ListConstruct":
        found = types.types.get(n.output)
        if isinstance(found, T.TensorType):  # as many dimensions as there are sizes
            return T.TensorType(found.dtype, [None] * len(n.inputs[0].node.inputs))
    return None


def index_of(types: KnownTypes, n: Node) -> Value | None:
    """The tensor of one int by which alone something is indexed."""
    made = n.inputs[1].node
    if made.kind != "prim::ListConstruct" or len(made.inputs) != 1:
        return None
    t = types.types.get(made.input)
    whole = isinstance(t, T.TensorType) and t.rank == 0 and t.dtype is not None and t.dtype.name in ("int32", "int64")
    return made.input if whole else None
