"""Checks of exported models: where torch raises, onnxruntime must fail, and not compute something else.

ONNX has no operator that fails on demand. Each check is a node on the way of the data that cannot be computed unless what it
checks holds; it is left out where types tell that it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_name
from bridge.ir.fits import INTEGERS, limits, overflow
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.registry import Operator
from bridge.ir.rules import like_self
from bridge.ir.types import Dim

__all__ = [
    "agreeing",
    "as_large_as",
    "at_least",
    "equal_dims",
    "from_front",
    "holds",
    "last_sizes",
    "lower_fitting",
    "may_grow",
    "multiple_of",
    "none_true",
    "one_for_one",
    "same_sizes",
    "sized_along",
    "to_int64",
]

_BOOL, _INT32, _INT64 = by_name("bool"), by_name("int32"), by_name("int64")
_FLOAT32, _FLOAT64 = by_name("float32"), by_name("float64")


def _ints(*values: int) -> np.ndarray[Any, Any]:
    return np.asarray(values, np.int64)


def equal_dims(a: Sequence[Dim] | None, b: Sequence[Dim] | None) -> bool:
    """Whether two shapes are known to be the same."""
    return a is not None and b is not None and None not in a and tuple(a) == tuple(b)


def at_least(e: Emitter, x: Any, least: Sequence[Any]) -> Any:
    """x, whose last dimensions have these sizes or more (ints, of which some may be run-time values)."""
    known = [None] * len(least) if x.dims is None else x.dims[len(x.dims) - len(least) :]
    if all(
        isinstance(n, int) and (n <= 0 or (isinstance(d, int) and d >= n)) for d, n in zip(known, least, strict=True)
    ):
        return x
    if x.rank is None:
        e.unsupported("this operator needs a tensor whose number of dimensions is known")
    free = _left_over(x, least)
    if free is not None:
        return e.op("Reshape", x, _ints(*(-(i == free) for i in range(x.rank))), dims=x.dims)
    rank, own = (x.rank,), e.shape_of(x)
    wanted = e.ints([*[0] * (x.rank - len(least)), *least])
    rest = (d for d, n in zip(x.dims, [*[0] * (x.rank - len(least)), *least], strict=True) if n == 0)
    if all(isinstance(d, int) and d > 0 for d in rest):  # a tensor cannot be reshaped to more elements than it has
        return e.op("Reshape", x, e.op("Max", own, wanted, dims=rank), dims=x.dims)
    # but one of no elements to others of no elements
    enough = e.op("Not", e.op("Less", own, wanted, dtype=_BOOL, dims=rank), dims=rank)
    return _reshaped_where(e, x, enough, own)


def _left_over(x: Any, least: Sequence[Any]) -> int | None:
    """The dimension that onnxruntime may work out from the others, of which none may be 0 then, where that is all to be checked."""
    if x.dims is None or any(type(n) is not int or n > 1 for n in least):
        return None
    checked = [*[0] * (x.rank - len(least)), *least]
    sizes = list(zip(x.dims, checked, strict=True))
    rest = [i for i, (d, n) in enumerate(sizes) if n <= 0 and not (isinstance(d, int) and d > 0)]
    if not rest:
        rest = [i for i, (d, _) in enumerate(sizes) if isinstance(d, int) and d > 0][-1:]
    return rest[0] if len(rest) == 1 else None


def from_front(e: Emitter, index: Any) -> Any:
    """Indices of which none may be negative: for onnxruntime those count from the end."""
    known = index if isinstance(index, np.ndarray) else getattr(index, "constant", None)
    if known is not None and (not known.size or known.min() >= 0):
        return index
    index = index if index.dtype is _INT32 else e.cast(index, _INT64)
    # the remainder is not negative: a negative index becomes one that is too large for anything
    return e.op("Mod", index, np.asarray(2**30 if index.dtype is _INT32 else 2**62, index.dtype.numpy), dims=index.dims)


def same_sizes(e: Emitter, x: Any, shape: Any) -> Any:
    """x, which has as many elements as that shape (a vector of the model; a 0 in it stands for the size of x)."""
    # of a Concat onnxruntime would make a shape with -1 in it, which is always right
    return e.op("Reshape", x, e.op("Abs", shape, dims=shape.dims), dims=x.dims)


def last_sizes(e: Emitter, x: Any, sizes: Sequence[Any]) -> Any:
    """x, whose last dimensions must have exactly these sizes (ints, or run-time values)."""
    n = len(sizes)
    if x.rank is None:
        e.unsupported("this operator needs a tensor whose number of dimensions is known")
    known = x.dims[x.rank - n :]
    if all(isinstance(d, int) and d == s for d, s in zip(known, sizes, strict=True) if isinstance(s, int)) and all(
        isinstance(s, int) for s in sizes
    ):
        return x
    wanted, rank = e.ints([*[0] * (x.rank - n), *sizes]), (x.rank,)
    if n == 1 and all(isinstance(d, int) and d > 0 for d in x.dims[:-1]):  # the number of elements decides
        return same_sizes(e, x, wanted)
    own = e.shape_of(x)
    same = e.op("Equal", own, wanted, dtype=_BOOL, dims=rank)
    if n < x.rank:
        same = e.op("Or", same, np.arange(x.rank) < x.rank - n, dims=rank)
    return _reshaped_where(e, x, same, own)


def _reshaped_where(e: Emitter, x: Any, right: Any, own: Any) -> Any:
    """x, of whose sizes all are right: a size that no tensor has stands for one that is not."""
    return e.op("Reshape", x, e.op("Where", right, own, _ints(-2), dtype=_INT64, dims=own.dims), dims=x.dims)


def sized_along(e: Emitter, t: Any, x: Any, axes: Sequence[int]) -> Any:
    """t, whose shape must be that of x along these axes."""
    if x.dims is not None and equal_dims(t.dims, [x.dims[a] for a in axes]):
        return t
    wanted = e.op("Gather", e.shape_of(x), _ints(*axes), axis=0, dims=(len(axes),))
    if len(axes) == 1 and t.rank == 1:
        return same_sizes(e, t, wanted)
    other = e.op("Not", e.op("Equal", e.shape_of(t), wanted, dtype=_BOOL, dims=(len(axes),)), dims=(len(axes),))
    return holds(e, t, none_true(e, other))


def as_large_as(e: Emitter, x: Any, other: Any) -> Any:
    """x, which broadcasting must not have made larger than ``other``."""
    if equal_dims(x.dims, other.dims):
        return x
    return e.op("Reshape", x, e.shape_of(other), dims=other.dims)


def agreeing(e: Emitter, parts: Sequence[Any], axis: int | None) -> list[Any]:
    """The tensors, of one number of dimensions, whose sizes must be the same except along ``axis`` (None: all of them).

    ONNX's ``Concat`` compares them itself, but onnxruntime passes over tensors without elements.
    """
    shapes = [None if x.dims is None else [d for i, d in enumerate(x.dims) if i != axis] for x in parts]
    if any(s is None for s in shapes) or all(isinstance(d, int) and d > 0 for x in parts for d in x.dims):
        return list(parts)
    other = [i for i, s in enumerate(shapes) if not equal_dims(s, shapes[0])]
    if not other or not shapes[0]:
        return list(parts)
    last, rank = other[-1], (parts[0].rank,)
    sizes = [e.shape_of(parts[i]) for i in (0, *other)]
    if len(sizes) > 2:
        sizes = [e.op(kind, *sizes, dims=rank) for kind in ("Min", "Max")]
    same = e.op("Equal", *sizes, dtype=_BOOL, dims=rank)
    # in a shape 0 is the size that there is, and -2 none that there can be
    wrong = _ints(*[0 if i == axis else -2 for i in range(parts[0].rank)])
    shape = e.op("Where", same, _ints(0), wrong, dtype=_INT64, dims=rank)
    checked = e.op("Reshape", parts[last], shape, dims=parts[last].dims)
    return [*parts[:last], checked, *parts[last + 1 :]]


def may_grow(o: Operator, call: LoweredCall) -> bool:
    """Whether an operator that broadcasts can make more of its first argument than there is."""
    x = call["self"]
    if o.types is like_self:
        return False
    for a in o.schema.arguments:
        value = call[a.name] if a.name != "self" else None
        dims = getattr(value, "dims", ())
        if dims is None or (dims and (x.dims is None or len(dims) > len(x.dims))):
            return True
        if dims and any(
            d != 1 and (d is None or d != s) for d, s in zip(reversed(dims), reversed(x.dims), strict=False)
        ):
            return True
    return False


def one_for_one(e: Emitter, x: Any, other: Any) -> Any:
    """x, whose shape is that of ``other``."""
    if equal_dims(x.dims, other.dims):
        return x
    shape = e.shape_of(other)
    larger = e.op("Reshape", x, e.op("Max", e.shape_of(x), shape, dims=shape.dims), dims=x.dims)
    return e.op("Reshape", larger, shape, dims=other.dims)


def holds(e: Emitter, x: Any, condition: Any) -> Any:
    """x, which has one dimension or more, where that bool of one element is true."""
    shape = e.op("Where", condition, e.shape_of(x), _ints(-2), dtype=_INT64)
    return e.op("Reshape", x, shape, dims=x.dims)


def multiple_of(e: Emitter, x: Any, axis: int, n: int) -> Any:
    """x, whose size along that axis is divisible by n."""
    if isinstance(x.dims[axis], int):
        return x
    size = e.op("Gather", e.shape_of(x), _ints(axis), axis=0, dims=(1,))
    rest = e.op("Mod", size, _ints(n), dims=(1,))
    return holds(e, x, e.op("Equal", rest, _ints(0), dtype=_BOOL, dims=(1,)))


def none_true(e: Emitter, wrong: Any) -> Any:
    """Whether no element is true, as a bool of one element."""
    count = e.op("ReduceSum", e.cast(wrong, _INT64), keepdims=0, dims=())
    return e.op("Equal", count, e.scalar(0, _INT64), dtype=_BOOL, dims=())


def lower_fitting(e: Emitter, value: Any, dtype: DType) -> Any:
    """A number that is written to a tensor of that type: where it does not fit, the model divides by zero."""
    if (why := overflow(value, dtype)) is not None:
        e.unsupported(why)
    if dtype.name not in INTEGERS or not hasattr(value, "dims") or value.dtype.kind not in "fi":
        return value
    if value.dtype.kind != "f" and dtype is _INT64:
        return value
    low, high = limits(dtype, value.dtype.kind == "f")
    x = value if value.dtype.kind != "f" else e.cast(value, _FLOAT64)
    bounds = (e.constant(float(b) if x.dtype.kind == "f" else b, x.dtype) for b in (low, high))
    above, below = (
        e.op("LessOrEqual", *p, dtype=_BOOL, dims=()) for p in zip((next(bounds), x), (x, next(bounds)), strict=True)
    )
    fits = e.op("And", above, below, dims=())
    return e.op("Div", e.cast(x, _INT64), e.cast(fits, _INT64), dims=())


def to_int64(e: Emitter, x: Any) -> Any:
    """A number as an int64, which it fits in: one that is infinite, not a number or too large divides by zero."""
    if x.dtype.kind != "f":
        return e.cast(x, _INT64)
    x = x if x.dtype.name in ("float32", "float64") else e.cast(x, _FLOAT32)
    fits = e.op("LessOrEqual", e.op("Abs", x, dims=x.dims), e.constant(2.0**63, x.dtype), dtype=_BOOL, dims=x.dims)
    return e.op("Div", e.cast(x, _INT64), e.cast(fits, _INT64), dims=x.dims)
