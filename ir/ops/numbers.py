"""Conversions between numbers and tensors, ranges, and rarer functions of integers."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import to_int64
from bridge.ir.ops._declare import declare
from bridge.ir.ops._onnx import BOOL, FLOAT64, INT64, typed
from bridge.ir.ops._samples import of
from bridge.ir.ops.arithmetic import floor_div_node, remainder_node
from bridge.ir.ops.maths import to_int
from bridge.ir.ops.scalar import (
    BY_PYTHON,
    NO_COMPLEX,
    NO_STRINGS,
    family,
    guarded,
    lower_cast,
    number_type,
    pairs,
    types_of,
    wrap_int,
)
from bridge.ir.registry import unsupported


def _fitting(kind: str) -> Any:
    """``int()`` of what a tensor holds: of a float that 64 bits do not hold it fails, where TorchScript's own of a float does not."""

    def convert(a: Any) -> int:
        if isinstance(a, float) and not abs(a) <= 2.0**63:
            raise BridgeError(f"value cannot be converted to type {kind} without overflow")
        return to_int(a)

    return convert


def _lower_fitting(e: Emitter, call: LoweredCall) -> Any:
    v = call["a"]
    return to_int64(e, e.scalar(v, e.dtype_of(v) if not isinstance(v, float) else FLOAT64))


# conversions
_py: Any
for _name, _py, _dtype in (("Bool", bool, BOOL), ("Int", to_int, INT64), ("Float", float, FLOAT64)):
    _from = {"Bool": "int float", "Int": "bool float Scalar str", "Float": "Scalar int bool str"}[_name]
    _r = _name.lower()
    _of_one = _fitting("int64_t") if _py is to_int else _py

    def _item(a: np.ndarray[Any, Any], py: Any = _of_one) -> Any:
        if a.size != 1 and py is bool:
            count = "more than one value" if a.size else "no values"
            raise BridgeError(f"Boolean value of Tensor with {count} is ambiguous")
        if a.size != 1:
            raise BridgeError(f"a Tensor with {a.size} elements cannot be converted to Scalar")
        return py(a.reshape(()).item())

    def _lower_item(e: Emitter, call: LoweredCall, dtype: DType = _dtype) -> Any:
        x = call["a"]
        scalar = x if x.rank == 0 else e.op("Reshape", x, np.asarray([], np.int64), dims=())
        if dtype is INT64:
            scalar = to_int64(e, scalar)
        return e.cast(scalar, dtype) if x.dtype is not dtype or x.rank != 0 else e.op("Identity", x, dims=())

    declare(
        f"aten::{_name}.Tensor(Tensor a) -> {_r}",
        _item,
        onnx=_lower_item,
        samples=of((np.asarray(2, np.int64),), (np.asarray([[1.5]], np.float32),), (np.asarray(True),)),
    )
    for _t in _from.split():
        _of_tensor = (_name, _t) == ("Int", "Scalar")
        declare(
            f"aten::{_name}.{_t}({_t} a) -> {_r}",
            _fitting("int") if _of_tensor else _py,
            onnx=NO_STRINGS if _t == "str" else _lower_fitting if _of_tensor else lower_cast(_dtype),
            samples=of(("12",)) if _t == "str" else of((2.5,), (-1.5,)) if _t in ("float", "Scalar") else pairs(_t),
        )
for _name, _r, _py in (
    ("IntImplicit", "int", int),
    ("FloatImplicit", "float", float),
    ("ScalarImplicit", "Scalar", lambda v: v),
    ("ComplexImplicit", "complex", complex),
):

    def _implicit(a: np.ndarray[Any, Any], py: Any = _py, name: str = _name) -> Any:
        if a.ndim:
            raise BridgeError("Cannot input a tensor of dimension other than 0 as a scalar argument")
        if name == "IntImplicit" and a.dtype.kind not in "iu":
            raise BridgeError("Cannot input a tensor of type that is not integral as an integral argument")
        return py(a.item())

    def _lower_implicit(e: Emitter, call: LoweredCall, kind: str = _r) -> Any:
        x = call["a"]
        return (
            e.cast(x, {"int": INT64, "float": FLOAT64}.get(kind, x.dtype))
            if kind != "complex"
            else e.unsupported("onnxruntime computes nothing in complex numbers")
        )

    declare(
        f"aten::{_name}(Tensor a) -> {_r}",
        _implicit,
        onnx=_lower_implicit,
        samples=of((np.asarray(2, np.int64),)) if _name in ("IntImplicit", "ScalarImplicit") else None,
    )


