"""What loops carry: optionals, tuples, numbers from data; several exits; loops that never run."""

from typing import Dict, List, NamedTuple, Optional, Tuple

import bridge as torch
from bridge import Tensor, nn
from loops.table import cases, ramp


def first_of(x: Tensor, limit: float) -> Optional[Tensor]:
    """An optional found in a loop."""
    found: Optional[Tensor] = None
    for i in range(x.size(0)):
        if float(x[i].sum()) > limit:
            found = x[i]
            break
    return found


cases(first_of, lambda: [(ramp(4, 2), 0.5), (ramp(4, 2), 9.0), (ramp(0, 2), 0.0)])


def last_index(x: Tensor) -> int:
    """An optional int."""
    at: Optional[int] = None
    for i in range(x.size(0)):
        if bool(x[i] > 0):
            at = i
    if at is None:
        return -1
    return at * 2


cases(last_index, lambda: [(ramp(5),), (-ramp(5).abs(),), (ramp(0),)])


def optional_pair(x: Tensor) -> Tuple[Tensor, bool]:
    """An optional tuple with an optional tensor beside it."""
    best: Optional[Tuple[Tensor, float]] = None
    other: Optional[Tensor] = None
    for row in x:
        score = float(row.sum())
        if best is None or score > best[1]:
            if best is not None:
                other = best[0]
            best = (row, score)
    if best is None:
        return torch.zeros(x.size(1)), False
    if other is not None:
        return best[0] - other, True
    return best[0], True


cases(optional_pair, lambda: [(ramp(4, 3),), (ramp(1, 3),), (ramp(0, 3),), (ramp(9, 3) * 2,)])


class Point(NamedTuple):
    x: Tensor
    steps: int
    done: bool


def named(start: Tensor, n: int) -> Point:
    p = Point(start, 0, False)
    for i in range(n):
        if p.done:
            break
        p = Point(p.x * 1.5, p.steps + 1, bool(p.x.sum() > 3))
    return p


cases(named, lambda: [(torch.ones(2), 5), (torch.ones(2), 0), (-torch.ones(2), 4)])


def fibonacci(n: int) -> Tuple[int, List[int]]:
    a, b = 0, 1
    seen: List[int] = []
    while a < n:
        seen.append(a)
        a, b = b, a + b
    return b, seen


cases(fibonacci, lambda: [(10,), (0,), (1,), (100,)])


def collatz(n: int) -> Tuple[int, int]:
    steps = 0
    top = n
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
        top = max(top, n)
        if steps > 200:
            return -1, top
    return steps, top


cases(collatz, lambda: [(6,), (1,), (27,), (0,)])


def nested_breaks(x: Tensor, limit: int) -> Tuple[int, int, int]:
    """Nested whiles with several exits."""
    i = 0
    hits = 0
    skipped = 0
    while i < x.size(0):
        j = 0
        while True:
            if j >= x.size(1):
                break
            v = float(x[i, j])
            j += 1
            if v < 0:
                skipped += 1
                continue
            hits += 1
            if hits >= limit:
                break
        if hits >= limit:
            break
        i += 1
    return i, hits, skipped


cases(nested_breaks, lambda: [(ramp(3, 4), 4), (ramp(3, 4), 100), (ramp(0, 4), 1), (ramp(2, 0), 1), (ramp(5, 5), 1)])


def returns_in_nested(x: Tensor, target: int) -> Tuple[int, int]:
    """A return from the inner of two loops, one between, one after."""
    for i in range(x.size(0)):
        if int(x[i].sum()) < 0:
            return -1, i
        for j in range(x.size(1)):
            if int(x[i, j]) == target:
                return i, j
        if i == 3:
            return 99, i
    return -2, -2


cases(
    returns_in_nested,
    lambda: [
        (torch.tensor([[1, 2], [3, 4]]), 3),
        (torch.tensor([[1, 2], [3, 4]]), 7),
        (torch.tensor([[1, 2], [-3, -4]]), 4),
        (torch.ones(6, 2, dtype=torch.long), 0),
        (torch.zeros(0, 2, dtype=torch.long), 0),
    ],
)


