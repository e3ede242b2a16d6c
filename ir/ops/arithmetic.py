"""Arithmetic of two tensors, or a tensor and a number, and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.fits import overflow
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import lower_fitting
from bridge.ir.ops._declare import Array, declare, given, in_place
from bridge.ir.ops._onnx import BOOL, as_float, common, is_lowered, refuse_complex, typed, where
from bridge.ir.ops._samples import S, b1, f4, f8, i8, of
from bridge.ir.promotion import as_arrays, as_floats, to_dtype
from bridge.ir.readings import reads, with_number
from bridge.ir.registry import Lowering
from bridge.ir.rules import UNKNOWN, broadcast, float_broadcast, result

BINARY = of(
    S(f4(3, 4), f4(3, 4, seed=1)),
    S(f4(3, 1), f4(4, seed=1)),
    S(f4(2, 3), f4(seed=1)),
    S(f4(), i8(2, 3)),
    S(i8(4), i8(4, seed=1)),
    S(f4(3), f8(3)),
    S(i8(3), f4(2, 3)),
    S(f4(0, 3), f4(3)),
    S(i8(3, dtype=np.uint8, low=0), i8(3, dtype=np.int8, low=1)),
)
SCALAR = of((f4(3, 4), 2), (f4(3), -1.5), (i8(4), 3), (i8(4), 0.5), (f8(2), 2.5), (f4(), 2))
BOOLS = of((b1(4), b1(4, seed=1)), (b1(4), i8(4)))


def both(first: Callable[[], Any], second: Callable[[], Any]) -> Callable[[], Any]:
    """The samples of two families."""
    return lambda: [*first(), *second()]


def _scaled(other: Any, alpha: Any, dtype: Any) -> Any:
    if type(alpha) is int and alpha == 1:
        return other
    if (why := _wrong_alpha(by_numpy(dtype), alpha)) is not None:
        raise BridgeError(why)
    return other * to_dtype(alpha, dtype)


def _wrong_alpha(dtype: DType, alpha: Any) -> str | None:
    """What torch says of a factor that it does not take for tensors of that type."""
    if isinstance(alpha, bool) and dtype.kind != "b":
        return "Boolean alpha only supported for Boolean results."
    if isinstance(alpha, float) and dtype.kind in "ib":
        return "For integral input tensors, argument alpha must not be a floating point number."
    return overflow(alpha, dtype)


def add(self: Array, other: Any, alpha: Any = 1) -> Any:
    a, b = as_arrays(self, other)
    return np.add(a, _scaled(b, alpha, a.dtype))


def sub(self: Any, other: Any, alpha: Any = 1) -> Any:
    a, b = as_arrays(self, other)
    if a.dtype != np.bool_ and any(
        isinstance(v, bool) or (isinstance(v, np.ndarray) and v.dtype == np.bool_) for v in (self, other)
    ):
        raise BridgeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    if a.dtype == np.bool_:
        raise BridgeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    return np.subtract(a, _scaled(b, alpha, a.dtype))


def rsub(self: Any, other: Any, alpha: Any = 1) -> Any:
    return sub(other, self, alpha)


def mul(self: Any, other: Any) -> Any:
    return np.multiply(*as_arrays(self, other))


def div(self: Any, other: Any, rounding_mode: str | None = None) -> Any:
    a, b = as_arrays(self, other)
    if (why := _unrounded(by_numpy(a.dtype), rounding_mode)) is not None:
        raise BridgeError(why)
    if rounding_mode == "floor":
        return _floor_divide(a, b)
    if rounding_mode == "trunc":
        if a.dtype.kind in "iu":
            _check_divisor(b)
            return np.floor_divide(a, b) + ((np.remainder(a, b) != 0) & ((a < 0) ^ (b < 0))).astype(a.dtype)
        return np.trunc(np.divide(a, b))
    if rounding_mode is not None:
        raise BridgeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '" + rounding_mode + "'"
        )
    if a.dtype.kind in "iub":
        a, b = as_floats(self, other)
    return np.divide(a, b)


def _unrounded(dtype: DType, mode: str | None) -> str | None:
    return (
        f"\"div_{mode}_cpu\" not implemented for 'Bool'" if dtype.kind == "b" and mode in ("floor", "trunc") else None
    )


def _check_divisor(b: Array) -> None:
    if not np.all(b):
        raise BridgeError("ZeroDivisionError")


def _floor_divide(a: Array, b: Array) -> Any:
    if a.dtype.kind in "iub":
        _check_divisor(b)
        return np.floor_divide(a, b)
    # C++'s fmod-based division: like Python's, but x // 0 is x / 0 and not nan
    return np.where(b == 0, np.divide(a, b), np.floor_divide(a, b)).astype(a.dtype)


def floor_divide(self: Any, other: Any) -> Any:
    return _floor_divide(*as_arrays(self, other))


def remainder(self: Any, other: Any) -> Any:
    a, b = as_arrays(self, other)
    if a.dtype.kind in "iub":
        _check_divisor(b)
        return np.remainder(a, b)
    mod = np.fmod(a, b)
    return np.where((mod != 0) & ((b < 0) != (mod < 0)), mod + b, mod).astype(a.dtype)


def fmod(self: Any, other: Any) -> Any:
    a, b = as_arrays(self, other)
    if a.dtype.kind in "iub":
        _check_divisor(b)
    return np.fmod(a, b)


# -- lowerings -----------------------------------------------------------------------------------------------------


def _times_alpha(e: Emitter, dtype: DType, x: Any, alpha: Any) -> Any:
    known: Any = 0.5 if is_lowered(alpha) and alpha.dtype.kind == "f" else alpha
    if (why := _wrong_alpha(dtype, known)) is not None:
        e.unsupported(why)
    if is_lowered(alpha):
        return typed(e, "Mul", dtype, x, lower_fitting(e, alpha, dtype))
    return x if alpha == 1 else typed(e, "Mul", dtype, x, alpha)


def _lower_scaled(op_type: str, swapped: bool = False) -> Lowering:
    """``a op alpha * b``; bools add as ``or``."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = common(e, call, "self", "other")
        refuse_complex(e, dtype)
        a, b = call["self"], call["other"]
        if swapped:
            a, b = b, a
        b = _times_alpha(e, dtype, b, call["alpha"])
        if dtype.kind == "b":
            return e.op("Or", e.cast(a, dtype), e.cast(b, dtype))
        return typed(e, op_type, dtype, a, b)

    return lower


