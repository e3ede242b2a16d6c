"""As people write them in Python: symbols per frame, tours, objects in a beam, shortest paths, messages in graphs, anchors, codebooks."""

import math
from typing import List, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class Transducer(nn.Module):
    """RNN-T greedy: symbols per frame are limited, the predictor's state advances on non-blank."""

    def __init__(self, vocab: int = 7, d: int = 6, max_symbols: int = 3):
        super().__init__()
        self.embed = nn.Embedding(vocab + 1, d)
        self.pred = nn.GRUCell(d, d)
        self.enc = nn.Linear(4, d)
        self.joint = nn.Sequential(nn.Tanh(), nn.Linear(d, vocab + 1))
        self.blank = vocab
        self.max_symbols = max_symbols

    def forward(self, frames: Tensor) -> Tuple[List[int], List[int], float]:
        enc = self.enc(frames)
        hyp: List[int] = []
        times: List[int] = []
        score = 0.0
        h = torch.zeros(1, enc.size(1))
        last = self.blank
        g = self.pred(self.embed(torch.tensor([last])), h)
        for t in range(enc.size(0)):
            added = 0
            while added < self.max_symbols:
                logp = self.joint(enc[t : t + 1] + g).log_softmax(-1)
                value, k = logp.max(-1)
                score += float(value.item())
                token = int(k.item())
                if token == self.blank:
                    break
                hyp.append(token)
                times.append(t)
                last = token
                g = self.pred(self.embed(torch.tensor([last])), g)
                added += 1
        return hyp, times, score


add(
    "transducer_symbols",
    Transducer,
    lambda: [(torch.randn(4, 4),), (torch.randn(1, 4) * 3,), (torch.zeros(0, 4),), (torch.randn(9, 4) * 4,)],
)


class PointerNet(nn.Module):
    """Visits each point once by attention with a growing mask."""

    def __init__(self, d: int = 6):
        super().__init__()
        self.emb = nn.Linear(2, d)
        self.cell = nn.LSTMCell(d, d)
        self.wq, self.wk = nn.Linear(d, d), nn.Linear(d, d, bias=False)
        self.v = nn.Parameter(torch.randn(d))
        self.first = nn.Parameter(torch.randn(1, d))

    def forward(self, pts: Tensor) -> Tuple[Tensor, Tensor]:
        e = self.emb(pts)
        b, n, d = e.shape
        h, c = torch.zeros(b, d), torch.zeros(b, d)
        inp = self.first.expand(b, d)
        visited = torch.zeros(b, n, dtype=torch.bool)
        tour: List[Tensor] = []
        logp = torch.zeros(b)
        keys = self.wk(e)
        while not bool(visited.all()):
            h, c = self.cell(inp, (h, c))
            u = (torch.tanh(keys + self.wq(h)[:, None]) * self.v).sum(-1).masked_fill(visited, -1e9)
            lp = F.log_softmax(u, -1)
            nxt = lp.argmax(-1)
            logp = logp + lp.gather(1, nxt[:, None]).squeeze(1)
            visited = visited.scatter(1, nxt[:, None], True)
            inp = e[torch.arange(b), nxt]
            tour.append(nxt)
        return torch.stack(tour, 1), logp


add("pointer_tour", PointerNet, lambda: [(torch.randn(2, 4, 2),), (torch.randn(1, 1, 2),), (torch.randn(3, 7, 2),)])


def runs(ids):
    """Run length encoding with ordinary Python."""
    values, lengths = [], []
    prev = None
    toks: List[int] = ids.tolist()
    for v in toks:
        if v != prev:
            values.append(v)
            lengths.append(1)
        else:
            lengths[-1] += 1
        prev = v
    return torch.tensor(values), torch.tensor(lengths)


add(
    "run_lengths_none_first",
    runs,
    lambda: [(torch.tensor([1, 1, 2, 3, 3, 3]),), (torch.tensor([5]),), (torch.tensor([4, 4, 4]),)],
)


class Beam:
    def __init__(self, tokens: List[int], score: float):
        self.tokens = tokens
        self.score = score

    def extended(self, t: int, s: float) -> "Beam":
        return Beam(self.tokens + [t], self.score + s)


