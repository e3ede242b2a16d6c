"""Bitwise operators, shifts, and functions of two tensors that are rarer than arithmetic: atan2, hypot, lerp, addcmul…"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.fits import finfo
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, in_place
from bridge.ir.ops._onnx import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    as_float,
    common,
    compute_dtype,
    is_lowered,
    typed,
    where,
)
from bridge.ir.ops._samples import S, b1, f4, f8, i8, of, positive
from bridge.ir.ops.arithmetic import floor_div_node
from bridge.ir.ops.pointwise import floating, tuple_grad
from bridge.ir.promotion import as_arrays, as_floats, to_dtype
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, broadcast, broadcast_dims, float_broadcast, like_self, promote_all, result

# -- bitwise -----------------------------------------------------------------------------------------------------------

_BITS = of((b1(4), b1(4, seed=1)), (i8(4), i8(4, seed=1)), (i8(2, 1), i8(3, dtype=np.int32)))
_BITS_SCALAR = of((i8(4), 6), (b1(3), True))
_NAMES = {"and": ("And", np.bitwise_and), "or": ("Or", np.bitwise_or), "xor": ("Xor", np.bitwise_xor)}


def bit_node(e: Emitter, which: str, dtype: DType, a: Any, b: Any) -> Any:
    """And, Or or Xor of bools, or of integers (from opset 18 on)."""
    if dtype.kind == "b":
        return e.op(which, e.cast(a, BOOL), e.cast(b, BOOL))
    if e.opset < 18:
        e.unsupported(f"bitwise operators on integers need opset 18; this is {e.opset}")
    return e.op(f"Bitwise{which}", e.cast(a, dtype), e.cast(b, dtype))


def _lower_bits(which: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        return bit_node(e, which, common(e, call, "self", "other"), call["self"], call["other"])

    return lower


for _word, (_node, _ufunc) in _NAMES.items():

    def _bits(a: Any, b: Any, ufunc: Any = _ufunc) -> Any:
        x, y = as_arrays(a, b)
        if x.dtype.kind not in "iub":
            raise BridgeError(
                f"\"{ufunc.__name__}_cpu\" not implemented for '{'Float' if x.dtype.itemsize == 4 else 'Double'}'"
            )
        return ufunc(x, y)

    for _name, _order in ((f"__{_word}__", ("Scalar", "Tensor")), (f"bitwise_{_word}", ("Tensor", "Scalar"))):
        for _overload in _order:
            _o = declare(
                f"aten::{_name}.{_overload}(Tensor self, {_overload} other) -> Tensor",
                _bits,
                types=broadcast,
                onnx=_lower_bits(_node),
                samples=_BITS if _overload == "Tensor" else _BITS_SCALAR,
            )
            if _name.startswith("bitwise"):
                in_place(_o, of((i8(4), i8(4, seed=1)) if _overload == "Tensor" else (i8(4), 6)))
            else:
                in_place_named = f"aten::__i{_word}__"
                declare(
                    f"{in_place_named}.{_overload}(Tensor(a!) self, {_overload} other) -> Tensor(a!)",
                    lambda a, b, f=_bits: _written(a, f(a, b)),
                    types=like_self,
                    onnx=lambda e, call, n=_node: e.cast(_lower_bits(n)(e, call), call["self"].dtype),
                )
    declare(
        f"aten::bitwise_{_word}.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
        _bits,
        types=broadcast,
        onnx=_lower_bits(_node),
        samples=of((6, i8(4))),
    )


def _written(out: Array, value: Any) -> Array:
    out[...] = value
    return out


def _not_node(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    if x.dtype.kind == "b":
        return e.op("Not", x)
    return (
        typed(e, "Sub", x.dtype, typed(e, "Neg", x.dtype, x), e.scalar(1, x.dtype))
        if x.dtype.is_signed
        else _unsigned_not(e, x)
    )


def _unsigned_not(e: Emitter, x: Any) -> Any:
    return typed(e, "Sub", x.dtype, e.scalar((1 << (8 * x.dtype.itemsize)) - 1, x.dtype), x)


in_place(
    declare(
        "aten::bitwise_not(Tensor self) -> Tensor",
        np.invert,
        types=like_self,
        onnx=_not_node,
        samples=of((b1(4),), (i8(4),), (i8(3, low=0, dtype=np.uint8),)),
    ),
    of((i8(4),)),
)


def _shift(left: bool) -> Any:
    def kernel(a: Any, b: Any) -> Any:
        x, y = as_arrays(a, b)
        if x.dtype.kind == "f":
            return (np.ldexp(x, y.astype(int)) if left else np.ldexp(x, -y.astype(int))).astype(x.dtype)
        wide = 8 * x.dtype.itemsize
        inside = (y >= 0) & (y < wide)
        safe = np.where(inside, y, 0)
        if left:
            return np.where(inside, np.left_shift(x, safe), 0).astype(x.dtype)
        return np.where(inside, np.right_shift(x, safe), np.where(x < 0, -1, 0)).astype(x.dtype)

    return kernel


#: 2 to the number of places, by the number: of 64 places and of more nothing is left.
_TWOS = np.asarray([2**k - (k == 63) * 2**64 for k in range(64)] + [0], np.int64)


def _lower_shift(left: bool) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = common(e, call, "self", "other")
        if dtype.kind != "i":
            e.unsupported("shifts of tensors that are not integers are not exported")
        x, by = (e.cast(e.cast(call[a.name], dtype), INT64) for a in call.schema.arguments[:2])
        if dtype.is_signed:  # by less than none nothing is left, either
            by = e.op("Where", e.op("Less", by, e.scalar(0, INT64), dtype=BOOL), e.scalar(64, INT64), by)
        by = e.op("Min", by, e.scalar(64, INT64))
        if left:
            return e.cast(e.op("Mul", x, e.op("Gather", _TWOS, by)), dtype)
        # 2 to the 63rd is no int64: what goes further than 62 places goes twice
        twice = e.op(
            "Where", e.op("Greater", by, e.scalar(62, INT64), dtype=BOOL), e.scalar(2, INT64), e.scalar(1, INT64)
        )
        near = e.op("Gather", _TWOS, e.op("Min", by, e.scalar(62, INT64)))
        x = floor_div_node(e, INT64, x, near)
        return e.cast(x if dtype.name != "int64" else floor_div_node(e, INT64, x, twice), dtype)

    return lower


for _word, _left in (("l", True), ("r", False)):
    _full = "left" if _left else "right"
    _rule: dict[str, Any] = {"types": broadcast, "onnx": _lower_shift(_left)}
    declare(
        f"aten::__{_word}shift__.Scalar(Tensor self, Scalar other) -> Tensor",
        _shift(_left),
        **_rule,
        samples=of((i8(4), 2)),
    )
    declare(
        f"aten::__{_word}shift__.Tensor(Tensor self, Tensor other) -> Tensor",
        _shift(_left),
        **_rule,
        samples=of((i8(4), i8(4, low=0, high=3))),
    )
    _moved, _lowered = _shift(_left), _lower_shift(_left)
    for _overload in ("Tensor", "Scalar"):
        declare(
            f"aten::__i{_word}shift__.{_overload}(Tensor(a!) self, {_overload} other) -> Tensor(a!)",
            lambda a, b, f=_moved: _written(a, f(a, b)),
            types=like_self,
            onnx=lambda e, call, f=_lowered: e.cast(f(e, call), call["self"].dtype),
        )
    in_place(
        declare(
            f"aten::bitwise_{_full}_shift.Tensor(Tensor self, Tensor other) -> Tensor",
            _shift(_left),
            **_rule,
            samples=of((i8(4), i8(4, low=0, high=3))),
        )
    )
    in_place(
        declare(
            f"aten::bitwise_{_full}_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor",
            _shift(_left),
            **_rule,
            samples=of((i8(4), 2)),
        )
    )
    declare(
        f"aten::bitwise_{_full}_shift.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
        _shift(_left),
        **_rule,
        samples=of((5, i8(4, low=0, high=3))),
    )

# -- of two tensors ----------------------------------------------------------------------------------------------------


def two_floats(f: Any) -> Any:
    """A kernel on two tensors that computes in floating point."""

    def kernel(a: Any, b: Any) -> Any:
        return f(*as_floats(a, b))

    return kernel


def atan2_node(e: Emitter, dtype: DType, y: Any, x: Any) -> Any:
    """The angle of (x, y): atan of the smaller over the larger, moved to its octant."""
    from bridge.ir.ops.pointwise import _atan

    y, x = e.cast(y, dtype), e.cast(x, dtype)

    def do(op_type: str, *xs: Any) -> Any:
        return typed(e, op_type, dtype, *xs)

    def const(v: float) -> Any:
        return e.scalar(v, dtype)

    ax, ay = do("Abs", x), do("Abs", y)
    steep = typed(e, "Greater", dtype, ay, ax, result=BOOL)
    small, big = where(e, steep, ax, ay, dtype), where(e, steep, ay, ax, dtype)
    zero = e.op("Equal", big, const(0.0), dtype=BOOL)
    infinite = [e.op("Equal", v, const(math.inf), dtype=BOOL) for v in (small, big)]
    both_infinite = e.op("And", *infinite, dtype=BOOL)
    ratio = do("Div", small, where(e, zero, const(1.0), big, dtype))
    ratio = where(e, both_infinite, const(1.0), ratio, dtype)
    angle = _atan(e, ratio) if compute_dtype("Atan", dtype) is None else do("Atan", ratio)
    angle = where(e, steep, do("Sub", const(math.pi / 2), angle), angle, dtype)
    angle = where(e, _negative(e, dtype, x), do("Sub", const(math.pi), angle), angle, dtype)
    return where(e, _negative(e, dtype, y), do("Neg", angle), angle, dtype)


def _negative(e: Emitter, dtype: DType, v: Any) -> Any:
    """Whether the sign bit is set, that of -0.0 included."""
    less = typed(e, "Less", dtype, v, e.scalar(0.0, dtype), result=BOOL)
    inverse = typed(e, "Less", dtype, typed(e, "Reciprocal", dtype, v), e.scalar(0.0, dtype), result=BOOL)
    return e.op("Or", less, inverse)


def _lower_atan2(e: Emitter, call: LoweredCall) -> Any:
    return atan2_node(e, as_float(common(e, call, "self", "other")), call["self"], call["other"])


def _atan2_grad(c: Any, g: Any) -> Any:
    y, x = c["self"], c["other"]
    size = x * x + y * y
    scaled = g * c.op("aten::masked_fill.Scalar", size.reciprocal(), size == 0, 0)
    return x * scaled, -y * scaled


_QUADRANTS = of(
    (f4(3, 4), f4(3, 4, seed=1)),
    (np.asarray([0, -0.0, 1, -1, 0, 0], np.float32), np.asarray([-1, -1, 0, 0, 0, 1], np.float32)),
    (i8(3), f4(3)),
    (f8(3), f8(3)),
)
_o = declare(
    "aten::atan2(Tensor self, Tensor other) -> Tensor",
    two_floats(np.arctan2),
    types=float_broadcast,
    onnx=_lower_atan2,
    grad=_atan2_grad,
    samples=_QUADRANTS,
)
in_place(_o, of((f4(3), f4(3))))
declare(
    "aten::arctan2(Tensor self, Tensor other) -> Tensor",
    lambda ops, a, b: ops("aten::atan2", a, b),
    composite=True,
    types=float_broadcast,
    onnx=_lower_atan2,
    samples=_QUADRANTS,
)


def _lower_hypot(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    a, b = (typed(e, "Mul", dtype, e.cast(call[n], dtype), e.cast(call[n], dtype)) for n in ("self", "other"))
    return typed(e, "Sqrt", dtype, typed(e, "Add", dtype, a, b))


in_place(
    declare(
        "aten::hypot(Tensor self, Tensor other) -> Tensor",
        lambda a, b: np.hypot(*as_arrays(a, b)),
        types=broadcast,
        onnx=_lower_hypot,
        grad=lambda c, g: (g * (c["self"] / c.result), g * (c["other"] / c.result)),
        samples=of((f4(3), f4(3, seed=1))),
    )
)


def _copysign_grad(c: Any, g: Any) -> Any:
    x, r = c["self"], c.result
    ratio = c.op("aten::where.self", x == 0, c.op("aten::zeros_like", r), r / x)
    return (g * ratio, c.op("aten::zeros_like", g))


def _lower_copysign(e: Emitter, call: LoweredCall) -> Any:
    dtype = as_float(common(e, call, "self", "other"))
    size = typed(e, "Abs", dtype, call["self"])
    return where(e, _negative(e, dtype, e.cast(call["other"], dtype)), typed(e, "Neg", dtype, size), size, dtype)


declare(
    "aten::copysign.Tensor(Tensor self, Tensor other) -> Tensor",
    two_floats(np.copysign),
    types=float_broadcast,
    onnx=_lower_copysign,
    grad=_copysign_grad,
    samples=of((f4(4), f4(4, seed=1)), (i8(3), f4(3))),
)
declare(
    "aten::copysign.Scalar(Tensor self, Scalar other) -> Tensor",
    two_floats(np.copysign),
    types=float_broadcast,
    onnx=_lower_copysign,
    grad=lambda c, g: _copysign_grad(c, g)[:1],
    grad_name="CopysignBackward1",
    samples=of((f4(4), -2)),
)


def _scales(x: DType, other: DType) -> bool:
    """Whether ldexp takes the exponent as an int32: a floating tensor's. Raises for those that it does not take."""
    if x.kind == "f" and other.kind == "b":
        raise BridgeError("\"ldexp_cpu_exp\" not implemented for 'Bool'")
    return x.kind == "f" and other.kind == "i"


