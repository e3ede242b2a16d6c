"""Python numbers: arithmetic, comparisons, conversions and ``math`` on int, float and bool values of a program.

Kernels compute as the machine does, like TorchScript: ints wrap around at 64 bits, floats follow IEEE 754 (``1 / 0.0`` is
inf), and only integer division by zero raises. In ONNX they are 0-d int64, float64 and bool tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import to_int64
from bridge.ir.ops._declare import declare
from bridge.ir.ops._onnx import BOOL, FLOAT64, INT64, is_lowered, typed
from bridge.ir.ops._samples import of
from bridge.ir.ops.arithmetic import floor_div_node, remainder_node
from bridge.ir.registry import Sample, unsupported

_DTYPES = {"int": INT64, "float": FLOAT64, "bool": BOOL}
BY_PYTHON: dict[type, DType] = {bool: BOOL, int: INT64, float: FLOAT64}


def wrap_int(v: int) -> int:
    """An int as 64 bits hold it."""
    return v if -(1 << 63) <= v < (1 << 63) else ((v + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


def wrapped(f: Callable[..., Any]) -> Callable[..., Any]:
    low, high = -(1 << 63), 1 << 63

    def kernel(*args: Any) -> Any:
        r = f(*args)
        return wrap_int(r) if type(r) is int and not low <= r < high else r

    return kernel


def _nonzero(b: Any) -> None:
    if b == 0:
        raise ZeroDivisionError("division by zero")


def divide(a: Any, b: Any) -> Any:
    if isinstance(a, complex) or isinstance(b, complex):
        return a / b
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
    return float(a) / float(b)


def floordiv(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        _nonzero(b)
        return a // b
    return float(np.floor(divide(a, b)))


def _fmod(a: Any, b: Any) -> float:
    if b == 0 or math.isinf(a):
        return math.nan
    return math.fmod(a, b)


def remainder(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        _nonzero(b)
        return a % b
    r = _fmod(_fmod(a, b) + b, b)  # as TorchScript: fmod(b + fmod(a, b), b)
    return r


def trunc_div(a: int, b: int) -> int:
    _nonzero(b)
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def power(a: Any, b: Any) -> Any:
    if isinstance(a, complex) or isinstance(b, complex):
        return a**b
    if a == 0 and b < 0:
        raise BridgeError("0.0 cannot be raised to a negative power")
    with np.errstate(all="ignore"):
        return float(np.power(np.float64(a), np.float64(b)))


def int_power(a: int, b: int) -> int:
    if b < 0:
        return int(power(a, b))
    return wrap_int(pow(a, b, 1 << 64))


def real(f: Callable[[Any], Any]) -> Callable[..., float]:
    """A NumPy function on Python numbers: IEEE results instead of exceptions."""

    def kernel(*args: Any) -> float:
        with np.errstate(all="ignore"):
            return float(f(*[np.float64(a) for a in args]))

    return kernel


def guarded(f: Callable[..., float]) -> Callable[..., float]:
    def kernel(*args: Any) -> float:
        try:
            return float(f(*args))
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    return kernel


def _complex(f: Callable[[complex], complex]) -> Callable[[complex], complex]:
    return lambda a: f(a)


# -- lowerings ---------------------------------------------------------------------------------------------------------


def number_type(e: Emitter, call: LoweredCall, names: list[str]) -> DType:
    """The type in which two numbers meet: bool < int < float."""
    found = [e.dtype_of(call[n]) if not isinstance(call[n], float) else FLOAT64 for n in names]
    if any(d.kind == "f" for d in found):
        return FLOAT64
    return INT64


def _names(call: LoweredCall) -> list[str]:
    return [a.name for a in call.schema.arguments]


def binary_node(op_type: str, result: DType | None = None, as_type: DType | None = None) -> Any:
    """One node on two numbers."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        names = _names(call)
        dtype = as_type or number_type(e, call, names)
        return typed(e, op_type, dtype, *[e.scalar(call[n], dtype) for n in names], result=result, dims=())

    return lower


