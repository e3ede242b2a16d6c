"""Programs as different people write them: assignment, tracking, drafting, filtering, routing."""

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


@dataclass
class KF:
    x: Tensor
    P: Tensor
    steps: int = 0

    def predict(self, A: Tensor, Q: Tensor) -> "KF":
        return KF(A @ self.x, A @ self.P @ A.t() + Q, self.steps + 1)

    @property
    def trace(self) -> Tensor:
        return torch.diagonal(self.P).sum()


class Tracker(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("A", torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
        self.register_buffer("H", torch.tensor([[1.0, 0.0]]))
        self.register_buffer("Q", 0.01 * torch.eye(2))
        self.r = 0.1

    def update(self, s: KF, z: Tensor) -> "KF":
        y = z - self.H @ s.x
        S = self.H @ s.P @ self.H.t() + self.r
        K = s.P @ self.H.t() / S
        return KF(s.x + K @ y, (torch.eye(2) - K @ self.H) @ s.P, s.steps)

    def forward(self, zs):
        s = KF(torch.zeros(2), torch.eye(2))
        hist = []
        for z in zs:
            s = s.predict(self.A, self.Q)
            if not torch.isnan(z):
                s = self.update(s, z.reshape(1))
            hist.append(s.x)
            if s.trace > 50:
                break
        return torch.stack(hist), s.P, s.steps


add(
    "tracker",
    Tracker,
    lambda: [(torch.tensor([0.1, 0.2, float("nan"), 0.5]),), (torch.tensor([1.0]),), (torch.full((7,), float("nan")),)],
)


def astar(grid: Tensor, start: Tuple[int, int], goal: Tuple[int, int]) -> Tuple[int, int]:
    h, w = grid.shape[0], grid.shape[1]
    dist = torch.full((h, w), 10**6, dtype=torch.long)
    dist[start[0], start[1]] = 0
    open_f: List[int] = [abs(start[0] - goal[0]) + abs(start[1] - goal[1])]
    open_p: List[Tuple[int, int]] = [start]
    expanded = 0
    while len(open_p) > 0:
        k = 0
        for i in range(1, len(open_f)):
            if open_f[i] < open_f[k]:
                k = i
        open_f.pop(k)
        y, x = open_p.pop(k)
        expanded += 1
        if y == goal[0] and x == goal[1]:
            return int(dist[y, x]), expanded
        for dy, dx in [(0, 1), (1, 0), (0, -1), (-1, 0)]:
            ny, nx = y + dy, x + dx
            if ny < 0 or nx < 0 or ny >= h or nx >= w or bool(grid[ny, nx] != 0):
                continue
            g = int(dist[y, x]) + 1
            if g < int(dist[ny, nx]):
                dist[ny, nx] = g
                open_f.append(g + abs(ny - goal[0]) + abs(nx - goal[1]))
                open_p.append((ny, nx))
    return -1, expanded


add(
    "astar",
    astar,
    lambda: [
        (torch.tensor([[0, 1, 0], [0, 1, 0], [0, 0, 0]]), (0, 0), (0, 2)),
        (torch.tensor([[0, 1], [1, 0]]), (0, 0), (1, 1)),
        (torch.zeros(4, 5, dtype=torch.long), (3, 4), (0, 0)),
        (torch.zeros(1, 1, dtype=torch.long), (0, 0), (0, 0)),
    ],
)


def systematic(weights, u):
    n = weights.shape[0]
    positions = (torch.arange(n) + u) / n
    cumulative = torch.cumsum(weights, 0)
    idx = torch.zeros(n, dtype=torch.long)
    i, j = 0, 0
    while i < n:
        if positions[i] < cumulative[j] or j == n - 1:
            idx[i] = j
            i += 1
        else:
            j += 1
    return idx


class ParticleFilter(nn.Module):
    def forward(self, particles: Tensor, zs: Tensor, noise: Tensor, u: float):
        w = torch.ones(particles.shape[0]) / particles.shape[0]
        resamples = 0
        means = []
        for t, z in enumerate(zs):
            particles = particles + noise[t]
            w = w * torch.exp(-0.5 * (z - particles) ** 2) + 1e-12
            w = w / w.sum()
            neff = 1.0 / (w**2).sum()
            if neff < particles.shape[0] / 2:
                particles = particles[systematic(w, u)]
                w = torch.full_like(w, 1.0 / len(w))
                resamples += 1
            means.append((w * particles).sum())
        return means, resamples


add(
    "particle_filter",
    ParticleFilter,
    lambda: [
        (torch.randn(5), torch.tensor([0.5, 4.0, 3.0]), torch.randn(3, 5), 0.3),
        (torch.randn(3), torch.tensor([9.0]), torch.zeros(1, 3), 0.0),
        (torch.randn(4), torch.zeros(0), torch.zeros(0, 4), 0.5),
    ],
)


def hungarian(cost: Tensor) -> Tuple[Tensor, float]:
    n, m = cost.shape[0], cost.shape[1]
    assert n <= m, f"more rows than columns: {n} > {m}"
    INF = 1e9
    u = [0.0] * (n + 1)
    v = [0.0] * (m + 1)
    p = [0] * (m + 1)
    way = [0] * (m + 1)
    for i in range(1, n + 1):
        p[0] = i
        j0 = 0
        minv = [INF] * (m + 1)
        used = [False] * (m + 1)
        while True:
            used[j0] = True
            i0 = p[j0]
            delta = INF
            j1 = 0
            for j in range(1, m + 1):
                if not used[j]:
                    cur = float(cost[i0 - 1, j - 1]) - u[i0] - v[j]
                    if cur < minv[j]:
                        minv[j] = cur
                        way[j] = j0
                    if minv[j] < delta:
                        delta = minv[j]
                        j1 = j
            for j in range(m + 1):
                if used[j]:
                    u[p[j]] += delta
                    v[j] -= delta
                else:
                    minv[j] -= delta
            j0 = j1
            if p[j0] == 0:
                break
        while True:
            j1 = way[j0]
            p[j0] = p[j1]
            j0 = j1
            if j0 == 0:
                break
    out = torch.full((n,), -1, dtype=torch.long)
    for j in range(1, m + 1):
        if p[j] > 0:
            out[p[j] - 1] = j - 1
    return out, -v[0]


add(
    "hungarian",
    hungarian,
    lambda: [
        (torch.tensor([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]]),),
        (torch.rand(2, 4),),
        (torch.rand(1, 1),),
        (torch.rand(3, 2),),
    ],
)


class Augment(nn.Module):
    P: float = 0.5

    def applies(self, u: Tensor) -> bool:
        return bool(u < self.P)

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        if self.applies(u):
            return self.apply_to(x, u / self.P)
        return x

    def apply_to(self, x: Tensor, u: Tensor) -> Tensor:
        raise NotImplementedError


class HFlip(Augment):
    def apply_to(self, x: Tensor, u: Tensor) -> Tensor:
        return x.flip(-1)


class Brightness(Augment):
    P = 0.9

    def apply_to(self, x: Tensor, u: Tensor) -> Tensor:
        return (x * (0.5 + u)).clamp(0, 1)


class Cutout(Augment):
    def __init__(self, size: int = 2):
        super().__init__()
        self.size = size

    @staticmethod
    def box(h: int, w: int, s: int, u: Tensor) -> Tuple[int, int]:
        return int(u * (h - s + 1)) % max(h, 1), int(u * 7 * w) % w

    def apply_to(self, x: Tensor, u: Tensor) -> Tensor:
        y, z = self.box(x.shape[-2], x.shape[-1], self.size, u)
        x = x.clone()
        x[..., y : y + self.size, z : z + self.size] = 0
        return x


class Equalize(Augment):
    BINS = 8

    def apply_to(self, x: Tensor, u: Tensor) -> Tensor:
        out = torch.empty_like(x)
        for c in range(x.shape[0]):
            hist = torch.histc(x[c], bins=self.BINS, min=0.0, max=1.0)
            cdf = hist.cumsum(0)
            if cdf[-1] == 0:
                out[c] = x[c]
                continue
            cdf = cdf / cdf[-1]
            out[c] = cdf[(x[c] * self.BINS).long().clamp(0, self.BINS - 1)]
        return out


class Pipeline(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([HFlip(), Brightness(), Cutout(), Equalize()])

    def forward(self, img: Tensor, us: Tensor) -> Tensor:
        if img.dim() != 3:
            raise ValueError(f"expected an image of 3 dimensions, got {img.dim()}")
        for i, stage in enumerate(self.stages):
            img = stage(img, us[i])
        return img


add(
    "augment_pipeline",
    Pipeline,
    lambda: [
        (torch.rand(3, 4, 5), torch.tensor([0.1, 0.2, 0.3, 0.4])),
        (torch.rand(1, 6, 3), torch.tensor([0.9, 0.95, 0.1, 0.9])),
        (torch.rand(1, 4, 4), torch.rand(4)),
    ],
)


_b = lambda: [
    (torch.rand(4, 3), [0.1, 0.5, 0.9, 0.2]),
    (torch.rand(2, 3), [0.05, 0.29]),
    (torch.rand(6, 3), [0.4, 0.1, 0.9, 0.2, 0.8, 0.25]),
]


class Bandit(nn.Module):
    def __init__(self, arms=3, mode="ucb"):
        super().__init__()
        self.mode = mode
        self.register_buffer("counts", torch.zeros(arms))
        self.register_buffer("values", torch.zeros(arms))
        self.t = 0

    def select(self, u: float) -> int:
        if self.mode == "ucb":
            for a in range(self.counts.numel()):
                if self.counts[a] == 0:
                    return a
            bonus = torch.sqrt(2 * math.log(self.t + 1) / self.counts)
            return int((self.values + bonus).argmax())
        elif self.mode == "eps":
            if u < 0.3:
                return int(u / 0.3 * self.counts.numel())
            return int(self.values.argmax())
        else:
            raise ValueError("unknown mode " + self.mode)

    def forward(self, rewards: Tensor, us: List[float]) -> Tensor:
        picked = torch.zeros(len(us), dtype=torch.int64)
        for i, u in enumerate(us):
            a = self.select(u)
            self.t += 1
            self.counts[a] += 1
            self.values[a] += (rewards[i, a] - self.values[a]) / self.counts[a]
            picked[i] = a
        return picked


add("bandit_ucb", None, _b, make=lambda: Bandit())


class TDigest(nn.Module):
    def __init__(self, cap: int = 4):
        super().__init__()
        self.cap = cap

    def forward(self, xs: Tensor, q: float) -> Tuple[float, List[float], List[int]]:
        means: List[float] = []
        counts: List[int] = []
        for i in range(xs.numel()):
            v = float(xs[i])
            pos = 0
            while pos < len(means) and means[pos] < v:
                pos += 1
            means.insert(pos, v)
            counts.insert(pos, 1)
            if len(means) > self.cap:
                best, at = float("inf"), 0
                for j in range(len(means) - 1):
                    gap = (means[j + 1] - means[j]) * (counts[j] + counts[j + 1])
                    if gap < best:
                        best, at = gap, j
                tot = counts[at] + counts[at + 1]
                means[at] = (means[at] * counts[at] + means[at + 1] * counts[at + 1]) / tot
                counts[at] = tot
                del means[at + 1]
                del counts[at + 1]
        want = q * sum(counts)
        seen = 0.0
        for m, c in zip(means, counts):
            seen += c
            if seen >= want:
                return m, means, counts
        return float("nan"), means, counts


add(
    "tdigest",
    TDigest,
    lambda: [(torch.randn(7), 0.5), (torch.randn(3), 0.99), (torch.zeros(0), 0.5), (torch.arange(12).float(), 0.25)],
)


def calibrate(logits: Tensor, labels: Tensor):
    nll = lambda t: F.cross_entropy(logits / t, labels)
    lo, hi = 0.25, 8.0
    phi = (math.sqrt(5) - 1) / 2
    a, b = hi - phi * (hi - lo), lo + phi * (hi - lo)
    fa, fb = nll(a), nll(b)
    n = 0
    while hi - lo > 1e-2:
        if fa < fb:
            hi, b, fb = b, a, fa
            a = hi - phi * (hi - lo)
            fa = nll(a)
        else:
            lo, a, fa = a, b, fb
            b = lo + phi * (hi - lo)
            fb = nll(b)
        n += 1
    return (lo + hi) / 2, n


add(
    "calibrate",
    calibrate,
    lambda: [(torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])), (torch.randn(2, 2) * 9, torch.tensor([1, 0]))],
)


