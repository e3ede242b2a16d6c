"""Larger shapes from smaller ones: expand, broadcast_to, repeat, tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import equal_dims, same_sizes
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, compute_dtype, ints, is_lowered, known_rank, shape_vector
from bridge.ir.ops._samples import f4, i8, of
from bridge.ir.rules import Call, Results, broadcast_dims, dims_from_list, result
from bridge.ir.types import Dim

# -- expand and repeat -------------------------------------------------------------------------------------------------


def expanded_shape(shape: Sequence[int], size: Any) -> list[int]:
    """The sizes to which ``expand`` brings a shape. Raises BridgeError where they do not fit."""
    sizes = [size] if isinstance(size, int) else [int(s) for s in size]
    extra = len(sizes) - len(shape)
    if extra < 0:
        raise BridgeError(
            f"expand({list(shape)}, size={sizes}): the number of sizes provided ({len(sizes)}) must be greater or equal to the "
            f"number of dimensions in the tensor ({len(shape)})"
        )
    out = []
    for i, s in enumerate(sizes):
        own = shape[i - extra] if i >= extra else None
        if s == -1:
            if own is None:
                raise BridgeError(
                    f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                )
            out.append(own)
            continue
        if own is not None and own not in (1, s):
            raise BridgeError(
                f"The expanded size of the tensor ({s}) must match the existing size ({own}) at non-singleton dimension {i}.  "
                f"Target sizes: {sizes}.  Tensor sizes: {list(shape)}"
            )
        out.append(s)
    return out


def expand(self: Array, size: Any, implicit: bool = False) -> Array:
    shape = tuple(expanded_shape(self.shape, size))
    if shape == self.shape:
        return self[...]
    extra = len(shape) - self.ndim
    strides = [0] * extra + [
        0 if n == 1 and shape[i + extra] != 1 else s
        for i, (n, s) in enumerate(zip(self.shape, self.strides, strict=True))
    ]
    return np.lib.stride_tricks.as_strided(self, shape, strides)


def _expand_types(call: Call) -> Results:
    t, size = call.tensor("self"), call.known("size")
    wanted = dims_from_list(size)
    if wanted is None:
        return result(t.dtype, None)
    extra = len(wanted) - len(t.dims) if t.dims is not None else None
    dims: list[Dim] = []
    for i, d in enumerate(wanted):
        own = t.dims[i - extra] if t.dims is not None and extra is not None and i >= extra else None
        dims.append(own if d == -1 else own if d is None and isinstance(own, int) and own != 1 else d)
    return result(t.dtype, dims)


def lower_expand(e: Emitter, x: Any, shape: Any, dims: Any = None) -> Any:
    """Expand to a shape vector, through another element type where onnxruntime lacks one."""
    compute = compute_dtype("Expand", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Expand for {x.dtype.name}")
    return e.cast(e.op("Expand", e.cast(x, compute), shape, dims=dims), x.dtype)


def _lower_expand(e: Emitter, call: LoweredCall) -> Any:
    x, size = call["self"], call["size"]
    if isinstance(size, list | tuple):
        if x.rank is not None and any(_kept(s) for s in size[: len(size) - x.rank]):
            e.unsupported("expand: the size of a dimension that the tensor does not have cannot be -1")
        # -1 keeps a size: for ONNX's Expand that is a 1, which the value's own size wins over
        out = lower_expand(e, x, shape_vector(e, [1 if _kept(s) else s for s in size]))
        if _fits(x.dims, size):
            return out
        return same_sizes(e, out, shape_vector(e, [0 if _kept(s) else s for s in size]))
    one, vector = e.constant(np.asarray([1], np.int64)), shape_vector(e, size)
    minus = e.op("Equal", vector, e.constant(np.asarray([-1], np.int64)), dtype=BOOL)
    out = lower_expand(e, x, e.op("Where", minus, one, vector, dtype=vector.dtype))
    return same_sizes(e, out, e.op("Where", minus, e.constant(np.asarray([0], np.int64)), vector, dtype=vector.dtype))


def _kept(size: Any) -> bool:
    return not is_lowered(size) and bool(size == -1)


def _fits(dims: Sequence[Dim] | None, sizes: Sequence[Any]) -> bool:
    """Whether sizes cannot be smaller than those that a tensor has: ONNX's Expand broadcasts both ways."""
    if dims is None or len(dims) > len(sizes):
        return False
    pairs = zip(dims, sizes[len(sizes) - len(dims) :], strict=True)
    return all(
        d == 1 or _kept(s) or (not is_lowered(s) and s != 1) or (d is not None and d == _symbol(s)) for d, s in pairs
    )


def _symbol(size: Any) -> Dim:
    return size if isinstance(size, int) else getattr(size, "symbol", None)


def _lower_expand_as(e: Emitter, call: LoweredCall) -> Any:
    x, other = call["self"], call["other"]
    shape = e.shape_of(other)
    out = lower_expand(e, x, shape)
    fits = other.dims is not None and _fits(x.dims, [d if isinstance(d, int) else other for d in other.dims])
    return out if fits or equal_dims(x.dims, other.dims) else same_sizes(e, out, shape)


