"""Modules, and what a trace of them records: programs that ``support.traces`` runs. See there."""

# fmt: off
HEAD = """import torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
x, h = torch.rand(3, 4), torch.rand(3, 4)

def tried(*things):
    found = []
    for thing in things:
        try:
            found.append(f"{thing()}")
        except Exception as e:
            found.append(f"{type(e).__name__}: {e}")
    return "\\n".join(found)
"""

GATE = """
class Gate(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x
"""

NET = """
import copy, pickle
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
        self.w = nn.Parameter(torch.ones(4))
        self.register_parameter("q", None)
        self.register_buffer("buf", torch.ones(4))
        self.factor = 5
        self.items = [1, 2]
        self.drop = nn.Dropout(0.5)
    def forward(self, x):
        return self.l(x) * self.w + self.buf
"""

MODULES = {
    name: HEAD + source
    for name, source in {
        "cell": """
class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x, h):
        new_h = torch.tanh(self.linear(x) + h)
        return new_h, new_h
subject = torch.jit.trace(Cell(), (x, h))
""",
        "gate is frozen": GATE + """
class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.dg = Gate()
        self.linear = nn.Linear(4, 4)
    def forward(self, x, h):
        new_h = torch.tanh(self.dg(self.linear(x)) + h)
        return new_h, new_h
subject = torch.jit.trace(Cell(), (x, h))
""",
        "scripted gate in a trace": GATE + """
class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.dg = torch.jit.script(Gate())
        self.linear = nn.Linear(4, 4)
    def forward(self, x, h):
        new_h = torch.tanh(self.dg(self.linear(x)) + h)
        return new_h, new_h
subject = torch.jit.trace(Cell(), (x, h))
""",
        "traced in scripted in traced": GATE + """
class Cell(nn.Module):
    def __init__(self, dg):
        super().__init__()
        self.dg = dg
        self.linear = nn.Linear(4, 4)
    def forward(self, x, h):
        new_h = torch.tanh(self.dg(self.linear(x)) + h)
        return new_h, new_h
class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.jit.trace(Cell(torch.jit.script(Gate())), (x, h))
    def forward(self, xs):
        h, y = torch.zeros(3, 4), torch.zeros(3, 4)
        for i in range(xs.size(0)):
            y, h = self.cell(xs[i], h)
        return y, h
class Wrap(nn.Module):
    def __init__(self):
        super().__init__()
        self.loop = torch.jit.script(Loop())
    def forward(self, xs):
        y, h = self.loop(xs)
        return torch.relu(y)
subject = torch.jit.trace(Wrap(), (torch.rand(10, 3, 4)))
""",
        "scripted function in a trace": """
@torch.jit.script
def pick(a, n: int = 2):
    if bool(a.sum() > 0):
        return a * n
    return a
subject = torch.jit.trace(lambda x: pick(x) + pick(x + 1, 3), (x,))
""",
        "traced function in a trace": """
def increment(q):
    return q + 1
inner = torch.jit.trace(increment, (x,))
subject = torch.jit.trace(lambda x, y: inner(x) + inner(y), (x, h))
""",
        "scripted containers": """
@torch.jit.script
def both(a, b):
    return [a * 2, b * 2], (a + 1, b + 1)
def f(x, y):
    items, (a, b) = both(x, y)
    return items[0] + b
subject = torch.jit.trace(f, (x, h))
""",
        "scripted dict": """
@torch.jit.script
def named(a):
    return {"k": a * 2}
subject = torch.jit.trace(lambda x: named(x)["k"] + 1, (x,))
""",
        "sequential": """
subject = torch.jit.trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), x)
""",
        "modules in a list": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x
subject = torch.jit.trace(M(), x)
""",
        "nested lists of modules": """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.scale = nn.Parameter(torch.ones(4))
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.scale
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block())
    def forward(self, x):
        return self.blocks(x)
subject = torch.jit.trace(M(), x)
""",
        "module used twice": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x):
        return self.linear(torch.tanh(self.linear(x)))
subject = torch.jit.trace(M(), x)
""",
        "module under two names": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = self.a
    def forward(self, x):
        return self.b(self.a(x))
subject = torch.jit.trace(M(), x)
""",
        "shared weight": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
        self.b.weight = self.a.weight
    def forward(self, x):
        return self.b(self.a(x))
subject = torch.jit.trace(M(), x)
""",
        "module not used": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
    def forward(self, x):
        return self.b(x)
subject = torch.jit.trace(M(), x)
""",
        "result of a module not used": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
    def forward(self, x):
        self.a(x)
        return self.b(x)
subject = torch.jit.trace(M(), x)
""",
        "identity": """
class Same(nn.Module):
    def forward(self, x):
        return x
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.same = Same()
    def forward(self, x):
        return self.same(x) + 1
subject = torch.jit.trace(M(), x)
""",
        "parameters of others": """
class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(4))
    def forward(self, x, w):
        return x * self.w + w
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.w = nn.Parameter(torch.zeros(4))
    def forward(self, x):
        return self.inner(x, self.w) * self.inner.w
subject = torch.jit.trace(M(), x)
""",
        "values cross modules": """
class A(nn.Module):
    def forward(self, x):
        a = x + 1
        b = x * 2
        self.kept = a * b
        return a, b
class B(nn.Module):
    def forward(self, pair, kept):
        a, b = pair
        return a - b + kept
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = A()
        self.b = B()
    def forward(self, x):
        pair = self.a(x)
        return self.b(pair, self.a.kept), pair[0]
subject = torch.jit.trace(M(), x)
""",
        "three levels": """
class C(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, x):
        y = self.linear(x)
        return y, y * 2
class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = C()
    def forward(self, x):
        first, second = self.c(x)
        return second, first + second
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = B()
    def forward(self, x):
        p, q = self.b(x)
        return p * q
subject = torch.jit.trace(A(), x)
""",
        "buffers and attributes": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.ones(4))
        self.register_buffer("none", None)
        self.register_parameter("p", None)
        self.factor = 3
        self.w = nn.Parameter(torch.full((4,), 2.0))
    def forward(self, x):
        return (x - self.mean) * self.w * self.factor
subject = torch.jit.trace(M(), x)
""",
        "buffer updated": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(4))
    def forward(self, x):
        self.count.add_(x.sum(0))
        return x + self.count
subject = torch.jit.trace(M(), x, check_trace=False)
""",
        "parameter returned": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(4))
    def forward(self, x):
        return x * 2, self.w + 0
subject = torch.jit.trace(M(), x)
""",
        "captured tensor": """
scale = torch.full((4,), 2.0)
subject = torch.jit.trace(lambda x: x * scale + scale, (x,))
""",
        "captured number": """
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.tensor([1., 2., 3., 4.])
    def forward(self, x):
        return x * self.scale
subject = torch.jit.trace(M(), x)
""",
        "captured tensor that requires grad": """
scale = torch.full((4,), 2.0, requires_grad=True)
subject = torch.jit.trace(lambda x: x * scale, (x,))
""",
    }.items()
}
