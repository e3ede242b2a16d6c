"""Which nodes are written inside the expressions that use them.

A temporary needs no name when it is used once, is unnamed, and would be computed at the same moment if the text were
compiled again: the compiler emits an expression's operands from left to right, then the operator. So the nodes before a
node are walked backwards beside its inputs from right to left; as long as both agree, they are one expression.
"""

from __future__ import annotations

from bridge.ir.graph import Block, Node, Value

__all__ = ["inlined_nodes"]

_RUNS_ELSEWHERE = frozenset({"prim::fork", "prim::rpc_async", "prim::rpc_sync", "prim::rpc_remote"})


def inlined_nodes(block: Block, inlined: set[Node]) -> None:
    """Add to ``inlined`` the nodes of a block, and of the blocks inside, that are written where they are used."""
    _scan(block.return_node, inlined)
    for n in block.nodes_reversed:
        _scan(n, inlined)


def _can_inline(v: Value) -> bool:
    n = v.node
    if len(n.outputs) != 1 or v.use_count != 1 or n.blocks or n.kind == "prim::isinstance":
        return False  # (an isinstance in a condition would refine types a second time)
    (use,) = v.uses
    if v.has_debug_name and use.user.kind != "prim::Return":
        return False
    if use.user.kind == "prim::Loop" and use.offset >= 2:
        return False  # initial values of loops are assigned before the condition
    return use.user.kind not in _RUNS_ELSEWHERE


def _before(n: Node) -> Node:
    """The last node before this one that is no constant."""
    while True:
        assert n.prev is not None
        n = n.prev
        if n.kind != "prim::Constant":
            return n


def _scan(start: Node, inlined: set[Node]) -> None:
    """Walk the inputs of a node; without recursion, as chains may be as long as the program."""
    if start in inlined:
        return
    for b in start.blocks:
        inlined_nodes(b, inlined)
    stack = [(start, len(start.inputs))]
    point = _before(start)
    while stack:
        n, left = stack.pop()
        if left == 0:
            if stack:  # all operands of an inlined node are done
                inlined.add(n)
            continue
        stack.append((n, left - 1))
        v = n.inputs[left - 1]
        producer = v.node
        if producer is point and _can_inline(v):
            if producer not in inlined:
                stack.append((producer, len(producer.inputs)))
                point = _before(producer)
        elif producer.kind == "prim::Constant":
            inlined.add(producer)
