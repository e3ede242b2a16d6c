"""Writing into a view as a new value of what it is a view of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.values import INT64, Run
from bridge.ir.errors import LoweringError

__all__ = ["writer_of"]

#: ``write(machine, base now, new value of the view)`` gives the new base.
Write = Callable[[Machine, Run, Run], Run]


def writer_of(name: str, values: Sequence[Any]) -> Write | None:
    """How a view made by this operator with these arguments is written to; None where that is not known."""
    make = _WRITERS.get(name)
    return None if make is None else make(list(values[1:]))


def _rank(base: Run) -> int:
    if base.dims is None:
        raise LoweringError("a part of a tensor is written to whose number of dimensions is not known")
    return len(base.dims)


def _scatter(m: Machine, base: Run, dim: int, index: Any, updates: Run) -> Run:
    """``base`` with rows ``index`` (1-D) of dimension ``dim`` replaced by ``updates`` (which has that dimension, too)."""
    e, rank = m.emitter, _rank(base)
    dim %= rank
    order = [dim, *(i for i in range(rank) if i != dim)]
    back = [order.index(i) for i in range(rank)]
    moved = order != list(range(rank))
    data = e.op("Transpose", base, perm=order, dims=_pick(base, order)) if moved else base
    rows = e.op("Transpose", updates, perm=order, dims=None) if moved else updates
    where = e.op("Unsqueeze", index, np.array([1], np.int64), dims=(None, 1), dtype=INT64)
    out: Run = e.op("ScatterND", data, where, rows, dims=data.dims, dtype=base.dtype)
    return e.op("Transpose", out, perm=back, dims=base.dims) if moved else out


def _pick(base: Run, order: Sequence[int]) -> tuple[Any, ...] | None:
    return None if base.dims is None else tuple(base.dims[i] for i in order)


def _expanded(m: Machine, base: Run, view_like: Run) -> Run:
    return m.emitter.cast(view_like, base.dtype)


def _select(args: list[Any]) -> Write:
    dim, index = args[:2]

    def write(m: Machine, base: Run, new: Run) -> Run:
        e = m.emitter
        at = dim % _rank(base)
        one = e.op("Unsqueeze", _expanded(m, base, new), np.array([at], np.int64), dims=None)
        return _scatter(m, base, at, e.ints([index]), one)

    return write


def _slice(args: list[Any]) -> Write:
    defaults: list[Any] = [0, None, None, 1]
    dim, start, end, step = args + defaults[len(args) :]
    whole = start in (None, 0) and not isinstance(start, Run) and (end is None or (isinstance(end, int) and end >= 2**62)) and step == 1  # fmt: skip

    def write(m: Machine, base: Run, new: Run) -> Run:
        if whole:  # x[:]
            return _expanded(m, base, new)
        e = m.emitter
        at = dim % _rank(base)
        size = e.op("Gather", e.shape_of(base), np.array(at, np.int64), axis=0, dims=(), dtype=INT64)
        every = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
        bounds = [e.ints([0 if start is None else start]), e.ints([2**63 - 1 if end is None else end])]
        index = e.op("Slice", every, *bounds, np.array([0], np.int64), e.ints([step]), dims=(None,))
        return _scatter(m, base, at, index, _expanded(m, base, new))

    return write


def _same_order(args: list[Any]) -> Write:
    """Views that hold the same elements in the same order, in another shape."""

    def write(m: Machine, base: Run, new: Run) -> Run:
        e = m.emitter
        allow = 1 if e.opset >= 14 else None  # a 0 is a size, not "keep"
        return e.op("Reshape", new, e.shape_of(base), dims=base.dims, allowzero=allow)  # type: ignore[no-any-return]

    return write


def _transpose(args: list[Any]) -> Write:
    def write(m: Machine, base: Run, new: Run) -> Run:
        rank = _rank(base)
        order = list(range(rank))
        a, b = (args[0] % rank, args[1] % rank) if args else (0, rank - 1)
        if rank > 1:
            order[a], order[b] = order[b], order[a]
        return m.emitter.op("Transpose", new, perm=order, dims=base.dims)  # type: ignore[no-any-return]

    return write


def _permute(args: list[Any]) -> Write:
    def write(m: Machine, base: Run, new: Run) -> Run:
        rank = _rank(base)
        order = [d % rank for d in args[0]]
        return m.emitter.op("Transpose", new, perm=[order.index(i) for i in range(rank)], dims=base.dims)  # type: ignore[no-any-return]

    return write


def _itself(args: list[Any]) -> Write:
    return lambda m, base, new: new


_WRITERS: dict[str, Callable[[list[Any]], Write]] = {
    "aten::select": _select,
    "aten::slice": _slice,
    "aten::view": _same_order,
    "aten::squeeze": _same_order,
    "aten::unsqueeze": _same_order,
    "aten::view_as": _same_order,
    "aten::unflatten": _same_order,
    "aten::t": _transpose,
    "aten::transpose": _transpose,
    "aten::permute": _permute,
    "aten::detach": _itself,
    "aten::alias": _itself,
    **dict.fromkeys(
        ("aten::to", "aten::type_as", "aten::float", "aten::double", "aten::int", "aten::long", "aten::half"), _itself
    ),
    **dict.fromkeys(("aten::bool", "aten::cpu", "aten::positive"), _itself),
}
