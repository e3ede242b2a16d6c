"""How large a number can be: checks of what is always so are left out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bridge.exporters.onnx.records import Record
from bridge.exporters.onnx.values import Run
from bridge.ir.dtypes import by_code

__all__ = ["magnitude"]

#: Bits of the sizes that memory has room for.
_SIZE = 48
#: The greatest power of two in each element type.
_LARGEST = {"float16": 15.0, "bfloat16": 127.0, "float32": 127.0, "float64": 1023.0}
_SAME = {
    "Identity", "Reshape", "Squeeze", "Unsqueeze", "Gather", "Slice", "Flatten", "Expand", "Transpose",
    "Neg", "Abs", "Floor", "Ceil", "Round", "Sign",
}  # fmt: skip
_DEPTH = 24


def magnitude(v: Run | None, made: Mapping[Run, Record], depth: int = _DEPTH) -> float:
    """The power of two that no element of a value exceeds; infinite where it may be anything, or no number.

    ``made`` are the nodes by what they give.
    """
    if v is None or not depth:
        return math.inf
    own = math.inf
    if v.dtype.kind in "biu":
        info = None if v.dtype.kind == "b" else np.iinfo(v.dtype.numpy)
        own = 1.0 if info is None else float(info.bits if info.min == 0 else info.bits - 1)
    r = made.get(v)
    found = math.inf if r is None or r.domain else _of_node(r, made, depth)
    return min(own, found if found <= _LARGEST.get(v.dtype.name, math.inf) else math.inf)


def _of_node(r: Record, made: Mapping[Run, Record], depth: int) -> float:
    kind = r.op_type
    if kind == "Constant":
        return _of_constant(r.attributes.get("value"))
    if kind in ("Shape", "Size"):
        return _SIZE
    if kind == "Cast":
        return math.inf if by_code(r.attributes["to"]).kind not in "fiu" else magnitude(r.inputs[0], made, depth - 1)
    if kind in _SAME:
        return magnitude(r.inputs[0], made, depth - 1)
    if r.outputs[0].dtype.kind != "f" and kind not in ("Min", "Max", "Where"):
        return math.inf  # ints start again from below
    if kind in ("Add", "Sub"):
        return max(magnitude(i, made, depth - 1) for i in r.inputs) + 1
    if kind == "Mul":
        return sum(magnitude(i, made, depth - 1) for i in r.inputs)
    if kind in ("Min", "Max", "Where"):
        return max(magnitude(i, made, depth - 1) for i in r.inputs[kind == "Where" :])
    if kind == "Div":
        divisor = made.get(r.inputs[1]) if r.inputs[1] is not None else None
        by = divisor.attributes.get("value") if divisor is not None and divisor.op_type == "Constant" else None
        if isinstance(by, np.ndarray) and by.size and np.abs(by).min() > 0:
            return magnitude(r.inputs[0], made, depth - 1) - math.log2(np.abs(by).min())
    return math.inf


def _of_constant(value: object) -> float:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or not np.isfinite(value).all():
        return math.inf
    most = max((abs(float(x)) for x in value.reshape(-1).tolist()), default=0.0) if value.size < 64 else math.inf
    return math.log2(most) if most else -math.inf