def _lower_power(e: Emitter, call: LoweredCall) -> Any:
    found = binary_node("Pow", as_type=FLOAT64)(e, call)
    a, b = (call[n] for n in _names(call))
    if (not is_lowered(a) and a != 0) or (not is_lowered(b) and b >= 0):
        return found
    zero = e.scalar(0.0, FLOAT64)
    fits = e.op("Not", e.op("Equal", e.scalar(a, FLOAT64), zero, dtype=BOOL, dims=()), dims=())
    positive = e.op("GreaterOrEqual", e.scalar(b, FLOAT64), zero, dtype=BOOL, dims=())
    fits = e.op("Or", fits, positive, dtype=BOOL, dims=())
    line = e.op("Reshape", found, np.asarray([1]), dims=(1,))
    # torch raises for such a power of zero; a Reshape that fails onnxruntime takes away before a Squeeze
    at = e.op("Where", fits, e.scalar(0, INT64), e.scalar(1, INT64), dtype=INT64, dims=())
    return e.op("Gather", line, at, axis=0, dims=())


def _lower_ne(e: Emitter, call: LoweredCall) -> Any:
    return e.op("Not", binary_node("Equal", BOOL)(e, call), dims=())


def _lower_floordiv(e: Emitter, call: LoweredCall) -> Any:
    a, b = _names(call)
    dtype = number_type(e, call, [a, b])
    if dtype is FLOAT64:
        return typed(e, "Floor", dtype, typed(e, "Div", dtype, e.scalar(call[a], dtype), e.scalar(call[b], dtype)))
    return floor_div_node(e, dtype, e.scalar(call[a], dtype), e.scalar(call[b], dtype))


def _lower_remainder(e: Emitter, call: LoweredCall) -> Any:
    a, b = _names(call)
    dtype = number_type(e, call, [a, b])
    return remainder_node(e, dtype, e.scalar(call[a], dtype), e.scalar(call[b], dtype))


def _lower_fmod(e: Emitter, call: LoweredCall) -> Any:
    a, b = _names(call)
    return typed(e, "Mod", FLOAT64, e.scalar(call[a], FLOAT64), e.scalar(call[b], FLOAT64), fmod=1)


def unary_node(op_type: str) -> Any:
    """A function of floats."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        from bridge.ir.registry import find

        x = e.scalar(call[_names(call)[0]], FLOAT64)
        o = find(f"aten::{op_type}")
        if o is None or not callable(o.onnx) or isinstance(o.onnx, str):
            e.unsupported(f"aten::{op_type} has no ONNX form")
        return o.onnx(e, _Renamed(call, o.schema, {"self": x}))

    return lower


class _Renamed:
    """The call of a tensor operator that does for a number what this one does."""

    def __init__(self, call: LoweredCall, schema: Any, values: dict[str, Any]) -> None:
        self.schema, self.results, self._values = schema, call.results, values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


def lower_to_int(op_type: str | None) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        v = call[_names(call)[0]]
        if e.dtype_of(v).kind in "ib":
            return e.scalar(v, INT64)
        x = e.scalar(v, FLOAT64)
        return to_int64(e, typed(e, op_type, FLOAT64, x) if op_type else x)

    return lower


def lower_keep(op_type: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        v = call[_names(call)[0]]
        dtype = FLOAT64 if isinstance(v, float) else e.dtype_of(v)
        dtype = INT64 if dtype.kind in "ib" else FLOAT64
        return typed(e, op_type, dtype, e.scalar(v, dtype), dims=())

    return lower


def _lower_logic(op_type: str, ints: str) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        a, b = (call[n] for n in _names(call))
        if call.schema.overload == "bool":
            return e.op(op_type, e.scalar(a, BOOL), e.scalar(b, BOOL), dims=())
        if e.opset < 18:
            e.unsupported(f"bitwise operators on integers need opset 18; this is {e.opset}")
        return e.op(ints, e.scalar(a, INT64), e.scalar(b, INT64), dims=())

    return lower


def _lower_shift(left: bool) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        a, b = (e.scalar(call[n], INT64) for n in _names(call))
        two = typed(e, "Pow", INT64, e.scalar(2, INT64), b, dims=())
        return typed(e, "Mul", INT64, a, two, dims=()) if left else floor_div_node(e, INT64, a, two)

    return lower


def lower_cast(dtype: DType) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        v = call[_names(call)[0]]
        if e.dtype_of(v) is dtype:
            return e.op("Identity", v, dims=())
        return e.cast(e.scalar(v, e.dtype_of(v) if not isinstance(v, float) else FLOAT64), dtype)

    return lower


NO_STRINGS = unsupported("ONNX programs have no strings that are made at run time")
NO_COMPLEX = unsupported("onnxruntime computes nothing in complex numbers")

# -- declarations ------------------------------------------------------------------------------------------------------

_VALUES: dict[str, list[Any]] = {
    "int": [7, -3, 2],
    "float": [2.5, -1.5, 0.25],
    "bool": [True, False],
    "Scalar": [3, 2.5, -2],
    "complex": [1 + 2j, 2 - 1j],
    "str": ["abc", "b"],
}


def pairs(a: str, b: str | None = None) -> Callable[[], list[Sample]]:
    """Samples of one or two numbers of those types."""

    def make() -> list[Sample]:
        if b is None:
            return [Sample(v) for v in _VALUES[a]]
        return [Sample(x, y) for x in _VALUES[a][:2] for y in _VALUES[b][-2:]]

    return make


def types_of(overload: str) -> tuple[str, str]:
    if overload in ("", "Scalar_Scalar"):
        return "Scalar", "Scalar"
    first, _, second = overload.partition("_")
    return first, second or first


def _result(a: str, b: str, rule: str) -> str:
    if rule != "promote":
        return rule
    order = ["int", "float", "complex", "Scalar", "str"]
    return max(a, b, key=order.index)


def family(
    name: str, overloads: str, rule: str, kernel: Any, onnx: Any, names: str = "a b", samples: bool = True
) -> None:
    """One operator on two numbers, an overload per word (``-`` is the one without name)."""
    first, second = names.split()
    for word in overloads.split():
        overload = "" if word == "-" else word
        a, b = types_of(overload)
        full = f"{name}.{overload}" if overload else name
        lowering = NO_COMPLEX if "complex" in (a, b) else NO_STRINGS if a == "str" else onnx
        declare(
            f"{full}({a} {first}, {b} {second}) -> {_result(a, b, rule)}",
            kernel,
            onnx=lowering,
            samples=pairs(a, b) if samples else None,
        )


_ALL = "int complex float int_complex complex_int float_complex complex_float int_float float_int -"


def _known_lists(f: Callable[..., list[Any]]) -> Any:
    """Lists whose length is known when the model is exported."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        a, b = (call[n] for n in _names(call))
        if any(not isinstance(v, list | tuple | int) or isinstance(v, bool) for v in (a, b)):
            e.unsupported("a list whose length is only known at run time is not joined or repeated in ONNX")
        return f(a, b)

    return lower


