"""Constant pooling: every constant once, at the start of the graph.

Needs: a valid graph. Promises: the same values. Equal tensors and lists are merged only where nobody can tell them
apart (nothing writes to them, and not both leave the graph). The order is torch's: last found first. Linear.
"""

from __future__ import annotations

from typing import Any

from bridge.ir.graph import Block, Graph, Node
from bridge.ir.passes.aliases import AliasAnalysis, is_mutable_type
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.constants import node_key
from bridge.ir.types import EnumValue

__all__ = ["pool_constants"]


@graph_pass
def pool_constants(graph: Graph) -> None:
    """Move all constants to the start of the graph and merge equal ones."""
    _Pool(graph).block(graph.block)


class _Pool:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[Any, Node] = {}
        self._aliases: AliasAnalysis | None = None

    def block(self, block: Block) -> None:
        for n in list(block.nodes):  # they move to the front while we go
            for b in n.blocks:
                self.block(b)
            if n.kind == "prim::Constant" and not n.blocks:
                self.constant(n)

    def constant(self, n: Node) -> None:
        one_of_its_own = isinstance(n.attributes.get("value"), EnumValue)  # torch does not see that these are equal
        first = self.known.setdefault((n,) if one_of_its_own else node_key(n), n)
        if first is not n:
            if self.may_merge(n, first):
                n.output.replace_all_uses_with(first.output)
                n.destroy()
            return
        start = self.graph.param_node.next
        assert start is not None
        if n is not start:
            n.move_before(start)

    def may_merge(self, n: Node, other: Node) -> bool:
        if n.attributes.get("value", n) is other.attributes.get("value") or not is_mutable_type(n.output.type):
            return True
        if self._aliases is None:
            self._aliases = AliasAnalysis(self.graph)
        return self._aliases.safe_to_merge(n.outputs, other.outputs)
