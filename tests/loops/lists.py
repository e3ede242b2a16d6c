"""Lists that loops and branches change: every method, tensors of several shapes, lists of lists and of tuples."""

from typing import List, Tuple

import bridge as torch
from bridge import Tensor
from loops.table import cases, ramp


def queue(x: Tensor, width: int) -> Tensor:
    """append and pop(0): a window."""
    window: List[Tensor] = []
    total = torch.zeros(x.size(1))
    for i in range(x.size(0)):
        window.append(x[i])
        if len(window) > width:
            old = window.pop(0)
            total = total - old
        total = total + x[i]
    return total


cases(queue, lambda: [(ramp(5, 3), 2), (ramp(1, 3), 2), (ramp(0, 3), 1), (ramp(6, 3), 0)])


def stack_machine(codes: List[int], x: Tensor) -> Tensor:
    """pop() from the end."""
    stack: List[Tensor] = []
    for c in codes:
        if c == 0:
            stack.append(x)
        elif c == 1:
            a = stack.pop()
            b = stack.pop()
            stack.append(a + b * 2)
        else:
            a = stack.pop()
            stack.append(a * a)
    return stack[-1]


cases(
    stack_machine,
    lambda: [([0, 0, 1, 2], ramp(3)), ([0], ramp(2)), ([0, 0, 0, 1, 1, 2], ramp(4)), ([0, 2, 0, 1], ramp(1))],
)


def inserted(x: Tensor) -> List[int]:
    """An insertion sort of ints with insert and indexing."""
    out: List[int] = []
    for i in range(x.size(0)):
        v = int(x[i])
        at = 0
        while at < len(out) and out[at] < v:
            at += 1
        out.insert(at, v)
    return out


cases(
    inserted,
    lambda: [
        (torch.tensor([3, 1, 2]),),
        (torch.tensor([5]),),
        (torch.zeros(0, dtype=torch.long),),
        (torch.tensor([4, 4, 1, 9, 0]),),
    ],
)


def inserted_tensors(x: Tensor) -> Tensor:
    """insert of tensors at both ends and in the middle."""
    out: List[Tensor] = [x[0]]
    for i in range(1, x.size(0)):
        if i % 3 == 0:
            out.insert(0, x[i])
        elif i % 3 == 1:
            out.insert(len(out), x[i] * 2)
        else:
            out.insert(-1, x[i] * 3)
    return torch.stack(out)


cases(inserted_tensors, lambda: [(ramp(4, 2),), (ramp(1, 2),), (ramp(8, 2),)])


def extended(x: Tensor, n: int) -> List[int]:
    out: List[int] = []
    for i in range(n):
        out.extend([i, i * i])
        if i % 2 == 1:
            out += [int(x[0])]
    return out


cases(extended, lambda: [(torch.tensor([7]), 3), (torch.tensor([7]), 0), (torch.tensor([1]), 6)])


def extended_tensors(x: Tensor, n: int) -> Tensor:
    """extend by lists of tensors, + of lists."""
    out: List[Tensor] = []
    for i in range(n):
        part = [x * i, x + i]
        out.extend(part)
        if i == 1:
            out = out + part
    if len(out) == 0:
        return x
    return torch.cat(out)


cases(extended_tensors, lambda: [(ramp(2), 3), (ramp(2), 0), (ramp(3), 1), (ramp(1), 2)])


def replaced(x: Tensor) -> Tensor:
    """setitem in a loop."""
    rows = [x[i] for i in range(x.size(0))]
    for i in range(len(rows)):
        if rows[i].sum() < 0:
            rows[i] = -rows[i]
        else:
            rows[i] = rows[i] + rows[i - 1]
    return torch.stack(rows)


cases(replaced, lambda: [(ramp(4, 3),), (ramp(1, 3),), (ramp(7, 2),)])


def replaced_ints(n: int) -> List[int]:
    """A sieve."""
    marks = [1] * n
    for i in range(2, n):
        if marks[i] == 1:
            for j in range(i * i, n, i):
                marks[j] = 0
    found: List[int] = []
    for i in range(2, n):
        if marks[i] == 1:
            found.append(i)
    return found