def bisect(values: Tensor, v: float) -> int:
    low = 0
    high = values.size(0)
    while low < high:
        mid = (low + high) // 2
        if float(values[mid]) < v:
            low = mid + 1
        else:
            high = mid
    return low


cases(
    bisect,
    lambda: [
        (torch.tensor([1.0, 2.0, 4.0]), 3.0),
        (torch.zeros(0), 1.0),
        (torch.tensor([1.0]), 0.0),
        (torch.arange(20.0), 13.0),
    ],
)


def for_else(x: Tensor) -> Tensor:
    y = x - 1
    for i in range(x.size(0)):
        if bool(x[i] > 0.9):
            y = x * i
            break
    else:
        y = y * 2
    return y


cases(for_else, lambda: [(ramp(6),), (ramp(2) * 0.1,), (ramp(0),)])


def number_or_tensor(x: Tensor, n: int) -> Tensor:
    """A float that becomes a tensor in the loop."""
    total = 0.0
    for i in range(n):
        total = total + float(x[i % x.size(0)]) * 0.5
    return x + total


cases(number_or_tensor, lambda: [(ramp(3), 4), (ramp(3), 0), (ramp(1), 2)])


def int_float_mix(n: int, s: float) -> Tuple[float, int, bool]:
    k = 0
    for i in range(n):
        s = s / 2 + i
        k = k + int(s) % 3
    return s, k, s > k


cases(int_float_mix, lambda: [(3, 1.5), (0, 2.0), (7, -3.25)])


def gcd(a: int, b: int) -> int:
    while b != 0:
        a, b = b, a % b
    return a


def with_helper(x: Tensor) -> Tensor:
    """A helper with a loop, called in a loop."""
    out = torch.zeros_like(x)
    for i in range(x.size(0)):
        out[i] = gcd(int(x[i]), 12)
    return out


cases(with_helper, lambda: [(torch.tensor([8, 9, 5]),), (torch.zeros(0, dtype=torch.long),), (torch.tensor([24]),)])


def power(m: Tensor, n: int) -> Tensor:
    """Squaring with bits."""
    out = torch.eye(m.size(0))
    while n > 0:
        if n & 1 == 1:
            out = out @ m
        m = m @ m
        n = n >> 1
    return out


cases(power, lambda: [(ramp(2, 2), 5), (ramp(2, 2), 0), (ramp(3, 3), 1)])


class Solver(nn.Module):
    """Newton's method with a tolerance, and an optional residual."""

    def forward(self, a: Tensor, steps: int, tolerance: float) -> Tuple[Tensor, int, Optional[Tensor]]:
        x = a.clone()
        residual: Optional[Tensor] = None
        n = 0
        for i in range(steps):
            n = i + 1
            residual = x * x - a
            if float(residual.abs().max()) < tolerance:
                break
            x = x - residual / (2 * x)
        return x, n, residual


cases(
    Solver,
    lambda: [(torch.tensor([4.0, 9.0]), 6, 1e-3), (torch.tensor([2.0]), 0, 1e-3), (torch.tensor([2.0, 3.0]), 50, 1e-4)],
)


class Layers(nn.Module):
    """Early exit from a list of layers, with a dict of results."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])
        self.heads = nn.ModuleList([nn.Linear(3, 2) for _ in range(3)])

    def forward(self, x: Tensor, limit: float) -> Dict[str, Tensor]:
        depth = 0
        out = torch.zeros(x.size(0), 2)
        for layer, head in zip(self.layers, self.heads):
            x = torch.relu(layer(x))
            out = head(x)
            depth += 1
            if float(out.softmax(-1).max(-1)[0].min()) > limit:
                return {"out": out, "depth": torch.tensor(depth)}
        return {"out": out, "depth": torch.tensor(-depth)}


cases(Layers, lambda: [(ramp(2, 3), 0.5), (ramp(2, 3), 0.99), (ramp(1, 3), 0.6)])


def elman(x: Tensor, w: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
    """A recurrent network over rows of different lengths."""
    outs: List[Tensor] = []
    h = torch.zeros(x.size(0), x.size(2))
    for t in range(x.size(1)):
        new = torch.tanh(x[:, t] + h @ w)
        alive = (lengths > t).unsqueeze(1)
        h = torch.where(alive, new, h)
        outs.append(h)
    if len(outs) == 0:
        return x, h
    return torch.stack(outs, dim=1), h


cases(
    elman,
    lambda: [
        (ramp(2, 3, 4), ramp(4, 4), torch.tensor([3, 1])),
        (ramp(1, 5, 4), ramp(4, 4), torch.tensor([2])),
        (ramp(2, 0, 4), ramp(4, 4), torch.tensor([0, 0])),
    ],
)


class Lstm(nn.Module):
    """Cells over time, the state a tuple that is None first."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(
        self, xs: Tensor, state: Optional[Tuple[Tensor, Tensor]] = None
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        outs: List[Tensor] = []
        if state is None:
            zero = torch.zeros(xs.size(1), 4)
            state = (zero, zero)
        for x in xs:
            state = self.cell(x, state)
            outs.append(state[0])
        return torch.stack(outs), state


