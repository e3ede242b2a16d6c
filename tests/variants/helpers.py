"""Functions that call functions, which are compiled too; keyword arguments and defaults."""

import torch


def scale(x, factor: float = 2.0):
    return x * factor


def shifted(x, by: int):
    if by > 0:
        return scale(x, factor=0.5) + by
    return scale(x)


@torch.jit.script
def clamp01(x):
    return torch.clamp(x, 0, 1)


class Uses(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(2, 2)

    def forward(self, x, n: int):
        y = shifted(self.lin(x), by=n)
        for i in range(n):
            y = shifted(y, i)
        return clamp01(y) + scale(x)


@torch.jit.script
def top(x, n: int):
    return shifted(x, n) - shifted(x, by=-n), clamp01(x)


def subjects():
    torch.manual_seed(2)
    x = torch.randn(3, 2)
    yield "uses", torch.jit.script(Uses()), [(x, 0), (x, 1), (x, 3)]
    yield "top", top, [(x, 1), (x, -1)]