class RGCN(nn.Module):
    def __init__(self, d=3, rels=("a", "b")):
        super().__init__()
        self.lin = nn.ModuleDict({r: nn.Linear(d, d, bias=False) for r in rels})
        self.root = nn.Linear(d, d)

    def forward(self, x: Tensor, edges: Dict[str, Tensor]) -> Tensor:
        out = self.root(x)
        for rel, lin in self.lin.items():
            if rel in edges:
                e = edges[rel]
                if e.numel() == 0:
                    continue
                msg = lin(x[e[0]])
                deg = torch.zeros(x.size(0)).index_add_(0, e[1], torch.ones(e.size(1))).clamp(min=1)
                agg = torch.zeros_like(out).index_add_(0, e[1], msg)
                out = out + agg / deg[:, None]
        return F.relu(out)


add(
    "rgcn",
    RGCN,
    lambda: [
        (torch.randn(3, 3), {"a": torch.tensor([[0, 1], [1, 2]]), "b": torch.tensor([[2], [0]])}),
        (torch.randn(2, 3), {"a": torch.zeros(2, 0, dtype=torch.long), "b": torch.tensor([[0, 0], [1, 1]])}),
    ],
)


@dataclass
class RState:
    phase: float
    last: Tensor


class Resampler(nn.Module):
    def __init__(self, ratio: float = 1.5):
        super().__init__()
        self.step = 1.0 / ratio

    def forward(self, x: Tensor, phase: Optional[float] = None, last: Optional[Tensor] = None):
        st = RState(phase if phase is not None else 0.0, last if last is not None else torch.zeros(1))
        buf = torch.cat([st.last, x])
        out = []
        pos = st.phase
        while pos < len(buf) - 1:
            i = int(pos)
            frac = pos - i
            out.append(buf[i] * (1 - frac) + buf[i + 1] * frac)
            pos += self.step
        st.phase = pos - (len(buf) - 1)
        st.last = buf[-1:]
        y = torch.stack(out) if out else torch.zeros(0)
        return y, st.phase, st.last


