"""`and`, `or`, `not`, chained comparisons and short circuits."""

import torch


@torch.jit.script
def between(x, low: float, high: float):
    s = x.sum().item()
    if low < s <= high:
        return x
    return torch.zeros_like(x)


@torch.jit.script
def logic(a: bool, b: bool, n: int):
    both = a and b
    either = a or b
    neither = not either
    both_or_many = a and b or n > 3
    return both, either, neither, both_or_many, not (a and not b)


@torch.jit.script
def safe(x, i: int):
    if i < x.size(0) and bool(x[i] > 0):
        return x[i] * 2
    return torch.zeros(())


@torch.jit.script
def mixed(x, y):
    if bool(x.sum() > 0) or (bool(y.sum() > 0) and bool((x + y).sum() > -5)):
        r = x + y
    else:
        r = x - y
    return r


def subjects():
    x = torch.tensor([1.0, -2.0, 3.0])
    yield "between", between, [(x, 0.0, 2.0), (x, 2.0, 4.0), (x, -1.0, 1.0)]
    yield "logic", logic, [(a, b, n) for a in (True, False) for b in (True, False) for n in (1, 5)]
    yield "safe", safe, [(x, 0), (x, 1), (x, 7)]
    yield "mixed", mixed, [(x, x), (-x, x), (-x * 9, x), (-x, -x)]
