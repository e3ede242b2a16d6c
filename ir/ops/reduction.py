"""Reductions: sum, mean, prod, max, min, arg-max, var, norm, all, any, cumsum, logsumexp, softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_code, by_name, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least
from bridge.ir.ops._declare import Array, declare, dim_of, dims_of, given
from bridge.ir.ops._onnx import (
    BOOL,
    INT64,
    axes_of,
    axis_of,
    compute_dtype,
    reduce_axes,
    refuse_complex,
    typed,
    where,
)
from bridge.ir.ops._samples import S, b1, f4, f8, i8, of
from bridge.ir.rules import Call, Results, reduced_dims, reduction, result

_INT64, _BOOL = by_name("int64"), by_name("bool")

# -- kernels -----------------------------------------------------------------------------------------------------------


def axes(dim: Any, rank: int, empty_is_all: bool = True) -> Any:
    """NumPy's axis argument."""
    return dims_of(dim, rank, empty_is_all)


def accumulated(dtype: np.dtype[Any], code: int | None) -> np.dtype[Any]:
    """The element type of sums and products: integers and bools add up in int64."""
    if code is not None:
        return by_code(code).numpy
    return np.dtype(np.int64) if dtype.kind in "iub" else dtype


def widened(x: Array) -> Array:
    """Half precision adds up in float32, as torch does."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind not in "iub" else x


def sum_(self: Array, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> Any:
    wanted = accumulated(self.dtype, dtype)
    return np.sum(widened(self.astype(wanted, copy=False)), axis=axes(dim, self.ndim), keepdims=keepdim).astype(wanted)


def float_only(x: Array, what: str, dtype: int | None = None) -> None:
    kind = by_numpy(x.dtype) if dtype is None else by_code(dtype)
    if kind.kind in "ib":
        names = {"int64": "Long", "bool": "Bool", "int32": "Int"}
        raise BridgeError(
            f"{what}(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {names.get(kind.name, kind.label)}"
        )


def mean(self: Array, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> Any:
    float_only(self, "mean", dtype)
    wanted = self.dtype if dtype is None else by_code(dtype).numpy
    return np.mean(widened(self.astype(wanted, copy=False)), axis=axes(dim, self.ndim), keepdims=keepdim).astype(wanted)


def prod(self: Array, dim: Any = None, keepdim: bool = False, dtype: int | None = None) -> Any:
    wanted = accumulated(self.dtype, dtype)
    axis = None if dim is None else axes(dim, self.ndim)
    return np.prod(widened(self.astype(wanted, copy=False)), axis=axis, keepdims=keepdim).astype(wanted)


def _nonempty(x: Array, dims: Any, what: str) -> None:
    for d in dims:
        if x.ndim and x.shape[d] == 0:
            raise IndexError(f"{what}(): Expected reduction dim {d} to have non-zero size.")


def _amax(f: Any, name: str) -> Any:
    def kernel(self: Array, dim: Any = (), keepdim: bool = False) -> Any:
        axis = axes(dim, self.ndim)
        _nonempty(self, axis, name)
        return f(self, axis=axis, keepdims=keepdim)

    return kernel


def _arg(f: Any, name: str) -> Any:
    def kernel(self: Array, dim: int | None = None, keepdim: bool = False) -> Any:
        if dim is None:
            if not self.size:
                raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
            r = np.asarray(f(self.reshape(-1)), np.int64)
            return r.reshape((1,) * self.ndim) if keepdim else r
        d = dim_of(dim, self.ndim)
        _nonempty(self, (d,), name)
        return np.asarray(f(self, axis=d, keepdims=keepdim) if self.ndim else 0, np.int64)

    return kernel


def _along(f: Any, arg: Any, name: str) -> Any:
    """max.dim and min.dim: values and indices."""
    index = _arg(arg, name)

    def kernel(self: Array, dim: int, keepdim: bool = False) -> Any:
        i = index(self, dim, True)
        if not self.ndim:
            return self.copy(), np.asarray(0, np.int64)
        values = np.take_along_axis(self, i, dim_of(dim, self.ndim))
        return (values, i) if keepdim else (values.squeeze(dim), i.squeeze(dim))

    return kernel


def _whole(f: Any, name: str) -> Any:
    def kernel(self: Array) -> Any:
        if not self.size:
            raise BridgeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
            )
        return f(self)

    return kernel


def _logical(f: Any) -> Any:
    def kernel(self: Array, dim: Any = None, keepdim: bool = False) -> Any:
        r = f(self, axis=axes(dim, self.ndim, empty_is_all=dim is None), keepdims=keepdim)
        return np.asarray(r).astype(np.uint8) if self.dtype == np.uint8 else r

    return kernel


# -- lowerings ---------------------------------------------------------------------------------------------------------


def dim_argument(call: LoweredCall) -> Any:
    return call["dim"] if "dim" in call.schema.index else None


def keepdim_of(call: LoweredCall) -> bool:
    return bool(call["keepdim"]) if "keepdim" in call.schema.index else False


def reduce_node(
    e: Emitter, op_type: str, x: Any, dims: Any, keepdim: bool, dtype: DType, empty_is_all: bool = True
) -> Any:
    """A reduction of a value cast to ``dtype``."""
    compute = compute_dtype(op_type, dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no {op_type} for {dtype.name}")
    if x.rank == 0:
        return e.op("Identity", e.cast(x, dtype))
    if dtype.kind == "i" and op_type in ("ReduceSum", "ReduceProd"):
        compute = INT64  # onnxruntime's sums of int32 do not wrap around
    return e.cast(reduce_axes(e, op_type, e.cast(x, compute), axes_of(e, x, dims, empty_is_all), keepdim), dtype)


def wanted_dtype(call: LoweredCall, x: Any) -> DType:
    if "dtype" in call.schema.index and call["dtype"] is not None:
        return by_code(call["dtype"])
    return INT64 if x.dtype.kind in "ib" else x.dtype


def _lower_sum(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        refuse_complex(e, x.dtype)
        return reduce_node(e, op_type, x, dim_argument(call), keepdim_of(call), wanted_dtype(call, x))

    return lower


def _lower_mean(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    return mean_node(e, x, dim_argument(call), keepdim_of(call), wanted_dtype(call, x))


def mean_node(e: Emitter, x: Any, dims: Any, keepdim: bool, dtype: DType) -> Any:
    """The mean, which of no elements is nan: onnxruntime's ReduceMean says 0."""
    if x.rank == 0:
        return reduce_node(e, "ReduceMean", x, dims, keepdim, dtype)
    axes = axes_of(e, x, dims)
    sizes = [None] if x.dims is None else x.dims if axes is None else [x.dims[a] for a in axes]
    if all(isinstance(s, int) and s > 0 for s in sizes):
        return reduce_node(e, "ReduceMean", x, dims, keepdim, dtype)
    if axes is None or (x.rank == len(axes) == 1):
        count = e.op("Size", x, dtype=INT64, dims=())
    else:
        count = e.op("Gather", e.shape_of(x), np.asarray(axes, np.int64), axis=0, dims=(len(axes),))
        if len(axes) > 1 or len(axes) == x.rank:
            count = e.op("ReduceProd", count, keepdims=0, dims=())
    if dtype.name in ("float16", "bfloat16"):  # whose sums may not be numbers any more
        mean = reduce_node(e, "ReduceMean", x, dims, keepdim, dtype)
        some = e.op("Min", count, e.scalar(1, INT64), dims=count.dims)
        return typed(e, "Div", dtype, mean, some, dims=mean.dims)
    total = reduce_node(e, "ReduceSum", x, dims, keepdim, dtype)
    return typed(e, "Div", dtype, total, count, dims=total.dims)


