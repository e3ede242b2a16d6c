"""What ONNX lowerings share: element types that operators can compute in, promotion, axes, shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name, default_dtype
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._element_types import refused
from bridge.ir.promotion import DIMENSIONED, NUMBER_TIER, UNKNOWN_TIER, ZERO_DIM, Operand, number_dtype, result_dtype
from bridge.ir.registry import Lowering, Operator, Unsupported
from bridge.ir.types import BOOL as BOOL_TYPE
from bridge.ir.types import FLOAT, INT, NUMBER, ListType, OptionalType, TensorType, Type

__all__ = [
    "BOOL",
    "FLOAT32",
    "FLOAT64",
    "INT32",
    "INT64",
    "NUMBERS",
    "axes_of",
    "axis_of",
    "common",
    "compare",
    "compute_dtype",
    "elementwise",
    "is_lowered",
    "known_rank",
    "lower_functional",
    "map_unary",
    "operand",
    "result_of",
    "scattered",
    "shape_vector",
    "typed",
    "where",
]

BOOL, INT32, INT64 = by_name("bool"), by_name("int32"), by_name("int64")
FLOAT32, FLOAT64 = by_name("float32"), by_name("float64")
NUMBERS = (bool, int, float, complex)

_BASE = "int32 int64 float16 float32 float64"
_WIDE = f"uint8 int8 {_BASE}"
_ALL = "uint8 int8 int16 int32 int64 float16 float32 float64 uint16 uint32 uint64"
_REAL = "float16 float32 float64"
_SINGLE = "float16 float32"

#: Element types with which onnxruntime's CPU provider runs an operator in every opset from 13 on (measured, 1.32), where
#: that is not every type. Others compute in the nearest type that holds theirs.
_COMPUTES: dict[str, str] = {
    "Neg": f"int8 int16 {_BASE}",
    "Relu": _REAL,
    "Abs": _ALL,
    "Sign": _ALL,
    "Mod": _ALL,
    "Softmax": _REAL,
    "LogSoftmax": _REAL,
    "Where": f"{_WIDE} uint32",
    "CumSum": "int32 int64 float32 float64",
    "Range": "int16 int32 int64 float32 float64",
    "Min": f"{_WIDE} uint32 uint64",
    "Max": f"{_WIDE} uint32 uint64",
    "Clip": f"{_WIDE} uint32 uint64",
    "TopK": f"{_WIDE} int16",
    "NonZero": "uint8 int32 int64 float16 float32 bool",
    "OneHot": "int64 float16 float32",
    "Expand": f"{_ALL} bool",
    "Tile": f"{_ALL} bool",
    "Pad": f"{_WIDE} bool uint32 uint64",
    "IsNaN": _REAL,
    "IsInf": "float32 float64",
    "Trilu": f"{_BASE} bool",
    "Unique": "int8 int64 float16 float32 float64",
    "Gemm": _REAL,
    "LayerNormalization": _REAL,
    "Equal": f"{_ALL} bool",
    "EyeLike": f"{_BASE} uint64",
    "BitShift": "uint8 uint16 uint32 uint64",
    "ReverseSequence": f"{_ALL} bool",
    "PRelu": _SINGLE,
    "Det": _SINGLE,
    "Conv": _SINGLE,
}
_COMPUTES |= dict.fromkeys("Sqrt Exp Log Sin Cos Tanh Sigmoid Floor Ceil Round Reciprocal".split(), _REAL)
_COMPUTES |= dict.fromkeys("Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Erf".split(), _SINGLE)
_COMPUTES |= dict.fromkeys("Softplus Elu LeakyRelu Selu HardSigmoid Softsign Gelu Mish HardSwish".split(), _SINGLE)
_COMPUTES |= dict.fromkeys("Add Sub Mul Div MatMul".split(), f"{_BASE} uint32 uint64")
_COMPUTES |= dict.fromkeys(
    "Pow Einsum ReduceSum ReduceMean ReduceProd ReduceL1 ReduceL2 ReduceSumSquare".split(), _BASE
)
_COMPUTES |= dict.fromkeys("ReduceMax ReduceMin ArgMax ArgMin".split(), _WIDE)
_COMPUTES |= dict.fromkeys("Less Greater LessOrEqual GreaterOrEqual".split(), _ALL)
_SETS = {op: frozenset(names.split()) for op, names in _COMPUTES.items()}

#: What scatters that reduce compute in, where onnxruntime has none for an element type.
_REDUCES = {"float16": FLOAT32, "bfloat16": FLOAT32, "bool": by_name("uint8")}

_WIDER: dict[str, tuple[str, ...]] = {
    "bool": ("uint8", "int32", "int64", "float32"),
    "uint8": ("int32", "int64", "float32"),
    "int8": ("int32", "int64", "float32"),
    "int16": ("int32", "int64", "float32"),
    "uint16": ("int32", "int64", "float32"),
    "int32": ("int64", "float64"),
    "uint32": ("int64", "float64"),
    "float16": ("float32",),
    "bfloat16": ("float32",),
}


#: Operators on integers that give the same in a wider type. Of all others the operands wrap before they are widened.
_MODULAR = frozenset(("Add", "Sub", "Mul", "Neg"))


def compute_dtype(op_type: str, dtype: DType) -> DType | None:
    """The element type in which ONNX computes ``op_type`` for values of ``dtype``; None when there is none."""
    found = _SETS.get(op_type)
    if found is None or dtype.name in found:
        return dtype
    return next((by_name(n) for n in _WIDER.get(dtype.name, ()) if n in found), None)


def is_lowered(value: Any) -> bool:
    """Whether a value is only known at run time."""
    return hasattr(value, "name") and hasattr(value, "dtype")


def typed(e: Emitter, op_type: str, dtype: DType, *inputs: Any, result: DType | None = None, **attributes: Any) -> Any:
    """One node on inputs cast to ``dtype``, computing in a type the operator has; cast back to ``result`` or ``dtype``."""
    compute = compute_dtype(op_type, dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no {op_type} for {dtype.name}")
    if compute is not dtype and dtype.kind == "i" and op_type not in _MODULAR:
        inputs = tuple(None if i is None else e.cast(i, dtype) for i in inputs)
    out = e.op(
        op_type, *[None if i is None else e.cast(i, compute) for i in inputs], dtype=result or compute, **attributes
    )
    return out if result is not None else e.cast(out, dtype)


def operand(e: Emitter, call: LoweredCall, name: str) -> Operand:
    """How an argument counts in type promotion."""
    value = call[name]
    declared = next(a.type for a in call.schema.arguments if a.name == name)
    if isinstance(declared, OptionalType):
        declared = declared.element
    if not isinstance(declared, TensorType) or isinstance(value, NUMBERS):
        return (value.dtype if is_lowered(value) else number_dtype(value)), NUMBER_TIER
    rank = value.rank if is_lowered(value) else np.ndim(value)
    tier = UNKNOWN_TIER if rank is None else DIMENSIONED if rank else ZERO_DIM
    return e.dtype_of(value), tier


def common(e: Emitter, call: LoweredCall, *names: str) -> DType:
    """The common element type of arguments (those that are None left out)."""
    present = [n for n in names if call[n] is not None]
    found = result_dtype(operand(e, call, n) for n in present)
    if found is None:
        result = call.results[0] if call.results else None
        if isinstance(result, TensorType) and result.dtype is not None and result.dtype.kind != "b":
            return result.dtype
        e.unsupported("the result's element type depends on a number of dimensions that is not known")
    return found


def as_float(dtype: DType) -> DType:
    """Integers and bools compute in the default type."""
    return dtype if dtype.kind in "fc" else default_dtype()


def result_of(call: LoweredCall, index: int = 0) -> TensorType:
    """The type that the type rule gave a tensor result."""
    t = call.results[index]
    assert isinstance(t, TensorType)
    return t


def refuse_complex(e: Emitter, dtype: DType) -> None:
    """Refuse what onnxruntime has no kernels for."""
    if dtype.kind == "c":
        e.unsupported("onnxruntime computes nothing in complex numbers")


def elementwise(op_type: str, *names: str, floating: bool = False) -> Lowering:
    """One node on the promoted arguments (``self`` and ``other`` when none are named)."""
    names = names or ("self", "other")

    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = common(e, call, *names)
        dtype = as_float(dtype) if floating else dtype
        refuse_complex(e, dtype)
        return typed(e, op_type, dtype, *[call[n] for n in names])

    return lower


def compare(op_type: str, negate: bool = False) -> Lowering:
    """A comparison: promoted arguments, bool result."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = common(e, call, *[a.name for a in call.schema.arguments[:2]])
        refuse_complex(e, dtype)
        out = typed(
            e, op_type, dtype, call[call.schema.arguments[0].name], call[call.schema.arguments[1].name], result=BOOL
        )
        return e.op("Not", out) if negate else out

    return lower


