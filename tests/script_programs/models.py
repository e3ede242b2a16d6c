import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union
import math

class Res(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4, bias=False)
        self.act = nn.GELU()
        self.norm = nn.LayerNorm(4)
        self.scale = 0.5
        self.names = ['x', 'y']
        self.table = {'p': 1, 'q': 2}
        self.pair = (1, 2.0)
        self.opt: Optional[int] = None
        self.mode = "fast"
    def forward(self, x):
        h = self.norm(self.act(self.a(x)))
        if self.mode == "fast":
            h = self.b(h) * self.scale
        if self.opt is not None:
            h = h + self.opt
        return h + x, self.names[0], self.table['p'], self.pair[1], self.training
class Stack(nn.Module):
    n: int
    def __init__(self, n: int):
        super().__init__()
        self.n = n
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(n)])
        self.named = nn.ModuleDict({'a': nn.Linear(4, 4), 'b': nn.ReLU()})
        self.seq = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.1))
        self.register_buffer('count', torch.zeros(1))
        self.register_parameter('none', None)
    def forward(self, x, states: Optional[List[Tensor]] = None) -> Tuple[Tensor, List[Tensor]]:
        out: List[Tensor] = []
        for i, l in enumerate(self.layers):
            x = l(x)
            if states is not None:
                x = x + states[i]
            out.append(x)
        for k, m in self.named.items():
            x = m(x)
        for m in self.seq:
            x = m(x)
        x = self.seq(x)
        self.count += 1
        self.n = self.n + 1
        if self.none is not None:
            x = x + self.none
        x = self.layers[0](x) + self.layers[-1](x)
        return x, out
    @torch.jit.export
    def double(self, x: Tensor) -> Tensor:
        return self.helper(x, 2)
    def helper(self, x, k: int):
        return x * k + self.count
class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(4, 4))
    def forward(self, x: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        n = torch.tanh(x @ self.w + h)
        return n, n
class RNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell()
    def forward(self, xs: List[Tensor], h: Optional[Tensor] = None):
        if h is None:
            h = torch.zeros(4)
        ys = []
        for x in xs:
            y, h = self.cell(x, h)
            ys += [y]
        return ys, h
@torch.jit.script
class Acc:
    def __init__(self, n: int = 0):
        self.n = n
        self.l: List[int] = []
    def add(self, k: int) -> int:
        self.n += k
        self.l.append(k)
        return self.n
    def __len__(self) -> int:
        return len(self.l)
    def __add__(self, o: int) -> int:
        return self.n + o
def uses(x: int):
    a = Acc(3)
    for i in range(x):
        a.add(i)
    if len(a) > 2:
        a.n = 0
    b = a + 1
    return a.n, len(a), a.l, b
@torch.jit.interface
class Op(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass
class Neg(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x
class Uses(nn.Module):
    op: Op
    def __init__(self):
        super().__init__()
        self.op = Neg()
    def forward(self, x: Tensor) -> Tensor:
        return self.op.forward(x)
class Ign(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 2)
    @torch.jit.unused
    def u(self, x):
        return [i for i in x if i]
    @torch.jit.ignore
    def g(self, x: Tensor) -> Tensor:
        return x
    def forward(self, x):
        if torch.jit.is_scripting():
            y = self.g(x)
        else:
            y = self.u(x)
        return self.l(y)
class Prop(nn.Module):
    def __init__(self):
        super().__init__()
        self.k = 2
    @property
    def twice(self) -> int:
        return self.k * 2
    @staticmethod
    def st(x):
        return x + 1
    def forward(self, x):
        return self.st(x) * self.twice
class Drop(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(5, 4, padding_idx=0)
        self.bn = nn.BatchNorm1d(4)
        self.d = nn.Dropout(0.5)
        self.conv = nn.Conv1d(4, 4, 3, padding=1)
    def forward(self, i):
        x = self.emb(i)
        return self.conv(self.bn(self.d(x)).unsqueeze(-1))
def subjects():
    yield 'res', Res()
    yield 'stack', Stack(2)
    yield 'rnn', RNN()
    yield 'uses', uses
    yield 'interface', Uses()
    yield 'ign', Ign()
    yield 'prop', Prop()
    yield 'drop', Drop()
