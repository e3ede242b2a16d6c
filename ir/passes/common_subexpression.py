"""Common subexpression elimination: a node that computes what an earlier one computed becomes that one.

Needs: a valid graph. Promises: the same results and effects. Nodes with effects, random numbers or memory that is
written to stay; values that leave the graph stay different memory. Nodes in a block see those before it outside. Linear.
"""

from __future__ import annotations

from typing import Any

from bridge.ir.graph import Block, Graph, Node
from bridge.ir.passes.aliases import AliasAnalysis, is_mutable_type
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.constants import node_key
from bridge.ir.passes.effects import has_side_effects, is_nondeterministic

__all__ = ["eliminate_common_subexpressions"]


@graph_pass
def eliminate_common_subexpressions(graph: Graph) -> bool:
    """Merge equal computations; whether anything changed."""
    return _Eliminator(graph).block(graph.block, [])


class _Eliminator:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._aliases: AliasAnalysis | None = None

    @property
    def aliases(self) -> AliasAnalysis:
        if self._aliases is None:
            self._aliases = AliasAnalysis(self.graph)
        return self._aliases

    def block(self, block: Block, outer: list[dict[Any, Node]]) -> bool:
        known: dict[Any, Node] = {}
        scopes = [*outer, known]
        changed = False
        for n in block.nodes:
            if n.kind == "prim::PythonOp" or has_side_effects(n) or is_nondeterministic(n):
                continue
            if n.blocks:
                for b in n.blocks:
                    changed |= self.block(b, scopes)
                continue
            if self.mutable(n) and self.aliases.has_writers(n):
                continue
            key = node_key(n)
            earlier = next((s[key] for s in reversed(outer) if key in s), None)
            if earlier is not None:
                if self.mutable(n) and not self.aliases.safe_to_merge(n.outputs, earlier.outputs):
                    continue
            elif key in known:
                earlier = known[key]
                if self.mutable(n) and self.both_leave(n, earlier):
                    continue
            else:
                known[key] = n
                continue
            for mine, theirs in zip(n.outputs, earlier.outputs, strict=True):
                mine.replace_all_uses_with(theirs)
            n.destroy()
            changed = True
        return changed

    def mutable(self, n: Node) -> bool:
        return any(is_mutable_type(v.type) for v in (*n.inputs, *n.outputs))

    def both_leave(self, n: Node, earlier: Node) -> bool:
        """Whether both are, or are inside, results of the graph."""
        results = self.graph.outputs
        return self.aliases.may_contain_alias(n.outputs, results) and self.aliases.may_contain_alias(
            earlier.outputs, results
        )
