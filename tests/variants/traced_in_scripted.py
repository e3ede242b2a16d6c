"""A scripted module that loops over traced ones."""

import torch


class Cell(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = torch.nn.Linear(width, width)

    def forward(self, x, state):
        new_state = torch.tanh(self.linear(x) - state)
        return new_state * 2, new_state


class Run(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.jit.trace(Cell(6), (torch.rand(2, 6), torch.rand(2, 6)))

    def forward(self, xs):
        state = torch.zeros(2, 6)
        last = state
        for i in range(xs.size(0)):
            last, state = self.cell(xs[i], state)
            if state.sum() > 1:
                state = state * 0.1
        return last, state


def double(x):
    return x + x


class Calls(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.double = torch.jit.trace(double, (torch.rand(3),))

    def forward(self, x):
        if x.sum() > 0:
            x = self.double(x)
        return x


def subjects():
    torch.manual_seed(31)
    model = torch.jit.script(Run())
    yield "scripted", model, [(torch.rand(n, 2, 6) * 4,) for n in (0, 1, 7)]
    yield "calls", torch.jit.script(Calls()), [(torch.ones(3),), (-torch.ones(3),)]
