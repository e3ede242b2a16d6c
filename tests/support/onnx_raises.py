"""Programs that raise depending on data."""

import bridge as torch
from bridge import Tensor, nn


class InLoop(nn.Module):
    def forward(self, x: Tensor):
        s = torch.zeros(3)
        for i in range(x.size(0)):
            row = x[i]
            assert bool(row.sum() < 100), f"row {i} of {list(x.shape)} is too large"
            s = s + row
        return s


class BeforeEndless(nn.Module):
    def forward(self, n: int, x: Tensor):
        if n < 0:
            raise ValueError(f"{n} is negative ({n > -5})")
        while n != 0:
            x = x * 2
            n = n - 1
        return x


class Halving(nn.Module):
    def forward(self, n: int, x: Tensor):
        while n != 0:
            x = x / 2
            n = n - 1
        return x


class EndlessInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Halving()

    def forward(self, n: int, x: Tensor):
        assert n >= 0, "negative"
        return self.inner(n, x)


class Checked(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor):
        if bool(x.sum() < 0):
            raise IndexError("negative")
        return self.fc(x)


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Checked()
        self.b = Checked()

    def forward(self, x: Tensor):
        y = self.a(x)
        if bool(x.max() > 10.0):
            y = self.b(-y * y)
        return y


class OneSide(nn.Module):
    def forward(self, x: Tensor):
        if bool(x.sum() > 0):
            y = x * 2
        else:
            raise RuntimeError("no")
        return y


class OutOfRange(nn.Module):
    def forward(self, x: Tensor, i: int):
        if i >= x.size(0):
            raise IndexError(f"index {i} of {x.size(0)}")
        return x[i]


class ShowsFloat(nn.Module):
    def forward(self, x: Tensor):
        v = float(x.sum())
        if v > 3.0:
            raise ValueError(f"sum {v}")
        return x
