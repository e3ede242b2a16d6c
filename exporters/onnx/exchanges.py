"""Tensors that a loop exchanges: ``previous, current = current, previous``, where each of them is written to.

Names that a loop hands round stand for different tensors in every round, if they did before it and the body hands on each at
most once, whatever path it takes. Then what one of them holds can be followed without knowing which memory it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bridge.exporters.onnx.same_tensor import earlier, inside, source
from bridge.ir import types as T
from bridge.ir.graph import Block, Graph, Node, Value

__all__ = ["exchanging", "loops_of"]

#: How many ways through branches of one body are looked at.
_PATHS = 64


def loops_of(graph: Graph) -> Iterator[Node]:
    """All loops, inner ones before those that they are in."""
    found = [n for n in graph.all_nodes() if n.kind == "prim::Loop"]
    yield from reversed(found)  # a loop comes before what is in it


def exchanging(loop: Node, groups: Mapping[Node, frozenset[int]], is_new: Callable[[Value], bool]) -> frozenset[int]:
    """The positions of carried tensors that stay different from one another in every round.

    ``groups`` has the same of the loops inside; ``is_new`` says of what a body makes whether it shares its memory with nothing.
    """
    body = loop.blocks[0]
    carried = {k for k, p in enumerate(body.inputs[1:]) if isinstance(p.type, T.TensorType) and earlier(p) is None}
    while carried:
        bad = _not_different(body, sorted(carried), groups, is_new)
        if bad is None:
            return frozenset()
        if not bad:
            return frozenset(carried)
        carried -= bad
    return frozenset()


def _not_different(
    body: Block, carried: list[int], groups: Mapping[Node, frozenset[int]], is_new: Callable[[Value], bool]
) -> set[int] | None:
    """The positions that are handed on as something else on some path, or twice; None where there are too many paths."""
    parameters = {body.inputs[1 + k] for k in carried}
    bad = set[int]()
    todo = [[(k, body.outputs[1 + k]) for k in carried]]
    for _ in range(_PATHS):
        if not todo:
            return bad
        row = [(k, source(v, body)) for k, v in todo.pop()]
        first: dict[Value, int] = {}
        twice = {x for k, v in row if first.setdefault(v, k) != k for x in (k, first[v])}
        if twice:
            if -1 in twice:  # what an inner loop had and did not hand on
                return set(carried)
            bad |= twice
            continue
        branch = next((v.node for _, v in row if v.node.kind == "prim::If" and inside(v.node, body)), None)
        if branch is not None:
            todo += [[(k, b.outputs[v.offset] if v.node is branch else v) for k, v in row] for b in branch.blocks]
            continue
        inner = next((v.node for _, v in row if _is_exchanged(v, body, groups)), None)
        if inner is not None:
            todo.append(_before(inner, row, groups[inner]))
            continue
        bad |= {k for k, v in row if not _is_one(v, body, parameters, is_new)}
        if -1 in bad:
            return set(carried)
    return None


def _is_one(v: Value, body: Block, parameters: set[Value], is_new: Callable[[Value], bool]) -> bool:
    """Whether a value is one of the carried tensors, or a new one."""
    return v in parameters or (inside(v.node, body) and v.node.kind != "prim::Param" and is_new(v))


def _is_exchanged(v: Value, body: Block, groups: Mapping[Node, frozenset[int]]) -> bool:
    return v.node.kind == "prim::Loop" and inside(v.node, body) and v.offset in groups.get(v.node, ())


def _before(inner: Node, row: list[tuple[int, Value]], group: frozenset[int]) -> list[tuple[int, Value]]:
    """What a loop exchanged, as it was before: all of it, in any order (-1: what is not handed on)."""
    there = {v.offset: k for k, v in row if v.node is inner}
    rest = [(k, v) for k, v in row if v.node is not inner or v.offset not in group]
    return rest + [(there.get(k, -1), inner.inputs[2 + k]) for k in group]