cases(Lstm, lambda: [(ramp(3, 2, 3),), (ramp(1, 1, 3),), (ramp(5, 2, 3),)])


def swapped(a: Tensor, b: Tensor, n: int) -> Tuple[Tensor, Tensor]:
    """Two tensors that trade places."""
    for i in range(n):
        a, b = b, a
        if i == 2:
            a = a + 1
    return a, b


cases(swapped, lambda: [(ramp(2), ramp(3), 3), (ramp(2), ramp(3), 0), (ramp(1), ramp(1), 4)])


def growing(x: Tensor, n: int) -> Tensor:
    """A tensor whose sizes change in the loop."""
    y = x
    for i in range(n):
        y = torch.cat([y, y[:1] * i])
        if y.size(0) > 5:
            y = y[2:]
    return y


cases(growing, lambda: [(ramp(2, 2), 3), (ramp(2, 2), 0), (ramp(1, 1), 9)])


def rank_changes(x: Tensor, n: int) -> Tensor:
    """Sums over leading dimensions: the size, not the rank, is data."""
    total = x
    while total.numel() > n:
        total = total[: max(1, total.size(0) // 2)]
        if total.size(0) == 1:
            break
    return total


cases(rank_changes, lambda: [(ramp(8), 3), (ramp(1), 0), (ramp(5), 9)])


def errors(x: Tensor, n: int) -> Tensor:
    """raise in a nested loop."""
    for i in range(n):
        for j in range(x.size(0)):
            if bool(x[j] < -0.9):
                raise ValueError(f"negative at {i} {j}")
            x = x + 0.1
    return x


cases(errors, lambda: [(ramp(2), 2), (ramp(9), 1), (ramp(0), 3), (ramp(9), 0)])


def walrus(x: Tensor) -> int:
    n = 0
    while (total := float(x.sum()) * n) < 5.0 and n < 9:
        n += 1
        x = x + total * 0.1
    return n


cases(walrus, lambda: [(ramp(3).abs(),), (-ramp(3).abs(),)])


def conditions(x: Tensor, a: int, b: int) -> int:
    """and, or, not, chained comparisons in while conditions."""
    n = 0
    while (n < a or n < b) and not (float(x.sum()) > 5.0) and 0 <= n < 20:
        x = x + 0.25
        n += 2 if n % 3 == 0 else 1
    return n


cases(conditions, lambda: [(ramp(2), 3, 7), (ramp(2) * 9, 3, 7), (ramp(2), 0, 0), (ramp(1), 99, 0)])


def unused(x: Tensor, n: int) -> Tensor:
    """Values that the loop computes and nobody reads."""
    a = x
    b = 0
    last = -1
    for i in range(n):
        a = a * 1.1
        b = b + i
        last = i
        unused_here = a @ a
    return x + last


cases(unused, lambda: [(ramp(3), 3), (ramp(3), 0)])


def loop_in_if(x: Tensor, n: int) -> Tensor:
    """Loops in both branches, lists in one."""
    if n > 2:
        rows: List[Tensor] = []
        for i in range(n):
            rows.append(x + i)
        y = torch.stack(rows).sum(0)
    else:
        y = x
        while bool(y.sum() < 3):
            y = y + 1
    return y


cases(loop_in_if, lambda: [(ramp(3), 4), (ramp(3), 1), (ramp(3), -1)])
