"""Policies and series: returns, replay, integrators with steps of their own, forecasts."""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class GAE(nn.Module):
    def forward(
        self, r: Tensor, v: Tensor, done: Tensor, last: Tensor, gamma: float = 0.9, lam: float = 0.95
    ) -> Tuple[Tensor, Tensor]:
        T = r.size(0)
        adv = torch.zeros_like(r)
        g = torch.zeros_like(last)
        for t in reversed(range(T)):
            nv = last if t == T - 1 else v[t + 1]
            mask = 1.0 - done[t].float()
            delta = r[t] + gamma * nv * mask - v[t]
            g = delta + gamma * lam * mask * g
            adv[t] = g
        return adv, adv + v


add(
    "gae",
    GAE,
    lambda: [
        (torch.randn(4, 2), torch.randn(4, 2), torch.rand(4, 2) > 0.7, torch.randn(2), 0.9, 0.95),
        (torch.randn(1, 1), torch.randn(1, 1), torch.zeros(1, 1) > 0, torch.randn(1), 1.0, 1.0),
        (torch.randn(0, 3), torch.randn(0, 3), torch.zeros(0, 3) > 0, torch.randn(3), 0.5, 0.5),
    ],
)


class SumTree(nn.Module):
    """Prioritised replay: a tree in a flat buffer; walk down by a while loop."""

    def __init__(self, cap: int = 4):
        super().__init__()
        self.cap = cap
        self.register_buffer("tree", torch.zeros(2 * cap - 1))

    def forward(self, idx: Tensor, p: Tensor, s: Tensor) -> Tensor:
        for k in range(idx.numel()):
            i = int(idx[k]) + self.cap - 1
            change = p[k] - self.tree[i]
            self.tree[i] = p[k]
            while i != 0:
                i = (i - 1) // 2
                self.tree[i] += change
        found: List[int] = []
        for j in range(s.numel()):
            v = s[j] * self.tree[0]
            i = 0
            while 2 * i + 1 < self.tree.numel():
                left = 2 * i + 1
                if v <= self.tree[left]:
                    i = left
                else:
                    v = v - self.tree[left]
                    i = left + 1
            found.append(i - self.cap + 1)
        return torch.tensor(found)


add(
    "sum_tree",
    SumTree,
    lambda: [
        (torch.tensor([0, 2, 3]), torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.1, 0.5, 0.95])),
        (torch.tensor([1]), torch.tensor([3.0]), torch.tensor([0.9])),
        (torch.zeros(0, dtype=torch.long), torch.zeros(0), torch.tensor([0.3])),
    ],
)


class GridWorld(nn.Module):
    """Rollout with a table policy: clipping, walls, terminal."""

    def __init__(self):
        super().__init__()
        self.register_buffer("moves", torch.tensor([[0, 1], [1, 0], [0, -1], [-1, 0]]))

    def forward(self, walls: Tensor, policy: Tensor, start: Tensor, limit: int) -> Tuple[Tensor, bool]:
        h, w = walls.shape
        pos = start.clone()
        path = [pos]
        reached = False
        for _ in range(limit):
            a = int(policy[pos[0], pos[1]])
            nxt = pos + self.moves[a]
            nxt = torch.stack([nxt[0].clamp(0, h - 1), nxt[1].clamp(0, w - 1)])
            if walls[nxt[0], nxt[1]]:
                nxt = pos
            pos = nxt
            path.append(pos)
            if int(pos[0]) == h - 1 and int(pos[1]) == w - 1:
                reached = True
                break
        return torch.stack(path), reached


add(
    "grid_world",
    GridWorld,
    lambda: [
        (torch.zeros(3, 3) > 0, torch.tensor([[0, 0, 1], [0, 0, 1], [0, 0, 0]]), torch.tensor([0, 0]), 10),
        (torch.ones(2, 2) > 0, torch.zeros(2, 2, dtype=torch.long), torch.tensor([0, 0]), 3),
        (torch.zeros(1, 1) > 0, torch.zeros(1, 1, dtype=torch.long), torch.tensor([0, 0]), 0),
    ],
)


