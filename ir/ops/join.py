"""Putting tensors together and taking them apart: cat, stack, split, chunk, unbind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import agreeing, at_least, holds
from bridge.ir.ops._declare import Array, declare, dim_of
from bridge.ir.ops._onnx import INT64, axis_of, ints, is_lowered, shape_vector
from bridge.ir.ops._samples import S, f4, f8, i8, of
from bridge.ir.promotion import operand_of_value, result_dtype
from bridge.ir.readings import Input, NodeForm, reads
from bridge.ir.registry import find
from bridge.ir.rules import UNKNOWN, Call, Results, promote_all, result, wrap
from bridge.ir.types import TENSOR, Dim, ListType, TensorType, TupleType


def _legacy(t: Array) -> bool:
    return t.ndim == 1 and t.shape[0] == 0


def common_of(tensors: Sequence[Array]) -> DType:
    """The common element type of arrays."""
    found = result_dtype(operand_of_value(t) for t in tensors)
    assert found is not None
    return found


def cat(tensors: Sequence[Array], dim: int = 0) -> Any:
    """Along an existing dimension; 1-D tensors of no elements are skipped, as in torch."""
    if not tensors:
        raise BridgeError("expected a non-empty list of Tensors")
    if any(t.ndim == 0 for t in tensors):
        i = next(i for i, t in enumerate(tensors) if t.ndim == 0)
        raise BridgeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    dtype = common_of(tensors).numpy
    parts = [t for t in tensors if not _legacy(t)] or [tensors[0]]
    d = dim_of(dim, parts[0].ndim)
    first = parts[0]
    for i, t in enumerate(parts[1:], 1):
        if t.ndim != first.ndim:
            raise BridgeError(f"Tensors must have same number of dimensions: got {first.ndim} and {t.ndim}")
        for axis, (a, b) in enumerate(zip(first.shape, t.shape, strict=True)):
            if axis != d and a != b:
                raise BridgeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size {a} but got size {b} for tensor number {i} in the list."
                )
    return np.concatenate([p.astype(dtype, copy=False) for p in parts], axis=d)


def stack(tensors: Sequence[Array], dim: int = 0) -> Any:
    """Along a new dimension."""
    if not tensors:
        raise BridgeError("stack expects a non-empty TensorList")
    dtype = common_of(tensors).numpy
    first = tensors[0]
    for i, t in enumerate(tensors):
        if t.shape != first.shape:
            raise BridgeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at entry 0 and {list(t.shape)} at entry {i}"
            )
    return np.stack([t.astype(dtype, copy=False) for t in tensors], axis=dim_of(dim, first.ndim + 1))


def _list_types(call: Call) -> tuple[list[TensorType] | None, TensorType]:
    """Types of the elements of ``tensors`` where they are known one by one, and what is known of all of them."""
    listed = call.tensors("tensors")
    if listed is not None:
        merged = listed[0]
        for t in listed[1:]:
            merged = merged.merge(t)
        return listed, merged
    whole = call.types["tensors"]
    element = whole.element if isinstance(whole, ListType) else TENSOR
    return None, element if isinstance(element, TensorType) else TENSOR


def _cat_types(call: Call) -> Results:
    listed, merged = _list_types(call)
    dtype = promote_all(listed) if listed is not None else merged.dtype
    shapes = [t.dims for t in listed] if listed is not None else [merged.dims]
    known = [s for s in shapes if s is not None and s != (0,)] or [s for s in shapes if s is not None]
    if not known:
        return result(dtype, None)
    rank = max(map(len, known))
    known = [s for s in known if len(s) == rank]  # a 1-D tensor among others has no elements
    at = wrap(call.known("dim"), rank)
    dims: list[Dim] = []
    for i in range(rank):
        here = [s[i] for s in known if len(s) == rank]
        if i == at:
            total = sum(d for d in here if isinstance(d, int))
            exact = listed is not None and None not in shapes and all(isinstance(d, int) for d in here)
            dims.append(total if exact else None)
        elif at is None:
            dims.append(None)
        else:
            dims.append(next((d for d in here if isinstance(d, int)), here[0]))
    return result(dtype, dims)


def _stack_types(call: Call) -> Results:
    listed, merged = _list_types(call)
    dtype = promote_all(listed) if listed is not None else merged.dtype
    shapes = [t.dims for t in listed] if listed is not None else [merged.dims]
    known = [s for s in shapes if s is not None]
    dim = call.known("dim")
    if not known or dim is UNKNOWN:
        return result(dtype, None)
    rank = len(known[0])
    inner = [next((s[i] for s in known if isinstance(s[i], int)), known[0][i]) for i in range(rank)]
    at = dim % (rank + 1)
    return result(dtype, (*inner[:at], len(listed) if listed is not None else None, *inner[at:]))


def _sequence(e: Emitter, value: Any) -> bool:
    return is_lowered(value)


def _lower_cat(e: Emitter, call: LoweredCall) -> Any:
    tensors, dim = call["tensors"], call["dim"]
    if _sequence(e, tensors):
        return e.op("ConcatFromSequence", tensors, axis=dim, new_axis=0, dtype=_out(e, call))
    dtype = _dtype_of_list(e, call, tensors)
    # 1-D tensors of no elements join tensors of any rank in torch
    ranks = [t.rank for t in tensors]
    rank = max((r for r in ranks if r is not None), default=None)
    parts = [t for t in tensors if t.dims != (0,) and (rank is None or t.rank in (None, rank))] or tensors[:1]
    first = next((t for t in parts if t.rank is not None), parts[0])
    axis = axis_of(e, first, dim)
    parts = agreeing(e, [e.cast(t, dtype) for t in parts], axis)
    for t in tensors:
        if rank is not None and t.rank not in (None, rank) and t.dims != (0,):
            parts[0] = _beside_none(e, parts[0], t)
    return e.op("Concat", *parts, axis=axis) if len(parts) > 1 else e.op("Identity", parts[0])


def _beside_none(e: Emitter, x: Any, other: Any) -> Any:
    """x, beside which stands a tensor of fewer dimensions, which may have no elements only."""
    if other.rank != 1 or (other.dims != (None,) and not isinstance(other.dims[0], str)):
        e.unsupported(f"Tensors must have same number of dimensions: got {x.rank} and {other.rank}")
    none = e.op("Equal", e.op("Size", other, dtype=INT64, dims=()), e.scalar(0, INT64), dtype=by_name("bool"), dims=())
    return holds(e, x, none)


def _out(e: Emitter, call: LoweredCall) -> DType:
    t = call.results[0]
    if not isinstance(t, TensorType) or t.dtype is None:
        e.unsupported("the element type must be known when the model is exported")
    return t.dtype


def _dtype_of_list(e: Emitter, call: LoweredCall, tensors: Sequence[Any]) -> DType:
    dtypes = {e.dtype_of(t) for t in tensors}
    return dtypes.pop() if len(dtypes) == 1 else _out(e, call)


def _lower_stack(e: Emitter, call: LoweredCall) -> Any:
    tensors, dim = call["tensors"], call["dim"]
    if _sequence(e, tensors):
        return e.op("ConcatFromSequence", tensors, axis=dim, new_axis=1, dtype=_out(e, call))
    dtype = _dtype_of_list(e, call, tensors)
    first = next((t for t in tensors if t.rank is not None), tensors[0])
    axis = axis_of(e, first, dim, extra=1)
    parts = [e.op("Unsqueeze", t, ints(axis)) for t in agreeing(e, [e.cast(t, dtype) for t in tensors], None)]
    return e.op("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]


def _cat_grad(ctx: Any, g: Any) -> Any:
    dim, at, grads = ctx["dim"], 0, []
    for t in ctx["tensors"]:
        shape = list(t.shape)
        if shape == [0]:
            grads.append(ctx.op("aten::zeros_like", t))
            continue
        n = shape[dim]
        grads.append(g.narrow(dim, at, n))
        at += n
    return (grads,)


def _stack_grad(ctx: Any, g: Any) -> Any:
    return (list(ctx.op("aten::unbind.int", g, ctx["dim"])),)


_CAT = of(
    ([f4(2, 3), f4(1, 3)],),
    ([f4(2, 3), f4(2, 2)], 1),
    ([f4(2, 3), f4(2, 2)], -1),
    ([f4(2), i8(3)],),
    ([f4(2, 3)],),
    ([f4(0), f4(2, 3)], 0),
    ([f4(0, 3), f4(2, 3)],),
)
for _name, _arg in (("cat", "dim"), ("concat", "dim"), ("concatenate", "dim")):
    if _name == "cat":
        declare(
            "aten::cat(Tensor[] tensors, int dim=0) -> Tensor",
            cat,
            types=_cat_types,
            onnx=_lower_cat,
            grad=_cat_grad,
            samples=_CAT,
        )
    else:
        declare(
            f"aten::{_name}(Tensor[] tensors, int dim=0) -> Tensor",
            lambda ops, t, d: ops("aten::cat", t, d),
            composite=True,
            types=_cat_types,
            onnx=_lower_cat,
            samples=_CAT,
        )
declare(
    "aten::stack(Tensor[] tensors, int dim=0) -> Tensor",
    stack,
    types=_stack_types,
    onnx=_lower_stack,
    grad=_stack_grad,
    samples=of(
        ([f4(2, 3), f4(2, 3, seed=1)],),
        ([f4(2), f4(2)], 1),
        ([f4(2), i8(2)], -1),
        ([f4(), f4(seed=1)],),
        ([f4(2, 2)], 0),
    ),
)


def _stacker(rank: int, dim: int) -> Any:
    def f(ops: Any, tensors: Any) -> Any:
        return ops("aten::cat", [ops(f"aten::atleast_{rank}d", t) for t in tensors], dim)

    return f


def _hstack(ops: Any, tensors: Any) -> Any:
    parts = [ops("aten::atleast_1d", t) for t in tensors]
    return ops("aten::cat", parts, 0 if len(parts[0].shape) == 1 else 1)


def _stacked_as(call: Any) -> tuple[int, Any]:
    """(least number of dimensions, axis by number of dimensions) of hstack, vstack and dstack."""
    return {
        "hstack": (1, lambda rank: 0 if rank == 1 else 1),
        "vstack": (2, lambda rank: 0),
        "dstack": (3, lambda rank: 2),
    }[call.schema.name[6:]]


def _stacked_types(call: Call) -> Results:
    listed, merged = _list_types(call)
    least, axis = _stacked_as(call)
    parts = [TensorType(t.dtype, None if t.dims is None else _atleast_dims(t.dims, least)) for t in listed or [merged]]
    if any(t.dims is None for t in parts):
        return result(promote_all(parts), None)
    dim = axis(max(t.rank or 0 for t in parts))
    types = {"tensors": TupleType(*parts) if listed is not None else ListType(parts[0])}
    return _cat_types(Call(call.schema, types, {"dim": dim}))


def _lower_stacked(e: Emitter, call: LoweredCall) -> Any:
    least, axis = _stacked_as(call)
    tensors = call["tensors"]
    if _sequence(e, tensors) or any(t.rank is None for t in tensors):
        e.unsupported("the number of dimensions of what is stacked must be known")
    dtype = _dtype_of_list(e, call, tensors)
    dim = axis(max(max(t.rank, least) for t in tensors))
    parts = agreeing(e, [_atleast_node(e, e.cast(t, dtype), least) for t in tensors], dim)
    return e.op("Concat", *parts, axis=dim) if len(parts) > 1 else parts[0]


_STACKERS = of(([f4(2), f4(2, seed=1)],), ([f4(2, 3), f4(2, 3)],), ([f4(), f4()],))
declare(
    "aten::hstack(Tensor[] tensors) -> Tensor",
    _hstack,
    composite=True,
    types=_stacked_types,
    onnx=_lower_stacked,
    samples=_STACKERS,
)
declare(
    "aten::vstack(Tensor[] tensors) -> Tensor",
    _stacker(2, 0),
    composite=True,
    types=_stacked_types,
    onnx=_lower_stacked,
    samples=_STACKERS,
)
declare(
    "aten::dstack(Tensor[] tensors) -> Tensor",
    _stacker(3, 2),
    composite=True,
    types=_stacked_types,
    onnx=_lower_stacked,
    samples=_STACKERS,
)


def _atleast(rank: int) -> Any:
    def f(ops: Any, x: Any) -> Any:
        shape = list(x.shape)
        if len(shape) >= rank:
            return x
        if not shape:
            return ops("aten::reshape", x, [1] * rank)
        if rank == 3:
            return ops("aten::unsqueeze", ops("aten::unsqueeze", x, 0) if len(shape) == 1 else x, -1)
        return ops("aten::unsqueeze", x, 0)

    return f


def _atleast_dims(dims: tuple[Dim, ...], rank: int) -> tuple[Dim, ...]:
    if len(dims) >= rank:
        return dims
    if not dims:
        return (1,) * rank
    return (*((1,) if len(dims) == 1 else ()), *dims, *((1,) if rank == 3 else ()))


def _atleast_node(e: Emitter, x: Any, rank: int) -> Any:
    if x.rank is None:
        e.unsupported("atleast needs a tensor whose number of dimensions is known")
    if x.rank >= rank:
        return e.op("Identity", x)
    axes = list(range(rank)) if x.rank == 0 else ([0] if x.rank == 1 else []) + ([2] if rank == 3 else [])
    return e.op("Unsqueeze", x, ints(*axes))


def _lower_atleast(rank: int) -> Any:
    return lambda e, call: _atleast_node(e, call["self"], rank)


for _rank in (1, 2, 3):
    declare(
        f"aten::atleast_{_rank}d(Tensor self) -> Tensor",
        _atleast(_rank),
        composite=True,
        onnx=_lower_atleast(_rank),
        types=lambda call, r=_rank: result(
            call.tensor("self").dtype,
            None if call.tensor("self").dims is None else _atleast_dims(call.tensor("self").dims, r),
        ),
        samples=of((f4(),), (f4(2),), (f4(2, 3),)),
    )

# -- apart -------------------------------------------------------------------------------------------------------------


def _pieces(self: Array, sizes: Sequence[int], dim: int) -> list[Array]:
    at, out = 0, []
    for n in sizes:
        out.append(self[(slice(None),) * dim + (slice(at, at + n), ...)])
        at += n
    return out


def _even(n: int, size: int) -> list[int]:
    if size == 0 and n == 0:
        return [0]
    if size <= 0:
        raise BridgeError(f"split expects split_size be non-negative, but got split_size={size}")
    return [min(size, n - i) for i in range(0, n, size)] or [0]


def split(self: Array, split_size: int, dim: int = 0) -> list[Array]:
    if not self.ndim:
        raise BridgeError("split expects at least a 1-dimensional tensor")
    d = dim_of(dim, self.ndim)
    return _pieces(self, _even(self.shape[d], split_size), d)


def split_sizes(self: Array, sizes: Sequence[int], dim: int = 0) -> list[Array]:
    d = dim_of(dim, self.ndim)
    if sum(sizes) != self.shape[d]:
        raise BridgeError(
            f"split_with_sizes expects split_sizes to sum exactly to {self.shape[d]} (input tensor's size at dimension {d}), but got split_sizes={list(sizes)}"
        )
    return _pieces(self, list(sizes), d)


def chunk_sizes(n: int, chunks: int) -> list[int]:
    """Sizes of the chunks: all the same but the last, and maybe fewer than asked for."""
    if chunks <= 0:
        raise BridgeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = -(-n // chunks)
    return [0] * chunks if n == 0 else _even(n, size)


def chunk(self: Array, chunks: int, dim: int = 0) -> list[Array]:
    if not self.ndim:
        raise BridgeError("chunk expects at least a 1-dimensional tensor")
    d = dim_of(dim, self.ndim)
    return _pieces(self, chunk_sizes(self.shape[d], chunks), d)


def tensor_split_sizes(n: int, sections: int) -> list[int]:
    """Sizes that differ by at most one."""
    return [n // sections + (i < n % sections) for i in range(sections)]


def unbind(self: Array, dim: int = 0) -> list[Array]:
    if not self.ndim:
        raise BridgeError("Dimension specified as 0 but tensor has no dimensions")
    d = dim_of(dim, self.ndim)
    return [self[(slice(None),) * d + (i, ...)] for i in range(self.shape[d])]


def _pieces_grad(sizes: Any) -> Any:
    def grad(ctx: Any, *gs: Any) -> Any:
        dim, shape = ctx["dim"], list(ctx["self"].shape)
        parts = []
        for g, n in zip(gs, sizes(ctx), strict=True):
            if g is None:
                own = list(shape)
                own[dim] = n
                g = ctx.op("aten::new_zeros", ctx["self"], own)
            parts.append(g)
        return (ctx.op("aten::cat", parts, dim),)

    return grad


def _unbind_grad(ctx: Any, *gs: Any) -> Any:
    own = list(ctx["self"].shape)
    del own[ctx["dim"]]
    return (
        ctx.op(
            "aten::stack", [ctx.op("aten::new_zeros", ctx["self"], own) if g is None else g for g in gs], ctx["dim"]
        ),
    )


def known_sizes(call: Call, sizes: Any) -> Results:
    """The types of the pieces: a tuple where their number is known, else a list."""
    t = call.tensor("self")
    dim = call.known("dim") if "dim" in call.schema.index else 0
    at = wrap(dim, t.rank)
    lost = 1 if sizes is _sizes_unbind else 0
    if t.dims is None or at is None:
        return ListType(TensorType(t.dtype, None if t.dims is None else (None,) * (len(t.dims) - lost)))
    found = sizes(call, t.dims[at])
    if found is None:
        return ListType(TensorType(t.dtype, (*t.dims[:at], *([] if lost else [None]), *t.dims[at + 1 :])))
    return TupleType(
        *[TensorType(t.dtype, (*t.dims[:at], *([n] if n != "drop" else []), *t.dims[at + 1 :])) for n in found]
    )


def _types(sizes: Any) -> Any:
    return lambda call: known_sizes(call, sizes)


def _known(call: Call, name: str) -> Any:
    v = call.known(name)
    return None if v is UNKNOWN or (isinstance(v, list | tuple) and any(x is UNKNOWN for x in v)) else v


def _sizes_even(call: Call, n: Dim) -> Any:
    size = _known(call, "split_size")
    return _even(n, size) if isinstance(n, int) and size is not None else None


def _sizes_chunk(call: Call, n: Dim) -> Any:
    chunks = _known(call, "chunks")
    return chunk_sizes(n, chunks) if isinstance(n, int) and chunks is not None else None


def _sizes_unbind(call: Call, n: Dim) -> Any:
    return ["drop"] * n if isinstance(n, int) else None


def split_node(e: Emitter, x: Any, sizes: Sequence[int], axis: int) -> Any:
    """Split, as a list of values."""
    if len(sizes) == 1:
        return [e.op("Identity", x)]
    return list(e.op("Split", x, ints(*sizes), outputs=len(sizes), dtype=[x.dtype] * len(sizes), axis=axis))


def _split_at_run_time(e: Emitter, x: Any, sizes: Sequence[Any], axis: int) -> Any:
    """Split into a known number of pieces, of sizes that only run time knows."""
    made = e.op("Split", x, shape_vector(e, sizes), outputs=len(sizes), dtype=[x.dtype] * len(sizes), axis=axis)
    return list(made) if len(sizes) > 1 else [made]


def _lower_pieces(sizes: Any, length: Any = None) -> Any:
    """``length`` gives the size of the pieces where their number is only known at run time: they become a sequence."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        axis = axis_of(e, x, call["dim"] if "dim" in call.schema.index else 0)
        n = x.dims[axis] if x.dims is not None else None
        found = sizes(e, call, n)
        if isinstance(found, list | tuple) and any(is_lowered(s) for s in found):
            return _split_at_run_time(e, x, found, axis)
        if found is None and length is not None:
            dims = None if x.dims is None else (*x.dims[:axis], None, *x.dims[axis + 1 :])
            if x.dims is not None:  # of no elements torch makes pieces too, onnxruntime none
                x = at_least(e, x, [int(i == axis) for i in range(x.rank)])
            return e.op("SplitToSequence", x, length(e, call, axis), dims=dims, axis=axis, keepdims=1)
        if found is None:
            e.unsupported("the number of pieces must be known: the size of the dimension that is split varies")
        return split_node(e, x, found, axis)

    return lower