add(
    "resampler",
    Resampler,
    lambda: [
        (torch.randn(4), 0.25, torch.ones(1)),
        (torch.randn(1), 0.9, torch.ones(1)),
        (torch.zeros(0), 0.0, torch.ones(1)),
        (torch.randn(9), 3.5, torch.zeros(1)),
    ],
)


def merge_lists(iv: Tensor) -> List[List[float]]:
    merged: List[List[float]] = []
    order = iv[:, 0].argsort()
    for k in order:
        lo, hi = float(iv[k, 0]), float(iv[k, 1])
        if merged and lo <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], hi)
        else:
            merged.append([lo, hi])
    return merged


_iv = lambda: [
    (torch.tensor([[1.0, 3.0], [2.0, 4.0], [6.0, 7.0]]),),
    (torch.tensor([[5.0, 6.0]]),),
    (torch.zeros(0, 2),),
    (torch.tensor([[3.0, 4.0], [1.0, 9.0], [2.0, 3.0], [10.0, 11.0]]),),
]


add("merge_lists", merge_lists, _iv)


class Interval(NamedTuple):
    lo: float
    hi: float
    count: int = 1

    def widened(self, by: float) -> "Interval":
        return self._replace(hi=self.hi + by)


def merge_named(iv: Tensor) -> Tuple[List[float], int]:
    out: List[Interval] = []
    for row in iv:
        new = Interval(float(row[0]), float(row[1]))
        if out and new.lo <= out[-1].hi:
            last = out.pop()
            new = Interval(min(last.lo, new.lo), max(last.hi, new.hi), last.count + 1)
        out.append(new)
    most = 0
    for i in out:
        most = max(most, i.count)
    return [i.hi - i.lo for i in out], most


