"""Reading and writing elements by index or mask: index, gather, scatter, index_select, masked_fill, take…"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge.ir.dtypes import DType, by_numpy
from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import equal_dims
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, INT64, ints, is_lowered, known_rank, scattered, typed, where
from bridge.ir.ops._samples import b1, f4, i8, of
from bridge.ir.ops._samples import ints as idx
from bridge.ir.rules import Call, Results, broadcast_dims, like_self, result
from bridge.ir.types import Dim, ListType, TensorType

# -- index: x[i, :, mask] ----------------------------------------------------------------------------------------------


def _as_index(i: Any) -> Any:
    if i is None:
        return slice(None)
    if i.dtype == np.uint8:
        return i.astype(bool)
    return i if i.dtype == np.bool_ else i.astype(np.int64)


def _key(self: Array, indices: Sequence[Any]) -> tuple[Any, ...]:
    """NumPy's index tuple. Raises IndexError as torch does."""
    key = [_as_index(i) for i in indices]
    at = 0
    for k in key:
        if isinstance(k, slice):
            at += 1
        elif k.dtype == np.bool_:
            for j, n in enumerate(k.shape):
                if at + j >= self.ndim or self.shape[at + j] != n:
                    raise IndexError(
                        f"The shape of the mask {list(k.shape)} at index {j} does not match the shape of the indexed tensor {list(self.shape)} at index {at + j}"
                    )
            at += k.ndim
        else:
            if at >= self.ndim:
                raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
            n = self.shape[at]
            if k.size and (k.max() >= n or k.min() < -n):
                bad = int(k.max() if k.max() >= n else k.min())
                raise IndexError(f"index {bad} is out of bounds for dimension {at} with size {n}")
            at += 1
    return tuple(key)


def index(self: Array, indices: Sequence[Any]) -> Any:
    if any(i is not None and not i.ndim and i.dtype in (np.bool_, np.uint8) for i in indices):
        raise IndexError(_NO_MASK.format(self.ndim))
    return np.array(self[_key(self, indices)], order="C")


#: Of no meaning in torch's own language either; tensors of Python turn such masks into others before.
_NO_MASK = "too many indices for tensor of dimension {} (got a mask of no dimensions)"


def _other_type(own: DType, given: DType) -> str:
    return f"Index put requires the source and destination dtypes match, got {own.label} for the destination and {given.label} for the source."


def index_put(self: Array, indices: Sequence[Any], values: Array, accumulate: bool = False) -> Array:
    """Writes in place and returns self."""
    if values.dtype != self.dtype:
        present = [i for i in indices if i is not None]
        if accumulate or len(present) != 1 or present[0].dtype != np.bool_ or values.size != 1:
            raise BridgeError(_other_type(by_numpy(self.dtype), by_numpy(values.dtype)))
        values = values.astype(self.dtype)  # as masked_fill does
    key = _key(self, indices)
    if accumulate:
        np.add.at(self, key, values)
    else:
        self[key] = values
    return self


def _index_shape(e_types: Sequence[Any], dims: Sequence[Dim]) -> tuple[Dim, ...] | None:
    """Dimensions of the result: index tensors broadcast, and stand where the first of adjacent ones stood."""
    out: list[Dim] = []
    shapes: list[Any] = []
    places: list[int] = []
    at = 0
    for position, t in enumerate(e_types):
        if t is None:
            out.append(dims[at])
            at += 1
            continue
        if t.dtype is None or t.dims is None:
            return None
        if t.dtype.name in ("bool", "uint8"):
            shapes.append((None,))
            at += len(t.dims)
        else:
            shapes.append(t.dims)
            at += 1
        places.append(position)
    whole = broadcast_dims(shapes)
    if whole is None:
        return None
    rest = list(dims[at:])
    adjacent = places == list(range(places[0], places[-1] + 1)) if places else True
    first = places[0] if adjacent and places else 0
    return (*out[:first], *whole, *out[first:], *rest)


def _index_list(call: Call) -> list[TensorType | None] | None:
    t = call.types["indices"]
    if isinstance(t, ListType):
        return None
    return [x if isinstance(x, TensorType) else None for x in t.contained()]


