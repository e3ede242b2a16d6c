"""Inlining: calls of functions and methods become their bodies.

Needs: a valid graph; the called functions defined. Promises: the same values and effects; calls through interfaces and
calls of functions without a graph stay. As in torch, a callee is cleaned up before it goes in (its own calls inlined,
small rewrites, constants folded and pooled), which decides the numbers in ``inlined_graph``. Each callee is prepared
once per :func:`inline`; otherwise linear in the result. Recursion is an IRError.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.ir.classes import ClassType, Function, FunctionType
from bridge.ir.errors import IRError
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.constant_pooling import pool_constants
from bridge.ir.passes.constant_propagation import propagate_constants_of_immutable_types
from bridge.ir.passes.peephole import simplify

__all__ = ["inline", "inline_call", "inlined_graph"]


def inlined_graph(function: Function) -> Graph:
    """A copy of a function's graph with all calls inlined, as ``.inlined_graph`` shows it."""
    graph = function.graph.copy()
    inline(graph)
    return graph


@graph_pass
def inline(graph: Graph) -> None:
    """Replace calls by the bodies of what they call. Raises IRError for functions that call themselves."""
    _Inliner().block(graph.block)


class _Inliner:
    def __init__(self) -> None:
        self.prepared: dict[Function, Graph] = {}
        self.open: set[Function] = set()

    def block(self, block: Block) -> None:
        for n in block.nodes:
            if n.kind == "prim::CallFunction":
                t = n.inputs[0].type
                if isinstance(t, FunctionType) and has_graph(t.function):
                    n.remove_input(0)
                    inline_call(n, self.body(t.function, n))
            elif n.kind == "prim::CallMethod":
                owner = n.inputs[0].type
                method = owner.find_method(n["name"]) if isinstance(owner, ClassType) else None
                if method is not None and has_graph(method):
                    inline_call(n, self.body(method, n))
            else:
                for b in n.blocks:
                    self.block(b)

    def body(self, function: Function, call: Node) -> Graph:
        found = self.prepared.get(function)
        if found is None:
            if function in self.open:
                raise IRError(f"function '{function.name}' is called recursively; that cannot be inlined", call.range)
            self.open.add(function)
            found = function.graph.copy()
            self.block(found.block)
            simplify(found, shapes=False)
            propagate_constants_of_immutable_types(found)
            pool_constants(found)
            self.open.discard(function)
            self.prepared[function] = found
        return found


def has_graph(function: Function) -> bool:
    """Whether the function has, or gets when it is compiled, a graph (foreign and ignored ones do not)."""
    try:
        return function.graph is not None
    except IRError:
        return False


def inline_call(call: Node, body: Graph) -> Sequence[Value]:
    """Replace a node, whose inputs are the arguments, by a copy of a graph; returns the values that replace its outputs."""
    if len(body.inputs) != len(call.inputs):
        raise IRError(f"a function of {len(body.inputs)} inputs is called with {len(call.inputs)}", call.range)
    values: dict[Value, Value] = dict(zip(body.inputs, call.inputs, strict=True))
    for n in body.nodes:
        copy = call.graph.clone_node(n, values.__getitem__)
        copy.insert_before(call)
        values.update(zip(n.outputs, copy.outputs, strict=True))
    results = [values[v] for v in body.outputs]
    for old, new in zip(call.outputs, results, strict=True):
        if old.has_debug_name:
            new.set_debug_name(old.debug_name)
        old.replace_all_uses_with(new)
    call.destroy()
    return results