add("merge_named", merge_named, _iv)


def graph_topo(edges: List[Tuple[int, int]], n: int) -> Tuple[List[int], bool]:
    adj: Dict[int, List[int]] = {}
    indeg = [0 for _ in range(n)]
    for a, b in edges:
        adj.setdefault(a, []).append(b)
        indeg[b] += 1
    queue = [i for i in range(n) if indeg[i] == 0]
    order: List[int] = []
    while queue:
        v = queue.pop(0)
        order.append(v)
        for w in adj.get(v, []):
            indeg[w] -= 1
            if not indeg[w]:
                queue.append(w)
    return order, len(order) == n


def topo_main(e: Tensor, n: int) -> Tuple[Tensor, bool]:
    pairs = [(int(r[0]), int(r[1])) for r in e]
    order, ok = graph_topo(pairs, n)
    return torch.tensor(order, dtype=torch.long), ok


add(
    "topo",
    topo_main,
    lambda: [
        (torch.tensor([[0, 1], [1, 2], [0, 2]]), 4),
        (torch.tensor([[0, 1], [1, 0]]), 2),
        (torch.zeros(0, 2, dtype=torch.long), 0),
        (torch.tensor([[3, 0]]), 4),
    ],
)


class CapacityMoE(nn.Module):
    def __init__(self, d=4, e=3, cap=1.0):
        super().__init__()
        self.gate = nn.Linear(d, e, bias=False)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d)) for _ in range(e)]
        )
        self.cap = cap

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor, List[int]]:
        flat = x.reshape(-1, x.size(-1))
        probs = self.gate(flat).softmax(-1)
        w, idx = probs.max(-1)
        limit = max(1, math.ceil(flat.size(0) / len(self.experts) * self.cap))
        out = torch.zeros_like(flat)
        dropped: List[int] = []
        for e, expert in enumerate(self.experts):
            chosen = (idx == e).nonzero(as_tuple=True)[0]
            if chosen.numel() > limit:
                keep = w[chosen].topk(limit).indices.sort()[0]
                dropped.append(chosen.numel() - limit)
                chosen = chosen[keep]
            if chosen.numel() == 0:
                continue
            out[chosen] += expert(flat[chosen]) * w[chosen, None]
        f = F.one_hot(idx, len(self.experts)).float().mean(0)
        return out.view_as(x), (f * probs.mean(0)).sum() * len(self.experts), dropped


