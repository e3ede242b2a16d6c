"""Modules that the ONNX tests export: the tutorial's cell, and one for each way that a program meets ONNX."""

import bridge as torch


class Gate(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x


class Cell(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dg = Gate()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x, h):
        new_h = torch.tanh(self.dg(self.linear(x)) + h)
        return new_h, new_h


class Loop(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell()

    def forward(self, xs):
        h, y = torch.zeros(3, 4), torch.zeros(3, 4)
        for i in range(xs.size(0)):
            y, h = self.cell(xs[i], h)
        return y, h


class Collect(torch.nn.Module):
    """A list that every iteration appends to."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(4))

    def forward(self, xs):
        out = []
        h = torch.zeros(4)
        for i in range(xs.size(0)):
            h = torch.tanh(h + xs[i] * self.scale)
            out.append(h)
        return torch.stack(out), h


class Static(torch.nn.Module):
    """A branch that is decided by whether an argument is given, one by the training flag."""

    def forward(self, x, bias: torch.Tensor | None = None):
        if bias is not None:
            x = x + bias
        if self.training:
            x = x * 2
        return x


class Twice(torch.nn.Module):
    """One submodule called with tensors of two element types."""

    def __init__(self):
        super().__init__()
        self.gate = Gate()

    def forward(self, x, n):
        return self.gate(x), self.gate(n)


class InPlace(torch.nn.Module):
    def forward(self, x):
        y = x.clone()
        y.add_(1)
        z = y * 2
        if x.sum() > 0:
            y.mul_(3)
        return y, z


class Invariant(torch.nn.Module):
    """Work in a loop that is the same in every iteration."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4))

    def forward(self, x):
        for _ in range(x.size(0)):
            x = torch.tanh(x @ self.weight.t() @ self.weight)
        return x


class Says(torch.nn.Module):
    """What ONNX cannot express, twice."""

    def forward(self, x, name: str):
        if x.sum() > 0:
            name = name + "!"
        print(name)
        return x * len(name)


class Dropped(torch.nn.Module):
    scale: float

    def __init__(self):
        super().__init__()
        self.scale = 1.0
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x) * self.scale


class NoBranches(torch.nn.Module):
    def forward(self, x, h):
        return torch.tanh(x + h)


class Sum(torch.nn.Module):
    def forward(self, x: torch.Tensor, *extras: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        for e in extras:
            x = x + e * scale
        return x


class HandsOn(torch.nn.Module):
    """A loop that changes nothing."""

    def forward(self, a, b):
        pair = (a, b)
        for _ in range(5):
            first, second = pair
            pair = (first, second)
        return pair
