"""Masks: masked_fill, masked_select, nonzero and their like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.fits import fitting
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import lower_fitting
from bridge.ir.ops._declare import Array, declare, in_place
from bridge.ir.ops._onnx import BOOL, INT64, ints, is_lowered, known_rank, typed, where
from bridge.ir.ops._samples import b1, f4, i8, of
from bridge.ir.promotion import to_dtype
from bridge.ir.rules import Call, Results, broadcast_dims, result
from bridge.ir.types import ListType, TensorType

# -- masks -------------------------------------------------------------------------------------------------------------


def masked_fill(self: Array, mask: Array, value: Any) -> Any:
    if mask.dtype != np.bool_:
        raise BridgeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {by_numpy(mask.dtype).name}"
        )
    if np.ndim(value):
        raise BridgeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{np.ndim(value)} dimension(s)."
        )
    value = fitting(value, self.dtype)
    return np.where(mask, to_dtype(np.asarray(value), self.dtype), self)


def _masked_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(t.dtype, broadcast_dims([t.dims, call.tensor("mask").dims]))


def _lower_masked_fill(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    if is_lowered(call["value"]) and call["value"].rank:
        e.unsupported(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{call['value'].rank} dimension(s)."
        )
    value = lower_fitting(e, call["value"], x.dtype)
    return _where_any(e, call["mask"], e.cast(value, x.dtype), x)


def _where_any(e: Emitter, mask: Any, a: Any, b: Any) -> Any:
    if b.dtype.kind == "b":
        m = e.cast(mask, BOOL)
        return e.op("Or", e.op("And", m, a), e.op("And", e.op("Not", m), b))
    return where(e, mask, a, b, b.dtype)


def _masked_fill_grad(c: Any, g: Any) -> Any:
    own = c.op("aten::masked_fill.Scalar", g, c["mask"], 0)
    if not hasattr(c["value"], "shape"):
        return own, None
    return own, None, c.op("aten::where.self", c["mask"], g, c.op("aten::zeros_like", g)).sum()


for _overload, _value in (("Scalar", 0.5), ("Tensor", f4())):
    _o = declare(
        f"aten::masked_fill.{_overload}(Tensor self, Tensor mask, {_overload} value) -> Tensor",
        masked_fill,
        types=_masked_types,
        onnx=_lower_masked_fill,
        grad=_masked_fill_grad,
        grad_name=f"MaskedFillBackward{int(_overload == 'Tensor')}",
        samples=of((f4(3, 4), b1(3, 4), _value), (f4(3, 4), b1(4), _value), (f4(1, 4), b1(3, 1), _value)),
    )
    in_place(_o, of((f4(3, 4), b1(3, 4), _value)))


def masked_select(self: Array, mask: Array) -> Any:
    a, m = np.broadcast_arrays(self, mask)
    return np.array(a[m])


def _joint_shape(e: Emitter, x: Any, mask: Any) -> Any:
    """The shape that a tensor and a mask broadcast to."""
    wide = e.op("And", mask, e.op("Expand", e.constant(np.asarray(True)), e.shape_of(x)))
    return e.op("Shape", wide, dtype=INT64, dims=(None,))


def _lower_masked_select(e: Emitter, call: LoweredCall) -> Any:
    x, mask = call["self"], e.cast(call["mask"], BOOL)
    if x.dims != mask.dims or x.dims is None or None in x.dims:
        shape = _joint_shape(e, x, mask)
        x, mask = e.op("Expand", x, shape), e.op("Expand", mask, shape)
    flat_x, flat_m = e.op("Reshape", x, ints(-1)), e.op("Reshape", mask, ints(-1))
    return e.op("Compress", flat_x, flat_m, axis=0)


declare(
    "aten::masked_select(Tensor self, Tensor mask) -> Tensor",
    masked_select,
    types=lambda call: result(call.tensor("self").dtype, (None,)),
    onnx=_lower_masked_select,
    grad=lambda c, g: (_masked_scatter(c, g), None),
    samples=of((f4(3, 4), b1(3, 4)), (f4(3, 4), b1(4))),
)


def _masked_scatter(c: Any, g: Any) -> Any:
    shape = list(np.broadcast_shapes(tuple(c["self"].shape), tuple(c["mask"].shape)))
    mask = c.op("aten::expand", c["mask"], shape)
    return c.op("aten::masked_scatter", c.op("aten::new_zeros", g, shape), mask, g)


def masked_scatter(self: Array, mask: Array, source: Array) -> Any:
    out = np.array(np.broadcast_to(self, np.broadcast_shapes(self.shape, mask.shape)))
    wide = np.broadcast_to(mask, out.shape)
    n = int(wide.sum())
    if source.size < n:
        raise BridgeError(
            f"masked_scatter: expected self and source to have same dtypes and enough elements: {source.size} < {n}"
        )
    out[wide] = source.reshape(-1)[:n]
    return out


def _lower_masked_scatter(e: Emitter, call: LoweredCall) -> Any:
    x, mask = call["self"], e.cast(call["mask"], BOOL)
    if x.dims is None or mask.dims != x.dims or None in x.dims:
        shape = _joint_shape(e, x, mask)
        x, mask = e.op("Expand", x, shape), e.op("Expand", mask, shape)
    where_ = e.op("Transpose", typed(e, "NonZero", BOOL, mask, result=INT64), perm=[1, 0])
    count = e.op("Slice", e.op("Shape", where_, dtype=INT64, dims=(2,)), ints(0), ints(1), ints(0))
    values = e.op("Slice", e.op("Reshape", e.cast(call["source"], x.dtype), ints(-1)), ints(0), count, ints(0))
    return e.op("ScatterND", x, where_, values)


in_place(
    declare(
        "aten::masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor",
        masked_scatter,
        types=_masked_types,
        onnx=_lower_masked_scatter,
        grad=lambda c, g: (c.op("aten::masked_fill.Scalar", g, c["mask"], 0), None, _scatter_source(c, g)),
        samples=of((f4(3, 4), b1(3, 4), f4(12, seed=2))),
    )
)


def _scatter_source(c: Any, g: Any) -> Any:
    picked = c.op("aten::masked_select", g, c["mask"])
    shape = list(c["source"].shape)
    n = math.prod(shape)
    padded = c.op("aten::cat", [picked, c.op("aten::new_zeros", g, [n - picked.shape[0]])], 0)
    return padded.reshape(shape)


def _nonzero(self: Array) -> Any:
    return np.argwhere(self) if self.ndim else np.zeros((int(bool(self)), 0), np.int64)


def _lower_nonzero(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    if x.rank == 0:
        e.unsupported("nonzero of a 0-d tensor is not exported")
    return e.op("Transpose", typed(e, "NonZero", BOOL, e.cast(x, BOOL), result=INT64), perm=[1, 0])


declare(
    "aten::nonzero(Tensor self) -> Tensor",
    _nonzero,
    types=lambda call: result(by_name("int64"), (None, call.tensor("self").rank)),
    onnx=_lower_nonzero,
    samples=of((b1(3, 4),), (i8(5, low=0, high=2),), (f4(0),)),
)


def _lower_where_list(e: Emitter, call: LoweredCall) -> Any:
    x = call[call.schema.arguments[0].name]
    n = known_rank(e, x, "where")
    if not n:
        e.unsupported("where of a 0-d tensor is not exported")
    found = typed(e, "NonZero", BOOL, e.cast(x, BOOL), result=INT64)
    return [e.op("Gather", found, np.asarray(k, np.int64), axis=0) for k in range(n)]


def _where_list_types(call: Call) -> Results:
    from bridge.ir.types import TupleType

    rank = call.tensor(call.schema.arguments[0].name).rank
    one = TensorType(by_name("int64"), (None,))
    return ListType(one) if rank is None else TupleType(*[one] * rank)


declare(
    "aten::where(Tensor condition) -> Tensor[]",
    lambda x: [np.array(i) for i in np.nonzero(x)],
    types=_where_list_types,
    onnx=_lower_where_list,
    samples=of((b1(3, 4),)),
)
declare(
    "aten::nonzero_numpy(Tensor self) -> Tensor[]",
    lambda x: [np.array(i) for i in np.nonzero(x)],
    types=_where_list_types,
    onnx=_lower_where_list,
    samples=of((b1(3, 4),)),
)
