"""Methods that call methods, exported ones, and attributes that are read on the way."""

import torch


class Steps(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(3, 3)
        self.gain = 0.5
        self.depth = 2

    def activate(self, x):
        return torch.tanh(x) * self.gain

    def step(self, x, times: int):
        for _ in range(times):
            x = self.activate(self.lin(x))
        return x

    @torch.jit.export
    def describe(self, x):
        return x.dim(), self.depth

    def forward(self, x):
        y = self.step(x, self.depth)
        if y.sum() > 0:
            y = self.step(y, 1)
        return y, self.describe(y)[0]


class Holder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = Steps()

    def forward(self, x):
        return self.steps.activate(x) + self.steps(x)[0] + self.steps.lin.weight.sum()


def subjects():
    torch.manual_seed(4)
    x = torch.randn(2, 3)
    yield "steps", torch.jit.script(Steps()), [(x,), (-x,), (x * 10,)], ("describe", "step", "activate")
    yield "holder", torch.jit.script(Holder()), [(x,), (-x,)]
