"""In-place writes that read the memory they write to, from another place: torch refuses them, here the model does.

torch looks at tensors without gaps only: rows of the first dimension, and all of a tensor in another order. What it does with others
depends on the order in which it goes through memory; a model reads first and then writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.values import BOOL, INT64, Run, View
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node
from bridge.ir.ops._checks import holds

__all__ = ["without_overlap"]

_REORDERS = {"aten::t", "aten::transpose", "aten::permute", "aten::numpy_T", "aten::swapaxes", "aten::swapdims"}


def without_overlap(m: Machine, node: Node, target: Run, values: Sequence[Any], new: Run) -> Run:
    """``new``, what is written to ``target``, if no other argument is a view of other rows of which some are the same."""
    base, steps = _chain(target)
    for v in values:
        if not isinstance(v, Run) or v is target:
            continue
        other, others = _chain(v)
        if other is not base or not (steps or others):
            continue
        names = {s.operator for s in (*steps, *others)}
        if names <= _REORDERS and len(names) == 1 and not (steps and others):
            raise LoweringError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
                "location. Please clone() the tensor before performing the operation.",
                node.range,
            )
        if _one_row(steps) and _one_row(others):
            continue
        if new.dims and new.dtype.kind != "c" and _in_rows(steps) and _in_rows(others):
            new = _checked(m, base, steps, others, new)
        elif all(s.along == steps[0].along for s in (*steps, *others)) if steps else False:
            what = "what is written here and what is read share memory: the model reads all of it first, then writes"
            m.program.report.note("memory order", what, node.range)
    return new


def _chain(v: Run) -> tuple[Run, list[View]]:
    """What a tensor is a view of in the end, and the views from there."""
    steps: list[View] = []
    while isinstance(v.view, View):
        steps.insert(0, v.view)
        v = v.view.base
    return v, steps


def _checked(m: Machine, base: Run, steps: list[View], others: list[View], new: Run) -> Run:
    """The rows of each as positions: they are the same, or have none in common."""
    e, one = m.emitter, np.array(1, np.int64)
    size = e.op("Gather", e.shape_of(base), np.array(0, np.int64), axis=0, dims=(), dtype=INT64)
    every = e.op("Range", np.array(0, np.int64), size, one, dims=(None,), dtype=INT64)
    mine, theirs = _rows(m, every, steps), _rows(m, every, others)
    none = e.op("ConstantOfShape", e.ints([size]), value=np.zeros(1, np.int64), dims=(None,), dtype=INT64)
    ones = e.op("ConstantOfShape", e.shape_of(mine), value=np.ones(1, np.int64), dims=(None,), dtype=INT64)
    marked = e.op("ScatterElements", none, mine, ones, axis=0, dims=(None,))
    common = e.op("ReduceSum", e.op("Gather", marked, theirs, axis=0, dims=(None,)), keepdims=0, dims=())
    apart = e.op("Not", e.op("Equal", mine, theirs, dtype=BOOL, dims=(None,)), dims=(None,))
    other = e.op("ReduceSum", e.cast(apart, INT64), keepdims=0, dims=())
    wrong = e.op("Mul", common, other, dims=())
    checked: Run = holds(e, new, e.op("Equal", wrong, np.array(0, np.int64), dtype=BOOL, dims=()))
    return checked


def _one_row(steps: list[View]) -> bool:
    return bool(steps) and steps[-1].row is not None


def _in_rows(steps: list[View]) -> bool:
    """Whether views are slices of one dimension, of which a single row may be taken in the end."""
    return all(s.along == 0 for s in (steps[:-1] if _one_row(steps) else steps))


def _rows(m: Machine, every: Run, steps: list[View]) -> Run:
    for s in steps[:-1] if _one_row(steps) else steps:
        every = s.reapply(every)
    e = m.emitter
    return e.op("Gather", every, e.ints([steps[-1].row]), axis=0, dims=(1,)) if _one_row(steps) else every
