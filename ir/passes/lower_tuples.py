"""Removing tuples: taking one apart that was just put together, or (``lower_all_tuples``) flattening all of them.

Needs: a valid graph. Promises: the same values; element order is kept, a tuple becomes its elements where it stood.
Both are linear, and end with dead code elimination.
"""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.errors import IRError
from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.constants import constant_type, constant_value, insert_constant
from bridge.ir.passes.dead_code import eliminate_dead_code

__all__ = ["lower_all_tuples", "lower_simple_tuples"]

_TAKES_APART = frozenset({"prim::TupleUnpack", "prim::TupleIndex", "prim::TupleSlice"})
#: What may have tuples as inputs and outputs, and is flattened.
_FORWARDS = frozenset(
    {"prim::If", "prim::Loop", "prim::TupleUnpack", "prim::TupleConstruct", "prim::TupleIndex", "prim::TupleSlice",
     "prim::Param", "prim::PythonOp", "aten::format", "prim::Uninitialized", "aten::__getitem__", "prim::Return"}
)  # fmt: skip


@graph_pass
def lower_simple_tuples(graph: Graph) -> None:
    """Replace what is taken out of a ``prim::TupleConstruct`` by what was put in; then remove dead code."""
    _simple(graph.block)
    eliminate_dead_code(graph)


@graph_pass
def lower_all_tuples(graph: Graph) -> None:
    """Flatten all tuples, also in the inputs and outputs of the graph and of its blocks.

    Tuples in operators that know nothing of tuples (calls, casts) stay.
    """
    _all(graph.block)
    eliminate_dead_code(graph, aliases=False)


def _simple(block: Block) -> None:
    for n in block.nodes:
        _take_apart(n, False)
        for b in n.blocks:
            _simple(b)


def _take_apart(n: Node, must: bool) -> None:
    if n.kind not in _TAKES_APART:
        return
    made = n.inputs[0].node
    if made.kind != "prim::TupleConstruct":
        if must:
            raise IRError(f"{n.kind} of a tuple that is not made in this graph", n.range)
        return
    if n.kind == "prim::TupleUnpack":
        for out, element in zip(n.outputs, made.inputs, strict=True):
            out.replace_all_uses_with(element)
    elif n.kind == "prim::TupleIndex":
        index = constant_value(n.inputs[1])
        if not isinstance(index, int):
            if must:
                raise IRError("tuple index with non-constant index", n.range)
            return
        if -len(made.inputs) <= index < len(made.inputs):
            n.output.replace_all_uses_with(made.inputs[index])
    else:
        part = _tuple(n.graph, list(made.inputs[n["beg"] : n["end"]]))
        n.output.replace_all_uses_with(part.insert_before(n).output)


def _tuple(graph: Graph, elements: list[Value], t: T.TupleType | None = None) -> Node:
    n = graph.create("prim::TupleConstruct", elements)
    n.range = None
    n.output.type = t if t is not None else T.TupleType(*(e.type for e in elements))
    return n


# -- all tuples --------------------------------------------------------------------------------------------------------


def _all(block: Block) -> None:
    _visit(block.param_node, block.param_node)
    for n in block.nodes:
        _spell_out_constant(n)
        _visit(n, n)
    _visit(block.return_node, None)


def _spell_out_constant(n: Node) -> None:
    """A tuple constant becomes constants and a construction."""
    if n.kind != "prim::Constant" or not isinstance(n.output.type, T.TupleType):
        return
    t = n.output.type
    elements: list[Value] = []
    with n.graph.inserting(n):
        for value, declared in zip(n["value"], t.elements, strict=True):
            c = insert_constant(n.graph, value, constant_type(value, declared))
            assert c is not None
            elements.append(c)
        made = n.graph.insert(_tuple(n.graph, elements, t if t.fields else None))
    for c in elements:
        _spell_out_constant(c.node)
    n.output.replace_all_uses_with(made.output)


def _visit(n: Node, after: Node | None) -> None:
    if n.kind == "prim::TupleConstruct":
        return
    if n.kind in _TAKES_APART:
        _take_apart(n, True)
        return
    _flatten_inputs(n)
    for b in n.blocks:
        _all(b)
    if after is not None:
        _flatten_outputs(n, after)


def _flatten_inputs(n: Node) -> None:
    i = 0
    while i < len(n.inputs):
        v = n.inputs[i]
        if not isinstance(v.type, T.TupleType) or n.kind not in _FORWARDS or v.node.kind != "prim::TupleConstruct":
            i += 1
            continue
        for j, element in enumerate(v.node.inputs):
            n.insert_input(i + 1 + j, element)
        n.remove_input(i)  # i stays: the elements may be tuples again


def _flatten_outputs(n: Node, after: Node) -> None:
    i = 0
    place = after
    first = None
    while i < len(n.outputs):
        v = n.outputs[i]
        if not isinstance(v.type, T.TupleType) or n.kind not in _FORWARDS:
            i += 1
            continue
        parts = [n.insert_output(i + 1 + j, t) for j, t in enumerate(v.type.elements)]
        made = _tuple(n.graph, parts)
        # Each is put before the one made last, as tuples inside it are made of the outputs that follow.
        if first is None:
            made.insert_after(place)
        else:
            made.insert_before(first)
        first = made
        v.replace_all_uses_with(made.output)
        n.remove_output(i)
