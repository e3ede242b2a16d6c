"""Classes derived from ScriptModule, methods defined as text, and compilation units."""

import torch
from torch import nn


class Scale(torch.jit.ScriptModule):
    def __init__(self, n: int):
        super().__init__()
        self.w = nn.Parameter(torch.ones(n))

    @torch.jit.script_method
    def forward(self, x):
        return x * self.w


class Chain(torch.jit.ScriptModule):
    __constants__ = ["k"]

    def __init__(self, k):
        super().__init__()
        self.k = k
        self.sub = Scale(3)
        self.lin = nn.Linear(3, 3)
        self.a = torch.jit.Attribute(0.5, float)
        self.register_buffer("b", torch.zeros(3))

    @torch.jit.script_method
    def forward(self, x):
        y = self.sub(x) * self.k
        return self.double(self.lin(y)) + self.a + self.b

    @torch.jit.script_method
    def double(self, x):
        if bool(x.sum() > 0):
            return x
        return -x


class Derived(Chain):
    def __init__(self):
        super().__init__(2)
        self.n = 3

    @torch.jit.script_method
    def both(self, x, n: int = 2):
        return self.forward(x) * self.n * n


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.m = Chain(2)

    def forward(self, x):
        return self.m(x) + self.m.double(x)


UNIT = """
def g(x: int) -> int:
    return x * -2

def f(x: Tensor, n: int=3):
    y = x
    for i in range(g(n)):
        y += i
    return y, torch.relu(x)
"""


def subjects():
    yield "chain", Chain(3)
    yield "derived", Derived()
    yield "outer", Outer()
    more = Chain(1)
    more.define("def both(self, x, n: int = 1):\n    return self.forward(x) * n\n")
    yield "defined", more
    unit = torch.jit.CompilationUnit(UNIT)
    yield "unit_f", unit.f
    yield "unit_g", unit.g
    unit.define("def h(x):\n    return torch.neg(x)\n")
    yield "unit_h", unit.h
