"""Programs that look at tensors element by element run as Python functions, and give what the interpreter gives."""

from typing import NamedTuple

import pytest

import bridge
from bridge import Tensor, nn
from bridge.jit.running import interpreted


def collapse(codes: Tensor) -> Tensor:
    out: list[int] = []
    last = -1
    for i in range(codes.numel()):
        c = int(codes[i])
        if c != last and c != 0:
            out.append(c)
        last = c
    return bridge.tensor(out, dtype=bridge.long)


def runs(ids: Tensor, x: Tensor) -> tuple[list[int], float]:
    numbers: list[int] = ids.tolist()
    table: list[list[float]] = x.tolist()
    out: list[int] = []
    last = None
    for n in numbers:
        if last is None or n != last:
            out.append(n)
        last = n
    numbers.clear()
    total = 0.0
    for row in table:
        for v in row:
            total += v
    return out, total


def merge(a: Tensor, b: Tensor) -> Tensor:
    out = bridge.zeros(a.size(0) + b.size(0))
    i, j, k = 0, 0, 0
    while i < a.size(0) and j < b.size(0):
        if a[i] <= b[j]:
            out[k] = a[i]
            i += 1
        else:
            out[k] = b[j]
            j += 1
        k += 1
    if i < a.size(0):
        out[k:] = a[i:]
    else:
        out[k:] = b[j:]
    return out


def first_above(x: Tensor, level: float) -> tuple[int, Tensor]:
    for i in range(x.size(0)):
        if x[i] > level:
            return i, x[i] * 2 + 1
    return -1, bridge.zeros(())


def swapped(x: Tensor) -> Tensor:
    y = x.clone()
    for i in range(1, y.size(0)):
        before = y[i - 1]  # a view: it is what is written next
        y[i - 1] = y[i]
        y[i] = before
    return y


def copied(x: Tensor) -> Tensor:
    y = x.clone()
    for i in range(1, y.size(0)):
        before = float(y[i - 1])
        y[i - 1] = y[i]
        y[i] = before
    return y


def visits(table: Tensor, state: int, steps: int) -> tuple[Tensor, int]:
    seen = bridge.zeros(table.size(0), dtype=bridge.long)
    for _ in range(steps):
        seen[state] += 1
        state = int(table[state, steps % 2])
    return seen, state


def spread(x: Tensor, n: int) -> Tensor:
    out = bridge.full((n, x.size(0)), -1.0)
    for i in range(n):
        row = out[i]
        row[: i + 1] = x[: i + 1]
        row[0] *= 2
    return out


def itself(x: Tensor) -> Tensor:
    total = 0
    for i in range(x.size(0)):
        total += int(x[i])
    return x if total > 3 else x.clone()


def written(x: Tensor) -> Tensor:
    for i in range(x.size(0)):
        if int(x[i]) > 1:
            x[i] = 0.5
    return x + 1


def nested(x: Tensor) -> list[list[int]]:
    rows: list[list[int]] = []
    for i in range(x.size(0)):
        row: list[int] = []
        for j in range(int(x[i])):
            row.append(j * 2)
        rows.append(row)
    rows[0].append(7)
    return rows


def rates(steps: Tensor) -> Tensor:
    found: list[float] = []
    for i in range(steps.size(0)):
        s = int(steps[i])
        if s < 0:
            raise ValueError(f"step {s} is negative")
        found.append(float(bridge.cos(bridge.tensor(s * 0.3))) if s > 2 else s / 4)
    return bridge.tensor(found)


def mixed(x: Tensor, limit: float) -> float:
    total = 0.0
    for i in range(x.size(0)):
        if x[i] > limit:
            total += float(x[i] * x[0] / x[1] - limit)
    return total


