"""Other shapes of the same elements: view, reshape, flatten, squeeze, unsqueeze, expand, repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_code
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._declare import Array, declare, dim_of, dims_of
from bridge.ir.ops._onnx import axis_of, ints, is_lowered, known_rank, shape_vector
from bridge.ir.ops._samples import f4, i8, of
from bridge.ir.readings import Given, Input, reads
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, dims_from_list, is_at_most_one, result, wrap
from bridge.ir.types import Dim

# -- view and reshape --------------------------------------------------------------------------------------------------


def infer_size(shape: Sequence[int] | int, numel: int) -> list[int]:
    """Sizes with a -1 filled in. Raises BridgeError when they do not fit ``numel`` elements."""
    sizes: list[int] = [shape] if isinstance(shape, int) else [int(s) for s in shape]
    known = math.prod(s for s in sizes if s != -1)
    if sizes.count(-1) > 1:
        raise BridgeError("only one dimension can be inferred")
    if any(s < -1 for s in sizes):
        raise BridgeError(f"invalid shape dimension {next(s for s in sizes if s < -1)}")
    if -1 in sizes:
        if known == 0:
            raise BridgeError(
                f"cannot reshape tensor of 0 elements into shape {sizes} because the unspecified dimension size -1 can be any "
                "value and is ambiguous"
            )
        if numel % known == 0:
            sizes[sizes.index(-1)] = numel // known
            return sizes
    elif known == numel:
        return sizes
    raise BridgeError(f"shape '{sizes}' is invalid for input of size {numel}")


def view(self: Array, size: Any) -> Array:
    """The same memory in another shape. Raises BridgeError where that cannot be."""
    out = self.reshape(infer_size(size, self.size))
    if self.size and not np.may_share_memory(out, self):
        raise BridgeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return out


def reshape_dims(dims: Sequence[Dim] | None, shape: Any) -> tuple[Dim, ...] | None:
    """Dimensions after a reshape: -1 is filled in where all sizes are known."""
    new = dims_from_list(shape)
    if new is None:
        return None
    if -1 not in new:
        return new
    numel: int | None = None
    if dims is not None and all(isinstance(d, int) for d in dims):
        numel = math.prod(d for d in dims if isinstance(d, int))
    rest = [d for d in new if d != -1]
    filled: Dim = None
    if numel is not None and all(isinstance(d, int) for d in rest):
        known = math.prod(d for d in rest if isinstance(d, int))
        filled = numel // known if known and numel % known == 0 else None
    elif (
        dims is not None
        and sorted(map(str, rest)) == sorted(map(str, _without_one(dims, rest)))
        and len(dims) == len(new)
    ):
        filled = next(iter(_missing(dims, rest)), None)
    return tuple(filled if d == -1 else d for d in new)


def _without_one(dims: Sequence[Dim], rest: Sequence[Dim]) -> list[Dim]:
    missing = _missing(dims, rest)
    out = list(dims)
    for m in missing[:1]:
        out.remove(m)
    return out if None not in rest else []


def _missing(dims: Sequence[Dim], rest: Sequence[Dim]) -> list[Dim]:
    out = list(dims)
    for d in rest:
        if d in out:
            out.remove(d)
    return out


def _view_types(call: Call) -> Results:
    t = call.tensor("self")
    name = "size" if "size" in call.schema.index else "shape"
    return result(t.dtype, reshape_dims(t.dims, call.known(name)))


def lower_reshape(e: Emitter, x: Any, shape: Any) -> Any:
    """Reshape to sizes that may be 0: ONNX's 0 means "keep" unless allowzero is set (opset 14)."""
    if _literal_zero(shape) and e.opset < 14:
        e.unsupported(f"reshaping to a size of 0 needs opset 14; this is {e.opset}")
    zero = not isinstance(shape, list | tuple) or any(is_lowered(s) or s == 0 for s in shape)
    minus = not isinstance(shape, list | tuple) or any(is_lowered(s) or s == -1 for s in shape)
    # allowzero together with -1 is refused for a 0, which torch calls ambiguous too; without a 0 in sight it is left out
    # of a shape with one run-time size onnxruntime makes a -1 otherwise, and so finds room where there is none
    exact = isinstance(shape, list | tuple) and not any(s == -1 for s in shape if not is_lowered(s))
    fits = isinstance(shape, list | tuple) and _cancels(x.dims, shape)
    allow = 1 if zero and e.opset >= 14 and (_literal_zero(shape) or not minus or (exact and not fits)) else None
    return e.op("Reshape", x, shape_vector(e, shape), allowzero=allow)


