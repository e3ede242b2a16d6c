"""ONNX forms of what runs along a dimension or counts elements, by operators that ONNX has."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import from_front
from bridge.ir.ops._composite import lower_steps, lowered_as
from bridge.ir.ops._onnx import INT64, axis_of, is_lowered, known_rank

__all__ = ["lower_bincount", "lower_cumprod", "lower_diag", "lower_diag_embed", "lower_histc", "running_extreme"]

_FLOAT, _DOUBLE, _LONG = 6, 7, 4


def _product(t: Any, x: Any, dim: int, code: int) -> Any:
    """Logarithms of the sizes summed in float64; the sign is that of the number of negative elements."""
    wide = t.to(x, _DOUBLE)
    size = t.exp(t.cumsum(t.log(t.abs(wide)), dim))
    odd = t.remainder(t.cumsum(t.to(t.lt(wide, 0), _LONG), dim), 2)
    return t.to(t.where(t.eq(odd, 1), t.neg(size), size), code)


def lower_cumprod(e: Emitter, call: LoweredCall) -> Any:
    """Running products of floating numbers below float64, where the detour loses nothing."""
    x, wanted = call["self"], call.results[0].dtype  # type: ignore[attr-defined]
    if wanted.name not in ("float32", "float16", "bfloat16"):
        e.unsupported(
            f"ONNX has no running product before opset 26, and {wanted.label} has no exact detour; use float32"
        )
    if known_rank(e, x, "cumprod") == 0:
        return e.op("Identity", e.cast(x, wanted))
    return lower_steps(e, lambda t, v: _product(t, t.to(v, wanted.code), axis_of(e, x, call["dim"]), wanted.code), x)


def running_extreme(largest: bool) -> Any:
    """cummax or cummin: of all elements up to each place the extreme one, and the last place where it stands."""

    def definition(t: Any, x: Any, dim: int) -> Any:
        rank = t.rank(x)
        if rank == 0:
            return t.clone(x), t.zeros([], dtype=_LONG)
        d, n = dim % rank, t.size(x, dim)
        worst: float = -np.inf if largest else np.inf
        if t.dtype(x).kind == "b":
            x = t.to(x, _LONG)
        if t.dtype(x).kind in "iu":
            limits = np.iinfo(t.dtype(x).numpy)
            worst = int(limits.min if largest else limits.max)
        place = t.arange(n)
        seen = t.le(t.unsqueeze(place, 0), t.unsqueeze(place, 1))  # row: the end, column: what comes before it
        own = [1] * (rank + 1)
        own[d], own[d + 1] = n, n
        seen, at = t.reshape(seen, own), t.reshape(place, [n, *[1] * (rank - d - 1)])
        wide = t.unsqueeze(x, d)
        before = t.masked_fill(t.expand(wide, [*t.shape(x)[:d], n, *t.shape(x)[d:]]), t.logical_not(seen), worst)
        best = (t.amax if largest else t.amin)(before, [d + 1])
        top = t.unsqueeze(best, d + 1)
        hit = t.eq(wide, top)
        if t.dtype(x).kind == "f":  # nan is before everything, and equal to nothing
            hit = t.logical_or(hit, t.logical_and(t.isnan(wide), t.isnan(top)))
        hit = t.logical_and(hit, seen)
        index = t.amax(t.where(hit, at, t.full_like(at, -1)), [d + 1])
        return best, index

    return lowered_as(definition)


def _on_diagonal(t: Any, x: Any, offset: int) -> Any:
    """The last dimension as the diagonal of a matrix."""
    n = t.size(x, -1) + abs(offset)
    line = t.arange(n)
    mask = t.eq(t.sub(t.unsqueeze(line, 0), t.unsqueeze(line, 1)), offset)
    long = t.constant_pad_nd(x, [0, abs(offset)], 0) if offset else x
    spread = t.unsqueeze(long, -1 if offset >= 0 else -2)
    none = t.zeros([], dtype=t.dtype(x).code)
    return t.where(mask, spread, none)


def lower_diag_embed(e: Emitter, call: LoweredCall) -> Any:
    """A choice by where the diagonal is."""
    x, offset = call["self"], call["offset"]
    if any(is_lowered(call[n]) for n in ("offset", "dim1", "dim2")):
        e.unsupported("the diagonal of diag_embed must be known when the model is exported")
    rank = known_rank(e, x, "diag_embed") + 1
    first, second = axis_of(e, x, call["dim1"], 1), axis_of(e, x, call["dim2"], 1)
    if first == second:
        e.unsupported(f"diagonal dimensions cannot be identical {call['dim1']}, {call['dim2']}")
    if first > second:
        first, second, offset = second, first, -offset

    def steps(t: Any, v: Any) -> Any:
        made = _on_diagonal(t, v, offset)
        order = list(range(rank - 2))
        order.insert(first, rank - 2)
        order.insert(second, rank - 1)
        return made if order == list(range(rank)) else t.permute(made, order)

    return lower_steps(e, steps, x)


def lower_diag(e: Emitter, call: LoweredCall) -> Any:
    """A vector as a matrix, or the diagonal of a matrix."""
    x, k = call["self"], call["diagonal"]
    if is_lowered(k):
        e.unsupported("the diagonal of diag must be known when the model is exported")
    if known_rank(e, x, "diag") == 1:
        return lower_steps(e, lambda t, v: _on_diagonal(t, v, k), x)
    return lower_steps(e, lambda t, v: t.diagonal(v, k, 0, 1), x)


def lower_bincount(e: Emitter, call: LoweredCall) -> Any:
    """Ones (or weights) added up at their places; as many places as the largest element asks for."""
    if e.opset < 16:
        e.unsupported("bincount needs opset 16, which adds at indices")
    x, weights = e.cast(call["self"], INT64), call["weights"]
    dtype = call.results[0].dtype if weights is not None else INT64  # type: ignore[attr-defined]
    if dtype is None:
        dtype = weights.dtype if weights.dtype.name == "float32" else by_name("float64")
    none = e.constant(np.asarray([-1], np.int64))
    seen = e.op("Concat", e.op("Reshape", x, np.asarray([-1], np.int64), dims=(None,)), none, axis=0, dims=(None,))
    largest = e.op("ReduceMax", seen, keepdims=0, dims=())
    size = e.op("Max", e.op("Add", largest, np.asarray(1, np.int64)), e.scalar(call["minlength"], INT64))
    empty = e.op("Expand", e.scalar(0, dtype), e.ints([size]), dims=(None,))
    given = (
        e.cast(weights, dtype)
        if weights is not None
        else e.op("Expand", e.scalar(1, dtype), e.shape_of(x), dims=(None,))
    )
    return e.op("ScatterElements", empty, from_front(e, x), given, axis=0, reduction="add", dims=(None,))


def _counted(t: Any, x: Any, bins: int, low: Any, high: Any) -> Any:
    flat, code = t.reshape(x, [-1]), t.dtype(x).code
    if low == high:
        some = t.cat([flat, t.sum(t.slice(flat, 0, 0, 1), [0], True)], 0)  # where there is none, 0
        low, high = t.amin(some), t.amax(some)
        same = t.eq(low, high)
        low, high = t.where(same, t.sub(low, 1), low), t.where(same, t.add(high, 1), high)
    place = t.floor(
        t.mul(
            t.sub(flat, low),
            t.div(t.full([], float(bins), dtype=code), t.sub(high, low) if hasattr(high, "name") else high - low),
        )
    )
    inside = t.logical_and(t.ge(flat, low), t.le(flat, high))
    at = t.to(t.clamp(place, 0, bins - 1), _LONG)
    return t.index_add(t.zeros([bins], dtype=code), 0, at, t.to(inside, code))


def lower_histc(e: Emitter, call: LoweredCall) -> Any:
    """Ones added up at the bins."""
    if any(is_lowered(call[n]) for n in ("bins", "min", "max")):
        e.unsupported("the bins of histc must be known when the model is exported")
    return lower_steps(e, lambda t, v: _counted(t, v, call["bins"], call["min"], call["max"]), call["self"])
