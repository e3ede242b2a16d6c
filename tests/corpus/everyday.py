"""Programs as different people write them: decisions, sketches, calibration, graphs, routing, tables."""

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
