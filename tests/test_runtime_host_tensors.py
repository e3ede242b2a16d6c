"""Programs that look at tensors element by element run as Python functions, and give what the interpreter gives."""

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


ROWS = {
    "a list": (collapse, [([1, 1, 0, 2, 2],), ([],), ([3],)], True),
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
    "floats beyond ints": (truncated, [([1.5, -2.7],), ([1.0, 1e30],)], True),
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
