"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.lowering import Emitter, LoweredCall
from bridge.ir.ops._checks import as_large_as
from bridge.ir.ops._declare import Array, declare
from bridge.ir.ops._onnx import BOOL, INT64, ints, is_lowered, reduce_axes, typed, where
from bridge.ir.ops._samples import S, b1, f4, f8, of
from bridge.ir.registry import unsupported
from bridge.ir.rules import Call, Results, broadcast_dims, result
from bridge.ir.types import Dim

# -- kernels -----------------------------------------------------------------------------------------------------------


def _bias(q: Array, k: Array, causal: bool, mask: Array | None) -> Any:
    """What is added to the scores: minus infinity where nothing may be seen."""
    t = q.dtype
    if causal:
        if mask is not None:
            raise BridgeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
        mask = np.tri(q.shape[-2], k.shape[-2], dtype=np.bool_)
    if mask is None:
        return None
    return np.where(mask, t.type(0), t.type(-np.inf)) if mask.dtype == np.bool_ else mask.astype(t)


def _flash(
    q: Array, k: Array, v: Array, dropout: float, causal: bool, mask: Array | None, scale: float | None
) -> tuple[Array, Array]:
    """softmax(q kᵀ · scale + mask) v, and the logarithms of the sums; what sees nothing gives 0."""
    scores = np.matmul(q, np.swapaxes(k, -1, -2)) * q.dtype.type(_scale(q, scale))
    bias = _bias(q, k, causal, mask)
    if bias is not None:
        _check_mask(bias, scores)
        scores = scores + bias
    top = scores.max(-1, keepdims=True)
    top = np.where(np.isneginf(top), 0, top)
    e = np.exp(scores - top)
    total = e.sum(-1, keepdims=True)
    weights = np.divide(e, total, out=np.zeros_like(e), where=total != 0)
    return np.matmul(weights, v).astype(q.dtype), (np.log(total) + top)[..., 0].astype(q.dtype)


def _check_mask(mask: Any, scores: Any) -> None:
    """Raise what torch raises for a mask of other sizes, which broadcasting would make the scores larger by."""
    shapes = [tuple(t.shape) for t in (scores, mask)]
    whole = (
        np.broadcast_shapes(*shapes)
        if all(a == b or 1 in (a, b) for a, b in zip(reversed(shapes[0]), reversed(shapes[1]), strict=False))
        else shapes[0]
    )
    if whole != shapes[0]:
        raise BridgeError(f"output with shape {list(shapes[0])} doesn't match the broadcast shape {list(whole)}")


def _scale(q: Any, scale: float | None) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


def _check(q: Any, k: Any, v: Any) -> None:
    if min(len(t.shape) for t in (q, k, v)) < 2:
        shapes = ", ".join(f"{n}.dim() = {len(t.shape)}" for n, t in (("query", q), ("key", k), ("value", v)))
        raise BridgeError(f"scaled_dot_product_attention needs tensors of at least two dimensions, but got {shapes}")