declare(
    "aten::add.t(t[] a, t[] b) -> t[]",
    lambda a, b: [*a, *b],
    onnx=_known_lists(lambda a, b: [*a, *b]),
    samples=of(([1, 2], [3])),
)
declare("aten::add.str(str a, str b) -> str", lambda a, b: a + b, onnx=NO_STRINGS, samples=of(("a", "b")))
family("aten::add", _ALL, "promote", wrapped(lambda a, b: a + b), binary_node("Add"))
family("aten::sub", _ALL, "promote", wrapped(lambda a, b: a - b), binary_node("Sub"))
declare(
    "aten::mul.left_t(t[] l, int n) -> t[]",
    lambda xs, n: list(xs) * n,
    onnx=_known_lists(lambda xs, n: list(xs) * n),
    samples=of(([1, 2], 2)),
)
declare(
    "aten::mul.right_(int n, t[] l) -> t[]",
    lambda n, xs: list(xs) * n,
    onnx=_known_lists(lambda n, xs: list(xs) * n),
    samples=of((2, [1, 2])),
)
family("aten::mul", _ALL, "promote", wrapped(lambda a, b: a * b), binary_node("Mul"))
for _overload in ("int", "complex", "float", ""):
    _t = _overload or "Scalar"
    _full = f"aten::div.{_overload}" if _overload else "aten::div"
    declare(
        f"{_full}({_t} a, {_t} b) -> {'complex' if _t == 'complex' else 'float'}",
        divide,
        onnx=NO_COMPLEX if _t == "complex" else binary_node("Div", as_type=FLOAT64),
        samples=pairs(_t, _t),
    )
family("aten::floordiv", "int float int_float float_int -", "promote", floordiv, _lower_floordiv)
family("aten::remainder", "int float int_float float_int -", "promote", remainder, _lower_remainder)
family("aten::fmod", "int float int_float float_int -", "float", _fmod, _lower_fmod)
family(
    "aten::mathremainder",
    "int float int_float float_int -",
    "float",
    guarded(math.remainder),
    unsupported("ONNX has no IEEE remainder"),
)
for _word in "int complex float int_float float_int float_complex complex_float Scalar_Scalar".split():
    family("aten::pow", _word, "complex" if "complex" in _word else "float", power, _lower_power)
