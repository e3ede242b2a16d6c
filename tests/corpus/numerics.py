import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


def bisect(low: float, high: float, target: Tensor) -> Tuple[float, int]:
    """Where x³ + x reaches the target."""
    steps = 0
    goal = float(target)
    while high - low > 1e-6 and steps < 60:
        middle = (low + high) / 2
        if middle**3 + middle > goal:
            high = middle
        else:
            low = middle
        steps += 1
    return (low + high) / 2, steps


add(
    "bisection",
    bisect,
    lambda: [(-2.0, 2.0, torch.tensor(1.0)), (0.0, 0.0, torch.tensor(5.0)), (-100.0, 3.0, torch.tensor(-7.5))],
)


class RungeKutta(nn.Module):
    """Adaptive step size: halve on a large error, grow on a small one."""

    def __init__(self):
        super().__init__()
        self.field = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def slope(self, y: Tensor) -> Tensor:
        return self.field(y) - 0.5 * y

    def rk4(self, y: Tensor, h: float) -> Tensor:
        k1 = self.slope(y)
        k2 = self.slope(y + h / 2 * k1)
        k3 = self.slope(y + h / 2 * k2)
        k4 = self.slope(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def forward(self, y: Tensor, end: float) -> Tuple[Tensor, int]:
        t, h, taken = 0.0, 0.5, 0
        while t < end - 1e-9 and taken < 200:
            h = min(h, end - t)
            big = self.rk4(y, h)
            small = self.rk4(self.rk4(y, h / 2), h / 2)
            error = float((big - small).abs().max())
            if error > 1e-4 and h > 0.01:
                h = h / 2
                continue
            y, t = small, t + h
            taken += 1
            if error < 1e-5:
                h = h * 2
        return y, taken


add(
    "runge_kutta",
    RungeKutta,
    lambda: [(torch.tensor([1.0, 0.0]), 2.0), (torch.randn(2) * 30, 1.0), (torch.zeros(2), 0.0), (torch.randn(2), 9.5)],
)


class ConjugateGradient(nn.Module):
    """Solve A x = b for a positive definite A, until the residual is small."""

    def forward(self, a: Tensor, b: Tensor, tolerance: float = 1e-5) -> Tuple[Tensor, Tensor]:
        a = a @ a.t() + torch.eye(a.size(0))
        x = torch.zeros_like(b)
        r = b - a @ x
        p = r.clone()
        rs = r @ r
        k = torch.tensor(0)
        for _ in range(2 * b.size(0)):
            if rs.sqrt() < tolerance:
                break
            ap = a @ p
            alpha = rs / (p @ ap)
            x = x + alpha * p
            r = r - alpha * ap
            new = r @ r
            p = r + new / rs * p
            rs = new
            k += 1
        return x, rs < 1e-3


add(
    "conjugate_gradient",
    ConjugateGradient,
    lambda: [(torch.randn(3, 3), torch.randn(3)), (torch.eye(5), torch.zeros(5)), (torch.randn(8, 8), torch.randn(8))],
)


class KMeans(nn.Module):
    """Lloyd's iterations; an empty cluster takes the farthest point."""

    def forward(self, points: Tensor, centres: Tensor) -> Tuple[Tensor, Tensor, int]:
        assign = torch.zeros(points.size(0), dtype=torch.long)
        iteration = 0
        moved = True
        while moved and iteration < 20:
            distance = torch.cdist(points, centres)
            assign = distance.argmin(dim=1)
            new = torch.zeros_like(centres)
            for k in range(centres.size(0)):
                mine = points[assign == k]
                if mine.size(0) == 0:
                    new[k] = points[distance.min(dim=1)[0].argmax()]
                else:
                    new[k] = mine.mean(dim=0)
            moved = bool((new - centres).abs().max() > 1e-4)
            centres = new
            iteration += 1
        return centres, assign, iteration


add(
    "kmeans",
    KMeans,
    lambda: [
        (torch.randn(12, 2), torch.randn(3, 2)),
        (torch.randn(4, 2), torch.randn(4, 2) + 50),
        (torch.randn(30, 3), torch.zeros(1, 3)),
    ],
)


class Sinkhorn(nn.Module):
    """Balance a matrix in log space until its columns sum to one."""

    def forward(self, scores: Tensor) -> Tuple[Tensor, int]:
        log = torch.log_softmax(scores, dim=1)
        n = 0
        while n < 50:
            log = log - log.logsumexp(dim=0, keepdim=True)
            log = log - log.logsumexp(dim=1, keepdim=True)
            n += 1
            if (log.exp().sum(dim=0) - 1.0).abs().max() < 1e-3:
                return log.exp(), n
        return log.exp(), -1


add("sinkhorn", Sinkhorn, lambda: [(torch.randn(4, 4),), (torch.zeros(2, 2),), (torch.randn(6, 6) * 12,)])


class PowerIteration(nn.Module):
    """The largest eigenvalue, with a stopping rule; raises where the matrix is not square."""

    def forward(self, a: Tensor) -> Tuple[Tensor, Tensor]:
        if a.size(0) != a.size(1):
            raise ValueError(f"a matrix of {a.size(0)} by {a.size(1)} is not square")
        v = torch.ones(a.size(0)) / a.size(0) ** 0.5
        value = torch.zeros(())
        for i in range(100):
            w = a @ v
            norm = w.norm()
            if norm < 1e-12:
                return torch.zeros(()), v
            v = w / norm
            new = v @ a @ v
            if (new - value).abs() < 1e-6 * new.abs():
                return new, v
            value = new
        return value, v


add(
    "power_iteration",
    PowerIteration,
    lambda: [
        (torch.tensor([[2.0, 1.0], [1.0, 3.0]]),),
        (torch.zeros(3, 3),),
        (torch.randn(3, 4),),
        (torch.diag(torch.tensor([5.0, 1.0, 0.5, 0.1])),),
    ],
)


class LineSearch(nn.Module):
    """Gradient descent on a quadratic with backtracking."""

    def __init__(self):
        super().__init__()
        self.register_buffer("a", torch.tensor([[3.0, 0.5], [0.5, 1.0]]))

    def value(self, x: Tensor) -> Tensor:
        return 0.5 * x @ self.a @ x - x.sum()

    def forward(self, x: Tensor) -> Tuple[Tensor, List[float]]:
        history: List[float] = []
        for _ in range(10):
            g = self.a @ x - 1.0
            if g.norm() < 1e-4:
                break
            step = 1.0
            while self.value(x - step * g) > self.value(x) - 0.3 * step * g.dot(g) and step > 1e-6:
                step *= 0.5
            x = x - step * g
            history.append(step)
        return x, history


add(
    "line_search",
    LineSearch,
    lambda: [(torch.tensor([2.0, 2.0]),), (torch.tensor([0.18181818, 0.90909094]),), (torch.tensor([-50.0, 9.0]),)],
)


def collatz(n: int) -> Tuple[int, int]:
    """Steps until one, and the largest value on the way."""
    steps, top = 0, n
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        if n > top:
            top = n
        steps += 1
    return steps, top


add("collatz", collatz, lambda: [(6,), (1,), (27,), (64,)])


class Scheduler(nn.Module):
    """Warm-up, cosine, and a floor, by step numbers of a tensor."""

    def __init__(self):
        super().__init__()
        self.warmup, self.total, self.floor = 4, 20, 0.05

    def forward(self, steps: Tensor) -> Tensor:
        rates: List[float] = []
        for i in range(steps.size(0)):
            s = int(steps[i])
            if s < 0:
                raise ValueError(f"step {s} is negative")
            if s < self.warmup:
                rate = (s + 1) / self.warmup
            elif s >= self.total:
                rate = self.floor
            else:
                part = (s - self.warmup) / (self.total - self.warmup)
                rate = max(self.floor, 0.5 * (1 + float(torch.cos(torch.tensor(part * 3.14159265)))))
            rates.append(rate)
        return torch.tensor(rates)


add(
    "scheduler",
    Scheduler,
    lambda: [
        (torch.tensor([0, 3, 4, 12, 19, 25]),),
        (torch.tensor([2]),),
        (torch.tensor([5, -1, 7]),),
        (torch.arange(21),),
    ],
)
