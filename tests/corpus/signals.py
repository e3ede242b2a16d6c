import math
from typing import List, Optional, Tuple
import torch
import torch.nn as nn
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class TreeLSTM(nn.Module):
    """Binary tree LSTM over a postfix program: stack of (h, c)."""

    def __init__(self, vocab: int = 6, d: int = 3):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.iou = nn.Linear(2 * d, 3 * d)
        self.f = nn.Linear(2 * d, 2 * d)
        self.d = d

    def forward(self, postfix: Tensor) -> Tensor:
        stack: List[Tuple[Tensor, Tensor]] = []
        for t in postfix:
            tok = int(t)
            if tok >= 0:
                e = self.emb(t)
                stack.append((torch.tanh(e), e))
            else:
                rh, rc = stack.pop()
                lh, lc = stack.pop()
                hh = torch.cat([lh, rh])
                i, o, u = self.iou(hh).chunk(3)
                fl, fr = torch.sigmoid(self.f(hh)).chunk(2)
                c = torch.sigmoid(i) * torch.tanh(u) + fl * lc + fr * rc
                stack.append((torch.sigmoid(o) * torch.tanh(c), c))
        assert len(stack) == 1, f"malformed tree: {len(stack)} roots"
        return stack[-1][0]


add(
    "tree_lstm",
    TreeLSTM,
    lambda: [
        (torch.tensor([1, 2, -1, 3, -1]),),
        (torch.tensor([4]),),
        (torch.tensor([0, 1, 2, 3, -1, -1, -1, 5, -1]),),
        (torch.tensor([1, 2]),),
    ],
)


def bfs_levels(adj: Tensor, start: int) -> Tuple[Tensor, int]:
    """Breadth-first search with a queue list."""
    n = adj.size(0)
    dist = torch.full((n,), -1, dtype=torch.long)
    dist[start] = 0
    queue = [start]
    visited = 0
    while len(queue) > 0:
        u = queue.pop(0)
        visited += 1
        for v in range(n):
            if adj[u, v] > 0 and dist[v] < 0:
                dist[v] = dist[u] + 1
                queue.append(v)
    return dist, visited


add(
    "bfs",
    bfs_levels,
    lambda: [
        (torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), 0),
        (torch.zeros(1, 1, dtype=torch.long), 0),
        (torch.ones(5, 5, dtype=torch.long), 3),
    ],
)


class ReplayRing(nn.Module):
    """Replay buffer with priorities; state in buffers."""

    def __init__(self, cap: int = 4, d: int = 2):
        super().__init__()
        self.capacity = cap
        self.register_buffer("obs", torch.zeros(cap, d))
        self.register_buffer("prio", torch.zeros(cap))
        self.register_buffer("ptr", torch.tensor(0))
        self.register_buffer("size", torch.tensor(0))

    def push(self, o: Tensor, p: Tensor) -> None:
        i = int(self.ptr)
        self.obs[i] = o
        self.prio[i] = p.abs() + 1e-3
        self.ptr.fill_((i + 1) % self.capacity)
        if int(self.size) < self.capacity:
            self.size += 1

    def forward(self, batch: Tensor, errs: Tensor, k: int) -> Tuple[Tensor, Tensor]:
        for o, e in zip(batch, errs):
            self.push(o, e)
        n = int(self.size)
        if n == 0:
            raise RuntimeError("empty buffer")
        w = self.prio[:n] / self.prio[:n].sum()
        k = min(k, n)
        vals, idx = w.topk(k)
        return self.obs[idx], vals


add(
    "replay_ring",
    ReplayRing,
    lambda: [
        (torch.randn(2, 2), torch.randn(2), 3),
        (torch.randn(0, 2), torch.randn(0), 1),
        (torch.randn(5, 2), torch.randn(5), 2),
        (torch.randn(1, 2), torch.randn(1) * 9, 9),
    ],
)


class NStepReturns(nn.Module):
    def __init__(self, n: int = 3, gamma: float = 0.9):
        super().__init__()
        self.n, self.gamma = n, gamma

    def forward(self, r: Tensor, boot: Optional[Tensor] = None) -> Tensor:
        T = r.shape[0]
        out: List[Tensor] = []
        for t in range(T):
            g = torch.zeros((), dtype=r.dtype)
            end = min(t + self.n, T)
            for k, rr in enumerate(r[t:end]):
                g = g + (self.gamma**k) * rr
            if boot is not None and end < T:
                g = g + self.gamma ** (end - t) * boot[end]
            out.append(g)
        return torch.stack(out)


add(
    "nstep",
    NStepReturns,
    lambda: [(torch.randn(5), torch.randn(5)), (torch.randn(1), torch.randn(1)), (torch.randn(8), torch.randn(8))],
)


def gram_schmidt(a: Tensor, eps: float = 1e-6) -> Tuple[Tensor, int]:
    basis: List[Tensor] = []
    for v in a:
        w = v.clone()
        for b in basis:
            w = w - torch.dot(w, b) * b
        n = w.norm()
        if n > eps:
            basis.append(w / n)
    if len(basis) == 0:
        return torch.zeros(0, a.size(1)), 0
    return torch.stack(basis), len(basis)


add(
    "gram_schmidt",
    gram_schmidt,
    lambda: [
        (torch.randn(3, 4),),
        (torch.zeros(2, 3),),
        (torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 1.0]]),),
        (torch.randn(5, 3),),
    ],
)


