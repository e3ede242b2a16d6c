"""Sizes in traces stay symbolic: recorded, computed with, and passed on."""

import torch


class Flatten(torch.nn.Module):
    def forward(self, x):
        return x.view(x.size(0), x.size(1) * x.size(2))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = Flatten()
        self.lin = torch.nn.Linear(6, 2)

    def forward(self, x):
        y = self.lin(self.flatten(x))
        pad = torch.zeros(x.shape[0], 1)
        return torch.cat([y, pad], dim=1) / x.size(0)


def reshaped(x):
    n = x.shape[0] // 2
    return x.reshape(n, -1) + n, x.transpose(0, 1)


def subjects():
    torch.manual_seed(8)
    yield "net", torch.jit.trace(Net(), (torch.rand(4, 2, 3),)), [(torch.rand(n, 2, 3),) for n in (4, 1, 9)]
    yield "reshaped", torch.jit.trace(reshaped, (torch.rand(4, 3),)), [(torch.rand(4, 3),), (torch.rand(6, 5),)]