def _index_types(call: Call) -> Results:
    t, listed = call.tensor("self"), _index_list(call)
    return result(t.dtype, None if t.dims is None or listed is None else _index_shape(listed, t.dims))


def _transposed_index(e: Emitter, call: LoweredCall) -> tuple[Any, list[Any], list[int], bool]:
    """self with the indexed dimensions in front, the indices as int64, the order used, whether indices were adjacent."""
    x, indices = call["self"], call["indices"]
    if is_lowered(indices):
        e.unsupported("the list of indices must be known")
    rank = known_rank(e, x, "indexing")
    expanded: list[Any] = []
    for i in indices:
        if i is None or i.dtype.name not in ("bool", "uint8"):
            expanded.append(i)
            continue
        n, at = known_rank(e, i, "a mask"), len(expanded)
        mask = _of_shape(e, e.cast(i, BOOL), x, at)
        found = typed(e, "NonZero", BOOL, mask, result=INT64)
        rows = (
            [found]
            if n == 1
            else list(
                e.op("Split", found, outputs=n, dtype=[INT64] * n, axis=0, num_outputs=n if e.opset >= 18 else None)
            )
        )
        expanded += [e.op("Reshape", r, ints(-1), dims=(None,)) for r in rows]
    places = [k for k, i in enumerate(expanded) if i is not None]
    adjacent = places == list(range(places[0], places[-1] + 1)) if places else True
    order = places + [d for d in range(rank) if d not in places]
    return x, [expanded[p] for p in places], order, adjacent


def _of_shape(e: Emitter, mask: Any, x: Any, at: int) -> Any:
    """A mask, whose shape is that of the dimensions from ``at`` on of what it picks from."""
    n = mask.rank
    if x.dims is not None and equal_dims(mask.dims, x.dims[at : at + n]):
        return mask
    shape = e.shape_of(x)
    if n != x.rank:
        shape = e.op("Slice", shape, ints(at), ints(at + n), dims=(n,))
    if n > 1:  # first no size that is smaller, then as many elements
        mask = e.op("Reshape", mask, e.op("Max", e.shape_of(mask), shape, dims=(n,)), dims=mask.dims)
    return e.op("Reshape", mask, shape, dims=mask.dims)


def _joint_index(e: Emitter, parts: list[Any]) -> tuple[Any, int]:
    """Indices broadcast together and stacked along a last dimension, and their number of dimensions."""
    rank = max(known_rank(e, p, "an index") for p in parts)
    wide = [e.cast(p, INT64) for p in parts]
    if len(wide) > 1:
        shape = e.shape_of(wide[0])
        if any(p.dims != parts[0].dims or p.dims is None or None in p.dims for p in parts[1:]):
            total = wide[0]
            for w in wide[1:]:
                total = e.op("Add", e.op("Mul", total, e.scalar(0, INT64)), e.op("Mul", w, e.scalar(0, INT64)))
            shape = e.op("Shape", total, dtype=INT64, dims=(rank,))
            wide = [e.op("Expand", w, shape) for w in wide]
    return e.op("Concat", *[e.op("Unsqueeze", w, ints(rank)) for w in wide], axis=rank) if len(wide) > 1 else e.op(
        "Unsqueeze", wide[0], ints(rank)
    ), rank


def _only_mask(e: Emitter, call: LoweredCall) -> tuple[Any, int] | None:
    """The one index that there is, when it is a mask, with the shape of what it picks from, and the dimension it starts at."""
    indices = call["indices"]
    given = [] if is_lowered(indices) else [k for k, i in enumerate(indices) if i is not None]
    if len(given) != 1 or indices[given[0]].dtype.name not in ("bool", "uint8") or not indices[given[0]].rank:
        return None
    if not known_rank(e, call["self"], "indexing"):
        e.unsupported("too many indices for tensor of dimension 0 (got 1)")
    at = given[0]
    return _of_shape(e, e.cast(indices[at], BOOL), call["self"], at), at


