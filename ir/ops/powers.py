"""Powers, and comparisons of two tensors or of a tensor and a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import DType
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, in_place
from bridge.ir.ops._onnx import BOOL, INT64, common, compare, compute_dtype, refuse_complex, typed, where
from bridge.ir.ops._samples import b1, f4, f8, i8, of, positive
from bridge.ir.ops.arithmetic import BINARY, SCALAR, WITH_NUMBER, WITH_TENSOR, both
from bridge.ir.promotion import as_arrays
from bridge.ir.readings import reads, with_number
from bridge.ir.rules import broadcast, broadcast_to_bool


def pow_(self: Any, exponent: Any) -> Any:
    a, b = as_arrays(self, exponent)
    if a.dtype == np.bool_:  # only numbers come here
        return a | (not exponent)
    if a.dtype.kind in "iu":
        if not isinstance(exponent, np.ndarray) and exponent < 0:
            raise BridgeError("Integers to negative integer powers are not allowed.")
        return _int_power(a, b)
    return np.power(a, b)


def _int_power(a: Array, b: Array) -> Any:
    # C++'s powi: a negative exponent gives 1 or -1 for those bases and 0 for all others
    negative = b < 0 if b.dtype.kind == "i" else np.zeros(b.shape, bool)
    positive = np.power(a, np.where(negative, 0, b).astype(b.dtype))
    ones = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0)) if a.dtype.kind == "i" else (a == 1)
    return np.where(negative, ones, positive).astype(a.dtype)


def _lower_pow(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "exponent")
    refuse_complex(e, dtype)
    base, exponent = call["self"], call["exponent"]
    if isinstance(exponent, int | float) and not isinstance(exponent, bool):
        special = {1: None, 2: "square", 0.5: "Sqrt"}
        if exponent == 1:
            return e.op("Identity", e.cast(base, dtype))
        if special.get(exponent) == "square":
            x = e.cast(base, dtype)
            return typed(e, "Mul", dtype, x, x)
        if exponent == 0.5 and dtype.kind == "f":
            return typed(e, "Sqrt", dtype, base)
        if dtype.kind == "i" and exponent < 0:
            e.unsupported("integers to negative integer powers are not allowed")
        if dtype.kind == "i" and isinstance(exponent, int):
            return _int_powers(e, dtype, base, exponent)
    elif dtype.kind == "i":
        return _int_pow_node(e, dtype, e.cast(base, dtype), e.cast(exponent, dtype))
    return typed(e, "Pow", dtype, base, exponent)


def _int_powers(e: Emitter, dtype: DType, base: Any, exponent: int) -> Any:
    """Squares and products, which wrap around: onnxruntime's Pow computes in float64."""
    wide = compute_dtype("Mul", dtype)
    assert wide is not None
    square, out = e.cast(base, wide), None
    while exponent:
        if exponent & 1:
            out = square if out is None else e.op("Mul", out, square, dims=square.dims)
        exponent >>= 1
        square = e.op("Mul", square, square, dims=square.dims) if exponent else square
    return e.cast(e.op("Pow", square, e.scalar(0, wide)) if out is None else out, dtype)


def _wrapping_pow(e: Emitter, dtype: DType, a: Any, b: Any) -> Any:
    """The same of exponents that only the run knows: a loop over their bits, as long as there are any."""
    wide = INT64
    a, b = e.cast(a, wide), e.cast(b, wide)
    both = e.op("Mul", e.op("Mul", a, e.scalar(0, wide)), b)  # of the joint size, all zeros
    zero, one, two = (e.scalar(k, wide) for k in (0, 1, 2))

    def step(square: Any, left: Any, out: Any) -> tuple[Any, ...]:
        odd = e.op("Equal", e.op("Mod", left, two), one, dtype=BOOL)
        out = e.op("Mul", out, e.op("Where", odd, square, one))
        left = e.op("Div", left, two)
        more = e.op(
            "Greater", e.op("ReduceSum", e.op("Min", left, one), keepdims=0, dims=()), zero, dtype=BOOL, dims=()
        )
        return more, e.op("Mul", square, square), left, out

    return e.cast(e.repeat(step, e.op("Add", both, a), e.op("Add", both, b), e.op("Add", both, one))[-1], dtype)


def _int_pow_node(e: Emitter, dtype: DType, a: Any, b: Any) -> Any:
    def const(v: int) -> Any:
        return e.scalar(v, dtype)

    negative = typed(e, "Less", dtype, b, const(0), result=BOOL)
    raised = _wrapping_pow(e, dtype, a, where(e, negative, const(0), b, dtype))
    odd = e.op("Not", e.op("Equal", typed(e, "Mod", dtype, b, const(2)), const(0), dtype=BOOL))
    minus = where(e, odd, const(-1), const(1), dtype)
    inverse = where(
        e,
        e.op("Equal", a, const(1), dtype=BOOL),
        const(1),
        where(e, e.op("Equal", a, const(-1), dtype=BOOL), minus, const(0), dtype),
        dtype,
    )
    return where(e, negative, inverse, raised, dtype)


