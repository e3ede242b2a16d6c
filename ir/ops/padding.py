"""Padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import at_least
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import compute_dtype, ints, is_lowered, known_rank
from bridge.ir.ops._samples import f4, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, result
from bridge.ir.types import Dim


def _pairs(pad: Sequence[int], rank: int) -> list[tuple[int, int]]:
    """torch counts from the last dimension; NumPy from the first."""
    if len(pad) % 2:
        raise BridgeError("Padding length must be divisible by 2")
    given = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    if len(given) > rank:
        raise BridgeError(
            f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is {len(pad)} while the input has {rank} dimensions."
        )
    return [(0, 0)] * (rank - len(given)) + given[::-1]


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(self: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Negative sizes cut: before anything is added, or of what was added where that mirrors or repeats the edge."""
    pairs, first = _pairs(pad, self.ndim), mode in ("constant", "circular")
    x = self
    if first:
        if any(n + min(a, 0) + min(b, 0) < 0 for (a, b), n in zip(pairs, self.shape, strict=True)):
            raise BridgeError("narrow(): length must be non-negative.")
        x = self[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, self.shape, strict=True))]
    grown = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if mode == "constant":
        return np.pad(x, grown, constant_values=np.asarray(0 if value is None else value).astype(x.dtype))
    _check_pads(mode, self.shape, pairs)
    x = np.pad(x, grown, mode=_MODES[mode])  # type: ignore[call-overload]
    if first:
        return x
    return np.ascontiguousarray(
        x[tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, x.shape, strict=True))]
    )


def _check_pads(mode: str, shape: Sequence[int], pairs: Sequence[tuple[int, int]]) -> None:
    """Raise what torch raises for sizes that cannot be padded so."""
    n = max((len(shape) - d for d, p in enumerate(pairs) if p != (0, 0)), default=1)
    if mode == "circular":
        if any(max(p) > size for p, size in zip(pairs, shape, strict=True)):
            raise BridgeError("Padding value causes wrapping around more than once.")
        return
    if 0 in shape[1 if len(shape) == n + 2 else 0 :]:
        raise BridgeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
            f"input, but got: {list(shape)}"
        )
    for d in range(len(shape) - 1, -1, -1):
        (a, b), size = pairs[d], shape[d]
        if mode == "reflect" and max(a, b) >= size and (a or b):
            raise BridgeError(
                f"Argument #{2 + 2 * (len(shape) - d)}: Padding size should be less than the corresponding input dimension, "
                f"but got: padding ({a}, {b}) at dimension {d} of input {list(shape)}"
            )
    letters = "TDHW"[-n:] if n < 3 else "DHW"
    sizes, out = shape[len(shape) - n :], [size + a + b for size, (a, b) in zip(shape, pairs, strict=True)]
    if any(o < 1 for o in out[len(shape) - n :]):
        given, made = (" ".join(f"{k}: {v}" for k, v in zip(letters, vs, strict=True)) for vs in (sizes, out[-n:]))
        raise BridgeError(f"input ({given}) is too small. Calculated output {made}")


def _pad_types(call: Call) -> Results:
    t, pad = call.tensor("self"), call.known("pad")
    if t.dims is None or pad is UNKNOWN:
        return result(t.dtype, None if t.dims is None else (None,) * len(t.dims))
    n = len(pad) // 2
    dims: list[Dim] = list(t.dims)
    for k in range(n):
        a, b, at = pad[2 * k], pad[2 * k + 1], len(dims) - 1 - k
        size = dims[at]
        if not isinstance(a, int) or not isinstance(b, int) or (not isinstance(size, int) and (a or b)):
            dims[at] = None
        elif isinstance(size, int):
            dims[at] = size + a + b
    return result(t.dtype, dims)


def _lower_pad(e: Emitter, call: LoweredCall) -> Any:
    x, mode = call["self"], call["mode"] if "mode" in call.schema.index else "constant"
    pad, rank = call["pad"], known_rank(e, x, "pad")
    if is_lowered(pad):
        e.unsupported("pad needs a list of known length")
    given = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    rows = [(0, 0)] * (rank - len(given)) + given[::-1]
    known = not any(is_lowered(p) for p in pad)
    if mode == "circular" and known:
        return _wrapped(e, x, rows)
    if known and mode in ("reflect", "replicate") and min(pad, default=0) < 0:  # add, then cut
        parts = [[(max(s * a, 0) * s, max(s * b, 0) * s) for a, b in rows] for s in (1, -1)]
        x = _pad_node(e, x, e.ints([a for a, _ in parts[0]] + [b for _, b in parts[0]]), mode)
        return _pad_node(e, x, e.ints([a for a, _ in parts[1]] + [b for _, b in parts[1]]), "constant")
    vector = e.ints([a for a, _ in rows] + [b for _, b in rows])
    if mode == "circular" and e.opset < 19:
        e.unsupported(f"circular padding needs opset 19; this is {e.opset}")
    if mode == "constant" and known:  # what is cut off must be there
        x = at_least(e, x, [max(-a, 0) + max(-b, 0) for a, b in rows])
    value = call["value"] if "value" in call.schema.index else None
    return _pad_node(e, x, vector, mode, value)