cases(replaced_ints, lambda: [(12,), (0,), (3,), (30,)])


def reversed_and_sorted(x: Tensor) -> Tuple[List[float], List[float], List[int]]:
    """reverse, sort, sorted, sort(reverse=True)."""
    values: List[float] = []
    for i in range(x.size(0)):
        values.append(float(x[i]))
    other = values + [0.5]
    values.reverse()
    other.sort()
    whole: List[int] = []
    for v in values:
        whole.append(int(v * 10))
    whole.sort(reverse=True)
    return values, other, whole


cases(reversed_and_sorted, lambda: [(ramp(4),), (ramp(0),), (ramp(7),)])


def cleared(x: Tensor) -> Tensor:
    """clear in a branch: the runs of one sign."""
    run: List[Tensor] = []
    best = torch.zeros(())
    for i in range(x.size(0)):
        if bool(x[i] < 0):
            run.clear()
        else:
            run.append(x[i])
        if len(run) > 0:
            total = torch.stack(run).sum()
            if bool(total > best):
                best = total
    return best


cases(cleared, lambda: [(ramp(6),), (-ramp(6).abs(),), (ramp(0),), (ramp(12),)])


def sliced(x: Tensor, n: int) -> List[int]:
    """Slices of a list of ints whose length is data."""
    values: List[int] = []
    for i in range(n):
        values.append(int(x[i]))
    if len(values) > 3:
        values = values[1:-1]
    return values[::2] + values[-2:]


cases(sliced, lambda: [(torch.tensor([4, 5, 6, 7, 8]), 5), (torch.tensor([1, 2]), 2), (torch.tensor([1]), 0)])


def sliced_tensors(x: Tensor, k: int) -> Tensor:
    """Slices of a list of tensors."""
    rows: List[Tensor] = []
    for i in range(x.size(0)):
        rows.append(x[i])
    first = rows[:k]
    last = rows[k:]
    total = torch.zeros(x.size(1))
    for r in first:
        total = total + r
    for r in last:
        total = total - r
    return total


cases(sliced_tensors, lambda: [(ramp(5, 2), 2), (ramp(5, 2), 0), (ramp(0, 2), 1), (ramp(3, 2), -1)])


def compared(a: Tensor, b: Tensor) -> Tuple[bool, bool, bool]:
    """Lists of ints compared."""
    x: List[int] = []
    y: List[int] = []
    for i in range(a.size(0)):
        x.append(int(a[i]))
    for i in range(b.size(0)):
        y.append(int(b[i]))
    return x == y, x != y, 3 in x


cases(
    compared,
    lambda: [
        (torch.tensor([1, 2]), torch.tensor([1, 2])),
        (torch.tensor([1, 3]), torch.tensor([1, 2])),
        (torch.tensor([3]), torch.tensor([1, 2])),
        (torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)),
    ],
)


def counted(x: Tensor) -> Tuple[int, int, int, int]:
    """count, index, min, max, sum of a list of ints."""
    values = [int(x[i]) for i in range(x.size(0))]
    values.append(2)
    return values.count(2), values.index(2), max(values) - min(values), sum(values)


cases(counted, lambda: [(torch.tensor([1, 2, 3]),), (torch.zeros(0, dtype=torch.long),), (torch.tensor([2, 2, 7, 5]),)])


def removed(x: Tensor, v: int) -> List[int]:
    values = [int(x[i]) for i in range(x.size(0))]
    while v in values:
        values.remove(v)
    del values[0]
    return values


cases(removed, lambda: [(torch.tensor([1, 2, 1, 3]), 1), (torch.tensor([5, 6]), 7), (torch.tensor([4]), 0)])


def shapes(x: Tensor, n: int) -> Tensor:
    """Tensors of different shapes in one list."""
    parts: List[Tensor] = []
    for i in range(n):
        parts.append(x[: i + 1])
    total = torch.zeros(())
    for p in parts:
        total = total + p.sum() * p.size(0)
    return total