declare("aten::pow.int_to_int(int a, int b) -> int", int_power, onnx=binary_node("Pow"))
declare(
    "aten::__round_to_zero_floordiv.int(int a, int b) -> int",
    trunc_div,
    onnx=binary_node("Div"),
    samples=of((7, 2), (-7, 2)),
)

_EQ = "int complex float int_float float_int float_complex complex_float - str"
_ORDER = "int float int_float float_int - str"


def _listed(name: str, f: Callable[[Any, Any], bool], first: bool) -> None:
    if first:
        declare(
            f"aten::{name}.int_list(int[] a, int[] b) -> bool",
            f,
            onnx=_LIST_EQUAL[name],
            samples=of(([1, 2], [1, 2]), ([1], [1, 2]), ([1, 2], [1, 3])),
        )
        declare(
            f"aten::{name}.device(Device a, Device b) -> bool",
            lambda a, b: f(str(a), str(b)),
            onnx=lambda e, call: f(call["a"], call["b"]),
        )
        declare(
            f"aten::{name}.bool(bool a, bool b) -> bool",
            f,
            onnx=_lower_eq_bool(name == "ne"),
            samples=of((True, False), (True, True)),
        )
        declare(
            f"aten::{name}.enum(AnyEnumType a, AnyEnumType b) -> bool", f, onnx=lambda e, call: f(call["a"], call["b"])
        )
        return
    for t, sample in (
        ("float", ([1.5], [1.5])),
        ("Tensor", None),
        ("bool", ([True], [False])),
        ("str", (["a"], ["a"])),
    ):
        declare(
            f"aten::{name}.{t}_list({t}[] a, {t}[] b) -> bool",
            f if t != "Tensor" else _tensor_lists(f(1, 1)),
            onnx=_LIST_EQUAL[name]
            if t in ("float", "bool")
            else unsupported(f"comparing lists of {t} is not exported"),
            samples=None if sample is None else of(sample),
        )


def _holds(a: Any) -> bool:
    if a.size != 1:
        raise BridgeError(
            f"Boolean value of Tensor with {'more than one value' if a.size else 'no values'} is ambiguous"
        )
    return bool(a.item())


def _tensor_lists(equal: bool) -> Any:
    def f(a: Any, b: Any) -> bool:
        if len(a) != len(b):
            return not equal
        return all(_holds(np.asarray(x == y)) for x, y in zip(a, b, strict=True)) == equal

    return f


def _lower_eq_bool(negate: bool) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        out = e.op("Equal", e.scalar(call["a"], BOOL), e.scalar(call["b"], BOOL), dtype=BOOL, dims=())
        return e.op("Not", out, dims=()) if negate else out

    return lower


def _list_equal(negate: bool) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        a, b = call["a"], call["b"]
        if isinstance(a, list | tuple) and isinstance(b, list | tuple):
            if len(a) != len(b):
                return negate
            out: Any = e.scalar(True, BOOL)
            for x, y in zip(a, b, strict=True):
                t = FLOAT64 if any(e.dtype_of(v).kind == "f" for v in (x, y)) else INT64
                out = e.op("And", out, e.op("Equal", e.scalar(x, t), e.scalar(y, t), dtype=BOOL, dims=()), dims=())
            return e.op("Not", out, dims=()) if negate else out
        e.unsupported("comparing lists whose length is only known at run time is not exported")

    return lower


_LIST_EQUAL = {"eq": _list_equal(False), "ne": _list_equal(True)}
for _name, _f, _lower in (
    ("eq", lambda a, b: a == b, binary_node("Equal", BOOL)),
    ("ne", lambda a, b: a != b, _lower_ne),
):
    _listed(_name, _f, True)
    family(f"aten::{_name}", _EQ, "bool", _f, _lower)
    _listed(_name, _f, False)
for _name, _cmp, _node in (
    ("lt", lambda a, b: a < b, "Less"),
    ("gt", lambda a, b: a > b, "Greater"),
    ("le", lambda a, b: a <= b, "LessOrEqual"),
    ("ge", lambda a, b: a >= b, "GreaterOrEqual"),
):
    family(f"aten::{_name}", _ORDER, "bool", _cmp, binary_node(_node, BOOL))