def _pad_node(e: Emitter, x: Any, vector: Any, mode: str, value: Any = None) -> Any:
    compute = compute_dtype("Pad", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Pad for {x.dtype.name}")
    fill = e.cast(0 if value is None else value, compute) if mode == "constant" else None
    return e.cast(e.op("Pad", e.cast(x, compute), vector, fill, mode=_MODES[mode]), x.dtype)


def _wrapped(e: Emitter, x: Any, rows: Sequence[tuple[int, int]]) -> Any:
    """Circular padding: the end before the beginning, the beginning behind the end."""
    last = np.iinfo(np.int64).max
    if any(min(p) < 0 for p in rows):
        x = _pad_node(e, x, e.ints([min(a, 0) for a, _ in rows] + [min(b, 0) for _, b in rows]), "constant")
    x = at_least(e, x, [max(*p, 0) for p in rows])
    for d, (a, b) in enumerate(rows):
        before = [e.op("Slice", x, ints(-a), ints(last), ints(d))] if a > 0 else []
        after = [e.op("Slice", x, ints(0), ints(b), ints(d))] if b > 0 else []
        dims = x.dims
        if before or after:
            x = e.op(
                "Concat", *before, x, *after, axis=d, dims=tuple(None if i == d else n for i, n in enumerate(dims))
            )
    return x


def _pad_grad(c: Any, g: Any) -> Any:
    return (c.op("aten::constant_pad_nd", g, [-p for p in c["pad"]], 0),)


def _pad(ops: Any, self: Any, pad_: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    if mode == "constant":
        return ops("aten::constant_pad_nd", self, pad_, 0 if value is None else value)
    n = len(pad_) // 2
    if len(self.shape) not in (n + 1, n + 2) or n > 3 or len(pad_) % 2:
        raise NotImplementedError(
            f"Padding size {len(pad_)} is not supported for {len(self.shape)}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    name = {"reflect": "reflection_pad", "replicate": "replication_pad"}.get(mode)
    if name is None:
        return ops("aten::_pad_circular", self, pad_)
    return ops(f"aten::{name}{n}d", self, pad_)


_PADS = of(
    (f4(2, 3), [1, 2]), (f4(2, 3), [1, 0, 0, 2], "constant", 5.0), (f4(2, 3), [-1, 1]), (f4(1, 2, 5), [2, 1], "reflect"), (f4(1, 2, 5), [2, 1], "replicate"),
    (f4(1, 2, 5), [2, 1], "circular"), (f4(1, 2, 4, 4), [1, 2, 3, 0], "reflect"),
)  # fmt: skip


def _folded_grad(mode: str) -> Any:
    """Each padded element gives its gradient to the one it is a copy of."""

    def grad(c: Any, g: Any) -> Any:
        x = c["self"]
        pairs = _pairs(c["padding" if "padding" in c.plan.schema.index else "pad"], len(x.shape))
        for d, (a, b) in enumerate(pairs):
            if a or b:
                n = x.shape[d]
                source = pad(np.arange(n), (a, b), mode)
                at = c.op("aten::tensor", source.tolist())
                shape = [n if i == d else s for i, s in enumerate(g.shape)]
                g = c.op("aten::index_add", c.op("aten::new_zeros", g, shape), d, at, g)
        return (g,)

    return grad


def _declare_pad(mode: str, name: str, schema: str, sample: Any, lower: Any) -> None:
    declare(
        f"aten::{name}(Tensor self, {schema}) -> Tensor",
        lambda x, p: pad(x, p, mode),
        types=lambda call: _pad_types(Call(call.schema, call.types, {"pad": call.known(schema.split()[1])})),
        onnx=lower,
        grad=_folded_grad(mode),
        samples=of(sample),
    )


_AS_PAD = unsupported("this padding is exported as aten::pad")


declare(
    'aten::pad(Tensor self, SymInt[] pad, str mode="constant", float? value=None) -> Tensor',
    _pad,
    composite=True,
    types=_pad_types,
    onnx=_lower_pad,
    samples=_PADS,
)
declare(
    "aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor",
    lambda x, p, v: pad(x, p, "constant", v),
    types=_pad_types,
    onnx=_lower_pad,
    grad=_pad_grad,
    samples=of((f4(2, 3), [1, 2]), (f4(2, 3), [1, 0, -1, 2], 5.0)),
)


for _n, _sample in (
    (1, (f4(1, 2, 5), [2, 1])),
    (2, (f4(1, 2, 4, 4), [1, 2, 3, 0])),
    (3, (f4(1, 1, 3, 3, 3), [1, 0, 0, 1, 1, 1])),
):
    _declare_pad("reflect", f"reflection_pad{_n}d", f"SymInt[{2 * _n}] padding", _sample, _AS_PAD)
    _declare_pad("replicate", f"replication_pad{_n}d", f"SymInt[{2 * _n}] padding", _sample, _AS_PAD)
_declare_pad("circular", "_pad_circular", "SymInt[] pad", (f4(1, 2, 5), [2, 1]), _AS_PAD)
