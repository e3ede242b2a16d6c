"""Drafts of language models and what they keep: speculation, paged and sliding caches, rotary angles; words by edits and sets."""

import enum
import math
from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class Drafter(nn.Module):
    def __init__(self, vocab=9, d=6):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.out = nn.Linear(d, vocab)

    def forward(self, ids):
        return self.out(self.emb(ids).cumsum(0) / torch.arange(1, ids.shape[0] + 1).unsqueeze(1))


class Speculative(nn.Module):
    GAMMA = 3

    def __init__(self, vocab=9):
        super().__init__()
        self.draft = Drafter(vocab, 4)
        self.target = Drafter(vocab, 8)

    def propose(self, ids: Tensor) -> Tensor:
        for _ in range(self.GAMMA):
            nxt = self.draft(ids)[-1].argmax().reshape(1)
            ids = torch.cat([ids, nxt])
        return ids

    def forward(self, ids: Tensor, max_new: int) -> Tuple[Tensor, int, int]:
        target_len = ids.size(0) + max_new
        accepted_total = 0
        rounds = 0
        while ids.size(0) < target_len:
            n = ids.size(0)
            cand = self.propose(ids)
            logits = self.target(cand)
            best = logits[n - 1 :].argmax(-1)
            k = 0
            while k < self.GAMMA and int(best[k]) == int(cand[n + k]):
                k += 1
            ids = torch.cat([cand[: n + k], best[k : k + 1]])
            accepted_total += k
            rounds += 1
        return ids[:target_len], accepted_total, rounds


add(
    "speculative2",
    Speculative,
    lambda: [(torch.tensor([1, 2]), 5), (torch.tensor([3]), 0), (torch.tensor([8, 8, 8, 1]), 11)],
)


class MedusaOut(NamedTuple):
    tokens: Tensor
    accepted: int
    scores: Optional[Tensor] = None


class Medusa(nn.Module):
    """Heads predicting several next tokens; verify greedy; NamedTuple default."""

    def __init__(self, vocab=7, d=5, heads=3):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.rnn = nn.GRU(d, d)
        self.lm = nn.Linear(d, vocab)
        self.heads = nn.ModuleList(
            [nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, vocab)) for _ in range(heads)]
        )

    def hidden(self, ids: Tensor) -> Tensor:
        h, _ = self.rnn(self.emb(ids).unsqueeze(1))
        return h[:, 0]

    def forward(self, ids: Tensor, want_scores: bool) -> MedusaOut:
        h = self.hidden(ids)
        first = self.lm(h[-1]).argmax(-1, keepdim=True)
        guesses = [first]
        for head in self.heads:
            guesses.append(head(h[-1]).argmax(-1, keepdim=True))
        cand = torch.cat([ids] + guesses)
        ver = self.lm(self.hidden(cand))
        accepted = 1
        n = ids.size(0)
        for i in range(1, len(guesses)):
            if ver[n + i - 2].argmax() != cand[n + i - 1]:
                break
            accepted += 1
        toks = cand[: n + accepted]
        if want_scores:
            return MedusaOut(toks, accepted, ver[n - 1 : n + accepted].log_softmax(-1))
        return MedusaOut(toks, accepted)


add(
    "medusa",
    Medusa,
    lambda: [(torch.tensor([1, 2, 3]), True), (torch.tensor([0]), True), (torch.tensor([5, 5, 5, 5]), True)],
)


class PagedKV(nn.Module):
    def __init__(self, blocks=6, block=2, d=3):
        super().__init__()
        self.block = block
        self.register_buffer("pool", torch.zeros(blocks, block, d))
        self.register_buffer("free", torch.ones(blocks, dtype=torch.bool))

    def _alloc(self):
        # type: () -> int
        for i in range(self.free.size(0)):
            if bool(self.free[i]):
                self.free[i] = False
                return i
        raise RuntimeError("out of blocks")

    def forward(self, k, table, length):
        # type: (Tensor, List[int], int) -> Tuple[Tensor, List[int], int]
        for t in range(k.size(0)):
            slot = length % self.block
            if slot == 0:
                table.append(self._alloc())
            self.pool[table[-1], slot] = k[t]
            length += 1
        rows = self.pool[torch.tensor(table)].reshape(-1, self.pool.size(2))
        return rows[:length], table, length


add(
    "paged_kv",
    PagedKV,
    lambda: [
        (torch.randn(3, 3), [0], 1),
        (torch.randn(2, 3), [1, 2], 4),
        (torch.randn(1, 3), [3], 1),
        (torch.randn(9, 3), [5], 2),
    ],
)


class SinkCache(nn.Module):
    def __init__(self, d=4, window=5, sinks=2):
        super().__init__()
        self.q = nn.Linear(d, d)
        self.k = nn.Linear(d, d)
        self.v = nn.Linear(d, d)
        self.window, self.sinks = window, sinks
        self.register_buffer("keys", torch.zeros(0, d))
        self.register_buffer("vals", torch.zeros(0, d))

    @property
    def capacity(self):
        return self.window + self.sinks

    def evict(self, x: Tensor) -> Tensor:
        extra = x.shape[0] - self.capacity
        if extra <= 0:
            return x
        return torch.cat([x[: self.sinks], x[self.sinks + extra :]], 0)

    def forward(self, x):
        self.keys = self.evict(torch.cat((self.keys, self.k(x)), 0))
        self.vals = self.evict(torch.cat((self.vals, self.v(x)), 0))
        s = self.q(x) @ self.keys.t() / math.sqrt(x.shape[-1])
        n, m = s.shape
        if n <= m:
            mask = torch.ones(n, m, dtype=torch.bool).tril(m - n)
            s = s.masked_fill(~mask, -math.inf)
        return s.softmax(-1) @ self.vals


