"""Programs of numbers alone run as Python functions; what fails in them fails as in the interpreter."""

import copy
from typing import Optional

import pytest

import bridge
from bridge.jit.running import interpreted


def collatz(n: int) -> tuple[int, int]:
    steps = 0
    top = n
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
        top = max(top, n)
        if steps > 200:
            return -1, top
    return steps, top


def sieve(n: int) -> list[int]:
    marks = [1] * n
    for i in range(2, n):
        if marks[i] == 1:
            for j in range(i * i, n, i):
                marks[j] = 0
    return [i for i in range(2, n) if marks[i] == 1]


def root(a: float, b: float) -> float:
    for _ in range(50):
        m = (a + b) / 2
        if m * m > 2.0:
            b = m
        else:
            a = m
        if b - a < 1e-9:
            break
    return a


def changes(v: list[int], i: int) -> int:
    v.append(3)
    v[0] = v[-1] * 2
    return v[i] // (i - 1) + len(v)


def flags(values: list[float], limit: float) -> tuple[bool, float, list[bool]]:
    seen: list[bool] = []
    total = 0.0
    for v in values:
        if not (v < limit or v == 7.0):
            continue
        seen.append(v > 0)
        total += v if v >= 0 else -v / 2
    return len(seen) > 1 and seen[0], min(total, 9.5), seen


ROWS = [
    (collatz, (27,)), (collatz, (1,)), (collatz, (0,)), (sieve, (30,)), (sieve, (0,)), (root, (0.0, 2.0)), (changes, ([1, 2], 0)),
    (changes, ([1, 2], 2)), (flags, ([1.0, 7.0, -3.0], 5.0)), (flags, ([], 1.0)),
]  # fmt: skip


@pytest.mark.parametrize(("f", "arguments"), ROWS)
def test_does_what_python_does(f, arguments):
    script = bridge.jit.script(f)
    found, expected = script(*[list(a) if isinstance(a, list) else a for a in arguments]), f(*arguments)
    assert script._function.runtime.host is not None
    assert found == expected
    assert [type(x) for x in (found if isinstance(found, tuple) else [found])] == [
        type(x) for x in (expected if isinstance(expected, tuple) else [expected])
    ]


def test_failures_are_told_as_ever():
    script = bridge.jit.script(changes)
    with pytest.raises(RuntimeError, match="division by 0"):
        script([1, 2], 1)
    with pytest.raises(RuntimeError, match="Expected a value of type"):
        script([1, 2], "1")


def test_the_callers_list_is_not_changed():
    script, values = bridge.jit.script(changes), [1, 2]
    script(values, 0)
    assert values == [1, 2]


def test_tensors_go_to_onnxruntime():
    def twice(x, n: int):
        return x * n

    assert bridge.jit.script(twice)(bridge.ones(2), 2).tolist() == [2.0, 2.0]


def factorial(n: int) -> int:
    found = 1
    for i in range(n):
        found *= i + 1
    return found


def hashed(codes: list[int], seed: int) -> tuple[int, int]:
    h = seed
    for c in codes:
        h = h * 33 + c - 7
    return h, h % 1000


def opposite(n: int) -> int:
    return -n if n < 0 else n


def doubled(times: int) -> tuple[int, float]:
    a, b = 1, 1
    while a + b > 0 and times > 0:
        a, b = b, a + b
        times -= 1
    return b, (b * 2) / 3


def truncated(x: float) -> int:
    return int(x * x)


def nested_counts(n: int) -> int:
    total = 0
    for i in range(n):
        for _ in range(i):
            total += 2
        total = total * 3 - i
    return total


def of_floats(a: float, b: float) -> tuple[float, float]:
    return a // b, a % b


def words(text: str, n: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in text.split(" "):
        if len(word) > n:
            found[word] = found.get(word, 0) + 1
    return found


def grouped(values: list[int]) -> tuple[list[int], list[list[int]], bool]:
    groups: dict[int, list[int]] = {}
    for i in range(len(values)):
        k = values[i] % 3
        if k not in groups:
            groups[k] = []
        groups[k].append(i)
    if len(values) > 2:
        del groups[values[0] % 3]
    return list(groups.keys()), list(groups.values()), 1 in groups


def perhaps(values: list[float]) -> float:
    best: Optional[float] = None  # noqa: UP045 (both ways of writing it)
    for v in values:
        if best is None or v > best:
            best = v
    return -1.0 if best is None else best


def transposed(rows: list[list[int]], names: dict[str, int]) -> tuple[list[list[int]], int]:
    out: list[list[int]] = []
    for i in range(len(rows[0])):
        out.append([r[i] for r in rows])
    rows[0][0] = 5
    names["a"] = 4
    return out, rows[1][0] + names["b"]


def shifted(n: int, a: int, b: int) -> tuple[int, int, int, int]:
    c, kept = 0, 0
    while n > 0:
        old = a
        if a % 2 == 0:
            a = b + 1
            kept = c
        else:
            c = a
            a = b
        b = old - c
        n -= 1 if b != a else 2
        if c > 50:
            break
    return a, b, c, kept


def extremes(a: int, b: float) -> tuple[float, float, float]:
    total = 0.0
    for i in range(a):
        total += max(i, b)
    return max(a, b), min(b, a), total


LARGE = 2**62
#: What has left 64 bits once is given to onnxruntime from then on.
WRAP = {factorial, hashed, opposite, doubled, nested_counts}
COMPARED = [
    (factorial, (5,)), (factorial, (25,)), (factorial, (70,)), (hashed, ([1, 2, 3] * 9, 5381)), (hashed, ([], LARGE)),
    (opposite, (-LARGE * 2,)), (opposite, (-3,)), (doubled, (200,)), (doubled, (60,)), (doubled, (3,)), (truncated, (3.7,)),
    (nested_counts, (9,)), (nested_counts, (60,)), (of_floats, (1.0, 0.1)), (of_floats, (-7.5, 2.0)), (of_floats, (5.0, -0.3)),
    (of_floats, (1e300, 1e-5)), (words, ("a bb ccc bb ddd", 1)), (words, ("", 0)), (grouped, ([4, 1, 3, 7, 5],)), (grouped, ([],)),
    (perhaps, ([1.0, 3.0, float("nan")],)), (perhaps, ([],)), (transposed, ([[1, 2], [3, 4]], {"a": 1, "b": 2})),
    (extremes, (3, 2.0)), (extremes, (1, 2.5)), (shifted, (9, 4, 7)), (shifted, (30, 5, 2)), (shifted, (0, 1, 1)), (shifted, (25, 8, 8)),
]  # fmt: skip


@pytest.mark.parametrize(("f", "arguments"), COMPARED)
def test_gives_what_the_interpreter_gives(f, arguments):
    """64 bits of ints, floats that are rounded before they are cut off, dicts, texts, None."""
    script = bridge.jit.script(f)
    expected = interpreted(script)(*copy.deepcopy(arguments))
    assert repr(script(*copy.deepcopy(arguments))) == repr(expected)
    assert script._function.runtime.host is not None or f in WRAP
    given = copy.deepcopy(arguments)
    assert script(*given) == expected
    assert given == arguments