def nan_aware(e: Emitter, op_type: str, x: Any, dims: Any, keepdim: bool, dtype: DType) -> Any:
    """ReduceMax or ReduceMin that gives nan where there is one (onnxruntime's drops it)."""
    r = reduce_node(e, op_type, x, dims, keepdim, dtype)
    if dtype.kind != "f" or x.rank == 0:
        return r
    # The sum of the absolute values is nan where one of them is, and else no less than any of the values; Min keeps nan,
    # and of two zeros the second, which is the one with the sign.
    bound = reduce_node(e, "ReduceL1", x, dims, keepdim, dtype)
    return typed(e, "Min", dtype, bound, r, dims=r.dims)


def some(e: Emitter, x: Any, dims: Any) -> Any:
    """x, which has an element or more along these dimensions: onnxruntime's maximum of nothing is -inf, and torch's an error."""
    if x.rank == 0:
        return x
    if x.rank is None:
        x, dims = e.op("Reshape", x, np.asarray([-1], np.int64), dims=(None,)), None
    axes = axes_of(e, x, dims)
    return at_least(e, x, [int(axes is None or a in axes) for a in range(x.rank)])


def some_of_all(e: Emitter, x: Any) -> Any:
    """As :func:`some` of all dimensions, for what does not look at them: one node, which may put a dimension of 1 behind."""
    if x.rank is None or x.rank == 0 or (x.dims is not None and all(isinstance(d, int) for d in x.dims)):
        return some(e, x, None)
    # the size of the last dimension is that of x by those of the others, which of nothing is nothing by nothing
    return e.op("Reshape", x, np.asarray([*[0] * x.rank, -1], np.int64), dims=(*x.dims, 1))


