"""Reading and writing along a dimension: index_select, gather, scatter, index_add, take…"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.fits import fitting
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import from_front, holds, lower_fitting, none_true, sized_along
from bridge.ir.ops._declare import Array, declare, dim_of, in_place
from bridge.ir.ops._onnx import BOOL, INT64, axis_of, ints, is_lowered, known_rank, scattered, typed, where
from bridge.ir.ops._samples import S, f4, i8, of
from bridge.ir.ops._samples import ints as idx
from bridge.ir.ops.arithmetic import floor_div_node
from bridge.ir.promotion import to_dtype
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, broadcast_dims, like_self, result, wrap

# -- along a dimension -------------------------------------------------------------------------------------------------


def _checked(i: Array, n: int, what: str) -> Array:
    if i.size and (i.max() >= n or i.min() < 0):
        bad = int(i.max() if i.max() >= n else i.min())
        raise BridgeError(f"index {bad} is out of bounds for dimension {what} with size {n}")
    return i.astype(np.int64)


def index_select(self: Array, dim: int, index: Array) -> Any:
    d = dim_of(dim, self.ndim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not self.ndim and index.size != 1:
        raise BridgeError(f"index_select(): Index to scalar can have only 1 value, got {index.size} value(s)")
    n = self.shape[d] if self.ndim else 1
    if index.size and (index.max() >= n or index.min() < 0):
        raise IndexError("index out of range in self")
    return np.take(self, index.astype(np.int64).reshape(-1), axis=d) if self.ndim else self.copy()


def _index_select_types(call: Call) -> Results:
    t, i = call.tensor("self"), call.tensor("index")
    at = wrap(call.known("dim"), t.rank)
    if t.dims is None or at is None:
        return result(t.dtype, None if t.dims is None else (None,) * len(t.dims))
    n = i.dims[0] if i.dims else 1 if i.dims == () else None
    return result(t.dtype, [n if k == at else d for k, d in enumerate(t.dims)])


def _lower_index_select(e: Emitter, call: LoweredCall) -> Any:
    x, i = call["self"], call["index"]
    if x.rank == 0:  # as one row, of which there must be one index
        row, one = e.op("Reshape", x, ints(1), dims=(1,)), e.op("Reshape", e.cast(i, INT64), ints(1), dims=(1,))
        return e.op("Reshape", e.op("Gather", row, from_front(e, one), axis=0, dims=(1,)), ints(), dims=())
    one = e.op("Reshape", i, ints(-1)) if i.rank != 1 else i
    return e.op("Gather", x, from_front(e, e.cast(one, INT64)), axis=axis_of(e, x, call["dim"]))


def _index_select_grad(c: Any, g: Any) -> Any:
    return c.op("aten::index_add", c.op("aten::zeros_like", c["self"]), c["dim"], c["index"], g, 1), None


declare(
    "aten::index_select(Tensor self, int dim, Tensor index) -> Tensor",
    index_select,
    types=_index_select_types,
    onnx=_lower_index_select,
    grad=_index_select_grad,
    samples=of((f4(3, 4), 0, idx(0, 2)), (f4(3, 4), -1, idx(1, 1, 0)), (f4(3, 4), 0, idx())),
)


def gather(self: Array, dim: int, index: Array, sparse_grad: bool = False) -> Any:
    d = dim_of(dim, self.ndim)
    if index.size and max(self.ndim, 1) != max(index.ndim, 1):
        raise BridgeError("Index tensor must have the same number of dimensions as input tensor")
    for k, (n, m) in enumerate(zip(index.shape, self.shape, strict=False)) if index.size else ():
        if k != d and n > m:
            raise BridgeError(
                f"Size does not match at dimension {k} expected index {list(index.shape)} to be no larger than self "
                f"{list(self.shape)} apart from dimension {d}"
            )
    if self.ndim == 0 or not index.size:
        _checked(index, 1, str(d))
        return np.full(index.shape, self if index.size else 0, self.dtype)
    i = _checked(index, self.shape[d], str(d))
    inner = self[tuple(slice(0, n) if k != d else slice(None) for k, n in enumerate(index.shape))]
    return np.take_along_axis(inner, i, axis=d)


def _lower_gather(e: Emitter, call: LoweredCall) -> Any:
    x, i = call["self"], from_front(e, e.cast(call["index"], INT64))
    if x.rank == 0:
        found = e.op("Gather", e.op("Reshape", x, ints(1), dims=(1,)), i, axis=0, dims=i.dims)
        return found
    if i.rank == 0:
        i = e.op("Reshape", i, ints(1), dims=(1,))
        return e.op("Reshape", e.op("GatherElements", x, i, axis=0), ints(), dims=())
    if x.rank is not None and i.rank is not None and x.rank != i.rank:
        e.unsupported("Index tensor must have the same number of dimensions as input tensor")
    return e.op("GatherElements", x, i, axis=axis_of(e, x, call["dim"]))


def _gather_grad(c: Any, g: Any) -> Any:
    return c.op("aten::scatter_add", c.op("aten::zeros_like", c["self"]), c["dim"], c["index"], g), None


declare(
    "aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
    gather,
    types=lambda call: result(call.tensor("self").dtype, call.tensor("index").dims),
    onnx=_lower_gather,
    grad=_gather_grad,
    samples=of(
        (f4(3, 4), 1, i8(3, 2, low=0, high=4)),
        (f4(3, 4), 0, i8(2, 4, low=0, high=3)),
        (f4(3, 4), 0, i8(1, 3, low=0, high=3)),
    ),
)


def _check_scatter(self: Array, d: int, index: Array, src: Any) -> None:
    """Raise what torch raises for an index that is larger than what it is of."""
    if isinstance(src, np.ndarray) and src.ndim and src.dtype != self.dtype:
        raise BridgeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not index.size:
        return
    ranks = [max(x.ndim, 1) for x in (self, index)]
    if ranks[0] != ranks[1]:
        raise BridgeError("Index tensor must have the same number of dimensions as self tensor")
    if isinstance(src, np.ndarray) and src.ndim and max(src.ndim, 1) != ranks[1]:
        raise BridgeError("Index tensor must have the same number of dimensions as src tensor")
    own, at = (x.shape or (1,) for x in (self, index))
    larger = any(n > m for k, (n, m) in enumerate(zip(at, own, strict=True)) if k != d)
    given = src.shape or (1,) if isinstance(src, np.ndarray) and src.ndim else None
    short = given is not None and any(n > m for n, m in zip(at, given, strict=True))
    if larger or short:
        words = (
            f"Expected index {list(index.shape)} to be no larger than self {list(self.shape)} apart from dimension {d}"
        )
        raise BridgeError(words if given is None else f"{words} and to be no larger size than src {list(given)}")


def _scatter(self: Array, dim: int, index: Array, src: Any, how: str = "set") -> Any:
    d = dim_of(dim, self.ndim)
    _check_scatter(self, d, index, src)
    out = self.copy()
    i = _checked(index, self.shape[d] if self.ndim else 1, str(d))
    if not self.ndim:
        lone = src.reshape(-1) if isinstance(src, np.ndarray) else src
        return _scatter(self.reshape(1), 0, index.reshape(-1), lone, how).reshape(())
    grid: list[Any] = list(np.indices(i.shape, sparse=True))
    grid[d] = i
    values = src[tuple(slice(0, n) for n in i.shape)] if isinstance(src, np.ndarray) and src.ndim else src
    if how == "set":
        out[tuple(grid)] = values if isinstance(values, np.ndarray) else to_dtype(fitting(values, out.dtype), out.dtype)
    else:
        {
            "add": np.add,
            "multiply": np.multiply,
            "sum": np.add,
            "prod": np.multiply,
            "amax": np.maximum,
            "amin": np.minimum,
        }[how].at(out, tuple(grid), values)
    return out


def _scatter_into(e: Emitter, x: Any, dim: Any, i: Any, src: Any, reduce: str | None) -> Any:
    """``x`` with ``src`` at ``i``, written or with a reduction of ScatterElements."""
    if reduce is not None and e.opset < (16 if reduce in ("add", "mul") else 18):
        e.unsupported(f"scatter with reduction '{reduce}' needs a newer opset; this is {e.opset}")
    axis = axis_of(e, x, dim)
    if not is_lowered(src) or src.rank == 0:
        values = e.op("Expand", e.cast(src, x.dtype), e.shape_of(i), dims=i.dims)
    else:
        values = e.cast(src, x.dtype)
        if src.dims is None or i.dims is None or src.dims != i.dims or None in src.dims:
            n = known_rank(e, i, "scatter")
            values = e.op("Slice", values, ints(*[0] * n), e.shape_of(i), ints(*range(n)))
    if x.rank == 0:
        x, i, values = (e.op("Reshape", v, ints(-1), dims=(None,)) for v in (x, i, values))
        return e.op("Reshape", scattered(e, "ScatterElements", x, i, values, reduce, axis=0), ints(), dims=())
    return scattered(e, "ScatterElements", x, i, values, reduce, axis=axis)


def _lower_scatter(how: str | None) -> Any:
    def lower(e: Emitter, call: LoweredCall) -> Any:
        x, i = call["self"], from_front(e, e.cast(call["index"], INT64))
        names = call.schema.index
        src = call["src"] if "src" in names else call["value"]
        reduce = how or ({"add": "add", "multiply": "mul"}[call["reduce"]] if "reduce" in names else None)
        return _scatter_into(e, x, call["dim"], i, src if "src" in names else lower_fitting(e, src, x.dtype), reduce)

    return lower


def _scatter_grad(c: Any, g: Any) -> Any:
    own = c.op("aten::scatter.value", g, c["dim"], c["index"], 0)
    if "src" not in c.plan.schema.index:
        return own, None
    return own, None, c.op("aten::gather", g, c["dim"], c["index"])


_AT = i8(2, 4, low=0, high=3)
_SCATTERED = of(
    (f4(3, 4), 0, np.asarray([[0, 1, 2, 0], [1, 2, 0, 1]]), f4(2, 4, seed=1)),
    (f4(3, 4), 1, np.asarray([[0], [3], [1]]), f4(3, 2, seed=1)),
)
_VALUED = of((f4(3, 4), 0, _AT, 1.5))
_SC: dict[str, Any] = {"types": like_self, "onnx": _lower_scatter(None)}
_A = "Tensor self, int dim, Tensor index"
in_place(
    declare(f"aten::scatter.src({_A}, Tensor src) -> Tensor", _scatter, **_SC, grad=_scatter_grad, samples=_SCATTERED)
)
in_place(
    declare(
        f"aten::scatter.value({_A}, Scalar value) -> Tensor",
        _scatter,
        **_SC,
        grad=_scatter_grad,
        grad_name="ScatterBackward1",
        samples=_VALUED,
    )
)
_NO_REDUCE = unsupported("torch has no gradient of scatter with a reduction either")
in_place(
    declare(
        f"aten::scatter.reduce({_A}, Tensor src, *, str reduce) -> Tensor",
        _scatter,
        **_SC,
        samples=lambda: [S(*s.args, reduce=r) for s in _SCATTERED() for r in ("add", "multiply")],
    )
)
in_place(
    declare(
        f"aten::scatter.value_reduce({_A}, Scalar value, *, str reduce) -> Tensor",
        _scatter,
        **_SC,
        samples=of(S(f4(3, 4), 0, _AT, 1.5, reduce="add")),
    )
)
in_place(
    declare(
        f"aten::scatter_add({_A}, Tensor src) -> Tensor",
        lambda x, d, i, s: _scatter(x, d, i, s, "add"),
        types=like_self,
        onnx=_lower_scatter("add"),
        grad=lambda c, g: (g, None, c.op("aten::gather", g, c["dim"], c["index"])),
        samples=lambda: [*_SCATTERED(), S(f4(3, 4), 0, _AT, f4(2, 4))],
    )
)


def _neutral(reduce: str, dtype: np.dtype[Any]) -> Any:
    """The number of an element type that a reduction leaves every other as it is with."""
    neutral = {"sum": 0, "prod": 1, "mean": 0, "amax": -np.inf, "amin": np.inf}[reduce]
    if dtype.kind == "b" and reduce == "amax":
        neutral = False
    elif dtype.kind in "iu" and reduce in ("amax", "amin"):
        limits = np.iinfo(dtype)
        neutral = limits.min if reduce == "amax" else limits.max
    return np.asarray(neutral).astype(dtype)


def _scatter_reduce(x: Array, dim: int, index: Array, src: Array, reduce: str, include_self: bool = True) -> Any:
    start = x
    if not include_self:
        hit = _scatter(np.zeros(x.shape, bool), dim, index, True)
        start = np.where(hit, _neutral(reduce, x.dtype), x)
    if reduce != "mean":
        return _scatter(start, dim, index, src, reduce)
    total = _scatter(start, dim, index, src, "sum")
    count = _scatter(np.full(x.shape, int(include_self)), dim, index, np.ones(src.shape, np.int64), "sum")
    count = np.maximum(count, 1)
    return np.asarray(total / count.astype(x.dtype) if x.dtype.kind == "f" else total // count, x.dtype)


def _lower_scatter_reduce(e: Emitter, call: LoweredCall) -> Any:
    reduce, include = call["reduce"], bool(call["include_self"])
    x, i, dim = call["self"], from_front(e, e.cast(call["index"], INT64)), call["dim"]
    start = x
    if not include:  # where something arrives, from what changes nothing
        shape, dtype = e.shape_of(x), x.dtype
        seen = e.op("Expand", e.constant(np.asarray(False)), shape, dtype=BOOL, dims=x.dims)
        seen = _scatter_into(e, seen, dim, i, e.constant(np.asarray(True)), None)
        start = e.op("Where", seen, e.constant(_neutral(reduce, dtype.numpy)), x, dtype=dtype, dims=x.dims)
    kind = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}[reduce]
    made = _scatter_into(e, start, dim, i, call["src"], kind)
    if reduce != "mean":
        return made
    count = e.op("Expand", e.constant(np.asarray(int(include))), e.shape_of(x), dtype=INT64, dims=x.dims)
    count = _scatter_into(e, count, dim, i, e.constant(np.asarray(1)), "add")
    count = e.cast(e.op("Max", count, e.constant(np.asarray(1)), dims=x.dims), x.dtype)
    return e.op("Div", made, count, dims=x.dims) if x.dtype.kind == "f" else floor_div_node(e, x.dtype, made, count)


in_place(
    declare(
        f"aten::scatter_reduce.two({_A}, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
        _scatter_reduce,
        types=like_self,
        onnx=_lower_scatter_reduce,
        grad=unsupported("the gradient of scatter_reduce is not written yet"),
        grad_name="ScatterReduceBackward0",
        samples=lambda: [
            S(*s.args, r, include_self=k)
            for s in _SCATTERED()
            for r in ("sum", "prod", "mean", "amax", "amin")
            for k in (True, False)
        ],
    )
)


def _index_add(self: Array, dim: int, index: Array, source: Array, alpha: Any = 1) -> Any:
    d = dim_of(dim, self.ndim)
    if not self.ndim and not source.ndim:
        return _index_add(self.reshape(1), 0, index.reshape(-1), source.reshape(-1), alpha).reshape(())
    out = self.copy()
    if index.size != source.shape[d]:
        raise BridgeError(
            f"index_add_(): Number of indices ({index.size}) should be equal to source.size(dim): ({source.shape[d]}), "
            f"for dim: {d}"
        )
    if source.ndim and (
        source.ndim != self.ndim
        or any(n != m for k, (n, m) in enumerate(zip(self.shape, source.shape, strict=True)) if k != d)
    ):
        raise BridgeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(self.shape)} source.shape = {list(source.shape)}"
        )
    i = _checked(index, self.shape[d] if self.ndim else 1, str(d))
    where_: Any = (slice(None),) * d + (i,)
    np.add.at(out, where_, source * to_dtype(alpha, self.dtype))
    return out


def _source_of(e: Emitter, call: LoweredCall) -> Any:
    """The source of a write at indices: as large as the tensor, along the dimension as there are indices."""
    x, source, rank = call["self"], call["source"], known_rank(e, call["self"], "indexing along a dimension")
    axis = axis_of(e, x, call["dim"])
    known = None if x.dims is None or source.dims is None else (x.dims[:axis], x.dims[axis + 1 :])
    if known == (source.dims[:axis], source.dims[axis + 1 :]) and not any(None in k for k in known or ()):
        return source
    axes = [i for i in range(rank) if i != axis]
    if source.rank != rank:
        e.unsupported("the source must have the dimensions of what is written to")
    sizes = [e.op("Gather", e.shape_of(v), ints(*axes), axis=0, dims=(rank - 1,)) for v in (x, source)]
    other = e.op("Not", e.op("Equal", *sizes, dtype=BOOL, dims=(rank - 1,)), dims=(rank - 1,))
    return holds(e, source, none_true(e, other))


def _spread_index(e: Emitter, call: LoweredCall, source: Any) -> tuple[Any, int]:
    """A 1-D index as one of the source's shape, for ScatterElements."""
    x = call["self"]
    axis = axis_of(e, x, call["dim"])
    rank = known_rank(e, x, "indexing along a dimension")
    if rank == 0:
        e.unsupported("indexing a 0-d tensor is not exported")
    i = from_front(e, e.cast(call["index"], INT64))
    if i.rank == 0:
        i = e.op("Reshape", i, ints(1), dims=(1,))
    i = sized_along(e, i, source, [axis])
    spread = [-1 if k == axis else 1 for k in range(rank)]
    i = e.op("Reshape", i, ints(*spread), dims=tuple(None if n < 0 else n for n in spread))
    return e.op("Expand", i, e.shape_of(source)), axis


