"""Members of an enum that data chooses: numbers that stand for them, as for strings."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.exporters.onnx.machine import Machine, handles
from bridge.exporters.onnx.operators import lower_operator
from bridge.exporters.onnx.values import Abstract, Run, code_of, number_dtype_of
from bridge.ir import types as T
from bridge.ir.dtypes import by_name
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node

__all__: list[str] = []


@handles("prim::EnumName", "prim::EnumValue")
def of_member(m: Machine, node: Node) -> Abstract:
    """``.name`` and ``.value``: looked up, where data chooses the member."""
    v = m.get(node.input)
    if not isinstance(v, Run):
        return lower_operator(m, node)
    kind = v.number
    assert isinstance(kind, T.EnumType)
    values: list[Any] = [name if node.kind == "prim::EnumName" else value for name, value in kind.members]
    t = node.output.type
    if t is T.STR:
        array = np.array([code_of(x) for x in values], np.int64)
    else:
        dtype = number_dtype_of(t)
        if dtype is None:
            raise LoweringError(f"values of {kind.annotation()} are no numbers or texts", node.range)
        array = np.array(values, dtype.numpy)
    e = m.emitter
    made: Run = e.op("Gather", e.constant(array), v, axis=0, dims=(), dtype=by_name(str(array.dtype)))
    return made.seen_as(t)
