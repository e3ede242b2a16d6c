"""Sorting and ranking: sort, argsort, topk, kthvalue, running extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, dim_of, dims_of
from bridge.ir.ops._onnx import (
    INT64,
    axis_of,
    compute_dtype,
    ints,
    is_lowered,
)
from bridge.ir.ops._runs import running_extreme
from bridge.ir.ops._samples import S, f4, i8, of
from bridge.ir.ops.reduction import value_selecting_grad, widened
from bridge.ir.rules import UNKNOWN, Call, Results, like_self, result, wrap

# -- sorting -----------------------------------------------------------------------------------------------------------


def argsort(self: Array, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Stable; nan counts as greatest."""
    if not self.ndim:
        return np.asarray(0, np.int64)
    self, d = widened(self), dim_of(dim, self.ndim)
    if not descending:
        return np.argsort(self, axis=d, kind="stable")
    # stable and descending: sort the reversed array, and count from the other end
    n = self.shape[d]
    flipped = np.flip(self, d)
    return np.flip(n - 1 - np.argsort(flipped, axis=d, kind="stable"), d)


def sort(self: Array, dim: int = -1, descending: bool = False) -> Any:
    order = argsort(self, dim, descending)
    if not self.ndim:
        return self.copy(), order
    return np.take_along_axis(self, order, dim_of(dim, self.ndim)), np.ascontiguousarray(order)


def _two(call: Call) -> Results:
    t = call.tensor("self")
    return [result(t.dtype, t.dims), result(by_name("int64"), t.dims)]