def _lower_extreme(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, dims, keepdim = call["self"], dim_argument(call), keepdim_of(call)
        whole = not keepdim and (dims is None or dims == [])
        x = some_of_all(e, x) if whole else some(e, x, dims)
        return nan_aware(e, op_type, x, None if whole else dims, keepdim, x.dtype)

    return lower


def _arg_node(e: Emitter, op_type: str, x: Any, axis: int, keepdim: bool) -> Any:
    """ArgMax or ArgMin: the first of equals, and nan before everything, as in torch; of a vector of nothing it fails, too."""
    dtype = x.dtype
    compute = compute_dtype(op_type, dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no {op_type} for {dtype.name}")

    def plain() -> Any:
        return e.op(op_type, e.cast(x, compute), dtype=INT64, axis=axis, keepdims=int(keepdim))

    def with_nan() -> Any:  # as a mask: where there is one, it is the answer
        flags, int32 = typed(e, "IsNaN", dtype, x, result=BOOL), by_name("int32")
        nans = e.cast(flags, int32)
        if e.opset >= 20:
            some = reduce_axes(e, "ReduceMax", flags, [axis], keepdim)
        else:
            some = e.op("Greater", reduce_axes(e, "ReduceMax", nans, [axis], keepdim), e.scalar(0, int32), dtype=BOOL)
        return where(e, some, e.op("ArgMax", nans, dtype=INT64, axis=axis, keepdims=int(keepdim)), plain(), INT64)

    if dtype.kind != "f":
        return plain()
    if not e.chooses:
        return with_nan()
    size = reduce_node(e, "ReduceL1", x, None, False, dtype)  # nan where one is
    return e.either(typed(e, "IsNaN", dtype, size, result=BOOL, dims=()), with_nan, plain, None)


def _lower_arg(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, dim = call["self"], call["dim"]
        if x.rank == 0:
            return e.constant(np.asarray(0, np.int64))
        if dim is None:
            flat = x if x.rank == 1 else e.op("Reshape", x, np.asarray([-1], np.int64), dims=(None,))
            out = _arg_node(e, op_type, flat, 0, keepdim_of(call))
            if not keepdim_of(call):
                return out
            if x.rank is None:
                e.unsupported("keepdim needs a tensor whose number of dimensions is known")
            return e.op("Reshape", out, np.ones(x.rank, np.int64))
        return _arg_node(e, op_type, x if x.rank == 1 else some(e, x, dim), axis_of(e, x, dim), keepdim_of(call))

    return lower


def _lower_along(which: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, keepdim = call["self"], keepdim_of(call)
        if x.rank == 0:
            return e.op("Identity", x), e.constant(np.asarray(0, np.int64))
        axis = axis_of(e, x, call["dim"])
        x = x if x.rank == 1 else some(e, x, axis)
        index = _arg_node(e, f"Arg{which}", x, axis, True)
        values = e.op("GatherElements", x, index, axis=axis)
        if keepdim:
            return values, index
        axes = np.asarray([axis], np.int64)
        return e.op("Squeeze", values, axes), e.op("Squeeze", index, axes)

    return lower


def _lower_logical(which: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        int32 = by_name("int32")
        dim = dim_argument(call)
        bits = e.cast(e.cast(x, BOOL), int32)
        # Over no elements all() is true, as their product is, and any() false, as their sum is; a maximum fails.
        op_type = "ReduceSum" if which == "any" else "ReduceProd"
        out = e.cast(reduce_node(e, op_type, bits, dim, keepdim_of(call), int32, empty_is_all=dim is None), BOOL)
        return e.cast(out, x.dtype) if x.dtype.name == "uint8" else out

    return lower


# -- gradients ---------------------------------------------------------------------------------------------------------


def restored(ctx: Any, g: Any, dim: Any, keepdim: bool) -> Any:
    """A reduced gradient with its dimensions put back as ones."""
    shape = list(ctx["self"].shape)
    if keepdim or not shape:
        return g
    axes = dims_of(dim, len(shape))
    return g.reshape([1 if i in axes else n for i, n in enumerate(shape)])


def _expand(ctx: Any, g: Any) -> Any:
    return ctx.op("aten::expand", g, list(ctx["self"].shape))


def arg_of(ctx: Any, name: str, default: Any) -> Any:
    return ctx[name] if given(ctx, name) else default


def _sum_grad(ctx: Any, g: Any) -> Any:
    return (_expand(ctx, restored(ctx, g, arg_of(ctx, "dim", None), arg_of(ctx, "keepdim", False))),)


def count(ctx: Any) -> int:
    shape = list(ctx["self"].shape)
    return math.prod(shape[a] for a in dims_of(arg_of(ctx, "dim", None), len(shape)))


def mean_grad(ctx: Any, g: Any) -> Any:
    return (_sum_grad(ctx, g)[0] / max(count(ctx), 1),)


def _prod_grad(ctx: Any, g: Any) -> Any:
    """Product of the others, without dividing: of the ones before times the ones after."""
    x, dim, keepdim = ctx["self"], arg_of(ctx, "dim", None), arg_of(ctx, "keepdim", False)
    shape = list(x.shape)
    if not shape:
        return (g,)
    if 0 in shape:
        return (ctx.op("aten::zeros_like", x),)
    flat = dim is None
    moved = x.reshape([-1]) if flat else x
    d = 0 if flat else dim % len(shape)
    ones = ctx.op("aten::ones_like", moved.narrow(d, 0, 1))
    n = moved.shape[d]
    before = ctx.op("aten::cumprod", ctx.op("aten::cat", [ones, moved.narrow(d, 0, n - 1)], d), d)
    flipped = ctx.op("aten::flip", moved, [d])
    after = ctx.op(
        "aten::flip", ctx.op("aten::cumprod", ctx.op("aten::cat", [ones, flipped.narrow(d, 0, n - 1)], d), d), [d]
    )
    grad = before * after * (g if flat or keepdim else g.unsqueeze(d))
    return (grad.reshape(shape),)


def _spread_grad(ctx: Any, g: Any) -> Any:
    """amax, amin, and max and min of the whole tensor: shared evenly among equals."""
    dim, keepdim = arg_of(ctx, "dim", None), arg_of(ctx, "keepdim", False)
    r, gr = restored(ctx, ctx.result, dim, keepdim), restored(ctx, g, dim, keepdim)
    x = ctx["self"]
    hit = x == r
    if not given(ctx, "dim"):  # max and min of everything find a nan again; amax and amin divide by none
        hit = hit.logical_or(x.isnan().logical_and(r.isnan()))
    mask = ctx.op("aten::to.other", hit, g)
    axes = list(dims_of(dim, len(ctx["self"].shape)))
    return (gr / (ctx.op("aten::sum.dim_IntList", mask, axes, True) if axes else mask) * mask,)


def value_selecting_grad(ctx: Any, g: Any, *rest: Any) -> Any:
    """Values picked along a dimension by indices: the gradient goes back where they came from."""
    x, dim, keepdim = ctx["self"], ctx["dim"], arg_of(ctx, "keepdim", True)
    if not len(x.shape):
        return (g,)
    index = ctx.results[1]
    if not keepdim:
        g, index = g.unsqueeze(dim), index.unsqueeze(dim)
    return (ctx.op("aten::scatter_add", ctx.op("aten::zeros_like", x), dim, index, g),)


# -- declarations ------------------------------------------------------------------------------------------------------


def accumulate(d: DType | None) -> DType | None:
    return _INT64 if d is not None and d.kind in "ib" else d


def _keep(d: DType | None) -> DType | None:
    return d


_SUM_TYPES, KEPT_TYPES = reduction(accumulate), reduction(_keep)
_WHOLE = of((f4(3, 4),), (f4(),), (f4(0, 2),), (i8(3, 2),), (b1(4),), (f8(3),), S(f4(3), dtype=7))
_WHOLE_F = of((f4(3, 4),), (f4(),), (f8(3),), S(f4(3), dtype=7))
_DIMS = of(
    (f4(3, 4), [0]),
    (f4(3, 4), [-1], True),
    (f4(2, 3, 4), [0, 2]),
    (f4(3, 4), None),
    (f4(3, 4), [], True),
    (i8(3, 2), [1]),
    (f4(), [0]),
    (f4(0, 2), [0]),
)
_DIMS_F = of(
    (f4(3, 4), [0]), (f4(3, 4), [-1], True), (f4(2, 3, 4), [0, 2]), (f4(3, 4), None), (f4(3, 4), [], True), (f4(), [0])
)
DTYPE_KEYWORD = "*, ScalarType? dtype=None"
declare(
    f"aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, {DTYPE_KEYWORD}) -> Tensor",
    sum_,
    types=_SUM_TYPES,
    onnx=_lower_sum("ReduceSum"),
    grad=_sum_grad,
    grad_name="SumBackward1",
    samples=_DIMS,
)
declare(
    f"aten::sum(Tensor self, {DTYPE_KEYWORD}) -> Tensor",
    lambda x, dtype: sum_(x, None, False, dtype),
    types=_SUM_TYPES,
    onnx=_lower_sum("ReduceSum"),
    grad=_sum_grad,
    samples=_WHOLE,
)
declare(
    f"aten::mean(Tensor self, {DTYPE_KEYWORD}) -> Tensor",
    lambda x, dtype: mean(x, None, False, dtype),
    types=KEPT_TYPES,
    onnx=_lower_mean,
    grad=mean_grad,
    samples=_WHOLE_F,
)
declare(
    f"aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, {DTYPE_KEYWORD}) -> Tensor",
    mean,
    types=KEPT_TYPES,
    onnx=_lower_mean,
    grad=mean_grad,
    grad_name="MeanBackward1",
    samples=_DIMS_F,
)
declare(
    f"aten::prod(Tensor self, {DTYPE_KEYWORD}) -> Tensor",
    lambda x, dtype: prod(x, None, False, dtype),
    types=_SUM_TYPES,
    onnx=_lower_sum("ReduceProd"),
    grad=_prod_grad,
    samples=_WHOLE,
)
declare(
    f"aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, {DTYPE_KEYWORD}) -> Tensor",
    prod,
    types=_SUM_TYPES,
    onnx=_lower_sum("ReduceProd"),
    grad=_prod_grad,
    grad_name="ProdBackward1",
    samples=of((f4(3, 4), 0), (f4(3, 4), -1, True), (i8(2, 3), 1)),
)
_NAN = np.asarray([[1, math.nan, 0], [3, 2, 2]], np.float32)
_EXTREMES = of(
    (f4(3, 4), [0]),
    (f4(3, 4), [-1], True),
    (f4(3, 4),),
    (i8(3, 2), [1]),
    (_NAN, [1]),
    (f4(), [0]),
    (f4(2, 3, 4), [0, 2], True),
)
_WHOLES = of((f4(3, 4),), (f4(),), (i8(5),), (_NAN,), (b1(3),))


def _along_types(call: Call) -> Results:
    t = call.tensor("self")
    dims = reduced_dims(t.dims, call.known("dim"), call.known("keepdim"))
    return [result(t.dtype, dims), result(_INT64, dims)]


_f: Any
for _name, _f, _arg_f, _which in (("max", np.max, np.argmax, "Max"), ("min", np.min, np.argmin, "Min")):
    declare(
        f"aten::a{_name}(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor",
        _amax(_f, f"a{_name}"),
        types=KEPT_TYPES,
        onnx=_lower_extreme(f"Reduce{_which}"),
        grad=_spread_grad,
        samples=_EXTREMES,
    )
    declare(
        f"aten::{_name}(Tensor self) -> Tensor",
        _whole(_f, _name),
        types=KEPT_TYPES,
        onnx=_lower_extreme(f"Reduce{_which}"),
        grad=_spread_grad,
        grad_name=f"{_which}Backward1",
        samples=_WHOLES,
    )
    declare(
        f"aten::arg{_name}(Tensor self, int? dim=None, bool keepdim=False) -> Tensor",
        _arg(_arg_f, f"arg{_name}"),
        types=reduction(lambda d: _INT64),
        onnx=_lower_arg(f"Arg{_which}"),
        samples=of(
            (f4(3, 4),),
            (f4(3, 4), 0),
            (f4(3, 4), -1, True),
            (i8(5, low=0, high=2), 0),
            (_NAN, 1),
            (f4(2, 2), None, True),
        ),
    )
    declare(
        f"aten::{_name}.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
        _along(_f, _arg_f, _name),
        types=_along_types,
        onnx=_lower_along(_which),
        grad=value_selecting_grad,
        samples=of((f4(3, 4), 0), (f4(3, 4), -1, True), (i8(2, 5, low=0, high=2), 1), (_NAN, 1), (f4(), 0)),
    )


def _bool_or_byte(d: DType | None) -> DType | None:
    return d if d is None or d.name == "uint8" else _BOOL


for _name, _f in (("all", np.all), ("any", np.any)):
    _logic: dict[str, Any] = {"onnx": _lower_logical(_name)}
    declare(
        f"aten::{_name}(Tensor self) -> Tensor",
        _logical(_f),
        types=reduction(_bool_or_byte),
        **_logic,
        samples=of((b1(4),), (f4(3),), (b1(0),), (b1(),), (b1(2, 3),)),
    )
    declare(
        f"aten::{_name}.dim(Tensor self, int dim, bool keepdim=False) -> Tensor",
        _logical(_f),
        types=reduction(_bool_or_byte),
        **_logic,
        samples=of((b1(3, 4), 0), (i8(2, 3, low=0), -1, True), (b1(0, 2), 0)),
    )
    declare(
        f"aten::{_name}.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
        _logical(_f),
        types=reduction(_bool_or_byte, all_if_empty=False),
        **_logic,
        samples=of((b1(3, 4), [0, 1]), (b1(3, 2),)),
    )
