"""Loops that run while the program is lowered, whose number of steps is known.

:func:`run_static` is for those that only make lists of what is known at export: ``[scale for _ in range(x.dim() - 2)]``.
:func:`unrolled` writes a loop out, step by step, that cannot be an ONNX loop: because it reads objects out of a list, or
puts values under keys that are known in each step only.
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

__all__ = ["run_static", "unrolled"]

#: Longer loops stay loops: what they fill is data, not the options of an operator.
_STEPS = 8
#: The longest loop that is written out step by step.
_WRITTEN_OUT = 64
#: The number of steps of a loop that its condition ends (``while``, or ``for`` with a way out).
_ANY_NUMBER = 2**63 - 1


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


def unrolled(m: Machine, node: Node, trip: Any, proceed: Any) -> list[Abstract] | None:
    """The results of the loop written out here; None when its number of steps depends on data, or it cannot be lowered so."""
    hosted = m.program.hosted  # there the interpreter runs it: models for one text each would be many
    if hosted or proceed is not True or not isinstance(trip, int) or _WRITTEN_OUT < trip < _ANY_NUMBER:
        return None
    block = node.blocks[0]
    mark, decisions, heap, frozen = m.program.mark(), dict(m.frame.decisions), m.heap, dict(m.frozen)
    body, values, done = Body(name="unrolled"), [m.get(v) for v in node.inputs[2:]], False
    taken: dict[Node, set[int]] = {}
    m.heap, within, m.step_by_step = dict(heap), m.step_by_step, True
    try:
        with m.into(body):
            steps = 0
            for i in range(min(trip, _WRITTEN_OUT + 1)):
                if i == _WRITTEN_OUT:
                    return None
                for v, given in zip(block.inputs, [i, *values], strict=True):
                    m.bind(v, given)
                m.run_block(block)
                steps += 1
                going, *values = [m.env[v] for v in block.outputs]
                for n, chosen in m.frame.decisions.items():
                    taken.setdefault(n, set()).add(chosen)
                if len(m.program.obstacles) != mark[0] or isinstance(going, Run):
                    return None
                if going is False:
                    break
        m.frame.decisions = {n: c for n, c in m.frame.decisions.items() if n in decisions or len(taken[n]) == 1}
        m.emitter.body.nodes += body.nodes
        m.program.report.note(
            "loop unrolled", f"the loop is written out {steps} times: it cannot be a loop in ONNX", node.range
        )
        done = True
        return values
    except LoweringError:
        return None
    finally:
        m.step_by_step = within
        if not done:
            m.program.reset(mark)
            m.frame.decisions, m.heap, m.frozen = decisions, heap, frozen


def _is_known(content: Any) -> bool:
    """Whether the content of a list is known now."""
    return isinstance(content, tuple) and not any(isinstance(x, Run | Cell) for x in leaves(content))
