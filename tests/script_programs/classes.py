import enum
from typing import Any, List, Tuple

import torch
from torch import Tensor


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Word(enum.Enum):
    A = "a"
    B = "b"


@torch.jit.script
class Counter:
    def __init__(self, start: int, step: int = 2):
        self.value = start
        self.step = step
        self.seen: List[int] = []

    def next(self) -> int:
        self.value += self.step
        self.seen.append(self.value)
        return self.value

    def __add__(self, other: "Counter") -> "Counter":
        return Counter(self.value + other.value, 2)

    def __len__(self) -> int:
        return len(self.seen)

    def __getitem__(self, i: int) -> int:
        return self.seen[i]

    def __contains__(self, v: int) -> bool:
        return v in self.seen

    def __call__(self, n: int) -> int:
        return self.value * n

    @property
    def double(self) -> int:
        return self.value * 2

    @staticmethod
    def zero(x: int) -> int:
        return x * 0


@torch.jit.script
class Scope:
    def __init__(self, a: int):
        self.a = a

    def __enter__(self):
        self.a += 1
        return self.a

    def __exit__(self, a: Any, b: Any, c: Any):
        self.a -= 1


class Plain:
    def __init__(self, x: Tensor):
        self.x = x

    def twice(self):
        return self.x * 2


def counter(n: int):
    c = Counter(n)
    c.next()
    d = Counter(1, step=n)
    return c.next() + len(c) + c[0] + c.double + Counter.zero(3) + c(4), 3 in c, (c + d).value


def counter_in_loop(n: int):
    c = Counter(0)
    for i in range(n):
        if c.next() > 5:
            c.step = 1
        c.value += i
    return c.value


def passes_object(c: Counter) -> Tuple[int, Counter]:
    return c.next(), c


def plain_class(x):
    return Plain(x).twice()


def scoped(n: int):
    c = Scope(n)
    with c as v:
        r = v * 2
    with Scope(1):
        r += 1
    return r


def scoped_return(n: int):
    with Scope(n) as v:
        if v > 2:
            return v
        n = n + 1
    return n


def scoped_two(n: int):
    with Scope(n) as a, Scope(a) as b:
        n = a + b
    return n


def no_grad(x):
    with torch.no_grad():
        y = x + 1
    return y


def enums(x: Color, w: Word):
    if x == Color.RED or x.value == 2:
        return 1, x.name, w.value
    return 2, "none", w.name


def enum_result(n: int) -> Color:
    if n > 0:
        return Color.RED
    return Color.GREEN


def enum_loop():
    s = 0
    for c in Color:
        s += c.value
    return s