add(
    "sink_cache",
    SinkCache,
    lambda: [(torch.randn(3, 4),), (torch.randn(3, 4),), (torch.randn(1, 4),), (torch.randn(12, 4),)],
)


_rope_in = lambda: [(torch.randn(2, 5, 8),), (torch.randn(1, 9, 8),), (torch.randn(1, 1, 8),), (torch.randn(3, 13, 8),)]


class Scaling(enum.Enum):
    NONE = "none"
    LINEAR = "linear"
    DYNAMIC = "dynamic"
    YARN = "yarn"


def _find_dim(rot: float, dim: int, base: float, max_pos: int) -> float:
    return (dim * math.log(max_pos / (rot * 2 * math.pi))) / (2 * math.log(base))


class Rope(nn.Module):
    def __init__(
        self, dim: int = 8, kind: Scaling = Scaling.NONE, factor: float = 2.0, base: float = 10000.0, max_pos: int = 6
    ):
        super().__init__()
        self.dim, self.kind, self.factor, self.base, self.max_pos = dim, kind, factor, base, max_pos

    def freqs(self, t: int) -> Tensor:
        base = self.base
        if self.kind == Scaling.DYNAMIC and t > self.max_pos:
            base = base * ((self.factor * t / self.max_pos) - (self.factor - 1)) ** (self.dim / (self.dim - 2))
        inv = 1.0 / (base ** (torch.arange(0, self.dim, 2).float() / self.dim))
        if self.kind == Scaling.YARN:
            low = max(math.floor(_find_dim(32.0, self.dim, base, self.max_pos)), 0)
            high = min(math.ceil(_find_dim(1.0, self.dim, base, self.max_pos)), self.dim - 1)
            ramp = ((torch.arange(self.dim // 2).float() - low) / max(high - low, 0.001)).clamp(0, 1)
            inv = inv / self.factor * ramp + inv * (1 - ramp)
        pos = torch.arange(t).float()
        if self.kind == Scaling.LINEAR:
            pos = pos / self.factor
        return torch.outer(pos, inv)

    def forward(self, x: Tensor) -> Tensor:
        f = self.freqs(x.size(-2))
        cos, sin = torch.cat([f, f], -1).cos(), torch.cat([f, f], -1).sin()
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin


add("rope_dynamic", None, _rope_in, make=lambda: Rope(kind=Scaling.DYNAMIC))


add("rope_yarn", None, _rope_in, make=lambda: Rope(kind=Scaling.YARN))


class UnionFind(nn.Module):
    def find(self, parent: List[int], a: int) -> int:
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        return a

    def forward(self, edges: Tensor, n: int) -> Tuple[int, List[int]]:
        parent = [i for i in range(n)]
        size = [1] * n
        comps = n
        for e in edges:
            a = self.find(parent, int(e[0]))
            b = self.find(parent, int(e[1]))
            if a == b:
                continue
            if size[a] < size[b]:
                a, b = b, a
            parent[b] = a
            size[a] += size[b]
            comps -= 1
        return comps, [self.find(parent, i) for i in range(n)]


add(
    "union_find",
    UnionFind,
    lambda: [
        (torch.tensor([[0, 1], [2, 3], [1, 3]]), 5),
        (torch.zeros(0, 2, dtype=torch.long), 3),
        (torch.tensor([[0, 0]]), 1),
        (torch.tensor([[0, 4]]), 3),
    ],
)


class EditOps(nn.Module):
    def forward(self, a: Tensor, b: Tensor):
        n, m = len(a), len(b)
        d = torch.zeros(n + 1, m + 1, dtype=torch.long)
        d[:, 0] = torch.arange(n + 1)
        d[0] = torch.arange(m + 1)
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                sub = int(d[i - 1, j - 1]) + (0 if a[i - 1] == b[j - 1] else 1)
                d[i, j] = min(sub, int(d[i - 1, j]) + 1, int(d[i, j - 1]) + 1)
        ops = []
        i, j = n, m
        while i > 0 or j > 0:
            if i > 0 and j > 0 and int(d[i, j]) == int(d[i - 1, j - 1]) + int(a[i - 1] != b[j - 1]):
                ops.append((0 if a[i - 1] == b[j - 1] else 1))
                i, j = i - 1, j - 1
            elif i > 0 and int(d[i, j]) == int(d[i - 1, j]) + 1:
                ops.append(2)
                i -= 1
            else:
                ops.append(3)
                j -= 1
        return d[n, m], ops[::-1]


add(
    "edit_ops",
    EditOps,
    lambda: [
        (torch.tensor([1, 2, 3]), torch.tensor([1, 3])),
        (torch.tensor([1]), torch.tensor([2, 3, 4, 1])),
        (torch.zeros(0, dtype=torch.long), torch.tensor([1, 2])),
        (torch.tensor([5, 5, 6, 7]), torch.tensor([5, 6, 6, 7, 8])),
    ],
)
