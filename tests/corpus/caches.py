import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class State(NamedTuple):
    h: Tensor
    c: Tensor
    steps: int


class NamedState(nn.Module):
    """A recurrent step with its state as a named tuple, in and out."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(4, 5)

    def forward(self, x: Tensor, state: State) -> Tuple[Tensor, State]:
        h, c = state.h, state.c
        for t in range(x.size(0)):
            h, c = self.cell(x[t], (h, c))
            if bool(h.abs().max() > 0.8):
                h = h * 0.5
        return h.sum(dim=1), State(h, c, state.steps + x.size(0))


add(
    "named_state",
    NamedState,
    lambda: [
        (torch.randn(3, 2, 4), State(torch.zeros(2, 5), torch.zeros(2, 5), 0)),
        (torch.randn(1, 2, 4) * 9, State(torch.rand(2, 5), torch.rand(2, 5) * 4, 7)),
        (torch.randn(6, 1, 4), State(torch.zeros(1, 5), torch.ones(1, 5), -2)),
    ],
)


class PastKeys(nn.Module):
    """Two attention layers with optional past keys and values per layer."""

    def __init__(self, d: int = 6):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(d, 3 * d) for _ in range(2)])

    def forward(
        self, x: Tensor, past: Optional[List[Tuple[Tensor, Tensor]]] = None
    ) -> Tuple[Tensor, List[Tuple[Tensor, Tensor]]]:
        present: List[Tuple[Tensor, Tensor]] = []
        for i, layer in enumerate(self.layers):
            q, k, v = layer(x).chunk(3, dim=-1)
            if past is not None:
                pk, pv = past[i]
                k, v = torch.cat([pk, k], dim=1), torch.cat([pv, v], dim=1)
            offset = k.size(1) - q.size(1)
            mask = torch.ones(q.size(1), k.size(1), dtype=torch.bool).tril(offset)
            scores = (q @ k.transpose(1, 2)).masked_fill(~mask, float("-inf"))
            x = x + torch.softmax(scores, dim=-1) @ v
            present.append((k, v))
        return x, present


add("past_keys_none", PastKeys, lambda: [(torch.randn(1, 3, 6),), (torch.randn(2, 1, 6),), (torch.randn(1, 7, 6),)])
add(
    "past_keys",
    PastKeys,
    lambda: [
        (torch.randn(1, 1, 6), [(torch.randn(1, 4, 6), torch.randn(1, 4, 6)) for _ in range(2)]),
        (torch.randn(2, 3, 6), [(torch.randn(2, 1, 6), torch.randn(2, 1, 6)) for _ in range(2)]),
        (torch.randn(1, 2, 6), [(torch.randn(1, 0, 6), torch.randn(1, 0, 6)) for _ in range(2)]),
    ],
)


class RingBuffer(nn.Module):
    """A sliding window of the last rows as a ring buffer; position and contents are state."""

    def __init__(self, size: int = 4, d: int = 3):
        super().__init__()
        self.register_buffer("ring", torch.zeros(size, d))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(self, rows: Tensor) -> Tensor:
        n = self.ring.size(0)
        for i in range(rows.size(0)):
            at = int(self.filled) % n
            self.ring[at] = rows[i]
            self.filled += 1
        count = min(int(self.filled), n)
        return self.ring[:count].mean(dim=0)


add(
    "ring_buffer",
    RingBuffer,
    lambda: [(torch.randn(2, 3),), (torch.randn(1, 3),), (torch.randn(6, 3),), (torch.randn(0, 3),)],
)


class RunningNorm(nn.Module):
    """Normalise by running statistics, updated unless the batch is an outlier."""

    def __init__(self, d: int = 3):
        super().__init__()
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("var", torch.ones(d))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.momentum = 0.1

    def forward(self, x: Tensor) -> Tensor:
        m, v = x.mean(dim=0), x.var(dim=0, unbiased=False)
        if self.count == 0:
            self.mean.copy_(m)
            self.var.copy_(v)
            self.count += 1
        elif bool((m - self.mean).abs().max() < 5.0):
            self.mean.mul_(1 - self.momentum).add_(m, alpha=self.momentum)
            self.var.mul_(1 - self.momentum).add_(v, alpha=self.momentum)
            self.count += 1
        return (x - self.mean) / (self.var + 1e-5).sqrt()


add(
    "running_norm",
    RunningNorm,
    lambda: [(torch.randn(8, 3),), (torch.randn(4, 3) + 1,), (torch.randn(5, 3) + 100,), (torch.randn(2, 3),)],
)


class DictState(nn.Module):
    """A dict of tensors in, an updated one out."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 4)

    def forward(self, x: Tensor, state: Dict[str, Tensor]) -> Dict[str, Tensor]:
        h = state["h"]
        g = torch.sigmoid(self.gate(x))
        new = g * h + (1 - g) * x
        out = {"h": new, "delta": (new - h).abs().mean()}
        if "bias" in state:
            out["h"] = out["h"] + state["bias"]
        if out["delta"] < 0.1:
            out["h"] = h
        return out


add(
    "dict_state",
    DictState,
    lambda: [
        (torch.randn(2, 4), {"h": torch.zeros(2, 4), "bias": torch.ones(4)}),
        (torch.zeros(1, 4), {"h": torch.zeros(1, 4), "bias": torch.zeros(4)}),
        (torch.randn(5, 4) * 8, {"h": torch.randn(5, 4), "bias": torch.randn(4)}),
    ],
)


class Memory(nn.Module):
    """A key-value memory: write to the nearest slot, or to the oldest when nothing is near."""

    def __init__(self, slots: int = 4, d: int = 3):
        super().__init__()
        self.register_buffer("keys", torch.eye(slots, d))
        self.register_buffer("age", torch.zeros(slots))

    def forward(self, x: Tensor) -> Tuple[Tensor, int]:
        distance = torch.norm(self.keys - x, dim=1)
        near, slot = distance.min(dim=0)
        self.age += 1
        if near > 1.0:
            where = int(self.age.argmax())
            self.keys[where] = x
        else:
            where = int(slot)
            self.keys[where] = 0.5 * self.keys[where] + 0.5 * x
        self.age[where] = 0
        return torch.softmax(-distance, 0) @ self.keys, where


add(
    "slot_memory",
    Memory,
    lambda: [(torch.ones(3) * 0.2,), (torch.ones(3) * 5,), (torch.tensor([0.9, 0.1, 0.0]),), (torch.ones(3) * 5.1,)],
)


class SlidingWindow(nn.Module):
    """Attention within a window of positions, one query after the other."""

    def __init__(self):
        super().__init__()
        self.window = 3

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.zeros_like(q)
        for i in range(q.size(0)):
            lo, hi = max(0, i - self.window), min(k.size(0), i + self.window + 1)
            if lo >= hi:
                continue
            w = torch.softmax(k[lo:hi] @ q[i], dim=0)
            out[i] = w @ v[lo:hi]
        return out


add(
    "sliding_window",
    SlidingWindow,
    lambda: [
        (torch.randn(5, 4), torch.randn(5, 4), torch.randn(5, 4)),
        (torch.randn(1, 4), torch.randn(2, 4), torch.randn(2, 4)),
        (torch.randn(12, 4), torch.randn(3, 4), torch.randn(3, 4)),
        (torch.randn(9, 4), torch.randn(9, 4), torch.randn(9, 4)),
    ],
)
