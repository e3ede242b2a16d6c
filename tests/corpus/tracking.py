"""Tracking, planning, filtering and matching; images changed by what was drawn."""

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