def _cancels(dims: Sequence[Dim] | None, shape: Sequence[Any]) -> bool:
    """Whether a tensor of these dimensions is known to have as many elements as the shape."""
    new = [s if isinstance(s, int) else getattr(s, "symbol", None) for s in shape]
    if dims is None or None in dims or None in new:
        return False
    names = [sorted(d for d in found if isinstance(d, str)) for found in (dims, new)]
    counts = [math.prod(d for d in found if isinstance(d, int)) for found in (dims, new)]
    return names[0] == names[1] and counts[0] == counts[1]


def _literal_zero(shape: Any) -> bool:
    return isinstance(shape, list | tuple) and any(not is_lowered(s) and s == 0 for s in shape)


def _lower_view(e: Emitter, call: LoweredCall) -> Any:
    return lower_reshape(e, call["self"], call["size" if "size" in call.schema.index else "shape"])


def back_to_self(ctx: Any, g: Any) -> Any:
    """The gradient of an operator that only reshapes."""
    return (ctx.op("aten::reshape", g, list(ctx["self"].shape)),)


_VIEWS = of(
    (f4(3, 4), [4, 3]), (f4(3, 4), [-1]), (f4(2, 6), [2, 3, 2]), (f4(), [1, 1]), (i8(4), [2, -1]), (f4(0, 3), [3, 0])
)
declare(
    "aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)",
    view,
    types=_view_types,
    onnx=_lower_view,
    grad=back_to_self,
    samples=_VIEWS,
)
declare(
    "aten::view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)",
    lambda self, dtype: self.view(by_code(dtype).numpy),
    types=lambda call: result(by_code(call.known("dtype")), None),
    onnx=unsupported("ONNX has no reinterpretation of bits before opset 26"),
)
declare(
    "aten::_unsafe_view(Tensor self, SymInt[] size) -> Tensor",
    lambda self, size: self.reshape(infer_size(size, self.size)),
    types=_view_types,
    onnx=_lower_view,
    grad=back_to_self,
    samples=_VIEWS,
)


def _reshape(ops: Any, self: Any, shape: Any) -> Any:
    """A view where the memory allows it, else a copy."""
    sizes = infer_size(shape, math.prod(self.shape))
    array = self if isinstance(self, np.ndarray) else getattr(self, "_array", None)
    if array is not None and array.size and not np.may_share_memory(array.reshape(sizes), array):
        return ops("aten::_unsafe_view", ops("aten::clone", self, 0), sizes)
    return ops("aten::view", self, sizes)


_RESHAPES = of((f4(3, 4), [4, 3]), (f4(3, 4), [-1]), (f4(3, 4).T, [2, 6]), (f4(), [1]), (f4(0, 3), [0]))
declare(
    "aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)",
    _reshape,
    types=_view_types,
    onnx=_lower_view,
    composite=True,
    samples=_RESHAPES,
)


def _lower_view_as(e: Emitter, call: LoweredCall) -> Any:
    other = call["other"]
    positive = other.dims is not None and all(isinstance(d, int) and d > 0 for d in other.dims)
    allow = 1 if e.opset >= 14 and not positive else None
    return e.op("Reshape", call["self"], e.shape_of(other), dims=other.dims, allowzero=allow)


for _name in ("view_as", "reshape_as"):
    declare(
        f"aten::{_name}(Tensor(a) self, Tensor other) -> Tensor(a)",
        lambda ops, x, other, n=_name: ops(f"aten::{n[:-3]}", x, list(other.shape)),
        composite=True,
        types=lambda call: result(call.tensor("self").dtype, call.tensor("other").dims),
        onnx=_lower_view_as,
        samples=of((f4(2, 3), f4(3, 2)), (f4(6), f4(2, 3, 1))),
    )


def _flat_range(call: Any, rank: int) -> tuple[int, int]:
    a, b = dim_of(call[0], rank), dim_of(call[1], rank)
    if a > b:
        raise BridgeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return a, b


def _flatten(ops: Any, self: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    shape = list(self.shape)
    a, b = _flat_range((start_dim, end_dim), len(shape))
    if not shape:
        return ops("aten::reshape", self, [1])
    return self if a == b else ops("aten::reshape", self, [*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :]])


def _flatten_types(call: Call) -> Results:
    t = call.tensor("self")
    start, end = call.known("start_dim"), call.known("end_dim")
    if t.dims is None or start is UNKNOWN or end is UNKNOWN:
        return result(t.dtype, (None,) if start == 0 and end == -1 else None)
    if not t.dims:
        return result(t.dtype, (1,))
    a, b = _flat_range((start, end), len(t.dims))
    inner = t.dims[a : b + 1]
    if len(inner) == 1:
        size: Dim = inner[0]
    else:
        size = math.prod(d for d in inner if isinstance(d, int)) if all(isinstance(d, int) for d in inner) else None
    return result(t.dtype, (*t.dims[:a], size, *t.dims[b + 1 :]))