def _lower_index_add(e: Emitter, call: LoweredCall) -> Any:
    if e.opset < 16:
        e.unsupported("adding at indices needs opset 16")
    x, source = call["self"], _source_of(e, call)
    index, axis = _spread_index(e, call, source)
    alpha = call["alpha"]
    if is_lowered(alpha) or alpha != 1:
        source = typed(e, "Mul", x.dtype, source, alpha)
    return scattered(e, "ScatterElements", x, index, source, "add", axis=axis)


def _index_add_grad(c: Any, g: Any) -> Any:
    picked = c.op("aten::index_select", g, c["dim"], c["index"])
    return g, None, picked if c["alpha"] == 1 else picked * c["alpha"]


in_place(
    declare(
        "aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
        _index_add,
        types=like_self,
        onnx=_lower_index_add,
        grad=_index_add_grad,
        samples=of((f4(3, 4), 0, idx(0, 0), f4(2, 4)), S(f4(3, 4), 1, idx(0, 2), f4(3, 2), alpha=2)),
    )
)


def _index_copy(self: Array, dim: int, index: Array, source: Array) -> Any:
    d = dim_of(dim, self.ndim)
    if not self.ndim:
        return _index_copy(self.reshape(1), 0, index.reshape(-1), source.reshape(-1)).reshape(())
    out = self.copy()
    if index.size != source.shape[d]:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.size}) should be equal to source.size(dim) ({source.shape[d]})"
        )
    if source.ndim != self.ndim or any(
        n != m for k, (n, m) in enumerate(zip(self.shape, source.shape, strict=True)) if k != d
    ):
        cut = [[n for k, n in enumerate(v.shape) if k != d] for v in (self, source)]
        raise BridgeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{' '.join(map(str, cut[0]))} at dimension {d} and source slice shape: {' '.join(map(str, cut[1]))} at dimension {d if source.ndim else 0}."
        )
    try:
        i = _checked(index, self.shape[d], str(d))
    except BridgeError as error:
        raise IndexError(f"index_copy_(): {error.message}") from None
    out[(slice(None),) * d + (i,)] = source
    return out


