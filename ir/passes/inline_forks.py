"""Forks and awaitables as the statements that they run, and their results in place of futures.

Needs: a valid graph without calls (:func:`~bridge.ir.passes.inline.inline` goes before). Promises: the same values, and no
``prim::fork``, ``prim::awaitable``, waiting or futures; what a forked computation raises is raised where it was forked.
Linear in the result.
"""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.classes import Function, FunctionType
from bridge.ir.graph import Block, Graph, Node
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.inline import has_graph, inline, inline_call

__all__ = ["has_forks", "inline_forks"]

_STARTS = frozenset({"prim::fork", "prim::awaitable"})
_SAME = frozenset({"aten::wait", "prim::awaitable_wait", "prim::awaitable_nowait"})


def has_forks(function: Function) -> bool:
    """Whether a function, or what it calls, has forks, awaitables or futures as arguments."""
    seen, waiting = {function}, [function]
    while waiting:
        for n in waiting.pop().graph.all_nodes():
            if n.kind in _STARTS or n.kind in _SAME:
                return True
            called = _called(n)
            if called is not None and called not in seen and has_graph(called):
                seen.add(called)
                waiting.append(called)
    return False


def _called(n: Node) -> Function | None:
    if n.kind == "prim::CallFunction":
        t = n.inputs[0].type
        return t.function if isinstance(t, FunctionType) else None
    if n.kind == "prim::CallMethod":
        find = getattr(n.inputs[0].type, "find_method", None)
        found: Function | None = find(n["name"]) if find is not None else None
        return found
    return None


@graph_pass
def inline_forks(graph: Graph) -> None:
    """Put what is forked where it is forked; waiting for it is its value."""
    for v in graph.inputs:
        v.type = _settled(v.type)
    _block(graph.block)


def _block(block: Block) -> None:
    for n in block.nodes:
        if n.kind in _STARTS:
            body: Graph = n["Subgraph"].copy()
            inline(body)
            inline_forks(body)
            inline_call(n, body)
            continue
        if n.kind in _SAME:
            n.output.replace_all_uses_with(n.input)
            n.destroy()
            continue
        for b in n.blocks:
            for v in b.inputs:
                v.type = _settled(v.type)
            _block(b)
        for v in n.outputs:
            v.type = _settled(v.type)


def _settled(t: T.Type) -> T.Type:
    """The type with results in the place of futures of them."""
    if not any(isinstance(x, T.FutureType | T.AwaitType) for x in t.walk()):
        return t
    inside = [_settled(x) for x in t.contained()]
    if isinstance(t, T.FutureType | T.AwaitType):
        return inside[0]
    if isinstance(t, T.TupleType):
        return T.TupleType(*inside, name=t.name, fields=t.fields, defaults=t.defaults)
    return type(t)(*inside)