def _ldexp(a: Array, b: Array) -> Any:
    scales, (x, y) = _scales(by_numpy(a.dtype), by_numpy(b.dtype)), as_floats(a, b)
    if not scales:
        return x * np.exp2(y)
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    return np.ldexp(wide, b.astype(np.int32)).astype(x.dtype)


def _lower_ldexp(e: Emitter, call: LoweredCall) -> Any:
    dtype, x, by = as_float(common(e, call, "self", "other")), call["self"], call["other"]
    try:
        scales = _scales(x.dtype, by.dtype)
    except BridgeError as error:
        e.unsupported(str(error))
    if not scales:
        return typed(e, "Mul", dtype, x, typed(e, "Pow", dtype, e.scalar(2.0, dtype), by))
    x, by = e.cast(x, FLOAT64), e.cast(e.cast(by, INT32), INT64)
    for _ in range(3):  # no power of two in float64 scales its least to its greatest
        part = e.op("Max", e.op("Min", by, e.scalar(1000, INT64)), e.scalar(-1000, INT64))
        x = e.op("Mul", x, e.op("Pow", e.scalar(2.0, FLOAT64), part))
        by = e.op("Sub", by, part)
        if dtype is not FLOAT64:
            break
    return e.cast(x, dtype)


declare(
    "aten::ldexp.Tensor(Tensor self, Tensor other) -> Tensor",
    _ldexp,
    types=float_broadcast,
    onnx=_lower_ldexp,
    samples=of((f4(3), i8(3))),
    grad=lambda c, g: (g * c.op("aten::pow.Scalar", 2, c["other"]), g * c.result * math.log(2)),
)