def prefixes(logp: Tensor) -> tuple[list[int], Tensor]:
    steps, classes = logp.shape
    beams: list[list[int]] = [[]]
    scores = [0.0]
    for t in range(steps):
        grown: list[list[int]] = []
        found: list[float] = []
        for i in range(len(beams)):
            for c in range(classes):
                grown.append(beams[i] + [c] if c > 0 else beams[i])
                found.append(scores[i] + float(logp[t, c]))
        order = bridge.tensor(found).argsort(descending=True, stable=True)
        beams = [grown[int(order[k])] for k in range(2)]
        scores = [found[int(order[k])] for k in range(2)]
    return beams[0], bridge.logaddexp(bridge.tensor(scores), bridge.tensor(scores))


def last_rows(keys, rows, keep: int):
    kept: dict[int, bridge.Tensor] = {}
    order: list[int] = []
    for i in range(keys.size(0)):
        k = int(keys[i].item())
        if k in kept:
            kept[k] = kept[k] * 0.5 + rows[i]
        else:
            if len(order) == keep:
                del kept[order.pop(0)]
            order.append(k)
            kept[k] = rows[i]
    total = bridge.zeros(rows.size(1))
    for row in kept.values():
        total = total - row
    return total, order


def written_through_dicts(rows):
    own = rows.clone()
    kept: dict[int, bridge.Tensor] = {}
    sums = bridge.zeros(rows.size(1))
    for i in range(own.size(0)):
        kept[i] = own[i]
        before = own[i] + own[0]
        own[0].fill_(float(i))
        sums = sums + before * kept[0]
    return sums


def two_types(rows, whole):
    kept: dict[int, bridge.Tensor] = {}
    for i in range(rows.size(0)):
        kept[i] = rows[i]
        kept[i + 1] = whole[i]
    return kept[0] * 2


def extended(rows):
    kept: dict[int, int] = {}
    a: list[bridge.Tensor] = []
    b: list[bridge.Tensor] = []
    for i in range(rows.size(0)):
        kept[i] = i
        b.append(rows[i])
        a.extend(b)
    return a[0] + a[len(kept)]


def truncated(values):
    out: list[int] = []
    for i in range(values.size(0)):
        out.append(int(values[i]))
    return out


def digits(values):
    h = 7
    for i in range(values.size(0)):
        h = h * 31 + int(values[i])
    return h


def handed_out(rows):
    kept: dict[int, bridge.Tensor] = {}
    for i in range(rows.size(0)):
        kept[i] = rows[i] * 2
    return kept


def walked(grid, start: tuple[int, int], most: int) -> tuple[int, int]:
    at = start
    for _ in range(most):
        for s in [(0, 1), (1, 0)]:
            y, x = at[0] + s[0], at[1] + s[1]
            if y < grid.size(0) and x < grid.size(1) and bool(grid[y, x] == 0):
                at = (y, x)
    return at


class Interval(NamedTuple):
    low: float
    high: float
    count: int = 1


def merged(rows) -> tuple[list[float], int]:
    out: list[Interval] = []
    for r in rows:
        new = Interval(float(r[0]), float(r[1]))
        if len(out) > 0 and new.low <= out[-1].high:
            last = out.pop()
            new = Interval(min(last.low, new.low), max(last.high, new.high), last.count + 1)
        out.append(new)
    return [i.high - i.low for i in out], sum([i.count for i in out])


def named(rows) -> list[Interval]:
    return [Interval(float(r[0]), float(r[1])) for r in rows]


def every_other(x, k: int):
    out = bridge.zeros(2 * x.size(0) + 1)
    out[1::2] = x
    total = 0.0
    for i in range(out.size(0)):
        total += float(out[i]) * k
    return out, total


def looked_up(codes, table):
    total = bridge.zeros_like(table)
    for i in range(codes.size(0)):
        total[codes[i]] = total[codes[codes[i]]] + table[codes[i]]
    return total


def alike(rows, k: int):
    found: list[int] = []
    for i in range(rows.size(0)):
        for j in range(i):
            if bridge.equal(rows[i], rows[j]) or bridge.equal(rows[i, k:], rows[j, 1:]):
                found.append(i * 10 + j)
    return bridge.tensor(found, dtype=bridge.long)


