"""Dead code elimination: removes nodes whose results nobody needs and that have no effect.

Needs: a valid graph; schemas of the operators in it (one without schema counts as pure). Promises: what the graph
returns, raises, prints and writes is the same; unused outputs of ``prim::If`` and unchanged, unused values carried by
loops are removed too. A node that writes to memory is kept when the memory is needed later, or came from outside.
Linear in the graph (times the nesting of loops).
"""

from __future__ import annotations

from bridge.ir.graph import Block, Graph, Node, Value
from bridge.ir.node_schema import schema_of
from bridge.ir.passes.aliases import AliasAnalysis
from bridge.ir.passes.base import graph_pass
from bridge.ir.passes.effects import has_side_effects

__all__ = ["eliminate_dead_code"]


@graph_pass
def eliminate_dead_code(graph: Graph, aliases: bool = True) -> None:
    """Remove dead code. Without ``aliases`` every node that writes to its arguments is kept."""
    _Eliminator(graph, aliases).run()


#: Nodes that touch nothing else, and most of what is dead.
_READS = frozenset({"prim::Constant", "prim::GetAttr", "prim::Uninitialized"})


class _Eliminator:
    def __init__(self, graph: Graph, aliases: bool) -> None:
        self.graph = graph
        self.marked: set[Node] = set()
        self.live: set[Value] = set()
        self.live_memory: set[object] = set()
        self.effects: dict[Node, bool] = {}
        # What nobody reads goes first, so that nothing below looks at it: m[0] of a list of modules reads all of them.
        for n in [n for n in graph.all_nodes() if n.kind in _READS and not any(v.use_count for v in n.outputs)]:
            n.destroy()
        # What has effects besides stays whatever it writes to; without another write nobody asks about memory.
        writes = any(_may_write(n) and not has_side_effects(n) for n in graph.all_nodes())
        self.use_aliases = aliases
        self.aliases = AliasAnalysis(graph, careful=True) if aliases and writes else None

    def run(self) -> None:
        self.drop_fork_inputs(self.graph.block)
        self.mark(self.graph.return_node)
        self.mark_block(self.graph.block)
        self.sweep(self.graph.block)

    def drop_fork_inputs(self, block: Block) -> None:
        for n in block.nodes:
            for b in n.blocks:
                self.drop_fork_inputs(b)
            if n.kind != "prim::fork":
                continue
            inner: Graph = n["Subgraph"]
            for i in range(len(inner.inputs) - 1, -1, -1):
                if not inner.inputs[i].use_count:
                    inner.param_node.remove_output(i)
                    n.remove_input(i)

    # -- marking -------------------------------------------------------------------------------------------------------

    def need(self, v: Value) -> None:
        if v not in self.live:
            self.live.add(v)
            if self.aliases is not None:
                self.live_memory |= self.aliases.locations_of(v)

    def mark(self, n: Node) -> bool:
        """Mark a node and the nodes it is in as needed; whether that is news."""
        if n in self.marked:
            return False
        self.marked.add(n)
        owner = n.block.owner if n.block is not None else None
        if owner is not None:
            self.mark(owner)
        for v in n.inputs:
            self.need(v)
        return True

    def mark_block(self, block: Block) -> bool:
        news = False
        for n in block.nodes:
            if self.has_effects(n):
                news |= self.mark(n)
        news |= self.mark_return(block)
        for n in block.nodes_reversed:
            if n.kind == "prim::Loop":
                # What the body needs of its own last round makes more of the body needed.
                while self.mark_block(n.blocks[0]):
                    news = True
            else:
                for b in n.blocks:
                    news |= self.mark_block(b)
            news |= self.mark_if_needed(n)
        return news

    def mark_return(self, block: Block) -> bool:
        """Mark the results of a block that are used outside."""
        n, owner = block.return_node, block.owner
        if n in self.marked:
            return False
        if owner is None:
            return self.mark(n)
        if owner.kind == "prim::Loop":
            for outer, inner, result in zip(owner.outputs, block.inputs[1:], block.outputs[1:], strict=True):
                if outer in self.live or inner.use_count:
                    self.need(result)
            self.need(block.outputs[0])
        elif owner.kind == "prim::If":
            for outer, result in zip(owner.outputs, block.outputs, strict=True):
                if outer in self.live:
                    self.need(result)
        else:
            for result in block.outputs:
                self.need(result)
        self.marked.add(n)
        return True

    def mark_if_needed(self, n: Node) -> bool:
        if any(v in self.live for v in n.outputs):
            return self.mark(n)
        if self.aliases is not None and not self.live_memory.isdisjoint(self.aliases.writes_of(n)):
            return self.mark(n)
        return False

    def has_effects(self, n: Node) -> bool:
        found = self.effects.get(n)
        if found is None:
            found = has_side_effects(n) or any(self.has_effects(i) for b in n.blocks for i in b.nodes)
            if not found and self.aliases is not None:
                found = self.aliases.writes_to_wildcard(n)
            elif not found and not self.use_aliases:
                found = _may_write(n)
            self.effects[n] = found
        return found

    # -- sweeping ------------------------------------------------------------------------------------------------------

    def sweep(self, block: Block) -> None:
        for n in block.nodes_reversed:
            # First, as this makes more inside the blocks dead.
            if n.kind == "prim::If":
                _drop_if_outputs(n)
            elif n.kind == "prim::Loop":
                _drop_loop_outputs(n)
            for b in n.blocks:
                self.sweep(b)
            if n not in self.marked and not any(v.use_count for v in n.outputs):
                n.destroy()


def _may_write(n: Node) -> bool:
    if n.kind in ("prim::SetAttr", "aten::wait", "aten::batch_norm", "aten::instance_norm"):
        return True
    if n.kind in ("prim::CallFunction", "prim::CallMethod", "prim::Enter", "prim::Exit", "aten::backward"):
        return True
    if n.kind.startswith("prim::"):
        return False
    schema = schema_of(n)
    return schema is not None and schema.is_mutable


def _drop_if_outputs(n: Node) -> None:
    for i in range(len(n.outputs) - 1, -1, -1):
        if not n.outputs[i].use_count:
            n.remove_output(i)
            for b in n.blocks:
                b.return_node.remove_input(i)


def _drop_loop_outputs(n: Node) -> None:
    (body,) = n.blocks
    for i in range(len(n.outputs) - 1, -1, -1):
        if not n.outputs[i].use_count and not body.inputs[i + 1].use_count:
            n.remove_output(i)
            n.remove_input(i + 2)
            body.param_node.remove_output(i + 1)
            body.return_node.remove_input(i + 1)