def map_unary(op_type: str, integers: str = "float", double: Any = None) -> Lowering:
    """One node on the first argument. ``integers``: ``float`` converts them to the default type, ``keep`` computes in
    their own, ``same`` returns them as they are. ``double`` is the lowering of float64 where ``op_type`` has none."""

    def lower(e: Emitter, call: LoweredCall) -> Any:
        value = call[call.schema.arguments[0].name]
        dtype = e.dtype_of(value)
        refuse_complex(e, dtype)
        if dtype.kind in "ib":
            if integers == "same":
                return e.op("Identity", e.cast(value, dtype))
            dtype = dtype if integers == "keep" else default_dtype()
        if dtype is FLOAT64 and double is not None and compute_dtype(op_type, dtype) is None:
            return double(e, e.cast(value, dtype))
        return typed(e, op_type, dtype, value)

    return lower


def where(e: Emitter, condition: Any, a: Any, b: Any, dtype: DType) -> Any:
    """``Where`` on values of that element type."""
    compute = compute_dtype("Where", dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Where for {dtype.name}")
    out = e.op("Where", e.cast(condition, BOOL), e.cast(a, compute), e.cast(b, compute), dtype=compute)
    return e.cast(out, dtype)


def known_rank(e: Emitter, value: Any, why: str) -> int:
    """The number of dimensions of a tensor. Refuses when it is not known."""
    rank = value.rank if is_lowered(value) else np.ndim(value)
    if rank is None:
        e.unsupported(f"{why} needs a tensor whose number of dimensions is known")
    return int(rank)


def axis_of(e: Emitter, value: Any, dim: Any, extra: int = 0) -> int:
    """A dimension argument as an ONNX axis: counted from the front where the rank is known.

    ``extra`` is 1 for operators whose result has one dimension more than ``value``.
    """
    if not isinstance(dim, int):
        e.unsupported("the dimension must be known when the model is exported")
    rank = value.rank
    if rank is None:
        return dim
    n = max(rank + extra, 1)
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return int(dim % n)


def axes_of(e: Emitter, value: Any, dims: Any, empty_is_all: bool = True) -> list[int] | None:
    """A list of dimensions as ONNX axes; None when it stands for all of them."""
    if dims is None or (empty_is_all and isinstance(dims, list | tuple) and not dims):
        return None
    found = [axis_of(e, value, d) for d in (dims if isinstance(dims, list | tuple) else [dims])]
    twice = next((a for a in found if found.count(a) > 1), None)
    if twice is not None and value.rank is not None:
        e.unsupported(f"dim {twice} appears multiple times in the list of dims")
    return found


def scattered(
    e: Emitter, op_type: str, x: Any, index: Any, values: Any, reduction: str | None, **attributes: Any
) -> Any:
    """ScatterElements or ScatterND, in an element type with which onnxruntime reduces."""
    dtype = x.dtype
    compute = _REDUCES.get(dtype.name, dtype) if reduction is not None else dtype
    x, values = e.cast(x, compute), e.cast(values, compute)
    return e.cast(e.op(op_type, x, index, values, reduction=reduction, dims=x.dims, **attributes), dtype)


def shape_vector(e: Emitter, sizes: Any) -> Any:
    """A list of sizes (a run-time one included) as a 1-D int64 tensor."""
    if isinstance(sizes, list | tuple):
        return e.ints(list(sizes))
    return sizes if is_lowered(sizes) and sizes.rank == 1 else e.ints([sizes])


def ints(*values: int) -> np.ndarray[Any, Any]:
    """A constant list of axes or sizes."""
    return np.asarray(values, np.int64)


def lower_functional(e: Emitter, call: LoweredCall, o: Operator) -> Any:
    """Lower a call as the operator ``o`` would be lowered."""
    if _has_complex(call):
        from bridge.ir.ops._complex import lower_complex

        return lower_complex(e, call, o)
    if (why := refused(o.full_name, [a.name for a in call.schema.arguments], call.__getitem__)) is not None:
        e.unsupported(why)
    if isinstance(o.onnx, Unsupported):
        e.unsupported(o.onnx.why)
    if o.onnx is None:
        e.unsupported(f"{o.schema.full_name} has no ONNX form yet")
    if isinstance(o.onnx, str):
        tensors = [call[a.name] for a in call.schema.arguments if isinstance(a.type, TensorType)]
        return e.op(o.onnx, *tensors, dtype=result_of(call).dtype)
    made = o.onnx(e, call)
    if len(o.schema.returns) == 1:
        _note_rank(made, o.schema.returns[0].type)
    elif isinstance(made, tuple):
        for m, r in zip(made, o.schema.returns, strict=True):
            _note_rank(m, r.type)
    return made


def _has_complex(call: LoweredCall) -> bool:
    """Whether an argument or a result is a tensor of complex numbers."""
    for r in call.results:
        if isinstance(r, TensorType) and r.dtype is not None and r.dtype.kind == "c":
            return True
    return any(_is_complex(call[a.name]) for a in call.schema.arguments)


def _is_complex(v: Any) -> bool:
    if isinstance(v, list | tuple):
        return any(map(_is_complex, v))
    return getattr(getattr(v, "dtype", None), "kind", "") == "c"


def _note_rank(made: Any, t: Type) -> None:
    """Numbers are 0-d, lists of numbers 1-D, whatever the nodes that make them say."""
    if is_lowered(made) and made.dims is None:
        if t in (INT, FLOAT, BOOL_TYPE, NUMBER):
            made.dims = ()
        elif isinstance(t, ListType) and t.element in (INT, FLOAT, BOOL_TYPE):
            made.dims = (None,)


def reduce_axes(e: Emitter, op_type: str, value: Any, axes: Sequence[int] | None, keepdim: bool) -> Any:
    """A reduction node: before opset 18 all but ReduceSum take their axes as an attribute."""
    keepdims = int(keepdim)
    if axes is None:
        return e.op(op_type, value, keepdims=keepdims, dims=() if not keepdim else None)
    if op_type == "ReduceSum" or e.opset >= 18:
        return e.op(op_type, value, ints(*axes), keepdims=keepdims)
    return e.op(op_type, value, axes=list(axes), keepdims=keepdims)
