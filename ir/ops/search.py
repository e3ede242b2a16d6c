"""Looking elements up: places in sorted sequences, membership, unique slices, histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite, lowered_as
from bridge.ir.ops._declare import Array, declare, dim_of
from bridge.ir.ops._runs import lower_histc
from bridge.ir.ops._samples import S, f4, i8, of
from bridge.ir.ops._samples import ints as idx
from bridge.ir.registry import unsupported
from bridge.ir.rules import UNKNOWN, Call, Results, result

__all__: list[str] = []

_INT32, _INT64 = by_name("int32"), by_name("int64")
_EDGES = np.asarray([[-1.0, 0.0, 1.0], [0.5, 1.5, 2.5]], np.float32)


def _for_each(t: Any, edges: Any, x: Any) -> Any:
    """Edges of several rows, of which there must be as many as of values."""

    def why() -> str:
        return (
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and "
            f"input value tensor must match, but we got boundaries tensor {list(t.shape(edges))} and input value tensor "
            f"{list(t.shape(x))}"
        )

    if t.rank(edges) != t.rank(x):
        raise BridgeError(why())
    return t.shaped(edges, [*t.shape(x)[:-1], t.size(edges, t.rank(edges) - 1)], why)


def _search(t: Any, edges: Any, x: Any, out_int32: bool, right: bool, side: Any, sorter: Any) -> Any:
    if side is not None and (side not in ("left", "right") or (side == "left" and right)):
        raise BridgeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
            if side not in ("left", "right")
            else "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    right = right or side == "right"
    if sorter is not None:
        edges = t.gather(edges, t.rank(edges) - 1, sorter)
    if not hasattr(x, "dtype"):
        x = t.scalar_tensor(x, dtype=t.dtype(edges).code)
    if t.rank(edges) > 1:
        edges = _for_each(t, edges, x)
    wide = t.unsqueeze(x, t.rank(x))
    over = edges if t.rank(edges) == 1 else t.unsqueeze(edges, t.rank(edges) - 1)
    passed = (t.ge if right else t.gt)(wide, over)
    if t.dtype(x).kind == "f":
        passed = t.logical_or(passed, t.isnan(wide))
    code = (_INT32 if out_int32 else _INT64).code
    return t.sum(t.to(passed, code), [t.rank(passed) - 1], dtype=code)


_TAIL = "*, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None"
composite(
    f"aten::searchsorted.Tensor(Tensor sorted_sequence, Tensor self, {_TAIL}) -> Tensor",
    samples=of(
        (_EDGES[0], f4(2, 3)), S(_EDGES, f4(2, 4), right=True), S(_EDGES[0], f4(3), out_int32=True, side="right"),
        S(_EDGES[0][[2, 0, 1]], f4(3), sorter=idx(1, 2, 0)),
    ),
)(_search)  # fmt: skip
composite(
    f"aten::searchsorted.Scalar(Tensor sorted_sequence, Scalar self, {_TAIL}) -> Tensor", samples=of((_EDGES[0], 0.5))
)(_search)
composite(
    "aten::bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    samples=of((0.5, _EDGES[0])),
)(lambda t, x, edges, out_int32, right: _search(t, edges, x, out_int32, right, None, None))


for _kind, _arguments, _samples in (
    ("Tensor_Tensor", "Tensor elements, Tensor test_elements", of((i8(2, 4), i8(3)), S(i8(4), i8(2, 2), invert=True))),
    (
        "Tensor_Scalar",
        "Tensor elements, Scalar test_element",
        of(
            (i8(2, 4), 2),
        ),
    ),
    (
        "Scalar_Tensor",
        "Scalar element, Tensor test_elements",
        of(
            (2, i8(5)),
        ),
    ),
):

    @composite(
        f"aten::isin.{_kind}({_arguments}, *, bool assume_unique=False, bool invert=False) -> Tensor", samples=_samples
    )
    def isin(t: Any, x: Any, tests: Any, assume_unique: bool, invert: bool) -> Any:
        if not hasattr(tests, "dtype"):
            found = t.eq(x, tests)
        elif not hasattr(x, "dtype"):
            found = t.any(t.eq(tests, x))
        else:
            found = t.any(t.eq(t.unsqueeze(x, t.rank(x)), t.reshape(tests, [-1])), -1)
        return t.logical_not(found) if invert else found


# -- unique slices -----------------------------------------------------------------------------------------------------


def _unique_dim(x: Array, dim: int, sorted: bool = True, inverse: bool = False, counts: bool = False) -> Any:
    d = dim_of(dim, x.ndim)
    if not x.size and (x.shape[d] or x.shape.count(0) > 1):
        raise BridgeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    values, back, count = np.unique(x, return_inverse=True, return_counts=True, axis=d)
    return values, back.reshape(-1).astype(np.int64), count.astype(np.int64)


def _along(call: Call) -> Results:
    t, dim = call.tensor("self"), call.known("dim")
    dims = None
    if t.dims is not None and isinstance(dim, int):
        at = dim % max(len(t.dims), 1)
        dims = tuple(None if i == at else d for i, d in enumerate(t.dims))
    elif t.dims is not None and dim is None:
        dims = (None,)
    wanted = call.known("return_inverse")
    inverse = t.dims if dim is None else (None,) if dim is not UNKNOWN else None
    places = inverse if wanted is True else (None,) if wanted is False else None
    return [result(t.dtype, dims), result(_INT64, places), result(_INT64, (None,))]


def _lower_unique_dim(e: Any, call: Any) -> Any:
    from bridge.ir.ops._checks import at_least
    from bridge.ir.ops._onnx import INT64, axis_of, compute_dtype, known_rank
    from bridge.ir.ops.counting import without_nan

    x = call["self"]
    compute = compute_dtype("Unique", x.dtype)
    if compute is None:
        e.unsupported(f"onnxruntime has no Unique for {x.dtype.name}")
    x = without_nan(
        e, at_least(e, x, [1] * known_rank(e, x, "unique"))
    )  # onnxruntime ends the process for rows of nothing
    y, _, inverse, counts = e.op("Unique", e.cast(x, compute), outputs=4, dtype=[compute, INT64, INT64, INT64],
                                 axis=axis_of(e, x, call["dim"]))  # fmt: skip
    return e.cast(y, x.dtype), inverse, counts


declare(
    "aten::unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) "
    "-> (Tensor, Tensor, Tensor)",
    _unique_dim,
    types=_along,
    onnx=_lower_unique_dim,
    grad=unsupported("torch has no gradient of unique_dim"),
    samples=of((i8(4, 2, low=0, high=2), 0, True, True, True), (i8(2, 5, low=0, high=2), 1, True, True, True)),
)


def _consecutive(x: Array, inverse: bool = False, counts: bool = False, dim: int | None = None) -> Any:
    none = np.zeros(0, np.int64)
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, dim_of(dim, x.ndim), 0)
    if not len(rows):
        return rows.copy(), none, none
    changed = (rows[1:] != rows[:-1]).reshape(len(rows) - 1, -1).any(1) if len(rows) > 1 else np.zeros(0, np.bool_)
    first = np.concatenate([[True], changed])
    values = rows[first]
    back = np.cumsum(first) - 1
    values = values if dim is None else np.moveaxis(values, 0, dim_of(dim, x.ndim))
    back = back.reshape(x.shape) if dim is None else back
    places = np.flatnonzero(first)
    lengths = np.diff(np.append(places, len(rows)))
    return np.ascontiguousarray(values), back if inverse else none, lengths if counts else none


def _lower_consecutive(t: Any, x: Any, inverse: bool, counts: bool, dim: Any) -> Any:
    if dim is not None:
        t.refuse("unique_consecutive along a dimension is not exported")
    flat = t.reshape(x, [-1])
    after, before = t.slice(flat, 0, 1), t.slice(flat, 0, 0, -1)
    some = t.gt(t.slice(t.arange(t.size(flat, 0)), 0, 0, 1), -1)  # one True, or nothing for nothing
    first = t.cat([some, t.ne(after, before)], 0)
    places = t.squeeze(t.nonzero(first), 1)
    none = t.tensor([], dtype=_INT64.code)
    back = t.sub(t.cumsum(t.to(first, _INT64.code), 0), 1)
    ends = t.cat([t.slice(places, 0, 1), t.full([1], t.size(flat, 0), dtype=_INT64.code)], 0)
    lengths = t.sub(t.slice(ends, 0, 0, t.size(places, 0)), places)
    return (
        t.index_select(flat, 0, places),
        t.reshape(back, t.shape(x)) if inverse else none,
        lengths if counts else none,
    )


_RUNS = i8(8, low=0, high=2)
declare(
    "aten::unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) "
    "-> (Tensor, Tensor, Tensor)",
    _consecutive,
    types=_along,
    onnx=lowered_as(_lower_consecutive),
    grad=unsupported("torch has no gradient of unique_consecutive"),
    samples=of((_RUNS,), (_RUNS.reshape(2, 4), True, True), (_RUNS.reshape(4, 2), True, True, 0)),
)

# -- histograms --------------------------------------------------------------------------------------------------------


def _histc(x: Array, bins: int = 100, low: Any = 0, high: Any = 0) -> Array:
    if bins <= 0:
        raise BridgeError("bins must be > 0")
    if low == high:
        low, high = (x.min(), x.max()) if x.size else (0, 1)
    if low == high:
        low, high = low - 1, high + 1
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BridgeError(f"torch.histc: range of [{low}, {high}] is not finite")
    if low > high:
        raise BridgeError("torch.histc: max must be larger than min")
    wide = x.reshape(-1).astype(np.float64)
    inside = wide[(wide >= low) & (wide <= high)]
    places = np.minimum(((inside - low) * (bins / (float(high) - float(low)))).astype(np.int64), bins - 1)
    return np.bincount(places, minlength=bins).astype(x.dtype)


declare(
    "aten::histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
    _histc,
    types=lambda call: result(
        call.tensor("self").dtype, (call.known("bins") if isinstance(call.known("bins"), int) else None,)
    ),
    onnx=lower_histc,
    grad=unsupported("torch has no gradient of histc"),
    samples=of((f4(20), 5, -2, 2), (f4(20), 4)),
)


# -- writing at flat places --------------------------------------------------------------------------------------------


@composite(
    "aten::put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
    samples=of((f4(2, 3), idx(0, 4), f4(2)), (f4(2, 3), idx(0, 0), f4(2), True)),
    grad_name="PutBackward0",
)
def put(t: Any, x: Any, index: Any, source: Any, accumulate: bool) -> Any:
    flat, places, values = (t.reshape(v, [-1]) for v in (x, index, source))
    total = t.size(flat, 0)
    places = t.where(t.lt(places, 0), t.add(places, total), places)
    found = t.index_add(flat, 0, places, values) if accumulate else t.index_copy(flat, 0, places, values)
    return t.reshape(found, t.shape(x))


def _index_reduce(x: Array, dim: int, index: Array, source: Array, how: str, include_self: bool = True) -> Array:
    ways = {"prod": np.multiply, "mean": np.add, "amax": np.maximum, "amin": np.minimum}
    if how not in ways:
        raise BridgeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {how}.")
    f = ways[how]
    d = dim_of(dim, x.ndim)
    out = np.moveaxis(np.atleast_1d(x).copy(), d, 0)
    rows = np.moveaxis(np.atleast_1d(source), d, 0)
    if not include_self:
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        most = np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).max
        out[index] = {"prod": 1, "mean": 0, "amax": least, "amin": most}[how]
    f.at(out, index, rows)
    if how == "mean":
        count = np.full(len(out), 1 if include_self else 0)
        np.add.at(count, index, 1)
        count = np.maximum(count, 1).reshape(-1, *[1] * (out.ndim - 1))
        out = out / count.astype(x.dtype) if x.dtype.kind == "f" else out // count.astype(x.dtype)
    return np.ascontiguousarray(np.moveaxis(out, 0, d)).astype(x.dtype).reshape(x.shape)


declare(
    "aten::index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor",
    _index_reduce,
    types=lambda call: call.tensor("self"),
    onnx=unsupported("index_reduce is not exported; scatter_reduce is"),
    grad=unsupported("the gradient of index_reduce is not written yet"),
    samples=of(
        (f4(3, 4), 0, idx(0, 2, 0), f4(3, 4, seed=1), "mean"), S(f4(3, 4), 1, idx(1, 1), f4(3, 2), "amax", include_self=False),
        (i8(4), 0, idx(1, 1), i8(2), "prod"),
    ),
)  # fmt: skip
