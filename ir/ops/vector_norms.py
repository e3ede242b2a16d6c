"""Norms of vectors, and the cosine between two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_code, real_dtype
from bridge.ir.errors import BridgeError, UnsupportedError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least
from bridge.ir.ops._composite import composite, lower_steps
from bridge.ir.ops._declare import Array, declare, dims_of
from bridge.ir.ops._onnx import BOOL, FLOAT32, axes_of, is_lowered, known_rank, typed
from bridge.ir.ops._samples import S, f4, of
from bridge.ir.ops.reduction import nan_aware, reduce_node, restored
from bridge.ir.rules import Call, Results, broadcast_dims, dtype_argument, promote_all, reduced_dims, result


def _do(e: Emitter, t: DType, op_type: str, *xs: Any) -> Any:
    return typed(e, op_type, t, *xs)


def vector_norm(x: Array, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    x = x if dtype is None else x.astype(by_code(dtype).numpy)
    if x.dtype.kind in "iub":
        raise BridgeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {by_dtype_label(x)}"
        )
    axis = dims_of(dim, x.ndim)
    size = np.abs(x)
    if math.isinf(ord):
        _some(x.shape, axis, dim, ord)
        return (np.max if ord > 0 else np.min)(size, axis=axis, keepdims=keepdim)
    if ord == 0:
        return np.sum(x != 0, axis=axis, keepdims=keepdim).astype(size.dtype)
    wide = size.astype(np.float32) if x.dtype.itemsize == 2 else size
    if ord == 1:
        return np.sum(wide, axis=axis, keepdims=keepdim).astype(size.dtype)
    if ord == 2:
        return np.sqrt(np.sum(wide * wide, axis=axis, keepdims=keepdim)).astype(size.dtype)
    p = wide.dtype.type(ord)
    return np.power(np.sum(np.power(wide, p), axis=axis, keepdims=keepdim), 1 / p).astype(size.dtype)


def _some(shape: Sequence[int], axes: Sequence[int], dim: Any, ord: float) -> None:
    """Raise what torch raises for the largest or smallest of no elements."""
    if all(shape[a] for a in axes):
        return
    which = "inf" if ord > 0 else "-inf"
    if dim is None or not len(dim if isinstance(dim, list | tuple) else [dim]):
        raise BridgeError(
            f"linalg.vector_norm cannot compute the {which} norm on an empty tensor because the operation does not have an identity"
        )
    empty = next(a for a in axes if not shape[a])
    raise BridgeError(
        f"linalg.vector_norm cannot compute the {which} norm on the dimension {empty} because this dimension is empty and the "
        "operation does not have an identity"
    )


def by_dtype_label(x: Array) -> str:
    """``Long`` for an int64 array."""
    from bridge.ir.dtypes import by_numpy

    return by_numpy(x.dtype).label


def _norm_types(call: Call) -> Results:
    t = call.tensor("self")
    dim = call.known("dim") if "dim" in call.schema.index else None
    keepdim = call.known("keepdim") if "keepdim" in call.schema.index else False
    dtype = dtype_argument(call, t.dtype)
    return result(None if dtype is None else real_dtype(dtype), reduced_dims(t.dims, dim, keepdim))


def _lower_norm(e: Emitter, call: LoweredCall) -> Any:
    index = call.schema.index
    x = call["self"]
    if "dtype" in index and call["dtype"] is not None:
        x = e.cast(x, by_code(call["dtype"]))
    p = call["ord"] if "ord" in index else call["p"] if "p" in index else 2
    p = 2 if p is None else p
    if is_lowered(p):
        e.unsupported("the order of a norm must be known when the model is exported")
    dims, keepdim, t = (
        call["dim"] if "dim" in index else None,
        call["keepdim"] if "keepdim" in index else False,
        x.dtype,
    )
    axes_of(e, x, dims)
    if x.rank == 0 and p != 0:
        return typed(e, "Abs", t, x, dims=())
    if p in (1, 2):
        return reduce_node(e, f"ReduceL{int(p)}", x, dims, keepdim, t)
    size = typed(e, "Abs", t, x, dims=x.dims)
    if math.isinf(p):
        if x.rank:
            axes = axes_of(e, x, dims)
            size = at_least(e, size, [int(axes is None or i in axes) for i in range(x.rank)])
        return nan_aware(e, "ReduceMax" if p > 0 else "ReduceMin", size, dims, keepdim, t)
    if p == 0:
        hit = e.cast(e.op("Not", e.op("Equal", x, e.scalar(0, t), dtype=BOOL), dims=x.dims), t)
        return reduce_node(e, "ReduceSum", hit, dims, keepdim, t)
    wide = FLOAT32 if t.name == "float16" else t
    power = typed(e, "Pow", wide, e.cast(size, wide), e.scalar(p, wide), dims=x.dims)
    total = reduce_node(e, "ReduceSum", power, dims, keepdim, wide)
    return e.cast(typed(e, "Pow", wide, total, e.scalar(1 / p, wide)), t)


def _norm_grad(name: str) -> Any:
    def grad(c: Any, g: Any) -> Any:
        x, index = c["self"], c.plan.schema.index
        p = c[name] if name else 2
        p = 2 if p is None else p
        dim, keepdim = (c["dim"] if "dim" in index else None), (c["keepdim"] if "keepdim" in index else False)
        r, g = restored(c, c.result, dim, keepdim), restored(c, g, dim, keepdim)
        if p == 0:
            return (c.op("aten::zeros_like", x),)
        if p == 1:
            return (x.sgn() * g,)
        if p == 2:
            return (c.op("aten::masked_fill.Scalar", x / r, (r == 0).expand(list(x.shape)), 0) * g,)
        if math.isinf(p):
            hit = (x.abs() == r).to(g.dtype)
            axes = list(dims_of(dim, len(x.shape)))
            return (x.sgn() * (g / c.op("aten::sum.dim_IntList", hit, axes, True)) * hit,)
        scaled = x * x.abs().pow(p - 2) * (g / r.pow(p - 1))
        return (c.op("aten::masked_fill.Scalar", scaled, (r == 0).expand(list(x.shape)), 0),)

    return grad


_TAIL = "int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None"
declare(
    f"aten::linalg_vector_norm(Tensor self, Scalar ord=2, {_TAIL}) -> Tensor",
    vector_norm,
    types=_norm_types,
    onnx=_lower_norm,
    grad=_norm_grad("ord"),
    samples=of(
        (f4(3, 4),),
        (f4(3, 4), 1, [0]),
        (f4(3, 4), math.inf, [1], True),
        (f4(3, 4), 3, [1]),
        (f4(3, 4), 0, [0]),
        S(f4(4), dtype=7),
        (f4(3, 4), -math.inf),
    ),
)
_P = of((f4(3, 4), 2, [0], True), (f4(3, 4), 1, [1]), (f4(3, 4), None, [0, 1]), (f4(3, 4), 3, [1]))
declare(
    "aten::norm.Scalar(Tensor self, Scalar p=2) -> Tensor",
    lambda x, p: vector_norm(x, p),
    types=_norm_types,
    onnx=_lower_norm,
    grad=_norm_grad("p"),
    samples=of((f4(3, 4),), (f4(3, 4), 1)),
)
declare(
    "aten::norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False) -> Tensor",
    lambda x, p, dim, k: vector_norm(x, 2 if p is None else p, dim, k),
    types=_norm_types,
    onnx=_lower_norm,
    grad=_norm_grad("p"),
    grad_name="NormBackward1",
    samples=_P,
)
declare(
    "aten::norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype) -> Tensor",
    lambda x, p, dim, k, dtype: vector_norm(x, 2 if p is None else p, dim, k, dtype),
    types=_norm_types,
    onnx=_lower_norm,
    grad=_norm_grad("p"),
    grad_name="NormBackward3",
    samples=of(S(f4(3, 4), 2, [0], True, dtype=7)),
)


def _linalg_norm(ops: Any, x: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    axes = None if dim is None else list(dim) if isinstance(dim, list | tuple) else [dim]
    if ord is not None and (len(axes) == 2 if axes is not None else len(x.shape) == 2):
        return ops("aten::linalg_matrix_norm", x, ord, axes or [-2, -1], keepdim, dtype)
    return ops("aten::linalg_vector_norm", x, 2 if ord is None else ord, axes, keepdim, dtype)


def _lower_any_norm(e: Emitter, call: LoweredCall) -> Any:
    x, order, dim = call["self"], call["ord"], call["dim"]
    axes = dim if dim is None or isinstance(dim, list | tuple) else [dim]
    if order is None or (len(axes) if axes is not None else known_rank(e, x, "linalg.norm")) != 2:
        return _lower_norm(e, call)
    if is_lowered(order) or call["dtype"] is not None:
        e.unsupported(
            "the order of a matrix norm must be known when the model is exported, its element type the input's"
        )
    return lower_steps(e, lambda t, v: t.linalg_matrix_norm(v, order, axes or [-2, -1], call["keepdim"]), x)


declare(
    f"aten::linalg_norm(Tensor self, Scalar? ord=None, {_TAIL}) -> Tensor",
    _linalg_norm,
    composite=True,
    types=_norm_types,
    onnx=_lower_any_norm,
    samples=of((f4(3, 4),), (f4(4), 1), (f4(3, 4), 3, [1]), (f4(3, 4), 1), (f4(2, 3, 4), -math.inf, [0, 2], True)),
)


declare(
    "aten::frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
    lambda ops, x, dim, k: ops("aten::norm.ScalarOpt_dim", x, 2, dim, k),
    composite=True,
    types=_norm_types,
    onnx=_lower_norm,
    samples=of((f4(3, 4), [0, 1])),
)


def _cosine(ops: Any, a: Any, b: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    def unit(x: Any) -> Any:
        n = ops("aten::linalg_vector_norm", x, 2, [dim], True, None)
        return ops("aten::div.Tensor", x, ops("aten::clamp_min", n, eps))

    shape = list(np.broadcast_shapes(tuple(a.shape), tuple(b.shape)))
    a, b = ops("aten::expand", a, shape), ops("aten::expand", b, shape)
    return ops("aten::sum.dim_IntList", ops("aten::mul.Tensor", unit(a), unit(b)), [dim], False)


def _lower_cosine(e: Emitter, call: LoweredCall) -> Any:
    a, b, dim = call["x1"], call["x2"], call["dim"]
    t = a.dtype
    if a.rank == 0 and b.rank == 0:
        e.unsupported("cosine_similarity of 0-d tensors is not exported")
    if a.dims is None or a.dims != b.dims or None in a.dims:  # the norms are those of the broadcast operands
        wide = broadcast_dims([a.dims, b.dims])
        a, b = e.op("Expand", a, e.shape_of(b), dims=wide), e.op("Expand", b, e.shape_of(a), dims=wide)
    units = []
    for x in (a, b):
        n = reduce_node(e, "ReduceL2", x, [dim], True, t)
        units.append(_do(e, t, "Div", x, _do(e, t, "Max", n, e.scalar(call["eps"], t))))
    product = typed(e, "Mul", t, *units, dims=a.dims)
    return reduce_node(e, "ReduceSum", product, [dim], False, t)


def _cosine_types(call: Call) -> Results:
    a, b = call.tensor("x1"), call.tensor("x2")
    return result(promote_all([a, b]), reduced_dims(broadcast_dims([a.dims, b.dims]), call.known("dim"), False))


declare(
    "aten::cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor",
    _cosine,
    composite=True,
    types=_cosine_types,
    onnx=_lower_cosine,
    samples=of((f4(3, 4), f4(3, 4, seed=1)), (f4(3, 4), f4(3, 4, seed=1), 0)),
)


def _matrix_norm(ops: Any, x: Any, kind: str, dim: Any, keepdim: bool, dtype: Any) -> Any:
    if kind == "fro":
        return ops("aten::linalg_vector_norm", x, 2, dim, keepdim, dtype)
    if kind != "nuc":
        raise BridgeError(f"linalg.matrix_norm: Order {kind} not supported.")
    if not isinstance(x, np.ndarray):
        if x.requires_grad:
            raise UnsupportedError("the nuclear norm has no gradient here yet")
        return type(x)._wrap(_matrix_norm(ops, x._array, kind, dim, keepdim, dtype))
    wide = x if dtype is None else x.astype(by_code(dtype).numpy)
    return np.asarray(np.linalg.norm(wide, "nuc", axis=tuple(dim), keepdims=keepdim), wide.dtype)


declare(
    'aten::linalg_matrix_norm.str_ord(Tensor self, str ord="fro", int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None) -> Tensor',
    _matrix_norm,
    composite=True,
    types=_norm_types,
    onnx=lambda e, call: (
        reduce_node(e, "ReduceL2", call["self"], call["dim"], call["keepdim"], call["self"].dtype)
        if call["ord"] == "fro" and call["dtype"] is None
        else e.unsupported("only Frobenius' matrix norm is exported")
    ),
    samples=of((f4(3, 4),)),
)


@composite(
    "aten::norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor",
    grad_name="ViewBackward0",
    samples=of((f4(3, 4),), (f4(3, 4, 2), 2, 2)),
)
def norm_except_dim(t: Any, v: Any, pow: int, dim: int) -> Any:
    rank = t.rank(v)
    if dim == -1:
        return t.norm(v, pow)
    return t.norm(v, pow, [d for d in range(rank) if d != dim % rank], True)


@composite("aten::_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor")
def weight_norm(t: Any, v: Any, g: Any, dim: int) -> Any:
    """``v`` with the length ``g``: of each slice of a dimension, or of the whole for -1."""
    dims = [d for d in range(t.rank(v)) if dim == -1 or d != dim]
    return t.mul(v, t.div(g, t.linalg_vector_norm(v, 2, dims, dim != -1)))


__all__ = ["vector_norm"]
