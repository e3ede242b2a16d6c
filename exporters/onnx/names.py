"""Which names stand for a list: where that depends on data, the list is not changed any more as long as several are used."""

from __future__ import annotations

from typing import Any

from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.same_tensor import follows, inside
from bridge.exporters.onnx.values import Abstract, Cell, Maybe, leaves
from bridge.ir.graph import Node

__all__ = ["freeze_if_shared", "reachable", "still_used"]

_WHY = "it became unknown which names stand for it"


def reachable(m: Machine, cell: Cell, node: Node, seen: frozenset[Cell] = frozenset()) -> bool:
    """Whether a name for the list, or for a list that holds it, may be read after ``node``."""
    if _named(m, cell, node):
        return True
    holders = [k for k, c in m.heap.items() if isinstance(k, Cell) and k not in seen and _is_in(cell, c)]
    return any(reachable(m, k, node, seen | {cell}) for k in holders)


def _is_in(cell: Cell, content: Any) -> bool:
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, tuple) else ()
    return any(_holds(x, cell) for x in inside)


def still_used(m: Machine, cell: Cell, node: Node) -> bool:
    """Whether a name for the list, other than results of ``node``, may be read after ``node``."""
    if any(isinstance(c, tuple | dict) and any(x is cell for x in c) for c in m.heap.values()):
        return True
    return _named(m, cell, node)


def _named(m: Machine, cell: Cell, node: Node) -> bool:
    frame, at = m.frame, node
    while True:
        for value, v in frame.env.items():
            if _holds(v, cell):
                for use in value.uses:
                    user = use.user
                    if user is not at and not any(inside(user, b) for b in at.blocks) and follows(user, at, value):
                        return True
        call, caller = frame.call, frame.parent
        if call is None or caller is None:
            return False
        frame, at = caller, call
    return False


def _holds(v: Abstract, cell: Cell) -> bool:
    if isinstance(v, Maybe):
        v = v.value
    return v is cell or (isinstance(v, tuple) and any(x is cell for x in leaves(v)))


def freeze_if_shared(m: Machine, made: Cell, origins: list[Cell], node: Node) -> None:
    """``made`` is one of ``origins``, data decides which: none of them changes any more if another name for one is still used."""
    shared = [c for c in origins if still_used(m, c, node)]
    if shared or any(
        c.home is not None for c in origins
    ):  # (what is an element of another list may be taken out again)
        for c in (made, *shared):
            m.frozen[c] = _WHY
