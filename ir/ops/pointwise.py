"""Functions of one tensor, element by element; clamp, where, minimum and maximum; logical and bitwise operators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, in_place
from bridge.ir.ops._onnx import BOOL, FLOAT64, INT32, as_float, compute_dtype, map_unary, typed, where
from bridge.ir.ops._samples import S, f4, f8, i8, ints, of, positive, unary_samples
from bridge.ir.ops.arithmetic import both
from bridge.ir.readings import reads
from bridge.ir.registry import unsupported
from bridge.ir.rules import (
    bool_like_self,
    float_like_self,
    like_self,
    real_like_self,
    result,
)

PI_2 = math.pi / 2


def floating(f: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that converts integers and bools to the default type first."""

    def kernel(self: Array, *rest: Any) -> Any:
        return f(self if self.dtype.kind not in "iub" else self.astype(default_dtype().numpy), *rest)

    return kernel


def keeping(f: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that leaves integers and bools as they are (floor, round…)."""

    def kernel(self: Array, *rest: Any) -> Any:
        return self.copy() if self.dtype.kind in "iub" else f(self, *rest)

    return kernel


def vector(f: Callable[[float], float]) -> Callable[[Array], Any]:
    """A function of Python's ``math`` on arrays (computed in double, nan where it raises)."""

    def one(x: float) -> float:
        try:
            return f(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    each = np.vectorize(one, otypes=[np.float64])
    return lambda a: each(a).astype(a.dtype)


def _lgamma(x: float) -> float:
    return math.inf if math.isinf(x) or (x <= 0 and x == math.floor(x)) else math.lgamma(x)


erf = vector(math.erf)


def sigmoid(x: Array) -> Any:
    """1 / (1 + e^-x), without overflow."""
    one = x.dtype.type(1)
    return one / (one + np.exp(-x))


def rsqrt(x: Array) -> Any:
    return x.dtype.type(1) / np.sqrt(x)


def _signless(f: Callable[[Array], Any]) -> Callable[[Array], Any]:
    return lambda x: f(x) if x.dtype != np.bool_ else x.copy()


# -- lowerings of float64 where onnxruntime has only float32 -------------------------------------------------------------


def _one(e: Emitter, op_type: str, *xs: Any) -> Any:
    return e.op(op_type, *xs, dtype=FLOAT64)


def _c(e: Emitter, v: float) -> Any:
    return e.scalar(v, FLOAT64)


def _tan(e: Emitter, x: Any) -> Any:
    return _one(e, "Div", _one(e, "Sin", x), _one(e, "Cos", x))


def _sinh(e: Emitter, x: Any) -> Any:
    # (e^x - e^-x) / 2 loses everything near 0; with t = tanh(x/2) it is 2t / (1 - t²)
    t = _one(e, "Tanh", _one(e, "Mul", x, _c(e, 0.5)))
    small = _one(e, "Div", _one(e, "Mul", _c(e, 2), t), _one(e, "Sub", _c(e, 1), _one(e, "Mul", t, t)))
    half = _one(e, "Mul", _c(e, 0.5), _one(e, "Sub", _one(e, "Exp", x), _one(e, "Exp", _one(e, "Neg", x))))
    near = e.op("Less", _one(e, "Abs", x), _c(e, 1.0), dtype=BOOL)
    return where(e, near, small, half, FLOAT64)


def _cosh(e: Emitter, x: Any) -> Any:
    return _one(e, "Mul", _c(e, 0.5), _one(e, "Add", _one(e, "Exp", x), _one(e, "Exp", _one(e, "Neg", x))))


def log1p_node(e: Emitter, x: Any) -> Any:
    """log(1 + x), right near 0: log(u)·(x/(u-1)) with u = 1 + x, which cancels the rounding of u."""
    dtype = e.dtype_of(x)
    one = e.scalar(1.0, dtype)
    u = typed(e, "Add", dtype, one, x)
    d = typed(e, "Sub", dtype, u, one)
    log = typed(e, "Log", dtype, u)
    exact = e.op(
        "Or",
        e.op("Equal", d, e.scalar(0.0, dtype), dtype=BOOL),
        e.op("Equal", u, e.scalar(math.inf, dtype), dtype=BOOL),
    )
    safe = where(e, exact, one, d, dtype)
    scaled = typed(e, "Mul", dtype, log, typed(e, "Div", dtype, x, safe))
    return where(
        e, exact, where(e, e.op("Equal", u, e.scalar(math.inf, dtype), dtype=BOOL), u, x, dtype), scaled, dtype
    )


def expm1_node(e: Emitter, x: Any) -> Any:
    """e^x - 1, right near 0: 2t / (1 - t) with t = tanh(x/2)."""
    dtype = e.dtype_of(x)
    one, two = e.scalar(1.0, dtype), e.scalar(2.0, dtype)
    t = typed(e, "Tanh", dtype, typed(e, "Mul", dtype, x, e.scalar(0.5, dtype)))
    small = typed(e, "Div", dtype, typed(e, "Mul", dtype, two, t), typed(e, "Sub", dtype, one, t))
    big = typed(e, "Sub", dtype, typed(e, "Exp", dtype, x), one)
    return where(e, typed(e, "Less", dtype, typed(e, "Abs", dtype, x), one, result=BOOL), small, big, dtype)


def _atan(e: Emitter, x: Any) -> Any:
    far = _c(e, 1e150)  # as good as infinite, and its square is still a number
    x = _one(e, "Max", _one(e, "Min", x, far), _one(e, "Neg", far))
    # no arctangent of doubles: one float32 estimate, then Newton's steps on tan y = x, i.e. y += (x cos y - sin y) cos y …
    y = e.cast(e.op("Atan", e.cast(x, _F32)), FLOAT64)
    for _ in range(2):
        s, c = _one(e, "Sin", y), _one(e, "Cos", y)
        # sin(atan x - y) = (x cos y - sin y) / sqrt(1 + x²)
        scale = _one(e, "Sqrt", _one(e, "Add", _c(e, 1), _one(e, "Mul", x, x)))
        y = _one(e, "Add", y, _one(e, "Div", _one(e, "Sub", _one(e, "Mul", x, c), s), scale))
    return y


def _floating(lower: Callable[[Emitter, Any], Any]) -> Any:
    """The lowering of a function given on a floating tensor."""

    def f(e: Emitter, call: LoweredCall) -> Any:
        x = call[call.schema.arguments[0].name]
        return lower(e, e.cast(x, as_float(e.dtype_of(x))))

    return f


def _log_base(base: float) -> Any:
    def lower(e: Emitter, x: Any) -> Any:
        dtype = e.dtype_of(x)
        return typed(e, "Div", dtype, typed(e, "Log", dtype, x), e.scalar(math.log(base), dtype))

    return _floating(lower)


def _exp2(e: Emitter, x: Any) -> Any:
    dtype = e.dtype_of(x)
    return typed(e, "Pow", dtype, e.scalar(2.0, dtype), x)


def _rsqrt(e: Emitter, x: Any) -> Any:
    dtype = e.dtype_of(x)
    return typed(e, "Reciprocal", dtype, typed(e, "Sqrt", dtype, x))


def _trunc(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    dtype = e.dtype_of(x)
    if dtype.kind != "f":
        return e.op("Identity", x)
    return typed(e, "Mul", dtype, typed(e, "Floor", dtype, typed(e, "Abs", dtype, x)), typed(e, "Sign", dtype, x))


def _frac(e: Emitter, call: LoweredCall) -> Any:
    return typed(e, "Sub", e.dtype_of(call["self"]), call["self"], _trunc(e, call))


def _square(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    return typed(e, "Mul", as_int(e.dtype_of(x)), x, x)


def as_int(dtype: Any) -> Any:
    """Bools count as int64 where a power or sum is taken of them."""
    from bridge.ir.ops._onnx import INT64

    return INT64 if dtype is not None and dtype.kind == "b" else dtype


def _erfc(e: Emitter, x: Any) -> Any:
    dtype = e.dtype_of(x)
    return typed(e, "Sub", dtype, e.scalar(1.0, dtype), typed(e, "Erf", dtype, x))


_F32 = default_dtype()

# name, kernel, lowering, gradient of g (x: self, r: result), samples; integers become the default type
_FLOAT: list[tuple[str, Callable[[Array], Any], Any, Any, Any]] = [
    ("exp", np.exp, map_unary("Exp"), lambda c, g: g * c.result, None),
    ("log", np.log, map_unary("Log"), lambda c, g: g / c["self"], positive),
    ("sqrt", np.sqrt, map_unary("Sqrt"), lambda c, g: g / (2 * c.result), positive),
    ("rsqrt", rsqrt, _floating(_rsqrt), lambda c, g: -0.5 * g * c.result.pow(3), positive),
    ("sin", np.sin, map_unary("Sin"), lambda c, g: g * c["self"].cos(), None),
    ("cos", np.cos, map_unary("Cos"), lambda c, g: g * -c["self"].sin(), None),
    ("tan", np.tan, map_unary("Tan", double=_tan), lambda c, g: g * (1 + c.result.pow(2)), None),
    (
        "asin",
        np.arcsin,
        map_unary("Asin", double=lambda e, x: _asin(e, x)),
        lambda c, g: g * (-c["self"] * c["self"] + 1).rsqrt(),
        "unit",
    ),
    (
        "acos",
        np.arccos,
        map_unary("Acos", double=lambda e, x: _acos(e, x)),
        lambda c, g: g * -((-c["self"] * c["self"] + 1).rsqrt()),
        "unit",
    ),
    ("atan", np.arctan, map_unary("Atan", double=_atan), lambda c, g: g / (c["self"] * c["self"] + 1), None),
    ("sinh", np.sinh, map_unary("Sinh", double=_sinh), lambda c, g: g * c["self"].cosh(), None),
    ("cosh", np.cosh, map_unary("Cosh", double=_cosh), lambda c, g: g * c["self"].sinh(), None),
    ("tanh", np.tanh, map_unary("Tanh"), lambda c, g: g * (1 - c.result * c.result), None),
    (
        "asinh",
        np.arcsinh,
        map_unary("Asinh", double=lambda e, x: _asinh(e, x)),
        lambda c, g: g * (c["self"].pow(2) + 1).rsqrt(),
        None,
    ),
    (
        "acosh",
        np.arccosh,
        map_unary("Acosh", double=lambda e, x: _acosh(e, x)),
        lambda c, g: g * (c["self"].pow(2) - 1).rsqrt(),
        "above",
    ),
    (
        "atanh",
        np.arctanh,
        map_unary("Atanh", double=lambda e, x: _atanh(e, x)),
        lambda c, g: g / (1 - c["self"].pow(2)),
        "unit",
    ),
    ("sigmoid", sigmoid, map_unary("Sigmoid"), lambda c, g: g * c.result * (1 - c.result), None),
    ("reciprocal", np.reciprocal, map_unary("Reciprocal"), lambda c, g: -g * c.result * c.result, positive),
    ("log2", np.log2, _log_base(2), lambda c, g: g / (c["self"] * math.log(2)), positive),
    ("log10", np.log10, _log_base(10), lambda c, g: g / (c["self"] * math.log(10)), positive),
    ("log1p", np.log1p, _floating(log1p_node), lambda c, g: g / (c["self"] + 1), positive),
    ("exp2", np.exp2, _floating(_exp2), lambda c, g: g * c.result * math.log(2), None),
    ("expm1", np.expm1, _floating(expm1_node), lambda c, g: g * (c.result + 1), None),
    ("erf", erf, map_unary("Erf"), lambda c, g: 2 / math.sqrt(math.pi) * (-c["self"].pow(2)).exp() * g, None),
    (
        "erfc",
        vector(math.erfc),
        _floating(_erfc),
        lambda c, g: -2 / math.sqrt(math.pi) * (-c["self"].pow(2)).exp() * g,
        None,
    ),
    (
        "lgamma",
        vector(_lgamma),
        unsupported("ONNX has no logarithm of the gamma function"),
        unsupported("the gradient of lgamma needs digamma"),
        positive,
    ),
]


def _asin(e: Emitter, x: Any) -> Any:
    # asin x = 2 atan(x / (1 + sqrt(1 - x²)))
    root = _one(e, "Sqrt", _one(e, "Sub", _c(e, 1), _one(e, "Mul", x, x)))
    return _one(e, "Mul", _c(e, 2), _atan(e, _one(e, "Div", x, _one(e, "Add", _c(e, 1), root))))


def _acos(e: Emitter, x: Any) -> Any:
    return _one(e, "Sub", _c(e, PI_2), _asin(e, x))


def _large(e: Emitter, a: Any, formula: Callable[[Emitter, Any], Any]) -> Any:
    """``formula`` of ``a``; where its squares could overflow, log(2a), to which it tends."""
    big = _one(e, "Greater", a, _c(e, 1e9))
    at_large = _one(e, "Add", _one(e, "Log", a), _c(e, math.log(2)))
    return _one(e, "Where", big, at_large, formula(e, _one(e, "Where", big, _c(e, 1), a)))


def _asinh(e: Emitter, x: Any) -> Any:
    return _one(e, "Mul", _one(e, "Sign", x), _large(e, _one(e, "Abs", x), _asinh_small))


def _asinh_small(e: Emitter, a: Any) -> Any:
    square = _one(e, "Mul", a, a)
    root = _one(e, "Sqrt", _one(e, "Add", square, _c(e, 1)))
    inner = _one(e, "Add", a, _one(e, "Div", square, _one(e, "Add", _c(e, 1), root)))
    return log1p_node(e, inner)


def _acosh(e: Emitter, x: Any) -> Any:
    return _large(e, x, _acosh_small)


def _acosh_small(e: Emitter, x: Any) -> Any:
    t = _one(e, "Sub", x, _c(e, 1))
    root = _one(e, "Mul", _one(e, "Sqrt", t), _one(e, "Sqrt", _one(e, "Add", t, _c(e, 2))))
    return log1p_node(e, _one(e, "Add", t, root))


def _atanh(e: Emitter, x: Any) -> Any:
    ratio = _one(e, "Div", _one(e, "Mul", _c(e, 2), x), _one(e, "Sub", _c(e, 1), x))
    return _one(e, "Mul", _c(e, 0.5), log1p_node(e, ratio))


def _inputs(kind: Any) -> Any:
    makers: dict[str, Callable[[], Array]] = {
        "unit": lambda: positive(3, 4, low=-0.9, high=0.9),
        "above": lambda: positive(3, 4, low=1.1, high=3.0),
    }
    if kind in ("unit", "above"):
        return unary_samples(makers[kind], integers=kind == "above")
    return unary_samples((lambda: positive(3, 4)) if kind is positive else None)


def tuple_grad(f: Any) -> Any:
    """A gradient of one tensor argument as the sequence that the protocol asks for."""
    return f if f is None or not callable(f) or hasattr(f, "why") else lambda ctx, g: (f(ctx, g),)


def zero_grad(ctx: Any, g: Any) -> Any:
    """The gradient of a step function."""
    return (ctx.op("aten::zeros_like", g),)


for _name, _kernel, _lower, _grad, _kind in _FLOAT:
    _o = declare(
        f"aten::{_name}(Tensor self) -> Tensor",
        floating(_kernel),
        types=float_like_self,
        onnx=_lower,
        grad=tuple_grad(_grad),
        samples=_inputs(_kind),
    )
    in_place(_o, of((positive(3, low=1.1) if _kind == "above" else positive(3, low=0.2, high=0.9),)))

_HALVES = of(
    (np.asarray([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.3, -0.0], np.float32),), (f8(3, 4),), (i8(4),), (f4(),), (f4(0, 2),)
)
for _name, _kernel, _lower in (
    ("floor", np.floor, map_unary("Floor", integers="same")),
    ("ceil", np.ceil, map_unary("Ceil", integers="same")),
    ("round", np.round, map_unary("Round", integers="same")),
    ("trunc", np.trunc, _trunc),
):
    in_place(
        declare(
            f"aten::{_name}(Tensor self) -> Tensor",
            keeping(_kernel),
            types=like_self,
            onnx=_lower,
            grad=zero_grad,
            samples=_HALVES,
        )
    )
in_place(
    declare(
        "aten::frac(Tensor self) -> Tensor",
        lambda x: x - np.trunc(x),
        types=like_self,
        onnx=_frac,
        grad=lambda ctx, g: (g,),
        samples=of((f4(5, scale=3),), (f8(3),)),
    )
)


def _round_decimals(self: Array, decimals: int) -> Any:
    if decimals == 0:
        return np.round(self)
    ten = self.dtype.type(10.0 ** abs(decimals))
    return np.round(self * ten) / ten if decimals > 0 else np.round(self / ten) * ten


def _lower_round(e: Emitter, call: LoweredCall) -> Any:
    x, decimals = call["self"], call["decimals"]
    dtype = e.dtype_of(x)
    ten = e.scalar(10.0 ** abs(decimals), dtype)
    before, after = ("Mul", "Div") if decimals > 0 else ("Div", "Mul")
    return typed(e, after, dtype, typed(e, "Round", dtype, typed(e, before, dtype, x, ten)), ten)


in_place(
    declare(
        "aten::round.decimals(Tensor self, *, int decimals) -> Tensor",
        _round_decimals,
        types=like_self,
        onnx=_lower_round,
        grad=zero_grad,
        grad_name="RoundBackward1",
        samples=of(S(f4(5, scale=10), decimals=1), S(f4(5, scale=99), decimals=-1)),
    )
)

_SIGNED = unary_samples()


def _negative(x: Array) -> Any:
    if x.dtype == np.bool_:
        raise BridgeError(
            "Negation, the `-` operator, on a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return np.negative(x)


_ABS = both(_SIGNED, of((i8(5),), (np.asarray([-0.0, math.nan, -math.inf], np.float32),)))
in_place(
    declare(
        "aten::abs(Tensor self) -> Tensor",
        np.abs,
        types=real_like_self,
        onnx=map_unary("Abs", integers="keep"),
        grad=lambda ctx, g: (g * ctx["self"].sgn(),),
        samples=_ABS,
    )
)
in_place(
    declare(
        "aten::neg(Tensor self) -> Tensor",
        _negative,
        types=like_self,
        onnx=map_unary("Neg", integers="keep"),
        grad=lambda ctx, g: (-g,),
        samples=both(_SIGNED, of((i8(5),))),
    )
)


def _sgn_grad(ctx: Any, g: Any) -> Any:
    """Zero, but for complex numbers: there what turns the sign is left, divided by the size."""
    x = ctx["self"]
    if not x.is_complex():
        return (ctx.op("aten::zeros_like", x),)
    sign, size = ctx.result, x.abs()
    along = ctx.op("aten::real", g * sign.conj())
    none = size == 0
    return (((g - sign * along) / (size + none)).masked_fill(none, 0),)


_sign_node = map_unary("Sign", integers="keep")


def _lower_sign(e: Emitter, call: LoweredCall) -> Any:
    """Sign, which torch has 0 of what is not a number."""
    x, sign = call["self"], _sign_node(e, call)
    if x.dtype.kind != "f":
        return sign
    return where(e, typed(e, "IsNaN", x.dtype, x, result=BOOL, dims=x.dims), e.scalar(0, x.dtype), sign, x.dtype)


for _name in ("sign", "sgn"):
    in_place(
        declare(
            f"aten::{_name}(Tensor self) -> Tensor",
            lambda x: x.copy() if x.dtype == np.bool_ else np.where(np.isnan(x), 0, np.sign(x)).astype(x.dtype),
            types=like_self,
            onnx=_lower_sign,
            grad=zero_grad if _name == "sign" else _sgn_grad,
            samples=both(_SIGNED, of((i8(5),))),
        )
    )
in_place(
    declare(
        "aten::square(Tensor self) -> Tensor",
        lambda x: x.astype(np.int64) if x.dtype == np.bool_ else np.square(x),
        types=lambda call: result(as_int(call.tensor("self").dtype), call.tensor("self").dims),
        onnx=_square,
        grad=lambda ctx, g: (g * (ctx["self"] * 2.0),),
        grad_name="PowBackward0",
        samples=_ABS,
    )
)
declare(
    "aten::frexp.Tensor(Tensor self) -> (Tensor mantissa, Tensor exponent)",
    np.frexp,
    types=lambda call: [like_self(call), result(INT32, call.tensor("self").dims)],
    onnx=unsupported("ONNX has no frexp"),
    grad=unsupported("the gradient of frexp is not written"),
)
declare(
    "aten::positive(Tensor(a) self) -> Tensor(a)",
    lambda x: x,
    types=like_self,
    onnx=map_unary("Identity", "keep"),
    grad=lambda c, g: (g,),
    samples=_SIGNED,
)

_SPECIAL = of((np.asarray([1, math.nan, math.inf, -math.inf, 0], np.float32),), (i8(3),), (f8(2, 2),))


def _test(op_type: str | None, negate: bool = False, **attributes: Any) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x = call["self"]
        if e.dtype_of(x).kind in "ib":
            false = e.op("Not", e.op("Equal", x, x, dtype=BOOL))
            return e.op("Not", false) if negate else false
        if op_type is not None:
            dtype = compute_dtype(op_type, e.dtype_of(x))
            assert dtype is not None
            return e.op(op_type, e.cast(x, dtype), dtype=BOOL, **attributes)
        return e.op("Not", e.op("Or", e.op("IsNaN", x, dtype=BOOL), typed(e, "IsInf", e.dtype_of(x), x, result=BOOL)))

    return lower


for _name, _kernel, _lower in (
    ("isnan", np.isnan, _test("IsNaN")),
    ("isinf", np.isinf, _test("IsInf")),
    ("isfinite", np.isfinite, _test(None, negate=True)),
    ("isposinf", np.isposinf, _test("IsInf", detect_negative=0)),
    ("isneginf", np.isneginf, _test("IsInf", detect_positive=0)),
):
    declare(f"aten::{_name}(Tensor self) -> Tensor", _kernel, types=bool_like_self, onnx=_lower, samples=_SPECIAL)


def _signbit(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    dtype = e.dtype_of(x)
    less = typed(e, "Less", dtype, x, e.scalar(0, dtype), result=BOOL)
    if dtype.kind != "f":
        return less
    # -0.0 has its sign bit set: 1 / x tells
    inverse = typed(e, "Less", dtype, typed(e, "Reciprocal", dtype, x), e.scalar(0, dtype), result=BOOL)
    return e.op("Or", less, inverse)


declare(
    "aten::signbit(Tensor self) -> Tensor",
    np.signbit,
    types=bool_like_self,
    onnx=_signbit,
    samples=of((f4(5),), (ints(-1, 0, 2),)),
)

for _node, _since in (
    ("Exp", 6), ("Log", 6), ("Sqrt", 6), ("Abs", 6), ("Neg", 6), ("Floor", 6), ("Ceil", 6), ("Round", 11), ("Sin", 7),
    ("Cos", 7), ("Tan", 7), ("Asin", 7), ("Acos", 7), ("Atan", 7), ("Sinh", 9), ("Cosh", 9), ("Asinh", 9), ("Acosh", 9),
    ("Atanh", 9), ("Erf", 9), ("Reciprocal", 6), ("Sign", 9), ("IsNaN", 9), ("IsInf", 10),
):  # fmt: skip
    reads(_node, f"aten::{_node.lower()}", since=_since)
