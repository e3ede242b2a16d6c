import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class ComprehensionIf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        rows = [x[i] for i in range(x.size(0)) if x[i].sum() > 0]
        if len(rows) == 0:
            return torch.zeros(x.size(1))
        return sum(rows) / len(rows)


add(
    "py_comprehension_if",
    ComprehensionIf,
    lambda: [(torch.tensor([[1.0, 2.0], [-3.0, 1.0], [4.0, 0.0]]),), (-torch.ones(3, 2),), (torch.randn(6, 2),)],
)


class NoneInit(nn.Module):
    """`best = None` then refined in a loop, no annotation."""

    def forward(self, x: Tensor):
        best = None
        for i in range(x.size(0)):
            row = x[i]
            if best is None or row.sum() > best.sum():
                best = row
        return best


add(
    "py_none_init_loop",
    NoneInit,
    lambda: [(torch.randn(4, 3),), (torch.randn(4, 3),), (torch.randn(9, 3),), (torch.randn(1, 3),)],
)


class BaseBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.fc(x)
        return x


class SuperForward(BaseBlock):
    def forward(self, x: Tensor, *extras: Tensor, scale: float = 2.0) -> Tensor:
        y = super().forward(x)
        for e in extras:
            y = y + e * scale
        return y


add(
    "py_super_varargs",
    SuperForward,
    lambda: [
        (torch.ones(2, 4), torch.randn(2, 4), torch.randn(2, 4)),
        (-torch.ones(2, 4), torch.randn(2, 4), torch.randn(2, 4)),
        (torch.randn(2, 4), torch.randn(2, 4), torch.randn(2, 4)),
    ],
)


class IterateTensor(nn.Module):
    """`for row in x`, `zip`, tuple swap, augmented ops, while/else."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        a = torch.zeros(x.size(1))
        b = torch.ones(x.size(1))
        for row, s in zip(x, w):
            a, b = b, a + row * s
        k = 0
        while k < 5:
            if b.sum() > 10:
                break
            b = b * 2 + 1
            k += 1
        else:
            b = -b
        return a + b


add(
    "py_iter_tensor_while_else",
    IterateTensor,
    lambda: [
        (torch.randn(3, 2), torch.randn(3)),
        (torch.randn(6, 2), torch.ones(6)),
        (torch.full((3, 2), -99.0), torch.ones(3)),
        (torch.randn(1, 2), torch.randn(1)),
    ],
)
