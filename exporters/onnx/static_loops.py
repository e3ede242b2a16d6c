"""Loops that only make lists of what is known at export: ``[scale for _ in range(x.dim() - 2)]``.

Such a loop is run while the program is lowered. It must take a few steps, whose number is known, and make no ONNX node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.exporters.onnx.records import Body
from bridge.exporters.onnx.values import Cell, Run, leaves
from bridge.ir.errors import LoweringError

if TYPE_CHECKING:
    from bridge.exporters.onnx.machine import Machine
    from bridge.exporters.onnx.values import Abstract
    from bridge.ir.graph import Node

__all__ = ["run_static"]

#: Longer loops stay loops: what they fill is data, not the options of an operator.
_STEPS = 8


def run_static(m: Machine, node: Node, trip: Any, proceed: Any) -> list[Abstract] | None:
    """The results of the loop, or None when it does not only make what is known."""
    block = node.blocks[0]
    if proceed is not True or not isinstance(trip, int) or trip > _STEPS or any(n.blocks for n in block.nodes):
        return None
    if not any(n.kind == "aten::append" for n in block.nodes):
        return None
    start = [m.get(v) for v in node.inputs[2:]]
    mark, decisions, heap = m.program.mark(), dict(m.frame.decisions), m.heap
    body, values, done = Body(name="static"), start, False
    m.heap = dict(heap)
    try:
        with m.into(body):
            for i in range(trip):
                for v, given in zip(block.inputs, [i, *values], strict=True):
                    m.bind(v, given)
                m.run_block(block)
                going, *values = [m.current(m.env[v]) for v in block.outputs]
                if going is not True or body.nodes or m.program.mark() != mark:
                    return None
        done = all(_is_known(c) for key, c in m.heap.items() if heap.get(key) is not c)
        return values if done else None
    except (LoweringError, TypeError, KeyError):
        return None
    finally:
        if not done:
            m.program.reset(mark)
            m.frame.decisions, m.heap = decisions, heap


def _is_known(content: Any) -> bool:
    """Whether the content of a list is known now."""
    return isinstance(content, tuple) and not any(isinstance(x, Run | Cell) for x in leaves(content))
