"""The tutorial's chain once more with other parts: traced cell, scripted loop, traced shell, on sequences of several lengths."""

import torch


class Switch(torch.nn.Module):
    def forward(self, x):
        if x.mean() > 0.1:
            y = x - 0.1
        else:
            y = x * x
        return y


class Pair(torch.nn.Module):
    def __init__(self, switch):
        super().__init__()
        self.switch = switch
        self.left = torch.nn.Linear(2, 3)
        self.right = torch.nn.Linear(3, 3)

    def forward(self, x, memory):
        left = torch.sigmoid(self.left(x))
        right = self.switch(self.right(memory))
        return left * right, torch.tanh(left + right)


class Loop(torch.nn.Module):
    def __init__(self, switch):
        super().__init__()
        self.pair = torch.jit.trace(Pair(switch), (torch.rand(4, 2), torch.rand(4, 3)))

    def forward(self, xs):
        memory, out = torch.ones(4, 3), torch.zeros(4, 3)
        for t in range(xs.size(0)):
            out, memory = self.pair(xs[t], memory)
        return out, memory


class Shell(torch.nn.Module):
    def __init__(self, switch):
        super().__init__()
        self.loop = torch.jit.script(Loop(switch))
        self.head = torch.nn.Linear(3, 1)

    def forward(self, xs):
        out, memory = self.loop(xs)
        return self.head(out + memory).relu()


def subjects():
    torch.manual_seed(2024)
    switch = torch.jit.script(Switch())
    yield "switch", switch, [(torch.ones(2),), (-torch.ones(2),)]
    yield "loop", torch.jit.script(Loop(switch)), [(torch.rand(n, 4, 2),) for n in (0, 1, 5)]
    yield "shell", torch.jit.trace(Shell(switch), (torch.rand(3, 4, 2),)), [(torch.rand(n, 4, 2),) for n in (0, 1, 10, 23)]