class RK45(nn.Module):
    """Adaptive step with rejection."""

    def __init__(self):
        super().__init__()
        self.f = nn.Linear(2, 2)

    def forward(self, y: Tensor, t1: float, tol: float = 1e-3) -> Tuple[Tensor, int, int]:
        t = 0.0
        h = 0.1
        acc, rej = 0, 0
        while t < t1 and acc + rej < 60:
            if t + h > t1:
                h = t1 - t
            k1 = torch.tanh(self.f(y))
            k2 = torch.tanh(self.f(y + h * k1))
            e = 0.5 * h * (k2 - k1)
            err = float(e.abs().max())
            if err <= tol:
                y = y + h * (k1 + k2) / 2
                t += h
                acc += 1
            else:
                rej += 1
            h *= min(2.0, max(0.2, 0.9 * math.sqrt(tol / max(err, 1e-12))))
        return y, acc, rej


add(
    "adaptive_heun",
    RK45,
    lambda: [
        (torch.randn(1, 2), 1.0, 1e-3),
        (torch.randn(2, 2), 0.05, 1e-2),
        (torch.randn(1, 2), 0.0, 1e-3),
        (torch.randn(1, 2), 0.4, 1e-2),
    ],
)


class ARIMAish(nn.Module):
    """Differencing, AR by recursion with a deque-like list, inverse differencing."""

    def __init__(self, p: int = 3):
        super().__init__()
        self.phi = nn.Parameter(torch.tensor([0.5, -0.2, 0.1]))
        self.p = p

    def forward(self, y: Tensor, steps: int, d: int) -> Tensor:
        heads: List[Tensor] = []
        z = y
        for _ in range(d):
            heads.append(z[-1])
            z = z[1:] - z[:-1]
        window = [v for v in z[-self.p :]]
        preds: List[Tensor] = []
        for _ in range(steps):
            acc = torch.zeros(())
            for k in range(self.p):
                acc = acc + self.phi[k] * window[len(window) - 1 - k]
            preds.append(acc)
            window.append(acc)
            window.pop(0)
        out = torch.stack(preds)
        while len(heads) > 0:
            out = heads.pop() + out.cumsum(0)
        return out


add("arima", ARIMAish, lambda: [(torch.randn(8), 3, 1), (torch.randn(5), 1, 2), (torch.randn(3), 4, 0)])


