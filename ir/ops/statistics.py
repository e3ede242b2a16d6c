"""Variance, log-sum-exp, softmax and running sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_code, by_name, default_dtype
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, dim_of, dims_of, given
from bridge.ir.ops._onnx import (
    BOOL,
    FLOAT64,
    as_float,
    axes_of,
    axis_of,
    compute_dtype,
    reduce_axes,
    typed,
    where,
)
from bridge.ir.ops._runs import lower_cumprod
from bridge.ir.ops._samples import S, b1, f4, f8, i8, of
from bridge.ir.ops.reduction import (
    DTYPE_KEYWORD,
    KEPT_TYPES,
    accumulate,
    accumulated,
    arg_of,
    axes,
    count,
    dim_argument,
    float_only,
    keepdim_of,
    mean,
    mean_grad,
    mean_node,
    reduce_node,
    restored,
    wanted_dtype,
    widened,
)
from bridge.ir.rules import Call, Results, dtype_argument, reduction, result, to_float


def variance(self: Array, dim: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    float_only(self, "var") if self.dtype.kind in "iub" else None
    axis = axes(dim, self.ndim)
    n = math.prod(self.shape[a] for a in axis)
    wide = self.astype(np.float64)
    mean = wide.mean(axis=axis, keepdims=True) if n else np.full((1,) * self.ndim, np.nan)
    total = np.sum((wide - mean) ** 2, axis=axis, keepdims=keepdim)
    left = max(n - (1 if correction is None else correction), 0)
    return np.divide(total, left).astype(self.dtype)


def logsumexp(self: Array, dim: Any, keepdim: bool = False) -> Any:
    x = self.astype(default_dtype().numpy) if self.dtype.kind in "iub" else self
    axis = axes(dim, x.ndim)
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    safe = np.where(np.isfinite(top), top, 0).astype(x.dtype)
    r = np.log(np.sum(np.exp(x - safe), axis=axis, keepdims=True)) + safe
    return r if keepdim else r.squeeze(axis)


def softmax(self: Array, dim: int, dtype: int | None = None) -> Any:
    x = self if dtype is None else self.astype(by_code(dtype).numpy)
    x = x.astype(default_dtype().numpy) if x.dtype.kind in "iub" else x
    d = dim_of(dim, x.ndim)
    if not x.ndim:
        return x - x + 1  # of what is not finite, not a number
    wide = widened(x)
    e = np.exp(wide - wide.max(axis=d, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=d, keepdims=True)).astype(x.dtype)


def log_softmax(self: Array, dim: int, dtype: int | None = None) -> Any:
    x = self if dtype is None else self.astype(by_code(dtype).numpy)
    d = dim_of(dim, x.ndim)
    if not x.ndim:
        return x - x
    wide = widened(x)
    shifted = wide - wide.max(axis=d, keepdims=True, initial=-np.inf)
    return (shifted - np.log(np.exp(shifted).sum(axis=d, keepdims=True))).astype(x.dtype)


def _cumulated(f: Any) -> Any:
    def kernel(self: Array, dim: int, dtype: int | None = None) -> Any:
        x = self.astype(accumulated(self.dtype, dtype), copy=False)
        d = dim_of(dim, x.ndim)
        return f(widened(x), axis=d).astype(x.dtype) if x.ndim else x.copy()

    return kernel


def variance_node(e: Emitter, x: Any, dims: Any, correction: Any, keepdim: bool) -> Any:
    """The variance with that many degrees of freedom taken off."""
    dtype = x.dtype
    if dtype.kind != "f":
        e.unsupported("var needs a floating-point tensor")
    dims = None if x.rank == 0 else dims
    mean = reduce_node(e, "ReduceMean", x, dims, True, dtype)
    d = typed(e, "Sub", dtype, x, mean)
    d.dims = x.dims
    total = reduce_node(e, "ReduceSumSquare", d, dims, keepdim, dtype)
    axes = axes_of(e, x, dims)
    sizes = None if x.dims is None else [x.dims[a] for a in (range(len(x.dims)) if axes is None else axes)]
    c = 1 if correction is None else correction
    if sizes is not None and all(isinstance(s, int) for s in sizes):
        left: Any = e.scalar(float(max(math.prod(s for s in sizes if isinstance(s, int)) - c, 0)), dtype)
    else:
        if axes is None:
            count = e.op("Size", x, dtype=by_name("int64"), dims=())
        else:
            picked = e.op("Gather", e.shape_of(x), np.asarray(axes, np.int64), axis=0)
            count = e.op("ReduceProd", picked, keepdims=0, dims=())
        n = e.cast(count, dtype)
        left = typed(e, "Max", dtype, typed(e, "Sub", dtype, n, e.scalar(float(c), dtype)), e.scalar(0.0, dtype))
    return typed(e, "Div", dtype, total, left)


def _correction(call: Any) -> Any:
    if "correction" in call.schema.index:
        return call["correction"]
    return 1 if call["unbiased"] else 0


def _lower_var(root: bool, with_mean: bool = False) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        out = variance_node(e, x, dim_argument(call), _correction(call), keepdim_of(call))
        out = typed(e, "Sqrt", x.dtype, out) if root else out
        return (out, mean_node(e, x, dim_argument(call), keepdim_of(call), x.dtype)) if with_mean else out

    return lower


def _lower_logsumexp(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    dtype = as_float(x.dtype)
    dims, keepdim = call["dim"], keepdim_of(call)
    if x.rank == 0:
        return e.op("Identity", e.cast(x, dtype))
    wide = e.cast(x, dtype)
    wide.dims = x.dims
    top = reduce_node(e, "ReduceMax", wide, dims, True, dtype)
    infinite = e.op("IsInf", e.cast(top, FLOAT64), dtype=BOOL)
    safe = where(e, infinite, e.scalar(0.0, dtype), top, dtype)
    exp = typed(e, "Exp", dtype, typed(e, "Sub", dtype, wide, safe))
    exp.dims = x.dims
    log = typed(e, "Log", dtype, reduce_node(e, "ReduceSum", exp, dims, True, dtype))
    out = typed(e, "Add", dtype, log, safe)
    axes = axes_of(e, x, dims)
    return out if keepdim else e.op("Squeeze", out, np.asarray(range(x.rank) if axes is None else axes, np.int64))


def _lower_softmax(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        dtype = x.dtype if call["dtype"] is None else by_code(call["dtype"])
        dtype = as_float(dtype)
        if x.rank == 0:
            none = typed(e, "Sub", dtype, x, x)  # of what is not finite, not a number
            return typed(e, "Add", dtype, none, e.scalar(1.0, dtype)) if op_type == "Softmax" else none
        axis = axis_of(e, x, call["dim"])
        if op_type == "LogSoftmax" and dtype.name == "float64":  # onnxruntime's takes nan for a number there
            x = e.cast(x, dtype)
            return e.op("Sub", x, reduce_axes(e, "ReduceLogSumExp", x, [axis], True), dims=x.dims)
        return typed(e, op_type, dtype, x, axis=axis)

    return lower


def _lower_cumsum(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    dtype = wanted_dtype(call, x)
    if x.rank == 0:
        return e.op("Identity", e.cast(x, dtype))
    return typed_cumsum(e, x, dtype, axis_of(e, x, call["dim"]))


def typed_cumsum(e: Emitter, x: Any, dtype: DType, axis: int) -> Any:
    """CumSum of a value cast to ``dtype``."""
    compute = compute_dtype("CumSum", dtype)
    assert compute is not None
    return e.cast(e.op("CumSum", e.cast(x, compute), e.constant(np.asarray(axis, np.int64))), dtype)


def _var_grad(ctx: Any, g: Any) -> Any:
    dim = arg_of(ctx, "dim", None)
    x = ctx["self"]
    axes = list(dims_of(dim, len(x.shape)))
    c = _correction_of(ctx)
    mean = ctx.op("aten::mean.dim", x, axes, True) if axes else x
    return (
        (2.0 / (count(ctx) - c) if count(ctx) != c else math.nan)
        * restored(ctx, g, dim, arg_of(ctx, "keepdim", False))
        * (x - mean),
    )


def _correction_of(ctx: Any) -> Any:
    if given(ctx, "correction"):
        return 1 if ctx["correction"] is None else ctx["correction"]
    return 1 if ctx["unbiased"] else 0


def _std_grad(ctx: Any, g: Any) -> Any:
    r = ctx.result
    scaled = ctx.op("aten::masked_fill.Scalar", g / (r * 2), r == 0, 0)
    return _var_grad(ctx, scaled)


def _var_mean_grad(f: Any) -> Any:
    def grad(ctx: Any, g: Any, gm: Any) -> Any:
        total = None
        if g is not None:
            total = f(ctx, g)[0]
        if gm is not None:
            part = mean_grad(ctx, gm)[0]
            total = part if total is None else total + part
        return (total,)

    return grad


def _std_mean_var(ctx: Any, g: Any) -> Any:
    r = ctx.results[0]
    return _var_grad(ctx, ctx.op("aten::masked_fill.Scalar", g / (r * 2), r == 0, 0))


def _logsumexp_grad(ctx: Any, g: Any) -> Any:
    dim, keepdim = ctx["dim"], ctx["keepdim"]
    r, gr = restored(ctx, ctx.result, dim, keepdim), restored(ctx, g, dim, keepdim)
    return (gr * (ctx["self"] - r).exp(),)


def _softmax_grad(ctx: Any, g: Any) -> Any:
    r = ctx.result
    p = g * r
    return (p - r * (p.sum(ctx["dim"], True) if len(r.shape) else p),)


def _log_softmax_grad(ctx: Any, g: Any) -> Any:
    return (g - ctx.result.exp() * (g.sum(ctx["dim"], True) if len(g.shape) else g),)


def _cumsum_grad(ctx: Any, g: Any) -> Any:
    if not len(g.shape):
        return (g,)
    d = [ctx["dim"]]
    return (ctx.op("aten::flip", ctx.op("aten::cumsum", ctx.op("aten::flip", g, d), d[0]), d),)


def _cumprod_grad(ctx: Any, g: Any) -> Any:
    """Through y_k = x_j · (rest): divide where no element is 0, as torch does; a 0 needs the slow form."""
    x, d = ctx["self"], ctx["dim"]
    if not len(x.shape):
        return (g,)
    w = ctx.op("aten::flip", ctx.op("aten::cumsum", ctx.op("aten::flip", g * ctx.result, [d]), d), [d])
    return (w / x,)


for _name, _root in (("var", False), ("std", True)):

    def _spread(self: Array, dim: Any, correction: Any, keepdim: bool, root: bool = _root) -> Any:
        wide = self.astype(np.float64) if root and self.dtype.kind not in "iub" else self
        v = variance(wide, dim, correction, keepdim)
        return np.sqrt(v).astype(self.dtype) if root else v

    _g = _std_grad if _root else _var_grad
    _gm = _var_mean_grad(_std_mean_var if _root else _var_grad)
    _n = _name.capitalize()
    _samples = of((f4(3, 4), [0]), (f4(3, 4), [1], False, True), (f4(3, 4), None), (f4(2, 3, 2), [0, 2]))
    _corrected = of((f4(3, 4),), S(f4(3, 4), [0], correction=0), S(f4(3, 4), [1], correction=2, keepdim=True), (f8(5),))
    _simple = of((f4(3, 4),), (f4(3, 4), False), (f4(5),))
    declare(
        f"aten::{_name}(Tensor self, bool unbiased=True) -> Tensor",
        lambda x, u, f=_spread: f(x, None, int(u), False),
        types=KEPT_TYPES,
        onnx=_lower_var(_root),
        grad=_g,
        samples=_simple,
    )
    declare(
        f"aten::{_name}.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor",
        lambda x, d, u, k, f=_spread: f(x, d, int(u), k),
        types=KEPT_TYPES,
        onnx=_lower_var(_root),
        grad=_g,
        samples=_samples,
    )
    declare(
        f"aten::{_name}.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
        _spread,
        types=KEPT_TYPES,
        onnx=_lower_var(_root),
        grad=_g,
        samples=_corrected,
    )
    _two: dict[str, Any] = {
        "types": lambda call: [KEPT_TYPES(call)] * 2,
        "onnx": _lower_var(_root, True),
        "grad": _gm,
        "grad_name": f"{_n}MeanBackward0",
    }
    declare(
        f"aten::{_name}_mean(Tensor self, bool unbiased=True) -> (Tensor, Tensor)",
        lambda x, u, f=_spread: (f(x, None, int(u), False), mean(x)),
        **_two,
        samples=_simple,
    )
    declare(
        f"aten::{_name}_mean.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> (Tensor, Tensor)",
        lambda x, d, u, k, f=_spread: (f(x, d, int(u), k), mean(x, d, k)),
        **_two,
        samples=_samples,
    )
    declare(
        f"aten::{_name}_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)",
        lambda x, d, c, k, f=_spread: (f(x, d, c, k), mean(x, d, k)),
        **_two,
        samples=_corrected,
    )

declare(
    "aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
    logsumexp,
    types=reduction(to_float),
    onnx=_lower_logsumexp,
    grad=_logsumexp_grad,
    samples=of(
        (f4(3, 4), [0]),
        (f4(3, 4), [0, 1], True),
        (i8(3, 2), [1]),
        (np.asarray([-math.inf, -math.inf], np.float32), [0]),
    ),
)


def _softmax_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(dtype_argument(call, to_float(t.dtype)), t.dims)


_SOFT = of((f4(3, 4), 1), (f4(3, 4), 0), (f4(2, 3, 4), -1), (f4(), 0), S(f4(3), 0, dtype=7), (f8(2, 3), 1))
declare(
    "aten::softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    softmax,
    types=_softmax_types,
    onnx=_lower_softmax("Softmax"),
    grad=_softmax_grad,
    samples=_SOFT,
)
declare(
    "aten::log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    log_softmax,
    types=_softmax_types,
    onnx=_lower_softmax("LogSoftmax"),
    grad=_log_softmax_grad,
    samples=_SOFT,
)


def _cumulated_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(dtype_argument(call, accumulate(t.dtype)), t.dims)


_CUM = of((f4(3, 4), 0), (f4(3, 4), -1), (i8(5), 0), (b1(4), 0), S(f4(3), 0, dtype=7), (f4(), 0), (f4(0, 3), 0))
declare(
    f"aten::cumsum(Tensor self, int dim, {DTYPE_KEYWORD}) -> Tensor",
    _cumulated(np.cumsum),
    types=_cumulated_types,
    onnx=_lower_cumsum,
    grad=_cumsum_grad,
    samples=_CUM,
)


declare(
    f"aten::cumprod(Tensor self, int dim, {DTYPE_KEYWORD}) -> Tensor",
    _cumulated(np.cumprod),
    types=_cumulated_types,
    onnx=lower_cumprod,
    grad=_cumprod_grad,
    samples=_CUM,
)