declare(
    "aten::gcd(Tensor self, Tensor other) -> Tensor",
    lambda a, b: np.gcd(*as_arrays(a, b)),
    types=broadcast,
    onnx=unsupported("ONNX has no greatest common divisor"),
    samples=of((i8(4), i8(4, seed=1))),
)


def _lower_logaddexp(e: Emitter, call: LoweredCall) -> Any:
    """max + log(1 + x), where x = e^(min - max) is at most 1 and log(1 + x) is 2·artanh(x / (2 + x))."""
    from bridge.ir.ops.pointwise import log1p_node

    dtype = common(e, call, "self", "other")
    a, b = e.cast(call["self"], dtype), e.cast(call["other"], dtype)
    top = typed(e, "Max", dtype, a, b)
    below = typed(e, "Sub", dtype, typed(e, "Min", dtype, a, b), top)
    same = e.op("Equal", a, b, dtype=BOOL)  # infinities, too
    x = typed(e, "Exp", dtype, where(e, same, e.scalar(0.0, dtype), below, dtype))
    if dtype is FLOAT64:  # onnxruntime has no artanh of these
        return typed(e, "Add", dtype, top, log1p_node(e, x))
    two = e.scalar(2.0, dtype)
    part = typed(e, "Atanh", dtype, typed(e, "Div", dtype, x, typed(e, "Add", dtype, two, x)))
    return typed(e, "Add", dtype, top, typed(e, "Mul", dtype, two, part))


