"""Writing into a view as a new value of what it is a view of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bridge.exporters.onnx.ints import difference
from bridge.exporters.onnx.machine import Machine
from bridge.exporters.onnx.values import INT64, Run
from bridge.ir.errors import LoweringError

__all__ = ["through_positions", "writer_of", "written"]

#: ``write(machine, base now, new value of the view)`` gives the new base.
Write = Callable[[Machine, Run, Run], Run]


def writer_of(name: str, values: Sequence[Any]) -> Write | None:
    """How a view made by this operator with these arguments is written to; None where that is not known."""
    make = _WRITERS.get(name)
    return None if make is None else make(list(values[1:]))


def written(m: Machine, write: Write, base: Run, new: Run) -> Run:
    """The new base of a view that is written to; of complex numbers each part is written."""
    e = m.emitter
    if base.dtype.kind != "c" or not getattr(write, "by_parts", True):
        return write(m, base, new)
    parts = zip(e.parts(base), e.parts(e.cast(new, base.dtype)), strict=True)
    return e.join(*(write(m, b, n) for b, n in parts))


def through_positions(reapply: Callable[[Run], Run]) -> Write:
    """How any view without overlaps is written to: the view of the elements' positions tells where its elements go."""

    def write(m: Machine, base: Run, new: Run) -> Run:
        e = m.emitter
        allow = 1 if e.opset >= 14 else None  # a 0 is a size, not "keep"
        shape = e.shape_of(base)
        size = e.op("Size", base, dims=(), dtype=INT64)
        every = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
        places = reapply(e.op("Reshape", every, shape, dims=base.dims, allowzero=allow))
        where = e.op("Reshape", places, np.array([-1, 1], np.int64), dims=(None, 1))
        values = e.op("Reshape", e.cast(new, base.dtype), np.array([-1], np.int64), dims=(None,))
        flat = e.op("Reshape", base, np.array([-1], np.int64), dims=(None,))
        out = e.op("ScatterND", flat, where, values, dims=(None,))
        return e.op("Reshape", out, shape, dims=base.dims, allowzero=allow)  # type: ignore[no-any-return]

    return write


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
        if not at or base.dtype.name == "bfloat16":
            return _scatter(m, base, at, e.ints([index]), one)
        where = e.op("Expand", e.ints([index]), e.shape_of(one), dims=None, dtype=INT64)
        return e.op("ScatterElements", base, where, one, axis=at, dims=base.dims, dtype=base.dtype)  # type: ignore[no-any-return]

    return write


def _slice(args: list[Any]) -> Write:
    defaults: list[Any] = [0, None, None, 1]
    dim, start, end, step = args + defaults[len(args) :]
    first = 0 if start is None else start
    last = _REST if end is None or (isinstance(end, int) and end >= 2**62) else end

    def write(m: Machine, base: Run, new: Run) -> Run:
        e = m.emitter
        at = dim % _rank(base)
        parts = _around(first, last) if isinstance(step, int) and step == 1 else None
        if parts is None:
            size = e.op("Gather", e.shape_of(base), np.array(at, np.int64), axis=0, dims=(), dtype=INT64)
            every = e.op("Range", np.array(0, np.int64), size, np.array(1, np.int64), dims=(None,), dtype=INT64)
            bounds = e.ints([first]), e.ints([last])
            index = e.op("Slice", every, *bounds, np.array([0], np.int64), e.ints([step]), dims=(None,))
            return _scatter(m, base, at, index, _expanded(m, base, new))
        axes, dims = np.array([at], np.int64), [None if i == at else d for i, d in enumerate(base.dims or ())]
        before, behind = (
            [e.op("Slice", base, e.ints([a]), e.ints([b]), axes, dims=dims) for a, b in part] for part in parts
        )
        pieces = [*before, _expanded(m, base, new), *behind]
        return pieces[0] if len(pieces) == 1 else e.op("Concat", *pieces, axis=at, dims=base.dims)  # type: ignore[no-any-return]

    return write


_REST = 2**63 - 1
_Part = list[tuple[Any, Any]]


def _around(first: Any, last: Any) -> tuple[_Part, _Part] | None:
    """What is before and behind the positions from ``first`` to ``last``, each no or one (start, end), where that can be told.

    Python's rules for what is negative or too large make ``x[:n]`` and ``x[n:]`` all of ``x`` for every n; with two bounds
    it must be known that the second is not less than the first.
    """
    open_end = isinstance(last, int) and last == _REST
    behind = [] if open_end else [(last, _REST)]
    if isinstance(first, int) and first == 0:
        return [], behind
    return ([(0, first)], behind) if open_end or _in_order(first, last) else None


def _in_order(first: Any, last: Any) -> bool:
    if isinstance(first, int) and isinstance(last, int):
        return first <= last and (first < 0) == (last < 0)
    if not (isinstance(first, Run) and isinstance(last, Run)) or first.root.least is None or first.root.least < 0:
        return False
    apart = difference(first, last)
    return apart is not None and apart <= 0


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


def _part_of(index: int) -> Callable[[list[Any]], Write]:
    """The real or the imaginary part."""

    def make(args: list[Any]) -> Write:
        def write(m: Machine, base: Run, new: Run) -> Run:
            if base.dtype.kind != "c":
                return new
            parts = list(m.emitter.parts(base))
            parts[index] = new
            return m.emitter.join(*parts)

        write.by_parts = False  # type: ignore[attr-defined]
        return write

    return make


def _as_real(args: list[Any]) -> Write:
    def write(m: Machine, base: Run, new: Run) -> Run:
        return m.emitter.from_pairs(new)

    write.by_parts = False  # type: ignore[attr-defined]
    return write


def _as_complex(args: list[Any]) -> Write:
    return lambda m, base, new: m.emitter.pairs(new)


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
    "aten::real": _part_of(0),
    "aten::imag": _part_of(1),
    "aten::view_as_real": _as_real,
    "aten::view_as_complex": _as_complex,
    "aten::detach": _itself,
    "aten::alias": _itself,
    **dict.fromkeys(
        ("aten::to", "aten::type_as", "aten::float", "aten::double", "aten::int", "aten::long", "aten::half"), _itself
    ),
    **dict.fromkeys(("aten::bool", "aten::cpu", "aten::positive"), _itself),
}