def _chunk_length(e: Emitter, call: LoweredCall, axis: int) -> Any:
    """The size of a dimension by the number of chunks, rounded up."""
    n = e.op("Gather", e.shape_of(call["self"]), np.asarray(axis, np.int64), dims=(), axis=0)
    chunks = e.scalar(call["chunks"], INT64)
    more = e.op("Sub", e.op("Add", n, chunks, dims=()), e.scalar(1, INT64), dims=())
    return e.op("Max", e.op("Div", more, chunks, dims=()), e.scalar(1, INT64), dims=())


def _lower_unbind(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    axis = axis_of(e, x, call["dim"])
    n = x.dims[axis] if x.dims is not None else None
    if not isinstance(n, int):
        dims = None if x.dims is None else (*x.dims[:axis], *x.dims[axis + 1 :])
        return e.op("SplitToSequence", x, dims=dims, axis=axis, keepdims=0)
    return [e.op("Gather", x, np.asarray(i, np.int64), axis=axis) for i in range(n)]


_SPLIT = of((f4(5, 2), 2), (f4(4, 2), 2, 0), (f4(2, 5), 3, -1), (f4(3), 5))
_A = "Tensor(a -> *) self"
declare(
    f"aten::split.Tensor({_A}, SymInt split_size, int dim=0) -> Tensor(a)[]",
    split,
    types=_types(_sizes_even),
    onnx=_lower_pieces(
        lambda e, call, n: (
            _even(n, call["split_size"]) if isinstance(n, int) and isinstance(call["split_size"], int) else None
        ),
        lambda e, call, axis: e.scalar(call["split_size"], INT64),
    ),
    grad=_pieces_grad(lambda ctx: _even(ctx["self"].shape[ctx["dim"]], ctx["split_size"])),
    samples=_SPLIT,
)
_WITH_SIZES: dict[str, Any] = {"samples": of((f4(5, 2), [2, 3]), (f4(2, 5), [1, 0, 4], 1))}
for _full, _arg, _g in (
    ("split.sizes", "SymInt[] split_size", "SplitWithSizesBackward0"),
    ("split_with_sizes", "SymInt[] split_sizes", "SplitWithSizesBackward0"),
    ("split", "int[] split_sizes", "SplitWithSizesBackward0"),
):
    _n = _arg.split()[1]
    declare(
        f"aten::{_full}({_A}, {_arg}, int dim=0) -> Tensor(a)[]",
        split_sizes,
        types=_types(lambda call, n, k=_n: _known(call, k)),
        onnx=_lower_pieces(lambda e, call, n, k=_n: call[k] if isinstance(call[k], list | tuple) else None),
        grad=_pieces_grad(lambda ctx, k=_n: ctx[k]),
        grad_name=_g,
        **_WITH_SIZES,
    )
declare(
    f"aten::chunk({_A}, int chunks, int dim=0) -> Tensor(a)[]",
    chunk,
    types=_types(_sizes_chunk),
    onnx=_lower_pieces(
        lambda e, call, n: (
            chunk_sizes(n, call["chunks"]) if isinstance(n, int) and isinstance(call["chunks"], int) else None
        ),
        _chunk_length,
    ),
    grad=_pieces_grad(lambda ctx: chunk_sizes(ctx["self"].shape[ctx["dim"]], ctx["chunks"])),
    grad_name="SplitBackward0",
    samples=of((f4(6, 2), 3), (f4(5), 2), (f4(2, 4), 2, 1), (f4(5), 4)),
)
# Pieces that promise to be written to one at a time: declared as no views, although they are.
for _full, _arg, _like, _g in (
    ("unsafe_split.Tensor", "SymInt split_size", "split.Tensor", "UnsafeSplitBackward0"),
    ("unsafe_split_with_sizes", "SymInt[] split_sizes", "split_with_sizes", "UnsafeSplitWithSizesBackward0"),
    ("unsafe_chunk", "int chunks", "chunk", "UnsafeSplitBackward0"),
):
    _same = find(f"aten::{_like}")
    assert _same is not None
    declare(
        f"aten::{_full}(Tensor self, {_arg}, int dim=0) -> Tensor[]",
        _same.kernel,
        types=_same.types,
        onnx=_same.onnx,
        grad=_same.grad,
        grad_name=_g,
        samples=_same.samples,
    )
declare(
    f"aten::tensor_split.sections({_A}, SymInt sections, int dim=0) -> Tensor(a)[]",
    lambda x, sections, dim: _pieces(x, tensor_split_sizes(x.shape[dim], sections), dim_of(dim, x.ndim)),
    types=_types(
        lambda call, n: (
            tensor_split_sizes(n, call.known("sections"))
            if isinstance(n, int) and call.known("sections") is not UNKNOWN
            else None
        )
    ),
    onnx=_lower_pieces(lambda e, call, n: tensor_split_sizes(n, call["sections"]) if isinstance(n, int) else None),
    grad=_pieces_grad(lambda ctx: tensor_split_sizes(ctx["self"].shape[ctx["dim"]], ctx["sections"])),
    grad_name="SliceBackward0",
    samples=of((f4(5), 3), (f4(2, 4), 2, 1)),
)
declare(
    f"aten::unbind.int({_A}, int dim=0) -> Tensor(a)[]",
    unbind,
    types=_types(_sizes_unbind),
    onnx=_lower_unbind,
    grad=_unbind_grad,
    samples=of((f4(2, 3),), (f4(2, 3), 1), (f4(3), -1)),
)

__all__ = ["S", "by_numpy", "cat", "f8", "known_sizes", "split_node", "stack"]

reads(
    "Concat",
    "aten::cat",
    lambda given: [[Input(i) for i in range(len(given))], given.attributes.get("axis", 0)],
    since=4,
    form=lambda a, opset: NodeForm("Concat", a["tensors"], {"axis": a["dim"]}),
)