declare(
    "aten::logaddexp(Tensor self, Tensor other) -> Tensor",
    lambda a, b: np.logaddexp(*as_arrays(a, b)),
    types=broadcast,
    onnx=_lower_logaddexp,
    grad=lambda c, g: (g / (1 + (c["other"] - c["self"]).exp()), g / (1 + (c["self"] - c["other"]).exp())),
    samples=of((f4(3), f4(3, seed=1))),
)


def _xlogy(a: Array, b: Array) -> Any:
    return np.where(np.isnan(b), np.nan, np.where(a == 0, 0, a * np.log(b))).astype(a.dtype)


def _lower_xlogy(e: Emitter, call: LoweredCall) -> Any:
    dtype = as_float(common(e, call, "self", "other"))
    a, b = e.cast(call["self"], dtype), e.cast(call["other"], dtype)
    zero = e.scalar(0.0, dtype)
    out = where(
        e, e.op("Equal", a, zero, dtype=BOOL), zero, typed(e, "Mul", dtype, a, typed(e, "Log", dtype, b)), dtype
    )
    return where(e, typed(e, "IsNaN", dtype, b, result=BOOL), b, out, dtype)


def _xlogy_grad(c: Any, g: Any) -> Any:
    a, b = c["self"], c["other"]
    dead = (a == 0).logical_and(b <= 0)
    return c.op("aten::where.self", dead, c.op("aten::zeros_like", g * a * b), g * b.log()), g * a / b