def read_before_written(x):
    """The element is read through a branch, and used when another one was written to."""
    new = x.clone()
    for i in range(1, x.size(0)):
        value = new[i]
        if i > 1:
            value = value + new[i - 1]
        new[i] = value * 2
    return new


def read_after_written(x):
    """It is a view, also through a branch."""
    new = x.clone()
    for i in range(1, x.size(0)):
        value = new[i]
        if i > 1:
            value = new[0]
        new[i] = new[i] + 1
        new[0] = value * 2
    return new


def written_out(x):
    out = bridge.zeros(3)
    for i in range(x.size(0)):
        bridge.add(x[i], 1.0, out=out[i])
    return out


ROWS = {
    "results that are written to an argument": (written_out, [([1.0, 2.0, 3.0],)], False),
    "a tuple": (walked, [([[0, 0, 0], [1, 0, 1]], (0, 0), 3), ([[0]], (0, 0), 2), ([[0, 0]], (0, -1), 1)], True),
    "names in tuples": (merged, [([[1.0, 3.0], [2.0, 4.0], [6.0, 7.0]],), ([[0.0, 1.0]],)], True),
    "tuples with names that are given out": (named, [([[1.0, 3.0]],)], False),
    "every other element": (every_other, [([1.0, 2.0], 3), ([], 1), ([4.0], 2)], True),
    "elements by elements": (
        looked_up,
        [([0, 1, 1], [1.0, 2.0]), ([], [3.0]), ([-1], [4.0])],
        True,
    ),
    "rows that are alike": (
        alike,
        [([[1, 2], [1, 2], [0, 2]], 1), ([[1, 2], [2, 1], [0, 2]], 0), ([[1.0, float("nan")], [1.0, float("nan")]], 1)],
        True,
    ),
    "an element that is read before it is written to": (read_before_written, [([1.0, 2.0, 3.0],), ([1.0],)], True),
    "an element that is written to before it is read": (read_after_written, [([1.0, 2.0, 3.0, 4.0],)], False),
    "a list": (collapse, [([1, 1, 0, 2, 2],), ([],), ([3],)], True),
    "numbers in lists": (
        runs,
        [([1, 1, 0, 2, 2], [[1.5, 2.0], [0.5, 1.0]]), ([3], [[0.0]])],
        True,
    ),
    "slices": (merge, [([1.0, 3.0], [2.0, 2.5, 9.0]), ([1.0], [0.0]), ([0.5], [])], True),
    "an early return": (first_above, [([0.5, 0.1, 3.0], 0.1), ([0.1, 0.2], 0.1), ([], 1.0), ([0.1], 0.3)], True),
    "a view that is written to": (swapped, [([1.0, 2.0, 3.0],)], False),
    "a copy of what is written to": (copied, [([1.0, 2.0, 3.0],), ([4.0],)], True),
    "counts": (visits, [([[1, 2], [0, 1], [2, 0]], 0, 5), ([[1, 2], [0, 1], [2, 0]], -1, 4)], True),
    "rows": (spread, [([1.0, 2.0, 3.0], 3), ([1.0, 2.0], 5)], True),
    "the argument": (itself, [([1.0, 2.0, 3.0],), ([0.0],)], False),
    "writes to the argument": (written, [([1.0, 2.0, 3.0],)], False),
    "prefixes": (prefixes, [([[-0.1, -2.5], [-1.5, -0.3], [-0.4, -1.2]],)], True),
    "lists of lists": (nested, [([2, 0, 3],)], True),
    "dicts of tensors": (
        last_rows,
        [([3, 1, 3, 2], [[1.0, 2.0], [0.5, 0.25], [4.0, 1.0], [0.0, 3.0]], 2), ([], [[1.0, 2.0]], 1)],
        True,
    ),
    "views in dicts": (written_through_dicts, [([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],)], True),
    "tensors of two types in a dict": (two_types, [([[1.0], [2.0]], [[1], [2]])], False),
    "lists that are joined": (extended, [([[1.0], [2.0]],)], False),
    "floats as ints": (truncated, [([1.5, -2.7],), ([],)], True),
    "ints that leave 64 bits": (digits, [([3, 2],), ([5] * 40,)], False),
    "a dict that is given out": (handed_out, [([[1.0], [2.0]],)], False),
    "functions of numbers": (rates, [([0, 1, 5, 9],)], True),
    "numbers of one type": (mixed, [([0.1, 0.3, 0.7, 1e30], 0.1), ([1e38, 1e-38], 0.5), ([1.0, 0.0], 0.0)], True),
}


