import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class StackMachine(nn.Module):
    """Shift-reduce over a tensor stack: codes below zero combine the two top rows, others push an embedding."""

    def __init__(self, d: int = 4, depth: int = 8):
        super().__init__()
        self.emb = nn.Embedding(6, d)
        self.combine = nn.Linear(2 * d, d)
        self.depth = depth

    def forward(self, program: Tensor) -> Tensor:
        stack = torch.zeros(self.depth, self.emb.weight.size(1))
        top = 0
        for i in range(program.size(0)):
            code = int(program[i])
            if code < 0:
                if top < 2:
                    raise RuntimeError(f"the stack has {top} items at instruction {i}")
                joined = torch.cat([stack[top - 2], stack[top - 1]])
                stack[top - 2] = torch.tanh(self.combine(joined))
                top -= 1
            else:
                stack[top] = self.emb(program[i])
                top += 1
        return stack[:top]


add(
    "stack_machine",
    StackMachine,
    lambda: [
        (torch.tensor([1, 2, -1, 3, -1]),),
        (torch.tensor([5]),),
        (torch.tensor([1, -1]),),
        (torch.tensor([0, 1, 2, 3, -1, -1, 4]),),
    ],
)


class TreeSum(nn.Module):
    """Bottom-up over a tree that is given by parent numbers."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(3, 3)

    def forward(self, leaves: Tensor, parent: Tensor) -> Tuple[Tensor, Tensor]:
        value = leaves.clone()
        depth = torch.zeros(parent.size(0), dtype=torch.long)
        for k in range(parent.size(0)):
            i = parent.size(0) - 1 - k
            p = int(parent[i])
            if p >= 0:
                value[p] += torch.tanh(self.up(value[i]))
        for i in range(parent.size(0)):
            p = int(parent[i])
            while p >= 0:
                depth[i] += 1
                p = int(parent[p])
        return value, depth


add(
    "tree_sum",
    TreeSum,
    lambda: [
        (torch.randn(5, 3), torch.tensor([-1, 0, 0, 1, 1])),
        (torch.randn(1, 3), torch.tensor([-1])),
        (torch.randn(6, 3), torch.tensor([-1, 0, 1, 2, 3, 4])),
        (torch.randn(3, 3), torch.tensor([-1, -1, 1])),
    ],
)


def brackets(codes: Tensor) -> Tuple[bool, int]:
    """Whether brackets match (1 opens, 2 closes one; 3 opens, 4 closes another), and how deep they go."""
    stack: List[int] = []
    deepest = 0
    for i in range(codes.numel()):
        c = int(codes[i])
        if c == 1 or c == 3:
            stack.append(c)
            deepest = max(deepest, len(stack))
        elif c == 2 or c == 4:
            if len(stack) == 0 or stack.pop() != c - 1:
                return False, deepest
    return len(stack) == 0, deepest


add(
    "brackets",
    brackets,
    lambda: [
        (torch.tensor([1, 3, 4, 2, 0, 1, 2]),),
        (torch.tensor([1, 3, 2, 4]),),
        (torch.tensor([2]),),
        (torch.tensor([1, 1, 1]),),
        (torch.zeros(0, dtype=torch.long),),
    ],
)


class MixtureOfExperts(nn.Module):
    """Two of four experts per row, with a capacity per expert."""

    def __init__(self, d: int = 4, experts: int = 4):
        super().__init__()
        self.gate = nn.Linear(d, experts)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(d, d), nn.ReLU()) for _ in range(experts)])

    def forward(self, x: Tensor, capacity: int) -> Tuple[Tensor, Tensor]:
        weights, chosen = torch.softmax(self.gate(x), dim=-1).topk(2, dim=-1)
        out = torch.zeros_like(x)
        load = torch.zeros(len(self.experts), dtype=torch.long)
        for e, expert in enumerate(self.experts):
            hit = torch.nonzero(chosen == e)
            if hit.size(0) > capacity:
                hit = hit[:capacity]
            load[e] = hit.size(0)
            if hit.size(0) == 0:
                continue
            rows, slots = hit[:, 0], hit[:, 1]
            out.index_add_(0, rows, expert(x[rows]) * weights[rows, slots].unsqueeze(1))
        return out, load


add(
    "mixture_of_experts",
    MixtureOfExperts,
    lambda: [(torch.randn(6, 4), 3), (torch.randn(1, 4), 1), (torch.ones(5, 4), 2), (torch.randn(12, 4), 0)],
)


class HardRouting(nn.Module):
    """Each row goes to one branch by its norm; the branches have other depths."""

    def __init__(self):
        super().__init__()
        self.shallow = nn.Linear(3, 3)
        self.deep = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        easy = x.pow(2).sum(dim=1) < 2.0
        if bool(easy.all()):
            return self.shallow(x)
        if not bool(easy.any()):
            return self.deep(x)
        out = torch.empty_like(x)
        out[easy] = self.shallow(x[easy])
        out[~easy] = self.deep(x[~easy])
        return out


add("hard_routing", HardRouting, lambda: [(torch.randn(6, 3) * 1.2,), (torch.zeros(2, 3),), (torch.ones(3, 3) * 4,)])


class AdaptiveComputation(nn.Module):
    """Ponder until the halting probability of every row is spent."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 3)
        self.halt = nn.Linear(3, 1)

    def forward(self, x: Tensor, limit: int = 8) -> Tuple[Tensor, Tensor]:
        h = torch.zeros_like(x)
        spent = torch.zeros(x.size(0))
        out = torch.zeros_like(x)
        steps = torch.zeros(x.size(0))
        n = 0
        while bool((spent < 1.0).any()) and n < limit:
            h = self.cell(x, h)
            p = torch.sigmoid(self.halt(h)).squeeze(1)
            running = spent < 1.0
            last = running & (spent + p >= 1.0)
            p = torch.where(last, 1.0 - spent, p) * running.float()
            spent = spent + p
            steps += running.float()
            out = out + p.unsqueeze(1) * h
            n += 1
        return out, steps


