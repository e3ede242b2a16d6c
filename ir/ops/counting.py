"""Repeats, one-hot vectors, unique values, counts and buckets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import from_front, holds, none_true
from bridge.ir.ops._declare import Array, declare, dim_of
from bridge.ir.ops._onnx import (
    BOOL,
    INT64,
    axis_of,
    compute_dtype,
    ints,
    is_lowered,
    known_rank,
    typed,
)
from bridge.ir.ops._runs import lower_bincount
from bridge.ir.ops._samples import S, f4, i8, of
from bridge.ir.ops._samples import ints as idx
from bridge.ir.ops.reduction import widened
from bridge.ir.rules import UNKNOWN, Call, Results, result

# -- repeats, one-hot, unique ------------------------------------------------------------------------------------------


def _interleave(ops: Any, self: Any, repeats: Any, dim: int | None = None, output_size: Any = None) -> Any:
    x, d = (ops("aten::reshape", self, [-1]), 0) if dim is None else (self, dim_of(dim, len(self.shape)))
    array = repeats if isinstance(repeats, np.ndarray | int) else getattr(repeats, "_array", repeats)
    counts = (
        np.broadcast_to(np.asarray(array, np.int64).reshape(-1), (x.shape[d],))
        if np.size(array) == 1
        else np.asarray(array, np.int64)
    )
    if counts.shape[0] != x.shape[d]:
        raise BridgeError("repeats must have the same size as input along dim")
    at = _repeated(x.shape[d], counts)
    return ops("aten::index_select", x, d, at if isinstance(self, np.ndarray) else _like_tensor(self, at))


def _repeated(size: int, counts: Array) -> Array:
    if counts.size and counts.min() < 0:
        raise BridgeError("repeats can not be negative")
    return np.repeat(np.arange(size), counts)


def _like_tensor(t: Any, array: Array) -> Any:
    return type(t)._wrap(array) if hasattr(type(t), "_wrap") else array


def _interleave_types(call: Call) -> Results:
    t, dim, repeats = (
        call.tensor("self"),
        call.known("dim"),
        call.known("repeats") if "repeats" in call.schema.index else UNKNOWN,
    )
    if t.dims is None or dim is UNKNOWN:
        return result(t.dtype, None)
    if dim is None:
        total = math.prod(d for d in t.dims if isinstance(d, int)) if all(isinstance(d, int) for d in t.dims) else None
        return result(t.dtype, (total * repeats if total is not None and isinstance(repeats, int) else None,))
    at = dim % len(t.dims)
    return result(
        t.dtype,
        [
            (d * repeats if isinstance(d, int) and isinstance(repeats, int) else None) if i == at else d
            for i, d in enumerate(t.dims)
        ],
    )


def _lower_interleave_int(e: Emitter, call: LoweredCall) -> Any:
    x, repeats, dim = call["self"], call["repeats"], call["dim"]
    if dim is None:
        x, axis = e.op("Reshape", x, ints(-1), dims=(None,)), 0
    else:
        axis = axis_of(e, x, dim)
    rank = known_rank(e, x, "repeat_interleave")
    wide = e.op("Unsqueeze", x, ints(axis + 1))
    times = [repeats if i == axis + 1 else 1 for i in range(rank + 1)]
    compute = compute_dtype("Tile", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Tile for {x.dtype.name}")
    tiled = e.cast(e.op("Tile", e.cast(wide, compute), e.ints(times)), x.dtype)
    shape = e.op("Shape", x, dtype=INT64, dims=(rank,))
    grown = e.op("Mul", shape, e.ints([repeats if i == axis else 1 for i in range(rank)]))
    return e.op("Reshape", tiled, grown, allowzero=1 if e.opset >= 14 else None)


def _lower_interleave_tensor(e: Emitter, call: LoweredCall) -> Any:
    """Element i goes where the running count of repeats passes i: count how many totals each position has passed."""
    repeats = e.cast(call["repeats"], INT64)
    x = call["self"] if "self" in call.schema.index else None
    axis = 0
    if x is not None:
        if call["dim"] is None:
            x = e.op("Reshape", x, ints(-1))
        else:
            axis = axis_of(e, x, call["dim"])
        size = e.op("Gather", e.shape_of(x), ints(axis), dims=(1,))
        if repeats.rank == 0 or repeats.dims == (1,):  # one count for all
            repeats = e.op("Expand", e.op("Reshape", repeats, ints(-1)), size, dims=(None,))
        else:  # one, or one for each: only run time knows
            there = e.shape_of(repeats)
            one = e.op("Equal", there, ints(1), dtype=BOOL)
            fits = e.op("Or", e.op("Equal", there, size, dtype=BOOL), one, dtype=BOOL)
            x = holds(e, x, e.op("Squeeze", fits, dims=()))
            repeats = e.op("Expand", repeats, e.op("Where", one, size, there, dtype=INT64), dims=(None,))
    totals = e.op("CumSum", repeats, e.constant(np.asarray(0, np.int64)))
    n = e.op("ReduceSum", repeats, keepdims=0, dims=())
    places = e.op("Range", e.scalar(0, INT64), n, e.scalar(1, INT64), dtype=INT64)
    passed = e.cast(e.op("GreaterOrEqual", e.op("Unsqueeze", places, ints(1)), totals, dtype=BOOL), INT64)
    at = e.op("ReduceSum", passed, ints(1), keepdims=0)
    at = holds(e, at, none_true(e, e.op("Less", repeats, e.scalar(0, INT64), dtype=BOOL)))  # torch raises for these
    return at if x is None else e.op("Gather", x, at, axis=axis)


declare(
    "aten::repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor",
    lambda r, n: _repeated(r.size, r).astype(r.dtype),
    types=lambda call: result(call.tensor("repeats").dtype, (None,)),
    onnx=lambda e, call: e.cast(_lower_interleave_tensor(e, call), call["repeats"].dtype),
    samples=of((idx(2, 0, 3),)),
)
declare(
    "aten::repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
    _interleave,
    composite=True,
    types=_interleave_types,
    onnx=_lower_interleave_tensor,
    samples=of((f4(3, 2), idx(1, 0, 2), 0), (f4(3), idx(2, 1, 1)), (f4(3, 2), idx(2), 0), (f4(1, 3), idx(2), 0)),
)


def _interleave_int(ops: Any, self: Any, repeats: int, dim: int | None = None, output_size: Any = None) -> Any:
    x, d = (ops("aten::reshape", self, [-1]), 0) if dim is None else (self, dim_of(dim, len(self.shape)))
    shape = list(x.shape)
    wide = ops("aten::expand", ops("aten::unsqueeze", x, d + 1), [*shape[: d + 1], repeats, *shape[d + 1 :]])
    return ops("aten::view", ops("aten::clone", wide, 0), [*shape[:d], shape[d] * repeats, *shape[d + 1 :]])


declare(
    "aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor",
    _interleave_int,
    composite=True,
    types=_interleave_types,
    onnx=_lower_interleave_int,
    samples=of((f4(3, 2), 2, 0), (f4(3, 2), 2), (f4(2, 3), 3, 1)),
)


def _one_hot(self: Array, num_classes: int = -1) -> Any:
    if self.size and self.min() < 0:
        raise BridgeError("Class values must be non-negative.")
    n = int(self.max()) + 1 if num_classes == -1 else num_classes
    if self.size and self.max() >= n:
        raise BridgeError("Class values must be smaller than num_classes.")
    return (self[..., None] == np.arange(n)).astype(np.int64)


def _one_hot_types(call: Call) -> Results:
    t, n = call.tensor("self"), call.known("num_classes")
    return result(by_name("int64"), None if t.dims is None else (*t.dims, n if isinstance(n, int) and n >= 0 else None))


def _lower_one_hot(e: Emitter, call: LoweredCall) -> Any:
    x, n = e.cast(call["self"], INT64), call["num_classes"]
    if not is_lowered(n) and n == -1:
        n = e.op("Add", e.op("ReduceMax", x, keepdims=0, dims=()), e.scalar(1, INT64))
    # a class that there is not would be a row of zeros: look each class up in the list of classes
    classes = e.op("Range", e.scalar(0, INT64), e.scalar(n, INT64), e.scalar(1, INT64), dims=(None,))
    x = e.op("Gather", classes, from_front(e, x), axis=0, dims=x.dims)
    off_on = np.asarray([0, 1], np.int64)
    if x.rank != 0:
        return e.op("OneHot", x, e.ints([n]), off_on, dtype=INT64, axis=-1)
    row = e.op("Unsqueeze", x, np.asarray([0], np.int64), dims=(1,))  # onnxruntime takes no 0-d indices
    rows = e.op("OneHot", row, e.ints([n]), off_on, dtype=INT64, dims=(1, None), axis=-1)
    return e.op("Squeeze", rows, np.asarray([0], np.int64), dims=(n if isinstance(n, int) else None,))


declare(
    "aten::one_hot(Tensor self, SymInt num_classes=-1) -> Tensor",
    _one_hot,
    types=_one_hot_types,
    onnx=_lower_one_hot,
    samples=of((i8(2, 3, low=0, high=4), 4), (idx(0, 2, 1),)),
)


def _unique2(self: Array, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:
    values, inverse, counts = np.unique(widened(self), return_inverse=True, return_counts=True)
    none, values = np.zeros(0, np.int64), values.astype(self.dtype)
    return values, inverse.reshape(self.shape) if return_inverse else none, counts if return_counts else none


def without_nan(e: Emitter, x: Any) -> Any:
    """x, in which each element equals itself: onnxruntime's Unique takes one that is not a number for any other."""
    if x.dtype.kind != "f" or x.rank == 0:
        return x
    return holds(e, x, none_true(e, typed(e, "IsNaN", x.dtype, x, result=BOOL)))


