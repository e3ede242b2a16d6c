"""Programs of numbers alone run as Python functions; what fails in them fails as in the interpreter."""

import pytest

import bridge


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
