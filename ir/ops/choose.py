"""Choosing between values: minimum and maximum, clamp, where; logical operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import lower_fitting
from bridge.ir.ops._declare import Array, declare, in_place
from bridge.ir.ops._onnx import BOOL, common, is_lowered, operand, typed, where
from bridge.ir.ops._samples import b1, f4, f8, i8, ints, of
from bridge.ir.ops.arithmetic import BINARY, both
from bridge.ir.promotion import NUMBER_TIER, as_arrays, result_dtype
from bridge.ir.readings import reads
from bridge.ir.rules import (
    bool_like_self,
    broadcast,
    broadcast_dims,
    broadcast_to_bool,
    operand_of_argument,
    result,
)
from bridge.ir.types import TensorType

# -- minimum, maximum, clamp, where ------------------------------------------------------------------------------------


def _extreme_grad(greater: str) -> Any:
    def grad(ctx: Any, g: Any) -> Any:
        a, b = ctx["self"], ctx["other"]
        zero = ctx.op("aten::zeros_like", ctx.op("aten::mul.Tensor", a == b, g))
        half, won = ctx.op("aten::where.self", a == b, g / 2, g), getattr(a, greater)(b)
        lost = getattr(b, greater)(a)
        return ctx.op("aten::where.self", lost, zero, half), ctx.op("aten::where.self", won, zero, half)

    return grad


def extreme_node(e: Emitter, op_type: str, dtype: Any, a: Any, b: Any) -> Any:
    """Min or Max that gives nan where either is nan (onnxruntime's may drop it), and works on bools."""
    if dtype.kind == "b":
        return e.op("And" if op_type == "Min" else "Or", e.cast(a, BOOL), e.cast(b, BOOL))
    return typed(e, op_type, dtype, a, b)


def _lower_extreme(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        return extreme_node(e, op_type, common(e, call, "self", "other"), call["self"], call["other"])

    return lower


_NANS = of(
    (np.asarray([1, math.nan, 2, math.nan], np.float32), np.asarray([0, 1, math.nan, math.nan], np.float32)),
    (b1(4), b1(4, seed=1)),
)
_ufunc: Any
for _name, _ufunc, _node, _won in (("maximum", np.maximum, "Max", "gt"), ("minimum", np.minimum, "Min", "lt")):

    def _extreme(a: Any, b: Any, ufunc: Any = _ufunc) -> Any:
        return ufunc(*as_arrays(a, b))

    for _full, _gn in (
        (_name, f"{_name.capitalize()}Backward0"),
        (f"{_name[:3]}.other", f"{_name.capitalize()}Backward0"),
    ):
        declare(
            f"aten::{_full}(Tensor self, Tensor other) -> Tensor",
            _extreme,
            types=broadcast,
            onnx=_lower_extreme(_node),
            grad=_extreme_grad(_won),
            grad_name=_gn,
            samples=both(BINARY, _NANS),
        )


def clamp(x: Array, low: Any = None, high: Any = None) -> Any:
    arrays = as_arrays(*[v for v in (x, low, high) if v is not None])
    r, rest = arrays[0], list(arrays[1:])
    if low is not None:
        r = np.maximum(r, rest.pop(0))
    return np.minimum(r, rest.pop(0)) if high is not None else r.copy() if r is x else r


def _lower_clamp(low: str | None, high: str | None) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        names = [n for n in (low, high) if n is not None and call[n] is not None]
        dtype = common(e, call, "self", *names)
        x = e.cast(call["self"], dtype)
        for n in names:  # Clip orders its bounds otherwise when low > high, and drops nans
            x = extreme_node(e, "Max" if n == low else "Min", dtype, x, _number(e, call, n, dtype))
        return x

    return lower


def _clamp_grad(low: str | None, high: str | None) -> Any:
    def grad(ctx: Any, g: Any) -> Any:
        x, mask = ctx["self"], None
        for name, inside in ((low, "ge"), (high, "le")):
            if name is not None and ctx[name] is not None:
                m = getattr(x, inside)(ctx[name])
                mask = m if mask is None else mask.logical_and(m)
        zero = ctx.op("aten::zeros_like", g)
        grads = [g if mask is None else ctx.op("aten::where.self", mask, g, zero)]
        for name, other, outside in ((low, high, "lt"), (high, low, "gt")):
            if name is None:
                continue
            bound = ctx[name]
            if not hasattr(bound, "shape"):
                grads.append(None)
                continue
            m = getattr(x, outside)(bound)
            if name == low and other is not None and hasattr(ctx[other], "shape"):
                m = m.logical_and(bound < ctx[other])
            if name == high and other is not None and hasattr(ctx[other], "shape"):
                m = m.logical_or(ctx[other] > bound)
            grads.append(ctx.op("aten::where.self", m, g, zero))
        return grads

    return grad


_CLAMP = of(
    (f4(3, 4), -0.5, 0.5),
    (f4(3, 4), None, 0.3),
    (f4(3, 4), 0.1),
    (i8(5), -2, 3),
    (i8(5), -1.5, 2),
    (f4(3), 1.0, -1.0),
    (np.asarray([math.nan, 1], np.float32), 0, 2),
)
_CLAMP_T = of(
    (f4(3, 4), f4(4, seed=1) - 1, f4(4, seed=1) + 1),
    (f4(3, 4), None, f4(3, 1, seed=1)),
    (f4(3), f4(3, seed=2)),
    (i8(4), f4(4), None),
)


def _first_only(f: Any) -> Any:
    return lambda ctx, g: f(ctx, g)[:1]


for _name in ("clamp", "clip"):
    in_place(
        declare(
            f"aten::{_name}(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor",
            clamp,
            types=broadcast,
            onnx=_lower_clamp("min", "max"),
            grad=_first_only(_clamp_grad("min", "max")),
            grad_name="ClampBackward1",
            samples=_CLAMP,
        ),
        of((f4(3, 4), -0.5, 0.5)),
    )
    in_place(
        declare(
            f"aten::{_name}.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor",
            clamp,
            types=broadcast,
            onnx=_lower_clamp("min", "max"),
            grad=_clamp_grad("min", "max"),
            grad_name="ClampBackward0",
            samples=_CLAMP_T,
        ),
        of((f4(3, 4), f4(4) - 1, f4(4) + 1)),
    )
for _name, _bound in (("clamp_min", "min"), ("clamp_max", "max")):

    def _one_sided(x: Array, bound: Any, low: bool = _bound == "min") -> Any:
        return clamp(x, bound, None) if low else clamp(x, None, bound)

    _low, _high = ("min", None) if _bound == "min" else (None, "max")
    for _overload, _type, _samples in (
        ("", "Scalar", of((f4(3, 4), 0.1), (i8(5), 1), (i8(3), 0.5))),
        (".Tensor", "Tensor", of((f4(3, 4), f4(4, seed=1)))),
    ):
        _camel = "".join(w.capitalize() for w in _name.split("_"))
        _g = _clamp_grad(_low, _high)
        in_place(
            declare(
                f"aten::{_name}{_overload}(Tensor self, {_type} {_bound}) -> Tensor",
                _one_sided,
                types=broadcast,
                onnx=_lower_clamp(_low, _high),
                grad=_g if _overload else _first_only(_g),
                grad_name=f"{_camel}Backward{1 if _overload else 0}",
                samples=_samples,
            ),
            of((f4(3, 4), f4(4, seed=1)) if _overload else (f4(3, 4), 0.1)),
        )


def where_kernel(condition: Array, a: Any, b: Any) -> Any:
    return np.where(condition.astype(bool), *as_arrays(a, b))


def _lower_where(e: Emitter, call: LoweredCall) -> Any:
    dtype = common(e, call, "self", "other")
    if dtype.kind == "b":  # onnxruntime's Where takes no bools
        c, a, b = e.cast(call["condition"], BOOL), e.cast(call["self"], BOOL), e.cast(call["other"], BOOL)
        return e.op("Or", e.op("And", c, a), e.op("And", e.op("Not", c), b))
    a, b = (_number(e, call, n, dtype) for n in ("self", "other"))
    return where(e, call["condition"], a, b, dtype)


def _number(e: Emitter, call: LoweredCall, name: str, dtype: DType) -> Any:
    """An argument; where it is a number of the run, one that fits into that type."""
    value = call[name]
    return lower_fitting(e, value, dtype) if is_lowered(value) and operand(e, call, name)[1] == NUMBER_TIER else value


def _where_types(call: Any) -> Any:
    parts = [call["condition"], call["self"], call["other"]]
    dims = broadcast_dims([t.dims if isinstance(t, TensorType) else () for t in parts])
    return result(result_dtype(operand_of_argument(call, n) for n in ("self", "other")), dims)


def _where_grad(ctx: Any, g: Any) -> Any:
    zero, c = ctx.op("aten::zeros_like", g), ctx["condition"]
    a = ctx.op("aten::where.self", c, g, zero) if hasattr(ctx["self"], "shape") else None
    b = ctx.op("aten::where.self", c, zero, g) if hasattr(ctx["other"], "shape") else None
    return [None, *[x for x, n in ((a, "self"), (b, "other")) if hasattr(ctx[n], "shape")]]


for _overload, _a, _b, _samples in (
    (
        "self",
        "Tensor self",
        "Tensor other",
        of(
            (b1(3, 4), f4(3, 4), f4(3, 4, seed=1)),
            (b1(3, 1), f4(4), f4()),
            (b1(3), i8(3), f4(3)),
            (b1(3), b1(3), b1(3, seed=4)),
            (b1(3), i8(3), f8()),
        ),
    ),
    ("ScalarSelf", "Scalar self", "Tensor other", of((b1(3), 2.0, f4(3)), (b1(3), 1, f4(3)))),
    ("ScalarOther", "Tensor self", "Scalar other", of((b1(3), f4(3), 0.5), (b1(3), i8(3), 1))),
    ("Scalar", "Scalar self", "Scalar other", of((b1(3), 1.5, 0.5), (b1(3), 1, 0))),
):
    declare(
        f"aten::where.{_overload}(Tensor condition, {_a}, {_b}) -> Tensor",
        where_kernel,
        types=_where_types,
        onnx=_lower_where,
        grad=_where_grad if _overload != "Scalar" else None,
        grad_name="WhereBackward0",
        samples=_samples,
    )

# -- logical and bitwise -----------------------------------------------------------------------------------------------

_LOGICAL = of((b1(4), b1(4, seed=1)), (f4(3), f4(3, seed=1) * 0), (i8(3, low=0, high=2), b1(3)), (b1(2, 1), b1(3)))


def _logical(op_type: str) -> Any:
    return lambda e, call: e.op(op_type, e.cast(call["self"], BOOL), e.cast(call["other"], BOOL))


for _name, _ufunc, _node in (
    ("and", np.logical_and, "And"),
    ("or", np.logical_or, "Or"),
    ("xor", np.logical_xor, "Xor"),
):
    in_place(
        declare(
            f"aten::logical_{_name}(Tensor self, Tensor other) -> Tensor",
            _ufunc,
            types=broadcast_to_bool,
            onnx=_logical(_node),
            samples=_LOGICAL,
        ),
        of((b1(4), b1(4, seed=1))),
    )
in_place(
    declare(
        "aten::logical_not(Tensor self) -> Tensor",
        np.logical_not,
        types=bool_like_self,
        onnx=lambda e, call: e.op("Not", e.cast(call["self"], BOOL)),
        samples=of((b1(4),), (f4(3),), (ints(0, 1, 2),)),
    ),
    of((b1(4),)),
)

reads("Where", "aten::where.self", since=9)
for _node, _name, _since in (
    ("Max", "maximum", 8),
    ("Min", "minimum", 8),
    ("And", "logical_and", 7),
    ("Or", "logical_or", 7),
):
    reads(_node, f"aten::{_name}", since=_since)
reads("Not", "aten::logical_not", since=1)
