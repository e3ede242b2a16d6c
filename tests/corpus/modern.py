"""Layers of recent models: windows with a shift, experts, relative positions, memories."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class LocalWindowAttention(nn.Module):
    """Longformer-like chunks with as_little_as_possible padding."""

    def __init__(self, w: int = 3):
        super().__init__()
        self.w = w

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        t = q.size(1)
        pad = (self.w - t % self.w) % self.w
        if pad > 0:
            q, k, v = [F.pad(z, (0, 0, 0, pad)) for z in (q, k, v)]
        n = q.size(1) // self.w
        d = q.size(-1)
        qc = q.reshape(q.size(0), n, self.w, d)
        kc = F.pad(k, (0, 0, self.w, 0)).unfold(1, 2 * self.w, self.w).transpose(-1, -2)
        vc = F.pad(v, (0, 0, self.w, 0)).unfold(1, 2 * self.w, self.w).transpose(-1, -2)
        s = torch.einsum("bnqd,bnkd->bnqk", qc, kc) * d**-0.5
        qi = torch.arange(n * self.w).view(n, self.w, 1)
        ki = torch.arange(-self.w, n * self.w).unfold(0, 2 * self.w, self.w).view(n, 1, 2 * self.w)
        ok = (ki <= qi) & (ki >= 0) & (qi - ki < self.w + 1) & (ki < t)
        s = s.masked_fill(~ok, float("-inf"))
        a = torch.nan_to_num(s.softmax(-1))
        o = torch.einsum("bnqk,bnkd->bnqd", a, vc).reshape(q.size(0), n * self.w, d)
        return o[:, :t]


add(
    "local_window",
    LocalWindowAttention,
    lambda: [
        (torch.randn(2, 7, 4), torch.randn(2, 7, 4), torch.randn(2, 7, 4)),
        (torch.randn(1, 1, 4), torch.randn(1, 1, 4), torch.randn(1, 1, 4)),
        (torch.randn(1, 9, 2), torch.randn(1, 9, 2), torch.randn(1, 9, 2)),
    ],
)


class T5RelativeBias(nn.Module):
    def __init__(self, buckets: int = 8, max_distance: int = 20, heads: int = 2, bidirectional: bool = True):
        super().__init__()
        self.relative_attention_bias = nn.Embedding(buckets, heads)
        self.num_buckets = buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional

    @staticmethod
    def _relative_position_bucket(
        relative_position: Tensor, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128
    ) -> Tensor:
        relative_buckets = torch.zeros_like(relative_position)
        if bidirectional:
            num_buckets //= 2
            relative_buckets += (relative_position > 0).to(torch.long) * num_buckets
            relative_position = torch.abs(relative_position)
        else:
            relative_position = -torch.min(relative_position, torch.zeros_like(relative_position))
        max_exact = num_buckets // 2
        is_small = relative_position < max_exact
        relative_position_if_large = max_exact + (
            torch.log(relative_position.float() / max_exact)
            / math.log(max_distance / max_exact)
            * (num_buckets - max_exact)
        ).to(torch.long)
        relative_position_if_large = torch.min(
            relative_position_if_large, torch.full_like(relative_position_if_large, num_buckets - 1)
        )
        relative_buckets += torch.where(is_small, relative_position, relative_position_if_large)
        return relative_buckets

    def forward(self, query_length: int, key_length: int) -> Tensor:
        ctx = torch.arange(query_length, dtype=torch.long)[:, None]
        mem = torch.arange(key_length, dtype=torch.long)[None, :]
        b = self._relative_position_bucket(
            mem - ctx, bidirectional=self.bidirectional, num_buckets=self.num_buckets, max_distance=self.max_distance
        )
        return self.relative_attention_bias(b).permute([2, 0, 1]).unsqueeze(0)


add("t5_bias", T5RelativeBias, lambda: [(5, 7), (1, 1), (12, 3), (0, 4)])


class TopKMoE(nn.Module):
    """Mixtral sparse block."""

    def __init__(self, d: int = 6, e: int = 4, k: int = 2):
        super().__init__()
        self.num_experts = e
        self.top_k = k
        self.gate = nn.Linear(d, e, bias=False)
        self.w1 = nn.ModuleList([nn.Linear(d, 2 * d, bias=False) for _ in range(e)])
        self.w2 = nn.ModuleList([nn.Linear(2 * d, d, bias=False) for _ in range(e)])

    def forward(self, hidden_states: Tensor) -> Tuple[Tensor, Tensor]:
        b, t, d = hidden_states.shape
        hidden_states = hidden_states.view(-1, d)
        router_logits = self.gate(hidden_states)
        routing_weights = F.softmax(router_logits, dim=1, dtype=torch.float)
        routing_weights, selected = torch.topk(routing_weights, self.top_k, dim=-1)
        routing_weights /= routing_weights.sum(dim=-1, keepdim=True)
        final = torch.zeros((b * t, d), dtype=hidden_states.dtype, device=hidden_states.device)
        expert_mask = F.one_hot(selected, num_classes=self.num_experts).permute(2, 1, 0)
        for i, (w1, w2) in enumerate(zip(self.w1, self.w2)):
            idx, top_x = torch.where(expert_mask[i])
            current = hidden_states[None, top_x].reshape(-1, d)
            y = w2(F.silu(w1(current))) * routing_weights[top_x, idx, None]
            final.index_add_(0, top_x, y.to(hidden_states.dtype))
        return final.reshape(b, t, d), router_logits


add("mixtral_moe", TopKMoE, lambda: [(torch.randn(2, 3, 6),), (torch.randn(1, 1, 6),), (torch.randn(1, 5, 6) * 3,)])


class WindowAttention(nn.Module):
    """Swin windows with a shift and a mask built from data sizes."""

    def __init__(self, dim: int = 4, ws: int = 2, shift: int = 1):
        super().__init__()
        self.ws, self.shift = ws, shift
        self.qkv = nn.Linear(dim, dim * 3)
        self.table = nn.Parameter(torch.randn((2 * ws - 1) * (2 * ws - 1)))
        coords = torch.stack(torch.meshgrid(torch.arange(ws), torch.arange(ws), indexing="ij")).flatten(1)
        rel = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0).contiguous()
        rel[:, :, 0] += ws - 1
        rel[:, :, 1] += ws - 1
        rel[:, :, 0] *= 2 * ws - 1
        self.register_buffer("rel_index", rel.sum(-1))

    def forward(self, x: Tensor) -> Tensor:
        B, H, W, C = x.shape
        pad_r = (self.ws - W % self.ws) % self.ws
        pad_b = (self.ws - H % self.ws) % self.ws
        x = F.pad(x, (0, 0, 0, pad_r, 0, pad_b))
        _, pH, pW, _ = x.shape
        shift = self.shift
        if self.ws >= pH or self.ws >= pW:
            shift = 0
        if shift > 0:
            x = torch.roll(x, shifts=(-shift, -shift), dims=(1, 2))
        nw = (pH // self.ws) * (pW // self.ws)
        x = (
            x.view(B, pH // self.ws, self.ws, pW // self.ws, self.ws, C)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(B * nw, self.ws * self.ws, C)
        )
        q, k, v = self.qkv(x).chunk(3, -1)
        attn = q @ k.transpose(-2, -1) * C**-0.5 + self.table[self.rel_index]
        if shift > 0:
            m = x.new_zeros((pH, pW))
            h_slices = ((0, -self.ws), (-self.ws, -shift), (-shift, None))
            w_slices = ((0, -self.ws), (-self.ws, -shift), (-shift, None))
            count = 0
            for h in h_slices:
                for w in w_slices:
                    m[h[0] : h[1], w[0] : w[1]] = count
                    count += 1
            m = m.view(pH // self.ws, self.ws, pW // self.ws, self.ws).permute(0, 2, 1, 3).reshape(nw, -1)
            m = m.unsqueeze(1) - m.unsqueeze(2)
            m = m.masked_fill(m != 0, float(-100.0)).masked_fill(m == 0, float(0.0))
            attn = attn.view(B, nw, self.ws**2, self.ws**2) + m.unsqueeze(0)
            attn = attn.view(-1, self.ws**2, self.ws**2)
        x = (
            (F.softmax(attn, -1) @ v)
            .view(B, pH // self.ws, pW // self.ws, self.ws, self.ws, C)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(B, pH, pW, C)
        )
        if shift > 0:
            x = torch.roll(x, shifts=(shift, shift), dims=(1, 2))
        return x[:, :H, :W, :].contiguous()


add(
    "swin_window",
    WindowAttention,
    lambda: [
        (torch.randn(1, 5, 4, 4),),
        (torch.randn(2, 2, 2, 4),),
        (torch.randn(1, 3, 6, 4),),
        (torch.randn(1, 1, 1, 4),),
    ],
)


class NTM(nn.Module):
    """Neural Turing machine addressing: circular convolution, sharpening, write with erase."""

    def __init__(self, n: int = 5, m: int = 3):
        super().__init__()
        self.ctrl = nn.LSTMCell(2 + m, 6)
        self.head = nn.Linear(6, m + 1 + 1 + 3 + 1 + 2 * m)
        self.m = m
        self.register_buffer("init", torch.full((n, m), 0.1))

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        T, B, _ = x.shape
        mem = self.init.unsqueeze(0).expand(B, -1, -1)
        w = F.one_hot(torch.zeros(B, dtype=torch.long), mem.size(1)).float()
        r = torch.zeros(B, self.m)
        state: Optional[Tuple[Tensor, Tensor]] = None
        reads = []
        for t in range(T):
            h, c = self.ctrl(torch.cat([x[t], r], -1), state)
            state = (h, c)
            k, b, g, s, y, e, a = self.head(h).split([self.m, 1, 1, 3, 1, self.m, self.m], dim=-1)
            sim = F.cosine_similarity(mem + 1e-8, k.unsqueeze(1), dim=-1)
            wc = F.softmax(F.softplus(b) * sim, -1)
            wg = torch.sigmoid(g) * wc + (1 - torch.sigmoid(g)) * w
            sh = F.softmax(s, -1)
            ws = sh[:, :1] * wg.roll(1, -1) + sh[:, 1:2] * wg + sh[:, 2:] * torch.roll(wg, -1, -1)
            w = ws ** (1 + F.softplus(y))
            w = w / (w.sum(-1, keepdim=True) + 1e-8)
            mem = mem * (1 - w.unsqueeze(-1) * torch.sigmoid(e).unsqueeze(1)) + w.unsqueeze(-1) * torch.tanh(
                a
            ).unsqueeze(1)
            r = torch.einsum("bn,bnm->bm", w, mem)
            reads.append(r)
        return torch.stack(reads), mem


add("turing_machine", NTM, lambda: [(torch.randn(3, 2, 2),), (torch.randn(1, 1, 2),), (torch.randn(6, 1, 2),)])
