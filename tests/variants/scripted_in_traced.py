"""A traced module around scripted ones, whose control flow it keeps."""

import torch


class Gate(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x


@torch.jit.script
def choose(x, y):
    if x.max() > y.max():
        r = x
    else:
        r = y
    return r


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = torch.jit.script(Gate())
        self.inp = torch.nn.Linear(4, 2)
        self.out = torch.nn.Linear(2, 3)

    def forward(self, x):
        hidden = self.gate(self.inp(x))
        return choose(self.out(hidden), self.out(-hidden))


class Shell(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return torch.relu(self.net(x)), self.net(x).sum()


def subjects():
    torch.manual_seed(17)
    net = Net()
    inputs = [(torch.randn(2, 4),) for _ in range(3)] + [(torch.randn(5, 4),)]
    yield "traced", torch.jit.trace(net, (torch.ones(2, 4),)), inputs
    yield "shell", torch.jit.trace(Shell(net), (torch.ones(2, 4),)), inputs