def lu_solve(a: Tensor, b: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """LU with partial pivoting, then substitution."""
    n = a.size(0)
    lu = a.clone()
    perm = torch.arange(n)
    for k in range(n):
        p = int(lu[k:, k].abs().argmax()) + k
        if lu[p, k].abs() < 1e-9:
            raise ValueError(f"singular matrix at column {k}")
        if p != k:
            row = lu[k].clone()
            lu[k] = lu[p]
            lu[p] = row
            pk = perm[k].clone()
            perm[k] = perm[p]
            perm[p] = pk
        for i in range(k + 1, n):
            lu[i, k] = lu[i, k] / lu[k, k]
            lu[i, k + 1 :] -= lu[i, k] * lu[k, k + 1 :]
    y = torch.zeros(n)
    for i in range(n):
        y[i] = b[perm[i]] - torch.dot(lu[i, :i], y[:i])
    x = torch.zeros(n)
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - torch.dot(lu[i, i + 1 :], x[i + 1 :])) / lu[i, i]
    return x, lu, perm


add(
    "lu_solve",
    lu_solve,
    lambda: [
        (torch.randn(3, 3), torch.randn(3)),
        (torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([2.0, 3.0])),
        (torch.randn(5, 5), torch.randn(5)),
        (torch.ones(2, 2), torch.ones(2)),
    ],
)


class FFT(nn.Module):
    """Iterative radix-2 FFT on real and imaginary parts."""

    def bitrev(self, n: int) -> List[int]:
        rev = [0] * n
        bits = 0
        while (1 << bits) < n:
            bits += 1
        for i in range(n):
            r = 0
            x = i
            for _ in range(bits):
                r = (r << 1) | (x & 1)
                x >>= 1
            rev[i] = r
        return rev

    def forward(self, re: Tensor, im: Tensor) -> Tuple[Tensor, Tensor]:
        n = re.numel()
        assert n & (n - 1) == 0, "length must be a power of two"
        order = torch.tensor(self.bitrev(n))
        re, im = re[order], im[order]
        size = 2
        while size <= n:
            half = size // 2
            ang = -2.0 * math.pi * torch.arange(half).float() / size
            wr, wi = torch.cos(ang), torch.sin(ang)
            r, i = re.view(-1, size), im.view(-1, size)
            er, ei, orr, oi = r[:, :half], i[:, :half], r[:, half:], i[:, half:]
            tr = wr * orr - wi * oi
            ti = wr * oi + wi * orr
            re = torch.cat([er + tr, er - tr], 1).reshape(-1)
            im = torch.cat([ei + ti, ei - ti], 1).reshape(-1)
            size *= 2
        return re, im


add(
    "fft",
    FFT,
    lambda: [
        (torch.randn(8), torch.zeros(8)),
        (torch.randn(1), torch.randn(1)),
        (torch.randn(32), torch.randn(32)),
        (torch.randn(6), torch.randn(6)),
    ],
)


class KalmanFilter(nn.Module):
    """Missing observations as NaN; returns filtered means and log-likelihood."""

    def __init__(self):
        super().__init__()
        self.register_buffer("A", torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
        self.register_buffer("H", torch.tensor([[1.0, 0.0]]))
        self.register_buffer("Q", 0.1 * torch.eye(2))
        self.R = 0.5

    def forward(self, obs: Tensor) -> Tuple[Tensor, Tensor]:
        x = torch.zeros(2, 1)
        P = torch.eye(2)
        means = []
        ll = torch.zeros(())
        for z in obs:
            x = self.A @ x
            P = self.A @ P @ self.A.t() + self.Q
            if not torch.isnan(z):
                innov = z - (self.H @ x).squeeze()
                S = (self.H @ P @ self.H.t()).squeeze() + self.R
                K = P @ self.H.t() / S
                x = x + K * innov
                P = (torch.eye(2) - K @ self.H) @ P
                ll -= 0.5 * (torch.log(2 * math.pi * S) + innov**2 / S)
            means.append(x.squeeze(1))
        return torch.stack(means), ll


add(
    "kalman",
    KalmanFilter,
    lambda: [(torch.tensor([1.0, float("nan"), 2.0, 3.5]),), (torch.tensor([float("nan")]),), (torch.randn(12),)],
)


class HoltWinters(nn.Module):
    """Triple exponential smoothing with seasonal state; forecasts."""

    def __init__(self, period: int = 3):
        super().__init__()
        self.period = period
        self.alpha, self.beta, self.gamma = 0.5, 0.1, 0.2

    def forward(self, y: Tensor, horizon: int) -> Tensor:
        p = self.period
        level = y[:p].mean()
        trend = (y[p : 2 * p] - y[:p]).mean() / p
        season: List[Tensor] = [y[i] - level for i in range(p)]
        for t in range(p, y.numel()):
            s = season[t % p]
            new_level = self.alpha * (y[t] - s) + (1 - self.alpha) * (level + trend)
            trend = self.beta * (new_level - level) + (1 - self.beta) * trend
            season[t % p] = self.gamma * (y[t] - new_level) + (1 - self.gamma) * s
            level = new_level
        out = [level + (h + 1) * trend + season[(y.numel() + h) % p] for h in range(horizon)]
        return torch.stack(out)


add("holt_winters", HoltWinters, lambda: [(torch.randn(9), 4), (torch.randn(6), 1), (torch.randn(20).cumsum(0), 7)])
