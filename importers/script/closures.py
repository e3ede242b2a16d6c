"""Forks and awaitables: closures → graphs of their own (``lift_closures.cpp``, ``inline_forked_closures.cpp``)."""

from __future__ import annotations

from collections.abc import Callable

from bridge.importers.script.errors import CompileError
from bridge.ir import types as T
from bridge.ir.graph import Block, Graph, Node, Value

__all__ = ["inline_forked_closures", "lift_closures"]

Cleanup = Callable[[Graph], None]


def lift_closures(graph: Graph, cleanup: Cleanup) -> None:
    """Give each ``prim::Closure`` a graph; what it uses from outside goes in as one tuple, its context."""
    _lift(graph.block, cleanup)


def _lift(block: Block, cleanup: Cleanup) -> None:
    for n in block.nodes:
        if n.kind == "prim::Closure":
            _lift_one(n, cleanup)
        else:
            for b in n.blocks:
                _lift(b, cleanup)


def _lift_one(closure: Node, cleanup: Cleanup) -> None:
    graph, inner = closure.graph, Graph()
    pack = graph.create("prim::TupleConstruct")
    pack.range = None
    pack.insert_after(closure)
    context = inner.add_input("context")
    unpack = inner.insert(inner.create("prim::TupleUnpack", [context], 0))
    captured: dict[Value, Value] = {}

    def capture(v: Value) -> Value:
        found = captured.get(v)
        if found is None:
            pack.add_input(v)
            found = captured[v] = unpack.add_output().copy_metadata(v)
        return found

    inner.block.clone_from(closure.blocks[0], capture)
    context.type = pack.output.type = T.TupleType(*[v.type for v in pack.inputs])
    both = graph.create("prim::TupleConstruct")
    both.range = None
    both.insert_after(pack)
    closure.output.replace_all_uses_with(both.output)
    both.add_input(closure.output)
    both.add_input(pack.output)
    both.output.type = T.TupleType(closure.output.type, context.type)
    closure.erase_block(0)
    closure["Subgraph"] = inner
    cleanup(inner)


def inline_forked_closures(graph: Graph, cleanup: Cleanup) -> None:
    """``prim::forkClosure`` → ``prim::fork`` (and the same of awaitables) whose inputs are the values that the closure's context held."""
    _inline(graph.block, cleanup)


def _inline(block: Block, cleanup: Cleanup) -> None:
    for n in block.nodes:
        if n.kind in ("prim::forkClosure", "prim::awaitableClosure"):
            _inline_one(n, cleanup)
        else:
            for b in n.blocks:
                _inline(b, cleanup)


def _inline_one(fork: Node, cleanup: Cleanup) -> None:
    both = fork.input.node
    if len(both.inputs) != 2 or both.inputs[0].node.kind != "prim::Closure":
        raise CompileError("Cannot fork this value", fork.range)
    closure, context = both.inputs[0].node, both.inputs[1].node
    inner: Graph = closure["Subgraph"].copy()
    node = fork.graph.create(fork.kind.removesuffix("Closure"))
    node.range = fork.range
    node.insert_after(fork)
    if len(inner.inputs) != 1:
        raise CompileError("Cannot fork lambda with parameters", fork.range)
    unpack = inner.inputs[0].uses[0].user
    for i, v in enumerate(context.inputs):
        node.add_input(v)
        parameter = inner.param_node.insert_output(i).copy_metadata(v)
        unpack.outputs[i].replace_all_uses_with(parameter)
    unpack.destroy()
    inner.param_node.remove_output(len(inner.inputs) - 1)
    node.output.copy_metadata(fork.output)
    fork.output.replace_all_uses_with(node.output)
    fork.destroy()
    node["Subgraph"] = inner
    cleanup(inner)