add("capacity_moe", CapacityMoE, lambda: [(torch.randn(2, 3, 4),), (torch.randn(1, 1, 4),), (torch.randn(1, 9, 4),)])


def tree_fold(parents: List[int], x: Tensor) -> Tensor:
    n = len(parents)
    children: Dict[int, List[int]] = {i: [] for i in range(n)}
    root = -1
    for i, p in enumerate(parents):
        if p < 0:
            root = i
        else:
            children[p].append(i)
    if root < 0:
        raise ValueError("no root")
    h = [x[i] for i in range(n)]
    for i in reversed(range(n)):
        for c in children[i]:
            h[i] = torch.tanh(h[i] + 0.5 * h[c])
    return h[root]


add(
    "tree_fold",
    tree_fold,
    lambda: [
        ([-1, 0, 0, 1], torch.randn(4, 2)),
        ([-1], torch.randn(1, 3)),
        ([0], torch.randn(1, 3)),
        ([-1, 0, 1, 2, 3], torch.randn(5, 2)),
    ],
)


class Hyp:
    def __init__(self, ids: List[int], score: float, done: bool = False):
        self.ids = ids
        self.score = score
        self.done = done

    def normalised(self, alpha: float) -> float:
        return self.score / (len(self.ids) ** alpha)

    def has_ngram(self, tok: int) -> bool:
        if len(self.ids) < 2:
            return False
        last = self.ids[-1]
        for i in range(len(self.ids) - 1):
            if self.ids[i] == last and self.ids[i + 1] == tok:
                return True
        return False


