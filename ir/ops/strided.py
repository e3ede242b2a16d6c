"""``as_strided``: elements of a tensor's memory at positions that strides tell.

In programs that become ONNX the tensor must be one whose elements lie in order (``exporters/onnx/strided.py`` looks); in eager
mode NumPy's strides are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import ints, is_lowered
from bridge.ir.ops._samples import f4, of
from bridge.ir.rules import UNKNOWN, Call, Results, dims_from_list, result

__all__: list[str] = []

_INT64 = by_name("int64")


def _as_strided(self: Array, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    sizes, strides = [int(n) for n in size], [int(s) for s in stride]
    if len(sizes) != len(strides):
        raise BridgeError("mismatch in length of strides and shape")
    if any(n < 0 for n in sizes):
        raise BridgeError(f"as_strided: Negative sizes are not allowed, got size: {sizes}")
    if any(s < 0 for s in strides):
        raise BridgeError(f"as_strided: Negative strides are not supported at the moment, got strides: {strides}")
    if not self.flags.c_contiguous:  # memory without gaps is the same whatever the order of its dimensions
        self = self.transpose(np.argsort([-s for s in self.strides], kind="stable"))
    if not self.flags.c_contiguous:
        raise BridgeError("as_strided of a tensor whose elements are not in order: call contiguous() before")
    whole = _memory(self)
    first = (_address(self) - _address(whole)) // self.itemsize
    offset = first if storage_offset is None else int(storage_offset)
    last = offset + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True)) if 0 not in sizes else offset - 1
    count = whole.nbytes // self.itemsize
    if offset < 0 or last >= count:
        raise BridgeError(
            f"setStorage: sizes {sizes}, strides {strides}, storage offset {offset}, and itemsize {self.itemsize} requiring a "
            f"storage size of {(last + 1) * self.itemsize} are out of bounds for storage of size {whole.nbytes}"
        )
    flat = np.ndarray((count,), self.dtype, buffer=whole.data) if not _plain(whole, self) else whole.reshape(-1)
    start = flat[offset:]
    return np.lib.stride_tricks.as_strided(start, sizes, [s * self.itemsize for s in strides])


def _plain(whole: Array, self: Array) -> bool:
    return whole.dtype == self.dtype and bool(whole.flags.c_contiguous)


def _memory(array: Array) -> Array:
    """The array that a view is a view of, in the end; itself where that is not in order."""
    root: Any = array
    while True:
        base = root.base
        if base is not None and not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # as_strided puts an object of its own between
        if not isinstance(base, np.ndarray):
            break
        root = base
    return root if _plain(root, array) else array


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _types(call: Call) -> Results:
    size = call.known("size")
    return result(call.tensor("self").dtype, None if size is UNKNOWN else dims_from_list(size))


def _positions(sizes: Sequence[int], strides: Sequence[int], offset: int) -> Array:
    at = np.asarray(offset, np.int64)
    for n, s in zip(sizes, strides, strict=True):
        at = at[..., None] + np.arange(n, dtype=np.int64) * s
    return at


def _lower(e: Emitter, call: LoweredCall) -> Any:
    x, sizes, strides, offset = call["self"], call["size"], call["stride"], call["storage_offset"] or 0
    if not isinstance(sizes, list | tuple) or not isinstance(strides, list | tuple):
        e.unsupported("as_strided needs to know how many dimensions there are")
    if len(sizes) != len(strides):
        raise BridgeError("mismatch in length of strides and shape")
    flat = e.op("Reshape", x, ints(-1), dims=(None,))
    if not any(map(is_lowered, (*sizes, *strides, offset))):
        return e.op("Gather", flat, _positions(sizes, strides, offset), axis=0, dims=tuple(sizes))
    at = e.scalar(offset, _INT64)
    for k, (n, s) in enumerate(zip(sizes, strides, strict=True)):
        every = e.op("Range", e.scalar(0, _INT64), e.scalar(n, _INT64), e.scalar(1, _INT64), dtype=_INT64, dims=(None,))
        steps = e.op("Mul", every, e.scalar(s, _INT64), dims=(None,))
        if k:
            at = e.op("Unsqueeze", at, ints(-1), dims=(None,) * (k + 1))
        at = e.op("Add", at, steps, dims=(None,) * (k + 1))
    return e.op("Gather", flat, at, axis=0, dims=tuple(n if isinstance(n, int) else None for n in sizes))


def _grad(c: Any, g: Any) -> Any:
    x, offset = c["self"], c["storage_offset"]
    start = 0 if offset is None else offset - x.storage_offset()
    places = c.op("aten::as_strided", c.op("aten::arange", x.numel()), c["size"], c["stride"], start)
    flat = c.op("aten::zeros_like", x).reshape([-1])
    return (c.op("aten::index_put_", flat, [places], g, True).reshape(list(x.shape)),)


declare(
    "aten::as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)",
    _as_strided,
    types=_types,
    onnx=_lower,
    grad=_grad,
    samples=of((f4(12), (3, 4), (2, 1)), (f4(4, 3), (2, 2), (3, 1), 1), (f4(6), (2, 0), (1, 1)), (f4(5), (), ())),
)