add(
    "adaptive_computation",
    AdaptiveComputation,
    lambda: [(torch.randn(4, 3),), (torch.randn(1, 3) * 20,), (torch.zeros(2, 3),)],
)


class FiniteStates(nn.Module):
    """A state machine by a table, with the events that it refuses counted."""

    def __init__(self):
        super().__init__()
        self.table: Dict[int, int] = {0: 1, 1: 2, 2: 0}
        self.register_buffer("next", torch.tensor([[1, -1], [2, 0], [-1, 0]]))

    def forward(self, events: Tensor, state: int) -> Tuple[int, int, Tensor]:
        refused = 0
        visits = torch.zeros(3, dtype=torch.int32)
        for e in events:
            to = int(self.next[state, int(e)])
            if to < 0:
                refused += 1
                continue
            state = to
            visits[state] += 1
        return state, refused, visits


add(
    "finite_states",
    FiniteStates,
    lambda: [
        (torch.tensor([0, 0, 1, 1, 0]), 0),
        (torch.zeros(0, dtype=torch.long), 2),
        (torch.tensor([1, 1, 1]), 1),
        (torch.tensor([0, 1] * 5), 2),
    ],
)


class Gated(nn.Module):
    """Layers that a tensor of flags switches on; a skip is an identity, all off is an error."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor, on: Tensor) -> Tensor:
        assert bool(on.any()), "no layer is on"
        for i, layer in enumerate(self.layers):
            if on[i]:
                x = F.relu(layer(x)) + x
            elif i == 1:
                x = x * 0.5
        return self.norm(x)


add(
    "gated_layers",
    Gated,
    lambda: [
        (torch.randn(2, 4), torch.tensor([True, False, True])),
        (torch.randn(3, 4), torch.tensor([False, True, False])),
        (torch.randn(1, 4), torch.tensor([False, False, False])),
        (torch.randn(5, 4), torch.tensor([True, True, True])),
    ],
)


class LeastRecentlyUsed(nn.Module):
    """A cache of row sums by key: a dict of data."""

    def __init__(self):
        super().__init__()
        self.size = 2

    def forward(self, keys: Tensor, rows: Tensor) -> Tuple[int, Tensor]:
        cache: Dict[int, Tensor] = {}
        order: List[int] = []
        hits = 0
        total = torch.zeros(rows.size(1))
        for i in range(keys.size(0)):
            k = int(keys[i])
            if k in cache:
                hits += 1
                order.remove(k)
            else:
                if len(order) == self.size:
                    oldest = order.pop(0)
                    del cache[oldest]
                cache[k] = rows[k] * 2
            order.append(k)
            total = total + cache[k]
        return hits, total


add(
    "least_recently_used",
    LeastRecentlyUsed,
    lambda: [
        (torch.tensor([0, 1, 0, 2, 1]), torch.randn(3, 2)),
        (torch.tensor([1, 1, 1]), torch.randn(2, 4)),
        (torch.zeros(0, dtype=torch.long), torch.randn(1, 2)),
    ],
)


class Config(NamedTuple):
    scale: float
    layers: int
    clip: Optional[float]


class Configured(nn.Module):
    """Settings as a named tuple on the module, some of them None."""

    def __init__(self):
        super().__init__()
        self.config = Config(0.5, 2, None)
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor, mask: Optional[Tensor] = None) -> Tensor:
        for _ in range(self.config.layers):
            x = self.fc(x) * self.config.scale
            if mask is not None:
                x = x.masked_fill(mask, 0.0)
            clip = self.config.clip
            if clip is not None:
                x = x.clamp(max=clip)
        return x


add(
    "configured",
    Configured,
    lambda: [
        (torch.randn(2, 3), torch.tensor([[True, False, False]])),
        (torch.randn(4, 3), torch.zeros(4, 3, dtype=torch.bool)),
    ],
)
