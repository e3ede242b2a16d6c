"""Attention with several heads, as a function: ``bridge.nn.functional.multi_head_attention_forward``."""

from __future__ import annotations

import math

import bridge as torch
from bridge.tensor import Tensor


def _additive_mask(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask as numbers to add: minus infinity where a boolean one is true."""
    if mask is not None:
        if not torch.is_floating_point(mask):
            mask = torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))
    return mask


def _in_projection_packed(
    q: Tensor, k: Tensor, v: Tensor, w: Tensor, b: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The three projections by one weight of 3 E rows."""
    w_q, w_k, w_v = w.chunk(3)
    if b is None:
        return torch.linear(q, w_q), torch.linear(k, w_k), torch.linear(v, w_v)
    b_q, b_k, b_v = b.chunk(3)
    return torch.linear(q, w_q, b_q), torch.linear(k, w_k, b_k), torch.linear(v, w_v, b_v)


def _in_projection(
    q: Tensor, k: Tensor, v: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, b: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The three projections by weights of their own."""
    if b is None:
        return torch.linear(q, w_q), torch.linear(k, w_k), torch.linear(v, w_v)
    b_q, b_k, b_v = b.chunk(3)
    return torch.linear(q, w_q, b_q), torch.linear(k, w_k, b_k), torch.linear(v, w_v, b_v)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Projections, attention of every head, output projection: (L, N, E) or (L, E), and the weights if asked for.

    Raises AssertionError or RuntimeError for arguments that do not go together.
    """
    is_batched = query.dim() == 3
    if not is_batched:
        query = query.unsqueeze(1)
        key = key.unsqueeze(1)
        value = value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    tgt_len, bsz, embed_dim = query.shape
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    head_dim = embed_dim // num_heads
    key_padding_mask = _additive_mask(key_padding_mask, query)
    attn_mask = _additive_mask(attn_mask, query)

    if not use_separate_proj_weight:
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)
    else:
        if q_proj_weight is None or k_proj_weight is None or v_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is True but a projection weight is None")
        q, k, v = _in_projection(query, key, value, q_proj_weight, k_proj_weight, v_proj_weight, in_proj_bias)

    if attn_mask is not None:
        if attn_mask.dim() == 2:
            attn_mask = attn_mask.unsqueeze(0)
    if bias_k is not None and bias_v is not None:
        k = torch.cat([k, bias_k.repeat(1, bsz, 1)])
        v = torch.cat([v, bias_v.repeat(1, bsz, 1)])
        if attn_mask is not None:
            attn_mask = torch.cat([attn_mask, torch.zeros_like(attn_mask[:, :, :1])], 2)
        if key_padding_mask is not None:
            key_padding_mask = torch.cat([key_padding_mask, torch.zeros_like(key_padding_mask[:, :1])], 1)
    if add_zero_attn:
        zeros = torch.zeros([1, bsz, embed_dim], dtype=k.dtype)
        k = torch.cat([k, zeros])
        v = torch.cat([v, zeros])
        if attn_mask is not None:
            attn_mask = torch.cat([attn_mask, torch.zeros_like(attn_mask[:, :, :1])], 2)
        if key_padding_mask is not None:
            key_padding_mask = torch.cat([key_padding_mask, torch.zeros_like(key_padding_mask[:, :1])], 1)

    src_len = k.size(0)
    q = q.view(tgt_len, bsz * num_heads, head_dim).transpose(0, 1)
    k = k.view(src_len, bsz * num_heads, head_dim).transpose(0, 1)
    v = v.view(src_len, bsz * num_heads, head_dim).transpose(0, 1)
    if key_padding_mask is not None:
        padding = key_padding_mask.view(bsz, 1, 1, src_len).expand(-1, num_heads, -1, -1)
        padding = padding.reshape(bsz * num_heads, 1, src_len)
        if attn_mask is None:
            attn_mask = padding
        else:
            attn_mask = attn_mask + padding

    q_scaled = q * math.sqrt(1.0 / float(head_dim))
    if attn_mask is not None:
        attn_output_weights = torch.baddbmm(attn_mask, q_scaled, k.transpose(-2, -1))
    else:
        attn_output_weights = torch.bmm(q_scaled, k.transpose(-2, -1))
    attn_output_weights = attn_output_weights.softmax(-1)
    if training and dropout_p > 0.0:
        attn_output_weights = torch.dropout(attn_output_weights, dropout_p, True)
    attn_output = torch.bmm(attn_output_weights, v)
    attn_output = attn_output.transpose(0, 1).reshape(tgt_len * bsz, embed_dim)
    attn_output = torch.linear(attn_output, out_proj_weight, out_proj_bias)
    attn_output = attn_output.view(tgt_len, bsz, attn_output.size(1))
    if not is_batched:
        attn_output = attn_output.squeeze(1)
    if not need_weights:
        return attn_output, None
    attn_output_weights = attn_output_weights.view(bsz, num_heads, tgt_len, src_len)
    if average_attn_weights:
        attn_output_weights = attn_output_weights.mean(dim=1)
    if not is_batched:
        attn_output_weights = attn_output_weights.squeeze(0)
    return attn_output, attn_output_weights
