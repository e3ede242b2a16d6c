"""Traces where submodules are not used, give back what they get, or are called twice."""

import torch


class Same(torch.nn.Module):
    def forward(self, x):
        return x


class Twice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.lin(self.lin(x))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.never = torch.nn.Linear(7, 7)
        self.same = Same()
        self.twice = Twice()
        self.ignored = torch.nn.Linear(3, 2)

    def forward(self, x):
        self.ignored(x)
        y = self.same(x)
        return self.twice(y)


class Deep(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()
        self.same = Same()

    def forward(self, x, flag):
        return self.same(self.net(x)), x


def subjects():
    torch.manual_seed(6)
    x = torch.rand(2, 3)
    yield "net", torch.jit.trace(Net(), (x,)), [(x,), (-x,)]
    yield "deep", torch.jit.trace(Deep(), (x, x)), [(x, x)]
