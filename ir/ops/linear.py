"""Products of matrices: mm, bmm, addmm, matmul, linear, dot, outer…"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import as_large_as, same_sizes
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import common, ints, is_lowered, refuse_complex, typed
from bridge.ir.ops._samples import S, f4, f8, i8, of
from bridge.ir.ops.expand import expanded_shape
from bridge.ir.promotion import to_dtype
from bridge.ir.readings import Given, Input, reads
from bridge.ir.rules import Call, Results, broadcast_dims, result
from bridge.ir.types import Dim, TensorType


def _same_dtype(a: Array, b: Array) -> None:
    if a.dtype != b.dtype:
        names = [_c_name(by_numpy(x.dtype)) for x in (a, b)]
        raise BridgeError(f"expected m1 and m2 to have the same dtype, but got: {names[0]} != {names[1]}")


def _c_name(d: DType) -> str:
    names = {"float32": "float", "float64": "double", "int64": "long long", "int32": "int", "float16": "c10::Half"}
    return names.get(d.name, d.name)


def mm(self: Array, mat2: Array) -> Any:
    if self.ndim != 2:
        raise BridgeError("self must be a matrix")
    if mat2.ndim != 2:
        raise BridgeError("mat2 must be a matrix")
    _fits(self, mat2)
    _same_dtype(self, mat2)
    return np.matmul(self, mat2).astype(self.dtype, copy=False)  # of bfloat16 it is float32


def _fits(a: Array, b: Array) -> None:
    if a.shape[1] != b.shape[0]:
        raise BridgeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]})"
        )


def bmm(self: Array, mat2: Array) -> Any:
    if self.ndim != 3 or mat2.ndim != 3:
        raise BridgeError("batch1 must be a 3D tensor" if self.ndim != 3 else "batch2 must be a 3D tensor")
    n, k = self.shape[0], self.shape[2]
    if mat2.shape[:2] != (n, k):
        raise BridgeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{n}, {k}] but got: [{mat2.shape[0]}, {mat2.shape[1]}]."
        )
    _same_dtype(self, mat2)
    return np.matmul(self, mat2).astype(self.dtype, copy=False)  # of bfloat16 it is float32


def mv(self: Array, vec: Array) -> Any:
    if self.ndim != 2 or vec.ndim != 1:
        raise BridgeError(f"vector + matrix @ vector expected, got {vec.ndim}, {self.ndim}, {vec.ndim}")
    if self.shape[1] != vec.shape[0]:
        raise BridgeError(
            f"size mismatch, got input ({self.shape[0]}), mat ({self.shape[0]}x{self.shape[1]}), vec ({vec.shape[0]})"
        )
    return np.matmul(self, vec).astype(self.dtype, copy=False)


def dot(self: Array, tensor: Array) -> Any:
    if self.ndim != 1 or tensor.ndim != 1:
        raise BridgeError(f"1D tensors expected, but got {self.ndim}D and {tensor.ndim}D tensors")
    if self.shape != tensor.shape:
        raise BridgeError(
            "inconsistent tensor size, expected tensor "
            f"[{self.shape[0]}] and src [{tensor.shape[0]}] to have the same number of elements, but got {self.shape[0]} and {tensor.shape[0]} elements respectively"
        )
    if self.dtype != tensor.dtype:
        names = [_c_name(by_numpy(x.dtype)).capitalize() for x in (self, tensor)]
        raise BridgeError(f"dot : expected both vectors to have same dtype, but found {names[0]} and {names[1]}")
    return np.asarray(np.dot(self, tensor)).astype(self.dtype, copy=False)[()]


def _scaled(product: Any, base: Array, beta: Any, alpha: Any) -> Any:
    """beta * base + alpha * product; a beta of 0 ignores nan and inf in base."""
    t = product.dtype
    r = product if alpha == 1 else product * to_dtype(alpha, t)
    if beta == 0:
        return r
    r = r + (base if beta == 1 else base * to_dtype(beta, t))
    return r


def _into(base: Array, product: Any, name: str = "") -> None:
    try:
        fits = np.broadcast_shapes(base.shape, product.shape) == product.shape
    except ValueError:
        fits = False
    if not fits:
        expanded_shape(base.shape, product.shape)  # says how


def addmm(self: Array, mat1: Array, mat2: Array, beta: Any = 1, alpha: Any = 1) -> Any:
    if mat1.ndim == 2 and mat2.ndim == 2:
        _fits(mat1, mat2)
    if mat1.dtype != mat2.dtype or self.dtype != mat1.dtype:
        raise BridgeError(
            f"self and mat2 must have the same dtype, but got {by_numpy(self.dtype).label} and {by_numpy(mat2.dtype).label}"
        )
    product = mm(mat1, mat2)
    _into(self, product)
    return _scaled(product, self, beta, alpha)


def addbmm_like(self: Array, batch1: Array, batch2: Array, beta: Any = 1, alpha: Any = 1) -> Any:
    product = bmm(batch1, batch2)
    _into(self, product)
    return _scaled(product, self, beta, alpha)


def addmv(self: Array, mat: Array, vec: Array, beta: Any = 1, alpha: Any = 1) -> Any:
    product = mv(mat, vec)
    if self.shape not in ((), (1,), product.shape):
        raise BridgeError(
            f"size mismatch, got input ({self.shape[0]}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]})"
        )
    return _scaled(product, self, beta, alpha)


# -- composite ---------------------------------------------------------------------------------------------------------


def matmul(ops: Any, self: Any, other: Any) -> Any:
    """torch's cases, so that the same autograd nodes come out."""
    a, b = len(self.shape), len(other.shape)
    if a == 0 or b == 0:
        raise BridgeError(f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D")
    if a == 1 and b == 1:
        return ops("aten::dot", self, other)
    if a == 2 and b == 1:
        return ops("aten::mv", self, other)
    if a == 1 and b == 2:
        return ops("aten::squeeze_.dim", ops("aten::mm", ops("aten::unsqueeze", self, 0), other), 0)
    if a == 2 and b == 2:
        return ops("aten::mm", self, other)
    if b <= 2 and a >= 3:
        return _folded(ops, self, other)
    if a <= 2 and b >= 3:  # (B A^T)^T
        out = _folded(ops, ops("aten::transpose.int", other, -1, -2), self if a == 1 else ops("aten::t", self))
        return out if a == 1 else ops("aten::contiguous", ops("aten::transpose.int", out, -1, -2), 0)
    return _batched(ops, self, other)


def _folded(ops: Any, x: Any, y: Any) -> Any:
    lead = list(x.shape[:-1])
    flat = ops("aten::reshape", x, [math.prod(lead), x.shape[-1]])
    if len(y.shape) == 1:
        return ops("aten::_unsafe_view", ops("aten::mv", flat, y), lead)
    return ops("aten::_unsafe_view", ops("aten::mm", flat, y), [*lead, y.shape[-1]])


def _batched(ops: Any, x: Any, y: Any) -> Any:
    xs, ys = list(x.shape), list(y.shape)
    n, k = (xs[-2] if len(xs) > 1 else 1), xs[-1]
    p = ys[-1] if len(ys) > 1 else 1
    try:
        batch = list(np.broadcast_shapes(tuple(xs[:-2]), tuple(ys[:-2])))
    except ValueError as error:
        raise BridgeError(_mismatch(xs[:-2], ys[:-2])) from error
    left = ops("aten::expand", x if len(xs) > 1 else ops("aten::unsqueeze", x, 0), [*batch, n, k])
    right = ops(
        "aten::expand",
        y if len(ys) > 1 else ops("aten::unsqueeze", y, 1),
        [*batch, ys[-2] if len(ys) > 1 else ys[0], p],
    )
    size = math.prod(batch)
    left = ops("aten::reshape", left, [size, n, k])
    right = ops("aten::reshape", right, [size, ys[-2] if len(ys) > 1 else ys[0], p])
    shape = [*batch, *([n] if len(xs) > 1 else []), *([p] if len(ys) > 1 else [])]
    return ops("aten::_unsafe_view", ops("aten::bmm", left, right), shape)


def _mismatch(a: Any, b: Any) -> str:
    rank = max(len(a), len(b))
    for i in range(1, rank + 1):
        x, y = (a[-i] if i <= len(a) else 1), (b[-i] if i <= len(b) else 1)
        if x != y and 1 not in (x, y):
            return f"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension {rank - i}"
    return "shapes do not broadcast"


def linear(ops: Any, input: Any, weight: Any, bias: Any = None) -> Any:
    """input @ weight.T + bias."""
    rank = len(input.shape)
    if len(weight.shape) == 2 and bias is not None and rank >= 1:
        transposed = ops("aten::t", weight)
        if rank == 2:
            return ops("aten::addmm", bias, input, transposed, 1, 1)
        flat = ops("aten::reshape", input, [math.prod(input.shape[:-1]), input.shape[-1]])
        out = ops("aten::addmm", bias, flat, transposed, 1, 1)
        return ops("aten::view", out, [*input.shape[:-1], weight.shape[0]])
    out = ops("aten::matmul", input, ops("aten::t", weight))
    return out if bias is None else ops("aten::add.Tensor", out, bias, 1)


# -- types -------------------------------------------------------------------------------------------------------------


def matmul_dims(a: tuple[Dim, ...] | None, b: tuple[Dim, ...] | None) -> tuple[Dim, ...] | None:
    """The dimensions of a matrix product with broadcast batches."""
    if a is None or b is None or not a or not b:
        return None
    batch = broadcast_dims([a[:-2], b[:-2]])
    assert batch is not None
    return (*batch, *(a[-2:-1] if len(a) > 1 else ()), *(b[-1:] if len(b) > 1 else ()))


def _product_types(*names: str) -> Any:
    def rule(call: Call) -> Results:
        a, b = call.tensor(names[0]), call.tensor(names[1])
        return result(a.dtype or b.dtype, matmul_dims(a.dims, b.dims))

    return rule


def _linear_types(call: Call) -> Results:
    x, w = call.tensor("input"), call.tensor("weight")
    if x.dims is None or w.dims is None:
        return result(x.dtype or w.dtype, None)
    return result(x.dtype or w.dtype, (*x.dims[:-1], *w.dims[:-1]))


# -- lowerings ---------------------------------------------------------------------------------------------------------


def matmul_node(e: Emitter, a: Any, b: Any) -> Any:
    """MatMul in an element type that has it."""
    dtype = e.dtype_of(a)
    refuse_complex(e, dtype)
    return typed(e, "MatMul", dtype, a, b)


def _lower_product(*names: str) -> Any:
    return lambda e, call: matmul_node(e, call[names[0]], call[names[1]])


def _batch_of(e: Emitter, a: Any, b: Any) -> Any:
    """b, whose number of matrices is that of a: MatMul takes one matrix for many too."""
    if a.dims and b.dims and a.dims[0] is not None and a.dims[0] == b.dims[0]:
        return b
    count = e.op("Slice", e.shape_of(a), ints(0), ints(1), dims=(1,))
    return same_sizes(e, b, e.op("Concat", count, ints(0, 0), axis=0, dims=(3,)))


def _lower_bmm(e: Emitter, call: LoweredCall) -> Any:
    a, b = call["self"], call["mat2"]
    return matmul_node(e, a, _batch_of(e, a, b))


def _lower_dot(e: Emitter, call: LoweredCall) -> Any:
    a, b = [call[x.name] for x in call.schema.arguments[:2]]
    return matmul_node(e, a, b)


def gemm_ok(dtype: DType) -> bool:
    """Whether onnxruntime's Gemm takes that element type."""
    return dtype.name in ("float16", "float32", "float64")


def _lower_add_product(a: str, b: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        base, x, y, beta, alpha = call["self"], call[a], call[b], call["beta"], call["alpha"]
        dtype = e.dtype_of(x)
        refuse_complex(e, dtype)
        plain = not is_lowered(beta) and not is_lowered(alpha)
        if a == "mat1" and gemm_ok(dtype) and plain and beta != 0:
            return e.op(
                "Gemm",
                x,
                y,
                e.cast(base, dtype),
                alpha=None if alpha == 1 else float(alpha),
                beta=None if beta == 1 else float(beta),
            )
        product = matmul_node(e, x, _batch_of(e, x, y) if a == "batch1" else y)
        if is_lowered(alpha) or alpha != 1:
            product = typed(e, "Mul", dtype, product, alpha)
        if not is_lowered(beta) and beta == 0:
            return product
        scaled = base if not is_lowered(beta) and beta == 1 else typed(e, "Mul", dtype, base, beta)
        return as_large_as(e, typed(e, "Add", dtype, scaled, product), product)

    return lower


def _lower_linear(e: Emitter, call: LoweredCall) -> Any:
    x, w, b = call["input"], call["weight"], call["bias"]
    dtype = e.dtype_of(x)
    refuse_complex(e, dtype)
    rank = w.rank
    if rank == 1:
        out = matmul_node(e, x, w)
        return out if b is None else typed(e, "Add", dtype, out, b)
    if x.rank == 2 and b is not None and gemm_ok(dtype):
        return e.op("Gemm", x, w, b, transB=1)
    out = matmul_node(e, x, e.op("Transpose", w, perm=[1, 0]))
    return out if b is None else typed(e, "Add", dtype, out, b)


# -- gradients ---------------------------------------------------------------------------------------------------------


def _times(g: Any, factor: Any) -> Any:
    return g if factor == 1 else g * factor


def _mm_grad(ctx: Any, g: Any) -> Any:
    a, b = ctx["self"], ctx["mat2"]
    return (g.mm(b.t()) if ctx.needs["self"] else None, a.t().mm(g) if ctx.needs["mat2"] else None)


def _bmm_grad(ctx: Any, g: Any) -> Any:
    a, b = ctx["self"], ctx["mat2"]
    return (
        g.bmm(b.transpose(1, 2)) if ctx.needs["self"] else None,
        a.transpose(1, 2).bmm(g) if ctx.needs["mat2"] else None,
    )


def _addmm_grad(ctx: Any, g: Any) -> Any:
    a, b = ctx["mat1"], ctx["mat2"]
    return (
        _times(g, ctx["beta"]) if ctx.needs["self"] else None,
        _times(g.mm(b.t()), ctx["alpha"]) if ctx.needs["mat1"] else None,
        _times(a.t().mm(g), ctx["alpha"]) if ctx.needs["mat2"] else None,
    )


def _baddbmm_grad(ctx: Any, g: Any) -> Any:
    a, b = ctx["batch1"], ctx["batch2"]
    return (
        _times(g, ctx["beta"]) if ctx.needs["self"] else None,
        _times(g.bmm(b.transpose(1, 2)), ctx["alpha"]) if ctx.needs["batch1"] else None,
        _times(a.transpose(1, 2).bmm(g), ctx["alpha"]) if ctx.needs["batch2"] else None,
    )


def _mv_grad(ctx: Any, g: Any) -> Any:
    return (g.unsqueeze(1) * ctx["vec"].unsqueeze(0), ctx["self"].t().mv(g))


def _addmv_grad(ctx: Any, g: Any) -> Any:
    a = _times(g, ctx["alpha"])
    return _times(g, ctx["beta"]), a.unsqueeze(1) * ctx["vec"].unsqueeze(0), ctx["mat"].t().mv(a)


# -- declarations ------------------------------------------------------------------------------------------------------

declare(
    "aten::mm(Tensor self, Tensor mat2) -> Tensor",
    mm,
    types=_product_types("self", "mat2"),
    onnx=_lower_product("self", "mat2"),
    grad=_mm_grad,
    samples=of(
        (f4(2, 3), f4(3, 4)), (i8(2, 3), i8(3, 2)), (f8(1, 2), f8(2, 1)), (f4(0, 3), f4(3, 2)), (f4(2, 0), f4(0, 2))
    ),
)
declare(
    "aten::bmm(Tensor self, Tensor mat2) -> Tensor",
    bmm,
    types=_product_types("self", "mat2"),
    onnx=_lower_bmm,
    grad=_bmm_grad,
    samples=of((f4(2, 2, 3), f4(2, 3, 4)), (i8(1, 2, 3), i8(1, 3, 2))),
)
declare(
    "aten::mv(Tensor self, Tensor vec) -> Tensor",
    mv,
    types=_product_types("self", "vec"),
    onnx=_lower_product("self", "vec"),
    grad=_mv_grad,
    samples=of(
        (f4(2, 3), f4(3)),
    ),
)
declare(
    "aten::dot(Tensor self, Tensor tensor) -> Tensor",
    dot,
    types=_product_types("self", "tensor"),
    onnx=_lower_dot,
    grad=lambda ctx, g: (g * ctx["tensor"], g * ctx["self"]),
    samples=of((f4(3), f4(3, seed=1)), (i8(3), i8(3))),
)
declare(
    "aten::vdot(Tensor self, Tensor other) -> Tensor",
    lambda a, b: dot(np.conj(a), b),
    types=_product_types("self", "other"),
    onnx=_lower_dot,
    grad=lambda ctx, g: (g * ctx["other"], g * ctx["self"]),
    samples=of((f4(3), f4(3, seed=1))),
)
declare(
    "aten::inner(Tensor self, Tensor other) -> Tensor",
    lambda ops, a, b: _inner(ops, a, b),
    composite=True,
    types=lambda call: _inner_types(call),
    onnx=lambda e, call: _lower_inner(e, call),
    samples=of((f4(2, 3), f4(4, 3)), (f4(3), f4(3))),
)


def _inner(ops: Any, a: Any, b: Any) -> Any:
    if not a.shape or not b.shape:
        return ops("aten::mul.Tensor", a, b)
    return ops("aten::tensordot", a, b, [-1], [-1])


def _lower_inner(e: Emitter, call: LoweredCall) -> Any:
    a, b = call["self"], call["other"]
    if a.rank is None or b.rank is None or not a.rank or not b.rank or max(a.rank, b.rank) > 2:
        e.unsupported("inner is exported for vectors and matrices only")
    return matmul_node(e, a, b if b.rank == 1 else e.op("Transpose", b, perm=[1, 0]))


def _inner_types(call: Call) -> Results:
    a, b = call.tensor("self"), call.tensor("other")
    return result(a.dtype, None if a.dims is None or b.dims is None else (*a.dims[:-1], *b.dims[:-1]))


def _no_vector(a: int | None, b: int | None) -> str | None:
    """What torch says of numbers of dimensions that are not those of two vectors."""
    wrong = next(((n, r) for n, r in (("self", a), ("vec2", b)) if r not in (1, None)), None)
    return None if wrong is None else f"outer: Expected 1-D argument {wrong[0]}, but got {wrong[1]}-D"


def _outer(ops: Any, a: Any, b: Any) -> Any:
    if (why := _no_vector(len(a.shape), len(b.shape))) is not None:
        raise BridgeError(why)
    return ops("aten::mul.Tensor", ops("aten::reshape", a, [a.shape[0], 1]), b)


def _outer_types(call: Call) -> Results:
    a, b = call.tensor("self"), call.tensor(call.schema.arguments[1].name)
    from bridge.ir.rules import promote_all

    return result(promote_all([a, b]), None if a.dims is None or b.dims is None else (*a.dims, *b.dims))


def _lower_outer(e: Emitter, call: LoweredCall) -> Any:
    other = call.schema.arguments[1].name
    if (why := _no_vector(call["self"].rank, call[other].rank)) is not None:
        e.unsupported(why)
    dtype = common(e, call, "self", other)
    return typed(e, "Mul", dtype, e.op("Unsqueeze", call["self"], ints(1)), call[other])


for _name, _arg in (("outer", "vec2"), ("ger", "vec2")):
    declare(
        f"aten::{_name}(Tensor self, Tensor {_arg}) -> Tensor",
        _outer,
        composite=True,
        types=_outer_types,
        onnx=_lower_outer,
        samples=of((f4(3), f4(2)), (i8(2), f4(3))),
    )

_BETA = "*, Scalar beta=1, Scalar alpha=1"
declare(
    f"aten::addmm(Tensor self, Tensor mat1, Tensor mat2, {_BETA}) -> Tensor",
    addmm,
    types=_product_types("mat1", "mat2"),
    onnx=_lower_add_product("mat1", "mat2"),
    grad=_addmm_grad,
    samples=of(
        (f4(4), f4(2, 3), f4(3, 4)),
        S(f4(2, 4), f4(2, 3), f4(3, 4), beta=0.5, alpha=2),
        (f4(2, 1), f4(2, 3), f4(3, 4)),
        S(f4(4), f4(2, 3), f4(3, 4), beta=0),
        (i8(2), i8(2, 3), i8(3, 2)),
        (f4(), f4(2, 3), f4(3, 2)),
    ),
)
declare(
    f"aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, {_BETA}) -> Tensor",
    addbmm_like,
    types=_product_types("batch1", "batch2"),
    onnx=_lower_add_product("batch1", "batch2"),
    grad=_baddbmm_grad,
    samples=of((f4(2, 2, 4), f4(2, 2, 3), f4(2, 3, 4)), S(f4(2, 1, 4), f4(2, 2, 3), f4(2, 3, 4), beta=0.5, alpha=2)),
)
declare(
    f"aten::addmv(Tensor self, Tensor mat, Tensor vec, {_BETA}) -> Tensor",
    addmv,
    types=_product_types("mat", "vec"),
    onnx=_lower_add_product("mat", "vec"),
    grad=_addmv_grad,
    samples=of((f4(2), f4(2, 3), f4(3)), S(f4(2), f4(2, 3), f4(3), beta=2, alpha=0.5)),
)
declare(
    "aten::matmul(Tensor self, Tensor other) -> Tensor",
    matmul,
    composite=True,
    types=_product_types("self", "other"),
    onnx=_lower_product("self", "other"),
    samples=of(
        (f4(3), f4(3, seed=1)),
        (f4(2, 3), f4(3)),
        (f4(3), f4(3, 2)),
        (f4(2, 3), f4(3, 4)),
        (f4(2, 2, 3), f4(3, 4)),
        (f4(2, 2, 3), f4(3)),
        (f4(3), f4(2, 3, 4)),
        (f4(2, 3), f4(2, 3, 4)),
        (f4(2, 1, 2, 3), f4(3, 3, 4)),
        (i8(2, 3), i8(3, 2)),
        (f4(0, 3), f4(3, 2)),
    ),
)
declare(
    "aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
    linear,
    composite=True,
    types=_linear_types,
    onnx=_lower_linear,
    samples=of(
        (f4(2, 3), f4(4, 3), f4(4)),
        (f4(2, 3), f4(4, 3)),
        (f4(3), f4(4, 3), f4(4)),
        (f4(3), f4(4, 3)),
        (f4(2, 2, 3), f4(4, 3), f4(4)),
        (f4(2, 2, 3), f4(4, 3)),
        (f4(2, 1, 2, 3), f4(4, 3), f4(4)),
        (f8(2, 3), f8(4, 3), f8(4)),
        (f4(0, 3), f4(4, 3), f4(4)),
    ),
)

__all__ = ["TensorType", "addmm", "bmm", "dot", "gemm_ok", "linear", "matmul_dims", "matmul_node", "mm", "mv"]


def _as_product(given: Given) -> list[Any] | None:
    plain = given.attributes.get("alpha", 1.0) == given.attributes.get("beta", 1.0) == 1.0
    return [Input(2), Input(0), Input(1)] if plain and len(given) == 3 else None


reads("MatMul", "aten::matmul", since=1)
reads("Gemm", "aten::addmm", _as_product, since=7)
