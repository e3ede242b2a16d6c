"""Small rewrites that must know who writes to which tensor: ``x + 0``, ``x * 1``, ``conv2d(x).dim()``, cat of cat.

Part of :mod:`bridge.ir.passes.peephole`; the same promises.
"""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.graph import Graph, Node, Value
from bridge.ir.passes.aliases import AliasAnalysis
from bridge.ir.passes.constants import NOT_CONSTANT, constant_value, insert_constant

__all__ = ["simplify_memory"]

_CONVOLUTIONS = {"aten::conv1d": 3, "aten::conv2d": 4, "aten::conv3d": 5}
_NEUTRAL = {"aten::add": 0, "aten::sub": 0, "aten::mul": 1, "aten::div": 1}


def simplify_memory(graph: Graph, shapes: bool) -> bool:
    """Apply the rewrites; whether anything changed."""
    candidates = [n for n in graph.all_nodes() if n.kind in _CONVOLUTIONS or _is_neutral(n, shapes)]
    concatenations = [n for n in graph.all_nodes() if _holds_concatenation(n)]
    if not candidates and not concatenations:
        return False
    aliases = AliasAnalysis(graph)
    changed = False
    stale: list[Value] = []
    for n in candidates:
        if n.kind in _CONVOLUTIONS:
            changed |= _rank_of_convolution(graph, n, aliases)
        elif aliases.safe_to_merge(n.inputs[:1], n.outputs) and not aliases.may_alias([n.inputs[0], n.output], stale):
            # What is known about both is out of date from here on.
            stale += [n.inputs[0], n.output]
            n.output.replace_all_uses_with(n.inputs[0])
            changed = True
    for n in concatenations:
        changed |= _combine(n, aliases)
    return changed


def _is_neutral(n: Node, shapes: bool) -> bool:
    """Whether the node adds 0 or multiplies by 1, without changing the dtype by it."""
    neutral = _NEUTRAL.get(n.kind)
    if neutral is None or len(n.inputs) < 2 or not isinstance(n.inputs[0].type, T.TensorType):
        return False
    numbers = n.inputs[1:]
    if any(v.type not in (T.INT, T.FLOAT) for v in numbers):
        return False
    dtype = n.inputs[0].type.dtype
    floating = shapes and dtype is not None and dtype.is_floating_point
    if not floating and (n.kind == "aten::div" or any(v.type is not T.INT for v in numbers)):
        return False
    values = [constant_value(v) for v in numbers]
    if any(v is NOT_CONSTANT for v in values) or values[0] != neutral:
        return False
    return len(values) == 1 if neutral == 1 else values[1:] == [1]


def _rank_of_convolution(graph: Graph, n: Node, aliases: AliasAnalysis) -> bool:
    questions = [u.user for u in n.output.uses if u.user.kind == "aten::dim"]
    if not questions or aliases.has_writers(n.output):
        return False
    for q in questions:
        with graph.inserting(q):
            c = insert_constant(graph, _CONVOLUTIONS[n.kind])
        assert c is not None
        q.output.replace_all_uses_with(c)
    return True


def _holds_concatenation(n: Node) -> bool:
    if n.kind != "aten::cat" or len(n.inputs) != 2 or n.inputs[0].node.kind != "prim::ListConstruct":
        return False
    return any(v.node.kind == "aten::cat" for v in n.inputs[0].node.inputs)


def _combine(n: Node, aliases: AliasAnalysis) -> bool:
    """``cat([cat([a, b]), c])`` becomes ``cat([a, b, c])`` when the inner ones are for this only."""
    made = n.inputs[0].node
    if n.inputs[0].use_count != 1 or aliases.has_writers(n.inputs[0]):
        return False
    parts: list[Value] = []
    for v in made.inputs:
        inner = v.node
        if inner.kind != "aten::cat":
            parts.append(v)
            continue
        inner_list = inner.inputs[0]
        same_dim = inner.inputs[1] is n.inputs[1]
        alone = v.use_count == 1 and inner_list.use_count == 1 and inner_list.node.kind == "prim::ListConstruct"
        if not same_dim or not alone or aliases.has_writers(v) or aliases.has_writers(inner_list):
            return False
        parts.extend(inner_list.node.inputs)
    new = n.graph.create("prim::ListConstruct", parts)
    new.range = None
    new.output.type = made.output.type
    new.insert_before(n)
    n.replace_input(0, new.output)
    return True
