"""A tensor cut into a sequence, for the element types for which onnxruntime (1.32) has no SplitToSequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bridge.exporters.onnx.records import Body, Record
from bridge.exporters.onnx.values import BOOL, INT64, Run, RunList
from bridge.ir.types import Dim

if TYPE_CHECKING:
    from bridge.exporters.onnx.emitter import OnnxEmitter

__all__ = ["WITHOUT_SPLIT", "cut"]

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
