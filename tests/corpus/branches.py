import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


def seeded(seed: int, *shape: int):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class MyDecisionGate(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x


add("decision_gate", MyDecisionGate, lambda: [(torch.rand(3, 4),), (-torch.rand(3, 4),), (torch.randn(7, 2),)])


class EarlyReturn(nn.Module):
    """Guard clauses, several returns."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.abs().max() < 1e-3:
            return torch.zeros_like(x)
        y = self.fc(x)
        if y.mean() > 0.5:
            return y.clamp(max=1.0)
        y = y * 2
        if y.sum() < 0:
            return y.abs()
        return torch.sigmoid(y)


add(
    "early_return",
    EarlyReturn,
    lambda: [
        (torch.randn(2, 4),),
        (torch.zeros(2, 4),),
        (torch.full((2, 4), 30.0),),
        (torch.full((2, 4), -30.0),),
        (torch.randn(2, 4) * 5,),
    ],
)


class ShapeBranch(nn.Module):
    """Branch on a shape: short sequences go another way."""

    def __init__(self):
        super().__init__()
        self.short = nn.Linear(8, 8)
        self.long = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 6:
            pooled = x.view(-1, 8).mean(dim=0)
            return self.long(pooled)
        pooled, _ = x.max(dim=0)
        return self.short(pooled)


add(
    "shape_branch",
    ShapeBranch,
    lambda: [(torch.randn(10, 8),), (torch.randn(5, 8),), (torch.randn(1, 8),), (torch.randn(7, 8),)],
)


class EarlyExitClassifier(nn.Module):
    """Stop at the first confident head (BranchyNet)."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(16, 16), nn.ReLU()) for _ in range(4)])
        self.heads = nn.ModuleList([nn.Linear(16, 5) for _ in range(4)])
        self.threshold = 0.6

    def forward(self, x: Tensor) -> Tuple[Tensor, int]:
        logits = torch.zeros(x.size(0), 5)
        depth = 0
        for block, head in zip(self.blocks, self.heads):
            x = block(x)
            logits = head(x)
            depth += 1
            if torch.softmax(logits, dim=-1).max() > self.threshold:
                return logits, depth
        return logits, depth


add(
    "early_exit_classifier",
    EarlyExitClassifier,
    lambda: [(seeded(0, 1, 16) * 3,), (seeded(1, 1, 16) * 9,), (seeded(4, 1, 16) * 12,), (torch.zeros(1, 16),)],
)
