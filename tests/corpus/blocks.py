import enum
import math
from typing import Dict, List, NamedTuple, Optional, Tuple
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class Cache(NamedTuple):
    k: Optional[Tensor]
    v: Optional[Tensor]
    length: int


class CachedBlock(nn.Module):
    def __init__(self, d: int = 4):
        super().__init__()
        self.proj = nn.Linear(d, 3 * d)

    def forward(self, x: Tensor, cache: Cache) -> Tuple[Tensor, Cache]:
        q, k, v = self.proj(x).chunk(3, dim=-1)
        ck, cv = cache.k, cache.v
        if ck is not None and cv is not None:
            k = torch.cat([ck, k], dim=0)
            v = torch.cat([cv, v], dim=0)
        y = torch.softmax(q @ k.t(), -1) @ v
        return x + y, Cache(k, v, cache.length + x.size(0))


class StackedCache(nn.Module):
    """NamedTuple caches with Optionals, a window cut off, through a list of layers."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(CachedBlock() for _ in range(2))
        self.window = 3

    def forward(self, chunks: List[Tensor]) -> Tuple[Tensor, int]:
        caches = [Cache(None, None, 0) for _ in self.blocks]
        outs: List[Tensor] = []
        for x in chunks:
            for i, blk in enumerate(self.blocks):
                x, c = blk(x, caches[i])
                k, v = c.k, c.v
                if k is not None and v is not None and k.size(0) > self.window:
                    c = Cache(k[-self.window :], v[-self.window :], c.length)
                caches[i] = c
            outs.append(x)
        return torch.cat(outs), caches[0].length


add(
    "stacked_cache",
    StackedCache,
    lambda: [
        ([torch.randn(2, 4), torch.randn(2, 4), torch.randn(1, 4)],),
        ([torch.randn(5, 4)],),
        ([torch.randn(1, 4), torch.randn(3, 4)],),
    ],
)


class Mode(enum.Enum):
    MEAN = "mean"
    MAX = "max"
    LAST = "last"


class EnumPool(nn.Module):
    def __init__(self, mode: Mode = Mode.MAX):
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor, lens: Tensor) -> Tensor:
        mask = torch.arange(x.size(1))[None, :] < lens[:, None]
        if self.mode == Mode.MEAN:
            return (x * mask.unsqueeze(-1)).sum(1) / lens.unsqueeze(-1)
        elif self.mode == Mode.MAX:
            return x.masked_fill(~mask.unsqueeze(-1), -math.inf).max(dim=1).values
        else:
            return x[torch.arange(x.size(0)), lens - 1]


add(
    "enum_pool",
    EnumPool,
    lambda: [
        (torch.randn(2, 4, 3), torch.tensor([4, 2])),
        (torch.randn(1, 1, 3), torch.tensor([1])),
        (torch.randn(3, 6, 2), torch.tensor([1, 6, 3])),
    ],
)


add(
    "enum_pool_last",
    make=lambda: EnumPool(Mode.LAST),
    inputs=lambda: [(torch.randn(2, 4, 3), torch.tensor([4, 2])), (torch.randn(1, 1, 3), torch.tensor([1]))],
)


class Router(nn.Module):
    """Switch transformer: capacity, dropping tokens, aux loss."""

    def __init__(self, d: int = 4, experts: int = 3, capacity: float = 1.0):
        super().__init__()
        self.gate = nn.Linear(d, experts)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(d, d), nn.GELU()) for _ in range(experts)])
        self.capacity = capacity

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        n, d = x.shape
        probs = F.softmax(self.gate(x), dim=-1)
        p, idx = probs.max(dim=-1)
        cap = max(1, int(self.capacity * n / len(self.experts)))
        out = torch.zeros_like(x)
        onehot = F.one_hot(idx, len(self.experts))
        position = onehot.cumsum(0) * onehot
        for e, expert in enumerate(self.experts):
            chosen = (idx == e) & (position[:, e] <= cap)
            rows = chosen.nonzero().squeeze(1)
            if rows.numel() > 0:
                out[rows] = expert(x[rows]) * p[rows].unsqueeze(-1)
        density = onehot.float().mean(0)
        aux = (density * probs.mean(0)).sum() * len(self.experts)
        return out, aux


add("switch_router", Router, lambda: [(torch.randn(6, 4),), (torch.randn(1, 4),), (torch.randn(13, 4) * 3,)])


class Tacotron(nn.Module):
    """Autoregressive decoder with location attention, stop token, dict of lists."""

    def __init__(self, d: int = 4, mels: int = 3):
        super().__init__()
        self.prenet = nn.ModuleList([nn.Linear(mels, d), nn.Linear(d, d)])
        self.rnn = nn.LSTMCell(2 * d, d)
        self.query = nn.Linear(d, d, bias=False)
        self.loc = nn.Conv1d(2, d, 3, padding=1, bias=False)
        self.v = nn.Linear(d, 1, bias=False)
        self.proj = nn.Linear(2 * d, mels)
        self.gate = nn.Linear(2 * d, 1)
        self.gate_threshold: float = 0.5
        self.max_steps: int = 8
        self.n_mels = mels

    def forward(self, memory: Tensor, lengths: Tensor) -> Dict[str, Tensor]:
        B, T, d = memory.shape
        mask = torch.arange(T).unsqueeze(0) >= lengths.unsqueeze(1)
        h = memory.new_zeros(B, d)
        c = memory.new_zeros(B, d)
        aw = memory.new_zeros(B, T)
        cum = memory.new_zeros(B, T)
        ctx = memory.new_zeros(B, d)
        frame = memory.new_zeros(B, self.n_mels)
        mels, gates, aligns = [], [], []
        not_finished = torch.ones(B, dtype=torch.int32)
        mel_lengths = torch.zeros(B, dtype=torch.int32)
        while True:
            x = frame
            for lin in self.prenet:
                x = F.relu(lin(x))
            h, c = self.rnn(torch.cat([x, ctx], -1), (h, c))
            loc = self.loc(torch.stack([aw, cum], 1)).transpose(1, 2)
            e = self.v(torch.tanh(self.query(h).unsqueeze(1) + loc + memory)).squeeze(-1)
            e = e.masked_fill(mask, -1e9)
            aw = F.softmax(e, dim=1)
            cum = cum + aw
            ctx = torch.bmm(aw.unsqueeze(1), memory).squeeze(1)
            hc = torch.cat([h, ctx], -1)
            frame = self.proj(hc)
            gate = self.gate(hc).squeeze(1)
            mels.append(frame)
            gates.append(gate)
            aligns.append(aw)
            dec = torch.le(torch.sigmoid(gate), self.gate_threshold).to(torch.int32)
            not_finished = not_finished * dec
            mel_lengths += not_finished
            if torch.sum(not_finished) == 0:
                break
            if len(mels) == self.max_steps:
                break
        return {
            "mel": torch.stack(mels, 2),
            "gate": torch.stack(gates, 1),
            "align": torch.stack(aligns, 1),
            "lengths": mel_lengths,
        }


add(
    "tacotron",
    Tacotron,
    lambda: [
        (torch.randn(2, 5, 4), torch.tensor([5, 3])),
        (torch.randn(1, 1, 4) * 4, torch.tensor([1])),
        (torch.randn(3, 8, 4) * 9, torch.tensor([8, 2, 5])),
    ],
)