class BeamOOP(nn.Module):
    def __init__(self, v=5, k=2, steps=4):
        super().__init__()
        self.table = nn.Parameter(torch.randn(v, v) * 2)
        self.k, self.steps, self.eos = k, steps, 0

    def forward(self, start: int, alpha: float) -> Tuple[List[int], float]:
        beams = [Hyp([start], 0.0)]
        for _ in range(self.steps):
            cands: List[Hyp] = []
            for h in beams:
                if h.done:
                    cands.append(h)
                    continue
                lp = torch.log_softmax(self.table[h.ids[-1]], 0)
                for v in range(lp.size(0)):
                    if h.has_ngram(v):
                        continue
                    cands.append(Hyp(h.ids + [v], h.score + float(lp[v]), v == self.eos))
            scores = torch.tensor([c.normalised(alpha) for c in cands])
            top = torch.topk(scores, min(self.k, len(cands)))[1]
            beams = [cands[int(i)] for i in top]
        best = beams[0]
        return best.ids, best.normalised(alpha)


add("beam_oop", BeamOOP, lambda: [(1, 1.0), (0, 0.0), (4, 2.0)])


class Tabular(nn.Module):
    CATS = {"city": 4, "day": 7}

    def __init__(self):
        super().__init__()
        self.emb = nn.ModuleDict({k: nn.Embedding(n + 1, 2) for k, n in self.CATS.items()})
        self.register_buffer("mean", torch.tensor(3.0))
        self.std = 2.0

    def forward(self, row: Dict[str, Tensor]) -> Dict[str, Tensor]:
        feats: List[Tensor] = []
        for name, table in self.emb.items():
            ids = row[name] if name in row else torch.zeros(row["age"].size(0), dtype=torch.long)
            ids = torch.where(
                (ids < 0) | (ids >= table.num_embeddings - 1), torch.full_like(ids, table.num_embeddings - 1), ids
            )
            feats.append(table(ids))
        age = row["age"]
        missing = torch.isnan(age)
        age = torch.where(missing, self.mean, age)
        feats.append(((age - self.mean) / self.std).unsqueeze(1))
        feats.append(missing.float().unsqueeze(1))
        if "income" in row.keys():
            feats.append(torch.log1p(row["income"].clamp(min=0)).unsqueeze(1))
        out = torch.cat(feats, 1)
        return {"x": out, "missing": missing.sum()}


add(
    "tabular",
    Tabular,
    lambda: [
        ({"age": torch.tensor([1.0, float("nan"), 5.0]), "city": torch.tensor([0, 9, -1])},),
        ({"age": torch.zeros(0), "city": torch.zeros(0, dtype=torch.long)},),
    ],
)


class Deform(nn.Module):
    def __init__(self, c=2):
        super().__init__()
        self.off = nn.Conv2d(c, 2, 3, padding=1)
        self.w = nn.Parameter(torch.randn(c))

    @staticmethod
    def bilinear(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        y0, z0 = y.floor(), z.floor()
        out = torch.zeros(x.size(0), *y.shape)
        for dy in (0, 1):
            for dz in (0, 1):
                yy, zz = y0 + dy, z0 + dz
                wt = (1 - (y - yy).abs()) * (1 - (z - zz).abs())
                ok = (yy >= 0) & (yy < h) & (zz >= 0) & (zz < w)
                out += x[:, yy.clamp(0, h - 1).long(), zz.clamp(0, w - 1).long()] * (wt * ok)
        return out

    def forward(self, x: Tensor) -> Tensor:
        o = self.off(x)
        outs = []
        for b in range(x.shape[0]):
            gy = torch.arange(x.size(2)).float()[:, None] + o[b, 0]
            gx = torch.arange(x.size(3)).float()[None] + o[b, 1]
            outs.append((self.bilinear(x[b], gy, gx) * self.w[:, None, None]).sum(0))
        return torch.stack(outs)


add("deform", Deform, lambda: [(torch.randn(2, 2, 3, 4),), (torch.randn(1, 2, 5, 1),)])