def _lower_index_copy(e: Emitter, call: LoweredCall) -> Any:
    source = _source_of(e, call)
    index, axis = _spread_index(e, call, source)
    return e.op("ScatterElements", call["self"], index, source, axis=axis)


in_place(
    declare(
        "aten::index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
        _index_copy,
        types=like_self,
        onnx=_lower_index_copy,
        grad=lambda c, g: (
            c.op("aten::index_fill.int_Scalar", g, c["dim"], c["index"], 0),
            None,
            c.op("aten::index_select", g, c["dim"], c["index"]),
        ),
        samples=of((f4(3, 4), 0, idx(0, 2), f4(2, 4, seed=1))),
    )
)


def _index_fill(self: Array, dim: int, index: Array, value: Any) -> Any:
    d = dim_of(dim, self.ndim)
    if not self.ndim:
        return _index_fill(self.reshape(1), 0, index.reshape(-1), value).reshape(())
    out = self.copy()
    out[(slice(None),) * d + (index.astype(np.int64),)] = to_dtype(np.asarray(fitting(value, self.dtype)), self.dtype)
    return out


def _lower_index_fill(e: Emitter, call: LoweredCall) -> Any:
    x = call["self"]
    axis = axis_of(e, x, call["dim"])
    rank = known_rank(e, x, "index_fill")
    if rank == 0:
        e.unsupported("indexing a 0-d tensor is not exported")
    n = e.op("Size", call["index"], dtype=INT64, dims=())
    shape = e.op("ScatterElements", e.shape_of(x), ints(axis), e.op("Reshape", n, ints(1)), axis=0)
    values = e.op("Expand", e.cast(lower_fitting(e, call["value"], x.dtype), x.dtype), shape)
    i = e.op("Reshape", e.cast(call["index"], INT64), ints(*[-1 if k == axis else 1 for k in range(rank)]))
    size = e.op("Gather", e.shape_of(x), ints(axis), axis=0)
    i = where(e, e.op("Less", i, e.scalar(0, INT64), dtype=BOOL), e.op("Add", i, size), i, INT64)
    return e.op("ScatterElements", x, e.op("Expand", i, shape), values, axis=axis)