def _topk_node(e: Emitter, x: Any, k: Any, axis: int, largest: bool) -> Any:
    compute = compute_dtype("TopK", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no TopK for {x.dtype.name}")
    values, indices = e.op(
        "TopK", e.cast(x, compute), k, outputs=2, dtype=[compute, INT64], axis=axis, largest=int(largest), sorted=1
    )
    return e.cast(values, x.dtype), indices


def _lower_sort(only: str = "") -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        if x.rank == 0:
            both = e.op("Identity", x), e.constant(np.asarray(0, np.int64))
        else:
            axis = axis_of(e, x, call["dim"])
            n = e.op("Gather", e.shape_of(x), ints(axis), axis=0)
            both = _topk_node(e, x, n, axis, call["descending"])
        return both[1] if only else both

    return lower


_SORTS = of(
    (f4(3, 4),), (f4(3, 4), 0), (f4(3, 4), -1, True), (i8(6, low=0, high=3),), (i8(6, low=0, high=3), 0, True), (f4(),)
)
declare(
    "aten::sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    sort,
    types=_two,
    onnx=_lower_sort(),
    grad=value_selecting_grad,
    samples=_SORTS,
)
declare(
    "aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)",
    lambda x, s, d, r: sort(x, d, r),
    types=_two,
    onnx=_lower_sort(),
    grad=value_selecting_grad,
    grad_name="SortBackward1",
    samples=of(S(f4(3, 4), stable=True), S(i8(6, low=0, high=3), stable=True, descending=True)),
)
_INDEX_TYPES = lambda call: result(by_name("int64"), call.tensor("self").dims)
declare(
    "aten::argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor",
    argsort,
    types=_INDEX_TYPES,
    onnx=_lower_sort("indices"),
    samples=of((f4(3, 4),), (f4(3, 4), 0, True)),
)
declare(
    "aten::argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor",
    lambda x, s, d, r: argsort(x, d, r),
    types=_INDEX_TYPES,
    onnx=_lower_sort("indices"),
    samples=of(S(f4(3, 4), stable=True)),
)
declare(
    "aten::msort(Tensor self) -> Tensor",
    lambda ops, x: ops("aten::sort", x, 0, False)[0],
    composite=True,
    types=like_self,
    samples=of((f4(3, 4),)),
    onnx=lambda e, call: _topk_node(
        e, call["self"], e.op("Gather", e.shape_of(call["self"]), ints(0), axis=0), 0, False
    )[0],
)


def topk(self: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    d = dim_of(dim, self.ndim)
    n = self.shape[d] if self.ndim else 1
    if not 0 <= k <= n:
        raise BridgeError("selected index k out of range")
    values, order = sort(self, dim, largest)
    if not self.ndim:
        return values, order
    cut = (slice(None),) * d + (slice(0, k),)
    return np.array(values[cut]), np.array(order[cut])


def _topk_types(call: Call) -> Results:
    t, k = call.tensor("self"), call.known("k")
    at = wrap(call.known("dim"), t.rank)
    dims = (
        None
        if t.dims is None
        else (None,) * len(t.dims)
        if at is None
        else tuple((None if k is UNKNOWN else k) if i == at else d for i, d in enumerate(t.dims))
    )
    return [result(t.dtype, dims), result(by_name("int64"), dims)]


def _lower_topk(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    if x.rank == 0:
        e.unsupported("topk of a 0-d tensor is not exported")
    return _topk_node(e, x, e.ints([call["k"]]), axis_of(e, x, call["dim"]), call["largest"])


declare(
    "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
    topk,
    types=_topk_types,
    onnx=_lower_topk,
    grad=value_selecting_grad,
    samples=of((f4(3, 5), 2), (f4(3, 5), 2, 0), (f4(5), 3, -1, False), (i8(6, low=-9, high=9, seed=3), 2)),
)


def _kth(self: Array, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    d = dim_of(dim, self.ndim)
    if not 1 <= k <= (self.shape[d] if self.ndim else 1):
        raise BridgeError(f"kthvalue(): selected number k out of range for dimension {d}")
    if not self.ndim:
        return self.copy(), np.asarray(0, np.int64)
    values, order = sort(self, dim, False)
    v, i = np.take(values, [k - 1], axis=d), np.take(order, [k - 1], axis=d)
    return (v, i) if keepdim else (v.squeeze(d), i.squeeze(d))


def _kth_types(call: Call) -> Results:
    from bridge.ir.rules import reduced_dims

    t = call.tensor("self")
    dims = reduced_dims(t.dims, call.known("dim"), call.known("keepdim"))
    return [result(t.dtype, dims), result(by_name("int64"), dims)]


def _lower_kth(e: Emitter, call: LoweredCall) -> Any:
    x, k = call["self"], call["k"]
    if x.rank == 0:
        if k != 1:
            e.unsupported("kthvalue(): selected number k out of range for dimension 0")
        return e.op("Identity", x), e.constant(np.asarray(0, np.int64))
    axis = axis_of(e, x, call["dim"])
    values, indices = _topk_node(e, x, e.ints([k]), axis, False)
    at = (
        e.op("Sub", e.scalar(k, INT64), e.scalar(1, INT64), dims=())
        if is_lowered(k)
        else e.constant(np.asarray(k - 1, np.int64))
    )
    at = e.op("Reshape", at, ints(1)) if call["keepdim"] else at
    return e.op("Gather", values, at, axis=axis), e.op("Gather", indices, at, axis=axis)


declare(
    "aten::kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    _kth,
    types=_kth_types,
    onnx=_lower_kth,
    grad=value_selecting_grad,
    samples=of((f4(3, 5), 2), (f4(3, 5), 3, 0, True)),
)


def _cum(f: Any) -> Any:
    def kernel(self: Array, dim: int) -> Any:
        if not self.ndim:
            return self.copy(), np.asarray(0, np.int64)
        d, wide = dim_of(dim, self.ndim), widened(self)
        values = f.accumulate(wide, axis=d)
        moved, best = np.moveaxis(wide, d, 0), np.moveaxis(values, d, 0)
        hit = (moved == best) | np.isnan(moved) if wide.dtype.kind == "f" else moved == best
        at = np.arange(self.shape[d]).reshape((-1,) + (1,) * (self.ndim - 1))
        return values.astype(self.dtype), np.moveaxis(np.maximum.accumulate(np.where(hit, at, 0), axis=0), 0, d).astype(
            np.int64
        )

    return kernel


for _name, _f in (("cummax", np.maximum), ("cummin", np.minimum)):
    declare(
        f"aten::{_name}(Tensor self, int dim) -> (Tensor values, Tensor indices)",
        _cum(_f),
        types=_two,
        onnx=running_extreme(_f is np.maximum),
        grad=value_selecting_grad,
        samples=of((f4(3, 4), 0), (f4(3, 4), 1)),
    )


def _aminmax(self: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    axis = None if dim is None else dim_of(dim, self.ndim)
    if axis is None and not self.size:
        raise BridgeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    if self.ndim and axis is not None and not self.shape[axis]:
        raise IndexError(f"aminmax: Expected reduction dim {axis} to have non-zero size.")
    return np.min(self, axis=axis, keepdims=keepdim), np.max(self, axis=axis, keepdims=keepdim)


def _aminmax_types(call: Call) -> Results:
    from bridge.ir.rules import reduced_dims

    t = call.tensor("self")
    dims = reduced_dims(t.dims, call.known("dim"), call.known("keepdim"))
    return [result(t.dtype, dims)] * 2


def _lower_aminmax(e: Emitter, call: LoweredCall) -> Any:
    from bridge.ir.ops.reduction import nan_aware, some

    x = some(e, call["self"], call["dim"])
    return tuple(nan_aware(e, f"Reduce{w}", x, call["dim"], call["keepdim"], x.dtype) for w in ("Min", "Max"))


def _aminmax_grad(c: Any, low: Any, high: Any) -> Any:
    from bridge.ir.ops.reduction import restored

    total = None
    for g, r in ((low, c.results[0]), (high, c.results[1])):
        if g is None:
            continue
        mask = (c["self"] == restored(c, r, c["dim"], c["keepdim"])).to(g.dtype)
        axes = list(dims_of(c["dim"], len(c["self"].shape)))
        part = restored(c, g, c["dim"], c["keepdim"]) / c.op("aten::sum.dim_IntList", mask, axes, True) * mask
        total = part if total is None else total + part
    return (total,)


declare(
    "aten::aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
    _aminmax,
    types=_aminmax_types,
    onnx=_lower_aminmax,
    grad=_aminmax_grad,
    samples=of((f4(3, 4),), S(f4(3, 4), dim=0), S(f4(3, 4), dim=1, keepdim=True)),
)