class LM(nn.Module):
    def __init__(self, v=6, d=5):
        super().__init__()
        self.e = nn.Embedding(v, d)
        self.o = nn.Linear(d, v)

    def forward(self, last: Tensor) -> Tensor:
        return F.log_softmax(self.o(torch.tanh(self.e(last))), -1)


class PyBeam(nn.Module):
    """Beam search with plain objects and sorted(key=)."""

    def __init__(self, width=2, most=4, eos=0):
        super().__init__()
        self.lm = LM()
        self.width, self.most, self.eos = width, most, eos

    def forward(self, start: int):
        beams = [Beam([start], 0.0)]
        done = []
        for _ in range(self.most):
            cand = []
            for b in beams:
                lp = self.lm(torch.tensor(b.tokens[-1]))
                vals, idx = lp.topk(self.width)
                vl: List[float] = vals.tolist()
                il: List[int] = idx.tolist()
                for v, i in zip(vl, il):
                    n = b.extended(i, v)
                    if i == self.eos:
                        done.append(n)
                    else:
                        cand.append(n)
            cand.sort(key=lambda b: b.score, reverse=True)
            beams = cand[: self.width]
            if not beams:
                break
        best = max(done + beams, key=lambda b: b.score / len(b.tokens))
        return torch.tensor(best.tokens), best.score


add("object_beam", PyBeam, lambda: [(1,), (2,), (5,)])


def dijkstra(w, s: int):
    n = len(w)
    dist = torch.full((n,), math.inf)
    dist[s] = 0.0
    left = list(range(n))
    while left:
        u = min(left, key=lambda i: dist[i].item())
        left.remove(u)
        if dist[u] == math.inf:
            break
        for v in left:
            if w[u, v] > 0:
                alt = dist[u] + w[u, v]
                if alt < dist[v]:
                    dist[v] = alt
    return dist


add(
    "shortest_paths",
    dijkstra,
    lambda: [(torch.tensor([[0.0, 1, 4], [0, 0, 2], [0, 0, 0]]), 0), (torch.zeros(3, 3), 1), (torch.rand(5, 5), 2)],
)


class Gnn(nn.Module):
    """Message passing with scatter reductions and pooling by graph."""

    def __init__(self):
        super().__init__()
        self.msg = nn.Linear(6, 3)
        self.upd = nn.Linear(6, 3)

    def forward(self, x: Tensor, edges: Tensor, batch: Tensor, rounds: int) -> Tensor:
        n = x.size(0)
        for _ in range(rounds):
            src, dst = edges.unbind(0)
            m = F.relu(self.msg(torch.cat([x[src], x[dst]], 1)))
            deg = torch.zeros(n).index_add_(0, dst, torch.ones(dst.numel()))
            agg = torch.zeros_like(x).index_add_(0, dst, m) / deg.clamp(min=1)[:, None]
            top = torch.full_like(x, -1e9).scatter_reduce(0, dst[:, None].expand_as(m), m, "amax", include_self=True)
            top = torch.where(deg[:, None] > 0, top, torch.zeros_like(top))
            x = torch.tanh(self.upd(torch.cat([x, agg + top], 1)))
        g = int(batch.max()) + 1 if batch.numel() > 0 else 0
        out = torch.zeros(g, 3)
        return out.scatter_reduce(0, batch[:, None].expand(-1, 3), x, "mean", include_self=False)


add(
    "message_passing",
    Gnn,
    lambda: [
        (torch.randn(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]]), torch.tensor([0, 0, 1, 1]), 2),
        (torch.randn(2, 3), torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 1]), 1),
        (torch.randn(3, 3), torch.tensor([[0, 1, 2, 0], [0, 0, 0, 2]]), torch.tensor([0, 0, 0]), 0),
    ],
)


