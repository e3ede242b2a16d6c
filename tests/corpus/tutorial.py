import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


class MyDecisionGate(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x


class MyCell(nn.Module):
    def __init__(self, dg):
        super().__init__()
        self.dg = dg
        self.linear = nn.Linear(4, 4)

    def forward(self, x, h):
        new_h = torch.tanh(self.dg(self.linear(x)) + h)
        return new_h, new_h


class MyRNNLoop(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, xs):
        h, y = torch.zeros(3, 4), torch.zeros(3, 4)
        for i in range(xs.size(0)):
            y, h = self.cell(xs[i], h)
        return y, h


class WrapRNN(nn.Module):
    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def forward(self, xs):
        y, h = self.loop(xs)
        return torch.relu(y)


def whole():
    return WrapRNN(MyRNNLoop(MyCell(MyDecisionGate())))


def mixed(cell_mode: str, wrap_mode: str):
    """The cell scripted or traced, the loop scripted, the module around them scripted or traced."""
    if cell_mode == "script":
        cell = MyCell(MyDecisionGate())
    else:
        cell = torch.jit.trace(
            MyCell(torch.jit.script(MyDecisionGate())), (torch.full((3, 4), 0.1), torch.zeros(3, 4)), check_trace=False
        )
    wrap = WrapRNN(torch.jit.script(MyRNNLoop(cell)))
    if wrap_mode == "script":
        return torch.jit.script(wrap)
    return torch.jit.trace(wrap, (torch.rand(10, 3, 4),), check_trace=False)


def sequences():
    return [(torch.rand(10, 3, 4),), (torch.randn(4, 3, 4) * 2 - 1,), (torch.randn(1, 3, 4),), (torch.randn(23, 3, 4),)]


add("tutorial_script_script", make=whole, inputs=sequences)
add("tutorial_script_trace", make=whole, inputs=sequences, scripted=lambda: mixed("script", "trace"))
add("tutorial_trace_script", make=whole, inputs=sequences, scripted=lambda: mixed("trace", "script"))
add("tutorial_trace_trace", make=whole, inputs=sequences, scripted=lambda: mixed("trace", "trace"))
