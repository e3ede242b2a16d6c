"""Branches in branches: names defined in some, changed in others, and tensors of several types."""

import torch


class Nest(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(2, 2)
        self.b = torch.nn.Linear(2, 2)

    def forward(self, x, deep: bool):
        y = x
        tag = 0
        if deep:
            if x.sum() > 0:
                y = self.a(x)
                if y.sum() > 0:
                    y = y * 2
                    tag = 1
                else:
                    tag = 2
            else:
                y = self.b(x)
                tag = 3
        else:
            if x.max() > 1:
                tag = 4
        return y + tag, tag


@torch.jit.script
def quadrant(x: float, y: float) -> str:
    if x > 0:
        if y > 0:
            name = "north-east"
        else:
            name = "south-east"
    else:
        if y > 0:
            name = "north-west"
        else:
            name = "south-west"
    return name


def subjects():
    torch.manual_seed(1)
    x = torch.tensor([[0.5, 2.0]])
    inputs = [(s * x, deep) for s in (1, -1, 0.1, 5) for deep in (True, False)]
    yield "nest", torch.jit.script(Nest()), inputs
    yield "quadrant", quadrant, [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)]
