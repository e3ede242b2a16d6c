"""Augmented assignment: of numbers, of lists, of tensors (which change in place)."""

from typing import List

import torch


@torch.jit.script
def counters(n: int):
    a = 10
    b = 2.0
    for i in range(n):
        a += i
        a -= 1
        a *= 2
        b /= 4
        b += a
    return a, b


@torch.jit.script
def in_place(x):
    y = x.clone()
    y += 1
    y *= x
    y -= x.sum()
    y /= 2
    return y


@torch.jit.script
def elements(values: List[int], k: int):
    total: List[int] = []
    values[k] += 5
    total += values
    total += [k]
    return total


class Sum(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(2, 2)

    def forward(self, xs):
        total = torch.zeros(2)
        count = 0
        for i in range(xs.size(0)):
            total = total + self.lin(xs[i])
            count += 1
        if count > 1:
            total = total / count
        return total


def subjects():
    torch.manual_seed(14)
    x = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    yield "counters", counters, [(0,), (3,)]
    yield "in_place", in_place, [(x,), (x[0],)]
    yield "elements", elements, [([1, 2, 3], 0), ([1, 2, 3], -1)]
    yield "sum", torch.jit.script(Sum()), [(x,), (x[:1],), (x[:0],)]