class DeepARSample(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTMCell(2, 4)
        self.mu = nn.Linear(4, 1)
        self.sigma = nn.Linear(4, 1)

    def forward(self, x: Tensor, cov: Tensor, eps: Tensor) -> Tensor:
        scale = x.abs().mean(1, keepdim=True) + 1.0
        h = torch.zeros(x.size(0), 4)
        c = torch.zeros(x.size(0), 4)
        for t in range(x.size(1)):
            h, c = self.rnn(torch.stack([x[:, t] / scale[:, 0], cov[:, t]], -1), (h, c))
        out = []
        prev = x[:, -1:] / scale
        for t in range(eps.size(1)):
            h, c = self.rnn(torch.cat([prev, cov[:, x.size(1) + t, None]], -1), (h, c))
            mu, sg = self.mu(h), F.softplus(self.sigma(h))
            prev = mu + sg * eps[:, t : t + 1]
            out.append(prev * scale)
        return torch.cat(out, 1)


add(
    "deepar",
    DeepARSample,
    lambda: [
        (torch.randn(2, 4), torch.randn(2, 7), torch.randn(2, 3)),
        (torch.randn(1, 1), torch.randn(1, 2), torch.randn(1, 1)),
        (torch.randn(3, 2), torch.randn(3, 8), torch.randn(3, 6)),
    ],
)


class EnergyVAD(nn.Module):
    """State machine: silence, onset, speech, hangover."""

    def __init__(self, frame: int = 4, thr: float = 0.5, onset: int = 2, hang: int = 2):
        super().__init__()
        self.frame, self.thr, self.onset, self.hang = frame, thr, onset, hang

    def forward(self, wav: Tensor) -> Tuple[Tensor, List[Tuple[int, int]]]:
        n = wav.size(0) // self.frame
        state = 0
        count = 0
        start = -1
        segments: List[Tuple[int, int]] = []
        states = torch.zeros(n, dtype=torch.uint8)
        for i in range(n):
            e = float(wav[i * self.frame : (i + 1) * self.frame].pow(2).mean())
            active = e > self.thr
            if state == 0:
                count = count + 1 if active else 0
                if count >= self.onset:
                    state, start, count = 1, i - self.onset + 1, 0
            elif state == 1:
                if not active:
                    count += 1
                    if count > self.hang:
                        segments.append((start, i - count + 1))
                        state, count = 0, 0
                else:
                    count = 0
            states[i] = state
        if state == 1:
            segments.append((start, n))
        return states, segments


class EnergyVADT(EnergyVAD):
    def forward(self, wav: Tensor) -> Tensor:
        n = wav.size(0) // self.frame
        state = 0
        count = 0
        states = torch.zeros(n, dtype=torch.uint8)
        bounds = []
        for i, fr in enumerate(wav[: n * self.frame].view(n, self.frame)):
            active = bool(fr.pow(2).mean() > self.thr)
            if state == 0:
                count = (count + 1) * int(active)
                if count >= self.onset:
                    state, count = 1, 0
                    bounds.append(i)
            elif not active:
                count += 1
                if count > self.hang:
                    bounds.append(i)
                    state, count = 0, 0
            else:
                count = 0
            states[i] = state
        return torch.cat([states.long(), torch.tensor(bounds, dtype=torch.long)])


add(
    "vad_states",
    EnergyVADT,
    lambda: [
        (torch.cat([torch.zeros(8), torch.ones(16), torch.zeros(16), torch.ones(9)]),),
        (torch.zeros(12),),
        (torch.ones(3),),
        (torch.ones(20),),
    ],
)


class CTCAlign(nn.Module):
    """Forced alignment with backtracking."""

    def forward(self, logp: Tensor, y: Tensor, blank: int = 0) -> Tensor:
        T = logp.size(0)
        L = 2 * y.numel() + 1
        yi = torch.full((L,), blank, dtype=torch.long)
        yi[1::2] = y
        la = torch.full((T, L), -float("inf"))
        path = torch.full((T, L), -1, dtype=torch.long)
        la[0, 0] = logp[0, yi[0]]
        if L > 1:
            la[0, 1] = logp[0, yi[1]]
        for t in range(1, T):
            for s in range(L):
                cands = [la[t - 1, s]]
                prev = [s]
                if s > 0:
                    cands.append(la[t - 1, s - 1])
                    prev.append(s - 1)
                if s > 1 and yi[s] != blank and yi[s] != yi[s - 2]:
                    cands.append(la[t - 1, s - 2])
                    prev.append(s - 2)
                c = torch.stack(cands)
                best = int(c.argmax())
                la[t, s] = c[best] + logp[t, yi[s]]
                path[t, s] = prev[best]
        seq = [0] * T
        s = L - 1
        if L > 1 and la[T - 1, L - 2] > la[T - 1, L - 1]:
            s = L - 2
        for t in range(T - 1, -1, -1):
            seq[t] = int(yi[s])
            s = int(path[t, s])
        return torch.tensor(seq)


add(
    "ctc_align",
    CTCAlign,
    lambda: [
        (torch.randn(6, 4).log_softmax(-1), torch.tensor([1, 2]), 0),
        (torch.randn(3, 4).log_softmax(-1), torch.tensor([3]), 0),
        (torch.randn(5, 4).log_softmax(-1), torch.tensor([2, 2]), 0),
        (torch.randn(2, 4).log_softmax(-1), torch.zeros(0, dtype=torch.long), 0),
    ],
)
