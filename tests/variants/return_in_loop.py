"""Returns from inside loops, also from two levels down."""

import torch


@torch.jit.script
def find(x, key: int) -> int:
    for i in range(x.size(0)):
        if int(x[i]) == key:
            return i
    return -1


@torch.jit.script
def grow(x, limit: float):
    n = 0
    while n < 10:
        if x.sum() > limit:
            return x, n
        x = x * 2
        n += 1
    return -x, n


@torch.jit.script
def locate(table, key: int) -> tuple[int, int]:
    for r in range(table.size(0)):
        for c in range(table.size(1)):
            if int(table[r, c]) == key:
                return r, c
            if int(table[r, c]) < 0:
                break
    return -1, -1


def subjects():
    x = torch.tensor([4, 7, 7, 1])
    yield "find", find, [(x, 7), (x, 1), (x, 5), (x[:0], 4)]
    yield "grow", grow, [(torch.ones(2), 1.0), (torch.ones(2), 30.0), (-torch.ones(2), 0.0)]
    table = torch.tensor([[1, 2, 3], [-1, 5, 6], [7, 8, 9]])
    yield "locate", locate, [(table, 3), (table, 5), (table, 8), (table, 4)]