declare(
    "aten::expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)",
    expand,
    types=_expand_types,
    onnx=_lower_expand,
    grad=lambda ctx, g: (g,),
    samples=of((f4(3, 1), [3, 4]), (f4(3), [2, 3]), (f4(3, 1), [-1, 4]), (f4(), [2]), (i8(1), [0])),
)
declare(
    "aten::expand_as(Tensor(a) self, Tensor other) -> Tensor(a)",
    lambda ops, x, other: ops("aten::expand", x, list(other.shape)),
    composite=True,
    types=lambda call: result(call.tensor("self").dtype, call.tensor("other").dims),
    onnx=_lower_expand_as,
    samples=of((f4(3, 1), f4(3, 4)), (f4(), f4(2, 2))),
)
declare(
    "aten::broadcast_to(Tensor(a) self, SymInt[] size) -> Tensor(a)",
    lambda ops, x, size: ops("aten::expand", x, size),
    composite=True,
    types=_expand_types,
    onnx=_lower_expand,
    samples=of((f4(3, 1), [3, 4])),
)


def _broadcast_all(ops: Any, tensors: Any) -> Any:
    shape = list(np.broadcast_shapes(*[tuple(t.shape) for t in tensors]))
    # one that has the shape is itself, as for torch: the names in traces tell
    return [t if list(t.shape) == shape else ops("aten::expand", t, shape) for t in tensors]


def _lower_broadcast_all(e: Emitter, call: LoweredCall) -> Any:
    tensors = call["tensors"]
    if not isinstance(tensors, list):
        e.unsupported("how many tensors the list has must be known when the model is exported")
    made = []
    for i, x in enumerate(tensors):
        for j, other in enumerate(tensors):
            if i != j:  # Expand broadcasts both ways
                x = lower_expand(e, x, e.shape_of(other), broadcast_dims([x.dims, other.dims]))
        made.append(x)
    return made


declare(
    "aten::broadcast_tensors(Tensor[] tensors) -> Tensor[]",
    _broadcast_all,
    composite=True,
    onnx=_lower_broadcast_all,
    samples=of(([f4(3, 1), f4(4)],)),
)


def _tiled(shape: Sequence[int], repeats: Sequence[int]) -> list[int]:
    if len(repeats) < len(shape):
        raise BridgeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    padded = [1] * (len(repeats) - len(shape)) + list(shape)
    return [n * r for n, r in zip(padded, repeats, strict=True)]


def repeat(self: Array, repeats: Any) -> Array:
    _tiled(self.shape, repeats)
    return np.tile(self, tuple(repeats)) if repeats else self.copy()


def _repeat_types(call: Call) -> Results:
    name = call.schema.arguments[1].name
    t, repeats = call.tensor("self"), dims_from_list(call.known(name))
    if t.dims is None or repeats is None:
        return result(t.dtype, (None,) * len(repeats) if repeats is not None else None)
    n = max(len(repeats), len(t.dims))
    dims, times = [1] * (n - len(t.dims)) + list(t.dims), [1] * (n - len(repeats)) + list(repeats)
    return result(
        t.dtype,
        [
            d * r if isinstance(d, int) and isinstance(r, int) else d if r == 1 else None
            for d, r in zip(dims, times, strict=True)
        ],
    )


def _lower_repeat(e: Emitter, call: LoweredCall) -> Any:
    x, repeats = call["self"], call[call.schema.arguments[1].name]
    rank = known_rank(e, x, "repeat")
    if not isinstance(repeats, list | tuple):
        e.unsupported("repeat needs a list of counts whose length is known")
    if len(repeats) < rank and call.schema.name == "aten::repeat":
        e.unsupported("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if len(repeats) > rank:
        wide = e.op("Concat", ints(*[1] * (len(repeats) - rank)), e.shape_of(x), axis=0)
        x = e.op("Reshape", x, wide, allowzero=1 if e.opset >= 14 else None)
    times = [1] * max(rank - len(repeats), 0) + list(repeats)
    if not times:
        return e.op("Identity", x)
    compute = compute_dtype("Tile", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Tile for {x.dtype.name}")
    return e.cast(e.op("Tile", e.cast(x, compute), shape_vector(e, times)), x.dtype)


def _repeat_grad(ctx: Any, g: Any) -> Any:
    shape, repeats = list(ctx["self"].shape), list(ctx["repeats"])
    if 0 in repeats:
        return (ctx.op("aten::zeros_like", ctx["self"]),)
    padded = [1] * (len(repeats) - len(shape)) + shape
    split = [n for r, s in zip(repeats, padded, strict=True) for n in (r, s)]
    total = ctx.op("aten::sum.dim_IntList", g.reshape(split), list(range(0, len(split), 2))) if split else g
    return (total.reshape(shape),)


declare(
    "aten::repeat(Tensor self, SymInt[] repeats) -> Tensor",
    repeat,
    types=_repeat_types,
    onnx=_lower_repeat,
    grad=_repeat_grad,
    samples=of((f4(2, 3), [2, 1]), (f4(3), [2, 2]), (f4(), [3]), (f4(2), [0]), (i8(2, 1), [1, 2, 3])),
)


def _tile(ops: Any, self: Any, dims: Any) -> Any:
    times = [1] * (len(self.shape) - len(dims)) + list(dims)
    return ops("aten::repeat", self, times)


declare(
    "aten::tile(Tensor self, SymInt[] dims) -> Tensor",
    _tile,
    types=_repeat_types,
    onnx=_lower_repeat,
    composite=True,
    samples=of((f4(2, 3), [2]), (f4(3), [2, 2])),
)