def sdpa(
    ops: Any, q: Any, k: Any, v: Any, mask: Any, dropout: float, causal: bool, scale: float | None, gqa: bool
) -> Any:
    _check(q, k, v)
    if gqa:
        k, v = (ops("aten::repeat_interleave.self_int", t, q.shape[-3] // t.shape[-3], -3) for t in (k, v))
    plain = all(len(t.shape) == 4 for t in (q, k, v)) and q.shape[:2] == k.shape[:2] == v.shape[:2]
    if plain and not dropout and q.shape[-1] == v.shape[-1] and q.dtype == k.dtype == v.dtype:
        if not (mask is not None and getattr(mask, "requires_grad", False)):
            return ops("aten::_scaled_dot_product_flash_attention_for_cpu", q, k, v, 0.0, causal, mask, scale)[0]
    if causal:
        if mask is not None:
            raise BridgeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
        mask = ops("aten::ones", [q.shape[-2], k.shape[-2]], 11)
        mask = ops("aten::tril", mask)
    root = math.sqrt(_scale(q, scale))
    q, k = (ops("aten::mul.Scalar", t, root) for t in (q, k))
    scores = ops("aten::matmul", q, ops("aten::transpose.int", k, -2, -1))
    if mask is not None:
        _check_mask(mask, scores)
        if str(mask.dtype) in ("bool", "torch.bool", "bridge.bool"):
            none = ops("aten::zeros_like", scores)
            mask = ops("aten::masked_fill.Scalar", none, ops("aten::logical_not", mask), -math.inf)
        scores = ops("aten::add.Tensor", scores, mask, 1)
    weights = ops("aten::softmax.int", scores, -1)
    if mask is not None:  # rows that see nothing are nan
        blind = ops("aten::all.dim", ops("aten::isneginf", scores), -1, True)
        weights = ops("aten::masked_fill.Scalar", weights, blind, 0)
    return ops("aten::matmul", ops("aten::dropout", weights, dropout, True) if dropout else weights, v)


# -- types -------------------------------------------------------------------------------------------------------------


def _types(call: Call) -> Results:
    q, k, v = (call.tensor(n) for n in ("query", "key", "value"))
    if q.dims is None or k.dims is None or v.dims is None:
        return result(q.dtype, None)
    lead: Any = q.dims[:-2]
    if call.known("enable_gqa") is not True:
        lead = broadcast_dims([q.dims[:-2], k.dims[:-2], v.dims[:-2]])
    dims: tuple[Dim, ...] = (*lead, q.dims[-2], v.dims[-1])
    return result(q.dtype, dims)


def _flash_types(call: Call) -> Results:
    q, v = call.tensor("query"), call.tensor("value")
    if q.dims is None or v.dims is None:
        return [result(q.dtype, None), result(q.dtype, None)]
    return [result(q.dtype, (*q.dims[:-1], v.dims[-1])), result(q.dtype, q.dims[:-1])]


# -- ONNX --------------------------------------------------------------------------------------------------------------


def _lower(e: Emitter, call: LoweredCall) -> Any:
    q, k, v, mask = (call[n] for n in ("query", "key", "value", "attn_mask"))
    if is_lowered(call["dropout_p"]) or call["dropout_p"]:
        e.unsupported("attention with dropout is random; call eval() before exporting")
    t = q.dtype
    if t.kind != "f":
        e.unsupported(f"onnxruntime has no softmax for {t.name}")
    if any(x.rank is None for x in (q, k, v)):
        e.unsupported("attention needs tensors whose number of dimensions is known")
    if call["enable_gqa"]:
        k, v = _repeated(e, q, k), _repeated(e, q, v)
    width = q.dims[-1]
    factor = call["scale"]
    if factor is None:
        if isinstance(width, int):
            factor = 1 / math.sqrt(width)
        else:
            size = e.op("Gather", e.shape_of(q), np.asarray(q.rank - 1), axis=0, dims=())
            factor = e.op("Reciprocal", e.op("Sqrt", e.cast(size, t)))
    turned = e.op("Transpose", k, perm=[*range(k.rank - 2), k.rank - 1, k.rank - 2], dims=_turned(k.dims))
    lead = broadcast_dims([q.dims[:-2], k.dims[:-2]])
    dims = None if lead is None else (*lead, q.dims[-2], k.dims[-2])
    scaled = typed(e, "Mul", t, q, factor if is_lowered(factor) else e.scalar(factor, t), dims=q.dims)
    scores = typed(e, "MatMul", t, scaled, turned, dims=dims)
    if is_lowered(call["is_causal"]):
        scores = _masked(e, scores, e.op("Or", e.op("Not", call["is_causal"]), _causal(e, q, k)), dims)
    elif call["is_causal"]:
        if mask is not None:
            e.unsupported("attention with is_causal takes no attn_mask")
        mask = _causal(e, q, k)
        return typed(e, "MatMul", t, _softmax(e, _masked(e, scores, mask, dims), dims), v)
    if mask is None:
        return typed(e, "MatMul", t, _softmax(e, scores, dims), v)
    scores = (
        as_large_as(e, _masked(e, scores, mask, dims), scores)
        if _may_grow(mask, dims)
        else _masked(e, scores, mask, dims)
    )
    weights = _softmax(e, scores, dims)
    top = reduce_axes(e, "ReduceMax", scores, [-1], True)
    blind = e.op("Equal", top, e.scalar(-math.inf, t), dtype=BOOL)  # sees nothing: the softmax is nan
    return typed(e, "MatMul", t, where(e, blind, e.scalar(0.0, t), weights, t), v)


def _may_grow(mask: Any, dims: Any) -> bool:
    """Whether a mask may make more of scores of these dimensions than there is."""
    if mask.dims is None or dims is None or len(mask.dims) > len(dims):
        return True
    return any(m != 1 and (m is None or m != d) for m, d in zip(reversed(mask.dims), reversed(dims), strict=False))


def _turned(dims: Any) -> Any:
    return (*dims[:-2], dims[-1], dims[-2])


def _softmax(e: Emitter, scores: Any, dims: Any) -> Any:
    return typed(e, "Softmax", scores.dtype, scores, axis=-1, dims=dims)


def _masked(e: Emitter, scores: Any, mask: Any, dims: Any) -> Any:
    t = scores.dtype
    if mask.dtype is BOOL:
        return where(e, mask, scores, e.scalar(-math.inf, t), t)
    return typed(e, "Add", t, scores, mask, dims=dims)


def _causal(e: Emitter, q: Any, k: Any) -> Any:
    """Each position sees those that are not behind it."""
    rows, columns = q.dims[-2], k.dims[-2]
    if isinstance(rows, int) and isinstance(columns, int):
        return e.constant(np.tri(rows, columns, dtype=np.bool_))
    sizes = [e.op("Gather", e.shape_of(x), np.asarray(x.rank - 2), axis=0, dims=()) for x in (q, k)]
    row, column = [e.op("Range", np.asarray(0), n, np.asarray(1), dtype=INT64, dims=(None,)) for n in sizes]
    row = e.op("Unsqueeze", row, ints(1), dims=(None, 1))
    return e.op("Not", e.op("Less", row, column, dtype=BOOL, dims=(None, None)))


def _repeated(e: Emitter, q: Any, x: Any) -> Any:
    """Each head of x for the heads of q that share it."""
    heads, own = q.dims[-3], x.dims[-3]
    if not isinstance(heads, int) or not isinstance(own, int):
        e.unsupported("enable_gqa needs numbers of heads that are known when the model is exported")
    times = heads // own
    wide = e.op("Unsqueeze", x, ints(x.rank - 2), dims=(*x.dims[:-2], 1, *x.dims[-2:]))
    many = e.op("Tile", wide, ints(*[1] * (x.rank - 2), times, 1, 1), dims=(*x.dims[:-2], times, *x.dims[-2:]))
    shape = e.ints([0] * (x.rank - 3) + [heads])
    end = e.op("Slice", e.shape_of(x), ints(x.rank - 2), ints(x.rank), ints(0), dims=(2,))
    return e.op("Reshape", many, e.op("Concat", shape, end, axis=0), dims=(*x.dims[:-3], heads, *x.dims[-2:]))


# -- gradient ----------------------------------------------------------------------------------------------------------


def _flash_grad(c: Any, g: Any, *rest: Any) -> Any:
    q, k, v, mask = c["query"], c["key"], c["value"], c["attn_mask"]
    scale = _scale(q, c["scale"])
    scores = q.matmul(k.transpose(-2, -1)) * scale
    if c["is_causal"]:
        mask = c.op("aten::tril", c.op("aten::ones", [q.shape[-2], k.shape[-2]], 11))
    if mask is not None and mask._array.dtype == np.bool_:
        scores = c.op("aten::masked_fill.Scalar", scores, c.op("aten::logical_not", mask), -math.inf)
    elif mask is not None:
        scores = scores + mask
    weights = c.op("aten::softmax.int", scores, -1)
    if mask is not None:
        blind = c.op("aten::all.dim", c.op("aten::isneginf", scores), -1, True)
        weights = c.op("aten::masked_fill.Scalar", weights, blind, 0)
    into = g.matmul(v.transpose(-2, -1))
    slope = weights * (into - (into * weights).sum(-1, True)) * scale
    return slope.matmul(k), slope.transpose(-2, -1).matmul(q), weights.transpose(-2, -1).matmul(g), None


# -- declarations ------------------------------------------------------------------------------------------------------

_Q, _K, _V = f4(2, 2, 3, 4), f4(2, 2, 5, 4, seed=1), f4(2, 2, 5, 4, seed=2)
_BLIND = np.asarray([[True, True, False, False, True], [False] * 5, [True] * 5])
declare(
    "aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0., "
    "bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)",
    _flash,
    types=_flash_types,
    onnx=unsupported("this attention is exported as scaled_dot_product_attention"),
    grad=_flash_grad,
)
declare(
    "aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., "
    "bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
    sdpa,
    composite=True,
    types=_types,
    onnx=_lower,
    samples=of(
        (_Q, _K, _V),
        (_Q, _K, _V, b1(3, 5)),
        (_Q, _K, _V, _BLIND),
        S(_Q, _K, _V, is_causal=True, scale=0.3),
        S(f8(1, 2, 3, 4), f8(1, 2, 3, 4, seed=1), f8(1, 2, 3, 4, seed=2), is_causal=True),
        S(f4(2, 4, 3, 4), _K, _V, enable_gqa=True),
        (f4(2, 3, 4), f4(2, 5, 4), f4(2, 5, 6)),
        (f4(3, 4), f4(5, 4), f4(5, 4), b1(3, 5)),
    ),
)

__all__ = ["sdpa"]