for _overload, _value in (("int_Scalar", 2.5), ("int_Tensor", f4())):
    _kind = _overload.partition("_")[2]
    in_place(
        declare(
            f"aten::index_fill.{_overload}(Tensor self, int dim, Tensor index, {_kind} value) -> Tensor",
            _index_fill,
            types=like_self,
            onnx=_lower_index_fill,
            grad=lambda c, g: (
                c.op("aten::index_fill.int_Scalar", g, c["dim"], c["index"], 0),
                None,
                *([c.op("aten::index_select", g, c["dim"], c["index"]).sum()] if hasattr(c["value"], "shape") else []),
            ),
            grad_name=f"IndexFillBackward{int(_kind == 'Tensor')}",
            samples=of((f4(3, 4), 0, idx(0, 2), _value)),
        )
    )


def _take(self: Array, index: Array) -> Any:
    n = self.size
    if index.size and (index.max() >= n or index.min() < -n):
        raise IndexError("out of range: tried to access index")
    return np.take(self.reshape(-1), index.astype(np.int64))


def _take_grad(c: Any, g: Any) -> Any:
    flat = c.op("aten::zeros_like", c["self"]).reshape([-1])
    return c.op("aten::index_put_", flat, [c["index"]], g, True).reshape(list(c["self"].shape)), None