def _lower_flatten(e: Emitter, call: LoweredCall) -> Any:
    x, start, end = call["self"], call["start_dim"], call["end_dim"]
    if start == 0 and end == -1:
        return e.op("Reshape", x, ints(-1))
    rank = known_rank(e, x, "flatten")
    a, b = _flat_range((start, end), rank)
    if not rank:
        return e.op("Reshape", x, ints(1))
    if a == b:
        return e.op("Identity", x)
    assert x.dims is not None
    inner = x.dims[a : b + 1]
    if all(isinstance(d, int) for d in x.dims[a:]) and 0 not in x.dims[a:]:  # a 0 in the target keeps a leading size
        return e.op("Reshape", x, ints(*([0] * a), math.prod(d for d in inner if isinstance(d, int)), *x.dims[b + 1 :]))
    shape = e.shape_of(x)
    whole = e.op("ReduceProd", e.op("Slice", shape, ints(a), ints(b + 1)), keepdims=1)
    parts = [e.op("Slice", shape, ints(0), ints(a))] if a else []
    parts += [whole] + ([e.op("Slice", shape, ints(b + 1), ints(rank))] if b + 1 < rank else [])
    vector = e.op("Concat", *parts, axis=0) if len(parts) > 1 else whole
    return e.op("Reshape", x, vector, allowzero=1 if e.opset >= 14 else None)


declare(
    "aten::flatten.using_ints(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)",
    _flatten,
    types=_flatten_types,
    onnx=_lower_flatten,
    composite=True,
    samples=of((f4(2, 3, 4),), (f4(2, 3, 4), 1), (f4(2, 3, 4), 0, 1), (f4(),), (f4(3), 0, 0), (f4(0, 3, 2), 1)),
)
declare(
    "aten::ravel(Tensor(a) self) -> Tensor(a)",
    lambda ops, x: ops("aten::reshape", x, [-1]) if 0 not in x.shape else ops("aten::reshape", x, [0]),
    composite=True,
    types=lambda call: reshape_all(call),
    onnx=lambda e, call: e.op("Reshape", call["self"], ints(-1)),
    samples=of((f4(2, 3),), (f4(),)),
)


def reshape_all(call: Call) -> Results:
    """One dimension of all elements."""
    t = call.tensor("self")
    return result(t.dtype, reshape_dims(t.dims, [-1]))


def _unflatten(ops: Any, self: Any, dim: int, sizes: Any) -> Any:
    shape = list(self.shape)
    at = dim_of(dim, len(shape))
    try:
        new = infer_size(sizes, shape[at])
    except BridgeError as error:
        raise BridgeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {at} ({shape[at]}) in the input tensor"
        ) from error
    return ops("aten::view", self, [*shape[:at], *new, *shape[at + 1 :]])


def _unflatten_types(call: Call) -> Results:
    t, sizes = call.tensor("self"), call.known("sizes")
    at = wrap(call.known("dim"), t.rank)
    if t.dims is None or at is None or sizes is UNKNOWN:
        return result(t.dtype, None)
    inner = reshape_dims((t.dims[at],), sizes)
    return result(t.dtype, None if inner is None else (*t.dims[:at], *inner, *t.dims[at + 1 :]))


def _lower_unflatten(e: Emitter, call: LoweredCall) -> Any:
    x, at = call["self"], axis_of(e, call["self"], call["dim"])
    rank = known_rank(e, x, "unflatten")
    shape = e.shape_of(x)
    parts = [e.op("Slice", shape, ints(0), ints(at))] if at else []
    parts += [shape_vector(e, call["sizes"])] + (
        [e.op("Slice", shape, ints(at + 1), ints(rank))] if at + 1 < rank else []
    )
    return e.op("Reshape", x, e.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0])


declare(
    "aten::unflatten.int(Tensor(a) self, int dim, SymInt[] sizes) -> Tensor(a)",
    _unflatten,
    types=_unflatten_types,
    onnx=_lower_unflatten,
    composite=True,
    samples=of((f4(2, 6), 1, [2, 3]), (f4(6, 2), 0, [-1, 3])),
)

# -- squeeze and unsqueeze ---------------------------------------------------------------------------------------------


def _squeezed(shape: Sequence[int], dims: Sequence[int] | None) -> list[int]:
    return [n for i, n in enumerate(shape) if n != 1 or (dims is not None and i not in dims)]


def squeeze(self: Array, dim: Any = None) -> Array:
    dims = None if dim is None else dims_of(dim, self.ndim, empty_is_all=False)
    return self.reshape(_squeezed(self.shape, dims))


