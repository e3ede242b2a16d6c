"""Modules whose archives hold more than layers: attributes of all kinds, shared memory, constants, containers, methods."""
from typing import Dict, List, Optional, Tuple

import torch


class Gate(torch.nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        else:
            return -x


class Cell(torch.nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x, h):
        new_h = torch.tanh(self.gate(self.linear(x)) + h)
        return new_h, new_h


class Loop(torch.nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.cell = torch.jit.trace(Cell(gate), (torch.rand(3, 4), torch.rand(3, 4)))

    def forward(self, xs):
        h, y = torch.zeros(3, 4), torch.zeros(3, 4)
        for i in range(xs.size(0)):
            y, h = self.cell(xs[i], h)
        return y, h


class Wrap(torch.nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.loop = torch.jit.script(Loop(gate))

    def forward(self, xs):
        y, h = self.loop(xs)
        return torch.relu(y)


class Attributes(torch.nn.Module):
    """Values of every kind that a module may hold; two buffers that share memory, one of them transposed."""

    maybe: Optional[int]
    table: Dict[str, int]
    names: List[str]
    tensors: List[torch.Tensor]

    def __init__(self):
        super().__init__()
        self.register_buffer("whole", torch.arange(6.0).reshape(2, 3).t())
        self.register_buffer("part", self.whole[1:])
        self.register_buffer("absent", None)
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.frozen = torch.nn.Parameter(torch.full((2,), 0.5), requires_grad=False)
        self.count = 3
        self.big = 2 ** 40
        self.rate = 0.25
        self.flag = True
        self.word = "it's \"quoted\"\n"
        self.sizes = [1, -2, 300]
        self.factors = [1.5, 2.0]
        self.names = ["a", "b"]
        self.pair = (1, "x")
        self.table = {"a": 1, "b": 2}
        self.maybe = None
        self.tensors = [torch.ones(2), torch.zeros(2)]

    def forward(self, x):
        y = x * self.rate + self.weight + self.frozen
        for t in self.tensors:
            y = y + t
        if self.flag:
            y = y * self.count
        maybe = self.maybe
        if maybe is not None:
            y = y + maybe
        return y + self.whole.sum() - self.part.sum() + float(self.sizes[1])


class Kinds(torch.nn.Module):
    """A buffer of each element type."""

    def __init__(self):
        super().__init__()
        self.register_buffer("u8", torch.tensor([1, 255], dtype=torch.uint8))
        self.register_buffer("i8", torch.tensor([1, -2], dtype=torch.int8))
        self.register_buffer("i16", torch.tensor([1, -2], dtype=torch.int16))
        self.register_buffer("i32", torch.tensor([1, -2], dtype=torch.int32))
        self.register_buffer("i64", torch.tensor([1, -2], dtype=torch.int64))
        self.register_buffer("f16", torch.tensor([1, -2], dtype=torch.float16))
        self.register_buffer("f64", torch.tensor([1, -2], dtype=torch.float64))
        self.register_buffer("truth", torch.tensor([True, False]))
        self.register_buffer("scalar", torch.tensor(7.0))
        self.register_buffer("empty", torch.zeros(0, 3))

    def forward(self, x):
        return x + self.i64 + self.f64 * self.scalar


class Twice(torch.nn.Module):
    """One module under two names, and one weight in two modules."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(2, 2)
        self.second = self.first
        self.third = torch.nn.Linear(2, 2)
        self.third.weight = self.first.weight

    def forward(self, x):
        return self.third(self.second(self.first(x)))


class Stack(torch.nn.Module):
    """Submodules whose names are numbers."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Shift(torch.nn.Module):
    """Traced: the tensors it makes from numbers become constants."""

    def forward(self, x):
        return x * torch.tensor([1.0, 2.0]) + torch.tensor([[3], [4]]), x + torch.tensor([1.0, 2.0])


class Methods(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.total = 0.0

    def forward(self, x):
        return self.helper(x, -1.5)

    def helper(self, x, scale: float):
        n = 0
        while n < 3:
            x = x * scale
            n += 1
        return x

    @torch.jit.export
    def bounded(self, x, low: float = float("-inf"), high: float = 1e30):
        return torch.clamp(x, low, high)


def added(x, y: int = 3, z: float = 2.5):
    return x * z + y


class Packed(torch.nn.Module):
    """Stored as what ``__getstate__`` returns."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
        self.size = 2
        self.cache: Optional[torch.Tensor] = None

    def forward(self, x):
        return x @ self.table * self.size

    @torch.jit.export
    def __getstate__(self):
        return self.table.t().contiguous(), [self.size], self.training

    @torch.jit.export
    def __setstate__(self, state: Tuple[torch.Tensor, List[int], bool]):
        self.table = state[0].t()
        self.size = state[1][0]
        self.training = state[2]
        self.cache = None


class Holder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Packed()
        self.same = self.inner

    def forward(self, x):
        return self.inner(x) + self.same(x)


def subjects():
    torch.manual_seed(0)
    gate = torch.jit.script(Gate())
    runs = [(torch.rand(n, 3, 4) - 0.5,) for n in (0, 1, 5)]
    yield "wrap", torch.jit.trace(Wrap(gate), (torch.rand(10, 3, 4),)), runs
    yield "loop", torch.jit.script(Loop(gate)), runs
    yield "loop_eval", torch.jit.script(Loop(gate).eval()), runs[1:2]
    pairs = [(torch.tensor([1.0, -2.0]),), (torch.rand(3, 2),)]
    yield "attributes", torch.jit.script(Attributes()), pairs
    yield "kinds", torch.jit.script(Kinds()), pairs
    yield "twice", torch.jit.script(Twice()), pairs
    yield "stack", torch.jit.script(Stack()), pairs
    yield "shift", torch.jit.trace(Shift(), (torch.rand(2, 2),)), [(torch.rand(2, 2),)]
    yield "methods", torch.jit.script(Methods()), pairs, ["bounded"]
    yield "packed", torch.jit.script(Holder()), pairs[1:]
    yield "added", torch.jit.script(added), [(torch.rand(2),), (torch.rand(2), 7)]