cases(shapes, lambda: [(ramp(5), 3), (ramp(5), 0), (ramp(2), 6)])


def pyramid(x: Tensor) -> List[Tensor]:
    """A list that is returned."""
    levels = [x]
    while levels[-1].size(0) > 1:
        y = levels[-1]
        n = y.size(0) // 2
        levels.append((y[: 2 * n : 2] + y[1 : 2 * n : 2]) / 2)
    return levels


cases(pyramid, lambda: [(ramp(8),), (ramp(1),), (ramp(5),)])


def padded(xs: List[Tensor]) -> Tensor:
    """Pads ragged rows to the longest."""
    longest = 0
    for x in xs:
        longest = max(longest, x.size(0))
    rows = []
    for x in xs:
        rows.append(torch.cat([x, torch.zeros(longest - x.size(0))]))
    return torch.stack(rows)


cases(padded, lambda: [([ramp(2), ramp(4)],), ([ramp(3)],), ([ramp(1), ramp(0), ramp(5)],)])


def rows_of_ints(n: int) -> List[int]:
    """Pascal's triangle: each row from the last."""
    row = [1]
    for _ in range(n):
        new = [1]
        for j in range(len(row) - 1):
            new.append(row[j] + row[j + 1])
        new.append(1)
        row = new
    return row


cases(rows_of_ints, lambda: [(3,), (0,), (1,), (6,)])


def triangle(n: int) -> int:
    """All rows kept: a list of lists whose length is data."""
    rows: List[List[int]] = []
    for i in range(n):
        row: List[int] = []
        for j in range(i + 1):
            row.append(i * j)
        rows.append(row)
    total = 0
    for row in rows:
        for v in row:
            total += v
        total += len(row)
    return total


cases(triangle, lambda: [(4,), (0,), (1,)])


def pairs(x: Tensor) -> Tuple[Tensor, int]:
    """A list of tuples, unpacked in a for."""
    found: List[Tuple[Tensor, int]] = []
    for i in range(x.size(0)):
        if bool(x[i].sum() > 0):
            found.append((x[i], i))
    total = torch.zeros(x.size(1))
    at = 0
    for row, i in found:
        total = total + row * i
        at += i
    return total, at


cases(pairs, lambda: [(ramp(4, 2),), (-ramp(4, 2).abs(),), (ramp(0, 2),), (ramp(9, 2),)])


def best_pair(x: Tensor) -> Tuple[int, float]:
    """The best of a list of tuples of numbers."""
    found: List[Tuple[int, float]] = []
    for i in range(x.size(0)):
        found.append((i, float(x[i])))
    best = (-1, -1e9)
    for f in found:
        if f[1] > best[1]:
            best = f
    return best


cases(best_pair, lambda: [(ramp(5),), (ramp(0),), (ramp(1),)])


def nested_append(x: Tensor) -> Tensor:
    """One list filled under two loops."""
    out: List[Tensor] = []
    for i in range(x.size(0)):
        for j in range(x.size(1)):
            out.append(x[i, j] * (i + j))
    if len(out) == 0:
        return torch.zeros(0)
    return torch.stack(out)


cases(nested_append, lambda: [(ramp(2, 3),), (ramp(1, 1),), (ramp(0, 3),), (ramp(3, 0),), (ramp(4, 2),)])


def ragged_append(x: Tensor) -> Tensor:
    """One list filled under two loops, the inner one of changing length."""
    out: List[Tensor] = []
    for i in range(x.size(0)):
        for j in range(i):
            out.append(x[i] + x[j])
    if len(out) == 0:
        return x
    return torch.stack(out)


cases(ragged_append, lambda: [(ramp(4, 2),), (ramp(1, 2),), (ramp(0, 2),)])


