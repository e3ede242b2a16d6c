"""Tensors made from sizes, numbers and Python lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_code, by_name, by_numpy, default_dtype
from bridge.ir.errors import BridgeError
from bridge.ir.fits import fitting
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import holds, lower_fitting
from bridge.ir.ops._declare import Array, argument_dtype, declare, op
from bridge.ir.ops._onnx import INT64, is_lowered, result_of, shape_vector, typed
from bridge.ir.ops._samples import S, f4, f8, i8, of
from bridge.ir.promotion import complex_of, number_dtype, to_dtype
from bridge.ir.rules import UNKNOWN, Call, Results, dims_from_list, dtype_argument, promote_all, result
from bridge.ir.types import BOOL, COMPLEX, FLOAT, INT, ListType, TensorType, Type

_OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"
_MEMORY = "MemoryFormat? memory_format=None"


def _size(size: Any) -> tuple[int, ...]:
    sizes = (size,) if isinstance(size, int) else tuple(int(s) for s in size)
    if any(s < 0 for s in sizes):
        bad = next(s for s in sizes if s < 0)
        raise BridgeError(f"Trying to create tensor with negative dimension {bad}: {list(sizes)}")
    return sizes


def _full_of(size: tuple[int, ...], value: Any, dtype: np.dtype[Any] | None) -> Array:
    filled = np.asarray(value) if dtype is None else to_dtype(fitting(value, np.dtype(dtype)), np.dtype(dtype))
    return np.full(size, filled, filled.dtype)


def _sized(call: Call) -> Results:
    return result(dtype_argument(call, default_dtype()), dims_from_list(call.known("size")))


def constant_of_shape(e: Emitter, shape: Any, value: Any, dtype: DType) -> Any:
    """A tensor of that shape (a list or an int64 vector) filled with a number."""
    vector, value = shape_vector(e, shape), lower_fitting(e, value, dtype)
    if is_lowered(value):
        return (
            typed(e, "Expand", dtype, value, None) if vector is None else e.op("Expand", e.cast(value, dtype), vector)
        )
    filled = np.asarray([value]).astype(dtype.numpy)
    return e.op("ConstantOfShape", vector, dtype=dtype, value=filled)


def _filled(value: float, size: str = "size") -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = result_of(call).dtype
        if dtype is None:
            e.unsupported("the element type must be known when the model is exported")
        return constant_of_shape(e, call[size], value, dtype)

    return lower


_SIZES = of(([2, 3],), ([],), ([0, 2],), S([3], dtype=4), S([2], dtype=11), S([2, 2], dtype=7))

for _name, _make, _value in (("zeros", np.zeros, 0), ("ones", np.ones, 1)):

    def _fresh(
        size: Any, dtype: Any = None, layout: Any = None, device: Any = None, pin: Any = None, make: Any = _make
    ) -> Array:
        return make(_size(size), argument_dtype(dtype))  # type: ignore[no-any-return]

    declare(
        f"aten::{_name}(SymInt[] size, *, {_OPTIONS}) -> Tensor",
        _fresh,
        types=_sized,
        onnx=_filled(_value),
        samples=_SIZES,
    )


@op(f"aten::empty.memory_format(SymInt[] size, *, {_OPTIONS}, {_MEMORY}) -> Tensor", types=_sized, onnx=_filled(0))
def empty(
    size: Any, dtype: Any = None, layout: Any = None, device: Any = None, pin: Any = None, memory: Any = None
) -> Array:
    """Uninitialised in torch; zeros here, so that runs repeat."""
    return np.zeros(_size(size), argument_dtype(dtype))


def _full_dtype(value: Any, code: int | None) -> np.dtype[Any]:
    return argument_dtype(code, number_dtype(value))


def _full_types(call: Call) -> Results:
    value, t = call.known("fill_value"), call.types.get("fill_value")
    kinds = {INT: by_name("int64"), BOOL: by_name("bool"), FLOAT: default_dtype()}
    default = _infer_one(value) if value is not UNKNOWN else kinds.get(t)  # type: ignore[call-overload]
    return result(dtype_argument(call, default), dims_from_list(call.known("size")))


def _lower_full(e: Emitter, call: LoweredCall) -> Any:
    dtype = result_of(call).dtype
    if dtype is None:
        e.unsupported("the element type must be known when the model is exported")
    return constant_of_shape(e, call["size"], call["fill_value"], dtype)


@op(
    f"aten::full(SymInt[] size, Scalar fill_value, *, {_OPTIONS}) -> Tensor",
    types=_full_types,
    onnx=_lower_full,
    samples=of(([2, 3], 1.5), ([2], 7), ([2], True), S([3], 2, dtype=6), ([], 3.0)),
)
def full(
    size: Any, fill_value: Any, dtype: Any = None, layout: Any = None, device: Any = None, pin: Any = None
) -> Array:
    return _full_of(_size(size), fill_value, _full_dtype(fill_value, dtype))


# -- like another tensor -----------------------------------------------------------------------------------------------


def _like_types(call: Call) -> Results:
    t = call.tensor("self")
    return result(dtype_argument(call, t.dtype), t.dims)


def _lower_like(value: float | None) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        dtype = call["self"].dtype if call["dtype"] is None else by_code(call["dtype"])
        fill = call["fill_value"] if value is None else value
        return constant_of_shape(e, e.shape_of(call["self"]), fill, dtype)

    return lower


_LIKE = of((f4(2, 3),), (i8(3),), S(f4(2), dtype=4), (f4(),), (f8(0, 2),))
for _name, _value in (("zeros", 0), ("ones", 1), ("empty", 0)):

    def _likewise(self: Array, dtype: Any, *rest: Any, value: Any = _value) -> Array:
        return np.full(self.shape, value, argument_dtype(dtype, by_numpy(self.dtype)))

    declare(
        f"aten::{_name}_like(Tensor self, *, {_OPTIONS}, {_MEMORY}) -> Tensor",
        _likewise,
        types=_like_types,
        onnx=_lower_like(_value),
        samples=None if _name == "empty" else _LIKE,
    )


@op(
    f"aten::full_like(Tensor self, Scalar fill_value, *, {_OPTIONS}, {_MEMORY}) -> Tensor",
    types=_like_types,
    onnx=_lower_like(None),
    samples=of((f4(2, 3), 2), (i8(3), 1.7), S(f4(2), 1.5, dtype=7)),
)
def full_like(self: Array, fill_value: Any, dtype: Any = None, *rest: Any) -> Array:
    return _full_of(self.shape, fill_value, argument_dtype(dtype, by_numpy(self.dtype)))


def _new_types(call: Call) -> Results:
    return result(dtype_argument(call, call.tensor("self").dtype), dims_from_list(call.known("size")))


for _name, _value in (("zeros", 0), ("ones", 1), ("empty", 0)):

    def _new(self: Array, size: Any, dtype: Any, *rest: Any, value: Any = _value) -> Array:
        return np.full(_size(size), value, argument_dtype(dtype, by_numpy(self.dtype)))

    declare(
        f"aten::new_{_name}(Tensor self, SymInt[] size, *, {_OPTIONS}) -> Tensor",
        _new,
        types=_new_types,
        onnx=_filled(_value),
        samples=None if _name == "empty" else of((f4(2), [2, 3]), (i8(2), [2]), S(f4(2), [2], dtype=4)),
    )


@op(
    f"aten::new_full(Tensor self, SymInt[] size, Scalar fill_value, *, {_OPTIONS}) -> Tensor",
    types=_new_types,
    onnx=_lower_full,
    samples=of((f4(2), [2, 3], 2), (i8(2), [2], 1.5)),
)
def new_full(self: Array, size: Any, fill_value: Any, dtype: Any = None, *rest: Any) -> Array:
    return _full_of(_size(size), fill_value, argument_dtype(dtype, by_numpy(self.dtype)))


# -- ranges ------------------------------------------------------------------------------------------------------------


def arange_kernel(start: Any, end: Any, step: Any, dtype: Any) -> Array:
    """Start, start + step, … below end. Numbers all integers: int64, else the default type."""
    if dtype is None:
        integers = all(isinstance(v, int) for v in (start, end, step))
        wanted = np.dtype(np.int64) if integers else default_dtype().numpy
    else:
        wanted = argument_dtype(dtype)
    if wanted == np.int64:  # torch counts in int64 then, in numbers as they are for every other type
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise BridgeError("step must be nonzero")
    if (end - start) * step < 0:
        raise BridgeError("upper bound and lower bound inconsistent with step sign")
    n = max(0, math.ceil((end - start) / step))
    if wanted.kind in "iu":
        return np.asarray(int(start) + np.arange(n, dtype=np.int64) * int(step), wanted)
    return np.asarray(start + np.arange(n, dtype=np.float64) * step, wanted)


def _arange_types(call: Call) -> Results:
    start = call.known("start") if "start" in call.schema.index else 0
    end, step = call.known("end"), call.known("step") if "step" in call.schema.index else 1
    kinds = [call.types[n] for n in ("start", "end", "step") if n in call.schema.index and n in call.types]
    default: DType | None = None
    if all(k in (INT, FLOAT, BOOL) for k in kinds):
        default = default_dtype() if FLOAT in kinds else by_name("int64")
    known = all(isinstance(v, int | float) for v in (start, end, step))  # not UNKNOWN, not the name of a size
    if known and dtype_argument(call, default) == by_name("int64"):
        start, end, step = (int(v) if isinstance(v, float) else v for v in (start, end, step))
    length = max(0, math.ceil((end - start) / step)) if known and step else None
    return result(dtype_argument(call, default), (length,))


def _lower_arange(e: Emitter, call: LoweredCall) -> Any:
    names = call.schema.index
    start = call["start"] if "start" in names else 0
    end, step = call["end"], call["step"] if "step" in names else 1
    dtype = result_of(call).dtype
    if dtype is None:
        e.unsupported("the element type must be known when the model is exported")
    if not any(is_lowered(v) for v in (start, end, step)):
        return e.constant(arange_kernel(start, end, step, dtype.code))
    integers = all(e.dtype_of(v).kind in "ib" for v in (start, end, step))
    compute = INT64 if integers or dtype == INT64 else by_name("float64")
    first, last, by = (e.scalar(v, compute) for v in (start, end, step))
    out = e.op("Range", first, last, by, dtype=compute)
    if compute != INT64 and dtype.kind in "iu":  # as many as there are numbers, but in whole steps from a whole one
        places = e.op(
            "Range", e.scalar(0, INT64), e.op("Size", out, dtype=INT64, dims=()), e.scalar(1, INT64), dtype=INT64
        )
        out = e.op("Add", e.op("Mul", places, e.cast(by, INT64)), e.cast(first, INT64))
    from_zero = not is_lowered(start) and start == 0 and not is_lowered(step) and step > 0
    if not (from_zero and _least(end) >= 0):  # torch raises for an end that is never reached
        if is_lowered(step):
            first, last = e.scalar(0, compute), e.op("Mul", e.op("Sub", last, first), e.op("Sign", by), dims=())
        order = "LessOrEqual" if not is_lowered(step) and step < 0 else "GreaterOrEqual"
        out = holds(e, out, e.op(order, last, first, dtype=by_name("bool"), dims=()))
    return e.cast(out, dtype)


def _least(value: Any) -> int:
    """The least that a number of run time can be, where that is known; else -1."""
    least = getattr(value, "least", None)
    return -1 if least is None else int(least)


_ARANGE: dict[str, Any] = {"types": _arange_types, "onnx": _lower_arange}
declare(
    f"aten::arange(Scalar end, *, {_OPTIONS}) -> Tensor",
    lambda end, dtype, *_: arange_kernel(0, end, 1, dtype),
    **_ARANGE,
    samples=of((5,), (0,), (2.5,), S(4, dtype=6), S(8.5, dtype=4), S(8.5, dtype=3)),
)
declare(
    f"aten::arange.start(Scalar start, Scalar end, *, {_OPTIONS}) -> Tensor",
    lambda start, end, dtype, *_: arange_kernel(start, end, 1, dtype),
    **_ARANGE,
    samples=of((2, 5), (-1.5, 2), S(1, 4, dtype=7)),
)
declare(
    f"aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, {_OPTIONS}) -> Tensor",
    lambda start, end, step, dtype, *_: arange_kernel(start, end, step, dtype),
    **_ARANGE,
    samples=of(
        (0, 10, 3), (5, 0, -2), (0, 1, 0.3), S(0, 5, 2, dtype=6), S(2.7, 8.2, 1.2, dtype=4), S(2.7, 8.2, 1.2, dtype=3)
    ),
)


def spaced_dtype(name: str, code: int | None, start: Any, end: Any) -> np.dtype[Any]:
    """The element type of numbers from start to end. Raises BridgeError for complex ones as real numbers."""
    if not isinstance(start, complex) and not isinstance(end, complex):
        return argument_dtype(code)
    made = complex_of(default_dtype())
    if code is not None and by_code(code).kind != "c":
        raise BridgeError(
            f"{name}(): inferred dtype {made.label} can't be safely cast to passed dtype {by_code(code).label}"
        )
    return argument_dtype(code, made)


def spaced_types(call: Call) -> Results:
    """Of ``linspace`` and ``logspace``."""
    steps = call.known("steps")
    default = complex_of(default_dtype()) if COMPLEX in (call["start"], call["end"]) else default_dtype()
    return result(dtype_argument(call, default), (None if steps is UNKNOWN else steps,))


def linspace_kernel(start: Any, end: Any, steps: int, dtype: Any = None, *rest: Any) -> Array:
    """``steps`` numbers from start to end, computed from both ends as torch does."""
    wanted = spaced_dtype("linspace", dtype, start, end)
    if steps <= 1:
        return np.full((steps,), start, wanted)
    i = np.arange(steps)
    compute = wanted.type if wanted.kind in "fc" else np.float32
    width = compute((end - start) / (steps - 1))
    low, high = compute(start) + width * i.astype(compute), compute(end) - width * (steps - 1 - i).astype(compute)
    return np.where(i < steps // 2, low, high).astype(wanted)


def _lower_linspace(e: Emitter, call: LoweredCall) -> Any:
    start, end, steps = values = [call[n] for n in ("start", "end", "steps")]
    for name, v in (("start", start), ("end", end)):
        if is_lowered(v) and v.rank:
            e.unsupported(
                f"linspace only supports 0-dimensional start and end tensors, but got {name} with {v.rank} dimension(s)."
            )
    dtype = result_of(call).dtype
    assert dtype is not None
    if not any(is_lowered(v) for v in values):
        return e.constant(linspace_kernel(*values, dtype.code))
    wide, flag = by_name("float64"), by_name("bool")
    compute = dtype if dtype.name == "float64" else by_name("float32")
    n, one = e.scalar(steps, INT64), e.scalar(1, INT64)
    at = e.op("Range", e.scalar(0, INT64), n, one, dtype=INT64)
    if is_lowered(steps) and _least(steps) < 0:
        at = holds(e, at, e.op("GreaterOrEqual", n, e.scalar(0, INT64), dtype=flag, dims=()))
    last = e.op("Sub", n, one, dims=())
    first, final = (e.scalar(v, wide) for v in (start, end))
    width = e.op("Div", e.op("Sub", final, first, dims=()), e.cast(e.op("Max", last, one, dims=()), wide), dims=())
    width = e.cast(width, compute)

    def away(count: Any) -> Any:
        return e.op("Mul", width, e.cast(count, compute), dims=(None,))

    low = e.op("Add", e.cast(first, compute), away(at), dims=(None,))
    high = e.op("Sub", e.cast(final, compute), away(e.op("Sub", last, at, dims=(None,))), dims=(None,))
    # counted from both ends, and the only one of one from the first
    front = e.op(
        "Less",
        at,
        e.op("Max", e.op("Div", n, e.scalar(2, INT64), dims=()), e.op("Sub", e.scalar(2, INT64), n, dims=()), dims=()),
        dtype=flag,
    )
    return e.cast(e.op("Where", front, low, high, dtype=compute, dims=(None,)), dtype)


for _first, _last in (("Tensor", "Tensor"), ("Tensor", "Scalar"), ("Scalar", "Tensor")):
    declare(
        f"aten::linspace.{_first}_{_last}({_first} start, {_last} end, int steps, *, {_OPTIONS}) -> Tensor",
        lambda start, end, steps, *rest: linspace_kernel(*(np.asarray(v).item() for v in (start, end)), steps, *rest),
        types=spaced_types,
        onnx=_lower_linspace,
    )
declare(
    f"aten::linspace(Scalar start, Scalar end, int steps, *, {_OPTIONS}) -> Tensor",
    linspace_kernel,
    types=spaced_types,
    onnx=_lower_linspace,
    samples=of((0, 1, 5), (-2.0, 3.0, 4), (1, 2, 1), S(0, 10, 5, dtype=4)),
)


def _eye(n: int, m: int, dtype: Any) -> Array:
    return np.eye(n, m, dtype=argument_dtype(dtype))


def _eye_types(call: Call) -> Results:
    n = call.known("n")
    m = call.known("m") if "m" in call.schema.index else n
    return result(dtype_argument(call, default_dtype()), (None if n is UNKNOWN else n, None if m is UNKNOWN else m))


def _lower_eye(e: Emitter, call: LoweredCall) -> Any:
    n = call["n"]
    m = call["m"] if "m" in call.schema.index else n
    dtype = result_of(call).dtype
    assert dtype is not None
    zeros = constant_of_shape(e, [n, m], 0, by_name("int64"))
    return e.cast(e.op("EyeLike", zeros), dtype)


declare(
    f"aten::eye(SymInt n, *, {_OPTIONS}) -> Tensor",
    lambda n, dtype, *_: _eye(n, n, dtype),
    types=_eye_types,
    onnx=_lower_eye,
    samples=of((3,), S(2, dtype=4)),
)
declare(
    f"aten::eye.m(SymInt n, SymInt m, *, {_OPTIONS}) -> Tensor",
    lambda n, m, dtype, *_: _eye(n, m, dtype),
    types=_eye_types,
    onnx=_lower_eye,
    samples=of((2, 3), (3, 0)),
)

# -- from Python values ------------------------------------------------------------------------------------------------


def _infer(data: Any) -> DType:
    flat = data
    while isinstance(flat, list | tuple):
        if not flat:
            return default_dtype()
        if any(v is None for v in flat):
            raise BridgeError("Input must be of ints, floats, or bools, got NoneType")
        kinds = [_infer_one(v) for v in flat]
        order = "bifc"
        return max(kinds, key=lambda d: order.index(d.kind))
    return _infer_one(flat)


def _infer_one(value: Any) -> DType:
    if isinstance(value, np.ndarray):
        return by_numpy(value.dtype)
    if isinstance(value, str):  # the name of a size
        return INT64
    return _infer(value) if isinstance(value, list | tuple) else number_dtype(value)


def tensor_kernel(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Array:
    """A number or nested list as a tensor. Raises BridgeError for a ragged list."""
    if isinstance(data, list | tuple):
        data = _as_numbers(data)
    wanted = argument_dtype(dtype, _infer(data))
    try:
        return np.array(data, wanted)
    except OverflowError:  # a program wraps integers around (``x[0] = -2`` of bytes)
        return np.array(data).astype(wanted)
    except ValueError as error:
        raise BridgeError(_ragged(data, 0) or str(error)) from error


def _as_numbers(data: Any) -> Any:
    """Nested lists in which tensors of one element are numbers."""
    if isinstance(data, list | tuple):
        if not data or isinstance(data[0], bool | int | float | complex):
            return data
        return [_as_numbers(v) for v in data]
    if not hasattr(data, "__array__"):
        return data
    array = np.asarray(data)
    if array.size != 1:
        raise BridgeError("only one element tensors can be converted to Python scalars")
    return array.reshape(())


def _ragged(data: Any, dim: int) -> str:
    """Where the lists inside a list differ in length."""
    if not isinstance(data, list | tuple) or not data or not isinstance(data[0], list | tuple):
        return ""
    length = len(data[0])
    for inner in data[1:]:
        got = len(inner) if isinstance(inner, list | tuple) else 0
        if got != length:
            return f"Expected sequence of length {length} at dim {dim + 1} (got {got})"
    return next((text for inner in data if (text := _ragged(inner, dim + 1))), "")


def _nested(t: Type, depth: int = 0) -> tuple[Type, int]:
    return _nested(t.element, depth + 1) if isinstance(t, ListType) else (t, depth)


def _data_types(call: Call) -> Results:
    name = call.schema.arguments[0].name
    value = call.known(name)
    if value is not UNKNOWN and not _has_unknown(value):
        shape: list[Any] = []
        at = value
        while isinstance(at, list | tuple):
            shape.append(len(at))
            at = at[0] if at else 0
        if isinstance(at, np.ndarray):  # in a list: a number
            return result(dtype_argument(call, by_numpy(at.dtype)), at.shape if at is value else tuple(shape))
        return result(dtype_argument(call, _infer(value)), tuple(shape))
    listed = call.tensors(name)
    if listed is not None:  # numbers, and tensors of one element
        return result(dtype_argument(call, promote_all(listed)), (len(listed),))
    t, depth = _nested(call.types[name])
    kinds = {INT: by_name("int64"), BOOL: by_name("bool"), FLOAT: default_dtype(), COMPLEX: by_name("complex64")}
    if isinstance(t, TensorType):
        dtype = t.dtype
        if not isinstance(call.schema.arguments[0].type, TensorType) and dtype is by_name("float64"):
            dtype = default_dtype()  # a list of Python floats, which a model holds as a tensor
        return result(dtype_argument(call, dtype), t.dims if depth == 0 else [None] * depth)
    length = len(value) if depth == 1 and isinstance(value, list | tuple) else None
    dims: list[Any] = [None] * depth
    if depth == 1:
        dims = [length]
    return result(dtype_argument(call, kinds.get(t)), dims)  # type: ignore[call-overload]


def _has_unknown(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_unknown(v) for v in value)
    return value is UNKNOWN


def _any_lowered(value: Any) -> bool:
    return any(_any_lowered(v) for v in value) if isinstance(value, list | tuple) else is_lowered(value)


def _lower_data(e: Emitter, call: LoweredCall) -> Any:
    value, dtype = call[call.schema.arguments[0].name], result_of(call).dtype
    if dtype is None:
        e.unsupported("the element type must be known when the model is exported")
    if is_lowered(value) and value.is_list:
        return e.cast(_of_sequence(e, value), dtype)
    return _stacked(e, value, dtype)


def _of_sequence(e: Emitter, sequence: Any) -> Any:
    """The numbers of a list of 0-d tensors whose length only run time knows."""
    if sequence.rank != 0:
        e.unsupported("the tensors of a list that becomes one tensor must be known to have no dimensions")
    more = e.op("SequenceInsert", sequence, e.scalar(0, sequence.dtype))  # there may be none, which cannot be joined
    joined = e.op("ConcatFromSequence", more, axis=0, new_axis=1, dtype=sequence.dtype, dims=(None,))
    return e.op("Slice", joined, np.asarray([0], np.int64), np.asarray([-1], np.int64))


def _stacked(e: Emitter, value: Any, dtype: DType) -> Any:
    if not _any_lowered(value):
        return e.constant(
            np.array(value).astype(dtype.numpy) if not isinstance(value, list) or value else np.zeros(0, dtype.numpy)
        )
    if is_lowered(value):
        return e.cast(value, dtype)
    rows = [e.op("Unsqueeze", _stacked(e, _number(e, v), dtype), np.asarray([0], np.int64)) for v in value]
    return rows[0] if len(rows) == 1 else e.op("Concat", *rows, axis=0)


def _number(e: Emitter, value: Any) -> Any:
    """An element of a list: a tensor in it has one element."""
    if not is_lowered(value) or value.rank == 0:
        return value
    if any(isinstance(d, int) and d != 1 for d in value.dims or ()):
        e.unsupported("only one element tensors can be converted to Python scalars")
    return e.op("Reshape", value, np.zeros(0, np.int64))


_DATA: dict[str, Any] = {"types": _data_types, "onnx": _lower_data}
for _type, _samples in (
    ("bool", of((True,))),
    ("float", of((1.5,), S(2.5, dtype=4))),
    ("int", of((3,), S(3, dtype=6))),
    ("complex", None),
):
    declare(
        f"aten::tensor.{_type}({_type} t, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False) -> Tensor",
        tensor_kernel,
        **_DATA,
        samples=_samples,
    )
declare(
    "aten::tensor(t[] data, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False) -> Tensor",
    tensor_kernel,
    **_DATA,
    samples=of(
        ([1, 2, 3],), ([1.5, 2.0],), ([[1, 2], [3, 4]],), ([True, False],), S([1, 2], dtype=6), ([[1.0], [2.0]],)
    ),
)
for _type, _samples in (
    ("bool", of((True,))),
    ("float", of((1.5,))),
    ("int", of((3,), S(3, dtype=6))),
    ("complex", None),
):
    declare(
        f"aten::as_tensor.{_type}({_type} t, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
        tensor_kernel,
        **_DATA,
        samples=_samples,
    )


def _as_tensor(data: Array, dtype: Any = None, device: Any = None) -> Array:
    return data if dtype is None else data.astype(by_code(dtype).numpy, copy=False)


declare(
    "aten::as_tensor(Tensor(a) data, *, ScalarType? dtype=None, Device? device=None) -> Tensor(b|a)",
    _as_tensor,
    **_DATA,
    grad=lambda ctx, g: (g,),
    grad_name="ToCopyBackward0",
    samples=of((f4(2, 3),), S(f4(3), dtype=7)),
)
declare(
    "aten::as_tensor.list(t[] data, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
    tensor_kernel,
    **_DATA,
    samples=of(([1, 2, 3],), ([[1.5], [2.0]],)),
)
declare(
    f"aten::scalar_tensor(Scalar s, *, {_OPTIONS}) -> Tensor",
    lambda s, dtype, *_: np.asarray(s, argument_dtype(dtype)),
    types=lambda call: result(dtype_argument(call, default_dtype()), ()),
    onnx=lambda e, call: e.scalar(call["s"], result_of(call).dtype),
    samples=of((2,), (1.5,), S(3.0, dtype=4)),
)

__all__ = ["Sequence", "arange_kernel", "constant_of_shape", "empty", "full", "tensor_kernel"]