def _places(e: Emitter, mask: Any) -> Any:
    """Where a mask is true, a row of indices for each."""
    return e.op("Transpose", typed(e, "NonZero", BOOL, mask, result=INT64), perm=[1, 0])


def _lower_index(e: Emitter, call: LoweredCall) -> Any:
    if not is_lowered(call["indices"]) and any(
        i is not None and i.rank == 0 and i.dtype.name in ("bool", "uint8") for i in call["indices"]
    ):
        e.unsupported(_NO_MASK.format(call["self"].rank))
    only = _only_mask(e, call)
    if only is not None:
        (mask, at), x = only, call["self"]
        if mask.rank == 1:
            return e.op("Compress", x, mask, axis=at)
        if mask.rank == x.rank:
            return e.op("Compress", x, e.op("Reshape", mask, ints(-1)))
        if at == 0:
            return e.op("GatherND", x, _places(e, mask))
    x, parts, order, adjacent = _transposed_index(e, call)
    if not parts:
        return e.op("Identity", x)
    if len(parts) == 1:
        return e.op("Gather", x, e.cast(parts[0], INT64), axis=order[0])
    moved = e.op("Transpose", x, perm=order) if order != sorted(order) else x
    joint, rank = _joint_index(e, parts)
    out = e.op("GatherND", moved, joint)
    first = order[0]
    if not adjacent or first == 0:
        return out
    # adjacent indices: their dimensions go back to where they stood
    rest = len(order) - len(parts)
    perm = [rank + k for k in range(first)] + list(range(rank)) + [rank + k for k in range(first, rest)]
    return e.op("Transpose", out, perm=perm)


def _is_choice(call: LoweredCall) -> bool:
    """``x[mask] = number`` with a mask of just the shape of ``x``: a choice, element by element."""
    x, indices, values = call["self"], call["indices"], call["values"]
    if call["accumulate"] or len(indices) != 1 or indices[0] is None or values.rank != 0:
        return False
    mask = indices[0]
    return is_lowered(x) and bool(mask.dtype is BOOL and x.dims and mask.dims == x.dims and None not in x.dims)


def _refuse_other_type(e: Emitter, call: LoweredCall) -> None:
    """Refuse values of another type; one value goes where a mask says, whatever its type is."""
    own, values = call["self"].dtype, call["values"]
    present = [i for i in call["indices"] if i is not None]
    dims = values.shape if isinstance(values, np.ndarray) else values.dims
    one = dims is not None and all(d == 1 for d in dims)
    if e.dtype_of(values) is own or (
        not call["accumulate"] and len(present) == 1 and e.dtype_of(present[0]).kind == "b" and one
    ):
        return
    e.unsupported(_other_type(own, e.dtype_of(values)))


def _lower_index_put(e: Emitter, call: LoweredCall) -> Any:
    _refuse_other_type(e, call)
    if _is_choice(call):
        x = call["self"]
        return where(e, call["indices"][0], e.cast(call["values"], x.dtype), x, x.dtype)
    accumulate, only = call["accumulate"], _only_mask(e, call)
    if only is not None and only[0].rank == call["self"].rank and call["values"].rank == 0 and not accumulate:
        x = call["self"]
        return where(e, only[0], e.cast(call["values"], x.dtype), x, x.dtype)
    x, parts, order, adjacent = _transposed_index(e, call)
    values = e.cast(call["values"], x.dtype)
    if not parts:
        return e.op("Expand", values, e.shape_of(x))
    if accumulate and e.opset < 16:
        e.unsupported("adding at indices needs opset 16")
    moved = e.op("Transpose", x, perm=order) if order != sorted(order) else x
    joint, rank = _joint_index(e, parts)
    indexed = len(parts)
    lead = e.op("Slice", e.op("Shape", joint, dtype=INT64, dims=(rank + 1,)), ints(0), ints(rank), ints(0))
    shape = e.op("Shape", moved, dtype=INT64, dims=(len(order),))
    rest = len(order) - indexed
    tail = e.op("Slice", shape, ints(indexed), ints(len(order)), ints(0))
    first = order[0]
    if (
        adjacent and first > 0
    ):  # values are laid out as the result of indexing: move the indexed dimensions to the front
        before, after = (
            e.op("Slice", tail, ints(0), ints(first), ints(0)),
            e.op("Slice", tail, ints(first), ints(rest), ints(0)),
        )
        wide = e.op("Expand", values, e.op("Concat", before, lead, after, axis=0))
        perm = [first + k for k in range(rank)] + list(range(first)) + [first + rank + k for k in range(rest - first)]
        wide = e.op("Transpose", wide, perm=perm)
    else:
        wide = e.op("Expand", values, e.op("Concat", lead, tail, axis=0))
    out = scattered(e, "ScatterND", moved, joint, wide, "add" if accumulate else None)
    if order == sorted(order):
        return out
    return e.op("Transpose", out, perm=[order.index(d) for d in range(len(order))])


