"""Sequences of different lengths: packed, padded, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import holds, none_true
from bridge.ir.ops._composite import composite, lowered_as
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import ints, is_lowered, known_rank
from bridge.ir.ops._samples import S, f4, f8, of
from bridge.ir.ops._samples import ints as idx
from bridge.ir.rules import Call, Results, result

_BOOL, _INT64 = by_name("bool"), by_name("int64")

__all__ = ["present"]


def _check(x: Array, lengths: Array, batch_first: bool) -> None:
    if lengths.ndim != 1 or lengths.dtype != np.int64:
        raise BridgeError("lengths must be a 1-D tensor of int64")
    batch = x.shape[0] if batch_first else x.shape[1]
    if not x.size:
        raise BridgeError("Cannot pack empty tensors.")
    if len(lengths) != batch:
        raise BridgeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} (batch_size={batch})"
        )
    if lengths[-1] <= 0:
        raise BridgeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if (lengths[:-1] < lengths[1:]).any():
        raise BridgeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not "
            "need ONNX exportability."
        )


def _pack(x: Array, lengths: Array, batch_first: bool) -> tuple[Array, Array]:
    _check(x, lengths, batch_first)
    steps = np.swapaxes(x, 0, 1) if batch_first else x
    mask = np.arange(int(lengths[0]))[:, None] < lengths
    return steps[: len(mask)][mask], mask.sum(1)


def _pack_types(call: Call) -> Results:
    x = call.tensor("input")
    dims = None if x.dims is None or len(x.dims) < 2 else (None, *x.dims[2:])
    return [result(x.dtype, dims), result(_INT64, (None,))]


def present(t: Any, sizes: Any, limit: Any) -> tuple[Any, Any]:
    """Which of the numbers up to ``limit`` are below each of ``sizes``: as a matrix, and their places in it, flat."""
    below = t.lt(t.unsqueeze(t.arange(limit), 0), t.unsqueeze(sizes, 1))
    return below, t.squeeze(t.nonzero(t.reshape(below, [-1])), 1)


def _fitting(e: Emitter, x: Any, lengths: Any, batch_first: bool) -> Any:
    """Lengths that are as many as the sequences, fall, are more than zero, and no more than there are steps."""
    time, batch = (e.op("Gather", e.shape_of(x), ints(a), axis=0, dims=(1,)) for a in (batch_first, not batch_first))
    lengths = e.cast(lengths, _INT64)
    before = e.op("Slice", lengths, ints(0), ints(-1), ints(0), dims=(None,))
    behind = e.op("Slice", lengths, ints(1), ints(2**31), ints(0), dims=(None,))
    wrong = [
        e.op("Less", lengths, ints(1), dtype=_BOOL, dims=(None,)),
        e.op("Less", time, lengths, dtype=_BOOL, dims=(None,)),
        e.op("Less", before, behind, dtype=_BOOL, dims=(None,)),
        e.op("Not", e.op("Equal", e.shape_of(lengths), batch, dtype=_BOOL, dims=(1,)), dims=(1,)),
    ]
    return holds(e, lengths, none_true(e, e.op("Concat", *wrong, axis=0, dims=(None,))))


def _lower_pack(t: Any, x: Any, lengths: Any, batch_first: bool) -> Any:
    lengths = _fitting(t.e, x, lengths, batch_first)
    steps = t.transpose(x, 0, 1) if batch_first else x
    turned = t.transpose(present(t, lengths, t.size(steps, 0))[0], 0, 1)
    places = t.squeeze(t.nonzero(t.reshape(turned, [-1])), 1)
    counts = t.sum(t._to_copy(turned, dtype=_INT64.code), [1])
    used = t.squeeze(t.nonzero(counts), 1)  # padding beyond the longest sequence has no steps
    return t.index_select(t.flatten(steps, 0, 1), 0, places), t.index_select(counts, 0, used)


def _pack_grad(c: Any, g: Any, _: Any) -> Any:
    x, lengths, batch_first = c["input"], c["lengths"], c["batch_first"]
    steps, batch = (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])
    mask = np.arange(steps)[:, None] < lengths._array
    places = c.op("aten::tensor", np.flatnonzero(mask).tolist())
    flat = c.op("aten::index_add", c.op("aten::new_zeros", g, [steps * batch, *x.shape[2:]]), 0, places, g)
    whole = flat.reshape([steps, batch, *x.shape[2:]])
    return (whole.transpose(0, 1) if batch_first else whole, None)


declare(
    "aten::_pack_padded_sequence(Tensor input, Tensor lengths, bool batch_first) -> (Tensor, Tensor)",
    _pack,
    types=_pack_types,
    onnx=lowered_as(_lower_pack),
    grad=_pack_grad,
    samples=of((f4(4, 3, 2), idx(4, 2, 1), False), (f4(3, 4, 2), idx(3, 3, 1), True), (f8(4, 2), idx(2, 1), False)),
)


@composite(
    "aten::_pad_packed_sequence(Tensor data, Tensor batch_sizes, bool batch_first, Scalar padding_value, SymInt total_length) "
    "-> (Tensor, Tensor)",
    samples=of((f4(6, 2), idx(3, 2, 1), False, 0.0, 3), (f4(6, 2), idx(3, 2, 1), True, -1.5, 5)),
)
def _pad(t: Any, data: Any, sizes: Any, batch_first: bool, value: Any, total: Any) -> Any:
    steps = t.size(sizes, 0)
    if isinstance(total, int) and isinstance(steps, int) and total < steps:
        raise BridgeError(
            "Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={total} and max sequence length being {steps}"
        )
    batch = t.item(t.select(sizes, 0, 0))
    below, places = present(t, sizes, batch)
    rest = t.shape(data)[1:]
    out = t.full([batch * total, *rest], value, dtype=t.dtype(data).code)
    whole = t.reshape(t.index_copy(out, 0, places, data), [total, batch, *rest])
    lengths = t.sum(t._to_copy(below, dtype=_INT64.code), [0])
    return (t.transpose(whole, 0, 1) if batch_first else whole), lengths


def _pad_sequence_kernel(sequences: list[Array], batch_first: bool, value: float, side: str) -> Array:
    _check_side(side)
    longest = max(len(s) for s in sequences)
    whole = np.full((len(sequences), longest, *sequences[0].shape[1:]), value, sequences[0].dtype)
    for i, s in enumerate(sequences):
        whole[i, longest - len(s) if side == "left" else 0 : longest if side == "left" else len(s)] = s
    return whole if batch_first else np.ascontiguousarray(np.swapaxes(whole, 0, 1))


def _check_side(side: str) -> None:
    if side not in ("left", "right"):
        raise BridgeError(f"Expected padding_side to be one of left or right, but got {side}.")


def _pad_sequence_grad(c: Any, g: Any) -> Any:
    found = []
    for i, s in enumerate(c["sequences"]):
        n = s.shape[0]
        one = g.select(0 if c["batch_first"] else 1, i)
        found.append(one.narrow(0, one.shape[0] - n if c["padding_side"] == "left" else 0, n))
    return (found,)


def _pad_sequence_types(call: Call) -> Results:
    listed, first = call.tensors("sequences"), call.known("batch_first")
    if not listed:
        return result(None, None)
    dims = listed[0].dims
    lengths = [s.dims[0] if s.dims else None for s in listed]
    longest = max(lengths) if all(isinstance(n, int) for n in lengths) else None  # type: ignore[type-var]
    pair: tuple[Any, ...] = (len(listed), longest) if first is True else (longest, len(listed))
    pair = pair if isinstance(first, bool) else (None, None)
    return result(listed[0].dtype, None if dims is None else (*pair, *dims[1:]))


def _lower_pad_sequence(e: Emitter, call: LoweredCall) -> Any:
    sequences, side = call["sequences"], call["padding_side"]
    if not isinstance(sequences, list | tuple):
        e.unsupported("pad_sequence is exported for a list whose length is known")
    _check_side(side)
    if is_lowered(call["padding_value"]):
        e.unsupported("the padding_value must be known when the model is exported")
    sizes = [e.op("Slice", e.shape_of(s), ints(0), ints(1), dims=(1,)) for s in sequences]
    longest = sizes[0] if len(sizes) == 1 else e.op("Max", *sizes, dims=(1,))
    padded = []
    for s, n in zip(sequences, sizes, strict=True):
        zeros = e.constant(np.zeros(known_rank(e, s, "pad_sequence") - 1, np.int64))
        missing, none = e.op("Sub", longest, n, dims=(1,)), e.constant(np.zeros(1, np.int64))
        before, after = (missing, none) if side == "left" else (none, missing)
        pads = e.op("Concat", before, zeros, after, zeros, axis=0, dims=(2 * s.rank,))
        value = np.asarray(call["padding_value"], s.dtype.numpy)
        padded.append(e.op("Pad", s, pads, value, dims=None))
    axis = 0 if call["batch_first"] else 1
    wide = [e.op("Unsqueeze", v, ints(axis), dims=None) for v in padded]
    return wide[0] if len(wide) == 1 else e.op("Concat", *wide, axis=axis, dims=None)


declare(
    'aten::pad_sequence(Tensor[] sequences, bool batch_first=False, float padding_value=0.0, str padding_side="right") '
    "-> Tensor",
    _pad_sequence_kernel,
    types=_pad_sequence_types,
    onnx=_lower_pad_sequence,
    grad=_pad_sequence_grad,
    samples=of(S([f4(3, 2), f4(1, 2)]), S([f4(2), f4(3), f4(1)], True, -1.0, "left")),
)
