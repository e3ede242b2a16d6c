"""Random programs to trace: trees of modules that pass values around, into each other and past each other."""

import random

__all__ = ["program"]

_HEAD = """import torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
x = torch.rand(3, 4)
kept = {}
class Gate(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x
class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
    def forward(self, x):
        y = self.l(x)
        for i in range(x.size(0)):
            y = y + x[i]
        return y, x
@torch.jit.script
def REPEATED(x, k: int = 2):
    for i in range(k):
        x = torch.tanh(x)
    return x
"""

_LEAVES = [
    "nn.Linear(4, 4)", "nn.Tanh()", "nn.ReLU()", "torch.jit.script(Gate())", "torch.jit.script(Rows())",
    "torch.jit.trace(nn.Linear(4, 4), x)", "torch.jit.trace(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), x)",
]  # fmt: skip

_EXPRESSIONS = [
    "{a} + {b}", "{a} * {b}", "torch.tanh({a})", "torch.relu({a})", "F.relu({a})", "{a} - 1", "{a}.view({c}.size(0), -1)",
    "{a}[0] + {b}", "torch.cat([{a}, {b}]).sum(0) + {c}", "{a}.sum(1, keepdim=True) * {b}", "1 - {a}",
    "{a} @ {c}.t() @ {c}", "F.softmax({a}, dim=-1)", "{a}.clone().add_({b})", "{a}.detach()", "torch.stack([{c}, {c}])[0]",
    "{a}.mean() + {b}", "REPEATED({c})", "REPEATED({c}, 3)",
]  # fmt: skip


class _Class:
    """The source of one module class."""

    def __init__(self, r: random.Random, name: str, smaller: list[str]) -> None:
        self.r = r
        self.lines = [f"class {name}(nn.Module):", "    def __init__(self):", "        super().__init__()"]
        self.children = range(r.randint(0, 3))
        for c in self.children:
            made = r.choice(_LEAVES + smaller * 3)
            made = f"self.c{r.randrange(c)}" if c and r.random() < 0.15 else made
            self.lines.append(f"        self.c{c} = {made}")
        self.layers = r.random() < 0.3
        if self.layers:
            self.lines.append("        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])")
        self.held = [f"self.p{p}" for p in range(r.randint(0, 2))]
        self.lines += [f"        {p} = nn.Parameter(torch.ones(4))" for p in self.held]
        for text, attribute in (
            ("self.register_buffer('b', torch.ones(4))", "self.b"),
            ("self.k = torch.full((4,), 2.0)", "self.k"),
        ):
            if r.random() < 0.25:
                self.lines.append(f"        {text}")
                self.held.append(attribute)
        self.variables = ["x"]
        self.lines.append("    def forward(self, x):")
        for _ in range(r.randint(1, 6)):
            self.statement()
        if self.layers and r.random() < 0.7:
            self.lines += ["        for layer in self.layers:", "            x = layer(x)"]
        self.result()

    def value(self) -> str:
        if self.r.random() < 0.15:
            return f"kept.get({self.r.randrange(3)}, x)"
        return self.r.choice([self.variable()] * 3 + self.held)

    def variable(self) -> str:
        return self.r.choice(self.variables)

    def assign(self, text: str, *more: str) -> None:
        name = self.r.choice(["x", "y", "z", "t", "out"])
        self.lines += [f"        {name} = {text}", *(f"        {line.format(name)}" for line in more)]
        self.variables.append(name)

    def statement(self) -> None:
        kind = self.r.random()
        if kind < 0.35 and self.children:
            child = self.r.choice(self.children)
            self.assign(f"self.c{child}({self.variable()})", "{0} = {0}[0] if isinstance({0}, tuple) else {0}")
        elif kind < 0.7:
            values = {"a": self.value(), "b": self.value(), "c": self.variable()}
            self.assign(self.r.choice(_EXPRESSIONS).format(**values), "{0} = {0} + torch.zeros(3, 4)")
        elif kind < 0.78:
            self.lines.append(f"        kept[{self.r.randrange(3)}] = {self.variable()}")
        elif kind < 0.84:
            self.lines.append(f"        self.c0({self.variable()})" if self.children else "        pass")
        elif kind < 0.9:
            self.lines.append(f"        a, b = {self.variable()}.chunk(2, 1)")
            self.assign("torch.cat([b, a], 1)")
        else:
            last = self.variables[-1]
            self.lines += [f"        if {self.variable()}.sum() > 0:", f"            {last} = -{last}"]

    def result(self) -> None:
        shapes = ["{0}", "{0}", "{0}, {1}", "{0} + 0, ({1}, {2})", "({0} * 2,)"]
        self.lines.append("        return " + self.r.choice(shapes).format(*(self.variable() for _ in range(3))))


def program(seed: int) -> str:
    """A program that leaves a traced module in ``subject``; the same for the same seed."""
    r = random.Random(seed)
    names = [f"M{k}" for k in range(r.randint(1, 4))]
    classes = [_Class(r, name, [f"{n}()" for n in names[:k]]) for k, name in enumerate(names)]
    text = "\n".join("\n".join(c.lines) for c in classes)
    whole = f"{_HEAD}{text}\nkept.clear()\nsubject = torch.jit.trace({names[-1]}(), x, check_trace=False)\n"
    return whole.replace("REPEATED", f"repeated{seed}")  # a name of its own: a mangled one is longer, which moves lines