def _index_grad(c: Any, g: Any) -> Any:
    zeros = c.op("aten::zeros_like", c["self"])
    return (c.op("aten::index_put_", zeros, c["indices"], g, True), None)


def _index_put_grad(c: Any, g: Any) -> Any:
    values = c["values"]
    own = g if c["accumulate"] else c.op("aten::index_put", g, c["indices"], c.op("aten::zeros_like", values), False)
    return own, None, c.op("aten::index.Tensor", g, c["indices"])


_INDICES = of(
    (f4(3, 4), [idx(0, 2)]),
    (f4(3, 4), [None, idx(0, -1, 1)]),
    (f4(3, 4), [idx(0, 1), idx(1, 3)]),
    (f4(3, 4), [b1(3)]),
    (f4(3, 4), [b1(3, 4)]),
    (f4(3, 4, 5), [None, idx(0, 1), idx(2, 3)]),
    (f4(3, 4, 5), [idx(0, 1), None, idx(2, 3)]),
    (f4(3, 4), [np.asarray([[0], [1]]), idx(1, 2, 3)]),
    (i8(5), [idx(4)]),
    (f4(3, 4), [np.asarray([[0, 1], [2, 0]])]),
)
for _overload, _type in (("Tensor", "Tensor?[]"), ("Tensor_hacked_twin", "Tensor[]")):
    declare(
        f"aten::index.{_overload}(Tensor self, {_type} indices) -> Tensor",
        index,
        types=_index_types,
        onnx=_lower_index,
        grad=_index_grad,
        grad_name="IndexBackward0",
        samples=_INDICES if _overload == "Tensor" else of((f4(3, 4), [idx(0, 2)]), (f4(3, 4), [idx(0, 1), idx(1, 3)])),
    )
_PUTS = of(
    (f4(3, 4), [idx(0, 2)], f4(4)),
    (f4(3, 4), [None, idx(0, -1)], f4()),
    (f4(3, 4), [b1(3, 4)], f4()),
    (f4(3, 4), [idx(0, 0)], f4(2, 4), True),
    (f4(3, 4), [idx(0, 1), idx(1, 3)], f4(2)),
    (f4(3, 4, 5), [None, idx(0, 1), idx(2, 3)], f4(3, 2)),
)
_PUT: dict[str, Any] = {
    "types": like_self,
    "onnx": _lower_index_put,
    "grad": _index_put_grad,
    "grad_name": "IndexPutBackward0",
}
for _name in ("index_put", "_unsafe_index_put"):
    _rest = _PUT if _name == "index_put" else _PUT | {"grad_name": "UnsafeIndexPutBackward0"}
    declare(
        f"aten::{_name}(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
        lambda x, i, v, a: index_put(x.copy(), i, v, a),
        **_rest,
        samples=_PUTS,
    )
for _overload, _type in (("", "Tensor?[]"), (".hacked_twin", "Tensor[]")):
    declare(
        f"aten::index_put_{_overload}(Tensor(a!) self, {_type} indices, Tensor values, bool accumulate=False) -> Tensor(a!)",
        index_put,
        **_PUT,
        samples=_PUTS if not _overload else of((f4(3, 4), [idx(0, 2)], f4(4))),
    )