def _lower_mul(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    refuse_complex(e, dtype)
    if dtype.kind == "b":
        return e.op("And", e.cast(call["self"], dtype), e.cast(call["other"], dtype))
    return typed(e, "Mul", dtype, call["self"], call["other"])


def floor_div_node(e: Emitter, dtype: DType, a: Any, b: Any) -> Any:
    """Floor division: ONNX's integer Div truncates, so the sign of the remainder corrects it."""
    if dtype.kind != "f":
        if not dtype.is_signed:
            return typed(e, "Div", dtype, a, b)
        wide = dtype if dtype.name == "int64" else by_name("int64")  # in which a - r has its value
        a, b = (e.cast(e.cast(v, dtype), wide) for v in (a, b))
        r = typed(e, "Mod", wide, a, b)  # floors: has the sign of b
        return e.cast(typed(e, "Div", wide, typed(e, "Sub", wide, a, r), b), dtype)
    # torch: (a - fmod(a, b)) / b, rounded to the nearest integer below
    a, b = e.cast(a, dtype), e.cast(b, dtype)
    mod = typed(e, "Mod", dtype, a, b, fmod=1)
    d = typed(e, "Div", dtype, typed(e, "Sub", dtype, a, mod), b)
    zero = e.scalar(0.0, dtype)
    wrong = e.op(
        "And",
        e.op("Not", e.op("Equal", mod, zero, dtype=BOOL)),
        e.op("Xor", typed(e, "Less", dtype, b, zero, result=BOOL), typed(e, "Less", dtype, mod, zero, result=BOOL)),
    )
    d = where(e, wrong, typed(e, "Sub", dtype, d, e.scalar(1.0, dtype)), d, dtype)
    f = typed(e, "Floor", dtype, d)
    # the quotient may have been rounded to just under an integer
    f = where(
        e,
        typed(e, "Greater", dtype, typed(e, "Sub", dtype, d, f), e.scalar(0.5, dtype), result=BOOL),
        typed(e, "Add", dtype, f, e.scalar(1.0, dtype)),
        f,
        dtype,
    )
    plain = typed(e, "Div", dtype, a, b)
    return where(e, e.op("Equal", b, zero, dtype=BOOL), plain, f, dtype)


def _trunc_node(e: Emitter, dtype: DType, x: Any) -> Any:
    sign = typed(e, "Sign", dtype, x)
    return typed(e, "Mul", dtype, typed(e, "Floor", dtype, typed(e, "Abs", dtype, x)), sign)


def _lower_div(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    refuse_complex(e, dtype)
    mode = call["rounding_mode"] if "rounding_mode" in call.schema.index else None
    if (why := _unrounded(dtype, mode)) is not None:
        e.unsupported(why)
    if mode == "floor":
        return floor_div_node(e, dtype, call["self"], call["other"])
    if mode == "trunc":
        if dtype.kind != "f":
            return typed(e, "Div", dtype, call["self"], call["other"])
        return _trunc_node(e, dtype, typed(e, "Div", dtype, call["self"], call["other"]))
    return typed(e, "Div", as_float(dtype), call["self"], call["other"])


def _lower_floor_divide(e: Emitter, call: LoweredCall) -> Any:
    return floor_div_node(e, common(e, call, "self", "other"), call["self"], call["other"])


def remainder_node(e: Emitter, dtype: DType, a: Any, b: Any) -> Any:
    """The remainder with the divisor's sign: ONNX's integer Mod is that, its fmod has the dividend's sign."""
    if dtype.kind != "f":
        return typed(e, "Mod", dtype, a, b)
    a, b = e.cast(a, dtype), e.cast(b, dtype)
    mod = typed(e, "Mod", dtype, a, b, fmod=1)
    zero = e.scalar(0.0, dtype)
    other_sign = e.op(
        "Xor", typed(e, "Less", dtype, b, zero, result=BOOL), typed(e, "Less", dtype, mod, zero, result=BOOL)
    )
    wrong = e.op("And", e.op("Not", e.op("Equal", mod, zero, dtype=BOOL)), other_sign)
    return where(e, wrong, typed(e, "Add", dtype, mod, b), mod, dtype)


def _lower_remainder(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    refuse_complex(e, dtype)
    return remainder_node(e, dtype, call["self"], call["other"])


def _lower_fmod(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    return typed(e, "Mod", dtype, call["self"], call["other"], fmod=1)


# -- gradients -----------------------------------------------------------------------------------------------------


def _neg_scaled(g: Any, alpha: Any) -> Any:
    return -g if alpha == 1 else g * (-alpha)


def _add_grad(ctx: Any, g: Any) -> Any:
    return g, (g if ctx["alpha"] == 1 else g * ctx["alpha"])


def _sub_grad(ctx: Any, g: Any) -> Any:
    return g, _neg_scaled(g, ctx["alpha"])


def _rsub_grad(ctx: Any, g: Any) -> Any:
    return _neg_scaled(g, ctx["alpha"]), g


def _mul_grad(ctx: Any, g: Any) -> Any:
    return (g * ctx["other"] if ctx.needs["self"] else None, g * ctx["self"] if ctx.needs["other"] else None)


def _div_grad(ctx: Any, g: Any) -> Any:
    if given(ctx, "rounding_mode") and ctx["rounding_mode"] is not None:
        return ctx.op("aten::zeros_like", g), ctx.op("aten::zeros_like", g)
    other = ctx["other"]
    return (
        g / other if ctx.needs["self"] else None,
        -g * ((ctx["self"] / other) / other) if ctx.needs["other"] else None,
    )


def _remainder_grad(ctx: Any, g: Any) -> Any:
    q = ctx.op("aten::div.Tensor_mode", ctx["self"], ctx["other"], "floor") if ctx.needs["other"] else None
    return g, None if q is None else -g * q


def _fmod_grad(ctx: Any, g: Any) -> Any:
    q = ctx.op("aten::div.Tensor_mode", ctx["self"], ctx["other"], "trunc") if ctx.needs["other"] else None
    return g, None if q is None else -g * q


def first(f: Any) -> Any:
    """The gradient of an overload whose only tensor is self."""
    return lambda ctx, g: f(ctx, g)[:1]


# -- declarations --------------------------------------------------------------------------------------------------

_ALPHA_SAMPLES = of(
    S(f4(3), f4(3, seed=1), alpha=2), S(i8(3), i8(3, seed=2), alpha=-3), S(f4(3, 1), f4(2, seed=1), alpha=0.5)
)
_IN_PLACE = of(
    (f4(3, 4), f4(3, 4, seed=1)),
    (f4(2, 3), f4(3, seed=1)),
    (f4(2), f8(2)),
    (i8(3), i8(3, seed=1, low=1)),
    (f4(3), i8(3, low=1)),
)
_IN_PLACE_SCALAR = of((f4(3, 4), 2), (f4(3), -1.5), (i8(4), 3), (f8(2), 2.5))
WITH_TENSOR = "Tensor self, Tensor other"
WITH_NUMBER = "Tensor self, Scalar other"

_kernel: Any
for _name, _kernel, _node, _grad in (("add", add, "Add", _add_grad), ("sub", sub, "Sub", _sub_grad)):
    in_place(
        declare(
            f"aten::{_name}.Tensor({WITH_TENSOR}, *, Scalar alpha=1) -> Tensor",
            _kernel,
            types=broadcast,
            onnx=_lower_scaled(_node),
            grad=_grad,
            samples=both(BINARY, _ALPHA_SAMPLES),
        ),
        _IN_PLACE,
    )
    in_place(
        declare(
            f"aten::{_name}.Scalar({WITH_NUMBER}, Scalar alpha=1) -> Tensor",
            _kernel,
            types=broadcast,
            onnx=_lower_scaled(_node),
            grad=first(_grad),
            grad_name=f"{_name.capitalize()}Backward1",
            samples=SCALAR,
        ),
        _IN_PLACE_SCALAR,
    )
declare(
    f"aten::rsub.Tensor({WITH_TENSOR}, *, Scalar alpha=1) -> Tensor",
    rsub,
    types=broadcast,
    onnx=_lower_scaled("Sub", swapped=True),
    grad=_rsub_grad,
    samples=_ALPHA_SAMPLES,
)


def _lower_rsub(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    return typed(e, "Sub", dtype, call["other"], _times_alpha(e, dtype, call["self"], call["alpha"]))


declare(
    f"aten::rsub.Scalar({WITH_NUMBER}, Scalar alpha=1) -> Tensor",
    rsub,
    types=broadcast,
    onnx=_lower_rsub,
    grad=first(_rsub_grad),
    grad_name="RsubBackward1",
    samples=of((f4(3, 4), 2), (f4(3), -1.5), (i8(4), 3), (f4(2), 2, 3)),
)
in_place(
    declare(
        f"aten::mul.Tensor({WITH_TENSOR}) -> Tensor",
        mul,
        types=broadcast,
        onnx=_lower_mul,
        grad=_mul_grad,
        samples=both(BINARY, BOOLS),
    ),
    _IN_PLACE,
)
in_place(
    declare(
        f"aten::mul.Scalar({WITH_NUMBER}) -> Tensor",
        mul,
        types=broadcast,
        onnx=_lower_mul,
        samples=SCALAR,
        grad=lambda ctx, g: (g * ctx["other"],),
        grad_name="MulBackward1",
    ),
    _IN_PLACE_SCALAR,
)

_FLOAT_PLACE = of((f4(3, 4), f4(3, 4, seed=1)), (f4(2), f8(2)), (f4(3), i8(3, low=1)))
_FLOAT_SCALAR = of((f4(3, 4), 2), (f4(3), -1.5), (f8(2), 2.5))
_DIVISOR = of(
    (f4(3, 4), f4(3, 4, seed=1)),
    (i8(7, low=-9, high=9), i8(7, seed=1, low=1)),
    (i8(6), i8(6, low=-5, high=0)),
    (f4(3), i8(3, low=1)),
    (i8(4, dtype=np.int32), i8(4, low=1, dtype=np.uint8)),
    (f4(2, 1), f8(3)),
    (f4(0, 3), f4(3)),
)
_DIVISOR_SCALAR = of(
    (f4(3, 4), 2), (f4(3), -1.5), (i8(7, low=-9, high=9), 3), (i8(7, low=-9, high=9), -3), (i8(4), 0.5), (f8(2), 2.5)
)


def moded(samples: Callable[[], Any]) -> Callable[[], Any]:
    """The samples with each rounding mode."""
    return lambda: [S(*s.args, rounding_mode=m) for s in samples() for m in (None, "floor", "trunc")]


in_place(
    declare(
        f"aten::div.Tensor({WITH_TENSOR}) -> Tensor",
        div,
        types=float_broadcast,
        onnx=_lower_div,
        grad=_div_grad,
        samples=_DIVISOR,
    ),
    _FLOAT_PLACE,
)
in_place(
    declare(
        f"aten::div.Scalar({WITH_NUMBER}) -> Tensor",
        div,
        types=float_broadcast,
        onnx=_lower_div,
        samples=_DIVISOR_SCALAR,
        grad=lambda ctx, g: (g / ctx["other"],),
        grad_name="DivBackward1",
    ),
    _FLOAT_SCALAR,
)


def _mode_types(call: Any) -> Any:
    mode = call.known("rounding_mode")
    exact: Any = broadcast(call)
    divided = float_broadcast(call)
    if mode is UNKNOWN and exact != divided:
        return result(None, exact.dims)
    return divided if mode is None else exact


in_place(
    declare(
        f"aten::div.Tensor_mode({WITH_TENSOR}, *, str? rounding_mode) -> Tensor",
        div,
        types=_mode_types,
        onnx=_lower_div,
        grad=_div_grad,
        grad_name="DivBackward2",
        samples=moded(_DIVISOR),
    ),
    moded(_FLOAT_PLACE),
)
in_place(
    declare(
        f"aten::div.Scalar_mode({WITH_NUMBER}, *, str? rounding_mode) -> Tensor",
        div,
        types=_mode_types,
        onnx=_lower_div,
        grad=lambda ctx, g: (ctx.op("aten::zeros_like", g) if ctx["rounding_mode"] else g / ctx["other"],),
        grad_name="DivBackward3",
        samples=moded(_DIVISOR_SCALAR),
    ),
    moded(_FLOAT_SCALAR),
)
in_place(
    declare(
        f"aten::floor_divide({WITH_TENSOR}) -> Tensor",
        floor_divide,
        types=broadcast,
        onnx=_lower_floor_divide,
        samples=_DIVISOR,
    ),
    _FLOAT_PLACE,
    overload="Tensor",
)
in_place(
    declare(
        f"aten::floor_divide.Scalar({WITH_NUMBER}) -> Tensor",
        floor_divide,
        types=broadcast,
        onnx=_lower_floor_divide,
        samples=_DIVISOR_SCALAR,
    ),
    _FLOAT_SCALAR,
)
for _name, _kernel, _lower, _grad in (
    ("remainder", remainder, _lower_remainder, _remainder_grad),
    ("fmod", fmod, _lower_fmod, _fmod_grad),
):
    _scalar = {
        "kernel": _kernel,
        "types": broadcast,
        "onnx": _lower,
        "samples": _DIVISOR_SCALAR,
        "grad": lambda ctx, g: (g,),
    }
    _tensor = {"kernel": _kernel, "types": broadcast, "onnx": _lower, "samples": _DIVISOR, "grad": _grad}
    _camel = _name.capitalize()
    _rows: list[tuple[str, dict[str, Any], str, Any]] = [
        (f"aten::{_name}.Tensor({WITH_TENSOR}) -> Tensor", _tensor, f"{_camel}Backward1", _FLOAT_PLACE),
        (f"aten::{_name}.Scalar({WITH_NUMBER}) -> Tensor", _scalar, f"{_camel}Backward0", _FLOAT_SCALAR),
    ]
    for _schema, _common, _node, _samples in _rows if _name == "remainder" else _rows[::-1]:
        in_place(declare(_schema, **_common, grad_name=_node), _samples)
declare(
    "aten::remainder.Scalar_Tensor(Scalar self, Tensor other) -> Tensor",
    remainder,
    types=broadcast,
    onnx=_lower_remainder,
    samples=of((7, i8(4, low=1)), (2.5, f4(3))),
    grad=lambda ctx, g: _remainder_grad(ctx, g)[1:],
    grad_name="RemainderBackward1",
)

for _node, _name in (("Add", "add"), ("Sub", "sub"), ("Mul", "mul"), ("Div", "div")):
    reads(_node, f"aten::{_name}.Scalar", with_number, since=7)
    reads(_node, f"aten::{_name}.Tensor", since=7)