def two_lists(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Two lists, filled in different branches."""
    up: List[Tensor] = []
    down: List[Tensor] = []
    for i in range(x.size(0)):
        if bool(x[i] > 0):
            up.append(x[i])
        else:
            down.append(x[i])
    a = torch.stack(up) if len(up) > 0 else torch.zeros(0)
    b = torch.stack(down) if len(down) > 0 else torch.zeros(0)
    return a, b


cases(two_lists, lambda: [(ramp(5),), (ramp(5).abs(),), (ramp(0),), (-ramp(4).abs(),)])


def twice(x: Tensor) -> Tensor:
    """Two appends in each iteration."""
    out: List[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i])
        out.append(x[i] * 2)
    return torch.stack(out, dim=1)


cases(twice, lambda: [(ramp(3, 2),), (ramp(1, 2),), (ramp(0, 2),)])


def continued(x: Tensor) -> Tensor:
    """append after continue, and break."""
    out: List[Tensor] = []
    for i in range(x.size(0)):
        if bool(x[i].sum() < -0.5):
            continue
        if bool(x[i].sum() > 1.2):
            break
        out.append(x[i])
    if len(out) == 0:
        return torch.zeros(1, x.size(1))
    return torch.stack(out)


cases(continued, lambda: [(ramp(6, 2),), (ramp(0, 2),), (ramp(6, 2) * 3,), (ramp(6, 2).abs() * -1,)])


def zipped(a: Tensor, b: Tensor, names: List[int]) -> Tensor:
    """zip and enumerate over tensors and lists."""
    total = torch.zeros(a.size(1))
    for i, (x, y) in enumerate(zip(a, b)):
        total = total + x * y * i
    for n, x in zip(names, a):
        total = total + x * n
    return total


cases(zipped, lambda: [(ramp(3, 2), ramp(3, 2), [1, 2]), (ramp(3, 2), ramp(1, 2), []), (ramp(0, 2), ramp(2, 2), [4])])


def sizes(x: Tensor, cuts: List[int]) -> Tensor:
    """A list of ints used as sizes."""
    out: List[Tensor] = []
    start = 0
    for c in cuts:
        out.append(x[start : start + c].sum().reshape(1))
        start += c
    grid = torch.zeros(len(cuts), start)
    return grid + torch.cat(out).unsqueeze(1)


cases(sizes, lambda: [(ramp(6), [2, 3]), (ramp(6), [1]), (ramp(9), [3, 3, 3])])


def empty_stack(x: Tensor) -> Tensor:
    """stack of a list that may be empty raises."""
    out: List[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i] * 2)
    return torch.stack(out)


cases(empty_stack, lambda: [(ramp(2, 3),), (ramp(0, 3),), (ramp(1, 0),)])


def out_of_range(x: Tensor, i: int) -> Tensor:
    """An index of a list that may not be there raises."""
    rows = [x[j] for j in range(x.size(0))]
    return rows[i]


cases(out_of_range, lambda: [(ramp(3, 2), 1), (ramp(3, 2), -3), (ramp(3, 2), 3), (ramp(0, 2), 0), (ramp(3, 2), -4)])


def popped_empty(n: int) -> int:
    values: List[int] = []
    for i in range(n):
        values.append(i)
    values.pop()
    return len(values)


cases(popped_empty, lambda: [(3,), (1,), (0,)])


def copied(x: Tensor, n: int) -> Tuple[List[int], List[int]]:
    """copy() and list() are other lists; a second name is not."""
    a = [1, 2]
    b = a.copy()
    c = a
    for i in range(n):
        a.append(i)
        if i == 1:
            b.append(int(x[0]))
    c.append(9)
    return a, b


cases(copied, lambda: [(torch.tensor([5]), 3), (torch.tensor([5]), 0), (torch.tensor([5]), 1)])


def bools(x: Tensor) -> Tuple[bool, bool, List[bool]]:
    """Lists of bools; all and any."""
    flags: List[bool] = []
    for i in range(x.size(0)):
        flags.append(bool(x[i] > 0))
    return all(flags), any(flags), flags


cases(bools, lambda: [(ramp(4),), (ramp(0),), (ramp(3).abs(),), (-ramp(3).abs(),)])
