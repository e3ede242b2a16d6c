"""Questions about a value whose answer is known from its type: rank, dtype, device, sizes that are fixed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.exporters.onnx.values import INT64, Abstract, Cell, Run, RunList
from bridge.ir import types as T
from bridge.ir.dtypes import by_numpy
from bridge.ir.registry import Operator

if TYPE_CHECKING:
    from bridge.exporters.onnx.machine import Machine

__all__ = ["fact"]


def fact(o: Operator, args: list[Abstract], m: Machine) -> Any:
    """The answer, or NotImplemented when the operator is no such question or the type does not tell."""
    ask = _FACTS.get(o.schema.name)
    return NotImplemented if ask is None or not args else ask(args, m)


def _dims(v: Abstract) -> tuple[Any, ...] | None:
    if isinstance(v, RunList):
        return None
    if isinstance(v, Run):
        return v.dims if v.number is None else ()
    return v.shape if isinstance(v, np.ndarray) else None


def _size(args: list[Abstract], m: Machine) -> Any:
    dims = _dims(args[0])
    if dims is None:
        return NotImplemented
    if len(args) == 1:
        if all(isinstance(d, int) for d in dims):
            return m.new_cell(T.ListType(T.INT), tuple(dims))
        return m.new_cell(T.ListType(T.INT), tuple(_one_size(args[0], i, m) for i in range(len(dims))))
    if isinstance(args[1], int) and -len(dims) <= args[1] < len(dims):
        return _one_size(args[0], args[1] % len(dims), m)
    return NotImplemented


def _one_size(v: Run, axis: int, m: Machine) -> Any:
    """A size: known, or read at run time and remembered by the name of the free dimension."""
    dims = _dims(v)
    assert dims is not None
    size = dims[axis]
    if isinstance(size, int):
        return size
    e = m.emitter
    v = e.pairs(v) if v.dtype.kind == "c" else v
    if e.opset >= 15:
        shape = e.op("Shape", v, dtype=INT64, dims=(1,), start=axis, end=axis + 1)
    else:
        shape = e.op("Slice", e.op("Shape", v, dtype=INT64),
                     np.array([axis], np.int64), np.array([axis + 1], np.int64), dims=(1,))  # fmt: skip
    number: Run = e.op("Squeeze", shape, np.array([0], np.int64), dims=())
    number.number, number.symbol, number.least = T.INT, size, 0
    return number


def _rank(args: list[Abstract], m: Machine) -> Any:
    dims = _dims(args[0])
    return NotImplemented if dims is None else len(dims)


def _length(args: list[Abstract], m: Machine) -> Any:
    if isinstance(args[0], Cell | str):
        return NotImplemented
    dims = _dims(args[0])
    return NotImplemented if not dims else _one_size(args[0], 0, m)


def _count(args: list[Abstract], m: Machine) -> Any:
    dims = _dims(args[0])
    return math.prod(dims) if dims is not None and all(isinstance(d, int) for d in dims) else NotImplemented


def _dtype(v: Abstract) -> Any:
    if isinstance(v, Run) and not isinstance(v, RunList):
        return v.dtype
    return by_numpy(v.dtype) if isinstance(v, np.ndarray) else None


def _about_dtype(answer: Callable[[Any], Any]) -> Callable[[list[Abstract], Machine], Any]:
    def ask(args: list[Abstract], m: Machine) -> Any:
        d = _dtype(args[0])
        return NotImplemented if d is None else answer(d)

    return ask


_FACTS: dict[str, Callable[[list[Abstract], Machine], Any]] = {
    "aten::size": _size,
    "aten::dim": _rank,
    "aten::ndimension": _rank,
    "prim::dim": _rank,
    "aten::len": _length,
    "aten::numel": _count,
    "prim::dtype": _about_dtype(lambda d: d.code),
    "aten::is_floating_point": _about_dtype(lambda d: d.kind == "f"),
    "aten::is_complex": _about_dtype(lambda d: d.kind == "c"),
    "prim::device": _about_dtype(lambda d: "cpu"),
    "prim::layout": _about_dtype(lambda d: 0),
    "prim::is_cuda": _about_dtype(lambda d: False),
    "prim::requires_grad": _about_dtype(lambda d: False),
}
