"""Tuples: several outputs, nested ones, unpacking, indexing, as arguments and carried by loops."""

from typing import Tuple

import torch


class Parts(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(3, 2)

    def forward(self, pair: Tuple[torch.Tensor, torch.Tensor]):
        a, b = pair
        y = self.lin(a)
        stats = (y.sum(), y.mean())
        return y, stats, (b, (y, 3))


class Uses(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = Parts()

    def forward(self, a, b):
        y, (total, mean), rest = self.parts((a, b))
        if total > mean:
            best = (y, rest[0])
        else:
            best = (-y, b + 1)
        return best[0] + best[1].sum(), rest[1][1]


@torch.jit.script
def fibonacci(n: int):
    pair = (0, 1)
    for i in range(n):
        pair = (pair[1], pair[0] + pair[1])
    return pair


@torch.jit.script
def swap(x, y):
    x, y = y, x
    (x, y), z = (y, x + y), y
    return x, y, z


def subjects():
    torch.manual_seed(9)
    a, b = torch.rand(4, 3), torch.rand(4, 2)
    yield "parts", torch.jit.script(Parts()), [((a, b),)]
    yield "uses", torch.jit.script(Uses()), [(a, b), (-a * 9, b)]
    yield "fibonacci", fibonacci, [(0,), (1,), (10,)]
    yield "swap", swap, [(torch.tensor(1.0), torch.tensor(2.0))]
