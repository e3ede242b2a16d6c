"""Programs that write to buffers of their modules."""

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
