"""Loops that have both a trip count and a condition become while loops (``canonicalize_modified_loop.cpp``).

Python has ``for`` and ``while`` and nothing that is both, so a graph with such loops could not be printed.
"""

from __future__ import annotations

from bridge.importers.script.control import MAX_TRIPS
from bridge.importers.script.matching import constant_of, insert
from bridge.ir import types as T
from bridge.ir.graph import Block, Graph, Node

__all__ = ["canonicalize_modified_loops"]


def canonicalize_modified_loops(graph: Graph) -> None:
    """Rewrite every loop that ends early."""
    _block(graph.block)


def _block(block: Block) -> None:
    for n in block.nodes:
        for b in n.blocks:
            _block(b)
        if n.kind == "prim::Loop":
            _loop(n)


def _is_modified(n: Node) -> bool:
    """Neither ``for`` (the condition is always true) nor ``while`` (no trip count)."""
    trips = constant_of(n.inputs[0])
    conditions = [constant_of(n.inputs[1]), constant_of(n.blocks[0].outputs[0])]
    if all(known and value for known, value in conditions):
        return False
    return not (trips[0] and trips[1] == MAX_TRIPS)


def _loop(n: Node) -> None:
    if not _is_modified(n):
        return
    graph, body = n.graph, n.blocks[0]
    with graph.inserting(n), graph.at_range(None):
        zero, one = graph.constant(0), graph.constant(1)
        trips = n.inputs[0]
        condition = insert(graph, "aten::gt", [trips, zero])
        n.replace_input(0, graph.constant(MAX_TRIPS))
        known, value = constant_of(n.inputs[1])
        if not known or not value:
            condition = insert(graph, "aten::__and__", [condition, n.inputs[1]])
        n.replace_input(1, condition)
        n.add_output(T.INT)
    with graph.inserting(body), graph.at_range(None):
        n.add_input(zero)
        index = body.add_input("", T.INT)
        body.inputs[0].set_debug_name("").replace_all_uses_with(index)
        next_index = insert(graph, "aten::add", [index, one])
        body.add_output(next_index)
        less = insert(graph, "aten::lt", [next_index, trips])
        both = insert(graph, "aten::__and__", [less, body.outputs[0]])
        body.return_node.replace_input(0, both)