def _pow_grad_self(ctx: Any, g: Any) -> Any:
    x, n = ctx["self"], ctx["exponent"]
    if not hasattr(n, "shape"):
        return ctx.op("aten::zeros_like", x) if n == 0 else g * (n * x ** (n - 1))
    return ctx.op("aten::where.self", n == 0, ctx.op("aten::zeros_like", x * n), g * (n * x ** (n - 1)))


def _pow_grad(ctx: Any, g: Any) -> Any:
    x, n, r = ctx["self"], ctx["exponent"], ctx.result
    other = None
    if ctx.needs["exponent"]:
        zero = ctx.op("aten::zeros_like", r)
        at_zero = (x == 0).logical_and(n >= 0)
        other = g * ctx.op("aten::where.self", at_zero, zero, r * x.log())
    return (_pow_grad_self(ctx, g) if ctx.needs["self"] else None), other


def _pow_scalar_grad(ctx: Any, g: Any) -> Any:
    import math

    base, n, r = ctx["self"], ctx["exponent"], ctx.result
    if base == 0:
        return (g * ctx.op("aten::where.self", n >= 0, ctx.op("aten::zeros_like", r), r * -math.inf),)
    return (g * (r * math.log(base)),)


_POWERS = of(
    (positive(3, 4), f4(3, 4)),
    (positive(3), i8(3)),
    (i8(5), i8(5, low=0, high=4)),
    (i8(5, low=-2, high=3), i8(5, low=-3, high=0)),
    (positive(2), f8(2)),
)
_POWERS_SCALAR = of(
    (f4(3, 4), 2),
    (f4(3), 3),
    (positive(3), -1.5),
    (i8(4), 3),
    (i8(4, low=1), 0.5),
    (positive(4), 0.5),
    (f4(2), 1),
    (f4(3), 0),
    (f8(2), 2.0),
)
in_place(
    declare(
        "aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor",
        pow_,
        types=broadcast,
        onnx=_lower_pow,
        grad=_pow_grad,
        grad_name="PowBackward1",
        samples=_POWERS,
    ),
    of((positive(3, 4), f4(3, 4))),
    overload="Tensor",
)
in_place(
    declare(
        "aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor",
        pow_,
        types=broadcast,
        onnx=_lower_pow,
        grad=lambda ctx, g: (_pow_grad_self(ctx, g),),
        grad_name="PowBackward0",
        samples=_POWERS_SCALAR,
    ),
    of((positive(3, 4), 2.5)),
    overload="Scalar",
)
declare(
    "aten::pow.Scalar(Scalar self, Tensor exponent) -> Tensor",
    pow_,
    types=broadcast,
    onnx=_lower_pow,
    grad=_pow_scalar_grad,
    grad_name="PowBackward2",
    samples=of((2, f4(3, 4)), (2.5, f4(3)), (2, i8(4, low=0)), (0, positive(3))),
)

COMPARED = both(
    BINARY,
    of((ints3 := i8(6, low=0, high=3), i8(6, seed=1, low=0, high=3)), (ints3, 1.0 * ints3), (b1(4), b1(4, seed=1))),
)
for _name, _ufunc, _node in (
    ("eq", np.equal, "Equal"),
    ("ne", np.not_equal, "Equal"),
    ("lt", np.less, "Less"),
    ("gt", np.greater, "Greater"),
    ("le", np.less_equal, "LessOrEqual"),
    ("ge", np.greater_equal, "GreaterOrEqual"),
):

    def _compared(self: Any, other: Any, ufunc: Any = _ufunc) -> Any:
        return ufunc(*as_arrays(self, other))

    for _overload, _args, _samples in (("Tensor", WITH_TENSOR, COMPARED), ("Scalar", WITH_NUMBER, SCALAR)):
        declare(
            f"aten::{_name}.{_overload}({_args}) -> Tensor",
            _compared,
            types=broadcast_to_bool,
            onnx=compare(_node, _name == "ne"),
            samples=_samples,
        )

for _node, _name, _since in (
    ("Less", "lt", 9), ("Greater", "gt", 9), ("LessOrEqual", "le", 12), ("GreaterOrEqual", "ge", 12), ("Equal", "eq", 7),
):  # fmt: skip
    reads(_node, f"aten::{_name}.Scalar", with_number, since=_since)
    reads(_node, f"aten::{_name}.Tensor", since=_since)
