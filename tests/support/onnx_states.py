"""Programs that write to buffers of their modules."""

from typing import Optional, Tuple

import bridge as torch
from bridge import Tensor, nn


class Cache(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("k", torch.zeros(5, 3))

    def forward(self, x: Tensor, pos: Tensor) -> Tensor:
        p = int(pos)
        self.k[p] = x
        return self.k[: p + 1].sum(0)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.n += 1
        return x * self.n


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.n


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Counter()
        self.b = Counter()
        self.r = Reader()

    def forward(self, x: Tensor) -> Tensor:
        y = self.r(self.a(self.a(x)))
        self.r.n.add_(2)
        if bool(x.sum() > 0):
            y = self.b(y)
        for i in range(x.size(0)):
            y = self.a(y) + i
        return self.r(y)


class ThenRaises(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.n += 1
        if bool(x.sum() < 0):
            raise ValueError("negative")
        self.n += 10
        return x * self.n


class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        self.mean.mul_(0.5).add_(y.detach().mean(0))
        return y - self.mean


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("whole", torch.zeros(4))
        self.register_buffer("part", self.whole[:2])

    def forward(self, x: Tensor) -> Tensor:
        self.part.add_(1)
        return x + self.whole


class TupleInBranch(nn.Module):
    def forward(self, x: Tensor):
        y = x.clone()
        if bool(x.sum() > 0):
            t = (y, x)
            y.add_(1)
        else:
            t = (x, y)
        return t[0] * 1, y * 2


class Average(nn.Module):
    """A buffer that is replaced, and a count that decides how."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.count = 0

    def forward(self, x):
        old = self.mean
        self.count += 1
        if self.count == 1:
            self.mean = x.mean(0)
        else:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean + old


class Growing(nn.Module):
    """A cache that grows, and is cut when it is long: the next call gets another size."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rows", torch.zeros(0, 3))
        self.seen = 0

    def forward(self, x):
        self.rows = torch.cat([self.rows, x], 0)
        self.seen += x.size(0)
        if self.rows.size(0) > 4:
            self.rows = self.rows[-4:]
        return self.rows.sum(0) * self.seen


class Steps(nn.Module):
    """Numbers that a loop and an early return assign, in a module that is called twice."""

    def __init__(self):
        super().__init__()
        self.step = 0
        self.total = 0.0
        self.warm = False

    def advance(self, n: int) -> None:
        for i in range(n):
            self.step += 1
            if self.step % 3 == 0:
                continue
            if self.total > 20.0:
                break
            self.total += float(i)

    def forward(self, x):
        self.advance(x.size(0))
        if not self.warm:
            if self.step >= 4:
                self.warm = True
            return torch.zeros_like(x)
        return x * self.step + self.total


class Stepping(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Steps()
        self.h = torch.zeros(1, 3)

    def forward(self, x):
        self.h = self.h + self.inner(self.inner(x)).sum(0)
        return self.h * 2


class OtherType(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("h", torch.zeros(2, 3))

    def forward(self, x):
        self.h = x.double()
        return self.h


class NoneFirst(nn.Module):
    """Nothing says what the attribute will be."""

    def __init__(self):
        super().__init__()
        self.h = None

    def forward(self, x: Tensor) -> Tensor:
        if self.h is None:
            self.h = torch.zeros(x.size(1))
        self.h = self.h * 0.5 + x.sum(0)
        return x * self.h


class KeysAndValues(nn.Module):
    k: Optional[Tensor]
    v: Optional[Tensor]

    def __init__(self):
        super().__init__()
        self.k = None
        self.v = None
        self.lin = nn.Linear(3, 6)

    def forward(self, x: Tensor) -> Tensor:
        k, v = self.lin(x).chunk(2, -1)
        before, values = self.k, self.v
        if before is not None and values is not None:
            k = torch.cat([before, k], 0)
            v = torch.cat([values, v], 0)
        self.k = k
        self.v = v
        return torch.softmax(x @ k.t(), -1) @ v


class Resets(nn.Module):
    def __init__(self):
        super().__init__()
        self.h: Optional[Tensor] = None
        self.last: Optional[int] = None

    def forward(self, x: Tensor, reset: bool) -> Tensor:
        if reset:
            self.h = None
        h = self.h
        if h is None:
            h = torch.zeros_like(x)
        h = torch.tanh(h + x)
        last = self.last
        self.h = h
        self.last = x.size(0)
        return h if last is None else h + last


class PairFirstNone(nn.Module):
    def __init__(self):
        super().__init__()
        self.hc: Optional[Tuple[Tensor, Tensor]] = None
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        hc = self.hc
        if hc is None:
            z = torch.zeros(x.size(0), 4)
            hc = (z, z)
        h, c = self.cell(x, hc)
        self.hc = (h, c)
        return h


class NoneAsItIs(nn.Module):
    """Raises where the attribute is None."""

    def __init__(self):
        super().__init__()
        self.ref = None

    def forward(self, x: Tensor, store: bool) -> Tensor:
        if store:
            self.ref = x
        ref = self.ref
        assert ref is not None
        return x - ref