def tensors(arguments):
    return [bridge.tensor(a, dtype=None if a else bridge.float32) if isinstance(a, list) else a for a in arguments]


def program_of(script):
    """The Python functions that were made for calls, by kind of arguments."""
    return [p for p in (script._function.runtime.hosts or {}).values() if p is not None]


def same(a, b):
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Tensor):
        return a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()
    return type(a) is type(b) and a == b


@pytest.mark.filterwarnings("ignore:.*runs in the interpreter")
@pytest.mark.parametrize("name", ROWS)
def test_gives_what_the_interpreter_gives(name):
    f, sets, hosted = ROWS[name]
    script = bridge.jit.script(f)
    for arguments in sets:
        assert same(script(*tensors(arguments)), interpreted(script)(*tensors(arguments))), arguments
    assert bool(program_of(script)) is hosted


def test_what_fails_fails_as_ever():
    table = bridge.tensor([[1, 5], [0, 1]])
    for f, arguments, told in (
        (rates, [bridge.tensor([1, -4])], "step -4 is negative"),
        (visits, [table, 0, 3], "5 out of range|5 is out of bounds"),
        (truncated, [bridge.tensor([1.0, 1e30])], "int64_t without overflow"),
    ):
        script = bridge.jit.script(f)
        with pytest.raises(Exception, match=told) as expected:
            interpreted(script)(*arguments)
        with pytest.raises(type(expected.value), match=told):
            script(*arguments)


def test_gradients_go_another_way():
    script = bridge.jit.script(first_above)
    x = bridge.tensor([0.5, 2.0], requires_grad=True)
    script(x, 1.0)[1].backward()
    assert x.grad.tolist() == [0.0, 2.0]


