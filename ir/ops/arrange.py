"""Elements in another order or place: sort, topk, flip, roll, tril, triu, diagonal, unfold, one_hot, unique, einsum…"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least, holds
from bridge.ir.ops._declare import Array, argument_dtype, declare, dim_of, dims_of, in_place
from bridge.ir.ops._onnx import (
    BOOL,
    INT64,
    axes_of,
    axis_of,
    compute_dtype,
    ints,
    is_lowered,
    known_rank,
    result_of,
    typed,
    where,
)
from bridge.ir.ops._runs import lower_diag, lower_diag_embed
from bridge.ir.ops._samples import b1, f4, i8, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, dtype_argument, like_self, result, wrap

# -- order -------------------------------------------------------------------------------------------------------------


def _lower_flip(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    axes = axes_of(e, x, call["dims"], empty_is_all=False) or []
    if not axes or x.rank == 0:
        return e.op("Identity", x)
    n = len(axes)
    return e.op("Slice", x, ints(*[-1] * n), ints(*[-(1 << 62)] * n), ints(*axes), ints(*[-1] * n))


declare(
    "aten::flip(Tensor self, int[] dims) -> Tensor",
    lambda x, dims: np.array(np.flip(x, dims_of(list(dims), x.ndim, empty_is_all=False))),
    types=like_self,
    onnx=_lower_flip,
    grad=lambda c, g: (c.op("aten::flip", g, c["dims"]),),
    samples=of((f4(3, 4), [0]), (f4(3, 4), [0, -1]), (f4(3), []), (f4(0, 2), [0])),
)


def _flip_at(dim: int) -> Any:
    def flip(ops: Any, x: Any) -> Any:
        if len(x.shape) <= dim:
            raise BridgeError(f"Input must be >= {dim + 1}-d.")
        return ops("aten::flip", x, [dim])

    return flip


for _name, _dim in (("fliplr", 1), ("flipud", 0)):
    declare(
        f"aten::{_name}(Tensor self) -> Tensor",
        _flip_at(_dim),
        composite=True,
        types=like_self,
        samples=of((f4(3, 4),)),
        onnx=lambda e, call, d=_dim: e.op("Slice", call["self"], ints(-1), ints(-(1 << 62)), ints(d), ints(-1)),
    )


def _roll(self: Array, shifts: Sequence[int], dims: Sequence[int] = ()) -> Any:
    if not shifts:
        raise BridgeError("`shifts` required")
    if len(shifts) != (len(dims) or 1):
        raise BridgeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    if not dims:
        return np.roll(self.reshape(-1), shifts[0]).reshape(self.shape)
    return np.roll(self, tuple(shifts), tuple(dims))


def _lower_roll(e: Emitter, call: LoweredCall) -> Any:
    x, shifts, dims = call["self"], call["shifts"], call["dims"]
    flat = e.op("Reshape", x, ints(-1)) if not dims else x
    for shift, dim in zip(shifts, dims or [0], strict=True):
        axis = axis_of(e, x, dim) if dims else 0
        n = x.dims[axis] if dims and x.dims is not None else None
        if isinstance(n, int) and not is_lowered(shift):
            cut: Any = ints(-shift % n if n else 0)
        else:  # -shift modulo the size, one of which is only known at run time
            size = e.op("Slice", e.shape_of(x if dims else flat), ints(axis), ints(axis + 1), ints(0), dims=(1,))
            back = ints(-shift) if not is_lowered(shift) else e.op("Neg", e.op("Reshape", shift, ints(1), dims=(1,)))
            cut = e.op("Mod", back, e.op("Max", size, ints(1)), dtype=INT64)
        end = ints((1 << 63) - 1)
        flat = e.op(
            "Concat",
            e.op("Slice", flat, cut, end, ints(axis)),
            e.op("Slice", flat, ints(0), cut, ints(axis)),
            axis=axis,
        )
    return flat if dims else e.op("Reshape", flat, e.shape_of(x))


def _unroll(c: Any, g: Any) -> Any:
    return (c.op("aten::roll", g, [-s for s in c["shifts"]], c["dims"]),)


declare(
    "aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor",
    _roll,
    types=like_self,
    onnx=_lower_roll,
    grad=_unroll,
    samples=of((f4(3, 4), [1], [0]), (f4(3, 4), [-2, 1], [1, 0]), (f4(3, 4), [2])),
)


def _rot90(ops: Any, x: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    a, b = dims
    k %= 4
    if k == 2:
        return ops("aten::flip", x, [a, b])
    if k == 0:
        return ops("aten::clone", x, 0)
    return ops("aten::transpose.int", ops("aten::flip", x, [b if k == 1 else a]), a, b)


def _tri(f: Any) -> Any:
    def kernel(self: Array, diagonal: int = 0) -> Any:
        if self.ndim < 2:
            raise BridgeError(f"{f.__name__}: input tensor must have at least 2 dimensions")
        return f(self, diagonal)

    return kernel


def _lower_tri(upper: bool) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, k = call["self"], call["diagonal"]
        if e.opset < 14:  # no Trilu yet: compare row and column numbers
            rank = known_rank(e, x, "tril")
            shape = e.shape_of(x)
            sizes = [
                e.op(
                    "Reshape",
                    e.op("Slice", shape, ints(rank - 2 + i), ints(rank - 1 + i), ints(0)),
                    np.asarray([], np.int64),
                    dims=(),
                )
                for i in (0, 1)
            ]
            rows, columns = (e.op("Range", e.scalar(0, INT64), n, e.scalar(1, INT64), dtype=INT64) for n in sizes)
            apart = e.op("Sub", columns, e.op("Unsqueeze", rows, ints(1)))
            keep = e.op("GreaterOrEqual" if upper else "LessOrEqual", apart, e.scalar(k, INT64), dtype=BOOL)
            if x.dtype.kind == "b":
                return e.op("And", keep, x)
            return where(e, keep, x, e.scalar(0, x.dtype), x.dtype)
        return (
            typed(e, "Trilu", x.dtype, x, e.cast(k, INT64), upper=int(upper))
            if x.dtype.kind != "b"
            else e.op("Trilu", x, e.cast(k, INT64), upper=int(upper))
        )

    return lower


def _trilu(e: Emitter, call: LoweredCall, upper: bool) -> Any:
    x = call["self"]
    compute = compute_dtype("Trilu", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Trilu for {x.dtype.name}")
    # the second input is an int64 whatever the first: it must not be cast along
    return e.cast(e.op("Trilu", e.cast(x, compute), e.scalar(call["diagonal"], INT64), upper=int(upper)), x.dtype)


def _lower_triangle(upper: bool) -> Any:
    old = _lower_tri(upper)
    return lambda e, call: old(e, call) if e.opset < 14 else _trilu(e, call, upper)


_f: Any
for _name, _f in (("tril", np.tril), ("triu", np.triu)):
    in_place(
        declare(
            f"aten::{_name}(Tensor self, int diagonal=0) -> Tensor",
            _tri(_f),
            types=like_self,
            onnx=_lower_triangle(_name == "triu"),
            grad=lambda c, g, n=_name: (c.op(f"aten::{n}", g, c["diagonal"]),),
            samples=of((f4(3, 4),), (f4(2, 3, 3), 1), (i8(3, 3), -1), (b1(3, 3),)),
        ),
        of((f4(3, 4),)),
    )
_OPTIONS = "Layout? layout=None, Device? device=None, bool? pin_memory=None"


def _tri_types(call: Call) -> Results:
    row, col, offset = (call.known(n) for n in ("row", "col", "offset"))
    f = np.tril_indices if "tril" in call.schema.name else np.triu_indices
    return result(
        dtype_argument(call, by_name("int64")),
        (2, None if UNKNOWN in (row, col, offset) else len(f(row, offset, col)[0])),
    )


for _name, _f in (("tril", np.tril_indices), ("triu", np.triu_indices)):

    def _tri_indices(row: int, col: int, offset: int, dtype: Any, *rest: Any, f: Any = _f) -> Any:
        return np.stack(f(row, offset, col)).astype(argument_dtype(dtype, by_name("int64")))

    declare(
        f"aten::{_name}_indices(int row, int col, int offset=0, *, ScalarType? dtype=4, {_OPTIONS}) -> Tensor",
        _tri_indices,
        types=_tri_types,
        onnx=lambda e, call, f=_f: e.cast(np.stack(f(call["row"], call["offset"], call["col"])), result_of(call).dtype),
        samples=of((3, 4), (3, 3, 1)),
    )


def _diagonal(self: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    a, b = dim_of(dim1, self.ndim), dim_of(dim2, self.ndim)
    if a == b:
        raise BridgeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = max(min(self.shape[a] + min(offset, 0), self.shape[b] - max(offset, 0)), 0)
    start: list[Any] = [slice(None)] * self.ndim
    start[a], start[b] = slice(-min(offset, 0), None), slice(max(offset, 0), None)
    kept = [i for i in range(self.ndim) if i not in (a, b)]
    strides = [*(self.strides[i] for i in kept), self.strides[a] + self.strides[b]]
    return np.lib.stride_tricks.as_strided(self[tuple(start)], [*(self.shape[i] for i in kept), size], strides)


def _diagonal_types(call: Call) -> Results:
    t = call.tensor("self")
    offset, a, b = (call.known(n) for n in ("offset", "dim1", "dim2"))
    if t.dims is None or UNKNOWN in (offset, a, b):
        return result(t.dtype, None if t.dims is None else (None,) * (len(t.dims) - 1))
    a, b = a % len(t.dims), b % len(t.dims)
    n, m = t.dims[a], t.dims[b]
    size = max(min(n + min(offset, 0), m - max(offset, 0)), 0) if isinstance(n, int) and isinstance(m, int) else None
    return result(t.dtype, (*[d for i, d in enumerate(t.dims) if i not in (a, b)], size))


def _lower_diagonal(e: Emitter, call: LoweredCall) -> Any:
    x, offset = call["self"], call["offset"]
    rank = known_rank(e, x, "diagonal")
    a, b = dim_of(call["dim1"], rank), dim_of(call["dim2"], rank)
    if a == b:
        e.unsupported(f"diagonal dimensions cannot be identical {call['dim1']}, {call['dim2']}")
    order = [i for i in range(rank) if i not in (a, b)] + [a, b]
    moved = x if order == list(range(rank)) else e.op("Transpose", x, perm=order, dims=tuple(x.dims[i] for i in order))
    n, m = x.dims[a], x.dims[b]
    if not isinstance(n, int) or not isinstance(m, int):
        return _diagonal_of_free_sizes(e, x, offset, a, b)
    size = max(min(n + min(offset, 0), m - max(offset, 0)), 0)
    at = (np.arange(size) - min(offset, 0)) * m + np.arange(size) + max(offset, 0)
    flat = e.op("Reshape", moved, ints(*[0] * (rank - 2), -1) if n * m else ints(*[0] * (rank - 2), 0))
    return e.op("Gather", flat, at.astype(np.int64), axis=rank - 2)


def _diagonal_of_free_sizes(e: Emitter, x: Any, offset: Any, a: int, b: int) -> Any:
    """Pairs of positions in both dimensions, as many as there are, and what stands there."""
    if not isinstance(offset, int):
        e.unsupported("diagonal is exported for an offset that is known, or dimensions whose sizes are known")
    rest = [i for i in range(x.rank) if i not in (a, b)]
    front = e.op("Transpose", x, perm=[a, b, *rest])
    first, second = np.int64(-min(offset, 0)), np.int64(max(offset, 0))
    sizes = [e.op("Gather", e.shape_of(x), np.asarray(d, np.int64), axis=0, dims=()) for d in (a, b)]
    longest = [e.op("Sub", n, np.asarray(s), dims=()) for n, s in zip(sizes, (first, second), strict=True)]
    size = e.op("Max", e.op("Min", *longest, dims=()), np.asarray(0, np.int64), dims=())
    every = e.op("Range", np.asarray(0, np.int64), size, np.asarray(1, np.int64), dims=(None,))
    columns = [
        e.op("Unsqueeze", e.op("Add", every, np.asarray(s), dims=(None,)), ints(1), dims=(None, 1))
        for s in (first, second)
    ]
    found = e.op("GatherND", front, e.op("Concat", *columns, axis=1, dims=(None, 2)))
    return found if not rest else e.op("Transpose", found, perm=[*range(1, x.rank - 1), 0])


def _diagonal_grad(c: Any, g: Any) -> Any:
    return (c.op("aten::diagonal_backward", g, list(c["self"].shape), c["offset"], c["dim1"], c["dim2"]),)


def _diagonal_backward(g: Array, sizes: Any, offset: int, dim1: int, dim2: int) -> Any:
    out = np.zeros(sizes, g.dtype)
    _diagonal(out, offset, dim1, dim2)[...] = g
    return out


declare(
    "aten::diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)",
    _diagonal,
    types=_diagonal_types,
    onnx=_lower_diagonal,
    grad=_diagonal_grad,
    samples=of((f4(3, 4),), (f4(3, 4), 1), (f4(2, 3, 3), -1, 1, 2), (f4(2, 3, 3), 0, 0, 2)),
)
declare(
    "aten::diagonal_copy(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    lambda *a: _diagonal(*a).copy(),
    types=_diagonal_types,
    onnx=_lower_diagonal,
    grad=_diagonal_grad,
    grad_name="DiagonalBackward0_copy",
    samples=of((f4(3, 4), 1)),
)
declare(
    "aten::diagonal_backward(Tensor grad_output, SymInt[] input_sizes, int offset, int dim1, int dim2) -> Tensor",
    _diagonal_backward,
    onnx=unsupported("a gradient operator is not exported"),
    grad=lambda c, g: (c.op("aten::diagonal", g, c["offset"], c["dim1"], c["dim2"]),),
)


def _diag(ops: Any, x: Any, diagonal: int = 0) -> Any:
    if len(x.shape) == 1:
        return ops("aten::diag_embed", x, diagonal, 0, 1)
    if len(x.shape) != 2:
        raise BridgeError(f"diag(): Supports 1D or 2D tensors. Got {len(x.shape)}D")
    return ops("aten::diagonal_copy", x, diagonal, 0, 1)


def _diag_embed(self: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    rank = self.ndim + 1
    n = self.shape[-1] + abs(offset)
    a, b = dim_of(dim1, rank), dim_of(dim2, rank)
    if a == b:
        raise BridgeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    out = np.zeros((*self.shape[:-1], n, n), self.dtype)
    i = np.arange(self.shape[-1])
    out[..., i - min(offset, 0), i + max(offset, 0)] = self
    return np.ascontiguousarray(np.moveaxis(out, (-2, -1), (a, b)))


def _diag_embed_types(call: Call) -> Results:
    t, offset = call.tensor("self"), call.known("offset")
    places = call.known("dim1"), call.known("dim2")
    if t.dims is None or offset is UNKNOWN or UNKNOWN in places:
        return result(t.dtype, None if t.dims is None else (None,) * (len(t.dims) + 1))
    n, rank = t.dims[-1], len(t.dims) + 1
    dims: list[Any] = list(t.dims[:-1])
    for d in sorted(p % rank for p in places):
        dims.insert(d, n + abs(offset) if isinstance(n, int) else None)
    return result(t.dtype, dims)


declare(
    "aten::diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
    _diag_embed,
    onnx=lower_diag_embed,
    grad=lambda c, g: (c.op("aten::diagonal", g, c["offset"], c["dim1"], c["dim2"]),),
    samples=of((f4(3),), (f4(2, 3), 1), (f4(2, 3), -1, 0, 2)),
    types=_diag_embed_types,
)
declare(
    "aten::diag(Tensor self, int diagonal=0) -> Tensor",
    _diag,
    composite=True,
    onnx=lower_diag,
    types=lambda call: result(call.tensor("self").dtype, _diag_dims(call)),
    samples=of((f4(3),), (f4(3, 4), 1)),
)


def _diag_dims(call: Call) -> Any:
    t, k = call.tensor("self"), call.known("diagonal")
    if t.dims is None or k is UNKNOWN:
        return None
    if len(t.dims) == 1:
        n = t.dims[0] + abs(k) if isinstance(t.dims[0], int) else None
        return (n, n)
    n, m = t.dims
    return (max(min(n + min(k, 0), m - max(k, 0)), 0) if isinstance(n, int) and isinstance(m, int) else None,)


def _unfold(self: Array, dimension: int, size: int, step: int) -> Any:
    d = dim_of(dimension, self.ndim)
    for name, n, least in (("size", size, ">= 0"), ("step", step, "> 0")):
        if n < 0 or (n == 0 and least == "> 0"):
            raise BridgeError(f"{name} is {n} but must be {least}")
    if not self.ndim and size <= 1:
        return self.reshape(1)[:size]
    n = ((self.shape[d] if self.ndim else 1) - size) // step + 1
    if n < 1:
        own = self.shape[d] if self.ndim else 1
        raise BridgeError(f"maximum size for tensor at dimension {d} is {own} but size is {size}")
    shape = (*self.shape[:d], n, *self.shape[d + 1 :], size)
    strides = (*self.strides[:d], self.strides[d] * step, *self.strides[d + 1 :], self.strides[d])
    return np.lib.stride_tricks.as_strided(self, shape, strides)


def _unfold_types(call: Call) -> Results:
    t, size, step = call.tensor("self"), call.known("size"), call.known("step")
    at = wrap(call.known("dimension"), t.rank)
    if t.dims is None or at is None:
        return result(t.dtype, None)
    wide = None if size is UNKNOWN else size
    if not t.dims:
        return result(t.dtype, (wide,))
    n = t.dims[at]
    known = all(isinstance(v, int) for v in (n, size, step))
    return result(t.dtype, (*t.dims[:at], (n - size) // step + 1 if known else None, *t.dims[at + 1 :], wide))


def _lower_unfold(e: Emitter, call: LoweredCall) -> Any:
    x, size, step = call["self"], call["size"], call["step"]
    axis = axis_of(e, x, call["dimension"])
    rank = known_rank(e, x, "unfold")
    if is_lowered(size) or is_lowered(step):
        return _windows_of_run_time(e, x, axis, rank, e.scalar(size, INT64), e.scalar(step, INT64))
    if rank == 0:
        return e.op("Slice", e.op("Reshape", x, ints(1), dims=(1,)), ints(0), ints(size), dims=(size,))
    n = x.dims[axis]
    if not isinstance(n, int):
        x = at_least(e, x, [0 if i != axis else size for i in range(rank)])
        length = e.op(
            "Reshape",
            e.op("Slice", e.shape_of(x), ints(axis), ints(axis + 1), ints(0)),
            np.asarray([], np.int64),
            dims=(),
        )
        starts = e.op(
            "Range",
            e.scalar(0, INT64),
            e.op("Sub", length, e.scalar(size - 1, INT64)),
            e.scalar(step, INT64),
            dtype=INT64,
        )
        at = e.op("Add", e.op("Unsqueeze", starts, ints(1)), np.arange(size))
    else:
        at = np.arange(0, n - size + 1, step)[:, None] + np.arange(size)
    return _window_last(e, e.op("Gather", x, at, axis=axis), axis, rank)


def _window_last(e: Emitter, x: Any, axis: int, rank: int) -> Any:
    order = [i for i in range(rank + 1) if i != axis + 1] + [axis + 1]
    return x if order == sorted(order) else e.op("Transpose", x, perm=order)


def _windows_of_run_time(e: Emitter, x: Any, axis: int, rank: int, size: Any, step: Any) -> Any:
    if rank == 0:
        e.unsupported("unfold of a number needs a size that is known when the model is exported")
    zero, one = e.scalar(0, INT64), e.scalar(1, INT64)
    length = e.op("Gather", e.shape_of(x), np.asarray(axis), dims=())
    last = e.op("Sub", length, size, dims=())
    least = e.op("Min", last, size, e.op("Sub", step, one, dims=()), dims=())  # none of them may be less than 0
    x = holds(e, x, e.op("GreaterOrEqual", least, zero, dtype=BOOL, dims=()))
    starts = e.op("Range", zero, e.op("Add", last, one, dims=()), step, dtype=INT64)
    inside = e.op("Range", zero, size, one, dtype=INT64)
    at = e.op("Add", e.op("Unsqueeze", starts, ints(1)), inside, dims=(None, None))
    return _window_last(e, e.op("Gather", x, at, axis=axis), axis, rank)


def _unfold_grad(c: Any, g: Any) -> Any:
    return (c.op("aten::unfold_backward", g, list(c["self"].shape), c["dimension"], c["size"], c["step"]),)


def _unfold_backward(g: Array, sizes: Any, dim: int, size: int, step: int) -> Any:
    out = np.zeros(sizes, g.dtype)
    d = dim_of(dim, len(sizes))
    at = np.arange(0, sizes[d] - size + 1, step)[:, None] + np.arange(size)
    where_: Any = (slice(None),) * d + (at,)
    np.add.at(out, where_, np.moveaxis(g, -1, d + 1))
    return out


declare(
    "aten::unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)",
    _unfold,
    types=_unfold_types,
    onnx=_lower_unfold,
    grad=_unfold_grad,
    samples=of((f4(7), 0, 3, 2), (f4(3, 6), 1, 2, 1), (f4(5, 2), 0, 5, 1)),
)
declare(
    "aten::unfold_backward(Tensor grad_in, SymInt[] input_sizes, int dim, int size, int step) -> Tensor",
    _unfold_backward,
    onnx=unsupported("a gradient operator is not exported"),
    grad=lambda c, g: (c.op("aten::unfold", g, c["dim"], c["size"], c["step"]),),
)
