"""Programs whose optional values are None on some paths."""

from typing import List, Tuple  # noqa: UP035 (as users write it)

import bridge as torch
from bridge import Tensor, nn


class Result(nn.Module):
    def forward(self, x: Tensor) -> Tuple[Tensor | None, Tensor]:  # noqa: UP006
        extra: Tensor | None = None
        if bool(x.sum() > 0):
            extra = x * 2
        return extra, x + 1


class Number(nn.Module):
    def forward(self, x: Tensor) -> Tuple[Tensor, int | None, float | None]:  # noqa: UP006
        n: int | None = None
        v: float | None = None
        if bool(x.sum() > 0):
            n = x.size(0)
            v = float(x.sum())
        return x, n, v


class Tested(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        extra: Tensor | None = None
        if bool(x.sum() > 0):
            extra = x[:1]
        if bool(x.sum() > 20):
            extra = x[:2] * 3
        if extra is not None:
            return x + extra.sum()
        return x


class Part(nn.Module):
    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor | None:
        if bias is None or bool(x.sum() > 3):
            return None
        return x + bias


class Called(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Part()
        self.b = Part()

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor | None, Tensor | None]:  # noqa: UP006
        y = self.a(x, x * 2)
        z = self.b(x - 3, y)
        return x, y, z


class Raising(nn.Module):
    def forward(self, x: Tensor) -> Tensor | None:
        if bool(x.sum() < 0):
            raise ValueError(f"{x.size(0)}")
        if bool(x.sum() > 3):
            return None
        return x * 2


class Reached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        extra: Tensor | None = None
        if bool(x.sum() > 0):
            extra = x * 2
        assert extra is not None
        return extra


class FoundInLoop(nn.Module):
    def forward(self, x: Tensor) -> Tensor | None:
        best = None
        for i in range(x.size(0)):
            row = x[i]
            if best is None or bool(row.sum() > best.sum()):
                best = row
        return best


class StateInLoop(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        state: Tuple[Tensor, int] | None = None  # noqa: UP006
        for i in range(x.size(0)):
            if state is None:
                state = (x[i], 1)
            else:
                h, n = state
                state = (torch.tanh(h + x[i]), n + 1)
        if state is None:
            return torch.zeros(3)
        return state[0] * state[1]


class GoneInLoop(nn.Module):
    def forward(self, x: Tensor) -> Tuple[Tensor, int | None]:  # noqa: UP006
        last: int | None = 7
        for i in range(x.size(0)):
            if bool(x[i].sum() > 3):
                last = None
            elif last is not None:
                last = last + i
        return x, last


class OptionalList(nn.Module):
    def forward(self, x: Tensor) -> List[Tensor] | None:  # noqa: UP006
        if bool(x.sum() > 0):
            return [x]
        return None