class Machine(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", bridge.tensor([[1, 2], [2, 0], [0, 1]]))
        self.stop = 2

    def forward(self, events: Tensor) -> int:
        at = 0
        for i in range(events.size(0)):
            at = int(self.table[at, int(events[i])])
            if at == self.stop:
                return i
        return -1


def test_attributes_are_read_with_each_call():
    script, events = bridge.jit.script(Machine()), bridge.tensor([0, 0, 1])
    assert script(events) == 1
    script.table[0, 0] = 2
    assert script(events) == 0
    script.stop = 5
    assert script(events) == -1
    script.table = bridge.tensor([[5, 5]])
    assert script(events[:1]) == 0


class Tree(nn.Module):
    """A buffer that is written to, part of it through a method."""

    def __init__(self):
        super().__init__()
        self.tree = nn.Buffer(bridge.arange(4.0))
        self.other = nn.Buffer(bridge.arange(4.0))

    def put(self, i: int, v: Tensor):
        self.tree[i] = v

    def forward(self, at: Tensor, x: Tensor) -> Tensor:
        total = bridge.zeros(1)
        for k in range(at.numel()):
            i = int(at[k])
            change = x[k] - self.tree[i]
            self.put(i, x[k])
            while i > 0:
                i = i // 2
                self.tree[i] += change
            total[0] += self.other[i] + self.tree[0]
        return total


def test_attributes_that_are_written_to():
    script, eager = bridge.jit.script(Tree()), Tree()
    sets = [([3, 1], [5.0, 6.0]), ([], []), ([2], [1.0]), ([1, 7], [2.0, 3.0]), ([3], [0.5])]
    with bridge.no_grad():
        for at, x in sets:
            given = [bridge.tensor(at, dtype=bridge.long), bridge.tensor(x)]
            before, version = script.tree.tolist(), script.tree._version
            if 7 in at:
                with pytest.raises(RuntimeError, match=r"out of (range|bounds)"):
                    script(*given)
                # what came before stays written, as the program has it
                with pytest.raises(IndexError):
                    eager(*given)
            else:
                assert script(*given).tolist() == eager(*given).tolist()
                assert not at or script.tree._version > version
                assert bool(at) == (script.tree.tolist() != before)
            assert script.tree.tolist() == eager.tree.tolist()
    entry = script._c.runtime[script._c.type.find_method("forward")]
    assert any(p is not None for p in entry.hosts.values())


class Rates(nn.Module):
    def __init__(self):
        super().__init__()
        self.floor, self.top = 0.5, 8.0

    def forward(self, steps: Tensor) -> Tensor:
        rates: list[float] = []
        for i in range(steps.size(0)):
            s = int(steps[i])
            if s > 3:
                rate = self.floor
            else:
                rate = min(self.top, max(self.floor, s / 2))
            rates.append(rate + self.floor)
        return bridge.tensor(rates)


def test_attributes_keep_their_values():
    """Their names are not those of what they are assigned to."""
    script = bridge.jit.script(Rates())
    assert script(bridge.tensor([3, 4, 1, 5, 2])).tolist() == [2.0, 1.0, 1.0, 1.0, 1.5]


@pytest.mark.filterwarnings("ignore:.*runs in the interpreter")
@pytest.mark.parametrize("tied", ["argument", "part", "attribute"])
def test_attributes_that_share_memory_are_written_to_as_ever(tied):
    script, eager = bridge.jit.script(Tree()), Tree()
    at = bridge.tensor([3, 1, 0])
    results = []
    with bridge.no_grad():
        for m in (script, eager):
            for _ in range(2):
                if tied == "attribute":
                    m.other = m.tree
                x = {"argument": m.tree, "part": m.tree[1:], "attribute": bridge.ones(3)}[tied]
                results.append([*m(at, x).tolist(), *m.tree.tolist()])
    assert results[:2] == results[2:]


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        groups: dict[int, list[int]] = {}
        for i in range(labels.size(0)):
            k = int(labels[i])
            if k not in groups:
                groups[k] = []
            groups[k].append(i)
        z = self.fc(x)
        means: list[Tensor] = []
        for members in groups.values():
            total = bridge.zeros(3)
            for i in members:
                total = total + z[i]
            means.append(total / len(members))
        return bridge.stack(means)


def test_layers_beside_dicts():
    script = bridge.jit.script(Grouped())
    x, labels = bridge.randn(4, 2), bridge.tensor([1, 0, 1, 2])
    with bridge.no_grad():
        for w in (None, bridge.ones(3, 2)):
            if w is not None:
                script.fc.weight = nn.Parameter(w)
            for _ in range(2):
                assert bridge.allclose(script(x, labels), interpreted(script.forward)(x, labels), atol=1e-6)
        with pytest.raises(RuntimeError, match="non-empty"):
            script(x[:0], labels[:0])
    assert script(x, labels).requires_grad
    entry = script._c.runtime[script._c.type.find_method("forward")]
    assert any(p is not None for p in entry.hosts.values())


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.counts = nn.Buffer(bridge.zeros(3))

    def forward(self, codes: Tensor) -> int:
        for i in range(codes.numel()):
            self.counts[int(codes[i])] += 1
        return int(self.counts[0])


def test_one_buffer_that_is_written_to():
    script = bridge.jit.script(Counts())
    for n in range(1, 4):
        assert script(bridge.tensor([0, 2, 0])) == 2 * n
        assert script.counts.tolist() == [2.0 * n, 0.0, n]
    entry = script._c.runtime[script._c.type.find_method("forward")]
    assert any(p is not None for p in entry.hosts.values())
