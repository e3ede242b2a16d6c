"""`break` and `continue`, in `for` and in `while`, in nested loops."""

import torch


@torch.jit.script
def first_above(x, limit: float):
    found = -1
    for i in range(x.size(0)):
        if x[i].item() > limit:
            found = i
            break
    return found


@torch.jit.script
def sum_positive(x):
    total = torch.zeros(1)
    for i in range(x.size(0)):
        if x[i] <= 0:
            continue
        total = total + x[i]
    return total


@torch.jit.script
def until_negative(x):
    i = 0
    total = torch.zeros(())
    while True:
        if i >= x.size(0):
            break
        v = x[i]
        i += 1
        if bool(v == 0):
            continue
        if v < 0:
            break
        total = total + v * i
    return total, i


@torch.jit.script
def pairs(n: int, m: int):
    count = 0
    last = (0, 0)
    for i in range(n):
        for j in range(m):
            if (i + j) % 3 == 0:
                continue
            if i * j > 6:
                break
            count += 1
            last = (i, j)
        if count > 20:
            break
    return count, last


def subjects():
    x = torch.tensor([1.0, -2.0, 0.0, 3.0, 5.0])
    yield "first_above", first_above, [(x, 0.5), (x, 2.5), (x, 9.0), (x[:0], 0.0)]
    yield "sum_positive", sum_positive, [(x,), (-x,), (x[:0],)]
    yield "until_negative", until_negative, [(x,), (x.abs(),), (-x.abs(),), (x[:0],)]
    yield "pairs", pairs, [(0, 0), (3, 4), (5, 7), (9, 9)]