for _name, _f, _pick in (("min", min, "Min"), ("max", max, "Max")):

    def _extreme(a: Any, b: Any, f: Any = _f) -> Any:
        r = f(a, b)
        return float(r) if isinstance(a, float) != isinstance(b, float) else r

    def _of_list(xs: Any, f: Any = _f, name: str = _name) -> Any:
        if not xs:
            raise BridgeError(f"{name}() arg is an empty sequence")
        return f(xs)

    family(f"prim::{_name}", "int float int_float float_int -", "promote", _extreme, binary_node(_pick))
    for _t in ("int", "float", "bool"):
        _list_samples = (
            of(([3, 1, 2],)) if _t == "int" else of(([2.5, -1.0],)) if _t == "float" else of(([True, False],))
        )
        declare(
            f"prim::{_name}.{_t}_list({_t}[] l, {_t}[] r) -> {_t}[]",
            lambda a, b, f=_f: f(a, b),
            onnx=unsupported("comparing lists is not exported"),
        )
        declare(
            f"prim::{_name}.self_{_t}({_t}[] self) -> {_t}",
            _of_list,
            onnx=lambda e, call, p=_pick, t=_t: list_reduced(e, call["self"], p, _DTYPES[t]),
            samples=_list_samples,
        )


def list_reduced(e: Emitter, values: Any, which: str, dtype: DType) -> Any:
    """The least, greatest, sum, … of a list of numbers."""
    if isinstance(values, list | tuple):
        if not values:
            e.unsupported(f"{which.lower()} of an empty list")
        compute = INT64 if dtype is BOOL else dtype
        rows = [e.op("Reshape", e.scalar(v, compute), np.asarray([1], np.int64), dims=(1,)) for v in values]
        joined = rows[0] if len(rows) == 1 else e.op("Concat", *rows, axis=0, dims=(len(rows),))
    else:
        compute = INT64 if dtype is BOOL else dtype
        joined = e.cast(values, compute)
    if which != "Sum" and (joined.dims is None or not isinstance(joined.dims[0], int)):
        # TopK fails for an empty list, as Python does; a reduction would give a number.
        top, _ = e.op("TopK", joined, np.array([1], np.int64), outputs=2, axis=0, largest=int(which == "Max"), sorted=0,
                      dims=(1,), dtype=[compute, INT64])  # fmt: skip
        return e.cast(e.op("Squeeze", top, np.array([0], np.int64), dims=()), dtype)
    op_type = {"Min": "ReduceMin", "Max": "ReduceMax", "Sum": "ReduceSum"}[which]
    reduced = e.op(op_type, joined, keepdims=0, dims=())
    if which != "Sum" and not isinstance(values, list | tuple):  # of an empty list there is none: this fails then
        reduced = e.op(which, reduced, e.op("Gather", joined, np.asarray(0, np.int64), axis=0, dims=()), dims=())
    return e.cast(reduced, dtype if which != "Sum" or dtype is not BOOL else INT64)


for _t in ("int", "float", "complex", "bool"):
    _r = "int" if _t == "bool" else _t
    declare(
        f"aten::sum.{_t}({_t}[] self) -> {_r}",
        lambda xs, t=_t: sum(xs, 0.0 if t == "float" else 0),
        samples=None if _t == "complex" else of(([_VALUES[_t][0], _VALUES[_t][1]],)),
        onnx=NO_COMPLEX if _t == "complex" else lambda e, call, t=_t: list_reduced(e, call["self"], "Sum", _DTYPES[t]),
    )

# bool and bitwise
for _name, _f, _node in (
    ("and", lambda a, b: a & b, "And"),
    ("or", lambda a, b: a | b, "Or"),
    ("xor", lambda a, b: a ^ b, "Xor"),
):
    for _t in ("bool", "int"):
        declare(
            f"aten::__{_name}__.{_t}({_t} a, {_t} b) -> {_t}",
            _f,
            onnx=_lower_logic(_node, f"Bitwise{_node}"),
            samples=pairs(_t, _t),
        )
declare(
    "aten::__not__(bool self) -> bool",
    lambda a: not a,
    onnx=lambda e, call: e.op("Not", e.scalar(call["self"], BOOL), dims=()),
    samples=of((True,), (False,)),
)
for _name, _f, _left in (
    ("lshift", lambda a, b: wrap_int(a << b) if b < 64 else 0, True),
    ("rshift", lambda a, b: a >> b, False),
):
    declare(f"aten::__{_name}__.int(int a, int b) -> int", _f, onnx=_lower_shift(_left), samples=of((5, 2), (-5, 1)))
