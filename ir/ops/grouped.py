"""Products of rows in groups, each group with a matrix of its own (mixtures of experts)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, INT64, known_rank
from bridge.ir.ops._samples import f4, of
from bridge.ir.ops.linear import matmul_node
from bridge.ir.ops.reduction import reduce_node
from bridge.ir.rules import Call, Results, result

__all__: list[str] = []

_OFFSETS = "Have to provide offsets if there is a 2d matrix, or no offset if both matrices are 3d"


def _check(rank: int, other: int, offsets: bool, bias: Any, wanted: Any) -> None:
    """Raises BridgeError for what torch refuses, and for products over groups of columns."""
    if bias is not None or wanted is not None:
        raise BridgeError("_grouped_mm takes no bias and no out_dtype here")
    if offsets is not (rank == 2 or other == 2):
        raise BridgeError(_OFFSETS)
    if other != 3:
        raise BridgeError("_grouped_mm is written for groups of rows: mat2 has three dimensions")


def grouped_mm(self: Array, mat2: Array, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """Rows ``offs[g - 1]`` to ``offs[g]`` of ``self`` (rows × k) times ``mat2[g]`` (k × n); without ``offs`` as ``bmm``.

    Rows behind the last group, whose values torch does not define, go with the last.
    """
    _check(self.ndim, mat2.ndim, offs is not None, bias, out_dtype)
    if offs is None:
        return np.matmul(self, mat2)
    starts = [0, *(int(o) for o in offs[:-1])]
    ends = [*starts[1:], len(self)]
    return np.concatenate([self[a:b] @ m for a, b, m in zip(starts, ends, mat2, strict=True)])


def _types(call: Call) -> Results:
    x, w = call.tensor("self"), call.tensor("mat2")
    if x.dims is None or w.dims is None or not x.dims or not w.dims:
        return result(x.dtype, None)
    return result(x.dtype, (*x.dims[:-1], w.dims[-1]))


def _lower(e: Emitter, call: LoweredCall) -> Any:
    x, w, offs = call["self"], call["mat2"], call["offs"]
    rank = known_rank(e, x, "_grouped_mm")
    _check(rank, known_rank(e, w, "_grouped_mm"), offs is not None, call["bias"], call["out_dtype"])
    if offs is None:
        return matmul_node(e, x, w)
    count = w.dims[0]
    if not isinstance(count, int):
        return _by_row(e, x, w, e.cast(offs, INT64))
    ends, zero = e.cast(offs, INT64), np.asarray([0], np.int64)
    parts, start = [], e.constant(zero)
    for g in range(count):
        last = g == count - 1
        stop = (
            e.constant(np.asarray([np.iinfo(np.int64).max]))
            if last
            else e.op("Slice", ends, np.asarray([g], np.int64), np.asarray([g + 1], np.int64), zero, dims=(1,))
        )
        rows = e.op("Slice", x, start, stop, zero, dims=(None, x.dims[1]))
        matrix = e.op("Gather", w, np.asarray(g, np.int64), axis=0, dims=w.dims[1:])
        parts.append(matmul_node(e, rows, matrix))
        start = stop
    return parts[0] if count == 1 else e.op("Concat", *parts, axis=0, dims=(x.dims[0], w.dims[2]))


def _by_row(e: Emitter, x: Any, w: Any, ends: Any) -> Any:
    """Every row with the matrix of its group, for a number of groups that only run time knows."""
    rows = e.op(
        "Range",
        e.scalar(0, INT64),
        e.op("Gather", e.shape_of(x), np.asarray(0, np.int64), dims=(), axis=0, dtype=INT64),
        e.scalar(1, INT64),
        dims=(None,),
    )
    over = e.op(
        "GreaterOrEqual",
        e.op("Unsqueeze", rows, np.asarray([1], np.int64), dims=(None, 1)),
        ends,
        dtype=BOOL,
        dims=(None, None),
    )
    group = reduce_node(e, "ReduceSum", e.cast(over, INT64), [1], False, INT64)
    last = e.op(
        "Sub",
        e.op("Gather", e.shape_of(w), np.asarray(0, np.int64), dims=(), axis=0, dtype=INT64),
        e.scalar(1, INT64),
        dims=(),
    )
    matrices = e.op("Gather", w, e.op("Min", group, last, dims=(None,)), axis=0, dims=(None, *w.dims[1:]))
    one = np.asarray([1], np.int64)
    wide = e.op("Unsqueeze", x, one, dims=(x.dims[0], 1, x.dims[1]))
    return e.op("Squeeze", matmul_node(e, wide, matrices), one, dims=(x.dims[0], w.dims[2]))


def _grad(ctx: Any, g: Any) -> Any:
    x, w, offs = ctx["self"], ctx["mat2"], ctx["offs"]
    if offs is None:
        return g.bmm(w.transpose(1, 2)), x.transpose(1, 2).bmm(g), None, None
    starts = [0, *(int(o) for o in offs.tolist()[:-1])]
    sizes = [b - a for a, b in zip(starts, [*starts[1:], x.shape[0]], strict=True)]
    pieces = list(zip(g.split(sizes), x.split(sizes), w.unbind(), strict=True))
    of_x = ctx.op("aten::cat", [p.mm(m.t()) for p, _, m in pieces], 0)
    return of_x, ctx.op("aten::stack", [r.t().mm(p) for p, r, _ in pieces], 0), None, None


declare(
    "aten::_grouped_mm(Tensor self, Tensor mat2, Tensor? offs=None, Tensor? bias=None, ScalarType? out_dtype=None) -> Tensor",
    grouped_mm,
    types=_types,
    onnx=_lower,
    grad=_grad,
    samples=of((f4(2, 3, 4), f4(2, 4, 8)), (f4(6, 4), f4(3, 4, 8), np.array([2, 2, 6], np.int32))),
)
