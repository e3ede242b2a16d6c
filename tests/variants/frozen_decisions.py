"""What a trace freezes, each with a warning at its line: branches, numbers, loops."""

import torch


class Decides(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = -x
        while y.max() > 8:
            y = y / 2
        return y


def converts(x):
    scale = float(x[0])
    count = int(x[1])
    return x * scale + count


def iterates(x):
    total = torch.zeros(2)
    for row in x:
        total = total + row
    return total * len(x)


def subjects():
    x = torch.tensor([[3.0, 20.0], [1.0, 2.0]])
    yield "decides", torch.jit.trace(Decides(), (x,)), [(x,), (x * 3,)]
    yield "converts", torch.jit.trace(converts, (x[0],)), [(x[0],), (x[1],)]
    yield "iterates", torch.jit.trace(iterates, (x,)), [(x,), (-x,)]
