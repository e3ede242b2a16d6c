"""Arithmetic of ints, floats and bools: Python's rounding and signs."""

import torch


@torch.jit.script
def ints(a: int, b: int):
    quotient = a // b
    rest = a % b
    return a + b, a - b, a * b, quotient, rest, a / b, -a, a ** 2, quotient * b + rest == a


@torch.jit.script
def floats(a: float, b: float):
    return a + b, a - b, a * b, a // b, a % b, a / b, -a, a ** 2.0, float(int(a)), a > b


@torch.jit.script
def mixed(n: int, f: float, flag: bool):
    total = n * f + n
    if flag:
        total = total - 1
    return total, int(total), float(n) / 4, max(n, 2), min(f, 0.5), abs(n), round(f), bool(n)


@torch.jit.script
def bits(a: int, b: int):
    return a & b, a | b, a ^ b, a << 2, a >> 1


class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = 3
        self.offset = 0.25

    def forward(self, x):
        n = x.size(0) * x.size(1) // 2
        width = x.shape[1] - 1
        return x * self.factor + self.offset + n, width, x.dim() * n


def subjects():
    yield "ints", ints, [(7, 2), (-7, 2), (7, -2), (-7, -2), (0, 5)]
    yield "floats", floats, [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0)]
    yield "mixed", mixed, [(3, 0.5, True), (-3, 2.5, False), (0, -1.5, True)]
    yield "bits", bits, [(12, 10), (-5, 3)]
    yield "scale", torch.jit.script(Scale()), [(torch.ones(2, 3),), (torch.ones(5, 1),)]
