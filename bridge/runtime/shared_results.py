"""Results that share memory with an argument or an attribute: what ONNX gives as copies is taken from the tensor itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bridge.ir import types as T
from bridge.ir.classes import Function
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.node_schema import operator_of
from bridge.ir.passes.dead_code import eliminate_dead_code
from bridge.ir.passes.inline import inlined_graph

__all__ = ["shared_results"]

_TAKES_APART = ("prim::ListUnpack", "prim::TupleUnpack", "prim::TupleIndex", "aten::__getitem__")
_PLAIN = (T.INT, T.FLOAT, T.BOOL, T.STR, T.NONE, T.NUMBER, T.DEVICE)

#: What puts the shared results into a result: ``patch(result, complete arguments)``.
Patch = Callable[[Any, Sequence[Any]], Any]


def shared_results(function: Function) -> Patch | None:
    """Makes those results of a program that are views of its arguments or of attributes; None where there are none.

    The views are made again by their own steps, which take no other tensors. What writes, or returns more than a tensor or a
    tuple of them, is left as it is.
    """
    graph = inlined_graph(function)
    if len(graph.outputs) != 1 or any(map(_writes, graph.all_nodes())):
        return None
    (output,) = graph.outputs
    several = output.node.kind == "prim::TupleConstruct" and not getattr(output.type, "fields", ())
    results = list(output.node.inputs) if several else [output]
    places = [i for i, v in enumerate(results) if _is_shared(v)]
    if not places:
        return None
    return _patch(graph, [results[i] for i in places], places, several)


def _patch(graph: Graph, values: Sequence[Value], places: Sequence[int], several: bool) -> Patch:
    graph.return_node.remove_all_inputs()
    for v in values:
        graph.add_output(v)
    eliminate_dead_code(graph)

    def patch(result: Any, arguments: Sequence[Any]) -> Any:
        from bridge import _dispatch
        from bridge.ir.interpreter import run
        from bridge.tensor import Tensor

        made = run(graph, arguments, _dispatch.call, Tensor._wrap)
        if not several:
            return made[0]
        parts = list(result)
        for i, t in zip(places, made, strict=True):
            parts[i] = t
        return tuple(parts)

    return patch


def _writes(n: Node) -> bool:
    o = operator_of(n) if n.kind.startswith("aten::") else None
    return n.kind == "prim::SetAttr" or (o is not None and any(a.writes for a in o.schema.arguments))


def _is_shared(v: Value) -> bool:
    """Whether a tensor is taken from an argument or attribute by steps that make views."""
    if not isinstance(v.type, T.TensorType) or v.node.kind == "prim::Param":
        return False  # an argument is returned as itself
    source = v
    while (step := _taken_from(source)) is not None:
        source = step
    return _is_held(source) and _is_plain(v, set())


def _taken_from(v: Value) -> Value | None:
    """What a value is a view or a part of."""
    n = v.node
    if n.kind in _TAKES_APART:
        return n.inputs[0]
    o = operator_of(n) if n.kind.startswith("aten::") else None
    if o is None or not o.schema.returns or not o.schema.returns[0].alias:
        return None
    return next((x for a, x in zip(o.schema.arguments, n.inputs, strict=False) if a.alias), None)


def _is_held(v: Value) -> bool:
    return v.node.kind == "prim::GetAttr" or (v.node.kind == "prim::Param" and v.node is v.node.graph.param_node)


def _is_plain(v: Value, seen: set[Value]) -> bool:
    """Whether everything that a value is made with is at hand: arguments, attributes, their views, and numbers."""
    n = v.node
    if v in seen or n.kind == "prim::Constant" or _is_held(v):
        return True
    seen.add(v)
    if n.kind == "prim::Param" or n.blocks:
        return False
    kept = _taken_from(v) is not None or v.type in _PLAIN or n.kind in ("prim::ListConstruct", "prim::NumToTensor")
    return kept and all(_is_plain(x, seen) for x in n.inputs)
