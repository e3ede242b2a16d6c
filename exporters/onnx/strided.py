"""``as_strided`` asks for the memory of a tensor, which ONNX does not have: it is exported for tensors whose elements certainly lie
in order, and in memory of their own."""

from __future__ import annotations

from bridge.exporters.onnx.machine import Machine, handles
from bridge.exporters.onnx.operators import lower_operator
from bridge.exporters.onnx.records import Frame
from bridge.exporters.onnx.values import Abstract
from bridge.ir import types as T
from bridge.ir.errors import LoweringError
from bridge.ir.graph import Node, Value

__all__: list[str] = []

#: What gives a tensor in order, whatever it is given.
_MAKERS = frozenset(
    f"aten::{name}"
    for name in "contiguous zeros ones full empty rand randn arange linspace tensor constant_pad_nd pad reflection_pad1d "
    "replication_pad1d cat stack matmul".split()
)
#: What keeps the order of what it is given, and shares memory with all of it or nothing.
_KEEPERS = frozenset(
    f"aten::{name}"
    for name in "view reshape flatten unsqueeze squeeze unflatten view_as detach clone to float double type_as add sub mul div neg "
    "abs exp log sin cos tanh relu sigmoid sqrt square pow clamp zeros_like ones_like full_like".split()
)


@handles("aten::as_strided")
def as_strided(m: Machine, node: Node) -> Abstract:
    if not _in_order(m.frame, node.inputs[0]):
        raise LoweringError(
            "as_strided needs a tensor whose elements lie in order, which is not certain here: call .contiguous() on it before",
            node.range,
        )
    return lower_operator(m, node)


def _in_order(frame: Frame, v: Value) -> bool:
    n = v.node
    if n.kind == "prim::Param":
        if n.block is None or n.block.owner is not None:
            return False
        if frame.parent is None or frame.call is None:
            return True  # what a model is given
        skipped = 1 if frame.call.kind == "prim::CallFunction" else 0
        return _in_order(frame.parent, frame.call.inputs[n.outputs.index(v) + skipped])
    if n.kind in _MAKERS:
        return True
    if n.kind == "prim::If":
        chosen = frame.decisions.get(n)
        blocks = n.blocks if chosen is None else [n.blocks[chosen]]
        return all(_in_order(frame, b.outputs[n.outputs.index(v)]) for b in blocks)
    called = frame.called.get(n)
    if called is not None and len(n.outputs) == 1:
        return _in_order(called, called.function.graph.outputs[0])
    if n.kind not in _KEEPERS:
        return False
    return all(_in_order(frame, x) for x in n.inputs if isinstance(x.type, T.TensorType))
