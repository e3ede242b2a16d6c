import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from typing import Dict, List, NamedTuple, Optional, Tuple

from support.corpus import Programs

PROGRAMS = Programs()
add = PROGRAMS.add


def grow_until(x: Tensor, limit: Tensor) -> Tuple[Tensor, Tensor]:
    """A plain function, with a `while` on a tensor condition."""
    steps = torch.zeros((), dtype=torch.int64)
    while x.norm() < limit:
        x = x * 1.5 + 0.1
        steps = steps + 1
    return x, steps


add(
    "while_tensor_fn",
    grow_until,
    lambda: [
        (torch.ones(4), torch.tensor(30.0)),
        (torch.ones(4), torch.tensor(1.0)),
        (torch.ones(4), torch.tensor(1e4)),
        (torch.full((4,), 0.01), torch.tensor(5.0)),
    ],
)


class ForDynamicRange(nn.Module):
    """Exponential moving average over a dynamic number of rows."""

    def __init__(self):
        super().__init__()
        self.decay = 0.9

    def forward(self, x: Tensor) -> Tensor:
        acc = torch.zeros(x.size(1), dtype=x.dtype)
        for i in range(x.size(0)):
            acc = self.decay * acc + (1 - self.decay) * x[i]
        return acc


add(
    "for_dynamic_range",
    ForDynamicRange,
    lambda: [(torch.randn(5, 3),), (torch.randn(1, 3),), (torch.randn(17, 3),), (torch.randn(0, 3),)],
)


class BreakContinue(nn.Module):
    def forward(self, x: Tensor, budget: Tensor) -> Tuple[Tensor, Tensor]:
        total = torch.zeros(())
        used = torch.zeros((), dtype=torch.long)
        for i in range(x.size(0)):
            v = x[i]
            if v < 0:
                continue
            if total + v > budget:
                break
            total = total + v
            used = used + 1
        return total, used


add(
    "for_break_continue",
    BreakContinue,
    lambda: [
        (torch.tensor([1.0, -2.0, 3.0, 4.0, 5.0]), torch.tensor(9.0)),
        (torch.tensor([-1.0, -2.0, -3.0]), torch.tensor(9.0)),
        (torch.tensor([1.0, 2.0, 3.0, 4.0, -5.0, 6.0, 0.5]), torch.tensor(100.0)),
        (torch.tensor([50.0, 1.0]), torch.tensor(2.0)),
    ],
)


class NewtonSqrt(nn.Module):
    def forward(self, a: Tensor) -> Tuple[Tensor, Tensor]:
        x = a.clone()
        err = (x * x - a).abs()
        it = torch.zeros((), dtype=torch.int64)
        while bool((err > 1e-4 * a).any()) and int(it) < 50:
            x = 0.5 * (x + a / x)
            err = (x * x - a).abs()
            it += 1
        return x, it


add(
    "newton_sqrt",
    NewtonSqrt,
    lambda: [(torch.tensor([2.0, 3.0, 10.0]),), (torch.tensor([1.0, 1.0]),), (torch.tensor([1e6, 2.0, 5.0, 1e-3]),)],
)


class DTW(nn.Module):
    """Dynamic time warping: two nested dynamic loops, in-place cells."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        n, m = a.size(0), b.size(0)
        d = torch.full((n + 1, m + 1), 1e9)
        d[0, 0] = 0.0
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                cost = (a[i - 1] - b[j - 1]).abs()
                best = torch.min(torch.min(d[i - 1, j], d[i, j - 1]), d[i - 1, j - 1])
                d[i, j] = cost + best
        return d[n, m]


add(
    "dtw_nested_loops",
    DTW,
    lambda: [
        (torch.randn(4), torch.randn(5)),
        (torch.randn(2), torch.randn(6)),
        (torch.randn(7), torch.randn(3)),
        (torch.randn(1), torch.randn(1)),
    ],
)


class RaggedPad(nn.Module):
    """Flat values + lengths -> padded batch and mask."""

    def __init__(self):
        super().__init__()
        self.pad_value = -1.0

    def forward(self, values: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        n = lengths.size(0)
        longest = int(lengths.max())
        out = torch.full((n, longest), self.pad_value)
        mask = torch.zeros(n, longest, dtype=torch.bool)
        start = 0
        for i in range(n):
            k = int(lengths[i])
            out[i, :k] = values[start : start + k]
            mask[i, :k] = True
            start += k
        return out, mask


add(
    "ragged_padding",
    RaggedPad,
    lambda: [
        (torch.randn(9), torch.tensor([3, 2, 4])),
        (torch.randn(7), torch.tensor([6, 1])),
        (torch.randn(10), torch.tensor([1, 2, 3, 4])),
        (torch.randn(4), torch.tensor([4])),
    ],
)


class LSTMLoop(nn.Module):
    """LSTM written out by hand: python loop over time, list append, stack."""

    def __init__(self, i: int = 5, h: int = 8):
        super().__init__()
        self.wx = nn.Linear(i, 4 * h)
        self.wh = nn.Linear(h, 4 * h, bias=False)
        self.hidden = h

    def forward(self, xs: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        b = xs.size(1)
        h = torch.zeros(b, self.hidden, dtype=xs.dtype, device=xs.device)
        c = torch.zeros(b, self.hidden, dtype=xs.dtype, device=xs.device)
        outs: List[Tensor] = []
        for t in range(xs.size(0)):
            i, f, g, o = (self.wx(xs[t]) + self.wh(h)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outs.append(h)
        return torch.stack(outs), h, c


add("lstm_loop_list", LSTMLoop, lambda: [(torch.randn(6, 2, 5),), (torch.randn(1, 2, 5),), (torch.randn(15, 4, 5),)])


class FirstAbove(nn.Module):
    """Return from inside a loop."""

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        for i in range(x.size(0)):
            if x[i] > level:
                return x[i] * 2
        return torch.zeros(())


add(
    "return_in_loop",
    FirstAbove,
    lambda: [
        (torch.tensor([1.0, 2.0, 6.0, 7.0]), torch.tensor(5.0)),
        (torch.tensor([1.0, 2.0]), torch.tensor(5.0)),
        (torch.tensor([1.0, 8.0, 9.0, 1.0, 5.0, 9.0]), torch.tensor(5.0)),
    ],
)
