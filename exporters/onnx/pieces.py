"""What onnxruntime (1.32) does not do with sequences: cut tensors of some element types (SplitToSequence), and compare the sizes
of tensors without elements (ConcatFromSequence)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import BOOL, INT64, Run, RunList
from bridge.ir.ops._checks import holds, none_true
from bridge.ir.ops._onnx import reduce_axes
from bridge.ir.types import Dim

if TYPE_CHECKING:
    from bridge.exporters.onnx.emitter import OnnxEmitter

__all__ = ["WITHOUT_SPLIT", "agreeing", "cut"]

WITHOUT_SPLIT = ("uint8", "int8", "int16", "uint16")


def cut(e: OnnxEmitter, x: Run, length: Run | None, axis: int, dims: tuple[Dim, ...] | None) -> RunList:
    """The rows of a dimension without it, or (``length``) pieces of so many rows: a loop that inserts them one by one."""
    zero, one = np.array([0], np.int64), np.array([1], np.int64)
    count = e.op("Gather", e.shape_of(x), np.array(axis, np.int64), axis=0, dims=(), dtype=INT64)
    if length is not None:
        more = e.op("Sub", e.op("Add", count, length, dims=()), np.array(1, np.int64), dims=())
        count = e.op("Div", more, length, dims=())
    empty = e.op("SequenceEmpty", dtype=x.dtype, dims=dims, dtype_=x.dtype.onnx)
    i, cond = Run(INT64, ()), Run(BOOL, (), f"{e.hint}/cond")
    held = RunList(x.dtype, dims, f"{e.hint}/in")
    body, outer = Body([i, cond, held], name="body"), e.body
    e.body = body
    if length is None:
        piece = e.op("Gather", x, i, axis=axis, dims=dims)
    else:
        start = e.op("Mul", i, length, dims=())
        bounds = [e.op("Reshape", b, one, dims=(1,)) for b in (start, e.op("Add", start, length, dims=()))]
        piece = e.op("Slice", x, *bounds, zero + axis, dims=dims)
    body.outputs = [e.identity(cond), e.op("SequenceInsert", held, piece, dims=dims)]
    e.body = outer
    made = held.like(f"{e.hint}/Loop")
    e.append(Record("Loop", "", [e.materialise(count), None, empty], [made], {"body": body}, e.origin))
    return made


def agreeing(e: OnnxEmitter, pieces: Run, made: Run, axis: int, stacking: bool) -> Run:
    """``made``, a sequence put together, if its elements have the same sizes: all of them, or (cat) all but that of ``axis``."""
    if pieces.dims is None:
        e.assumes("the tensors of a list without elements have the sizes that the others have")
        return made
    rank = len(pieces.dims)
    at = None if stacking else axis % rank
    if all(d is not None for i, d in enumerate(pieces.dims) if i != at):
        return made
    i, cond = Run(INT64, ()), Run(BOOL, (), f"{e.hint}/cond")
    body, outer = Body([i, cond], name="body"), e.body
    e.body = body
    shape = e.op("Shape", e.op("SequenceAt", pieces, i, dims=pieces.dims), dtype=INT64, dims=(rank,))
    body.outputs = [e.identity(cond), shape]
    e.body = outer
    shapes = Run(INT64, (None, rank), f"{e.hint}/Loop")
    count = e.op("SequenceLength", pieces, dtype=INT64, dims=())
    e.append(Record("Loop", "", [count, None], [shapes], {"body": body}, e.origin))
    least, most = (reduce_axes(e, kind, shapes, [0], False) for kind in ("ReduceMin", "ReduceMax"))
    same = e.op("Equal", least, most, dtype=BOOL, dims=(rank,))
    if at is not None:
        same = e.op("Or", same, np.arange(rank) == at, dims=(rank,))
    wrong = e.op("Not", same, dims=(rank,))
    checked: Run = holds(e, made, none_true(e, wrong))
    return checked