class Anchor(nn.Module):
    """Anchors per level, decoding, clipping, per-level topk, batched nms by hand, padded outputs."""

    strides: List[int]

    def __init__(self):
        super().__init__()
        self.strides = [2, 4]
        self.heads = nn.ModuleList([nn.Conv2d(3, 3 * 5, 1) for _ in range(2)])
        self.ratios = [0.5, 1.0, 2.0]

    def grid(self, h: int, w: int, stride: int) -> Tensor:
        ys = (torch.arange(h) + 0.5) * stride
        xs = (torch.arange(w) + 0.5) * stride
        cy, cx = torch.meshgrid(ys, xs, indexing="ij")
        sizes = torch.tensor([[stride * math.sqrt(r), stride / math.sqrt(r)] for r in self.ratios])
        c = torch.stack([cx, cy], -1).reshape(-1, 1, 2)
        return torch.cat([c - sizes / 2, c + sizes / 2], -1).reshape(-1, 4)

    def forward(self, feats: List[Tensor], top: int, thr: float = 0.4) -> Tuple[Tensor, Tensor]:
        boxes: List[Tensor] = []
        scores: List[Tensor] = []
        for f, s, head in zip(feats, self.strides, self.heads):
            o = head(f)[0].permute(1, 2, 0).reshape(-1, 5)
            an = self.grid(f.size(2), f.size(3), s)
            sc, keep = o[:, 4].sigmoid().topk(min(top, o.size(0)))
            d = o[keep, :4]
            a = an[keep]
            wh = a[:, 2:] - a[:, :2]
            c = (a[:, 2:] + a[:, :2]) / 2 + d[:, :2] * wh
            wh = wh * d[:, 2:].clamp(max=2.0).exp()
            boxes.append(torch.cat([c - wh / 2, c + wh / 2], 1).clamp(min=0))
            scores.append(sc)
        b, s = torch.cat(boxes), torch.cat(scores)
        order = s.argsort(descending=True)
        b, s = b[order], s[order]
        lt = torch.max(b[:, None, :2], b[:, :2])
        rb = torch.min(b[:, None, 2:], b[:, 2:])
        inter = (rb - lt).clamp(min=0).prod(-1)
        area = (b[:, 2:] - b[:, :2]).prod(-1)
        iou = inter / (area[:, None] + area - inter + 1e-9)
        alive = torch.ones(b.size(0), dtype=torch.bool)
        for i in range(b.size(0)):
            if not alive[i]:
                continue
            drop = iou[i] > thr
            drop[: i + 1] = False
            alive &= ~drop
        return b[alive], s[alive]


add(
    "anchor_head",
    Anchor,
    lambda: [
        ([torch.randn(1, 3, 4, 4), torch.randn(1, 3, 2, 2)], 6),
        ([torch.randn(1, 3, 2, 3), torch.randn(1, 3, 1, 2)], 100),
        ([torch.randn(1, 3, 1, 1), torch.randn(1, 3, 1, 1)], 1),
    ],
)


class Ema(nn.Module):
    """VQ codebook with EMA statistics written in training; dead codes reset."""

    def __init__(self, n=5, d=3):
        super().__init__()
        self.register_buffer("embed", torch.randn(n, d))
        self.register_buffer("count", torch.ones(n))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.n = n

    def forward(self, x: Tensor, learn: bool) -> Tuple[Tensor, Tensor]:
        dist = x.pow(2).sum(1, keepdim=True) - 2 * x @ self.embed.t() + self.embed.pow(2).sum(1)
        idx = dist.argmin(1)
        if learn:
            onehot = F.one_hot(idx, self.n).to(x.dtype)
            self.count.mul_(0.9).add_(onehot.sum(0), alpha=0.1)
            dw = onehot.t() @ x
            self.embed.mul_(0.9).add_(dw, alpha=0.1)
            dead = self.count < 0.92
            if dead.any():
                self.embed[dead] = x[:1].expand(int(dead.sum()), -1)
            self.steps += 1
        q = F.embedding(idx, self.embed)
        return x + (q - x).detach(), self.steps.clone()


add(
    "ema_codebook",
    Ema,
    lambda: [
        (torch.randn(4, 3), True),
        (torch.randn(4, 3), True),
        (torch.randn(2, 3), False),
        (torch.randn(1, 3), True),
    ],
)
