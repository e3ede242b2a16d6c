"""The layers that PyTorch fuses when it does not record gradients: multi-head attention, a Transformer encoder layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bridge.ir.errors import BridgeError
from bridge.ir.ops._composite import composite
from bridge.ir.ops._declare import declare
from bridge.ir.ops._samples import S, b1, f4, of

_LONG, _BOOL = 4, 11

__all__: list[str] = []


def _heads(t: Any, x: Any, heads: int) -> Any:
    """(batch, time, width) → (batch, heads, time, width of a head)."""
    return t.transpose(t.reshape(x, [t.size(x, 0), t.size(x, 1), heads, -1]), 1, 2)


def _mask(t: Any, scores: Any, mask: Any, kind: int | None) -> Any:
    """Minus infinity where nothing may be seen; ``kind`` 0: one mask for all, 1: of keys per batch, 2: one per head."""
    if t.rank(mask) == 2 and kind == 1:
        mask = t.unsqueeze(t.unsqueeze(mask, 1), 1)
    return t.masked_fill(scores, t.to(mask, _BOOL), -math.inf)


def _attention(
    t: Any, query: Any, key: Any, value: Any, embed_dim: int, num_head: int, qkv_weight: Any, qkv_bias: Any,
    proj_weight: Any, proj_bias: Any, mask: Any, need_weights: bool, average_attn_weights: bool, mask_type: int | None,
) -> tuple[Any, Any]:  # fmt: skip
    def projected(x: Any, i: int) -> Any:
        first, last = i * embed_dim, (i + 1) * embed_dim
        return _heads(t, t.linear(x, *(t.slice(w, 0, first, last) for w in (qkv_weight, qkv_bias))), num_head)

    q, k, v = projected(query, 0), projected(key, 1), projected(value, 2)
    scores = t.matmul(t.mul(q, 1 / math.sqrt(embed_dim // num_head)), t.transpose(k, -2, -1))
    scores = scores if mask is None else _mask(t, scores, mask, mask_type)
    seen = t.softmax(scores, -1)
    joined = t.flatten(t.transpose(t.matmul(seen, v), 1, 2), 2, 3)
    result = t.linear(joined, proj_weight, proj_bias)
    if not need_weights:
        return result, None
    return result, t.mean(seen, [1]) if average_attn_weights else seen


_QKV, _QKV_BIAS, _OUT, _OUT_BIAS = f4(12, 4, seed=3), f4(12, seed=4), f4(4, 4, seed=5), f4(4, seed=6)
_X = f4(2, 3, 4)
composite(
    "aten::_native_multi_head_attention(Tensor query, Tensor key, Tensor value, int embed_dim, int num_head, Tensor "
    "qkv_weight, Tensor qkv_bias, Tensor proj_weight, Tensor proj_bias, Tensor? mask=None, bool need_weights=True, bool "
    "average_attn_weights=True, int? mask_type=None) -> (Tensor, Tensor)",
    samples=of(
        (_X, _X, _X, 4, 2, _QKV, _QKV_BIAS, _OUT, _OUT_BIAS),
        S(_X, _X, _X, 4, 2, _QKV, _QKV_BIAS, _OUT, _OUT_BIAS, b1(2, 3), mask_type=1, average_attn_weights=False),
        S(_X, _X, _X, 4, 2, _QKV, _QKV_BIAS, _OUT, _OUT_BIAS, b1(3, 3), mask_type=0),
    ),
)(_attention)


def _aligned(t: Any, mask: Any) -> Any:
    """Whether the steps that count come before the others, in every sequence."""
    places = t.unsqueeze(t.arange(t.size(mask, 1)), 0)
    return t.all(t.eq(t.lt(places, t.sum(t.to(mask, _LONG), [1], True)), mask))


# In a model both cases are one: it computes on padded sequences, with the mask, and what is padding becomes zero at the
# end where torch would have taken the sequences apart.
declare(
    "aten::_nested_tensor_from_mask_left_aligned(Tensor t, Tensor mask) -> bool",
    lambda x, mask: bool((np.sort(mask, 1)[:, ::-1] == mask).all()),
    onnx=lambda e, call: True,
)


@composite("aten::_nested_tensor_from_mask(Tensor t, Tensor mask, bool mask_check=True) -> Tensor")
def from_mask(t: Any, x: Any, mask: Any, check: bool) -> Any:
    if t.rank(x) != 3 or t.rank(mask) != 2:
        raise BridgeError(
            f"Expected a batch of sequences (batch, time, width) and a mask (batch, time), but got {t.rank(x)} and "
            f"{t.rank(mask)} dimensions"
        )
    return t.with_padding(x, mask)


@composite("aten::to_padded_tensor(Tensor self, float padding, SymInt[]? output_size=None) -> Tensor")
def to_padded(t: Any, x: Any, padding: float, size: Any) -> Any:
    counts = t.padding(x)
    if counts is None:
        if t.lowers:
            t.refuse("to_padded_tensor is exported behind _nested_tensor_from_mask")
        raise BridgeError("to_padded_tensor: expected sequences of lengths of their own (a nested tensor)")
    gone = t.logical_and(t.logical_not(counts), _aligned(t, counts))
    return t.masked_fill(x, t.unsqueeze(gone, -1), padding)


def _encoder_layer(
    t: Any, src: Any, embed_dim: int, num_heads: int, qkv_weight: Any, qkv_bias: Any, proj_weight: Any, proj_bias: Any,
    use_gelu: bool, norm_first: bool, eps: float, norm_weight_1: Any, norm_bias_1: Any, norm_weight_2: Any,
    norm_bias_2: Any, ffn_weight_1: Any, ffn_bias_1: Any, ffn_weight_2: Any, ffn_bias_2: Any, mask: Any,
    mask_type: int | None,
) -> Any:  # fmt: skip
    counts = t.padding(src)
    if counts is not None:
        mask, mask_type = t.logical_not(counts), 1

    def normed(x: Any, w: Any, b: Any) -> Any:
        return t.layer_norm(x, [embed_dim], w, b, eps)

    x = normed(src, norm_weight_1, norm_bias_1) if norm_first else src
    attended, _ = _attention(
        t, x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, mask, False, True, mask_type
    )
    x = t.add(attended, src)
    x = x if norm_first else normed(x, norm_weight_1, norm_bias_1)
    inside = t.linear(normed(x, norm_weight_2, norm_bias_2) if norm_first else x, ffn_weight_1, ffn_bias_1)
    inside = t.gelu(inside) if use_gelu else t.relu(inside)
    x = t.add(x, t.linear(inside, ffn_weight_2, ffn_bias_2))
    x = x if norm_first else normed(x, norm_weight_2, norm_bias_2)
    return x if counts is None else t.with_padding(x, counts)


_NORMS = (f4(4, seed=7), f4(4, seed=8), f4(4, seed=9), f4(4, seed=10))
_FEED = (f4(5, 4, seed=11), f4(5, seed=12), f4(4, 5, seed=13), f4(4, seed=14))
composite(
    "aten::_transformer_encoder_layer_fwd(Tensor src, int embed_dim, int num_heads, Tensor qkv_weight, Tensor qkv_bias, Tensor "
    "proj_weight, Tensor proj_bias, bool use_gelu, bool norm_first, float eps, Tensor norm_weight_1, Tensor norm_bias_1, Tensor "
    "norm_weight_2, Tensor norm_bias_2, Tensor ffn_weight_1, Tensor ffn_bias_1, Tensor ffn_weight_2, Tensor ffn_bias_2, Tensor? "
    "mask=None, int? mask_type=None) -> Tensor",
    samples=of(
        (_X, 4, 2, _QKV, _QKV_BIAS, _OUT, _OUT_BIAS, True, True, 1e-5, *_NORMS, *_FEED),
        (_X, 4, 2, _QKV, _QKV_BIAS, _OUT, _OUT_BIAS, False, False, 1e-5, *_NORMS, *_FEED, b1(2, 3), 1),
    ),
)(_encoder_layer)