def _squeeze_types(call: Call) -> Results:
    t = call.tensor("self")
    dim = call.known("dim") if "dim" in call.schema.index else None
    if t.dims is None or dim is UNKNOWN:
        return result(t.dtype, None)
    listed = None if dim is None else [wrap(d, len(t.dims)) for d in (dim if isinstance(dim, list | tuple) else [dim])]
    kept: list[Dim] = []
    for i, d in enumerate(t.dims):
        if listed is not None and i not in listed:
            kept.append(d)
        elif listed is not None and is_at_most_one(d):
            continue  # meant to go: where it is 0 the lowering raises
        elif not isinstance(d, int):
            return result(t.dtype, None)  # it may be 1
        elif d != 1:
            kept.append(d)
    return result(t.dtype, kept)


def _lower_squeeze(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    dim = call["dim"] if "dim" in call.schema.index else None
    if dim is None:
        return e.op("Squeeze", x)
    rank = known_rank(e, x, "squeeze")
    axes = [axis_of(e, x, d) for d in (dim if isinstance(dim, list | tuple) else [dim])] if rank else []
    if any(isinstance(x.dims[a], str) and not is_at_most_one(x.dims[a]) for a in axes):
        e.unsupported("squeeze of a dimension that varies gives a different number of dimensions from run to run")
    ones = [a for a in axes if x.dims[a] == 1 or not isinstance(x.dims[a], int)]
    for a in ones:
        if x.dims[a] != 1:
            e.assumes(f"dimension {a}, which is squeezed, has size 1: the model raises where it has another")
    kept = [d for i, d in enumerate(x.dims) if i not in ones]
    return e.op("Squeeze", x, ints(*ones), dims=kept) if ones else e.op("Identity", x)


_SQUEEZE: dict[str, Any] = {"types": _squeeze_types, "onnx": _lower_squeeze, "grad": back_to_self}
declare(
    "aten::squeeze(Tensor(a) self) -> Tensor(a)",
    lambda self: squeeze(self),
    **_SQUEEZE,
    samples=of((f4(1, 3, 1),), (f4(2),), (f4(1, 1),)),
)
declare(
    "aten::squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)",
    squeeze,
    **_SQUEEZE,
    grad_name="SqueezeBackward1",
    samples=of((f4(1, 3, 1), 0), (f4(1, 3, 1), 1), (f4(1, 3, 1), -1), (f4(), 0)),
)
declare(
    "aten::squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)",
    squeeze,
    **_SQUEEZE,
    grad_name="SqueezeBackward2",
    samples=of((f4(1, 3, 1), [0, 2]), (f4(1, 3, 1), [0, 1]), (f4(1, 2), [])),
)


def unsqueeze(self: Array, dim: int) -> Array:
    return np.expand_dims(self, dim_of(dim, self.ndim + 1))


def _unsqueeze_types(call: Call) -> Results:
    t, dim = call.tensor("self"), call.known("dim")
    if t.dims is None or dim is UNKNOWN:
        return result(t.dtype, None if t.dims is None else (None,) * (len(t.dims) + 1))
    at = dim % (len(t.dims) + 1)
    return result(t.dtype, (*t.dims[:at], 1, *t.dims[at:]))


def _lower_unsqueeze(e: Emitter, call: LoweredCall) -> Any:
    return e.op("Unsqueeze", call["self"], ints(axis_of(e, call["self"], call["dim"], extra=1)))


def _unsqueeze_grad(ctx: Any, g: Any) -> Any:
    return (g.squeeze(ctx["dim"]),)


declare(
    "aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)",
    unsqueeze,
    types=_unsqueeze_types,
    onnx=_lower_unsqueeze,
    grad=_unsqueeze_grad,
    samples=of((f4(2, 3), 0), (f4(2, 3), -1), (f4(), 0), (f4(2, 3), 1)),
)

# The in-place forms give another view of the same memory, which takes the place of the tensor's own.
for _suffix, _args, _kernel, _number in (
    ("squeeze_", "", lambda self: squeeze(self), 3),
    ("squeeze_.dim", ", int dim", squeeze, 4),
    ("squeeze_.dims", ", int[] dim", squeeze, 5),
):
    declare(
        f"aten::{_suffix}(Tensor(a!) self{_args}) -> Tensor(a!)",
        _kernel,
        **_SQUEEZE,
        grad_name=f"SqueezeBackward{_number}",
    )
declare(
    "aten::unsqueeze_(Tensor(a!) self, int dim) -> Tensor(a!)",
    unsqueeze,
    types=_unsqueeze_types,
    onnx=_lower_unsqueeze,
    grad=_unsqueeze_grad,
    grad_name="UnsqueezeBackward1",
)


def _with_sizes(given: Given) -> list[Any] | None:
    sizes = given.ints(1)
    return None if sizes is None else [Input(0), sizes]


reads("Reshape", "aten::reshape", _with_sizes, since=5)
