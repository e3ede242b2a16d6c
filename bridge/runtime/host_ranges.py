"""How large the ints of a program get, as far as its text tells: where they may leave 64 bits, Python has to look."""

from __future__ import annotations

from bridge.ir import types as T
from bridge.ir.graph import Node, Value

__all__ = ["FULL", "Ranges"]

#: Bits of an int of which nothing is known.
FULL = 63
#: Bits of what counts: lengths, sizes, and how often anything can happen before nobody waits any more.
_COUNT = 40
_COUNTS = frozenset("aten::len aten::size aten::numel aten::dim aten::__range_length".split())
#: On what is congruent modulo 2**64 these give what is: one look behind several of them is enough.
RING = frozenset("aten::add aten::sub aten::mul aten::neg".split())


class Ranges:
    """For each int a number of bits that its size has at most; to be told of nodes in the order of the program."""

    def __init__(self) -> None:
        self.known: dict[Value, int] = {}

    def bits(self, v: Value) -> int:
        found = self.known.get(v)
        if found is None:
            constant = v.node.attributes.get("value") if v.node.kind == "prim::Constant" else None
            found = constant.bit_length() if type(constant) is int else 1 if v.type is T.BOOL else FULL
        return found

    def node(self, n: Node) -> int:
        """The bits of what a node computes, before it is made to fit."""
        kind = n.kind
        if kind in _COUNTS:
            return _COUNT
        if kind in ("aten::add", "aten::sub"):
            return max(map(self.bits, n.inputs[:2])) + 1
        if kind == "aten::mul":
            return sum(map(self.bits, n.inputs))
        if kind == "aten::neg":
            found = self.bits(n.inputs[0])
            return found + (found >= FULL)  # the least of all has no opposite
        if kind in ("prim::max", "prim::min") and len(n.inputs) == 2:
            return max(map(self.bits, n.inputs))
        if kind == "aten::__derive_index":
            return min(FULL, max(self.bits(n.inputs[1]), _COUNT + self.bits(n.inputs[2])) + 1)
        if kind == "aten::remainder":
            return self.bits(n.inputs[1])
        if kind == "aten::floordiv":
            return self.bits(n.inputs[0])
        if kind == "aten::Int" and len(n.inputs) == 1:
            t = n.inputs[0].type
            return self.bits(n.inputs[0]) if t in (T.INT, T.BOOL) else FULL + (t is T.FLOAT)
        return FULL

    def enter(self, loop: Node) -> None:
        """What is known of the values that a loop carries: those that only steps are added to stay small."""
        body = loop.blocks[0]
        self.known[body.inputs[0]] = min(_COUNT, self.bits(loop.inputs[0]))
        for p, first, again, out in zip(body.inputs[1:], loop.inputs[2:], body.outputs[1:], loop.outputs, strict=True):
            if p.type is T.INT:
                step = self._step(again, p, {})
                found = FULL if step is None else max(self.bits(first), step + _COUNT) + 1
                self.known[p] = self.known[out] = min(found, FULL)

    def leave(self, choice: Node) -> None:
        """What is known of the values behind branches."""
        for i, o in enumerate(choice.outputs):
            if o.type is T.INT:
                self.known[o] = max(self.bits(b.outputs[i]) for b in choice.blocks)

    def _step(self, v: Value, p: Value, seen: dict[Value, int | None]) -> int | None:
        """The bits of what is added to ``p`` to make ``v``, whatever way is taken; None when more is done to it."""
        if v is p:
            return 0
        if v not in seen:
            seen[v] = None
            seen[v] = self._step_of(v, p, seen)
        return seen[v]

    def _step_of(self, v: Value, p: Value, seen: dict[Value, int | None]) -> int | None:
        n = v.node
        found: list[int | None] = []
        if n.kind in ("aten::add", "aten::sub"):
            a, b = n.inputs[:2]
            if n.kind == "aten::add" and self._fixed(a) is not None:
                a, b = b, a
            found = [self._step(a, p, seen), self._fixed(b)]
        elif n.kind in ("prim::If", "prim::Loop") and v in n.outputs:
            at = n.outputs.index(v)
            if n.kind == "prim::If":
                found = [self._step(b.outputs[at], p, seen) for b in n.blocks]
            else:
                body = n.blocks[0]
                found = [
                    self._step(n.inputs[at + 2], p, seen),
                    self._step(body.outputs[at + 1], body.inputs[at + 1], {}),
                ]
        if not found or any(f is None for f in found):
            return None
        return max(f for f in found if f is not None)

    def _fixed(self, v: Value) -> int | None:
        """The bits of a small number that does not grow with the loop."""
        if v.node.kind in _COUNTS:
            return None  # added again and again to what it counts it may be what doubles
        found = self.bits(v) if v.node.kind == "prim::Constant" else FULL
        return found if found < FULL - _COUNT - 1 else None
