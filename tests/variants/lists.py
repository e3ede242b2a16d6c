"""Lists: literals, append, index, slice, length, stack, annotations, of tensors and of numbers."""

from typing import List

import torch


class Collect(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.Linear(3, 3)

    def forward(self, xs):
        outputs = []
        h = torch.zeros(2, 3)
        for i in range(xs.size(0)):
            h = torch.tanh(self.cell(xs[i]) + h)
            outputs.append(h)
        return torch.stack(outputs), len(outputs)


@torch.jit.script
def numbers(n: int) -> List[int]:
    squares: List[int] = []
    for i in range(n):
        squares.append(i * i)
    squares[0] = -1
    return squares + [n, n + 1]


@torch.jit.script
def windows(values: List[float], size: int):
    best = 0.0
    for i in range(len(values) - size + 1):
        window = values[i:i + size]
        total = 0.0
        for v in window:
            total += v
        if total > best:
            best = total
    return best, values[-1], size in [1, 2, 4]


@torch.jit.script
def chosen(xs: List[torch.Tensor], which: List[int]):
    result = [xs[0]]
    for k in which:
        result += [xs[k] * k]
    return torch.cat(result, 0)


def subjects():
    torch.manual_seed(13)
    yield "collect", torch.jit.script(Collect()), [(torch.rand(n, 2, 3),) for n in (1, 3, 10)]
    yield "numbers", numbers, [(1,), (5,)]
    yield "windows", windows, [([1.0, 2.0, 3.0, -1.0], 2), ([0.5], 3)]
    xs = [torch.ones(2), torch.zeros(1), torch.full((3,), 2.0)]
    yield "chosen", chosen, [(xs, []), (xs, [2, 0, 1, 2])]