def _lower_unique2(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    compute = compute_dtype("Unique", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Unique for {x.dtype.name}")
    x = without_nan(e, x)
    y, _, inverse, counts = e.op("Unique", e.cast(x, compute), outputs=4, dtype=[compute, INT64, INT64, INT64])
    none = e.constant(np.zeros(0, np.int64))
    inverse = e.op("Reshape", inverse, e.shape_of(x)) if call["return_inverse"] else none
    return e.cast(y, x.dtype), inverse, counts if call["return_counts"] else none


def _unique_types(call: Call) -> Results:
    t, inverse = call.tensor("self"), call.known("return_inverse")
    i64 = by_name("int64")
    dims = None if inverse is UNKNOWN else t.dims if inverse else (0,)
    counts = call.known("return_counts")
    return [
        result(t.dtype, (None,)),
        result(i64, dims),
        result(i64, None if counts is UNKNOWN else (None,) if counts else (0,)),
    ]


declare(
    "aten::_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)",
    _unique2,
    types=_unique_types,
    onnx=_lower_unique2,
    samples=of((i8(8, low=0, high=4),), (i8(2, 4, low=0, high=4), True, True, True)),
)


def _bincount(x: Array, weights: Any, least: int) -> Array:
    if x.ndim != 1 or x.dtype.kind not in "biu" or (x.size and x.min() < 0):
        raise BridgeError("bincount only supports 1-d non-negative integral inputs.")
    kind = np.int64 if weights is None else weights.dtype if weights.dtype.kind == "f" else np.float64
    return np.bincount(x, weights, least).astype(kind)


declare(
    "aten::bincount(Tensor self, Tensor? weights=None, SymInt minlength=0) -> Tensor",
    _bincount,
    types=lambda call: result(by_name("int64") if str(call.types["weights"]) == "NoneType" else None, (None,)),
    onnx=lower_bincount,
    samples=of((i8(6, low=0, high=4),), S(i8(3, low=0, high=3), minlength=5), (i8(6, low=0, high=4), f4(6))),
)


def _bucketize(self: Any, boundaries: Array, out_int32: bool = False, right: bool = False) -> Any:
    found = np.searchsorted(boundaries, self, side="right" if right else "left")
    return np.asarray(found, np.int32 if out_int32 else np.int64)


def _lower_bucketize(e: Emitter, call: LoweredCall) -> Any:
    x, edges = call["self"], call["boundaries"]
    if edges.rank not in (None, 1):
        e.unsupported(f"boundaries tensor must be 1 dimension, but got dim({edges.rank})")
    from bridge.ir.ops._onnx import common

    dtype = common(e, call, "self", "boundaries")
    wide = e.op("Unsqueeze", e.cast(x, dtype), ints(-1))
    # what is not a number is behind all edges
    before = typed(e, "Less" if call["right"] else "LessOrEqual", dtype, wide, edges, result=BOOL)
    passed = e.op("Not", before, dtype=BOOL)
    count = e.op("ReduceSum", e.cast(passed, INT64), ints(-1), keepdims=0)
    return e.cast(count, by_name("int32")) if call["out_int32"] else count


declare(
    "aten::bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    _bucketize,
    onnx=_lower_bucketize,
    types=lambda call: result(
        by_name("int32" if call.known("out_int32") else "int64") if call.known("out_int32") is not UNKNOWN else None,
        call.tensor("self").dims,
    ),
    samples=of((f4(3, 4), np.asarray([-1, 0, 1], np.float32)), S(idx(1, 2, 3), idx(1, 3), right=True)),
)