def item(self: np.ndarray[Any, Any]) -> Any:
    """The only element, as a Python number."""
    if self.size != 1:
        raise BridgeError(f"a Tensor with {self.size} elements cannot be converted to Scalar")
    return self.reshape(()).item()


def _lower_scalar(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    out = e.op("Identity", x, dims=()) if x.rank == 0 else e.op("Reshape", x, np.asarray([], np.int64), dims=())
    wide = {"f": FLOAT64, "i": INT64}.get(x.dtype.kind, x.dtype)
    return e.cast(out, wide)


for _name in ("item", "_local_scalar_dense"):
    declare(
        f"aten::{_name}(Tensor self) -> Scalar",
        item,
        onnx=_lower_scalar,
        samples=of((np.asarray(2, np.int64),), (np.asarray([1.5], np.float32),), (np.asarray(True),)),
    )


def _number_tensor(a: Any) -> Any:
    return np.asarray(a, np.float64 if isinstance(a, float) else np.bool_ if isinstance(a, bool) else np.int64)


def _number_tensor_types(call: Any) -> Any:
    from bridge.ir.rules import UNKNOWN, result
    from bridge.ir.types import BOOL as B
    from bridge.ir.types import FLOAT as F
    from bridge.ir.types import INT as I

    t = call.types["a"]
    known = call.known("a")
    dtype = {I: INT64, F: FLOAT64, B: BOOL}.get(t)
    if dtype is None and known is not UNKNOWN:
        dtype = BY_PYTHON.get(type(known))
    return result(dtype, ())


def _lower_number_tensor(e: Emitter, call: LoweredCall) -> Any:
    v = call["a"]
    return e.constant(_number_tensor(v)) if not hasattr(v, "name") else e.op("Identity", v, dims=())


for _overload in ("Scalar", "bool"):
    declare(
        f"prim::NumToTensor.{_overload}({_overload} a) -> Tensor",
        _number_tensor,
        types=_number_tensor_types,
        onnx=_lower_number_tensor,
        samples=of((3,), (2.5,)) if _overload == "Scalar" else of((True,)),
    )


def _range_length(lo: int, hi: int, step: int) -> int:
    if step == 0:
        raise BridgeError("range() arg 3 must not be zero")
    return len(range(lo, hi, step))


def _lower_range_length(e: Emitter, call: LoweredCall) -> Any:
    lo, hi, step = (call[n] for n in ("lo", "hi", "step"))
    if isinstance(lo, int) and lo == 0 and isinstance(step, int) and step == 1:
        return typed(e, "Max", INT64, e.scalar(hi, INT64), e.scalar(0, INT64), dims=())
    # ceil((hi - lo) / step) = -floor((lo - hi) / step)
    down = floor_div_node(
        e, INT64, typed(e, "Sub", INT64, e.scalar(lo, INT64), e.scalar(hi, INT64), dims=()), e.scalar(step, INT64)
    )
    return typed(e, "Max", INT64, typed(e, "Neg", INT64, down), e.scalar(0, INT64), dims=())


declare(
    "aten::__range_length(int lo, int hi, int step) -> int",
    _range_length,
    onnx=_lower_range_length,
    samples=of((0, 5, 1), (1, 8, 3), (5, 0, -2), (3, 1, 1)),
)
declare(
    "aten::__derive_index(int index, int start, int step) -> int",
    lambda i, start, step: start + i * step,
    onnx=lambda e, call: typed(
        e,
        "Add",
        INT64,
        e.scalar(call["start"], INT64),
        typed(e, "Mul", INT64, e.scalar(call["index"], INT64), e.scalar(call["step"], INT64)),
        dims=(),
    ),
    samples=of(
        (2, 1, 3),
    ),
)
family("aten::gcd", "int", "int", math.gcd, unsupported("ONNX has no greatest common divisor"))
declare(
    "aten::factorial.int(int a) -> int",
    lambda a: wrap_int(math.factorial(a)) if a < 66 else 0,
    onnx=unsupported("ONNX has no factorial"),
    samples=of((5,)),
)
declare("aten::frexp(float a) -> (float, int)", math.frexp, onnx=unsupported("ONNX has no frexp"), samples=of((6.5,)))
declare(
    "aten::modf(float a) -> (float, float)", math.modf, onnx=unsupported("modf is not exported"), samples=of((6.5,))
)
declare(
    "aten::ldexp(float x, int i) -> float",
    guarded(math.ldexp),
    onnx=unsupported("ldexp is not exported"),
    samples=of((1.5, 3)),
)


def _divmod(a: Any, b: Any) -> Any:
    if isinstance(a, float) or isinstance(b, float):
        if b == 0:
            raise BridgeError("ZeroDivisionError: float divmod()")
        r = math.fmod(a, b)
        r = r + b if r and (r < 0) != (b < 0) else r
        return (a - r) / b, r
    if b == 0:
        raise BridgeError("ZeroDivisionError: integer division or modulo by zero")
    return a // b, a % b


def _lower_divmod(e: Emitter, call: LoweredCall) -> Any:
    dtype = number_type(e, call, ["x", "y"])
    if dtype.is_floating_point and not (isinstance(call["y"], int | float) and call["y"]):
        e.unsupported("the divisor of divmod may be zero, which raises")
    x, y = (e.scalar(call[n], dtype) for n in ("x", "y"))
    r = remainder_node(e, dtype, x, y)
    return typed(e, "Div", dtype, typed(e, "Sub", dtype, x, r), y), r


for _word, _r in (
    ("int", "(int, int)"),
    ("float", "(float, float)"),
    ("int_float", "(float, float)"),
    ("float_int", "(float, float)"),
):
    _a, _b = types_of(_word)
    declare(f"aten::divmod.{_word}({_a} x, {_b} y) -> {_r}", _divmod, onnx=_lower_divmod, samples=pairs(_a, _b))


def _part(x: Any) -> float:
    """A part of a complex number: a number, or a tensor of one element, whatever its dimensions."""
    return float(x.item() if isinstance(x, np.ndarray) else x)


for _other in ("float", "int", "bool"):
    for _a, _b in (("Tensor", _other), (_other, "Tensor")):
        declare(
            f"aten::Complex.{_a}_{_b}({_a} x, {_b} y) -> complex",
            lambda x, y: complex(_part(x), _part(y)),
            onnx=NO_COMPLEX,
        )
declare(
    "aten::Complex.Tensor_Tensor(Tensor a, Tensor b) -> complex",
    lambda a, b: complex(_part(a), _part(b)),
    onnx=NO_COMPLEX,
)
declare("aten::Complex.Scalar(Scalar a) -> complex", complex, onnx=NO_COMPLEX)
for _type in ("int", "float", "complex"):
    declare(f"aten::angle.{_type}({_type} a) -> float", cmath.phase, onnx=NO_COMPLEX)
for _type in ("int", "float"):
    declare(f"aten::polar.{_type}({_type} a, {_type} b) -> complex", cmath.rect, onnx=NO_COMPLEX)
declare("aten::polar.int_float(int a, float b) -> complex", cmath.rect, onnx=NO_COMPLEX)
declare("aten::polar.float_int(float a, int b) -> complex", cmath.rect, onnx=NO_COMPLEX)
for _word in "int_bool bool_int float_bool bool_float float_int int_float int_int bool_bool float_float".split():
    _a, _b = types_of(_word)
    declare(
        f"aten::Complex.{_word}({_a} x, {_b} y) -> complex",
        lambda x, y: complex(x, y),
        onnx=NO_COMPLEX,
        samples=pairs(_a, _b),
    )