declare(
    "aten::xlogy.Tensor(Tensor self, Tensor other) -> Tensor",
    two_floats(_xlogy),
    types=float_broadcast,
    onnx=_lower_xlogy,
    grad=_xlogy_grad,
    samples=of((np.asarray([0, 1, 2], np.float32), positive(3))),
)

# -- of three ----------------------------------------------------------------------------------------------------------


def _three(call: Call) -> Results:
    parts = [
        call.tensor(a.name)
        for a in call.schema.arguments
        if a.name in ("self", "tensor1", "tensor2", "end", "weight") and str(a.type) == "Tensor"
    ]
    return result(promote_all(parts), broadcast_dims([t.dims for t in parts]))


def _addc(divide: bool) -> Any:
    def kernel(self: Array, t1: Array, t2: Array, value: Any = 1) -> Any:
        x, a, b = as_arrays(self, t1, t2)
        v = to_dtype(value, x.dtype)
        return x + v * (a / b) if divide else x + v * a * b

    return kernel


def _lower_addc(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = common(e, call, "self", "tensor1", "tensor2")
        x, a, b = (e.cast(call[n], dtype) for n in ("self", "tensor1", "tensor2"))
        wide = FLOAT32 if dtype.kind == "f" and dtype.itemsize == 2 else dtype
        if not is_lowered(call["value"]) and call["value"] == 1:
            product = typed(e, op_type, wide, a, b)
        elif op_type == "Mul":
            product = typed(e, "Mul", wide, typed(e, "Mul", wide, a, call["value"]), b)
        else:
            product = typed(e, "Mul", wide, typed(e, "Div", wide, a, b), call["value"])
        return e.cast(typed(e, "Add", wide, x, product), dtype)

    return lower


def _addcmul_grad(c: Any, g: Any) -> Any:
    scaled = g * c["value"]
    return g, scaled * c["tensor2"], scaled * c["tensor1"]


def _addcdiv_grad(c: Any, g: Any) -> Any:
    a, b = c["tensor1"], c["tensor2"]
    scaled = g * c["value"]
    return g, scaled / b, -scaled * a / (b * b)


_THREE = of((f4(3, 4), f4(3, 4, seed=1), positive(4)), S(f4(2), f4(2, seed=1), positive(2), value=0.5))
in_place(
    declare(
        "aten::addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
        _addc(False),
        types=_three,
        onnx=_lower_addc("Mul"),
        grad=_addcmul_grad,
        samples=_THREE,
    )
)
in_place(
    declare(
        "aten::addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
        _addc(True),
        types=_three,
        onnx=_lower_addc("Div"),
        grad=_addcdiv_grad,
        samples=_THREE,
    )
)


def _lerp(x: Array, end: Array, weight: Any) -> Any:
    w = to_dtype(weight, x.dtype)
    return np.where(np.abs(w) < 0.5, x + w * (end - x), end - (end - x) * (1 - w))


def _lower_lerp(e: Emitter, call: LoweredCall) -> Any:
    x, end, weight = call["self"], call["end"], call["weight"]
    dtype = x.dtype
    w = e.cast(weight, dtype)
    apart = typed(e, "Sub", dtype, end, x)
    near = typed(e, "Add", dtype, x, typed(e, "Mul", dtype, w, apart))
    far = typed(e, "Sub", dtype, end, typed(e, "Mul", dtype, apart, typed(e, "Sub", dtype, e.scalar(1.0, dtype), w)))
    return where(
        e, typed(e, "Less", dtype, typed(e, "Abs", dtype, w), e.scalar(0.5, dtype), result=BOOL), near, far, dtype
    )


in_place(
    declare(
        "aten::lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor",
        _lerp,
        types=_three,
        onnx=_lower_lerp,
        grad=lambda c, g: (g * (1 - c["weight"]), g * c["weight"]),
        samples=of((f4(3), f4(3, seed=1), 0.3), (f4(3), f4(3, seed=1), 0.8)),
    )
)
in_place(
    declare(
        "aten::lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor",
        _lerp,
        types=_three,
        onnx=_lower_lerp,
        grad_name="LerpBackward1",
        grad=lambda c, g: (g * (1 - c["weight"]), g * c["weight"], g * (c["end"] - c["self"])),
        samples=of((f4(3), f4(3, seed=1), positive(3))),
    )
)


def _nan_to_num(x: Array, nan: Any, posinf: Any, neginf: Any) -> Any:
    dtype = by_numpy(x.dtype)
    if dtype.kind not in "fc":
        return x.copy()
    limits = finfo(dtype)
    out = np.where(np.isnan(x), x.dtype.type(0 if nan is None else nan), x)
    out = np.where(out == np.inf, x.dtype.type(limits.max if posinf is None else posinf), out)
    return np.where(out == -np.inf, x.dtype.type(limits.min if neginf is None else neginf), out)


def _lower_nan_to_num(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    dtype = x.dtype
    if dtype.kind != "f":
        return e.op("Identity", x)
    limits = finfo(dtype)
    values = [
        call["nan"] or 0.0,
        float(limits.max) if call["posinf"] is None else call["posinf"],
        float(limits.min) if call["neginf"] is None else call["neginf"],
    ]
    out = where(e, typed(e, "IsNaN", dtype, x, result=BOOL), e.scalar(values[0], dtype), x, dtype)
    out = where(e, e.op("Equal", out, e.scalar(math.inf, dtype), dtype=BOOL), e.scalar(values[1], dtype), out, dtype)
    return where(e, e.op("Equal", out, e.scalar(-math.inf, dtype), dtype=BOOL), e.scalar(values[2], dtype), out, dtype)


def _finite_grad(c: Any, g: Any) -> Any:
    return c.op("aten::where.self", c["self"].isfinite(), g, c.op("aten::zeros_like", g))


in_place(
    declare(
        "aten::nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
        _nan_to_num,
        types=like_self,
        onnx=_lower_nan_to_num,
        grad=tuple_grad(_finite_grad),
        samples=of(
            (np.asarray([1, math.nan, math.inf, -math.inf], np.float32),),
            (np.asarray([math.nan, math.inf], np.float32), 1.0, 2.0),
            (i8(3),),
        ),
    )
)


def _isclose(a: Array, b: Array, rtol: float, atol: float, equal_nan: bool) -> Any:
    if a.dtype != b.dtype:
        raise BridgeError(f"{by_numpy(a.dtype).label} did not match {by_numpy(b.dtype).label}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise BridgeError(f"{name} must be greater than or equal to zero, but got {value}")
    return np.isclose(a, b, rtol, atol, equal_nan)


def _lower_isclose(e: Emitter, call: LoweredCall) -> Any:
    for name in ("rtol", "atol"):
        if isinstance(call[name], float) and call[name] < 0:
            e.unsupported(f"{name} must be greater than or equal to zero, but got {call[name]}")
    dtype = common(e, call, "self", "other")
    a, b = e.cast(call["self"], dtype), e.cast(call["other"], dtype)
    equal = e.op("Equal", a, b, dtype=BOOL)
    wide = as_float(dtype)
    allowed = typed(
        e,
        "Add",
        wide,
        e.scalar(call["atol"], wide),
        typed(e, "Abs", wide, typed(e, "Mul", wide, e.scalar(call["rtol"], wide), b)),
    )
    apart = typed(e, "Abs", wide, typed(e, "Sub", wide, a, b))
    finite = typed(e, "Less", wide, apart, e.scalar(math.inf, wide), result=BOOL)
    out = e.op("Or", equal, e.op("And", finite, typed(e, "LessOrEqual", wide, apart, allowed, result=BOOL)))
    if call["equal_nan"] and dtype.kind == "f":
        out = e.op(
            "Or", out, e.op("And", typed(e, "IsNaN", dtype, a, result=BOOL), typed(e, "IsNaN", dtype, b, result=BOOL))
        )
    return out


_CLOSE = of(
    (np.asarray([1, 2, math.nan, math.inf], np.float32), np.asarray([1.000001, 2.1, math.nan, math.inf], np.float32)),
    S(np.asarray([math.nan], np.float32), np.asarray([math.nan], np.float32), equal_nan=True),
)
_TAIL = "float rtol=1e-05, float atol=1e-08, bool equal_nan=False"
declare(
    f"aten::isclose(Tensor self, Tensor other, {_TAIL}) -> Tensor",
    _isclose,
    onnx=_lower_isclose,
    samples=_CLOSE,
    types=lambda call: result(BOOL, broadcast_dims([call.tensor("self").dims, call.tensor("other").dims])),
)


def _lower_allclose(e: Emitter, call: LoweredCall) -> Any:
    off = e.cast(e.op("Not", _lower_isclose(e, call)), INT64)
    return e.op("Equal", e.op("ReduceSum", off, keepdims=0, dims=()), e.scalar(0, INT64), dtype=BOOL, dims=())


declare(
    f"aten::allclose(Tensor self, Tensor other, {_TAIL}) -> bool",
    lambda a, b, r, t, n: bool(np.all(_isclose(a, b, r, t, n))),
    onnx=_lower_allclose,
    samples=_CLOSE,
)

__all__ = ["FLOAT32", "atan2_node", "bit_node", "floating", "two_floats"]
