"""Lists and tensors that several names stand for: changed through one, they change for all, or the program is refused."""

from typing import List, Tuple

import bridge as torch
from bridge import Tensor
from loops.table import cases, ramp


def chosen(a: int, c: bool) -> Tuple[List[int], List[int], List[int]]:
    """Which list a name stands for depends on data."""
    x = [a]
    y = [a, a]
    z = x if c else y
    z.append(5)
    return x, y, z


cases(chosen, lambda: [(1, True), (1, False)], refused="which names stand for it")


def carried(n: int) -> Tuple[List[int], List[int]]:
    """A loop makes a name stand for another list."""
    x = [1]
    y = [2]
    for i in range(n):
        x = y
    x.append(n)
    return x, y


cases(carried, lambda: [(0,), (2,)], refused="which list")


def same_row(n: int) -> List[int]:
    """One list many times in another one."""
    row = [0, 0]
    grid: List[List[int]] = []
    for i in range(n):
        grid.append(row)
    if n > 1:
        grid[0][0] = 5
    return grid[n - 1]


cases(same_row, lambda: [(2,), (3,)], refused="may have another name")


def changed_after(n: int) -> int:
    """A list is changed after it was put into another one."""
    rows: List[List[int]] = []
    total = 0
    for i in range(n):
        row = [i]
        rows.append(row)
        row.append(i * 2)
    for row in rows:
        total += len(row)
    return total


cases(changed_after, lambda: [(2,), (0,)], refused="put into another list")


def swapped_lists(n: int) -> Tuple[List[int], List[int]]:
    """Two lists trade places and grow."""
    x = [1]
    y = [2]
    for i in range(n):
        x, y = y, x
        x.append(i)
    return x, y


cases(swapped_lists, lambda: [(3,), (0,), (2,)])


def one_of_three(x: Tensor, k: int) -> List[int]:
    """The list at a position that is data, of a few lists that have names."""
    a: List[int] = []
    b: List[int] = []
    c = [7]
    all3 = [a, b, c]
    for i in range(x.size(0)):
        all3[(k + i) % 3].append(int(x[i]))
    return a + b + c + all3[k]


cases(
    one_of_three,
    lambda: [(torch.tensor([1, 2, 3, 4]), 0), (torch.tensor([5]), 2), (torch.zeros(0, dtype=torch.long), 1)],
)


def written_rows(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Rows taken out of a list are views of the tensor: writing to them writes to it."""
    y = x.clone()
    rows = [y[i] for i in range(2)]
    rows[0].add_(1)
    rows[1].mul_(2)
    return y, rows[0] + rows[1]


cases(written_rows, lambda: [(ramp(2, 3),), (ramp(3, 2),)], refused="written to in place")


def replaced_in_branch(x: Tensor, n: int) -> Tuple[List[Tensor], int]:
    """A branch changes a list that another name stands for."""
    a = [x]
    b = a
    if n > 2:
        a.append(x * 2)
    else:
        b[0] = x * 3
    return b, len(a)


cases(replaced_in_branch, lambda: [(ramp(2), 3), (ramp(2), 1)])


def argument(v: List[int], n: int) -> int:
    """A helper that appends to its argument."""
    for i in range(n):
        v.append(i)
    return len(v)


def by_helper(n: int) -> Tuple[int, List[int]]:
    v = [1]
    k = argument(v, n)
    k = k + argument(v, 2)
    return k, v


cases(by_helper, lambda: [(2,), (0,)])


def first_name(n: int) -> Tuple[List[int], List[int]]:
    """A loop that may not run leaves a list what it was."""
    a = [1]
    b = a
    for i in range(n):
        a = a + [i]
    a.append(9)
    return a, b


cases(first_name, lambda: [(0,), (2,)], refused="which names stand for it")


def two_rows(x: Tensor, n: int) -> List[int]:
    """Rows of a table that trade places."""
    previous = [0, 1, 2]
    current = [0, 0, 0]
    for i in range(n):
        for j in range(3):
            current[j] = previous[j] + int(x[i]) * j
        previous, current = current, previous
    return previous


cases(two_rows, lambda: [(torch.tensor([1, 2]), 2), (torch.tensor([1, 2]), 0), (torch.tensor([4]), 1)])


class Record:
    def __init__(self, x: Tensor, n: int):
        self.x = x
        self.n = n


def in_two_lists(x: Tensor) -> int:
    """Objects of one list are changed through another list that holds them, too."""
    a: List[Record] = []
    for i in range(x.size(0)):
        a.append(Record(x[i], 0))
    b: List[Record] = []
    for i in range(len(a)):
        if float(a[i].x.sum()) > 0:
            b.append(a[i])
    for i in range(len(b)):
        b[i].n += 5
    total = 0
    for i in range(len(a)):
        total += a[i].n
    return total


cases(in_two_lists, lambda: [(ramp(4, 2),)], refused="another name or list may hold it")


def changed_by_its_name(x: Tensor) -> int:
    """An object is changed after it was put into a list."""
    a: List[Record] = []
    for i in range(x.size(0)):
        r = Record(x[i], 0)
        a.append(r)
        r.n += 1
    return a[0].n


cases(changed_by_its_name, lambda: [(ramp(4, 2),)], refused="put into another list")


def read_by_its_name(x: Tensor) -> int:
    """An object is read under another name after the list changed it."""
    a: List[Record] = []
    for i in range(x.size(0)):
        a.append(Record(x[i], 0))
    first = a[0]
    for i in range(len(a)):
        a[i].n += 5
    return first.n


cases(read_by_its_name, lambda: [(ramp(4, 2),)], refused="changed meanwhile")