declare(
    "aten::take(Tensor self, Tensor index) -> Tensor",
    _take,
    types=lambda call: result(call.tensor("self").dtype, call.tensor("index").dims),
    onnx=lambda e, call: e.op("Gather", e.op("Reshape", call["self"], ints(-1)), e.cast(call["index"], INT64), axis=0),
    grad=_take_grad,
    samples=of((f4(3, 4), np.asarray([[0, 5], [-1, 5]]))),
)


def _take_along_dim(ops: Any, self: Any, indices: Any, dim: int | None = None) -> Any:
    if dim is None:
        return ops("aten::gather", ops("aten::reshape", self, [-1]), 0, ops("aten::reshape", indices, [-1]))
    d = dim_of(dim, len(self.shape))
    lead = [n if i != d else 1 for i, n in enumerate(self.shape)]
    other = [n if i != d else 1 for i, n in enumerate(indices.shape)]
    shape = list(np.broadcast_shapes(tuple(lead), tuple(other)))
    wide = [self.shape[d] if i == d else n for i, n in enumerate(shape)]
    index = [indices.shape[d] if i == d else n for i, n in enumerate(shape)]
    return ops("aten::gather", ops("aten::expand", self, wide), d, ops("aten::expand", indices, index))


def _take_along_types(call: Call) -> Results:
    t, i = call.tensor("self"), call.tensor("indices")
    if call.known("dim") is UNKNOWN or t.dims is None or i.dims is None:
        return result(t.dtype, None)
    if call.known("dim") is None:
        n = i.dims
        return result(
            t.dtype, (math.prod(d for d in n if isinstance(d, int)) if all(isinstance(d, int) for d in n) else None,)
        )
    at = call.known("dim") % len(t.dims)
    both = broadcast_dims([[1 if k == at else d for k, d in enumerate(x)] for x in (t.dims, i.dims)])
    assert both is not None
    return result(t.dtype, [i.dims[at] if k == at else d for k, d in enumerate(both)])


def _lower_take_along(e: Emitter, call: LoweredCall) -> Any:
    x, i, dim = call["self"], e.cast(call["indices"], INT64), call["dim"]
    if dim is None:
        return e.op("GatherElements", e.op("Reshape", x, ints(-1)), e.op("Reshape", i, ints(-1)), axis=0)
    axis = axis_of(e, x, dim)
    if (
        x.dims is None
        or i.dims is None
        or any(a != b or a is None for k, (a, b) in enumerate(zip(x.dims, i.dims, strict=True)) if k != axis)
    ):
        e.unsupported("take_along_dim is exported where the other sizes are known and agree")
    return e.op("GatherElements", x, i, axis=axis)


declare(
    "aten::take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
    _take_along_dim,
    composite=True,
    types=_take_along_types,
    onnx=_lower_take_along,
    samples=of((f4(3, 4), i8(3, 2, low=0, high=4), 1), (f4(3, 4), i8(2, low=0, high=12))),
)
