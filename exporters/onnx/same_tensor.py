"""Which values are one tensor for certain, whatever path is taken: what in-place operators give back, and what branches and
loops hand on as they got it."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.ir import types as T
from bridge.ir.graph import Block, Node, Value
from bridge.ir.node_schema import schema_of

__all__ = ["comes_after", "earlier", "follows", "inside", "repeated", "source", "stays"]


#: How many names for one tensor are looked at to find a common one.
_FAR = 20


def earlier(v: Value) -> Value | None:
    """An older value that is the same tensor as ``v``; None where there is none for certain."""
    return _earlier(v, frozenset())


def stays(loop: Node, k: int) -> bool:
    """Whether a loop hands its ``k``-th carried value on as it got it."""
    return _stays(loop, k, frozenset())


def inside(n: Node, block: Block) -> bool:
    """Whether a node is in a block, however deep."""
    b = n.block
    while b is not None:
        if b is block:
            return True
        b = b.owner.block if b.owner is not None else None
    return False


def follows(user: Node, w: Node, v: Value) -> bool:
    """Whether ``user`` may run after ``w`` with the same ``v``: later in the text, or in a loop that ``v`` is outside of."""
    return repeated(user, w, v) is not None or comes_after(user, w)


def repeated(user: Node, w: Node, v: Value) -> Block | None:
    """The innermost body, not that of ``v``, in which ``user`` may run in a round after the one of ``w``."""
    block = w.block
    while block is not None and block.owner is not None:
        loop = block.owner
        if loop.kind == "prim::Loop" and inside(user, block) and not inside(v.node, block):
            return block
        block = loop.block
    return None


def comes_after(user: Node, w: Node) -> bool:
    """Whether ``user`` may run after ``w`` in one round of every loop around both."""
    if user is w or not w.is_before(user):
        return False
    block = w.block
    while block is not None and block.owner is not None:
        owner = block.owner
        if owner.kind == "prim::If" and not inside(user, block) and any(inside(user, b) for b in owner.blocks):
            return False  # the other branch
        block = owner.block
    return True


def _earlier(v: Value, entered: frozenset[Value]) -> Value | None:
    """``entered`` are values carried by loops of which it is being found out whether they stay."""
    n = v.node
    if not isinstance(v.type, T.TensorType) or v in entered:
        return None
    if n.kind == "prim::If":
        k = n.outputs.index(v)
        first, second = (source(b.outputs[k], b, entered) for b in n.blocks)
        return _one_of(first, second, n, entered)
    if n.kind == "prim::Loop":
        k = n.outputs.index(v)
        return n.inputs[2 + k] if _stays(n, k, entered) else None
    if n.kind == "prim::Param":
        block = n.block
        loop = block.owner if block is not None else None
        if block is None or loop is None or loop.kind != "prim::Loop":
            return None
        k = block.inputs.index(v) - 1
        return loop.inputs[2 + k] if k >= 0 and _stays(loop, k, entered) else None
    return n.inputs[0] if n.kind == "prim::unchecked_cast" or _gives_back(n) else None


def source(v: Value, block: Block, entered: frozenset[Value] = frozenset()) -> Value:
    """The oldest value in a block, or the first one outside of it, that is the same tensor; see :func:`_earlier`."""
    while inside(v.node, block):
        before = _earlier(v, entered)
        if before is None:
            break
        v = before
    return v


def _one_of(first: Value, second: Value, branches: Node, entered: frozenset[Value]) -> Value | None:
    """What both are; where a way out of a loop leaves one behind, at which nobody looks, what the other is."""
    if first is second:
        return first
    for v, other in ((first, second), (second, first)):
        if v.node.kind == "prim::Uninitialized":
            return None if any(inside(other.node, b) for b in branches.blocks) else other
    older = {first, *_all_earlier(first, entered)}
    return next((v for v in (second, *_all_earlier(second, entered)) if v in older), None)


def _all_earlier(v: Value, entered: frozenset[Value]) -> Iterator[Value]:
    """All older values that are the same tensor; not beyond a few of them."""
    for _ in range(_FAR):
        before = _earlier(v, entered)
        if before is None:
            return
        yield before
        v = before


def _stays(loop: Node, k: int, entered: frozenset[Value]) -> bool:
    body = loop.blocks[0]
    p = body.inputs[1 + k]
    return isinstance(p.type, T.TensorType) and source(body.outputs[1 + k], body, entered | {p}) is p


def _gives_back(n: Node) -> bool:
    """Whether a node's result is the tensor that it writes to."""
    if not n.kind.startswith("aten::") or len(n.outputs) != 1 or not n.inputs:
        return False
    schema = schema_of(n)
    if schema is None or not schema.is_mutable or not schema.arguments[0].writes:
        return False
    return bool(schema.returns) and schema.returns[0].alias == schema.arguments[0].alias
