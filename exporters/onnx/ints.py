"""Arithmetic on ints that only run time knows: sums are kept as a value plus a constant, so that ``(i + 1) - 1`` is ``i``.

What is known of an int beside that: the least value it may have, and of the index of a loop what it stays below. Both tell that a
position is there, so that reading it may move out of a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.exporters.onnx.machine import Machine, handles
from bridge.exporters.onnx.operators import lower_operator
from bridge.exporters.onnx.values import INT64, Abstract, Run
from bridge.ir import types as T
from bridge.ir.graph import Node

__all__ = ["add", "difference", "is_int", "loop_index", "parts", "subtract"]


def is_int(v: Abstract) -> bool:
    """Whether a value is an int, known or not."""
    return (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, Run) and v.number is T.INT)


def add(m: Machine, a: Abstract, b: Abstract) -> Abstract:
    """``a + b`` of ints."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if isinstance(a, int):
        a, b = b, a
    if isinstance(b, int):
        return _plus(m, a, b)
    made: Run = m.emitter.op("Add", a, b, dims=())
    if a.least is not None and b.least is not None:
        made.least = a.least + b.least
    return made.seen_as(T.INT)


def subtract(m: Machine, a: Abstract, b: Abstract) -> Abstract:
    """``a - b`` of ints."""
    if isinstance(b, int):
        return add(m, a, -b)
    apart = difference(a, b) if not isinstance(a, int) else None
    if apart is not None:
        return apart
    made: Run = m.emitter.op("Sub", m.emitter.scalar(a, INT64), b, dims=())
    return made.seen_as(T.INT)


def difference(a: Run, b: Run) -> int | None:
    """``a - b``, where it is known."""
    (base, plus), (other, more) = parts(a), parts(b)
    return plus - more if base is other else None


def parts(v: Run) -> tuple[Run, int]:
    """An int as the sum of another one and a constant."""
    root = v.root
    return root.sum_of if root.sum_of is not None else (root, 0)


def _plus(m: Machine, a: Run, b: int) -> Abstract:
    """A run-time int and a known one."""
    base, more = parts(a)
    more += b
    if more == 0:
        return base.seen_as(T.INT)
    made: Run = m.emitter.op("Add", base, np.array(more, np.int64), dims=())
    made.sum_of = base, more
    made.least = None if base.least is None else base.least + more
    made.below = None if base.below is None else (base.below[0], base.below[1] + more)
    return made.seen_as(T.INT)


def loop_index(i: Run, trip: Abstract) -> None:
    """Note what is known of the index of a loop that runs ``trip`` times at most."""
    i.least = 0
    if isinstance(trip, int):
        i.below = None, trip
        return
    count = trip.root.count_of or trip
    base, more = parts(count)
    if base.symbol is not None:
        i.below = base.symbol, more


@handles("aten::sub")
def sub(m: Machine, node: Node) -> Abstract:
    """``a - b``; of ints here."""
    if len(node.inputs) == 2 and node.output.type is T.INT:
        a, b = m.inputs(node)
        if is_int(a) and is_int(b):
            return subtract(m, a, b)
    return lower_operator(m, node)


@handles("aten::floordiv")
def floordiv(m: Machine, node: Node) -> Abstract:
    """``a // b``; what is not negative, divided by a positive int, needs no look at the sign of the remainder."""
    if len(node.inputs) == 2 and node.output.type is T.INT:
        a, b = m.inputs(node)
        least = a.root.least if isinstance(a, Run) and is_int(a) else None
        if least is not None and least >= 0 and isinstance(b, int) and b > 0:
            made: Run = m.emitter.op("Div", a, np.array(b, np.int64), dims=())
            made.least = least // b
            return made.seen_as(T.INT)
    return lower_operator(m, node)


@handles("aten::__range_length")
def range_length(m: Machine, node: Node) -> Abstract:
    """How often a ``for`` over a range runs."""
    start, stop, step = m.inputs(node)
    if not isinstance(step, int) or step == 0 or not (is_int(start) and is_int(stop)):
        return lower_operator(m, node)
    distance = subtract(m, stop, start) if step > 0 else subtract(m, start, stop)
    if isinstance(distance, int):
        return max(0, -(-distance // abs(step)))
    e = m.emitter
    if abs(step) != 1:
        more = add(m, distance, abs(step) - 1)
        distance = e.op("Div", e.scalar(more, INT64), np.array(abs(step), np.int64), dims=()).seen_as(T.INT)
    if distance.root.least is not None and distance.root.least >= 0:
        return distance
    made = e.op("Max", distance, np.array(0, np.int64), dims=())
    made.least, made.count_of = 0, distance.root
    return made.seen_as(T.INT)


@handles("aten::__derive_index")
def derive_index(m: Machine, node: Node) -> Abstract:
    """The value of a range at an iteration."""
    i, start, step = m.inputs(node)
    if not isinstance(step, int) or not (is_int(start) and is_int(i)):
        return lower_operator(m, node)
    if step == 1:
        return add(m, i, start)
    if step == -1:
        return subtract(m, start, i)
    if isinstance(i, int):
        return add(m, i * step, start)
    made: Any = m.emitter.op("Mul", i, np.array(step, np.int64), dims=())
    made.least = 0 if step > 0 and i.root.least == 0 else None
    return add(m, made.seen_as(T.INT), start)
