"""Loops that write one row of a tensor in each iteration, and what looks like it but is not."""

from typing import List, Tuple

import bridge as torch
from bridge import Tensor, nn
from loops.table import cases, ramp


def each_row(x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    for i in range(x.size(0)):
        out[i] = x[i] * 2 + i
    return out


cases(each_row, lambda: [(ramp(3, 2),), (ramp(0, 2),), (ramp(1, 0),), (ramp(5, 1),)])


def some_rows(x: Tensor, count: int) -> Tensor:
    """Rows that the loop does not reach stay, and one too many is an error."""
    out = x.clone()
    for i in range(count):
        out[i] = x.sum()
    return out


cases(
    some_rows,
    lambda: [(ramp(3, 2), 2), (ramp(3, 2), 0), (ramp(3, 2), 3), (ramp(3, 2), 4), (ramp(0, 2), 0), (ramp(0, 2), 1)],
)


def until(x: Tensor, limit: float) -> Tuple[Tensor, int]:
    """The iteration that ends the loop may be behind the last row."""
    out = torch.zeros(x.size(0))
    i = 0
    while True:
        if i >= x.size(0) or float(x[i]) > limit:
            break
        out[i] = x[i] + 1
        i += 1
    return out, i


cases(until, lambda: [(ramp(4), 5.0), (ramp(4), 0.5), (ramp(0), 0.0), (ramp(1), 2.0)])


def only_large(x: Tensor, steps: int) -> Tensor:
    """No row is touched unless the data says so, so none need be there."""
    out = torch.zeros(3)
    for i in range(steps):
        if float(x[i]) > 0:
            out[i] = x[i]
    return out


cases(only_large, lambda: [(ramp(3), 3), (-ramp(5).abs() - 1, 5), (torch.ones(5), 5), (torch.ones(5), 2)])


def prefix_sums(x: Tensor) -> Tensor:
    """The row before is read."""
    out = torch.zeros(x.size(0) + 1)
    for i in range(x.size(0)):
        out[i + 1] = out[i] + x[i]
    return out


cases(prefix_sums, lambda: [(ramp(4),), (ramp(0),), (ramp(1),)])


def recurrence(x: Tensor, weight: Tensor) -> Tuple[Tensor, Tensor]:
    """Rows of a matrix of free sizes from the rows before; what is behind them is not touched."""
    states = torch.ones(x.size(0) + 2, weight.size(0))
    for i in range(1, x.size(0) + 1):
        states[i] = torch.tanh(states[i - 1] @ weight + x[i - 1])
        if bool(states[i].sum() > 1):
            states[i] = states[i] * 0.5
    return states, states[x.size(0)]


cases(recurrence, lambda: [(ramp(3, 2), ramp(2, 2)), (ramp(0, 2), ramp(2, 2)), (ramp(1, 3), ramp(3, 3))])


def first_is_missing(x: Tensor, steps: int) -> Tensor:
    """What the first iteration reads need not be there when there is none."""
    out = x.clone()
    for i in range(steps):
        out[i + 1] = out[i] + 1
    return out


cases(first_is_missing, lambda: [(ramp(3), 2), (ramp(0), 0), (ramp(3), 3), (ramp(1), 1), (ramp(0), 1)])


def negative_row(x: Tensor) -> Tensor:
    """The row before the first is the last."""
    out = x.clone()
    for i in range(x.size(0)):
        out[i] = out[i - 1] + x[i]
    return out


cases(negative_row, lambda: [(ramp(3),), (ramp(1),), (ramp(4),)])


def two_before(x: Tensor) -> Tensor:
    out = torch.ones(x.size(0))
    for i in range(2, x.size(0)):
        out[i] = out[i - 1] + out[i - 2] * x[i]
    return out


cases(two_before, lambda: [(ramp(5),), (ramp(2),), (ramp(0),)])


def row_behind(x: Tensor) -> Tensor:
    """A row is read before it is written."""
    out = x.clone()
    for i in range(x.size(0) - 1):
        out[i] = out[i + 1] - out[i]
    return out


cases(row_behind, lambda: [(ramp(4),), (ramp(1),)])


def whole_is_read(x: Tensor) -> Tuple[Tensor, Tensor]:
    out = torch.zeros_like(x)
    total = torch.zeros(())
    for i in range(x.size(0)):
        out[i] = x[i] + out.sum()
        total = total + out.mean()
    return out, total


cases(whole_is_read, lambda: [(ramp(3),), (ramp(1),)])


def counts(x: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    """Numbers and truth values, in a loop within a loop; rows of rows."""
    seen = torch.zeros(x.size(0), n, dtype=torch.bool)
    best = torch.full((x.size(0), n), -1, dtype=torch.long)
    for i in range(x.size(0)):
        for j in range(n):
            if int(x[i]) == j:
                seen[i, j] = True
                best[i, j] = i + j
    return seen, best


cases(
    counts,
    lambda: [
        (torch.tensor([0, 2, 1]), 3),
        (torch.tensor([5]), 2),
        (torch.zeros(0, dtype=torch.long), 2),
        (torch.tensor([1, 1]), 0),
    ],
)


def inner_rows(x: Tensor) -> Tensor:
    """A vector that each iteration makes from the one before, element by element."""
    row = torch.zeros(x.size(1) + 1)
    for i in range(x.size(0)):
        made = torch.zeros_like(row)
        made[0] = float(i)
        for j in range(x.size(1)):
            if float(x[i, j]) > 0:
                made[j + 1] = row[j] + x[i, j]
            else:
                made[j + 1] = torch.max(made[j], row[j + 1])
        row = made
    return row


cases(inner_rows, lambda: [(ramp(3, 4),), (ramp(0, 2),), (ramp(2, 0),), (-ramp(2, 3),)])


class Trace(nn.Module):
    """A buffer that is filled."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kept", torch.zeros(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        for i in range(x.size(0)):
            self.kept[i] = x[i] + self.kept[i]
        return self.kept.sum()


cases(Trace, lambda: [(ramp(3, 2),), (ramp(4, 2),), (ramp(0, 2),)])


def twice_and_last(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Written twice in an iteration, and left early."""
    out = torch.zeros(x.size(0), 2)
    last = torch.zeros(2)
    for i in range(x.size(0)):
        out[i] = last
        out[i] = out[i] + x[i]
        last = out[i].clone()
        if float(last.sum()) > 2.0:
            break
    return out, last


cases(twice_and_last, lambda: [(ramp(3),), (torch.ones(5),), (ramp(0),)])


def slices(x: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
    """Parts of rows, whole slices, and parts of other dimensions."""
    out = torch.full((lengths.size(0), 4), -1.0)
    marks = torch.zeros(3, lengths.size(0), 4)
    for i in range(lengths.size(0)):
        n = int(lengths[i])
        out[i, :n] = x[:n]
        marks[:, i] = float(n)
        marks[1:, i, n:] = 7.0
        marks[0, i, -2:] = x[-2:]
        marks[:, :, 1:3] += 1.0
    return out, marks


cases(
    slices,
    lambda: [
        (ramp(4), torch.tensor([1, 3, 0])),
        (ramp(4), torch.tensor([4])),
        (ramp(4), torch.zeros(0, dtype=torch.long)),
    ],
)


def bounds(x: Tensor, a: int, b: int) -> Tensor:
    """Slices whose bounds are negative, too large or the wrong way round."""
    y = x.clone()
    y[a:b] = 1.0
    y[:a] += 2.0
    y[b:] += 4.0
    y[1:-1] *= 3.0
    y[-2:1] += 9.0
    y[a : a + 1] += 16.0
    return y


cases(
    bounds,
    lambda: [
        (ramp(5), 1, 3),
        (ramp(5), -2, 9),
        (ramp(5), 3, 1),
        (ramp(5), -9, -1),
        (ramp(1), 0, 1),
        (ramp(0), 0, 0),
        (ramp(5), 7, 9),
        (ramp(5), -1, -3),
    ],
)


def few_times(x: Tensor, n: int) -> Tuple[Tensor, Tensor, List[int]]:
    """Loops of a few iterations, in each other, with lists that they fill and rows that they write."""
    made: List[Tensor] = []
    numbers: List[int] = []
    table = torch.zeros(3, 2)
    for i in range(3):
        x = x * 2 - i
        made.append(x.sum())
        numbers.append(i * n)
        for j in range(2):
            table[i, j] = x[j] + float(j)
            if float(x[j]) > 1.0:
                table[i, j] += float(n)
    for _ in range(2):
        for k in range(n):
            table = table + k
            numbers.append(k)
    return torch.stack(made), table, numbers


cases(few_times, lambda: [(ramp(2), 3), (ramp(4), 0), (-ramp(3), 1)])


class Twice(nn.Module):
    """A loop of two iterations around a module, and a buffer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.register_buffer("count", torch.zeros(2))

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        kept = x
        for i in range(2):
            kept = x
            x = torch.relu(self.inner(x))
            self.count[i] += x.sum()
        return x, kept + self.count


cases(Twice, lambda: [(ramp(3, 2),), (ramp(1, 2),)])


def exchanged(a: Tensor, b: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Values change places; the same in a loop of free length."""
    first = a
    for _ in range(3):
        a, b = b, a
    for _ in range(a.size(0)):
        a, b, first = b, first, a
    return a, b, first


cases(exchanged, lambda: [(ramp(2), ramp(2) + 1), (ramp(3), ramp(3) * 2), (ramp(1), ramp(1) - 1)])
