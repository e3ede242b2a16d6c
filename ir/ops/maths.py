"""Python's ``math`` on the numbers of a program."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import declare
from bridge.ir.ops._onnx import BOOL, FLOAT64, typed
from bridge.ir.ops._samples import of
from bridge.ir.ops.scalar import (
    NO_COMPLEX,
    divide,
    family,
    guarded,
    lower_keep,
    lower_to_int,
    pairs,
    real,
    unary_node,
    wrap_int,
    wrapped,
)
from bridge.ir.registry import unsupported

# one number
_CMATH = {
    n: getattr(cmath, n)
    for n in "acos acosh asin asinh atan atanh cos cosh exp log log10 sin sinh sqrt tan tanh".split()
}
_REAL: dict[str, Callable[..., float]] = {
    "acos": real(np.arccos),
    "acosh": real(np.arccosh),
    "asin": real(np.arcsin),
    "asinh": real(np.arcsinh),
    "atan": real(np.arctan),
    "atanh": real(np.arctanh),
    "cos": real(np.cos),
    "cosh": real(np.cosh),
    "exp": real(np.exp),
    "log": real(np.log),
    "log10": real(np.log10),
    "sin": real(np.sin),
    "sinh": real(np.sinh),
    "sqrt": real(np.sqrt),
    "tan": real(np.tan),
    "tanh": real(np.tanh),
    "erf": guarded(math.erf),
    "erfc": guarded(math.erfc),
    "expm1": real(np.expm1),
    "log1p": real(np.log1p),
    "lgamma": guarded(math.lgamma),
    "gamma": guarded(math.gamma),
    "fabs": real(np.abs),
    "degrees": real(np.degrees),
    "radians": real(np.radians),
}


def _scaled_by(factor: float) -> Any:
    return lambda e, call: typed(e, "Mul", FLOAT64, e.scalar(call["a"], FLOAT64), e.scalar(factor, FLOAT64), dims=())


_UNARY_NODES: dict[str, Any] = {
    "fabs": lambda e, call: typed(e, "Abs", FLOAT64, e.scalar(call["a"], FLOAT64), dims=()),
    "degrees": _scaled_by(180 / math.pi),
    "radians": _scaled_by(math.pi / 180),
    "gamma": unsupported("ONNX has no gamma function"),
    "lgamma": unsupported("ONNX has no logarithm of the gamma function"),
    "erf": unsupported("onnxruntime has no error function of doubles"),
    "erfc": unsupported("onnxruntime has no error function of doubles"),
}


def _single(kernel: Callable[..., float]) -> Callable[..., float]:
    """The overload on a Scalar gives what a C++ float holds, in TorchScript as well."""
    return lambda a: float(np.float32(kernel(a)))


def _lower_single(lower: Any) -> Any:
    from bridge.ir.registry import Unsupported

    return (
        lower
        if isinstance(lower, Unsupported)
        else lambda e, call: e.cast(e.cast(lower(e, call), by_name("float32")), FLOAT64)
    )


for _name, _f in _REAL.items():
    _node = _UNARY_NODES.get(_name, unary_node(_name))
    for _t in ("int", "float", "complex", "Scalar"):
        if _t == "complex" and _name not in _CMATH:
            continue
        _r = {"complex": "complex", "Scalar": "Scalar"}.get(_t, "float")
        declare(
            f"aten::{_name}.{_t}({_t} a) -> {_r}",
            _CMATH[_name] if _t == "complex" else _single(_f) if _t == "Scalar" else _f,
            onnx=NO_COMPLEX if _t == "complex" else _lower_single(_node) if _t == "Scalar" else _node,
            samples=of((0.5,) if _t != "int" else (1,), (2.5,) if _t != "int" else (3,)) if _t != "complex" else None,
        )
for _word in "int_int float_float complex_complex int_float float_int int_complex complex_int float_complex complex_float Scalar_Scalar".split():

    def _log_base(a: Any, b: Any) -> Any:
        return (
            cmath.log(a) / cmath.log(b)
            if isinstance(a, complex) or isinstance(b, complex)
            else divide(_REAL["log"](a), _REAL["log"](b))
        )

    def _lower_log_base(e: Emitter, call: LoweredCall) -> Any:
        logs = [typed(e, "Log", FLOAT64, e.scalar(call[n], FLOAT64), dims=()) for n in ("a", "b")]
        return typed(e, "Div", FLOAT64, *logs, dims=())

    family("aten::log", _word, "complex" if "complex" in _word else "float", _log_base, _lower_log_base, samples=False)


def _atan2(e: Emitter, call: LoweredCall) -> Any:
    from bridge.ir.ops.logical import atan2_node

    y, x = (e.scalar(call[n], FLOAT64) for n in ("a", "b"))
    return atan2_node(e, FLOAT64, y, x)


family("aten::atan2", "int float int_float float_int Scalar_Scalar", "float", guarded(math.atan2), _atan2)
family(
    "aten::copysign",
    "int float int_float float_int -",
    "float",
    guarded(math.copysign),
    unsupported("copysign of numbers is not exported"),
)


def _to_whole(round_: Any) -> Any:
    """A rounding whose result must be an int64."""

    def rounded(a: Any) -> Any:
        if isinstance(a, float) and not abs(a) <= 2.0**63:
            raise BridgeError(f"Cannot convert float {a:f} to integer")
        return wrap_int(round_(a))

    return rounded


for _name, _f, _node in (("ceil", math.ceil, "Ceil"), ("floor", math.floor, "Floor")):
    for _t in ("int", "float", "Scalar"):
        declare(
            f"aten::{_name}.{_t}({_t} a) -> {'Scalar' if _t == 'Scalar' else 'int'}",
            _to_whole(_f),
            onnx=lower_to_int(_node),
            samples=of((2,), (-3,)) if _t == "int" else of((2.5,), (-2.5,)),
        )
for _t in ("int", "float", "Scalar"):
    declare(
        f"aten::round.{_t}({_t} a) -> {'Scalar' if _t == 'Scalar' else 'float'}",
        lambda a: float(np.round(np.float64(a))),
        samples=of((2,)) if _t == "int" else of((2.5,), (-0.7,), (3.5,)),
        onnx=lambda e, call: typed(e, "Round", FLOAT64, e.scalar(call["a"], FLOAT64), dims=()),
    )
for _name, _f, _node in (("aten::neg", wrapped(lambda a: -a), "Neg"), ("prim::abs", wrapped(abs), "Abs")):
    for _t in ("int", "float", "complex", "Scalar"):
        _r = "float" if _name == "prim::abs" and _t == "complex" else _t
        declare(
            f"{_name}.{_t}({_t} a) -> {_r}",
            _f,
            onnx=NO_COMPLEX if _t == "complex" else lower_keep(_node),
            samples=pairs(_t),
        )
declare(
    "prim::abs(Tensor x) -> Tensor",
    lambda ops, x: ops("aten::abs", x),
    composite=True,
    types=lambda call: call.tensor("x"),
    onnx=lambda e, call: typed(e, "Abs", e.dtype_of(call["x"]), call["x"]),
    samples=of((np.asarray([-1.5, 2.0], np.float32),)),
)
for _name, _f in (("isnan", math.isnan), ("isinf", math.isinf), ("isfinite", math.isfinite)):

    def _lower_test(e: Emitter, call: LoweredCall, name: str = _name) -> Any:
        x = e.scalar(call["a"], FLOAT64)
        nan, inf = e.op("IsNaN", x, dtype=BOOL, dims=()), e.op("IsInf", x, dtype=BOOL, dims=())
        return (
            nan if name == "isnan" else inf if name == "isinf" else e.op("Not", e.op("Or", nan, inf, dims=()), dims=())
        )

    declare(f"aten::{_name}.float(float a) -> bool", _f, onnx=_lower_test, samples=of((1.5,), (math.inf,), (math.nan,)))
    declare(f"aten::{_name}.complex(complex a) -> bool", getattr(cmath, _name), onnx=NO_COMPLEX)


def to_int(a: Any) -> int:
    if isinstance(a, str):
        return int(a)
    return int(a) if math.isfinite(a) and abs(a) < 2.0**63 else -(1 << 63)
