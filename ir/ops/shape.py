"""Views and other operators that only move elements: sizes, select, slice, transpose, view, expand, cat, stack."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least, holds
from bridge.ir.ops._declare import Array, declare, dim_of, dims_of, op
from bridge.ir.ops._onnx import BOOL, INT64, axis_of, ints, is_lowered, known_rank, shape_vector, typed
from bridge.ir.ops._samples import S, b1, f4, f8, i8, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, at_most_one, dims_from_list, like_self, promote_all, result, wrap
from bridge.ir.types import INT, ListType, TensorType

MAX = 9223372036854775807

# -- sizes -------------------------------------------------------------------------------------------------------------


def _lower_size_at(e: Emitter, call: LoweredCall) -> Any:
    x, dim = call["self"], call["dim"]
    axis = axis_of(e, x, dim)
    if x.dims is not None and isinstance(x.dims[axis], int):
        return x.dims[axis]
    return e.op("Gather", e.shape_of(x), e.constant(np.asarray(axis, np.int64)), dtype=INT64, dims=(), axis=0)


declare(
    "aten::size.int(Tensor self, int dim) -> int",
    lambda self, dim: self.shape[dim_of(dim, self.ndim)],
    onnx=_lower_size_at,
    samples=of((f4(2, 3), 0), (f4(2, 3), -1)),
)
declare(
    "aten::size(Tensor self) -> int[]",
    lambda self: list(self.shape),
    onnx=lambda e, call: e.shape_of(call["self"]),
    samples=of((f4(2, 3),), (f4(),), (f4(0, 2),)),
)


def _lower_dim(e: Emitter, call: LoweredCall) -> Any:
    return known_rank(e, call["self"], "dim()")


def _lower_numel(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    if x.dims is not None and all(isinstance(d, int) for d in x.dims):
        return int(np.prod(x.dims, dtype=np.int64))
    return e.op("Size", x, dtype=INT64, dims=())


def _lower_len(e: Emitter, call: LoweredCall) -> Any:
    x = call["t"]
    if x.dims is not None and x.dims and isinstance(x.dims[0], int):
        return x.dims[0]
    return e.op("Gather", e.shape_of(x), e.constant(np.asarray(0, np.int64)), dtype=INT64, dims=(), axis=0)


def _len(t: Array) -> int:
    if not t.ndim:
        raise TypeError("len() of a 0-d tensor")
    return int(t.shape[0])


declare("aten::dim(Tensor self) -> int", lambda self: self.ndim, onnx=_lower_dim, samples=of((f4(2, 3),), (f4(),)))
declare(
    "aten::numel(Tensor self) -> int",
    lambda self: self.size,
    onnx=_lower_numel,
    samples=of((f4(2, 3),), (f4(),), (f4(0, 3),)),
)
declare("aten::len.Tensor(Tensor t) -> int", _len, onnx=_lower_len, samples=of((f4(2, 3),), (f4(0),)))


def _strides(self: Array) -> list[int]:
    return [s // self.itemsize for s in self.strides]


_NO_STRIDES = unsupported("ONNX tensors have no strides")
declare("aten::stride(Tensor self) -> int[]", _strides, onnx=_NO_STRIDES)
declare(
    "aten::stride.int(Tensor self, int dim) -> int",
    lambda self, dim: _strides(self)[dim_of(dim, self.ndim)],
    onnx=_NO_STRIDES,
)
declare("aten::storage_offset(Tensor self) -> int", lambda self: 0, onnx=_NO_STRIDES)
declare(
    "aten::is_contiguous(Tensor self) -> bool",
    lambda self: bool(self.flags.c_contiguous),
    onnx=lambda e, call: True,
    samples=of((f4(2, 3),)),
)
declare(
    "aten::_shape_as_tensor(Tensor self) -> Tensor",
    lambda self: np.asarray(self.shape, np.int64),
    types=lambda call: result(by_name("int64"), (call.tensor("self").rank,)),
    onnx=lambda e, call: e.op("Identity", e.shape_of(call["self"])),
    samples=of((f4(2, 3),)),
)

# -- select, slice, narrow ---------------------------------------------------------------------------------------------


def select(self: Array, dim: int, index: int) -> Array:
    """A view without dimension ``dim``. Raises IndexError."""
    if not self.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = dim_of(dim, self.ndim)
    n = self.shape[d]
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(self.shape)} at dimension {d}")
    return self[(slice(None),) * d + (index, ...)]


def _select_types(call: Call) -> Results:
    t, dim = call.tensor("self"), call.known("dim")
    if t.dims is None:
        return result(t.dtype, None)
    at = wrap(dim, len(t.dims))
    if at is None:
        return result(t.dtype, (None,) * (len(t.dims) - 1))
    return result(t.dtype, t.dims[:at] + t.dims[at + 1 :])


def _lower_select(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    return e.op("Gather", x, e.scalar(call["index"], INT64), axis=axis_of(e, x, call["dim"]))


def _select_grad(ctx: Any, g: Any) -> Any:
    return (ctx.op("aten::select_backward", g, list(ctx["self"].shape), ctx["dim"], ctx["index"]),)


declare(
    "aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)",
    select,
    types=_select_types,
    onnx=_lower_select,
    grad=_select_grad,
    samples=of((f4(3, 4), 0, 1), (f4(3, 4), -1, -2), (f4(3), 0, 2), (i8(2, 3, 2), 1, 0)),
)


def _select_backward(g: Array, sizes: Any, dim: int, index: int) -> Array:
    out = np.zeros(sizes, g.dtype)
    select(out, dim, index)[...] = g
    return out


def _into(names: str) -> Any:
    return lambda call: result(call.tensor("grad_output").dtype, dims_from_list(call.known("input_sizes")))


_TRAINING = unsupported("a gradient operator is not exported")
declare(
    "aten::select_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt index) -> Tensor",
    _select_backward,
    types=_into(""),
    onnx=_TRAINING,
    grad=lambda ctx, g: (ctx.op("aten::select.int", g, ctx["dim"], ctx["index"]),),
)


def slice_bounds(n: int, start: int | None, end: int | None) -> tuple[int, int]:
    """Slice bounds wrapped and clamped to [0, n]."""
    low = 0 if start is None else start + n if start < 0 else start
    high = n if end is None else end + n if end < 0 else end
    low = min(max(low, 0), n)
    return low, min(max(high, low), n)


def slice_(self: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    """A view of every ``step``-th index of [start, end). Raises BridgeError for a step that is not positive."""
    if not self.ndim:
        raise BridgeError("slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise BridgeError("slice step must be positive")
    d = dim_of(dim, self.ndim)
    low, high = slice_bounds(self.shape[d], start, end)
    return self[(slice(None),) * d + (slice(low, high, step), ...)]


def _slice_types(call: Call) -> Results:
    t = call.tensor("self")
    if t.dims is None:
        return result(t.dtype, None)
    at = wrap(call.known("dim"), len(t.dims))
    start, end, step = call.known("start"), call.known("end"), call.known("step")
    if at is None:
        return result(t.dtype, (None,) * len(t.dims))
    dims = list(t.dims)
    n = dims[at]
    if start in (None, 0) and (end is None or end == MAX) and step == 1:
        pass
    elif isinstance(n, int) and UNKNOWN not in (start, end, step):
        low, high = slice_bounds(n, start, end)
        dims[at] = -(-(high - low) // step)
    else:
        one = step == 1 and ((start in (None, 0) and end == 1) or (start == -1 and end in (None, MAX)))
        dims[at] = at_most_one(n) if one and isinstance(n, str) else None
    return result(t.dtype, dims)


def _lower_slice(e: Emitter, call: LoweredCall) -> Any:
    x, start, end, step = call["self"], call["start"], call["end"], call["step"]
    axis = axis_of(e, x, call["dim"])
    low, high = 0 if start is None else start, MAX if end is None else end
    if is_lowered(step):
        x = holds(e, x, e.op("Greater", step, e.scalar(0, INT64), dtype=BOOL, dims=()))
    return e.op("Slice", x, e.ints([low]), e.ints([high]), ints(axis), e.ints([step]))


def _slice_grad(ctx: Any, g: Any) -> Any:
    start, end = ctx["start"], ctx["end"]
    bounds = 0 if start is None else start, MAX if end is None else end
    return (ctx.op("aten::slice_backward", g, list(ctx["self"].shape), ctx["dim"], *bounds, ctx["step"]),)


declare(
    "aten::slice.Tensor(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)",
    slice_,
    types=_slice_types,
    onnx=_lower_slice,
    grad=_slice_grad,
    samples=of(
        (f4(5, 4), 0, 1, 3),
        (f4(5, 4), 1, None, -1, 2),
        (f4(5), 0, -3),
        (f4(5), 0, 4, 2),
        (f4(5), 0, -100, 100),
        (i8(3, 2), -1, 0, MAX),
    ),
)


def _slice_backward(g: Array, sizes: Any, dim: int, start: Any, end: Any, step: int) -> Array:
    out = np.zeros(sizes, g.dtype)
    slice_(out, dim, start, end, step)[...] = g
    return out


declare(
    "aten::slice_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt start, SymInt end, SymInt step) -> Tensor",
    _slice_backward,
    types=_into(""),
    onnx=_TRAINING,
    grad=lambda ctx, g: (ctx.op("aten::slice.Tensor", g, *(ctx[n] for n in ("dim", "start", "end", "step"))),),
)


def narrow(ops: Any, self: Any, dim: int, start: int, length: int) -> Any:
    low = _narrowed(self.shape[dim_of(dim, len(self.shape))], start, length)
    return ops("aten::slice.Tensor", self, dim, low, low + length, 1)


def _narrowed(size: int, start: int, length: int) -> int:
    """Where a part of a dimension starts. Raises what torch raises where there is no such part."""
    if length < 0:
        raise BridgeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    low = start + size if start < 0 else start
    if low + length > size:
        raise BridgeError(f"start ({low}) + length ({length}) exceeds dimension size ({size}).")
    return low


def _narrow_types(call: Call) -> Results:
    t, length = call.tensor("self"), call.known("length")
    if t.dims is None:
        return result(t.dtype, None)
    at = wrap(call.known("dim"), len(t.dims))
    return result(
        t.dtype,
        [
            (None if length is UNKNOWN else length) if i == at else d if at is not None else None
            for i, d in enumerate(t.dims)
        ],
    )


def _lower_narrow(e: Emitter, call: LoweredCall) -> Any:
    x, start, length = call["self"], call["start"], call["length"]
    axis, known = axis_of(e, x, call["dim"]), not is_lowered(start) and not is_lowered(length)
    if isinstance(length, int) and length < 0:
        e.unsupported("narrow(): length must be non-negative.")
    if known and length == 0 and x.rank is not None:  # nothing of what must be there
        x = at_least(e, x, [0 if i != axis else abs(start) for i in range(x.rank)])
    if known:
        end = start + length if start >= 0 or start + length < 0 else MAX
        part = e.op("Slice", x, ints(start), ints(end), ints(axis), ints(1))
    else:
        part = e.op("Slice", x, e.ints([start]), e.op("Add", e.ints([start]), e.ints([length])), ints(axis), ints(1))
    size = None if x.dims is None else x.dims[axis]
    if known and isinstance(size, int):
        _narrowed(size, start, length)
        return part
    if x.rank is None:
        return part
    part.dims = tuple(d if i != axis else None for i, d in enumerate(x.dims))
    part = at_least(e, part, [0 if i != axis else length for i in range(x.rank)])  # a slice stops at the end
    part.dims = tuple(d if i != axis or not isinstance(length, int) else length for i, d in enumerate(part.dims))
    return part


declare(
    "aten::narrow(Tensor(a) self, int dim, SymInt start, SymInt length) -> Tensor(a)",
    narrow,
    types=_narrow_types,
    onnx=_lower_narrow,
    composite=True,
    samples=of((f4(5, 4), 0, 1, 3), (f4(5, 4), 1, -2, 2), (f4(3), 0, 0, 0)),
)


def _narrow_from(ops: Any, self: Any, dim: int, start: Any, length: int) -> Any:
    if len(start.shape) or getattr(start, "_array", start).dtype.kind not in "iu":
        raise BridgeError("start must be an 0-dim integral Tensor.")
    return narrow(ops, self, dim, int(start), length)


def _lower_narrow_from(e: Emitter, call: LoweredCall) -> Any:
    start = call["start"]
    if known_rank(e, start, "narrow") or e.dtype_of(start).kind != "i":
        raise BridgeError("start must be an 0-dim integral Tensor.")
    return _lower_narrow(e, call)


declare(
    "aten::narrow.Tensor(Tensor(a) self, int dim, Tensor start, SymInt length) -> Tensor(a)",
    _narrow_from,
    types=_narrow_types,
    onnx=_lower_narrow_from,
    composite=True,
    samples=of((f4(5, 4), 0, np.asarray(1), 3), (f4(5, 4), 1, np.asarray(2), 2)),
)

# -- transposition -----------------------------------------------------------------------------------------------------


def transpose(self: Array, dim0: int, dim1: int) -> Array:
    a, b = dim_of(dim0, self.ndim), dim_of(dim1, self.ndim)
    return self.swapaxes(a, b) if self.ndim else self[...]


def _transpose_types(call: Call) -> Results:
    t = call.tensor("self")
    if t.dims is None or not t.dims:
        return result(t.dtype, t.dims)
    a, b = wrap(call.known("dim0"), len(t.dims)), wrap(call.known("dim1"), len(t.dims))
    if a is None or b is None:
        return result(t.dtype, (None,) * len(t.dims))
    dims = list(t.dims)
    dims[a], dims[b] = dims[b], dims[a]
    return result(t.dtype, dims)


def permuted(e: Emitter, x: Any, order: list[int]) -> Any:
    """Transpose, or the value itself when that would change nothing."""
    return e.op("Identity", x) if order == list(range(len(order))) else e.op("Transpose", x, perm=order)


def _lower_transpose(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    order = list(range(known_rank(e, x, "transpose")))
    if not order:
        return e.op("Identity", x)
    a, b = axis_of(e, x, call["dim0"]), axis_of(e, x, call["dim1"])
    order[a], order[b] = order[b], order[a]
    return permuted(e, x, order)


_PAIRS = of((f4(3, 4), 0, 1), (f4(2, 3, 4), -1, 0), (f4(), 0, -1), (i8(2, 3), 1, 1))
declare(
    "aten::transpose.int(Tensor(a) self, int dim0, int dim1) -> Tensor(a)",
    transpose,
    types=_transpose_types,
    onnx=_lower_transpose,
    grad=lambda ctx, g: (g.transpose(ctx["dim0"], ctx["dim1"]),),
    samples=_PAIRS,
)
for _name in ("swapaxes", "swapdims"):
    _a, _b = ("axis0", "axis1") if _name == "swapaxes" else ("dim0", "dim1")

    def _swap_types(call: Call) -> Results:
        names = [a.name for a in call.schema.arguments[1:]]
        return _transpose_types(
            Call(call.schema, call.types, {"dim0": call.known(names[0]), "dim1": call.known(names[1])})
        )

    def _lower_swap(e: Emitter, call: LoweredCall) -> Any:
        x, (a, b) = call["self"], [call[a.name] for a in call.schema.arguments[1:]]
        order = list(range(known_rank(e, x, "a transposition")))
        a, b = axis_of(e, x, a), axis_of(e, x, b)
        if order:
            order[a], order[b] = order[b], order[a]
        return permuted(e, x, order) if order else e.op("Identity", x)

    declare(
        f"aten::{_name}(Tensor(a) self, int {_a}, int {_b}) -> Tensor(a)",
        lambda ops, x, a, b: ops("aten::transpose.int", x, a, b),
        types=_swap_types,
        onnx=_lower_swap,
        composite=True,
        samples=_PAIRS,
    )


def _reversed_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(t.dtype, None if t.dims is None else t.dims[::-1])


def _lower_reversed(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    return permuted(e, x, list(range(known_rank(e, x, "T")))[::-1])


def _lower_t(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    rank = known_rank(e, x, "t()")
    if rank > 2:
        e.unsupported(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D")
    return permuted(e, x, list(range(rank))[::-1])


def _t(self: Array) -> Array:
    if self.ndim > 2:
        raise BridgeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return self.T if self.ndim > 1 else self[...]


declare(
    "aten::t(Tensor(a) self) -> Tensor(a)",
    _t,
    types=_reversed_types,
    onnx=_lower_t,
    grad=lambda ctx, g: (g.t(),),
    samples=of((f4(3, 4),), (f4(3),), (f4(),)),
)
declare(
    "aten::t_(Tensor(a!) self) -> Tensor(a!)",
    _t,
    types=_reversed_types,
    onnx=_lower_t,
    grad=lambda ctx, g: (g.t(),),
    grad_name="TBackward1",
)
declare(
    "aten::transpose_(Tensor(a!) self, int dim0, int dim1) -> Tensor(a!)",
    transpose,
    types=_transpose_types,
    onnx=_lower_transpose,
    grad=lambda ctx, g: (g.transpose(ctx["dim0"], ctx["dim1"]),),
    grad_name="TransposeBackward1",
)
declare(
    "aten::numpy_T(Tensor(a) self) -> Tensor(a)",
    lambda ops, x: ops("aten::permute", x, list(range(len(x.shape)))[::-1]),
    composite=True,
    types=_reversed_types,
    onnx=_lower_reversed,
    samples=of((f4(3, 4),), (f4(2, 3, 4),)),
)


def _mt_types(call: Call) -> Results:
    return _transpose_types(Call(call.schema, call.types, {"dim0": -2, "dim1": -1}))


def _lower_mt(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    order = list(range(known_rank(e, x, "mT")))
    order[-2:] = order[-2:][::-1]
    return permuted(e, x, order)


for _name in ("mT", "adjoint", "mH", "matrix_H"):
    declare(
        f"aten::{_name}(Tensor(a) self) -> Tensor(a)",
        lambda ops, x: ops("aten::transpose.int", x, -2, -1),
        composite=True,
        types=_mt_types,
        onnx=_lower_mt,
        samples=of((f4(3, 4),), *([] if _name == "matrix_H" else [(f4(2, 3, 4),)])),
    )


def _order(dims: Any, rank: int) -> list[int]:
    if len(dims) != rank:
        raise BridgeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {rank} is not equal to len(dims) = {len(dims)}"
        )
    return list(dims_of(list(dims), rank, empty_is_all=False)) if rank else []


def _permute_types(call: Call) -> Results:
    t, dims = call.tensor("self"), call.known("dims")
    if dims is UNKNOWN or t.dims is None or any(d is UNKNOWN for d in dims):
        return result(
            t.dtype,
            None if dims is UNKNOWN and t.dims is None else (None,) * len(t.dims if t.dims is not None else dims),
        )
    return result(t.dtype, [t.dims[d] for d in dims])


def _inverse(ctx: Any, g: Any) -> Any:
    rank = len(ctx["dims"])
    order = [d % rank for d in ctx["dims"]]
    return (g.permute([order.index(i) for i in range(rank)]),)


declare(
    "aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)",
    lambda self, dims: self.transpose(_order(dims, self.ndim)) if self.ndim else self[...],
    types=_permute_types,
    onnx=lambda e, call: (
        permuted(e, call["self"], [d % len(call["dims"]) for d in call["dims"]])
        if call["dims"]
        else e.op("Identity", call["self"])
    ),
    grad=_inverse,
    samples=of((f4(2, 3, 4), [2, 0, 1]), (f4(2, 3), [-1, 0]), (f4(), [])),
)


def _moved(rank: int, source: Any, destination: Any) -> list[int]:
    s, d = [dim_of(x, rank) for x in source], [dim_of(x, rank) for x in destination]
    for name, given, found in (("source", source, s), ("destination", destination, d)):
        if len(set(found)) != len(found):
            raise BridgeError(f"movedim: repeated dim in `{name}` ({list(given)})")
    order = [i for i in range(rank) if i not in s]
    for at, x in sorted(zip(d, s, strict=True)):
        order.insert(at, x)
    return order


def _movedim(ops: Any, self: Any, source: Any, destination: Any) -> Any:
    listed = [x if isinstance(x, list | tuple) else [x] for x in (source, destination)]
    return ops("aten::permute", self, _moved(len(self.shape), *listed))


def _movedim_types(call: Call) -> Results:
    t = call.tensor("self")
    s, d = ([x] if isinstance(x, int) else x for x in (call.known("source"), call.known("destination")))
    if t.dims is None or s is UNKNOWN or d is UNKNOWN:
        return result(t.dtype, None if t.dims is None else (None,) * len(t.dims))
    return result(t.dtype, [t.dims[i] for i in _moved(len(t.dims), s, d)])


def _lower_movedim(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    s, d = ([v] if isinstance(v, int) else v for v in (call["source"], call["destination"]))
    return permuted(e, x, _moved(known_rank(e, x, "movedim"), s, d))


for _name in ("movedim", "moveaxis"):
    _rule: dict[str, Any] = {"types": _movedim_types, "onnx": _lower_movedim, "composite": True}
    declare(
        f"aten::{_name}.intlist(Tensor(a) self, int[] source, int[] destination) -> Tensor(a)",
        _movedim,
        **_rule,
        samples=of((f4(2, 3, 4), [0, 1], [-1, 0])),
    )
    declare(
        f"aten::{_name}.int(Tensor(a) self, int source, int destination) -> Tensor(a)",
        _movedim,
        **_rule,
        samples=of((f4(2, 3, 4), 0, -1)),
    )

__all__ = [
    "INT",
    "ListType",
    "S",
    "TensorType",
    "b1",
    "f8",
    "like_self",
    "op",
    "permuted",
    "promote_all",
    "select",
    "shape_vector",
    "slice_",
    "slice_bounds",
    "transpose",
    "typed",
]
