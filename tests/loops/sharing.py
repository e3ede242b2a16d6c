"""Lists and tensors that several names stand for: changed through one, they change for all, or the program is refused."""

from typing import Dict, List, Tuple

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


def row_put_again(x: Tensor) -> List[List[int]]:
    """An element of a list is put into it once more."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    r = table[x.size(0) - 1]
    table[0] = r
    table[x.size(0) - 1][0] = 5
    return table


cases(row_put_again, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="may have another name")


def copied_rows(x: Tensor) -> Tuple[List[List[int]], List[List[int]]]:
    """A copy of a list has the same elements."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    other = list(table)
    table[x.size(0) - 1][0] = 5
    return table, other


cases(copied_rows, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="another list has, too")


def added_rows(x: Tensor) -> Tuple[List[List[int]], List[List[int]]]:
    """A longer list with the same elements."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    other = table + [[1]]
    table[x.size(0) - 1][0] = 5
    return table, other


cases(added_rows, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="another list has, too")


def extended_rows(x: Tensor) -> Tuple[List[List[int]], List[List[int]]]:
    """A list that gets the elements of another one."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    other = [[3]]
    other.extend(table)
    table[x.size(0) - 1][0] = 5
    return table, other


cases(extended_rows, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="another list has, too")


def listed_rows(x: Tensor) -> Tuple[List[List[int]], List[List[int]]]:
    """A list made of the elements of another one, one by one."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    other = [r for r in table]
    table[x.size(0) - 1][0] = 5
    return table, other


cases(listed_rows, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="another list has, too")


def part_of_rows(x: Tensor) -> Tuple[List[List[int]], List[List[int]]]:
    """A part of a list has the same elements."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    rows = table[1:]
    table[x.size(0) - 1][0] = 5
    return table, rows


cases(part_of_rows, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="another list has, too")


def values_of_lists(x: Tensor) -> Tuple[List[List[int]], List[int]]:
    """A list of the values of a dict."""
    d: Dict[int, List[int]] = {}
    for i in range(x.size(0)):
        d[i * 2] = [i]
    vals = list(d.values())
    d[2].append(9)
    return vals, d[0]


cases(values_of_lists, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="another list has, too")


def rows_in_tuples(x: Tensor) -> Tuple[List[List[int]], List[Tuple[int, List[int]]]]:
    """Elements of a list as parts of tuples."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    out: List[Tuple[int, List[int]]] = []
    for i in range(x.size(0)):
        out.append((i, table[i]))
    table[0][0] = 5
    return table, out


cases(rows_in_tuples, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="another list has, too")


def stale_rows(x: Tensor) -> Tuple[List[List[int]], List[List[int]]]:
    """Elements of a list are returned, of which one was changed under its other name."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    keep = [table[x.size(0) - 1], table[0]]
    table[x.size(0) - 1][0] = 5
    return table, keep


cases(stale_rows, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="was changed meanwhile")


def chosen_row_changed(x: Tensor) -> Tuple[List[List[int]], List[int]]:
    """Data decides which element of a list is changed."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    if bool(x.sum() > 3):
        r = table[0]
    else:
        r = table[x.size(0) - 1]
    r[0] = 5
    return table, r


cases(chosen_row_changed, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)], refused="which names stand for it")


def chosen_row_read(x: Tensor) -> Tuple[List[List[int]], int]:
    """Data decides which element of a list is read."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    if bool(x.sum() > 3):
        r = table[0]
    else:
        r = table[x.size(0) - 1]
    k = r[0]
    table[x.size(0) - 1][0] = 5
    return table, k


cases(chosen_row_read, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)])


def carried_row(x: Tensor) -> Tuple[List[List[int]], int]:
    """A row of a table is the next one's past."""
    table = [[i, 0, 0] for i in range(x.size(0))]
    cur = table[0]
    total = 0
    for i in range(x.size(0)):
        nxt = table[i]
        nxt[1] = cur[0] + cur[1] + 1
        total += nxt[1]
        cur = nxt
    return table, total


cases(carried_row, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)])


def row_in_branches(x: Tensor) -> List[List[int]]:
    """An element of a list is changed in branches under a name of its own."""
    table = [[0, 0, 0] for _ in range(x.size(0))]
    row = table[x.size(0) // 2]
    if bool(x.sum() > 3):
        row[0] = 7
    else:
        row[1] = 8
    row[2] = row[0] + 1
    if bool(x.sum() > 4):
        row.append(5)
    return table


cases(row_in_branches, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)])


def neighbours(x: Tensor) -> List[List[int]]:
    """An element of a list grows under a name of its own."""
    adj: List[List[int]] = [[] for _ in range(x.size(0))]
    for i in range(x.size(0)):
        mine = adj[i]
        for j in range(x.size(0)):
            if i != j and bool((x[i] * x[j]).sum() > 0.5):
                mine.append(j)
        if len(mine) == 0:
            mine.append(-1)
    return adj


cases(neighbours, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)])


def row_in_loops(x: Tensor) -> List[List[float]]:
    """Loops in loops change an element of a list under a name of its own."""
    table = [[0.0] for _ in range(x.size(0))]
    i = 0
    while i < x.size(0):
        cur = table[i]
        v = float(x[i].sum())
        while v > 0.5:
            v = v / 2
            if v > 1.0:
                cur.append(v)
            else:
                cur[0] += v
        i += 1
    return table


cases(row_in_loops, lambda: [(ramp(4, 3),), (-2 * ramp(2, 3),)])


def _most_by_axis(sizes: List[List[int]]) -> List[int]:
    most = sizes[0]
    for one in sizes[1:]:
        for k, n in enumerate(one):
            most[k] = max(most[k], n)
    return most


def padded_images(images: List[Tensor]) -> Tensor:
    """Images of several sizes as one tensor, as detection models make it."""
    sizes = [[image.shape[0], image.shape[1]] for image in images]
    most = _most_by_axis(sizes)
    out = torch.zeros(len(images), most[0], most[1])
    for image, place in zip(images, out):
        place[: image.shape[0], : image.shape[1]].copy_(image)
    return out


cases(padded_images, lambda: [([ramp(2, 3), ramp(4, 1)],), ([ramp(5, 2), ramp(1, 1), ramp(3, 4)],)])
