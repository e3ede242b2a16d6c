"""Canonical forms: numbering (``canonicalize``), and the order of what ``if`` and loops give out.

``canonicalize_outputs`` needs a valid graph and promises the same values; the outputs of every ``prim::If`` and the
carried values of every ``prim::Loop`` are in the order of their first use, unused ones last. The compiler adds outputs
in the order of hash tables; this is what makes texts reproducible.
"""

from __future__ import annotations

from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.passes.base import graph_pass

__all__ = ["canonicalize", "canonicalize_outputs"]


def canonicalize(graph: Graph, keep_names: bool = True) -> Graph:
    """A copy of the graph whose values are numbered from 0 in the order of the text."""
    copy = graph.copy()
    if not keep_names:
        for v in [*copy.inputs, *(o for n in copy.block.nodes for o in n.outputs)]:
            v.set_debug_name("")
    for n in copy.all_nodes():
        for name, a in n.attributes.items():
            if isinstance(a, Graph) and name == "Subgraph":
                n[name] = canonicalize(a, keep_names)
    return copy


@graph_pass
def canonicalize_outputs(graph: Graph) -> None:
    """Order the outputs of ``prim::If`` and the values carried by ``prim::Loop`` by their first use."""
    _block(graph.block)


def _block(block: Block) -> None:
    # From the end, as the order of a node's outputs hangs on the nodes after it.
    for n in block.nodes_reversed:
        if n.kind == "prim::Loop":
            _permute_loop(n, _order(n))
        elif n.kind == "prim::If":
            order = _order(n)
            n.permute_outputs(order)
            for b in n.blocks:
                b.return_node.permute_inputs(order)
        for b in n.blocks:
            _block(b)


class _Place:
    """A use, ordered by where it stands in the text."""

    __slots__ = ("node", "offset")

    def __init__(self, node: Node, offset: int) -> None:
        self.node, self.offset = node, offset

    def __lt__(self, other: _Place) -> bool:
        if self.node is other.node:
            return self.offset < other.offset
        return self.node.is_before(other.node)


def _first_use(v: Value) -> _Place | None:
    return min((_Place(u.user, u.offset) for u in v.uses), default=None)


def _order(n: Node) -> list[int]:
    places = [(_first_use(v), i) for i, v in enumerate(n.outputs)]
    used = sorted(((p, i) for p, i in places if p is not None), key=lambda pair: pair[0])
    return [i for _, i in used] + [i for p, i in places if p is None]


def _permute_loop(n: Node, order: list[int]) -> None:
    if order == sorted(order):
        return
    (body,) = n.blocks
    n.permute_outputs(order)
    n.permute_inputs([0, 1, *(i + 2 for i in order)])
    inner = [0, *(i + 1 for i in order)]
    body.param_node.permute_outputs(inner)
    body.return_node.permute_inputs(inner)
