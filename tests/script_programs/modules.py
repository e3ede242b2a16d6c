from typing import Dict, Final, List, Optional, Tuple

import torch
from torch import Tensor, nn


class Add(nn.Module):
    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def forward(self, x):
        return x + self.n


class Scale(nn.Module):
    factor: Final[float]

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("offset", torch.zeros(3))

    def forward(self, x):
        if self.factor > 1.0:
            x = x * self.factor
        return x * self.weight + self.offset

    @torch.jit.export
    def inverse(self, x):
        return (x - self.offset) / self.weight


class Attributes(nn.Module):
    __constants__ = ["sizes", "name"]

    def __init__(self):
        super().__init__()
        self.sizes = [1, 2, 3]
        self.name = "n"
        self.count = 0
        self.names: List[str] = ["a"]
        self.maybe: Optional[int] = None
        self.table = {"a": 1}
        self.flag = True
        self.pair = (1, 2.5)

    def forward(self, x):
        for s in self.sizes:
            x = x + s
        self.count += 1
        if self.flag:
            x = x * self.pair[0]
        if self.maybe is not None:
            x = x + 1
        return x, self.count, self.names, self.table["a"], self.name


class Helpers(nn.Module):
    def __init__(self):
        super().__init__()
        self.add = Add(2)

    def double(self, x):
        return x * 2

    def both(self, x, n: int = 3) -> Tuple[Tensor, int]:
        return self.double(x), n

    @staticmethod
    def fixed(x):
        return x - 1

    def forward(self, x):
        y, n = self.both(x)
        z, _ = self.both(y, n=4)
        return self.add(self.fixed(z)) * n

    @torch.jit.ignore
    def ignored(self, x):
        return [k for k in globals()]

    @torch.jit.unused
    def unused(self, x):
        return [k for k in globals()]


class Containers(nn.Module):
    def __init__(self):
        super().__init__()
        self.items = nn.ModuleList([Add(1), Scale(2.0)])
        self.table = nn.ModuleDict({"a": Add(3), "b": Add(4)})
        self.steps = nn.Sequential(Add(5), Add(6))

    def forward(self, x):
        for m in self.items:
            x = m(x)
        for i, m in enumerate(self.items):
            x = m(x) * i
        for k, m in self.table.items():
            x = m(x)
        for m in self.table.values():
            x = m(x)
        for m, n in zip(self.items, [1, 2] if False else (1, 2)):
            x = m(x) + n
        x = self.steps(x)
        for m in self.steps[1:]:
            x = m(x)
        return self.items[0](x) + self.table["b"](x), len(self.items)


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Add(1)
        self.second = Add(1)
        self.third = Scale(0.5)

    def forward(self, xs: List[Tensor]):
        out = []
        for x in xs:
            if bool(x.sum() > 0):
                y = self.first(x)
            else:
                y = self.third(self.second(x))
            out.append(y)
        return torch.stack(out)


class Property(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = 2

    @property
    def p(self) -> int:
        return self.a + 1

    @p.setter
    def p(self, value: int):
        self.a = value

    def forward(self, x):
        self.p = 4
        return x * self.p


class HasAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = 3

    def forward(self, x):
        if hasattr(self, "a"):
            x = x + getattr(self, "a")
        if hasattr(self, "b"):
            x = x.nothing()
        return x + getattr(self, "c", 4)


class Maybe(nn.Module):
    def __init__(self, down: Optional[nn.Module]):
        super().__init__()
        self.down = down

    def forward(self, x):
        identity = x
        if self.down is not None:
            identity = self.down(x)
        return x + identity


class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(1))
        self.register_buffer("nothing", None)
        self.steps = 0

    def forward(self, x):
        self.total = self.total + x.sum()
        self.total += 1
        self.total.add_(2)
        self.steps = self.steps + 1
        return self.total, self.steps


class Training(nn.Module):
    def forward(self, x):
        if self.training:
            return x * 2
        return x


@torch.jit.interface
class Operation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        pass


class UsesInterface(nn.Module):
    op: Operation

    def __init__(self):
        super().__init__()
        self.op = Typed()

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Typed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Typed()
        self.hidden = nn.Parameter(torch.zeros(2))

    def forward(self, xs, lengths: List[int]) -> Tuple[Tensor, Dict[str, Tensor]]:
        h = self.hidden
        states: Dict[str, Tensor] = {}
        for i in range(xs.size(0)):
            if lengths[i] == 0:
                continue
            h = self.cell(h + xs[i])
            states[str(i)] = h
            if bool(h.sum() > 100):
                break
        return h, states


class WithClassMethods(nn.Module):
    @classmethod
    def raised(cls, x):
        return x + 1

    @classmethod
    def scaled(cls, x, n: int):
        return cls.raised(x) * n

    def forward(self, x):
        return self.raised(x) + self.scaled(x, 3)


class LeftEarly(Containers):
    def forward(self, x, early: bool):
        if early:
            return self.items[-1](x)
        while bool(self.items[0](x).sum() > 3):
            x = self.steps[1](x) - self.table["a"](x)
        return self.items[1](self.items[0](x))


def subjects():
    yield "add", Add(2)
    yield "scale", Scale(2.0)
    yield "attributes", Attributes()
    yield "helpers", Helpers()
    yield "containers", Containers()
    yield "nested", Nested()
    yield "property", Property()
    yield "has_attribute", HasAttribute()
    yield "maybe_none", Maybe(None)
    yield "maybe_some", Maybe(Add(1))
    yield "buffers", Buffers()
    yield "training", Training()
    yield "interface", UsesInterface()
    yield "loop", Loop()
    yield "class_methods", WithClassMethods()
    yield "left_early", LeftEarly()
