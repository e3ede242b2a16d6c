"""What the order of elements gives: median, quantiles, the most frequent; means and counts that leave elements out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.dtypes import by_name
from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite, lowered_as
from bridge.ir.ops._declare import Array, arr, declare, dim_of
from bridge.ir.ops._samples import S, f4, f8, i8, of
from bridge.ir.ops.reduction import value_selecting_grad, widened
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, reduced_dims, result

__all__: list[str] = []

_INT64 = by_name("int64")
_HOLES = np.asarray([[1.0, math.nan, 3.0, -1.0], [math.nan, 2.0, 0.5, math.nan]], np.float32)

# -- medians -----------------------------------------------------------------------------------------------------------


def _median_dim(skip: bool) -> Any:
    def run(x: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
        if not x.ndim:
            return x.copy(), arr(np.int64(0))
        d = dim_of(dim, x.ndim)
        n = x.shape[d]
        if not n:
            raise IndexError(f"median(): Expected reduction dim {dim} to have non-zero size.")
        wide = widened(x)
        order = np.argsort(wide, axis=d, kind="stable")
        bad = np.isnan(wide).sum(axis=d, keepdims=True) if wide.dtype.kind == "f" else np.zeros(1, np.int64)
        at = np.maximum(n - bad - 1, 0) // 2 if skip else np.where(bad > 0, n - bad, (n - 1) // 2)
        at = np.broadcast_to(at, [1 if i == d else s for i, s in enumerate(x.shape)])
        places = np.take_along_axis(order, at, d)
        values = np.take_along_axis(x, places, d)
        return (values, places) if keepdim else (values.squeeze(d), places.squeeze(d))

    return run


def _two(call: Call) -> Results:
    t = call.tensor("self")
    dims = reduced_dims(t.dims, call.known("dim"), call.known("keepdim"))
    return [result(t.dtype, dims), result(_INT64, dims)]


def _lower_median(t: Any, x: Any, dim: int, keepdim: bool) -> Any:
    """nan counts as greatest, and one makes the median nan: the place of the first."""
    if t.rank(x) == 0:
        return x, t.tensor(0, dtype=_INT64.code)
    floating = t.dtype(x).kind == "f"
    bad = t.isnan(x) if floating else None
    values, places = t.sort(t.masked_fill(x, bad, math.inf) if floating else x, dim)
    n = t.size(x, dim)
    half = (n - 1) // 2 if isinstance(n, int) else t.floordiv(n - 1, 2)
    value, place = t.narrow(values, dim, half, 1), t.narrow(places, dim, half, 1)
    if floating:
        any_bad = t.any(bad, dim, True)
        value = t.masked_fill(value, any_bad, math.nan)
        place = t.where(any_bad, t.argmax(t.to(bad, _INT64.code), dim, True), place)
    return (value, place) if keepdim else (t.squeeze(value, dim), t.squeeze(place, dim))


def _all_of(f: Any) -> Any:
    return lambda x: f(x.reshape(-1), 0)[0] if x.size else np.asarray(math.nan, x.dtype)


def _spread_grad(c: Any, g: Any) -> Any:
    x, r = c["self"], c.results[0]
    same = (x == r) | (x.isnan() & r.isnan())
    hit = same.to(g.dtype)
    return (g / hit.sum() * hit,)


for _name in ("median", "nanmedian"):
    _skip = _name == "nanmedian"
    _sampled = of((f4(3, 4), 0), (f4(3, 5), 1, True), (_HOLES, 1), (i8(5, low=0, high=50), 0))
    declare(
        f"aten::{_name}.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
        _median_dim(_skip),
        types=_two,
        onnx=unsupported("nanmedian is not exported") if _skip else lowered_as(_lower_median),
        grad=value_selecting_grad,
        grad_name=f"{_name.capitalize()}Backward1",
        samples=_sampled,
    )
    declare(
        f"aten::{_name}(Tensor self) -> Tensor",
        _all_of(_median_dim(_skip)),
        types=lambda call: result(call.tensor("self").dtype, ()),
        onnx=unsupported("nanmedian is not exported")
        if _skip
        else lowered_as(lambda t, x: _lower_median(t, t.reshape(x, [-1]), 0, False)[0]),
        grad=_spread_grad,
        samples=of((f4(3, 5),), (_HOLES,), (i8(6, low=0, high=50),)),
    )


def _mode(x: Array, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    if not x.ndim:
        return x.copy(), arr(np.int64(0))
    d = dim_of(dim, x.ndim)
    moved = np.moveaxis(x, d, -1)
    values, places = np.empty(moved.shape[:-1], x.dtype), np.empty(moved.shape[:-1], np.int64)
    for at in np.ndindex(*moved.shape[:-1]):
        found, counts = np.unique(widened(moved[at]), return_counts=True)
        values[at] = found[counts.argmax()]
        places[at] = np.flatnonzero(moved[at] == values[at])[-1]
    if keepdim:
        return np.expand_dims(values, d), np.expand_dims(places, d)
    return values, places


declare(
    "aten::mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    _mode,
    types=_two,
    onnx=unsupported("the most frequent element is not exported"),
    grad=value_selecting_grad,
    samples=of((i8(6, low=0, high=3),), (i8(3, 6, low=0, high=3), 1, True)),
)

# -- quantiles ---------------------------------------------------------------------------------------------------------

_WAYS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(t: Any, x: Any, q: Any, dim: Any, keepdim: bool, way: str, skip: bool) -> Any:
    if way not in _WAYS:
        raise BridgeError(
            f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {way}"
        )
    if t.dtype(x).kind != "f":
        raise BridgeError("quantile() input tensor must be either float or double dtype")
    if hasattr(q, "shape") and not isinstance(q, float) and len(q.shape) > 1:
        raise BridgeError("quantile() q must be a scalar or 1D tensor")
    rank = t.rank(x)
    at = 0 if dim is None else dim_of(dim, rank)
    flat = t.reshape(x, [-1]) if dim is None or rank == 0 else t.transpose(x, at, rank - 1)
    last = t.rank(flat) - 1
    bad = t.isnan(flat)
    ordered = t.sort(t.masked_fill(flat, bad, math.inf), last)[0]
    n = t.size(flat, last)
    any_bad = t.any(bad, last, True)
    qs = q if hasattr(q, "dtype") else t.full([], float(q), dtype=t.dtype(x).code)
    places_of = t.reshape(qs, [-1])
    if skip:
        count = t.sum(t.to(t.logical_not(bad), t.dtype(x).code), [last], True)
        place = t.mul(t.clamp_min(t.sub(count, 1), 0), places_of)
    else:
        place = t.expand(t.mul(places_of, n - 1 if isinstance(n, int) else t.sub(t.scalar_tensor(n, dtype=t.dtype(x).code), 1)),
                         [*t.shape(flat)[:-1], -1])  # fmt: skip
    low = {"higher": t.ceil, "nearest": t.round}.get(way, t.floor)(place)
    found = t.gather(ordered, last, t.to(low, _INT64.code))
    if way in ("linear", "midpoint"):
        part = t.sub(place, low) if way == "linear" else t.full_like(place, 0.5)
        found = t.lerp(found, t.gather(ordered, last, t.to(t.ceil(place), _INT64.code)), part)
    gone = t.eq(count, 0) if skip else any_bad
    found = t.masked_fill(found, gone, math.nan)
    return _arranged(t, found, q, dim, at, rank, keepdim)


def _arranged(t: Any, found: Any, q: Any, dim: Any, at: int, rank: int, keepdim: bool) -> Any:
    """The quantiles, last so far, in front; the dimension that they replaced kept or gone."""
    last = t.rank(found) - 1
    if dim is None and keepdim and rank > 1:
        found = t.reshape(found, [*[1] * (rank - 1), -1])
        last = rank - 1
    if keepdim:
        found = t.unsqueeze(found, 0)
        found = t.transpose(found, 0, last + 1)
        if dim is not None and rank:
            found = t.transpose(found, at + 1, last + 1)
        moved = found
    else:
        # the dimension that was moved away left another in its place
        moved = t.movedim(found, last, 0)
        if dim is not None and rank > 1 and at != rank - 1:
            moved = t.movedim(moved, at + 1, rank - 1) if at + 1 < rank - 1 else moved
    one = not hasattr(q, "dtype") or t.rank(q) == 0
    return t.squeeze(moved, 0) if one else moved


for _name in ("quantile", "nanquantile"):
    _data = f4(3, 5) if _name == "quantile" else _HOLES
    for _kind, _q, _value in (("", "Tensor q", np.asarray([0.25, 0.5], np.float32)), (".scalar", "float q", 0.3)):

        @composite(
            f"aten::{_name}{_kind}(Tensor self, {_q}, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") "
            "-> Tensor",
            samples=of(
                (_data, _value), (_data, _value, 0), (_data, _value, 1, True), S(_data, _value, 1, interpolation="nearest"),
                (f8(2, 3, 4), 0.4 if _kind else np.asarray([0.1, 0.9, 0.5]), 1),
            ),
            grad=unsupported("the gradient of quantiles is not written yet"),
        )  # fmt: skip
        def quantile(t: Any, x: Any, q: Any, dim: Any, keepdim: bool, way: str, skip: bool = _name[0] == "n") -> Any:
            return _quantile(t, x, q, dim, keepdim, way, skip)


# -- leaving elements out ----------------------------------------------------------------------------------------------


@composite(
    "aten::nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    samples=of((_HOLES,), (_HOLES, [1]), (_HOLES, [0], True), (i8(2, 3), [0])),
    grad_name="NansumBackward0",
)
def nansum(t: Any, x: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    if t.dtype(x).kind == "f":
        x = t.masked_fill(x, t.isnan(x), 0.0)
    return t.sum(x, dim, keepdim, dtype=dtype)


@composite(
    "aten::nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    samples=of((_HOLES,), (_HOLES, [1]), (_HOLES, [0], True)),
)
def nanmean(t: Any, x: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    if t.dtype(x).kind not in "fc":
        raise BridgeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {t.dtype(x).label}"
        )
    count = t.sum(t.logical_not(t.isnan(x)), dim, keepdim)
    return t.div(t.nansum(x, dim, keepdim, dtype=dtype), count)


for _kind, _argument, _sampled in (
    ("", "int? dim=None", of((i8(3, 4, low=0, high=2),), (f4(3, 4), 1))),
    (".dim_IntList", "int[] dim", of((i8(3, 4, low=0, high=2), [0, 1]), (i8(3, 4, low=0, high=2), [1]))),
):

    @composite(f"aten::count_nonzero{_kind}(Tensor self, {_argument}) -> Tensor", samples=_sampled)
    def count_nonzero(t: Any, x: Any, dim: Any) -> Any:
        dims = [dim] if isinstance(dim, int) else list(dim or range(t.rank(x)))
        hit = t.to(t.ne(x, 0), _INT64.code)
        return t.sum(hit, dims) if dims else t.sum(hit)


@composite(
    "aten::renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor",
    samples=of((f4(3, 4), 2, 0, 1.0), (f4(2, 3, 4), 1, 1, 2.0)),
    grad_name="RenormBackward0",
)
def renorm(t: Any, x: Any, p: Any, dim: int, maxnorm: Any) -> Any:
    if t.rank(x) < 2:
        raise BridgeError(f"renorm: input needs at least 2 dimensions, got {t.rank(x)} dimensions")
    at = dim_of(dim, t.rank(x))
    norm = t.linalg_vector_norm(x, p, [d for d in range(t.rank(x)) if d != at], True)
    factor = t.mul(t.reciprocal(t.add(norm, 1e-7)), maxnorm)
    return t.mul(x, t.where(t.gt(norm, maxnorm), factor, t.ones_like(norm)))


@composite(
    "aten::embedding_renorm(Tensor self, Tensor indices, float max_norm, float norm_type) -> Tensor",
    samples=of((f4(5, 3), np.asarray([0, 4, 4]), 1.0, 2.0), (f4(5, 3), np.asarray([[0, 1], [2, 2]]), 0.5, 1.0)),
    grad_name="EmbeddingRenormBackward0",
)
def embedding_renorm(t: Any, x: Any, indices: Any, max_norm: float, norm_type: float) -> Any:
    at = t.reshape(indices, [-1])
    rows = t.index_select(x, 0, at)
    norm = t.linalg_vector_norm(rows, norm_type, [1], True)
    factor = t.mul(t.reciprocal(t.add(norm, 1e-7)), max_norm)
    # Rows that are named twice are written twice, with the same numbers.
    return t.index_copy(x, 0, at, t.mul(rows, t.where(t.gt(norm, max_norm), factor, t.ones_like(norm))))


@composite(
    "aten::logcumsumexp(Tensor self, int dim) -> Tensor",
    samples=of((f4(3, 4), 0), (f4(3, 4), -1), (f8(5), 0)),
    grad_name="LogcumsumexpBackward0",
)
def logcumsumexp(t: Any, x: Any, dim: int) -> Any:
    if t.rank(x) == 0:
        return t.clone(x)
    most = t.amax(x, [dim], True)
    most = t.masked_fill(most, t.logical_not(t.isfinite(most)), 0.0)
    return t.add(t.log(t.cumsum(t.exp(t.sub(x, most)), dim)), most)
